//! The account from within: what becomes of a change, in simulated time.

use serde_json::{Value, json};

use super::answer::Failure;
use super::cloud::{self, instance_id};
use super::{Call, Service, perform, scaling};
use crate::admission::options::Writing;
use crate::catalog::{DEPLOYMENTS, EVENTS, NODES, PODS};
use crate::cluster::seed::Size;
use crate::cluster::site::DEMO;
use crate::cluster::story::Story;
use crate::cluster::{life, store, story};
use crate::object::Object;
use crate::world::World;

const START: i64 = 1_772_323_200;

fn living() -> World {
    let mut world = World::new(Size { site: &DEMO, nodes: 24, pods: 300, seed: 1, now: START });
    life::begin(&mut world, None);
    world
}

fn run(world: &mut World, seconds: i64) {
    let end = world.life.clock.now() + seconds * 1000;
    assert!(life::advance(world, end, usize::MAX));
}

fn ask(world: &mut World, service: Service, operation: &str, input: Value) -> Result<Value, Failure> {
    perform(world, &Call { service, operation: operation.into(), region: "eu-west-1".into(), input })
}

fn eks(world: &mut World, operation: &str, mut input: Value) -> Result<Value, Failure> {
    input["clusterName"] = "demo".into();
    input["name"] = "demo".into();
    ask(world, Service::Eks, operation, input)
}

#[allow(clippy::needless_pass_by_value, reason = "calls read better so")]
fn update(world: &mut World, sizes: Value, token: &str) -> Result<Value, Failure> {
    let input = json!({ "nodegroupName": "general-od", "scalingConfig": sizes, "clientRequestToken": token });
    eks(world, "UpdateNodegroupConfig", input).map(|answer| answer["update"].clone())
}

fn group(world: &mut World) -> Value {
    eks(world, "DescribeNodegroup", json!({ "nodegroupName": "general-od" })).unwrap()["nodegroup"].clone()
}

fn asg(world: &mut World) -> Value {
    let name = group(world)["resources"]["autoScalingGroups"][0]["name"].clone();
    let input = json!({ "AutoScalingGroupNames": [name] });
    let answer = ask(world, Service::AutoScaling, "DescribeAutoScalingGroups", input).unwrap();
    answer["AutoScalingGroups"][0].clone()
}

fn asg_call(world: &mut World, operation: &str, mut input: Value) -> Result<Value, Failure> {
    input["AutoScalingGroupName"] = asg(world)["AutoScalingGroupName"].clone();
    ask(world, Service::AutoScaling, operation, input)
}

fn activities(world: &mut World) -> Vec<Value> {
    asg_call(world, "DescribeScalingActivities", json!({})).unwrap()["Activities"].as_array().unwrap().clone()
}

fn size(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Nodes of the group, those that are ready, and the ids of the instances behind them.
fn nodes(world: &World) -> (usize, usize, Vec<String>) {
    let of_group = |object: &&std::sync::Arc<Object>| {
        object.labels().get("eks.amazonaws.com/nodegroup").is_some_and(|name| name == "general-od")
    };
    let values: Vec<Value> =
        world.snapshot(NODES, "").objects.iter().filter(of_group).map(|object| object.value()).collect();
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().unwrap();
        conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let id = |node: &Value| node["spec"]["providerID"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    (values.len(), values.iter().filter(is_ready).count(), values.iter().map(id).collect())
}

fn lifecycles(asg: &Value, state: &str) -> usize {
    asg["Instances"].as_array().unwrap().iter().filter(|instance| instance["LifecycleState"] == state).count()
}

#[test]
fn each_node_of_a_managed_group_is_an_instance_of_its_asg() {
    let mut world = living();
    let (count, _, mut ids) = nodes(&world);
    let asg = asg(&mut world);
    let instances = asg["Instances"].as_array().unwrap();
    let mut members: Vec<_> = instances.iter().map(|it| it["InstanceId"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    members.sort();
    assert_eq!((ids, asg["DesiredCapacity"].as_u64()), (members, Some(count as u64)));
    let filter = json!({ "Filter": [{ "Name": "tag:kubernetes.io/cluster/demo", "Value": ["owned", "shared"] }] });
    let all = ask(&mut world, Service::Ec2, "DescribeInstances", filter).unwrap();
    assert_eq!(all["reservationSet"].as_array().unwrap().len(), 24);
}

#[test]
fn a_scale_is_mirrored_boots_joins_and_takes_pods() {
    let mut world = living();
    run(&mut world, 30);
    let (before, ready, _) = nodes(&world);
    let wanted = size(&group(&mut world)["scalingConfig"]["desiredSize"]) + 2;
    assert_eq!(update(&mut world, json!({ "desiredSize": wanted }), "t").unwrap()["status"], "InProgress");
    // EKS says so at once, the group does not know yet.
    assert_eq!(group(&mut world)["scalingConfig"]["desiredSize"], wanted);
    assert_eq!(
        (group(&mut world)["status"].clone(), size(&asg(&mut world)["DesiredCapacity"])),
        ("UPDATING".into(), wanted - 2)
    );
    run(&mut world, 6);
    assert_eq!(size(&asg(&mut world)["DesiredCapacity"]), wanted);
    run(&mut world, 5);
    let pending = asg(&mut world);
    assert_eq!(lifecycles(&pending, "Pending"), 2, "{pending}");
    let newest = activities(&mut world)[0].clone();
    assert_eq!((&newest["StatusCode"], newest["EndTime"].is_null()), (&json!("PreInService"), true));
    run(&mut world, 20);
    assert_eq!(group(&mut world)["status"], "ACTIVE");
    assert_eq!(lifecycles(&asg(&mut world), "Pending"), 0);
    assert_eq!(activities(&mut world)[0]["StatusCode"], "Successful");
    run(&mut world, 60);
    let (after, ready_after, ids) = nodes(&world);
    assert_eq!((after, ready_after), (before + 2, ready + 2));
    let (newest, _) = world.cloud.instances.iter().max_by_key(|(_, instance)| instance.launched).unwrap();
    assert!(ids.contains(&instance_id(*newest)));
    // Daemons run on it.
    let node = world.cloud.instances[newest].node.clone().unwrap();
    let on_it = world.snapshot(PODS, "").objects.iter().filter(|pod| pod.field("spec.nodeName") == *node).count();
    assert!(on_it >= 3, "{on_it} pods on {node}");
}

#[test]
fn scaling_down_ends_instances_and_their_nodes_go() {
    let mut world = living();
    let (before, _, _) = nodes(&world);
    let wanted = before as u64 - 1;
    update(&mut world, json!({ "desiredSize": wanted }), "").unwrap();
    run(&mut world, 20);
    assert_eq!(lifecycles(&asg(&mut world), "Terminating:Wait"), 1);
    assert_eq!(nodes(&world).0, before, "its node is emptied first");
    run(&mut world, 90);
    let pods = world.snapshot(PODS, "").objects;
    let (after, _, _) = nodes(&world);
    assert_eq!(after as u64, wanted);
    let names: Vec<_> = world.snapshot(NODES, "").objects.iter().map(|node| node.name().to_owned()).collect();
    for pod in pods.iter() {
        let node = pod.field("spec.nodeName").into_owned();
        assert!(node.is_empty() || names.contains(&node), "{} is on {node}, which is gone", pod.key);
    }
    let ended: Vec<_> = world.cloud.instances.values().filter(|it| it.state == "terminated").collect();
    assert_eq!(ended.len(), 1);
}

#[test]
fn one_update_at_a_time_and_one_for_each_token() {
    let mut world = living();
    let desired = size(&group(&mut world)["scalingConfig"]["desiredSize"]);
    let first = update(&mut world, json!({ "desiredSize": desired + 1 }), "one").unwrap();
    let again = update(&mut world, json!({ "desiredSize": desired + 1 }), "one").unwrap();
    assert_eq!(first["id"], again["id"], "the same wish is the same update");
    let other = update(&mut world, json!({ "desiredSize": desired + 2 }), "one").unwrap_err();
    assert_eq!(other.code, "InvalidRequestException");
    let busy = update(&mut world, json!({ "desiredSize": desired + 2 }), "two").unwrap_err();
    assert_eq!((busy.status, busy.code), (409, "ResourceInUseException"));
    let ids = eks(&mut world, "ListUpdates", json!({ "nodegroupName": "general-od" })).unwrap();
    assert_eq!(ids["updateIds"], json!([first["id"]]));
    run(&mut world, 30);
    assert_eq!(update(&mut world, json!({ "desiredSize": desired + 1 }), "one").unwrap()["status"], "Successful");
    assert!(update(&mut world, json!({ "desiredSize": desired + 2 }), "two").is_ok());
}

#[test]
fn sizes_keep_to_their_bounds() {
    let mut world = living();
    let sizes = group(&mut world)["scalingConfig"].clone();
    let (min, max) = (size(&sizes["minSize"]), size(&sizes["maxSize"]));
    for (wish, message) in [
        (json!({ "desiredSize": max + 1 }), "can't be greater than max size"),
        (json!({ "desiredSize": min - 1 }), "can't be greater than desired size"),
        (json!({ "minSize": max + 1 }), "can't be greater than maximum size"),
        (json!({ "maxSize": 0, "minSize": 0, "desiredSize": 0 }), "at least 1"),
    ] {
        let refused = update(&mut world, wish.clone(), "").unwrap_err();
        assert_eq!((refused.status, refused.code), (400, "InvalidParameterException"), "{wish}");
        assert!(refused.message.contains(message), "{wish}: {}", refused.message);
    }
    // Bounds may move in the same request, and a raised least raises what is wanted.
    update(&mut world, json!({ "maxSize": max + 5, "desiredSize": max + 1 }), "").unwrap();
    run(&mut world, 30);
    update(&mut world, json!({ "minSize": max + 2 }), "").unwrap();
    assert_eq!(size(&group(&mut world)["scalingConfig"]["desiredSize"]), max + 2);
    let above = asg_call(&mut world, "SetDesiredCapacity", json!({ "DesiredCapacity": "99" })).unwrap_err();
    assert!(above.message.contains("above max value"), "{}", above.message);
}

#[test]
fn without_capacity_activities_fail_and_degraded_stays_until_instances_come() {
    let mut world = living();
    cloud::open(&mut world);
    world.cloud.groups[0].starved = true;
    let desired = size(&group(&mut world)["scalingConfig"]["desiredSize"]);
    update(&mut world, json!({ "desiredSize": desired + 1 }), "").unwrap();
    run(&mut world, 40);
    // The update is done all the same: EKS has handed the wish on.
    let degraded = group(&mut world);
    assert_eq!(degraded["status"], "DEGRADED");
    assert_eq!(degraded["health"]["issues"][0]["code"], "AsgInstanceLaunchFailures");
    let failed = activities(&mut world)[0].clone();
    assert_eq!(failed["StatusCode"], "Failed");
    assert!(failed["StatusMessage"].as_str().unwrap().contains("InsufficientInstanceCapacity"));
    // Back to what it had: nothing fails any more, and EKS goes on saying so.
    world.cloud.groups[0].starved = false;
    update(&mut world, json!({ "desiredSize": desired }), "").unwrap();
    run(&mut world, 120);
    assert_eq!(group(&mut world)["status"], "DEGRADED");
    update(&mut world, json!({ "desiredSize": desired + 1 }), "").unwrap();
    run(&mut world, 60);
    assert_eq!(group(&mut world)["status"], "ACTIVE");
}

#[test]
fn suspended_processes_leave_everything_as_it_is() {
    let mut world = living();
    asg_call(&mut world, "SuspendProcesses", json!({ "ScalingProcesses": ["Launch"] })).unwrap();
    let (before, _, _) = nodes(&world);
    update(&mut world, json!({ "desiredSize": before + 1 }), "").unwrap();
    run(&mut world, 120);
    let group = asg(&mut world);
    assert_eq!((size(&group["DesiredCapacity"]), lifecycles(&group, "InService")), (before as u64 + 1, before));
    assert_eq!(group["SuspendedProcesses"][0]["ProcessName"], "Launch");
    assert!(activities(&mut world).is_empty());
    asg_call(&mut world, "ResumeProcesses", json!({})).unwrap();
    run(&mut world, 120);
    assert_eq!(nodes(&world).0, before + 1);
}

#[test]
fn who_goes_past_eks_is_seen_later() {
    let mut world = living();
    let (before, _, ids) = nodes(&world);
    asg_call(&mut world, "SetDesiredCapacity", json!({ "DesiredCapacity": before + 1 })).unwrap();
    assert_eq!(size(&asg(&mut world)["DesiredCapacity"]), before as u64 + 1);
    run(&mut world, 5);
    assert_eq!(size(&group(&mut world)["scalingConfig"]["desiredSize"]), before as u64);
    run(&mut world, 90);
    assert_eq!(size(&group(&mut world)["scalingConfig"]["desiredSize"]), before as u64 + 1);
    // One instance of one's choice, without another in its place.
    let chosen = json!({ "InstanceId": ids[0], "ShouldDecrementDesiredCapacity": "true" });
    ask(&mut world, Service::AutoScaling, "TerminateInstanceInAutoScalingGroup", chosen).unwrap();
    run(&mut world, 120);
    let (after, _, left) = nodes(&world);
    assert_eq!(after, before);
    assert!(!left.contains(&ids[0]));
}

#[test]
fn scheduled_actions_come_due_in_their_zone_and_again() {
    // Midnight of 1 March, UTC.
    let mut world = living();
    let wanted = |world: &mut World| size(&asg(world)["DesiredCapacity"]);
    let night = json!({ "ScheduledActionName": "night", "Recurrence": "30 2 * * *", "TimeZone": "Europe/Berlin",
        "MinSize": 0, "DesiredCapacity": 2 });
    asg_call(&mut world, "PutScheduledUpdateGroupAction", night).unwrap();
    let before = wanted(&mut world);
    let listed = asg_call(&mut world, "DescribeScheduledActions", json!({})).unwrap();
    let action = &listed["ScheduledUpdateGroupActions"][0];
    assert_eq!((&action["StartTime"], &action["DesiredCapacity"]), (&json!("2026-03-01T01:30:00Z"), &json!(2)));
    run(&mut world, 89 * 60);
    assert_eq!(wanted(&mut world), before);
    run(&mut world, 120);
    assert_eq!(wanted(&mut world), 2);
    let listed = asg_call(&mut world, "DescribeScheduledActions", json!({})).unwrap();
    assert_eq!(listed["ScheduledUpdateGroupActions"][0]["StartTime"], "2026-03-02T01:30:00Z");

    let once = json!({ "ScheduledActionName": "once", "StartTime": "2026-03-01T02:00:00Z", "DesiredCapacity": 4 });
    asg_call(&mut world, "PutScheduledUpdateGroupAction", once).unwrap();
    asg_call(&mut world, "SuspendProcesses", json!({ "ScalingProcesses": ["ScheduledActions"] })).unwrap();
    run(&mut world, 40 * 60);
    assert_eq!(wanted(&mut world), 2, "nothing acts while it is suspended");
    let listed = asg_call(&mut world, "DescribeScheduledActions", json!({})).unwrap();
    assert_eq!(listed["ScheduledUpdateGroupActions"].as_array().map(Vec::len), Some(1), "once is over");

    let wrong = json!({ "ScheduledActionName": "x", "Recurrence": "every day", "DesiredCapacity": 1 });
    assert!(asg_call(&mut world, "PutScheduledUpdateGroupAction", wrong).is_err());
    asg_call(&mut world, "DeleteScheduledAction", json!({ "ScheduledActionName": "night" })).unwrap();
    let listed = asg_call(&mut world, "DescribeScheduledActions", json!({})).unwrap();
    assert_eq!(listed["ScheduledUpdateGroupActions"], json!([]));
}

#[test]
fn the_same_seed_scales_in_the_same_way() {
    let story = || {
        let mut world = living();
        update(&mut world, json!({ "desiredSize": 9 }), "").unwrap();
        run(&mut world, 120);
        let mut names: Vec<_> = world.snapshot(NODES, "").objects.iter().map(|node| node.value().to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(story(), story());
}

#[test]
fn a_group_of_ones_own_is_scaled_past_eks() {
    let mut world = living();
    let listed = eks(&mut world, "ListNodegroups", json!({})).unwrap();
    assert!(!listed["nodegroups"].as_array().unwrap().contains(&json!("demo-batch")), "{listed}");
    let wish = json!({ "AutoScalingGroupName": "demo-batch", "DesiredCapacity": "1" });
    ask(&mut world, Service::AutoScaling, "SetDesiredCapacity", wish).unwrap();
    run(&mut world, 120);
    let nodes = world.snapshot(NODES, "").objects;
    let own = nodes.iter().filter(|node| node.labels().contains_key("alpha.eksctl.io/nodegroup-name"));
    assert_eq!(own.count(), 1);
    let tagged = json!({ "Filters": [{ "Name": "tag:kubernetes.io/cluster/demo", "Values": ["owned"] }] });
    let groups = ask(&mut world, Service::AutoScaling, "DescribeAutoScalingGroups", tagged).unwrap();
    assert_eq!(groups["AutoScalingGroups"].as_array().unwrap().len(), 6);
}

fn events(world: &World, reason: &str) -> usize {
    world.snapshot(EVENTS, "").objects.iter().filter(|event| event.value()["reason"] == reason).count()
}

#[test]
fn the_cluster_autoscaler_grows_groups_for_pods_that_wait_and_takes_empty_nodes_away() {
    let mut world = living();
    world.story = Story::find("calm-day");
    let (before, _, _) = nodes(&world);
    let deployment = json!({
        "metadata": { "name": "big" },
        "spec": {
            "replicas": before + 2, "selector": { "matchLabels": { "app": "big" } },
            "template": { "metadata": { "labels": { "app": "big" } }, "spec": {
                "nodeSelector": { "eks.amazonaws.com/nodegroup": "general-od" },
                "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "big" } } },
                ] } },
                "containers": [{ "name": "big", "image": "nginx:1.29", "resources": { "requests": { "cpu": "10m" } } }],
            } },
        },
    });
    store::create(&mut world, DEPLOYMENTS, "default", deployment, &Writing::default()).unwrap();
    run(&mut world, 180);
    let status = world.get(DEPLOYMENTS, "default/big").unwrap().value()["status"].clone();
    assert_eq!(status["readyReplicas"], before + 2, "{status}");
    assert!(nodes(&world).0 >= before + 2);
    assert!(events(&world, "TriggeredScaleUp") >= 1);
    // Ten minutes after nobody needs a node any more it goes.
    let grown = nodes(&world).0;
    let mut idle = world.get(DEPLOYMENTS, "default/big").unwrap().value();
    idle["spec"]["replicas"] = 0.into();
    idle["metadata"]["generation"] = 2.into();
    world.put_value(DEPLOYMENTS, idle);
    run(&mut world, 300);
    assert_eq!(nodes(&world).0, grown);
    run(&mut world, 900);
    assert!(nodes(&world).0 < grown);
    assert!(events(&world, "ScaleDown") >= 1);
}

#[test]
fn a_spot_instance_that_ec2_takes_back_is_replaced() {
    let mut world = living();
    cloud::open(&mut world);
    let at = world.cloud.managed("eu-west-1", "demo", "general-spot").unwrap();
    let ids = |world: &World| -> Vec<u64> {
        world.cloud.members(at).filter(|it| it.counts() && it.node.is_some()).map(|it| it.number).collect()
    };
    let before = ids(&world);
    scaling::interrupt(&mut world, "general-spot");
    run(&mut world, 150);
    let after = ids(&world);
    assert_eq!(after.len(), before.len());
    let taken: Vec<_> = before.iter().filter(|number| !after.contains(number)).collect();
    let reason = world.cloud.instances[taken[0]].reason;
    assert_eq!((taken.len(), reason), (1, Some("Server.SpotInstanceTermination: Spot instance termination")));
    assert_eq!(events(&world, "SpotInterruption"), 1);
}

#[test]
fn a_fleet_is_spread_over_regions() {
    let mut world = World::new(Size { site: &DEMO, nodes: 24, pods: 100, seed: 1, now: START });
    story::prepare(&mut world, Story::find("fleet").unwrap());
    let (mut clusters, mut groups) = (0, 0);
    for region in super::ec2::REGIONS {
        let call = |operation: &str, input| Call {
            service: Service::Eks,
            operation: operation.into(),
            region: region.into(),
            input,
        };
        let listed = perform(&mut world, &call("ListClusters", json!({}))).unwrap();
        for name in listed["clusters"].as_array().unwrap() {
            clusters += 1;
            let listed = perform(&mut world, &call("ListNodegroups", json!({ "clusterName": name }))).unwrap();
            groups += listed["nodegroups"].as_array().unwrap().len();
        }
    }
    assert_eq!((clusters, groups), (41, 405));
    assert!(world.faults.strike_aws("eks", "ListClusters", "us-east-2").deny);
    assert!(!world.faults.strike_aws("eks", "ListClusters", "us-east-1").deny);
}
