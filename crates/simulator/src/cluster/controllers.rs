//! The objects that own pods: deployments with their replica sets, stateful sets, daemon sets, jobs, cron jobs.

use serde_json::{Value, json};

use super::managed::managed_fields;
use super::objects;
use super::pod::{Pod, State};
use super::seed::Size;
use super::workload::{Controller, Workload, owner};
use crate::catalog::{DAEMON_SETS, DEPLOYMENTS, JOBS, REPLICA_SETS, ResourceId, STATEFUL_SETS};
use crate::encoding::template::{Short, rfc3339};
use crate::random::{Random, low};

/// Pods of a workload: all that count, and those that are ready.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub pods: u32,
    pub ready: u32,
    pub succeeded: u32,
    pub failed: u32,
}

impl Counts {
    /// Adds what `pod` is to its workload.
    pub fn add(&mut self, pod: &Pod) {
        self.count(pod, |counter| *counter += 1);
    }

    pub fn remove(&mut self, pod: &Pod) {
        self.count(pod, |counter| *counter = counter.saturating_sub(1));
    }

    fn count(&mut self, pod: &Pod, change: fn(&mut u32)) {
        match pod.state {
            State::Succeeded => change(&mut self.succeeded),
            State::Failed => change(&mut self.failed),
            State::Evicted | State::Terminating => {}
            state => {
                change(&mut self.pods);
                if state.is_ready() {
                    change(&mut self.ready);
                }
            }
        }
    }
}

/// What owns the pods of a workload.
pub fn of(workload: &Workload, counts: Counts, size: Size) -> Vec<(ResourceId, Value)> {
    match workload.controller {
        Controller::Deployment => deployment(workload, counts, size),
        Controller::StatefulSet => vec![(STATEFUL_SETS, stateful_set(workload, counts, size))],
        Controller::DaemonSet => vec![(DAEMON_SETS, daemon_set(workload, counts, size))],
        Controller::Job => vec![(JOBS, job(workload, counts, size))],
        Controller::Bare => Vec::new(),
    }
}

fn workload_metadata(workload: &Workload, size: Size, kind: &str) -> Value {
    let mut metadata = objects::metadata(size, &workload.namespace, &workload.name, workload.created, kind);
    metadata["uid"] = Short::uuid(workload.uid).as_str().into();
    metadata["labels"] = workload.template_labels();
    metadata["generation"] = 3.into();
    metadata["annotations"] = json!({
        "meta.helm.sh/release-name": workload.name, "meta.helm.sh/release-namespace": &*workload.namespace,
    });
    metadata
}

/// What a pod template in a controller looks like: without holes.
pub fn pod_template(workload: &Workload) -> Value {
    let mut metadata = json!({ "labels": workload.template_labels(), "creationTimestamp": null });
    if !workload.annotations.is_null() {
        metadata["annotations"] = workload.annotations.clone();
    }
    let mut spec = workload.pod_spec();
    if workload.controller == Controller::StatefulSet
        && let Some(volumes) = spec["volumes"].as_array_mut()
    {
        // The claim of each pod comes from the claim template.
        volumes.retain(|volume| volume["name"] != "data");
    }
    json!({ "metadata": metadata, "spec": spec })
}

fn owned(metadata: &mut Value, manager: &str, api_version: &str, object: &Value) {
    let set = json!({ "metadata": { "labels": metadata["labels"], "annotations": metadata["annotations"] }, "spec": object["spec"] });
    let time = metadata["creationTimestamp"].clone();
    metadata["managedFields"] = json!([
        managed_fields("helm", api_version, time.clone(), "", &set),
        managed_fields(manager, api_version, time, "status", &json!({ "status": object["status"] })),
    ]);
}

fn deployment(workload: &Workload, counts: Counts, size: Size) -> Vec<(ResourceId, Value)> {
    let replicas = workload.replicas;
    let available = counts.ready.min(replicas);
    let complete = available == replicas;
    let mut metadata = workload_metadata(workload, size, "Deployment");
    let revision = 2 + low(workload.uid) % 30;
    metadata["annotations"]["deployment.kubernetes.io/revision"] = revision.to_string().into();
    let enough = available >= replicas - replicas / 4;
    let since = rfc3339(workload.created);
    let mut status = json!({
        "observedGeneration": 3, "replicas": counts.pods, "updatedReplicas": counts.pods,
        "conditions": [
            { "type": "Available", "status": if enough { "True" } else { "False" },
              "reason": if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" },
              "message": if enough { "Deployment has minimum availability." } else { "Deployment does not have minimum availability." },
              "lastUpdateTime": since, "lastTransitionTime": since },
            { "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
              "message": format!("ReplicaSet \"{}-{}\" has successfully progressed.", workload.name, workload.hash),
              "lastUpdateTime": since, "lastTransitionTime": since },
        ],
    });
    if available > 0 {
        status["readyReplicas"] = available.into();
        status["availableReplicas"] = available.into();
    }
    if !complete {
        status["unavailableReplicas"] = (replicas - available).into();
    }
    let template = pod_template(workload);
    let selector = json!({ "matchLabels": workload.selector_labels() });
    let mut object = json!({
        "spec": {
            "replicas": replicas, "selector": selector, "template": template, "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
        },
        "status": status,
    });
    owned(&mut metadata, "kube-controller-manager", "apps/v1", &object);
    object["metadata"] = metadata;
    let mut all = vec![(DEPLOYMENTS, object)];
    // The current set, and two of before that are scaled to nothing.
    let mut random = Random::named(low(workload.uid), "history");
    for age in 0..3_u32 {
        let hash = if age == 0 { workload.hash.clone() } else { random.suffix(10) };
        let name = format!("{}-{hash}", workload.name);
        let created = workload.created - i64::from(age) * 40_000;
        let mut metadata = objects::metadata(size, &workload.namespace, &name, created, "ReplicaSet");
        if age == 0 {
            metadata["uid"] = Short::uuid(workload.set_uid).as_str().into();
        }
        let mut labels = workload.template_labels();
        labels["pod-template-hash"] = hash.clone().into();
        let mut template = template.clone();
        template["metadata"]["labels"] = labels.clone();
        metadata["labels"] = labels;
        metadata["generation"] = 1.into();
        metadata["ownerReferences"] = json!([owner("apps/v1", "Deployment", &workload.name, workload.uid)]);
        metadata["annotations"] = json!({
            "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
            "deployment.kubernetes.io/revision": revision.saturating_sub(age.into()).to_string(),
        });
        let mut selector = selector.clone();
        selector["matchLabels"]["pod-template-hash"] = hash.into();
        let mut status = json!({ "observedGeneration": 1, "replicas": 0 });
        if age == 0 {
            status["replicas"] = counts.pods.into();
            status["fullyLabeledReplicas"] = counts.pods.into();
            if available > 0 {
                status["readyReplicas"] = available.into();
                status["availableReplicas"] = available.into();
            }
        }
        let spec =
            json!({ "replicas": if age == 0 { replicas } else { 0 }, "selector": selector, "template": template });
        all.push((REPLICA_SETS, json!({ "metadata": metadata, "spec": spec, "status": status })));
    }
    all
}

fn stateful_set(workload: &Workload, counts: Counts, size: Size) -> Value {
    let revision = format!("{}-{}", workload.name, workload.hash);
    let claim = json!({
        "metadata": { "name": "data", "creationTimestamp": null },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "volumeMode": "Filesystem",
            "resources": { "requests": { "storage": "100Gi" } } },
        "status": { "phase": "Pending" },
    });
    let mut object = json!({
        "spec": {
            "replicas": workload.replicas, "selector": { "matchLabels": workload.selector_labels() },
            "serviceName": workload.name, "template": pod_template(workload), "volumeClaimTemplates": [claim],
            "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
        },
        "status": {
            "observedGeneration": 3, "replicas": counts.pods, "readyReplicas": counts.ready,
            "availableReplicas": counts.ready, "currentReplicas": counts.pods, "updatedReplicas": counts.pods,
            "currentRevision": revision, "updateRevision": revision, "collisionCount": 0,
        },
    });
    let mut metadata = workload_metadata(workload, size, "StatefulSet");
    owned(&mut metadata, "kube-controller-manager", "apps/v1", &object);
    object["metadata"] = metadata;
    object
}

fn daemon_set(workload: &Workload, counts: Counts, size: Size) -> Value {
    let mut object = json!({
        "spec": {
            "selector": { "matchLabels": workload.selector_labels() }, "template": pod_template(workload),
            "revisionHistoryLimit": 10,
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "10%" } },
        },
        "status": {
            "observedGeneration": 3, "currentNumberScheduled": counts.pods, "desiredNumberScheduled": workload.replicas,
            "numberAvailable": counts.ready, "numberReady": counts.ready, "numberMisscheduled": 0,
            "numberUnavailable": workload.replicas.saturating_sub(counts.ready), "updatedNumberScheduled": counts.pods,
        },
    });
    let mut metadata = workload_metadata(workload, size, "DaemonSet");
    metadata["annotations"]["deprecated.daemonset.template.generation"] = "3".into();
    owned(&mut metadata, "kube-controller-manager", "apps/v1", &object);
    object["metadata"] = metadata;
    object
}

fn job(workload: &Workload, counts: Counts, size: Size) -> Value {
    let mut metadata = workload_metadata(workload, size, "Job");
    metadata["generation"] = 1.into();
    if let Some((name, uid)) = &workload.cron_job {
        metadata["ownerReferences"] = json!([owner("batch/v1", "CronJob", name, *uid)]);
        metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] = rfc3339(workload.created).into();
    }
    let end = rfc3339((workload.created + 700).min(size.now));
    let mut status = json!({ "startTime": rfc3339(workload.created), "terminating": 0, "uncountedTerminatedPods": {} });
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "lastProbeTime": end, "lastTransitionTime": end, "reason": reason, "message": message });
    if counts.succeeded > 0 {
        status["succeeded"] = counts.succeeded.into();
        status["ready"] = 0.into();
        status["completionTime"] = end.clone().into();
        let message = "Reached expected number of succeeded pods";
        status["conditions"] = json!([
            condition("SuccessCriteriaMet", "CompletionsReached", message),
            condition("Complete", "CompletionsReached", message),
        ]);
    } else if counts.failed > 0 {
        status["failed"] = counts.failed.into();
        status["ready"] = 0.into();
        let message = "Job has reached the specified backoff limit";
        status["conditions"] = json!([
            condition("FailureTarget", "BackoffLimitExceeded", message),
            condition("Failed", "BackoffLimitExceeded", message),
        ]);
    } else {
        status["active"] = counts.pods.into();
        status["ready"] = counts.ready.into();
    }
    json!({ "metadata": metadata, "spec": job_spec(workload), "status": status })
}

fn job_spec(workload: &Workload) -> Value {
    let uid = Short::uuid(workload.uid);
    json!({
        "parallelism": 1, "completions": 1, "backoffLimit": 0, "completionMode": "NonIndexed", "suspend": false,
        "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
        "selector": { "matchLabels": { "batch.kubernetes.io/controller-uid": uid.as_str() } },
        "template": pod_template(workload),
    })
}

/// The cron job `name` that made this job.
pub fn cron_job(workload: &Workload, name: &str, uid: u128, size: Size) -> Value {
    let mut metadata = objects::metadata(size, &workload.namespace, name, workload.created - 86_400 * 90, "CronJob");
    metadata["uid"] = Short::uuid(uid).as_str().into();
    metadata["labels"] = workload.selector_labels();
    metadata["generation"] = 2.into();
    let mut spec = job_spec(workload);
    if let Some(spec) = spec.as_object_mut() {
        for field in ["selector", "manualSelector", "suspend"] {
            spec.remove(field);
        }
    }
    let last = rfc3339(workload.created);
    json!({
        "metadata": metadata,
        "spec": {
            "schedule": "0 2 * * *", "timeZone": "Europe/Dublin", "concurrencyPolicy": "Forbid", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
            "jobTemplate": { "metadata": { "creationTimestamp": null }, "spec": spec },
        },
        "status": { "lastScheduleTime": last, "lastSuccessfulTime": last },
    })
}

/// How many pods a controller asks for.
pub fn scale(resource: ResourceId, value: &Value) -> u32 {
    let count = match resource {
        DAEMON_SETS => &value["status"]["desiredNumberScheduled"],
        JOBS => &value["spec"]["parallelism"],
        _ => &value["spec"]["replicas"],
    };
    count.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}
