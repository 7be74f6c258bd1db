//! Groups among nodes and pods: whose node is whose, and what follows from it.

use serde_json::json;

use super::*;
use crate::{
    app::scripted::{NOW, Script},
    config::settings::Config,
    store::{
        stream::StreamState,
        table::{Rows, Uid},
    },
    ui::theme::ColorDepth,
};

fn cell<K: Kind + HasId>(script: &Script, name: &str, column: &str) -> String {
    let (world, table) = (&script.model.world, script.model.world.table::<K>());
    let id = table.natural().iter().copied().find(|&id| table.name(id) == name).unwrap();
    let column = table.columns().iter().position(|info| info.id == column).unwrap();
    table.value(id, column, world).render(NOW / 1000).into_owned()
}

fn node(name: &str, instance: &str, labels: &serde_json::Value) -> serde_json::Value {
    json!({
        "metadata": { "name": name, "uid": name, "labels": labels },
        "spec": { "providerID": format!("aws:///eu-west-1a/{instance}") },
        "status": {
            "allocatable": { "cpu": "2", "memory": "8Gi" },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A group of one's own, with instances `i-1` and `i-2`.
fn own(row: &mut Row) {
    row.make = Make::Own;
    row.desired = None;
    row.asg.as_mut().unwrap().instances.truncate(2);
}

#[test]
fn a_node_without_a_label_belongs_to_the_group_of_its_instance() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    script.group("mine", own);
    assert_eq!(cell::<NodeGroup>(&script, "mine", "funnel"), "–·3·2·0·0");
    script.feed(Node::ID, &[node("node-1", "i-mine-1", &json!({})), node("other", "i-0abc", &json!({}))]);
    assert_eq!(cell::<NodeGroup>(&script, "mine", "funnel"), "–·3·2·1·1");
    assert_eq!((cell::<Node>(&script, "node-1", "group"), cell::<Node>(&script, "other", "group")), ("mine".into(), "<none>".into()));

    // The instance leaves the group: so does the node.
    script.group("mine", |row| {
        own(row);
        row.asg.as_mut().unwrap().instances.truncate(1);
    });
    assert_eq!(cell::<Node>(&script, "node-1", "group"), "<none>");
    assert_eq!(cell::<NodeGroup>(&script, "mine", "funnel"), "–·3·1·0·0");
}

#[test]
fn a_node_that_changes_its_group_or_goes_leaves_the_old_one() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    let labels = |group: &str| json!({ "eks.amazonaws.com/nodegroup": group });
    script.feed(Node::ID, &[node("moving", "i-1", &labels("spot-a"))]);
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "funnel"), "3·3·3·3·3");
    script.feed(Node::ID, &[node("moving", "i-1", &labels("ondemand"))]);
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "funnel"), "3·3·3·2·2");
    assert_eq!(cell::<NodeGroup>(&script, "ondemand", "funnel"), "1·1·1·2·2");
    script.rows(Node::ID, |_| crate::store::table::Changes::<node::Row> {
        changes: vec![crate::store::table::Change::Remove(Uid::hashed(&[b"moving"]))],
        ..Default::default()
    });
    assert_eq!(cell::<NodeGroup>(&script, "ondemand", "funnel"), "1·1·1·1·1");
}

#[test]
fn what_nobody_told_is_unknown_and_not_nothing() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    for (column, value) in [("funnel", "3·?·?·0·0"), ("$/h", "–"), ("%cpu-req", "–"), ("asg", "–")] {
        assert_eq!(cell::<NodeGroup>(&script, "unseen", column), value, "{column}");
    }
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "$/h"), "0.09s");
    script.group("spot-a", |row| row.prices = Arc::default());
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "$/h"), "–");
    // Without all nodes nobody can say how many have joined.
    script.model.world.forget(Node::ID, &crate::store::table::Covers::All);
    script.state(Node::ID, &StreamState::Loading { loaded: 1, about: None }, false);
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "funnel"), "3·3·3·?·?");
}

#[test]
fn a_release_is_as_old_as_its_date_says() {
    let release = |own: &str, newest: Option<&str>| {
        let release = Release { own: own.to_owned(), newest: newest.map(str::to_owned), drifted: None };
        release.value().render(0).into_owned()
    };
    assert_eq!(release("1.33.4-20260815", Some("1.33.4-20260901")), "17d behind");
    assert_eq!(release("1.33.4-20260901", Some("1.33.4-20260901")), "current");
    assert_eq!(release("1.20.1-ab12", Some("1.21.0-cd34")), "behind", "Bottlerocket's versions have no date");
    assert_eq!(release("ami-0123", None), "ami-0123");
    assert_eq!(release("1.33.4-20260815", None), "–");
}
