//! Deletion: finalizers, what goes along with its owner, and namespaces that empty themselves.

use std::sync::Arc;

use serde_json::Value;

use super::{life, pods};
use crate::sim::catalog::{NAMESPACES, PODS, ResourceId};
use crate::sim::encoding::template::rfc3339;
use crate::sim::object::Object;
use crate::sim::world::World;

fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Deletes an object that is no pod; what has finalizers is only marked. Returns its last state.
pub fn delete(world: &mut World, resource: ResourceId, key: &str) -> Option<Arc<Object>> {
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
    if has_finalizers(&value) {
        if !life::is_deleted(&value) {
            value["metadata"]["deletionTimestamp"] = rfc3339(world.now()).into();
            value["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            world.put_value(resource, value);
        }
        return world.get(resource, key);
    }
    world.remove(resource, key)
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
        crate::sim::object::Body::Text(..) => life::uid(&object.value()),
        // Pods on a node that is gone are gone with it.
        crate::sim::object::Body::Node(_) => {
            for pod in super::lifecycle::on(world, object.name()) {
                world.remove(PODS, &pod.key);
            }
            return;
        }
        crate::sim::object::Body::Pod(_) => return,
    };
    if uid == 0 || world.life.orphaning {
        return;
    }
    for (resource, key) in world.life.index.owned(uid) {
        delete(world, resource, &key);
    }
    for pod in pods::of(world, uid) {
        pods::delete(world, &pod.key, None);
    }
}

/// A namespace that is being deleted: all that is in it goes, and then it.
pub fn empty_namespace(world: &mut World, object: &Arc<Object>) {
    if !life::is_deleted(&object.value()) {
        return;
    }
    let mut left = false;
    for resource in ResourceId::all().filter(|resource| resource.namespaced && !resource.is_metrics()) {
        for one in world.snapshot(resource, object.name()).objects.iter() {
            delete(world, resource, &one.key);
            left |= world.get(resource, &one.key).is_some();
        }
    }
    if left {
        // What is still ending is looked for again.
        world.life.clock.after(2_000, life::Due::Reconcile(NAMESPACES, Arc::clone(&object.key)));
    } else {
        world.remove(NAMESPACES, &object.key);
    }
}
