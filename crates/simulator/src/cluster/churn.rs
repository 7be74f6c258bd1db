//! What goes on in the cluster by itself: one small change at a time, drawn from the seed.

use std::sync::Arc;

use super::node::{Node, NodeState};
use super::objects;
use super::pod::{Pod, State};
use super::workload::Controller;
use crate::catalog::{EVENTS, NODES, PODS};
use crate::object::{Body, Object, key};
use crate::random::low;
use crate::world::World;

/// Makes one change at the time `now` (seconds since 1970).
pub fn step(world: &mut World, now: i64) {
    world.cluster.size.now = now;
    match world.random.below(100) {
        0..6 => heartbeat(world, now),
        _ => pod(world, now),
    }
}

fn heartbeat(world: &mut World, now: i64) {
    if world.nodes.is_empty() {
        return;
    }
    let name = Arc::clone(&world.nodes[world.random.index(world.nodes.len())]);
    let Some(object) = world.get(NODES, &name) else { return };
    let Body::Node(node) = &object.body else { return };
    if node.look.state != NodeState::Unreachable {
        world.put(NODES, name, Body::Node(Node { heartbeat: now, ..node.clone() }));
    }
}

fn pod(world: &mut World, now: i64) {
    let (at, object) = loop {
        if world.pods.is_empty() {
            return;
        }
        let drawn = world.random.index(world.pods.len());
        let at = Arc::clone(&world.pods[drawn]);
        match world.get(PODS, &at) {
            Some(object) => break (at, object),
            None => world.pods.swap_remove(drawn),
        };
    };
    let Body::Pod(pod) = &object.body else { return };
    let dice = world.random.below(1000);
    let (next, restarts) = match pod.state {
        State::Creating | State::Initializing => (State::Running, 0),
        State::NotReady | State::InitCrash if dice < 900 => (State::Running, 0),
        State::CrashLoop if dice < 700 => (State::Restarted, 0),
        State::OomLoop if dice < 700 => (State::OomRestarted, 0),
        State::CrashLoop | State::OomLoop | State::InitCrash => (pod.state, 1),
        State::Restarted if dice < 600 => (State::CrashLoop, 1),
        State::OomRestarted if dice < 600 => (State::OomLoop, 1),
        State::Terminating => return replace(world, &object, pod, now),
        State::Running | State::Restarted | State::OomRestarted => {
            // What goes wrong with a workload is always the same.
            match (dice, low(pod.workload.uid) % 4) {
                (0..70, _) if pod.workload.controller == Controller::Deployment => (State::Terminating, 0),
                (70..400, 1) => (State::Restarted, 1),
                (70..250, 2) => (State::CrashLoop, 1),
                (70..250, 3) => (State::OomRestarted, 1),
                _ => (State::NotReady, 0),
            }
        }
        // Where nothing happens by itself, the kubelet reports anew.
        state => (state, 0),
    };
    let mut changed = pod.turn(next, &mut world.cluster.templates, now);
    changed.restarts += restarts;
    let tell = restarts > 0 && dice.is_multiple_of(8);
    let object = world.put(PODS, at, Body::Pod(changed));
    if let (true, Body::Pod(pod)) = (tell, &object.body)
        && let Some(event) = objects::event(&object, pod, world.cluster.size)
    {
        world.put_value(EVENTS, event);
    }
}

/// A pod that was being deleted is gone, and its controller makes another.
fn replace(world: &mut World, object: &Object, pod: &Pod, now: i64) {
    world.remove(PODS, &object.key);
    let mut random = world.random.clone();
    let (name, mut fresh) = world.cluster.pod(&pod.workload, State::Creating, pod.ordinal, &mut random);
    world.random = random;
    fresh.created = now;
    fresh.changed = now;
    world.put(PODS, key(&pod.workload.namespace, &name), Body::Pod(fresh));
}
