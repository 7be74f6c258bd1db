//! What the user asked for: settings, keys and remembered state, each with the place it came from when it is wrong.
//! Knows files and environment; knows nothing of kinds, clusters or what a command does.
//!
//! Layers, later wins: built-in defaults (`defaults.toml` documents them), the user's files, environment, command line.
//! Nothing is ever written to the user's configuration folder.

pub mod dirs;
pub mod history;
pub mod key;
pub mod keymap;
mod reader;
pub mod settings;
pub mod state;

use std::{io, path::Path};

use crate::{
    problem::Problem,
    ui::theme::{self, ThemeFile, Themes},
    util::{document::Document, suggest},
};

use self::{
    dirs::{Dirs, Files},
    keymap::{CommandKeys, KeyMap, KeySettings},
    reader::Reader,
    settings::{Config, Overrides},
};

/// Every setting with its default, commented out: the documentation, and a start for one's own file.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Where the user's wishes are found, all of it replaceable by a test.
pub struct Wishes<'a> {
    pub dirs: &'a Dirs,
    pub files: &'a dyn Files,
    /// The environment, by name of the variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// What the command line says.
    pub overrides: &'a Overrides,
    /// The commands that keys can be bound to.
    pub commands: &'a [CommandKeys<'a>],
    /// The views that have keys of their own: kinds by their plurals.
    pub kinds: &'a [&'a str],
}

/// Everything the user asked for, and what was wrong with it.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    pub themes: Themes,
    pub keys: KeyMap,
    /// File by file. `ekscope config` prints these.
    pub problems: Vec<Problem>,
}

/// Reads everything. Never fails: what cannot be used is reported, and the default stands in its place.
pub fn load(wishes: &Wishes<'_>) -> Settings {
    let mut problems = Vec::new();
    let mut config = Config::default();
    let mut key_settings = KeySettings::default();

    let path = wishes.dirs.config.join("config.toml");
    let text = read(wishes, &path, &mut problems);
    let document = Document::parse(&path, text.as_deref().unwrap_or_default(), &mut problems);
    let mut reader = Reader::new(&document, wishes.env, &mut problems);
    let theme_place = config.read(&mut reader, &mut key_settings);
    if text.is_none() {
        // Nobody knows what was asked for: it may have been caution.
        config.safety.read_only = true;
    }

    let path = wishes.dirs.config.join("keys.toml");
    let text = read(wishes, &path, &mut problems).unwrap_or_default();
    key_settings.read(&Document::parse(&path, &text, &mut problems).root(), &mut problems);
    let keys = KeyMap::new(wishes.commands, wishes.kinds, &key_settings, &mut problems);

    let (themes, theme_problems) = Themes::new(&theme_files(wishes, &mut problems));
    problems.extend(theme_problems);

    config.apply(wishes.overrides);
    let place = if wishes.overrides.theme.is_some() { Some("--theme".to_owned()) } else { theme_place };
    if !themes.names().any(|name| name == config.ui.theme) {
        let what = format!("{}: there is no theme `{}`", place.unwrap_or_default(), config.ui.theme);
        problems.push(Problem::new(what).hint(suggest::hint(&config.ui.theme, themes.names())));
        theme::DEFAULT.clone_into(&mut config.ui.theme);
    }
    Settings { config, themes, keys, problems }
}

/// The text of a file: empty when it is not there, nothing when it cannot be read.
fn read(wishes: &Wishes<'_>, path: &Path, problems: &mut Vec<Problem>) -> Option<String> {
    match wishes.files.read(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(String::new()),
        Err(error) => {
            problems.push(Problem::new(format!("{}: cannot be read", path.display())).because(error));
            None
        }
    }
}

/// The user's themes, by name.
fn theme_files(wishes: &Wishes<'_>, problems: &mut Vec<Problem>) -> Vec<ThemeFile> {
    let folder = wishes.dirs.config.join("themes");
    let mut paths = match wishes.files.list(&folder) {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            problems.push(Problem::new(format!("{}: cannot be read", folder.display())).because(error));
            Vec::new()
        }
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if let (Some(name), Some(text)) = (path.file_stem(), read(wishes, &path, problems)) {
            files.push(ThemeFile { name: name.to_string_lossy().into_owned(), path, text });
        }
    }
    files
}

#[cfg(test)]
mod tests;
