//! Jobs.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired, seconds,
    wire::{LabelSelector, ObjectMeta, Time, text, wire},
    workload::{PodTemplate, Template, Workload, count},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct Job;

wire! {
    pub struct JobObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<JobSpec>,
        #[prost(message, tag = "3")] pub status: Option<JobStatus>,
    }

    pub struct JobSpec {
        #[prost(int32, optional, tag = "1")] pub parallelism: Option<i32>,
        #[prost(int32, optional, tag = "2")] pub completions: Option<i32>,
        #[prost(message, tag = "4")] pub selector: Option<LabelSelector>,
        #[prost(message, tag = "6")] pub template: Option<PodTemplate>,
    }

    pub struct JobStatus {
        #[prost(message, repeated, tag = "1")] pub conditions: Vec<JobCondition>,
        #[prost(message, tag = "2")] pub start_time: Option<Time>,
        #[prost(message, tag = "3")] pub completion_time: Option<Time>,
        #[prost(int32, tag = "4")] pub active: i32,
        #[prost(int32, tag = "5")] pub succeeded: i32,
        #[prost(int32, tag = "6")] pub failed: i32,
    }

    pub struct JobCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
        #[prost(bytes = "bytes", tag = "5")] pub reason: Bytes,
    }
}

/// What is kept of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub status: Sym,
    /// Why it failed.
    pub reason: Sym,
    pub succeeded: u32,
    /// `None` where one success is enough, with so many pods at it.
    pub completions: Option<u32>,
    pub parallelism: u32,
    pub active: u32,
    pub failed: u32,
    /// Unix seconds, 0 where there is none.
    pub started: u32,
    pub completed: u32,
    pub health: Health,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = Job::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

/// kubectl's STATUS and the health that follows.
fn status(meta: &ObjectMeta, status: &JobStatus) -> (&'static str, Health) {
    let holds = |name: &str| {
        status.conditions.iter().find(|condition| condition.r#type == name).is_some_and(|it| it.status == "True")
    };
    if holds("Complete") {
        ("Complete", Health::Done)
    } else if holds("Failed") {
        ("Failed", Health::Bad)
    } else if meta.deletion_timestamp.is_some() {
        ("Terminating", Health::Progressing)
    } else if holds("Suspended") {
        ("Suspended", Health::Unknown)
    } else if holds("FailureTarget") {
        ("FailureTarget", Health::Bad)
    } else if holds("SuccessCriteriaMet") {
        ("SuccessCriteriaMet", Health::Progressing)
    } else {
        ("Running", if status.failed > 0 { Health::Warn } else { Health::Progressing })
    }
}

impl Wired for Job {
    type Wire = JobObject;

    fn meta(wire: &JobObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &JobObject, interner: &mut Interner) -> Row {
        let meta = Self::meta(wire);
        let spec = wire.spec.clone().unwrap_or_default();
        let now = wire.status.clone().unwrap_or_default();
        let (state, health) = status(meta, &now);
        let failed = now.conditions.iter().find(|condition| condition.r#type == "Failed" && condition.status == "True");
        let unix = |time: Option<Time>| seconds(time.and_then(Time::unix));
        Row {
            name: interner.bytes(&meta.name),
            status: interner.text(state),
            reason: failed.map_or(Sym::EMPTY, |failed| interner.text(&text(&failed.reason))),
            succeeded: count(now.succeeded),
            completions: spec.completions.map(count),
            parallelism: count(spec.parallelism.unwrap_or(0)),
            active: count(now.active),
            failed: count(now.failed),
            started: unix(now.start_time),
            completed: unix(now.completion_time),
            health,
            template: Template::new(spec.template.as_ref(), spec.selector.as_ref(), interner),
        }
    }
}

impl Row {
    fn done(&self) -> Value<'static> {
        match self.completions {
            Some(all) => Value::Ratio(self.succeeded, all),
            None if self.parallelism > 1 => {
                Value::Text(Cow::Owned(format!("{}/1 of {}", self.succeeded, self.parallelism)))
            }
            None => Value::Ratio(self.succeeded, 1),
        }
    }

    fn duration(&self) -> Value<'static> {
        match (self.started, self.completed) {
            (0, _) => Value::text(""),
            (started, 0) => Value::Since(started.into()),
            (started, completed) => Value::Span(i64::from(completed) - i64::from(started)),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("status", "What kubectl says of the job", |row, at| at.plain(row.status)).rank(0),
    Column::text("completions", "Successes of those wanted", |row, _| row.done()).rank(1),
    Column::number("active", "Pods at work", |row, _| Value::Int(row.active.into())).total().rank(3),
    Column::number("failed", "Pods that failed", |row, _| Value::Int(row.failed.into())).total().rank(3),
    Column::number("duration", "From its start to its end, or until now", |row, _| row.duration()).rank(2),
    Column::text("reason", "Why it failed", |row, at| at.symbol(row.reason)).rank(5),
    Column::text("owner", "What made it", |_, at| at.symbol(at.meta.owner_name)).rank(6),
    Column::CPU_REQUEST.wide(),
    Column::MEMORY_REQUEST.wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for Job {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "jobs",
        kind: "Job",
        group: "batch",
        version: "v1",
        namespaced: true,
        aliases: &["job"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    fn drill(row: &Row, at: &At<'_>) -> Option<Drill> {
        at.selected_pods(row.template.selector)
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
