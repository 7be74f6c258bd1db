//! A pod of the simulated cluster: a few numbers, and the template of its workload and state.

use std::sync::Arc;

use super::node::Machine;
use super::workload::{Templates, Workload};
use crate::sim::encoding::template::{Fill, Filling, Hole, Short};
use crate::sim::object::Template;
use crate::sim::random::{Random, low};

/// What a pod is doing, in as many flavours as `kubectl get pods` has words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    /// Runs again after its container failed.
    Restarted,
    /// Runs again after its container was killed for its memory.
    OomRestarted,
    NotReady,
    CrashLoop,
    OomLoop,
    ImagePull,
    ConfigError,
    Creating,
    /// The first init container runs.
    Initializing,
    InitCrash,
    /// No node fits.
    Pending,
    Gated,
    Succeeded,
    Failed,
    Evicted,
    Terminating,
    /// Its node does not answer.
    NodeLost,
}

impl State {
    pub fn phase(self) -> &'static str {
        match self {
            Self::ImagePull
            | Self::ConfigError
            | Self::Creating
            | Self::Initializing
            | Self::InitCrash
            | Self::Pending
            | Self::Gated => "Pending",
            Self::Succeeded => "Succeeded",
            Self::Failed | Self::Evicted => "Failed",
            _ => "Running",
        }
    }

    pub fn is_ready(self) -> bool {
        matches!(self, Self::Running | Self::Restarted | Self::OomRestarted)
    }

    pub fn has_node(self) -> bool {
        !matches!(self, Self::Pending | Self::Gated)
    }

    pub fn is_deleted(self) -> bool {
        matches!(self, Self::Terminating | Self::NodeLost)
    }

    /// Its sandbox is up: the pod has an address.
    pub fn has_address(self) -> bool {
        self.has_node() && !matches!(self, Self::Creating | Self::Evicted)
    }

    pub fn is_initialized(self) -> bool {
        self.has_node() && !matches!(self, Self::Initializing | Self::InitCrash)
    }
}

#[derive(Debug, Clone)]
pub struct Pod {
    pub workload: Arc<Workload>,
    pub template: Arc<Template>,
    pub state: State,
    pub node: Option<Arc<Machine>>,
    pub uid: u128,
    pub ip: u32,
    /// Seconds since 1970.
    pub created: i64,
    /// When the state began.
    pub changed: i64,
    pub restarts: u32,
    pub ordinal: u32,
}

impl Pod {
    pub fn node_name(&self) -> &str {
        self.node.as_ref().map_or("", |node| &node.name)
    }

    /// The same pod in another state.
    pub fn turn(&self, state: State, templates: &mut Templates, now: i64) -> Self {
        let mut pod = self.clone();
        pod.template = templates.of(&self.workload, state);
        pod.state = state;
        pod.changed = now;
        pod
    }
}

impl Fill for Pod {
    fn fill(&self, hole: Hole) -> Filling<'_> {
        let id = |at: u64| {
            let mut random = Random::new(low(self.uid).wrapping_add(at));
            Filling::Short(Short::hex(&[random.next(), random.next(), random.next(), random.next()]))
        };
        match hole {
            Hole::Uid | Hole::Machine | Hole::SystemUuid => Filling::Short(Short::uuid(self.uid)),
            Hole::Created => Filling::Time(self.created),
            Hole::Changed | Hole::Heartbeat | Hole::TryStarted => Filling::Time(self.changed),
            // Thirty seconds of grace.
            Hole::Deleted => Filling::Time(self.changed + 30),
            Hole::Started => Filling::Time(self.changed.min(self.created + 4 + i64::from(self.ip % 7))),
            Hole::TryFinished => Filling::Time(self.changed - 14),
            Hole::LastStarted => Filling::Time(self.changed - 15 - i64::from(self.ip % 600)),
            Hole::Restarts => Filling::Number(self.restarts.into()),
            Hole::Ordinal => Filling::Short(Short::new(format_args!("{}", self.ordinal))),
            Hole::Node => Filling::Text(self.node_name()),
            Hole::HostIp => address(self.node.as_ref().map_or(0, |node| node.ip)),
            Hole::Ip if self.workload.host_network => address(self.node.as_ref().map_or(0, |node| node.ip)),
            Hole::Ip => address(self.ip),
            Hole::Suffix => {
                const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
                let mut random = Random::of(self.uid);
                let mut letters = [0_u8; 5];
                letters.fill_with(|| ALPHABET[random.index(27)]);
                Filling::Short(Short::new(format_args!("{}", String::from_utf8_lossy(&letters))))
            }
            Hole::Container(at) => id(u64::from(at) * 1000 + u64::from(self.restarts)),
            Hole::LastContainer(at) => id(u64::from(at) * 1000 + u64::from(self.restarts) + 999),
            Hole::Name | Hole::Version | Hole::Instance => Filling::Text(""),
        }
    }
}

fn address(ip: u32) -> Filling<'static> {
    Filling::Short(Short::address(ip))
}
