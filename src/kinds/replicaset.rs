//! Replica sets: what deployments are made of. Those of earlier rollouts, wanted no more, count as done.

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    wire::{LabelSelector, ObjectMeta, wire},
    workload::{Condition, PodTemplate, Template, Workload, condition, count, short},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct ReplicaSet;

wire! {
    pub struct ReplicaSetObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<ReplicaSetSpec>,
        #[prost(message, tag = "3")] pub status: Option<ReplicaSetStatus>,
    }

    pub struct ReplicaSetSpec {
        #[prost(int32, optional, tag = "1")] pub replicas: Option<i32>,
        #[prost(message, tag = "2")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "3")] pub template: Option<PodTemplate>,
    }

    pub struct ReplicaSetStatus {
        #[prost(int32, tag = "1")] pub replicas: i32,
        #[prost(int32, tag = "4")] pub ready_replicas: i32,
        #[prost(message, repeated, tag = "6")] pub conditions: Vec<Condition>,
    }
}

/// What is kept of a replica set.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub desired: u32,
    pub current: u32,
    pub ready: u32,
    pub health: Health,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = ReplicaSet::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

impl Wired for ReplicaSet {
    type Wire = ReplicaSetObject;

    fn meta(wire: &ReplicaSetObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &ReplicaSetObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let desired = count(spec.replicas.unwrap_or(1));
        let (current, ready) = (count(status.replicas), count(status.ready_replicas));
        let health = if condition(&status.conditions, "ReplicaFailure", "True").is_some() {
            Health::Bad
        } else if current != desired {
            Health::Progressing
        } else if desired == 0 {
            Health::Done
        } else {
            short(ready, desired)
        };
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            desired,
            current,
            ready,
            health,
            template: Template::new(spec.template.as_ref(), spec.selector.as_ref(), interner),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::number("desired", "Pods wanted", |row, _| Value::Int(row.desired.into())).total().rank(1),
    Column::number("current", "Pods there are", |row, _| Value::Int(row.current.into())).total().rank(1),
    Column::number("ready", "Pods that are ready", |row, _| Value::Int(row.ready.into())).total().rank(1),
    Column::text("owner", "What made it", |_, at| at.symbol(at.meta.owner_name)).rank(3),
    Column::FAULTS.wide(),
    Column::CPU_REQUEST.wide(),
    Column::MEMORY_REQUEST.wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for ReplicaSet {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "replicasets",
        kind: "ReplicaSet",
        group: "apps",
        version: "v1",
        namespaced: true,
        aliases: &["rs", "replicaset"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        at.selected_pods(row.template.selector)
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
