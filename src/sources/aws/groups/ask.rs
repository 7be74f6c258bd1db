//! What is asked of AWS about node groups in every round (`details` asks the rest as it falls due). Every call takes its
//! turn; what a call could not say is kept as the error that it is.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{autoscaler::Status, details::Details, now};
use crate::{
    kinds::nodegroup::Place,
    sources::aws::{
        AwsSession, autoscaling,
        eks::{self, FargateProfile, Nodegroup, Update},
        error::{AwsError, ErrorKind},
        pace::Pace,
        ssm,
    },
};

/// Describes that run at once.
const AT_ONCE: usize = 8;
/// Failed activities older than this are no news, seconds.
const NEWS: i64 = 3_600;

/// What the owner of a tag says: the group belongs to the cluster.
pub(super) const OWNED: [&str; 2] = ["owned", "shared"];

/// One round's answers.
#[derive(Clone)]
pub struct Answers {
    pub place: Arc<Place>,
    pub at: i64,
    pub managed: Result<Vec<Managed>, AwsError>,
    /// The Auto Scaling groups that belong to the cluster, managed ones too.
    pub asgs: Result<Vec<autoscaling::Group>, AwsError>,
    pub fargate: Result<Vec<Profile>, AwsError>,
    /// What happened last to groups that are not as they should be.
    pub recent: HashMap<String, Recent>,
    /// The instance refreshes that are running, by group.
    pub refreshes: HashMap<String, autoscaling::Refresh>,
    pub details: Details,
    /// What cluster-autoscaler says of itself, where it was found.
    pub autoscaler: Option<Arc<Status>>,
    /// Which calls are refused, in the words for a cell.
    pub doubts: Vec<String>,
}

/// A Fargate profile by its name.
pub type Profile = (String, Result<FargateProfile, AwsError>);

/// What a group's newest activity that has ended came to, and when.
#[derive(Clone)]
pub enum Recent {
    Failed(i64, String),
    Launched(i64),
}

#[derive(Clone)]
pub struct Managed {
    pub name: String,
    pub group: Result<Nodegroup, AwsError>,
    pub update: Option<Update>,
}

/// Why a cell is unknown, and what would help.
pub fn doubt(error: &AwsError) -> String {
    match &error.kind {
        ErrorKind::Denied(permission) => format!("needs {permission}"),
        ErrorKind::UnknownOperation => format!("{} is not offered here", error.permission()),
        kind => format!("{}: {kind}", error.permission()),
    }
}

impl Answers {
    /// What stands in the way of knowing which groups there are.
    pub fn failure(&self) -> Option<&AwsError> {
        self.managed.as_ref().err()
    }

    /// Whether there is anything to show.
    pub fn any(&self) -> bool {
        self.managed.is_ok() || self.asgs.as_ref().is_ok_and(|groups| !groups.is_empty())
    }

    /// Whether there is no Auto Scaling group that could be asked about.
    pub fn has_no_asg(&self) -> bool {
        self.asgs.iter().flatten().next().is_none()
    }

    /// Whether all lists came: what they did not mention is gone.
    pub fn is_whole(&self) -> bool {
        self.managed.is_ok() && self.asgs.is_ok() && self.fargate.is_ok()
    }

    /// Whether a group is on its way somewhere.
    pub fn changing(&self) -> bool {
        let busy = |status: &str| matches!(status, "UPDATING" | "CREATING" | "DELETING");
        let managed = self.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let mut asgs = self.asgs.iter().flatten();
        managed.into_iter().any(|group| busy(&group.status)) || asgs.any(unsettled)
    }

    /// The same with details that came later.
    pub fn with(&self, asker: &Asker) -> Self {
        Self { details: asker.details.clone(), ..self.clone() }
    }
}

/// Whether a group has not the instances that it wants.
fn unsettled(group: &autoscaling::Group) -> bool {
    let running = group.instances.iter().filter(|instance| instance.lifecycle == "InService").count();
    group.desired.is_some_and(|desired| desired as usize != running) || running != group.instances.len()
}

pub struct Asker {
    pub(super) session: AwsSession,
    pace: Rc<Pace>,
    pub(super) place: Arc<Place>,
    pub(super) details: Details,
}

impl Asker {
    pub fn new(session: AwsSession, pace: Rc<Pace>, place: Arc<Place>) -> Self {
        Self { session, pace, place, details: Details::default() }
    }

    /// A call in its turn.
    pub(super) async fn ask<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
        self.pace.turn().await;
        let answer = call.await;
        if answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Throttled) {
            self.pace.throttled();
        }
        answer
    }

    /// What is asked every time.
    pub async fn round(&self) -> Answers {
        let cluster = &self.place.cluster;
        let tag = format!("kubernetes.io/cluster/{cluster}");
        let (managed, asgs, fargate) = tokio::join!(
            Box::pin(self.managed()),
            Box::pin(self.ask(autoscaling::describe_auto_scaling_groups_by_tag(&self.session, &tag, &OWNED))),
            Box::pin(self.fargate()),
        );
        let mut doubts = Vec::new();
        let asgs = match (asgs, &managed) {
            (Ok(found), Ok(managed)) => self.untagged(found, managed).await,
            (asgs, _) => asgs,
        };
        let mut recent = HashMap::new();
        let named = managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let degraded: Vec<&str> = named
            .filter(|group| group.status == "DEGRADED")
            .flat_map(|group| &group.resources.auto_scaling_groups)
            .map(|named| &*named.name)
            .collect();
        let ill = |group: &&autoscaling::Group| unsettled(group) || degraded.contains(&&*group.name);
        for group in asgs.iter().flatten().filter(ill) {
            let activities = autoscaling::describe_scaling_activities(&self.session, &group.name, 10);
            match self.ask(activities).await {
                Ok(activities) => recent.extend(newest(&activities).map(|newest| (group.name.clone(), newest))),
                Err(error) => doubts.push(doubt(&error)),
            }
        }
        let refreshes = self.refreshes(asgs.iter().flatten().filter(|group| unsettled(group)), &mut doubts).await;
        doubts.extend(asgs.as_ref().err().map(doubt));
        doubts.extend(fargate.as_ref().err().map(doubt));
        doubts.dedup();
        Answers {
            place: Arc::clone(&self.place),
            at: now(),
            managed,
            asgs,
            fargate,
            recent,
            refreshes,
            details: self.details.clone(),
            autoscaler: None,
            doubts,
        }
    }

    /// The refreshes that run in groups whose instances come and go.
    async fn refreshes(
        &self,
        groups: impl Iterator<Item = &autoscaling::Group>,
        doubts: &mut Vec<String>,
    ) -> HashMap<String, autoscaling::Refresh> {
        let mut running = HashMap::new();
        for group in groups {
            match self.ask(autoscaling::describe_instance_refreshes(&self.session, &group.name, 1)).await {
                Ok(newest) => running.extend(
                    newest.into_iter().find(autoscaling::Refresh::is_running).map(|it| (group.name.clone(), it)),
                ),
                // What an endpoint does not offer is no news either.
                Err(error) if error.kind == ErrorKind::UnknownOperation => break,
                Err(error) => {
                    doubts.push(doubt(&error));
                    break;
                }
            }
        }
        running
    }

    async fn managed(&self) -> Result<Vec<Managed>, AwsError> {
        let cluster = &self.place.cluster;
        let names = self.ask(eks::list_nodegroups(&self.session, cluster)).await?;
        let described = stream::iter(names).map(|name| async move {
            let group = self.ask(eks::describe_nodegroup(&self.session, cluster, &name)).await;
            let busy = group.as_ref().is_ok_and(|group| group.status == "UPDATING");
            let update = if busy { self.update(&name).await } else { None };
            Managed { name, group, update }
        });
        let all: Vec<Managed> = described.buffered(AT_ONCE).collect().await;
        // Deleted between the two calls: not there any more.
        let gone = |it: &Managed| matches!(&it.group, Err(error) if error.kind == ErrorKind::NotFound);
        Ok(all.into_iter().filter(|it| !gone(it)).collect())
    }

    /// The update of a group that is running, where that can be seen.
    async fn update(&self, group: &str) -> Option<Update> {
        let cluster = &self.place.cluster;
        let ids = self.ask(eks::list_updates(&self.session, cluster, Some(group))).await.ok()?;
        // The newest come first.
        for id in ids.iter().take(3) {
            let update = self.ask(eks::describe_update(&self.session, cluster, Some(group), id)).await.ok()?;
            if update.status == "InProgress" {
                return Some(update);
            }
        }
        None
    }

    async fn fargate(&self) -> Result<Vec<Profile>, AwsError> {
        let cluster = &self.place.cluster;
        let names = self.ask(eks::list_fargate_profiles(&self.session, cluster)).await?;
        let described = stream::iter(names).map(|name| async move {
            let profile = self.ask(eks::describe_fargate_profile(&self.session, cluster, &name)).await;
            (name, profile)
        });
        Ok(described.buffered(AT_ONCE).collect().await)
    }

    /// Adds the groups that EKS names and that do not carry the cluster's tag.
    async fn untagged(
        &self,
        mut found: Vec<autoscaling::Group>,
        managed: &[Managed],
    ) -> Result<Vec<autoscaling::Group>, AwsError> {
        let named = managed.iter().filter_map(|it| it.group.as_ref().ok());
        let names = named.flat_map(|group| &group.resources.auto_scaling_groups).map(|group| group.name.clone());
        let missing: Vec<String> = names.filter(|name| !found.iter().any(|group| group.name == *name)).collect();
        if !missing.is_empty() {
            found.extend(self.ask(autoscaling::describe_auto_scaling_groups(&self.session, &missing)).await?);
        }
        Ok(found)
    }
}

/// The parameter that names the newest release for a group's image.
pub fn parameter(group: &Nodegroup) -> Option<String> {
    ssm::release_parameter(group.ami_type.as_deref()?, group.version.as_deref()?)
}

/// What the newest activity that has ended came to: activities come newest first. An old failure is no news.
fn newest(activities: &[autoscaling::Activity]) -> Option<Recent> {
    let ended =
        activities.iter().find(|activity| matches!(&*activity.status, "Failed" | "Cancelled" | "Successful"))?;
    let at = ended.start.map_or(0, Timestamp::as_second);
    match &*ended.status {
        "Failed" if now() - at < NEWS => {
            Some(Recent::Failed(at, ended.message.clone().unwrap_or_else(|| ended.description.clone())))
        }
        "Successful" if ended.description.starts_with("Launching") => Some(Recent::Launched(at)),
        _ => None,
    }
}
