//! The living world from within: what controllers and kubelets make of what happens, in simulated time.

use serde_json::{Value, json};

use super::admission::kinds;
use super::admission::options::{Unknown, Writing};
use super::catalog::*;
use super::cluster::collector::Propagation;
use super::cluster::defaults;
use super::cluster::life;
use super::cluster::node::NodeState;
use super::cluster::pod::{Fate, State};
use super::cluster::replica_set::is_active;
use super::cluster::seed::Size;
use super::cluster::store::{self, Deletion};
use super::cluster::story::{self, STORIES};
use super::cluster::{incident, lifecycle, pods};
use super::http::body;
use super::object::{Object, key};
use super::world::{Change, World};
use super::*;

const START: i64 = 1_772_323_200;
fn living(nodes: u32, pods: u32, seed: u64) -> World {
    let mut world = World::new(Size { site: &DEMO, nodes, pods, seed, now: START });
    life::begin(&mut world, None);
    world
}

fn run(world: &mut World, seconds: i64) {
    let end = world.life.clock.now() + seconds * 1000;
    assert!(life::advance(world, end, usize::MAX));
}

fn bytes_of(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    for resource in ResourceId::all() {
        world.snapshot(resource, "").objects.iter().for_each(|object| object.write_json(true, &mut bytes));
    }
    bytes
}

fn value(world: &World, resource: ResourceId, at: &str) -> Value {
    world.get(resource, at).unwrap_or_else(|| panic!("no {} {at}", resource.plural)).value()
}

/// Makes a deployment of `replicas` with a budget, and waits until it is there.
fn deploy(world: &mut World, replicas: u32, budget: Value) -> Arc<str> {
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{
                "name": "web", "image": "nginx:1.29", "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
                "readinessProbe": { "httpGet": { "path": "/", "port": 80 } },
            }] } },
        },
    });
    store::create(world, DEPLOYMENTS, "default", deployment, &Writing::default()).unwrap();
    if !budget.is_null() {
        let mut spec = budget;
        spec["selector"] = json!({ "matchLabels": { "app": "web" } });
        let budget = json!({ "metadata": { "name": "web" }, "spec": spec });
        store::create(world, DISRUPTION_BUDGETS, "default", budget, &Writing::default()).unwrap();
    }
    run(world, 60);
    let status = value(world, DEPLOYMENTS, "default/web")["status"].clone();
    assert_eq!(status["availableReplicas"], replicas, "{status}");
    key("default", "web")
}

fn web_pods(world: &World) -> Vec<Arc<Object>> {
    let all = world.snapshot(PODS, "default").objects;
    all.iter().filter(|object| object.name().starts_with("web-")).cloned().collect()
}

fn state(object: &Object) -> State {
    pods::pod(object).unwrap().state
}

fn ready(world: &World) -> usize {
    web_pods(world).iter().filter(|object| state(object).is_ready()).count()
}

fn reason<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|one| one["type"] == kind).map_or("", |one| one["reason"].as_str().unwrap())
}

#[test]
fn the_same_seed_lives_the_same_day() {
    let day = |seed| {
        let mut world = living(4, 40, seed);
        story::begin(&mut world, &STORIES[0]);
        run(&mut world, 86_400);
        world
    };
    let (one, other) = (day(3), day(3));
    assert!(bytes_of(&one) == bytes_of(&other));
    assert_eq!(one.version(), other.version());
    assert!(bytes_of(&one) != bytes_of(&living(4, 40, 3)));
}

/// What must hold whenever the world is at rest enough to be looked at.
fn check(world: &World) {
    for set in world.snapshot(REPLICA_SETS, "").objects.iter() {
        let set = set.value();
        let own = pods::of(world, life::uid(&set));
        let active = own.iter().filter(|pod| is_active(pods::pod(pod).unwrap())).count();
        assert_eq!(set["spec"]["replicas"].as_u64().unwrap(), active as u64, "{}", set["metadata"]["name"]);
        assert_eq!(set["status"]["replicas"].as_u64().unwrap(), active as u64, "{}", set["metadata"]["name"]);
    }
    for budget in world.snapshot(DISRUPTION_BUDGETS, "").objects.iter() {
        let status = &budget.value()["status"];
        let number = |field: &str| status[field].as_u64().unwrap_or_else(|| panic!("{} {status}", budget.key));
        assert!(
            number("disruptionsAllowed") <= number("currentHealthy").saturating_sub(number("desiredHealthy")),
            "{status}"
        );
    }
    for pod in world.snapshot(PODS, "").objects.iter() {
        let pod = pods::pod(pod).unwrap();
        assert_eq!(pod.node.is_some(), pod.state.has_node());
    }
}

#[test]
fn every_story_runs_to_its_end_and_the_books_are_right() {
    for story in STORIES.iter().filter(|story| story.size.is_none()) {
        let mut world = living(20, 300, 5);
        story::begin(&mut world, story);
        for _ in 0..6 {
            run(&mut world, 180);
            // Whatever is still to be looked at is looked at before anybody counts.
            world.life.incidents = false;
            run(&mut world, 2);
            check(&world);
            world.life.incidents = true;
        }
    }
}

#[test]
fn who_follows_the_watch_knows_what_there_is() {
    let mut world = living(12, 200, 1);
    let resources = [PODS, REPLICA_SETS, JOBS, EVENTS, NODES];
    let uids = |world: &World, resource| -> std::collections::BTreeSet<String> {
        let all = world.snapshot(resource, "").objects;
        all.iter().map(|object| object.value()["metadata"]["uid"].to_string()).collect()
    };
    let mut known: Vec<_> = resources.iter().map(|resource| uids(&world, *resource)).collect();
    story::begin(&mut world, &STORIES[0]);
    let mut version = world.version();
    for _ in 0..100 {
        run(&mut world, 2);
        for (resource, known) in resources.iter().zip(&mut known) {
            let events = world.events_after(*resource, version).unwrap();
            assert!(events.iter().map(|event| event.object.version).is_sorted(), "{}", resource.plural);
            for event in events {
                let uid = event.object.value()["metadata"]["uid"].to_string();
                match event.change {
                    Change::Deleted => assert!(known.remove(&uid), "{} was not there", event.object.key),
                    Change::Modified => assert!(known.contains(&uid), "{} was not there", event.object.key),
                    Change::Added => assert!(known.insert(uid), "{} was there", event.object.key),
                }
            }
            assert!(*known == uids(&world, *resource), "{}", resource.plural);
        }
        version = world.version();
    }
}

#[test]
fn a_roll_out_replaces_all_pods_within_its_bounds() {
    let mut world = living(6, 60, 1);
    let at = deploy(&mut world, 8, Value::Null);
    let before: Vec<_> = web_pods(&world).iter().map(|pod| Arc::clone(&pod.key)).collect();
    store::update(&mut world, DEPLOYMENTS, &at, &Writing::default(), false, |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.30".into();
        Ok(())
    })
    .unwrap();
    for _ in 0..300 {
        run(&mut world, 1);
        let there = web_pods(&world);
        let counted = there.iter().filter(|pod| !state(pod).is_deleted()).count();
        assert!(counted <= 10 && ready(&world) >= 6, "{counted} pods, {} ready", ready(&world));
    }
    let deployment = value(&world, DEPLOYMENTS, &at);
    assert_eq!(reason(&deployment, "Progressing"), "NewReplicaSetAvailable");
    assert_eq!(deployment["status"]["updatedReplicas"], 8);
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert!(web_pods(&world).iter().all(|pod| !before.contains(&pod.key)));
    assert!(web_pods(&world).iter().all(|pod| pod.value()["spec"]["containers"][0]["image"] == "nginx:1.30"));

    // And back again: the first version is the newest.
    store::update(&mut world, DEPLOYMENTS, &at, &Writing::default(), false, |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.29".into();
        Ok(())
    })
    .unwrap();
    run(&mut world, 300);
    let deployment = value(&world, DEPLOYMENTS, &at);
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    let sets = world.snapshot(REPLICA_SETS, "default").objects;
    assert_eq!(sets.iter().filter(|set| set.name().starts_with("web-")).count(), 2);
}

#[test]
fn a_bad_release_keeps_the_old_pods_and_runs_out_of_time() {
    let mut world = living(6, 60, 1);
    let at = deploy(&mut world, 4, Value::Null);
    incident::deploy(&mut world, &at, Some(Fate::Crash(2)));
    for _ in 0..70 {
        run(&mut world, 10);
        assert!(ready(&world) >= 3);
    }
    let deployment = value(&world, DEPLOYMENTS, &at);
    assert_eq!(reason(&deployment, "Progressing"), "ProgressDeadlineExceeded");
    let restarts = web_pods(&world).iter().map(|pod| pods::pod(pod).unwrap().restarts).max().unwrap();
    // 10 s, 20 s, 40 s … up to five minutes, and a few seconds each time.
    assert!((5..=8).contains(&restarts), "{restarts} restarts in 700 s");
    let events = world.snapshot(EVENTS, "default").objects;
    let back_off = events.iter().map(|event| event.value()).find(|event| event["reason"] == "BackOff").unwrap();
    assert!(back_off["count"].as_u64().unwrap() > 1, "{back_off}");
}

#[test]
fn a_deleted_pod_ends_in_its_time_and_is_replaced() {
    let mut world = living(6, 60, 1);
    deploy(&mut world, 2, Value::Null);
    let gone = Arc::clone(&web_pods(&world)[0].key);
    let (left, finished) = store::delete(&mut world, PODS, &gone, &Deletion::default()).unwrap();
    assert!(!finished && left.value()["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(left.value()["metadata"]["deletionGracePeriodSeconds"], 30);
    run(&mut world, 40);
    assert!(world.get(PODS, &gone).is_none());
    assert_eq!(ready(&world), 2);
    let at = Arc::clone(&web_pods(&world)[0].key);
    let now = Deletion { grace: Some(0), ..Deletion::default() };
    assert!(store::delete(&mut world, PODS, &at, &now).unwrap().1, "no grace, no waiting");
    let wrong = Deletion { uid: "other".into(), ..Deletion::default() };
    let at = Arc::clone(&web_pods(&world)[0].key);
    assert_eq!(store::delete(&mut world, PODS, &at, &wrong).unwrap_err().code, 409);
}

#[test]
fn what_an_object_owns_goes_with_it_unless_it_is_orphaned() {
    let mut world = living(6, 60, 1);
    let at = deploy(&mut world, 2, Value::Null);
    store::delete(&mut world, DEPLOYMENTS, &at, &Deletion { propagation: Propagation::Orphan, ..Deletion::default() })
        .unwrap();
    run(&mut world, 60);
    assert_eq!(web_pods(&world).len(), 2);
    let mut world = living(6, 60, 1);
    let at = deploy(&mut world, 2, Value::Null);
    store::delete(&mut world, DEPLOYMENTS, &at, &Deletion::default()).unwrap();
    run(&mut world, 60);
    assert!(web_pods(&world).is_empty());
    assert!(world.snapshot(REPLICA_SETS, "default").objects.iter().all(|set| !set.name().starts_with("web-")));
    let namespace = key("", "payments");
    store::delete(&mut world, NAMESPACES, &namespace, &Deletion::default()).unwrap();
    let late = json!({ "metadata": { "name": "x" }, "data": {} });
    assert_eq!(store::create(&mut world, CONFIG_MAPS, "payments", late, &Writing::default()).unwrap_err().code, 403);
    run(&mut world, 90);
    assert!(world.get(NAMESPACES, &namespace).is_none());
    assert!(world.snapshot(PODS, "payments").objects.is_empty());
}

#[test]
fn finalizers_hold_an_object_until_they_are_gone() {
    let mut world = living(3, 40, 1);
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
    store::create(&mut world, CONFIG_MAPS, "default", held, &Writing::default()).unwrap();
    let at = key("default", "held");
    let (left, gone) = store::delete(&mut world, CONFIG_MAPS, &at, &Deletion::default()).unwrap();
    assert!(!gone && left.value()["metadata"]["deletionTimestamp"].is_string());
    store::update(&mut world, CONFIG_MAPS, &at, &Writing::default(), false, |object| {
        object["metadata"]["finalizers"] = json!([]);
        Ok(())
    })
    .unwrap();
    assert!(world.get(CONFIG_MAPS, &at).is_none());

    let pod = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] },
        "spec": { "containers": [{ "name": "a", "image": "busybox" }] } });
    store::create(&mut world, PODS, "default", pod, &Writing::default()).unwrap();
    run(&mut world, 20);
    store::delete(&mut world, PODS, &at, &Deletion::default()).unwrap();
    run(&mut world, 60);
    assert!(value(&world, PODS, &at)["metadata"]["deletionTimestamp"].is_string());
    store::update(&mut world, PODS, &at, &Writing::default(), false, |pod| {
        pod["metadata"].as_object_mut().unwrap().remove("finalizers");
        Ok(())
    })
    .unwrap();
    run(&mut world, 5);
    assert!(world.get(PODS, &at).is_none());
}

#[test]
fn evictions_wait_for_the_budget_and_go_on_when_pods_are_back() {
    let mut world = living(6, 60, 1);
    deploy(&mut world, 3, json!({ "minAvailable": 2 }));
    let pods: Vec<_> = web_pods(&world).iter().map(|pod| Arc::clone(&pod.key)).collect();
    store::evict(&mut world, &pods[0], &Deletion::default()).unwrap();
    let budget = value(&world, DISRUPTION_BUDGETS, "default/web");
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    let refused = store::evict(&mut world, &pods[1], &Deletion::default()).unwrap_err();
    assert_eq!(refused.code, 429);
    run(&mut world, 1);
    let refused = store::evict(&mut world, &pods[1], &Deletion::default()).unwrap_err().value();
    assert_eq!(
        refused["details"]["causes"],
        json!([{ "reason": "DisruptionBudget",
            "message": "The disruption budget web needs 2 healthy pods and has 2 currently" }])
    );
    run(&mut world, 60);
    store::evict(&mut world, &pods[1], &Deletion::default()).unwrap();
    let second = json!({ "metadata": { "name": "also" }, "spec": { "minAvailable": 1,
        "selector": { "matchLabels": { "app": "web" } } } });
    store::create(&mut world, DISRUPTION_BUDGETS, "default", second, &Writing::default()).unwrap();
    run(&mut world, 60);
    let pod = Arc::clone(&web_pods(&world)[0].key);
    assert_eq!(store::evict(&mut world, &pod, &Deletion::default()).unwrap_err().code, 500);
}

#[test]
fn a_silent_node_loses_its_pods_after_five_minutes_and_finds_them_gone() {
    let mut world = living(6, 60, 1);
    deploy(&mut world, 6, Value::Null);
    let node: Arc<str> = pods::pod(&web_pods(&world)[0]).unwrap().node_name().into();
    let on_it = |world: &World| {
        web_pods(world).into_iter().filter(|pod| pods::pod(pod).unwrap().node_name() == &*node).collect::<Vec<_>>()
    };
    lifecycle::turn(&mut world, &node, NodeState::Unreachable);
    assert!(on_it(&world).iter().all(|pod| state(pod) == State::Silent));
    run(&mut world, 290);
    assert!(on_it(&world).iter().all(|pod| state(pod) == State::Silent));
    run(&mut world, 60);
    assert!(on_it(&world).iter().all(|pod| state(pod) == State::NodeLost));
    assert_eq!(ready(&world), 6, "replaced elsewhere");
    lifecycle::turn(&mut world, &node, NodeState::Ready);
    run(&mut world, 30);
    assert!(on_it(&world).is_empty());
    assert_eq!(web_pods(&world).len(), 6);
}

#[test]
fn a_pod_that_fits_nowhere_says_why_and_starts_when_it_can() {
    let mut world = living(6, 60, 1);
    for name in world.nodes.clone() {
        store::update(&mut world, NODES, &name, &Writing::default(), false, |node| {
            node["spec"]["unschedulable"] = true.into();
            Ok(())
        })
        .unwrap();
    }
    let pod =
        json!({ "metadata": { "name": "lone" }, "spec": { "containers": [{ "name": "a", "image": "busybox" }] } });
    store::create(&mut world, PODS, "default", pod, &Writing::default()).unwrap();
    run(&mut world, 10);
    let pod = value(&world, PODS, "default/lone");
    assert_eq!(reason(&pod, "PodScheduled"), "Unschedulable");
    let message = pod["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("0/6 nodes are available: 6 node(s) were unschedulable."), "{message}");
    let name = Arc::clone(&world.nodes[0]);
    store::update(&mut world, NODES, &name, &Writing::default(), false, |node| {
        node["spec"].as_object_mut().unwrap().remove("unschedulable");
        Ok(())
    })
    .unwrap();
    run(&mut world, 20);
    assert_eq!(state(&world.get(PODS, "default/lone").unwrap()), State::Running);
    let event = world
        .snapshot(EVENTS, "default")
        .objects
        .iter()
        .map(|event| event.value())
        .find(|event| event["reason"] == "FailedScheduling" && event["involvedObject"]["name"] == "lone");
    assert!(event.unwrap()["eventTime"].is_string());
}

#[test]
fn cron_jobs_start_jobs_and_events_do_not_stay() {
    let mut world = living(4, 40, 1);
    let cron = json!({
        "metadata": { "name": "often" },
        "spec": { "schedule": "*/2 * * * *", "successfulJobsHistoryLimit": 2, "jobTemplate": { "spec": { "template": {
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "a", "image": "busybox" }] } } } } },
    });
    store::create(&mut world, CRON_JOBS, "default", cron, &Writing::default()).unwrap();
    run(&mut world, 3600);
    let jobs = world.snapshot(JOBS, "default").objects;
    let jobs: Vec<_> = jobs.iter().filter(|job| job.name().starts_with("often-")).map(|job| job.value()).collect();
    let complete = jobs.iter().filter(|job| reason_of_job(job) == "CompletionsReached").count();
    assert!((2..=3).contains(&complete), "{complete} of {} are kept", jobs.len());
    assert!(value(&world, CRON_JOBS, "default/often")["status"]["lastSuccessfulTime"].is_string());
    store::delete(&mut world, CRON_JOBS, &key("default", "often"), &Deletion::default()).unwrap();
    run(&mut world, 4000);
    let events = world.snapshot(EVENTS, "default").objects;
    assert!(events.iter().all(|event| !event.name().starts_with("often")), "events of an hour ago are gone");
    assert!(world.snapshot(JOBS, "default").objects.iter().all(|job| !job.name().starts_with("often-")));
}

fn reason_of_job(job: &Value) -> &str {
    job["status"]["conditions"][0]["reason"].as_str().unwrap_or_default()
}

#[test]
fn writes_are_checked_as_the_server_checks_them() {
    let mut world = living(3, 40, 1);
    let at = deploy(&mut world, 1, Value::Null);
    let mut update = |change: fn(&mut Value)| {
        let changed = store::update(&mut world, DEPLOYMENTS, &at, &Writing::default(), false, |deployment| {
            change(deployment);
            Ok(())
        });
        changed.map(|(object, ())| object.version).map_err(|status| (status.code, status.value()["reason"].clone()))
    };
    let version = update(|_| {}).unwrap();
    assert_eq!(update(|_| {}).unwrap(), version, "what changes nothing makes no version");
    assert_eq!(update(|deployment| deployment["metadata"]["resourceVersion"] = "1".into()).unwrap_err().0, 409);
    assert_eq!(update(|deployment| deployment["spec"]["selector"] = json!({})).unwrap_err(), (422, json!("Invalid")));
    assert_eq!(update(|deployment| deployment["spec"]["replicas"] = json!(-1)).unwrap_err().0, 422);
    assert_eq!(update(|deployment| deployment["metadata"]["labels"] = json!("x")).unwrap_err().0, 400);
    assert_eq!(update(|deployment| *deployment = json!([])).unwrap_err().0, 400);
    let mut again = value(&world, DEPLOYMENTS, &at);
    again["metadata"] = json!({ "name": "web" });
    assert_eq!(store::create(&mut world, DEPLOYMENTS, "default", again, &Writing::default()).unwrap_err().code, 409);
    let empty = json!({ "metadata": { "name": "empty" }, "spec": { "template": { "spec": {} } } });
    assert_eq!(store::create(&mut world, DEPLOYMENTS, "default", empty, &Writing::default()).unwrap_err().code, 422);
    let nowhere = json!({ "metadata": { "name": "x" } });
    assert_eq!(store::create(&mut world, CONFIG_MAPS, "nowhere", nowhere, &Writing::default()).unwrap_err().code, 404);
    let nameless = store::create(&mut world, CONFIG_MAPS, "default", json!({}), &Writing::default()).unwrap_err();
    assert_eq!(nameless.code, 422);
    let dry = json!({ "metadata": { "name": "dry" } });
    store::create(&mut world, CONFIG_MAPS, "default", dry, &Writing { dry_run: true, ..Writing::default() }).unwrap();
    assert!(world.get(CONFIG_MAPS, "default/dry").is_none());
}

/// What the seed makes has been through the same door as what clients make: nothing of it would be refused, and a write
/// that changes something else fills nothing in, which would roll workloads out anew.
#[test]
fn what_the_world_begins_with_would_be_admitted() {
    let world = living(12, 300, 3);
    for resource in ResourceId::all().filter(|resource| !resource.is_metrics()) {
        for object in world.snapshot(resource, "").objects.iter() {
            let value = object.value();
            assert_eq!(kinds::check(resource, &value), [], "{} {}", resource.kind, object.key);
            let mut filled = value.clone();
            assert_eq!(
                body::fit(resource, &mut filled, Unknown::Refuse),
                Ok(vec![]),
                "{} {}",
                resource.kind,
                object.key
            );
            defaults::fill_in(resource, &mut filled);
            let lines = |value: &Value| serde_json::to_string_pretty(value).unwrap();
            let (before, after) = (lines(&value), lines(&filled));
            let first = before.lines().zip(after.lines()).find(|(before, after)| before != after);
            assert!(filled == value, "{} {}: {first:?}", resource.kind, object.key);
        }
    }
}
