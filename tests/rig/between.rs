//! A link to a rig that fails on purpose: plain HTTP between the program and `kubectl proxy`, where single requests and
//! bytes can be seen and spoilt.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// What goes wrong; one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Connections end as soon as they are there.
    Refuse,
    /// Requests are taken and never answered.
    Hang,
    /// So many answers end after so many bytes.
    Cut {
        answers: u32,
        bytes: usize,
    },
    /// The next answer that is as long has bytes in it, from there on, that are no frame.
    Garbage {
        bytes: usize,
    },
    /// So many requests are refused with 401.
    Unauthorized {
        requests: u32,
    },
}

pub struct Between {
    pub url: String,
    proxy: Child,
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    /// Request lines, in order.
    requests: Vec<String>,
    open: Vec<TcpStream>,
}

impl Between {
    pub fn start(kubectl: &str, kubeconfig: &Path, fault: Fault) -> Self {
        let mut proxy = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl proxy");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let server = line.trim().rsplit(' ').next().expect("an address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State { fault, requests: Vec::new(), open: Vec::new() }));
        let theirs = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&theirs).fault == Fault::Refuse {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
                lock(&theirs).open.push(clone(&client));
                let (state, to, back) = (Arc::clone(&theirs), clone(&server), clone(&client));
                thread::spawn(move || ask(&state, client, to));
                let state = Arc::clone(&theirs);
                thread::spawn(move || answer(&state, server, back));
            }
        });
        Self { url, proxy, state }
    }

    /// From now on this goes wrong; what is open stays open, unless connections are refused.
    pub fn set(&self, fault: Fault) {
        let mut state = lock(&self.state);
        state.fault = fault;
        if fault == Fault::Refuse {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Request lines so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries requests; each comes in one piece.
fn ask(state: &Mutex<State>, mut client: TcpStream, mut server: TcpStream) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(read @ 1..) = client.read(&mut chunk) {
        let bytes = &chunk[..read];
        let fault = {
            let mut state = lock(state);
            if let Some(line) = bytes.split(|byte| *byte == b'\r').next().filter(|line| line.ends_with(b"HTTP/1.1")) {
                state.requests.push(String::from_utf8_lossy(line).into_owned());
            }
            let fault = state.fault;
            if let Fault::Unauthorized { requests } = &mut state.fault {
                *requests = requests.saturating_sub(1);
            }
            fault
        };
        match fault {
            Fault::Hang => {}
            Fault::Unauthorized { requests: 1.. } => {
                let body =
                    r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}"#;
                let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if client.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
            _ if server.write_all(bytes).is_err() => break,
            _ => {}
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Carries answers.
fn answer(state: &Mutex<State>, mut server: TcpStream, mut client: TcpStream) {
    let mut chunk = vec![0; 16 << 10];
    let mut passed = 0;
    while let Ok(read @ 1..) = server.read(&mut chunk) {
        let mut bytes = &mut chunk[..read];
        let mut last = false;
        match &mut lock(state).fault {
            Fault::Cut { answers: answers @ 1.., bytes: most } if passed + read > *most => {
                *answers -= 1;
                let rest = most.saturating_sub(passed).min(read);
                bytes = &mut bytes[..rest];
                last = true;
            }
            fault @ Fault::Garbage { .. } => {
                if let Fault::Garbage { bytes: at } = *fault
                    && passed + read > at
                {
                    let from = at.saturating_sub(passed);
                    bytes[from..(from + 64).min(read)].fill(0xff);
                    *fault = Fault::None;
                }
            }
            _ => {}
        }
        passed += read;
        if client.write_all(bytes).is_err() || last {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
