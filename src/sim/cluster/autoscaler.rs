//! Horizontal pod autoscalers: from usage to replicas.

use std::sync::Arc;

use serde_json::{Value, json};

use super::replica_set::{count, tell};
use super::{life, metrics};
use crate::sim::catalog::{AUTOSCALERS, DEPLOYMENTS, ResourceId, STATEFUL_SETS};
use crate::sim::clock::Moment;
use crate::sim::encoding::template::rfc3339;
use crate::sim::object::{Object, key};
use crate::sim::world::World;

const COMPONENT: &str = "horizontal-pod-autoscaler";
/// Usage this near to the target is near enough, in per mille.
const TOLERANCE: u32 = 100;
/// Scaled down only when nothing asked for more for so long.
const STABILIZATION_S: i64 = 300;

/// The replicas that bring `usage` percent to `target`, within the bounds; no more than twice as many at once.
pub fn wanted(replicas: u32, usage: u32, target: u32, least: u32, most: u32) -> u32 {
    let target = target.max(1);
    let ratio = usage * 1000 / target;
    let wanted = if ratio.abs_diff(1000) <= TOLERANCE { replicas } else { (replicas * usage).div_ceil(target) };
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
    let Some((usage, milli)) = metrics::utilization(world, life::uid(&scaled), now) else { return };
    let spec = &value["spec"];
    let aim = count(&spec["metrics"][0]["resource"]["target"]["averageUtilization"]);
    let (least, most) = (count(&spec["minReplicas"]), count(&spec["maxReplicas"]));
    if replicas == 0 || aim == 0 {
        return;
    }
    let mut to = wanted(replicas, usage, aim, least, most);
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
        "current": { "averageUtilization": usage, "averageValue": format!("{milli}m") } } }]);
    let limited = wanted(replicas, usage, aim, 1, u32::MAX).clamp(1, u32::MAX);
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
            assert_eq!(wanted(replicas, usage, target, least, most), expected);
        }
    }
}
