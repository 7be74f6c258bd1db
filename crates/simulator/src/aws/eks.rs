//! EKS: clusters, node groups, updates. Lists give names only; each then needs a describe (EKS API Reference).

use serde_json::{Map, Value, json};

use super::answer::Failure;
use super::cloud::{self, Cluster, LAUNCH_TEMPLATE, VPC};
use super::group::Group;
use super::input::{number, page, text};
use super::scaling::{self, Sizes};
use super::{Call, Service};
use crate::cluster::node::{ACCOUNT, ZONES};
use crate::encoding::template::{Short, rfc3339};
use crate::world::World;

const DAY: i64 = 86_400;

/// Paths and the operations behind them; what stands in braces is a parameter.
#[rustfmt::skip]
const ROUTES: [(&str, &str, &str); 17] = [
    ("GET", "/clusters", "ListClusters"),
    ("GET", "/clusters/{name}", "DescribeCluster"),
    ("GET", "/cluster-versions", "DescribeClusterVersions"),
    ("GET", "/clusters/{clusterName}/node-groups", "ListNodegroups"),
    ("GET", "/clusters/{clusterName}/node-groups/{nodegroupName}", "DescribeNodegroup"),
    ("POST", "/clusters/{clusterName}/node-groups/{nodegroupName}/update-config", "UpdateNodegroupConfig"),
    ("GET", "/clusters/{name}/updates", "ListUpdates"),
    ("GET", "/clusters/{name}/updates/{updateId}", "DescribeUpdate"),
    ("GET", "/clusters/{clusterName}/fargate-profiles", "ListFargateProfiles"),
    ("GET", "/clusters/{clusterName}/fargate-profiles/{fargateProfileName}", "DescribeFargateProfile"),
    ("GET", "/clusters/{clusterName}/addons", "ListAddons"),
    ("GET", "/clusters/{clusterName}/addons/{addonName}", "DescribeAddon"),
    ("POST", "/clusters/{clusterName}/insights", "ListInsights"),
    ("GET", "/clusters/{clusterName}/access-entries", "ListAccessEntries"),
    ("GET", "/clusters/{clusterName}/pod-identity-associations", "ListPodIdentityAssociations"),
    ("GET", "/clusters/{clusterName}/identity-provider-configs", "ListIdentityProviderConfigs"),
    ("GET", "/tags/{resourceArn}", "ListTagsForResource"),
];

/// The operation at a path, and the parameters in it.
pub fn route(method: &str, path: &str) -> Option<(&'static str, Map<String, Value>)> {
    let mut routes = ROUTES.iter().filter(|(verb, ..)| *verb == method);
    routes.find_map(|(_, pattern, operation)| Some((*operation, parameters(pattern, path)?)))
}

fn parameters(pattern: &str, path: &str) -> Option<Map<String, Value>> {
    let (mut given, mut found) = (path.trim_end_matches('/').split('/'), Map::new());
    for part in pattern.split('/') {
        let part_given = given.next()?;
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !part_given.is_empty() => {
                found.insert(name.to_owned(), crate::http::query::decode(part_given).into());
            }
            None if part == part_given => {}
            _ => return None,
        }
    }
    given.next().is_none().then_some(found)
}

pub fn perform(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let input = &call.input;
    match call.operation.as_str() {
        "ListClusters" => {
            let clusters = world.cloud.clusters.iter().filter(|cluster| cluster.region == call.region);
            names(input, "clusters", clusters.map(|cluster| cluster.name.clone()).collect())
        }
        "DescribeCluster" => Ok(json!({ "cluster": cluster(find_cluster(world, call, "name")?) })),
        "DescribeClusterVersions" => Ok(json!({ "clusterVersions": versions(world.now()) })),
        "ListNodegroups" => {
            let cluster = find_cluster(world, call, "clusterName")?;
            let of = |group: &&Group| group.region == call.region && group.cluster == cluster.name;
            let groups = world.cloud.groups.iter().filter(of).filter_map(|group| group.managed.as_ref());
            names(input, "nodegroups", groups.map(|managed| managed.name.clone()).collect())
        }
        "DescribeNodegroup" => {
            let at = find_group(world, call, "clusterName")?;
            Ok(json!({ "nodegroup": nodegroup(&world.cloud.groups[at]) }))
        }
        "UpdateNodegroupConfig" => update_config(world, call),
        "ListUpdates" => {
            find_cluster(world, call, "name")?;
            let ids = if text(input, "nodegroupName").is_empty() {
                Vec::new()
            } else {
                let at = find_group(world, call, "name")?;
                let managed = world.cloud.groups[at].managed.iter();
                managed.flat_map(|managed| &managed.updates).map(|update| update.id.clone()).collect()
            };
            names(input, "updateIds", ids)
        }
        "DescribeUpdate" => {
            let (id, cluster) = (text(input, "updateId"), find_cluster(world, call, "name")?);
            let groups = world.cloud.groups.iter().filter(|group| group.cluster == cluster.name);
            let mut updates = groups.filter_map(|group| group.managed.as_ref()).flat_map(|managed| &managed.updates);
            let update = updates.find(|update| update.id == id);
            let missing = || not_found(format!("No update found for ID: {id}"), json!({}));
            Ok(json!({ "update": update.ok_or_else(missing)?.value() }))
        }
        "ListFargateProfiles" => {
            let profiles = &find_cluster(world, call, "clusterName")?.fargate;
            names(input, "fargateProfileNames", profiles.iter().map(|profile| profile.name.clone()).collect())
        }
        "DescribeFargateProfile" => fargate_profile(world, call),
        "ListAddons" => {
            find_cluster(world, call, "clusterName")?;
            names(input, "addons", ADDONS.iter().map(|(name, _)| (*name).to_owned()).collect())
        }
        "DescribeAddon" => addon(world, call),
        "ListInsights" => empty(world, call, "insights"),
        "ListAccessEntries" => {
            find_cluster(world, call, "clusterName")?;
            names(input, "accessEntries", vec![format!("arn:aws:iam::{ACCOUNT}:role/{}", cloud::ROLE)])
        }
        "ListPodIdentityAssociations" => empty(world, call, "associations"),
        "ListIdentityProviderConfigs" => empty(world, call, "identityProviderConfigs"),
        "ListTagsForResource" => {
            let arn = text(input, "resourceArn");
            let cluster = world.cloud.clusters.iter().find(|cluster| cluster.arn() == arn);
            let missing = || not_found(format!("No resource found for ARN: {arn}"), json!({}));
            Ok(json!({ "tags": cluster.ok_or_else(missing)?.tags }))
        }
        _ => Err(Failure::unknown_operation(call)),
    }
}

fn not_found(message: String, more: Value) -> Failure {
    Failure::new(404, "ResourceNotFoundException", message).about(more)
}

fn empty(world: &World, call: &Call, field: &str) -> Result<Value, Failure> {
    find_cluster(world, call, "clusterName").map(|_| json!({ field: [] }))
}

/// A page of names.
fn names(input: &Value, field: &str, all: Vec<String>) -> Result<Value, Failure> {
    let size = match number(input, "maxResults") {
        None if input["maxResults"].is_null() => 100,
        Some(size @ 1..=100) => size as usize,
        _ => return Err(Failure::invalid(Service::Eks, "maxResults needs to be between 1 and 100.")),
    };
    let (names, next) = page(all, size, text(input, "nextToken"))
        .map_err(|_| Failure::invalid(Service::Eks, "Invalid value for nextToken"))?;
    let mut answer = json!({ field: names });
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    Ok(answer)
}

fn find_cluster<'a>(world: &'a World, call: &Call, parameter: &str) -> Result<&'a Cluster, Failure> {
    let name = text(&call.input, parameter);
    let missing = || not_found(format!("No cluster found for name: {name}."), json!({ "clusterName": name }));
    world.cloud.cluster(&call.region, name).ok_or_else(missing)
}

fn find_group(world: &World, call: &Call, parameter: &str) -> Result<usize, Failure> {
    let (cluster, name) = (find_cluster(world, call, parameter)?, text(&call.input, "nodegroupName"));
    let missing = || {
        let about = json!({ "clusterName": cluster.name, "nodegroupName": name });
        not_found(format!("No node group found for name: {name}."), about)
    };
    world.cloud.managed(&call.region, &cluster.name, name).ok_or_else(missing)
}

/// The cluster as DescribeCluster tells it.
fn cluster(cluster: &Cluster) -> Value {
    let issuer = format!("https://oidc.eks.{}.amazonaws.com/id/D3M0D3M0D3M0D3M0D3M0D3M0D3M0D3M0", cluster.region);
    json!({
        "name": cluster.name, "arn": cluster.arn(), "status": "ACTIVE", "version": cluster.version,
        "platformVersion": cluster.platform, "createdAt": cluster.created, "endpoint": cluster.endpoint,
        "certificateAuthority": { "data": cluster.authority },
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-cluster", cluster.name),
        "resourcesVpcConfig": {
            "subnetIds": (0..ZONES.len()).map(cloud::subnet).collect::<Vec<_>>(), "securityGroupIds": [],
            "clusterSecurityGroupId": "sg-0d3e0c1b2a3f4e5d6", "vpcId": VPC, "endpointPublicAccess": true,
            "endpointPrivateAccess": true, "publicAccessCidrs": ["0.0.0.0/0"],
        },
        "kubernetesNetworkConfig": { "serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4",
            "elasticLoadBalancing": { "enabled": false } },
        "logging": { "clusterLogging": [
            { "types": ["api", "audit", "authenticator"], "enabled": true },
            { "types": ["controllerManager", "scheduler"], "enabled": false },
        ] },
        "identity": { "oidc": { "issuer": issuer } },
        "accessConfig": { "authenticationMode": "API_AND_CONFIG_MAP" },
        "upgradePolicy": { "supportType": cluster.support }, "deletionProtection": false,
        "health": { "issues": [] }, "tags": cluster.tags,
    })
}

/// The node group as DescribeNodegroup tells it; of groups without one, null.
fn nodegroup(group: &Group) -> Value {
    let Some(managed) = &group.managed else { return Value::Null };
    let issues: Vec<_> = managed.degraded.iter().collect();
    let (cluster, name) = (&group.cluster, &managed.name);
    let uid = Short::uuid(group.uid);
    json!({
        "nodegroupName": name, "clusterName": cluster,
        "nodegroupArn": format!("arn:aws:eks:{}:{ACCOUNT}:nodegroup/{cluster}/{name}/{}", group.region, uid.as_str()),
        "version": managed.version, "releaseVersion": managed.release, "createdAt": group.created,
        "modifiedAt": managed.modified, "status": managed.status(),
        "capacityType": if group.spot { "SPOT" } else { "ON_DEMAND" },
        "scalingConfig": { "minSize": managed.min, "maxSize": managed.max, "desiredSize": managed.desired },
        "instanceTypes": group.types, "subnets": (0..ZONES.len()).map(cloud::subnet).collect::<Vec<_>>(),
        "amiType": managed.ami_type, "nodeRole": format!("arn:aws:iam::{ACCOUNT}:role/{cluster}-node"),
        "labels": managed.labels, "taints": managed.taints, "diskSize": 80,
        "resources": { "autoScalingGroups": [{ "name": group.asg }] }, "health": { "issues": issues },
        "updateConfig": { "maxUnavailable": 1 },
        "launchTemplate": { "id": LAUNCH_TEMPLATE, "name": format!("{cluster}-nodes"),
            "version": managed.template_version.to_string() },
        "tags": { "team": "platform" },
    })
}

/// The versions that EKS offers (EKS User Guide, "Kubernetes release calendar").
fn versions(now: i64) -> Vec<Value> {
    // Days from 2020-01-01 to the release on EKS, and to the ends of support.
    const RELEASES: [(&str, i64, i64, i64); 6] = [
        ("1.35", 2218, 2644, 3009),
        ("1.34", 2101, 2527, 2892),
        ("1.33", 1975, 2400, 2765),
        ("1.32", 1849, 2273, 2638),
        ("1.31", 1730, 2156, 2521),
        ("1.30", 1604, 2030, 2395),
    ];
    const EPOCH: i64 = 1_577_836_800;
    let version = |(version, release, standard, extended): &(&str, i64, i64, i64)| {
        let [release, standard, extended] = [release, standard, extended].map(|days| EPOCH + days * DAY);
        let status = match now {
            now if now < standard => "STANDARD_SUPPORT",
            now if now < extended => "EXTENDED_SUPPORT",
            _ => "UNSUPPORTED",
        };
        json!({ "clusterVersion": version, "clusterType": "eks", "defaultPlatformVersion": "eks.12",
            "defaultVersion": *version == "1.34", "releaseDate": release, "endOfStandardSupportDate": standard,
            "endOfExtendedSupportDate": extended, "status": status.to_lowercase().replace('_', "-"),
            "versionStatus": status, "kubernetesPatchVersion": format!("{version}.2") })
    };
    RELEASES.iter().map(version).collect()
}

/// Changes sizes of a group. The same token with the same wish is the same update.
fn update_config(world: &mut World, call: &Call) -> Result<Value, Failure> {
    let at = find_group(world, call, "clusterName")?;
    let (input, wish) = (&call.input, &call.input["scalingConfig"]);
    let token = text(input, "clientRequestToken");
    let group = &world.cloud.groups[at];
    let (Some(managed), cluster) = (&group.managed, group.cluster.clone()) else {
        return Err(Failure::internal(Service::Eks));
    };
    let about = json!({ "clusterName": cluster, "nodegroupName": managed.name });
    let same = |input: &Value| {
        ["scalingConfig", "labels", "taints", "updateConfig"].map(|name| input[name].clone()).to_vec().into()
    };
    if let Some((asked, id)) = managed.tokens.get(token).filter(|_| !token.is_empty()) {
        let asked_the_same = *asked == same(input);
        let update = managed.updates.iter().find(|update| update.id == *id);
        return match update {
            Some(update) if asked_the_same => Ok(json!({ "update": update.value() })),
            _ => Err(Failure::new(
                400,
                "InvalidRequestException",
                "The client request token was used before with other parameters.",
            )
            .about(about)),
        };
    }
    if managed.running().is_some() {
        let message = "Nodegroup cannot be updated as it is currently not in Active State";
        return Err(Failure::new(409, "ResourceInUseException", message).about(about));
    }
    let sizes = wished(wish, Sizes { min: managed.min, max: managed.max, desired: managed.desired })
        .map_err(|message| Failure::invalid(Service::Eks, message).about(about))?;
    let mut params = Vec::new();
    for (kind, name) in [("MinSize", "minSize"), ("MaxSize", "maxSize"), ("DesiredSize", "desiredSize")] {
        params.extend(number(wish, name).map(|size| (kind, size.to_string())));
    }
    let update = scaling::update(world, at, sizes, params);
    if let Some(managed) = world.cloud.groups[at].managed.as_mut().filter(|_| !token.is_empty()) {
        managed.tokens.insert(token.to_owned(), (same(input), update.id.clone()));
    }
    Ok(json!({ "update": update.value() }))
}

/// The sizes that a wish comes down to, or why EKS refuses it.
fn wished(wish: &Value, now: Sizes) -> Result<Sizes, String> {
    let size = |name: &str| match &wish[name] {
        Value::Null => Ok(None),
        _ => number(wish, name).map(Some).ok_or_else(|| format!("Invalid value for {name}")),
    };
    let (min, max, desired) = (size("minSize")?, size("maxSize")?, size("desiredSize")?);
    let (min, max) = (min.unwrap_or(now.min), max.unwrap_or(now.max));
    // Who says nothing of what is wanted has it follow the bounds.
    let desired = desired.unwrap_or_else(|| now.desired.max(min).min(max.max(min)));
    if max < 1 {
        return Err("Maximum size must be at least 1".to_owned());
    }
    if min > max {
        return Err(format!("Minimum capacity {min} can't be greater than maximum size {max}"));
    }
    if min > desired {
        return Err(format!("Minimum capacity {min} can't be greater than desired size {desired}"));
    }
    if desired > max {
        return Err(format!("desired capacity {desired} can't be greater than max size {max}"));
    }
    Ok(Sizes { min, max, desired })
}

fn fargate_profile(world: &World, call: &Call) -> Result<Value, Failure> {
    let (cluster, name) = (find_cluster(world, call, "clusterName")?, text(&call.input, "fargateProfileName"));
    let profile = cluster.fargate.iter().find(|profile| profile.name == name).ok_or_else(|| {
        let about = json!({ "clusterName": cluster.name, "fargateProfileName": name });
        not_found(format!("No Fargate Profile found with name: {name}."), about)
    })?;
    let arn = format!(
        "arn:aws:eks:{}:{ACCOUNT}:fargateprofile/{}/{name}/{:08x}",
        cluster.region, cluster.name, profile.created
    );
    Ok(json!({ "fargateProfile": {
        "fargateProfileName": name, "fargateProfileArn": arn, "clusterName": cluster.name, "status": "ACTIVE",
        "createdAt": profile.created, "podExecutionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-fargate", cluster.name),
        "subnets": (0..ZONES.len()).map(cloud::subnet).collect::<Vec<_>>(), "selectors": profile.selectors,
        "health": { "issues": [] }, "tags": {},
    } }))
}

const ADDONS: [(&str, &str); 5] = [
    ("aws-ebs-csi-driver", "v1.53.0-eksbuild.1"),
    ("coredns", "v1.12.4-eksbuild.1"),
    ("eks-pod-identity-agent", "v1.3.10-eksbuild.1"),
    ("kube-proxy", "v1.34.1-eksbuild.2"),
    ("vpc-cni", "v1.20.4-eksbuild.2"),
];

fn addon(world: &World, call: &Call) -> Result<Value, Failure> {
    let (cluster, wanted) = (find_cluster(world, call, "clusterName")?, text(&call.input, "addonName"));
    let (name, version) = ADDONS.iter().find(|(name, _)| *name == wanted).ok_or_else(|| {
        let about = json!({ "clusterName": cluster.name, "addonName": wanted });
        not_found(format!("No addon: {wanted} found in cluster: {}", cluster.name), about)
    })?;
    let created = cluster.created + DAY;
    Ok(json!({ "addon": {
        "addonName": name, "clusterName": cluster.name, "status": "ACTIVE", "addonVersion": version,
        "health": { "issues": [] }, "createdAt": created, "modifiedAt": created, "tags": {},
        "addonArn": format!("arn:aws:eks:{}:{ACCOUNT}:addon/{}/{name}/{}", cluster.region, cluster.name, rfc3339(created)),
    } }))
}
