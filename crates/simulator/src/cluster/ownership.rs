//! Who set which fields: `managedFields`, and server-side apply on top of them. Pure.
//!
//! Sets of fields are kept as the API writes them (`FieldsV1`): a tree whose leaves are `{}`.

use serde_json::{Map, Value, json};

use super::managed::{LIST_KEYS, element_key};

/// Who writes, and how.
#[derive(Debug, Clone)]
pub struct Manager<'a> {
    pub name: &'a str,
    pub api_version: &'a str,
    pub subresource: &'a str,
    /// RFC 3339.
    pub time: &'a str,
}

/// A field that another manager has, with another value.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    pub manager: String,
    pub api_version: String,
    /// Such as `.spec.replicas`.
    pub field: String,
}

/// Metadata that only the server writes.
const SERVER: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];
/// Objects that are owned whole.
const WHOLE: [&str; 3] = ["selector", "nodeSelector", "labelSelector"];
/// Objects that are there even where nothing is in them: nobody owns them as such.
const ALWAYS: [&str; 8] =
    ["metadata", "spec", "template", "strategy", "updateStrategy", "jobTemplate", "status", "scaleTargetRef"];

/// What of an object can be owned: its status by those who write it, all else by everyone.
fn ownable(object: &Value, status: bool) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "kind" | "apiVersion") && (name == "status") == status);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| !SERVER.contains(&name.as_str()));
        if metadata.is_empty()
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("metadata");
        }
    }
    object
}

/// One step down a set: what a key of the tree stands for in a value.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let elements = || value.as_array().into_iter().flatten();
    match key.split_at_checked(2)? {
        ("f:", name) => value.get(name),
        ("k:", wanted) => {
            let wanted: Value = serde_json::from_str(wanted).ok()?;
            let fields = wanted.as_object()?;
            elements().find(|element| fields.iter().all(|(name, value)| element[name] == *value))
        }
        ("v:", wanted) => {
            let wanted: Value = serde_json::from_str(wanted).ok()?;
            elements().find(|element| **element == wanted)
        }
        _ => None,
    }
}

/// The parts of `value`, called `name`, that are owned one by one: keys of the tree with what they stand for.
fn parts<'a>(name: &str, value: &'a Value) -> Option<Vec<(String, &'a Value)>> {
    let named = |(field, value): (&String, &'a Value)| (format!("f:{field}"), value);
    match value {
        Value::Object(_) if WHOLE.contains(&name) => None,
        Value::Object(fields) if !fields.is_empty() => {
            Some(fields.iter().filter(|(_, value)| !value.is_null()).map(named).collect())
        }
        Value::Array(elements) if name == "finalizers" => {
            Some(elements.iter().map(|element| (format!("v:{element}"), element)).collect())
        }
        Value::Array(elements) => {
            let (_, keys) = LIST_KEYS.iter().find(|(list, _)| *list == name)?;
            Some(elements.iter().map(|element| (format!("k:{}", element_key(element, keys)), element)).collect())
        }
        _ => None,
    }
}

/// The fields in which `after` differs from `before`.
fn changed(name: &str, before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let Some(parts) = parts(name, after) else { return Some(json!({})) };
    let mut set = Map::new();
    let always = name.is_empty() || name == "containers" || ALWAYS.contains(&name);
    if before.is_null() && !always {
        set.insert(".".to_owned(), json!({}));
    }
    for (key, value) in parts {
        let below = key.strip_prefix("f:").unwrap_or(&key);
        let was = step(before, &key).unwrap_or(&Value::Null);
        // The fields that identify an element are its own, too.
        if let Some(part) = changed(below, was, value) {
            set.insert(key, part);
        }
    }
    (!set.is_empty()).then_some(Value::Object(set))
}

fn merge(into: &mut Value, set: &Value) {
    for (key, inner) in set.as_object().into_iter().flatten() {
        match into.get_mut(key) {
            Some(own) => merge(own, inner),
            None => into[key.as_str()] = inner.clone(),
        }
    }
}

/// Takes away the leaves of `gone`.
fn subtract(set: &mut Value, gone: &Value) {
    let Some(fields) = set.as_object_mut() else { return };
    for (key, inner) in gone.as_object().into_iter().flatten() {
        let Some(own) = fields.get_mut(key) else { continue };
        subtract(own, inner);
        if is_empty(inner) || is_empty(own) {
            fields.remove(key);
        }
    }
}

fn is_empty(set: &Value) -> bool {
    set.as_object().is_none_or(Map::is_empty)
}

/// Keeps only what there is in `object`.
fn restrict(set: &mut Value, object: &Value) {
    let Some(fields) = set.as_object_mut() else { return };
    fields.retain(|key, inner| {
        if key == "." {
            return true;
        }
        let Some(value) = step(object, key) else { return false };
        let leaf = is_empty(inner);
        restrict(inner, value);
        leaf || !is_empty(inner)
    });
}

/// Every leaf of a set with its path: as an error tells it, and as keys.
fn leaves(set: &Value, path: &str, keys: &[String], out: &mut Vec<(String, Vec<String>)>) {
    for (key, inner) in set.as_object().into_iter().flatten() {
        if key == "." {
            continue;
        }
        let below = match key.split_at_checked(2) {
            Some(("k:", fields)) => {
                let fields: Value = serde_json::from_str(fields).unwrap_or_default();
                let fields = fields.as_object().into_iter().flatten();
                format!(
                    "{path}[{}]",
                    fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
                )
            }
            Some(("v:", value)) => format!("{path}[={value}]"),
            _ => format!("{path}.{}", key.trim_start_matches("f:")),
        };
        let keys = [keys, std::slice::from_ref(key)].concat();
        if is_empty(inner) {
            out.push((below, keys));
        } else {
            leaves(inner, &below, &keys, out);
        }
    }
}

fn at<'a>(object: &'a Value, keys: &[String]) -> Option<&'a Value> {
    keys.iter().try_fold(object, |value, key| step(value, key))
}

fn entries(object: &Value) -> Vec<Value> {
    object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default()
}

fn keep(object: &mut Value, mut entries: Vec<Value>) {
    entries.retain(|entry| !is_empty(&entry["fieldsV1"]));
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), entries.into());
        }
    }
}

fn is(entry: &Value, manager: &Manager<'_>, operation: &str) -> bool {
    entry["manager"] == manager.name
        && entry["operation"] == operation
        && entry["subresource"].as_str().unwrap_or_default() == manager.subresource
}

fn entry(manager: &Manager<'_>, operation: &str, set: &Value) -> Value {
    let mut entry = json!({
        "manager": manager.name, "operation": operation, "apiVersion": manager.api_version, "time": manager.time,
        "fieldsType": "FieldsV1", "fieldsV1": set,
    });
    if !manager.subresource.is_empty() {
        entry["subresource"] = manager.subresource.into();
    }
    entry
}

/// Notes in `after` that `manager` made it of `before`: what it changed is its own from now on, and nobody else's.
pub fn note(before: &Value, after: &mut Value, manager: &Manager<'_>) {
    let mut entries = entries(before);
    let status = manager.subresource == "status";
    let new = ownable(after, status);
    let set = changed("", &ownable(before, status), &new).unwrap_or_else(|| json!({}));
    for entry in &mut entries {
        if !is(entry, manager, "Update") {
            subtract(&mut entry["fieldsV1"], &set);
        }
        let of_status = entry["subresource"] == "status";
        restrict(&mut entry["fieldsV1"], &ownable(after, of_status));
    }
    if !is_empty(&set) {
        match entries.iter_mut().find(|entry| is(entry, manager, "Update")) {
            Some(own) => {
                merge(&mut own["fieldsV1"], &set);
                own["time"] = manager.time.into();
            }
            None => entries.push(entry(manager, "Update", &set)),
        }
    }
    keep(after, entries);
}

/// Makes of `live` what `manager` applies. Fields that it applied before and no longer does go, where nobody else has them.
pub fn apply(live: &Value, config: &Value, manager: &Manager<'_>, force: bool) -> Result<Value, Vec<Conflict>> {
    let status = manager.subresource == "status";
    let wanted = ownable(config, status);
    let mut set = changed("", &Value::Null, &wanted).unwrap_or_else(|| json!({}));
    without_dot(&mut set);
    let mut entries = entries(live);
    let mut paths = Vec::new();
    leaves(&set, "", &[], &mut paths);
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !is(entry, manager, "Apply")) {
        for (field, keys) in &paths {
            let owned = keys.iter().try_fold(&entry["fieldsV1"], |set, key| set.get(key)).is_some();
            if !owned || at(live, keys) == at(config, keys) {
                continue;
            }
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let applied = entry["operation"] == "Apply";
            conflicts.push(Conflict {
                manager: text("manager"),
                api_version: if applied { String::new() } else { text("apiVersion") },
                field: field.clone(),
            });
            let gone = keys.iter().rev().fold(json!({}), |inner, key| json!({ key.as_str(): inner }));
            subtract(&mut entry["fieldsV1"], &gone);
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut made = live.clone();
    let before = entries.iter().find(|entry| is(entry, manager, "Apply")).cloned();
    entries.retain(|entry| !is(entry, manager, "Apply"));
    let mut own = entry(manager, "Apply", &set);
    if let Some(mut before) = before {
        if before["fieldsV1"] == set {
            own["time"] = before["time"].take();
        }
        let mut dropped = before["fieldsV1"].take();
        subtract(&mut dropped, &set);
        entries.iter().for_each(|entry| subtract(&mut dropped, &entry["fieldsV1"]));
        remove(&mut made, &dropped);
    }
    put(&mut made, "", &wanted);
    // Those who apply stand before those who update.
    entries.insert(0, own);
    keep(&mut made, entries);
    Ok(made)
}

/// Applied sets say of objects only what is in them.
fn without_dot(set: &mut Value) {
    let Some(fields) = set.as_object_mut() else { return };
    for (key, inner) in fields.iter_mut() {
        without_dot(inner);
        if key.starts_with("k:") {
            inner["."] = json!({});
        }
    }
    fields.remove(".");
}

/// Takes the leaves of a set out of an object; elements and objects that are left empty by it go along.
fn remove(value: &mut Value, set: &Value) {
    for (key, inner) in set.as_object().into_iter().flatten() {
        let whole = is_empty(inner) || inner.get(".").is_some();
        match (key.split_at_checked(2), &mut *value) {
            (Some(("f:", name)), Value::Object(fields)) => {
                if let Some(below) = fields.get_mut(name) {
                    remove(below, inner);
                    let empty =
                        below.as_object().is_some_and(Map::is_empty) || below.as_array().is_some_and(Vec::is_empty);
                    if is_empty(inner) || empty && !ALWAYS.contains(&name) {
                        fields.remove(name);
                    }
                }
            }
            (Some(("k:" | "v:", _)), Value::Array(elements)) => {
                let found = step(&Value::Array(elements.clone()), key).cloned();
                let place = found.and_then(|found| elements.iter().position(|element| *element == found));
                if let Some(place) = place {
                    if whole {
                        elements.remove(place);
                    } else {
                        remove(&mut elements[place], inner);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Puts what is applied into an object: lists with keys element by element, other lists whole.
fn put(value: &mut Value, name: &str, wanted: &Value) {
    match (parts(name, wanted), wanted) {
        (Some(parts), Value::Object(_)) => {
            if !value.is_object() {
                *value = json!({});
            }
            for (key, wanted) in parts {
                put(&mut value[&key[2..]], &key[2..], wanted);
            }
        }
        (Some(parts), _) => {
            if !value.is_array() {
                *value = json!([]);
            }
            let Some(elements) = value.as_array_mut() else { return };
            for (key, wanted) in parts {
                let found = step(&Value::Array(elements.clone()), &key).cloned();
                match found.and_then(|found| elements.iter().position(|element| *element == found)) {
                    Some(place) => put(&mut elements[place], &key, wanted),
                    None => elements.push(wanted.clone()),
                }
            }
        }
        (None, _) => value.clone_from(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &str) -> Manager<'_> {
        Manager { name, api_version: "apps/v1", subresource: "", time: "2026-01-01T00:00:00Z" }
    }

    fn deployment(replicas: u32, image: &str) -> Value {
        json!({ "metadata": { "name": "web", "labels": { "a": "b" } }, "spec": { "replicas": replicas,
            "selector": { "matchLabels": { "a": "b" } },
            "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } } })
    }

    #[test]
    fn who_changes_a_field_has_it() {
        let mut one = deployment(1, "x:1");
        note(&json!({}), &mut one, &manager("kubectl"));
        assert_eq!(
            one["metadata"]["managedFields"][0]["fieldsV1"],
            json!({
                "f:metadata": { "f:labels": { ".": {}, "f:a": {} } },
                "f:spec": { "f:replicas": {}, "f:selector": {}, "f:template": { "f:spec": { "f:containers": {
                    "k:{\"name\":\"web\"}": { ".": {}, "f:image": {}, "f:name": {} },
                } } } },
            })
        );
        let mut two = one.clone();
        two["spec"]["replicas"] = 2.into();
        note(&one, &mut two, &manager("scaler"));
        let entries = &two["metadata"]["managedFields"];
        assert_eq!(entries[1]["fieldsV1"], json!({ "f:spec": { "f:replicas": {} } }));
        assert!(entries[0]["fieldsV1"]["f:spec"].get("f:replicas").is_none());
    }

    #[test]
    fn what_another_has_is_applied_only_by_force() {
        let mut live = deployment(3, "x:1");
        note(&json!({}), &mut live, &manager("kubectl"));
        let config = json!({ "spec": { "replicas": 5 }, "metadata": { "name": "web", "labels": { "c": "d" } } });
        let conflicts = apply(&live, &config, &manager("me"), false).unwrap_err();
        let conflict =
            Conflict { manager: "kubectl".into(), api_version: "apps/v1".into(), field: ".spec.replicas".into() };
        assert_eq!(conflicts, [conflict]);
        let applied = apply(&live, &config, &manager("me"), true).unwrap();
        assert_eq!(
            (&applied["spec"]["replicas"], &applied["metadata"]["labels"]),
            (&json!(5), &json!({ "a": "b", "c": "d" }))
        );
        assert_eq!(applied["metadata"]["managedFields"][0]["operation"], "Apply");
        // What is applied no longer goes; what it has in common with others stays.
        let less = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 5 } });
        let applied = apply(&applied, &less, &manager("me"), false).unwrap();
        assert_eq!(applied["metadata"]["labels"], json!({ "a": "b" }));
        assert_eq!(applied["spec"]["template"], live["spec"]["template"]);
    }

    #[test]
    fn elements_of_lists_are_applied_one_by_one() {
        let live = deployment(1, "x:1");
        let config = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "web", "args": ["a"] }, { "name": "side", "image": "y:1" },
        ] } } } });
        let applied = apply(&live, &config, &manager("me"), false).unwrap();
        let containers = &applied["spec"]["template"]["spec"]["containers"];
        assert_eq!(
            *containers,
            json!([{ "name": "web", "image": "x:1", "args": ["a"] }, { "name": "side", "image": "y:1" }])
        );
        let config =
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "args": ["a"] }] } } } });
        let applied = apply(&applied, &config, &manager("me"), false).unwrap();
        assert_eq!(applied["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1);
    }
}
