//! What is asked of AWS about node groups seldom, as it falls due: prices, subnets, schedules, policies, releases. A call that
//! fails costs its own cells.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    ask::{Answers, Asker, OWNED, doubt, parameter},
    now,
};
use crate::{
    kinds::nodegroup::{Prices, Subnet, TypePrice},
    sources::aws::{autoscaling, ec2, error::AwsError, pricing, ssm},
};

/// After how many seconds what is seldom new is asked again.
const SUBNETS: i64 = 60;
const SCHEDULES: i64 = 300;
const RUNNING: i64 = 300;
const SPOT: i64 = 600;
const TEMPLATES: i64 = 600;
const RELEASES: i64 = 3_600;
const LISTED: i64 = 12 * 3_600;
/// What is asked seldom.
#[derive(Clone, Default)]
pub struct Details {
    pub subnets: Due<HashMap<String, Subnet>>,
    pub schedules: Due<HashMap<String, Vec<autoscaling::Scheduled>>>,
    pub policies: Due<HashMap<String, Vec<autoscaling::Policy>>>,
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

impl Asker {
    /// Asks what is due of the details; true when there is news.
    pub async fn details(&mut self, answers: &Answers) -> bool {
        let state = |details: &Details| {
            let Details { subnets, schedules, policies, templates, releases, spot_at, prices, .. } = details;
            [
                subnets.at,
                schedules.at,
                policies.at,
                templates.at,
                releases.at,
                *spot_at,
                i64::try_from(prices.types.len()).unwrap_or(0),
            ]
        };
        let before = state(&self.details);
        self.subnets(answers).await;
        self.schedules(answers).await;
        self.policies(answers).await;
        self.releases(answers).await;
        self.templates(answers).await;
        self.running().await;
        self.prices(answers).await;
        before != state(&self.details)
    }

    /// What was answered; a refusal is kept as the doubt of this name.
    fn told<T>(&mut self, name: &'static str, answer: Result<T, AwsError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.details.doubts.remove(name);
                Some(answer)
            }
            Err(error) => {
                self.details.doubts.insert(name, doubt(&error));
                None
            }
        }
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
            let answer = self.ask(versions).await;
            let Some(versions) = self.told("templates", answer) else { break };
            known.extend(versions.iter().filter_map(|version| version.number).max().map(|number| (id, number)));
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
        let subnet = |it: ec2::Subnet| (it.id.clone(), Subnet { id: it.id, zone: it.zone, free: it.available });
        let known = self.told("subnets", answer).map(|subnets| subnets.into_iter().map(subnet).collect());
        self.details.subnets = Due { at: now(), known };
    }

    async fn schedules(&mut self, answers: &Answers) {
        if !self.details.schedules.is_due(SCHEDULES) || answers.has_no_asg() {
            return;
        }
        let answer = self.ask(autoscaling::describe_scheduled_actions(&self.session, None)).await;
        let known = self.told("schedules", answer).map(|all| by_group(all, |action| &action.group));
        self.details.schedules = Due { at: now(), known };
    }

    async fn policies(&mut self, answers: &Answers) {
        if !self.details.policies.is_due(SCHEDULES) || answers.has_no_asg() {
            return;
        }
        let answer = self.ask(autoscaling::describe_policies(&self.session)).await;
        let enabled = |all: Vec<autoscaling::Policy>| all.into_iter().filter(|policy| policy.enabled);
        let known = self.told("policies", answer).map(|all| by_group(enabled(all), |policy| &policy.group));
        self.details.policies = Due { at: now(), known };
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
        let answer = self.ask(ssm::get_parameters(&self.session, &names)).await;
        if let Some(found) = self.told("releases", answer) {
            let newest = found.into_iter().map(|(name, parameter)| (name, parameter.value)).collect();
            self.details.releases.known = Some(newest);
        }
    }

    async fn running(&mut self) {
        if !self.details.running.is_due(RUNNING) {
            return;
        }
        self.details.running.at = now();
        let tag = format!("kubernetes.io/cluster/{}", self.place.cluster);
        let answer = self.ask(ec2::running_types(&self.session, &tag, &OWNED)).await;
        if let Some(types) = self.told("running", answer) {
            self.details.running.known = Some(types);
        }
    }

    async fn prices(&mut self, answers: &Answers) {
        let (types, spot) = types(answers, self.details.running.known.as_deref().unwrap_or_default());
        let mut prices = Prices::clone(&self.details.prices);
        let due = |price: Option<&TypePrice>| price.is_none_or(|it| it.list.is_none_or(|(_, at)| now() - at >= LISTED));
        let due: Vec<&String> = types.iter().filter(|name| due(prices.types.get(*name))).collect();
        // A list that is refused is not asked for each type again, and not before prices are due anyway.
        let refused = prices.list_doubt.is_some() && now() - self.details.spot_at < SPOT;
        if !refused {
            prices.list_doubt = None;
        }
        for name in due.into_iter().filter(|_| !refused) {
            match self.ask(pricing::get_products(&self.session, name)).await {
                Ok(found) => {
                    let entry = prices.types.entry(name.clone()).or_default();
                    entry.list = found.map(|it| (it.per_hour, it.fetched.as_second()));
                }
                Err(error) => {
                    prices.list_doubt = Some(doubt(&error));
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
                        prices.spot_doubt = None;
                        for price in found {
                            let entry = prices.types.entry(price.instance_type).or_default();
                            entry.spot.extend(price.dollars_per_hour.map(|dollars| (price.zone, dollars)));
                            entry.spot_at = now();
                        }
                    }
                    Err(error) => prices.spot_doubt = Some(doubt(&error)),
                }
            }
        }
        self.details.prices = Arc::new(prices);
    }
}

/// By the names of their groups.
fn by_group<T>(all: impl IntoIterator<Item = T>, group: fn(&T) -> &String) -> HashMap<String, Vec<T>> {
    let mut groups: HashMap<String, Vec<T>> = HashMap::new();
    for one in all {
        groups.entry(group(&one).clone()).or_default().push(one);
    }
    groups
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
