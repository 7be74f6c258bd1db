//! What there is in the simulated account: clusters, groups of instances, instances. Made from the simulated cluster's
//! machines when somebody first asks, so that nothing waits for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::autoscaler_status::Transitions;
use super::group::{Group, Managed};
use super::plans::Plans;
use super::throttle::Throttle;
use crate::catalog::NODES;
use crate::clock::Moment;
use crate::cluster::node::{ACCOUNT, CLUSTER, Claim, GROUPS, Group as Kind, InstanceType, Make, REGION, ZONES};
use crate::cluster::site::{GROUPLESS, Profile, Site};
use crate::encoding::template::Short;
use crate::object::Body;
use crate::random::Random;
use crate::world::World;

const DAY: i64 = 86_400;
/// The Kubernetes version of the demo cluster.
pub const VERSION: &str = "1.34";
/// What the demo's user is to AWS.
pub const ROLE: &str = "demo-admin";
pub const LAUNCH_TEMPLATE: &str = "lt-0f3b2a1c4d5e6f708";
pub const VPC: &str = "vpc-0d3e0a1b2c3d4e5f6";

/// A pair of keys, made anew for each run: who has it may ask.
#[derive(Clone, Default)]
pub struct Keys {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}

/// A cluster as EKS knows it.
#[derive(Debug)]
pub struct Cluster {
    pub region: String,
    pub name: String,
    pub version: &'static str,
    pub platform: &'static str,
    /// Seconds since 1970.
    pub created: i64,
    pub endpoint: String,
    /// PEM in Base64.
    pub authority: String,
    pub support: &'static str,
    pub tags: Value,
    pub fargate: Vec<Fargate>,
}

/// How another simulated cluster is reached.
#[derive(Debug, Clone)]
pub struct Neighbour {
    pub endpoint: String,
    /// PEM in Base64.
    pub authority: String,
}

/// A Fargate profile.
#[derive(Debug)]
pub struct Fargate {
    pub name: String,
    pub selectors: Value,
    pub created: i64,
}

impl Cluster {
    pub fn arn(&self) -> String {
        format!("arn:aws:eks:{}:{ACCOUNT}:cluster/{}", self.region, self.name)
    }
}

/// An instance of EC2.
#[derive(Debug, Clone)]
pub struct Instance {
    pub number: u64,
    pub region: String,
    pub cluster: String,
    /// None where Karpenter runs it.
    pub group: Option<usize>,
    /// What Karpenter runs it for; none where a group does.
    pub claimed: Option<Claimed>,
    pub kind: &'static str,
    pub spot: bool,
    pub zone: usize,
    pub ip: u32,
    /// `pending`, `running`, `shutting-down` or `terminated`.
    pub state: &'static str,
    /// Its state in the Auto Scaling group; none once it has left.
    pub lifecycle: Option<&'static str>,
    /// The node that it has become.
    pub node: Option<Arc<str>>,
    /// Seconds since 1970.
    pub launched: i64,
    pub protected: bool,
    /// Why it ended.
    pub reason: Option<&'static str>,
}

/// Why Karpenter runs an instance.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub claim: Claim,
    /// Its node pool and node class.
    pub pool: String,
    pub class: String,
    /// The group whose machines it is like, by its place in `GROUPS`.
    pub like: usize,
}

impl Instance {
    pub fn id(&self) -> String {
        instance_id(self.number)
    }

    /// Whether it counts against what its group wants.
    pub fn counts(&self) -> bool {
        matches!(self.lifecycle, Some("Pending" | "InService"))
    }
}

/// As nodes have it in their provider id.
pub fn instance_id(number: u64) -> String {
    format!("i-0{number:016x}")
}

/// The number in an instance's id.
pub fn instance_number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("i-0")?, 16).ok()
}

pub fn subnet(zone: usize) -> String {
    format!("subnet-0{zone:x}5f3a2b1c0d9e8f7")
}

/// The account.
#[derive(Debug)]
pub struct Cloud {
    open: bool,
    pub keys: Keys,
    /// Where the simulated cluster is, and who vouches for it (PEM).
    pub endpoint: String,
    pub authority: String,
    /// A second cluster that is simulated, in a world of its own.
    pub neighbour: Option<Neighbour>,
    pub clusters: Vec<Cluster>,
    pub groups: Vec<Group>,
    /// By the number in their ids.
    pub instances: BTreeMap<u64, Instance>,
    /// Of its own, so that what AWS draws does not shift the cluster's story.
    pub random: Random,
    pub throttle: Throttle,
    /// Machines that have been numbered, for addresses of new ones.
    pub numbered: u32,
    /// Since when nothing runs on the nodes of these instances, as the cluster autoscaler saw it.
    pub empty_since: BTreeMap<u64, Moment>,
    /// How things were when the cluster autoscaler last wrote its status, and since when.
    pub transitions: Transitions,
    /// Types of which EC2 has none for Karpenter.
    pub exhausted: BTreeSet<String>,
    /// How many clusters there are besides, which nobody can reach.
    pub others: usize,
    /// Calls so far.
    calls: u64,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            open: false,
            keys: Keys::default(),
            endpoint: String::new(),
            authority: String::new(),
            neighbour: None,
            clusters: Vec::new(),
            groups: Vec::new(),
            instances: BTreeMap::new(),
            random: Random::new(0),
            throttle: Throttle::default(),
            numbered: 0,
            empty_since: BTreeMap::new(),
            transitions: Transitions::default(),
            exhausted: BTreeSet::new(),
            others: 0,
            calls: 0,
        }
    }
}

impl Cloud {
    pub fn cluster(&self, region: &str, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.region == region && cluster.name == name)
    }

    pub fn managed(&self, region: &str, cluster: &str, name: &str) -> Option<usize> {
        let is = |group: &Group| group.region == region && group.cluster == cluster && group.name() == name;
        self.groups.iter().position(|group| group.managed.is_some() && is(group))
    }

    pub fn asg(&self, region: &str, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.region == region && group.asg == name)
    }

    /// The instances in a group, as the group sees them.
    pub fn members(&self, group: usize) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter(move |instance| instance.group == Some(group) && instance.lifecycle.is_some())
    }

    /// An id for a request: by its number, so that who only asks changes nothing.
    pub fn request_id(&mut self) -> String {
        self.calls += 1;
        Short::uuid(Random::new(self.calls).uid()).as_str().to_owned()
    }

    pub fn uuid(&mut self) -> String {
        Short::uuid(self.random.uid()).as_str().to_owned()
    }
}

/// Makes the account, once.
pub fn open(world: &mut World) {
    if std::mem::replace(&mut world.cloud.open, true) {
        return;
    }
    let (seed, site, now) = (world.cluster.size.seed, world.cluster.size.site, world.now());
    world.cloud.random = Random::named(seed, "cloud");
    world.cloud.numbered = u32::try_from(world.cluster.machines.len()).unwrap_or(0);
    let cluster = Cluster {
        region: REGION.to_owned(),
        name: site.name.to_owned(),
        version: VERSION,
        platform: "eks.12",
        created: now - 400 * DAY,
        endpoint: world.cloud.endpoint.clone(),
        authority: world.cloud.authority.clone(),
        support: "EXTENDED",
        tags: json!({ "team": "platform", "env": "demo", "cost-center": "4711" }),
        fargate: profiles(site, now),
    };
    world.cloud.clusters.push(cluster);
    if let Some(neighbour) = world.cloud.neighbour.clone() {
        world.cloud.clusters.push(Cluster {
            region: REGION.to_owned(),
            name: GROUPLESS.name.to_owned(),
            version: VERSION,
            platform: "eks.12",
            created: now - 120 * DAY,
            endpoint: neighbour.endpoint,
            authority: neighbour.authority,
            support: "STANDARD",
            tags: json!({ "team": "platform", "env": "demo" }),
            fargate: profiles(&GROUPLESS, now),
        });
    }
    let mut of_pool = HashMap::new();
    let grouped = |kind: &Kind| site.has_groups && matches!(kind.make, Make::Managed | Make::SelfManaged);
    for (pool, kind) in GROUPS.iter().enumerate().filter(|(_, kind)| grouped(kind)) {
        let of_eks = kind.make == Make::Managed;
        let uid = world.cloud.random.uid();
        of_pool.insert(pool, world.cloud.groups.len());
        world.cloud.groups.push(Group {
            region: REGION.to_owned(),
            cluster: site.name.to_owned(),
            asg: if of_eks {
                format!("eks-{}-{}", kind.name, Short::uuid(uid).as_str())
            } else {
                format!("{CLUSTER}-{}", kind.name)
            },
            uid,
            managed: of_eks.then(|| managed(pool, now)),
            pool: Some(pool),
            min: 0,
            max: 0,
            desired: 0,
            spot: kind.spot,
            types: types(kind.spot, &kind.instance),
            suspended: BTreeSet::new(),
            plans: Plans::default(),
            activities: VecDeque::new(),
            created: now - 300 * DAY,
            why: String::new(),
            starved: false,
            looking: false,
        });
    }
    let machines: Vec<_> = world
        .snapshot(NODES, "")
        .objects
        .iter()
        .filter_map(|object| match &object.body {
            Body::Node(node) => Some(Arc::clone(&node.machine)),
            _ => None,
        })
        .collect();
    // What Fargate has is no instance of the account.
    for machine in machines.into_iter().filter(|machine| GROUPS[machine.group].make != Make::Fargate) {
        let kind = &GROUPS[machine.group];
        let group = of_pool.get(&machine.group).copied();
        if let Some(group) = group {
            world.cloud.groups[group].desired += 1;
        }
        let instance = Instance {
            number: machine.instance,
            region: REGION.to_owned(),
            cluster: site.name.to_owned(),
            group,
            claimed: machine.claim.clone().map(|claim| Claimed {
                claim,
                pool: kind.name.to_owned(),
                class: "default".to_owned(),
                like: machine.group,
            }),
            kind: kind.instance.name,
            spot: kind.spot,
            zone: machine.zone,
            ip: machine.ip,
            state: "running",
            lifecycle: group.map(|_| "InService"),
            node: Some(Arc::clone(&machine.name)),
            launched: machine.created - 40,
            protected: false,
            reason: None,
        };
        world.cloud.instances.insert(machine.instance, instance);
    }
    for group in &mut world.cloud.groups {
        (group.min, group.max) = (group.desired / 2, (group.desired * 2).max(4));
        let sizes = (group.min, group.max, group.desired);
        if let Some(managed) = &mut group.managed {
            (managed.min, managed.max, managed.desired) = sizes;
        }
    }
    super::fleet::found(&mut world.cloud, now);
}

fn profiles(site: &Site, now: i64) -> Vec<Fargate> {
    let profile = |profile: &Profile| Fargate {
        name: profile.name.to_owned(),
        selectors: profile.selectors(),
        created: now - 90 * DAY,
    };
    site.profiles.iter().map(profile).collect()
}

fn managed(pool: usize, now: i64) -> Managed {
    let kind = &GROUPS[pool];
    let arm = kind.instance.architecture == "arm64";
    let taints = kind.taint.map(|(key, value)| json!({ "key": key, "value": value, "effect": "NO_SCHEDULE" }));
    Managed {
        name: kind.name.to_owned(),
        min: 0,
        max: 0,
        desired: 0,
        ami_type: match (arm, kind.instance.gpus > 0) {
            (true, _) => "AL2023_ARM_64_STANDARD",
            (false, true) => "AL2023_x86_64_NVIDIA",
            (false, false) => "AL2023_x86_64_STANDARD",
        },
        version: VERSION,
        // Some groups are behind.
        release: super::listings::release(VERSION, now, if kind.spot { 0 } else { pool % 4 }),
        labels: json!({ "pool": kind.name }),
        taints: taints.into_iter().collect(),
        template_version: 7,
        updates: VecDeque::new(),
        tokens: HashMap::new(),
        degraded: None,
        modified: now - 9 * DAY,
    }
}

/// What a group may buy: on spot, what is like it too.
fn types(spot: bool, instance: &InstanceType) -> Vec<&'static str> {
    let alike: &[&str] = match instance.name {
        "m5.2xlarge" if spot => &["m5a.2xlarge", "m6i.2xlarge"],
        _ => &[],
    };
    [instance.name].into_iter().chain(alike.iter().copied()).collect()
}

/// The zone's name in a region.
pub fn zone(region: &str, zone: usize) -> String {
    format!("{region}{}", ZONES.get(zone).copied().unwrap_or("a"))
}
