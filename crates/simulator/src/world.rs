//! The state of the simulated cluster: one table for each resource, and what happened lately to it.
//!
//! One task owns the world; requests ask it for snapshots and changes (`owner`). It knows objects and versions, not HTTP.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::aws::cloud::Cloud;
use super::catalog::{NODES, PODS, ResourceId};
use super::faults::Faults;
use super::karpenter::Karpenter;
use super::object::{Body, Object, ReadyFrame};
use super::random::Random;
use super::requests::RequestLog;
use crate::cluster::controllers::{self, Counts};
use crate::cluster::life::{self, Life};
use crate::cluster::node::{self, Node};
use crate::cluster::objects;
use crate::cluster::pod::Pod;
use crate::cluster::seed::{Cluster, Size};
use crate::cluster::story::Story;
use crate::cluster::workload::Workload;
use crate::encoding::wire;

/// How many events a table remembers: at 1,000 a second, about as long as a real server's watch cache.
const HISTORY: usize = 65_536;
/// How many paged lists may be under way before the oldest one's `continue` expires.
const PAGED_LISTS: usize = 16;
/// Frames encoded ahead lie in chunks of this many bytes.
const CHUNK: usize = 512 * 1024;
/// Room for the last frame of a chunk.
const FRAME: usize = 32 * 1024;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

#[derive(Debug)]
pub struct Event {
    pub change: Change,
    /// As of the event; for a deletion the last state with the deletion's version.
    pub object: Arc<Object>,
    pub before: Option<Arc<Object>>,
}

/// Objects of one resource as of one version, in the order of their keys.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub version: u64,
    pub objects: Arc<[Arc<Object>]>,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    history: VecDeque<Arc<Event>>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    /// Tells watchers the version of the newest event.
    newest: watch::Sender<u64>,
    /// Events appended since watchers were told.
    untold: bool,
}

#[derive(Debug)]
struct PagedList {
    resource: ResourceId,
    namespace: String,
    snapshot: Snapshot,
}

/// The life of a world that is still to begin, with its story.
#[derive(Debug, Clone, Copy)]
pub struct Unborn(pub Option<&'static Story>);

#[derive(Debug)]
pub struct World {
    tables: Vec<Table>,
    paged: VecDeque<PagedList>,
    version: u64,
    pub cluster: Cluster,
    pub random: Random,
    pub faults: Faults,
    pub log: RequestLog,
    pub token: String,
    /// Changes a second that the story makes by itself.
    pub churn: f64,
    /// Keys of pods and nodes, for drawing one by chance; those of gone pods leave when they are drawn.
    pub pods: Vec<Arc<str>>,
    pub nodes: Vec<Arc<str>>,
    /// Frames of the initial objects, encoded ahead.
    pub chunks: Arc<[bytes::Bytes]>,
    /// What makes it live; empty in a still world.
    pub life: Life,
    pub story: Option<&'static Story>,
    /// The AWS account behind the cluster.
    pub cloud: Cloud,
    pub karpenter: Karpenter,
    /// Whether there is more than nodes and pods.
    furnished: bool,
    /// It will live, but the first who ask come first.
    pub unborn: Option<Unborn>,
    /// When it began, in seconds since 1970.
    pub began: i64,
    /// How fast the world's time goes; 0: it stands.
    pub speed: f64,
    /// Breaks all connections when it changes.
    pub drops: watch::Sender<u64>,
    /// The pods of each workload.
    counts: HashMap<u128, Counts>,
    /// Workloads whose pods changed since their controller last looked.
    unsettled: BTreeMap<u128, Arc<Workload>>,
}

impl World {
    /// Nodes and pods of the seed; [`World::furnish`] adds the rest.
    pub fn new(size: Size) -> Self {
        let table = |_| Table {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            newest: watch::Sender::new(0),
            untold: false,
        };
        let mut world = Self {
            tables: ResourceId::all().map(table).collect(),
            paged: VecDeque::new(),
            version: 1000,
            cluster: Cluster::new(size),
            random: Random::named(size.seed, "story"),
            faults: Faults::default(),
            log: RequestLog::default(),
            token: String::new(),
            churn: 0.0,
            pods: Vec::new(),
            nodes: Vec::new(),
            chunks: Arc::default(),
            life: Life::new(size.now),
            story: None,
            cloud: Cloud::default(),
            karpenter: Karpenter::new(size.seed),
            furnished: false,
            unborn: None,
            began: size.now,
            speed: 1.0,
            drops: watch::Sender::new(0),
            counts: HashMap::new(),
            unsettled: BTreeMap::new(),
        };
        world.fill();
        world
    }

    /// Puts nodes and pods of the seed into the tables: nothing of it is history.
    fn fill(&mut self) {
        let machines = self.cluster.machines.clone();
        let now = self.cluster.size.now;
        for (at, (machine, state, cordoned)) in (0_i64..).zip(machines) {
            let lost = state == node::NodeState::Unreachable;
            let node = Node {
                look: self.cluster.looks.of(&machine, state, cordoned, None),
                heartbeat: if lost { now - 460 } else { now - at * 13 % 300 },
                changed: if lost { now - 420 } else { (now - 7200).max(machine.created) },
                machine: Arc::clone(&machine),
            };
            self.insert(NODES, Arc::clone(&machine.name), Body::Node(node));
            self.nodes.push(Arc::clone(&machine.name));
        }
        for (name, pod) in std::mem::take(&mut self.cluster.pods) {
            let key = super::object::key(&pod.workload.namespace, &name);
            self.pods.push(Arc::clone(&key));
            self.insert(PODS, key, Body::Pod(pod));
        }
        for object in self.tables[PODS.index()].objects.values() {
            if let Body::Pod(pod) = &object.body {
                self.counts.entry(pod.workload.uid).or_default().add(pod);
            }
        }
        self.seeded();
    }

    /// Puts everything else of the seed into the tables, once. It takes longer than nodes and pods, which the first screen
    /// wants, and nobody has asked for anything else before.
    pub fn furnish(&mut self) {
        if std::mem::replace(&mut self.furnished, true) {
            return;
        }
        for (resource, value) in objects::all(&self.cluster, &self.tables[PODS.index()].objects, &self.counts) {
            self.version += 1;
            let object = Object::from_value(resource, self.version, value);
            self.tables[resource.index()].objects.insert(Arc::clone(&object.key), Arc::new(object));
        }
        self.seeded();
    }

    /// What is in tables without a history is as old as the world.
    fn seeded(&mut self) {
        let version = self.version;
        for table in self.tables.iter_mut().filter(|table| table.history.is_empty()) {
            table.forgotten = version;
            table.newest.send_replace(version);
        }
    }

    fn insert(&mut self, resource: ResourceId, key: Arc<str>, body: Body) {
        self.version += 1;
        let object = Object { resource, key: Arc::clone(&key), version: self.version, body, ready: None };
        self.tables[resource.index()].objects.insert(key, Arc::new(object));
    }

    /// Encodes the watch frames of all pods ahead.
    pub fn encode_ahead(&mut self) {
        let type_meta = &PODS.encoding().type_meta;
        let mut chunks: Vec<bytes::Bytes> = Vec::new();
        let mut chunk = Vec::with_capacity(CHUNK + FRAME);
        for object in self.tables[PODS.index()].objects.values_mut() {
            // A chunk grows past its size by one frame at most.
            if chunk.len() > CHUNK {
                chunks.push(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK + FRAME)).into());
            }
            let start = chunk.len();
            let mut message = start;
            let head = |length: usize, chunk: &mut Vec<u8>| {
                wire::frame_start(Change::Added.name(), type_meta, length, chunk);
                message = chunk.len();
            };
            object.write_message(head, &mut chunk);
            chunk.extend_from_slice(wire::UNKNOWN_END);
            let [start, message, end] = [start, message, chunk.len()].map(small);
            if let Some(object) = Arc::get_mut(object) {
                object.ready = Some(ReadyFrame { chunk: small(chunks.len()), start, message, end });
            }
        }
        chunks.push(chunk.into());
        self.chunks = chunks.into();
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, resource: ResourceId, key: &str) -> Option<Arc<Object>> {
        self.tables[resource.index()].objects.get(key).cloned()
    }

    /// How many objects a resource has.
    pub fn count(&self, resource: ResourceId) -> usize {
        self.tables[resource.index()].objects.len()
    }

    /// The objects in `namespace`, or in all.
    pub fn snapshot(&self, resource: ResourceId, namespace: &str) -> Snapshot {
        let objects = &self.tables[resource.index()].objects;
        let objects = if namespace.is_empty() {
            objects.values().cloned().collect()
        } else {
            // '0' follows '/'.
            let (first, end): (Arc<str>, Arc<str>) = (format!("{namespace}/").into(), format!("{namespace}0").into());
            objects.range(first..end).map(|(_, object)| Arc::clone(object)).collect()
        };
        Snapshot { version: self.version, objects }
    }

    /// A snapshot that `snapshot_at` finds again for a while.
    pub fn keep(&mut self, resource: ResourceId, namespace: &str, snapshot: Snapshot) {
        if self.paged.len() == PAGED_LISTS {
            self.paged.pop_front();
        }
        self.paged.push_back(PagedList { resource, namespace: namespace.to_owned(), snapshot });
    }

    /// The snapshot that an earlier page was taken from; `None` when it has expired.
    pub fn snapshot_at(&self, resource: ResourceId, namespace: &str, version: u64) -> Option<Snapshot> {
        let list = self
            .paged
            .iter()
            .find(|list| list.resource == resource && list.namespace == namespace && list.snapshot.version == version);
        list.map(|list| list.snapshot.clone())
    }

    /// The changes after `version`; `None` when they are no longer known.
    pub fn events_after(&self, resource: ResourceId, version: u64) -> Option<Vec<Arc<Event>>> {
        let table = &self.tables[resource.index()];
        if version < table.forgotten {
            return None;
        }
        let from = table.history.partition_point(|event| event.object.version <= version);
        Some(table.history.range(from..).cloned().collect())
    }

    /// Learns of new events of a resource.
    pub fn subscribe(&self, resource: ResourceId) -> watch::Receiver<u64> {
        self.tables[resource.index()].newest.subscribe()
    }

    /// Forgets all history, as a server does that restarts: every older version is too old.
    pub fn forget(&mut self) {
        self.version += 1;
        for table in &mut self.tables {
            table.history.clear();
            table.forgotten = self.version;
            table.untold = true;
        }
        self.paged.clear();
    }

    /// Adds or replaces an object that is given by its body.
    pub fn put(&mut self, resource: ResourceId, key: Arc<str>, body: Body) -> Arc<Object> {
        self.version += 1;
        self.commit(Object { resource, key, version: self.version, body, ready: None })
    }

    /// Adds or replaces an object that is given by its JSON.
    pub fn put_value(&mut self, resource: ResourceId, value: Value) -> Arc<Object> {
        self.version += 1;
        self.commit(Object::from_value(resource, self.version, value))
    }

    fn commit(&mut self, object: Object) -> Arc<Object> {
        let resource = object.resource;
        let object = Arc::new(object);
        let before = self.tables[resource.index()].objects.insert(Arc::clone(&object.key), Arc::clone(&object));
        if before.is_none() && resource == PODS {
            self.pods.push(Arc::clone(&object.key));
        }
        if before.is_none() && resource == NODES {
            self.nodes.push(Arc::clone(&object.key));
        }
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.record(resource, Event { change, object: Arc::clone(&object), before });
        object
    }

    /// Removes an object; `None` when there is none.
    pub fn remove(&mut self, resource: ResourceId, key: &str) -> Option<Arc<Object>> {
        let before = self.tables[resource.index()].objects.remove(key)?;
        self.version += 1;
        if resource == NODES {
            self.nodes.retain(|name| name.as_ref() != key);
        }
        let object = Arc::new(before.at_version(self.version));
        self.record(resource, Event { change: Change::Deleted, object: Arc::clone(&object), before: Some(before) });
        Some(object)
    }

    fn record(&mut self, resource: ResourceId, event: Event) {
        if resource == PODS {
            self.recount(&event);
        }
        if self.life.on {
            life::noticed(self, &event);
        }
        let table = &mut self.tables[resource.index()];
        if table.history.len() == HISTORY
            && let Some(oldest) = table.history.pop_front()
        {
            table.forgotten = oldest.object.version;
        }
        table.history.push_back(Arc::new(event));
        table.untold = true;
    }

    /// Keeps the counts of the workload whose pod changed.
    fn recount(&mut self, event: &Event) {
        let after = Some(&event.object).filter(|_| event.change != Change::Deleted);
        for (object, came) in [(event.before.as_ref(), false), (after, true)] {
            let Some(Body::Pod(pod)) = object.map(|object| &object.body) else { continue };
            let counts = self.counts.entry(pod.workload.uid).or_default();
            if came {
                counts.add(pod);
            } else {
                counts.remove(pod);
            }
            // In a living world the controllers themselves see to it.
            if !self.life.on {
                self.unsettled.entry(pod.workload.uid).or_insert_with(|| Arc::clone(&pod.workload));
            }
        }
    }

    /// The time that goes into objects now, in seconds since 1970.
    pub fn now(&self) -> i64 {
        if self.life.on { self.life.clock.stamp() } else { self.cluster.size.now }
    }

    /// How many pods share the load of a pod's workload.
    pub fn ready(&self, pod: &Pod) -> u32 {
        self.counts.get(&pod.workload.uid).map_or(1, |counts| counts.ready)
    }

    /// Has the controllers of at most `most` workloads write the status that their pods give.
    pub fn settle(&mut self, most: usize) {
        for _ in 0..most {
            let Some((uid, workload)) = self.unsettled.pop_first() else { return };
            let counts = self.counts.get(&uid).copied().unwrap_or_default();
            for (resource, value) in controllers::of(&workload, counts, self.cluster.size) {
                let name = value["metadata"]["name"].as_str().unwrap_or_default();
                let Some(object) = self.get(resource, &super::object::key(&workload.namespace, name)) else { continue };
                let mut current = object.value();
                if current["status"] != value["status"] {
                    current["status"] = value["status"].clone();
                    self.put_value(resource, current);
                }
            }
        }
    }

    /// Tells the watchers what was recorded since the last time: once for a batch of changes.
    pub fn tell(&mut self) {
        for table in &mut self.tables {
            if std::mem::take(&mut table.untold) {
                table.newest.send_replace(self.version);
            }
        }
    }
}

/// Places in chunks are far below 2^32: a chunk has half a megabyte.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
