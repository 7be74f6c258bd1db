//! The demo world: a simulated EKS cluster behind real HTTPS on loopback.
//!
//! The one server of the project: what `ekscope demo` shows, what the end-to-end tests talk to and what the benchmarks
//! load. From the inside out: `cluster` makes nodes, workloads and pods, and goes on with their story; `world` holds
//! everything as `object`s in one table for each resource of the `catalog`, with their history; one task (`owner`) owns
//! it. `encoding` turns JSON into protobuf, `print` into rows, `admission` says what is wrong with what clients send, and
//! `http` answers requests. `faults` is what goes wrong on purpose. `replay` is another server: it plays a recording.
//!
//! Nothing outside this folder knows that a cluster is simulated: clients get an ordinary kubeconfig.

mod admission;
mod aws;
mod beside;
mod catalog;
mod clock;
mod cluster;
mod encoding;
mod faults;
mod http;
mod karpenter;
mod object;
mod owner;
mod print;
mod random;
mod replay;
mod requests;
mod world;

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;

use ekscope_base::{problem, recording, util};
use problem::Problem;

pub use cluster::story::{STORIES, Story};
pub use faults::{AwsOperation, Faults, Forbid, Grant, Operation, Throttle, WatchListFault};
pub use replay::{Replay, replay};
pub use requests::{Request, RequestLog};

use aws::answer::Failure;
use aws::cloud::Keys;
use aws::{Call, Service};
use beside::Beside;
use cluster::node::{CLUSTER, REGION};
use cluster::seed::Size;
use cluster::site::DEMO;
use cluster::{churn, life, story};
use http::server::{Account, Counters, Server};
use http::tls;
use owner::Owner;
use world::{Unborn, World};

/// Variables that would lead elsewhere.
const FOREIGN: [&str; 14] = [
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CA_BUNDLE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ENDPOINT_URL_EKS",
    "AWS_ENDPOINT_URL_AUTO_SCALING",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_PRICING",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// The name of the context, the cluster and the user in the demo's kubeconfig.
pub const CONTEXT: &str = "demo";

/// What world to make and how to serve it.
#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: u32,
    pub pods: u32,
    /// Changes a second that happen by themselves.
    pub churn: f64,
    /// The same seed and start give the same world, to the byte.
    pub seed: u64,
    /// When the story begins, in seconds since 1970; `None`: now.
    pub start: Option<i64>,
    /// `None`: a free port on 127.0.0.1.
    pub listen: Option<SocketAddr>,
    /// Encodes every pod's watch frame at the start (about 8.5 KB each), so that streaming them costs little.
    pub preencode: bool,
    pub faults: Faults,
    /// Whether the world lives: controllers, kubelets, and the story. Otherwise it stands still, but for the churn.
    pub live: bool,
    /// How fast the time of a living world goes.
    pub speed: f64,
    /// What goes on in a living world; `None`: nothing that nobody asked for.
    pub story: Option<&'static Story>,
    /// Does not wait until the world is made: requests do, and the handle is there at once.
    pub background: bool,
    /// A second cluster in the account, of Karpenter and Fargate alone: made when somebody first asks it for something.
    pub second: bool,
    /// Threads of a server that `spawn` runs.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 60,
            pods: 1200,
            churn: 2.0,
            seed: 1,
            start: None,
            listen: None,
            preencode: false,
            background: false,
            faults: Faults::default(),
            live: false,
            speed: 1.0,
            story: None,
            second: false,
            threads: 2,
        }
    }
}

/// What a server did since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub connections: u64,
    pub requests: u64,
    /// The cluster's newest resource version.
    pub version: u64,
    pub pods: usize,
    pub nodes: usize,
    /// How long the world has lived, in seconds of its own time.
    pub lived_s: i64,
}

/// A running server; it stops when this is dropped.
pub struct Handle {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    authority: String,
    token: String,
    keys: Keys,
    owner: Owner,
    counters: Arc<Counters>,
    drops: signal::Sender<u64>,
    thread: Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Starts a server on the current runtime.
pub async fn start(options: Options) -> Result<Handle, Problem> {
    let address = options.listen.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
    let cannot = |error: std::io::Error| {
        Problem::new(format!("the demo server cannot listen on {address}"))
            .because(error)
            .hint("choose another address or port with --listen")
    };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let identity = tls::identity(&address.ip().to_string())?;
    // Anyone on this machine can reach the port: the token must not follow from the seed.
    let token = tls::token()?;
    let keys = tls::keys()?;
    let (breaker, broken) = signal::channel(0);
    let beside = if options.second { Some(Beside::listen(&options, &keys).await?) } else { None };
    let owner = Owner::spawn({
        let (options, token, keys) = (options.clone(), token.clone(), keys.clone());
        let (endpoint, authority) = (format!("https://{address}"), BASE64_STANDARD.encode(&identity.authority));
        let neighbour = beside.as_ref().map(|beside| beside.neighbour(&authority));
        move || {
            let ahead = options.faults.clock_ahead_s;
            let now = options.start.unwrap_or_else(|| Timestamp::now().as_second().saturating_add(ahead));
            let mut world =
                World::new(Size { site: &DEMO, nodes: options.nodes, pods: options.pods, seed: options.seed, now });
            world.token = token;
            (world.cloud.keys, world.cloud.endpoint, world.cloud.authority) = (keys, endpoint, authority);
            world.cloud.neighbour = neighbour;
            world.churn = options.churn;
            world.faults = options.faults;
            world.speed = options.speed;
            world.drops = breaker;
            if !options.background {
                world.furnish();
            }
            if options.live && !options.background {
                life::begin(&mut world, options.story);
            } else if options.live {
                world.unborn = Some(Unborn(options.story));
                if let Some(story) = options.story {
                    story::prepare(&mut world, story);
                }
            }
            if options.preencode {
                world.encode_ahead();
            }
            world
        }
    });
    if !options.background {
        owner.ask(|_| ()).await;
    }
    let (drops, dropped) = signal::channel(0);
    let account = Account { own: owner.clone(), beside: beside.as_ref().map(|beside| beside.owner.clone()) };
    if let Some(beside) = beside {
        beside.serve(&identity, account.clone(), dropped.clone());
    }
    let server = Server::new(owner.clone(), account, &identity, address, [dropped, broken]);
    let counters = Arc::clone(&server.counters);
    tokio::spawn(server.run(listener));
    let url = format!("https://{address}");
    Ok(Handle { url, authority: identity.authority, token, keys, owner, counters, drops, thread: None })
}

/// Starts a server in a thread of its own, with its own runtime; returns when it answers.
pub fn spawn(options: Options) -> Result<Handle, Problem> {
    let failed = |error: std::io::Error| Problem::new("the demo server cannot start").because(error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.max(1))
        .thread_name("demo")
        .enable_all()
        .build()
        .map_err(failed)?;
    let mut handle = runtime.block_on(start(options))?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("demo server".into()).spawn(move || {
        // Ends when the handle is dropped.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
    });
    handle.thread = Some((stop, thread.map_err(failed)?));
    Ok(handle)
}

impl Handle {
    /// A kubeconfig whose current context is the demo; it holds the token.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(CONTEXT, &self.url, &self.token, &self.authority, None)
    }

    /// The same with what leads to the AWS account: the command that EKS has in its kubeconfigs, and the variables that it
    /// takes to find the demo's account instead of one's own. Who has no such command signs in by the token.
    pub fn eks_kubeconfig(&self) -> String {
        let variables = self.environment().into_iter();
        let variables: Vec<_> =
            variables.map(|(name, value)| format!("      - {{ name: {name}, value: {value:?} }}\n")).collect();
        let variables = variables.concat();
        let exec = format!(
            "    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      command: aws\n      args: [--region, \
             {REGION}, eks, get-token, --cluster-name, {CLUSTER}]\n      env:\n{variables}"
        );
        self.kubeconfig() + &exec
    }

    /// The variables by which AWS tools find the demo's account, and nobody's own.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.url.replacen("https", "http", 1)),
            ("AWS_ACCESS_KEY_ID", self.keys.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.keys.secret.clone()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ];
        // Nobody's own profiles.
        let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
        variables.extend(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].map(|name| (name, nothing.to_owned())));
        // What a shell may have set for another account.
        variables.extend(FOREIGN.map(|name| (name, String::new())));
        variables
    }

    /// Writes the kubeconfig to `path`, readable by the user alone.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), Problem> {
        write_kubeconfig(path, &self.kubeconfig())
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// The certificate authority, PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Changes a second from now on.
    pub fn set_churn(&self, churn: f64) {
        self.owner.tell(move |world| world.churn = churn);
    }

    /// How fast the time of a living world goes from now on.
    pub fn set_speed(&self, speed: f64) {
        self.owner.tell(move |world| world.speed = speed);
    }

    /// Replaces all faults, before any request that is sent after this.
    pub fn set_faults(&self, faults: Faults) {
        self.owner.tell(move |world| world.faults = faults);
    }

    /// The faults as they are now: counted ones have less left.
    pub async fn faults(&self) -> Faults {
        self.owner.ask(|world| world.faults.clone()).await.unwrap_or_default()
    }

    /// From now on only the returned token is good, and `unauthorized` ends.
    pub async fn rotate_token(&mut self) -> Result<String, Problem> {
        let token = tls::token()?;
        let new = token.clone();
        self.owner
            .ask(move |world| {
                world.token = new;
                world.faults.unauthorized = 0;
            })
            .await;
        self.token.clone_from(&token);
        Ok(token)
    }

    /// Ends every connection at once, without a word.
    pub fn drop_connections(&self) {
        self.drops.send_modify(|count| *count += 1);
    }

    /// Makes every resource version so far too old to watch from, as a restart of the server does.
    pub fn forget_history(&self) {
        self.owner.tell(World::forget);
    }

    /// Makes `count` changes now, whatever the churn.
    pub async fn step(&self, count: usize) {
        let now = Timestamp::now().as_second();
        self.owner.ask(move |world| (0..count).for_each(|_| churn::step(world, now))).await;
    }

    /// Somebody else does something in the account, in the demo's region: an operation by its service and name
    /// (`autoscaling`, `SuspendProcesses`), which no fault befalls. Gives the answer, or the code of the refusal.
    pub async fn aws(
        &self,
        service: &str,
        operation: &str,
        input: serde_json::Value,
    ) -> Result<serde_json::Value, String> {
        let Some(service) = Service::signed_as(service) else { return Err(format!("there is no service {service}")) };
        let call = Call { service, operation: operation.to_owned(), region: REGION.to_owned(), input };
        let answer = self.owner.ask(move |world| aws::perform(world, &call)).await;
        answer
            .unwrap_or_else(|| Err(Failure::new(500, "Stopped", "the server has stopped")))
            .map_err(|it| it.code.to_string())
    }

    pub async fn requests(&self) -> RequestLog {
        self.owner.ask(|world| world.log.clone()).await.unwrap_or_default()
    }

    pub async fn clear_requests(&self) {
        self.owner.ask(|world| world.log = RequestLog::default()).await;
    }

    pub async fn stats(&self) -> Stats {
        let count = |world: &mut World| {
            let lived_s = world.life.clock.now().div_euclid(1000) - world.began;
            (world.version(), world.count(catalog::PODS), world.count(catalog::NODES), lived_s)
        };
        let (version, pods, nodes, lived_s) = self.owner.ask(count).await.unwrap_or_default();
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            connections: read(&self.counters.connections),
            requests: read(&self.counters.requests),
            version,
            pods,
            nodes,
            lived_s,
        }
    }
}

/// A kubeconfig of one context, and all that it takes.
fn kubeconfig(name: &str, url: &str, token: &str, authority: &str, namespace: Option<&str>) -> String {
    let authority = BASE64_STANDARD.encode(authority);
    let namespace = namespace.map_or(String::new(), |namespace| format!("    namespace: {namespace:?}\n"));
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: {url}\n    certificate-authority-data: {authority}\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\n{namespace}users:\n- name: {name}\n  user:\n    token: {token}\n"
    )
}

/// Writes a kubeconfig to `path`, readable by the user alone.
pub fn write_kubeconfig(path: &Path, text: &str) -> Result<(), Problem> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Problem::new(format!("cannot write {}", path.display())).because(error))
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}
