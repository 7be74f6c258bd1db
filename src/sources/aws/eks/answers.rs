//! What the SDK's types say, as ours: times of `jiff`, sizes without a sign, maps in order. Pure.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_eks::primitives::DateTime;
use aws_sdk_eks::types as sdk;
use jiff::Timestamp;

use super::{
    AccessConfig, Authority, Cluster, ClusterVersion, Compute, Connector, ControlPlaneScaling, Enabled, Encryption,
    FargateProfile, Health, Identity, Issue, KubernetesNetwork, LaunchTemplate, LogSetup, Logging, Named, Network,
    Nodegroup, Oidc, Outpost, RemoteNetwork, Resources, Scaling, Selector, Taint, Update, UpdateConfig, UpdateParam,
    UpgradePolicy,
};

impl From<sdk::Cluster> for Cluster {
    fn from(it: sdk::Cluster) -> Self {
        Self {
            name: it.name.unwrap_or_default(),
            arn: it.arn.unwrap_or_default(),
            status: word(it.status).unwrap_or_default(),
            version: it.version,
            platform_version: it.platform_version,
            created_at: instant(it.created_at),
            endpoint: it.endpoint,
            certificate_authority: Authority { data: it.certificate_authority.and_then(|it| it.data) },
            role_arn: it.role_arn,
            network: inner(it.resources_vpc_config),
            kubernetes_network_config: inner(it.kubernetes_network_config),
            logging: Logging { cluster_logging: every(it.logging.and_then(|it| it.cluster_logging)) },
            identity: Identity { oidc: it.identity.and_then(|it| it.oidc).map(|it| Oidc { issuer: it.issuer }) },
            encryption_config: it
                .encryption_config
                .into_iter()
                .flatten()
                .map(|it| Encryption { key_arn: it.provider.and_then(|it| it.key_arn) })
                .collect(),
            tags: pairs(it.tags),
            health: Health { issues: every(it.health.and_then(|it| it.issues)) },
            access_config: AccessConfig {
                authentication_mode: word(it.access_config.and_then(|it| it.authentication_mode)),
            },
            upgrade_policy: UpgradePolicy { support_type: word(it.upgrade_policy.and_then(|it| it.support_type)) },
            zonal_shift_config: it.zonal_shift_config.map(|it| Enabled { enabled: it.enabled }),
            compute_config: it.compute_config.map(Into::into),
            storage_config: it.storage_config.and_then(|it| it.block_storage).map(|it| Enabled { enabled: it.enabled }),
            deletion_protection: it.deletion_protection,
            control_plane_scaling_config: it
                .control_plane_scaling_config
                .map(|it| ControlPlaneScaling { tier: word(it.tier) }),
            connector_config: it.connector_config.map(|it| Connector { provider: it.provider, role_arn: it.role_arn }),
            outpost_config: it.outpost_config.map(|it| Outpost {
                outpost_arns: it.outpost_arns,
                control_plane_instance_type: it.control_plane_instance_type,
            }),
            remote_network_config: it.remote_network_config.map(Into::into),
        }
    }
}

impl From<sdk::VpcConfigResponse> for Network {
    fn from(it: sdk::VpcConfigResponse) -> Self {
        // The SDK reads a missing flag as false. EKS has no cluster with neither way in: then nobody has said.
        let said = it.endpoint_public_access || it.endpoint_private_access;
        Self {
            vpc_id: it.vpc_id,
            subnet_ids: it.subnet_ids.unwrap_or_default(),
            security_group_ids: it.security_group_ids.unwrap_or_default(),
            cluster_security_group_id: it.cluster_security_group_id,
            endpoint_public_access: said.then_some(it.endpoint_public_access),
            endpoint_private_access: said.then_some(it.endpoint_private_access),
            public_access_cidrs: it.public_access_cidrs.unwrap_or_default(),
        }
    }
}

impl From<sdk::KubernetesNetworkConfigResponse> for KubernetesNetwork {
    fn from(it: sdk::KubernetesNetworkConfigResponse) -> Self {
        Self {
            service_ipv4_cidr: it.service_ipv4_cidr,
            service_ipv6_cidr: it.service_ipv6_cidr,
            ip_family: word(it.ip_family),
        }
    }
}

impl From<sdk::LogSetup> for LogSetup {
    fn from(it: sdk::LogSetup) -> Self {
        let types = it.types.unwrap_or_default();
        Self { types: types.iter().map(|it| it.as_str().to_owned()).collect(), enabled: it.enabled }
    }
}

impl From<sdk::ComputeConfigResponse> for Compute {
    fn from(it: sdk::ComputeConfigResponse) -> Self {
        Self { enabled: it.enabled, node_pools: it.node_pools.unwrap_or_default(), node_role_arn: it.node_role_arn }
    }
}

impl From<sdk::RemoteNetworkConfigResponse> for RemoteNetwork {
    fn from(it: sdk::RemoteNetworkConfigResponse) -> Self {
        let nodes = it.remote_node_networks.unwrap_or_default();
        let pods = it.remote_pod_networks.unwrap_or_default();
        Self {
            node_cidrs: nodes.into_iter().filter_map(|it| it.cidrs).flatten().collect(),
            pod_cidrs: pods.into_iter().filter_map(|it| it.cidrs).flatten().collect(),
        }
    }
}

impl From<sdk::ClusterVersionInformation> for ClusterVersion {
    fn from(it: sdk::ClusterVersionInformation) -> Self {
        Self {
            cluster_version: it.cluster_version.unwrap_or_default(),
            default_version: it.default_version,
            release_date: instant(it.release_date),
            end_of_standard_support_date: instant(it.end_of_standard_support_date),
            end_of_extended_support_date: instant(it.end_of_extended_support_date),
            version_status: word(it.version_status),
        }
    }
}

impl From<sdk::Nodegroup> for Nodegroup {
    fn from(it: sdk::Nodegroup) -> Self {
        Self {
            nodegroup_name: it.nodegroup_name.unwrap_or_default(),
            nodegroup_arn: it.nodegroup_arn.unwrap_or_default(),
            cluster_name: it.cluster_name.unwrap_or_default(),
            status: word(it.status).unwrap_or_default(),
            version: it.version,
            release_version: it.release_version,
            created_at: instant(it.created_at),
            modified_at: instant(it.modified_at),
            ami_type: word(it.ami_type),
            capacity_type: word(it.capacity_type),
            scaling_config: inner(it.scaling_config),
            instance_types: it.instance_types.unwrap_or_default(),
            subnets: it.subnets.unwrap_or_default(),
            node_role: it.node_role,
            labels: pairs(it.labels),
            taints: every(it.taints),
            disk_size: size(it.disk_size),
            update_config: inner(it.update_config),
            launch_template: it.launch_template.map(|it| LaunchTemplate {
                id: it.id,
                name: it.name,
                version: it.version,
            }),
            resources: inner(it.resources),
            health: Health { issues: every(it.health.and_then(|it| it.issues)) },
            tags: pairs(it.tags),
        }
    }
}

impl From<sdk::NodegroupScalingConfig> for Scaling {
    fn from(it: sdk::NodegroupScalingConfig) -> Self {
        Self { min: size(it.min_size), max: size(it.max_size), desired: size(it.desired_size) }
    }
}

impl From<sdk::Taint> for Taint {
    fn from(it: sdk::Taint) -> Self {
        Self {
            key: it.key.unwrap_or_default(),
            value: it.value.unwrap_or_default(),
            effect: word(it.effect).unwrap_or_default(),
        }
    }
}

impl From<sdk::NodegroupUpdateConfig> for UpdateConfig {
    fn from(it: sdk::NodegroupUpdateConfig) -> Self {
        Self {
            max_unavailable: size(it.max_unavailable),
            max_unavailable_percentage: size(it.max_unavailable_percentage),
            update_strategy: word(it.update_strategy),
        }
    }
}

impl From<sdk::NodegroupResources> for Resources {
    fn from(it: sdk::NodegroupResources) -> Self {
        let groups = it.auto_scaling_groups.unwrap_or_default();
        Self {
            auto_scaling_groups: groups.into_iter().filter_map(|it| Some(Named { name: it.name? })).collect(),
            remote_access_security_group: it.remote_access_security_group,
        }
    }
}

impl From<sdk::FargateProfile> for FargateProfile {
    fn from(it: sdk::FargateProfile) -> Self {
        Self {
            fargate_profile_name: it.fargate_profile_name.unwrap_or_default(),
            fargate_profile_arn: it.fargate_profile_arn.unwrap_or_default(),
            cluster_name: it.cluster_name.unwrap_or_default(),
            status: word(it.status).unwrap_or_default(),
            created_at: instant(it.created_at),
            pod_execution_role_arn: it.pod_execution_role_arn,
            subnets: it.subnets.unwrap_or_default(),
            selectors: every(it.selectors),
            health: Health { issues: every(it.health.and_then(|it| it.issues)) },
            tags: pairs(it.tags),
        }
    }
}

impl From<sdk::FargateProfileSelector> for Selector {
    fn from(it: sdk::FargateProfileSelector) -> Self {
        Self { namespace: it.namespace.unwrap_or_default(), labels: pairs(it.labels) }
    }
}

impl From<sdk::Update> for Update {
    fn from(it: sdk::Update) -> Self {
        Self {
            id: it.id.unwrap_or_default(),
            status: word(it.status).unwrap_or_default(),
            kind: word(it.r#type).unwrap_or_default(),
            params: every(it.params),
            created_at: instant(it.created_at),
            errors: every(it.errors),
        }
    }
}

impl From<sdk::UpdateParam> for UpdateParam {
    fn from(it: sdk::UpdateParam) -> Self {
        Self { kind: word(it.r#type).unwrap_or_default(), value: it.value.unwrap_or_default() }
    }
}

/// What is wrong has four types in the SDK, all of one shape.
macro_rules! issues {
    ($($from:ty: $code:ident $message:ident),*) => {$(
        impl From<$from> for Issue {
            fn from(it: $from) -> Self {
                Self {
                    code: word(it.$code).unwrap_or_default(),
                    message: it.$message.unwrap_or_default(),
                    resource_ids: it.resource_ids.unwrap_or_default(),
                }
            }
        }
    )*};
}
issues!(
    sdk::ClusterIssue: code message,
    sdk::Issue: code message,
    sdk::FargateProfileIssue: code message,
    sdk::ErrorDetail: error_code error_message
);

/// The word that EKS uses, known to the SDK or not.
fn word(it: Option<impl AsRef<str>>) -> Option<String> {
    it.map(|it| it.as_ref().to_owned())
}

/// EKS has milliseconds, the SDK reads them by way of a floating number.
fn instant(it: Option<DateTime>) -> Option<Timestamp> {
    let it = it?;
    let milliseconds = (i64::from(it.subsec_nanos()) + 500_000) / 1_000_000;
    Timestamp::from_millisecond(it.secs().checked_mul(1_000)?.checked_add(milliseconds)?).ok()
}

fn size(it: Option<i32>) -> Option<u32> {
    it.and_then(|it| u32::try_from(it).ok())
}

fn pairs(it: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    it.into_iter().flatten().collect()
}

fn inner<T: Into<U>, U: Default>(it: Option<T>) -> U {
    it.map(Into::into).unwrap_or_default()
}

fn every<T: Into<U>, U>(it: Option<Vec<T>>) -> Vec<U> {
    it.into_iter().flatten().map(Into::into).collect()
}
