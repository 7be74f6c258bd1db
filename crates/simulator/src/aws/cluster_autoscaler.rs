//! The cluster autoscaler: groups grow for pods that wait, and shrink by nodes that stayed empty. Its events are those of
//! the real one (release 1.34); it talks to the Auto Scaling groups as that does, past EKS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::autoscaler_status;
use super::cloud;
use super::group::Group;
use super::scaling::{self, Sizes};
use crate::catalog::{DAEMON_SETS, NODES, PODS};
use crate::clock::Moment;
use crate::cluster::node::{Facts, Machine, NodeState};
use crate::cluster::pod::{Pod, State};
use crate::cluster::recorder::{self, Word};
use crate::cluster::scheduler::{self, Candidate, Used};
use crate::cluster::workload::Controller;
use crate::object::{Body, Object};
use crate::world::World;

const COMPONENT: &str = "cluster-autoscaler";
/// A node that nobody needs goes after this long (`--scale-down-unneeded-time`).
const UNNEEDED: Moment = 600_000;
/// More pods than this are not looked at in one round.
const MOST: usize = 200;

/// A node that a group could have.
struct Imagined {
    group: usize,
    facts: Facts,
    used: Used,
    /// It has been asked for already.
    coming: bool,
}

/// One round; only where somebody tells a story.
pub fn run(world: &mut World) {
    if world.story.is_none() {
        return;
    }
    cloud::open(world);
    grow(world);
    shrink(world);
    let groups: Vec<_> = managed(world).into_iter().map(|(group, _)| group).collect();
    if !groups.is_empty() {
        let unneeded = !world.cloud.empty_since.is_empty();
        autoscaler_status::write(world, &groups, unneeded);
    }
}

/// Whether a group has just failed to launch: it is left alone for a while.
pub fn is_failing(group: &Group) -> bool {
    group.activities.front().is_some_and(|activity| activity.status == "Failed")
}

/// The groups that it manages: those that carry its tags and have nodes here.
fn managed(world: &World) -> Vec<(usize, usize)> {
    let groups = world.cloud.groups.iter().enumerate();
    groups.filter(|(_, group)| group.managed.is_some()).filter_map(|(at, group)| Some((at, group.pool?))).collect()
}

fn facts(world: &mut World, pool: usize) -> Facts {
    // As any ready machine of the pool would be.
    let machine =
        Machine { name: "".into(), ip: 0, group: pool, zone: 0, instance: 0, uid: 0, created: 0, claim: None };
    world.cluster.looks.of(&machine, NodeState::Ready, false, None).facts.clone()
}

fn waiting(world: &World) -> Vec<(Arc<Object>, Pod)> {
    let waits = |object: Arc<Object>| match &object.body {
        Body::Pod(pod) if pod.state == State::Pending => Some((Arc::clone(&object), pod.clone())),
        _ => None,
    };
    world.life.waiting.iter().take(MOST).filter_map(|key| world.get(PODS, key)).filter_map(waits).collect()
}

fn fits(pod: &Pod, node: &Imagined) -> bool {
    let candidate =
        Candidate { name: "", facts: &node.facts, cordoned: false, used: node.used, alike: 0, alike_in_zone: 0 };
    scheduler::choose(pod.workload.needs(), &[candidate]).is_ok()
}

/// Whether it has a group that it may grow for a pod.
pub fn grows_for(world: &mut World, pod: &Pod) -> bool {
    managed(world).into_iter().any(|(group, pool)| {
        let facts = facts(world, pool);
        let of = &world.cloud.groups[group];
        of.desired < of.max && fits(pod, &Imagined { group, facts, used: Used::default(), coming: false })
    })
}

fn grow(world: &mut World) {
    let pods = waiting(world);
    if pods.is_empty() {
        return;
    }
    let mut nodes = Vec::new();
    let mut offers = Vec::new();
    for (group, pool) in managed(world) {
        let facts = facts(world, pool);
        let of = &world.cloud.groups[group];
        let ready = world.cloud.members(group).filter(|it| it.node.is_some() && it.counts()).count();
        for _ in ready..of.desired as usize {
            nodes.push(Imagined { group, facts: facts.clone(), used: Used::default(), coming: true });
        }
        offers.push((group, facts, if is_failing(of) { 0 } else { of.max.saturating_sub(of.desired) }));
    }
    let mut said = Vec::new();
    for (object, pod) in pods {
        let needs = pod.workload.needs();
        if let Some(node) = nodes.iter_mut().find(|node| fits(&pod, node)) {
            node.used.add(needs);
            if !node.coming {
                said.push((object, pod, Some(node.group)));
            }
            continue;
        }
        let blank = |(group, facts, _): &(usize, Facts, u32)| Imagined {
            group: *group,
            facts: facts.clone(),
            used: Used::default(),
            coming: false,
        };
        match offers.iter_mut().find(|offer| offer.2 > 0 && fits(&pod, &blank(offer))) {
            Some(offer) => {
                offer.2 -= 1;
                let mut node = blank(offer);
                node.used.add(needs);
                said.push((object, pod, Some(node.group)));
                nodes.push(node);
            }
            None => said.push((object, pod, None)),
        }
    }
    let mut grown = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.coming) {
        *grown.entry(node.group).or_insert(0) += 1;
    }
    let mut plans = BTreeMap::new();
    for (at, more) in grown {
        let group = &world.cloud.groups[at];
        let (min, max, from) = (group.min, group.max, group.desired);
        plans.insert(at, format!("[{{{} {from}->{} (max: {max})}}]", group.asg, from + more));
        let sizes = Sizes { min, max, desired: from + more };
        scaling::resize_past_eks(world, at, sizes, "a user request explicitly set group desired capacity");
    }
    for (object, pod, group) in said {
        let (reason, message) = match group.and_then(|group| plans.get(&group)) {
            Some(plan) => ("TriggeredScaleUp", format!("pod triggered scale-up: {plan}")),
            None => ("NotTriggerScaleUp", format!("pod didn't trigger scale-up: {}", obstacles(world, &pod))),
        };
        let involved = recorder::pod_reference(&object, &pod, "");
        let word = Word { warning: false, reason, component: COMPONENT, host: "", message: &message };
        recorder::tell(world, &involved, word);
    }
}

/// Why no group can be grown for a pod.
fn obstacles(world: &mut World, pod: &Pod) -> String {
    let (mut full, mut unfit) = (0, 0);
    for (group, pool) in managed(world) {
        let facts = facts(world, pool);
        let node = Imagined { group, facts, used: Used::default(), coming: false };
        let of = &world.cloud.groups[group];
        if fits(pod, &node) && of.desired >= of.max {
            full += 1;
        } else if !fits(pod, &node) {
            unfit += 1;
        }
    }
    let mut parts = Vec::new();
    if full > 0 {
        parts.push(format!("{full} max node group size reached"));
    }
    if unfit > 0 {
        parts.push(format!("{unfit} node(s) didn't match Pod's node affinity/selector"));
    }
    if parts.is_empty() { "no node group could be grown".to_owned() } else { parts.join(", ") }
}

/// The chosen machines on which nothing runs but daemons.
pub fn empty(world: &World, chosen: impl Fn(&Machine) -> bool) -> Vec<Arc<Machine>> {
    // Who has more pods than there are daemons is needed: in a large cluster that saves looking at each pod.
    let daemons = u32::try_from(world.count(DAEMON_SETS)).unwrap_or(u32::MAX);
    let idle = |object: &Object| match &object.body {
        Body::Node(node) if chosen(&node.machine) && world.life.index.used(node.machine.uid).pods <= daemons => {
            Some(Arc::clone(&node.machine))
        }
        _ => None,
    };
    let mut idle: Vec<_> =
        world.nodes.iter().filter_map(|name| world.get(NODES, name)).filter_map(|object| idle(&object)).collect();
    if idle.is_empty() {
        return idle;
    }
    let mut busy = BTreeSet::new();
    for object in world.snapshot(PODS, "").objects.iter() {
        if let Body::Pod(pod) = &object.body
            && let Some(node) = &pod.node
            && pod.workload.controller != Controller::DaemonSet
            && !matches!(pod.state.phase(), "Succeeded" | "Failed")
        {
            busy.insert(node.uid);
        }
    }
    idle.retain(|machine| !busy.contains(&machine.uid));
    idle
}

/// Ends one node that has been empty for long enough.
fn shrink(world: &mut World) {
    let now = world.life.clock.now();
    let mut empty = BTreeMap::new();
    for machine in self::empty(world, |machine| machine.claim.is_none()) {
        let since = world.cloud.empty_since.get(&machine.instance).copied().unwrap_or(now);
        empty.insert(machine.instance, since);
    }
    world.cloud.empty_since.clone_from(&empty);
    let shrinks = |number: &u64| {
        let at = world.cloud.instances.get(number)?.group?;
        let group = &world.cloud.groups[at];
        (group.managed.is_some() && group.desired > group.min).then_some((*number, at))
    };
    let mut due = empty.iter().filter(|(_, since)| now - **since >= UNNEEDED).map(|(number, _)| number);
    let Some((number, at)) = due.find_map(shrinks) else { return };
    let group = &world.cloud.groups[at];
    let sizes = Sizes { min: group.min, max: group.max, desired: group.desired - 1 };
    let cause = format!(
        "instance {} was taken out of service in response to a user request, shrinking the capacity from {} to {}.",
        cloud::instance_id(number),
        group.desired,
        sizes.desired
    );
    let named = world.cloud.instances.get(&number).and_then(|instance| instance.node.clone());
    if scaling::terminate(world, number, &cause, None).is_some() {
        scaling::resize_past_eks(world, at, sizes, "a user request");
        if let Some(name) = named {
            let involved = serde_json::json!({ "kind": "Node", "apiVersion": "v1", "name": &*name });
            let word = Word {
                warning: false,
                reason: "ScaleDown",
                component: COMPONENT,
                host: "",
                message: "node removed by cluster autoscaler",
            };
            recorder::tell(world, &involved, word);
        }
    }
}
