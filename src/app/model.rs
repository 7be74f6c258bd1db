//! The loop's state: the world, the streams that feed it, the views on their stack, and what the user is in the midst
//! of. Changed by `update` and the commands only.

use std::collections::{BTreeMap, HashMap};

use ratatui::layout::Rect;

use super::{
    effect::{Effect, Ticket},
    fleet::Fleet,
    history::History,
    notes::{Level, Note},
    prompt::{Prompt, PromptKind},
    shown,
    stack::{Place, Stack},
    streams::Streams,
};
use crate::{
    command::{self, Command, scale::Scaling, sign_in::SignIn},
    config::{
        keymap::KeyMap,
        settings::{self, Config},
        state::{ContextState, State},
    },
    kinds::{ColumnInfo, KindId, KindInfo, Origin, column_named},
    problem::Problem,
    sources::kube::{
        discovery::Served,
        metrics::Ask,
        session::{ContextEntry, Facts},
    },
    store::{
        lens::{Lens, Pin, Scope, Sort},
        query::{self, Query},
        table::Covers,
        world::World,
    },
    ui::theme::Theme,
    view::{View, dialog::Dialog, guide::Guide, table::TableView},
};

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
    /// Who the user is to the server, as it says.
    pub user: Option<String>,
    pub views: Stack,
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
    /// A line whose kind only discovery will know, and where it was typed.
    pub pending_kind: Option<(Place, String)>,
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
            user: None,
            views: Stack::default(),
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
        self.pending_kind = None;
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
        if let Some(line) = self.awaited_line() {
            match command::line::run(self, &line) {
                Ok(effects) => self.outbox.extend(effects),
                Err(problem) => self.no_such_view(problem),
            }
        }
    }

    /// The line that waited for discovery, unless the user went elsewhere meanwhile.
    pub fn awaited_line(&mut self) -> Option<String> {
        let (place, line) = self.pending_kind.take()?;
        (place == self.views.place()).then_some(line)
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
        if !self.views.retain(|view| view.as_table().is_none_or(|view| view.kind != kind)) {
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

    /// Whether the next keys answer something that lies over the views.
    pub fn is_asked(&self) -> bool {
        self.prompt.is_some() || self.dialog.is_some()
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
