//! The columns of node groups.

use super::{Hourly, Release, Row};
use crate::{
    kinds::percent,
    store::value::{Health, Metric, Value},
};

fn count(count: Option<u32>) -> Value<'static> {
    count.map_or(Value::Unknown, |count| Value::Int(i64::from(count)))
}

type Column = crate::kinds::Column<Row>;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("kind", "Who runs it: EKS, an Auto Scaling group of your own, Karpenter, Fargate", |row, _| {
        Value::text(row.make.word())
    })
    .rank(2),
    Column::number("min", "The least that is kept", |row, _| count(row.min)).rank(3),
    Column::number("desired", "Nodes that are wanted; 3→5 while a change waits for you", |row, at| {
        match (row.wanted(), at.world.wishes.pending(at.meta.uid)) {
            (Some(now), Some(wish)) => Value::Edited(i64::from(now), i64::from(wish)),
            (now, _) => count(now),
        }
    })
    .joined()
    .rank(0),
    Column::number("max", "The most that is allowed", |row, _| count(row.max)).rank(3),
    Column::text(
        "funnel",
        "EKS desired · Auto Scaling desired · instances · registered nodes · ready nodes",
        |row, at| {
            let funnel = row.funnel(at.world);
            let health = funnel.gap().map_or(Health::Ok, |(health, _)| health);
            Value::Status(health, funnel.to_string().into())
        },
    )
    .joined()
    .rank(1),
    Column::text("types", "Instance types; of a pool those of its nodes, or what it may choose from", |row, at| {
        row.types(at.world)
    })
    .joined()
    .rank(4),
    Column::text("capacity", "On-demand or spot", |row, _| match row.spot {
        Some(true) => Value::text("spot"),
        Some(false) => Value::text("on-demand"),
        None => Value::Unknown,
    })
    .rank(6),
    Column::text("release", "Its node image against the newest; of a pool, nodes that are not as it wants them", |row, at| {
        match row.claims(at.world) {
            Some(claims) if claims.drifted > 0 => {
                Value::Status(Health::Warn, format!("drifted {}", claims.drifted).into())
            }
            Some(claims) if claims.all > 0 => Value::text("current"),
            _ => row.release.value(),
        }
    })
    .joined()
    .rank(5),
    Column::number("%cpu-req", "CPU that its pods ask for, percent of allocatable", |row, at| {
        row.load(at.world).map_or(Value::Unknown, |(asked, offered)| percent(Metric::Cpu, asked.cpu, offered.cpu))
    })
    .joined()
    .rank(3),
    Column::number("%mem-req", "Memory that its pods ask for, percent of allocatable", |row, at| {
        row.load(at.world)
            .map_or(Value::Unknown, |(asked, offered)| percent(Metric::Memory, asked.memory, offered.memory))
    })
    .joined()
    .rank(6),
    Column::number("pods", "Pods that run on it", |row, at| count(row.pods(at.world))).joined().rank(6),
    Column::number("$/h", "What its instances cost an hour by list; s by spot prices", |row, at| {
        row.hourly(at.world).map_or(Value::Unknown, Hourly::value)
    })
    .joined()
    .rank(3),
    Column::text("status", "What is going on, and the first stage at which nodes are missing", |row, at| {
        let (health, text) = row.state(at);
        Value::Status(health, text.into())
    })
    .joined()
    .sentence()
    .rank(0),
    Column::text("asg", "The Auto Scaling group behind it", |row, _| {
        row.asg.as_ref().map_or(Value::Unknown, |asg| Value::text(&asg.name))
    })
    .wide(),
    Column::text("image", "Release of the node image", |row, _| {
        if row.release.own.is_empty() { Value::Unknown } else { Value::text(&row.release.own) }
    })
    .wide(),
    Column::text("suspended", "Processes of the Auto Scaling group that somebody suspended", |row, _| match &row.asg {
        Some(asg) if !asg.suspended.is_empty() => Value::Text(asg.suspended.join(",").into()),
        Some(_) => Value::none(),
        None => Value::Unknown,
    })
    .wide(),
    Column::text("traits", "What changes how its instances come and go", |row, _| match &row.asg {
        Some(asg) if !asg.traits.is_empty() => Value::Text(asg.traits.join(",").into()),
        Some(_) => Value::none(),
        None => Value::Unknown,
    })
    .wide(),
    Column::text("template", "Launch template, its version and what differs from it", |row, _| row.template()).wide(),
    Column::text("taints", "Taints that its nodes get", |row, _| {
        if row.taints.is_empty() { Value::none() } else { Value::text(&row.taints) }
    })
    .wide(),
    Column::number("asked", "Time since AWS said so", |row, _| match row.at {
        0 => Value::Unknown,
        at => Value::Since(at),
    })
    .wide(),
    Column::LABELS,
    Column::AGE.rank(6),
];

impl Row {
    /// `lt 7 of 9, 1 instance on another`.
    fn template(&self) -> Value<'_> {
        let outdated = self.asg.as_ref().map_or(0, |asg| asg.outdated);
        let mut words = Vec::new();
        let mut health = Health::Ok;
        if let Some(template) = &self.template {
            let newer = template.latest.filter(|latest| template.version.parse() != Ok(*latest));
            let of = newer.map_or_else(String::new, |latest| format!(" of {latest}"));
            health = if newer.is_some() { Health::Warn } else { health };
            words.push(format!("{} {}{of}", template.name, template.version));
        }
        if outdated > 0 {
            health = Health::Warn;
            words.push(format!("{outdated} on another version"));
        }
        match (words.is_empty(), health) {
            (true, _) => Value::Unknown,
            (_, Health::Ok) => Value::Text(words.join(", ").into()),
            (_, health) => Value::Status(health, words.join(", ").into()),
        }
    }
}

impl Release {
    pub(super) fn value(&self) -> Value<'_> {
        match &self.newest {
            Some(newest) if *newest == self.own => Value::text("current"),
            Some(newest) => match (day(&self.own), day(newest)) {
                (Some(own), Some(newest)) if newest > own => {
                    Value::Status(Health::Warn, format!("{}d behind", newest - own).into())
                }
                _ => Value::Status(Health::Warn, "behind".into()),
            },
            None if self.own.starts_with("ami-") => Value::text(&self.own),
            None => Value::Unknown,
        }
    }
}

/// The day of `1.33.4-20260815`, in days since 1970.
fn day(release: &str) -> Option<i64> {
    let (_, date) = release.rsplit_once('-')?;
    let date = jiff::civil::Date::strptime("%Y%m%d", date).ok()?;
    let start = jiff::civil::Date::constant(1970, 1, 1);
    date.since((jiff::Unit::Day, start)).ok().map(|span| i64::from(span.get_days()))
}

