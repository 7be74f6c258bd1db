//! Why no connection came about, and how to find what really happened in a chain of causes.

use std::error::Error;
use std::time::Duration;

use http::Uri;
use rustls::{AlertDescription, CertificateError};

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
    /// The settings for connections cannot be used.
    #[error("{0}")]
    Settings(String),
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
    pub fn tcp(target: &Uri, error: &(dyn Error + 'static)) -> Self {
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

    pub fn tls(error: &std::io::Error) -> Self {
        match find::<rustls::Error>(error) {
            Some(fault) => Self::Tls(TlsFault::of(fault)),
            // Closed or reset in the middle of the handshake.
            None => Self::Tls(TlsFault::Other(error.to_string())),
        }
    }

    pub fn proxy(proxy: &Uri, error: &(dyn Error + 'static)) -> Self {
        Self::Proxy(address(proxy), innermost(error))
    }
}

impl TlsFault {
    pub fn of(error: &rustls::Error) -> Self {
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

/// The part of the chain that says what really happened.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
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

pub fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
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

/// A length of time for sentences.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_secs())
    }
}
