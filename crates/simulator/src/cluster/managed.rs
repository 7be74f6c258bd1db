//! Managed fields as server-side field management keeps them: most of a real object's metadata.

use serde_json::{Map, Value, json};

/// The entry of `manager` that owns everything that stands in `object`.
pub fn managed_fields(
    manager: &str,
    api_version: &str,
    time: impl Into<Value>,
    subresource: &str,
    object: &Value,
) -> Value {
    let mut entry = json!({
        "manager": manager, "operation": "Update", "apiVersion": api_version, "time": time.into(),
        "fieldsType": "FieldsV1", "fieldsV1": fields(object),
    });
    if !subresource.is_empty() {
        entry["subresource"] = subresource.into();
    }
    entry
}

/// The keys of lists whose elements are owned one by one (`x-kubernetes-list-map-keys` of the API).
pub const LIST_KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("env", &["name"]),
    ("ports", &["containerPort", "port", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
    ("podIPs", &["ip"]),
    ("hostIPs", &["ip"]),
    ("addresses", &["type"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
];

/// `FieldsV1` of a value: `f:` for fields, `k:` for elements of keyed lists, `.` for the element itself.
pub fn fields(value: &Value) -> Value {
    let mut owned = Map::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        if value.is_null() {
            continue;
        }
        let keys = LIST_KEYS.iter().find(|(list, _)| list == name).map(|(_, keys)| *keys);
        let inner = match (value, keys) {
            (Value::Array(elements), Some(keys)) => elements_by_key(elements, keys),
            (Value::Object(object), _) if !object.is_empty() => {
                let mut inner = fields(value);
                if matches!(name.as_str(), "labels" | "annotations" | "limits" | "requests") {
                    inner["."] = json!({});
                }
                inner
            }
            _ => json!({}),
        };
        owned.insert(format!("f:{name}"), inner);
    }
    owned.into()
}

fn elements_by_key(elements: &[Value], keys: &[&str]) -> Value {
    let mut owned = Map::new();
    owned.insert(".".into(), json!({}));
    for element in elements {
        let mut inner = fields(element);
        inner["."] = json!({});
        owned.insert(format!("k:{}", element_key(element, keys)), inner);
    }
    owned.into()
}

/// The fields of an element by which it is known.
pub fn element_key(element: &Value, keys: &[&str]) -> Value {
    let known = keys.iter().filter(|key| !element[**key].is_null());
    known.map(|key| ((*key).to_owned(), element[*key].clone())).collect::<Map<_, _>>().into()
}
