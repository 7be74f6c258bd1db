//! A moto server of one test's own, and boto3 to make and to read things there.

#![allow(dead_code, reason = "every test uses its own part of it")]

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

pub const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "s/e+cret")];

/// The folder with programs, or a notice.
pub fn programs() -> Option<PathBuf> {
    let Ok(venv) = std::env::var("EKSCOPE_MOTO_VENV") else {
        assert!(std::env::var_os("EKSCOPE_MOTO_REQUIRED").is_none(), "EKSCOPE_MOTO_VENV names no virtual environment");
        eprintln!("SKIPPED: EKSCOPE_MOTO_VENV names no virtual environment with moto (tests/aws/moto.sh)");
        return None;
    };
    Some(PathBuf::from(venv).join("bin"))
}

/// A running moto, ended with this value.
pub struct Moto {
    server: Child,
    pub url: String,
    programs: PathBuf,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Moto {
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        // moto says on standard error where it listens.
        let mut server = Command::new(programs.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server");
        let mut lines = BufReader::new(server.stderr.take().expect("its output")).lines();
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, url) = line.split_once("Running on ")?;
            Some(url.split_whitespace().next()?.trim_end_matches('/').to_owned())
        });
        // What it says of every request has to be read, or it would wait.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { server, url: url.expect("moto says where it listens"), programs })
    }

    pub fn script(&self, name: &str) -> Value {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/aws").join(name);
        let output = Command::new(self.programs.join("python")).arg(script).arg(&self.url).output().expect("python");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub fn variables(&self) -> Vec<(String, String)> {
        let place = [("AWS_ENDPOINT_URL", &*self.url), ("AWS_REGION", "eu-west-1")];
        KEYS.into_iter().chain(place).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
