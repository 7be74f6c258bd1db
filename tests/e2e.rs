//! What a person does: the real program in a terminal, on the simulated cluster.

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
#[path = "pty/random.rs"]
mod random;

use std::{net::TcpListener, time::Instant};

use demo::{Demo, Place, still};
use pty::Session;
use random::Random;

const WIDE: (u16, u16) = (200, 50);
const NARROW: (u16, u16) = (80, 24);

const ESCAPE: &str = "\x1b";
const CONTROL_C: &str = "\x03";
const CONTROL_Z: &str = "\x1a";

/// The line under the cursor, from the name on: ages and numbers after it may change.
fn selected(session: &Session) -> String {
    let text = session.text();
    let line = text.lines().find(|line| line.starts_with('▌')).unwrap_or_else(|| panic!("no row is selected:\n{text}"));
    line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Waits until this row is the selected one: a frame may come in two parts.
fn wait_selected(session: &Session, row: &str) {
    session.wait(&format!("the cursor on {row:?}"), |screen| {
        screen
            .contents()
            .lines()
            .find(|line| line.starts_with('▌'))
            .is_some_and(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ") == row)
    });
}

fn wait_gone(session: &Session, text: &str) {
    session.wait(&format!("{text:?} to go"), |screen| !screen.contents().contains(text));
}

/// Types a line of the command prompt.
fn command(session: &mut Session, line: &str) {
    session.send(&format!(":{line}"));
    session.wait_text(&format!(":{line}"));
    session.send("\r");
}

/// The terminal is as it was found: main screen, cursor shown, no mouse, no bracketed paste.
fn assert_restored(session: &Session) {
    assert!(!session.on_alternate_screen(), "the alternate screen is left");
    let raw = String::from_utf8_lossy(&session.raw()).into_owned();
    for (set, reset) in [
        ("\x1b[?25l", "\x1b[?25h"),
        ("\x1b[?2004h", "\x1b[?2004l"),
        ("\x1b[?1000h", "\x1b[?1000l"),
        ("\x1b[?1049h", "\x1b[?1049l"),
    ] {
        assert!(raw.rfind(reset) > raw.rfind(set), "{reset:?} comes after {set:?}");
    }
}

fn leave(mut session: Session) {
    command(&mut session, "q");
    assert_eq!(session.end(), 0);
    assert_restored(&session);
}

/// The start every test shares: all pods are there.
fn pods(demo: &Demo, size: (u16, u16)) -> Session {
    let session = demo.open(&["pods", "-A"], size);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.wait_text("Running");
    session
}

fn filter(size: (u16, u16)) {
    let demo = Demo::start(still());
    let all = demo.pods();
    let mut session = pods(&demo, size);
    session.send("/coredns");
    session.wait_text(&format!("pods(all)[2/{all}]"));
    session.send("\r");
    session.wait_text(&format!("pods(all)[2/{all}]  /coredns"));
    session.send(ESCAPE);
    session.wait_text(&format!("pods(all)[{all}]"));

    // What cannot be read is explained, and the last good result stays.
    session.send("/a(b");
    session.wait_text("not a regular expression");
    session.wait_text("Running");
    session.send(ESCAPE);
    wait_gone(&session, "not a regular expression");
    session.wait_text(&format!("pods(all)[{all}]"));

    session.send("/nothing-is-called-so\r");
    session.wait_text(&format!("none of {all} pods match"));
    session.wait_text("Esc clears the filter");
    session.send(ESCAPE);
    session.wait_text(&format!("pods(all)[{all}]"));
    leave(session);
}

#[test]
fn filters_on_a_large_screen() {
    filter(WIDE);
}

#[test]
fn filters_on_a_small_screen() {
    filter(NARROW);
}

fn drill(size: (u16, u16)) {
    let demo = Demo::start(still());
    let mut session = demo.open(&["nodes"], size);
    session.wait_text("nodes(all)[6]");
    // What is counted and measured takes room from the names.
    session.wait_text(&format!("pods {} ", demo.pods()));
    if size == WIDE {
        session.wait_text("metrics fresh");
    }
    session.send("/!ip-10-0-0-15\r");
    session.wait_text("nodes(all)[5/6]");
    session.send("jj");
    let before = {
        session.wait("the third row", |screen| {
            let text = screen.contents();
            let rows: Vec<&str> = text.lines().filter(|line| line.contains("Ready")).collect();
            rows.get(2).is_some_and(|row| row.starts_with('▌'))
        });
        selected(&session)
    };
    session.send("\r");
    session.wait_text("pods(all)[");
    session.wait("two pods", |screen| screen.contents().lines().filter(|line| line.contains("Running")).count() > 1);
    session.send("j");
    session.wait("the second pod", |screen| {
        screen.contents().lines().filter(|line| line.contains("Running")).nth(1).is_some_and(|row| row.starts_with('▌'))
    });
    if size == WIDE {
        // What is measured takes room from the names.
        session.wait_text("metrics fresh");
    }
    let pod = selected(&session);
    let name: String =
        pod.split_whitespace().nth(2).expect("a name").chars().take_while(|&letter| letter != '…').collect();
    session.send("\r");
    session.wait_text(&format!("containers({name}"));
    session.send(ESCAPE);
    session.wait_text("pods(all)[");
    wait_selected(&session, &pod);
    session.send(ESCAPE);
    session.wait_text("nodes(all)[5/6]  /!ip-10-0-0-15");
    wait_selected(&session, &before);
    leave(session);
}

#[test]
fn drills_on_a_large_screen() {
    drill(WIDE);
}

#[test]
fn drills_on_a_small_screen() {
    drill(NARROW);
}

#[test]
fn yaml_has_no_managed_fields_until_they_are_asked_for() {
    let demo = Demo::start(still());
    let mut session = pods(&demo, WIDE);
    session.send("y");
    session.wait_text("apiVersion: v1");
    session.wait_text("kind: Pod");
    session.send("/managedFields\r");
    session.wait_text("0 found");
    session.send("m");
    session.wait_text("1 found");
    leave(session);
}

#[test]
fn secrets_are_masked_until_they_are_asked_for() {
    let demo = Demo::start(still());
    let mut session = demo.open(&["secrets", "-A"], WIDE);
    session.wait_text("Opaque");
    session.send("y");
    session.wait_text("••••••••");
    session.send("x");
    wait_gone(&session, "••••••••");
    session.wait_text("is shown unmasked");
    session.send("x");
    session.wait_text("••••••••");
    leave(session);
}

#[test]
fn the_command_line_completes_and_explains() {
    let demo = Demo::start(still());
    let mut session = pods(&demo, WIDE);
    session.send(":depl");
    session.wait_text("deployments");
    // The half word alone is none.
    session.send("\t\r");
    session.wait_text("deployments(all)[");
    command(&mut session, "deploymints");
    session.wait_text("there is no kind or command \"deploymints\"");
    session.wait_text("did you mean :deployments?");
    // It stays where it was.
    session.wait_text("deployments(all)[");
    command(&mut session, "ctx");
    session.wait_text("contexts(all)[1]");
    session.wait_text("demo");
    session.send(ESCAPE);
    session.wait_text("deployments(all)[");
    command(&mut session, "ctx nowhere");
    session.wait_text("there is no context \"nowhere\"");
    leave(session);
}

#[test]
fn namespaces_by_line_and_by_digit() {
    let demo = Demo::start(still());
    let count = |namespace: &str| demo.rows(&["pods", "-A"]).iter().filter(|row| row["namespace"] == namespace).count();
    let (argocd, karpenter) = (count("argocd"), count("karpenter"));
    let mut session = pods(&demo, WIDE);
    command(&mut session, "pods argocd,karpenter");
    session.wait_text(&format!("pods(argocd,karpenter)[{}]", argocd + karpenter));
    command(&mut session, "pods karpenter");
    session.wait_text(&format!("pods(karpenter)[{karpenter}]"));
    session.send("0");
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    // The latest namespace stands on 1.
    session.send("1");
    session.wait("a single namespace", |screen| {
        let text = screen.contents();
        text.contains(&format!("pods(karpenter)[{karpenter}]")) || text.contains(&format!("pods(argocd)[{argocd}]"))
    });
    session.send("9");
    session.wait_text("there is no recent namespace 9");
    leave(session);
}

#[test]
fn sorts_marks_and_faults() {
    let demo = Demo::start(still());
    let mut names: Vec<String> =
        demo.rows(&["pods", "-A"]).iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    let mut session = pods(&demo, WIDE);
    let first = |name: String| {
        move |screen: &vt100::Screen| {
            screen.contents().lines().find(|line| line.contains("Running")).is_some_and(|row| row.contains(&name))
        }
    };
    session.send("N");
    session.wait_text("sort name ↑");
    session.wait("the first name first", first(names[0].clone()));
    session.send("N");
    session.wait_text("sort name ↓");
    session.wait("the last name first", first(names[names.len() - 1].clone()));
    session.send("A");
    session.wait_text("sort age");
    command(&mut session, "sort nonsense");
    session.wait_text("there is no column \"nonsense\" here");

    session.send("  ");
    session.wait_text("2 marked");
    session.send("jj\0");
    session.wait_text("5 marked");
    session.send("\x1c");
    wait_gone(&session, "marked");

    let faults = demo.pods();
    session.send(CONTROL_Z);
    session.wait_text("faults only");
    session.wait_text(&format!("/{faults}]"));
    session.send(CONTROL_Z);
    wait_gone(&session, "faults only");
    session.wait_text(&format!("pods(all)[{faults}]"));
    leave(session);
}

#[test]
fn help_tells_what_works_here() {
    let demo = Demo::start(still());
    let mut session = pods(&demo, WIDE);
    session.send("?");
    session.wait_text("The node that the pod runs on");
    session.send("?");
    session.wait_text("pods(all)[");
    command(&mut session, "nodes");
    session.wait_text("nodes(all)[6]");
    session.send("?");
    session.wait_text("The nodes of the node's group");
    assert!(!session.text().contains("The node that the pod runs on"), "a pod's keys do nothing among nodes");
    leave(session);
}

#[test]
fn any_size_is_survived() {
    let demo = Demo::start(still());
    let session = pods(&demo, WIDE);
    for (columns, rows) in [(1, 1), (200, 1), (1, 50), (5, 3), (40, 6), (300, 100)] {
        session.resize(columns, rows);
    }
    session.resize(80, 24);
    session.wait("the table again", |screen| {
        let text = screen.contents();
        text.contains(&format!("pods(all)[{}]", demo.pods())) && text.contains("NAME") && text.contains('▌')
    });
    leave(session);
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let demo = Demo::start(still());
    let mut session = pods(&demo, NARROW);
    session.send(CONTROL_C);
    assert_eq!(session.end(), 0);
    assert_restored(&session);
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let mut session = pods(&demo, NARROW);
        let sent = std::process::Command::new("kill").args(["-s", signal, &session.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        assert_eq!(session.end(), code, "SIG{signal}");
        assert_restored(&session);
    }
}

#[test]
fn columns_and_sorting_are_as_the_settings_say() {
    let demo = Demo::start(still());
    let mut names: Vec<String> =
        demo.rows(&["pods", "-A"]).iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    let before = demo.place.get(&["pods", "-A", "-o", "csv"]);
    let path = demo
        .place
        .configure("[kinds.pods]\ncolumns = [\"age\", \"name\", \"nmae\", \"status\"]\nsort = \"name desc\"\n");
    let mut session = demo.open(&["pods", "-A"], WIDE);
    session.wait_text("sort name ↓");
    session.wait("these columns and the last name first", |screen| {
        let text = screen.contents();
        let mut lines = text.lines().skip_while(|line| line.split_whitespace().next() != Some("AGE"));
        let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        head == ["AGE", "NAME↓", "STATUS"] && lines.next().is_some_and(|row| row.contains(&names[names.len() - 1]))
    });
    session.send("!");
    session.wait_text(&format!("{path}:2:27: pods have no column `nmae` (did you mean `name`?)"));
    leave(session);

    let after = demo.place.get(&["pods", "-A", "-o", "csv"]);
    let head = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    };
    assert!(head(&before).starts_with("NAMESPACE,NAME,READY"), "{}", head(&before));
    assert_eq!(head(&before), head(&after), "what scripts read does not depend on the screen's settings");
}

#[test]
fn a_settings_file_with_mistakes_costs_only_the_mistakes() {
    let demo = Demo::start(still());
    let path = demo.place.configure("[ui]\nthme = \"paper\"\nascii = true\ntheme = paper\n[start]\nview = \"nodes\"\n");
    let mut session = demo.open(&["-A"], WIDE);
    session.wait_text("nodes(all)[6]");
    session.wait("a selected row without block elements", |screen| {
        screen.contents().lines().any(|line| line.starts_with('>') && line.contains("Ready"))
    });
    session.send("!");
    session.wait_text(&format!("{path}:2:1: unknown key `thme` in [ui] (did you mean `theme`?)"));
    session.wait_text(&format!("{path}:4:9: not TOML"));
    leave(session);

    let checked = demo.place.run(&["config"]);
    let text = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(2), "{text}");
    for part in [
        format!("settings  {path}"),
        format!("{path}:2:1: unknown key `thme`"),
        "slate (chosen)".to_owned(),
        "table.sort-column".to_owned(),
        "shift-o".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    let defaults = demo.place.run(&["config", "--defaults"]);
    demo.place.configure(&String::from_utf8_lossy(&defaults.stdout));
    assert_eq!(demo.place.run(&["config"]).status.code(), Some(0));
}

#[test]
fn a_start_view_is_a_whole_line() {
    let demo = Demo::start(still());
    demo.place.configure("[start]\nview = \"deploy kube-system /coredns\"\nremember = false\n");
    let session = demo.open(&[], NARROW);
    session.wait_text("deployments(kube-system)[1/");
    leave(session);
    // The command line goes first.
    let session = demo.open(&["-A"], NARROW);
    session.wait_text("deployments(all)[1/");
    leave(session);
    demo.place.configure("[start]\nview = \"nosuch\"\nremember = false\n");
    let session = demo.open(&["-A"], WIDE);
    session.wait_text("there is no kind or command \"nosuch\"");
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    leave(session);
}

#[test]
fn how_to_connect_may_stand_before_the_subcommand() {
    let demo = Demo::start(still());
    let kubeconfig = demo.place.kubeconfig().display().to_string();
    let output = demo.place.run(&["--kubeconfig", &kubeconfig, "-n", "kube-system", "get", "pods", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("an array of rows");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["namespace"] == "kube-system"), "{rows:?}");
    let refused = demo.place.run(&["-A", "get", "pods", "-n", "x"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_server_that_is_not_there_is_named_and_left() {
    let place = Place::new();
    // A port that was free a moment ago: nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    place.write_kubeconfig(port);
    let session = place.open(&["pods"], NARROW);
    session.wait_text(&format!("127.0.0.1:{port}"));
    session.wait_text("refused");
    session.wait_text(":q quits");
    leave(session);
}

#[test]
fn a_server_that_never_answers_does_not_hold_the_screen() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    place.write_kubeconfig(port);
    let session = place.open(&["pods"], NARROW);
    // Nobody ever accepts or answers: whatever is on screen waited for no one.
    let at = session.wait_text(&format!("connecting to 127.0.0.1:{port}"));
    eprintln!("\"connecting\" after {:?}", at - session.started);
    session.wait_text(":q quits");
    leave(session);
    drop(listener);
}

/// crossterm reads 1,024 bytes at once, and its usual source forgets the rest until another key comes.
#[cfg(unix)]
#[test]
fn keys_that_pile_up_are_all_obeyed() {
    let demo = Demo::start(still());
    let mut session = demo.open(&["pods", "-A"], WIDE);
    session.wait_text("● live");
    let pid = session.pid().to_string();
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} is sent");
    };
    signal("-STOP");
    session.send(&format!("{}:nodes\r", "j".repeat(3_000)));
    signal("-CONT");
    session.wait_text("nodes(all)[6]");
    leave(session);
}

/// So many acts, or for as long as `EKSCOPE_RANDOM_SECONDS` says.
#[test]
fn random_keys_pastes_and_sizes_break_nothing() {
    let seconds = std::env::var("EKSCOPE_RANDOM_SECONDS").ok().and_then(|text| text.parse().ok());
    let demo = Demo::of_account(ekscope::sim::Options { churn: 200.0, ..still() });
    let mut session = demo.open(&["pods", "-A"], WIDE);
    session.wait_text("Running");
    let mut random = Random::new(seconds.unwrap_or(2026));
    let mut acts = 0;
    while seconds.map_or(acts < 1_500, |seconds| session.started.elapsed().as_secs() < seconds) {
        random.act(&mut session);
        acts += 1;
    }
    session.resize(WIDE.0, WIDE.1);
    // The program still does as it is told.
    random.end_with(&mut session, ":pods argocd\r", "pods(argocd)[");
    leave(session);
    assert!(!demo.place.log().contains("panicked"), "{}", demo.place.log());
}

#[test]
fn the_screen_is_drawn_anew_without_asking_the_terminal_anything() {
    let demo = Demo::start(still());
    let mut session = demo.open(&["pods", "-A"], (120, 30));
    session.wait_text("Running");
    session.wait_text("● live");
    let before = session.raw().len();
    session.send("\x12");
    let drawn = || String::from_utf8_lossy(&session.raw()[before..]).into_owned();
    // A cell that did not change is written again.
    let deadline = Instant::now() + pty::PATIENCE;
    while !drawn().contains("NAMESPACE") {
        assert!(Instant::now() < deadline, "{:?}", drawn());
        std::thread::yield_now();
    }
    // An answer would have to come through the keyboard, whose reader does not pass it on.
    assert!(!drawn().contains("\x1b[6n"), "{:?}", drawn());
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry.display().to_string()) }
    }
    found
}

/// A way to end the program.
type End = Box<dyn Fn(&mut Session)>;

/// However a demo ends, it leaves nothing but what is remembered and logged, and the terminal as it was.
#[cfg(unix)]
#[test]
fn a_demo_leaves_nothing_behind() {
    let signal = |name: &'static str| {
        move |session: &mut Session| {
            let killed = std::process::Command::new("kill").args([name, &session.pid().to_string()]).status();
            assert!(killed.expect("kill runs").success());
        }
    };
    let keys = |keys: &'static str| move |session: &mut Session| session.send(keys);
    let ends: [(&str, End, u32); 5] = [
        (":q", Box::new(keys(":q\r")), 0),
        ("Ctrl-C", Box::new(keys(CONTROL_C)), 0),
        ("SIGTERM", Box::new(signal("-TERM")), 143),
        ("SIGINT", Box::new(signal("-INT")), 130),
        ("SIGHUP", Box::new(signal("-HUP")), 129),
    ];
    for (how, end, code) in ends {
        let home = tempfile::tempdir().expect("a home");
        let temporary = home.path().join("tmp");
        std::fs::create_dir(&temporary).expect("a folder");
        let folder = |name: &str| home.path().join(name).display().to_string();
        let environment = [
            ("HOME", home.path().display().to_string()),
            ("TMPDIR", temporary.display().to_string()),
            ("XDG_CONFIG_HOME", folder("config")),
            ("XDG_CACHE_HOME", folder("cache")),
            ("XDG_STATE_HOME", folder("state")),
            ("XDG_DATA_HOME", folder("data")),
        ];
        let mut session = Session::start(&pty::Options {
            program: std::path::Path::new(demo::PROGRAM),
            arguments: ["demo", "--nodes", "6", "--pods", "60"].map(str::to_owned).to_vec(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            columns: 160,
            rows: 40,
        });
        session.wait_text("● live");
        session.wait_text("Running");
        // What leads to the cluster was read and is gone, even if nobody could clear up any more.
        let secret = |path: &String| path.contains("kubeconfig");
        assert!(!files(home.path()).iter().any(secret), "{how}: {:?}", files(home.path()));
        end(&mut session);
        assert_eq!(session.end(), code, "{how}");
        assert_restored(&session);
        let allowed = [folder("cache/ekscope"), folder("state/ekscope")];
        let left = files(home.path());
        let strange: Vec<_> =
            left.iter().filter(|path| !allowed.iter().any(|folder| path.starts_with(folder))).collect();
        assert!(strange.is_empty(), "{how}: {strange:?}");
    }
}

#[test]
fn the_guide_of_a_demo_goes_with_one_key_and_for_good() {
    let place = Place::new();
    let demo = ["demo", "--nodes", "6", "--pods", "60"];
    let mut session = place.open_as_is(&demo, (120, 36));
    session.wait_text("Running");
    session.wait_text("calm-day  an ordinary day");
    session.wait_text("ctrl-z shows what is not well");
    session.wait_text("close this for good");
    session.send(":story\r");
    session.wait_text("story[");
    session.wait_text("ctrl-z shows what is not well");
    session.send("q");
    session.wait_text("close this for good");
    session.send("x");
    wait_gone(&session, "close this for good");
    leave(session);
    let session = place.open_as_is(&demo, (120, 36));
    session.wait_text("Running");
    session.wait_text("● live");
    assert!(!session.text().contains("close this for good"), "{}", session.text());
    leave(session);
}

#[test]
fn a_small_terminal_has_one_line_of_the_guide_and_no_row_less_than_it_takes() {
    let place = Place::new();
    let session = place.open_as_is(&["demo", "--nodes", "6", "--pods", "60"], NARROW);
    session.wait_text("Running");
    session.wait("the line under the table", |screen| {
        let text = screen.contents();
        let lines: Vec<&str> = text.lines().collect();
        lines.len() >= 24 && lines[22].contains("calm-day") && lines[22].contains("x close this for good")
    });
    leave(session);
}
