//! What workloads have in common: their pod template and selector as columns, the state of a rollout, and what their
//! pods add up to (kept by the pods' rows).

use bytes::Bytes;

use super::{
    At, Column, HasId, KindId,
    daemonset::DaemonSet,
    job::Job,
    pod::Pod,
    replicaset::ReplicaSet,
    statefulset::StatefulSet,
    wire::{Entry, LabelSelector, text, wire},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
    world::{Totals, WorkloadKey},
};

wire! {
    /// `v1.PodTemplateSpec`.
    pub struct PodTemplate {
        #[prost(message, tag = "2")] pub spec: Option<PodTemplateSpec>,
    }

    pub struct PodTemplateSpec {
        #[prost(message, repeated, tag = "2")] pub containers: Vec<TemplateContainer>,
        #[prost(message, repeated, tag = "7")] pub node_selector: Vec<Entry>,
    }

    pub struct TemplateContainer {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub image: Bytes,
    }

    /// Conditions of `apps/v1` and of horizontal pod autoscalers.
    pub struct Condition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        /// `True`, `False` or `Unknown`.
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub reason: Bytes,
    }
}

/// The condition of this type, if its status is as said.
pub fn condition<'a>(conditions: &'a [Condition], r#type: &str, status: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.r#type == r#type && condition.status == status)
}

/// What is kept of a pod template and the selector beside it: kubectl's wide columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    pub containers: Sym,
    pub images: Sym,
    /// Empty where there is none.
    pub selector: Sym,
}

impl Template {
    pub fn new(template: Option<&PodTemplate>, selector: Option<&LabelSelector>, interner: &mut Interner) -> Self {
        let containers =
            template.and_then(|template| template.spec.as_ref()).map_or(&[][..], |spec| &spec.containers[..]);
        let mut join = |part: fn(&TemplateContainer) -> &Bytes| {
            let parts: Vec<_> = containers.iter().map(|container| text(part(container))).collect();
            interner.text(&parts.join(","))
        };
        Self {
            containers: join(|container| &container.name),
            images: join(|container| &container.image),
            selector: selector_text(selector, interner),
        }
    }
}

/// A selector as kubectl prints it: empty where there is none, `<none>` where it selects everything.
pub fn selector_text(selector: Option<&LabelSelector>, interner: &mut Interner) -> Sym {
    selector.map_or(Sym::EMPTY, |selector| interner.text(&selector.to_string()))
}

/// Labels that are all wanted, as kubectl prints them (`labels.FormatLabels`): `a=b,c=d`, `<none>` where there are none.
pub fn format_labels(labels: &[Entry]) -> String {
    if labels.is_empty() {
        return "<none>".to_owned();
    }
    let mut pairs: Vec<String> =
        labels.iter().map(|label| format!("{}={}", text(&label.key), text(&label.value))).collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// Which kind the owner of a pod is, of those whose pods are added up.
pub fn kind_of(owner: &[u8]) -> Option<KindId> {
    match owner {
        b"ReplicaSet" => Some(ReplicaSet::ID),
        b"StatefulSet" => Some(StatefulSet::ID),
        b"DaemonSet" => Some(DaemonSet::ID),
        b"Job" => Some(Job::ID),
        _ => None,
    }
}

/// A row of a workload.
pub trait Workload {
    const ID: KindId;
    /// Its own name as a symbol: what the rows of its pods refer to.
    fn name(&self) -> Sym;
    fn template(&self) -> &Template;
}

/// What its pods come to; `None` while not all of its namespace's pods are known.
fn totals<R: Workload>(row: &R, at: &At<'_>) -> Option<Totals> {
    let namespace = at.meta.namespace;
    let world = at.world;
    world.is_whole(Pod::ID, Some(world.symbols.get(namespace))).then(|| {
        let key = WorkloadKey { namespace, kind: R::ID, name: row.name() };
        world.joins.of_workload.get(&key).copied().unwrap_or_default()
    })
}

impl<R: Workload> Column<R> {
    pub const CONTAINERS: Self =
        Self::text("containers", "Containers of the pod template", |row, at| at.plain(row.template().containers))
            .wide();
    pub const IMAGES: Self =
        Self::text("images", "Images of the pod template", |row, at| at.plain(row.template().images)).wide();
    pub const SELECTOR: Self =
        Self::text("selector", "Which pods are its own", |row, at| at.symbol(row.template().selector)).wide();
    pub const FAULTS: Self = Self::number("faults", "Pods with a fault", |row, at| {
        totals(row, at).map_or(Value::Unknown, |totals| Value::Int(i64::from(totals.faults)))
    })
    .joined()
    .total()
    .rank(4);
    pub const CPU_REQUEST: Self = Self::number("cpu-req", "CPU that its pods ask for", |row, at| {
        totals(row, at).map_or(Value::Unknown, |totals| Value::Cpu(totals.requests.cpu))
    })
    .joined()
    .total()
    .rank(5);
    pub const MEMORY_REQUEST: Self = Self::number("mem-req", "Memory that its pods ask for", |row, at| {
        totals(row, at).map_or(Value::Unknown, |totals| Value::Memory(totals.requests.memory))
    })
    .joined()
    .total()
    .rank(5);
}

/// How a workload is whose pods should all be ready and are not, with no rollout to wait for.
pub fn short(ready: u32, desired: u32) -> Health {
    match ready {
        _ if ready >= desired => Health::Ok,
        0 => Health::Bad,
        _ => Health::Warn,
    }
}

/// A count from the wire; the API server stores none below 0.
pub fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
