//! Binding: gives waiting pods to the nodes that the scheduler chooses.

use std::collections::HashMap;
use std::sync::Arc;

use super::fargate;
use super::kubelet;
use super::node::{Machine, Node, NodeState};
use super::pod::{Pod, State};
use super::recorder::{self, SCHEDULER, Word};
use super::scheduler::{self, Candidate};
use crate::catalog::{NODES, PODS};
use crate::cluster::life::Due;
use crate::object::{Body, Object};
use crate::world::World;

/// In a large cluster the scheduler looks at no more nodes than this (`percentageOfNodesToScore`).
const LOOKED_AT: usize = 500;

/// Whether the node's kubelet is heard of.
pub fn answers(world: &World, node: &str) -> bool {
    match world.get(NODES, node).as_deref().map(|object| &object.body) {
        Some(Body::Node(node)) => node.look.state != NodeState::Unreachable,
        _ => false,
    }
}

fn node(object: &Object) -> Option<&Node> {
    match &object.body {
        Body::Node(node) => Some(node),
        _ => None,
    }
}

/// Gives the pod at `key` to a node, or says why none takes it.
pub fn schedule(world: &mut World, key: &Arc<str>) {
    let Some(object) = world.get(PODS, key) else { return };
    let Body::Pod(pod) = &object.body else { return };
    if !matches!(pod.state, State::New | State::Pending) {
        return;
    }
    if pod.workload.fargate.is_some() {
        fargate::schedule(world, &object, pod);
        return;
    }
    let needs = pod.workload.needs();
    if needs.gated {
        kubelet::turn(world, &object, pod, State::Gated, None, |_| {});
        return;
    }
    let from = if world.nodes.len() > LOOKED_AT { world.random.index(world.nodes.len()) } else { 0 };
    let names = world.nodes.iter().cycle().skip(from).take(world.nodes.len().min(LOOKED_AT));
    let nodes: Vec<_> = names.filter_map(|name| world.get(NODES, name)).collect();
    let nodes: Vec<_> = nodes.iter().filter_map(|object| node(object)).collect();
    let (mut alike, mut in_zone): (HashMap<u128, u32>, [u32; 3]) = (HashMap::new(), [0; 3]);
    for other in world.life.index.pods(pod.workload.owner_uid()) {
        let Some(other) = world.get(PODS, other) else { continue };
        if let Body::Pod(Pod { node: Some(machine), .. }) = &other.body {
            *alike.entry(machine.uid).or_default() += 1;
            in_zone[machine.zone] += 1;
        }
    }
    let candidates: Vec<_> = nodes
        .iter()
        .map(|node| Candidate {
            name: &node.machine.name,
            facts: &node.look.facts,
            cordoned: node.look.cordoned,
            used: world.life.index.used(node.machine.uid),
            alike: alike.get(&node.machine.uid).copied().unwrap_or(0),
            alike_in_zone: in_zone[node.machine.zone],
        })
        .collect();
    match scheduler::choose(needs, &candidates) {
        Ok(at) => bind(world, &object, pod, &Arc::clone(&nodes[at].machine)),
        Err(message) => refuse(world, &object, pod, &message),
    }
}

/// Binds a pod to a machine: its kubelet takes it from there.
pub fn bind(world: &mut World, object: &Arc<Object>, pod: &Pod, machine: &Arc<Machine>) {
    let message = format!("Successfully assigned {}/{} to {}", object.namespace(), object.name(), machine.name);
    let involved = recorder::pod_reference(object, pod, "");
    let word = Word { warning: false, reason: "Scheduled", component: SCHEDULER, host: "", message: &message };
    recorder::tell(world, &involved, word);
    let delay = world.random.between(600, 2_400);
    kubelet::turn(world, object, pod, State::Creating, Some(delay), |pod| {
        pod.node = Some(Arc::clone(machine));
        pod.note(|going| going.message = None);
    });
}

fn refuse(world: &mut World, object: &Arc<Object>, pod: &Pod, message: &str) {
    world.life.waiting.insert(Arc::clone(&object.key));
    let involved = recorder::pod_reference(object, pod, "");
    let word = Word { warning: true, reason: "FailedScheduling", component: SCHEDULER, host: "", message };
    recorder::tell(world, &involved, word);
    let known = pod.going.as_ref().is_some_and(|going| going.message.as_deref() == Some(message));
    let (uid, mut turn) = (pod.uid, pod.turn_number());
    if pod.state != State::Pending || !known {
        let object = kubelet::turn(world, object, pod, State::Pending, None, |next| {
            // Why it waits may change, since when does not.
            if pod.state == State::Pending {
                next.changed = pod.changed;
            }
            next.note(|going| going.message = Some(message.into()));
        });
        if let Body::Pod(pod) = &object.body {
            turn = pod.turn_number();
        }
    }
    // What nothing wakes is tried again after five minutes all the same.
    world.life.clock.after(300_000, Due::Pod { key: Arc::clone(&object.key), uid, turn });
}
