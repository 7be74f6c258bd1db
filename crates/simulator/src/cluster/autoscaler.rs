//! Horizontal pod autoscalers: from usage to replicas.

use std::sync::Arc;

use serde_json::{Value, json};

use super::life;
use super::metrics::{self, Utilization};
use super::replica_set::{count, tell};
use crate::catalog::{AUTOSCALERS, DEPLOYMENTS, ResourceId, STATEFUL_SETS};
use crate::clock::Moment;
use crate::encoding::template::rfc3339;
use crate::object::{Object, key};
use crate::world::World;

const COMPONENT: &str = "horizontal-pod-autoscaler";
/// Usage this near to the target is near enough, in per mille.
const TOLERANCE: u32 = 100;
/// Scaled down only when nothing asked for more for so long.
const STABILIZATION_S: i64 = 300;

/// The replicas that bring the usage to `target` percent, within the bounds; no more than twice as many at once. As
/// `GetResourceReplicas` of Kubernetes' replica_calculator.go has it: what is not ready counts as idle before more is asked
/// for, so that pods that never come up ask for no more of their kind.
pub fn wanted(replicas: u32, usage: &Utilization, target: u32, least: u32, most: u32) -> u32 {
    let target = target.max(1);
    let per_mille = |usage: u32| usage.saturating_mul(1000) / target;
    let near = |ratio: u32| ratio.abs_diff(1000) <= TOLERANCE;
    let ratio = per_mille(usage.ready);
    let wanted = if ratio > 1000 && usage.pods > usage.ready_pods {
        let ratio = per_mille(usage.all);
        let wanted = usage.pods.saturating_mul(usage.all).div_ceil(target);
        if ratio <= 1000 || near(ratio) || wanted < replicas { replicas } else { wanted }
    } else if near(ratio) {
        replicas
    } else {
        usage.ready_pods.saturating_mul(usage.ready).div_ceil(target)
    };
    wanted.min((replicas * 2).max(4)).clamp(least.max(1), most.max(1))
}

/// Each autoscaler looks this often; not all at once.
pub const PERIOD: Moment = 15_000;
pub const SHARES: Moment = 15;

/// The autoscalers whose turn it is look once.
pub fn run(world: &mut World) {
    let turn = world.life.clock.now() * SHARES / PERIOD % SHARES;
    for (at, object) in (0..).zip(world.snapshot(AUTOSCALERS, "").objects.iter()) {
        if at % SHARES == turn {
            look(world, object);
        }
    }
}

fn target(object: &Object, value: &Value) -> Option<(ResourceId, Arc<str>)> {
    let reference = &value["spec"]["scaleTargetRef"];
    let resource = match reference["kind"].as_str()? {
        "Deployment" => DEPLOYMENTS,
        "StatefulSet" => STATEFUL_SETS,
        _ => return None,
    };
    Some((resource, key(object.namespace(), reference["name"].as_str()?)))
}

fn look(world: &mut World, object: &Arc<Object>) {
    let mut value = object.value();
    let Some((resource, target)) = target(object, &value) else { return };
    let Some(scaled) = world.get(resource, &target) else { return };
    let mut scaled = scaled.value();
    let replicas = count(&scaled["spec"]["replicas"]);
    let now = world.life.clock.stamp();
    let Some(usage) = metrics::utilization(world, life::uid(&scaled), now) else { return };
    let spec = &value["spec"];
    let aim = count(&spec["metrics"][0]["resource"]["target"]["averageUtilization"]);
    let (least, most) = (count(&spec["minReplicas"]), count(&spec["maxReplicas"]));
    if replicas == 0 || aim == 0 {
        return;
    }
    let mut to = wanted(replicas, &usage, aim, least, most);
    let last = value["status"]["lastScaleTime"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let recent = last.is_some_and(|last| now - last.as_second() < STABILIZATION_S);
    let held = to < replicas && recent;
    if held {
        to = replicas;
    }
    let status = &mut value["status"];
    let before = status.clone();
    status["currentReplicas"] = replicas.into();
    status["desiredReplicas"] = to.into();
    status["currentMetrics"] = json!([{ "type": "Resource", "resource": { "name": "cpu",
        "current": { "averageUtilization": usage.ready, "averageValue": format!("{}m", usage.each) } } }]);
    let limited = wanted(replicas, &usage, aim, 1, u32::MAX).clamp(1, u32::MAX);
    let (verdict, reason, message) = if limited > most {
        ("True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
    } else if limited < least {
        ("True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
    } else {
        ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
    };
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let (verdict, reason, message) = match condition["type"].as_str() {
            Some("ScalingLimited") => (verdict, reason, message),
            Some("AbleToScale") if held => (
                "True",
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            ),
            Some("AbleToScale") => ("True", "ReadyForNewScale", "recommended size matches current size"),
            _ => continue,
        };
        if condition["status"] != verdict {
            condition["lastTransitionTime"] = rfc3339(now).into();
        }
        condition["status"] = verdict.into();
        condition["reason"] = reason.into();
        condition["message"] = message.into();
    }
    if to != replicas {
        status["lastScaleTime"] = rfc3339(now).into();
        let way = if to > replicas { "above target" } else { "below target" };
        let reason = if to > replicas {
            format!("cpu resource utilization (percentage of request) {way}")
        } else {
            "All metrics below target".to_owned()
        };
        let message = format!("New size: {to}; reason: {reason}");
        tell(world, object, &value, COMPONENT, "SuccessfulRescale", &message);
        scaled["spec"]["replicas"] = to.into();
        let generation = scaled["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
        scaled["metadata"]["generation"] = generation.into();
        world.put_value(resource, scaled);
    }
    if value["status"] != before {
        world.put_value(AUTOSCALERS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(pods: u32, usage: u32) -> Utilization {
        Utilization { ready: usage, all: usage, each: 0, ready_pods: pods, pods }
    }

    #[test]
    fn replicas_follow_usage_within_bounds_and_not_in_jumps() {
        for ((replicas, usage, target, least, most), expected) in [
            ((4, 70, 70, 1, 10), 4),
            // Within a tenth.
            ((4, 76, 70, 1, 10), 4),
            ((4, 105, 70, 1, 10), 6),
            ((4, 30, 70, 1, 10), 2),
            ((4, 30, 70, 3, 10), 3),
            ((4, 700, 70, 1, 100), 8),
            ((1, 700, 70, 1, 100), 4),
            ((4, 700, 70, 1, 5), 5),
        ] {
            assert_eq!(wanted(replicas, &ready(replicas, usage), target, least, most), expected);
        }
    }

    #[test]
    fn pods_that_never_come_up_ask_for_no_more_of_their_kind() {
        let usage = |ready_pods, pods, ready: u32| Utilization {
            ready,
            all: ready * ready_pods / pods,
            each: 0,
            ready_pods,
            pods,
        };
        // 10 of 20 are ready and have too much to do: idle ones would help, and there are enough of them on their way.
        assert_eq!(wanted(20, &usage(10, 20, 140), 70, 1, 80), 20);
        assert_eq!(wanted(20, &usage(10, 20, 100), 70, 1, 80), 20);
        assert_eq!(wanted(20, &usage(15, 20, 140), 70, 1, 80), 30);
    }
}
