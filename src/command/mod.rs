//! What the user can do: one table of commands. Keys, palette, hints, help and the read-only guard are derived from it.
//! A new command is one literal in its area's table.

pub mod line;
pub mod navigate;
pub mod palette;
pub mod table;
pub mod text;

use crate::{
    app::{effect::Effect, model::Model},
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
}

impl Scope {
    /// The name in `keys.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Global => "global",
            Scope::Table => "table",
            Scope::Kind(plural) => plural,
            Scope::Text => "text",
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
        when: |_| true,
        run: |_, _| Ok(Vec::new()),
    };
}

/// Every command, area by area.
pub fn commands() -> impl Iterator<Item = &'static Command> {
    navigate::COMMANDS.iter().chain(table::COMMANDS).chain(text::COMMANDS)
}

/// The command with this id.
pub fn find(id: &str) -> Option<&'static Command> {
    commands().find(|command| command.id == id)
}

/// The scopes that count on the top view, the narrowest first.
pub fn scopes(model: &Model) -> Vec<String> {
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
    let here = match (command.scope, model.views.last()) {
        (Scope::Global, _) | (Scope::Table, Some(View::Table(_))) | (Scope::Text, Some(View::Text(_))) => true,
        (Scope::Kind(plural), Some(View::Table(view))) => model.world.kind(view.kind).plural == plural,
        _ => false,
    };
    here && (command.when)(model)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

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
