//! Pod templates that clients wrote: from their JSON to the workload of which pods are made.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::life;
use super::workload::{Container, Controller, Workload};
use crate::catalog::{DAEMON_SETS, JOBS, REPLICA_SETS, STATEFUL_SETS};
use crate::object::Object;
use crate::random::Random;
use crate::util::quantity;
use crate::world::World;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Requests are small and not negative.
fn amount(quantity: &Value, unit: f64) -> u32 {
    let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
    quantity::parse(&text).map_or(0, |value| (value / unit).round() as u32)
}

fn container(given: &Value) -> Container {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (requests, limits) = (&given["resources"]["requests"], &given["resources"]["limits"]);
    // What has a limit and no request asks for its limit.
    let asked = |name: &str| if requests[name].is_null() { &limits[name] } else { &requests[name] };
    let limit = match limits {
        Value::Object(limits) if !limits.is_empty() => 1 + u32::from(limits["cpu"] != *asked("cpu")),
        _ => 0,
    };
    let mounts = given["volumeMounts"].as_array().into_iter().flatten();
    Container {
        name: text(&given["name"]),
        image: text(&given["image"]),
        cpu: amount(asked("cpu"), 0.001),
        memory_mib: amount(asked("memory"), 1_048_576.0),
        gpus: amount(asked("nvidia.com/gpu"), 1.0),
        limit,
        mounts: mounts.map(|mount| (text(&mount["name"]), text(&mount["mountPath"]))).collect(),
        probes: given["readinessProbe"].is_object(),
        sidecar: given["restartPolicy"] == "Always",
        given: Some(given.clone()),
        ..Container::default()
    }
}

/// Who makes pods of a template.
#[derive(Debug, Clone)]
pub struct Maker<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub controller: Controller,
    pub uid: u128,
    pub set_uid: u128,
    pub hash: &'a str,
}

/// The workload of a template. What a template does not tell (its team, how busy it is) comes from `like`.
pub fn workload(maker: &Maker<'_>, template: &Value, like: Option<&Workload>) -> Workload {
    let containers = |name: &str| template["spec"][name].as_array().into_iter().flatten().map(container).collect();
    Workload {
        namespace: maker.namespace.into(),
        name: maker.name.to_owned(),
        controller: maker.controller,
        uid: maker.uid,
        set_uid: maker.set_uid,
        hash: maker.hash.to_owned(),
        created: like.map_or(0, |like| like.created),
        replicas: like.map_or(1, |like| like.replicas),
        groups: Vec::new(),
        containers: containers("containers"),
        init: containers("initContainers"),
        host_network: template["spec"]["hostNetwork"] == true,
        critical: template["spec"]["priorityClassName"].as_str().is_some_and(|class| class.starts_with("system-")),
        annotations: template["metadata"]["annotations"].clone(),
        team: like.map_or_else(String::new, |like| like.team.clone()),
        part_of: like.map_or_else(String::new, |like| like.part_of.clone()),
        version: String::new(),
        cron_job: None,
        template: Some(template.clone()),
        admitted: false,
        finalizers: Value::Null,
        fargate: like.and_then(|like| like.fargate),
        cluster_nodes: like.map_or(0, |like| like.cluster_nodes),
        shared: OnceLock::new(),
        needs: OnceLock::new(),
    }
}

/// A pod that a client wrote, made or changed: it is a workload of its own.
pub fn of_pod(pod: &Value, before: Option<&Workload>) -> Workload {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &pod["metadata"];
    let mut template = json!({ "metadata": { "labels": metadata["labels"], "annotations": metadata["annotations"] }, "spec": pod["spec"] });
    if template["metadata"]["labels"].is_null() {
        template["metadata"]["labels"] = json!({});
    }
    let name = text(&metadata["name"]);
    let maker = Maker {
        namespace: metadata["namespace"].as_str().unwrap_or_default(),
        name: before.map_or(&name, |before| &before.name),
        controller: before.map_or(Controller::Bare, |before| before.controller),
        uid: before.map_or_else(|| life::uid(pod), |before| before.uid),
        set_uid: before.map_or(0, |before| before.set_uid),
        hash: before.map_or("", |before| &before.hash),
    };
    let mut made = workload(&maker, &template, before);
    made.finalizers = metadata["finalizers"].clone();
    made.admitted = true;
    if let Some(spec) = made.template.as_mut().and_then(|template| template["spec"].as_object_mut()) {
        spec.remove("nodeName");
    }
    made
}

/// The workload of which this controller makes pods now, as its template stands.
pub fn of_controller(world: &mut World, object: &Object, value: &Value) -> Arc<Workload> {
    let uid = life::uid(value);
    let template = &value["spec"]["template"];
    let hash = match object.resource {
        REPLICA_SETS => value["metadata"]["labels"]["pod-template-hash"].as_str().unwrap_or_default().to_owned(),
        JOBS => String::new(),
        _ => hash(template),
    };
    let known = world.life.revisions.iter().find(|((owner, of), _)| *owner == uid && *of == hash);
    if let Some((_, workload)) = known {
        return Arc::clone(workload);
    }
    // The seed's workloads are known by hashes of their own: the template tells.
    let same = world.life.revisions.iter().find(|((owner, _), workload)| {
        *owner == uid && (object.resource == JOBS || is_same(template, &made_of(workload)))
    });
    if let Some((_, workload)) = same {
        let workload = Arc::clone(workload);
        world.life.revisions.insert((uid, hash), Arc::clone(&workload));
        return workload;
    }
    let deployment = life::owner_uid(value);
    let like = world
        .life
        .revisions
        .values()
        .filter(|workload| workload.uid == uid || (deployment != 0 && workload.uid == deployment))
        .min_by_key(|workload| workload.hash.clone())
        .cloned();
    let controller = match object.resource {
        STATEFUL_SETS => Controller::StatefulSet,
        DAEMON_SETS => Controller::DaemonSet,
        JOBS => Controller::Job,
        _ => Controller::Deployment,
    };
    let name = match object.resource {
        // Pods of a replica set are named after its name, which ends in the hash.
        REPLICA_SETS => object.name().strip_suffix(&format!("-{hash}")).unwrap_or(object.name()),
        _ => object.name(),
    };
    let maker = Maker {
        namespace: object.namespace(),
        name,
        controller,
        uid: if controller == Controller::Deployment && deployment != 0 { deployment } else { uid },
        set_uid: uid,
        hash: &hash,
    };
    let made = Arc::new(workload(&maker, template, like.as_deref()));
    world.life.revisions.insert((uid, hash), Arc::clone(&made));
    made
}

/// The template that stands in the controller of a workload of the seed.
fn made_of(workload: &Workload) -> Value {
    super::controllers::pod_template(workload)
}

/// Whether two templates make the same pods: the hash that a replica set adds does not count, nor what is null.
pub fn is_same(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

/// A template without what does not count.
pub fn canonical(template: &Value) -> Value {
    let mut template = without_nothing(template);
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template
}

fn without_nothing(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nothing(value)))
            .collect(),
        Value::Array(elements) => elements.iter().map(without_nothing).collect(),
        other => other.clone(),
    }
}

/// The hash of a template, as it ends names.
pub fn hash(template: &Value) -> String {
    Random::named(0, &canonical(template).to_string()).suffix(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_what_its_pods_ask_for() {
        let template = json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [
                { "name": "a", "image": "nginx", "resources": { "requests": { "cpu": "250m", "memory": "1Gi" } } },
                { "name": "b", "image": "busybox", "resources": { "limits": { "cpu": 1, "memory": "64Mi" } } },
            ] },
        });
        let maker =
            Maker { namespace: "n", name: "web", controller: Controller::Deployment, uid: 1, set_uid: 2, hash: "h" };
        let made = workload(&maker, &template, None);
        assert_eq!((made.needs().cpu, made.needs().memory_mib), (1250, 1088));
        assert_eq!((made.qos_class(), made.generate_name()), ("Burstable", "web-h-".to_owned()));
        assert_eq!(made.pod_labels(), json!({ "app": "web", "pod-template-hash": "h" }));
    }

    #[test]
    fn the_added_hash_and_nulls_make_no_other_template() {
        let one = json!({ "metadata": { "labels": { "a": "b" }, "creationTimestamp": null }, "spec": {} });
        let other = json!({ "metadata": { "labels": { "a": "b", "pod-template-hash": "x" } }, "spec": {} });
        assert!(is_same(&one, &other));
        assert_eq!(hash(&one), hash(&other));
        assert!(!is_same(&one, &json!({ "metadata": { "labels": { "a": "c" } }, "spec": {} })));
    }
}
