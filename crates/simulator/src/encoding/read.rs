//! From protobuf to JSON: what clients send. Reads by the same schema as `wire` writes by, and trusts nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::schema::{Arity, Field, MessageId, Schema, Type};
use super::template::rfc3339;
use super::wire;

/// Go writes numbers and booleans that are no pointers even where they say nothing, and JSON does not. Of these a zero
/// says something, because it is a pointer in the API's types.
const ZERO_COUNTS: [&str; 24] = [
    "replicas",
    "gracePeriodSeconds",
    "terminationGracePeriodSeconds",
    "revisionHistoryLimit",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "partition",
    "minReplicas",
    "parallelism",
    "completions",
    "runAsUser",
    "runAsGroup",
    "fsGroup",
    "tolerationSeconds",
    "priority",
    "activeDeadlineSeconds",
    "startingDeadlineSeconds",
    "stabilizationWindowSeconds",
    "maxSurge",
    "maxUnavailable",
    "minAvailable",
    "defaultMode",
];

/// The same for messages without content.
const EMPTY_COUNTS: [&str; 4] = ["emptyDir", "selector", "namespaceSelector", "securityContext"];

/// Messages nest no deeper than this.
const DEEPEST: usize = 64;

#[derive(Debug, Clone, Copy)]
enum Raw<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u32, Raw<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let raw = match tag & 7 {
            0 => Raw::Number(varint(&mut bytes)?),
            1 => {
                let (number, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Raw::Number(u64::from_le_bytes(*number))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (field, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Raw::Bytes(field)
            }
            _ => return None,
        };
        fields.push((u32::try_from(tag >> 3).ok()?, raw));
    }
    Some(fields)
}

impl<'a> Raw<'a> {
    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Bytes(_) => None,
        }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }

    fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

fn find<'a>(fields: &[(u32, Raw<'a>)], number: u32) -> Option<Raw<'a>> {
    fields.iter().find(|(known, _)| *known == number).map(|(_, raw)| *raw)
}

/// The object in a stand-alone encoding, with its type; `None` where it is none, or of a kind that the schema does not
/// have.
pub fn object(bytes: &[u8]) -> Option<Value> {
    let unknown = fields(bytes.strip_prefix(wire::MAGIC)?)?;
    let type_meta = fields(find(&unknown, 1)?.bytes()?)?;
    let text = |number| find(&type_meta, number).and_then(Raw::text).unwrap_or_default();
    let (api_version, kind) = (text(1), text(2));
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let name = match kind {
        "DeleteOptions" => "meta.v1.DeleteOptions".to_owned(),
        kind => format!("{}.{version}.{kind}", group.split('.').next().unwrap_or_default()),
    };
    let raw = find(&unknown, 2).map_or(Some(&[][..]), Raw::bytes)?;
    let mut value = message(Schema::get().id(&name)?, raw, DEEPEST)?;
    value.insert("apiVersion".to_owned(), api_version.into());
    value.insert("kind".to_owned(), kind.into());
    Some(value.into())
}

fn message(id: MessageId, bytes: &[u8], deep: usize) -> Option<Map<String, Value>> {
    let deep = deep.checked_sub(1)?;
    let mut out = Map::new();
    for (number, raw) in fields(bytes)? {
        // What the schema does not have is not kept.
        let Some(field) = Schema::get().message(id).fields.iter().find(|field| field.number == number) else {
            continue;
        };
        if field.name.is_empty() {
            if let Type::Message(inner) = field.kind {
                out.extend(message(inner, raw.bytes()?, deep)?);
            }
            continue;
        }
        match field.arity {
            Arity::One => {
                let value = one(field, raw, deep)?;
                if says(field.name, &value) {
                    out.insert(field.name.to_owned(), value);
                }
            }
            Arity::Many => {
                let value = one(field, raw, deep)?;
                let list = out.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(value);
            }
            Arity::Map => {
                let entry = fields(raw.bytes()?)?;
                let key = find(&entry, 1).and_then(Raw::text).unwrap_or_default().to_owned();
                let value = one(field, find(&entry, 2).unwrap_or(Raw::Bytes(&[])), deep)?;
                let map = out.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut()?.insert(key, value);
            }
        }
    }
    Some(out)
}

/// Whether a field would stand in JSON.
fn says(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0) || ZERO_COUNTS.contains(&name),
        Value::Object(fields) => !fields.is_empty() || EMPTY_COUNTS.contains(&name),
        Value::Array(_) | Value::Bool(true) => true,
    }
}

fn one(field: &Field, raw: Raw<'_>, deep: usize) -> Option<Value> {
    let inner = |wanted: u32| Some(find(&fields(raw.bytes()?)?, wanted));
    let signed = |raw: Option<Raw<'_>>| raw.and_then(Raw::number).unwrap_or(0).cast_signed();
    Some(match field.kind {
        Type::String => raw.text()?.into(),
        Type::Bytes => BASE64_STANDARD.encode(raw.bytes()?).into(),
        Type::Bool => (raw.number()? != 0).into(),
        Type::Int | Type::Long => raw.number()?.cast_signed().into(),
        Type::Double => f64::from_bits(raw.number()?).into(),
        Type::Time => match inner(1)? {
            Some(seconds) => rfc3339(seconds.number()?.cast_signed()).into(),
            None => Value::Null,
        },
        Type::Quantity => inner(1)?.and_then(Raw::text).unwrap_or_default().into(),
        Type::IntOrString => match signed(inner(1)?) {
            0 => signed(inner(2)?).into(),
            _ => inner(3)?.and_then(Raw::text).unwrap_or_default().into(),
        },
        Type::Duration => jiff::SignedDuration::from_nanos(signed(inner(1)?)).to_string().into(),
        Type::Raw => serde_json::from_slice(inner(1)?.and_then(Raw::bytes).unwrap_or_default()).ok()?,
        Type::Message(id) => message(id, raw.bytes()?, deep)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::encoding::decode;

    #[test]
    fn what_kubernetes_wrote_is_read_as_its_json() {
        for (text, written) in [
            (include_str!("fixtures/pod.json"), &include_bytes!("fixtures/pod.pb")[..]),
            (include_str!("fixtures/secret.json"), include_bytes!("fixtures/secret.pb")),
            (include_str!("fixtures/budget.json"), include_bytes!("fixtures/budget.pb")),
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(decode::plain(&object(written).unwrap()), decode::plain(&expected));
        }
    }

    #[test]
    fn zeros_that_say_something_stay() {
        let body = json!({ "spec": { "replicas": 0, "minReadySeconds": 0, "paused": false } });
        let id = Schema::get().id("apps.v1.Deployment").unwrap();
        let sent = wire::unknown(&wire::type_meta("apps/v1", "Deployment"), &wire::encode(id, &body));
        let read = object(&sent).unwrap();
        assert_eq!(read["spec"], json!({ "replicas": 0 }));
        assert_eq!((&read["kind"], &read["apiVersion"]), (&json!("Deployment"), &json!("apps/v1")));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(at in 0..4000_usize, with in any::<u8>(), cut in 0..4000_usize) {
            let mut bytes = include_bytes!("fixtures/pod.pb").to_vec();
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] = with;
            let _ = object(&bytes);
            let _ = object(&bytes[..cut]);
        }
    }
}
