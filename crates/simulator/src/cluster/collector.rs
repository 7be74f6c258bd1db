//! Deletion: finalizers, what goes along with its owner, and namespaces that empty themselves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::life::{self, Due};
use super::node::Own;
use super::pods;
use crate::catalog::{NAMESPACES, PODS, ResourceId};
use crate::clock::Moment;
use crate::encoding::template::rfc3339;
use crate::object::{Body, Object};
use crate::world::World;

/// What becomes of what a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// It goes after its owner.
    #[default]
    Background,
    /// It goes first, and its owner waits for that.
    Foreground,
    /// It stays, and nobody owns it any more.
    Orphan,
}

impl Propagation {
    /// What holds the owner until the collector has done its part.
    fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Background => None,
            Self::Foreground => Some("foregroundDeletion"),
            Self::Orphan => Some("orphan"),
        }
    }
}

/// How often an owner that waits for what it owns is looked at, in milliseconds.
const LOOK: Moment = 200;

fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// The object as it is once it is only marked; `None` where nothing holds it.
pub fn marked(world: &World, value: &Value, propagation: Propagation) -> Option<Value> {
    let mut value = value.clone();
    let metadata = value["metadata"].as_object_mut()?;
    // Nobody collects in a world that stands still.
    if let Some(finalizer) = propagation.finalizer().filter(|_| world.life.on) {
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        finalizers.as_array_mut()?.push(finalizer.into());
    }
    if metadata.get("finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return None;
    }
    metadata.insert("deletionTimestamp".into(), rfc3339(world.now()).into());
    metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_u64) {
        metadata.insert("generation".into(), (generation + 1).into());
    }
    Some(value)
}

/// Deletes an object that is no pod; what has finalizers is only marked. Returns its last state.
pub fn delete(world: &mut World, resource: ResourceId, key: &str, propagation: Propagation) -> Option<Arc<Object>> {
    if resource == PODS {
        return pods::delete(world, key, None);
    }
    let object = world.get(resource, key)?;
    let mut value = object.value();
    if resource == NAMESPACES && world.life.on {
        if !life::is_deleted(&value) {
            value["metadata"]["deletionTimestamp"] = rfc3339(world.now()).into();
            value["status"]["phase"] = "Terminating".into();
            world.put_value(resource, value);
        }
        return world.get(resource, key);
    }
    if life::is_deleted(&value) {
        return Some(object);
    }
    if let Body::Node(node) = &object.body {
        // Nothing but pods is a node's, and they go with it.
        let own = Own { deleted: Some(world.now()), ..node.own() };
        if own.finalizers.is_empty() {
            return world.remove(resource, key);
        }
        let node = node.with(own, &mut world.cluster.looks);
        return Some(world.put(resource, Arc::clone(&object.key), Body::Node(node)));
    }
    let Some(marked) = marked(world, &value, propagation) else { return world.remove(resource, key) };
    let left = world.put_value(resource, marked);
    if propagation != Propagation::Background {
        world.life.clock.after(LOOK, Due::Collect(resource, Arc::clone(&left.key)));
    }
    Some(left)
}

/// An object that is marked and waits for the collector.
pub fn collect(world: &mut World, resource: ResourceId, key: &Arc<str>) {
    let Some(object) = world.get(resource, key) else { return };
    let mut value = object.value();
    let waits = |finalizer: &str| {
        value["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|one| one == finalizer))
    };
    let (orphan, foreground) = (waits("orphan"), waits("foregroundDeletion"));
    let uid = life::uid(&value);
    let (owned, pods) = (world.life.index.owned(uid), pods::of(world, uid));
    if orphan {
        for (resource, key) in owned {
            let Some(mut value) = world.get(resource, &key).map(|object| object.value()) else { continue };
            if let Some(metadata) = value["metadata"].as_object_mut()
                && let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut)
            {
                owners.retain(|owner| life::number(&owner["uid"]) != uid);
                if owners.is_empty() {
                    metadata.remove("ownerReferences");
                }
            }
            world.put_value(resource, value);
        }
        pods.iter().for_each(|pod| pods::orphan(world, pod));
    } else if foreground && !(owned.is_empty() && pods.is_empty()) {
        for (resource, key) in owned {
            delete(world, resource, &key, Propagation::Foreground);
        }
        for pod in pods {
            pods::delete(world, &pod.key, None);
        }
        world.life.clock.after(LOOK, Due::Collect(resource, Arc::clone(key)));
        return;
    }
    if let Some(finalizers) = value["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|one| one != "orphan" && one != "foregroundDeletion");
    }
    let left = world.put_value(resource, value);
    release(world, &left);
}

/// Removes an object that was only marked, once nothing holds it any more.
pub fn release(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    if life::is_deleted(&value) && !has_finalizers(&value) && object.resource != NAMESPACES && object.resource != PODS {
        world.remove(object.resource, &object.key);
    }
}

/// An object is gone: so goes what it owned.
pub fn orphaned(world: &mut World, object: &Object) {
    if object.resource == PODS {
        return;
    }
    let uid = match &object.body {
        Body::Text(..) => life::uid(&object.value()),
        // Pods on a node that is gone are gone with it.
        Body::Node(_) => {
            for pod in super::lifecycle::on(world, object.name()) {
                world.remove(PODS, &pod.key);
            }
            return;
        }
        Body::Pod(_) => return,
    };
    if uid == 0 {
        return;
    }
    for (resource, key) in world.life.index.owned(uid) {
        delete(world, resource, &key, Propagation::Background);
    }
    for pod in pods::of(world, uid) {
        pods::delete(world, &pod.key, None);
    }
}

/// A namespace that is being deleted: all that is in it goes, and then it.
pub fn empty_namespace(world: &mut World, object: &Arc<Object>) {
    let mut left = false;
    for resource in ResourceId::all().filter(|resource| resource.namespaced && !resource.is_metrics()) {
        for one in world.snapshot(resource, object.name()).objects.iter() {
            delete(world, resource, &one.key, Propagation::Background);
            left |= world.get(resource, &one.key).is_some();
        }
    }
    if left {
        // What is still ending is looked for again.
        world.life.clock.after(2_000, Due::Reconcile(NAMESPACES, Arc::clone(&object.key)));
    } else {
        world.remove(NAMESPACES, &object.key);
    }
}
