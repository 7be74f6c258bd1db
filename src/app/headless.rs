//! `ekscope get`: the same streams, lens and columns as on screen, printed.

use clap::ValueEnum;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{model::Model, notes::Level, runtime::Runtime, update, wants::measured};
use crate::{
    command,
    kinds::Origin,
    problem::Problem,
    sources::{Message, runner::Generation},
    store::{
        lens::Scope,
        stream::StreamState,
        usage::MetricsState,
        value::{Align, Value},
    },
    ui::grid,
    view::{View, table},
};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Yaml,
    Csv,
}

/// What the command line asks for beyond the view.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub output: Output,
    pub sort: Option<String>,
    pub wide: bool,
}

/// The text of a view, and what there is to say beside it.
pub struct Printed {
    pub text: String,
    pub remark: Option<Problem>,
}

/// Waits until the view is complete and prints it. What is cut on the way is taken up again, as on screen, for as
/// long as an answer may take.
pub async fn run(
    mut model: Model,
    mut runtime: Runtime,
    mut messages: mpsc::Receiver<(Generation, Message)>,
    wishes: &Wishes,
) -> Result<Printed, Problem> {
    model.fleet.shows_everything = true;
    let mut effects = runtime.start(&mut model);
    let patience = model.config.connection.request_timeout;
    let mut broken: Option<(Instant, Problem)> = None;
    // Whether what the server serves will not be known.
    let mut undiscovered = false;
    loop {
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                effects.extend(runtime.apply(effect, &mut model));
            }
        }
        if let Some(problem) = model.connect_problem.take() {
            return Err(problem);
        }
        effects = model.plan_streams();
        effects.extend(model.plan_fleet());
        if !effects.is_empty() {
            continue;
        }
        if is_ready(&model, undiscovered)? {
            break;
        }
        if let Some(why) = interrupted(&model) {
            let until = broken.map_or_else(|| Instant::now() + patience, |(until, _)| until);
            broken = Some((until, why.clone()));
        }
        let next = messages.recv();
        let next = match &broken {
            Some((until, why)) if !patience.is_zero() => timeout_at(*until, next).await.map_err(|_| {
                why.clone().hint(format!("tried again for {patience:?}; --request-timeout sets how long"))
            })?,
            _ => next.await,
        };
        let Some((generation, message)) = next else {
            return Err(Problem::new("the sources have stopped"));
        };
        if generation == model.generation || message.outlives_connections() {
            if matches!(message, Message::Usage { .. }) {
                // Measurements find their rows in the settled order, and there are no frames to settle for.
                model.world.settle();
            }
            undiscovered |= matches!(message, Message::Served(Err(_)));
            update::message(&mut model, message);
            effects = std::mem::take(&mut model.outbox);
        }
    }
    Ok(Printed { text: print(&mut model, wishes)?, remark: remark(&model) })
}

/// That not everything is shown that was asked for, where the user may not see it.
fn remark(model: &Model) -> Option<Problem> {
    let view = model.table()?;
    let own = model.streams.of(&model.wants_of(view));
    let fleet = (model.world.kind(view.kind).origin == Origin::Fleet).then(|| model.fleet.state());
    // Of one part only: another may have come to its end just now.
    for state in own.iter().map(|stream| &stream.state).chain(fleet) {
        if let StreamState::Off(problem) = state {
            return Some(problem.clone());
        }
    }
    let view = model.table().filter(|view| !matches!(view.lens.scope, Scope::Only(_)))?;
    let namespaces = model.streams.granted.get(&view.kind)?.join(", ");
    let plural = &model.world.kind(view.kind).plural;
    Some(
        Problem::new(format!("these are the {plural} of {namespaces}"))
            .because("you may not list those of the cluster"),
    )
}

/// Why a stream broke that is not whole yet and may come right by itself.
fn interrupted(model: &Model) -> Option<&Problem> {
    let own = model.table().map(|view| view.kind);
    // What AWS does not say of a join stays unknown.
    let counts = |kind| own == Some(kind) || model.world.kind(kind).origin != Origin::Aws;
    let open = model.streams.iter().filter(|stream| !stream.synced && counts(stream.kind));
    open.into_iter().find_map(|stream| match &stream.state {
        StreamState::Stale { why, passing: true, .. } => Some(why),
        _ => None,
    })
}

/// Whether the view, and whatever it joins with, is complete; an error where it will never be.
fn is_ready(model: &Model, undiscovered: bool) -> Result<bool, Problem> {
    if let Some(note) = model.notes.iter().find(|note| note.level == Level::Error) {
        return Err(note.problem.clone());
    }
    let Some(view) = model.table() else { return Ok(false) };
    if model.pending_kind.is_some() {
        return Ok(false);
    }
    match model.world.kind(view.kind).origin {
        Origin::Program => return Ok(true),
        Origin::Fleet => return Ok(model.fleet.is_printable()? && joins_are_settled(model)),
        Origin::Server | Origin::Aws => {}
    }
    let own: Vec<_> = model
        .streams
        .of(&model.wants_of(view))
        .into_iter()
        .map(|stream| (stream.state.clone(), stream.synced))
        .collect();
    for (state, _) in &own {
        if let StreamState::Forbidden(problem) | StreamState::Gone(problem) = state {
            // Namespaces where it is allowed are still being asked for.
            if model.tickets.values().any(|ticket| matches!(ticket, super::effect::Ticket::Namespaces(_))) {
                return Ok(false);
            }
            return Err(problem.clone());
        }
    }
    // Karpenter's pools are a part of the groups, where there are any.
    if model.world.kind(view.kind).origin == Origin::Aws && !model.discovered && !undiscovered {
        return Ok(false);
    }
    if let Some((StreamState::Off(problem), _)) = own.iter().find(|(state, _)| matches!(state, StreamState::Off(_)))
        && model.world.rows(view.kind).is_empty()
        && own.iter().all(|(_, synced)| *synced)
    {
        return Err(problem.clone());
    }
    if own.is_empty() || own.iter().any(|(_, synced)| !synced) {
        return Ok(false);
    }
    // Metrics are there, or why they are not is known.
    if measured(view.kind).is_some() && *model.world.usage.state(view.kind) == MetricsState::NotAsked {
        return Ok(false);
    }
    // Joined kinds that are denied leave their columns unknown; sums over a part of them would be wrong.
    let joined = |kind| kind != view.kind && model.world.kind(kind).origin == Origin::Aws;
    if !model.streams.iter().all(|stream| {
        let silent = joined(stream.kind) && matches!(stream.state, StreamState::Stale { .. });
        stream.synced || silent || matches!(stream.state, StreamState::Forbidden(_) | StreamState::Gone(_))
    }) {
        return Ok(false);
    }
    match model.streams.iter().find(|stream| stream.undecodable > 0) {
        Some(stream) => Err(Problem::new(format!(
            "{} {} could not be read",
            stream.undecodable,
            model.world.kind(stream.kind).plural
        ))
        .hint("the log says why; the screen shows the others")),
        None => Ok(true),
    }
}

/// Whether what the connected cluster adds to the fleet is there, or will not come soon.
fn joins_are_settled(model: &Model) -> bool {
    model.streams.iter().all(|stream| {
        stream.synced
            || matches!(stream.state, StreamState::Stale { .. } | StreamState::Forbidden(_) | StreamState::Gone(_))
    })
}

fn print(model: &mut Model, wishes: &Wishes) -> Result<String, Problem> {
    if let Some(sort) = &wishes.sort {
        let (column, direction) = sort.rsplit_once(' ').unwrap_or((sort, ""));
        let (column, descending) = match direction {
            "desc" => (column, Some(true)),
            "asc" => (column, Some(false)),
            _ => (sort.as_str(), None),
        };
        command::table::sort(model, column)?;
        if let (Some(descending), Some(view)) = (descending, model.table_mut()) {
            let sort = view.lens.sort();
            view.lens.set_sort(crate::store::lens::Sort { descending, ..sort });
        }
    }
    model.world.settle();
    let now = model.now.div_euclid(1000);
    let Some(View::Table(view)) = model.views.last_mut() else { return Ok(String::new()) };
    if let Some(error) = &view.filter_error {
        return Err(Problem::new(format!("the filter {:?} is not valid", view.filter))
            .because(&error.message)
            .hint(error.hint.clone()));
    }
    if wishes.wide {
        view.lens.set_wide(true);
    }
    view.lens.update(&model.world, view.kind, now);
    let rows = model.world.rows(view.kind);
    let everything = matches!(wishes.output, Output::Json | Output::Yaml);
    let columns: Vec<usize> = if everything { (0..rows.columns().len()).collect() } else { view.columns(&model.world) };
    let infos = rows.columns();
    match wishes.output {
        Output::Json | Output::Yaml => {
            let objects: Vec<serde_json::Value> = view
                .lens
                .order()
                .iter()
                .map(|&id| {
                    let cells = columns.iter().map(|&column| {
                        let value = rows.value(id, column, &model.world).json(now);
                        (infos[column].id.to_string(), value)
                    });
                    serde_json::Value::Object(cells.collect())
                })
                .collect();
            let failed = |error: &dyn std::fmt::Display| Problem::new("cannot write the rows").because(error);
            if wishes.output == Output::Json {
                let text = serde_json::to_string_pretty(&objects).map_err(|error| failed(&error))?;
                Ok(text + "\n")
            } else {
                serde_saphyr::to_string(&objects).map_err(|error| failed(&error))
            }
        }
        Output::Csv => {
            let mut text = line(columns.iter().map(|&column| csv(&infos[column].title)), ",");
            for &id in view.lens.order() {
                let cells = columns.iter().map(|&column| match rows.value(id, column, &model.world) {
                    Value::Unknown => String::new(),
                    value => csv(&value.render(now)),
                });
                text.push_str(&line(cells, ","));
            }
            Ok(text)
        }
        Output::Table => Ok(aligned(view, &columns, model_rows(view, &model.world), now)),
    }
}

fn model_rows<'a>(
    view: &table::TableView,
    world: &'a crate::store::world::World,
) -> (&'a dyn crate::store::table::Rows, &'a crate::store::world::World) {
    (world.rows(view.kind), world)
}

fn aligned(
    view: &table::TableView,
    columns: &[usize],
    (rows, world): (&dyn crate::store::table::Rows, &crate::store::world::World),
    now: i64,
) -> String {
    let infos = rows.columns();
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|&column| infos[column].title.clone()).collect()];
    for &id in view.lens.order() {
        lines.push(
            columns
                .iter()
                .map(|&column| {
                    let value = rows.value(id, column, world);
                    // What comes from the cluster must not drive the terminal.
                    value.render(now).chars().filter(|character| !character.is_control()).collect()
                })
                .collect(),
        );
    }
    let widths: Vec<u16> = (0..columns.len())
        .map(|column| lines.iter().map(|cells| grid::width(&cells[column])).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for cells in &lines {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                let fill = " ".repeat(usize::from(widths[index] - grid::width(cell)));
                if infos[columns[index]].align == Align::Right { fill + cell } else { format!("{cell}{fill}") }
            })
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn line(cells: impl Iterator<Item = String>, separator: &str) -> String {
    cells.collect::<Vec<_>>().join(separator) + "\n"
}

/// RFC 4180: quotes where a comma, a quote or a line break is.
fn csv(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
