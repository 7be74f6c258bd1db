//! A recording made line by line, and what a client gets of it.

use std::io::Write as _;

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::timeline::{Shift, Subject, is_collection};
use super::*;
use crate::recording::{End, Entry, What};

/// Writes a recording: lines of `(milliseconds, exchange, what)`.
fn written(lines: Vec<(u64, u64, What)>) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "{}", serde_json::to_string(&Head::new(None, None, None)).unwrap()).unwrap();
    for (at, exchange, what) in lines {
        writeln!(file, "{}", serde_json::to_string(&Entry { at, exchange, what }).unwrap()).unwrap();
    }
    (folder, path)
}

fn ask(path: &str) -> What {
    What::Request { method: "GET".into(), path: path.into(), accept: "application/json".into(), body: None }
}

fn head(status: u16) -> What {
    What::Answer { status, content_type: "application/json".into(), retry_after: None }
}

fn pod(name: &str, version: u32) -> Value {
    json!({ "metadata": { "name": name, "namespace": "a", "uid": name, "resourceVersion": version.to_string() } })
}

fn list(version: u32, more: &str, pods: &[Value]) -> What {
    let metadata = json!({ "resourceVersion": version.to_string(), "continue": more });
    What::Body(json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods }))
}

fn event(sort: &str, object: Value) -> What {
    let mut object = object;
    object["kind"] = "Pod".into();
    object["apiVersion"] = "v1".into();
    What::Event(json!({ "type": sort, "object": object }))
}

const PODS: &str = "/api/v1/pods";

/// Two pages, then a watch in which one goes and one comes.
fn two_pages() -> Vec<(u64, u64, What)> {
    vec![
        (0, 1, ask("/api/v1/pods?limit=1")),
        (1, 1, head(200)),
        (2, 1, list(5, "page-1", &[pod("x", 3)])),
        (2, 1, What::End(End::Whole)),
        (3, 2, ask("/api/v1/pods?limit=9&continue=page-1")),
        (4, 2, head(200)),
        (5, 2, list(5, "", &[pod("y", 4)])),
        (5, 2, What::End(End::Whole)),
        (6, 3, ask("/api/v1/pods?watch=true&resourceVersion=5")),
        (7, 3, head(200)),
        (8, 3, event("DELETED", pod("x", 6))),
        (9, 3, event("ADDED", pod("z", 7))),
    ]
}

/// A client of a replay, with its own runtime.
struct Client {
    _replay: Replay,
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn of(lines: Vec<(u64, u64, What)>) -> Self {
        // It fails only when there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (_folder, path) = written(lines);
        let replay = replay(&path, 1000.0).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = kube::config::Kubeconfig::from_yaml(replay.kubeconfig()).unwrap();
            let options = kube::config::KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            kube::Client::try_from(config).unwrap()
        });
        Self { _replay: replay, client, runtime }
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.runtime.block_on(async {
            let request = Request::get(path).header("accept", "application/json").body(kube::client::Body::empty());
            let response = self.client.send(request.unwrap()).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// The first events of a watch: type, name and version.
    fn events(&self, path: &str, count: usize) -> Vec<(String, String, String)> {
        self.runtime.block_on(async {
            let request = Request::get(path).header("accept", "application/json").body(kube::client::Body::empty());
            let mut body = self.client.send(request.unwrap()).await.unwrap().into_body();
            let mut text = Vec::new();
            while memchr::memchr_iter(b'\n', &text).count() < count {
                let Some(frame) = body.frame().await else { break };
                text.extend_from_slice(&frame.unwrap().into_data().unwrap());
            }
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(count);
            lines
                .map(|line| {
                    let event: Value = serde_json::from_slice(line).unwrap();
                    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
                    (text("/type"), text("/object/metadata/name"), text("/object/metadata/resourceVersion"))
                })
                .collect()
        })
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn a_list_is_whole_whichever_way_it_is_asked_for() {
    let client = Client::of(two_pages());
    // The end of the watch has come by then.
    let events = client.events(&format!("{PODS}?watch=true&resourceVersion=5"), 2);
    let expected = [("DELETED", "x", "6"), ("MODIFIED", "z", "7")];
    assert_eq!(events, expected.map(|(sort, name, version)| (sort.into(), name.into(), version.into())));
    let (status, whole) = client.get(PODS);
    assert_eq!((status, names(&whole), &whole["metadata"]["resourceVersion"]), (200, vec!["y", "z"], &json!("7")));
    assert_eq!((&whole["kind"], &whole["apiVersion"]), (&json!("PodList"), &json!("v1")));
    let (_, page) = client.get(&format!("{PODS}?limit=1"));
    let more = page["metadata"]["continue"].as_str().unwrap().replace(' ', "%20");
    let (_, rest) = client.get(&format!("{PODS}?limit=1&continue={more}"));
    assert_eq!([names(&page), names(&rest)], [["y"], ["z"]]);
    assert!(rest["metadata"].get("continue").is_none());
    let events = client.events(&format!("{PODS}?watch=true&sendInitialEvents=true"), 3);
    assert_eq!(events.iter().map(|(sort, ..)| &**sort).collect::<Vec<_>>(), ["ADDED", "ADDED", "BOOKMARK"]);
    let (status, object) = client.get("/api/v1/namespaces/a/pods/z");
    assert_eq!((status, &object["kind"], &object["metadata"]["uid"]), (200, &json!("Pod"), &json!("z")));
}

#[test]
fn a_list_that_never_became_whole_is_not_called_so() {
    let client = Client::of(two_pages().into_iter().take(4).collect());
    let (status, page) = client.get(&format!("{PODS}?limit=9"));
    assert_eq!((status, names(&page)), (200, vec!["x"]), "what there is");
    let more = page["metadata"]["continue"].as_str().unwrap().replace(' ', "%20");
    let (status, rest) = client.get(&format!("{PODS}?limit=9&continue={more}"));
    assert_eq!((status, rest["message"].as_str()), (404, Some("the recording ends before this list is whole")));
    assert_eq!(client.get(&format!("{PODS}?watch=true&sendInitialEvents=true")).0, 422, "pages are asked for");
}

#[test]
fn a_new_list_takes_away_what_it_does_not_have() {
    let mut lines = two_pages();
    lines.push((10, 3, What::End(End::Cut)));
    lines.extend([(11, 4, ask(PODS)), (12, 4, head(200)), (13, 4, list(9, "", &[pod("z", 7)]))]);
    let client = Client::of(lines);
    let events = client.events(&format!("{PODS}?watch=true&resourceVersion=7"), 2);
    let names_of: Vec<_> = events.iter().map(|(sort, name, _)| (&**sort, &**name)).collect();
    assert_eq!(names_of, [("MODIFIED", "z"), ("DELETED", "y")]);
    assert_eq!(names(&client.get(PODS).1), ["z"]);
}

#[test]
fn a_refusal_is_played_until_it_ends() {
    let forbidden = || What::Body(json!({ "kind": "Status", "code": 403, "message": "no" }));
    let mut lines = vec![(0, 9, ask(PODS)), (0, 9, head(403)), (0, 9, forbidden()), (0, 9, What::End(End::Whole))];
    let client = Client::of(lines.clone());
    assert_eq!(
        client.get(&format!("{PODS}?limit=3")),
        (403, json!({ "kind": "Status", "code": 403, "message": "no" }))
    );
    lines.extend(two_pages().into_iter().map(|(at, exchange, what)| (at + 5, exchange, what)));
    let client = Client::of(lines);
    client.events(&format!("{PODS}?watch=true&resourceVersion=5"), 2);
    assert_eq!(client.get(PODS).0, 200);
}

#[test]
fn what_was_never_asked_for_is_not_there() {
    let client = Client::of(two_pages());
    for path in ["/api/v1/nodes", "/version", "/api/v1/namespaces/a/pods/nobody"] {
        let (status, answer) = client.get(path);
        assert_eq!(status, 404, "{path}");
        assert!(answer["message"].as_str().unwrap().starts_with("the recording does not have this"), "{path}");
    }
}

#[test]
fn single_answers_are_those_of_their_time() {
    let mut lines = Vec::new();
    for (number, at) in [(1, 0), (2, 1), (3, 3_600_000)] {
        lines.extend([
            (at, number, ask("/version")),
            (at, number, head(200)),
            (at, number, What::Body(json!({ "number": number }))),
        ]);
    }
    let client = Client::of(lines);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(client.get("/version").1, json!({ "number": 2 }));
}

#[test]
fn times_are_moved_and_what_came_later_comes_faster() {
    let minute = 60_000;
    let shift = Shift { began_ms: 1_000 * minute, now_ms: 5_000 * minute, speed: 60.0 };
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    for (recorded, played) in
        [(1_000 * minute, 5_000 * minute), (940 * minute, 4_940 * minute), (1_060 * minute, 5_001 * minute)]
    {
        assert_eq!(shift.time(&at(recorded)), Some(at(played)));
    }
    assert_eq!(shift.time("1970-01-01T16:40:00.000001Z").as_deref(), Some("1970-01-04T11:20:00.000000Z"));
    for text in ["api", "1970-01-01", "not-a-time but 20 longZ", "v1.34.1-eks-0000000Z"] {
        assert_eq!(shift.time(text), None, "{text}");
    }
}

#[test]
fn paths_of_collections_are_known() {
    for (path, is) in [
        ("/api/v1/pods", true),
        ("/api/v1/namespaces", true),
        ("/api/v1/namespaces/a", false),
        ("/api/v1/namespaces/a/pods", true),
        ("/api/v1/namespaces/a/pods/x", false),
        ("/api/v1/nodes/x", false),
        ("/apis/apps/v1/deployments", true),
        ("/apis/apps/v1/namespaces/a/deployments", true),
        ("/apis/apps/v1/namespaces/a/deployments/x", false),
        ("/apis", false),
        ("/apis/apps/v1", false),
        ("/version", false),
    ] {
        assert_eq!(is_collection(path), is, "{path}");
    }
    let subject = |query, accept| Subject::new(PODS, query, accept);
    assert_eq!(subject("limit=5&labelSelector=a", "application/json"), subject("labelSelector=a&watch=1", ""));
    assert_ne!(subject("", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), subject("", ""));
}
