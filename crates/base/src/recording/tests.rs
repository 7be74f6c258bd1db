//! What goes into a file and comes out of it, and what must not.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Request, Response};
use serde_json::json;

use super::redact::Redactor;
use super::*;

fn redacted(mut value: Value) -> Value {
    Redactor::default().object(&mut value);
    value
}

#[test]
fn what_may_be_secret_is_hidden_wherever_it_stands() {
    let pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "api-7f9c8d6b5-x2x9d", "uid": "a-123456789012", "resourceVersion": "123456789012",
            "labels": { "team": "payments" },
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"env\":[{\"value\":\"hunter2\"}]}",
                "kubectl.kubernetes.io/restartedAt": "2026-01-31T12:00:00Z",
                "example.com/note": "the password is hunter2",
            },
            "managedFields": [{ "manager": "kubectl" }],
        },
        "spec": { "containers": [{
            "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:1.2",
            "command": ["sh", "-c", "PGPASSWORD=hunter2 psql"], "args": ["--key", "hunter2"],
            "env": [{ "name": "MODE", "value": "hunter2" },
                    { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "database", "key": "password" } } }],
            "livenessProbe": { "httpGet": { "httpHeaders": [{ "name": "Authorization", "value": "hunter2" }] } },
            "resources": { "requests": { "memory": "137438953472" } },
        }] },
        "status": { "message": "login as admin failed, token=hunter2hunter2 at postgres://admin:hunter2@db:5432/x" },
    });
    let clean = redacted(pod);
    assert!(!clean.to_string().contains("hunter2"), "{clean:#}");
    assert!(clean["metadata"].get("managedFields").is_none());
    let container = &clean["spec"]["containers"][0];
    for (what, kept) in [
        (&clean["metadata"]["uid"], "a-123456789012"),
        (&clean["metadata"]["resourceVersion"], "123456789012"),
        (&clean["metadata"]["labels"]["team"], "payments"),
        (&clean["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"], "2026-01-31T12:00:00Z"),
        (&container["image"], "000000000001.dkr.ecr.eu-west-1.amazonaws.com/api:1.2"),
        (&container["resources"]["requests"]["memory"], "137438953472"),
        (&container["env"][1]["valueFrom"]["secretKeyRef"]["name"], "database"),
        (&container["env"][0]["name"], "MODE"),
    ] {
        assert_eq!(what, kept);
    }
}

#[test]
fn nothing_is_left_of_what_secrets_and_config_maps_hold() {
    let list = json!({
        "kind": "SecretList", "metadata": { "continue": "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "resourceVersion": "7" },
        "items": [
            { "metadata": { "name": "db" }, "data": { "password": "aHVudGVyMg==", "empty": "" }, "type": "Opaque" },
            { "metadata": { "name": "cm" }, "data": { "app.yaml": "user: hunter2" }, "binaryData": { "x": "aHVudGVyMg==" } },
            { "metadata": { "name": "new" }, "stringData": { "password": "hunter2" } },
        ],
    });
    let clean = redacted(list);
    let text = clean.to_string();
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{clean:#}");
    assert_eq!(clean["metadata"]["continue"], "page-1");
    assert_eq!(clean["items"][0]["data"], json!({ "password": "aGlkZGVu", "empty": "" }), "keys and Base64 stay");
    assert_eq!(clean["items"][0]["type"], "Opaque");
}

#[test]
fn credentials_are_known_by_their_keys_and_by_their_looks() {
    for (value, clean) in [
        (json!({ "clientSecret": "x" }), json!({ "clientSecret": "‹hidden›" })),
        (json!({ "status": { "token": "x" } }), json!({ "status": { "token": "‹hidden›" } })),
        (json!({ "api-key": ["a", "b"] }), json!({ "api-key": ["‹hidden›", "‹hidden›"] })),
        (json!({ "secretName": "web-tls" }), json!({ "secretName": "web-tls" })),
        (json!({ "accountId": 123456789012_u64 }), json!({ "accountId": 1 })),
        (
            json!({ "parameters": [{ "name": "a", "value": "x" }] }),
            json!({ "parameters": [{ "name": "a", "value": "‹hidden›" }] }),
        ),
        (json!({ "env": { "MODE": "x" } }), json!({ "env": { "MODE": "‹hidden›" } })),
        (json!({ "userData": "#!/bin/sh" }), json!({ "userData": "‹hidden›" })),
        (json!({ "values": ["a", "b"] }), json!({ "values": ["a", "b"] })),
        (json!({ "caBundle": "x" }), json!({ "caBundle": "‹hidden›" })),
        (json!("-----BEGIN CERTIFICATE-----\nMIIB\n"), json!("‹hidden›")),
        (json!("eyJhbGciOi.eyJzdWIi.c2ln"), json!("‹hidden›")),
        (json!("c29tZSBzZWNyZXQ/dGV4dCAx+2"), json!("‹hidden›")),
        (json!("arn:aws:iam::123456789012:role/x"), json!("arn:aws:iam::000000000001:role/x")),
        (json!("sha256:0123456789ab0123456789ab"), json!("sha256:0123456789ab0123456789ab")),
        (json!("1234567890123"), json!("1234567890123")),
        (json!("FailedToRetrieveImagePullSecret"), json!("FailedToRetrieveImagePullSecret")),
        (json!({ "annotations": { "example.com/x": 3 } }), json!({ "annotations": { "example.com/x": "‹hidden›" } })),
    ] {
        assert_eq!(redacted(value.clone()), clean, "{value}");
    }
}

#[test]
fn what_belongs_together_stays_together() {
    let mut redactor = Redactor::default();
    assert_eq!(redactor.text("210987654321.dkr.ecr"), "000000000001.dkr.ecr");
    assert_eq!(redactor.text("arn:aws:iam::123456789012:user/a"), "arn:aws:iam::000000000002:user/a");
    assert_eq!(redactor.path("/api/v1/namespaces/a-210987654321/pods"), "/api/v1/namespaces/a-000000000001/pods");
    let mut list = json!({ "metadata": { "continue": "a/b=" } });
    redactor.object(&mut list);
    assert_eq!(list["metadata"]["continue"], "page-1");
    assert_eq!(redactor.path("/api/v1/pods?limit=5&continue=a%2Fb%3D"), "/api/v1/pods?limit=5&continue=page-1");
}

/// A file in a folder of its own.
fn place() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    (folder, path)
}

fn head() -> Head {
    Head::new(Some("payments".to_owned()), Some("pods".to_owned()), None)
}

fn ask(recorder: &Recorder, path: &str) -> Exchange {
    let request = Request::get(format!("https://host:1/prefix{path}"));
    recorder.request(&request.header("authorization", "Bearer hunter2").body(Bytes::new()).unwrap(), "/prefix")
}

fn answer(exchange: &Exchange, encoding: &str) {
    let response = Response::builder().header("content-type", "application/json").header("content-encoding", encoding);
    exchange.answer(&response.body(()).unwrap());
}

fn read(path: &std::path::Path) -> (Vec<(u64, What)>, Option<Recorded>) {
    let mut reader = Reader::open(path).unwrap();
    assert_eq!(reader.head.namespace.as_deref(), Some("payments"));
    let entries = std::iter::from_fn(|| reader.entry().unwrap().map(|entry| (entry.exchange, entry.what))).collect();
    (entries, reader.end)
}

/// A list in pieces, a compressed one, a watch with half a line at its end, garbage, and a request without an answer.
fn record(path: &std::path::Path) -> Recording {
    let recording = Recording::start(path, &head()).unwrap();
    let recorder = recording.recorder();
    let mut list = ask(&recorder, "/api/v1/pods?limit=1");
    answer(&list, "identity");
    list.bytes(Bytes::from_static(b"{\"kind\":\"PodList\","));
    list.bytes(Bytes::from_static(b"\"items\":[]}"));
    list.end(End::Whole);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"{\"packed\":true}").unwrap();
    let mut zipped = ask(&recorder, "/version");
    answer(&zipped, "gzip");
    for part in packed.finish().unwrap().chunks(7) {
        zipped.bytes(Bytes::copy_from_slice(part));
    }
    zipped.end(End::Whole);
    let mut watch = ask(&recorder, "/api/v1/pods?watch=true");
    answer(&watch, "identity");
    watch.bytes(Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{}}\n{\"type\":"));
    watch.bytes(Bytes::from_static(b"\"DELETED\",\"object\":{}}\nrubbish\n{\"ty"));
    watch.end(End::Cut);
    ask(&recorder, "/readyz").failed(&"connection refused");
    drop(ask(&recorder, "/healthz"));
    recording
}

#[test]
fn what_is_heard_is_what_is_read() {
    let (_folder, path) = place();
    let recording = record(&path);
    assert_eq!(recording.finish().unwrap(), Written { requests: 5, bodies: 4 });
    let (entries, end) = read(&path);
    assert_eq!(end, Some(Recorded::Whole));
    let asked = |path: &str| What::Request {
        method: "GET".to_owned(),
        path: path.to_owned(),
        accept: String::new(),
        body: None,
    };
    let answered = || What::Answer { status: 200, content_type: "application/json".to_owned(), retry_after: None };
    assert_eq!(
        entries,
        [
            (1, asked("/api/v1/pods?limit=1")),
            (1, answered()),
            (1, What::Body(json!({ "kind": "PodList", "items": [] }))),
            (1, What::End(End::Whole)),
            (2, asked("/version")),
            (2, answered()),
            (2, What::Body(json!({ "packed": true }))),
            (2, What::End(End::Whole)),
            (3, asked("/api/v1/pods?watch=true")),
            (3, answered()),
            (3, What::Event(json!({ "type": "ADDED", "object": {} }))),
            (3, What::Event(json!({ "type": "DELETED", "object": {} }))),
            (3, What::Lost(7)),
            (3, What::Lost(4)),
            (3, What::End(End::Cut)),
            (4, asked("/readyz")),
            (4, What::Failed("connection refused".to_owned())),
            (5, asked("/healthz")),
            (5, What::End(End::Left)),
        ]
    );
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o600
    );
}

#[test]
fn a_recording_that_was_cut_short_is_good_up_to_there() {
    let (_folder, path) = place();
    record(&path).finish().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (all, _) = read(&path);
    let mut most = 0;
    for length in 60..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let Ok(mut reader) = Reader::open(&path) else { continue };
        let mut entries = Vec::new();
        while let Some(entry) = reader.entry().unwrap() {
            entries.push((entry.exchange, entry.what));
        }
        assert_eq!(entries, all[..entries.len()], "{length} bytes");
        most = most.max(entries.len());
        if entries.len() < all.len() {
            assert_eq!(reader.end, Some(Recorded::Short("its end is missing".to_owned())), "{length} bytes");
        }
    }
    assert!(most > 0);
}

#[test]
fn what_is_no_recording_is_said_with_its_place() {
    let (_folder, path) = place();
    let name = path.display().to_string();
    let told = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        let read = |mut reader: Reader| {
            while reader.entry()?.is_some() {}
            Ok::<_, crate::problem::Problem>(())
        };
        Reader::open(&path).and_then(read).unwrap_err().to_string().replace(&name, "F")
    };
    let hint = "(`ekscope --record FILE` makes one)";
    assert_eq!(told(b""), format!("F:1: this is no recording: it does not begin as one does {hint}"));
    assert_eq!(told(b"apiVersion: v1\n"), format!("F:1: this is no recording: expected value {hint}"));
    assert_eq!(told(b"{}\n"), format!("F:1: this is no recording: missing field `ekscopeRecording` {hint}"));
    let head = serde_json::to_string(&head()).unwrap();
    let later = head.replace("\"ekscopeRecording\":1", "\"ekscopeRecording\":9");
    let why = "its format is 9, and this program reads 1";
    assert_eq!(told(format!("{later}\n").as_bytes()), format!("F:1: this is no recording: {why} {hint}"));
    let text = told(format!("{head}\n{{\"at\":1,\"exchange\":0,\"finish\":{{}}}}\n").as_bytes());
    assert!(text.starts_with("F:2:") && text.contains(": this is not what a recording has there: "), "{text}");
}

#[test]
fn no_file_is_written_over() {
    let (_folder, path) = place();
    std::fs::write(&path, "mine").unwrap();
    let problem = Recording::start(&path, &head()).unwrap_err().to_string();
    assert!(problem.ends_with("there is such a file (choose another name)"), "{problem}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
