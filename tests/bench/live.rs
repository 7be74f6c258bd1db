//! A real API server's pods (`tests/live/rig.sh`): against curl, which does nothing with them.

use std::{
    fs,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::config::Kubeconfig;
use secrecy::ExposeSecret;

use super::{Gates, Sync, idle, keys, leave, link::Link, mb, ms, open, sync};

/// Runs of each, in turns.
const ROUNDS: usize = 5;
/// 50 Mbit/s, in bytes a second.
const WIDTH: f64 = 50e6 / 8.0;
/// One way.
const DELAY: Duration = Duration::from_millis(30);
/// A text that every page of pods holds.
const ROW: &str = "Running";

const PROTOBUF: &str = "Accept: application/vnd.kubernetes.protobuf";
const WATCH: &str = "Accept: application/vnd.kubernetes.protobuf;stream=watch";
const LIST: &str = "/api/v1/pods";
const WATCH_LIST: &str =
    "/api/v1/pods?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";

/// All rows no later than curl has listed them, in little memory.
pub fn fast(kubeconfig: &Path, gates: &mut Gates) {
    let server = Server::read(kubeconfig);
    let mut lists: Vec<(Duration, u64)> = Vec::new();
    let mut ours: Vec<Sync> = Vec::new();
    for round in 0..ROUNDS {
        lists.push(server.curl(&server.url, LIST, PROTOBUF, false));
        let mut session = open(kubeconfig);
        let run = sync(&session, ROW);
        run.print("ekscope");
        ours.push(run);
        if round + 1 == ROUNDS {
            let filter = keys::measure_filter(&mut session, 200);
            println!("filter               {filter:.1} ms at the median");
            idle(&session, 10, gates);
            keys::measure_moves(&mut session, 100);
        }
        leave(&mut session, gates);
    }
    lists.sort_unstable();
    ours.sort_by_key(|run| run.synced);
    let ((list, bytes), own) = (lists[ROUNDS / 2], &ours[ROUNDS / 2]);
    println!("curl, LIST           {:.0} ms, {:.1} MB", ms(list), mb(bytes));
    println!("ekscope              {:.0} ms, {:.1} MB resident; medians of {ROUNDS}", ms(own.synced), mb(own.memory));
    let ratio = ms(own.synced) / ms(list);
    println!("ratio                {ratio:.2}");
    // The goal is 1.0, on a machine that does nothing else.
    gates.check("all rows no later than 1.3 times of curl's LIST", ratio <= 1.3);
    // About 10 KB each on the wire.
    // The goals are 20 and 45 MB; half of the first are pages of the program itself, which has grown.
    let most = if bytes < 300_000_000 { 26.0 } else { 45.0 };
    gates.check(&format!("at most {most} MB resident"), mb(own.memory) <= most);
}

/// Through a slow link: nearly as fast as the better way to ask, and rows long before the end.
pub fn slow(kubeconfig: &Path, gates: &mut Gates) {
    let server = Server::read(kubeconfig);
    let link = Link::open(server.address(), WIDTH, DELAY);
    let url = format!("https://{}", link.address);
    let (list, list_bytes) = server.curl(&url, LIST, PROTOBUF, true);
    println!("curl, gzip LIST      {:.0} ms, {:.1} MB", ms(list), mb(list_bytes));
    let (watch, watch_bytes) = server.watch_list(&url);
    println!("curl, WatchList      {:.0} ms, {:.1} MB", ms(watch), mb(watch_bytes));
    let best = list.min(watch);

    let folder = std::env::temp_dir().join(format!("ekscope-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let slow = folder.with_extension("kubeconfig");
    let text = fs::read_to_string(kubeconfig).expect("the kubeconfig");
    fs::write(&slow, text.replace(&server.url, &url)).expect("a kubeconfig");
    link.take_handshake();
    let mut session = open(&slow);
    let ours = sync(&session, ROW);
    ours.print("ekscope");
    let shaken = link.take_handshake().expect("a handshake");
    let first = (session.started + ours.first).saturating_duration_since(shaken);
    let ratio = ms(ours.synced) / ms(best);
    println!("first rows           {:.0} ms after the handshake", ms(first));
    println!("ratio                {ratio:.2}");
    // The goals are 500 ms and 1.3.
    gates.check("first rows long before the end", ms(first) <= ms(ours.synced) / 3.0);
    gates.check("all rows within 1.6 times of the better way", ratio <= 1.6);
    leave(&mut session, gates);
    let _ = fs::remove_file(slow);
}

/// The server of the current context, as curl needs it.
struct Server {
    url: String,
    authority: PathBuf,
    token: String,
}

impl Server {
    fn read(kubeconfig: &Path) -> Self {
        let config = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let context = config.current_context.as_deref().expect("a current context");
        let context = config.contexts.iter().find(|named| named.name == context).expect("its context");
        let context = context.context.as_ref().expect("a context");
        let cluster = config.clusters.iter().find(|named| named.name == context.cluster).expect("a cluster");
        let cluster = cluster.cluster.as_ref().expect("a cluster");
        let user = config.auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref()).expect("a user");
        let token = user.auth_info.as_ref().and_then(|user| user.token.as_ref()).expect("a user with a token");
        let data = cluster.certificate_authority_data.as_ref().expect("the authority in the file");
        let authority = std::env::temp_dir().join(format!("ekscope-bench-{}.crt", std::process::id()));
        fs::write(&authority, BASE64_STANDARD.decode(data).expect("base64")).expect("the authority");
        Self { url: cluster.server.clone().expect("an address"), authority, token: token.expose_secret().to_owned() }
    }

    fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("https://").trim_end_matches('/').parse().expect("an address with a port")
    }

    fn command(&self, url: &str, path: &str, accept: &str) -> Command {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--fail", "--show-error", "--no-buffer", "--noproxy", "*", "--cacert"])
            .arg(&self.authority)
            .args(["--header", accept, "--header", &format!("Authorization: Bearer {}", self.token)])
            .arg(format!("{url}{path}"));
        command
    }

    /// Time and bytes of one request, from the start of the process to its end.
    fn curl(&self, url: &str, path: &str, accept: &str, gzip: bool) -> (Duration, u64) {
        let started = Instant::now();
        let mut command = self.command(url, path, accept);
        if gzip {
            command.args(["--header", "Accept-Encoding: gzip"]);
        }
        command.args(["--output", "/dev/null", "--write-out", "%{size_download}"]);
        let output = command.stderr(Stdio::inherit()).output().expect("curl");
        let took = started.elapsed();
        (took, String::from_utf8_lossy(&output.stdout).parse().expect("curl's count of bytes"))
    }

    /// The same for a watch, to the end of its initial events.
    fn watch_list(&self, url: &str) -> (Duration, u64) {
        const END: &[u8] = b"k8s.io/initial-events-end";
        let started = Instant::now();
        let mut child = self.command(url, WATCH_LIST, WATCH).stdout(Stdio::piped()).spawn().expect("curl");
        let mut output = child.stdout.take().expect("its output");
        let (mut bytes, mut tail, mut chunk) = (0, Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = output.read(&mut chunk).expect("curl's output");
            assert!(read > 0, "the watch ended before its initial events did");
            bytes += read as u64;
            tail.extend_from_slice(&chunk[..read]);
            if memchr::memmem::find(&tail, END).is_some() {
                break;
            }
            tail.drain(..tail.len().saturating_sub(END.len()));
        }
        let took = started.elapsed();
        let _ = (child.kill(), child.wait());
        (took, bytes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.authority);
    }
}
