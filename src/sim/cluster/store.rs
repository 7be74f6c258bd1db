//! What clients write: admission, typed pods and nodes, generations, and the rules of update and deletion.

use std::sync::Arc;

use serde_json::Value;

use super::budget::{self, Verdict};
use super::{collector, defaults, life, pods, revision};
use crate::sim::catalog::{NAMESPACES, NODES, PODS, ResourceId};
use crate::sim::http::status::Status;
use crate::sim::object::{Body, Object, key};
use crate::sim::world::World;

/// Objects where the server, and it alone, writes as well: they must be objects, or not be there.
const OBJECTS: [&str; 18] = [
    "",
    "/metadata",
    "/metadata/labels",
    "/metadata/annotations",
    "/spec",
    "/spec/selector",
    "/spec/selector/matchLabels",
    "/spec/strategy",
    "/spec/template",
    "/spec/template/metadata",
    "/spec/template/metadata/labels",
    "/spec/template/spec",
    "/spec/jobTemplate",
    "/spec/jobTemplate/spec",
    "/spec/jobTemplate/spec/template",
    "/spec/jobTemplate/spec/template/spec",
    "/status",
    "/status/disruptedPods",
];

/// Refuses what has no shape that the server could work with.
fn check(value: &Value) -> Result<(), Status> {
    for pointer in OBJECTS {
        let part = value.pointer(pointer).unwrap_or(&Value::Null);
        if !(part.is_object() || part.is_null() && !pointer.is_empty()) {
            let place = if pointer.is_empty() { "the body" } else { &pointer[1..].replace('/', ".") };
            return Err(Status::bad_request(format!("{place}: Invalid value: must be an object")));
        }
    }
    Ok(())
}

/// How an update came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    pub status_only: bool,
    pub dry_run: bool,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value["metadata"][name].as_str().unwrap_or_default()
}

/// Makes a new object.
pub fn create(
    world: &mut World,
    resource: ResourceId,
    namespace: &str,
    mut value: Value,
    dry_run: bool,
) -> Result<Arc<Object>, Status> {
    check(&value)?;
    if value["kind"].as_str().is_some_and(|kind| kind != resource.kind) {
        let message =
            format!("{} in version \"{}\" cannot be handled as a {}", value["kind"], resource.version, resource.kind);
        return Err(Status::bad_request(message));
    }
    let given = text(&value, "namespace");
    if !given.is_empty() && given != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !text(&value, "resourceVersion").is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if text(&value, "name").is_empty() && text(&value, "generateName").is_empty() {
        return Err(Status::invalid(
            &resource,
            "",
            "metadata.name",
            "Required value: name or generateName is required",
            "FieldValueRequired",
        ));
    }
    if resource.namespaced {
        match world.get(NAMESPACES, namespace).map(|object| object.value()) {
            None => return Err(Status::not_found(&NAMESPACES, namespace)),
            Some(found) if life::is_deleted(&found) => {
                return Err(Status::terminating(&resource, text(&value, "name"), namespace));
            }
            Some(_) => {}
        }
        value["metadata"]["namespace"] = namespace.into();
    }
    let now = world.now();
    let mut random = world.random.clone();
    defaults::complete(resource, &mut value, now, &mut random);
    let at = key(namespace, text(&value, "name"));
    if world.get(resource, &at).is_some() {
        return Err(Status::already_exists(&resource, text(&value, "name")));
    }
    if dry_run {
        return Ok(Arc::new(Object::from_value(resource, world.version(), value)));
    }
    world.random = random;
    match resource {
        NODES => Err(Status::method_not_allowed()),
        PODS => {
            let workload = Arc::new(revision::of_pod(&value, None));
            let name = text(&value, "name").to_owned();
            let fate = super::pod::Fate::Fine;
            pods::create(world, &workload, Some(&name), 0, fate, None);
            world.get(PODS, &at).ok_or_else(|| Status::not_found(&resource, &name))
        }
        _ => Ok(world.put_value(resource, value)),
    }
}

/// Replaces an object by what `change` makes of it.
pub fn update(
    world: &mut World,
    resource: ResourceId,
    at: &Arc<str>,
    write: Write,
    change: impl FnOnce(&mut Value) -> Result<(), Status>,
) -> Result<Arc<Object>, Status> {
    let name = at.rsplit('/').next().unwrap_or_default();
    let object = world.get(resource, at).ok_or_else(|| Status::not_found(&resource, name))?;
    let before = object.value();
    let mut after = before.clone();
    change(&mut after)?;
    check(&after)?;
    if text(&after, "name") != name {
        let message =
            format!("the name of the object ({}) does not match the name on the URL ({name})", text(&after, "name"));
        return Err(Status::bad_request(message));
    }
    let version = text(&after, "resourceVersion");
    if !version.is_empty() && version != text(&before, "resourceVersion") {
        return Err(Status::conflict(&resource, name));
    }
    let uid = text(&after, "uid");
    if !uid.is_empty() && uid != text(&before, "uid") {
        return Err(Status::other_uid(&resource, name, uid, text(&before, "uid")));
    }
    if write.status_only {
        let status = after["status"].take();
        after = before.clone();
        after["status"] = status;
    } else if before["status"].is_null() {
        if let Some(after) = after.as_object_mut() {
            after.remove("status");
        }
    } else {
        after["status"] = before["status"].clone();
    }
    // What only the server writes.
    for field in
        ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"]
    {
        if let Some(metadata) = after["metadata"].as_object_mut() {
            match &before["metadata"][field] {
                Value::Null => metadata.remove(field),
                value => metadata.insert(field.to_owned(), value.clone()),
            };
        }
    }
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    immutable(resource, name, &before, &after)?;
    if before["spec"] != after["spec"] && !matches!(resource, PODS | NODES) {
        let generation = before["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
        after["metadata"]["generation"] = generation.into();
    }
    // A write that changes nothing makes no new version.
    if before == after {
        return Ok(object);
    }
    if write.dry_run {
        return Ok(Arc::new(Object::from_value(resource, object.version, after)));
    }
    let now = world.now();
    let stored = match &object.body {
        Body::Node(node) if !write.status_only => {
            let node = node.as_written(&after, &mut world.cluster.looks, now);
            world.put(NODES, Arc::clone(at), Body::Node(node))
        }
        Body::Pod(pod) if !write.status_only => {
            let workload = Arc::new(revision::of_pod(&after, Some(&pod.workload)));
            let mut pod = pod.clone();
            pod.template = world.cluster.templates.of(&workload, pod.state);
            pod.workload = workload;
            world.put(PODS, Arc::clone(at), Body::Pod(pod))
        }
        Body::Pod(_) | Body::Node(_) => return Err(Status::method_not_allowed()),
        Body::Text(..) => world.put_value(resource, after),
    };
    collector::release(world, &stored);
    Ok(stored)
}

/// What may not change once it is there.
fn immutable(resource: ResourceId, name: &str, before: &Value, after: &Value) -> Result<(), Status> {
    let fields: &[&str] = match resource.kind {
        "Deployment" | "ReplicaSet" | "DaemonSet" => &["selector"],
        "StatefulSet" => &["selector", "serviceName", "volumeClaimTemplates"],
        "Job" => &["selector", "completions", "template"],
        "Pod" => &["nodeName", "serviceAccountName", "restartPolicy", "volumes"],
        _ => &[],
    };
    for field in fields {
        if before["spec"][field] != after["spec"][field] {
            let place = format!("spec.{field}");
            return Err(Status::invalid(&resource, name, &place, "field is immutable", "FieldValueInvalid"));
        }
    }
    let replicas = &after["spec"]["replicas"];
    if replicas.as_i64().is_some_and(|replicas| replicas < 0) {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        return Err(Status::invalid(&resource, name, "spec.replicas", &message, "FieldValueInvalid"));
    }
    Ok(())
}

/// The options of a deletion.
#[derive(Debug, Clone, Default)]
pub struct Deletion {
    pub grace: Option<u32>,
    pub orphan: bool,
    pub dry_run: bool,
    /// Preconditions; empty where there are none.
    pub uid: String,
    pub version: String,
}

impl Deletion {
    /// Of a `DeleteOptions`.
    pub fn of(options: &Value) -> Result<Self, Status> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let grace = match &options["gracePeriodSeconds"] {
            Value::Null => None,
            value => match value.as_i64() {
                Some(seconds) => Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)),
                None => return Err(Status::bad_request(format!("gracePeriodSeconds: Invalid value: {value}"))),
            },
        };
        Ok(Self {
            grace,
            orphan: options["propagationPolicy"] == "Orphan" || options["orphanDependents"] == true,
            dry_run: options["dryRun"].as_array().is_some_and(|dry| !dry.is_empty()),
            uid: text(&options["preconditions"]["uid"]),
            version: text(&options["preconditions"]["resourceVersion"]),
        })
    }

    fn check(&self, object: &Object) -> Result<(), Status> {
        let value = object.value();
        let (uid, version) = (text(&value, "uid"), text(&value, "resourceVersion"));
        if !self.uid.is_empty() && self.uid != uid {
            return Err(Status::other_uid(&object.resource, object.name(), &self.uid, uid));
        }
        if !self.version.is_empty() && self.version != version {
            return Err(Status::conflict(&object.resource, object.name()));
        }
        Ok(())
    }
}

/// Deletes an object: its last state, and whether it is gone already.
pub fn delete(
    world: &mut World,
    resource: ResourceId,
    at: &Arc<str>,
    how: &Deletion,
) -> Result<(Arc<Object>, bool), Status> {
    let name = at.rsplit('/').next().unwrap_or_default();
    let object = world.get(resource, at).ok_or_else(|| Status::not_found(&resource, name))?;
    how.check(&object)?;
    if how.dry_run {
        return Ok((object, false));
    }
    world.life.orphaning = how.orphan;
    let left =
        if resource == PODS { pods::delete(world, at, how.grace) } else { collector::delete(world, resource, at) };
    world.life.orphaning = false;
    let gone = world.get(resource, at).is_none();
    Ok((left.unwrap_or(object), gone))
}

/// Evicts a pod as far as its disruption budget allows.
pub fn evict(world: &mut World, at: &Arc<str>, how: &Deletion) -> Result<(), Status> {
    let name = at.rsplit('/').next().unwrap_or_default();
    let object = world.get(PODS, at).ok_or_else(|| Status::not_found(&PODS, name))?;
    how.check(&object)?;
    let Body::Pod(pod) = &object.body else { return Err(Status::not_found(&PODS, name)) };
    let budgets = budget::guarding(world, &object, pod);
    let called = |key: &Arc<str>| key.rsplit('/').next().unwrap_or_default().to_owned();
    match budget::decide(pod, &budgets) {
        Verdict::Several => return Err(Status::several_budgets()),
        Verdict::Wait { budget, needs, has } => return Err(Status::budget_spent(&called(&budget), needs, has)),
        Verdict::Behind(budget) => return Err(Status::budget_behind(&called(&budget))),
        Verdict::Count(budget) if !how.dry_run => budget::take(world, &budget, name),
        Verdict::Count(_) | Verdict::Go => {}
    }
    if !how.dry_run {
        pods::delete(world, at, how.grace);
    }
    Ok(())
}
