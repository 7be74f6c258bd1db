//! Pods that come and go: controllers and clients make and delete them here.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;

use super::node::Machine;
use super::pod::{Fate, GRACE_S, Pod, State};
use super::workload::{Controller, Templates, Workload};
use super::{fargate, kubelet, revision, scheduling};
use crate::catalog::PODS;
use crate::cluster::life::Due;
use crate::encoding::template::Hole;
use crate::object::{Body, Object, Parts, Template, key};
use crate::random::Random;
use crate::world::World;

/// Makes a pod; daemons are bound to their node at once. Returns its key.
pub fn create(
    world: &mut World,
    workload: &Arc<Workload>,
    name: Option<&str>,
    ordinal: u32,
    fate: Fate,
    machine: Option<&Arc<Machine>>,
) -> Arc<str> {
    let now = world.now();
    let workload = &fargate::admitted(world, workload);
    let name = match (name, workload.controller) {
        (Some(name), _) => name.to_owned(),
        (None, Controller::StatefulSet) => format!("{}-{ordinal}", workload.name),
        (None, _) => format!("{}{}", workload.generate_name(), world.random.suffix(5)),
    };
    let at = key(&workload.namespace, &name);
    let uid = world.random.uid();
    let mut pod = Pod {
        workload: Arc::clone(workload),
        template: world.cluster.templates.of(workload, State::New),
        state: State::New,
        node: None,
        uid,
        ip: world.cluster.address(),
        created: now,
        changed: now,
        restarts: 0,
        ordinal,
        going: None,
    };
    pod.note(|going| {
        going.fate = fate;
        going.grace = grace(workload);
    });
    let object = world.put(PODS, Arc::clone(&at), Body::Pod(pod.clone()));
    match machine {
        Some(machine) => scheduling::bind(world, &object, &pod, machine),
        None if world.life.on => {
            let delay = world.random.between(5, 90);
            world.life.clock.after(delay, Due::Pod { key: Arc::clone(&at), uid, turn: 0 });
        }
        None => {}
    }
    at
}

/// How long the pods of a workload may take to end, in seconds.
fn grace(workload: &Workload) -> u32 {
    let given =
        workload.template.as_ref().and_then(|template| template["spec"]["terminationGracePeriodSeconds"].as_u64());
    given.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(GRACE_S)
}

/// What becomes of a new pod: jobs end, and what is broken stays broken.
pub fn fate(workload: &Workload, siblings: Option<Fate>, random: &mut Random) -> Fate {
    if workload.controller == Controller::Job {
        let seconds = u32::try_from(random.between(20, 400)).unwrap_or(20);
        return if random.chance(40) { Fate::Fail(seconds) } else { Fate::Succeed(seconds) };
    }
    siblings.unwrap_or_default()
}

/// Whether finalizers keep a deleted pod.
pub fn is_held(pod: &Pod) -> bool {
    pod.workload.finalizers.as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Deletes a pod, with `grace` seconds to end or its own; returns what is left of it.
pub fn delete(world: &mut World, at: &str, grace: Option<u32>) -> Option<Arc<Object>> {
    let object = world.get(PODS, at)?;
    let Body::Pod(pod) = &object.body else { return world.remove(PODS, at) };
    let seconds = grace.unwrap_or_else(|| pod.grace());
    let ended = !pod.state.has_node() || matches!(pod.state.phase(), "Succeeded" | "Failed");
    if (seconds == 0 || ended || !world.life.on) && !is_held(pod) {
        return world.remove(PODS, at);
    }
    if pod.state.is_deleted() {
        // A shorter time counts, a longer one does not.
        if seconds < pod.grace() {
            kubelet::stop(world, &object, pod, seconds);
        }
        return world.get(PODS, at);
    }
    let lost = pod.node.as_ref().is_some_and(|node| !scheduling::answers(world, &node.name));
    if lost {
        let later = Some(20_000);
        kubelet::turn(world, &object, pod, State::NodeLost, later, |pod| pod.note(|going| going.grace = seconds));
    } else {
        kubelet::stop(world, &object, pod, seconds);
    }
    world.get(PODS, at)
}

/// Leaves a pod without an owner.
pub fn orphan(world: &mut World, object: &Object) {
    let Body::Pod(pod) = &object.body else { return };
    let mut workload = revision::of_pod(&object.value(), Some(&pod.workload));
    workload.controller = Controller::Bare;
    workload.uid = pod.uid;
    let (mut pod, workload) = (pod.clone(), Arc::new(workload));
    pod.template = world.cluster.templates.of(&workload, pod.state);
    pod.workload = workload;
    world.put(PODS, Arc::clone(&object.key), Body::Pod(pod));
}

/// The pod as a client that wrote `value` says that it is. Its kubelet says no more about it until something else
/// happens to it.
pub fn as_reported(pod: &Pod, mut value: Value, templates: &mut Templates, now: i64) -> Pod {
    let status = &value["status"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions.any(|one| one["type"] == "Ready" && one["status"] == "True");
    let state = match status["phase"].as_str() {
        _ if pod.state.is_deleted() => pod.state,
        Some("Running") if ready && pod.state.is_ready() => pod.state,
        Some("Running") if ready => State::Running,
        Some("Running") if pod.state.phase() == "Running" && !pod.state.is_ready() => pod.state,
        Some("Running") => State::NotReady,
        Some("Succeeded") => State::Succeeded,
        Some("Failed") => State::Failed,
        _ => pod.state,
    };
    let mut next = if state == pod.state { pod.clone() } else { pod.turn(state, templates, now) };
    next.note(|going| going.turn += 1);
    value["metadata"]["resourceVersion"] = Hole::Version.into();
    if let Some(value) = value.as_object_mut() {
        value.retain(|name, _| !matches!(name.as_str(), "kind" | "apiVersion"));
    }
    next.template = Arc::new(Template::new(move || Parts::of(PODS, &value)));
    next
}

/// The pods that `owner` owns, with their keys.
pub fn of(world: &World, owner: u128) -> Vec<Arc<Object>> {
    world.life.index.pods(owner).filter_map(|key| world.get(PODS, key)).collect()
}

/// The pod in an object of pods.
pub fn pod(object: &Object) -> Option<&Pod> {
    match &object.body {
        Body::Pod(pod) => Some(pod),
        _ => None,
    }
}

/// The address of pod number `at`, from 100.64.0.0/10: the secondary range that large EKS clusters give to pods.
pub fn address(at: u32) -> u32 {
    u32::from(Ipv4Addr::new(100, 64, 0, 0)) + 256 + at % 4_000_000
}
