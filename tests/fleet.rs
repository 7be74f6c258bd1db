//! The fleet as a person meets it: the real program in a terminal, the simulated cluster behind it, and its account in the
//! place of AWS. There is no kubeconfig, and no program that would sign in.

#![allow(
    clippy::expect_used,
    clippy::large_stack_arrays,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;

use std::time::{Duration, Instant};

use demo::{Demo, still, with_faults};
use ekscope::sim::{AwsOperation, Faults, Options, Story};
use pty::Session;
use serde_json::{Value, json};

/// The regions of the story, and those that answer in it.
const EVERYWHERE: &str = "[fleet]\nregions = [\"ap-northeast-1\", \"ap-southeast-2\", \"eu-central-1\", \"eu-north-1\", \
                          \"eu-west-1\", \"us-east-1\", \"us-east-2\", \"us-west-2\"]\n";
const ANSWER: [&str; 6] = ["ap-northeast-1", "eu-central-1", "eu-north-1", "eu-west-1", "us-east-1", "us-west-2"];

/// Only the account: no kubeconfig, nothing on the path.
fn account(options: Options) -> Demo {
    let mut demo = Demo::of_account(options);
    std::fs::remove_file(demo.place.kubeconfig()).expect("a kubeconfig");
    std::fs::create_dir(demo.place.path("home")).expect("a folder");
    for (name, place) in [("KUBECONFIG", "home/kubeconfig"), ("PATH", "home"), ("HOME", "home")] {
        let path = demo.place.path(place).display().to_string();
        demo.place.variables.push((name.to_owned(), path));
    }
    demo
}

fn open(demo: &Demo, arguments: &[&str]) -> Session {
    demo.place.open_as_is(arguments, (160, 40))
}

/// Waits for a line that holds all of these.
fn wait_line(session: &Session, what: &str, parts: &[&str]) {
    session.wait(what, |screen| screen.contents().lines().any(|line| parts.iter().all(|part| line.contains(part))));
}

fn strike(region: &str, change: fn(&mut AwsOperation)) -> AwsOperation {
    let mut strike = AwsOperation { region: region.to_owned(), ..AwsOperation::default() };
    change(&mut strike);
    strike
}

#[test]
fn from_nothing_to_a_scaled_node_group_in_four_keys() {
    let demo = account(still());
    let mut session = open(&demo, &[]);
    session.wait_text("clusters(all)[1]");
    wait_line(&session, "the cluster with its support", &["eu-west-1", "standard"]);
    session.send("b");
    session.wait_text("nodegroups(");
    wait_line(&session, "a group that can be scaled", &["managed"]);
    session.send("G+");
    session.wait_text("→");
    session.send("\r");
    session.wait_text("scale node group");
    assert_eq!(
        demo.requests().counts.keys().filter(|call| call.starts_with("Update")).count(),
        0,
        "nothing is sent yet"
    );
    session.send("y");
    session.wait_for(pty::PATIENCE, |_| demo.requests().count("UpdateNodegroupConfig", "eks.eu-west-1") == 1);
    assert_eq!(demo.requests().count("UpdateNodegroupConfig", "eks.eu-west-1"), 1);
}

#[test]
fn from_a_name_to_a_scaled_node_group_in_three_keys() {
    let demo = account(still());
    let mut session = open(&demo, &["ng", "/general-od", "--eks", "demo"]);
    session.wait_text("nodegroups(demo)");
    wait_line(&session, "a group that can be scaled", &["▌", "general-od", "ok"]);
    session.send("+");
    session.wait_text("→");
    session.send("\r");
    session.wait_text("scale node group");
    session.send("y");
    session.wait_text("accepted");
    assert_eq!(demo.requests().count("UpdateNodegroupConfig", "eks.eu-west-1"), 1);
}

/// How often a region was asked, whatever for.
fn asked(demo: &Demo, region: &str) -> u64 {
    let end = format!(".{region}");
    demo.requests().counts.iter().filter(|(call, _)| call.ends_with(&end)).map(|(_, count)| count).sum()
}

/// 40 clusters of 10 groups in 8 regions, one of which is denied and one silent.
#[test]
fn a_fleet_fills_as_regions_answer_and_asks_only_for_the_groups_that_are_seen() {
    let demo = account(Options { live: true, story: Story::find("fleet"), ..still() });
    demo.place.configure(EVERYWHERE);
    // One cluster of each region has this name.
    let mut session = open(&demo, &["clusters", "/analytics"]);
    let described = |region: &str| demo.requests().count("ListNodegroups", &format!("eks.{region}"));
    for region in ANSWER {
        wait_line(&session, "a cluster with the nodes that it wants", &["analytics-", region, "active"]);
    }
    session.wait("the groups of one cluster in each region", |_| ANSWER.iter().all(|region| described(region) >= 1));
    assert_eq!(ANSWER.map(described), [1; 6], "nobody sees the others");
    session.send("\x1b");
    wait_line(&session, "the region that is denied", &["us-east-2", "eks:ListClusters"]);
    session.wait("their groups are asked for", |_| ANSWER.iter().all(|region| described(region) > 1));
}

#[test]
#[ignore = "it looks on for three minutes: cargo test --test fleet -- --ignored"]
fn a_filled_fleet_asks_each_region_at_most_sixty_times_a_minute() {
    let demo = account(Options { live: true, story: Story::find("fleet"), ..still() });
    demo.place.configure(EVERYWHERE);
    let session = demo.place.open_as_is(&[], (160, 60));
    session.wait_text("clusters(all)[");
    let filled = |region: &str| demo.requests().count("DescribeNodegroup", &format!("eks.{region}")) >= 50;
    session.wait("all groups of six regions", |_| ANSWER.iter().all(|region| filled(region)));
    let start = Instant::now();
    let mut seen: Vec<(Instant, Vec<u64>)> = Vec::new();
    while start.elapsed() < Duration::from_mins(3) {
        seen.push((Instant::now(), ANSWER.iter().map(|region| asked(&demo, region)).collect()));
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut most = 0;
    for (at, counts) in &seen {
        let Some((_, later)) = seen.iter().rev().find(|(later, _)| *later - *at <= Duration::from_mins(1)) else {
            continue;
        };
        most = counts.iter().zip(later).map(|(count, later)| later - count).fold(most, u64::max);
    }
    println!("in no minute was a region asked more often than {most} times");
    assert!(most > 0 && most <= 60, "{most}");
}

#[test]
fn a_region_that_denies_and_one_that_is_silent_are_rows_that_say_so() {
    let aws = vec![strike("eu-west-3", |it| it.deny = true), strike("ap-south-1", |it| it.hang = true)];
    let demo = account(with_faults(Faults { aws, ..Faults::default() }));
    // The silent one comes first.
    demo.place.configure("[fleet]\nregions = [\"ap-south-1\", \"eu-west-1\", \"eu-west-3\"]\n");
    let output = demo.place.run(&["get", "clusters", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("rows");
    let row = |region: &str| rows.iter().find(|row| row["region"] == region).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!((&row("eu-west-3")["name"], &row("eu-west-3")["desired"]), (&json!("?"), &json!(null)));
    assert_eq!(row("eu-west-3")["status"], "AWS denies eks:ListClusters in eu-west-3");
    assert_eq!(row("ap-south-1")["status"], "eks:ListClusters: no answer in 5s");
    let known = row("eu-west-1");
    assert!(known["desired"].is_number() && known["version"].is_string(), "{known}");
    assert_eq!(known["$/h"], 0.1, "{known}");
    assert_eq!(rows.len(), 3, "{rows:?}");
}

#[test]
fn what_is_wanted_is_shown_in_the_cluster_that_is_chosen() {
    let demo = account(still());
    let mut session = open(&demo, &["nodes"]);
    session.wait_text("clusters(all)[1]");
    session.send("\r");
    session.wait_text("nodes(all)[6]");
    session.send(":clusters\r");
    session.wait_text("clusters(all)[1]");
    wait_line(&session, "the one that is shown", &["*", "eu-west-1"]);
    session.send("d");
    session.wait_text("version and support");
    session.send("qq");
    session.wait_text("nodes(all)[6]");
    let listed = demo.requests().count("ListClusters", "eks.eu-west-1");
    assert!(listed >= 1, "{:?}", demo.requests().counts);
}

#[test]
fn get_waits_for_what_the_connected_cluster_adds() {
    let rows = Demo::of_account(still()).rows(&["clusters"]);
    assert_eq!((rows.len(), &rows[0]["current"], &rows[0]["ready"]), (1, &json!("*"), &json!(6)), "{rows:?}");
    assert!(rows[0]["desired"].is_number(), "{rows:?}");
}

#[test]
fn pools_count_what_their_claims_are() {
    let demo = account(Options { nodes: 24, ..still() });
    let rows = |view: &str| -> Vec<Value> {
        let output = demo.place.run(&["get", view, "--eks", "demo", "-o", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("rows")
    };
    let (claims, groups, nodes) = (rows("nodeclaims"), rows("ng"), rows("nodes"));
    let pool = groups.iter().find(|row| row["name"] == "arm-burst").unwrap_or_else(|| panic!("{groups:?}"));
    let of_pool = nodes.iter().filter(|row| row["group"] == "arm-burst").count();
    assert_eq!((claims.len(), of_pool, &pool["funnel"]), (3, 3, &json!("–·–·3·3·3")), "{pool}");
    assert!(claims.iter().all(|row| row["step"] == "ready" && row["nodepool"] == "arm-burst"), "{claims:?}");
}

#[test]
fn the_second_cluster_is_a_key_away_and_has_no_groups() {
    let demo = account(Options { second: true, ..still() });
    let mut session = open(&demo, &[]);
    session.wait_text("clusters(all)[2]");
    wait_line(&session, "the second cluster", &["groupless", "eu-west-1"]);
    // In the order of names: demo, groupless.
    session.send("G\r");
    session.wait_text("pods(");
    session.send(":ng\r");
    session.wait_text("nodegroups(groupless)[4]");
    wait_line(&session, "a pool", &["general", "karpenter", "5·5·5"]);
    wait_line(&session, "the other pool", &["spot", "karpenter", "3·3·3"]);
    wait_line(&session, "a profile", &["coredns", "fargate"]);
    session.send(":q\r");
    assert_eq!(session.end(), 0);
}
