//! The objects around the pods: namespaces, the controllers that own pods, services, budgets, autoscalers, settings,
//! events and custom resources, as JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::catalog::{
    AUTOSCALERS, CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, DEFINITIONS, DEPLOYMENTS, DISRUPTION_BUDGETS, EVENTS,
    INGRESS_ROUTES, JOBS, NAMESPACES, NODE_POOLS, REPLICA_SETS, ResourceId, SECRETS, SERVICES, STATEFUL_SETS,
};
use super::company;
use super::managed::managed_fields;
use super::object::{Body, Object};
use super::pod::{Pod, State};
use super::random::{Random, low};
use super::seed::{Cluster, Size};
use super::template::{Short, rfc3339};
use super::workload::{Controller, Workload, owner};

/// Pods of a workload: all that count, and those that are ready.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub pods: u32,
    pub ready: u32,
    pub succeeded: u32,
    pub failed: u32,
}

impl Counts {
    /// Adds what `pod` is to its workload.
    pub fn add(&mut self, pod: &Pod) {
        match pod.state {
            State::Succeeded => self.succeeded += 1,
            State::Failed => self.failed += 1,
            State::Evicted | State::Terminating => {}
            state => {
                self.pods += 1;
                self.ready += u32::from(state.is_ready());
            }
        }
    }
}

/// Everything but nodes and pods, in the order in which it was made.
pub(super) fn all(cluster: &Cluster, pods: &BTreeMap<Arc<str>, Arc<Object>>) -> Vec<(ResourceId, Value)> {
    let size = cluster.size;
    let mut counts: HashMap<u128, Counts> = HashMap::new();
    for object in pods.values() {
        if let Body::Pod(pod) = &object.body {
            counts.entry(pod.workload.uid).or_default().add(pod);
        }
    }
    let mut all = Vec::new();
    let mut namespaces: BTreeSet<&str> = company::SYSTEM_NAMESPACES.into();
    namespaces.extend(company::PRODUCT.iter().map(|(namespace, ..)| *namespace));
    for namespace in &namespaces {
        let team = company::PRODUCT.iter().find(|(name, ..)| name == namespace).map(|(_, team, _)| *team);
        all.push((NAMESPACES, self::namespace(size, namespace, team)));
        all.push((CONFIG_MAPS, root_certificate(size, namespace)));
    }
    let mut cron_jobs = BTreeSet::new();
    for workload in &cluster.workloads {
        let counts = counts.get(&workload.uid).copied().unwrap_or_default();
        all.extend(controllers(workload, counts, size));
        if let Some((name, uid)) = &workload.cron_job
            && cron_jobs.insert(*uid)
        {
            all.push((CRON_JOBS, cron_job(workload, name, *uid, size)));
        }
        if matches!(workload.controller, Controller::Deployment | Controller::StatefulSet) {
            all.extend(around(workload, counts, size));
        }
    }
    for object in pods.values() {
        if let Body::Pod(pod) = &object.body
            && all.len() < 100_000
        {
            all.extend(event(object, pod, size).map(|event| (EVENTS, event)));
        }
    }
    all.extend(custom(size));
    all
}

fn metadata(size: Size, namespace: &str, name: &str, created: i64, kind: &str) -> Value {
    let mut random = Random::named(size.seed, &format!("{kind} {namespace}/{name}"));
    let mut metadata = json!({
        "name": name, "uid": Short::uuid(random.uid()).as_str(), "creationTimestamp": rfc3339(created),
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn namespace(size: Size, name: &str, team: Option<&str>) -> Value {
    let mut metadata = metadata(size, "", name, size.now - 400 * 86_400, "Namespace");
    metadata["labels"] = json!({ "kubernetes.io/metadata.name": name });
    if let Some(team) = team {
        metadata["labels"]["team"] = team.into();
        metadata["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
    }
    json!({ "metadata": metadata, "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" } })
}

fn root_certificate(size: Size, namespace: &str) -> Value {
    let metadata = metadata(size, namespace, "kube-root-ca.crt", size.now - 400 * 86_400, "ConfigMap");
    json!({ "metadata": metadata, "data": { "ca.crt": "-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIBAgIIW\n-----END CERTIFICATE-----\n" } })
}

/// What owns the pods of a workload.
pub(super) fn controllers(workload: &Workload, counts: Counts, size: Size) -> Vec<(ResourceId, Value)> {
    match workload.controller {
        Controller::Deployment => deployment(workload, counts, size),
        Controller::StatefulSet => vec![(STATEFUL_SETS, stateful_set(workload, counts, size))],
        Controller::DaemonSet => vec![(DAEMON_SETS, daemon_set(workload, counts, size))],
        Controller::Job => vec![(JOBS, job(workload, counts, size))],
    }
}

fn workload_metadata(workload: &Workload, size: Size, kind: &str) -> Value {
    let mut metadata = metadata(size, &workload.namespace, &workload.name, workload.created, kind);
    metadata["uid"] = Short::uuid(workload.uid).as_str().into();
    metadata["labels"] = workload.template_labels();
    metadata["generation"] = 3.into();
    metadata["annotations"] = json!({
        "meta.helm.sh/release-name": workload.name, "meta.helm.sh/release-namespace": &*workload.namespace,
    });
    metadata
}

/// What a pod template in a controller looks like: without holes.
fn pod_template(workload: &Workload) -> Value {
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
        let mut metadata = self::metadata(size, &workload.namespace, &name, created, "ReplicaSet");
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

fn cron_job(workload: &Workload, name: &str, uid: u128, size: Size) -> Value {
    let mut metadata = metadata(size, &workload.namespace, name, workload.created - 86_400 * 90, "CronJob");
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

/// What a release brings along with its workload.
fn around(workload: &Workload, counts: Counts, size: Size) -> Vec<(ResourceId, Value)> {
    let (namespace, name) = (&*workload.namespace, workload.name.as_str());
    let mut random = Random::named(low(workload.uid), "around");
    let selector = json!({ "matchLabels": workload.selector_labels() });
    let meta = |name: &str, kind: &str| {
        let mut metadata = metadata(size, namespace, name, workload.created, kind);
        metadata["labels"] = workload.selector_labels();
        metadata
    };
    let headless = workload.controller == Controller::StatefulSet;
    let balanced = !headless && random.chance(60);
    let address = format!("172.20.{}.{}", random.below(256), random.between(1, 254));
    let mut service = json!({
        "metadata": meta(name, "Service"),
        "spec": {
            "type": if balanced { "LoadBalancer" } else { "ClusterIP" }, "selector": workload.selector_labels(),
            "clusterIP": if headless { "None" } else { &address }, "clusterIPs": [if headless { "None" } else { &address }],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }],
        },
        "status": { "loadBalancer": {} },
    });
    if balanced {
        let host = format!("k8s-{namespace}-{}-{}.elb.eu-west-1.amazonaws.com", random.hex(10), random.hex(16));
        service["spec"]["ports"][0]["nodePort"] = random.between(30_000, 32_767).into();
        service["spec"]["externalTrafficPolicy"] = "Cluster".into();
        service["spec"]["allocateLoadBalancerNodePorts"] = true.into();
        service["status"]["loadBalancer"]["ingress"] = json!([{ "hostname": host }]);
    }
    let config = json!({
        "metadata": meta(&format!("{name}-config"), "ConfigMap"),
        "data": { "application.yaml": format!("service: {namespace}/{name}\nlog:\n  level: info\n  format: json\nserver:\n  port: 8080\n") },
    });
    let password = BASE64_STANDARD.encode(random.hex(24));
    let url = BASE64_STANDARD.encode(format!("postgres://{name}@{name}-db.{namespace}.svc:5432/{name}"));
    let secret = json!({
        "metadata": meta(&format!("{name}-database"), "Secret"), "type": "Opaque",
        "data": { "password": password, "url": url },
    });
    let mut all = vec![(SERVICES, service), (CONFIG_MAPS, config), (SECRETS, secret)];
    if workload.replicas > 1 {
        let keep = workload.replicas - 1;
        let rule = if random.chance(500) { json!({ "maxUnavailable": 1 }) } else { json!({ "minAvailable": keep }) };
        let mut spec = rule;
        spec["selector"] = selector;
        let allowed = counts.ready.saturating_sub(keep);
        let since = rfc3339(workload.created);
        all.push((DISRUPTION_BUDGETS, json!({
            "metadata": { "generation": 1, "name": name, "namespace": namespace, "labels": workload.selector_labels(),
                "uid": Short::uuid(random.uid()).as_str(), "creationTimestamp": since },
            "spec": spec,
            "status": {
                "observedGeneration": 1, "currentHealthy": counts.ready, "desiredHealthy": keep,
                "expectedPods": workload.replicas, "disruptionsAllowed": allowed,
                "conditions": [{ "type": "DisruptionAllowed", "status": if allowed > 0 { "True" } else { "False" },
                    "reason": if allowed > 0 { "SufficientPods" } else { "InsufficientPods" }, "message": "",
                    "observedGeneration": 1, "lastTransitionTime": since }],
            },
        })));
    }
    if workload.controller == Controller::Deployment && workload.team != "platform" && random.chance(500) {
        let usage = random.between(12, 94);
        all.push((AUTOSCALERS, autoscaler(workload, usage, &meta(name, "HorizontalPodAutoscaler"))));
    }
    all
}

fn autoscaler(workload: &Workload, usage: i64, metadata: &Value) -> Value {
    let since = rfc3339(workload.created);
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({ "type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message });
    let milli = i64::from(workload.containers[0].cpu) * usage / 100;
    json!({
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name },
            "minReplicas": (workload.replicas / 2).max(1), "maxReplicas": workload.replicas * 2,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 70 } } }],
        },
        "status": {
            "currentReplicas": workload.replicas, "desiredReplicas": workload.replicas, "observedGeneration": 1,
            "lastScaleTime": since,
            "currentMetrics": [{ "type": "Resource", "resource": { "name": "cpu",
                "current": { "averageUtilization": usage, "averageValue": format!("{milli}m") } } }],
            "conditions": [
                condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"),
                condition("ScalingActive", "True", "ValidMetricFound",
                    "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"),
                condition("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range"),
            ],
        },
    })
}

/// What is told of a pod that is not well.
pub(super) fn event(object: &Object, pod: &Pod, size: Size) -> Option<Value> {
    let container = &pod.workload.containers[0];
    let (kind, reason, component, message) = match pod.state {
        State::CrashLoop | State::OomLoop => (
            "Warning",
            "BackOff",
            "kubelet",
            format!(
                "Back-off restarting failed container {} in pod {}_{}({})",
                container.name,
                object.name(),
                object.namespace(),
                Short::uuid(pod.uid).as_str()
            ),
        ),
        State::ImagePull => {
            ("Warning", "Failed", "kubelet", format!("Failed to pull image \"{}\": not found", container.image))
        }
        State::Pending => ("Warning", "FailedScheduling", "default-scheduler", pod.workload.unschedulable_message()),
        State::NotReady => (
            "Warning",
            "Unhealthy",
            "kubelet",
            "Readiness probe failed: HTTP probe failed with statuscode: 503".to_owned(),
        ),
        State::Creating => (
            "Normal",
            "Scheduled",
            "default-scheduler",
            format!("Successfully assigned {}/{} to {}", object.namespace(), object.name(), pod.node_name()),
        ),
        _ => return None,
    };
    let first = rfc3339(pod.created.max(size.now - 3500));
    let last = rfc3339(pod.changed.max(size.now - 3500));
    let name = format!("{}.{:016x}", object.name(), (pod.uid >> 64) as u64 ^ u64::from(pod.restarts));
    let mut source = json!({ "component": component });
    if component == "kubelet" {
        source["host"] = pod.node_name().into();
    }
    let mut involved = json!({
        "kind": "Pod", "apiVersion": "v1", "namespace": object.namespace(), "name": object.name(),
        "uid": Short::uuid(pod.uid).as_str(), "resourceVersion": object.version.to_string(),
    });
    if component == "kubelet" {
        involved["fieldPath"] = format!("spec.containers{{{}}}", container.name).into();
    }
    Some(json!({
        "metadata": metadata(size, object.namespace(), &name, pod.created.max(size.now - 3500), "Event"),
        "involvedObject": involved, "reason": reason, "message": message, "source": source, "type": kind,
        "firstTimestamp": first, "lastTimestamp": last, "count": 1 + pod.restarts, "eventTime": null,
        "reportingComponent": component, "reportingInstance": pod.node_name(),
    }))
}

fn definition(
    size: Size,
    group: &str,
    version: &str,
    [plural, singular, kind]: [&str; 3],
    namespaced: bool,
    columns: &Value,
) -> Value {
    let created = rfc3339(size.now - 300 * 86_400);
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": created });
    let names = json!({ "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List") });
    let free = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "metadata": metadata(size, "", &format!("{plural}.{group}"), size.now - 300 * 86_400, "CustomResourceDefinition"),
        "spec": {
            "group": group, "names": names, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "conversion": { "strategy": "None" },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "additionalPrinterColumns": columns,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": free, "status": free } } },
            }],
        },
        "status": {
            "acceptedNames": names, "storedVersions": [version],
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
        },
    })
}

/// Custom resource definitions and their instances.
fn custom(size: Size) -> Vec<(ResourceId, Value)> {
    let mut all = vec![
        (
            DEFINITIONS,
            definition(
                size,
                "karpenter.sh",
                "v1",
                ["nodepools", "nodepool", "NodePool"],
                false,
                &json!([
                    { "name": "NodeClass", "type": "string", "jsonPath": ".spec.template.spec.nodeClassRef.name" },
                    { "name": "Nodes", "type": "string", "jsonPath": ".status.resources.nodes" },
                    { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status" },
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                    { "name": "Weight", "type": "integer", "jsonPath": ".spec.weight", "priority": 1 },
                    { "name": "CPU", "type": "string", "jsonPath": ".status.resources.cpu", "priority": 1 },
                    { "name": "Memory", "type": "string", "jsonPath": ".status.resources.memory", "priority": 1 },
                ]),
            ),
        ),
        (
            DEFINITIONS,
            definition(
                size,
                "traefik.io",
                "v1alpha1",
                ["ingressroutes", "ingressroute", "IngressRoute"],
                true,
                &json!([
                    { "name": "Entry", "type": "string", "jsonPath": ".spec.entryPoints[0]" },
                    { "name": "Match", "type": "string", "jsonPath": ".spec.routes[*].match" },
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                ]),
            ),
        ),
    ];
    let nodes = size.nodes * 16 / 100;
    let since = rfc3339(size.now - 200 * 86_400);
    for (name, weight, nodes, ready) in [("arm-burst", 10, nodes, "True"), ("gpu-overflow", 50, 0, "False")] {
        all.push((NODE_POOLS, json!({
            "apiVersion": "karpenter.sh/v1", "kind": "NodePool",
            "metadata": metadata(size, "", name, size.now - 200 * 86_400, "NodePool"),
            "spec": {
                "weight": weight, "limits": { "cpu": "4000" },
                "disruption": { "consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "1m",
                    "budgets": [{ "nodes": "10%" }] },
                "template": { "spec": {
                    "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                    "requirements": [{ "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"] }],
                    "expireAfter": "720h",
                } },
            },
            "status": {
                "resources": { "nodes": nodes.to_string(), "cpu": (nodes * 8).to_string(), "memory": format!("{}Gi", nodes * 16) },
                "conditions": [{ "type": "Ready", "status": ready, "reason": "Ready", "message": "", "lastTransitionTime": since }],
            },
        })));
    }
    for (namespace, host) in [
        ("storefront", "www"),
        ("partner-api", "partners"),
        ("mobile-bff", "m"),
        ("internal-tools", "ops"),
        ("monitoring", "grafana"),
    ] {
        all.push((
            INGRESS_ROUTES,
            json!({
                "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute",
                "metadata": metadata(size, namespace, host, size.now - 150 * 86_400, "IngressRoute"),
                "spec": {
                    "entryPoints": ["websecure"],
                    "routes": [{ "kind": "Rule", "match": format!("Host(`{host}.shop.example.com`)"),
                        "services": [{ "name": "web", "port": 80 }] }],
                    "tls": { "secretName": format!("{host}-tls") },
                },
            }),
        ));
    }
    all
}
