//! Theme files. Format: `kind = "dark"` or `"light"`; `inherits = "name"`; `[palette]` gives names to colours; `[roles]`
//! gives each role a foreground (`"health.bad" = "red"`) or a whole style (`{ fg = "red", bold = true }`).
//!
//! A theme adds to the one it inherits from, palette first: a variant that only changes the palette changes every role
//! that is drawn from it. What a theme does not say comes from the plain theme of its kind.

use std::{collections::BTreeMap, path::Path};

use super::{Role, paint::Paint};
use crate::{
    problem::Problem,
    util::document::{Document, Entry},
};

/// Whether a theme is made for dark or for light rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    #[default]
    Dark,
    Light,
}

/// The ways to set text apart besides colour.
pub(super) const EMPHASES: [&str; 6] = ["bold", "dim", "italic", "underline", "reverse", "strike"];

/// A style in words of the palette.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wish {
    fg: Option<String>,
    bg: Option<String>,
    /// By position in [`EMPHASES`].
    emphasis: [bool; EMPHASES.len()],
    /// `file:line: role`, to say where a colour is missing.
    place: String,
}

/// A style in colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spec {
    pub fg: Option<Paint>,
    pub bg: Option<Paint>,
    pub emphasis: [bool; EMPHASES.len()],
}

/// What one theme file says.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub kind: Kind,
    pub inherits: Option<Inherits>,
    palette: BTreeMap<String, Paint>,
    roles: BTreeMap<usize, Wish>,
}

/// The theme that a theme builds on.
#[derive(Debug, Clone)]
pub(super) struct Inherits {
    pub name: String,
    /// To be completed when there is no such theme.
    pub unknown: Problem,
}

impl Source {
    /// Reads what can be read of a theme file.
    pub fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Self {
        let document = Document::parse(path, text, problems);
        let mut source = Self::default();
        for entry in document.root().entries() {
            let result = match entry.key() {
                "kind" => entry.choice(&[("dark", Kind::Dark), ("light", Kind::Light)]).map(|kind| source.kind = kind),
                "inherits" => entry.text().map(|name| {
                    let unknown = entry.problem(format!("there is no theme `{name}` to inherit from"));
                    source.inherits = Some(Inherits { name: name.to_owned(), unknown });
                }),
                "palette" => source.read_palette(&entry, problems),
                "roles" => source.read_roles(&entry, problems),
                _ => Err(entry.unknown(["kind", "inherits", "palette", "roles"])),
            };
            problems.extend(result.err());
        }
        source
    }

    fn read_palette(&mut self, entry: &Entry, problems: &mut Vec<Problem>) -> Result<(), Problem> {
        for entry in entry.table()?.entries() {
            match entry.text().map(Paint::parse) {
                Ok(Some(paint)) => {
                    self.palette.insert(entry.key().to_owned(), paint);
                }
                Ok(None) => problems.push(
                    entry
                        .problem(format!("`{}` is not a colour", entry.key()))
                        .hint("write \"#rrggbb\", one of the terminal's names like \"bright red\", or \"default\""),
                ),
                Err(problem) => problems.push(problem),
            }
        }
        Ok(())
    }

    fn read_roles(&mut self, entry: &Entry, problems: &mut Vec<Problem>) -> Result<(), Problem> {
        for entry in entry.table()?.entries() {
            let Some(role) = Role::parse(entry.key()) else {
                let unknown = entry.unknown(Role::ALL.iter().map(|role| role.name()));
                // `health.bad = …` without quotes is TOML for a table `health`.
                let family = Role::ALL.iter().any(|role| role.name().split('.').next() == Some(entry.key()));
                problems.push(if family && entry.as_table().is_some() {
                    unknown.hint("names with a dot need quotes, like \"health.bad\"")
                } else {
                    unknown
                });
                continue;
            };
            match Wish::read(&entry, problems) {
                Ok(wish) => {
                    self.roles.insert(role as usize, wish);
                }
                Err(problem) => problems.push(problem),
            }
        }
        Ok(())
    }

    /// What is left unsaid comes from `base`.
    pub fn over(mut self, base: &Self) -> Self {
        for (name, paint) in &base.palette {
            self.palette.entry(name.clone()).or_insert(*paint);
        }
        for (role, wish) in &base.roles {
            self.roles.entry(*role).or_insert_with(|| wish.clone());
        }
        self
    }

    /// Every role in colours. A colour that nobody has named is reported and left to the terminal.
    pub fn resolve(&self, problems: &mut Vec<Problem>) -> [Spec; Role::COUNT] {
        let mut specs = [Spec::default(); Role::COUNT];
        for (role, wish) in &self.roles {
            let mut paint = |name: &Option<String>| {
                let name = name.as_deref()?;
                let paint = self.palette.get(name).copied().or_else(|| Paint::parse(name));
                if paint.is_none() {
                    let names = self.palette.keys().map(String::as_str).chain(Paint::names());
                    problems.push(
                        Problem::new(format!("{}: no colour is called `{name}`", wish.place))
                            .hint(crate::util::suggest::hint(name, names)),
                    );
                }
                paint
            };
            specs[*role] = Spec { fg: paint(&wish.fg), bg: paint(&wish.bg), emphasis: wish.emphasis };
        }
        specs
    }
}

impl Wish {
    fn read(entry: &Entry, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let mut wish = Self { place: entry.place(), ..Self::default() };
        let Some(table) = entry.as_table() else {
            wish.fg = Some(entry.text()?.to_owned());
            return Ok(wish);
        };
        for entry in table.entries() {
            let emphasis = EMPHASES.iter().position(|name| *name == entry.key());
            let result = match (entry.key(), emphasis) {
                ("fg", _) => entry.text().map(|name| wish.fg = Some(name.to_owned())),
                ("bg", _) => entry.text().map(|name| wish.bg = Some(name.to_owned())),
                (_, Some(index)) => entry.bool().map(|on| wish.emphasis[index] = on),
                _ => Err(entry.unknown(["fg", "bg"].into_iter().chain(EMPHASES))),
            };
            problems.extend(result.err());
        }
        Ok(wish)
    }
}
