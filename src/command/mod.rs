//! What the user can do: one table of commands. Keys, palette, hints, help and the read-only guard are derived from it.
//! A new command is one literal in its area's table.

pub mod clusters;
pub mod line;
pub mod navigate;
pub mod palette;
pub mod scale;
pub mod sign_in;
pub mod table;
pub mod text;

use crate::{
    app::{effect::Effect, model::Model},
    config::keymap::{CommandKeys, KeyMap},
    problem::Problem,
    view::View,
};

/// Where a command's keys count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Global,
    /// Every table.
    Table,
    /// One kind's table, by its plural.
    Kind(&'static str),
    Text,
    /// The dialog that lies over everything; while there is one, nothing else counts.
    Dialog,
}

impl Scope {
    /// The name in `keys.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Table => "table",
            Scope::Kind(plural) => plural,
            Scope::Text => "text",
            Scope::Dialog => "dialog",
        }
    }
}

/// What a command does; the argument is what follows its word on the command line.
pub type Run = fn(&mut Model, argument: &str) -> Result<Vec<Effect>, Problem>;

/// One thing that a user can do.
pub struct Command {
    /// Stable name, for `keys.toml`: `table.sort-age`.
    pub id: &'static str,
    pub scope: Scope,
    /// Default keys, as `keys.toml` writes them.
    pub keys: &'static [&'static str],
    /// Words for the command line; the first is shown.
    pub words: &'static [&'static str],
    /// What it does, for help and palette.
    pub help: &'static str,
    /// Short name for the footer; empty for what needs no hint.
    pub hint: &'static str,
    /// What it works on, for who tries it elsewhere; empty where nobody would.
    pub needs: &'static str,
    /// Whether it works on what is shown now.
    pub when: fn(&Model) -> bool,
    pub run: Run,
}

impl Command {
    /// The base of the literals: a command without keys, words or conditions.
    pub const BASE: Command = Command {
        id: "",
        scope: Scope::Global,
        keys: &[],
        words: &[],
        help: "",
        hint: "",
        needs: "",
        when: |_| true,
        run: |_, _| Ok(Vec::new()),
    };
}

/// Every command, area by area.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    navigate::COMMANDS
        .iter()
        .chain(table::COMMANDS)
        .chain(clusters::COMMANDS)
        .chain(scale::COMMANDS)
        .chain(sign_in::COMMANDS)
        .chain(text::COMMANDS)
}

/// The command with this id.
pub fn find(id: &str) -> Option<&'static Command> {
    commands().find(|command| command.id == id)
}

/// Every command as the key map takes it.
pub fn key_table() -> Vec<CommandKeys<'static>> {
    commands().map(|command| (command.id, command.scope.name(), command.keys)).collect()
}

/// A text with the keys of commands in the place of their ids: `{table.faults} shows what is not well`.
pub fn spelled(text: &str, keys: &KeyMap) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (id, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        out.push_str(before);
        out.push_str(&way(id, keys));
        rest = after;
    }
    out + rest
}

/// The key that runs a command on a table, else its word on the command line.
pub fn way(id: &str, keys: &KeyMap) -> String {
    let key = keys.keys_of(&[Scope::Table.name(), Scope::Global.name()], id).first().map(ToString::to_string);
    let word = || find(id).and_then(|command| command.words.first()).map(|word| format!(":{word}"));
    key.or_else(word).unwrap_or_default()
}

/// The scopes that count on the top view, the narrowest first.
pub fn scopes(model: &Model) -> Vec<String> {
    if model.dialog.is_some() {
        return vec!["dialog".to_owned()];
    }
    match model.views.last() {
        Some(View::Table(view)) => {
            vec![model.world.kind(view.kind).plural.to_string(), "table".to_owned(), "global".to_owned()]
        }
        Some(View::Text(_)) => vec!["text".to_owned(), "global".to_owned()],
        None => vec!["global".to_owned()],
    }
}

/// Whether a command's keys count on the top view and it works there.
pub fn available(command: &Command, model: &Model) -> bool {
    if model.sign_in.is_some() {
        return command.id == "app.quit";
    }
    if model.dialog.is_some() {
        return command.scope == Scope::Dialog && (command.when)(model) || command.id == "app.quit";
    }
    let here = match (command.scope, model.views.last()) {
        (Scope::Global, _) | (Scope::Table, Some(View::Table(_))) | (Scope::Text, Some(View::Text(_))) => true,
        (Scope::Kind(plural), Some(View::Table(view))) => model.world.kind(view.kind).plural == plural,
        _ => false,
    };
    here && (command.when)(model)
}

/// What is said to who tries a command where it does not work; nothing where the screen shows why.
pub fn unavailable(command: &Command, tried: &str, model: &Model) -> Option<Problem> {
    let covered = model.dialog.is_some() || model.sign_in.is_some();
    let said = !command.needs.is_empty() && !covered;
    said.then(|| Problem::new(format!("{tried} does nothing here")).because(format!("it wants {}", command.needs)))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        io,
        path::{Path, PathBuf},
    };

    use super::*;
    use crate::{
        app::shown,
        config::{
            self, DEFAULTS, Settings, Wishes,
            dirs::{Dirs, Files},
            settings::Overrides,
        },
        kinds::column_named,
        store::world::World,
    };

    /// One settings file and no other.
    struct Only(String);

    impl Files for Only {
        fn read(&self, path: &Path) -> io::Result<String> {
            if path.ends_with("config.toml") { Ok(self.0.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
        }

        fn list(&self, _folder: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    /// What a settings file comes to with the real commands and kinds, and everything that is wrong with it.
    fn settings(text: &str) -> (Settings, Vec<String>) {
        let dirs = Dirs { config: "/c".into(), state: "/s".into(), cache: "/x".into() };
        let (world, keys) = (World::default(), key_table());
        let kinds: Vec<&str> = world.kinds().map(|(_, info)| &*info.plural).collect();
        let files = Only(text.to_owned());
        let overrides = Overrides::default();
        let wishes = Wishes {
            dirs: &dirs,
            files: &files,
            env: &|_| None,
            overrides: &overrides,
            commands: &keys,
            kinds: &kinds,
        };
        let settings = config::load(&wishes);
        let all = settings.problems.iter().cloned().chain(shown::problems(&settings.config));
        let problems = all.map(|problem| problem.to_string()).collect();
        (settings, problems)
    }

    #[test]
    fn every_default_and_every_example_is_right() {
        let uncommented = |line: &str| match line.strip_prefix("#   ") {
            Some(example) => format!("{example}\n"),
            None => match line.strip_prefix('#') {
                Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            },
        };
        let text: String = DEFAULTS.lines().map(uncommented).collect();
        assert!(text.contains("\n[kinds.pods]\n") && text.contains("\ntheme ="), "{text}");
        let (settings, problems) = settings(&text);
        assert_eq!(problems, [""; 0]);
        let strangers = shown::strangers(&settings.config, &settings.keys, &World::default());
        let names: Vec<&str> = strangers.iter().map(|name| name.value.as_str()).collect();
        assert_eq!(names, ["nodepools.karpenter.sh"], "a server has to know it");
    }

    #[test]
    fn the_k9s_preset_sorts_by_columns_that_there_are() {
        let (settings, problems) = settings("[keys]\npreset = \"k9s\"\n");
        assert_eq!(problems, [""; 0]);
        let world = World::default();
        let mut sorted = 0;
        for (kind, info) in world.kinds() {
            for (key, id, column) in settings.keys.with_argument(&[&*info.plural]) {
                assert_eq!(id, "table.sort-column", "{key} in {}", info.plural);
                assert!(column_named(world.rows(kind).columns(), column).is_some(), "{} {column}", info.plural);
                sorted += 1;
            }
        }
        assert!(sorted > 20, "{sorted}");
        assert_eq!(settings.keys.strangers(), [], "what the preset names is ours to know");
    }

    #[test]
    fn every_command_has_a_name_help_and_a_way_to_it() {
        let mut seen = std::collections::HashSet::new();
        for command in commands() {
            assert!(seen.insert(command.id), "{} twice", command.id);
            assert!(!command.help.is_empty(), "{} has no help", command.id);
            assert!(!command.keys.is_empty() || !command.words.is_empty(), "{} cannot be reached", command.id);
        }
    }

    #[test]
    fn no_key_does_two_things_in_one_scope() {
        let mut seen = HashMap::new();
        for command in commands() {
            for key in command.keys {
                if let Some(other) = seen.insert((command.scope.name(), *key), command.id) {
                    panic!("{key} is {other} and {} in {}", command.id, command.scope.name());
                }
            }
        }
    }

    #[test]
    fn stories_speak_in_the_users_keys() {
        let (settings, _) = settings("[keys.table]\n\"f9\" = \"table.faults\"\n\"ctrl-z\" = false\n");
        assert_eq!(spelled("{table.faults} and {guide.story}, {view.help}", &settings.keys), "f9 and :story, ?");
        for line in crate::sim::STORIES.iter().flat_map(|story| story.tries) {
            let ids = line.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
            ids.for_each(|(id, _)| assert!(find(id).is_some(), "{line}"));
            assert!(!spelled(line, &settings.keys).contains(['{', '}']), "{line}");
        }
    }

    #[test]
    fn no_word_means_two_commands() {
        let mut seen = HashMap::new();
        for command in commands() {
            for word in command.words {
                if let Some(other) = seen.insert(*word, command.id) {
                    panic!("{word} is {other} and {}", command.id);
                }
            }
        }
    }
}
