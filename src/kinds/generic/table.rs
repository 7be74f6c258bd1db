//! `meta.k8s.io/v1` Table: the server prints, we keep what it printed as typed cells. Texts that a server prints from
//! the clock go stale in a table that is only sent again when an object changes; ages are kept as instants.
//!
//! A server that does not know Tables (an old aggregated one) answers with plain objects: those have name and age.

use std::any::Any;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Cell, ColumnDefinition, Outbox, columns};
use crate::{
    kinds::{
        ColumnInfo, DecodeError, Decoder, Encoding, EventKind, Form,
        wire::{ObjectMeta, text},
    },
    store::intern::Interner,
    util::age,
};

/// A Table, a list or an object: whatever came. `metadata` is a ListMeta or an ObjectMeta.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    kind: String,
    metadata: Option<ObjectMeta>,
    column_definitions: Option<Vec<ColumnDefinition>>,
    rows: Option<Vec<TableRow>>,
    items: Option<Vec<Object>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TableRow {
    cells: Vec<Json>,
    object: Option<Object>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    metadata: Option<ObjectMeta>,
}

/// Reads Tables of one kind.
pub struct TableDecoder {
    namespaced: bool,
    definitions: Vec<ColumnDefinition>,
    outbox: Outbox,
}

impl TableDecoder {
    pub fn new(namespaced: bool) -> Self {
        Self { namespaced, definitions: Vec::new(), outbox: Outbox::default() }
    }

    /// Takes over the columns of an answer; only the first one of a stream has any.
    fn define(&mut self, definitions: Vec<ColumnDefinition>) {
        if definitions.is_empty() || definitions == self.definitions {
            return;
        }
        self.outbox.reshaped = !self.definitions.is_empty();
        self.outbox.columns = Some(columns(self.namespaced, definitions.iter()));
        self.definitions = definitions;
    }

    fn row(&mut self, event: EventKind, row: TableRow, interner: &mut Interner) -> Result<(), DecodeError> {
        let mut meta = row.object.and_then(|object| object.metadata).unwrap_or_default();
        if meta.name.is_empty() {
            // Rows need not come with their object; the name is printed all the same.
            let name = self.definitions.iter().zip(&row.cells).find(|(column, _)| is_name(column));
            let Some(name) = name.and_then(|(_, cell)| cell.as_str()) else {
                return Err(DecodeError("a row without a name".to_owned()));
            };
            meta.name = Bytes::copy_from_slice(name.as_bytes());
        }
        let Self { namespaced, definitions, outbox } = self;
        outbox.change(event, &meta, interner, |kept, interner| {
            let mut cells = Vec::with_capacity(definitions.len() + 1);
            if *namespaced {
                cells.push(Cell::Namespace);
            }
            let name = text(&meta.name);
            let printed = definitions.iter().zip(row.cells.iter().map(Some).chain(std::iter::repeat(None)));
            cells.extend(printed.map(|(definition, cell)| match cell {
                Some(Json::String(cell)) if is_name(definition) && *cell == name => Cell::Name,
                Some(_) if definition.name == "Age" && kept.created != 0 => Cell::Created,
                Some(cell) => read(definition, cell, interner),
                None => Cell::Missing,
            }));
            cells
        });
        Ok(())
    }

    /// Objects in place of rows.
    fn object(&mut self, event: EventKind, object: Object, interner: &mut Interner) -> Result<(), DecodeError> {
        self.define(vec![
            ColumnDefinition { name: "Name".into(), format: "name".into(), ..ColumnDefinition::default() },
            ColumnDefinition { name: "Age".into(), r#type: "date".into(), ..ColumnDefinition::default() },
        ]);
        let name = object.metadata.as_ref().map(|meta| text(&meta.name).into_owned()).unwrap_or_default();
        self.row(event, TableRow { cells: vec![Json::String(name), Json::Null], object: Some(object) }, interner)
    }
}

fn is_name(definition: &ColumnDefinition) -> bool {
    definition.format == "name" || definition.name == "Name"
}

/// A printed cell, typed as its column says.
fn read(definition: &ColumnDefinition, cell: &Json, interner: &mut Interner) -> Cell {
    match cell {
        Json::Null => Cell::Missing,
        Json::Bool(flag) => Cell::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Cell::Int(number),
            (None, Some(number)) => Cell::Float(number),
            (None, None) => Cell::Missing,
        },
        Json::String(text) if definition.r#type == "date" => match age::parse(text) {
            Some(seconds) => Cell::Since(Timestamp::now().as_second() - seconds),
            None => Cell::text(text, interner),
        },
        Json::String(text) => Cell::text(text, interner),
        // No server prints these; as kubectl would show them.
        other => Cell::text(&other.to_string(), interner),
    }
}

impl Decoder for TableDecoder {
    fn form(&self) -> Form {
        Form::Table
    }

    fn object(
        &mut self,
        event: EventKind,
        _: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError> {
        let answer: Answer = serde_json::from_slice(&object).map_err(|error| DecodeError(error.to_string()))?;
        let mut version = answer.metadata.as_ref().map(|meta| meta.resource_version.clone()).unwrap_or_default();
        if answer.kind == "Table" {
            self.define(answer.column_definitions.unwrap_or_default());
            for row in answer.rows.unwrap_or_default() {
                if version.is_empty()
                    && let Some(meta) = row.object.as_ref().and_then(|object| object.metadata.as_ref())
                {
                    version = meta.resource_version.clone();
                }
                self.row(event, row, interner)?;
            }
        } else if let Some(items) = answer.items {
            for item in items {
                self.object(event, item, interner)?;
            }
        } else {
            self.object(event, Object { metadata: answer.metadata }, interner)?;
        }
        Ok(version)
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        self.outbox.take()
    }

    fn pending(&self) -> usize {
        self.outbox.changes.changes.len()
    }

    fn columns(&mut self) -> Option<Vec<ColumnInfo>> {
        self.outbox.columns.take()
    }

    fn reshaped(&mut self) -> bool {
        std::mem::take(&mut self.outbox.reshaped)
    }
}
