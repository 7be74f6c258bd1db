//! Objects, lists and watch events as bytes, in the format and shape that was negotiated.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::negotiate::{Format, Shape};
use super::status::Status;
use crate::catalog::ResourceId;
use crate::encoding::schema::Schema;
use crate::encoding::wire;
use crate::object::Object;
use crate::print::table;
use crate::world::Change;

/// Pieces of a body are about this long.
const PIECE: usize = 256 * 1024;

/// How to write objects for one request.
#[derive(Debug, Clone)]
pub struct Render {
    pub resource: ResourceId,
    pub format: Format,
    pub shape: Shape,
    pub include: Include,
    /// For ages in tables, in seconds since 1970.
    pub now: i64,
    /// The columns of a table.
    pub columns: Arc<[table::Column]>,
    /// Frames encoded ahead.
    pub chunks: Arc<[Bytes]>,
}

/// `includeObject` of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    None,
    Metadata,
    Object,
}

/// A body in pieces, made when they are asked for.
pub type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// What stands at the head of a list.
#[derive(Debug, Clone, Default)]
pub struct ListMeta {
    pub version: u64,
    pub next: String,
    pub remaining: Option<usize>,
}

impl ListMeta {
    fn value(&self) -> Value {
        let mut value = json!({ "resourceVersion": self.version.to_string() });
        if !self.next.is_empty() {
            value["continue"] = self.next.clone().into();
        }
        if let Some(remaining) = self.remaining {
            value["remainingItemCount"] = remaining.into();
        }
        value
    }
}

const META: &str = "meta.k8s.io/v1";

impl Render {
    /// One object alone.
    pub fn object(&self, object: &Object) -> Vec<u8> {
        let mut out = Vec::new();
        match (self.format, self.shape) {
            (Format::Protobuf, _) => out = wire::unknown(&self.type_meta(), &self.message(object)),
            (Format::Yaml, _) => out = yaml(&Self { format: Format::Json, ..self.clone() }.object(object)),
            (Format::Json, Shape::Table) => {
                out = self
                    .table(&json!({ "resourceVersion": object.version.to_string() }), &[self.row(object)])
                    .to_string()
                    .into();
            }
            (Format::Json, _) => self.item(object, true, &mut out),
        }
        out
    }

    fn type_meta(&self) -> Vec<u8> {
        match self.shape {
            Shape::Metadata => wire::type_meta(META, "PartialObjectMetadata"),
            _ => self.resource.encoding().type_meta.clone(),
        }
    }

    /// The protobuf message of an object.
    fn message(&self, object: &Object) -> Vec<u8> {
        if self.shape == Shape::Metadata {
            let id = Schema::get().id("meta.v1.PartialObjectMetadata");
            return id.map(|id| wire::encode(id, &partial(object))).unwrap_or_default();
        }
        let mut out = Vec::new();
        object.write_message(|length, out| out.reserve(length), &mut out);
        out
    }

    /// Appends an object's JSON.
    fn item(&self, object: &Object, typed: bool, out: &mut Vec<u8>) {
        match self.shape {
            Shape::Whole => object.write_json(typed, out),
            Shape::Table => out.extend_from_slice(self.row(object).to_string().as_bytes()),
            Shape::Metadata => out.extend_from_slice(partial(object).to_string().as_bytes()),
        }
    }

    fn row(&self, object: &Object) -> Value {
        let value = object.value();
        let cells: Vec<_> = self.columns.iter().map(|column| column.cell(&value, self.now)).collect();
        match self.include {
            Include::None => json!({ "cells": cells, "object": null }),
            Include::Metadata => json!({ "cells": cells, "object": partial(object) }),
            Include::Object => json!({ "cells": cells, "object": value }),
        }
    }

    fn table(&self, metadata: &Value, rows: &[Value]) -> Value {
        json!({
            "kind": "Table", "apiVersion": META, "metadata": metadata,
            "columnDefinitions": self.columns.iter().map(table::Column::definition).collect::<Vec<_>>(), "rows": rows,
        })
    }

    /// A list of `objects`.
    pub fn list(&self, meta: &ListMeta, objects: Vec<Arc<Object>>) -> Pieces {
        match self.format {
            Format::Json => self.json_list(meta, objects),
            Format::Yaml => {
                let whole: Vec<_> = self.json_list(meta, objects).collect();
                Box::new(std::iter::once(yaml(&whole.concat()).into()))
            }
            Format::Protobuf => self.protobuf_list(meta, objects),
        }
    }

    fn json_list(&self, meta: &ListMeta, objects: Vec<Arc<Object>>) -> Pieces {
        let mut head = if self.shape == Shape::Table {
            self.table(&meta.value(), &[]).to_string()
        } else {
            // Written by hand so that the items come last.
            let (api_version, kind) = self.list_type();
            let meta = meta.value();
            format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{meta},\"items\":[]}}")
        };
        // A table's rows come last in the order of the alphabet.
        head.truncate(head.len() - 2);
        let render = self.clone();
        let mut objects = objects.into_iter().peekable();
        let mut out: Vec<u8> = head.into_bytes();
        let mut done = false;
        Box::new(std::iter::from_fn(move || {
            while !done && out.len() < PIECE {
                if let Some(object) = objects.next() {
                    render.item(&object, false, &mut out);
                    if objects.peek().is_some() {
                        out.push(b',');
                    }
                } else {
                    out.extend_from_slice(b"]}\n");
                    done = true;
                }
            }
            let piece = std::mem::take(&mut out);
            out.reserve(if done { 0 } else { PIECE + 32 * 1024 });
            (!piece.is_empty()).then(|| piece.into())
        }))
    }

    fn list_type(&self) -> (String, String) {
        match self.shape {
            Shape::Metadata => (META.to_owned(), "PartialObjectMetadataList".to_owned()),
            _ => (self.resource.api_version(), format!("{}List", self.resource.kind)),
        }
    }

    fn protobuf_list(&self, meta: &ListMeta, objects: Vec<Arc<Object>>) -> Pieces {
        let (api_version, kind) = self.list_type();
        let mut list_meta = Vec::new();
        if let Some(id) = Schema::get().id("meta.v1.ListMeta") {
            wire::delimited(1, &wire::encode(id, &meta.value()), &mut list_meta);
        }
        // The length of the whole stands at its head.
        let length = objects.iter().map(|object| wire::delimited_length(self.message_length(object))).sum::<usize>();
        let mut out = Vec::with_capacity(PIECE + 32 * 1024);
        wire::unknown_start(&wire::type_meta(&api_version, &kind), list_meta.len() + length, &mut out);
        out.extend_from_slice(&list_meta);
        let render = self.clone();
        let mut objects = objects.into_iter();
        let mut done = false;
        Box::new(std::iter::from_fn(move || {
            while !done && out.len() < PIECE {
                if let Some(object) = objects.next() {
                    render.list_item(&object, &mut out);
                } else {
                    out.extend_from_slice(wire::UNKNOWN_END);
                    done = true;
                }
            }
            let piece = std::mem::take(&mut out);
            out.reserve(if done { 0 } else { PIECE + 32 * 1024 });
            (!piece.is_empty()).then(|| piece.into())
        }))
    }

    /// The message encoded ahead.
    fn ready_message<'a>(&'a self, object: &Object) -> Option<&'a [u8]> {
        let ready = object.ready.as_ref().filter(|_| self.shape == Shape::Whole)?;
        self.chunks.get(ready.chunk as usize)?.get(ready.message())
    }

    fn message_length(&self, object: &Object) -> usize {
        match (self.ready_message(object), self.shape) {
            (Some(message), _) => message.len(),
            (None, Shape::Whole) => object.message_length(),
            (None, _) => self.message(object).len(),
        }
    }

    fn list_item(&self, object: &Object, out: &mut Vec<u8>) {
        if let Some(message) = self.ready_message(object) {
            wire::delimited(2, message, out);
        } else if self.shape == Shape::Whole {
            object.write_message(|length, out| wire::delimited_header(2, length, out), out);
        } else {
            wire::delimited(2, &self.message(object), out);
        }
    }

    /// Appends a watch event; `first` says that it is the first of its stream (a table's columns come with it).
    pub fn event(&self, change: Change, object: &Object, first: bool, out: &mut Vec<u8>) {
        match (self.format, self.shape) {
            (Format::Protobuf, Shape::Whole) => {
                let type_meta = &self.resource.encoding().type_meta;
                object.write_message(|length, out| wire::frame_start(change.name(), type_meta, length, out), out);
                out.extend_from_slice(wire::UNKNOWN_END);
            }
            (Format::Protobuf, _) => wire::frame(change.name(), &self.type_meta(), &self.message(object), out),
            (Format::Json | Format::Yaml, shape) => {
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(change.name().as_bytes());
                out.extend_from_slice(b"\",\"object\":");
                if shape == Shape::Table {
                    let table = self.event_table(object.version, self.row(object), first);
                    out.extend_from_slice(table.to_string().as_bytes());
                } else {
                    self.item(object, true, out);
                }
                out.extend_from_slice(b"}\n");
            }
        }
    }

    fn event_table(&self, version: u64, row: Value, first: bool) -> Value {
        let mut table = self.table(&json!({ "resourceVersion": version.to_string() }), &[row]);
        if !first {
            table["columnDefinitions"] = Value::Null;
        }
        table
    }

    /// The initial events of `objects`, as pieces.
    pub fn initial(&self, objects: Vec<Arc<Object>>) -> Pieces {
        let render = self.clone();
        let mut objects = objects.into_iter().peekable();
        let mut first = true;
        let whole = self.format == Format::Protobuf && self.shape == Shape::Whole;
        Box::new(std::iter::from_fn(move || {
            // Neighbours that lie ready go out as they lie, without a copy.
            if whole && let Some(ready) = objects.peek().and_then(|object| object.ready.clone()) {
                let mut end = ready.end;
                objects.next();
                while let Some(next) = objects.next_if(|next| {
                    next.ready.as_ref().is_some_and(|next| next.chunk == ready.chunk && next.start == end)
                }) {
                    end = next.ready.as_ref().map_or(end, |next| next.end);
                }
                first = false;
                return render
                    .chunks
                    .get(ready.chunk as usize)
                    .map(|chunk| chunk.slice(ready.start as usize..end as usize));
            }
            let mut out = Vec::new();
            while out.len() < PIECE
                && let Some(object) = objects.next_if(|object| !whole || object.ready.is_none())
            {
                if out.is_empty() {
                    out.reserve(PIECE / 8);
                }
                render.event(Change::Added, &object, first, &mut out);
                first = false;
            }
            (!out.is_empty()).then(|| out.into())
        }))
    }

    /// A bookmark as of `version`; `end` marks the end of the initial events.
    pub fn bookmark(&self, version: u64, end: bool, first: bool) -> Vec<u8> {
        let mut metadata = json!({ "resourceVersion": version.to_string(), });
        if end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let (api_version, kind) = match self.shape {
            Shape::Whole => (self.resource.api_version(), self.resource.kind),
            _ => (META.to_owned(), "PartialObjectMetadata"),
        };
        let object = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
        match (self.format, self.shape) {
            (Format::Protobuf, shape) => {
                let id = if shape == Shape::Whole {
                    self.resource.encoding().message
                } else {
                    Schema::get().id("meta.v1.PartialObjectMetadata")
                };
                let message = id.map(|id| wire::encode(id, &object)).unwrap_or_default();
                let mut out = Vec::new();
                wire::frame("BOOKMARK", &self.type_meta(), &message, &mut out);
                out
            }
            // The real server prints a row for the empty object of a bookmark.
            (Format::Json | Format::Yaml, Shape::Table) => {
                let cells: Vec<_> = self.columns.iter().map(|column| column.cell(&Value::Null, self.now)).collect();
                let row = json!({ "cells": cells, "object": object });
                line("BOOKMARK", &self.event_table(version, row, first))
            }
            (Format::Json | Format::Yaml, _) => line("BOOKMARK", &object),
        }
    }

    /// The ERROR event that ends a watch.
    pub fn error(&self, status: &Status) -> Vec<u8> {
        match self.format {
            Format::Json | Format::Yaml => line("ERROR", &status.value()),
            Format::Protobuf => {
                let mut out = Vec::new();
                wire::frame("ERROR", &wire::type_meta("v1", "Status"), &status_message(status), &mut out);
                out
            }
        }
    }

    /// A frame that no client can read.
    pub fn garbage(&self) -> Vec<u8> {
        match self.format {
            Format::Json | Format::Yaml => b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\xff\xfe\n".to_vec(),
            Format::Protobuf => [&64_u32.to_be_bytes()[..], &[0xff; 64]].concat(),
        }
    }
}

fn line(event: &str, object: &Value) -> Vec<u8> {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n").into_bytes()
}

/// JSON in another notation.
fn yaml(json: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    serde_saphyr::to_string(&value).unwrap_or_default().into_bytes()
}

fn partial(object: &Object) -> Value {
    let metadata = object.value()["metadata"].take();
    json!({ "kind": "PartialObjectMetadata", "apiVersion": META, "metadata": metadata })
}

fn status_message(status: &Status) -> Vec<u8> {
    Schema::get().id("meta.v1.Status").map(|id| wire::encode(id, &status.value())).unwrap_or_default()
}

/// A `Status` as the body of an answer.
pub fn status(status: &Status, format: Format) -> Vec<u8> {
    match format {
        Format::Json => format!("{}\n", status.value()).into_bytes(),
        Format::Yaml => yaml(status.value().to_string().as_bytes()),
        Format::Protobuf => wire::unknown(&wire::type_meta("v1", "Status"), &status_message(status)),
    }
}
