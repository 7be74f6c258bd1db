//! The way back, for tests: protobuf to JSON by the same schema, held against what Kubernetes' own code wrote.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::schema::{Arity, Field, MessageId, Schema, Type};
use super::wire;

/// A field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Raw<'a> {
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} where bytes belong"),
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => panic!("{bytes:?} where a number belongs"),
        }
    }

    pub fn text(self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message; panics where they do not fill it exactly.
pub fn fields(mut bytes: &[u8]) -> Vec<(u32, Raw<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let raw = match tag & 7 {
            0 => Raw::Number(varint(&mut bytes)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (field, rest) = bytes.split_at(length);
                bytes = rest;
                Raw::Bytes(field)
            }
            wire_type => panic!("wire type {wire_type}"),
        };
        fields.push((u32::try_from(tag >> 3).unwrap(), raw));
    }
    fields
}

/// The message as JSON, as [`plain`] as the API's JSON.
pub fn message(id: MessageId, bytes: &[u8]) -> Value {
    let mut out = Map::new();
    for (number, raw) in fields(bytes) {
        let field = Schema::get().message(id).fields.iter().find(|field| field.number == number);
        let field = field.unwrap_or_else(|| panic!("no field {number}"));
        if field.name.is_empty() {
            let Type::Message(inner) = field.kind else { panic!("only messages are inlined") };
            out.extend(message(inner, raw.bytes()).as_object().unwrap().clone());
            continue;
        }
        let slot = out.entry(field.name).or_insert(Value::Null);
        match field.arity {
            Arity::One => *slot = one(field, raw),
            Arity::Many => match slot.as_array_mut() {
                Some(elements) => elements.push(one(field, raw)),
                None => *slot = json!([one(field, raw)]),
            },
            Arity::Map => {
                let entry = fields(raw.bytes());
                assert_eq!([entry[0].0, entry[1].0], [1, 2]);
                slot[entry[0].1.text()] = one(field, entry[1].1);
            }
        }
    }
    out.into()
}

fn one(field: &Field, raw: Raw<'_>) -> Value {
    let number = |raw: Raw<'_>| raw.number().cast_signed();
    let inner = |wanted: u32| {
        let found = fields(raw.bytes()).into_iter().find(|(number, _)| *number == wanted);
        found.map(|(_, raw)| raw)
    };
    match field.kind {
        Type::String => raw.text().into(),
        Type::Bytes => BASE64_STANDARD.encode(raw.bytes()).into(),
        Type::Bool => (raw.number() != 0).into(),
        Type::Int | Type::Long => number(raw).into(),
        Type::Time => match inner(1) {
            Some(seconds) => {
                let nanoseconds = inner(2).map_or(0, number);
                let time = jiff::Timestamp::new(number(seconds), i32::try_from(nanoseconds).unwrap()).unwrap();
                time.to_string().into()
            }
            None => Value::Null,
        },
        Type::Quantity => inner(1).map_or("", Raw::text).into(),
        Type::IntOrString => match inner(1).map_or(0, number) {
            0 => inner(2).map_or(0, number).into(),
            _ => inner(3).map_or("", Raw::text).into(),
        },
        Type::Double | Type::Duration => panic!("no fixture has one"),
        Type::Raw => serde_json::from_slice(inner(1).unwrap().bytes()).unwrap(),
        Type::Message(id) => message(id, raw.bytes()),
    }
}

/// The object in a stand-alone encoding: its `TypeMeta` and its message.
pub fn unknown(bytes: &[u8]) -> (String, String, &[u8]) {
    let fields = fields(bytes.strip_prefix(wire::MAGIC).expect("the magic number"));
    let type_meta: Vec<_> =
        self::fields(fields[0].1.bytes()).into_iter().map(|(_, raw)| raw.text().to_owned()).collect();
    let [api_version, kind] = <[String; 2]>::try_from(type_meta).unwrap();
    (api_version, kind, fields[1].1.bytes())
}

/// Without what says nothing: JSON leaves out what protobuf writes as zero, and the other way round.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields = object.iter().map(|(name, value)| (name.clone(), plain(value)));
            fields.filter(|(_, value)| !says_nothing(value)).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => elements.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `.pb` files were written from the `.json` files by the Go types and the protobuf serializer of k8s.io/api and
    /// k8s.io/apimachinery v0.36.3.
    #[test]
    fn what_kubernetes_wrote_and_what_we_write_say_the_same() {
        for (name, text, written) in [
            ("core.v1.Pod", include_str!("fixtures/pod.json"), &include_bytes!("fixtures/pod.pb")[..]),
            ("core.v1.Event", include_str!("fixtures/event.json"), include_bytes!("fixtures/event.pb")),
            ("core.v1.Secret", include_str!("fixtures/secret.json"), include_bytes!("fixtures/secret.pb")),
            (
                "policy.v1.PodDisruptionBudget",
                include_str!("fixtures/budget.json"),
                include_bytes!("fixtures/budget.pb"),
            ),
        ] {
            let id = Schema::get().id(name).unwrap();
            let mut value: Value = serde_json::from_str(text).unwrap();
            let (api_version, kind, theirs) = unknown(written);
            let ours = wire::unknown(&wire::type_meta(&api_version, &kind), &wire::encode(id, &value));
            assert_eq!([value["apiVersion"].take(), value["kind"].take()], [api_version, kind]);
            assert_eq!(plain(&message(id, theirs)), plain(&value), "their {name}");
            assert_eq!(plain(&message(id, unknown(&ours).2)), plain(&value), "our {name}");
        }
    }
}
