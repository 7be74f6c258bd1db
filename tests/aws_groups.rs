//! Node groups as a person meets them: the real program in a terminal, the simulated cluster behind it, and moto's server
//! in the place of AWS. What is scaled by key, boto3 reads back.
//!
//! Skipped with a notice where `EKSCOPE_MOTO_VENV` names no virtual environment with moto (`tests/aws/moto.sh`).

#![allow(
    clippy::expect_used,
    clippy::large_stack_arrays,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "aws/moto.rs"]
mod moto;
#[path = "pty/mod.rs"]
mod pty;

use demo::{Demo, still};
use ekscope::sim::CONTEXT;
use moto::{KEYS, Moto};
use pty::Session;
use serde_json::json;

/// A cluster whose kubeconfig says that it is `prod` of moto's account, reached through a tunnel.
fn start(moto: &Moto, account: &str) -> Demo {
    let mut demo = Demo::start(still());
    let arn = format!("arn:aws:eks:eu-west-1:{account}:cluster/prod");
    let text = demo.server.kubeconfig().replace(&format!(": {CONTEXT}\n"), &format!(": {arn}\n"));
    std::fs::write(demo.place.kubeconfig(), text).expect("a kubeconfig");
    demo.place.variables = moto.variables();
    assert_eq!(moto.script("seed.py")["subnets"].as_array().map(Vec::len), Some(2));
    demo
}

fn open(demo: &Demo, arguments: &[&str]) -> Session {
    demo.open(arguments, (160, 40))
}

#[test]
fn groups_that_boto3_made_are_scaled_by_key() {
    let Some(moto) = Moto::start() else { return };
    let demo = start(&moto, "123456789012");
    let mut session = open(&demo, &["ng"]);
    // moto names an Auto Scaling group that it has not: unknown, not 0.
    session.wait("the managed group", |screen| {
        screen.contents().lines().any(|line| line.contains("spot-a") && line.contains("3·?·?·0·0"))
    });
    session.wait_text("nodegroups(prod)[5]");
    session.wait("the group of one's own", |screen| {
        screen.contents().lines().any(|line| line.contains("self-managed") && line.contains("–·2·2·0·0"))
    });
    // The pools that the API server has stand beside them.
    session.wait("Karpenter's pool", |screen| {
        screen.contents().lines().any(|line| line.contains("arm-burst") && line.contains("karpenter"))
    });
    session.send("g+");
    session.wait_text("arm-burst cannot be scaled from here");
    // In the order of names: arm-burst, fp, gpu-overflow, self-managed, spot-a.
    session.send("G++");
    session.wait_text("3→5");
    session.send("\r");
    session.wait_text("scale node group spot-a");
    session.wait_text("eu-west-1 · 123456789012");
    session.wait_text("--scaling-config desiredSize=5");
    session.send("y");
    session.wait("what was sent", |screen| {
        screen.contents().lines().any(|line| line.contains("spot-a") && line.contains("5·?·?·0·0"))
    });
    // What moto cannot tell costs that row and no other.
    session.send("a");
    session.wait_text("activities(spot-a)[1]");
    session.wait_text("eks:ListUpdates is not offered here");
    session.send("\x1b");
    session.wait_text("nodegroups(prod)[5]");
    session.send("k-\r");
    session.wait_text("set-desired-capacity --auto-scaling-group-name self-managed");
    session.wait_text("--desired-capacity 1");
    session.send("y");
    session.wait("what was sent", |screen| {
        screen.contents().lines().any(|line| line.contains("self-managed") && line.contains("–·1·1·0·0"))
    });
    let read_back = moto.script("read_back.py");
    assert_eq!(read_back, json!({ "managed": { "minSize": 1, "maxSize": 6, "desiredSize": 5 }, "own": 1 }));
}

#[test]
fn a_session_that_only_reads_sends_nothing() {
    let Some(moto) = Moto::start() else { return };
    let demo = start(&moto, "123456789012");
    let mut session = open(&demo, &["ng", "--readonly"]);
    session.wait_text("nodegroups(prod)[5]");
    session.send("G+\r");
    session.wait_text("this session is read-only: nothing is sent");
    session.send("y");
    session.wait_text("was not scaled");
    assert_eq!(moto.script("read_back.py")["managed"]["desiredSize"], 3);
}

#[test]
fn another_account_is_not_asked_about_groups() {
    let Some(moto) = Moto::start() else { return };
    let demo = start(&moto, "999999999999");
    let session = open(&demo, &["ng"]);
    session.wait_text("AWS panels are off for prod");
    session.wait_text("the cluster belongs to account 999999999999");
    drop(session);
    let output = demo.place.get(&["ng"]);
    let (text, remark) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("arm-burst") && !text.contains("spot-a"), "{output:?}");
    assert!(remark.contains("belongs to account 999999999999"), "{remark}");
}

#[test]
fn get_prints_what_the_table_shows() {
    let Some(moto) = Moto::start() else { return };
    let demo = start(&moto, "123456789012");
    let output = demo.place.get(&["ng", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    let managed = row("spot-a");
    assert_eq!((&managed["kind"], &managed["min"], &managed["desired"]), (&json!("managed"), &json!(1), &json!(3)));
    assert_eq!((&managed["asg"], &managed["$/h"]), (&json!(null), &json!(null)), "unknown is null");
    assert_eq!(row("self-managed")["funnel"], "–·2·2·0·0");
    assert_eq!((&row("fp")["kind"], &row("fp")["desired"]), (&json!("fargate"), &json!(null)));
    assert!(!KEYS.iter().any(|(_, key)| String::from_utf8_lossy(&output.stdout).contains(key)));
}
