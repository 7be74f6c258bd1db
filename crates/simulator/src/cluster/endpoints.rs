//! The endpoint slice controller: which pods stand behind a service, and which of them are ready.

use std::sync::Arc;

use serde_json::{Value, json};

use super::life;
use super::pod::{Pod, State};
use super::pods;
use super::workload::owner;
use crate::catalog::{ENDPOINT_SLICES, PODS};
use crate::encoding::template::Short;
use crate::object::{Body, Object};
use crate::random::Random;
use crate::world::World;

/// Larger worlds have no slices: with 100,000 pods they would be most of the work.
pub const MOST_PODS: usize = 5_000;
/// A slice has no more endpoints.
const MOST_ENDPOINTS: usize = 100;

/// The port of a pod that a service leads to.
fn target(port: &Value, pod: &Pod) -> Value {
    match port["targetPort"].as_str() {
        None => port["targetPort"].clone(),
        Some(name) => {
            let spec = pod.workload.pod_spec();
            let ports = spec["containers"].as_array().into_iter().flatten();
            let mut ports = ports.flat_map(|container| container["ports"].as_array().into_iter().flatten());
            ports.find(|own| own["name"] == name).map_or(Value::Null, |own| own["containerPort"].clone())
        }
    }
}

fn endpoint(object: &Object, pod: &Pod) -> Value {
    let (ready, ending) = (pod.state.is_ready(), pod.state.is_deleted());
    let zone = pod.node.as_ref().map_or("", |node| super::node::ZONES[node.zone]);
    json!({
        "addresses": [pod.address()], "nodeName": pod.node_name(), "zone": format!("{}{zone}", super::node::REGION),
        "conditions": { "ready": ready && !ending, "serving": ready, "terminating": ending },
        "targetRef": { "kind": "Pod", "namespace": object.namespace(), "name": object.name(), "uid": Short::uuid(pod.uid).as_str() },
    })
}

/// The slice of a service with a selector, as its pods stand; what it is called comes from the service's uid.
pub fn slice<'a>(service: &Value, pods: impl Iterator<Item = &'a Arc<Object>>) -> Option<Value> {
    let selector = &service["spec"]["selector"];
    if !selector.is_object() {
        return None;
    }
    let selector = json!({ "matchLabels": selector });
    let mut asked: Option<(usize, bool)> = None;
    let behind: Vec<_> = pods
        .filter_map(|object| Some((object, pods::pod(object)?)))
        .filter(|(_, pod)| pod.state.has_address() && !matches!(pod.state, State::Succeeded | State::Failed))
        .filter(|(_, pod)| {
            // Neighbours are of one workload, and so is the answer.
            let workload = Arc::as_ptr(&pod.workload).addr();
            match asked {
                Some((known, answer)) if known == workload => answer,
                _ => {
                    let answer = life::selects(&selector, &pod.workload.pod_labels());
                    asked = Some((workload, answer));
                    answer
                }
            }
        })
        .take(MOST_ENDPOINTS)
        .collect();
    let metadata = &service["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let ports: Vec<_> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let number = target(port, behind.first()?.1);
            let name = port["name"].as_str().unwrap_or_default();
            (!number.is_null()).then(|| json!({ "name": name, "port": number, "protocol": port["protocol"] }))
        })
        .collect();
    let mut own = owner("v1", "Service", text("name"), life::uid(service));
    own["controller"] = true.into();
    let mut labels = json!({
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": text("name"),
    });
    if service["spec"]["clusterIP"] == "None" {
        labels["service.kubernetes.io/headless"] = "".into();
    }
    let mut random = Random::named(0, text("uid"));
    Some(json!({
        "metadata": {
            "name": format!("{}-{}", text("name"), random.suffix(5)), "generateName": format!("{}-", text("name")),
            "namespace": text("namespace"), "uid": Short::uuid(random.uid()).as_str(), "generation": 1,
            "creationTimestamp": metadata["creationTimestamp"], "labels": labels, "ownerReferences": [own],
        },
        "addressType": "IPv4", "ports": ports,
        "endpoints": behind.iter().map(|(object, pod)| endpoint(object, pod)).collect::<Vec<_>>(),
    }))
}

/// Writes the slice of a service anew, where it is another.
pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    if world.count(PODS) > MOST_PODS {
        return;
    }
    let service = object.value();
    let pods = world.snapshot(PODS, object.namespace()).objects;
    let Some(mut new) = slice(&service, pods.iter()) else { return };
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let at = crate::object::key(object.namespace(), name);
    if let Some(old) = world.get(ENDPOINT_SLICES, &at).map(|old| old.value()) {
        if old["endpoints"] == new["endpoints"] && old["ports"] == new["ports"] {
            return;
        }
        new["metadata"] = old["metadata"].clone();
        new["metadata"]["generation"] = (old["metadata"]["generation"].as_u64().unwrap_or(1) + 1).into();
    }
    world.put_value(ENDPOINT_SLICES, new);
}

/// Whether a change of a pod is one that slices tell.
pub fn tells(before: Option<&Object>, after: Option<&Object>) -> bool {
    let told = |object: &Object| match &object.body {
        Body::Pod(pod) => Some((pod.state.is_ready(), pod.state.is_deleted(), pod.state.has_address())),
        _ => None,
    };
    before.and_then(told) != after.and_then(told)
}
