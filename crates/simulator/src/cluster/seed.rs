//! The world as it is when the story begins: nodes, workloads and pods of a company's EKS cluster.
//!
//! Owns how many of what there are and where pods run; what an object looks like stands in `node`, `workload`, `pod`
//! and `objects`.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use super::company::{self, Platform};
use super::fargate;
use super::node::{Claim, GROUPS, Looks, Machine, Make, NodeState, REGION, ZONES};
use super::pod::{Pod, State};
use super::site::Site;
use super::workload::{Container, Controller, Templates, Workload, own_image};
use crate::random::Random;

const DAY: i64 = 86_400;

/// What to make a world of.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub nodes: u32,
    pub pods: u32,
    pub seed: u64,
    /// When the story begins, in seconds since 1970.
    pub now: i64,
    pub site: &'static Site,
}

/// The parts from which the world's objects are made.
#[derive(Debug)]
pub struct Cluster {
    pub size: Size,
    /// With how each is, and whether it is cordoned.
    pub machines: Vec<(Arc<Machine>, NodeState, bool)>,
    pub looks: Looks,
    pub workloads: Vec<Arc<Workload>>,
    /// Names with their pods, workload by workload.
    pub pods: Vec<(String, Pod)>,
    pub templates: Templates,
    /// Millicores asked for on each machine.
    load: Vec<u32>,
    addresses: u32,
}

impl Cluster {
    pub fn new(size: Size) -> Self {
        let mut cluster = Self {
            size,
            machines: machines(size),
            looks: Looks::default(),
            workloads: Vec::new(),
            pods: Vec::with_capacity(size.pods as usize),
            templates: Templates::default(),
            load: vec![0; size.nodes as usize],
            addresses: 0,
        };
        for (mut workload, extra) in workloads(size) {
            size.site.settle(&mut workload);
            cluster.add(workload, extra);
        }
        cluster
    }

    /// Adds a workload with its pods, and `extra` ones that are no longer counted as replicas.
    fn add(&mut self, workload: Workload, extra: u32) {
        let workload = Arc::new(workload);
        let mut random = Random::named(self.size.seed, &format!("pods {}/{}", workload.namespace, workload.name));
        for ordinal in 0..workload.replicas + extra {
            let state = state(&workload, ordinal >= workload.replicas, &mut random);
            let (name, pod) = self.pod(&workload, state, ordinal, &mut random);
            self.pods.push((name, pod));
        }
        self.workloads.push(workload);
    }

    /// A new pod of `workload`.
    pub fn pod(&mut self, workload: &Arc<Workload>, state: State, ordinal: u32, random: &mut Random) -> (String, Pod) {
        let now = self.size.now;
        let machine = match workload.controller {
            Controller::DaemonSet => self.machines.get(ordinal as usize).map(|(machine, ..)| Arc::clone(machine)),
            _ if workload.fargate.is_some() && state.has_node() => Some(self.own_machine(workload, random)),
            _ => self.place(workload, random),
        };
        let lost = machine.as_ref().is_some_and(|machine| {
            self.machines.iter().any(|(other, state, _)| other.uid == machine.uid && *state == NodeState::Unreachable)
        });
        let state = if lost && state.has_node() { State::NodeLost } else { state };
        let oldest = machine.as_ref().map_or(workload.created, |machine| machine.created.max(workload.created));
        let created = match state {
            State::Creating | State::Initializing => now - random.between(2, 40),
            State::New | State::Pending | State::Gated | State::ImagePull | State::ConfigError => {
                now - random.between(60, 9000)
            }
            _ => oldest + random.between(0, (now - oldest).max(0) / 8),
        };
        let settled = created + random.between(6, 40);
        let (changed, restarts) = match state {
            State::Restarted | State::OomRestarted => (now - random.between(60, DAY), random.between(1, 6)),
            State::CrashLoop | State::OomLoop | State::InitCrash => {
                (now - random.between(5, 290), random.between(4, 900))
            }
            State::NotReady => (now - random.between(5, 3000), random.between(0, 2)),
            State::Terminating => (now - random.between(1, 25), 0),
            State::NodeLost => (now - random.between(400, 900), 0),
            State::Evicted | State::Failed => (created + random.between(60, 2 * DAY), 0),
            State::Succeeded => (created + random.between(20, 900), 0),
            State::New | State::Pending | State::Gated => (created, 0),
            _ => (settled, 0),
        };
        let mut pod = Pod {
            workload: Arc::clone(workload),
            template: self.templates.of(workload, state),
            state,
            node: machine.filter(|_| state.has_node()),
            uid: random.uid(),
            ip: self.address(),
            created,
            changed: changed.clamp(created, now),
            restarts: u32::try_from(restarts).unwrap_or(0),
            ordinal,
            going: None,
        };
        if state == State::Pending {
            pod.note(|going| going.message = Some(workload.unschedulable_message().into()));
        }
        let name = match workload.controller {
            Controller::StatefulSet => format!("{}-{ordinal}", workload.name),
            _ => format!("{}{}", workload.generate_name(), random.suffix(5)),
        };
        (name, pod)
    }

    /// A machine of Fargate's, for one pod.
    fn own_machine(&mut self, workload: &Workload, random: &mut Random) -> Arc<Machine> {
        let created = workload.created.max(self.size.now - 20 * DAY);
        let mut machine = fargate::machine(random, created);
        while self.machines.iter().any(|(other, ..)| other.ip == machine.ip) {
            machine = fargate::machine(random, created);
        }
        let machine = Arc::new(machine);
        self.machines.push((Arc::clone(&machine), NodeState::Ready, false));
        self.load.push(u32::MAX);
        machine
    }

    /// An address for a new pod.
    pub fn address(&mut self) -> u32 {
        self.addresses += 1;
        super::pods::address(self.addresses)
    }

    /// The less loaded of two machines that fit, drawn by chance.
    fn place(&mut self, workload: &Workload, random: &mut Random) -> Option<Arc<Machine>> {
        let mut best: Option<usize> = None;
        let mut found = 0;
        for _ in 0..40 {
            let at = random.index(self.machines.len());
            let Some((machine, state, cordoned)) = self.machines.get(at) else { break };
            let fits = workload.groups.contains(&machine.group);
            if !fits || *cordoned || *state == NodeState::DiskPressure {
                continue;
            }
            if best.is_none_or(|best| self.load[at] < self.load[best]) {
                best = Some(at);
            }
            found += 1;
            if found == 2 {
                break;
            }
        }
        // A world too small to have the group at all runs everything anywhere.
        let at = best.or_else(|| (!self.machines.is_empty()).then(|| random.index(self.machines.len())))?;
        self.load[at] += workload.cpu();
        self.machines.get(at).map(|(machine, ..)| Arc::clone(machine))
    }
}

/// The address of machine number `at`, whose zone is its remainder. One /18 for each zone; 16,381 is prime, so that no
/// address comes twice.
pub fn machine_address(at: u32) -> u32 {
    let within = (at / 3 * 37 + 11) % 16_381;
    u32::from(Ipv4Addr::new(10, 0, 0, 0)) + at % 3 * 16_384 + within + 4
}

fn machines(size: Size) -> Vec<(Arc<Machine>, NodeState, bool)> {
    let mut random = Random::named(size.seed, "nodes");
    let mut groups: Vec<usize> = Vec::with_capacity(size.nodes as usize);
    for (group, share) in size.site.shares.iter().skip(1) {
        groups.extend(std::iter::repeat_n(*group, (size.nodes * share / 100) as usize));
    }
    groups.resize(size.nodes as usize, size.site.shares.first().map_or(0, |(group, _)| *group));
    (0_u32..)
        .zip(groups)
        .map(|(at, group)| {
            let zone = at as usize % ZONES.len();
            let ip = machine_address(at);
            let name = format!("ip-{}.{REGION}.compute.internal", Ipv4Addr::from(ip).to_string().replace('.', "-"));
            let state = match at {
                _ if size.nodes < 12 => NodeState::Ready,
                5 => NodeState::Ready,
                7 => NodeState::Unreachable,
                _ if random.chance(4) => NodeState::DiskPressure,
                _ => NodeState::Ready,
            };
            let (instance, uid) = (random.next(), random.uid());
            let machine = Machine {
                name: name.into(),
                ip,
                group,
                zone,
                instance,
                uid,
                created: size.now
                    - if GROUPS[group].spot { random.between(600, 4 * DAY) } else { random.between(DAY, 30 * DAY) },
                claim: (GROUPS[group].make == Make::Karpenter).then(|| Claim::of(GROUPS[group].name, uid)),
            };
            (Arc::new(machine), state, at == 5 && size.nodes >= 12)
        })
        .collect()
}

/// All workloads with the number of their left-over pods; their pods add up to the size.
fn workloads(size: Size) -> Vec<(Workload, u32)> {
    let mut left = size.pods;
    let mut all = Vec::new();
    for platform in &company::DAEMON_SETS {
        // Daemon sets never take more than four in ten pods.
        if size.pods - left + size.nodes <= size.pods * 4 / 10 {
            all.push((daemon_set(size, platform), 0));
            left -= size.nodes;
        }
    }
    for platform in company::PLATFORM.iter().filter(|one| size.site.has_groups || one.name != "cluster-autoscaler") {
        let workload = platform_workload(size, platform);
        if workload.replicas <= left / 2 {
            left -= workload.replicas;
            all.push((workload, 0));
        }
    }
    product(size, left, &mut all);
    all
}

fn product(size: Size, mut left: u32, all: &mut Vec<(Workload, u32)>) {
    let names: Vec<(&str, &str, String)> = company::VARIANTS
        .iter()
        .flat_map(|variant| {
            company::PRODUCT.iter().flat_map(move |(namespace, team, services)| {
                services.iter().map(move |service| (*namespace, *team, variant_of(service, variant)))
            })
        })
        .take((left as usize / 7).max(1))
        .collect();
    let mut drafts = Vec::new();
    for (namespace, team, name) in &names {
        let mut random = Random::named(size.seed, &format!("{namespace}/{name}"));
        if name.ends_with("-job") {
            for run in 0..3 {
                let job = job(size, namespace, team, name, run, &mut random);
                if left > 0 {
                    left -= 1;
                    all.push((job, 0));
                }
            }
            continue;
        }
        let stateful = ["-db", "-cache", "-queue"].iter().any(|suffix| name.ends_with(suffix));
        // Many small ones and a few large ones.
        let weight = if stateful { 2 } else { 1 + random.below(6) * random.below(6) };
        drafts.push((service(size, namespace, team, name, stateful, &mut random), weight, random.below(12) == 0));
    }
    let weights: u64 = drafts.iter().map(|(_, weight, _)| weight).sum();
    let budget = u64::from(left);
    for (mut workload, weight, sloppy) in drafts {
        let share = u32::try_from(budget * weight / weights.max(1)).unwrap_or(u32::MAX);
        let most = if workload.controller == Controller::StatefulSet { 7 } else { u32::MAX };
        workload.replicas = share.clamp(1, most).min(left);
        left -= workload.replicas;
        let extra = u32::from(sloppy && left > 0 && workload.controller == Controller::Deployment);
        left -= extra;
        all.push((workload, extra));
    }
    // Rounding leaves some: the largest deployments take them.
    let mut largest: Vec<_> = all
        .iter_mut()
        .map(|(workload, _)| workload)
        .filter(|workload| workload.controller == Controller::Deployment)
        .collect();
    largest.sort_by_key(|workload| std::cmp::Reverse(workload.replicas));
    largest.truncate(8);
    let takers = u32::try_from(largest.len()).unwrap_or(1).max(1);
    for (at, workload) in (0_u32..).zip(largest) {
        workload.replicas += left / takers + u32::from(at < left % takers);
    }
}

/// `orders-db` in the flavour `-eu` is `orders-eu-db`.
fn variant_of(service: &str, variant: &str) -> String {
    for suffix in ["-db", "-cache", "-queue", "-job"] {
        if let Some(stem) = service.strip_suffix(suffix) {
            return format!("{stem}{variant}{suffix}");
        }
    }
    format!("{service}{variant}")
}

/// What all workloads begin as.
fn blank(size: Size, namespace: &str, name: &str, controller: Controller, random: &mut Random) -> Workload {
    Workload {
        namespace: namespace.into(),
        name: name.to_owned(),
        controller,
        uid: random.uid(),
        set_uid: random.uid(),
        hash: random.suffix(10),
        created: size.now - random.between(2 * DAY, 300 * DAY),
        replicas: 1,
        groups: vec![0, 1, 5],
        containers: Vec::new(),
        init: Vec::new(),
        host_network: false,
        critical: false,
        annotations: serde_json::Value::Null,
        team: "platform".to_owned(),
        part_of: namespace.to_owned(),
        version: format!("{}.{}.{}", random.between(1, 4), random.between(0, 48), random.between(0, 9)),
        cron_job: None,
        cluster_nodes: size.nodes,
        template: None,
        admitted: false,
        finalizers: serde_json::Value::Null,
        fargate: None,
        shared: OnceLock::new(),
        needs: OnceLock::new(),
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn platform_container(size: Size, name: &str, image: &str, cpu: u32, memory_mib: u32) -> Container {
    Container {
        name: name.to_owned(),
        image: image.to_owned(),
        cpu,
        memory_mib: if cpu > 0 { memory_mib.max(16) } else { 0 },
        limit: u32::from(memory_mib >= 100) * 2,
        port: 8080,
        env: environment(&[
            ("NODE_NAME", "field:spec.nodeName"),
            ("POD_NAMESPACE", "field:metadata.namespace"),
            ("AWS_REGION", REGION),
            ("CLUSTER_NAME", size.site.name),
        ]),
        mounts: vec![("config".to_owned(), format!("/etc/{name}"))],
        ..Container::default()
    }
}

fn platform_workload(size: Size, platform: &Platform) -> Workload {
    let mut random = Random::named(size.seed, &format!("{}/{}", platform.namespace, platform.name));
    let mut workload = blank(size, platform.namespace, platform.name, Controller::Deployment, &mut random);
    workload.replicas = platform.replicas;
    workload.groups = vec![2];
    workload.critical = platform.namespace == "kube-system";
    platform.image.rsplit(':').next().unwrap_or_default().trim_start_matches('v').clone_into(&mut workload.version);
    workload.containers =
        vec![platform_container(size, platform.name, platform.image, platform.cpu, platform.memory_mib)];
    for sidecar in platform.sidecars {
        workload.containers.push(platform_container(size, sidecar, platform.image, 10, 40));
    }
    workload
}

fn daemon_set(size: Size, platform: &Platform) -> Workload {
    let mut workload = platform_workload(size, platform);
    workload.controller = Controller::DaemonSet;
    workload.replicas = size.nodes;
    workload.groups = Vec::new();
    workload.host_network =
        matches!(platform.name, "aws-node" | "kube-proxy" | "node-exporter" | "eks-pod-identity-agent");
    workload.containers[0].mounts.push(("host".to_owned(), "/host/var/log".to_owned()));
    workload
}

fn service(size: Size, namespace: &str, team: &str, name: &str, stateful: bool, random: &mut Random) -> Workload {
    let controller = if stateful { Controller::StatefulSet } else { Controller::Deployment };
    let mut workload = blank(size, namespace, name, controller, random);
    team.clone_into(&mut workload.team);
    if stateful {
        workload.groups = vec![3];
    } else if namespace == "ml-inference" {
        workload.groups = vec![4];
    } else if random.chance(250) {
        workload.groups = vec![random.index(2)];
    }
    let image = own_image(&format!("{namespace}/{name}"), &workload.version);
    workload.containers.push(Container {
        name: name.to_owned(),
        image: if stateful { stateful_image(name).to_owned() } else { image.clone() },
        cpu: *random.pick(&[50, 100, 100, 200, 250, 500]),
        memory_mib: *random.pick(&[128, 256, 256, 512, 768, 1024]),
        limit: u32::try_from(random.below(3)).unwrap_or(0),
        gpus: u32::from(namespace == "ml-inference"),
        port: 8080,
        env: service_environment(namespace, name, random),
        mounts: vec![
            (
                if stateful { "data" } else { "tmp" }.to_owned(),
                if stateful { "/var/lib/data" } else { "/tmp" }.to_owned(),
            ),
            ("config".to_owned(), format!("/etc/{name}")),
            ("aws-iam-token".to_owned(), "/var/run/secrets/eks.amazonaws.com/serviceaccount".to_owned()),
        ],
        probes: true,
        ..Container::default()
    });
    let helper = |name: &str, image: &str, cpu: u32, sidecar: bool| Container {
        name: name.to_owned(),
        image: image.to_owned(),
        cpu,
        memory_mib: 64,
        limit: 2,
        env: environment(&[
            ("LOG_LEVEL", "info"),
            ("POD_IP", "field:status.podIP"),
            ("NAMESPACE", "field:metadata.namespace"),
        ]),
        mounts: vec![("tmp".to_owned(), "/tmp".to_owned())],
        sidecar,
        ..Container::default()
    };
    if random.chance(300) {
        workload.init.push(helper("envoy", "public.ecr.aws/envoy/envoy:v1.36.2", 50, true));
    }
    if random.chance(250) && !stateful {
        let mut migrate = helper("migrate", &image, 50, false);
        migrate.env.push(("DATABASE_URL".to_owned(), format!("secret:{name}-database/url")));
        workload.init.push(migrate);
    }
    if random.chance(350) {
        workload.containers.push(helper(
            "otel-agent",
            "public.ecr.aws/aws-observability/aws-otel-collector:v0.45.0",
            20,
            false,
        ));
    }
    workload.annotations = serde_json::json!({
        "checksum/config": random.hex(64),
        "kubectl.kubernetes.io/restartedAt": crate::encoding::template::rfc3339(size.now - random.between(DAY, 20 * DAY)),
        "prometheus.io/path": "/metrics", "prometheus.io/port": "9080", "prometheus.io/scrape": "true",
    });
    workload
}

fn stateful_image(name: &str) -> &'static str {
    match name.rsplit('-').next() {
        Some("db") => "docker.io/library/postgres:17.7",
        Some("cache") => "docker.io/valkey/valkey:9.0.0",
        _ => "docker.io/apache/kafka:4.1.1",
    }
}

fn service_environment(namespace: &str, name: &str, random: &mut Random) -> Vec<(String, String)> {
    let mut pairs = environment(&[
        ("POD_NAME", "field:metadata.name"),
        ("POD_NAMESPACE", "field:metadata.namespace"),
        ("NODE_NAME", "field:spec.nodeName"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_REGION", REGION),
        ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-gateway.monitoring.svc:4317"),
    ]);
    pairs.push(("SERVICE_NAME".to_owned(), format!("{namespace}-{name}")));
    pairs.push((
        "AWS_ROLE_ARN".to_owned(),
        format!("arn:aws:iam::{}:role/demo-{namespace}-{name}", super::node::ACCOUNT),
    ));
    pairs.push(("DATABASE_URL".to_owned(), format!("secret:{name}-database/url")));
    for at in 0..random.below(6) {
        let feature = random.pick(&["FLAGS", "TIMEOUT_MS", "POOL_SIZE", "RETRIES", "BATCH_SIZE", "CACHE_TTL"]);
        pairs.push((format!("{feature}_{at}"), random.between(1, 5000).to_string()));
    }
    pairs
}

fn job(size: Size, namespace: &str, team: &str, name: &str, run: i64, random: &mut Random) -> Workload {
    let stem = name.trim_end_matches("-job");
    let cron_uid = Random::named(size.seed, &format!("cron {namespace}/{name}")).uid();
    // A cron job names its jobs by the minute for which they were scheduled.
    let scheduled = size.now / DAY * DAY - run * DAY + 2 * 3600;
    let mut workload = blank(size, namespace, &format!("{stem}-{}", scheduled / 60), Controller::Job, random);
    team.clone_into(&mut workload.team);
    workload.created = scheduled.min(size.now - 600);
    workload.cron_job = Some((stem.to_owned(), cron_uid));
    workload.containers.push(Container {
        name: stem.to_owned(),
        image: own_image(&format!("{namespace}/{stem}"), &workload.version),
        cpu: 500,
        memory_mib: 1024,
        limit: 1,
        env: service_environment(namespace, stem, random),
        mounts: vec![("tmp".to_owned(), "/tmp".to_owned())],
        ..Container::default()
    });
    workload
}

/// How a pod is when the story begins. Trouble keeps to its workload: most have none, the others one kind of it.
fn state(workload: &Workload, left_over: bool, random: &mut Random) -> State {
    const TROUBLES: [State; 13] = [
        State::CrashLoop,
        State::NotReady,
        State::Pending,
        State::Restarted,
        State::ImagePull,
        State::OomLoop,
        State::Creating,
        State::InitCrash,
        State::Initializing,
        State::ConfigError,
        State::OomRestarted,
        State::Terminating,
        State::Gated,
    ];
    if left_over {
        return *random.pick(&[State::Evicted, State::Terminating, State::Failed]);
    }
    let dice = random.below(1000);
    match workload.controller {
        Controller::Job if dice < 870 => State::Succeeded,
        Controller::Job if dice < 950 => State::Failed,
        Controller::DaemonSet if dice < 15 => State::Restarted,
        Controller::Job | Controller::DaemonSet => State::Running,
        _ if workload.team == "platform" && workload.namespace.as_ref() != "staging" => State::Running,
        _ if dice < 30 => State::Restarted,
        _ => {
            let mut temper = Random::of(workload.uid);
            let trouble = *temper.pick(&TROUBLES);
            let possible = match trouble {
                State::Initializing | State::InitCrash => workload.init.iter().any(|container| !container.sidecar),
                _ => true,
            };
            if possible && temper.chance(300) && random.chance(250) { trouble } else { State::Running }
        }
    }
}
