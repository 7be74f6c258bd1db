//! Clusters of the account that are only known to EKS: nobody simulates what is in them, and nobody answers at their
//! endpoints. They make the account as large as those of people with many clusters.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Value, json};

use super::cloud::{Cloud, Cluster, Instance};
use super::ec2::REGIONS;
use super::group::{Group, Managed};
use super::listings::release;
use super::plans::Plans;
use super::shop::OFFERS;
use crate::cluster::node::ZONES;
use crate::encoding::template::Short;

const DAY: i64 = 86_400;
const GROUPS_EACH: usize = 10;
const VERSIONS: [&str; 4] = ["1.34", "1.33", "1.32", "1.31"];
/// Nobody listens there.
const NOWHERE: &str = "https://127.0.0.1:1";
const USES: [&str; 5] = ["payments", "analytics", "edge", "batch", "internal"];
const STAGES: [&str; 4] = ["prod", "staging", "dev", "perf"];

/// Adds as many clusters as the story wants, one region after the other.
pub fn found(cloud: &mut Cloud, now: i64) {
    for number in 0..cloud.others {
        let region = REGIONS[number % REGIONS.len()].to_owned();
        let round = number / REGIONS.len();
        let name = format!("{}-{}-{number:02}", USES[round % USES.len()], STAGES[number % STAGES.len()]);
        let version = VERSIONS[number % VERSIONS.len()];
        for at in 0..GROUPS_EACH {
            group(cloud, &region, &name, (number, at), version, now);
        }
        cloud.clusters.push(Cluster {
            region,
            version,
            platform: "eks.12",
            created: now - (60 + 11 * number_of(number)) * DAY,
            endpoint: NOWHERE.to_owned(),
            authority: String::new(),
            support: if number % 3 == 0 { "STANDARD" } else { "EXTENDED" },
            tags: json!({ "env": STAGES[number % STAGES.len()], "team": USES[round % USES.len()] }),
            fargate: Vec::new(),
            name,
        });
    }
}

fn number_of(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

fn group(
    cloud: &mut Cloud,
    region: &str,
    cluster: &str,
    (number, at): (usize, usize),
    version: &'static str,
    now: i64,
) {
    let (uid, spot, place) = (cloud.random.uid(), at % 3 == 1, cloud.groups.len());
    let desired = u32::try_from(cloud.random.below(4)).unwrap_or(0);
    let kind = OFFERS[(number + at) % 12].name;
    let name = format!("workers-{at}");
    let ami_type = if OFFERS[(number + at) % 12].arm { "AL2023_ARM_64_STANDARD" } else { "AL2023_x86_64_STANDARD" };
    cloud.groups.push(Group {
        region: region.to_owned(),
        cluster: cluster.to_owned(),
        asg: format!("eks-{name}-{}", Short::uuid(uid).as_str()),
        uid,
        managed: Some(Managed {
            name,
            min: 0,
            max: 8,
            desired,
            ami_type,
            version,
            release: release(version, now, at % 4),
            labels: json!({}),
            taints: Value::Array(Vec::new()),
            template_version: 7,
            updates: VecDeque::new(),
            tokens: HashMap::new(),
            degraded: None,
            modified: now - 9 * DAY,
        }),
        pool: None,
        min: 0,
        max: 8,
        desired,
        spot,
        types: vec![kind],
        suspended: BTreeSet::new(),
        plans: Plans::default(),
        activities: VecDeque::new(),
        created: now - 50 * DAY,
        why: String::new(),
        starved: false,
        looking: false,
    });
    for member in 0..desired as usize {
        let number = cloud.random.next();
        let address = u32::from(std::net::Ipv4Addr::new(10, 1, 0, 0)) + u32::try_from(place * 16 + member).unwrap_or(0);
        let instance = Instance {
            number,
            region: region.to_owned(),
            cluster: cluster.to_owned(),
            group: Some(place),
            claimed: None,
            kind,
            spot,
            zone: member % ZONES.len(),
            ip: address,
            state: "running",
            lifecycle: Some("InService"),
            node: None,
            launched: now - 3 * DAY,
            protected: false,
            reason: None,
        };
        cloud.instances.insert(number, instance);
    }
}
