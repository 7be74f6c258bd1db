//! The command line: `ekscope [VIEW]`, `demo`, `get`, `doctor`, `config`. How to connect may stand before or after the subcommand.

mod amazon;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use self::amazon::Questions;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

use crate::{
    app::{
        self, headless,
        model::{Model, PromptKind},
        runtime::{Runtime, history_file},
        shown,
    },
    command,
    config::{
        self, Settings, Wishes,
        dirs::{Dirs, Disk},
        history::History,
        keymap::KeyMap,
        settings::{Config, Overrides},
        state::State,
    },
    problem::Problem,
    recording::{Head, Recording},
    sim,
    sources::{
        aws::{self, Wish},
        kube::{
            cluster::Preference,
            session::{ConnectOptions, Contexts},
        },
        runner::Sources,
    },
    store::{lens::Scope, world::World},
    ui::theme::ColorDepth,
    view::guide::Guide,
};

/// A terminal explorer for Amazon EKS.
#[derive(Debug, Parser)]
#[command(name = "ekscope", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    first: First,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explore a simulated cluster: no account and no cluster needed.
    Demo(Demo),
    /// Print what a view shows, for scripts.
    Get(Get),
    /// Say who you are to AWS and to the cluster and what you may do there, and print the policies that are needed.
    Doctor,
    /// Say where settings, keys and themes live, check them, and list what there is to choose from.
    Config {
        /// Print every setting with its default and what it means: a start for `config.toml`.
        #[arg(long)]
        defaults: bool,
    },
}

/// What to show first.
#[derive(Debug, Args, Clone, Default)]
struct First {
    /// What to show first: a kind or any command line, such as `pods kube-system /web`.
    #[arg(value_name = "VIEW")]
    view: Vec<String>,
    /// The same as VIEW.
    #[arg(short = 'c', long = "command", value_name = "VIEW", conflicts_with = "view")]
    command: Option<String>,
}

/// How to connect, and what counts whatever is shown.
#[derive(Debug, Args, Clone, Default)]
struct Common {
    /// Path of the kubeconfig (otherwise KUBECONFIG, then ~/.kube/config).
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Cluster of the kubeconfig, in place of the context's.
    #[arg(long, global = true)]
    cluster: Option<String>,
    /// EKS cluster to connect to by its name: no kubeconfig is needed.
    #[arg(long, global = true, value_name = "NAME")]
    eks: Option<String>,
    /// AWS region, for --eks and doctor (otherwise AWS_REGION, then the profile's).
    #[arg(long, global = true)]
    region: Option<String>,
    /// AWS profile, for --eks and doctor (otherwise AWS_PROFILE, then default).
    #[arg(long, global = true)]
    profile: Option<String>,
    /// User of the kubeconfig, in place of the context's.
    #[arg(long, global = true)]
    user: Option<String>,
    /// Namespace; several with commas, `!name` for all but.
    #[arg(short = 'n', long, global = true)]
    namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true)]
    all_namespaces: bool,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    as_user: Option<String>,
    /// Group to impersonate; may be given again.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    as_group: Vec<String>,
    /// Longest wait for an answer: 30s, 1m; 0 is for ever.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    request_timeout: Option<Duration>,
    /// Encoding to ask the server for.
    #[arg(long, global = true, value_enum, default_value_t)]
    encoding: Encoding,
    /// Refuse everything that changes the cluster.
    #[arg(long, global = true)]
    readonly: bool,
    /// Theme for this run.
    #[arg(long, global = true)]
    theme: Option<String>,
    /// Write what comes from the server to a new file, without what is secret; asks the server for JSON.
    #[arg(long, global = true, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Play a recording, in place of a cluster.
    #[arg(long, global = true, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// How fast the time of a demo or a replay goes: 60 makes a minute of an hour; 0 stops a demo.
    #[arg(long, global = true, value_name = "NUMBER", value_parser = speed)]
    speed: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Encoding {
    /// Protobuf where the server has it.
    #[default]
    Protobuf,
    Json,
}

/// The simulated cluster.
#[derive(Debug, Args, Clone)]
struct Demo {
    /// Only run the cluster, and say how to reach it.
    #[arg(long)]
    serve: bool,
    /// Nodes of the cluster; 60 where the story needs no other number.
    #[arg(long)]
    nodes: Option<u32>,
    /// Pods of the cluster; 1200 where the story needs no other number.
    #[arg(long)]
    pods: Option<u32>,
    /// Changes a second at random, for load: the cluster does not live by itself then.
    #[arg(long, conflicts_with = "story")]
    churn: Option<f64>,
    /// What goes on in the cluster; --list says which there are.
    #[arg(long, value_name = "NAME")]
    story: Option<String>,
    /// List the stories.
    #[arg(long, exclusive = true)]
    list: bool,
    /// The same seed gives the same cluster.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to listen.
    #[arg(long)]
    listen: Option<std::net::SocketAddr>,
    /// Keep every object encoded in memory: more to start with, less to serve.
    #[arg(long, requires = "serve", hide = true)]
    preencode: bool,
    #[command(flatten)]
    first: First,
}

#[derive(Debug, Args, Clone)]
struct Get {
    /// Kind, and what follows it on the command line: `pods`, `pods kube-system /web`.
    #[arg(value_name = "VIEW", required = true)]
    view: Vec<String>,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: headless::Output,
    /// Sort by a column: `age`, `cpu desc`.
    #[arg(long)]
    sort: Option<String>,
    /// All columns, the wide ones too.
    #[arg(short = 'w', long)]
    wide: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "not a length of time such as 30s or 1m".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=10_000.0).contains(&speed) => Ok(speed),
        _ => Err("not a number from 0 to 10000".to_owned()),
    }
}

impl Cli {
    /// What clap does not see: it judges what stands before a subcommand and what stands after it by itself.
    fn conflict(&self) -> Option<&'static str> {
        if self.common.all_namespaces && self.common.namespace.is_some() {
            return Some("--all-namespaces cannot be used with --namespace");
        }
        let kubeconfig = [&self.common.context, &self.common.cluster, &self.common.user];
        if self.common.eks.is_some() && kubeconfig.iter().any(|named| named.is_some()) {
            return Some("--eks cannot be used with --context, --cluster or --user");
        }
        let first = !self.first.view.is_empty() || self.first.command.is_some();
        if first && self.command.is_some() {
            return Some("a VIEW goes after the subcommand");
        }
        self.common.unplayable(self.command.as_ref())
    }
}

impl First {
    fn line(&self) -> Option<String> {
        self.command.clone().or_else(|| (!self.view.is_empty()).then(|| self.view.join(" ")))
    }
}

impl Common {
    fn overrides(&self) -> Overrides {
        Overrides {
            theme: self.theme.clone(),
            read_only: self.readonly.then_some(true),
            request_timeout: self.request_timeout,
        }
    }

    fn options(&self, config: &Config) -> ConnectOptions {
        ConnectOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            namespace: None,
            impersonate_user: self.as_user.clone(),
            impersonate_groups: self.as_group.clone(),
            connect_timeout: config.connection.connect_timeout,
            exec_timeout: config.connection.exec_timeout,
            request_timeout: config.connection.request_timeout,
            read_only: config.safety.read_only,
            recorder: None,
            ask: None,
        }
    }

    /// What cannot be recorded or played so.
    fn unplayable(&self, command: Option<&Command>) -> Option<&'static str> {
        let connects = [&self.context, &self.cluster, &self.user, &self.as_user, &self.eks];
        let (demo, config) =
            (matches!(command, Some(Command::Demo(_))), matches!(command, Some(Command::Config { .. })));
        match (&self.record, &self.replay, self.speed) {
            (Some(_), Some(_), _) => Some("--record cannot be used with --replay"),
            (_, Some(_), _) if demo => Some("--replay cannot be used with the demo"),
            (_, Some(_), _) if self.kubeconfig.is_some() || connects.into_iter().any(Option::is_some) => {
                Some("--replay cannot be used with what says how to connect")
            }
            (Some(_), ..) | (_, Some(_), _) if config => Some("`config` connects to nothing"),
            (Some(_), ..) | (_, Some(_), _) if matches!(command, Some(Command::Doctor)) => {
                Some("`doctor` is neither recorded nor played")
            }
            (_, Some(_), Some(0.0)) => Some("a replay has to go on: --speed must be more than 0"),
            (_, None, Some(_)) if !demo => Some("--speed goes with the demo or with --replay"),
            (.., Some(_)) if matches!(command, Some(Command::Demo(demo)) if demo.churn.is_some()) => {
                Some("--speed cannot be used with --churn")
            }
            _ => None,
        }
    }

    /// How to connect, and the codes of MFA devices that are asked for on the way.
    fn asking(&self, config: &Config) -> (ConnectOptions, Questions) {
        let (ask, questions) = tokio::sync::mpsc::unbounded_channel();
        (ConnectOptions { ask: Some(ask), ..self.options(config) }, questions)
    }

    fn aws_wish(&self) -> Wish {
        let environment = aws::Environment::of_process();
        Wish { profile: self.profile.clone(), region: self.region.clone(), role: None, environment }
    }

    /// The contexts, with the cluster that `--eks` names as the current one. Asks EKS for it, before the screen is taken.
    fn contexts(&self, options: &ConnectOptions, questions: &mut Questions) -> Result<Contexts, Problem> {
        let mut contexts = Contexts::load(options)?;
        if let Some(name) = &self.eks {
            let wish = self.aws_wish();
            let added = runtime()?.block_on(amazon::answering(questions, amazon::describe(name, wish, options)));
            let (cluster, session) = added?;
            contexts.add_eks(&cluster, session)?;
        }
        Ok(contexts)
    }

    fn scope(&self) -> Option<Scope> {
        if self.all_namespaces { Some(Scope::All) } else { self.namespace.as_deref().map(Scope::parse) }
    }

    fn preference(&self) -> Preference {
        match self.encoding {
            // What cannot be taken apart cannot be redacted.
            Encoding::Protobuf if self.record.is_none() => Preference::Protobuf,
            Encoding::Protobuf | Encoding::Json => Preference::Json,
        }
    }
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(conflict) = cli.conflict() {
        Cli::command().error(ErrorKind::ArgumentConflict, conflict).exit();
    }
    let done = match &cli.command {
        None => open(&cli.first, &cli.common, None),
        Some(Command::Doctor) => amazon::doctor(&cli.common),
        Some(Command::Demo(demo)) => self::demo(demo, &cli.common),
        Some(Command::Get(get)) => self::get(get, &cli.common),
        Some(Command::Config { defaults: true }) => {
            write_out(config::DEFAULTS);
            Ok(0)
        }
        Some(Command::Config { defaults: false }) => check_config(&cli.common),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            tell(&format!("ekscope: {problem}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the screen is not ours here")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "the screen is not ours here")]
fn say(text: &str) {
    println!("{text}");
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn settings(dirs: &Dirs, overrides: &Overrides) -> Settings {
    let (world, commands) = (World::default(), command::key_table());
    let kinds: Vec<&str> = world.kinds().map(|(_, info)| &*info.plural).collect();
    let wishes = Wishes { dirs, files: &Disk, env: &environment, overrides, commands: &commands, kinds: &kinds };
    let mut settings = config::load(&wishes);
    settings.problems.extend(shown::problems(&settings.config));
    settings
}

/// Starts the log; it goes to a file in the state folder, never to the terminal.
fn log(dirs: &Dirs, level: config::settings::LogLevel) {
    use config::settings::LogLevel;
    use tracing_subscriber::filter::LevelFilter;
    let level = match level {
        LogLevel::Off => return,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    if std::fs::create_dir_all(&dirs.state).is_err() {
        return;
    }
    let path = dirs.state.join("ekscope.log");
    // One old log is kept; a run that goes on for weeks at the usual level writes little.
    if std::fs::metadata(&path).is_ok_and(|file| file.len() > 4 << 20) {
        let _ = std::fs::rename(&path, dirs.state.join("ekscope.log.1"));
    }
    if let Ok(file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        let log = tracing_subscriber::fmt()
            .with_writer(std::sync::Mutex::new(file))
            .with_ansi(false)
            .with_max_level(level)
            .finish();
        // It fails only when there is a log already.
        let _ = tracing::subscriber::set_global_default(log);
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new("cannot start").because(error))
}

/// What a demo brings along.
struct Newcomer {
    /// Read once and then gone, so that nothing is left behind whatever ends the program.
    kubeconfig: Temporary,
    guide: Option<Guide>,
}

fn open(first: &First, common: &Common, newcomer: Option<Newcomer>) -> Result<u8, Problem> {
    let dirs = Dirs::find(environment)?;
    let Settings { mut config, themes, keys, problems } = settings(&dirs, &common.overrides());
    log(&dirs, config.log);
    let mut stage = Stage::set(first.line(), common, &dirs)?;
    // A replay shows what was recorded, and not where one was in the last.
    config.start.remember &= stage.replay.is_none();
    let (mut options, mut questions) = stage.common.asking(&config);
    let contexts = stage.common.contexts(&options, &mut questions)?;
    // The screen has no place yet to ask for a code: who needs one hears that at once.
    drop(questions);
    drop(stage.kubeconfig.take());
    let (kubeconfig, guide) = newcomer.map(|it| (it.kubeconfig, it.guide)).unzip();
    drop(kubeconfig);
    let recording = stage.record(&contexts, &mut options)?;
    let depth = ColorDepth::detect(environment);
    let (theme, names) = (themes.get(&config.ui.theme, depth)?, themes.names().map(str::to_owned).collect());
    let (state, trouble) = State::load(&dirs.state.join("state.json"));
    let mut model = Model::new(config, keys, theme, names, state);
    model.guide = guide.flatten();
    for kind in [PromptKind::Command, PromptKind::Filter] {
        let (history, _) = History::load(&dirs.state.join(history_file(kind)));
        match kind {
            PromptKind::Command => model.typed_commands = history.entries().to_vec(),
            PromptKind::Filter => model.typed_filters = history.entries().to_vec(),
        }
    }
    // The newest stands in the footer and on top of the messages: the files' first mistake.
    for problem in stage.notice().into_iter().chain(problems).chain(trouble).rev() {
        model.note(app::model::Level::Warning, problem);
    }
    let (sources, messages) = Sources::start()?;
    let runtime = Runtime {
        sources,
        options,
        contexts,
        preference: common.preference(),
        themes,
        depth,
        dirs: Some(dirs),
        first_line: stage.view.clone(),
        first_scope: stage.scope.clone(),
        writing: None,
    };
    let code = self::runtime()?.block_on(app::run(model, runtime, messages));
    finish(recording);
    code
}

/// What is explored: the cluster that the command line names, or a recording in its place.
struct Stage {
    common: Common,
    view: Option<String>,
    scope: Option<Scope>,
    replay: Option<sim::Replay>,
    /// What leads to the replay, until it is read.
    kubeconfig: Option<Temporary>,
}

impl Stage {
    fn set(view: Option<String>, common: &Common, dirs: &Dirs) -> Result<Self, Problem> {
        let (mut common, scope) = (common.clone(), common.scope());
        let Some(path) = &common.replay else {
            return Ok(Self { common, view, scope, replay: None, kubeconfig: None });
        };
        let replay = sim::replay(path, common.speed.unwrap_or(1.0))?;
        let file = Temporary::kubeconfig("replay", dirs, replay.kubeconfig())?;
        common.kubeconfig = Some(file.0.clone());
        let view = view.or_else(|| replay.head.view.clone());
        let scope = scope.or_else(|| replay.head.scope.as_deref().map(Scope::parse));
        Ok(Self { common, view, scope, replay: Some(replay), kubeconfig: Some(file) })
    }

    fn notice(&self) -> Option<Problem> {
        self.replay.as_ref().and_then(|replay| replay.notice.clone())
    }

    /// Begins the recording that is asked for.
    fn record(&self, contexts: &Contexts, options: &mut ConnectOptions) -> Result<Option<Recording>, Problem> {
        let Some(path) = &self.common.record else { return Ok(None) };
        let context = self.common.context.as_deref().or(contexts.current());
        let namespace =
            contexts.list().into_iter().find(|entry| Some(&*entry.name) == context).and_then(|entry| entry.namespace);
        let scope = if self.common.all_namespaces { Some("all".to_owned()) } else { self.common.namespace.clone() };
        let recording = Recording::start(path, &Head::new(namespace, self.view.clone(), scope))?;
        options.recorder = Some(recording.recorder());
        Ok(Some(recording))
    }
}

/// Says what became of a recording.
fn finish(recording: Option<Recording>) {
    let Some(recording) = recording else { return };
    match recording.finish() {
        Ok(written) => tell(&format!("ekscope: recorded {} answers to {} requests", written.bodies, written.requests)),
        Err(problem) => tell(&format!("ekscope: {problem}")),
    }
}

/// Starts the simulated cluster and, unless it is only to be served, explores it through an ordinary kubeconfig.
fn demo(demo: &Demo, common: &Common) -> Result<u8, Problem> {
    if demo.list {
        for story in &sim::STORIES {
            say(&format!("{:22} {}", story.name, story.about));
        }
        return Ok(0);
    }
    let story = match &demo.story {
        Some(name) => sim::Story::find(name).ok_or_else(|| no_story(name))?,
        None => &sim::STORIES[0],
    };
    let size = story.size.unwrap_or((60, 1_200));
    let (nodes, pods) = (demo.nodes.unwrap_or(size.0), demo.pods.unwrap_or(size.1));
    let world = sim::spawn(sim::Options {
        nodes,
        pods,
        churn: demo.churn.unwrap_or(0.0),
        live: demo.churn.is_none(),
        speed: common.speed.unwrap_or(1.0),
        story: Some(story),
        seed: demo.seed,
        listen: demo.listen,
        preencode: demo.preencode,
        background: !demo.serve,
        ..sim::Options::default()
    })?;
    let dirs = Dirs::find(environment)?;
    let file = Temporary::kubeconfig("demo", &dirs, &world.kubeconfig())?;
    let guide = Guide {
        name: story.name.to_owned(),
        about: story.about.to_owned(),
        tries: story.tries.iter().map(|&line| line.to_owned()).collect(),
    };
    if demo.serve {
        say(&format!("serving {nodes} nodes and {pods} pods at {}", world.url));
        say(&format!("export KUBECONFIG={}", file.0.display()));
        if demo.story.is_some() {
            tell_story(&guide, &settings(&dirs, &common.overrides()).keys);
        }
        runtime()?.block_on(async {
            let mut signals = app::terminal::Signals::listen()?;
            signals.next().await;
            Ok::<(), Problem>(())
        })?;
        return Ok(0);
    }
    if demo.story.is_some() {
        tell_story(&guide, &settings(&dirs, &common.overrides()).keys);
    }
    let common = Common { kubeconfig: Some(file.0.clone()), ..common.clone() };
    open(&demo.first, &common, Some(Newcomer { kubeconfig: file, guide: demo.churn.is_none().then_some(guide) }))
}

fn no_story(name: &str) -> Problem {
    let known = sim::STORIES.iter().map(|story| story.name);
    let hint = match crate::util::suggest::nearest(name, known) {
        Some(near) => format!("did you mean {near}? `ekscope demo --list` lists them all"),
        None => "`ekscope demo --list` lists them".to_owned(),
    };
    Problem::new(format!("there is no story called {name}")).hint(hint)
}

/// Says what a story has to try.
fn tell_story(guide: &Guide, keys: &KeyMap) {
    for line in guide.lines(keys) {
        say(&line);
    }
}

/// A file that goes with the program.
struct Temporary(PathBuf);

impl Temporary {
    /// A kubeconfig that goes with the program.
    fn kubeconfig(name: &str, dirs: &Dirs, text: &str) -> Result<Self, Problem> {
        std::fs::create_dir_all(&dirs.cache)
            .map_err(|error| Problem::new(format!("cannot make {}", dirs.cache.display())).because(error))?;
        let file = Self(dirs.cache.join(format!("{name}-{}.kubeconfig", std::process::id())));
        sim::write_kubeconfig(&file.0, text)?;
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may never have come to be.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn get(get: &Get, common: &Common) -> Result<u8, Problem> {
    let dirs = Dirs::find(environment)?;
    let Settings { mut config, themes, keys, problems } = settings(&dirs, &common.overrides());
    log(&dirs, config.log);
    // It only reads; and what it prints must not depend on how somebody likes their screen.
    config.safety.read_only = true;
    config.kinds.clear();
    let mut stage = Stage::set(Some(get.view.join(" ")), common, &dirs)?;
    let (mut options, mut questions) = stage.common.asking(&config);
    let contexts = stage.common.contexts(&options, &mut questions)?;
    drop(stage.kubeconfig.take());
    let recording = stage.record(&contexts, &mut options)?;
    for problem in stage.notice().iter().chain(&problems) {
        tell(&format!("ekscope: {problem}"));
    }
    let names = themes.names().map(str::to_owned).collect();
    let theme = themes.get(&config.ui.theme, ColorDepth::None)?;
    let model = Model::new(config, keys, theme, names, State::default());
    let (sources, messages) = Sources::start()?;
    let runtime = Runtime {
        sources,
        options,
        contexts,
        preference: common.preference(),
        themes,
        depth: ColorDepth::None,
        dirs: None,
        first_line: stage.view.clone(),
        first_scope: stage.scope.clone(),
        writing: None,
    };
    let wishes = headless::Wishes { output: get.output, sort: get.sort.clone(), wide: get.wide };
    let rows = headless::run(model, runtime, messages, &wishes);
    let printed = self::runtime()?.block_on(amazon::answering(&mut questions, rows));
    finish(recording);
    let printed = printed?;
    if let Some(remark) = printed.remark {
        tell(&format!("ekscope: {remark}"));
    }
    write_out(&printed.text);
    Ok(0)
}

/// Prints, and does not mind a reader that has gone.
fn write_out(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn check_config(common: &Common) -> Result<u8, Problem> {
    let dirs = Dirs::find(environment)?;
    let settings = settings(&dirs, &common.overrides());
    let world = World::default();
    let mut lines = vec![
        format!("settings  {}", dirs.config.join("config.toml").display()),
        format!("keys      {}", dirs.config.join("keys.toml").display()),
        format!("themes    {}", dirs.config.join("themes").join("NAME.toml").display()),
        format!("state     {}", dirs.state.display()),
        format!("cache     {}", dirs.cache.display()),
    ];
    let mut section = |title: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            lines.extend(entries.into_iter().map(|entry| format!("  {entry}")));
        }
    };
    section("problems", settings.problems.iter().map(ToString::to_string).collect());
    let strangers = shown::strangers(&settings.config, &settings.keys, &world);
    section(
        "kinds that only a server can know",
        strangers.iter().map(|it| format!("{}: {}", it.place, it.value)).collect(),
    );
    let chosen = |name: &str| if name == settings.config.ui.theme { " (chosen)" } else { "" };
    section("themes", settings.themes.names().map(|name| format!("{name}{}", chosen(name))).collect());
    let command = |command: &command::Command| {
        let keys = settings.keys.keys_of(&[command.scope.name()], command.id);
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let scope = command.scope.name();
        format!("{:<22} {scope:<12} {:<18} {}", command.id, keys.join(" "), command.help)
    };
    section(
        "commands, with the view in which they work and their keys there",
        command::commands().map(command).collect(),
    );
    write_out(&(lines.join("\n") + "\n"));
    Ok(if settings.problems.is_empty() { 0 } else { 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_arguments_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn how_to_connect_stands_before_or_after_the_subcommand() {
        for line in [
            "ekscope --kubeconfig f -n a,b --as me --as-group g --as-group h --request-timeout 5s --readonly get pods",
            "ekscope get pods --kubeconfig f -n a,b --as me --as-group g --as-group h --request-timeout 5s --readonly",
            "ekscope get --kubeconfig f -n a,b pods --as me --as-group g --as-group h --request-timeout 5s --readonly",
        ] {
            let cli = parse(line);
            let Some(Command::Get(get)) = &cli.command else { panic!("{line}") };
            assert_eq!(get.view, ["pods"], "{line}");
            let common = &cli.common;
            assert_eq!(common.kubeconfig, Some("f".into()), "{line}");
            assert_eq!(common.scope(), Some(Scope::parse("a,b")), "{line}");
            assert_eq!((common.as_user.as_deref(), common.as_group.len()), (Some("me"), 2), "{line}");
            let overrides = common.overrides();
            assert_eq!(overrides.request_timeout, Some(Duration::from_secs(5)), "{line}");
            assert_eq!(overrides.read_only, Some(true), "{line}");
            assert_eq!(cli.conflict(), None, "{line}");
        }
    }

    #[test]
    fn a_view_is_an_argument_or_an_option() {
        for (line, view) in [
            ("ekscope", None),
            ("ekscope -A", None),
            ("ekscope pods -A", Some("pods")),
            ("ekscope -A pods", Some("pods")),
            ("ekscope -c pods --context x", Some("pods")),
            ("ekscope pods kube-system /web get", Some("pods kube-system /web get")),
        ] {
            let cli = parse(line);
            assert!(cli.command.is_none(), "{line}");
            assert_eq!(cli.first.line().as_deref(), view, "{line}");
            assert_eq!(cli.conflict(), None, "{line}");
        }
        let Some(Command::Demo(demo)) = parse("ekscope --theme paper demo --nodes 3 nodes").command else { panic!() };
        assert_eq!((demo.nodes, demo.first.line().as_deref()), (Some(3), Some("nodes")));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in
            ["ekscope -A -n x", "ekscope -A get pods -n x", "ekscope -n x get pods -A", "ekscope -c pods get nodes"]
        {
            assert!(parse(line).conflict().is_some(), "{line}");
        }
        assert!(Cli::try_parse_from(["ekscope", "pods", "-c", "pods"]).is_err());
    }
}
