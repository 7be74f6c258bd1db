//! Karpenter's doings in simulated time, from a pod that waits to a node that is gone.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pool::state;
use crate::admission::options::Writing;
use crate::aws::{Call, Service, perform};
use crate::catalog::{
    DEPLOYMENTS, DISRUPTION_BUDGETS, EVENTS, NODE_CLAIMS, NODE_CLASSES, NODE_POOLS, NODES, PODS, ResourceId,
};
use crate::cluster::life;
use crate::cluster::seed::Size;
use crate::cluster::site::DEMO;
use crate::cluster::store::{self, Deletion};
use crate::cluster::story::{self, STORIES, Story};
use crate::world::World;

const START: i64 = 1_772_323_200;

/// A day on which nothing happens but what is asked for, with autoscalers at work.
fn living() -> World {
    let mut world = World::new(Size { site: &DEMO, nodes: 24, pods: 300, seed: 1, now: START });
    life::begin(&mut world, None);
    world.story = Some(&STORIES[0]);
    world
}

fn run(world: &mut World, seconds: i64) {
    let end = world.life.clock.now() + seconds * 1000;
    assert!(life::advance(world, end, usize::MAX));
}

fn values(world: &World, resource: ResourceId) -> Vec<Value> {
    world.snapshot(resource, "").objects.iter().map(|object| object.value()).collect()
}

fn pool(world: &World) -> Value {
    world.get(NODE_POOLS, "arm-burst").unwrap().value()
}

fn names(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Names of nodes that carry a pool's label.
fn nodes(world: &World) -> Vec<Value> {
    let mut nodes = values(world, NODES);
    nodes.retain(|node| node["metadata"]["labels"]["karpenter.sh/nodepool"] == "arm-burst");
    nodes
}

fn create(world: &mut World, resource: ResourceId, namespace: &str, value: Value) {
    store::create(world, resource, namespace, value, &Writing::default()).unwrap();
}

/// Pods that only a node of the pool takes.
fn deploy(world: &mut World, replicas: u32, cpu: &str) {
    let deployment = json!({
        "metadata": { "name": "inflate" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": "inflate" } },
            "template": { "metadata": { "labels": { "app": "inflate" } }, "spec": {
                "nodeSelector": { "karpenter.sh/nodepool": "arm-burst" },
                "containers": [{
                    "name": "pause", "image": "registry.k8s.io/pause:3.10",
                    "resources": { "requests": { "cpu": cpu, "memory": "64Mi" } },
                }],
            } },
        },
    });
    create(world, DEPLOYMENTS, "default", deployment);
}

fn scale(world: &mut World, replicas: u32) {
    let change = |value: &mut Value| {
        value["spec"]["replicas"] = replicas.into();
        Ok(())
    };
    store::update(world, DEPLOYMENTS, &"default/inflate".into(), &Writing::default(), false, change).unwrap();
}

fn delete(world: &mut World, resource: ResourceId, name: &str) {
    store::delete(world, resource, &Arc::from(name), &Deletion::default()).unwrap();
}

/// Reasons and messages of what Karpenter said of objects of a kind.
fn said(world: &World, kind: &str, reason: &str) -> Vec<String> {
    let events = values(world, EVENTS);
    let own = events.iter().filter(|event| {
        event["involvedObject"]["kind"] == kind
            && event["reason"] == reason
            && event["source"]["component"] == "karpenter"
    });
    own.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn running(world: &World) -> usize {
    let pods = values(world, PODS);
    pods.iter()
        .filter(|pod| pod["metadata"]["labels"]["app"] == "inflate" && pod["status"]["phase"] == "Running")
        .count()
}

fn instances(world: &mut World) -> Vec<Value> {
    let input = json!({ "Filter": [{ "Name": "tag:karpenter.sh/nodepool", "Value": ["arm-burst"] },
        { "Name": "instance-state-name", "Value": ["pending", "running", "shutting-down"] }] });
    let call = Call { service: Service::Ec2, operation: "DescribeInstances".into(), region: "eu-west-1".into(), input };
    let answer = perform(world, &call).unwrap();
    let reservations = answer["reservationSet"].as_array().unwrap().clone();
    reservations.into_iter().flat_map(|one| one["instancesSet"].as_array().unwrap().clone()).collect()
}

/// Every node of a pool has its claim and its instance, and the pool counts them.
fn check(world: &mut World) {
    let (nodes, claims) = (nodes(world), values(world, NODE_CLAIMS));
    let mut instances: Vec<_> =
        instances(world).iter().map(|one| one["instanceId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(nodes.len(), claims.len());
    for claim in &claims {
        let node = nodes.iter().find(|node| node["metadata"]["name"] == claim["status"]["nodeName"]).unwrap();
        assert_eq!(node["spec"]["providerID"], claim["status"]["providerID"]);
        let owner = &node["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["name"], &owner["uid"]), (&claim["metadata"]["name"], &claim["metadata"]["uid"]));
        assert_eq!(node["metadata"]["finalizers"], claim["metadata"]["finalizers"]);
        for label in ["node.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "karpenter.sh/capacity-type"] {
            assert_eq!(node["metadata"]["labels"][label], claim["metadata"]["labels"][label]);
        }
        for amounts in ["capacity", "allocatable"] {
            assert_eq!(node["status"][amounts]["memory"], claim["status"][amounts]["memory"]);
        }
        for kind in ["Launched", "Registered", "Initialized", "Ready"] {
            assert_eq!(state(claim, kind), Some("True"), "{kind} of {}", claim["metadata"]["name"]);
        }
        let id = claim["status"]["providerID"].as_str().unwrap().rsplit('/').next().unwrap();
        let at = instances.iter().position(|instance| instance == id).unwrap();
        instances.remove(at);
    }
    assert!(instances.is_empty(), "{instances:?}");
    let status = &pool(world)["status"];
    assert_eq!(
        (status["nodes"].clone(), status["resources"]["nodes"].clone()),
        (claims.len().into(), claims.len().to_string().into())
    );
}

#[test]
fn each_node_of_a_pool_has_its_claim_from_the_beginning() {
    let mut world = living();
    assert_eq!(nodes(&world).len(), 3);
    check(&mut world);
    let claims = values(&world, NODE_CLAIMS);
    let pool = pool(&world);
    for claim in &claims {
        assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], pool["metadata"]["uid"]);
        assert_eq!(claim["metadata"]["labels"]["karpenter.sh/nodepool"], "arm-burst");
    }
    assert_eq!((state(&pool, "Ready"), pool["status"]["resources"]["cpu"].clone()), (Some("True"), json!("24")));
    let overflow = world.get(NODE_POOLS, "gpu-overflow").unwrap().value();
    assert_eq!((state(&overflow, "Ready"), overflow["status"]["nodes"].clone()), (Some("False"), json!(0)));
    assert_eq!(world.count(NODE_CLASSES), 2);
    run(&mut world, 600);
    assert_eq!(names(&values(&world, NODE_CLAIMS)), names(&claims), "nothing is wrong, so nothing happens");
    check(&mut world);
}

#[test]
fn pods_get_nodes_and_empty_nodes_go() {
    let mut world = living();
    deploy(&mut world, 6, "6");
    run(&mut world, 13);
    let new: Vec<_> =
        values(&world, NODE_CLAIMS).into_iter().filter(|claim| state(claim, "Initialized") != Some("True")).collect();
    assert!(!new.is_empty());
    assert_eq!(said(&world, "Pod", "Nominated").len(), new.len(), "one of these pods fills a node");
    assert!(said(&world, "Pod", "Nominated")[0].starts_with("Pod should schedule on: nodeclaim/arm-burst-"));
    run(&mut world, 120);
    assert_eq!(running(&world), 6);
    check(&mut world);
    let claims = values(&world, NODE_CLAIMS).len();
    assert_eq!(claims, 3 + new.len());
    for reason in ["Launched", "Registered", "Initialized", "Ready"] {
        let expected =
            format!("Status condition transitioned, Type: {reason}, Status: Unknown -> True, Reason: {reason}");
        assert!(said(&world, "NodeClaim", reason).contains(&expected), "{reason}");
    }

    scale(&mut world, 0);
    run(&mut world, 600);
    assert_eq!(values(&world, NODE_CLAIMS).len(), 3, "those with other pods stay");
    check(&mut world);
    assert!(said(&world, "Node", "DisruptionTerminating").contains(&"Disrupting Node: Empty".to_owned()));
    assert!(said(&world, "NodeClaim", "Finalized").contains(&"Finalized karpenter.sh/termination".to_owned()));
    // One in ten of four or more: the others wait.
    let blocked = "No allowed disruptions for disruption reason Empty due to blocking budget";
    assert!(said(&world, "NodePool", "DisruptionBlocked").contains(&blocked.to_owned()));
}

#[test]
fn limits_hold_and_are_told() {
    let mut world = living();
    let limit = |value: &mut Value| {
        value["spec"]["limits"] = json!({ "cpu": 40 });
        Ok(())
    };
    store::update(&mut world, NODE_POOLS, &"arm-burst".into(), &Writing::default(), false, limit).unwrap();
    deploy(&mut world, 6, "6");
    run(&mut world, 300);
    let cpus: u32 = pool(&world)["status"]["resources"]["cpu"].as_str().unwrap().parse().unwrap();
    assert_eq!(cpus, 40);
    let why = "Failed to schedule pod, all available instance types exceed limits for nodepool (NodePool=arm-burst)";
    assert!(said(&world, "Pod", "FailedScheduling").iter().any(|message| message.contains(why)));
    check(&mut world);
    scale(&mut world, 0);
    deploy_huge(&mut world);
    run(&mut world, 30);
    let why = "no instance type has enough resources, requirements=karpenter.sh/capacity-type In [spot]";
    let messages = said(&world, "Pod", "FailedScheduling");
    assert!(messages.iter().any(|message| message.contains(why)), "{messages:?}");
}

fn deploy_huge(world: &mut World) {
    let pod = json!({
        "metadata": { "name": "huge" },
        "spec": { "nodeSelector": { "karpenter.sh/nodepool": "arm-burst" }, "containers": [{
            "name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": { "requests": { "cpu": "999" } },
        }] },
    });
    create(world, PODS, "default", pod);
}

#[test]
fn a_deleted_claim_takes_its_node_and_instance_along() {
    let mut world = living();
    let claim = values(&world, NODE_CLAIMS)[0].clone();
    let (name, node) =
        (names(std::slice::from_ref(&claim)).remove(0), claim["status"]["nodeName"].as_str().unwrap().to_owned());
    delete(&mut world, NODE_CLAIMS, &name);
    run(&mut world, 1);
    let tainted = world.get(NODES, &node).unwrap().value();
    assert!(
        tainted["spec"]["taints"]
            .as_array()
            .unwrap()
            .contains(&json!({ "key": "karpenter.sh/disrupted", "effect": "NoSchedule" }))
    );
    assert!(tainted["metadata"]["deletionTimestamp"].is_string());
    run(&mut world, 300);
    assert!(world.get(NODE_CLAIMS, &name).is_none() && world.get(NODES, &node).is_none());
    check(&mut world);

    // The node's own deletion does the same.
    let claim = values(&world, NODE_CLAIMS)[0].clone();
    let (name, node) =
        (names(std::slice::from_ref(&claim)).remove(0), claim["status"]["nodeName"].as_str().unwrap().to_owned());
    delete(&mut world, NODES, &node);
    assert!(world.get(NODES, &node).is_some(), "its finalizer holds it");
    run(&mut world, 300);
    assert!(world.get(NODE_CLAIMS, &name).is_none() && world.get(NODES, &node).is_none());
    check(&mut world);
}

#[test]
fn a_budget_holds_a_claim_until_its_time_is_over() {
    let mut world = living();
    deploy(&mut world, 1, "6");
    let budget = json!({ "metadata": { "name": "inflate" }, "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "inflate" } } } });
    create(&mut world, DISRUPTION_BUDGETS, "default", budget);
    run(&mut world, 120);
    let node = values(&world, PODS).into_iter().find(|pod| pod["metadata"]["labels"]["app"] == "inflate").unwrap();
    let node = node["spec"]["nodeName"].as_str().unwrap().to_owned();
    let claims = values(&world, NODE_CLAIMS);
    let claim = claims.iter().find(|claim| claim["status"]["nodeName"] == node.as_str()).unwrap();
    let name = names(std::slice::from_ref(claim)).remove(0);
    delete(&mut world, NODE_CLAIMS, &name);
    run(&mut world, 120);
    let held = world.get(NODE_CLAIMS, &name).unwrap().value();
    assert_eq!(state(&held, "Drained"), Some("Unknown"));
    assert!(said(&world, "Node", "FailedDraining")[0].starts_with("Failed to drain node, evicting pod violates a PDB"));
    delete(&mut world, DISRUPTION_BUDGETS, "default/inflate");
    run(&mut world, 300);
    assert!(world.get(NODE_CLAIMS, &name).is_none());
    check(&mut world);
}

#[test]
fn a_static_pool_has_as_many_nodes_as_it_says() {
    let mut world = living();
    let pool = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": { "name": "warm" },
        "spec": { "replicas": 2, "template": {
            "metadata": { "labels": { "team": "edge" } },
            "spec": {
                "nodeClassRef": { "group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default" },
                "requirements": [{ "key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m7g.xlarge"] }],
                "taints": [{ "key": "warm", "value": "yes", "effect": "NoSchedule" }],
            },
        } },
    });
    create(&mut world, NODE_POOLS, "", pool);
    run(&mut world, 120);
    let nodes: Vec<_> = values(&world, NODES)
        .into_iter()
        .filter(|node| node["metadata"]["labels"]["karpenter.sh/nodepool"] == "warm")
        .collect();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0]["metadata"]["labels"]["team"], "edge");
    assert_eq!(nodes[0]["metadata"]["labels"]["node.kubernetes.io/instance-type"], "m7g.xlarge");
    assert_eq!(nodes[0]["spec"]["taints"], json!([{ "key": "warm", "value": "yes", "effect": "NoSchedule" }]));
    let resize = |world: &mut World, replicas: Value| {
        store::update(world, NODE_POOLS, &"warm".into(), &Writing::default(), false, |value| {
            value["spec"]["replicas"] = replicas;
            Ok(())
        })
    };
    resize(&mut world, 3.into()).unwrap();
    run(&mut world, 120);
    let counted = |world: &World| world.get(NODE_POOLS, "warm").unwrap().value()["status"]["nodes"].clone();
    assert_eq!(counted(&world), 3);
    resize(&mut world, 1.into()).unwrap();
    run(&mut world, 300);
    assert_eq!(counted(&world), 1);
    assert!(resize(&mut world, Value::Null).is_err(), "what is static stays static");
    delete(&mut world, NODE_POOLS, "warm");
    run(&mut world, 300);
    check(&mut world);
}

#[test]
fn the_story_grows_and_shrinks_the_pool_and_meets_a_shortage() {
    let mut world = World::new(Size { site: &DEMO, nodes: 12, pods: 200, seed: 1, now: START });
    life::begin(&mut world, None);
    story::begin(&mut world, Story::find("karpenter").unwrap());
    let claims = |world: &World| {
        let all = values(world, NODE_CLAIMS);
        all.iter().filter(|claim| claim["metadata"]["labels"]["karpenter.sh/nodepool"] == "inflate").count()
    };
    run(&mut world, 190);
    assert_eq!((running(&world), claims(&world)), (8, 4), "two of them fill a node");
    run(&mut world, 280);
    assert_eq!((running(&world), claims(&world)), (0, 0));
    run(&mut world, 100);
    assert!(!said(&world, "NodeClaim", "InsufficientCapacityError").is_empty());
    assert_eq!((running(&world), claims(&world)), (0, 0), "claims that EC2 refuses go");
    run(&mut world, 420);
    assert_eq!((running(&world), claims(&world)), (4, 2));
    run(&mut world, 300);
    assert_eq!((running(&world), claims(&world)), (0, 0));
}

#[test]
fn a_type_without_capacity_is_tried_once_in_a_while() {
    let mut world = living();
    world.cloud.exhausted.insert("c7g.2xlarge".to_owned());
    deploy(&mut world, 6, "6");
    run(&mut world, 60);
    let told = said(&world, "NodeClaim", "InsufficientCapacityError");
    assert!(!told.is_empty());
    assert!(told[0].contains("UnfulfillableCapacity"), "{told:?}");
    assert_eq!(values(&world, NODE_CLAIMS).len(), 3, "the claim is gone");
    let messages = said(&world, "Pod", "FailedScheduling");
    assert!(messages.iter().any(|message| message.contains("no instance type")), "{messages:?}");
    world.cloud.exhausted.clear();
    run(&mut world, 300);
    assert_eq!(running(&world), 6);
    check(&mut world);
}
