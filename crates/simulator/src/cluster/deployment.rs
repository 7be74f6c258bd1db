//! The deployment controller: replica sets for each version of the template, roll-outs, revisions, progress.

use std::sync::Arc;

use serde_json::{Value, json};

use super::life::{self, Due};
use super::objects::metadata;
use super::replica_set::{count, tell, write_status};
use super::revision;
use super::rollout::{self, Set, Strategy};
use super::workload::owner;
use crate::catalog::{DEPLOYMENTS, REPLICA_SETS};
use crate::encoding::template::rfc3339;
use crate::object::Object;
use crate::world::World;

const COMPONENT: &str = "deployment-controller";
const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";

fn revision_of(set: &Value) -> u64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn as_set(value: &Value) -> Set {
    Set { replicas: count(&value["spec"]["replicas"]), available: count(&value["status"]["availableReplicas"]) }
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let mut value = object.value();
    if life::is_deleted(&value) {
        return;
    }
    let owned = world.life.index.owned(life::uid(&value));
    let mut sets: Vec<_> = owned
        .into_iter()
        .filter(|(resource, _)| *resource == REPLICA_SETS)
        .filter_map(|(_, key)| world.get(REPLICA_SETS, &key))
        .map(|object| object.value())
        .filter(|set| !life::is_deleted(set))
        .collect();
    sets.sort_by_key(revision_of);
    let wanted = revision::canonical(&value["spec"]["template"]);
    let at = sets.iter().rposition(|set| revision::canonical(&set["spec"]["template"]) == wanted);
    let paused = value["spec"]["paused"] == true;
    let new = match at {
        Some(at) => Some(sets.remove(at)),
        None if paused => None,
        None => Some(new_set(world, &value, sets.last().map_or(0, revision_of))),
    };
    let Some(mut new) = new else {
        return status(world, object, &value, None, &sets);
    };
    // A version that comes back is the newest again.
    let newest = sets.last().map_or(0, revision_of);
    let risen = revision_of(&new) <= newest;
    if risen {
        new["metadata"]["annotations"][REVISION] = (newest + 1).to_string().into();
    }
    let current = new["metadata"]["annotations"][REVISION].clone();
    if value["metadata"]["annotations"][REVISION] != current {
        value["metadata"]["annotations"][REVISION] = current;
        let object = world.put_value(DEPLOYMENTS, value);
        value = object.value();
    }
    let desired = count(&value["spec"]["replicas"]);
    let strategy = Strategy::of(&value["spec"], desired);
    let old: Vec<_> = sets.iter().map(as_set).collect();
    let (next, olds) = if paused {
        // Only a change of scale goes through, and it is the newest set's.
        let alone = old.iter().all(|set| set.replicas == 0);
        (if alone { desired } else { as_set(&new).replicas }, old.iter().map(|set| set.replicas).collect())
    } else {
        rollout::next(desired, strategy, as_set(&new), &old)
    };
    let mut scale = |set: &mut Value, to: u32, changed: bool| {
        let from = count(&set["spec"]["replicas"]);
        let annotations = &mut set["metadata"]["annotations"];
        let told = annotations[DESIRED].as_str().and_then(|told| told.parse().ok()) == Some(desired);
        annotations[DESIRED] = desired.to_string().into();
        annotations[MAXIMUM] = (desired + strategy.surge).to_string().into();
        set["spec"]["replicas"] = to.into();
        if from != to {
            // A new one begins with what it is to have.
            if set["metadata"]["resourceVersion"].is_string() {
                let generation = set["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
                set["metadata"]["generation"] = generation.into();
            }
            let (way, name) =
                (if to > from { "up" } else { "down" }, set["metadata"]["name"].as_str().unwrap_or_default());
            let message = format!("Scaled {way} replica set {name} from {from} to {to}");
            tell(world, object, &value, COMPONENT, "ScalingReplicaSet", &message);
        }
        if changed || from != to || (!told && to > 0) {
            let written = world.put_value(REPLICA_SETS, set.clone());
            *set = written.value();
        }
    };
    let made = !new["metadata"]["resourceVersion"].is_string();
    scale(&mut new, next, risen || made);
    for (set, to) in sets.iter_mut().zip(olds) {
        scale(set, to, false);
    }
    status(world, object, &value, Some(&new), &sets);
    clean(world, &value, &sets);
}

fn key_of(set: &Value) -> Arc<str> {
    let text = |name: &str| set["metadata"][name].as_str().unwrap_or_default();
    crate::object::key(text("namespace"), text("name"))
}

/// The set of the deployment's template, not stored yet.
fn new_set(world: &mut World, deployment: &Value, newest: u64) -> Value {
    let hash = revision::hash(&deployment["spec"]["template"]);
    let text = |name: &str| deployment["metadata"][name].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = hash.clone().into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = hash.clone().into();
    let set_name = format!("{name}-{hash}");
    let mut metadata = metadata(world.cluster.size, namespace, &set_name, world.life.clock.stamp(), "ReplicaSet");
    metadata["uid"] = crate::encoding::template::Short::uuid(world.random.uid()).as_str().into();
    metadata["labels"] = template["metadata"]["labels"].clone();
    metadata["generation"] = 1.into();
    metadata["annotations"] = json!({ REVISION: (newest + 1).to_string() });
    metadata["ownerReferences"] = json!([owner("apps/v1", "Deployment", name, life::uid(deployment))]);
    json!({
        "metadata": metadata, "spec": { "replicas": 0, "selector": selector, "template": template },
        "status": { "replicas": 0 },
    })
}

/// Writes what the sets come to.
fn status(world: &mut World, object: &Arc<Object>, value: &Value, new: Option<&Value>, old: &[Value]) {
    let sum = |field: &str| new.into_iter().chain(old).map(|set| count(&set["status"][field])).sum::<u32>();
    let asked: u32 = new.into_iter().chain(old).map(|set| count(&set["spec"]["replicas"])).sum();
    let desired = count(&value["spec"]["replicas"]);
    let strategy = Strategy::of(&value["spec"], desired);
    let (replicas, ready, available) = (sum("replicas"), sum("readyReplicas"), sum("availableReplicas"));
    let updated = new.map_or(0, |set| count(&set["status"]["replicas"]));
    let mut status = json!({ "observedGeneration": value["metadata"]["generation"] });
    for (field, number) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", asked.saturating_sub(available)),
    ] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    let before = &value["status"];
    let now = world.life.clock.stamp();
    let enough = available >= desired.saturating_sub(strategy.unavailable);
    let (verdict, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let mut conditions = vec![condition(before, "Available", verdict, reason, message, now, false)];
    let progressing = find(before, "Progressing");
    let complete = updated == desired && replicas == desired && available == desired;
    let settled = progressing["reason"] == "NewReplicaSetAvailable" && replicas == updated;
    let name = match new {
        Some(set) => format!("ReplicaSet \"{}\"", set["metadata"]["name"].as_str().unwrap_or_default()),
        None => format!("Deployment \"{}\"", object.name()),
    };
    let progressed = updated > count(&before["updatedReplicas"])
        || ready > count(&before["readyReplicas"])
        || available > count(&before["availableReplicas"])
        || replicas.saturating_sub(updated)
            < count(&before["replicas"]).saturating_sub(count(&before["updatedReplicas"]));
    let deadline = value["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
    let since = progressing["lastUpdateTime"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let late = since.is_some_and(|since| now - since.as_second() >= deadline);
    if settled {
        conditions.push(progressing.clone());
    } else if complete {
        let message = format!("{name} has successfully progressed.");
        conditions.push(condition(before, "Progressing", "True", "NewReplicaSetAvailable", &message, now, false));
    } else if value["spec"]["paused"] == true {
        conditions.push(condition(
            before,
            "Progressing",
            "Unknown",
            "DeploymentPaused",
            "Deployment is paused",
            now,
            false,
        ));
    } else if progressed || progressing.is_null() || progressing["reason"] == "NewReplicaSetAvailable" {
        let message = format!("{name} is progressing.");
        conditions.push(condition(before, "Progressing", "True", "ReplicaSetUpdated", &message, now, true));
        // Looked at again when it would be too late.
        world.life.clock.after((deadline + 1) * 1000, Due::Reconcile(DEPLOYMENTS, Arc::clone(&object.key)));
    } else if late {
        let message = format!("{name} has timed out progressing.");
        conditions.push(condition(before, "Progressing", "False", "ProgressDeadlineExceeded", &message, now, false));
    } else {
        conditions.push(progressing.clone());
    }
    status["conditions"] = conditions.into();
    write_status(world, object, value, status);
}

fn find<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

/// A condition that keeps the times of what did not change. `anew`: it says the same as before, but as of now.
fn condition(before: &Value, kind: &str, verdict: &str, reason: &str, message: &str, now: i64, anew: bool) -> Value {
    let old = find(before, kind);
    if !anew && old["status"] == verdict && old["reason"] == reason {
        return old.clone();
    }
    let now = Value::from(rfc3339(now));
    let since = if old["status"] == verdict { old["lastTransitionTime"].clone() } else { now.clone() };
    json!({ "type": kind, "status": verdict, "lastUpdateTime": now, "lastTransitionTime": since, "reason": reason, "message": message })
}

/// Removes old sets beyond the history that is to be kept.
fn clean(world: &mut World, deployment: &Value, old: &[Value]) {
    let limit = deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let empty: Vec<_> = old
        .iter()
        .filter(|set| count(&set["spec"]["replicas"]) == 0 && count(&set["status"]["replicas"]) == 0)
        .collect();
    let excess = empty.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    for set in &empty[..excess] {
        world.remove(REPLICA_SETS, &key_of(set));
    }
}
