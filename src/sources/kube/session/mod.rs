//! Signing in and connecting: from a kubeconfig to answered HTTP requests. Owns credentials, connections, time-outs
//! and the read-only guard. Must not know what is asked or how answers are decoded; it retries nothing but a 401, once.

mod body;
mod contexts;
mod credential;
mod eks;
mod error;
mod guard;
mod plugin;
mod status;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, DATE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecAuthCluster};
use tokio::sync::OnceCell;

pub use self::body::Body;
pub use self::contexts::{ContextEntry, Contexts, Environment, Known};
pub use self::credential::{CredentialFailure, SignIn};
pub use self::eks::Eks;
pub use self::error::SendError;
pub use self::status::{ApiStatus, Denied, collect, status_of};

use self::credential::{Grant, Keeper, Source};
use self::eks::Minter;
use crate::problem::Problem;
use crate::recording::{Exchange, Recorder};
use crate::sources::aws::credentials::Ask;
use crate::sources::aws::eks::describe_cluster;
use crate::sources::aws::{AwsError, ErrorKind, SessionOptions};
use crate::sources::net::error::{ConnectError, innermost};
use crate::sources::net::proxy::Proxy;
use crate::sources::net::transport::{Link, LinkSample, Route, certificates, install_crypto};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A Python CLI with a cold cache needs a few seconds, a person who signs in some more.
const EXEC_TIMEOUT: Duration = Duration::from_mins(1);

/// What the user asked for, by settings and on the command line.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// Overrides the context's cluster.
    pub cluster: Option<String>,
    /// Overrides the context's user.
    pub user: Option<String>,
    /// Overrides the context's namespace.
    pub namespace: Option<String>,
    /// `--as`: replaces the kubeconfig's impersonation as a whole.
    pub impersonate_user: Option<String>,
    pub impersonate_groups: Vec<String>,
    /// The longest wait for a connection, and again for its TLS handshake; never more than 2/5 of `request_timeout`, so
    /// that a connection that does not come about is reported as that.
    pub connect_timeout: Duration,
    /// The longest that a credential plugin may take.
    pub exec_timeout: Duration,
    /// The longest wait for the head of an answer; zero is for ever. Bodies have limits of their own.
    pub request_timeout: Duration,
    pub read_only: bool,
    /// Hears everything that is asked and answered.
    pub recorder: Option<Recorder>,
    /// Where to ask for codes of MFA devices.
    pub ask: Option<Ask>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            cluster: None,
            user: None,
            namespace: None,
            impersonate_user: None,
            impersonate_groups: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            exec_timeout: EXEC_TIMEOUT,
            request_timeout: Duration::from_secs(30),
            read_only: false,
            recorder: None,
            ask: None,
        }
    }
}

impl ConnectOptions {
    /// The same for sessions with AWS.
    pub fn aws(&self) -> SessionOptions {
        SessionOptions { timeout: self.request_timeout, read_only: self.read_only, ask: self.ask.clone() }
    }
}

/// What there is to show about a session.
#[derive(Debug, Clone)]
pub struct Facts {
    pub context: String,
    pub cluster: String,
    /// The server's URL as the kubeconfig has it.
    pub server: String,
    /// The server's name or address, with its port when that is unusual.
    pub host: String,
    pub user: Option<String>,
    /// The namespace that the context or the user chose; `default` otherwise.
    pub namespace: String,
    pub sign_in: SignIn,
    /// The proxy's address, without credentials.
    pub proxy: Option<String>,
    /// The user that is impersonated.
    pub impersonates: Option<String>,
    pub read_only: bool,
}

/// A signed-in way to one API server. Cheap to clone; all clones share connections and credentials. Dropping a future
/// of it cancels what it does.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    facts: Facts,
    base: Uri,
    /// Sent with every request: user agent and impersonation.
    headers: HeaderMap,
    keeper: Keeper,
    link: Arc<Link>,
    request_timeout: Duration,
    recorder: Option<Recorder>,
    /// How far the server's clock is ahead of ours, by its first answer.
    clock_ahead: OnceLock<Option<i64>>,
    eks: Option<Result<Eks, Problem>>,
    /// Why EKS says that the endpoint cannot be reached from everywhere; asked when it cannot.
    closed: OnceCell<Option<String>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.0.facts).finish()
    }
}

impl Session {
    /// Reads the kubeconfig and prepares a session for a context (or for `--context`, or for the current one). Reads
    /// files only: nothing is sent and no plugin runs before the first request.
    pub fn open(options: &ConnectOptions, context: Option<&str>) -> Result<Self, Problem> {
        Self::open_in(&Contexts::load(options)?, options, context)
    }

    /// The same with contexts that were read before.
    pub fn open_in(contexts: &Contexts, options: &ConnectOptions, context: Option<&str>) -> Result<Self, Problem> {
        install_crypto();
        let mut target = contexts.target(options, context)?;
        let environment = contexts.environment();
        let user = target.user_name.clone().unwrap_or_default();
        let (base, server) = server_address(&target.cluster)?;
        let (headers, impersonates) = fixed_headers(options, &target.auth)?;
        let host = base.authority().map(ToString::to_string).unwrap_or_default();
        let entry = target.auth.exec.as_ref().and_then(|exec| eks::recognise(exec, &environment.aws));
        let minting = entry.is_some();
        let names = [target.cluster_name.as_str(), &target.context];
        let known = contexts.aws_session(&target.context);
        let eks = eks::behind(entry, names, &host, known, || (environment.aws.clone(), options.aws()));
        let (mut source, mut sign_in) =
            Source::take(&mut target.auth, &target.cluster, &user, environment.aws.get("AWS_PROFILE"))?;
        if let Source::Plugin(plugin) = &mut source {
            plugin.set_timeout(options.exec_timeout);
        }
        let eks = match (eks, source) {
            (Some(Ok(eks)), Source::Plugin(plugin)) if minting => {
                sign_in = SignIn::Eks(eks.session.who());
                source = Source::Eks(Box::new(Minter { eks: eks.clone(), plugin }));
                Some(Ok(eks))
            }
            (eks, other) => {
                if let Some(Err(problem)) = &eks {
                    tracing::info!(%problem, "no AWS session for this context");
                }
                source = other;
                eks
            }
        };

        let mut config = kube::Config::new(base.clone());
        config.accept_invalid_certs = target.cluster.insecure_skip_tls_verify.unwrap_or(false);
        // Where nothing is checked, the system's certificates need not be read either.
        config.root_cert = if config.accept_invalid_certs { Some(Vec::new()) } else { authority(&target.cluster)? };
        config.root_cert_file = target.authority_file;
        config.tls_server_name.clone_from(&target.cluster.tls_server_name);
        config.auth_info = target.auth;

        let proxy = Proxy::choose(&base, target.cluster.proxy_url.as_deref(), &environment.proxies)?;
        let link = Arc::new(Link::default());
        let route = Route::new(&base, proxy.as_ref(), connect_timeout(options), Arc::clone(&link))?;
        Ok(Self(Arc::new(Inner {
            facts: Facts {
                context: target.context,
                cluster: target.cluster_name,
                host,
                server,
                user: target.user_name,
                namespace: target.namespace,
                sign_in,
                proxy: proxy.map(|proxy| proxy.address.to_string().trim_end_matches('/').to_owned()),
                impersonates,
                read_only: options.read_only,
            },
            base,
            headers,
            keeper: Keeper::new(source, config, route)?,
            link,
            request_timeout: options.request_timeout,
            recorder: options.recorder.clone(),
            clock_ahead: OnceLock::new(),
            eks,
            closed: OnceCell::new(),
        })))
    }

    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The cluster of EKS behind the context with the AWS session that goes with it, or why there is no such session; none
    /// where nothing says that this is EKS.
    pub fn eks(&self) -> Option<Result<&Eks, &Problem>> {
        self.0.eks.as_ref().map(Result::as_ref)
    }

    /// What the best connection so far took to come about; none before the first.
    pub fn link(&self) -> Option<LinkSample> {
        self.0.link.sample()
    }

    /// How far the server's clock is ahead of this machine's, in seconds; unknown before the first answer.
    pub fn clock_ahead(&self) -> Option<i64> {
        self.0.clock_ahead.get().copied().flatten()
    }

    /// What EKS says that would explain why the server cannot be reached; none before that was asked.
    pub(super) fn closed(&self) -> Option<&str> {
        self.0.closed.get()?.as_deref()
    }

    /// Asks EKS, once, who may reach the server at all.
    async fn ask_closed(&self) {
        let Some(Ok(eks)) = self.eks() else { return };
        let ask = async || describe_cluster(&eks.session, &eks.claim.name).await.ok()?.closed();
        self.0.closed.get_or_init(ask).await;
    }

    /// A 401 in the end. Of a token of ours AWS may say more: whose it is, or that its keys have expired.
    async fn unauthorized(&self, response: Response<Body>) -> SendError {
        let clock_ahead = ahead(&response).map(|ahead| -ahead).filter(|ahead| ahead.abs() > 60);
        let message = status_of(response).await.message;
        let (mut principal, mut mode) = (None, None);
        if let Some(Ok(eks)) = self.eks()
            && clock_ahead.is_none()
            && matches!(self.0.facts.sign_in, SignIn::Eks(_))
        {
            match eks.session.identity().await {
                Ok(identity) => {
                    principal = Some(identity.principal());
                    let cluster = describe_cluster(&eks.session, &eks.claim.name).await.ok();
                    mode = cluster.and_then(|cluster| cluster.access_config.authentication_mode);
                }
                Err(AwsError { kind: ErrorKind::SignIn(failure), .. }) => {
                    return SendError::Credentials(failure.into());
                }
                Err(_) => {}
            }
        }
        SendError::Unauthorized { message, clock_ahead, principal, mode }
    }

    /// Forgets cached credentials and failures: to be called when the user has just signed in anew.
    pub async fn forget_credentials(&self) {
        if let Some(Ok(eks)) = self.eks() {
            eks.session.reload().await;
        }
        self.0.keeper.forget().await;
    }

    /// Sends a request and returns the head of the answer, whatever its code (but 401). The request's URI is a path with
    /// its query; address, credentials and impersonation are added here.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, SendError> {
        if self.0.facts.read_only && !guard::only_reads(&request) {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            return Err(SendError::ReadOnly { method, path });
        }
        *request.uri_mut() = self.absolute(request.uri())?;
        for (name, value) in &self.0.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        let grant = self.0.keeper.grant(Timestamp::now()).await?;
        let response = self.attempt(request.clone(), &grant).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(renewed) = self.0.keeper.renew(&grant, Timestamp::now()).await? else {
            return Err(self.unauthorized(response).await);
        };
        let response = self.attempt(request, &renewed).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.0.keeper.refused().await;
        Err(self.unauthorized(response).await)
    }

    async fn attempt(&self, mut request: Request<Bytes>, grant: &Grant) -> Result<Response<Body>, SendError> {
        if let Some(authorization) = &grant.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let exchange = self.0.recorder.as_ref().map(|recorder| recorder.request(&request, self.0.base.path()));
        let answer = self.answer(request, grant).await;
        match (answer, exchange) {
            (Ok(response), exchange) => {
                self.0.clock_ahead.get_or_init(|| ahead(&response));
                exchange.iter().for_each(|exchange| exchange.answer(&response));
                Ok(Body::of(response, exchange))
            }
            (Err(error), exchange) => {
                if matches!(error, SendError::Connect(ConnectError::Timeout { .. } | ConnectError::Unreachable(..))) {
                    self.ask_closed().await;
                }
                exchange.into_iter().for_each(|exchange: Exchange| exchange.failed(&error));
                Err(error)
            }
        }
    }

    async fn answer(&self, request: Request<Bytes>, grant: &Grant) -> Result<Response<Incoming>, SendError> {
        let answer = grant.transport.request(request.map(Full::new));
        let limit = self.0.request_timeout;
        let answer = if limit.is_zero() {
            answer.await
        } else {
            tokio::time::timeout(limit, answer).await.map_err(|_| SendError::NoAnswer(limit))?
        };
        answer.map_err(|error| SendError::of_pool(&error))
    }

    /// The path below the server's URL, which may have a path of its own (Rancher and other front ends).
    fn absolute(&self, path: &Uri) -> Result<Uri, SendError> {
        let prefix = self.0.base.path().trim_end_matches('/');
        let path = path.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut parts = self.0.base.clone().into_parts();
        let joined = format!("{prefix}{path}").parse::<PathAndQuery>();
        parts.path_and_query = Some(joined.map_err(|error| SendError::Other(format!("{path}: {error}")))?);
        Uri::from_parts(parts).map_err(|error| SendError::Other(format!("{path}: {error}")))
    }
}

/// How far the clock of whoever answered is ahead of ours, in seconds, where the answer says.
fn ahead<B>(response: &Response<B>) -> Option<i64> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    let server = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(server.timestamp().as_second() - Timestamp::now().as_second())
}

fn connect_timeout(options: &ConnectOptions) -> Duration {
    let (wanted, whole) = (options.connect_timeout, options.request_timeout);
    if whole.is_zero() { wanted } else { wanted.min(whole * 2 / 5) }
}

/// The server's URI with a scheme, and the text that the kubeconfig has.
fn server_address(cluster: &kube::config::Cluster) -> Result<(Uri, String), Problem> {
    let Some(server) = cluster.server.clone() else {
        return Err(Problem::new("the cluster has no server address").hint("add `server:` to it in the kubeconfig"));
    };
    let secure = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    // Without a scheme client-go takes http, unless there are TLS settings.
    let full = match (server.contains("://"), secure) {
        (true, _) => server.clone(),
        (false, true) => format!("https://{server}"),
        (false, false) => format!("http://{server}"),
    };
    let bad = |why: String| {
        Problem::new(format!("{server:?} is not a server address"))
            .because(why)
            .hint("correct `server:` in the kubeconfig")
    };
    let uri: Uri = full.parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(bad("it must be https://host:port or http://host:port".to_owned()));
    }
    Ok((uri, server))
}

/// The cluster's certificate authorities in DER; none leaves the decision to the system.
fn authority(cluster: &kube::config::Cluster) -> Result<Option<Vec<Vec<u8>>>, Problem> {
    let bad = |why: String| {
        let place = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (None, Some(file)) => file.clone(),
            _ => "certificate-authority-data".to_owned(),
        };
        Problem::new(format!("the cluster's certificate authority in {place} cannot be read"))
            .because(why)
            .hint("write the kubeconfig anew, for EKS with `aws eks update-kubeconfig`")
    };
    // kube reads both forms, for plugins that ask for the cluster's description.
    let read = ExecAuthCluster::try_from(cluster).map_err(|error| bad(innermost(&error)))?;
    let Some(pem) = read.certificate_authority_data else { return Ok(None) };
    certificates(&pem).map(Some).map_err(bad)
}

/// User agent and impersonation, and who is impersonated.
fn fixed_headers(options: &ConnectOptions, auth: &AuthInfo) -> Result<(HeaderMap, Option<String>), Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("ekscope/", env!("CARGO_PKG_VERSION"))));
    let asked = options.impersonate_user.is_some();
    if !asked && !options.impersonate_groups.is_empty() {
        return Err(Problem::new("--as-group needs --as").because("groups are impersonated together with a user"));
    }
    let mut add = |name: HeaderName, value: &str| match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.append(name, value);
            Ok(())
        }
        Err(_) => Err(Problem::new(format!("{value:?} cannot be impersonated")).because("it is not plain text")),
    };
    let user = if asked { options.impersonate_user.clone() } else { auth.impersonate.clone() };
    let groups = if asked {
        &options.impersonate_groups
    } else {
        auth.impersonate_groups.as_ref().unwrap_or(const { &Vec::new() })
    };
    if let Some(user) = &user {
        add(HeaderName::from_static("impersonate-user"), user)?;
    }
    for group in groups {
        add(HeaderName::from_static("impersonate-group"), group)?;
    }
    if !asked {
        if let Some(uid) = &auth.impersonate_uid {
            add(HeaderName::from_static("impersonate-uid"), uid)?;
        }
        for (key, values) in auth.impersonate_user_extra.iter().flatten() {
            let name = HeaderName::try_from(format!("impersonate-extra-{}", escaped(key)))
                .map_err(|_| Problem::new(format!("{key:?} cannot be impersonated")))?;
            for value in values {
                add(name.clone(), value)?;
            }
        }
    }
    Ok((headers, user))
}

/// An extra's key as part of a header name; what a name may not hold is percent-encoded, as client-go does.
fn escaped(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
        name
    })
}
