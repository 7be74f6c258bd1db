//! Which key does what: the commands' own keys, then a preset, then the user's. Knows commands by id and scope only; what
//! they do, and which scopes a view has, is not its business. A key may bring a command its argument, as a word on the
//! command line would: `table.sort-column node`.

use std::path::Path;

use crossterm::event::KeyEvent;

use super::key::Key;
use crate::{
    problem::Problem,
    util::{
        document::{Document, Entry, Placed, Table},
        suggest,
    },
};

/// A command that keys can be bound to: its id, its scope (a view's, or [`GLOBAL`]) and the keys that it has by itself.
pub type CommandKeys<'a> = (&'a str, &'a str, &'a [&'a str]);

/// The scope behind all others.
pub const GLOBAL: &str = "global";

/// Key settings, as yet without knowledge of the commands.
#[derive(Debug, Clone, Default)]
pub struct KeySettings {
    preset: Preset,
    bindings: Vec<Binding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Preset {
    #[default]
    Default,
    K9s,
}

/// One line of a key file.
#[derive(Debug, Clone)]
struct Binding {
    scope: String,
    key: Key,
    /// The command with its argument, or nothing to take the key away.
    command: Option<String>,
    place: String,
}

impl KeySettings {
    /// Reads `preset` and one table of keys per scope, after what was read before.
    pub(super) fn read(&mut self, table: &Table<'_>, problems: &mut Vec<Problem>) {
        for entry in table.entries() {
            let result = match (entry.as_table(), entry.key()) {
                (Some(scope), name) => {
                    self.bindings.extend(read_scope(name, &scope, problems));
                    Ok(())
                }
                (None, "preset") => entry
                    .choice(&[("default", Preset::Default), ("k9s", Preset::K9s)])
                    .map(|preset| self.preset = preset),
                (None, key) if key.parse::<Key>().is_ok() => Err(entry
                    .problem(format!("the key `{key}` has no scope"))
                    .hint(format!("put it under [{}{GLOBAL}] or the name of a view", prefix(table)))),
                _ => Err(entry.unknown(["preset"])),
            };
            problems.extend(result.err());
        }
    }
}

fn prefix(table: &Table<'_>) -> String {
    if table.name().is_empty() { String::new() } else { format!("{}.", table.name()) }
}

fn read_scope(scope: &str, table: &Table<'_>, problems: &mut Vec<Problem>) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for entry in table.entries() {
        let binding = match read_binding(scope, &entry) {
            Ok(binding) => binding,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        // The same key written in two ways; TOML itself refuses the same way twice.
        if let Some(first) = bindings.iter().find(|first| first.key == binding.key) {
            let name = |command: &Option<String>| command.as_ref().map_or("nothing".to_owned(), |id| format!("`{id}`"));
            let what = format!(
                "in {scope} the key {} is bound to both {} and {}",
                binding.key,
                name(&first.command),
                name(&binding.command)
            );
            problems.push(entry.problem(what).hint(format!("the first, {}, is used", first.place)));
        } else {
            bindings.push(binding);
        }
    }
    bindings
}

fn read_binding(scope: &str, entry: &Entry<'_>) -> Result<Binding, Problem> {
    let key = entry.key().parse().map_err(|error| entry.problem(error))?;
    let command = if entry.is_false() {
        None
    } else {
        let wrong = || entry.problem(format!("`{}` must name a command, or be false", entry.key()));
        Some(entry.text().map_err(|_| wrong())?.trim().to_owned())
    };
    Ok(Binding { scope: scope.to_owned(), key, command, place: entry.place() })
}

/// What every key does, by scope.
#[derive(Debug, Clone, Default)]
pub struct KeyMap {
    /// The user's first, so that hints show the user's key; at most one for a scope and key.
    bindings: Vec<Bound>,
    /// Scopes of the user's that are none of ours, each once: kinds that only the server knows, or mistakes.
    strangers: Vec<Placed<String>>,
}

/// A scope, a key, and what it does there.
#[derive(Debug, Clone)]
struct Bound {
    scope: String,
    key: Key,
    command: Option<String>,
}

impl KeyMap {
    /// Lays preset and user's keys over the commands' own. `kinds` are scopes beside those of the commands.
    pub fn new(
        commands: &[CommandKeys<'_>],
        kinds: &[&str],
        settings: &KeySettings,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut map = Self { bindings: own_keys(commands, problems), strangers: Vec::new() };
        if settings.preset == Preset::K9s {
            let mut preset = KeySettings::default();
            preset.read(&Document::parse(Path::new("k9s.toml"), include_str!("k9s.toml"), problems).root(), problems);
            map.lay_over(&preset.bindings, commands, problems);
        }
        map.lay_over(&settings.bindings, commands, problems);
        for Binding { scope, place, .. } in &settings.bindings {
            let known = commands.iter().map(|(_, known, _)| *known).chain([GLOBAL]).chain(kinds.iter().copied());
            if !known.into_iter().any(|known| known == scope) && !map.strangers.iter().any(|it| it.value == *scope) {
                map.strangers.push(Placed { place: place.clone(), value: scope.clone() });
            }
        }
        map
    }

    fn lay_over(&mut self, bindings: &[Binding], commands: &[CommandKeys<'_>], problems: &mut Vec<Problem>) {
        let mut layer: Vec<Bound> = Vec::new();
        for Binding { scope, key, command, place } in bindings {
            let id = command.as_ref().map(|command| split(command).0);
            if let Some(id) = id.filter(|id| !commands.iter().any(|(known, ..)| known == id)) {
                let problem = Problem::new(format!("{place}: there is no command `{id}` for the key {key}"));
                problems.push(problem.hint(suggest::hint(id, commands.iter().map(|(known, ..)| *known))));
            } else {
                // A later file wins.
                layer.retain(|bound| (&bound.scope, bound.key) != (scope, *key));
                layer.push(Bound { scope: scope.clone(), key: *key, command: command.clone() });
            }
        }
        let taken = |old: &Bound| layer.iter().any(|new| (&new.scope, new.key) == (&old.scope, old.key));
        self.bindings.retain(|old| !taken(old));
        layer.append(&mut self.bindings);
        self.bindings = layer;
    }

    /// Scopes that are no view of ours: the server may have such a kind.
    pub fn strangers(&self) -> &[Placed<String>] {
        &self.strangers
    }

    /// The command of a key and its argument: the innermost scope that knows the key decides, [`GLOBAL`] is asked last.
    pub fn lookup(&self, scopes: &[&str], event: KeyEvent) -> Option<(&str, &str)> {
        self.command_of(scopes, Key::from_event(event)?).map(split)
    }

    /// The command of a key with its argument, as [`KeyMap::lookup`].
    pub fn command_of(&self, scopes: &[&str], key: Key) -> Option<&str> {
        let bound = |scope: &str| self.bindings.iter().find(|bound| bound.key == key && bound.scope == scope);
        scopes.iter().find_map(|scope| bound(scope)).or_else(|| bound(GLOBAL))?.command.as_deref()
    }

    /// The keys that bring a command an argument in these scopes: key, command, argument.
    pub fn with_argument(&self, scopes: &[&str]) -> Vec<(Key, &str, &str)> {
        let reached = |bound: &&Bound| self.command_of(scopes, bound.key) == bound.command.as_deref();
        let here = self.bindings.iter().filter(|bound| scopes.contains(&&*bound.scope)).filter(reached);
        here.filter_map(|bound| {
            let (id, argument) = split(bound.command.as_deref()?);
            (!argument.is_empty()).then_some((bound.key, id, argument))
        })
        .collect()
    }

    /// The keys that reach a command in these scopes, without an argument; the one to show first.
    pub fn keys_of(&self, scopes: &[&str], id: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        for bound in self.bindings.iter().filter(|bound| bound.command.as_deref() == Some(id)) {
            if !keys.contains(&bound.key) && self.command_of(scopes, bound.key) == Some(id) {
                keys.push(bound.key);
            }
        }
        keys
    }
}

/// A command's id and its argument.
fn split(command: &str) -> (&str, &str) {
    let (id, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    (id, argument.trim_start())
}

/// The commands' own keys. A mistake here is ours; a test of the command table finds it, and the user is told.
fn own_keys(commands: &[CommandKeys<'_>], problems: &mut Vec<Problem>) -> Vec<Bound> {
    let mut bindings: Vec<Bound> = Vec::new();
    for (id, scope, keys) in commands {
        for text in *keys {
            let key = match text.parse::<Key>() {
                Ok(key) => key,
                Err(error) => {
                    problems.push(Problem::new(format!("command `{id}`: {error}")));
                    continue;
                }
            };
            match bindings.iter().find(|bound| bound.key == key && bound.scope == *scope) {
                Some(first) => {
                    let first = first.command.as_deref().unwrap_or_default();
                    let what = format!("in {scope} the key {key} is bound to both `{first}` and `{id}`");
                    problems.push(Problem::new(what));
                }
                None => bindings.push(Bound { scope: (*scope).to_owned(), key, command: Some((*id).to_owned()) }),
            }
        }
    }
    bindings
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};
    use proptest::prelude::*;

    use super::*;

    const COMMANDS: &[CommandKeys<'_>] = &[
        ("help", GLOBAL, &["?", "f1"]),
        ("back", GLOBAL, &["esc", "q"]),
        ("last-view", GLOBAL, &["-"]),
        ("delete", "table", &["ctrl-d"]),
        ("table.sort-column", "table", &["shift-o"]),
        ("logs", "pods", &["l"]),
        ("kill", "pods", &["ctrl-k"]),
        ("scale-down", "nodegroups", &["-"]),
    ];

    fn map(keys: &str) -> (KeyMap, Vec<String>) {
        let mut problems = Vec::new();
        let document = Document::parse(Path::new("/cfg/keys.toml"), keys, &mut problems);
        let mut settings = KeySettings::default();
        settings.read(&document.root(), &mut problems);
        let map = KeyMap::new(COMMANDS, &["deployments"], &settings, &mut problems);
        (map, problems.iter().map(ToString::to_string).collect())
    }

    fn command<'a>(map: &'a KeyMap, scopes: &[&str], key: &str) -> Option<&'a str> {
        map.command_of(scopes, key.parse().unwrap())
    }

    fn keys(map: &KeyMap, scopes: &[&str], id: &str) -> String {
        map.keys_of(scopes, id).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_innermost_scope_decides() {
        let (map, problems) = map("");
        assert_eq!(problems, [""; 0]);
        assert_eq!(command(&map, &["pods", "table"], "ctrl-d"), Some("delete"));
        assert_eq!(command(&map, &["pods", "table"], "-"), Some("last-view"));
        assert_eq!(command(&map, &["nodegroups", "table"], "-"), Some("scale-down"));
        assert_eq!(command(&map, &["nodegroups"], "l"), None);
        assert_eq!(keys(&map, &["pods"], "help"), "? f1");
        assert_eq!(keys(&map, &["pods"], "last-view"), "-");
        assert_eq!(keys(&map, &["nodegroups"], "last-view"), "");
        let event = KeyEvent::new(KeyCode::Char('K'), KeyModifiers::CONTROL);
        assert_eq!(map.lookup(&["pods"], event), Some(("kill", "")));
    }

    #[test]
    fn users_add_replace_and_take_away() {
        let (map, problems) = map(r#"
[global]
"f1" = "back"
"ctrl-h" = "help"
[pods]
"x" = "delete"
"C-k" = false
"q" = false
"#);
        assert_eq!(problems, [""; 0]);
        let pods = ["pods", "table"];
        assert_eq!(command(&map, &pods, "f1"), Some("back"));
        assert_eq!(keys(&map, &pods, "help"), "ctrl-h ?");
        assert_eq!(keys(&map, &pods, "delete"), "x ctrl-d");
        assert_eq!(keys(&map, &["nodes", "table"], "delete"), "ctrl-d");
        assert_eq!(command(&map, &pods, "ctrl-k"), None);
        assert_eq!(command(&map, &pods, "q"), None);
        assert_eq!(command(&map, &["nodes"], "q"), Some("back"));
        assert_eq!(keys(&map, &pods, "back"), "f1 esc");
    }

    #[test]
    fn the_k9s_preset_goes_under_the_users_keys() {
        let (preset, problems) = map("preset = \"k9s\"");
        assert_eq!(problems, [""; 0]);
        assert_eq!(command(&preset, &["pods", "table"], "shift-o"), Some("table.sort-column node"));
        assert_eq!(command(&preset, &["jobs", "table"], "O"), Some("table.sort-column"));
        let (map, _) = map("preset = \"k9s\"\n[pods]\n\"O\" = \"logs\"");
        assert_eq!(command(&map, &["pods", "table"], "shift-o"), Some("logs"));
    }

    #[test]
    fn mistakes_are_placed_and_cost_only_themselves() {
        let (map, problems) = map(r#"preset = "k8s"
"x" = "logs"
prests = 3
[pods]
"ctrl-d" = "logs"
"C-d" = "kill"
"w" = "lgos"
"hyper-x" = "logs"
"shift-1" = "logs"
"v" = 3
"t" = "logs"
[pod]
"z" = "logs"
"#);
        assert_eq!(
            problems,
            [
                "/cfg/keys.toml:1:1: `preset` must be one of \"default\", \"k9s\": it is \"k8s\" (did you mean `k9s`?)",
                "/cfg/keys.toml:2:1: the key `x` has no scope (put it under [global] or the name of a view)",
                "/cfg/keys.toml:3:1: unknown key `prests` (did you mean `preset`?)",
                "/cfg/keys.toml:6:1: in pods the key ctrl-d is bound to both `logs` and `kill` (the first, \
                 /cfg/keys.toml:5:1, is used)",
                "/cfg/keys.toml:8:1: there is no key `hyper-x`",
                "/cfg/keys.toml:9:1: `shift-1`: Shift goes with letters and named keys; write the character that it types",
                "/cfg/keys.toml:10:1: `v` must name a command, or be false",
                "/cfg/keys.toml:7:1: there is no command `lgos` for the key w (did you mean `logs`?)",
            ]
        );
        assert_eq!(command(&map, &["pods"], "ctrl-d"), Some("logs"));
        assert_eq!(command(&map, &["pods"], "t"), Some("logs"));
        let stranger = Placed { place: "/cfg/keys.toml:13:1".to_owned(), value: "pod".to_owned() };
        assert_eq!(map.strangers(), [stranger], "the server may have such a kind");
    }

    #[test]
    fn a_key_may_bring_an_argument() {
        let (map, problems) =
            map("[pods]\n\"z\" = \"table.sort-column  nominated node\"\n\"d\" = \"table.sort-colum node\"\n\
             [deployments]\n\"z\" = \"help\"\n");
        assert_eq!(
            problems,
            [
                "/cfg/keys.toml:3:1: there is no command `table.sort-colum` for the key d (did you mean `table.sort-column`?)"
            ]
        );
        let event = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::NONE);
        let pods = ["pods", "table"];
        assert_eq!(map.lookup(&pods, event), Some(("table.sort-column", "nominated node")));
        assert_eq!(map.with_argument(&pods), [("z".parse().unwrap(), "table.sort-column", "nominated node")]);
        assert_eq!(map.with_argument(&["deployments", "table"]), []);
        assert_eq!(keys(&map, &pods, "table.sort-column"), "shift-o", "with its argument it is another command");
        assert_eq!(map.strangers(), []);
    }

    #[test]
    fn a_clash_in_the_command_table_is_named() {
        let mut problems = Vec::new();
        let commands: &[CommandKeys<'_>] = &[("one", "pods", &["N"]), ("two", "pods", &["shift-n", "blah"])];
        KeyMap::new(commands, &[], &KeySettings::default(), &mut problems);
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["in pods the key shift-n is bound to both `one` and `two`", "command `two`: there is no key `blah`"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_file_with_problems_at_worst(text in ".*", key in ".*", command in ".*") {
            map(&text);
            map(&format!("[pods]\n{key} = {text}"));
            map(&format!("[pods]\n{key:?} = {command:?}"));
        }
    }
}
