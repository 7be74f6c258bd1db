//! What the API server says when it says no: `metav1.Status`, in JSON or protobuf, and what a denial lacks.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;
use prost::Message;
use serde::Deserialize;

use super::body::Body;
use super::error::SendError;
use crate::util::redact::redact;

/// A status is small; whatever is larger is not one.
const MAX_STATUS_BYTES: usize = 64 * 1024;
const STATUS_SILENCE: Duration = Duration::from_secs(10);

/// A refusal by the API server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiStatus {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason (`Forbidden`, `Expired`, `NotFound` …); empty when the answer was not a `Status`.
    pub reason: String,
    pub message: String,
    /// The resource (in spite of its name, the API server puts `pods` here, not `Pod`).
    pub kind: String,
    pub group: String,
    pub name: String,
    pub retry_after: Option<Duration>,
}

/// What a 403 says is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denied {
    pub user: String,
    pub verb: String,
    /// `pods`, `pods/log`, or a path such as `/metrics`.
    pub resource: String,
    pub group: String,
    /// None is the whole cluster.
    pub namespace: Option<String>,
}

impl ApiStatus {
    /// Reads a `Status` body; anything else becomes its first line.
    pub fn parse(code: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed = match body.strip_prefix(b"k8s\0") {
            Some(envelope) => Self::from_protobuf(envelope),
            None => {
                serde_json::from_slice::<JsonStatus>(body).ok().filter(|status| status.kind == "Status").map(Self::from)
            }
        };
        let mut status = parsed.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&body[..body.len().min(1024)]);
            let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            Self { message: redact(&line.chars().take(200).collect::<String>(), &[]), ..Self::default() }
        });
        status.code = code;
        if status.message.is_empty() {
            let reason = http::StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
            status.message = reason.unwrap_or("no reason given").into();
        }
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        status.retry_after = status.retry_after.or(seconds.map(Duration::from_secs));
        status
    }

    fn from_protobuf(envelope: &[u8]) -> Option<Self> {
        let status = WireStatus::decode(WireUnknown::decode(envelope).ok()?.raw).ok()?;
        let details = status.details.unwrap_or_default();
        Some(Self {
            reason: status.reason,
            message: status.message,
            kind: details.kind,
            group: details.group,
            name: details.name,
            retry_after: after(i64::from(details.retry_after_seconds)),
            ..Self::default()
        })
    }

    /// What a 403 of the RBAC authorizer says is missing. Its only form is a sentence
    /// (`k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`, `forbiddenMessage`).
    pub fn denied(&self) -> Option<Denied> {
        let text = self.message.split_once("User \"")?.1;
        let (user, text) = text.split_once("\" cannot ")?;
        let (verb, text) = text.split_once(' ')?;
        let mut denied = Denied { user: user.to_owned(), verb: verb.to_owned(), ..Denied::default() };
        if let Some(path) = text.strip_prefix("path \"") {
            denied.resource = path.split_once('"')?.0.into();
            return Some(denied);
        }
        let (resource, text) = text.strip_prefix("resource \"")?.split_once('"')?;
        denied.resource = resource.into();
        denied.group = quoted_after(text, "in API group \"").unwrap_or_default();
        denied.namespace = quoted_after(text, "in the namespace \"");
        Some(denied)
    }
}

fn quoted_after(text: &str, marker: &str) -> Option<String> {
    Some(text.split_once(marker)?.1.split_once('"')?.0.to_owned())
}

fn after(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|&seconds| seconds > 0).map(Duration::from_secs)
}

/// Reads the refusal out of an answer that is not 2xx. Never fails: what cannot be read leaves the code.
pub async fn status_of(response: Response<Body>) -> ApiStatus {
    let (parts, body) = response.into_parts();
    let body = collect(body, STATUS_SILENCE, MAX_STATUS_BYTES).await.unwrap_or_default();
    ApiStatus::parse(parts.status.as_u16(), &parts.headers, &body)
}

/// Reads a whole body. `silence` is the longest wait for the next bytes; `max_bytes` bounds memory.
pub async fn collect(mut body: Body, silence: Duration, max_bytes: usize) -> Result<Bytes, SendError> {
    let mut all = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(silence, body.frame()).await.map_err(|_| SendError::Stalled(silence))?;
        let Some(frame) = frame else { return Ok(all.freeze()) };
        let Ok(data) = frame.map_err(|error| SendError::of_stream(&error))?.into_data() else { continue };
        if all.len() + data.len() > max_bytes {
            return Err(SendError::TooLarge(max_bytes));
        }
        all.extend_from_slice(&data);
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonStatus {
    kind: String,
    reason: String,
    message: String,
    details: Option<JsonDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct JsonDetails {
    name: String,
    group: String,
    kind: String,
    retry_after_seconds: i64,
}

impl From<JsonStatus> for ApiStatus {
    fn from(status: JsonStatus) -> Self {
        let details = status.details.unwrap_or_default();
        Self {
            reason: status.reason,
            message: status.message,
            kind: details.kind,
            group: details.group,
            name: details.name,
            retry_after: after(details.retry_after_seconds),
            ..Self::default()
        }
    }
}

// `k8s.io/apimachinery/pkg/runtime/generated.proto` and `…/apis/meta/v1/generated.proto`; numbers never change.

#[derive(Clone, PartialEq, Message)]
struct WireUnknown {
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WireStatus {
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(message, optional, tag = "5")]
    details: Option<WireDetails>,
}

#[derive(Clone, PartialEq, Message)]
struct WireDetails {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(int32, tag = "5")]
    retry_after_seconds: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_status_is_read() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too busy",
            "reason":"TooManyRequests","details":{"name":"a","group":"apps","kind":"deployments","retryAfterSeconds":7,
            "causes":[{"reason":"x"}]},"code":429}"#;
        let status = ApiStatus::parse(429, &HeaderMap::new(), body);
        assert_eq!(
            status,
            ApiStatus {
                code: 429,
                reason: "TooManyRequests".into(),
                message: "too busy".into(),
                kind: "deployments".into(),
                group: "apps".into(),
                name: "a".into(),
                retry_after: Some(Duration::from_secs(7)),
            }
        );
    }

    #[test]
    fn a_protobuf_status_is_read() {
        let details = WireDetails { kind: "pods".into(), retry_after_seconds: 1, ..WireDetails::default() };
        let status = WireStatus { message: "gone".into(), reason: "Expired".into(), details: Some(details) };
        let mut body = b"k8s\0".to_vec();
        body.extend(WireUnknown { raw: status.encode_to_vec().into() }.encode_to_vec());
        let status = ApiStatus::parse(410, &HeaderMap::new(), &body);
        assert_eq!((status.code, &*status.reason, &*status.message, &*status.kind), (410, "Expired", "gone", "pods"));
        assert_eq!(status.retry_after, Some(Duration::from_secs(1)));
    }

    #[test]
    fn other_bodies_leave_their_first_line() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "3".parse().unwrap());
        let status = ApiStatus::parse(503, &headers, b"\n  <html>no backend</html>\nmore");
        assert_eq!((&*status.message, &*status.reason), ("<html>no backend</html>", ""));
        assert_eq!(status.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(ApiStatus::parse(502, &headers, b"").message, "Bad Gateway");
        assert_eq!(ApiStatus::parse(404, &headers, b"k8s\0\xff\xff").code, 404);
    }

    #[test]
    fn a_denial_names_what_is_missing() {
        let denied = |message: &str| ApiStatus { message: message.into(), ..ApiStatus::default() }.denied();
        let all = denied(
            r#"pods is forbidden: User "viewer" cannot list resource "pods" in API group "" at the cluster scope"#,
        );
        assert_eq!(
            all,
            Some(Denied { user: "viewer".into(), verb: "list".into(), resource: "pods".into(), ..Denied::default() })
        );
        let one = denied(
            r#"deployments.apps "api" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "deployments/scale" in API group "apps" in the namespace "shop": Azure says no"#,
        );
        assert_eq!(
            one,
            Some(Denied {
                user: "system:serviceaccount:a:b".into(),
                verb: "patch".into(),
                resource: "deployments/scale".into(),
                group: "apps".into(),
                namespace: Some("shop".into()),
            })
        );
        let path = denied(r#"forbidden: User "x" cannot get path "/metrics""#).unwrap();
        assert_eq!((&*path.verb, &*path.resource), ("get", "/metrics"));
        assert_eq!(denied("admission webhook \"w\" denied the request: no"), None);
    }
}
