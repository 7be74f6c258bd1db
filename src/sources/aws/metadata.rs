//! Credentials that the machine itself hands out: the role of an EC2 instance (IMDSv2), of an ECS task, of a pod with
//! EKS Pod Identity. Each is asked once, with a short time limit: elsewhere nobody answers there.

use bytes::Bytes;
use http::{Method, Request};
use secrecy::SecretString;
use serde::Deserialize;

use super::credentials::Credentials;
use super::environment::Environment;
use super::exchange::{Http, Reply};
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<String>,
}

impl Given {
    fn read(reply: &Reply, origin: String) -> Result<Credentials, Problem> {
        let given: Self = serde_json::from_slice(&reply.body).map_err(|error| {
            Problem::new(format!("{origin} cannot be read")).because(format!("line {}", error.line()))
        })?;
        Ok(Credentials {
            id: given.access_key_id,
            secret: given.secret_access_key,
            token: given.token,
            expires: given.expiration.and_then(|text| text.parse().ok()),
            origin,
        })
    }
}

fn request(method: Method, url: &str, header: Option<(&str, &str)>) -> Result<Request<Bytes>, Problem> {
    let mut request = Request::builder().method(method).uri(url);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    request.body(Bytes::new()).map_err(|error| Problem::new(format!("{url} cannot be asked")).because(error))
}

async fn answered(http: &Http, request: Request<Bytes>) -> Result<Reply, Problem> {
    let place = request.uri().to_string();
    let reply = http
        .send_local(request)
        .await
        .map_err(|fault| Problem::new(format!("no answer from {place}")).because(fault))?;
    if reply.is_success() {
        return Ok(reply);
    }
    Err(Problem::new(format!("{place} answered {}", reply.status)))
}

/// The instance's role (EC2 User Guide, "Retrieve security credentials from instance metadata"). The first version of the
/// service, without a token, is not asked: it is switched off nearly everywhere.
pub(super) async fn instance(http: &Http, environment: &Environment) -> Result<Credentials, Problem> {
    if environment.is_true("AWS_EC2_METADATA_DISABLED") {
        return Err(Problem::new("AWS_EC2_METADATA_DISABLED is set"));
    }
    let root = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
    let root = root.trim_end_matches('/');
    let ttl = Some(("x-aws-ec2-metadata-token-ttl-seconds", "21600"));
    let token = answered(http, request(Method::PUT, &format!("{root}/latest/api/token"), ttl)?).await?;
    let token = String::from_utf8_lossy(&token.body).trim().to_owned();
    let get = |path: String| request(Method::GET, &path, Some(("x-aws-ec2-metadata-token", &token)));
    let roles = format!("{root}/latest/meta-data/iam/security-credentials/");
    let names = answered(http, get(roles.clone())?).await?;
    let name = String::from_utf8_lossy(&names.body).lines().next().unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        return Err(Problem::new("the instance has no role"));
    }
    let given = answered(http, get(format!("{roles}{name}"))?).await?;
    Given::read(&given, format!("the instance's role {name}"))
}

/// The address that ECS and EKS Pod Identity put into the environment (SDKs and Tools Reference Guide, "Container
/// credential provider").
pub(super) async fn container(http: &Http, environment: &Environment) -> Result<Credentials, Problem> {
    let url = match environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => format!("http://169.254.170.2{path}"),
        None => environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap_or_default().to_owned(),
    };
    let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| {
        Problem::new("AWS_CONTAINER_CREDENTIALS_FULL_URI is no address").because(error)
    })?;
    if !may_hand_out(&uri) {
        return Err(Problem::new("AWS_CONTAINER_CREDENTIALS_FULL_URI is not asked")
            .because("without TLS only this machine, ECS and EKS may hand out credentials"));
    }
    let token = match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(
            tokio::fs::read_to_string(environment.path(file))
                .await
                .map_err(|error| Problem::new("cannot read AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").because(error))?,
        ),
        None => environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    let header = token.as_deref().map(|token| ("authorization", token.trim()));
    let reply = answered(http, request(Method::GET, &url, header)?).await?;
    Given::read(&reply, "the container's role".to_owned())
}

/// Plain HTTP only to loopback and to the addresses of ECS and EKS Pod Identity.
fn may_hand_out(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost"
        || matches!(host, "169.254.170.2" | "169.254.170.23" | "fd00:ec2::23")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_from_near_or_over_tls() {
        for (url, may) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:1338/x", true),
            ("https://vault.example.org/x", true),
            ("http://vault.example.org/x", false),
            ("ftp://127.0.0.1/x", false),
        ] {
            assert_eq!(may_hand_out(&url.parse().unwrap()), may, "{url}");
        }
    }
}
