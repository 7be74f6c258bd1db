//! Every kind without a file of its own: the server says which columns it has, by its printed table (`table`), or for a
//! custom resource by the printer columns of its definition, evaluated on the objects (`custom`).

mod custom;
mod jsonpath;
mod table;

use std::{any::Any, borrow::Cow, collections::HashSet};

use bytes::Bytes;

use super::{
    At, Column, ColumnInfo, DecodeError, Decoder, Definition, Encoding, EventKind, Form, Kind, KindInfo, wire,
};
use crate::store::{
    intern::{Interner, Sym},
    table::{Change, Changes, Meta},
    value::{Align, Value},
};

/// Longer texts are seldom shared, and the interner never forgets.
const LONGEST_SHARED: usize = 64;

/// Objects of a kind that only the server knows.
pub struct Generic;

/// What is kept of an object: its cells, in the order of the table's columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    cells: Box<[Cell]>,
}

/// One cell. What stands in the object's metadata anyway is not kept twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// The server left it empty.
    Missing,
    Namespace,
    Name,
    Created,
    Shared(Sym),
    Text(Box<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Unix seconds, shown as the time since.
    Since(i64),
}

impl Cell {
    pub fn text(text: &str, interner: &mut Interner) -> Self {
        if text.len() <= LONGEST_SHARED { Cell::Shared(interner.text(text)) } else { Cell::Text(text.into()) }
    }
}

impl Kind for Generic {
    type Row = Row;
    /// Never read: what is known of these kinds comes from discovery.
    const DEFINITION: Definition = Definition {
        plural: "",
        kind: "",
        group: "",
        version: "",
        namespaced: true,
        aliases: &[],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column<Row>] {
        &[]
    }

    fn value<'a>(row: &'a Row, column: usize, at: &At<'a>) -> Value<'a> {
        match row.cells.get(column) {
            None | Some(Cell::Missing) => Value::Unknown,
            Some(Cell::Namespace) => at.plain(at.meta.namespace),
            Some(Cell::Name) => Value::text(at.name),
            Some(Cell::Created) => At::since(at.meta.created),
            Some(Cell::Shared(sym)) => at.plain(*sym),
            Some(Cell::Text(text)) => Value::text(text),
            Some(Cell::Int(number)) => Value::Int(*number),
            Some(Cell::Float(number)) => Value::Float(*number),
            Some(Cell::Bool(flag)) => Value::Bool(*flag),
            Some(Cell::Since(instant)) => Value::Since(*instant),
        }
    }

    fn decoder() -> Box<dyn Decoder> {
        nothing()
    }
}

/// A decoder for a kind that is known by its discovery entry.
pub fn decoder(info: &KindInfo) -> Box<dyn Decoder> {
    // Only groups with a dot can be custom; whether one is, its definition will tell.
    if info.group.contains('.') {
        Box::new(custom::CustomDecoder::new(info))
    } else {
        Box::new(table::TableDecoder::new(info.namespaced))
    }
}

/// A decoder for kinds that no server sends.
pub fn nothing() -> Box<dyn Decoder> {
    Box::new(Nothing)
}

struct Nothing;

impl Decoder for Nothing {
    fn form(&self) -> Form {
        Form::Json
    }

    fn object(&mut self, _: EventKind, _: Encoding, _: Bytes, _: &mut Interner) -> Result<Bytes, DecodeError> {
        Ok(Bytes::new())
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        (0, Box::new(Changes::<Row>::default()))
    }

    fn pending(&self) -> usize {
        0
    }
}

/// What the server says of a column, in a Table or in a custom resource's definition.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default)]
pub struct ColumnDefinition {
    pub name: String,
    /// `integer`, `number`, `boolean`, `string` or `date`.
    pub r#type: String,
    /// `name` for the column that holds the object's name.
    pub format: String,
    pub description: String,
    /// Above 0: shown in wide mode only.
    pub priority: i32,
}

/// The columns of a table, the namespace before what the server says.
fn columns<'a>(namespaced: bool, definitions: impl Iterator<Item = &'a ColumnDefinition>) -> Vec<ColumnInfo> {
    let mut columns = Vec::new();
    if namespaced {
        columns.push(ColumnInfo::from(&Column::<Row>::NAMESPACE));
    }
    let mut taken: HashSet<String> = columns.iter().map(|column| column.id.to_string()).collect();
    for definition in definitions {
        let title = definition.name.to_uppercase();
        let name = definition.name.to_lowercase();
        // A definition may have a column twice, or one of its own called namespace.
        let mut id = name.clone();
        let mut copy = 2;
        while !taken.insert(id.clone()) {
            id = format!("{name}-{copy}");
            copy += 1;
        }
        let number = matches!(&*definition.r#type, "integer" | "number" | "date") || name == "age";
        columns.push(ColumnInfo {
            id: Cow::Owned(id),
            title,
            help: Cow::Owned(first_sentence(&definition.description).to_owned()),
            align: if number { Align::Right } else { Align::Left },
            wide: definition.priority > 0,
            rank: match &*name {
                "name" => 0,
                "age" => 1,
                // The server names what matters first.
                _ => u8::try_from(columns.len()).unwrap_or(9).clamp(2, 9),
            },
            joined: false,
            searched: !number && definition.r#type != "boolean",
            total: false,
            sentence: name == "message",
        });
    }
    columns
}

/// The API's descriptions are paragraphs.
fn first_sentence(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(". ").map_or(line, |(sentence, _)| sentence).trim_end_matches('.')
}

/// Rows on their way to the table, and the columns that they are made for.
#[derive(Default)]
struct Outbox {
    changes: Changes<Row>,
    columns: Option<Vec<ColumnInfo>>,
    reshaped: bool,
}

impl Outbox {
    fn change(
        &mut self,
        event: EventKind,
        meta: &wire::ObjectMeta,
        interner: &mut Interner,
        cells: impl FnOnce(&Meta, &mut Interner) -> Vec<Cell>,
    ) {
        let change = match event {
            EventKind::Present => {
                let kept = super::meta(meta, &mut self.changes.names, interner);
                let cells = cells(&kept, interner).into();
                Change::Upsert(kept, Row { cells })
            }
            EventKind::Deleted => Change::Remove(super::uid(meta)),
        };
        self.changes.changes.push(change);
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        let changes = std::mem::take(&mut self.changes);
        (changes.changes.len(), Box::new(changes))
    }
}
