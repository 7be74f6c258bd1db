//! AWS's own clients as part of this house: they get our credentials, our connections and the addresses that the user set,
//! and their failures become ours. Which calls there are is the facades' matter.

use aws_sdk_eks::config::{BehaviorVersion, IdentityCache, Region, SharedCredentialsProvider};
use aws_sdk_eks::error::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::sdk_config::{RetryConfig, StalledStreamProtectionConfig, TimeoutConfig};
use bytes::Bytes;

use super::credentials::Credentials;
use super::endpoint::Service;
use super::error::{AwsError, ErrorKind};
use super::exchange::{Fault, Reply};
use super::session::AwsSession;
use crate::sources::net::error::{find, innermost};

/// Makes a call by a client of the SDK; `send` is given what to build one from.
pub async fn call<T, E, F>(
    session: &AwsSession,
    service: Service,
    operation: &'static str,
    send: impl Fn(&SdkConfig) -> F,
) -> Result<T, AwsError>
where
    F: Future<Output = Result<T, SdkError<E>>>,
    E: std::error::Error + 'static,
{
    let region = session.region();
    session
        .signed_in(service, operation, region, async |credentials| {
            // Futures of the SDK are some kilobytes large, and many are joined.
            let answer = Box::pin(send(&config(session, service, credentials))).await;
            answer.map_err(|error| ours(service, operation, region, &error))
        })
        .await
}

/// Credentials belong to one attempt: the session keeps, renews and reloads them, and has to know which were refused.
/// Nothing is tried again behind the back of who asks, who may have to wait longer, or may not send a change twice; and the
/// time limit is that of our connections, which covers the whole answer.
fn config(session: &AwsSession, service: Service, credentials: &Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(session.region().to_owned()))
        .endpoint_url(session.endpoints().url(service, session.region()))
        .credentials_provider(SharedCredentialsProvider::new(credentials.for_signing()))
        .identity_cache(IdentityCache::no_cache())
        .http_client(Connections(session.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// The session's connections, as the SDK wants them.
#[derive(Debug, Clone)]
struct Connections(AwsSession);

impl HttpClient for Connections {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connections {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let session = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // Bodies of these calls are short and held in memory.
            let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            let reply = session.http().send(request).await.map_err(|fault| ConnectorError::io(fault.into()))?;
            session.note_clock(&reply);
            response(reply).map_err(|error| ConnectorError::other(error, None))
        })
    }
}

fn response(reply: Reply) -> Result<HttpResponse, aws_sdk_eks::error::BoxError> {
    let mut response = http::Response::new(SdkBody::from(reply.body));
    *response.status_mut() = reply.status.try_into()?;
    *response.headers_mut() = reply.headers;
    Ok(response.try_into()?)
}

/// What went wrong, in our terms: AWS's own words are read as those of all its protocols are.
fn ours<E>(service: Service, operation: &'static str, region: &str, error: &SdkError<E>) -> AwsError
where
    E: std::error::Error + 'static,
{
    let failed = |kind| AwsError::new(service, operation, region, kind);
    let error = match (error.raw_response(), find::<Fault>(error)) {
        (Some(answer), _) => {
            let reply = reply(answer);
            if reply.is_success() {
                AwsError::unreadable(service, operation, region, innermost(error))
            } else {
                AwsError::of_reply(service, operation, region, &reply)
            }
        }
        (None, Some(fault)) => failed(ErrorKind::Network(fault.clone())),
        // Values that no request can be made of.
        (None, None) => AwsError { message: innermost(error), ..failed(ErrorKind::Invalid) },
    };
    tracing::debug!(%error, request = error.request_id, "AWS");
    error
}

fn reply(answer: &HttpResponse) -> Reply {
    let headers = answer.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
    Reply {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: Bytes::copy_from_slice(answer.body().bytes().unwrap_or_default()),
    }
}
