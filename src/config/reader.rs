//! Reads settings key by key from file and environment, and notices what nobody asked for. Which keys there are is known
//! to `settings` alone.

use super::settings::Threshold;
use crate::{
    problem::Problem,
    util::document::{Document, Entry},
};

/// Hands out sections and keys, and in the end reports what nobody asked for.
pub(super) struct Reader<'d> {
    entries: Vec<Entry<'d>>,
    env: &'d dyn Fn(&str) -> Option<String>,
    problems: &'d mut Vec<Problem>,
    document: &'d Document<'d>,
    /// Every section and key that was asked for.
    asked: Vec<(&'static str, &'static str)>,
}

impl<'d> Reader<'d> {
    pub fn new(
        document: &'d Document<'d>,
        env: &'d dyn Fn(&str) -> Option<String>,
        problems: &'d mut Vec<Problem>,
    ) -> Self {
        let entries = document.root().entries();
        Self { entries, env, problems, document, asked: Vec::new() }
    }

    fn take(&mut self, name: &str) -> Option<Entry<'d>> {
        let at = self.entries.iter().position(|entry| entry.key() == name)?;
        Some(self.entries.remove(at))
    }

    /// A section with fixed keys.
    pub fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, 'd>)) {
        let mut entries = Vec::new();
        if let Some(entry) = self.take(name) {
            match entry.table() {
                Ok(table) => entries = table.entries(),
                Err(problem) => self.problems.push(problem),
            }
        }
        let first = self.asked.len();
        let mut section = Section { name, entries, reader: self };
        read(&mut section);
        for entry in section.entries {
            let known = self.asked[first..].iter().map(|(_, key)| *key);
            self.problems.push(entry.unknown(known));
        }
    }

    /// A section whose keys are the user's.
    pub fn open(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Entry<'d>, &mut Vec<Problem>) -> Result<(), Problem>,
    ) {
        self.asked.push((name, ""));
        if let Some(entry) = self.take(name) {
            let result = read(&entry, self.problems);
            self.problems.extend(result.err());
        }
    }

    pub fn finish(&mut self) {
        for entry in self.entries.drain(..) {
            let unknown = entry.unknown(self.asked.iter().map(|(section, _)| *section));
            let home = self.asked.iter().find(|(_, key)| *key == entry.key());
            self.problems.push(match home {
                Some((section, key)) => unknown.hint(format!("`{key}` belongs under [{section}]")),
                None => unknown,
            });
        }
    }
}

/// One section while it is read.
pub(super) struct Section<'r, 'd> {
    name: &'static str,
    entries: Vec<Entry<'d>>,
    reader: &'r mut Reader<'d>,
}

impl<'d> Section<'_, 'd> {
    /// Sets a value from the file, then from the environment. Gives the place of the value that stands.
    pub fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl Fn(&Entry<'d>) -> Result<T, Problem>,
    ) -> Option<String> {
        self.reader.asked.push((self.name, key));
        let mut place = None;
        let mut accept = |entry: &Entry<'d>, problems: &mut Vec<Problem>| match read(entry) {
            Ok(value) => {
                *target = value;
                place = Some(entry.place());
            }
            Err(problem) => problems.push(problem),
        };
        if let Some(at) = self.entries.iter().position(|entry| entry.key() == key) {
            accept(&self.entries.remove(at), self.reader.problems);
        }
        let variable = format!("EKSCOPE_{}_{}", self.name, key).to_uppercase();
        if let Some(value) = (self.reader.env)(&variable) {
            accept(&Entry::from_environment(variable, key, value), self.reader.problems);
        }
        place
    }

    /// A value that protects: where something was asked for and cannot be understood, it is `cautious`.
    pub fn set_or<T>(
        &mut self,
        key: &'static str,
        cautious: T,
        target: &mut T,
        read: impl Fn(&Entry<'d>) -> Result<T, Problem>,
    ) {
        let before = self.reader.problems.len();
        let given = self.set(key, target, read).is_some();
        if !given && let Some(place) = self.reader.document.lost(key) {
            self.reader.problems.push(Problem::new(format!("{place}: `{key}` cannot be told")));
        }
        if let [.., problem] = &mut self.reader.problems[before..] {
            "the cautious value is used until this is mended".clone_into(&mut problem.hint);
            *target = cautious;
        }
    }

    /// Two percentages of which the second is not below the first.
    pub fn set_threshold(&mut self, [warn, bad]: [&'static str; 2], target: &mut Threshold) {
        let mut given = *target;
        let places = [
            self.set(warn, &mut given.warn, |entry| entry.integer(1..=1000)),
            self.set(bad, &mut given.bad, |entry| entry.integer(1..=1000)),
        ];
        if given.warn <= given.bad {
            *target = given;
        } else {
            let place = places.into_iter().flatten().next().unwrap_or_default();
            let what = format!("{place}: `{warn}` is above `{bad}`: {} > {}", given.warn, given.bad);
            self.reader.problems.push(Problem::new(what).hint("the defaults are used"));
        }
    }
}
