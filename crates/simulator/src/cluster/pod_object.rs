//! What pods look like: metadata and spec, encoded once for all pods of a workload, and their status for each state.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fargate;
use super::managed::managed_fields;
use super::pod::State;
use super::pod_status::status;
use super::workload::{Controller, Workload};
use crate::encoding::schema::Schema;
use crate::encoding::template::{Encoded, Hole, Segment};
use crate::encoding::wire;
use crate::object::Parts;

/// What the pods of a workload have in common, whatever their state.
#[derive(Debug)]
pub struct Shared {
    /// The inside of the JSON of the metadata, up to the first of the managed fields.
    json_metadata: Arc<Encoded>,
    /// `"spec":{…}`.
    json_spec: Arc<Encoded>,
    metadata: Arc<Encoded>,
    spec: Arc<Encoded>,
    labels: Value,
}

/// The pods of `workload` in `state`, encoded with holes.
pub fn parts(workload: &Workload, state: State) -> Parts {
    let make = || Arc::new(share(workload, state));
    // Pods without a node differ in their spec, and are few.
    let shared = if state.has_node() { Arc::clone(workload.shared.get_or_init(make)) } else { make() };
    let status = status(workload, state);
    let kubelet = managed_fields("kubelet", "v1", Hole::Changed, "status", &json!({ "status": status }));
    // Its deletion is a change like those of its spec.
    let generation = if state.is_deleted() { 2 } else { 1 };
    let mut own = json!({ "managedFields": [kubelet], "generation": generation });
    let mut deleted = String::new();
    if state.is_deleted() {
        own["deletionTimestamp"] = Hole::Deleted.into();
        own["deletionGracePeriodSeconds"] = Hole::Grace.into();
        deleted =
            format!(",\"deletionTimestamp\":\"{}\",\"deletionGracePeriodSeconds\":\"{}\"", Hole::Deleted, Hole::Grace);
    }
    let mut json = Encoded::text("{\"metadata\":{").into_segments();
    json.push(Segment::Shared(Arc::clone(&shared.json_metadata)));
    json.extend(Encoded::json_text(&format!(",{kubelet}],\"generation\":{generation}{deleted}}},")).into_segments());
    json.push(Segment::Shared(Arc::clone(&shared.json_spec)));
    json.extend(Encoded::json_text(&format!(",\"status\":{status}}}")).into_segments());
    let mut metadata = vec![Segment::Shared(Arc::clone(&shared.metadata))];
    metadata.extend(encode("meta.v1.ObjectMeta", &own).into_segments());
    let mut message = vec![wire::nested(1, metadata), Segment::Shared(Arc::clone(&shared.spec))];
    message.extend(encode("core.v1.Pod", &json!({ "status": status })).into_segments());
    Parts::new(Encoded::new(json), Encoded::new(message), &shared.labels)
}

fn encode(message: &str, value: &Value) -> Encoded {
    Schema::get().id(message).map(|id| wire::template(id, value)).unwrap_or_default()
}

fn share(workload: &Workload, state: State) -> Shared {
    let mut metadata = json!({
        "name": Hole::Name,
        "namespace": &*workload.namespace,
        "uid": Hole::Uid,
        "resourceVersion": Hole::Version,
        "creationTimestamp": Hole::Created,
        "labels": workload.pod_labels(),
    });
    if let Some(profile) = workload.fargate {
        metadata["labels"][fargate::PROFILE] = profile.into();
    }
    if workload.controller != Controller::Bare {
        metadata["ownerReferences"] = json!([workload.pod_owner()]);
    }
    if workload.controller != Controller::Bare {
        metadata["generateName"] = workload.generate_name().into();
    }
    if !workload.annotations.is_null() {
        metadata["annotations"] = workload.annotations.clone();
    }
    if !workload.finalizers.is_null() {
        metadata["finalizers"] = workload.finalizers.clone();
    }
    let mut spec = spec(workload, state);
    if workload.fargate.is_some() {
        spec["schedulerName"] = fargate::SCHEDULER.into();
    }
    let set = json!({
        "metadata": {
            "generateName": metadata["generateName"], "annotations": metadata["annotations"],
            "labels": metadata["labels"], "ownerReferences": metadata["ownerReferences"],
        },
        "spec": spec,
    });
    let mut controller = managed_fields("kube-controller-manager", "v1", Hole::Created, "", &set);
    if let Some(owned) = controller["fieldsV1"]["f:spec"].as_object_mut() {
        // The scheduler binds through a subresource, which leaves no trace.
        owned.remove("f:nodeName");
    }
    let text = metadata.to_string();
    let inside = text.get(1..text.len() - 1).unwrap_or_default();
    let json_metadata = Encoded::json_text(&format!("{inside},\"managedFields\":[{controller}"));
    let labels = metadata["labels"].clone();
    metadata["managedFields"] = json!([controller]);
    Shared {
        json_metadata: json_metadata.into(),
        json_spec: Encoded::json_text(&format!("\"spec\":{spec}")).into(),
        metadata: encode("meta.v1.ObjectMeta", &metadata).into(),
        spec: encode("core.v1.Pod", &json!({ "spec": spec })).into(),
        labels,
    }
}

/// What admission, the scheduler and the defaults make of the workload's pod template.
fn spec(workload: &Workload, state: State) -> Value {
    let mut spec = workload.pod_spec();
    if workload.admitted {
        // It was admitted when it was made: what stands there is all of it.
        if state.has_node() {
            spec["nodeName"] = Hole::Node.into();
        }
        return spec;
    }
    let access = format!("kube-api-access-{}", Hole::Suffix);
    let mount =
        json!({ "name": access, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
    for group in ["containers", "initContainers"] {
        for container in spec.get_mut(group).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.push(mount.clone());
            } else {
                container["volumeMounts"] = json!([mount]);
            }
        }
    }
    let volume = json!({ "name": access, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [
            { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
        ] } },
    ] } });
    match spec["volumes"].as_array_mut() {
        Some(volumes) => volumes.push(volume),
        None => spec["volumes"] = json!([volume]),
    }
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    let no_execute = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute" });
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let mut toleration = no_execute(key);
        if workload.controller != Controller::DaemonSet {
            toleration["tolerationSeconds"] = 300.into();
        }
        tolerations.push(toleration);
    }
    if workload.controller == Controller::DaemonSet {
        for pressure in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"] {
            let key = format!("node.kubernetes.io/{pressure}");
            tolerations.push(json!({ "key": key, "operator": "Exists", "effect": "NoSchedule" }));
        }
        spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchFields": [
                { "key": "metadata.name", "operator": "In", "values": [Hole::Node] },
            ] }],
        } } });
    }
    spec["tolerations"] = tolerations.into();
    spec["enableServiceLinks"] = true.into();
    spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    spec["priority"] = workload.priority().into();
    if spec["serviceAccountName"].is_null() {
        spec["serviceAccountName"] = "default".into();
    }
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    if workload.controller == Controller::StatefulSet {
        spec["hostname"] = Hole::Name.into();
        spec["subdomain"] = workload.name.clone().into();
    }
    if state.has_node() {
        spec["nodeName"] = Hole::Node.into();
    }
    if state == State::Gated {
        spec["schedulingGates"] = json!([{ "name": "quota.example.com/approved" }]);
    }
    spec
}
