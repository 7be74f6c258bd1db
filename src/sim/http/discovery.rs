//! What the server says that it has: versions, groups and resources, one by one and aggregated.

use serde_json::{Value, json};

use crate::sim::catalog::{ALL, Resource};

pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

type Reviews = (&'static str, &'static [(&'static str, &'static str)]);

/// Groups (of version v1) whose objects are made, answered and never stored: plurals with their kinds.
pub const REVIEWS: [Reviews; 2] = [
    ("authentication.k8s.io", &[("selfsubjectreviews", "SelfSubjectReview")]),
    (
        "authorization.k8s.io",
        &[
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        ],
    ),
];

/// Groups with their versions, the core group first, in the order of the catalogue.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for resource in &ALL {
        if !groups.contains(&(resource.group, resource.version)) {
            groups.push((resource.group, resource.version));
        }
    }
    groups.extend(REVIEWS.iter().map(|(group, _)| (*group, "v1")));
    groups
}

pub fn is_aggregated(accept: &str) -> bool {
    // kubectl offers v2 and v2beta1; the first that is known decides.
    let first = accept.split(',').next().unwrap_or_default();
    first.contains("as=APIGroupDiscoveryList") && first.contains("v=v2") && !first.contains("v=v2beta1")
}

/// `/api` and `/apis` in one go.
pub fn aggregated(core: bool) -> Value {
    let items: Vec<_> = groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, version)| {
            let resources: Vec<_> = of(group, version).iter().map(|resource| discovered(resource)).collect();
            let reviews = reviews(group).map(|(plural, kind)| json!({
                "resource": plural, "scope": "Cluster", "verbs": ["create"], "singularResource": plural.trim_end_matches('s'),
                "responseKind": { "group": group, "version": version, "kind": kind },
            }));
            let resources: Vec<_> = resources.into_iter().chain(reviews).collect();
            json!({
                "metadata": { "name": group, "creationTimestamp": null },
                "versions": [{ "version": version, "freshness": "Current", "resources": resources }],
            })
        })
        .collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items })
}

fn of(group: &str, version: &str) -> Vec<&'static Resource> {
    ALL.iter().filter(|resource| resource.group == group && resource.version == version).collect()
}

/// The reviews of a group, if it has any.
fn reviews(group: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    REVIEWS.iter().filter(move |one| one.0 == group).flat_map(|one| one.1)
}

fn discovered(resource: &Resource) -> Value {
    let mut value = json!({
        "resource": resource.plural, "singularResource": resource.singular, "verbs": resource.verbs(),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": { "group": resource.group, "version": resource.version, "kind": resource.kind },
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = resource.short_names.into();
    }
    let below: Vec<_> = subresources(resource)
        .into_iter()
        .map(|(name, [group, version, kind], verbs)| {
            json!({ "subresource": name, "verbs": verbs,
                "responseKind": { "group": group, "version": version, "kind": kind } })
        })
        .collect();
    if !below.is_empty() {
        value["subresources"] = below.into();
    }
    if resource.group == "apps" || resource.plural == "pods" && resource.group.is_empty() {
        value["categories"] = json!(["all"]);
    }
    value
}

type Subresource = (&'static str, [&'static str; 3], &'static [&'static str]);

/// What stands below the objects of a resource: name, group, version and kind, verbs.
fn subresources(resource: &Resource) -> Vec<Subresource> {
    const CHANGE: &[&str] = &["get", "patch", "update"];
    let own = [resource.group, resource.version, resource.kind];
    let scale = ("scale", ["autoscaling", "v1", "Scale"], CHANGE);
    match resource.kind {
        "Pod" if resource.group.is_empty() => {
            vec![("eviction", ["policy", "v1", "Eviction"], &["create"]), ("status", own, CHANGE)]
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" => vec![scale, ("status", own, CHANGE)],
        "DaemonSet"
        | "Job"
        | "CronJob"
        | "PodDisruptionBudget"
        | "HorizontalPodAutoscaler"
        | "Node"
        | "Namespace"
        | "Service" => vec![("status", own, CHANGE)],
        _ => Vec::new(),
    }
}

/// `/api`.
pub fn core_versions(address: &str) -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }] })
}

/// `/apis`.
pub fn group_list() -> Value {
    let groups: Vec<_> = groups()
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, version)| {
            let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
            json!({ "name": group, "versions": [version], "preferredVersion": version })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/api/v1` and `/apis/G/V`.
pub fn resource_list(group: &str, version: &str) -> Value {
    let mut resources: Vec<Value> = of(group, version)
        .into_iter()
        .flat_map(|resource| {
            let mut value = json!({
                "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
                "kind": resource.kind, "verbs": resource.verbs(),
            });
            if !resource.short_names.is_empty() {
                value["shortNames"] = resource.short_names.into();
            }
            let below = subresources(resource).into_iter().map(|(name, [group, version, kind], verbs)| {
                json!({ "name": format!("{}/{name}", resource.plural), "singularName": "", "kind": kind, "verbs": verbs,
                    "namespaced": resource.namespaced, "group": group, "version": version })
            });
            std::iter::once(value).chain(below.collect::<Vec<_>>()).collect::<Vec<_>>()
        })
        .collect();
    resources.extend(reviews(group).map(|(plural, kind)| {
        json!({ "name": plural, "singularName": plural.trim_end_matches('s'), "namespaced": false, "kind": kind, "verbs": ["create"] })
    }));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources })
}

/// `/version`, as an EKS cluster answers.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.2-eks-b3126f4", "gitCommit": "8cb5c3eb0a2d5c8bdbd0d8e5d6a5e6a4b8f4f8f1",
        "gitTreeState": "clean", "buildDate": "2025-11-18T01:30:00Z", "goVersion": "go1.24.9", "compiler": "gc",
        "platform": "linux/amd64", "emulationMajor": "1", "emulationMinor": "34", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "33",
    })
}
