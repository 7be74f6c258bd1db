//! Nodes: kubelets that report or fall silent, and what the node lifecycle controller makes of it.

use std::sync::Arc;

use super::node::{Node, NodeState};
use super::pod::{Pod, State};
use super::recorder::{self, Word};
use super::workload::Controller;
use super::{kubelet, pods};
use crate::catalog::{NODES, PODS};
use crate::clock::Moment;
use crate::encoding::template::Short;
use crate::object::{Body, Object};
use crate::world::World;

/// A kubelet writes its whole status this often, in seconds (its lease in between keeps the node alive).
const REPORT_S: i64 = 300;
/// How long pods stay on a node that does not answer (`tolerationSeconds` of the API's default).
const TOLERATED: Moment = 300_000;

fn node(world: &World, name: &str) -> Option<Node> {
    match &world.get(NODES, name)?.body {
        Body::Node(node) => Some(node.clone()),
        _ => None,
    }
}

/// Kubelets whose time has come report.
pub fn heartbeats(world: &mut World) {
    let now = world.life.clock.stamp();
    for name in world.nodes.clone() {
        let Some(node) = node(world, &name) else { continue };
        if node.look.state != NodeState::Unreachable && now - node.heartbeat >= REPORT_S {
            world.put(NODES, name, Body::Node(Node { heartbeat: now, ..node }));
        }
    }
}

fn tell(world: &mut World, node: &Node, reason: &str, component: &str) {
    let involved = serde_json::json!({
        "kind": "Node", "apiVersion": "v1", "name": &*node.machine.name, "uid": Short::uuid(node.machine.uid).as_str(),
    });
    let message = match component {
        "kubelet" => format!("Node {} status is now: {reason}", node.machine.name),
        _ => format!("Node {} status is now: NodeNotReady", node.machine.name),
    };
    let host = if component == "kubelet" { &*node.machine.name } else { "" };
    recorder::tell(world, &involved, Word { warning: false, reason, component, host, message: &message });
}

/// Puts a node into another state, with all that follows.
pub fn turn(world: &mut World, name: &str, state: NodeState) {
    let Some(before) = node(world, name) else { return };
    if before.look.state == state {
        return;
    }
    let now = world.life.clock.stamp();
    let mut after = before.turn(state, &mut world.cluster.looks, now);
    let silent = state == NodeState::Unreachable;
    if silent {
        // The last that was heard of it.
        after.heartbeat = before.heartbeat.max(now - 40);
    }
    world.put(NODES, name.into(), Body::Node(after.clone()));
    let (reason, component) = if silent {
        ("NodeNotReady", "node-controller")
    } else if state == NodeState::NotReady {
        ("NodeNotReady", "kubelet")
    } else {
        ("NodeReady", "kubelet")
    };
    tell(world, &after, reason, component);
    let down = matches!(state, NodeState::NotReady | NodeState::Unreachable);
    for object in on(world, name) {
        let Some(pod) = pods::pod(&object).cloned() else { continue };
        if down {
            mark_silent(world, &object, &pod);
        } else {
            answer(world, &object, &pod);
        }
    }
}

/// The pods on a node.
pub fn on(world: &World, name: &str) -> Vec<Arc<Object>> {
    let all = world.snapshot(PODS, "").objects;
    all.iter().filter(|object| pods::pod(object).is_some_and(|pod| pod.node_name() == name)).cloned().collect()
}

/// The pod's node no longer answers: it is not ready, and goes when it has tolerated that for long enough.
fn mark_silent(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    if pod.state.is_deleted() || !pod.state.is_ready() {
        return;
    }
    let daemon = pod.workload.controller == Controller::DaemonSet;
    let involved = recorder::pod_reference(object, pod, "");
    let word = Word {
        warning: true,
        reason: "NodeNotReady",
        component: "node-controller",
        host: "",
        message: "Node is not ready",
    };
    recorder::tell(world, &involved, word);
    // Daemons tolerate it for ever.
    kubelet::turn(world, object, pod, State::Silent, (!daemon).then_some(TOLERATED), |_| {});
}

/// A pod has tolerated for long enough that its node does not answer: it is deleted, which its kubelet does not hear.
pub fn evict(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    let involved = recorder::pod_reference(object, pod, "");
    let message = format!("Marking for deletion Pod {}/{}", object.namespace(), object.name());
    let word = Word {
        warning: false,
        reason: "TaintManagerEviction",
        component: "taint-eviction-controller",
        host: "",
        message: &message,
    };
    recorder::tell(world, &involved, word);
    pods::delete(world, &object.key, None);
}

/// The pod's node answers again.
fn answer(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    match pod.state {
        State::Silent => {
            let state = if pod.restarts > 0 { State::Restarted } else { State::Running };
            kubelet::turn(world, object, pod, state, None, |_| {});
        }
        State::NodeLost => {
            // Now it hears of it.
            let delay = world.random.between(300, 3_000);
            kubelet::again(world, object, pod, delay);
        }
        _ => {}
    }
}
