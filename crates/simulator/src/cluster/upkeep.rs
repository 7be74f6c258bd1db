//! What the control plane keeps up besides workloads: leases, revisions of sets, and what every namespace has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::life;
use super::node::NodeState;
use super::objects::{self, metadata};
use super::platform;
use super::workload::owner;
use crate::catalog::{ACCOUNTS, CONFIG_MAPS, LEASES, NODES, REVISIONS, STATEFUL_SETS};
use crate::encoding::template::rfc3339;
use crate::object::{Body, Object, key};
use crate::world::World;

/// Those who hold a lease renew it; a node that does not answer does not.
pub fn renew(world: &mut World) {
    let now = rfc3339(world.life.clock.stamp());
    for lease in world.snapshot(LEASES, "").objects.iter() {
        if lease.namespace() == "kube-node-lease" {
            let node = world.get(NODES, lease.name());
            let answers = |object: &Arc<Object>| matches!(&object.body, Body::Node(node) if node.look.state != NodeState::Unreachable);
            if !node.as_ref().is_some_and(answers) {
                continue;
            }
        }
        let mut value = lease.value();
        value["spec"]["renewTime"] = now.clone().into();
        world.put_value(LEASES, value);
    }
}

/// Keeps the revision of a set that runs `hash` now: the newest has the highest number.
pub fn keep_revision(world: &mut World, set: &Object, value: &Value, hash: &str) {
    let uid = life::uid(value);
    let mut all: Vec<Value> = world
        .life
        .index
        .owned(uid)
        .into_iter()
        .filter(|(resource, _)| *resource == REVISIONS)
        .filter_map(|(_, key)| world.get(REVISIONS, &key))
        .map(|object| object.value())
        .collect();
    let number = |revision: &Value| revision["revision"].as_u64().unwrap_or(0);
    all.sort_by_key(number);
    let name = format!("{}-{hash}", set.name());
    let newest = all.last().map_or(0, number);
    match all.iter().find(|revision| revision["metadata"]["name"] == name) {
        Some(revision) if number(revision) == newest => return,
        Some(revision) => {
            let mut revision = revision.clone();
            revision["revision"] = (newest + 1).into();
            world.put_value(REVISIONS, revision);
        }
        None => {
            let now = world.life.clock.stamp();
            let mut metadata = metadata(world.cluster.size, set.namespace(), &name, now, "ControllerRevision");
            metadata["labels"] = value["spec"]["template"]["metadata"]["labels"].clone();
            let label = platform::revision_label(set.resource == STATEFUL_SETS);
            metadata["labels"][label] = hash.into();
            metadata["ownerReferences"] = json!([owner("apps/v1", set.resource.kind, set.name(), uid)]);
            world.put_value(REVISIONS, platform::revision_of(&metadata, &value["spec"]["template"], newest + 1));
        }
    }
    let limit =
        value["spec"]["revisionHistoryLimit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
    // The current one does not count.
    for old in all.iter().take(all.len().saturating_sub(limit)) {
        if old["metadata"]["name"] != name {
            world.remove(REVISIONS, &key(set.namespace(), old["metadata"]["name"].as_str().unwrap_or_default()));
        }
    }
}

/// A namespace that has just been made gets what each has.
pub fn furnish(world: &mut World, namespace: &str) {
    let size = world.cluster.size;
    if world.get(ACCOUNTS, &key(namespace, "default")).is_none() {
        let metadata = metadata(size, namespace, "default", world.life.clock.stamp(), "ServiceAccount");
        world.put_value(ACCOUNTS, json!({ "metadata": metadata }));
    }
    if world.get(CONFIG_MAPS, &key(namespace, "kube-root-ca.crt")).is_none() {
        let mut certificate = objects::root_certificate(size, namespace);
        certificate["metadata"]["creationTimestamp"] = rfc3339(world.life.clock.stamp()).into();
        world.put_value(CONFIG_MAPS, certificate);
    }
}
