//! Carries out what the app asks for: orders to the sources, the clipboard, files, the terminal. The only place where an
//! effect becomes something that happens.

use std::{collections::VecDeque, path::PathBuf, thread::JoinHandle};

use super::{
    effect::{Code, Effect},
    fleet::Way,
    model::Model,
    notes::Level,
    prompt::PromptKind,
    streams::{Streams, Want},
    terminal::{Keyboard, Terminal},
};
use crate::{
    command::sign_in::{Question, SignIn},
    config::{dirs::Dirs, history, state::State},
    kinds::{
        self, HasId, Origin,
        activity::Activity,
        nodegroup::{self, Make, NodeGroup},
    },
    problem::Problem,
    sources::{
        aws::{CodeQuestion, change::Outcome, fleet::Survey, groups::activities::Subject, request_token},
        kube::{
            cluster::Preference,
            session::{ConnectOptions, Contexts, Session},
            stream::StreamSpec,
        },
        runner::{Order, Sources},
    },
    store::{
        lens::Scope,
        table::{Rows, Uid},
        world::World,
    },
    ui::theme::{ColorDepth, Themes},
};

/// What effects need.
pub struct Runtime {
    pub sources: Sources,
    pub options: ConnectOptions,
    pub contexts: Contexts,
    pub preference: Preference,
    /// Whom to ask for clusters, until they are asked; none where there is nobody but what is shown.
    pub survey: Option<Survey>,
    pub themes: Themes,
    pub depth: ColorDepth,
    /// `None` where nothing is to be remembered.
    pub dirs: Option<Dirs>,
    /// Command line to run once connected: `-c VIEW`.
    pub first_line: Option<String>,
    /// Namespaces that the command line asked for.
    pub first_scope: Option<Scope>,
    /// Questions for codes, the first of which is on screen.
    pub questions: VecDeque<CodeQuestion>,
    /// What is still being written; the next waits for it, so that the newest stays.
    pub writing: Option<JoinHandle<()>>,
}

/// The group whose activities are wanted, by its make and name.
fn subject(world: &World, want: &Want) -> Option<Subject> {
    let (make, name) = (want.namespace.clone()?, want.object.clone()?);
    let table = world.table::<NodeGroup>();
    let mut rows = table.natural().iter().filter(|&&id| table.name(id) == name).filter_map(|&id| table.get(id));
    let (meta, row) = rows.find(|(_, row)| row.make.word() == make)?;
    let managed = row.place.as_ref().filter(|_| row.make == Make::Managed);
    let cluster = managed.map(|place| place.cluster.clone());
    Some(Subject { uid: meta.uid, make, name, cluster, asg: row.asg.as_ref().map(|asg| asg.name.clone()) })
}

impl Runtime {
    /// The first effects: connect, unless what is to be shown needs no cluster and none is chosen.
    pub fn start(&mut self, model: &mut Model) -> Vec<Effect> {
        self.list_contexts(model);
        if !self.contexts.opens(&self.options)
            && let Some(effects) = self.detached(model)
        {
            return effects;
        }
        vec![Effect::Connect(None)]
    }

    /// Shows what the first line asks for where that is not of a cluster.
    fn detached(&mut self, model: &mut Model) -> Option<Vec<Effect>> {
        let line = self.first_line.take_if(|line| crate::command::line::needs_no_cluster(model, line))?;
        super::local::contexts(model);
        super::local::fleet(model);
        crate::command::line::run(model, &line).ok()
    }

    fn list_contexts(&self, model: &mut Model) {
        model.contexts = self.contexts.list();
        model.fleet.set_contexts(self.contexts.known());
    }

    /// Runs effects, and those that follow from them.
    pub fn run(
        &mut self,
        effects: Vec<Effect>,
        model: &mut Model,
        terminal: &mut Terminal,
        input: &mut Option<Keyboard>,
    ) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Suspend => {
                    // The reader would take keys that belong to the shell.
                    *input = None;
                    terminal.suspend();
                    match Keyboard::listen() {
                        Ok(keyboard) => *input = Some(keyboard),
                        Err(problem) => {
                            tracing::error!("{problem}");
                            model.quit = Some(1);
                        }
                    }
                    model.dirty = true;
                }
                Effect::Redraw => terminal.clear(),
                Effect::Copy(text) => copy(&text),
                other => queue.extend(self.apply(other, model)),
            }
        }
        self.ask(model);
    }

    /// Runs an effect that needs no terminal; gives those that follow.
    pub fn apply(&mut self, effect: Effect, model: &mut Model) -> Vec<Effect> {
        match effect {
            Effect::Connect(context) => return self.connect(context.as_deref(), model),
            Effect::Join(cluster) => return self.join(cluster, model),
            Effect::Open(stream, want) => {
                let info = model.world.kind(want.kind);
                if want.kind == Activity::ID {
                    let subject = subject(&model.world, &want);
                    self.sources.order(Order::Activities { stream, subject });
                    return Vec::new();
                }
                if info.origin == Origin::Aws && want.object.as_deref() == Some(nodegroup::AWS_PART) {
                    self.sources.order(Order::Poll(stream));
                    return Vec::new();
                }
                let pools = info.origin == Origin::Aws;
                let spec = StreamSpec {
                    id: stream,
                    kind: want.kind,
                    group: info.group.to_string(),
                    path: info.source_path(want.namespace.as_deref()),
                    covers: want.covers(),
                    namespace: want.namespace,
                    object: want.object.filter(|_| !pools),
                    watchable: info.watchable,
                };
                let decoder = kinds::decoder(spec.kind, info);
                self.sources.order(Order::Open { spec, decoder });
            }
            Effect::Close(stream) => self.sources.order(Order::Close(stream)),
            Effect::Discover => self.sources.order(Order::Discover),
            Effect::Watch(watched) => {
                self.sources.order(Order::Watch(watched));
                if let Some(survey) = self.survey.take() {
                    self.sources.order(Order::Survey(survey));
                }
            }
            Effect::Attend(visible) => self.sources.order(Order::Attend(visible)),
            Effect::Measure(ask) => self.sources.order(Order::Measure(ask)),
            Effect::Fetch { ticket, request } => self.sources.order(Order::Fetch { ticket, request }),
            Effect::Change { group, name, change } => match request_token() {
                // One for each confirmed wish, whatever becomes of the way there.
                Ok(token) => self.sources.order(Order::Change { group, name, change, token }),
                Err(problem) => crate::command::scale::answered(model, group, &name, Outcome::Refused(problem)),
            },
            Effect::Answer(code) => {
                if let Some(question) = self.questions.pop_front() {
                    // Whoever asked may have given up.
                    let _ = question.answer.send(code.map(|code| code.0));
                }
            }
            Effect::Login(profile) => self.sources.order(Order::Login(profile)),
            Effect::StopLogin => self.sources.order(Order::StopLogin),
            Effect::Reload => self.sources.order(Order::Reload),
            Effect::Save => self.save(model),
            Effect::Theme(name) => match self.themes.get(&name, self.depth) {
                Ok(theme) => {
                    model.theme = theme;
                    model.dirty = true;
                }
                Err(problem) => model.note(Level::Error, problem),
            },
            Effect::Remember(kind, line) => self.remember(kind, line),
            Effect::Suspend | Effect::Redraw | Effect::Copy(_) => {}
        }
        Vec::new()
    }

    /// Credentials raise a question: it is put when those before it are answered.
    pub fn asked(&mut self, question: CodeQuestion, model: &mut Model) {
        self.questions.push_back(question);
        self.ask(model);
    }

    /// Puts the first question that somebody still waits for, where none is on screen.
    fn ask(&mut self, model: &mut Model) {
        if model.sign_in.is_some() || self.questions.is_empty() {
            return;
        }
        self.questions.retain(|question| !question.answer.is_closed());
        let question = self.questions.front().map(|question| Question {
            profile: question.profile.clone(),
            role: question.role.clone(),
            serial: question.serial.clone(),
        });
        model.sign_in = question.map(|question| SignIn::Code { question, typed: Code::default() });
        model.dirty = true;
    }

    /// Leaves what was shown and shows a context; nothing here waits for the network.
    fn connect(&mut self, context: Option<&str>, model: &mut Model) -> Vec<Effect> {
        let named = context.is_some();
        let session = match Session::open_in(&self.contexts, &self.options, context) {
            Ok(session) => session,
            Err(problem) => {
                // A context that cannot be read does not cost the one that is shown.
                if named && (model.facts.is_some() || !model.views.is_empty()) {
                    model.note(Level::Error, problem);
                } else {
                    if let Some(effects) = self.detached(model) {
                        model.note(Level::Warning, problem);
                        return effects;
                    }
                    model.connect_problem = Some(problem.clone());
                    model.note(Level::Error, problem);
                    crate::command::line::show_contexts(model);
                }
                return Vec::new();
            }
        };
        // Nobody waits for answers any more.
        self.questions.clear();
        model.generation += 1;
        model.world = World::default();
        model.streams = Streams::new(model.config.connection.linger);
        model.tickets.clear();
        model.probed.clear();
        (model.server_version, model.user) = (None, None);
        model.discovered = false;
        model.measuring = None;
        model.attending = false;
        model.eks = matches!(session.eks(), Some(Ok(_)));
        model.connect_problem = None;
        let facts = session.facts().clone();
        let order = Order::Connect { generation: model.generation, session, preference: self.preference };
        self.sources.order(order);
        let scope = self.first_scope.take();
        let asked = scope.is_some();
        model.enter_context(facts, scope);
        let line = model.pending_line.take().or_else(|| self.first_line.take());
        let mut effects = match line {
            Some(line) => crate::command::line::run(model, &line).unwrap_or_else(|problem| {
                model.note(Level::Error, problem);
                crate::command::line::show_first(model, asked)
            }),
            None => crate::command::line::show_first(model, asked),
        };
        effects.extend(model.plan_streams());
        effects
    }

    /// Connects to a cluster of the fleet: through its context where it has one, else by what EKS says of it.
    fn join(&mut self, cluster: Uid, model: &mut Model) -> Vec<Effect> {
        let added = match model.fleet.way(cluster) {
            Ok(Way::Context(name)) => Ok(name),
            Ok(Way::Eks(cluster, session)) => self.contexts.add_eks(cluster, session.clone()),
            Err(problem) => Err(problem),
        };
        match added {
            Ok(context) => {
                self.list_contexts(model);
                self.connect(Some(&context), model)
            }
            Err(problem) => {
                model.note(Level::Error, problem);
                Vec::new()
            }
        }
    }

    fn remember(&mut self, kind: PromptKind, line: String) {
        let Some(dirs) = &self.dirs else { return };
        let path = dirs.state.join(history_file(kind));
        self.write(move || history::append(&path, &line));
    }

    fn save(&mut self, model: &Model) {
        let Some(dirs) = &self.dirs else { return };
        let (path, state): (PathBuf, State) = (dirs.state.join("state.json"), model.state.clone());
        self.write(move || state.save(&path));
    }

    /// Writes on a thread of its own, after what came before; what goes wrong is logged.
    fn write(&mut self, write: impl FnOnce() -> Result<(), Problem> + Send + 'static) {
        let before = self.writing.take();
        let spawned = std::thread::Builder::new().name("writing".to_owned()).spawn(move || {
            before.map(JoinHandle::join);
            if let Err(problem) = write() {
                tracing::warn!("{problem}");
            }
        });
        match spawned {
            Ok(thread) => self.writing = Some(thread),
            Err(error) => tracing::warn!("cannot write what is to be remembered: {error}"),
        }
    }

    /// Remembers how the program is left; ends when everything is written.
    pub fn leave(&mut self, model: &Model) {
        self.save(model);
        self.writing.take().map(JoinHandle::join);
    }
}

/// The file that keeps the lines of a prompt.
pub fn history_file(kind: PromptKind) -> &'static str {
    match kind {
        PromptKind::Command => "commands",
        PromptKind::Filter => "filters",
    }
}

/// To the terminal's clipboard (OSC 52, which also works over SSH) and to the system's where there is one.
fn copy(text: &str) {
    use crossterm::{clipboard::CopyToClipboard, execute};
    if let Err(error) = execute!(std::io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
        tracing::warn!("cannot copy: {error}");
    }
    let text = text.to_owned();
    // X11 and Wayland may make one wait.
    let copied = std::thread::Builder::new().name("clipboard".to_owned()).spawn(move || {
        if let Err(error) = arboard::Clipboard::new().and_then(|mut clipboard| clipboard.set_text(text)) {
            tracing::debug!("no system clipboard: {error}");
        }
    });
    if let Err(error) = copied {
        tracing::warn!("cannot copy: {error}");
    }
}
