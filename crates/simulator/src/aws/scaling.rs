//! What becomes of a change, on the world's clock: EKS hands sizes on, the group launches and ends instances, they boot,
//! join the cluster and become ready, or EC2 has none; and EKS copies what it sees.

use serde_json::json;

use super::cloud::{self, Instance};
use super::group::{Activity, Update};
use super::machines;
use crate::clock::Moment;
use crate::cluster::life::Due;
use crate::cluster::node::ZONES;
use crate::encoding::template::rfc3339;
use crate::karpenter;
use crate::world::World;

/// A group that got no instance tries again so much later.
const RETRY: Moment = 45_000;
/// EC2 shows instances that have ended for so long.
const SHOWN: Moment = 900_000;

/// What comes due of the account. Groups by their place, instances by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// EKS hands the sizes of an update on to the Auto Scaling group.
    Apply(usize, String),
    /// An update of EKS is done.
    Complete(usize, String),
    /// EKS looks at the group's own sizes.
    Mirror(usize),
    /// The group compares what it wants with what it has.
    Balance(usize),
    Boot(u64),
    InService(u64),
    Join(u64),
    Ready(u64),
    End(u64),
    Gone(u64),
    Forget(u64),
}

fn after(world: &mut World, [first, last]: [Moment; 2], step: Step) {
    let delay = world.cloud.random.between(first, last);
    world.life.clock.after(delay, Due::Cloud(step));
}

/// EC2 wants a spot instance of this pool back: the group ends it and launches another in its place.
pub fn interrupt(world: &mut World, pool: &str) {
    cloud::open(world);
    let Some(at) = world.cloud.groups.iter().position(|group| group.spot && group.name() == pool) else { return };
    let members = world.cloud.members(at).filter(|instance| instance.counts() && instance.node.is_some());
    let Some(number) = members.min_by_key(|instance| (instance.launched, instance.number)).map(|it| it.number) else {
        return;
    };
    machines::warn(world, number);
    let cause = "an instance was taken out of service in response to an EC2 instance spot interruption notice.";
    let reason = "Server.SpotInstanceTermination: Spot instance termination";
    terminate(world, number, cause, Some(reason));
    look(world, at);
}

/// What is due happens.
pub fn step(world: &mut World, step: Step) {
    match step {
        Step::Apply(group, update) => apply(world, group, &update),
        Step::Complete(group, update) => complete(world, group, &update),
        Step::Mirror(group) => mirror(world, group),
        Step::Balance(group) => balance(world, group),
        Step::Boot(number) => turn(world, number, |instance| instance.state = "running"),
        Step::InService(number) => in_service(world, number),
        Step::Join(number) => machines::join(world, number),
        Step::Ready(number) => machines::ready(world, number),
        Step::End(number) => end(world, number),
        Step::Gone(number) => gone(world, number),
        Step::Forget(number) => {
            world.cloud.instances.remove(&number);
        }
    }
}

fn turn(world: &mut World, number: u64, change: impl FnOnce(&mut Instance)) {
    if let Some(instance) = world.cloud.instances.get_mut(&number) {
        change(instance);
    }
}

/// Sizes as they are to be: least, most, wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub min: u32,
    pub max: u32,
    pub desired: u32,
}

/// EKS takes a change of a managed group's sizes on. Gives the update.
pub fn update(world: &mut World, group: usize, sizes: Sizes, params: Vec<(&'static str, String)>) -> Update {
    let (id, now) = (world.cloud.uuid(), world.now());
    let update = Update { id: id.clone(), status: "InProgress", params, created: now, errors: Vec::new() };
    if let Some(managed) = &mut world.cloud.groups[group].managed {
        (managed.min, managed.max, managed.desired, managed.modified) = (sizes.min, sizes.max, sizes.desired, now);
        managed.updates.push_front(update.clone());
    }
    after(world, [2_500, 5_000], Step::Apply(group, id.clone()));
    after(world, [12_000, 20_000], Step::Complete(group, id));
    update
}

fn apply(world: &mut World, at: usize, id: &str) {
    let group = &world.cloud.groups[at];
    let Some(managed) = &group.managed else { return };
    if managed.running().is_none_or(|update| update.id != id) {
        return;
    }
    let sizes = Sizes { min: managed.min, max: managed.max, desired: managed.desired };
    resize(world, at, sizes, "a user request update of AutoScalingGroup constraints");
}

/// The Auto Scaling group gets these sizes.
pub fn resize(world: &mut World, at: usize, sizes: Sizes, why: &str) {
    let now = rfc3339(world.now());
    let group = &mut world.cloud.groups[at];
    let Sizes { min, max, desired } = sizes;
    if group.desired != desired {
        let old = group.desired;
        group.why = format!("At {now} {why} changing the desired capacity from {old} to {desired}.");
    }
    (group.min, group.max, group.desired) = (min, max, desired);
    look(world, at);
}

/// The same for who goes past EKS, which will see it later.
pub fn resize_past_eks(world: &mut World, at: usize, sizes: Sizes, why: &str) {
    resize(world, at, sizes, why);
    after(world, [15_000, 35_000], Step::Mirror(at));
}

fn mirror(world: &mut World, at: usize) {
    let group = &mut world.cloud.groups[at];
    let sizes = (group.min, group.max, group.desired);
    if let Some(managed) = group.managed.as_mut().filter(|managed| managed.running().is_none()) {
        (managed.min, managed.max, managed.desired) = sizes;
    }
}

fn complete(world: &mut World, at: usize, id: &str) {
    let Some(managed) = &mut world.cloud.groups[at].managed else { return };
    if let Some(update) = managed.updates.iter_mut().find(|update| update.id == id) {
        update.status = "Successful";
    }
}

/// Has the group compare soon what it wants with what it has.
pub fn look(world: &mut World, at: usize) {
    if !std::mem::replace(&mut world.cloud.groups[at].looking, true) {
        after(world, [1_500, 4_000], Step::Balance(at));
    }
}

fn balance(world: &mut World, at: usize) {
    world.cloud.groups[at].looking = false;
    let have = world.cloud.members(at).filter(|instance| instance.counts()).count();
    let group = &world.cloud.groups[at];
    let wanted = group.desired as usize;
    if have < wanted && group.runs("Launch") {
        if group.starved {
            fail(world, at, have);
            world.cloud.groups[at].looking = true;
            world.life.clock.after(RETRY, Due::Cloud(Step::Balance(at)));
            return;
        }
        (have..wanted).for_each(|have| launch(world, at, have));
    } else if have > wanted && group.runs("Terminate") {
        for have in (wanted..have).rev() {
            if let Some(number) = victim(world, at) {
                let cause = format!(
                    "an instance was taken out of service in response to a difference between desired and actual \
                     capacity, shrinking the capacity from {} to {have}.",
                    have + 1
                );
                terminate(world, number, &cause, None);
            }
        }
    }
}

/// The zone where the group has the fewest.
fn emptiest(world: &World, at: usize) -> usize {
    let mut count = [0; ZONES.len()];
    for instance in world.cloud.members(at).filter(|instance| instance.counts()) {
        count[instance.zone] += 1;
    }
    (0..count.len()).min_by_key(|zone| count[*zone]).unwrap_or(0)
}

/// Of the zone with the most the oldest that is not protected, as the default termination policy has it.
fn victim(world: &World, at: usize) -> Option<u64> {
    let members = || world.cloud.members(at).filter(|instance| instance.counts() && !instance.protected);
    let mut count = [0_u32; ZONES.len()];
    members().for_each(|instance| count[instance.zone] += 1);
    let victim = members().max_by_key(|it| (count[it.zone], std::cmp::Reverse((it.launched, it.number))));
    victim.map(|instance| instance.number)
}

fn launch(world: &mut World, at: usize, have: usize) {
    let zone = emptiest(world, at);
    let (number, ip, now) = (world.cloud.random.next(), machines::address(world, zone), world.now());
    let id = world.cloud.random.uid();
    let group = &mut world.cloud.groups[at];
    let (region, cluster) = (group.region.clone(), group.cluster.clone());
    let (kind, spot) = (group.types[0], group.spot);
    group.remember(Activity {
        id,
        instance: Some(number),
        description: format!("Launching a new EC2 instance: {}", cloud::instance_id(number)),
        cause: format!(
            "{}  At {} an instance was started in response to a difference between desired and actual capacity, \
             increasing the capacity from {have} to {}.",
            group.why,
            rfc3339(now),
            have + 1
        ),
        start: now,
        end: None,
        status: "PreInService",
        message: None,
        progress: 30,
        zone,
    });
    let instance = Instance {
        number,
        region,
        cluster,
        group: Some(at),
        claimed: None,
        kind,
        spot,
        zone,
        ip,
        state: "pending",
        lifecycle: Some("Pending"),
        node: None,
        launched: now,
        protected: false,
        reason: None,
    };
    world.cloud.instances.insert(number, instance);
    after(world, [12_000, 18_000], Step::InService(number));
    boot(world, number);
}

/// A new instance boots, and joins the cluster where one is simulated.
pub fn boot(world: &mut World, number: u64) {
    after(world, [5_000, 9_000], Step::Boot(number));
    if machines::pool(world, number).is_some() {
        after(world, [22_000, 30_000], Step::Join(number));
    }
}

/// EC2 has no instance for the group.
fn fail(world: &mut World, at: usize, have: usize) {
    let (zone, id, now) = (emptiest(world, at), world.cloud.random.uid(), world.now());
    let group = &mut world.cloud.groups[at];
    let (market, kind, name) =
        (if group.spot { "Spot" } else { "On-Demand" }, group.types[0], cloud::zone(&group.region, zone));
    let message = if group.spot {
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches \
         your request. Launching EC2 instance failed."
            .to_owned()
    } else {
        format!(
            "Could not launch {market} Instances. InsufficientInstanceCapacity - We currently do not have sufficient \
             {kind} capacity in the Availability Zone you requested ({name}). Our system will be working on provisioning \
             additional capacity. Launching EC2 instance failed."
        )
    };
    group.remember(Activity {
        id,
        instance: None,
        description: "Launching a new EC2 instance.  Status Reason: ".to_owned() + &message,
        cause: format!(
            "{}  At {} an instance was started in response to a difference between desired and actual capacity, \
             increasing the capacity from {have} to {}.",
            group.why,
            rfc3339(now),
            group.desired
        ),
        start: now,
        end: Some(now + 1),
        status: "Failed",
        message: Some(message.clone()),
        progress: 100,
        zone,
    });
    let issue = json!({ "code": "AsgInstanceLaunchFailures", "message": message, "resourceIds": [group.asg] });
    if let Some(managed) = &mut group.managed {
        managed.degraded = Some(issue);
    }
}

fn in_service(world: &mut World, number: u64) {
    let now = world.now();
    let Some(instance) = world.cloud.instances.get_mut(&number) else { return };
    if instance.lifecycle != Some("Pending") {
        return;
    }
    instance.lifecycle = Some("InService");
    let Some(at) = instance.group else { return };
    let group = &mut world.cloud.groups[at];
    finish(&mut group.activities, number, now);
    // Instances come again: nothing is wrong any more.
    if let Some(managed) = &mut group.managed {
        managed.degraded = None;
    }
}

/// What a group does with an instance is done.
fn finish(activities: &mut std::collections::VecDeque<Activity>, number: u64, now: i64) {
    let open = |activity: &&mut Activity| activity.instance == Some(number) && activity.end.is_none();
    if let Some(activity) = activities.iter_mut().find(open) {
        (activity.end, activity.status, activity.progress) = (Some(now), "Successful", 100);
    }
}

/// Ends an instance: a managed group empties its node first, whatever budgets say. Gives the group's activity.
pub fn terminate(world: &mut World, number: u64, cause: &str, reason: Option<&'static str>) -> Option<Activity> {
    let (id, now) = (world.cloud.random.uid(), world.now());
    let instance = world.cloud.instances.get_mut(&number)?;
    if !instance.counts() {
        return None;
    }
    let (zone, at, joined) = (instance.zone, instance.group?, instance.node.is_some());
    instance.reason = reason;
    let group = &mut world.cloud.groups[at];
    let drains = group.managed.is_some() && joined;
    instance.lifecycle = Some(if drains { "Terminating:Wait" } else { "Terminating" });
    finish(&mut group.activities, number, now);
    let activity = Activity {
        id,
        instance: Some(number),
        description: format!("Terminating EC2 instance: {}", cloud::instance_id(number)),
        cause: format!("At {} {cause}", rfc3339(now)),
        start: now,
        end: None,
        status: "InProgress",
        message: None,
        progress: 0,
        zone,
    };
    group.remember(activity.clone());
    if drains {
        machines::empty(world, number);
        after(world, [35_000, 50_000], Step::End(number));
    } else {
        after(world, [1_000, 3_000], Step::End(number));
    }
    Some(activity)
}

fn end(world: &mut World, number: u64) {
    turn(world, number, |instance| {
        instance.state = "shutting-down";
        instance.lifecycle = instance.lifecycle.map(|_| "Terminating:Proceed");
    });
    machines::silence(world, number);
    after(world, [6_000, 12_000], Step::Gone(number));
}

fn gone(world: &mut World, number: u64) {
    machines::leave(world, number);
    let now = world.now();
    let Some(instance) = world.cloud.instances.get_mut(&number) else { return };
    (instance.state, instance.lifecycle) = ("terminated", None);
    if let Some(at) = instance.group {
        finish(&mut world.cloud.groups[at].activities, number, now);
        look(world, at);
    }
    karpenter::gone(world, number);
    world.life.clock.after(SHOWN, Due::Cloud(Step::Forget(number)));
}
