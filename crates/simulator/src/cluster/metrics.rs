//! What metrics-server would say: usage of nodes and pods, computed when asked for.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::load;
use super::pod::{Pod, State};
use super::workload::Controller;
use crate::catalog::{NODE_METRICS, NODES, POD_METRICS, PODS, ResourceId};
use crate::encoding::template::rfc3339;
use crate::object::{Body, Object};
use crate::random::{Random, low};
use crate::world::World;

/// metrics-server scrapes every fifteen seconds.
const SCRAPE: i64 = 15;

/// Usage of one container: millicores and KiB.
fn usage(world: &World, pod: &Pod, container: usize, at: i64) -> (u64, u64) {
    let spec = &pod.workload.containers[container];
    let mut steady = Random::new(low(pod.uid).wrapping_add(container as u64));
    let mut now = Random::new(low(pod.uid).wrapping_add((at / SCRAPE).unsigned_abs()));
    let (cpu, memory) = (u64::from(spec.cpu.max(10)), u64::from(spec.memory_mib.max(16)) * 1024);
    let busy = match pod.workload.controller {
        Controller::Deployment | Controller::StatefulSet => {
            load::each(pod.workload.uid, pod.workload.replicas, world.ready(pod), at, world.began)
        }
        _ => 1000,
    };
    // Most workloads ask for about twice as much as they use.
    let cpu = cpu * u64::from(load::share(pod.workload.uid)) * u64::from(busy) / 100_000;
    let cpu = cpu * (94 + steady.below(13)) / 100;
    let memory = memory * (45 + steady.below(55)) / 100;
    (cpu * (95 + now.below(11)) / 100, memory * (97 + now.below(6)) / 100)
}

fn is_measured(pod: &Pod) -> bool {
    matches!(
        pod.state,
        State::Running
            | State::Restarted
            | State::OomRestarted
            | State::NotReady
            | State::Starting
            | State::OomStarting
            | State::Terminating
    )
}

fn pod_metrics(world: &World, object: &Object, pod: &Pod, now: i64) -> Value {
    let scraped = now / SCRAPE * SCRAPE;
    let containers: Vec<_> = (0..pod.workload.containers.len())
        .map(|at| {
            let (cpu, memory) = usage(world, pod, at, scraped);
            // metrics-server tells nanocores.
            let cpu = format!("{}n", cpu * 1_000_000 + (low(pod.uid) ^ cpu) % 1_000_000);
            json!({ "name": pod.workload.containers[at].name, "usage": { "cpu": cpu, "memory": format!("{memory}Ki") } })
        })
        .collect();
    json!({
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": { "name": object.name(), "namespace": object.namespace(), "creationTimestamp": rfc3339(now),
            "labels": object.labels() },
        "timestamp": rfc3339(scraped), "window": "15.021s", "containers": containers,
    })
}

fn node_metrics(object: &Object, cpu: u64, memory: u64, now: i64) -> Value {
    json!({
        "kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": { "name": object.name(), "creationTimestamp": rfc3339(now), "labels": object.labels() },
        "timestamp": rfc3339(now / SCRAPE * SCRAPE), "window": "20.043s",
        "usage": { "cpu": format!("{}n", cpu * 1_000_000 + 123_457), "memory": format!("{memory}Ki") },
    })
}

/// The metrics of a namespace's pods, or of all nodes or pods.
pub fn list(world: &World, resource: ResourceId, namespace: &str, now: i64) -> Vec<Arc<Object>> {
    let values: Vec<Value> = if resource == POD_METRICS {
        world
            .snapshot(PODS, namespace)
            .objects
            .iter()
            .filter_map(|object| match &object.body {
                Body::Pod(pod) if is_measured(pod) => Some(pod_metrics(world, object, pod, now)),
                _ => None,
            })
            .collect()
    } else {
        let mut used: HashMap<u128, (u64, u64)> = HashMap::new();
        for object in world.snapshot(PODS, "").objects.iter() {
            let Body::Pod(pod) = &object.body else { continue };
            let Some(node) = pod.node.as_ref().filter(|_| is_measured(pod)) else { continue };
            // The system's own part.
            let sum = used.entry(node.uid).or_insert((90, 900 * 1024));
            for container in 0..pod.workload.containers.len() {
                let (cpu, memory) = usage(world, pod, container, now / SCRAPE * SCRAPE);
                sum.0 += cpu;
                sum.1 += memory;
            }
        }
        world
            .snapshot(NODES, "")
            .objects
            .iter()
            .filter_map(|object| match &object.body {
                Body::Node(node) => {
                    used.get(&node.machine.uid).map(|(cpu, memory)| node_metrics(object, *cpu, *memory, now))
                }
                _ => None,
            })
            .collect()
    };
    values.into_iter().map(|value| Arc::new(Object::from_value(resource, 0, value))).collect()
}

/// The metrics at one key.
pub fn get(world: &World, resource: ResourceId, key: &str, now: i64) -> Option<Arc<Object>> {
    if resource == NODE_METRICS {
        return list(world, resource, "", now).into_iter().find(|object| object.key.as_ref() == key);
    }
    let object = world.get(PODS, key)?;
    match &object.body {
        Body::Pod(pod) if is_measured(pod) => {
            Some(Arc::new(Object::from_value(resource, 0, pod_metrics(world, &object, pod, now))))
        }
        _ => None,
    }
}

/// What the pods of a workload use of the cores that they ask for.
pub struct Utilization {
    /// Of those that are ready, in percent.
    pub ready: u32,
    /// The same if those that are not ready counted as idle, in percent.
    pub all: u32,
    /// What each that is ready uses, in millicores.
    pub each: u64,
    pub ready_pods: u32,
    pub pods: u32,
}

/// `None` where there is nothing to measure.
pub fn utilization(world: &World, workload: u128, now: i64) -> Option<Utilization> {
    let (mut used, mut asked, mut asked_of_all, mut ready_pods, mut pods) = (0, 0, 0, 0, 0);
    for key in world.life.index.pods_of_workload(workload) {
        let Some(object) = world.get(PODS, key) else { continue };
        let Body::Pod(pod) = &object.body else { continue };
        if pod.state.is_deleted() || matches!(pod.state, State::Succeeded | State::Failed | State::Evicted) {
            continue;
        }
        let ready = pod.state.is_ready();
        pods += 1;
        ready_pods += u32::from(ready);
        for (container, spec) in pod.workload.containers.iter().enumerate() {
            let request = u64::from(spec.cpu);
            asked_of_all += request;
            if ready {
                used += usage(world, pod, container, now / SCRAPE * SCRAPE).0;
                asked += request;
            }
        }
    }
    let percent = |asked: u64| u32::try_from(used * 100 / asked.max(1)).unwrap_or(u32::MAX);
    (asked > 0).then(|| Utilization {
        ready: percent(asked),
        all: percent(asked_of_all),
        each: used / u64::from(ready_pods),
        ready_pods,
        pods,
    })
}
