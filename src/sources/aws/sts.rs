//! STS: who we are, and roles. Plain data in and out; nothing here is kept.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use jiff::Timestamp;

use super::credentials::Credentials;
use super::endpoint::{Endpoints, STS};
use super::error::{AwsError, ErrorKind};
use super::exchange::{Http, form};
use super::profile::Role;
use super::sign::signed;
use super::xml::Node;

/// Who AWS says we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub account: String,
    pub arn: String,
    pub user_id: String,
}

impl Identity {
    /// The ARN that an access entry names: of a role's session that is the role itself.
    pub fn principal(&self) -> String {
        let role = self.arn.split_once(":sts::").and_then(|(start, rest)| {
            let (account, session) = rest.split_once(":assumed-role/")?;
            Some(format!("{start}:iam::{account}:role/{}", session.split('/').next()?))
        });
        role.unwrap_or_else(|| self.arn.clone())
    }

    pub(super) fn of(result: &Node) -> Self {
        Self { account: result.string("Account"), arn: result.string("Arn"), user_id: result.string("UserId") }
    }
}

/// What it takes to ask STS.
#[derive(Clone, Copy)]
pub(super) struct Sts<'a> {
    pub http: &'a Http,
    pub endpoints: &'a Endpoints,
    pub region: &'a str,
    pub now: Timestamp,
}

impl Sts<'_> {
    /// Needs `sts:AssumeRole` on the role.
    pub async fn assume_role(
        &self,
        with: &Credentials,
        role: &Role,
        code: Option<&str>,
    ) -> Result<Credentials, AwsError> {
        let seconds = role.seconds.map(|seconds| seconds.to_string());
        let session_name = self.session_name(role);
        let pairs = [
            ("RoleArn", Some(role.arn.as_str())),
            ("RoleSessionName", Some(session_name.as_str())),
            ("ExternalId", role.external_id.as_deref()),
            ("DurationSeconds", seconds.as_deref()),
            ("SerialNumber", role.mfa_serial.as_deref().filter(|_| code.is_some())),
            ("TokenCode", code),
        ];
        let root = self.call("AssumeRole", &pairs, Some(with)).await?;
        self.credentials(&root, "AssumeRole", format!("role {}, assumed with {}", short(&role.arn), with.origin))
    }

    /// Needs no permission: the token speaks for itself.
    pub async fn assume_role_with_web_identity(&self, role: &Role, token: &str) -> Result<Credentials, AwsError> {
        let seconds = role.seconds.map(|seconds| seconds.to_string());
        let session_name = self.session_name(role);
        let pairs = [
            ("RoleArn", Some(role.arn.as_str())),
            ("RoleSessionName", Some(session_name.as_str())),
            ("WebIdentityToken", Some(token)),
            ("DurationSeconds", seconds.as_deref()),
        ];
        let root = self.call("AssumeRoleWithWebIdentity", &pairs, None).await?;
        let origin = format!("role {}, assumed with a web identity token", short(&role.arn));
        self.credentials(&root, "AssumeRoleWithWebIdentity", origin)
    }

    fn session_name(&self, role: &Role) -> String {
        role.session_name.clone().unwrap_or_else(|| format!("ekscope-{}", self.now.as_second()))
    }

    async fn call(
        &self,
        operation: &'static str,
        pairs: &[(&str, Option<&str>)],
        with: Option<&Credentials>,
    ) -> Result<Node, AwsError> {
        let region = role_region(self.region);
        let fail = |kind| AwsError::new(STS, operation, region, kind);
        let given = pairs.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let body = form([("Action", operation), ("Version", STS.version)].into_iter().chain(given));
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoints.url(STS, region)))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(Bytes::from(body))
            .map_err(|error| AwsError::unreadable(STS, operation, region, error))?;
        let request = match with {
            Some(credentials) => signed(request, credentials, STS.name, region, self.now)
                .map_err(|problem| fail(ErrorKind::SignIn(problem.into())))?,
            None => request,
        };
        let reply = self.http.send(request).await.map_err(|fault| fail(ErrorKind::Network(fault)))?;
        if !reply.is_success() {
            return Err(AwsError::of_reply(STS, operation, region, &reply));
        }
        Node::parse(&reply.body).map_err(|why| AwsError::unreadable(STS, operation, region, why))
    }

    #[expect(clippy::result_large_err, reason = "one move for each call over a network")]
    fn credentials(&self, root: &Node, operation: &'static str, origin: String) -> Result<Credentials, AwsError> {
        let read = || {
            let given = root.find(&format!("{operation}Result"))?.find("Credentials")?;
            Some(Credentials {
                id: given.text("AccessKeyId")?.to_owned(),
                secret: given.text("SecretAccessKey")?.to_owned().into(),
                token: Some(given.text("SessionToken")?.to_owned().into()),
                expires: given.parsed("Expiration"),
                origin,
            })
        };
        read().ok_or_else(|| AwsError::unreadable(STS, operation, self.region, "it holds no credentials"))
    }
}

/// STS needs a region to be asked in, roles are the same everywhere in a partition.
fn role_region(region: &str) -> &str {
    if region.is_empty() { "us-east-1" } else { region }
}

/// `role/path/Name` of an ARN.
fn short(arn: &str) -> &str {
    arn.rsplit(':').next().map_or(arn, |role| role.strip_prefix("role/").unwrap_or(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_entry_names_the_role_not_its_session() {
        for (arn, principal) in [
            ("arn:aws:sts::1:assumed-role/Admin/me@example.org", "arn:aws:iam::1:role/Admin"),
            ("arn:aws-cn:sts::1:assumed-role/Admin/x", "arn:aws-cn:iam::1:role/Admin"),
            ("arn:aws:iam::1:user/me", "arn:aws:iam::1:user/me"),
        ] {
            let identity = Identity { account: "1".into(), arn: arn.into(), user_id: String::new() };
            assert_eq!(identity.principal(), principal);
        }
    }
}
