//! A running rig (`tests/live/rig.sh`), as the live tests reach it: kubectl's own connection to its API server, and the
//! program under test.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

pub struct Rig {
    pub kubeconfig: String,
    proxy: Child,
    port: u16,
}

impl Rig {
    /// `None`, with a notice, where `EKSCOPE_RIG_KUBECONFIG` names no rig.
    pub fn find() -> Option<Self> {
        let Ok(kubeconfig) = env::var("EKSCOPE_RIG_KUBECONFIG") else {
            eprintln!("SKIPPED: EKSCOPE_RIG_KUBECONFIG names no live rig (tests/live/rig.sh start)");
            return None;
        };
        let mut proxy = Command::new(kubectl())
            .args(["--kubeconfig", &kubeconfig, "proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl proxy");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("kubectl proxy said {line:?}"));
        Some(Self { kubeconfig, proxy, port })
    }

    /// A GET; HTTP/1.0, so that nothing comes in chunks.
    pub fn get(&self, path: &str, accept: &str) -> Value {
        loop {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the proxy");
            write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").expect("a request");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("an answer");
            let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a body") + 4;
            let head = String::from_utf8_lossy(&answer[..split]);
            if head.contains(" 429 ") {
                // A definition has just changed; the server asks for a second.
                thread::sleep(Duration::from_secs(1));
                continue;
            }
            assert!(head.contains(" 200 "), "{path}: {head}");
            return serde_json::from_slice(&answer[split..]).expect("JSON");
        }
    }

    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(kubectl())
            .args(["--kubeconfig", &self.kubeconfig])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    }

    pub fn ekscope(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ekscope"))
            .args(arguments)
            .args(["--kubeconfig", &self.kubeconfig])
            .output()
            .expect("ekscope")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

fn kubectl() -> String {
    env::var("EKSCOPE_RIG_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned())
}
