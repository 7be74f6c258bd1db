//! A model for tests: a cluster whose rows, streams and clock the test writes.

use serde_json::{Value as Json, json};

use super::model::Model;
use crate::{
    command,
    config::{
        keymap::{KeyMap, KeySettings},
        settings::Config,
        state::State,
    },
    kinds::{self, Encoding, EventKind, HasId, KindId, node::Node, pod::Pod},
    sources::kube::session::{Facts, SignIn},
    store::{
        intern::Interner,
        lens::Scope,
        stream::{StreamId, StreamState},
        table::Covers,
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

fn node(name: &str) -> Json {
    json!({
        "metadata": meta("", name, 86_400 * 3),
        "status": {
            "allocatable": { "cpu": "250m", "memory": "1Gi", "pods": "29" },
            "conditions": [{ "type": "Ready", "status": "True" }],
            "nodeInfo": { "kubeletVersion": "v1.34.1" },
        },
    })
}
