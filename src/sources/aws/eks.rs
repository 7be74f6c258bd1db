//! EKS as plain data: clusters, node groups, Fargate profiles, updates, asked by AWS's own client (`aws-sdk-eks`). Shapes
//! are those of the EKS API Reference; what an endpoint leaves out stays unknown (`None`, empty), never 0. List calls give
//! names only: each then needs a describe.

mod answers;

use std::collections::BTreeMap;

use aws_sdk_eks::Client;
use aws_sdk_eks::error::SdkError;
use aws_sdk_eks::types::NodegroupScalingConfig;
use jiff::Timestamp;

use super::endpoint::EKS;
use super::error::AwsError;
use super::sdk;
use super::session::AwsSession;

/// Pages of a list that are followed, and how many entries each has at most.
const MOST_PAGES: usize = 100;
const PAGE: i32 = 100;

/// One cluster (`DescribeCluster`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    pub name: String,
    pub arn: String,
    /// CREATING, ACTIVE, DELETING, FAILED, UPDATING or PENDING.
    pub status: String,
    /// Kubernetes' version, `1.33`.
    pub version: Option<String>,
    pub platform_version: Option<String>,
    pub created_at: Option<Timestamp>,
    /// The API server's URL; none while the cluster is being made, and for connected ones.
    pub endpoint: Option<String>,
    pub certificate_authority: Authority,
    pub role_arn: Option<String>,
    pub network: Network,
    pub kubernetes_network_config: KubernetesNetwork,
    pub logging: Logging,
    pub identity: Identity,
    pub encryption_config: Vec<Encryption>,
    pub tags: BTreeMap<String, String>,
    pub health: Health,
    pub access_config: AccessConfig,
    pub upgrade_policy: UpgradePolicy,
    pub zonal_shift_config: Option<Enabled>,
    /// Auto Mode, where it is on.
    pub compute_config: Option<Compute>,
    /// Auto Mode's block storage.
    pub storage_config: Option<Enabled>,
    pub deletion_protection: Option<bool>,
    pub control_plane_scaling_config: Option<ControlPlaneScaling>,
    /// Of clusters that EKS only knows, and does not run.
    pub connector_config: Option<Connector>,
    pub outpost_config: Option<Outpost>,
    /// Of hybrid nodes.
    pub remote_network_config: Option<RemoteNetwork>,
}

impl Cluster {
    /// What would explain that its API server cannot be reached from here; none where it is open to everybody.
    pub fn closed(&self) -> Option<String> {
        let network = &self.network;
        match network.endpoint_public_access {
            Some(false) => {
                Some("its endpoint is private: it answers only within its VPC and what is connected to it".to_owned())
            }
            Some(true) if !network.public_access_cidrs.iter().any(|cidr| cidr == "0.0.0.0/0") => {
                let cidrs = network.public_access_cidrs.join(", ");
                (!cidrs.is_empty()).then(|| format!("its endpoint is open to {cidrs} only"))
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Authority {
    /// PEM in Base64.
    pub data: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    pub vpc_id: Option<String>,
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
    pub cluster_security_group_id: Option<String>,
    pub endpoint_public_access: Option<bool>,
    pub endpoint_private_access: Option<bool>,
    pub public_access_cidrs: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct KubernetesNetwork {
    pub service_ipv4_cidr: Option<String>,
    pub service_ipv6_cidr: Option<String>,
    pub ip_family: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logging {
    pub cluster_logging: Vec<LogSetup>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogSetup {
    pub types: Vec<String>,
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    pub oidc: Option<Oidc>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Oidc {
    pub issuer: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encryption {
    /// The KMS key.
    pub key_arn: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    pub issues: Vec<Issue>,
}

/// What is wrong, as EKS has it, with the resources that it is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Issue {
    pub code: String,
    pub message: String,
    pub resource_ids: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessConfig {
    /// `API`, `CONFIG_MAP` or `API_AND_CONFIG_MAP`.
    pub authentication_mode: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpgradePolicy {
    /// `STANDARD` or `EXTENDED`.
    pub support_type: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enabled {
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compute {
    pub enabled: Option<bool>,
    pub node_pools: Vec<String>,
    pub node_role_arn: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ControlPlaneScaling {
    pub tier: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connector {
    /// Where the cluster is: `EKS_ANYWHERE`, `OPENSHIFT` …
    pub provider: Option<String>,
    pub role_arn: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outpost {
    pub outpost_arns: Vec<String>,
    pub control_plane_instance_type: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RemoteNetwork {
    pub node_cidrs: Vec<String>,
    pub pod_cidrs: Vec<String>,
}

/// One Kubernetes version that EKS offers (`DescribeClusterVersions`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterVersion {
    pub cluster_version: String,
    pub default_version: bool,
    pub release_date: Option<Timestamp>,
    pub end_of_standard_support_date: Option<Timestamp>,
    pub end_of_extended_support_date: Option<Timestamp>,
    /// STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED.
    pub version_status: Option<String>,
}

/// One managed node group (`DescribeNodegroup`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nodegroup {
    pub nodegroup_name: String,
    pub nodegroup_arn: String,
    pub cluster_name: String,
    /// CREATING, ACTIVE, UPDATING, DELETING, CREATE_FAILED, DELETE_FAILED or DEGRADED.
    pub status: String,
    pub version: Option<String>,
    /// `1.33.4-20260815`; an AMI id where `ami_type` is CUSTOM.
    pub release_version: Option<String>,
    pub created_at: Option<Timestamp>,
    pub modified_at: Option<Timestamp>,
    pub ami_type: Option<String>,
    /// ON_DEMAND, SPOT or CAPACITY_BLOCK.
    pub capacity_type: Option<String>,
    pub scaling_config: Scaling,
    pub instance_types: Vec<String>,
    pub subnets: Vec<String>,
    pub node_role: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    /// GiB.
    pub disk_size: Option<u32>,
    pub update_config: UpdateConfig,
    pub launch_template: Option<LaunchTemplate>,
    pub resources: Resources,
    pub health: Health,
    pub tags: BTreeMap<String, String>,
}

/// Bounds and wish of a group. The wish is EKS's copy; the truth is the Auto Scaling group's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scaling {
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: String,
    /// NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE.
    pub effect: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateConfig {
    pub max_unavailable: Option<u32>,
    pub max_unavailable_percentage: Option<u32>,
    pub update_strategy: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchTemplate {
    pub id: Option<String>,
    pub name: Option<String>,
    pub version: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    pub auto_scaling_groups: Vec<Named>,
    pub remote_access_security_group: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    pub name: String,
}

/// One Fargate profile (`DescribeFargateProfile`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FargateProfile {
    pub fargate_profile_name: String,
    pub fargate_profile_arn: String,
    pub cluster_name: String,
    pub status: String,
    pub created_at: Option<Timestamp>,
    pub pod_execution_role_arn: Option<String>,
    pub subnets: Vec<String>,
    pub selectors: Vec<Selector>,
    pub health: Health,
    pub tags: BTreeMap<String, String>,
}

/// Pods of a namespace with these labels run on the profile; namespaces may hold `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector {
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
}

/// A change that EKS carries out (`DescribeUpdate`, and the answer to a change).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    pub id: String,
    /// InProgress, Failed, Cancelled or Successful.
    pub status: String,
    pub kind: String,
    pub params: Vec<UpdateParam>,
    pub created_at: Option<Timestamp>,
    pub errors: Vec<Issue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateParam {
    pub kind: String,
    pub value: String,
}

/// Names of all clusters, connected ones too. Needs `eks:ListClusters`.
pub async fn list_clusters(session: &AwsSession) -> Result<Vec<String>, AwsError> {
    let page = |eks: Client, next| eks.list_clusters().include("all").max_results(PAGE).set_next_token(next).send();
    list(session, "ListClusters", page, |page| (page.clusters, page.next_token)).await
}

/// Needs `eks:DescribeCluster`.
pub async fn describe_cluster(session: &AwsSession, name: &str) -> Result<Cluster, AwsError> {
    let answer = ask(session, "DescribeCluster", |eks| eks.describe_cluster().name(name).send()).await?;
    within(session, "DescribeCluster", answer.cluster)
}

/// All versions that EKS knows, with the end of their support. Needs `eks:DescribeClusterVersions`.
pub async fn describe_cluster_versions(session: &AwsSession) -> Result<Vec<ClusterVersion>, AwsError> {
    let page = |eks: Client, next| {
        eks.describe_cluster_versions().include_all(true).max_results(PAGE).set_next_token(next).send()
    };
    list(session, "DescribeClusterVersions", page, |page| (page.cluster_versions, page.next_token)).await
}

/// Names of the managed node groups. Needs `eks:ListNodegroups`.
pub async fn list_nodegroups(session: &AwsSession, cluster: &str) -> Result<Vec<String>, AwsError> {
    let page =
        |eks: Client, next| eks.list_nodegroups().cluster_name(cluster).max_results(PAGE).set_next_token(next).send();
    list(session, "ListNodegroups", page, |page| (page.nodegroups, page.next_token)).await
}

/// Needs `eks:DescribeNodegroup`.
pub async fn describe_nodegroup(session: &AwsSession, cluster: &str, name: &str) -> Result<Nodegroup, AwsError> {
    let send = |eks: Client| eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name).send();
    let answer = ask(session, "DescribeNodegroup", send).await?;
    within(session, "DescribeNodegroup", answer.nodegroup)
}

/// Needs `eks:ListFargateProfiles`.
pub async fn list_fargate_profiles(session: &AwsSession, cluster: &str) -> Result<Vec<String>, AwsError> {
    let page = |eks: Client, next| {
        eks.list_fargate_profiles().cluster_name(cluster).max_results(PAGE).set_next_token(next).send()
    };
    list(session, "ListFargateProfiles", page, |page| (page.fargate_profile_names, page.next_token)).await
}

/// Needs `eks:DescribeFargateProfile`.
pub async fn describe_fargate_profile(
    session: &AwsSession,
    cluster: &str,
    name: &str,
) -> Result<FargateProfile, AwsError> {
    let send = |eks: Client| eks.describe_fargate_profile().cluster_name(cluster).fargate_profile_name(name).send();
    let answer = ask(session, "DescribeFargateProfile", send).await?;
    within(session, "DescribeFargateProfile", answer.fargate_profile)
}

/// Ids of the updates of a cluster, or of one of its node groups. Needs `eks:ListUpdates`.
pub async fn list_updates(
    session: &AwsSession,
    cluster: &str,
    nodegroup: Option<&str>,
) -> Result<Vec<String>, AwsError> {
    let page = |eks: Client, next| {
        let call = eks.list_updates().name(cluster).set_nodegroup_name(nodegroup.map(str::to_owned));
        call.max_results(PAGE).set_next_token(next).send()
    };
    list(session, "ListUpdates", page, |page| (page.update_ids, page.next_token)).await
}

/// Needs `eks:DescribeUpdate`.
pub async fn describe_update(
    session: &AwsSession,
    cluster: &str,
    nodegroup: Option<&str>,
    id: &str,
) -> Result<Update, AwsError> {
    let send = |eks: Client| {
        let call = eks.describe_update().name(cluster).update_id(id);
        call.set_nodegroup_name(nodegroup.map(str::to_owned)).send()
    };
    let answer = ask(session, "DescribeUpdate", send).await?;
    within(session, "DescribeUpdate", answer.update)
}

/// Changes bounds and wish of a managed group in one request; what is `None` stays. `token` is one for each confirmed
/// wish ([`super::request_token`]): the same again does nothing twice. Needs `eks:UpdateNodegroupConfig`.
pub async fn update_nodegroup_config(
    session: &AwsSession,
    cluster: &str,
    name: &str,
    scaling: Scaling,
    token: &str,
) -> Result<Update, AwsError> {
    // A size beyond what the API has a number for is one that it refuses.
    let size = |size: Option<u32>| size.map(|size| i32::try_from(size).unwrap_or(i32::MAX));
    let sizes = NodegroupScalingConfig::builder()
        .set_min_size(size(scaling.min))
        .set_max_size(size(scaling.max))
        .set_desired_size(size(scaling.desired))
        .build();
    let send = |eks: Client| {
        let call = eks.update_nodegroup_config().cluster_name(cluster).nodegroup_name(name);
        call.scaling_config(sizes.clone()).client_request_token(token).send()
    };
    let answer = ask(session, "UpdateNodegroupConfig", send).await?;
    within(session, "UpdateNodegroupConfig", answer.update)
}

/// One call of EKS.
async fn ask<T, E, F>(session: &AwsSession, operation: &'static str, send: impl Fn(Client) -> F) -> Result<T, AwsError>
where
    F: Future<Output = Result<T, SdkError<E>>>,
    E: std::error::Error + 'static,
{
    sdk::call(session, EKS, operation, |config| send(Client::new(config))).await
}

/// What an answer wraps; one that wraps nothing is none.
#[expect(clippy::result_large_err, reason = "one move for each call over a network")]
fn within<T: Into<U>, U>(session: &AwsSession, operation: &'static str, inner: Option<T>) -> Result<U, AwsError> {
    let empty = || AwsError::unreadable(EKS, operation, session.region(), "it holds nothing");
    inner.map(Into::into).ok_or_else(empty)
}

/// All pages of a list. The SDK's own paginator ends without a word where an endpoint gives the same page for ever.
async fn list<T: Into<U>, U, Page, E, F>(
    session: &AwsSession,
    operation: &'static str,
    send: impl Fn(Client, Option<String>) -> F,
    open: impl Fn(Page) -> (Option<Vec<T>>, Option<String>),
) -> Result<Vec<U>, AwsError>
where
    F: Future<Output = Result<Page, SdkError<E>>>,
    E: std::error::Error + 'static,
{
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let (entries, after) = open(ask(session, operation, |eks| send(eks, next.clone())).await?);
        all.extend(entries.into_iter().flatten().map(Into::into));
        next = after.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(all);
        }
    }
    Err(AwsError::unreadable(EKS, operation, session.region(), format!("more than {MOST_PAGES} pages")))
}
