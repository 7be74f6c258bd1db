//! The AWS side against moto's server and the AWS CLI, which know nothing of us.
//!
//! Skipped with a notice where `EKSCOPE_MOTO_VENV` names no virtual environment with both (`tests/aws/moto.sh`).

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "aws/moto.rs"]
mod moto;

use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ekscope::sources::aws::eks::{self, Scaling};
use ekscope::sources::aws::standing::{Claim, check};
use ekscope::sources::aws::token::cluster_token;
use ekscope::sources::aws::{
    AwsSession, Environment, ErrorKind, SessionOptions, Wish, autoscaling, ec2, request_token, ssm,
};
use jiff::Timestamp;
use moto::{KEYS, Moto, programs};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

fn session(moto: &Moto) -> AwsSession {
    let environment = Environment::default().with(moto.variables());
    let wish = Wish { environment, ..Wish::default() };
    AwsSession::open(wish, &SessionOptions::default()).expect("a session")
}

#[tokio::test]
async fn what_boto3_makes_is_seen_and_what_is_changed_it_reads_back() {
    let Some(moto) = Moto::start() else { return };
    let seeded = moto.script("seed.py");
    let session = session(&moto);

    let identity = session.identity().await.unwrap();
    assert_eq!(identity.account, "123456789012");
    assert_eq!(eks::list_clusters(&session).await.unwrap(), ["prod"]);
    let cluster = eks::describe_cluster(&session, "prod").await.unwrap();
    assert_eq!((&*cluster.status, cluster.version.as_deref()), ("ACTIVE", Some("1.33")));
    assert!(cluster.created_at.is_some() && cluster.endpoint.is_some(), "{cluster:?}");
    assert_eq!(cluster.network.subnet_ids.len(), 2);
    assert_eq!(eks::list_fargate_profiles(&session, "prod").await.unwrap(), ["fp"]);
    let profile = eks::describe_fargate_profile(&session, "prod", "fp").await.unwrap();
    assert_eq!(profile.selectors[0].namespace, "batch");

    assert_eq!(eks::list_nodegroups(&session, "prod").await.unwrap(), ["spot-a"]);
    let group = eks::describe_nodegroup(&session, "prod", "spot-a").await.unwrap();
    assert_eq!(group.scaling_config, Scaling { min: Some(1), max: Some(6), desired: Some(3) });
    assert_eq!((group.instance_types, group.capacity_type.as_deref()), (vec!["m5.large".to_owned()], Some("SPOT")));
    assert_eq!((&*group.taints[0].key, &*group.labels["pool"]), ("spot", "spot"));
    let named = vec![group.resources.auto_scaling_groups[0].name.clone()];
    let none = autoscaling::describe_auto_scaling_groups(&session, &named).await.unwrap();
    assert!(none.is_empty(), "moto names a group that it has not: unknown, not 0");

    let own = autoscaling::describe_auto_scaling_groups_by_tag(&session, "kubernetes.io/cluster/prod", &["owned"]);
    let own = own.await.unwrap().remove(0);
    assert_eq!((&*own.name, own.min, own.desired, own.max), ("self-managed", Some(0), Some(2), Some(5)));
    assert_eq!((own.instances.len(), &*own.instances[0].lifecycle), (2, "InService"));
    let ids: Vec<String> = own.instances.iter().map(|instance| instance.id.clone()).collect();
    let instances = ec2::describe_instances(&session, ec2::Select::Ids(&ids)).await.unwrap();
    assert_eq!(instances.len(), 2);
    assert!(instances.iter().all(|instance| instance.instance_type == "m5.large" && instance.launched.is_some()));
    let types = ec2::describe_instance_types(&session, &["m5.large".to_owned()]).await.unwrap();
    assert_eq!((types[0].vcpus, types[0].memory_mib, types[0].max_pods()), (Some(2), Some(8192), Some(29)));
    let subnets: Vec<String> = serde_json::from_value(seeded["subnets"].clone()).unwrap();
    let subnets = ec2::describe_subnets(&session, &subnets).await.unwrap();
    assert!(subnets.len() == 2 && subnets.iter().all(|subnet| subnet.available.is_some_and(|free| free > 0)));
    let versions = ec2::describe_launch_template_versions(&session, seeded["template"].as_str().unwrap(), &["$Latest"])
        .await
        .unwrap();
    assert_eq!((versions[0].number, versions[0].instance_type.as_deref()), (Some(1), Some("m5.large")));
    assert!(ec2::describe_regions(&session).await.unwrap().contains(&"eu-west-1".to_owned()));
    let spot = ec2::describe_spot_price_history(&session, &["m5.large".to_owned()], Timestamp::now()).await.unwrap();
    assert!(spot.iter().all(|price| price.dollars_per_hour.is_some()), "{spot:?}");
    assert!(ssm::get_parameters(&session, &["/aws/service/none".to_owned()]).await.unwrap().is_empty());
    assert!(autoscaling::describe_scheduled_actions(&session, Some("self-managed")).await.unwrap().is_empty());
    assert!(autoscaling::describe_scaling_activities(&session, "self-managed", 10).await.is_ok());

    // An ARN is proof although moto's endpoint is a made-up name.
    let claim = Claim::of_arn("arn:aws:eks:eu-west-1:123456789012:cluster/prod").unwrap();
    assert!(check(&session, &Claim { host: "127.0.0.1:6443".into(), ..claim.clone() }).await.is_ours());
    let other = Claim { account: Some("999999999999".into()), ..claim };
    assert!(check(&session, &other).await.problem().is_some());

    // What moto lacks answers 404 with HTML, and that is what it is called.
    for lacking in [
        eks::list_updates(&session, "prod", Some("spot-a")).await.unwrap_err(),
        eks::describe_cluster_versions(&session).await.unwrap_err(),
    ] {
        assert_eq!(lacking.kind, ErrorKind::UnknownOperation, "{lacking:?}");
    }
    let missing = eks::describe_cluster(&session, "nobody").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound, "{missing:?}");

    let scaling = Scaling { desired: Some(5), ..Scaling::default() };
    let token = request_token().unwrap();
    let update = eks::update_nodegroup_config(&session, "prod", "spot-a", scaling, &token);
    assert_eq!(update.await.unwrap().status, "Successful");
    autoscaling::set_desired_capacity(&session, "self-managed", 3).await.unwrap();
    autoscaling::terminate_instance_in_auto_scaling_group(&session, &ids[0], true).await.unwrap();
    let read_back = moto.script("read_back.py");
    assert_eq!(read_back, json!({ "managed": { "minSize": 1, "maxSize": 6, "desiredSize": 5 }, "own": 2 }));
}

/// The program itself, with nothing but keys, a region and moto's address.
#[test]
fn the_program_finds_its_way_without_a_kubeconfig() {
    let Some(moto) = Moto::start() else { return };
    moto.script("seed.py");
    let home = tempfile::tempdir().expect("a folder");
    let run = |region: Option<&str>, arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ekscope"));
        program.args(arguments).env_clear().env("HOME", home.path()).envs(KEYS).env("AWS_ENDPOINT_URL", &moto.url);
        let output = program.envs(region.map(|region| ("AWS_REGION", region))).output().expect("ekscope");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (output.status.success(), text)
    };
    let (well, text) = run(Some("eu-west-1"), &["doctor"]);
    for words in [
        "in account 123456789012",
        "from the environment (AWS_ACCESS_KEY_ID)",
        "agrees with AWS",
        "ok   clusters     eks:ListClusters",
        "ok   node groups  eks:DescribeNodegroup",
        "?    clusters     eks:DescribeClusterVersions",
        "no kubeconfig names a cluster",
        "\"eks:UpdateNodegroupConfig\"",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(well && !text.contains("s/e+cret"), "{text}");

    for (region, arguments, words) in [
        (Some("eu-west-1"), &["get", "pods", "--eks", "nobody"][..], "there is no EKS cluster nobody in eu-west-1"),
        (None, &["get", "pods", "--eks", "prod"], "in which region is the cluster prod"),
        (None, &["get", "pods", "--eks", "prod", "--region", "x/y"], "not an AWS region"),
        (Some("eu-west-1"), &["get", "pods", "--eks", "prod", "--profile", "nobody"], "no AWS profile nobody"),
    ] {
        let (well, text) = run(region, arguments);
        assert!(!well && text.contains(words), "{words} in\n{text}");
    }
}

/// Same keys, same second, same token as the AWS CLI's, parameter by parameter, signature included.
#[test]
fn a_token_is_the_one_that_the_cli_mints() {
    let Some(programs) = programs() else { return };
    let home = tempfile::tempdir().unwrap();
    for (region, session_token) in [
        ("eu-west-1", None),
        ("cn-north-1", None),
        ("us-gov-west-1", Some("session/to+ken==")),
        ("eu-west-1", Some("t")),
    ] {
        let mut cli = Command::new(programs.join("python"));
        cli.arg(programs.join("aws")).args(["eks", "get-token", "--cluster-name", "prod", "--region", region]);
        cli.env_clear()
            .env("HOME", home.path())
            .envs(KEYS)
            .envs(session_token.map(|token| ("AWS_SESSION_TOKEN", token)));
        let output = cli.output().expect("aws");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let theirs = parameters(printed["status"]["token"].as_str().expect("a token"));

        // The CLI's own second, so that no clock has to be held.
        let date = &theirs.iter().find(|(name, _)| name == "X-Amz-Date").expect("a date").1;
        let now = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).expect("a time");
        let now = now.to_zoned(jiff::tz::TimeZone::UTC).expect("UTC").timestamp();
        let environment =
            Environment::default().with(KEYS).with(session_token.map(|token| ("AWS_SESSION_TOKEN", token)));
        let wish = Wish { region: Some(region.to_owned()), environment, ..Wish::default() };
        let session = AwsSession::open(wish, &SessionOptions::default()).expect("a session");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let credentials = runtime.block_on(session.credentials()).expect("keys");
        let ours = cluster_token(&credentials, region, "prod", now).expect("a token");
        assert_eq!(parameters(ours.token.expose_secret()), theirs, "{region}");
    }
}

/// Host and parameters of the URL in a token, in the order of their names.
fn parameters(token: &str) -> Vec<(String, String)> {
    let url = token.strip_prefix("k8s-aws-v1.").expect("its prefix");
    let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(url).expect("Base64")).expect("text");
    let (host, query) = url.split_once("/?").expect("a query");
    let pairs = query.split('&').map(|pair| pair.split_once('=').expect("a value"));
    let mut all: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    all.push(("host".to_owned(), host.to_owned()));
    all.sort();
    all
}
