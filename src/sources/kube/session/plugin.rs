//! Credential plugins (`client.authentication.k8s.io`): runs one, away from the terminal, and reads what it prints.
//! Knows nothing of caching; see `credential` for when it runs.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use tokio::process::Command;

use super::EXEC_TIMEOUT;
use super::credential::{CredentialFailure, Identity, Minted, bearer};
use crate::problem::Problem;
use crate::sources::net::child::{self, Ended, tail};
use crate::sources::net::error::innermost;
use crate::util::redact::redact;

const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
const GROUP: &str = "client.authentication.k8s.io/";

/// The variables that an exec entry sets.
pub(super) fn variables(exec: &ExecConfig) -> Vec<(String, String)> {
    let entry = |entry: &std::collections::HashMap<String, String>| {
        Some((entry.get("name")?.clone(), entry.get("value").cloned().unwrap_or_default()))
    };
    exec.env.iter().flatten().filter_map(entry).collect()
}

/// A plugin, ready to run.
pub(super) struct Plugin {
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    api_version: String,
    install_hint: Option<String>,
    /// `KUBERNETES_EXEC_INFO`.
    info: String,
    /// The AWS profile that it will use, where it is an AWS tool.
    profile: Option<String>,
    timeout: Duration,
}

impl Plugin {
    pub fn new(exec: &ExecConfig, cluster: &Cluster, aws_profile: Option<&str>) -> Result<Self, Problem> {
        let Some(command) = exec.command.clone().filter(|command| !command.is_empty()) else {
            return Err(Problem::new("the kubeconfig's exec entry names no command").hint("add `command:` to it"));
        };
        let api_version = exec.api_version.clone().unwrap_or_default();
        if !api_version.strip_prefix(GROUP).is_some_and(|version| VERSIONS.contains(&version)) {
            return Err(Problem::new(format!(
                "the credential plugin {command} has an unknown apiVersion {api_version:?}"
            ))
            .because(format!("known are {GROUP}{}", VERSIONS.join(", ")))
            .hint("write the kubeconfig anew, for EKS with `aws eks update-kubeconfig`"));
        }
        let described = exec.provide_cluster_info.then(|| ExecAuthCluster::try_from(cluster)).transpose();
        let described = described.map_err(|error| {
            Problem::new("the cluster's certificate authority cannot be read").because(innermost(&error))
        })?;
        let info = serde_json::json!({
            "kind": "ExecCredential",
            "apiVersion": api_version,
            "spec": match &described {
                Some(cluster) => serde_json::json!({ "interactive": false, "cluster": cluster }),
                None => serde_json::json!({ "interactive": false }),
            },
        });
        let env = variables(exec);
        let args = exec.args.clone().unwrap_or_default();
        let flag = args.iter().position(|arg| arg == "--profile").and_then(|at| args.get(at + 1).cloned());
        let variable = env.iter().find(|(name, _)| name == "AWS_PROFILE").map(|(_, value)| value.clone());
        let plugin = Self {
            profile: flag.or(variable).or(aws_profile.map(str::to_owned)),
            info: info.to_string(),
            install_hint: exec.install_hint.clone(),
            timeout: EXEC_TIMEOUT,
            command,
            args,
            env,
            api_version,
        };
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(Problem::new(format!("the credential plugin {} wants to ask questions", plugin.command))
                .because("its interactiveMode is Always, and the screen is taken")
                .hint(format!("sign in with `{}` in a shell and set interactiveMode: IfAvailable", plugin.shown())));
        }
        Ok(plugin)
    }

    /// How long it may take, where the user has a wish of their own.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    /// Runs the plugin once. Dropping the future kills it and its children.
    pub async fn run(&self) -> Result<Minted, CredentialFailure> {
        let started = Instant::now();
        let mut command = Command::new(&self.command);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("KUBERNETES_EXEC_INFO", &self.info);
        let (ended, output) = child::run(command, self.timeout).await;
        tracing::debug!(plugin = self.command, took = ?started.elapsed(), ?ended, "credential plugin");
        let said = self.clean(&output.stderr);
        match ended {
            Ended::NotStarted(error) => Err(self.not_started(&error).into()),
            Ended::TimedOut => Err(Problem::new(format!("the credential plugin {} did not finish", self.command))
                .because(format!("stopped after {:?}{}", self.timeout, tail(&said)))
                .hint(format!("it may be waiting for an answer: run `{}` in a shell", self.shown()))
                .into()),
            Ended::Lost(error) => {
                Err(Problem::new(format!("the credential plugin {} failed", self.command)).because(error).into())
            }
            Ended::Exited(status) if !status.success() => Err(self.failed(&status.to_string(), &said)),
            Ended::Exited(_) => self.read(&output.stdout).map_err(|why| {
                Problem::new(format!("the credential plugin {} gave no credentials", self.command))
                    .because(format!("{why}{}", tail(&said)))
                    .hint(format!("see what `{}` prints", self.shown()))
                    .into()
            }),
        }
    }

    fn read(&self, stdout: &[u8]) -> Result<Minted, String> {
        // serde_json's messages quote no input, so that a token cannot slip out with them.
        let answer: ExecCredential = serde_json::from_slice(stdout)
            .map_err(|error| format!("its output is not an ExecCredential (line {})", error.line()))?;
        if answer.kind != "ExecCredential" || answer.api_version != self.api_version {
            let (kind, version) = (redact(&answer.kind, &[]), redact(&answer.api_version, &[]));
            return Err(format!("it answered with {kind} {version}, not ExecCredential {}", self.api_version));
        }
        let status = answer.status.ok_or("its answer has no status")?;
        let expires = match status.expiration_timestamp {
            Some(text) => {
                Some(text.parse::<Timestamp>().map_err(|_| "its expirationTimestamp is not a time".to_owned())?)
            }
            None => None,
        };
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key: key.into() }),
            (None, None) => None,
            _ => return Err("it gave only one of client certificate and key".to_owned()),
        };
        let token = status.token.filter(|token| !token.is_empty());
        if token.is_none() && identity.is_none() {
            return Err("it gave neither a token nor a client certificate".to_owned());
        }
        let authorization = token.map(|token| bearer(&token)).transpose().map_err(|problem| problem.what)?;
        Ok(Minted { authorization, identity, expires })
    }

    fn not_started(&self, error: &io::Error) -> Problem {
        let problem = Problem::new(format!("cannot run the credential plugin {}", self.command));
        match (error.kind(), &self.install_hint) {
            (io::ErrorKind::NotFound, Some(hint)) => problem.because("it was not found").hint(redact(hint.trim(), &[])),
            (io::ErrorKind::NotFound, None) => {
                problem.because("it was not found").hint("install it, or put its folder into PATH")
            }
            _ => problem.because(error),
        }
    }

    /// What a plugin that ended with an error says, and the way out of it.
    pub(super) fn failed(&self, status: &str, said: &str) -> CredentialFailure {
        let problem = Problem::new(format!("the credential plugin {} failed", self.command))
            .because(format!("{status}{}", tail(said)));
        let lower = said.to_ascii_lowercase();
        let program = Path::new(&self.command).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mentions = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let stale = mentions(&["expired", "invalid", "does not exist", "reauthenticate"]);
        let sign_in: &[&str] = match program.as_str() {
            "aws" | "aws-iam-authenticator" if stale && mentions(&["sso"]) => &["aws", "sso", "login"],
            "aws" | "aws-iam-authenticator" if stale && mentions(&["aws login"]) => &["aws", "login"],
            _ => return problem.hint(format!("try `{}` in a shell", self.shown())).into(),
        };
        let mut login: Vec<String> = sign_in.iter().map(|&word| word.to_owned()).collect();
        if let Some(profile) = &self.profile {
            login.extend(["--profile".to_owned(), profile.clone()]);
        }
        CredentialFailure { problem: problem.hint(format!("sign in with `{}`", login.join(" "))), login: Some(login) }
    }

    /// The command line for messages, without secrets.
    fn shown(&self) -> String {
        let words: Vec<&str> = std::iter::once(&*self.command).chain(self.args.iter().map(String::as_str)).collect();
        redact(&words.join(" "), &[])
    }

    fn clean(&self, stderr: &[u8]) -> String {
        let named_secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["token", "secret", "password", "key"].iter().any(|word| name.contains(word))
        };
        let secrets: Vec<&str> =
            self.env.iter().filter(|(name, _)| named_secret(name)).map(|(_, value)| value.as_str()).collect();
        redact(&String::from_utf8_lossy(stderr), &secrets)
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ExecCredential {
    kind: String,
    api_version: String,
    status: Option<ExecStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ExecStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}
