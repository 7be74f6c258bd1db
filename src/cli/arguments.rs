//! What may be said on the command line, and what contradicts itself. How to connect may stand before or after the subcommand.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::amazon::Questions;
use crate::{
    app::headless,
    config::settings::{Config, Overrides},
    sources::{
        aws::{self, Wish},
        kube::{cluster::Preference, session::ConnectOptions},
    },
    store::lens::Scope,
};

/// A terminal explorer for Amazon EKS.
#[derive(Debug, Parser)]
#[command(name = "ekscope", version)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) first: First,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Explore a simulated cluster: no account and no cluster needed.
    Demo(Demo),
    /// Print what a view shows, for scripts.
    Get(Get),
    /// Say who you are to AWS and to the cluster and what you may do there, and print the policies that are needed. Exits
    /// with 1 where the cluster cannot be reached, or without any cluster where AWS knows nobody.
    Doctor,
    /// Say where settings, keys and themes live, check them, and list what there is to choose from.
    Config {
        /// Print every setting with its default and what it means: a start for `config.toml`.
        #[arg(long)]
        defaults: bool,
    },
}

/// What to show first.
#[derive(Debug, Args, Clone, Default)]
pub(super) struct First {
    /// What to show first: a kind or any command line, such as `pods kube-system /web`.
    #[arg(value_name = "VIEW")]
    pub(super) view: Vec<String>,
    /// The same as VIEW.
    #[arg(short = 'c', long = "command", value_name = "VIEW", conflicts_with = "view")]
    pub(super) command: Option<String>,
}

/// How to connect, and what counts whatever is shown.
#[derive(Debug, Args, Clone, Default)]
pub(super) struct Common {
    /// Path of the kubeconfig (otherwise KUBECONFIG, then ~/.kube/config).
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub(super) context: Option<String>,
    /// Cluster of the kubeconfig, in place of the context's.
    #[arg(long, global = true)]
    pub(super) cluster: Option<String>,
    /// EKS cluster to connect to by its name: no kubeconfig is needed.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) eks: Option<String>,
    /// AWS region, for --eks, clusters and doctor (otherwise AWS_REGION, then the profile's).
    #[arg(long, global = true)]
    pub(super) region: Option<String>,
    /// AWS profile, for --eks, clusters and doctor (otherwise AWS_PROFILE, then default).
    #[arg(long, global = true)]
    pub(super) profile: Option<String>,
    /// User of the kubeconfig, in place of the context's.
    #[arg(long, global = true)]
    pub(super) user: Option<String>,
    /// Namespace; several with commas, `!name` for all but.
    #[arg(short = 'n', long, global = true)]
    pub(super) namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true)]
    pub(super) all_namespaces: bool,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(super) as_user: Option<String>,
    /// Group to impersonate; may be given again.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub(super) as_group: Vec<String>,
    /// Longest wait for an answer: 30s, 1m; 0 is for ever.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) request_timeout: Option<Duration>,
    /// Encoding to ask the server for.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(super) encoding: Encoding,
    /// Refuse everything that changes the cluster.
    #[arg(long, global = true)]
    pub(super) readonly: bool,
    /// Theme for this run.
    #[arg(long, global = true)]
    pub(super) theme: Option<String>,
    /// Write what comes from the server to a new file, without what is secret; asks the server for JSON.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Play a recording, in place of a cluster.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) replay: Option<PathBuf>,
    /// How fast the time of a demo or a replay goes: 60 makes a minute of an hour; 0 stops a demo.
    #[arg(long, global = true, value_name = "NUMBER", value_parser = speed)]
    pub(super) speed: Option<f64>,
    /// Variables of AWS that count in place of the shell's.
    #[arg(skip)]
    pub(super) aws: Option<aws::Environment>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Encoding {
    /// Protobuf where the server has it.
    #[default]
    Protobuf,
    Json,
}

/// The simulated cluster.
#[derive(Debug, Args, Clone)]
pub(super) struct Demo {
    /// Only run the cluster, and say how to reach it.
    #[arg(long)]
    pub(super) serve: bool,
    /// Nodes of the cluster; 60 where the story needs no other number.
    #[arg(long)]
    pub(super) nodes: Option<u32>,
    /// Pods of the cluster; 1200 where the story needs no other number.
    #[arg(long)]
    pub(super) pods: Option<u32>,
    /// Changes a second at random, for load: the cluster does not live by itself then.
    #[arg(long, conflicts_with = "story")]
    pub(super) churn: Option<f64>,
    /// What goes on in the cluster; --list says which there are.
    #[arg(long, value_name = "NAME")]
    pub(super) story: Option<String>,
    /// List the stories.
    #[arg(long, exclusive = true)]
    pub(super) list: bool,
    /// The same seed gives the same cluster.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Where to listen.
    #[arg(long)]
    pub(super) listen: Option<std::net::SocketAddr>,
    /// Keep every object encoded in memory: more to start with, less to serve.
    #[arg(long, requires = "serve", hide = true)]
    pub(super) preencode: bool,
    #[command(flatten)]
    pub(super) first: First,
}

#[derive(Debug, Args, Clone)]
pub(super) struct Get {
    /// Kind, and what follows it on the command line: `pods`, `pods kube-system /web`.
    #[arg(value_name = "VIEW", required = true)]
    pub(super) view: Vec<String>,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(super) output: headless::Output,
    /// Sort by a column: `age`, `cpu desc`.
    #[arg(long)]
    pub(super) sort: Option<String>,
    /// All columns, the wide ones too.
    #[arg(short = 'w', long)]
    pub(super) wide: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "not a length of time such as 30s or 1m".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.0..=10_000.0).contains(&speed) => Ok(speed),
        _ => Err("not a number from 0 to 10000".to_owned()),
    }
}

impl Cli {
    /// What clap does not see: it judges what stands before a subcommand and what stands after it by itself.
    pub(super) fn conflict(&self) -> Option<&'static str> {
        if self.common.all_namespaces && self.common.namespace.is_some() {
            return Some("--all-namespaces cannot be used with --namespace");
        }
        let kubeconfig = [&self.common.context, &self.common.cluster, &self.common.user];
        if self.common.eks.is_some() && kubeconfig.iter().any(|named| named.is_some()) {
            return Some("--eks cannot be used with --context, --cluster or --user");
        }
        let first = !self.first.view.is_empty() || self.first.command.is_some();
        if first && self.command.is_some() {
            return Some("a VIEW goes after the subcommand");
        }
        self.common.unplayable(self.command.as_ref())
    }
}

impl First {
    pub(super) fn line(&self) -> Option<String> {
        self.command.clone().or_else(|| (!self.view.is_empty()).then(|| self.view.join(" ")))
    }
}

impl Common {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            theme: self.theme.clone(),
            read_only: self.readonly.then_some(true),
            request_timeout: self.request_timeout,
            profile: self.profile.clone(),
            region: self.region.clone(),
        }
    }

    pub(super) fn options(&self, config: &Config) -> ConnectOptions {
        ConnectOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            namespace: None,
            impersonate_user: self.as_user.clone(),
            impersonate_groups: self.as_group.clone(),
            connect_timeout: config.connection.connect_timeout,
            exec_timeout: config.connection.exec_timeout,
            request_timeout: config.connection.request_timeout,
            read_only: config.safety.read_only,
            recorder: None,
            ask: None,
        }
    }

    /// What cannot be recorded or played so.
    fn unplayable(&self, command: Option<&Command>) -> Option<&'static str> {
        let connects = [&self.context, &self.cluster, &self.user, &self.as_user, &self.eks];
        let (demo, config) =
            (matches!(command, Some(Command::Demo(_))), matches!(command, Some(Command::Config { .. })));
        match (&self.record, &self.replay, self.speed) {
            (Some(_), Some(_), _) => Some("--record cannot be used with --replay"),
            (_, Some(_), _) if demo => Some("--replay cannot be used with the demo"),
            (_, Some(_), _) if self.kubeconfig.is_some() || connects.into_iter().any(Option::is_some) => {
                Some("--replay cannot be used with what says how to connect")
            }
            (Some(_), ..) | (_, Some(_), _) if config => Some("`config` connects to nothing"),
            (Some(_), ..) | (_, Some(_), _) if matches!(command, Some(Command::Doctor)) => {
                Some("`doctor` is neither recorded nor played")
            }
            (_, Some(_), Some(0.0)) => Some("a replay has to go on: --speed must be more than 0"),
            (_, None, Some(_)) if !demo => Some("--speed goes with the demo or with --replay"),
            (.., Some(_)) if matches!(command, Some(Command::Demo(demo)) if demo.churn.is_some()) => {
                Some("--speed cannot be used with --churn")
            }
            _ => None,
        }
    }

    /// How to connect, and the codes of MFA devices that are asked for on the way.
    pub(super) fn asking(&self, config: &Config) -> (ConnectOptions, Questions) {
        let (ask, questions) = tokio::sync::mpsc::unbounded_channel();
        (ConnectOptions { ask: Some(ask), ..self.options(config) }, questions)
    }

    pub(super) fn aws_wish(&self) -> Wish {
        let environment = self.aws.clone().unwrap_or_else(aws::Environment::of_process);
        Wish { profile: self.profile.clone(), region: self.region.clone(), role: None, environment }
    }

    pub(super) fn scope(&self) -> Option<Scope> {
        if self.all_namespaces { Some(Scope::All) } else { self.namespace.as_deref().map(Scope::parse) }
    }

    pub(super) fn preference(&self) -> Preference {
        match self.encoding {
            // What cannot be taken apart cannot be redacted.
            Encoding::Protobuf if self.record.is_none() => Preference::Protobuf,
            Encoding::Protobuf | Encoding::Json => Preference::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn the_arguments_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn how_to_connect_stands_before_or_after_the_subcommand() {
        for line in [
            "ekscope --kubeconfig f -n a,b --as me --as-group g --as-group h --request-timeout 5s --readonly get pods",
            "ekscope get pods --kubeconfig f -n a,b --as me --as-group g --as-group h --request-timeout 5s --readonly",
            "ekscope get --kubeconfig f -n a,b pods --as me --as-group g --as-group h --request-timeout 5s --readonly",
        ] {
            let cli = parse(line);
            let Some(Command::Get(get)) = &cli.command else { panic!("{line}") };
            assert_eq!(get.view, ["pods"], "{line}");
            let common = &cli.common;
            assert_eq!(common.kubeconfig, Some("f".into()), "{line}");
            assert_eq!(common.scope(), Some(Scope::parse("a,b")), "{line}");
            assert_eq!((common.as_user.as_deref(), common.as_group.len()), (Some("me"), 2), "{line}");
            let overrides = common.overrides();
            assert_eq!(overrides.request_timeout, Some(Duration::from_secs(5)), "{line}");
            assert_eq!(overrides.read_only, Some(true), "{line}");
            assert_eq!(cli.conflict(), None, "{line}");
        }
    }

    #[test]
    fn a_view_is_an_argument_or_an_option() {
        for (line, view) in [
            ("ekscope", None),
            ("ekscope -A", None),
            ("ekscope pods -A", Some("pods")),
            ("ekscope -A pods", Some("pods")),
            ("ekscope -c pods --context x", Some("pods")),
            ("ekscope pods kube-system /web get", Some("pods kube-system /web get")),
        ] {
            let cli = parse(line);
            assert!(cli.command.is_none(), "{line}");
            assert_eq!(cli.first.line().as_deref(), view, "{line}");
            assert_eq!(cli.conflict(), None, "{line}");
        }
        let Some(Command::Demo(demo)) = parse("ekscope --theme paper demo --nodes 3 nodes").command else { panic!() };
        assert_eq!((demo.nodes, demo.first.line().as_deref()), (Some(3), Some("nodes")));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in
            ["ekscope -A -n x", "ekscope -A get pods -n x", "ekscope -n x get pods -A", "ekscope -c pods get nodes"]
        {
            assert!(parse(line).conflict().is_some(), "{line}");
        }
        assert!(Cli::try_parse_from(["ekscope", "pods", "-c", "pods"]).is_err());
    }
}
