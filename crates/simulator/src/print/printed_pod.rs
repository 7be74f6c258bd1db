//! A pod's row: `printPod` of `pkg/printers/internalversion/printers.go`, Kubernetes 1.36.

use serde_json::Value;

use super::printers::{or_none, string};
use super::table::{Column, since};

/// What the row says about the containers.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i64,
    /// RFC 3339, which sorts by time; empty: never.
    last_restart: String,
}

type Make = fn(&str, fn(&Value, i64) -> Value) -> Column;

pub fn columns(text: Make, wide: Make) -> (Vec<Column>, Vec<Column>) {
    let restarts = |pod: &Value, now: i64| {
        let Summary { restarts, last_restart, .. } = summary(pod);
        if restarts > 0 && !last_restart.is_empty() {
            format!("{restarts} ({} ago)", since(&last_restart, now)).into()
        } else {
            restarts.to_string().into()
        }
    };
    let ready = |pod: &Value, _: i64| {
        let Summary { ready, total, .. } = summary(pod);
        format!("{ready}/{total}").into()
    };
    (
        vec![text("Ready", ready), text("Status", |pod, _| summary(pod).reason.into()), text("Restarts", restarts)],
        vec![
            wide("IP", |pod, _| or_none(&pod["status"]["podIPs"][0]["ip"])),
            wide("Node", |pod, _| or_none(&pod["spec"]["nodeName"])),
            wide("Nominated Node", |pod, _| or_none(&pod["status"]["nominatedNodeName"])),
            wide("Readiness Gates", |_, _| "<none>".into()),
        ],
    )
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn restarts(status: &Value, count: &mut i64, last: &mut String) {
    *count += status["restartCount"].as_i64().unwrap_or(0);
    let finished = string(&status["lastState"]["terminated"]["finishedAt"]);
    if finished > last.as_str() {
        finished.clone_into(last);
    }
}

/// How a container ended, in one word.
fn ending(terminated: &Value) -> String {
    match (string(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_true(pod: &Value, condition: &str) -> bool {
    let conditions = elements(&pod["status"]["conditions"]);
    conditions.iter().any(|one| one["type"] == condition && one["status"] == "True")
}

fn summary(pod: &Value) -> Summary {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let reason = if status["reason"].is_null() { &status["phase"] } else { &status["reason"] };
    let mut reason = string(reason).to_owned();
    let gated = |one: &Value| one["type"] == "PodScheduled" && one["reason"] == "SchedulingGated";
    if elements(&status["conditions"]).iter().any(gated) {
        "SchedulingGated".clone_into(&mut reason);
    }
    let inits = elements(&spec["initContainers"]);
    let is_sidecar = |name: &Value| inits.iter().any(|init| init["name"] == *name && init["restartPolicy"] == "Always");
    let sidecars = inits.iter().filter(|init| is_sidecar(&init["name"])).count();
    let mut summary = Summary {
        ready: 0,
        total: elements(&spec["containers"]).len() + sidecars,
        reason: String::new(),
        restarts: 0,
        last_restart: String::new(),
    };
    let (mut sidecar_restarts, mut sidecar_last) = (0, String::new());
    let mut initializing = false;
    for (at, init) in elements(&status["initContainerStatuses"]).iter().enumerate() {
        restarts(init, &mut summary.restarts, &mut summary.last_restart);
        let sidecar = is_sidecar(&init["name"]);
        if sidecar {
            restarts(init, &mut sidecar_restarts, &mut sidecar_last);
        }
        let (terminated, waiting) = (&init["state"]["terminated"], string(&init["state"]["waiting"]["reason"]));
        if terminated["exitCode"] == 0 {
            continue;
        }
        if sidecar && init["started"] == true {
            summary.ready += usize::from(init["ready"] == true);
            continue;
        }
        reason = if !terminated.is_null() {
            format!("Init:{}", ending(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{at}/{}", inits.len())
        };
        initializing = true;
        break;
    }
    if !initializing || is_true(pod, "Initialized") {
        (summary.restarts, summary.last_restart) = (sidecar_restarts, sidecar_last);
        let (mut running, mut error) = (false, String::new());
        for container in elements(&status["containerStatuses"]).iter().rev() {
            restarts(container, &mut summary.restarts, &mut summary.last_restart);
            let state = &container["state"];
            let waiting = string(&state["waiting"]["reason"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut reason);
            } else if !state["terminated"].is_null() {
                reason = ending(&state["terminated"]);
                if state["terminated"]["exitCode"] != 0 {
                    error.clone_from(&reason);
                }
            } else if container["ready"] == true && !state["running"].is_null() {
                running = true;
                summary.ready += 1;
            }
        }
        if reason == "Completed" {
            if running && is_true(pod, "Ready") {
                "Running".clone_into(&mut reason);
            } else if !error.is_empty() {
                reason = error;
            } else if running {
                "NotReady".clone_into(&mut reason);
            }
        }
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if status["reason"] == "NodeLost" {
            "Unknown".clone_into(&mut reason);
        } else if !matches!(string(&status["phase"]), "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut reason);
        }
    }
    summary.reason = reason;
    summary
}
