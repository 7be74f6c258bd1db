//! The explorer against a server with many pods: first rows, sync, memory, CPU under churn, key to screen; and another
//! client in the same run, because only ratios travel between machines.
//!
//! - `cargo bench --bench explorer`: the simulated cluster with 100,000 pods, against a plain reflector.
//! - `… -- --smoke`: the same with 6,000 pods; gates on ratios and counts.
//! - `… -- --kubeconfig FILE`: a real API server's pods, against curl's LIST of them in protobuf.
//! - `… -- --kubeconfig FILE --slow`: the same through a link of 50 Mbit/s and 30 ms each way.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark may fail, and says what it sees"
)]

#[path = "../pty/mod.rs"]
mod pty;

mod keys;
mod link;
mod live;
mod plain;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pty::{Options, Session};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ekscope");

/// What is measured.
struct Size {
    nodes: u32,
    pods: u32,
    /// Key presses of each sort.
    samples: usize,
    /// Changes a second.
    churn: &'static [u32],
    /// For how long CPU is counted.
    seconds: u64,
}

const WHOLE: Size = Size { nodes: 5_000, pods: 100_000, samples: 200, churn: &[1_000, 5_000], seconds: 15 };
const SMOKE: Size = Size { nodes: 300, pods: 6_000, samples: 40, churn: &[500], seconds: 3 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let after = |flag: &str| arguments.iter().position(|argument| argument == flag).map(|at| arguments[at + 1].clone());
    if let Some(kubeconfig) = after("--plain") {
        plain::run(&kubeconfig);
        return;
    }
    let mut gates = Gates::default();
    match after("--kubeconfig") {
        Some(kubeconfig) if has("--slow") => live::slow(Path::new(&kubeconfig), &mut gates),
        Some(kubeconfig) => live::fast(Path::new(&kubeconfig), &mut gates),
        None => simulated(if has("--smoke") { &SMOKE } else { &WHOLE }, &mut gates),
    }
    gates.finish();
}

/// What has to hold on every machine. The absolute goals are in CONTRIBUTING.
#[derive(Default)]
pub struct Gates {
    failed: Vec<String>,
    count: usize,
}

impl Gates {
    pub fn check(&mut self, what: &str, holds: bool) {
        self.count += 1;
        if !holds {
            self.failed.push(what.to_owned());
        }
    }

    fn finish(self) {
        for gate in &self.failed {
            println!("GATE FAILED: {gate}");
        }
        println!("{} of {} gates hold", self.count - self.failed.len(), self.count);
        if !self.failed.is_empty() {
            std::process::exit(1);
        }
    }
}

fn simulated(size: &Size, gates: &mut Gates) {
    println!("{} nodes, {} pods, simulated; 200x50", size.nodes, size.pods);
    let server = Server::start(size, 0);
    let mut session = open(&server.kubeconfig);
    let ours = sync(&session, "Running");
    ours.print("ekscope");
    idle(&session, size.seconds, gates);
    keys::measure(&mut session, size.samples);
    leave(&mut session, gates);
    drop(session);

    let plain = plain::measure(&server.kubeconfig);
    println!("plain reflector      synced {:>7.0} ms   memory {:>7.1} MB", ms(plain.synced), mb(plain.memory));
    let (time, memory) = (ms(plain.synced) / ms(ours.synced), plain.memory as f64 / ours.memory as f64);
    println!("ratios               {time:.1} times faster, {memory:.0} times less memory");
    // With room to spare for a busy machine and for a small cluster, where starting counts for more.
    gates.check("synced at least 3 times faster than a plain reflector", time >= 3.0);
    gates.check("at least 10 times less memory than a plain reflector", memory >= 10.0);
    drop(server);

    for &churn in size.churn {
        let server = Server::start(size, churn);
        churned(&server, churn, size.seconds, gates);
    }
}

/// The simulated cluster in a process of its own.
struct Server {
    child: Child,
    kubeconfig: PathBuf,
}

impl Server {
    fn start(size: &Size, churn: u32) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["demo", "--serve", "--preencode"])
            .args(["--nodes", &size.nodes.to_string(), "--pods", &size.pods.to_string()])
            .args(["--churn", &churn.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("its output")));
        let kubeconfig = lines
            .find_map(|line| line.ok()?.strip_prefix("export KUBECONFIG=").map(PathBuf::from))
            .expect("the server says where its kubeconfig is");
        Self { child, kubeconfig }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// How a table filled.
pub struct Sync {
    pub first: Duration,
    pub synced: Duration,
    /// Resident, bytes.
    pub memory: u64,
    /// Seconds.
    pub cpu: f64,
}

impl Sync {
    pub fn print(&self, name: &str) {
        println!(
            "{name:<20} first rows {:>5.0} ms   synced {:>7.0} ms   memory {:>7.1} MB   CPU {:.2} s",
            ms(self.first),
            ms(self.synced),
            mb(self.memory),
            self.cpu
        );
    }
}

/// All pods in a terminal, with folders of its own so that nothing is remembered from the last run.
pub fn open(kubeconfig: &Path) -> Session {
    let folder = std::env::temp_dir().join(format!("ekscope-bench-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let place = |name: &str| (name.to_owned(), folder.join(name).display().to_string());
    Session::start(&Options {
        program: Path::new(PROGRAM),
        arguments: ["pods", "-A", "--kubeconfig"]
            .into_iter()
            .map(str::to_owned)
            .chain([kubeconfig.display().to_string()])
            .collect(),
        environment: vec![place("EKSCOPE_CONFIG_DIR"), place("EKSCOPE_STATE_DIR"), place("EKSCOPE_CACHE_DIR")],
        columns: 200,
        rows: 50,
    })
}

/// Waits until the table is whole; `row` is a text that only a row holds.
pub fn sync(session: &Session, row: &str) -> Sync {
    let first = session.wait("rows", |screen| screen.contents().contains(row));
    let synced = session.wait("all rows", is_synced);
    let (memory, cpu) = session.usage();
    Sync { first: first - session.started, synced: synced - session.started, memory, cpu }
}

/// Whether the title counts everything: `pods(all)[100000]`, without the sign that more is coming.
fn is_synced(screen: &vt100::Screen) -> bool {
    let text = screen.contents();
    text.split("pods(all)[")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .is_some_and(|count| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a screen costs on which nothing happens: ages of a day and more, and nothing that changes.
fn idle(session: &Session, seconds: u64, gates: &mut Gates) {
    // The joined tables come in behind the pods, and what they changed stops glowing.
    session.wait("the nodes", |screen| screen.contents().contains("nodes "));
    session.wait("metrics", |screen| screen.contents().contains("metrics "));
    std::thread::sleep(Duration::from_secs(4));
    let (bytes, (_, before)) = (session.written(), session.usage());
    std::thread::sleep(Duration::from_secs(seconds));
    let (later, (memory, after)) = (session.written(), session.usage());
    let share = (after - before) / seconds as f64 * 100.0;
    println!(
        "idle                 CPU {share:>5.1} %   memory {:>6.1} MB   {} bytes written",
        mb(memory),
        later - bytes
    );
    gates.check("at most 1 % of a core when nothing happens", share <= 1.0);
}

fn churned(server: &Server, churn: u32, seconds: u64, gates: &mut Gates) {
    let mut session = open(&server.kubeconfig);
    session.wait("all rows", is_synced);
    session.wait("the nodes", |screen| screen.contents().contains("nodes "));
    // By age: new pods come in at the top, where one looks.
    session.send("A");
    session.wait("the order", |screen| screen.contents().contains("sort age"));
    let (frames, (_, before), from) = (session.frames(), session.usage(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (elapsed, (memory, after)) = (from.elapsed().as_secs_f64(), session.usage());
    let rate = (session.frames() - frames) as f64 / elapsed;
    let share = (after - before) / elapsed * 100.0;
    println!("{churn:>5} events/s       CPU {share:>5.1} %   memory {:>6.1} MB   {rate:.0} frames/s", mb(memory));
    gates.check("at most 30 frames a second under churn", rate <= 31.0);
    keys::measure_moves(&mut session, 40);
}

fn leave(session: &mut Session, gates: &mut Gates) {
    session.send(":q\r");
    let code = session.end();
    gates.check("leaves with code 0", code == 0);
    gates.check("gives the screen back", !session.on_alternate_screen());
}

/// As `top` counts: 2^20 bytes.
pub fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
