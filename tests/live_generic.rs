//! Every kind without a file of its own, against the live rig: all rows and all cells equal the server's Table, by which
//! kubectl prints.
//!
//! Skipped with a notice where `EKSCOPE_RIG_KUBECONFIG` does not name the kubeconfig of a rig (`tests/live/rig.sh`).
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

mod pty;
mod rig;

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use ekscope::kinds::registry;
use rig::{Rig, Table, items, text};
use serde_json::{Map, Value};

/// Groups of the definitions that these tests make.
const PRINTING: &str = "printing.example.com";
const MOMENT: &str = "moment.example.com";
/// Attempts for one kind: the rig lives, and a row may change between two looks at it.
const ATTEMPTS: usize = 3;

/// A kind of the server: what `ekscope get` takes, and its collection.
struct Served {
    word: String,
    path: String,
}

/// Every kind that can be listed and has no file of its own, by the legacy discovery that ekscope does not use here.
fn served(rig: &Rig) -> Vec<Served> {
    let own = registry().0;
    let mut roots = vec![(String::new(), "/api/v1".to_owned())];
    let groups = rig.get("/apis", "application/json");
    for group in items(&groups["groups"]) {
        // The other tests' own come and go.
        if [PRINTING, MOMENT].contains(&&*text(&group["name"])) {
            continue;
        }
        let version = text(&group["preferredVersion"]["groupVersion"]);
        roots.push((text(&group["name"]), format!("/apis/{version}")));
    }
    let mut served = Vec::new();
    for (group, root) in roots {
        for resource in items(&rig.get(&root, "application/json")["resources"]) {
            let plural = text(&resource["name"]);
            let listed = items(&resource["verbs"]).iter().any(|verb| verb == "list");
            if listed && !own.iter().any(|info| info.plural == plural && info.group == group) {
                let word = if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") };
                served.push(Served { word, path: format!("{root}/{plural}") });
            }
        }
    }
    served
}

/// The server's Table, and which of its columns are times since something.
fn expected(rig: &Rig, path: &str) -> (Table, Vec<String>) {
    let table = rig.get(path, rig::TABLE);
    let columns = items(&table["columnDefinitions"]);
    let names: Vec<String> = columns.iter().map(|column| text(&column["name"]).to_lowercase()).collect();
    let ages = columns
        .iter()
        .zip(&names)
        .filter(|(column, name)| column["type"] == "date" || *name == "age" || name.ends_with(" seen"))
        .map(|(_, name)| name.clone())
        .collect();
    let rows = items(&table["rows"])
        .iter()
        .map(|row| {
            let meta = &row["object"]["metadata"];
            let cells: Map<_, _> = names.iter().cloned().zip(items(&row["cells"]).iter().cloned()).collect();
            // The name as it is printed: a storage class may be `gp3 (default)`.
            ((text(&meta["namespace"]), text(&cells["name"])), cells)
        })
        .collect();
    (rows, ages)
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        // 42 and 42.0 are one number.
        (Some(one), Some(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// Compares one kind, and gives the number of its rows.
fn compare(rig: &Rig, kind: &Served) -> usize {
    let mut last = Vec::new();
    for _ in 0..ATTEMPTS {
        let start = Instant::now();
        let ((expected, ages), found) = (expected(rig, &kind.path), rig.table(&[&kind.word, "-A"]));
        let elapsed = start.elapsed();
        let mut differences: Vec<String> = Vec::new();
        for (key, row) in &expected {
            let Some(other) = found.get(key) else {
                differences.push(format!("{key:?} is missing"));
                continue;
            };
            for (column, wanted) in row {
                let got = other.get(column);
                let agree = got.is_some_and(|got| {
                    if ages.contains(column) {
                        rig::ages_agree(&text(wanted), &text(got), elapsed)
                    } else {
                        same(wanted, got)
                    }
                });
                if !agree {
                    differences.push(format!("{key:?} {column}: {wanted} and not {got:?}"));
                }
            }
        }
        let extra = found.keys().filter(|key| !expected.contains_key(*key));
        differences.extend(extra.map(|key| format!("{key:?} is too many")));
        if differences.is_empty() {
            return expected.len();
        }
        last = differences;
    }
    let shown = last.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
    panic!("{}: {} differences\n  {shown}", kind.word, last.len());
}

#[test]
fn rows_of_every_other_kind_are_the_servers() {
    let Some(rig) = Rig::find() else { return };
    let kinds = served(&rig);
    let mut custom = 0;
    for kind in &kinds {
        let rows = compare(&rig, kind);
        custom += usize::from(kind.word.contains(".example.com"));
        eprintln!("{}: {rows} rows are equal", kind.word);
    }
    assert!(custom >= 2, "the rig has custom resources: {custom}");
    assert!(kinds.len() - custom >= 12, "and other kinds: {}", kinds.len() - custom);
}

/// A definition whose columns print what is hard to print, and objects to print.
const ODD: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: oddities.printing.example.com}
spec:
  group: printing.example.com
  scope: Cluster
  names: {plural: oddities, kind: Oddity}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    additionalPrinterColumns:
    - {name: Text, type: string, jsonPath: .value}
    - {name: Whole, type: integer, jsonPath: .value}
    - {name: Number, type: number, jsonPath: .value}
    - {name: Flag, type: boolean, jsonPath: .value}
    - {name: When, type: date, jsonPath: .value}
    - {name: Slice, type: string, jsonPath: '.value[1:3]'}
    - {name: Last, type: string, jsonPath: '.value[-1]'}
    - {name: All, type: string, jsonPath: '.value[*].name'}
    - {name: Filtered, type: string, jsonPath: '.value[?(@.size>1)].name'}
    - {name: Fraction, type: string, jsonPath: '.value[?(@.size>1.5)].name'}
    - {name: Quoted, type: string, jsonPath: ".value[?(@.name=='b')].size"}
    - {name: Exists, type: string, jsonPath: '.value[?(@.size)].name'}
    - {name: Union, type: string, jsonPath: '.value[2,0]'}
    - {name: Key, type: string, jsonPath: ".value['a\\.b']"}
    - {name: Deep, type: string, jsonPath: '..deepest'}
    - {name: Nothing, type: string, jsonPath: .}
    - {name: Word, type: string, jsonPath: '.value range'}
    - {name: Outside, type: string, jsonPath: '.value}{.metadata.name'}
"#;

/// The same without the column that only the server can print.
fn plain() -> String {
    ODD.lines().filter(|line| !line.contains("Outside")).collect::<Vec<_>>().join("\n")
}

const VALUES: &[&str] = &[
    "null",
    "true",
    "7",
    "-3.75",
    "1234567.5",
    "0.00001",
    r#""""#,
    r#""plain""#,
    r#""2020-02-29T12:00:00Z""#,
    r#""2020-02-29T12:00:00.5+02:00""#,
    r#""2020-02-29""#,
    r#""<a> & \"b\" \\ \u2028 é 東""#,
    "[]",
    "[1]",
    "[1, 2.5, 3, \"four\"]",
    r#"[{"name": "a", "size": 1}, {"name": "b", "size": 2}, {"name": "c", "size": 2.5}, {"name": "d"}]"#,
    r#"[{"name": "a", "size": 1}, {"name": "b", "size": 2}]"#,
    r#"[{"name": "x", "size": "2"}]"#,
    r#"{"a.b": "dotted", "z": [1.5e-7, 1e20, true, null], "h": "<&>", "deepest": {"b": 1, "a": 2}}"#,
];

/// A definition that goes with the test.
struct Definition<'a> {
    rig: &'a Rig,
    name: &'static str,
}

impl<'a> Definition<'a> {
    fn create(rig: &'a Rig, name: &'static str, text: &str) -> Self {
        let definition = Self { rig, name };
        definition.apply(text);
        rig.kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}")], "");
        definition
    }

    fn apply(&self, text: &str) {
        let output = self.rig.kubectl(&["apply", "--server-side", "-f", "-"], text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn delete(&self) {
        self.rig.kubectl(&["delete", "--ignore-not-found", "crd", self.name], "");
    }
}

impl Drop for Definition<'_> {
    fn drop(&mut self) {
        self.delete();
    }
}

#[test]
fn odd_values_are_printed_as_the_server_prints_them() {
    let Some(rig) = Rig::find() else { return };
    let kind = Served {
        word: "oddities.printing.example.com".to_owned(),
        path: "/apis/printing.example.com/v1/oddities".to_owned(),
    };
    let definition = Definition::create(&rig, "oddities.printing.example.com", &plain());
    let mut objects = String::new();
    for (index, value) in VALUES.iter().enumerate() {
        let _ = writeln!(
            objects,
            "{{\"apiVersion\": \"printing.example.com/v1\", \"kind\": \"Oddity\", \
             \"metadata\": {{\"name\": \"odd-{index}\"}}, \"value\": {value}}}\n---"
        );
    }
    definition.apply(&objects);
    assert_eq!(compare(&rig, &kind), VALUES.len());
    // One column that we do not evaluate, and the server prints all of them.
    definition.apply(ODD);
    assert_eq!(compare(&rig, &kind), VALUES.len());
}

#[test]
fn a_definition_that_changes_or_goes_is_followed() {
    let Some(rig) = Rig::find() else { return };
    let text = |column: &str| {
        format!(
            r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: fleeting.moment.example.com}}
spec:
  group: moment.example.com
  scope: Cluster
  names: {{plural: fleeting, kind: Fleeting}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
    additionalPrinterColumns:
    - {{name: {column}, type: string, jsonPath: .value}}
"
        )
    };
    let object = "{apiVersion: moment.example.com/v1, kind: Fleeting, metadata: {name: one}, value: seen}";
    let home = tempfile::tempdir().expect("a folder");
    let home = home.path().to_string_lossy().into_owned();
    let mut screen = pty::Session::start(&pty::Options {
        program: Path::new(env!("CARGO_BIN_EXE_ekscope")),
        arguments: vec!["--kubeconfig".to_owned(), rig.kubeconfig.clone(), "namespaces".to_owned()],
        environment: vec![("HOME".to_owned(), home.clone()), ("XDG_STATE_HOME".to_owned(), home)],
        columns: 120,
        rows: 20,
    });
    screen.wait_text("● live");
    for round in 0..2 {
        let definition = Definition::create(&rig, "fleeting.moment.example.com", &text("Before"));
        definition.apply(object);
        // The command line knows a kind as soon as it is discovered, and that takes a moment.
        let known = (0..30).any(|_| {
            screen.send(":fleeting\r");
            screen.wait_for(Duration::from_secs(2), |screen| screen.contents().contains("BEFORE")).is_some()
        });
        assert!(known, "round {round}: {}", screen.text());
        screen.wait_text("seen");
        definition.apply(&text("After"));
        screen.wait("the new column, with its value", |screen| {
            let text = screen.contents();
            text.contains("AFTER") && !text.contains("BEFORE") && text.contains("seen")
        });
        definition.delete();
        screen.wait_text("no longer serves fleeting.moment.example.com");
        screen.wait("another view", |screen| !screen.contents().contains("AFTER"));
    }
}
