//! A whole frame: header, title, the top view, footer, and what lies over them.

use std::borrow::Cow;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    widgets::{Clear, Widget},
};

use super::{Screen, View, guide, status, table};
use crate::{
    app::{
        model::Model,
        notes::{Level, Note},
        prompt::PromptKind,
    },
    command::{self, Command, Scope, sign_in},
    kinds::{HasId, Origin, node::Node, pod::Pod},
    problem::Problem,
    store::{stream::StreamState, value::Metric},
    ui::{grid, theme::Role},
};

/// As many lines as a note may take.
const NOTE_LINES: u16 = 4;

/// Prepares the top view for the space there is and draws the frame; gives the next instant (milliseconds) at which
/// something on screen changes by itself.
pub fn draw(model: &mut Model, frame: &mut Frame<'_>) -> Option<i64> {
    let area = frame.area();
    let header_height = match area.height {
        _ if !model.show_header => 0,
        0..12 => 0,
        12..20 => 1,
        _ => 2,
    };
    let footer_height = u16::from(area.height >= 4);
    let title_height = u16::from(area.height >= 3);
    let header = Rect { height: header_height, ..area };
    let title = Rect { y: area.y + header_height, height: title_height, ..area };
    let footer = Rect { y: area.bottom() - footer_height, height: footer_height, ..area };
    let body = Rect { y: title.bottom(), height: footer.y.saturating_sub(title.bottom()), ..area };
    let told = guide::height(model, body);
    let tour = Rect { y: body.bottom() - told, height: told, ..area };
    let body = Rect { height: body.height - told, ..body };
    let totals = matches!(model.views.last(), Some(View::Table(_))) && body.height > 12;
    let rows = body.height.saturating_sub(1 + u16::from(totals));

    let now = model.now;
    let glow = i64::try_from(model.config.ui.glow.as_millis()).unwrap_or(i64::MAX);
    let mut wake = model.toast().map(|note| note.at + 6_000);
    model.body = Rect { y: body.y + 1, height: rows, ..body };
    match model.views.last_mut() {
        Some(View::Table(view)) => {
            let changes = view.prepare(&model.world, now, glow, rows as usize);
            let ages = view.next_age(&model.world, now);
            wake = wake.into_iter().chain(changes).chain(ages).min();
        }
        Some(View::Text(view)) => view.set_height(body.height as usize),
        None => {}
    }
    wake = wake.into_iter().chain(status::next_change(model)).min();

    let model = &*model;
    let screen = Screen {
        world: &model.world,
        theme: &model.theme,
        now,
        ascii: model.config.ui.ascii,
        glow,
        thresholds: &model.config.thresholds,
    };
    let buffer = frame.buffer_mut();
    buffer.set_style(area, screen.style(Role::Background).patch(screen.style(Role::Text)));
    draw_header(model, header, buffer, &screen);
    draw_title(model, title, buffer, &screen);
    match model.views.last() {
        Some(View::Table(view)) => {
            let table = Rect { height: 1 + rows, ..body };
            if view.lens.order().is_empty() {
                let (state, _) = model.state_of(view);
                let server = model.facts.as_ref().map_or("", |facts| facts.host.as_str());
                let origin = model.world.kind(view.kind).origin;
                let problem = match &model.connect_problem {
                    // Without a context there is no other place to go from than where that is said.
                    Some(problem) if origin.is_of_cluster() || view.lens.total() == 0 && origin == Origin::Program => {
                        problem.clone()
                    }
                    _ if origin == Origin::Fleet && view.lens.total() == 0 => model.fleet.nothing(),
                    _ => table::empty_screen(view, &model.world, state, server, now.div_euclid(1000)),
                };
                draw_problem(&problem, state, table, buffer, &screen);
            } else {
                view.draw(table, buffer, &screen);
            }
            if totals {
                draw_totals(view, Rect { y: body.bottom() - 1, height: 1, ..body }, buffer, &screen);
            }
        }
        Some(View::Text(view)) => view.draw(body, buffer, &screen),
        None => {}
    }
    guide::draw(model, tour, buffer, &screen);
    match model.toast() {
        Some(note) => draw_note(model, note, area, footer, buffer, &screen),
        None => draw_footer(model, footer, buffer, &screen),
    }
    if let Some((dialog, _)) = &model.dialog {
        dialog.draw(area, frame.buffer_mut(), &screen);
    }
    if let Some(asked) = &model.sign_in {
        sign_in::dialog(asked).draw(area, frame.buffer_mut(), &screen);
    }
    draw_prompt(model, area, title, frame, &screen);
    wake
}

/// Writes parts one after another; gives the column after the last.
pub(super) fn write(buffer: &mut Buffer, area: Rect, x: u16, parts: &[(&str, ratatui::style::Style)]) -> u16 {
    let mut x = x;
    for (text, style) in parts {
        if x >= area.right() || area.height == 0 {
            break;
        }
        let room = (area.right() - x) as usize;
        x = buffer.set_stringn(x, area.y, text, room, *style).0;
    }
    x
}

/// Of an ARN what comes after its kind: `arn:aws:sts::123456789012:assumed-role/Admin/ada` is `Admin/ada`.
fn short_user(user: &str) -> &str {
    if !user.starts_with("arn:") {
        return user;
    }
    user.split_once('/').map_or(user, |(_, name)| name)
}

/// Cluster, user, health of the streams; nodes, pods and how full the cluster is.
fn draw_header(model: &Model, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    if area.height == 0 {
        return;
    }
    let (label, value) = (screen.style(Role::HeaderLabel), screen.style(Role::Header));
    let dot = if screen.ascii { " - " } else { " · " };
    let line = Rect { height: 1, ..area };
    let Some(facts) = &model.facts else {
        let role = if model.connect_problem.is_some() { Role::Error } else { Role::HeaderLabel };
        write(buffer, line, area.x + 1, &[("no cluster", screen.style(role))]);
        return;
    };
    // A context named by its ARN is called by its cluster's name.
    let name = facts.context.rsplit('/').next().unwrap_or(&facts.context);
    let health = status::connection(model);
    let right = format!("kube {} {}", if screen.ascii { "*" } else { "●" }, health.1);
    let bulb = if screen.ascii { "*" } else { "●" };
    let aws = status::aws(model).map(|(role, word)| (role, format!("   aws {bulb} {word}")));
    let aws_width = aws.as_ref().map_or(0, |(_, text)| grid::width(text));
    let right_width = grid::width(&right) + aws_width + 1;
    let user = [&model.user, &facts.impersonates, &facts.user].into_iter().find_map(Option::as_deref);
    let user = short_user(user.unwrap_or_default());
    let left = Rect { width: area.width.saturating_sub(right_width + 1), ..line };
    let mut x = write(buffer, left, area.x + 1, &[(name, value.patch(screen.style(Role::Accent)))]);
    // Before all that may have no room.
    for (mark, holds) in [("protected", model.protected()), ("read-only", model.read_only)] {
        if holds {
            x = write(buffer, left, x, &[(" ", label), (mark, screen.style(Role::Warning))]);
        }
    }
    if let Some(version) = &model.server_version {
        x = write(buffer, left, x, &[(dot, label), (version, value)]);
    }
    if area.width > 60 {
        x = write(buffer, left, x, &[(dot, label), (&facts.host, label)]);
        // Half a name would be another's.
        if !user.is_empty() && x + grid::width("   you ") + grid::width(user) <= left.right() {
            write(buffer, left, x, &[("   you ", label), (user, value)]);
        }
    }
    let at = area.right().saturating_sub(right_width);
    let at = write(buffer, line, at, &[(&right, screen.style(health.0))]);
    if let Some((role, text)) = &aws {
        write(buffer, line, at, &[(text, screen.style(*role))]);
    }
    if area.height < 2 {
        return;
    }
    let line = Rect { y: area.y + 1, height: 1, ..area };
    let mut x = area.x + 1;
    let joins = &model.world.joins;
    let whole =
        |kind| model.streams.iter().any(|stream| stream.kind == kind && stream.namespace.is_none() && stream.synced);
    let (nodes_known, pods_known) = (whole(Node::ID), whole(Pod::ID));
    if nodes_known {
        let text = format!("{}/{}   ", joins.nodes_ready, model.world.rows(Node::ID).len());
        x = write(buffer, line, x, &[("nodes ", label), (&text, value)]);
    }
    if pods_known {
        let text = format!("{}   ", model.world.rows(Pod::ID).len());
        x = write(buffer, line, x, &[("pods ", label), (&text, value)]);
    }
    let shares = [
        ("cpu ", Metric::Cpu, joins.on_nodes.requests.cpu, joins.allocatable.cpu),
        ("mem ", Metric::Memory, joins.on_nodes.requests.memory, joins.allocatable.memory),
    ];
    for (name, metric, used, of) in shares.into_iter().filter(|(.., of)| nodes_known && pods_known && *of > 0) {
        if area.width < 70 {
            break;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = used as f64 / of as f64;
        #[expect(clippy::cast_possible_truncation, reason = "shown without decimals")]
        let alarm = screen.alarm(metric, (share * 100.0) as f32).map_or(value, |role| value.patch(screen.style(role)));
        let (filled, empty) = grid::gauge(share, 8, screen.ascii);
        x = write(
            buffer,
            line,
            x,
            &[
                (name, label),
                (&filled, screen.style(Role::GaugeFilled)),
                (&empty, screen.style(Role::GaugeEmpty)),
                (&format!(" {:.0}% req   ", share * 100.0), alarm),
            ],
        );
    }
    let metrics = model.table().and_then(|view| status::metrics(model.world.usage.state(view.kind), model.now));
    if let Some((role, text)) = metrics
        && area.width > 100
    {
        write(buffer, line, x, &[("metrics ", label), (&text, screen.style(role))]);
    }
}

fn draw_title(model: &Model, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    if area.height == 0 {
        return;
    }
    let title = screen.style(Role::Title);
    match model.views.last() {
        Some(View::Table(view)) => {
            let (state, complete) = model.state_of(view);
            let scope = model.scope_title(view);
            let text = view.title(&model.world, complete, &scope);
            let (kind, count) = text.split_once('[').unwrap_or((&text, ""));
            let mut x = write(
                buffer,
                area,
                area.x + 1,
                &[(kind, title), (&format!("[{count}"), screen.style(Role::TitleCount))],
            );
            if !view.filter.is_empty() && model.prompt.is_none() {
                let role = if view.filter_error.is_some() { Role::Error } else { Role::Prompt };
                x = write(buffer, area, x, &[("  /", screen.style(Role::Dim)), (&view.filter, screen.style(role))]);
            }
            if view.lens.faults() {
                x = write(buffer, area, x, &[("  faults only", screen.style(Role::Warning))]);
            }
            if !view.marks.is_empty() {
                x = write(buffer, area, x, &[(&format!("  {} marked", view.marks.len()), screen.style(Role::Marked))]);
            }
            // Where there are no rows, the whole screen says it.
            if let Some((role, text)) = state.and_then(|state| status::of_rows(state, screen.now))
                && view.lens.total() > 0
            {
                x = write(buffer, area, x, &[("  ", title), (&text, screen.style(role))]);
            }
            let sort = view.lens.sort();
            if let Some(column) = sort.column.and_then(|column| model.world.rows(view.kind).columns().get(column)) {
                let arrow = match (sort.descending, screen.ascii) {
                    (false, false) => "↑",
                    (true, false) => "↓",
                    (false, true) => "^",
                    (true, true) => "v",
                };
                let text = format!("sort {} {arrow} ", column.id);
                let at = area.right().saturating_sub(grid::width(&text));
                if at > x {
                    write(buffer, area, at, &[(&text, screen.style(Role::Dim))]);
                }
            }
        }
        Some(View::Text(view)) => {
            let mut parts = vec![(view.status(), title)];
            if !view.search.is_empty() {
                parts.push((format!("  /{}", view.search), screen.style(Role::Prompt)));
            }
            let parts: Vec<(&str, _)> = parts.iter().map(|(text, style)| (text.as_str(), *style)).collect();
            write(buffer, area, area.x + 1, &parts);
        }
        None => {}
    }
}

/// A screen without rows: what, why, what to do.
fn draw_problem(problem: &Problem, state: Option<&StreamState>, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    let role = match state {
        Some(StreamState::Stale { .. }) => Role::Error,
        Some(StreamState::Forbidden(_) | StreamState::Gone(_) | StreamState::Off(_)) => Role::Warning,
        _ => Role::Text,
    };
    let width = area.width.saturating_sub(8).clamp(1, 100);
    let x = area.x + area.width.saturating_sub(width) / 2;
    let mut lines: Vec<(String, Role)> = Vec::new();
    for (text, role) in [(&problem.what, role), (&problem.why, Role::Text), (&problem.hint, Role::Dim)] {
        lines.extend(wrap(text, width).into_iter().map(|line| (line, role)));
    }
    let top = area.y + (area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0))) / 3;
    for (index, (line, role)) in lines.iter().enumerate() {
        let y = top + u16::try_from(index).unwrap_or(0);
        if y < area.bottom() {
            buffer.set_stringn(x, y, line, width as usize, screen.style(*role));
        }
    }
}

/// Breaks a text into lines of a width, at spaces where there are any; empty lines are left out.
pub fn wrap(text: &str, width: u16) -> Vec<String> {
    let options = textwrap::Options::new(width.into())
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().filter(|line| !line.trim().is_empty()).map(Cow::into_owned).collect()
}

fn draw_totals(view: &table::TableView, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    let totals = view.totals();
    let style = screen.style(Role::TableTotals);
    let mut x = area.x + 2;
    for (column, sum) in totals {
        // Half a number would be another number.
        if x + grid::width(column) + 1 + grid::width(sum) > area.right() {
            break;
        }
        x = write(buffer, area, x, &[(&format!("{column} "), screen.style(Role::Dim)), (sum, style), ("   ", style)]);
    }
}

/// A note in the place of the footer. A long one covers what is above for as long as it stands; where that is not enough
/// the way out goes first: the messages have it too.
fn draw_note(model: &Model, note: &Note, area: Rect, footer: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    let more = model.fresh_notes().skip(1).filter(|note| note.level != Level::Info).count();
    let more = if more > 0 { format!("[+{more} in :messages] ") } else { String::new() };
    let room = footer.width.saturating_sub(2);
    let most = footer.height * if area.height < 12 { 1 } else { NOTE_LINES };
    let (whole, bare) = (note.problem.to_string(), note.problem.clone().hint("").to_string());
    let lines =
        [format!("{more}{whole}"), format!("{more}{bare}"), bare].map(|text| wrap(&text.replace('\n', " "), room));
    let fits = |lines: &&Vec<String>| lines.len() <= usize::from(most);
    let Some(lines) = lines.iter().find(fits).or(lines.last()) else { return };
    let height = most.min(u16::try_from(lines.len()).unwrap_or(most));
    let place = Rect { y: footer.bottom() - height, height, ..footer };
    Clear.render(place, buffer);
    buffer.set_style(place, screen.style(Role::Background).patch(screen.style(note.level.role())));
    for (y, line) in (place.y..place.bottom()).zip(lines) {
        // What is left over shows that there was more.
        let last = y + 1 == place.bottom() && lines.len() > usize::from(height);
        let text = if last { grid::cut(&format!("{line} …"), room) } else { line.clone() };
        write(buffer, Rect { y, height: 1, ..place }, place.x + 1, &[(&text, screen.style(note.level.role()))]);
    }
}

/// Hints; the way back on the right.
fn draw_footer(model: &Model, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    if area.height == 0 {
        return;
    }
    let crumbs: Vec<&str> = model.views.iter().map(View::crumb).collect();
    let separator = if screen.ascii { " > " } else { " › " };
    let crumbs = if model.show_crumbs && model.views.len() > 1 { crumbs.join(separator) } else { String::new() };
    let most = area.width / 3;
    let crumbs = grid::shorten(&crumbs, most);
    let left = Rect { width: area.width.saturating_sub(grid::width(&crumbs) + 2), ..area };
    write(
        buffer,
        area,
        area.right().saturating_sub(grid::width(&crumbs) + 1),
        &[(&crumbs, screen.style(Role::Breadcrumb))],
    );
    let mut x = area.x + 1;
    let hinted = |command: &&Command| !command.hint.is_empty() && command::available(command, model);
    let mut commands: Vec<&Command> = command::commands().filter(hinted).collect();
    // What only this view can do is told before what all can.
    commands.sort_by_key(|command| match command.scope {
        Scope::Global => 0,
        _ if command.id == "table.enter" => 1,
        Scope::Kind(_) => 2,
        Scope::Table | Scope::Text | Scope::Dialog => 3,
    });
    for command in commands {
        let Some(key) = model.keys_of(command).into_iter().next() else { continue };
        let width = grid::width(&key) + grid::width(command.hint) + 3;
        if x + width > left.right() {
            break;
        }
        x = write(
            buffer,
            left,
            x,
            &[
                (&key, screen.style(Role::HintKey)),
                (" ", screen.style(Role::HintText)),
                (command.hint, screen.style(Role::HintText)),
                ("  ", screen.style(Role::HintText)),
            ],
        );
    }
}

/// The line that is being typed stands where the title was; suggestions hang below it, an error is explained under it.
fn draw_prompt(model: &Model, area: Rect, title: Rect, frame: &mut Frame<'_>, screen: &Screen<'_>) {
    let Some(prompt) = &model.prompt else { return };
    let line = Rect { height: 1, ..title };
    if title.height == 0 || area.width < 3 {
        return;
    }
    let sign = if prompt.kind == PromptKind::Command { ":" } else { "/" };
    let count = match model.views.last() {
        Some(View::Table(view)) if prompt.kind == PromptKind::Filter => {
            let (_, complete) = model.state_of(view);
            view.title(&model.world, complete, &model.scope_title(view))
        }
        Some(View::Text(view)) if prompt.kind == PromptKind::Filter => view.status(),
        _ => String::new(),
    };
    let buffer = frame.buffer_mut();
    buffer.set_style(line, screen.style(Role::Text));
    buffer.set_stringn(line.x, line.y, " ".repeat(line.width as usize), line.width as usize, screen.style(Role::Text));
    let mut x = line.x + 1;
    if !count.is_empty() {
        x = write(buffer, line, x, &[(&count, screen.style(Role::TitleCount)), ("  ", screen.style(Role::Text))]);
    }
    let start = write(buffer, line, x, &[(sign, screen.style(Role::Accent))]);
    let room = line.right().saturating_sub(start + 1);
    let typed = prompt.line();
    let cursor = prompt.cursor();
    let before: String = typed.chars().take(cursor).collect();
    // A line longer than the screen is shown around its cursor.
    let skip = grid::width(&before).saturating_sub(room);
    let shown: String = typed.chars().skip(skip as usize).collect();
    let end = write(buffer, line, start, &[(&shown, screen.style(Role::Prompt))]);
    let error = match model.views.last() {
        Some(View::Table(view)) if prompt.kind == PromptKind::Filter => view.filter_error.as_ref(),
        _ => None,
    };
    if let Some(error) = error {
        for (index, _) in typed.char_indices().enumerate().filter(|(_, (byte, _))| error.range.contains(byte)) {
            let x = start + u16::try_from(index).unwrap_or(0).saturating_sub(skip);
            buffer.set_style(Rect { x, y: line.y, width: 1, height: 1 }.intersection(line), screen.style(Role::Error));
        }
        let below = Rect { y: line.y + 1, height: 1, ..line };
        if below.y < area.bottom() {
            let text = if error.hint.is_empty() {
                format!("{} ", error.message)
            } else {
                format!("{} ({}) ", error.message, error.hint)
            };
            buffer.set_stringn(start, below.y, &text, room as usize, screen.style(Role::Error));
        }
    }
    if prompt.kind == PromptKind::Command {
        if prompt.chosen.is_none()
            && let Some(rest) = prompt.suggestions.first().and_then(|first| first.strip_prefix(typed))
        {
            write(buffer, line, end, &[(rest, screen.style(Role::PromptGhost))]);
        }
        let width = prompt.suggestions.iter().map(|line| grid::width(line)).max().unwrap_or(0) + 2;
        let width = width.min(area.right().saturating_sub(start));
        for (index, suggestion) in prompt.suggestions.iter().enumerate() {
            let y = line.y + 1 + u16::try_from(index).unwrap_or(0);
            if y + 1 >= area.bottom() {
                break;
            }
            let mut style = screen.style(Role::Dialog);
            if prompt.chosen == Some(index) {
                style = style.patch(screen.style(Role::Selection));
            }
            // Nothing of the row below shines through, not even that it is bold.
            Clear.render(Rect { x: start, y, width, height: 1 }, buffer);
            let text = format!(" {suggestion:<fill$}", fill = (width as usize).saturating_sub(1));
            buffer.set_stringn(start, y, text, width as usize, style);
        }
    }
    let x = start + grid::width(&before).saturating_sub(skip);
    frame.set_cursor_position((x.min(area.right() - 1), line.y));
}
