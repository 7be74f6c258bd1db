//! Why a request did not get an answer, sorted by what a person can do about it.

use std::error::Error;
use std::time::Duration;

use http::Uri;
use rustls::{AlertDescription, CertificateError};

use super::Session;
use super::credential::CredentialFailure;
use crate::problem::Problem;

/// Why a request brought no answer. Answers that say no (403, 404, 429 …) are answers, see
/// [`ApiStatus`](super::ApiStatus).
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server took the request and said nothing in time.
    #[error("no answer within {}", seconds(*.0))]
    NoAnswer(Duration),
    /// The answer stopped half-way: no byte for this long.
    #[error("the answer stopped for {}", seconds(*.0))]
    Stalled(Duration),
    /// 401, also with renewed credentials where there were any.
    #[error("the server does not accept the credentials: {message}")]
    Unauthorized {
        message: String,
        /// How far this machine's clock is ahead of the server's, in seconds, when it is more than a minute.
        clock_ahead: Option<i64>,
    },
    /// The credentials could not be had at all.
    #[error("{0}")]
    Credentials(CredentialFailure),
    /// Refused before anything was sent: the session only reads.
    #[error("read-only: {method} {path} is not sent")]
    ReadOnly { method: http::Method, path: String },
    /// The connection ended before the answer did.
    #[error("the connection was closed: {0}")]
    Closed(String),
    /// The answer is larger than the caller takes, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Other(String),
}

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens at this `host:port`.
    #[error("{0} refused the connection")]
    Refused(String),
    #[error("the name {0} cannot be resolved")]
    Dns(String),
    /// No way to this `host:port`, with the system's reason.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("no {phase} within {}", seconds(*.after))]
    Timeout { phase: Phase, after: Duration },
    #[error("TLS: {0}")]
    Tls(TlsFault),
    /// The proxy at this address, and what went wrong with it.
    #[error("the proxy {0} failed: {1}")]
    Proxy(String, String),
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Handshake,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connection",
            Self::Handshake => "TLS handshake",
        })
    }
}

/// What is wrong between the certificates and us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    #[error("the server's certificate comes from an unknown authority")]
    UnknownAuthority,
    #[error("the server's certificate is not for this name{}", list(.0))]
    NameMismatch(Vec<String>),
    #[error("the server's certificate has expired")]
    Expired,
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// The server wants a client certificate, or another one.
    #[error("the server refused the client certificate ({0})")]
    ClientCertificate(String),
    #[error("the server does not speak TLS on this port")]
    NotTls,
    #[error("{0}")]
    Other(String),
}

impl ConnectError {
    pub(super) fn tcp(target: &Uri, error: &(dyn Error + 'static)) -> Self {
        let address = address(target);
        if chain(error).any(|part| part.to_string() == "dns error") {
            return Self::Dns(target.host().unwrap_or_default().to_owned());
        }
        match find::<std::io::Error>(error) {
            Some(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => Self::Refused(address),
            Some(io) => Self::Unreachable(address, io.to_string()),
            None => Self::Unreachable(address, innermost(error)),
        }
    }

    pub(super) fn tls(error: &std::io::Error) -> Self {
        match find::<rustls::Error>(error) {
            Some(fault) => Self::Tls(TlsFault::of(fault)),
            // Closed or reset in the middle of the handshake.
            None => Self::Tls(TlsFault::Other(error.to_string())),
        }
    }

    pub(super) fn proxy(proxy: &Uri, error: &(dyn Error + 'static)) -> Self {
        Self::Proxy(address(proxy), innermost(error))
    }
}

impl TlsFault {
    fn of(error: &rustls::Error) -> Self {
        use rustls::Error as Tls;
        match error {
            Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Self::UnknownAuthority
            }
            Tls::InvalidCertificate(CertificateError::NotValidForName) => Self::NameMismatch(Vec::new()),
            Tls::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
                Self::NameMismatch(presented.iter().map(|name| plain_name(name)).collect())
            }
            Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                Self::Expired
            }
            Tls::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                Self::NotYetValid
            }
            Tls::InvalidMessage(_) => Self::NotTls,
            Tls::AlertReceived(
                alert @ (AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked),
            ) => Self::ClientCertificate(format!("{alert:?}")),
            other => Self::Other(other.to_string()),
        }
    }
}

impl SendError {
    /// Sorts what the pool reports; our own connector's errors lie inside.
    pub(super) fn of_pool(error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(connect) = find::<ConnectError>(error) {
            return connect.clone().into();
        }
        Self::of_stream(error)
    }

    /// Sorts what happened on an open connection.
    pub(super) fn of_stream(error: &(dyn Error + 'static)) -> Self {
        if let Some(fault) = find::<rustls::Error>(error) {
            return ConnectError::Tls(TlsFault::of(fault)).into();
        }
        let ended = find::<hyper::Error>(error)
            .is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled());
        if ended || find::<std::io::Error>(error).is_some() {
            return Self::Closed(innermost(error));
        }
        Self::Other(innermost(error))
    }

    /// The command that signs in again, when the failure says which it is: to be run in a terminal of its own.
    pub fn login(&self) -> Option<&[String]> {
        match self {
            Self::Credentials(failure) => failure.login.as_deref(),
            _ => None,
        }
    }

    /// The error in the user's words, with the server's name and the way out.
    pub fn problem(&self, session: &Session) -> Problem {
        let facts = session.facts();
        let host = &facts.host;
        let unreachable = || Problem::new(format!("cannot reach {host}")).because(self);
        match self {
            Self::Connect(ConnectError::Refused(_)) => {
                unreachable().hint("nothing listens there: check its address, and whether the API server runs")
            }
            Self::Connect(ConnectError::Dns(_)) => {
                unreachable().hint("check the network and VPN, and whether the cluster still exists")
            }
            Self::Connect(ConnectError::Unreachable(..) | ConnectError::Timeout { .. }) => {
                unreachable().hint(if host.contains(".eks.amazonaws.com") {
                    "the endpoint may be private or closed to your address: check VPN, proxy and publicAccessCidrs"
                } else {
                    "check the network, VPN and proxy settings"
                })
            }
            Self::Connect(ConnectError::Proxy(..)) => {
                unreachable().hint("check proxy-url in the kubeconfig, HTTPS_PROXY and NO_PROXY")
            }
            Self::Connect(ConnectError::Tls(fault)) => {
                let hint = match fault {
                    TlsFault::UnknownAuthority => "check certificate-authority-data: was the cluster made anew?",
                    TlsFault::NameMismatch(_) => "set tls-server-name in the kubeconfig to a name of the certificate",
                    TlsFault::Expired | TlsFault::NotYetValid => "renew the certificate, or check this machine's clock",
                    TlsFault::ClientCertificate(_) => "the client certificate may have expired: get a new kubeconfig",
                    TlsFault::NotTls => "use http:// in the kubeconfig's server address, or the right port",
                    TlsFault::Other(_) => "check what stands between you and the server",
                };
                Problem::new(format!("no secure connection to {host}")).because(fault).hint(hint)
            }
            Self::NoAnswer(_) | Self::Stalled(_) => Problem::new(format!("{host} does not answer"))
                .because(self)
                .hint("the server may be overloaded; --request-timeout sets how long to wait"),
            Self::Closed(_) => Problem::new(format!("{host} closed the connection"))
                .because(self)
                .hint("it may be restarting; trying again usually helps"),
            Self::Unauthorized { clock_ahead, .. } => {
                let problem = Problem::new(format!("{host} does not accept your credentials"));
                if let Some(seconds) = clock_ahead {
                    let side = if *seconds > 0 { "ahead of" } else { "behind" };
                    return problem
                        .because(format!("{self}; this machine's clock is {}s {side} the server's", seconds.abs()))
                        .hint("set the clock right: tokens are only good for minutes");
                }
                problem.because(self).hint(facts.sign_in.hint(facts.user.as_deref().unwrap_or_default()))
            }
            Self::Credentials(failure) => failure.problem.clone(),
            Self::ReadOnly { .. } => {
                Problem::new("this session is read-only").because(self).hint("start without --readonly to make changes")
            }
            Self::TooLarge(_) | Self::Other(_) => Problem::new(format!("the request to {host} failed")).because(self),
        }
    }
}

/// The part of the chain that says what really happened.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

/// The error and its causes. An `io::Error` hides what it wraps behind `get_ref`, which is followed too.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn cause<'a>(part: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let part: &'a (dyn Error + 'static) = *part;
        match part.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => part.source(),
        }
    }
    std::iter::successors(Some(error), cause)
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|part| part.downcast_ref())
}

fn address(target: &Uri) -> String {
    target.authority().map(ToString::to_string).unwrap_or_default()
}

/// rustls presents names as `DnsName("a.example")` and `IpAddress(10.0.0.1)`.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').to_owned()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (it is for {})", names.join(", ")) }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_secs())
    }
}
