//! What the API server fills in when a client makes an object: metadata, defaults, first status. Pure but for the ids.

use serde_json::{Value, json};

use crate::sim::catalog::{
    AUTOSCALERS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, JOBS, NAMESPACES, PODS, REPLICA_SETS,
    ResourceId, SECRETS, SERVICES, STATEFUL_SETS,
};
use crate::sim::encoding::template::{Short, rfc3339};
use crate::sim::random::Random;

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

/// Defaults of a pod's spec, wherever it stands.
pub fn pod_spec(spec: &mut Value, restart: &str) {
    fill(
        spec,
        &json!({
            "restartPolicy": restart, "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30, "securityContext": {},
        }),
    );
    for group in ["containers", "initContainers"] {
        for container in spec[group].as_array_mut().into_iter().flatten() {
            let latest =
                container["image"].as_str().is_some_and(|image| !image.contains(':') || image.ends_with(":latest"));
            fill(
                container,
                &json!({
                    "imagePullPolicy": if latest { "Always" } else { "IfNotPresent" }, "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }),
            );
            for port in container["ports"].as_array_mut().into_iter().flatten() {
                fill(port, &json!({ "protocol": "TCP" }));
            }
        }
        if spec[group].is_null()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove(group);
        }
    }
}

/// A new object as the server stores it.
pub fn complete(resource: ResourceId, value: &mut Value, now: i64, random: &mut Random) {
    let uid = Short::uuid(random.uid());
    let metadata = &mut value["metadata"];
    metadata["uid"] = uid.as_str().into();
    metadata["creationTimestamp"] = rfc3339(now).into();
    metadata["generation"] = 1.into();
    if metadata["name"].as_str().unwrap_or_default().is_empty() {
        let generated = format!("{}{}", metadata["generateName"].as_str().unwrap_or_default(), random.suffix(5));
        metadata["name"] = generated.into();
    }
    let name = metadata["name"].clone();
    let always = |value: &mut Value| pod_spec(&mut value["spec"]["template"]["spec"], "Always");
    match resource {
        PODS => {
            pod_spec(&mut value["spec"], "Always");
            fill(&mut value["spec"], &json!({ "serviceAccountName": "default", "enableServiceLinks": true }));
            if let Some(tolerations) = value["spec"].as_object_mut() {
                let no_execute = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
                let list = tolerations.entry("tolerations").or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut() {
                    list.push(no_execute("node.kubernetes.io/not-ready"));
                    list.push(no_execute("node.kubernetes.io/unreachable"));
                }
            }
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
            always(value);
            value["status"] = json!({});
        }
        REPLICA_SETS => {
            fill(&mut value["spec"], &json!({ "replicas": 1 }));
            always(value);
            value["status"] = json!({ "replicas": 0 });
        }
        STATEFUL_SETS => {
            fill(
                &mut value["spec"],
                &json!({
                    "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                    "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
                }),
            );
            always(value);
            value["status"] = json!({ "replicas": 0, "availableReplicas": 0 });
        }
        DAEMON_SETS => {
            let update = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } });
            fill(&mut value["spec"], &json!({ "revisionHistoryLimit": 10, "updateStrategy": update }));
            always(value);
            value["status"] = json!({
                "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
            });
        }
        JOBS => job(value, &name, uid.as_str()),
        CRON_JOBS => {
            fill(
                &mut value["spec"],
                &json!({ "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1 }),
            );
            pod_spec(&mut value["spec"]["jobTemplate"]["spec"]["template"]["spec"], "Never");
            value["status"] = json!({});
        }
        SERVICES => service(value, random),
        NAMESPACES => {
            value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            value["spec"] = json!({ "finalizers": ["kubernetes"] });
            value["status"] = json!({ "phase": "Active" });
        }
        SECRETS => {
            fill(value, &json!({ "type": "Opaque" }));
        }
        DISRUPTION_BUDGETS => {
            value["status"] =
                json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
        }
        AUTOSCALERS => {
            fill(&mut value["spec"], &json!({ "minReplicas": 1 }));
            value["status"] = json!({ "currentReplicas": 0, "desiredReplicas": 0, "conditions": [] });
        }
        _ => {}
    }
}

fn job(value: &mut Value, name: &Value, uid: &str) {
    fill(
        &mut value["spec"],
        &json!({ "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false }),
    );
    pod_spec(&mut value["spec"]["template"]["spec"], "Never");
    if value["spec"]["manualSelector"] != true {
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
    }
    value["status"] = json!({});
}

fn service(value: &mut Value, random: &mut Random) {
    fill(
        &mut value["spec"],
        &json!({
            "type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        }),
    );
    if value["spec"]["clusterIP"].is_null() && value["spec"]["type"] != "ExternalName" {
        value["spec"]["clusterIP"] = format!("172.20.{}.{}", random.below(256), random.between(1, 254)).into();
    }
    value["spec"]["clusterIPs"] = json!([value["spec"]["clusterIP"]]);
    for port in value["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let target = port["port"].clone();
        fill(port, &json!({ "protocol": "TCP", "targetPort": target }));
    }
    value["status"] = json!({ "loadBalancer": {} });
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
