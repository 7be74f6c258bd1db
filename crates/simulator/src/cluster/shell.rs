//! The toy shell of the demo's containers: a handful of commands that answer as they would there.
//!
//! Pure: a line in, text and a code out. It changes nothing but the folder that it is in.

use std::fmt::Write as _;

use super::pod::Pod;
use crate::encoding::template::{Short, rfc3339};

/// A shell in a container.
#[derive(Debug, Clone)]
pub struct Shell {
    host: String,
    node: String,
    address: String,
    container: String,
    folder: String,
    environment: Vec<(String, String)>,
    /// The time, in seconds since 1970.
    pub now: i64,
    last: u8,
}

/// What a command said, and its exit code; `None`: the shell goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub out: String,
    pub error: String,
    pub code: u8,
    /// The shell has ended.
    pub end: bool,
}

impl Said {
    fn out(text: impl Into<String>) -> Self {
        Self { out: text.into(), error: String::new(), code: 0, end: false }
    }

    fn failed(code: u8, text: impl Into<String>) -> Self {
        Self { out: String::new(), error: text.into(), code, end: false }
    }
}

/// Whether a command is a shell.
pub fn is_shell(command: &str) -> bool {
    matches!(command.rsplit('/').next(), Some("sh" | "bash" | "ash"))
}

impl Shell {
    pub fn new(name: &str, pod: &Pod, place: usize, now: i64) -> Self {
        let container = pod.workload.containers.get(place);
        let field = |value: &str| match value {
            "field:metadata.name" => name.to_owned(),
            "field:metadata.namespace" => pod.workload.namespace.to_string(),
            "field:spec.nodeName" => pod.node_name().to_owned(),
            "field:status.podIP" => Short::address(pod.ip).as_str().to_owned(),
            // What a secret holds is nobody's business.
            value if value.starts_with("secret:") => "*****".to_owned(),
            value => value.to_owned(),
        };
        let mut environment = vec![
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOSTNAME".to_owned(), name.to_owned()),
            ("KUBERNETES_SERVICE_HOST".to_owned(), "172.20.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), "443".to_owned()),
            ("HOME".to_owned(), "/".to_owned()),
        ];
        let own = container.into_iter().flat_map(|container| &container.env);
        environment.extend(own.map(|(name, value)| (name.clone(), field(value))));
        Self {
            host: name.to_owned(),
            node: pod.node_name().to_owned(),
            address: Short::address(pod.ip).as_str().to_owned(),
            container: container.map_or_else(String::new, |container| container.name.clone()),
            folder: "/".to_owned(),
            environment,
            now,
            last: 0,
        }
    }

    pub fn prompt(&self) -> String {
        format!("{} $ ", self.folder)
    }

    /// Runs the commands of a line, as far as this shell knows them.
    pub fn line(&mut self, line: &str) -> Said {
        let mut all = Said::out("");
        for part in line.split([';', '\n']).map(str::trim).filter(|part| !part.is_empty() && !part.starts_with('#')) {
            for part in part.split("&&").map(str::trim) {
                let words: Vec<String> = part.split_whitespace().map(|word| self.expand(word)).collect();
                let said = self.run(&words);
                self.last = said.code;
                all.out += &said.out;
                all.error += &said.error;
                all.code = said.code;
                all.end = said.end;
                if said.end || said.code != 0 {
                    break;
                }
            }
            if all.end {
                break;
            }
        }
        all
    }

    fn expand(&self, word: &str) -> String {
        let word = word.trim_matches(['"', '\'']);
        match word.strip_prefix('$') {
            Some("?") => self.last.to_string(),
            Some(name) => {
                let name = name.trim_matches(['{', '}']);
                let found = self.environment.iter().find(|(known, _)| known == name);
                found.map_or_else(String::new, |(_, value)| value.clone())
            }
            None => word.to_owned(),
        }
    }

    /// Runs one command.
    pub fn run(&mut self, words: &[String]) -> Said {
        let Some(command) = words.first() else { return Said::out("") };
        let arguments = &words[1..];
        let first = arguments.first().map_or("", String::as_str);
        match command.rsplit('/').next().unwrap_or_default() {
            "sh" | "bash" | "ash" if first == "-c" => match arguments.get(1) {
                Some(line) => self.line(&line.clone()),
                None => Said::failed(2, "sh: -c requires an argument\n"),
            },
            "sh" | "bash" | "ash" => Said::out(""),
            "exit" => Said { end: true, code: first.parse().unwrap_or(self.last), ..Said::out("") },
            "true" | ":" => Said::out(""),
            "false" => Said::failed(1, ""),
            "echo" => Said::out(arguments.join(" ") + "\n"),
            "env" | "printenv" => {
                let mut text = String::new();
                for (name, value) in &self.environment {
                    let _ = writeln!(text, "{name}={value}");
                }
                Said::out(text)
            }
            "hostname" => Said::out(format!("{}\n", self.host)),
            "whoami" => Said::out("app\n"),
            "id" => Said::out("uid=1000(app) gid=1000(app) groups=1000(app)\n"),
            "pwd" => Said::out(format!("{}\n", self.folder)),
            "date" => Said::out(format!("{}\n", rfc3339(self.now))),
            "uname" => {
                Said::out(format!("Linux {} 6.12.46-66.121.amzn2023.x86_64 #1 SMP x86_64 GNU/Linux\n", self.host))
            }
            "ps" => Said::out(format!(
                "PID   USER     TIME  COMMAND\n    1 app       0:41 /app/{}\n   27 app       0:00 sh\n",
                self.container
            )),
            "cd" => match first {
                "" | "/" | "~" => self.enter("/"),
                known if FOLDERS.iter().any(|(folder, _)| *folder == known) => self.enter(known),
                other => Said::failed(2, format!("sh: cd: can't cd to {other}: No such file or directory\n")),
            },
            "ls" => {
                let folder =
                    arguments.iter().find(|word| !word.starts_with('-')).map_or(self.folder.as_str(), String::as_str);
                match FOLDERS.iter().find(|(known, _)| *known == folder) {
                    Some((_, content)) => Said::out(content.join("\n") + "\n"),
                    None => Said::failed(1, format!("ls: {folder}: No such file or directory\n")),
                }
            }
            "cat" => self.cat(first),
            command => Said::failed(127, format!("sh: {command}: not found\n")),
        }
    }

    fn enter(&mut self, folder: &str) -> Said {
        folder.clone_into(&mut self.folder);
        Said::out("")
    }

    fn cat(&self, file: &str) -> Said {
        match file {
            "/etc/hostname" => Said::out(format!("{}\n", self.host)),
            "/etc/hosts" => Said::out(format!(
                "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{}\t{}\n",
                self.address, self.host
            )),
            "/etc/resolv.conf" => Said::out(
                "search svc.cluster.local cluster.local eu-west-1.compute.internal\nnameserver 172.20.0.10\noptions ndots:5\n",
            ),
            "/etc/os-release" => Said::out("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\n"),
            "/etc/node" => Said::out(format!("{}\n", self.node)),
            file => Said::failed(1, format!("cat: can't open '{file}': No such file or directory\n")),
        }
    }
}

const FOLDERS: [(&str, &[&str]); 4] = [
    ("/", &["app", "bin", "dev", "etc", "proc", "sys", "tmp", "usr", "var"]),
    ("/app", &["config.yaml", "server"]),
    ("/etc", &["hostname", "hosts", "os-release", "resolv.conf"]),
    ("/tmp", &[]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::seed::{Cluster, Size};

    #[test]
    fn commands_answer_with_text_and_code() {
        let cluster =
            Cluster::new(Size { site: &crate::cluster::site::DEMO, nodes: 3, pods: 40, seed: 1, now: 1_772_323_200 });
        let (name, pod) = &cluster.pods[30];
        let mut shell = Shell::new(name, pod, 0, 1_772_323_200);
        assert_eq!(shell.line("hostname"), Said::out(format!("{name}\n")));
        assert_eq!(shell.line("cd /etc && pwd").out, "/etc\n");
        assert_eq!(shell.line("ls; echo $?").out, "hostname\nhosts\nos-release\nresolv.conf\n0\n");
        assert_eq!((shell.line("nonsense").code, shell.line("echo $?").out.as_str()), (127, "127\n"));
        assert_eq!(shell.line("false && echo no").out, "");
        assert_eq!(shell.line("date").out, "2026-03-01T00:00:00Z\n");
        let end = shell.line("exit 3");
        assert!(end.end && end.code == 3);
        assert!(!shell.line("env").out.contains("secret:"));
    }
}
