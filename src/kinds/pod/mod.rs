//! Pods: the biggest table. STATUS, READY and RESTARTS are kubectl's (`status`), requests are the effective ones
//! (`resources`); group, zone and capacity type come from the node's row.

pub mod resources;
pub mod status;
pub mod wire;

use std::net::IpAddr;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    deployment::Deployment,
    namespace::Namespace,
    node::Node,
    nodegroup::{Hourly, NodeGroup},
    percent, seconds,
    wire::{ObjectMeta, text},
    workload,
};
use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    table::Meta,
    value::{Health, Metric, Value},
    world::{Amounts, Joins, Totals, World, WorkloadKey},
};

pub struct Pod;

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub node: Sym,
    pub nominated: Sym,
    pub service_account: Sym,
    pub status: Sym,
    pub qos: Sym,
    pub health: Health,
    pub ready: u16,
    pub containers: u16,
    pub gates_ready: u16,
    pub gates: u16,
    pub restarts: u32,
    pub last_restart: u32,
    /// IPv4 or IPv6, `None` while there is none.
    pub ip: Option<IpAddr>,
    pub requests: Amounts,
    pub limits: Amounts,
    /// Whether it holds its requests on its node: placed, and not finished.
    pub counted: bool,
    pub finished: bool,
    /// Kind of its controller, where that is a workload; its name stands in the meta.
    pub workload: Option<KindId>,
    /// The deployment behind its replica set.
    pub deployment: Sym,
}

impl Pod {
    fn node<'a>(row: &Row, at: &At<'a>) -> Option<&'a super::node::Row> {
        let world = at.world;
        let id = world.joins.nodes.get(row.node)?;
        world.table::<Node>().get(id).map(|(_, node)| node)
    }

    fn from_node<'a>(row: &Row, at: &At<'a>, field: fn(&super::node::Row, &World) -> Sym) -> Value<'a> {
        match Self::node(row, at).map(|node| field(node, at.world)) {
            Some(sym) if !sym.is_empty() => at.plain(sym),
            _ => Value::Unknown,
        }
    }

    fn used(at: &At<'_>) -> Option<Amounts> {
        at.world.usage.of(Pod::ID, at.id, at.meta.uid)
    }

    /// Its share of what its node costs an hour: by what it asks for of CPU or memory, whichever is the bigger part.
    fn hourly(row: &Row, at: &At<'_>) -> Option<Hourly> {
        let node = Self::node(row, at).filter(|_| row.counted)?;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = |asked: u64, of: u64| if of == 0 { 0.0 } else { asked as f64 / of as f64 };
        let cpu = share(row.requests.cpu, node.allocatable.cpu);
        let share = cpu.max(share(row.requests.memory, node.allocatable.memory));
        // Who asks for nothing has no share that could be told.
        let whole = Node::hourly(node, at.world).filter(|_| share > 0.0)?;
        Some(Hourly { dollars: whole.dollars * share, ..whole })
    }

    /// What one pod adds to the sums over pods.
    fn share(row: &Row) -> Totals {
        Totals {
            pods: 1,
            unready: u32::from(!row.finished && row.ready < row.containers),
            faults: u32::from(row.health.is_fault()),
            requests: row.requests,
            limits: row.limits,
        }
    }

    /// Adds a pod to the sums that it counts in, or takes it out.
    fn count(joins: &mut Joins, meta: &Meta, row: &Row, change: fn(&mut Totals, &Totals)) {
        let share = Self::share(row);
        if row.counted {
            change(joins.on_node.entry(row.node).or_default(), &share);
            change(&mut joins.on_nodes, &share);
            joins.bump(Node::ID);
            joins.bump(NodeGroup::ID);
        }
        change(joins.in_namespace.entry(meta.namespace).or_default(), &share);
        joins.bump(Namespace::ID);
        let controller = row.workload.map(|kind| (kind, meta.owner_name));
        let deployment = (!row.deployment.is_empty()).then_some((Deployment::ID, row.deployment));
        for (kind, name) in controller.into_iter().chain(deployment) {
            let key = WorkloadKey { namespace: meta.namespace, kind, name };
            let totals = joins.of_workload.entry(key).or_default();
            change(totals, &share);
            // Replica sets and jobs come and go for ever.
            if totals.pods == 0 {
                joins.of_workload.remove(&key);
            }
            joins.bump(kind);
        }
    }
}

/// A deployment names its replica sets after itself and the hash that it labels their pods with.
fn deployment<'a>(meta: &'a ObjectMeta, replicaset: &'a [u8]) -> Option<&'a [u8]> {
    let hash = meta.label("pod-template-hash").filter(|hash| !hash.is_empty())?;
    replicaset.strip_suffix(hash.as_ref())?.strip_suffix(b"-")
}

impl Wired for Pod {
    type Wire = wire::Pod;

    fn meta(wire: &wire::Pod) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(pod: &wire::Pod, interner: &mut Interner) -> Row {
        let no_spec = wire::PodSpec::default();
        let no_status = wire::PodStatus::default();
        let spec = pod.spec.as_ref().unwrap_or(&no_spec);
        let now = pod.status.as_ref().unwrap_or(&no_status);
        let state = status::of(pod);
        let (gates_ready, gates) = status::readiness_gates(pod).unwrap_or_default();
        let owner = Self::meta(pod).controller();
        let workload = owner.and_then(|owner| workload::kind_of(&owner.kind));
        let deployment = owner
            .filter(|owner| owner.kind == "ReplicaSet")
            .and_then(|owner| deployment(Self::meta(pod), &owner.name))
            .unwrap_or_default();
        // As kubectl: the first of the addresses.
        let ip = now.pod_ips.first().map_or(&now.pod_ip, |ip| &ip.ip);
        let amounts = |resources: resources::Resources| Amounts {
            cpu: resources.cpu_milli,
            memory: resources.memory_bytes,
        };
        Row {
            node: interner.bytes(&spec.node_name),
            nominated: interner.bytes(&now.nominated_node_name),
            service_account: interner.bytes(&spec.service_account_name),
            status: interner.text(&state.status),
            qos: interner.bytes(&now.qos_class),
            health: state.health,
            ready: small(state.ready as usize),
            containers: small(state.total as usize),
            gates_ready: small(gates_ready as usize),
            gates: small(gates as usize),
            restarts: state.restarts,
            last_restart: seconds(state.last_restart),
            ip: text(ip).parse().ok(),
            requests: amounts(resources::requests(pod)),
            limits: amounts(resources::limits(pod)),
            counted: !spec.node_name.is_empty() && !pod.is_finished(),
            finished: pod.is_finished(),
            workload,
            deployment: interner.bytes(deployment),
        }
    }
}

fn small(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("ready", "Ready containers of all", |row, _| {
        Value::Ratio(u32::from(row.ready), u32::from(row.containers))
    })
    .rank(1),
    Column::text("status", "What kubectl says of the pod", |row, at| at.plain(row.status)).rank(0),
    Column::number("restarts", "Restarts of its containers", |row, _| Value::Int(i64::from(row.restarts))).rank(1),
    Column::number("last-restart", "Time since the last restart", |row, _| At::since(row.last_restart)).rank(6),
    Column::number("cpu", "CPU in use (metrics.k8s.io)", |_, at| {
        Pod::used(at).map_or(Value::Unknown, |used| Value::Cpu(used.cpu))
    })
    .joined()
    .total()
    .rank(4),
    Column::number("cpu-req", "CPU requested, effectively", |row, _| Value::Cpu(row.requests.cpu)).total().rank(5),
    Column::number("%cpu-req", "CPU in use, percent of what is requested", |row, at| {
        Pod::used(at).map_or(Value::Unknown, |used| percent(Metric::Cpu, used.cpu, row.requests.cpu))
    })
    .joined()
    .rank(7),
    Column::number("cpu-lim", "CPU limit", |row, _| match row.limits.cpu {
        0 => Value::Unknown,
        milli => Value::Cpu(milli),
    })
    .wide(),
    Column::number("mem", "Memory in use (metrics.k8s.io)", |_, at| {
        Pod::used(at).map_or(Value::Unknown, |used| Value::Memory(used.memory))
    })
    .joined()
    .total()
    .rank(4),
    Column::number("mem-req", "Memory requested, effectively", |row, _| Value::Memory(row.requests.memory))
        .total()
        .rank(5),
    Column::number("%mem-req", "Memory in use, percent of what is requested", |row, at| {
        Pod::used(at).map_or(Value::Unknown, |used| percent(Metric::Memory, used.memory, row.requests.memory))
    })
    .joined()
    .rank(7),
    Column::number("mem-lim", "Memory limit", |row, _| match row.limits.memory {
        0 => Value::Unknown,
        bytes => Value::Memory(bytes),
    })
    .wide(),
    Column::text("group", "Node group or pool of its node", |row, at| Pod::from_node(row, at, Node::group))
        .joined()
        .rank(4),
    Column::text("zone", "Availability zone of its node", |row, at| Pod::from_node(row, at, |node, _| node.zone))
        .joined()
        .rank(5),
    Column::number("$/h", "Its share of its node's price, by what it asks for", |row, at| {
        Pod::hourly(row, at).map_or(Value::Unknown, Hourly::value)
    })
    .joined()
    .wide(),
    Column::text("ip", "Address of the pod", |row, _| row.ip.map_or_else(Value::none, Value::Ip)).rank(8),
    Column::text("node", "Node that it runs on", |row, at| at.symbol(row.node)).rank(3),
    Column::text("nominated node", "Node that is being made free for it", |row, at| at.symbol(row.nominated)).wide(),
    Column::text("readiness gates", "Readiness gates that hold, of all", |row, _| match row.gates {
        0 => Value::none(),
        gates => Value::Ratio(u32::from(row.gates_ready), u32::from(gates)),
    })
    .wide(),
    Column::text("owner", "What made it", |_, at| at.symbol(at.meta.owner_name)).wide(),
    Column::text("owner-kind", "Kind of what made it", |_, at| at.symbol(at.meta.owner_kind)).wide(),
    Column::text("service-account", "Service account", |row, at| at.symbol(row.service_account)).wide(),
    Column::text("qos", "Quality of service class", |row, at| at.symbol(row.qos)).wide(),
    Column::LABELS,
    Column::AGE,
];

impl Kind for Pod {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "pods",
        kind: "Pod",
        group: "",
        version: "v1",
        namespaced: true,
        aliases: &["po", "pod"],
        sort: None,
        joins: &["nodes", "nodegroups"],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn any_word(row: &Row, at: &At<'_>, test: &mut dyn FnMut(Sym) -> bool) -> Option<bool> {
        // Words may stand in an IPv6 address; what a word of letters cannot be in is left out.
        if matches!(row.ip, Some(IpAddr::V6(_))) {
            return None;
        }
        let own = [at.meta.namespace, row.status, row.node];
        let node = Self::node(row, at).map(|node| [Node::group(node, at.world), node.zone]);
        let mut words = own.into_iter().chain(node.into_iter().flatten()).filter(|word| !word.is_empty());
        Some(words.any(test))
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    fn drill(_row: &Row, at: &At<'_>) -> Option<Drill> {
        Some(Drill {
            plural: "containers".to_owned(),
            namespace: Some(at.world.symbols.get(at.meta.namespace).to_owned()),
            pin: Some(Pin::Parent {
                uid: at.meta.uid,
                namespace: at.world.symbols.get(at.meta.namespace).to_owned(),
                name: at.name.to_owned(),
            }),
        })
    }

    fn joined(joins: &mut Joins, _id: u32, old: Option<(&Meta, &Row)>, new: Option<(&Meta, &Row)>) {
        let parts = |(meta, row): (&Meta, &Row)| {
            (meta.namespace, row.workload, meta.owner_name, row.deployment, row.node, row.counted, Self::share(row))
        };
        if old.map(parts) == new.map(parts) {
            return;
        }
        if let Some((meta, row)) = old {
            Self::count(joins, meta, row, Totals::subtract);
        }
        if let Some((meta, row)) = new {
            Self::count(joins, meta, row, Totals::add);
        }
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
