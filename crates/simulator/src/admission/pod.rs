//! The rules of pods and of pod templates, after `ValidatePodSpec`; what the simulator does not act on is not looked at.

use serde_json::Value;

use super::field::Wrong;
use super::names;
use crate::util::quantity;

fn elements(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is wrong with a number that is a port.
pub fn port(field: &str, value: &Value) -> Option<Wrong> {
    let valid = value.as_i64().is_some_and(|port| (1..=65_535).contains(&port));
    (!valid).then(|| Wrong::invalid(field, value, "must be between 1 and 65535, inclusive"))
}

/// What is wrong with a number that may not be below zero; one that is not there is zero.
pub fn not_negative(field: &str, value: &Value) -> Option<Wrong> {
    let negative = value.as_i64().is_some_and(|number| number < 0);
    negative.then(|| Wrong::invalid(field, value, "must be greater than or equal to 0"))
}

/// What is wrong with a word that must be one of a few.
pub fn one_of(field: &str, value: &Value, supported: &[&str]) -> Option<Wrong> {
    (!supported.contains(&text(value))).then(|| Wrong::unsupported(field, value, supported))
}

fn name(field: &str, value: &Value) -> Vec<Wrong> {
    if text(value).is_empty() {
        return vec![Wrong::required(field, "")];
    }
    names::label(text(value)).iter().map(|why| Wrong::invalid(field, value, why)).collect()
}

/// What is wrong with a template below `path`.
pub fn template(template: &Value, path: &str) -> Vec<Wrong> {
    let metadata = &template["metadata"];
    let mut wrong = names::labels(&metadata["labels"], &format!("{path}.labels"));
    wrong.extend(names::annotations(&metadata["annotations"], &format!("{path}.annotations")));
    wrong.extend(spec(&template["spec"], &format!("{path}.spec")));
    wrong
}

/// What is wrong with the spec of a pod or a template, after the defaults.
pub fn spec(spec: &Value, path: &str) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let volumes = volumes_of(&spec["volumes"], &format!("{path}.volumes"), &mut wrong);
    let mut containers: Vec<&str> = Vec::new();
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        wrong.push(Wrong::required(&format!("{path}.containers"), ""));
    }
    for group in ["containers", "initContainers"] {
        for (at, one) in elements(&spec[group]) {
            let place = format!("{path}.{group}[{at}]");
            wrong.extend(container(one, &place, &volumes));
            let name = text(&one["name"]);
            if containers.contains(&name) && !name.is_empty() {
                wrong.push(Wrong::duplicate(&format!("{place}.name"), &one["name"]));
            }
            containers.push(name);
        }
    }
    let policies = ["Always", "OnFailure", "Never"];
    wrong.extend(one_of(&format!("{path}.restartPolicy"), &spec["restartPolicy"], &policies));
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    wrong.extend(one_of(&format!("{path}.dnsPolicy"), &spec["dnsPolicy"], &policies));
    wrong.extend(names::labels(&spec["nodeSelector"], &format!("{path}.nodeSelector")));
    if !spec["serviceAccountName"].is_null() {
        let field = format!("{path}.serviceAccountName");
        let account = &spec["serviceAccountName"];
        wrong.extend(names::subdomain(text(account)).iter().map(|why| Wrong::invalid(&field, account, why)));
    }
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        let field = format!("{path}.activeDeadlineSeconds");
        wrong.push(Wrong::invalid(&field, deadline, "must be between 1 and 2147483647, inclusive"));
    }
    wrong
}

/// Checks volumes; returns their names.
fn volumes_of<'a>(volumes: &'a Value, path: &str, wrong: &mut Vec<Wrong>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, volume) in elements(volumes) {
        let field = format!("{path}[{at}].name");
        let bad = name(&field, &volume["name"]);
        if bad.is_empty() && names.contains(&text(&volume["name"])) {
            wrong.push(Wrong::duplicate(&field, &volume["name"]));
        }
        wrong.extend(bad);
        if volume.as_object().is_none_or(|volume| volume.len() < 2) {
            wrong.push(Wrong::required(&format!("{path}[{at}]"), "must specify a volume type"));
        }
        names.push(text(&volume["name"]));
    }
    names
}

fn container(container: &Value, path: &str, volumes: &[&str]) -> Vec<Wrong> {
    let mut wrong = name(&format!("{path}.name"), &container["name"]);
    if text(&container["image"]).is_empty() {
        wrong.push(Wrong::required(&format!("{path}.image"), ""));
    }
    let mut ports: Vec<&str> = Vec::new();
    for (at, one) in elements(&container["ports"]) {
        let place = format!("{path}.ports[{at}]");
        let name = text(&one["name"]);
        if !name.is_empty() && ports.contains(&name) {
            wrong.push(Wrong::duplicate(&format!("{place}.name"), &one["name"]));
        }
        ports.push(name);
        let number = &one["containerPort"];
        if number.as_i64().unwrap_or(0) == 0 {
            wrong.push(Wrong::required(&format!("{place}.containerPort"), ""));
        } else {
            wrong.extend(port(&format!("{place}.containerPort"), number));
        }
        wrong.extend(one_of(&format!("{place}.protocol"), &one["protocol"], &["SCTP", "TCP", "UDP"]));
    }
    for (at, one) in elements(&container["env"]) {
        if text(&one["name"]).is_empty() {
            wrong.push(Wrong::required(&format!("{path}.env[{at}].name"), ""));
        }
    }
    let mut paths: Vec<&str> = Vec::new();
    for (at, mount) in elements(&container["volumeMounts"]) {
        let place = format!("{path}.volumeMounts[{at}]");
        if text(&mount["name"]).is_empty() {
            wrong.push(Wrong::required(&format!("{place}.name"), ""));
        }
        if text(&mount["mountPath"]).is_empty() {
            wrong.push(Wrong::required(&format!("{place}.mountPath"), ""));
        }
        if !volumes.contains(&text(&mount["name"])) {
            wrong.push(Wrong::not_found(&format!("{place}.name"), &mount["name"]));
        }
        if paths.contains(&text(&mount["mountPath"])) {
            wrong.push(Wrong::invalid(&format!("{place}.mountPath"), &mount["mountPath"], "must be unique"));
        }
        paths.push(text(&mount["mountPath"]));
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    wrong.extend(one_of(&format!("{path}.imagePullPolicy"), &container["imagePullPolicy"], &policies));
    wrong.extend(resources(&container["resources"], &format!("{path}.resources")));
    wrong
}

/// Requests may not be above their limits, and nothing below zero.
fn resources(resources: &Value, path: &str) -> Vec<Wrong> {
    let amount = |value: &Value| quantity::parse(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut wrong = Vec::new();
    for group in ["limits", "requests"] {
        for (name, value) in resources[group].as_object().into_iter().flatten() {
            if amount(value).is_some_and(|amount| amount < 0.0) {
                let why = "must be greater than or equal to 0";
                wrong.push(Wrong::invalid(&format!("{path}.{group}[{name}]"), value, why));
            }
        }
    }
    for (name, asked) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        if let (Some(requested), Some(most)) = (amount(asked), amount(limit))
            && requested > most
        {
            let why = format!("must be less than or equal to {name} limit of {}", limit.as_str().unwrap_or_default());
            wrong.push(Wrong::invalid(&format!("{path}.requests"), asked, &why));
        }
    }
    wrong
}

/// What only pods have to keep, and templates need not: their images are pulled as they stand.
pub fn images(spec: &Value, path: &str) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for group in ["containers", "initContainers"] {
        for (at, one) in elements(&spec[group]) {
            let image = text(&one["image"]);
            if image.trim() != image {
                let field = format!("{path}.{group}[{at}].image");
                wrong.push(Wrong::invalid(&field, &one["image"], "must not have leading or trailing whitespace"));
            }
        }
    }
    wrong
}
