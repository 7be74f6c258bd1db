//! The credentials of one session: fetched when they are needed, once for all who wait, kept until they expire or are
//! refused, and looked for anew when the user says so. Which source they come from is decided here; how a source is asked
//! is in `mint`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::endpoint::Endpoints;
use super::environment::Environment;
use super::error::{SignInFailure, WayOut};
use super::exchange::Http;
use super::mint;
use super::profile::{Profiles, Role, Source, of_environment};
use crate::problem::Problem;

/// Credentials are renewed this long before they expire, or at half of their life when that is shorter.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(5 * 60);
/// After a failure the answer stands this long, so that ten panels do not ask ten times.
const FAILURE_STANDS: Duration = Duration::from_secs(5);

/// A key with what is known of it. `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    pub id: String,
    pub secret: SecretString,
    pub token: Option<SecretString>,
    pub expires: Option<Timestamp>,
    /// Where they come from, in words: `profile work (SSO)`.
    pub origin: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("origin", &self.origin)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn for_signing(&self) -> aws_credential_types::Credentials {
        let token = self.token.as_ref().map(|token| token.expose_secret().to_owned());
        aws_credential_types::Credentials::new(&self.id, self.secret.expose_secret(), token, None, "ekscope")
    }
}

/// Who a session is to be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The profile that was named for this session; then neither keys nor profile of the environment count.
    pub profile: Option<String>,
    /// Goes before the environment's and the profile's.
    pub region: Option<String>,
    /// A role to assume on top of all that.
    pub role: Option<Role>,
    pub environment: Environment,
}

impl Wish {
    /// The profile whose settings count.
    pub fn profile_name(&self) -> &str {
        let environment =
            || self.environment.get("AWS_PROFILE").or_else(|| self.environment.get("AWS_DEFAULT_PROFILE"));
        self.profile.as_deref().or_else(environment).unwrap_or("default")
    }

    /// The region: as wished, the environment's, the profile's.
    pub fn region<'a>(&'a self, profiles: &'a Profiles) -> Option<&'a str> {
        let variable = || self.environment.get("AWS_REGION").or_else(|| self.environment.get("AWS_DEFAULT_REGION"));
        self.region.as_deref().or_else(variable).or_else(|| profiles.region(self.profile_name()))
    }

    /// Follows the order of the AWS CLI: environment, profile, web identity, container, instance. `refused` are ids of
    /// keys that AWS calls expired: those of the environment are passed over, since they cannot change any more.
    pub fn source(&self, profiles: &Profiles, refused: &BTreeSet<String>) -> Result<Source, Problem> {
        let source = self.base(profiles, refused)?;
        Ok(match &self.role {
            Some(role) => Source::Assumed { base: Box::new(source), role: role.clone() },
            None => source,
        })
    }

    fn base(&self, profiles: &Profiles, refused: &BTreeSet<String>) -> Result<Source, Problem> {
        let environment = &self.environment;
        let named = self.profile.is_some();
        if !named
            && let Some(keys) = of_environment(environment)
            && !matches!(&keys, Source::Keys { id, .. } if refused.contains(id))
        {
            return Ok(keys);
        }
        let profile = self.profile_name();
        if profiles.has(profile) {
            if let Some(source) = profiles.source(profile, environment)? {
                return Ok(source);
            }
        } else if profile != "default" {
            return Err(profiles.no_profile(profile));
        }
        if let (false, Some(file), Some(arn)) =
            (named, environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environment.get("AWS_ROLE_ARN"))
        {
            let session_name = environment.get("AWS_ROLE_SESSION_NAME").map(str::to_owned);
            let role = Role { arn: arn.to_owned(), session_name, ..Role::default() };
            return Ok(Source::WebIdentity { token_file: environment.path(file), role });
        }
        let container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        if container.iter().any(|name| environment.get(name).is_some()) {
            return Ok(Source::Container);
        }
        Ok(Source::Instance)
    }
}

/// A question that only a person can answer: the code on their device.
#[derive(Debug)]
pub struct CodeQuestion {
    pub profile: String,
    pub role: String,
    /// The device, as `mfa_serial` names it.
    pub serial: String,
    /// `None` when they do not want to say.
    pub answer: oneshot::Sender<Option<String>>,
}

/// Where questions go. The session waits for the answer; all else goes on.
pub type Ask = mpsc::UnboundedSender<CodeQuestion>;

/// Keeps the current credentials of a wish.
pub(super) struct Keeper {
    pub wish: Wish,
    pub http: Http,
    pub endpoints: Endpoints,
    /// Whose STS is asked.
    pub region: String,
    pub ask: Option<Ask>,
    /// Held while credentials are fetched, so that everyone else waits for that instead of fetching again.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<(Arc<Credentials>, Timestamp)>,
    failure: Option<Failure>,
    refused: BTreeSet<String>,
}

struct Failure {
    at: Instant,
    failure: SignInFailure,
    /// Only the user can change anything about it.
    stands: bool,
}

impl Keeper {
    pub fn new(wish: Wish, http: Http, endpoints: Endpoints, region: String, ask: Option<Ask>) -> Self {
        Self { wish, http, endpoints, region, ask, state: Mutex::default() }
    }

    /// The current credentials; fetches some when there are none, or when they are about to expire.
    pub async fn current(&self, now: Timestamp) -> Result<Arc<Credentials>, SignInFailure> {
        let mut state = self.state.lock().await;
        let kept = match &state.current {
            Some((current, renew_at)) if now < *renew_at => return Ok(Arc::clone(current)),
            Some((current, _)) => Some(Arc::clone(current)),
            None => None,
        };
        match (self.fetch(&mut state, now).await, kept) {
            // What cannot be renewed is good until it expires.
            (Err(_), Some(kept)) if kept.expires.is_none_or(|at| now < at) => Ok(kept),
            (outcome, _) => outcome,
        }
    }

    /// After AWS called credentials expired: others, or the one failure that stands until [`Self::reload`].
    pub async fn renew(&self, refused: &Credentials, now: Timestamp) -> Result<Arc<Credentials>, SignInFailure> {
        let mut state = self.state.lock().await;
        if let Some((current, _)) = &state.current
            && current.id != refused.id
        {
            return Ok(Arc::clone(current));
        }
        state.current = None;
        let fetched = self.fetch(&mut state, now).await?;
        if fetched.id != refused.id {
            return Ok(fetched);
        }
        state.refused.insert(refused.id.clone());
        state.current = None;
        let failure = expired(refused);
        tracing::warn!(problem = %failure.problem, "credentials");
        state.failure = Some(Failure { at: Instant::now(), failure: failure.clone(), stands: true });
        Err(failure)
    }

    /// Forgets keys that have no end of their own: files may hold others by now.
    pub async fn recheck(&self) {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|(current, _)| current.expires.is_none()) {
            state.current = None;
        }
    }

    /// Looks for credentials anew: the user has signed in, written new ones, or wants to be asked again.
    pub async fn reload(&self) {
        let mut state = self.state.lock().await;
        state.failure = None;
        state.current = None;
    }

    async fn fetch(&self, state: &mut State, now: Timestamp) -> Result<Arc<Credentials>, SignInFailure> {
        if let Some(known) = &state.failure
            && (known.stands || known.at.elapsed() < FAILURE_STANDS)
        {
            return Err(known.failure.clone());
        }
        // Files are read anew each time: another program may have written to them.
        let profiles = Profiles::load(&self.wish.environment);
        let fetched = match self.wish.source(&profiles, &state.refused) {
            Ok(source) => mint::mint(self, &source, now).await,
            Err(problem) => Err(problem.into()),
        };
        match fetched {
            Ok(credentials) => {
                let life = credentials.expires.map(|expires| now.duration_until(expires));
                let renew_at = match (credentials.expires, life) {
                    (Some(expires), Some(life)) if life.is_positive() => expires - RENEW_BEFORE.min(life / 2),
                    // What comes expired is used all the same, for a minute: the service's clock decides.
                    (Some(_), _) => now + SignedDuration::from_secs(60),
                    (None, _) => Timestamp::MAX,
                };
                let credentials = Arc::new(credentials);
                state.failure = None;
                state.current = Some((Arc::clone(&credentials), renew_at));
                Ok(credentials)
            }
            Err(failure) => {
                tracing::warn!(problem = %failure.problem, "no AWS credentials");
                let stands = failure.way_out == WayOut::Code;
                state.failure = Some(Failure { at: Instant::now(), failure: failure.clone(), stands });
                Err(failure)
            }
        }
    }
}

fn expired(credentials: &Credentials) -> SignInFailure {
    let origin = &credentials.origin;
    Problem::new("the AWS credentials have expired")
        .because(format!("they come from {origin}"))
        .hint("write new ones to ~/.aws/credentials, or sign in again, then `:reload` on screen; no restart is needed")
        .into()
}
