//! Scaling node groups: a size that is edited on the row, the dialog that says what it means, and the change that is sent
//! when it is confirmed. Groups are known by their uid: one that is gone or has changed meanwhile is left alone.

use super::{Command, Scope};
use crate::{
    app::{
        effect::Effect,
        model::{Level, Model},
    },
    kinds::{
        HasId,
        node::Node,
        nodegroup::{NodeGroup, Row},
        pod::Pod,
    },
    ops::scale::{self, Facts, Plan, Wish},
    problem::Problem,
    store::{
        table::{Rows, Uid},
        value::Health,
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
    /// Sizes as they were when the dialog was opened: wish, min and max.
    seen: [Option<u32>; 3],
    /// Whether a digit begins a new number.
    fresh: bool,
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
                scaling.wish.bounds = !scaling.wish.bounds;
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
        return Err(cannot(row.fixed));
    }
    if model.world.wishes.is_sent(uid) {
        return Err(cannot("a change is on its way; one at a time"));
    }
    row.wanted().ok_or_else(|| cannot("how many nodes it wants now is not known"))
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
    let scaling = Scaling { group: uid, name, wish: Wish { size, bounds: false }, seen: sizes(row), fresh: true };
    model.dialog = Some((Dialog::default(), scaling));
    refresh(model);
    Ok(Vec::new())
}

fn sizes(row: &Row) -> [Option<u32>; 3] {
    [row.wanted(), row.min, row.max]
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
    let Some((mut dialog, scaling)) = model.dialog.take() else { return };
    describe(model, &mut dialog, &scaling);
    model.dialog = Some((dialog, scaling));
    model.dirty = true;
}

/// The row that a dialog is about, where it still is.
fn row_of(model: &Model, group: Uid) -> Option<&Row> {
    let table = model.world.table::<NodeGroup>();
    table.get(table.find(group)?).map(|(_, row)| row)
}

fn describe(model: &Model, dialog: &mut Dialog, scaling: &Scaling) {
    dialog.title = format!("scale node group {}", scaling.name);
    dialog.act = format!("scale to {}", scaling.wish.size);
    let Some(row) = row_of(model, scaling.group) else {
        dialog.command.clear();
        dialog.blocked = Some(format!("{} is gone", scaling.name));
        return;
    };
    dialog.place = place(model, row);
    let plan = plan(model, row, scaling);
    dialog.lines = lines(&plan);
    dialog.command.clone_from(&plan.command);
    dialog.blocked = blocked(model, row, scaling, &plan);
}

/// Context, and where AWS keeps the group.
fn place(model: &Model, row: &Row) -> String {
    let context = model.facts.as_ref().map_or("", |facts| facts.context.as_str());
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
    let context = model.facts.as_ref().map_or("", |facts| facts.context.as_str());
    let now = model.now.div_euclid(1000);
    scale::plan(Facts { name: &scaling.name, row, pods: pods.as_deref(), context, now }, scaling.wish)
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
        let words = ["desired", "min", "max"].iter().zip(scaling.seen.iter().zip(sizes(row)));
        let number = |size: Option<u32>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let changed = words.filter(|(_, (before, after))| **before != *after);
        let changed: Vec<String> =
            changed.map(|(word, (before, after))| format!("{word} {} → {}", number(*before), number(after))).collect();
        return Some(format!("it changed meanwhile: {}; leave, and look again", changed.join(", ")));
    }
    if model.read_only {
        return Some("this session is read-only: nothing is sent".to_owned());
    }
    if model.world.wishes.is_sent(scaling.group) {
        return Some("a change is on its way; one at a time".to_owned());
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
    let cluster = model.facts.as_ref().map_or("", |facts| facts.cluster.as_str());
    // Of an ARN the last part is the name.
    let name = cluster.rsplit('/').next().unwrap_or(cluster).to_owned();
    if model.protected()
        && let Some((dialog, _)) = &mut model.dialog
    {
        match &dialog.typing {
            Some(typing) if typing.typed == typing.wanted => {}
            Some(_) => return Err(Problem::new("that is not the name of the cluster")),
            None => {
                dialog.focus = Focus::Act;
                dialog.typing = Some(Typing { wanted: name, typed: String::new() });
                return Ok(Vec::new());
            }
        }
    }
    let Some(row) = row_of(model, scaling.group) else { return Ok(Vec::new()) };
    let Ok(change) = plan(model, row, &scaling).change else { return Ok(Vec::new()) };
    model.dialog = None;
    model.world.wishes.send(scaling.group);
    model.world.joins.bump(NodeGroup::ID);
    model.dirty = true;
    model.info(format!("{}: scaling to {} …", scaling.name, scaling.wish.size));
    Ok(vec![Effect::Change { group: scaling.group, name: scaling.name, change }])
}

/// What came of a change.
pub fn answered(model: &mut Model, group: Uid, name: &str, result: Result<(), Problem>) {
    model.world.wishes.answered(group);
    model.world.joins.bump(NodeGroup::ID);
    match result {
        Ok(()) => model.info(format!("{name}: accepted; the row follows the nodes as they come and go")),
        Err(problem) => model.note(Level::Error, problem),
    }
    refresh(model);
}

#[cfg(test)]
mod tests;
