//! What Kubernetes objects of every kind have in common on the wire, in protobuf and in JSON.
//!
//! A message declares only the fields that a row needs; everything else is skipped. Text is [`Bytes`]: `string` and
//! `bytes` are the same in protobuf, so that decoding copies nothing and checks nothing; [`text`] makes it readable.
//! Field numbers are those of `generated.proto` in `k8s.io/api` and `k8s.io/apimachinery`; they never change.
//!
//! Protobuf writes messages that Go holds by value even when they are empty, JSON leaves them out: logic must treat
//! `None` and an empty message alike, except where Go holds a pointer (`state.terminated`, `started`, `replicas`).
//! Knows nothing of rows and streams.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor},
};

/// Declares messages that are read from protobuf and from JSON: `prost` attributes as usual, JSON names in camel case
/// (`#[serde(rename = "podIP")]` where that is wrong), and every field may be absent or `null` in JSON.
macro_rules! wire {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident { $( $(#[$field_attribute:meta])* pub $field:ident: $type:ty, )* }
    )*) => { $(
        $(#[$attribute])*
        #[derive(Clone, PartialEq, ::prost::Message, ::serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $(
            $(#[$field_attribute])*
            #[serde(deserialize_with = "crate::kinds::wire::Field::read")]
            pub $field: $type,
        )* }

        impl $crate::kinds::wire::Item for $name {
            fn read_all<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
                Ok(<Option<_> as ::serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
            }
        }
    )* };
}
pub(crate) use wire;

wire! {
    /// `metadata` of every object, without annotations, finalizers and managed fields.
    pub struct ObjectMeta {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub namespace: Bytes,
        #[prost(bytes = "bytes", tag = "5")] pub uid: Bytes,
        #[prost(bytes = "bytes", tag = "6")] pub resource_version: Bytes,
        #[prost(message, tag = "8")] pub creation_timestamp: Option<Time>,
        #[prost(message, tag = "9")] pub deletion_timestamp: Option<Time>,
        #[prost(message, repeated, tag = "11")] pub labels: Vec<Entry>,
        #[prost(message, repeated, tag = "13")] pub owner_references: Vec<OwnerReference>,
    }

    pub struct OwnerReference {
        #[prost(bytes = "bytes", tag = "1")] pub kind: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub name: Bytes,
        #[prost(bytes = "bytes", tag = "4")] pub uid: Bytes,
        #[prost(bool, tag = "6")] pub controller: bool,
    }

    /// `metav1.LabelSelector`, as workloads hold it. Its `Display` is what kubectl prints.
    pub struct LabelSelector {
        #[prost(message, repeated, tag = "1")] pub match_labels: Vec<Entry>,
        #[prost(message, repeated, tag = "2")] pub match_expressions: Vec<LabelSelectorRequirement>,
    }

    pub struct LabelSelectorRequirement {
        #[prost(bytes = "bytes", tag = "1")] pub key: Bytes,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        #[prost(bytes = "bytes", tag = "2")] pub operator: Bytes,
        #[prost(bytes = "bytes", repeated, tag = "3")] pub values: Vec<Bytes>,
    }
}

impl ObjectMeta {
    /// When the object was created, Unix seconds.
    pub fn created(&self) -> Option<i64> {
        self.creation_timestamp.and_then(Time::unix)
    }

    /// When the object is or was to be gone, Unix seconds; `None` while nobody has deleted it.
    pub fn deleted(&self) -> Option<i64> {
        self.deletion_timestamp.and_then(Time::unix)
    }

    /// The owner that manages this object, as `kubectl` and garbage collection see it.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&Bytes> {
        self.labels.iter().find(|label| label.key == key).map(|label| &label.value)
    }
}

/// Text from the wire for people. The API server only stores valid UTF-8; what is not becomes `�`.
pub fn text(bytes: &Bytes) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// One pair of a `map<string, string>`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Entry {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// One pair of a `ResourceList`, a `map<string, Quantity>`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Resource {
    #[prost(bytes = "bytes", tag = "1")]
    pub name: Bytes,
    #[prost(message, tag = "2")]
    pub quantity: Option<Quantity>,
}

/// An amount as the server wrote it, read with [`crate::util::quantity`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Quantity {
    #[prost(bytes = "bytes", tag = "1")]
    pub string: Bytes,
}

impl Quantity {
    pub fn as_str(&self) -> Cow<'_, str> {
        text(&self.string)
    }
}

/// A number or a name: a port, or a number or a percentage.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct IntOrString {
    /// 0: the number counts, 1: the text.
    #[prost(int64, tag = "1")]
    pub kind: i64,
    #[prost(int32, tag = "2")]
    pub number: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub string: Bytes,
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == 0 { self.number.fmt(f) } else { f.write_str(&text(&self.string)) }
    }
}

/// `metav1.Time` and `metav1.MicroTime`. Protobuf writes Go's zero time as an empty message, JSON as `null`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Time {
    /// Unix seconds, `None` for Go's zero time.
    pub fn unix(self) -> Option<i64> {
        (self != Time::default()).then_some(self.seconds)
    }
}

impl fmt::Display for LabelSelector {
    /// As `metav1.FormatLabelSelector`: sorted by key, `<none>` where there is nothing, `<error>` where an operator is
    /// unknown or its values do not fit it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut requirements: Vec<(&Bytes, String)> = Vec::new();
        for label in &self.match_labels {
            requirements.push((&label.key, format!("{}={}", text(&label.key), text(&label.value))));
        }
        for LabelSelectorRequirement { key, operator, values } in &self.match_expressions {
            let name = text(key);
            let mut sorted: Vec<_> = values.iter().map(text).collect();
            sorted.sort_unstable();
            let list = sorted.join(",");
            let shown = match (operator.as_ref(), values.is_empty()) {
                (b"In", false) => format!("{name} in ({list})"),
                (b"NotIn", false) => format!("{name} notin ({list})"),
                (b"Exists", true) => name.into_owned(),
                (b"DoesNotExist", true) => format!("!{name}"),
                _ => return f.write_str("<error>"),
            };
            requirements.push((key, shown));
        }
        if requirements.is_empty() {
            return f.write_str("<none>");
        }
        requirements.sort_by_key(|(key, _)| *key);
        for (index, (_, shown)) in requirements.iter().enumerate() {
            write!(f, "{}{shown}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// How a field of a `wire!` message is read from JSON.
pub trait Field: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

macro_rules! plain_fields {
    ($($type:ty),*) => { $(
        impl Field for $type {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Option::deserialize(deserializer)?.unwrap_or_default())
            }
        }
    )* };
}
plain_fields!(bool, i32, i64, Bytes);

impl<T: for<'de> Deserialize<'de>> Field for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer)
    }
}

impl<T: Item> Field for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read_all(deserializer)
    }
}

/// What a repeated field holds: a list in JSON, or for the pairs of a map an object.
pub trait Item: Sized {
    fn read_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error>;
}

impl Item for Bytes {
    fn read_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

impl Item for Entry {
    fn read_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
        read_pairs(deserializer, |key, value: Option<Bytes>| Entry { key, value: value.unwrap_or_default() })
    }
}

impl Item for Resource {
    fn read_all<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Self>, D::Error> {
        read_pairs(deserializer, |name, quantity| Resource { name, quantity })
    }
}

/// Reads an object or `null` as pairs, in the order of the text.
fn read_pairs<'de, D, V, T>(deserializer: D, pair: fn(Bytes, V) -> T) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Pairs<V, T>(fn(Bytes, V) -> T);

    impl<'de, V: Deserialize<'de>, T> Visitor<'de> for Pairs<V, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or null")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some((key, value)) = map.next_entry()? {
                pairs.push((self.0)(key, value));
            }
            Ok(pairs)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(Pairs(pair))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;

        impl Visitor<'_> for Rfc3339 {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-01-31T12:00:00Z")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                // Go's zero time, where something wrote it out.
                if text.starts_with("0001-01-01T00:00:00") {
                    return Ok(Time::default());
                }
                let time: jiff::Timestamp = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(Time { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Whole(i64),
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let string = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Whole(number) => number.to_string(),
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        };
        Ok(Quantity { string: string.into() })
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Whole(number) => {
                let number = i32::try_from(number).map_err(D::Error::custom)?;
                Ok(IntOrString { kind: 0, number, string: Bytes::new() })
            }
            NumberOrText::Number(_) => Err(D::Error::custom("expected a whole number or text")),
            NumberOrText::Text(text) => Ok(IntOrString { kind: 1, number: 0, string: text.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn metadata_reads_the_same_from_both_formats() {
        let meta: ObjectMeta = read(
            r#"{"name":"a\u00e9","namespace":"n","uid":"u","resourceVersion":"7","generation":3,
                "creationTimestamp":"2026-01-31T12:00:00Z","labels":{"app":"x","empty":""},
                "ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"o"},
                                   {"kind":"ReplicaSet","name":"r","uid":"1","controller":true}]}"#,
        );
        assert_eq!(text(&meta.name), "aé");
        assert_eq!(meta.created(), Some(1_769_860_800));
        assert_eq!(meta.deleted(), None);
        assert_eq!(meta.label("app").unwrap(), "x");
        assert_eq!(meta.label("empty").unwrap(), "");
        assert_eq!(meta.label("none"), None);
        assert_eq!(meta.controller().unwrap().name, "r");
        assert_eq!(ObjectMeta::decode(meta.encode_to_vec().as_slice()).unwrap(), meta);
    }

    #[test]
    fn null_is_absent() {
        let meta: ObjectMeta = read(
            r#"{"name":null,"creationTimestamp":null,"labels":null,"ownerReferences":null,"deletionTimestamp":null}"#,
        );
        assert_eq!(meta, ObjectMeta::default());
        let meta: ObjectMeta = read(r#"{"labels":{"a":null}}"#);
        assert_eq!(meta.label("a").unwrap(), "");
    }

    #[test]
    fn decoding_protobuf_text_copies_nothing() {
        let encoded = Bytes::from(ObjectMeta { name: "some-name".into(), ..Default::default() }.encode_to_vec());
        let meta = ObjectMeta::decode(encoded.clone()).unwrap();
        assert!(encoded.as_ptr_range().contains(&meta.name.as_ptr()));
    }

    #[test]
    fn go_zero_time_is_no_time_in_both_formats() {
        // Field 8, length 0: what the API server writes for a zero `creationTimestamp`.
        let meta = ObjectMeta::decode([0x42, 0].as_slice()).unwrap();
        assert_eq!((meta.creation_timestamp, meta.created()), (Some(Time::default()), None));
        assert_eq!(read::<Time>(r#""0001-01-01T00:00:00Z""#).unix(), None);
        assert_eq!(
            read::<Time>(r#""2026-01-31T13:00:00.25+01:00""#),
            Time { seconds: 1_769_860_800, nanos: 250_000_000 }
        );
        assert!(serde_json::from_str::<Time>(r#""yesterday""#).unwrap_err().to_string().contains("yesterday"));
    }

    #[test]
    fn quantities_and_ports_may_be_numbers() {
        let pairs: Vec<Resource> = {
            let mut json = serde_json::Deserializer::from_str(r#"{"cpu":0.5,"memory":"1Gi","pods":110}"#);
            Field::read(&mut json).unwrap()
        };
        let shown: Vec<_> = pairs.iter().map(|pair| pair.quantity.as_ref().unwrap().as_str()).collect();
        assert_eq!(shown, ["0.5", "1Gi", "110"]);
        assert_eq!(read::<IntOrString>("80").to_string(), "80");
        assert_eq!(read::<IntOrString>(r#""25%""#).to_string(), "25%");
        assert!(serde_json::from_str::<IntOrString>("99999999999").is_err());
        assert!(serde_json::from_str::<IntOrString>("1.5").is_err());
    }

    #[test]
    fn selectors_read_like_kubectl() {
        for (json, shown) in [
            ("{}", "<none>"),
            (r#"{"matchLabels":{"b":"2","a":"1"}}"#, "a=1,b=2"),
            (
                r#"{"matchLabels":{"z":"1"},"matchExpressions":[
                    {"key":"c","operator":"In","values":["y","x"]},{"key":"d","operator":"NotIn","values":["v"]},
                    {"key":"e","operator":"Exists"},{"key":"f","operator":"DoesNotExist","values":[]}]}"#,
                "c in (x,y),d notin (v),e,!f,z=1",
            ),
            (r#"{"matchExpressions":[{"key":"c","operator":"Near","values":["y"]}]}"#, "<error>"),
            (r#"{"matchExpressions":[{"key":"c","operator":"In"}]}"#, "<error>"),
        ] {
            assert_eq!(read::<LabelSelector>(json).to_string(), shown, "{json}");
        }
    }
}
