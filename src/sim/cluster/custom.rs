//! Custom resource definitions and their instances.

use serde_json::{Value, json};

use super::objects::metadata;
use super::seed::Size;
use crate::sim::catalog::{DEFINITIONS, INGRESS_ROUTES, NODE_POOLS, ResourceId};
use crate::sim::encoding::template::rfc3339;

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

/// The definitions and what there is of them.
pub fn all(size: Size) -> Vec<(ResourceId, Value)> {
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
