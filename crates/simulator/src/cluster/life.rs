//! What makes the world live: its clock, what is due, who owns what, and who has to look at what again.
//!
//! Every change of an object comes by here (`noticed`), marks those that care about it, and they look at it a moment
//! later (`reconcile`), as controllers do. Still worlds have none of this. What each of them does stands in its own file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::pod::{Fate, Pod};
use super::recorder::Recorder;
use super::scheduler::Used;
use super::story::Story;
use super::workload::Workload;
use super::{autoscaler, collector, scheduling};
use super::{
    budget, cron_job, daemon_set, deployment, endpoints, fargate, incident, job, kubelet, lifecycle, replica_set,
    stateful_set, upkeep,
};
use crate::aws::{cluster_autoscaler, plans, scaling};
use crate::catalog::{
    CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, DISRUPTION_BUDGETS, EVENTS, JOBS, NAMESPACES, NODE_CLAIMS, NODE_POOLS, NODES,
    PODS, REPLICA_SETS, REVISIONS, ResourceId, SERVICES, STATEFUL_SETS,
};
use crate::clock::{Clock, Moment};
use crate::karpenter;
use crate::object::{Body, Object};
use crate::world::{Change, Event, World};

/// How long a controller takes to look at what changed.
const LOOK: Moment = 60;

/// What others are found by: what owns, and what guards.
const INDEXED: [ResourceId; 7] =
    [DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS, DISRUPTION_BUDGETS];

/// What comes due.
#[derive(Debug)]
pub enum Due {
    /// The kubelet or the scheduler looks at a pod that is still in this turn.
    Pod {
        key: Arc<str>,
        uid: u128,
        turn: u32,
    },
    /// A controller looks at one of its objects.
    Reconcile(ResourceId, Arc<str>),
    /// The garbage collector looks at an object that waits for it.
    Collect(ResourceId, Arc<str>),
    /// The scheduler tries again what it could not place.
    Unschedulable,
    Beat(Beat),
    /// The next line of the story.
    Line(usize),
    /// Something in the AWS account behind the cluster.
    Cloud(scaling::Step),
    Karpenter(karpenter::Task),
    Fargate(fargate::Task),
}

/// What happens again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Kubelets report.
    Heartbeat,
    /// Old events go.
    Sweep,
    Autoscale,
    /// Cron jobs come due by the minute.
    Minute,
    /// The cluster autoscaler looks at pods that wait, and at nodes that are empty.
    Nodes,
    /// Something goes wrong, or somebody deploys.
    Incident,
}

impl Beat {
    const ALL: [Self; 6] = [Self::Heartbeat, Self::Sweep, Self::Autoscale, Self::Minute, Self::Nodes, Self::Incident];

    fn period(self) -> Moment {
        match self {
            Self::Heartbeat | Self::Nodes => 10_000,
            Self::Sweep | Self::Minute => 60_000,
            Self::Autoscale => autoscaler::PERIOD / autoscaler::SHARES,
            Self::Incident => 20_000,
        }
    }
}

/// Who belongs to whom.
#[derive(Debug, Default)]
pub struct Index {
    /// Keys of pods by the uid of what owns them.
    pods: HashMap<u128, BTreeSet<Arc<str>>>,
    /// Controllers by their uid.
    controllers: HashMap<u128, (ResourceId, Arc<str>)>,
    /// The uids of those.
    uids: HashMap<(ResourceId, Arc<str>), u128>,
    /// Other objects by the uid of what owns them.
    owned: HashMap<u128, BTreeSet<(ResourceId, Arc<str>)>>,
    /// What is asked of each machine, by its uid.
    used: HashMap<u128, Used>,
    /// Keys and selectors of the disruption budgets of a namespace, and of its services.
    budgets: HashMap<String, BTreeMap<Arc<str>, Value>>,
    services: HashMap<String, BTreeMap<Arc<str>, Value>>,
}

impl Index {
    pub fn pods(&self, owner: u128) -> impl Iterator<Item = &Arc<str>> {
        self.pods.get(&owner).into_iter().flatten()
    }

    /// Keys of the pods of a deployment, by all its replica sets, or of a controller that has its pods itself.
    pub fn pods_of_workload(&self, uid: u128) -> impl Iterator<Item = &Arc<str>> {
        let sets = self.owned.get(&uid).into_iter().flatten();
        let below = sets.filter(|(resource, _)| *resource == REPLICA_SETS).filter_map(|owned| self.uids.get(owned));
        below.copied().chain([uid]).flat_map(|owner| self.pods(owner))
    }

    pub fn owned(&self, owner: u128) -> Vec<(ResourceId, Arc<str>)> {
        self.owned.get(&owner).into_iter().flatten().cloned().collect()
    }

    pub fn controller(&self, uid: u128) -> Option<&(ResourceId, Arc<str>)> {
        self.controllers.get(&uid)
    }

    pub fn used(&self, machine: u128) -> Used {
        self.used.get(&machine).copied().unwrap_or_default()
    }

    /// Keys of the budgets that guard a pod with these labels.
    pub fn budgets(&self, namespace: &str, labels: &Value) -> Vec<Arc<str>> {
        Self::selecting(&self.budgets, namespace, labels)
    }

    /// The same of services.
    pub fn services(&self, namespace: &str, labels: &Value) -> Vec<Arc<str>> {
        Self::selecting(&self.services, namespace, labels)
    }

    fn selecting(all: &HashMap<String, BTreeMap<Arc<str>, Value>>, namespace: &str, labels: &Value) -> Vec<Arc<str>> {
        let own = all.get(namespace).into_iter().flatten();
        own.filter(|(_, selector)| selects(selector, labels)).map(|(key, _)| Arc::clone(key)).collect()
    }
}

/// What a living world has, and a still one leaves empty.
#[derive(Debug)]
pub struct Life {
    pub on: bool,
    /// Whether things happen that nobody asked for.
    pub incidents: bool,
    pub clock: Clock<Due>,
    pub index: Index,
    pub recorder: Recorder,
    /// Pod templates in use, by the uid of their replica set, or by what their controller made of them.
    pub revisions: HashMap<(u128, String), Arc<Workload>>,
    /// Revisions that do not work, by the uid of their workload: the hash, and what becomes of their pods.
    pub broken: HashMap<u128, (String, Fate)>,
    /// Keys of pods that no node took.
    pub waiting: BTreeSet<Arc<str>>,
    /// The node that a story had fall silent.
    pub silent: Option<Arc<str>>,
    marked: BTreeSet<(ResourceId, Arc<str>)>,
    retrying: bool,
    /// Repositories that the registries have.
    pub repositories: BTreeSet<String>,
}

impl Life {
    pub fn new(now: i64) -> Self {
        Self {
            on: false,
            incidents: false,
            clock: Clock::new(now),
            index: Index::default(),
            recorder: Recorder::default(),
            revisions: HashMap::new(),
            broken: HashMap::new(),
            waiting: BTreeSet::new(),
            silent: None,
            marked: BTreeSet::new(),
            retrying: false,
            repositories: BTreeSet::new(),
        }
    }

    /// Has the controller of `resource` look at the object soon.
    pub fn mark(&mut self, resource: ResourceId, key: &Arc<str>) {
        if self.marked.insert((resource, Arc::clone(key))) {
            self.clock.after(LOOK, Due::Reconcile(resource, Arc::clone(key)));
        }
    }

    /// Has the scheduler try again, once for all that changes now.
    pub fn retry(&mut self) {
        if !self.retrying && !self.waiting.is_empty() {
            self.retrying = true;
            self.clock.after(1_000, Due::Unschedulable);
        }
    }
}

/// Begins the life of a world that was still so far, and the story, if one is told.
pub fn begin(world: &mut World, story: Option<&'static Story>) {
    world.furnish();
    world.life.on = true;
    for resource in [PODS, REVISIONS, SERVICES, NODE_CLAIMS].into_iter().chain(INDEXED) {
        for object in world.snapshot(resource, "").objects.iter() {
            index(world, resource, None, Some(object));
        }
    }
    world.life.repositories = world
        .cluster
        .workloads
        .iter()
        .flat_map(|workload| workload.containers.iter().chain(&workload.init))
        .map(|container| kubelet::repository(&container.image).to_owned())
        .collect();
    for workload in world.cluster.workloads.clone() {
        world.life.revisions.insert((workload.owner_uid(), workload.hash.clone()), workload);
    }
    super::recorder::remember(world);
    kubelet::begin(world);
    for resource in [DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, JOBS, DISRUPTION_BUDGETS] {
        for object in world.snapshot(resource, "").objects.iter() {
            // One after the other: nothing waits for them.
            let delay = world.random.between(1_000, 20_000);
            world.life.clock.after(delay, Due::Reconcile(resource, Arc::clone(&object.key)));
        }
    }
    for beat in Beat::ALL {
        world.life.clock.after(beat.period(), Due::Beat(beat));
    }
    if let Some(story) = story {
        super::story::begin(world, story);
    }
}

/// Lets everything happen that is due until `end`, but no more than `most` things; says whether that was all.
pub fn advance(world: &mut World, end: Moment, most: usize) -> bool {
    for _ in 0..most {
        let Some(due) = world.life.clock.next(end) else { return true };
        world.cluster.size.now = world.life.clock.stamp();
        happen(world, due);
    }
    false
}

fn happen(world: &mut World, due: Due) {
    match due {
        Due::Pod { key, uid, turn } => {
            let Some(object) = world.get(PODS, &key) else { return };
            if let Body::Pod(pod) = &object.body
                && pod.uid == uid
                && pod.turn_number() == turn
            {
                kubelet::step(world, &object, pod);
            }
        }
        Due::Reconcile(resource, key) => {
            world.life.marked.remove(&(resource, Arc::clone(&key)));
            reconcile(world, resource, &key);
        }
        Due::Collect(resource, key) => collector::collect(world, resource, &key),
        Due::Unschedulable => {
            world.life.retrying = false;
            for key in std::mem::take(&mut world.life.waiting) {
                scheduling::schedule(world, &key);
            }
        }
        Due::Beat(beat) => {
            world.life.clock.after(beat.period(), Due::Beat(beat));
            match beat {
                Beat::Heartbeat => {
                    lifecycle::heartbeats(world);
                    upkeep::renew(world);
                }
                Beat::Sweep => super::recorder::sweep(world),
                Beat::Autoscale => autoscaler::run(world),
                Beat::Minute => {
                    cron_job::minute(world);
                    plans::minute(world);
                }
                Beat::Nodes => {
                    cluster_autoscaler::run(world);
                    karpenter::run(world);
                }
                Beat::Incident => incident::draw(world),
            }
        }
        Due::Line(at) => super::story::line(world, at),
        Due::Cloud(step) => scaling::step(world, step),
        Due::Karpenter(task) => karpenter::step(world, task),
        Due::Fargate(task) => fargate::step(world, task),
    }
}

fn reconcile(world: &mut World, resource: ResourceId, key: &Arc<str>) {
    let Some(object) = world.get(resource, key) else { return };
    match resource {
        DEPLOYMENTS => deployment::reconcile(world, &object),
        REPLICA_SETS => replica_set::reconcile(world, &object),
        STATEFUL_SETS => stateful_set::reconcile(world, &object),
        DAEMON_SETS => daemon_set::reconcile(world, &object),
        JOBS => job::reconcile(world, &object),
        DISRUPTION_BUDGETS => budget::reconcile(world, &object),
        SERVICES => endpoints::reconcile(world, &object),
        NODE_POOLS => karpenter::reconcile_pool(world, &object),
        NODE_CLAIMS => karpenter::reconcile(world, key),
        NAMESPACES if is_deleted(&object.value()) => collector::empty_namespace(world, &object),
        NAMESPACES => upkeep::furnish(world, object.name()),
        _ => {}
    }
}

/// Takes note of a change, and marks those who care.
pub fn noticed(world: &mut World, event: &Event) {
    let (resource, object) = (event.object.resource, &event.object);
    if resource == EVENTS {
        // Nobody acts on them, and nothing is told more often.
        return;
    }
    let after = (event.change != Change::Deleted).then_some(object);
    index(world, resource, event.before.as_ref(), after);
    match resource {
        PODS => pod_noticed(world, event),
        NODES => {
            let look = |object: &Object| match &object.body {
                Body::Node(node) => Some(Arc::as_ptr(&node.look)),
                _ => None,
            };
            if event.before.as_deref().and_then(look) != after.and_then(|object| look(object)) {
                world.life.retry();
                let sets = world.snapshot(DAEMON_SETS, "").objects;
                sets.iter().for_each(|set| world.life.mark(DAEMON_SETS, &set.key));
                if let Body::Node(node) = &object.body {
                    karpenter::mark(world, node.machine.claim.as_ref());
                }
            }
        }
        DEPLOYMENTS | REPLICA_SETS | STATEFUL_SETS | DAEMON_SETS | JOBS | DISRUPTION_BUDGETS | NAMESPACES
        | SERVICES | NODE_CLAIMS | NODE_POOLS => {
            if after.is_some() {
                world.life.mark(resource, &object.key);
            }
            if matches!(resource, REPLICA_SETS | JOBS)
                && let Some((owner, key)) = world.life.index.controller(owner_uid(&object.value())).cloned()
            {
                world.life.mark(owner, &key);
            }
        }
        _ => {}
    }
    if event.change == Change::Deleted {
        collector::orphaned(world, object);
    }
}

fn pod_noticed(world: &mut World, event: &Event) {
    let Body::Pod(pod) = &event.object.body else { return };
    if let Some((resource, key)) = world.life.index.controller(pod.workload.owner_uid()).cloned() {
        world.life.mark(resource, &key);
    }
    let counts = |object: &Object| match &object.body {
        Body::Pod(pod) => Some((pod.state.is_ready(), pod.state.is_deleted(), Arc::as_ptr(&pod.workload))),
        _ => None,
    };
    let after = (event.change != Change::Deleted).then_some(&event.object);
    if event.before.as_deref().and_then(counts) != after.and_then(|object| counts(object)) {
        let labels = pod.workload.pod_labels();
        for key in world.life.index.budgets(event.object.namespace(), &labels) {
            world.life.mark(DISRUPTION_BUDGETS, &key);
        }
    }
    if world.count(PODS) <= endpoints::MOST_PODS
        && endpoints::tells(event.before.as_deref(), after.map(|object| &**object))
    {
        let labels = pod.workload.pod_labels();
        for key in world.life.index.services(event.object.namespace(), &labels) {
            world.life.mark(SERVICES, &key);
        }
    }
    if event.change == Change::Deleted {
        world.life.waiting.remove(&event.object.key);
        fargate::left(world, pod);
        world.life.retry();
        if world.get(NAMESPACES, event.object.namespace()).is_some_and(|object| is_deleted(&object.value())) {
            world.life.mark(NAMESPACES, &event.object.namespace().into());
        }
    }
}

fn index(world: &mut World, resource: ResourceId, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) {
    let index = &mut world.life.index;
    let pod = |object: &Object| match &object.body {
        Body::Pod(pod) => Some(pod.clone()),
        _ => None,
    };
    if resource == PODS {
        if let Some((object, pod)) = before.and_then(|object| Some((object, pod(object)?))) {
            let pods = index.pods.entry(pod.workload.owner_uid()).or_default();
            pods.remove(&object.key);
            if pods.is_empty() {
                index.pods.remove(&pod.workload.owner_uid());
            }
            use_node(index, &pod, Used::remove);
        }
        if let Some((object, pod)) = after.and_then(|object| Some((object, pod(object)?))) {
            index.pods.entry(pod.workload.owner_uid()).or_default().insert(Arc::clone(&object.key));
            use_node(index, &pod, Used::add);
        }
        return;
    }
    if resource == NODES {
        return;
    }
    if let (Some(object), None) = (before, after) {
        let value = object.value();
        index.controllers.remove(&uid(&value));
        index.uids.remove(&(resource, Arc::clone(&object.key)));
        if let Some(owned) = index.owned.get_mut(&owner_uid(&value)) {
            owned.remove(&(resource, Arc::clone(&object.key)));
        }
        for (kind, all) in [(DISRUPTION_BUDGETS, &mut index.budgets), (SERVICES, &mut index.services)] {
            if resource == kind
                && let Some(own) = all.get_mut(object.namespace())
            {
                own.remove(&object.key);
            }
        }
    }
    if let Some(object) = after {
        let value = object.value();
        let owner = owner_uid(&value);
        let old = before.map_or(0, |before| owner_uid(&before.value()));
        if old != owner
            && let Some(owned) = index.owned.get_mut(&old)
        {
            owned.remove(&(resource, Arc::clone(&object.key)));
        }
        if owner != 0 {
            index.owned.entry(owner).or_default().insert((resource, Arc::clone(&object.key)));
        }
        if INDEXED.contains(&resource) {
            index.controllers.insert(uid(&value), (resource, Arc::clone(&object.key)));
            index.uids.insert((resource, Arc::clone(&object.key)), uid(&value));
        }
        if resource == SERVICES && value["spec"]["selector"].is_object() {
            let services = index.services.entry(object.namespace().to_owned()).or_default();
            services.insert(Arc::clone(&object.key), serde_json::json!({ "matchLabels": value["spec"]["selector"] }));
        }
        if resource == DISRUPTION_BUDGETS {
            let budgets = index.budgets.entry(object.namespace().to_owned()).or_default();
            budgets.insert(Arc::clone(&object.key), value["spec"]["selector"].clone());
        }
    }
}

fn use_node(index: &mut Index, pod: &Pod, change: impl FnOnce(&mut Used, &super::scheduler::Needs)) {
    // Pods that have ended ask for nothing any more.
    if let Some(node) = pod.node.as_ref().filter(|_| !matches!(pod.state.phase(), "Succeeded" | "Failed")) {
        change(index.used.entry(node.uid).or_default(), pod.workload.needs());
    }
}

/// The number in an object's uid; 0 where there is none.
pub fn uid(value: &Value) -> u128 {
    number(&value["metadata"]["uid"])
}

/// The number that a uid is.
pub fn number(uid: &Value) -> u128 {
    let digits: String = uid.as_str().unwrap_or_default().chars().filter(|digit| *digit != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0)
}

/// The uid of the controller that owns an object; 0 where none does.
pub fn owner_uid(value: &Value) -> u128 {
    let owners = value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.map(|owner| number(&owner["uid"])).next().unwrap_or(0)
}

pub fn is_deleted(value: &Value) -> bool {
    value["metadata"]["deletionTimestamp"].is_string()
}

/// Whether a label selector of the API selects an object with these labels. An empty one selects everything, none nothing.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    selector.is_object()
        && equal.into_iter().all(|(name, value)| labels[name] == *value)
        && expressions.into_iter().all(|one| {
            let value = &labels[one["key"].as_str().unwrap_or_default()];
            let listed = one["values"].as_array().is_some_and(|values| values.contains(value));
            match one["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => !value.is_null(),
                Some("DoesNotExist") => value.is_null(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select_as_the_api_does() {
        let labels = json!({ "app": "web", "tier": "front" });
        for (selector, expected) in [
            (json!({ "matchLabels": { "app": "web" } }), true),
            (json!({ "matchLabels": { "app": "api" } }), false),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["front", "back"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "gone", "operator": "NotIn", "values": ["x"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "gone", "operator": "Exists" }] }), false),
            (json!({}), true),
            (Value::Null, false),
        ] {
            assert_eq!(selects(&selector, &labels), expected, "{selector}");
        }
    }
}
