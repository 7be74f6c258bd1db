//! The job controller: pods until enough have succeeded or too many failed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pod::State;
use super::replica_set::{count, tell, write_status};
use super::{life, pods, revision};
use crate::encoding::template::rfc3339;
use crate::object::Object;
use crate::world::World;

pub const COMPONENT: &str = "job-controller";

/// What there is to do for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Complete,
    Failed,
    /// So many pods more.
    Start(u32),
    Wait,
}

/// What a job has come to. `failed` counts pods, as `backoffLimit` does where pods are never restarted.
pub fn verdict(completions: u32, parallelism: u32, limit: u32, active: u32, succeeded: u32, failed: u32) -> Verdict {
    if succeeded >= completions {
        return Verdict::Complete;
    }
    if failed > limit {
        return Verdict::Failed;
    }
    let wanted = parallelism.min(completions - succeeded);
    if active < wanted { Verdict::Start(wanted - active) } else { Verdict::Wait }
}

/// Whether a job has ended.
pub fn is_finished(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| {
        (condition["type"] == "Complete" || condition["type"] == "Failed") && condition["status"] == "True"
    })
}

/// Tells in the conditions of a job whether it waits to be resumed.
fn suspend(status: &mut Value, suspended: bool, now: &str) {
    let told = |condition: &Value| condition["type"] == "Suspended";
    let (verdict, reason, message) =
        if suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") };
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let known = conditions.iter().position(told);
    if known.map_or(!suspended, |at| conditions[at]["status"] == verdict) {
        return;
    }
    conditions.retain(|condition| !told(condition));
    conditions.push(json!({ "type": "Suspended", "status": verdict, "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now }));
    status["conditions"] = conditions.into();
}

pub fn reconcile(world: &mut World, object: &Arc<Object>) {
    let value = object.value();
    if life::is_deleted(&value) || is_finished(&value) {
        return;
    }
    let spec = &value["spec"];
    let own = pods::of(world, life::uid(&value));
    let all = || own.iter().filter_map(|object| pods::pod(object));
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let succeeded = number(all().filter(|pod| pod.state == State::Succeeded).count());
    let failed = number(all().filter(|pod| matches!(pod.state, State::Failed | State::Evicted)).count());
    let active = number(
        all().filter(|pod| !matches!(pod.state.phase(), "Succeeded" | "Failed") && !pod.state.is_deleted()).count(),
    );
    let ready = number(all().filter(|pod| pod.state.is_ready()).count());
    let or_one = |field: &str| if spec[field].is_null() { 1 } else { count(&spec[field]) };
    let limit = if spec["backoffLimit"].is_null() { 6 } else { count(&spec["backoffLimit"]) };
    let now = rfc3339(world.life.clock.stamp());
    let mut status = value["status"].clone();
    if status.is_null() {
        status = json!({});
    }
    let suspended = spec["suspend"] == true;
    suspend(&mut status, suspended, &now);
    if suspended {
        return write_status(world, object, &value, status);
    }
    if status["startTime"].is_null() {
        status["startTime"] = now.clone().into();
    }
    let verdict = verdict(or_one("completions"), or_one("parallelism"), limit, active, succeeded, failed);
    let mut active = active;
    if let Verdict::Start(missing) = verdict {
        let workload = revision::of_controller(world, object, &value);
        for _ in 0..missing {
            let fate = pods::fate(&workload, None, &mut world.random);
            let key = pods::create(world, &workload, None, 0, fate, None);
            let name = key.rsplit('/').next().unwrap_or_default();
            tell(world, object, &value, COMPONENT, "SuccessfulCreate", &format!("Created pod: {name}"));
        }
        active += missing;
    }
    for (field, number) in [("active", active), ("succeeded", succeeded), ("failed", failed)] {
        if number > 0 {
            status[field] = number.into();
        } else if let Some(status) = status.as_object_mut() {
            status.remove(field);
        }
    }
    status["ready"] = ready.into();
    status["terminating"] = 0.into();
    status["uncountedTerminatedPods"] = json!({});
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now, "reason": reason, "message": message });
    match verdict {
        Verdict::Complete => {
            let message = "Reached expected number of succeeded pods";
            status["completionTime"] = now.clone().into();
            status["conditions"] = json!([
                condition("SuccessCriteriaMet", "CompletionsReached", message),
                condition("Complete", "CompletionsReached", message),
            ]);
            tell(world, object, &value, COMPONENT, "Completed", "Job completed");
        }
        Verdict::Failed => {
            let message = "Job has reached the specified backoff limit";
            status["conditions"] = json!([
                condition("FailureTarget", "BackoffLimitExceeded", message),
                condition("Failed", "BackoffLimitExceeded", message),
            ]);
            tell(world, object, &value, COMPONENT, "BackoffLimitExceeded", message);
        }
        Verdict::Start(_) | Verdict::Wait => {}
    }
    write_status(world, object, &value, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_on_until_enough_succeeded_or_too_many_failed() {
        for ((completions, parallelism, limit, active, succeeded, failed), expected) in [
            ((1, 1, 0, 0, 0, 0), Verdict::Start(1)),
            ((1, 1, 0, 1, 0, 0), Verdict::Wait),
            ((1, 1, 0, 0, 1, 0), Verdict::Complete),
            ((1, 1, 0, 0, 0, 1), Verdict::Failed),
            ((1, 1, 1, 0, 0, 1), Verdict::Start(1)),
            ((5, 3, 6, 1, 1, 0), Verdict::Start(2)),
            ((5, 3, 6, 0, 4, 0), Verdict::Start(1)),
        ] {
            assert_eq!(verdict(completions, parallelism, limit, active, succeeded, failed), expected);
        }
    }
}
