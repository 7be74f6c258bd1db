//! What pods and nodes use, as metrics.k8s.io measured it last. Polled, so that every value has an age; what was never
//! measured is unknown, not 0.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    intern::Symbols,
    table::{Rows, Uid},
    world::Amounts,
};
use crate::kinds::KindId;

/// A measurement older than this says little about now, seconds.
pub const STALE: i64 = 180;

/// Absent, forbidden, failing and stale are four things, and none of them is 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MetricsState {
    #[default]
    NotAsked,
    /// The cluster serves no metrics.k8s.io.
    Absent,
    Forbidden(String),
    /// Failing since the first failure (Unix seconds), with what the last answer said.
    Failing {
        since: i64,
        why: String,
    },
    /// Measured at (Unix seconds).
    Good {
        at: i64,
    },
}

/// One object's use on its way to the world, which knows the object by its uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    pub namespace: String,
    pub name: String,
    pub used: Amounts,
    /// When it was measured, Unix seconds.
    pub at: i64,
}

/// What a poll brings, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    Part(Vec<Measurement>),
    /// All parts have come; what they did not mention is no longer known.
    Done(MetricsState),
    /// Nothing came; what was known stays, and gets older.
    Failed(MetricsState),
}

/// The last polls, by the kind that was measured.
#[derive(Debug, Default)]
pub struct Usage {
    kinds: BTreeMap<KindId, Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    state: MetricsState,
    /// By the slot of the object's row.
    slots: Vec<Used>,
    poll: u32,
}

/// Packed: there is one for every pod.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    /// Bytes.
    memory: u64,
    /// Thousandths.
    cpu: u32,
    /// When it was measured, Unix seconds; 0 where it was not.
    at: u32,
    /// The poll that saw it.
    poll: u32,
    /// Part of the object's uid: a slot may have gone to another one since.
    tag: u32,
}

fn tag(uid: Uid) -> u32 {
    let [a, b, c, d, ..] = uid.0;
    u32::from_ne_bytes([a, b, c, d])
}

impl Usage {
    /// What an object uses, by its kind, the slot of its row and its uid; `None` where it is not known.
    pub fn of(&self, kind: KindId, slot: u32, uid: Uid) -> Option<Amounts> {
        let used = self.kinds.get(&kind)?.slots.get(slot as usize)?;
        let known = used.at != 0 && used.tag == tag(uid);
        known.then_some(Amounts { cpu: u64::from(used.cpu), memory: used.memory })
    }

    /// How the measuring of a kind goes.
    pub fn state(&self, kind: KindId) -> &MetricsState {
        self.kinds.get(&kind).map_or(&MetricsState::NotAsked, |measured| &measured.state)
    }

    /// Takes in a reading; true when a poll is complete and values may have changed.
    pub fn read(&mut self, kind: KindId, reading: Reading, rows: &dyn Rows, symbols: &Symbols) -> bool {
        let measured = self.kinds.entry(kind).or_default();
        match reading {
            Reading::Part(part) => {
                for measurement in part {
                    // What is not in the table has no row to be shown in.
                    let Some((slot, uid)) = find(rows, symbols, &measurement.namespace, &measurement.name) else {
                        continue;
                    };
                    let slot = slot as usize;
                    if measured.slots.len() <= slot {
                        measured.slots.resize(rows.slots().max(slot + 1), Used::default());
                    }
                    measured.slots[slot] = Used {
                        memory: measurement.used.memory,
                        cpu: u32::try_from(measurement.used.cpu).unwrap_or(u32::MAX),
                        at: u32::try_from(measurement.at).unwrap_or_default(),
                        poll: measured.poll,
                        tag: tag(uid),
                    };
                }
                false
            }
            Reading::Done(state) => {
                let poll = measured.poll;
                // One that is much older than the others would pass for as new as they are.
                let oldest = if let MetricsState::Good { at } = state { at - STALE } else { i64::MIN };
                for used in measured.slots.iter_mut().filter(|used| used.poll != poll || i64::from(used.at) < oldest) {
                    *used = Used::default();
                }
                measured.poll += 1;
                measured.state = state;
                true
            }
            Reading::Failed(state) => {
                measured.state = state;
                false
            }
        }
    }
}

/// The row of a name, by the natural order: a binary search, where a map of all names would cost megabytes.
fn find(rows: &dyn Rows, symbols: &Symbols, namespace: &str, name: &str) -> Option<(u32, Uid)> {
    let natural = rows.natural();
    let compare = |id: u32| -> Ordering {
        let own = rows.meta(id).map_or("", |meta| symbols.get(meta.namespace));
        own.cmp(namespace).then_with(|| rows.name(id).cmp(name))
    };
    let at = natural.partition_point(|&id| compare(id) == Ordering::Less);
    let id = natural.get(at).copied().filter(|&id| compare(id) == Ordering::Equal)?;
    rows.meta(id).map(|meta| (id, meta.uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kinds::generic::{Generic, Row},
        store::{
            intern::Interner,
            table::{Change, Changes, Meta, Span, Table},
            world::Joins,
        },
    };

    /// Rows named `namespace/name`; their uids are their names hashed.
    fn table(names: &[&str], symbols: &mut Symbols) -> Table<Generic> {
        let (mut interner, mut changes) = (Interner::default(), Changes::default());
        for (namespace, name) in names.iter().filter_map(|text| text.split_once('/')) {
            let meta = Meta {
                uid: uid(name),
                name: Span::push(&mut changes.names, name),
                namespace: interner.text(namespace),
                ..Meta::default()
            };
            changes.changes.push(Change::Upsert(meta, Row::default()));
        }
        symbols.extend(interner.fresh());
        let mut table = Table::default();
        table.apply(Box::new(changes), 1, &mut Joins::default());
        table.settle(symbols);
        table
    }

    fn uid(name: &str) -> Uid {
        Uid::hashed(&[name.as_bytes()])
    }

    fn measured(namespace: &str, name: &str, cpu: u64, at: i64) -> Measurement {
        Measurement { namespace: namespace.into(), name: name.into(), used: Amounts { cpu, memory: 1 }, at }
    }

    #[test]
    fn a_poll_replaces_the_one_before_and_finds_its_rows_by_name() {
        let mut symbols = Symbols::default();
        let table = table(&["b/x", "a/y", "a/x2", "c/z"], &mut symbols);
        let kind = KindId::new(0);
        let mut usage = Usage::default();
        let used = |usage: &Usage, name| table.find(uid(name)).and_then(|slot| usage.of(kind, slot, uid(name)));
        let cpu = |usage: &Usage, name| used(usage, name).map(|used| used.cpu);
        let part = |list| Reading::Part(list);
        assert_eq!(usage.state(kind), &MetricsState::NotAsked);
        let first = vec![measured("a", "y", 1, 100), measured("b", "x", 2, 100), measured("a", "x", 3, 100)];
        assert!(!usage.read(kind, part(first), &table, &symbols));
        assert!(usage.read(kind, Reading::Done(MetricsState::Good { at: 100 }), &table, &symbols));
        assert_eq!([cpu(&usage, "y"), cpu(&usage, "x"), cpu(&usage, "x2")], [Some(1), Some(2), None]);
        usage.read(kind, part(vec![measured("a", "x2", 4, 130)]), &table, &symbols);
        usage.read(kind, Reading::Done(MetricsState::Good { at: 130 }), &table, &symbols);
        assert_eq!([cpu(&usage, "y"), cpu(&usage, "x"), cpu(&usage, "x2")], [None, None, Some(4)]);
        usage.read(kind, Reading::Failed(MetricsState::Absent), &table, &symbols);
        assert_eq!(cpu(&usage, "x2"), Some(4), "it gets older, and the state says so");
        assert_eq!(usage.state(kind), &MetricsState::Absent);
        assert_eq!(usage.state(KindId::new(1)), &MetricsState::NotAsked);
    }

    #[test]
    fn a_measurement_far_older_than_the_others_is_unknown() {
        let mut symbols = Symbols::default();
        let table = table(&["a/old", "a/new"], &mut symbols);
        let mut usage = Usage::default();
        let kind = KindId::new(0);
        let part = vec![measured("a", "new", 1, 1000), measured("a", "old", 1, 1000 - STALE - 1)];
        usage.read(kind, Reading::Part(part), &table, &symbols);
        usage.read(kind, Reading::Done(MetricsState::Good { at: 1000 }), &table, &symbols);
        let known = |name| table.find(uid(name)).is_some_and(|slot| usage.of(kind, slot, uid(name)).is_some());
        assert!(known("new") && !known("old"));
        let slot = table.find(uid("new")).expect("a row");
        assert!(usage.of(kind, slot, uid("another")).is_none(), "the slot has gone to another object");
    }
}
