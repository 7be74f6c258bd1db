//! What goes wrong with a server, and what the user sees of it: rows stay, the title says how old they are, the program
//! comes back by itself and asks no more than it must.

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

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;

use std::collections::BTreeSet;

use demo::{Demo, still, wait, with_faults};
use ekscope::sim::{self, Faults, Forbid, Handle, Operation, RequestLog, Throttle, WatchListFault};
use pty::Session;
use serde_json::Value;

const SIZE: (u16, u16) = (160, 40);
const PODS: &str = "/api/v1/pods";

fn pods(demo: &Demo) -> Session {
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.wait_text("● live");
    session
}

/// Requests for a whole list of pods: pages, and watches that begin with everything.
fn lists(log: &RequestLog) -> usize {
    let whole = |verb: &str, query: &str| match verb {
        "list" => !query.contains("continue="),
        _ => query.contains("sendInitialEvents=true"),
    };
    log.requests.iter().filter(|request| request.path == PODS && whole(&request.verb, &request.query)).count()
}

fn watches(log: &RequestLog) -> u64 {
    log.count("watch", PODS)
}

/// Identity of every row, for comparison.
fn names(rows: &[Value]) -> BTreeSet<(String, String)> {
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "namespace"), text(row, "name"))).collect()
}

/// The rows without what changes by itself: time goes on, and metrics are measured anew.
fn lasting(rows: &[Value]) -> Vec<serde_json::Map<String, Value>> {
    let lasting = |row: &Value| {
        let mut row = row.as_object().expect("a row").clone();
        row.retain(|column, value| {
            let measured =
                ["cpu", "mem"].contains(&column.as_str()) || column.contains("%cpu") || column.contains("%mem");
            !measured
                && column != "last-restart"
                && !column.contains("age")
                && !column.contains("seen")
                && !value.is_null()
        });
        row
    };
    rows.iter().map(lasting).collect()
}

/// Sends a request, as another client would.
fn send(server: &Handle, request: http::Request<Vec<u8>>) {
    wait(async {
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&server.kubeconfig()).expect("a kubeconfig");
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
        let client = kube::Client::try_from(config).expect("a client");
        client.request_text(request).await.expect("the server does it");
    });
}

fn delete(server: &Handle, path: &str) {
    send(server, http::Request::delete(path).body(Vec::new()).expect("a request"));
}

/// Makes a pod that nobody runs.
fn create(server: &Handle, path: &str, name: &str) {
    let metadata = serde_json::json!({ "name": name });
    let spec = serde_json::json!({ "containers": [{ "name": "main", "image": "example.com/x" }] });
    let pod = serde_json::json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let request = http::Request::post(path).header("content-type", "application/json");
    send(server, request.body(pod.to_string().into_bytes()).expect("a request"));
}

/// Waits until it holds, as long as a test may wait for anything.
fn until(mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + pty::PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "it never came to hold");
        std::thread::yield_now();
    }
}

#[test]
fn dropped_connections_are_taken_up_again_without_a_new_list() {
    let demo = Demo::start(still());
    let count = demo.pods();
    let session = pods(&demo);
    let before = demo.requests();
    for drop in 1..=3 {
        let known = watches(&demo.requests());
        demo.server.drop_connections();
        until(|| watches(&demo.requests()) > known);
        session.wait_text("● live");
        assert!(session.text().contains(&format!("pods(all)[{count}")), "drop {drop}: rows stay\n{}", session.text());
    }
    assert_eq!(lists(&demo.requests()), lists(&before), "a watch goes on from its version");
}

#[test]
fn rows_of_a_server_that_is_gone_stay_and_are_called_stale() {
    let demo = Demo::start(still());
    let count = demo.pods();
    let session = pods(&demo);
    let before = lists(&demo.requests());
    demo.server
        .set_faults(Faults { throttle: Some(Throttle { requests: u32::MAX, retry_after_s: 1 }), ..Faults::default() });
    demo.server.drop_connections();
    session.wait_text("stale since");
    assert!(session.text().contains(&format!("pods(all)[{count}")), "rows stay\n{}", session.text());
    assert!(session.text().contains("Running"));
    demo.server.set_faults(Faults::default());
    session.wait("the end of staleness", |screen| !screen.contents().contains("stale"));
    session.wait_text("● live");
    assert_eq!(lists(&demo.requests()), before, "a watch goes on from its version");
}

/// The first page fills the screen, the whole list is streamed after it: nobody tells of what is deleted between the two.
#[test]
fn a_row_of_the_first_page_that_is_deleted_before_the_rest_comes_does_not_stay() {
    let demo = Demo::start(sim::Options { pods: 150, ..still() });
    let rows = names(&demo.rows(&["pods", "-A"]));
    let (namespace, name) = rows.iter().take(25).find(|(_, name)| name.len() <= 18).expect("a short name");
    demo.server.set_faults(Faults { hold: vec!["watch".to_owned()], ..Faults::default() });
    let before = lists(&demo.requests());
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text(name);
    until(|| lists(&demo.requests()) == before + 2);
    delete(&demo.server, &format!("/api/v1/namespaces/{namespace}/pods/{name}"));
    demo.server.set_faults(Faults::default());
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    assert!(!session.text().contains(name.as_str()), "{}", session.text());
}

#[test]
fn garbage_and_cut_frames_cost_no_row() {
    for faults in [
        Faults { garbage_after_frames: Some(5), ..Faults::default() },
        Faults { cut_after_bytes: Some(20_000), cuts: Some(2), ..Faults::default() },
    ] {
        let demo = Demo::start(still());
        let count = demo.pods();
        let session = pods(&demo);
        let lists_before = lists(&demo.requests());
        let known = watches(&demo.requests());
        demo.server.set_faults(faults.clone());
        demo.server.drop_connections();
        // Changes make frames: enough for the garbage, or for the cut, to come.
        while watches(&demo.requests()) < known + 2 {
            wait(demo.server.step(5));
        }
        demo.server.set_faults(Faults::default());
        session.wait_text("● live");
        session.wait(&format!("about {count} rows"), |screen| screen.contents().contains("pods(all)["));
        let shown = lists(&demo.requests()) - lists_before;
        assert!(shown <= 1, "{faults:?}: {shown} new lists");
        session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    }
}

#[test]
fn a_first_list_that_is_cut_is_asked_for_again() {
    let demo = Demo::start(with_faults(Faults { cut_after_bytes: Some(30_000), cuts: Some(3), ..Faults::default() }));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.wait_text("● live");
}

#[test]
fn after_a_410_the_list_is_read_anew_without_a_blank_screen() {
    let demo = Demo::start(still());
    let session = pods(&demo);
    let rows = demo.rows(&["pods", "-A"]);
    // A short name, because long ones may be shortened on screen, and one that is on screen.
    let words = |row: &Value| Some((row["namespace"].as_str()?.to_owned(), row["name"].as_str()?.to_owned()));
    let gone = rows.iter().take(25).filter_map(words).find(|(_, name)| name.len() <= 18);
    let (namespace, name) = gone.expect("a pod with a short name");
    session.wait_text(&name);
    let before = lists(&demo.requests());
    // While nobody watches, a pod goes and the history with it.
    demo.server.set_faults(Faults { hang: vec![PODS.to_owned()], ..Faults::default() });
    demo.server.drop_connections();
    delete(&demo.server, &format!("/api/v1/namespaces/{namespace}/pods/{name}"));
    demo.server.forget_history();
    demo.server.set_faults(Faults::default());
    demo.server.drop_connections();
    session.wait(&format!("{name} to go"), |screen| {
        let text = screen.contents();
        assert!(text.contains("Running"), "the screen went blank:\n{text}");
        !text.contains(&name)
    });
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    let again = lists(&demo.requests()) - before;
    assert!((1..=2).contains(&again), "{again} new lists");
}

#[test]
fn a_token_file_is_read_again_when_the_server_refuses_the_token() {
    let mut demo = Demo::start(still());
    let token = demo.place.path("token");
    std::fs::write(&token, demo.server.token()).expect("a token file");
    let kubeconfig = demo.server.kubeconfig();
    let kubeconfig =
        kubeconfig.replace(&format!("token: {}", demo.server.token()), &format!("tokenFile: {}", token.display()));
    std::fs::write(demo.place.kubeconfig(), kubeconfig).expect("a kubeconfig");
    let session = pods(&demo);
    // Every stream is up before the token changes.
    session.wait_text("nodes ");
    session.wait_text("● live");
    let new = wait(demo.server.rotate_token()).expect("a token");
    std::fs::write(&token, new).expect("a token file");
    let known = watches(&demo.requests());
    demo.server.drop_connections();
    // The first attempt is refused, the second has the new token.
    until(|| watches(&demo.requests()) > known);
    session.wait_text("● live");
    let mut session = session;
    session.send(":secrets\r");
    session.wait_text("Opaque");
    assert!(watches(&demo.requests()) <= known + 4, "the server is not asked over and over");
}

#[test]
fn a_credential_plugin_runs_once_more_after_a_401() {
    let mut demo = Demo::start(still());
    let (token, runs, plugin) = (demo.place.path("token"), demo.place.path("runs"), demo.place.path("plugin"));
    std::fs::write(&token, demo.server.token()).expect("a token file");
    let script = format!(
        "#!/bin/sh\necho run >> {}\nprintf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\
         \"ExecCredential\",\"status\":{{\"token\":\"%s\"}}}}' \"$(cat {})\"\n",
        runs.display(),
        token.display()
    );
    std::fs::write(&plugin, script).expect("a plugin");
    let user = format!(
        "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: /bin/sh\n      args: [\"{}\"]\n      \
         interactiveMode: Never",
        plugin.display()
    );
    let kubeconfig = demo.server.kubeconfig().replace(&format!("token: {}", demo.server.token()), &user);
    std::fs::write(demo.place.kubeconfig(), kubeconfig).expect("a kubeconfig");
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
    let session = pods(&demo);
    session.wait_text("nodes 6/6");
    assert_eq!(count(), 1, "once for all streams");
    let new = wait(demo.server.rotate_token()).expect("a token");
    std::fs::write(&token, new).expect("a token file");
    let known = watches(&demo.requests());
    demo.server.drop_connections();
    until(|| count() > 1 && watches(&demo.requests()) > known);
    session.wait_text("● live");
    assert_eq!(count(), 2, "once more for all streams");
}

#[test]
fn where_the_cluster_is_forbidden_namespaces_are_shown() {
    let forbid =
        |resource: &str| Forbid { verb: "*".into(), resource: resource.into(), namespace: Some(String::new()) };
    let demo = Demo::start(with_faults(Faults { forbid: vec![forbid("pods")], ..Faults::default() }));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text("pods(amazon-cloudwatch,argocd,");
    session.wait_text("argocd-redis");
    drop(session);
    assert_eq!(demo.rows(&["pods", "-A"]).len(), demo.pods(), "the namespaces together have all");
    let said = String::from_utf8_lossy(&demo.place.get(&["pods", "-A"]).stderr).into_owned();
    assert!(said.contains("these are the pods of amazon-cloudwatch, argocd, "), "{said}");

    let demo = Demo::start(with_faults(Faults {
        forbid: vec![Forbid { verb: "*".into(), resource: "pods".into(), namespace: None }],
        ..Faults::default()
    }));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text("cannot list /api/v1/pods");
    session.wait_text("ask for: kubectl create role");
}

#[test]
fn a_server_without_watch_lists_is_asked_for_one_once() {
    for watch_list in [WatchListFault::Invalid, WatchListFault::ErrorEvent] {
        // More pods than the first page holds: only then is a stream asked for.
        let demo = Demo::start(sim::Options { pods: 400, ..with_faults(Faults { watch_list, ..Faults::default() }) });
        let mut session = demo.open(&["pods", "-A"], SIZE);
        session.wait_text(&format!("pods(all)[{}]", demo.pods()));
        session.send(":secrets\r");
        session.wait_text("secrets(all)[");
        session.wait_text("Opaque");
        let asked = |group: &str| {
            let log = demo.requests();
            log.requests
                .iter()
                .filter(|request| request.path.starts_with(group) && request.query.contains("sendInitialEvents"))
                .count()
        };
        // Streams that were on their way at the same time may have asked too.
        assert!(asked("/api/v1/") <= 2, "{watch_list:?}: asked {} times", asked("/api/v1/"));
        let before = asked("/api/v1/");
        session.send(":configmaps\r");
        session.wait("configmaps", |screen| {
            let text = screen.contents();
            text.contains("configmaps(all)[") && !text.contains("…]")
        });
        assert_eq!(asked("/api/v1/"), before, "{watch_list:?}: it is remembered");
    }
}

#[test]
fn a_throttled_start_waits_as_long_as_it_is_told() {
    let demo = Demo::start(with_faults(Faults {
        throttle: Some(Throttle { requests: 2, retry_after_s: 1 }),
        ..Faults::default()
    }));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    let log = demo.requests();
    assert!(lists(&log) <= 5, "{} lists", lists(&log));
}

#[test]
fn protobuf_and_json_give_the_same_rows() {
    let demo = Demo::start(still());
    for kind in ["pods", "nodes", "deployments", "services", "namespaces", "secrets"] {
        let one = demo.rows(&[kind, "-A", "--encoding", "protobuf"]);
        let other = demo.rows(&[kind, "-A", "--encoding", "json"]);
        assert!(!one.is_empty(), "{kind}");
        assert_eq!(names(&one), names(&other), "{kind}");
        assert_eq!(lasting(&one), lasting(&other), "{kind}");
    }
    let log = demo.requests();
    assert!(log.requests.iter().any(|request| request.accept.starts_with("application/vnd.kubernetes.protobuf")));
}

#[test]
fn a_server_that_refuses_protobuf_is_asked_for_it_once() {
    let demo = Demo::start(sim::Options { pods: 150, ..still() });
    let rows = demo.rows(&["pods", "-A"]);
    assert_eq!(rows.len(), demo.pods());
    for verbs in [&["list"][..], &["watch"], &["list", "watch"]] {
        let no_protobuf: Vec<String> = verbs.iter().map(|&verb| verb.to_owned()).collect();
        demo.server.set_faults(Faults { no_protobuf, ..Faults::default() });
        assert_eq!(lasting(&demo.rows(&["pods", "-A"])), lasting(&rows), "{verbs:?}");

        wait(demo.server.clear_requests());
        let asked = |path: &str| {
            let log = demo.requests();
            let refused = |verb: &str, accept: &str| verbs.contains(&verb) && accept.contains("protobuf");
            log.requests.iter().filter(|one| one.path == path && refused(&one.verb, &one.accept)).count()
        };
        let mut session = pods(&demo);
        let known = watches(&demo.requests());
        demo.server.drop_connections();
        until(|| watches(&demo.requests()) > known);
        session.wait_text("● live");
        assert_eq!(asked(PODS), 1, "{verbs:?}: a stream that comes back knows it");
        session.send(":secrets\r");
        session.wait_text("Opaque");
        session.wait_text("● live");
        assert_eq!(asked("/api/v1/secrets"), 0, "{verbs:?}: and so does another");
        assert!(!session.text().contains("cannot"), "{verbs:?}: nobody need know\n{}", session.text());
    }
}

#[test]
fn a_script_gets_all_rows_or_an_error() {
    let demo = Demo::start(sim::Options { pods: 150, ..still() });
    let views = [&["pods", "-A"][..], &["nodes"]];
    let whole = views.map(|view| lasting(&demo.rows(view)));
    let cut = |cuts| Faults { cut_after_bytes: Some(30_000), cuts, ..Faults::default() };
    for (view, whole) in views.iter().zip(&whole) {
        for faults in
            [cut(Some(3)), Faults { throttle: Some(Throttle { requests: 3, retry_after_s: 1 }), ..Faults::default() }]
        {
            demo.server.set_faults(faults.clone());
            assert_eq!(lasting(&demo.rows(view)), *whole, "{view:?}: {faults:?}");
        }
        // Where it never gets through, it gives up in time.
        demo.server.set_faults(cut(None));
        let output = demo.place.get(&[view, &["--request-timeout", "1s"][..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{view:?}: {said}");
        assert!(said.contains(" broke: ") && said.contains("--request-timeout"), "{view:?}: {said}");
    }
}

/// Not only the first stream of a cluster counts what is to come.
#[test]
fn a_table_that_loads_says_how_far_it_is() {
    let demo = Demo::start(sim::Options {
        pods: 400,
        ..with_faults(Faults { hold: vec!["watch".into()], ..Faults::default() })
    });
    let mut session = demo.open(&["nodes"], SIZE);
    session.wait_text("nodes(all)[6]");
    session.send(":pods all\r");
    session.wait_text(&format!("pods(all)[100…]  100 of about {} loaded", demo.pods()));
    session.wait_text(&format!("loading 100 of about {} pods", demo.pods()));
    demo.server.set_faults(Faults::default());
    session.wait_text(&format!("pods(all)[{}] ", demo.pods()));
    session.wait_text("● live");
}

/// A fault of one verb on one resource, and of no other.
fn operation(verb: &str, resource: &str) -> Operation {
    Operation { verb: verb.into(), resource: resource.into(), ..Operation::default() }
}

fn of(operations: &[Operation]) -> Faults {
    Faults { operations: operations.to_vec(), ..Faults::default() }
}

#[test]
fn an_error_of_one_kind_is_that_kinds_alone() {
    let refuse = |verb: &str| Operation { refuse: Some(500), ..operation(verb, "secrets") };
    let demo = Demo::start(with_faults(of(&[refuse("list"), refuse("watch")])));
    let mut session = pods(&demo);
    session.send(":secrets\r");
    session.wait_text("etcdserver: request timed out");
    session.wait_text("cannot list /api/v1/secrets");
    session.send(":pods\r");
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.send(":secrets\r");
    demo.server.set_faults(Faults::default());
    session.wait_text("Opaque");
}

#[test]
fn a_slow_kind_holds_up_no_other() {
    let slow = Operation { latency_ms: 3_600_000, ..operation("*", "nodes") };
    let demo = Demo::start(with_faults(of(&[slow])));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.wait_text("Running");
    assert!(!session.text().contains("nodes 6/6"), "they are not there yet\n{}", session.text());
}

#[test]
fn connections_that_end_without_an_answer_are_made_again() {
    let dropped = |verb: &str| Operation { drop: true, times: Some(2), ..operation(verb, "pods") };
    let demo = Demo::start(with_faults(of(&[dropped("list"), dropped("watch")])));
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text("closed the connection");
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.wait_text("● live");
}

#[test]
fn an_answer_that_is_garbage_is_asked_for_again() {
    for verb in ["list", "watch"] {
        for encoding in ["protobuf", "json"] {
            let garbage = Operation { garbage: true, times: Some(2), ..operation(verb, "pods") };
            let demo = Demo::start(with_faults(of(&[garbage])));
            let session = demo.open(&["pods", "-A", "--encoding", encoding], SIZE);
            session.wait_text("the stream of /api/v1/pods broke");
            session.wait_text(&format!("pods(all)[{}]", demo.pods()));
            session.wait_text("● live");
            let (text, raw) = (session.text(), session.raw());
            assert!(!text.contains("<html>"), "{verb} {encoding}: what came is not shown\n{text}");
            assert!(memchr::memmem::find(&raw, b"\x1b[31m{").is_none(), "nor does it act on the terminal");
        }
    }
}

#[test]
fn a_right_to_list_without_one_to_watch_shows_what_was_listed() {
    let forbid = vec![Forbid { verb: "watch".into(), resource: "pods".into(), namespace: None }];
    // More than the first page.
    let demo = Demo::start(sim::Options { pods: 300, ..with_faults(Faults { forbid, ..Faults::default() }) });
    let session = demo.open(&["pods", "-A"], SIZE);
    session.wait_text("cannot watch /api/v1/pods");
    session.wait_text("pods denied");
    let text = session.text();
    assert!(text.contains(&format!("pods(all)[{}", demo.pods())) && text.contains("Running"), "rows stay\n{text}");
}

/// The youngest pods are the ones that a clock can make absurd: they read as kubectl has it, or as what the server says.
#[test]
fn a_clock_that_is_wrong_makes_no_absurd_ages() {
    let young = |ahead_s: i64| {
        let demo = Demo::start(with_faults(Faults { clock_ahead_s: ahead_s, ..Faults::default() }));
        let path = "/api/v1/namespaces/payments/pods";
        create(&demo.server, path, "just-now");
        let session = demo.open(&["pods", "-n", "payments", "/just-now"], SIZE);
        session.wait_text("just-now");
        if ahead_s != 0 {
            session.wait_text("this machine's");
        }
        let rows = demo.rows(&["pods", "-n", "payments"]);
        let row = rows.iter().find(|row| row["name"] == "just-now").expect("the pod");
        row["age"].as_str().expect("an age").to_owned()
    };
    assert_eq!(young(7_200), "<invalid>", "it comes from the future");
    assert_eq!(young(-7_200), "120m", "as old as the server says");
    assert!(young(0).ends_with('s'));
}

#[test]
fn a_login_that_fails_because_of_the_clock_says_so() {
    let faults = Faults { clock_ahead_s: -7_200, unauthorized: u32::MAX, ..Faults::default() };
    let demo = Demo::start(with_faults(faults));
    let mut session = demo.open(&["pods", "-A"], (240, 40));
    session.wait_text("does not accept");
    session.send("!");
    session.wait_text("this machine's clock is 7");
    session.wait_text("ahead of the server's");
}
