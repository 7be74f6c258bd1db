//! All clusters of EKS that the user's profiles can see: every profile and region is a cell that is asked by a task of its
//! own, so that a denied or silent one costs itself and nothing else. Asked while somebody looks, and not otherwise. Knows
//! neither kubeconfigs nor tables.

mod cell;
mod plan;
pub mod rows;

use std::{
    cell::{Cell as Counter, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{Mutex, Notify, mpsc, watch},
    time::Instant,
};

use super::{
    AwsSession, Environment, SessionOptions, Wish,
    eks::{Cluster, ClusterVersion},
    error::{AwsError, ErrorKind},
    groups::ask::doubt,
    pace::Paces,
    profile::Profiles,
};
use crate::{
    problem::Problem,
    sources::{Message, runner::Generation},
};

/// Whoever has keys in the environment, in the place of a profile's name.
pub const ENVIRONMENT: &str = "environment";
/// The longest wait for one answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Signing in may run a program or ask a third party.
const SIGN_IN: Duration = Duration::from_secs(20);
/// Between the regions in which it is asked who we are.
const NEXT_REGION: Duration = Duration::from_millis(300);
/// Pause between two rounds.
const ROUND: Duration = Duration::from_mins(1);

/// Whom to ask, and where.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub environment: Environment,
    pub options: SessionOptions,
    /// Patterns for profiles.
    pub profiles: Vec<String>,
    /// Empty for those that are known: of the session, of the profile, of contexts.
    pub regions: Vec<String>,
    /// Regions that contexts are in.
    pub contexts: Vec<String>,
    /// The longest wait for one answer.
    pub patience: Duration,
}

impl Survey {
    /// Whether anything says who to be to AWS; the machine's own role is not looked for.
    pub fn is_configured(&self) -> bool {
        let profiles = Profiles::load(&self.environment);
        let variables = [
            "AWS_ACCESS_KEY_ID",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        let named = profiles.names().any(|name| !matches!(profiles.source(name, &self.environment), Ok(None)));
        named || variables.iter().any(|name| self.environment.get(name).is_some())
    }
}

/// An account in a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The account's number; where nobody could tell it, who asks.
    pub owner: String,
    /// Empty where there was no way to ask in any.
    pub region: String,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub cell: Cell,
    pub name: String,
}

/// Whose node groups are of interest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Watched {
    /// Nobody looks: nothing is asked.
    #[default]
    Nobody,
    These(Vec<Key>),
    Everything,
}

impl Watched {
    fn has(&self, key: &Key) -> bool {
        match self {
            Self::Nobody => false,
            Self::These(keys) => keys.contains(key),
            Self::Everything => true,
        }
    }
}

/// What has become known. Instants are Unix seconds.
#[derive(Debug)]
pub enum News {
    /// How many first answers are still to come.
    Open(usize),
    /// The clusters of a cell, whose describes follow.
    Names {
        cell: Cell,
        who: String,
        session: AwsSession,
        names: Vec<String>,
    },
    Failed {
        cell: Cell,
        who: String,
        why: Problem,
    },
    /// A description, or why there is none.
    Described {
        key: Key,
        answer: Result<Box<Cluster>, String>,
        at: i64,
    },
    /// How many nodes the managed groups of a cluster want.
    Desired {
        key: Key,
        answer: Result<u32, String>,
        at: i64,
    },
    Versions {
        cell: Cell,
        answer: Result<Vec<ClusterVersion>, String>,
    },
}

/// Asks until the loop is gone; at once and from the beginning when credentials were renewed.
pub async fn run(
    survey: Survey,
    watched: watch::Receiver<Watched>,
    paces: Paces,
    renewed: Rc<Notify>,
    out: mpsc::Sender<(Generation, Message)>,
) {
    let (open, claims, patience) = (Counter::new(0), RefCell::default(), survey.patience);
    let desk = Rc::new(Desk { out, paces, watched, renewed, open, claims, patience });
    let profiles = Profiles::load(&survey.environment);
    let planned = plan::plan(&survey, &profiles);
    desk.expect(planned.len()).await;
    let options = &survey.options;
    let everyone = planned.into_iter().enumerate().map(|(me, planned)| {
        let desk = Rc::clone(&desk);
        async move { one_profile(&desk, me, planned, options).await }
    });
    join_all(everyone).await;
}

/// What all tasks share.
struct Desk {
    out: mpsc::Sender<(Generation, Message)>,
    paces: Paces,
    watched: watch::Receiver<Watched>,
    /// Rings when there are other credentials.
    renewed: Rc<Notify>,
    open: Counter<usize>,
    claims: RefCell<HashMap<Cell, Rc<Claim>>>,
    patience: Duration,
}

/// Several profiles may be of one account: who got an answer first asks from then on.
#[derive(Default)]
struct Claim {
    asking: Mutex<()>,
    holder: Counter<Option<usize>>,
}

impl Desk {
    async fn tell(&self, news: News) {
        // The loop is gone: so is who would be told.
        let _ = self.out.send((0, Message::Fleet(news))).await;
    }

    /// More first answers are to come.
    async fn expect(&self, more: usize) {
        self.open.set(self.open.get() + more);
        self.tell(News::Open(self.open.get())).await;
    }

    async fn answered(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        self.tell(News::Open(self.open.get())).await;
    }

    /// The pause between two rounds; other credentials end it.
    async fn rest(&self) {
        let _ = tokio::time::timeout(ROUND, self.renewed.notified()).await;
    }

    fn claim(&self, cell: &Cell) -> Rc<Claim> {
        Rc::clone(self.claims.borrow_mut().entry(cell.clone()).or_default())
    }
}

/// Waits until somebody looks; false when nobody ever will again.
async fn looked_at(watched: &mut watch::Receiver<Watched>) -> bool {
    watched.wait_for(|watched| *watched != Watched::Nobody).await.is_ok()
}

/// Finds out who a profile is, then asks in all its regions at once.
async fn one_profile(desk: &Rc<Desk>, me: usize, planned: plan::Planned, options: &SessionOptions) {
    let mut watched = desk.watched.clone();
    let who = planned.who();
    let nowhere = Cell { owner: who.clone(), region: String::new() };
    let mut failures = 0;
    let (sessions, account) = loop {
        if !looked_at(&mut watched).await {
            return;
        }
        let why = match sign_in(&planned, options, desk.patience).await {
            Ok(signed_in) => break signed_in,
            Err(why) => why,
        };
        desk.tell(News::Failed { cell: nowhere.clone(), who: who.clone(), why }).await;
        failures += 1;
        if failures == 1 {
            desk.answered().await;
        }
        desk.rest().await;
    };
    let one = usize::from(failures == 0);
    desk.expect(sessions.len().saturating_sub(one)).await;
    if failures > 0 {
        // What was wrong is no more.
        let (session, names) = (sessions[0].clone(), Vec::new());
        desk.tell(News::Names { cell: nowhere, who: who.clone(), session, names }).await;
    }
    let cells = sessions.into_iter().map(|session| {
        let owner = account.clone().unwrap_or_else(|| who.clone());
        let cell = Cell { owner, region: session.region().to_owned() };
        cell::run(Rc::clone(desk), me, cell, who.clone(), session)
    });
    join_all(cells).await;
}

/// A session for each region, and the account, where anybody can tell it.
async fn sign_in(
    planned: &plan::Planned,
    options: &SessionOptions,
    patience: Duration,
) -> Result<(Vec<AwsSession>, Option<String>), Problem> {
    let Some(region) = planned.regions.first() else {
        return Err(Problem::new(format!("no region is known for {}", planned.who()))
            .because("neither AWS_REGION nor the profile nor a context names one")
            .hint("give --region, AWS_REGION, or `regions` in [fleet] of the settings"));
    };
    let wish = Wish { region: Some(region.clone()), ..planned.wish.clone() };
    let session = AwsSession::open(wish, options)?;
    let sessions: Vec<_> = planned.regions.iter().map(|region| session.in_region(region)).collect();
    let account = tokio::time::timeout(SIGN_IN, account(&sessions, patience)).await;
    let account = account.unwrap_or_else(|_| Err(silent("signing in", SIGN_IN)))?;
    Ok((sessions, account))
}

/// The account behind a profile: the first region that answers tells, the others are asked when it keeps one waiting. None
/// where no one can tell and yet the credentials may be good.
async fn account(sessions: &[AwsSession], patience: Duration) -> Result<Option<String>, Problem> {
    use futures_util::{StreamExt, stream::FuturesUnordered};
    let ask = |(index, session): (u32, &AwsSession)| {
        let session = session.clone();
        async move {
            tokio::time::sleep(NEXT_REGION * index).await;
            let identity = tokio::time::timeout(patience, session.identity()).await;
            identity.ok()
        }
    };
    let mut asked: FuturesUnordered<_> = (0..).zip(sessions).map(ask).collect();
    while let Some(answer) = asked.next().await {
        match answer {
            Some(Ok(identity)) => return Ok(Some(identity.account)),
            Some(Err(error)) if is_about_us(&error) => return Err(error.problem()),
            Some(Err(_)) | None => {}
        }
    }
    Ok(None)
}

/// Whether an error would be the same in any region.
fn is_about_us(error: &AwsError) -> bool {
    matches!(error.kind, ErrorKind::SignIn(_) | ErrorKind::Expired | ErrorKind::BadKey | ErrorKind::Clock(_))
}

/// Why a call brought nothing.
enum Failure {
    Refused(AwsError),
    Silent(&'static str, Duration),
}

impl Failure {
    /// For a cell of the table.
    fn doubt(&self) -> String {
        match self {
            Self::Refused(error) => doubt(error),
            Self::Silent(permission, patience) => format!("{permission}: no answer in {patience:?}"),
        }
    }

    fn problem(&self) -> Problem {
        match self {
            Self::Refused(error) => error.problem(),
            Self::Silent(permission, patience) => silent(permission, *patience),
        }
    }
}

fn silent(what: &str, patience: Duration) -> Problem {
    Problem::new(format!("{what}: no answer in {patience:?}"))
        .because("the service did not answer in time")
        .hint("it is asked again in a minute; `ekscope doctor` looks at ways and endpoints")
}

fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// When something that was asked at an instant is due again.
fn is_due(asked: Option<Instant>, after: Duration) -> bool {
    asked.is_none_or(|at| at.elapsed() >= after)
}
