//! Why a request did not get an answer, sorted by what a person can do about it.

use std::error::Error;
use std::time::Duration;

use super::Session;
use super::credential::CredentialFailure;
use crate::problem::Problem;
use crate::sources::net::error::{ConnectError, TlsFault, find, innermost, seconds};

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
        /// Who the token speaks for, as an access entry names them, where AWS said so.
        principal: Option<String>,
        /// How the cluster lets people in (`authenticationMode`), where EKS said so.
        mode: Option<String>,
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
            Self::Connect(ConnectError::Unreachable(..) | ConnectError::Timeout { .. }) => match session.closed() {
                Some(closed) => unreachable()
                    .because(format!("{self}; {closed}"))
                    .hint("connect through its VPC (VPN, bastion, proxy), or open the endpoint to your address"),
                None if host.contains(".eks.amazonaws.com") => unreachable().hint(
                    "the endpoint may be private or closed to your address: check VPN, proxy and publicAccessCidrs",
                ),
                None => unreachable().hint("check the network, VPN and proxy settings"),
            },
            Self::Connect(ConnectError::Proxy(..) | ConnectError::Settings(_)) => {
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
            Self::Unauthorized { clock_ahead, principal, mode, .. } => {
                let problem = Problem::new(format!("{host} does not accept your credentials"));
                if let Some(seconds) = clock_ahead {
                    let side = if *seconds > 0 { "ahead of" } else { "behind" };
                    return problem
                        .because(format!("{self}; this machine's clock is {}s {side} the server's", seconds.abs()))
                        .hint("set the clock right: tokens are only good for minutes");
                }
                match (principal, session.eks()) {
                    (Some(principal), Some(Ok(eks))) => {
                        let name = &eks.claim.name;
                        let known =
                            mode.as_ref().map_or_else(String::new, |mode| format!("; authenticationMode={mode}"));
                        let problem = problem.because(format!("{self}; you are {principal}{known}"));
                        if mode.as_deref() == Some("CONFIG_MAP") {
                            return problem.hint(format!(
                                "the ConfigMap aws-auth may not name it; who may change that runs: eksctl create \
                                 iamidentitymapping --cluster {name} --arn {principal}"
                            ));
                        }
                        problem.hint(format!(
                            "it may have no access entry; who may add one runs: aws eks create-access-entry \
                             --cluster-name {name} --principal-arn {principal}"
                        ))
                    }
                    _ => problem.because(self).hint(facts.sign_in.hint(facts.user.as_deref().unwrap_or_default())),
                }
            }
            Self::Credentials(failure) => failure.problem.clone(),
            Self::ReadOnly { .. } => {
                Problem::new("this session is read-only").because(self).hint("start without --readonly to make changes")
            }
            Self::TooLarge(_) | Self::Other(_) => Problem::new(format!("the request to {host} failed")).because(self),
        }
    }
}
