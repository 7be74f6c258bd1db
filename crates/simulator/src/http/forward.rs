//! `pods/NAME/portforward`: what listens in a simulated pod answers HTTP requests, and says back all else.
//!
//! Two protocols over a WebSocket: SPDY inside it, as kubectl has it, and channels (`v4.channel.k8s.io`).

use std::collections::HashMap;

use hyper_util::rt::TokioIo;

use super::answer::{self, Answer};
use super::api::{Call, Service};
use super::exec::Upgrade;
use super::socket::{self, Socket};
use super::spdy::{self, Frame, Spdy};
use super::status::Status;
use crate::catalog::PODS;
use crate::cluster::pods;
use crate::encoding::template::Short;
use crate::object::key;

const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What can be reached in a pod.
#[derive(Clone)]
struct Inside {
    name: String,
    uid: String,
    /// Ports on which something listens; none: nobody said, and all do.
    ports: Vec<u16>,
}

/// What listens on one port of a pod, for one connection.
#[derive(Debug, Default)]
struct Listener {
    greeting: String,
    /// Of a request that is not whole yet.
    heard: Vec<u8>,
}

const METHODS: [&str; 7] = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS "];

impl Inside {
    fn listener(&self, port: u16) -> Result<Listener, String> {
        if !self.ports.is_empty() && !self.ports.contains(&port) {
            return Err(format!(
                "error forwarding port {port} to pod {}, uid : failed to connect to localhost:{port} inside namespace \
                 \"{}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused",
                self.name, self.uid
            ));
        }
        Ok(Listener { greeting: format!("pod {} on port {port}\n", self.name), heard: Vec::new() })
    }
}

impl Listener {
    /// What it says to these bytes, and whether that was all.
    fn answer(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        self.heard.extend_from_slice(bytes);
        let begins =
            |method: &&str| self.heard.starts_with(method.as_bytes()) || method.as_bytes().starts_with(&self.heard);
        if !METHODS.iter().any(begins) {
            return (std::mem::take(&mut self.heard), false);
        }
        if !self.heard.windows(4).any(|end| end == b"\r\n\r\n") {
            return (Vec::new(), false);
        }
        let line = self.heard.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let body = format!("{}{}\n", self.greeting, String::from_utf8_lossy(line));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
        let shown = if self.heard.starts_with(b"HEAD") { "" } else { body.as_str() };
        (format!("{head}\r\nContent-Length: {}\r\n\r\n{shown}", body.len()).into_bytes(), true)
    }
}

type Stream = Socket<TokioIo<hyper::upgrade::Upgraded>>;

impl Service {
    pub async fn forward(&self, call: &Call, namespace: &str, name: &str, upgrade: Upgrade) -> Result<Answer, Status> {
        let (at, pod_name) = (key(namespace, name), name.to_owned());
        let inside = self.owner.ask(move |world| {
            let object = world.get(PODS, &at).ok_or_else(|| Status::not_found(&PODS, &pod_name))?;
            let Some(pod) = pods::pod(&object) else { return Err(Status::not_found(&PODS, &pod_name)) };
            if !pod.state.has_node() {
                return Err(Status::bad_request(format!("pod {pod_name} does not have a host assigned")));
            }
            let spec = pod.workload.pod_spec();
            let containers = spec["containers"].as_array().into_iter().flatten();
            let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
            let numbers = ports.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok()).collect();
            let uid = Short::uuid(pod.uid).as_str().to_owned();
            Ok((Inside { name: pod_name, uid, ports: numbers }, pod.state.phase()))
        });
        let (inside, phase) = inside.await.ok_or_else(|| Status::internal("the server is shutting down"))??;
        if upgrade.key.is_empty() {
            return Err(Status::bad_request("Upgrade request required"));
        }
        let offered = || upgrade.protocols.split(',').map(str::trim);
        let known = || [TUNNEL].into_iter().chain(CHANNELS);
        let Some(protocol) = offered().find_map(|offer| known().find(|known| *known == offer)) else {
            return Err(Status::bad_request(format!(
                "unable to negotiate protocol: client offered {}",
                upgrade.protocols
            )));
        };
        if phase != "Running" {
            let message = format!("unable to forward port because pod is not running. Current status={phase}");
            return Err(Status::bad_request(message));
        }
        let ports: Vec<u16> =
            call.query.all("ports").flat_map(|list| list.split(',')).filter_map(|port| port.parse().ok()).collect();
        if protocol != TUNNEL && ports.is_empty() {
            return Err(Status::bad_request("query parameter \"ports\" is required"));
        }
        let on = upgrade.on;
        tokio::spawn(async move {
            let Ok(upgraded) = on.await else { return };
            let mut socket = Socket(TokioIo::new(upgraded));
            let done = if protocol == TUNNEL {
                tunnel(&inside, &mut socket).await
            } else {
                channels(&inside, &ports, &mut socket).await
            };
            if done.is_some() {
                socket.close().await;
            }
        });
        Ok(answer::switching(&socket::accept(&upgrade.key), protocol))
    }
}

/// SPDY: each connection has a stream for errors and one for data, which a number ties together.
async fn tunnel(inside: &Inside, socket: &mut Stream) -> Option<()> {
    let mut spdy = Spdy::new();
    let mut errors: HashMap<String, u32> = HashMap::new();
    let mut open: HashMap<u32, (Listener, u32)> = HashMap::new();
    loop {
        spdy.feed(&socket.read().await?);
        while let Some(frame) = spdy.next().ok()? {
            let mut said = Vec::new();
            match frame {
                Frame::Open { stream, headers } => {
                    let header =
                        |name: &str| headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value);
                    said.extend(spdy.accept(stream));
                    if header("streamtype") == "error" {
                        errors.insert(header("requestid").to_owned(), stream);
                    } else {
                        let error = errors.remove(header("requestid")).unwrap_or(0);
                        match inside.listener(header("port").parse().unwrap_or(0)) {
                            Ok(listener) => {
                                open.insert(stream, (listener, error));
                            }
                            Err(why) => {
                                said.extend(spdy::data(error, why.as_bytes(), true));
                                said.extend(spdy::data(stream, b"", true));
                            }
                        }
                    }
                }
                Frame::Data { stream, bytes, last } => {
                    if let Some((listener, error)) = open.get_mut(&stream) {
                        let (out, done) = listener.answer(&bytes);
                        let (done, error) = (done || last, *error);
                        said.extend(spdy::data(stream, &out, done));
                        if done {
                            said.extend(spdy::data(error, b"", true));
                            open.remove(&stream);
                        }
                    }
                }
                Frame::Reset { stream } => {
                    open.remove(&stream);
                }
                Frame::Ping(id) => said.extend(spdy::pong(id)),
                Frame::Away => return Some(()),
                Frame::Other => {}
            }
            if !said.is_empty() {
                socket.binary(&said).await?;
            }
        }
    }
}

/// Channels: two for each port, for data and for errors; the first message of each tells its port.
async fn channels(inside: &Inside, ports: &[u16], socket: &mut Stream) -> Option<()> {
    let mut listeners = Vec::new();
    for (at, port) in (0_u8..).step_by(2).zip(ports) {
        for channel in [at, at + 1] {
            socket.send(channel, &port.to_le_bytes()).await?;
        }
        let listener = inside.listener(*port);
        if let Err(why) = &listener {
            socket.send(at + 1, why.as_bytes()).await?;
        }
        listeners.push(listener.ok());
    }
    loop {
        let message = socket.read().await?;
        let Some((&channel, bytes)) = message.split_first() else { continue };
        let Some(Some(listener)) = listeners.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0) else {
            continue;
        };
        let (out, done) = listener.answer(bytes);
        if !out.is_empty() {
            socket.send(channel, &out).await?;
        }
        if done && ports.len() == 1 {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_and_all_else_is_said_back() {
        let inside = Inside { name: "web-1".into(), uid: "u".into(), ports: vec![80] };
        assert!(inside.listener(81).unwrap_err().ends_with("connect: connection refused"));
        let mut listener = inside.listener(80).unwrap();
        assert_eq!(listener.answer(b"PING\r\n"), (b"PING\r\n".to_vec(), false));
        assert_eq!(listener.answer(b"GE"), (vec![], false));
        let (said, done) = listener.answer(b"T /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(done && said.ends_with(b"pod web-1 on port 80\nGET /x HTTP/1.1\n"));
    }
}
