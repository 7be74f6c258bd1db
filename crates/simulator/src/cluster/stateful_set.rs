//! The stateful set controller: pods with fixed names, made in order and ended in reverse order.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pod::{Fate, Pod};
use super::replica_set::{count, is_active, tell, write_status};
use super::{life, pods, revision, upkeep};
use crate::object::Object;
use crate::world::World;

const COMPONENT: &str = "statefulset-controller";

/// A pod of the set, as far as order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub ordinal: u32,
    pub ready: bool,
    /// It is being deleted.
    pub ending: bool,
    /// It has ended by itself and makes room for a new one of its name.
    pub ended: bool,
    /// Made of the newest template.
    pub current: bool,
}

/// The one thing to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create(u32),
    Delete(u32),
}

/// What to do next: in order unless `parallel`; nothing while a pod before is not ready or one is still ending.
pub fn next(members: &[Member], replicas: u32, partition: u32, parallel: bool, on_delete: bool) -> Option<Action> {
    let find = |ordinal: u32| members.iter().find(|member| member.ordinal == ordinal);
    for ordinal in 0..replicas {
        match find(ordinal) {
            None => return Some(Action::Create(ordinal)),
            Some(member) if member.ended && !member.ending => return Some(Action::Delete(ordinal)),
            Some(member) if parallel || (member.ready && !member.ending) => {}
            // Whoever comes later waits. One that will never get ready may still be replaced below.
            Some(member) if member.ending => return None,
            Some(_) => break,
        }
    }
    let ending = members.iter().any(|member| member.ending);
    let healthy =
        |below: u32| (0..below).all(|ordinal| find(ordinal).is_some_and(|member| member.ready && !member.ending));
    if let Some(last) = members.iter().filter(|member| member.ordinal >= replicas).max_by_key(|one| one.ordinal) {
        return (!last.ending && (parallel || (!ending && healthy(replicas)))).then_some(Action::Delete(last.ordinal));
    }
    if on_delete || ending {
        return None;
    }
    // The update goes from the last to the first and stops at the first that does not get ready with the new template.
    for ordinal in (partition.min(replicas)..replicas).rev() {
        let member = find(ordinal)?;
        if !member.current {
            return Some(Action::Delete(ordinal));
        }
        if !member.ready {
            return None;
        }
    }
    None
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    if life::is_deleted(&value) {
        return;
    }
    let spec = &value["spec"];
    let replicas = count(&spec["replicas"]);
    let update = &spec["updateStrategy"];
    let workload = revision::of_controller(world, object, &value);
    upkeep::keep_revision(world, object, &value, &workload.hash);
    let own = pods::of(world, life::uid(&value));
    let member = |pod: &Pod| Member {
        ordinal: pod.ordinal,
        ready: pod.state.is_ready(),
        ending: pod.state.is_deleted(),
        ended: !pod.state.is_deleted() && !is_active(pod),
        current: pod.workload.hash == workload.hash,
    };
    let members: Vec<_> = own.iter().filter_map(|object| pods::pod(object)).map(member).collect();
    let action = next(
        &members,
        replicas,
        count(&update["rollingUpdate"]["partition"]),
        spec["podManagementPolicy"] == "Parallel",
        update["type"] == "OnDelete",
    );
    let name = object.name();
    match action {
        Some(Action::Create(ordinal)) => {
            let fate = own.first().and_then(|object| pods::pod(object)).map_or(Fate::Fine, Pod::fate);
            pods::create(world, &workload, None, ordinal, fate, None);
            let message = format!("create Pod {name}-{ordinal} in StatefulSet {name} successful");
            tell(world, object, &value, COMPONENT, "SuccessfulCreate", &message);
        }
        Some(Action::Delete(ordinal)) => {
            let key = format!("{}/{name}-{ordinal}", object.namespace());
            pods::delete(world, &key, None);
            let message = format!("delete Pod {name}-{ordinal} in StatefulSet {name} successful");
            tell(world, object, &value, COMPONENT, "SuccessfulDelete", &message);
        }
        None => {}
    }
    if action.is_some() {
        world.life.mark(object.resource, &object.key);
    }
    let own = pods::of(world, life::uid(&value));
    let all: Vec<_> = own.iter().filter_map(|object| pods::pod(object)).collect();
    let ready = all.iter().filter(|pod| pod.state.is_ready()).count();
    let current = all.iter().filter(|pod| pod.workload.hash == workload.hash).count();
    let revision = format!("{name}-{}", workload.hash);
    let before = &value["status"];
    let done = current == all.len() && ready == all.len();
    let (old, olds) = if done || before["currentRevision"].is_null() {
        (Value::from(revision.clone()), current)
    } else {
        let old = before["currentRevision"].clone();
        let same = old == revision;
        (old, if same { current } else { all.len() - current })
    };
    let mut status = json!({
        "observedGeneration": value["metadata"]["generation"], "replicas": all.len(), "currentRevision": old,
        "updateRevision": revision, "collisionCount": 0, "availableReplicas": ready,
    });
    for (field, number) in [("readyReplicas", ready), ("currentReplicas", olds), ("updatedReplicas", current)] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    write_status(world, object, &value, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(states: &str) -> Vec<Member> {
        let member = |(ordinal, state): (u32, char)| Member {
            ordinal,
            ready: matches!(state, 'r' | 'o'),
            ending: state == 'e',
            ended: state == 'x',
            current: matches!(state, 'r' | 'n'),
        };
        // r: ready, o: ready of the old template, n: not ready, b: not ready of the old one, e: ending, x: ended, -: none.
        (0..).zip(states.chars()).filter(|(_, state)| *state != '-').map(member).collect()
    }

    #[test]
    fn pods_come_in_order_and_go_in_reverse_order() {
        use Action::{Create, Delete};
        for (states, replicas, expected) in [
            ("", 3, Some(Create(0))),
            ("n", 3, None),
            ("r", 3, Some(Create(1))),
            ("r-r", 3, Some(Create(1))),
            ("rrr", 3, None),
            ("rrr", 1, Some(Delete(2))),
            ("rre", 1, None),
            ("nrr", 1, None),
            ("rxr", 3, Some(Delete(1))),
            ("ooo", 3, Some(Delete(2))),
            ("oor", 3, Some(Delete(1))),
            ("oon", 3, None),
            ("ooe", 3, None),
            // One that does not get ready with the old template does not hold up the new one.
            ("obr", 3, Some(Delete(1))),
        ] {
            assert_eq!(next(&members(states), replicas, 0, false, false), expected, "{states} of {replicas}");
        }
        assert_eq!(next(&members("ooo"), 3, 2, false, false), Some(Delete(2)));
        assert_eq!(next(&members("oor"), 3, 2, false, false), None);
        assert_eq!(next(&members("ooo"), 3, 0, false, true), None);
        assert_eq!(next(&members("n"), 3, 0, true, false), Some(Create(1)));
    }
}
