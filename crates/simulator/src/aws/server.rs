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
use crate::cluster::node::REGION;
use crate::cluster::site::GROUPLESS;
use crate::faults::AwsOperation;
use crate::http::answer::{Answer, dropped, whole};
use crate::http::server::Account;
use crate::http::{body, query};
use crate::owner::Owner;
use crate::requests;
use crate::world::World;

/// What the account says to a call before it does it.
struct Admitted {
    call: Call,
    strike: AwsOperation,
    request_id: String,
}

/// Answers a request.
pub async fn answer(account: &Account, request: Request<Incoming>) -> Answer {
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
    let admitted = account.own.ask(move |world| admit(world, call, &scope, &head, &bytes)).await;
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
    let done = account.perform(&call).await;
    if strike.lose {
        return dropped();
    }
    match done {
        Some(Ok(result)) => answer::success(&call, &result, &request_id),
        Some(Err(failure)) => answer::failure(service, &failure, &request_id),
        None => refused(service, &Failure::internal(service)),
    }
}

/// What a page of the other world's instances begins with.
const BESIDE: &str = "beside/";

async fn done_by(owner: &Owner, call: &Call) -> Option<Result<Value, Failure>> {
    let call = call.clone();
    owner.ask(move |world| perform(world, &call)).await
}

impl Account {
    /// Does what a call asks for. All that the account has stands in its own world, but for the instances of the other.
    async fn perform(&self, call: &Call) -> Option<Result<Value, Failure>> {
        let listed = call.service == Service::Ec2 && call.operation == "DescribeInstances" && call.region == REGION;
        let Some(beside) = self.beside.as_ref().filter(|_| listed) else { return done_by(&self.own, call).await };
        let token = input::text(&call.input, "NextToken");
        if let Some(rest) = token.strip_prefix(BESIDE) {
            let mut call = call.clone();
            call.input["NextToken"] = rest.into();
            return done_by(beside, &call).await.map(|done| done.map(|page| marked(page, false)));
        }
        let tagged = format!("tag:kubernetes.io/cluster/{}", GROUPLESS.name);
        if input::filters(&call.input).iter().any(|(name, _)| *name == tagged) {
            return done_by(beside, call).await;
        }
        let own = done_by(&self.own, call).await?;
        match own {
            // Ids that are not of this world are of the other, or of nobody.
            Err(failure) if failure.code == "InvalidInstanceID.NotFound" => {
                Some(done_by(beside, call).await?.map_err(|_| failure))
            }
            // Who asks for ids or for another cluster's has got all there is.
            Ok(page) if page["nextToken"].is_string() || narrowed(call) => Some(Ok(page)),
            Ok(page) => Some(Ok(marked(page, true))),
            failed => Some(failed),
        }
    }
}

/// Whether a call asks for instances by their ids or by a cluster.
fn narrowed(call: &Call) -> bool {
    !input::texts(&call.input, "InstanceId").is_empty()
        || input::filters(&call.input).iter().any(|(name, _)| name.starts_with("tag:kubernetes.io/cluster/"))
}

/// A page that says where to go on in the other world.
fn marked(mut page: Value, first: bool) -> Value {
    let next = page["nextToken"].as_str().map(|rest| format!("{BESIDE}{rest}"));
    page["nextToken"] = next.or_else(|| first.then(|| BESIDE.to_owned())).into();
    page
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
