//! What goes wrong with a real API server: killed and restarted, too old a version, users with few rights, servers that
//! cannot stream lists.
//!
//! Skipped with a notice where `EKSCOPE_RIG_DIR` does not name the folder of a rig (`tests/live/rig.sh`); the users' part
//! wants its seeds (`users` and `workloads`).

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

#[path = "rig/between.rs"]
mod between;
#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;
#[path = "pty/random.rs"]
mod random;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use between::{Between, Fault};
use demo::Place;
use pty::Session;
use random::Random;

const SIZE: (u16, u16) = (160, 40);

/// A running rig, and a place whose kubeconfig leads to it.
struct Rig {
    dir: PathBuf,
    place: Place,
    /// Stopped at the end, where the test started it.
    own: Option<tempfile::TempDir>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/rig.sh")
}

fn kubectl() -> String {
    env::var("EKSCOPE_RIG_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned())
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Whether there are live tests at all; a notice where there are none.
fn wanted() -> Option<PathBuf> {
    let dir = env::var_os("EKSCOPE_RIG_DIR").map(PathBuf::from);
    assert!(dir.is_some() || env::var_os("EKSCOPE_RIG_REQUIRED").is_none(), "EKSCOPE_RIG_DIR names no live rig");
    if dir.is_none() {
        eprintln!("SKIPPED: EKSCOPE_RIG_DIR names no live rig (tests/live/rig.sh start)");
    }
    dir
}

impl Rig {
    /// A rig of this test's own, because what goes wrong with it must not touch other tests: API server and etcd only.
    fn start(options: &[&str]) -> Option<Self> {
        wanted()?;
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().to_owned();
        // Kept only once the rig runs; a start that fails leaves nothing behind by itself.
        let me = std::process::id().to_string();
        // No pipe: the servers would hold it open.
        let log = std::fs::File::create(dir.join("start.log")).expect("a log");
        let started = Command::new(script())
            .arg("start")
            .arg(&dir)
            .args(["--bare", "--die-with", &me])
            .args(options)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .status()
            .expect("rig.sh runs");
        let said = std::fs::read_to_string(dir.join("start.log")).unwrap_or_default();
        assert!(started.success(), "rig.sh start {options:?}: {said}");
        let rig = Self { place: Self::place(&dir, "admin"), dir, own: Some(folder) };
        rig.control(&["seed"], &["bulk", "--nodes", "20", "--pods", "300"]);
        Some(rig)
    }

    fn place(dir: &Path, user: &str) -> Place {
        let place = Place::new();
        let text = std::fs::read_to_string(dir.join("kubeconfig")).expect("the rig's kubeconfig");
        let lines = text.lines().map(|line| match line.split_once(':') {
            Some(("current-context", _)) => format!("current-context: {user}"),
            _ => line.to_owned(),
        });
        std::fs::write(place.kubeconfig(), lines.collect::<Vec<_>>().join("\n")).expect("a kubeconfig");
        place
    }

    fn control(&self, command: &[&str], rest: &[&str]) {
        let log = std::fs::File::create(self.dir.join("control.log")).expect("a log");
        let done = Command::new(script())
            .args(command)
            .arg(&self.dir)
            .args(rest)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .status()
            .expect("rig.sh runs");
        let said = std::fs::read_to_string(self.dir.join("control.log")).unwrap_or_default();
        assert!(done.success(), "rig.sh {command:?}: {said}");
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = run(Command::new(kubectl()).arg("--kubeconfig").arg(self.dir.join("kubeconfig")).args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A link of this fault, and the program's place on its far side, with the token of the rig's admin.
    fn behind(&self, fault: Fault) -> (Between, Place) {
        let between = Between::start(&kubectl(), &self.dir.join("kubeconfig"), fault);
        let place = Place::new();
        let token = place.path("token");
        std::fs::write(&token, "token-admin").expect("a token");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: behind, \
             clusters: [{{name: behind, cluster: {{server: '{}'}}}}], \
             users: [{{name: behind, user: {{tokenFile: '{}'}}}}], \
             contexts: [{{name: behind, context: {{cluster: behind, user: behind}}}}]}}",
            between.url,
            token.display()
        );
        std::fs::write(place.kubeconfig(), text).expect("a kubeconfig");
        (between, place)
    }

    fn count(&self, what: &str) -> usize {
        self.kubectl(&["get", what, "-A", "--no-headers", "-o", "name"]).lines().count()
    }

    fn open(&self) -> Session {
        let session = self.place.open(&["pods", "-A"], SIZE);
        session.wait_text(&format!("pods(all)[{}]", self.count("pods")));
        session
    }

    /// How many whole lists of pods the API server was asked for: `LIST`s, and watches are counted apart.
    fn lists(&self) -> u64 {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"]);
        metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_request_total{"))
            .filter(|line| line.contains("resource=\"pods\"") && line.contains("verb=\"LIST\""))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.own.is_some() {
            let _ = Command::new(script()).arg("stop").arg(&self.dir).output();
        }
    }
}

#[test]
fn a_server_that_was_killed_is_taken_up_again() {
    let Some(rig) = Rig::start(&[]) else { return };
    let count = rig.count("pods");
    let session = rig.open();
    session.wait_text("● live");
    rig.control(&["kill-apiserver"], &[]);
    session.wait_text("stale since");
    assert!(session.text().contains(&format!("pods(all)[{count}")), "rows stay:\n{}", session.text());
    rig.control(&["start-apiserver"], &[]);
    let restarted = rig.lists();
    session.wait("the end of staleness", |screen| !screen.contents().contains("stale"));
    session.wait_text("● live");
    session.wait_text(&format!("pods(all)[{count}]"));
    let lists = rig.lists() - restarted;
    // `kubectl` above counts too, and a history that began anew may cost one list.
    assert!(lists <= 3, "{lists} lists after the restart");
}

#[test]
fn a_deleted_pod_leaves_the_screen() {
    let Some(rig) = Rig::start(&[]) else { return };
    let session = rig.open();
    session.wait_text("● live");
    let count = rig.count("pods");
    let first =
        rig.kubectl(&["get", "pods", "-A", "--no-headers", "-o", "custom-columns=:metadata.namespace,:metadata.name"]);
    let mut words = first.lines().next().expect("a pod").split_whitespace();
    let (namespace, name) = (words.next().expect("a namespace"), words.next().expect("a name"));
    rig.kubectl(&["delete", "pod", "-n", namespace, name, "--grace-period=0", "--force"]);
    let returned = Instant::now();
    let gone = session.wait_text(&format!("pods(all)[{}]", count - 1));
    eprintln!("gone {:?} after kubectl returned", gone.saturating_duration_since(returned));
}

#[test]
fn servers_that_cannot_stream_lists_give_all_rows() {
    for option in ["--no-watchlist", "--old-etcd"] {
        let Some(rig) = Rig::start(&[option]) else { return };
        let session = rig.open();
        session.wait_text("● live");
        drop(session);
        for encoding in ["protobuf", "json"] {
            let rows = rig.place.rows(&["pods", "-A", "--encoding", encoding]);
            assert_eq!(rows.len(), rig.count("pods"), "{option} {encoding}");
        }
    }
}

#[test]
fn users_see_what_they_may() {
    let Some(dir) = wanted() else { return };
    let rig = |user: &str| Rig { dir: dir.clone(), place: Rig::place(&dir, user), own: None };
    let admin = rig("admin");
    let of = |namespace: &str| admin.kubectl(&["get", "pods", "-n", namespace, "-o", "name"]).lines().count();

    // May list namespaces, and pods in team-a only.
    let reader = rig("nsreader");
    assert_eq!(reader.place.rows(&["pods", "-A"]).len(), of("team-a"));
    let session = reader.place.open(&["pods", "-A"], SIZE);
    session.wait_text("pods(team-a)[");

    // May not list namespaces, but see the pods of two.
    let team = rig("team");
    assert_eq!(team.place.rows(&["pods", "-n", "team-a,team-b"]).len(), of("team-a") + of("team-b"));

    let nobody = rig("nobody");
    let output = nobody.place.get(&["pods", "-A"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("forbidden") && said.contains("ask for"), "{said}");
    let session = nobody.place.open(&["pods", "-A"], SIZE);
    session.wait_text("cannot list /api/v1/pods");
}

/// The shared rig, for tests that change nothing in it.
fn shared() -> Option<Rig> {
    let dir = wanted()?;
    Some(Rig { place: Rig::place(&dir, "admin"), dir, own: None })
}

#[test]
fn streams_that_are_cut_or_spoilt_lose_no_row() {
    let Some(rig) = shared() else { return };
    let whole = format!("pods(all)[{}]", rig.count("pods"));
    for fault in [
        Fault::Cut { answers: 3, bytes: 30_000 },
        Fault::Cut { answers: 2, bytes: 1_000_000 },
        Fault::Garbage { bytes: 20_000 },
        Fault::Garbage { bytes: 2_000_000 },
    ] {
        let (between, place) = rig.behind(fault);
        let session = place.open(&["pods", "-A"], SIZE);
        // An object whose bytes were spoilt late is counted as such, until it comes again.
        session.wait(&format!("all rows after {fault:?}"), |screen| {
            let text = screen.contents();
            text.contains(&whole) && (text.contains("● live") || text.contains("1 pods undecodable"))
        });
        drop(session);
        between.set(fault);
        // A script gets all or an error, and never a part.
        let output = place.get(&["pods", "-A", "-o", "json"]);
        let rows = serde_json::from_slice::<Vec<serde_json::Value>>(&output.stdout).map(|rows| rows.len());
        if output.status.success() {
            assert_eq!(rows.expect("rows"), rig.count("pods"), "{fault:?}");
        } else {
            assert!(rows.is_err() && !output.stderr.is_empty(), "{fault:?}");
        }
    }
}

#[test]
fn a_request_that_is_refused_for_its_token_is_sent_once_more() {
    let Some(rig) = shared() else { return };
    let (between, place) = rig.behind(Fault::Unauthorized { requests: 1 });
    let rows = place.rows(&["namespaces"]);
    assert_eq!(rows.len(), rig.count("namespaces"));
    between.set(Fault::Unauthorized { requests: 1_000 });
    let asked = between.requests().len();
    let output = place.get(&["namespaces"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("does not accept"), "{said}");
    assert!(between.requests().len() - asked <= 4, "it is not asked again and again: {:?}", between.requests());
}

#[test]
fn a_server_that_never_answers_is_named_and_taken_up_when_it_does() {
    let Some(rig) = shared() else { return };
    let (between, place) = rig.behind(Fault::Hang);
    let session = place.open(&["namespaces", "--request-timeout", "1s"], SIZE);
    session.wait_text(between.url.trim_start_matches("http://"));
    session.wait_text("no answer");
    between.set(Fault::None);
    session.wait_text(&format!("namespaces(all)[{}]", rig.count("namespaces")));
    session.wait_text("● live");
}

#[test]
fn a_version_that_is_too_old_costs_one_new_list() {
    let Some(rig) = Rig::start(&[]) else { return };
    let (between, place) = rig.behind(Fault::None);
    let count = rig.count("pods");
    let session = place.open(&["pods", "-A"], SIZE);
    session.wait_text(&format!("pods(all)[{count}]"));
    session.wait_text("● live");
    // What is written while the program is cut off is in no history of the server that comes back.
    between.set(Fault::Refuse);
    let all =
        rig.kubectl(&["get", "pods", "-A", "--no-headers", "-o", "custom-columns=:metadata.namespace,:metadata.name"]);
    for line in all.lines().take(3) {
        let (namespace, name) = line.trim().split_once(char::is_whitespace).expect("two words");
        rig.kubectl(&["delete", "pod", "-n", namespace, name.trim(), "--grace-period=0", "--force"]);
    }
    rig.control(&["kill-apiserver"], &[]);
    rig.control(&["start-apiserver"], &[]);
    let before = between.requests().len();
    between.set(Fault::None);
    session.wait_text(&format!("pods(all)[{}]", count - 3));
    session.wait_text("● live");
    let asked: Vec<String> =
        between.requests()[before..].iter().filter(|line| line.contains("/api/v1/pods?")).cloned().collect();
    let resumed = asked.iter().position(|line| line.contains("watch=") && !line.contains("sendInitialEvents"));
    let anew = asked.iter().filter(|line| line.contains("sendInitialEvents") || !line.contains("watch=")).count();
    assert!(resumed == Some(0) && (1..=2).contains(&anew), "it resumes, and then begins anew: {asked:#?}");
}

/// For as long as `EKSCOPE_RANDOM_SECONDS` says.
#[test]
fn random_keys_break_nothing() {
    let Some(rig) = shared() else { return };
    let seconds = env::var("EKSCOPE_RANDOM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut session = rig.place.open(&["pods", "-A"], SIZE);
    session.wait_text("Running");
    let mut random = Random::new(seconds);
    let (started, mut acts) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(seconds) {
        random.act(&mut session);
        acts += 1;
    }
    session.resize(SIZE.0, SIZE.1);
    random.end_with(&mut session, ":namespaces\r", "namespaces(all)[");
    let (memory, cpu) = session.usage();
    session.send(":q\r");
    assert_eq!(session.end(), 0);
    assert!(!session.on_alternate_screen(), "the terminal is given back");
    assert!(!rig.place.log().contains("panicked"), "{}", rig.place.log());
    eprintln!("{acts} keys, pastes and sizes in {seconds} s; {} MB resident, {cpu:.1} s of CPU", memory / 1_000_000);
}

/// A place whose user signs in to the rig with a credential plugin: this shell script, which may use `$0` as a name for
/// files of its own.
fn with_plugin(rig: &Rig, script: &str) -> Place {
    let place = Place::new();
    let own = place.path("sign-in");
    std::fs::write(&own, script).expect("a plugin");
    let mut config: serde_json::Value =
        serde_json::from_str(&rig.kubectl(&["config", "view", "--raw", "-o", "json"])).expect("the rig's kubeconfig");
    let exec = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/bin/sh",
        "args": [own],
        "interactiveMode": "IfAvailable",
    });
    config["contexts"][0] = serde_json::json!({
        "name": "plugin",
        "context": { "cluster": config["clusters"][0]["name"], "user": "plugin" },
    });
    config["users"][0] = serde_json::json!({ "name": "plugin", "user": { "exec": exec } });
    config["current-context"] = "plugin".into();
    std::fs::write(place.kubeconfig(), config.to_string()).expect("a kubeconfig");
    place.configure("[connection]\nexec_timeout = \"1s\"\n");
    place
}

/// Prints the rig admin's token as a plugin does.
const SIGN_IN: &str = "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
                       \"status\":{\"token\":\"token-admin\"}}'";

#[test]
fn a_plugin_that_does_not_sign_in_is_named_and_leaves_the_screen_alone() {
    let Some(rig) = shared() else { return };
    for (script, words) in [
        (
            "echo $$ > \"$0.pid\"; sleep 1000",
            &["did not finish", "stopped after 1s", "may be waiting for an answer"][..],
        ),
        (
            "{ printf 'Enter MFA code: ' > /dev/tty; } 2> /dev/null\n\
             read code || { echo 'nobody to ask for the code' >&2; exit 1; }",
            &["failed", "exit status: 1", "nobody to ask for the code"],
        ),
        ("echo 'your session has expired' >&2; exit 1", &["failed", "exit status: 1: your session has expired"]),
    ] {
        let place = with_plugin(&rig, script);
        let mut session = place.open(&["pods", "-A"], SIZE);
        session.wait_text("the credential plugin /bin/sh");
        for words in words {
            session.wait_text(words);
        }
        let written = String::from_utf8_lossy(&session.raw()).into_owned();
        assert!(!written.contains("Enter MFA code"), "it has no terminal to ask on");
        if let Ok(pid) = std::fs::read_to_string(place.path("sign-in.pid")) {
            // Given up, it ends; one that has ended has no command line.
            let deadline = Instant::now() + pty::PATIENCE;
            while std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty()) {
                assert!(Instant::now() < deadline, "the plugin lives on");
                std::thread::yield_now();
            }
        }
        let output = place.get(&["pods", "-A"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{script}");
        assert!(words.iter().all(|words| said.contains(words)), "{script}: {said}");

        // Signed in meanwhile, the same context works.
        std::fs::write(place.path("sign-in"), SIGN_IN).expect("a plugin");
        session.send(":ctx plugin\r");
        session.wait_text(&format!("pods(all)[{}]", rig.count("pods")));
        session.wait_text("● live");
        session.send(":q\r");
        assert_eq!(session.end(), 0);
        assert!(!session.on_alternate_screen(), "the terminal is given back");
    }
}
