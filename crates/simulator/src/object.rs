//! One object of the world: an immutable state, shared by tables, history and whoever is reading it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::catalog::ResourceId;
use crate::cluster::node::Node;
use crate::cluster::pod::Pod;
use crate::encoding::template::{Encoded, Fill, Filling, Hole, Short};
use crate::encoding::wire;

/// An object as of one resource version.
#[derive(Debug)]
pub struct Object {
    pub resource: ResourceId,
    /// `namespace/name`, or the name: the order of these is the order of the API server's keys.
    pub key: Arc<str>,
    /// The resource version.
    pub version: u64,
    pub body: Body,
    /// Where its watch frame lies ready, if it does.
    pub ready: Option<ReadyFrame>,
}

#[derive(Debug)]
pub enum Body {
    Pod(Pod),
    Node(Node),
    /// JSON text without `kind` and `apiVersion` (custom resources have them), and its protobuf once asked for.
    Text(Box<[u8]>, OnceLock<Box<[u8]>>),
}

/// What the objects of one workload and state share: made when the first of them is read.
pub struct Template {
    make: Box<dyn Fn() -> Parts + Send + Sync>,
    made: OnceLock<Parts>,
}

/// Objects with holes, in both encodings.
#[derive(Debug)]
pub struct Parts {
    json: Encoded,
    message: Encoded,
    labels: Vec<(Box<str>, Encoded)>,
}

impl Parts {
    pub fn new(json: Encoded, message: Encoded, labels: &Value) -> Self {
        let label = |(name, value): (&String, &Value)| {
            (name.as_str().into(), Encoded::text(value.as_str().unwrap_or_default()))
        };
        Self { json, message, labels: labels.as_object().into_iter().flatten().map(label).collect() }
    }

    /// Of an object that is given by its JSON.
    pub fn of(resource: ResourceId, value: &Value) -> Self {
        let message = resource.encoding().message.map(|id| wire::template(id, value)).unwrap_or_default();
        Self::new(Encoded::json_text(&value.to_string()), message, &value["metadata"]["labels"])
    }
}

impl Template {
    pub fn new(make: impl Fn() -> Parts + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), made: OnceLock::new() }
    }

    fn parts(&self) -> &Parts {
        self.made.get_or_init(|| (self.make)())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.made).finish()
    }
}

/// Frames encoded ahead lie end to end in large chunks, so that neighbours go out as one piece.
#[derive(Debug, Clone)]
pub struct ReadyFrame {
    pub chunk: u32,
    pub start: u32,
    /// Where the object's message begins within the frame's chunk.
    pub message: u32,
    pub end: u32,
}

impl ReadyFrame {
    /// The object's message alone.
    pub fn message(&self) -> Range<usize> {
        self.message as usize..self.end as usize - wire::UNKNOWN_END.len()
    }
}

/// An object's holes are filled by its body, but for the version, which is the object's.
struct Filler<'a>(&'a Object, &'a dyn Fill);

impl Fill for Filler<'_> {
    fn fill(&self, hole: Hole) -> Filling<'_> {
        match hole {
            Hole::Version => Filling::Short(Short::new(format_args!("{}", self.0.version))),
            Hole::Name => Filling::Text(self.0.name()),
            hole => self.1.fill(hole),
        }
    }
}

impl Object {
    /// An object from its JSON value, which gets the version; 0: it was never stored and has none.
    pub fn from_value(resource: ResourceId, version: u64, mut value: Value) -> Self {
        if version > 0 {
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        if let (false, Some(object)) = (resource.custom || resource.is_metrics(), value.as_object_mut()) {
            object.remove("kind");
            object.remove("apiVersion");
        }
        let metadata = &value["metadata"];
        let key =
            key(metadata["namespace"].as_str().unwrap_or_default(), metadata["name"].as_str().unwrap_or_default());
        let text = value.to_string().into_bytes().into();
        Self { resource, key, version, body: Body::Text(text, OnceLock::new()), ready: None }
    }

    /// The same object as of another version.
    pub fn at_version(&self, version: u64) -> Self {
        let body = match &self.body {
            Body::Pod(pod) => Body::Pod(pod.clone()),
            Body::Node(node) => Body::Node(node.clone()),
            Body::Text(..) => return Self::from_value(self.resource, version, self.value()),
        };
        Self { resource: self.resource, key: Arc::clone(&self.key), version, body, ready: None }
    }

    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&self.key, |(_, name)| name)
    }

    fn filled(&self) -> Option<(Filler<'_>, &Parts)> {
        match &self.body {
            Body::Pod(pod) => Some((Filler(self, pod), pod.template.parts())),
            Body::Node(node) => Some((Filler(self, node), node.look.template.parts())),
            Body::Text(..) => None,
        }
    }

    /// Appends the object's JSON, with its `kind` and `apiVersion` where `typed`; custom resources always have them.
    pub fn write_json(&self, typed: bool, out: &mut Vec<u8>) {
        let start = out.len();
        if typed && !self.resource.custom && !self.resource.is_metrics() {
            out.extend_from_slice(b"{\"kind\":\"");
            out.extend_from_slice(self.resource.kind.as_bytes());
            out.extend_from_slice(b"\",\"apiVersion\":\"");
            out.extend_from_slice(self.resource.api_version().as_bytes());
            out.extend_from_slice(b"\"");
        }
        let brace = out.len();
        match (&self.body, self.filled()) {
            (Body::Text(text, _), _) => out.extend_from_slice(text),
            (_, Some((filler, parts))) => parts.json.write(&filler, out),
            (_, None) => {}
        }
        if brace > start && brace < out.len() {
            out[brace] = b',';
        }
    }

    /// The object as a value, typed.
    pub fn value(&self) -> Value {
        let mut text = Vec::new();
        self.write_json(true, &mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The length of the object's protobuf message.
    pub fn message_length(&self) -> usize {
        match self.filled() {
            Some((filler, parts)) => parts.message.length(&filler),
            None => self.text_message().len(),
        }
    }

    /// Appends the object's protobuf message after what `head` makes of its length; kinds without one have an empty one.
    pub fn write_message(&self, head: impl FnOnce(usize, &mut Vec<u8>), out: &mut Vec<u8>) {
        if let Some((filler, parts)) = self.filled() {
            parts.message.write_after(&filler, head, out);
        } else {
            let message = self.text_message();
            head(message.len(), out);
            out.extend_from_slice(message);
        }
    }

    fn text_message(&self) -> &[u8] {
        let (Body::Text(text, message), Some(id)) = (&self.body, self.resource.encoding().message) else { return &[] };
        message.get_or_init(|| wire::encode(id, &serde_json::from_slice(text).unwrap_or_default()).into())
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        if let Some((filler, parts)) = self.filled() {
            let label = |(name, value): &(Box<str>, Encoded)| {
                let mut text = Vec::new();
                value.write(&filler, &mut text);
                (name.to_string(), String::from_utf8(text).unwrap_or_default())
            };
            return parts.labels.iter().map(label).collect();
        }
        serde_json::from_value(self.value()["metadata"]["labels"].take()).unwrap_or_default()
    }

    /// The value of a field by its path, for field selectors; empty where the object does not have it.
    pub fn field(&self, path: &str) -> Cow<'_, str> {
        match (path, &self.body) {
            ("metadata.name", _) => return self.name().into(),
            ("metadata.namespace", _) => return self.namespace().into(),
            ("spec.nodeName", Body::Pod(pod)) => return pod.node_name().into(),
            ("status.phase", Body::Pod(pod)) => return pod.state.phase().into(),
            _ => {}
        }
        let value = self.value();
        let path = if path == "source" { "source.component" } else { path };
        match path.split('.').fold(&value, |value, name| &value[name]) {
            Value::String(text) => text.clone().into(),
            Value::Null if path == "spec.unschedulable" || path == "spec.hostNetwork" => "false".into(),
            Value::Null => "".into(),
            other => other.to_string().into(),
        }
    }
}

/// The key of an object in its table.
pub fn key(namespace: &str, name: &str) -> Arc<str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}
