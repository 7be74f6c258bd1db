//! OpenAPI v3: what kubectl reads before it applies, and what it explains. Made from the schema; nothing is described.

use serde_json::{Map, Value, json};

use crate::catalog::{ALL, Resource};
use crate::encoding::schema::{Arity, Field, Message, MessageId, Schema, Type};
use crate::encoding::wire;

/// The document of `api/v1`, `apis/apps/v1` and so on; of nothing: which there are.
pub fn document(path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(index());
    }
    let own: Vec<&Resource> = ALL.iter().filter(|resource| place(resource) == path).collect();
    if own.is_empty() {
        return None;
    }
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for resource in own {
        kind(resource, &mut schemas);
        let (list, one) = operations(resource);
        let namespace = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let root = format!("/{path}{namespace}/{}", resource.plural);
        paths.insert(format!("{root}/{{name}}"), one);
        if resource.namespaced {
            paths.insert(format!("/{path}/{}", resource.plural), list.clone());
        }
        paths.insert(root, list);
    }
    Some(json!({
        "openapi": "3.0.0", "info": { "title": TITLE, "version": VERSION }, "paths": paths,
        "components": { "schemas": schemas },
    }))
}

pub const OLD_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const TITLE: &str = "Kubernetes";
const VERSION: &str = "v1.34.2";

/// OpenAPI v2, without anything in it: kubectl looks there for what it did not find in v3.
pub fn old() -> Value {
    json!({ "swagger": "2.0", "info": { "title": TITLE, "version": VERSION }, "paths": {}, "definitions": {} })
}

/// The same in protobuf (`gnostic.openapi.v2.Document`).
pub fn old_message() -> Vec<u8> {
    let (mut info, mut out) = (Vec::new(), Vec::new());
    wire::delimited(1, TITLE.as_bytes(), &mut info);
    wire::delimited(2, VERSION.as_bytes(), &mut info);
    wire::delimited(1, b"2.0", &mut out);
    wire::delimited(2, &info, &mut out);
    out
}

fn place(resource: &Resource) -> String {
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", resource.api_version())
}

fn index() -> Value {
    let paths: Map<_, _> = ALL
        .iter()
        .map(|resource| {
            let place = place(resource);
            // Nothing of it ever changes.
            let url = format!("/openapi/v3/{place}?hash=1");
            (place, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

fn type_of(resource: &Resource) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": resource.kind })
}

/// What can be asked of a list, and of one object. kubectl looks for the parameters of PATCH.
fn operations(resource: &Resource) -> (Value, Value) {
    let of = type_of(resource);
    let schema = json!({ "$ref": reference(&name_of(resource)) });
    let answer = json!({ "200": { "description": "OK", "content": { "application/json": { "schema": schema } } } });
    let parameters: Vec<_> = ["dryRun", "fieldManager", "fieldValidation", "force"]
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } }))
        .collect();
    let read = |action: &str| json!({ "x-kubernetes-action": action, "x-kubernetes-group-version-kind": of, "responses": answer });
    let write = |action: &str| {
        let mut write = read(action);
        write["parameters"] = parameters.clone().into();
        write
    };
    (
        json!({ "get": read("list"), "post": write("post") }),
        json!({ "get": read("get"), "patch": write("patch"), "put": write("put"), "delete": read("delete") }),
    )
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// The name of the schema of a kind.
fn name_of(resource: &Resource) -> String {
    match resource.message() {
        "" => {
            let reversed: Vec<_> = resource.group.rsplit('.').collect();
            format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind)
        }
        message => long(message),
    }
}

/// `io.k8s.api.core.v1.Pod` of `core.v1.Pod`.
fn long(message: &str) -> String {
    let package = match message.split('.').next() {
        Some("meta") => "io.k8s.apimachinery.pkg.apis",
        Some("apiextensions") => "io.k8s.apiextensions-apiserver.pkg.apis",
        Some("apiregistration") => "io.k8s.kube-aggregator.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{package}.{message}")
}

fn kind(resource: &Resource, schemas: &mut Map<String, Value>) {
    let name = name_of(resource);
    let mut schema = match Schema::get().id(resource.message()) {
        Some(id) => {
            add(id, schemas);
            schemas.get(&name).cloned().unwrap_or_default()
        }
        None => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {} }),
    };
    schema["x-kubernetes-group-version-kind"] = json!([type_of(resource)]);
    for field in ["apiVersion", "kind"] {
        schema["properties"][field] = json!({ "type": "string" });
    }
    schemas.insert(name, schema);
}

/// Adds a message and all that it is made of.
fn add(id: MessageId, schemas: &mut Map<String, Value>) {
    let message = Schema::get().message(id);
    let name = long(message.name);
    if schemas.contains_key(&name) {
        return;
    }
    schemas.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    fields(message, &mut properties, schemas);
    schemas.insert(name, json!({ "type": "object", "properties": properties }));
}

fn fields(message: &'static Message, properties: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
    for field in &message.fields {
        match field.kind {
            Type::Message(inner) if field.name.is_empty() => fields(Schema::get().message(inner), properties, schemas),
            _ => {
                properties.insert(field.name.to_owned(), property(field, schemas));
            }
        }
    }
}

fn property(field: &Field, schemas: &mut Map<String, Value>) -> Value {
    let one = match field.kind {
        Type::String | Type::Duration => json!({ "type": "string" }),
        Type::Bytes => json!({ "type": "string", "format": "byte" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int => json!({ "type": "integer", "format": "int32" }),
        Type::Long => json!({ "type": "integer", "format": "int64" }),
        Type::Double => json!({ "type": "number", "format": "double" }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Quantity => json!({ "oneOf": [{ "type": "string" }, { "type": "number" }] }),
        Type::IntOrString => {
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        Type::Raw => json!({ "type": "object" }),
        Type::Message(id) => {
            add(id, schemas);
            json!({ "allOf": [{ "$ref": reference(&long(Schema::get().message(id).name)) }] })
        }
    };
    match field.arity {
        Arity::One => one,
        Arity::Many => json!({ "type": "array", "items": one }),
        Arity::Map => json!({ "type": "object", "additionalProperties": one }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let index = document("").unwrap();
        for path in index["paths"].as_object().unwrap().keys() {
            let document = document(path).unwrap();
            let text = document.to_string();
            let schemas = document["components"]["schemas"].as_object().unwrap();
            for reference in text.split("#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(schemas.get(name).is_some_and(Value::is_object), "{path}: {name}");
            }
        }
        let apps = document("apis/apps/v1").unwrap();
        let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
        assert!(patch["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "fieldValidation"));
        let pod = &document("api/v1").unwrap()["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["properties"]["spec"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
        assert_eq!(document("apis/none/v1"), None);
    }
}
