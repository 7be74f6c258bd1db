//! Answers to requests out of a timeline: nothing before its time, and nothing that the recording does not have.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::refusal;
use super::timeline::{Change, Collection, Single, Step, Subject, Timeline, is_collection};
use crate::http::answer::{Answer, Body};
use crate::http::query::Query;

/// How often a watch is told how far it is once the recording is over.
const BOOKMARK: Duration = Duration::from_secs(30);
/// No client sends more.
const BODY_LIMIT: usize = 4 << 20;

const NOT_ASKED: &str = "the recording does not have this: it was not asked for while it was made";
const NOT_WHOLE: &str = "the recording ends before this list is whole";

/// A timeline that is being played.
#[derive(Debug)]
pub struct Player {
    timeline: Timeline,
    token: String,
    started: Instant,
    speed: f64,
}

/// Namespace, name and uid → the object, and when it came.
type State<'a> = BTreeMap<&'a str, (&'a Arc<str>, u64)>;

impl Player {
    pub fn new(timeline: Timeline, token: String, speed: f64) -> Self {
        Self { timeline, token, started: Instant::now(), speed }
    }

    /// How far the recording is, in its own milliseconds.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since the start")]
    fn now(&self) -> u64 {
        (self.started.elapsed().as_secs_f64() * 1000.0 * self.speed) as u64
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a recording")]
    async fn until(&self, at: u64) {
        sleep_until(self.started + Duration::from_secs_f64(at as f64 / 1000.0 / self.speed)).await;
    }

    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let text =
            |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        if text(header::AUTHORIZATION).strip_prefix("Bearer ") != Some(&*self.token) {
            return single(&refusal(401, "Unauthorized"));
        }
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        if head.method == Method::GET && is_collection(path) {
            let subject = Subject::new(path, query, text(header::ACCEPT));
            if !self.timeline.collections.contains_key(&subject) {
                return single(&refusal(404, NOT_ASKED));
            }
            let query = Query::parse(query);
            return if query.is_set("watch") { self.watch(subject, &query) } else { self.list(&subject, &query).await };
        }
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return single(&refusal(400, "the body cannot be read"));
        };
        let body: Option<Value> = serde_json::from_slice(&body.to_bytes()).ok();
        let answers = self.timeline.singles(head.method.as_str(), path, query, body.as_ref());
        let now = self.now();
        // What the server said last, or will say first.
        let answer = answers.iter().rev().find(|answer| answer.at <= now).or(answers.first());
        match answer {
            Some(answer) => {
                self.until(answer.at).await;
                single(answer)
            }
            None => single(&self.object(path).unwrap_or_else(|| refusal(404, NOT_ASKED))),
        }
    }

    /// An object that was never asked for by itself, out of its collection.
    fn object(&self, path: &str) -> Option<Single> {
        let (of, name) = path.rsplit_once('/')?;
        let (of, namespace) = match of.split_once("/namespaces/").map(|(root, rest)| (root, rest.split_once('/'))) {
            Some((root, Some((namespace, plural)))) => ([of.to_owned(), format!("{root}/{plural}")], namespace),
            _ => ([of.to_owned(), String::new()], ""),
        };
        let start = format!("{namespace}/{name}/");
        of.iter().find_map(|path| {
            let collection = self.timeline.collections.get(&Subject::new(path, "", ""))?;
            let state = state(&collection.steps[..collection.come(self.now())]);
            let (_, (object, at)) =
                state.range::<&str, _>(start.as_str()..).next().filter(|(id, _)| id.starts_with(&start))?;
            let body = collection.object(object);
            Some(Single { at: *at, status: 200, body, ..refusal(200, "") })
        })
    }

    async fn list(&self, subject: &Subject, query: &Query) -> Answer {
        let Some(collection) = self.timeline.collections.get(subject) else {
            return single(&refusal(404, NOT_ASKED));
        };
        let come = collection.come(self.now());
        if let Some(Step { change: Change::Refused(answer), .. }) = collection.steps[..come].last() {
            return single(answer);
        }
        // All pages are of the time of the first; one that comes before the list is whole is of the whole list.
        let (to, after) = match query.get("continue").split_once(' ') {
            Some((to, after)) => (to.parse().unwrap_or(come).min(collection.steps.len()), after),
            None => (collection.whole_from(come), ""),
        };
        if let Some(Step { change: Change::Refused(answer), .. }) =
            to.checked_sub(1).map(|last| &collection.steps[last])
        {
            self.until(answer.at).await;
            return single(answer);
        }
        let state = state(&collection.steps[..to]);
        let limit = query.number("limit").ok().flatten().and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut rest = state.range::<&str, _>((Bound::Excluded(after), Bound::Unbounded));
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let left = rest.count();
        let whole = collection.steps[..to].iter().any(|step| matches!(step.change, Change::Whole));
        if left == 0 && whole {
            self.until(collection.steps[..to].last().map_or(0, |step| step.at)).await;
        } else if let Some(at) = page.iter().map(|(_, (_, at))| *at).max() {
            self.until(at).await;
        } else {
            self.until(self.timeline.end).await;
            return single(&refusal(404, NOT_WHOLE));
        }
        let mut metadata = json!({ "resourceVersion": version(&collection.steps[..to]) });
        if left > 0 || !whole {
            let last = page.last().map_or(after, |(id, _)| id);
            metadata["continue"] = format!("{to} {last}").into();
        }
        if left > 0 && whole {
            metadata["remainingItemCount"] = left.into();
        }
        let items: Vec<&str> = page.iter().map(|(_, (text, _))| &***text).collect();
        let body = collection.list(&metadata, &items.join(","));
        single(&Single { status: 200, body, ..refusal(200, "") })
    }

    fn watch(self: Arc<Self>, subject: Subject, query: &Query) -> Answer {
        let now = self.now();
        let Some(collection) = self.timeline.collections.get(&subject) else {
            return single(&refusal(404, NOT_ASKED));
        };
        let come = collection.come(now);
        if let Some(Step { change: Change::Refused(answer), .. }) = collection.steps[..come].last() {
            return single(answer);
        }
        let listing = query.is_set("sendInitialEvents");
        if listing && !collection.steps.iter().any(|step| matches!(step.change, Change::Whole)) {
            // In pages a client gets what there is, and is told that it is not all.
            return single(&refusal(422, &format!("sendInitialEvents: {NOT_WHOLE}")));
        }
        let mut ready = Vec::new();
        let mut watch = Watch { next: come, from: now, listing, over: false };
        if listing || matches!(query.get("resourceVersion"), "" | "0") {
            let steps = &collection.steps[..come];
            for (text, _) in state(steps).values() {
                collection.told("ADDED", text, &mut ready);
            }
            if listing && steps.iter().any(|step| matches!(step.change, Change::Whole)) {
                watch.listing = false;
                collection.bookmark(version(steps), true, &mut ready);
            }
        } else {
            let wanted = query.get("resourceVersion");
            let last = collection.steps.iter().rposition(|step| step.version.as_deref() == Some(wanted));
            let Some(last) = last else {
                let gone = refusal(410, "too old resource version").body;
                let event = format!("{{\"type\":\"ERROR\",\"object\":{gone}}}\n");
                return respond(
                    200,
                    "application/json",
                    Full::from(event).map_err(|never| match never {}).boxed_unsync(),
                );
            };
            watch.next = last + 1;
        }
        let first = (!ready.is_empty()).then(|| Ok(Frame::data(Bytes::from(ready))));
        let rest = stream::unfold((self, subject, watch), |(player, subject, mut watch)| async {
            let piece = player.piece(&subject, &mut watch).await?;
            Some((piece, (player, subject, watch)))
        });
        let frames = futures_util::StreamExt::chain(stream::iter(first), rest);
        respond(200, "application/json", BodyExt::boxed_unsync(StreamBody::new(frames)))
    }

    /// The next piece of a watch; none at its end.
    async fn piece(&self, subject: &Subject, watch: &mut Watch) -> Option<std::io::Result<Frame<Bytes>>> {
        let collection = self.timeline.collections.get(subject)?;
        let mut out = Vec::new();
        while out.is_empty() {
            if watch.over {
                return None;
            }
            let Some(step) = collection.steps.get(watch.next) else {
                // The recording is over: nothing changes any more, and the watch is well.
                sleep(BOOKMARK).await;
                collection.bookmark(version(&collection.steps), false, &mut out);
                continue;
            };
            self.until(step.at).await;
            watch.next += 1;
            match &step.change {
                Change::Present(_, text) => collection.told("MODIFIED", text, &mut out),
                Change::Gone(_, text) => collection.told("DELETED", text, &mut out),
                Change::Whole => {
                    collection.bookmark(version(&collection.steps[..watch.next]), watch.listing, &mut out);
                    watch.listing = false;
                }
                Change::Mark if watch.listing => {}
                Change::Mark => collection.bookmark(version(&collection.steps[..watch.next]), false, &mut out),
                // What ended before this watch began ended another one.
                Change::Ended(cut) if step.at > watch.from => {
                    watch.over = true;
                    return cut.then(|| Err(std::io::ErrorKind::ConnectionAborted.into()));
                }
                Change::Ended(_) | Change::Refused(_) => {}
            }
        }
        Some(Ok(Frame::data(out.into())))
    }
}

/// Where a watch is.
struct Watch {
    /// The step that it has not told yet.
    next: usize,
    /// When it began.
    from: u64,
    /// Its client waits for the end of the list.
    listing: bool,
    over: bool,
}

/// What is there after these steps.
fn state(steps: &[Step]) -> State<'_> {
    let mut state = State::new();
    for step in steps {
        match &step.change {
            Change::Present(id, text) => {
                state.insert(id, (text, step.at));
            }
            Change::Gone(id, _) => {
                state.remove(&**id);
            }
            _ => {}
        }
    }
    state
}

/// The version after these steps; empty where none was ever told.
fn version(steps: &[Step]) -> &str {
    steps.iter().rev().find_map(|step| step.version.as_deref()).unwrap_or_default()
}

impl Collection {
    /// How many steps have come.
    fn come(&self, now: u64) -> usize {
        self.steps.partition_point(|step| step.at <= now)
    }

    /// How many steps a list is of that is asked for when so many have come: these, if they make a whole list, else as
    /// many as make one, or as lead to a refusal.
    fn whole_from(&self, come: usize) -> usize {
        let whole = |step: &Step| matches!(step.change, Change::Whole);
        if self.steps[..come].iter().any(whole) {
            return come;
        }
        let decides = |step: &Step| whole(step) || matches!(step.change, Change::Refused(_));
        self.steps[come..].iter().position(decides).map_or(self.steps.len(), |at| come + at + 1)
    }

    fn is_table(&self) -> bool {
        self.columns.is_array()
    }

    /// An object with its kind, as it stands alone.
    fn object(&self, text: &str) -> String {
        let (version, kind) = &self.kind;
        let rest = text.strip_prefix('{').unwrap_or(text);
        let comma = if rest == "}" { "" } else { "," };
        format!("{{\"apiVersion\":{},\"kind\":{}{comma}{rest}", Value::from(&**version), Value::from(&**kind))
    }

    fn table(&self, metadata: &Value, rows: &str) -> String {
        let columns = &self.columns;
        format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{metadata},\"columnDefinitions\":{columns},\
             \"rows\":[{rows}]}}"
        )
    }

    fn list(&self, metadata: &Value, items: &str) -> String {
        if self.is_table() {
            return self.table(metadata, items);
        }
        let (version, kind) = &self.kind;
        let kind = Value::from(format!("{kind}List"));
        let version = Value::from(&**version);
        format!("{{\"kind\":{kind},\"apiVersion\":{version},\"metadata\":{metadata},\"items\":[{items}]}}")
    }

    fn told(&self, sort: &str, item: &str, out: &mut Vec<u8>) {
        let object = if self.is_table() { self.table(&json!({}), item) } else { self.object(item) };
        out.extend_from_slice(format!("{{\"type\":\"{sort}\",\"object\":{object}}}\n").as_bytes());
    }

    fn bookmark(&self, version: &str, end: bool, out: &mut Vec<u8>) {
        let mut metadata = json!({ "resourceVersion": version });
        if end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({ "metadata": metadata });
        if self.is_table() {
            // As the real server has it: a row without cells.
            let row = json!({ "cells": [], "object": object });
            let table = self.table(&json!({ "resourceVersion": version }), &row.to_string());
            out.extend_from_slice(format!("{{\"type\":\"BOOKMARK\",\"object\":{table}}}\n").as_bytes());
            return;
        }
        let object = self.object(&object.to_string());
        out.extend_from_slice(format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").as_bytes());
    }
}

fn single(answer: &Single) -> Answer {
    let body = Full::from(answer.body.clone()).map_err(|never| match never {}).boxed_unsync();
    let mut response = respond(answer.status, &answer.content_type, body);
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn respond(status: u16, content_type: &str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}
