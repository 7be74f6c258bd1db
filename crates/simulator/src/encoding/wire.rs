//! From JSON to the protobuf encoding of the Kubernetes API, and the frames around it.
//!
//! Owns tags, varints and envelopes; what messages look like stands in `schema`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::schema::{Arity, Field, MessageId, Schema, Type};
use super::template::{Encoded, Hole, Segment, split};

/// Every object that stands alone begins with this and an `Unknown` (k8s.io/apimachinery runtime/serializer/protobuf).
pub const MAGIC: &[u8] = b"k8s\0";

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;

#[allow(clippy::cast_possible_truncation)] // Seven bits at a time.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn varint_length(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

fn tag(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire_type), out);
}

/// Appends a length-delimited field.
pub fn delimited(number: u32, body: &[u8], out: &mut Vec<u8>) {
    delimited_header(number, body.len(), out);
    out.extend_from_slice(body);
}

/// Appends what stands before the body of a length-delimited field.
pub fn delimited_header(number: u32, length: usize, out: &mut Vec<u8>) {
    tag(number, DELIMITED, out);
    varint(length as u64, out);
}

/// The number of bytes of a length-delimited field (of a number below 16) with its header.
pub fn delimited_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

/// What an object's type says in the `Unknown` around it.
pub fn type_meta(api_version: &str, kind: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(api_version.len() + kind.len() + 4);
    delimited(1, api_version.as_bytes(), &mut out);
    delimited(2, kind.as_bytes(), &mut out);
    out
}

/// What follows the raw object in an `Unknown`: no content encoding, no content type.
pub const UNKNOWN_END: &[u8] = &[0x1a, 0, 0x22, 0];

/// The beginning of a stand-alone object whose message is `length` bytes long; `UNKNOWN_END` follows the message.
pub fn unknown_start(type_meta: &[u8], length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    delimited(1, type_meta, out);
    delimited_header(2, length, out);
}

fn unknown_length(type_meta: &[u8], length: usize) -> usize {
    MAGIC.len() + delimited_length(type_meta.len()) + delimited_length(length) + UNKNOWN_END.len()
}

/// A stand-alone object.
pub fn unknown(type_meta: &[u8], message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unknown_length(type_meta, message.len()));
    unknown_start(type_meta, message.len(), &mut out);
    out.extend_from_slice(message);
    out.extend_from_slice(UNKNOWN_END);
    out
}

/// The beginning of a watch frame: its length and the `WatchEvent` up to the object's message of `length` bytes, which
/// must follow, and then `UNKNOWN_END`.
pub fn frame_start(event: &str, type_meta: &[u8], length: usize, out: &mut Vec<u8>) {
    let object = unknown_length(type_meta, length);
    let frame = delimited_length(event.len()) + delimited_length(delimited_length(object));
    out.extend_from_slice(&u32::try_from(frame).unwrap_or(u32::MAX).to_be_bytes());
    delimited(1, event.as_bytes(), out);
    delimited_header(2, delimited_length(object), out);
    delimited_header(1, object, out);
    unknown_start(type_meta, length, out);
}

/// A whole watch frame.
pub fn frame(event: &str, type_meta: &[u8], message: &[u8], out: &mut Vec<u8>) {
    frame_start(event, type_meta, message.len(), out);
    out.extend_from_slice(message);
    out.extend_from_slice(UNKNOWN_END);
}

/// Encodes `value` as the message `id`; holes stay holes. Fields that the schema does not have are left out, as are the
/// object's own `kind` and `apiVersion`.
pub fn template(id: MessageId, value: &Value) -> Encoded {
    let mut writer = Writer::default();
    message(Schema::get().message(id), value, &mut writer);
    Encoded::new(writer.end())
}

/// Encodes `value` as the message `id`.
pub fn encode(id: MessageId, value: &Value) -> Vec<u8> {
    let mut writer = Writer::default();
    message(Schema::get().message(id), value, &mut writer);
    match writer.end().pop() {
        Some(Segment::Static(bytes)) => bytes.into(),
        _ => Vec::new(),
    }
}

/// A length-delimited field of these segments.
pub fn nested(number: u32, body: Vec<Segment>) -> Segment {
    let mut header = Vec::new();
    tag(number, DELIMITED, &mut header);
    Segment::Nested(header.into(), body)
}

/// Gathers segments, joining what is static.
#[derive(Default)]
struct Writer {
    done: Vec<Segment>,
    bytes: Vec<u8>,
}

impl Writer {
    fn end(mut self) -> Vec<Segment> {
        self.flush();
        self.done
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.done.push(Segment::Static(std::mem::take(&mut self.bytes).into()));
        }
    }

    /// A length-delimited field; what has no holes becomes part of the static bytes.
    fn nested(&mut self, number: u32, body: Vec<Segment>) {
        match body.as_slice() {
            [] => delimited(number, &[], &mut self.bytes),
            [Segment::Static(bytes)] => delimited(number, bytes, &mut self.bytes),
            _ => {
                self.flush();
                self.done.push(nested(number, body));
            }
        }
    }

    fn number(&mut self, number: u32, value: u64) {
        tag(number, VARINT, &mut self.bytes);
        varint(value, &mut self.bytes);
    }

    fn hole(&mut self, number: u32, hole: Hole) {
        tag(number, VARINT, &mut self.bytes);
        self.flush();
        self.done.push(Segment::Varint(hole));
    }
}

fn message(message_type: &super::schema::Message, value: &Value, out: &mut Writer) {
    for (field, inlined) in message_type.inlined() {
        let mut inner = Writer::default();
        message(Schema::get().message(inlined), value, &mut inner);
        let body = inner.end();
        if !body.is_empty() {
            out.nested(field.number, body);
        }
    }
    let Some(object) = value.as_object() else { return };
    for (name, value) in object {
        let Some(field) = message_type.field(name) else { continue };
        match field.arity {
            Arity::One => one(field, value, out),
            Arity::Many => value.as_array().into_iter().flatten().for_each(|value| one(field, value, out)),
            Arity::Map => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let mut entry = Writer::default();
                    entry.nested(1, split(key));
                    one(&Field { number: 2, arity: Arity::One, ..field.clone() }, value, &mut entry);
                    out.nested(field.number, entry.end());
                }
            }
        }
    }
}

#[allow(clippy::cast_sign_loss)] // Protobuf writes negative numbers as their two's complement.
fn one(field: &Field, value: &Value, out: &mut Writer) {
    if value.is_null() {
        return;
    }
    let number = field.number;
    let mut inner = Writer::default();
    match field.kind {
        Type::String => return out.nested(number, split(value.as_str().unwrap_or_default())),
        Type::Bytes => {
            let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
            return delimited(number, &bytes, &mut out.bytes);
        }
        Type::Bool => return out.number(number, value.as_bool().unwrap_or_default().into()),
        Type::Int | Type::Long => {
            return match value.as_str().and_then(Hole::whole) {
                Some(hole) => out.hole(number, hole),
                None => out.number(number, value.as_i64().unwrap_or_default() as u64),
            };
        }
        Type::Double => {
            tag(number, FIXED64, &mut out.bytes);
            out.bytes.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
            return;
        }
        Type::Time => {
            let text = value.as_str().unwrap_or_default();
            if let Some(hole) = Hole::whole(text) {
                inner.hole(1, hole);
            } else if let Ok(time) = text.parse::<jiff::Timestamp>() {
                inner.number(1, time.as_second() as u64);
                inner.number(2, i64::from(time.subsec_nanosecond()) as u64);
            }
        }
        Type::Quantity => match value.as_str() {
            Some(text) => inner.nested(1, split(text)),
            None => delimited(1, value.to_string().as_bytes(), &mut inner.bytes),
        },
        Type::IntOrString => {
            inner.number(1, u64::from(value.is_string()));
            match value.as_str() {
                Some(text) => delimited(3, text.as_bytes(), &mut inner.bytes),
                None => inner.number(2, value.as_i64().unwrap_or_default() as u64),
            }
        }
        Type::Duration => {
            let span: Option<jiff::SignedDuration> = value.as_str().and_then(|text| text.parse().ok());
            let nanoseconds = span.and_then(|span| i64::try_from(span.as_nanos()).ok());
            inner.number(1, nanoseconds.unwrap_or(0) as u64);
        }
        Type::Raw => inner.nested(1, split(&value.to_string())),
        Type::Message(id) => message(Schema::get().message(id), value, &mut inner),
    }
    out.nested(number, inner.end());
}
