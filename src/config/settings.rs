//! The settings of `config.toml`: one struct per section, one line per key. Their meaning and units stand in
//! `defaults.toml`.

use std::{collections::BTreeMap, time::Duration};

use super::{keymap::KeySettings, reader::Reader};
use crate::{
    problem::Problem,
    util::{
        document::{Entry, Placed},
        pattern,
    },
};

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub start: Start,
    pub ui: Ui,
    pub safety: Safety,
    pub fleet: Fleet,
    pub connection: Connection,
    pub thresholds: Thresholds,
    pub log: LogLevel,
    /// By the kind's plural name, with its group where it has one.
    pub kinds: BTreeMap<String, KindSettings>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub view: String,
    /// Empty for the context's own, `all`, or names with commas.
    pub namespace: String,
    pub remember: bool,
}

impl Default for Start {
    fn default() -> Self {
        Self { view: "pods".to_owned(), namespace: String::new(), remember: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ui {
    pub theme: String,
    pub mouse: bool,
    pub ascii: bool,
    /// Frames a second at most that new data may cost.
    pub frame_rate: u32,
    pub glow: Duration,
}

impl Default for Ui {
    fn default() -> Self {
        Self {
            theme: crate::ui::theme::DEFAULT.to_owned(),
            mouse: true,
            ascii: false,
            frame_rate: 30,
            glow: Duration::from_secs(2),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Safety {
    pub read_only: bool,
    /// Patterns with `*` and `?`.
    pub protected: Vec<String>,
}

impl Safety {
    /// Whether a change to the context or cluster of this name needs the name typed.
    pub fn protects(&self, name: &str) -> bool {
        self.protected.iter().any(|pattern| pattern::matches(pattern, name))
    }
}

/// Where clusters of EKS are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Patterns with `*` and `?` for profiles of AWS.
    pub profiles: Vec<String>,
    /// Empty for those that are known anyway.
    pub regions: Vec<String>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { profiles: vec!["*".to_owned()], regions: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub exec_timeout: Duration,
    pub linger: Duration,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            exec_timeout: Duration::from_mins(1),
            linger: Duration::from_mins(1),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thresholds {
    pub cpu: Threshold,
    pub memory: Threshold,
}

/// Percent from which a value is drawn as a warning, and as bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    pub warn: u32,
    pub bad: u32,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { warn: 75, bad: 90 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The levels by their names.
    pub const NAMES: [(&str, Self); 6] = [
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// How the table of one kind is shown. Which kinds and columns there are is not known here; see `app::shown`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KindSettings {
    /// Where it is set.
    pub place: String,
    /// Ids of columns in their order; empty for the kind's own.
    pub columns: Vec<Placed<String>>,
    pub sort: Option<Placed<Sort>>,
}

/// A sorting: `age desc`. Ids of columns may have spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// Id of the column.
    pub column: String,
    pub descending: bool,
}

impl Sort {
    /// Reads `column`, `column asc` or `column desc`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (column, descending) = match text.rsplit_once(char::is_whitespace) {
            Some((column, "asc")) => (column.trim_end(), false),
            Some((column, "desc")) => (column.trim_end(), true),
            _ => (text, false),
        };
        (!column.is_empty()).then(|| Self { column: column.to_owned(), descending })
    }
}

/// What the command line says; nothing where it is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    pub theme: Option<String>,
    pub read_only: Option<bool>,
    pub request_timeout: Option<Duration>,
    pub profile: Option<String>,
    pub region: Option<String>,
}

impl Config {
    /// Reads file and environment over what is there. Gives the place of the theme's name, if it was given.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, keys: &mut KeySettings) -> Option<String> {
        let text = |entry: &Entry<'_>| entry.text().map(str::to_owned);
        let seconds = Duration::from_secs;
        let moment = Duration::from_millis(100);

        reader.section("start", |section| {
            section.set("view", &mut self.start.view, text);
            section.set("namespace", &mut self.start.namespace, text);
            section.set("remember", &mut self.start.remember, Entry::bool);
        });
        let mut theme_place = None;
        reader.section("ui", |section| {
            theme_place = section.set("theme", &mut self.ui.theme, text);
            section.set("mouse", &mut self.ui.mouse, Entry::bool);
            section.set("ascii", &mut self.ui.ascii, Entry::bool);
            section.set("frame_rate", &mut self.ui.frame_rate, |entry| entry.integer(1..=120));
            section.set("glow", &mut self.ui.glow, |entry| entry.duration(seconds(0)..=seconds(60)));
        });
        reader.section("safety", |section| {
            section.set_or("read_only", true, &mut self.safety.read_only, Entry::bool);
            section.set_or("protected", vec!["*".to_owned()], &mut self.safety.protected, Entry::list);
        });
        reader.section("fleet", |section| {
            section.set("profiles", &mut self.fleet.profiles, Entry::list);
            section.set("regions", &mut self.fleet.regions, Entry::list);
        });
        let connection = &mut self.connection;
        reader.section("connection", |section| {
            section.set("connect_timeout", &mut connection.connect_timeout, |e| e.duration(moment..=seconds(300)));
            section.set("request_timeout", &mut connection.request_timeout, |e| e.duration(moment..=seconds(3600)));
            section.set("exec_timeout", &mut connection.exec_timeout, |e| e.duration(seconds(1)..=seconds(3600)));
            section.set("linger", &mut connection.linger, |e| e.duration(seconds(0)..=seconds(3600)));
        });
        reader.section("thresholds", |section| {
            section.set_threshold(["cpu_warn", "cpu_bad"], &mut self.thresholds.cpu);
            section.set_threshold(["memory_warn", "memory_bad"], &mut self.thresholds.memory);
        });
        reader.section("log", |section| {
            section.set("level", &mut self.log, |entry| entry.choice(&LogLevel::NAMES));
        });
        reader.open("keys", |entry, problems| {
            keys.read(&entry.table()?, problems);
            Ok(())
        });
        reader.open("kinds", |entry, problems| {
            for entry in entry.table()?.entries() {
                match KindSettings::read(&entry, problems) {
                    Ok(settings) => {
                        self.kinds.insert(entry.key().to_owned(), settings);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            Ok(())
        });
        reader.finish();
        theme_place
    }

    /// The command line goes last.
    pub(super) fn apply(&mut self, overrides: &Overrides) {
        fn set<T: Clone>(target: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                target.clone_from(value);
            }
        }
        set(&mut self.ui.theme, overrides.theme.as_ref());
        set(&mut self.safety.read_only, overrides.read_only.as_ref());
        set(&mut self.connection.request_timeout, overrides.request_timeout.as_ref());
        set(&mut self.fleet.profiles, overrides.profile.clone().map(|it| vec![it]).as_ref());
        set(&mut self.fleet.regions, overrides.region.clone().map(|it| vec![it]).as_ref());
    }
}

impl KindSettings {
    fn read(entry: &Entry<'_>, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let mut settings = Self { place: entry.place(), ..Self::default() };
        for entry in entry.table()?.entries() {
            let result = match entry.key() {
                "columns" => entry.placed_list().map(|columns| settings.columns = columns),
                "sort" => entry.text().and_then(|text| {
                    let wrong =
                        || entry.problem("`sort` must be a column, then `asc` or `desc` if wanted: it is empty");
                    let value = Sort::parse(text).ok_or_else(wrong)?;
                    settings.sort = Some(Placed { place: entry.place(), value });
                    Ok(())
                }),
                _ => Err(entry.unknown(["columns", "sort"])),
            };
            problems.extend(result.err());
        }
        Ok(settings)
    }
}
