//! What clients write: admission, typed pods and nodes, generations, and the rules of update and deletion.

use std::sync::Arc;

use serde_json::Value;

use super::budget::{self, Verdict};
use super::collector::{self, Propagation};
use super::ownership::{self, Manager};
use super::{defaults, life, pods, revision};
use crate::admission::field::Wrong;
use crate::admission::kinds;
use crate::admission::options::Writing;
use crate::catalog::{DISRUPTION_BUDGETS, NAMESPACES, NODES, PODS, ResourceId};
use crate::encoding::template::rfc3339;
use crate::http::body::fit;
use crate::http::status::Status;
use crate::object::{Body, Object, key};
use crate::world::World;

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

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value["metadata"][name].as_str().unwrap_or_default()
}

/// Makes a new object of `value`, whose shape has been looked at.
pub fn create(
    world: &mut World,
    resource: ResourceId,
    namespace: &str,
    mut value: Value,
    writing: &Writing,
) -> Result<Arc<Object>, Status> {
    check(&value)?;
    let given = text(&value, "namespace");
    if !given.is_empty() && given != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !text(&value, "resourceVersion").is_empty() {
        return Err(Status::plain(500, "resourceVersion should not be set on objects to be created"));
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
    let wrong = kinds::check(resource, &value);
    if !wrong.is_empty() {
        return Err(Status::invalid(&resource, text(&value, "name"), &wrong));
    }
    let at = key(namespace, text(&value, "name"));
    if world.get(resource, &at).is_some() {
        return Err(Status::already_exists(&resource, text(&value, "name")));
    }
    if value["metadata"]["managedFields"].is_null() {
        by(resource, writing, false, now, |manager| ownership::note(&Value::Null, &mut value, manager));
    }
    if writing.dry_run {
        return Ok(Arc::new(Object::from_value(resource, 0, value)));
    }
    world.random = random;
    match resource {
        // A simulated node is a machine of a node group.
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

/// Has something done in the name of who writes.
fn by<T>(resource: ResourceId, writing: &Writing, status: bool, now: i64, act: impl FnOnce(&Manager<'_>) -> T) -> T {
    let (api_version, time) = (resource.api_version(), rfc3339(now));
    let subresource = if status { "status" } else { "" };
    act(&Manager { name: &writing.manager, api_version: &api_version, subresource, time: &time })
}

/// Replaces an object by what `change` makes of it; hands on what `change` returns.
pub fn update<T>(
    world: &mut World,
    resource: ResourceId,
    at: &Arc<str>,
    writing: &Writing,
    status_only: bool,
    change: impl FnOnce(&mut Value) -> Result<T, Status>,
) -> Result<(Arc<Object>, T), Status> {
    let name = at.rsplit('/').next().unwrap_or_default();
    let object = world.get(resource, at).ok_or_else(|| Status::not_found(&resource, name))?;
    let before = object.value();
    let mut after = before.clone();
    let told = change(&mut after)?;
    check(&after)?;
    same_object(&object, &before, &after, name)?;
    let now = world.now();
    let fields = if writing.applied { after["metadata"]["managedFields"].take() } else { Value::Null };
    if status_only {
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
    if !fields.is_null() {
        after["metadata"]["managedFields"] = fields;
    }
    if resource.namespaced {
        after["metadata"]["namespace"] = object.namespace().into();
    }
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    if !status_only {
        defaults::fill_in(resource, &mut after);
        let mut wrong = kinds::check(resource, &after);
        wrong.extend(kinds::check_change(resource, &before, &after));
        if !wrong.is_empty() {
            return Err(Status::invalid(&resource, name, &wrong));
        }
    }
    if before["spec"] != after["spec"]
        && let Some(generation) = before["metadata"]["generation"].as_u64()
    {
        after["metadata"]["generation"] = (generation + 1).into();
    }
    // A write that changes nothing makes no new version.
    if before == after {
        return Ok((object, told));
    }
    let typed = matches!(object.body, Body::Pod(_) | Body::Node(_));
    if !typed && !writing.applied {
        by(resource, writing, status_only, now, |manager| ownership::note(&before, &mut after, manager));
    }
    if writing.dry_run {
        return Ok((Arc::new(Object::from_value(resource, object.version, after)), told));
    }
    let stored = match &object.body {
        Body::Node(node) => {
            let looks = &mut world.cluster.looks;
            let node =
                if status_only { node.as_reported(&after, looks, now) } else { node.as_written(&after, looks, now) };
            world.put(NODES, Arc::clone(at), Body::Node(node))
        }
        Body::Pod(pod) if status_only => {
            let pod = pods::as_reported(pod, after, &mut world.cluster.templates, now);
            world.put(PODS, Arc::clone(at), Body::Pod(pod))
        }
        Body::Pod(pod) => {
            let workload = Arc::new(revision::of_pod(&after, Some(&pod.workload)));
            let mut pod = pod.clone();
            pod.template = world.cluster.templates.of(&workload, pod.state);
            pod.workload = workload;
            world.put(PODS, Arc::clone(at), Body::Pod(pod))
        }
        Body::Text(..) => world.put_value(resource, after),
    };
    collector::release(world, &stored);
    Ok((stored, told))
}

/// Refuses an update that is meant for another object, or for an older state of it.
fn same_object(object: &Object, before: &Value, after: &Value, name: &str) -> Result<(), Status> {
    let resource = object.resource;
    if text(after, "name") != name {
        let message =
            format!("the name of the object ({}) does not match the name on the URL ({name})", text(after, "name"));
        return Err(Status::bad_request(message));
    }
    let namespace = text(after, "namespace");
    if !namespace.is_empty() && namespace != object.namespace() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let version = text(after, "resourceVersion");
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(Status::plain(500, format!("strconv.ParseUint: parsing \"{version}\": invalid syntax")));
    }
    if version.is_empty() && (resource.custom || resource == DISRUPTION_BUDGETS) {
        let wrong = Wrong::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
        return Err(Status::wrong(resource.group, resource.plural, name, &[wrong]));
    }
    let uid = text(after, "uid");
    if !uid.is_empty() && uid != text(before, "uid") {
        return Err(Status::other_uid(&resource, &object.key, uid, text(before, "uid")));
    }
    if !version.is_empty() && version != "0" && version != text(before, "resourceVersion") {
        return Err(Status::conflict(&resource, name));
    }
    Ok(())
}

/// Applies the fields that a manager wants an object to have; says whether that made it.
pub fn apply(
    world: &mut World,
    resource: ResourceId,
    at: &Arc<str>,
    writing: &Writing,
    status_only: bool,
    config: &Value,
) -> Result<(bool, Arc<Object>), Status> {
    let (namespace, name) = at.rsplit_once('/').unwrap_or(("", at));
    if writing.manager.is_empty() {
        let wrong = Wrong::required("fieldManager", "is required for apply patch");
        return Err(Status::wrong("meta.k8s.io", "PatchOptions", "", &[wrong]));
    }
    check(config)?;
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let now = world.now();
    let live = world.get(resource, at);
    let applied = |live: &Value| {
        let made =
            by(resource, writing, status_only, now, |manager| ownership::apply(live, config, manager, writing.force));
        let mut made = made.map_err(|conflicts| Status::apply_conflicts(&conflicts))?;
        fit(resource, &mut made, writing.unknown)
            .map_err(|why| Status::plain(500, format!("failed to create typed patch object: {why}")))?;
        Ok::<_, Status>(made)
    };
    if live.is_none() {
        if status_only {
            return Err(Status::not_found(&resource, name));
        }
        let (kind, api_version) = (&config["kind"], &config["apiVersion"]);
        let empty = serde_json::json!({ "kind": kind, "apiVersion": api_version, "metadata": { "name": name } });
        let made = applied(&empty)?;
        return Ok((true, create(world, resource, namespace, made, writing)?));
    }
    let version = config["metadata"]["resourceVersion"].clone();
    let noted = Writing { applied: true, ..writing.clone() };
    let (stored, ()) = update(world, resource, at, &noted, status_only, |target| {
        *target = applied(target)?;
        if version.is_string() {
            target["metadata"]["resourceVersion"] = version;
        }
        Ok(())
    })?;
    Ok((false, stored))
}

/// The options of a deletion.
#[derive(Debug, Clone, Default)]
pub struct Deletion {
    pub grace: Option<u32>,
    pub propagation: Propagation,
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
            propagation: match options["propagationPolicy"].as_str() {
                Some("Foreground") => Propagation::Foreground,
                Some("Orphan") => Propagation::Orphan,
                _ if options["orphanDependents"] == true => Propagation::Orphan,
                _ => Propagation::Background,
            },
            dry_run: options["dryRun"].as_array().is_some_and(|dry| !dry.is_empty()),
            uid: text(&options["preconditions"]["uid"]),
            version: text(&options["preconditions"]["resourceVersion"]),
        })
    }

    fn check(&self, object: &Object) -> Result<(), Status> {
        let value = object.value();
        let (uid, version) = (text(&value, "uid"), text(&value, "resourceVersion"));
        let (resource, name) = (&object.resource, object.name());
        if !self.uid.is_empty() && self.uid != uid {
            return Err(Status::precondition(resource, name, "UID", &self.uid, uid));
        }
        if !self.version.is_empty() && self.version != version {
            return Err(Status::precondition(resource, name, "ResourceVersion", &self.version, version));
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
        let marked = collector::marked(world, &object.value(), how.propagation);
        return Ok(match marked {
            Some(marked) => (Arc::new(Object::from_value(resource, object.version, marked)), false),
            None => (object, resource != PODS),
        });
    }
    let left = match resource {
        PODS => pods::delete(world, at, how.grace),
        _ => collector::delete(world, resource, at, how.propagation),
    };
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
        Verdict::Failed(budget, why) => return Err(Status::budget_failed(&called(&budget), &why)),
        Verdict::Behind(budget) => return Err(Status::budget_behind(&called(&budget))),
        Verdict::Count(budget) if !how.dry_run => budget::take(world, &budget, name),
        Verdict::Count(_) | Verdict::Go => {}
    }
    if !how.dry_run {
        pods::delete(world, at, how.grace);
    }
    Ok(())
}
