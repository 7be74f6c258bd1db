//! Signature version 4, by `aws-sigv4`: of requests, and of URLs that prove an identity. Pure: time and keys are given.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use jiff::Timestamp;

use super::credentials::Credentials;
use crate::problem::Problem;

/// Signs a request for a service in a region: its method, URL, headers so far and body.
pub fn signed(
    mut request: Request<Bytes>,
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: Timestamp,
) -> Result<Request<Bytes>, Problem> {
    let instructions = {
        let headers: Vec<(&str, &str)> =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers.into_iter(),
            SignableBody::Bytes(request.body()),
        );
        instructions(signable, credentials, service, region, now, SigningSettings::default())?
    };
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// A GET of a URL with these headers, signed in its query and good for a while from now on.
pub fn presigned(
    url: &str,
    headers: &[(&str, &str)],
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: Timestamp,
    expires: Duration,
) -> Result<String, Problem> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(expires);
    let signable = SignableRequest::new("GET", url, headers.iter().copied(), SignableBody::Bytes(b""));
    let instructions = instructions(signable, credentials, service, region, now, settings)?;
    let mut request = Request::get(url).body(()).map_err(|error| failed(&error))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

fn instructions(
    request: Result<SignableRequest<'_>, aws_sigv4::http_request::SigningError>,
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: Timestamp,
    settings: SigningSettings,
) -> Result<aws_sigv4::http_request::SigningInstructions, Problem> {
    let identity = credentials.for_signing().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let output = sign(request.map_err(|error| failed(&error))?, &params).map_err(|error| failed(&error))?;
    Ok(output.into_parts().0)
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new("the request to AWS cannot be signed").because(error)
}
