//! What follows from what happens: a key, a mouse button, a message of the sources. Pure but for the model; whatever has
//! to be done outside comes back as effects.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{
    effect::{Effect, Ticket},
    model::Model,
    notes::{Level, Note},
    prompt::{Prompt, PromptKind},
};
use crate::{
    command::{self, line, palette, scale, sign_in},
    config::key::Key,
    kinds::{HasId, KindId, Origin, cluster::Cluster, node::Node, nodeclaim::NodeClaim, nodegroup::NodeGroup},
    problem::Problem,
    sources::{
        Batch, Message,
        kube::fetch::{Answer, Request},
    },
    store::{
        stream::{StreamId, StreamState},
        usage::Reading,
    },
    util::age,
    view::{
        View,
        text::{TextKind, TextView, yaml},
    },
};

/// Clocks may be so many seconds apart without a word.
const WRONG_CLOCK: i64 = 60;

/// What the terminal sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize,
    Other,
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Input::Key(key),
            Event::Paste(text) => Input::Paste(text),
            Event::Mouse(mouse) => Input::Mouse(mouse),
            Event::Resize(..) => Input::Resize,
            _ => Input::Other,
        }
    }
}

/// Whether a message may have changed what is on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    Kind(KindId),
    Header,
    Nothing,
}

impl Touched {
    pub fn is_visible(self, model: &Model) -> bool {
        match self {
            Touched::Nothing => false,
            Touched::Header => true,
            Touched::Kind(kind) => model.shows(kind),
        }
    }
}

/// Handles what the terminal sent.
pub fn input(model: &mut Model, input: Input) -> Vec<Effect> {
    model.dirty |= input != Input::Other;
    match input {
        Input::Key(key) if model.sign_in.is_some() => {
            let done = sign_in::key(model, key);
            settle(model, done)
        }
        Input::Key(key) => match model.prompt.take() {
            Some(prompt) => in_prompt(model, prompt, key),
            None if model.dialog.is_some() => in_dialog(model, key),
            None => key_pressed(model, key),
        },
        Input::Paste(text) => {
            if model.sign_in.is_some() {
                sign_in::paste(model, &text);
            } else if let Some(prompt) = &mut model.prompt {
                prompt.text.insert_str(text.lines().next().unwrap_or_default());
                prompt_changed(model);
            }
            Vec::new()
        }
        Input::Mouse(mouse) => clicked(model, mouse),
        Input::Resize | Input::Other => Vec::new(),
    }
}

fn key_pressed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let scopes = command::scopes(model);
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let Some((id, argument)) = model.keys.lookup(&scopes, key) else { return Vec::new() };
    let (Some(command), argument) = (command::find(id), argument.to_owned()) else { return Vec::new() };
    if !command::available(command, model) {
        let tried = Key::from_event(key).map_or_else(String::new, |key| key.to_string());
        return match command::unavailable(command, &tried, model) {
            Some(problem) => settle(model, Err(problem)),
            None => Vec::new(),
        };
    }
    let done = (command.run)(model, &argument);
    settle(model, done)
}

/// A dialog takes every key: its own commands first, then a size or a name that is typed.
fn in_dialog(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char(character) if plain && (scale::is_typing(model) || character.is_ascii_digit()) => {
            scale::typed(model, character);
            Vec::new()
        }
        KeyCode::Backspace => {
            scale::erased(model);
            Vec::new()
        }
        _ => key_pressed(model, key),
    }
}

/// Notes what went wrong with a command.
fn settle(model: &mut Model, done: Result<Vec<Effect>, Problem>) -> Vec<Effect> {
    done.unwrap_or_else(|problem| {
        model.note(Level::Warning, problem);
        Vec::new()
    })
}

fn in_prompt(model: &mut Model, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => {
            model.quit = Some(0);
            return vec![Effect::Save];
        }
        KeyCode::Esc => {
            if prompt.kind == PromptKind::Filter {
                let before = prompt.before.clone();
                apply_filter(model, &before);
            }
            return Vec::new();
        }
        KeyCode::Enter => return accept(model, &prompt),
        KeyCode::Tab if prompt.kind == PromptKind::Command => choose(&mut prompt, 1),
        KeyCode::BackTab if prompt.kind == PromptKind::Command => choose(&mut prompt, -1),
        KeyCode::Up => recall(model, &mut prompt, 1),
        KeyCode::Down => recall(model, &mut prompt, -1),
        KeyCode::Char('u') if control => {
            prompt.set("");
            prompt.chosen = None;
        }
        KeyCode::Char('w') if control => {
            prompt.text.delete_word();
        }
        KeyCode::Right if prompt.at_end() && !prompt.suggestions.is_empty() => choose(&mut prompt, 0),
        KeyCode::Backspace if prompt.line().is_empty() => {
            if prompt.kind == PromptKind::Filter {
                apply_filter(model, "");
            }
            return Vec::new();
        }
        _ => {
            prompt.text.input(key);
            prompt.chosen = None;
        }
    }
    model.prompt = Some(prompt);
    prompt_changed(model);
    Vec::new()
}

/// Takes over a suggestion: the next, the one before, or the one that is offered.
fn choose(prompt: &mut Prompt, by: isize) {
    let count = prompt.suggestions.len();
    if count == 0 {
        return;
    }
    let at = match (prompt.chosen, by) {
        (Some(at), _) => (at + count).saturating_add_signed(by) % count,
        (None, -1) => count - 1,
        (None, _) => 0,
    };
    let line = prompt.suggestions[at].clone();
    prompt.set(&line);
    prompt.chosen = Some(at);
}

/// Walks through lines typed before.
fn recall(model: &Model, prompt: &mut Prompt, by: isize) {
    let entries = model.typed(prompt.kind);
    let at = match (prompt.recalled, by) {
        (None, 1) => 0,
        (None, _) => return,
        (Some(at), 1) => at + 1,
        (Some(0), _) => {
            prompt.recalled = None;
            prompt.set("");
            return;
        }
        (Some(at), _) => at - 1,
    };
    if let Some(line) = entries.len().checked_sub(at + 1).and_then(|index| entries.get(index)) {
        prompt.recalled = Some(at);
        prompt.set(line);
    }
}

fn prompt_changed(model: &mut Model) {
    let Some(prompt) = model.prompt.take() else { return };
    let line = prompt.line().to_owned();
    match prompt.kind {
        PromptKind::Filter => {
            model.prompt = Some(prompt);
            apply_filter(model, &line);
        }
        PromptKind::Command => {
            let suggestions = if prompt.chosen.is_some() {
                prompt.suggestions.clone()
            } else if line.trim().is_empty() {
                Vec::new()
            } else {
                palette::complete(model, &line)
            };
            model.prompt = Some(Prompt { suggestions, ..prompt });
        }
    }
}

fn apply_filter(model: &mut Model, text: &str) {
    match model.views.last_mut() {
        Some(View::Table(_)) => model.set_filter(text),
        Some(View::Text(view)) => view.set_search(text),
        None => {}
    }
}

fn accept(model: &mut Model, prompt: &Prompt) -> Vec<Effect> {
    let line = prompt.line().trim().to_owned();
    match prompt.kind {
        PromptKind::Filter => {
            apply_filter(model, &line);
            model.remember_typed(PromptKind::Filter, &line);
            Vec::new()
        }
        PromptKind::Command => {
            // What is offered behind the cursor is meant, where the word alone means nothing.
            let offered = prompt.suggestions.first().filter(|offered| offered.starts_with(&line));
            let line = match offered {
                Some(offered) if !line.is_empty() && !line::is_known(model, &line) => offered.clone(),
                _ => line,
            };
            model.remember_typed(PromptKind::Command, &line);
            let done = line::run(model, &line);
            settle(model, done)
        }
    }
}

fn clicked(model: &mut Model, mouse: MouseEvent) -> Vec<Effect> {
    if model.dialog.is_some() || model.sign_in.is_some() {
        return Vec::new();
    }
    let lines = match mouse.kind {
        MouseEventKind::ScrollDown => 3,
        MouseEventKind::ScrollUp => -3,
        MouseEventKind::Down(MouseButton::Left) => {
            let body = model.body;
            if mouse.row < body.y || mouse.row >= body.bottom() {
                return Vec::new();
            }
            let Some(View::Table(view)) = model.views.last_mut() else { return Vec::new() };
            let again = view.click(&model.world, usize::from(mouse.row - body.y));
            if again && let Some(command) = command::find("table.enter") {
                let done = (command.run)(model, "");
                return settle(model, done);
            }
            return Vec::new();
        }
        _ => return Vec::new(),
    };
    match model.views.last_mut() {
        Some(View::Table(view)) => view.step(&model.world, lines),
        Some(View::Text(view)) => view.scroll(lines),
        None => {}
    }
    Vec::new()
}

/// Handles what a source sent.
pub fn message(model: &mut Model, message: Message) -> Touched {
    match message {
        Message::Batch(Batch { stream, kind, epoch, fresh, changes, columns, undecodable, .. }) => {
            model.world.symbols.extend(fresh);
            // Symbols count whoever sent them; rows only while somebody wants the stream.
            let Some(known) = model.streams.get_mut(stream) else { return Touched::Nothing };
            known.undecodable = undecodable;
            if let Some(columns) = columns {
                model.set_columns(kind, columns);
            }
            model.world.apply(kind, changes, epoch);
            if [NodeGroup::ID, Node::ID, NodeClaim::ID].contains(&kind) {
                scale::follow(model);
            }
            Touched::Kind(kind)
        }
        Message::Complete { stream, kind, covers, epoch } => {
            let Some(known) = model.streams.get_mut(stream) else { return Touched::Nothing };
            known.synced = true;
            model.world.sweep(kind, &covers, epoch);
            Touched::Kind(kind)
        }
        Message::State { stream, state } => stream_state(model, stream, state),
        Message::Served(Ok(served)) => {
            model.served(served);
            Touched::Header
        }
        Message::Served(Err(problem)) => {
            // Whoever waits for a kind waits for nothing.
            match model.awaited_line() {
                Some(_) => model.no_such_view(problem),
                None => model.note(Level::Warning, problem),
            }
            Touched::Header
        }
        Message::Usage { kind, reading } => {
            let part = matches!(reading, Reading::Part(_));
            model.world.measure(kind, reading);
            // Parts show once they are whole.
            if part { Touched::Nothing } else { Touched::Kind(kind) }
        }
        Message::Changed { group, name, outcome } => {
            scale::answered(model, group, &name, outcome);
            Touched::Header
        }
        Message::Fleet(news) => {
            model.fleet.hear(news);
            super::local::fleet(model);
            Touched::Kind(Cluster::ID)
        }
        Message::Login(news) => {
            sign_in::heard(model, news);
            Touched::Header
        }
        Message::Reloaded => {
            sign_in::reloaded(model);
            Touched::Header
        }
        Message::SignedIn(outcome) => {
            sign_in::signed_in(model, outcome);
            Touched::Header
        }
        Message::Fetched { ticket, answer } => {
            fetched(model, ticket, answer);
            Touched::Header
        }
    }
}

fn stream_state(model: &mut Model, id: StreamId, state: StreamState) -> Touched {
    let Some(stream) = model.streams.get_mut(id) else { return Touched::Nothing };
    // Who could list everything has no use for single namespaces.
    let (kind, cluster_wide) = (stream.kind, stream.namespace.is_none() && !stream.synced);
    let changed = stream.state != state;
    let was_stale = matches!(stream.state, StreamState::Stale { .. });
    stream.state = state.clone();
    if !changed {
        return Touched::Nothing;
    }
    // What AWS does not say of a join stays unknown there, without a word.
    if model.world.kind(kind).origin == Origin::Aws && model.table().is_none_or(|view| view.kind != kind) {
        return Touched::Header;
    }
    match state {
        // What ails many, as credentials that have expired do, is said once.
        StreamState::Stale { why, .. } if !was_stale && is_known(model, id, &why) => {}
        StreamState::Stale { why, passing, .. } if !was_stale => {
            model.note(if passing { Level::Warning } else { Level::Error }, why);
        }
        StreamState::Live if was_stale => {
            let name = model.world.kind(kind).plural.to_string();
            model.info(format!("{name}: live again"));
        }
        StreamState::Forbidden(problem) => {
            model.note(Level::Warning, problem);
            let info = model.world.kind(kind);
            if cluster_wide && info.namespaced && !model.probed.contains_key(&kind) {
                let request = Request::Namespaces {
                    group: info.group.to_string(),
                    resource: info.plural.to_string(),
                    known: model.known_namespaces(),
                };
                model.probed.insert(kind, model.now);
                let ticket = model.ticket(Ticket::Namespaces(kind));
                model.outbox.push(Effect::Fetch { ticket, request });
            }
        }
        StreamState::Gone(problem) => model.note(Level::Warning, problem),
        StreamState::Off(problem) => model.note_once(Level::Warning, problem),
        _ => {}
    }
    Touched::Header
}

/// Whether another stream has the same trouble, which was noted then.
fn is_known(model: &Model, own: StreamId, trouble: &Problem) -> bool {
    let same = |state: &StreamState| matches!(state, StreamState::Stale { why, .. } if why == trouble);
    model.streams.with_ids().any(|(id, stream)| id != own && same(&stream.state))
}

fn fetched(model: &mut Model, ticket: u64, answer: Answer) {
    let Some(ticket) = model.tickets.remove(&ticket) else { return };
    match (ticket, answer) {
        // Who went elsewhere meanwhile stays there.
        (Ticket::Yaml { place, .. }, Answer::Object(Ok(_))) if place != model.views.place() || model.is_asked() => {}
        (Ticket::Yaml { title, .. }, Answer::Object(Ok(object))) => {
            let lines = yaml(&object, false, false);
            let crumb = title.clone();
            let mut view = TextView::new(TextKind::Yaml, title, crumb, lines);
            view.object = Some(object);
            model.views.push(View::Text(Box::new(view)));
            model.dirty = true;
        }
        (Ticket::Yaml { .. }, Answer::Object(Err(problem))) => model.note(Level::Error, problem),
        (Ticket::Introduction, Answer::Introduction { version, user, clock_ahead }) => {
            model.user = user;
            match version {
                Ok(version) => model.server_version = Some(version),
                Err(problem) => tracing::info!("{problem}"),
            }
            if let Some(ahead) = clock_ahead.filter(|ahead| ahead.abs() > WRONG_CLOCK) {
                let side = if ahead > 0 { "ahead of" } else { "behind" };
                let apart = age::human(ahead.abs());
                let what = format!("the server's clock is {apart} {side} this machine's");
                model.note(Level::Warning, Problem::new(what).because("ages are off by as much").hint("set the clock"));
            }
        }
        (Ticket::Namespaces(kind), Answer::Namespaces(names)) => {
            if names.is_empty() {
                return;
            }
            let plural = model.world.kind(kind).plural.to_string();
            model.notes.push(Note {
                at: model.now,
                level: Level::Info,
                problem: Problem::new(format!("{plural}: shown in {}, where you may see them", names.join(", "))),
            });
            model.streams.granted.insert(kind, names);
        }
        (ticket, answer) => tracing::error!("{ticket:?} answered by {answer:?}"),
    }
}
