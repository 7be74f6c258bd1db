use super::*;
use crate::sources::aws;
use crate::sources::net::server::{Server, answer};

const VERSION: &str = "client.authentication.k8s.io/v1beta1";

fn exec(command: &str, args: &[&str], env: &Value) -> kube::config::ExecConfig {
    serde_json::from_value(json!({ "apiVersion": VERSION, "command": command, "args": args, "env": env })).unwrap()
}

#[test]
fn token_commands_are_recognised_and_others_run() {
    let shell = aws::Environment::default().with([
        ("AWS_PROFILE", "shell"),
        ("AWS_ACCESS_KEY_ID", "SHELL"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ]);
    let read = |command: &str, line: &str, env: Value| {
        let args: Vec<&str> = line.split_whitespace().collect();
        let entry = eks::recognise(&exec(command, &args, &env), &shell)?;
        let role = entry.wish.role.map(|role| role.arn);
        Some((entry.cluster, entry.wish.region, entry.wish.profile, role))
    };
    let known = |cluster: &str, region: Option<&str>, profile: Option<&str>, role: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Some((cluster.to_owned(), text(region), text(profile), text(role)))
    };
    let profile = json!([{ "name": "AWS_PROFILE", "value": "entry" }]);
    let keys = json!([{ "name": "AWS_PROFILE", "value": "entry" }, { "name": "AWS_ACCESS_KEY_ID", "value": "ENTRY" }]);
    let region = json!([{ "name": "AWS_REGION", "value": "ap-south-1" }]);
    for (command, line, env, expected) in [
        (
            "aws",
            "--region eu-west-1 eks get-token --cluster-name prod --output json",
            json!(null),
            known("prod", Some("eu-west-1"), None, None),
        ),
        (
            "/usr/local/bin/aws",
            "eks get-token --cluster-name=prod --profile=flag",
            profile.clone(),
            known("prod", None, Some("flag"), None),
        ),
        ("aws.exe", "eks get-token --cluster-name prod", profile, known("prod", None, Some("entry"), None)),
        ("aws", "eks get-token --cluster-name prod", keys, known("prod", None, None, None)),
        (
            "aws",
            "eks get-token --cluster-name prod --role-arn R --no-cli-pager",
            region,
            known("prod", Some("ap-south-1"), None, Some("R")),
        ),
        ("aws", "eks get-token --cluster-id outpost-1", json!(null), known("outpost-1", None, None, None)),
        (
            "aws-iam-authenticator",
            "token -i prod -r R -s me -e x --region eu-west-1",
            json!([]),
            known("prod", Some("eu-west-1"), None, Some("R")),
        ),
        ("aws-iam-authenticator", "token --cluster-id prod --cache", json!([]), known("prod", None, None, None)),
        ("aws", "eks get-token", json!([]), None),
        ("aws", "eks get-token --cluster-name", json!([]), None),
        ("aws", "eks update-kubeconfig --name prod", json!([]), None),
        ("aws", "eks get-token --cluster-name prod --endpoint-url http://x", json!([]), None),
        ("aws-vault", "exec prod -- aws eks get-token --cluster-name prod", json!([]), None),
        ("sh", "-c true", json!([]), None),
    ] {
        assert_eq!(read(command, line, env), expected, "{command} {line}");
    }
}

/// A home whose user runs `aws`, with an AWS that is not there and a key in the environment.
pub(super) struct Signed {
    pub home: Home,
    aws: aws::Environment,
}

impl Signed {
    pub fn new(cluster: &Value, command: &str, args: &[&str]) -> Self {
        let user = json!({ "exec": { "apiVersion": VERSION, "command": command, "args": args } });
        let home = Home::new(cluster, &user);
        let aws = aws::Environment::default().at_home(home.folder.path().to_owned());
        let aws = aws.with([
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_REGION", "eu-west-1"),
            // Nobody answers there.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ]);
        Self { home, aws }
    }

    pub fn with_key(mut self) -> Self {
        self.aws = self.aws.with([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "s")]);
        self
    }

    pub fn session(&self) -> Session {
        let environment = Environment { aws: self.aws.clone(), ..Environment::default() };
        let contexts = Contexts::load_from(&self.home.options, environment).unwrap();
        Session::open_in(&contexts, &self.home.options, None).unwrap()
    }
}

impl Signed {
    pub fn at(mut self, amazon: &Server) -> Self {
        self.aws = self.aws.with([("AWS_ENDPOINT_URL", &*format!("http://{}", amazon.address))]);
        self
    }
}

pub(super) const GET_TOKEN: [&str; 4] = ["eks", "get-token", "--cluster-name", "prod"];

/// The URL in a token.
fn opened(authorization: &str) -> String {
    use ::base64::Engine;
    let token = authorization.strip_prefix("Bearer k8s-aws-v1.").unwrap();
    String::from_utf8(::base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_is_minted_once_for_all_and_nothing_runs() {
    let server = Server::plain(|_| answer(200, "")).await;
    let signed = Signed::new(&server.http(), "/nowhere/aws", &GET_TOKEN).with_key();
    let session = signed.session();
    assert_eq!(session.facts().sign_in, SignIn::Eks("the environment's key".into()));
    let answers = futures_util::future::join_all((0..20).map(|_| session.send(get("/")))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let sent: std::collections::BTreeSet<_> = server.header("authorization").into_iter().flatten().collect();
    assert_eq!(sent.len(), 1);
    let url = opened(sent.first().unwrap());
    assert!(url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"), "{url}");
    assert!(url.contains("AKIDEXAMPLE") && url.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"), "{url}");
}

#[tokio::test]
async fn a_401_mints_again_with_the_keys_that_are_there_now() {
    let server = Server::plain(|parts| {
        let url = opened(parts.headers["authorization"].to_str().unwrap());
        if url.contains("NEWKEY") { answer(200, "") } else { answer(401, "") }
    })
    .await;
    let signed = Signed::new(&server.http(), "/nowhere/aws", &GET_TOKEN);
    std::fs::create_dir(signed.home.folder.path().join(".aws")).unwrap();
    let file = signed.home.folder.path().join(".aws/credentials");
    let keys = |id: &str| {
        std::fs::write(&file, format!("[default]\naws_access_key_id={id}\naws_secret_access_key=s\n")).unwrap();
    };
    keys("OLDKEY");
    let session = signed.session();
    let error = session.send(get("/")).await.unwrap_err();
    let problem = error.problem(&session);
    assert!(problem.hint.contains("access entry") && problem.hint.contains("profile default"), "{problem}");
    keys("NEWKEY");
    session.forget_credentials().await;
    assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn who_is_refused_is_named_and_keys_that_have_expired_are_called_that() {
    let server = Server::plain(|_| answer(401, "")).await;
    let identity = "<r><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/Admin/me</Arn><Account>1</Account>\
                    </GetCallerIdentityResult></r>";
    let expired = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>it has</Message></Error></ErrorResponse>";
    for (status, said, words) in [
        (200, identity, "create-access-entry --cluster-name prod --principal-arn arn:aws:iam::1:role/Admin"),
        (403, expired, "the AWS credentials have expired"),
        (500, "", "`ekscope doctor` says who that is"),
    ] {
        let amazon = Server::plain(move |_| answer(status, said)).await;
        let session = Signed::new(&server.http(), "/nowhere/aws", &GET_TOKEN).with_key().at(&amazon).session();
        let problem = session.send(get("/")).await.unwrap_err().problem(&session).to_string();
        assert!(problem.contains(words), "{words} in {problem}");
    }
}

#[tokio::test]
async fn a_private_endpoint_that_cannot_be_reached_is_called_that() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = json!({ "server": format!("https://{}", silent.local_addr().unwrap()) });
    let private = r#"{"cluster":{"resourcesVpcConfig":{"endpointPublicAccess":false,"endpointPrivateAccess":true}}}"#;
    let amazon = Server::plain(move |_| answer(200, private)).await;
    let mut signed = Signed::new(&cluster, "/nowhere/aws", &GET_TOKEN).with_key().at(&amazon);
    signed.home.options.connect_timeout = Duration::from_millis(100);
    let session = signed.session();
    let problem = session.send(get("/")).await.unwrap_err().problem(&session);
    assert!(problem.why.contains("its endpoint is private") && problem.hint.contains("VPC"), "{problem}");
    session.send(get("/")).await.unwrap_err();
    assert_eq!(amazon.seen().len(), 1, "EKS is asked once");
}

#[cfg(unix)]
#[tokio::test]
async fn without_an_aws_session_the_command_runs_after_all() {
    let server = Server::plain(|_| answer(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("aws");
    let printed = json!({ "kind": "ExecCredential", "apiVersion": VERSION, "status": { "token": "from-the-command" } });
    // Written by another process: a file that this one has open for writing may be busy when it is to run.
    let write = r##"printf "#!/bin/sh\necho '%s'\n" "$1" > "$0" && chmod +x "$0""##;
    let mut writer = std::process::Command::new("sh");
    assert!(writer.args(["-c", write]).arg(&program).arg(printed.to_string()).status().unwrap().success());
    let signed = Signed::new(&server.http(), program.to_str().unwrap(), &GET_TOKEN);
    signed.session().send(get("/")).await.unwrap();
    assert_eq!(server.header("authorization"), [Some("Bearer from-the-command".to_owned())]);

    // Where that is missing too, it is the AWS session that has to be mended.
    let session = Signed::new(&server.http(), "/nowhere/aws", &GET_TOKEN).session();
    let problem = session.send(get("/")).await.unwrap_err().problem(&session);
    assert!(problem.what.contains("no AWS credentials"), "{problem}");
}

#[test]
fn a_context_says_which_cluster_of_eks_it_is() {
    let of = |server: &str, args: &[&str]| {
        let signed = Signed::new(&json!({ "server": server }), "aws", args);
        let session = signed.session();
        let eks = session.eks().unwrap().unwrap();
        (eks.claim.clone(), eks.session.region().to_owned(), eks.session.chosen_region().is_some())
    };
    let host = "ABC.gr7.us-east-1.eks.amazonaws.com";
    // The host knows the region better than the shell.
    let (claim, region, _) = of(&format!("https://{host}"), &GET_TOKEN);
    assert_eq!((&*claim.name, &*claim.host, &*region), ("prod", host, "us-east-1"));
    let (claim, region, _) =
        of("https://tunnel:8443", &["--region", "ap-south-1", "eks", "get-token", "--cluster-name", "prod"]);
    assert_eq!((claim.region.as_deref(), &*region), (Some("ap-south-1"), "ap-south-1"));

    let other = Home::new(&json!({ "server": "https://kind:6443" }), &json!({ "token": "t" }));
    assert!(other.session().eks().is_none(), "a cluster of somebody else's has nothing to do with AWS");
}

#[test]
fn an_arn_is_enough_to_know_the_cluster() {
    let mut home = Home::new(&json!({ "server": "https://127.0.0.1:6443" }), &json!({ "token": "t" }));
    let arn = "arn:aws:eks:eu-west-1:123456789012:cluster/prod";
    let config = json!({
        "clusters": [{ "name": arn, "cluster": { "server": "https://127.0.0.1:6443" } }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
        "contexts": [{ "name": "mine", "context": { "cluster": arn, "user": "u" } }],
        "current-context": "mine",
    });
    home.write("config", &config.to_string());
    let session = home.session();
    let eks = session.eks().unwrap().unwrap();
    assert_eq!((&*eks.claim.name, eks.claim.account.as_deref()), ("prod", Some("123456789012")));
    assert_eq!((eks.session.region(), &session.facts().sign_in), ("eu-west-1", &SignIn::Token));
    home.options.read_only = true;
    assert!(home.session().eks().unwrap().unwrap().session.read_only());
}

#[tokio::test]
async fn a_cluster_that_eks_described_needs_no_kubeconfig() {
    let server = Server::plain(|_| answer(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let environment = aws::Environment::default().at_home(folder.path().to_owned());
    let environment = environment.with([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let wish = aws::Wish { region: Some("eu-west-1".into()), environment: environment.clone(), ..aws::Wish::default() };
    let aws = aws::AwsSession::open(wish, &SessionOptions::default()).unwrap();
    let options = ConnectOptions::default();
    let mut contexts = Contexts::load_from(
        &options,
        Environment { aws: environment, home: Some(folder.path().into()), ..Environment::default() },
    )
    .unwrap();
    let mut cluster = aws::eks::Cluster {
        name: "prod".into(),
        arn: "arn:aws:eks:eu-west-1:123456789012:cluster/prod".into(),
        status: "CREATING".into(),
        ..aws::eks::Cluster::default()
    };
    let problem = contexts.add_eks(&cluster, aws.clone()).unwrap_err();
    assert!(problem.what.contains("no endpoint") && problem.why.contains("CREATING"), "{problem}");
    cluster.endpoint = Some(format!("http://{}", server.address));
    let name = contexts.add_eks(&cluster, aws).unwrap();
    assert_eq!(contexts.current(), Some(cluster.arn.as_str()));
    let session = Session::open_in(&contexts, &options, Some(&name)).unwrap();
    assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
    assert!(opened(server.header("authorization")[0].as_deref().unwrap()).contains("AKIDEXAMPLE"));
}
