//! Stateful sets.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    wire::{LabelSelector, ObjectMeta, wire},
    workload::{PodTemplate, Template, Workload, count, short},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct StatefulSet;

wire! {
    pub struct StatefulSetObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<StatefulSetSpec>,
        #[prost(message, tag = "3")] pub status: Option<StatefulSetStatus>,
    }

    pub struct StatefulSetSpec {
        #[prost(int32, optional, tag = "1")] pub replicas: Option<i32>,
        #[prost(message, tag = "2")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "3")] pub template: Option<PodTemplate>,
        #[prost(bytes = "bytes", tag = "5")] pub service_name: Bytes,
        #[prost(message, tag = "7")] pub update_strategy: Option<StatefulSetUpdateStrategy>,
    }

    pub struct StatefulSetUpdateStrategy {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
    }

    pub struct StatefulSetStatus {
        #[prost(int32, tag = "2")] pub replicas: i32,
        #[prost(int32, tag = "3")] pub ready_replicas: i32,
        #[prost(int32, tag = "5")] pub updated_replicas: i32,
        #[prost(bytes = "bytes", tag = "6")] pub current_revision: Bytes,
        #[prost(bytes = "bytes", tag = "7")] pub update_revision: Bytes,
    }
}

/// What is kept of a stateful set.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub desired: u32,
    pub ready: u32,
    /// Pods of the newest revision.
    pub updated: u32,
    pub health: Health,
    pub service: Sym,
    pub strategy: Sym,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = StatefulSet::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

impl Wired for StatefulSet {
    type Wire = StatefulSetObject;

    fn meta(wire: &StatefulSetObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &StatefulSetObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let desired = count(spec.replicas.unwrap_or(1));
        let ready = count(status.ready_replicas);
        let whole = count(status.replicas) == desired && status.current_revision == status.update_revision;
        // One pod at a time, and the next only when it is ready: what is short of pods may well be stuck.
        let health = if ready >= desired && !whole { Health::Progressing } else { short(ready, desired) };
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            desired,
            ready,
            updated: count(status.updated_replicas),
            health,
            service: interner.bytes(&spec.service_name),
            strategy: interner.bytes(&spec.update_strategy.unwrap_or_default().r#type),
            template: Template::new(spec.template.as_ref(), spec.selector.as_ref(), interner),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("ready", "Ready pods of those wanted", |row, _| Value::Ratio(row.ready, row.desired)).rank(0),
    Column::number("up-to-date", "Pods of the newest revision", |row, _| Value::Int(row.updated.into())).total().rank(3),
    Column::FAULTS,
    Column::CPU_REQUEST,
    Column::MEMORY_REQUEST,
    Column::text("service", "Service that names its pods", |row, at| at.symbol(row.service)).rank(6),
    Column::text("strategy", "How pods are replaced", |row, at| at.symbol(row.strategy)).wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for StatefulSet {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "statefulsets",
        kind: "StatefulSet",
        group: "apps",
        version: "v1",
        namespaced: true,
        aliases: &["sts", "statefulset"],
        sort: None,
        joins: &["pods"],
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
