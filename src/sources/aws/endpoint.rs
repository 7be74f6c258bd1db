//! Where a service is: partitions, regions, hosts, and the overrides that tests and private networks need. Pure.

use super::environment::Environment;
use super::profile::Profiles;

/// A service of AWS, as far as calling it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// What requests are signed for, and what permissions begin with.
    pub name: &'static str,
    /// What its host begins with.
    host: &'static str,
    /// The end of `AWS_ENDPOINT_URL_…`; a profile's `services` section has it in lower case.
    variable: &'static str,
    /// The API version of query services, the target's prefix of JSON ones.
    pub version: &'static str,
}

pub const EKS: Service = Service { name: "eks", host: "eks", variable: "EKS", version: "" };
pub const AUTO_SCALING: Service =
    Service { name: "autoscaling", host: "autoscaling", variable: "AUTO_SCALING", version: "2011-01-01" };
pub const EC2: Service = Service { name: "ec2", host: "ec2", variable: "EC2", version: "2016-11-15" };
pub const SSM: Service = Service { name: "ssm", host: "ssm", variable: "SSM", version: "AmazonSSM" };
pub const PRICING: Service =
    Service { name: "pricing", host: "api.pricing", variable: "PRICING", version: "AWSPriceListService" };
pub const STS: Service = Service { name: "sts", host: "sts", variable: "STS", version: "2011-06-15" };
pub const SSO: Service = Service { name: "sso", host: "portal.sso", variable: "SSO", version: "" };
pub const SSO_OIDC: Service = Service { name: "sso-oidc", host: "oidc", variable: "SSO_OIDC", version: "" };

/// A partition: regions that share accounts, and nothing else with other partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// As in ARNs.
    pub name: &'static str,
    /// What hosts end with.
    pub suffix: &'static str,
    /// The region whose Price List API answers for all of them; none where there is no such API.
    pub pricing: Option<&'static str>,
}

/// Region prefixes and their partitions (botocore's `partitions.json`); whatever is not listed is `aws`.
const PARTITIONS: [(&str, Partition); 7] = [
    ("cn-", Partition { name: "aws-cn", suffix: "amazonaws.com.cn", pricing: Some("cn-northwest-1") }),
    ("us-gov-", Partition { name: "aws-us-gov", suffix: "amazonaws.com", pricing: None }),
    ("us-iso-", Partition { name: "aws-iso", suffix: "c2s.ic.gov", pricing: None }),
    ("us-isob-", Partition { name: "aws-iso-b", suffix: "sc2s.sgov.gov", pricing: None }),
    ("eu-isoe-", Partition { name: "aws-iso-e", suffix: "cloud.adc-e.uk", pricing: None }),
    ("us-isof-", Partition { name: "aws-iso-f", suffix: "csp.hci.ic.gov", pricing: None }),
    ("eusc-", Partition { name: "aws-eusc", suffix: "amazonaws.eu", pricing: None }),
];

/// The partition of a region.
pub fn partition(region: &str) -> Partition {
    let known = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
    known.map_or(Partition { name: "aws", suffix: "amazonaws.com", pricing: Some("us-east-1") }, |(_, it)| *it)
}

/// Whether a text can be a region: it becomes part of a host name that requests with credentials go to.
pub fn is_region(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (3..=32).contains(&text.len()) && text.bytes().all(letter) && !text.starts_with('-') && !text.ends_with('-')
}

/// The region in a host of EKS: `ABC.gr7.eu-west-1.eks.amazonaws.com`, of dual-stack clusters
/// `ABC.gr7.eks-cluster.eu-west-1.api.aws`. None where the host is not one of EKS.
pub fn region_of_cluster_host(host: &str) -> Option<&str> {
    let classic = || {
        let (front, suffix) = host.split_once(".eks.")?;
        let region = front.rsplit('.').next()?;
        (suffix == partition(region).suffix).then_some(region)
    };
    let dual_stack = || host.split_once(".eks-cluster.")?.1.split('.').next();
    classic().or_else(dual_stack).filter(|region| is_region(region))
}

/// Where services are, for one session.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// For a service, by the end of its variable.
    own: Vec<(&'static str, String)>,
    /// For all services without their own.
    all: Option<String>,
}

impl Endpoints {
    /// Overrides of the environment, then of the profile and its `services` section, the service's own before the
    /// general one of the same place (SDKs and Tools Reference Guide, "Service-specific endpoints").
    pub fn read(environment: &Environment, profiles: &Profiles, profile: &str) -> Self {
        let setting = |key: &str| profiles.get(profile, key);
        if environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            || setting("ignore_configured_endpoint_urls").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Self::default();
        }
        let general = environment.get("AWS_ENDPOINT_URL");
        let section = setting("services");
        let services = [EKS, AUTO_SCALING, EC2, SSM, PRICING, STS, SSO, SSO_OIDC];
        let own = services.iter().filter_map(|service| {
            let variable = environment.get(&format!("AWS_ENDPOINT_URL_{}", service.variable));
            // A general variable goes before whatever a file says.
            let of_file = || {
                let key = format!("{}.endpoint_url", service.variable.to_ascii_lowercase());
                profiles.service(section?, &key).filter(|_| general.is_none())
            };
            Some((service.variable, variable.or_else(of_file)?.to_owned()))
        });
        Self { own: own.collect(), all: general.or_else(|| setting("endpoint_url")).map(str::to_owned) }
    }

    /// An address of the user's own.
    fn overridden(&self, service: Service) -> Option<&str> {
        let own = self.own.iter().find(|(variable, _)| *variable == service.variable);
        own.map(|(_, url)| url).or(self.all.as_ref()).map(|url| url.trim_end_matches('/'))
    }

    /// The service's URL in a region, without a slash at its end.
    pub fn url(&self, service: Service, region: &str) -> String {
        match self.overridden(service) {
            Some(url) => url.to_owned(),
            None => format!("https://{}.{region}.{}", service.host, partition(region).suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_have_hosts_of_their_own() {
        let url = |service, region| Endpoints::default().url(service, region);
        assert_eq!(url(EKS, "eu-west-1"), "https://eks.eu-west-1.amazonaws.com");
        assert_eq!(url(STS, "cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn");
        assert_eq!(url(EC2, "us-gov-west-1"), "https://ec2.us-gov-west-1.amazonaws.com");
        assert_eq!(url(PRICING, "us-east-1"), "https://api.pricing.us-east-1.amazonaws.com");
        assert_eq!(url(SSO, "eusc-de-east-1"), "https://portal.sso.eusc-de-east-1.amazonaws.eu");
        assert_eq!(partition("us-isob-east-1").name, "aws-iso-b");
        assert_eq!(partition("us-gov-west-1").pricing, None);
    }

    #[test]
    fn a_clusters_host_says_its_region() {
        for (host, region) in [
            ("ABC.gr7.eu-west-1.eks.amazonaws.com", Some("eu-west-1")),
            ("ABC.sk1.cn-north-1.eks.amazonaws.com.cn", Some("cn-north-1")),
            ("ABC.gr7.eks-cluster.eu-west-1.api.aws", Some("eu-west-1")),
            ("eks.example.org", None),
            ("x.eks.example.org", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of_cluster_host(host), region, "{host}");
        }
    }

    #[test]
    fn what_is_no_region_reaches_no_host() {
        assert!(is_region("ap-southeast-2") && is_region("us-gov-west-1"));
        for text in ["", "eu west", "evil.example/", "eu-west-1@evil", "-x-1", "EU-WEST-1"] {
            assert!(!is_region(text), "{text}");
        }
    }

    #[test]
    fn overrides_go_by_service_and_place() {
        let config = "[profile dev]\nendpoint_url = http://profile\nservices = local\n\
                      [services local]\neks =\n  endpoint_url = http://eks-of-profile/\n";
        let profiles = Profiles::of_texts(config, "");
        let url = |environment: &Environment, service| {
            Endpoints::read(environment, &profiles, "dev").url(service, "eu-west-1")
        };
        let none = Environment::default();
        assert_eq!(url(&none, EKS), "http://eks-of-profile");
        assert_eq!(url(&none, EC2), "http://profile");
        let general = none.with([("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_AUTO_SCALING", "http://asg")]);
        assert_eq!(url(&general, EKS), "http://all");
        assert_eq!(url(&general, AUTO_SCALING), "http://asg");
        let ignored = general.with([("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]);
        assert_eq!(url(&ignored, EKS), "https://eks.eu-west-1.amazonaws.com");
    }
}
