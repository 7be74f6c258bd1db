//! What EKS says of a cluster as a row of the table. Pure: what was not said stays unknown.

use crate::{
    kinds::cluster::{Phase, Row, Support},
    sources::aws::eks::{Cluster, ClusterVersion, Network},
};

/// Dollars an hour for a control plane (the EKS pricing page, all regions of the partition `aws`).
const STANDARD_FEE: f64 = 0.10;
const EXTENDED_FEE: f64 = 0.60;
const DAY: i64 = 86_400;
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Fills in what a description says. `versions` is what is known of the ends of support; `now` in Unix seconds.
pub fn describe(row: &mut Row, cluster: &Cluster, versions: &[ClusterVersion], now: i64) {
    row.status.clone_from(&cluster.status);
    row.version = cluster.version.clone().unwrap_or_default();
    row.platform = cluster.platform_version.clone().unwrap_or_default();
    row.support = support(cluster, versions, now);
    row.fee = row.support.and_then(|support| fee(cluster, support));
    row.access = access(&cluster.network);
    row.issues = cluster.health.issues.iter().map(|issue| format!("{}: {}", issue.code, issue.message)).collect();
    row.tags = cluster.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
}

/// How long the cluster's version is supported, where the versions tell.
pub fn support(cluster: &Cluster, versions: &[ClusterVersion], now: i64) -> Option<Support> {
    let version = cluster.version.as_ref()?;
    let known = versions.iter().find(|known| known.cluster_version == *version)?;
    let standard = known.end_of_standard_support_date?.as_second();
    let extended = known.end_of_extended_support_date.map(jiff::Timestamp::as_second);
    let (phase, ends) = match extended {
        _ if now < standard => (Phase::Standard, standard),
        Some(extended) if now < extended => (Phase::Extended, extended),
        Some(extended) => (Phase::Over, extended),
        None => return None,
    };
    Some(Support { phase, ends, days: (ends - now).div_euclid(DAY) })
}

/// What the control plane costs an hour; none where it is not the ordinary one of the ordinary partition.
fn fee(cluster: &Cluster, support: Support) -> Option<f64> {
    let tier = cluster.control_plane_scaling_config.as_ref().and_then(|config| config.tier.as_deref());
    let ordinary = cluster.arn.starts_with("arn:aws:")
        && cluster.connector_config.is_none()
        && cluster.outpost_config.is_none()
        && tier.is_none_or(|tier| tier.eq_ignore_ascii_case("standard"));
    match support.phase {
        Phase::Standard if ordinary => Some(STANDARD_FEE),
        Phase::Extended if ordinary => Some(EXTENDED_FEE),
        _ => None,
    }
}

/// Whether a list of networks lets everybody in.
pub fn is_open(networks: &[String]) -> bool {
    networks.iter().any(|network| EVERYWHERE.contains(&&**network))
}

/// Who may reach the API server: `public`, `private`, `public 2 CIDRs+private`; empty where EKS does not say.
fn access(network: &Network) -> String {
    let public = network.endpoint_public_access.filter(|&it| it).map(|_| match network.public_access_cidrs.len() {
        0 => "public".to_owned(),
        _ if is_open(&network.public_access_cidrs) => "public".to_owned(),
        1 => "public 1 CIDR".to_owned(),
        more => format!("public {more} CIDRs"),
    });
    let private = network.endpoint_private_access.filter(|&it| it).map(|_| "private".to_owned());
    let ways: Vec<String> = public.into_iter().chain(private).collect();
    ways.join("+")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::aws::eks::ControlPlaneScaling;

    const NOW: i64 = 1_772_366_400;

    fn one<T: Default>() -> Option<T> {
        Some(T::default())
    }

    fn version(standard: i64, extended: i64) -> ClusterVersion {
        let at = |days: i64| jiff::Timestamp::from_second(NOW + days * DAY + 1).ok();
        ClusterVersion {
            cluster_version: "1.33".to_owned(),
            end_of_standard_support_date: at(standard),
            end_of_extended_support_date: at(extended),
            ..ClusterVersion::default()
        }
    }

    fn row(change: impl FnOnce(&mut Cluster), versions: &[ClusterVersion]) -> Row {
        let mut cluster = Cluster {
            arn: "arn:aws:eks:eu-west-1:1:cluster/prod".to_owned(),
            version: Some("1.33".to_owned()),
            ..Cluster::default()
        };
        change(&mut cluster);
        let mut row = Row::default();
        describe(&mut row, &cluster, versions, NOW);
        row
    }

    #[test]
    fn support_ends_twice_and_costs_more_in_between() {
        let of = |standard, extended| {
            let row = row(|_| {}, &[version(standard, extended)]);
            (row.support.map(|support| (support.phase, support.days)), row.fee)
        };
        assert_eq!(of(100, 465), (Some((Phase::Standard, 100)), Some(STANDARD_FEE)));
        assert_eq!(of(-1, 364), (Some((Phase::Extended, 364)), Some(EXTENDED_FEE)));
        assert_eq!(of(-400, -35), (Some((Phase::Over, -35)), None));
        assert_eq!((row(|_| {}, &[]).support, row(|_| {}, &[]).fee), (None, None), "unknown, and not free");
    }

    #[test]
    fn a_fee_that_may_be_another_is_not_named() {
        let versions = [version(100, 465)];
        let fee = |change: fn(&mut Cluster)| row(change, &versions).fee;
        assert_eq!(fee(|it| it.arn = "arn:aws-cn:eks:cn-north-1:1:cluster/x".to_owned()), None);
        assert_eq!(fee(|it| it.connector_config = one()), None);
        let tier = |tier: &str| Some(ControlPlaneScaling { tier: Some(tier.to_owned()) });
        let with = |name: &str| row(|it| it.control_plane_scaling_config = tier(name), &versions).fee;
        assert_eq!((with("tier-xl"), with("standard")), (None, Some(STANDARD_FEE)));
    }

    #[test]
    fn access_says_who_gets_in() {
        let of = |public, private, networks: &[&str]| {
            access(&Network {
                endpoint_public_access: public,
                endpoint_private_access: private,
                public_access_cidrs: networks.iter().map(|&it| it.to_owned()).collect(),
                ..Network::default()
            })
        };
        assert_eq!(of(Some(true), Some(false), &["0.0.0.0/0"]), "public");
        assert_eq!(of(Some(true), Some(true), &["10.0.0.0/8", "192.0.2.1/32"]), "public 2 CIDRs+private");
        assert_eq!(of(Some(false), Some(true), &[]), "private");
        assert_eq!(of(None, None, &[]), "", "not said");
    }
}
