//! The shape of the API's protobuf messages, read once from `schema.txt`.
//!
//! Owns names, numbers and types of fields; knows nothing of values or bytes (see `wire`).

use std::collections::HashMap;
use std::sync::OnceLock;

/// How a field's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    String,
    /// Base64 text in JSON.
    Bytes,
    Bool,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    Double,
    /// RFC 3339 text in JSON; seconds and nanoseconds on the wire.
    Time,
    /// Text, or a number in sloppy JSON; a message with one string on the wire.
    Quantity,
    IntOrString,
    /// Text such as `1m0s` in JSON; nanoseconds on the wire.
    Duration,
    /// Any JSON, kept as its text inside a message with one bytes field.
    Raw,
    Message(MessageId),
}

/// Which message of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(usize);

/// Once, many times, or keyed by a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    One,
    Many,
    Map,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub number: u32,
    /// The name in JSON; empty when the message is inlined there.
    pub name: &'static str,
    pub kind: Type,
    pub arity: Arity,
}

#[derive(Debug, Default)]
pub struct Message {
    /// Such as `core.v1.Pod`.
    pub name: &'static str,
    pub fields: Vec<Field>,
    by_name: HashMap<&'static str, usize>,
}

impl Message {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|&at| &self.fields[at])
    }

    /// Messages whose fields stand among this one's in JSON.
    pub fn inlined(&self) -> impl Iterator<Item = (&Field, MessageId)> {
        self.fields.iter().filter_map(|field| match field.kind {
            Type::Message(id) if field.name.is_empty() => Some((field, id)),
            _ => None,
        })
    }
}

/// All messages that the simulator can write.
#[derive(Debug)]
pub struct Schema {
    messages: Vec<Message>,
    names: HashMap<&'static str, MessageId>,
}

impl Schema {
    /// The schema that comes with the crate.
    pub fn get() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| Self::parse(include_str!("schema.txt")))
    }

    /// The message called `name`, such as `core.v1.Pod`.
    pub fn id(&self, name: &str) -> Option<MessageId> {
        self.names.get(name).copied()
    }

    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    /// Lines that do not parse are left out: the tests make sure that there are none.
    fn parse(text: &'static str) -> Self {
        let lines = || text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let names: HashMap<_, _> =
            lines().filter(|line| !line.starts_with(' ')).enumerate().map(|(at, name)| (name, MessageId(at))).collect();
        let mut messages: Vec<Message> = Vec::with_capacity(names.len());
        for line in lines() {
            if !line.starts_with(' ') {
                messages.push(Message { name: line, ..Message::default() });
            } else if let (Some(message), Some(field)) = (messages.last_mut(), parse_field(line, &names)) {
                if !field.name.is_empty() {
                    message.by_name.insert(field.name, message.fields.len());
                }
                message.fields.push(field);
            }
        }
        Self { messages, names }
    }
}

fn parse_field(line: &'static str, names: &HashMap<&'static str, MessageId>) -> Option<Field> {
    let mut words = line.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let name = words.next().map(|name| if name == "+" { "" } else { name })?;
    let (arity, word) = match words.next()? {
        "map" => (Arity::Map, words.next()?),
        word => word.strip_prefix('*').map_or((Arity::One, word), |word| (Arity::Many, word)),
    };
    let kind = match word {
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "long" => Type::Long,
        "double" => Type::Double,
        "time" => Type::Time,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntOrString,
        "duration" => Type::Duration,
        "raw" => Type::Raw,
        message => Type::Message(*names.get(message)?),
    };
    Some(Field { number, name, kind, arity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_schema_is_understood() {
        let text = include_str!("schema.txt");
        let fields = text.lines().filter(|line| line.starts_with(' ')).count();
        let schema = Schema::get();
        assert_eq!(schema.messages.iter().map(|message| message.fields.len()).sum::<usize>(), fields);
        let pod = schema.message(schema.id("core.v1.Pod").unwrap());
        assert_eq!(pod.field("spec").unwrap().number, 2);
        let volume = schema.message(schema.id("core.v1.Volume").unwrap());
        let (field, source) = volume.inlined().next().unwrap();
        assert_eq!(field.number, 2);
        assert!(schema.message(source).field("emptyDir").is_some());
    }
}
