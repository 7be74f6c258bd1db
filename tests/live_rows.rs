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

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ekscope::{
    kinds::{KindInfo, registry},
    util::{age, quantity},
};
use serde_json::{Map, Value};

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

/// Rows by namespace and name.
type Table = BTreeMap<(String, String), Map<String, Value>>;

struct Rig {
    kubeconfig: String,
    proxy: Child,
    port: u16,
}

impl Rig {
    /// `None`, with a notice, where there is no rig.
    fn find() -> Option<Self> {
        let Ok(kubeconfig) = env::var("EKSCOPE_RIG_KUBECONFIG") else {
            assert!(env::var_os("EKSCOPE_RIG_REQUIRED").is_none(), "EKSCOPE_RIG_KUBECONFIG names no live rig");
            eprintln!("SKIPPED: EKSCOPE_RIG_KUBECONFIG names no live rig (tests/live/rig.sh start)");
            return None;
        };
        let mut proxy = Command::new(kubectl())
            .args(["--kubeconfig", &kubeconfig, "proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl proxy");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("kubectl proxy said {line:?}"));
        Some(Self { kubeconfig, proxy, port })
    }

    /// A GET through kubectl's own connection. HTTP/1.0, so that nothing comes in chunks.
    fn get(&self, path: &str, accept: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the proxy");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a body") + 4;
        let head = String::from_utf8_lossy(&answer[..split]);
        assert!(head.contains(" 200 "), "{path}: {head}");
        serde_json::from_slice(&answer[split..]).expect("JSON")
    }

    /// What kubectl would print, as the server gives it, by kubectl's headers in lower case.
    fn kubectl(&self, info: &KindInfo) -> Table {
        let table = self.get(
            &format!("{}?includeObject=Metadata", info.path(None)),
            "application/json;as=Table;v=v1;g=meta.k8s.io",
        );
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

    /// What ekscope gets.
    fn ekscope(&self, arguments: &[&str]) -> Vec<Map<String, Value>> {
        let output = Command::new(env!("CARGO_BIN_EXE_ekscope"))
            .args(["get", "-o", "json", "--kubeconfig", &self.kubeconfig])
            .args(arguments)
            .output()
            .expect("ekscope");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn ekscope_table(&self, arguments: &[&str]) -> Table {
        let rows = self.ekscope(arguments);
        let count = rows.len();
        let table: Table = rows.into_iter().map(|row| ((cell(&row, "namespace"), cell(&row, "name")), row)).collect();
        assert_eq!(table.len(), count, "{arguments:?}: every row has a name of its own");
        table
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn kubectl() -> String {
    env::var("EKSCOPE_RIG_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A cell as text; what is not known is empty.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cell(row: &Map<String, Value>, column: &str) -> String {
    row.get(column).map(text).unwrap_or_default()
}

/// Whether two ages are the same but for `elapsed` and for what their text leaves out.
fn ages_agree(one: &str, other: &str, elapsed: Duration) -> bool {
    let (Some(one), Some(other)) = (age::parse(one), age::parse(other)) else { return one == other };
    let unit = age::changes_in(one.max(other) / 60 * 60).max(1);
    (one - other).unsigned_abs() <= elapsed.as_secs() + 2 + unit.unsigned_abs()
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
                ages_agree(&wanted, &got, elapsed)
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
    registry().0.into_iter().filter(|info| !info.local && info.plural != "containers").collect()
}

#[test]
fn rows_are_kubectls() {
    let Some(rig) = Rig::find() else { return };
    for info in kinds() {
        assert_settles(&info.plural, || {
            let start = Instant::now();
            let expected = rig.kubectl(&info);
            let found = rig.ekscope_table(&[&info.plural, "-A"]);
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
            let protobuf = rig.ekscope_table(&[&info.plural, "-A", "--encoding", "protobuf"]);
            let json = rig.ekscope_table(&[&info.plural, "-A", "--encoding", "json"]);
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
            let rows = rig.ekscope(&["containers", "-n", "cases", "--encoding", encoding]);
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
        let output = Command::new(kubectl())
            .args(["--kubeconfig", &rig.kubeconfig, "describe", "nodes", "--show-events=false"])
            .output()
            .expect("kubectl");
        let expected = described(&String::from_utf8_lossy(&output.stdout));
        assert!(!expected.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: BTreeMap<String, [f64; 4]> = rig
            .ekscope(&["nodes"])
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
