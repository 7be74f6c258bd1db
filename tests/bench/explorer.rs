//! The explorer against a server with many pods: first rows, sync, memory, CPU under churn, key to screen; and a plain
//! reflector client in the same run, because only ratios travel between machines.
//!
//! `cargo bench --bench explorer` measures 100,000 pods; `-- --smoke` a small size, with gates on ratios and counts.

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

#[path = "../pty/mod.rs"]
mod pty;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pty::{Options, Session};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ekscope");

struct Size {
    nodes: u32,
    pods: u32,
    samples: usize,
    churn: &'static [u32],
    seconds: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--plain") {
        plain::run(&arguments[at + 1]);
        return;
    }
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let size = if smoke {
        Size { nodes: 300, pods: 6_000, samples: 40, churn: &[500], seconds: 3 }
    } else {
        Size { nodes: 5_000, pods: 100_000, samples: 200, churn: &[1_000, 5_000], seconds: 15 }
    };
    println!("{} nodes, {} pods, 200x50", size.nodes, size.pods);
    let mut gates = Gates::default();

    let server = Server::start(&size, 0);
    let ours = measure(&server, &size, &mut gates);
    let plain = plain::measure(&server);
    println!("plain reflector      synced {:>7.0} ms   memory {:>7.1} MB", ms(plain.synced), mb(plain.memory));
    let (time, memory) = (ms(plain.synced) / ms(ours.synced), plain.memory as f64 / ours.memory as f64);
    println!("ratios               {time:.1} times faster, {memory:.0} times less memory");
    // Gates for CI hold with room to spare on a busy machine; the goals are in CONTRIBUTING.
    gates.check("synced at least 3 times faster than a plain reflector", time >= 3.0);
    gates.check("at least 10 times less memory than a plain reflector", memory >= 10.0);
    drop(server);

    for &churn in size.churn {
        let server = Server::start(&size, churn);
        let mut session = open(&server);
        session.wait("all rows", |screen| title_is(screen, &format!("pods(all)[{}", 0)) || synced(screen));
        session.send("A");
        let (_, before) = session.usage();
        let (_, reads_before) = session.written();
        std::thread::sleep(Duration::from_secs(size.seconds));
        let (memory, after) = session.usage();
        let (_, reads) = session.written();
        let share = (after - before) / size.seconds as f64 * 100.0;
        let frames = (reads - reads_before) as f64 / size.seconds as f64;
        println!(
            "{churn:>5} events/s        CPU {share:>5.1} %   memory {:>6.1} MB   {frames:.0} writes/s",
            mb(memory)
        );
        // A write is at most a frame; the terminal may take one in several reads.
        gates.check("at most 30 frames a second under churn", frames <= 90.0);
    }
    gates.finish();
}

#[derive(Default)]
struct Gates {
    failed: Vec<String>,
    count: usize,
}

impl Gates {
    fn check(&mut self, what: &str, holds: bool) {
        self.count += 1;
        if !holds {
            self.failed.push(what.to_owned());
        }
    }

    fn finish(self) {
        for gate in &self.failed {
            println!("GATE FAILED: {gate}");
        }
        println!("{} passed, {} failed", self.count - self.failed.len(), self.failed.len());
        if !self.failed.is_empty() {
            std::process::exit(1);
        }
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

struct Result {
    synced: Duration,
    memory: u64,
}

fn open(server: &Server) -> Session {
    let folder = std::env::temp_dir().join(format!("ekscope-bench-{}", std::process::id()));
    let place = |name: &str| (name.to_owned(), folder.join(name).display().to_string());
    Session::start(&Options {
        program: Path::new(PROGRAM),
        arguments: ["pods", "-A", "--kubeconfig"]
            .into_iter()
            .map(str::to_owned)
            .chain([server.kubeconfig.display().to_string()])
            .collect(),
        environment: vec![place("EKSCOPE_CONFIG_DIR"), place("EKSCOPE_STATE_DIR"), place("EKSCOPE_CACHE_DIR")],
        columns: 200,
        rows: 50,
    })
}

fn title_is(screen: &vt100::Screen, start: &str) -> bool {
    screen.contents().contains(start)
}

/// Whether the title counts everything and nothing more is coming.
fn synced(screen: &vt100::Screen) -> bool {
    let text = screen.contents();
    text.split("pods(all)[")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .is_some_and(|count| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()))
}

fn measure(server: &Server, size: &Size, gates: &mut Gates) -> Result {
    let mut session = open(server);
    let first =
        session.wait("rows", |screen| screen.contents().contains("▌ ") && screen.contents().contains("Running"));
    let done = session.wait("all rows", synced);
    let (memory, cpu) = session.usage();
    let synced = done - session.started;
    println!(
        "ekscope              first rows {:>5.0} ms   synced {:>7.0} ms   memory {:>7.1} MB   CPU {:.2} s",
        ms(first - session.started),
        ms(synced),
        mb(memory),
        cpu
    );
    println!(
        "                     {:.0} bytes a pod above 12 MB",
        (memory.saturating_sub(12 << 20)) as f64 / f64::from(size.pods)
    );
    // Joined tables come in behind.
    session.wait("nodes", |screen| screen.contents().contains("nodes "));

    let (bytes, _) = session.written();
    let (_, before) = session.usage();
    std::thread::sleep(Duration::from_secs(size.seconds));
    let (_, after) = session.usage();
    let (later, _) = session.written();
    println!(
        "idle                 CPU {:.1} %   {} bytes written",
        (after - before) / size.seconds as f64 * 100.0,
        later - bytes
    );

    let mut latency =
        |name: &str, keys: &dyn Fn(usize) -> &'static str, settled: &dyn Fn(usize, &vt100::Screen) -> bool| {
            let mut times: Vec<Duration> = Vec::new();
            for sample in 0..size.samples {
                let sent = Instant::now();
                session.send(keys(sample));
                let seen = session.wait(name, |screen| settled(sample, screen));
                times.push(seen.saturating_duration_since(sent));
                // Gaps of no fixed length, as fingers make them.
                std::thread::sleep(Duration::from_millis(13 + (sample as u64 * 7) % 29));
            }
            times.sort();
            let at = |share: f64| ms(times[((times.len() - 1) as f64 * share) as usize]);
            println!("key {name:<16} p50 {:>6.2} ms   p99 {:>6.2} ms", at(0.5), at(0.99));
        };
    let bar =
        |screen: &vt100::Screen| (0..50).find(|&row| screen.cell(row, 0).is_some_and(|cell| cell.contents() == "▌"));
    // The bar steps down a line from the fourth on, and up again.
    let base = 4;
    latency("move", &|sample| if sample % 20 < 10 { "j" } else { "k" }, &|sample, screen| {
        let step = (sample % 20) as u16;
        bar(screen) == Some(base + if step < 10 { step + 1 } else { 19 - step })
    });
    latency("page", &|sample| if sample % 2 == 0 { "\x1b[6~" } else { "\x1b[5~" }, &|sample, screen| {
        bar(screen) == Some(if sample % 2 == 0 { 47 } else { base })
            || bar(screen).is_some_and(|row| (sample % 2 == 0) == (row > 40))
    });
    latency("sort", &|sample| if sample % 2 == 0 { "N" } else { "S" }, &|sample, screen| {
        screen.contents().contains(if sample % 2 == 0 { "sort name" } else { "sort status" })
    });
    session.send("P/");
    session.wait("the prompt", |screen| {
        screen.contents().contains(&format!("[{}]  /", size.pods)) || screen.contents().contains("]  /")
    });
    let word = "checkout-a";
    latency(
        "filter",
        &|sample| if sample % 20 < 10 { &word[sample % 10..=sample % 10] } else { "\x7f" },
        &|sample, screen| {
            let step = sample % 20;
            let length = if step < 10 { step + 1 } else { 19 - step };
            let text = screen.contents();
            let typed = text.split("]  /").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default().trim_end();
            typed == &word[..length]
        },
    );
    session.send("\x1b");
    let code = {
        session.send(":q\r");
        session.end()
    };
    gates.check("leaves with code 0", code == 0);
    gates.check("gives the screen back", !session.on_alternate_screen());
    Result { synced, memory }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What most tools do: kube's typed pods, listed in pages of 500 and kept whole by reference, as its reflector does. (Its
/// runtime crate would be built for this alone.)
mod plain {
    use super::*;

    pub struct Plain {
        pub synced: Duration,
        pub memory: u64,
    }

    /// Runs the client in a process of its own, for its memory.
    pub fn measure(server: &Server) -> Plain {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--plain", &server.kubeconfig.display().to_string()])
            .output()
            .expect("the plain client runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let (micros, memory) = (numbers.next().expect("its time"), numbers.next().expect("its memory"));
        Plain { synced: Duration::from_micros(micros), memory }
    }

    pub fn run(kubeconfig: &str) {
        use std::{collections::HashMap, sync::Arc};

        use k8s_openapi::api::core::v1::Pod;
        use kube::{ResourceExt, api::ListParams};

        let started = Instant::now();
        ekscope::sources::kube::session::install_crypto();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default())
                .await
                .expect("a configuration");
            let client = kube::Client::try_from(config).expect("a client");
            let pods: kube::Api<Pod> = kube::Api::all(client);
            let mut store: HashMap<(Option<String>, String), Arc<Pod>> = HashMap::new();
            let mut page = ListParams::default().limit(500);
            loop {
                let list = pods.list(&page).await.expect("a page");
                store.extend(list.items.into_iter().map(|pod| ((pod.namespace(), pod.name_any()), Arc::new(pod))));
                match list.metadata.continue_ {
                    Some(token) if !token.is_empty() => page = page.continue_token(&token),
                    _ => break,
                }
            }
            let (memory, _) = pty::usage(std::process::id());
            println!("{} {memory} {}", started.elapsed().as_micros(), store.len());
        });
    }
}
