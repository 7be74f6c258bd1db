//! Keys in, effects out.

use crossterm::event::KeyCode;

use super::*;
use crate::{
    app::{scripted::Script, update},
    config::settings::Config,
    sources::{
        Message,
        aws::{
            change::{Change, Outcome},
            eks,
        },
    },
    ui::theme::ColorDepth,
};

const MORE: KeyCode = KeyCode::Char('+');
const FEWER: KeyCode = KeyCode::Char('-');
const YES: KeyCode = KeyCode::Char('y');
const DOWN: KeyCode = KeyCode::Down;

/// The cursor on spot-a, the second of three: ondemand, spot-a, unseen.
fn script() -> Script {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    script.press(&[DOWN]);
    script
}

fn desired(script: &Script, name: &str) -> String {
    let table = script.model.world.table::<NodeGroup>();
    let id = table.find(Uid::hashed(&[name.as_bytes()])).unwrap();
    let column = table.columns().iter().position(|column| column.id == "desired").unwrap();
    table.value(id, column, &script.model.world).render(0).into_owned()
}

fn status(script: &Script, name: &str) -> String {
    let table = script.model.world.table::<NodeGroup>();
    let id = table.find(Uid::hashed(&[name.as_bytes()])).unwrap();
    let column = table.columns().iter().position(|column| column.id == "status").unwrap();
    table.value(id, column, &script.model.world).render(0).into_owned()
}

fn sent(name: &str, scaling: eks::Scaling) -> Vec<Effect> {
    let change = Change::Nodegroup { cluster: "prod".to_owned(), name: name.to_owned(), scaling };
    vec![Effect::Change { group: Uid::hashed(&[name.as_bytes()]), name: name.to_owned(), change }]
}

fn to(desired: u32) -> eks::Scaling {
    eks::Scaling { desired: Some(desired), ..eks::Scaling::default() }
}

fn last_note(script: &Script) -> String {
    script.model.notes.last().map(|note| note.problem.to_string()).unwrap_or_default()
}

fn blocked(script: &Script) -> String {
    script.model.dialog.as_ref().and_then(|(dialog, _)| dialog.blocked.clone()).unwrap_or_default()
}

#[test]
fn two_more_and_yes_is_one_request() {
    let mut script = script();
    assert_eq!(script.press(&[MORE, MORE]), [], "nothing is sent by editing");
    assert_eq!(desired(&script, "spot-a"), "3→5");
    assert_eq!(desired(&script, "ondemand"), "1", "only the row under the cursor");
    assert_eq!(script.press(&[KeyCode::Enter]), []);
    let (dialog, _) = script.model.dialog.as_ref().unwrap();
    assert_eq!(dialog.title, "scale node group spot-a");
    assert_eq!(dialog.place, "demo · prod · eu-west-1 · 123456789012");
    assert_eq!(script.press(&[YES]), sent("spot-a", to(5)));
    assert!(script.model.dialog.is_none());
    assert_eq!(desired(&script, "spot-a"), "3", "sent is no longer edited");
    assert_eq!(script.press(&[MORE]), []);
    assert!(last_note(&script).contains("one at a time"), "{}", last_note(&script));

    answer(&mut script, Outcome::Accepted);
    assert_eq!(script.press(&[FEWER]), []);
    assert_eq!(desired(&script, "spot-a"), "3", "AWS has not carried it to the group yet");
    shows(&mut script, 5);
    script.press(&[FEWER]);
    assert_eq!(desired(&script, "spot-a"), "5→4");
}

/// AWS answers the change of spot-a.
fn answer(script: &mut Script, outcome: Outcome) {
    let group = Uid::hashed(&[b"spot-a"]);
    update::message(&mut script.model, Message::Changed { group, name: "spot-a".to_owned(), outcome });
}

/// AWS says, after the change, that spot-a wants so many nodes, and has as many instances.
fn shows(script: &mut Script, desired: u32) {
    let at = script.model.now / 1000 + 10;
    script.group("spot-a", |row| {
        row.max = Some(desired.max(10));
        let asg = row.asg.as_mut().unwrap();
        (row.desired, asg.desired, row.at) = (Some(desired), Some(desired), at);
        let last = asg.instances.last().unwrap().clone();
        asg.instances.resize(desired as usize, last);
    });
    script.model.now += 20_000;
    follow(&mut script.model);
}

#[test]
fn it_is_followed_until_its_nodes_are_ready_and_undone_to_what_it_was() {
    let mut script = script();
    script.press(&[MORE, MORE, MORE, MORE, MORE, MORE, MORE, MORE, MORE, KeyCode::Enter, KeyCode::Char('m'), YES]);
    answer(&mut script, Outcome::Accepted);
    shows(&mut script, 12);
    assert_eq!(status(&script, "spot-a"), "scaling to 12, joining 10");
    // It did not mean that many.
    assert_eq!(script.press(&[KeyCode::Char('U')]), []);
    let (dialog, _) = script.model.dialog.as_ref().unwrap();
    assert_eq!(dialog.title, "scale node group spot-a back");
    assert_eq!(script.press(&[YES]), [], "ten nodes may go, two of them with pods");
    let name = "spot-a".chars().map(KeyCode::Char).collect::<Vec<_>>();
    script.press(&name);
    assert_eq!(script.press(&[KeyCode::Enter]), sent("spot-a", eks::Scaling { max: Some(10), ..to(3) }));

    // The nodes of three: two are there, the third comes.
    answer(&mut script, Outcome::Accepted);
    shows(&mut script, 3);
    assert_eq!(status(&script, "spot-a"), "scaling to 3, joining 1");
    let mut third = crate::app::scripted::node("node-d");
    third["metadata"]["labels"] = serde_json::json!({ "eks.amazonaws.com/nodegroup": "spot-a" });
    script.feed(Node::ID, &[third]);
    follow(&mut script.model);
    assert!(last_note(&script).starts_with("spot-a: 3 nodes are ready, "), "{}", last_note(&script));
    assert_eq!(status(&script, "spot-a"), "ok");
}

#[test]
fn what_stops_a_change_is_said_once() {
    let mut script = script();
    script.press(&[MORE, MORE, KeyCode::Enter, YES]);
    answer(&mut script, Outcome::Accepted);
    shows(&mut script, 5);
    let at = script.model.now / 1000;
    script.group("spot-a", |row| {
        row.desired = Some(5);
        row.asg.as_mut().unwrap().desired = Some(5);
        (row.at, row.failure) = (at, Some((at - 5, "InsufficientInstanceCapacity".to_owned())));
    });
    follow(&mut script.model);
    assert!(last_note(&script).contains("InsufficientInstanceCapacity"), "{}", last_note(&script));
    let notes = script.model.notes.len();
    follow(&mut script.model);
    assert_eq!(script.model.notes.len(), notes);
}

#[test]
fn a_lost_answer_is_neither_yes_nor_no() {
    let mut script = script();
    script.press(&[MORE, MORE, KeyCode::Enter, YES]);
    answer(&mut script, Outcome::Unknown(Problem::new("AWS did not answer")));
    assert!(last_note(&script).contains("whether the change was accepted is not known"), "{}", last_note(&script));
    script.press(&[MORE]);
    assert_eq!(desired(&script, "spot-a"), "3", "nothing else is sent while it may be on its way");
    shows(&mut script, 5);
    assert_eq!(status(&script, "spot-a"), "scaling to 5, joining 3");
}

#[test]
fn enter_without_a_size_goes_to_the_nodes() {
    let mut script = script();
    script.press(&[MORE, FEWER]);
    assert_eq!(desired(&script, "spot-a"), "3", "back to what it is");
    script.press(&[KeyCode::Enter]);
    assert!(script.model.dialog.is_none());
    let view = script.model.table().unwrap();
    assert_eq!(view.kind, Node::ID);
    let view = script.model.table_mut().unwrap();
    view.lens.invalidate();
    script.press(&[DOWN]);
    assert_eq!(script.model.table().unwrap().lens.order().len(), 2, "its nodes and no others");
}

#[test]
fn the_minus_of_the_groups_is_not_the_view_before() {
    let mut script = script();
    script.press(&[FEWER]);
    assert_eq!(script.model.table().unwrap().kind, NodeGroup::ID);
    assert_eq!(desired(&script, "spot-a"), "3→2");
    script.press(&[KeyCode::Backspace]);
    assert_eq!(desired(&script, "spot-a"), "3");
}

#[test]
fn enter_in_the_dialog_is_cancel_until_the_focus_moves() {
    for (keys, effects) in [
        (&[KeyCode::Enter][..], Vec::new()),
        (&[KeyCode::Esc][..], Vec::new()),
        (&[KeyCode::Tab, KeyCode::Tab, KeyCode::Enter][..], Vec::new()),
        (&[KeyCode::Tab, KeyCode::Enter][..], sent("spot-a", to(4))),
    ] {
        let mut script = script();
        script.press(&[MORE, KeyCode::Enter]);
        assert_eq!(script.press(keys), effects, "{keys:?}");
        assert!(script.model.dialog.is_none());
    }
}

#[test]
fn a_size_is_typed_or_stepped_and_bounds_move_along() {
    let mut script = script();
    script.press(&[KeyCode::Char('s'), KeyCode::Char('1'), KeyCode::Char('2')]);
    assert_eq!(blocked(&script), "12 is above max 10; m moves max along");
    assert_eq!(script.press(&[YES]), [], "what is blocked is not sent");
    assert!(last_note(&script).contains("12 is above max 10"));
    let scaling = eks::Scaling { max: Some(12), ..to(12) };
    assert_eq!(script.press(&[KeyCode::Char('m'), YES]), sent("spot-a", scaling));

    let mut script = self::script();
    script.press(&[KeyCode::Char('s'), KeyCode::Char('4'), KeyCode::Backspace, KeyCode::Char('7'), MORE, FEWER, FEWER]);
    assert_eq!(script.press(&[YES]), sent("spot-a", to(6)));
}

#[test]
fn the_command_is_copied_as_it_would_be_run() {
    let mut script = script();
    let copied = script.press(&[MORE, KeyCode::Enter, KeyCode::Char('c')]);
    let command = "aws eks update-nodegroup-config --cluster-name prod --nodegroup-name spot-a --scaling-config \
                   desiredSize=4 --region eu-west-1";
    assert_eq!(copied, [Effect::Copy(command.to_owned())]);
    assert!(script.model.dialog.is_some(), "copying is not leaving");
}

#[test]
fn a_group_that_changed_or_went_meanwhile_is_left_alone() {
    let mut script = script();
    script.press(&[MORE, KeyCode::Enter]);
    script.group("spot-a", |row| {
        row.desired = Some(6);
        row.asg.as_mut().unwrap().desired = Some(6);
    });
    refresh(&mut script.model);
    assert_eq!(blocked(&script), "it changed meanwhile: desired 3 → 6; leave, and look again");
    assert_eq!(script.press(&[YES]), []);

    let mut script = self::script();
    script.press(&[MORE, KeyCode::Enter]);
    script.rows(NodeGroup::ID, |_| crate::store::table::Changes::<Row> {
        changes: vec![crate::store::table::Change::Remove(Uid::hashed(&[b"spot-a"]))],
        ..Default::default()
    });
    assert_eq!(script.press(&[YES]), []);
    assert_eq!(blocked(&script), "spot-a is gone");
}

#[test]
fn no_other_key_gets_past_the_dialog() {
    let mut script = script();
    script.press(&[MORE, KeyCode::Enter]);
    assert_eq!(script.press(&[KeyCode::Char(':'), KeyCode::Char('?'), KeyCode::Char('g')]), []);
    assert!(script.model.prompt.is_none() && script.model.dialog.is_some() && script.model.views.len() == 1);
}

#[test]
fn a_session_that_only_reads_shows_what_would_be_sent() {
    let mut script = script();
    script.model.read_only = true;
    script.press(&[MORE, KeyCode::Enter]);
    assert_eq!(blocked(&script), "this session is read-only: nothing is sent");
    assert_eq!(script.press(&[YES]), []);
    assert_eq!(script.press(&[KeyCode::Char('c')]).len(), 1);
}

#[test]
fn a_protected_cluster_wants_its_name_typed() {
    let mut script = script();
    script.model.config.safety.protected = vec!["dem?".to_owned()];
    script.press(&[MORE, KeyCode::Enter]);
    assert_eq!(script.press(&[YES]), []);
    assert!(is_typing(&script.model));
    let name = |text: &str| text.chars().map(KeyCode::Char).collect::<Vec<_>>();
    assert_eq!(script.press(&name("deny")), [], "y is a letter now");
    assert_eq!(script.press(&[KeyCode::Enter]), [], "that is not its name");
    script.press(&[KeyCode::Backspace, KeyCode::Backspace]);
    script.press(&name("mo"));
    assert_eq!(script.press(&[KeyCode::Enter]), sent("spot-a", to(4)));
}

#[test]
fn what_cannot_be_scaled_says_why() {
    let mut script = script();
    assert_eq!(script.press(&[KeyCode::Char('U')]), []);
    assert!(last_note(&script).starts_with("there is nothing to undo"), "{}", last_note(&script));
    script.group("spot-a", |row| (row.make, row.fixed) = (Make::Fargate, "Fargate starts a node for each pod"));
    for key in [MORE, FEWER, KeyCode::Char('s'), KeyCode::Char('U')] {
        assert_eq!(script.press(&[key]), []);
        let why = "spot-a cannot be scaled from here: Fargate starts a node for each pod (scale the workload)";
        assert_eq!(last_note(&script), why);
        assert!(script.model.dialog.is_none());
        script.press(&[KeyCode::Char('a')]);
        assert!(last_note(&script).contains("has no scaling activities"), "{}", last_note(&script));
    }
    script.group("spot-a", |row| {
        row.desired = None;
        row.asg = None;
    });
    script.press(&[MORE]);
    assert!(last_note(&script).contains("is not known"), "{}", last_note(&script));
}

#[test]
fn a_refusal_is_noted_and_the_group_is_free_again() {
    let mut script = script();
    script.press(&[MORE, KeyCode::Enter, YES]);
    let problem = Problem::new("AWS is busy with it").because("ResourceInUseException");
    answer(&mut script, Outcome::Refused(problem));
    assert!(last_note(&script).contains("ResourceInUseException"));
    assert_eq!(script.press(&[MORE, KeyCode::Enter, YES]), sent("spot-a", to(4)));
}

#[test]
fn the_safer_way_down_is_shown_and_copied() {
    let mut script = script();
    let node = |name: &str, instance: &str| {
        let mut node = crate::app::scripted::node(name);
        node["metadata"]["labels"] = serde_json::json!({
            "eks.amazonaws.com/nodegroup": "spot-a", "eks.amazonaws.com/capacityType": "SPOT",
            "node.kubernetes.io/instance-type": "m6i.large", "topology.kubernetes.io/zone": "eu-west-1a" });
        node["spec"] = serde_json::json!({ "providerID": format!("aws:///eu-west-1a/{instance}") });
        node
    };
    script.feed(Node::ID, &[node("node-a", "i-a"), node("node-b", "i-b")]);
    let budget = serde_json::json!({
        "metadata": { "name": "ledger", "namespace": "payments", "uid": "ledger" },
        "spec": { "selector": { "matchLabels": { "app": "ledger" } } },
        "status": { "observedGeneration": 1, "disruptionsAllowed": 0, "expectedPods": 1 },
    });
    script.feed(crate::kinds::poddisruptionbudget::PodDisruptionBudget::ID, &[budget]);
    let mut pods = ["ledger-0", "proxy-x"].map(|name| crate::app::scripted::running("payments", name, "node-a", 0));
    pods[0]["metadata"]["labels"] = serde_json::json!({ "app": "ledger" });
    let owner = |kind: &str| serde_json::json!([{ "kind": kind, "name": "it", "uid": "it", "controller": true }]);
    pods[0]["metadata"]["ownerReferences"] = owner("StatefulSet");
    pods[1]["metadata"]["ownerReferences"] = owner("DaemonSet");
    script.feed(Pod::ID, &pods);
    let safer = |script: &Script| {
        let (dialog, _) = script.model.dialog.as_ref().unwrap();
        let lines = dialog.lines.iter().filter(|line| line.label == "safer");
        lines.map(|line| line.text.clone()).collect::<Vec<_>>()
    };
    script.press(&[FEWER, KeyCode::Enter]);
    let copied = "d copies the commands that drain them and end them";
    assert_eq!(safer(&script), ["node-b (1a, $0.031/h): no pods that would have to move", copied]);
    let command = "kubectl --context demo drain node-b --ignore-daemonsets --delete-emptydir-data && aws autoscaling \
        terminate-instance-in-auto-scaling-group --instance-id i-b --should-decrement-desired-capacity --region eu-west-1";
    assert_eq!(script.press(&[KeyCode::Char('d')]), [Effect::Copy(command.to_owned())]);
    script.press(&[FEWER]);
    assert_eq!(safer(&script)[1], "! node-a (1a, $0.031/h): 1 pod moves, 1 when payments/ledger lets them");
    // The plain way takes them without asking: that wants more than a key.
    assert_eq!(script.press(&[YES]), []);
    assert!(is_typing(&script.model));
    script.press(&[KeyCode::Esc, MORE, MORE, KeyCode::Enter]);
    assert_eq!(safer(&script), [""; 0], "up needs no way down");
}

#[test]
fn what_a_group_did_is_a_table_of_its_own() {
    let mut script = script();
    script.press(&[KeyCode::Char('a')]);
    let view = script.model.table().unwrap();
    assert_eq!(view.kind, Activity::ID);
    assert_eq!(script.model.scope_title(view), "spot-a");
    let want = script.model.wants_of(view).remove(0);
    assert_eq!((want.namespace.as_deref(), want.object.as_deref()), (Some("managed"), Some("spot-a")));

    let mut script = self::script();
    script.group("spot-a", |row| row.make = Make::Fargate);
    script.press(&[KeyCode::Char('a')]);
    assert!(last_note(&script).contains("has no scaling activities"), "{}", last_note(&script));
}
