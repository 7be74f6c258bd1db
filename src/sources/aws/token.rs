//! The token that an EKS cluster takes: a presigned `GetCallerIdentity` that names the cluster (aws-iam-authenticator,
//! `pkg/token/token.go`). Minting needs keys and a clock, and no network.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::credentials::Credentials;
use super::endpoint::{Endpoints, STS};
use super::sign::presigned;
use crate::problem::Problem;

/// What the URL itself claims; the cluster goes by the date instead.
const EXPIRES: Duration = Duration::from_secs(60);
/// For so long after its date a cluster takes a token (`presignedURLExpiration`).
const LIFE: SignedDuration = SignedDuration::from_mins(15);
/// The server refuses longer ones.
const LONGEST: usize = 4096;

/// A token and when the cluster stops taking it.
pub struct ClusterToken {
    pub token: SecretString,
    pub expires: Timestamp,
}

/// Mints a token for a cluster by its EKS name. The STS host is the region's own: the server knows it by its name, and an
/// endpoint override would not be one that it knows.
pub fn cluster_token(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: Timestamp,
) -> Result<ClusterToken, Problem> {
    let url = format!("{}/?Action=GetCallerIdentity&Version={}", Endpoints::default().url(STS, region), STS.version);
    let host = url.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
    let headers = [("host", host.as_str()), ("x-k8s-aws-id", cluster)];
    let url = presigned(&url, &headers, credentials, STS.name, region, now, EXPIRES)?;
    let token = format!("k8s-aws-v1.{}", BASE64_URL_SAFE_NO_PAD.encode(url));
    if token.len() > LONGEST {
        return Err(Problem::new(format!("the token for {cluster} would be refused"))
            .because(format!("it has {} bytes, a cluster takes {LONGEST}: the session token is too long", token.len()))
            .hint("use a role with fewer session tags"));
    }
    // Credentials that end sooner take the token with them: the server asks STS when it sees the token.
    let expires = credentials.expires.map_or(now + LIFE, |end| end.min(now + LIFE));
    Ok(ClusterToken { token: token.into(), expires })
}
