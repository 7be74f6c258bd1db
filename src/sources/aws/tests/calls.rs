use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::eks::{Scaling, update_nodegroup_config};
use super::super::endpoint::{AUTO_SCALING, EC2, EKS};
use super::super::exchange::Reply;
use super::super::permissions::{self, Verdict};
use super::super::{autoscaling, ec2, eks, pricing, ssm};
use super::*;

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut all = http::HeaderMap::new();
    for (name, value) in headers {
        all.insert(::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Reply { status, headers: all, body: body.to_owned().into() }
}

#[test]
fn refusals_are_sorted_in_every_protocol() {
    let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: eks:ListInsights on resource: arn:x";
    let of = |service, status, headers: &[_], body: &str| {
        AwsError::of_reply(service, "ListNodegroups", "eu-west-1", &reply(status, headers, body))
    };
    let rest = of(
        EKS,
        403,
        &[("x-amzn-errortype", "AccessDeniedException:http://x"), ("x-amzn-requestid", "r-9")],
        &json!({ "message": denied }).to_string(),
    );
    assert_eq!(rest.kind, ErrorKind::Denied("eks:ListInsights".into()));
    assert_eq!((rest.request_id.as_deref(), &*rest.code), (Some("r-9"), "AccessDeniedException"));
    let problem = rest.problem();
    assert!(problem.what.contains("eks:ListInsights") && problem.why.contains("r-9"), "{problem}");

    let query = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>\
                 <RequestId>q-1</RequestId></ErrorResponse>";
    let query = of(AUTO_SCALING, 400, &[("retry-after", "3")], query);
    assert_eq!((query.kind, query.request_id.as_deref()), (ErrorKind::Throttled, Some("q-1")));
    assert_eq!(query.retry_after.map(|wait| wait.as_secs()), Some(3));

    let ec2 = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors>\
               <RequestID>e-1</RequestID></Response>";
    let ec2 = of(EC2, 403, &[], ec2);
    assert_eq!((ec2.kind, ec2.request_id.as_deref()), (ErrorKind::Denied("ec2:ListNodegroups".into()), Some("e-1")));

    let kind = |status, body: &str| of(EKS, status, &[], body).kind;
    assert_eq!(kind(404, "<!doctype html><title>404 Not Found</title>"), ErrorKind::UnknownOperation);
    assert_eq!(kind(404, r#"{"__type":"ResourceNotFoundException","message":"x"}"#), ErrorKind::NotFound);
    assert_eq!(kind(409, r#"{"__type":"ResourceInUseException","message":"x"}"#), ErrorKind::Conflict);
    assert_eq!(kind(400, r#"{"__type":"InvalidParameterException","message":"x"}"#), ErrorKind::Invalid);
    assert_eq!(kind(403, r#"{"__type":"com.amazon#ExpiredTokenException","message":"x"}"#), ErrorKind::Expired);
    assert_eq!(
        kind(
            403,
            r#"{"message":"The security token included in the request is invalid","__type":"UnrecognizedClientException"}"#
        ),
        ErrorKind::RegionOff
    );
    assert_eq!(kind(429, ""), ErrorKind::Throttled);
    assert_eq!(kind(403, "<html>a proxy says no</html>"), ErrorKind::Other);
    assert_eq!(
        kind(403, r#"{"message":"User is not authorized to do so"}"#),
        ErrorKind::Denied("eks:ListNodegroups".into())
    );
    let repeated = json!({ "__type": "InvalidSignatureException", "message": "should have been: x-amz-security-token:IQoJb3JpZ2luX2VjEJr4567890abcdefABCDEF" });
    let repeated = of(EKS, 403, &[], &repeated.to_string());
    assert!(repeated.kind == ErrorKind::BadKey && !repeated.message.contains("IQoJ"), "{repeated:?}");
    let role = "arn:aws:sts::1:assumed-role/AWSReservedSSO_AdministratorAccess_0123456789abcdef/me";
    let named = json!({ "__type": "AccessDeniedException", "message": format!("User: {role} is not authorized to perform: eks:X") });
    assert!(of(EKS, 403, &[], &named.to_string()).message.contains(role));
    assert_eq!(kind(503, "busy"), ErrorKind::Server);
    assert!(matches!(
        kind(403, r#"{"__type":"InvalidSignatureException","message":"Signature expired: 2026 is now earlier"}"#),
        ErrorKind::Clock(_)
    ));
    let clock = of(EKS, 403, &[("date", "Thu, 01 Jan 2026 00:00:00 GMT")], r#"{"__type":"RequestTimeTooSkewed"}"#);
    assert!(matches!(clock.kind, ErrorKind::Clock(Some(ahead)) if ahead > 0), "{clock:?}");
    let lengthy = of(EKS, 400, &[], &json!({ "__type": "X", "message": "k".repeat(5000) }).to_string());
    assert!(lengthy.message.len() <= 600);
}

#[tokio::test]
async fn a_call_is_signed_for_its_service_and_region() {
    let world = World::new(|_, _| answer(200, r#"{"clusters":[]}"#)).await;
    let wish = Wish {
        region: Some("ap-south-1".into()),
        environment: world.environment().with(KEY).with([("AWS_SESSION_TOKEN", "sess")]),
        ..world.wish()
    };
    let session = AwsSession::open(wish, &SessionOptions::default()).unwrap();
    eks::list_clusters(&session).await.unwrap();
    let request = world.server.seen().remove(0);
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(
        authorization.contains("AKIDEXAMPLE/") && authorization.contains("/ap-south-1/eks/aws4_request"),
        "{authorization}"
    );
    assert_eq!(request.headers["x-amz-security-token"], "sess");
    assert_eq!(operation(&request), "GET /clusters?include=all&maxResults=100");
}

#[tokio::test]
async fn lists_are_followed_to_their_end() {
    let world = World::new(|operation, body| match operation {
        "GET /clusters/prod/node-groups?maxResults=100" => answer(200, r#"{"nodegroups":["a","b"],"nextToken":"n/1"}"#),
        "GET /clusters/prod/node-groups?maxResults=100&nextToken=n%2F1" => answer(200, r#"{"nodegroups":["c"],"nextToken":null}"#),
        "DescribeAutoScalingGroups" => {
            let (name, next) = if body.contains("NextToken=more") { ("b", "") } else { ("a", "<NextToken>more</NextToken>") };
            answer(200, format!(
                "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
                 <DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>{name}</AutoScalingGroupName>\
                 </member></AutoScalingGroups>{next}</DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
            ))
        }
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    assert_eq!(eks::list_nodegroups(&session, "prod").await.unwrap(), ["a", "b", "c"]);
    let groups =
        autoscaling::describe_auto_scaling_groups_by_tag(&session, "kubernetes.io/cluster/prod", &["owned", "shared"]);
    let names: Vec<String> = groups.await.unwrap().into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["a", "b"]);
    let body = &world.asked()[2].1;
    for part in [
        "Filters.member.1.Name=tag%3Akubernetes.io%2Fcluster%2Fprod",
        "Filters.member.1.Values.member.2=shared",
        "Version=2011-01-01",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[tokio::test]
async fn many_names_are_asked_for_in_portions() {
    let world = World::new(|_, _| answer(200, "<r><DescribeAutoScalingGroupsResult/></r>")).await;
    let names: Vec<String> = (0..120).map(|number| format!("asg-{number}")).collect();
    autoscaling::describe_auto_scaling_groups(&world.session(), &names).await.unwrap();
    assert_eq!(world.operations().len(), 3);
    assert!(autoscaling::describe_auto_scaling_groups(&world.session(), &[]).await.unwrap().is_empty());
    assert_eq!(world.operations().len(), 3, "nobody is nobody, not everybody");
}

#[tokio::test]
async fn an_endless_list_is_given_up() {
    let world = World::new(|_, _| answer(200, r#"{"clusters":["x"],"nextToken":"again"}"#)).await;
    let error = eks::list_clusters(&world.session()).await.unwrap_err();
    assert_eq!((error.kind, &*error.message), (ErrorKind::Unreadable, "more than 100 pages"));
}

#[tokio::test]
async fn what_an_endpoint_lacks_is_said_as_that() {
    let world = World::new(|_, _| answer(404, "<!doctype html>\n<title>404 Not Found</title>")).await;
    let error = eks::list_updates(&world.session(), "prod", Some("ng")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UnknownOperation);
    assert!(error.problem().what.contains("eks:ListUpdates"), "{}", error.problem());
}

#[tokio::test]
async fn a_read_only_session_sends_no_change() {
    let world = World::new(|_, _| answer(200, "{}")).await;
    let options = SessionOptions { read_only: true, ..SessionOptions::default() };
    let session = AwsSession::open(world.with_key(), &options).unwrap();
    let refused = [
        update_nodegroup_config(&session, "prod", "ng", Scaling::default(), "t").await.unwrap_err(),
        autoscaling::set_desired_capacity(&session, "asg", 1).await.unwrap_err(),
        autoscaling::terminate_instance_in_auto_scaling_group(&session, "i-1", true).await.unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind == ErrorKind::ReadOnly), "{refused:?}");
    assert!(world.operations().is_empty());
}

#[tokio::test]
async fn scaling_sends_what_was_asked_for_and_its_token() {
    let world = World::new(|operation, _| match operation {
        "POST /clusters/prod/node-groups/spot%20a/update-config" => answer(
            200,
            json!({ "update": { "id": "u-1", "status": "InProgress", "type": "ConfigUpdate",
                "params": [{ "type": "DesiredSize", "value": "5" }], "createdAt": 1_700_000_000.5, "errors": [] } })
            .to_string(),
        ),
        "SetDesiredCapacity" => answer(200, "<SetDesiredCapacityResponse/>"),
        "TerminateInstanceInAutoScalingGroup" => answer(200, include_str!("../fixtures/terminate.xml")),
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    let scaling = Scaling { desired: Some(5), max: Some(6), min: None };
    let update = update_nodegroup_config(&session, "prod", "spot a", scaling, "once").await.unwrap();
    assert_eq!((&*update.id, &*update.status, &*update.params[0].value), ("u-1", "InProgress", "5"));
    assert_eq!(update.created_at.unwrap().as_millisecond(), 1_700_000_000_500);
    let sent: Value = serde_json::from_str(&world.asked()[0].1).unwrap();
    assert_eq!(sent, json!({ "scalingConfig": { "desiredSize": 5, "maxSize": 6 }, "clientRequestToken": "once" }));

    autoscaling::set_desired_capacity(&session, "asg", 0).await.unwrap();
    assert!(world.asked()[1].1.contains("DesiredCapacity=0&"), "{}", world.asked()[1].1);
    let activity = autoscaling::terminate_instance_in_auto_scaling_group(&session, "i-1", true).await.unwrap();
    assert_eq!((&*activity.status, activity.progress), ("InProgress", Some(0)));
    assert!(world.asked()[2].1.contains("ShouldDecrementDesiredCapacity=true"));
    assert_ne!(request_token().unwrap(), request_token().unwrap());
}

#[tokio::test]
async fn eks_is_read() {
    let world = World::new(|operation, _| match operation {
        "GET /clusters/prod" => answer(200, include_str!("../fixtures/cluster.json")),
        "GET /clusters/prod/node-groups/spot-a" => answer(200, include_str!("../fixtures/nodegroup.json")),
        "GET /clusters/prod/fargate-profiles/fp" => answer(200, include_str!("../fixtures/fargate_profile.json")),
        "GET /clusters/prod/updates/u?nodegroupName=spot-a" => answer(200, include_str!("../fixtures/update.json")),
        "GET /cluster-versions?includeAll=true&maxResults=100" => {
            answer(200, include_str!("../fixtures/versions.json"))
        }
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    let cluster = eks::describe_cluster(&session, "prod").await.unwrap();
    assert_eq!((cluster.version.as_deref(), &*cluster.status), (Some("1.33"), "ACTIVE"));
    assert_eq!(cluster.network.public_access_cidrs, ["203.0.113.0/24"]);
    assert_eq!(cluster.compute_config.as_ref().unwrap().enabled, Some(true));
    assert_eq!(cluster.health.issues[0].code, "Ec2SubnetNotFound");
    assert_eq!(cluster.created_at.unwrap().to_string(), "2026-01-02T03:04:05.678Z");
    assert_eq!(
        (cluster.tags["team"].as_str(), cluster.upgrade_policy.support_type.as_deref()),
        ("core", Some("EXTENDED"))
    );

    let group = eks::describe_nodegroup(&session, "prod", "spot-a").await.unwrap();
    assert_eq!(group.scaling_config, Scaling { min: Some(0), max: Some(10), desired: Some(3) });
    assert_eq!(group.resources.auto_scaling_groups[0].name, "eks-spot-a-1234");
    assert_eq!((group.taints[0].effect.as_str(), group.capacity_type.as_deref()), ("NO_SCHEDULE", Some("SPOT")));
    assert_eq!(group.launch_template.unwrap().version.as_deref(), Some("7"));
    assert_eq!(group.health.issues[0].resource_ids, ["eks-spot-a-1234"]);
    assert_eq!(group.disk_size, None, "what is left out is unknown");

    let profile = eks::describe_fargate_profile(&session, "prod", "fp").await.unwrap();
    assert_eq!((&*profile.selectors[0].namespace, &*profile.selectors[0].labels["app"]), ("batch-*", "etl"));
    let update = eks::describe_update(&session, "prod", Some("spot-a"), "u").await.unwrap();
    assert_eq!((&*update.status, &*update.errors[0].code), ("Failed", "PodEvictionFailure"));
    assert_eq!(update.kind, "VersionUpdate");
    let versions = eks::describe_cluster_versions(&session).await.unwrap();
    assert_eq!(versions[0].end_of_standard_support_date.unwrap().to_string(), "2026-07-29T00:00:00Z");
}

#[tokio::test]
async fn what_eks_leaves_out_is_unknown_and_what_is_new_is_kept() {
    let world = World::new(|operation, _| match operation {
        "GET /clusters/bare" => answer(
            200,
            json!({ "cluster": { "name": "bare", "status": "HIBERNATING", "resourcesVpcConfig": {},
                "connectorConfig": { "provider": "EKS_ANYWHERE" }, "encryptionConfig": [{ "provider": { "keyArn": "k" } }],
                "remoteNetworkConfig": { "remoteNodeNetworks": [{ "cidrs": ["10.1.0.0/16"] }] } } })
            .to_string(),
        ),
        "GET /clusters/shut" => answer(
            200,
            json!({ "cluster": { "resourcesVpcConfig": { "endpointPublicAccess": false, "endpointPrivateAccess": true } } })
                .to_string(),
        ),
        other => panic!("{other}"),
    })
    .await;
    let bare = eks::describe_cluster(&world.session(), "bare").await.unwrap();
    assert_eq!((&*bare.status, bare.network.endpoint_public_access, bare.closed()), ("HIBERNATING", None, None));
    assert_eq!((bare.version, bare.created_at, bare.deletion_protection), (None, None, None));
    assert_eq!(bare.connector_config.unwrap().provider.as_deref(), Some("EKS_ANYWHERE"));
    assert_eq!(bare.encryption_config[0].key_arn.as_deref(), Some("k"));
    assert_eq!(bare.remote_network_config.unwrap().node_cidrs, ["10.1.0.0/16"]);
    let shut = eks::describe_cluster(&world.session(), "shut").await.unwrap();
    assert_eq!(shut.network.endpoint_public_access, Some(false));
    assert!(shut.closed().unwrap().contains("private"));
}

#[tokio::test]
async fn a_refusal_of_eks_keeps_its_words_and_is_not_asked_for_again() {
    for (status, kind) in [(429, ErrorKind::Throttled), (503, ErrorKind::Server), (404, ErrorKind::UnknownOperation)] {
        let world = World::new(move |_, _| {
            let mut refusal = answer(status, "<html>no</html>");
            refusal.headers_mut().insert("x-amzn-requestid", "r-7".parse().unwrap());
            refusal.headers_mut().insert("retry-after", "3".parse().unwrap());
            refusal
        })
        .await;
        let error = eks::list_nodegroups(&world.session(), "prod").await.unwrap_err();
        assert_eq!((error.kind, world.operations().len()), (kind, 1));
        assert_eq!((error.request_id.as_deref(), error.retry_after.map(|wait| wait.as_secs())), (Some("r-7"), Some(3)));
    }
    let world = World::new(|_, _| {
        let mut skewed = answer(403, r#"{"__type":"InvalidSignatureException","message":"Signature expired: x"}"#);
        skewed.headers_mut().insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
        skewed
    })
    .await;
    let session = world.session();
    let error = eks::list_clusters(&session).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Clock(Some(ahead)) if ahead > 0), "{error:?}");
    assert!(session.clock_ahead().is_some_and(|ahead| ahead > 0), "doctor compares clocks by it");
    let error = eks::describe_cluster(&session, "").await.unwrap_err();
    assert_eq!((error.kind, world.operations().len()), (ErrorKind::Invalid, 1), "no request can be made of it");
}

#[tokio::test]
async fn auto_scaling_is_read() {
    let world = World::new(|operation, _| match operation {
        "DescribeAutoScalingGroups" => answer(200, include_str!("../fixtures/groups.xml")),
        "DescribeScalingActivities" => answer(200, include_str!("../fixtures/activities.xml")),
        "DescribeScheduledActions" => answer(200, include_str!("../fixtures/scheduled.xml")),
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    let group = autoscaling::describe_auto_scaling_groups(&session, &["x".into()]).await.unwrap().remove(0);
    assert_eq!((group.min, group.max, group.desired), (Some(0), Some(10), Some(3)));
    assert_eq!(group.suspended, ["AZRebalance"]);
    assert_eq!((&*group.instances[0].lifecycle, group.instances[0].protected), ("InService", true));
    assert_eq!(
        group.tags[0],
        autoscaling::Tag { key: "eks:cluster-name".into(), value: "prod".into(), propagates: true }
    );
    assert_eq!((group.subnets.len(), group.zones.len()), (2, 2));
    assert_eq!(group.launch_template.unwrap().version.as_deref(), Some("7"), "of the mixed-instances policy");
    assert_eq!(group.instance_types, ["m6i.xlarge", "m5.xlarge"]);
    assert_eq!((group.capacity_rebalance, group.warm_pool, group.operator), (true, false, None));

    let activities = autoscaling::describe_scaling_activities(&session, "x", 20).await.unwrap();
    assert_eq!((&*activities[0].status, activities[0].progress), ("Failed", Some(100)));
    assert!(activities[0].message.as_ref().unwrap().contains("InsufficientInstanceCapacity"));
    assert_eq!(activities[1].end, None);
    let scheduled = autoscaling::describe_scheduled_actions(&session, Some("x")).await.unwrap();
    assert_eq!(
        (scheduled[0].recurrence.as_deref(), scheduled[0].desired, scheduled[0].min),
        (Some("0 20 * * *"), Some(0), None)
    );
}

#[tokio::test]
async fn ec2_is_read() {
    let world = World::new(|operation, _| match operation {
        "DescribeInstances" => answer(200, include_str!("../fixtures/instances.xml")),
        "DescribeInstanceTypes" => answer(200, include_str!("../fixtures/types.xml")),
        "DescribeSubnets" => answer(200, include_str!("../fixtures/subnets.xml")),
        "DescribeSpotPriceHistory" => answer(200, include_str!("../fixtures/spot.xml")),
        "DescribeLaunchTemplateVersions" => answer(200, include_str!("../fixtures/templates.xml")),
        "DescribeRegions" => {
            answer(200, "<r><regionInfo><item><regionName>eu-west-1</regionName></item></regionInfo></r>")
        }
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    let instances = ec2::describe_instances(&session, ec2::Select::Tag("eks:cluster-name", &["prod"])).await.unwrap();
    assert_eq!((&*instances[0].id, instances[0].spot, &*instances[0].zone), ("i-0a1", true, "eu-west-1a"));
    assert_eq!((&*instances[0].state, instances[0].operator.as_deref()), ("running", None));
    assert_eq!(instances[1].operator.as_deref(), Some("eks.amazonaws.com"));
    assert_eq!(instances[0].tags["eks:nodegroup-name"], "spot-a");
    let types = ec2::describe_instance_types(&session, &["m6i.xlarge".into()]).await.unwrap();
    assert_eq!((types[0].vcpus, types[0].memory_mib, types[0].max_pods()), (Some(4), Some(16384), Some(58)));
    assert_eq!((types[1].gpus, types[1].max_pods()), (1, None));
    let subnets = ec2::describe_subnets(&session, &["subnet-1".into()]).await.unwrap();
    assert_eq!(subnets[0].available, Some(9));
    let spot = ec2::describe_spot_price_history(&session, &["m6i.xlarge".into()], Timestamp::now()).await.unwrap();
    let spot: Vec<_> = spot.iter().map(|price| (&*price.zone, price.dollars_per_hour)).collect();
    assert_eq!(spot, [("eu-west-1a", Some(0.0831)), ("eu-west-1b", Some(0.09))], "the newest of each zone");
    let versions = ec2::describe_launch_template_versions(&session, "lt-1", &["$Latest"]).await.unwrap();
    assert_eq!((versions[0].number, versions[0].image.as_deref()), (Some(8), Some("ami-1")));
    assert_eq!(ec2::describe_regions(&session).await.unwrap(), ["eu-west-1"]);
    let asked = world.operations().len();
    assert!(ec2::describe_instances(&session, ec2::Select::Ids(&[])).await.unwrap().is_empty());
    assert!(ec2::describe_subnets(&session, &[]).await.unwrap().is_empty());
    assert_eq!(world.operations().len(), asked, "nobody is nobody, not everybody");
}

#[tokio::test]
async fn releases_and_prices_are_read() {
    let world = World::new(|operation, body| match operation {
        "AmazonSSM.GetParameters" => {
            assert!(body.contains("recommended/release_version"), "{body}");
            answer(
                200,
                json!({ "Parameters": [{ "Name": "/aws/x", "Type": "String", "Value": "1.33.4-20260815",
                "LastModifiedDate": 1_787_000_000.5 }], "InvalidParameters": ["/aws/y"] })
                .to_string(),
            )
        }
        "AWSPriceListService.GetProducts" => answer(200, include_str!("../fixtures/products.json")),
        other => panic!("{other}"),
    })
    .await;
    let session = world.session();
    let name = ssm::release_parameter("AL2023_x86_64_STANDARD", "1.33").unwrap();
    let found = ssm::get_parameters(&session, &[name]).await.unwrap();
    assert_eq!((found.len(), &*found["/aws/x"].value), (1, "1.33.4-20260815"));
    let price = pricing::get_products(&session, "m6i.xlarge").await.unwrap().unwrap();
    assert_eq!((price.per_hour, &*price.currency), (0.214, "USD"));
    assert_eq!(price.effective.unwrap().to_string(), "2026-08-01T00:00:00Z");
    assert_eq!(
        pricing::get_products(&session, "m9.none").await.unwrap(),
        None,
        "a price of another type is none of this"
    );
    let request = world.server.seen().remove(1);
    assert!(
        request.headers["authorization"].to_str().unwrap().contains("/us-east-1/pricing/"),
        "lists are kept in few regions"
    );
    let gov = Wish { region: Some("us-gov-west-1".into()), ..world.with_key() };
    let gov = AwsSession::open(gov, &SessionOptions::default()).unwrap();
    assert!(pricing::get_products(&gov, "m6i.xlarge").await.is_err());
}

#[tokio::test]
async fn answers_that_are_none_are_errors() {
    let world = World::new(|operation, _| match operation {
        "DescribeSubnets" => answer(200, "<r><cut"),
        "GET /clusters/wrong" => answer(200, r#"{"cluster":{"name":7}}"#),
        _ => answer(200, "{}"),
    })
    .await;
    let session = world.session();
    for error in [
        ec2::describe_subnets(&session, &["s".into()]).await.unwrap_err(),
        eks::describe_cluster(&session, "wrong").await.unwrap_err(),
        eks::describe_cluster(&session, "empty").await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unreadable, "{error:?}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_a_network_fault() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let environment = Environment::default().with(KEY).with([("AWS_ENDPOINT_URL", &*url)]);
    let wish = Wish { region: Some("eu-west-1".into()), environment, ..Wish::default() };
    let session = AwsSession::open(wish, &SessionOptions::default()).unwrap();
    let error = eks::list_clusters(&session).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Network(fault) if !fault.may_have_happened()), "{error:?}");

    // With nobody there every permission is unknown, and the policy names them all.
    let tried = permissions::try_all(&session, Some("prod")).await;
    let policy = &permissions::policies("aws")[0].1;
    for tried in &tried {
        assert!(matches!(tried.verdict, Verdict::Unknown(_)), "{tried:?}");
        assert!(policy.contains(&format!("\"{}\"", tried.permission)), "{tried:?}");
    }
    assert_eq!(
        tried.len(),
        policy.matches("\"eks:").count()
            + policy.matches("\"ec2:").count()
            + policy.matches("\"autoscaling:").count()
            + policy.matches("\"ssm:").count()
            + policy.matches("\"pricing:").count()
    );
}

#[tokio::test]
async fn permissions_are_told_by_what_is_refused_first() {
    let world = World::new(|operation, _| match operation {
        "GET /clusters?include=all&maxResults=100" => answer(200, r#"{"clusters":["prod"]}"#),
        "GET /clusters/prod" => answer(200, r#"{"cluster":{"name":"prod"}}"#),
        path if path.starts_with("GET ") => answer(404, r#"{"__type":"ResourceNotFoundException","message":"no"}"#),
        "DescribeSubnets" => query_error(400, "InvalidSubnetID.NotFound", "no"),
        "DescribeInstances" => query_error(403, "UnauthorizedOperation", "You are not authorized"),
        "AmazonSSM.GetParameters" | "AWSPriceListService.GetProducts" => answer(200, "{}"),
        other => answer(200, format!("<{other}Response/>")),
    })
    .await;
    let tried = permissions::try_all(&world.session(), None).await;
    let denied: Vec<_> =
        tried.iter().filter(|tried| tried.verdict != Verdict::Granted).map(|it| it.permission).collect();
    assert_eq!(denied, ["ec2:DescribeInstances"], "{tried:?}");
}

#[test]
fn a_session_refuses_what_it_cannot_be() {
    let open = |wish: Wish| AwsSession::open(wish, &SessionOptions::default()).unwrap_err().to_string();
    assert!(open(Wish { region: Some("eu-west-1/../".into()), ..Wish::default() }).contains("not an AWS region"));
    assert!(open(Wish { profile: Some("nobody".into()), ..Wish::default() }).contains("no AWS profile nobody"));
    let bundle = Environment::default().with([("AWS_CA_BUNDLE", "/nowhere/ca.pem")]);
    assert!(open(Wish { environment: bundle, ..Wish::default() }).contains("AWS_CA_BUNDLE"));
    let shown = format!(
        "{:?}",
        AwsSession::open(
            Wish { environment: Environment::default().with(KEY), ..Wish::default() },
            &SessionOptions::default()
        )
        .unwrap()
    );
    assert!(!shown.contains("t0p"), "{shown}");
}
