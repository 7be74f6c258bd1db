//! WATCH: initial events, changes as they come, bookmarks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::query::Query;
use super::render::{Pieces, Render};
use super::selector::Selector;
use super::status::Status;
use crate::admission::options;
use crate::catalog::ResourceId;
use crate::faults::{Faults, WatchListFault};
use crate::object::Object;
use crate::owner::Owner;
use crate::world::{Change, Event};

/// How often a quiet watch is told how far it is.
const BOOKMARK: Duration = Duration::from_mins(1);
/// What the server chooses when the client does not say how long to watch.
const TIMEOUT_S: u64 = 1800;

/// A watch under way.
pub struct Watch {
    owner: Owner,
    render: Render,
    namespace: String,
    selector: Selector,
    newest: watch::Receiver<u64>,
    /// Told up to this version.
    version: u64,
    initial: Option<Pieces>,
    /// Frames that go out before anything new is looked at.
    ready: VecDeque<Bytes>,
    /// Events that came so far, for the columns of a table.
    first: bool,
    bookmarks: bool,
    /// Mark the end of the initial events.
    mark_end: bool,
    next_bookmark: Instant,
    end: Instant,
    ended: bool,
    /// Frames until the garbage.
    garbage: Option<u32>,
}

impl Watch {
    pub async fn start(
        owner: Owner,
        render: Render,
        namespace: &str,
        query: &Query,
        selector: Selector,
        faults: &Faults,
    ) -> Result<Self, Status> {
        let resource = render.resource;
        let send_initial = query.is_set("sendInitialEvents");
        if !query.get("sendInitialEvents").is_empty() && faults.watch_list == WatchListFault::Invalid {
            return Err(Status::watch_list_disabled());
        }
        options::listing(query, true)?;
        let version = query.version().map_err(|wrong| Status::plain(500, wrong))?;
        let error = if send_initial && faults.watch_list == WatchListFault::ErrorEvent {
            Some(Status::progress_unsupported())
        } else if faults.gone && version.is_some_and(|version| version > 0) {
            Some(Status::too_old(version.unwrap_or(0), version.unwrap_or(0) + 1))
        } else {
            None
        };
        let from_start = send_initial || version.is_none_or(|version| version == 0);
        let of = namespace.to_owned();
        let (current, objects, newest) = owner
            .ask(move |world| {
                let objects = from_start.then(|| world.snapshot(resource, &of).objects);
                (world.version(), objects, world.subscribe(resource))
            })
            .await
            .ok_or_else(|| Status::internal("the server is shutting down"))?;
        if let Some(version) = version.filter(|version| *version > current) {
            return Err(Status::future_version(version, current));
        }
        let start = Instant::now();
        let bookmarks = query.is_set("allowWatchBookmarks");
        let timeout =
            Duration::from_secs(query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).unwrap_or(TIMEOUT_S));
        let mut watch = Self {
            version: if from_start { current } else { version.unwrap_or(0) },
            initial: objects.map(|objects| {
                let chosen = |object: &&Arc<Object>| selector.is_empty() || selector.matches(object);
                render.initial(objects.iter().filter(chosen).cloned().collect())
            }),
            owner,
            render,
            namespace: namespace.to_owned(),
            selector,
            newest,
            ready: VecDeque::new(),
            first: true,
            bookmarks,
            mark_end: send_initial && bookmarks,
            next_bookmark: start + BOOKMARK,
            end: start + timeout,
            ended: false,
            garbage: faults.garbage_after_frames,
        };
        if let Some(error) = error {
            watch.fail(&error);
        }
        Ok(watch)
    }

    /// Ends the watch with an ERROR event.
    fn fail(&mut self, status: &Status) {
        self.ready.push_back(self.render.error(status).into());
        self.initial = None;
        self.mark_end = false;
        self.ended = true;
    }

    /// The next piece of the body; `None` at its end.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.garbage == Some(0) {
                self.garbage = None;
                return Some(self.render.garbage().into());
            }
            if let Some(frame) = self.ready.pop_front() {
                self.garbage = self.garbage.map(|frames| frames.saturating_sub(1));
                return Some(frame);
            }
            if let Some(initial) = &mut self.initial {
                match initial.next() {
                    Some(piece) => {
                        self.first = false;
                        self.garbage = self.garbage.map(|frames| frames.saturating_sub(1));
                        return Some(piece);
                    }
                    None => self.initial = None,
                }
            }
            if std::mem::take(&mut self.mark_end) {
                self.bookmark(true);
                continue;
            }
            if self.ended {
                return None;
            }
            // Subscribed before the snapshot was taken: nothing can fall between the two.
            if *self.newest.borrow_and_update() > self.version {
                self.catch_up().await?;
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => if changed.is_err() { return None },
                () = sleep_until(self.next_bookmark), if self.bookmarks => self.bookmark(false),
                () = sleep_until(self.end) => self.ended = true,
            }
        }
    }

    fn bookmark(&mut self, end: bool) {
        self.ready.push_back(self.render.bookmark(self.version, end, self.first).into());
        self.first = false;
        self.next_bookmark = Instant::now() + BOOKMARK;
    }

    /// Encodes what happened since the last time.
    async fn catch_up(&mut self) -> Option<()> {
        let (resource, version): (ResourceId, u64) = (self.render.resource, self.version);
        let (events, newest) =
            self.owner.ask(move |world| (world.events_after(resource, version), world.version())).await?;
        let Some(events) = events else {
            self.fail(&Status::too_old(version, newest));
            return Some(());
        };
        let mut out = Vec::new();
        for event in &events {
            self.event(event, &mut out);
            if self.garbage.is_some() && !out.is_empty() {
                self.ready.push_back(std::mem::take(&mut out).into());
            }
        }
        if !out.is_empty() {
            self.ready.push_back(out.into());
        }
        self.version = newest;
        Some(())
    }

    /// Appends what this watch is to know of an event: an object that begins or ceases to be selected comes or goes.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        if !self.namespace.is_empty() && event.object.namespace() != self.namespace {
            return;
        }
        let change = if self.selector.is_empty() {
            event.change
        } else {
            let before = event.before.as_deref().is_some_and(|before| self.selector.matches(before));
            let after = event.change != Change::Deleted && self.selector.matches(&event.object);
            match (before, after) {
                (false, false) => return,
                (false, true) => Change::Added,
                (true, true) => Change::Modified,
                (true, false) => Change::Deleted,
            }
        };
        self.render.event(change, &event.object, self.first, out);
        self.first = false;
    }
}
