//! Nodes on which nothing runs any more are ended, as many at once as their pool's budgets let it. Nodes that are only
//! badly used stay: the demo world does not move pods to save money.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claim::store;
use super::pool::{LABEL, Pool, set, state};
use super::{say, termination};
use crate::aws::cluster_autoscaler;
use crate::catalog::{NODE_CLAIMS, NODE_POOLS, NODES};
use crate::cluster::life;
use crate::object::Body;
use crate::world::World;

pub fn run(world: &mut World) {
    let now = world.life.clock.now();
    let mut since = BTreeMap::new();
    for machine in cluster_autoscaler::empty(world, |machine| machine.claim.is_some()) {
        if let Some(claim) = &machine.claim {
            let known = world.karpenter.empty_since.get(&claim.name).copied();
            since.insert(Arc::clone(&claim.name), known.unwrap_or(now));
        }
    }
    world.karpenter.empty_since.clone_from(&since);
    for (key, since) in since {
        consider(world, &key, now - since);
    }
}

/// Ends the empty node of a claim, where it is time and the budget lets it.
fn consider(world: &mut World, key: &Arc<str>, empty_for: i64) {
    let Some(object) = world.get(NODE_CLAIMS, key) else { return };
    let value = object.value();
    let Some(pool) = value["metadata"]["labels"][LABEL].as_str().and_then(|name| Pool::find(world, name)) else {
        return;
    };
    let due = pool.consolidate_after.is_some_and(|after| empty_for >= after);
    if life::is_deleted(&value) || state(&value, "Initialized") != Some("True") || pool.replicas.is_some() || !due {
        return;
    }
    let now = world.now();
    let mut next = value.clone();
    set(&mut next, "Consolidatable", "True", "Consolidatable", "", now);
    let claims = pool.claims(world);
    let all = u32::try_from(claims.len()).unwrap_or(u32::MAX);
    let going = u32::try_from(claims.iter().filter(|claim| life::is_deleted(claim)).count()).unwrap_or(u32::MAX);
    if pool.budget("Empty", all) <= going {
        store(world, &value, next);
        if let Some(object) = world.get(NODE_POOLS, &pool.name) {
            let message = "No allowed disruptions for disruption reason Empty due to blocking budget";
            say(world, &object, false, "DisruptionBlocked", message);
        }
        return;
    }
    set(&mut next, "DisruptionReason", "True", "Empty", "Empty", now);
    let name = next["status"]["nodeName"].as_str().map(str::to_owned);
    let stored = store(world, &value, next);
    if let Some(node) = name.and_then(|name| world.get(NODES, &name)).filter(|node| matches!(node.body, Body::Node(_)))
    {
        say(world, &node, false, "DisruptionTerminating", "Disrupting Node: Empty");
    }
    say(world, &stored, false, "DisruptionTerminating", "Disrupting NodeClaim: Empty");
    termination::begin(world, key);
}
