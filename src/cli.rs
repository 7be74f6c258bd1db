//! The command line: what `ekscope [VIEW]` and its subcommands set up and run.

mod amazon;
mod arguments;
mod check;
mod demo;
mod stage;

use std::{collections::VecDeque, process::ExitCode};

use clap::{CommandFactory, Parser, error::ErrorKind};

use self::{
    arguments::{Cli, Command, Common, First, Get},
    demo::Newcomer,
    stage::{Stage, finish},
};
use crate::{
    app::{
        self, headless,
        model::Model,
        prompt::PromptKind,
        runtime::{Runtime, history_file},
        shown,
    },
    command,
    config::{
        self, Settings, Wishes,
        dirs::{Dirs, Disk},
        history::History,
        settings::Overrides,
        state::State,
    },
    problem::Problem,
    sources::runner::Sources,
    store::world::World,
    ui::theme::ColorDepth,
};

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(conflict) = cli.conflict() {
        Cli::command().error(ErrorKind::ArgumentConflict, conflict).exit();
    }
    let done = match &cli.command {
        None => open(&cli.first, &cli.common, None),
        Some(Command::Doctor) => amazon::doctor(&cli.common),
        Some(Command::Demo(demo)) => demo::demo(demo, &cli.common),
        Some(Command::Get(get)) => self::get(get, &cli.common),
        Some(Command::Config { defaults: true }) => {
            write_out(config::DEFAULTS);
            Ok(0)
        }
        Some(Command::Config { defaults: false }) => check::check(&cli.common),
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
    use tracing_subscriber::filter::{EnvFilter, LevelFilter};
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
        // Libraries report faults only: at their finer levels they write down what they send.
        let filter = EnvFilter::new(format!("{},ekscope={level}", level.min(LevelFilter::WARN)));
        let log = tracing_subscriber::fmt()
            .with_writer(std::sync::Mutex::new(file))
            .with_ansi(false)
            .with_env_filter(filter)
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

fn open(first: &First, common: &Common, newcomer: Option<Newcomer>) -> Result<u8, Problem> {
    let dirs = Dirs::find(environment)?;
    let Settings { mut config, themes, keys, problems } = settings(&dirs, &common.overrides());
    log(&dirs, config.log);
    let mut stage = Stage::set(first.line(), common, &dirs)?;
    // A replay shows what was recorded, and not where one was in the last.
    config.start.remember &= stage.replay.is_none();
    let (mut options, mut questions) = stage.common.asking(&config);
    let contexts = amazon::contexts(&stage.common, &options, &mut questions)?;
    drop(stage.kubeconfig.take());
    // A replay is all there is; a demo has an account of its own.
    let survey = stage.replay.is_none().then(|| amazon::survey(&stage.common, &config, &contexts, &options));
    let (kubeconfig, guide) = newcomer.map(|it| (it.kubeconfig, it.guide)).unzip();
    drop(kubeconfig);
    let recording = stage.record(&contexts, &mut options)?;
    let depth = ColorDepth::detect(environment);
    let (theme, names) = (themes.get(&config.ui.theme, depth)?, themes.names().map(str::to_owned).collect());
    let (state, trouble) = State::load(&dirs.state.join("state.json"));
    let mut model = Model::new(config, keys, theme, names, state);
    model.guide = guide.flatten();
    let first_line = amazon::begin(&mut model, stage.view.clone(), survey.as_ref(), &contexts, &options);
    for kind in [PromptKind::Command, PromptKind::Filter] {
        let (history, _) = History::load(&dirs.state.join(history_file(kind)));
        match kind {
            PromptKind::Command => model.typed_commands = history.entries().to_vec(),
            PromptKind::Filter => model.typed_filters = history.entries().to_vec(),
        }
    }
    // The newest stands in the footer and on top of the messages: the files' first mistake.
    for problem in stage.notice().into_iter().chain(problems).chain(trouble).rev() {
        model.note(app::notes::Level::Warning, problem);
    }
    let (sources, messages) = Sources::start()?;
    let runtime = Runtime {
        sources,
        options,
        contexts,
        preference: common.preference(),
        survey,
        themes,
        depth,
        dirs: Some(dirs),
        first_line,
        first_scope: stage.scope.clone(),
        questions: VecDeque::new(),
        writing: None,
    };
    let code = self::runtime()?.block_on(app::run(model, runtime, messages, questions));
    finish(recording);
    code
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
    let contexts = amazon::contexts(&stage.common, &options, &mut questions)?;
    drop(stage.kubeconfig.take());
    let recording = stage.record(&contexts, &mut options)?;
    for problem in stage.notice().iter().chain(&problems) {
        tell(&format!("ekscope: {problem}"));
    }
    let names = themes.names().map(str::to_owned).collect();
    let theme = themes.get(&config.ui.theme, ColorDepth::None)?;
    let survey = stage.replay.is_none().then(|| amazon::survey(&stage.common, &config, &contexts, &options));
    let mut model = Model::new(config, keys, theme, names, State::default());
    if survey.is_none() {
        model.fleet.switch_off(amazon::nobody_asked());
    }
    let (sources, messages) = Sources::start()?;
    let runtime = Runtime {
        sources,
        options,
        contexts,
        preference: common.preference(),
        survey,
        themes,
        depth: ColorDepth::None,
        dirs: None,
        first_line: stage.view.clone(),
        first_scope: stage.scope.clone(),
        questions: VecDeque::new(),
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

/// Prints a line, and does not mind a reader that has gone.
fn say(text: &str) {
    write_out(&format!("{text}\n"));
}

/// Prints, and does not mind a reader that has gone.
fn write_out(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
