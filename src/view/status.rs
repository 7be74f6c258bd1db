//! How streams and metrics are doing, in words for header and title. Ages go in coarse steps: a header must not tick.

use crate::{
    app::model::Model,
    kinds::{Origin, nodegroup::KARPENTER_PART},
    store::{
        stream::{Stream, StreamState},
        usage::{MetricsState, STALE},
    },
    ui::theme::Role,
    util::age,
};

/// The worst of all streams, in a word.
pub fn connection(model: &Model) -> (Role, String) {
    let now = model.now.div_euclid(1000);
    let mut worst = (Role::HealthOk, "live".to_owned(), 0);
    let mut take = |role, text: String, weight| {
        if weight > worst.2 {
            worst = (role, text, weight);
        }
    };
    for stream in model.streams.iter().filter(|stream| !is_aws(model, stream)) {
        let name = &model.world.kind(stream.kind).plural;
        match &stream.state {
            StreamState::Live | StreamState::Polled { .. } | StreamState::Off(_) => {}
            StreamState::Waiting => take(Role::HealthProgressing, format!("{name} waits"), 1),
            StreamState::Loading { loaded, about: Some(about) } => {
                take(Role::HealthProgressing, format!("loading {loaded} of about {about} {name}"), 2);
            }
            StreamState::Loading { loaded, about: None } => {
                take(Role::HealthProgressing, format!("loading {name}, {loaded} so far"), 2);
            }
            StreamState::Connecting { .. } => take(Role::HealthProgressing, "connecting".to_owned(), 3),
            StreamState::Forbidden(_) | StreamState::Gone(_) => {
                take(
                    Role::Warning,
                    format!("{name} denied"),
                    if model.streams.granted.contains_key(&stream.kind) { 0 } else { 4 },
                );
            }
            StreamState::Stale { since: 0, retry, passing: false, .. } => {
                take(Role::Error, format!("unreachable, again {}", soon(retry - now)), 6);
            }
            StreamState::Stale { since: 0, retry, .. } => {
                take(Role::Stale, format!("{name} broke off, again {}", soon(retry - now)), 5);
            }
            StreamState::Stale { since, .. } => take(Role::Stale, format!("stale for {}", coarse(now - since)), 5),
        }
        if stream.undecodable > 0 {
            take(Role::Warning, format!("{} {name} undecodable", stream.undecodable), 1);
        }
    }
    (worst.0, worst.1)
}

/// Whether a stream is the one that AWS is asked for.
fn is_aws(model: &Model, stream: &Stream) -> bool {
    model.world.kind(stream.kind).origin == Origin::Aws && stream.object.as_deref() != Some(KARPENTER_PART)
}

/// How AWS answers, where it is asked.
pub fn aws(model: &Model) -> Option<(Role, &'static str)> {
    let mut streams = model.streams.iter().filter(|stream| is_aws(model, stream));
    Some(match &streams.next()?.state {
        StreamState::Live | StreamState::Polled { .. } => (Role::HealthOk, "live"),
        StreamState::Off(_) => (Role::Dim, "off"),
        StreamState::Forbidden(_) | StreamState::Gone(_) => (Role::Warning, "denied"),
        StreamState::Stale { .. } => (Role::Stale, "stale"),
        StreamState::Waiting | StreamState::Connecting { .. } | StreamState::Loading { .. } => {
            (Role::HealthProgressing, "connecting")
        }
    })
}

/// What a table's own stream does while rows are shown that may not be all, or not as they are now. `now` in
/// milliseconds.
pub fn of_rows(state: &StreamState, now: i64) -> Option<(Role, String)> {
    let again = |retry: i64| soon(retry - now.div_euclid(1000));
    Some(match state {
        StreamState::Live => return None,
        StreamState::Polled { at } => (Role::Dim, format!("as of {}", clock(*at))),
        StreamState::Waiting => (Role::HealthProgressing, "waits for its turn to load".to_owned()),
        StreamState::Connecting { .. } => (Role::HealthProgressing, "connecting".to_owned()),
        StreamState::Loading { loaded, about: Some(about) } => {
            (Role::HealthProgressing, format!("{loaded} of about {about} loaded"))
        }
        StreamState::Loading { loaded, about: None } => (Role::HealthProgressing, format!("{loaded} loaded so far")),
        StreamState::Stale { since: 0, retry, .. } => (Role::Stale, format!("broke off, again {}", again(*retry))),
        StreamState::Stale { since, retry, .. } => {
            (Role::Stale, format!("stale since {}, again {}", clock(*since), again(*retry)))
        }
        StreamState::Forbidden(problem) | StreamState::Gone(problem) | StreamState::Off(problem) => {
            (Role::Warning, problem.what.clone())
        }
    })
}

/// When a text about streams changes by itself (milliseconds).
pub fn next_change(model: &Model) -> Option<i64> {
    let now = model.now.div_euclid(1000);
    let stale = model.streams.iter().any(|stream| matches!(stream.state, StreamState::Stale { .. }));
    stale.then_some((now + 1) * 1000)
}

/// How metrics are doing. `now` in milliseconds.
pub fn metrics(state: &MetricsState, now: i64) -> Option<(Role, String)> {
    let now = now.div_euclid(1000);
    Some(match state {
        MetricsState::NotAsked => return None,
        MetricsState::Absent => (Role::Dim, "not installed".to_owned()),
        MetricsState::Forbidden(_) => (Role::Warning, "forbidden".to_owned()),
        MetricsState::Failing { since, .. } => (Role::Error, format!("failing for {}", coarse(now - since))),
        MetricsState::Good { at } if now - at > STALE => (Role::Stale, format!("{} old", coarse(now - at))),
        MetricsState::Good { .. } => (Role::HealthOk, "fresh".to_owned()),
    })
}

/// When something happens, in whole seconds from now.
pub fn soon(seconds: i64) -> String {
    if seconds > 0 { format!("in {seconds}s") } else { "now".to_owned() }
}

/// An age in steps of 5 s, then minutes.
fn coarse(seconds: i64) -> String {
    let seconds = if seconds < 60 { seconds - seconds.rem_euclid(5) } else { seconds - seconds.rem_euclid(60) };
    age::human(seconds.max(0))
}

fn clock(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string())
        .unwrap_or_default()
}
