//! Who we are to the server: takes a kubeconfig user apart, fetches credentials when they are needed, once for all who
//! wait, and keeps them until they expire or are refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, Cluster};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::eks::Minter;
use super::error::SendError;
use super::plugin::Plugin;
use crate::problem::Problem;
use crate::sources::net::transport::{Route, Transport};

/// Credentials are renewed this long before they expire, or at half of their life when that is shorter.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(60);
/// A token file is read again after this long, as client-go does: the kubelet rotates it.
const FILE_LIFE: SignedDuration = SignedDuration::from_secs(60);
/// After a failure the answer stands this long, so that ten watches that reconnect do not start ten plugins.
const FAILURE_STANDS: Duration = Duration::from_secs(5);

/// How the session signs in, for the header and for hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    Anonymous,
    ClientCertificate,
    Token,
    TokenFile,
    Basic,
    /// A credential plugin, by its command.
    Plugin(String),
    /// Tokens for EKS, minted here with the credentials of whom these words name.
    Eks(String),
}

impl std::fmt::Display for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::ClientCertificate => f.write_str("client certificate"),
            Self::Token => f.write_str("token"),
            Self::TokenFile => f.write_str("token file"),
            Self::Basic => f.write_str("password"),
            Self::Plugin(command) => write!(f, "exec {command}"),
            Self::Eks(who) => write!(f, "AWS, {who}"),
        }
    }
}

impl SignIn {
    /// What to do when the server refuses these credentials.
    pub(super) fn hint(&self, user: &str) -> String {
        match self {
            Self::Anonymous => "the context names no credentials: add a user to it".to_owned(),
            Self::ClientCertificate => {
                format!("the client certificate of user {user} may have expired: get a new kubeconfig")
            }
            Self::Token => format!("the token of user {user} may have expired: get a new kubeconfig"),
            Self::TokenFile => format!("check the token file of user {user}"),
            Self::Basic => format!("check the password of user {user}; API servers no longer take passwords"),
            Self::Plugin(command) => format!(
                "{command} gave a token that the cluster does not know: on EKS, check the account and the access entry \
                 of this identity"
            ),
            Self::Eks(who) => format!(
                "the cluster has no access entry for the AWS identity of {who}, or is another account's: \
                 `ekscope doctor` says who that is, `aws eks create-access-entry` lets it in"
            ),
        }
    }
}

/// Why there are no credentials, and the command that signs in again when that would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct CredentialFailure {
    pub problem: Problem,
    /// Program and arguments, to be run in a terminal.
    pub login: Option<Vec<String>>,
}

impl From<Problem> for CredentialFailure {
    fn from(problem: Problem) -> Self {
        Self { problem, login: None }
    }
}

/// Where credentials come from.
pub(super) enum Source {
    /// Nothing to fetch: a token, a password, or nothing beside the client certificate of the TLS settings.
    Fixed(Option<HeaderValue>),
    File {
        path: PathBuf,
        fallback: Option<HeaderValue>,
    },
    Plugin(Box<Plugin>),
    Eks(Box<Minter>),
}

impl Source {
    /// Takes the user apart: what stays in the `AuthInfo` afterwards is the client certificate alone.
    pub fn take(
        auth: &mut AuthInfo,
        cluster: &Cluster,
        user: &str,
        aws_profile: Option<&str>,
    ) -> Result<(Self, SignIn), Problem> {
        let auth = std::mem::replace(
            auth,
            AuthInfo {
                client_certificate: auth.client_certificate.clone(),
                client_certificate_data: auth.client_certificate_data.clone(),
                client_key: auth.client_key.clone(),
                client_key_data: auth.client_key_data.clone(),
                ..AuthInfo::default()
            },
        );
        if let Some(provider) = &auth.auth_provider {
            return Err(Problem::new(format!("user {user} signs in by the auth-provider {:?}", provider.name))
                .because("Kubernetes dropped auth-provider in 1.26; it is not supported")
                .hint("use a credential plugin (`exec`): kubelogin for oidc, gke-gcloud-auth-plugin for gcp"));
        }
        let token = auth.token.as_ref().map(|token| bearer(token.expose_secret())).transpose()?;
        Ok(match (auth.token_file, token, auth.exec) {
            (Some(path), fallback, _) => (Self::File { path: path.into(), fallback }, SignIn::TokenFile),
            (None, Some(token), _) => (Self::Fixed(Some(token)), SignIn::Token),
            (None, None, Some(exec)) => {
                let plugin = Plugin::new(&exec, cluster, aws_profile)?;
                let sign_in = SignIn::Plugin(plugin.command().to_owned());
                (Self::Plugin(Box::new(plugin)), sign_in)
            }
            (None, None, None) => match (auth.username, auth.password) {
                (Some(name), password) => {
                    let password = password.as_ref().map_or("", |password| password.expose_secret());
                    let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
                    (Self::Fixed(Some(sensitive(&format!("Basic {pair}"))?)), SignIn::Basic)
                }
                _ if auth.client_certificate.is_some() || auth.client_certificate_data.is_some() => {
                    (Self::Fixed(None), SignIn::ClientCertificate)
                }
                _ => (Self::Fixed(None), SignIn::Anonymous),
            },
        })
    }

    async fn mint(&self) -> Result<Minted, CredentialFailure> {
        match self {
            Self::Fixed(authorization) => Ok(Minted { authorization: authorization.clone(), ..Minted::default() }),
            Self::Plugin(plugin) => plugin.run().await,
            Self::Eks(minter) => minter.mint().await,
            Self::File { path, fallback } => match (tokio::fs::read_to_string(path).await, fallback) {
                (Ok(text), _) if !text.trim().is_empty() => {
                    Ok(Minted { authorization: Some(bearer(text.trim())?), ..Minted::default() })
                }
                (_, Some(fallback)) => Ok(Minted { authorization: Some(fallback.clone()), ..Minted::default() }),
                (read, None) => {
                    let why = read.map_or_else(|error| error.to_string(), |_| "it is empty".to_owned());
                    let problem = Problem::new(format!("cannot read the token file {}", path.display())).because(why);
                    Err(problem.hint("check tokenFile in the kubeconfig").into())
                }
            },
        }
    }
}

/// A client certificate with its key, in PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub certificate: String,
    pub key: SecretString,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key.expose_secret() == other.key.expose_secret()
    }
}

/// What a source gave.
#[derive(Default)]
pub(super) struct Minted {
    pub authorization: Option<HeaderValue>,
    pub identity: Option<Identity>,
    pub expires: Option<Timestamp>,
}

/// What requests travel with: a header, and connections that carry the right client certificate.
pub(super) struct Grant {
    pub authorization: Option<HeaderValue>,
    pub transport: Transport,
    identity: Option<Identity>,
    generation: u64,
    expires: Option<Timestamp>,
    renew_at: Option<Timestamp>,
}

/// Keeps the current grant, and fetches a new one for all who wait at once.
pub(super) struct Keeper {
    source: Source,
    /// TLS settings and the client certificate of the kubeconfig; no other credentials.
    config: kube::Config,
    route: Route,
    /// The connections with the kubeconfig's own certificate.
    transport: Transport,
    /// Held while credentials are fetched, so that everyone else waits for that instead of fetching again.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grant: Option<Arc<Grant>>,
    failure: Option<(Instant, CredentialFailure)>,
    /// When the server last refused a grant that had just been renewed.
    refused: Option<Instant>,
}

impl Keeper {
    pub fn new(source: Source, config: kube::Config, route: Route) -> Result<Self, Problem> {
        let transport = route.transport(&config)?;
        Ok(Self { source, config, route, transport, state: Mutex::default() })
    }

    /// The current grant; fetches one when there is none, or when it is about to expire.
    pub async fn grant(&self, now: Timestamp) -> Result<Arc<Grant>, SendError> {
        let mut state = self.state.lock().await;
        if let Some(grant) = &state.grant
            && grant.renew_at.is_none_or(|at| now < at)
        {
            return Ok(Arc::clone(grant));
        }
        let current = state.grant.clone();
        match (self.fetch(&mut state, now).await, current) {
            // What cannot be renewed is good until it expires; a token file has no expiry that we know.
            (Err(_), Some(current)) if current.expires.is_none_or(|at| now < at) => Ok(current),
            (outcome, _) => outcome,
        }
    }

    /// After a 401: a newer grant than the refused one, or none when there is nothing to renew.
    pub async fn renew(&self, refused: &Grant, now: Timestamp) -> Result<Option<Arc<Grant>>, SendError> {
        if matches!(self.source, Source::Fixed(_)) {
            return Ok(None);
        }
        let mut state = self.state.lock().await;
        match &state.grant {
            Some(grant) if grant.generation != refused.generation => Ok(Some(Arc::clone(grant))),
            _ if state.refused.is_some_and(|at| at.elapsed() < FAILURE_STANDS) => Ok(None),
            _ => self.fetch(&mut state, now).await.map(Some),
        }
    }

    /// The server refused a grant that had just been renewed: another one would fare no better for a while.
    pub async fn refused(&self) {
        self.state.lock().await.refused = Some(Instant::now());
    }

    /// Forgets failures and the current grant: the user has just signed in.
    pub async fn forget(&self) {
        let mut state = self.state.lock().await;
        state.failure = None;
        state.refused = None;
        // The grant's number stays known, so that the next one gets another.
        if let Some(grant) = state.grant.take() {
            let stale = Grant { renew_at: Some(Timestamp::MIN), expires: Some(Timestamp::MIN), ..grant.again() };
            state.grant = Some(Arc::new(stale));
        }
    }

    async fn fetch(&self, state: &mut State, now: Timestamp) -> Result<Arc<Grant>, SendError> {
        if let Some((at, failure)) = &state.failure
            && at.elapsed() < FAILURE_STANDS
        {
            return Err(SendError::Credentials(failure.clone()));
        }
        let granted = match self.source.mint().await {
            Ok(minted) => self.admit(minted, state.grant.as_deref(), now),
            Err(failure) => Err(failure),
        };
        match granted {
            Ok(grant) => {
                let grant = Arc::new(grant);
                state.grant = Some(Arc::clone(&grant));
                state.failure = None;
                Ok(grant)
            }
            Err(failure) => {
                tracing::warn!(problem = %failure.problem, "no credentials");
                state.failure = Some((Instant::now(), failure.clone()));
                Err(SendError::Credentials(failure))
            }
        }
    }

    fn admit(&self, minted: Minted, before: Option<&Grant>, now: Timestamp) -> Result<Grant, CredentialFailure> {
        let transport = match (&minted.identity, before) {
            (None, _) => self.transport.clone(),
            // The same certificate again: the open connections are still good.
            (Some(identity), Some(before)) if before.identity.as_ref() == Some(identity) => before.transport.clone(),
            (Some(identity), _) => {
                let mut config = self.config.clone();
                config.auth_info = AuthInfo {
                    client_certificate_data: Some(BASE64_STANDARD.encode(&identity.certificate)),
                    client_key_data: Some(BASE64_STANDARD.encode(identity.key.expose_secret()).into()),
                    ..AuthInfo::default()
                };
                self.route.transport(&config)?
            }
        };
        let renew_at = match (&self.source, minted.expires) {
            (Source::File { .. }, _) => Some(now + FILE_LIFE),
            (_, Some(expires)) => {
                let life = now.duration_until(expires);
                // What comes expired is used all the same: the server's clock decides, and a 401 renews it.
                let early = if life.is_positive() { RENEW_BEFORE.min(life / 2) } else { -RENEW_BEFORE };
                Some(expires.max(now) - early)
            }
            (_, None) => None,
        };
        Ok(Grant {
            authorization: minted.authorization,
            transport,
            identity: minted.identity,
            generation: before.map_or(0, |before| before.generation + 1),
            expires: minted.expires,
            renew_at,
        })
    }
}

impl Grant {
    fn again(&self) -> Self {
        Self {
            authorization: self.authorization.clone(),
            transport: self.transport.clone(),
            identity: self.identity.clone(),
            ..*self
        }
    }
}

/// An `Authorization` header that does not show up in logs.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, Problem> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Problem::new("the token or password holds characters that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}
