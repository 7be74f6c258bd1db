//! What one view sees of a table: scope, pin, query and sort, and the order that follows from them, kept up from the
//! rows that changed. The order always equals a naive filter and sort of the table (property test in `tests/store.rs`).

use std::{cmp::Ordering, net::IpAddr};

use super::{
    intern::Sym,
    query::{Query, Selector, Test},
    table::{Rows, Uid, merge, natural_order},
    value::{NONE, Value, key_is_whole},
    world::World,
};
use crate::{kinds::KindId, util::parallel};

/// The namespaces that a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    #[default]
    All,
    /// These and no others, in the order in which they were named.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

impl Scope {
    /// For titles: `all`, `a`, `a,b`, `!a`.
    pub fn title(&self) -> String {
        match self {
            Scope::All => "all".to_owned(),
            Scope::Only(names) => names.join(","),
            Scope::Except(names) => names.iter().map(|name| format!("!{name}")).collect::<Vec<_>>().join(","),
        }
    }

    /// Reads what was typed: `all`, `a,b`, `!kube-system`. Empty parts are ignored.
    pub fn parse(text: &str) -> Self {
        let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() || names.iter().any(|name| matches!(*name, "all" | "*" | "-")) {
            return Scope::All;
        }
        if names.iter().all(|name| name.starts_with('!')) {
            return Scope::Except(names.iter().map(|name| name.trim_start_matches('!').to_owned()).collect());
        }
        Scope::Only(names.iter().filter(|name| !name.starts_with('!')).map(|name| (*name).to_owned()).collect())
    }

    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Only(names) => namespace.is_empty() || names.iter().any(|name| name == namespace),
            Scope::Except(names) => !names.iter().any(|name| name == namespace),
        }
    }

    /// The one namespace, where there is only one.
    pub fn single(&self) -> Option<&str> {
        match self {
            Scope::Only(names) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }
}

/// What a drill-down holds fast.
#[derive(Debug, Clone, PartialEq)]
pub enum Pin {
    /// Rows whose column has this text.
    Column { id: &'static str, text: String },
    /// Rows with these labels.
    Labels(Selector),
    /// Rows owned by this object.
    Owner { kind: String, name: String },
    /// Rows of one object of another kind, by its uid: the containers of a pod.
    Parent { uid: Uid, namespace: String, name: String },
    /// One row by name.
    Name(String),
}

/// Which column orders the rows; `None` is namespace and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    pub column: Option<usize>,
    pub descending: bool,
}

const IN_SCOPE: u8 = 1;
const SHOWN: u8 = 2;

/// One view's order of one table.
#[derive(Default)]
pub struct Lens {
    pub scope: Scope,
    pub pin: Option<Pin>,
    query: Query,
    sort: Sort,
    faults: bool,
    /// Whether wide columns are shown and searched too.
    wide: bool,
    /// Columns that the user wants to see, in their order, in place of the kind's own; empty for those.
    chosen: Vec<usize>,
    order: Vec<u32>,
    /// Sort keys by slot; empty in natural order.
    keys: Vec<u128>,
    flags: Vec<u8>,
    total: usize,
    seen: Seen,
    /// Whether the query has grown since: only what is shown needs a second look.
    narrowed: bool,
    /// Whether the sort has changed since.
    unsorted: bool,
    members: u64,
}

/// What the order is up to date with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    valid: bool,
    generation: u64,
    joins: u64,
    /// Unix seconds of the last whole rebuild.
    at: i64,
}

impl Lens {
    pub fn new(scope: Scope, pin: Option<Pin>) -> Self {
        Self { scope, pin, ..Self::default() }
    }

    /// Visible slots from top to bottom.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Whether the order holds this slot.
    pub fn shows(&self, id: u32) -> bool {
        self.flags.get(id as usize).is_some_and(|flag| flag & SHOWN != 0)
    }

    /// Rows in scope, filtered or not.
    pub fn total(&self) -> usize {
        self.total
    }

    pub fn query(&self) -> &Query {
        &self.query
    }

    pub fn sort(&self) -> Sort {
        self.sort
    }

    pub fn faults(&self) -> bool {
        self.faults
    }

    pub fn wide(&self) -> bool {
        self.wide
    }

    /// Whether anything hides rows of the scope.
    pub fn filtered(&self) -> bool {
        self.faults || !self.query.terms().is_empty()
    }

    pub fn set_query(&mut self, query: Query) {
        if query.extends(&self.query) {
            self.narrowed = true;
        } else {
            self.invalidate();
        }
        self.query = query;
    }

    pub fn set_sort(&mut self, sort: Sort) {
        self.sort = sort;
        self.unsorted = true;
    }

    /// Counts changes of what is shown, but for its order.
    pub fn members(&self) -> u64 {
        self.members
    }

    pub fn set_faults(&mut self, faults: bool) {
        self.faults = faults;
        self.invalidate();
    }

    pub fn set_wide(&mut self, wide: bool) {
        self.wide = wide;
        self.invalidate();
    }

    /// The columns that the user wants to see; empty for the kind's own.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    pub fn set_chosen(&mut self, columns: Vec<usize>) {
        self.chosen = columns;
        self.invalidate();
    }

    pub fn invalidate(&mut self) {
        self.seen.valid = false;
    }

    /// Brings the order up to date with the world; true when anything that it shows may have changed. `now` in Unix
    /// seconds. Cheap when little changed; a whole rebuild of 100,000 rows is some milliseconds.
    pub fn update(&mut self, world: &World, kind: KindId, now: i64) -> bool {
        let rows = world.rows(kind);
        let joins = world.joins.version(kind);
        let generation = rows.generation();
        let stale_joins = self.seen.joins != joins && self.seen.at != now && self.depends_on_joins(rows);
        let stale_time = self.seen.at + 10 <= now && self.query.depends_on_time();
        if !self.seen.valid || stale_joins || stale_time || self.seen.generation + 1 < generation {
            self.refilter(world, rows, now);
            self.reorder(world, rows);
            self.seen = Seen { valid: true, generation, joins, at: now };
            return true;
        }
        if self.unsorted {
            // Keys of what came since have to be made in the new order; flags have to be caught up with first.
            if self.seen.generation != generation {
                self.refilter(world, rows, now);
                self.seen.generation = generation;
            }
            self.reorder(world, rows);
            if self.narrowed {
                self.narrow(world, rows, now);
            }
            return true;
        }
        let changed = self.seen.generation != generation;
        if changed {
            self.seen.generation = generation;
            self.catch_up(world, rows, now);
        }
        let narrowed = self.narrowed;
        if narrowed {
            self.narrow(world, rows, now);
        }
        changed || narrowed
    }

    fn depends_on_joins(&self, rows: &dyn Rows) -> bool {
        let columns = rows.columns();
        self.faults
            || self.sort.column.is_some_and(|column| columns.get(column).is_some_and(|column| column.joined))
            || self.query.terms().iter().any(|term| match &term.test {
                Test::Column { index, .. } => columns.get(*index).is_some_and(|column| column.joined),
                Test::Words(_) | Test::Fuzzy(_) => columns.iter().any(|column| column.joined && column.searched),
                Test::Labels(_) => false,
            })
    }

    /// Looks at every row anew.
    fn refilter(&mut self, world: &World, rows: &dyn Rows, now: i64) {
        self.narrowed = false;
        self.members += 1;
        // By slot, as they lie in memory: in the natural order every row would be a cache miss.
        self.flags = parallel::parts(rows.slots(), |range| {
            let mut filter = Filter::new(self, world, rows, now);
            range.map(|id| filter.flag(slot(id))).collect::<Vec<_>>()
        })
        .concat();
        self.total = self.flags.iter().map(|flag| usize::from(flag & IN_SCOPE)).sum();
    }

    /// Orders anew what is shown.
    fn reorder(&mut self, world: &World, rows: &dyn Rows) {
        self.unsorted = false;
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(rows.natural().iter().copied().filter(|&id| self.flags[id as usize] & SHOWN != 0));
        self.keys = Vec::new();
        if let Some(column) = self.sort.column {
            self.sort_by(column, &mut order, world, rows);
        } else if self.sort.descending {
            order.reverse();
        }
        self.order = order;
    }

    /// Sorts what is in natural order by a column, and keeps the keys.
    fn sort_by(&mut self, column: usize, order: &mut Vec<u32>, world: &World, rows: &dyn Rows) {
        let key = |id: usize| {
            let shown = self.flags[id] & SHOWN != 0;
            if shown { rows.value(slot(id), column, world).key() } else { 0 }
        };
        self.keys = parallel::parts(rows.slots(), |range| range.map(key).collect::<Vec<_>>()).concat();
        // Within a namespace the natural order is the order of names: no two of them need to be compared.
        let by_name = rows.columns().get(column).is_some_and(|column| column.id == "name");
        let mut run = 0_u32;
        let mut last = None;
        let mut sorted: Vec<(u128, u32, u32)> = order
            .iter()
            .map(|&id| {
                if by_name {
                    let namespace = rows.meta(id).map(|meta| meta.namespace);
                    run += u32::from(last != namespace);
                    last = namespace;
                }
                (self.keys[id as usize], id, run)
            })
            .collect();
        let compare = |a: &(u128, u32, u32), b: &(u128, u32, u32)| {
            a.0.cmp(&b.0).then_with(|| {
                if key_is_whole(a.0) {
                    Ordering::Equal
                } else {
                    rows.value(a.1, column, world).compare(&rows.value(b.1, column, world))
                }
            })
        };
        // Stable, on top of the natural order: ties need no comparison of names.
        parallel::sort(&mut sorted, |a, b| if by_name && a.2 == b.2 { Ordering::Equal } else { compare(a, b) });
        order.clear();
        if self.sort.descending {
            // Groups of equals keep their order, and what is unknown stays last.
            let known = sorted.partition_point(|(key, ..)| *key != u128::MAX);
            let (known, unknown) = sorted.split_at(known);
            for group in known.chunk_by(|a, b| compare(a, b) == Ordering::Equal).rev() {
                order.extend(group.iter().map(|(_, id, _)| *id));
            }
            order.extend(unknown.iter().map(|(_, id, _)| *id));
        } else {
            order.extend(sorted.iter().map(|(_, id, _)| *id));
        }
    }

    /// Looks once more at what is shown.
    fn narrow(&mut self, world: &World, rows: &dyn Rows, now: i64) {
        self.narrowed = false;
        self.members += 1;
        let mut flags = std::mem::take(&mut self.flags);
        let mut order = std::mem::take(&mut self.order);
        // Few by their order, many as they lie in memory.
        if order.len() < flags.len() / 8 {
            let mut filter = Filter::new(self, world, rows, now);
            for &id in &order {
                flags[id as usize] = filter.flag(id);
            }
        } else {
            flags = parallel::parts(flags.len(), |range| {
                let mut filter = Filter::new(self, world, rows, now);
                let look = |id: usize| if flags[id] & SHOWN == 0 { flags[id] } else { filter.flag(slot(id)) };
                range.map(look).collect::<Vec<_>>()
            })
            .concat();
        }
        order.retain(|&id| flags[id as usize] & SHOWN != 0);
        self.flags = flags;
        self.order = order;
    }

    /// Applies the rows that the last settle touched.
    fn catch_up(&mut self, world: &World, rows: &dyn Rows, now: i64) {
        self.members += 1;
        self.flags.resize(rows.slots(), 0);
        if self.sort.column.is_some() {
            self.keys.resize(rows.slots(), 0);
        }
        let mut flags = std::mem::take(&mut self.flags);
        let mut keys = std::mem::take(&mut self.keys);
        let mut filter = Filter::new(self, world, rows, now);
        let mut leave = false;
        let mut out = vec![false; rows.slots()];
        let mut enter = Vec::new();
        let mut total = self.total;
        for &id in rows.changed() {
            let old = flags[id as usize];
            let new = if rows.meta(id).is_some() { filter.flag(id) } else { 0 };
            flags[id as usize] = new;
            total = total + usize::from(new & IN_SCOPE) - usize::from(old & IN_SCOPE);
            let key = match self.sort.column {
                Some(column) if new & SHOWN != 0 => Some(rows.value(id, column, world).key()),
                _ => None,
            };
            // The table frees a slot one settle before it gives it to another object, so a row that was and is shown
            // is the same object: in natural order it stays, in another where its key is the same; a long text may have
            // changed behind its key.
            let stays = old & new & SHOWN != 0
                && (self.sort.column.is_none() || key.is_some_and(|key| key_is_whole(key) && keys[id as usize] == key));
            if let Some(key) = key {
                keys[id as usize] = key;
            }
            if stays {
                continue;
            }
            if old & SHOWN != 0 {
                out[id as usize] = true;
                leave = true;
            }
            if new & SHOWN != 0 {
                enter.push(id);
            }
        }
        self.flags = flags;
        self.keys = keys;
        self.total = total;
        let mut order = std::mem::take(&mut self.order);
        if leave {
            order.retain(|&id| !out[id as usize]);
        }
        if !enter.is_empty() {
            enter.sort_unstable_by(|&a, &b| self.compare(a, b, world, rows));
            merge(&mut order, &enter, |a, b| self.compare(a, b, world, rows));
        }
        self.order = order;
    }

    /// The order of two rows in this lens.
    fn compare(&self, a: u32, b: u32, world: &World, rows: &dyn Rows) -> Ordering {
        let natural = || natural_order(rows, a, b, &world.symbols);
        let Some(column) = self.sort.column else {
            return if self.sort.descending { natural().reverse() } else { natural() };
        };
        let (key_a, key_b) = (self.keys[a as usize], self.keys[b as usize]);
        let by_value = key_a.cmp(&key_b).then_with(|| {
            if key_is_whole(key_a) {
                Ordering::Equal
            } else {
                rows.value(a, column, world).compare(&rows.value(b, column, world))
            }
        });
        directed(by_value, self.sort.descending, key_a, key_b).then_with(natural)
    }
}

/// Slots are counted in 32 bits.
fn slot(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Unknown stays last whichever way the rest goes.
fn directed(order: Ordering, descending: bool, a: u128, b: u128) -> Ordering {
    if descending && a != u128::MAX && b != u128::MAX { order.reverse() } else { order }
}

/// A lens's tests, with the answers for texts that many rows share.
struct Filter<'a> {
    world: &'a World,
    rows: &'a dyn Rows,
    scope: &'a Scope,
    pin: Option<&'a Pin>,
    pin_column: Option<usize>,
    query: &'a Query,
    faults: bool,
    searched: Vec<usize>,
    now: i64,
    namespaces: Memo,
    /// One memo a word term, by text and by set of labels.
    words: Vec<(Memo, Memo)>,
    /// Which word terms can be neither in a number nor in what stands for nothing.
    plain: Vec<Option<bool>>,
    /// Whether wide columns are searched, all of them or chosen ones.
    wide: bool,
    /// Which of the searched columns are labels: their text is made once a set.
    labels: Option<usize>,
}

/// Answers by the index of a symbol or a set of labels.
#[derive(Default)]
struct Memo(Vec<u8>);

impl Memo {
    fn get(&mut self, index: usize, answer: impl FnOnce() -> bool) -> bool {
        if self.0.len() <= index {
            self.0.resize(index + 1024, 0);
        }
        let known = &mut self.0[index];
        if *known == 0 {
            *known = if answer() { 2 } else { 1 };
        }
        *known == 2
    }
}

impl<'a> Filter<'a> {
    fn new(lens: &'a Lens, world: &'a World, rows: &'a dyn Rows, now: i64) -> Self {
        let columns = rows.columns();
        let searched = columns
            .iter()
            .enumerate()
            .filter(|(index, column)| column.searched && (lens.wide || !column.wide || lens.chosen.contains(index)))
            .map(|(index, _)| index)
            .collect();
        let pin_column = match &lens.pin {
            Some(Pin::Column { id, .. }) => columns.iter().position(|column| column.id == *id),
            _ => None,
        };
        Self {
            world,
            rows,
            scope: &lens.scope,
            pin: lens.pin.as_ref(),
            pin_column,
            query: &lens.query,
            faults: lens.faults,
            searched,
            now,
            namespaces: Memo::default(),
            words: lens.query.terms().iter().map(|_| Default::default()).collect(),
            plain: vec![None; lens.query.terms().len()],
            wide: lens.wide || lens.chosen.iter().any(|&index| columns.get(index).is_some_and(|column| column.wide)),
            labels: columns.iter().position(|column| column.id == "labels"),
        }
    }

    /// `IN_SCOPE` and `SHOWN` of a live row.
    fn flag(&mut self, id: u32) -> u8 {
        let Some(meta) = self.rows.meta(id) else { return 0 };
        let (symbols, scope) = (&self.world.symbols, self.scope);
        let in_scope = *scope == Scope::All
            || self.namespaces.get(meta.namespace.index(), || scope.contains(symbols.get(meta.namespace)));
        if !in_scope || !self.pinned(id) {
            return 0;
        }
        if self.faults && !self.rows.health(id, self.world).is_fault() {
            return IN_SCOPE;
        }
        let query = self.query;
        let shown =
            query.terms().iter().enumerate().all(|(index, term)| self.holds(id, index, &term.test) != term.negated);
        if shown { IN_SCOPE | SHOWN } else { IN_SCOPE }
    }

    fn pinned(&self, id: u32) -> bool {
        let Some(meta) = self.rows.meta(id) else { return false };
        let symbols = &self.world.symbols;
        match self.pin {
            None => true,
            Some(Pin::Column { text, .. }) => self.pin_column.is_some_and(|column| {
                self.rows.value(id, column, self.world).words().is_some_and(|words| words == text.as_str())
            }),
            Some(Pin::Labels(selector)) => self.selects(selector, meta.labels),
            Some(Pin::Owner { kind, name }) => {
                symbols.get(meta.owner_kind) == kind && symbols.get(meta.owner_name) == name
            }
            Some(Pin::Parent { uid, .. }) => self.rows.parent(id) == Some(*uid),
            Some(Pin::Name(name)) => self.rows.name(id) == name,
        }
    }

    fn selects(&self, selector: &Selector, labels: super::intern::LabelSet) -> bool {
        let symbols = &self.world.symbols;
        selector.matches(|key| symbols.label(labels, key).map(|value| symbols.get(value)))
    }

    fn holds(&mut self, id: u32, term: usize, test: &Test) -> bool {
        match test {
            Test::Words(matcher) => {
                if matcher.matches(self.rows.name(id)) {
                    return true;
                }
                let (memo, sets) = &mut self.words[term];
                let plain = &mut self.plain[term];
                let plain = *plain.get_or_insert_with(|| !matcher.may_match_digits() && !matcher.matches(NONE));
                if plain && !self.wide {
                    let symbols = &self.world.symbols;
                    let mut test = |sym: Sym| memo.get(sym.index(), || matcher.matches(symbols.get(sym)));
                    if let Some(found) = self.rows.any_word(id, self.world, &mut test) {
                        return found;
                    }
                }
                // Addresses and ratios are only worth writing out for what could be one.
                let (numeric, hexadecimal) = (matcher.may_match_digits(), matcher.may_match_hexadecimal());
                let set = self.rows.meta(id).map_or(0, |meta| meta.labels.index());
                let labels = self.labels;
                self.rows.any_value(id, &self.searched, self.world, &mut |column, value| match value {
                    _ if labels == Some(column) => {
                        sets.get(set, || value.words().is_some_and(|words| matcher.matches(&words)))
                    }
                    Value::Symbol(sym, text) => memo.get(sym.index(), || matcher.matches(text)),
                    Value::Ip(IpAddr::V4(_)) | Value::Ratio(..) if !numeric => false,
                    Value::Ip(IpAddr::V6(_)) if !hexadecimal => false,
                    value => value.words().is_some_and(|words| matcher.matches(&words)),
                })
            }
            Test::Fuzzy(fuzzy) => fuzzy.matches(self.rows.name(id)),
            Test::Labels(selector) => self.rows.meta(id).is_some_and(|meta| self.selects(selector, meta.labels)),
            Test::Column { index, test, .. } => test.matches(&self.rows.value(id, *index, self.world), self.now),
        }
    }
}
