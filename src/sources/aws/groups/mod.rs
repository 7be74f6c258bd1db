//! The node groups of the connected cluster, asked of AWS again and again: more often while they are on screen, and more
//! often still while something changes. There is nothing to watch in EKS, Auto Scaling and EC2 (`ask` does the asking,
//! `rows` makes rows of the answers; `autoscaler` is the one that asks the cluster). Each call that is refused costs its own cells and nothing else.

pub mod activities;
pub(super) mod ask;
pub(super) mod autoscaler;
pub(super) mod details;
pub(super) mod rows;

use std::{cell::Cell, collections::HashSet, rc::Rc, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};

use self::{
    ask::{Answers, Asker},
    autoscaler::Found,
};
use super::{
    AwsSession,
    error::{AwsError, ErrorKind},
    pace::Paces,
    standing::{self, AwsStanding, Claim},
};
use crate::{
    kinds::{
        HasId,
        nodegroup::{AWS_PART, NodeGroup, Place},
    },
    problem::Problem,
    sources::{
        Message,
        kube::cluster::{Cluster, Disconnected},
    },
    store::{
        stream::{StreamId, StreamState},
        table::{Change, Changes, Covers, Uid},
    },
};

/// Pauses between two rounds: on screen, while something changes, and while nobody looks.
const VISIBLE: Duration = Duration::from_secs(15);
const CHANGING: Duration = Duration::from_secs(5);
const HIDDEN: Duration = Duration::from_mins(1);
/// How long after a change that we sent a group counts as changing, whatever it says.
const AFTER_CHANGE: Duration = Duration::from_mins(2);
/// When what could not be found out is asked again.
const RETRY: Duration = Duration::from_secs(30);

/// Whether somebody looks, and a bell for news; shared with whoever takes the loop's orders.
#[derive(Default)]
pub struct Attention {
    visible: Cell<bool>,
    /// When a change was sent last, and whether nobody has asked since what came of it.
    changed: Cell<Option<Instant>>,
    unasked: Cell<bool>,
    bell: Notify,
}

impl Attention {
    pub fn set(&self, visible: bool) {
        self.visible.set(visible);
        self.bell.notify_one();
    }

    /// A change was sent: what came of it is asked at once, and again soon.
    pub fn changed(&self) {
        self.changed.set(Some(Instant::now()));
        self.unasked.set(true);
        self.bell.notify_one();
    }

    /// How long to pause between two rounds.
    fn pause(&self, changing: bool) -> Duration {
        let recent = self.changed.get().is_some_and(|at| at.elapsed() < AFTER_CHANGE);
        match (changing || recent, self.visible.get()) {
            (true, true) => CHANGING,
            (false, true) => VISIBLE,
            (_, false) => HIDDEN,
        }
    }

    /// Waits until the next round is due, which may change while one waits.
    async fn rest(&self, changing: bool) {
        let start = Instant::now();
        while !self.unasked.replace(false)
            && let Some(left) = self.pause(changing).checked_sub(start.elapsed())
        {
            if tokio::time::timeout(left, self.bell.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Asks until it is dropped or the loop is gone.
pub async fn run(cluster: Rc<Cluster>, stream: StreamId, attention: Rc<Attention>, paces: Paces) {
    let poller = Poller { cluster: &cluster, stream, attention: &attention };
    // The loop is gone: so is who would be told.
    let _ = poller.run(&paces).await;
}

struct Poller<'a> {
    cluster: &'a Cluster,
    stream: StreamId,
    attention: &'a Attention,
}

impl Poller<'_> {
    async fn run(&self, paces: &Paces) -> Result<(), Disconnected> {
        let eks = match self.cluster.session.eks() {
            None => return self.off(not_eks()).await,
            Some(Err(problem)) => return self.off(problem.clone()).await,
            Some(Ok(eks)) => eks.clone(),
        };
        self.state(StreamState::Connecting { since: now() }).await?;
        let place = loop {
            match standing::check(&eks.session, &eks.claim).await {
                AwsStanding::Ours(_) => break place(&eks.session, &eks.claim).await,
                AwsStanding::NotEks | AwsStanding::Checking => return self.off(not_eks()).await,
                AwsStanding::Mismatch(problem) => return self.off(problem).await,
                AwsStanding::Unproven(why) => {
                    self.stale(0, why, true).await?;
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let pace = match &place.account {
            Some(account) => paces.at(account, &place.region),
            None => paces.of(&eks.session),
        };
        let mut asker = Asker::new(eks.session, pace, place);
        let epoch = self.cluster.next_epoch();
        let mut sent = HashSet::new();
        let mut complete = 0;
        let mut autoscaler = Found::default();
        self.state(StreamState::Loading { loaded: 0, about: None }).await?;
        loop {
            let (mut answers, ()) = tokio::join!(asker.round(), autoscaler.look(self.cluster));
            answers.autoscaler.clone_from(&autoscaler.status);
            let failed = answers.failure();
            self.send(epoch, &answers, &mut sent).await?;
            // What is asked seldom does not hold up the rows; they are sent again with it.
            if asker.details(&answers).await {
                self.send(epoch, &answers.with(&asker), &mut sent).await?;
            }
            match failed {
                None => {
                    if complete == 0 {
                        let covers = Covers::Object { namespace: String::new(), name: AWS_PART.to_owned() };
                        let (stream, kind) = (self.stream, NodeGroup::ID);
                        self.cluster.tell(Message::Complete { stream, kind, covers, epoch }).await?;
                    }
                    complete = now();
                    self.state(StreamState::Polled { at: complete }).await?;
                }
                Some(AwsError { kind: ErrorKind::Denied(_), .. }) if !answers.any() => {
                    let problem = failed.map(AwsError::problem).unwrap_or_default();
                    self.state(StreamState::Forbidden(problem)).await?;
                }
                Some(error) => {
                    let passing =
                        matches!(error.kind, ErrorKind::Network(_) | ErrorKind::Throttled | ErrorKind::Server);
                    self.stale(complete, error.problem(), passing).await?;
                }
            }
            self.attention.rest(answers.changing()).await;
        }
    }

    /// Sends all rows that there are, and takes back those that are gone.
    async fn send(&self, epoch: u32, answers: &Answers, sent: &mut HashSet<Uid>) -> Result<(), Disconnected> {
        let mut seen = HashSet::new();
        self.cluster
            .rows(self.stream, NodeGroup::ID, epoch, |interner| {
                let mut changes = Changes::default();
                for (meta, row) in rows::of(answers, &mut changes.names, interner) {
                    seen.insert(meta.uid);
                    changes.changes.push(Change::Upsert(meta, row));
                }
                // Only who saw the whole list knows what is gone.
                if answers.is_whole() {
                    changes.changes.extend(sent.difference(&seen).map(|uid| Change::Remove(*uid)));
                }
                changes
            })
            .await?;
        if answers.is_whole() {
            *sent = seen;
        } else {
            sent.extend(seen);
        }
        Ok(())
    }

    async fn state(&self, state: StreamState) -> Result<(), Disconnected> {
        self.cluster.state(self.stream, state).await
    }

    async fn stale(&self, since: i64, why: Problem, passing: bool) -> Result<(), Disconnected> {
        let retry = now() + i64::try_from(RETRY.as_secs()).unwrap_or(0);
        self.state(StreamState::Stale { since, retry, why, passing }).await
    }

    /// There is nobody to ask. That is all there will ever be to say, so the list is complete.
    async fn off(&self, why: Problem) -> Result<(), Disconnected> {
        let covers = Covers::Object { namespace: String::new(), name: AWS_PART.to_owned() };
        let (stream, kind, epoch) = (self.stream, NodeGroup::ID, self.cluster.next_epoch());
        self.state(StreamState::Off(why)).await?;
        self.cluster.tell(Message::Complete { stream, kind, covers, epoch }).await
    }
}

fn not_eks() -> Problem {
    Problem::new("this context is not known to be a cluster of EKS")
        .because("its kubeconfig names no EKS cluster, neither by a token command nor by an ARN")
        .hint("`ekscope --eks NAME` connects by name; Karpenter's pools are shown wherever there are any")
}

/// Where the groups are; the account is asked for where the kubeconfig does not name it.
async fn place(session: &AwsSession, claim: &Claim) -> Arc<Place> {
    let account = match &claim.account {
        Some(account) => Some(account.clone()),
        None => session.identity().await.ok().map(|identity| identity.account),
    };
    Arc::new(Place {
        cluster: claim.name.clone(),
        region: session.region().to_owned(),
        account,
        profile: session.named_profile().map(str::to_owned),
    })
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_looks_is_told_more_often_and_most_often_while_something_changes() {
        let attention = Attention::default();
        assert_eq!((attention.pause(false), attention.pause(true)), (HIDDEN, HIDDEN));
        attention.set(true);
        assert_eq!((attention.pause(false), attention.pause(true)), (VISIBLE, CHANGING));
        attention.changed();
        assert_eq!(attention.pause(false), CHANGING, "AWS may not say so yet");
    }

    #[tokio::test]
    async fn a_change_is_asked_about_at_once() {
        let attention = Attention::default();
        assert!(attention.rest(false).now_or_never().is_none(), "nobody looks");
        attention.changed();
        assert!(attention.rest(false).now_or_never().is_some());
        assert!(attention.rest(false).now_or_never().is_none(), "once");
    }
}
