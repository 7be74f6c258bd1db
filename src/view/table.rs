//! The table view: cursor, marks and scroll position over a lens, and how its rows are drawn. Cursor and marks hold
//! uids, never positions.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, DefaultHasher},
};

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{Screen, status::soon};
use crate::{
    kinds::KindId,
    problem::Problem,
    store::{
        lens::Lens,
        query::{QueryError, Test},
        stream::StreamState,
        table::Uid,
        value::{Align, Health, Value},
        world::World,
    },
    ui::{
        grid::{self, Slot, Wish},
        theme::Role,
    },
    util::age,
};

/// One table on the stack of views.
pub struct TableView {
    pub kind: KindId,
    pub lens: Lens,
    /// What is typed after `/`, as typed; the lens holds the last valid query.
    pub filter: String,
    pub filter_error: Option<QueryError>,
    pub cursor: Option<Uid>,
    pub marks: HashSet<Uid>,
    /// Column that Shift-arrows walk over.
    pub selected_column: Option<usize>,
    /// How this view is called in the breadcrumbs.
    pub crumb: String,
    /// Columns scrolled out on the left.
    pub skip: usize,
    position: usize,
    top: usize,
    height: usize,
    /// Whether the user has moved: until then the cursor stays on the first row.
    moved: bool,
    mark_anchor: Option<Uid>,
    widths: Vec<u16>,
    /// What the texts of each column have in common at their ends; `None` before there is one.
    ends: Vec<Option<String>>,
    glow: Glow,
    sums: Vec<(String, String)>,
    sums_due: Option<i64>,
    /// What the sums are of: the lens's members, and what is joined.
    summed: (u64, u64),
}

/// What visible cells looked like last, to show what changed.
#[derive(Default)]
struct Glow {
    cells: HashMap<Uid, Vec<(u64, i64)>>,
}

/// How long after a change the totals follow, milliseconds.
const TOTALS_AFTER: i64 = 700;

impl TableView {
    pub fn new(kind: KindId, lens: Lens, crumb: String) -> Self {
        Self {
            kind,
            lens,
            filter: String::new(),
            filter_error: None,
            cursor: None,
            marks: HashSet::new(),
            selected_column: None,
            crumb,
            skip: 0,
            position: 0,
            top: 0,
            height: 1,
            moved: false,
            mark_anchor: None,
            widths: Vec::new(),
            ends: Vec::new(),
            glow: Glow::default(),
            sums: Vec::new(),
            sums_due: None,
            summed: (0, 0),
        }
    }

    /// Columns on display, before the width decides: those that the user chose, else the kind's own; in wide mode all
    /// others after them. A namespace that is the same for all rows is left out.
    pub fn columns(&self, world: &World) -> Vec<usize> {
        let infos = world.rows(self.kind).columns();
        let one_namespace = self.lens.scope.single().is_some() || !world.kind(self.kind).namespaced;
        let (chosen, wide) = (self.lens.chosen(), self.lens.wide());
        let own = (0..infos.len()).filter(|index| match chosen {
            [] => wide || !infos[*index].wide,
            chosen => wide && !chosen.contains(index),
        });
        let shown = |index: &usize| !(one_namespace && infos[*index].id == "namespace");
        chosen.iter().copied().chain(own).filter(shown).collect()
    }

    /// Forgets what was known by the place of a column.
    pub fn columns_changed(&mut self) {
        self.selected_column = None;
        self.skip = 0;
        self.widths.clear();
        self.ends.clear();
        self.glow = Glow::default();
    }

    /// Slot of the row under the cursor.
    pub fn current(&self, world: &World) -> Option<u32> {
        let id = *self.lens.order().get(self.position)?;
        let rows = world.rows(self.kind);
        (rows.meta(id).map(|meta| meta.uid) == self.cursor).then_some(id)
    }

    /// Marked rows that still exist, or the row under the cursor.
    pub fn targets(&self, world: &World) -> Vec<u32> {
        if self.marks.is_empty() {
            return self.current(world).into_iter().collect();
        }
        let rows = world.rows(self.kind);
        rows.natural()
            .iter()
            .copied()
            .filter(|&id| rows.meta(id).is_some_and(|meta| self.marks.contains(&meta.uid)))
            .collect()
    }

    /// Moves the cursor by rows.
    pub fn step(&mut self, world: &World, rows: isize) {
        self.jump(world, self.position.saturating_add_signed(rows));
    }

    /// Moves the cursor to a place in the order.
    pub fn jump(&mut self, world: &World, position: usize) {
        let order = self.lens.order();
        self.moved = true;
        self.position = position.min(order.len().saturating_sub(1));
        self.cursor = order.get(self.position).and_then(|&id| world.rows(self.kind).meta(id)).map(|meta| meta.uid);
        self.follow();
    }

    /// Rows that a page key moves.
    pub fn page(&self) -> isize {
        isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1)
    }

    /// Puts the cursor on the row at a line of the table's body.
    pub fn click(&mut self, world: &World, line: usize) -> bool {
        let position = self.top + line;
        if position >= self.lens.order().len() {
            return false;
        }
        let again = position == self.position;
        self.jump(world, position);
        again
    }

    /// Puts the cursor on an object, if the lens shows it.
    pub fn select(&mut self, world: &World, uid: Uid) {
        let rows = world.rows(self.kind);
        if let Some(id) = rows.find(uid)
            && let Some(position) = self.lens.order().iter().position(|&other| other == id)
        {
            self.jump(world, position);
        }
    }

    /// Marks or unmarks the row under the cursor.
    pub fn mark(&mut self) {
        if let Some(uid) = self.cursor {
            if !self.marks.remove(&uid) {
                self.marks.insert(uid);
            }
            self.mark_anchor = Some(uid);
        }
    }

    /// Marks everything from the last mark to the cursor.
    pub fn mark_range(&mut self, world: &World) {
        let rows = world.rows(self.kind);
        let order = self.lens.order();
        let anchor = self
            .mark_anchor
            .and_then(|uid| rows.find(uid))
            .and_then(|id| order.iter().position(|&other| other == id))
            .unwrap_or(self.position);
        let (from, to) = (anchor.min(self.position), anchor.max(self.position));
        let uids = order.iter().skip(from).take(to - from + 1).filter_map(|&id| rows.meta(id)).map(|meta| meta.uid);
        self.marks.extend(uids);
        self.mark_anchor = self.cursor;
    }

    fn follow(&mut self) {
        if self.position < self.top {
            self.top = self.position;
        } else if self.position >= self.top + self.height {
            self.top = self.position + 1 - self.height;
        }
        self.top = self.top.min(self.lens.order().len().saturating_sub(self.height));
    }

    /// Brings lens, cursor and scroll position up to date; once before a frame. `now`, and how long a changed cell is to
    /// `glow`, in milliseconds. Returns when something on screen will have to change by itself (milliseconds).
    pub fn prepare(&mut self, world: &World, now: i64, glow: i64, height: usize) -> Option<i64> {
        let seconds = now.div_euclid(1000);
        self.height = height.max(1);
        let changed = self.lens.update(world, self.kind, seconds);
        let rows = world.rows(self.kind);
        if changed || self.cursor.is_none() {
            let order = self.lens.order();
            let place = self.cursor.filter(|_| self.moved).and_then(|uid| rows.find(uid)).and_then(|id| {
                if order.get(self.position) == Some(&id) {
                    return Some(self.position);
                }
                order.iter().position(|&other| other == id)
            });
            match place {
                Some(place) => {
                    // The row stays on its line; the table scrolls beneath.
                    self.top = (self.top + place).saturating_sub(self.position);
                    self.position = place;
                }
                None => {
                    self.position = self.position.min(order.len().saturating_sub(1));
                    self.cursor = order.get(self.position).and_then(|&id| rows.meta(id)).map(|meta| meta.uid);
                }
            }
            if !self.marks.is_empty() {
                self.marks.retain(|uid| rows.find(*uid).is_some());
            }
        }
        self.follow();
        self.measure(world, seconds);
        let sums = self.add_up(world, now);
        let faded = if glow > 0 { self.look_for_changes(world, now, glow) } else { None };
        faded.into_iter().chain(sums).min()
    }

    /// Slots of the rows that are on screen.
    pub fn visible(&self) -> &[u32] {
        let order = self.lens.order();
        let end = (self.top + self.height).min(order.len());
        order.get(self.top..end).unwrap_or_default()
    }

    /// Widths only grow while a view stands, and common ends only shrink, so that columns do not dance. A sentence is as
    /// wide as it is now: one that has passed does not keep other columns out.
    fn measure(&mut self, world: &World, now: i64) {
        let rows = world.rows(self.kind);
        let mut widths = std::mem::take(&mut self.widths);
        let columns = rows.columns();
        let mut ends = std::mem::take(&mut self.ends);
        widths.resize(columns.len(), 0);
        ends.resize(columns.len(), None);
        let visible = self.columns(world);
        for &column in &visible {
            let info = &columns[column];
            let before = if info.sentence { 0 } else { widths[column] };
            widths[column] = before.max(grid::width(&info.title));
            for &id in self.visible() {
                let value = rows.value(id, column, world);
                let text = value.render(now);
                widths[column] = widths[column].max(grid::width(&text));
                if info.searched && info.align == Align::Left && text.contains('.') {
                    let end = grid::common_end(&text, ends[column].as_deref().unwrap_or(&text));
                    if ends[column].as_deref() != Some(end) {
                        ends[column] = Some(end.to_owned());
                    }
                }
            }
        }
        self.widths = widths;
        self.ends = ends;
    }

    fn look_for_changes(&mut self, world: &World, now: i64, glow: i64) -> Option<i64> {
        let rows = world.rows(self.kind);
        let columns = self.columns(world);
        let visible: Vec<u32> = self.visible().to_vec();
        let hasher = std::hash::BuildHasherDefault::<DefaultHasher>::default();
        let mut next = None;
        let mut seen = HashMap::with_capacity(visible.len());
        for id in visible {
            let Some(meta) = rows.meta(id) else { continue };
            let mut cells = self.glow.cells.remove(&meta.uid).unwrap_or_default();
            let fresh = cells.is_empty();
            cells.resize(rows.columns().len(), (0, i64::MIN));
            for &column in &columns {
                let value = rows.value(id, column, world);
                if matches!(value, Value::Since(_) | Value::Span(_)) {
                    continue;
                }
                // 0 means "not seen yet" (a column that has just come into view).
                let hash = hasher.hash_one(value.render(0)) | 1;
                let (old, at) = &mut cells[column];
                if *old != hash {
                    if !fresh && *old != 0 {
                        *at = now;
                    }
                    *old = hash;
                }
                if *at > now - glow {
                    let end = *at + glow;
                    next = Some(next.map_or(end, |next: i64| next.min(end)));
                }
            }
            seen.insert(meta.uid, cells);
        }
        self.glow.cells = seen;
        next
    }

    /// The earliest instant (milliseconds) at which a visible age reads differently.
    pub fn next_age(&self, world: &World, now: i64) -> Option<i64> {
        let seconds = now.div_euclid(1000);
        let rows = world.rows(self.kind);
        let columns = self.columns(world);
        let mut next: Option<i64> = None;
        for &id in self.visible() {
            for &column in &columns {
                if let Value::Since(instant) = rows.value(id, column, world) {
                    let wait = age::changes_in(seconds - instant);
                    next = Some(next.map_or(wait, |next| next.min(wait)));
                }
            }
        }
        next.map(|wait| (seconds + wait) * 1000)
    }

    /// `kind(scope)[shown/count]`, as scripts may rely on.
    pub fn title(&self, world: &World, complete: bool, scope: &str) -> String {
        let total = self.lens.total();
        let shown = self.lens.order().len();
        let count = if self.lens.filtered() { format!("{shown}/{total}") } else { total.to_string() };
        let more = if complete { "" } else { "…" };
        format!("{}({scope})[{count}{more}]", world.kind(self.kind).plural)
    }

    /// Draws header and rows into `area`.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
        if area.height == 0 || area.width < 4 {
            return;
        }
        let world = screen.world;
        let rows = world.rows(self.kind);
        let infos = rows.columns();
        let columns = self.columns(world);
        let wishes: Vec<Wish> = columns
            .iter()
            .map(|&column| {
                let info = &infos[column];
                let widest = if info.sentence { 400 } else { 90 };
                let width = self.widths.get(column).copied().unwrap_or(4).min(widest);
                Wish {
                    width,
                    rank: info.rank,
                    least: match &*info.id {
                        _ if info.align == Align::Right || info.rank > 3 => width,
                        "name" => 23,
                        "namespace" => 10,
                        // What there is to read in an event.
                        "message" => 40,
                        "status" if info.sentence => 24,
                        "status" => 16,
                        _ => 14,
                    },
                    common: self.ends.get(column).and_then(Option::as_deref).map_or(0, grid::width),
                }
            })
            .collect();
        // Bar and mark take two cells on the left, the scroll bar one on the right.
        let slots = grid::fit(&wishes, area.width - 3, self.skip);
        self.draw_header(Rect { height: 1, ..area }, buffer, screen, &columns, &slots);
        let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let now = screen.now.div_euclid(1000);
        let words: Vec<_> = self
            .lens
            .query()
            .terms()
            .iter()
            .filter(|term| !term.negated)
            .filter_map(|term| match &term.test {
                Test::Words(matcher) => Some(matcher),
                _ => None,
            })
            .collect();
        for (line, &id) in self.visible().iter().enumerate().take(body.height as usize) {
            let Some(meta) = rows.meta(id) else { continue };
            let y = body.y + u16::try_from(line).unwrap_or(0);
            let selected = self.cursor == Some(meta.uid);
            let marked = self.marks.contains(&meta.uid);
            let health = rows.health(id, world);
            let mut style = Style::default();
            if matches!(health, Health::Bad | Health::Warn | Health::Progressing | Health::Done) {
                style = screen.style(health.into());
            }
            if marked {
                style = style.patch(screen.style(Role::Marked));
            }
            let mut row_style = style;
            if selected {
                let selection = screen.style(Role::Selection);
                buffer.set_style(Rect { y, height: 1, ..body }, selection);
                row_style = selection.patch(style);
                buffer.set_string(body.x, y, if screen.ascii { ">" } else { "▌" }, screen.style(Role::SelectionBar));
            }
            if marked {
                buffer.set_string(body.x + 1, y, if screen.ascii { "*" } else { "●" }, row_style);
            }
            let glow = self.glow.cells.get(&meta.uid);
            for slot in &slots {
                let column = columns[slot.column];
                let value = rows.value(id, column, world);
                let mut text = value.render(now);
                let end = self.ends.get(column).and_then(Option::as_deref).unwrap_or_default();
                if let Some(short) = grid::shorten_end(&text, slot.width, end) {
                    text = short.into();
                } else if infos[column].sentence && grid::width(&text) > slot.width {
                    text = grid::cut(&text, slot.width).into();
                }
                let mut style = row_style;
                if matches!(value, Value::Unknown) || (matches!(&*text, "<none>" | "") && !selected) {
                    style = style.patch(screen.style(Role::Dim));
                }
                if let Value::Status(health, _) = &value {
                    style = style.patch(screen.style((*health).into()));
                }
                if let Value::Percent(metric, percent) = value
                    && let Some(role) = screen.alarm(metric, percent)
                {
                    style = style.patch(screen.style(role));
                }
                if glow.is_some_and(|cells| cells.get(column).is_some_and(|(_, at)| *at > screen.now - screen.glow)) {
                    style = style.patch(screen.style(Role::Changed));
                }
                let matched = if infos[column].searched {
                    words.iter().flat_map(|matcher| matcher.ranges(&text)).collect()
                } else {
                    Vec::new()
                };
                let cell = Rect { x: body.x + 2 + slot.x, y, width: slot.width, height: 1 };
                let right = infos[column].align == Align::Right;
                grid::paint(buffer, cell, &text, style, right, &matched, screen.style(Role::Match));
            }
        }
        self.draw_scrollbar(body, buffer, screen);
    }

    fn draw_header(&self, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>, columns: &[usize], slots: &[Slot]) {
        let infos = screen.world.rows(self.kind).columns();
        let sort = self.lens.sort();
        for slot in slots {
            let column = columns[slot.column];
            let sorted = sort.column == Some(column);
            let mut style = screen.style(if sorted { Role::TableSort } else { Role::TableHeader });
            if self.selected_column == Some(column) {
                style = style.patch(screen.style(Role::Selection));
            }
            let arrow = match (sorted, sort.descending, screen.ascii) {
                (false, ..) => "",
                (true, false, false) => "↑",
                (true, true, false) => "↓",
                (true, false, true) => "^",
                (true, true, true) => "v",
            };
            let (title, right) = (&infos[column].title, infos[column].align == Align::Right);
            let cell = Rect { x: area.x + 2 + slot.x, y: area.y, width: slot.width, height: 1 };
            grid::paint(buffer, cell, title, style, right, &[], style);
            // In the gap, where it takes no room from the columns.
            let end = if right { slot.width } else { slot.width.min(grid::width(title)) };
            buffer.set_string(cell.x + end, area.y, arrow, style);
        }
    }

    fn draw_scrollbar(&self, body: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
        let total = self.lens.order().len();
        let height = body.height as usize;
        if total <= height || body.width < 20 || height < 3 {
            return;
        }
        let size = (height * height / total).max(1);
        let at = self.top * (height - size) / (total - height).max(1);
        for line in at..(at + size).min(height) {
            let y = body.y + u16::try_from(line).unwrap_or(0);
            buffer.set_string(body.right() - 1, y, if screen.ascii { "|" } else { "▐" }, screen.style(Role::Scrollbar));
        }
    }

    /// Sums of the columns where adding makes sense, over the rows that are shown: `mem-req 1.2Ti`.
    pub fn totals(&self) -> &[(String, String)] {
        &self.sums
    }

    /// Adds up anew when rows changed a while ago: no key waits for 100,000 additions. Gives when to do it otherwise.
    fn add_up(&mut self, world: &World, now: i64) -> Option<i64> {
        let version = (self.lens.members(), world.joins.version(self.kind));
        if self.summed != version && self.sums_due.is_none() {
            self.summed = version;
            // Of many rows less often: adding them up costs some milliseconds.
            let after = TOTALS_AFTER * (1 + i64::try_from(self.lens.order().len() / 20_000).unwrap_or(0));
            self.sums_due = Some(now + if self.sums.is_empty() { 0 } else { after });
        }
        let due = self.sums_due?;
        if now < due {
            return Some(due);
        }
        self.sums_due = None;
        self.sums = self.sums_of(world);
        None
    }

    fn sums_of(&self, world: &World) -> Vec<(String, String)> {
        let rows = world.rows(self.kind);
        let columns: Vec<usize> =
            self.columns(world).into_iter().filter(|&column| rows.columns()[column].total).collect();
        let mut sums = vec![(Value::Unknown, 0_usize); columns.len()];
        // By slot, as rows lie in memory.
        for id in (0..u32::try_from(rows.slots()).unwrap_or(u32::MAX)).filter(|&id| self.lens.shows(id)) {
            let mut next = 0;
            rows.any_value(id, &columns, world, &mut |_, value| {
                let (sum, known) = &mut sums[next];
                next += 1;
                let more = match (&*sum, value) {
                    (Value::Cpu(sum), Value::Cpu(amount)) => Value::Cpu(sum.saturating_add(*amount)),
                    (Value::Memory(sum), Value::Memory(amount)) => Value::Memory(sum.saturating_add(*amount)),
                    (Value::Int(sum), Value::Int(amount)) => Value::Int(sum.saturating_add(*amount)),
                    (Value::Unknown, Value::Cpu(amount)) => Value::Cpu(*amount),
                    (Value::Unknown, Value::Memory(amount)) => Value::Memory(*amount),
                    (Value::Unknown, Value::Int(amount)) => Value::Int(*amount),
                    _ => return false,
                };
                *sum = more;
                *known += 1;
                false
            });
        }
        let rows_shown = self.lens.order().len();
        columns
            .into_iter()
            .zip(sums)
            .filter(|(_, (_, known))| *known > 0)
            .map(|(column, (sum, known))| {
                // Unknown is not nothing: how many rows a sum is of stands beside it.
                let part = if known < rows_shown { format!(" ({known} of {rows_shown})") } else { String::new() };
                (rows.columns()[column].id.to_string(), format!("{}{part}", sum.render(0)))
            })
            .collect()
    }
}

/// What stands in the place of rows when there are none: five different screens, each with what to do next.
pub fn empty_screen(view: &TableView, world: &World, state: Option<&StreamState>, server: &str, now: i64) -> Problem {
    let info = world.kind(view.kind);
    match state {
        Some(StreamState::Forbidden(problem) | StreamState::Gone(problem) | StreamState::Off(problem))
            if view.lens.total() == 0 =>
        {
            problem.clone()
        }
        Some(StreamState::Stale { why, retry, .. }) if view.lens.total() == 0 => {
            let mut problem = why.clone();
            let again = format!("tried again {}; :ctx switches to another cluster, :q quits", soon(retry - now));
            problem.hint = if problem.hint.is_empty() { again } else { format!("{}; {again}", problem.hint) };
            problem
        }
        None | Some(StreamState::Connecting { .. } | StreamState::Waiting) => {
            Problem::new(format!("connecting to {server} …")).hint(":ctx switches to another cluster, :q quits")
        }
        Some(StreamState::Loading { .. }) if view.lens.total() == 0 => {
            Problem::new(format!("loading {} …", info.plural)).hint("rows appear as they arrive")
        }
        _ if view.lens.total() > 0 => Problem::new(format!(
            "none of {} {} match{}",
            view.lens.total(),
            info.plural,
            if view.lens.faults() { ": no faults" } else { "" }
        ))
        .hint("Esc clears the filter"),
        _ => Problem::new(format!(
            "no {} in {}",
            info.plural,
            match view.lens.scope.title().as_str() {
                "all" => "this cluster".to_owned(),
                scope => scope.to_owned(),
            }
        ))
        .hint(if info.namespaced { "0 shows all namespaces, : goes elsewhere" } else { ": goes elsewhere" }),
    }
}
