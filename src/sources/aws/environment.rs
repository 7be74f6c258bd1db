//! What the process gives to the AWS side, and what a kubeconfig's exec entry lays over it. Read once at the edge, so
//! that nothing below asks the real environment. Knows names of variables, not what they lead to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::sources::net::proxy::ProxyVariables;

/// The `AWS_…` variables, the home folder and the proxies. Not for logs: it may hold keys, so `Debug` gives names only.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    pub proxies: ProxyVariables,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("AWS_"))?;
            Some((name, value.into_string().ok()?))
        });
        Self { variables: variables.collect(), home: std::env::home_dir(), proxies: ProxyVariables::of_process() }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that means yes: `true`, in any case (`1` is none, as the AWS tools have it).
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The environment with these variables laid over it; an empty value takes a variable away.
    #[must_use]
    pub fn with<N: Into<String>, V: Into<String>>(mut self, overlay: impl IntoIterator<Item = (N, V)>) -> Self {
        self.variables.extend(overlay.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The environment with another home folder.
    #[must_use]
    pub fn at_home(mut self, home: PathBuf) -> Self {
        self.home = Some(home);
        self
    }

    /// All that is there, for programs that are run.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `~/.aws`, or nothing where there is no home folder.
    pub fn folder(&self) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".aws"))
    }

    /// A file that a variable or a profile names; `~` is the home folder.
    pub fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lies_over_the_environment() {
        let shell = Environment::default().with([("AWS_PROFILE", "shell"), ("AWS_REGION", "eu-west-1")]);
        let entry = shell.with([("AWS_PROFILE", "prod"), ("AWS_REGION", "")]);
        assert_eq!((entry.get("AWS_PROFILE"), entry.get("AWS_REGION")), (Some("prod"), None));
        assert!(!format!("{:?}", entry.with([("AWS_SECRET_ACCESS_KEY", "t0p")])).contains("t0p"));
    }
}
