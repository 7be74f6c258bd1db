//! Signing in by IAM Identity Center from within: a URL and a code to show, then waiting until the person has confirmed
//! in a browser, then the token where the AWS CLI keeps it. The screen decides when; no `aws` is needed.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::endpoint::Endpoints;
use super::environment::Environment;
use super::exchange::Http;
use super::profile::Sso;
use super::session::AwsSession;
use super::sso::{CachedToken, Granted, after, cache_file, oidc, write_cache, written};
use crate::problem::Problem;

/// A sign-in that has begun: what to show, and what to wait for.
pub struct Login {
    /// Where the person confirms, the code included.
    pub url: String,
    /// The same without the code, for another device.
    pub plain_url: String,
    /// The code that both sides must show.
    pub code: String,
    /// When it is too late.
    pub expires: Timestamp,
    /// How often [`Login::poll`] may be called.
    pub interval: Duration,
    sso: Sso,
    http: Http,
    endpoints: Endpoints,
    environment: Environment,
    device_code: String,
    client: Registration,
}

/// What a look at a sign-in found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not confirmed yet; look again after [`Login::interval`].
    Waiting,
    /// The token is written; credentials can be reloaded.
    Done,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    client_id: String,
    client_secret: String,
    /// Seconds since 1970.
    client_secret_expires_at: i64,
}

/// What to show while a sign-in waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub profile: String,
    pub start_url: String,
    /// Where the person confirms, the code included.
    pub url: String,
    /// The code that both sides must show.
    pub code: String,
    /// When it is too late, Unix seconds.
    pub until: i64,
}

/// How a sign-in goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Confirm(Prompt),
    Done,
    Failed(Problem),
}

/// Signs a session in: says what to show, then asks until it is confirmed, refused or too late. Dropping it ends it.
pub async fn follow(session: &AwsSession, show: impl AsyncFn(Prompt)) -> Result<(), Problem> {
    let sso = session.sso().ok_or_else(|| {
        Problem::new(format!("{} does not sign in by IAM Identity Center", session.who()))
            .because("there is no sso_session or sso_start_url in its profile")
            .hint("renew its credentials where they come from, then `:reload`")
    })?;
    let mut login = session.login(sso).await?;
    show(login.prompt()).await;
    loop {
        tokio::time::sleep(login.interval).await;
        if login.poll(Timestamp::now()).await? == Progress::Done {
            return Ok(());
        }
    }
}

impl Login {
    fn prompt(&self) -> Prompt {
        Prompt {
            profile: self.sso.profile.clone(),
            start_url: self.sso.start_url.clone(),
            url: self.url.clone(),
            code: self.code.clone(),
            until: self.expires.as_second(),
        }
    }

    /// Registers this program and starts a device authorization.
    pub(super) async fn start(
        http: Http,
        endpoints: Endpoints,
        environment: Environment,
        sso: Sso,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Device {
            device_code: String,
            user_code: String,
            verification_uri: String,
            verification_uri_complete: Option<String>,
            /// Seconds.
            expires_in: i64,
            /// Seconds.
            interval: Option<u64>,
        }
        let failed = |error: super::error::AwsError| {
            let hint = "check sso_start_url and sso_region of the profile";
            Problem::new(format!("signing in at {} cannot begin", sso.start_url)).because(error.problem()).hint(hint)
        };
        let body = json!({ "clientName": "ekscope", "clientType": "public", "scopes": sso.scopes });
        let client: Registration =
            oidc(&http, &endpoints, &sso, "RegisterClient", "client/register", &body).await.map_err(failed)?;
        let body = json!({
            "clientId": client.client_id, "clientSecret": client.client_secret, "startUrl": sso.start_url,
        });
        let device: Device = oidc(&http, &endpoints, &sso, "StartDeviceAuthorization", "device_authorization", &body)
            .await
            .map_err(failed)?;
        Ok(Self {
            url: device.verification_uri_complete.unwrap_or_else(|| device.verification_uri.clone()),
            plain_url: device.verification_uri,
            code: device.user_code,
            expires: after(now, device.expires_in),
            interval: Duration::from_secs(device.interval.unwrap_or(5).clamp(1, 60)),
            sso,
            http,
            endpoints,
            environment,
            device_code: device.device_code,
            client,
        })
    }

    /// Asks once whether the person has confirmed; when they have, the token is kept for us and for the AWS CLI.
    pub async fn poll(&mut self, now: Timestamp) -> Result<Progress, Problem> {
        let failed = || Problem::new(format!("signing in at {} failed", self.sso.start_url));
        let again = "start again";
        let late = || failed().because("the code was not confirmed in time").hint(again);
        if now > self.expires {
            return Err(late());
        }
        let body = json!({
            "clientId": self.client.client_id,
            "clientSecret": self.client.client_secret,
            "deviceCode": self.device_code,
            "grantType": "urn:ietf:params:oauth:grant-type:device_code",
        });
        let granted: Granted = match oidc(&self.http, &self.endpoints, &self.sso, "CreateToken", "token", &body).await {
            Ok(granted) => granted,
            Err(error) => {
                return match error.code.as_str() {
                    "authorization_pending" | "AuthorizationPendingException" => Ok(Progress::Waiting),
                    "slow_down" | "SlowDownException" => {
                        self.interval += Duration::from_secs(5);
                        Ok(Progress::Waiting)
                    }
                    "expired_token" | "ExpiredTokenException" => Err(late()),
                    "access_denied" | "AccessDeniedException" => {
                        Err(failed().because("it was refused in the browser").hint(again))
                    }
                    _ => Err(failed().because(error.problem())),
                };
            }
        };
        let registered = Timestamp::from_second(self.client.client_secret_expires_at).ok();
        let token = CachedToken {
            start_url: Some(self.sso.start_url.clone()),
            region: Some(self.sso.region.clone()),
            access_token: granted.access_token,
            expires_at: written(after(now, granted.expires_in)),
            client_id: Some(self.client.client_id.clone()),
            client_secret: Some(self.client.client_secret.clone()),
            registration_expires_at: registered.map(written),
            refresh_token: granted.refresh_token,
        };
        let file =
            cache_file(&self.environment, &self.sso).ok_or_else(|| failed().because("there is no home folder"))?;
        write_cache(&file, &token)
            .map_err(|error| failed().because(format!("cannot write {}: {error}", file.display())))?;
        Ok(Progress::Done)
    }
}
