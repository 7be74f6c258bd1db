//! Groups among nodes and pods: whose node is whose, and what follows from it.

use serde_json::json;

use super::*;
use crate::{
    app::scripted::{NOW, Script, running},
    config::settings::Config,
    kinds::nodeclaim::NodeClaim,
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
    script.rows(Node::ID, |_| crate::store::table::Changes::<crate::kinds::node::Row> {
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
        let release = Release { own: own.to_owned(), newest: newest.map(str::to_owned) };
        release.value().render(0).into_owned()
    };
    assert_eq!(release("1.33.4-20260815", Some("1.33.4-20260901")), "17d behind");
    assert_eq!(release("1.33.4-20260901", Some("1.33.4-20260901")), "current");
    assert_eq!(release("1.20.1-ab12", Some("1.21.0-cd34")), "behind", "Bottlerocket's versions have no date");
    assert_eq!(release("ami-0123", None), "ami-0123");
    assert_eq!(release("1.33.4-20260815", None), "–");
}

fn claim(name: &str, launched: &str, drifted: &str) -> serde_json::Value {
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": kind, "message": "" });
    json!({
        "metadata": { "name": name, "uid": name, "labels": { "karpenter.sh/nodepool": "general" } },
        "spec": { "nodeClassRef": { "name": "default" } },
        "status": { "conditions": [condition("Launched", launched), condition("Drifted", drifted)] },
    })
}

#[test]
fn a_pool_is_what_its_claims_come_to() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    let pool = json!({
        "metadata": { "name": "general", "uid": "general" },
        "spec": { "template": { "spec": { "nodeClassRef": { "group": "karpenter.k8s.aws" } } } },
        "status": { "nodes": 3, "resources": { "nodes": "3" } },
    });
    script.feed(NodeGroup::ID, &[pool]);
    assert_eq!(cell::<NodeGroup>(&script, "general", "funnel"), "–·–·3·0·0", "the pool's own count, until the claims come");
    script.feed(NodeClaim::ID, &[claim("a", "True", "True"), claim("b", "True", "False"), claim("c", "Unknown", "False")]);
    assert_eq!(cell::<NodeGroup>(&script, "general", "release"), "–", "not all claims are known yet");
    script.state(NodeClaim::ID, &StreamState::Live, true);
    script.model.world.sweep(NodeClaim::ID, &crate::store::table::Covers::All, 0);
    assert_eq!(cell::<NodeGroup>(&script, "general", "funnel"), "–·–·2·0·0");
    assert_eq!(cell::<NodeGroup>(&script, "general", "release"), "drifted 1");
    assert_eq!(cell::<NodeGroup>(&script, "general", "status"), "launching 1, joining 2");
    let labels = json!({ "karpenter.sh/nodepool": "general", "karpenter.sh/capacity-type": "on-demand",
        "node.kubernetes.io/instance-type": "m6i.large", "topology.kubernetes.io/zone": "eu-west-1a" });
    script.feed(Node::ID, &[node("one", "i-1", &labels), node("two", "i-2", &labels)]);
    script.feed(NodeClaim::ID, &[claim("a", "True", "False"), claim("c", "True", "False")]);
    script.rows(NodeClaim::ID, |_| crate::store::table::Changes::<crate::kinds::nodeclaim::Row> {
        changes: vec![crate::store::table::Change::Remove(Uid::hashed(&[b"b"]))],
        ..Default::default()
    });
    assert_eq!(cell::<NodeGroup>(&script, "general", "status"), "initializing 2", "ready is not all that they want");
    let initialized = |name: &str| {
        let mut claim = claim(name, "True", "False");
        let more = ["Registered", "Initialized"].map(|kind| json!({ "type": kind, "status": "True" }));
        claim["status"]["conditions"].as_array_mut().unwrap().extend(more);
        claim
    };
    script.feed(NodeClaim::ID, &[initialized("a"), initialized("c")]);
    for (column, value) in [("funnel", "–·–·2·2·2"), ("release", "current"), ("status", "ok"), ("types", "m6i.large"), ("$/h", "0.21")] {
        assert_eq!(cell::<NodeGroup>(&script, "general", column), value, "{column}");
    }
}

#[test]
fn a_fargate_profile_counts_the_pods_that_carry_its_name() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    script.group("batch", |row| {
        row.make = Make::Fargate;
        (row.desired, row.asg) = (None, None);
    });
    let mut pods = [running("jobs", "a", "fargate-1", 0), running("jobs", "b", "fargate-2", 0), running("jobs", "c", "node-a", 0)];
    for pod in &mut pods[..2] {
        pod["metadata"]["labels"] = json!({ "eks.amazonaws.com/fargate-profile": "batch" });
    }
    script.feed(Pod::ID, &pods);
    assert_eq!(cell::<NodeGroup>(&script, "batch", "pods"), "2");
    assert_eq!(cell::<NodeGroup>(&script, "batch", "funnel"), "–·–·–·–·–");
    assert_eq!(cell::<NodeGroup>(&script, "spot-a", "pods"), "2", "ledger-0 and c");
}

#[test]
fn nodes_and_pods_have_a_price_where_it_is_known() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    let labels = |capacity: &str| {
        json!({ "eks.amazonaws.com/nodegroup": "spot-a", "eks.amazonaws.com/capacityType": capacity,
            "node.kubernetes.io/instance-type": "m6i.large", "topology.kubernetes.io/zone": "eu-west-1a" })
    };
    script.feed(Node::ID, &[node("dear", "i-1", &labels("ON_DEMAND")), node("cheap", "i-2", &labels("SPOT"))]);
    script.feed(Node::ID, &[node("who", "i-3", &json!({}))]);
    let prices = ["dear", "cheap", "who"].map(|name| cell::<Node>(&script, name, "$/h"));
    assert_eq!(prices, ["0.11", "0.03s", "–"]);
    // 100m of 2 CPUs, 256Mi of 8Gi: a twentieth by CPU.
    script.feed(Pod::ID, &[running("shop", "web", "dear", 0), running("shop", "lost", "who", 0)]);
    let prices = ["web", "lost"].map(|name| cell::<Pod>(&script, name, "$/h"));
    assert_eq!(prices, ["0.0054", "–"]);
}

#[test]
fn degraded_sticks_and_says_whether_launches_succeed_again() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    script.group("ondemand", |row| {
        row.status = "DEGRADED".to_owned();
        row.asg.as_mut().unwrap().instances.truncate(1);
        (row.desired, row.asg.as_mut().unwrap().desired) = (Some(1), Some(1));
    });
    assert_eq!(cell::<NodeGroup>(&script, "ondemand", "status"), "degraded");
    script.group("ondemand", |row| {
        row.status = "DEGRADED".to_owned();
        row.recovered = Some(NOW / 1000 - 60);
        row.asg.as_mut().unwrap().instances.truncate(1);
        (row.desired, row.asg.as_mut().unwrap().desired) = (Some(1), Some(1));
    });
    assert_eq!(cell::<NodeGroup>(&script, "ondemand", "status"), "degraded, though launches succeed again");
}

#[test]
fn a_template_says_what_differs_from_it() {
    let mut script = Script::grouped(Config::default(), ColorDepth::True);
    let mut with = |version: &str, latest, outdated| {
        script.group("spot-a", |row| {
            let template = Template { id: "lt-1".to_owned(), name: "lt".to_owned(), version: version.to_owned(), latest };
            row.template = Some(template);
            row.asg.as_mut().unwrap().outdated = outdated;
        });
        cell::<NodeGroup>(&script, "spot-a", "template")
    };
    assert_eq!(with("7", None, 0), "lt 7");
    assert_eq!(with("9", Some(9), 0), "lt 9");
    assert_eq!(with("7", Some(9), 2), "lt 7 of 9, 2 on another version");
}
