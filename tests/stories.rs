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
/// No story takes longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches a story to its end.
fn watch(story: &'static Story) {
    let (nodes, pods) = story.size.unwrap_or((12, 200));
    let demo = Demo::start(sim::Options { nodes, pods, live: true, speed: SPEED, story: Some(story), ..still() });
    let restricted = story.name == "restricted-user";
    let arguments: &[&str] = if restricted { &["pods", "-n", "payments"] } else { &["pods", "-A"] };
    let mut session = demo.open(arguments, (140, 40));
    session.wait_text("Running");
    let deadline = Instant::now() + PATIENCE;
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

#[test]
fn every_story_can_be_watched_to_its_end() {
    STORIES.iter().filter(|story| story.size.is_none()).for_each(watch);
}

#[test]
#[ignore = "as many pods as this take minutes where nothing is optimised: cargo test --release --test stories -- --ignored"]
fn every_big_story_can_be_watched_to_its_end() {
    STORIES.iter().filter(|story| story.size.is_some()).for_each(watch);
}
