use std::path::Path;

use jiff::ToSpan;

use super::credential::{Keeper, Source};
use super::plugin::Plugin;
use super::*;
use crate::sources::net::server::{Authority, Presented, Server, answer};

const VERSION: &str = "client.authentication.k8s.io/v1";

/// A user whose plugin is this shell script. Its folder is `$0`; every run leaves a line in `$0/runs`.
fn scripted(folder: &Path, script: &str) -> Value {
    let script = format!("echo run >> \"$0/runs\"\n{script}");
    json!({ "exec": { "apiVersion": VERSION, "command": "sh", "args": ["-c", script, folder] } })
}

fn credential(status: &Value) -> String {
    json!({ "kind": "ExecCredential", "apiVersion": VERSION, "status": status }).to_string()
}

fn runs(folder: &TempDir) -> usize {
    std::fs::read_to_string(folder.path().join("runs")).unwrap_or_default().lines().count()
}

fn plugin(exec: Value) -> Plugin {
    let exec = serde_json::from_value(exec).unwrap();
    Plugin::new(&exec, &kube::config::Cluster::default(), None).unwrap()
}

fn shell(script: &str) -> Plugin {
    plugin(json!({ "apiVersion": VERSION, "command": "sh", "args": ["-c", script] }))
}

#[tokio::test]
async fn one_run_serves_all_who_wait() {
    let server = Server::plain(|_| answer(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let print = format!("echo '{}'", credential(&json!({ "token": "minted" })));
    let session = Home::new(&server.http(), &scripted(folder.path(), &print)).session();
    assert_eq!(session.facts().sign_in, SignIn::Plugin("sh".into()));
    assert_eq!(runs(&folder), 0, "opening runs nothing");
    let answers = futures_util::future::join_all((0..20).map(|_| session.send(get("/")))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(runs(&folder), 1);
    assert!(server.header("authorization").iter().all(|value| value.as_deref() == Some("Bearer minted")));
}

#[tokio::test]
async fn a_failure_is_shared_until_the_user_signs_in() {
    let server = Server::plain(|_| answer(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "if [ -e \"$0/signed-in\" ]; then echo '{}'; else echo no session >&2; exit 3; fi",
        credential(&json!({ "token": "t" }))
    );
    let session = Home::new(&server.http(), &scripted(folder.path(), &script)).session();
    let answers = futures_util::future::join_all((0..20).map(|_| session.send(get("/")))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(SendError::Credentials(_)))), "{answers:?}");
    assert_eq!(runs(&folder), 1);
    std::fs::write(folder.path().join("signed-in"), "").unwrap();
    session.forget_credentials().await;
    assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
    assert_eq!(runs(&folder), 2);
}

/// A keeper whose plugin runs this script, as a session would have it.
fn keeper(user: &Value) -> Keeper {
    install_crypto();
    let mut auth = serde_json::from_value(user.clone()).unwrap();
    let (source, _) = Source::take(&mut auth, &kube::config::Cluster::default(), "u", None).unwrap();
    let server = Uri::from_static("http://127.0.0.1");
    let route = Route::new(&server, None, CONNECT_TIMEOUT, Arc::default()).unwrap();
    Keeper::new(source, kube::Config::new(server), route).unwrap()
}

async fn authorization(keeper: &Keeper, at: Timestamp) -> Result<String, SendError> {
    let grant = keeper.grant(at).await?;
    Ok(grant.authorization.as_ref().unwrap().to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_renewed_a_minute_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let credential = credential(&json!({ "token": "N", "expirationTimestamp": start + 15.minutes() }));
    // The first run gives token 1, the second token 2, the third fails.
    let script =
        format!("n=$(wc -l < \"$0/runs\" | tr -d ' '); [ $n -lt 3 ] && echo '{credential}' | sed s/N/token-$n/");
    let keeper = keeper(&scripted(folder.path(), &script));
    assert_eq!(authorization(&keeper, start).await.unwrap(), "Bearer token-1");
    assert_eq!(authorization(&keeper, start + 13.minutes()).await.unwrap(), "Bearer token-1");
    assert_eq!(authorization(&keeper, start + 14.minutes()).await.unwrap(), "Bearer token-2");
    // It came with a minute to live, so it is renewed after half of that; what fails then leaves it in use.
    assert_eq!(authorization(&keeper, start + 14.minutes() + 29.seconds()).await.unwrap(), "Bearer token-2");
    assert_eq!(runs(&folder), 2);
    assert_eq!(authorization(&keeper, start + 14.minutes() + 31.seconds()).await.unwrap(), "Bearer token-2");
    assert_eq!(runs(&folder), 3);
    assert!(matches!(authorization(&keeper, start + 16.minutes()).await, Err(SendError::Credentials(_))));
}

#[tokio::test]
async fn a_token_that_comes_expired_is_not_fetched_for_every_request() {
    let folder = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let credential = credential(&json!({ "token": "t", "expirationTimestamp": start - 5.minutes() }));
    let keeper = keeper(&scripted(folder.path(), &format!("echo '{credential}'")));
    for seconds in [0, 1, 59] {
        authorization(&keeper, start + seconds.seconds()).await.unwrap();
    }
    assert_eq!(runs(&folder), 1);
}

#[tokio::test]
async fn a_token_file_is_read_again_each_minute_and_its_loss_survived() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let keeper = keeper(&json!({ "tokenFile": file }));
    std::fs::write(&file, "one").unwrap();
    assert_eq!(authorization(&keeper, start).await.unwrap(), "Bearer one");
    std::fs::write(&file, "two").unwrap();
    assert_eq!(authorization(&keeper, start + 59.seconds()).await.unwrap(), "Bearer one");
    assert_eq!(authorization(&keeper, start + 61.seconds()).await.unwrap(), "Bearer two");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(authorization(&keeper, start + 10.minutes()).await.unwrap(), "Bearer two");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_reported() {
    let folder = tempfile::tempdir().unwrap();
    let print = format!("echo '{}'", credential(&json!({ "token": "unknown" })));
    let server = Server::plain(|_| answer(401, "")).await;
    let session = Home::new(&server.http(), &scripted(folder.path(), &print)).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Unauthorized { .. }), "{error:?}");
    assert_eq!((runs(&folder), server.seen().len()), (2, 2));
    // Reconnecting watches come back soon; the plugin is left alone for a while.
    session.send(get("/")).await.unwrap_err();
    assert_eq!(runs(&folder), 2);
}

#[tokio::test]
async fn a_401_renews_once_for_all_who_were_refused() {
    let folder = tempfile::tempdir().unwrap();
    let numbered = credential(&json!({ "token": "token-N" }));
    let script = format!("n=$(wc -l < \"$0/runs\" | tr -d ' '); echo '{numbered}' | sed s/-N/-$n/");
    let server =
        Server::plain(|parts| answer(if parts.headers["authorization"] == "Bearer token-1" { 401 } else { 200 }, ""))
            .await;
    let session = Home::new(&server.http(), &scripted(folder.path(), &script)).session();
    let answers = futures_util::future::join_all((0..8).map(|_| session.send(get("/")))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)), "{answers:?}");
    assert_eq!((runs(&folder), server.seen().len()), (2, 16));
}

#[tokio::test]
async fn a_client_certificate_from_a_plugin_is_presented() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["localhost"]), &authority, true, |parts| {
        assert!(parts.extensions.get::<Presented>().unwrap().0.is_some());
        answer(200, "")
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mine = authority.issue(&["me"]);
    let status = json!({ "clientCertificateData": mine.pem, "clientKeyData": mine.key_pem });
    std::fs::write(folder.path().join("out"), credential(&status)).unwrap();
    let user = scripted(folder.path(), "cat \"$0/out\"");
    let session = Home::new(&server.https("localhost", &authority), &user).session();
    for _ in 0..2 {
        assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
    }
    assert_eq!(runs(&folder), 1);
}

#[tokio::test]
async fn it_is_told_about_the_cluster_and_its_environment() {
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "sh",
        "args": ["-c", "printf '%s %s' \"$KUBERNETES_EXEC_INFO\" \"$EXTRA\" >&2; exit 1"],
        "env": [{ "name": "EXTRA", "value": "more" }],
        "provideClusterInfo": true,
    });
    let cluster = serde_json::from_value(json!({
        "server": "https://c", "tls-server-name": "n",
        "extensions": [{ "name": "client.authentication.k8s.io/exec", "extension": { "a": 1 } }],
    }));
    let plugin = Plugin::new(&serde_json::from_value(exec).unwrap(), &cluster.unwrap(), None).unwrap();
    let problem = plugin.run().await.err().unwrap().problem;
    let (_, said) = problem.why.split_once('{').unwrap();
    let (info, extra) = said.rsplit_once(' ').unwrap();
    let info: Value = serde_json::from_str(&format!("{{{info}")).unwrap();
    assert_eq!(extra, "more");
    assert_eq!(
        info,
        json!({
            "kind": "ExecCredential",
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "spec": {
                "interactive": false,
                "cluster": { "server": "https://c", "tls-server-name": "n", "config": { "a": 1 } },
            },
        })
    );
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let other_version = credential(&json!({ "token": "t" })).replace("k8s.io/v1", "k8s.io/v1beta1");
    for (script, words) in [
        ("echo one >&2; echo two >&2; exit 7", "exit status: 7: one / two"),
        ("read answer || { echo no input >&2; exit 1; }", "no input"),
        ("echo not json", "not an ExecCredential (line 1)"),
        ("echo '{\"kind\":\"ExecCredential\",\"token\":\"t0p-secret\"'", "not an ExecCredential"),
        (&format!("echo '{other_version}'"), "v1beta1, not ExecCredential client.authentication.k8s.io/v1"),
        (&format!("echo '{}'", credential(&Value::Null)), "no status"),
        (&format!("echo '{}'", credential(&json!({}))), "neither a token nor a client certificate"),
        (&format!("echo '{}'", credential(&json!({ "clientKeyData": "k" }))), "only one of"),
        (&format!("echo '{}'", credential(&json!({ "token": "t", "expirationTimestamp": "x" }))), "not a time"),
        ("echo SECRET=t0p-secret >&2; exit 1", "‹hidden›"),
        ("yes t0p-secret | head -c 3000000; yes noise | head -c 3000000 >&2", "not an ExecCredential"),
    ] {
        let problem = shell(script).run().await.err().unwrap().problem;
        assert!(problem.why.contains(words), "{script}: {problem}");
        assert!(!problem.why.contains("t0p-secret"), "{problem}");
    }
}

#[tokio::test]
async fn a_missing_command_gives_the_install_hint() {
    let exec = json!({ "apiVersion": VERSION, "command": "no-such-plugin", "installHint": "brew install it\n" });
    let problem = plugin(exec).run().await.err().unwrap().problem;
    assert_eq!((&*problem.why, &*problem.hint), ("it was not found", "brew install it"));
}

#[test]
fn what_cannot_run_is_refused_when_opening() {
    let refused = |exec: Value| {
        let exec = serde_json::from_value(exec).unwrap();
        Plugin::new(&exec, &kube::config::Cluster::default(), None).err().unwrap().to_string()
    };
    let asks = refused(json!({
        "apiVersion": VERSION, "command": "kubelogin", "args": ["--client-secret=t0p-secret"], "interactiveMode": "Always",
    }));
    assert!(asks.contains("`kubelogin --client-secret=‹hidden›` in a shell"), "{asks}");
    assert!(refused(json!({ "apiVersion": "client.authentication.k8s.io/v9", "command": "x" })).contains("v9"));
    assert!(refused(json!({ "command": "x" })).contains("apiVersion"));
    assert!(refused(json!({ "apiVersion": VERSION })).contains("names no command"));
}

#[test]
fn an_expired_sso_session_names_profile_and_command() {
    let expired = "Error when retrieving token from sso: Token has expired and refresh failed";
    let login = |program: &str, args: Value, env: Value, profile: Option<&str>, said: &str| {
        let exec = json!({ "apiVersion": VERSION, "command": program, "args": args, "env": env });
        let cluster = kube::config::Cluster::default();
        let plugin = Plugin::new(&serde_json::from_value(exec).unwrap(), &cluster, profile).unwrap();
        let failure = plugin.failed("exit status: 255", said);
        assert!(failure.problem.why.contains(said), "{failure}");
        failure.login.map(|words| words.join(" "))
    };
    let env = json!([{ "name": "AWS_PROFILE", "value": "work" }]);
    for (program, args, env, profile, said, command) in [
        ("aws", json!([]), json!([]), None, expired, Some("aws sso login")),
        (
            "/opt/bin/aws-iam-authenticator",
            json!([]),
            json!([]),
            Some("home"),
            expired,
            Some("aws sso login --profile home"),
        ),
        ("aws", json!([]), env.clone(), Some("home"), expired, Some("aws sso login --profile work")),
        ("aws", json!(["--profile", "flag"]), env, None, expired, Some("aws sso login --profile flag")),
        ("aws", json!([]), json!([]), None, "session expired, run aws login again", Some("aws login")),
        ("aws", json!([]), json!([]), None, "An error occurred (AccessDenied)", None),
        ("kubelogin", json!([]), json!([]), None, expired, None),
    ] {
        assert_eq!(login(program, args, env, profile, said).as_deref(), command, "{program}: {said}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_stopped() {
    let mut plugin = shell("echo Enter code: >&2; sleep 60");
    plugin.set_timeout(Duration::from_millis(300));
    let problem = plugin.run().await.err().unwrap().problem;
    assert!(problem.what.contains("did not finish"), "{problem}");
    assert!(problem.hint.contains("in a shell"), "{problem}");
}

/// Giving up ends the plugin and what it started: all who could write to the pipe are gone when it reads to its end.
#[cfg(unix)]
#[tokio::test]
async fn giving_up_leaves_no_process_behind() {
    use std::io::{BufRead, BufReader, Read};

    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (ready, started) = tokio::sync::oneshot::channel();
    let (over, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            let mut pipe = BufReader::new(std::fs::File::open(pipe).unwrap());
            pipe.read_line(&mut String::new()).unwrap();
            ready.send(()).unwrap();
            pipe.read_to_end(&mut Vec::new()).unwrap();
            over.send(()).unwrap();
        }
    });
    let plugin = shell(&format!("exec 3> '{}'; sleep 60 & echo started >&3; wait", pipe.display()));
    tokio::select! {
        _ = plugin.run() => panic!("it ended by itself"),
        started = started => started.unwrap(),
    }
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("all have ended").unwrap();
}

/// A prompt through the terminal device cannot reach the screen: the plugin leads a session of its own, without one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_has_no_terminal() {
    // Fields 6 and 7 of `proc_pid_stat(5)`: the session, and its terminal, 0 for none.
    let script = "read -r stat < /proc/$$/stat; set -- $$ ${stat##*) }; echo $(($1 == $5)) $6 >&2; exit 1";
    let problem = shell(script).run().await.err().unwrap().problem;
    assert!(problem.why.ends_with(": 1 0"), "{problem}");
}
