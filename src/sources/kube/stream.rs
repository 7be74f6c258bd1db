//! One stream: the first list, the watch that follows, and everything that can go wrong with them. Rows of a stream
//! that broke stay; a new list replaces them when it is complete (perf.md of the design names the rules).
//!
//! The state machine: no version → list (WatchList or pages) → version → watch from it → … ; 410 takes the version
//! away, anything else keeps it and tries again with back-off.

use std::{
    io::Write,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::FutureExt;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;

use super::{
    cluster::{Cluster, Disconnected, Link, Preference, get},
    session::{Body, SendError, collect, status_of},
    wire::{Bookmark, Event, EventType, LARGEST_OBJECT, ListFrames, ListMeta, Status, WatchFrames, WireError},
};
use crate::{
    kinds::{Decoder, Encoding, EventKind, Form, KindId},
    problem::Problem,
    sources::Message,
    store::{
        stream::{StreamId, StreamState},
        table::Covers,
    },
};

/// Bookmarks come about once a minute; a watch that is silent for longer is dead, whatever TCP says.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a list's body may stop.
const STALL: Duration = Duration::from_secs(30);
/// Rows of the first page: few, so that a screen fills at once.
const FIRST_PAGE: usize = 100;
/// Rows of the pages after it: few, large pages.
const PAGE: usize = 2_000;
/// Rows a batch holds at most.
const BATCH: usize = 512;
/// For how long changes are gathered that come one by one: less than a frame.
const GATHER: Duration = Duration::from_millis(15);
/// How long a WatchList is watched before its rate is judged, and the rate below which a compressed list is quicker.
const JUDGE_AFTER: Duration = Duration::from_millis(200);
const SLOW_BYTES_A_SECOND: f64 = 25e6;
/// A WatchList of fewer bytes is over before another way could begin.
const ENOUGH_TO_JUDGE: usize = 128 << 10;
/// How often a kind that cannot be watched is listed.
const POLL: Duration = Duration::from_secs(30);

/// What to subscribe to.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    pub id: StreamId,
    pub kind: KindId,
    pub group: String,
    /// Path of the collection, of the cluster or of a namespace.
    pub path: String,
    /// `namespace` it covers, `None` for all.
    pub namespace: Option<String>,
    /// The name of the one object that is wanted, where not all are.
    pub object: Option<String>,
    /// The rows that a complete list answers for.
    pub covers: Covers,
    pub watchable: bool,
}

/// Why a step ended without success.
#[derive(Debug)]
enum Failure {
    /// Nobody listens any more.
    Closing,
    /// 401, 403: try again rarely.
    Denied(Problem),
    /// 404.
    Missing(Problem),
    /// 410: the version is too old.
    Expired,
    /// The server does not stream lists.
    NoWatchList,
    /// The server does not speak protobuf, and will not choose for itself.
    NoProtobuf,
    /// A compressed list is quicker on this link.
    SlowLink,
    /// Everything else: try again soon. `after` is what the server asked for, `passing` as in the stream's state.
    Broken { problem: Problem, after: Option<Duration>, passing: bool },
}

impl From<Disconnected> for Failure {
    fn from(_: Disconnected) -> Self {
        Failure::Closing
    }
}

/// Runs a stream until it is dropped or the loop is gone.
pub async fn run(cluster: Rc<Cluster>, spec: StreamSpec, decoder: Box<dyn Decoder>) {
    let mut stream = Stream {
        cluster,
        spec,
        decoder,
        epoch: 0,
        loaded: 0,
        undecodable: 0,
        version: String::new(),
        live_since: None,
        last_heard: Timestamp::now(),
        synced: false,
        in_pages: false,
    };
    stream.run().await;
}

struct Stream {
    cluster: Rc<Cluster>,
    spec: StreamSpec,
    decoder: Box<dyn Decoder>,
    epoch: u32,
    loaded: usize,
    undecodable: usize,
    /// The version to go on from; empty before the first list and after a 410.
    version: String,
    live_since: Option<Instant>,
    last_heard: Timestamp,
    /// Whether a list was ever complete: what is shown is whole, if old.
    synced: bool,
    /// Whether watching is denied: lists come in pages.
    in_pages: bool,
}

impl Stream {
    async fn run(&mut self) {
        let mut attempt = 0_u32;
        loop {
            let listing = self.version.is_empty();
            let outcome = if listing { self.list().await } else { self.watch().await };
            let lived = self.live_since.take().is_some_and(|since| since.elapsed() > Duration::from_secs(5));
            if lived || (listing && outcome.is_ok()) {
                attempt = 0;
            }
            let (why, after, passing) = match outcome {
                Ok(()) => {
                    if !self.spec.watchable {
                        let at = Timestamp::now().as_second();
                        if self.tell_state(StreamState::Polled { at }).await.is_err() {
                            return;
                        }
                        self.version.clear();
                        tokio::time::sleep(POLL).await;
                        continue;
                    }
                    // A watch ends every half hour or so, and a broken server at once.
                    if !listing && !lived {
                        attempt += 1;
                        tokio::time::sleep(back_off(attempt.min(4))).await;
                    }
                    continue;
                }
                Err(Failure::Closing) => return,
                Err(Failure::NoWatchList) => {
                    self.cluster.watch_list_refused(&self.spec.group);
                    continue;
                }
                Err(Failure::NoProtobuf) => {
                    self.cluster.protobuf_refused(&self.spec.group);
                    continue;
                }
                Err(Failure::SlowLink) => {
                    self.cluster.link_is_slow();
                    continue;
                }
                Err(Failure::Expired) => {
                    self.version.clear();
                    attempt += 1;
                    if attempt > 1 {
                        tokio::time::sleep(back_off(attempt)).await;
                    }
                    continue;
                }
                Err(Failure::Denied(problem)) => {
                    if self.tell_state(StreamState::Forbidden(problem)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(300)).await;
                    continue;
                }
                Err(Failure::Missing(problem)) => {
                    if self.tell_state(StreamState::Gone(problem)).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    self.version.clear();
                    continue;
                }
                Err(Failure::Broken { problem, after, passing }) => (problem, after, passing),
            };
            attempt += 1;
            let wait = after.unwrap_or_else(|| back_off(attempt));
            let now = Timestamp::now();
            let retry = now.as_second() + i64::try_from(wait.as_secs()).unwrap_or(0);
            tracing::warn!(path = self.spec.path, attempt, ?wait, "{why}");
            let since = if self.synced { self.last_heard.as_second() } else { 0 };
            if self.tell_state(StreamState::Stale { since, retry, why, passing }).await.is_err() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn tell_state(&self, state: StreamState) -> Result<(), Disconnected> {
        self.cluster.state(self.spec.id, state).await
    }

    async fn flush(&mut self) -> Result<(), Disconnected> {
        let Self { cluster, spec, decoder, epoch, undecodable, .. } = self;
        let count = cluster.flush(spec.id, spec.kind, *epoch, &mut **decoder, *undecodable).await?;
        self.loaded += count;
        Ok(())
    }

    /// The whole list, one way or another; ends with a version to watch from, or after the watch that a WatchList
    /// becomes.
    async fn list(&mut self) -> Result<(), Failure> {
        let cluster = Rc::clone(&self.cluster);
        let since = Timestamp::now().as_second();
        let turn = if let Ok(turn) = cluster.lists.try_acquire() {
            turn
        } else {
            self.tell_state(StreamState::Waiting).await?;
            cluster.lists.acquire().await.map_err(|_| Failure::Closing)?
        };
        self.tell_state(StreamState::Connecting { since }).await?;
        self.describe().await?;
        self.decoder.reshaped();
        self.epoch = cluster.next_epoch();
        self.loaded = 0;
        // What was read and not sent is of the time before, and so is what could not be read.
        let _ = self.decoder.take();
        self.undecodable = 0;
        let mut token = String::new();
        // The first page is small: it fills the screen and counts the rest; a cluster's very first measures the link.
        let mut limit = FIRST_PAGE;
        loop {
            let meta = self.page(limit, &token).await?;
            if meta.r#continue.is_empty() {
                return self.complete(meta.resource_version).await;
            }
            token = meta.r#continue;
            let rest = meta.remaining_item_count.and_then(|rest| usize::try_from(rest).ok());
            let about = rest.map(|rest| rest + self.loaded);
            self.tell_state(StreamState::Loading { loaded: self.loaded, about }).await?;
            let streams = self.spec.watchable && !self.in_pages && !cluster.refuses_watch_list(&self.spec.group);
            if limit == FIRST_PAGE && streams && cluster.link() == Some(Link::Fast) {
                // The page's objects come again, but for those that are deleted in between: nobody will tell of these,
                // and as rows of an epoch that is over they go when the list is complete.
                self.undecodable = 0;
                self.loaded = 0;
                self.epoch = cluster.next_epoch();
                let streamed = self.watch_list(about, turn).await;
                if matches!(streamed, Err(Failure::Denied(_))) {
                    // There may still be a right to list.
                    self.in_pages = true;
                    return Err(Failure::Expired);
                }
                return streamed;
            }
            limit = PAGE;
        }
    }

    /// Reads what has to be known before objects of this kind can be read.
    async fn describe(&mut self) -> Result<(), Failure> {
        let Some(path) = self.decoder.description() else { return Ok(()) };
        let response = match self.send(&path, "application/json", "get", true).await {
            Ok(response) => response,
            Err(Failure::Missing(_) | Failure::Denied(_)) => {
                self.decoder.describe(None);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        let gzip = is_gzip(&response);
        let body = collect(response.into_body(), STALL, LARGEST_OBJECT).await.map_err(|error| self.broken(&error))?;
        let plain = if gzip { unpack(&body).map_err(|error| self.interrupted(error))?.into() } else { body };
        self.decoder.describe(Some(&plain));
        Ok(())
    }

    /// The list is whole: what it did not mention goes.
    async fn complete(&mut self, version: String) -> Result<(), Failure> {
        self.flush().await?;
        self.version = version;
        self.synced = true;
        self.last_heard = Timestamp::now();
        let (stream, kind, epoch, covers) = (self.spec.id, self.spec.kind, self.epoch, self.spec.covers.clone());
        self.cluster.tell(Message::Complete { stream, kind, covers, epoch }).await?;
        self.tell_state(StreamState::Live).await?;
        Ok(())
    }

    fn query(&self, rest: &str) -> String {
        let only = |name: &String| format!("fieldSelector=metadata.name%3D{}&", escape(name));
        let fields = self.spec.object.as_ref().map(only).unwrap_or_default();
        format!("{}?{fields}{rest}", self.spec.path)
    }

    fn accept(&self, watch: bool) -> &'static str {
        match (self.decoder.form(), self.cluster.preference(&self.spec.group), watch) {
            (Form::Table, ..) => "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            (Form::Typed, Preference::Protobuf, true) => {
                "application/vnd.kubernetes.protobuf;stream=watch,application/json"
            }
            (Form::Typed, Preference::Protobuf, false) => "application/vnd.kubernetes.protobuf,application/json",
            _ => "application/json",
        }
    }

    async fn send(&self, path: &str, accept: &str, verb: &str, gzip: bool) -> Result<http::Response<Body>, Failure> {
        let response = self.cluster.session.send(get(path, accept, gzip)).await.map_err(|error| self.broken(&error))?;
        let code = response.status();
        if code.is_success() {
            return Ok(response);
        }
        let after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let status = status_of(response).await;
        let what = format!("cannot {verb} {}", path.split('?').next().unwrap_or_default());
        let problem = Problem::new(what).because(&status.message);
        Err(match code {
            StatusCode::UNAUTHORIZED => Failure::Broken {
                problem: problem.hint("the server does not accept these credentials: sign in again, then :ctx"),
                after: Some(Duration::from_secs(10)),
                passing: false,
            },
            StatusCode::FORBIDDEN => Failure::Denied(problem.hint(format!(
                "ask for: kubectl create role … --verb=get,list,watch --resource={}",
                self.spec.path.rsplit('/').next().unwrap_or_default()
            ))),
            StatusCode::NOT_FOUND => Failure::Missing(problem.hint("the server does not serve this kind here")),
            StatusCode::GONE => Failure::Expired,
            // Only an answer that names the parameter is a refusal to stream a list.
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST
                if status.message.contains("sendInitialEvents") =>
            {
                Failure::NoWatchList
            }
            StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE if accept.contains("protobuf") => {
                Failure::NoProtobuf
            }
            // "Too large resource version": this server is behind the one that gave the version.
            StatusCode::GATEWAY_TIMEOUT if status.message.contains("resource version") => Failure::Expired,
            _ => Failure::Broken { problem, after, passing: after.is_some() || code.is_server_error() },
        })
    }

    fn broken(&self, error: &SendError) -> Failure {
        let passing = matches!(error, SendError::Closed(_) | SendError::Stalled(_));
        Failure::Broken { problem: error.problem(&self.cluster.session), after: None, passing }
    }

    fn interrupted(&self, why: impl std::fmt::Display) -> Failure {
        let problem = Problem::new(format!("the stream of {} broke", self.spec.path)).because(why);
        Failure::Broken { problem, after: None, passing: true }
    }

    /// One page of a list.
    async fn page(&mut self, limit: usize, token: &str) -> Result<ListMeta, Failure> {
        let slow = self.cluster.link() != Some(Link::Fast);
        let token = if token.is_empty() { String::new() } else { format!("&continue={}", escape(token)) };
        let path = self.query(&format!("limit={limit}{token}"));
        let response = self.send(&path, self.accept(false), "list", slow).await?;
        let encoding = encoding_of(&response);
        let gzip = is_gzip(&response);
        // The server's own columns come as a whole.
        let streamed = encoding == Encoding::Protobuf || self.decoder.form() != Form::Table;
        let mut body = response.into_body();
        let mut plain = MultiGzDecoder::new(Vec::new());
        let mut frames = ListFrames::new(encoding);
        let mut whole = Vec::new();
        loop {
            let next = tokio::time::timeout(STALL, body.frame()).await;
            let Some(frame) = next.map_err(|_| self.interrupted("no bytes for 30 s"))? else { break };
            let chunk = frame.map_err(|error| self.interrupted(error))?.into_data().unwrap_or_default();
            let unpacked = if gzip {
                plain.write_all(&chunk).map_err(|error| self.interrupted(error))?;
                Bytes::from(std::mem::take(plain.get_mut()))
            } else {
                chunk
            };
            if !streamed {
                whole.extend_from_slice(&unpacked);
                continue;
            }
            frames.push(&unpacked);
            while let Some(item) = frames.next_item().map_err(|error| self.interrupted(error))? {
                self.read(EventKind::Present, encoding, item)?;
                if self.decoder.pending() >= BATCH {
                    self.flush().await?;
                }
            }
        }
        if gzip {
            plain.try_finish().map_err(|error| self.interrupted(error))?;
            whole.append(plain.get_mut());
        }
        if streamed {
            frames.push(&whole);
            while let Some(item) = frames.next_item().map_err(|error| self.interrupted(error))? {
                self.read(EventKind::Present, encoding, item)?;
            }
            if !frames.is_complete() {
                return Err(self.interrupted(WireError::Truncated));
            }
            self.flush().await?;
            return Ok(frames.meta().clone());
        }
        let whole = Bytes::from(whole);
        let meta = ListMeta::of_json(&whole).map_err(|error| self.interrupted(error))?;
        self.read(EventKind::Present, encoding, whole)?;
        self.flush().await?;
        Ok(meta)
    }

    /// A watch that starts with everything, then goes on as a watch.
    async fn watch_list(
        &mut self,
        about: Option<usize>,
        turn: tokio::sync::SemaphorePermit<'_>,
    ) -> Result<(), Failure> {
        let path = self.query(
            "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
             &resourceVersion=0&timeoutSeconds=1800",
        );
        let response = self.send(&path, self.accept(true), "watch", false).await?;
        self.consume(response, Some(Initial { about, turn })).await
    }

    /// A watch from the last version.
    async fn watch(&mut self) -> Result<(), Failure> {
        self.describe().await?;
        if self.decoder.reshaped() {
            return Err(Failure::Expired);
        }
        let path = self.query(&format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds=1800",
            escape(&self.version)
        ));
        let response = self.send(&path, self.accept(true), "watch", false).await?;
        self.tell_state(StreamState::Live).await?;
        self.consume(response, None).await
    }

    /// Reads a watch to its end.
    async fn consume(
        &mut self,
        response: http::Response<Body>,
        mut initial: Option<Initial<'_>>,
    ) -> Result<(), Failure> {
        let encoding = encoding_of(&response);
        let mut frames = WatchFrames::new(encoding);
        let mut body = response.into_body();
        let mut first_byte = None;
        let mut received = 0_usize;
        // A first page has been shown: less than that would look like a step back.
        let mut told = FIRST_PAGE;
        let mut gather = None;
        if initial.is_none() {
            self.live_since = Some(Instant::now());
        }
        loop {
            // What is decoded is sent before the network is waited for, and not after every chunk.
            let ready = match body.frame().now_or_never() {
                None if initial.is_none() && self.decoder.pending() > 0 => {
                    // Changes that come one by one travel together.
                    let until = *gather.get_or_insert_with(|| Instant::now() + GATHER);
                    tokio::time::timeout_at(until.into(), body.frame()).await.ok()
                }
                ready => ready,
            };
            let frame = if let Some(frame) = ready {
                frame
            } else {
                gather = None;
                self.flush().await?;
                if let Some(initial) = &initial
                    && self.loaded > told
                {
                    told = self.loaded;
                    self.tell_state(StreamState::Loading { loaded: told, about: initial.about }).await?;
                }
                match tokio::time::timeout(SILENCE, body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => return Err(self.interrupted("nothing heard for 90 s")),
                }
            };
            let Some(frame) = frame else {
                self.flush().await?;
                if frames.at_boundary() && initial.is_none() {
                    return Ok(());
                }
                return Err(self.interrupted(WireError::Truncated));
            };
            let chunk = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => {
                    self.flush().await?;
                    return Err(self.interrupted(error));
                }
            };
            received += chunk.len();
            frames.push(&chunk);
            drop(chunk);
            loop {
                let event = match frames.next_event() {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    Err(error) => {
                        // What came before the garbage is good.
                        self.flush().await?;
                        return Err(self.interrupted(error));
                    }
                };
                if self.event(encoding, event, &mut initial).await? {
                    self.live_since = Some(Instant::now());
                }
                if self.decoder.pending() >= BATCH {
                    self.flush().await?;
                }
            }
            self.last_heard = Timestamp::now();
            let elapsed = first_byte.get_or_insert_with(Instant::now).elapsed();
            if initial.is_some() && received > ENOUGH_TO_JUDGE && elapsed > JUDGE_AFTER && elapsed < 5 * JUDGE_AFTER {
                #[expect(clippy::cast_precision_loss, reason = "a rate")]
                let rate = received as f64 / elapsed.as_secs_f64();
                if rate < SLOW_BYTES_A_SECOND && self.cluster.link() != Some(Link::Slow) {
                    return Err(Failure::SlowLink);
                }
            }
        }
    }

    /// Handles one event; true when the initial events have just ended.
    async fn event(
        &mut self,
        encoding: Encoding,
        Event { event, object }: Event,
        initial: &mut Option<Initial<'_>>,
    ) -> Result<bool, Failure> {
        match event {
            EventType::Added | EventType::Modified => self.read(EventKind::Present, encoding, object)?,
            EventType::Deleted => self.read(EventKind::Deleted, encoding, object)?,
            EventType::Bookmark => {
                let bookmark = Bookmark::read(encoding, object).map_err(|error| self.interrupted(error))?;
                // Before the initial events have ended, a version would promise objects that never came.
                if initial.is_none() && !bookmark.resource_version.is_empty() {
                    self.version.clone_from(&bookmark.resource_version);
                }
                if bookmark.initial_events_end && initial.is_some() {
                    *initial = None;
                    self.complete(bookmark.resource_version).await?;
                    return Ok(true);
                }
            }
            EventType::Error => {
                let status = Status::read(encoding, object);
                if status.code == 410 {
                    return Err(Failure::Expired);
                }
                // An etcd without progress notification: HTTP 200, and then this.
                if initial.is_some()
                    && (status.message.contains("RequestWatchProgress") || status.message.contains("sendInitialEvents"))
                {
                    return Err(Failure::NoWatchList);
                }
                return Err(self.interrupted(status.message));
            }
        }
        Ok(false)
    }

    fn read(&mut self, event: EventKind, encoding: Encoding, object: Bytes) -> Result<(), Failure> {
        let mut interner = self.cluster.interner.borrow_mut();
        match self.decoder.object(event, encoding, object, &mut interner) {
            Ok(version) => {
                // While the initial events come in, their versions are in no order.
                if self.live_since.is_some() && !version.is_empty() {
                    self.version = String::from_utf8_lossy(&version).into_owned();
                }
            }
            Err(error) => {
                self.undecodable += 1;
                tracing::warn!(path = self.spec.path, "{error}");
            }
        }
        // Other columns than those of the rows before: only a new list makes them fit.
        let fits = self.live_since.is_none() && self.loaded == 0;
        if self.decoder.reshaped() && !fits { Err(Failure::Expired) } else { Ok(()) }
    }
}

/// What holds while the initial events of a WatchList come in.
struct Initial<'a> {
    about: Option<usize>,
    /// The turn at the gate for big lists; given back when the list is complete.
    #[expect(dead_code, reason = "held")]
    turn: tokio::sync::SemaphorePermit<'a>,
}

fn is_gzip(response: &http::Response<Body>) -> bool {
    response.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip")
}

fn unpack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = MultiGzDecoder::new(Vec::new());
    plain.write_all(body)?;
    plain.finish()
}

fn encoding_of(response: &http::Response<Body>) -> Encoding {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/vnd.kubernetes.protobuf") { Encoding::Protobuf } else { Encoding::Json }
}

/// 100 ms, doubling to 30 s, with a tenth of jitter so that streams do not come back as one.
fn back_off(attempt: u32) -> Duration {
    let base = Duration::from_millis(100) * 2_u32.saturating_pow(attempt.saturating_sub(1).min(9));
    let base = base.min(Duration::from_secs(30));
    let jitter = Timestamp::now().subsec_nanosecond().unsigned_abs() % 1000;
    base + base * jitter / 10_000
}

/// Percent-encodes a query value.
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
