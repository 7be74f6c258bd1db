//! What is remembered between runs, in `state.json` of the state folder: per context where the user was, and hints that
//! were dismissed. Loading and saving touch the disk: call them off the loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::dirs;
use crate::problem::Problem;

/// How many namespaces have a digit: 1 to 9, 0 is all.
pub const FAVOURITES: usize = 9;

/// Everything remembered. Cheap to clone for saving off the loop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// By the name of the context as it stands in the kubeconfig; an ARN keeps its case.
    contexts: BTreeMap<String, ContextState>,
    dismissed_hints: BTreeSet<String>,
    /// Contexts that this run has changed: only these are written over what other runs have saved meanwhile.
    #[serde(skip)]
    touched: BTreeSet<String>,
}

/// Where the user was in a context.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextState {
    pub view: Option<String>,
    /// As after `-n`: names with commas or `all`; nothing for the context's own.
    pub namespace: Option<String>,
    /// Sorting by kind, as [`super::settings::Sort`] reads it: `age desc`.
    pub sort: BTreeMap<String, String>,
    /// Namespaces on the digits, from 1.
    pub favourites: Vec<String>,
}

impl ContextState {
    /// Puts a namespace on a digit. One that has a digit keeps it, so that fingers can rely on it; a new one takes the
    /// next free digit, or the last one when all are taken.
    pub fn visit(&mut self, namespace: &str) {
        if self.favourites.iter().any(|known| known == namespace) {
            return;
        }
        self.favourites.truncate(FAVOURITES - 1);
        self.favourites.push(namespace.to_owned());
    }
}

impl State {
    /// What was remembered. A file that cannot be understood is set aside, reported, and nothing of it is lost.
    pub fn load(path: &Path) -> (Self, Option<Problem>) {
        let problem = |what: &str| Problem::new(format!("{}: {what}", path.display()));
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => return (Self::default(), Some(problem("cannot be read").because(error))),
        };
        match serde_json::from_slice(&text) {
            Ok(state) => (state, None),
            Err(error) => {
                let aside = path.with_extension("json.broken");
                let problem = problem("cannot be understood, so nothing is remembered").because(error);
                match fs::rename(path, &aside) {
                    Ok(()) => (Self::default(), Some(problem.hint(format!("it was kept as {}", aside.display())))),
                    Err(_) => (Self::default(), Some(problem)),
                }
            }
        }
    }

    /// Saves what this run has changed, and keeps what other runs have saved meanwhile.
    pub fn save(&self, path: &Path) -> Result<(), Problem> {
        let failed =
            |error: &dyn std::fmt::Display| Problem::new(format!("{}: cannot be saved", path.display())).because(error);
        let (mut saved, _) = Self::load(path);
        for context in &self.touched {
            if let Some(state) = self.contexts.get(context) {
                saved.contexts.insert(context.clone(), state.clone());
            }
        }
        saved.dismissed_hints.extend(self.dismissed_hints.iter().cloned());
        let text = serde_json::to_string_pretty(&saved).map_err(|error| failed(&error))?;
        dirs::replace(path, &text).map_err(|error| failed(&error))
    }

    /// What is remembered of a context.
    pub fn context(&self, name: &str) -> Option<&ContextState> {
        self.contexts.get(name)
    }

    /// What is to be remembered of a context.
    pub fn context_mut(&mut self, name: &str) -> &mut ContextState {
        self.touched.insert(name.to_owned());
        self.contexts.entry(name.to_owned()).or_default()
    }

    /// Never shows a hint again.
    pub fn dismiss(&mut self, hint: &str) {
        self.dismissed_hints.insert(hint.to_owned());
    }

    pub fn is_dismissed(&self, hint: &str) -> bool {
        self.dismissed_hints.contains(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:eks:eu-west-1:123456789012:cluster/Prod_A";

    #[test]
    fn what_is_saved_is_remembered() {
        let folder = crate::config::tests::Folder::new("state");
        let path = folder.path().join("deep/state.json");
        let mut state = State::default();
        let context = state.context_mut(ARN);
        context.view = Some("nodes".to_owned());
        context.namespace = Some("kube-system,payments".to_owned());
        context.sort.insert("pods".to_owned(), "age desc".to_owned());
        context.visit("payments");
        state.dismiss("mouse");
        state.save(&path).unwrap();

        let (mut loaded, problem) = State::load(&path);
        assert_eq!(problem, None);
        assert_eq!(loaded.context(ARN), state.context(ARN));
        assert_eq!(loaded.context(&ARN.to_lowercase()), None);
        assert!(loaded.is_dismissed("mouse"));
        loaded.touched.clone_from(&state.touched);
        assert_eq!(loaded, state);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn two_runs_do_not_undo_each_other() {
        let folder = crate::config::tests::Folder::new("runs");
        let path = folder.path().join("state.json");
        let view =
            |state: &mut State, context: &str, view: &str| state.context_mut(context).view = Some(view.to_owned());
        let mut first = State::default();
        view(&mut first, "a", "pods");
        view(&mut first, "b", "pods");
        first.save(&path).unwrap();

        let (mut one, _) = State::load(&path);
        let (mut two, _) = State::load(&path);
        view(&mut one, "a", "nodes");
        one.save(&path).unwrap();
        view(&mut two, "b", "events");
        two.save(&path).unwrap();

        let (last, _) = State::load(&path);
        assert_eq!(last.context("a").unwrap().view.as_deref(), Some("nodes"));
        assert_eq!(last.context("b").unwrap().view.as_deref(), Some("events"));
    }

    #[test]
    fn a_broken_file_is_told_and_kept() {
        let folder = crate::config::tests::Folder::new("broken");
        let path = folder.path().join("state.json");
        fs::write(&path, "{\"contexts\": 3}").unwrap();
        let (state, problem) = State::load(&path);
        assert_eq!(state, State::default());
        let text = problem.unwrap().to_string().replace(&folder.path().display().to_string(), "");
        assert_eq!(
            text,
            "/state.json: cannot be understood, so nothing is remembered: invalid type: integer `3`, expected a map at \
             line 1 column 14 (it was kept as /state.json.broken)"
        );
        assert_eq!(fs::read_to_string(folder.path().join("state.json.broken")).unwrap(), "{\"contexts\": 3}");
        assert_eq!(State::load(&path), (State::default(), None));
    }

    #[test]
    fn a_namespace_keeps_its_digit() {
        let mut context = ContextState::default();
        for namespace in ["a", "b", "a", "c", "d", "e", "f", "g", "h", "i", "j", "b"] {
            context.visit(namespace);
        }
        assert_eq!(context.favourites, ["a", "b", "c", "d", "e", "f", "g", "h", "j"]);
    }
}
