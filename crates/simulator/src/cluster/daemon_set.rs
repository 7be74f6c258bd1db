//! The daemon set controller: one pod on each node that takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::node::{Node, NodeState};
use super::pod::{Fate, Pod};
use super::replica_set::{is_active, tell, write_status};
use super::rollout::scaled;
use super::{life, pods, revision, upkeep};
use crate::catalog::NODES;
use crate::object::{Body, Object};
use crate::world::World;

const COMPONENT: &str = "daemonset-controller";

/// Whether the daemon belongs on the node: what keeps other pods from starting there does not keep daemons.
fn belongs(needs: &super::scheduler::Needs, node: &Node) -> bool {
    let facts = &node.look.facts;
    let own = |taint: &&[String; 3]| !taint[0].starts_with("node.kubernetes.io/");
    facts.taints.iter().filter(own).all(|taint| taint[2] == "PreferNoSchedule" || needs.tolerates(taint))
        && needs.selects(&node.machine.name, facts)
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    if life::is_deleted(&value) {
        return;
    }
    let workload = revision::of_controller(world, object, &value);
    upkeep::keep_revision(world, object, &value, &workload.hash);
    let nodes = world.snapshot(NODES, "").objects;
    let nodes: Vec<_> = nodes
        .iter()
        .filter_map(|object| match &object.body {
            Body::Node(node) => Some(node),
            _ => None,
        })
        .collect();
    let wanted: BTreeMap<_, _> = nodes
        .iter()
        .filter(|node| belongs(workload.needs(), node))
        .map(|node| (Arc::clone(&node.machine.name), Arc::clone(&node.machine)))
        .collect();
    let answering: BTreeSet<_> =
        nodes.iter().filter(|node| node.look.state != NodeState::Unreachable).map(|node| &node.machine.name).collect();
    let own = pods::of(world, life::uid(&value));
    let mut there = BTreeSet::new();
    let mut gone: Vec<Arc<str>> = Vec::new();
    let (mut old, mut unavailable) = (Vec::new(), 0_u32);
    for daemon in &own {
        let Some(pod) = pods::pod(daemon) else { continue };
        let node: Arc<str> = pod.node_name().into();
        there.insert(Arc::clone(&node));
        unavailable += u32::from(!pod.state.is_ready());
        if pod.state.is_deleted() {
            continue;
        }
        if !wanted.contains_key(&node) || !is_active(pod) {
            gone.push(Arc::clone(&daemon.key));
        } else if pod.workload.hash != workload.hash {
            old.push((pod.state.is_ready(), Arc::clone(&daemon.key)));
        }
    }
    let desired = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    if value["spec"]["updateStrategy"]["type"] != "OnDelete" {
        let rolling = &value["spec"]["updateStrategy"]["rollingUpdate"];
        let most = scaled(&rolling["maxUnavailable"], desired, true).unwrap_or(1).max(1);
        // Those that do not work go at once, the others as far as is allowed.
        old.sort();
        let mut left = most.saturating_sub(unavailable);
        for (ready, key) in old {
            if !ready {
                gone.push(key);
            } else if left > 0 {
                left -= 1;
                gone.push(key);
            }
        }
    }
    for key in gone {
        pods::delete(world, &key, None);
        let name = key.rsplit('/').next().unwrap_or_default();
        tell(world, object, &value, COMPONENT, "SuccessfulDelete", &format!("Deleted pod: {name}"));
    }
    for (name, machine) in &wanted {
        if !there.contains(name) && answering.contains(name) {
            let key = pods::create(world, &workload, None, 0, Fate::Fine, Some(machine));
            let name = key.rsplit('/').next().unwrap_or_default();
            tell(world, object, &value, COMPONENT, "SuccessfulCreate", &format!("Created pod: {name}"));
        }
    }
    let own = pods::of(world, life::uid(&value));
    let all: Vec<&Pod> = own.iter().filter_map(|object| pods::pod(object)).filter(|pod| is_active(pod)).collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let ready = number(all.iter().filter(|pod| pod.state.is_ready()).count());
    let mut status = json!({
        "observedGeneration": value["metadata"]["generation"], "currentNumberScheduled": all.len(),
        "desiredNumberScheduled": desired, "numberReady": ready, "numberMisscheduled": 0,
    });
    let updated = number(all.iter().filter(|pod| pod.workload.hash == workload.hash).count());
    for (field, number) in [
        ("numberAvailable", ready),
        ("numberUnavailable", desired.saturating_sub(ready)),
        ("updatedNumberScheduled", updated),
    ] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    write_status(world, object, &value, status);
}
