//! Columns of server-side tables and how a cell is made.

use serde_json::{Value, json};

use super::printers;
use crate::util::age;

/// One column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `string`, `integer` …, as OpenAPI names it.
    pub kind: String,
    pub format: String,
    /// 1: only in wide output.
    pub priority: i64,
    pub description: String,
    pub cell: Cell,
}

/// Where a cell comes from.
#[derive(Debug, Clone)]
pub enum Cell {
    /// A JSONPath of a custom resource's printer column.
    Path(String),
    /// A JSONPath to a time, shown as its age.
    Since(String),
    Print(fn(&Value, i64) -> Value),
}

impl Column {
    pub fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format, "priority": self.priority,
            "description": self.description,
        })
    }

    /// The cell of `object` at the time `now`.
    pub fn cell(&self, object: &Value, now: i64) -> Value {
        match &self.cell {
            // Texts that are not there are empty.
            Cell::Print(print) => match print(object, now) {
                Value::Null if self.kind == "string" => "".into(),
                cell => cell,
            },
            Cell::Since(path) => match find(object, path).first().and_then(|time| time.as_str()) {
                Some(time) => since(time, now).into(),
                None => "<unknown>".into(),
            },
            Cell::Path(path) => match (find(object, path).as_slice(), self.kind.as_str()) {
                ([], _) => Value::Null,
                ([Value::Number(number), ..], "integer" | "number") => number.clone().into(),
                ([Value::Bool(value), ..], "boolean") => (*value).into(),
                ([first, ..], _) => plain(first).into(),
            },
        }
    }
}

/// How long ago an RFC 3339 time was.
pub fn since(time: &str, now: i64) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => age::human(now - time.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values at a JSONPath of the kind that printer columns use: `.a.b`, `[0]`, `[*]`, `[?(@.a=="b")]`, `['a.b']`.
fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() && !found.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').unwrap_or(inner.len());
            let (step, after) = (&inner[..end], inner.get(end + 1..).unwrap_or_default());
            found = found.into_iter().flat_map(|value| bracket(value, step)).collect();
            rest = after;
        } else {
            let inner = rest.strip_prefix('.').unwrap_or(rest);
            let mut end = 0;
            while let Some(at) = inner[end..].find(['.', '[']) {
                // An escaped dot belongs to the name.
                if at == 0 || !inner[..end + at].ends_with('\\') {
                    end += at;
                    break;
                }
                end += at + 1;
            }
            if end == 0 || !inner[end..].starts_with(['.', '[']) {
                end = inner.len();
            }
            let name = inner[..end].replace('\\', "");
            found = found.into_iter().filter_map(|value| value.get(&name)).collect();
            rest = &inner[end..];
        }
    }
    found
}

fn bracket<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    let elements = || value.as_array().into_iter().flatten();
    if step == "*" {
        return elements().collect();
    }
    if let Ok(at) = step.parse::<usize>() {
        return value.get(at).into_iter().collect();
    }
    if let Some(condition) = step.strip_prefix("?(@.").and_then(|step| step.strip_suffix(')'))
        && let Some((name, wanted)) = condition.split_once("==")
    {
        let wanted = wanted.trim().trim_matches(['"', '\'']);
        return elements().filter(|element| element[name.trim()] == wanted).collect();
    }
    value.get(step.trim_matches(['"', '\''])).into_iter().collect()
}

/// The columns of a built-in kind.
pub fn built_in(resource: crate::catalog::ResourceId) -> Vec<Column> {
    printers::columns(resource)
}

/// The columns of a custom resource, from its definition.
pub fn of_definition(definition: &Value, version: &str) -> Vec<Column> {
    let mut columns = vec![name_column()];
    let versions = definition["spec"]["versions"].as_array();
    let printed =
        versions.into_iter().flatten().find(|one| one["name"] == version).map(|one| &one["additionalPrinterColumns"]);
    for column in printed.and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        let path = text("jsonPath");
        columns.push(Column {
            name: text("name"),
            format: text("format"),
            priority: column["priority"].as_i64().unwrap_or(0),
            description: text("description"),
            cell: if column["type"] == "date" { Cell::Since(path) } else { Cell::Path(path) },
            kind: text("type"),
        });
    }
    if columns.len() == 1 {
        columns.push(age_column());
    }
    columns
}

pub fn name_column() -> Column {
    Column {
        name: "Name".into(),
        kind: "string".into(),
        format: "name".into(),
        priority: 0,
        description: "Name must be unique within a namespace.".into(),
        cell: Cell::Print(|object, _| object["metadata"]["name"].as_str().unwrap_or_default().into()),
    }
}

pub fn age_column() -> Column {
    Column {
        name: "Age".into(),
        kind: "string".into(),
        format: String::new(),
        priority: 0,
        description: "CreationTimestamp is a timestamp representing the server time when this object was created."
            .into(),
        cell: Cell::Since(".metadata.creationTimestamp".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printer_columns_find_their_values() {
        let object = json!({
            "spec": { "list": [{ "m": "a" }, { "m": "b" }], "n": 3 },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            "metadata": { "labels": { "a.b/c": "x" } },
        });
        for (path, expected) in [
            (".spec.n", "3"),
            (".spec.list[1].m", "b"),
            (".spec.list[*].m", "a b"),
            (".status.conditions[?(@.type==\"Ready\")].status", "True"),
            (".metadata.labels['a.b/c']", "x"),
            (".metadata.labels.a\\.b/c", "x"),
            (".spec.missing.x", ""),
        ] {
            let found: Vec<_> = find(&object, path).into_iter().map(plain).collect();
            assert_eq!(found.join(" "), expected, "{path}");
        }
    }
}
