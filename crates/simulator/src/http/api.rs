//! The HTTP API: from a request to its answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http::{Method, Request, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::Value;

use super::access;
use super::answer::{self, Answer};
use super::body;
use super::discovery;
use super::exec::Upgrade;
use super::list;
use super::negotiate::{Format, JSON, PROTOBUF, Shape, negotiate};
use super::openapi;
use super::query::Query;
use super::render::{Include, ListMeta, Render};
use super::route::{Route, Target};
use super::selector::Selector;
use super::status::Status;
use super::watch::Watch;
use super::write::Place;
use crate::aws::signature;
use crate::catalog::{ALL, DEFINITIONS, NODES, PODS, ResourceId};
use crate::cluster::metrics;
use crate::faults::{Faults, Operation};
use crate::object::{Object, key};
use crate::owner::Owner;
use crate::print::table;
use crate::requests;
use crate::world::World;

/// No object, in no encoding.
const GARBAGE: &[u8] = b"\xff\xfe\x00\x00<html>\x1b[31m{\"kind\":";
/// How often a request that is held looks whether it may go on.
const HELD: Duration = Duration::from_millis(5);

/// What all requests share.
#[derive(Debug)]
pub struct Service {
    pub owner: Owner,
    /// `host:port`, as discovery tells it.
    pub address: String,
}

/// A request, as far as its head tells.
pub struct Call {
    pub route: Route,
    pub query: Query,
    /// What the client calls itself.
    pub agent: String,
    /// The media type of the body.
    pub content_type: String,
    accept: String,
    gzip: bool,
    faults: Faults,
    pub cut: Option<u64>,
}

/// What the world says to a request before anything else is looked at.
enum Verdict {
    Go(Box<Faults>, Box<Operation>),
    Refuse(Status),
    Hang,
}

impl Call {
    /// The time by the server's clock, in seconds since 1970.
    fn now(&self) -> i64 {
        Timestamp::now().as_second().saturating_add(self.faults.clock_ahead_s)
    }
}

impl Service {
    /// Answers a request, with the time of the server's clock.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut answer = self.admitted(request).await;
        let ahead_s = self.owner.ask(|world| world.faults.clock_ahead_s).await.unwrap_or(0);
        if ahead_s != 0
            && let Ok(time) = Timestamp::from_second(Timestamp::now().as_second().saturating_add(ahead_s))
            && let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&time)
            && let Ok(date) = date.parse()
        {
            answer.headers_mut().insert(header::DATE, date);
        }
        answer
    }

    async fn admitted(&self, mut request: Request<Incoming>) -> Answer {
        let on = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let text =
            |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let route = Route::of(&head.method, &path, &query);
        let accept = text(header::ACCEPT).to_owned();
        let gzip = text(header::ACCEPT_ENCODING).split(',').any(|coding| coding.trim().starts_with("gzip"));
        let token = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().to_owned();
        // Errors are told in the encoding that was asked for.
        let format = negotiate(&accept, true, false).map_or(Format::Json, |(format, _)| format);
        let logged = requests::Request {
            verb: route.verb.to_owned(),
            path: path.clone(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            accept: accept.clone(),
        };
        let asked = route.clone();
        let verdict = self.owner.ask(move |world| admit(world, &asked, logged, &token)).await;
        let (faults, strike) = match verdict {
            Some(Verdict::Go(faults, strike)) => (*faults, *strike),
            Some(Verdict::Refuse(status)) => return answer::failure(&status, format),
            Some(Verdict::Hang) => std::future::pending().await,
            None => return answer::failure(&Status::internal("the server is shutting down"), format),
        };
        if accept.contains(PROTOBUF) && faults.no_protobuf.iter().any(|verb| verb == route.verb) {
            return answer::failure(&Status::not_acceptable(&[JSON]), Format::Json);
        }
        while !faults.hold.is_empty() && self.holds(route.verb).await {
            tokio::time::sleep(HELD).await;
        }
        let latency_ms = faults.latency_ms + strike.latency_ms;
        if latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
        if strike.drop {
            return answer::dropped();
        }
        if let Some(code) = strike.refuse {
            return answer::failure(&Status::failing(code), format);
        }
        if strike.garbage {
            return answer::whole(200, format.content_type(route.verb == "watch"), GARBAGE);
        }
        let [agent, content_type] = [header::USER_AGENT, header::CONTENT_TYPE].map(|name| text(name).to_owned());
        let cut = strike.cut_after_bytes;
        let call = Call { route, query, agent, content_type, accept, gzip, faults, cut };
        if let Target::Resource { resource: PODS, namespace, name, subresource } = &call.route.target
            && matches!(subresource.as_str(), "exec" | "portforward")
        {
            let [key, protocols] =
                [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_PROTOCOL].map(|name| text(name).to_owned());
            let upgrade = Upgrade { key, protocols, on };
            let answered = match subresource.as_str() {
                "exec" => self.exec(&call, namespace, name, upgrade).await,
                _ => self.forward(&call, namespace, name, upgrade).await,
            };
            return answered.unwrap_or_else(|status| answer::failure(&status, format));
        }
        match self.dispatch(&call, &head.method, &path, body).await {
            Ok(answer) => answer,
            Err(status) => answer::failure(&status, format),
        }
    }

    async fn holds(&self, verb: &'static str) -> bool {
        self.owner.ask(move |world| world.faults.hold.iter().any(|held| held == verb)).await == Some(true)
    }

    async fn dispatch(&self, call: &Call, method: &Method, path: &str, body: Incoming) -> Result<Answer, Status> {
        let read = method == Method::GET || method == Method::HEAD;
        match &call.route.target {
            Target::Plain => self.plain(call, method, path, body).await,
            Target::Discovery(at) if read => Ok(self.discovery(call, path, at.as_ref())),
            Target::Review(kind) if method == Method::POST => {
                let review = body::value(&body::bytes(body).await?, &call.content_type)?;
                if !review.is_object() {
                    return Err(Status::bad_request("the body is not an object"));
                }
                let answer = match kind.as_str() {
                    "selfsubjectaccessreviews" => access::access_review(review, &call.faults)?,
                    "selfsubjectrulesreviews" => access::rules_review(review, &call.faults)?,
                    _ => access::self_review(call.now()),
                };
                Ok(answer::json(201, &answer))
            }
            Target::Resource { resource, namespace, name, subresource } => {
                let (resource, namespace, name) = (*resource, namespace.as_str(), name.as_str());
                let whole = subresource.is_empty()
                    || subresource == "status" && discovery::has_subresource(&resource, "status");
                match call.route.verb {
                    "list" if whole => self.list(call, resource, namespace).await,
                    "watch" if whole && !resource.is_metrics() => self.watch(call, resource, namespace).await,
                    "get" if whole => self.get(call, resource, namespace, name).await,
                    "get" if subresource == "log" && resource == PODS => self.logs(call, namespace, name).await,
                    _ if resource.is_metrics() => Err(Status::method_not_allowed()),
                    _ => self.write(call, Place { resource, namespace, name, subresource }, body).await,
                }
            }
            Target::Unknown(true) => Err(Status::no_resource()),
            Target::Unknown(false) => Ok(answer::no_page()),
            Target::Discovery(_) | Target::Review(_) => Err(Status::method_not_allowed()),
        }
    }

    async fn plain(&self, call: &Call, method: &Method, path: &str, body: Incoming) -> Result<Answer, Status> {
        let closed = || Status::internal("the server is shutting down");
        match (path, method.as_str()) {
            ("/version", "GET") => Ok(answer::json(200, &discovery::version())),
            (path, "GET") if path == "/openapi/v3" || path.starts_with("/openapi/v3/") => {
                let document = openapi::document(path.trim_start_matches("/openapi/v3").trim_start_matches('/'));
                Ok(document.map_or_else(answer::no_page, |document| answer::json(200, &document)))
            }
            ("/openapi/v2", "GET") if call.accept.contains("protobuf") => {
                Ok(answer::whole(200, openapi::OLD_PROTOBUF, openapi::old_message()))
            }
            ("/openapi/v2", "GET") => Ok(answer::json(200, &openapi::old())),
            ("/readyz" | "/healthz" | "/livez", "GET") => Ok(answer::whole(200, "text/plain; charset=utf-8", "ok")),
            ("/sim/faults", "GET") => Ok(answer::json(200, &serde_json::to_value(&call.faults).unwrap_or_default())),
            ("/sim/faults", "PUT") => {
                let faults: Faults = serde_json::from_value(json_of(body).await?)
                    .map_err(|error| Status::bad_request(error.to_string()))?;
                self.owner.tell(move |world| world.faults = faults);
                Ok(answer::json(200, &Value::Null))
            }
            ("/sim/churn", "PUT") => {
                let churn = json_of(body).await?.as_f64().ok_or_else(|| Status::bad_request("not a number"))?;
                self.owner.tell(move |world| world.churn = churn);
                Ok(answer::json(200, &Value::Null))
            }
            ("/sim/speed", "PUT") => {
                let speed = json_of(body).await?.as_f64().filter(|speed| *speed >= 0.0);
                let speed = speed.ok_or_else(|| Status::bad_request("not a number that is 0 or more"))?;
                self.owner.tell(move |world| world.speed = speed);
                Ok(answer::json(200, &Value::Null))
            }
            ("/sim/requests", "GET") => {
                let log = self.owner.ask(|world| world.log.clone()).await.ok_or_else(closed)?;
                Ok(answer::json(200, &serde_json::to_value(&log).unwrap_or_default()))
            }
            ("/sim/requests", "DELETE") => {
                self.owner.tell(|world| world.log = requests::RequestLog::default());
                Ok(answer::json(200, &Value::Null))
            }
            _ => Ok(answer::no_page()),
        }
    }

    fn discovery(&self, call: &Call, path: &str, at: Option<&(String, String)>) -> Answer {
        let core = path.trim_end_matches('/') == "/api";
        match at {
            Some((group, version)) if !version.is_empty() => {
                answer::json(200, &discovery::resource_list(group, version))
            }
            None if discovery::is_aggregated(&call.accept) => {
                answer::whole(200, discovery::AGGREGATED, format!("{}\n", discovery::aggregated(core)))
            }
            Some((group, _)) => answer::json(200, &discovery::group(group)),
            None if core => answer::json(200, &discovery::core_versions(&self.address)),
            None => answer::json(200, &discovery::group_list()),
        }
    }

    pub async fn render(&self, call: &Call, resource: ResourceId) -> Result<Render, Status> {
        let streams = matches!(call.route.verb, "list" | "watch");
        let (format, shape) = negotiate(&call.accept, resource.encoding().message.is_some(), streams)?;
        let include = match call.query.get("includeObject") {
            "None" => Include::None,
            "Object" => Include::Object,
            "" | "Metadata" => Include::Metadata,
            other if shape == Shape::Table => {
                let message = format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be 'Metadata', \
                     'Object', 'None', or empty"
                );
                return Err(Status::bad_request(message));
            }
            _ => Include::Metadata,
        };
        let definition = format!("{}.{}", resource.plural, resource.group);
        let (chunks, definition) = self
            .owner
            .ask(move |world| (Arc::clone(&world.chunks), world.get(DEFINITIONS, &definition)))
            .await
            .unwrap_or_default();
        let columns = match (shape, definition) {
            (Shape::Table, Some(definition)) => table::of_definition(&definition.value(), resource.version),
            (Shape::Table, None) => table::built_in(resource),
            _ => Vec::new(),
        };
        let now = call.now();
        Ok(Render { resource, format, shape, include, now, columns: columns.into(), chunks })
    }

    fn selector(call: &Call, resource: ResourceId) -> Result<Selector, Status> {
        Selector::parse(&resource, call.query.get("labelSelector"), call.query.get("fieldSelector"))
    }

    async fn list(&self, call: &Call, resource: ResourceId, namespace: &str) -> Result<Answer, Status> {
        let render = self.render(call, resource).await?;
        let selector = Self::selector(call, resource)?;
        let page = if resource.is_metrics() {
            let of = namespace.to_owned();
            let now = render.now;
            let objects =
                self.owner.ask(move |world| metrics::list(world, resource, &of, now)).await.unwrap_or_default();
            let objects = objects.into_iter().filter(|object| selector.matches(object)).collect();
            list::Page { meta: ListMeta::default(), objects }
        } else {
            list::page(&self.owner, resource, namespace, &call.query, &selector).await?
        };
        let pieces = render.list(&page.meta, page.objects);
        Ok(answer::list(render.format.content_type(false), pieces, call.gzip, call.cut))
    }

    async fn watch(&self, call: &Call, resource: ResourceId, namespace: &str) -> Result<Answer, Status> {
        let render = self.render(call, resource).await?;
        let selector = Self::selector(call, resource)?;
        let content_type = render.format.content_type(true);
        let watch = Watch::start(self.owner.clone(), render, namespace, &call.query, selector, &call.faults).await?;
        let pieces = stream::unfold(watch, |mut watch| async { watch.next().await.map(|piece| (piece, watch)) });
        Ok(answer::streamed(content_type, pieces, call.cut))
    }

    async fn find(&self, resource: ResourceId, namespace: &str, name: &str, now: i64) -> Result<Arc<Object>, Status> {
        let at = key(namespace, name);
        let find = move |world: &mut World| {
            if resource.is_metrics() { metrics::get(world, resource, &at, now) } else { world.get(resource, &at) }
        };
        self.owner.ask(find).await.flatten().ok_or_else(|| Status::not_found(&resource, name))
    }

    async fn get(&self, call: &Call, resource: ResourceId, namespace: &str, name: &str) -> Result<Answer, Status> {
        let render = self.render(call, resource).await?;
        let object = self.find(resource, namespace, name, call.now()).await?;
        Ok(answer::whole(200, render.format.content_type(false), render.object(&object)))
    }
}

async fn json_of(body: Incoming) -> Result<Value, Status> {
    body::value(&body::bytes(body).await?, "")
}

/// Logs the request and says whether it may go on.
fn admit(world: &mut World, route: &Route, logged: requests::Request, token: &str) -> Verdict {
    let path = logged.path.clone();
    let own = path.starts_with("/sim/");
    if !own {
        world.log.add(logged);
    }
    let minted = || {
        let now = signature::now(world.faults.clock_ahead_s);
        signature::is_cluster_token(token, world.cluster.size.site.name, &world.cloud.keys, now)
    };
    if token != world.token && !minted() {
        return Verdict::Refuse(Status::unauthorized());
    }
    if own {
        return Verdict::Go(Box::new(world.faults.clone()), Box::default());
    }
    if world.faults.hang.iter().any(|prefix| path.starts_with(prefix.as_str())) {
        return Verdict::Hang;
    }
    if world.faults.unauthorized > 0 {
        if world.faults.unauthorized < u32::MAX {
            world.faults.unauthorized -= 1;
        }
        return Verdict::Refuse(Status::unauthorized());
    }
    if let Some(throttle) = &mut world.faults.throttle
        && throttle.requests > 0
    {
        throttle.requests -= 1;
        return Verdict::Refuse(Status::too_many_requests(throttle.retry_after_s));
    }
    if let Target::Resource { resource, namespace, name, subresource } = &route.target {
        if ![PODS, NODES].contains(resource) && !resource.is_metrics() {
            world.furnish();
        }
        let mut asked = ALL[resource.index()].plural.to_owned();
        if !subresource.is_empty() {
            asked = format!("{asked}/{subresource}");
        }
        if world.faults.forbids(route.verb, &asked, namespace) {
            return Verdict::Refuse(Status::forbidden(route.verb, resource, namespace, name, subresource));
        }
    }
    let resource = match &route.target {
        Target::Resource { resource, .. } => ALL[resource.index()].plural,
        _ => "",
    };
    let mut strike = world.faults.strike(route.verb, resource, &path);
    let streams = matches!(route.verb, "list" | "watch");
    let cut = world.faults.cut_after_bytes.filter(|_| streams && world.faults.cuts != Some(0));
    if let (Some(_), Some(cuts)) = (cut, &mut world.faults.cuts) {
        *cuts -= 1;
    }
    strike.cut_after_bytes = strike.cut_after_bytes.or(cut);
    Verdict::Go(Box::new(world.faults.clone()), Box::new(strike))
}
