//! Disruption budgets: what the disruption controller counts, and what the eviction subresource makes of it.
//!
//! The accounting is pure, after `pkg/controller/disruption/disruption.go` and `pkg/registry/core/pod/storage/eviction.go`
//! of Kubernetes 1.36.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::life::{self, Due};
use super::pod::Pod;
use super::replica_set::{count, write_status};
use super::rollout::scaled;
use super::{controllers, pods};
use crate::catalog::{DEPLOYMENTS, DISRUPTION_BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS};
use crate::encoding::template::rfc3339;
use crate::object::Object;
use crate::world::World;

/// An evicted pod that is not deleted within this many seconds counts again (`DeletionTimeout`).
const DELETION_TIMEOUT_S: i64 = 120;

/// Why a budget whose pods cannot be counted allows nothing.
const SYNC_FAILED: &str = "SyncFailed";

/// A pod that the budget selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    pub ready: bool,
    pub deleted: bool,
    /// Evicted, and expected to be deleted soon.
    pub disrupted: bool,
}

/// What a budget's status counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    pub expected: u32,
    pub healthy: u32,
    pub desired: u32,
    pub allowed: u32,
}

/// The account of a budget with this spec. `scale`: what the controllers of its pods ask for together.
pub fn account(spec: &Value, guarded: &[Guarded], scale: u32) -> Account {
    let pods = u32::try_from(guarded.len()).unwrap_or(u32::MAX);
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    let (expected, desired) = if !most.is_null() {
        (scale, scale.saturating_sub(scaled(most, scale, true).unwrap_or(0)))
    } else if let Some(least) = least.as_u64() {
        (pods, u32::try_from(least).unwrap_or(u32::MAX))
    } else if !least.is_null() {
        (scale, scaled(least, scale, true).unwrap_or(scale))
    } else {
        (0, 0)
    };
    let counts = |one: &&Guarded| one.ready && !one.deleted && !one.disrupted;
    let healthy = u32::try_from(guarded.iter().filter(counts).count()).unwrap_or(u32::MAX);
    let allowed = if expected == 0 { 0 } else { healthy.saturating_sub(desired) };
    Account { expected, healthy, desired, allowed }
}

/// What the eviction subresource says of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may go, and no budget has to know.
    Go,
    /// It may go, and this budget has one disruption less to give.
    Count(Arc<str>),
    /// It has to wait for this budget, which needs so many and has so many.
    Wait { budget: Arc<str>, needs: u32, has: u32 },
    /// It has to wait for this budget, which cannot be counted.
    Failed(Arc<str>, String),
    /// The controller has not looked at this budget yet.
    Behind(Arc<str>),
    /// More than one budget guards it: that is never allowed.
    Several,
}

/// Decides an eviction by the status of the budgets that guard the pod.
pub fn decide(pod: &Pod, budgets: &[(Arc<str>, Value)]) -> Verdict {
    if pod.state.is_deleted() || matches!(pod.state.phase(), "Pending" | "Succeeded" | "Failed") {
        return Verdict::Go;
    }
    let (key, budget) = match budgets {
        [] => return Verdict::Go,
        [(key, budget)] => (Arc::clone(key), budget),
        _ => return Verdict::Several,
    };
    let status = &budget["status"];
    let (has, needs) = (count(&status["currentHealthy"]), count(&status["desiredHealthy"]));
    if !pod.state.is_ready() {
        let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
        if always || (has >= needs && needs > 0) {
            return Verdict::Go;
        }
    }
    if status["observedGeneration"].as_i64().unwrap_or(0) < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Verdict::Behind(key);
    }
    if count(&status["disruptionsAllowed"]) == 0 {
        let condition = &status["conditions"][0];
        if condition["reason"] == SYNC_FAILED {
            return Verdict::Failed(key, condition["message"].as_str().unwrap_or_default().to_owned());
        }
        return Verdict::Wait { budget: key, needs, has };
    }
    Verdict::Count(key)
}

/// The budgets that guard the pod in `object`, with what they say.
pub fn guarding(world: &World, object: &Object, pod: &Pod) -> Vec<(Arc<str>, Value)> {
    let labels = pod.workload.pod_labels();
    let of_namespace = world.snapshot(DISRUPTION_BUDGETS, object.namespace()).objects;
    of_namespace
        .iter()
        .map(|budget| (Arc::clone(&budget.key), budget.value()))
        .filter(|(_, budget)| life::selects(&budget["spec"]["selector"], &labels))
        .collect()
}

/// Takes one disruption from a budget, for the pod called `name`.
pub fn take(world: &mut World, key: &Arc<str>, name: &str) {
    let Some(object) = world.get(DISRUPTION_BUDGETS, key) else { return };
    let mut budget = object.value();
    let status = &mut budget["status"];
    let left = count(&status["disruptionsAllowed"]).saturating_sub(1);
    status["disruptionsAllowed"] = left.into();
    status["disruptedPods"][name] = rfc3339(world.now()).into();
    let generation = status["observedGeneration"].clone();
    let condition = condition(&status["conditions"][0], left, &generation, world.now());
    status["conditions"] = json!([condition]);
    world.put_value(DISRUPTION_BUDGETS, budget);
}

fn condition(before: &Value, allowed: u32, generation: &Value, now: i64) -> Value {
    let (verdict, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let since = if before["status"] == verdict { before["lastTransitionTime"].clone() } else { rfc3339(now).into() };
    json!({ "type": "DisruptionAllowed", "status": verdict, "reason": reason, "message": "",
        "observedGeneration": generation, "lastTransitionTime": since })
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    let namespace = world.snapshot(PODS, object.namespace()).objects;
    let selector = &value["spec"]["selector"];
    // Labels are the workload's, and so is the answer.
    let mut asked: BTreeMap<usize, bool> = BTreeMap::new();
    let now = world.now();
    let disrupted = &value["status"]["disruptedPods"];
    let (mut guarded, mut still, mut owners) = (Vec::new(), serde_json::Map::new(), BTreeSet::new());
    for one in namespace.iter() {
        let Some(pod) = pods::pod(one) else { continue };
        let workload = &pod.workload;
        let selected = asked
            .entry(Arc::as_ptr(workload).addr())
            .or_insert_with(|| life::selects(selector, &workload.pod_labels()));
        if !*selected {
            continue;
        }
        owners.insert(pod.workload.owner_uid());
        let since = disrupted[one.name()].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let expected = since.is_some_and(|since| now - since.as_second() < DELETION_TIMEOUT_S);
        if expected && !pod.state.is_deleted() {
            still.insert(one.name().to_owned(), disrupted[one.name()].clone());
        }
        guarded.push(Guarded {
            ready: pod.state.is_ready(),
            deleted: pod.state.is_deleted(),
            disrupted: expected && !pod.state.is_deleted(),
        });
    }
    // Only shares of what controllers ask for need to know what that is.
    let of_scale = !value["spec"]["maxUnavailable"].is_null() || value["spec"]["minAvailable"].is_string();
    let scales: Result<BTreeMap<_, _>, _> = owners.into_iter().map(|owner| scale_of(world, owner)).collect();
    let scale = match scales {
        Ok(scales) => scales.into_values().sum(),
        Err(why) if of_scale => return fail(world, object, &value, &why),
        Err(_) => 0,
    };
    let account = account(&value["spec"], &guarded, scale);
    let generation = &value["metadata"]["generation"];
    let mut status = json!({
        "observedGeneration": generation, "currentHealthy": account.healthy, "desiredHealthy": account.desired,
        "expectedPods": account.expected, "disruptionsAllowed": account.allowed,
        "conditions": [condition(&value["status"]["conditions"][0], account.allowed, generation, now)],
    });
    if !still.is_empty() {
        status["disruptedPods"] = still.into();
        let again = Due::Reconcile(DISRUPTION_BUDGETS, Arc::clone(&object.key));
        world.life.clock.after((DELETION_TIMEOUT_S + 1) * 1000, again);
    }
    write_status(world, object, &value, status);
}

/// The budget allows nothing while its pods cannot be counted.
fn fail(world: &mut World, object: &Arc<Object>, value: &Value, why: &str) {
    let mut status = value["status"].clone();
    let generation = value["metadata"]["generation"].clone();
    let mut condition = condition(&status["conditions"][0], 0, &generation, world.now());
    condition["reason"] = SYNC_FAILED.into();
    condition["message"] = why.into();
    status["disruptionsAllowed"] = 0.into();
    status["conditions"] = json!([condition]);
    write_status(world, object, value, status);
}

/// What scales the pods of `owner` (the deployment of a replica set), and to how many; an error where nothing can.
fn scale_of(world: &World, owner: u128) -> Result<(u128, u32), String> {
    let Some((resource, key)) = world.life.index.controller(owner) else { return Ok((owner, 0)) };
    let Some(value) = world.get(*resource, key).map(|object| object.value()) else { return Ok((owner, 0)) };
    if !matches!(*resource, DEPLOYMENTS | REPLICA_SETS | STATEFUL_SETS) {
        return Err(format!("{} does not implement the scale subresource", resource.qualified()));
    }
    let above = life::owner_uid(&value);
    if *resource == REPLICA_SETS && above != 0 {
        return scale_of(world, above);
    }
    Ok((owner, controllers::scale(*resource, &value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const READY: Guarded = Guarded { ready: true, deleted: false, disrupted: false };

    #[test]
    fn a_budget_counts_as_the_disruption_controller_does() {
        let unready = Guarded { ready: false, ..READY };
        for (spec, pods, scale, expected) in [
            (json!({ "minAvailable": 2 }), vec![READY; 3], 3, (3, 3, 2, 1)),
            (json!({ "minAvailable": 3 }), vec![READY; 3], 3, (3, 3, 3, 0)),
            (json!({ "maxUnavailable": 1 }), vec![READY, READY, unready], 3, (3, 2, 2, 0)),
            // Percents are of what the controllers ask for, rounded up.
            (json!({ "maxUnavailable": "30%" }), vec![READY; 7], 7, (7, 7, 4, 3)),
            (json!({ "minAvailable": "50%" }), vec![READY; 2], 5, (5, 2, 3, 0)),
            (json!({ "minAvailable": 0 }), vec![], 0, (0, 0, 0, 0)),
            (json!({ "maxUnavailable": 5 }), vec![READY; 3], 3, (3, 3, 0, 3)),
            (json!({ "maxUnavailable": 0 }), vec![READY; 3], 3, (3, 3, 3, 0)),
        ] {
            let (expected, healthy, desired, allowed) = expected;
            assert_eq!(account(&spec, &pods, scale), Account { expected, healthy, desired, allowed }, "{spec}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        /// However evictions, deletions, replacements and the controller's counts interleave, no eviction is allowed that
        /// leaves fewer healthy pods than the budget asks for.
        #[test]
        fn evictions_never_overdraw_a_budget(
            replicas in 1..12_usize,
            least in 0..12_u64,
            steps in prop::collection::vec((0..4_u8, 0..12_usize), 10..60),
        ) {
            let spec = json!({ "minAvailable": least });
            let mut pods = vec![READY; replicas];
            let mut allowed = account(&spec, &pods, 0).allowed;
            for (what, at) in steps {
                let at = at % replicas;
                let healthy = pods.iter().filter(|pod| pod.ready && !pod.deleted && !pod.disrupted).count() as u64;
                match what {
                    // Evicted: the status answers, whatever has happened since it was counted.
                    0 | 1 if pods[at].ready && !pods[at].deleted && !pods[at].disrupted && allowed > 0 => {
                        allowed -= 1;
                        pods[at].disrupted = true;
                        prop_assert!(healthy > least, "a disruption was allowed with {healthy} healthy of {least}");
                    }
                    // It is deleted, or its replacement is ready.
                    2 if pods[at].disrupted => pods[at] = Guarded { ready: false, deleted: true, disrupted: false },
                    2 if pods[at].deleted => pods[at] = READY,
                    3 => allowed = account(&spec, &pods, 0).allowed,
                    _ => {}
                }
            }
        }
    }
}
