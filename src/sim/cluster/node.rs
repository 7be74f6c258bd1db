//! A node of the simulated cluster: a few numbers, and the template of its node group and zone.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::managed::managed_fields;
use crate::sim::catalog::NODES;
use crate::sim::encoding::template::{Fill, Filling, Hole, Short};
use crate::sim::object::{Parts, Template};

pub const REGION: &str = "eu-west-1";
pub const ACCOUNT: &str = "123456789012";
pub const CLUSTER: &str = "demo";
pub const KUBELET: &str = "v1.34.2-eks-ecaa3a6";

/// A size of machine, as EC2 sells it.
#[derive(Debug)]
pub struct InstanceType {
    pub name: &'static str,
    pub cpus: u32,
    pub memory_gib: u32,
    /// The VPC CNI's limit: addresses per interface times interfaces, and two.
    pub pods: u32,
    pub architecture: &'static str,
    pub gpus: u32,
}

/// Who makes the machines of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// A managed node group of EKS.
    Managed,
    /// An Auto Scaling group that people run themselves.
    SelfManaged,
    /// A node pool of Karpenter.
    Karpenter,
}

/// Machines that are alike.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub instance: InstanceType,
    pub spot: bool,
    pub make: Make,
    pub taint: Option<(&'static str, &'static str)>,
    /// Its part of all nodes, of 100.
    pub share: u32,
}

const fn instance(name: &'static str, cpus: u32, memory_gib: u32, pods: u32) -> InstanceType {
    InstanceType { name, cpus, memory_gib, pods, architecture: "amd64", gpus: 0 }
}

/// The node groups of the demo cluster; the first takes what rounding leaves over.
pub static GROUPS: [Group; 7] = [
    Group {
        name: "general-od",
        instance: instance("m6i.2xlarge", 8, 32, 58),
        spot: false,
        make: Make::Managed,
        taint: None,
        share: 32,
    },
    Group {
        name: "general-spot",
        instance: instance("m5.2xlarge", 8, 32, 58),
        spot: true,
        make: Make::Managed,
        taint: None,
        share: 30,
    },
    Group {
        name: "system",
        instance: instance("m6i.xlarge", 4, 16, 58),
        spot: false,
        make: Make::Managed,
        taint: None,
        share: 8,
    },
    Group {
        name: "memory-od",
        instance: instance("r6i.2xlarge", 8, 64, 58),
        spot: false,
        make: Make::Managed,
        taint: Some(("dedicated", "stateful")),
        share: 10,
    },
    Group {
        name: "gpu",
        instance: InstanceType {
            name: "g5.2xlarge",
            cpus: 8,
            memory_gib: 32,
            pods: 58,
            architecture: "amd64",
            gpus: 1,
        },
        spot: false,
        make: Make::Managed,
        taint: Some(("nvidia.com/gpu", "true")),
        share: 4,
    },
    Group {
        name: "arm-burst",
        instance: InstanceType {
            name: "c7g.2xlarge",
            cpus: 8,
            memory_gib: 16,
            pods: 58,
            architecture: "arm64",
            gpus: 0,
        },
        spot: true,
        make: Make::Karpenter,
        taint: None,
        share: 16,
    },
    Group {
        name: "batch",
        instance: instance("c6i.2xlarge", 8, 16, 58),
        spot: false,
        make: Make::SelfManaged,
        taint: None,
        share: 0,
    },
];

pub const ZONES: [&str; 3] = ["a", "b", "c"];

/// What a pod needs to know of its node, and what never changes about it.
#[derive(Debug)]
pub struct Machine {
    pub name: Arc<str>,
    pub ip: u32,
    pub group: usize,
    pub zone: usize,
    /// The number in the EC2 instance id.
    pub instance: u64,
    pub uid: u128,
    /// Seconds since 1970.
    pub created: i64,
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    Ready,
    /// The kubelet reports that it cannot run pods.
    NotReady,
    /// The kubelet no longer reports.
    Unreachable,
    DiskPressure,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub machine: Arc<Machine>,
    pub look: Arc<Look>,
    /// Seconds since 1970.
    pub heartbeat: i64,
    pub changed: i64,
}

/// How a node is and what clients set on it: mostly the same for all of a group, zone and state.
#[derive(Debug)]
pub struct Look {
    pub state: NodeState,
    pub cordoned: bool,
    /// What clients set, in place of what the group gives.
    pub own: Option<Arc<Own>>,
    pub template: Template,
    pub facts: Facts,
}

/// Labels, annotations, taints and conditions as clients left them: all of them, with those of the group.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    pub labels: Value,
    pub annotations: Value,
    pub taints: Vec<Value>,
    /// Conditions that others than the kubelet report.
    pub conditions: Vec<Value>,
}

/// What the scheduler looks at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// But for the host name, which is the node's name.
    pub labels: BTreeMap<String, String>,
    /// Key, value and effect.
    pub taints: Vec<[String; 3]>,
    /// Millicores, MiB and so on that pods may have.
    pub cpu: u32,
    pub memory_mib: u32,
    pub gpus: u32,
    pub pods: u32,
}

/// Looks that were needed so far.
#[derive(Debug, Default)]
pub struct Looks(HashMap<(usize, usize, NodeState, bool), Arc<Look>>);

impl Looks {
    pub fn of(&mut self, machine: &Machine, state: NodeState, cordoned: bool, own: Option<Arc<Own>>) -> Arc<Look> {
        let (group, zone) = (machine.group, machine.zone);
        if own.is_some() {
            return Arc::new(Look::new(group, zone, state, cordoned, own));
        }
        let look = || Arc::new(Look::new(group, zone, state, cordoned, None));
        Arc::clone(self.0.entry((group, zone, state, cordoned)).or_insert_with(look))
    }
}

impl Look {
    fn new(group: usize, zone: usize, state: NodeState, cordoned: bool, own: Option<Arc<Own>>) -> Self {
        let (kind, zone) = (&GROUPS[group], ZONES[zone]);
        let settings = own.as_deref().cloned().unwrap_or_else(|| defaults(kind, zone));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = settings.labels.as_object().into_iter().flatten();
        let (cpu, memory_ki) = allocatable(&kind.instance);
        let facts = Facts {
            labels: labels
                .filter(|(name, _)| *name != "kubernetes.io/hostname")
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            taints: taints(&settings, state, cordoned)
                .iter()
                .map(|taint| [text(&taint["key"]), text(&taint["value"]), text(&taint["effect"])])
                .collect(),
            cpu,
            memory_mib: u32::try_from(memory_ki / 1024).unwrap_or(u32::MAX),
            gpus: kind.instance.gpus,
            pods: kind.instance.pods,
        };
        let template = Template::new(move || Parts::of(NODES, &json(&GROUPS[group], zone, state, cordoned, &settings)));
        Self { state, cordoned, own, template, facts }
    }
}

impl Node {
    /// The node as a client that wrote `value` wants it.
    pub fn as_written(&self, value: &Value, looks: &mut Looks, now: i64) -> Self {
        let metadata = &value["metadata"];
        let taints = value["spec"]["taints"].as_array().into_iter().flatten();
        let own = Own {
            labels: metadata["labels"].clone(),
            annotations: metadata["annotations"].clone(),
            taints: taints.filter(|taint| !is_lifecycle(taint)).cloned().collect(),
            conditions: self.look.own.as_ref().map_or_else(Vec::new, |own| own.conditions.clone()),
        };
        let cordoned = value["spec"]["unschedulable"] == true;
        let changed = if cordoned == self.look.cordoned { self.changed } else { now };
        let look = looks.of(&self.machine, self.look.state, cordoned, Some(Arc::new(own)));
        Self { look, changed, ..self.clone() }
    }

    /// The node as a client that wrote its status says that it is: whether it is ready, and what others than its
    /// kubelet have to say. All else the kubelet tells anew.
    pub fn as_reported(&self, value: &Value, looks: &mut Looks, now: i64) -> Self {
        let conditions = value["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let ready = conditions.iter().find(|one| one["type"] == "Ready").and_then(|one| one["status"].as_str());
        let state = match (ready, self.look.state) {
            (Some("True"), NodeState::NotReady | NodeState::Unreachable) => NodeState::Ready,
            (Some("False"), _) => NodeState::NotReady,
            (Some("Unknown"), _) => NodeState::Unreachable,
            (_, state) => state,
        };
        let (group, zone) = (&GROUPS[self.machine.group], ZONES[self.machine.zone]);
        let mut own = self.look.own.as_deref().cloned().unwrap_or_else(|| defaults(group, zone));
        let others = conditions.iter().filter(|one| !KUBELETS.iter().any(|own| one["type"] == **own));
        own.conditions = others.cloned().collect();
        let changed = if state == self.look.state { self.changed } else { now };
        let look = looks.of(&self.machine, state, self.look.cordoned, Some(Arc::new(own)));
        Self { look, changed, ..self.clone() }
    }

    /// The node in another state.
    pub fn turn(&self, state: NodeState, looks: &mut Looks, now: i64) -> Self {
        let look = looks.of(&self.machine, state, self.look.cordoned, self.look.own.clone());
        Self { look, changed: now, heartbeat: now, machine: Arc::clone(&self.machine) }
    }
}

/// Conditions that the kubelet reports.
const KUBELETS: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];

/// Taints that controllers set and take away.
fn is_lifecycle(taint: &Value) -> bool {
    let key = taint["key"].as_str().unwrap_or_default();
    matches!(
        key,
        "node.kubernetes.io/unschedulable"
            | "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.kubernetes.io/disk-pressure"
    )
}

impl Fill for Node {
    fn fill(&self, hole: Hole) -> Filling<'_> {
        let machine = &self.machine;
        match hole {
            Hole::Node => Filling::Text(&machine.name),
            Hole::Uid => Filling::Short(Short::uuid(machine.uid)),
            Hole::Created => Filling::Time(machine.created),
            Hole::Started => Filling::Time(machine.created + 31),
            Hole::Changed => Filling::Time(self.changed),
            Hole::Heartbeat => Filling::Time(self.heartbeat),
            Hole::Ip | Hole::HostIp => Filling::Short(Short::new(format_args!("{}", Ipv4Addr::from(machine.ip)))),
            Hole::Instance => Filling::Short(Short::new(format_args!("i-0{:016x}", machine.instance))),
            Hole::Machine => Filling::Short(Short::hex(&[(machine.uid >> 64) as u64, machine.instance])),
            Hole::SystemUuid => Filling::Short(Short::uuid(machine.uid.rotate_left(32))),
            _ => Filling::Text(""),
        }
    }
}

fn labels(group: &Group, zone: &str) -> Value {
    let kind = &group.instance;
    let (family, size) = kind.name.split_once('.').unwrap_or((kind.name, ""));
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
        }),
        Make::Managed => json!({
            "eks.amazonaws.com/capacityType": if group.spot { "SPOT" } else { "ON_DEMAND" },
            "eks.amazonaws.com/nodegroup": group.name, "eks.amazonaws.com/nodegroup-image": "ami-0a1b2c3d4e5f60718",
            "eks.amazonaws.com/sourceLaunchTemplateId": "lt-0f3b2a1c4d5e6f708",
            "eks.amazonaws.com/sourceLaunchTemplateVersion": "7",
        }),
        Make::SelfManaged => json!({
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

/// What the group gives its nodes.
fn defaults(group: &Group, zone: &str) -> Own {
    let taint = group.taint.map(|(key, value)| json!({ "key": key, "value": value, "effect": "NoSchedule" }));
    let annotations = json!({
        "alpha.kubernetes.io/provided-node-ip": Hole::Ip,
        "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"{}\"}}", Hole::Instance),
        "node.alpha.kubernetes.io/ttl": "0",
        "volumes.kubernetes.io/controller-managed-attach-detach": "true",
    });
    Own { labels: labels(group, zone), annotations, taints: taint.into_iter().collect(), conditions: Vec::new() }
}

fn taints(own: &Own, state: NodeState, cordoned: bool) -> Vec<Value> {
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
fn allocatable(kind: &InstanceType) -> (u32, u64) {
    // What the kubelet of an EKS machine image keeps for itself (nodeadm's formula).
    let reserved_cpu = 60 + 10 + 2 * 5 + 5 * kind.cpus.saturating_sub(4) / 2;
    (kind.cpus * 1000 - reserved_cpu, memory_ki(kind) - (255 + 11 * u64::from(kind.pods) + 100) * 1024)
}

fn memory_ki(kind: &InstanceType) -> u64 {
    u64::from(kind.memory_gib) * 1024 * 1024 - 624_640
}

fn json(group: &Group, zone: &str, state: NodeState, cordoned: bool, own: &Own) -> Value {
    let kind = &group.instance;
    let mut spec = json!({ "providerID": format!("aws:///{REGION}{zone}/{}", Hole::Instance) });
    let taints = taints(own, state, cordoned);
    if !taints.is_empty() {
        spec["taints"] = taints.into();
    }
    if cordoned {
        spec["unschedulable"] = true.into();
    }
    let (cpu, allocatable_ki) = allocatable(kind);
    let memory_ki = memory_ki(kind);
    let mut capacity = json!({
        "cpu": kind.cpus.to_string(), "ephemeral-storage": "104779756Ki", "hugepages-1Gi": "0", "hugepages-2Mi": "0",
        "memory": format!("{memory_ki}Ki"), "pods": kind.pods.to_string(),
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
    json!({
        "metadata": {
            "name": Hole::Node, "uid": Hole::Uid, "resourceVersion": Hole::Version, "creationTimestamp": Hole::Created,
            "labels": labels, "annotations": annotations,
            "managedFields": [
                managed_fields("kubelet", "v1", Hole::Created, "", &owned),
                managed_fields("kubelet", "v1", Hole::Heartbeat, "status", &json!({ "status": status })),
            ],
        },
        "spec": spec,
        "status": status,
    })
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
