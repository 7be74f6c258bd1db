//! Why a call to AWS brought no answer, sorted by what a person can do about it, and how the protocols say it.

use std::time::Duration;

use http::{HeaderMap, header};
use serde::Deserialize;

use super::endpoint::Service;
use super::exchange::{Fault, Reply};
use super::profile::Sso;
use super::xml::Node;
use crate::problem::Problem;
use crate::util::redact::redact;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} in {region}: {kind} {code} {message}", self.permission())]
pub struct AwsError {
    /// The service, as permissions have it.
    pub service: &'static str,
    pub operation: &'static str,
    pub region: String,
    pub kind: ErrorKind,
    /// The service's word for it (`ResourceInUseException`); empty where no service spoke.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
}

/// What a failure comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The identity may not do this. Holds the permission that is missing, in the service's own words where it names it.
    Denied(String),
    Throttled,
    /// The credentials have expired or are unknown.
    Expired,
    NotFound,
    /// 409: something else is going on with this resource, or it exists already.
    Conflict,
    /// The request's values are refused.
    Invalid,
    /// The endpoint does not know the operation: a local stand-in for AWS, or a region without the service.
    UnknownOperation,
    /// The secret does not belong to the key.
    BadKey,
    /// The region is not switched on for the account, or belongs to another partition.
    RegionOff,
    /// This machine's clock is off by so many seconds (positive: ahead), as far as the answer's date tells.
    Clock(Option<i64>),
    /// AWS itself failed.
    Server,
    /// No credentials could be had; nothing was sent.
    SignIn(SignInFailure),
    /// No answer came.
    Network(Fault),
    /// An answer came that cannot be understood.
    Unreadable,
    /// Nobody has said which region is meant; nothing was sent.
    NoRegion,
    /// Refused before anything was sent: the session only reads.
    ReadOnly,
    Other,
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Denied(_) => "denied",
            Self::Throttled => "throttled",
            Self::Expired => "credentials expired",
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid request",
            Self::UnknownOperation => "unknown operation",
            Self::BadKey => "wrong secret",
            Self::RegionOff => "region not enabled",
            Self::Clock(_) => "clock",
            Self::Server => "service failed",
            Self::SignIn(failure) => return failure.fmt(f),
            Self::Network(fault) => return fault.fmt(f),
            Self::Unreadable => "unreadable answer",
            Self::NoRegion => "no region",
            Self::ReadOnly => "read-only",
            Self::Other => "failed",
        })
    }
}

/// Why there are no credentials, and what would bring some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SignInFailure {
    pub problem: Problem,
    pub way_out: WayOut,
}

/// What a person can do about missing credentials from within the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOut {
    /// Sign in by IAM Identity Center: see [`super::login`].
    SsoLogin(Box<Sso>),
    /// Ask again, and give the code of the device this time.
    Code,
    /// Put credentials where they are looked for, then reload.
    Reload,
}

impl From<Problem> for SignInFailure {
    fn from(problem: Problem) -> Self {
        Self { problem, way_out: WayOut::Reload }
    }
}

impl AwsError {
    pub fn new(service: Service, operation: &'static str, region: &str, kind: ErrorKind) -> Self {
        Self {
            service: service.name,
            operation,
            region: region.to_owned(),
            kind,
            code: String::new(),
            message: String::new(),
            request_id: None,
            retry_after: None,
        }
    }

    /// The permission that the call needs: `eks:ListNodegroups`.
    pub fn permission(&self) -> String {
        match &self.kind {
            ErrorKind::Denied(permission) => permission.clone(),
            _ => format!("{}:{}", self.service, self.operation),
        }
    }

    /// An answer that could not be taken apart.
    pub fn unreadable(service: Service, operation: &'static str, region: &str, why: impl std::fmt::Display) -> Self {
        Self { message: why.to_string(), ..Self::new(service, operation, region, ErrorKind::Unreadable) }
    }

    /// Reads the refusal out of an answer that is not 2xx: JSON with `__type` or `x-amzn-errortype`, XML of query
    /// services and of EC2, or whatever a stand-in for AWS sends.
    pub fn of_reply(service: Service, operation: &'static str, region: &str, reply: &Reply) -> Self {
        let said = Said::of(reply);
        let (status, code) = (reply.status, said.code);
        let kind = match code.as_str() {
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "AuthorizationError" => {
                ErrorKind::Denied(
                    denied_action(&said.message).unwrap_or_else(|| format!("{}:{operation}", service.name)),
                )
            }
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "PriorRequestNotComplete"
            | "SlowDown" => ErrorKind::Throttled,
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => ErrorKind::Expired,
            // Also what a region answers that is not switched on; the caller knows whether another region takes them.
            "InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure" | "InvalidAccessKeyId" => {
                ErrorKind::RegionOff
            }
            "OptInRequired" | "RegionDisabledException" => ErrorKind::RegionOff,
            "RequestTimeTooSkewed" => ErrorKind::Clock(reply.clock_ahead()),
            "SignatureDoesNotMatch" | "InvalidSignatureException"
                if said.message.contains("Signature expired") || said.message.contains("Signature not yet current") =>
            {
                ErrorKind::Clock(reply.clock_ahead())
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => ErrorKind::BadKey,
            "ResourceInUseException" | "ResourceInUse" | "ScalingActivityInProgress" | "ResourceContention" => {
                ErrorKind::Conflict
            }
            "ResourceNotFoundException" | "NotFoundException" | "ParameterNotFound" => ErrorKind::NotFound,
            "InvalidAction" | "UnknownOperationException" | "NotImplemented" | "UnsupportedOperation" => {
                ErrorKind::UnknownOperation
            }
            "InvalidParameterException" | "InvalidRequestException" | "ValidationError" | "ValidationException" => {
                ErrorKind::Invalid
            }
            other if other.ends_with(".NotFound") => ErrorKind::NotFound,
            "" if status == 404 || status == 405 || status == 501 => ErrorKind::UnknownOperation,
            _ => match status {
                // Without AWS's own words for it, somebody on the way may have said no.
                403 if said.message.contains("authorized") => {
                    ErrorKind::Denied(format!("{}:{operation}", service.name))
                }
                404 => ErrorKind::NotFound,
                409 => ErrorKind::Conflict,
                429 => ErrorKind::Throttled,
                400..=499 => ErrorKind::Other,
                _ => ErrorKind::Server,
            },
        };
        let message = if said.message.is_empty() { format!("HTTP {status}") } else { said.message };
        Self {
            kind,
            code,
            message,
            request_id: said.request_id,
            retry_after: retry_after(&reply.headers),
            ..Self::new(service, operation, region, ErrorKind::Other)
        }
    }

    /// The error in the user's words, with the way out.
    pub fn problem(&self) -> Problem {
        let (service, permission, region) = (self.service, self.permission(), &self.region);
        let with_code = || {
            let request = self.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
            let code = if self.code.is_empty() { String::new() } else { format!("{}: ", self.code) };
            format!("{code}{}{request}", self.message)
        };
        match &self.kind {
            ErrorKind::Denied(_) => Problem::new(format!("AWS denies {permission} in {region}"))
                .because(with_code())
                .hint(format!("ask for the permission {permission}; `ekscope doctor` prints the policies")),
            ErrorKind::Throttled => Problem::new(format!("AWS throttles {permission} in {region}"))
                .because(with_code())
                .hint("too many calls for this account and region; it is tried again, more slowly"),
            ErrorKind::Expired => Problem::new("the AWS credentials have expired")
                .because(with_code())
                .hint("renew them, then `:reload` on screen; no restart is needed"),
            ErrorKind::BadKey => Problem::new("AWS does not accept the secret of this key")
                .because(with_code())
                .hint("write key and secret anew: they must come from the same pair"),
            ErrorKind::RegionOff => {
                Problem::new(format!("{region} does not know these credentials")).because(with_code()).hint(
                    "the region may not be switched on for this account (`aws ec2 describe-regions` lists those that \
                     are), or the key was deleted",
                )
            }
            ErrorKind::Clock(ahead) => {
                let by = ahead.map(|ahead| {
                    format!("this machine's clock is {} s {}", ahead.abs(), if ahead > 0 { "ahead" } else { "behind" })
                });
                Problem::new("AWS does not accept the time of the request")
                    .because(by.unwrap_or_else(with_code))
                    .hint("set the clock right")
            }
            ErrorKind::NotFound => Problem::new(format!("{service} in {region} does not know it")).because(with_code()),
            ErrorKind::Conflict => {
                Problem::new("AWS is busy with it").because(with_code()).hint("wait until what is going on has ended")
            }
            ErrorKind::Invalid => {
                Problem::new(format!("AWS refuses the values of {}", self.operation)).because(with_code())
            }
            ErrorKind::UnknownOperation => Problem::new(format!("this endpoint does not know {permission}"))
                .because(format!("{} answered as if there were no such operation", self.service))
                .hint("a local stand-in for AWS may lack it; check AWS_ENDPOINT_URL"),
            ErrorKind::Server => Problem::new(format!("{service} in {region} failed")).because(with_code()),
            ErrorKind::SignIn(failure) => failure.problem.clone(),
            ErrorKind::Network(fault) => fault.problem(&format!("{service} in {region}")),
            ErrorKind::Unreadable => {
                Problem::new(format!("the answer of {service} in {region} to {} cannot be read", self.operation))
                    .because(&self.message)
            }
            ErrorKind::NoRegion => Problem::new("no AWS region is chosen")
                .because(format!("{permission} has to be asked in one"))
                .hint("give --region, AWS_REGION, or a region in the profile"),
            ErrorKind::ReadOnly => Problem::new("this session is read-only")
                .because(format!("{permission} is not sent"))
                .hint("start without --readonly to make changes"),
            ErrorKind::Other => Problem::new(format!("{permission} failed in {region}")).because(with_code()),
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// `… is not authorized to perform: eks:ListNodegroups on resource: …`
fn denied_action(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("to perform: ")?;
    let action: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == ':' || *c == '-').collect();
    action.contains(':').then_some(action)
}

/// What an answer says in whatever form.
#[derive(Default)]
struct Said {
    code: String,
    message: String,
    request_id: Option<String>,
}

impl Said {
    fn of(reply: &Reply) -> Self {
        let header = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id")).map(str::to_owned);
        let text = reply.body.trim_ascii_start();
        let mut said = match text.first() {
            Some(b'{') => Self::of_json(text),
            Some(b'<') => Self::of_xml(text),
            _ => None,
        }
        .unwrap_or_default();
        if let Some(code) = header("x-amzn-errortype") {
            code.clone_into(&mut said.code);
        }
        // `aws.protocoltests#Code:http://…`: only the name between counts.
        let bare = said.code.split(':').next().unwrap_or_default();
        said.code = bare.rsplit('#').next().unwrap_or_default().chars().take(80).collect();
        said.request_id = request_id.or(said.request_id);
        let message: String = said.message.chars().filter(|character| !character.is_control()).take(600).collect();
        // Of a wrong signature it repeats the whole request, session token included. Else names must stay legible.
        said.message = if said.code.contains("Signature") { redact(&message, &[]) } else { message };
        said
    }

    fn of_json(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "__type")]
            kind: Option<String>,
            code: Option<String>,
            #[serde(alias = "Message")]
            message: Option<String>,
            /// Of OAuth: the sign-in by SSO.
            error: Option<String>,
            error_description: Option<String>,
        }
        let body: Body = serde_json::from_slice(text).ok()?;
        Some(Self {
            code: body.kind.or(body.code).or(body.error).unwrap_or_default(),
            message: body.message.or(body.error_description).unwrap_or_default(),
            request_id: None,
        })
    }

    fn of_xml(text: &[u8]) -> Option<Self> {
        let root = Node::parse(text).ok()?;
        // `<ErrorResponse><Error>…` of query services, `<Response><Errors><Error>…` of EC2.
        let error = root.find("Error").or_else(|| root.find("Errors")?.find("Error"))?;
        let request_id = root.text("RequestId").or_else(|| root.text("RequestID")).map(str::to_owned);
        Some(Self {
            code: error.text("Code").unwrap_or_default().to_owned(),
            message: error.text("Message").unwrap_or_default().to_owned(),
            request_id,
        })
    }
}
