//! What an EKS cluster has besides workloads: storage, access, ingress, webhooks, quotas, revisions. Data, as JSON.

use serde_json::{Value, json};

use super::company;
use super::controllers;
use super::node::{ACCOUNT, REGION};
use super::objects::metadata;
use super::seed::{Cluster, Size};
use super::workload::{Controller, Workload, owner};
use crate::catalog::{
    ACCOUNTS, API_SERVICES, CLAIMS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CSI_DRIVERS, INGRESS_CLASSES, INGRESSES,
    LEASES, LIMITS, MUTATING_WEBHOOKS, NETWORK_POLICIES, PRIORITY_CLASSES, QUOTAS, REVISIONS, ROLE_BINDINGS, ROLES,
    ResourceId, STORAGE_CLASSES, VALIDATING_WEBHOOKS, VOLUMES,
};
use crate::encoding::template::rfc3339;
use crate::random::{Random, low};

/// In a larger world the claims of all stateful pods would only cost memory.
const MOST_CLAIMS: u32 = 2_000;
/// The same for the leases of nodes, which are renewed every ten seconds.
pub const MOST_LEASES: u32 = 200;
const DAY: i64 = 86_400;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Everything of this file.
pub fn all(cluster: &Cluster, namespaces: &[&str]) -> Vec<(ResourceId, Value)> {
    let size = cluster.size;
    let mut all = classes(size);
    all.extend(access(size));
    all.extend(webhooks(size));
    for namespace in namespaces {
        all.push((
            ACCOUNTS,
            json!({ "metadata": metadata(size, namespace, "default", size.now - 400 * DAY, "ServiceAccount") }),
        ));
    }
    for (namespace, team, services) in company::PRODUCT {
        if namespaces.contains(&namespace) {
            all.extend(of_team(size, namespace, team, services));
        }
    }
    let mut claims = 0;
    for workload in &cluster.workloads {
        let account = metadata(size, &workload.namespace, &workload.name, workload.created, "ServiceAccount");
        let mut account = json!({ "metadata": account });
        account["metadata"]["annotations"] = json!({ "eks.amazonaws.com/role-arn": format!("arn:aws:iam::{ACCOUNT}:role/{}-{}", workload.namespace, workload.name) });
        if workload.cron_job.is_none() {
            all.push((ACCOUNTS, account));
        }
        match workload.controller {
            Controller::StatefulSet => {
                all.push((REVISIONS, revision(workload, size)));
                claims += workload.replicas;
                if claims <= MOST_CLAIMS {
                    (0..workload.replicas).for_each(|ordinal| all.extend(storage(workload, ordinal, size)));
                }
            }
            Controller::DaemonSet => all.push((REVISIONS, revision(workload, size))),
            _ => {}
        }
    }
    for holder in ["kube-controller-manager", "kube-scheduler", "cluster-autoscaler", "karpenter-leader-election"] {
        all.push((
            LEASES,
            lease(size, "kube-system", holder, &format!("{holder}_{}", size.seed), 15, size.now - 400 * DAY),
        ));
    }
    if size.nodes <= MOST_LEASES {
        let machines = cluster.machines.iter();
        all.extend(machines.map(|(machine, ..)| {
            (LEASES, lease(size, "kube-node-lease", &machine.name, &machine.name, 40, machine.created))
        }));
    }
    all
}

/// A lease that `holder` renews.
pub fn lease(size: Size, namespace: &str, name: &str, holder: &str, seconds: u32, created: i64) -> Value {
    json!({
        "metadata": metadata(size, namespace, name, created, "Lease"),
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": rfc3339(size.now) },
    })
}

fn classes(size: Size) -> Vec<(ResourceId, Value)> {
    let created = size.now - 400 * DAY;
    let storage = |name: &str, parameters: Value, default: bool| {
        let mut metadata = metadata(size, "", name, created, "StorageClass");
        if default {
            metadata["annotations"] = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
        }
        (
            STORAGE_CLASSES,
            json!({
                "metadata": metadata, "provisioner": "ebs.csi.aws.com", "parameters": parameters, "reclaimPolicy": "Delete",
                "allowVolumeExpansion": true, "volumeBindingMode": "WaitForFirstConsumer",
            }),
        )
    };
    let driver = |name: &str, attach: bool| {
        (
            CSI_DRIVERS,
            json!({
                "metadata": metadata(size, "", name, created, "CSIDriver"),
                "spec": { "attachRequired": attach, "podInfoOnMount": false, "fsGroupPolicy": "ReadWriteOnceWithFSType",
                    "requiresRepublish": false, "storageCapacity": false, "volumeLifecycleModes": ["Persistent"] },
            }),
        )
    };
    let priority = |name: &str, value: u32, description: &str| {
        (
            PRIORITY_CLASSES,
            json!({
                "metadata": metadata(size, "", name, created, "PriorityClass"), "value": value, "description": description,
                "preemptionPolicy": "PreemptLowerPriority",
            }),
        )
    };
    vec![
        storage("gp2", json!({ "fsType": "ext4", "type": "gp2" }), false),
        storage("gp3", json!({ "encrypted": "true", "type": "gp3" }), true),
        storage("io2-databases", json!({ "encrypted": "true", "iopsPerGB": "50", "type": "io2" }), false),
        driver("ebs.csi.aws.com", true),
        driver("efs.csi.aws.com", false),
        priority(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        priority(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        priority("customer-facing", 1_000_000, "What customers see goes first."),
        (
            INGRESS_CLASSES,
            json!({
                "metadata": metadata(size, "", "alb", created, "IngressClass"), "spec": { "controller": "ingress.k8s.aws/alb" },
            }),
        ),
        (API_SERVICES, api_service(size, "v1.apps", false)),
        (API_SERVICES, api_service(size, "v1beta1.metrics.k8s.io", true)),
    ]
}

fn api_service(size: Size, name: &str, remote: bool) -> Value {
    let created = size.now - 400 * DAY;
    let (version, group) = name.split_once('.').unwrap_or((name, ""));
    let mut spec = json!({ "group": group, "version": version, "groupPriorityMinimum": 17_800, "versionPriority": 15 });
    let (mut reason, mut message) = ("Local", "Local APIServices are always available");
    if remote {
        spec["groupPriorityMinimum"] = 100.into();
        spec["versionPriority"] = 100.into();
        spec["insecureSkipTLSVerify"] = true.into();
        spec["service"] = json!({ "name": "metrics-server", "namespace": "kube-system", "port": 443 });
        (reason, message) = ("Passed", "all checks passed");
    }
    json!({
        "metadata": metadata(size, "", name, created, "APIService"), "spec": spec,
        "status": { "conditions": [{ "type": "Available", "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": rfc3339(created) }] },
    })
}

/// Roles of the cluster, and who has them.
fn access(size: Size) -> Vec<(ResourceId, Value)> {
    let created = size.now - 400 * DAY;
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }, { "nonResourceURLs": ["*"], "verbs": ["*"] }]);
    let read = json!([{ "apiGroups": ["", "apps", "batch"], "resources": ["*"], "verbs": ["get", "list", "watch"] }]);
    let write = json!([{ "apiGroups": ["", "apps", "batch"], "resources": ["*"], "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"] }]);
    let nodes =
        json!([{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch", "update", "watch"] }]);
    let roles = [
        ("cluster-admin", &everything),
        ("admin", &write),
        ("edit", &write),
        ("view", &read),
        ("eks:addon-manager", &write),
        ("eks:node-manager", &nodes),
        ("system:node", &nodes),
        ("karpenter", &nodes),
    ];
    let mut all: Vec<_> = roles
        .into_iter()
        .map(|(name, rules)| {
            (CLUSTER_ROLES, json!({ "metadata": metadata(size, "", name, created, "ClusterRole"), "rules": rules }))
        })
        .collect();
    for (name, role, kind, subject, namespace) in [
        ("cluster-admin", "cluster-admin", "Group", "system:masters", ""),
        ("platform-admins", "cluster-admin", "Group", "platform:admins", ""),
        ("developers-view", "view", "Group", "developers", ""),
        ("eks:addon-manager", "eks:addon-manager", "User", "eks:addon-manager", ""),
        ("eks:node-manager", "eks:node-manager", "User", "eks:node-manager", ""),
        ("karpenter", "karpenter", "ServiceAccount", "karpenter", "karpenter"),
    ] {
        let metadata = metadata(size, "", name, created, "ClusterRoleBinding");
        all.push((
            CLUSTER_ROLE_BINDINGS,
            binding(&metadata, "ClusterRole", role, &subject_of(kind, subject, namespace)),
        ));
    }
    all
}

fn subject_of(kind: &str, name: &str, namespace: &str) -> Value {
    if kind == "ServiceAccount" {
        json!({ "kind": kind, "name": name, "namespace": namespace })
    } else {
        json!({ "kind": kind, "apiGroup": RBAC, "name": name })
    }
}

fn binding(metadata: &Value, kind: &str, role: &str, subject: &Value) -> Value {
    json!({ "metadata": metadata, "roleRef": { "apiGroup": RBAC, "kind": kind, "name": role }, "subjects": [subject] })
}

/// What a team has in its namespace.
fn of_team(size: Size, namespace: &str, team: &str, services: &[&str]) -> Vec<(ResourceId, Value)> {
    let created = size.now - 350 * DAY;
    let meta = |name: &str, kind: &str| metadata(size, namespace, name, created, kind);
    let deploy = json!([{ "apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get", "list", "patch", "watch"] }]);
    let mut all = vec![
        (ROLES, json!({ "metadata": meta("deployer", "Role"), "rules": deploy })),
        (
            ROLE_BINDINGS,
            binding(
                &meta("deployer", "RoleBinding"),
                "Role",
                "deployer",
                &subject_of("ServiceAccount", "argocd-application-controller", "argocd"),
            ),
        ),
        (
            ROLE_BINDINGS,
            binding(&meta("team-edit", "RoleBinding"), "ClusterRole", "edit", &subject_of("Group", team, "")),
        ),
        (
            NETWORK_POLICIES,
            json!({
                "metadata": meta("default-deny", "NetworkPolicy"),
                "spec": { "podSelector": {}, "policyTypes": ["Ingress"],
                    "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": { "team": team } } }] }] },
            }),
        ),
        (
            QUOTAS,
            json!({
                "metadata": meta("team", "ResourceQuota"), "spec": { "hard": { "requests.cpu": "400", "limits.memory": "2Ti" } },
                "status": { "hard": { "requests.cpu": "400", "limits.memory": "2Ti" }, "used": { "requests.cpu": "61500m", "limits.memory": "312Gi" } },
            }),
        ),
        (
            LIMITS,
            json!({
                "metadata": meta("defaults", "LimitRange"),
                "spec": { "limits": [{ "type": "Container", "defaultRequest": { "cpu": "50m", "memory": "64Mi" },
                    "default": { "memory": "256Mi" } }] },
            }),
        ),
    ];
    if let Some(service) = services.iter().find(|name| matches!(**name, "web" | "api" | "gateway" | "graphql")) {
        let mut random = Random::named(size.seed, &format!("ingress {namespace}"));
        let host = format!("{namespace}.shop.example.com");
        let balancer = format!("k8s-{namespace}-{service}-{}.{REGION}.elb.amazonaws.com", random.hex(10));
        let mut metadata = meta(service, "Ingress");
        metadata["generation"] = 1.into();
        metadata["annotations"] = json!({ "alb.ingress.kubernetes.io/scheme": "internet-facing", "alb.ingress.kubernetes.io/target-type": "ip" });
        all.push((
            INGRESSES,
            json!({
                "metadata": metadata,
                "spec": {
                    "ingressClassName": "alb", "tls": [{ "hosts": [host], "secretName": format!("{service}-tls") }],
                    "rules": [{ "host": host, "http": { "paths": [{ "path": "/", "pathType": "Prefix",
                        "backend": { "service": { "name": service, "port": { "name": "http" } } } }] } }],
                },
                "status": { "loadBalancer": { "ingress": [{ "hostname": balancer }] } },
            }),
        ));
    }
    all
}

fn webhooks(size: Size) -> Vec<(ResourceId, Value)> {
    let one = |resource: ResourceId, kind: &str, name: &str, service: (&str, &str), of: &str| {
        let mut metadata = metadata(size, "", name, size.now - 300 * DAY, kind);
        metadata["generation"] = 1.into();
        let (namespace, service) = service;
        (
            resource,
            json!({
                "metadata": metadata,
                "webhooks": [{
                    "name": format!("{of}.{service}.{namespace}.svc"), "failurePolicy": "Ignore", "sideEffects": "None",
                    "matchPolicy": "Equivalent", "timeoutSeconds": 10, "admissionReviewVersions": ["v1"],
                    "namespaceSelector": {}, "objectSelector": {},
                    "clientConfig": { "service": { "name": service, "namespace": namespace, "path": "/mutate", "port": 443 } },
                    "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [of], "scope": "*" }],
                }],
            }),
        )
    };
    let (mutating, validating) = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration");
    vec![
        one(MUTATING_WEBHOOKS, mutating, "pod-identity-webhook", ("kube-system", "pod-identity-webhook"), "pods"),
        one(
            MUTATING_WEBHOOKS,
            mutating,
            "aws-load-balancer-webhook",
            ("kube-system", "aws-load-balancer-webhook"),
            "services",
        ),
        one(
            VALIDATING_WEBHOOKS,
            validating,
            "cert-manager-webhook",
            ("cert-manager", "cert-manager-webhook"),
            "secrets",
        ),
    ]
}

/// The revision that a set runs.
fn revision(workload: &Workload, size: Size) -> Value {
    let kind = if workload.controller == Controller::StatefulSet { "StatefulSet" } else { "DaemonSet" };
    let name = format!("{}-{}", workload.name, workload.hash);
    let mut metadata = metadata(size, &workload.namespace, &name, workload.created, "ControllerRevision");
    metadata["labels"] = workload.template_labels();
    metadata["labels"][revision_label(kind == "StatefulSet")] = workload.hash.clone().into();
    metadata["ownerReferences"] = json!([owner("apps/v1", kind, &workload.name, workload.uid)]);
    revision_of(&metadata, &controllers::pod_template(workload), 3)
}

/// The label that tells the hash of a revision.
pub fn revision_label(stateful: bool) -> &'static str {
    if stateful { "controller.kubernetes.io/hash" } else { "controller-revision-hash" }
}

/// Revision number `number` of a set with this template.
pub fn revision_of(metadata: &Value, template: &Value, number: u64) -> Value {
    let mut template = template.clone();
    template["$patch"] = "replace".into();
    json!({ "metadata": metadata, "data": { "spec": { "template": template } }, "revision": number })
}

/// The claim of a stateful pod and the volume that it is bound to.
fn storage(workload: &Workload, ordinal: u32, size: Size) -> [(ResourceId, Value); 2] {
    let name = format!("data-{}-{ordinal}", workload.name);
    let mut claim = metadata(size, &workload.namespace, &name, workload.created, "PersistentVolumeClaim");
    let volume = format!("pvc-{}", claim["uid"].as_str().unwrap_or_default());
    claim["labels"] = workload.selector_labels();
    claim["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    claim["annotations"] = json!({
        "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
        "volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com",
    });
    let reference = json!({ "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": &*workload.namespace,
        "name": name, "uid": claim["uid"] });
    let mut of_volume = metadata(size, "", &volume, workload.created, "PersistentVolume");
    of_volume["finalizers"] = json!(["kubernetes.io/pv-protection"]);
    let mut random = Random::named(low(workload.uid).wrapping_add(ordinal.into()), "volume");
    let (capacity, modes) = (json!({ "storage": "100Gi" }), json!(["ReadWriteOnce"]));
    [
        (
            CLAIMS,
            json!({
                "metadata": claim,
                "spec": { "accessModes": modes, "resources": { "requests": capacity }, "storageClassName": "gp3",
                    "volumeMode": "Filesystem", "volumeName": volume },
                "status": { "phase": "Bound", "accessModes": modes, "capacity": capacity },
            }),
        ),
        (
            VOLUMES,
            json!({
                "metadata": of_volume,
                "spec": {
                    "accessModes": modes, "capacity": capacity, "claimRef": reference, "storageClassName": "gp3",
                    "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Filesystem",
                    "csi": { "driver": "ebs.csi.aws.com", "fsType": "ext4", "volumeHandle": format!("vol-0{}", random.hex(16)) },
                },
                "status": { "phase": "Bound" },
            }),
        ),
    ]
}
