//! A model for tests: a cluster whose rows, streams and clock the test writes.

use serde_json::{Value as Json, json};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    effect::Effect,
    model::Model,
    update::{self, Input},
};
use crate::{
    command,
    config::{
        keymap::{KeyMap, KeySettings},
        settings::Config,
        state::State,
    },
    kinds::{
        self, Encoding, EventKind, HasId, KindId,
        node::Node,
        nodegroup::{self, Asg, Instance, Make, NodeGroup, Place, Prices, Subnet, TypePrice},
        pod::Pod,
        poddisruptionbudget::PodDisruptionBudget,
    },
    sources::kube::session::{Facts, SignIn},
    store::{
        intern::Interner,
        lens::Scope,
        stream::{StreamId, StreamState},
        table::{Change, Changes, Covers, Meta, Span, Uid},
        usage::{Measurement, MetricsState, Reading},
        world::Amounts,
    },
    ui::theme::{ColorDepth, Themes},
};

/// 2026-03-01T12:00:00Z, milliseconds.
pub const NOW: i64 = 1_772_366_400_000;

/// A model in a context named `demo`, and what its streams need.
pub struct Script {
    pub model: Model,
    interner: Interner,
}

impl Script {
    /// Shows nothing yet.
    pub fn new(config: Config, depth: ColorDepth) -> Self {
        let keys = KeyMap::new(&command::key_table(), &[], &KeySettings::default(), &mut Vec::new());
        let (themes, _) = Themes::new(&[]);
        let theme = themes.get(&config.ui.theme, depth).unwrap();
        let mut model = Model::new(config, keys, theme, themes.names().map(str::to_owned).collect(), State::default());
        model.now = NOW;
        let facts = Facts {
            context: "demo".to_owned(),
            cluster: "demo".to_owned(),
            server: "https://api.example".to_owned(),
            host: "api.example".to_owned(),
            user: Some("ada".to_owned()),
            namespace: "default".to_owned(),
            sign_in: SignIn::Token,
            proxy: None,
            impersonates: None,
            read_only: false,
        };
        model.enter_context(facts, Some(Scope::All));
        Self { model, interner: Interner::default() }
    }

    /// Runs a command line and opens the streams that follow, as the loop does.
    pub fn show(&mut self, line: &str) {
        command::line::run(&mut self.model, line).unwrap();
        self.model.plan_streams();
    }

    /// Runs a command by its id.
    pub fn command(&mut self, id: &str) {
        (command::find(id).unwrap().run)(&mut self.model, "").unwrap();
    }

    /// Sets all streams of a kind to a state; `synced` says that all rows have come.
    pub fn state(&mut self, kind: KindId, state: &StreamState, synced: bool) {
        for id in (0..100).map(StreamId) {
            if let Some(stream) = self.model.streams.get_mut(id).filter(|stream| stream.kind == kind) {
                stream.state = state.clone();
                stream.synced = synced;
            }
        }
        if synced {
            self.model.world.sweep(kind, &Covers::All, 0);
        }
        self.model.plan_streams();
    }

    /// Applies objects as a stream would.
    pub fn feed(&mut self, kind: KindId, objects: &[Json]) {
        let mut decoder = kinds::decoder(kind, self.model.world.kind(kind));
        for object in objects {
            let bytes = object.to_string().into();
            decoder.object(EventKind::Present, Encoding::Json, bytes, &mut self.interner).unwrap();
        }
        self.model.world.symbols.extend(self.interner.fresh());
        self.model.world.apply(kind, decoder.take().1, 1);
        self.model.world.settle();
    }

    /// Applies rows that no server sends, as a source would.
    pub fn rows<R: Send + 'static>(&mut self, kind: KindId, read: impl FnOnce(&mut Interner) -> Changes<R>) {
        let changes = read(&mut self.interner);
        self.model.world.symbols.extend(self.interner.fresh());
        self.model.world.apply(kind, Box::new(changes), 1);
        self.model.world.settle();
    }

    /// Shows or changes a managed group, after `change` had its way with it.
    pub fn group(&mut self, name: &str, change: impl FnOnce(&mut nodegroup::Row)) {
        self.rows(NodeGroup::ID, |interner| {
            let mut changes = Changes::default();
            let mut row = managed(name, interner);
            change(&mut row);
            let meta = Meta {
                uid: Uid::hashed(&[name.as_bytes()]),
                name: Span::push(&mut changes.names, name),
                owner_name: interner.text(nodegroup::AWS_PART),
                created: u32::try_from(NOW / 1000 - 86_400).unwrap(),
                ..Meta::default()
            };
            changes.changes.push(Change::Upsert(meta, row));
            changes
        });
    }

    /// A group of three of which two have joined, one that is well, one whose Auto Scaling group nobody may see, and the
    /// nodes and pods that there are; all of it on screen.
    pub fn grouped(config: Config, depth: ColorDepth) -> Self {
        let mut script = Self::new(config, depth);
        script.show("ng");
        let labelled = |name: &str, group: &str| {
            let mut node = node(name);
            node["metadata"]["labels"] = json!({ "eks.amazonaws.com/nodegroup": group });
            node
        };
        let nodes = [labelled("node-a", "spot-a"), labelled("node-b", "spot-a"), labelled("node-c", "ondemand")];
        script.feed(Node::ID, &nodes);
        script
            .feed(Pod::ID, &[running("payments", "ledger-0", "node-a", 0), running("payments", "api-0", "node-c", 0)]);
        script.state(NodeGroup::ID, &StreamState::Polled { at: NOW / 1000 - 14 }, true);
        for kind in [Pod::ID, Node::ID, PodDisruptionBudget::ID] {
            script.state(kind, &StreamState::Live, true);
        }
        script.group("spot-a", |_| {});
        script.group("ondemand", |row| {
            (row.min, row.max, row.desired) = (Some(1), Some(6), Some(1));
            row.spot = Some(false);
            row.release.newest = Some(row.release.own.clone());
            let asg = row.asg.as_mut().unwrap();
            asg.desired = Some(1);
            asg.instances.truncate(1);
        });
        script.group("unseen", |row| {
            row.asg = None;
            row.doubts = vec!["needs autoscaling:DescribeAutoScalingGroups".to_owned()];
        });
        script.model.dirty = true;
        script
    }

    /// Presses keys, each a character or a named one; gives the effects that follow.
    pub fn press(&mut self, keys: &[KeyCode]) -> Vec<Effect> {
        let now = self.model.now;
        let press = |script: &mut Self, key: &KeyCode| {
            // A frame comes between: the cursor finds its row.
            if let Some(crate::view::View::Table(view)) = script.model.views.last_mut() {
                view.prepare(&script.model.world, now, 0, 10);
            }
            update::input(&mut script.model, Input::Key(KeyEvent::new(*key, KeyModifiers::NONE)))
        };
        keys.iter().flat_map(|key| press(self, key)).collect()
    }

    /// Two nodes and five pods in every state that has a colour, measured and all of them there.
    pub fn populated(config: Config, depth: ColorDepth) -> Self {
        let mut script = Self::new(config, depth);
        script.show("pods");
        let crashing = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        let pods = [
            running("payments", "api-7f9c8d6b5-x2x9d", "node-a", 0),
            pod("payments", "api-7f9c8d6b5-q8r4t", 10_800, "node-b", "Running", &crashing, 14),
            running("payments", "ledger-0", "node-b", 0),
            pod("batch", "report-29531", 600, "node-a", "Succeeded", &done, 0),
            pod("batch", "waiting-0", 30, "", "Pending", &json!({}), 0),
        ];
        script.feed(Pod::ID, &pods);
        script.feed(Node::ID, &[node("node-a"), node("node-b")]);
        for kind in [Pod::ID, Node::ID] {
            script.state(kind, &StreamState::Live, true);
        }
        let at = NOW / 1000 - 20;
        let used = |name: &str, cpu, memory: u64| Measurement {
            namespace: "payments".to_owned(),
            name: name.to_owned(),
            used: Amounts { cpu, memory: memory << 20 },
            at,
        };
        let measured = vec![used("api-7f9c8d6b5-x2x9d", 80, 64), used("ledger-0", 40, 250)];
        let model = &mut script.model;
        model.world.measure(Pod::ID, Reading::Part(measured));
        model.world.measure(Pod::ID, Reading::Done(MetricsState::Good { at }));
        model.server_version = Some("v1.34.1".to_owned());
        model.plan_streams();
        script
    }
}

/// A group of three spot instances, asked of AWS a few seconds ago.
fn managed(name: &str, interner: &mut Interner) -> nodegroup::Row {
    let (text, zone) = (str::to_owned, "eu-west-1a".to_owned());
    let instance = |index: usize, interner: &mut Interner| Instance {
        id: interner.text(&format!("i-{name}-{index}")),
        instance_type: text("m6i.large"),
        zone: text("eu-west-1a"),
        ending: false,
    };
    let instances = (0..3).map(|index| instance(index, interner)).collect();
    let price = TypePrice {
        list: Some((0.107, NOW / 1000 - 7_200)),
        spot: [(zone.clone(), 0.031)].into(),
        spot_at: NOW / 1000 - 240,
    };
    let place =
        Place { cluster: text("prod"), region: text("eu-west-1"), account: Some(text("123456789012")), profile: None };
    let asg =
        Asg { name: format!("eks-{name}"), min: Some(1), max: Some(10), desired: Some(3), instances, ..Asg::default() };
    nodegroup::Row {
        min: Some(1),
        max: Some(10),
        desired: Some(3),
        asg: Some(asg),
        types: vec![text("m6i.large")],
        spot: Some(true),
        status: text("ACTIVE"),
        release: nodegroup::Release { own: text("1.33.4-20260201"), newest: Some(text("1.33.4-20260215")) },
        schedules: Ok(Vec::new()),
        policies: Ok(Vec::new()),
        subnets: Ok(vec![Subnet { id: text("subnet-1"), zone, free: Some(212) }]),
        prices: std::sync::Arc::new(Prices { types: [(text("m6i.large"), price)].into(), ..Prices::default() }),
        place: Some(std::sync::Arc::new(place)),
        at: NOW / 1000 - 14,
        ..nodegroup::Row::new(interner.text(name), Make::Managed)
    }
}

fn meta(namespace: &str, name: &str, age: i64) -> Json {
    let created = jiff::Timestamp::from_millisecond(NOW - age * 1000).unwrap().to_string();
    json!({ "namespace": namespace, "name": name, "uid": format!("{namespace}-{name}"), "creationTimestamp": created })
}

fn pod(namespace: &str, name: &str, age: i64, node: &str, phase: &str, state: &Json, restarts: u32) -> Json {
    let ready = phase == "Running" && state["running"].is_object();
    let resources = json!({ "requests": { "cpu": "100m", "memory": "256Mi" } });
    let status = json!({ "name": "main", "ready": ready, "restartCount": restarts, "state": state });
    json!({
        "metadata": meta(namespace, name, age),
        "spec": { "nodeName": node, "containers": [{ "name": "main", "resources": resources }] },
        "status": { "phase": phase, "containerStatuses": [status] },
    })
}

/// A pod of three hours that is well.
pub fn running(namespace: &str, name: &str, node: &str, restarts: u32) -> Json {
    pod(namespace, name, 10_800, node, "Running", &json!({ "running": {} }), restarts)
}

/// A node of three days that is ready.
pub fn node(name: &str) -> Json {
    json!({
        "metadata": meta("", name, 86_400 * 3),
        "status": {
            "allocatable": { "cpu": "250m", "memory": "1Gi", "pods": "29" },
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": { "kubeletVersion": "v1.34.1" },
        },
    })
}
