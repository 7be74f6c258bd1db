//! Instances in the cluster: they join as nodes, are emptied, and leave. The rest of a node's life is the cluster's.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;

use super::cloud::Instance;
use super::scaling::Step;
use crate::catalog::{LEASES, NODES};
use crate::cluster::life::Due;
use crate::cluster::node::{Machine, Node, NodeState, REGION, ZONES};
use crate::cluster::recorder::{self, Word};
use crate::cluster::workload::Controller;
use crate::cluster::{lifecycle, platform, pods};
use crate::encoding::template::Short;
use crate::karpenter;
use crate::object::{Body, key};
use crate::world::World;

/// An address for a new machine in a zone.
pub fn address(world: &mut World, zone: usize) -> u32 {
    let zones = u32::try_from(ZONES.len()).unwrap_or(1);
    // The next number that falls into this zone: machines of the beginning are numbered in the same way.
    let zone = u32::try_from(zone).unwrap_or(0);
    world.cloud.numbered += zones;
    let number = world.cloud.numbered / zones * zones + zone;
    crate::cluster::seed::machine_address(number)
}

fn node(world: &World, name: &str) -> Option<Node> {
    match &world.get(NODES, name)?.body {
        Body::Node(node) => Some(node.clone()),
        _ => None,
    }
}

fn tell(world: &mut World, machine: &Machine, reason: &str, component: &str, message: &str) {
    let involved = json!({
        "kind": "Node", "apiVersion": "v1", "name": &*machine.name, "uid": Short::uuid(machine.uid).as_str(),
    });
    let host = if component == "kubelet" { &*machine.name } else { "" };
    recorder::tell(world, &involved, Word { warning: false, reason, component, host, message });
}

/// The group of the simulated cluster whose machine an instance becomes; none where no cluster is simulated behind it.
pub fn pool(world: &World, number: u64) -> Option<usize> {
    let instance = world.cloud.instances.get(&number)?;
    match (&instance.claimed, instance.group) {
        (Some(claimed), _) => Some(claimed.like),
        (None, Some(group)) => world.cloud.groups[group].pool,
        (None, None) => None,
    }
}

/// Whether nobody has ended it.
fn stays(instance: &Instance) -> bool {
    if instance.claimed.is_some() { matches!(instance.state, "pending" | "running") } else { instance.counts() }
}

/// An instance has booted: its kubelet registers, and waits for its network.
pub fn join(world: &mut World, number: u64) {
    let (uid, now) = (world.cloud.random.uid(), world.now());
    let Some(pool) = pool(world, number) else { return };
    let Some(instance) = world.cloud.instances.get(&number).filter(|instance| stays(instance)) else { return };
    if instance.state != "running" {
        return;
    }
    let name: Arc<str> =
        format!("ip-{}.{REGION}.compute.internal", Ipv4Addr::from(instance.ip).to_string().replace('.', "-")).into();
    let machine = Arc::new(Machine {
        name: Arc::clone(&name),
        ip: instance.ip,
        group: pool,
        zone: instance.zone,
        instance: number,
        uid,
        created: now,
        claim: instance.claimed.as_ref().map(|claimed| claimed.claim.clone()),
    });
    let own = machine.claim.as_ref().map(|claim| Arc::new(karpenter::joining(world, claim, pool, machine.zone)));
    let look = world.cluster.looks.of(&machine, NodeState::NotReady, false, own);
    let node = Node { machine: Arc::clone(&machine), look, heartbeat: now, changed: now };
    world.put(NODES, Arc::clone(&name), Body::Node(node));
    if world.count(NODES) <= platform::MOST_LEASES as usize {
        let lease = platform::lease(world.cluster.size, "kube-node-lease", &name, &name, 40, now);
        world.put_value(LEASES, lease);
    }
    tell(world, &machine, "Starting", "kubelet", "Starting kubelet.");
    let message = format!("Node {name} event: Registered Node {name} in Controller");
    tell(world, &machine, "RegisteredNode", "node-controller", &message);
    if let Some(instance) = world.cloud.instances.get_mut(&number) {
        instance.node = Some(name);
    }
    let delay = world.cloud.random.between(7_000, 12_000);
    world.life.clock.after(delay, Due::Cloud(Step::Ready(number)));
}

/// Its network is there.
pub fn ready(world: &mut World, number: u64) {
    let Some(instance) = world.cloud.instances.get(&number).filter(|instance| stays(instance)) else { return };
    if let Some(name) = instance.node.clone() {
        lifecycle::turn(world, &name, NodeState::Ready);
    }
}

/// The node is told that its instance will be taken away.
pub fn warn(world: &mut World, number: u64) {
    let Some(node) = name(world, number).and_then(|name| node(world, &name)) else { return };
    let message = "Spot interruption notice received: the instance will be terminated in 2 minutes";
    tell(world, &node.machine, "SpotInterruption", "aws-node-termination-handler", message);
}

/// Cordons the node of an instance and deletes its pods, without asking their budgets.
pub fn empty(world: &mut World, number: u64) {
    let Some(name) = name(world, number) else { return };
    let Some(before) = node(world, &name) else { return };
    let look = world.cluster.looks.of(&before.machine, before.look.state, true, before.look.own.clone());
    let (machine, now) = (Arc::clone(&before.machine), world.now());
    world.put(NODES, Arc::clone(&name), Body::Node(Node { look, changed: now, ..before }));
    let message = format!("Node {name} status is now: NodeNotSchedulable");
    tell(world, &machine, "NodeNotSchedulable", "kubelet", &message);
    for object in lifecycle::on(world, &name) {
        if pods::pod(&object).is_some_and(|pod| pod.workload.controller != Controller::DaemonSet) {
            pods::delete(world, &object.key, None);
        }
    }
}

fn name(world: &World, number: u64) -> Option<Arc<str>> {
    world.cloud.instances.get(&number)?.node.clone()
}

/// The instance shuts down: nothing is heard of its node any more.
pub fn silence(world: &mut World, number: u64) {
    if let Some(name) = name(world, number) {
        lifecycle::turn(world, &name, NodeState::Unreachable);
    }
}

/// The instance is gone, and the node with all that was on it.
pub fn leave(world: &mut World, number: u64) {
    let Some(name) = name(world, number) else { return };
    if let Some(node) = node(world, &name).filter(|node| node.machine.claim.is_some()) {
        tell(world, &node.machine, "Finalized", "karpenter", "Finalized karpenter.sh/termination");
    } else if let Some(node) = node(world, &name) {
        let message = format!("Deleting node {name} because it does not exist in the cloud provider");
        tell(world, &node.machine, "DeletingNode", "cloud-node-lifecycle-controller", &message);
    }
    for object in lifecycle::on(world, &name) {
        pods::delete(world, &object.key, Some(0));
    }
    world.remove(NODES, &name);
    world.remove(LEASES, &key("kube-node-lease", &name));
    if let Some(instance) = world.cloud.instances.get_mut(&number) {
        instance.node = None;
    }
}
