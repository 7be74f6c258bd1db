//! Golden cases: what a wish means for a group, line by line, as the dialog shows it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use super::*;
use crate::{
    kinds::nodegroup::{Asg, Instance, Place, Prices, Subnet, TypePrice},
    store::intern::Sym,
};

/// 2026-03-01T12:00:00Z.
const NOW: i64 = 1_772_366_400;

fn place() -> Arc<Place> {
    let text = str::to_owned;
    Arc::new(Place {
        cluster: text("prod"),
        region: text("eu-west-1"),
        account: Some(text("123456789012")),
        profile: Some(text("ops")),
    })
}

fn prices() -> Arc<Prices> {
    let of = |list: f64, a: f64, b: f64| TypePrice {
        list: Some((list, NOW - 7_200)),
        spot: BTreeMap::from([("eu-west-1a".to_owned(), a), ("eu-west-1b".to_owned(), b)]),
        spot_at: NOW - 240,
    };
    let types = [("m6i.large", of(0.107, 0.031, 0.044)), ("m6i.xlarge", of(0.214, 0.07, 0.08))];
    Arc::new(Prices { types: types.map(|(name, price)| (name.to_owned(), price)).into(), ..Prices::default() })
}

/// A managed group of 3, between 1 and 10, about which everything is known and nothing is wrong.
fn group() -> Row {
    let subnet = |zone: &str, free| Subnet { id: format!("subnet-{zone}"), zone: zone.to_owned(), free: Some(free) };
    Row {
        min: Some(1),
        max: Some(10),
        desired: Some(3),
        asg: Some(Asg {
            name: "eks-spot-a".to_owned(),
            min: Some(1),
            max: Some(10),
            desired: Some(3),
            instances: vec![instance(); 3],
            ..Asg::default()
        }),
        types: vec!["m6i.large".to_owned()],
        spot: Some(false),
        status: "ACTIVE".to_owned(),
        schedules: Ok(Vec::new()),
        policies: Ok(Vec::new()),
        subnets: Ok(vec![subnet("eu-west-1a", 212), subnet("eu-west-1b", 90)]),
        prices: prices(),
        place: Some(place()),
        at: NOW - 5,
        ..Row::new(Sym::EMPTY, Make::Managed)
    }
}

fn instance() -> Instance {
    let text = str::to_owned;
    Instance { id: Sym::EMPTY, instance_type: text("m6i.large"), zone: text("eu-west-1a"), ending: false }
}

fn own() -> Row {
    let asg = Asg { name: "self managed".to_owned(), ..group().asg.unwrap() };
    Row { make: Make::Own, asg: Some(asg), status: String::new(), spot: None, ..group() }
}

fn pool(replicas: Option<u32>) -> Row {
    let fixed = if replicas.is_none() { "Karpenter sizes this pool" } else { "" };
    Row { desired: replicas, fixed, place: None, ..Row::new(Sym::EMPTY, Make::Karpenter) }
}

/// The plan as text.
fn told(row: &Row, size: u32, bounds: bool, pods: Option<&[u32]>) -> String {
    let facts = Facts { name: "spot-a", row, pods, context: "prod", now: NOW };
    let bounds = if bounds { Bounds::Move } else { Bounds::Keep };
    let plan = plan(facts, Wish { size, bounds });
    let number = |size: Option<u32>| size.map_or("?".to_owned(), |size| size.to_string());
    let mut text = format!("{} → {}", number(plan.from), plan.to);
    for (name, (before, after)) in [("min", plan.min), ("max", plan.max)] {
        if before != after {
            write!(text, "  {name} {} → {}", number(before), number(after)).unwrap();
        }
    }
    for line in &plan.lines {
        write!(text, "\n{} [{:?}] {}", line.label, line.health, line.text).unwrap();
    }
    match &plan.change {
        Ok(_) => write!(text, "\n$ {}", plan.command).unwrap(),
        Err(why) => write!(text, "\nno: {why}").unwrap(),
    }
    text
}

const QUIET: &[u32] = &[12, 30, 4];

#[test]
fn two_more_of_a_managed_group() {
    assert_eq!(
        told(&group(), 5, false, Some(QUIET)),
        "3 → 5\n\
         cost [Ok] +$0.21/h   +$156/month   (list, 120m old, instances alone)\n\
         room [Ok] 1a 212 free IPs   1b 90 free IPs\n\
         $ aws eks update-nodegroup-config --cluster-name prod --nodegroup-name spot-a --scaling-config desiredSize=5 \
         --region eu-west-1 --profile ops"
    );
}

#[test]
fn spot_of_several_types_costs_a_range() {
    let types = vec!["m6i.large".to_owned(), "m6i.xlarge".to_owned()];
    let told = told(&Row { types, spot: Some(true), ..group() }, 5, false, Some(QUIET));
    let cost = "cost [Ok] +$0.06 to $0.16/h   +$45.26 to $117/month   (spot, 4m old, instances alone; on demand +$0.21 to $0.43/h)";
    assert!(told.contains(cost), "{told}");
}

#[test]
fn an_unknown_price_is_no_price() {
    let cost = |row: &Row| told(row, 4, false, None).lines().nth(1).unwrap().to_owned();
    let denied = Prices { list_doubt: Some("needs pricing:GetProducts".to_owned()), ..Prices::default() };
    assert_eq!(
        cost(&Row { prices: Arc::new(denied), ..group() }),
        "cost [Unknown] not known: needs pricing:GetProducts"
    );
    let with = |types: &[&str]| Row { types: types.iter().map(|it| (*it).to_owned()).collect(), ..group() };
    assert_eq!(cost(&with(&["x9.huge"])), "cost [Unknown] not known: no price of x9.huge has come");
    assert_eq!(
        cost(&with(&["m6i.large", "x9.huge"])),
        "cost [Unknown] not known: no price of m6i.large, x9.huge has come",
        "one unknown price makes the sum unknown"
    );
    assert_eq!(cost(&with(&[])), "cost [Unknown] not known: the launch template decides on the instance types");
    assert!(cost(&own()).ends_with("instances alone, if they are on demand)"), "{}", cost(&own()));
}

#[test]
fn bounds_are_kept_until_they_are_moved() {
    let last = |size, bounds| told(&group(), size, bounds, Some(QUIET)).lines().last().unwrap().to_owned();
    assert_eq!(last(12, false), "no: 12 is above max 10; m moves max along");
    assert!(last(12, true).contains("--scaling-config maxSize=12,desiredSize=12 "));
    assert_eq!(last(0, false), "no: 0 is below min 1; m moves min along");
    assert!(last(0, true).contains("--scaling-config minSize=0,desiredSize=0 "));
    assert!(last(10, false).contains("--scaling-config desiredSize=10 "));
    assert_eq!(last(3, false), "no: it wants 3 already");
    let unknown = Row { min: None, max: None, ..group() };
    assert!(told(&unknown, 50, false, None).contains("desiredSize=50 "), "AWS will tell");
}

#[test]
fn down_says_how_many_pods_may_go_and_that_nobody_asks_them() {
    let pods = |pods| told(&Row { min: Some(0), ..group() }, 1, false, pods).lines().nth(2).unwrap().to_owned();
    assert_eq!(
        pods(Some(QUIET)),
        "pods [Warn] up to 42 go with the 2 nodes that AWS picks: it does not respect disruption budgets, and does not \
         tell which before"
    );
    assert!(pods(None).starts_with("pods [Unknown] not known how many go with the 2 nodes"), "{}", pods(None));
}

#[test]
fn what_never_came_does_not_go() {
    let mut row = Row { min: Some(0), desired: Some(9), ..group() };
    row.asg.as_mut().unwrap().desired = Some(9);
    let of = |row: &Row, size, pods| {
        let told = told(row, size, false, pods);
        told.lines().skip(1).filter(|line| !line.starts_with('$')).collect::<Vec<_>>().join("\n")
    };
    let none = "cost [Ok] none: what it no longer wants has not come\n\
                pods [Ok] none go: the 6 that it no longer wants have not come";
    assert_eq!(of(&row, 3, Some(QUIET)), none);
    assert_eq!(of(&row, 3, None), none, "AWS knows what there is, whether or not the cluster can be asked");
    assert!(of(&row, 2, Some(QUIET)).contains("go with the node that AWS picks"), "{}", of(&row, 2, Some(QUIET)));
    assert!(of(&row, 2, Some(QUIET)).starts_with("cost [Ok] −$0.11/h"), "{}", of(&row, 2, Some(QUIET)));
    // What has registered is there, although AWS has not said so yet; what is ending counts no longer.
    assert!(of(&row, 3, Some(&[1, 2, 3, 4])).contains("go with the node that AWS picks"));
    row.asg.as_mut().unwrap().instances[0].ending = true;
    assert!(of(&row, 2, None).contains("none go"), "{}", of(&row, 2, None));
}

#[test]
fn whoever_will_undo_it_is_named() {
    let autoscaled = Row { autoscaler: Autoscaler::Runs { backoff: None }, ..group() };
    assert!(
        told(&autoscaled, 5, false, None).contains("note [Warn] cluster-autoscaler manages this group: it may undo")
    );
    let kept = told(&autoscaled, 5, true, None);
    assert!(kept.starts_with("3 → 5  min 1 → 5\n") && kept.contains("minSize=5,desiredSize=5"), "{kept}");
    assert!(told(&autoscaled, 2, false, None).contains("it adds nodes again as soon as pods wait"));
    let tagged = Row { autoscaler: Autoscaler::Tagged, ..group() };
    let may = "the group is tagged for cluster-autoscaler, and if one runs it may undo this";
    assert!(told(&tagged, 5, false, None).contains(may), "{}", told(&tagged, 5, false, None));
    assert!(told(&tagged, 5, true, None).starts_with("3 → 5  min 1 → 5\n"), "min goes along all the same");
    let tracked = Row { policies: Ok(vec!["cpu50: target tracking of X at 50".to_owned()]), ..group() };
    assert!(
        told(&tracked, 5, false, None)
            .contains("policy [Warn] cpu50: target tracking of X at 50; it sets the size by itself and will undo this")
    );
    let refreshed = Row { refresh: Some("instance refresh 40 %".to_owned()), ..group() };
    assert!(told(&refreshed, 5, false, None).contains("note [Warn] instance refresh 40 % runs"));
    let scheduled = Row { schedules: Ok(vec!["night: desired 1 next 2026-03-01 20:00 UTC".to_owned()]), ..group() };
    assert!(
        told(&scheduled, 5, false, None)
            .contains("schedule [Warn] night: desired 1 next 2026-03-01 20:00 UTC; it will change the size again")
    );
    let unknown = Row { schedules: Err("needs autoscaling:DescribeScheduledActions".to_owned()), ..group() };
    assert!(
        told(&unknown, 5, false, None).contains(
            "schedule [Unknown] whether a schedule changes the size is not known: needs autoscaling:Describe"
        )
    );
}

#[test]
fn what_will_not_happen_is_said() {
    let with = |process: &str| {
        let asg = Asg { suspended: vec![process.to_owned()], ..group().asg.unwrap() };
        Row { asg: Some(asg), ..group() }
    };
    let halted = "note [Bad] Launch is suspended on eks-spot-a: nothing will happen until it is resumed";
    assert!(told(&with("Launch"), 5, false, None).contains(halted));
    assert!(!told(&with("Launch"), 2, false, None).contains("suspended"), "what ends is not launched");
    assert!(told(&with("Terminate"), 2, false, None).contains("Terminate is suspended"));
    let failed = Row { failure: Some((NOW - 120, "InsufficientInstanceCapacity".to_owned())), ..group() };
    assert!(told(&failed, 5, false, None).contains("failed [Bad] 2m ago: InsufficientInstanceCapacity"));
    let full = Row {
        subnets: Ok(vec![Subnet { id: "s".to_owned(), zone: "eu-west-1b".to_owned(), free: Some(9) }]),
        ..group()
    };
    assert!(told(&full, 4, false, None).contains("room [Warn] 1b 9 free IPs, about 10 needed"));
    assert!(told(&Row { subnets: Err(String::new()), ..group() }, 4, false, None).contains("room [Unknown]"));
}

#[test]
fn an_update_in_flight_waits() {
    let busy = Row { status: "UPDATING".to_owned(), update: Some("ConfigUpdate u-1".to_owned()), ..group() };
    let told = told(&busy, 5, false, None);
    let why = "no: EKS is updating this group (ConfigUpdate u-1) and refuses another change until that has ended";
    assert!(told.ends_with(why), "{told}");
}

#[test]
fn each_make_has_its_own_request() {
    let last = |row: &Row, size, bounds| told(row, size, bounds, None).lines().last().unwrap().to_owned();
    assert_eq!(
        last(&own(), 4, false),
        "$ aws autoscaling set-desired-capacity --auto-scaling-group-name 'self managed' --desired-capacity 4 \
         --no-honor-cooldown --region eu-west-1 --profile ops"
    );
    assert_eq!(
        last(&own(), 12, true),
        "$ aws autoscaling update-auto-scaling-group --auto-scaling-group-name 'self managed' --max-size 12 \
         --desired-capacity 12 --region eu-west-1 --profile ops"
    );
    assert_eq!(last(&pool(Some(2)), 3, false), "$ kubectl --context prod scale nodepool spot-a --replicas 3");
    assert_eq!(last(&pool(None), 3, false), "no: Karpenter sizes this pool");
    let unknown = Row { desired: None, asg: None, ..group() };
    assert_eq!(last(&unknown, 3, false), "no: how many nodes it wants now is not known");
}

#[test]
fn the_truth_is_the_auto_scaling_groups() {
    let lagging = Row { desired: Some(5), ..group() };
    assert!(told(&lagging, 5, false, None).starts_with("3 → 5\n"), "EKS has a copy only");
    let unseen = Row { asg: None, doubts: vec!["needs autoscaling:DescribeAutoScalingGroups".to_owned()], ..group() };
    let told = told(&unseen, 5, false, None);
    assert!(told.starts_with("3 → 5\n") && told.contains("unknown [Unknown] needs autoscaling:Describe"), "{told}");
}
