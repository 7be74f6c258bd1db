//! What a pod is doing, in kubectl's words: the STATUS, READY and RESTARTS columns of `kubectl get pods`.
//!
//! A port of `printPod` in `k8s.io/kubernetes/pkg/printers/internalversion/printers.go`, v1.36.3. Where it looks odd
//! (the first container that has something to say wins, a sidecar counts from its start), so does kubectl.

use std::borrow::Cow;

use super::wire::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};
use crate::{kinds::wire::text, store::value::Health};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState<'a> {
    /// Empty while the server has set no phase.
    pub status: Cow<'a, str>,
    pub ready: u32,
    /// Containers and sidecars.
    pub total: u32,
    pub restarts: u32,
    /// When the last of these restarts was, Unix seconds.
    pub last_restart: Option<i64>,
    pub health: Health,
}

/// Allocates only for a status that has to be put together, such as `Init:0/1` or `ExitCode:3`.
pub fn of(pod: &Pod) -> PodState<'_> {
    let Some(status) = &pod.status else {
        let total = count(pod.containers().len());
        let (status, health) = (Cow::Borrowed(""), Health::Unknown);
        return PodState { status, ready: 0, total, restarts: 0, last_restart: None, health };
    };
    let mut reason = text(if status.reason.is_empty() { &status.phase } else { &status.reason });
    if status.conditions.iter().any(|it| it.r#type == "PodScheduled" && it.reason == "SchedulingGated") {
        reason = "SchedulingGated".into();
    }

    let init_containers = pod.init_containers();
    let sidecars = init_containers.iter().filter(|container| container.is_sidecar()).count();
    let mut ready = 0;
    let mut restarts = Restarts::default();
    let mut sidecar_restarts = Restarts::default();
    let mut initializing = false;
    for (index, container) in status.init_container_statuses.iter().enumerate() {
        let is_sidecar = init_containers.iter().any(|it| it.name == container.name && it.is_sidecar());
        restarts.add(container);
        if is_sidecar {
            sidecar_restarts.add(container);
        }
        match (container.terminated(), container.waiting()) {
            (Some(terminated), _) if terminated.exit_code == 0 => continue,
            _ if is_sidecar && container.started == Some(true) => {
                ready += u32::from(container.ready);
                continue;
            }
            (Some(terminated), _) => reason = format!("Init:{}", ending(terminated)).into(),
            (None, Some(waiting)) if !matches!(waiting.reason.as_ref(), b"" | b"PodInitializing") => {
                reason = format!("Init:{}", text(&waiting.reason)).into();
            }
            _ => reason = format!("Init:{index}/{}", init_containers.len()).into(),
        }
        initializing = true;
        break;
    }

    let initialized = pod.condition("Initialized").is_some_and(PodCondition::is_true);
    if !initializing || initialized {
        restarts = sidecar_restarts;
        let mut has_running = false;
        let mut failure = None;
        for container in status.container_statuses.iter().rev() {
            restarts.add(container);
            match (container.waiting(), container.terminated()) {
                (Some(waiting), _) if !waiting.reason.is_empty() => reason = text(&waiting.reason),
                (_, Some(terminated)) => {
                    reason = ending(terminated);
                    if terminated.exit_code != 0 {
                        failure = Some(reason.clone());
                    }
                }
                _ if container.ready && container.running().is_some() => {
                    has_running = true;
                    ready += 1;
                }
                _ => {}
            }
        }
        // A pod that still has something running is not completed.
        if reason == "Completed" {
            if has_running && status.conditions.iter().any(|it| it.r#type == "Ready" && it.is_true()) {
                reason = "Running".into();
            } else if let Some(failure) = failure {
                reason = failure;
            } else if has_running {
                reason = "NotReady".into();
            }
        }
    }

    if pod.metadata.as_ref().is_some_and(|meta| meta.deleted().is_some()) {
        if status.reason == "NodeLost" {
            reason = "Unknown".into();
        } else if !pod.is_finished() {
            reason = "Terminating".into();
        }
    }

    let total = count(pod.containers().len() + sidecars);
    PodState {
        health: health(pod, &reason, ready == total),
        status: reason,
        ready,
        total,
        restarts: restarts.count,
        last_restart: restarts.last.filter(|_| restarts.count > 0),
    }
}

/// How many of the readiness gates are open, and how many there are; `None` without gates.
pub fn readiness_gates(pod: &Pod) -> Option<(u32, u32)> {
    let gates = &pod.spec.as_ref()?.readiness_gates;
    let is_open = |name: &str| pod.condition(name).is_some_and(PodCondition::is_true);
    let open = gates.iter().filter(|gate| is_open(&text(&gate.condition_type))).count();
    (!gates.is_empty()).then(|| (count(open), count(gates.len())))
}

#[derive(Default)]
struct Restarts {
    count: u32,
    last: Option<i64>,
}

impl Restarts {
    fn add(&mut self, container: &ContainerStatus) {
        self.count += u32::try_from(container.restart_count).unwrap_or(0);
        self.last = self.last.max(container.last_finished());
    }
}

/// How a run ended, in a word.
pub fn ending(terminated: &ContainerStateTerminated) -> Cow<'_, str> {
    if !terminated.reason.is_empty() {
        text(&terminated.reason)
    } else if terminated.signal != 0 {
        format!("Signal:{}", terminated.signal).into()
    } else {
        format!("ExitCode:{}", terminated.exit_code).into()
    }
}

/// From what the pod says, not from the time: a row is made when the pod changes, and nothing would change it later.
fn health(pod: &Pod, status: &str, all_ready: bool) -> Health {
    match status {
        "Running" => {
            let statuses = pod.status.as_ref().map_or(&[][..], |status| &status.container_statuses);
            let gate_closed = pod.condition("Ready").is_some_and(|condition| !condition.is_true());
            if all_ready && !gate_closed {
                Health::Ok
            } else if statuses.iter().any(|container| container.started == Some(false)) {
                Health::Progressing
            } else {
                Health::Warn
            }
        }
        _ if pod.phase() == b"Succeeded" => Health::Done,
        "" => Health::Unknown,
        "Pending" => {
            let refused = pod.condition("PodScheduled").is_some_and(|it| it.reason == "Unschedulable");
            if refused { Health::Warn } else { Health::Progressing }
        }
        "NotReady" => Health::Warn,
        "Completed" | "ContainerCreating" | "PodInitializing" | "SchedulingGated" | "Terminating" => {
            Health::Progressing
        }
        _ => match status.strip_prefix("Init:") {
            Some(progress) if progress.starts_with(|first: char| first.is_ascii_digit()) => Health::Progressing,
            _ => Health::Bad,
        },
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use prost::Message;

    use super::*;
    use crate::util::age;

    /// Pods with what kubectl prints: the table of `TestPrintPod`, `…WithRestartableInitContainer` and `…wide`, then odd
    /// cases put through the same `printPod`. As of 2026-01-01. `protobuf` is what Go writes for the same pod.
    const CASES: &str = include_str!("fixtures/status.jsonl");
    const NOW: i64 = 1_767_225_600;

    #[derive(serde::Deserialize)]
    struct Case {
        expect: Vec<String>,
        pod: Pod,
        protobuf: String,
    }

    fn cases() -> Vec<Case> {
        CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn cells(pod: &Pod) -> [String; 3] {
        let state = of(pod);
        let restarts = match state.last_restart {
            Some(last) => format!("{} ({} ago)", state.restarts, age::human(NOW - last)),
            None => state.restarts.to_string(),
        };
        [format!("{}/{}", state.ready, state.total), state.status.into_owned(), restarts]
    }

    #[test]
    fn cells_are_kubectls_in_both_formats() {
        let cases = cases();
        assert_eq!(cases.len(), 60);
        for Case { expect, pod, protobuf } in &cases {
            assert_eq!(cells(pod), expect[1..4], "{}: JSON", expect[0]);
            let bytes = base64::prelude::BASE64_STANDARD.decode(protobuf).unwrap();
            assert_eq!(cells(&Pod::decode(bytes.as_slice()).unwrap()), expect[1..4], "{}: Go's protobuf", expect[0]);
            assert_eq!(&Pod::decode(pod.encode_to_vec().as_slice()).unwrap(), pod, "{}: protobuf", expect[0]);
        }
    }

    #[test]
    fn wide_cells_are_kubectls() {
        let or_none = |text: Cow<'_, str>| if text.is_empty() { "<none>".to_owned() } else { text.into_owned() };
        for Case { expect, pod, .. } in cases().iter().filter(|case| case.expect.len() > 5) {
            let (spec, status) = (pod.spec.as_ref().unwrap(), pod.status.as_ref().unwrap());
            let ip = status.pod_ips.first().map_or(Cow::Borrowed(""), |ip| text(&ip.ip));
            let gates = readiness_gates(pod).map_or("<none>".to_owned(), |(open, all)| format!("{open}/{all}"));
            let wide = [or_none(ip), or_none(text(&spec.node_name)), or_none(text(&status.nominated_node_name)), gates];
            assert_eq!(wide, expect[5..9], "{}", expect[0]);
        }
    }

    #[test]
    fn faults_are_what_needs_a_person() {
        let health = |name: &str| {
            let case = cases().into_iter().find(|case| case.expect[0] == name).unwrap();
            of(&case.pod).health
        };
        for (name, expected) in [
            ("crash-loop", Health::Bad),
            ("evicted", Health::Bad),
            ("unreachable", Health::Bad),
            ("terminating", Health::Progressing),
            ("succeeded-and-deleted", Health::Done),
            ("signal", Health::Bad),
            ("oom", Health::Bad),
            ("init-exit", Health::Bad),
            ("init-backoff", Health::Bad),
            ("initializing", Health::Progressing),
            ("sidecar-starting", Health::Progressing),
            ("sidecar-not-ready", Health::Warn),
            ("sidecar-job-done", Health::Done),
            ("pending", Health::Warn),
            ("creating", Health::Progressing),
            ("gate-closed", Health::Warn),
            ("startup-probe", Health::Progressing),
            ("probe-failing", Health::Warn),
            ("image", Health::Bad),
            ("unknown-phase", Health::Bad),
            ("nothing-yet", Health::Unknown),
            ("test12", Health::Ok),
            ("test15", Health::Progressing),
        ] {
            assert_eq!(health(name), expected, "{name}");
        }
    }

    #[test]
    fn a_usual_status_allocates_nothing() {
        for Case { expect, pod, .. } in cases() {
            let borrows = matches!(of(&pod).status, Cow::Borrowed(_));
            let composed = expect[2].contains(':');
            assert_eq!(borrows, !composed, "{}", expect[2]);
        }
    }
}
