//! One AWS session: who, in which region, by which ways. Opening it reads files and sends nothing; clones share
//! credentials and connections. Knows nothing of clusters.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::client::{Call, Parameters};
use super::credentials::{Ask, Credentials, Keeper, Wish};
use super::endpoint::{Endpoints, STS, is_region, partition};
use super::error::{AwsError, SignInFailure};
use super::exchange::{Http, Reply};
use super::login::Login;
use super::profile::{Profiles, Source, Sso};
use super::sts::Identity;
use crate::problem::Problem;

/// How sessions are opened, whoever they are for.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The longest wait for an answer; zero stands for half a minute.
    pub timeout: Duration,
    pub read_only: bool,
    /// Where to ask for codes of MFA devices; without it, profiles that need one fail and say so.
    pub ask: Option<Ask>,
}

/// A way to AWS for one identity in one region.
#[derive(Clone)]
pub struct AwsSession(Arc<Inner>);

struct Inner {
    region: Option<String>,
    read_only: bool,
    keeper: Arc<Keeper>,
    /// Seconds that this machine's clock is ahead, as the last answer had it.
    clock_ahead: AtomicI64,
    /// Lines of the profiles' files that could not be understood.
    problems: Vec<Problem>,
}

/// No answer with a date came yet.
const NO_CLOCK: i64 = i64::MIN;

impl std::fmt::Debug for AwsSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsSession").field("wish", &self.0.keeper.wish).field("region", &self.0.region).finish()
    }
}

impl AwsSession {
    /// Prepares a session: reads the profiles, sends nothing.
    pub fn open(wish: Wish, options: &SessionOptions) -> Result<Self, Problem> {
        let profiles = Profiles::load(&wish.environment);
        for problem in &profiles.problems {
            tracing::warn!(%problem, "AWS profiles");
        }
        let profile = wish.profile_name().to_owned();
        if !profiles.has(&profile) && (wish.profile.is_some() || profile != "default") {
            return Err(profiles.no_profile(&profile));
        }
        let region = wish.region(&profiles).map(str::to_owned);
        if let Some(region) = region.as_deref().filter(|region| !is_region(region)) {
            return Err(
                Problem::new(format!("{region:?} is not an AWS region")).hint("such as eu-west-1; see --region")
            );
        }
        let timeout = if options.timeout.is_zero() { Duration::from_secs(30) } else { options.timeout };
        let http = Http::new(&wish.environment, profiles.get(&profile, "ca_bundle"), timeout)?;
        let endpoints = Endpoints::read(&wish.environment, &profiles, &profile);
        let sts_region = region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        Ok(Self(Arc::new(Inner {
            keeper: Arc::new(Keeper::new(wish, http, endpoints, sts_region, options.ask.clone())),
            region,
            read_only: options.read_only,
            clock_ahead: AtomicI64::new(NO_CLOCK),
            problems: profiles.problems,
        })))
    }

    /// The region; `us-east-1` stands in where none is configured, see [`Self::chosen_region`].
    pub fn region(&self) -> &str {
        self.0.region.as_deref().unwrap_or(&self.0.keeper.region)
    }

    /// The same identity in another region; both share credentials and connections.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        Self(Arc::new(Inner {
            region: Some(region.to_owned()),
            read_only: self.0.read_only,
            keeper: Arc::clone(&self.0.keeper),
            clock_ahead: AtomicI64::new(NO_CLOCK),
            problems: Vec::new(),
        }))
    }

    /// The region that somebody chose; none where listing must ask for one first.
    pub fn chosen_region(&self) -> Option<&str> {
        self.0.region.as_deref()
    }

    /// What is wrong in the profiles' files, with its place; the rest of them is used.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The partition of the region, as ARNs name it.
    pub fn partition(&self) -> &'static str {
        partition(self.region()).name
    }

    /// The profile whose settings count.
    pub fn profile(&self) -> &str {
        self.0.keeper.wish.profile_name()
    }

    /// The profile that was named for this session; none where the environment decided.
    pub fn named_profile(&self) -> Option<&str> {
        self.0.keeper.wish.profile.as_deref()
    }

    /// Whose credentials these are to be, in words that need no call: `profile prod`.
    pub fn who(&self) -> String {
        let wish = &self.0.keeper.wish;
        let keys = wish.profile.is_none() && wish.environment.get("AWS_ACCESS_KEY_ID").is_some();
        let who = if keys { "the environment's key".to_owned() } else { format!("profile {}", self.profile()) };
        match &wish.role {
            Some(role) => format!("{} by {who}", role.arn),
            None => who,
        }
    }

    pub fn read_only(&self) -> bool {
        self.0.read_only
    }

    /// Where services are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.0.keeper.endpoints
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.keeper.http
    }

    /// The current credentials, fetched where there are none. Concurrent callers share one fetch.
    pub async fn credentials(&self) -> Result<Arc<Credentials>, SignInFailure> {
        self.0.keeper.current(Timestamp::now()).await
    }

    /// Others than those that AWS has just called expired.
    pub(super) async fn renewed(&self, refused: &Credentials) -> Result<Arc<Credentials>, SignInFailure> {
        self.0.keeper.renew(refused, Timestamp::now()).await
    }

    /// Reads keys that have no end of their own once more: another program may have written others.
    pub async fn recheck(&self) {
        self.0.keeper.recheck().await;
    }

    /// Looks for credentials anew at the next call: the user has signed in or written new ones. Keys of the environment
    /// that AWS called expired are passed over from then on.
    pub async fn reload(&self) {
        self.0.keeper.reload().await;
    }

    /// How this session signs in by IAM Identity Center, where that is how it does, or the session that it builds on.
    pub fn sso(&self) -> Option<Sso> {
        let wish = &self.0.keeper.wish;
        let profiles = Profiles::load(&wish.environment);
        let mut source = wish.source(&profiles, &BTreeSet::new()).ok()?;
        loop {
            match source {
                Source::Sso(sso) => return Some(sso),
                Source::Assumed { base, .. } => source = *base,
                _ => return None,
            }
        }
    }

    /// Begins a sign-in by IAM Identity Center; [`Self::reload`] when it is done.
    pub async fn login(&self, sso: Sso) -> Result<Login, Problem> {
        let keeper = &self.0.keeper;
        let environment = keeper.wish.environment.clone();
        Login::start(keeper.http.clone(), keeper.endpoints.clone(), environment, sso, Timestamp::now()).await
    }

    /// By how many seconds this machine's clock is ahead of AWS; none before the first answer.
    pub fn clock_ahead(&self) -> Option<i64> {
        Some(self.0.clock_ahead.load(Ordering::Relaxed)).filter(|&ahead| ahead != NO_CLOCK)
    }

    pub(super) fn note_clock(&self, reply: &Reply) {
        if let Some(ahead) = reply.clock_ahead() {
            self.0.clock_ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// Who AWS says we are. Needs no permission.
    pub async fn identity(&self) -> Result<Identity, AwsError> {
        let result = self.xml(Call::query(STS, "GetCallerIdentity", &Parameters::default())).await?;
        Ok(Identity::of(&result))
    }
}
