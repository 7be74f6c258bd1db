//! The order that a lens keeps from changes always equals a naive filter and sort, and cursor and marks stay on their
//! objects, whatever comes.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::float_cmp,
    clippy::large_stack_arrays,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

use std::collections::BTreeMap;

use ekscope::{
    kinds::{HasId, pod},
    store::{
        intern::Interner,
        lens::{Lens, Scope, Sort},
        query::{self, Query},
        table::{Change, Changes, Covers, Meta, Span, Uid},
        value::{Health, Value},
        world::{Amounts, World},
    },
    view::table::TableView,
};
use proptest::prelude::*;

const POD: ekscope::kinds::KindId = pod::Pod::ID;

/// One change from outside.
#[derive(Debug, Clone)]
enum Step {
    /// Object, namespace-independent values: restarts, ready, status.
    Upsert(u8, u32, u16, u8),
    Remove(u8),
    /// A new list that mentions every object below this one, then a sweep.
    List(u8),
    /// A frame is drawn.
    Frame,
    Query(u8),
    Sort(u8, bool),
    Scope(u8),
    Faults(bool),
    /// The cursor moves by this many rows.
    Move(i8),
    Mark,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..40_u8, 0..4_u32, 0..3_u16, 0..4_u8).prop_map(|(id, a, b, c)| Step::Upsert(id, a, b, c)),
        4 => (0..40_u8).prop_map(Step::Remove),
        1 => (0..40_u8).prop_map(Step::List),
        5 => Just(Step::Frame),
        2 => (0..11_u8).prop_map(Step::Query),
        1 => (0..6_u8, any::<bool>()).prop_map(|(column, descending)| Step::Sort(column, descending)),
        1 => (0..3_u8).prop_map(Step::Scope),
        1 => any::<bool>().prop_map(Step::Faults),
        2 => (-5..5_i8).prop_map(Step::Move),
        1 => Just(Step::Mark),
    ];
    proptest::collection::vec(step, 1..120)
}

const STATUSES: [&str; 4] = ["Running", "CrashLoopBackOff", "ContainerStatusUnknown-1", "ContainerStatusUnknown-2"];

fn namespace(id: u8) -> &'static str {
    ["alpha", "beta", "gamma"][usize::from(id) % 3]
}

/// Names share long beginnings, so that sort keys do not decide alone.
fn name(id: u8) -> String {
    format!("a-service-with-a-long-name-{}-{id}", id % 4)
}

struct Columns<'a>(&'a World);

impl query::Columns for Columns<'_> {
    fn find(&self, name: &str) -> query::Find {
        let columns = self.0.rows(POD).columns();
        query::find_column(columns.iter().map(|column| (&*column.id, column.title.as_str())), name)
    }

    fn id(&self, index: usize) -> &str {
        &self.0.rows(POD).columns()[index].id
    }
}

fn naive(world: &World, lens: &Lens, live: &BTreeMap<u8, u32>) -> Vec<u32> {
    let rows = world.rows(POD);
    let mut ids: Vec<(u8, u32)> = Vec::new();
    for &object in live.keys() {
        let id = rows.find(uid(object)).expect("a live object has a row");
        ids.push((object, id));
    }
    let columns = rows.columns();
    let value = |id, column| rows.value(id, column, world);
    ids.retain(|(object, id)| {
        lens.scope.contains(namespace(*object))
            && (!lens.faults() || rows.health(*id, world).is_fault())
            && lens.query().terms().iter().all(|term| {
                let holds = match &term.test {
                    query::Test::Words(matcher) => (0..columns.len())
                        .filter(|&column| columns[column].searched && !columns[column].wide)
                        .any(|column| value(*id, column).words().is_some_and(|text| matcher.matches(&text))),
                    query::Test::Column { index, test, .. } => test.matches(&value(*id, *index), 0),
                    query::Test::Fuzzy(fuzzy) => fuzzy.matches(&name(*object)),
                    query::Test::Labels(_) => true,
                };
                holds != term.negated
            })
    });
    let natural = |object: u8| (namespace(object), name(object));
    ids.sort_by(|a, b| {
        let by_value = match lens.sort().column {
            None => {
                let order = natural(a.0).cmp(&natural(b.0));
                return if lens.sort().descending { order.reverse() } else { order };
            }
            Some(column) => {
                let (one, other) = (value(a.1, column), value(b.1, column));
                let order = one.compare(&other);
                let unknown = one == Value::Unknown || other == Value::Unknown;
                if lens.sort().descending && !unknown { order.reverse() } else { order }
            }
        };
        by_value.then_with(|| natural(a.0).cmp(&natural(b.0)))
    });
    ids.into_iter().map(|(_, id)| id).collect()
}

fn uid(object: u8) -> Uid {
    Uid::hashed(&[&[object]])
}

fn upsert(interner: &mut Interner, changes: &mut Changes<pod::Row>, object: u8, restarts: u32, ready: u16, status: u8) {
    let meta = Meta {
        uid: uid(object),
        name: Span::push(&mut changes.names, &name(object)),
        namespace: interner.text(namespace(object)),
        created: 1,
        ..Meta::default()
    };
    let row = pod::Row {
        status: interner.text(STATUSES[usize::from(status)]),
        health: if status == 1 { Health::Bad } else { Health::Ok },
        ready,
        containers: 2,
        restarts,
        // Unknown for some.
        last_restart: restarts,
        requests: Amounts { cpu: u64::from(restarts) * 100, memory: 0 },
        ..pod::Row::default()
    };
    changes.changes.push(Change::Upsert(meta, row));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_incremental_order_is_the_naive_one(steps in steps()) {
        let mut world = World::default();
        let mut interner = Interner::default();
        let mut live: BTreeMap<u8, u32> = BTreeMap::new();
        let mut epoch = 1;
        let mut view = TableView::new(POD, Lens::default(), String::new());
        let mut cursor_object: Option<Uid> = None;
        for step in steps.into_iter().chain([Step::Frame]) {
            let mut changes = Changes::default();
            match step {
                Step::Upsert(object, restarts, ready, status) => {
                    live.insert(object, restarts);
                    upsert(&mut interner, &mut changes, object, restarts, ready, status);
                }
                Step::Remove(object) => {
                    live.remove(&object);
                    changes.changes.push(Change::Remove(uid(object)));
                }
                Step::List(below) => {
                    epoch += 1;
                    live.retain(|object, _| *object < below);
                    for (object, restarts) in &live {
                        upsert(&mut interner, &mut changes, *object, *restarts, 1, 0);
                    }
                    world.symbols.extend(interner.fresh());
                    world.apply(POD, Box::new(std::mem::take(&mut changes)), epoch);
                    world.sweep(POD, &Covers::All, epoch);
                }
                Step::Frame => {
                    world.settle();
                    view.prepare(&world, 0, 2_000, 5);
                    prop_assert_eq!(view.lens.order(), naive(&world, &view.lens, &live));
                    prop_assert_eq!(
                        view.lens.total(),
                        live.keys().filter(|object| view.lens.scope.contains(namespace(**object))).count()
                    );
                    // The cursor stays on its object as long as that is shown.
                    if let Some(object) = cursor_object {
                        let rows = world.rows(POD);
                        let shown = rows.find(object).is_some_and(|id| view.lens.order().contains(&id));
                        if shown {
                            prop_assert_eq!(view.cursor, Some(object));
                        }
                    }
                    prop_assert!(view.marks.iter().all(|mark| world.rows(POD).find(*mark).is_some()));
                    cursor_object = None;
                }
                Step::Query(which) => {
                    let text = ["", "service", "crash", "!0-", "restarts>1", "-f asv1", "last-restart: status:Unknown",
                        // Each narrows what another one shows.
                        "s", "service-with", "service-with restarts>1", "-f asv"]
                        [usize::from(which)];
                    let parsed = Query::parse(text, &Columns(&world)).expect("a valid query");
                    view.lens.set_query(parsed);
                }
                Step::Sort(which, descending) => {
                    let column = ["", "name", "status", "restarts", "last-restart", "ready"][usize::from(which)];
                    let column = world.rows(POD).columns().iter().position(|info| info.id == column);
                    view.lens.set_sort(Sort { column, descending });
                }
                Step::Scope(which) => {
                    view.lens.scope = [
                        Scope::All,
                        Scope::Only(vec!["beta".to_owned(), "gamma".to_owned()]),
                        Scope::Except(vec!["beta".to_owned()]),
                    ][usize::from(which)].clone();
                    view.lens.invalidate();
                }
                Step::Faults(faults) => view.lens.set_faults(faults),
                Step::Move(by) => {
                    world.settle();
                    view.prepare(&world, 0, 2_000, 5);
                    view.step(&world, isize::from(by));
                    cursor_object = view.cursor;
                }
                Step::Mark => view.mark(),
            }
            world.symbols.extend(interner.fresh());
            world.apply(POD, Box::new(changes), epoch);
        }
    }

    #[test]
    fn joined_sums_equal_sums_made_anew(changes in proptest::collection::vec((0..30_u8, 0..4_u8, 0..500_u64, any::<bool>()), 1..100)) {
        let mut world = World::default();
        let mut interner = Interner::default();
        let mut live: BTreeMap<u8, (u8, u64)> = BTreeMap::new();
        for (object, node, cpu, gone) in changes {
            let mut batch = Changes::default();
            if gone {
                live.remove(&object);
                batch.changes.push(Change::Remove(uid(object)));
            } else {
                live.insert(object, (node, cpu));
                let meta = Meta { uid: uid(object), name: Span::push(&mut batch.names, &name(object)), ..Meta::default() };
                let row = pod::Row {
                    node: interner.text(&format!("node-{node}")),
                    requests: Amounts { cpu, memory: 1 },
                    counted: true,
                    ..pod::Row::default()
                };
                batch.changes.push(Change::Upsert(meta, row));
            }
            world.symbols.extend(interner.fresh());
            world.apply(POD, Box::new(batch), 1);
        }
        for node in 0..4_u8 {
            let symbol = interner.text(&format!("node-{node}"));
            let totals = world.joins.on_node.get(&symbol).copied().unwrap_or_default();
            let mine: Vec<u64> = live.values().filter(|(on, _)| *on == node).map(|(_, cpu)| *cpu).collect();
            prop_assert_eq!(totals.pods as usize, mine.len());
            prop_assert_eq!(totals.requests.cpu, mine.iter().sum::<u64>());
        }
    }
}
