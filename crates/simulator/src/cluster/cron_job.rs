//! Cron jobs: schedules, the jobs they make, and how many of those are kept.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::collector::{self, Propagation};
use super::objects::metadata;
use super::replica_set::tell;
use super::workload::owner;
use super::{job, life};
use crate::catalog::{CRON_JOBS, JOBS};
use crate::encoding::template::{Short, rfc3339};
use crate::object::{Object, key};
use crate::world::World;

/// A schedule of five fields: the values that each allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Where both days of the month and of the week are named, either will do.
    either_day: bool,
}

/// The values of one field, as bits.
fn field(text: &str, least: u32, most: u32) -> Option<u64> {
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0)?;
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, most),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            // `5/15` goes on to the end.
            None if part.contains('/') => (range.parse().ok()?, most),
            None => (range.parse().ok()?, range.parse().ok()?),
        };
        if first < least || last > most || first > last {
            return None;
        }
        (first..=last).step_by(step).for_each(|value| bits |= 1_u64 << value);
    }
    Some(bits)
}

impl Schedule {
    /// Reads `*/5 2 * * 1-5`, or a name such as `@hourly`; `None` where it is no schedule.
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            text => text,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return None };
        let sundays = field(weekdays, 0, 7)?;
        Some(Self {
            minutes: field(minutes, 0, 59)?,
            hours: field(hours, 0, 23)?,
            days: field(days, 1, 31)?,
            months: field(months, 1, 12)?,
            // 7 is Sunday, too.
            weekdays: sundays & 0x7f | sundays >> 7 & 1,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    fn matches(&self, time: DateTime) -> bool {
        let has = |bits: u64, value: i8| bits >> value & 1 == 1;
        let day = has(self.days, time.day());
        let weekday = has(self.weekdays, time.weekday().to_sunday_zero_offset());
        has(self.minutes, time.minute())
            && has(self.hours, time.hour())
            && has(self.months, time.month())
            && if self.either_day { day || weekday } else { day && weekday }
    }

    /// Whether a run is due in the minute that begins at `second` (since 1970).
    pub fn is_due(&self, second: i64, zone: &TimeZone) -> bool {
        let Ok(time) = Timestamp::from_second(second) else { return false };
        self.matches(time.to_zoned(zone.clone()).datetime())
    }
}

/// The zone of a cron job; UTC where it has none that is known here.
fn zone(cron: &Value) -> TimeZone {
    cron["spec"]["timeZone"].as_str().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// Looks at all cron jobs: once a minute.
pub fn minute(world: &mut World) {
    let second = world.life.clock.now().div_euclid(60_000) * 60;
    for object in world.snapshot(CRON_JOBS, "").objects.iter() {
        let value = object.value();
        prune(world, &value);
        let value = world.get(CRON_JOBS, &object.key).map_or(value, |object| object.value());
        let Some(schedule) = value["spec"]["schedule"].as_str().and_then(Schedule::parse) else { continue };
        if value["spec"]["suspend"] == true || life::is_deleted(&value) || !schedule.is_due(second, &zone(&value)) {
            continue;
        }
        let running = jobs(world, &value).iter().any(|job| !job::is_finished(&job.value()));
        if running && value["spec"]["concurrencyPolicy"] == "Forbid" {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            tell(world, object, &value, "cronjob-controller", "JobAlreadyActive", message);
            continue;
        }
        start(world, object, value, second);
    }
}

fn jobs(world: &World, cron: &Value) -> Vec<Arc<Object>> {
    let owned = world.life.index.owned(life::uid(cron));
    owned.into_iter().filter_map(|(resource, key)| world.get(resource, &key)).collect()
}

fn start(world: &mut World, object: &Arc<Object>, mut value: Value, second: i64) {
    // A cron job names its jobs by the minute for which they were scheduled.
    let name = format!("{}-{}", object.name(), second / 60);
    if world.get(JOBS, &key(object.namespace(), &name)).is_some() {
        return;
    }
    let uid = world.random.uid();
    let mut metadata = metadata(world.cluster.size, object.namespace(), &name, world.life.clock.stamp(), "Job");
    metadata["uid"] = Short::uuid(uid).as_str().into();
    metadata["generation"] = 1.into();
    metadata["annotations"] = json!({ "batch.kubernetes.io/cronjob-scheduled-timestamp": rfc3339(second) });
    metadata["ownerReferences"] = json!([owner("batch/v1", "CronJob", object.name(), life::uid(&value))]);
    let mut spec = value["spec"]["jobTemplate"]["spec"].clone();
    let labels = json!({
        "batch.kubernetes.io/controller-uid": Short::uuid(uid).as_str(), "batch.kubernetes.io/job-name": name,
        "controller-uid": Short::uuid(uid).as_str(), "job-name": name,
    });
    if let (Some(all), Value::Object(own)) = (spec["template"]["metadata"]["labels"].as_object_mut(), labels) {
        all.extend(own);
    }
    metadata["labels"] = spec["template"]["metadata"]["labels"].clone();
    spec["suspend"] = false.into();
    spec["selector"] = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": Short::uuid(uid).as_str() } });
    world.put_value(JOBS, json!({ "metadata": metadata, "spec": spec, "status": {} }));
    tell(world, object, &value, "cronjob-controller", "SuccessfulCreate", &format!("Created job {name}"));
    value["status"]["lastScheduleTime"] = rfc3339(world.life.clock.stamp()).into();
    value["status"]["active"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "namespace": object.namespace(), "name": name,
        "uid": Short::uuid(uid).as_str(),
    }]);
    world.put_value(CRON_JOBS, value);
}

/// Forgets jobs that have ended beyond what the limits keep.
fn prune(world: &mut World, value: &Value) {
    let mut finished: Vec<_> = jobs(world, value)
        .into_iter()
        .map(|job| (job.value(), job))
        .filter(|(job, _)| job::is_finished(job))
        .map(|(value, job)| {
            (value["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(), value, job)
        })
        .collect();
    finished.sort_by(|one, other| other.0.cmp(&one.0));
    let limit = |field: &str, default: u64| value["spec"][field].as_u64().unwrap_or(default);
    let (mut good, mut bad) = (limit("successfulJobsHistoryLimit", 3), limit("failedJobsHistoryLimit", 1));
    let mut active = value["status"]["active"].as_array().cloned().unwrap_or_default();
    let known = active.len();
    let mut last = Value::Null;
    for (_, job, old) in &finished {
        active.retain(|reference| reference["name"] != old.name());
        let succeeded = job["status"]["succeeded"].as_u64().unwrap_or(0) > 0;
        if succeeded && last.is_null() {
            last = job["status"]["completionTime"].clone();
        }
        let left = if succeeded { &mut good } else { &mut bad };
        if *left > 0 {
            *left -= 1;
        } else {
            collector::delete(world, JOBS, &old.key, Propagation::Background);
        }
    }
    if known != active.len() {
        let mut value = value.clone();
        value["status"]["active"] = active.into();
        if !last.is_null() {
            value["status"]["lastSuccessfulTime"] = last;
        }
        world.put_value(CRON_JOBS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 1 March 2026, 00:00 UTC.
    const START: i64 = 1_772_323_200;

    #[test]
    fn schedules_come_due_when_they_say() {
        for (schedule, expected) in [
            ("*/15 * * * *", Some(15 * 60)),
            ("0 2 * * *", Some(2 * 3600)),
            ("30 1-3 * * *", Some(3600 + 1800)),
            ("0 9 * * 1-5", Some(86_400 + 9 * 3600)),
            // The first Friday is the 6th; the 5th comes before it, and either will do.
            ("0 0 5 * 5", Some(4 * 86_400)),
            ("0 0 * * 7", Some(7 * 86_400)),
            ("@monthly", Some(31 * 86_400)),
            ("0 0 31 2 *", None),
        ] {
            let schedule = Schedule::parse(schedule).unwrap();
            let next = (60..32 * 86_400).step_by(60).find(|after| schedule.is_due(START + after, &TimeZone::UTC));
            assert_eq!(next, expected, "{schedule:?}");
        }
        for wrong in ["", "* * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "x * * * *"] {
            assert_eq!(Schedule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_schedule_holds_in_its_zone() {
        let schedule = Schedule::parse("0 2 * * *").unwrap();
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        assert!(schedule.is_due(START + 17 * 3600, &tokyo));
        assert!(!schedule.is_due(START + 2 * 3600, &tokyo));
    }
}
