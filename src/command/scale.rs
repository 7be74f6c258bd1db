//! Scaling node groups: a size that is edited on the row, the dialog that says what it means, and the change that is sent
//! when it is confirmed. Groups are known by their uid: one that is gone or has changed meanwhile is left alone.

mod safe;

use super::{Command, Scope};
use crate::{
    app::{effect::Effect, model::Model, notes::Level},
    kinds::{
        HasId,
        activity::Activity,
        node::Node,
        nodegroup::{Make, NodeGroup, Row},
        pod::Pod,
    },
    ops::{
        follow::{self, Progress},
        scale::{self, Bounds, Facts, Plan, Wish},
    },
    problem::Problem,
    sources::aws::change::Outcome,
    store::{
        lens::{Pin, Scope as Namespaces},
        table::{Rows, Uid},
        value::Health,
        wishes::{Flight, Sizes},
    },
    ui::theme::Role,
    view::dialog::{Dialog, Focus, Line, Typing},
};

type Done = Result<Vec<Effect>, Problem>;

/// Nobody means more nodes than this.
const MOST: u32 = 100_000;

/// What an open dialog is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    pub group: Uid,
    pub name: String,
    pub wish: Wish,
    /// Sizes as they were when the dialog was opened.
    seen: Sizes,
    /// Whether a digit begins a new number.
    fresh: bool,
    /// The commands of the safer way down; empty where there is none.
    drain: String,
}

impl Scaling {
    /// About a group as it is now.
    fn new(group: Uid, name: String, row: &Row, wish: Wish) -> Self {
        Self { group, name, wish, seen: sizes(row), fresh: true, drain: String::new() }
    }
}

const GROUPS: Command = Command { scope: Scope::Kind("nodegroups"), ..Command::BASE };
const DIALOG: Command = Command { scope: Scope::Dialog, ..Command::BASE };

/// Of the table of node groups, and of the dialog.
pub const COMMANDS: &[Command] = &[
    Command {
        id: "nodegroups.more",
        keys: &["+"],
        help: "One node more; nothing is sent before Enter and y",
        hint: "more",
        when: has_group,
        run: |m, _| step(m, 1),
        ..GROUPS
    },
    Command {
        id: "nodegroups.fewer",
        keys: &["-"],
        help: "One node fewer; nothing is sent before Enter and y",
        hint: "fewer",
        when: has_group,
        run: |m, _| step(m, -1),
        ..GROUPS
    },
    Command {
        id: "nodegroups.scale",
        keys: &["s"],
        words: &["scale"],
        help: "Another size: opens the dialog, in which a number can be typed; :scale 5 does too",
        hint: "scale",
        when: has_group,
        run: |m, argument| {
            let wish = if argument.is_empty() {
                None
            } else {
                Some(argument.parse().map_err(|_| Problem::new(format!("{argument:?} is no number of nodes")))?)
            };
            open(m, wish)
        },
        ..GROUPS
    },
    Command {
        id: "nodegroups.activities",
        keys: &["a"],
        help: "What it did and why: scaling activities and updates, live",
        hint: "activities",
        when: has_group,
        run: |m, _| activities(m),
        ..GROUPS
    },
    Command {
        id: "nodegroups.undo",
        keys: &["U"],
        words: &["undo"],
        help: "Back to the sizes before the last change; opens the dialog",
        when: has_group,
        run: |m, _| undo(m),
        ..GROUPS
    },
    Command {
        id: "nodegroups.drop",
        keys: &["backspace"],
        help: "Forget the size that was edited",
        when: has_pending,
        run: |m, _| {
            if let Some((uid, ..)) = current(m) {
                edit(m, uid, None);
            }
            Ok(Vec::new())
        },
        ..GROUPS
    },
    Command {
        id: "dialog.leave",
        keys: &["esc", "q", "n"],
        help: "Leave without doing it",
        hint: "leave",
        run: |m, _| Ok(leave(m)),
        ..DIALOG
    },
    Command { id: "dialog.act", keys: &["y"], help: "Do it", run: |m, _| act(m), ..DIALOG },
    Command {
        id: "dialog.press",
        keys: &["enter"],
        help: "Press the button that has the focus",
        run: |m, _| match m.dialog.as_ref().map(|(dialog, _)| dialog.focus) {
            Some(Focus::Act) => act(m),
            _ => Ok(leave(m)),
        },
        ..DIALOG
    },
    Command {
        id: "dialog.focus",
        keys: &["tab", "left", "right", "shift-tab"],
        help: "The other button",
        run: |m, _| {
            if let Some((dialog, _)) = &mut m.dialog {
                dialog.focus = if dialog.focus == Focus::Act { Focus::Cancel } else { Focus::Act };
            }
            Ok(Vec::new())
        },
        ..DIALOG
    },
    Command {
        id: "dialog.copy",
        keys: &["c"],
        help: "Copy the command that does the same",
        hint: "copy command",
        run: |m, _| {
            let command = m.dialog.as_ref().map_or("", |(dialog, _)| &dialog.command).to_owned();
            if command.is_empty() {
                return Err(Problem::new("no command would do it as it stands"));
            }
            m.info("copied the command");
            Ok(vec![Effect::Copy(command)])
        },
        ..DIALOG
    },
    Command {
        id: "dialog.drain",
        keys: &["d"],
        help: "Copy the commands that drain the nodes that had better go, and end them",
        hint: "copy drain",
        when: |m| m.dialog.as_ref().is_some_and(|(_, scaling)| !scaling.drain.is_empty()),
        run: |m, _| {
            let command = m.dialog.as_ref().map_or_else(String::new, |(_, scaling)| scaling.drain.clone());
            m.info("copied the commands of the safer way");
            Ok(vec![Effect::Copy(command)])
        },
        ..DIALOG
    },
    Command {
        id: "dialog.more",
        keys: &["+", "up"],
        help: "One node more",
        hint: "more",
        run: |m, _| Ok(change(m, |w| w.size.saturating_add(1))),
        ..DIALOG
    },
    Command {
        id: "dialog.fewer",
        keys: &["-", "down"],
        help: "One node fewer",
        hint: "fewer",
        run: |m, _| Ok(change(m, |w| w.size.saturating_sub(1))),
        ..DIALOG
    },
    Command {
        id: "dialog.bounds",
        keys: &["m"],
        help: "Move min or max along, or leave them",
        hint: "move min/max",
        run: |m, _| {
            if let Some((_, scaling)) = &mut m.dialog {
                let bounds = scaling.wish.bounds;
                scaling.wish.bounds = if bounds == Bounds::Keep { Bounds::Move } else { Bounds::Keep };
            }
            refresh(m);
            Ok(Vec::new())
        },
        ..DIALOG
    },
];

/// The group under the cursor: uid, name, and how many nodes it wants.
fn current(model: &Model) -> Option<(Uid, String, &Row)> {
    let view = model.table().filter(|view| view.kind == NodeGroup::ID)?;
    let id = view.current(&model.world)?;
    let table = model.world.table::<NodeGroup>();
    let (meta, row) = table.get(id)?;
    Some((meta.uid, table.name(id).to_owned(), row))
}

fn has_group(model: &Model) -> bool {
    current(model).is_some()
}

fn has_pending(model: &Model) -> bool {
    current(model).is_some_and(|(uid, ..)| model.world.wishes.pending(uid).is_some())
}

fn edit(model: &mut Model, group: Uid, size: Option<u32>) {
    model.world.wishes.edit(group, size);
    model.world.joins.bump(NodeGroup::ID);
    model.dirty = true;
}

/// Edits the size on the row. What cannot be scaled says why at once.
fn step(model: &mut Model, by: i32) -> Done {
    let Some((uid, name, row)) = current(model) else { return Ok(Vec::new()) };
    let now = can_change(model, uid, &name, row)?;
    let size = model.world.wishes.pending(uid).unwrap_or(now).saturating_add_signed(by).min(MOST);
    edit(model, uid, Some(size).filter(|size| *size != now));
    Ok(Vec::new())
}

/// The size from which to start, or why there is nothing to start from.
fn can_change(model: &Model, uid: Uid, name: &str, row: &Row) -> Result<u32, Problem> {
    let cannot = |why: &str| Problem::new(format!("{name} cannot be scaled from here")).because(why);
    if !row.fixed.is_empty() {
        return Err(cannot(row.fixed).hint(row.make.instead()));
    }
    if let Some(why) = on_its_way(model, uid) {
        return Err(cannot(&why));
    }
    row.wanted().ok_or_else(|| cannot("how many nodes it wants now is not known"))
}

/// Why nothing else is sent to a group now: a change has yet to reach it.
fn on_its_way(model: &Model, group: Uid) -> Option<String> {
    let flight = model.world.wishes.flight(group).filter(|flight| !flight.taken)?;
    let size = flight.to.desired.unwrap_or_default();
    Some(format!("the change to {size} is on its way; one at a time"))
}

/// Whether Enter opens the dialog on the row under the cursor: a size was edited.
pub fn is_pending(model: &Model) -> bool {
    has_pending(model)
}

/// Opens the dialog with the size that was edited, with one that was named, or with the one that is.
pub fn open(model: &mut Model, size: Option<u32>) -> Done {
    let Some((uid, name, row)) = current(model) else { return Ok(Vec::new()) };
    let now = can_change(model, uid, &name, row)?;
    let size = size.or_else(|| model.world.wishes.pending(uid)).unwrap_or(now).min(MOST);
    let wish = Wish { size, bounds: Bounds::Keep };
    let scaling = Scaling::new(uid, name, row, wish);
    model.dialog = Some((Dialog::default(), scaling));
    refresh(model);
    Ok(Vec::new())
}

/// Shows what the group did.
fn activities(model: &mut Model) -> Done {
    let Some((uid, name, row)) = current(model) else { return Ok(Vec::new()) };
    let instead = match row.make {
        Make::Managed | Make::Own => None,
        Make::Karpenter | Make::Auto => Some("what Karpenter does is in :nodeclaims and :events"),
        Make::Fargate => Some("what Fargate does is in its pods' events"),
    };
    if let Some(instead) = instead {
        let problem = Problem::new(format!("{name} has no scaling activities"));
        return Err(problem.because("it has no Auto Scaling group").hint(instead));
    }
    let pin = Pin::Parent { uid, namespace: row.make.word().to_owned(), name: name.clone() };
    model.push_table(Activity::ID, Namespaces::All, Some(pin), format!("{name} activities"));
    Ok(Vec::new())
}

/// Opens the dialog with the sizes from before the last change.
fn undo(model: &mut Model) -> Done {
    let Some((uid, name, row)) = current(model) else { return Ok(Vec::new()) };
    let now = can_change(model, uid, &name, row)?;
    let Some(before) = model.world.wishes.before(uid) else {
        return Err(Problem::new(format!("there is nothing to undo: no size of {name} was changed from here")));
    };
    let bounds = Bounds::Back { min: before.min, max: before.max };
    let wish = Wish { size: before.desired.unwrap_or(now), bounds };
    let scaling = Scaling::new(uid, name, row, wish);
    model.dialog = Some((Dialog::default(), scaling));
    refresh(model);
    Ok(Vec::new())
}

fn sizes(row: &Row) -> Sizes {
    Sizes { min: row.min, max: row.max, desired: row.wanted() }
}

fn leave(model: &mut Model) -> Vec<Effect> {
    model.dialog = None;
    model.dirty = true;
    Vec::new()
}

/// Edits the size in the dialog.
fn change(model: &mut Model, size: impl Fn(&Wish) -> u32) -> Vec<Effect> {
    if let Some((_, scaling)) = &mut model.dialog {
        scaling.wish.size = size(&scaling.wish).min(MOST);
        scaling.fresh = true;
    }
    refresh(model);
    Vec::new()
}

/// A character that no key of the dialog is bound to: digits are a size; in the midst of typing a name, its letters.
pub fn typed(model: &mut Model, character: char) {
    let Some((dialog, scaling)) = &mut model.dialog else { return };
    if let Some(typing) = &mut dialog.typing {
        typing.typed.push(character);
    } else if let Some(digit) = character.to_digit(10) {
        let before = if scaling.fresh { 0 } else { scaling.wish.size };
        scaling.wish.size = before.saturating_mul(10).saturating_add(digit).min(MOST);
        scaling.fresh = false;
        refresh(model);
    }
    model.dirty = true;
}

/// Takes the last character back.
pub fn erased(model: &mut Model) {
    let Some((dialog, scaling)) = &mut model.dialog else { return };
    if let Some(typing) = &mut dialog.typing {
        typing.typed.pop();
    } else {
        scaling.wish.size /= 10;
        scaling.fresh = false;
        refresh(model);
    }
    model.dirty = true;
}

/// Whether a name is being typed: then letters are letters.
pub fn is_typing(model: &Model) -> bool {
    model.dialog.as_ref().is_some_and(|(dialog, _)| dialog.typing.is_some())
}

/// Works the plan out anew: after a key, and when the group's row has changed under the dialog.
pub fn refresh(model: &mut Model) {
    let Some((mut dialog, mut scaling)) = model.dialog.take() else { return };
    let way = safe_way(model, &scaling);
    describe(model, &mut dialog, &scaling, way.as_ref());
    scaling.drain = way.map(|way| way.command).unwrap_or_default();
    model.dialog = Some((dialog, scaling));
    model.dirty = true;
}

/// The row that a dialog is about, where it still is.
fn row_of(model: &Model, group: Uid) -> Option<&Row> {
    let table = model.world.table::<NodeGroup>();
    table.get(table.find(group)?).map(|(_, row)| row)
}

fn describe(model: &Model, dialog: &mut Dialog, scaling: &Scaling, way: Option<&safe::Safe>) {
    let back = if matches!(scaling.wish.bounds, Bounds::Back { .. }) { " back" } else { "" };
    dialog.title = format!("scale node group {}{back}", scaling.name);
    dialog.act = format!("scale to {}", scaling.wish.size);
    let Some(row) = row_of(model, scaling.group) else {
        dialog.command.clear();
        dialog.blocked = Some(format!("{} is gone", scaling.name));
        return;
    };
    dialog.place = place(model, row);
    let mut plan = plan(model, row, scaling);
    plan.lines.extend(way.into_iter().flat_map(|way| way.lines.clone()));
    dialog.lines = lines(&plan);
    dialog.command.clone_from(&plan.command);
    dialog.blocked = blocked(model, row, scaling, &plan);
}

/// The safe way to what the dialog is about, where it leads down.
fn safe_way(model: &Model, scaling: &Scaling) -> Option<safe::Safe> {
    let row = row_of(model, scaling.group)?;
    let going = scale::going(row, row.nodes(&model.world).len(), scaling.wish.size)?;
    safe::way(&model.world, row, going, context(model))
}

fn context(model: &Model) -> &str {
    model.facts.as_ref().map_or("", |facts| facts.context.as_str())
}

/// Context, and where AWS keeps the group.
fn place(model: &Model, row: &Row) -> String {
    let context = context(model);
    let context = context.rsplit('/').next().unwrap_or(context);
    match &row.place {
        Some(place) => {
            let cluster = if place.cluster == context { String::new() } else { format!(" · {}", place.cluster) };
            let account = place.account.as_deref().unwrap_or("account unknown");
            format!("{context}{cluster} · {} · {account}", place.region)
        }
        None => context.to_owned(),
    }
}

fn plan(model: &Model, row: &Row, scaling: &Scaling) -> Plan {
    let world = &model.world;
    let whole = world.is_whole(Node::ID, None) && world.is_whole(Pod::ID, None);
    let on = |name| world.joins.on_node.get(&name).map_or(0, |totals| totals.pods);
    let pods: Option<Vec<u32>> = whole.then(|| row.nodes(world).iter().map(|(name, _)| on(*name)).collect());
    let now = model.now.div_euclid(1000);
    scale::plan(Facts { name: &scaling.name, row, pods: pods.as_deref(), context: context(model), now }, scaling.wish)
}

fn lines(plan: &Plan) -> Vec<Line> {
    let number = |size: Option<u32>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let bound = |name: &str, (before, after): (Option<u32>, Option<u32>)| {
        if before == after {
            format!("{name} {}", number(before))
        } else {
            format!("{name} {} → {}", number(before), number(after))
        }
    };
    let sizes =
        format!("{} → {}   {}   {}", number(plan.from), plan.to, bound("min", plan.min), bound("max", plan.max));
    let mut lines = vec![Line { label: "desired", role: Role::Accent, text: sizes }];
    lines.extend(plan.lines.iter().map(|line| Line {
        label: line.label,
        role: match line.health {
            Health::Ok => Role::Text,
            Health::Unknown => Role::Dim,
            other => other.into(),
        },
        // Colour is never the only sign.
        text: if line.health.is_fault() { format!("! {}", line.text) } else { line.text.clone() },
    }));
    lines
}

/// Why it cannot be sent as it stands.
fn blocked(model: &Model, row: &Row, scaling: &Scaling, plan: &Plan) -> Option<String> {
    if sizes(row) != scaling.seen {
        let (before, after) = (scaling.seen, sizes(row));
        let words = [
            ("desired", before.desired, after.desired),
            ("min", before.min, after.min),
            ("max", before.max, after.max),
        ];
        let number = |size: Option<u32>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let changed = words.into_iter().filter(|(_, before, after)| before != after);
        let changed: Vec<String> =
            changed.map(|(word, before, after)| format!("{word} {} → {}", number(before), number(after))).collect();
        return Some(format!("it changed meanwhile: {}; leave, and look again", changed.join(", ")));
    }
    if model.read_only {
        return Some("this session is read-only: nothing is sent".to_owned());
    }
    if let Some(why) = on_its_way(model, scaling.group) {
        return Some(why);
    }
    plan.change.as_ref().err().cloned()
}

/// Sends it, where it still is what was shown.
fn act(model: &mut Model) -> Done {
    refresh(model);
    let Some((dialog, scaling)) = &mut model.dialog else { return Ok(Vec::new()) };
    if let Some(why) = &dialog.blocked {
        let problem = Problem::new(format!("{} was not scaled", scaling.name)).because(why);
        model.note(Level::Warning, problem);
        return Ok(Vec::new());
    }
    let scaling = scaling.clone();
    let Some(row) = row_of(model, scaling.group) else { return Ok(Vec::new()) };
    let plan = plan(model, row, &scaling);
    let Ok(change) = plan.change else { return Ok(Vec::new()) };
    let name = if model.protected() {
        Some(model.cluster_name().to_owned())
    } else {
        plan.risky.then(|| scaling.name.clone())
    };
    if let (Some(wanted), Some((dialog, _))) = (name, &mut model.dialog) {
        match &dialog.typing {
            Some(typing) if typing.typed == typing.wanted => {}
            Some(typing) => return Err(Problem::new(format!("that is not {}", typing.wanted))),
            None => {
                dialog.focus = Focus::Act;
                dialog.typing = Some(Typing { wanted, typed: String::new() });
                return Ok(Vec::new());
            }
        }
    }
    model.dialog = None;
    let to = Sizes { min: plan.min.1, max: plan.max.1, desired: Some(plan.to) };
    let since = model.now.div_euclid(1000);
    let flight = Flight { from: scaling.seen, to, since, accepted: false, taken: false };
    model.world.wishes.send(scaling.group, flight);
    model.world.joins.bump(NodeGroup::ID);
    model.dirty = true;
    model.info(format!("{}: scaling to {} …", scaling.name, scaling.wish.size));
    Ok(vec![Effect::Change { group: scaling.group, name: scaling.name, change }])
}

/// What came of a change.
pub fn answered(model: &mut Model, group: Uid, name: &str, outcome: Outcome) {
    model.world.joins.bump(NodeGroup::ID);
    match outcome {
        Outcome::Accepted => {
            model.world.wishes.accepted(group);
            model.info(format!("{name}: accepted; it is followed until its nodes are ready, U undoes it"));
        }
        Outcome::Refused(problem) => {
            model.world.wishes.end(group);
            model.note(Level::Error, problem);
        }
        Outcome::Unknown(problem) => {
            // If it was accepted the group will show it.
            model.world.wishes.accepted(group);
            let why = if problem.why.is_empty() { problem.what } else { format!("{}: {}", problem.what, problem.why) };
            let what = format!("{name}: whether the change was accepted is not known");
            model.note(Level::Warning, Problem::new(what).because(why).hint("its row shows it once it was"));
        }
    }
    follow(model);
}

/// Looks how the changes on their way stand, and says what has become of them; keeps an open dialog up to date.
pub fn follow(model: &mut Model) {
    for group in model.world.wishes.flights() {
        let table = model.world.table::<NodeGroup>();
        let Some(id) = table.find(group) else { continue };
        let (Some((_, row)), Some(flight)) = (table.get(id), model.world.wishes.flight(group)) else { continue };
        let name = table.name(id).to_owned();
        match follow::progress(flight, row, row.funnel(&model.world), model.now.div_euclid(1000)) {
            Progress::Sending(_) => continue,
            Progress::Moving(_) if flight.taken => continue,
            Progress::Moving(_) => model.world.wishes.taken(group),
            Progress::Arrived(what) => {
                model.world.wishes.end(group);
                model.info(format!("{name}: {what}"));
            }
            Progress::Stopped(why) => {
                model.world.wishes.end(group);
                let problem = Problem::new(format!("{name}: the change did not come about")).because(why);
                model.note(Level::Warning, problem.hint("U on the group goes back to the sizes before"));
            }
        }
        model.world.joins.bump(NodeGroup::ID);
    }
    refresh(model);
}

#[cfg(test)]
mod tests;
