//! What can be bought for a pool: a type of machine in a zone, with what a node of it offers to pods.

use serde_json::Value;

use super::objects;
use super::pool::{LABEL, Pool};
use crate::aws::shop;
use crate::cluster::node::{Facts, GROUPS, Machine, Make, NodeState, REGISTERED, ZONES};
use crate::cluster::pod::Pod;
use crate::cluster::scheduler::{self, Candidate, Requirement, Used};
use crate::world::World;

/// A machine that could be.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The group whose machines it is like, by its place in `GROUPS`.
    pub group: usize,
    pub zone: usize,
    pub facts: Facts,
    /// Hundredths of a cent an hour.
    pub price: u32,
}

/// Labels that pools may not invent.
fn is_known(key: &str) -> bool {
    ["kubernetes.io", "k8s.io", "karpenter.sh", "k8s.aws"]
        .iter()
        .any(|domain| key.split('/').next().is_some_and(|name| name == *domain || name.ends_with(domain)))
}

/// All that requirements allow, the cheapest first. Labels and taints are those of a node of theirs.
pub fn all(world: &mut World, requirements: &[Requirement], labels: &Value, taints: &[[String; 3]]) -> Vec<Offer> {
    let mut offers = Vec::new();
    let kinds = GROUPS.iter().enumerate().filter(|(_, kind)| kind.make == Make::Karpenter);
    for (group, kind) in kinds {
        for zone in 0..ZONES.len() {
            let own = objects::labels(group, zone);
            let label = |key: &str| own[key].as_str().map(str::to_owned);
            let allowed = requirements.iter().filter(|one| is_known(&one.key) && one.key != LABEL && one.key != CLASS);
            if !allowed.into_iter().all(|requirement| requirement.holds(label(&requirement.key).as_ref())) {
                continue;
            }
            let machine = Machine { name: "".into(), ip: 0, group, zone, instance: 0, uid: 0, created: 0, claim: None };
            let mut facts = world.cluster.looks.of(&machine, NodeState::Ready, false, None).facts.clone();
            facts.labels.insert(REGISTERED.to_owned(), "true".to_owned());
            for (name, value) in labels.as_object().into_iter().flatten() {
                facts.labels.insert(name.clone(), value.as_str().unwrap_or_default().to_owned());
            }
            facts.taints = taints.to_vec();
            let price = shop::Offer::find(kind.instance.name).map_or(u32::MAX, |offer| offer.price);
            offers.push(Offer { group, zone, facts, price: if kind.spot { price / 3 } else { price } });
        }
    }
    offers.sort_by_key(|offer| (offer.price, offer.group, offer.zone));
    offers
}

/// The label that names a node class.
pub const CLASS: &str = "karpenter.k8s.aws/ec2nodeclass";

impl Pool {
    /// What a node of the pool is labelled with, besides what its machine gives it.
    pub fn labels(&self) -> Value {
        let template = &self.value["spec"]["template"];
        let mut labels = template["metadata"]["labels"].clone();
        if !labels.is_object() {
            labels = serde_json::json!({});
        }
        for one in self.requirements.iter().filter(|one| one.operator == "In" && one.values.len() == 1) {
            labels[&one.key] = one.values[0].clone().into();
        }
        labels[LABEL] = self.name.clone().into();
        labels[CLASS] = template["spec"]["nodeClassRef"]["name"].clone();
        labels
    }

    pub fn offers(&self, world: &mut World) -> Vec<Offer> {
        let offers = all(world, &self.requirements, &self.labels(), &self.taints);
        let now = world.life.clock.now();
        world.karpenter.unavailable.retain(|_, until| *until > now);
        let left = |offer: &Offer| !world.karpenter.unavailable.contains_key(&offer.group);
        offers.into_iter().filter(left).collect()
    }
}

impl Offer {
    /// Whether a pod fits on a node of it, besides what is there already.
    pub fn takes(&self, pod: &Pod, used: Used, alike: u32) -> bool {
        let candidate = Candidate { name: "", facts: &self.facts, cordoned: false, used, alike, alike_in_zone: 0 };
        scheduler::choose(pod.workload.needs(), &[candidate]).is_ok()
    }
}
