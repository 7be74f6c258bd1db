//! Requests of the AWS side: taken apart, admitted or not, done, and answered.

use std::time::Duration;

use http::Request;
use http::request::Parts;
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::{self, Failure};
use super::cloud::Cloud;
use super::signature::{self, Scope};
use super::{Call, Service, eks, input, listings, perform};
use crate::sim::faults::AwsOperation;
use crate::sim::http::answer::{Answer, dropped, whole};
use crate::sim::http::{body, query};
use crate::sim::owner::Owner;
use crate::sim::requests;
use crate::sim::world::World;

/// What the account says to a call before it does it.
struct Admitted {
    call: Call,
    strike: AwsOperation,
    request_id: String,
}

/// Answers a request.
pub async fn answer(owner: &Owner, request: Request<Incoming>) -> Answer {
    let (head, incoming) = request.into_parts();
    let Ok(bytes) = body::bytes(incoming).await else {
        return whole(413, "text/plain", "the body is too large");
    };
    let Some(scope) = Scope::of(&head) else {
        return refused(
            Service::Eks,
            &Failure::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        );
    };
    let Some(service) = Service::signed_as(&scope.service) else {
        return refused(
            Service::Eks,
            &Failure::new(404, "UnknownOperationException", "The demo world has no such service"),
        );
    };
    let call = match read(service, &scope, &head, &bytes) {
        Ok(call) => call,
        Err(failure) => return refused(service, &failure),
    };
    let admitted = owner.ask(move |world| admit(world, call, &scope, &head, &bytes)).await;
    let Admitted { call, strike, request_id } = match admitted {
        Some(Ok(admitted)) => admitted,
        Some(Err((failure, id))) => return answer::failure(service, &failure, &id),
        None => return refused(service, &Failure::internal(service)),
    };
    if strike.hang {
        std::future::pending::<()>().await;
    }
    if strike.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(strike.latency_ms)).await;
    }
    if let Some(failure) = struck(&call, &strike) {
        return answer::failure(service, &failure, &request_id);
    }
    let asked = call.clone();
    let done = owner.ask(move |world| perform(world, &asked)).await;
    if strike.lose {
        return dropped();
    }
    match done {
        Some(Ok(result)) => answer::success(&call, &result, &request_id),
        Some(Err(failure)) => answer::failure(service, &failure, &request_id),
        None => refused(service, &Failure::internal(service)),
    }
}

fn refused(service: Service, failure: &Failure) -> Answer {
    answer::failure(service, failure, "00000000-0000-0000-0000-000000000000")
}

/// The failure that a fault has in store.
fn struck(call: &Call, strike: &AwsOperation) -> Option<Failure> {
    if strike.deny {
        return Some(Failure::denied(call, &listings::caller()));
    }
    if strike.throttle {
        return Some(Failure::throttled(call.service));
    }
    strike.refuse.then(|| Failure::internal(call.service))
}

/// Which operation a request asks for, and its parameters.
fn read(service: Service, scope: &Scope, head: &Parts, bytes: &[u8]) -> Result<Call, Failure> {
    let pairs = |text: &str| query::Query::parse(text).into_pairs();
    let of_query = pairs(head.uri.query().unwrap_or_default());
    let (operation, input) = match service {
        Service::Eks => match eks::route(head.method.as_str(), head.uri.path()) {
            Some((operation, parameters)) => {
                let mut input = if bytes.is_empty() { Value::Null } else { json(service, bytes)? };
                if !input.is_object() {
                    input = Value::Object(serde_json::Map::new());
                }
                if let Some(fields) = input.as_object_mut() {
                    fields.extend(of_query.into_iter().map(|(name, value)| (name, value.into())));
                    fields.extend(parameters);
                }
                (operation.to_owned(), input)
            }
            None => (String::new(), Value::Null),
        },
        Service::Ssm | Service::Pricing => {
            let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            (target.rsplit('.').next().unwrap_or_default().to_owned(), json(service, bytes)?)
        }
        Service::AutoScaling | Service::Ec2 | Service::Sts => {
            let form = if bytes.is_empty() { of_query } else { pairs(&String::from_utf8_lossy(bytes)) };
            let input = input::tree(form);
            (input::text(&input, "Action").to_owned(), input)
        }
    };
    Ok(Call { service, operation, region: scope.region.clone(), input })
}

fn json(service: Service, bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::new(400, "SerializationException", format!("{}: {error}", service.name())))
}

/// Logs a call, checks who asks, and says what befalls it.
fn admit(
    world: &mut World,
    call: Call,
    scope: &Scope,
    head: &Parts,
    bytes: &[u8],
) -> Result<Admitted, (Failure, String)> {
    let agent = head.headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    world.log.add(requests::Request {
        verb: call.operation.clone(),
        path: format!("{}.{}", call.service.name(), call.region),
        query: agent.to_owned(),
        accept: String::new(),
    });
    let request_id = world.cloud.request_id();
    let now = signature::now(world.faults.clock_ahead_s);
    if let Err(failure) = scope.check(&world.cloud.keys, head, bytes, now) {
        return Err((worded(call.service, failure), request_id));
    }
    let Cloud { throttle, .. } = &mut world.cloud;
    let ms = jiff::Timestamp::now().as_millisecond();
    if !throttle.admit(call.service, &call.region, &call.operation, ms) {
        return Err((Failure::throttled(call.service), request_id));
    }
    let strike = world.faults.strike_aws(call.service.name(), &call.operation, &call.region);
    Ok(Admitted { call, strike, request_id })
}

/// A refusal of keys or signature in the service's own words.
fn worded(service: Service, failure: Failure) -> Failure {
    let code = match (service, failure.code) {
        (Service::Ec2, _) => "AuthFailure",
        (Service::AutoScaling | Service::Sts, code) => code,
        (_, "InvalidClientTokenId") => "UnrecognizedClientException",
        (_, _) => "InvalidSignatureException",
    };
    failure.called(code)
}
