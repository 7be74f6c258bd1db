//! What the streams of one cluster share, on the sources' thread: session, interner, the channel to the loop, the gate
//! for big lists, and what has been learnt about the server and the link.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use super::session::Session;
use crate::{
    kinds::Decoder,
    sources::{Batch, Message},
    store::{
        intern::Interner,
        stream::{StreamId, StreamState},
        table::Changes,
    },
};

/// A TLS handshake that takes longer than this crosses more than a local network: lists are asked for compressed.
const SLOW_HANDSHAKE: Duration = Duration::from_millis(15);

/// Initial lists that may load at once, so as not to take the API server's seats (design §4).
const LISTS_AT_ONCE: usize = 2;

/// Which encoding to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// Protobuf, JSON where the server has no protobuf.
    #[default]
    Protobuf,
    Json,
}

/// What the link to the server is measured to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Local: a watch that starts with everything is quickest.
    Fast,
    /// Bytes are what costs: compressed lists, then a watch.
    Slow,
}

/// One connected cluster.
pub struct Cluster {
    pub session: Session,
    pub interner: RefCell<Interner>,
    pub lists: Semaphore,
    preference: Preference,
    generation: u32,
    out: mpsc::Sender<(u32, Message)>,
    epoch: Cell<u32>,
    /// API groups whose server refused WatchList.
    without_watch_list: RefCell<HashSet<String>>,
    /// API groups whose server refused protobuf.
    without_protobuf: RefCell<HashSet<String>>,
    measured: Cell<Option<Link>>,
}

impl Cluster {
    pub fn new(session: Session, preference: Preference, generation: u32, out: mpsc::Sender<(u32, Message)>) -> Self {
        Self {
            session,
            interner: RefCell::default(),
            lists: Semaphore::new(LISTS_AT_ONCE),
            preference,
            generation,
            out,
            epoch: Cell::new(0),
            without_watch_list: RefCell::default(),
            without_protobuf: RefCell::default(),
            measured: Cell::new(None),
        }
    }

    /// A number for a new list; later lists have higher ones.
    pub fn next_epoch(&self) -> u32 {
        self.epoch.set(self.epoch.get() + 1);
        self.epoch.get()
    }

    pub fn refuses_watch_list(&self, group: &str) -> bool {
        self.without_watch_list.borrow().contains(group)
    }

    pub fn watch_list_refused(&self, group: &str) {
        self.without_watch_list.borrow_mut().insert(group.to_owned());
    }

    /// Which encoding to ask a group's server for.
    pub fn preference(&self, group: &str) -> Preference {
        if self.without_protobuf.borrow().contains(group) { Preference::Json } else { self.preference }
    }

    pub fn protobuf_refused(&self, group: &str) {
        self.without_protobuf.borrow_mut().insert(group.to_owned());
    }

    /// What is known of the link; `None` before the first connection.
    pub fn link(&self) -> Option<Link> {
        self.measured.get().or_else(|| {
            let handshake = self.session.link()?.handshake?;
            Some(if handshake > SLOW_HANDSHAKE { Link::Slow } else { Link::Fast })
        })
    }

    /// A stream saw how many bytes come: that outweighs the handshake.
    pub fn link_is_slow(&self) {
        self.measured.set(Some(Link::Slow));
    }

    /// Sends a message; waits while the loop has enough to do. Errs when the loop is gone.
    pub async fn tell(&self, message: Message) -> Result<(), Disconnected> {
        self.out.send((self.generation, message)).await.map_err(|_| Disconnected)
    }

    pub async fn state(&self, stream: StreamId, state: StreamState) -> Result<(), Disconnected> {
        self.tell(Message::State { stream, state }).await
    }

    /// Sends rows that were made for `kind`; `read` makes them, at the moment of sending, so that symbols reach the world
    /// in the order of their ids.
    pub async fn rows<R: Send + 'static>(
        &self,
        stream: StreamId,
        kind: crate::kinds::KindId,
        epoch: u32,
        read: impl FnOnce(&mut Interner) -> Changes<R>,
    ) -> Result<(), Disconnected> {
        let permit = self.out.reserve().await.map_err(|_| Disconnected)?;
        let mut interner = self.interner.borrow_mut();
        let changes = read(&mut interner);
        let (count, fresh) = (changes.changes.len(), interner.fresh());
        let changes = Box::new(changes);
        let batch = Batch { stream, kind, epoch, fresh, changes, count, columns: None, undecodable: 0 };
        permit.send((self.generation, Message::Batch(batch)));
        Ok(())
    }

    /// Sends what a decoder has gathered, with the symbols that it needs.
    pub async fn flush(
        &self,
        stream: StreamId,
        kind: crate::kinds::KindId,
        epoch: u32,
        decoder: &mut dyn Decoder,
        undecodable: usize,
    ) -> Result<usize, Disconnected> {
        let columns = decoder.columns();
        if decoder.pending() == 0 && columns.is_none() {
            return Ok(0);
        }
        let permit = self.out.reserve().await.map_err(|_| Disconnected)?;
        // From here to `send` nothing waits, so that symbols reach the world in the order of their ids.
        let (count, changes) = decoder.take();
        let fresh = self.interner.borrow_mut().fresh();
        let batch = Batch { stream, kind, epoch, fresh, changes, count, columns, undecodable };
        permit.send((self.generation, Message::Batch(batch)));
        Ok(count)
    }
}

/// The loop has closed its end.
#[derive(Debug, thiserror::Error)]
#[error("the application is closing")]
pub struct Disconnected;

/// A GET for a path with its query.
pub fn get(path: &str, accept: &str, gzip: bool) -> http::Request<Bytes> {
    let mut request = http::Request::new(Bytes::new());
    // A path that came from discovery may be anything; what is no URI is asked for as the root and answered 404.
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    if let Ok(accept) = accept.parse() {
        headers.insert(http::header::ACCEPT, accept);
    }
    let encoding = if gzip { "gzip" } else { "identity" };
    headers.insert(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static(encoding));
    request
}
