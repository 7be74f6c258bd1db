//! What goes wrong when a node group is scaled, each as a person meets it: the real program in a terminal, the simulated
//! cluster and its account behind it. The names of the tests are the traps.

#![allow(
    clippy::expect_used,
    clippy::large_stack_arrays,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;

use demo::{Demo, still, wait};
use ekscope::sim::{AwsOperation, Faults, Options, Story};
use pty::Session;
use serde_json::{Value, json};

const GROUP: &str = "general-od";
const UPDATE: &str = "UpdateNodegroupConfig";

/// A world that stands still: 11 nodes in the group.
fn account() -> Demo {
    Demo::of_account(Options { nodes: 24, pods: 200, ..still() })
}

fn eks(demo: &Demo, operation: &str, mut input: Value) -> Value {
    input["name"] = "demo".into();
    input["clusterName"] = "demo".into();
    wait(demo.server.aws("eks", operation, input)).expect("an answer of EKS")
}

fn group(demo: &Demo, name: &str) -> Value {
    eks(demo, "DescribeNodegroup", json!({ "nodegroupName": name }))["nodegroup"].clone()
}

/// Somebody else does something to the group's Auto Scaling group.
fn elsewhere(demo: &Demo, name: &str, operation: &str, mut input: Value) -> Value {
    input["AutoScalingGroupName"] = group(demo, name)["resources"]["autoScalingGroups"][0]["name"].clone();
    wait(demo.server.aws("autoscaling", operation, input)).expect("an answer of Auto Scaling")
}

/// min, desired and max as EKS has them.
fn sizes(demo: &Demo, name: &str) -> [u64; 3] {
    let scaling = &group(demo, name)["scalingConfig"];
    ["minSize", "desiredSize", "maxSize"].map(|size| scaling[size].as_u64().expect("a size"))
}

fn sent(demo: &Demo) -> u64 {
    demo.requests().count(UPDATE, "eks.eu-west-1")
}

/// The changes that EKS has taken on.
fn updates(demo: &Demo) -> usize {
    eks(demo, "ListUpdates", json!({ "nodegroupName": GROUP }))["updateIds"].as_array().expect("ids").len()
}

/// The table with this group alone, and all that is known of it there.
fn open(demo: &Demo, name: &str, more: &[&str]) -> Session {
    let filter = format!("/{name}");
    let session = demo.open(&[&["ng", &filter], more].concat(), (200, 45));
    row(&session, name, &["managed"]);
    session
}

/// Waits until the group's row holds all of these.
fn row(session: &Session, name: &str, parts: &[&str]) {
    session.wait(&parts.join(" and "), |screen| {
        let of = |line: &str| line.contains(name) && parts.iter().all(|part| line.contains(part));
        screen.contents().lines().skip(3).any(of)
    });
}

/// Waits until the dialog says this, wherever its lines break.
fn says(session: &Session, words: &str) {
    session.wait(&format!("the dialog to say {words:?}"), |screen| {
        let text = screen.contents();
        let inside = text.lines().filter_map(|line| line.split_once('│')?.1.rsplit_once('│'));
        let said: Vec<&str> = inside.flat_map(|(line, _)| line.split_whitespace()).collect();
        said.join(" ").contains(words)
    });
}

/// Presses keys that open the dialog, and waits for it.
fn dialog(session: &mut Session, keys: &str) {
    session.send(keys);
    session.wait_text("→");
    session.send("\r");
    session.wait_text("scale node group");
}

fn befall(operation: AwsOperation) -> Faults {
    Faults { aws: vec![operation], ..Faults::default() }
}

fn on_update(change: fn(&mut AwsOperation)) -> Faults {
    let mut operation = AwsOperation { operation: UPDATE.to_owned(), ..AwsOperation::default() };
    change(&mut operation);
    befall(operation)
}

#[test]
fn fewer_nodes_end_pods_that_nobody_asked_so_a_name_has_to_be_typed() {
    let demo = account();
    let mut session = open(&demo, GROUP, &[]);
    session.wait_text("nodegroups(demo)");
    dialog(&mut session, "-");
    says(&session, "it does not respect disruption budgets");
    session.wait_text("safer");
    session.send("y");
    session.wait_text("type general-od");
    session.send("general\r");
    session.wait_text("that is not general-od");
    assert_eq!(sent(&demo), 0);
    session.send("-od\r");
    session.wait_text("accepted");
    assert_eq!((sent(&demo), sizes(&demo, GROUP)[1]), (1, 10));
}

#[test]
fn a_size_outside_of_the_bounds_moves_them_in_the_same_request_or_is_not_sent() {
    let demo = account();
    let [min, desired, max] = sizes(&demo, GROUP);
    let mut session = open(&demo, GROUP, &[]);
    session.send("s");
    session.wait_text("scale node group");
    session.send(&(max + 3).to_string());
    says(&session, &format!("{} is above max {max}; m moves max along", max + 3));
    session.send("y");
    session.wait_text("was not scaled");
    assert_eq!((sent(&demo), sizes(&demo, GROUP)), (0, [min, desired, max]));
    session.send("m");
    session.wait_text(&format!("max {max} → {}", max + 3));
    session.send("y");
    session.wait_text("accepted");
    assert_eq!(sent(&demo), 1);
    assert_eq!(sizes(&demo, GROUP)[1..], [max + 3, max + 3]);
}

#[test]
fn a_group_that_is_being_updated_refuses_and_nothing_is_tried_again() {
    let demo = account();
    let mut late = open(&demo, GROUP, &[]);
    let mut first = open(&demo, GROUP, &[]);
    // From now on nobody is told of what the other does.
    let deaf = AwsOperation { operation: "DescribeNodegroup".to_owned(), hang: true, ..AwsOperation::default() };
    demo.server.set_faults(befall(deaf));
    dialog(&mut first, "+");
    first.send("y");
    first.wait_text("accepted");
    dialog(&mut late, "++");
    late.send("y");
    late.wait_text("ResourceInUse");
    assert_eq!((sent(&demo), updates(&demo)), (2, 1));
    assert_eq!(sizes(&demo, GROUP)[1], 12, "the first");
    // Who looks anew sees what is in the way before a key is pressed.
    demo.server.set_faults(Faults::default());
    let mut third = open(&demo, GROUP, &[]);
    row(&third, GROUP, &["ConfigUpdate"]);
    dialog(&mut third, "+");
    says(&third, "EKS is updating this group");
    third.send("y");
    third.wait_text("was not scaled");
    assert_eq!(sent(&demo), 2);
}

#[test]
fn the_copy_of_eks_lags_and_the_auto_scaling_group_is_the_truth() {
    let demo = account();
    elsewhere(&demo, GROUP, "SetDesiredCapacity", json!({ "DesiredCapacity": 13 }));
    assert_eq!(sizes(&demo, GROUP)[1], 11, "EKS does not know yet");
    let mut session = open(&demo, GROUP, &[]);
    row(&session, GROUP, &["11·13·11·11·11"]);
    dialog(&mut session, "+");
    session.wait_text("13 → 14");
    session.send("y");
    session.wait_text("accepted");
    assert_eq!(sizes(&demo, GROUP)[1], 14);
}

#[test]
fn nothing_happens_while_processes_are_suspended() {
    let demo = account();
    elsewhere(&demo, GROUP, "SuspendProcesses", json!({ "ScalingProcesses": ["Launch"] }));
    let mut session = open(&demo, GROUP, &[]);
    row(&session, GROUP, &["Launch is suspended"]);
    dialog(&mut session, "+");
    says(&session, "nothing will happen until it is resumed");
}

#[test]
fn schedules_and_policies_undo_it() {
    let demo = account();
    let night = json!({ "ScheduledActionName": "night", "Recurrence": "0 20 * * *", "DesiredCapacity": 2 });
    elsewhere(&demo, GROUP, "PutScheduledUpdateGroupAction", night);
    let tracking = json!({ "PredefinedMetricSpecification": { "PredefinedMetricType": "ASGAverageCPUUtilization" },
        "TargetValue": 50 });
    let policy = json!({ "PolicyName": "cpu", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingConfiguration": tracking });
    elsewhere(&demo, GROUP, "PutScalingPolicy", policy);
    let mut session = open(&demo, GROUP, &[]);
    dialog(&mut session, "+");
    says(&session, "night: desired 2 next 20");
    says(&session, "cpu: target tracking of ASGAverageCPUUtilization at 50; it sets the size by itself");
    demo.server.set_faults(Faults::default());
}

#[test]
fn a_lost_answer_does_not_scale_twice() {
    let demo = account();
    let mut session = open(&demo, GROUP, &[]);
    demo.server.set_faults(on_update(|it| (it.lose, it.times) = (true, Some(1))));
    dialog(&mut session, "++");
    session.send("y");
    session.wait_text("accepted");
    assert_eq!(sent(&demo), 2, "sent again, as the same wish");
    assert_eq!((updates(&demo), sizes(&demo, GROUP)[1]), (1, 13));
}

#[test]
fn too_many_calls_wait_and_go_on() {
    let demo = account();
    let mut session = open(&demo, GROUP, &[]);
    demo.server.set_faults(on_update(|it| (it.throttle, it.times) = (true, Some(2))));
    dialog(&mut session, "+");
    session.send("y");
    session.wait_text("accepted");
    assert_eq!((sent(&demo), updates(&demo), sizes(&demo, GROUP)[1]), (3, 1, 12));
}

#[test]
fn a_denied_change_names_the_permission_and_the_group_is_free_again() {
    let demo = account();
    let mut session = open(&demo, GROUP, &[]);
    demo.server.set_faults(on_update(|it| it.deny = true));
    dialog(&mut session, "+");
    session.send("y");
    session.wait_text("eks:UpdateNodegroupConfig");
    assert_eq!((sent(&demo), updates(&demo)), (1, 0));
    demo.server.set_faults(Faults::default());
    dialog(&mut session, "+");
    session.send("y");
    session.wait_text("accepted");
    assert_eq!(updates(&demo), 1);
}

#[test]
fn a_session_that_only_reads_sends_nothing() {
    let demo = account();
    let mut session = open(&demo, GROUP, &["--readonly"]);
    dialog(&mut session, "+");
    session.wait_text("read-only");
    session.send("y");
    session.wait_text("was not scaled");
    assert_eq!(sent(&demo), 0);
}

#[test]
fn without_prices_there_is_no_number() {
    let denied = |service: &str, operation: &str| AwsOperation {
        service: service.to_owned(),
        operation: operation.to_owned(),
        deny: true,
        ..AwsOperation::default()
    };
    let aws = vec![denied("pricing", ""), denied("ec2", "DescribeSpotPriceHistory")];
    let demo =
        Demo::of_account(Options { nodes: 24, pods: 200, faults: Faults { aws, ..Faults::default() }, ..still() });
    let mut session = demo.open(&["ng", "/general-od"], (200, 45));
    row(&session, GROUP, &["managed", "11·11·11·11·11"]);
    dialog(&mut session, "+");
    says(&session, "not known: needs pricing:GetProducts");
    let priced = |line: &&str| line.contains('$') && !line.contains("$/H");
    let screen = session.text();
    assert_eq!(screen.lines().find(priced), None, "{screen}");
}

#[test]
fn an_autoscaler_takes_empty_nodes_away_unless_min_is_raised() {
    let story = Story::find("scale-by-hand");
    let demo = Demo::of_account(Options { nodes: 24, pods: 100, live: true, speed: 1.0, story, ..still() });
    let before = sizes(&demo, GROUP)[1];
    let mut session = open(&demo, GROUP, &[]);
    dialog(&mut session, "++");
    session.wait_text("cluster-autoscaler");
    says(&session, "m raises min, which keeps it");
    session.send("m");
    says(&session, "is kept from undoing this by the raised min, from about a minute on");
    session.send("y");
    session.wait_text("accepted");
    let wanted = before + 2;
    assert_eq!(sizes(&demo, GROUP)[..2], [wanted, wanted], "min went along in the same request");
    demo.server.set_speed(120.0);
    // Longer than an empty node is left alone.
    let until = wait(demo.server.stats()).lived_s + 1_200;
    while wait(demo.server.stats()).lived_s < until {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(sizes(&demo, GROUP)[1] >= wanted);
}

#[test]
fn no_capacity_is_told_in_the_words_of_aws_and_degraded_outlives_its_cause() {
    const SPOT: &str = "general-spot";
    let story = Story::find("capacity-failure");
    let demo = Demo::of_account(Options { nodes: 24, pods: 100, live: true, speed: 1.0, story, ..still() });
    let before = sizes(&demo, SPOT)[1];
    let mut session = open(&demo, SPOT, &[]);
    dialog(&mut session, "++");
    session.send("y");
    session.wait_text("accepted");
    let settled = || group(&demo, SPOT)["status"] != "UPDATING";
    let failed =
        || elsewhere(&demo, SPOT, "DescribeScalingActivities", json!({}))["Activities"][0]["StatusCode"] == "Failed";
    // Time stands still while somebody looks: EC2 has instances again after ten minutes.
    pass(&demo, &session, || failed() && settled());
    row(&session, SPOT, &["InsufficientInstanceCapacity"]);
    session.wait_text("the change did not come about");
    // Nobody wants more any longer, and still EKS says so.
    session.send("U");
    session.wait_text("scale node group general-spot back");
    session.send("y");
    pass(&demo, &session, || sizes(&demo, SPOT)[1] == before && settled());
    assert_eq!(group(&demo, SPOT)["status"], "DEGRADED");
    row(&session, SPOT, &["degraded"]);
}

/// Lets time pass until something has happened.
fn pass(demo: &Demo, session: &Session, happened: impl Fn() -> bool) {
    demo.server.set_speed(10.0);
    let deadline = std::time::Instant::now() + pty::PATIENCE;
    while !happened() {
        assert!(std::time::Instant::now() < deadline, "it does not happen; the screen is\n{}", session.text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    demo.server.set_speed(0.0);
}
