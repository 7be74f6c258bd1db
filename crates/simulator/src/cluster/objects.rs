//! The objects around the pods: namespaces, the controllers that own pods, services, budgets, autoscalers, settings,
//! events and custom resources, as JSON.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::controllers::{self, Counts};
use super::pod::{Pod, State};
use super::seed::{Cluster, Size};
use super::workload::{Controller, Workload};
use super::{company, custom, endpoints, load, platform};
use crate::catalog::{
    AUTOSCALERS, CONFIG_MAPS, CRON_JOBS, DISRUPTION_BUDGETS, ENDPOINT_SLICES, EVENTS, NAMESPACES, ResourceId, SECRETS,
    SERVICES,
};
use crate::encoding::template::{Short, rfc3339};
use crate::karpenter;
use crate::object::{Body, Object};
use crate::random::{Random, low};

/// Everything but nodes and pods, in the order in which it was made.
pub fn all(
    cluster: &Cluster,
    pods: &BTreeMap<Arc<str>, Arc<Object>>,
    counts: &HashMap<u128, Counts>,
) -> Vec<(ResourceId, Value)> {
    let size = cluster.size;
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
        all.extend(controllers::of(workload, counts, size));
        if let Some((name, uid)) = &workload.cron_job
            && cron_jobs.insert(*uid)
        {
            all.push((CRON_JOBS, controllers::cron_job(workload, name, *uid, size)));
        }
        if matches!(workload.controller, Controller::Deployment | Controller::StatefulSet) {
            all.extend(around(workload, counts, size));
        }
    }
    for object in pods.values() {
        if let Body::Pod(pod) = &object.body {
            all.extend(event(object, pod, size).map(|event| (EVENTS, event)));
        }
    }
    all.extend(karpenter::all(cluster));
    all.extend(custom::all(size));
    all.extend(platform::all(cluster, &namespaces.into_iter().collect::<Vec<_>>()));
    if pods.len() <= endpoints::MOST_PODS {
        let of_service = |(resource, service): &(ResourceId, Value)| {
            let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
            let own = pods.range::<str, _>((
                Bound::Included(&*format!("{namespace}/")),
                Bound::Excluded(&*format!("{namespace}0")),
            ));
            let slice = (*resource == SERVICES).then(|| endpoints::slice(service, own.map(|(_, pod)| pod)));
            slice.flatten().map(|slice| (ENDPOINT_SLICES, slice))
        };
        let slices: Vec<_> = all.iter().filter_map(of_service).collect();
        all.extend(slices);
    }
    all
}

/// What the metadata of every object here has.
pub fn metadata(size: Size, namespace: &str, name: &str, created: i64, kind: &str) -> Value {
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

/// The certificate authority, as every namespace has it.
pub fn root_certificate(size: Size, namespace: &str) -> Value {
    let metadata = metadata(size, namespace, "kube-root-ca.crt", size.now - 400 * 86_400, "ConfigMap");
    json!({ "metadata": metadata, "data": { "ca.crt": "-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIBAgIIW\n-----END CERTIFICATE-----\n" } })
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
        let usage = i64::from(load::share(workload.uid));
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
                "target": { "type": "Utilization", "averageUtilization": usage } } }],
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
pub fn event(object: &Object, pod: &Pod, size: Size) -> Option<Value> {
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
