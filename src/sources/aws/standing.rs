//! Whether an AWS session speaks for a cluster: account, region and endpoint have to match before anything of AWS is shown
//! beside it, let alone changed. Each doubt has its words.

use super::eks::{self, Cluster};
use super::endpoint::region_of_cluster_host;
use super::error::{AwsError, ErrorKind};
use super::session::AwsSession;
use crate::problem::Problem;

/// What a kubeconfig says about the cluster behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The cluster's name in EKS.
    pub name: String,
    /// From the cluster's ARN; none where nothing names one.
    pub account: Option<String>,
    pub region: Option<String>,
    /// The API server's host, as the kubeconfig has it, with its port where it has one.
    pub host: String,
}

impl Claim {
    /// Reads `arn:aws:eks:eu-west-1:123456789012:cluster/prod`, as `aws eks update-kubeconfig` names things.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (Some("arn"), Some(partition), Some("eks")) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let name = resource.strip_prefix("cluster/").filter(|name| !name.is_empty())?;
        if !partition.starts_with("aws") || account.is_empty() || !super::endpoint::is_region(region) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            account: Some(account.to_owned()),
            region: Some(region.to_owned()),
            host: String::new(),
        })
    }

    /// The region that the server's host says, if it is one of EKS.
    pub fn host_region(&self) -> Option<&str> {
        region_of_cluster_host(self.bare_host())
    }

    fn bare_host(&self) -> &str {
        self.host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(&self.host, |(host, _)| host)
    }
}

/// How AWS stands to the cluster on screen.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum AwsStanding {
    /// Nothing says that this is a cluster of EKS: no call is made.
    #[default]
    NotEks,
    /// Asked, not answered yet.
    Checking,
    /// The session is the cluster's own account and region. The description is missing where only that is denied.
    Ours(Option<Box<Cluster>>),
    /// The session is somebody else's: AWS panels and keys stay off.
    Mismatch(Problem),
    /// It could not be found out: the panels stay off until it can.
    Unproven(Problem),
}

impl AwsStanding {
    /// Whether AWS panels may be shown and their keys used.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// Why AWS panels are off, where there is something to say.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Mismatch(problem) | Self::Unproven(problem) => Some(problem),
            Self::NotEks | Self::Checking | Self::Ours(_) => None,
        }
    }
}

/// Asks who we are and what the cluster is, and compares. Needs `eks:DescribeCluster`; where only that is denied, an ARN
/// in the kubeconfig is proof enough.
pub async fn check(session: &AwsSession, claim: &Claim) -> AwsStanding {
    let off = |why: String| Problem::new(format!("AWS panels are off for {}", claim.name)).because(why);
    let regions = [claim.region.as_deref(), claim.host_region()];
    if let Some(other) = regions.into_iter().flatten().find(|region| *region != session.region()) {
        let why = format!("the cluster is in {other}, the AWS session in {}", session.region());
        return AwsStanding::Mismatch(off(why).hint("correct --region in the kubeconfig's exec entry"));
    }
    if let Some(account) = &claim.account {
        let identity = match session.identity().await {
            Ok(identity) => identity,
            Err(error) => return AwsStanding::Unproven(unproven(&off, &error)),
        };
        if identity.account != *account {
            let why =
                format!("the cluster belongs to account {account}, you are {} in {}", identity.arn, identity.account);
            return AwsStanding::Mismatch(
                off(why).hint("give the kubeconfig's user the right --profile or AWS_PROFILE"),
            );
        }
    }
    let proven = claim.account.is_some();
    let cluster = match eks::describe_cluster(session, &claim.name).await {
        Ok(cluster) => cluster,
        Err(AwsError { kind: ErrorKind::Denied(_) | ErrorKind::UnknownOperation, .. }) if proven => {
            return AwsStanding::Ours(None);
        }
        Err(AwsError { kind: ErrorKind::NotFound, .. }) => {
            let why =
                format!("the account of profile {} has no such cluster in {}", session.profile(), session.region());
            return AwsStanding::Mismatch(off(why).hint("the profile may be of another account"));
        }
        Err(error) => return AwsStanding::Unproven(unproven(&off, &error)),
    };
    let endpoint = cluster.endpoint.as_deref().unwrap_or_default();
    let theirs = endpoint.trim_start_matches("https://").trim_end_matches('/');
    if theirs.eq_ignore_ascii_case(&claim.host) || theirs.eq_ignore_ascii_case(claim.bare_host()) {
        return AwsStanding::Ours(Some(Box::new(cluster)));
    }
    let why = format!("the kubeconfig connects to {}, the cluster's endpoint is {endpoint:?}", claim.host);
    if claim.host_region().is_some() {
        let hint = "the cluster may have been made anew: run `aws eks update-kubeconfig` again";
        AwsStanding::Mismatch(off(why).hint(hint))
    } else if proven {
        // A tunnel or a proxy stands between; its address says nothing, the ARN does.
        AwsStanding::Ours(Some(Box::new(cluster)))
    } else {
        AwsStanding::Unproven(off(why).hint("name the kubeconfig's cluster by its ARN if a tunnel leads to it"))
    }
}

fn unproven(off: &dyn Fn(String) -> Problem, error: &AwsError) -> Problem {
    let problem = error.problem();
    off(format!("{}: {}", problem.what, problem.why)).hint(problem.hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_all() {
        let claim = Claim::of_arn("arn:aws-cn:eks:cn-north-1:123456789012:cluster/prod").unwrap();
        assert_eq!((&*claim.name, claim.account.as_deref()), ("prod", Some("123456789012")));
        assert_eq!(claim.region.as_deref(), Some("cn-north-1"));
        for other in [
            "prod",
            "arn:aws:eks:eu-west-1:1:nodegroup/x",
            "arn:aws:ecs:eu-west-1:1:cluster/x",
            "arn:aws:eks::1:cluster/x",
        ] {
            assert_eq!(Claim::of_arn(other), None, "{other}");
        }
    }

    #[test]
    fn a_host_says_its_region_with_or_without_a_port() {
        let of = |host: &str| Claim { host: host.to_owned(), ..Claim::default() };
        assert_eq!(of("A.gr7.eu-west-1.eks.amazonaws.com:443").host_region(), Some("eu-west-1"));
        assert_eq!(of("[::1]:6443").host_region(), None);
    }
}
