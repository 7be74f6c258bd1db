//! The server from outside: over TLS, as any client sees it.

use std::sync::Arc;

use ::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

use super::cluster::seed::Size;
use super::encoding::decode;
use super::world::World;
use super::*;

const START: i64 = 1_772_323_200;
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const WATCH_LIST: &str = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

struct Reply {
    code: u16,
    headers: HeaderMap,
    body: Bytes,
    /// The body ended before its end.
    broken: bool,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// The frames of a protobuf watch: event, kind and message.
    fn frames(&self) -> Vec<(String, String, &[u8])> {
        let (mut rest, mut frames) = (&self.body[..], Vec::new());
        while let Some((length, after)) = rest.split_first_chunk() {
            let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            let fields = decode::fields(frame);
            let (_, kind, message) = decode::unknown(decode::fields(fields[1].1.bytes())[0].1.bytes());
            frames.push((fields[0].1.text().to_owned(), kind, message));
            rest = after;
        }
        frames
    }
}

/// One request on a connection of its own. A watch never ends by itself: it is left when its end bookmark or, given in the
/// header `until`, some text has come.
async fn call(handle: &Handle, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let address = handle.url.strip_prefix("https://").unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(handle.authority().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector =
        tokio_rustls::TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    if !headers.iter().any(|(name, _)| *name == "authorization") {
        request = request.header("authorization", format!("Bearer {}", handle.token()));
    }
    let mut until = "k8s.io/initial-events-end";
    for (name, value) in headers {
        if *name == "until" {
            until = value;
        } else {
            request = request.header(*name, *value);
        }
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let (mut bytes, mut broken) = (Vec::new(), false);
    let left = |bytes: &[u8]| {
        path.contains("watch=1") && memchr::memmem::find(bytes, until.as_bytes()).is_some() && whole_frames(bytes)
    };
    while let Some(frame) = if left(&bytes) { None } else { response.frame().await } {
        let Ok(frame) = frame else {
            broken = true;
            break;
        };
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    Reply { code: response.status().as_u16(), headers: response.headers().clone(), body: bytes.into(), broken }
}

/// Whether a watch's body does not end in the middle of a line or frame.
fn whole_frames(mut bytes: &[u8]) -> bool {
    if bytes.starts_with(b"{") {
        return bytes.ends_with(b"\n");
    }
    while let Some((length, rest)) = bytes.split_first_chunk() {
        bytes = rest.get(u32::from_be_bytes(*length) as usize..).unwrap_or(b"?");
    }
    bytes.is_empty()
}

/// A watch until `text` has come.
async fn watch_until(handle: &Handle, path: &str, text: &str) -> Vec<Value> {
    call(handle, "GET", path, &[("until", text)], Value::Null).await.lines()
}

async fn get(handle: &Handle, path: &str, accept: &str) -> Reply {
    call(handle, "GET", path, &[("accept", accept)], Value::Null).await
}

async fn still(options: Options) -> Handle {
    start(Options { churn: 0.0, start: Some(START), nodes: 20, pods: 300, ..options }).await.unwrap()
}

fn keys(items: &Value) -> Vec<String> {
    let key = |item: &Value| {
        format!(
            "{}/{}",
            item["metadata"]["namespace"].as_str().unwrap_or_default(),
            item["metadata"]["name"].as_str().unwrap()
        )
    };
    items.as_array().unwrap().iter().map(key).collect()
}

fn small(seed: u64) -> World {
    let mut world = World::new(Size { site: &DEMO, nodes: 20, pods: 300, seed, now: START });
    world.furnish();
    world
}

fn bytes_of(world: &World) -> Vec<u8> {
    let mut bytes = Vec::new();
    for resource in catalog::ResourceId::all() {
        for object in world.snapshot(resource, "").objects.iter() {
            object.write_json(true, &mut bytes);
            object.write_message(|_, _| {}, &mut bytes);
        }
    }
    bytes
}

#[test]
fn the_same_seed_tells_the_same_story_to_the_byte() {
    let (mut one, mut other) = (small(7), small(7));
    assert!(bytes_of(&one) == bytes_of(&other));
    for step in 0..500 {
        churn::step(&mut one, START + step);
        churn::step(&mut other, START + step);
    }
    one.settle(1000);
    other.settle(1000);
    assert!(bytes_of(&one) == bytes_of(&other));
    assert!(bytes_of(&one) != bytes_of(&small(7)));
    assert!(bytes_of(&small(7)) != bytes_of(&small(8)));
}

#[test]
fn a_world_has_as_many_pods_as_asked_for_and_owners_that_exist() {
    for (nodes, pods) in [(1, 1), (3, 40), (60, 1200), (200, 300)] {
        let world = World::new(Size { site: &DEMO, nodes, pods, seed: 1, now: START });
        assert_eq!((world.count(catalog::NODES), world.count(catalog::PODS)), (nodes as usize, pods as usize));
    }
    let world = small(1);
    let uids: std::collections::HashSet<_> =
        [catalog::REPLICA_SETS, catalog::STATEFUL_SETS, catalog::DAEMON_SETS, catalog::JOBS]
            .into_iter()
            .flat_map(|resource| {
                world.snapshot(resource, "").objects.iter().map(|object| object.value()).collect::<Vec<_>>()
            })
            .map(|value| value["metadata"]["uid"].as_str().unwrap().to_owned())
            .collect();
    for pod in world.snapshot(catalog::PODS, "").objects.iter() {
        let owner = pod.value()["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap().to_owned();
        assert!(uids.contains(&owner), "{} has no owner", pod.key);
    }
}

#[test]
fn protobuf_says_what_json_says_of_every_object() {
    let mut world = small(3);
    for step in 0..300 {
        churn::step(&mut world, START + step);
    }
    for resource in catalog::ResourceId::all() {
        let Some(id) = resource.encoding().message else { continue };
        let objects = world.snapshot(resource, "").objects;
        assert!(!objects.is_empty(), "no {}", resource.plural);
        for object in objects.iter() {
            let mut bytes = Vec::new();
            object.write_message(|_, _| {}, &mut bytes);
            assert_eq!(bytes.len(), object.message_length(), "{}", object.key);
            let mut value = object.value();
            value["kind"].take();
            value["apiVersion"].take();
            assert_eq!(
                decode::plain(&decode::message(id, &bytes)),
                decode::plain(&value),
                "{} {}",
                resource.kind,
                object.key
            );
        }
    }
}

#[tokio::test]
async fn a_watch_list_comes_in_the_order_of_keys_and_ends_with_its_bookmark() {
    for preencode in [false, true] {
        let handle = still(Options { preencode, ..Options::default() }).await;
        let path = format!("/api/v1/pods?{WATCH_LIST}");
        let reply = get(&handle, &path, "application/vnd.kubernetes.protobuf;stream=watch").await;
        assert_eq!(reply.headers["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
        let id = catalog::PODS.encoding().message.unwrap();
        let mut frames: Vec<_> =
            reply.frames().into_iter().map(|(event, kind, pod)| (event, kind, decode::message(id, pod))).collect();
        let (event, kind, bookmark) = frames.pop().unwrap();
        assert_eq!([event.as_str(), kind.as_str()], ["BOOKMARK", "Pod"]);
        assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
        assert!(frames.iter().all(|(event, ..)| event == "ADDED"));
        let found = keys(&frames.iter().map(|(_, _, pod)| pod.clone()).collect());
        let listed = keys(&get(&handle, "/api/v1/pods", "application/json").await.json()["items"]);
        assert!(found.is_sorted(), "keys are ordered as etcd orders them");
        assert_eq!(found, listed);
        let lines = get(&handle, &path, "application/json").await.lines();
        let objects: Value = lines[..300].iter().map(|line| line["object"].clone()).collect();
        assert_eq!(keys(&objects), listed);
        assert_eq!(lines[300]["object"]["metadata"]["resourceVersion"], bookmark["metadata"]["resourceVersion"]);
    }
}

#[tokio::test]
async fn encoded_ahead_or_not_the_bytes_are_the_same() {
    let (ahead, fresh) =
        (still(Options { preencode: true, ..Options::default() }).await, still(Options::default()).await);
    for path in ["/api/v1/pods".to_owned(), format!("/api/v1/pods?{WATCH_LIST}")] {
        assert!(get(&ahead, &path, PROTOBUF).await.body == get(&fresh, &path, PROTOBUF).await.body, "{path}");
    }
    // A pod that changed since is encoded anew.
    ahead.step(100).await;
    let id = catalog::PODS.encoding().message.unwrap();
    let watched = get(&ahead, &format!("/api/v1/pods?{WATCH_LIST}"), PROTOBUF).await;
    let frames = watched.frames();
    let listed = get(&ahead, "/api/v1/pods", "application/json").await.json();
    for ((_, _, pod), listed) in frames.iter().zip(listed["items"].as_array().unwrap()) {
        assert_eq!(decode::plain(&decode::message(id, pod)), decode::plain(listed));
    }
}

#[tokio::test]
async fn pages_are_one_snapshot_whatever_happens_between_them() {
    let handle = still(Options::default()).await;
    let all = keys(&get(&handle, "/api/v1/pods", "").await.json()["items"]);
    let (mut found, mut next, mut versions) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = get(&handle, &format!("/api/v1/pods?limit=77&continue={next}"), "").await.json();
        found.extend(keys(&page["items"]));
        versions.push(page["metadata"]["resourceVersion"].clone());
        if let Some(remaining) = page["metadata"]["remainingItemCount"].as_u64() {
            assert_eq!(usize::try_from(remaining).unwrap(), all.len() - found.len());
        }
        handle.step(50).await;
        let Some(token) = page["metadata"]["continue"].as_str() else { break };
        token.clone_into(&mut next);
    }
    assert_eq!(found, all);
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]));
    handle.forget_history();
    let expired = get(&handle, &format!("/api/v1/pods?limit=77&continue={next}"), "").await;
    assert_eq!((expired.code, expired.json()["reason"].clone()), (410, json!("Expired")));
    let cached = get(&handle, "/api/v1/pods?limit=5&resourceVersion=0", "").await.json();
    assert_eq!(cached["items"].as_array().unwrap().len(), handle.stats().await.pods);
}

#[tokio::test]
async fn selectors_choose_and_their_lists_do_not_count_the_rest() {
    let handle = still(Options::default()).await;
    let list = get(&handle, "/api/v1/pods", "").await.json();
    let pods = list["items"].as_array().unwrap();
    let node = pods[0]["spec"]["nodeName"].as_str().unwrap();
    let expected = pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).count();
    let chosen = get(&handle, &format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"), "").await.json();
    assert_eq!(chosen["items"].as_array().unwrap().len(), expected);
    let label = "app.kubernetes.io%2Fname%20in%20(coredns)";
    let named = get(&handle, &format!("/api/v1/pods?labelSelector={label}&limit=1"), "").await.json();
    assert_eq!(named["items"].as_array().unwrap().len(), 1);
    assert!(named["metadata"]["continue"].is_string() && named["metadata"]["remainingItemCount"].is_null());
    assert_eq!(get(&handle, "/api/v1/pods?fieldSelector=spec.color%3Dred", "").await.code, 400);
    let in_namespace = get(&handle, "/api/v1/namespaces/kube-system/pods", "").await.json();
    assert!(keys(&in_namespace["items"]).iter().all(|key| key.starts_with("kube-system/")));
}

#[tokio::test]
async fn a_watch_resumes_until_its_version_is_forgotten() {
    let handle = still(Options::default()).await;
    let version = get(&handle, "/api/v1/pods?limit=1", "").await.json()["metadata"]["resourceVersion"].clone();
    let version = version.as_str().unwrap();
    handle.step(40).await;
    let resume = format!("/api/v1/pods?watch=1&resourceVersion={version}");
    let pods = get(&handle, "/api/v1/pods", "").await.json();
    let number = |pod: &Value| pod["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    let newest = pods["items"].as_array().unwrap().iter().map(number).max().unwrap();
    let events = watch_until(&handle, &resume, &format!("\"resourceVersion\":\"{newest}\"")).await;
    let versions: Vec<u64> = events
        .iter()
        .map(|event| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(versions.is_sorted() && versions[0] > version.parse().unwrap());
    handle.forget_history();
    let reply = get(&handle, &resume, PROTOBUF).await;
    assert_eq!(reply.code, 200);
    let frames = reply.frames();
    let status = decode::message(encoding::schema::Schema::get().id("meta.v1.Status").unwrap(), frames[0].2);
    assert_eq!([frames[0].0.as_str(), frames[0].1.as_str()], ["ERROR", "Status"]);
    assert_eq!((status["code"].clone(), status["reason"].clone(), frames.len()), (json!(410), json!("Expired"), 1));
    assert_eq!(get(&handle, "/api/v1/pods?watch=1&resourceVersion=99999999", "").await.code, 504);
}

#[tokio::test]
async fn long_lists_are_compressed_watches_never() {
    let handle = still(Options::default()).await;
    let zipped = [("accept-encoding", "gzip"), ("accept", PROTOBUF)];
    let plain = get(&handle, "/api/v1/pods", PROTOBUF).await;
    let reply = call(&handle, "GET", "/api/v1/pods", &zipped, Value::Null).await;
    assert_eq!(reply.headers["content-encoding"], "gzip");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&reply.body[..]), &mut bytes).unwrap();
    assert!(bytes == plain.body);
    let short = call(&handle, "GET", "/api/v1/namespaces", &zipped, Value::Null).await;
    assert!(!short.headers.contains_key("content-encoding"));
    let watch = call(&handle, "GET", &format!("/api/v1/pods?{WATCH_LIST}"), &zipped, Value::Null).await;
    assert!(!watch.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn tables_have_rows_as_kubectl_prints_them() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let handle = still(Options::default()).await;
    let table = get(&handle, "/api/v1/namespaces/kube-system/pods", TABLE).await.json();
    let titles: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(
        titles,
        ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"]
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let pools = get(&handle, "/apis/karpenter.sh/v1/nodepools?includeObject=None", TABLE).await.json();
    assert_eq!(
        pools["rows"][0]["cells"].as_array().unwrap()[..4],
        [json!("arm-burst"), json!("default"), json!("3"), json!("True")]
    );
    let watch = get(&handle, &format!("/api/v1/nodes?{WATCH_LIST}"), TABLE).await.lines();
    assert!(watch[0]["object"]["columnDefinitions"].is_array() && watch[1]["object"]["columnDefinitions"].is_null());
    let end = &watch.last().unwrap()["object"]["rows"][0]["object"]["metadata"]["annotations"];
    assert_eq!(end["k8s.io/initial-events-end"], "true");
    assert_eq!(get(&handle, "/api/v1/pods", &format!("{PROTOBUF};as=Table;v=v1;g=meta.k8s.io")).await.code, 406);
    assert_eq!(get(&handle, "/apis/karpenter.sh/v1/nodepools", PROTOBUF).await.code, 406);
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let mut handle = still(Options::default()).await;
    let watch = format!("/api/v1/pods?{WATCH_LIST}");
    let wrong = call(&handle, "GET", "/version", &[("authorization", "Bearer x")], Value::Null).await;
    assert_eq!((wrong.code, wrong.json()["reason"].clone()), (401, json!("Unauthorized")));

    handle.set_faults(Faults { watch_list: WatchListFault::Invalid, ..Faults::default() });
    let refused = get(&handle, &watch, "").await;
    assert_eq!(refused.code, 422);
    assert!(refused.json()["message"].as_str().unwrap().contains("sendInitialEvents"));
    handle.set_faults(Faults { watch_list: WatchListFault::ErrorEvent, ..Faults::default() });
    let refused = get(&handle, &watch, "").await;
    assert_eq!((refused.code, refused.lines()[0]["type"].clone(), refused.lines().len()), (200, json!("ERROR"), 1));
    assert!(refused.lines()[0]["object"]["message"].as_str().unwrap().contains("RequestWatchProgress"));

    handle.set_faults(Faults { cut_after_bytes: Some(10_000), cuts: Some(1), ..Faults::default() });
    let cut = get(&handle, &watch, PROTOBUF).await;
    assert_eq!((cut.body.len(), cut.broken), (10_000, true));
    assert!(!get(&handle, &watch, PROTOBUF).await.broken);

    handle.set_faults(Faults { unauthorized: 1, ..Faults::default() });
    assert_eq!(get(&handle, "/api/v1/nodes", "").await.code, 401);
    assert_eq!(get(&handle, "/api/v1/nodes", "").await.code, 200);
    handle.set_faults(Faults { unauthorized: u32::MAX, ..Faults::default() });
    let old = format!("Bearer {}", handle.token());
    assert_eq!(get(&handle, "/api/v1/nodes", "").await.code, 401);
    handle.rotate_token().await.unwrap();
    assert_eq!(get(&handle, "/api/v1/nodes", "").await.code, 200);
    assert_eq!(call(&handle, "GET", "/api/v1/nodes", &[("authorization", &old)], Value::Null).await.code, 401);

    let forbid = vec![Forbid { verb: "*".into(), resource: "pods".into(), namespace: Some(String::new()) }];
    handle.set_faults(Faults { forbid, ..Faults::default() });
    let denied = get(&handle, "/api/v1/pods", PROTOBUF).await;
    let (_, kind, status) = decode::unknown(&denied.body);
    let status = decode::message(encoding::schema::Schema::get().id("meta.v1.Status").unwrap(), status);
    assert_eq!((denied.code, kind.as_str(), status["reason"].clone()), (403, "Status", json!("Forbidden")));
    assert_eq!(get(&handle, "/api/v1/namespaces/payments/pods", "").await.code, 200);
    let review = json!({ "spec": { "resourceAttributes": { "verb": "list", "resource": "pods" } } });
    let review = call(&handle, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &[], review).await;
    assert_eq!(review.json()["status"]["allowed"], false);

    handle.set_faults(Faults { throttle: Some(Throttle { requests: 1, retry_after_s: 7 }), ..Faults::default() });
    let throttled = get(&handle, "/api/v1/pods", "").await;
    assert_eq!((throttled.code, throttled.headers["retry-after"].to_str().unwrap()), (429, "7"));

    handle.set_faults(Faults { garbage_after_frames: Some(0), ..Faults::default() });
    assert!(get(&handle, &watch, PROTOBUF).await.body.starts_with(&[0, 0, 0, 64, 0xff]));
    let log = handle.requests().await;
    assert_eq!((log.count("watch", "/api/v1/pods"), log.count("list", "/api/v1/nodes")), (5, 5));
}

#[tokio::test]
async fn a_watch_hears_of_deletions_and_patches_by_its_selector() {
    let handle = still(Options::default()).await;
    let list = get(&handle, "/apis/apps/v1/namespaces/payments/deployments", "").await.json();
    let (version, name) =
        (&list["metadata"]["resourceVersion"], list["items"][0]["metadata"]["name"].as_str().unwrap());
    let path = format!("/apis/apps/v1/namespaces/payments/deployments/{name}");
    let patch = [("content-type", "application/merge-patch+json")];
    let changed = call(&handle, "PATCH", &path, &patch, json!({ "metadata": { "labels": { "team": "other" } } })).await;
    assert_eq!((changed.code, changed.json()["metadata"]["labels"]["team"].clone()), (200, json!("other")));
    let stale = json!({ "metadata": { "resourceVersion": "1" } });
    assert_eq!(call(&handle, "PATCH", &path, &patch, stale).await.code, 409);
    assert_eq!(call(&handle, "DELETE", &path, &[], Value::Null).await.json()["status"], "Success");
    assert_eq!(get(&handle, &path, "").await.json()["reason"], "NotFound");
    let since = format!("watch=1&resourceVersion={}", version.as_str().unwrap());
    let kinds =
        |lines: Vec<Value>| lines.iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        kinds(watch_until(&handle, &format!("/apis/apps/v1/deployments?{since}"), "DELETED").await),
        ["MODIFIED", "DELETED"]
    );
    // It ceased to be selected before it was deleted.
    let selected = format!("/apis/apps/v1/deployments?{since}&labelSelector=team%3Dpayments");
    assert_eq!(kinds(watch_until(&handle, &selected, "DELETED").await), ["DELETED"]);
}

#[tokio::test]
async fn evictions_are_answered_by_their_budget() {
    let handle = still(Options::default()).await;
    let budgets = get(&handle, "/apis/policy/v1/poddisruptionbudgets", "").await.json();
    let allows = |budget: &&Value| budget["status"]["disruptionsAllowed"] == 1;
    let budget = budgets["items"].as_array().unwrap().iter().find(allows).unwrap();
    let (namespace, name) =
        (budget["metadata"]["namespace"].as_str().unwrap(), budget["metadata"]["name"].as_str().unwrap());
    let label = format!("app.kubernetes.io%2Finstance%3D{namespace}-{name}");
    let pods = get(&handle, &format!("/api/v1/namespaces/{namespace}/pods?labelSelector={label}"), "").await.json();
    let running = |pod: &&Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
    let pods: Vec<_> = pods["items"].as_array().unwrap().iter().filter(running).collect();
    let evict = |pod: &Value, more: Value| {
        let pod = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let mut body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
        body["deleteOptions"] = more;
        (format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction"), body)
    };
    let (path, body) = evict(pods[0], json!({ "dryRun": ["All"] }));
    assert_eq!(call(&handle, "POST", &path, &[], body).await.code, 201);
    let (path, body) = evict(pods[0], json!({ "preconditions": { "uid": "other" } }));
    assert_eq!(call(&handle, "POST", &path, &[], body).await.code, 409);
    let (path, body) = evict(pods[0], json!({}));
    let done = call(&handle, "POST", &path, &[], body).await;
    assert_eq!((done.code, done.json()["status"].clone()), (201, json!("Success")));
    let (path, body) = evict(pods[1], json!({}));
    let refused = call(&handle, "POST", &path, &[], body).await;
    let status = refused.json();
    assert_eq!((refused.code, &status["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(status["message"], "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(status["details"]["causes"][0]["reason"], "DisruptionBudget");
    assert!(status["details"]["causes"][0]["message"].as_str().unwrap().contains(name));
    assert!(!refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn objects_are_made_scaled_and_replaced() {
    let handle = still(Options::default()).await;
    let list = "/apis/apps/v1/namespaces/default/deployments";
    let web = json!({ "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
        "selector": { "matchLabels": { "app": "web" } },
        "template": { "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "nginx" }] } } } });
    let made = call(&handle, "POST", list, &[], web.clone()).await;
    assert_eq!((made.code, made.json()["spec"]["replicas"].clone()), (201, json!(1)));
    assert_eq!(call(&handle, "POST", list, &[], web).await.json()["reason"], "AlreadyExists");
    let at = format!("{list}/web");
    let scale = get(&handle, &format!("{at}/scale"), "").await.json();
    assert_eq!((scale["kind"].clone(), scale["status"]["selector"].clone()), (json!("Scale"), json!("app=web")));
    let patch = [("content-type", "application/merge-patch+json")];
    let scaled = call(&handle, "PATCH", &format!("{at}/scale"), &patch, json!({ "spec": { "replicas": 5 } })).await;
    assert_eq!((scaled.code, scaled.json()["spec"]["replicas"].clone()), (200, json!(5)));
    let mut now = get(&handle, &at, "").await.json();
    assert_eq!((now["spec"]["replicas"].clone(), now["metadata"]["generation"].clone()), (json!(5), json!(2)));
    now["metadata"]["labels"] = json!({ "a": "b" });
    assert_eq!(call(&handle, "PUT", &at, &[], now.clone()).await.code, 200);
    assert_eq!(call(&handle, "PUT", &at, &[], now).await.json()["reason"], "Conflict", "its version is old by now");
    let cbor = [("content-type", "application/apply-patch+cbor")];
    assert_eq!(call(&handle, "PATCH", &at, &cbor, json!({})).await.code, 415);
    assert_eq!(call(&handle, "POST", list, &[], json!("x")).await.code, 400);
    assert_eq!(call(&handle, "POST", "/api/v1/nodes", &[], json!({ "metadata": { "name": "n" } })).await.code, 405);
    assert_eq!(call(&handle, "GET", "/api/v1/namespaces/default/pods/x/nonsense", &[], Value::Null).await.code, 404);
}

#[tokio::test]
async fn logs_are_told_by_container_and_try() {
    let handle = still(Options::default()).await;
    let pods = get(&handle, "/api/v1/namespaces/kube-system/pods", "").await.json();
    let name = |container: usize| {
        let fits = |pod: &&Value| {
            pod["spec"]["containers"].as_array().unwrap().len() == container && pod["status"]["phase"] == "Running"
        };
        pods["items"].as_array().unwrap().iter().find(fits).unwrap()["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let log = |pod: String, query: &str| format!("/api/v1/namespaces/kube-system/pods/{pod}/log?{query}");
    let told = get(&handle, &log(name(1), "tailLines=3"), "").await;
    assert_eq!((told.code, std::str::from_utf8(&told.body).unwrap().lines().count()), (200, 3));
    assert_eq!(told.headers["content-type"], "text/plain");
    let unnamed = get(&handle, &log(name(2), ""), "").await.json();
    assert!(
        unnamed["message"].as_str().unwrap().starts_with("a container name must be specified for pod"),
        "{unnamed}"
    );
    assert_eq!(get(&handle, &log(name(2), "container=nobody"), "").await.code, 400);
    assert_eq!(get(&handle, &log(name(1), "previous=true"), "").await.code, 400);
    assert_eq!(get(&handle, &log("gone".to_owned(), ""), "").await.code, 404);
}

#[tokio::test]
async fn a_restricted_user_reads_what_is_granted() {
    let grants = Some(vec![Grant::reader("payments")]);
    let handle = still(Options { faults: Faults { grants, ..Faults::default() }, ..Options::default() }).await;
    assert_eq!(get(&handle, "/api/v1/namespaces/payments/pods", "").await.code, 200);
    for denied in
        ["/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces/payments/secrets", "/api/v1/namespaces/search/pods"]
    {
        assert_eq!(get(&handle, denied, "").await.code, 403, "{denied}");
    }
    assert_eq!(call(&handle, "DELETE", "/api/v1/namespaces/payments/pods/x", &[], Value::Null).await.code, 403);
    let review = json!({ "spec": { "resourceAttributes": { "verb": "get", "resource": "pods", "subresource": "log", "namespace": "payments" } } });
    let review = call(&handle, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &[], review).await;
    assert_eq!(review.json()["status"]["allowed"], true);
}
