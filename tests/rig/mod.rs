//! A running rig (`tests/live/rig.sh`), as the live tests reach it: kubectl's own connection to its API server, and the
//! program under test.

#![allow(dead_code, reason = "every test uses its own part of it")]

use std::{
    collections::BTreeMap,
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use ekscope::util::age;
use serde_json::{Map, Value};

/// What kubectl asks for: cells as they are printed.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Rows by namespace and name.
pub type Table = BTreeMap<(String, String), Map<String, Value>>;

/// An answer to a request.
pub struct Reply {
    pub code: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// All values of a header, one after the other.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join("; ")
    }
}

pub struct Rig {
    pub kubeconfig: String,
    proxy: Child,
    port: u16,
}

impl Rig {
    /// `None`, with a notice, where `EKSCOPE_RIG_KUBECONFIG` names no rig.
    pub fn find() -> Option<Self> {
        let Ok(kubeconfig) = env::var("EKSCOPE_RIG_KUBECONFIG") else {
            assert!(env::var_os("EKSCOPE_RIG_REQUIRED").is_none(), "EKSCOPE_RIG_KUBECONFIG names no live rig");
            eprintln!("SKIPPED: EKSCOPE_RIG_KUBECONFIG names no live rig (tests/live/rig.sh start)");
            return None;
        };
        Some(Self::at(kubeconfig))
    }

    /// The API server of a kubeconfig, whatever it is.
    pub fn at(kubeconfig: String) -> Self {
        let mut proxy = Command::new(kubectl())
            .args(["--kubeconfig", &kubeconfig, "proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl proxy");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("kubectl proxy said {line:?}"));
        Self { kubeconfig, proxy, port }
    }

    /// Any request, as it is; HTTP/1.0, so that nothing comes in chunks.
    pub fn send(&self, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the proxy");
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request = format!("{request}{name}: {value}\r\n");
        }
        write!(stream, "{request}Content-Length: {}\r\n\r\n{body}", body.len()).expect("a request");
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            // A server that refuses a request before it has read its body ends the connection hard after its answer.
            assert!(error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty(), "{method} {path}: {error}");
        }
        let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a body") + 4;
        let head = String::from_utf8_lossy(&answer[..split]).into_owned();
        let mut lines = head.lines();
        let code = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.filter_map(header).collect();
        Reply { code, headers, body: String::from_utf8_lossy(&answer[split..]).into_owned() }
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

    /// The rows of `ekscope get … -o json`.
    pub fn rows(&self, arguments: &[&str]) -> Vec<Map<String, Value>> {
        let output = Command::new(env!("CARGO_BIN_EXE_ekscope"))
            .args(["get", "-o", "json", "--kubeconfig", &self.kubeconfig])
            .args(arguments)
            .output()
            .expect("ekscope");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn table(&self, arguments: &[&str]) -> Table {
        let rows = self.rows(arguments);
        let count = rows.len();
        let table: Table = rows.into_iter().map(|row| ((cell(&row, "namespace"), cell(&row, "name")), row)).collect();
        assert_eq!(table.len(), count, "{arguments:?}: every row has a name of its own");
        table
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

pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A cell as text; what is not known is empty.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub fn cell(row: &Map<String, Value>, column: &str) -> String {
    row.get(column).map(text).unwrap_or_default()
}

/// Whether two ages are the same but for the time between the two looks and for what their text leaves out.
pub fn ages_agree(one: &str, other: &str, elapsed: Duration) -> bool {
    let (Some(one), Some(other)) = (age::parse(one), age::parse(other)) else { return one == other };
    let unit = age::changes_in(one.max(other) / 60 * 60).max(1);
    (one - other).unsigned_abs() <= elapsed.as_secs() + 2 + unit.unsigned_abs()
}
