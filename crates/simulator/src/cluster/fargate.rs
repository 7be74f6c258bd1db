//! Fargate: each pod that a profile selects gets a node of its own, which comes and goes with it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::life::Due;
use super::node::{FARGATE, Machine, Node, NodeState, REGION, ZONES};
use super::pod::{Pod, State};
use super::workload::Workload;
use super::{kubelet, platform, pods, scheduling, seed};
use crate::catalog::{LEASES, NODES, PODS};
use crate::object::{Body, Object, key};
use crate::random::{Random, low};
use crate::world::World;

pub const SCHEDULER: &str = "fargate-scheduler";
/// The label by which a pod belongs to a profile.
pub const PROFILE: &str = "eks.amazonaws.com/fargate-profile";
/// Machines of pods are numbered past those of instances.
const FIRST: u64 = 9_000;

/// What comes due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// The machine of a pod is there.
    Place(Arc<str>, u128),
    /// The pod of a node is gone.
    Leave(Arc<str>),
}

/// A machine for one pod.
pub fn machine(random: &mut Random, created: i64) -> Machine {
    let number = u32::try_from(FIRST + random.below(6_000)).unwrap_or(0);
    let ip = seed::machine_address(number);
    let address = Ipv4Addr::from(ip).to_string().replace('.', "-");
    Machine {
        name: format!("fargate-ip-{address}.{REGION}.compute.internal").into(),
        ip,
        group: FARGATE,
        zone: number as usize % ZONES.len(),
        instance: random.next(),
        uid: random.uid(),
        created,
        claim: None,
    }
}

/// A workload as Fargate's webhook admits it, where a profile selects its pods and nobody has noted that yet.
pub fn admitted(world: &World, workload: &Arc<Workload>) -> Arc<Workload> {
    let profile = world.cluster.size.site.profile(&workload.namespace, &workload.template_labels());
    if profile == workload.fargate || workload.controller == super::workload::Controller::DaemonSet {
        return Arc::clone(workload);
    }
    Arc::new(Workload { fargate: profile, shared: std::sync::OnceLock::new(), ..Workload::clone(workload) })
}

/// Has a machine made for a new pod.
pub fn schedule(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    if pod.state != State::New {
        return;
    }
    kubelet::turn(world, object, pod, State::Pending, None, |_| {});
    let delay = world.random.between(30_000, 50_000);
    world.life.clock.after(delay, Due::Fargate(Task::Place(Arc::clone(&object.key), pod.uid)));
}

/// What is due happens.
pub fn step(world: &mut World, task: Task) {
    match task {
        Task::Place(key, uid) => place(world, &key, uid),
        Task::Leave(name) => {
            world.remove(NODES, &name);
            world.remove(LEASES, &key("kube-node-lease", &name));
        }
    }
}

fn place(world: &mut World, key: &Arc<str>, uid: u128) {
    let Some(object) = world.get(PODS, key) else { return };
    let Some(pod) = pods::pod(&object).filter(|pod| pod.uid == uid && pod.state == State::Pending) else { return };
    let now = world.now();
    let mut random = Random::new(low(uid));
    let mut machine = machine(&mut random, now);
    while world.get(NODES, &machine.name).is_some() {
        machine = self::machine(&mut random, now);
    }
    let machine = Arc::new(machine);
    let look = world.cluster.looks.of(&machine, NodeState::Ready, false, None);
    let node = Node { machine: Arc::clone(&machine), look, heartbeat: now, changed: now };
    world.put(NODES, Arc::clone(&machine.name), Body::Node(node));
    let lease = platform::lease(world.cluster.size, "kube-node-lease", &machine.name, &machine.name, 40, now);
    world.put_value(LEASES, lease);
    scheduling::bind(world, &object, pod, &machine);
}

/// A pod is gone, and so will be its node.
pub fn left(world: &mut World, pod: &Pod) {
    if let Some(machine) = pod.node.as_ref().filter(|machine| machine.group == FARGATE) {
        let name = Arc::clone(&machine.name);
        world.life.clock.after(3_000, Due::Fargate(Task::Leave(name)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admission::options::Writing;
    use crate::catalog::{DAEMON_SETS, NODE_CLAIMS};
    use crate::cluster::seed::Size;
    use crate::cluster::site::GROUPLESS;
    use crate::cluster::store::{self, Deletion};
    use crate::cluster::story::STORIES;
    use crate::cluster::{life, story};

    fn living() -> World {
        let mut world = World::new(Size { nodes: 8, pods: 100, seed: 2, now: 1_772_323_200, site: &GROUPLESS });
        life::begin(&mut world, None);
        story::prepare(&mut world, &STORIES[0]);
        world
    }

    fn run(world: &mut World, seconds: i64) {
        let end = world.life.clock.now() + seconds * 1000;
        assert!(life::advance(world, end, usize::MAX));
    }

    fn nodes(world: &World) -> Vec<Value> {
        let nodes: Vec<_> = world.snapshot(NODES, "").objects.iter().map(|object| object.value()).collect();
        nodes
            .into_iter()
            .filter(|node| node["metadata"]["labels"]["eks.amazonaws.com/compute-type"] == "fargate")
            .collect()
    }

    /// Each machine of Fargate's has one pod, and that is of a profile; each such pod has one.
    fn check(world: &World) {
        let pods: Vec<_> = world.snapshot(PODS, "").objects.iter().map(|object| object.value()).collect();
        let nodes = nodes(world);
        for node in &nodes {
            let name = &node["metadata"]["name"];
            let own: Vec<_> = pods.iter().filter(|pod| pod["spec"]["nodeName"] == *name).collect();
            assert_eq!(own.len(), 1, "{name}");
            assert!(own[0]["metadata"]["labels"][PROFILE].is_string(), "{name}");
            assert_eq!(own[0]["spec"]["schedulerName"], SCHEDULER);
            assert!(name.as_str().unwrap().starts_with("fargate-ip-"));
            let id = node["spec"]["providerID"].as_str().unwrap();
            assert!(id.starts_with("aws:///eu-west-1") && id.ends_with(name.as_str().unwrap()), "{id}");
            assert_eq!(node["spec"]["taints"][0]["key"], "eks.amazonaws.com/compute-type");
        }
        let of_profiles = pods.iter().filter(|pod| pod["metadata"]["labels"][PROFILE].is_string());
        assert_eq!(of_profiles.filter(|pod| pod["spec"]["nodeName"].is_string()).count(), nodes.len());
    }

    #[test]
    fn a_pod_of_a_profile_has_a_node_for_itself() {
        let mut world = living();
        check(&world);
        let before = nodes(&world).len();
        assert!(before >= 2, "Karpenter itself runs there");
        assert_eq!(world.count(NODES), 8 + before);
        assert_eq!(world.count(NODE_CLAIMS), 8, "all others are Karpenter's");
        let sets = world.snapshot(DAEMON_SETS, "").objects;
        assert!(!sets.is_empty());
        let pod = json!({ "metadata": { "name": "own" }, "spec": { "containers": [{
            "name": "pause", "image": "registry.k8s.io/pause:3.10" }] } });
        store::create(&mut world, PODS, "karpenter", pod, &Writing::default()).unwrap();
        run(&mut world, 90);
        check(&world);
        assert_eq!(nodes(&world).len(), before + 1);
        assert_eq!(world.get(PODS, "karpenter/own").unwrap().value()["status"]["phase"], "Running");
        for set in world.snapshot(DAEMON_SETS, "").objects.iter() {
            assert_eq!(set.value()["status"]["desiredNumberScheduled"], 8, "daemons do not run there");
        }
        store::delete(&mut world, PODS, &"karpenter/own".into(), &Deletion::default()).unwrap();
        run(&mut world, 90);
        check(&world);
        assert_eq!(nodes(&world).len(), before);
        run(&mut world, 900);
        assert_eq!(
            (world.count(NODE_CLAIMS), world.count(NODES)),
            (8, 8 + before),
            "nothing is wrong, so nothing happens"
        );
    }
}
