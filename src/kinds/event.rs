//! Events, the youngest first. Core events and those of `events.k8s.io` are the same objects: `core/v1` has the fields
//! of both, `series` and `eventTime` included.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Kind, Wired, seconds,
    wire::{ObjectMeta, Time, text, wire},
    workload::count,
};
use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    value::{Health, Value},
};

pub struct Event;

wire! {
    pub struct EventObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub involved_object: Option<ObjectReference>,
        #[prost(bytes = "bytes", tag = "3")] pub reason: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub message: Bytes,
        #[prost(message, tag = "5")] pub source: Option<EventSource>,
        #[prost(message, tag = "6")] pub first_timestamp: Option<Time>,
        #[prost(message, tag = "7")] pub last_timestamp: Option<Time>,
        #[prost(int32, tag = "8")] pub count: i32,
        #[prost(bytes = "bytes", tag = "9")] pub r#type: Bytes,
        #[prost(message, tag = "10")] pub event_time: Option<Time>,
        #[prost(message, tag = "11")] pub series: Option<EventSeries>,
        #[prost(bytes = "bytes", tag = "14")] pub reporting_component: Bytes,
        #[prost(bytes = "bytes", tag = "15")] pub reporting_instance: Bytes,
    }

    pub struct ObjectReference {
        #[prost(bytes = "bytes", tag = "1")] pub kind: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub namespace: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub name: Bytes,
        #[prost(bytes = "bytes", tag = "7")] pub field_path: Bytes,
    }

    pub struct EventSource {
        #[prost(bytes = "bytes", tag = "1")] pub component: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub host: Bytes,
    }

    pub struct EventSeries {
        #[prost(int32, tag = "1")] pub count: i32,
        #[prost(message, tag = "2")] pub last_observed_time: Option<Time>,
    }
}

/// What is kept of an event. Names and messages are hardly ever said twice, and events come and go for ever: they are
/// not interned.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Unix seconds, 0 where the event does not say.
    pub first_seen: u32,
    pub last_seen: u32,
    pub count: u32,
    pub kind: Sym,
    pub reason: Sym,
    /// Kind in lower case, a slash, name.
    pub object: Box<str>,
    /// Of the object; empty for one of the cluster.
    pub namespace: Sym,
    pub subobject: Sym,
    pub source: Sym,
    pub message: Box<str>,
}

fn first_given<'a>(one: &'a Bytes, other: &'a Bytes) -> &'a Bytes {
    if one.is_empty() { other } else { one }
}

impl Wired for Event {
    type Wire = EventObject;

    fn meta(wire: &EventObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &EventObject, interner: &mut Interner) -> Row {
        let object = wire.involved_object.clone().unwrap_or_default();
        let source = wire.source.clone().unwrap_or_default();
        let unix = |time: Option<Time>| time.and_then(Time::unix);
        let first = unix(wire.first_timestamp).or_else(|| unix(wire.event_time));
        let (last, count) = match &wire.series {
            Some(series) => (unix(series.last_observed_time), count(series.count)),
            // A single event of the newer form says no count.
            None => (unix(wire.last_timestamp).or(first), count(wire.count).max(1)),
        };
        let kind = text(&object.kind).to_lowercase();
        let name = text(&object.name);
        let component = text(first_given(&source.component, &wire.reporting_component));
        let instance = text(first_given(&source.host, &wire.reporting_instance));
        let source = if instance.is_empty() { component.into_owned() } else { format!("{component}, {instance}") };
        Row {
            first_seen: seconds(first),
            last_seen: seconds(last),
            count,
            kind: interner.bytes(&wire.r#type),
            reason: interner.bytes(&wire.reason),
            object: if name.is_empty() { kind.into() } else { format!("{kind}/{name}").into() },
            namespace: interner.bytes(&object.namespace),
            subobject: interner.bytes(&object.field_path),
            source: interner.text(&source),
            message: text(&wire.message).trim().into(),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::number("last seen", "Time since it last happened", |row, _| At::ago(row.last_seen)).rank(0),
    Column::text("type", "Normal or Warning", |row, at| at.plain(row.kind)).rank(1),
    Column::text("reason", "Why, in a word", |row, at| at.plain(row.reason)).rank(0),
    Column::text("object", "What it happened to", |row, _| Value::text(&row.object)).rank(0),
    Column::text("subobject", "Which part of it", |row, at| at.plain(row.subobject)).wide(),
    Column::text("source", "Who says so", |row, at| at.plain(row.source)).wide(),
    Column::text("message", "What happened", |row, _| Value::text(&row.message)).sentence().rank(0),
    Column::number("first seen", "Time since it first happened", |row, _| At::ago(row.first_seen)).wide(),
    Column::number("count", "How often it happened", |row, _| Value::Int(row.count.into())).wide(),
    Column::NAME.wide(),
];

impl Kind for Event {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "events",
        kind: "Event",
        group: "",
        version: "v1",
        namespaced: true,
        aliases: &["ev", "event"],
        sort: Some(("last seen", false)),
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, at: &At<'_>) -> Health {
        if at.world.symbols.get(row.kind) == "Warning" { Health::Warn } else { Health::Ok }
    }

    /// To the object.
    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        let (kind, name) = row.object.split_once('/')?;
        let namespace = at.world.symbols.get(row.namespace);
        Some(Drill {
            plural: kind.to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            pin: Some(Pin::Name(name.to_owned())),
        })
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
