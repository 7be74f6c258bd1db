//! Evictions against disruption budgets on both servers: a random sequence, and every verdict word for word.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::rig::{Reply, Rig};

const NAMESPACE: &str = "budgets";
const PODS: usize = 8;
/// Both are still after this long, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Random numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: u64) -> u64 {
        // Knuth's constants; the low bits are poor.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// Each of these once, in some order.
    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, usize::try_from(self.below(at as u64 + 1)).expect("small"));
        }
    }
}

fn send(rig: &Rig, method: &str, path: &str, kind: &str, body: &Value) -> Reply {
    let headers = [
        ("Content-Type".to_owned(), format!("application/{kind}")),
        ("Accept".to_owned(), "application/json".to_owned()),
    ];
    rig.send(method, path, &headers, &body.to_string())
}

fn pods_path() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods")
}

fn budget_path() -> String {
    format!("/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets")
}

/// A server, and the one node on which the pods are.
pub struct Place<'a> {
    rig: &'a Rig,
    node: String,
}

impl Place<'_> {
    /// While the node takes no pods, those that were evicted do not come back.
    fn cordon(&self, cordoned: bool) {
        let path = format!("/api/v1/nodes/{}", self.node);
        let reply =
            send(self.rig, "PATCH", &path, "merge-patch+json", &json!({ "spec": { "unschedulable": cordoned } }));
        assert_eq!(reply.code, 200, "{}", reply.body);
    }

    fn budget(&self) -> Option<Value> {
        serde_json::from_str(&self.rig.send("GET", &format!("{}/web", budget_path()), &[], "").body).ok()
    }

    /// What the budget counts, once it has seen that so many pods are healthy.
    fn counts(&self, healthy: usize) -> Option<Value> {
        let budget = self.budget()?;
        let status = &budget["status"];
        let count = |field: &str| status[field].as_u64().unwrap_or(0);
        let current = status["observedGeneration"] == budget["metadata"]["generation"]
            && status["disruptedPods"].is_null()
            && count("currentHealthy") == healthy as u64;
        current.then(|| json!([count("desiredHealthy"), count("disruptionsAllowed")]))
    }
}

/// Makes the namespace, the pods and their budget.
pub fn prepare(rig: &Rig) -> Place<'_> {
    let nodes: Value = serde_json::from_str(&rig.send("GET", "/api/v1/nodes", &[], "").body).expect("a list");
    let is_good = |node: &&Value| {
        let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions.any(|one| one["type"] == "Ready" && one["status"] == "True");
        ready && node["spec"]["taints"].is_null() && node["spec"]["unschedulable"].is_null()
    };
    let node = nodes["items"].as_array().into_iter().flatten().find(is_good).expect("a node");
    let node = node["metadata"]["name"].as_str().expect("a name").to_owned();
    let path = format!("/api/v1/nodes/{node}");
    send(rig, "PATCH", &path, "merge-patch+json", &json!({ "metadata": { "labels": { "same": NAMESPACE } } }));
    let labels = json!({ "app": "web" });
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    // No stateful set: the budget takes a new pod of an old name for the one that was evicted, for two minutes.
    let deployment = json!({ "metadata": { "name": "web" }, "spec": {
        "replicas": PODS, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 1,
            "nodeSelector": { "same": NAMESPACE },
            "containers": [{ "name": "web", "image": "nginx:1.29" }] } } } });
    let budget =
        json!({ "metadata": { "name": "web" }, "spec": { "minAvailable": 5, "selector": { "matchLabels": labels } } });
    for (path, body) in [
        ("/api/v1/namespaces".to_owned(), namespace),
        (format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"), deployment),
        (budget_path(), budget),
    ] {
        let reply = send(rig, "POST", &path, "json", &body);
        assert_eq!(reply.code, 201, "{path}: {}", reply.body);
    }
    Place { rig, node }
}

/// The names of the pods that are ready, and of those that are not, once all are there.
struct Settled {
    ready: Vec<String>,
    unready: Vec<String>,
}

/// `None`: not settled yet.
fn look(place: &Place, unready: usize) -> Option<Settled> {
    let list: Value = serde_json::from_str(&place.rig.send("GET", &pods_path(), &[], "").body).ok()?;
    let pods = list["items"].as_array()?;
    let still = |pod: &Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
    let is_ready = |pod: &&Value| {
        let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let names = |wanted: bool| {
        let chosen = pods.iter().filter(|pod| is_ready(pod) == wanted);
        chosen.map(|pod| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let settled = Settled { ready: names(true), unready: names(false) };
    (pods.len() == PODS && pods.iter().all(still) && settled.unready.len() == unready).then_some(settled)
}

/// Asks both until each has an answer.
fn wait<T>(places: [&Place; 2], what: &str, look: impl Fn(&Place) -> Option<T>) -> [T; 2] {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match places.map(&look) {
            [Some(real), Some(own)] => return [real, own],
            looks => {
                let there = looks.map(|look| look.is_some());
                assert!(Instant::now() < deadline, "waited too long for {what}: {there:?}");
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn settle(places: [&Place; 2], unready: usize) -> [Settled; 2] {
    wait(places, &format!("{PODS} pods, {unready} of them not ready"), |place| look(place, unready))
}

/// Changes the budget, and whether pods are ready, as the dice say; returns how many more are not.
fn change(places: [&Place; 2], dice: &mut Dice, settled: &[Settled; 2]) -> usize {
    let mut spec = match dice.below(4) {
        0 => json!({ "minAvailable": dice.below(9), "maxUnavailable": null }),
        1 => json!({ "maxUnavailable": dice.below(5), "minAvailable": null }),
        2 => json!({ "minAvailable": format!("{}%", dice.below(101)), "maxUnavailable": null }),
        _ => json!({ "maxUnavailable": format!("{}%", dice.below(101)), "minAvailable": null }),
    };
    spec["unhealthyPodEvictionPolicy"] = match dice.below(3) {
        0 => Value::Null,
        1 => "IfHealthyBudget".into(),
        _ => "AlwaysAllow".into(),
    };
    let unready = usize::try_from(dice.below(4)).expect("small").min(settled[0].ready.len());
    let condition = json!({ "type": "Ready", "status": "False", "reason": "ContainersNotReady" });
    for (Place { rig, .. }, settled) in places.into_iter().zip(settled) {
        let path = format!("{}/web", budget_path());
        let reply = send(rig, "PATCH", &path, "merge-patch+json", &json!({ "spec": spec }));
        assert_eq!(reply.code, 200, "{}", reply.body);
        for name in &settled.ready[..unready] {
            let path = format!("{}/{name}/status", pods_path());
            let body = json!({ "status": { "conditions": [condition] } });
            let reply = send(rig, "PATCH", &path, "strategic-merge-patch+json", &body);
            assert_eq!(reply.code, 200, "{}", reply.body);
        }
    }
    unready
}

/// Evicts `count` pods on both; tells what was said differently.
pub fn compare(places: [&Place; 2], count: usize, seed: u64) -> String {
    let mut dice = Dice(seed);
    let (mut told, mut done, mut unready) = (String::new(), 0, 0);
    let mut verdicts = [0; 3];
    while done < count {
        let mut settled = settle(places, unready);
        places.iter().for_each(|place| place.cordon(true));
        let mut healthy = PODS - unready;
        // Names differ: what is evicted is the next pod that is ready, or that is not.
        let mut order: Vec<bool> = (0..PODS).map(|at| at < unready).collect();
        dice.shuffle(&mut order);
        for not_ready in order {
            let [real, own] = wait(places, &format!("{healthy} healthy pods"), |place| place.counts(healthy));
            assert_eq!(real, own, "what the budgets count (desired, allowed) of {healthy} healthy pods");
            let mut answers = places.iter().zip(&mut settled).map(|(Place { rig, .. }, settled)| {
                let names = if not_ready { &mut settled.unready } else { &mut settled.ready };
                let name = names.pop().expect("a pod");
                let metadata = json!({ "name": name, "namespace": NAMESPACE });
                let body = json!({ "kind": "Eviction", "apiVersion": "policy/v1", "metadata": metadata });
                let reply = send(rig, "POST", &format!("{}/{name}/eviction", pods_path()), "json", &body);
                (reply.code, reply.header("retry-after"), reply.body.parse::<Value>().unwrap_or_default())
            });
            let (real, own) = (answers.next().expect("an answer"), answers.next().expect("an answer"));
            if real != own {
                let _ = writeln!(told, "eviction {done}, not ready: {not_ready}:\n  {real:?}\n  {own:?}");
            }
            match real.0 {
                201 if not_ready => {
                    unready -= 1;
                    verdicts[0] += 1;
                }
                201 => {
                    healthy -= 1;
                    verdicts[0] += 1;
                }
                429 => verdicts[1] += 1,
                _ => verdicts[2] += 1,
            }
            done += 1;
        }
        places.iter().for_each(|place| place.cordon(false));
        let settled = settle(places, unready);
        unready += change(places, &mut dice, &settled);
    }
    let [granted, refused, other] = verdicts;
    println!("{done} evictions: {granted} granted, {refused} refused, {other} neither");
    assert!(granted > count / 10 && refused > count / 10, "the sample says little");
    told
}
