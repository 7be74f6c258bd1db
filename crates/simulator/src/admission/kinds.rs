//! The rules of the kinds: what a new object must say, and what may not change any more.

use serde_json::{Value, json};

use super::field::Wrong;
use super::pod::{self, not_negative, one_of, port};
use super::{names, pod::images};
use crate::catalog::{
    AUTOSCALERS, CONFIG_MAPS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, JOBS, NODE_CLAIMS, NODE_POOLS,
    PODS, REPLICA_SETS, ResourceId, SECRETS, SERVICES, STATEFUL_SETS,
};
use crate::cluster::life;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// What is wrong with an object that has its defaults.
pub fn check(resource: ResourceId, value: &Value) -> Vec<Wrong> {
    let mut wrong = names::metadata(resource, value);
    let spec = &value["spec"];
    match resource {
        PODS => {
            wrong.extend(pod::spec(spec, "spec"));
            wrong.extend(images(spec, "spec"));
        }
        DEPLOYMENTS | REPLICA_SETS => replicated(resource, spec, &mut wrong),
        STATEFUL_SETS => stateful_set(spec, &mut wrong),
        DAEMON_SETS => daemon_set(spec, &mut wrong),
        JOBS => job(spec, "spec", &mut wrong),
        CRON_JOBS => cron_job(spec, &mut wrong),
        SERVICES => service(spec, &mut wrong),
        DISRUPTION_BUDGETS => budget(spec, &mut wrong),
        AUTOSCALERS => autoscaler(spec, &mut wrong),
        CONFIG_MAPS => ["data", "binaryData"].iter().for_each(|field| wrong.extend(names::keys(value, field))),
        SECRETS => wrong.extend(names::keys(value, "data")),
        NODE_POOLS => node_pool(spec, &mut wrong),
        _ => {}
    }
    wrong
}

/// The rules of Karpenter's definition (`karpenter.sh_nodepools.yaml` of v1.14).
fn node_pool(spec: &Value, wrong: &mut Vec<Wrong>) {
    if spec["template"].is_null() {
        wrong.push(Wrong::required("spec.template", ""));
    }
    let replicas = &spec["replicas"];
    if replicas.is_null() {
        return;
    }
    wrong.extend(not_negative("spec.replicas", replicas));
    let limits = spec["limits"].as_object().into_iter().flatten();
    if limits.into_iter().any(|(name, _)| name != "nodes") {
        let why = "only 'limits.nodes' is supported on static NodePools";
        wrong.push(Wrong::invalid("spec", &"object".into(), why));
    }
    if !spec["weight"].is_null() {
        wrong.push(Wrong::invalid("spec", &"object".into(), "'weight' is not supported on static NodePools"));
    }
}

/// A selector that is there selects something.
fn selector(spec: &Value, kind: &str, wrong: &mut Vec<Wrong>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        wrong.push(Wrong::required("spec.selector", ""));
    } else if size(&selector["matchLabels"]) == 0 && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty) {
        wrong.push(Wrong::invalid("spec.selector", selector, &format!("empty selector is invalid for {kind}")));
    }
}

/// The template is one of pods that the selector selects, and that run for ever.
fn template(spec: &Value, wrong: &mut Vec<Wrong>) {
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    if !life::selects(&spec["selector"], labels) {
        let why = "`selector` does not match template `labels`";
        wrong.push(Wrong::invalid("spec.template.metadata.labels", labels, why));
    }
    wrong.extend(pod::template(template, "spec.template"));
    wrong.extend(one_of("spec.template.spec.restartPolicy", &template["spec"]["restartPolicy"], &["Always"]));
}

fn numbers(spec: &Value, path: &str, fields: &[&str], wrong: &mut Vec<Wrong>) {
    wrong.extend(fields.iter().filter_map(|field| not_negative(&format!("{path}.{field}"), &spec[field])));
}

fn replicated(resource: ResourceId, spec: &Value, wrong: &mut Vec<Wrong>) {
    numbers(spec, "spec", &["replicas"], wrong);
    selector(spec, "deployment", wrong);
    template(spec, wrong);
    if resource == DEPLOYMENTS {
        let (strategy, path) = (&spec["strategy"], "spec.strategy.rollingUpdate");
        let rolling = &strategy["rollingUpdate"];
        match text(&strategy["type"]) {
            "Recreate" if !rolling.is_null() => {
                wrong.push(Wrong::forbidden(path, "may not be specified when strategy `type` is 'Recreate'"));
            }
            "Recreate" => {}
            "RollingUpdate" => {
                let (surge, gone) = (&rolling["maxSurge"], &rolling["maxUnavailable"]);
                wrong.extend(share(&format!("{path}.maxUnavailable"), gone));
                wrong.extend(share(&format!("{path}.maxSurge"), surge));
                let none = |value: &Value| *value == 0 || *value == "0%";
                if none(surge) && none(gone) {
                    let why = "may not be 0 when `maxSurge` is 0";
                    wrong.push(Wrong::invalid(&format!("{path}.maxUnavailable"), gone, why));
                }
            }
            _ => wrong.push(Wrong::unsupported("spec.strategy", strategy, &["Recreate", "RollingUpdate"])),
        }
    }
    numbers(spec, "spec", &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], wrong);
    let deadline = &spec["progressDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| seconds <= spec["minReadySeconds"].as_i64().unwrap_or(0)) {
        wrong.push(Wrong::invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
    }
}

fn stateful_set(spec: &Value, wrong: &mut Vec<Wrong>) {
    let policy = &spec["podManagementPolicy"];
    if !matches!(text(policy), "OrderedReady" | "Parallel") {
        wrong.push(Wrong::invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
    }
    numbers(spec, "spec", &["replicas", "minReadySeconds"], wrong);
    selector(spec, "statefulset", wrong);
    // Each pod has volumes of its own, besides those of the template.
    let mut spec = spec.clone();
    let claims = spec["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
    let claims = claims.iter().map(|claim| json!({ "name": claim["metadata"]["name"], "persistentVolumeClaim": {} }));
    let volumes = spec["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    spec["template"]["spec"]["volumes"] = claims.chain(volumes).collect();
    template(&spec, wrong);
}

fn daemon_set(spec: &Value, wrong: &mut Vec<Wrong>) {
    selector(spec, "daemonset", wrong);
    template(spec, wrong);
    numbers(spec, "spec", &["minReadySeconds", "revisionHistoryLimit"], wrong);
}

fn job(spec: &Value, path: &str, wrong: &mut Vec<Wrong>) {
    let limits = ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"];
    numbers(spec, path, &limits, wrong);
    wrong.extend(pod::template(&spec["template"], &format!("{path}.template")));
    if spec["template"]["spec"]["restartPolicy"] == "Always" {
        let field = format!("{path}.template.spec.restartPolicy");
        wrong.push(Wrong::required(&field, "valid values: \"OnFailure\", \"Never\""));
    }
}

fn cron_job(spec: &Value, wrong: &mut Vec<Wrong>) {
    let schedule = &spec["schedule"];
    let fields: Vec<&str> = text(schedule).split_whitespace().collect();
    if text(schedule).is_empty() {
        wrong.push(Wrong::required("spec.schedule", ""));
    } else if fields.len() != 5 && !text(schedule).starts_with('@') {
        let why = format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
        wrong.push(Wrong::invalid("spec.schedule", schedule, &why));
    }
    numbers(spec, "spec", &["startingDeadlineSeconds"], wrong);
    wrong.extend(one_of("spec.concurrencyPolicy", &spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"]));
    job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", wrong);
    numbers(spec, "spec", &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"], wrong);
}

fn service(spec: &Value, wrong: &mut Vec<Wrong>) {
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    if ports.is_empty() && spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
        wrong.push(Wrong::required("spec.ports", ""));
    }
    for (at, one) in ports.iter().enumerate() {
        let path = format!("spec.ports[{at}]");
        if ports.len() > 1 && text(&one["name"]).is_empty() {
            wrong.push(Wrong::required(&format!("{path}.name"), ""));
        }
        wrong.extend(port(&format!("{path}.port"), &one["port"]));
        wrong.extend(one_of(&format!("{path}.protocol"), &one["protocol"], &["SCTP", "TCP", "UDP"]));
        if one["targetPort"].is_number() {
            wrong.extend(port(&format!("{path}.targetPort"), &one["targetPort"]));
        }
    }
    wrong.extend(one_of("spec.type", &spec["type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]));
}

/// A number that is not below zero, or a share in percent.
fn share(field: &str, value: &Value) -> Option<Wrong> {
    let Some(given) = value.as_str() else { return not_negative(field, value) };
    let digits = given.strip_suffix('%').filter(|digits| !digits.is_empty());
    if digits.is_none_or(|digits| !digits.bytes().all(|byte| byte.is_ascii_digit())) {
        let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used \
                   for validation is '[0-9]+%')";
        return Some(Wrong::invalid(field, value, why));
    }
    let above = digits.and_then(|digits| digits.parse::<u64>().ok()).is_none_or(|percent| percent > 100);
    (above && !field.ends_with("maxSurge")).then(|| Wrong::invalid(field, value, "must not be greater than 100%"))
}

fn budget(spec: &Value, wrong: &mut Vec<Wrong>) {
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        // As Go prints the server's own type.
        let value = format!(
            "{{\"MinAvailable\":{least},\"Selector\":{},\"MaxUnavailable\":{most},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["selector"], spec["unhealthyPodEvictionPolicy"]
        );
        wrong.push(Wrong::printed("spec", &value, "minAvailable and maxUnavailable cannot be both set"));
    }
    wrong.extend(share("spec.minAvailable", least));
    wrong.extend(share("spec.maxUnavailable", most));
    let policy = &spec["unhealthyPodEvictionPolicy"];
    if !policy.is_null() {
        wrong.extend(one_of("spec.unhealthyPodEvictionPolicy", policy, &["AlwaysAllow", "IfHealthyBudget"]));
    }
}

fn autoscaler(spec: &Value, wrong: &mut Vec<Wrong>) {
    let most = spec["maxReplicas"].as_i64().unwrap_or(0);
    let least = spec["minReplicas"].as_i64();
    if least.is_some_and(|least| least < 1) {
        wrong.push(Wrong::invalid("spec.minReplicas", &spec["minReplicas"], "must be greater than or equal to 1"));
    }
    match most {
        0 => wrong.push(Wrong::required("spec.maxReplicas", "must be set and greater than 0")),
        ..0 => wrong.push(Wrong::invalid("spec.maxReplicas", &most.into(), "must be greater than or equal to 1")),
        _ => {}
    }
    if least.is_some_and(|least| most < least) {
        wrong.push(Wrong::invalid("spec.maxReplicas", &most.into(), "must be greater than or equal to `minReplicas`"));
    }
    for field in ["kind", "name"] {
        if text(&spec["scaleTargetRef"][field]).is_empty() {
            wrong.push(Wrong::required(&format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
}

/// What of an object may not change any more, and does.
pub fn check_change(resource: ResourceId, before: &Value, after: &Value) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let (old, new) = (&before["spec"], &after["spec"]);
    let mut fixed = |field: &str, old: &Value, new: &Value| {
        if old != new {
            wrong.push(Wrong::invalid(field, new, "field is immutable"));
        }
    };
    match resource {
        DEPLOYMENTS | REPLICA_SETS | DAEMON_SETS => fixed("spec.selector", &old["selector"], &new["selector"]),
        JOBS => {
            fixed("spec.completions", &old["completions"], &new["completions"]);
            fixed("spec.selector", &old["selector"], &new["selector"]);
            fixed("spec.template.spec", &old["template"]["spec"], &new["template"]["spec"]);
        }
        SECRETS => fixed("type", &before["type"], &after["type"]),
        STATEFUL_SETS if but(old, &SET_MAY_CHANGE) != but(new, &SET_MAY_CHANGE) => {
            let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                       'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            wrong.push(Wrong::forbidden("spec", why));
        }
        PODS if fixed_part(old) != fixed_part(new) => {
            let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
                       `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
                       `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
            wrong.push(Wrong::forbidden("spec", why));
        }
        NODE_CLAIMS if old != new => wrong.push(Wrong::invalid("spec", &"object".into(), "spec is immutable")),
        NODE_POOLS if old["replicas"].is_null() != new["replicas"].is_null() => {
            let why = "Cannot transition NodePool between static (replicas set) and dynamic (replicas unset) provisioning \
                       modes";
            wrong.push(Wrong::invalid("spec", &"object".into(), why));
        }
        _ => {}
    }
    if resource == CONFIG_MAPS || resource == SECRETS {
        for field in ["data", "binaryData"] {
            if before["immutable"] == true && before[field] != after[field] {
                wrong.push(Wrong::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
        if before["immutable"] == true && after["immutable"] != true {
            wrong.push(Wrong::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
    }
    wrong
}

const SET_MAY_CHANGE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

fn but(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(value) = value.as_object_mut() {
        value.retain(|name, _| !fields.contains(&name.as_str()));
    }
    value
}

/// What of a pod's spec stays as it is. Tolerations may be added, the scheduler's gates taken away.
fn fixed_part(spec: &Value) -> Value {
    let mut spec =
        but(spec, &["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"]);
    for group in ["containers", "initContainers"] {
        for container in spec[group].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
        if spec[group].is_null()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove(group);
        }
    }
    spec
}
