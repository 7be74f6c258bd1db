//! Events: told by components, counted when they come again, gone after an hour.
//!
//! The kubelet and most controllers write events of the first kind (`count`, `firstTimestamp`), the scheduler those of
//! events.k8s.io (`eventTime`, `series`): real clusters have both.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::metadata;
use super::pod::Pod;
use crate::catalog::EVENTS;
use crate::clock::Moment;
use crate::encoding::template::{Short, rfc3339};
use crate::object::Object;
use crate::world::World;

/// How long EKS keeps events.
const KEPT: Moment = 3_600_000;
/// A series of events.k8s.io ends when nothing came for so long.
const SERIES: Moment = 360_000;

pub const SCHEDULER: &str = "default-scheduler";
pub const KUBELET: &str = "kubelet";

#[derive(Debug)]
struct Known {
    key: Arc<str>,
    last: Moment,
    count: u32,
}

/// What was told lately.
#[derive(Debug, Default)]
pub struct Recorder {
    known: HashMap<u64, Known>,
}

/// Who tells what.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    pub warning: bool,
    pub reason: &'a str,
    pub component: &'a str,
    /// The node, where the kubelet tells it.
    pub host: &'a str,
    pub message: &'a str,
}

/// A reference to a pod, or to one of its containers.
pub fn pod_reference(object: &Object, pod: &Pod, container: &str) -> Value {
    let mut reference = json!({
        "kind": "Pod", "apiVersion": "v1", "namespace": object.namespace(), "name": object.name(),
        "uid": Short::uuid(pod.uid).as_str(), "resourceVersion": object.version.to_string(),
    });
    if !container.is_empty() {
        reference["fieldPath"] = format!("spec.containers{{{container}}}").into();
    }
    reference
}

/// A reference to an object that is given by its JSON.
pub fn reference(object: &Object, value: &Value) -> Value {
    let mut reference = json!({
        "kind": object.resource.kind, "apiVersion": object.resource.api_version(), "name": object.name(),
        "uid": value["metadata"]["uid"], "resourceVersion": object.version.to_string(),
    });
    if !object.namespace().is_empty() {
        reference["namespace"] = object.namespace().into();
    }
    reference
}

/// Writes an event, or counts it where the same was told before.
pub fn tell(world: &mut World, involved: &Value, word: Word<'_>) {
    if !world.life.on {
        return;
    }
    let now = world.life.clock.now();
    let stamp = rfc3339(world.life.clock.stamp());
    let micro = stamp.replace('Z', ".000000Z");
    let mut hasher = DefaultHasher::new();
    (involved["uid"].as_str(), word.reason, word.message, word.component, involved["fieldPath"].as_str())
        .hash(&mut hasher);
    let hash = hasher.finish();
    let series = word.component == SCHEDULER;
    let known = world.life.recorder.known.get(&hash).filter(|known| !series || now - known.last < SERIES);
    if let Some(object) = known.and_then(|known| world.get(EVENTS, &known.key)) {
        let mut count = 1;
        if let Some(known) = world.life.recorder.known.get_mut(&hash) {
            known.last = now;
            known.count += 1;
            count = known.count;
        }
        let mut event = object.value();
        if series {
            event["series"] = json!({ "count": count, "lastObservedTime": micro });
        } else {
            event["count"] = count.into();
            event["lastTimestamp"] = stamp.into();
        }
        world.put_value(EVENTS, event);
        return;
    }
    // Real names end in the nanosecond of the first.
    let name = format!(
        "{}.{:x}",
        involved["name"].as_str().unwrap_or_default(),
        now * 1_000_000 + (hash % 1_000_000).cast_signed()
    );
    let namespace = involved["namespace"].as_str().unwrap_or("default");
    let mut source = json!({ "component": word.component });
    if !word.host.is_empty() {
        source["host"] = word.host.into();
    }
    let kind = if word.warning { "Warning" } else { "Normal" };
    let mut event = json!({
        "metadata": metadata(world.cluster.size, namespace, &name, world.life.clock.stamp(), "Event"),
        "involvedObject": involved, "reason": word.reason, "message": word.message, "type": kind,
        "reportingComponent": word.component, "reportingInstance": word.host,
    });
    if series {
        event["eventTime"] = micro.into();
        event["action"] = "Scheduling".into();
        event["source"] = json!({});
        event["firstTimestamp"] = Value::Null;
        event["lastTimestamp"] = Value::Null;
        event["reportingInstance"] = format!("{SCHEDULER}-ip-10-0-99-7").into();
    } else {
        event["eventTime"] = Value::Null;
        event["source"] = source;
        event["firstTimestamp"] = stamp.clone().into();
        event["lastTimestamp"] = stamp.into();
        event["count"] = 1.into();
    }
    let object = world.put_value(EVENTS, event);
    world.life.recorder.known.insert(hash, Known { key: Arc::clone(&object.key), last: now, count: 1 });
}

/// Learns the events that the world began with, so that they go in time.
pub fn remember(world: &mut World) {
    let now = world.life.clock.now();
    for object in world.snapshot(EVENTS, "").objects.iter() {
        let value = object.value();
        let last = value["lastTimestamp"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let mut hasher = DefaultHasher::new();
        object.key.hash(&mut hasher);
        let last = last.map_or(now, jiff::Timestamp::as_millisecond);
        world.life.recorder.known.insert(hasher.finish(), Known { key: Arc::clone(&object.key), last, count: 1 });
    }
}

/// Removes what is an hour old.
pub fn sweep(world: &mut World) {
    let now = world.life.clock.now();
    let mut old = Vec::new();
    world.life.recorder.known.retain(|_, known| {
        let kept = now - known.last < KEPT;
        if !kept {
            old.push(Arc::clone(&known.key));
        }
        kept
    });
    // A map has no order, a story does.
    old.sort();
    for key in old {
        world.remove(EVENTS, &key);
    }
}
