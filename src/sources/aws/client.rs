//! The signed client: one call to one service, in the two protocols that they speak, with typed errors. It signs, renews
//! expired credentials once, and refuses changes of a read-only session. Which calls there are is the facades' matter;
//! when they are made and how often is their callers'.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::credentials::Credentials;
use super::endpoint::{STS, Service};
use super::error::{AwsError, ErrorKind};
use super::exchange::{Reply, form};
use super::session::AwsSession;
use super::sign::signed;
use super::xml::Node;
use crate::problem::Problem;

/// Pages of a list; who gives more goes round in circles.
const MOST_PAGES: usize = 100;

/// A call, ready to be sent.
pub(super) struct Call {
    service: Service,
    operation: &'static str,
    region: String,
    content_type: &'static str,
    target: Option<String>,
    body: Bytes,
}

impl Call {
    /// JSON 1.1: SSM and Pricing.
    pub fn json(service: Service, operation: &'static str, body: &serde_json::Value) -> Self {
        let target = Some(format!("{}.{operation}", service.version));
        let body = Bytes::from(body.to_string());
        Self { service, operation, region: String::new(), content_type: "application/x-amz-json-1.1", target, body }
    }

    /// The query protocol: EC2, Auto Scaling, STS.
    pub fn query(service: Service, operation: &'static str, parameters: &Parameters) -> Self {
        let pairs = parameters.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = form([("Action", operation), ("Version", service.version)].into_iter().chain(pairs)).into();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        Self { service, operation, region: String::new(), content_type, target: None, body }
    }

    /// In a region other than the session's: price lists are kept in few.
    pub fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    #[expect(clippy::result_large_err, reason = "one move for each call over a network")]
    fn request(&self, url: &str, credentials: &Credentials, now: Timestamp) -> Result<Request<Bytes>, AwsError> {
        let bad = |why: &dyn std::fmt::Display| AwsError::unreadable(self.service, self.operation, &self.region, why);
        let content_type = HeaderValue::from_static(self.content_type);
        let mut request = Request::post(format!("{url}/")).header(header::CONTENT_TYPE, content_type);
        if let Some(target) = &self.target {
            request = request.header("x-amz-target", target);
        }
        let request = request.body(self.body.clone()).map_err(|error| bad(&error))?;
        signed(request, credentials, self.service.name, &self.region, now).map_err(|problem| bad(&problem))
    }
}

/// Parameters of the query protocol.
#[derive(Clone, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    pub fn set_if(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// `NAME.1`, `NAME.2` …; query services want `NAME.member`, EC2 the bare name.
    pub fn list<T: AsRef<str>>(mut self, name: &str, values: &[T]) -> Self {
        let numbered =
            values.iter().zip(1..).map(|(value, number)| (format!("{name}.{number}"), value.as_ref().to_owned()));
        self.0.extend(numbered);
        self
    }

    /// One filter: `Filters.member.N.Name` and its values, or `Filter.N.…` and `Value` for EC2.
    pub fn filter(self, prefix: &str, value_name: &str, name: &str, values: &[&str]) -> Self {
        self.set(&format!("{prefix}.Name"), name).list(&format!("{prefix}.{value_name}"), values)
    }
}

/// A token for a change that must not happen twice: one for each confirmed wish.
pub fn request_token() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    let failed = |_| Problem::new("the change cannot be given a token").because("the system has no randomness");
    aws_lc_rs::rand::fill(&mut bytes).map_err(failed)?;
    Ok(format!("ekscope-{:032x}", u128::from_be_bytes(bytes)))
}

/// Whether an operation only reads, by its name: that is how AWS names them all.
fn only_reads(operation: &str) -> bool {
    ["List", "Describe", "Get"].iter().any(|word| operation.starts_with(word))
}

impl AwsSession {
    /// Has an attempt made with the current credentials, and once more with others where AWS calls them expired. What a
    /// session that only reads may not do is refused before.
    pub(super) async fn signed_in<T>(
        &self,
        service: Service,
        operation: &'static str,
        region: &str,
        attempt: impl AsyncFn(&Credentials) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let fail = |kind| AwsError::new(service, operation, region, kind);
        if self.chosen_region().is_none() && service != STS {
            return Err(fail(ErrorKind::NoRegion));
        }
        if self.read_only() && !only_reads(operation) {
            return Err(fail(ErrorKind::ReadOnly));
        }
        let credentials = self.credentials().await.map_err(|failure| fail(ErrorKind::SignIn(failure)))?;
        match attempt(&credentials).await {
            Err(error) if error.kind == ErrorKind::Expired => {
                let renewed = self.renewed(&credentials).await.map_err(|failure| fail(ErrorKind::SignIn(failure)))?;
                attempt(&renewed).await
            }
            outcome => outcome,
        }
    }

    /// Sends a call and gives the answer's text.
    pub(super) async fn call(&self, mut call: Call) -> Result<Reply, AwsError> {
        if call.region.is_empty() {
            call.region = self.region().to_owned();
        }
        let send = async |credentials: &Credentials| self.attempt(&call, credentials).await;
        self.signed_in(call.service, call.operation, &call.region, send).await
    }

    async fn attempt(&self, call: &Call, credentials: &Credentials) -> Result<Reply, AwsError> {
        let url = self.endpoints().url(call.service, &call.region);
        let request = call.request(&url, credentials, Timestamp::now())?;
        let reply = self.http().send(request).await;
        let reply = reply
            .map_err(|fault| AwsError::new(call.service, call.operation, &call.region, ErrorKind::Network(fault)))?;
        self.note_clock(&reply);
        if reply.is_success() {
            return Ok(reply);
        }
        let error = AwsError::of_reply(call.service, call.operation, &call.region, &reply);
        tracing::debug!(%error, request = error.request_id, "AWS");
        Err(error)
    }

    /// Sends a call whose answer is JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, AwsError> {
        let (service, operation) = (call.service, call.operation);
        let reply = self.call(call).await?;
        serde_json::from_slice(&reply.body)
            .map_err(|error| AwsError::unreadable(service, operation, self.region(), format!("JSON: {error}")))
    }

    /// A list of a query service, page after page: `list` is where its entries are. `parameters` are the same for every
    /// page.
    pub(super) async fn xml_pages<T>(
        &self,
        service: Service,
        operation: &'static str,
        parameters: Parameters,
        list: &str,
        read: fn(&Node) -> T,
    ) -> Result<Vec<T>, AwsError> {
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let parameters = parameters.clone().set_if("NextToken", next.as_deref());
            let each = |entry: &Node| all.push(read(entry));
            let result = self.xml_list(Call::query(service, operation, &parameters), list, each).await?;
            // EC2 writes it small.
            next = ["NextToken", "nextToken"].iter().find_map(|name| result.text(name)).map(str::to_owned);
            if next.is_none() {
                return Ok(all);
            }
        }
        Err(AwsError::unreadable(service, operation, self.region(), format!("more than {MOST_PAGES} pages")))
    }

    /// Sends a call whose answer is XML.
    pub(super) async fn xml(&self, call: Call) -> Result<Node, AwsError> {
        self.xml_list(call, "", |_| ()).await
    }

    /// The same, without the entries of a list: each is shown once.
    async fn xml_list(&self, call: Call, list: &str, each: impl FnMut(&Node)) -> Result<Node, AwsError> {
        let (service, operation) = (call.service, call.operation);
        let reply = self.call(call).await?;
        let mut root = Node::parse_list(&reply.body, list, each)
            .map_err(|why| AwsError::unreadable(service, operation, self.region(), why))?;
        // Query services wrap what they say in `…Result`.
        let wrapped = format!("{operation}Result");
        let at = root.children.iter().position(|child| child.name == wrapped);
        Ok(match at {
            Some(at) => root.children.swap_remove(at),
            None => root,
        })
    }
}
