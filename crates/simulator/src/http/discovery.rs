//! What the server says that it has: versions, groups and resources, one by one and aggregated.

use serde_json::{Value, json};

use crate::catalog::{ALL, Resource};

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
                "responseKind": kind_of("", "", kind),
            }));
            let resources: Vec<_> = resources.into_iter().chain(reviews).collect();
            json!({
                "metadata": if group.is_empty() { json!({}) } else { json!({ "name": group }) },
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

/// What is left out of a kind is that of the list that it stands in.
fn kind_of(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}

fn discovered(resource: &Resource) -> Value {
    let mut value = json!({
        "resource": resource.plural, "singularResource": resource.singular, "verbs": resource.verbs(),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": kind_of("", "", resource.kind),
    });
    if resource.custom {
        value["responseKind"] = kind_of(resource.group, resource.version, resource.kind);
    }
    let below: Vec<_> = subresources(resource)
        .into_iter()
        .map(|below| {
            let kind = if resource.custom && below.group.is_empty() {
                kind_of(resource.group, resource.version, below.kind)
            } else {
                kind_of(below.group, below.version, below.kind)
            };
            json!({ "subresource": below.name, "verbs": below.verbs, "responseKind": kind })
        })
        .collect();
    let categories = resource.categories();
    for (field, names) in [("shortNames", resource.short_names), ("categories", categories)] {
        if !names.is_empty() {
            value[field] = names.into();
        }
    }
    if !below.is_empty() {
        value["subresources"] = below.into();
    }
    value
}

/// What stands below the objects of a resource.
struct Subresource {
    name: &'static str,
    /// Group and version where they are not those of the resource.
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
}

fn subresources(resource: &Resource) -> Vec<Subresource> {
    const CHANGE: &[&str] = &["get", "patch", "update"];
    const STREAM: &[&str] = &["create", "get"];
    let below = |name, kind, verbs| Subresource { name, group: "", version: "", kind, verbs };
    let status = below("status", resource.kind, CHANGE);
    let scale = || Subresource { group: "autoscaling", version: "v1", ..below("scale", "Scale", CHANGE) };
    match resource.kind {
        "Pod" => vec![
            Subresource { group: "policy", version: "v1", ..below("eviction", "Eviction", &["create"]) },
            below("exec", "PodExecOptions", STREAM),
            below("log", "Pod", &["get"]),
            below("portforward", "PodPortForwardOptions", STREAM),
            status,
        ],
        "Deployment" | "ReplicaSet" | "StatefulSet" | "NodePool" => vec![scale(), status],
        "DaemonSet"
        | "Job"
        | "CronJob"
        | "PodDisruptionBudget"
        | "HorizontalPodAutoscaler"
        | "Node"
        | "Namespace"
        | "PersistentVolume"
        | "PersistentVolumeClaim"
        | "ResourceQuota"
        | "Ingress"
        | "CustomResourceDefinition"
        | "APIService"
        | "Service" => vec![status],
        _ if resource.custom => vec![status],
        _ => Vec::new(),
    }
}

/// Whether there is such a subresource; the object itself is one.
pub fn has_subresource(resource: &Resource, name: &str) -> bool {
    name.is_empty() || subresources(resource).iter().any(|below| below.name == name)
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
            let version = group_version(group, version);
            json!({ "name": group, "versions": [version], "preferredVersion": version })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/G`.
pub fn group(name: &str) -> Value {
    let versions = groups().into_iter().filter(|(group, _)| *group == name);
    let versions: Vec<_> = versions.map(|(group, version)| group_version(group, version)).collect();
    json!({ "kind": "APIGroup", "apiVersion": "v1", "name": name, "preferredVersion": versions.first(), "versions": versions })
}

fn group_version(group: &str, version: &str) -> Value {
    json!({ "groupVersion": format!("{group}/{version}"), "version": version })
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
            for (field, names) in [("shortNames", resource.short_names), ("categories", resource.categories())] {
                if !names.is_empty() {
                    value[field] = names.into();
                }
            }
            let below = subresources(resource).into_iter().map(|below| {
                let mut value = json!({ "name": format!("{}/{}", resource.plural, below.name), "singularName": "",
                    "kind": below.kind, "verbs": below.verbs, "namespaced": resource.namespaced });
                if !below.group.is_empty() {
                    value["group"] = below.group.into();
                    value["version"] = below.version.into();
                }
                value
            });
            std::iter::once(value).chain(below.collect::<Vec<_>>()).collect::<Vec<_>>()
        })
        .collect();
    resources.extend(reviews(group).map(|(plural, kind)| {
        json!({ "name": plural, "singularName": plural.trim_end_matches('s'), "namespaced": false, "kind": kind, "verbs": ["create"] })
    }));
    if group.is_empty() {
        // The oldest list of all says less.
        return json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources });
    }
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": resources })
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
