//! The object of a node as the API shows it: what its group gives it, and what its kubelet reports.

use serde_json::{Value, json};

use super::managed::managed_fields;
use super::node::{CLUSTER, Group, InstanceType, KUBELET, Make, NodeState, Own, REGION, REGISTERED, TERMINATION};
use crate::encoding::template::{Hole, rfc3339};

fn labels(group: &Group, zone: &str) -> Value {
    let kind = &group.instance;
    if group.make == Make::Fargate {
        return json!({
            "beta.kubernetes.io/arch": kind.architecture, "beta.kubernetes.io/os": "linux",
            "eks.amazonaws.com/compute-type": "fargate", "failure-domain.beta.kubernetes.io/region": REGION,
            "failure-domain.beta.kubernetes.io/zone": format!("{REGION}{zone}"),
            "kubernetes.io/arch": kind.architecture, "kubernetes.io/hostname": Hole::Node, "kubernetes.io/os": "linux",
            "topology.kubernetes.io/region": REGION, "topology.kubernetes.io/zone": format!("{REGION}{zone}"),
        });
    }
    let (family, size) = kind.name.split_once('.').unwrap_or((kind.name, ""));
    let category = family.trim_end_matches(|letter: char| !letter.is_ascii_digit()).trim_end_matches(char::is_numeric);
    let generation: String = family.chars().filter(char::is_ascii_digit).collect();
    let mut labels = json!({
        "beta.kubernetes.io/arch": kind.architecture, "beta.kubernetes.io/instance-type": kind.name,
        "beta.kubernetes.io/os": "linux", "failure-domain.beta.kubernetes.io/region": REGION,
        "failure-domain.beta.kubernetes.io/zone": format!("{REGION}{zone}"),
        "k8s.io/cloud-provider-aws": "7f1c0e5b3a0d4a5a9e4a8a5a5e0f8f3c",
        "kubernetes.io/arch": kind.architecture, "kubernetes.io/hostname": Hole::Node, "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": kind.name, "topology.ebs.csi.aws.com/zone": format!("{REGION}{zone}"),
        "topology.k8s.aws/zone-id": format!("euw1-az{}", u32::from(zone.as_bytes()[0] - b'a') + 1),
        "topology.kubernetes.io/region": REGION, "topology.kubernetes.io/zone": format!("{REGION}{zone}"),
    });
    let more = match group.make {
        Make::Karpenter => json!({
            "karpenter.sh/capacity-type": if group.spot { "spot" } else { "on-demand" },
            "karpenter.sh/nodepool": group.name, "karpenter.sh/initialized": "true", "karpenter.sh/registered": "true",
            "karpenter.k8s.aws/ec2nodeclass": "default", "karpenter.k8s.aws/instance-family": family,
            "karpenter.k8s.aws/instance-size": size, "karpenter.k8s.aws/instance-cpu": kind.cpus.to_string(),
            "karpenter.k8s.aws/instance-memory": (kind.memory_gib * 1024).to_string(),
            "karpenter.k8s.aws/instance-category": category, "karpenter.k8s.aws/instance-generation": generation,
        }),
        Make::Managed => json!({
            "eks.amazonaws.com/capacityType": if group.spot { "SPOT" } else { "ON_DEMAND" },
            "eks.amazonaws.com/nodegroup": group.name, "eks.amazonaws.com/nodegroup-image": "ami-0a1b2c3d4e5f60718",
            "eks.amazonaws.com/sourceLaunchTemplateId": "lt-0f3b2a1c4d5e6f708",
            "eks.amazonaws.com/sourceLaunchTemplateVersion": "7",
        }),
        Make::SelfManaged | Make::Fargate => json!({
            "alpha.eksctl.io/cluster-name": CLUSTER, "alpha.eksctl.io/nodegroup-name": group.name,
        }),
    };
    if let (Some(labels), Value::Object(more)) = (labels.as_object_mut(), more) {
        labels.extend(more);
    }
    if kind.gpus > 0 {
        labels["nvidia.com/gpu.present"] = "true".into();
    }
    labels
}

fn conditions(state: NodeState) -> Value {
    let lost = state == NodeState::Unreachable;
    let one = |kind: &str, bad: bool, reason: &str, message: &str| {
        let ready = kind == "Ready";
        let status = if lost {
            "Unknown"
        } else if bad != ready {
            "True"
        } else {
            "False"
        };
        let (reason, message) =
            if lost { ("NodeStatusUnknown", "Kubelet stopped posting node status.") } else { (reason, message) };
        json!({ "type": kind, "status": status, "lastHeartbeatTime": Hole::Heartbeat,
            "lastTransitionTime": if bad || lost { Hole::Changed } else { Hole::Started },
            "reason": reason, "message": message })
    };
    let disk = state == NodeState::DiskPressure;
    json!([
        one("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        one(
            "DiskPressure",
            disk,
            if disk { "KubeletHasDiskPressure" } else { "KubeletHasNoDiskPressure" },
            if disk { "kubelet has disk pressure" } else { "kubelet has no disk pressure" },
        ),
        one("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        if state == NodeState::NotReady {
            one(
                "Ready",
                true,
                "KubeletNotReady",
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network \
                 plugin returns error: cni plugin not initialized",
            )
        } else {
            one("Ready", false, "KubeletReady", "kubelet is posting ready status")
        },
    ])
}

/// What a group gives its nodes in a zone.
pub fn defaults(group: &Group, zone: &str) -> Own {
    let taint = group.taint.map(|(key, value)| json!({ "key": key, "value": value, "effect": "NoSchedule" }));
    let annotations = json!({
        "alpha.kubernetes.io/provided-node-ip": Hole::Ip,
        "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"{}\"}}", Hole::Instance),
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    });
    Own {
        labels: labels(group, zone),
        annotations,
        taints: taint.into_iter().collect(),
        conditions: Vec::new(),
        finalizers: if group.make == Make::Karpenter { vec![TERMINATION.into()] } else { Vec::new() },
        deleted: None,
    }
}

pub fn taints(own: &Own, state: NodeState, cordoned: bool) -> Vec<Value> {
    let mut taints = own.taints.clone();
    let added = |key: &str, effect: &str| json!({ "key": key, "effect": effect, "timeAdded": Hole::Changed });
    match state {
        NodeState::Ready => {}
        NodeState::DiskPressure => {
            taints.push(json!({ "key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule" }));
        }
        NodeState::NotReady | NodeState::Unreachable => {
            let reason = if state == NodeState::NotReady { "not-ready" } else { "unreachable" };
            for effect in ["NoSchedule", "NoExecute"] {
                taints.push(added(&format!("node.kubernetes.io/{reason}"), effect));
            }
        }
    }
    if cordoned {
        taints.push(added("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    taints
}

/// Millicores and KiB that pods may have.
pub fn allocatable(kind: &InstanceType) -> (u32, u64) {
    // What the kubelet of an EKS machine image keeps for itself (nodeadm's formula).
    let reserved_cpu = 60 + 10 + 2 * 5 + 5 * kind.cpus.saturating_sub(4) / 2;
    (kind.cpus * 1000 - reserved_cpu, memory_ki(kind) - (255 + 11 * u64::from(kind.pods) + 100) * 1024)
}

fn memory_ki(kind: &InstanceType) -> u64 {
    u64::from(kind.memory_gib) * 1024 * 1024 - 624_640
}

/// What a machine has, and what pods may have of it.
pub fn resources(kind: &InstanceType) -> [Value; 2] {
    let (cpu, allocatable_ki) = allocatable(kind);
    let mut capacity = json!({
        "cpu": kind.cpus.to_string(), "ephemeral-storage": "104779756Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": format!("{}Ki", memory_ki(kind)), "pods": kind.pods.to_string(),
    });
    let mut allocatable = json!({
        "cpu": format!("{cpu}m"), "ephemeral-storage": "95491281146", "hugepages-1Gi": "0",
        "hugepages-2Mi": "0", "memory": format!("{allocatable_ki}Ki"),
        "pods": kind.pods.to_string(),
    });
    if kind.gpus > 0 {
        capacity["nvidia.com/gpu"] = kind.gpus.to_string().into();
        allocatable["nvidia.com/gpu"] = kind.gpus.to_string().into();
    }
    [capacity, allocatable]
}

pub fn json(group: &Group, zone: &str, state: NodeState, cordoned: bool, own: &Own) -> Value {
    let kind = &group.instance;
    let id = match group.make {
        Make::Fargate => format!("{}/{}", Hole::Machine, Hole::Node),
        _ => Hole::Instance.to_string(),
    };
    let mut spec = json!({ "providerID": format!("aws:///{REGION}{zone}/{id}") });
    let taints = taints(own, state, cordoned);
    if !taints.is_empty() {
        spec["taints"] = taints.into();
    }
    if cordoned {
        spec["unschedulable"] = true.into();
    }
    let [capacity, allocatable] = resources(kind);
    let mut conditions = conditions(state);
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.extend(own.conditions.iter().cloned());
    }
    let status = json!({
        "addresses": [
            { "type": "InternalIP", "address": Hole::Ip },
            { "type": "InternalDNS", "address": Hole::Node },
            { "type": "Hostname", "address": Hole::Node },
        ],
        "allocatable": allocatable, "capacity": capacity, "conditions": conditions,
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } }, "images": images(),
        "nodeInfo": {
            "architecture": kind.architecture, "bootID": Hole::SystemUuid, "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": format!("6.12.46-66.121.amzn2023.{}", if kind.architecture == "arm64" { "aarch64" } else { "x86_64" }),
            "kubeProxyVersion": "", "kubeletVersion": KUBELET, "machineID": Hole::Machine,
            "operatingSystem": "linux", "osImage": "Amazon Linux 2023.9.20251105", "systemUUID": Hole::SystemUuid,
        },
    });
    let (labels, annotations) = (&own.labels, &own.annotations);
    let owned = json!({ "metadata": { "annotations": annotations, "labels": labels }, "spec": { "providerID": "" } });
    let mut metadata = json!({
        "name": Hole::Node, "uid": Hole::Uid, "resourceVersion": Hole::Version, "creationTimestamp": Hole::Created,
        "labels": labels, "annotations": annotations,
        "managedFields": [
            managed_fields("kubelet", "v1", Hole::Created, "", &owned),
            managed_fields("kubelet", "v1", Hole::Heartbeat, "status", &json!({ "status": status })),
        ],
    });
    if !own.finalizers.is_empty() {
        metadata["finalizers"] = own.finalizers.clone().into();
    }
    if let Some(deleted) = own.deleted {
        metadata["deletionTimestamp"] = rfc3339(deleted).into();
        metadata["deletionGracePeriodSeconds"] = 0.into();
    }
    if own.labels[REGISTERED] == "true" {
        metadata["ownerReferences"] = json!([{
            "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": Hole::Claim, "uid": Hole::ClaimUid,
            "blockOwnerDeletion": true,
        }]);
    }
    json!({ "metadata": metadata, "spec": spec, "status": status })
}

fn images() -> Value {
    const IMAGES: [(&str, u64); 12] = [
        ("amazon-k8s-cni:v1.20.4-eksbuild.1", 49_531_702),
        ("eks/aws-network-policy-agent:v1.2.7-eksbuild.1", 41_021_233),
        ("eks/kube-proxy:v1.34.0-minimal-eksbuild.4", 31_207_211),
        ("eks/aws-ebs-csi-driver:v1.51.0", 36_817_905),
        ("eks/csi-node-driver-registrar:v2.15.0-eks-1-34-6", 15_190_887),
        ("eks/livenessprobe:v2.17.0-eks-1-34-6", 14_710_240),
        ("eks/coredns:v1.12.4-eksbuild.1", 28_441_110),
        ("eks/eks-pod-identity-agent:v0.1.33", 25_300_115),
        ("eks/metrics-server:v0.8.0-eksbuild.3", 24_118_772),
        ("eks/pause:3.10", 318_731),
        ("aws-for-fluent-bit:2.34.1", 203_117_442),
        ("prometheus/node-exporter:v1.10.2", 12_950_217),
    ];
    IMAGES
        .iter()
        .map(|(image, size)| {
            json!({ "names": [format!("602401143452.dkr.ecr.{REGION}.amazonaws.com/{image}")], "sizeBytes": size })
        })
        .collect()
}
