//! Auto Scaling: groups as they are, what they did, and changes of them (Auto Scaling API Reference).

use serde_json::{Value, json};

use super::answer::Failure;
use super::cloud::{self, Cloud, Instance, LAUNCH_TEMPLATE};
use super::group::{Activity, Group};
use super::input::{filters, is_true, number, page, text, texts};
use super::scaling::{self, Sizes};
use super::{Call, Service, plans};
use crate::cluster::node::{ACCOUNT, ZONES};
use crate::encoding::template::{Short, rfc3339};
use crate::world::World;

/// The processes that can be suspended.
const PROCESSES: [&str; 9] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];

pub fn perform(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let input = &call.input;
    match call.operation.as_str() {
        "DescribeAutoScalingGroups" => describe(&world.cloud, call),
        "DescribeAutoScalingInstances" => instances(&world.cloud, call),
        "DescribeScalingActivities" => activities(&world.cloud, call),
        "PutScheduledUpdateGroupAction"
        | "DeleteScheduledAction"
        | "DescribeScheduledActions"
        | "PutScalingPolicy"
        | "DeletePolicy"
        | "DescribePolicies" => plans::perform(world, call),
        "DescribeLifecycleHooks" => listed(world, call, "LifecycleHooks"),
        "DescribeInstanceRefreshes" => listed(world, call, "InstanceRefreshes"),
        "SetDesiredCapacity" => set_desired(world, call),
        "UpdateAutoScalingGroup" => update(world, call),
        "TerminateInstanceInAutoScalingGroup" => terminate(world, call),
        "SuspendProcesses" | "ResumeProcesses" => {
            let at = find(&world.cloud, call)?;
            let named = texts(input, "ScalingProcesses");
            let named = if named.is_empty() { PROCESSES.to_vec() } else { named };
            if let Some(unknown) = named.iter().find(|name| !PROCESSES.contains(name)) {
                return Err(invalid(format!("Unknown process type: {unknown}")));
            }
            let suspended = &mut world.cloud.groups[at].suspended;
            if call.operation == "SuspendProcesses" {
                suspended.extend(named.into_iter().map(str::to_owned));
            } else {
                suspended.retain(|process| !named.contains(&process.as_str()));
                scaling::look(world, at);
            }
            Ok(Value::Null)
        }
        _ => Err(Failure::unknown_operation(call)),
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::invalid(Service::AutoScaling, message)
}

pub(super) fn find(cloud: &Cloud, call: &Call) -> Result<usize, Failure> {
    let name = text(&call.input, "AutoScalingGroupName");
    let missing = || invalid(format!("AutoScalingGroup name not found - AutoScalingGroup: {name} not found"));
    cloud.asg(&call.region, name).ok_or_else(missing)
}

/// Lists that are empty for every group.
fn listed(world: &World, call: &Call, field: &str) -> Result<Value, Failure> {
    if !text(&call.input, "AutoScalingGroupName").is_empty() {
        find(&world.cloud, call)?;
    }
    Ok(json!({ field: [] }))
}

pub(super) fn size(input: &Value, most: u32) -> Result<usize, Failure> {
    match number(input, "MaxRecords") {
        None => Ok(50),
        Some(size) if (1..=most).contains(&size) => Ok(size as usize),
        Some(_) => Err(invalid(format!("The MaxRecords value must be between 1 and {most}."))),
    }
}

fn wanted(group: &Group, filters: &[(&str, Vec<&str>)]) -> bool {
    let tags = group.tags();
    filters.iter().all(|(name, values)| match *name {
        "tag-key" => tags.iter().any(|(key, _)| values.contains(&key.as_str())),
        "tag-value" => tags.iter().any(|(_, value)| values.contains(&value.as_str())),
        name => {
            let wanted = name.strip_prefix("tag:").unwrap_or_default();
            tags.iter().any(|(key, value)| key == wanted && values.contains(&value.as_str()))
        }
    })
}

fn describe(cloud: &Cloud, call: &Call) -> Result<Value, Failure> {
    let (input, filters) = (&call.input, filters(&call.input));
    let names = texts(input, "AutoScalingGroupNames");
    let known = |name: &str| matches!(name, "tag-key" | "tag-value") || name.starts_with("tag:");
    if let Some((name, _)) = filters.iter().find(|(name, _)| !known(name)) {
        return Err(invalid(format!(
            "Filter type {name} is not correct. Allowed Filter types are: tag-key, tag-value, tag:<key>"
        )));
    }
    let all = cloud.groups.iter().enumerate().filter(|(_, group)| {
        group.region == call.region
            && (names.is_empty() || names.contains(&group.asg.as_str()))
            && wanted(group, &filters)
    });
    let (groups, next) = page(all.collect(), size(input, 100)?, text(input, "NextToken"))?;
    let with_instances = input["IncludeInstances"] != "false";
    let groups: Vec<_> = groups.into_iter().map(|(at, group)| value(cloud, at, group, with_instances)).collect();
    Ok(json!({ "AutoScalingGroups": groups, "NextToken": next }))
}

pub(super) fn arn(group: &Group) -> String {
    let uid = Short::uuid(group.uid);
    format!(
        "arn:aws:autoscaling:{}:{ACCOUNT}:autoScalingGroup:{}:autoScalingGroupName/{}",
        group.region,
        uid.as_str(),
        group.asg
    )
}

fn template(group: &Group) -> Value {
    let version = group.managed.as_ref().map_or(7, |managed| managed.template_version);
    json!({ "LaunchTemplateId": LAUNCH_TEMPLATE, "LaunchTemplateName": format!("{}-nodes", group.cluster),
        "Version": version.to_string() })
}

fn value(cloud: &Cloud, at: usize, group: &Group, with_instances: bool) -> Value {
    let instances: Vec<_> =
        cloud.members(at).filter(|_| with_instances).map(|instance| member(group, instance)).collect();
    let tags = group.tags().into_iter().map(|(key, value)| {
        json!({ "ResourceId": group.asg, "ResourceType": "auto-scaling-group", "Key": key, "Value": value,
            "PropagateAtLaunch": true })
    });
    let suspended = group
        .suspended
        .iter()
        .map(|process| json!({ "ProcessName": process, "SuspensionReason": "User suspended at demo" }));
    let overrides: Vec<_> = group.types.iter().map(|kind| json!({ "InstanceType": kind })).collect();
    let subnets: Vec<_> = (0..ZONES.len()).map(cloud::subnet).collect();
    json!({
        "AutoScalingGroupName": group.asg, "AutoScalingGroupARN": arn(group), "MinSize": group.min,
        "MaxSize": group.max, "DesiredCapacity": group.desired, "DefaultCooldown": 300,
        "AvailabilityZones": (0..ZONES.len()).map(|zone| cloud::zone(&group.region, zone)).collect::<Vec<_>>(),
        "LoadBalancerNames": [], "TargetGroupARNs": [], "HealthCheckType": "EC2", "HealthCheckGracePeriod": 15,
        "Instances": instances, "CreatedTime": rfc3339(group.created),
        "SuspendedProcesses": suspended.collect::<Vec<_>>(), "VPCZoneIdentifier": subnets.join(","),
        "EnabledMetrics": [], "Tags": tags.collect::<Vec<_>>(),
        "TerminationPolicies": ["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        "NewInstancesProtectedFromScaleIn": false, "CapacityRebalance": group.spot,
        "ServiceLinkedRoleARN": format!(
            "arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
        ),
        "MixedInstancesPolicy": {
            "LaunchTemplate": { "LaunchTemplateSpecification": template(group), "Overrides": overrides },
            "InstancesDistribution": {
                "OnDemandAllocationStrategy": "prioritized", "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": if group.spot { 0 } else { 100 },
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        },
    })
}

fn member(group: &Group, instance: &Instance) -> Value {
    json!({
        "InstanceId": instance.id(), "InstanceType": instance.kind,
        "AvailabilityZone": cloud::zone(&instance.region, instance.zone), "LifecycleState": instance.lifecycle,
        "HealthStatus": "Healthy", "LaunchTemplate": template(group), "ProtectedFromScaleIn": instance.protected,
    })
}

fn instances(cloud: &Cloud, call: &Call) -> Result<Value, Failure> {
    let ids = texts(&call.input, "InstanceIds");
    let all = cloud.instances.values().filter_map(|instance| {
        let group = &cloud.groups[instance.group?];
        let asked = ids.is_empty() || ids.contains(&instance.id().as_str());
        (asked && instance.region == call.region && instance.lifecycle.is_some()).then(|| {
            let mut value = member(group, instance);
            value["AutoScalingGroupName"] = group.asg.clone().into();
            value["HealthStatus"] = "HEALTHY".into();
            value
        })
    });
    let (page, next) = page(all.collect(), size(&call.input, 50)?, text(&call.input, "NextToken"))?;
    Ok(json!({ "AutoScalingInstances": page, "NextToken": next }))
}

fn activities(cloud: &Cloud, call: &Call) -> Result<Value, Failure> {
    let named = text(&call.input, "AutoScalingGroupName");
    let groups: Vec<&Group> = if named.is_empty() {
        cloud.groups.iter().filter(|group| group.region == call.region).collect()
    } else {
        vec![&cloud.groups[find(cloud, call)?]]
    };
    let all: Vec<_> =
        groups.iter().flat_map(|group| group.activities.iter().map(|activity| told(group, activity))).collect();
    let most = number(&call.input, "MaxRecords").map_or(Ok(100), |_| size(&call.input, 100))?;
    let (page, next) = page(all, most, text(&call.input, "NextToken"))?;
    Ok(json!({ "Activities": page, "NextToken": next }))
}

fn told(group: &Group, activity: &Activity) -> Value {
    let details = json!({ "Subnet ID": cloud::subnet(activity.zone),
        "Availability Zone": cloud::zone(&group.region, activity.zone) });
    json!({
        "ActivityId": Short::uuid(activity.id).as_str(), "AutoScalingGroupName": group.asg,
        "Description": activity.description, "Cause": activity.cause, "StartTime": rfc3339(activity.start),
        "EndTime": activity.end.map(rfc3339), "StatusCode": activity.status, "StatusMessage": activity.message,
        "Progress": activity.progress, "Details": details.to_string(), "AutoScalingGroupARN": arn(group),
    })
}

fn set_desired(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let at = find(&world.cloud, call)?;
    let Some(desired) = number(&call.input, "DesiredCapacity") else {
        return Err(invalid("DesiredCapacity must be a number that is not negative"));
    };
    let group = &world.cloud.groups[at];
    let (min, max) = (group.min, group.max);
    if desired > max {
        let message =
            format!("New SetDesiredCapacity value {desired} is above max value {max} for the AutoScalingGroup.");
        return Err(invalid(message));
    }
    if desired < min {
        let message =
            format!("New SetDesiredCapacity value {desired} is below min value {min} for the AutoScalingGroup.");
        return Err(invalid(message));
    }
    let busy = group.activities.iter().any(|activity| activity.end.is_none());
    if is_true(&call.input, "HonorCooldown") && busy {
        let message = "Scaling activity is in progress and the group has a cooldown";
        return Err(Failure::new(400, "ScalingActivityInProgress", message));
    }
    scaling::resize_past_eks(
        world,
        at,
        Sizes { min, max, desired },
        "a user request explicitly set group desired capacity",
    );
    Ok(Value::Null)
}

fn update(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let at = find(&world.cloud, call)?;
    let (group, input) = (&world.cloud.groups[at], &call.input);
    let min = number(input, "MinSize").unwrap_or(group.min);
    let max = number(input, "MaxSize").unwrap_or(group.max);
    let asked = number(input, "DesiredCapacity");
    let desired = asked.unwrap_or_else(|| group.desired.max(min).min(max.max(min)));
    if min > max {
        return Err(invalid(format!("Max bound, {max}, must be greater than or equal to min bound, {min}")));
    }
    if desired < min || desired > max {
        return Err(invalid(format!(
            "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
        )));
    }
    let sizes = Sizes { min, max, desired };
    scaling::resize_past_eks(world, at, sizes, "a user request update of AutoScalingGroup constraints");
    Ok(Value::Null)
}

fn terminate(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let id = text(&call.input, "InstanceId");
    let missing = || invalid(format!("Instance Id not found - No managed instance found for instance ID: {id}"));
    let number = cloud::instance_number(id).ok_or_else(missing)?;
    let instance = world.cloud.instances.get(&number).filter(|it| it.region == call.region && it.counts());
    let at = instance.and_then(|instance| instance.group).ok_or_else(missing)?;
    let decrement = is_true(&call.input, "ShouldDecrementDesiredCapacity");
    let group = &world.cloud.groups[at];
    let (min, max, desired) = (group.min, group.max, group.desired);
    if decrement && desired <= min {
        return Err(invalid(format!(
            "Currently, desiredSize equals minSize ({min}). Terminating instance without replacement will violate \
             group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min \
             size."
        )));
    }
    let cause = if decrement {
        format!(
            "instance {id} was taken out of service in response to a user request, shrinking the capacity from \
             {desired} to {}.",
            desired - 1
        )
    } else {
        format!("instance {id} was taken out of service in response to a user request.")
    };
    let activity = scaling::terminate(world, number, &cause, None).ok_or_else(missing)?;
    if decrement {
        let sizes = Sizes { min, max, desired: desired - 1 };
        scaling::resize_past_eks(world, at, sizes, "a user request");
    } else {
        scaling::look(world, at);
    }
    Ok(json!({ "Activity": told(&world.cloud.groups[at], &activity) }))
}
