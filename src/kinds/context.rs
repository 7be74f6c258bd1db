//! Contexts of the kubeconfig: a table whose rows come from the program itself.

use super::{At, Decoder, Definition, Drill, Kind, Origin, generic};
use crate::store::value::{Health, Value};

pub struct Context;

/// What is shown of a context.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub current: bool,
    pub cluster: String,
    pub user: String,
    pub server: String,
    pub namespace: String,
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::text("current", "The one that is shown", |row, _| Value::text(if row.current { "*" } else { "" })).rank(1),
    Column::NAME,
    Column::text("cluster", "Cluster", |row, _| Value::text(&row.cluster)).rank(3),
    Column::text("user", "User", |row, _| Value::text(&row.user)).rank(4),
    Column::text("server", "Address of the API server", |row, _| Value::text(&row.server)).rank(5),
    Column::text("namespace", "Its namespace", |row, _| Value::text(&row.namespace)).rank(6),
];

impl Kind for Context {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "contexts",
        kind: "Context",
        group: "",
        version: "",
        namespaced: false,
        aliases: &["ctx", "context"],
        sort: None,
        joins: &[],
    };
    const ORIGIN: Origin = Origin::Program;

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        if row.current { Health::Ok } else { Health::Unknown }
    }

    fn drill(_row: &Row, _at: &At<'_>) -> Option<Drill> {
        None
    }

    fn decoder() -> Box<dyn Decoder> {
        generic::nothing()
    }
}
