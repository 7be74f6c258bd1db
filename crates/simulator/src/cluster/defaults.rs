//! What the API server fills in when a client makes an object: metadata, defaults, first status. Pure but for the ids.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::catalog::{
    AUTOSCALERS, CLAIMS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, INGRESSES, JOBS, NAMESPACES, PODS,
    PRIORITY_CLASSES, REPLICA_SETS, ResourceId, SECRETS, SERVICES, STATEFUL_SETS, STORAGE_CLASSES,
};
use crate::encoding::template::{Short, rfc3339};
use crate::random::Random;

/// Sets what is not there, as deep as `defaults` goes.
fn fill(value: &mut Value, defaults: &Value) {
    match (value, defaults) {
        (Value::Object(fields), Value::Object(defaults)) => {
            for (name, default) in defaults {
                fill(fields.entry(name.clone()).or_insert(Value::Null), default);
            }
        }
        (value, default) if value.is_null() => value.clone_from(default),
        _ => {}
    }
}

fn elements<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Defaults of a pod's spec, wherever it stands.
fn pod_spec(spec: &mut Value) {
    fill(
        spec,
        &json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "securityContext": {},
        }),
    );
    for group in ["containers", "initContainers"] {
        for container in elements(spec, group) {
            let latest =
                container["image"].as_str().is_some_and(|image| !image.contains(':') || image.ends_with(":latest"));
            fill(
                container,
                &json!({
                    "imagePullPolicy": if latest { "Always" } else { "IfNotPresent" }, "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }),
            );
            for port in elements(container, "ports") {
                fill(port, &json!({ "protocol": "TCP" }));
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
                    fill(
                        probe,
                        &json!({ "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 }),
                    );
                    if let Some(get) = probe.get_mut("httpGet").filter(|get| get.is_object()) {
                        fill(get, &json!({ "path": "/", "scheme": "HTTP" }));
                    }
                }
            }
            for variable in elements(container, "env") {
                if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
                    fill(field, &json!({ "apiVersion": "v1" }));
                }
            }
            if let Some(resources) = container.get_mut("resources") {
                // What has a limit and no request asks for its limit.
                let limits = resources["limits"].as_object().cloned().unwrap_or_default();
                for (name, limit) in limits {
                    fill(&mut resources["requests"][name], &limit);
                }
                if let Some(resources) = resources.as_object_mut() {
                    resources.retain(|_, amounts| !amounts.is_null());
                }
            }
        }
    }
    for volume in elements(spec, "volumes") {
        for kind in ["secret", "configMap", "projected", "downwardAPI"] {
            if let Some(volume) = volume.get_mut(kind).filter(|volume| volume.is_object()) {
                fill(volume, &json!({ "defaultMode": 420 }));
            }
        }
    }
    if spec.get("serviceAccountName").is_some_and(Value::is_string) {
        spec["serviceAccount"] = spec["serviceAccountName"].clone();
    }
}

fn template(owner: &mut Value) {
    fill(&mut owner["template"], &json!({ "metadata": {}, "spec": {} }));
    pod_spec(&mut owner["template"]["spec"]);
}

/// Fills in what a client left out.
pub fn fill_in(resource: ResourceId, value: &mut Value) {
    match resource {
        PODS => {
            pod_spec(&mut value["spec"]);
            pod(&mut value["spec"]);
        }
        DEPLOYMENTS => {
            fill(
                &mut value["spec"],
                &json!({
                    "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
                    "strategy": { "type": "RollingUpdate" },
                }),
            );
            if value["spec"]["strategy"]["type"] == "RollingUpdate" {
                let rolling = json!({ "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } });
                fill(&mut value["spec"]["strategy"], &rolling);
            }
            template(&mut value["spec"]);
        }
        REPLICA_SETS => {
            fill(&mut value["spec"], &json!({ "replicas": 1 }));
            template(&mut value["spec"]);
        }
        STATEFUL_SETS => {
            fill(
                &mut value["spec"],
                &json!({
                    "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                    "updateStrategy": { "type": "RollingUpdate" },
                    "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
                }),
            );
            if value["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
                fill(&mut value["spec"]["updateStrategy"], &json!({ "rollingUpdate": { "partition": 0 } }));
            }
            for claim in elements(&mut value["spec"], "volumeClaimTemplates") {
                let claimed = json!({ "spec": { "volumeMode": "Filesystem" }, "status": { "phase": "Pending" } });
                fill(claim, &claimed);
            }
            template(&mut value["spec"]);
        }
        DAEMON_SETS => {
            let update = json!({ "type": "RollingUpdate" });
            fill(&mut value["spec"], &json!({ "revisionHistoryLimit": 10, "updateStrategy": update }));
            if value["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
                let rolling = json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } });
                fill(&mut value["spec"]["updateStrategy"], &rolling);
            }
            template(&mut value["spec"]);
        }
        JOBS => job(&mut value["spec"]),
        CRON_JOBS => {
            fill(
                &mut value["spec"],
                &json!({ "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1 }),
            );
            fill(&mut value["spec"]["jobTemplate"], &json!({ "metadata": {}, "spec": {} }));
            template(&mut value["spec"]["jobTemplate"]["spec"]);
        }
        SERVICES => service(&mut value["spec"]),
        SECRETS => secret(value),
        STORAGE_CLASSES => fill(value, &json!({ "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate" })),
        PRIORITY_CLASSES => fill(value, &json!({ "preemptionPolicy": "PreemptLowerPriority" })),
        AUTOSCALERS => fill(&mut value["spec"], &json!({ "minReplicas": 1 })),
        _ => {}
    }
}

/// What admission adds to a pod.
fn pod(spec: &mut Value) {
    let priority = match spec["priorityClassName"].as_str() {
        Some("system-node-critical") => 2_000_001_000,
        Some("system-cluster-critical") => 2_000_000_000,
        _ => 0,
    };
    fill(
        spec,
        &json!({
            "serviceAccountName": "default", "serviceAccount": "default", "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority", "priority": priority, "tolerations": [],
        }),
    );
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    let Some(list) = spec["tolerations"].as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = |one: &Value| (one["key"] == key || one["key"].is_null()) && one["effect"] != "NoSchedule";
        if !list.iter().any(tolerated) {
            list.push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
        }
    }
}

/// What a client gives as text is stored encoded.
fn secret(value: &mut Value) {
    fill(value, &json!({ "type": "Opaque" }));
    let Some(Value::Object(texts)) = value.as_object_mut().and_then(|value| value.remove("stringData")) else { return };
    for (name, text) in texts {
        value["data"][name] = BASE64_STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// A new object as the server stores it.
pub fn complete(resource: ResourceId, value: &mut Value, now: i64, random: &mut Random) {
    let uid = Short::uuid(random.uid());
    let metadata = &mut value["metadata"];
    metadata["uid"] = uid.as_str().into();
    metadata["creationTimestamp"] = rfc3339(now).into();
    let generated = metadata["generateName"].as_str().filter(|prefix| !prefix.is_empty()).map(str::to_owned);
    if let Some(prefix) = generated.filter(|_| metadata["name"].as_str().unwrap_or_default().is_empty()) {
        metadata["name"] = format!("{prefix}{}", random.suffix(5)).into();
    }
    if let Some(metadata) = metadata.as_object_mut() {
        for field in ["generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            metadata.remove(field);
        }
        metadata.retain(|_, value| !value.is_null());
        if resource.counts_changes() {
            metadata.insert("generation".into(), 1.into());
        }
    }
    let name = value["metadata"]["name"].clone();
    fill_in(resource, value);
    let status = match resource {
        DEPLOYMENTS | CRON_JOBS | JOBS => json!({}),
        REPLICA_SETS => json!({ "replicas": 0 }),
        STATEFUL_SETS => json!({ "replicas": 0, "availableReplicas": 0 }),
        DAEMON_SETS => json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
        }),
        DISRUPTION_BUDGETS => {
            json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 })
        }
        AUTOSCALERS => json!({ "desiredReplicas": 0, "currentMetrics": null }),
        SERVICES | INGRESSES => json!({ "loadBalancer": {} }),
        NAMESPACES => json!({ "phase": "Active" }),
        CLAIMS => json!({ "phase": "Pending" }),
        _ => Value::Null,
    };
    if !status.is_null() {
        value["status"] = status;
    } else if resource.custom
        && let Some(value) = value.as_object_mut()
    {
        // It has a subresource of its own.
        value.remove("status");
    }
    match resource {
        PODS => {
            if let Some(pod) = value.as_object_mut() {
                pod.remove("status");
            }
        }
        DAEMON_SETS => value["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "1".into(),
        JOBS => own(value, &name, uid.as_str()),
        SERVICES => address(&mut value["spec"], random),
        NAMESPACES => {
            value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            value["spec"] = json!({ "finalizers": ["kubernetes"] });
        }
        CLAIMS => {
            fill(&mut value["spec"], &json!({ "volumeMode": "Filesystem", "storageClassName": "gp3" }));
            value["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        }
        _ => {}
    }
}

fn job(spec: &mut Value) {
    fill(
        spec,
        &json!({
            "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false, "manualSelector": false,
            "podReplacementPolicy": "TerminatingOrFailed",
        }),
    );
    // Several at once without a number are a queue of unknown length.
    if spec["parallelism"] == 1 {
        fill(spec, &json!({ "completions": 1 }));
    }
    template(spec);
}

/// Labels by which a job knows its pods.
fn own(value: &mut Value, name: &Value, uid: &str) {
    if value["spec"]["manualSelector"] == true {
        return;
    }
    value["spec"]["selector"] = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    let labels = &mut value["spec"]["template"]["metadata"]["labels"];
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", Value::from(uid)),
        ("batch.kubernetes.io/job-name", name.clone()),
        ("controller-uid", Value::from(uid)),
        ("job-name", name.clone()),
    ] {
        labels[label] = value;
    }
    let labels = labels.clone();
    fill(&mut value["metadata"], &json!({ "labels": labels }));
}

fn service(spec: &mut Value) {
    fill(spec, &json!({ "type": "ClusterIP", "sessionAffinity": "None" }));
    if spec["type"] != "ExternalName" {
        let families = json!({
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        });
        fill(spec, &families);
    }
    if matches!(spec["type"].as_str(), Some("LoadBalancer" | "NodePort")) {
        fill(spec, &json!({ "externalTrafficPolicy": "Cluster" }));
    }
    if spec["type"] == "LoadBalancer" {
        fill(spec, &json!({ "allocateLoadBalancerNodePorts": true }));
    }
    for port in elements(spec, "ports") {
        let target = port["port"].clone();
        fill(port, &json!({ "protocol": "TCP", "targetPort": target }));
    }
}

/// Addresses and ports that the server gives to a new service.
fn address(spec: &mut Value, random: &mut Random) {
    if spec["type"] == "ExternalName" {
        return;
    }
    if spec["clusterIP"].is_null() {
        spec["clusterIP"] = format!("172.20.{}.{}", random.below(256), random.between(1, 254)).into();
    }
    spec["clusterIPs"] = json!([spec["clusterIP"]]);
    if matches!(spec["type"].as_str(), Some("LoadBalancer" | "NodePort")) {
        for port in elements(spec, "ports") {
            fill(port, &json!({ "nodePort": random.between(30_000, 32_767) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_stays_and_what_it_does_not_say_is_filled_in() {
        let mut value = json!({
            "metadata": { "generateName": "web-" },
            "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "a", "image": "nginx" }] } } },
        });
        complete(DEPLOYMENTS, &mut value, 0, &mut Random::new(1));
        assert_eq!(value["spec"]["replicas"], 3);
        assert_eq!(value["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(value["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        assert!(value["metadata"]["name"].as_str().unwrap().starts_with("web-"));
        let mut job = json!({ "metadata": { "name": "j" }, "spec": { "template": { "spec": { "containers": [] } } } });
        complete(JOBS, &mut job, 0, &mut Random::new(1));
        let uid = &job["metadata"]["uid"];
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["controller-uid"], *uid);
        assert_eq!(job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], *uid);
    }
}
