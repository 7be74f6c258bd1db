//! A recording holds nothing secret, and played again it ends in the same rows.

#![allow(
    clippy::expect_used,
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

use std::{collections::BTreeSet, io::Read, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use demo::{Demo, Place, still, wait};
use ekscope::sim::Handle;
use serde_json::{Value, json};

const SIZE: (u16, u16) = (160, 40);

/// What must not be found, whatever it stood in.
const PLANTED: [&str; 7] = [
    "zebra-crossing-at-dawn",
    "xylophone.under.water",
    "quilted-walrus-42",
    "marmalade_on_tuesday",
    "obsidian-lighthouse",
    "umbrella%factory",
    "velvet-thunder-7",
];

/// Creates an object, as another client would.
fn create(server: &Handle, path: &str, object: &Value) {
    wait(async {
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).expect("a kubeconfig");
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
        let client = kube::Client::try_from(config).expect("a client");
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(object.to_string().into_bytes()).expect("a request");
        client.request_text(request).await.expect("the object is created");
    });
}

/// Secrets where people put them.
fn plant(server: &Handle) {
    let [password, token, environment, annotation, argument, setting, applied] = PLANTED;
    let encoded = |text: &str| base64::prelude::BASE64_STANDARD.encode(text);
    create(
        server,
        "/api/v1/namespaces/payments/secrets",
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": { "name": "aaa-planted", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration":
                    json!({ "stringData": { "password": applied }, "data": { "x": encoded(applied) } }).to_string(),
                "example.com/hint": annotation,
                "example.com/encoded": encoded(&format!("{{\"a\":\"{annotation}\"}}")),
            } },
            "data": { "password": encoded(password) },
        }),
    );
    create(
        server,
        "/api/v1/namespaces/payments/secrets",
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": { "name": "aab-token", "annotations": { "kubernetes.io/service-account.name": "default" } },
            "data": { "token": encoded(token), "namespace": encoded("payments") },
        }),
    );
    create(
        server,
        "/api/v1/namespaces/payments/pods",
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "aaa-planted", "annotations": { "example.com/hint": annotation } },
            "spec": { "containers": [{
                "name": "main", "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:1",
                "command": ["sh", "-c", format!("run --with {argument}")],
                "env": [{ "name": "DB_PASSWORD", "value": environment },
                        { "name": "HEX", "value": hex(environment) }],
            }] },
        }),
    );
    create(
        server,
        "/api/v1/namespaces/payments/configmaps",
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "aaa-planted" },
            "data": { "app.ini": format!("login = {setting}") },
        }),
    );
}

fn hex(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every form in which a text may be hidden: plain, in hex, and in Base64 whatever stands before and after it.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned(), hex(text), hex(text).to_uppercase()];
    for before in 0..3 {
        let encoded = BASE64_STANDARD_NO_PAD.encode([vec![0; before], text.as_bytes().to_vec()].concat());
        // Letters that hang on what stands around are left out.
        let whole = (before + text.len()) / 3 * 4;
        forms.push(encoded[(before * 8).div_ceil(6)..whole].to_owned());
    }
    forms
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("a recording");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("a gzip stream");
    text
}

/// The rows without what the clock changes, and without account numbers, which are others.
fn comparable(rows: &[Value]) -> BTreeSet<String> {
    let account = regex::Regex::new(r"\b\d{12}\b").expect("a pattern");
    let line = |row: &Value| {
        let mut row = row.as_object().expect("a row").clone();
        row.retain(|column, _| !column.contains("age") && !column.contains("last"));
        account.replace_all(&Value::from(row).to_string(), "ACCOUNT").into_owned()
    };
    rows.iter().map(line).collect()
}

fn rows(output: &std::process::Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("an array of rows")
}

fn play(place: &Place, file: &str, arguments: &[&str]) -> std::process::Output {
    place.run(&[&["get"], arguments, &["-o", "json", "--replay", file, "--speed", "1000"]].concat())
}

#[test]
fn the_forms_of_a_text_are_found_in_any_surroundings() {
    for text in PLANTED {
        for around in 0..3 {
            let whole = [&"x".repeat(around), text, "and more"].concat();
            let encoded = base64::prelude::BASE64_STANDARD.encode(&whole);
            assert!(forms(text).iter().any(|form| encoded.contains(form.as_str())), "{text} in {encoded}");
        }
    }
}

#[test]
fn a_recording_holds_no_secret_and_ends_in_the_same_rows() {
    let demo = Demo::start(still());
    plant(&demo.server);
    let count = demo.pods();
    let file = demo.place.path("recording").display().to_string();
    let mut session = demo.open(&["pods", "-A", "--record", &file], SIZE);
    session.wait_text(&format!("pods(all)[{count}]"));
    session.wait_text("● live");
    // What holds the secrets is looked at, whole.
    for (kind, name) in
        [("secrets", "aaa-planted"), ("secrets", "aab-token"), ("configmaps", "aaa-planted"), ("pods", "aaa-planted")]
    {
        session.send(&format!(":{kind} payments /^{name}\r"));
        session.wait(&format!("the cursor on {name}"), |screen| {
            let text = screen.contents();
            let on_it = |line: &str| line.starts_with('▌') && line.contains(name);
            text.contains(&format!("{kind}(payments)[1/")) && text.lines().any(on_it)
        });
        session.send("y");
        session.wait_text(&format!("name: {name}"));
    }
    session.send(":nodes\r");
    session.wait_text("nodes(all)[6]");
    session.send(":q\r");
    assert_eq!(session.end(), 0);
    assert!(session.text().contains("answers to"), "{}", session.text());

    let text = unpacked(Path::new(&file));
    for name in ["aaa-planted", "aab-token", "DB_PASSWORD"] {
        assert!(text.contains(name), "{name} is in the recording");
    }
    let own = [demo.server.token(), "123456789012"];
    for planted in PLANTED.iter().chain(&own) {
        for form in forms(planted) {
            assert!(!text.contains(&form), "{planted} is in the recording as {form}");
        }
    }

    for kind in ["pods", "nodes"] {
        let played = play(&demo.place, &file, &[kind, "-A", "-w"]);
        assert_eq!(comparable(&rows(&played)), comparable(&demo.rows(&[kind, "-A", "-w"])), "{kind}");
    }
    let session = Place::new().open_as_is(&["--replay", &file, "--speed", "1000"], SIZE);
    session.wait_text(&format!("pods(all)[{count}]"));
    session.wait_text("● live");
    session.wait_text("replay");
}

#[test]
fn what_get_receives_can_be_played_again() {
    let demo = Demo::start(still());
    for kind in ["pods", "deployments", "secrets", "customresourcedefinitions"] {
        let file = demo.place.path(kind).display().to_string();
        let recorded = demo.place.get(&[kind, "-A", "-w", "-o", "json", "--record", &file]);
        let played = play(&demo.place, &file, &[kind, "-A", "-w"]);
        assert_eq!(comparable(&rows(&played)), comparable(&rows(&recorded)), "{kind}");
        let short = play(&demo.place, &file, &["jobs"]);
        assert!(!short.status.success(), "{kind}: jobs were not asked for");
        let told = String::from_utf8_lossy(&short.stderr).into_owned();
        assert!(told.contains("the recording does not have this"), "{kind}: {told}");
    }
}

#[test]
fn a_crash_costs_a_recording_only_its_end() {
    let demo = Demo::start(still());
    let count = demo.pods();
    let file = demo.place.path("recording").display().to_string();
    let session = demo.open(&["pods", "-A", "--record", &file], SIZE);
    session.wait_text(&format!("pods(all)[{count}]"));
    // What came is on the disk once a later flush has made the file grow.
    let length = || std::fs::metadata(&file).map_or(0, |file| file.len());
    let deadline = std::time::Instant::now() + pty::PATIENCE;
    while !unpacked_so_far(&file).contains("\"kind\":\"PodList\"") || length() < 1000 {
        assert!(std::time::Instant::now() < deadline, "the recording is not flushed");
        std::thread::yield_now();
    }
    let killed = std::process::Command::new("kill").args(["-KILL", &session.pid().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    drop(session);
    let played = play(&demo.place, &file, &["pods", "-A"]);
    assert!(String::from_utf8_lossy(&played.stderr).contains("the recording was cut short"), "it is said");
    assert_eq!(rows(&played).len(), count);
    let session = Place::new().open_as_is(&["--replay", &file, "pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{count}]"));
    let mut session = session;
    session.send("!");
    session.wait_text("the recording was cut short");
}

/// What can be read of a gzip stream that goes on.
fn unpacked_so_far(path: &str) -> String {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("a recording");
    // Its end is missing still.
    let _ = flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_file_that_is_no_recording_is_named() {
    let place = Place::new();
    let file = place.path("notes.txt");
    std::fs::write(&file, "milk\nbread\n").expect("a file");
    let file = file.display().to_string();
    let output = place.run(&["get", "pods", "--replay", &file]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(told.contains(&format!("{file}:1: this is no recording")), "{told}");
    let output = place.run(&["get", "pods", "--replay", &file, "--record", &file]);
    assert_eq!(output.status.code(), Some(2), "both at once");
}
