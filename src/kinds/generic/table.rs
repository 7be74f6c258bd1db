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
    fn plain(&mut self, event: EventKind, object: Object, interner: &mut Interner) -> Result<(), DecodeError> {
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
                self.plain(event, item, interner)?;
            }
        } else {
            self.plain(event, Object { metadata: answer.metadata }, interner)?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        kinds::generic::Row,
        store::table::{Change, Changes, Uid},
    };

    fn feed(
        decoder: &mut TableDecoder,
        interner: &mut Interner,
        event: EventKind,
        answer: &Json,
    ) -> (Bytes, Changes<Row>) {
        let version = decoder.object(event, Encoding::Json, Bytes::from(answer.to_string()), interner).unwrap();
        (version, *decoder.take().1.downcast::<Changes<Row>>().unwrap())
    }

    fn leases(rows: &Json) -> Json {
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"},
            "columnDefinitions": [
                {"name": "Name", "type": "string", "format": "name", "description": "The name. Of it.", "priority": 0},
                {"name": "Holder", "type": "string", "format": "", "description": "", "priority": 0},
                {"name": "Count", "type": "integer", "format": "", "description": "", "priority": 1},
                {"name": "Seen", "type": "date", "format": "", "description": "", "priority": 0},
                {"name": "Age", "type": "string", "format": "", "description": "", "priority": 0},
            ],
            "rows": rows,
        })
    }

    fn row(name: &str, cells: &Json) -> Json {
        let uid = "00000000-0000-0000-0000-0000000000ff";
        let metadata = json!({"name": name, "namespace": "n", "uid": uid, "creationTimestamp": "2026-01-31T12:00:00Z"});
        json!({"cells": cells, "object": {"kind": "PartialObjectMetadata", "metadata": metadata}})
    }

    #[test]
    fn a_table_becomes_typed_cells_under_its_own_columns() {
        let (mut decoder, mut interner) = (TableDecoder::new(true), Interner::default());
        let long = "x".repeat(100);
        let table = leases(&json!([
            row("a", &json!(["a", "robot", 3, "5m", "2d"])),
            row("gp3", &json!(["gp3 (default)", long, null, "<unknown>"])),
        ]));
        let before = Timestamp::now().as_second() - 300;
        let (version, changes) = feed(&mut decoder, &mut interner, EventKind::Present, &table);
        assert_eq!(version, "7");
        let columns = decoder.columns().unwrap();
        let ids: Vec<_> = columns.iter().map(|column| (&*column.id, column.wide)).collect();
        assert_eq!(
            ids,
            [
                ("namespace", false),
                ("name", false),
                ("holder", false),
                ("count", true),
                ("seen", false),
                ("age", false)
            ]
        );
        assert_eq!((&*columns[1].help, &*columns[2].title), ("The name", "HOLDER"));
        let Change::Upsert(meta, first) = &changes.changes[0] else { panic!("a row") };
        assert_eq!(
            (meta.name.of(&changes.names), interner.get(meta.namespace), meta.created),
            ("a", "n", 1_769_860_800)
        );
        let robot = interner.text("robot");
        assert_eq!(first.cells[..4], [Cell::Namespace, Cell::Name, Cell::Shared(robot), Cell::Int(3)]);
        assert!(matches!(first.cells[4], Cell::Since(at) if (before..=before + 60).contains(&at)), "{:?}", first.cells);
        assert_eq!(first.cells[5], Cell::Created, "it goes on by itself");
        let Change::Upsert(_, second) = &changes.changes[1] else { panic!("a row") };
        let texts = ["gp3 (default)", "<unknown>"].map(|text| Cell::Shared(interner.text(text)));
        assert_eq!(second.cells[1], texts[0], "as it is printed, and not as it is called");
        assert_eq!(second.cells[2..5], [Cell::Text(long.into()), Cell::Missing, texts[1].clone()]);
        assert_eq!(second.cells[5], Cell::Missing, "a cell too few");
    }

    #[test]
    fn later_events_have_no_columns_and_other_columns_ask_for_a_new_list() {
        let (mut decoder, mut interner) = (TableDecoder::new(true), Interner::default());
        let mut table = leases(&json!([row("a", &json!(["a", "robot", 3, "5m", "2d"]))]));
        feed(&mut decoder, &mut interner, EventKind::Present, &table);
        decoder.columns();
        table["columnDefinitions"] = json!(null);
        let (_, changes) = feed(&mut decoder, &mut interner, EventKind::Deleted, &table);
        let uid = Uid::parse(b"00000000-0000-0000-0000-0000000000ff");
        assert!(matches!(changes.changes[..], [Change::Remove(gone)] if gone == uid), "{changes:?}");
        assert!(decoder.columns().is_none() && !decoder.reshaped());
        table["columnDefinitions"] = json!([{"name": "Name", "type": "string", "format": "name"}]);
        feed(&mut decoder, &mut interner, EventKind::Present, &table);
        assert_eq!(decoder.columns().map(|columns| columns.len()), Some(2));
        assert!(decoder.reshaped() && !decoder.reshaped(), "told once");
    }

    #[test]
    fn rows_without_their_objects_are_known_by_name() {
        let (mut decoder, mut interner) = (TableDecoder::new(false), Interner::default());
        let table = leases(&json!([{"cells": ["a", "robot", 3, "5m", "2d"], "object": null}]));
        let (_, changes) = feed(&mut decoder, &mut interner, EventKind::Present, &table);
        let Change::Upsert(meta, row) = &changes.changes[0] else { panic!("a row") };
        assert_eq!((meta.name.of(&changes.names), meta.uid), ("a", Uid::hashed(&[b"", b"a"])));
        assert_eq!(row.cells[4], Cell::Shared(interner.text("2d")), "there is no instant to count from");
        let nameless = leases(&json!([{"cells": [], "object": null}]));
        let nameless = Bytes::from(nameless.to_string());
        assert!(decoder.object(EventKind::Present, Encoding::Json, nameless, &mut interner).is_err());
    }

    #[test]
    fn a_server_without_tables_gives_names_and_ages() {
        let (mut decoder, mut interner) = (TableDecoder::new(true), Interner::default());
        let object = |name: &str| json!({"metadata": {"name": name, "namespace": "n", "creationTimestamp": "2026-01-31T12:00:00Z"}});
        let list =
            json!({"kind": "ThingList", "metadata": {"resourceVersion": "9"}, "items": [object("a"), object("b")]});
        let (version, changes) = feed(&mut decoder, &mut interner, EventKind::Present, &list);
        assert_eq!((&*version, changes.changes.len()), (&b"9"[..], 2));
        let ids: Vec<_> = decoder.columns().unwrap().into_iter().map(|column| column.id).collect();
        assert_eq!(ids, ["namespace", "name", "age"]);
        let (_, changes) = feed(&mut decoder, &mut interner, EventKind::Present, &object("c"));
        let Change::Upsert(_, row) = &changes.changes[0] else { panic!("a row") };
        assert_eq!(row.cells[..], [Cell::Namespace, Cell::Name, Cell::Created]);
    }

    #[test]
    fn ids_are_unique_whatever_the_columns_are_called() {
        let column = |name: &str| ColumnDefinition { name: name.to_owned(), ..ColumnDefinition::default() };
        let definitions = ["Name", "Namespace", "NAME", "Name"].map(column);
        let ids: Vec<_> = columns(true, definitions.iter()).into_iter().map(|column| column.id).collect();
        assert_eq!(ids, ["namespace", "name", "namespace-2", "name-2", "name-3"]);
    }
}
