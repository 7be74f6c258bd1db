//! What happens on any day without being asked for: releases, a probe that fails for a while, a crash.

use std::sync::Arc;

use serde_json::json;

use super::pod::{Fate, Pod, State};
use super::recorder::{self, KUBELET, Word};
use super::workload::Controller;
use super::{kubelet, pods, store};
use crate::admission::options::Writing;
use crate::catalog::{DEPLOYMENTS, NODE_POOLS, PODS};
use crate::clock::Moment;
use crate::object::{Body, Object};
use crate::world::World;

const BURST: &str = "default/inflate";

/// Perhaps one thing.
pub fn draw(world: &mut World) {
    if !world.life.incidents {
        return;
    }
    match world.random.below(100) {
        0..8 => release(world),
        8..30 => unready(world),
        30..42 => crash(world),
        _ => {}
    }
}

/// Draws a pod that runs; the keys of those that are gone leave on the way.
fn running(world: &mut World) -> Option<Arc<Object>> {
    for _ in 0..20 {
        if world.pods.is_empty() {
            return None;
        }
        let at = world.random.index(world.pods.len());
        let Some(object) = world.get(PODS, &Arc::clone(&world.pods[at])) else {
            world.pods.swap_remove(at);
            continue;
        };
        let product = |pod: &Pod| {
            pod.state == State::Running
                && matches!(pod.workload.controller, Controller::Deployment | Controller::StatefulSet)
                && pod.workload.team != "platform"
        };
        if pods::pod(&object).is_some_and(product) {
            return Some(object);
        }
    }
    None
}

fn unready(world: &mut World) {
    let Some(object) = running(world) else { return };
    let Body::Pod(pod) = &object.body else { return };
    if !pod.workload.containers.iter().any(|container| container.probes) {
        return;
    }
    let involved = recorder::pod_reference(&object, pod, &pod.workload.containers[0].name);
    let message = "Readiness probe failed: Get \"http://pod/ready\": context deadline exceeded (Client.Timeout exceeded while \
                   awaiting headers)";
    let word = Word { warning: true, reason: "Unhealthy", component: KUBELET, host: pod.node_name(), message };
    recorder::tell(world, &involved, word);
    let delay = world.random.between(8_000, 60_000);
    kubelet::turn(world, &object, pod, State::NotReady, Some(delay), |_| {});
}

fn crash(world: &mut World) {
    let Some(object) = running(world) else { return };
    let Body::Pod(pod) = &object.body else { return };
    let out_of_memory = world.random.chance(300);
    kubelet::restart(world, &object, pod, out_of_memory);
}

/// Somebody releases the next version of a service.
fn release(world: &mut World) {
    let Some(object) = running(world) else { return };
    let Body::Pod(pod) = &object.body else { return };
    if pod.workload.controller == Controller::Deployment {
        let key = crate::object::key(&pod.workload.namespace, &pod.workload.name);
        deploy(world, &key, None);
    }
}

/// Writes the next version into a deployment's template; with `fate`, it is a bad one.
pub fn deploy(world: &mut World, key: &Arc<str>, fate: Option<Fate>) {
    let Some(object) = world.get(DEPLOYMENTS, key) else { return };
    let mut value = object.value();
    let template = &mut value["spec"]["template"];
    let Some(image) = template["spec"]["containers"][0]["image"].as_str() else { return };
    let Some((repository, tag)) = image.rsplit_once(':') else { return };
    let Some((stem, patch)) = tag.rsplit_once('.') else { return };
    let Ok(patch) = patch.parse::<u32>() else { return };
    let tag = match fate {
        Some(Fate::NoImage) => format!("{stem}.{}-missing", patch + 1),
        _ => format!("{stem}.{}", patch + 1),
    };
    template["spec"]["containers"][0]["image"] = format!("{repository}:{tag}").into();
    template["metadata"]["labels"]["app.kubernetes.io/version"] = tag.into();
    if let Some(fate) = fate {
        let uid = super::life::uid(&value);
        world.life.broken.insert(uid, (super::revision::hash(&value["spec"]["template"]), fate));
    }
    let generation = value["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
    value["metadata"]["generation"] = generation.into();
    world.put_value(DEPLOYMENTS, value);
}

/// Has so many pods wanted in `default`, whatever there were before; a node pool of their own takes them, and nothing else.
pub fn burst(world: &mut World, pods: u32) {
    if let Some(object) = world.get(DEPLOYMENTS, BURST) {
        let mut value = object.value();
        let generation = value["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
        value["metadata"]["generation"] = generation.into();
        value["spec"]["replicas"] = pods.into();
        world.put_value(DEPLOYMENTS, value);
        return;
    }
    let pool = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "inflate" },
        "spec": {
            "limits": { "cpu": "64" },
            "disruption": { "consolidationPolicy": "WhenEmpty", "consolidateAfter": "30s", "budgets": [{ "nodes": "50%" }] },
            "template": { "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                "requirements": [
                    { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"] },
                    { "key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": ["c7g", "m7g"] },
                ],
                "taints": [{ "key": "inflate", "value": "true", "effect": "NoSchedule" }],
                "expireAfter": "720h",
            } },
        },
    });
    let labels = json!({ "app": "inflate" });
    let deployment = json!({
        "metadata": { "name": "inflate", "labels": labels },
        "spec": {
            "replicas": pods, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": {
                "nodeSelector": { "karpenter.sh/nodepool": "inflate" }, "terminationGracePeriodSeconds": 0,
                "tolerations": [{ "key": "inflate", "operator": "Equal", "value": "true", "effect": "NoSchedule" }],
                "containers": [{
                    "name": "pause", "image": "registry.k8s.io/pause:3.10",
                    "resources": { "requests": { "cpu": "3", "memory": "256Mi" } },
                }],
            } },
        },
    });
    for (resource, namespace, value) in [(NODE_POOLS, "", pool), (DEPLOYMENTS, "default", deployment)] {
        if let Err(refused) = store::create(world, resource, namespace, value, &Writing::plain("kubectl-create")) {
            tracing::warn!(code = refused.code, "the story has no {}", resource.plural);
        }
    }
}

/// How long after the beginning of a story something comes.
pub const fn seconds(seconds: i64) -> Moment {
    seconds * 1000
}
