//! A claim that was deleted, by Karpenter, by a client or with its node: its node is tainted and emptied as far as
//! disruption budgets let it, its instance ended, and then both are let go.

use std::sync::Arc;

use serde_json::{Value, json};

use super::claim::{instance, store};
use super::pool::{self, LABEL, set, state};
use super::{Task, after, node, say};
use crate::aws::scaling::Step;
use crate::catalog::{NODE_CLAIMS, NODE_POOLS, NODES};
use crate::cluster::collector::{self, Propagation};
use crate::cluster::life::Due;
use crate::cluster::lifecycle;
use crate::cluster::node::{Node, TERMINATION};
use crate::cluster::pods;
use crate::cluster::recorder;
use crate::cluster::store::{self, Deletion};
use crate::cluster::workload::Controller;
use crate::encoding::template::rfc3339;
use crate::object::{Body, Object};
use crate::world::World;

/// Keeps new pods from a node that goes.
const DISRUPTED: &str = "karpenter.sh/disrupted";
const DEADLINE: &str = "karpenter.sh/nodeclaim-termination-timestamp";

/// Deletes a claim.
pub fn begin(world: &mut World, key: &str) {
    collector::delete(world, NODE_CLAIMS, key, Propagation::Background);
}

/// The next step of a claim that goes.
pub fn reconcile(world: &mut World, object: &Arc<Object>, value: Value) {
    let (before, mut value, now) = (value.clone(), value, world.now());
    if !held(&value) {
        return;
    }
    if let Some(grace) = pool::grace(&value)
        && value["metadata"]["annotations"][DEADLINE].is_null()
    {
        value["metadata"]["annotations"][DEADLINE] = rfc3339(now + grace / 1000).into();
        world.life.clock.after(grace, Due::Karpenter(Task::Expire(Arc::clone(&object.key))));
        let message = format!("All pods will be deleted by {}", rfc3339(now + grace / 1000));
        say(world, object, true, "TerminationGracePeriodExpiring", &message);
    }
    if let Some((of_node, node)) = node(world, &value)
        && instance(world, &value).is_none_or(|instance| instance.state == "running")
        && state(&value, "InstanceTerminating") != Some("True")
    {
        taint(world, &node);
        let reason = state(&value, "DisruptionReason").map_or("Forceful Termination", |_| "Empty");
        let (left, held_up) = drain(world, &object.key, &node, reason);
        if left > 0 {
            set(&mut value, "Drained", "Unknown", "Draining", "Draining", now);
            store(world, &before, value);
            let message = match held_up {
                Some(pod) => format!("Failed to drain node, evicting pod violates a PDB (Pod={pod})"),
                None => format!("Failed to drain node, {left} pods are waiting to be evicted"),
            };
            say(world, &of_node, true, "FailedDraining", &message);
            if world.karpenter.draining.insert(Arc::clone(&object.key)) {
                after(world, [4_500, 5_500], Task::Drain(Arc::clone(&object.key)));
            }
            return;
        }
        set(&mut value, "Drained", "True", "Drained", "", now);
        set(&mut value, "VolumesDetached", "True", "VolumesDetached", "", now);
    }
    let running = instance(world, &value).filter(|instance| instance.state != "terminated").map(|it| it.number);
    if let Some(number) = running {
        if state(&value, "InstanceTerminating") != Some("True") {
            set(&mut value, "InstanceTerminating", "True", "InstanceTerminating", "", now);
            world.life.clock.after(1_000, Due::Cloud(Step::End(number)));
        }
        store(world, &before, value);
        return;
    }
    // The instance is gone, and its node with it.
    release(world, object, value);
}

fn held(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|one| one == TERMINATION))
}

fn release(world: &mut World, object: &Arc<Object>, mut value: Value) {
    say(world, object, false, "Finalized", &format!("Finalized {TERMINATION}"));
    if let Some(finalizers) = value["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|one| one != TERMINATION);
    }
    let pool = value["metadata"]["labels"][LABEL].as_str().map(Arc::from);
    let stored = world.put_value(NODE_CLAIMS, value);
    collector::release(world, &stored);
    world.karpenter.expired.remove(&object.key);
    world.karpenter.empty_since.remove(&object.key);
    if let Some(pool) = pool {
        world.life.mark(NODE_POOLS, &pool);
    }
}

/// Marks the node as going, once.
fn taint(world: &mut World, node: &Node) {
    let mut own = node.own();
    let tainted = own.taints.iter().any(|taint| taint["key"] == DISRUPTED);
    if tainted && own.deleted.is_some() {
        return;
    }
    if !tainted {
        own.taints.push(json!({ "key": DISRUPTED, "effect": "NoSchedule" }));
    }
    own.deleted = own.deleted.or(Some(world.now()));
    let next = node.with(own, &mut world.cluster.looks);
    world.put(NODES, Arc::clone(&node.machine.name), Body::Node(next));
}

/// Evicts what is on a node, or deletes it where its time is over. Says how many are still there, and which of them a
/// disruption budget holds.
fn drain(world: &mut World, claim: &Arc<str>, node: &Node, reason: &str) -> (usize, Option<Arc<str>>) {
    let expired = world.karpenter.expired.contains(claim);
    let (mut left, mut held_up) = (0, None);
    for object in lifecycle::on(world, &node.machine.name) {
        let Some(pod) = pods::pod(&object) else { continue };
        // Daemons tolerate the taint, and what has ended holds nobody up.
        if pod.workload.controller == Controller::DaemonSet || matches!(pod.state.phase(), "Succeeded" | "Failed") {
            continue;
        }
        left += 1;
        if pod.state.is_deleted() {
            continue;
        }
        if expired {
            pods::delete(world, &object.key, None);
        } else if store::evict(world, &object.key, &Deletion::default()).is_ok() {
            let involved = recorder::pod_reference(&object, pod, "");
            super::tell(world, &involved, false, "Evicted", &format!("Evicted pod: {reason}"));
        } else {
            held_up = Some(Arc::clone(&object.key));
        }
    }
    (left, held_up)
}
