//! Which permissions the panels need, whether this session has them as far as reading can tell, and the policies that
//! grant them. Every try is a read; what changes things is listed and not tried.

use jiff::Timestamp;

use super::error::{AwsError, ErrorKind};
use super::{AwsSession, autoscaling, ec2, eks, pricing, ssm};

const READ: &str = include_str!("policies/read.json");
const ACT: &str = include_str!("policies/act.json");

/// What changes something and so is not tried.
pub const CHANGES: [&str; 4] = [
    "eks:UpdateNodegroupConfig",
    "autoscaling:SetDesiredCapacity",
    "autoscaling:UpdateAutoScalingGroup",
    "autoscaling:TerminateInstanceInAutoScalingGroup",
];

/// What a try of a permission came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    /// With AWS's words.
    Denied(String),
    /// It could not be tried, and why.
    Unknown(String),
}

/// One permission, and the panel that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub panel: &'static str,
    pub permission: &'static str,
    pub verdict: Verdict,
}

/// Least privilege to look at everything, and to scale; JSON for IAM, for one partition (`aws`, `aws-cn` …).
pub fn policies(partition: &str) -> [(&'static str, String); 2] {
    [("to look", READ.replace("PARTITION", partition)), ("to scale node groups", ACT.replace("PARTITION", partition))]
}

/// Tries every read, concurrently. `cluster` is the cluster to try on; without one the first that the account has.
pub async fn try_all(session: &AwsSession, cluster: Option<&str>) -> Vec<Tried> {
    let clusters = eks::list_clusters(session).await;
    let cluster = cluster.map(str::to_owned).or_else(|| clusters.as_ref().ok()?.first().cloned());
    let listed = Tried { panel: "clusters", permission: "eks:ListClusters", verdict: verdict(clusters) };
    let (versions, of_cluster, of_account) = tokio::join!(
        eks::describe_cluster_versions(session),
        // Twenty calls at once make futures too big for the stack.
        Box::pin(of_cluster(session, cluster.as_deref())),
        Box::pin(of_account(session))
    );
    let versions = Tried { panel: "clusters", permission: "eks:DescribeClusterVersions", verdict: verdict(versions) };
    [listed, versions].into_iter().chain(of_cluster).chain(of_account).collect()
}

async fn of_cluster(session: &AwsSession, cluster: Option<&str>) -> Vec<Tried> {
    const PERMISSIONS: [(&str, &str); 7] = [
        ("clusters", "eks:DescribeCluster"),
        ("node groups", "eks:ListNodegroups"),
        ("node groups", "eks:DescribeNodegroup"),
        ("node groups", "eks:ListFargateProfiles"),
        ("node groups", "eks:DescribeFargateProfile"),
        ("node groups", "eks:ListUpdates"),
        ("node groups", "eks:DescribeUpdate"),
    ];
    let verdicts = match cluster {
        None => std::array::from_fn(|_| Verdict::Unknown("there is no cluster to try it on".to_owned())),
        Some(name) => {
            // A name or an id that does not exist tells as much as one that does: who may not ask is told that first.
            let (cluster, groups, group, profiles, profile, updates, update) = tokio::join!(
                eks::describe_cluster(session, name),
                eks::list_nodegroups(session, name),
                eks::describe_nodegroup(session, name, NOBODY),
                eks::list_fargate_profiles(session, name),
                eks::describe_fargate_profile(session, name, NOBODY),
                eks::list_updates(session, name, None),
                eks::describe_update(session, name, None, "00000000-0000-0000-0000-000000000000"),
            );
            [
                verdict(cluster),
                verdict(groups),
                verdict(group),
                verdict(profiles),
                verdict(profile),
                verdict(updates),
                verdict(update),
            ]
        }
    };
    let tried = PERMISSIONS.into_iter().zip(verdicts);
    tried.map(|((panel, permission), verdict)| Tried { panel, permission, verdict }).collect()
}

/// A name that no resource has.
const NOBODY: &str = "ekscope-doctor-asks";

async fn of_account(session: &AwsSession) -> Vec<Tried> {
    let types = ["m6i.large".to_owned()];
    let subnet = ["subnet-00000000000000000".to_owned()];
    let release = ssm::release_parameter("AL2023_x86_64_STANDARD", "1.33").into_iter().collect::<Vec<_>>();
    let nobody = [NOBODY.to_owned()];
    let none = ["i-00000000000000000".to_owned()];
    let (
        groups,
        activities,
        scheduled,
        policies,
        refreshes,
        instances,
        kinds,
        subnets,
        spot,
        template,
        regions,
        release,
        price,
    ) = tokio::join!(
        autoscaling::describe_auto_scaling_groups(session, &nobody),
        autoscaling::describe_scaling_activities(session, NOBODY, 1),
        autoscaling::describe_scheduled_actions(session, Some(NOBODY)),
        autoscaling::describe_policies(session),
        autoscaling::describe_instance_refreshes(session, NOBODY, 1),
        ec2::describe_instances(session, ec2::Select::Ids(&none)),
        ec2::describe_instance_types(session, &types),
        ec2::describe_subnets(session, &subnet),
        ec2::describe_spot_price_history(session, &types, Timestamp::now()),
        ec2::describe_launch_template_versions(session, "lt-00000000000000000", &["$Latest"]),
        ec2::describe_regions(session),
        ssm::get_parameters(session, &release),
        pricing::get_products(session, "m6i.large"),
    );
    [
        ("node groups", "autoscaling:DescribeAutoScalingGroups", verdict(groups)),
        ("node groups", "autoscaling:DescribeScalingActivities", verdict(activities)),
        ("scaling", "autoscaling:DescribeScheduledActions", verdict(scheduled)),
        ("scaling", "autoscaling:DescribePolicies", verdict(policies)),
        ("node groups", "autoscaling:DescribeInstanceRefreshes", verdict(refreshes)),
        ("node groups", "ec2:DescribeInstances", verdict(instances)),
        ("node groups", "ec2:DescribeInstanceTypes", verdict(kinds)),
        ("scaling", "ec2:DescribeSubnets", verdict(subnets)),
        ("prices", "ec2:DescribeSpotPriceHistory", verdict(spot)),
        ("node groups", "ec2:DescribeLaunchTemplateVersions", verdict(template)),
        ("clusters", "ec2:DescribeRegions", verdict(regions)),
        ("node groups", "ssm:GetParameters", verdict(release)),
        ("prices", "pricing:GetProducts", verdict(price)),
    ]
    .into_iter()
    .map(|(panel, permission, verdict)| Tried { panel, permission, verdict })
    .collect()
}

/// Who may not ask hears that before anything else; any other refusal of the service means that one may.
fn verdict<T>(outcome: Result<T, AwsError>) -> Verdict {
    let Err(error) = outcome else { return Verdict::Granted };
    match &error.kind {
        ErrorKind::Denied(_) => Verdict::Denied(error.message),
        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict => Verdict::Granted,
        // Groups and templates that do not exist are a plain 400 with a code of their own.
        ErrorKind::Other if !error.code.is_empty() => Verdict::Granted,
        _ => {
            let problem = error.problem();
            Verdict::Unknown(if problem.why.is_empty() {
                problem.what
            } else {
                format!("{}: {}", problem.what, problem.why)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_are_json_of_one_partition() {
        for (_, policy) in policies("aws-cn") {
            assert!(!policy.contains("PARTITION"));
            let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
            assert_eq!(policy["Version"], "2012-10-17");
        }
        let all = policies("aws").map(|(_, policy)| policy).concat();
        assert!(CHANGES.iter().all(|action| all.contains(action)));
    }
}
