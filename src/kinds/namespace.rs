//! Namespaces: their phase, and what their pods come to.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, Wired,
    pod::Pod,
    wire::{ObjectMeta, wire},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
    world::Totals,
};

pub struct Namespace;

wire! {
    pub struct NamespaceObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "3")] pub status: Option<NamespaceStatus>,
    }

    pub struct NamespaceStatus {
        #[prost(bytes = "bytes", tag = "1")] pub phase: Bytes,
        #[prost(message, repeated, tag = "2")] pub conditions: Vec<NamespaceCondition>,
    }

    pub struct NamespaceCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
        #[prost(bytes = "bytes", tag = "5")] pub reason: Bytes,
    }
}

/// What is kept of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its own name as a symbol: what the rows of its pods refer to.
    pub name: Sym,
    pub phase: Sym,
    /// What keeps it from being deleted: reasons of the conditions that hold.
    pub blocked: Sym,
    pub health: Health,
}

impl Namespace {
    /// What its pods come to; `None` while not all of them are known.
    fn totals(row: &Row, at: &At<'_>) -> Option<Totals> {
        let known = at.world.is_whole(Pod::ID, Some(at.name));
        known.then(|| at.world.joins.in_namespace.get(&row.name).copied().unwrap_or_default())
    }

    fn of_pods(row: &Row, at: &At<'_>, value: fn(&Totals) -> Value<'static>) -> Value<'static> {
        Self::totals(row, at).as_ref().map_or(Value::Unknown, value)
    }
}

impl Wired for Namespace {
    type Wire = NamespaceObject;

    fn meta(wire: &NamespaceObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &NamespaceObject, interner: &mut Interner) -> Row {
        let status = wire.status.clone().unwrap_or_default();
        // All condition types of a namespace say what stands in the way of its deletion.
        let blocked: Vec<_> = status
            .conditions
            .iter()
            .filter(|condition| condition.status == "True")
            .map(|condition| super::wire::text(&condition.reason))
            .collect();
        let health = match status.phase.as_ref() {
            b"Active" => Health::Ok,
            // The conditions also tell what simply is not gone yet; a failure has a word for it.
            b"Terminating" if blocked.iter().any(|reason| reason.ends_with("Failed")) => Health::Bad,
            b"Terminating" if !blocked.is_empty() => Health::Warn,
            b"Terminating" => Health::Progressing,
            _ => Health::Unknown,
        };
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            phase: interner.bytes(&status.phase),
            blocked: interner.text(&blocked.join(",")),
            health,
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("status", "Active or being deleted", |row, at| at.plain(row.phase)).rank(0),
    Column::number("pods", "Pods in it", |row, at| {
        Namespace::of_pods(row, at, |totals| Value::Int(totals.pods.into()))
    })
    .joined()
    .total()
    .rank(1),
    Column::number("not-ready", "Pods that have not finished and are not ready", |row, at| {
        Namespace::of_pods(row, at, |totals| Value::Int(totals.unready.into()))
    })
    .joined()
    .total()
    .rank(2),
    Column::number("faults", "Pods with a fault", |row, at| {
        Namespace::of_pods(row, at, |totals| Value::Int(totals.faults.into()))
    })
    .joined()
    .total()
    .rank(2),
    Column::number("cpu-req", "CPU that its pods ask for", |row, at| {
        Namespace::of_pods(row, at, |totals| Value::Cpu(totals.requests.cpu))
    })
    .joined()
    .total()
    .rank(3),
    Column::number("mem-req", "Memory that its pods ask for", |row, at| {
        Namespace::of_pods(row, at, |totals| Value::Memory(totals.requests.memory))
    })
    .joined()
    .total()
    .rank(3),
    Column::text("blocked-by", "What keeps it from being deleted", |row, at| at.symbol(row.blocked)).wide(),
    Column::LABELS,
    Column::AGE,
];

impl Kind for Namespace {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "namespaces",
        kind: "Namespace",
        group: "",
        version: "v1",
        namespaced: false,
        aliases: &["ns", "namespace"],
        sort: None,
        joins: &["pods"],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    /// Its own, or where that is fine, that of its pods.
    fn health(row: &Row, at: &At<'_>) -> Health {
        match Self::totals(row, at) {
            Some(totals) if totals.faults > 0 => row.health.min(Health::Warn),
            _ => row.health,
        }
    }

    fn drill(_row: &Row, at: &At<'_>) -> Option<Drill> {
        Some(Drill { plural: "pods".to_owned(), namespace: Some(at.name.to_owned()), pin: None })
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
