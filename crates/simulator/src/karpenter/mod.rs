//! Karpenter in the demo world (release 1.14): what there is of it, and what it does on the world's clock.
//!
//! `objects` are pools, classes and claims as they are at the beginning. `pool` reads pools and keeps their status;
//! `offer` is what can be bought for them. `provision` makes claims for pods that wait, `claim` sees each claim to its
//! node, `termination` to its end, and `consolidation` ends what is empty. Instances are `aws`'s, nodes `cluster`'s.
//!
//! Pools that pods ask for are only grown and shrunk where somebody tells a story, as the cluster autoscaler's groups are;
//! what clients ask for by claims, pools and deletions is done in every living world.

mod claim;
mod consolidation;
mod objects;
mod offer;
mod pool;
mod provision;
mod termination;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::aws::cloud;
use super::catalog::{NODE_CLAIMS, NODES};
use super::clock::Moment;
use super::cluster::life::Due;
use super::cluster::node::{Claim, Node};
use super::cluster::recorder::{self, Word};
use super::object::{Body, Object};
use super::random::Random;
use super::world::World;

pub use claim::{gone, joining};
pub use objects::all;
pub use pool::reconcile as reconcile_pool;

const COMPONENT: &str = "karpenter";

/// What is due of it; claims by their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// EC2 has answered the launch of a claim.
    Launch(Arc<str>),
    /// A claim that goes is looked at again.
    Drain(Arc<str>),
    /// The time that a claim gives its pods to go is over.
    Expire(Arc<str>),
}

/// What it keeps in mind.
#[derive(Debug)]
pub struct Karpenter {
    /// Of its own, so that what it draws does not shift the cluster's story.
    random: Random,
    /// Since when nothing runs on the nodes of these claims.
    empty_since: BTreeMap<Arc<str>, Moment>,
    /// Claims that are looked at again already.
    draining: BTreeSet<Arc<str>>,
    /// Claims whose pods have had their time.
    expired: BTreeSet<Arc<str>>,
    /// The claims that pods were promised, by the pods' uids.
    nominated: BTreeMap<u128, Arc<str>>,
    /// Offers that EC2 had nothing of lately, by the place of their group, and until when they are left alone.
    unavailable: BTreeMap<usize, Moment>,
}

impl Karpenter {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::named(seed, "karpenter"),
            empty_since: BTreeMap::new(),
            draining: BTreeSet::new(),
            expired: BTreeSet::new(),
            nominated: BTreeMap::new(),
            unavailable: BTreeMap::new(),
        }
    }
}

/// One round; only where somebody tells a story.
pub fn run(world: &mut World) {
    if world.story.is_some() {
        provision::run(world);
        consolidation::run(world);
    }
}

/// What is due happens.
pub fn step(world: &mut World, task: Task) {
    match task {
        Task::Launch(key) => claim::launch(world, &key),
        Task::Drain(key) => {
            world.karpenter.draining.remove(&key);
            reconcile(world, &key);
        }
        Task::Expire(key) => {
            world.karpenter.expired.insert(Arc::clone(&key));
            reconcile(world, &key);
        }
    }
}

/// Looks at a claim that has changed, or whose node or instance has.
pub fn reconcile(world: &mut World, key: &Arc<str>) {
    let Some(object) = world.get(NODE_CLAIMS, key) else { return };
    cloud::open(world);
    let value = object.value();
    if super::cluster::life::is_deleted(&value) {
        termination::reconcile(world, &object, value);
    } else {
        claim::reconcile(world, &object, value);
    }
}

/// Has the claim behind a machine looked at soon.
pub fn mark(world: &mut World, claim: Option<&Claim>) {
    if let Some(claim) = claim {
        world.life.mark(NODE_CLAIMS, &claim.name);
    }
}

fn after(world: &mut World, [first, last]: [Moment; 2], task: Task) {
    let delay = world.karpenter.random.between(first, last);
    world.life.clock.after(delay, Due::Karpenter(task));
}

/// The node that a claim has become.
fn node(world: &World, claim: &Value) -> Option<(Arc<Object>, Node)> {
    let object = world.get(NODES, claim["status"]["nodeName"].as_str()?)?;
    let node = match &object.body {
        Body::Node(node) => node.clone(),
        _ => return None,
    };
    Some((object, node))
}

fn tell(world: &mut World, involved: &Value, warning: bool, reason: &str, message: &str) {
    recorder::tell(world, involved, Word { warning, reason, component: COMPONENT, host: "", message });
}

/// The same about an object.
fn say(world: &mut World, object: &Object, warning: bool, reason: &str, message: &str) {
    let involved = recorder::reference(object, &object.value());
    tell(world, &involved, warning, reason, message);
}
