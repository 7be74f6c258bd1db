//! The kubelets: what becomes of a pod on its node, step by step.
//!
//! Each step puts the pod into its next state, tells what is to be told, and says when to look again. Who makes pods and
//! who binds them to nodes stands elsewhere.

use std::sync::Arc;

use super::pod::{Fate, Pod, State};
use super::recorder::{self, KUBELET, Word};
use super::workload::Controller;
use super::{lifecycle, pods, scheduling, workload::Container};
use crate::catalog::PODS;
use crate::clock::Moment;
use crate::cluster::life::Due;
use crate::encoding::template::Short;
use crate::object::{Body, Object};
use crate::world::World;

/// The first wait after a crash and the longest, in seconds (`MaxContainerBackOff`).
const FIRST_BACK_OFF_S: u32 = 10;
const LONGEST_BACK_OFF_S: u32 = 300;

/// How often a failing probe is told.
const PROBE: Moment = 10_000;

/// How long the kubelet waits before it starts a container again that has been started `restarts` times again already.
pub fn back_off_s(restarts: u32) -> u32 {
    match restarts {
        0 => 0,
        restarts => FIRST_BACK_OFF_S.saturating_mul(1 << (restarts - 1).min(10)).min(LONGEST_BACK_OFF_S),
    }
}

/// Seconds as Go writes durations: `10s`, `1m20s`, `5m0s`.
pub fn shown(seconds: u32) -> Short {
    if seconds < 60 {
        Short::new(format_args!("{seconds}s"))
    } else {
        Short::new(format_args!("{}m{}s", seconds / 60, seconds % 60))
    }
}

/// An image without its tag or digest.
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// What public registries have that people try things out with.
const PUBLIC: [&str; 9] =
    ["nginx", "busybox", "alpine", "redis", "httpd", "postgres", "python", "registry.k8s.io/pause", "debian"];

fn exists(world: &World, image: &str) -> bool {
    let repository = repository(image);
    let library = repository.trim_start_matches("docker.io/").trim_start_matches("library/");
    let tag = image.strip_prefix(repository).unwrap_or_default();
    // What a test or a story calls missing is missing.
    !tag.contains("missing") && (PUBLIC.contains(&library) || world.life.repositories.contains(repository))
}

/// What will become of a pod that starts now.
pub fn fate(world: &World, pod: &Pod) -> Fate {
    let missing = |container: &&Container| !exists(world, &container.image);
    if pod.workload.containers.iter().chain(&pod.workload.init).any(|container| missing(&container)) {
        return Fate::NoImage;
    }
    pod.fate()
}

/// Puts a pod into `state`, changed further by `change`, and looks at it again after `delay`.
pub fn turn(
    world: &mut World,
    object: &Object,
    pod: &Pod,
    state: State,
    delay: Option<Moment>,
    change: impl FnOnce(&mut Pod),
) -> Arc<Object> {
    let mut next = pod.turn(state, &mut world.cluster.templates, world.life.clock.stamp());
    next.note(|going| going.turn += 1);
    change(&mut next);
    let (uid, turn) = (next.uid, next.turn_number());
    if let Some(delay) = delay {
        world.life.clock.after(delay, Due::Pod { key: Arc::clone(&object.key), uid, turn });
    }
    world.put(PODS, Arc::clone(&object.key), Body::Pod(next))
}

/// Looks at a pod again that stays as it is.
pub fn again(world: &mut World, object: &Object, pod: &Pod, delay: Moment) {
    world.life.clock.after(delay, Due::Pod { key: Arc::clone(&object.key), uid: pod.uid, turn: pod.turn_number() });
}

fn tell(world: &mut World, object: &Object, pod: &Pod, warning: bool, reason: &str, message: &str) {
    let container = pod.workload.containers.first().map_or("", |container| container.name.as_str());
    let involved = recorder::pod_reference(object, pod, container);
    let host = pod.node_name();
    recorder::tell(world, &involved, Word { warning, reason, component: KUBELET, host, message });
}

/// Something goes on with many pods already when the world begins.
pub fn begin(world: &mut World) {
    for object in world.snapshot(PODS, "").objects.iter() {
        let Body::Pod(pod) = &object.body else { continue };
        let random = &mut world.random;
        let (delay, fate) = match pod.state {
            State::Creating => (random.between(500, 9_000), Fate::Fine),
            State::Initializing => (random.between(500, 20_000), Fate::Fine),
            State::NotReady => (random.between(1_000, 240_000), Fate::Fine),
            State::CrashLoop => {
                (random.between(1_000, 290_000), Fate::Crash(u32::try_from(random.between(2, 40)).unwrap_or(2)))
            }
            State::OomLoop => (
                random.between(1_000, 290_000),
                Fate::OutOfMemory(u32::try_from(random.between(20, 200)).unwrap_or(20)),
            ),
            State::InitCrash => (random.between(1_000, 290_000), Fate::InitCrash),
            State::ImagePull => (random.between(1_000, 200_000), Fate::NoImage),
            State::ConfigError => (random.between(1_000, 15_000), Fate::NoSecret),
            State::Terminating => (random.between(500, 25_000), Fate::Fine),
            State::Pending => (random.between(100, 1_000), Fate::Fine),
            State::Running if pod.workload.controller == Controller::Job => {
                (random.between(5_000, 600_000), Fate::Succeed(1))
            }
            _ => continue,
        };
        let mut pod = pod.clone();
        pod.note(|going| going.fate = fate);
        let (uid, turn) = (pod.uid, pod.turn_number());
        world.life.clock.after(delay, Due::Pod { key: Arc::clone(&object.key), uid, turn });
        world.put(PODS, Arc::clone(&object.key), Body::Pod(pod));
    }
}

/// What happens next to a pod.
pub fn step(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    if pod.state == State::Silent {
        return lifecycle::evict(world, object, pod);
    }
    // Where the kubelet does not answer, nothing happens that it would report.
    if pod.node.as_ref().is_some_and(|node| !scheduling::answers(world, &node.name)) {
        again(world, object, pod, 20_000);
        return;
    }
    match pod.state {
        State::New | State::Pending => scheduling::schedule(world, &object.key),
        State::Creating => create(world, object, pod),
        State::Initializing => match pod.fate() {
            Fate::InitCrash => back_off(world, object, pod, State::InitCrash),
            _ => start(world, object, pod),
        },
        State::InitCrash => {
            turn(world, object, pod, State::Initializing, Some(4_000), |pod| pod.restarts += 1);
        }
        State::ImagePull => image_pull(world, object, pod),
        State::ConfigError => config_error(world, object, pod),
        State::NotReady | State::Starting | State::OomStarting => become_ready(world, object, pod),
        State::Running | State::Restarted | State::OomRestarted => run(world, object, pod),
        State::CrashLoop | State::OomLoop => {
            let killed = pod.state == State::OomLoop;
            started(world, object, pod);
            restart(world, object, pod, killed);
        }
        State::Terminating | State::NodeLost if pods::is_held(pod) => {
            again(world, object, pod, 1_000);
        }
        State::Terminating | State::NodeLost => {
            world.remove(PODS, &object.key);
        }
        State::Gated | State::Succeeded | State::Failed | State::Evicted | State::Silent => {}
    }
}

fn create(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    let image = pod.workload.containers.first().map(|container| container.image.clone()).unwrap_or_default();
    match fate(world, pod) {
        Fate::NoImage => image_pull(world, object, pod),
        Fate::NoSecret => config_error(world, object, pod),
        fate => {
            // What runs on the node already is there already.
            if world.random.chance(400) {
                tell(
                    world,
                    object,
                    pod,
                    false,
                    "Pulled",
                    &format!("Container image \"{image}\" already present on machine"),
                );
            } else {
                let ms = world.random.between(400, 5_900);
                let size = 20_000_000 + i64::try_from(image.len()).unwrap_or(0) * 1_234_567;
                tell(world, object, pod, false, "Pulling", &format!("Pulling image \"{image}\""));
                let took = format!("{}.{:03}s", ms / 1000, ms % 1000);
                let told = format!(
                    "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes."
                );
                tell(world, object, pod, false, "Pulled", &told);
            }
            if pod.workload.init.iter().any(|container| !container.sidecar) {
                let delay = world.random.between(1_500, 6_000);
                turn(world, object, pod, State::Initializing, Some(delay), |_| {});
            } else if matches!(fate, Fate::Succeed(_) | Fate::Fail(_)) {
                started(world, object, pod);
                let (Fate::Succeed(after) | Fate::Fail(after)) = fate else { return };
                turn(world, object, pod, State::Running, Some(Moment::from(after) * 1000), |_| {});
            } else {
                start(world, object, pod);
            }
        }
    }
}

/// What the kubelet tells of each container that it starts.
fn started(world: &mut World, object: &Object, pod: &Pod) {
    for container in pod.workload.containers.clone() {
        let involved = recorder::pod_reference(object, pod, &container.name);
        for (reason, message) in [
            ("Created", format!("Created container: {}", container.name)),
            ("Started", format!("Started container {}", container.name)),
        ] {
            let word = Word { warning: false, reason, component: KUBELET, host: pod.node_name(), message: &message };
            recorder::tell(world, &involved, word);
        }
    }
}

fn start(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    started(world, object, pod);
    if pod.workload.containers.iter().any(|container| container.probes) {
        // The first probe comes five seconds after the start at the earliest.
        let delay = world.random.between(5_200, 14_000);
        turn(world, object, pod, State::NotReady, Some(delay), |_| {});
    } else {
        let delay = running_for(pod);
        turn(world, object, pod, State::Running, delay, |_| {});
    }
}

/// How long the container of a pod runs before its fate comes.
fn running_for(pod: &Pod) -> Option<Moment> {
    match pod.fate() {
        Fate::Crash(after) | Fate::OutOfMemory(after) | Fate::Succeed(after) | Fate::Fail(after) => {
            Some(Moment::from(after) * 1000)
        }
        _ => None,
    }
}

fn become_ready(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    match pod.fate() {
        Fate::NeverReady => {
            let message = "Readiness probe failed: HTTP probe failed with statuscode: 503";
            tell(world, object, pod, true, "Unhealthy", message);
            again(world, object, pod, PROBE);
        }
        Fate::Crash(after) | Fate::OutOfMemory(after) if after < 5 => crash(world, object, pod),
        _ => {
            let state = match pod.state {
                State::OomStarting => State::OomRestarted,
                _ if pod.restarts > 0 => State::Restarted,
                _ => State::Running,
            };
            let delay = running_for(pod);
            turn(world, object, pod, state, delay, |_| {});
        }
    }
}

fn run(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    match pod.fate() {
        Fate::Succeed(_) => {
            turn(world, object, pod, State::Succeeded, None, |_| {});
        }
        Fate::Fail(_) => {
            turn(world, object, pod, State::Failed, None, |_| {});
        }
        Fate::Crash(_) | Fate::OutOfMemory(_) => crash(world, object, pod),
        _ => {}
    }
}

/// The container has ended by itself: the kubelet starts it again, at once at first, then later and later.
fn crash(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    let killed = matches!(pod.fate(), Fate::OutOfMemory(_));
    if back_off_s(pod.restarts) == 0 {
        started(world, object, pod);
        restart(world, object, pod, killed);
    } else {
        back_off(world, object, pod, if killed { State::OomLoop } else { State::CrashLoop });
    }
}

/// The container runs again; it is ready when its probes say so, which it may not live to see.
pub fn restart(world: &mut World, object: &Arc<Object>, pod: &Pod, killed: bool) {
    let count = |pod: &mut Pod| pod.restarts += 1;
    if pod.workload.containers.iter().any(|container| container.probes) {
        let state = if killed { State::OomStarting } else { State::Starting };
        let probed = world.random.between(5_200, 9_000);
        let delay = running_for(pod).map_or(probed, |lives| lives.min(probed));
        turn(world, object, pod, state, Some(delay), count);
    } else {
        let state = if killed { State::OomRestarted } else { State::Restarted };
        let delay = running_for(pod);
        turn(world, object, pod, state, delay, count);
    }
}

fn back_off(world: &mut World, object: &Arc<Object>, pod: &Pod, state: State) {
    let containers = if state == State::InitCrash { &pod.workload.init } else { &pod.workload.containers };
    let container = containers.first().map_or("", |container| container.name.as_str());
    let message = format!(
        "Back-off restarting failed container {container} in pod {}_{}({})",
        object.name(),
        object.namespace(),
        Short::uuid(pod.uid).as_str()
    );
    tell(world, object, pod, true, "BackOff", &message);
    let delay = Moment::from(back_off_s(pod.restarts.max(1))) * 1000;
    turn(world, object, pod, state, Some(delay), |_| {});
}

fn image_pull(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    let missing = pod.workload.containers.iter().find(|container| !exists(world, &container.image));
    let image = missing.or(pod.workload.containers.first()).map(|one| one.image.clone()).unwrap_or_default();
    if fate(world, pod) != Fate::NoImage {
        return create(world, object, pod);
    }
    tell(world, object, pod, false, "Pulling", &format!("Pulling image \"{image}\""));
    let failed = format!(
        "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": \
         failed to resolve reference \"{image}\": {image}: not found"
    );
    tell(world, object, pod, true, "Failed", &failed);
    tell(world, object, pod, true, "Failed", "Error: ErrImagePull");
    tell(world, object, pod, false, "BackOff", &format!("Back-off pulling image \"{image}\""));
    tell(world, object, pod, true, "Failed", "Error: ImagePullBackOff");
    let delay = world.random.between(15_000, 300_000);
    if pod.state == State::ImagePull {
        again(world, object, pod, delay);
    } else {
        turn(world, object, pod, State::ImagePull, Some(delay), |_| {});
    }
}

fn config_error(world: &mut World, object: &Arc<Object>, pod: &Pod) {
    let message = format!("Error: secret \"{}-database\" not found", pod.workload.name);
    tell(world, object, pod, true, "Failed", &message);
    if pod.state == State::ConfigError {
        again(world, object, pod, 12_000);
    } else {
        turn(world, object, pod, State::ConfigError, Some(12_000), |_| {});
    }
}

/// A pod was deleted: its containers get the time that they have to end.
pub fn stop(world: &mut World, object: &Arc<Object>, pod: &Pod, grace: u32) {
    for container in pod.workload.containers.clone() {
        let involved = recorder::pod_reference(object, pod, &container.name);
        let message = format!("Stopping container {}", container.name);
        recorder::tell(
            world,
            &involved,
            Word { warning: false, reason: "Killing", component: KUBELET, host: pod.node_name(), message: &message },
        );
    }
    // Most end soon; workers finish what they are at.
    let worker = pod.workload.name.contains("worker") || pod.workload.name.contains("queue");
    let takes = if worker { world.random.between(5_000, 25_000) } else { world.random.between(700, 2_600) };
    let delay = takes.min(Moment::from(grace) * 1000);
    turn(world, object, pod, State::Terminating, Some(delay), |pod| pod.note(|going| going.grace = grace));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_from_ten_seconds_to_five_minutes() {
        let waits: Vec<_> = (0..9).map(|restarts| shown(back_off_s(restarts)).as_str().to_owned()).collect();
        assert_eq!(waits, ["0s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s", "5m0s"]);
        assert_eq!(back_off_s(u32::MAX), 300);
    }

    #[test]
    fn a_repository_is_an_image_without_tag_and_digest() {
        for (image, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.29", "nginx"),
            ("localhost:5000/web", "localhost:5000/web"),
            ("a.dkr.ecr.eu-west-1.amazonaws.com/x/y:v1@sha256:00", "a.dkr.ecr.eu-west-1.amazonaws.com/x/y"),
        ] {
            assert_eq!(repository(image), expected);
        }
    }
}
