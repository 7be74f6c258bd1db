//! One request and its answer: connections, time limits, the size of answers. Knows no service and no credentials.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use jiff::Timestamp;

use super::environment::Environment;
use crate::problem::Problem;
use crate::sources::net::error::{ConnectError, find, innermost, seconds};
use crate::sources::net::proxy::ProxyVariables;
use crate::sources::net::transport::{AnyConnector, AnyTransport, certificates, install_crypto};

/// The largest answer: a page of `DescribeInstanceTypes` has some two megabytes.
const LARGEST_ANSWER: usize = 32 << 20;
/// The instance's metadata service answers at once, or there is none.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections of the AWS side. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Http {
    pool: AnyTransport,
    /// Link-local addresses: never through a proxy, and answered at once or not at all.
    local: AnyTransport,
    timeout: Duration,
    local_timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer within {}", seconds(*.0))]
    NoAnswer(Duration),
    /// The connection ended before the answer did: what was asked for may have happened.
    #[error("the connection was closed: {0}")]
    Closed(String),
    #[error("{0}")]
    Other(String),
}

impl Fault {
    /// Whether the service may have acted on the request although nothing came back.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::Closed(_))
    }

    pub fn problem(&self, whom: &str) -> Problem {
        let problem = Problem::new(format!("cannot reach {whom}")).because(self);
        problem.hint(match self {
            Self::Connect(ConnectError::Tls(_)) => "check AWS_CA_BUNDLE, and what stands between you and AWS",
            Self::Connect(ConnectError::Proxy(..) | ConnectError::Settings(_)) => {
                "check HTTPS_PROXY, NO_PROXY and AWS_CA_BUNDLE"
            }
            Self::Connect(ConnectError::Dns(_)) => "check the network and VPN, and whether there is such a region",
            _ => "check the network, VPN, proxy and AWS_ENDPOINT_URL",
        })
    }
}

impl Http {
    /// `ca_bundle` is the profile's; `AWS_CA_BUNDLE` goes before it. Connects to nobody.
    pub fn new(environment: &Environment, ca_bundle: Option<&str>, timeout: Duration) -> Result<Self, Problem> {
        install_crypto();
        let bundle = environment.get("AWS_CA_BUNDLE").or(ca_bundle).map(|path| environment.path(path));
        let authorities = bundle.map(|path| {
            let bad = || Problem::new(format!("the certificate authorities in {} cannot be read", path.display()));
            let pem = std::fs::read(&path).map_err(|error| bad().because(error).hint("check AWS_CA_BUNDLE"))?;
            certificates(&pem).map_err(|why| bad().because(why).hint("check AWS_CA_BUNDLE"))
        });
        let connect = Duration::from_secs(10).min(timeout);
        let wished = environment.get("AWS_METADATA_SERVICE_TIMEOUT").and_then(|text| text.parse().ok());
        let local_timeout =
            wished.map_or(METADATA_TIMEOUT, |seconds: u16| Duration::from_secs(seconds.clamp(1, 30).into()));
        Ok(Self {
            pool: AnyConnector::new(environment.proxies.clone(), connect, authorities.transpose()?).transport(),
            local: AnyConnector::new(ProxyVariables::default(), local_timeout, None).transport(),
            timeout,
            local_timeout,
        })
    }

    /// Sends a request to AWS.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Reply, Fault> {
        exchange(&self.pool, request, self.timeout).await
    }

    /// Asks an address of this machine's own network: instance metadata, a container's credentials.
    pub async fn send_local(&self, request: Request<Bytes>) -> Result<Reply, Fault> {
        exchange(&self.local, request, self.local_timeout).await
    }
}

async fn exchange(pool: &AnyTransport, mut request: Request<Bytes>, limit: Duration) -> Result<Reply, Fault> {
    const AGENT: HeaderValue = HeaderValue::from_static(concat!("ekscope/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, AGENT);
    let answer = async {
        let response =
            pool.request(request.map(Full::new)).await.map_err(|error| match find::<ConnectError>(&error) {
                Some(connect) => Fault::Connect(connect.clone()),
                None if error.is_connect() => Fault::Other(innermost(&error)),
                None => Fault::Closed(innermost(&error)),
            })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| Fault::Closed(innermost(&*error)))?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(Fault::NoAnswer(limit)))
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// By how many seconds this machine's clock is ahead of the server's; none where the answer has no date.
    pub fn clock_ahead(&self) -> Option<i64> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        let server = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(Timestamp::now().as_second() - server.as_second())
    }
}

/// A text as part of a URL or of a form: everything but what RFC 3986 reserves nothing for is escaped.
pub fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

/// Pairs as a query string or a form.
pub fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_for_urls() {
        assert_eq!(escaped("a b/ü~_.-"), "a%20b%2F%C3%BC~_.-");
        assert_eq!(form([("a", "1 2"), ("b", "x&y")]), "a=1%202&b=x%26y");
    }
}
