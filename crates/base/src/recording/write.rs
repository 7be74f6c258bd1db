//! Writing a recording: the sources hand over what they send and hear, and a thread of its own takes it apart, redacts
//! it and writes it. Owns the file. A disk that is full ends the recording, never the program.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, MultiGzDecoder},
};
use http::{HeaderMap, Request, Response, header};
use serde_json::Value;

use super::{End, Entry, Head, What, redact::Redactor};
use crate::problem::Problem;

/// Pieces that may wait to be written; more, and the network waits.
const INBOX: usize = 256;
/// A crash costs no more than what came in this time.
const FLUSH: Duration = Duration::from_secs(1);
/// A line of a watch, or a body, that is longer is not kept.
const LARGEST: usize = 1 << 30;

/// What a source tells the writer.
struct Heard {
    at: u64,
    exchange: u64,
    what: Tell,
}

enum Tell {
    Request { method: String, path: String, accept: String, body: Bytes },
    Answer { status: u16, content_type: String, retry_after: Option<u32>, gzip: bool },
    Bytes(Bytes),
    End(End),
    Failed(String),
    Finish,
}

/// Takes down what is asked and answered. Cheap to clone; the sources hold one.
#[derive(Debug, Clone)]
pub struct Recorder {
    out: SyncSender<Heard>,
    next: Arc<AtomicU64>,
    started: Instant,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heard").field("at", &self.at).field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Recorder {
    /// A request is about to be sent to a server that has its API under `prefix`.
    pub fn request(&self, request: &Request<Bytes>, prefix: &str) -> Exchange {
        let exchange =
            Exchange { recorder: self.clone(), number: self.next.fetch_add(1, Ordering::Relaxed), ended: false };
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let path = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
        exchange.tell(Tell::Request {
            method: request.method().to_string(),
            path: path.to_owned(),
            accept: text(request.headers(), &header::ACCEPT),
            body: request.body().clone(),
        });
        exchange
    }

    fn tell(&self, exchange: u64, what: Tell) {
        let at = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // It waits while the writer has enough to do, and fails once the recording has ended.
        let _ = self.out.send(Heard { at, exchange, what });
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    recorder: Recorder,
    number: u64,
    ended: bool,
}

impl Exchange {
    fn tell(&self, what: Tell) {
        self.recorder.tell(self.number, what);
    }

    /// The head of the answer is there.
    pub fn answer<B>(&self, response: &Response<B>) {
        let headers = response.headers();
        self.tell(Tell::Answer {
            status: response.status().as_u16(),
            content_type: text(headers, &header::CONTENT_TYPE),
            retry_after: text(headers, &header::RETRY_AFTER).parse().ok(),
            gzip: text(headers, &header::CONTENT_ENCODING) == "gzip",
        });
    }

    /// A piece of the body.
    pub fn bytes(&self, bytes: Bytes) {
        self.tell(Tell::Bytes(bytes));
    }

    /// There is no more of the body.
    pub fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            self.tell(Tell::End(end));
        }
    }

    /// No answer came.
    pub fn failed(mut self, why: &dyn std::fmt::Display) {
        self.ended = true;
        self.tell(Tell::Failed(why.to_string()));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

/// What was written in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    pub requests: u64,
    /// Objects, lists and events.
    pub bodies: u64,
}

/// A file that is being recorded to. Ends with [`Recording::finish`], or when it is dropped.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    recorder: Recorder,
    thread: Option<JoinHandle<io::Result<Written>>>,
}

impl Recording {
    /// Begins a recording in a new file that only its owner may read.
    pub fn start(path: &Path, head: &Head) -> Result<Self, Problem> {
        let failed = |error: io::Error| {
            let problem = Problem::new(format!("cannot record to {}", path.display()));
            match error.kind() {
                io::ErrorKind::AlreadyExists => problem.because("there is such a file").hint("choose another name"),
                _ => problem.because(error),
            }
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        let mut writer = Writer::new(file);
        writer.head(head).and_then(|()| writer.out.flush()).map_err(failed)?;
        let (out, inbox) = sync_channel(INBOX);
        let recorder = Recorder { out, next: Arc::new(AtomicU64::new(1)), started: Instant::now() };
        let thread = std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(failed)?;
        Ok(Self { path: path.to_owned(), recorder, thread: Some(thread) })
    }

    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what is still on its way, and ends the file.
    pub fn finish(mut self) -> Result<Written, Problem> {
        let failed = |why: &dyn std::fmt::Display| {
            Problem::new(format!("the recording in {} is not whole", self.path.display())).because(why)
        };
        let ended = Self::end(&self.recorder, self.thread.take());
        ended.unwrap_or_else(|| Err(io::Error::other("it has ended"))).map_err(|error| failed(&error))
    }

    fn end(recorder: &Recorder, thread: Option<JoinHandle<io::Result<Written>>>) -> Option<io::Result<Written>> {
        let thread = thread?;
        recorder.tell(0, Tell::Finish);
        Some(thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer broke off"))))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // What is left to say was said by `finish`, or there is nobody to say it to.
        let _ = Self::end(&self.recorder, self.thread.take());
    }
}

/// The thread's side.
struct Writer<W: Write> {
    out: GzEncoder<W>,
    redactor: Redactor,
    open: HashMap<u64, Open>,
    written: Written,
}

/// A body that is on its way.
#[derive(Default)]
struct Open {
    watch: bool,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl Writer<File> {
    fn new(file: File) -> Self {
        Self {
            out: GzEncoder::new(file, Compression::fast()),
            redactor: Redactor::default(),
            open: HashMap::new(),
            written: Written::default(),
        }
    }
}

impl<W: Write> Writer<W> {
    fn line(&mut self, line: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn head(&mut self, head: &Head) -> io::Result<()> {
        let mut redacted = |text: &Option<String>| text.as_deref().map(|text| self.redactor.text(text));
        let (namespace, view) = (redacted(&head.namespace), redacted(&head.view));
        let scope = redacted(&head.scope);
        self.line(&Head { namespace, view, scope, ..head.clone() })
    }

    fn run(mut self, inbox: &Receiver<Heard>) -> io::Result<Written> {
        let mut flushed = Instant::now();
        let mut dirty = true;
        loop {
            let wait = if dirty { FLUSH.saturating_sub(flushed.elapsed()) } else { Duration::from_secs(3_600) };
            match inbox.recv_timeout(wait) {
                Ok(Heard { at, what: Tell::Finish, .. }) => {
                    self.line(&Entry { at, exchange: 0, what: What::Finished {} })?;
                    self.out.try_finish()?;
                    self.out.get_mut().flush()?;
                    return Ok(self.written);
                }
                Ok(heard) => {
                    self.heard(heard)?;
                    dirty = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(self.written),
            }
            if dirty && flushed.elapsed() >= FLUSH {
                self.out.flush()?;
                flushed = Instant::now();
                dirty = false;
            }
        }
    }

    fn heard(&mut self, Heard { at, exchange, what }: Heard) -> io::Result<()> {
        let what = match what {
            Tell::Request { method, path, accept, body } => {
                let watch = path
                    .split_once('?')
                    .is_some_and(|(_, query)| query.split('&').any(|part| matches!(part, "watch=true" | "watch=1")));
                self.open.insert(exchange, Open { watch, ..Open::default() });
                self.written.requests += 1;
                let body = serde_json::from_slice(&body).ok().map(|mut body: Value| {
                    self.redactor.object(&mut body);
                    body
                });
                What::Request { method, path: self.redactor.path(&path), accept, body }
            }
            Tell::Answer { status, content_type, retry_after, gzip } => {
                if let Some(open) = self.open.get_mut(&exchange) {
                    open.gzip = gzip.then(|| MultiGzDecoder::new(Vec::new()));
                    // A refusal is one object.
                    open.watch &= status == 200;
                }
                What::Answer { status, content_type, retry_after }
            }
            Tell::Bytes(bytes) => return self.bytes(at, exchange, &bytes),
            Tell::End(end) => {
                self.body(at, exchange, end)?;
                What::End(end)
            }
            Tell::Failed(why) => {
                self.open.remove(&exchange);
                What::Failed(self.redactor.text(&why))
            }
            Tell::Finish => return Ok(()),
        };
        self.line(&Entry { at, exchange, what })
    }

    fn bytes(&mut self, at: u64, exchange: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&exchange) else { return Ok(()) };
        match &mut open.gzip {
            // What cannot be unpacked is missing at the end, and said to be so there.
            Some(gzip) => {
                let _ = gzip.write_all(bytes).and_then(|()| gzip.flush());
                open.buffer.append(gzip.get_mut());
            }
            None => open.buffer.extend_from_slice(bytes),
        }
        if open.buffer.len() > LARGEST {
            let bytes = open.buffer.len() as u64;
            self.open.remove(&exchange);
            return self.line(&Entry { at, exchange, what: What::Lost(bytes) });
        }
        if !open.watch {
            return Ok(());
        }
        let Some(last) = memchr::memrchr(b'\n', &open.buffer) else { return Ok(()) };
        let rest = open.buffer.split_off(last + 1);
        let lines = std::mem::replace(&mut open.buffer, rest);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let what = self.redacted(line).map_or(What::Lost(line.len() as u64), What::Event);
            self.line(&Entry { at, exchange, what })?;
        }
        Ok(())
    }

    /// What is left of a body at its end.
    fn body(&mut self, at: u64, exchange: u64, end: End) -> io::Result<()> {
        let Some(mut open) = self.open.remove(&exchange) else { return Ok(()) };
        if let Some(mut gzip) = open.gzip.take() {
            let _ = gzip.try_finish();
            open.buffer.append(gzip.get_mut());
        }
        if open.buffer.is_empty() {
            return Ok(());
        }
        let whole = end == End::Whole && !open.watch;
        let body = if whole { self.redacted(&open.buffer) } else { None };
        let what = body.map_or(What::Lost(open.buffer.len() as u64), What::Body);
        self.line(&Entry { at, exchange, what })
    }

    fn redacted(&mut self, json: &[u8]) -> Option<Value> {
        let mut value = serde_json::from_slice(json).ok()?;
        self.redactor.object(&mut value);
        self.written.bodies += 1;
        Some(value)
    }
}
