//! Another size for a node group: what it costs, what stands in its way, who will undo it, and the request to send. A
//! function of the group's facts, the size that is wished for and the time.

use super::shrink::short;
use crate::{
    kinds::nodegroup::{Autoscaler, Make, Row},
    sources::aws::{change::Change, eks::Scaling},
    store::value::Health,
    util::age,
};

/// Hours in a month, as AWS's calculator has them.
const MONTH: f64 = 730.0;
/// Addresses that a node takes with its pods, roughly: those of one network interface (amazon-vpc-cni-k8s).
const ADDRESSES: u32 = 10;

/// What the plan is made from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub row: &'a Row,
    /// Pods on each of its nodes; none where that is not known.
    pub pods: Option<&'a [u32]>,
    /// The context, for kubectl.
    pub context: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub size: u32,
    pub bounds: Bounds,
}

/// What becomes of min and max.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    Keep,
    /// They move as far as the size wants it.
    Move,
    /// Back to these: the way back from a change.
    Back {
        min: Option<u32>,
        max: Option<u32>,
    },
}

/// How many nodes a size ends, of a group that so many have registered of. Those that are wanted and never came are no
/// nodes; one that has registered counts whatever AWS said of it last. None where its size is not known.
pub fn going(row: &Row, registered: usize, size: u32) -> Option<u32> {
    let fewer = row.wanted()?.saturating_sub(size);
    let stand = row.asg.as_ref().filter(|_| matches!(row.make, Make::Managed | Make::Own)).map(|asg| {
        let instances = asg.instances.iter().filter(|instance| !instance.ending).count().max(registered);
        u32::try_from(instances).unwrap_or(u32::MAX)
    });
    Some(stand.map_or(fewer, |stand| fewer.min(stand.saturating_sub(size))))
}

/// One line of what there is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub label: &'static str,
    /// `Ok` is a fact, `Warn` and `Bad` are reasons to think again, `Unknown` is what could not be found out.
    pub health: Health,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub from: Option<u32>,
    pub to: u32,
    /// Bounds as they are, and as they will be.
    pub min: (Option<u32>, Option<u32>),
    pub max: (Option<u32>, Option<u32>),
    pub lines: Vec<Line>,
    /// Whether pods may be ended that nobody has asked about: a key is too easily pressed for that.
    pub risky: bool,
    /// The same for a shell; empty where there is none.
    pub command: String,
    /// What to send, or why it cannot be.
    pub change: Result<Change, String>,
}

/// Works out what a size means.
pub fn plan(facts: Facts<'_>, wish: Wish) -> Plan {
    let row = facts.row;
    let from = row.wanted();
    let (min, max) = bounds(row, wish, from);
    let mut lines = Vec::new();
    let mut say = |label, health, text: String| lines.push(Line { label, health, text });
    cost(facts, wish, from, &mut say);
    room(row, wish, from, &mut say);
    others(facts, wish, from, &mut say);
    let risky = pods(facts, wish, from, &mut say);
    for doubt in &row.doubts {
        say("unknown", Health::Unknown, doubt.clone());
    }
    let change = change(facts, wish, from, min, max);
    let command = change.as_ref().map_or(String::new(), |change| command(facts, change));
    Plan { from, to: wish.size, min: (row.min, min), max: (row.max, max), lines, risky, command, change }
}

/// The bounds to go with the wish, where they may be moved.
fn bounds(row: &Row, wish: Wish, from: Option<u32>) -> (Option<u32>, Option<u32>) {
    match wish.bounds {
        Bounds::Move if matches!(row.make, Make::Managed | Make::Own) => {}
        Bounds::Back { min, max } if matches!(row.make, Make::Managed | Make::Own) => {
            return (min.or(row.min), max.or(row.max));
        }
        _ => return (row.min, row.max),
    }
    let raised = row.autoscaler != Autoscaler::None && from.is_some_and(|from| wish.size > from);
    let min = row.min.map(|min| if raised { min.max(wish.size) } else { min.min(wish.size) });
    // EKS wants a max of one at least.
    (min, row.max.map(|max| max.max(wish.size).max(1)))
}

/// What to send, if it can be.
fn change(
    facts: Facts<'_>,
    wish: Wish,
    from: Option<u32>,
    min: Option<u32>,
    max: Option<u32>,
) -> Result<Change, String> {
    let row = facts.row;
    if !row.fixed.is_empty() {
        return Err(row.fixed.to_owned());
    }
    let Some(from) = from else { return Err("how many nodes it wants now is not known".to_owned()) };
    match &*row.status {
        "UPDATING" => {
            let what = row.update.as_ref().map_or(String::new(), |update| format!(" ({update})"));
            return Err(format!("EKS is updating this group{what} and refuses another change until that has ended"));
        }
        "CREATING" | "DELETING" => return Err(format!("EKS is {} this group", row.status.to_lowercase())),
        _ => {}
    }
    if let Some(max) = max.filter(|max| wish.size > *max) {
        return Err(format!("{} is above max {max}; m moves max along", wish.size));
    }
    if let Some(min) = min.filter(|min| wish.size < *min) {
        return Err(format!("{} is below min {min}; m moves min along", wish.size));
    }
    let moved = |before: Option<u32>, after: Option<u32>| after.filter(|_| before != after);
    let (min, max) = (moved(row.min, min), moved(row.max, max));
    if from == wish.size && min.is_none() && max.is_none() {
        return Err(format!("it wants {from} already"));
    }
    match (row.make, &row.place, &row.asg) {
        (Make::Managed, Some(place), _) => Ok(Change::Nodegroup {
            cluster: place.cluster.clone(),
            name: facts.name.to_owned(),
            scaling: Scaling { min, max, desired: Some(wish.size) },
        }),
        (Make::Own, Some(_), Some(asg)) => Ok(Change::AutoScalingGroup {
            name: asg.name.clone(),
            scaling: Scaling { min, max, desired: Some(wish.size) },
        }),
        (Make::Karpenter | Make::Auto, ..) => Ok(Change::NodePool { name: facts.name.to_owned(), replicas: wish.size }),
        _ => Err("where AWS keeps this group is not known".to_owned()),
    }
}

/// The same for a shell.
fn command(facts: Facts<'_>, change: &Change) -> String {
    let sizes = |scaling: &Scaling, names: [&str; 3]| -> Vec<(String, u32)> {
        let all = [scaling.min, scaling.max, scaling.desired];
        names.into_iter().zip(all).filter_map(|(name, size)| Some((name.to_owned(), size?))).collect()
    };
    let mut words: Vec<String> = Vec::new();
    let mut add = |these: &[&str]| words.extend(these.iter().map(|word| (*word).to_owned()));
    match change {
        Change::Nodegroup { cluster, name, scaling } => {
            add(&["aws", "eks", "update-nodegroup-config", "--cluster-name", cluster, "--nodegroup-name", name]);
            let sizes = sizes(scaling, ["minSize", "maxSize", "desiredSize"]);
            let sizes: Vec<String> = sizes.iter().map(|(name, size)| format!("{name}={size}")).collect();
            add(&["--scaling-config", &sizes.join(",")]);
        }
        Change::AutoScalingGroup { name, scaling: Scaling { min: None, max: None, desired } } => {
            let desired = desired.unwrap_or_default().to_string();
            add(&["aws", "autoscaling", "set-desired-capacity", "--auto-scaling-group-name", name]);
            add(&["--desired-capacity", &desired, "--no-honor-cooldown"]);
        }
        Change::AutoScalingGroup { name, scaling } => {
            add(&["aws", "autoscaling", "update-auto-scaling-group", "--auto-scaling-group-name", name]);
            for (option, size) in sizes(scaling, ["--min-size", "--max-size", "--desired-capacity"]) {
                add(&[&option, &size.to_string()]);
            }
        }
        Change::NodePool { name, replicas } => {
            let replicas = replicas.to_string();
            let words = ["kubectl", "--context", facts.context, "scale", "nodepool", name, "--replicas", &replicas];
            return shell(words);
        }
    }
    shell(words.iter().map(String::as_str).chain(place(facts.row)))
}

/// Where AWS keeps a group, as its command line is told.
pub fn place(row: &Row) -> impl Iterator<Item = &str> {
    let place = row.place.as_deref();
    let region = place.map(|place| ["--region", &place.region]);
    let profile = place.and_then(|place| place.profile.as_deref()).map(|profile| ["--profile", profile]);
    region.into_iter().chain(profile).flatten()
}

/// Words as a POSIX shell takes them.
pub fn shell<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn cost(facts: Facts<'_>, wish: Wish, from: Option<u32>, say: &mut impl FnMut(&'static str, Health, String)) {
    let row = facts.row;
    let Some(from) = from.filter(|from| *from != wish.size) else { return };
    let going = going(row, facts.pods.map_or(0, <[u32]>::len), wish.size).unwrap_or_default();
    if from > wish.size && going == 0 {
        return say("cost", Health::Ok, "none: what it no longer wants has not come".to_owned());
    }
    if matches!(row.make, Make::Karpenter | Make::Auto | Make::Fargate) {
        say("cost", Health::Unknown, "not known: the pool chooses instance types when it needs nodes".to_owned());
        return;
    }
    let nodes = if from > wish.size { -f64::from(going) } else { f64::from(wish.size - from) };
    let range = |spot| row.prices.range(&row.types, spot).filter(|_| !row.types.is_empty());
    let spot = row.spot == Some(true);
    let Some(prices) = range(spot) else {
        let why = match (row.prices.doubt(spot), &row.types[..]) {
            (Some(doubt), _) => doubt.to_owned(),
            (None, []) => "the launch template decides on the instance types".to_owned(),
            (None, types) => format!("no price of {} has come", types.join(", ")),
        };
        say("cost", Health::Unknown, format!("not known: {why}"));
        return;
    };
    let old = row
        .prices
        .asked(&row.types, spot)
        .map_or_else(String::new, |at| format!(", {} old", age::human(facts.now - at)));
    let mut basis = format!("{}{old}, instances alone", if spot { "spot" } else { "list" });
    if row.spot.is_none() {
        basis.push_str(", if they are on demand");
    }
    if let Some(list) = range(false).filter(|_| spot) {
        basis = format!("{basis}; on demand {}/h", span(nodes, list));
    }
    let month = (prices.0 * MONTH, prices.1 * MONTH);
    say("cost", Health::Ok, format!("{}/h   {}/month   ({basis})", span(nodes, prices), span(nodes, month)));
}

/// `+$0.62`, or `+$0.62 to $0.80`, for so many nodes.
fn span(nodes: f64, (low, high): (f64, f64)) -> String {
    let dollars = |price: f64| {
        let sum = price * nodes.abs();
        if sum >= 100.0 { format!("${sum:.0}") } else { format!("${sum:.2}") }
    };
    let sign = if nodes < 0.0 { '−' } else { '+' };
    let (low, high) = (dollars(low), dollars(high));
    if low == high { format!("{sign}{low}") } else { format!("{sign}{low} to {high}") }
}

fn room(row: &Row, wish: Wish, from: Option<u32>, say: &mut impl FnMut(&'static str, Health, String)) {
    let Some(more) = from.and_then(|from| wish.size.checked_sub(from)).filter(|more| *more > 0) else { return };
    if !matches!(row.make, Make::Managed | Make::Own) {
        return;
    }
    let subnets = match &row.subnets {
        Ok(subnets) if !subnets.is_empty() => subnets,
        Ok(_) => return say("room", Health::Unknown, "which subnets it uses is not known".to_owned()),
        Err(why) => return say("room", Health::Unknown, format!("how many addresses are free is not known: {why}")),
    };
    let each = more.div_ceil(u32::try_from(subnets.len()).unwrap_or(u32::MAX)) * ADDRESSES;
    let mut health = Health::Ok;
    let words: Vec<String> = subnets
        .iter()
        .map(|subnet| {
            let zone = short(&subnet.zone);
            match subnet.free {
                Some(free) if free < each => {
                    health = health.min(Health::Warn);
                    format!("{zone} {free} free IPs, about {each} needed")
                }
                Some(free) => format!("{zone} {free} free IPs"),
                None => format!("{zone} ?"),
            }
        })
        .collect();
    say("room", health, words.join("   "));
}

/// Who else has a hand in the size.
fn others(facts: Facts<'_>, wish: Wish, from: Option<u32>, say: &mut impl FnMut(&'static str, Health, String)) {
    let row = facts.row;
    let Some(from) = from else { return };
    let (up, down) = (wish.size > from, wish.size < from);
    let who = match &row.autoscaler {
        Autoscaler::None => None,
        Autoscaler::Tagged => Some("the group is tagged for cluster-autoscaler, and if one runs it"),
        Autoscaler::Runs { .. } => Some("cluster-autoscaler manages this group: it"),
    };
    let what = match (up, down, wish.bounds) {
        (true, _, Bounds::Move) => Some("is kept from undoing this by the raised min, from about a minute on"),
        (true, ..) => Some("may undo this after 10 min; m raises min, which keeps it"),
        (_, true, _) => Some("adds nodes again as soon as pods wait for them"),
        _ => None,
    };
    if let (Some(who), Some(what)) = (who, what) {
        say("note", Health::Warn, format!("{who} {what}"));
    }
    if let Some(refresh) = &row.refresh {
        say("note", Health::Warn, format!("{refresh} runs: it replaces instances, and counts on the size as it was"));
    }
    if let Some(asg) = &row.asg {
        for (process, matters) in [("Launch", up), ("Terminate", down)] {
            if matters && asg.suspended.iter().any(|suspended| suspended == process) {
                let text = format!("{process} is suspended on {}: nothing will happen until it is resumed", asg.name);
                say("note", Health::Bad, text);
            }
        }
    }
    match &row.schedules {
        Ok(schedules) => {
            for schedule in schedules {
                say("schedule", Health::Warn, format!("{schedule}; it will change the size again"));
            }
        }
        Err(why) if matches!(row.make, Make::Managed | Make::Own) => {
            say("schedule", Health::Unknown, format!("whether a schedule changes the size is not known: {why}"));
        }
        Err(_) => {}
    }
    match &row.policies {
        Ok(policies) => {
            for policy in policies {
                say("policy", Health::Warn, format!("{policy}; it sets the size by itself and will undo this"));
            }
        }
        Err(why) if matches!(row.make, Make::Managed | Make::Own) => {
            say("policy", Health::Unknown, format!("whether a scaling policy sets the size is not known: {why}"));
        }
        Err(_) => {}
    }
    if let Some((at, failure)) = row.failure.as_ref().filter(|_| up) {
        say("failed", Health::Bad, format!("{} ago: {failure}", age::human(facts.now - at)));
    }
}

/// What goes with the nodes that go; true where it goes without being asked.
fn pods(facts: Facts<'_>, wish: Wish, from: Option<u32>, say: &mut impl FnMut(&'static str, Health, String)) -> bool {
    let fewer = from.and_then(|from| from.checked_sub(wish.size)).filter(|fewer| *fewer > 0);
    let Some(fewer) = fewer else { return false };
    let going = going(facts.row, facts.pods.map_or(0, <[u32]>::len), wish.size).unwrap_or(fewer);
    if going == 0 {
        say("pods", Health::Ok, format!("none go: the {fewer} that it no longer wants have not come"));
        return false;
    }
    let fewer = going;
    let nodes = if fewer == 1 { "the node that".to_owned() } else { format!("the {fewer} nodes that") };
    let asked = matches!(facts.row.make, Make::Karpenter | Make::Auto);
    let (who, rule) = if asked {
        ("Karpenter", "it respects disruption budgets")
    } else {
        ("AWS", "it does not respect disruption budgets, and does not tell which before")
    };
    match facts.pods {
        Some(pods) => {
            let mut pods = pods.to_vec();
            pods.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            let most: u32 = pods.iter().take(fewer as usize).sum();
            if most == 0 {
                say("pods", Health::Ok, format!("none run on {nodes} {who} picks"));
                return false;
            }
            say("pods", Health::Warn, format!("up to {most} go with {nodes} {who} picks: {rule}"));
        }
        None => say("pods", Health::Unknown, format!("not known how many go with {nodes} {who} picks: {rule}")),
    }
    !asked
}

#[cfg(test)]
mod tests;
