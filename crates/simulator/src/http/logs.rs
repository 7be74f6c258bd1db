//! `pods/NAME/log`: what a container wrote, and what it goes on to write.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;

use super::answer::{self, Answer};
use super::api::{Call, Service};
use super::query::Query;
use super::status::Status;
use crate::admission::field::Wrong;
use crate::catalog::PODS;
use crate::cluster::log_lines::Log;
use crate::cluster::pod::{Pod, State};
use crate::cluster::pods;
use crate::cluster::workload::Container;
use crate::object::key;
use crate::owner::Owner;
use crate::world::World;

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Where a container is found, and whether it is one that runs first.
pub fn find(pod: &Pod, wanted: &str, name: &str) -> Result<(usize, bool), Status> {
    let workload = &pod.workload;
    if wanted.is_empty() {
        if workload.containers.len() > 1 {
            let names = |all: &[Container]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>().join(" ");
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names(&workload.containers)
            );
            if !workload.init.is_empty() {
                message = format!("{message} or one of the init containers: [{}]", names(&workload.init));
            }
            return Err(Status::bad_request(message));
        }
        return Ok((0, false));
    }
    let place = |all: &[Container]| all.iter().position(|one| one.name == wanted);
    match (place(&workload.containers), place(&workload.init)) {
        (Some(at), _) => Ok((at, false)),
        (None, Some(at)) => Ok((at, true)),
        (None, None) => Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}"))),
    }
}

/// The log that a request asks for; none where the pod is on no node yet.
fn open(world: &World, at: &str, wanted: &str, previous: bool, now: i64) -> Result<Option<Log>, Status> {
    let name = at.rsplit('/').next().unwrap_or_default();
    let object = world.get(PODS, at).ok_or_else(|| Status::not_found(&PODS, name))?;
    let Some(pod) = pods::pod(&object) else { return Err(Status::not_found(&PODS, name)) };
    let (place, init) = find(pod, wanted, name)?;
    if !pod.state.has_node() {
        return Ok(None);
    }
    let container = if init { &pod.workload.init[place] } else { &pod.workload.containers[place] };
    let reason = match pod.state {
        State::Creating => Some("ContainerCreating"),
        State::Initializing | State::InitCrash if !init => Some("PodInitializing"),
        State::ImagePull if place == 0 && !init => Some("trying and failing to pull image"),
        State::ConfigError if place == 0 && !init => Some("CreateContainerConfigError"),
        _ => None,
    };
    if let Some(reason) = reason {
        let message = format!("container \"{}\" in pod \"{name}\" is waiting to start: {reason}", container.name);
        return Err(Status::bad_request(message));
    }
    if previous && (pod.restarts == 0 || place > 0 || init) {
        let message = format!("previous terminated container \"{}\" in pod \"{name}\" not found", container.name);
        return Err(Status::bad_request(message));
    }
    Ok(Some(Log::of(pod, if init { place + 8 } else { place }, container, previous, now)))
}

/// The world's time as objects tell it.
pub fn clock(world: &World) -> i64 {
    if world.life.on { world.life.clock.stamp() } else { Timestamp::now().as_second() }
}

/// Refuses options that make no sense.
fn check(query: &Query, name: &str) -> Result<(), Status> {
    let mut wrong = Vec::new();
    for (field, least) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] {
        if let Some(number) = query.signed(field)?.filter(|number| *number < least) {
            let why = format!("must be greater than {}", if least == 0 { "or equal to 0" } else { "0" });
            wrong.push(Wrong::invalid(field, &number.into(), &why));
        }
    }
    if !query.get("sinceSeconds").is_empty() && !query.get("sinceTime").is_empty() {
        wrong.push(Wrong::forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Status::wrong("", "PodLogOptions", name, &wrong)) }
}

impl Service {
    pub async fn logs(&self, call: &Call, namespace: &str, name: &str) -> Result<Answer, Status> {
        let query = &call.query;
        check(query, name)?;
        let (at, wanted) = (key(namespace, name), query.get("container").to_owned());
        let previous = query.is_set("previous");
        let opened = self.owner.ask(move |world| {
            let now = clock(world);
            open(world, &at, &wanted, previous, now).map(|log| (log, now))
        });
        let (log, now) = opened.await.ok_or_else(|| Status::internal("the server is shutting down"))??;
        let Some(log) = log else { return Ok(answer::nothing()) };
        let stamps = query.is_set("timestamps");
        let tail = query.number("tailLines")?.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap_or(usize::MAX));
        let since = match (query.number("sinceSeconds")?, query.get("sinceTime")) {
            (Some(seconds), _) => now.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX)),
            (None, "") => i64::MIN,
            (None, time) => match time.parse::<Timestamp>() {
                Ok(time) => time.as_second(),
                Err(_) => return Err(Status::bad_request(format!("sinceTime: Invalid value: \"{time}\""))),
            },
        };
        let mut text = log.read(since, now, tail, stamps);
        if let Some(limit) = query.number("limitBytes")? {
            let mut end = text.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        if !query.is_set("follow") || log.end.is_some() {
            return Ok(answer::whole(200, "text/plain", text));
        }
        let follow =
            Follow { owner: self.owner.clone(), at: key(namespace, name), log, told: now, stamps, first: Some(text) };
        let pieces = stream::unfold(follow, |mut follow| async { follow.next().await.map(|piece| (piece, follow)) });
        Ok(answer::streamed("text/plain", pieces, call.cut))
    }
}

/// A log that is followed until its container ends.
struct Follow {
    owner: Owner,
    at: Arc<str>,
    log: Log,
    /// Told up to this second.
    told: i64,
    stamps: bool,
    first: Option<String>,
}

impl Follow {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(first.into());
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let at = Arc::clone(&self.at);
            let asked = self.owner.ask(move |world| {
                let alive = world.get(PODS, &at).and_then(|object| pods::pod(&object).map(|pod| pod.state));
                (clock(world), alive)
            });
            let (now, state) = asked.await?;
            let ended = !state.is_some_and(|state| {
                state.is_ready()
                    || matches!(
                        state,
                        State::NotReady
                            | State::Starting
                            | State::OomStarting
                            | State::Terminating
                            | State::Initializing
                    )
            });
            if now > self.told {
                let text = self.log.read(self.told + 1, now, usize::MAX, self.stamps);
                self.told = now;
                if !text.is_empty() {
                    return Some(text.into());
                }
            }
            if ended {
                return None;
            }
        }
    }
}
