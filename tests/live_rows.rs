//! Every kind with a file of its own, against the live rig: all rows, and all columns that kubectl has, equal the cells
//! that the API server prints for kubectl; and both encodings give the same rows.
//!
//! Skipped with a notice where `EKSCOPE_RIG_KUBECONFIG` does not name the kubeconfig of a rig (`tests/live/rig.sh`,
//! seeded with `cases`, `workloads` and `crds`).
//! `kubectl` is taken from `EKSCOPE_RIG_KUBECTL`, or from the path.

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

mod rig;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ekscope::{
    kinds::{KindInfo, Origin, nodegroup::KARPENTER_GROUP, registry},
    util::quantity,
};
use rig::{Rig, Table, cell, items, text};
use serde_json::Value;

/// Attempts for one kind: the rig lives, and a row may change between two looks at it.
const ATTEMPTS: usize = 3;

/// Columns that tell a time since something.
const AGES: &[&str] = &[
    "age",
    "last seen",
    "first seen",
    "last schedule",
    "last-schedule",
    "last-success",
    "last-restart",
    "last-exit-age",
    "last-scale",
    "duration",
];

/// Columns of metrics.k8s.io, which every look measures anew.
const MEASURED: &[&str] = &["cpu", "mem", "%cpu", "%mem", "%cpu-req", "%mem-req"];

/// What kubectl would print, as the server gives it, by kubectl's headers in lower case.
fn kubectl_rows(rig: &Rig, info: &KindInfo) -> Table {
    let table = rig.get(&format!("{}?includeObject=Metadata", info.path(None)), rig::TABLE);
    let headers: Vec<String> =
        items(&table["columnDefinitions"]).iter().map(|column| text(&column["name"]).to_lowercase()).collect();
    items(&table["rows"])
        .iter()
        .map(|row| {
            let meta = &row["object"]["metadata"];
            let cells = headers.iter().cloned().zip(items(&row["cells"]).iter().cloned());
            ((text(&meta["namespace"]), text(&meta["name"])), cells.collect())
        })
        .collect()
}

/// Columns of `expected` that are otherwise in `found`.
fn differences(expected: &Table, found: &Table, elapsed: Duration, same: fn(&str, &str, &str) -> bool) -> Vec<String> {
    let mut differences = Vec::new();
    for (key, row) in expected {
        let Some(other) = found.get(key) else {
            differences.push(format!("{key:?} is missing"));
            continue;
        };
        for column in row.keys() {
            let (wanted, got) = (cell(row, column), cell(other, column));
            let agree = if !other.contains_key(column) {
                false
            } else if AGES.contains(&column.as_str()) {
                rig::ages_agree(&wanted, &got, elapsed)
            } else {
                same(column, &wanted, &got)
            };
            if !agree {
                differences.push(format!("{key:?} {column}: {wanted:?} and not {got:?}"));
            }
        }
    }
    differences
        .extend(found.keys().filter(|key| !expected.contains_key(key)).map(|key| format!("{key:?} is too many")));
    differences
}

fn assert_settles(what: &str, mut attempt: impl FnMut() -> (usize, Vec<String>)) {
    let mut last = Vec::new();
    for _ in 0..ATTEMPTS {
        let (count, differences) = attempt();
        if differences.is_empty() {
            eprintln!("{what}: {count} rows are equal");
            return;
        }
        last = differences;
    }
    let shown = last.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
    panic!("{what}: {} differences\n  {shown}", last.len());
}

/// Kinds with a file of their own that kubectl knows too.
fn kinds() -> Vec<KindInfo> {
    registry()
        .0
        .into_iter()
        .filter(|info| info.origin == Origin::Server && info.plural != "containers")
        // The rig has no Karpenter.
        .filter(|info| info.group != KARPENTER_GROUP)
        .collect()
}

#[test]
fn rows_are_kubectls() {
    let Some(rig) = Rig::find() else { return };
    for info in kinds() {
        assert_settles(&info.plural, || {
            let start = Instant::now();
            let expected = kubectl_rows(&rig, &info);
            let found = rig.table(&[&info.plural, "-A"]);
            let mut differences = differences(&expected, &found, start.elapsed(), |column, wanted, got| match column {
                // kubectl adds when the last one was: `3 (5m ago)`.
                "restarts" => wanted.split(' ').next() == Some(got),
                _ => wanted == got,
            });
            if expected.is_empty() {
                differences.push("the rig has none: it is not seeded".to_owned());
            }
            (expected.len(), differences)
        });
    }
}

#[test]
fn both_encodings_give_the_same_rows() {
    let Some(rig) = Rig::find() else { return };
    for info in kinds() {
        assert_settles(&format!("{} as JSON", info.plural), || {
            let start = Instant::now();
            let protobuf = rig.table(&[&info.plural, "-A", "--encoding", "protobuf"]);
            let json = rig.table(&[&info.plural, "-A", "--encoding", "json"]);
            let same = |column: &str, one: &str, other: &str| one == other || MEASURED.contains(&column);
            (protobuf.len(), differences(&protobuf, &json, start.elapsed(), same))
        });
    }
}

#[test]
fn containers_are_those_of_the_pods() {
    let Some(rig) = Rig::find() else { return };
    let part = |pod: &Value, list: &str, statuses: &str| -> Vec<(String, String, String)> {
        items(&pod["spec"][list])
            .iter()
            .map(|container| {
                let status = items(&pod["status"][statuses]).iter().find(|status| status["name"] == container["name"]);
                let restarts = status.map_or(Value::Null, |status| status["restartCount"].clone());
                (text(&pod["metadata"]["name"]), text(&container["name"]), text(&restarts))
            })
            .collect()
    };
    for encoding in ["protobuf", "json"] {
        assert_settles(&format!("containers of cases in {encoding}"), || {
            let pods = rig.get("/api/v1/namespaces/cases/pods", "application/json");
            let mut expected: Vec<_> = items(&pods["items"])
                .iter()
                .flat_map(|pod| {
                    [
                        part(pod, "initContainers", "initContainerStatuses"),
                        part(pod, "containers", "containerStatuses"),
                        part(pod, "ephemeralContainers", "ephemeralContainerStatuses"),
                    ]
                    .concat()
                })
                .collect();
            let rows = rig.rows(&["containers", "-n", "cases", "--encoding", encoding]);
            let mut found: Vec<_> =
                rows.iter().map(|row| (cell(row, "pod"), cell(row, "name"), cell(row, "restarts"))).collect();
            expected.sort();
            found.sort();
            let differ = expected.iter().zip(&found).filter(|(one, other)| one != other);
            let mut differences: Vec<String> =
                differ.map(|(one, other)| format!("{one:?} and not {other:?}")).collect();
            if expected.len() != found.len() || expected.is_empty() {
                differences.push(format!("{} and not {}", expected.len(), found.len()));
            }
            (expected.len(), differences)
        });
    }
}

/// `kubectl describe nodes` prints, for each node, what its pods ask for and may use.
fn described(text: &str) -> BTreeMap<String, [u64; 4]> {
    let mut nodes = BTreeMap::new();
    let mut name = String::new();
    let mut in_sums = false;
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("Name:") {
            found.trim().clone_into(&mut name);
        }
        // A section ends where the next one stands at the left margin.
        if !line.starts_with(' ') {
            in_sums = line.starts_with("Allocated resources:");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let read = match words.first() {
            Some(&"cpu") if in_sums => (0, quantity::milli as fn(&str) -> u64),
            Some(&"memory") if in_sums => (2, quantity::units as fn(&str) -> u64),
            _ => continue,
        };
        let sums: &mut [u64; 4] = nodes.entry(name.clone()).or_default();
        let percent = words[4].trim_matches(['(', ')', '%']).parse().expect("a percentage");
        sums[read.0] = read.1(words[1]);
        sums[read.0 + 1] = percent;
    }
    nodes
}

#[test]
fn requests_of_nodes_are_those_of_describe() {
    let Some(rig) = Rig::find() else { return };
    assert_settles("requests and limits of nodes", || {
        let output = rig.kubectl(&["describe", "nodes", "--show-events=false"], "");
        let expected = described(&String::from_utf8_lossy(&output.stdout));
        assert!(!expected.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: BTreeMap<String, [f64; 4]> = rig
            .rows(&["nodes"])
            .iter()
            .map(|row| {
                let number = |column: &str| row.get(column).and_then(Value::as_f64).unwrap_or(f64::NAN);
                (cell(row, "name"), ["cpu-req", "%cpu-lim", "mem-req", "%mem-lim"].map(number))
            })
            .collect();
        // kubectl cuts percentages off, ours are rounded to a tenth; of a node that does not say what it has, kubectl
        // says 0 % and we that it is unknown.
        let percent = |wanted: u64, got: f64| {
            if got.is_nan() { wanted == 0 } else { (-0.1..1.1).contains(&(got - wanted as f64)) }
        };
        let agree = |wanted: &[u64; 4], got: &[f64; 4]| {
            got[0] == wanted[0] as f64
                && got[2] == wanted[2] as f64
                && percent(wanted[1], got[1])
                && percent(wanted[3], got[3])
        };
        let differences = expected
            .iter()
            .filter(|(name, sums)| !found.get(*name).is_some_and(|found| agree(sums, found)))
            .map(|(name, sums)| format!("{name}: {sums:?} and not {:?}", found.get(name)))
            .collect();
        (expected.len(), differences)
    });
}
