//! IAM Identity Center: the token that the AWS CLI and we keep in `~/.aws/sso/cache`, its renewal, and the credentials
//! it buys. Signing in with a browser is in `login`. Knows the CLI's file format (botocore `utils.SSOTokenLoader`,
//! `tokens.SSOTokenProvider`).

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::credentials::Credentials;
use super::endpoint::{Endpoints, SSO, SSO_OIDC, is_region};
use super::environment::Environment;
use super::error::{AwsError, ErrorKind, SignInFailure, WayOut};
use super::exchange::{Http, Reply, form};
use super::profile::Sso;
use crate::problem::Problem;

/// A token is renewed this long before it expires.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(5 * 60);

/// A file of `~/.aws/sso/cache`. Times are kept as written: other programs read them too.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CachedToken {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub access_token: String,
    pub expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

impl CachedToken {
    fn expires(&self) -> Option<Timestamp> {
        instant(&self.expires_at)
    }

    /// What a renewal takes, while the registration that it was made under lasts.
    fn renewable(&self, now: Timestamp) -> Option<(&str, &str, &str)> {
        let registered = self.registration_expires_at.as_deref().and_then(instant).is_some_and(|end| now < end);
        let parts = (self.client_id.as_deref()?, self.client_secret.as_deref()?, self.refresh_token.as_deref()?);
        registered.then_some(parts)
    }
}

/// `2026-01-01T00:00:00Z`, and the form `…UTC` that old CLIs wrote.
fn instant(text: &str) -> Option<Timestamp> {
    text.replace("UTC", "Z").parse().ok()
}

/// So many seconds after a time, as a server says: a year at most.
pub(super) fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now + SignedDuration::from_secs(seconds.clamp(0, 365 * 86_400))
}

/// A time as the CLI writes it.
pub(super) fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Where the token of a session (or, in old profiles, of a start URL) is kept.
pub(super) fn cache_file(environment: &Environment, sso: &Sso) -> Option<PathBuf> {
    let key = sso.session.as_deref().unwrap_or(&sso.start_url);
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let digits = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let name: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    Some(environment.folder()?.join("sso").join("cache").join(format!("{name}.json")))
}

pub(super) fn read_cache(file: &Path) -> Option<CachedToken> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Writes a token so that only the user can read it, and nobody a half of it.
pub(super) fn write_cache(file: &Path, token: &CachedToken) -> std::io::Result<()> {
    use std::io::Write;
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = file.with_extension(format!("json.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&temporary)?.write_all(&serde_json::to_vec(token)?)?;
    std::fs::rename(&temporary, file)
}

/// Credentials of the profile's role, bought with the token.
pub(super) async fn credentials(
    http: &Http,
    endpoints: &Endpoints,
    environment: &Environment,
    sso: &Sso,
    now: Timestamp,
) -> Result<Credentials, SignInFailure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Role {
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: SecretString,
        /// Milliseconds since 1970.
        expiration: i64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        role_credentials: Role,
    }
    let token = token(http, endpoints, environment, sso, now).await?;
    let query = form([("role_name", sso.role.as_str()), ("account_id", sso.account.as_str())]);
    let url = format!("{}/federation/credentials?{query}", endpoints.url(SSO, region(sso)?));
    let mut bearer =
        HeaderValue::from_str(token.expose_secret()).map_err(|_| signed_out(sso, "the token is no token"))?;
    bearer.set_sensitive(true);
    let request = Request::get(url).header("x-amz-sso_bearer_token", bearer).body(Bytes::new());
    let request = request.map_err(|error| Problem::new("the SSO portal cannot be asked").because(error))?;
    let reply = http.send(request).await.map_err(|fault| fault.problem("the SSO portal"))?;
    if reply.status == 401 {
        return Err(signed_out(sso, "the portal no longer takes its token"));
    }
    if !reply.is_success() {
        let error = AwsError::of_reply(SSO, "GetRoleCredentials", &sso.region, &reply);
        let problem = Problem::new(format!("SSO gives no credentials for role {} in {}", sso.role, sso.account));
        return Err(problem.because(error.message).hint("ask for this permission set, or correct the profile").into());
    }
    let answer: Answer = read(&reply, "the SSO portal")?;
    let role = answer.role_credentials;
    Ok(Credentials {
        id: role.access_key_id,
        secret: role.secret_access_key,
        token: Some(role.session_token),
        expires: Timestamp::from_millisecond(role.expiration).ok(),
        origin: format!("profile {} (SSO, role {} in {})", sso.profile, sso.role, sso.account),
    })
}

/// The region becomes a part of the host that gets the token.
fn region(sso: &Sso) -> Result<&str, Problem> {
    let region = sso.region.as_str();
    let wrong = || Problem::new(format!("the AWS profile {} cannot be used", sso.profile));
    is_region(region)
        .then_some(region)
        .ok_or_else(|| wrong().because(format!("its sso_region {region:?} is no region")))
}

async fn token(
    http: &Http,
    endpoints: &Endpoints,
    environment: &Environment,
    sso: &Sso,
    now: Timestamp,
) -> Result<SecretString, SignInFailure> {
    let file = cache_file(environment, sso).ok_or_else(|| signed_out(sso, "there is no home folder"))?;
    let Some(cached) = read_cache(&file) else { return Err(signed_out(sso, "nobody has signed in yet")) };
    let expires = cached.expires().unwrap_or(Timestamp::MIN);
    if now + RENEW_BEFORE < expires {
        return Ok(cached.access_token.into());
    }
    if cached.renewable(now).is_some() {
        match renew(http, endpoints, sso, &cached, now).await {
            Ok(renewed) => {
                if let Err(error) = write_cache(&file, &renewed) {
                    tracing::warn!(%error, "the renewed SSO token is not kept");
                }
                return Ok(renewed.access_token.into());
            }
            Err(error) => tracing::warn!(%error, "the SSO token is not renewed"),
        }
    }
    if now < expires { Ok(cached.access_token.into()) } else { Err(signed_out(sso, "its session has expired")) }
}

async fn renew(
    http: &Http,
    endpoints: &Endpoints,
    sso: &Sso,
    cached: &CachedToken,
    now: Timestamp,
) -> Result<CachedToken, AwsError> {
    let Some((id, secret, refresh)) = cached.renewable(now) else {
        return Err(AwsError::new(SSO_OIDC, "CreateToken", &sso.region, ErrorKind::Expired));
    };
    let body = json!({ "clientId": id, "clientSecret": secret, "refreshToken": refresh, "grantType": "refresh_token" });
    let granted: Granted = oidc(http, endpoints, sso, "CreateToken", "token", &body).await?;
    Ok(CachedToken {
        access_token: granted.access_token,
        expires_at: written(after(now, granted.expires_in)),
        refresh_token: granted.refresh_token.or_else(|| cached.refresh_token.clone()),
        ..cached.clone()
    })
}

/// What `CreateToken` gives.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted {
    pub access_token: String,
    /// Seconds.
    pub expires_in: i64,
    pub refresh_token: Option<String>,
}

/// A call of the OIDC service; none of them is signed.
pub(super) async fn oidc<T: for<'de> Deserialize<'de>>(
    http: &Http,
    endpoints: &Endpoints,
    sso: &Sso,
    operation: &'static str,
    path: &str,
    body: &serde_json::Value,
) -> Result<T, AwsError> {
    let fail = |kind| AwsError::new(SSO_OIDC, operation, &sso.region, kind);
    let region = region(sso).map_err(|problem| fail(ErrorKind::SignIn(problem.into())))?;
    let request = Request::post(format!("{}/{path}", endpoints.url(SSO_OIDC, region)))
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(Bytes::from(body.to_string()))
        .map_err(|error| AwsError::unreadable(SSO_OIDC, operation, region, error))?;
    let reply = http.send(request).await.map_err(|fault| fail(ErrorKind::Network(fault)))?;
    if !reply.is_success() {
        return Err(AwsError::of_reply(SSO_OIDC, operation, region, &reply));
    }
    serde_json::from_slice(&reply.body)
        .map_err(|error| AwsError::unreadable(SSO_OIDC, operation, region, format!("line {}", error.line())))
}

fn read<T: for<'de> Deserialize<'de>>(reply: &Reply, whose: &str) -> Result<T, Problem> {
    let bad = |error: serde_json::Error| {
        Problem::new(format!("the answer of {whose} cannot be read")).because(format!("line {}", error.line()))
    };
    serde_json::from_slice(&reply.body).map_err(bad)
}

fn signed_out(sso: &Sso, why: &str) -> SignInFailure {
    SignInFailure {
        problem: Problem::new(format!("profile {} is not signed in", sso.profile))
            .because(format!("{why} ({})", sso.start_url))
            .hint(format!("`:login` on screen signs in, or `aws sso login --profile {}` in a shell", sso.profile)),
        way_out: WayOut::SsoLogin(Box::new(sso.clone())),
    }
}
