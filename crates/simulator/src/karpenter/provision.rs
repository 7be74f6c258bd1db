//! Claims for pods that no node takes: as few as their pods fit on, within the limits of their pools.

use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::{self, owner, requirement};
use super::offer::{self, Offer};
use super::pool::{self, LABEL, Pool};
use super::{node, tell};
use crate::aws::cluster_autoscaler;
use crate::catalog::{NODE_CLAIMS, PODS};
use crate::cluster::life;
use crate::cluster::node::{GROUPS, NodeState, TERMINATION, ZONES};
use crate::cluster::pod::{Pod, State};
use crate::cluster::recorder;
use crate::cluster::scheduler::Used;
use crate::cluster::workload::Controller;
use crate::encoding::template::{Short, rfc3339};
use crate::object::{Body, Object};
use crate::world::World;

/// More pods than this are not looked at in one round.
const MOST: usize = 200;
/// Within this many seconds the scheduler has given pods to a new node.
const YOUNG_S: i64 = 300;
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// A node that there will be.
struct Plan {
    pool: usize,
    /// What it may be, the cheapest first.
    offers: Vec<Offer>,
    used: Used,
    pods: u32,
    /// Who owns its pods.
    owners: Vec<u128>,
    /// The claim of one that has been asked for already.
    claim: Option<Arc<str>>,
}

impl Plan {
    fn take(&mut self, pod: &Pod) -> bool {
        let owner = pod.workload.owner_uid();
        let alike = u32::try_from(self.owners.iter().filter(|other| **other == owner).count()).unwrap_or(u32::MAX);
        if !self.offers.iter().any(|offer| offer.takes(pod, self.used, alike)) {
            return false;
        }
        self.offers.retain(|offer| offer.takes(pod, self.used, alike));
        self.used.add(pod.workload.needs());
        self.pods += 1;
        self.owners.push(owner);
        true
    }
}

/// A pod with what becomes of it: the place of its plan, or why there is none.
type Placed = (Arc<Object>, Pod, Result<usize, String>);

pub fn run(world: &mut World) {
    let pods = waiting(world);
    if pods.is_empty() {
        return;
    }
    let pools = Pool::all(world);
    let (plans, placed) = plan(world, &pools, pods);
    let claims: Vec<_> = plans
        .into_iter()
        .map(|plan| match plan.claim {
            Some(claim) => claim,
            None => create(world, &pools[plan.pool], &plan.offers, Some((plan.used, plan.pods))),
        })
        .collect();
    world.karpenter.nominated.clear();
    for (object, pod, place) in placed {
        if let Ok(at) = place {
            world.karpenter.nominated.insert(pod.uid, Arc::clone(&claims[at]));
        }
        let involved = recorder::pod_reference(&object, &pod, "");
        match place {
            Ok(at) => {
                let message = format!("Pod should schedule on: nodeclaim/{}", claims[at]);
                tell(world, &involved, false, "Nominated", &message);
            }
            Err(why) if why.is_empty() => {}
            Err(why) => tell(world, &involved, true, "FailedScheduling", &format!("Failed to schedule pod, {why}")),
        }
    }
}

/// Pods that wait for a node, and that no other autoscaler has nodes for: two that answer would buy twice.
fn waiting(world: &mut World) -> Vec<(Arc<Object>, Pod)> {
    let keys: Vec<_> = world.life.waiting.iter().take(MOST).cloned().collect();
    let mut pods = Vec::new();
    for key in keys {
        let Some(object) = world.get(PODS, &key) else { continue };
        if let Body::Pod(pod) = &object.body
            && pod.state == State::Pending
            && !cluster_autoscaler::grows_for(world, pod)
        {
            pods.push((Arc::clone(&object), pod.clone()));
        }
    }
    pods
}

/// Nodes that come already or have just come, and new ones for the pods that these do not take.
fn plan(world: &mut World, pools: &[Pool], pods: Vec<(Arc<Object>, Pod)>) -> (Vec<Plan>, Vec<Placed>) {
    let overhead = overhead(world);
    let offers: Vec<_> = pools.iter().map(|pool| pool.offers(world)).collect();
    let mut used: Vec<_> = pools.iter().map(|pool| pool::used(pool.claims(world).iter())).collect();
    let mut plans = coming(world, pools, overhead);
    let mut placed = Vec::new();
    for (object, pod) in pods {
        // What it was promised before comes first.
        let promised = world.karpenter.nominated.get(&pod.uid);
        let again = promised.and_then(|claim| plans.iter().position(|plan| plan.claim.as_ref() == Some(claim)));
        let again = again.filter(|at| plans[*at].take(&pod));
        if let Some(at) = again.or_else(|| plans.iter_mut().position(|plan| plan.take(&pod))) {
            placed.push((object, pod, Ok(at)));
            continue;
        }
        let mut why = Vec::new();
        for (at, pool) in pools.iter().enumerate() {
            let blank = |offers| Plan { pool: at, offers, used: overhead, pods: 0, owners: Vec::new(), claim: None };
            let within = |offer: &&Offer| pool.has_room(used[at], GROUPS[offer.group].instance.cpus);
            let mut plan = blank(offers[at].iter().filter(within).cloned().collect());
            if plan.take(&pod) {
                // The most that it may come to is taken from the limit.
                let cpus = plan.offers.iter().map(|offer| GROUPS[offer.group].instance.cpus).max().unwrap_or(0);
                used[at] = (used[at].0 + cpus, used[at].1 + 1);
                plans.push(plan);
                break;
            }
            why.push(obstacle(pool, &pod, &offers[at], blank(offers[at].clone()).take(&pod), plan.used));
        }
        let made = why.len() < pools.len();
        let place = if made { Ok(plans.len() - 1) } else { Err(why.join("; ")) };
        placed.push((object, pod, place));
    }
    (plans, placed)
}

/// Why a pool makes no node for a pod.
fn obstacle(pool: &Pool, pod: &Pod, offers: &[Offer], would: bool, used: Used) -> String {
    let needs = pod.workload.needs();
    if let Some([key, value, effect]) = pool.taints.iter().find(|taint| !needs.tolerates(taint)) {
        return format!("did not tolerate taint (taint={key}={value}:{effect})");
    }
    if would {
        return format!("all available instance types exceed limits for nodepool (NodePool={})", pool.name);
    }
    let requirements: Vec<_> = pool
        .requirements
        .iter()
        .map(|one| format!("{} {} [{}]", one.key, one.operator, one.values.join(" ")))
        .collect();
    let mut sum = used;
    sum.add(needs);
    let what = if offers.is_empty() {
        "no instance type has the required offering"
    } else if offers.iter().any(|offer| needs.selects("", &offer.facts)) {
        "no instance type has enough resources"
    } else {
        "no instance type met all requirements"
    };
    format!("{what}, requirements={}, resources={}", requirements.join(", "), requests(sum, sum.pods))
}

/// What the daemons of a new node take of it.
fn overhead(world: &World) -> Used {
    let mut used = Used::default();
    let sets = world.cluster.workloads.iter().filter(|workload| workload.controller == Controller::DaemonSet);
    sets.for_each(|set| used.add(set.needs()));
    used
}

/// Claims whose nodes are not ready yet, and nodes so young that the scheduler has not filled them.
fn coming(world: &mut World, pools: &[Pool], overhead: Used) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (at, pool) in pools.iter().enumerate() {
        for claim in pool.claims(world).into_iter().filter(|claim| !life::is_deleted(claim)) {
            let name: Arc<str> = claim["metadata"]["name"].as_str().unwrap_or_default().into();
            let (offers, used) = match node(world, &claim) {
                Some((_, node)) if node.look.state == NodeState::Ready => {
                    if node.look.cordoned || world.now() - node.machine.created > YOUNG_S {
                        continue;
                    }
                    let facts = node.look.facts.clone();
                    let offer = Offer { group: node.machine.group, zone: node.machine.zone, facts, price: 0 };
                    (vec![offer], world.life.index.used(node.machine.uid))
                }
                _ => (super::claim::offers(world, &claim), overhead),
            };
            plans.push(Plan { pool: at, offers, used, pods: 0, owners: Vec::new(), claim: Some(name) });
        }
    }
    plans
}

fn requests(used: Used, pods: u32) -> Value {
    let cpu = if used.cpu.is_multiple_of(1000) { (used.cpu / 1000).to_string() } else { format!("{}m", used.cpu) };
    json!({ "cpu": cpu, "memory": format!("{}Mi", used.memory_mib), "pods": pods.to_string() })
}

/// A claim of a pool whose size is fixed.
pub fn create_static(world: &mut World, pool: &Pool) {
    let offers = pool.offers(world);
    if !offers.is_empty() {
        create(world, pool, &offers, None);
    }
}

/// Makes a claim that any of these offers would do for. Gives its name.
fn create(world: &mut World, pool: &Pool, offers: &[Offer], asked: Option<(Used, u32)>) -> Arc<str> {
    let now = world.now();
    let (uid, name) = (world.karpenter.random.uid(), format!("{}-{}", pool.name, world.karpenter.random.suffix(5)));
    let template = &pool.value["spec"]["template"];
    let mut annotations = objects::annotations();
    let of_pool = pool.value["metadata"]["annotations"].as_object().into_iter().flatten();
    let hashes = of_pool.filter(|(name, _)| name.starts_with(pool::HASH));
    for (name, value) in hashes.chain(template["metadata"]["annotations"].as_object().into_iter().flatten()) {
        annotations[name] = value.clone();
    }
    let mut types: Vec<_> = offers.iter().map(|offer| GROUPS[offer.group].instance.name).collect();
    types.sort_unstable();
    types.dedup();
    let of_types = "node.kubernetes.io/instance-type";
    let given = template["spec"]["requirements"].as_array().into_iter().flatten();
    let mut requirements: Vec<_> = given.filter(|one| one["key"] != of_types).cloned().collect();
    let mut zones: Vec<_> =
        offers.iter().filter_map(|offer| offer.facts.labels.get(ZONE)).map(String::as_str).collect();
    zones.sort_unstable();
    zones.dedup();
    if zones.len() < ZONES.len() {
        requirements.retain(|one| one["key"] != ZONE);
        requirements.push(requirement(ZONE, zones));
    }
    let class = &template["spec"]["nodeClassRef"];
    requirements.push(requirement(of_types, types));
    requirements.push(requirement(LABEL, [pool.name.as_str()]));
    requirements.push(requirement(offer::CLASS, [class["name"].as_str().unwrap_or_default()]));
    let mut spec = template["spec"].clone();
    spec["requirements"] = requirements.into();
    spec["resources"] = json!({});
    if let Some((used, pods)) = asked {
        spec["resources"]["requests"] = requests(used, used.pods.max(pods));
    }
    let value = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {
            "name": name, "generateName": format!("{}-", pool.name), "uid": Short::uuid(uid).as_str(), "generation": 1,
            "creationTimestamp": rfc3339(now), "annotations": annotations, "labels": pool.labels(),
            "finalizers": [TERMINATION], "ownerReferences": [owner(&pool.name, &pool.value["metadata"]["uid"])],
        },
        "spec": spec,
    });
    let stored = world.put_value(NODE_CLAIMS, value);
    Arc::clone(&stored.key)
}
