//! What there is of Karpenter when the story begins: definitions, pools, classes, and a claim for each of its machines.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pool;
use crate::aws::cloud;
use crate::catalog::{DEFINITIONS, NODE_CLAIMS, NODE_CLASSES, NODE_POOLS, ResourceId};
use crate::cluster::custom::definition;
use crate::cluster::node::{ACCOUNT, Claim, GROUPS, Machine, Own, REGION, TERMINATION, ZONES};
use crate::cluster::node_object::resources;
use crate::cluster::objects::metadata;
use crate::cluster::seed::{Cluster, Size};
use crate::cluster::site::PoolPlan;
use crate::encoding::template::{Short, rfc3339};

const DAY: i64 = 86_400;
pub const IMAGE: &str = "ami-0a1b2c3d4e5f60718";
/// What nodes have and claims do not.
const OF_NODES: [&str; 5] = [
    "karpenter.sh/initialized",
    "karpenter.sh/registered",
    "k8s.io/cloud-provider-aws",
    "kubernetes.io/hostname",
    "topology.ebs.csi.aws.com/zone",
];

/// Everything of this file.
pub fn all(cluster: &Cluster) -> Vec<(ResourceId, Value)> {
    let size = cluster.size;
    let mut all = definitions(size);
    let claims: Vec<_> = cluster.machines.iter().filter_map(|(machine, ..)| claim(size, machine)).collect();
    let classes: BTreeSet<_> = size.site.pools.iter().map(|pool| pool.class).collect();
    for name in classes {
        let unfound = ("AMIsReady", "AMINotFound", "AMISelector did not match any AMIs");
        all.push((NODE_CLASSES, class(size, name, (name == "gpu").then_some(unfound))));
    }
    all.extend(size.site.pools.iter().map(|plan| (NODE_POOLS, node_pool(size, plan, &claims))));
    all.extend(claims.into_iter().map(|claim| (NODE_CLAIMS, claim)));
    all
}

/// The definitions with the printer columns of the real ones (`pkg/apis/crds` of v1.14).
fn definitions(size: Size) -> Vec<(ResourceId, Value)> {
    let ready = ".status.conditions[?(@.type==\"Ready\")].status";
    let column = |(name, kind, path): (&str, &str, &str)| json!({ "name": name, "type": kind, "jsonPath": path });
    let columns = |all: &[(&str, &str, &str)], wide: &[(&str, &str, &str)]| -> Value {
        let wide = wide.iter().map(|one| {
            let mut column = column(*one);
            column["priority"] = 1.into();
            column
        });
        all.iter().map(|one| column(*one)).chain(wide).collect()
    };
    let age = ("Age", "date", ".metadata.creationTimestamp");
    let pools = columns(
        &[
            ("NodeClass", "string", ".spec.template.spec.nodeClassRef.name"),
            ("Nodes", "string", ".status.nodes"),
            ("Ready", "string", ready),
            age,
        ],
        &[
            ("Weight", "integer", ".spec.weight"),
            ("CPU", "string", ".status.resources.cpu"),
            ("Memory", "string", ".status.resources.memory"),
        ],
    );
    let claims = columns(
        &[
            ("Type", "string", ".metadata.labels.node\\.kubernetes\\.io/instance-type"),
            ("Capacity", "string", ".metadata.labels.karpenter\\.sh/capacity-type"),
            ("Zone", "string", ".metadata.labels.topology\\.kubernetes\\.io/zone"),
            ("Node", "string", ".status.nodeName"),
            ("Ready", "string", ready),
            age,
        ],
        &[
            ("ImageID", "string", ".status.imageID"),
            ("ID", "string", ".status.providerID"),
            ("NodePool", "string", ".metadata.labels.karpenter\\.sh/nodepool"),
            ("NodeClass", "string", ".spec.nodeClassRef.name"),
            ("Drifted", "string", ".status.conditions[?(@.type==\"Drifted\")].status"),
        ],
    );
    let classes = columns(&[("Ready", "string", ready), age], &[("Role", "string", ".spec.role")]);
    let define = |resource, columns| (DEFINITIONS, definition(size, resource, columns));
    vec![define(NODE_POOLS, &pools), define(NODE_CLAIMS, &claims), define(NODE_CLASSES, &classes)]
}

/// A condition as controllers write it.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, generation: u64, since: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation,
        "lastTransitionTime": since })
}

fn class(size: Size, name: &str, trouble: Option<(&str, &str, &str)>) -> Value {
    let created = size.now - 200 * DAY;
    let since = rfc3339(created);
    let mut metadata = metadata(size, "", name, created, "EC2NodeClass");
    metadata["generation"] = 1.into();
    metadata["finalizers"] = json!([TERMINATION]);
    let parts = ["AMIsReady", "InstanceProfileReady", "SecurityGroupsReady", "SubnetsReady", "ValidationSucceeded"];
    let mut conditions: Vec<_> = parts
        .iter()
        .map(|part| match trouble {
            Some((kind, reason, message)) if kind == *part => condition(kind, "False", reason, message, 1, &since),
            _ => condition(part, "True", part, "", 1, &since),
        })
        .collect();
    conditions.push(match trouble {
        Some((kind, ..)) => condition("Ready", "False", "UnhealthyDependents", &format!("{kind}=False"), 1, &since),
        None => condition("Ready", "True", "Ready", "", 1, &since),
    });
    let subnets: Vec<_> = (0..ZONES.len())
        .map(|zone| json!({ "id": cloud::subnet(zone), "zone": cloud::zone(REGION, zone), "zoneID": format!("euw1-az{}", zone + 1) }))
        .collect();
    let discovery = json!([{ "tags": { "karpenter.sh/discovery": size.site.name } }]);
    let alias =
        if trouble.is_some() { json!([{ "name": "gpu-image-*" }]) } else { json!([{ "alias": "al2023@latest" }]) };
    let mut value = json!({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": metadata,
        "spec": {
            "amiSelectorTerms": alias, "role": format!("KarpenterNodeRole-{}", size.site.name),
            "securityGroupSelectorTerms": discovery, "subnetSelectorTerms": discovery,
            "metadataOptions": { "httpEndpoint": "enabled", "httpProtocolIPv6": "disabled", "httpPutResponseHopLimit": 1,
                "httpTokens": "required" },
        },
        "status": {
            "conditions": conditions, "instanceProfile": format!("{}_{ACCOUNT}", size.site.name),
            "securityGroups": [{ "id": "sg-0c1d2e3f4a5b60718", "name": format!("eks-cluster-sg-{}", size.site.name) }],
            "subnets": subnets,
        },
    });
    if trouble.is_none() {
        let of =
            |architecture: &str| json!([{ "key": "kubernetes.io/arch", "operator": "In", "values": [architecture] }]);
        value["status"]["amis"] = json!([{ "id": IMAGE, "name": "amazon-eks-node-al2023-arm64-standard-1.34-v20251112",
            "requirements": of("arm64") }]);
    }
    value
}

fn node_pool(size: Size, plan: &PoolPlan, claims: &[Value]) -> Value {
    let PoolPlan { name, weight, class, .. } = *plan;
    let created = size.now - 200 * DAY;
    let since = rfc3339(created);
    let mut metadata = metadata(size, "", name, created, "NodePool");
    metadata["generation"] = 1.into();
    let requirements: Vec<_> =
        plan.requirements.iter().map(|(key, values)| requirement(key, values.iter().copied())).collect();
    let good = |kind: &str| condition(kind, "True", kind, "", 1, &since);
    let conditions = if class == "default" {
        json!([good("NodeClassReady"), good("ValidationSucceeded"), good("NodeRegistrationHealthy"), good("Ready")])
    } else {
        json!([
            condition("NodeClassReady", "False", "UnhealthyDependents", "AMIsReady=False", 1, &since),
            good("ValidationSucceeded"),
            condition(
                "NodeRegistrationHealthy",
                "Unknown",
                "AwaitingReconciliation",
                "object is awaiting reconciliation",
                1,
                &since
            ),
            condition("Ready", "False", "UnhealthyDependents", "NodeClassReady=False", 1, &since),
        ])
    };
    let mut value = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": metadata,
        "spec": {
            "weight": weight, "limits": { "cpu": "4000" },
            "disruption": { "consolidationPolicy": "WhenEmpty", "consolidateAfter": "1m",
                "budgets": [{ "nodes": "10%" }] },
            "template": { "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": class },
                "requirements": requirements, "expireAfter": "720h",
            } },
        },
        "status": { "conditions": conditions, "nodeClassObservedGeneration": 1 },
    });
    let own = claims.iter().filter(|claim| claim["metadata"]["labels"][pool::LABEL] == name);
    pool::count(&mut value["status"], own);
    pool::hash(&mut value);
    value
}

/// The labels of the claim of a machine, or of a node that comes of it.
pub fn labels(group: usize, zone: usize) -> Value {
    let mut labels = Own::of(group, zone).labels;
    if let Some(labels) = labels.as_object_mut() {
        labels.retain(|name, _| !OF_NODES.contains(&name.as_str()) && !name.contains("beta.kubernetes.io/"));
    }
    labels
}

/// What the status of a claim says of the instance that it has got.
pub fn status(number: u64, group: usize, zone: usize) -> Value {
    let [mut capacity, mut allocatable] = resources(&GROUPS[group].instance);
    for amounts in [&mut capacity, &mut allocatable] {
        if let Some(amounts) = amounts.as_object_mut() {
            amounts.retain(|_, amount| *amount != "0");
        }
    }
    json!({
        "providerID": format!("aws:///{}/{}", cloud::zone(REGION, zone), cloud::instance_id(number)),
        "imageID": IMAGE, "capacity": capacity, "allocatable": allocatable,
    })
}

/// The claim that a machine of the beginning comes from.
fn claim(size: Size, machine: &Machine) -> Option<Value> {
    let Claim { name, uid } = machine.claim.as_ref()?;
    let kind = &GROUPS[machine.group];
    let (created, ready) = (machine.created - 42, rfc3339(machine.created + 31));
    let (asked, joined) = (rfc3339(created), rfc3339(machine.created));
    let mut labels = labels(machine.group, machine.zone);
    labels["kubernetes.io/hostname"] = (&**name).into();
    let pool = metadata(size, "", kind.name, 0, "NodePool");
    let mut status = status(machine.instance, machine.group, machine.zone);
    let good = |kind: &str, since: &str| condition(kind, "True", kind, "", 1, since);
    status["conditions"] = json!([
        good("Launched", &asked),
        good("Registered", &joined),
        good("ConsistentStateFound", &ready),
        good("Initialized", &ready),
        good("Ready", &ready),
    ]);
    status["nodeName"] = (&*machine.name).into();
    status["lastPodEventTime"] = rfc3339(machine.created + 95).into();
    let requirements = json!([
        requirement("karpenter.sh/capacity-type", [if kind.spot { "spot" } else { "on-demand" }]),
        requirement("karpenter.k8s.aws/ec2nodeclass", ["default"]),
        requirement(pool::LABEL, [kind.name]),
        requirement("kubernetes.io/arch", [kind.instance.architecture]),
        requirement("node.kubernetes.io/instance-type", [kind.instance.name]),
    ]);
    Some(json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {
            "name": &**name, "uid": Short::uuid(*uid).as_str(), "creationTimestamp": rfc3339(created), "generation": 1,
            "generateName": format!("{}-", kind.name), "finalizers": [TERMINATION], "labels": labels,
            "annotations": annotations(),
            "ownerReferences": [owner(kind.name, &pool["uid"])],
        },
        "spec": {
            "expireAfter": "720h", "requirements": requirements,
            "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
            "resources": { "requests": { "cpu": "4310m", "memory": "9216Mi", "pods": "14" } },
        },
        "status": status,
    }))
}

pub fn requirement<'a>(key: &str, values: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "key": key, "operator": "In", "values": values.into_iter().collect::<Vec<_>>() })
}

/// What its own provider notes on a claim.
pub fn annotations() -> Value {
    json!({
        "compatibility.karpenter.k8s.aws/cluster-name-tagged": "true",
        "karpenter.k8s.aws/ec2nodeclass-hash": "15535739275853466213",
        "karpenter.k8s.aws/ec2nodeclass-hash-version": "v4",
        "karpenter.k8s.aws/tagged": "true",
        "karpenter.sh/nodeclaim-min-values-relaxed": "false",
    })
}

/// The reference of a claim to its pool.
pub fn owner(pool: &str, uid: &Value) -> Value {
    json!({ "apiVersion": "karpenter.sh/v1", "blockOwnerDeletion": true, "kind": "NodePool", "name": pool, "uid": uid })
}
