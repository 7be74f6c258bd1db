//! EKS as plain data: clusters, node groups, Fargate profiles, updates. Shapes are those of the EKS API Reference; what an
//! endpoint leaves out stays unknown (`None`, empty), never 0. List calls give names only: each then needs a describe.

use std::collections::BTreeMap;

use http::Method;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::client::{Call, path};
use super::endpoint::EKS;
use super::error::AwsError;
use super::session::AwsSession;

/// Pages of a list that are followed; a hundred names each.
const MOST_PAGES: usize = 100;

/// One cluster (`DescribeCluster`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cluster {
    pub name: String,
    pub arn: String,
    /// CREATING, ACTIVE, DELETING, FAILED, UPDATING or PENDING.
    pub status: String,
    /// Kubernetes' version, `1.33`.
    pub version: Option<String>,
    pub platform_version: Option<String>,
    #[serde(deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// The API server's URL; none while the cluster is being made, and for connected ones.
    pub endpoint: Option<String>,
    pub certificate_authority: Authority,
    pub role_arn: Option<String>,
    #[serde(rename = "resourcesVpcConfig")]
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
    pub storage_config: Option<Value>,
    pub deletion_protection: Option<bool>,
    pub control_plane_scaling_config: Option<ControlPlaneScaling>,
    /// Of clusters that EKS only knows, and does not run.
    pub connector_config: Option<Value>,
    pub outpost_config: Option<Value>,
    pub remote_network_config: Option<Value>,
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

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Authority {
    /// PEM in Base64.
    pub data: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    pub vpc_id: Option<String>,
    pub subnet_ids: Vec<String>,
    pub security_group_ids: Vec<String>,
    pub cluster_security_group_id: Option<String>,
    pub endpoint_public_access: Option<bool>,
    pub endpoint_private_access: Option<bool>,
    pub public_access_cidrs: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesNetwork {
    pub service_ipv4_cidr: Option<String>,
    pub service_ipv6_cidr: Option<String>,
    pub ip_family: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    pub cluster_logging: Vec<LogSetup>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LogSetup {
    pub types: Vec<String>,
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Identity {
    pub oidc: Option<Oidc>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Oidc {
    pub issuer: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Encryption {
    pub resources: Vec<String>,
    pub provider: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Health {
    pub issues: Vec<Issue>,
}

/// What is wrong, as EKS has it, with the resources that it is about.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Issue {
    #[serde(alias = "errorCode")]
    pub code: String,
    #[serde(alias = "errorMessage")]
    pub message: String,
    pub resource_ids: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessConfig {
    /// `API`, `CONFIG_MAP` or `API_AND_CONFIG_MAP`.
    pub authentication_mode: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradePolicy {
    /// `STANDARD` or `EXTENDED`.
    pub support_type: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Enabled {
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Compute {
    pub enabled: Option<bool>,
    pub node_pools: Vec<String>,
    pub node_role_arn: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ControlPlaneScaling {
    pub tier: Option<String>,
}

/// One Kubernetes version that EKS offers (`DescribeClusterVersions`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterVersion {
    pub cluster_version: String,
    pub default_version: bool,
    #[serde(deserialize_with = "instant")]
    pub release_date: Option<Timestamp>,
    #[serde(deserialize_with = "instant")]
    pub end_of_standard_support_date: Option<Timestamp>,
    #[serde(deserialize_with = "instant")]
    pub end_of_extended_support_date: Option<Timestamp>,
    /// STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED.
    pub version_status: Option<String>,
}

/// One managed node group (`DescribeNodegroup`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodegroup {
    pub nodegroup_name: String,
    pub nodegroup_arn: String,
    pub cluster_name: String,
    /// CREATING, ACTIVE, UPDATING, DELETING, CREATE_FAILED, DELETE_FAILED or DEGRADED.
    pub status: String,
    pub version: Option<String>,
    /// `1.33.4-20260815`; an AMI id where `ami_type` is CUSTOM.
    pub release_version: Option<String>,
    #[serde(deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    #[serde(deserialize_with = "instant")]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Scaling {
    #[serde(rename = "minSize")]
    pub min: Option<u32>,
    #[serde(rename = "maxSize")]
    pub max: Option<u32>,
    #[serde(rename = "desiredSize")]
    pub desired: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Taint {
    pub key: String,
    pub value: String,
    /// NO_SCHEDULE, NO_EXECUTE or PREFER_NO_SCHEDULE.
    pub effect: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateConfig {
    pub max_unavailable: Option<u32>,
    pub max_unavailable_percentage: Option<u32>,
    pub update_strategy: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LaunchTemplate {
    pub id: Option<String>,
    pub name: Option<String>,
    pub version: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    pub auto_scaling_groups: Vec<Named>,
    pub remote_access_security_group: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Named {
    pub name: String,
}

/// One Fargate profile (`DescribeFargateProfile`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FargateProfile {
    pub fargate_profile_name: String,
    pub fargate_profile_arn: String,
    pub cluster_name: String,
    pub status: String,
    #[serde(deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    pub pod_execution_role_arn: Option<String>,
    pub subnets: Vec<String>,
    pub selectors: Vec<Selector>,
    pub health: Health,
    pub tags: BTreeMap<String, String>,
}

/// Pods of a namespace with these labels run on the profile; namespaces may hold `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Selector {
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
}

/// A change that EKS carries out (`DescribeUpdate`, and the answer to a change).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Update {
    pub id: String,
    /// InProgress, Failed, Cancelled or Successful.
    pub status: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub params: Vec<UpdateParam>,
    #[serde(deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    pub errors: Vec<Issue>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UpdateParam {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

/// Names of all clusters, connected ones too. Needs `eks:ListClusters`.
pub async fn list_clusters(session: &AwsSession) -> Result<Vec<String>, AwsError> {
    names(session, "ListClusters", &["clusters"], "clusters", &[("include", "all")]).await
}

/// Needs `eks:DescribeCluster`.
pub async fn describe_cluster(session: &AwsSession, name: &str) -> Result<Cluster, AwsError> {
    one(session, "DescribeCluster", &["clusters", name], "cluster", &[]).await
}

/// All versions that EKS knows, with the end of their support. Needs `eks:DescribeClusterVersions`.
pub async fn describe_cluster_versions(session: &AwsSession) -> Result<Vec<ClusterVersion>, AwsError> {
    let query = [("includeAll", "true"), ("maxResults", "100")];
    one(session, "DescribeClusterVersions", &["cluster-versions"], "clusterVersions", &query).await
}

/// Names of the managed node groups. Needs `eks:ListNodegroups`.
pub async fn list_nodegroups(session: &AwsSession, cluster: &str) -> Result<Vec<String>, AwsError> {
    names(session, "ListNodegroups", &["clusters", cluster, "node-groups"], "nodegroups", &[]).await
}

/// Needs `eks:DescribeNodegroup`.
pub async fn describe_nodegroup(session: &AwsSession, cluster: &str, name: &str) -> Result<Nodegroup, AwsError> {
    one(session, "DescribeNodegroup", &["clusters", cluster, "node-groups", name], "nodegroup", &[]).await
}

/// Needs `eks:ListFargateProfiles`.
pub async fn list_fargate_profiles(session: &AwsSession, cluster: &str) -> Result<Vec<String>, AwsError> {
    let path = ["clusters", cluster, "fargate-profiles"];
    names(session, "ListFargateProfiles", &path, "fargateProfileNames", &[]).await
}

/// Needs `eks:DescribeFargateProfile`.
pub async fn describe_fargate_profile(
    session: &AwsSession,
    cluster: &str,
    name: &str,
) -> Result<FargateProfile, AwsError> {
    let path = ["clusters", cluster, "fargate-profiles", name];
    one(session, "DescribeFargateProfile", &path, "fargateProfile", &[]).await
}

/// Ids of the updates of a cluster, or of one of its node groups. Needs `eks:ListUpdates`.
pub async fn list_updates(
    session: &AwsSession,
    cluster: &str,
    nodegroup: Option<&str>,
) -> Result<Vec<String>, AwsError> {
    let query: Vec<_> = nodegroup.map(|name| ("nodegroupName", name)).into_iter().collect();
    names(session, "ListUpdates", &["clusters", cluster, "updates"], "updateIds", &query).await
}

/// Needs `eks:DescribeUpdate`.
pub async fn describe_update(
    session: &AwsSession,
    cluster: &str,
    nodegroup: Option<&str>,
    id: &str,
) -> Result<Update, AwsError> {
    let query: Vec<_> = nodegroup.map(|name| ("nodegroupName", name)).into_iter().collect();
    one(session, "DescribeUpdate", &["clusters", cluster, "updates", id], "update", &query).await
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
    let sizes = [("minSize", scaling.min), ("maxSize", scaling.max), ("desiredSize", scaling.desired)];
    let sizes = sizes.into_iter().filter_map(|(key, size)| Some((key.to_owned(), json!(size?)))).collect();
    let body = json!({ "scalingConfig": Value::Object(sizes), "clientRequestToken": token });
    let segments = path(&["clusters", cluster, "node-groups", name, "update-config"]);
    let call = Call::rest(EKS, "UpdateNodegroupConfig", Method::POST, segments, &[]).with_body(&body);
    within(session, call, "update").await
}

async fn one<T: DeserializeOwned>(
    session: &AwsSession,
    operation: &'static str,
    segments: &[&str],
    field: &str,
    query: &[(&str, &str)],
) -> Result<T, AwsError> {
    within(session, Call::rest(EKS, operation, Method::GET, path(segments), query), field).await
}

/// The one field that an answer wraps what it says in.
async fn within<T: DeserializeOwned>(session: &AwsSession, call: Call, field: &str) -> Result<T, AwsError> {
    let operation = call.operation();
    let mut answer: BTreeMap<String, Value> = session.json(call).await?;
    let unreadable = |why: String| AwsError::unreadable(EKS, operation, session.region(), why);
    let inner = answer.remove(field).ok_or_else(|| unreadable(format!("it has no `{field}`")))?;
    serde_json::from_value(without_nulls(inner)).map_err(|error| unreadable(format!("`{field}`: {error}")))
}

/// EKS writes some of what it leaves out as null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(entries) => Value::Array(entries.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// All pages of a list of names.
async fn names(
    session: &AwsSession,
    operation: &'static str,
    segments: &[&str],
    field: &str,
    query: &[(&str, &str)],
) -> Result<Vec<String>, AwsError> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut query = query.to_vec();
        query.push(("maxResults", "100"));
        query.extend(next.as_deref().map(|token| ("nextToken", token)));
        let call = Call::rest(EKS, operation, Method::GET, path(segments), &query);
        let mut page: BTreeMap<String, Value> = session.json(call).await?;
        let names = page.remove(field).unwrap_or_default();
        let names: Option<Vec<String>> = serde_json::from_value(names).unwrap_or_default();
        all.extend(names.unwrap_or_default());
        next = page.remove("nextToken").and_then(|token| token.as_str().map(str::to_owned)).filter(|it| !it.is_empty());
        if next.is_none() {
            return Ok(all);
        }
    }
    Err(AwsError::unreadable(EKS, operation, session.region(), format!("more than {MOST_PAGES} pages")))
}

/// Seconds since 1970 with a fraction, as EKS has them; or a text, as stand-ins do.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Seconds(f64),
        Text(String),
    }
    Ok(match Option::<Time>::deserialize(deserializer)? {
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of any real time fit")]
        Some(Time::Seconds(seconds)) => Timestamp::from_millisecond((seconds * 1000.0) as i64).ok(),
        Some(Time::Text(text)) => text.parse().ok(),
        None => None,
    })
}
