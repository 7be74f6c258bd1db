//! A claim on its way to a node: an instance is launched, its node registers, and is initialized once it is ready.

use std::sync::Arc;

use serde_json::{Value, json};

use super::objects;
use super::offer::{self, Offer};
use super::pool::{self, LABEL, set, state};
use super::provision::ZONE;
use super::{Task, after, mark, node, say, termination};
use crate::aws::cloud::{self, Claimed, Instance};
use crate::aws::{machines, scaling};
use crate::catalog::{NODE_CLAIMS, NODE_POOLS, NODES};
use crate::clock::Moment;
use crate::cluster::life;
use crate::cluster::node::{Claim, GROUPS, Node, NodeState, Own, REGION, REGISTERED, TERMINATION};
use crate::cluster::scheduler::Requirement;
use crate::object::{Body, Object};
use crate::world::World;

/// What EC2 had nothing of is left alone for so long.
const UNAVAILABLE: Moment = 180_000;
/// Keeps pods from a node that Karpenter does not know yet.
const UNREGISTERED: &str = "karpenter.sh/unregistered";
const INITIALIZED: &str = "karpenter.sh/initialized";

/// Stores a claim whose conditions have changed, with what follows for `Ready`, and says what changed.
pub fn store(world: &mut World, before: &Value, mut value: Value) -> Arc<Object> {
    let now = world.now();
    let waits: Vec<_> = ["Initialized", "Launched", "Registered"]
        .into_iter()
        .filter_map(|kind| {
            state(&value, kind).filter(|status| *status != "True").map(|status| format!("{kind}={status}"))
        })
        .collect();
    if waits.is_empty() {
        set(&mut value, "Ready", "True", "Ready", "", now);
    } else {
        set(&mut value, "Ready", "Unknown", "ReconcilingDependents", &waits.join(", "), now);
    }
    if *before == value {
        let key = value["metadata"]["name"].as_str().unwrap_or_default();
        if let Some(object) = world.get(NODE_CLAIMS, key) {
            return object;
        }
    }
    let stored = world.put_value(NODE_CLAIMS, value.clone());
    for condition in value["status"]["conditions"].as_array().into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap_or_default();
        let (old, new) = (state(before, kind), condition["status"].as_str().unwrap_or_default());
        // What is only waited for is no news.
        let old = old.unwrap_or("Unknown");
        if old != new {
            let reason = condition["reason"].as_str().unwrap_or_default();
            let message =
                format!("Status condition transitioned, Type: {kind}, Status: {old} -> {new}, Reason: {reason}");
            say(world, &stored, false, reason, &message);
        }
    }
    if let Some(pool) = value["metadata"]["labels"][LABEL].as_str() {
        world.life.mark(NODE_POOLS, &pool.into());
    }
    stored
}

/// The next step of a claim that stays.
pub fn reconcile(world: &mut World, object: &Arc<Object>, value: Value) {
    let (before, mut value, now) = (value.clone(), value, world.now());
    let Some(launched) = state(&value, "Launched") else {
        for kind in ["Launched", "Registered", "Initialized"] {
            let message = "object is awaiting reconciliation";
            set(&mut value, kind, "Unknown", "AwaitingReconciliation", message, now);
        }
        value["metadata"]["finalizers"] = json!([TERMINATION]);
        store(world, &before, value);
        after(world, [1_500, 3_000], Task::Launch(Arc::clone(&object.key)));
        return;
    };
    if launched != "True" {
        return;
    }
    let found = joined(world, &value);
    if found.is_none() && instance(world, &value).is_none_or(ended) {
        // Somebody else ended the instance.
        termination::begin(world, &object.key);
        return;
    }
    let Some(found) = found else { return };
    if found.look.own.as_ref().is_some_and(|own| own.deleted.is_some()) {
        termination::begin(world, &object.key);
        return;
    }
    if state(&value, "Registered") != Some("True") {
        register(world, &found);
        value["status"]["nodeName"] = (&*found.machine.name).into();
        value["metadata"]["labels"]["kubernetes.io/hostname"] = (&*found.machine.name).into();
        set(&mut value, "Registered", "True", "Registered", "", now);
        set(&mut value, "Initialized", "Unknown", "NodeNotReady", "Node status is NotReady", now);
        store(world, &before, value);
    } else if state(&value, "Initialized") != Some("True") && found.look.state == NodeState::Ready {
        let own = found.own();
        let startup = value["spec"]["startupTaints"].as_array().into_iter().flatten();
        let left = startup.map(pool::taint).find(|taint| own.taints.iter().any(|one| pool::taint(one) == *taint));
        if let Some([key, of, effect]) = left {
            let message = format!("StartupTaint \"{key}={of}:{effect}\" still exists");
            set(&mut value, "Initialized", "Unknown", "StartupTaintsExist", &message, now);
        } else {
            let mut own = own;
            own.labels[INITIALIZED] = "true".into();
            put(world, &found, own);
            set(&mut value, "Initialized", "True", "Initialized", "", now);
            set(&mut value, "ConsistentStateFound", "True", "ConsistentStateFound", "", now);
        }
        store(world, &before, value);
    }
}

fn ended(instance: &Instance) -> bool {
    matches!(instance.state, "shutting-down" | "terminated")
}

/// The instance behind a claim.
pub fn instance<'a>(world: &'a World, claim: &Value) -> Option<&'a Instance> {
    let id = claim["status"]["providerID"].as_str()?.rsplit('/').next()?;
    world.cloud.instances.get(&cloud::instance_number(id)?)
}

/// The node that has come of a claim's instance.
fn joined(world: &World, claim: &Value) -> Option<Node> {
    if let Some((_, node)) = node(world, claim) {
        return Some(node);
    }
    let name = instance(world, claim)?.node.clone()?;
    match &world.get(NODES, &name)?.body {
        Body::Node(node) => Some(node.clone()),
        _ => None,
    }
}

fn put(world: &mut World, node: &Node, own: Own) {
    let next = node.with(own, &mut world.cluster.looks);
    world.put(NODES, Arc::clone(&node.machine.name), Body::Node(next));
}

/// Karpenter knows the node: it holds it, and lets pods on it.
fn register(world: &mut World, node: &Node) {
    let mut own = node.own();
    own.labels[REGISTERED] = "true".into();
    own.taints.retain(|taint| taint["key"] != UNREGISTERED);
    own.finalizers = vec![TERMINATION.into()];
    put(world, node, own);
}

/// What a node says of itself when it joins for a claim.
pub fn joining(world: &World, claim: &Claim, group: usize, zone: usize) -> Own {
    let mut own = Own::of(group, zone);
    if let Some(labels) = own.labels.as_object_mut() {
        labels.remove(REGISTERED);
        labels.remove(INITIALIZED);
    }
    own.finalizers.clear();
    own.taints = vec![json!({ "key": UNREGISTERED, "effect": "NoExecute" })];
    let Some(value) = world.get(NODE_CLAIMS, &claim.name).map(|object| object.value()) else { return own };
    let labels = value["metadata"]["labels"].as_object().into_iter().flatten();
    for (name, value) in labels.filter(|(name, _)| *name != "kubernetes.io/hostname") {
        own.labels[name] = value.clone();
    }
    for field in ["taints", "startupTaints"] {
        own.taints.extend(value["spec"][field].as_array().into_iter().flatten().cloned());
    }
    own
}

/// What would do for a claim, the cheapest first.
pub fn offers(world: &mut World, claim: &Value) -> Vec<Offer> {
    let requirements = claim["spec"]["requirements"].as_array().into_iter().flatten();
    let mut requirements: Vec<_> = requirements.map(Requirement::of).collect();
    let labels = &claim["metadata"]["labels"];
    // What it has got already.
    for key in ["node.kubernetes.io/instance-type", ZONE] {
        let got = labels[key].as_str().map(|value| vec![value.to_owned()]);
        requirements.extend(got.map(|values| Requirement { key: key.to_owned(), operator: "In".to_owned(), values }));
    }
    let taints: Vec<_> = claim["spec"]["taints"].as_array().into_iter().flatten().map(pool::taint).collect();
    offer::all(world, &requirements, labels, &taints)
}

/// EC2 gives an instance, or has none.
pub fn launch(world: &mut World, key: &Arc<str>) {
    let Some(object) = world.get(NODE_CLAIMS, key) else { return };
    let before = object.value();
    if life::is_deleted(&before) || state(&before, "Launched") == Some("True") {
        return;
    }
    cloud::open(world);
    let offers = offers(world, &before);
    let starved = |offer: &Offer| world.cloud.exhausted.contains(GROUPS[offer.group].instance.name);
    let Some(offer) = spread(world, offers.iter().filter(|offer| !starved(offer))).cloned() else {
        refuse(world, &object, &offers);
        return;
    };
    let (number, now) = (world.karpenter.random.next(), world.now());
    let ip = machines::address(world, offer.zone);
    let kind = &GROUPS[offer.group];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let claimed = Claimed {
        claim: Claim { name: Arc::clone(key), uid: life::uid(&before) },
        pool: text(&before["metadata"]["labels"][LABEL]),
        class: text(&before["spec"]["nodeClassRef"]["name"]),
        like: offer.group,
    };
    let instance = Instance {
        number,
        region: REGION.to_owned(),
        cluster: world.cluster.size.site.name.to_owned(),
        group: None,
        claimed: Some(claimed),
        kind: kind.instance.name,
        spot: kind.spot,
        zone: offer.zone,
        ip,
        state: "pending",
        lifecycle: None,
        node: None,
        launched: now,
        protected: false,
        reason: None,
    };
    world.cloud.instances.insert(number, instance);
    scaling::boot(world, number);
    let mut value = before.clone();
    let mut labels = objects::labels(offer.group, offer.zone);
    for (name, own) in before["metadata"]["labels"].as_object().into_iter().flatten() {
        labels[name] = own.clone();
    }
    value["metadata"]["labels"] = labels;
    let conditions = value["status"]["conditions"].take();
    value["status"] = objects::status(number, offer.group, offer.zone);
    value["status"]["conditions"] = conditions;
    set(&mut value, "Launched", "True", "Launched", "", now);
    for kind in ["Registered", "Initialized"] {
        set(&mut value, kind, "Unknown", "NodeNotFound", "Node not registered with cluster", now);
    }
    store(world, &before, value);
}

/// Of the cheapest offers the one in the zone where Karpenter has the fewest.
fn spread<'a>(world: &World, offers: impl Iterator<Item = &'a Offer>) -> Option<&'a Offer> {
    let count = |zone| {
        let own = world.cloud.instances.values().filter(|instance| instance.claimed.is_some());
        own.filter(|instance| instance.zone == zone && !ended(instance)).count()
    };
    offers.min_by_key(|offer| (offer.price, count(offer.zone), offer.zone))
}

/// EC2 has none of what would do: the claim goes, and another is made that asks for something else.
fn refuse(world: &mut World, object: &Arc<Object>, offers: &[Offer]) {
    let until = world.life.clock.now() + UNAVAILABLE;
    for offer in offers {
        world.karpenter.unavailable.insert(offer.group, until);
    }
    let why = match offers.first().map(|offer| GROUPS[offer.group].spot) {
        Some(true) => {
            "with fleet error(s), UnfulfillableCapacity: Unable to fulfill capacity due to your request configuration. \
             Please adjust your request and try again."
                .to_owned()
        }
        Some(false) => {
            let named: Vec<_> = offers.iter().map(|offer| GROUPS[offer.group].instance.name).collect();
            format!(
                "with fleet error(s), InsufficientInstanceCapacity: We currently do not have sufficient {} capacity in \
                 the Availability Zone you requested. Our system will be working on provisioning additional capacity.",
                named[0]
            )
        }
        None => "all requested instance types were unavailable during launch".to_owned(),
    };
    let message = format!("NodeClaim {} event: {why}", object.name());
    say(world, object, true, "InsufficientCapacityError", &message);
    termination::begin(world, &object.key);
}

/// The instance of a machine that Karpenter made is gone, and its node with it.
pub fn gone(world: &mut World, number: u64) {
    let claim = world.cloud.instances.get(&number).and_then(|instance| instance.claimed.clone());
    mark(world, claim.as_ref().map(|claimed| &claimed.claim));
}
