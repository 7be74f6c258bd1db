//! Pod disruption budgets: what they guard, and whether they leave room for an eviction.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Kind, Wired,
    wire::{IntOrString, LabelSelector, ObjectMeta, text, wire},
    workload::{count, selector_text},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct PodDisruptionBudget;

wire! {
    pub struct BudgetObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<BudgetSpec>,
        #[prost(message, tag = "3")] pub status: Option<BudgetStatus>,
    }

    pub struct BudgetSpec {
        #[prost(message, tag = "1")] pub min_available: Option<IntOrString>,
        #[prost(message, tag = "2")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "3")] pub max_unavailable: Option<IntOrString>,
        #[prost(bytes = "bytes", tag = "4")] pub unhealthy_pod_eviction_policy: Bytes,
    }

    pub struct BudgetStatus {
        #[prost(int64, tag = "1")] pub observed_generation: i64,
        #[prost(int32, tag = "3")] pub disruptions_allowed: i32,
        #[prost(int32, tag = "4")] pub current_healthy: i32,
        #[prost(int32, tag = "5")] pub desired_healthy: i32,
        #[prost(int32, tag = "6")] pub expected_pods: i32,
    }
}

/// A number of pods or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Unset,
    Pods(i32),
    /// `25%`
    Share(Sym),
}

impl Bound {
    fn new(wire: Option<&IntOrString>, interner: &mut Interner) -> Self {
        match wire {
            None => Bound::Unset,
            Some(bound) if bound.kind == 0 => Bound::Pods(bound.number),
            Some(bound) => Bound::Share(interner.text(&text(&bound.string))),
        }
    }

    fn value<'a>(self, at: &At<'a>) -> Value<'a> {
        match self {
            Bound::Unset => Value::text("N/A"),
            Bound::Pods(number) => Value::Int(number.into()),
            Bound::Share(share) => at.plain(share),
        }
    }
}

/// What is kept of a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub min_available: Bound,
    pub max_unavailable: Bound,
    pub allowed: u32,
    /// Counts of pods as the controller has them; `None` until it has seen the budget.
    pub pods: Option<Pods>,
    /// Empty where it guards nothing.
    pub selector: Sym,
    pub policy: Sym,
}

/// The controller's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pods {
    pub healthy: u32,
    pub desired: u32,
    pub expected: u32,
}

impl Row {
    fn of_pods(&self, count: fn(Pods) -> u32) -> Value<'static> {
        self.pods.map_or(Value::Unknown, |pods| Value::Int(count(pods).into()))
    }
}

impl Wired for PodDisruptionBudget {
    type Wire = BudgetObject;

    fn meta(wire: &BudgetObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &BudgetObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        Row {
            min_available: Bound::new(spec.min_available.as_ref(), interner),
            max_unavailable: Bound::new(spec.max_unavailable.as_ref(), interner),
            allowed: count(status.disruptions_allowed),
            pods: (status.observed_generation > 0).then(|| Pods {
                healthy: count(status.current_healthy),
                desired: count(status.desired_healthy),
                expected: count(status.expected_pods),
            }),
            selector: selector_text(spec.selector.as_ref(), interner),
            policy: interner.bytes(&spec.unhealthy_pod_eviction_policy),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::number("min available", "Pods that have to stay available", |row, at| row.min_available.value(at)).rank(1),
    Column::number("max unavailable", "Pods that may be unavailable", |row, at| row.max_unavailable.value(at)).rank(1),
    Column::number("allowed disruptions", "Evictions that it lets through now", |row, _| Value::Int(row.allowed.into()))
        .rank(0),
    Column::number("healthy", "Pods that are healthy", |row, _| row.of_pods(|pods| pods.healthy)).rank(2),
    Column::number("needed", "Healthy pods that it asks for", |row, _| row.of_pods(|pods| pods.desired)).rank(3),
    Column::number("pods", "Pods that it guards", |row, _| row.of_pods(|pods| pods.expected)).rank(2),
    Column::text("selector", "Which pods it guards", |row, at| at.symbol(row.selector)).rank(5),
    Column::text("unhealthy-policy", "When pods that are not healthy may be evicted", |row, at| at.symbol(row.policy))
        .wide(),
    Column::LABELS,
    Column::AGE,
];

impl Kind for PodDisruptionBudget {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "poddisruptionbudgets",
        kind: "PodDisruptionBudget",
        group: "policy",
        version: "v1",
        namespaced: true,
        aliases: &["pdb", "poddisruptionbudget"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    /// Fewer healthy pods than it asks for are bad; a budget that lets no eviction through blocks every drain.
    fn health(row: &Row, _at: &At<'_>) -> Health {
        match row.pods {
            None => Health::Unknown,
            Some(pods) if pods.healthy < pods.desired => Health::Bad,
            Some(pods) if pods.expected > 0 && row.allowed == 0 => Health::Warn,
            Some(_) => Health::Ok,
        }
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        at.selected_pods(row.selector)
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
