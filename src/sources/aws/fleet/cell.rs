//! One account in one region: its clusters, and what they are. Every call takes its turn and has its limit.

use std::{
    cell::{Cell as Moment, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::Notify, time::Instant};

use super::{Cell, Claim, Desk, Failure, Key, News, ROUND, is_due, looked_at, seconds};
use crate::sources::aws::{
    AwsSession, eks,
    error::{AwsError, ErrorKind},
    pace::Pace,
};

/// Describes that run at once.
const AT_ONCE: usize = 8;
/// After how long the node groups of a cluster are described again, and the versions that EKS has.
const GROUPS: Duration = Duration::from_mins(2);
const VERSIONS: Duration = Duration::from_hours(6);

struct Asker {
    desk: Rc<Desk>,
    me: usize,
    cell: Cell,
    who: String,
    session: AwsSession,
    pace: Rc<Pace>,
    claim: Rc<Claim>,
    versions: Moment<Option<Instant>>,
    /// The clusters that have nodes to ask for, and when they were asked.
    groups: RefCell<BTreeMap<String, Option<Instant>>>,
    /// Rings when there are more of them.
    described: Notify,
}

/// Asks until the loop is gone: for clusters in rounds, for their node groups as they are looked at.
pub async fn run(desk: Rc<Desk>, me: usize, cell: Cell, who: String, session: AwsSession) {
    let (pace, claim) = (desk.paces.at(&cell.owner, &cell.region), desk.claim(&cell));
    let (versions, groups) = (Moment::new(None), RefCell::default());
    let asker = Asker { desk, me, cell, who, session, pace, claim, versions, groups, described: Notify::new() };
    tokio::join!(asker.rounds(), asker.all_groups());
}

impl Asker {
    async fn rounds(&self) {
        let mut watched = self.desk.watched.clone();
        let mut first = true;
        while looked_at(&mut watched).await {
            let turn = self.claim.asking.lock().await;
            if self.claim.holder.get().is_none_or(|holder| holder == self.me) {
                let answered = self.round().await;
                self.claim.holder.set(answered.then_some(self.me));
            }
            drop(turn);
            if std::mem::take(&mut first) {
                self.desk.answered().await;
            }
            self.desk.rest().await;
        }
    }

    /// The node groups of clusters that are looked at, where they are due.
    async fn all_groups(&self) {
        let mut watched = self.desk.watched.clone();
        while looked_at(&mut watched).await {
            let due: Vec<String> = {
                let watched = watched.borrow_and_update();
                let groups = self.groups.borrow();
                let due = groups.iter().filter(|(name, asked)| is_due(**asked, GROUPS) && watched.has(&self.key(name)));
                due.map(|(name, _)| name.clone()).collect()
            };
            if let Some(name) = due.first() {
                let answer = self.desired(name).await;
                self.desk.tell(News::Desired { key: self.key(name), answer, at: seconds() }).await;
                self.groups.borrow_mut().entry(name.clone()).insert_entry(Some(Instant::now()));
                continue;
            }
            tokio::select! {
                () = self.described.notified() => {}
                changed = watched.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    fn key(&self, name: &str) -> Key {
        Key { cell: self.cell.clone(), name: name.to_owned() }
    }

    /// A call that has its turn. Whoever is told that it is too much has all others wait too.
    async fn within<T>(
        &self,
        permission: &'static str,
        call: impl Future<Output = Result<T, AwsError>>,
    ) -> Result<T, Failure> {
        let patience = self.desk.patience;
        let answer = tokio::time::timeout(patience, call).await;
        let answer = answer.map_err(|_| Failure::Silent(permission, patience))?;
        answer.map_err(|error| {
            if error.kind == ErrorKind::Throttled {
                self.pace.throttled();
            }
            Failure::Refused(error)
        })
    }

    /// All clusters; false where nobody could say which there are.
    async fn round(&self) -> bool {
        self.pace.turn().await;
        let (cell, who) = (self.cell.clone(), self.who.clone());
        let names = match self.within("eks:ListClusters", eks::list_clusters(&self.session)).await {
            Ok(names) => names,
            Err(failure) => {
                self.desk.tell(News::Failed { cell, who, why: failure.problem() }).await;
                return false;
            }
        };
        let session = self.session.clone();
        self.groups.borrow_mut().retain(|name, _| names.contains(name));
        self.desk.tell(News::Names { cell, who, session, names: names.clone() }).await;
        let described = stream::iter(&names).for_each_concurrent(AT_ONCE, |name| self.describe(name));
        tokio::join!(described, self.versions(names.is_empty()));
        true
    }

    async fn describe(&self, name: &str) {
        self.pace.turn().await;
        let answer = self.within("eks:DescribeCluster", eks::describe_cluster(&self.session, name)).await;
        if answer.as_ref().is_ok_and(|cluster| cluster.connector_config.is_none()) {
            self.groups.borrow_mut().entry(name.to_owned()).or_default();
            self.described.notify_one();
        }
        let answer = answer.map(Box::new).map_err(|failure| failure.doubt());
        self.desk.tell(News::Described { key: self.key(name), answer, at: seconds() }).await;
    }

    /// The ends of support, where somebody has need of them. Where nobody answered it is asked again with the next round.
    async fn versions(&self, for_nobody: bool) {
        if for_nobody || !is_due(self.versions.get(), VERSIONS) {
            return;
        }
        self.pace.turn().await;
        let call = eks::describe_cluster_versions(&self.session);
        let answer = self.within("eks:DescribeClusterVersions", call).await;
        if !matches!(answer, Err(Failure::Silent(..))) {
            self.versions.set(Some(Instant::now()));
        }
        let answer = answer.map_err(|failure| failure.doubt());
        self.desk.tell(News::Versions { cell: self.cell.clone(), answer }).await;
    }

    /// How many nodes the managed groups of a cluster want together.
    async fn desired(&self, cluster: &str) -> Result<u32, String> {
        self.pace.spare_turn().await;
        let names = self.within("eks:ListNodegroups", eks::list_nodegroups(&self.session, cluster)).await;
        let names = names.map_err(|failure| failure.doubt())?;
        let wanted = stream::iter(&names).map(|name| async move {
            self.pace.spare_turn().await;
            let call = eks::describe_nodegroup(&self.session, cluster, name);
            match self.within("eks:DescribeNodegroup", call).await {
                Ok(group) => group.scaling_config.desired.ok_or_else(|| format!("EKS does not say how big {name} is")),
                // Deleted between the two calls.
                Err(Failure::Refused(error)) if error.kind == ErrorKind::NotFound => Ok(0),
                Err(failure) => Err(failure.doubt()),
            }
        });
        let wanted: Vec<u32> = wanted.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(wanted.into_iter().sum())
    }
}
