//! Custom resource definitions, and instances of those that no controller of this world looks at.

use serde_json::{Value, json};

use super::objects::metadata;
use super::seed::Size;
use crate::catalog::{DEFINITIONS, INGRESS_ROUTES, NODE_POOLS, Resource, ResourceId};
use crate::encoding::template::rfc3339;

/// The definition of a custom resource, with the columns that it prints.
pub fn definition(size: Size, resource: ResourceId, columns: &Value) -> Value {
    let created = size.now - 300 * 86_400;
    let since = rfc3339(created);
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since });
    let Resource { group, version, plural, singular, kind, short_names, namespaced, .. } = &*resource;
    let mut names = json!({ "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List") });
    for (field, list) in [("shortNames", *short_names), ("categories", resource.categories())] {
        if !list.is_empty() {
            names[field] = list.into();
        }
    }
    let mut subresources = json!({ "status": {} });
    if resource == NODE_POOLS {
        subresources["scale"] = json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.nodes" });
    }
    let free = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "metadata": metadata(size, "", &format!("{plural}.{group}"), created, "CustomResourceDefinition"),
        "spec": {
            "group": group, "names": names, "scope": if *namespaced { "Namespaced" } else { "Cluster" },
            "conversion": { "strategy": "None" },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": subresources,
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

/// The others' definitions and what there is of them.
pub fn all(size: Size) -> Vec<(ResourceId, Value)> {
    let columns = json!([
        { "name": "Entry", "type": "string", "jsonPath": ".spec.entryPoints[0]" },
        { "name": "Match", "type": "string", "jsonPath": ".spec.routes[*].match" },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ]);
    let mut all = vec![(DEFINITIONS, definition(size, INGRESS_ROUTES, &columns))];
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
