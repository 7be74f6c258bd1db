//! Containers: the parts of pods, one row each. Rows come from pods, so each event of a pod says which of its containers
//! are there, and the decoder remembers which were.

use std::{any::Any, collections::HashMap, iter::repeat_with};

use bytes::Bytes;

use super::{
    At, Column as Generic, DecodeError, Decoder, Definition, Drill, Encoding, EventKind, Kind, meta,
    pod::{
        resources::{self, Resources},
        status,
        wire::{Container as Spec, ContainerState, ContainerStatus, Pod},
    },
    read, seconds,
    wire::{text, wire},
};
use crate::store::{
    intern::{Interner, Sym},
    table::{Change, Changes, Meta, Span, Uid},
    value::{Health, Value},
};

pub struct Container;

// What only these rows need of a pod: pods themselves are too many to read their probes.
wire! {
    pub struct ProbedPod {
        #[prost(message, tag = "2")] pub spec: Option<ProbedSpec>,
    }

    pub struct ProbedSpec {
        #[prost(message, repeated, tag = "2")] pub containers: Vec<Probes>,
        #[prost(message, repeated, tag = "20")] pub init_containers: Vec<Probes>,
    }

    pub struct Probes {
        #[prost(message, tag = "10")] pub liveness_probe: Option<Probe>,
        #[prost(message, tag = "11")] pub readiness_probe: Option<Probe>,
        #[prost(message, tag = "22")] pub startup_probe: Option<Probe>,
    }

    /// Only that it is there matters.
    pub struct Probe {}
}

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Init,
    Sidecar,
    Main,
    Ephemeral,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Init => "init",
            Role::Sidecar => "sidecar",
            Role::Main => "main",
            Role::Ephemeral => "ephemeral",
        }
    }
}

/// What is kept of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub pod: Uid,
    /// Its place in the order of starting, from 1.
    pub index: u16,
    pub role: Role,
    pub image: Sym,
    /// What the kubelet says; `None` before it has said anything.
    pub now: Option<Now>,
    /// Liveness, readiness, startup.
    pub probes: [bool; 3],
    /// As written for the container alone; 0 where nothing is.
    pub requests: Resources,
    pub limits: Resources,
    pub ports: Sym,
}

/// The state of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    pub ready: bool,
    /// As `kubectl describe`, in one line: `Running`, `Waiting: CrashLoopBackOff`, `Terminated: Error (1)`.
    pub state: Sym,
    pub health: Health,
    pub restarts: u32,
    /// How the run before this one ended; empty where there was none.
    pub last_exit: Sym,
    /// Unix seconds, 0 where there is none.
    pub last_exit_at: u32,
    pub started: u32,
}

/// A state in words. One that says nothing is waiting, as for the kubelet.
fn state(state: Option<&ContainerState>) -> String {
    let word = |word: &str, reason: &Bytes| {
        if reason.is_empty() { word.to_owned() } else { format!("{word}: {}", text(reason)) }
    };
    match state {
        Some(ContainerState { running: Some(_), .. }) => "Running".to_owned(),
        Some(ContainerState { terminated: Some(ended), .. }) => {
            let ending = format!("Terminated: {}", status::ending(ended));
            // What has no reason of its own is named after the code already.
            let code = ended.exit_code != 0 && !ended.reason.is_empty();
            if code { format!("{ending} ({})", ended.exit_code) } else { ending }
        }
        Some(ContainerState { waiting: Some(waiting), .. }) => word("Waiting", &waiting.reason),
        _ => "Waiting".to_owned(),
    }
}

fn health(role: Role, status: &ContainerStatus) -> Health {
    if let Some(ended) = status.terminated() {
        return match (ended.exit_code, role) {
            (0, _) => Health::Done,
            (_, Role::Ephemeral) => Health::Done,
            _ => Health::Bad,
        };
    }
    if status.running().is_some() {
        return match role {
            Role::Init => Health::Progressing,
            Role::Ephemeral => Health::Ok,
            Role::Main | Role::Sidecar if status.ready => Health::Ok,
            Role::Main | Role::Sidecar if status.started == Some(false) => Health::Progressing,
            Role::Main | Role::Sidecar => Health::Warn,
        };
    }
    match status.waiting().map_or(&b""[..], |waiting| &waiting.reason) {
        b"" | b"ContainerCreating" | b"PodInitializing" => Health::Progressing,
        _ => Health::Bad,
    }
}

impl Now {
    fn new(role: Role, status: &ContainerStatus, interner: &mut Interner) -> Self {
        let last = status.last_state.as_ref().filter(|last| last.terminated.is_some());
        let last_exit = last.map(|last| state(Some(last))).unwrap_or_default();
        Self {
            ready: status.ready,
            state: interner.text(&state(status.state.as_ref())),
            health: health(role, status),
            restarts: u32::try_from(status.restart_count).unwrap_or(0),
            last_exit: interner.text(last_exit.trim_start_matches("Terminated: ")),
            last_exit_at: seconds(status.last_finished()),
            started: seconds(status.running().and_then(|running| running.started_at?.unix())),
        }
    }
}

/// The containers of a pod in the order of starting, with what the kubelet says of each.
fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Spec, Option<&ContainerStatus>)> {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let init = pod.init_containers().iter().map(|container| {
        (if container.is_sidecar() { Role::Sidecar } else { Role::Init }, container)
    });
    let main = pod.containers().iter().map(|container| (Role::Main, container));
    let ephemeral = spec.map_or(&[][..], |spec| &spec.ephemeral_containers);
    let ephemeral = ephemeral.iter().filter_map(|ephemeral| Some((Role::Ephemeral, ephemeral.container.as_ref()?)));
    init.chain(main).chain(ephemeral).map(move |(role, container)| {
        let statuses = status.map_or(&[][..], |status| match role {
            Role::Init | Role::Sidecar => &status.init_container_statuses,
            Role::Main => &status.container_statuses,
            Role::Ephemeral => &status.ephemeral_container_statuses,
        });
        (role, container, statuses.iter().find(|status| status.name == container.name))
    })
}

/// `http:8080/TCP,9090/UDP`
fn ports(container: &Spec) -> String {
    let ports: Vec<String> = container
        .ports
        .iter()
        .map(|port| {
            let protocol = if port.protocol.is_empty() { "TCP".into() } else { text(&port.protocol) };
            let name = if port.name.is_empty() { String::new() } else { format!("{}:", text(&port.name)) };
            format!("{name}{}/{protocol}", port.container_port)
        })
        .collect();
    ports.join(",")
}

/// Reads pods and gives their containers.
#[derive(Default)]
struct ContainerDecoder {
    changes: Changes<Row>,
    /// The containers that were last seen of each pod.
    seen: HashMap<Uid, Vec<Uid>>,
}

impl ContainerDecoder {
    fn present(&mut self, pod: &Pod, probed: ProbedPod, interner: &mut Interner) {
        let Some(pod_meta) = &pod.metadata else { return };
        let of_pod = Meta {
            owner_kind: interner.text("Pod"),
            owner_name: interner.bytes(&pod_meta.name),
            ..meta(pod_meta, &mut String::new(), interner)
        };
        let probed = probed.spec.unwrap_or_default();
        // Ephemeral containers come last and have none.
        let probes = probed.init_containers.into_iter().chain(probed.containers).chain(repeat_with(Probes::default));
        let mut present = Vec::new();
        for (index, ((role, spec, status), probes)) in (1..).zip(containers(pod).zip(probes)) {
            let uid = Uid::hashed(&[&of_pod.uid.0, &spec.name]);
            let resources = spec.resources.as_ref();
            let probes = [probes.liveness_probe, probes.readiness_probe, probes.startup_probe];
            let row = Row {
                pod: of_pod.uid,
                index,
                role,
                image: interner.bytes(&spec.image),
                now: status.map(|status| Now::new(role, status, interner)),
                probes: probes.map(|probe| probe.is_some()),
                requests: resources.map(|resources| resources::read(&resources.requests)).unwrap_or_default(),
                limits: resources.map(|resources| resources::read(&resources.limits)).unwrap_or_default(),
                ports: interner.text(&ports(spec)),
            };
            let name = Span::push(&mut self.changes.names, &text(&spec.name));
            self.changes.changes.push(Change::Upsert(Meta { uid, name, ..of_pod }, row));
            present.push(uid);
        }
        let before = self.seen.insert(of_pod.uid, present).unwrap_or_default();
        let present = &self.seen[&of_pod.uid];
        let gone = before.into_iter().filter(|uid| !present.contains(uid));
        self.changes.changes.extend(gone.map(Change::Remove));
    }
}

impl Decoder for ContainerDecoder {
    fn object(
        &mut self,
        event: EventKind,
        encoding: Encoding,
        object: Bytes,
        interner: &mut Interner,
    ) -> Result<Bytes, DecodeError> {
        let pod: Pod = read(encoding, object.clone())?;
        let Some(pod_meta) = pod.metadata.as_ref().filter(|meta| !meta.name.is_empty()) else {
            return Err(DecodeError("a pod without a name".to_owned()));
        };
        match event {
            EventKind::Present => self.present(&pod, read(encoding, object)?, interner),
            EventKind::Deleted => {
                let gone = self.seen.remove(&super::uid(pod_meta)).unwrap_or_default();
                self.changes.changes.extend(gone.into_iter().map(Change::Remove));
            }
        }
        Ok(pod_meta.resource_version.clone())
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        let changes = std::mem::take(&mut self.changes);
        (changes.changes.len(), Box::new(changes))
    }

    fn pending(&self) -> usize {
        self.changes.changes.len()
    }
}

type Column = Generic<Row>;

/// What was not asked for is not 0.
fn cpu(milli: u64) -> Value<'static> {
    if milli == 0 { Value::Unknown } else { Value::Cpu(milli) }
}

fn memory(bytes: u64) -> Value<'static> {
    if bytes == 0 { Value::Unknown } else { Value::Memory(bytes) }
}

impl Row {
    fn now<'a>(&'a self, value: impl FnOnce(&'a Now) -> Value<'a>) -> Value<'a> {
        self.now.as_ref().map_or(Value::Unknown, value)
    }
}

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::text("pod", "Pod that it is part of", |_, at| at.plain(at.meta.owner_name)).rank(7),
    Column::number("idx", "Place in the order of starting", |row, _| Value::Int(row.index.into())).rank(6),
    Column::NAME,
    Column::text("kind", "init, sidecar, main or ephemeral", |row, _| Value::text(row.role.word())).rank(3),
    Column::text("image", "Image", |row, at| at.plain(row.image)).rank(4),
    Column::text("ready", "Whether it is ready", |row, _| row.now(|now| Value::Bool(now.ready))).rank(1),
    Column::text("state", "What it does, or why not", |row, at| row.now(|now| at.plain(now.state))).rank(0),
    Column::number("restarts", "How often it was started again", |row, _| {
        row.now(|now| Value::Int(now.restarts.into()))
    })
    .total()
    .rank(1),
    Column::text("last-exit", "How the run before ended", |row, at| row.now(|now| at.symbol(now.last_exit))).rank(3),
    Column::number("last-exit-age", "Time since the run before ended", |row, _| {
        row.now(|now| At::since(now.last_exit_at))
    })
    .wide(),
    Column::text("probes", "Liveness:readiness:startup probe", |row, _| {
        let [liveness, readiness, startup] = row.probes.map(|probe| if probe { "on" } else { "off" });
        Value::Text(format!("{liveness}:{readiness}:{startup}").into())
    })
    .rank(6),
    Column::number("cpu-req", "CPU requested", |row, _| cpu(row.requests.cpu_milli)).total().rank(4),
    Column::number("cpu-lim", "CPU limit", |row, _| cpu(row.limits.cpu_milli)).total().rank(5),
    Column::number("mem-req", "Memory requested", |row, _| memory(row.requests.memory_bytes)).total().rank(4),
    Column::number("mem-lim", "Memory limit", |row, _| memory(row.limits.memory_bytes)).total().rank(5),
    Column::text("ports", "Ports that it names", |row, at| at.symbol(row.ports)).rank(5),
    Column::number("age", "Time since it was started", |row, _| row.now(|now| At::since(now.started))).rank(2),
];

impl Kind for Container {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "containers",
        kind: "Container",
        group: "",
        version: "v1",
        namespaced: true,
        aliases: &["container"],
        sort: Some(("idx", false)),
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.now.as_ref().map_or(Health::Progressing, |now| now.health)
    }

    fn drill(_row: &Row, _at: &At<'_>) -> Option<Drill> {
        None
    }

    fn parent(row: &Row) -> Option<Uid> {
        Some(row.pod)
    }

    fn decoder() -> Box<dyn Decoder> {
        Box::new(ContainerDecoder::default())
    }
}
