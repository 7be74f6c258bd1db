//! Replay: a recording played as a server, so that nothing in `sources` knows that it is one.
//!
//! `timeline` is what the recording says, `play` answers requests from it at the pace that was asked for, and this is
//! the server around them. What was never asked for while the recording was made is answered 404, and says so.

mod play;
mod timeline;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use self::play::Player;
use self::timeline::{Single, Timeline};
use super::http::tls;
use super::kubeconfig;
use crate::problem::Problem;
use crate::recording::Head;

/// The name of the context, the cluster and the user in a replay's kubeconfig.
const CONTEXT: &str = "replay";

/// A recording that is being played; it stops when this is dropped.
#[derive(Debug)]
pub struct Replay {
    pub head: Head,
    /// What the user should know of the recording, such as that it is not whole.
    pub notice: Option<Problem>,
    kubeconfig: String,
    thread: Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Plays a recording, so many times as fast as it was made.
pub fn replay(path: &Path, speed: f64) -> Result<Replay, Problem> {
    let timeline = Timeline::read(path, speed)?;
    let head = timeline.head.clone();
    let notice = timeline.short.as_ref().map(|why| {
        Problem::new(format!("{}: the recording was cut short after {} s", path.display(), timeline.end / 1000))
            .because(why)
            .hint("what there is of it is played")
    });
    let failed = |error: std::io::Error| Problem::new("the replay cannot start").because(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let identity = tls::identity(&address.ip().to_string())?;
    let token = tls::token()?;
    let namespace = head.namespace.as_deref();
    let kubeconfig = kubeconfig(CONTEXT, &format!("https://{address}"), &token, &identity.authority, namespace);
    let player = Arc::new(Player::new(timeline, token, speed));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("replay".into()).spawn(move || {
        runtime.spawn(serve(listener, Arc::clone(&identity.config).into(), player));
        // Ends when the handle is dropped.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
    });
    Ok(Replay { head, notice, kubeconfig, thread: Some((stop, thread.map_err(failed)?)) })
}

impl Replay {
    /// A kubeconfig whose current context is the replay; it holds the token.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, player: Arc<Player>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles: connections that end give some back.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, player) = (acceptor.clone(), Arc::clone(&player));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(|request| {
                let player = Arc::clone(&player);
                async move { Ok::<_, Infallible>(player.answer(request).await) }
            });
            // An error here is the client's going away, or a cut that is played.
            let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// How the server says no.
fn refusal(status: u16, message: &str) -> Single {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": status,
        "reason": if status == 404 { "NotFound" } else { "" },
    });
    let content_type = "application/json".to_owned();
    Single { at: 0, status, content_type, retry_after: None, body: body.to_string() }
}
