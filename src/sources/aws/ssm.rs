//! SSM: which release of a node image is the newest, from the public parameters that AWS keeps (User Guide, "Retrieve
//! recommended Amazon Linux AMI IDs"; eksctl `pkg/ami/ssm_resolver.go`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::client::Call;
use super::endpoint::SSM;
use super::error::AwsError;
use super::session::AwsSession;

/// Names that one call takes at most.
const NAMES_PER_CALL: usize = 10;

/// The newest releases by parameter name; who is not there is missing. Needs `ssm:GetParameters` on
/// `arn:*:ssm:*::parameter/aws/service/*`.
pub async fn get_parameters(session: &AwsSession, names: &[String]) -> Result<BTreeMap<String, Parameter>, AwsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        name: String,
        value: String,
        last_modified_date: Option<f64>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        parameters: Vec<Entry>,
    }
    let mut all = BTreeMap::new();
    for names in names.chunks(NAMES_PER_CALL) {
        let answer: Answer = session.json(Call::json(SSM, "GetParameters", &json!({ "Names": names }))).await?;
        all.extend(answer.parameters.into_iter().map(|entry| {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds of any real time fit")]
            let modified =
                entry.last_modified_date.and_then(|it| Timestamp::from_millisecond((it * 1000.0) as i64).ok());
            (entry.name, Parameter { value: entry.value, modified })
        }));
    }
    Ok(all)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub value: String,
    /// When AWS last changed it: the age of the release.
    pub modified: Option<Timestamp>,
}

/// The parameter with the newest release for an AMI type and a Kubernetes version; none for custom images, and for types
/// that have no release to compare with.
pub fn release_parameter(ami_type: &str, version: &str) -> Option<String> {
    let eks =
        |rest: String| Some(format!("/aws/service/eks/optimized-ami/{version}/{rest}/recommended/release_version"));
    let architecture = if ami_type.contains("ARM_64") { "arm64" } else { "x86_64" };
    if let Some(rest) = ami_type.strip_prefix("AL2023_") {
        let variant = match rest {
            _ if rest.ends_with("NVIDIA") => "nvidia",
            _ if rest.ends_with("NEURON") => "neuron",
            _ => "standard",
        };
        return eks(format!("amazon-linux-2023/{architecture}/{variant}"));
    }
    if let Some(rest) = ami_type.strip_prefix("AL2_") {
        return eks(match rest {
            "x86_64_GPU" => "amazon-linux-2-gpu".to_owned(),
            "ARM_64" => "amazon-linux-2-arm64".to_owned(),
            _ => "amazon-linux-2".to_owned(),
        });
    }
    if let Some(rest) = ami_type.strip_prefix("BOTTLEROCKET_") {
        let variant = match rest {
            _ if rest.ends_with("NVIDIA_FIPS") => "-nvidia-fips",
            _ if rest.ends_with("NVIDIA") => "-nvidia",
            _ if rest.ends_with("FIPS") => "-fips",
            _ => "",
        };
        return Some(format!(
            "/aws/service/bottlerocket/aws-k8s-{version}{variant}/{architecture}/latest/image_version"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_its_parameter() {
        for (ami_type, parameter) in [
            (
                "AL2023_x86_64_STANDARD",
                "eks/optimized-ami/1.33/amazon-linux-2023/x86_64/standard/recommended/release_version",
            ),
            (
                "AL2023_ARM_64_STANDARD",
                "eks/optimized-ami/1.33/amazon-linux-2023/arm64/standard/recommended/release_version",
            ),
            (
                "AL2023_x86_64_NVIDIA",
                "eks/optimized-ami/1.33/amazon-linux-2023/x86_64/nvidia/recommended/release_version",
            ),
            ("AL2_ARM_64", "eks/optimized-ami/1.33/amazon-linux-2-arm64/recommended/release_version"),
            ("AL2_x86_64", "eks/optimized-ami/1.33/amazon-linux-2/recommended/release_version"),
            ("BOTTLEROCKET_ARM_64", "bottlerocket/aws-k8s-1.33/arm64/latest/image_version"),
            ("BOTTLEROCKET_x86_64_FIPS", "bottlerocket/aws-k8s-1.33-fips/x86_64/latest/image_version"),
        ] {
            assert_eq!(release_parameter(ami_type, "1.33"), Some(format!("/aws/service/{parameter}")), "{ami_type}");
        }
        assert_eq!(release_parameter("CUSTOM", "1.33"), None);
        assert_eq!(release_parameter("WINDOWS_CORE_2022_x86_64", "1.33"), None);
    }
}
