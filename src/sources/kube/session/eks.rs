//! What a kubeconfig says about EKS: which cluster, and as whom. Recognises the commands that mint tokens, so that they
//! need not run, and mints in their place. Knows AWS sessions from their outside only.

use std::path::Path;

use jiff::Timestamp;
use kube::config::ExecConfig;
use secrecy::ExposeSecret;

use super::credential::{CredentialFailure, Minted, bearer};
use super::plugin::{Plugin, variables};
use crate::problem::Problem;
use crate::sources::aws::profile::Role;
use crate::sources::aws::standing::Claim;
use crate::sources::aws::token::cluster_token;
use crate::sources::aws::{AwsSession, Environment, SessionOptions, SignInFailure, WayOut, Wish};

/// A cluster of EKS behind a context: what is claimed about it, and the AWS session that goes with the context.
#[derive(Clone, Debug)]
pub struct Eks {
    pub claim: Claim,
    pub session: AwsSession,
}

/// What an exec entry asks for.
#[derive(Debug)]
pub(super) struct Entry {
    pub cluster: String,
    pub wish: Wish,
}

/// Takes a token command apart: `aws eks get-token` or `aws-iam-authenticator token`. None when it is another command, or
/// has an option whose meaning is not known here: then it is run.
pub(super) fn recognise(exec: &ExecConfig, environment: &Environment) -> Option<Entry> {
    let program = Path::new(exec.command.as_deref()?).file_stem()?.to_str()?;
    let args = exec.args.as_deref().unwrap_or_default();
    let (mut cluster, mut region, mut profile, mut role) = (None, None, None, Role::default());
    let mut words = Vec::new();
    let authenticator = program == "aws-iam-authenticator";
    if !authenticator && program != "aws" {
        return None;
    }
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            words.push(arg);
            continue;
        }
        let (name, given) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
        if matches!(name, "--no-cli-pager" | "--no-cli-auto-prompt" | "--cache") {
            continue;
        }
        let value = given.or_else(|| args.next())?.to_owned();
        match (authenticator, name) {
            (false, "--cluster-name" | "--cluster-id") | (true, "-i" | "--cluster-id") => cluster = Some(value),
            (_, "--region") => region = Some(value),
            (false, "--profile") => profile = Some(value),
            (false, "--role-arn") | (true, "-r" | "--role") => role.arn = value,
            (true, "-e" | "--external-id") => role.external_id = Some(value),
            (true, "-s" | "--session-name") => role.session_name = Some(value),
            (false, "--output" | "--color" | "--cli-connect-timeout" | "--cli-read-timeout") => {}
            _ => return None,
        }
    }
    if words != if authenticator { &["token"][..] } else { &["eks", "get-token"][..] } {
        return None;
    }
    let own = variables(exec);
    let of_entry =
        |name: &str| own.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value);
    // A profile that the entry names is meant, whatever keys the shell has; keys of the entry's own go before it.
    if profile.is_none() && of_entry("AWS_ACCESS_KEY_ID").is_none() {
        profile = of_entry("AWS_PROFILE").cloned();
    }
    let region = region.or_else(|| of_entry("AWS_REGION").or_else(|| of_entry("AWS_DEFAULT_REGION")).cloned());
    let role = (!role.arn.is_empty()).then_some(role);
    Some(Entry {
        cluster: cluster.filter(|name: &String| !name.is_empty())?,
        wish: Wish { profile, region, role, environment: environment.clone().with(own) },
    })
}

/// What is claimed about the cluster behind a context, if that is one of EKS.
pub(super) fn claim(entry: Option<&Entry>, names: [&str; 2], host: &str) -> Option<Claim> {
    let arn = names.iter().find_map(|name| Claim::of_arn(name));
    let name = entry.map(|entry| &entry.cluster).or(arn.as_ref().map(|arn| &arn.name))?.clone();
    // An ARN of another cluster is somebody's choice of a name.
    let arn = arn.filter(|arn| arn.name == name);
    let mut claim = Claim { name, host: host.to_owned(), ..arn.unwrap_or_default() };
    claim.region = claim.region.or_else(|| entry?.wish.region.clone());
    Some(claim)
}

/// The cluster of EKS behind a context, if there is one: by its exec entry, or by an ARN that names it. Names are those of
/// the kubeconfig's cluster and context; `known` is a session that was made for this context before. An AWS session that cannot be made is an error only to the one who needs it.
pub(super) fn behind(
    entry: Option<Entry>,
    names: [&str; 2],
    host: &str,
    known: Option<AwsSession>,
    aws: impl FnOnce() -> (Environment, SessionOptions),
) -> Option<Result<Eks, Problem>> {
    let claim = claim(entry.as_ref(), names, host)?;
    let wish = entry.map(|entry| entry.wish);
    if let Some(session) = known {
        return Some(Ok(Eks { claim, session }));
    }
    let region = claim.region.clone().or_else(|| claim.host_region().map(str::to_owned));
    let (environment, options) = aws();
    let wish = wish.unwrap_or_else(|| Wish { environment, ..Wish::default() });
    let wish = Wish { region: wish.region.clone().or(region), ..wish };
    Some(AwsSession::open(wish, &options).map(|session| Eks { claim, session }))
}

/// Mints tokens for one cluster, in place of the command that the kubeconfig names.
pub(super) struct Minter {
    pub eks: Eks,
    /// The command itself, for when no AWS session can be made.
    pub plugin: Box<Plugin>,
}

impl Minter {
    pub async fn mint(&self) -> Result<Minted, CredentialFailure> {
        let session = &self.eks.session;
        // This runs every quarter of an hour and after a 401: keys in files may have changed meanwhile.
        session.recheck().await;
        match session.credentials().await {
            Ok(credentials) => {
                let token = cluster_token(&credentials, session.region(), &self.eks.claim.name, Timestamp::now())?;
                let authorization = bearer(token.token.expose_secret())?;
                Ok(Minted { authorization: Some(authorization), expires: Some(token.expires), ..Minted::default() })
            }
            // A person has to sign in; the command would say the same.
            Err(failure) if matches!(failure.way_out, WayOut::SsoLogin(_)) => Err(failure.into()),
            Err(failure) => {
                tracing::info!(problem = %failure.problem, command = self.plugin.command(), "running the kubeconfig's command");
                self.plugin.run().await.map_err(|ran| {
                    tracing::warn!(problem = %ran.problem, "the kubeconfig's command failed too");
                    // Its own way out is worth more than ours; a missing command is not.
                    if ran.login.is_some() { ran } else { failure.into() }
                })
            }
        }
    }
}

impl From<SignInFailure> for CredentialFailure {
    fn from(failure: SignInFailure) -> Self {
        let login = match &failure.way_out {
            WayOut::SsoLogin(sso) => {
                Some(["aws", "sso", "login", "--profile", &sso.profile].map(str::to_owned).to_vec())
            }
            WayOut::Code | WayOut::Reload => None,
        };
        Self { problem: failure.problem, login }
    }
}
