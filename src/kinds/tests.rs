//! Recorded objects of a real API server (v1.36.3) → rows, in both encodings, compared with what that server printed for
//! kubectl at the time. `protobuf` is what the server sent, without annotations and managed fields.

use base64::Engine;
use serde_json::{Value as Json, json};

use super::*;
use crate::store::{table::Covers, world::World};

const OBJECTS: &str = include_str!("fixtures/objects.jsonl");

#[derive(serde::Deserialize)]
struct Recorded {
    kind: String,
    /// Unix seconds when it was printed.
    now: i64,
    cells: serde_json::Map<String, Json>,
    object: Json,
    protobuf: String,
}

impl Recorded {
    fn all() -> Vec<Self> {
        OBJECTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn find(kind: &str, name: &str) -> Self {
        let found = Self::all().into_iter().find(|it| it.kind == kind && it.name().starts_with(name));
        found.unwrap_or_else(|| panic!("{kind} {name}"))
    }

    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap()
    }

    fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => self.object.to_string().into_bytes(),
            Encoding::Protobuf => base64::prelude::BASE64_STANDARD.decode(&self.protobuf).unwrap(),
        }
    }
}

/// A world that is fed as by streams.
#[derive(Default)]
struct Fed {
    world: World,
    interner: Interner,
    decoders: std::collections::HashMap<KindId, Box<dyn Decoder>>,
}

impl Fed {
    fn kind(&self, plural: &str) -> KindId {
        self.world.kinds().find(|(_, info)| info.plural == plural).unwrap().0
    }

    fn feed(&mut self, plural: &str, event: EventKind, encoding: Encoding, object: impl Into<Bytes>) {
        let kind = self.kind(plural);
        let info = self.world.kind(kind).clone();
        let decoder = self.decoders.entry(kind).or_insert_with(|| decoder(kind, &info));
        decoder.object(event, encoding, object.into(), &mut self.interner).unwrap();
        let (_, changes) = decoder.take();
        self.world.symbols.extend(self.interner.fresh());
        self.world.apply(kind, changes, 1);
        self.world.settle();
    }

    fn json(&mut self, plural: &str, event: EventKind, object: &Json) {
        self.feed(plural, event, Encoding::Json, object.to_string());
    }

    fn row(&self, plural: &str, name: &str) -> u32 {
        let rows = self.world.rows(self.kind(plural));
        *rows.natural().iter().find(|id| rows.name(**id) == name).unwrap_or_else(|| panic!("{plural} {name}"))
    }

    fn value(&self, plural: &str, name: &str, column: &str) -> Value<'_> {
        let rows = self.world.rows(self.kind(plural));
        let column = rows.columns().iter().position(|info| info.id == column).unwrap_or_else(|| panic!("{column}"));
        rows.value(self.row(plural, name), column, &self.world)
    }

    fn names(&self, plural: &str) -> Vec<&str> {
        let rows = self.world.rows(self.kind(plural));
        rows.natural().iter().map(|id| rows.name(*id)).collect()
    }
}

fn fed(recorded: &Recorded, encoding: Encoding) -> Fed {
    let mut fed = Fed::default();
    fed.feed(&recorded.kind, EventKind::Present, encoding, recorded.bytes(encoding));
    fed
}

#[test]
fn cells_are_kubectls_in_both_encodings() {
    for recorded in Recorded::all() {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let fed = fed(&recorded, encoding);
            for (column, printed) in &recorded.cells {
                let mut printed = printed.as_str().map_or_else(|| printed.to_string(), str::to_owned);
                if column == "restarts" {
                    // When the last one was is a column of its own: `3 (5m ago)`.
                    printed.truncate(printed.find(' ').unwrap_or(printed.len()));
                }
                let value = fed.value(&recorded.kind, recorded.name(), column);
                let place = format!("{} {} {column} {encoding:?}", recorded.kind, recorded.name());
                assert_eq!(value.render(recorded.now), printed, "{place}");
            }
        }
    }
}

#[test]
fn both_encodings_give_the_same_rows() {
    for recorded in Recorded::all() {
        let (one, other) = (fed(&recorded, Encoding::Protobuf), fed(&recorded, Encoding::Json));
        let kind = one.kind(&recorded.kind);
        let (one_rows, other_rows) = (one.world.rows(kind), other.world.rows(kind));
        let id = one.row(&recorded.kind, recorded.name());
        for (index, column) in one_rows.columns().iter().enumerate() {
            let value = one_rows.value(id, index, &one.world);
            let text = other_rows.value(id, index, &other.world).render(recorded.now).into_owned();
            assert_eq!(value.render(recorded.now), text, "{} {} {}", recorded.kind, recorded.name(), column.id);
        }
        assert_eq!(one_rows.health(id, &one.world), other_rows.health(id, &other.world));
        assert_eq!(one_rows.drill(id, &one.world), other_rows.drill(id, &other.world));
    }
}

#[test]
fn health_says_what_needs_a_person() {
    for (kind, name, health) in [
        ("deployments", "web", Health::Ok),
        ("deployments", "crashing", Health::Bad),
        ("deployments", "paused", Health::Warn),
        ("deployments", "scaled-to-zero", Health::Ok),
        ("statefulsets", "db", Health::Ok),
        ("statefulsets", "stuck", Health::Bad),
        ("daemonsets", "agent", Health::Ok),
        ("replicasets", "web-", Health::Ok),
        ("replicasets", "never-ready-", Health::Bad),
        ("replicasets", "scaled-to-zero-", Health::Done),
        ("jobs", "complete", Health::Done),
        ("jobs", "failed", Health::Bad),
        ("jobs", "running", Health::Progressing),
        ("jobs", "suspended", Health::Unknown),
        ("cronjobs", "nightly", Health::Ok),
        ("cronjobs", "suspended", Health::Unknown),
        ("services", "web", Health::Ok),
        ("services", "balanced-pending", Health::Warn),
        ("events", "failed", Health::Warn),
        ("events", "api", Health::Ok),
        ("poddisruptionbudgets", "web-min", Health::Ok),
        ("poddisruptionbudgets", "guarded-never", Health::Warn),
        ("horizontalpodautoscalers", "web", Health::Ok),
        ("namespaces", "shop", Health::Ok),
        ("namespaces", "kinds-leaving", Health::Warn),
        ("nodes", "bare", Health::Bad),
    ] {
        let recorded = Recorded::find(kind, name);
        let fed = fed(&recorded, Encoding::Protobuf);
        let id = fed.row(kind, recorded.name());
        assert_eq!(fed.world.rows(fed.kind(kind)).health(id, &fed.world), health, "{kind} {name}");
    }
}

#[test]
fn enter_leads_to_what_an_object_is_about() {
    let drill = |kind: &str, name: &str| {
        let recorded = Recorded::find(kind, name);
        let fed = fed(&recorded, Encoding::Protobuf);
        let id = fed.row(kind, recorded.name());
        fed.world.rows(fed.kind(kind)).drill(id, &fed.world)
    };
    let labels = |text: &str| Some(Pin::Labels(Selector::parse(text).unwrap()));
    let named = |name: &str| Some(Pin::Name(name.to_owned()));
    let in_shop =
        |plural: &str, pin| Some(Drill { plural: plural.to_owned(), namespace: Some("shop".to_owned()), pin });
    assert_eq!(drill("namespaces", "shop"), in_shop("pods", None));
    for (kind, name) in [("deployments", "web"), ("services", "web"), ("poddisruptionbudgets", "web-min")] {
        assert_eq!(drill(kind, name), in_shop("pods", labels("app=web")), "{kind}");
    }
    let expressions = drill("deployments", "expressions").unwrap().pin;
    assert_eq!(expressions, labels("app=e,!old,tier in (a,b)"));
    assert_eq!(drill("poddisruptionbudgets", "everything").unwrap().pin, None, "an empty selector selects all");
    assert_eq!(drill("services", "external"), None);
    assert_eq!(drill("services", "without-selector"), None);
    let owner = Pin::Owner { kind: "CronJob".to_owned(), name: "nightly".to_owned() };
    assert_eq!(drill("cronjobs", "nightly"), in_shop("jobs", Some(owner)));
    assert_eq!(drill("horizontalpodautoscalers", "web"), in_shop("deployment", named("web")));
    assert_eq!(drill("events", "failed"), in_shop("job", named("failed")));
}

/// A pod of a deployment, ready or not.
fn pod(name: &str, ready: bool, phase: &str) -> Json {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "labels": {"app": "web", "pod-template-hash": "678d6b7fc8"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-678d6b7fc8", "uid": "r", "controller": true}],
        },
        "spec": {
            "nodeName": "bare",
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Ki"}}}],
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            "containerStatuses": [{"name": "a", "ready": ready, "state": {"running": {}}}],
        },
    })
}

#[test]
fn sums_over_pods_are_kept_and_unknown_until_all_have_come() {
    let mut fed = Fed::default();
    for (kind, name) in [("namespaces", "shop"), ("deployments", "web"), ("replicasets", "web-"), ("nodes", "bare")] {
        let recorded = Recorded::find(kind, name);
        fed.json(kind, EventKind::Present, &recorded.object);
    }
    fed.json("pods", EventKind::Present, &pod("one", true, "Running"));
    fed.json("pods", EventKind::Present, &pod("two", false, "Running"));
    fed.json("pods", EventKind::Present, &pod("three", false, "Succeeded"));
    let sums = |fed: &Fed| {
        [
            ("namespaces", "shop", "pods"),
            ("namespaces", "shop", "not-ready"),
            ("namespaces", "shop", "faults"),
            ("namespaces", "shop", "cpu-req"),
            ("deployments", "web", "faults"),
            ("deployments", "web", "cpu-req"),
            ("replicasets", "web-678d6b7fc8", "mem-req"),
            ("nodes", "bare", "pods"),
            ("nodes", "bare", "cpu-req"),
            ("nodes", "bare", "cpu-alloc"),
        ]
        .map(|(kind, name, column)| fed.value(kind, name, column).render(0).into_owned())
        .join(" ")
    };
    assert_eq!(sums(&fed), "– – – – – – – – – –");

    let pods = fed.kind("pods");
    fed.world.sweep(pods, &Covers::Namespace("shop".to_owned()), 1);
    assert_eq!(sums(&fed), "3 1 1 200m 1 200m 2Ki – – –", "pods of other namespaces may be on the node");
    fed.world.sweep(pods, &Covers::All, 1);
    assert_eq!(sums(&fed), "3 1 1 200m 1 200m 2Ki 2 200m –", "the node says nothing of what it has");

    fed.json("pods", EventKind::Present, &pod("two", true, "Running"));
    assert_eq!(sums(&fed), "3 0 0 200m 0 200m 2Ki 2 200m –");
    fed.json("pods", EventKind::Deleted, &pod("one", true, "Running"));
    assert_eq!(sums(&fed), "2 0 0 100m 0 100m 1Ki 1 100m –");
    fed.json("pods", EventKind::Deleted, &pod("two", true, "Running"));
    fed.json("pods", EventKind::Deleted, &pod("three", true, "Succeeded"));
    assert_eq!(sums(&fed), "0 0 0 0m 0 0m 0 0 0m –");
    assert!(fed.world.joins.of_workload.is_empty(), "nothing is kept of workloads without pods");

    fed.world.forget(pods, &Covers::All);
    assert_eq!(sums(&fed), "– – – – – – – – – –", "nobody answers for pods any more");
}

#[test]
fn containers_are_rows_in_both_encodings() {
    let pod = Recorded::find("pods", "p");
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut fed = Fed::default();
        fed.feed("containers", EventKind::Present, encoding, pod.bytes(encoding));
        assert_eq!(fed.names("containers"), ["app", "debug", "late", "mesh", "setup"]);
        for (name, expected) in [
            ("setup", "1 init s:1 false Terminated: Completed 0 <none> off:off:off – – <none> –"),
            ("mesh", "2 sidecar m:1 true Running 0 <none> off:off:off – – <none> 60s"),
            (
                "app",
                "3 main a:1 false Waiting: CrashLoopBackOff 4 OOMKilled (137) on:off:on 250m 1Gi http:8080/TCP,53/UDP –",
            ),
            ("late", "4 main l:1 – – – – off:off:off – – <none> –"),
            ("debug", "5 ephemeral d:1 false Terminated: ExitCode:3 0 <none> off:off:off – – <none> –"),
        ] {
            let columns = [
                "idx",
                "kind",
                "image",
                "ready",
                "state",
                "restarts",
                "last-exit",
                "probes",
                "cpu-req",
                "mem-lim",
                "ports",
                "age",
            ];
            let now = 1_767_225_660;
            let row = columns.map(|column| fed.value("containers", name, column).render(now).into_owned());
            assert_eq!(row.join(" "), expected, "{name} {encoding:?}");
        }
        let rows = fed.world.rows(fed.kind("containers"));
        let parent = rows.parent(fed.row("containers", "app"));
        let uid = pod.object["metadata"]["uid"].as_str().unwrap();
        assert_eq!(parent, Some(Uid::parse(uid.as_bytes())));
    }
}

#[test]
fn what_has_no_uid_goes_by_its_name() {
    for plural in ["pods", "containers"] {
        let mut object = Recorded::find("pods", "p").object;
        object["metadata"]["uid"] = Json::Null;
        let mut fed = Fed::default();
        fed.json(plural, EventKind::Present, &object);
        assert!(!fed.names(plural).is_empty());
        fed.json(plural, EventKind::Deleted, &object);
        assert_eq!(fed.names(plural), [""; 0]);
    }
}

#[test]
fn containers_go_with_what_they_are_part_of() {
    let with_debug = Recorded::find("pods", "p").object;
    let mut without = with_debug.clone();
    without["spec"]["ephemeralContainers"] = Json::Null;
    let mut other = without.clone();
    other["metadata"]["name"] = "q".into();
    other["metadata"]["uid"] = "v".into();
    let mut fed = Fed::default();
    fed.json("containers", EventKind::Present, &other);
    fed.json("containers", EventKind::Present, &with_debug);
    assert_eq!(fed.names("containers").len(), 9);
    fed.json("containers", EventKind::Present, &without);
    assert!(!fed.names("containers").contains(&"debug"));
    // A stream of one pod ends its list: the rows of another one are none of its business.
    let containers = fed.kind("containers");
    let covers = Covers::Object { namespace: "kinds-check".to_owned(), name: "p".to_owned() };
    fed.world.sweep(containers, &covers, 2);
    fed.world.settle();
    assert_eq!(fed.names("containers").len(), 4);
    fed.json("containers", EventKind::Deleted, &other);
    assert_eq!(fed.names("containers"), [""; 0]);
}

/// Interned texts stay for ever: what is new with every pod must not be among them.
#[test]
fn pods_that_replace_each_other_add_no_texts() {
    let mut fed = Fed::default();
    let pod = |number: usize| {
        let mut pod = Recorded::find("pods", "").object;
        for field in ["name", "uid", "resourceVersion"] {
            pod["metadata"][field] = format!("{field}-{number}").into();
        }
        pod["status"]["podIP"] = format!("10.0.0.{number}").into();
        pod["status"]["podIPs"] = json!([{ "ip": format!("10.0.0.{number}") }]);
        pod
    };
    fed.json("pods", EventKind::Present, &pod(1));
    let known = fed.world.symbols.len();
    for number in 2..20 {
        fed.json("pods", EventKind::Deleted, &pod(number - 1));
        fed.json("pods", EventKind::Present, &pod(number));
    }
    assert_eq!(fed.world.symbols.len(), known);
}
