use serde_json::json;

use super::super::standing::{AwsStanding, Claim, check};
use super::*;

const HOST: &str = "ABC.gr7.eu-west-1.eks.amazonaws.com";

/// An account with one cluster whose endpoint is this.
async fn account(account: &'static str, endpoint: &'static str) -> World {
    World::new(move |operation, _| match operation {
        "GetCallerIdentity" => identity(account),
        "GET /clusters/prod" => answer(
            200,
            json!({ "cluster": { "name": "prod", "arn": "a", "status": "ACTIVE", "endpoint": endpoint } }).to_string(),
        ),
        "GET /clusters/hidden" => answer(
            403,
            json!({ "__type": "AccessDeniedException", "message": "User: x is not authorized to perform: eks:DescribeCluster on resource: y" })
            .to_string(),
        ),
        _ => answer(404, json!({ "__type": "ResourceNotFoundException", "message": "No cluster found" }).to_string()),
    })
    .await
}

fn claim(name: &str, account: Option<&str>, host: &str) -> Claim {
    let region = account.map(|_| "eu-west-1".to_owned());
    Claim { name: name.into(), account: account.map(str::to_owned), region, host: host.into() }
}

#[tokio::test]
async fn account_region_and_endpoint_have_to_match() {
    let world = account("1", "https://ABC.gr7.eu-west-1.eks.amazonaws.com").await;
    let session = world.session();
    let other_region = "ABC.gr7.us-east-1.eks.amazonaws.com";
    for (claim, ours, words) in [
        (claim("prod", Some("1"), HOST), true, ""),
        (claim("prod", None, HOST), true, ""),
        (claim("prod", None, &HOST.to_lowercase()), true, ""),
        (claim("prod", None, &format!("{HOST}:443")), true, ""),
        (claim("prod", Some("2"), HOST), false, "belongs to account 2, you are arn:aws:iam::1:user/me in 1"),
        (claim("prod", None, other_region), false, "the cluster is in us-east-1"),
        (claim("prod", None, "XYZ.gr7.eu-west-1.eks.amazonaws.com"), false, "the cluster's endpoint is"),
        (claim("prod", Some("1"), "XYZ.gr7.eu-west-1.eks.amazonaws.com"), false, "the cluster's endpoint is"),
        // A tunnel: only an ARN can say whose cluster is behind it.
        (claim("prod", Some("1"), "127.0.0.1:6443"), true, ""),
        (claim("prod", None, "127.0.0.1:6443"), false, "connects to 127.0.0.1:6443"),
        (claim("other", Some("1"), HOST), false, "no such cluster"),
        (claim("hidden", Some("1"), HOST), true, ""),
        (claim("hidden", None, HOST), false, "eks:DescribeCluster"),
    ] {
        let standing = check(&session, &claim).await;
        assert_eq!(standing.is_ours(), ours, "{claim:?}: {standing:?}");
        let told = standing.problem().map(ToString::to_string).unwrap_or_default();
        assert!(told.contains(words), "{claim:?}: {told}");
    }
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_a_mismatch() {
    let world = World::new(|_, _| answer(500, "")).await;
    let standing = check(&world.session(), &claim("prod", Some("1"), HOST)).await;
    assert!(matches!(standing, AwsStanding::Unproven(_)), "{standing:?}");
}
