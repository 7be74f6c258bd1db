//! EC2: instances, subnets, types, spot prices, launch templates, regions (EC2 API Reference).

use serde_json::{Value, json};

use super::answer::Failure;
use super::cloud::{self, Cloud, Instance, LAUNCH_TEMPLATE, VPC};
use super::input::{filters, number, page, text, texts};
use super::shop::{OFFERS, Offer};
use super::{Call, Service};
use crate::cluster::node::{ACCOUNT, CLUSTER, ZONES};
use crate::encoding::template::{Short, rfc3339};
use crate::world::World;

/// Regions that the account has switched on.
pub const REGIONS: [&str; 8] = [
    "ap-northeast-1",
    "ap-southeast-2",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
];

type Filters<'a> = Vec<(&'a str, Vec<&'a str>)>;

pub fn perform(world: &World, call: &Call) -> Result<Value, Failure> {
    let (cloud, now) = (&world.cloud, world.now());
    match call.operation.as_str() {
        "DescribeInstances" => instances(cloud, call),
        "DescribeSubnets" => subnets(cloud, call),
        "DescribeInstanceTypes" => types(call),
        "DescribeSpotPriceHistory" => spot_prices(call, now),
        "DescribeLaunchTemplateVersions" => template_versions(call, now),
        "DescribeRegions" => {
            let region = |name: &&str| {
                json!({ "regionName": name, "regionEndpoint": format!("ec2.{name}.amazonaws.com"),
                    "optInStatus": "opt-in-not-required" })
            };
            Ok(json!({ "regionInfo": REGIONS.iter().map(region).collect::<Vec<_>>() }))
        }
        "DescribeAvailabilityZones" => {
            let zone = |zone: usize| {
                json!({ "zoneName": cloud::zone(&call.region, zone), "zoneState": "available",
                    "regionName": call.region, "zoneType": "availability-zone", "optInStatus": "opt-in-not-required" })
            };
            Ok(json!({ "availabilityZoneInfo": (0..ZONES.len()).map(zone).collect::<Vec<_>>() }))
        }
        _ => Err(Failure::unknown_operation(call)),
    }
}

/// A page of EC2: five hundred or a thousand where nobody says.
fn paged(call: &Call, field: &str, all: Vec<Value>) -> Result<Value, Failure> {
    let size = number(&call.input, "MaxResults").unwrap_or(1000).clamp(5, 1000) as usize;
    let (page, next) = page(all, size, text(&call.input, "NextToken"))?;
    Ok(json!({ field: page, "nextToken": next }))
}

fn tag_set(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// Whether a value meets a filter, which may hold `*`.
fn meets(values: &[&str], value: &str) -> bool {
    values.iter().any(|wanted| match wanted.split_once('*') {
        Some((start, end)) => value.starts_with(start) && value.ends_with(end),
        None => *wanted == value,
    })
}

/// Whether tags meet a filter that is about tags; none for other filters.
fn tagged(tags: &[(String, String)], name: &str, values: &[&str]) -> Option<bool> {
    match name {
        "tag-key" => Some(tags.iter().any(|(key, _)| meets(values, key))),
        name => {
            let wanted = name.strip_prefix("tag:")?;
            Some(tags.iter().any(|(key, value)| key == wanted && meets(values, value)))
        }
    }
}

fn unknown_filter(name: &str) -> Failure {
    Failure::invalid(Service::Ec2, format!("The filter '{name}' is invalid"))
}

fn tags(cloud: &Cloud, instance: &Instance) -> Vec<(String, String)> {
    let mut tags = match (instance.group, &instance.claimed) {
        (Some(group), _) => {
            let group = &cloud.groups[group];
            let mut tags = group.tags();
            tags.push(("aws:autoscaling:groupName".to_owned(), group.asg.clone()));
            tags
        }
        (None, Some(claimed)) => vec![
            (format!("kubernetes.io/cluster/{}", instance.cluster), "owned".to_owned()),
            ("karpenter.sh/nodepool".to_owned(), claimed.pool.clone()),
            ("karpenter.sh/nodeclaim".to_owned(), claimed.claim.name.to_string()),
            ("karpenter.k8s.aws/ec2nodeclass".to_owned(), claimed.class.clone()),
            ("eks:eks-cluster-name".to_owned(), instance.cluster.clone()),
        ],
        (None, None) => Vec::new(),
    };
    tags.push(("aws:eks:cluster-name".to_owned(), instance.cluster.clone()));
    tags.push(("Name".to_owned(), format!("{}-node", instance.cluster)));
    tags
}

fn has(cloud: &Cloud, instance: &Instance, filters: &Filters<'_>) -> Result<bool, Failure> {
    let tags = tags(cloud, instance);
    for (name, values) in filters {
        let met = match *name {
            "instance-id" => meets(values, &instance.id()),
            "instance-state-name" => meets(values, instance.state),
            "instance-type" => meets(values, instance.kind),
            "instance-lifecycle" => instance.spot && meets(values, "spot"),
            "availability-zone" => meets(values, &cloud::zone(&instance.region, instance.zone)),
            "vpc-id" => meets(values, VPC),
            "private-dns-name" => meets(values, instance.node.as_deref().unwrap_or_default()),
            name => tagged(&tags, name, values).ok_or_else(|| unknown_filter(name))?,
        };
        if !met {
            return Ok(false);
        }
    }
    Ok(true)
}

fn instances(cloud: &Cloud, call: &Call) -> Result<Value, Failure> {
    let (ids, filters) = (texts(&call.input, "InstanceId"), filters(&call.input));
    let mut found = Vec::new();
    for id in &ids {
        let number = cloud::instance_number(id);
        let known = number.and_then(|number| cloud.instances.get(&number)).filter(|it| it.region == call.region);
        if known.is_none() {
            let message = format!("The instance ID '{id}' does not exist");
            return Err(Failure::new(400, "InvalidInstanceID.NotFound", message));
        }
    }
    for instance in cloud.instances.values().filter(|instance| instance.region == call.region) {
        if (ids.is_empty() || ids.contains(&instance.id().as_str())) && has(cloud, instance, &filters)? {
            found.push(reservation(cloud, instance));
        }
    }
    paged(call, "reservationSet", found)
}

fn reservation(cloud: &Cloud, instance: &Instance) -> Value {
    let code = match instance.state {
        "pending" => 0,
        "running" => 16,
        "shutting-down" => 32,
        _ => 48,
    };
    let ended = code == 48;
    let address = std::net::Ipv4Addr::from(instance.ip).to_string();
    let dns = format!("ip-{}.{}.compute.internal", address.replace('.', "-"), instance.region);
    let arm = Offer::find(instance.kind).is_some_and(|offer| offer.arm);
    let reason = instance.reason.map(|reason| json!({ "code": reason.split(':').next(), "message": reason }));
    json!({
        "reservationId": format!("r-0{:016x}", instance.number.rotate_left(17)), "ownerId": ACCOUNT, "groupSet": [],
        "instancesSet": [{
            "instanceId": instance.id(), "imageId": "ami-0a1b2c3d4e5f60718", "instanceType": instance.kind,
            "instanceState": { "code": code, "name": instance.state },
            "privateDnsName": if ended { "" } else { &*dns }, "dnsName": "", "reason": "", "amiLaunchIndex": 0,
            "privateIpAddress": (!ended).then_some(&address), "launchTime": rfc3339(instance.launched),
            "placement": { "availabilityZone": cloud::zone(&instance.region, instance.zone), "groupName": "",
                "tenancy": "default" },
            "monitoring": { "state": "disabled" }, "architecture": if arm { "arm64" } else { "x86_64" },
            "subnetId": (!ended).then(|| cloud::subnet(instance.zone)), "vpcId": (!ended).then_some(VPC),
            "instanceLifecycle": instance.spot.then_some("spot"), "stateReason": reason, "rootDeviceType": "ebs",
            "rootDeviceName": "/dev/xvda", "virtualizationType": "hvm", "hypervisor": "xen", "ebsOptimized": false,
            "tagSet": tag_set(&tags(cloud, instance)),
        }],
    })
}

fn subnets(cloud: &Cloud, call: &Call) -> Result<Value, Failure> {
    let (ids, filters) = (texts(&call.input, "SubnetId"), filters(&call.input));
    if let Some(id) = ids.iter().find(|id| (0..ZONES.len()).all(|zone| cloud::subnet(zone) != **id)) {
        let message = format!("The subnet ID '{id}' does not exist");
        return Err(Failure::new(400, "InvalidSubnetID.NotFound", message));
    }
    let mut found = Vec::new();
    for zone in 0..ZONES.len() {
        let (id, name) = (cloud::subnet(zone), cloud::zone(&call.region, zone));
        let tags = vec![
            (format!("kubernetes.io/cluster/{CLUSTER}"), "shared".to_owned()),
            ("kubernetes.io/role/internal-elb".to_owned(), "1".to_owned()),
        ];
        let mut wanted = ids.is_empty() || ids.contains(&id.as_str());
        for (name_of, values) in &filters {
            wanted &= match *name_of {
                "subnet-id" => meets(values, &id),
                "vpc-id" => meets(values, VPC),
                "availability-zone" => meets(values, &name),
                other => tagged(&tags, other, values).ok_or_else(|| unknown_filter(other))?,
            };
        }
        // Each node takes some thirty addresses for its pods.
        let of = |it: &&Instance| it.region == call.region && it.zone == zone && it.state == "running";
        let nodes = cloud.instances.values().filter(of).count();
        let free = 16_379_usize.saturating_sub(nodes * 30);
        if wanted {
            found.push(json!({
                "subnetId": id, "subnetArn": format!("arn:aws:ec2:{}:{ACCOUNT}:subnet/{id}", call.region),
                "state": "available", "vpcId": VPC, "cidrBlock": format!("10.0.{}.0/18", zone * 64),
                "availableIpAddressCount": free, "availabilityZone": name, "defaultForAz": false,
                "mapPublicIpOnLaunch": false, "ownerId": ACCOUNT, "assignIpv6AddressOnCreation": false,
                "tagSet": tag_set(&tags),
            }));
        }
    }
    paged(call, "subnetSet", found)
}

fn offers(call: &Call) -> Result<Vec<&'static Offer>, Failure> {
    let names = texts(&call.input, "InstanceType");
    let unknown: Vec<_> = names.iter().filter(|name| Offer::find(name).is_none()).copied().collect();
    if !unknown.is_empty() {
        let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
        return Err(Failure::new(400, "InvalidInstanceType", message));
    }
    Ok(OFFERS.iter().filter(|offer| names.is_empty() || names.contains(&offer.name)).collect())
}

fn types(call: &Call) -> Result<Value, Failure> {
    let told = |offer: &Offer| {
        let gpus = (offer.gpus > 0).then(|| {
            json!({ "gpus": [{ "name": "A10G", "manufacturer": "NVIDIA",
            "count": offer.gpus, "memoryInfo": { "sizeInMiB": 24_576 } }], "totalGpuMemoryInMiB": 24_576 })
        });
        json!({
            "instanceType": offer.name, "currentGeneration": true, "freeTierEligible": false, "bareMetal": false,
            "supportedUsageClasses": ["on-demand", "spot"], "hypervisor": "nitro",
            "processorInfo": { "supportedArchitectures": [if offer.arm { "arm64" } else { "x86_64" }] },
            "vCpuInfo": { "defaultVCpus": offer.vcpus }, "memoryInfo": { "sizeInMiB": offer.memory_mib },
            "networkInfo": { "maximumNetworkInterfaces": offer.network.0,
                "ipv4AddressesPerInterface": offer.network.1, "ipv6Supported": true },
            "gpuInfo": gpus,
        })
    };
    paged(call, "instanceTypeSet", offers(call)?.into_iter().map(told).collect())
}

fn spot_prices(call: &Call, now: i64) -> Result<Value, Failure> {
    let products = texts(&call.input, "ProductDescription");
    let mut prices = Vec::new();
    // Prices hold for hours; the one that holds now is told, however late a time is asked for.
    let since = rfc3339(now / 21_600 * 21_600);
    for offer in offers(call)? {
        for zone in 0..ZONES.len() {
            let product = products.iter().find(|product| product.starts_with("Linux/UNIX")).copied();
            if let Some(product) = product.or_else(|| products.is_empty().then_some("Linux/UNIX")) {
                prices.push(json!({ "instanceType": offer.name, "productDescription": product, "timestamp": since,
                    "spotPrice": offer.spot(zone), "availabilityZone": cloud::zone(&call.region, zone) }));
            }
        }
    }
    paged(call, "spotPriceHistorySet", prices)
}

fn template_versions(call: &Call, now: i64) -> Result<Value, Failure> {
    const NEWEST: u32 = 8;
    let (id, wanted) = (text(&call.input, "LaunchTemplateId"), texts(&call.input, "LaunchTemplateVersion"));
    if id != LAUNCH_TEMPLATE {
        let message = format!("The specified launch template, with template ID {id}, does not exist.");
        return Err(Failure::new(400, "InvalidLaunchTemplateId.NotFound", message));
    }
    let is = |version: u32| {
        let named = |wanted: &str| match wanted {
            "$Latest" => version == NEWEST,
            "$Default" => version == 7,
            number => number == version.to_string(),
        };
        wanted.is_empty() || wanted.iter().copied().any(named)
    };
    let versions = (1..=NEWEST).rev().filter(|version| is(*version)).map(|version| {
        json!({
            "launchTemplateId": id, "launchTemplateName": format!("{CLUSTER}-nodes"), "versionNumber": version,
            "defaultVersion": version == 7, "createdBy": format!("arn:aws:iam::{ACCOUNT}:role/{}", cloud::ROLE),
            "createTime": rfc3339(now - i64::from(NEWEST - version) * 21 * 86_400 - 86_400),
            "launchTemplateData": { "imageId": format!("ami-{}", &Short::hex(&[u64::from(version) * 0x9e37_79b9_7f4a]).as_str()[..16]) },
        })
    });
    paged(call, "launchTemplateVersionSet", versions.collect())
}
