//! What a recording says of each collection and each single answer, in the order of time: loaded once, looked up by
//! every request.
//!
//! A collection is played as what is known of it, not as the bytes that once came: which way a list is asked for hangs on
//! how fast a link is, and the link to a replay is another one. So whatever lists and watches a client asks for, it gets
//! the objects that the recording has, no earlier than they came.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::http::query::Query;
use crate::problem::Problem;
use crate::recording::{End, Entry, Head, Reader, Recorded, What};

/// Parameters that say how to read a collection, not what of it.
const MANNER: [&str; 10] = [
    "limit",
    "continue",
    "watch",
    "allowWatchBookmarks",
    "sendInitialEvents",
    "resourceVersion",
    "resourceVersionMatch",
    "timeoutSeconds",
    "timeout",
    "pretty",
];

/// What is asked for, whatever the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    pub path: String,
    /// Selectors and other parameters, sorted.
    selection: String,
    /// `Table`, `PartialObjectMetadata`, or nothing for whole objects.
    shape: String,
}

impl Subject {
    pub fn new(path: &str, query: &str, accept: &str) -> Self {
        let name = |part: &str| part.split_once('=').map_or(part, |(name, _)| name).to_owned();
        let mut selection: Vec<&str> =
            query.split('&').filter(|part| !part.is_empty() && !MANNER.contains(&name(part).as_str())).collect();
        selection.sort_unstable();
        let shape = accept.split(',').next().unwrap_or_default();
        let shape = shape.split(';').find_map(|part| part.trim().strip_prefix("as=")).unwrap_or_default();
        let shape = shape.strip_suffix("List").unwrap_or(shape).to_owned();
        Self { path: path.to_owned(), selection: selection.join("&"), shape }
    }

    /// The same subject as a single answer: everything of the query counts.
    fn single(method: &str, path: &str, query: &str, body: Option<&Value>) -> String {
        format!("{method} {path}?{query} {}", body.map(Value::to_string).unwrap_or_default())
    }
}

/// Whether a path is of a collection, and not of one object or of something else.
pub fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = parts.as_slice() else { return false };
    matches!(rest, [_] | ["namespaces", _, _])
}

/// An answer that is played as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Single {
    pub at: u64,
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<u32>,
    pub body: String,
}

/// Something that became known of a collection.
#[derive(Debug)]
pub struct Step {
    /// Milliseconds since the start of the recording.
    pub at: u64,
    pub change: Change,
    /// The version that a client may go on from after it.
    pub version: Option<String>,
}

#[derive(Debug)]
pub enum Change {
    Present(Arc<str>, Arc<str>),
    Gone(Arc<str>, Arc<str>),
    /// The list is whole.
    Whole,
    /// Nothing but the version.
    Mark,
    Refused(Box<Single>),
    /// Watches end; `true`: in the middle.
    Ended(bool),
}

/// Everything that is known of a collection.
#[derive(Debug, Default)]
pub struct Collection {
    pub steps: Vec<Step>,
    /// `apiVersion` and `kind` of its objects, without those of a list.
    pub kind: (String, String),
    /// Of a table.
    pub columns: Value,
    /// What is there after all steps so far, for the sweep.
    known: BTreeMap<Arc<str>, Arc<str>>,
    /// What the list that comes has mentioned.
    mentioned: BTreeSet<Arc<str>>,
}

/// A recording, ready to be played.
#[derive(Debug)]
pub struct Timeline {
    pub head: Head,
    pub collections: HashMap<Subject, Collection>,
    pub singles: HashMap<String, Vec<Single>>,
    /// Milliseconds from its start to its end.
    pub end: u64,
    /// Why it is not whole, if it is not.
    pub short: Option<String>,
}

/// A request whose answer is on its way.
struct Open {
    method: String,
    path: String,
    query: String,
    accept: String,
    body: Option<Value>,
    watch: bool,
    /// A watch whose list is still coming.
    initial: bool,
    answer: Single,
}

/// Moves the times of objects, so that ages are what they were: time zero of the recording becomes `now_ms`, and what
/// came later comes as much faster as it is played.
#[derive(Debug, Clone, Copy)]
pub struct Shift {
    pub began_ms: i64,
    pub now_ms: i64,
    pub speed: f64,
}

impl Shift {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "milliseconds of a recording")]
    pub fn time(self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        if !(20..=30).contains(&bytes.len()) || bytes[4] != b'-' || bytes[10] != b'T' || bytes.last() != Some(&b'Z') {
            return None;
        }
        let time: Timestamp = text.parse().ok()?;
        let since = time.as_millisecond() - self.began_ms;
        let since = if since > 0 { (since as f64 / self.speed) as i64 } else { since };
        let moved = Timestamp::from_millisecond(self.now_ms + since).ok()?;
        let form = if text.contains('.') { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
        Some(moved.strftime(form).to_string())
    }

    fn value(self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|value| self.value(value)),
            Value::Array(elements) => elements.iter_mut().for_each(|value| self.value(value)),
            Value::String(text) => {
                if let Some(moved) = self.time(text) {
                    *text = moved;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl Timeline {
    /// Reads a recording, to be played from now on.
    pub fn read(path: &Path, speed: f64) -> Result<Self, Problem> {
        let mut reader = Reader::open(path)?;
        let now_ms = Timestamp::now().as_millisecond();
        let shift = Shift { began_ms: reader.head.began_ms, now_ms, speed };
        let mut timeline = Self {
            head: reader.head.clone(),
            collections: HashMap::new(),
            singles: HashMap::new(),
            end: 0,
            short: None,
        };
        let mut open = HashMap::new();
        while let Some(Entry { at, exchange, what }) = reader.entry()? {
            timeline.end = timeline.end.max(at);
            timeline.take(at, exchange, what, shift, &mut open);
        }
        if let Some(Recorded::Short(why)) = reader.end {
            timeline.short = Some(why);
        }
        timeline.collections.values_mut().for_each(|collection| {
            collection.known.clear();
            collection.mentioned.clear();
        });
        Ok(timeline)
    }

    fn take(&mut self, at: u64, exchange: u64, what: What, shift: Shift, open: &mut HashMap<u64, Open>) {
        match what {
            What::Request { method, path, accept, body } => {
                let (path, query) = path.split_once('?').unwrap_or((&path, ""));
                let parsed = Query::parse(query);
                let watch = method == "GET" && parsed.is_set("watch");
                let initial = watch && parsed.is_set("sendInitialEvents");
                let (path, query) = (path.to_owned(), query.to_owned());
                let answer =
                    Single { at, status: 0, content_type: String::new(), retry_after: None, body: String::new() };
                open.insert(exchange, Open { method, path, query, accept, body, watch, initial, answer });
            }
            What::Answer { status, content_type, retry_after } => {
                let Some(open) = open.get_mut(&exchange) else { return };
                open.answer = Single { at, status, content_type, retry_after, body: String::new() };
                if open.initial && status == 200 {
                    self.collection(open).mentioned.clear();
                }
            }
            What::Body(mut body) => {
                let Some(open) = open.get_mut(&exchange) else { return };
                shift.value(&mut body);
                open.answer.at = at;
                if open.method == "GET" && is_collection(&open.path) && open.answer.status == 200 {
                    let first = !open.query.split('&').any(|part| part.starts_with("continue="));
                    self.collection(open).page(at, body, first);
                } else {
                    open.answer.body = body.to_string();
                    self.answered(open);
                }
            }
            What::Event(mut event) => {
                let Some(open) = open.get_mut(&exchange) else { return };
                shift.value(&mut event);
                let ended = self.collection(open).event(at, event, open.initial);
                open.initial &= !ended;
            }
            What::Failed(why) => {
                let Some(mut open) = open.remove(&exchange) else { return };
                let message = format!("recorded: {why}");
                open.answer = Single { at, ..super::refusal(503, &message) };
                self.answered(&open);
            }
            What::End(end) => {
                let Some(open) = open.remove(&exchange) else { return };
                if open.watch && open.answer.status == 200 && end != End::Left {
                    self.collection(&open).step(at, Change::Ended(end == End::Cut), None);
                }
            }
            What::Lost(_) | What::Finished {} => {}
        }
    }

    fn collection(&mut self, open: &Open) -> &mut Collection {
        self.collections.entry(Subject::new(&open.path, &open.query, &open.accept)).or_default()
    }

    /// An answer that is no list.
    fn answered(&mut self, open: &Open) {
        let answer = open.answer.clone();
        if open.method == "GET" && is_collection(&open.path) {
            // How a list was asked for is no concern of whoever asks in another way now.
            let of_the_way = answer.status == 410 || answer.body.contains("sendInitialEvents");
            if !of_the_way {
                let at = answer.at;
                self.collection(open).step(at, Change::Refused(Box::new(answer)), None);
            }
            return;
        }
        let subject = Subject::single(&open.method, &open.path, &open.query, open.body.as_ref());
        self.singles.entry(subject).or_default().push(answer);
    }

    /// The answers to a request that is none for a collection.
    pub fn singles(&self, method: &str, path: &str, query: &str, body: Option<&Value>) -> &[Single] {
        self.singles.get(&Subject::single(method, path, query, body)).map_or(&[], Vec::as_slice)
    }
}

/// Namespace, name and uid: in this order a server lists.
fn identity(item: &Value) -> Arc<str> {
    let metadata = item.pointer("/object/metadata").or_else(|| item.get("metadata"));
    let part = |name: &str| metadata.and_then(|metadata| metadata.get(name)?.as_str()).unwrap_or_default();
    format!("{}/{}/{}", part("namespace"), part("name"), part("uid")).into()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Takes what says the kind of an object off it: lists do not have it, and events do.
fn bare(mut item: Value, kind: &mut (String, String)) -> Value {
    let Some(fields) = item.as_object_mut() else { return item };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let found = (take("apiVersion"), take("kind"));
    if !found.1.is_empty() {
        *kind = found;
    }
    item
}

impl Collection {
    fn step(&mut self, at: u64, change: Change, version: Option<String>) {
        self.steps.push(Step { at, change, version: version.filter(|version| !version.is_empty()) });
    }

    fn present(&mut self, at: u64, item: Value, version: Option<String>) {
        let id = identity(&item);
        let text: Arc<str> = bare(item, &mut self.kind).to_string().into();
        self.mentioned.insert(Arc::clone(&id));
        self.known.insert(Arc::clone(&id), Arc::clone(&text));
        self.step(at, Change::Present(id, text), version);
    }

    /// One page of a list; the first begins anew, the last sweeps.
    fn page(&mut self, at: u64, mut list: Value, first: bool) {
        if first {
            self.mentioned.clear();
        }
        let version = text(&list, "/metadata/resourceVersion").to_owned();
        let more = !text(&list, "/metadata/continue").is_empty();
        self.columns_of(&mut list);
        let items = match (list.get_mut("items").map(Value::take), list.get_mut("rows").map(Value::take)) {
            (Some(Value::Array(items)), _) => {
                let kind = text(&list, "/kind").strip_suffix("List").unwrap_or_default().to_owned();
                self.kind = (text(&list, "/apiVersion").to_owned(), kind);
                items
            }
            (_, Some(Value::Array(rows))) => rows,
            _ => Vec::new(),
        };
        items.into_iter().for_each(|item| self.present(at, item, None));
        if more { self.step(at, Change::Mark, Some(version)) } else { self.whole(at, version) }
    }

    fn columns_of(&mut self, table: &mut Value) {
        if let Some(columns @ Value::Array(_)) = table.get_mut("columnDefinitions").map(Value::take) {
            self.columns = columns;
        }
    }

    fn whole(&mut self, at: u64, version: String) {
        let gone: Vec<_> = self
            .known
            .iter()
            .filter(|(id, _)| !self.mentioned.contains(*id))
            .map(|(id, text)| (Arc::clone(id), Arc::clone(text)))
            .collect();
        for (id, text) in gone {
            self.known.remove(&id);
            self.step(at, Change::Gone(id, text), None);
        }
        self.step(at, Change::Whole, Some(version));
    }

    /// One event of a watch; true when it ends the list that the watch began with.
    fn event(&mut self, at: u64, mut event: Value, initial: bool) -> bool {
        let sort = text(&event, "/type").to_owned();
        let Some(mut object) = event.get_mut("object").map(Value::take) else { return false };
        let mut version = text(&object, "/metadata/resourceVersion").to_owned();
        let is_table = text(&object, "/kind") == "Table";
        if is_table {
            self.columns_of(&mut object);
            object = object.pointer_mut("/rows/0").map(Value::take).unwrap_or_default();
            let inner = text(&object, "/object/metadata/resourceVersion");
            if !inner.is_empty() {
                inner.clone_into(&mut version);
            }
        }
        // While a list comes, versions are in no order.
        let at_version = (!initial).then_some(version.clone());
        match sort.as_str() {
            "ADDED" | "MODIFIED" => self.present(at, object, at_version),
            "DELETED" => {
                let id = identity(&object);
                let text: Arc<str> = bare(object, &mut self.kind).to_string().into();
                self.known.remove(&id);
                self.step(at, Change::Gone(id, text), at_version);
            }
            "BOOKMARK" => {
                let end = |pointer| {
                    let annotations: Option<&Map<String, Value>> = object.pointer(pointer).and_then(Value::as_object);
                    annotations.is_some_and(|annotations| {
                        annotations.get("k8s.io/initial-events-end").is_some_and(|end| end == "true")
                    })
                };
                if initial && (end("/metadata/annotations") || end("/object/metadata/annotations")) {
                    bare(object, &mut self.kind);
                    self.whole(at, version);
                    return true;
                }
                // All that an empty list says of its kind.
                bare(object, &mut self.kind);
                self.step(at, Change::Mark, at_version);
            }
            _ => {}
        }
        false
    }
}
