//! The other side: a certificate authority, an HTTP server with or without TLS, and the two kinds of proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub type Answer = Response<Full<Bytes>>;

pub fn answer(code: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(code).body(Full::new(body.into())).unwrap()
}

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

pub struct Certificate {
    pub pem: String,
    pub key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certificate {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// A server on loopback that keeps the heads of all requests. It ends with its test's runtime.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Parts>>>,
}

/// The client certificate of the connection that a request came through.
#[derive(Clone)]
pub struct Presented(pub Option<CertificateDer<'static>>);

/// The body of a request.
#[derive(Clone)]
pub struct Sent(pub String);

/// The body of a request that a server was sent.
pub fn sent(parts: &Parts) -> &str {
    &parts.extensions.get::<Sent>().unwrap().0
}

impl Server {
    pub async fn plain(respond: impl Fn(&Parts) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, respond).await
    }

    /// With TLS; a client certificate is asked for, and demanded where `must_present`.
    pub async fn tls(
        certificate: Certificate,
        clients: &Authority,
        must_present: bool,
        respond: impl Fn(&Parts) -> Answer + Send + Sync + 'static,
    ) -> Self {
        super::transport::install_crypto();
        let verifier = WebPkiClientVerifier::builder(clients.roots());
        let verifier = if must_present { verifier } else { verifier.allow_unauthenticated() };
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(certificate.chain, certificate.key)
            .unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), respond).await
    }

    async fn start(tls: Option<TlsAcceptor>, respond: impl Fn(&Parts) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (keep, respond) = (Arc::clone(&seen), Arc::new(respond));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keep, respond, tls) = (Arc::clone(&keep), Arc::clone(&respond), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, Presented(None), keep, respond).await,
                        // A failed handshake is what some tests are about; the client tells them.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let shown =
                                    stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
                                serve(stream, Presented(shown), keep, respond).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn seen(&self) -> Vec<Parts> {
        self.seen.lock().unwrap().clone()
    }

    /// The value of a header in every request so far, in order.
    pub fn header(&self, name: &str) -> Vec<Option<String>> {
        let value = |parts: &Parts| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
        self.seen().iter().map(value).collect()
    }

    pub fn http(&self) -> Value {
        json!({ "server": format!("http://{}", self.address) })
    }

    /// The cluster entry for a TLS server that is addressed as `host`.
    pub fn https(&self, host: &str, authority: &Authority) -> Value {
        json!({
            "server": format!("https://{host}:{}", self.address.port()),
            "certificate-authority-data": base64(&authority.pem()),
        })
    }
}

async fn serve<S>(
    stream: S,
    presented: Presented,
    seen: Arc<Mutex<Vec<Parts>>>,
    respond: Arc<impl Fn(&Parts) -> Answer + Send + Sync + 'static>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (presented, seen, respond) = (presented.clone(), Arc::clone(&seen), Arc::clone(&respond));
        async move {
            let (mut parts, body) = request.into_parts();
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            parts.extensions.insert(presented);
            parts.extensions.insert(Sent(String::from_utf8_lossy(&body).into_owned()));
            let answer = respond(&parts);
            seen.lock().unwrap().push(parts);
            Ok::<_, Infallible>(answer)
        }
    });
    // A client that goes away in the middle is no failure of the test.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

pub fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::prelude::BASE64_STANDARD.encode(text)
}

/// A proxy that sends every tunnel to one address, whatever name it was asked for, and keeps what it was asked.
pub struct FakeProxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    /// HTTP CONNECT; `verdict` is the status line that it answers with.
    pub async fn connect(target: SocketAddr, verdict: &'static str) -> Self {
        Self::start(move |mut client, asked| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await?);
            }
            asked.lock().unwrap().push(String::from_utf8(head).unwrap());
            client.write_all(format!("HTTP/1.1 {verdict}\r\n\r\n").as_bytes()).await?;
            if verdict.starts_with("200") {
                tokio::io::copy_bidirectional(&mut client, &mut TcpStream::connect(target).await?).await?;
            }
            Ok(())
        })
        .await
    }

    /// SOCKS 5 without authentication (RFC 1928), names only.
    pub async fn socks(target: SocketAddr) -> Self {
        Self::start(move |mut client, asked| async move {
            let _version = client.read_u8().await?;
            let methods = client.read_u8().await?;
            client.read_exact(&mut vec![0; methods.into()]).await?;
            client.write_all(&[5, 0]).await?;
            let mut request = [0; 5];
            client.read_exact(&mut request).await?;
            assert_eq!(request[..4], [5, 1, 0, 3], "connect to a name");
            let mut name = vec![0; request[4].into()];
            client.read_exact(&mut name).await?;
            let port = client.read_u16().await?;
            asked.lock().unwrap().push(format!("{}:{port}", String::from_utf8(name).unwrap()));
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            tokio::io::copy_bidirectional(&mut client, &mut TcpStream::connect(target).await?).await?;
            Ok(())
        })
        .await
    }

    async fn start<F>(handle: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(handle(client, Arc::clone(&keep)));
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
