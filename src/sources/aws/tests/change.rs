use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use serde_json::{Value, json};

use super::super::change::{Change, Failed, to_aws};
use super::super::eks::Scaling;
use super::super::request_token;
use super::*;

fn managed(desired: u32) -> Change {
    let scaling = Scaling { desired: Some(desired), ..Scaling::default() };
    Change::Nodegroup { cluster: "prod".to_owned(), name: "spot-a".to_owned(), scaling }
}

/// A failure on the way, to be tried again at once.
fn outage() -> Answer {
    let mut answer = answer(503, "");
    answer.headers_mut().insert("retry-after", HeaderValue::from_static("0"));
    answer
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_as_the_same_wish() {
    let sent = AtomicUsize::new(0);
    let world = World::new(move |operation, _| {
        assert_eq!(operation, "POST /clusters/prod/node-groups/spot-a/update-config");
        // The first arrived, and its answer was lost.
        if sent.fetch_add(1, Ordering::Relaxed) == 0 {
            outage()
        } else {
            answer(200, json!({ "update": { "id": "u", "status": "InProgress" } }).to_string())
        }
    })
    .await;
    let token = request_token().unwrap();
    to_aws(&world.session(), &managed(5), &token).await.unwrap();
    let asked = world.asked();
    assert_eq!(asked.len(), 2);
    for (_, body) in &asked {
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["scalingConfig"], &body["clientRequestToken"]),
            (&json!({ "desiredSize": 5 }), &json!(token))
        );
    }
    assert_ne!(request_token().unwrap(), token, "another wish is another one");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_an_outage_has_an_end() {
    let busy = json!({ "__type": "ResourceInUseException", "message": "an update is running" }).to_string();
    let world = World::new(move |_, _| answer(409, busy.clone())).await;
    let failed = to_aws(&world.session(), &managed(5), "t").await.unwrap_err();
    let seen = (failed.error.kind, failed.lost, world.asked().len());
    assert_eq!(seen, (ErrorKind::Conflict, false, 1), "never sent again blindly");

    let world = World::new(|_, _| outage()).await;
    let failed = to_aws(&world.session(), &managed(5), "t").await.unwrap_err();
    assert_eq!((failed.error.kind, failed.lost, world.asked().len()), (ErrorKind::Server, true, 3));
}

#[tokio::test]
async fn a_session_that_only_reads_sends_no_change() {
    let world = World::new(|_, _| answer(200, "{}")).await;
    let options = SessionOptions { read_only: true, ..SessionOptions::default() };
    let session = AwsSession::open(world.with_key(), &options).unwrap();
    let scaling = Scaling { desired: Some(2), ..Scaling::default() };
    let own = Change::AutoScalingGroup { name: "own".to_owned(), scaling };
    for change in [managed(2), own] {
        assert_eq!(to_aws(&session, &change, "t").await.unwrap_err().error.kind, ErrorKind::ReadOnly);
    }
    assert_eq!(world.operations(), [""; 0]);
}

#[tokio::test]
async fn bounds_of_a_group_of_ones_own_move_in_one_request() {
    let world = World::new(|operation, _| answer(200, format!("<{operation}Response/>"))).await;
    let change =
        |min, max| Change::AutoScalingGroup { name: "own".to_owned(), scaling: Scaling { min, max, desired: Some(7) } };
    to_aws(&world.session(), &change(None, None), "t").await.unwrap();
    to_aws(&world.session(), &change(None, Some(7)), "t").await.unwrap();
    let asked = world.asked();
    assert_eq!(asked[0].0, "SetDesiredCapacity");
    assert_eq!(asked[1].0, "UpdateAutoScalingGroup");
    assert!(asked[1].1.contains("&MaxSize=7&DesiredCapacity=7") && !asked[1].1.contains("MinSize"), "{}", asked[1].1);
}

/// The first attempt arrives and its answer is lost; the second finds an update in the way, which is `running`.
async fn lost_then_busy(running: Value) -> Result<(), Failed> {
    let sent = AtomicUsize::new(0);
    let busy = json!({ "__type": "ResourceInUseException", "message": "an update is running" }).to_string();
    let world = World::new(move |operation, _| match operation.split('?').next().unwrap() {
        "POST /clusters/prod/node-groups/spot-a/update-config" if sent.fetch_add(1, Ordering::Relaxed) == 0 => outage(),
        "POST /clusters/prod/node-groups/spot-a/update-config" => answer(409, busy.clone()),
        "GET /clusters/prod/updates" => answer(200, r#"{"updateIds":["u-2","u-1"]}"#),
        "GET /clusters/prod/updates/u-2" => answer(200, json!({ "update": running }).to_string()),
        "GET /clusters/prod/node-groups/spot-a" => answer(200, include_str!("../fixtures/nodegroup.json")),
        other => panic!("{other} was not expected"),
    })
    .await;
    to_aws(&world.session(), &managed(5), "t").await
}

#[tokio::test]
async fn ones_own_update_in_the_way_is_the_answer_that_was_lost() {
    let update = |status: &str, desired: &str| {
        let params = json!([{ "type": "MinSize", "value": "0" }, { "type": "DesiredSize", "value": desired }]);
        json!({ "id": "u-2", "status": status, "type": "ConfigUpdate", "params": params })
    };
    lost_then_busy(update("InProgress", "5")).await.unwrap();
    for other in [update("InProgress", "7"), update("Failed", "5")] {
        let failed = lost_then_busy(other).await.unwrap_err();
        assert_eq!((failed.error.kind, failed.lost), (ErrorKind::Conflict, true), "it may be anybody's");
    }
}
