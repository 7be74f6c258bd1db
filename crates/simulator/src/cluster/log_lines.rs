//! What containers write to their logs: made when it is read, always the same for the same second.
//!
//! Pure: a line follows from the container, the pod's uid and the second.

use serde_json::json;

use super::pod::{Pod, State};
use super::workload::Container;
use crate::encoding::template::rfc3339;
use crate::random::{Random, low};

/// A kubelet keeps about this much of the past of a container that has run for long, in seconds.
const KEPT_S: i64 = 6 * 3600;

/// A container's log: which seconds have a line, and what it says.
#[derive(Debug, Clone)]
pub struct Log {
    seed: u64,
    service: String,
    image: String,
    /// The first second that is kept, and the one when it ended, if it did.
    pub start: i64,
    pub end: Option<i64>,
    /// What it says when it fails at its end.
    last_words: Vec<String>,
    /// Lines in 1,000 seconds.
    rate: u64,
}

impl Log {
    /// The log of a container of a pod: of the current try, or of the one before.
    pub fn of(pod: &Pod, place: usize, container: &Container, previous: bool, now: i64) -> Self {
        let seed = low(pod.uid).wrapping_add(place as u64 * 7919);
        let out_of_memory = matches!(pod.state, State::OomLoop | State::OomStarting | State::OomRestarted);
        let waits = matches!(pod.state, State::CrashLoop | State::OomLoop | State::Failed | State::Succeeded);
        let tried = pod.restarts > 0 && place == 0;
        let start = if tried { pod.changed - 15 } else { pod.created + 4 };
        let (start, end) = match (previous, waits) {
            (true, _) => (pod.changed - 30 - i64::from(pod.ip % 600), Some(pod.changed - 14)),
            (false, true) => (start, Some(pod.changed)),
            (false, false) if tried => (pod.changed, None),
            (false, false) => (start, None),
        };
        let fails = end.is_some() && pod.state != State::Succeeded && !out_of_memory;
        Self {
            seed,
            service: format!("{}/{}", pod.workload.namespace, container.name),
            image: container.image.clone(),
            start: start.max(now - KEPT_S),
            end,
            last_words: if fails { last_words(seed) } else { Vec::new() },
            rate: 150 + seed % 700,
        }
    }

    fn has_line(&self, second: i64) -> bool {
        second == self.start
            || Some(second) == self.end
            || Random::new(self.seed ^ second.unsigned_abs()).below(1000) < self.rate
    }

    /// The lines of one second, each with its time.
    fn lines(&self, second: i64) -> Vec<String> {
        let mut random = Random::new(self.seed.rotate_left(7) ^ second.unsigned_abs());
        if Some(second) == self.end && !self.last_words.is_empty() {
            return self.last_words.clone();
        }
        vec![text(&self.image, &self.service, second, second == self.start, &mut random)]
    }

    /// The seconds from `from` to `to` that have lines, the last first.
    fn backwards(&self, from: i64, to: i64) -> impl Iterator<Item = i64> + '_ {
        let last = self.end.map_or(to, |end| end.min(to));
        (from.max(self.start)..=last).rev().filter(|second| self.has_line(*second))
    }

    /// What was written from `from` to `to`, at most the last `tail` lines; with `stamps`, each line begins with its time.
    pub fn read(&self, from: i64, to: i64, tail: usize, stamps: bool) -> String {
        let mut lines = Vec::new();
        for second in self.backwards(from, to) {
            for line in self.lines(second).into_iter().rev() {
                if lines.len() >= tail {
                    break;
                }
                lines.push(if stamps { format!("{} {line}\n", nanos(second)) } else { format!("{line}\n") });
            }
            if lines.len() >= tail {
                break;
            }
        }
        lines.reverse();
        lines.concat()
    }
}

fn nanos(second: i64) -> String {
    rfc3339(second).replace('Z', &format!(".{:09}Z", second.unsigned_abs() * 7_919_003 % 1_000_000_000))
}

fn last_words(seed: u64) -> Vec<String> {
    let words: &[&str] = match seed % 3 {
        0 => &[
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x7d1c2e]",
            "",
            "goroutine 1 [running]:",
            "main.(*Config).Validate(0x0)",
            "\t/src/cmd/server/config.go:84 +0x2e",
            "main.main()",
            "\t/src/cmd/server/main.go:41 +0x1b5",
            "exit status 2",
        ],
        1 => &[
            "Exception in thread \"main\" java.lang.IllegalStateException: no database migration lock after 30s",
            "\tat com.example.migrate.Lock.acquire(Lock.java:57)",
            "\tat com.example.Application.main(Application.java:23)",
            "Caused by: java.net.ConnectException: Connection refused",
            "\t... 2 more",
        ],
        _ => &[
            "Error: missing required environment variable: PAYMENT_PROVIDER_KEY",
            "    at requireEnv (/app/dist/config.js:12:11)",
            "    at Object.<anonymous> (/app/dist/index.js:4:18)",
        ],
    };
    words.iter().map(|line| (*line).to_owned()).collect()
}

/// One line in the manner of what runs in the image.
fn text(image: &str, service: &str, second: i64, first: bool, random: &mut Random) -> String {
    let (ms, status) = (random.between(1, 480), *random.pick(&[200, 200, 200, 200, 201, 204, 304, 404, 500]));
    let path = *random.pick(&["/v1/orders", "/v1/items/4711", "/v2/search?q=shoes", "/healthz", "/ready", "/v1/cart"]);
    if image.contains("postgres") {
        let backend = random.between(60, 900);
        let said = *random.pick(&[
            "checkpoint starting: time",
            "checkpoint complete: wrote 142 buffers (0.9%)",
            "connection authorized: user=app database=app",
            "automatic vacuum of table \"app.public.orders\": index scans: 1",
        ]);
        let time = rfc3339(second).replace('T', " ").replace('Z', ".104 UTC");
        return format!("{time} [{backend}] LOG:  {said}");
    }
    if image.contains("nginx") || image.contains("envoy") || image.contains("traefik") {
        let client = random.between(2, 250);
        return format!(
            "100.64.3.{client} - - [{}] \"GET {path} HTTP/1.1\" {status} {} \"-\" \"kube-probe/1.34\" {ms}ms",
            rfc3339(second),
            random.between(80, 90_000)
        );
    }
    if image.contains("cluster-autoscaler") || image.contains("kube-proxy") || image.contains("karpenter") {
        let clock = &rfc3339(second)[11..19];
        return format!(
            "I{} {clock}.{ms:06}       1 static_autoscaler.go:{}] No unschedulable pods",
            &rfc3339(second)[5..10].replace('-', ""),
            random.between(300, 620)
        );
    }
    let level = match status {
        500 => "error",
        404 => "warn",
        _ => "info",
    };
    let said = if first { "listening on :8080" } else { "request" };
    let mut line = json!({ "time": rfc3339(second), "level": level, "service": service, "msg": said });
    if !first {
        line["path"] = path.into();
        line["status"] = status.into();
        line["duration_ms"] = ms.into();
        line["trace_id"] = random.hex(16).into();
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::seed::{Cluster, Size};

    const NOW: i64 = 1_772_323_200;

    fn pod(state: State, restarts: u32) -> Pod {
        let cluster = Cluster::new(Size { site: &crate::cluster::site::DEMO, nodes: 3, pods: 40, seed: 1, now: NOW });
        let base = cluster.pods.into_iter().find(|(_, pod)| pod.state == State::Running).unwrap().1;
        Pod { state, created: NOW - 9000, changed: NOW - 400, restarts, ..base }
    }

    fn log(state: State, restarts: u32, previous: bool) -> Log {
        let pod = pod(state, restarts);
        Log::of(&pod, 0, &pod.workload.containers[0], previous, NOW)
    }

    #[test]
    fn what_is_read_in_pieces_is_what_is_read_at_once() {
        let log = log(State::Running, 0, false);
        let whole = log.read(NOW - 1000, NOW, usize::MAX, true);
        let pieces: String = (NOW - 1000..=NOW).map(|second| log.read(second, second, usize::MAX, true)).collect();
        assert_eq!(whole, pieces);
        let tail = log.read(NOW - 1000, NOW, 5, true);
        assert_eq!(tail.lines().count(), 5);
        assert!(whole.ends_with(&tail));
        assert!(whole.lines().is_sorted());
    }

    #[test]
    fn a_crash_has_last_words_and_a_restart_leaves_them_to_the_try_before() {
        let crashed = log(State::CrashLoop, 3, false).read(0, NOW, usize::MAX, false);
        assert!(!crashed.trim_end().ends_with('}'), "{crashed}");
        let before = log(State::Restarted, 3, true);
        assert!(before.end.is_some() && !before.last_words.is_empty());
        assert!(log(State::Restarted, 3, false).start >= before.end.unwrap());
        assert_eq!(log(State::Succeeded, 0, false).last_words, Vec::<String>::new());
    }
}
