//! Whether a body has the shape of its kind: the types of its fields by the schema, and fields that there are not.
//!
//! Says what is wrong as Go's decoder does, down to the names of its types.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use crate::encoding::schema::{Arity, Field, MessageId, Schema, Type};
use crate::util::quantity;

/// What the schema does not have in full.
const OPEN: &str = "apiextensions.v1.JSONSchemaProps";

/// Checks `value`, an object of this message, and takes away the fields that the message does not have; returns their
/// paths. The first value of a wrong type is an error.
pub fn fit(message: MessageId, value: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let Some(fields) = value.as_object_mut() else { return Ok(unknown) };
    let own = ["kind", "apiVersion"].map(|name| (name, fields.remove(name)));
    object(message, fields, &Place::default(), &mut unknown)?;
    for (name, value) in own {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(unknown)
}

/// Where a value stands: as errors tell it, and as warnings do, with places in lists.
#[derive(Default, Clone)]
struct Place {
    fields: String,
    exact: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        let join = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Self { fields: join(&self.fields), exact: join(&self.exact) }
    }

    fn at(&self, place: usize) -> Self {
        Self { fields: self.fields.clone(), exact: format!("{}[{place}]", self.exact) }
    }
}

/// The field called `name` of a message, or of those that stand among its fields.
fn find(message: MessageId, name: &str) -> Option<&'static Field> {
    let message = Schema::get().message(message);
    message.field(name).or_else(|| message.inlined().find_map(|(_, inner)| find(inner, name)))
}

fn object(
    message: MessageId,
    fields: &mut Map<String, Value>,
    place: &Place,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let struct_name = short(Schema::get().message(message).name);
    if Schema::get().message(message).name == OPEN {
        return Ok(());
    }
    let mut gone = Vec::new();
    for (name, value) in fields.iter_mut() {
        let below = place.below(name);
        match find(message, name) {
            None => {
                unknown.push(below.exact);
                gone.push(name.clone());
            }
            Some(field) => self::field(field, value, struct_name, &below, unknown)?,
        }
    }
    gone.iter().for_each(|name| {
        fields.remove(name);
    });
    Ok(())
}

fn field(
    field: &Field,
    value: &mut Value,
    struct_name: &str,
    place: &Place,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match (field.arity, value) {
        (_, Value::Null) => Ok(()),
        (Arity::One, value) => one(field, value, struct_name, place, unknown),
        (Arity::Many, Value::Array(elements)) => elements
            .iter_mut()
            .enumerate()
            .try_for_each(|(at, element)| one(field, element, struct_name, &place.at(at), unknown)),
        (Arity::Map, Value::Object(entries)) => entries.iter_mut().try_for_each(|(key, entry)| {
            let place = Place { fields: place.fields.clone(), exact: format!("{}.{key}", place.exact) };
            one(field, entry, struct_name, &place, unknown)
        }),
        (Arity::Many, value) => Err(mismatch(value, struct_name, place, &format!("[]{}", go_type(field.kind)))),
        (Arity::Map, value) => Err(mismatch(value, struct_name, place, &format!("map[string]{}", go_type(field.kind)))),
    }
}

fn one(
    field: &Field,
    value: &mut Value,
    struct_name: &str,
    place: &Place,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let fits = match (field.kind, &mut *value) {
        (_, Value::Null) | (Type::Raw, _) => true,
        (Type::Message(id), Value::Object(fields)) => return object(id, fields, place, unknown),
        (Type::Message(_), _) => false,
        (Type::String | Type::Duration, value) => value.is_string(),
        (Type::Bool, value) => value.is_boolean(),
        (Type::Int, value) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        (Type::Long, value) => value.is_i64(),
        (Type::Double, value) => value.is_number(),
        (Type::IntOrString, value) => value.is_string() || value.is_i64(),
        (Type::Bytes, Value::String(text)) => return base64(text),
        (Type::Time, Value::String(text)) => return time(text),
        (Type::Bytes | Type::Time, _) => false,
        (Type::Quantity, value) => return amount(value),
    };
    if fits { Ok(()) } else { Err(mismatch(value, struct_name, place, &go_type(field.kind))) }
}

fn base64(text: &str) -> Result<(), String> {
    match BASE64_STANDARD.decode(text) {
        Ok(_) => Ok(()),
        Err(base64::DecodeError::InvalidByte(at, _)) => Err(format!("illegal base64 data at input byte {at}")),
        Err(_) => Err(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}

fn time(text: &str) -> Result<(), String> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""
        )),
    }
}

fn amount(value: &Value) -> Result<(), String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match quantity::parse(&text) {
        Some(_) => Ok(()),
        None => {
            Err("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned())
        }
    }
}

/// `Pod` of `core.v1.Pod`.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn go_type(kind: Type) -> String {
    match kind {
        Type::String | Type::Duration => "string".into(),
        Type::Bytes => "[]uint8".into(),
        Type::Bool => "bool".into(),
        Type::Int | Type::IntOrString => "int32".into(),
        Type::Long => "int64".into(),
        Type::Double => "float64".into(),
        Type::Time => "string".into(),
        Type::Quantity => "resource.Quantity".into(),
        Type::Raw => "runtime.RawExtension".into(),
        Type::Message(id) => {
            let name = Schema::get().message(id).name;
            name.split_once('.').map_or(name, |(_, rest)| rest).to_owned()
        }
    }
}

fn mismatch(value: &Value, struct_name: &str, place: &Place, wanted: &str) -> String {
    let given = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
    };
    format!("json: cannot unmarshal {given} into Go struct field {struct_name}.{} of type {wanted}", place.fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wrong_types_are_told_as_go_tells_them() {
        let pod = Schema::get().id("core.v1.Pod").unwrap();
        for (value, expected) in [
            (
                json!({ "spec": { "containers": [{ "name": 5 }] } }),
                "number into Go struct field Container.spec.containers.name of type string",
            ),
            (
                json!({ "metadata": { "labels": [] } }),
                "array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (json!({ "spec": 1 }), "number into Go struct field Pod.spec of type v1.PodSpec"),
            (
                json!({ "spec": { "priority": 1.5 } }),
                "number 1.5 into Go struct field PodSpec.spec.priority of type int32",
            ),
        ] {
            let said = fit(pod, &mut value.clone()).unwrap_err();
            assert_eq!(said, format!("json: cannot unmarshal {expected}"), "{value}");
        }
    }

    #[test]
    fn what_there_is_not_is_named_and_taken_away() {
        let mut value = json!({ "kind": "Pod", "spec": { "containers": [{ "name": "a", "imag": "b" }], "volumes": [{ "name": "v", "emptyDir": {} }] }, "x": {} });
        let unknown = fit(Schema::get().id("core.v1.Pod").unwrap(), &mut value).unwrap();
        assert_eq!(unknown, ["spec.containers[0].imag", "x"]);
        assert_eq!(
            value,
            json!({ "kind": "Pod", "spec": { "containers": [{ "name": "a" }], "volumes": [{ "name": "v", "emptyDir": {} }] } })
        );
    }
}
