//! `pods/NAME/exec` over WebSocket (`v5.channel.k8s.io` and `v4.channel.k8s.io`): a toy shell in any container.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::api::{Call, Service};
use super::logs;
use super::socket::{self, Socket};
use super::status::Status;
use crate::catalog::PODS;
use crate::cluster::pods;
use crate::cluster::shell::{Said, Shell, is_shell};
use crate::object::key;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
/// Tells that the client's end of a channel is closed (v5).
const CLOSED: u8 = 255;

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What a client that wants a socket sends along.
pub struct Upgrade {
    pub key: String,
    pub protocols: String,
    pub on: OnUpgrade,
}

/// How a session looks.
struct Session {
    shell: Shell,
    command: Vec<String>,
    stdin: bool,
    tty: bool,
}

impl Service {
    pub async fn exec(&self, call: &Call, namespace: &str, name: &str, upgrade: Upgrade) -> Result<Answer, Status> {
        if upgrade.key.is_empty() {
            return Err(Status::bad_request("Upgrade request required"));
        }
        let offered = || upgrade.protocols.split(',').map(str::trim);
        let Some(protocol) = PROTOCOLS.iter().find(|known| offered().any(|offer| offer == **known)) else {
            return Err(Status::bad_request(format!(
                "unable to negotiate protocol: client offered {}",
                upgrade.protocols
            )));
        };
        let (at, pod_name, wanted) = (key(namespace, name), name.to_owned(), call.query.get("container").to_owned());
        let shell = self.owner.ask(move |world| {
            let object = world.get(PODS, &at).ok_or_else(|| Status::not_found(&PODS, &pod_name))?;
            let Some(pod) = pods::pod(&object) else { return Err(Status::not_found(&PODS, &pod_name)) };
            // Without a name the first container is meant.
            let (place, _) = if wanted.is_empty() { (0, false) } else { logs::find(pod, &wanted, &pod_name)? };
            if !pod.state.has_address() || matches!(pod.state.phase(), "Succeeded" | "Failed") {
                let message =
                    format!("cannot exec into a container in a completed pod; current phase is {}", pod.state.phase());
                return Err(Status::bad_request(message));
            }
            Ok(Shell::new(&pod_name, pod, place, logs::clock(world)))
        });
        let shell = shell.await.ok_or_else(|| Status::internal("the server is shutting down"))??;
        let command: Vec<String> = call.query.all("command").map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Status::bad_request("you must specify at least one command for the container"));
        }
        let session = Session { shell, command, stdin: call.query.is_set("stdin"), tty: call.query.is_set("tty") };
        let on = upgrade.on;
        tokio::spawn(async move {
            if let Ok(upgraded) = on.await {
                let mut socket = Socket(TokioIo::new(upgraded));
                if session.run(&mut socket).await.is_some() {
                    socket.close().await;
                }
            }
        });
        Ok(answer::switching(&socket::accept(&upgrade.key), protocol))
    }
}

type Stream = Socket<TokioIo<hyper::upgrade::Upgraded>>;

impl Session {
    /// Runs to its end; `None` when the client goes before.
    async fn run(mut self, socket: &mut Stream) -> Option<()> {
        let interactive = is_shell(&self.command[0]) && self.command.len() == 1 && self.stdin;
        let code = if interactive {
            self.talk(socket).await?
        } else {
            let said = self.shell.run(&self.command);
            self.say(socket, &said).await?;
            said.code
        };
        socket.send(ERROR, ended(code).to_string().as_bytes()).await
    }

    /// Terminals want carriage returns, and have one stream only.
    async fn say(&self, socket: &mut Stream, said: &Said) -> Option<()> {
        for (channel, text) in [(STDOUT, &said.out), (if self.tty { STDOUT } else { STDERR }, &said.error)] {
            if !text.is_empty() {
                let text = if self.tty { text.replace('\n', "\r\n") } else { text.clone() };
                socket.send(channel, text.as_bytes()).await?;
            }
        }
        Some(())
    }

    async fn talk(&mut self, socket: &mut Stream) -> Option<u8> {
        let mut typed = String::new();
        if self.tty {
            socket.send(STDOUT, self.shell.prompt().as_bytes()).await?;
        }
        loop {
            let message = socket.read().await?;
            let text = match message.split_first() {
                Some((&STDIN, text)) => String::from_utf8_lossy(text).into_owned(),
                Some((&CLOSED, [STDIN])) => "\u{4}".to_owned(),
                // Sizes of the window say nothing here.
                _ => continue,
            };
            for character in text.chars() {
                match character {
                    '\r' | '\n' => {
                        if self.tty {
                            socket.send(STDOUT, b"\r\n").await?;
                        }
                        let said = self.shell.line(&std::mem::take(&mut typed));
                        self.say(socket, &said).await?;
                        if said.end {
                            return Some(said.code);
                        }
                        if self.tty {
                            socket.send(STDOUT, self.shell.prompt().as_bytes()).await?;
                        }
                    }
                    // Ctrl-D on an empty line ends, Ctrl-C forgets the line.
                    '\u{4}' if typed.is_empty() => return Some(0),
                    '\u{3}' => {
                        typed.clear();
                        socket.send(STDOUT, format!("^C\r\n{}", self.shell.prompt()).as_bytes()).await?;
                    }
                    '\u{7f}' | '\u{8}' => {
                        if typed.pop().is_some() && self.tty {
                            socket.send(STDOUT, b"\x08 \x08").await?;
                        }
                    }
                    character if character.is_control() => {}
                    character => {
                        typed.push(character);
                        if self.tty {
                            socket.send(STDOUT, character.to_string().as_bytes()).await?;
                        }
                    }
                }
            }
        }
    }
}

/// How the command ended, as the error channel tells it.
fn ended(code: u8) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}
