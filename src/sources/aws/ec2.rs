//! EC2 as plain data: instances, their types, subnets, spot prices, launch templates, regions. Shapes are those of the
//! EC2 API Reference (EC2's query protocol, XML).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::client::{Call, Parameters};
use super::endpoint::EC2;
use super::error::AwsError;
use super::session::AwsSession;
use super::xml::Node;

/// Types that one call takes at most.
const TYPES_PER_CALL: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub instance_type: String,
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    pub spot: bool,
    pub zone: String,
    pub subnet: Option<String>,
    pub private_dns: Option<String>,
    pub private_ip: Option<String>,
    pub public_ip: Option<String>,
    pub image: Option<String>,
    pub launched: Option<Timestamp>,
    /// Who runs it for us: EKS Auto Mode, say. Then EC2 refuses to end it.
    pub operator: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// What a type offers; `None` where an endpoint leaves it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceType {
    pub name: String,
    pub vcpus: Option<u32>,
    pub memory_mib: Option<u64>,
    pub architectures: Vec<String>,
    pub network_interfaces: Option<u32>,
    pub ipv4_per_interface: Option<u32>,
    pub gpus: u32,
    pub current_generation: bool,
}

impl InstanceType {
    /// Pods that fit by addresses, without prefix delegation (amazon-vpc-cni-k8s, `eni-max-pods.txt`).
    pub fn max_pods(&self) -> Option<u32> {
        Some(self.network_interfaces? * self.ipv4_per_interface?.checked_sub(1)? + 2)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub vpc: Option<String>,
    pub cidr: Option<String>,
    /// Addresses that are free.
    pub available: Option<u32>,
    pub tags: BTreeMap<String, String>,
}

/// A price of a spot instance in a zone, in dollars an hour as AWS writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpotPrice {
    pub instance_type: String,
    pub zone: String,
    pub dollars_per_hour: Option<f64>,
    /// Since when it holds.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateVersion {
    pub id: String,
    pub name: String,
    pub number: Option<u64>,
    pub is_default: bool,
    pub created: Option<Timestamp>,
    pub image: Option<String>,
    pub instance_type: Option<String>,
}

/// Which instances: by id, or by a tag with one of these values.
#[derive(Debug, Clone, Copy)]
pub enum Select<'a> {
    Ids(&'a [String]),
    Tag(&'a str, &'a [&'a str]),
}

/// All instances of a choice, those that AWS runs for us too. No id is no instance. Needs `ec2:DescribeInstances`.
pub async fn describe_instances(session: &AwsSession, select: Select<'_>) -> Result<Vec<Instance>, AwsError> {
    let mut all = Vec::new();
    match select {
        Select::Ids(ids) => {
            for ids in ids.chunks(500) {
                // A filter passes over ids that are gone; naming them outright would fail the whole call.
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let parameters = Parameters::default().filter("Filter.1", "Value", "instance-id", &ids);
                all.extend(
                    session.xml_pages(EC2, "DescribeInstances", parameters, "reservationSet", reservation).await?,
                );
            }
        }
        Select::Tag(key, values) => {
            let parameters = tagged(key, values);
            all = session.xml_pages(EC2, "DescribeInstances", parameters, "reservationSet", reservation).await?;
        }
    }
    Ok(all.into_iter().flatten().collect())
}

/// The types of the instances with this tag that run or are about to, each once, and whether they are spot. Needs
/// `ec2:DescribeInstances`.
pub async fn running_types(session: &AwsSession, key: &str, values: &[&str]) -> Result<Vec<(String, bool)>, AwsError> {
    let read = |reservation: &Node| -> Vec<(String, bool)> {
        let instances = reservation.list("instancesSet").map(instance);
        let running = instances.filter(|it| it.state == "running" || it.state == "pending");
        running.map(|it| (it.instance_type, it.spot)).collect()
    };
    let all = session.xml_pages(EC2, "DescribeInstances", tagged(key, values), "reservationSet", read).await?;
    let mut types: Vec<(String, bool)> = all.into_iter().flatten().collect();
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

/// In pages, for a cluster may have thousands.
fn tagged(key: &str, values: &[&str]) -> Parameters {
    Parameters::default().filter("Filter.1", "Value", &format!("tag:{key}"), values).set("MaxResults", "1000")
}

/// Needs `ec2:DescribeInstanceTypes`.
pub async fn describe_instance_types(session: &AwsSession, names: &[String]) -> Result<Vec<InstanceType>, AwsError> {
    let mut all = Vec::new();
    for names in names.chunks(TYPES_PER_CALL) {
        let parameters = Parameters::default().list("InstanceType", names);
        all.extend(
            session.xml_pages(EC2, "DescribeInstanceTypes", parameters, "instanceTypeSet", instance_type).await?,
        );
    }
    Ok(all)
}

/// Needs `ec2:DescribeSubnets`.
pub async fn describe_subnets(session: &AwsSession, ids: &[String]) -> Result<Vec<Subnet>, AwsError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let parameters = Parameters::default().list("SubnetId", ids);
    session.xml_pages(EC2, "DescribeSubnets", parameters, "subnetSet", subnet).await
}

/// The price now of each type in each zone, for Linux. Needs `ec2:DescribeSpotPriceHistory`.
pub async fn describe_spot_price_history(
    session: &AwsSession,
    types: &[String],
    now: Timestamp,
) -> Result<Vec<SpotPrice>, AwsError> {
    if types.is_empty() {
        return Ok(Vec::new());
    }
    let from = (now - SignedDuration::from_mins(1)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let products = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];
    let parameters =
        Parameters::default().list("InstanceType", types).list("ProductDescription", &products).set("StartTime", &from);
    let mut prices =
        session.xml_pages(EC2, "DescribeSpotPriceHistory", parameters, "spotPriceHistorySet", spot_price).await?;
    // The newest of each type and zone; older ones come along when the price changed within the minute.
    prices.sort_by(|a, b| (&a.instance_type, &a.zone, b.since).cmp(&(&b.instance_type, &b.zone, a.since)));
    prices.dedup_by(|later, first| later.instance_type == first.instance_type && later.zone == first.zone);
    Ok(prices)
}

/// Versions of one template by number, `$Latest` or `$Default`. Needs `ec2:DescribeLaunchTemplateVersions`.
pub async fn describe_launch_template_versions(
    session: &AwsSession,
    template: &str,
    versions: &[&str],
) -> Result<Vec<TemplateVersion>, AwsError> {
    let parameters = Parameters::default().set("LaunchTemplateId", template).list("LaunchTemplateVersion", versions);
    let list = "launchTemplateVersionSet";
    session.xml_pages(EC2, "DescribeLaunchTemplateVersions", parameters, list, template_version).await
}

/// Names of the regions that the account has switched on. Needs `ec2:DescribeRegions`.
pub async fn describe_regions(session: &AwsSession) -> Result<Vec<String>, AwsError> {
    let result = session.xml(Call::query(EC2, "DescribeRegions", &Parameters::default())).await?;
    Ok(result.list("regionInfo").map(|region| region.string("regionName")).collect())
}

fn text(node: &Node, name: &str) -> Option<String> {
    node.text(name).map(str::to_owned)
}

fn tags(node: &Node) -> BTreeMap<String, String> {
    node.list("tagSet").map(|tag| (tag.string("key"), tag.string("value"))).collect()
}

fn reservation(node: &Node) -> Vec<Instance> {
    node.list("instancesSet").map(instance).collect()
}

fn instance(node: &Node) -> Instance {
    let operator = node.find("operator").filter(|it| it.text("managed") == Some("true"));
    Instance {
        id: node.string("instanceId"),
        instance_type: node.string("instanceType"),
        state: node.find("instanceState").map(|state| state.string("name")).unwrap_or_default(),
        spot: node.text("instanceLifecycle") == Some("spot"),
        zone: node.find("placement").map(|place| place.string("availabilityZone")).unwrap_or_default(),
        subnet: text(node, "subnetId"),
        private_dns: text(node, "privateDnsName"),
        private_ip: text(node, "privateIpAddress"),
        public_ip: text(node, "ipAddress"),
        image: text(node, "imageId"),
        launched: node.parsed("launchTime"),
        operator: operator.map(|it| it.text("principal").unwrap_or("AWS").to_owned()),
        tags: tags(node),
    }
}

fn instance_type(node: &Node) -> InstanceType {
    let network = node.find("networkInfo");
    let gpus = node.find("gpuInfo").into_iter().flat_map(|info| info.list("gpus"));
    let architectures = node.find("processorInfo").into_iter().flat_map(|info| info.list("supportedArchitectures"));
    InstanceType {
        name: node.string("instanceType"),
        vcpus: node.find("vCpuInfo").and_then(|info| info.parsed("defaultVCpus")),
        memory_mib: node.find("memoryInfo").and_then(|info| info.parsed("sizeInMiB")),
        architectures: architectures.map(|it| it.text.trim().to_owned()).collect(),
        network_interfaces: network.and_then(|it| it.parsed("maximumNetworkInterfaces")),
        ipv4_per_interface: network.and_then(|it| it.parsed("ipv4AddressesPerInterface")),
        gpus: gpus.filter_map(|gpu| gpu.parsed::<u32>("count")).sum(),
        current_generation: node.text("currentGeneration") == Some("true"),
    }
}

fn subnet(node: &Node) -> Subnet {
    Subnet {
        id: node.string("subnetId"),
        zone: node.string("availabilityZone"),
        vpc: text(node, "vpcId"),
        cidr: text(node, "cidrBlock"),
        available: node.parsed("availableIpAddressCount"),
        tags: tags(node),
    }
}

fn spot_price(node: &Node) -> SpotPrice {
    SpotPrice {
        instance_type: node.string("instanceType"),
        zone: node.string("availabilityZone"),
        dollars_per_hour: node.parsed("spotPrice").filter(|price: &f64| price.is_finite()),
        since: node.parsed("timestamp"),
    }
}

fn template_version(node: &Node) -> TemplateVersion {
    let data = node.find("launchTemplateData");
    TemplateVersion {
        id: node.string("launchTemplateId"),
        name: node.string("launchTemplateName"),
        number: node.parsed("versionNumber"),
        is_default: node.text("defaultVersion") == Some("true"),
        created: node.parsed("createTime"),
        image: data.and_then(|data| text(data, "imageId")),
        instance_type: data.and_then(|data| text(data, "instanceType")),
    }
}
