//! What a node group did and why: the scaling activities of its Auto Scaling group and the updates that EKS carried out,
//! in one table. Both are the group's parts, as containers are a pod's.

use super::{At, Decoder, Definition, Kind, Origin, generic};
use crate::store::{
    table::Uid,
    value::{Health, Value},
};

pub struct Activity;

/// What is kept of an activity or update.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub group: Uid,
    /// `scaling` or `update`.
    pub kind: &'static str,
    /// As AWS has it: `Successful`, `Failed`, `InProgress`.
    pub status: String,
    /// Unix seconds; none while it goes on.
    pub ended: Option<i64>,
    /// Percent.
    pub progress: Option<u32>,
    pub message: String,
    pub cause: String,
}

impl Row {
    /// How AWS's word is meant; what could not be asked has none.
    fn state(&self) -> Health {
        match self.status.as_str() {
            "" => Health::Unknown,
            "Successful" => Health::Done,
            "Failed" => Health::Bad,
            "Cancelled" => Health::Warn,
            _ => Health::Progressing,
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::AGE.rank(0),
    Column::text("kind", "Of Auto Scaling, or an update by EKS", |row, _| Value::text(row.kind)).rank(1),
    Column::text("status", "How it ended, or how it stands", |row, _| {
        if row.status.is_empty() { Value::Unknown } else { Value::Status(row.state(), row.status.as_str().into()) }
    })
    .rank(0),
    Column::number("took", "From its start to its end", |row, at| match row.ended {
        Some(ended) if at.meta.created > 0 => Value::Span(ended - i64::from(at.meta.created)),
        _ => Value::Unknown,
    })
    .rank(3),
    Column::number("%", "How far it is, as Auto Scaling says", |row, _| {
        row.progress.map_or(Value::Unknown, |percent| Value::Int(i64::from(percent)))
    })
    .rank(5),
    Column::text("message", "What was done, or why it failed", |row, _| Value::text(&row.message))
        .sentence()
        .rank(0),
    Column::text("cause", "What led to it", |row, _| Value::text(&row.cause)).sentence().rank(3),
    Column::NAME.wide(),
];

impl Kind for Activity {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "activities",
        kind: "Activity",
        group: "",
        version: "",
        namespaced: false,
        aliases: &["activity"],
        sort: Some(("age", false)),
        joins: &[],
    };
    const ORIGIN: Origin = Origin::Aws;

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.state()
    }

    fn parent(row: &Row) -> Option<Uid> {
        Some(row.group)
    }

    fn decoder() -> Box<dyn Decoder> {
        generic::nothing()
    }
}
