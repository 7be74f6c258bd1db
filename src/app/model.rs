//! The loop's state: the world, the streams that feed it, the views on their stack, and what the user is in the midst
//! of. Changed by `update` and the commands only.

use std::collections::{BTreeMap, HashMap};

use ratatui::layout::Rect;
use tui_textarea::TextArea;

use super::{
    effect::{Effect, Ticket},
    fleet::Fleet,
    shown,
    streams::{Streams, Want},
};
use crate::{
    command::{self, Command, scale::Scaling, sign_in::SignIn},
    config::{
        keymap::KeyMap,
        settings::{self, Config},
        state::{ContextState, State},
    },
    kinds::{
        ColumnInfo, HasId, KindId, KindInfo, Origin,
        cluster::Cluster,
        column_named,
        node::Node,
        nodegroup::{self, NodeGroup},
        pod::Pod,
    },
    problem::Problem,
    sources::{
        aws::fleet::Watched,
        kube::{
            discovery::Served,
            fetch::Request,
            metrics::{Ask, Subject},
            session::{ContextEntry, Facts},
        },
    },
    store::{
        lens::{Lens, Pin, Scope, Sort},
        query::{self, Query},
        stream::StreamState,
        table::Covers,
        world::World,
    },
    ui::theme::{Role, Theme},
    view::{
        View,
        dialog::Dialog,
        guide::Guide,
        table::TableView,
        text::{Line, TextKind},
    },
};

/// How long a note stands in the footer, milliseconds.
const TOAST: i64 = 6_000;
/// For how long a context's first view is alone, at most, milliseconds.
const HEAD_START: i64 = 1_000;
/// Notes that are kept.
const MESSAGES: usize = 2_000;

/// What the prompt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// `:`
    Command,
    /// `/`
    Filter,
}

/// A line that is being typed.
pub struct Prompt {
    pub kind: PromptKind,
    pub text: TextArea<'static>,
    /// What it could become, best first.
    pub suggestions: Vec<String>,
    pub chosen: Option<usize>,
    /// Where Up and Down are in the history; `None` is the line itself.
    pub recalled: Option<usize>,
    /// The filter before it was changed, for Esc.
    pub before: String,
}

impl Prompt {
    pub fn new(kind: PromptKind, text: &str) -> Self {
        let mut area = TextArea::new(vec![text.to_owned()]);
        area.move_cursor(tui_textarea::CursorMove::End);
        Self { kind, text: area, suggestions: Vec::new(), chosen: None, recalled: None, before: text.to_owned() }
    }

    pub fn line(&self) -> &str {
        self.text.lines().first().map_or("", String::as_str)
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.text.cursor().1
    }

    pub fn at_end(&self) -> bool {
        self.cursor() == self.line().chars().count()
    }

    pub fn set(&mut self, text: &str) {
        self.text = TextArea::new(vec![text.to_owned()]);
        self.text.move_cursor(tui_textarea::CursorMove::End);
    }
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warning,
    Error,
}

impl Level {
    pub fn role(self) -> Role {
        match self {
            Level::Info => Role::Info,
            Level::Warning => Role::Warning,
            Level::Error => Role::Error,
        }
    }
}

/// A note; kept in the messages view.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Milliseconds since 1970.
    pub at: i64,
    pub level: Level,
    pub problem: Problem,
}

/// Everything that the loop owns.
pub struct Model {
    pub world: World,
    pub streams: Streams,
    /// Counts connections: messages of an earlier one are dropped.
    pub generation: u32,
    /// The cluster that is shown; `None` when the context could not even be read.
    pub facts: Option<Facts>,
    pub connect_problem: Option<Problem>,
    pub server_version: Option<String>,
    pub views: Vec<View>,
    pub prompt: Option<Prompt>,
    /// What asks before something happens, and what it is about.
    pub dialog: Option<(Dialog, Scaling)>,
    /// What a person is asked on the way to credentials; it lies over everything.
    pub sign_in: Option<SignIn>,
    /// Namespaces of new views.
    pub scope: Scope,
    pub notes: Vec<Note>,
    pub tickets: HashMap<u64, Ticket>,
    pub next_ticket: u64,
    pub state: State,
    pub history: History,
    /// What a newcomer is told on the first screen.
    pub guide: Option<Guide>,
    pub show_header: bool,
    pub show_crumbs: bool,
    pub contexts: Vec<ContextEntry>,
    /// The clusters of all accounts, whichever is shown.
    pub fleet: Fleet,
    pub theme: Theme,
    pub theme_names: Vec<String>,
    pub keys: KeyMap,
    pub read_only: bool,
    /// Milliseconds since 1970.
    pub now: i64,
    pub config: Config,
    pub quit: Option<u8>,
    /// Whether the screen has to be drawn for what the user did, not for data.
    pub dirty: bool,
    /// Kinds for which access by namespace was asked for.
    pub probed: BTreeMap<KindId, i64>,
    pub discovered: bool,
    /// What metrics are polled of.
    pub measuring: Option<Ask>,
    /// Whether what AWS says is on screen.
    pub attending: bool,
    /// Whether the cluster is one of EKS, with an AWS session of its own.
    pub eks: bool,
    /// When the context was entered (milliseconds), and whether the server was asked who it is and what it serves:
    /// once the first view has its rows.
    pub connected_at: i64,
    pub introduced: bool,
    /// A line to be run in the context that is being switched to.
    pub pending_line: Option<String>,
    /// A line whose kind only discovery will know.
    pub pending_kind: Option<String>,
    /// Lines typed before, the oldest first.
    pub typed_commands: Vec<String>,
    pub typed_filters: Vec<String>,
    /// Effects of messages, for the runtime to take.
    pub outbox: Vec<Effect>,
    /// When something on screen changes by itself (milliseconds).
    pub wake: Option<i64>,
    /// Where the rows of the top table stand on screen.
    pub body: Rect,
}

/// Commands that were run, like a browser's history.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<String>,
    at: usize,
}

impl History {
    pub fn visit(&mut self, line: &str) {
        if self.entries.get(self.at).is_some_and(|entry| entry == line) {
            return;
        }
        self.entries.truncate(self.at + 1);
        self.entries.push(line.to_owned());
        if self.entries.len() > 1_000 {
            self.entries.remove(0);
        }
        self.at = self.entries.len() - 1;
    }

    pub fn back(&mut self) -> Option<String> {
        self.at = self.at.checked_sub(1)?;
        self.entries.get(self.at).cloned()
    }

    pub fn forward(&mut self) -> Option<String> {
        let line = self.entries.get(self.at + 1)?.clone();
        self.at += 1;
        Some(line)
    }

    /// The command before the one that is shown, as `cd -` has it.
    pub fn last(&self) -> Option<String> {
        self.entries.get(self.at.checked_sub(1)?).cloned()
    }
}

impl Model {
    /// A model without a cluster.
    pub fn new(config: Config, keys: KeyMap, theme: Theme, theme_names: Vec<String>, state: State) -> Self {
        Self {
            world: World::default(),
            streams: Streams::default(),
            generation: 0,
            facts: None,
            connect_problem: None,
            server_version: None,
            views: Vec::new(),
            prompt: None,
            dialog: None,
            sign_in: None,
            scope: Scope::default(),
            notes: Vec::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            state,
            history: History::default(),
            guide: None,
            show_header: true,
            show_crumbs: true,
            contexts: Vec::new(),
            fleet: Fleet::default(),
            theme,
            theme_names,
            keys,
            read_only: config.safety.read_only,
            now: super::now(),
            config,
            quit: None,
            dirty: true,
            probed: BTreeMap::new(),
            discovered: false,
            measuring: None,
            attending: false,
            eks: false,
            connected_at: 0,
            introduced: false,
            pending_line: None,
            pending_kind: None,
            typed_commands: Vec::new(),
            typed_filters: Vec::new(),
            outbox: Vec::new(),
            wake: None,
            body: Rect::default(),
        }
    }

    /// Shows another cluster: nothing of the one before stays. `namespace` is what the command line asked for, and
    /// counts for the first context only.
    pub fn enter_context(&mut self, facts: Facts, namespace: Option<Scope>) {
        let remembered = self
            .state
            .context(&facts.context)
            .and_then(|state| state.namespace.as_deref())
            .filter(|_| self.config.start.remember);
        self.scope = match (namespace, remembered, self.config.start.namespace.as_str()) {
            (Some(scope), ..) => scope,
            (None, Some(remembered), _) => Scope::parse(remembered),
            // The namespace of the context counts where it names one.
            (None, None, "") => self
                .contexts
                .iter()
                .find(|context| context.name == facts.context)
                .and_then(|context| context.namespace.as_deref())
                .map_or(Scope::All, Scope::parse),
            (None, None, configured) => Scope::parse(configured),
        };
        self.read_only = facts.read_only;
        self.connected_at = self.now;
        self.introduced = false;
        self.facts = Some(facts);
        self.views.clear();
        self.prompt = None;
        self.dialog = None;
        self.sign_in = None;
        super::local::contexts(self);
        super::local::fleet(self);
    }

    /// Keys that reach a command on the top view, the one to show first.
    pub fn keys_of(&self, command: &Command) -> Vec<String> {
        let scopes = command::scopes(self);
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        self.keys.keys_of(&scopes, command.id).iter().map(ToString::to_string).collect()
    }

    /// Lines typed before into a prompt.
    pub fn typed(&self, kind: PromptKind) -> &[String] {
        match kind {
            PromptKind::Command => &self.typed_commands,
            PromptKind::Filter => &self.typed_filters,
        }
    }

    /// Keeps a typed line for Up.
    pub fn remember_typed(&mut self, kind: PromptKind, line: &str) {
        if line.is_empty() {
            return;
        }
        let entries = match kind {
            PromptKind::Command => &mut self.typed_commands,
            PromptKind::Filter => &mut self.typed_filters,
        };
        entries.retain(|entry| entry != line);
        entries.push(line.to_owned());
        self.outbox.push(Effect::Remember(kind, line.to_owned()));
    }

    /// Whether rows of a kind are on screen or joined into what is.
    pub fn shows(&self, kind: KindId) -> bool {
        let info = self.world.kind(kind);
        let Some(view) = self.table() else { return false };
        // The header counts nodes and pods.
        let counted = kind == Node::ID || kind == Pod::ID;
        counted || view.kind == kind || self.world.kind(view.kind).joins.contains(&&*info.plural)
    }

    /// Namespaces that the configuration names, to be tried where the server lists none.
    pub fn known_namespaces(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(facts) = &self.facts {
            names.push(facts.namespace.clone());
            if let Some(state) = self.state.context(&facts.context) {
                names.extend(state.favourites.iter().cloned());
            }
        }
        if let Scope::Only(scope) = &self.scope {
            names.extend(scope.iter().cloned());
        }
        names
    }

    /// Namespaces on the digits, from 1.
    pub fn favourites(&self) -> &[String] {
        self.facts
            .as_ref()
            .and_then(|facts| self.state.context(&facts.context))
            .map_or(&[], |state| state.favourites.as_slice())
    }

    /// What is to be remembered of the context that is shown.
    pub fn remembered(&mut self) -> Option<&mut ContextState> {
        let context = self.facts.as_ref()?.context.clone();
        Some(self.state.context_mut(&context))
    }

    /// Takes in what the server serves.
    pub fn served(&mut self, served: Served) {
        let first = !std::mem::replace(&mut self.discovered, true);
        let gone = self.world.set_kinds(served.kinds, &served.silent);
        for kind in gone.into_iter().filter(|_| !first) {
            self.close_kind(kind);
        }
        // Settings may name what only another cluster has; what resembles something here is a slip of the fingers.
        if first && served.silent.is_empty() {
            for name in shown::strangers(&self.config, &self.keys, &self.world) {
                let problem = shown::unknown_kind(&name, &self.world);
                let level = if problem.hint.is_empty() { Level::Info } else { Level::Warning };
                self.note_once(level, problem);
            }
        }
        if let Some(line) = self.pending_kind.take() {
            match command::line::run(self, &line) {
                Ok(effects) => self.outbox.extend(effects),
                Err(problem) => self.no_such_view(problem),
            }
        }
    }

    /// The view that was waited for will not come: there is another if there is none.
    pub fn no_such_view(&mut self, problem: Problem) {
        self.note(Level::Error, problem);
        if self.views.is_empty() {
            command::line::show_pods(self);
        }
    }

    /// The cluster that is shown, by its own name.
    pub fn cluster_name(&self) -> &str {
        let cluster = self.facts.as_ref().map_or("", |facts| facts.cluster.as_str());
        // Of an ARN the last part is the name.
        cluster.rsplit('/').next().unwrap_or(cluster)
    }

    /// Whether the settings ask for care with the cluster that is shown.
    pub fn protected(&self) -> bool {
        let safety = &self.config.safety;
        self.facts.as_ref().is_some_and(|facts| safety.protects(&facts.context) || safety.protects(&facts.cluster))
    }

    /// Leaves the views, streams and rows of a kind that the server no longer has.
    fn close_kind(&mut self, kind: KindId) {
        self.outbox.extend(self.streams.leave(kind).into_iter().map(Effect::Close));
        self.world.forget(kind, &Covers::All);
        let shown = self.views.len();
        self.views.retain(|view| view.as_table().is_none_or(|view| view.kind != kind));
        if self.views.len() == shown {
            return;
        }
        let name = kind_key(self.world.kind(kind));
        self.note(Level::Warning, Problem::new(format!("the server no longer serves {name}")));
        if self.views.is_empty() {
            // Not the view that is remembered: it is the one that went.
            command::line::show_pods(self);
        }
        self.dirty = true;
    }

    /// Notes something for the footer and the messages view.
    pub fn note(&mut self, level: Level, problem: Problem) {
        if self.notes.len() >= MESSAGES {
            self.notes.remove(0);
        }
        self.notes.push(Note { at: self.now, level, problem });
        let open =
            self.views.iter().position(|view| matches!(view, View::Text(text) if text.kind == TextKind::Messages));
        if let Some(open) = open {
            let lines = self.messages();
            if let View::Text(text) = &mut self.views[open] {
                text.grow_above(lines);
            }
        }
    }

    /// What the messages view shows: every note, the newest first.
    pub fn messages(&self) -> Vec<Line> {
        if self.notes.is_empty() {
            return vec![Line::plain("nothing has been noted so far")];
        }
        let line = |note: &Note| {
            let at = jiff::Timestamp::from_millisecond(note.at).unwrap_or_default();
            let time = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
            let mut line = Line::default();
            line.push(&time, Role::Dim);
            line.push("  ", Role::Text);
            line.push(&note.problem.to_string().replace('\n', " "), note.level.role());
            line
        };
        self.notes.iter().rev().map(line).collect()
    }

    /// Notes something that would be found again with every connection.
    pub fn note_once(&mut self, level: Level, problem: Problem) {
        if !self.notes.iter().any(|note| note.problem == problem) {
            self.note(level, problem);
        }
    }

    pub fn info(&mut self, text: impl Into<String>) {
        self.note(Level::Info, Problem::new(text));
    }

    /// The note that stands in the footer now.
    pub fn toast(&self) -> Option<&Note> {
        self.fresh_notes().next()
    }

    /// Notes of the last seconds, the newest first.
    pub fn fresh_notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().rev().take_while(|note| note.at + TOAST > self.now)
    }

    pub fn table(&self) -> Option<&TableView> {
        self.views.last().and_then(View::as_table)
    }

    pub fn table_mut(&mut self) -> Option<&mut TableView> {
        self.views.last_mut().and_then(View::as_table_mut)
    }

    /// Which kind a word means: its plural, kind, alias or `plural.group`; kinds that the server has before others.
    pub fn kind_named(&self, word: &str) -> Option<KindId> {
        kind_named(&self.world, word)
    }

    /// Puts a table on the stack.
    pub fn push_table(&mut self, kind: KindId, scope: Scope, pin: Option<Pin>, crumb: String) {
        let info = self.world.kind(kind);
        let mut lens = Lens::new(if info.namespaced { scope } else { Scope::All }, pin);
        let (columns, sort) = self.first_look(kind);
        lens.set_chosen(columns);
        lens.set_sort(sort);
        self.views.push(View::Table(Box::new(TableView::new(kind, lens, crumb))));
        self.dirty = true;
    }

    /// Which columns the user wants of a kind, and its first order: the one in which it was left, the one that is set,
    /// or the one that its file names.
    fn first_look(&self, kind: KindId) -> (Vec<usize>, Sort) {
        let (info, infos) = (self.world.kind(kind), self.world.rows(kind).columns());
        let settings = shown::settings(&self.config, &self.world, kind);
        let named = |column: &str, descending| {
            column_named(infos, column).map(|column| Sort { column: Some(column), descending })
        };
        let left = self
            .facts
            .as_ref()
            .filter(|_| self.config.start.remember)
            .and_then(|facts| self.state.context(&facts.context)?.sort.get(&kind_key(info)))
            .and_then(|text| match settings::Sort::parse(text) {
                // By namespace and name, which is what nothing stands for.
                None => Some(Sort::default()),
                Some(sort) => named(&sort.column, sort.descending),
            });
        let set = || settings.and_then(|settings| shown::sort(settings, infos));
        let own = || info.sort.as_ref().and_then(|(column, descending)| named(column, *descending));
        let columns = settings.map_or(Vec::new(), |settings| shown::columns(settings, infos));
        (columns, left.or_else(set).or_else(own).unwrap_or_default())
    }

    /// Takes over columns that the server decided; sort and filter of the views mean the same columns as before.
    pub fn set_columns(&mut self, kind: KindId, columns: Vec<ColumnInfo>) {
        let before = self.world.rows(kind).columns();
        if before == columns.as_slice() {
            return;
        }
        let ids: Vec<_> = before.iter().map(|column| column.id.clone()).collect();
        self.world.set_columns(kind, columns);
        let (chosen, first) = self.first_look(kind);
        let infos = self.world.rows(kind).columns();
        let settings = shown::settings(&self.config, &self.world, kind);
        let missing = settings.map(|settings| shown::missing_columns(settings, self.world.kind(kind), infos));
        for view in self.views.iter_mut().filter_map(View::as_table_mut).filter(|view| view.kind == kind) {
            let sort = view.lens.sort();
            let kept = sort.column.and_then(|column| infos.iter().position(|info| Some(&info.id) == ids.get(column)));
            view.lens.set_sort(if ids.is_empty() { first } else { Sort { column: kept, ..sort } });
            view.lens.set_chosen(chosen.clone());
            view.columns_changed();
            read_filter(view, infos);
        }
        for problem in missing.into_iter().flatten() {
            self.note_once(Level::Warning, problem);
        }
        self.dirty = true;
    }

    /// What the streams have to bring for the views on the stack, the top view's first.
    pub fn wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let tables: Vec<&TableView> = self.views.iter().rev().filter_map(View::as_table).collect();
        for view in &tables {
            wants.extend(self.wants_of(view));
        }
        let joining = if self.first_view_is_served() { tables.as_slice() } else { &[] };
        for view in joining {
            for joined in self.world.kind(view.kind).joins {
                if let Some(kind) = self.kind_named(joined) {
                    let info = self.world.kind(kind);
                    if info.origin == Origin::Aws {
                        let of_aws = |want: &Want| self.eks && want.object.as_deref() == Some(nodegroup::AWS_PART);
                        wants.extend(self.parts_of_groups(kind).into_iter().filter(of_aws));
                        continue;
                    }
                    // Nobody asks for what the server may not have.
                    if info.is_custom() && !info.served {
                        continue;
                    }
                    wants.extend(self.streams.wants(kind, info.namespaced, &view.lens.scope));
                }
            }
        }
        // A change on its way is followed wherever one looks.
        if !self.world.wishes.flights().is_empty() {
            wants.extend(self.parts_of_groups(NodeGroup::ID));
            wants.push(Want { kind: Node::ID, namespace: None, object: None });
        }
        let mut seen = Vec::new();
        wants.retain(|want| {
            let new = !seen.contains(want);
            if new {
                seen.push(want.clone());
            }
            new
        });
        wants
    }

    /// Whether the first view of a context has its rows, or will not have them soon: until then nothing else is asked
    /// for that could delay one.
    fn first_view_is_served(&self) -> bool {
        if self.pending_kind.is_some() || self.now - self.connected_at >= HEAD_START {
            return true;
        }
        self.table().is_none_or(|view| {
            let (state, complete) = self.state_of(view);
            let given_up = matches!(
                state,
                Some(
                    StreamState::Stale { .. } | StreamState::Gone(_) | StreamState::Forbidden(_) | StreamState::Off(_)
                )
            );
            complete || given_up
        })
    }

    /// When whatever waits for the first view will wait no longer (milliseconds).
    pub fn head_start_ends(&self) -> Option<i64> {
        (self.facts.is_some() && !self.introduced).then_some(self.connected_at + HEAD_START)
    }

    /// What one view needs for its own rows.
    pub fn wants_of(&self, view: &TableView) -> Vec<Want> {
        let info = self.world.kind(view.kind);
        if let Some(Pin::Parent { namespace, name, .. }) = &view.lens.pin {
            return vec![Want { kind: view.kind, namespace: Some(namespace.clone()), object: Some(name.clone()) }];
        }
        match info.origin {
            Origin::Program | Origin::Fleet => Vec::new(),
            Origin::Aws if view.kind == NodeGroup::ID => self.parts_of_groups(view.kind),
            Origin::Aws | Origin::Server => self.streams.wants(view.kind, info.namespaced, &view.lens.scope),
        }
    }

    /// The table of node groups has parts: what AWS says, and the pools of Karpenter where the server has them.
    fn parts_of_groups(&self, kind: KindId) -> Vec<Want> {
        let pools =
            |info: &KindInfo| info.served && info.plural == "nodepools" && info.group == nodegroup::KARPENTER_GROUP;
        let part = |name: &str| Want { kind, namespace: None, object: Some(name.to_owned()) };
        let karpenter = self.world.kinds().any(|(_, info)| pools(info));
        [Some(nodegroup::AWS_PART), karpenter.then_some(nodegroup::KARPENTER_PART)]
            .into_iter()
            .flatten()
            .map(part)
            .collect()
    }

    /// The worst of the streams that answer for a view, and whether all of them are complete.
    pub fn state_of(&self, view: &TableView) -> (Option<&StreamState>, bool) {
        match self.world.kind(view.kind).origin {
            Origin::Program => return (Some(&StreamState::Live), true),
            Origin::Fleet => return (Some(self.fleet.state()), self.fleet.is_complete()),
            Origin::Server | Origin::Aws => {}
        }
        let wants = self.wants_of(view);
        let streams = self.streams.of(&wants);
        let complete = !streams.is_empty() && streams.iter().all(|stream| stream.synced);
        let worst = streams.iter().map(|stream| &stream.state).max_by_key(|state| severity(state));
        (worst, complete)
    }

    /// The scope of a view as it is: the namespaces that the user may see, where the whole cluster is denied.
    pub fn scope_title(&self, view: &TableView) -> String {
        let info = self.world.kind(view.kind);
        if let Some(Pin::Parent { name, .. }) = &view.lens.pin {
            return name.clone();
        }
        if info.origin == Origin::Aws {
            return self.cluster_name().to_owned();
        }
        if !info.namespaced {
            return "all".to_owned();
        }
        match (&view.lens.scope, self.streams.granted.get(&view.kind)) {
            (Scope::All, Some(granted)) if granted.len() > 3 => {
                format!("{},+{}", granted[..3].join(","), granted.len() - 3)
            }
            (Scope::All, Some(granted)) if !granted.is_empty() => granted.join(","),
            (scope, _) => scope.title(),
        }
    }

    /// Sets the filter of the top table as typed; an invalid one is kept for the prompt to explain, and the last good
    /// result stays.
    pub fn set_filter(&mut self, text: &str) {
        let Some(View::Table(view)) = self.views.last_mut() else { return };
        text.clone_into(&mut view.filter);
        read_filter(view, self.world.rows(view.kind).columns());
        self.dirty = true;
    }

    /// A number for a request, and what to do with its answer.
    pub fn ticket(&mut self, ticket: Ticket) -> u64 {
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, ticket);
        self.next_ticket
    }

    /// Opens and closes streams so that they are as the views want them.
    pub fn plan_streams(&mut self) -> Vec<Effect> {
        if self.facts.is_none() {
            return Vec::new();
        }
        let wants = self.wants();
        let plan = self.streams.plan(&wants, self.now.div_euclid(1000));
        let mut effects: Vec<Effect> = plan.open.into_iter().map(|(id, want)| Effect::Open(id, want)).collect();
        if !self.introduced && self.first_view_is_served() {
            self.introduced = true;
            let ticket = self.ticket(Ticket::Version);
            effects.push(Effect::Fetch { ticket, request: Request::Version });
            effects.push(Effect::Discover);
        }
        for (id, want) in plan.close {
            effects.push(Effect::Close(id));
            // Rows that nobody answers for any more are not kept.
            if !self.streams.covers(&want) {
                self.world.forget(want.kind, &want.covers());
            }
        }
        effects.extend(self.plan_metrics());
        let visible = self.table().is_some_and(|view| self.world.kind(view.kind).origin == Origin::Aws);
        if visible != std::mem::replace(&mut self.attending, visible) {
            effects.push(Effect::Attend(visible));
        }
        effects
    }

    /// Clusters are asked about while they are on screen; their node groups one screen at a time.
    pub fn plan_fleet(&mut self) -> Option<Effect> {
        let watched = match self.table().filter(|view| view.kind == Cluster::ID) {
            None => Watched::Nobody,
            Some(_) if self.fleet.shows_everything => Watched::Everything,
            Some(view) => {
                let rows = self.world.rows(view.kind);
                let uids = view.visible().iter().filter_map(|&id| rows.meta(id)).map(|meta| meta.uid);
                Watched::These(uids.filter_map(|uid| self.fleet.key(uid)).collect())
            }
        };
        (watched != self.fleet.watched).then(|| {
            self.fleet.watched.clone_from(&watched);
            Effect::Watch(watched)
        })
    }

    /// Metrics follow what is shown, and never go before it: they are asked for when the rows are there.
    fn plan_metrics(&mut self) -> Option<Effect> {
        let wanted = self.table().and_then(|view| {
            let subject = measured(view.kind)?;
            let (_, complete) = self.state_of(view);
            let namespaces = self.wants_of(view).into_iter().map(|want| want.namespace).collect();
            complete.then_some(Ask { kind: view.kind, subject, namespaces })
        });
        (wanted != self.measuring).then(|| {
            self.measuring.clone_from(&wanted);
            Effect::Measure(wanted)
        })
    }
}

/// What metrics there are of a kind.
pub fn measured(kind: KindId) -> Option<Subject> {
    match kind {
        Pod::ID => Some(Subject::Pods),
        Node::ID => Some(Subject::Nodes),
        _ => None,
    }
}

/// Reads a view's filter as its columns are.
fn read_filter(view: &mut TableView, columns: &[ColumnInfo]) {
    // The server has yet to say which columns there are.
    if columns.is_empty() {
        return;
    }
    match Query::parse(&view.filter, &Columns(columns)) {
        Ok(query) => {
            view.filter_error = None;
            view.lens.set_query(query);
        }
        Err(error) => view.filter_error = Some(error),
    }
}

/// Which kind a word means.
pub fn kind_named(world: &World, word: &str) -> Option<KindId> {
    let word = word.to_lowercase();
    let names = |info: &KindInfo| {
        info.plural == word
            || info.kind.to_lowercase() == word
            || info.aliases.iter().any(|alias| *alias == word)
            || (!info.group.is_empty() && format!("{}.{}", info.plural, info.group) == word)
    };
    // A kind with its own file before a namesake, its plural before an alias; the core and the server's order decide
    // the rest.
    let found = world.kinds().filter(|(_, info)| names(info));
    found.min_by_key(|(_, info)| (!info.own, info.plural != word)).map(|(kind, _)| kind)
}

/// `plural.group`, for state and configuration.
pub fn kind_key(info: &KindInfo) -> String {
    if info.group.is_empty() || info.own { info.plural.to_string() } else { format!("{}.{}", info.plural, info.group) }
}

fn severity(state: &StreamState) -> u8 {
    match state {
        StreamState::Live => 0,
        StreamState::Polled { .. } => 1,
        StreamState::Off(_) => 2,
        StreamState::Loading { .. } => 3,
        StreamState::Waiting => 4,
        StreamState::Connecting { .. } => 5,
        StreamState::Stale { .. } => 6,
        StreamState::Gone(_) => 7,
        StreamState::Forbidden(_) => 8,
    }
}

/// A table's columns as the query language looks them up.
pub struct Columns<'a>(pub &'a [ColumnInfo]);

impl query::Columns for Columns<'_> {
    fn find(&self, name: &str) -> query::Find {
        query::find_column(self.0.iter().map(|column| (&*column.id, &*column.title)), name)
    }

    fn id(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |column| &column.id)
    }
}
