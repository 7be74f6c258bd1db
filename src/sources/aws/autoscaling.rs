//! Auto Scaling as plain data: groups as they really are, what they did and why, what will undo a change. Shapes are
//! those of the Auto Scaling API Reference (query protocol, XML).

use jiff::Timestamp;

use super::client::{Call, Parameters};
use super::endpoint::AUTO_SCALING;
use super::error::AwsError;
use super::session::AwsSession;
use super::xml::Node;

/// Entries of a page; the least that some lists give by themselves is 50.
const PAGE: &str = "100";
/// Names that one call takes at most.
const NAMES_PER_CALL: usize = 50;

/// One group. Sizes are `None` only where an endpoint leaves them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub arn: String,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
    pub instances: Vec<Instance>,
    /// Names of processes that somebody suspended: `Launch`, `Terminate`, `AZRebalance` …
    pub suspended: Vec<String>,
    pub tags: Vec<Tag>,
    pub zones: Vec<String>,
    pub subnets: Vec<String>,
    pub launch_template: Option<Template>,
    /// Types that a mixed-instances policy names; empty where the template decides.
    pub instance_types: Vec<String>,
    pub capacity_rebalance: bool,
    pub warm_pool: bool,
    /// New instances may not be chosen for scaling in.
    pub protected_from_scale_in: bool,
    /// Who alone may change the group, where that is somebody else.
    pub operator: Option<String>,
    /// `Delete in progress` while it goes.
    pub status: Option<String>,
    pub created: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub instance_type: Option<String>,
    pub zone: String,
    /// `Pending`, `InService`, `Terminating:Wait` …
    pub lifecycle: String,
    pub health: String,
    pub protected: bool,
    pub launch_template: Option<Template>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub id: Option<String>,
    pub name: Option<String>,
    pub version: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tag {
    pub key: String,
    pub value: String,
    /// New instances get it too.
    pub propagates: bool,
}

/// One thing that a group did or failed to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    pub id: String,
    pub description: String,
    pub cause: String,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// `Successful`, `Failed`, `Cancelled`, `InProgress`, `WaitingForSpotInstanceId` …
    pub status: String,
    pub message: Option<String>,
    /// Percent.
    pub progress: Option<u32>,
    /// JSON, with the subnet and the zone.
    pub details: Option<String>,
}

/// A change that will come by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// The group's name.
    pub group: String,
    pub name: String,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// cron, in `time_zone`.
    pub recurrence: Option<String>,
    pub time_zone: Option<String>,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
}

/// What changes a group's size by itself, as a metric or a forecast wants it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// The group's name.
    pub group: String,
    pub name: String,
    /// `TargetTrackingScaling`, `StepScaling`, `SimpleScaling`, `PredictiveScaling`.
    pub kind: String,
    /// What is tracked, by the name of its metric, and the value that it is to have.
    pub metric: Option<String>,
    pub target: Option<f64>,
    pub enabled: bool,
}

/// A group's instances are being replaced, some at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refresh {
    /// `Pending`, `InProgress`, `Successful`, `Failed`, `Baking` …
    pub status: String,
    pub start: Option<Timestamp>,
    /// Percent of the instances.
    pub done: Option<u32>,
    pub reason: Option<String>,
}

impl Refresh {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        matches!(&*self.status, "Pending" | "InProgress" | "Baking" | "Cancelling" | "RollbackInProgress")
    }
}

/// Groups by name, in as many calls as it takes; who is not there is missing in the answer. Needs
/// `autoscaling:DescribeAutoScalingGroups`.
pub async fn describe_auto_scaling_groups(session: &AwsSession, names: &[String]) -> Result<Vec<Group>, AwsError> {
    let mut groups = Vec::new();
    for names in names.chunks(NAMES_PER_CALL) {
        let parameters = page().list("AutoScalingGroupNames.member", names);
        groups.extend(
            session
                .xml_pages(AUTO_SCALING, "DescribeAutoScalingGroups", parameters, "AutoScalingGroups", group)
                .await?,
        );
    }
    Ok(groups)
}

/// Groups that carry a tag with one of these values: `kubernetes.io/cluster/NAME` is `owned` or `shared` on self-managed
/// groups, `eks:cluster-name` is the name on managed ones. Needs `autoscaling:DescribeAutoScalingGroups`.
pub async fn describe_auto_scaling_groups_by_tag(
    session: &AwsSession,
    key: &str,
    values: &[&str],
) -> Result<Vec<Group>, AwsError> {
    let name = format!("tag:{key}");
    let parameters = page().filter("Filters.member.1", "Values.member", &name, values);
    session.xml_pages(AUTO_SCALING, "DescribeAutoScalingGroups", parameters, "AutoScalingGroups", group).await
}

/// The newest activities of a group, at most a hundred. Needs `autoscaling:DescribeScalingActivities`.
pub async fn describe_scaling_activities(
    session: &AwsSession,
    group: &str,
    most: usize,
) -> Result<Vec<Activity>, AwsError> {
    let parameters =
        Parameters::default().set("AutoScalingGroupName", group).set("MaxRecords", most.clamp(1, 100).to_string());
    let result = session.xml(Call::query(AUTO_SCALING, "DescribeScalingActivities", &parameters)).await?;
    Ok(result.list("Activities").map(activity).collect())
}

/// Of one group, or of all that the account has in the region. Needs `autoscaling:DescribeScheduledActions`.
pub async fn describe_scheduled_actions(session: &AwsSession, group: Option<&str>) -> Result<Vec<Scheduled>, AwsError> {
    let parameters = page().set_if("AutoScalingGroupName", group);
    let list = "ScheduledUpdateGroupActions";
    session.xml_pages(AUTO_SCALING, "DescribeScheduledActions", parameters, list, scheduled).await
}

/// Of all groups that the account has in the region. Needs `autoscaling:DescribePolicies`.
pub async fn describe_policies(session: &AwsSession) -> Result<Vec<Policy>, AwsError> {
    session.xml_pages(AUTO_SCALING, "DescribePolicies", page(), "ScalingPolicies", policy).await
}

/// The newest refreshes of a group, at most `most`. Needs `autoscaling:DescribeInstanceRefreshes`.
pub async fn describe_instance_refreshes(
    session: &AwsSession,
    group: &str,
    most: usize,
) -> Result<Vec<Refresh>, AwsError> {
    let parameters =
        Parameters::default().set("AutoScalingGroupName", group).set("MaxRecords", most.clamp(1, 100).to_string());
    let result = session.xml(Call::query(AUTO_SCALING, "DescribeInstanceRefreshes", &parameters)).await?;
    Ok(result.list("InstanceRefreshes").map(refresh).collect())
}

/// For self-managed groups only: EKS would set a managed one back. Asking for the same again changes nothing, so a lost
/// answer does no harm. Needs `autoscaling:SetDesiredCapacity`.
pub async fn set_desired_capacity(session: &AwsSession, group: &str, desired: u32) -> Result<(), AwsError> {
    let parameters = Parameters::default()
        .set("AutoScalingGroupName", group)
        .set("DesiredCapacity", desired.to_string())
        .set("HonorCooldown", "false");
    session.xml(Call::query(AUTO_SCALING, "SetDesiredCapacity", &parameters)).await.map(drop)
}

/// Bounds and wish of a self-managed group in one request; what is `None` stays. Needs
/// `autoscaling:UpdateAutoScalingGroup`.
pub async fn update_auto_scaling_group(
    session: &AwsSession,
    group: &str,
    min: Option<u32>,
    max: Option<u32>,
    desired: Option<u32>,
) -> Result<(), AwsError> {
    let text = |size: Option<u32>| size.map(|size| size.to_string());
    let parameters = Parameters::default()
        .set("AutoScalingGroupName", group)
        .set_if("MinSize", text(min))
        .set_if("MaxSize", text(max))
        .set_if("DesiredCapacity", text(desired));
    session.xml(Call::query(AUTO_SCALING, "UpdateAutoScalingGroup", &parameters)).await.map(drop)
}

/// Ends one instance and, with `decrement`, does not have it replaced. Needs
/// `autoscaling:TerminateInstanceInAutoScalingGroup`.
pub async fn terminate_instance_in_auto_scaling_group(
    session: &AwsSession,
    instance: &str,
    decrement: bool,
) -> Result<Activity, AwsError> {
    let parameters =
        Parameters::default().set("InstanceId", instance).set("ShouldDecrementDesiredCapacity", decrement.to_string());
    let call = Call::query(AUTO_SCALING, "TerminateInstanceInAutoScalingGroup", &parameters);
    Ok(session.xml(call).await?.find("Activity").map(activity).unwrap_or_default())
}

/// What every page of a list is asked with.
fn page() -> Parameters {
    Parameters::default().set("MaxRecords", PAGE)
}

fn group(node: &Node) -> Group {
    let mixed = node.find("MixedInstancesPolicy").and_then(|policy| policy.find("LaunchTemplate"));
    let of_mixed = mixed.and_then(|it| it.find("LaunchTemplateSpecification"));
    let types = mixed.into_iter().flat_map(|it| it.list("Overrides")).filter_map(|it| it.text("InstanceType"));
    let list = |text: Option<&str>| {
        let entries = text.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(str::to_owned).collect()
    };
    Group {
        name: node.string("AutoScalingGroupName"),
        arn: node.string("AutoScalingGroupARN"),
        min: node.parsed("MinSize"),
        max: node.parsed("MaxSize"),
        desired: node.parsed("DesiredCapacity"),
        instances: node.list("Instances").map(instance).collect(),
        suspended: node.list("SuspendedProcesses").map(|process| process.string("ProcessName")).collect(),
        tags: node.list("Tags").map(tag).collect(),
        zones: node.list("AvailabilityZones").map(|zone| zone.text.trim().to_owned()).collect(),
        subnets: list(node.text("VPCZoneIdentifier")),
        launch_template: node.find("LaunchTemplate").or(of_mixed).map(template),
        instance_types: types.map(str::to_owned).collect(),
        capacity_rebalance: node.text("CapacityRebalance") == Some("true"),
        warm_pool: node.find("WarmPoolConfiguration").is_some_and(|pool| !pool.children.is_empty()),
        protected_from_scale_in: node.text("NewInstancesProtectedFromScaleIn") == Some("true"),
        operator: node.find("Operator").and_then(|it| it.text("Principal")).map(str::to_owned),
        status: node.text("Status").map(str::to_owned),
        created: node.parsed("CreatedTime"),
    }
}

fn instance(node: &Node) -> Instance {
    Instance {
        id: node.string("InstanceId"),
        instance_type: node.text("InstanceType").map(str::to_owned),
        zone: node.string("AvailabilityZone"),
        lifecycle: node.string("LifecycleState"),
        health: node.string("HealthStatus"),
        protected: node.text("ProtectedFromScaleIn") == Some("true"),
        launch_template: node.find("LaunchTemplate").map(template),
    }
}

fn template(node: &Node) -> Template {
    let text = |name: &str| node.text(name).map(str::to_owned);
    Template { id: text("LaunchTemplateId"), name: text("LaunchTemplateName"), version: text("Version") }
}

fn tag(node: &Node) -> Tag {
    Tag {
        key: node.string("Key"),
        value: node.string("Value"),
        propagates: node.text("PropagateAtLaunch") == Some("true"),
    }
}

fn activity(node: &Node) -> Activity {
    Activity {
        id: node.string("ActivityId"),
        description: node.string("Description"),
        cause: node.string("Cause"),
        start: node.parsed("StartTime"),
        end: node.parsed("EndTime"),
        status: node.string("StatusCode"),
        message: node.text("StatusMessage").map(str::to_owned),
        progress: node.parsed("Progress"),
        details: node.text("Details").map(str::to_owned),
    }
}

fn policy(node: &Node) -> Policy {
    let tracking = node.find("TargetTrackingConfiguration");
    let metric = |it: &Node| {
        let of = |specification: &str, name: &str| it.find(specification)?.text(name).map(str::to_owned);
        of("PredefinedMetricSpecification", "PredefinedMetricType")
            .or_else(|| of("CustomizedMetricSpecification", "MetricName"))
    };
    Policy {
        group: node.string("AutoScalingGroupName"),
        name: node.string("PolicyName"),
        kind: node.string("PolicyType"),
        metric: tracking.and_then(metric),
        target: tracking.and_then(|it| it.parsed("TargetValue")),
        // Left out by endpoints that are older than the field.
        enabled: node.text("Enabled") != Some("false"),
    }
}

fn refresh(node: &Node) -> Refresh {
    Refresh {
        status: node.string("Status"),
        start: node.parsed("StartTime"),
        done: node.parsed("PercentageComplete"),
        reason: node.text("StatusReason").map(str::to_owned),
    }
}

fn scheduled(node: &Node) -> Scheduled {
    Scheduled {
        group: node.string("AutoScalingGroupName"),
        name: node.string("ScheduledActionName"),
        start: node.parsed("StartTime"),
        end: node.parsed("EndTime"),
        recurrence: node.text("Recurrence").map(str::to_owned),
        time_zone: node.text("TimeZone").map(str::to_owned),
        min: node.parsed("MinSize"),
        max: node.parsed("MaxSize"),
        desired: node.parsed("DesiredCapacity"),
    }
}
