//! What changes a group by itself: scheduled actions, which come due on the world's clock, and scaling policies, which are
//! kept and listed; nobody measures here, so they never act (Auto Scaling API Reference).

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::Call;
use super::answer::Failure;
use super::autoscaling::{arn, find, invalid, size};
use super::group::Group;
use super::input::{number, page, text, texts};
use super::scaling::{self, Sizes};
use crate::cluster::cron_job::Schedule;
use crate::encoding::template::rfc3339;
use crate::world::World;

const MINUTE: i64 = 60;
/// How far ahead the next run of an action is looked for: every schedule comes due within a leap year, or never.
const AHEAD: i64 = 367 * 24 * 60;

/// What a group has been told to do by itself.
#[derive(Debug, Default)]
pub struct Plans {
    scheduled: Vec<Scheduled>,
    /// As they were put.
    policies: Vec<Value>,
}

/// Other sizes at an instant, or again and again.
#[derive(Debug, Clone)]
struct Scheduled {
    name: String,
    /// Seconds since 1970: the next run; none where it will never be.
    next: Option<i64>,
    end: Option<i64>,
    recurrence: Option<(String, Schedule)>,
    zone: Option<String>,
    min: Option<u32>,
    max: Option<u32>,
    desired: Option<u32>,
}

impl Scheduled {
    /// The first run at or after an instant.
    fn next(&self, from: i64) -> Option<i64> {
        let (_, schedule) = self.recurrence.as_ref()?;
        let zone = self.zone.as_ref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        let first = from.div_euclid(MINUTE) + i64::from(from.rem_euclid(MINUTE) > 0);
        let due = |minute: &i64| schedule.is_due(minute * MINUTE, &zone);
        let next = (first..first + AHEAD).find(due)? * MINUTE;
        self.end.is_none_or(|end| next <= end).then_some(next)
    }

    fn value(&self, group: &Group) -> Value {
        json!({
            "AutoScalingGroupName": group.asg, "ScheduledActionName": self.name,
            "ScheduledActionARN": format!("{}:scheduledActionName/{}", arn(group), self.name),
            "Time": self.next.map(rfc3339), "StartTime": self.next.map(rfc3339), "EndTime": self.end.map(rfc3339),
            "Recurrence": self.recurrence.as_ref().map(|(cron, _)| cron), "TimeZone": self.zone,
            "MinSize": self.min, "MaxSize": self.max, "DesiredCapacity": self.desired,
        })
    }
}

pub fn perform(world: &mut World, call: &Call) -> Result<Value, Failure> {
    match call.operation.as_str() {
        "PutScheduledUpdateGroupAction" => put(world, call),
        "DeleteScheduledAction" => {
            let (at, name) = (find(&world.cloud, call)?, text(&call.input, "ScheduledActionName"));
            world.cloud.groups[at].plans.scheduled.retain(|action| action.name != name);
            Ok(Value::Null)
        }
        "PutScalingPolicy" => put_policy(world, call),
        "DeletePolicy" => {
            let (at, name) = (find(&world.cloud, call)?, text(&call.input, "PolicyName"));
            world.cloud.groups[at].plans.policies.retain(|policy| policy["PolicyName"] != name);
            Ok(Value::Null)
        }
        "DescribeScheduledActions" => list(world, call, "ScheduledUpdateGroupActions", |group| {
            group.plans.scheduled.iter().map(|action| action.value(group)).collect()
        }),
        _ => list(world, call, "ScalingPolicies", |group| group.plans.policies.clone()),
    }
}

/// What the groups of a region have, or the one that is named.
fn list(world: &World, call: &Call, field: &str, of: fn(&Group) -> Vec<Value>) -> Result<Value, Failure> {
    let input = &call.input;
    let groups: Vec<&Group> = if text(input, "AutoScalingGroupName").is_empty() {
        world.cloud.groups.iter().filter(|group| group.region == call.region).collect()
    } else {
        vec![&world.cloud.groups[find(&world.cloud, call)?]]
    };
    let named = [texts(input, "PolicyNames"), texts(input, "ScheduledActionNames")].concat();
    let names = ["PolicyName", "ScheduledActionName"];
    let is_named = |value: &Value| {
        named.is_empty() || names.iter().filter_map(|name| value[name].as_str()).any(|name| named.contains(&name))
    };
    let all = groups.into_iter().flat_map(of).filter(|value| is_named(value)).collect();
    let (page, next) = page(all, size(input, 100)?, text(input, "NextToken"))?;
    Ok(json!({ field: page, "NextToken": next }))
}

fn put(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let (at, now, input) = (find(&world.cloud, call)?, world.now(), &call.input);
    let named = |name: &str| Some(text(input, name).to_owned()).filter(|text| !text.is_empty());
    let instant = |name: &str| match text(input, name) {
        "" => Ok(None),
        text => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time.as_second())),
            Err(_) => Err(invalid(format!("{name} is no time: {text}"))),
        },
    };
    let Some(name) = named("ScheduledActionName") else { return Err(invalid("ScheduledActionName is missing")) };
    let recurrence = match named("Recurrence") {
        None => None,
        Some(cron) => {
            let schedule = Schedule::parse(&cron).ok_or_else(|| invalid("Given recurrence string is invalid"))?;
            Some((cron, schedule))
        }
    };
    let (start, end) = (instant("StartTime")?, instant("EndTime")?);
    if start.is_none() && recurrence.is_none() {
        return Err(invalid("Either StartTime or Recurrence must be given"));
    }
    if start.is_some_and(|start| start < now) {
        return Err(invalid("Given start time is in the past"));
    }
    let sizes = ["MinSize", "MaxSize", "DesiredCapacity"].map(|name| number(input, name));
    if sizes.iter().all(Option::is_none) {
        return Err(invalid("At least one of MinSize, MaxSize, DesiredCapacity must be given"));
    }
    let [min, max, desired] = sizes;
    let zone = named("TimeZone");
    if zone.as_ref().is_some_and(|zone| TimeZone::get(zone).is_err()) {
        return Err(invalid("Given time zone is invalid"));
    }
    let mut action = Scheduled { name, next: None, end, recurrence, zone, min, max, desired };
    action.next = if action.recurrence.is_some() { action.next(start.unwrap_or(now)) } else { start };
    let scheduled = &mut world.cloud.groups[at].plans.scheduled;
    scheduled.retain(|other| other.name != action.name);
    scheduled.push(action);
    Ok(Value::Null)
}

fn put_policy(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let at = find(&world.cloud, call)?;
    let group = &mut world.cloud.groups[at];
    let mut policy = call.input.clone();
    let Some(name) = policy["PolicyName"].as_str().filter(|name| !name.is_empty()) else {
        return Err(invalid("PolicyName is missing"));
    };
    let arn = format!("{}:policyName/{name}", arn(group));
    group.plans.policies.retain(|other| other["PolicyName"] != name);
    if policy["PolicyType"].is_null() {
        policy["PolicyType"] = "SimpleScaling".into();
    }
    if policy["Enabled"].is_null() {
        policy["Enabled"] = "true".into();
    }
    policy["PolicyARN"] = arn.clone().into();
    group.plans.policies.push(policy);
    Ok(json!({ "PolicyARN": arn, "Alarms": [] }))
}

/// Scheduled actions that are due give their groups other sizes: looked at once a minute.
pub fn minute(world: &mut World) {
    let now = world.now();
    for at in 0..world.cloud.groups.len() {
        let group = &mut world.cloud.groups[at];
        let mut due = Vec::new();
        for action in &mut group.plans.scheduled {
            if action.next.is_some_and(|next| next <= now) {
                due.push(action.clone());
                action.next = action.next(now + 1);
            }
        }
        group.plans.scheduled.retain(|action| action.next.is_some());
        for action in due.into_iter().filter(|_| group.runs("ScheduledActions")).collect::<Vec<_>>() {
            run(world, at, &action);
        }
    }
}

/// Bounds that are named hold; a wish that they do not allow is moved between them.
fn run(world: &mut World, at: usize, action: &Scheduled) {
    let group = &world.cloud.groups[at];
    let min = action.min.unwrap_or(group.min);
    let max = action.max.unwrap_or(group.max).max(min);
    let desired = action.desired.unwrap_or(group.desired).clamp(min, max);
    let why = "a scheduled action update of AutoScalingGroup constraints";
    scaling::resize_past_eks(world, at, Sizes { min, max, desired }, why);
}
