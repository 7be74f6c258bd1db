//! Connections: TCP that notices dead peers, proxies, TLS, and what the link was measured to do. Knows nothing of
//! credentials beyond the client certificate in the TLS settings it is given.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::ConfigExt;
use rustls::pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::error::{ConnectError, Phase, innermost};
use super::proxy::{Proxy, ProxyVariables};
use crate::problem::Problem;

/// One pool of connections to one server.
pub type Transport = Client<Connector, Full<Bytes>>;

/// To the server itself or to the proxy; a proxy may want TLS of its own.
type Outer = MaybeHttpsStream<TokioIo<TcpStream>>;
type Stream = MaybeHttpsStream<Buffered>;

/// rustls asks for 4 KiB at a time: without a buffer below it a cluster of 100,000 pods is 300,000 system calls.
const READ: usize = 64 << 10;

/// What TLS reads from.
pub struct Buffered(TokioIo<BufReader<TokioIo<Outer>>>);

impl Buffered {
    fn new(stream: Outer) -> Self {
        Self(TokioIo::new(BufReader::with_capacity(READ, TokioIo::new(stream))))
    }
}

impl Read for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Buffered {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl Connection for Buffered {
    fn connected(&self) -> Connected {
        self.0.inner().get_ref().inner().connected()
    }
}

/// What connecting took, the best of all connections so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSample {
    /// From the look-up of the name to an open TCP connection (or proxy tunnel).
    pub connect: Duration,
    /// The TLS handshake: at least one round trip to the server itself, whatever stands between. None without TLS.
    pub handshake: Option<Duration>,
}

/// The fastest connect and handshake so far, in nanoseconds; `u64::MAX` before the first.
#[derive(Debug)]
pub struct Link {
    connect: AtomicU64,
    handshake: AtomicU64,
}

impl Default for Link {
    fn default() -> Self {
        Self { connect: AtomicU64::new(u64::MAX), handshake: AtomicU64::new(u64::MAX) }
    }
}

impl Link {
    pub fn sample(&self) -> Option<LinkSample> {
        let read = |value: &AtomicU64| {
            Some(value.load(Ordering::Relaxed)).filter(|&nanos| nanos != u64::MAX).map(Duration::from_nanos)
        };
        Some(LinkSample { connect: read(&self.connect)?, handshake: read(&self.handshake) })
    }

    fn record(&self, connect: Duration, handshake: Option<Duration>) {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1);
        if let Some(handshake) = handshake {
            self.handshake.fetch_min(nanos(handshake), Ordering::Relaxed);
        }
        self.connect.fetch_min(nanos(connect), Ordering::Relaxed);
    }
}

/// How to reach the server: everything about connections except the TLS identity.
#[derive(Clone)]
pub struct Route {
    dial: Dial,
    /// The server with its port written out, as proxies want it.
    server: Uri,
    /// For the whole of name look-up, TCP and proxy, and again for the TLS handshake.
    timeout: Duration,
    link: Arc<Link>,
}

#[derive(Clone)]
struct Dial {
    http: HttpConnector,
    /// The proxy, and TLS for an `https://` one.
    proxy: Option<(Proxy, Option<Tls>)>,
}

impl Route {
    pub fn new(server: &Uri, proxy: Option<&Proxy>, timeout: Duration, link: Arc<Link>) -> Result<Self, Problem> {
        let proxy = match proxy {
            // The proxy's own certificate is checked by the system's rules, not by the cluster's authority.
            Some(proxy) if proxy.address.scheme_str() == Some("https") => {
                let host = proxy.address.host().unwrap_or_default();
                Some((proxy.clone(), Some(Tls::new(&kube::Config::new(proxy.address.clone()), host)?)))
            }
            Some(proxy) => Some((proxy.clone(), None)),
            None => None,
        };
        let dial = Dial { http: tcp_connector(timeout), proxy };
        let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
        let host = server.host().unwrap_or_default();
        let scheme = server.scheme_str().unwrap_or("https");
        let server = format!("{scheme}://{host}:{port}/")
            .parse()
            .map_err(|error| Problem::new(format!("the server address {server} is not usable")).because(error))?;
        Ok(Self { dial, server, timeout, link })
    }

    /// A pool over this route. Sessions that share the TLS settings resume each other's TLS sessions.
    pub fn transport(&self, config: &kube::Config) -> Result<Transport, Problem> {
        let tls = match self.server.scheme_str() {
            Some("http") => None,
            _ => Some(Tls::new(config, self.server.host().unwrap_or_default())?),
        };
        Ok(Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build(Connector { route: self.clone(), tls }))
    }
}

/// TCP that finds out within half a minute that the other side is gone, and sends small requests at once.
fn tcp_connector(timeout: Duration) -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(Duration::from_secs(15)));
    http.set_keepalive_interval(Some(Duration::from_secs(5)));
    http.set_keepalive_retries(Some(3));
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(Duration::from_secs(20)));
    // Shared among a name's addresses, so that one dead address leaves time for the next.
    http.set_connect_timeout(Some(timeout));
    http
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    fn new(config: &kube::Config, host: &str) -> Result<Self, Problem> {
        let settings = config.rustls_client_config().map_err(|error| {
            Problem::new("the cluster's TLS settings cannot be used")
                .because(innermost(&error))
                .hint("check certificate-authority, client-certificate and client-key in the kubeconfig")
        })?;
        let name = server_name(config.tls_server_name.as_deref().unwrap_or(host))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(settings)), name })
    }
}

/// The certificates of a PEM text in DER; none in it is an error.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(certificates.into_iter().map(|certificate| certificate.to_vec()).collect())
}

fn server_name(host: &str) -> Result<ServerName<'static>, Problem> {
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(name.clone())
        .map_err(|error| Problem::new(format!("{name:?} is not a server name")).because(error))
}

/// A pool of connections to whatever servers are asked for.
pub type AnyTransport = Client<AnyConnector, Full<Bytes>>;

/// Opens connections to any server: proxy and TLS name follow from its address. TLS settings are made when the first
/// server needs them: reading the system's authorities takes a while.
#[derive(Clone)]
pub struct AnyConnector {
    proxies: ProxyVariables,
    timeout: Duration,
    /// Certificate authorities in DER; none leaves the decision to the system.
    authorities: Option<Vec<Vec<u8>>>,
    tls: Arc<OnceLock<TlsConnector>>,
}

impl AnyConnector {
    pub fn new(proxies: ProxyVariables, timeout: Duration, authorities: Option<Vec<Vec<u8>>>) -> Self {
        Self { proxies, timeout, authorities, tls: Arc::default() }
    }

    pub fn transport(self) -> AnyTransport {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build(self)
    }

    fn towards(&self, server: &Uri) -> Result<Connector, Problem> {
        let proxy = Proxy::choose(server, None, &self.proxies)?;
        let route = Route::new(server, proxy.as_ref(), self.timeout, Arc::default())?;
        let host = server.host().unwrap_or_default();
        let tls = match (server.scheme_str(), self.tls.get()) {
            (Some("http"), _) => None,
            (_, Some(connector)) => Some(Tls { connector: connector.clone(), name: server_name(host)? }),
            (_, None) => {
                let mut config = kube::Config::new(server.clone());
                config.root_cert.clone_from(&self.authorities);
                let tls = Tls::new(&config, host)?;
                Some(Tls { connector: self.tls.get_or_init(|| tls.connector).clone(), name: tls.name })
            }
        };
        Ok(Connector { route, tls })
    }
}

impl Service<Uri> for AnyConnector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        match self.towards(&server) {
            Ok(mut connector) => connector.call(server),
            Err(problem) => Box::pin(std::future::ready(Err(ConnectError::Settings(problem.to_string())))),
        }
    }
}

/// Opens connections for the pool.
#[derive(Clone)]
pub struct Connector {
    route: Route,
    tls: Option<Tls>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { route, tls } = self.clone();
        Box::pin(async move {
            let started = Instant::now();
            let stream = within(route.timeout, Phase::Connect, route.dial.open(route.server.clone())).await?;
            let connect = started.elapsed();
            let Some(tls) = tls else {
                route.link.record(connect, None);
                return Ok(MaybeHttpsStream::Http(Buffered::new(stream)));
            };
            random_ready().await;
            let started = Instant::now();
            let handshake = async {
                let stream = TokioIo::new(Buffered::new(stream));
                tls.connector.connect(tls.name, stream).await.map_err(|error| ConnectError::tls(&error))
            };
            let stream = within(route.timeout, Phase::Handshake, handshake).await?;
            route.link.record(connect, Some(started.elapsed()));
            Ok(MaybeHttpsStream::from(stream))
        })
    }
}

/// aws-lc collects entropy for about 60 ms before its first random byte, and 3 ms in each thread. That must neither
/// hold up a thread that has other work nor count as the link's slowness.
async fn random_ready() {
    static READY: OnceCell<()> = OnceCell::const_new();
    let collect = || async {
        // It fails only at shutdown, and then nobody needs it.
        let _ = tokio::task::spawn_blocking(draw_random).await;
    };
    READY.get_or_init(collect).await;
    draw_random();
}

/// Makes aws-lc the TLS provider of the process. Safe to call again; worth calling early, since the first handshake
/// needs what it prepares.
pub fn install_crypto() {
    // It fails only when there is one already.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_ok() {
        // Where no thread can be had, the first handshake does the work.
        let _ = std::thread::Builder::new().name("randomness".into()).spawn(draw_random);
    }
}

fn draw_random() {
    // A failure here is one in the handshake too, which reports it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut [0]);
}

impl Dial {
    async fn open(mut self, server: Uri) -> Result<Outer, ConnectError> {
        let Some((proxy, tls)) = self.proxy else {
            let stream = self.http.call(server.clone()).await.map_err(|error| ConnectError::tcp(&server, &error))?;
            return Ok(MaybeHttpsStream::Http(stream));
        };
        let failed = |error: &(dyn std::error::Error + 'static)| ConnectError::proxy(&proxy.address, error);
        let stream = self.http.call(proxy.address.clone()).await.map_err(|error| failed(&error))?;
        let stream: Outer = match tls {
            None => MaybeHttpsStream::Http(stream),
            Some(tls) => {
                tls.connector.connect(tls.name, TokioIo::new(stream)).await.map_err(|error| failed(&error))?.into()
            }
        };
        // Both kinds of tunnel want a connector; theirs hands out the one connection that there is.
        let mut stream = Some(stream);
        let ready = tower::service_fn(move |_: Uri| {
            std::future::ready(stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
        });
        if proxy.socks {
            let mut socks = SocksV5::new(proxy.address.clone(), ready);
            if let Some((user, password)) = proxy.intercept.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            socks.call(server).await.map_err(|error| failed(&error))
        } else {
            let mut tunnel = Tunnel::new(proxy.address.clone(), ready);
            if let Some(header) = proxy.intercept.basic_auth() {
                tunnel = tunnel.with_auth(header.clone());
            }
            tunnel.call(server).await.map_err(|error| failed(&error))
        }
    }
}

async fn within<T>(
    limit: Duration,
    phase: Phase,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(ConnectError::Timeout { phase, after: limit }))
}
