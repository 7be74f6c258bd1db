//! Horizontal pod autoscalers. TARGETS is a port of `formatHPAMetrics` in kubectl's printers, v1.36.3.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Kind, Wired, seconds,
    wire::{ObjectMeta, Quantity, Time, text, wire},
    workload::{Condition, condition, count},
};
use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    value::{Health, Value},
};

pub struct HorizontalPodAutoscaler;

wire! {
    pub struct AutoscalerObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<AutoscalerSpec>,
        #[prost(message, tag = "3")] pub status: Option<AutoscalerStatus>,
    }

    pub struct AutoscalerSpec {
        #[prost(message, tag = "1")] pub scale_target_ref: Option<ScaleTarget>,
        #[prost(int32, optional, tag = "2")] pub min_replicas: Option<i32>,
        #[prost(int32, tag = "3")] pub max_replicas: i32,
        #[prost(message, repeated, tag = "4")] pub metrics: Vec<MetricSpec>,
    }

    pub struct ScaleTarget {
        #[prost(bytes = "bytes", tag = "1")] pub kind: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub name: Bytes,
    }

    pub struct AutoscalerStatus {
        #[prost(message, tag = "2")] pub last_scale_time: Option<Time>,
        #[prost(int32, tag = "3")] pub current_replicas: i32,
        #[prost(int32, tag = "4")] pub desired_replicas: i32,
        #[prost(message, repeated, tag = "5")] pub current_metrics: Vec<MetricStatus>,
        #[prost(message, repeated, tag = "6")] pub conditions: Vec<Condition>,
    }

    /// The field that `type` names is there.
    pub struct MetricSpec {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(message, tag = "2")] pub object: Option<ObjectTarget>,
        #[prost(message, tag = "3")] pub pods: Option<MetricTarget>,
        #[prost(message, tag = "4")] pub resource: Option<ResourceTarget>,
        #[prost(message, tag = "5")] pub external: Option<MetricTarget>,
        #[prost(message, tag = "7")] pub container_resource: Option<ResourceTarget>,
    }

    pub struct ObjectTarget {
        #[prost(message, tag = "2")] pub target: Option<Amount>,
    }

    pub struct MetricTarget {
        #[prost(message, tag = "2")] pub target: Option<Amount>,
    }

    pub struct ResourceTarget {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(message, tag = "2")] pub target: Option<Amount>,
    }

    pub struct MetricStatus {
        #[prost(message, tag = "2")] pub object: Option<MetricNow>,
        #[prost(message, tag = "3")] pub pods: Option<MetricNow>,
        #[prost(message, tag = "4")] pub resource: Option<MetricNow>,
        #[prost(message, tag = "5")] pub external: Option<MetricNow>,
        #[prost(message, tag = "7")] pub container_resource: Option<MetricNow>,
    }

    pub struct MetricNow {
        #[prost(message, tag = "2")] pub current: Option<AmountNow>,
    }

    /// `MetricTarget`
    pub struct Amount {
        #[prost(message, tag = "2")] pub value: Option<Quantity>,
        #[prost(message, tag = "3")] pub average_value: Option<Quantity>,
        #[prost(int32, optional, tag = "4")] pub average_utilization: Option<i32>,
    }

    /// `MetricValueStatus`
    pub struct AmountNow {
        #[prost(message, tag = "1")] pub value: Option<Quantity>,
        #[prost(message, tag = "2")] pub average_value: Option<Quantity>,
        #[prost(int32, optional, tag = "3")] pub average_utilization: Option<i32>,
    }
}

/// What is kept of an autoscaler.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub target_kind: Sym,
    pub target_name: Sym,
    pub targets: Box<str>,
    pub min: Option<u32>,
    pub max: u32,
    pub current: u32,
    pub desired: u32,
    /// Unix seconds, 0 where there is none.
    pub last_scale: u32,
    /// Why it does not scale as it would.
    pub reason: Sym,
    pub health: Health,
}

const UNKNOWN: &str = "<unknown>";

/// As Go prints a quantity that may be missing.
fn quantity(quantity: Option<&Quantity>) -> String {
    quantity.map_or_else(|| "<nil>".to_owned(), |quantity| quantity.as_str().into_owned())
}

/// One metric: what it is over what it should be.
fn metric(spec: &MetricSpec, status: Option<&MetricStatus>) -> String {
    let now = |part: fn(&MetricStatus) -> Option<&MetricNow>| {
        status.and_then(part).map(|metric| metric.current.clone().unwrap_or_default())
    };
    match spec.r#type.as_ref() {
        b"Pods" => {
            let target = spec.pods.as_ref().and_then(|pods| pods.target.as_ref());
            let current = now(|status| status.pods.as_ref())
                .map_or_else(|| UNKNOWN.to_owned(), |now| quantity(now.average_value.as_ref()));
            format!("{current}/{}", quantity(target.and_then(|target| target.average_value.as_ref())))
        }
        b"External" => {
            let target = spec.external.as_ref().and_then(|external| external.target.as_ref());
            whole_or_average(target, now(|status| status.external.as_ref()))
        }
        b"Object" => {
            let target = spec.object.as_ref().and_then(|object| object.target.as_ref());
            whole_or_average(target, now(|status| status.object.as_ref()))
        }
        b"Resource" => resource(spec.resource.as_ref(), now(|status| status.resource.as_ref())),
        b"ContainerResource" => {
            resource(spec.container_resource.as_ref(), now(|status| status.container_resource.as_ref()))
        }
        _ => "<unknown type>".to_owned(),
    }
}

fn whole_or_average(target: Option<&Amount>, now: Option<AmountNow>) -> String {
    if let Some(average) = target.and_then(|target| target.average_value.as_ref()) {
        let current = now.and_then(|now| now.average_value);
        let current = current.map_or_else(|| UNKNOWN.to_owned(), |value| value.as_str().into_owned());
        format!("{current}/{} (avg)", average.as_str())
    } else {
        let current = now.map_or_else(|| UNKNOWN.to_owned(), |now| quantity(now.value.as_ref()));
        format!("{current}/{}", quantity(target.and_then(|target| target.value.as_ref())))
    }
}

fn resource(spec: Option<&ResourceTarget>, now: Option<AmountNow>) -> String {
    let spec = spec.cloned().unwrap_or_default();
    let (name, target) = (text(&spec.name), spec.target.unwrap_or_default());
    let percent = |percent: i32| format!("{percent}%");
    if let Some(average) = &target.average_value {
        let current = now.map_or_else(|| UNKNOWN.to_owned(), |now| quantity(now.average_value.as_ref()));
        format!("{name}: {current}/{}", average.as_str())
    } else {
        let current = now.and_then(|now| now.average_utilization).map_or_else(|| UNKNOWN.to_owned(), percent);
        let target = target.average_utilization.map_or_else(|| "<auto>".to_owned(), percent);
        format!("{name}: {current}/{target}")
    }
}

/// kubectl's TARGETS: the first two, and how many more.
fn targets(specs: &[MetricSpec], statuses: &[MetricStatus]) -> String {
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let shown: Vec<String> =
        specs.iter().enumerate().take(2).map(|(index, spec)| metric(spec, statuses.get(index))).collect();
    let shown = shown.join(", ");
    if specs.len() > 2 { format!("{shown} + {} more...", specs.len() - 2) } else { shown }
}

/// Whether it can scale, from its conditions, with the reason where not.
fn health(conditions: &[Condition]) -> (Health, Option<&Bytes>) {
    if conditions.is_empty() {
        return (Health::Unknown, None);
    }
    for kind in ["AbleToScale", "ScalingActive"] {
        if let Some(found) = condition(conditions, kind, "False") {
            // Somebody scaled the target to 0: it waits, as asked.
            let held = found.reason == "ScalingDisabled";
            return (if held { Health::Unknown } else { Health::Bad }, Some(&found.reason));
        }
    }
    match condition(conditions, "ScalingLimited", "True") {
        Some(limited) if limited.reason == "TooManyReplicas" => (Health::Warn, Some(&limited.reason)),
        limited => (Health::Ok, limited.map(|limited| &limited.reason)),
    }
}

impl Wired for HorizontalPodAutoscaler {
    type Wire = AutoscalerObject;

    fn meta(wire: &AutoscalerObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &AutoscalerObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let target = spec.scale_target_ref.unwrap_or_default();
        let (health, reason) = health(&status.conditions);
        Row {
            target_kind: interner.bytes(&target.kind),
            target_name: interner.bytes(&target.name),
            targets: targets(&spec.metrics, &status.current_metrics).into(),
            min: spec.min_replicas.map(count),
            max: count(spec.max_replicas),
            current: count(status.current_replicas),
            desired: count(status.desired_replicas),
            last_scale: seconds(status.last_scale_time.and_then(Time::unix)),
            reason: reason.map_or(Sym::EMPTY, |reason| interner.bytes(reason)),
            health,
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("reference", "What it scales", |row, at| {
        let symbols = &at.world.symbols;
        Value::Text(format!("{}/{}", symbols.get(row.target_kind), symbols.get(row.target_name)).into())
    })
    .rank(1),
    Column::text("targets", "Metrics as they are, over what they should be", |row, _| Value::text(&row.targets)).rank(0),
    Column::number("minpods", "Fewest pods", |row, _| {
        row.min.map_or(Value::text("<unset>"), |min| Value::Int(min.into()))
    })
    .rank(2),
    Column::number("maxpods", "Most pods", |row, _| Value::Int(row.max.into())).rank(2),
    Column::number("replicas", "Pods there are", |row, _| Value::Int(row.current.into())).total().rank(1),
    Column::number("desired", "Pods that it wants", |row, _| Value::Int(row.desired.into())).total().rank(2),
    Column::number("last-scale", "Time since it changed the number", |row, _| At::since(row.last_scale)).rank(4),
    Column::text("reason", "Why it does not scale as it would", |row, at| at.symbol(row.reason)).rank(4),
    Column::LABELS,
    Column::AGE,
];

impl Kind for HorizontalPodAutoscaler {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "horizontalpodautoscalers",
        kind: "HorizontalPodAutoscaler",
        group: "autoscaling",
        version: "v2",
        namespaced: true,
        aliases: &["hpa", "horizontalpodautoscaler"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    /// To what it scales.
    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        let symbols = &at.world.symbols;
        Some(Drill {
            plural: symbols.get(row.target_kind).to_lowercase(),
            namespace: Some(symbols.get(at.meta.namespace).to_owned()),
            pin: Some(Pin::Name(symbols.get(row.target_name).to_owned())),
        })
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
