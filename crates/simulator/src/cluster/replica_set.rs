//! The replica set controller: as many pods as are asked for, and a status that counts them.

use std::cmp::Reverse;
use std::sync::Arc;

use serde_json::{Value, json};

use super::pod::{Pod, State};
use super::recorder::{self, Word};
use super::{life, pods, revision};
use crate::object::Object;
use crate::world::World;

const COMPONENT: &str = "replicaset-controller";

/// In what order pods go when there are too many: those that are missed least come first.
pub fn goes_before(pod: &Pod) -> (bool, u8, bool, Reverse<u32>, Reverse<i64>) {
    let phase = match pod.state.phase() {
        "Pending" => 0,
        _ => 1,
    };
    (pod.node.is_some(), phase, pod.state.is_ready(), Reverse(pod.restarts), Reverse(pod.created))
}

/// A pod that counts as one of its set.
pub fn is_active(pod: &Pod) -> bool {
    !pod.state.is_deleted() && !matches!(pod.state, State::Succeeded | State::Failed | State::Evicted)
}

/// Tells what a controller did to its object.
pub fn tell(world: &mut World, object: &Object, value: &Value, component: &str, reason: &str, message: &str) {
    let involved = recorder::reference(object, value);
    recorder::tell(world, &involved, Word { warning: false, reason, component, host: "", message });
}

pub fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

/// Writes the object's new status, if it is new.
pub fn write_status(world: &mut World, object: &Object, value: &Value, status: Value) {
    if value["status"] != status {
        let mut value = value.clone();
        value["status"] = status;
        world.put_value(object.resource, value);
    }
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    if life::is_deleted(&value) {
        return;
    }
    let wanted = count(&value["spec"]["replicas"]) as usize;
    let all = pods::of(world, life::uid(&value));
    let mut active: Vec<_> = all.iter().filter(|object| pods::pod(object).is_some_and(is_active)).collect();
    if active.len() < wanted {
        let workload = revision::of_controller(world, object, &value);
        let siblings = active.first().and_then(|object| pods::pod(object)).map(Pod::fate);
        for _ in active.len()..wanted {
            let fate = world.life.broken.get(&workload.uid).cloned();
            let fate = fate.filter(|(hash, _)| *hash == workload.hash).map(|(_, fate)| fate);
            let fate = fate.unwrap_or_else(|| pods::fate(&workload, siblings, &mut world.random));
            let key = pods::create(world, &workload, None, 0, fate, None);
            let name = key.rsplit('/').next().unwrap_or_default();
            tell(world, object, &value, COMPONENT, "SuccessfulCreate", &format!("Created pod: {name}"));
        }
    } else if active.len() > wanted {
        active.sort_by_key(|object| pods::pod(object).map(goes_before));
        for gone in &active[..active.len() - wanted] {
            pods::delete(world, &gone.key, None);
            tell(world, object, &value, COMPONENT, "SuccessfulDelete", &format!("Deleted pod: {}", gone.name()));
        }
    }
    let all = pods::of(world, life::uid(&value));
    let pods: Vec<_> = all.iter().filter_map(|object| pods::pod(object)).filter(|pod| is_active(pod)).collect();
    let ready = pods.iter().filter(|pod| pod.state.is_ready()).count();
    let mut status = json!({ "replicas": pods.len(), "observedGeneration": value["metadata"]["generation"] });
    if !pods.is_empty() {
        status["fullyLabeledReplicas"] = pods.len().into();
    }
    if ready > 0 {
        status["readyReplicas"] = ready.into();
        status["availableReplicas"] = ready.into();
    }
    write_status(world, object, &value, status);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::seed::{Cluster, Size};

    #[test]
    fn the_young_and_the_unready_go_first() {
        let cluster =
            Cluster::new(Size { site: &crate::cluster::site::DEMO, nodes: 3, pods: 40, seed: 1, now: 1_000_000_000 });
        let base = cluster.pods.iter().find(|(_, pod)| pod.state == State::Running).unwrap().1.clone();
        let with = |state, restarts, created| Pod { state, created, restarts, ..base.clone() };
        let mut pods = [
            with(State::Running, 0, 10),
            with(State::Running, 0, 20),
            with(State::Running, 3, 10),
            with(State::NotReady, 0, 5),
            Pod { node: None, ..with(State::Pending, 0, 1) },
        ];
        pods.sort_by_key(goes_before);
        let order: Vec<_> = pods.iter().map(|pod| (pod.state, pod.restarts, pod.created)).collect();
        assert_eq!(
            order,
            [
                (State::Pending, 0, 1),
                (State::NotReady, 0, 5),
                (State::Running, 3, 10),
                (State::Running, 0, 20),
                (State::Running, 0, 10),
            ]
        );
    }
}
