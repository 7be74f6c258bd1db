//! Custom resources by the printer columns of their definition: JSONPath on the objects themselves, cells equal to the
//! server's Table (`k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`), but dates stay instants
//! and numbers stay numbers. Where there is no definition to be had, or one that we cannot follow, the Table it is.

use std::{any::Any, fmt::Write as _};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Cell, ColumnDefinition, Outbox, columns,
    jsonpath::{Item, Path, PathError},
    table::TableDecoder,
};
use crate::{
    kinds::{ColumnInfo, DecodeError, Decoder, Encoding, EventKind, Form, KindInfo, wire::ObjectMeta},
    store::intern::Interner,
};

/// The part of a CustomResourceDefinition that says how its objects are printed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct CustomResourceDefinition {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Version {
    name: String,
    additional_printer_columns: Vec<PrinterColumn>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PrinterColumn {
    #[serde(flatten)]
    definition: ColumnDefinition,
    json_path: String,
}

/// One column after the name.
#[derive(Debug, PartialEq)]
struct Printer {
    definition: ColumnDefinition,
    path: Path,
}

/// Reads objects of one custom resource.
pub struct CustomDecoder {
    namespaced: bool,
    version: String,
    /// Path of the definition; `None` once it is known that there is none to be had.
    description: Option<String>,
    /// `None` while, or because, the definition is not known.
    printers: Option<Vec<Printer>>,
    outbox: Outbox,
    table: TableDecoder,
}

impl CustomDecoder {
    pub fn new(info: &KindInfo) -> Self {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}.{}", info.plural, info.group);
        Self {
            namespaced: info.namespaced,
            version: info.version.to_string(),
            description: Some(path),
            printers: None,
            outbox: Outbox::default(),
            table: TableDecoder::new(info.namespaced),
        }
    }

    fn read(&self, description: &[u8]) -> Result<Vec<Printer>, String> {
        let definition: CustomResourceDefinition =
            serde_json::from_slice(description).map_err(|error| error.to_string())?;
        let version = definition.spec.versions.into_iter().find(|version| version.name == self.version);
        let mut columns = version.ok_or("the definition lacks this version")?.additional_printer_columns;
        if columns.is_empty() {
            // What the server prints where a definition says nothing.
            columns.push(PrinterColumn {
                definition: ColumnDefinition { name: "Age".into(), r#type: "date".into(), ..Default::default() },
                json_path: ".metadata.creationTimestamp".into(),
            });
        }
        columns
            .into_iter()
            .map(|PrinterColumn { definition, json_path }| Ok(Printer { definition, path: Path::parse(&json_path)? }))
            .collect::<Result<_, PathError>>()
            .map_err(|error| error.to_string())
    }
}

impl Decoder for CustomDecoder {
    fn form(&self) -> Form {
        if self.printers.is_some() { Form::Json } else { Form::Table }
    }

    fn description(&self) -> Option<String> {
        self.description.clone()
    }

    fn describe(&mut self, description: Option<&[u8]>) {
        let Some(description) = description else {
            self.description = None;
            return;
        };
        match self.read(description) {
            Ok(printers) if self.printers.as_ref() == Some(&printers) => {}
            Ok(printers) => {
                let name = ColumnDefinition { name: "Name".into(), format: "name".into(), ..Default::default() };
                let definitions = std::iter::once(&name).chain(printers.iter().map(|printer| &printer.definition));
                self.outbox.columns = Some(columns(self.namespaced, definitions));
                self.outbox.reshaped = true;
                self.printers = Some(printers);
            }
            Err(why) => {
                tracing::warn!("{}: printed by the server: {why}", self.description.as_deref().unwrap_or_default());
                self.outbox.reshaped = self.printers.take().is_some();
                self.table = TableDecoder::new(self.namespaced);
            }
        }
    }

    fn object(
        &mut self,
        event: EventKind,
        encoding: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError> {
        let Some(printers) = &self.printers else { return self.table.object(event, encoding, object, interner) };
        let object: Json = serde_json::from_slice(&object).map_err(|error| DecodeError(error.to_string()))?;
        let meta = ObjectMeta::deserialize(&object["metadata"]).map_err(|error| DecodeError(error.to_string()))?;
        if meta.name.is_empty() {
            return Err(DecodeError("an object without a name".to_owned()));
        }
        let namespaced = self.namespaced;
        self.outbox.change(event, &meta, interner, |_, interner| {
            let mut cells = Vec::with_capacity(printers.len() + 2);
            if namespaced {
                cells.push(Cell::Namespace);
            }
            cells.push(Cell::Name);
            cells.extend(printers.iter().map(|printer| match printer.path.first(&object) {
                Some(item) => cell(&printer.definition.r#type, item, interner),
                None => Cell::Missing,
            }));
            cells
        });
        Ok(meta.resource_version)
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        if self.printers.is_some() { self.outbox.take() } else { self.table.take() }
    }

    fn pending(&self) -> usize {
        if self.printers.is_some() { self.outbox.changes.changes.len() } else { self.table.pending() }
    }

    fn columns(&mut self) -> Option<Vec<ColumnInfo>> {
        if self.printers.is_some() { self.outbox.columns.take() } else { self.table.columns() }
    }

    fn reshaped(&mut self) -> bool {
        std::mem::take(&mut self.outbox.reshaped) | self.table.reshaped()
    }
}

/// `cellForJSONValue`, and for strings `PrintResults`.
fn cell(r#type: &str, item: Item<'_>, interner: &mut Interner) -> Cell {
    match (r#type, item) {
        ("string", item) => Cell::text(&print(item), interner),
        ("integer", Item::Json(Json::Number(number))) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Cell::Int(number),
            (None, Some(number)) => whole(number),
            (None, None) => Cell::Missing,
        },
        ("integer", Item::Float(number)) => whole(number),
        ("number", Item::Json(Json::Number(number))) => number.as_f64().map_or(Cell::Missing, Cell::Float),
        ("number", Item::Float(number)) => Cell::Float(number),
        ("boolean", Item::Json(&Json::Bool(flag)) | Item::Bool(flag)) => Cell::Bool(flag),
        ("date", Item::Json(Json::String(text))) => date(text, interner),
        ("date", Item::Text(text)) => date(text, interner),
        _ => Cell::Missing,
    }
}

fn whole(number: f64) -> Cell {
    #[expect(clippy::cast_possible_truncation, reason = "as the server does")]
    Cell::Int(number as i64)
}

fn date(text: &str, interner: &mut Interner) -> Cell {
    match text {
        "" | "null" => Cell::text("<unknown>", interner),
        _ if !is_rfc3339(text) => Cell::text("<invalid>", interner),
        _ if text.starts_with("0001-01-01T00:00:00") => Cell::text("<unknown>", interner),
        _ => match text.parse::<Timestamp>() {
            Ok(instant) => Cell::Since(instant.as_second()),
            Err(_) => Cell::text("<invalid>", interner),
        },
    }
}

/// Go's `time.RFC3339` and no other of the many ways to write a time.
fn is_rfc3339(text: &str) -> bool {
    let like = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                wanted => byte == wanted,
            })
    };
    let (Some(head), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let zone = rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|next: char| next.is_ascii_digit()));
    let zoned = zone == "Z" || like(zone, "+00:00") || like(zone, "-00:00");
    like(head, "0000-00-00T00:00:00") && zoned && !rest.starts_with(".Z")
}

/// A value as Go prints it: texts as they are, numbers by `%v`, objects and lists as JSON.
pub(super) fn print(item: Item<'_>) -> String {
    match item {
        Item::Text(text) => text.to_owned(),
        Item::Int(number) => number.to_string(),
        Item::Float(number) => float(number),
        Item::Bool(flag) => flag.to_string(),
        Item::Json(Json::Null) => "<no value>".to_owned(),
        Item::Json(Json::String(text)) => text.clone(),
        Item::Json(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (None, Some(number)) => float(number),
            _ => number.to_string(),
        },
        Item::Json(value) => {
            let mut text = String::new();
            marshal(value, &mut text);
            text
        }
    }
}

/// Go's `%v` of a float64: the shortest digits, with an exponent from 1e21 on in JSON but from 1e+06 on here.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => number.to_string(),
    }
}

/// Go's `json.Marshal`: keys in order, and what could be HTML escaped.
fn marshal(value: &Json, text: &mut String) {
    match value {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                quote(name, text);
                text.push(':');
                marshal(value, text);
            }
            text.push('}');
        }
        Json::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                marshal(element, text);
            }
            text.push(']');
        }
        Json::String(string) => quote(string, text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (None, Some(number)) if number != 0.0 && !(1e-6..1e21).contains(&number.abs()) => {
                let scientific = format!("{number:e}");
                text.push_str(&if number.abs() >= 1e21 { scientific.replace('e', "e+") } else { scientific });
            }
            (None, Some(number)) => text.push_str(&number.to_string()),
            _ => text.push_str(&number.to_string()),
        },
        Json::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Json::Null => text.push_str("null"),
    }
}

fn quote(string: &str, text: &mut String) {
    text.push('"');
    for next in string.chars() {
        match next {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing into a String cannot fail.
                let _ = write!(text, "\\u{:04x}", next as u32);
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        kinds::generic::Row,
        store::table::{Change, Changes},
    };

    fn of(r#type: &str, value: &Json) -> Cell {
        cell(r#type, Item::Json(value), &mut Interner::default())
    }

    #[test]
    fn cells_are_typed_as_the_server_types_them() {
        for (r#type, value, expected) in [
            ("integer", json!(42), Cell::Int(42)),
            ("integer", json!(3.25), Cell::Int(3)),
            ("integer", json!(true), Cell::Missing),
            ("integer", json!("foo"), Cell::Missing),
            ("integer", json!([1]), Cell::Missing),
            ("number", json!(42), Cell::Float(42.0)),
            ("number", json!(3.25), Cell::Float(3.25)),
            ("number", json!(true), Cell::Missing),
            ("number", json!("foo"), Cell::Missing),
            ("boolean", json!(42), Cell::Missing),
            ("boolean", json!(true), Cell::Bool(true)),
            ("boolean", json!("foo"), Cell::Missing),
            ("date", json!(42), Cell::Missing),
            ("date", json!(true), Cell::Missing),
            ("date", json!("2026-01-31T12:00:00Z"), Cell::Since(1_769_860_800)),
            ("date", json!("2026-01-31T13:00:00.25+01:00"), Cell::Since(1_769_860_800)),
            ("unknown", json!("foo"), Cell::Missing),
        ] {
            assert_eq!(of(r#type, &value), expected, "{value} as {type}");
        }
        let mut interner = Interner::default();
        for (text, shown) in [
            ("", "<unknown>"),
            ("0001-01-01T00:00:00Z", "<unknown>"),
            ("yesterday", "<invalid>"),
            ("2026-01-31", "<invalid>"),
            ("2026-01-31T12:00:00", "<invalid>"),
            ("2026-01-31 12:00:00Z", "<invalid>"),
            ("2026-13-31T12:00:00Z", "<invalid>"),
            ("2026-01-31T12:00:00.Z", "<invalid>"),
        ] {
            assert_eq!(date(text, &mut interner), Cell::text(shown, &mut interner), "{text:?}");
        }
    }

    #[test]
    fn text_is_printed_as_go_prints_it() {
        for (value, text) in [
            (json!(null), "<no value>"),
            (json!(true), "true"),
            (json!(1), "1"),
            (json!(1.0), "1"),
            (json!(0.1), "0.1"),
            (json!(100_000.5), "100000.5"),
            (json!(1_234_567.5), "1.2345675e+06"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1.5e21), "1.5e+21"),
            (json!(-2.5e-9), "-2.5e-09"),
            (json!(u64::MAX), "1.8446744073709552e+19"),
            (json!(["foo"]), r#"["foo"]"#),
            (
                json!({"b": "<a>&\u{2028}\t\u{1}é\"\\/", "a": null}),
                r#"{"a":null,"b":"\u003ca\u003e\u0026\u2028\t\u0001é\"\\/"}"#,
            ),
            (
                json!([0.0, 1_234_567.5, 1e21, 1.5e-7, 1e20, u64::MAX]),
                "[0,1234567.5,1e+21,1.5e-7,100000000000000000000,18446744073709552000]",
            ),
        ] {
            assert_eq!(print(Item::Json(&value)), text);
        }
    }

    fn decoder(columns: &Json) -> CustomDecoder {
        let mut decoder = CustomDecoder {
            namespaced: true,
            version: "v1".to_owned(),
            description: Some("/crd".to_owned()),
            printers: None,
            outbox: Outbox::default(),
            table: TableDecoder::new(true),
        };
        decoder.describe(Some(&definition(columns)));
        decoder
    }

    fn definition(columns: &Json) -> Vec<u8> {
        let versions = json!([{"name": "v1", "additionalPrinterColumns": columns}, {"name": "v2"}]);
        json!({"spec": {"versions": versions}}).to_string().into_bytes()
    }

    fn row(decoder: &mut CustomDecoder, interner: &mut Interner, object: &Json) -> Row {
        let object = Bytes::from(object.to_string());
        decoder.object(EventKind::Present, Encoding::Json, object, interner).unwrap();
        let (_, changes) = decoder.take();
        let mut changes = changes.downcast::<Changes<Row>>().unwrap();
        match changes.changes.pop() {
            Some(Change::Upsert(_, row)) => row,
            other => panic!("{other:?}"),
        }
    }

    /// `Test_convertor_ConvertToTable`: only the first of several results is printed.
    #[test]
    fn objects_are_printed_by_their_definition() {
        let column = |name: &str, r#type: &str, path: &str| json!({"name": name, "type": r#type, "jsonPath": path});
        let mut decoder = decoder(&json!([
            column("valueOnly", "string", ".spec.servers[0].hosts[0]"),
            column("single1", "string", ".spec.servers[0].hosts"),
            column("multi", "string", ".spec.servers[*].hosts"),
            column("number", "integer", ".spec.foo[0].bar[0]"),
            column("numbers", "integer", ".spec.foo[*].bar"),
            column("missing", "string", ".spec.none.there"),
            column("beyond", "string", ".spec.servers[7].hosts"),
            column("Age", "date", ".metadata.creationTimestamp"),
        ]));
        assert_eq!(decoder.form(), Form::Json);
        let ids: Vec<_> = decoder.columns().unwrap().into_iter().map(|column| column.id).collect();
        assert_eq!(
            ids,
            ["namespace", "name", "valueonly", "single1", "multi", "number", "numbers", "missing", "beyond", "age"]
        );
        let mut interner = Interner::default();
        let object = json!({
            "metadata": {"name": "blah", "namespace": "n", "creationTimestamp": "2026-01-31T12:00:00Z"},
            "spec": {"servers": [{"hosts": ["foo"]}, {"hosts": ["bar", "baz"]}], "foo": [{"bar": [1]}, {"bar": [2, 3]}]},
        });
        let row = row(&mut decoder, &mut interner, &object);
        let mut text = |text| Cell::text(text, &mut interner);
        assert_eq!(
            row.cells[..],
            [
                Cell::Namespace,
                Cell::Name,
                text("foo"),
                text(r#"["foo"]"#),
                text(r#"["foo"]"#),
                Cell::Int(1),
                Cell::Missing,
                Cell::Missing,
                Cell::Missing,
                Cell::Since(1_769_860_800),
            ]
        );
    }

    #[test]
    fn a_definition_that_changes_asks_for_a_new_list() {
        let one = json!([{"name": "One", "type": "string", "jsonPath": ".one"}]);
        let mut decoder = decoder(&one);
        assert!(decoder.reshaped() && decoder.columns().is_some());
        decoder.describe(Some(&definition(&one)));
        assert!(!decoder.reshaped() && decoder.columns().is_none());
        decoder.describe(Some(&definition(&json!([]))));
        assert!(decoder.reshaped());
        let ids: Vec<_> = decoder.columns().unwrap().into_iter().map(|column| column.id).collect();
        assert_eq!(ids, ["namespace", "name", "age"], "the server's default");
    }

    #[test]
    fn what_cannot_be_evaluated_is_printed_by_the_server() {
        let mut decoder = decoder(&json!([{"name": "Odd", "type": "string", "jsonPath": ".a}{.b"}]));
        assert_eq!(decoder.form(), Form::Table);
        assert!(decoder.description().is_some(), "it may change");
        decoder.describe(None);
        assert_eq!(decoder.description(), None);
    }
}
