//! What is asked of AWS about node groups, in rounds: what changes every time, what is costly or seldom new as it falls due.
//! Every call takes its turn; what a call could not say is kept as the error that it is.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::now;
use crate::{
    kinds::nodegroup::{Place, Prices, Subnet, TypePrice},
    sources::aws::{
        AwsSession, autoscaling, ec2,
        eks::{self, FargateProfile, Nodegroup, Update},
        error::{AwsError, ErrorKind},
        pace::Pace,
        pricing, ssm,
    },
};

/// Describes that run at once.
const AT_ONCE: usize = 8;
/// After how many seconds what is seldom new is asked again.
const SUBNETS: i64 = 60;
const SCHEDULES: i64 = 300;
const RUNNING: i64 = 300;
const SPOT: i64 = 600;
const TEMPLATES: i64 = 600;
const RELEASES: i64 = 3_600;
const LISTED: i64 = 12 * 3_600;
/// Failed activities older than this are no news, seconds.
const NEWS: i64 = 3_600;

/// What the owner of a tag says: the group belongs to the cluster.
const OWNED: [&str; 2] = ["owned", "shared"];

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
    pub details: Details,
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

/// What is asked seldom.
#[derive(Clone, Default)]
pub struct Details {
    pub subnets: Due<HashMap<String, Subnet>>,
    pub schedules: Due<HashMap<String, Vec<autoscaling::Scheduled>>>,
    /// The newest version of a launch template by its id.
    pub templates: Due<HashMap<String, u64>>,
    /// The newest release by parameter.
    pub releases: Due<BTreeMap<String, String>>,
    /// Types of all instances of the cluster, Karpenter's too, and whether they are spot.
    pub running: Due<Vec<(String, bool)>>,
    pub prices: Arc<Prices>,
    pub spot_at: i64,
    pub doubts: BTreeMap<&'static str, String>,
}

/// Something with the second at which it was asked last, 0 for never.
#[derive(Clone, Default)]
pub struct Due<T> {
    pub at: i64,
    pub known: Option<T>,
}

impl<T> Due<T> {
    fn is_due(&self, after: i64) -> bool {
        now() - self.at >= after
    }
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
    session: AwsSession,
    pace: Rc<Pace>,
    place: Arc<Place>,
    details: Details,
}

impl Asker {
    pub fn new(session: AwsSession, pace: Rc<Pace>, place: Arc<Place>) -> Self {
        Self { session, pace, place, details: Details::default() }
    }

    /// A call in its turn.
    async fn ask<T>(&self, call: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
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
            details: self.details.clone(),
            doubts,
        }
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

    /// Asks what is due of the details; true when there is news.
    pub async fn details(&mut self, answers: &Answers) -> bool {
        let state = |details: &Details| {
            let Details { subnets, schedules, templates, releases, spot_at, prices, .. } = details;
            [
                subnets.at,
                schedules.at,
                templates.at,
                releases.at,
                *spot_at,
                i64::try_from(prices.types.len()).unwrap_or(0),
            ]
        };
        let before = state(&self.details);
        self.subnets(answers).await;
        self.schedules(answers).await;
        self.releases(answers).await;
        self.templates(answers).await;
        self.running().await;
        self.prices(answers).await;
        before != state(&self.details)
    }

    async fn templates(&mut self, answers: &Answers) {
        if !self.details.templates.is_due(TEMPLATES) {
            return;
        }
        self.details.templates.at = now();
        let managed = answers.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let of_managed = managed.filter_map(|group| group.launch_template.as_ref()?.id.clone());
        let asgs = answers.asgs.iter().flatten();
        let mut ids: Vec<String> =
            of_managed.chain(asgs.filter_map(|group| group.launch_template.as_ref()?.id.clone())).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut known = HashMap::new();
        for id in ids {
            let versions = ec2::describe_launch_template_versions(&self.session, &id, &["$Latest"]);
            match self.ask(versions).await {
                Ok(versions) => {
                    known.extend(versions.iter().filter_map(|version| version.number).max().map(|number| (id, number)));
                    self.details.doubts.remove("templates");
                }
                Err(error) => {
                    self.details.doubts.insert("templates", doubt(&error));
                    break;
                }
            }
        }
        self.details.templates.known = Some(known);
    }

    async fn subnets(&mut self, answers: &Answers) {
        if !self.details.subnets.is_due(SUBNETS) {
            return;
        }
        let managed = answers.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let of_managed = managed.flat_map(|group| &group.subnets);
        let mut ids: Vec<String> =
            of_managed.chain(answers.asgs.iter().flatten().flat_map(|it| &it.subnets)).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        let answer = self.ask(ec2::describe_subnets(&self.session, &ids)).await;
        self.details.subnets.at = now();
        match answer {
            Ok(subnets) => {
                let subnet = |it: ec2::Subnet| (it.id.clone(), Subnet { id: it.id, zone: it.zone, free: it.available });
                self.details.subnets.known = Some(subnets.into_iter().map(subnet).collect());
                self.details.doubts.remove("subnets");
            }
            Err(error) => {
                self.details.subnets.known = None;
                self.details.doubts.insert("subnets", doubt(&error));
            }
        }
    }

    async fn schedules(&mut self, answers: &Answers) {
        if !self.details.schedules.is_due(SCHEDULES) {
            return;
        }
        self.details.schedules.at = now();
        if answers.asgs.iter().flatten().next().is_none() {
            return;
        }
        match self.ask(autoscaling::describe_scheduled_actions(&self.session, None)).await {
            Ok(actions) => {
                let mut known: HashMap<String, Vec<_>> = HashMap::new();
                for action in actions {
                    known.entry(action.group.clone()).or_default().push(action);
                }
                self.details.schedules.known = Some(known);
                self.details.doubts.remove("schedules");
            }
            Err(error) => {
                self.details.schedules.known = None;
                self.details.doubts.insert("schedules", doubt(&error));
            }
        }
    }

    async fn releases(&mut self, answers: &Answers) {
        if !self.details.releases.is_due(RELEASES) {
            return;
        }
        self.details.releases.at = now();
        let managed = answers.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let mut names: Vec<String> = managed.filter_map(parameter).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return;
        }
        match self.ask(ssm::get_parameters(&self.session, &names)).await {
            Ok(found) => {
                let newest = found.into_iter().map(|(name, parameter)| (name, parameter.value)).collect();
                self.details.releases.known = Some(newest);
                self.details.doubts.remove("releases");
            }
            Err(error) => {
                self.details.doubts.insert("releases", doubt(&error));
            }
        }
    }

    async fn running(&mut self) {
        if !self.details.running.is_due(RUNNING) {
            return;
        }
        self.details.running.at = now();
        let tag = format!("kubernetes.io/cluster/{}", self.place.cluster);
        match self.ask(ec2::describe_instances(&self.session, ec2::Select::Tag(&tag, &OWNED))).await {
            Ok(instances) => {
                let running = instances.into_iter().filter(|it| it.state == "running" || it.state == "pending");
                let mut types: Vec<(String, bool)> = running.map(|it| (it.instance_type, it.spot)).collect();
                types.sort_unstable();
                types.dedup();
                self.details.running.known = Some(types);
                self.details.doubts.remove("running");
            }
            Err(error) => {
                self.details.doubts.insert("running", doubt(&error));
            }
        }
    }

    async fn prices(&mut self, answers: &Answers) {
        let (types, spot) = types(answers, self.details.running.known.as_deref().unwrap_or_default());
        let mut prices = Prices::clone(&self.details.prices);
        let due = |price: Option<&TypePrice>| price.is_none_or(|it| it.list.is_none_or(|(_, at)| now() - at >= LISTED));
        let due: Vec<&String> = types.iter().filter(|name| due(prices.types.get(*name))).collect();
        // A list that is refused is not asked for each type again, and not before prices are due anyway.
        let refused = prices.doubt.is_some() && now() - self.details.spot_at < SPOT;
        if !refused {
            prices.doubt = None;
        }
        for name in due.into_iter().filter(|_| !refused) {
            match self.ask(pricing::get_products(&self.session, name)).await {
                Ok(found) => {
                    let entry = prices.types.entry(name.clone()).or_default();
                    entry.list = found.map(|it| (it.per_hour, it.fetched.as_second()));
                }
                Err(error) => {
                    prices.doubt = Some(doubt(&error));
                    break;
                }
            }
        }
        if now() - self.details.spot_at >= SPOT {
            self.details.spot_at = now();
            if !spot.is_empty() {
                let history = ec2::describe_spot_price_history(&self.session, &spot, Timestamp::now());
                match self.ask(history).await {
                    Ok(found) => {
                        for price in found {
                            let entry = prices.types.entry(price.instance_type).or_default();
                            entry.spot.extend(price.dollars_per_hour.map(|dollars| (price.zone, dollars)));
                            entry.spot_at = now();
                        }
                    }
                    Err(error) => prices.doubt = Some(doubt(&error)),
                }
            }
        }
        self.details.prices = Arc::new(prices);
    }
}

/// All instance types, and those that run on spot.
fn types(answers: &Answers, running: &[(String, bool)]) -> (Vec<String>, Vec<String>) {
    let mut all: Vec<String> = running.iter().map(|(name, _)| name.clone()).collect();
    let mut spot: Vec<String> = running.iter().filter(|(_, spot)| *spot).map(|(name, _)| name.clone()).collect();
    for group in answers.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok()) {
        all.extend(group.instance_types.iter().cloned());
        if group.capacity_type.as_deref() == Some("SPOT") {
            spot.extend(group.instance_types.iter().cloned());
        }
    }
    for group in answers.asgs.iter().flatten() {
        let instances = group.instances.iter().filter_map(|instance| instance.instance_type.clone());
        all.extend(instances.chain(group.instance_types.iter().cloned()));
    }
    for names in [&mut all, &mut spot] {
        names.sort_unstable();
        names.dedup();
    }
    (all, spot)
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
