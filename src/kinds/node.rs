//! Nodes: what they offer, what their pods ask for (joined from the pods' rows), what is in use, and which group they
//! belong to (managed node group, Karpenter pool, Fargate).

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, Wired,
    nodegroup::{Hourly, NodeGroup},
    pod::Pod,
    percent,
    wire::{self, Entry, ObjectMeta, Resource, wire},
};
use crate::{
    store::{
        intern::{Interner, Sym},
        lens::Pin,
        table::Meta,
        value::{Health, Metric, Value},
        world::{Amounts, Joins, Totals, World},
    },
    util::quantity,
};

pub struct Node;

wire! {
    pub struct NodeObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<NodeSpec>,
        #[prost(message, tag = "3")] pub status: Option<NodeStatus>,
    }

    pub struct NodeSpec {
        #[prost(bytes = "bytes", tag = "3")] #[serde(rename = "providerID")] pub provider_id: Bytes,
        #[prost(bool, tag = "4")] pub unschedulable: bool,
        #[prost(message, repeated, tag = "5")] pub taints: Vec<Taint>,
    }

    pub struct Taint {
        #[prost(bytes = "bytes", tag = "1")] pub key: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub value: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub effect: Bytes,
    }

    pub struct NodeStatus {
        #[prost(message, repeated, tag = "2")] pub allocatable: Vec<Resource>,
        #[prost(message, repeated, tag = "4")] pub conditions: Vec<NodeCondition>,
        #[prost(message, repeated, tag = "5")] pub addresses: Vec<NodeAddress>,
        #[prost(message, tag = "7")] pub node_info: Option<NodeSystemInfo>,
    }

    pub struct NodeCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
    }

    pub struct NodeAddress {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub address: Bytes,
    }

    pub struct NodeSystemInfo {
        #[prost(bytes = "bytes", tag = "4")] pub kernel_version: Bytes,
        #[prost(bytes = "bytes", tag = "5")] pub os_image: Bytes,
        #[prost(bytes = "bytes", tag = "6")] pub container_runtime_version: Bytes,
        #[prost(bytes = "bytes", tag = "7")] pub kubelet_version: Bytes,
        #[prost(bytes = "bytes", tag = "10")] pub architecture: Bytes,
    }
}

/// What is kept of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its own name as a symbol: what pods refer to.
    pub name: Sym,
    /// kubectl's STATUS: `Ready`, `NotReady,SchedulingDisabled`.
    pub status: Sym,
    pub health: Health,
    pub ready: bool,
    pub roles: Sym,
    pub version: Sym,
    pub group: Sym,
    /// How the group is run: `managed`, `karpenter`, `auto`, `fargate`, `self`; empty off EKS.
    pub group_kind: Sym,
    pub instance_type: Sym,
    pub zone: Sym,
    pub capacity_type: Sym,
    pub taints: Sym,
    pub taint_count: u16,
    /// Conditions other than Ready that tell of trouble, with commas.
    pub conditions: Sym,
    pub internal_ip: Sym,
    pub external_ip: Sym,
    pub os_image: Sym,
    pub kernel: Sym,
    pub runtime: Sym,
    pub architecture: Sym,
    pub provider_id: Sym,
    /// The EC2 instance that it is; empty for all others.
    pub instance: Sym,
    /// What pods may have; 0 where the node does not say.
    pub allocatable: Amounts,
    /// 0 where the node does not say.
    pub max_pods: u32,
}

impl Node {
    /// A value from what its pods come to; unknown while not all pods of the cluster are known.
    fn of_pods(row: &Row, at: &At<'_>, value: impl FnOnce(Totals) -> Value<'static>) -> Value<'static> {
        if !at.world.is_whole(Pod::ID, None) {
            return Value::Unknown;
        }
        value(at.world.joins.on_node.get(&row.name).copied().unwrap_or_default())
    }

    /// The group that its labels name, or the one that AWS says its instance is in.
    pub fn group(row: &Row, world: &World) -> Sym {
        if row.group.is_empty() { world.joins.group_of.get(&row.instance).copied().unwrap_or_default() } else { row.group }
    }

    /// What it costs an hour: instances that nobody manages for a fee, of whom it is known whether they are spot.
    pub fn hourly(row: &Row, world: &World) -> Option<Hourly> {
        let text = |sym| world.symbols.get(sym);
        if matches!(text(row.group_kind), "auto" | "fargate") {
            return None;
        }
        let spot = match text(row.capacity_type) {
            "spot" => true,
            "on-demand" => false,
            _ => return None,
        };
        world.joins.prices.of(text(row.instance_type), text(row.zone), spot)
    }

    fn used(at: &At<'_>) -> Option<Amounts> {
        at.world.usage.of(Node::ID, at.id, at.meta.uid)
    }
}

/// Labels that name the group of a node, with how that group is run, the most telling first.
const GROUPS: &[(&str, &str)] = &[
    ("eks.amazonaws.com/nodegroup", "managed"),
    ("karpenter.sh/nodepool", "karpenter"),
    ("karpenter.sh/provisioner-name", "karpenter"),
    ("eks.amazonaws.com/fargate-profile", "fargate"),
    ("alpha.eksctl.io/nodegroup-name", "self"),
    ("cloud.google.com/gke-nodepool", ""),
    ("kubernetes.azure.com/agentpool", ""),
    ("node.kubernetes.io/nodegroup", ""),
];

fn label<'a>(labels: &'a [Entry], key: &str) -> Option<&'a Bytes> {
    labels.iter().find(|label| label.key == key).map(|label| &label.value).filter(|value| !value.is_empty())
}

/// The instance of `aws:///eu-west-1a/i-0123`; Fargate and hybrid nodes have none.
fn instance(provider_id: &str) -> &str {
    let last = provider_id.strip_prefix("aws://").and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if last.starts_with("i-") { last } else { "" }
}

/// Group and how it is run.
fn group(labels: &[Entry], interner: &mut Interner) -> (Sym, Sym) {
    if label(labels, "eks.amazonaws.com/compute-type").is_some_and(|kind| kind == "fargate") {
        return (interner.text("fargate"), interner.text("fargate"));
    }
    for (key, kind) in GROUPS {
        if let Some(value) = label(labels, key) {
            // Auto Mode's nodes are Karpenter's, run by AWS.
            let auto = label(labels, "eks.amazonaws.com/compute-type").is_some_and(|kind| kind == "auto");
            return (interner.bytes(value), interner.text(if auto { "auto" } else { kind }));
        }
    }
    (Sym::EMPTY, Sym::EMPTY)
}

/// kubectl's ROLES: what follows `node-role.kubernetes.io/`, and `kubernetes.io/role`, sorted.
fn roles(labels: &[Entry]) -> String {
    let mut roles: Vec<String> = labels
        .iter()
        .filter_map(|label| {
            let key = wire::text(&label.key);
            match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) if !role.is_empty() => Some(role.to_owned()),
                _ if key == "kubernetes.io/role" && !label.value.is_empty() => {
                    Some(wire::text(&label.value).into_owned())
                }
                _ => None,
            }
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles.join(",")
}

/// kubectl's STATUS and the health that follows.
fn status(conditions: &[NodeCondition], unschedulable: bool) -> (String, Health) {
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready");
    let (mut text, mut health) = match ready.map(|condition| condition.status.as_ref()) {
        Some(b"True") => ("Ready".to_owned(), Health::Ok),
        Some(_) => ("NotReady".to_owned(), Health::Bad),
        None => ("Unknown".to_owned(), Health::Bad),
    };
    if unschedulable {
        text.push_str(",SchedulingDisabled");
        health = health.min(Health::Warn);
    }
    (text, health)
}

/// What a condition other than Ready has against the node: pressure that is there, or one of the readinesses that agents
/// report (`KernelReady` of EKS's node monitoring) that is not.
fn trouble(condition: &NodeCondition) -> Option<String> {
    let (name, holds) = (wire::text(&condition.r#type), condition.status == "True");
    if name == "Ready" {
        None
    } else if name.ends_with("Ready") {
        (!holds).then(|| format!("{name}={}", wire::text(&condition.status)))
    } else {
        holds.then(|| name.into_owned())
    }
}

fn amount(resources: &[Resource], name: &str) -> Option<String> {
    resources
        .iter()
        .find(|resource| resource.name == name)
        .and_then(|resource| resource.quantity.as_ref())
        .map(|quantity| quantity.as_str().into_owned())
}

/// kubectl's word for what the node does not say.
fn known(text: &Bytes) -> &Bytes {
    static UNKNOWN: Bytes = Bytes::from_static(b"<unknown>");
    if text.is_empty() { &UNKNOWN } else { text }
}

impl Wired for Node {
    type Wire = NodeObject;

    fn meta(wire: &NodeObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &NodeObject, interner: &mut Interner) -> Row {
        let meta = Self::meta(wire);
        let spec = wire.spec.clone().unwrap_or_default();
        let node = wire.status.clone().unwrap_or_default();
        let info = node.node_info.unwrap_or_default();
        let labels = &meta.labels;
        let (group, group_kind) = group(labels, interner);
        let (status, mut health) = status(&node.conditions, spec.unschedulable);
        let conditions: Vec<String> = node.conditions.iter().filter_map(trouble).collect();
        if !conditions.is_empty() {
            health = health.min(Health::Warn);
        }
        let taints: Vec<String> = spec
            .taints
            .iter()
            .map(|taint| {
                let (key, value, effect) = (wire::text(&taint.key), wire::text(&taint.value), wire::text(&taint.effect));
                if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") }
            })
            .collect();
        let address = |kind: &str| node.addresses.iter().find(|address| address.r#type == kind).map(|a| &a.address);
        let mut first = |keys: &[&str]| {
            keys.iter().find_map(|key| label(labels, key)).map_or(Sym::EMPTY, |value| interner.bytes(value))
        };
        let instance_type = first(&["node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"]);
        let zone = first(&["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]);
        let capacity = first(&["eks.amazonaws.com/capacityType", "karpenter.sh/capacity-type"]);
        let mut kernel = wire::text(known(&info.kernel_version)).into_owned();
        if !info.architecture.is_empty() {
            kernel = format!("{kernel} ({})", wire::text(&info.architecture));
        }
        let capacity_type = interner.get(capacity).to_lowercase().replace('_', "-");
        Row {
            name: interner.bytes(&meta.name),
            ready: status.starts_with("Ready"),
            status: interner.text(&status),
            health,
            roles: interner.text(&roles(labels)),
            version: interner.bytes(&info.kubelet_version),
            group,
            group_kind,
            instance_type,
            zone,
            capacity_type: interner.text(&capacity_type),
            taints: interner.text(&taints.join(",")),
            taint_count: u16::try_from(taints.len()).unwrap_or(u16::MAX),
            conditions: interner.text(&conditions.join(",")),
            internal_ip: address("InternalIP").map_or(Sym::EMPTY, |ip| interner.bytes(ip)),
            external_ip: address("ExternalIP").map_or(Sym::EMPTY, |ip| interner.bytes(ip)),
            os_image: interner.bytes(known(&info.os_image)),
            kernel: interner.text(&kernel),
            runtime: interner.bytes(known(&info.container_runtime_version)),
            architecture: interner.bytes(&info.architecture),
            provider_id: interner.bytes(&spec.provider_id),
            instance: interner.text(instance(&wire::text(&spec.provider_id))),
            allocatable: Amounts {
                cpu: amount(&node.allocatable, "cpu").map_or(0, |text| quantity::milli(&text)),
                memory: amount(&node.allocatable, "memory").map_or(0, |text| quantity::units(&text)),
            },
            max_pods: amount(&node.allocatable, "pods")
                .and_then(|text| u32::try_from(quantity::units(&text)).ok())
                .unwrap_or(0),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("status", "Ready or not, schedulable or not", |row, at| at.plain(row.status)).rank(0),
    Column::text("roles", "Roles by label", |row, at| at.symbol(row.roles)).rank(7),
    Column::text("group", "Node group, pool or profile", |row, at| at.symbol(Node::group(row, at.world)))
        .joined()
        .rank(2),
    Column::text("kind", "How the group is run", |row, at| at.symbol(row.group_kind)).wide(),
    Column::text("type", "Instance type", |row, at| at.symbol(row.instance_type)).rank(3),
    Column::text("zone", "Availability zone", |row, at| at.symbol(row.zone)).rank(3),
    Column::text("capacity", "On-demand or spot", |row, at| at.symbol(row.capacity_type)).rank(5),
    Column::number("$/h", "What it costs an hour by list; s by the spot price", |row, at| {
        Node::hourly(row, at.world).map_or(Value::Unknown, Hourly::value)
    })
    .joined()
    .rank(3),
    Column::number("pods", "Pods on it of those it takes", |row, at| {
        Node::of_pods(row, at, |totals| match row.max_pods {
            0 => Value::Int(i64::from(totals.pods)),
            most => Value::Ratio(totals.pods, most),
        })
    })
    .joined()
    .rank(2),
    Column::number("cpu-req", "CPU that its pods ask for", |row, at| {
        Node::of_pods(row, at, |totals| Value::Cpu(totals.requests.cpu))
    })
        .joined()
        .total()
        .rank(5),
    Column::number("%cpu-req", "CPU asked for, percent of allocatable", |row, at| {
        Node::of_pods(row, at, |totals| percent(Metric::Cpu, totals.requests.cpu, row.allocatable.cpu))
    })
    .joined()
    .rank(2),
    Column::number("%cpu-lim", "CPU limits, percent of allocatable", |row, at| {
        Node::of_pods(row, at, |totals| percent(Metric::Cpu, totals.limits.cpu, row.allocatable.cpu))
    })
    .joined()
    .rank(8),
    Column::number("cpu", "CPU in use (metrics.k8s.io)", |_, at| {
        Node::used(at).map_or(Value::Unknown, |used| Value::Cpu(used.cpu))
    })
    .joined()
    .total()
    .rank(5),
    Column::number("%cpu", "CPU in use, percent of allocatable", |row, at| {
        Node::used(at).map_or(Value::Unknown, |used| percent(Metric::Cpu, used.cpu, row.allocatable.cpu))
    })
    .joined()
    .rank(4),
    Column::number("cpu-alloc", "CPU that pods may have", |row, _| match row.allocatable.cpu {
        0 => Value::Unknown,
        milli => Value::Cpu(milli),
    }).total().wide(),
    Column::number("mem-req", "Memory that its pods ask for", |row, at| {
        Node::of_pods(row, at, |totals| Value::Memory(totals.requests.memory))
    })
        .joined()
        .total()
        .rank(5),
    Column::number("%mem-req", "Memory asked for, percent of allocatable", |row, at| {
        Node::of_pods(row, at, |totals| percent(Metric::Memory, totals.requests.memory, row.allocatable.memory))
    })
    .joined()
    .rank(2),
    Column::number("%mem-lim", "Memory limits, percent of allocatable", |row, at| {
        Node::of_pods(row, at, |totals| percent(Metric::Memory, totals.limits.memory, row.allocatable.memory))
    })
    .joined()
    .rank(8),
    Column::number("mem", "Memory in use (metrics.k8s.io)", |_, at| {
        Node::used(at).map_or(Value::Unknown, |used| Value::Memory(used.memory))
    })
    .joined()
    .total()
    .rank(5),
    Column::number("%mem", "Memory in use, percent of allocatable", |row, at| {
        Node::used(at).map_or(Value::Unknown, |used| percent(Metric::Memory, used.memory, row.allocatable.memory))
    })
    .joined()
    .rank(4),
    Column::number("mem-alloc", "Memory that pods may have", |row, _| match row.allocatable.memory {
        0 => Value::Unknown,
        bytes => Value::Memory(bytes),
    })
        .total()
        .wide(),
    Column::number("taints", "Number of taints", |row, _| Value::Int(i64::from(row.taint_count))).rank(6),
    Column::text("taint-list", "Taints", |row, at| at.symbol(row.taints)).wide(),
    Column::text("conditions", "Conditions other than Ready that tell of trouble", |row, at| at.symbol(row.conditions)).rank(5),
    Column::text("internal-ip", "Internal address", |row, at| at.symbol(row.internal_ip)).wide(),
    Column::text("external-ip", "External address", |row, at| at.symbol(row.external_ip)).wide(),
    Column::text("os-image", "Operating system image", |row, at| at.plain(row.os_image)).wide(),
    Column::text("kernel-version", "Kernel and architecture", |row, at| at.plain(row.kernel)).wide(),
    Column::text("container-runtime", "Container runtime", |row, at| at.plain(row.runtime)).wide(),
    Column::text("arch", "Processor architecture", |row, at| at.plain(row.architecture)).wide(),
    Column::text("provider-id", "Instance behind it", |row, at| at.symbol(row.provider_id)).wide(),
    Column::LABELS,
    Column::AGE,
    Column::text("version", "Kubelet version", |row, at| at.plain(row.version)).rank(4),
];

impl Kind for Node {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "nodes",
        kind: "Node",
        group: "",
        version: "v1",
        namespaced: false,
        aliases: &["no", "node"],
        sort: None,
        joins: &["pods", "nodegroups"],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    fn drill(_row: &Row, at: &At<'_>) -> Option<Drill> {
        Some(Drill {
            plural: "pods".to_owned(),
            namespace: None,
            pin: Some(Pin::Column { id: "node", text: at.name.to_owned() }),
        })
    }

    fn joined(joins: &mut Joins, id: u32, old: Option<(&Meta, &Row)>, new: Option<(&Meta, &Row)>) {
        if let Some((_, row)) = new {
            joins.nodes.set(row.name, Some(id));
        } else if let Some((_, row)) = old {
            joins.nodes.set(row.name, None);
        }
        if let Some((_, row)) = old {
            joins.allocatable.subtract(row.allocatable);
            joins.nodes_ready -= usize::from(row.ready);
        }
        if let Some((_, row)) = new {
            joins.allocatable.add(row.allocatable);
            joins.nodes_ready += usize::from(row.ready);
        }
        let place = |row: &Row| (row.group, row.instance);
        if old.map(|(_, row)| place(row)) != new.map(|(_, row)| place(row)) {
            if let Some((_, row)) = old {
                if let Some(slots) = joins.labelled.get_mut(&row.group) {
                    slots.retain(|slot| *slot != id);
                }
                joins.instances.set(row.instance, None);
            }
            if let Some((_, row)) = new {
                if !row.group.is_empty() {
                    joins.labelled.entry(row.group).or_default().push(id);
                }
                if !row.instance.is_empty() {
                    joins.instances.set(row.instance, Some(id));
                }
            }
        }
        joins.bump(NodeGroup::ID);
        let facts = |row: &Row| (row.group, row.zone, row.instance_type, row.capacity_type, row.allocatable);
        if old.map(|(_, row)| facts(row)) != new.map(|(_, row)| facts(row)) {
            joins.bump(Pod::ID);
        }
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
