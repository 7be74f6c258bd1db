//! Going places: views, namespaces, contexts, back and forth, help, messages, themes, leaving.

use super::{Command, Scope, line};
use crate::{
    app::{
        effect::Effect,
        model::Model,
        prompt::{Prompt, PromptKind},
    },
    problem::Problem,
    store::lens::Scope as Namespaces,
    view::{
        View, guide,
        text::{Line, TextKind, TextView},
    },
};

type Done = Result<Vec<Effect>, Problem>;

/// The commands that count everywhere.
pub const COMMANDS: &[Command] = &[
    Command {
        id: "prompt.command",
        keys: &[":"],
        help: "Command line: kinds, namespaces, contexts, commands",
        hint: "command",
        run: |m, _| {
            m.prompt = Some(Prompt::new(PromptKind::Command, ""));
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "view.help",
        keys: &["?"],
        words: &["help"],
        help: "Keys and commands that work here",
        hint: "help",
        run: |m, _| {
            if matches!(m.views.last(), Some(View::Text(view)) if view.kind == TextKind::Help) {
                return back(m);
            }
            let lines = help(m);
            m.views.push(View::Text(Box::new(TextView::new(TextKind::Help, "help".into(), "help".into(), lines))));
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "view.back",
        keys: &["esc", "q"],
        words: &["back"],
        help: "Clear the filter, else go back",
        run: |m, _| back(m),
        ..Command::BASE
    },
    Command {
        id: "app.quit",
        keys: &["ctrl-c"],
        words: &["q", "quit", "q!", "exit"],
        help: "Leave ekscope",
        run: |m, _| {
            m.quit = Some(0);
            Ok(vec![Effect::Save])
        },
        ..Command::BASE
    },
    Command {
        id: "app.suspend",
        words: &["suspend"],
        help: "Stop as Ctrl-Z does in other programs; fg comes back",
        run: |_, _| Ok(vec![Effect::Suspend]),
        ..Command::BASE
    },
    Command {
        id: "view.messages",
        words: &["messages", "msg"],
        keys: &["!"],
        help: "Every note and error since the start",
        run: |m, _| {
            let mut view = TextView::new(TextKind::Messages, "messages".into(), "messages".into(), m.messages());
            view.set_height(1);
            m.views.push(View::Text(Box::new(view)));
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "view.contexts",
        words: &["contexts", "context", "ctx"],
        help: "Contexts of the kubeconfig; with a name, switch to it",
        run: |m, argument| {
            if argument.is_empty() {
                return line::open(m, "contexts", "");
            }
            if !m.contexts.iter().any(|context| context.name == argument) {
                return Err(Problem::new(format!("there is no context {argument:?}")).hint(":ctx lists them"));
            }
            Ok(vec![Effect::Connect(Some(argument.to_owned()))])
        },
        ..Command::BASE
    },
    Command {
        id: "namespace.all",
        scope: Scope::Table,
        keys: &["0"],
        help: "All namespaces",
        run: |m, _| set_scope(m, Namespaces::All),
        ..Command::BASE
    },
    Command {
        id: "namespace.1",
        scope: Scope::Table,
        keys: &["1"],
        help: "Recent namespace 1",
        run: |m, _| favourite(m, 0),
        ..Command::BASE
    },
    Command {
        id: "namespace.2",
        scope: Scope::Table,
        keys: &["2"],
        help: "Recent namespace 2",
        run: |m, _| favourite(m, 1),
        ..Command::BASE
    },
    Command {
        id: "namespace.3",
        scope: Scope::Table,
        keys: &["3"],
        help: "Recent namespace 3",
        run: |m, _| favourite(m, 2),
        ..Command::BASE
    },
    Command {
        id: "namespace.4",
        scope: Scope::Table,
        keys: &["4"],
        help: "Recent namespace 4",
        run: |m, _| favourite(m, 3),
        ..Command::BASE
    },
    Command {
        id: "namespace.5",
        scope: Scope::Table,
        keys: &["5"],
        help: "Recent namespace 5",
        run: |m, _| favourite(m, 4),
        ..Command::BASE
    },
    Command {
        id: "namespace.6",
        scope: Scope::Table,
        keys: &["6"],
        help: "Recent namespace 6",
        run: |m, _| favourite(m, 5),
        ..Command::BASE
    },
    Command {
        id: "namespace.7",
        scope: Scope::Table,
        keys: &["7"],
        help: "Recent namespace 7",
        run: |m, _| favourite(m, 6),
        ..Command::BASE
    },
    Command {
        id: "namespace.8",
        scope: Scope::Table,
        keys: &["8"],
        help: "Recent namespace 8",
        run: |m, _| favourite(m, 7),
        ..Command::BASE
    },
    Command {
        id: "namespace.9",
        scope: Scope::Table,
        keys: &["9"],
        help: "Recent namespace 9",
        run: |m, _| favourite(m, 8),
        ..Command::BASE
    },
    Command {
        id: "history.back",
        keys: &["["],
        help: "The command before",
        run: |m, _| m.history.back().map_or(Ok(Vec::new()), |line| line::run_again(m, &line)),
        ..Command::BASE
    },
    Command {
        id: "history.forward",
        keys: &["]"],
        help: "The command after",
        run: |m, _| m.history.forward().map_or(Ok(Vec::new()), |line| line::run_again(m, &line)),
        ..Command::BASE
    },
    Command {
        id: "history.last",
        keys: &["-"],
        help: "The view before this one, and back again",
        run: |m, _| m.history.last().map_or(Ok(Vec::new()), |line| line::run(m, &line)),
        ..Command::BASE
    },
    Command {
        id: "view.header",
        keys: &["ctrl-e"],
        words: &["header"],
        help: "Show or hide the header",
        run: |m, _| {
            m.show_header = !m.show_header;
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "view.crumbs",
        keys: &["ctrl-g"],
        words: &["crumbs"],
        help: "Show or hide the way back",
        run: |m, _| {
            m.show_crumbs = !m.show_crumbs;
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "view.aliases",
        keys: &["ctrl-a"],
        words: &["aliases", "alias"],
        help: "Every kind that the server has, with its short names",
        run: |m, _| {
            let lines = aliases(m);
            m.views.push(View::Text(Box::new(TextView::new(
                TextKind::Help,
                "aliases".into(),
                "aliases".into(),
                lines,
            ))));
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "app.theme",
        words: &["theme", "skin"],
        help: "Switch the theme; without a name, the next one",
        run: |m, argument| {
            let names = &m.theme_names;
            let name = if argument.is_empty() {
                let at =
                    names.iter().position(|name| *name == m.theme.name).map_or(0, |at| (at + 1) % names.len().max(1));
                names.get(at).cloned().unwrap_or_default()
            } else {
                argument.to_owned()
            };
            Ok(vec![Effect::Theme(name)])
        },
        ..Command::BASE
    },
    Command {
        id: "guide.story",
        words: &["story"],
        help: "What there is to try in this demo",
        when: |m| m.guide.is_some(),
        run: |m, _| {
            let Some(guide) = &m.guide else { return Err(Problem::new("no story is told here").hint("ekscope demo")) };
            let lines = guide.lines(&m.keys).into_iter().map(Line::plain).collect();
            m.views.push(View::Text(Box::new(TextView::new(TextKind::Help, "story".into(), "story".into(), lines))));
            Ok(Vec::new())
        },
        ..Command::BASE
    },
    Command {
        id: "guide.close",
        keys: &["x"],
        help: "Close the guide for good",
        when: |m| guide::shown(m).is_some(),
        run: |m, _| {
            m.state.dismiss(guide::HINT);
            Ok(vec![Effect::Save])
        },
        ..Command::BASE
    },
    Command {
        id: "app.redraw",
        keys: &["ctrl-r"],
        words: &["redraw"],
        help: "Draw the whole screen again",
        run: |m, _| {
            m.dirty = true;
            Ok(vec![Effect::Redraw])
        },
        ..Command::BASE
    },
];

/// Esc and `q`: first the filter, then the view; never out of the program.
pub fn back(model: &mut Model) -> Done {
    if let Some(view) = model.table_mut()
        && (!view.filter.is_empty() || view.lens.faults())
    {
        view.lens.set_faults(false);
        model.set_filter("");
        return Ok(Vec::new());
    }
    if let Some(View::Text(view)) = model.views.last_mut()
        && !view.search.is_empty()
    {
        view.set_search("");
        return Ok(Vec::new());
    }
    model.views.leave();
    model.dirty = true;
    Ok(Vec::new())
}

/// Changes the namespaces of the top table and of what is opened next.
pub fn set_scope(model: &mut Model, scope: Namespaces) -> Done {
    let namespaced = model.table().is_some_and(|view| model.world.kind(view.kind).namespaced);
    if let Some(view) = model.table_mut()
        && namespaced
    {
        view.lens.scope = scope.clone();
        view.lens.invalidate();
    }
    use_scope(model, scope);
    model.dirty = true;
    Ok(vec![Effect::Save])
}

/// Uses namespaces from now on, and remembers them.
pub fn use_scope(model: &mut Model, scope: Namespaces) {
    if let Some(state) = model.remembered() {
        state.namespace = Some(scope.title());
        if let Namespaces::Only(names) = &scope {
            names.iter().for_each(|name| state.visit(name));
        }
    }
    model.scope = scope;
}

fn favourite(model: &mut Model, index: usize) -> Done {
    match model.favourites().get(index).cloned() {
        Some(name) => set_scope(model, Namespaces::Only(vec![name])),
        None => Err(Problem::new(format!("there is no recent namespace {}", index + 1))
            .hint("namespaces that you use take their places from 1 on")),
    }
}

/// The help page: what works on the view below, from the command table.
fn help(model: &Model) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut section = |title: &str, wanted: &dyn Fn(&Command) -> bool| {
        let mut works =
            super::commands().filter(|command| wanted(command) && super::available(command, model)).peekable();
        if works.peek().is_none() {
            return;
        }
        lines.push(Line::role(title.to_owned(), crate::ui::theme::Role::Accent));
        for command in works {
            let keys = model.keys_of(command);
            let words = command.words.first().map(|word| format!(":{word}")).unwrap_or_default();
            let mut line = Line::default();
            line.push(&format!("  {:<22}", keys.join(" ")), crate::ui::theme::Role::HintKey);
            line.push(&format!("{words:<14}"), crate::ui::theme::Role::Dim);
            line.push(command.help, crate::ui::theme::Role::Text);
            lines.push(line);
        }
        lines.push(Line::default());
    };
    section("this view", &|command| matches!(command.scope, Scope::Kind(_) | Scope::Text));
    section("tables", &|command| command.scope == Scope::Table);
    section("everywhere", &|command| command.scope == Scope::Global);
    let scopes = super::scopes(model);
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let bound = model.keys.with_argument(&scopes);
    if !bound.is_empty() {
        lines.push(Line::role("keys with arguments", crate::ui::theme::Role::Accent));
    }
    for (key, id, argument) in &bound {
        let mut line = Line::default();
        line.push(&format!("  {:<22}", key.to_string()), crate::ui::theme::Role::HintKey);
        line.push(&format!("{id} {argument}"), crate::ui::theme::Role::Text);
        lines.push(line);
    }
    if !bound.is_empty() {
        lines.push(Line::default());
    }
    if let Some(view) = model.table() {
        lines.push(Line::role("columns", crate::ui::theme::Role::Accent));
        for column in model.world.rows(view.kind).columns() {
            let mut line = Line::default();
            line.push(&format!("  {:<22}", column.id), crate::ui::theme::Role::HintKey);
            line.push(&format!("{:<14}", if column.wide { "wide" } else { "" }), crate::ui::theme::Role::Dim);
            line.push(&column.help, crate::ui::theme::Role::Text);
            lines.push(line);
        }
        lines.push(Line::default());
    }
    lines.push(Line::role("filter", crate::ui::theme::Role::Accent));
    for (text, help) in [
        ("words here", "rows with all of these words in a column"),
        ("!word", "rows without it"),
        ("^api-.*-0$", "a regular expression, where it has special characters"),
        ("-f pymt", "fuzzy"),
        ("-l app=web,env!=dev", "label selector; app=web alone does too"),
        ("node:ip-10-0", "one column holds the text; :=text is the text"),
        ("cpu>100m  age<3h", "one column compared with a number, a quantity or an age"),
    ] {
        let mut line = Line::default();
        line.push(&format!("  {text:<22}"), crate::ui::theme::Role::HintKey);
        line.push(&format!("{:<14}{help}", ""), crate::ui::theme::Role::Text);
        lines.push(line);
    }
    lines
}

fn aliases(model: &Model) -> Vec<Line> {
    let mut lines: Vec<(String, Line)> = model
        .world
        .kinds()
        .map(|(_, info)| {
            let mut line = Line::default();
            line.push(&format!("  {:<36}", info.plural), crate::ui::theme::Role::HintKey);
            line.push(&format!("{:<24}", info.aliases.join(" ")), crate::ui::theme::Role::Text);
            let group = if info.group.is_empty() {
                info.version.to_string()
            } else {
                format!("{}/{}", info.group, info.version)
            };
            line.push(&group, crate::ui::theme::Role::Dim);
            (info.plural.to_string(), line)
        })
        .collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines.into_iter().map(|(_, line)| line).collect()
}
