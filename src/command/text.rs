//! What can be done in a text: scroll, search, show more of the object behind it, copy.

use super::{Command, Scope};
use crate::{
    app::{
        effect::Effect,
        model::Model,
        prompt::{Prompt, PromptKind},
    },
    problem::Problem,
    view::{
        View,
        text::{TextKind, TextView, yaml},
    },
};

type Done = Result<Vec<Effect>, Problem>;

const TEXT: Command = Command { scope: Scope::Text, ..Command::BASE };

/// The commands of every text.
pub const COMMANDS: &[Command] = &[
    Command { id: "text.down", keys: &["j", "down"], help: "Next line", run: |m, _| scroll(m, 1), ..TEXT },
    Command { id: "text.up", keys: &["k", "up"], help: "Line before", run: |m, _| scroll(m, -1), ..TEXT },
    Command {
        id: "text.page-down",
        keys: &["pgdn", "ctrl-f", "space"],
        help: "Next page",
        run: |m, _| page(m, 1),
        ..TEXT
    },
    Command { id: "text.page-up", keys: &["pgup", "ctrl-b"], help: "Page before", run: |m, _| page(m, -1), ..TEXT },
    Command { id: "text.top", keys: &["g", "home"], help: "First line", run: |m, _| scroll(m, isize::MIN), ..TEXT },
    Command { id: "text.bottom", keys: &["G", "end"], help: "Last line", run: |m, _| scroll(m, isize::MAX), ..TEXT },
    Command { id: "text.left", keys: &["h", "left"], help: "Scroll left", run: |m, _| sideways(m, -8), ..TEXT },
    Command { id: "text.right", keys: &["l", "right"], help: "Scroll right", run: |m, _| sideways(m, 8), ..TEXT },
    Command {
        id: "text.search",
        keys: &["/"],
        help: "Search",
        hint: "search",
        run: |m, _| {
            let before = match m.views.last() {
                Some(View::Text(view)) => view.search.clone(),
                _ => String::new(),
            };
            m.prompt = Some(Prompt::new(PromptKind::Filter, &before));
            Ok(Vec::new())
        },
        ..TEXT
    },
    Command {
        id: "text.next",
        keys: &["n"],
        help: "Next match",
        hint: "next",
        when: searching,
        run: |m, _| with(m, |view| view.next_hit(1)),
        ..TEXT
    },
    Command {
        id: "text.previous",
        keys: &["N"],
        help: "Match before",
        when: searching,
        run: |m, _| with(m, |view| view.next_hit(-1)),
        ..TEXT
    },
    Command {
        id: "text.copy",
        keys: &["c"],
        help: "Copy the whole text",
        hint: "copy",
        run: |m, _| {
            let Some(View::Text(view)) = m.views.last() else { return Ok(Vec::new()) };
            let text = view.text();
            m.info(format!("copied {} lines", text.lines().count()));
            Ok(vec![Effect::Copy(text)])
        },
        ..TEXT
    },
    Command {
        id: "text.managed-fields",
        keys: &["m"],
        help: "Show or hide managed fields",
        hint: "managed fields",
        when: is_yaml,
        run: |m, _| {
            with(m, |view| {
                view.managed_fields = !view.managed_fields;
                show_again(view);
            })
        },
        ..TEXT
    },
    Command {
        id: "text.unmask",
        keys: &["x"],
        help: "Show or mask what is secret",
        hint: "unmask",
        when: is_secret,
        run: |m, _| {
            let mut shown = None;
            with(m, |view| {
                view.unmasked = !view.unmasked;
                shown = view.unmasked.then(|| view.title.clone());
                show_again(view);
            })?;
            if let Some(title) = shown {
                tracing::info!(secret = title, "shown unmasked");
                m.info(format!("{title} is shown unmasked"));
            }
            Ok(Vec::new())
        },
        ..TEXT
    },
];

fn with(model: &mut Model, change: impl FnOnce(&mut TextView)) -> Done {
    if let Some(View::Text(view)) = model.views.last_mut() {
        change(view);
        model.dirty = true;
    }
    Ok(Vec::new())
}

fn scroll(model: &mut Model, lines: isize) -> Done {
    with(model, |view| view.scroll(lines))
}

fn page(model: &mut Model, pages: isize) -> Done {
    with(model, |view| view.scroll(view.page() * pages))
}

fn sideways(model: &mut Model, cells: isize) -> Done {
    with(model, |view| view.scroll_sideways(cells))
}

fn searching(model: &Model) -> bool {
    matches!(model.views.last(), Some(View::Text(view)) if !view.search.is_empty())
}

fn is_yaml(model: &Model) -> bool {
    matches!(model.views.last(), Some(View::Text(view)) if view.kind == TextKind::Yaml)
}

fn is_secret(model: &Model) -> bool {
    matches!(model.views.last(), Some(View::Text(view))
        if view.object.as_ref().and_then(|object| object.get("kind")).and_then(|kind| kind.as_str()) == Some("Secret"))
}

fn show_again(view: &mut TextView) {
    if let Some(object) = &view.object {
        let lines = yaml(object, view.managed_fields, view.unmasked);
        view.set_lines(lines);
    }
}
