//! A node of the simulated cluster: a few numbers, and the template of its node group and zone. What that looks like
//! stands in `node_object`.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;

use super::node_object::{self, allocatable, defaults, taints};
use crate::catalog::NODES;
use crate::encoding::template::{Fill, Filling, Hole, Short};
use crate::object::{Parts, Template};
use crate::random::Random;

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
    /// Fargate, for one pod each.
    Fargate,
}

/// Machines that are alike.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub instance: InstanceType,
    pub spot: bool,
    pub make: Make,
    pub taint: Option<(&'static str, &'static str)>,
}

const fn instance(name: &'static str, cpus: u32, memory_gib: u32, pods: u32) -> InstanceType {
    InstanceType { name, cpus, memory_gib, pods, architecture: "amd64", gpus: 0 }
}

const fn pooled(name: &'static str, instance: InstanceType, spot: bool) -> Group {
    Group { name, instance, spot, make: Make::Karpenter, taint: None }
}

/// The kinds of machines that there are; which cluster has what of them stands in `site`.
pub static GROUPS: [Group; 12] = [
    Group {
        name: "general-od",
        instance: instance("m6i.2xlarge", 8, 32, 58),
        spot: false,
        make: Make::Managed,
        taint: None,
    },
    Group {
        name: "general-spot",
        instance: instance("m5.2xlarge", 8, 32, 58),
        spot: true,
        make: Make::Managed,
        taint: None,
    },
    Group {
        name: "system",
        instance: instance("m6i.xlarge", 4, 16, 58),
        spot: false,
        make: Make::Managed,
        taint: None,
    },
    Group {
        name: "memory-od",
        instance: instance("r6i.2xlarge", 8, 64, 58),
        spot: false,
        make: Make::Managed,
        taint: Some(("dedicated", "stateful")),
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
    },
    Group {
        name: "batch",
        instance: instance("c6i.2xlarge", 8, 16, 58),
        spot: false,
        make: Make::SelfManaged,
        taint: None,
    },
    // What Karpenter may buy for its pool besides.
    Group {
        name: "arm-burst",
        instance: InstanceType {
            name: "m7g.xlarge",
            cpus: 4,
            memory_gib: 16,
            pods: 58,
            architecture: "arm64",
            gpus: 0,
        },
        spot: true,
        make: Make::Karpenter,
        taint: None,
    },
    pooled("general", instance("m6i.xlarge", 4, 16, 58), false),
    pooled("general", instance("m6i.2xlarge", 8, 32, 58), false),
    pooled("spot", instance("m5.2xlarge", 8, 32, 58), true),
    Group {
        name: "fargate",
        instance: instance("fargate", 2, 4, 1),
        spot: false,
        make: Make::Fargate,
        taint: Some(("eks.amazonaws.com/compute-type", "fargate")),
    },
];

/// The place of Fargate's machines in `GROUPS`.
pub const FARGATE: usize = 11;

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
    /// What it was made for, where Karpenter made it.
    pub claim: Option<Claim>,
}

/// The NodeClaim behind a machine of Karpenter's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub name: Arc<str>,
    pub uid: u128,
}

impl Claim {
    /// The claim of a machine that was there from the beginning; each follows from the machine.
    pub fn of(pool: &str, machine: u128) -> Self {
        let mut random = Random::of(machine);
        Self { name: format!("{pool}-{}", random.suffix(5)).into(), uid: random.uid() }
    }
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
    pub finalizers: Vec<Value>,
    /// When somebody deleted it that finalizers still keep, in seconds since 1970.
    pub deleted: Option<i64>,
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
        let template = Template::new(move || {
            Parts::of(NODES, &node_object::json(&GROUPS[group], zone, state, cordoned, &settings))
        });
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
            finalizers: metadata["finalizers"].as_array().cloned().unwrap_or_default(),
            deleted: self.look.own.as_ref().and_then(|own| own.deleted),
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
        let mut own = self.own();
        let others = conditions.iter().filter(|one| !KUBELETS.iter().any(|own| one["type"] == **own));
        own.conditions = others.cloned().collect();
        let changed = if state == self.look.state { self.changed } else { now };
        let look = looks.of(&self.machine, state, self.look.cordoned, Some(Arc::new(own)));
        Self { look, changed, ..self.clone() }
    }

    /// What is set on it, by clients or by its group.
    pub fn own(&self) -> Own {
        let own = self.look.own.as_deref().cloned();
        own.unwrap_or_else(|| Own::of(self.machine.group, self.machine.zone))
    }

    /// The node with other settings.
    pub fn with(&self, own: Own, looks: &mut Looks) -> Self {
        // Those of its group share one template.
        let own = (own != Own::of(self.machine.group, self.machine.zone)).then(|| Arc::new(own));
        let look = looks.of(&self.machine, self.look.state, self.look.cordoned, own);
        Self { look, ..self.clone() }
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
            Hole::Claim => Filling::Text(machine.claim.as_ref().map_or("", |claim| &claim.name)),
            Hole::ClaimUid => Filling::Short(Short::uuid(machine.claim.as_ref().map_or(0, |claim| claim.uid))),
            _ => Filling::Text(""),
        }
    }
}

/// What Karpenter holds its nodes and claims with until their instances are gone.
pub const TERMINATION: &str = "karpenter.sh/termination";
/// Says that Karpenter knows a node.
pub const REGISTERED: &str = "karpenter.sh/registered";

impl Own {
    /// What a group gives its nodes in a zone.
    pub fn of(group: usize, zone: usize) -> Self {
        defaults(&GROUPS[group], ZONES[zone])
    }
}
