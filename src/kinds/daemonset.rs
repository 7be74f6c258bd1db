//! Daemon sets.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    wire::{LabelSelector, ObjectMeta, wire},
    workload::{PodTemplate, Template, Workload, count, format_labels, short},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct DaemonSet;

wire! {
    pub struct DaemonSetObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<DaemonSetSpec>,
        #[prost(message, tag = "3")] pub status: Option<DaemonSetStatus>,
    }

    pub struct DaemonSetSpec {
        #[prost(message, tag = "1")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "2")] pub template: Option<PodTemplate>,
        #[prost(message, tag = "3")] pub update_strategy: Option<DaemonSetUpdateStrategy>,
    }

    pub struct DaemonSetUpdateStrategy {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
    }

    pub struct DaemonSetStatus {
        #[prost(int32, tag = "1")] pub current_number_scheduled: i32,
        #[prost(int32, tag = "2")] pub number_misscheduled: i32,
        #[prost(int32, tag = "3")] pub desired_number_scheduled: i32,
        #[prost(int32, tag = "4")] pub number_ready: i32,
        #[prost(int32, tag = "6")] pub updated_number_scheduled: i32,
        #[prost(int32, tag = "7")] pub number_available: i32,
    }
}

/// What is kept of a daemon set.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub desired: u32,
    pub current: u32,
    pub ready: u32,
    pub updated: u32,
    pub available: u32,
    /// Pods on nodes that should have none.
    pub misscheduled: u32,
    pub health: Health,
    pub strategy: Sym,
    pub node_selector: Sym,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = DaemonSet::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

impl Wired for DaemonSet {
    type Wire = DaemonSetObject;

    fn meta(wire: &DaemonSetObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &DaemonSetObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let (desired, ready) = (count(status.desired_number_scheduled), count(status.number_ready));
        let (updated, misscheduled) = (count(status.updated_number_scheduled), count(status.number_misscheduled));
        let strategy = spec.update_strategy.unwrap_or_default().r#type;
        let health = match short(ready, desired) {
            // With `OnDelete` old pods stay until somebody deletes them.
            Health::Ok if updated < desired && strategy != "OnDelete" => Health::Progressing,
            Health::Ok if misscheduled > 0 => Health::Warn,
            health => health,
        };
        let node_selector =
            spec.template.as_ref().and_then(|template| template.spec.as_ref()).map_or(&[][..], |spec| &spec.node_selector);
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            desired,
            current: count(status.current_number_scheduled),
            ready,
            updated,
            available: count(status.number_available),
            misscheduled,
            health,
            strategy: interner.bytes(&strategy),
            node_selector: interner.text(&format_labels(node_selector)),
            template: Template::new(spec.template.as_ref(), spec.selector.as_ref(), interner),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::number("desired", "Nodes that should run it", |row, _| Value::Int(row.desired.into())).total().rank(1),
    Column::number("current", "Nodes that run it", |row, _| Value::Int(row.current.into())).total().rank(1),
    Column::number("ready", "Nodes where it is ready", |row, _| Value::Int(row.ready.into())).total().rank(0),
    Column::number("up-to-date", "Nodes with the newest template", |row, _| Value::Int(row.updated.into()))
        .total()
        .rank(3),
    Column::number("available", "Nodes where it has been ready long enough", |row, _| Value::Int(row.available.into()))
        .total()
        .rank(3),
    Column::number("misscheduled", "Nodes that run it and should not", |row, _| Value::Int(row.misscheduled.into()))
        .total()
        .wide(),
    Column::FAULTS,
    Column::CPU_REQUEST,
    Column::MEMORY_REQUEST,
    Column::text("node selector", "Labels of the nodes that it runs on", |row, at| at.plain(row.node_selector)).rank(6),
    Column::text("strategy", "How pods are replaced", |row, at| at.symbol(row.strategy)).wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for DaemonSet {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "daemonsets",
        kind: "DaemonSet",
        group: "apps",
        version: "v1",
        namespaced: true,
        aliases: &["ds", "daemonset"],
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
