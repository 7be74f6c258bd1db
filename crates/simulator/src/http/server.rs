//! Connections on loopback, one task each, until the handle lets go. Who speaks TLS wants the cluster; who speaks plain
//! HTTP, which the cluster never does, wants the AWS account behind it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::api::Service;
use super::link::Link;
use super::tls::Identity;
use crate::aws;
use crate::owner::Owner;

/// Counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub requests: AtomicU64,
}

/// The AWS account behind the clusters.
#[derive(Debug, Clone)]
pub struct Account {
    /// The world whose account it is.
    pub own: Owner,
    /// That of the other cluster that is simulated.
    pub beside: Option<Owner>,
}

/// What every connection needs.
#[derive(Clone)]
pub struct Server {
    pub service: Arc<Service>,
    pub account: Account,
    pub acceptor: TlsAcceptor,
    pub counters: Arc<Counters>,
    /// Connections end when their values change, the server when the sender of the first is gone.
    pub drops: [watch::Receiver<u64>; 2],
}

impl Server {
    pub fn new(
        owner: Owner,
        account: Account,
        identity: &Identity,
        address: SocketAddr,
        drops: [watch::Receiver<u64>; 2],
    ) -> Self {
        Self {
            service: Arc::new(Service { owner, address: address.to_string() }),
            account,
            acceptor: Arc::clone(&identity.config).into(),
            counters: Arc::default(),
            drops,
        }
    }

    pub async fn run(mut self, listener: TcpListener) {
        self.drops.iter_mut().for_each(watch::Receiver::mark_unchanged);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.counters.connections.fetch_add(1, Ordering::Relaxed);
                        let mut own = self.clone();
                        // What broke before does not concern it.
                        own.drops.iter_mut().for_each(watch::Receiver::mark_unchanged);
                        tokio::spawn(own.connection(stream));
                    }
                    // Out of file handles: connections that end give some back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
                changed = self.drops[0].changed() => if changed.is_err() { return },
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let link = self.service.owner.ask(|world| (world.faults.bandwidth, world.faults.latency_ms)).await;
        let Some((bandwidth, latency_ms)) = link else { return };
        if latency_ms > 0 {
            // A slow link shows in the handshake already.
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
        let Self { service, account, acceptor, counters, drops: [mut drops, mut breaks] } = self;
        let serve = async {
            if !is_tls(&stream).await {
                answer_account(&account, &counters, Link::new(stream, bandwidth)).await;
                return;
            }
            let Ok(stream) = acceptor.accept(Link::new(stream, bandwidth)).await else { return };
            let answer = service_fn(|request| {
                counters.requests.fetch_add(1, Ordering::Relaxed);
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            // An error here is the client's going away, or a fault that was asked for.
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer);
            let _ = connection.with_upgrades().await;
        };
        tokio::select! {
            () = serve => {}
            _ = drops.changed() => {}
            _ = breaks.changed() => {}
        }
    }
}

/// Whether a client begins with a TLS handshake; one that says nothing does not.
async fn is_tls(stream: &TcpStream) -> bool {
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    stream.peek(&mut first).await.is_ok_and(|read| read > 0 && first[0] == HANDSHAKE)
}

/// Serves the AWS side to one client.
async fn answer_account(account: &Account, counters: &Counters, link: Link) {
    let answer = service_fn(|request| {
        counters.requests.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(aws::server::answer(account, request).await) }
    });
    // An error here is the client's going away, or a fault that was asked for.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(link), answer).await;
}
