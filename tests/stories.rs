//! Every story for its whole length, at high speed, with the real program attached.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::large_stack_arrays,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;

use std::time::{Duration, Instant};

use demo::{Demo, still, wait};
use ekscope::sim::{self, STORIES, Story};

/// How fast the world's time goes here.
const SPEED: f64 = 120.0;
/// No story takes longer than this; a big world cannot keep up with its clock.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_OF_BIG: Duration = Duration::from_secs(600);

/// Watches a story to its end.
fn watch(story: &'static Story) {
    let (nodes, pods) = story.size.unwrap_or((12, 200));
    let demo = Demo::start(sim::Options { nodes, pods, live: true, speed: SPEED, story: Some(story), ..still() });
    let restricted = story.name == "restricted-user";
    let arguments: &[&str] = if restricted { &["pods", "-n", "payments"] } else { &["pods", "-A"] };
    let mut session = demo.open(arguments, (140, 40));
    session.wait_text("Running");
    let deadline = Instant::now() + if story.size.is_some() { PATIENCE_OF_BIG } else { PATIENCE };
    let end = story.length_s() + 120;
    while wait(demo.server.stats()).lived_s < end {
        assert!(Instant::now() < deadline, "{} does not come to its end", story.name);
        std::thread::sleep(Duration::from_millis(20));
    }
    // What is on the screen in the end is what there is.
    demo.server.set_speed(0.0);
    let scope = if restricted { "payments" } else { "all" };
    session.wait_text(&format!("pods({scope})[{}]", demo.rows(arguments).len()));
    session.send(":q\r");
    assert_eq!(session.end(), 0, "{}", story.name);
    let log = demo.place.log();
    assert!(!log.contains("panicked"), "{}: {log}", story.name);
}

/// From the wish to nodes that are ready, by keys alone.
#[test]
fn a_group_is_scaled_by_key_until_its_nodes_are_ready() {
    let demo = Demo::start(sim::Options { nodes: 24, pods: 200, live: true, speed: 10.0, ..still() });
    std::fs::write(demo.place.kubeconfig(), demo.server.eks_kubeconfig()).expect("a kubeconfig");
    let mut session = demo.open(&["ng", "/general-od"], (160, 40));
    let row = |session: &mut pty::Session, parts: &[&str]| {
        session.wait(&parts.join(" and "), |screen| {
            let text = screen.contents();
            text.lines().any(|line| line.contains("general-od") && parts.iter().all(|part| line.contains(part)))
        });
    };
    row(&mut session, &["11·11·11·11·11", "ok"]);
    session.send("++");
    session.wait_text("11→13");
    session.send("\r");
    session.wait_text("scale node group general-od");
    session.send("y");
    row(&mut session, &["13·13·13·13·13", "ok"]);
    let ready = |row: &serde_json::Value| row["group"] == "general-od" && row["status"] == "Ready";
    assert_eq!(demo.rows(&["nodes"]).iter().filter(|row| ready(row)).count(), 13);
    session.send(":q\r");
    assert_eq!(session.end(), 0);
}

#[test]
fn every_story_can_be_watched_to_its_end() {
    STORIES.iter().filter(|story| story.size.is_none()).for_each(watch);
}

#[test]
#[ignore = "as many pods as this take minutes where nothing is optimised: cargo test --release --test stories -- --ignored"]
fn every_big_story_can_be_watched_to_its_end() {
    STORIES.iter().filter(|story| story.size.is_some()).for_each(watch);
}
