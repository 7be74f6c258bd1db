//! Cron jobs.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, HasId, Kind, KindId, Wired,
    job::JobSpec,
    seconds,
    wire::{ObjectMeta, Time, wire},
    workload::{Template, Workload},
};
use crate::store::{
    intern::{Interner, Sym},
    lens::Pin,
    value::{Health, Value},
};

pub struct CronJob;

wire! {
    pub struct CronJobObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<CronJobSpec>,
        #[prost(message, tag = "3")] pub status: Option<CronJobStatus>,
    }

    pub struct CronJobSpec {
        #[prost(bytes = "bytes", tag = "1")] pub schedule: Bytes,
        #[prost(bytes = "bytes", tag = "3")] pub concurrency_policy: Bytes,
        #[prost(bool, optional, tag = "4")] pub suspend: Option<bool>,
        #[prost(message, tag = "5")] pub job_template: Option<JobTemplate>,
        #[prost(bytes = "bytes", tag = "8")] pub time_zone: Bytes,
    }

    pub struct JobTemplate {
        #[prost(message, tag = "2")] pub spec: Option<JobSpec>,
    }

    pub struct CronJobStatus {
        #[prost(message, repeated, tag = "1")] pub active: Vec<JobReference>,
        #[prost(message, tag = "4")] pub last_schedule_time: Option<Time>,
        #[prost(message, tag = "5")] pub last_successful_time: Option<Time>,
    }

    pub struct JobReference {
        #[prost(bytes = "bytes", tag = "3")] pub name: Bytes,
    }
}

/// What is kept of a cron job.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: Sym,
    pub schedule: Sym,
    pub time_zone: Sym,
    pub suspend: Option<bool>,
    pub active: u32,
    /// Unix seconds, 0 where there is none.
    pub last_schedule: u32,
    pub last_success: u32,
    pub concurrency: Sym,
    pub template: Template,
}

impl Workload for Row {
    const ID: KindId = CronJob::ID;

    fn name(&self) -> Sym {
        self.name
    }

    fn template(&self) -> &Template {
        &self.template
    }
}

impl Wired for CronJob {
    type Wire = CronJobObject;

    fn meta(wire: &CronJobObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &CronJobObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let status = wire.status.clone().unwrap_or_default();
        let job = spec.job_template.and_then(|template| template.spec).unwrap_or_default();
        let unix = |time: Option<Time>| seconds(time.and_then(Time::unix));
        Row {
            name: interner.bytes(&Self::meta(wire).name),
            schedule: interner.bytes(&spec.schedule),
            time_zone: interner.bytes(&spec.time_zone),
            suspend: spec.suspend,
            active: u32::try_from(status.active.len()).unwrap_or(u32::MAX),
            last_schedule: unix(status.last_schedule_time),
            last_success: unix(status.last_successful_time),
            concurrency: interner.bytes(&spec.concurrency_policy),
            template: Template::new(job.template.as_ref(), job.selector.as_ref(), interner),
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAMESPACE,
    Column::NAME,
    Column::text("schedule", "When it runs", |row, at| at.plain(row.schedule)).rank(0),
    Column::text("timezone", "Time zone of the schedule", |row, at| at.symbol(row.time_zone)).rank(5),
    Column::text("suspend", "Whether it is held", |row, _| {
        Value::text(match row.suspend {
            None => "<unset>",
            Some(true) => "True",
            Some(false) => "False",
        })
    })
    .rank(2),
    Column::number("active", "Jobs at work", |row, _| Value::Int(row.active.into())).total().rank(1),
    Column::number("last schedule", "Time since it last started a job", |row, _| match row.last_schedule {
        0 => Value::none(),
        at => Value::Since(at.into()),
    })
    .rank(1),
    Column::number("last-success", "Time since one of its jobs last succeeded", |row, _| At::since(row.last_success))
        .rank(3),
    Column::text("concurrency", "What happens when the job before still runs", |row, at| at.symbol(row.concurrency))
        .wide(),
    Column::CONTAINERS,
    Column::IMAGES,
    Column::SELECTOR,
    Column::LABELS,
    Column::AGE,
];

impl Kind for CronJob {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "cronjobs",
        kind: "CronJob",
        group: "batch",
        version: "v1",
        namespaced: true,
        aliases: &["cj", "cronjob"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    /// It is to be warned of a last job that ended and did not succeed.
    fn health(row: &Row, _at: &At<'_>) -> Health {
        if row.suspend == Some(true) {
            Health::Unknown
        } else if row.active > 0 {
            Health::Progressing
        } else if row.last_schedule > row.last_success {
            Health::Warn
        } else {
            Health::Ok
        }
    }

    fn drill(_row: &Row, at: &At<'_>) -> Option<Drill> {
        Some(Drill {
            plural: "jobs".to_owned(),
            namespace: Some(at.world.symbols.get(at.meta.namespace).to_owned()),
            pin: Some(Pin::Owner { kind: Self::DEFINITION.kind.to_owned(), name: at.name.to_owned() }),
        })
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}
