//! A real Karpenter against a real API server: its pools among the node groups and its claims in their own table, as
//! kubectl shows them, while it scales by the pods that wait and by what the program itself asks for.
//!
//! Skipped with a notice where `EKSCOPE_RIG_DIR` does not name the folder of a rig: no other can be built then either.

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
#[path = "rig/own.rs"]
mod own;
#[path = "pty/mod.rs"]
mod pty;
mod rig;

use std::{
    fs,
    time::{Duration, Instant},
};

use demo::Place;
use own::Own;
use pty::Session;
use rig::{Rig, cell, items, text};
use serde_json::Value;

/// How long Karpenter may take: its own rounds are 10 s and more, and the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(5);

/// One pod that only the pool `general` can have.
const INFLATE: &str = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "inflate"}, "spec": {
    "replicas": 1, "selector": {"matchLabels": {"app": "inflate"}}, "template": {
        "metadata": {"labels": {"app": "inflate"}},
        "spec": {"nodeSelector": {"karpenter.sh/nodepool": "general"}, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pause", "image": "pause", "resources": {"requests": {"cpu": "1"}}}]}}}}"#;

struct Karpenter {
    rig: Rig,
    place: Place,
    /// Stopped last.
    _own: Own,
}

impl Karpenter {
    fn start() -> Option<Self> {
        let own = Own::start(&[])?;
        own.control("karpenter", &[]);
        let place = Place::new();
        fs::copy(own.kubeconfig(), place.kubeconfig()).expect("a kubeconfig");
        let rig = Rig::at(own.kubeconfig().display().to_string());
        Some(Self { rig, place, _own: own })
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let output = self.rig.kubectl(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn replicas(&self, pool: &str) -> String {
        self.kubectl(&["get", "nodepool", pool, "-o", "jsonpath={.spec.replicas}"], "")
    }

    /// Waits until kubectl's column NODES says this; Karpenter counts a little later than it acts.
    fn await_nodes(&self, pool: &str, count: usize) {
        let condition = format!("--for=jsonpath={{.status.nodes}}={count}");
        self.kubectl(&["wait", &condition, "--timeout=300s", "nodepool", pool], "");
    }

    /// What kubectl prints of claims, by its own headers, with what it prints only when it is asked for more.
    fn claims(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let table = self.rig.get("/apis/karpenter.sh/v1/nodeclaims", rig::TABLE);
        let headers = items(&table["columnDefinitions"]).iter().map(|it| text(&it["name"]).to_lowercase()).collect();
        let rows = items(&table["rows"]).iter().map(|row| items(&row["cells"]).iter().map(text).collect()).collect();
        (headers, rows)
    }

    /// That our table of claims is kubectl's, cell by cell; gives the one claim of the pool that is looked at.
    fn assert_claims(&self, pool: &str) -> Vec<(String, String)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = Instant::now();
            let (headers, expected) = self.claims();
            let found = self.rig.table(&["nodeclaims"]);
            let mut differences = Vec::new();
            for cells in &expected {
                let Some(row) = found.get(&(String::new(), cells[0].clone())) else {
                    differences.push(format!("{} is missing", cells[0]));
                    continue;
                };
                for (header, wanted) in headers.iter().zip(cells) {
                    assert!(row.contains_key(header), "a column {header} in {row:?}");
                    let got = cell(row, header);
                    let same =
                        if header == "age" { rig::ages_agree(wanted, &got, asked.elapsed()) } else { *wanted == got };
                    if !same {
                        differences.push(format!("{} {header}: {wanted:?} and not {got:?}", cells[0]));
                    }
                }
            }
            let of_pool = headers.iter().position(|header| header == "nodepool").expect("a column");
            let own: Vec<_> = expected.iter().filter(|cells| cells[of_pool] == pool).collect();
            if differences.is_empty() && found.len() == expected.len() && own.len() == 1 {
                return headers.into_iter().zip(own[0].clone()).collect();
            }
            // A claim may have changed between the two looks.
            assert!(Instant::now() < deadline, "{own:?} {differences:#?}");
        }
    }

    fn group(&self, name: &str) -> serde_json::Map<String, Value> {
        let rows = self.rig.rows(&["nodegroups"]);
        rows.into_iter().find(|row| cell(row, "name") == name).unwrap_or_else(|| panic!("no group {name}"))
    }
}

/// Waits for a line that holds all of these.
fn wait_line(session: &Session, parts: &[&str]) {
    let wanted =
        |screen: &vt100::Screen| screen.contents().lines().any(|line| parts.iter().all(|part| line.contains(part)));
    let seen = session.wait_for(PATIENCE, wanted);
    assert!(seen.is_some(), "no line with {parts:?} came; the screen is\n{}", session.text());
}

/// Presses keys until the screen, its lines put together, says this: what is said at its foot goes by itself.
fn press_until_said(session: &mut Session, keys: &str, words: &str) {
    let said =
        |screen: &vt100::Screen| screen.contents().split_whitespace().collect::<Vec<_>>().join(" ").contains(words);
    let deadline = Instant::now() + PATIENCE;
    loop {
        session.send(keys);
        if session.wait_for(Duration::from_secs(10), said).is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "{words:?} was not said; the screen is\n{}", session.text());
    }
}

/// One rig for both: it is a whole control plane.
#[test]
fn pools_of_a_real_karpenter_are_followed_and_scaled_where_they_can_be() {
    let Some(karpenter) = Karpenter::start() else { return };
    up_and_down_by_pods(&karpenter);
    up_and_down_by_key(&karpenter);
}

fn up_and_down_by_pods(karpenter: &Karpenter) {
    let mut session = karpenter.place.open(&["nodegroups"], (160, 40));
    wait_line(&session, &["general", "karpenter", "–·–·0·0·0", "spot", "ok"]);
    wait_line(&session, &["fixed", "karpenter", "0·–·0·0·0", "on-demand", "ok"]);

    // Up: a pod waits.
    karpenter.kubectl(&["apply", "-f", "-"], INFLATE);
    wait_line(&session, &["general", "–·–·1·1·1", "current", "ok"]);
    let claim = karpenter.assert_claims("general");
    let of = |column: &str| claim.iter().find(|(header, _)| header == column).map_or("", |(_, cell)| cell);
    wait_line(&session, &["general", of("type"), of("capacity")]);
    assert_eq!((of("ready"), of("capacity"), of("drifted")), ("True", "spot", ""));
    karpenter.kubectl(&["rollout", "status", "deployment", "inflate", "--timeout=300s"], "");
    karpenter.await_nodes("general", 1);
    let row = karpenter.group("general");
    let cells = ["kind", "funnel", "types", "capacity", "release", "pods"].map(|column| cell(&row, column));
    assert_eq!(cells, ["karpenter", "–·–·1·1·1", of("type"), "spot", "current", "1"]);
    session.send(":nodeclaims\r");
    session.wait_text("nodeclaims(all)[1]");
    wait_line(&session, &[of("name"), of("type"), of("capacity"), of("zone"), of("node"), "True", "ready"]);

    // Drift: the pool wants other nodes than it has.
    let change = r#"{"spec": {"template": {"metadata": {"labels": {"generation": "two"}}}}}"#;
    karpenter.kubectl(&["patch", "nodepool", "general", "--type", "merge", "-p", change], "");
    wait_line(&session, &[of("name"), "drifted"]);
    let drifted = karpenter.assert_claims("general");
    assert!(drifted.contains(&("drifted".to_owned(), "True".to_owned())), "{drifted:?}");
    session.send(":ng\r");
    wait_line(&session, &["general", "–·–·1·1·1", "drifted 1"]);

    // Down: nothing runs on it any more.
    karpenter.kubectl(&["delete", "deployment", "inflate"], "");
    wait_line(&session, &["general", "–·–·0·0·0", "ok"]);
    assert_eq!(karpenter.claims().1, [[""; 0]; 0]);
    karpenter.await_nodes("general", 0);
}

/// A pool with a size is scaled, and one without says what would.
fn up_and_down_by_key(karpenter: &Karpenter) {
    let mut session = karpenter.place.open(&["nodegroups"], (80, 24));
    wait_line(&session, &["fixed", "0·–·0·0·0"]);
    wait_line(&session, &["general", "–·–·0·0·0"]);

    session.send("g+\r");
    session.wait_text("scale node group fixed");
    session.send("y");
    wait_line(&session, &["fixed", "1·–·1·1·1", "ok"]);
    press_until_said(&mut session, ":messages\r", "fixed: 1 node is ready");
    session.send(":ng\r");
    session.wait_text("nodegroups(");
    assert_eq!(karpenter.replicas("fixed"), "1");
    karpenter.assert_claims("fixed");
    session.send("gU");
    session.wait_text("scale node group fixed back");
    session.send("y");
    wait_line(&session, &["fixed", "0·–·0·0·0", "ok"]);
    assert_eq!(karpenter.replicas("fixed"), "0");

    // At 80 columns every word is there.
    session.send("G");
    let cannot = "general cannot be scaled from here: Karpenter sizes it by the pods that wait (scale a workload: it \
                  grows up to spec.limits. Only a pool made with spec.replicas has a size)";
    let quiet = "general has no scaling activities: it has no Auto Scaling group (what Karpenter does is in :nodeclaims \
                 and :events)";
    for key in ["+", "-", "s", "U"] {
        press_until_said(&mut session, key, cannot);
        press_until_said(&mut session, "a", quiet);
    }
    // That is so: the API server does not let a pool have a size later.
    let change = r#"{"spec": {"replicas": 1}}"#;
    let patched = karpenter.rig.kubectl(&["patch", "nodepool", "general", "--type", "merge", "-p", change], "");
    let refused = String::from_utf8_lossy(&patched.stderr).into_owned();
    assert!(refused.contains("static (replicas set) and dynamic"), "{refused}");
}
