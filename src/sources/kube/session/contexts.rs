//! Which clusters there are: kubeconfig files, merged as kubectl merges them, or the pod's own service account.
//! Knows nothing of connections.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use serde_json::json;

use super::{ConnectOptions, eks};
use crate::problem::Problem;
use crate::sources::aws::standing::Claim;
use crate::sources::aws::{self, AwsSession};
use crate::sources::net::proxy::ProxyVariables;
use crate::util::redact::redact;

/// The name under which the pod's own service account is listed.
const IN_CLUSTER: &str = "in-cluster";

/// What the process was given. Read once at the edge, so that nothing below asks the real environment.
#[derive(Clone, Default)]
pub struct Environment {
    /// `KUBECONFIG`: a list of files in the form of `PATH`.
    pub kubeconfig: Option<OsString>,
    /// The home folder, for `~/.kube/config`.
    pub home: Option<PathBuf>,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, set in every pod.
    pub service: Option<(String, String)>,
    /// The folder in which a pod finds `token`, `ca.crt` and `namespace`.
    pub service_account: PathBuf,
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    pub proxies: ProxyVariables,
    /// What the AWS side is given.
    pub aws: aws::Environment,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            service: text("KUBERNETES_SERVICE_HOST").zip(text("KUBERNETES_SERVICE_PORT")),
            service_account: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
            proxies: ProxyVariables::of_process(),
            aws: aws::Environment::of_process(),
        }
    }
}

/// One context, for lists and for the header. Names are kept letter for letter: EKS uses ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextEntry {
    pub name: String,
    pub cluster: String,
    /// The server's address; none when the context names a cluster that no file describes.
    pub server: Option<String>,
    pub user: Option<String>,
    pub namespace: Option<String>,
    /// Whether it is the one that opens when none is named.
    pub current: bool,
}

/// What a context says of the cluster behind it, before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub context: String,
    /// Host and port of the API server.
    pub host: String,
    /// The cluster of EKS that it claims to be.
    pub claim: Option<Claim>,
    /// The AWS profile that its token command names.
    pub profile: Option<String>,
}

/// All contexts that the user has, merged from all files.
#[derive(Clone)]
pub struct Contexts {
    merged: Kubeconfig,
    /// The files that were looked for, for messages.
    files: Vec<PathBuf>,
    environment: Environment,
    /// Sessions of contexts that were added, by their names.
    aws_sessions: BTreeMap<String, AwsSession>,
}

/// What a context comes down to: everything needed to open a session.
pub(super) struct Target {
    pub context: String,
    pub cluster_name: String,
    pub cluster: Cluster,
    pub user_name: Option<String>,
    pub auth: AuthInfo,
    pub namespace: String,
    /// Set in a pod: a file that is read again, since cluster authorities rotate.
    pub authority_file: Option<PathBuf>,
}

/// The names only: the files hold secrets.
impl std::fmt::Debug for Contexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Contexts").field(&self.list()).finish()
    }
}

impl Contexts {
    /// Reads the kubeconfig files that the options and this process's environment name.
    pub fn load(options: &ConnectOptions) -> Result<Self, Problem> {
        Self::load_from(options, Environment::of_process())
    }

    /// The same for a given environment. `--kubeconfig` must exist; files of a list and the default may be missing.
    pub fn load_from(options: &ConnectOptions, environment: Environment) -> Result<Self, Problem> {
        let files = match (&options.kubeconfig, &environment.kubeconfig) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(list)) if !list.is_empty() => {
                std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
            }
            _ => environment.home.iter().map(|home| home.join(".kube").join("config")).collect(),
        };
        let mut merged = Kubeconfig::default();
        for file in &files {
            let mut read = match Kubeconfig::read_from(file) {
                Ok(read) => read,
                Err(KubeconfigError::ReadConfig(error, _))
                    if error.kind() == std::io::ErrorKind::NotFound && options.kubeconfig.is_none() =>
                {
                    continue;
                }
                Err(error) => return Err(unreadable(file, &error)),
            };
            // kubectl writes `current-context: ""` for none; it must not hide the next file's.
            read.current_context = non_empty(read.current_context);
            merged = merged.merge(read).map_err(|error| unreadable(file, &error))?;
        }
        Ok(Self { merged, files, environment, aws_sessions: BTreeMap::new() })
    }

    /// The contexts in the order of the files.
    pub fn list(&self) -> Vec<ContextEntry> {
        if self.in_cluster() {
            return vec![ContextEntry {
                name: IN_CLUSTER.to_owned(),
                cluster: IN_CLUSTER.to_owned(),
                server: self.service_url(),
                user: Some("service account".to_owned()),
                namespace: self.service_account_file("namespace"),
                current: true,
            }];
        }
        let entry = |named: &kube::config::NamedContext| {
            let context = named.context.clone().unwrap_or_default();
            ContextEntry {
                name: named.name.clone(),
                server: self.cluster(&context.cluster).and_then(|cluster| cluster.server),
                cluster: context.cluster,
                user: non_empty(context.user),
                namespace: non_empty(context.namespace),
                current: self.merged.current_context.as_ref() == Some(&named.name),
            }
        };
        self.merged.contexts.iter().map(entry).collect()
    }

    /// What the contexts say of the clusters behind them, in the order of the files.
    pub fn known(&self) -> Vec<Known> {
        let known = |context: ContextEntry| {
            let user = context.user.unwrap_or_default();
            let user = self.merged.auth_infos.iter().find(|named| named.name == user);
            let exec = user.and_then(|named| named.auth_info.as_ref()?.exec.as_ref());
            let entry = exec.and_then(|exec| eks::recognise(exec, &self.environment.aws));
            let server: Option<http::Uri> = context.server.and_then(|server| server.parse().ok());
            let host = server.and_then(|server| Some(server.authority()?.to_string())).unwrap_or_default();
            let claim = eks::claim(entry.as_ref(), [&context.cluster, &context.name], &host);
            Known { context: context.name, host, claim, profile: entry.and_then(|entry| entry.wish.profile) }
        };
        self.list().into_iter().map(known).collect()
    }

    /// Whether the files or the options say which cluster to open when none is named.
    pub fn opens(&self, options: &ConnectOptions) -> bool {
        options.context.is_some() || options.cluster.is_some() || self.current().is_some()
    }

    /// What the AWS side is given of the environment.
    pub fn aws(&self) -> &aws::Environment {
        &self.environment.aws
    }

    /// The name of the context that opens when none is named.
    pub fn current(&self) -> Option<&str> {
        if self.in_cluster() { Some(IN_CLUSTER) } else { self.merged.current_context.as_deref() }
    }

    /// The session that an added context goes with.
    pub(super) fn aws_session(&self, context: &str) -> Option<AwsSession> {
        self.aws_sessions.get(context).cloned()
    }

    /// Adds a cluster of EKS as a context of its own, named by its ARN, and makes it the current one. Signing in is that of
    /// `aws eks update-kubeconfig`, through this session. Gives the context's name.
    pub fn add_eks(&mut self, cluster: &aws::eks::Cluster, session: AwsSession) -> Result<String, Problem> {
        let name = if cluster.arn.is_empty() { &cluster.name } else { &cluster.arn }.clone();
        let Some(server) = cluster.endpoint.clone().filter(|endpoint| !endpoint.is_empty()) else {
            return Err(Problem::new(format!("the cluster {} has no endpoint", cluster.name))
                .because(format!("its status is {}", cluster.status))
                .hint(
                    "wait until it is ACTIVE; clusters that are only connected to EKS need a kubeconfig of their own",
                ));
        };
        let mut args = vec!["--region", session.region(), "eks", "get-token", "--cluster-name", &cluster.name];
        args.extend(session.named_profile().into_iter().flat_map(|profile| ["--profile", profile]));
        let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": args });
        let authority = cluster.certificate_authority.data.as_deref().unwrap_or_default();
        let added: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{ "name": name, "cluster": { "server": server, "certificate-authority-data": authority } }],
            "users": [{ "name": name, "user": { "exec": exec } }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
            "current-context": name,
        }))
        .map_err(|error| Problem::new(format!("the cluster {} cannot be described", cluster.name)).because(error))?;
        // What is added goes before what was there under this name: that may be an old endpoint's.
        let merged = added.merge(std::mem::take(&mut self.merged));
        self.merged = merged.map_err(|error| Problem::new("the contexts cannot be merged").because(error))?;
        self.aws_sessions.insert(name.clone(), session);
        Ok(name)
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Follows a context's names to its cluster and user. `wanted` goes before `--context`, that before the current one.
    pub(super) fn target(&self, options: &ConnectOptions, wanted: Option<&str>) -> Result<Target, Problem> {
        if self.in_cluster() {
            return self.service_account(options);
        }
        let name = wanted.or(options.context.as_deref()).or(self.merged.current_context.as_deref());
        let context = match name {
            Some(name) => match self.merged.contexts.iter().find(|named| named.name == name) {
                Some(named) => named.context.clone().unwrap_or_default(),
                None => return Err(self.no_context(name)),
            },
            None if options.cluster.is_some() => kube::config::Context::default(),
            None => return Err(self.nothing_chosen()),
        };
        let cluster_name = options.cluster.clone().unwrap_or(context.cluster);
        let Some(cluster) = self.cluster(&cluster_name) else {
            return Err(Problem::new(format!("the kubeconfig has no cluster {cluster_name:?}"))
                .because(format!("the context {:?} names it", name.unwrap_or_default()))
                .hint(format!("add it to {} or choose another context", self.file_names())));
        };
        let user_name = options.user.clone().or(non_empty(context.user));
        let auth = match &user_name {
            None => AuthInfo::default(),
            Some(user) => match self.merged.auth_infos.iter().find(|named| named.name == *user) {
                Some(named) => without_empty_fields(named.auth_info.clone().unwrap_or_default()),
                None => {
                    return Err(Problem::new(format!("the kubeconfig has no user {user:?}"))
                        .because(format!("the context {:?} names it", name.unwrap_or_default()))
                        .hint(format!("add it to {} or choose another context", self.file_names())));
                }
            },
        };
        Ok(Target {
            context: name.unwrap_or_default().to_owned(),
            cluster_name,
            cluster,
            user_name,
            auth,
            namespace: options.namespace.clone().or(non_empty(context.namespace)).unwrap_or_else(|| "default".into()),
            authority_file: None,
        })
    }

    fn cluster(&self, name: &str) -> Option<Cluster> {
        let named = self.merged.clusters.iter().find(|named| named.name == name)?;
        let mut cluster = named.cluster.clone()?;
        for field in [
            &mut cluster.server,
            &mut cluster.certificate_authority,
            &mut cluster.certificate_authority_data,
            &mut cluster.proxy_url,
            &mut cluster.tls_server_name,
        ] {
            *field = non_empty(field.take());
        }
        Some(cluster)
    }

    /// As client-go decides it: in a pod, when no file gives anything.
    fn in_cluster(&self) -> bool {
        self.merged.contexts.is_empty()
            && self.merged.clusters.is_empty()
            && self.environment.service.is_some()
            && self.environment.service_account.join("token").exists()
    }

    fn service_url(&self) -> Option<String> {
        let (host, port) = self.environment.service.as_ref()?;
        // An IPv6 address stands in brackets in a URL.
        Some(if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") })
    }

    fn service_account_file(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.environment.service_account.join(name)).ok()?;
        non_empty(Some(text.trim().to_owned()))
    }

    fn service_account(&self, options: &ConnectOptions) -> Result<Target, Problem> {
        let root = &self.environment.service_account;
        let authority = root.join("ca.crt");
        if !authority.exists() {
            return Err(Problem::new("this pod's service account has no certificate authority")
                .because(format!("{} is missing", authority.display()))
                .hint("mount the service account token volume, or give a kubeconfig"));
        }
        let path_text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Target {
            context: IN_CLUSTER.to_owned(),
            cluster_name: IN_CLUSTER.to_owned(),
            cluster: Cluster {
                server: self.service_url(),
                certificate_authority: Some(path_text(&authority)),
                ..Cluster::default()
            },
            user_name: Some("service account".to_owned()),
            auth: AuthInfo { token_file: Some(path_text(&root.join("token"))), ..AuthInfo::default() },
            namespace: options
                .namespace
                .clone()
                .or_else(|| self.service_account_file("namespace"))
                .unwrap_or_else(|| "default".into()),
            authority_file: Some(authority),
        })
    }

    fn no_context(&self, name: &str) -> Problem {
        let known: Vec<&str> = self.merged.contexts.iter().map(|named| named.name.as_str()).collect();
        let hint = match known.len() {
            0 => format!("{} names no context at all", self.file_names()),
            1..=8 => format!("there is {}", known.join(", ")),
            more => format!("there are {more} others, {} among them", known[..4].join(", ")),
        };
        Problem::new(format!("there is no context {name:?}")).because(format!("read {}", self.file_names())).hint(hint)
    }

    fn nothing_chosen(&self) -> Problem {
        if self.merged.contexts.is_empty() {
            let hint = "name a cluster of EKS with --eks, or a file with --kubeconfig, or run `aws eks update-kubeconfig`; \
                        `ekscope demo` needs none";
            let why = format!("found no context in {}", self.file_names());
            return Problem::new("no cluster is configured").because(why).hint(hint);
        }
        Problem::new("no context is chosen")
            .because(format!("{} sets no current-context", self.file_names()))
            .hint("choose one with --context")
    }

    fn file_names(&self) -> String {
        let names: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        if names.is_empty() { "no file (there is no home folder)".to_owned() } else { names.join(", ") }
    }
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// An empty field is an absent one: `token: ""` must not become an empty password.
fn without_empty_fields(mut auth: AuthInfo) -> AuthInfo {
    use secrecy::ExposeSecret;
    for field in [
        &mut auth.username,
        &mut auth.token_file,
        &mut auth.client_certificate,
        &mut auth.client_certificate_data,
        &mut auth.client_key,
        &mut auth.impersonate,
        &mut auth.impersonate_uid,
    ] {
        *field = non_empty(field.take());
    }
    for secret in [&mut auth.token, &mut auth.client_key_data] {
        *secret = secret.take().filter(|secret| !secret.expose_secret().is_empty());
    }
    auth
}

/// The file and, for bad YAML, the line. The text around the line is left out: it may hold a secret.
fn unreadable(file: &Path, error: &KubeconfigError) -> Problem {
    let (place, why) = match error {
        KubeconfigError::Parse(error) => (
            error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default(),
            redact(&error.without_snippet().to_string(), &[]),
        ),
        KubeconfigError::ReadConfig(error, _) => (String::new(), error.to_string()),
        other => (String::new(), other.to_string()),
    };
    Problem::new(format!("cannot read the kubeconfig {}{place}", file.display()))
        .because(why)
        .hint("mend the file, or name another with --kubeconfig")
}
