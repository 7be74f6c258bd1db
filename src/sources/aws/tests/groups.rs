use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::super::groups::rows;
use super::super::groups::{activities, ask::Asker};
use super::super::pace::Pace;
use super::*;
use crate::kinds::nodegroup::{Make, Place, Row};
use crate::store::intern::Interner;

/// What AWS says of a cluster with one managed group; `refused` is the operation that it refuses.
fn say(refused: &'static str) -> impl Fn(&str, &str) -> Answer {
    move |operation, _| {
        let rest = operation.split('?').next().unwrap_or_default();
        if !refused.is_empty() && (rest == refused || operation.ends_with(refused)) {
            return if rest.starts_with("GET") || operation.contains('.') {
                answer(403, json!({ "__type": "AccessDeniedException", "message": "no" }).to_string())
            } else {
                query_error(403, "AccessDenied", "no")
            };
        }
        let body = match rest {
            "GET /clusters/prod/node-groups" => r#"{"nodegroups":["spot-a"]}"#,
            "GET /clusters/prod/node-groups/spot-a" => include_str!("../fixtures/nodegroup.json"),
            "GET /clusters/prod/fargate-profiles" => r#"{"fargateProfileNames":["fp"]}"#,
            "GET /clusters/prod/fargate-profiles/fp" => include_str!("../fixtures/fargate_profile.json"),
            "DescribeAutoScalingGroups" => include_str!("../fixtures/groups.xml"),
            "DescribeScalingActivities" => include_str!("../fixtures/activities.xml"),
            "DescribeScheduledActions" => include_str!("../fixtures/scheduled.xml"),
            "DescribePolicies" => include_str!("../fixtures/policies.xml"),
            "DescribeInstanceRefreshes" => include_str!("../fixtures/refreshes.xml"),
            "DescribeInstances" => include_str!("../fixtures/instances.xml"),
            "DescribeLaunchTemplateVersions" => include_str!("../fixtures/templates.xml"),
            "DescribeSubnets" => include_str!("../fixtures/subnets.xml"),
            "DescribeSpotPriceHistory" => include_str!("../fixtures/spot.xml"),
            "AWSPriceListService.GetProducts" => include_str!("../fixtures/products.json"),
            "AmazonSSM.GetParameters" => {
                r#"{"Parameters":[{"Name":"/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/x86_64/standard/recommended/release_version","Value":"1.33.4-20260901"}]}"#
            }
            other => panic!("{other} was not expected"),
        };
        answer(200, body.to_owned())
    }
}

/// The rows after a round and its details.
async fn asked(refused: &'static str) -> (Vec<Row>, bool) {
    let world = World::new(say(refused)).await;
    let place = Place { cluster: "prod".to_owned(), region: "eu-west-1".to_owned(), ..Place::default() };
    let mut asker = Asker::new(world.session(), Rc::new(Pace::default()), Arc::new(place));
    let answers = asker.round().await;
    asker.details(&answers).await;
    let answers = answers.with(&asker);
    let rows = rows::of(&answers, &mut String::new(), &mut Interner::default());
    (rows.into_iter().map(|(_, row)| row).collect(), answers.is_whole())
}

#[tokio::test]
async fn a_managed_group_is_what_eks_and_auto_scaling_say_together() {
    let (rows, whole) = asked("").await;
    assert!(whole);
    let [managed, fargate] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((managed.make, managed.min, managed.desired, managed.max), (Make::Managed, Some(0), Some(3), Some(10)));
    let asg = managed.asg.as_ref().unwrap();
    assert_eq!((&*asg.name, asg.desired, asg.instances.len()), ("eks-spot-a-1234", Some(3), 1));
    assert_eq!(
        (&*managed.status, managed.spot, &asg.suspended[..]),
        ("DEGRADED", Some(true), &["AZRebalance".to_owned()][..])
    );
    assert_eq!(managed.issues, ["AsgInstanceLaunchFailures: could not launch"]);
    assert_eq!(managed.release.newest.as_deref(), Some("1.33.4-20260901"));
    assert!(managed.schedules.as_ref().is_ok_and(|schedules| !schedules.is_empty()), "{managed:?}");
    let policies = ["cpu50: target tracking of ASGAverageCPUUtilization at 50".to_owned()];
    assert_eq!(managed.policies.as_deref(), Ok(&policies[..]), "what is switched off does nothing");
    assert_eq!(managed.refresh.as_deref(), Some("instance refresh 40 %"));
    assert!(managed.subnets.as_ref().is_ok_and(|subnets| !subnets.is_empty()), "{managed:?}");
    assert!(
        managed.prices.doubt(false).is_none() && managed.prices.doubt(true).is_none() && managed.doubts.is_empty(),
        "{managed:?}"
    );
    assert_eq!((fargate.make, fargate.fixed.is_empty()), (Make::Fargate, false));
}

#[tokio::test]
async fn what_is_refused_costs_its_own_cells_and_names_the_permission() {
    let managed = async |refused| asked(refused).await.0.into_iter().find(|row| row.make == Make::Managed);

    let row = managed("DescribeAutoScalingGroups").await.unwrap();
    assert_eq!((row.desired, row.wanted(), row.asg), (Some(3), Some(3), None));
    assert_eq!(row.doubts, ["needs autoscaling:DescribeAutoScalingGroups"]);

    let row = managed("GET /clusters/prod/node-groups/spot-a").await.unwrap();
    assert_eq!((row.min, row.desired, row.wanted(), row.max), (None, None, None, None));
    assert_eq!(row.doubts, ["needs eks:DescribeNodegroup"]);

    let row = managed("DescribeScalingActivities").await.unwrap();
    assert_eq!((row.failure, row.doubts), (None, vec!["needs autoscaling:DescribeScalingActivities".to_owned()]));

    let row = managed("DescribeScheduledActions").await.unwrap();
    assert_eq!(row.schedules, Err("needs autoscaling:DescribeScheduledActions".to_owned()));
    let row = managed("DescribePolicies").await.unwrap();
    assert_eq!(row.policies, Err("needs autoscaling:DescribePolicies".to_owned()));
    let row = managed("DescribeInstanceRefreshes").await.unwrap();
    assert_eq!((row.refresh, row.doubts), (None, vec!["needs autoscaling:DescribeInstanceRefreshes".to_owned()]));
    let row = managed("DescribeSubnets").await.unwrap();
    assert_eq!(row.subnets, Err("needs ec2:DescribeSubnets".to_owned()));

    let row = managed("GetProducts").await.unwrap();
    assert_eq!(row.prices.doubt(false), Some("needs pricing:GetProducts"));
    assert_eq!(row.prices.range(&row.types, false), None, "no price, and not 0");
    let row = managed("GetParameters").await.unwrap();
    assert_eq!((row.release.own.as_str(), row.release.newest), ("1.33.4-20260815", None));

    assert!(managed("GET /clusters/prod/node-groups").await.is_none());
    assert!(!asked("GET /clusters/prod/node-groups").await.1, "nothing is gone for it");
}

/// What a group did, after two rounds, and how often its update was described.
async fn told(refused: &'static str) -> (Vec<(String, String, String)>, usize) {
    let world = World::new(move |operation, body| match operation.split('?').next().unwrap() {
        "GET /clusters/prod/updates" if refused == "ListUpdates" => {
            answer(403, json!({ "__type": "AccessDeniedException", "message": "no" }).to_string())
        }
        "GET /clusters/prod/updates" => answer(200, r#"{"updateIds":["u"]}"#),
        "GET /clusters/prod/updates/u" => answer(200, include_str!("../fixtures/update.json")),
        _ => say(refused)(operation, body),
    })
    .await;
    let subject = activities::Subject {
        uid: crate::store::table::Uid::default(),
        make: "managed".to_owned(),
        name: "spot-a".to_owned(),
        cluster: Some("prod".to_owned()),
        asg: Some("eks-spot-a-1234".to_owned()),
    };
    let mut asker = activities::Asker::new(world.session(), Rc::new(Pace::default()));
    Box::pin(asker.round(&subject)).await;
    let answers = Box::pin(asker.round(&subject)).await;
    let changes = activities::rows(&subject, &answers, &mut Interner::default()).changes;
    let row = |change: crate::store::table::Change<crate::kinds::activity::Row>| match change {
        crate::store::table::Change::Upsert(_, row) => Some((row.kind.to_owned(), row.status, row.message)),
        crate::store::table::Change::Remove(_) => None,
    };
    let described = world.operations().iter().filter(|operation| operation.contains("/updates/u")).count();
    (changes.into_iter().filter_map(row).collect(), described)
}

#[tokio::test]
async fn what_a_group_did_is_what_auto_scaling_and_eks_say() {
    let (rows, described) = told("").await;
    let [failed, running, update] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*failed.0, &*failed.1), ("scaling", "Failed"));
    assert!(failed.2.contains("InsufficientInstanceCapacity"), "{failed:?}");
    assert_eq!((&*running.1, &*running.2), ("InProgress", "Launching a new EC2 instance: i-0a1"));
    assert_eq!((&*update.0, &*update.1), ("update", "Failed"));
    assert!(update.2.starts_with("VersionUpdate: PodEvictionFailure: Reached max retries"), "{update:?}");
    assert_eq!(described, 1, "what has ended is not asked again");
    let (rows, _) = told("DescribeScalingActivities").await;
    assert_eq!(rows[0], ("scaling".into(), String::new(), "needs autoscaling:DescribeScalingActivities".into()));
    assert_eq!(rows[1].0, "update", "which does not cost the updates");
    let (rows, _) = told("ListUpdates").await;
    assert_eq!((rows.len(), &*rows[2].2), (3, "needs eks:ListUpdates"));
}
