//! The simulated cluster against the live rig: the same calls to both API servers, answer by answer and field by field.
//!
//! Skipped with a notice where `EKSCOPE_RIG_KUBECONFIG` does not name the kubeconfig of a rig (`tests/live/rig.sh`).

#![allow(
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
mod pty;
mod rig;
mod same;

use std::{thread, time::Duration};

use demo::{Demo, still};
use ekscope::sim;
use rig::Rig;
use same::{Plain, Script, Server, budgets, compare, kubectl};

/// How fast the simulated cluster lives here.
const SPEED: f64 = 10.0;

fn simulated(speed: f64) -> Demo {
    Demo::start(sim::Options { nodes: 20, pods: 100, live: true, speed, ..still() })
}

/// Deletes a namespace that an earlier run left.
fn clear(rig: &Rig, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}");
    while rig.send("DELETE", &path, &[], "").code != 404 {
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn both_servers_answer_the_same() {
    let Some(real) = Rig::find() else { return };
    let demo = simulated(SPEED);
    let own = Rig::at(demo.place.kubeconfig().display().to_string());
    clear(&real, "same");
    let script = Script::parse(include_str!("same/calls.http"));
    let plain = Plain::new();
    let mut servers = [Server::new(&real), Server::new(&own)];
    let mut told = String::new();
    for call in &script.calls {
        let differences = compare(&script, call, &plain, &mut servers);
        if !differences.is_empty() {
            told.push_str(&format!("{}\n{differences}", call.name));
        }
    }
    println!("{} calls", script.calls.len());
    assert!(told.is_empty(), "{told}");
}

/// A sample of what `sim::budget_tests` does ten thousand times.
#[test]
fn budgets_decide_the_same() {
    let Some(real) = Rig::find() else { return };
    let demo = simulated(SPEED);
    let own = Rig::at(demo.place.kubeconfig().display().to_string());
    clear(&real, "budgets");
    let [real, own] = [&real, &own].map(budgets::prepare);
    let told = budgets::compare([&real, &own], 200, 7);
    assert!(told.is_empty(), "{told}");
}

#[test]
fn kubectl_says_the_same_of_both() {
    let Some(real) = Rig::find() else { return };
    let demo = simulated(SPEED);
    clear(&real, "kube");
    // The commands change the current namespace.
    let copy = demo.place.path("real");
    std::fs::copy(&real.kubeconfig, &copy).expect("a copy of the kubeconfig");
    let [real, own] = [copy, demo.place.kubeconfig()].map(|path| Rig::at(path.display().to_string()));
    let told = kubectl::compare(include_str!("same/kubectl.txt"), &Plain::new(), [&real, &own]);
    assert!(told.is_empty(), "{told}");
}
