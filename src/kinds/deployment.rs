//! Deployments: kubectl's columns, how the rollout stands, and what the pods of its replica sets ask for.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    wire::{LabelSelector, ObjectMeta, text, wire},
    workload::{Condition, PodTemplate, Template, Workload, condition, count, short},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct Deployment;

wire! {
    pub struct DeploymentObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<DeploymentSpec>,
        #[prost(message, tag = "3")] pub status: Option<DeploymentStatus>,
    }

    pub struct DeploymentSpec {
        #[prost(int32, optional, tag = "1")] pub replicas: Option<i32>,
        #[prost(message, tag = "2")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "3")] pub template: Option<PodTemplate>,
        #[prost(message, tag = "4")] pub strategy: Option<DeploymentStrategy>,
        #[prost(bool, tag = "7")] pub paused: bool,
    }

    pub struct DeploymentStrategy {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
    }

    pub struct DeploymentStatus {
        #[prost(int32, tag = "2")] pub replicas: i32,
        #[prost(int32, tag = "3")] pub updated_replicas: i32,
        #[prost(int32, tag = "4")] pub available_replicas: i32,
        #[prost(message, repeated, tag = "6")] pub conditions: Vec<Condition>,
        #[prost(int32, tag = "7")] pub ready_replicas: i32,
    }
}

/// What is kept of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub desired: u32,
    pub ready: u32,
    pub updated: u32,
    pub available: u32,
    /// How the rollout stands, in a word or with the condition's reason.
    pub rollout: Sym,
    pub health: Health,
    pub strategy: Sym,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = Deployment::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

/// How the rollout stands, as `kubectl rollout status` judges it, and the health that follows.
fn rollout(spec: &DeploymentSpec, status: &DeploymentStatus, desired: u32) -> (String, Health) {
    let conditions = &status.conditions;
    if let Some(failed) =
        condition(conditions, "ReplicaFailure", "True").or_else(|| condition(conditions, "Progressing", "False"))
    {
        return (text(&failed.reason).into_owned(), Health::Bad);
    }
    let (updated, available) = (count(status.updated_replicas), count(status.available_replicas));
    let done = updated >= desired && count(status.replicas) <= updated;
    let health = short(available.min(count(status.ready_replicas)), desired);
    if spec.paused {
        return ("Paused".to_owned(), if done { health } else { Health::Warn });
    }
    // Once complete, a rollout stays so, whatever happens to its pods.
    let was_complete = condition(conditions, "Progressing", "True").is_some_and(|it| it.reason == "NewReplicaSetAvailable");
    if done && (was_complete || health == Health::Ok) {
        ("Complete".to_owned(), health)
    } else {
        ("Progressing".to_owned(), Health::Progressing)
    }
}

impl Wired for Deployment {
    type Wire = DeploymentObject;

    fn meta(wire: &DeploymentObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &DeploymentObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let desired = count(spec.replicas.unwrap_or(1));
        let (rollout, health) = rollout(&spec, &status, desired);
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            desired,
            ready: count(status.ready_replicas),
            updated: count(status.updated_replicas),
            available: count(status.available_replicas),
            rollout: interner.text(&rollout),
            health,
            strategy: interner.bytes(&spec.strategy.unwrap_or_default().r#type),
            template: Template::new(spec.template.as_ref(), spec.selector.as_ref(), interner),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("ready", "Ready pods of those wanted", |row, _| Value::Ratio(row.ready, row.desired)).rank(0),
    Column::number("up-to-date", "Pods of the newest template", |row, _| Value::Int(row.updated.into())).total().rank(3),
    Column::number("available", "Pods that have been ready long enough", |row, _| Value::Int(row.available.into()))
        .total()
        .rank(2),
    Column::text("rollout", "How the rollout stands", |row, at| at.plain(row.rollout)).rank(3),
    Column::FAULTS,
    Column::CPU_REQUEST,
    Column::MEMORY_REQUEST,
    Column::text("strategy", "How pods are replaced", |row, at| at.symbol(row.strategy)).wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for Deployment {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "deployments",
        kind: "Deployment",
        group: "apps",
        version: "v1",
        namespaced: true,
        aliases: &["deploy", "deployment", "dp"],
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
