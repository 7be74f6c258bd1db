//! Ten thousand random evictions: the simulated server decides each as the real one does, which is written down here a
//! second time, from `disruption.go` and `eviction.go` of Kubernetes 1.36, on nothing but the objects that clients see.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::options::Writing;
use super::catalog::*;
use super::cluster::life;
use super::cluster::pods;
use super::cluster::seed::Size;
use super::cluster::store::{self, Deletion};
use super::object::{Object, key};
use super::random::Random;
use super::world::World;

const EVICTIONS: usize = 10_000;
const BURST: usize = 5;
const SETS: [(&str, u32); 3] = [("web", 7), ("api", 3), ("lone", 1)];

fn values(world: &World, resource: ResourceId) -> Vec<Value> {
    world.snapshot(resource, "default").objects.iter().map(|object| object.value()).collect()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn guards(budget: &Value, pod: &Value) -> bool {
    life::selects(&budget["spec"]["selector"], &pod["metadata"]["labels"])
}

/// A number, or a share of `whole` rounded up.
fn scaled(value: &Value, whole: i64) -> i64 {
    match value.as_str() {
        Some(percent) => (percent.trim_end_matches('%').parse::<i64>().unwrap() * whole + 99) / 100,
        None => value.as_i64().unwrap(),
    }
}

/// What the controller counts of a budget now: healthy, desired and allowed.
fn count(world: &World, budget: &Value) -> (i64, i64, i64) {
    let pods: Vec<_> = values(world, PODS).into_iter().filter(|pod| guards(budget, pod)).collect();
    let mut owners: Vec<_> = pods.iter().map(|pod| pod["metadata"]["ownerReferences"][0]["name"].clone()).collect();
    owners.sort_by_key(Value::to_string);
    owners.dedup();
    let sets = values(world, REPLICA_SETS);
    let scale = |owner: &Value| {
        let set = sets.iter().find(|set| set["metadata"]["name"] == *owner).unwrap();
        let deployment = set["metadata"]["ownerReferences"][0]["name"].as_str().unwrap();
        world.get(DEPLOYMENTS, &key("default", deployment)).unwrap().value()["spec"]["replicas"].as_i64().unwrap()
    };
    let scale: i64 = owners.iter().map(scale).sum();
    let (least, most) = (&budget["spec"]["minAvailable"], &budget["spec"]["maxUnavailable"]);
    let (expected, desired) = if !most.is_null() {
        (scale, (scale - scaled(most, scale)).max(0))
    } else if least.is_string() {
        (scale, scaled(least, scale))
    } else {
        (i64::try_from(pods.len()).unwrap(), least.as_i64().unwrap())
    };
    let disrupted = &budget["status"]["disruptedPods"];
    let counts = |pod: &&Value| {
        let name = pod["metadata"]["name"].as_str().unwrap();
        pod["metadata"]["deletionTimestamp"].is_null() && disrupted[name].is_null() && is_ready(pod)
    };
    let healthy = i64::try_from(pods.iter().filter(counts).count()).unwrap();
    (healthy, desired, if expected > 0 { (healthy - desired).max(0) } else { 0 })
}

/// The code that the real server answers an eviction with; `settled`: the controller has seen all that there is.
fn verdict(world: &World, pod: &Value, settled: bool) -> u16 {
    let phase = pod["status"]["phase"].as_str().unwrap();
    if matches!(phase, "Pending" | "Succeeded" | "Failed") || !pod["metadata"]["deletionTimestamp"].is_null() {
        return 201;
    }
    let budgets: Vec<_> = values(world, DISRUPTION_BUDGETS).into_iter().filter(|budget| guards(budget, pod)).collect();
    let budget = match &budgets[..] {
        [] => return 201,
        [budget] => budget,
        _ => return 500,
    };
    let status = &budget["status"];
    let told = |field: &str| status[field].as_i64().unwrap_or(0);
    let told = (told("currentHealthy"), told("desiredHealthy"), told("disruptionsAllowed"));
    let (healthy, desired, allowed) = if settled { count(world, budget) } else { told };
    if !is_ready(pod)
        && (budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || healthy >= desired && desired > 0)
    {
        return 201;
    }
    let behind =
        status["observedGeneration"].as_i64().unwrap_or(0) < budget["metadata"]["generation"].as_i64().unwrap();
    if behind || allowed == 0 { 429 } else { 201 }
}

fn run(world: &mut World, milliseconds: i64) {
    let end = world.life.clock.now() + milliseconds;
    assert!(life::advance(world, end, usize::MAX));
}

fn begin() -> World {
    let mut world =
        World::new(Size { site: &crate::cluster::site::DEMO, nodes: 6, pods: 0, seed: 1, now: 1_772_323_200 });
    life::begin(&mut world, None);
    for (name, replicas) in SETS {
        let labels = json!({ "app": name, "tier": "front" });
        let deployment = json!({ "metadata": { "name": name }, "spec": {
            "replicas": replicas, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 5,
                "containers": [{ "name": "a", "image": "nginx:1.29", "resources": { "requests": { "cpu": "10m" } } }] } },
        } });
        store::create(&mut world, DEPLOYMENTS, "default", deployment, &Writing::default()).unwrap();
    }
    run(&mut world, 30_000);
    world
}

/// A new budget in the place of the one called `name`, or none.
fn replace(world: &mut World, random: &mut Random, name: &str) {
    let at = key("default", name);
    if world.get(DISRUPTION_BUDGETS, &at).is_some() {
        store::delete(world, DISRUPTION_BUDGETS, &at, &Deletion::default()).unwrap();
    }
    if name == "second" && !random.chance(150) {
        return;
    }
    let number = |random: &mut Random, most: i64| Value::from(random.between(0, most));
    let percent = |random: &mut Random| Value::from(format!("{}%", random.between(0, 100)));
    let mut spec = match random.below(4) {
        0 => json!({ "minAvailable": number(random, 8) }),
        1 => json!({ "maxUnavailable": number(random, 4) }),
        2 => json!({ "minAvailable": percent(random) }),
        _ => json!({ "maxUnavailable": percent(random) }),
    };
    // Of one workload, or of several.
    let labels = if random.chance(300) { json!({ "tier": "front" }) } else { json!({ "app": "web" }) };
    spec["selector"] = json!({ "matchLabels": labels });
    if random.chance(500) {
        let policy = if random.chance(500) { "AlwaysAllow" } else { "IfHealthyBudget" };
        spec["unhealthyPodEvictionPolicy"] = policy.into();
    }
    let budget = json!({ "metadata": { "name": name }, "spec": spec });
    store::create(world, DISRUPTION_BUDGETS, "default", budget, &Writing::default()).unwrap();
}

/// Something else happens: a pod gets unready, a workload is scaled, a budget is another.
fn happen(world: &mut World, random: &mut Random) {
    match random.below(10) {
        0 => replace(world, random, "first"),
        1 => replace(world, random, "second"),
        2 => {
            let (name, replicas) = SETS[random.index(SETS.len())];
            let replicas = random.between(1, i64::from(replicas) + 2);
            let scale = |deployment: &mut Value| {
                deployment["spec"]["replicas"] = replicas.into();
                Ok(())
            };
            store::update(world, DEPLOYMENTS, &key("default", name), &Writing::default(), false, scale).unwrap();
        }
        3..6 => {
            let pods = world.snapshot(PODS, "default").objects;
            let at = Arc::clone(&pods[random.index(pods.len())].key);
            let unready = |pod: &mut Value| {
                for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
                    if condition["type"] == "Ready" {
                        condition["status"] = "False".into();
                    }
                }
                Ok(())
            };
            store::update(world, PODS, &at, &Writing::default(), true, unready).unwrap();
        }
        _ => {}
    }
}

/// Goes on until the controller has counted what there is to count, which it does.
fn settle(world: &mut World) {
    let told = |budget: &Value| {
        let number = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
        (number("currentHealthy"), number("desiredHealthy"), number("disruptionsAllowed"))
    };
    for _ in 0..50 {
        if values(world, DISRUPTION_BUDGETS).iter().all(|budget| told(budget) == count(world, budget)) {
            return;
        }
        run(world, 50);
    }
    let budgets = values(world, DISRUPTION_BUDGETS);
    let counts: Vec<_> = budgets.iter().map(|budget| (told(budget), count(world, budget))).collect();
    panic!("{counts:?}, {budgets:#?}");
}

#[test]
fn ten_thousand_evictions_are_decided_as_the_real_server_decides_them() {
    let mut world = begin();
    let mut random = Random::named(7, "evictions");
    replace(&mut world, &mut random, "first");
    let mut codes = std::collections::BTreeMap::new();
    for at in 0..EVICTIONS {
        // Several evictions come one after the other; the controller has seen nothing of it but before the first.
        let first = at % BURST == 0;
        let settled = first && random.chance(900);
        if first {
            happen(&mut world, &mut random);
        }
        if settled {
            let long = random.chance(400);
            run(&mut world, if long { 20_000 } else { 500 });
            settle(&mut world);
        }
        let all = world.snapshot(PODS, "default").objects;
        let runs = |object: &&Arc<Object>| {
            let pod = pods::pod(object).unwrap();
            pod.state.phase() == "Running" && !pod.state.is_deleted()
        };
        let running: Vec<_> = all.iter().filter(runs).collect();
        let pod = if running.is_empty() || random.chance(100) {
            &all[random.index(all.len())]
        } else {
            running[random.index(running.len())]
        };
        let expected = verdict(&world, &pod.value(), settled);
        let how = Deletion { dry_run: random.chance(50), ..Deletion::default() };
        let code = store::evict(&mut world, &pod.key, &how).map_or_else(|status| status.code, |()| 201);
        assert_eq!(code, expected, "eviction {at} of {}, settled: {settled}", pod.key);
        *codes.entry(code).or_insert(0) += 1;
    }
    // All of it was there.
    assert!(codes[&201] > 1000 && codes[&429] > 1000 && codes[&500] > 100, "{codes:?}");
}
