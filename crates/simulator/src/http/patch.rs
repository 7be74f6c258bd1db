//! The three kinds of patch that clients send: JSON patch, merge patch and strategic merge patch. Pure.

use serde_json::{Map, Value};

use super::body;
use super::status::Status;

/// What a `Content-Type` says of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply: the fields that their manager wants to have.
    Apply,
}

impl Kind {
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }

    /// The patch in a body.
    pub fn read(self, bytes: &[u8]) -> Result<Value, Status> {
        let wrong = |why: String| Status::bad_request(format!("error decoding patch: {why}"));
        if self == Self::Apply {
            return body::yaml(bytes).map_err(|why| Status::bad_request(format!("error decoding YAML: {why}")));
        }
        let patch = body::json(bytes).map_err(wrong)?;
        if self == Self::Json && !patch.is_array() {
            let given = if patch.is_object() { "object" } else { "value" };
            let why = format!("json: cannot unmarshal {given} into Go value of type []handlers.jsonPatchOp");
            return Err(wrong(why));
        }
        Ok(patch)
    }

    /// What an error shows: what a patch made of its object, or of a strategic one the patch itself.
    pub fn shown(self, patched: &Value, patch: &Value) -> String {
        if self == Self::Strategic { go(patch) } else { patched.to_string() }
    }
}

/// Changes `target` as the patch says; what cannot be applied is an error in the server's words.
pub fn apply(kind: Kind, target: &mut Value, patch: &Value) -> Result<(), Status> {
    match kind {
        Kind::Json => json_patch(target, patch).ok_or_else(Status::bad_patch),
        Kind::Apply | Kind::Merge => {
            merge(target, patch);
            Ok(())
        }
        Kind::Strategic => {
            strategic(target, patch, "");
            Ok(())
        }
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// A value as Go prints it.
fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => format!("[{}]", elements.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{}", go(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// RFC 6902; `None` where an operation cannot be done.
fn json_patch(target: &mut Value, patch: &Value) -> Option<()> {
    for operation in patch.as_array()? {
        let text = |name: &str| operation[name].as_str().unwrap_or_default();
        let (path, value) = (text("path"), operation["value"].clone());
        match text("op") {
            "test" if target.pointer(path).unwrap_or(&Value::Null) == &value => {}
            "add" => insert(target, path, value)?,
            "replace" => *target.pointer_mut(path)? = value,
            "remove" => {
                remove(target, path)?;
            }
            "move" => {
                let moved = remove(target, text("from"))?;
                insert(target, path, moved)?;
            }
            "copy" => {
                let copied = target.pointer(text("from"))?.clone();
                insert(target, path, copied)?;
            }
            _ => return None,
        }
    }
    Some(())
}

/// The parent of what a JSON pointer names, and the last name.
fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, name) = path.rsplit_once('/')?;
    Some((target.pointer_mut(parent)?, name.replace("~1", "/").replace("~0", "~")))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Array(elements), name) if name == "-" => elements.push(value),
        (Value::Array(elements), name) => {
            let at: usize = name.parse().ok().filter(|at| *at <= elements.len())?;
            elements.insert(at, value);
        }
        (Value::Object(fields), name) => {
            fields.insert(name, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Array(elements), name) => {
            let at: usize = name.parse().ok().filter(|at| *at < elements.len())?;
            Some(elements.remove(at))
        }
        (Value::Object(fields), name) => fields.remove(&name),
        _ => None,
    }
}

/// The key by which elements of a list are merged (`patchMergeKey` of the API's types); other lists are replaced whole.
fn merge_key(path: &str) -> Option<&'static str> {
    let name = path.rsplit('.').next().unwrap_or_default();
    Some(match name {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims"
        | "schedulingGates" => "name",
        "ports" if path.ends_with("spec.ports") => "port",
        "ports" => "containerPort",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "conditions" | "addresses" => "type",
        "ownerReferences" => "uid",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

fn strategic(target: &mut Value, patch: &Value, path: &str) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if changes.get("$patch").is_some_and(|directive| directive == "replace") {
        let fields = changes.iter().filter(|(name, _)| !name.starts_with('$'));
        *target = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|name, _| kept.iter().any(|kept| kept == name));
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix(DELETE_PREFIX) {
            if let (Some(elements), Some(gone)) =
                (fields.get_mut(list).and_then(Value::as_array_mut), change.as_array())
            {
                elements.retain(|element| !gone.contains(element));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        let below = format!("{path}.{name}");
        match (change, merge_key(&below)) {
            (Value::Null, _) => {
                fields.remove(name);
            }
            (Value::Array(elements), Some(key)) => {
                let list = fields.entry(name.clone()).or_insert(Value::Null);
                merge_list(list, elements, key, &below);
            }
            // Finalizers are merged one by one.
            (Value::Array(elements), None) if name == "finalizers" => {
                let list = fields.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                for element in elements {
                    if let Some(list) = list.as_array_mut().filter(|list| !list.contains(element)) {
                        list.push(element.clone());
                    }
                }
            }
            (Value::Object(_), _) => strategic(fields.entry(name.clone()).or_insert(Value::Null), change, &below),
            _ => {
                fields.insert(name.clone(), change.clone());
            }
        }
    }
    for (name, order) in changes.iter().filter_map(|(name, order)| Some((name.strip_prefix(ORDER_PREFIX)?, order))) {
        let key = merge_key(&format!("{path}.{name}"));
        let place = |element: &Value| {
            let own = key.map_or(element, |key| &element[key]);
            let found = order.as_array().into_iter().flatten().position(|one| key.map_or(one, |key| &one[key]) == own);
            found.unwrap_or(usize::MAX)
        };
        if let Some(elements) = fields.get_mut(name).and_then(Value::as_array_mut) {
            elements.sort_by_key(place);
        }
    }
}

fn merge_list(list: &mut Value, changes: &[Value], key: &str, path: &str) {
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Some(elements) = list.as_array_mut() else { return };
    if changes.iter().any(|change| change["$patch"] == "replace") {
        elements.clear();
    }
    for change in changes {
        let own = &change[key];
        let known = elements.iter().position(|element| element[key] == *own);
        match (change["$patch"].as_str(), known) {
            (Some("delete"), Some(at)) => {
                elements.remove(at);
            }
            (Some("delete" | "replace"), _) if own.is_null() => {}
            (Some("delete"), None) => {}
            (_, Some(at)) => strategic(&mut elements[at], change, path),
            (_, None) => elements.push(change.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: Kind, mut target: Value, patch: &Value) -> Value {
        apply(kind, &mut target, patch).unwrap();
        target
    }

    #[test]
    fn a_merge_patch_merges_objects_and_replaces_the_rest() {
        let target = json!({ "a": { "b": 1, "c": 2 }, "l": [1, 2] });
        assert_eq!(
            patched(Kind::Merge, target, &json!({ "a": { "b": null, "d": 3 }, "l": [3] })),
            json!({ "a": { "c": 2, "d": 3 }, "l": [3] })
        );
    }

    #[test]
    fn a_json_patch_does_what_its_operations_say() {
        let target = json!({ "a": { "x/y": 1 }, "l": ["a", "c"] });
        let patch = json!([
            { "op": "test", "path": "/a/x~1y", "value": 1 },
            { "op": "replace", "path": "/a/x~1y", "value": 2 },
            { "op": "add", "path": "/l/1", "value": "b" },
            { "op": "add", "path": "/l/-", "value": "d" },
            { "op": "remove", "path": "/l/0" },
            { "op": "move", "from": "/a/x~1y", "path": "/z" },
        ]);
        assert_eq!(patched(Kind::Json, target.clone(), &patch), json!({ "a": {}, "l": ["b", "c", "d"], "z": 2 }));
        for (patch, code) in [
            (json!([{ "op": "test", "path": "/l/0", "value": "x" }]), 422),
            (json!([{ "op": "remove", "path": "/no" }]), 422),
            (json!([{ "op": "turn", "path": "/l" }]), 422),
        ] {
            assert_eq!(apply(Kind::Json, &mut target.clone(), &patch).unwrap_err().code, code, "{patch}");
        }
    }

    #[test]
    fn a_strategic_patch_merges_lists_by_their_keys() {
        let target = json!({ "spec": {
            "containers": [
                { "name": "web", "image": "web:1", "env": [{ "name": "A", "value": "1" }], "args": ["x"] },
                { "name": "proxy", "image": "proxy:1" },
            ],
            "taints": [{ "key": "a" }],
        }, "metadata": { "finalizers": ["one", "two"] } });
        let patch = json!({ "spec": {
            "$setElementOrder/containers": [{ "name": "proxy" }, { "name": "web" }],
            "containers": [{ "name": "web", "image": "web:2", "env": [{ "name": "B", "value": "2" }], "args": ["y"] }],
            "taints": [{ "key": "b" }],
        }, "metadata": { "$deleteFromPrimitiveList/finalizers": ["one"] } });
        assert_eq!(
            patched(Kind::Strategic, target.clone(), &patch),
            json!({ "spec": {
                "containers": [
                    { "name": "proxy", "image": "proxy:1" },
                    { "name": "web", "image": "web:2",
                      "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }], "args": ["y"] },
                ],
                "taints": [{ "key": "b" }],
            }, "metadata": { "finalizers": ["two"] } })
        );
        let gone = json!({ "spec": { "containers": [{ "name": "proxy", "$patch": "delete" }] } });
        assert_eq!(patched(Kind::Strategic, target.clone(), &gone)["spec"]["containers"].as_array().unwrap().len(), 1);
        let only = json!({ "metadata": { "$retainKeys": ["name"], "name": "x" } });
        assert_eq!(patched(Kind::Strategic, target, &only)["metadata"], json!({ "name": "x" }));
    }

    #[test]
    fn what_is_no_patch_is_refused() {
        for (kind, body, code) in [(Kind::Json, "{}", 400), (Kind::Merge, "{", 400), (Kind::Apply, "a: [", 400)] {
            assert_eq!(kind.read(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
        assert_eq!(Kind::Apply.read(b"a: {b: 1}").unwrap(), json!({ "a": { "b": 1 } }));
        assert_eq!(go(&json!({ "b": [1, "x", null], "a": { "c": true } })), "map[a:map[c:true] b:[1 x <nil>]]");
    }

    #[test]
    fn ports_of_services_and_containers_have_different_keys() {
        assert_eq!(merge_key(".spec.ports"), Some("port"));
        assert_eq!(merge_key(".spec.template.spec.containers.ports"), Some("containerPort"));
        assert_eq!(merge_key(".spec.taints"), None);
    }
}
