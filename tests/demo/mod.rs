//! A simulated cluster with folders of its own, and the real program on it: in a terminal, or as `ekscope get`.

#![allow(dead_code, reason = "every test uses its own part of it")]

use std::{
    future::Future,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ekscope::sim::{self, Faults, Handle, RequestLog};
use serde_json::Value;
use tempfile::TempDir;

use crate::pty::{Options, Session};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ekscope");

/// A small cluster that stands still: what changes, the test changes.
pub fn still() -> sim::Options {
    sim::Options { nodes: 6, pods: 60, churn: 0.0, seed: 1, ..sim::Options::default() }
}

pub fn with_faults(faults: Faults) -> sim::Options {
    sim::Options { faults, ..still() }
}

/// Folders that belong to one test, and the way to run the program with them.
pub struct Place {
    folder: TempDir,
    /// Variables of the environment beside the folders.
    pub variables: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), variables: Vec::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// A kubeconfig for whatever is at this port of this machine.
    pub fn write_kubeconfig(&self, port: u16) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lonely\nclusters:\n- name: lonely\n  cluster:\n    server: \
             https://127.0.0.1:{port}\ncontexts:\n- name: lonely\n  context: {{cluster: lonely, user: me}}\nusers:\n- \
             name: me\n  user: {{token: none}}\n"
        );
        std::fs::write(self.kubeconfig(), text).expect("a kubeconfig");
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        ["CONFIG", "STATE", "CACHE"]
            .into_iter()
            .map(|name| (format!("EKSCOPE_{name}_DIR"), self.path(name).display().to_string()))
            .chain(self.variables.iter().cloned())
            .collect()
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let kubeconfig = self.kubeconfig().display().to_string();
        arguments.iter().map(|&argument| argument.to_owned()).chain(["--kubeconfig".to_owned(), kubeconfig]).collect()
    }

    /// Runs the program in a terminal of this size.
    pub fn open(&self, arguments: &[&str], size: (u16, u16)) -> Session {
        let arguments = self.arguments(arguments);
        self.open_as_is(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), size)
    }

    /// The same with these arguments and no others.
    pub fn open_as_is(&self, arguments: &[&str], (columns, rows): (u16, u16)) -> Session {
        Session::start(&Options {
            program: Path::new(PROGRAM),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: self.environment(),
            columns,
            rows,
        })
    }

    /// Writes the user's `config.toml`; gives its path.
    pub fn configure(&self, text: &str) -> String {
        let path = self.path("CONFIG").join("config.toml");
        std::fs::create_dir_all(self.path("CONFIG")).expect("a folder");
        std::fs::write(&path, text).expect("a settings file");
        path.display().to_string()
    }

    /// Runs the program without a terminal to its end, with these arguments and no others.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).envs(self.environment()).output().expect("ekscope runs")
    }

    /// Runs `ekscope get` to its end.
    pub fn get(&self, arguments: &[&str]) -> Output {
        let arguments = self.arguments(&[&["get"], arguments].concat());
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The rows of `ekscope get … -o json`.
    pub fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.get(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("an array of rows")
    }

    /// Everything that the program logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("STATE").join("ekscope.log")).unwrap_or_default()
    }
}

/// A simulated cluster, and a place with its kubeconfig.
pub struct Demo {
    pub server: Handle,
    pub place: Place,
}

impl Demo {
    pub fn start(options: sim::Options) -> Self {
        let server = sim::spawn(options).expect("the simulated cluster starts");
        let place = Place::new();
        server.write_kubeconfig(&place.kubeconfig()).expect("a kubeconfig");
        Self { server, place }
    }

    /// The same as a cluster of EKS: the kubeconfig says so, and the environment leads to its account.
    pub fn of_account(options: sim::Options) -> Self {
        let mut demo = Self::start(options);
        std::fs::write(demo.place.kubeconfig(), demo.server.eks_kubeconfig()).expect("a kubeconfig");
        let variables = demo.server.environment().into_iter();
        demo.place.variables = variables.map(|(name, value)| (name.to_owned(), value)).collect();
        demo
    }

    pub fn open(&self, arguments: &[&str], size: (u16, u16)) -> Session {
        self.place.open(arguments, size)
    }

    pub fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        self.place.rows(arguments)
    }

    /// How many pods there are now.
    pub fn pods(&self) -> usize {
        wait(self.server.stats()).pods
    }

    pub fn requests(&self) -> RequestLog {
        wait(self.server.requests())
    }
}

/// Runs a future of the simulator to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
