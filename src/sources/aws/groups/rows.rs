//! Answers of AWS as rows of the table of node groups. Pure: what was not said stays unknown.

use super::{
    ask::{Answers, Managed, Recent, doubt, parameter},
    details::Details,
};
use crate::{
    kinds::nodegroup::{self, AWS_PART, Asg, Autoscaler, Instance, Make, Release, Row, Template},
    sources::aws::{
        autoscaling::{self, Policy, Refresh, Scheduled},
        eks::FargateProfile,
        error::AwsError,
    },
    store::{
        intern::Interner,
        table::{Meta, Span, Uid},
    },
};

/// Keys that say nothing to Fargate.
const FARGATE: &str = "Fargate starts a node for each pod that its profile selects";
/// Tags of Auto Scaling groups.
const AUTOSCALED: &str = "k8s.io/cluster-autoscaler/enabled";
const MANAGED: &str = "eks:nodegroup-name";
const EKSCTL: &str = "alpha.eksctl.io/nodegroup-name";

/// Every group that the answers tell of.
pub fn of(answers: &Answers, names: &mut String, interner: &mut Interner) -> Vec<(Meta, Row)> {
    let mut rows = Vec::new();
    let mut meta = |uid: Uid, name: &str, created: Option<jiff::Timestamp>, interner: &mut Interner| Meta {
        uid,
        name: Span::push(names, name),
        owner_name: interner.text(AWS_PART),
        created: crate::kinds::seconds(created.map(jiff::Timestamp::as_second)),
        ..Meta::default()
    };
    for it in answers.managed.iter().flatten() {
        let created = it.group.as_ref().ok().and_then(|group| group.created_at);
        // A group that is made anew under the same name is another one.
        let arn = it.group.as_ref().map_or("", |group| &group.nodegroup_arn);
        let uid = Uid::hashed(&[b"managed", it.name.as_bytes(), arn.as_bytes()]);
        let mut meta = meta(uid, &it.name, created, interner);
        if let Ok(group) = &it.group {
            let labels = group.labels.iter().map(|(key, value)| (interner.text(key), interner.text(value))).collect();
            meta.labels = interner.labels(labels);
        }
        rows.push((meta, managed(answers, it, interner)));
    }
    for group in own(answers) {
        let name = tag(group, EKSCTL).unwrap_or(&group.name);
        let uid = Uid::hashed(&[b"asg", group.arn.as_bytes(), group.name.as_bytes()]);
        rows.push((meta(uid, name, group.created, interner), own_row(answers, group, name, interner)));
    }
    for (name, profile) in answers.fargate.iter().flatten() {
        let created = profile.as_ref().ok().and_then(|profile| profile.created_at);
        let uid = Uid::hashed(&[b"fargate", name.as_bytes()]);
        rows.push((meta(uid, name, created, interner), fargate(answers, name, profile, interner)));
    }
    rows
}

/// The groups that are no managed group's.
fn own(answers: &Answers) -> impl Iterator<Item = &autoscaling::Group> {
    let managed = |group: &&autoscaling::Group| {
        let named = answers.managed.iter().flatten().filter_map(|it| it.group.as_ref().ok());
        let mut names = named.flat_map(|it| &it.resources.auto_scaling_groups);
        tag(group, MANAGED).is_some() || names.any(|it| it.name == group.name)
    };
    answers.asgs.iter().flatten().filter(move |group| !managed(group))
}

fn tag<'a>(group: &'a autoscaling::Group, key: &str) -> Option<&'a str> {
    group.tags.iter().find(|tag| tag.key == key).map(|tag| &*tag.value)
}

fn managed(answers: &Answers, it: &Managed, interner: &mut Interner) -> Row {
    let mut row = row(answers, &it.name, Make::Managed, interner);
    row.doubts.clone_from(&answers.doubts);
    let group = match &it.group {
        Ok(group) => group,
        Err(error) => {
            row.doubts.push(doubt(error));
            row.fixed = "what EKS says of this group is not known";
            return row;
        }
    };
    let details = &answers.details;
    row.min = group.scaling_config.min;
    row.max = group.scaling_config.max;
    row.desired = group.scaling_config.desired;
    row.types.clone_from(&group.instance_types);
    row.spot = match group.capacity_type.as_deref() {
        Some("SPOT") => Some(true),
        Some("ON_DEMAND") => Some(false),
        _ => None,
    };
    row.status.clone_from(&group.status);
    row.issues = group.health.issues.iter().map(|issue| format!("{}: {}", issue.code, issue.message)).collect();
    row.update = it.update.as_ref().map(|update| format!("{} {}", update.kind, update.id));
    row.release = Release {
        own: group.release_version.clone().unwrap_or_default(),
        newest: parameter(group).and_then(|name| details.releases.known.as_ref()?.get(&name).cloned()),
    };
    // EKS writes NO_SCHEDULE where Kubernetes has NoSchedule.
    let effect = |effect: &str| match effect {
        "NO_SCHEDULE" => "NoSchedule".to_owned(),
        "NO_EXECUTE" => "NoExecute".to_owned(),
        "PREFER_NO_SCHEDULE" => "PreferNoSchedule".to_owned(),
        other => other.to_owned(),
    };
    let taints = group.taints.iter().map(|it| nodegroup::taint(&it.key, &it.value, &effect(&it.effect)));
    row.taints = taints.collect::<Vec<_>>().join(",");
    row.template = group.launch_template.as_ref().map(|it| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        template(answers, &text(&it.id), &text(&it.name), &text(&it.version))
    });
    subnets(&mut row, answers, &group.subnets);
    let named = group.resources.auto_scaling_groups.first();
    if let Some(named) = named
        && let Ok(asgs) = &answers.asgs
    {
        match asgs.iter().find(|asg| asg.name == named.name) {
            Some(found) => of_asg(&mut row, answers, found, interner),
            None => row.doubts.push(format!("Auto Scaling group {} not found", named.name)),
        }
    }
    row
}

fn own_row(answers: &Answers, group: &autoscaling::Group, name: &str, interner: &mut Interner) -> Row {
    let mut row = row(answers, name, Make::Own, interner);
    (row.min, row.max, row.desired) = (group.min, group.max, group.desired);
    of_asg(&mut row, answers, group, interner);
    let mut types: Vec<String> = group.instances.iter().filter_map(|it| it.instance_type.clone()).collect();
    types.extend(group.instance_types.iter().cloned());
    types.sort_unstable();
    types.dedup();
    row.types = types;
    row.template = group.launch_template.as_ref().map(|it| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        template(answers, &text(&it.id), &text(&it.name), &text(&it.version))
    });
    subnets(&mut row, answers, &group.subnets);
    if group.operator.is_some() {
        row.fixed = "another service of AWS operates this group, and only it may change it";
    }
    row
}

fn fargate(answers: &Answers, name: &str, profile: &Result<FargateProfile, AwsError>, interner: &mut Interner) -> Row {
    let mut row = row(answers, name, Make::Fargate, interner);
    row.fixed = FARGATE;
    match profile {
        Ok(profile) => {
            row.status.clone_from(&profile.status);
            row.issues = profile.health.issues.iter().map(|it| format!("{}: {}", it.code, it.message)).collect();
            subnets(&mut row, answers, &profile.subnets);
        }
        Err(error) => row.doubts.push(doubt(error)),
    }
    row
}

fn row(answers: &Answers, name: &str, make: Make, interner: &mut Interner) -> Row {
    Row {
        place: Some(answers.place.clone()),
        prices: answers.details.prices.clone(),
        at: answers.at,
        ..Row::new(interner.text(name), make)
    }
}

fn of_asg(row: &mut Row, answers: &Answers, group: &autoscaling::Group, interner: &mut Interner) {
    match answers.recent.get(&group.name) {
        Some(Recent::Failed(at, why)) => row.failure = Some((*at, why.clone())),
        Some(Recent::Launched(at)) => row.recovered = Some(*at),
        None => {}
    }
    let said = answers.autoscaler.as_ref().and_then(|status| status.of(&group.name, answers.at));
    row.autoscaler = match said {
        Some(said) => said,
        None if tag(group, AUTOSCALED).is_some() => Autoscaler::Tagged,
        None => Autoscaler::None,
    };
    let Details { schedules, policies, doubts, .. } = &answers.details;
    match (&schedules.known, doubts.get("schedules")) {
        (Some(known), _) => {
            row.schedules = Ok(known.get(&group.name).into_iter().flatten().map(schedule).collect());
        }
        (None, Some(doubt)) => row.schedules = Err(doubt.clone()),
        (None, None) => {}
    }
    match (&policies.known, doubts.get("policies")) {
        (Some(known), _) => {
            row.policies = Ok(known.get(&group.name).into_iter().flatten().map(policy).collect());
        }
        (None, Some(doubt)) => row.policies = Err(doubt.clone()),
        (None, None) => {}
    }
    row.refresh = answers.refreshes.get(&group.name).map(refresh);
    let instance = |it: &autoscaling::Instance| Instance {
        id: interner.text(&it.id),
        instance_type: it.instance_type.clone().unwrap_or_default(),
        zone: it.zone.clone(),
        ending: it.lifecycle.starts_with("Terminat") || it.lifecycle.starts_with("Detach"),
    };
    let own = group.launch_template.as_ref().and_then(|template| template.version.as_ref());
    let another = |it: &&autoscaling::Instance| {
        let version = it.launch_template.as_ref().and_then(|template| template.version.as_ref());
        // `$Latest` names no version that could be compared.
        version.zip(own).is_some_and(|(theirs, own)| theirs != own && !own.starts_with('$'))
    };
    let outdated = group.instances.iter().filter(another).count();
    let protected = group.instances.iter().filter(|it| it.protected).count();
    let mut traits = Vec::new();
    traits.extend(group.warm_pool.then(|| "warm pool".to_owned()));
    traits.extend(group.capacity_rebalance.then(|| "capacity rebalance".to_owned()));
    traits.extend((protected > 0).then(|| format!("{protected} protected from scale-in")));
    // Instances of a warm pool wait outside of the group.
    let inside = group.instances.iter().filter(|it| !it.lifecycle.starts_with("Warmed"));
    row.asg = Some(Asg {
        name: group.name.clone(),
        min: group.min,
        max: group.max,
        desired: group.desired,
        instances: inside.map(instance).collect(),
        suspended: group.suspended.clone(),
        traits,
        outdated: u32::try_from(outdated).unwrap_or(u32::MAX),
        operator: group.operator.clone(),
    });
}

/// A template by its id, with what is known of its versions.
fn template(answers: &Answers, id: &str, name: &str, version: &str) -> Template {
    let latest = answers.details.templates.known.as_ref().and_then(|known| known.get(id).copied());
    Template { id: id.to_owned(), name: name.to_owned(), version: version.to_owned(), latest }
}

/// `cpu50: target tracking of ASGAverageCPUUtilization at 50`.
fn policy(policy: &Policy) -> String {
    let kind = match &*policy.kind {
        "TargetTrackingScaling" => "target tracking",
        "StepScaling" => "step scaling",
        "SimpleScaling" => "simple scaling",
        "PredictiveScaling" => "predictive scaling",
        other => other,
    };
    let of = policy.metric.as_ref().map_or_else(String::new, |metric| format!(" of {metric}"));
    let at = policy.target.map_or_else(String::new, |target| format!(" at {target}"));
    format!("{}: {kind}{of}{at}", policy.name)
}

/// `instance refresh 40 %`.
fn refresh(refresh: &Refresh) -> String {
    let done = refresh.done.map_or_else(String::new, |percent| format!(" {percent} %"));
    let status = if refresh.status == "InProgress" { String::new() } else { format!(" ({})", refresh.status) };
    format!("instance refresh{done}{status}")
}

fn schedule(action: &Scheduled) -> String {
    let size = |word: &str, size: Option<u32>| size.map(|size| format!("{word} {size}"));
    let sizes: Vec<String> = [size("min", action.min), size("desired", action.desired), size("max", action.max)]
        .into_iter()
        .flatten()
        .collect();
    let when = match (action.start, &action.recurrence) {
        (Some(start), _) => format!(" next {}", start.strftime("%Y-%m-%d %H:%M UTC")),
        (None, Some(cron)) => format!(" at {cron}"),
        (None, None) => String::new(),
    };
    format!("{}: {}{when}", action.name, sizes.join(", "))
}

/// The subnets of a group, where they are known.
fn subnets(row: &mut Row, answers: &Answers, ids: &[String]) {
    match (&answers.details.subnets.known, answers.details.doubts.get("subnets")) {
        (Some(known), _) => row.subnets = Ok(ids.iter().filter_map(|id| known.get(id).cloned()).collect()),
        (None, Some(doubt)) => row.subnets = Err(doubt.clone()),
        (None, None) => {}
    }
}
