//! A pod of the simulated cluster: a few numbers, and the template of its workload and state.

use std::sync::Arc;

use super::kubelet;
use super::node::Machine;
use super::workload::{Templates, Workload};
use crate::encoding::template::{Fill, Filling, Hole, Short};
use crate::object::Template;
use crate::random::{Random, low};

/// What a pod is doing, in as many flavours as `kubectl get pods` has words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    /// Runs again after its container failed.
    Restarted,
    /// Runs again after its container was killed for its memory.
    OomRestarted,
    NotReady,
    /// Runs again after its container failed, or was killed for its memory, and is not ready yet.
    Starting,
    OomStarting,
    CrashLoop,
    OomLoop,
    ImagePull,
    ConfigError,
    Creating,
    /// The first init container runs.
    Initializing,
    InitCrash,
    /// The scheduler has not looked at it yet.
    New,
    /// No node fits.
    Pending,
    Gated,
    Succeeded,
    Failed,
    Evicted,
    Terminating,
    /// Its node does not answer.
    Silent,
    /// Its node did not answer for so long that it was deleted.
    NodeLost,
}

/// What becomes of a pod once it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    #[default]
    Fine,
    /// Its container fails after so many seconds, time and again.
    Crash(u32),
    /// Its container takes too much memory after so many seconds, time and again.
    OutOfMemory(u32),
    /// It never gets ready.
    NeverReady,
    /// The registry does not have its image.
    NoImage,
    /// A secret that it refers to does not exist.
    NoSecret,
    /// Its first init container fails.
    InitCrash,
    /// Ends after so many seconds, as a job does.
    Succeed(u32),
    Fail(u32),
}

/// What only the pods have with which something is going on.
#[derive(Debug, Clone, Default)]
pub struct Going {
    /// Counts the turns: what was due for an earlier one is no longer.
    pub turn: u32,
    pub fate: Fate,
    /// Why no node takes it.
    pub message: Option<Arc<str>>,
    /// Seconds that it has left to end, once it is deleted.
    pub grace: u32,
}

impl State {
    pub fn phase(self) -> &'static str {
        match self {
            Self::ImagePull
            | Self::ConfigError
            | Self::Creating
            | Self::Initializing
            | Self::InitCrash
            | Self::New
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
        !matches!(self, Self::New | Self::Pending | Self::Gated)
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
    pub going: Option<Box<Going>>,
}

/// What the API gives a pod that does not say how long it takes to end.
pub const GRACE_S: u32 = 30;

impl Pod {
    /// The address of its sandbox.
    pub fn address(&self) -> String {
        let ip = if self.workload.host_network { self.node.as_ref().map_or(0, |node| node.ip) } else { self.ip };
        Short::address(ip).as_str().to_owned()
    }

    pub fn node_name(&self) -> &str {
        self.node.as_ref().map_or("", |node| &node.name)
    }

    pub fn going(&self) -> Going {
        self.going.as_deref().cloned().unwrap_or(Going { grace: GRACE_S, ..Going::default() })
    }

    pub fn fate(&self) -> Fate {
        self.going.as_ref().map_or(Fate::Fine, |going| going.fate)
    }

    /// The number of the turn that it is in.
    pub fn turn_number(&self) -> u32 {
        self.going.as_ref().map_or(0, |going| going.turn)
    }

    /// Notes something about it, in place.
    pub fn note(&mut self, note: impl FnOnce(&mut Going)) {
        let mut going = self.going();
        note(&mut going);
        self.going = Some(Box::new(going));
    }

    /// Seconds that it has left to end, once it is deleted.
    pub fn grace(&self) -> u32 {
        self.going.as_ref().map_or(GRACE_S, |going| going.grace)
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
            Hole::Deleted => Filling::Time(self.changed + i64::from(self.grace())),
            Hole::Grace => Filling::Number(self.grace().into()),
            Hole::Message => {
                Filling::Text(self.going.as_ref().and_then(|going| going.message.as_deref()).unwrap_or_default())
            }
            Hole::BackOff => Filling::Short(kubelet::shown(kubelet::back_off_s(self.restarts))),
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
            Hole::Name | Hole::Version | Hole::Instance | Hole::Claim | Hole::ClaimUid => Filling::Text(""),
        }
    }
}

fn address(ip: u32) -> Filling<'static> {
    Filling::Short(Short::address(ip))
}
