//! The simulated account, as our own client sees it.

use ekscope_simulator::{AwsOperation, Faults, Options};

use crate::sources::aws::{self as client, AwsSession, Environment, ErrorKind, SessionOptions, Wish};

/// The account of a server, as our own client sees it.
fn session(server: &ekscope_simulator::Handle) -> AwsSession {
    let environment = Environment::default().with(server.environment());
    AwsSession::open(Wish { environment, ..Wish::default() }, &SessionOptions::default()).unwrap()
}

#[tokio::test]
async fn our_own_client_reads_and_scales_it() {
    let server = ekscope_simulator::start(Options { nodes: 24, pods: 100, ..Options::default() }).await.unwrap();
    let session = session(&server);
    assert_eq!(session.identity().await.unwrap().account, "123456789012");
    let cluster = client::eks::describe_cluster(&session, "demo").await.unwrap();
    assert_eq!(cluster.endpoint.as_deref(), Some(&*server.url));
    let names = client::eks::list_nodegroups(&session, "demo").await.unwrap();
    let group = client::eks::describe_nodegroup(&session, "demo", &names[0]).await.unwrap();
    let asgs = [group.resources.auto_scaling_groups[0].name.clone()];
    let asgs = client::autoscaling::describe_auto_scaling_groups(&session, &asgs).await.unwrap();
    assert_eq!(asgs[0].desired, group.scaling_config.desired);
    let price = client::pricing::get_products(&session, &group.instance_types[0]).await.unwrap().unwrap();
    assert!(price.per_hour > 0.1);
    // The answer is lost, the change is not: the same token brings the same update.
    let lost = AwsOperation {
        operation: "UpdateNodegroupConfig".into(),
        times: Some(1),
        lose: true,
        ..AwsOperation::default()
    };
    let denied = AwsOperation { service: "ec2".into(), deny: true, ..AwsOperation::default() };
    let slow =
        AwsOperation { operation: "DescribeScalingActivities".into(), throttle: true, ..AwsOperation::default() };
    server.set_faults(Faults { aws: vec![lost, denied, slow], ..Faults::default() });
    let sizes =
        client::eks::Scaling { desired: group.scaling_config.desired.map(|size| size + 1), ..Default::default() };
    let scale = || client::eks::update_nodegroup_config(&session, "demo", &names[0], sizes, "token");
    assert!(matches!(scale().await.unwrap_err().kind, ErrorKind::Network(fault) if fault.may_have_happened()));
    let update = scale().await.unwrap();
    let updates = client::eks::list_updates(&session, "demo", Some(&names[0])).await.unwrap();
    assert_eq!(updates, [update.id]);
    let refused = client::ec2::describe_regions(&session).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Denied("ec2:DescribeRegions".into()));
    let throttled = client::autoscaling::describe_scaling_activities(&session, &asgs[0].name, 10).await.unwrap_err();
    assert_eq!(throttled.kind, ErrorKind::Throttled);
    assert_eq!(server.requests().await.count("DescribeCluster", "eks.eu-west-1"), 1);
}

#[tokio::test]
async fn other_keys_are_nobodys() {
    let server = ekscope_simulator::start(Options { nodes: 2, pods: 4, ..Options::default() }).await.unwrap();
    for (variable, kind) in [("AWS_ACCESS_KEY_ID", ErrorKind::RegionOff), ("AWS_SECRET_ACCESS_KEY", ErrorKind::BadKey)]
    {
        let environment = Environment::default().with(server.environment()).with([(variable, "AKIAOTHER")]);
        let session = AwsSession::open(Wish { environment, ..Wish::default() }, &SessionOptions::default()).unwrap();
        assert_eq!(session.identity().await.unwrap_err().kind, kind);
    }
}
