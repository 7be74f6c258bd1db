//! Tokens of our own minting against a real API server, whose webhook judges them as the one of EKS does, but for the
//! signature: only AWS could check that.
//!
//! Skipped with a notice where `EKSCOPE_RIG_DIR` does not name the folder of a rig: no other can be built then either.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "rig/own.rs"]
mod own;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use ekscope::sources::aws;
use ekscope::sources::kube::session::{ConnectOptions, Contexts, Environment, Session, SignIn};
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use own::Own;
use serde_json::{Value, json};

/// A bare rig of the test's own that asks a webhook about tokens.
fn start(webhook: &Path) -> Option<Own> {
    Own::start(&["--bare", "--webhook", &webhook.display().to_string()])
}

/// A kubeconfig as `aws eks update-kubeconfig` writes it, for a cluster called prod; there is no `aws` to run.
fn kubeconfig(rig: &Own, folder: &Path) -> PathBuf {
    let kubeconfig = kube::config::Kubeconfig::read_from(rig.kubeconfig()).expect("the rig's kubeconfig");
    let cluster = serde_json::to_value(&kubeconfig.clusters[0].cluster).expect("its cluster");
    let arn = "arn:aws:eks:eu-west-1:123456789012:cluster/prod";
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": folder.join("missing/aws"),
        "args": ["--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod"],
    });
    let config = json!({
        "clusters": [{ "name": arn, "cluster": cluster }],
        "users": [{ "name": arn, "user": { "exec": exec } }],
        "contexts": [{ "name": arn, "context": { "cluster": arn, "user": arn } }],
        "current-context": arn,
    });
    let file = folder.join("eks.kubeconfig");
    std::fs::write(&file, config.to_string()).expect("a file");
    file
}

/// Signs in to the rig with what the home folder has of AWS.
fn session(rig: &Own, home: &Path) -> Session {
    let aws = aws::Environment::default().at_home(home.to_owned()).with([("AWS_EC2_METADATA_DISABLED", "true")]);
    let options = ConnectOptions { kubeconfig: Some(kubeconfig(rig, home)), ..ConnectOptions::default() };
    let contexts = Contexts::load_from(&options, Environment { aws, ..Environment::default() }).unwrap();
    let session = Session::open_in(&contexts, &options, None).unwrap();
    assert_eq!(session.facts().sign_in, SignIn::Eks("profile default".into()));
    session
}

async fn get(session: &Session, path: &str) -> http::Response<impl http_body::Body<Data = Bytes> + use<>> {
    let response = session.send(Request::get(path).body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// What aws-iam-authenticator's `pkg/token` asks of a token; gives the key that it was signed with.
fn judged(token: &str) -> Result<String, String> {
    const KNOWN: [&str; 9] = [
        "Action",
        "Version",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ];
    if token.len() > 4096 {
        return Err("it is too long".into());
    }
    let url = token.strip_prefix("k8s-aws-v1.").ok_or("it has no prefix")?;
    let url = BASE64_URL_SAFE_NO_PAD.decode(url).map_err(|error| error.to_string())?;
    let url: http::Uri = String::from_utf8(url).map_err(|error| error.to_string())?.parse().map_err(|_| "no URL")?;
    let place = (url.scheme_str(), url.host(), url.path());
    if place != (Some("https"), Some("sts.eu-west-1.amazonaws.com"), "/") {
        return Err(format!("{place:?}"));
    }
    let mut all = BTreeMap::new();
    for pair in url.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').ok_or(pair)?;
        if !KNOWN.contains(&name) || all.insert(name, value).is_some() {
            return Err(format!("{name} has no place in it, or has come before"));
        }
    }
    let of = |name: &str| all.get(name).copied().unwrap_or_default();
    let date =
        jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", of("X-Amz-Date")).map_err(|error| error.to_string())?;
    let date = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?.timestamp();
    let age = Timestamp::now().duration_since(date).as_secs();
    let signed: Vec<&str> = of("X-Amz-SignedHeaders").split("%3B").collect();
    let expires: u32 = of("X-Amz-Expires").parse().map_err(|_| "X-Amz-Expires")?;
    if of("Action") != "GetCallerIdentity"
        || expires > 900
        || !(-60..900).contains(&age)
        || signed != ["host", "x-k8s-aws-id"]
    {
        return Err(format!("{all:?}"));
    }
    Ok(of("X-Amz-Credential").split("%2F").next().unwrap_or_default().to_owned())
}

/// What the webhook was asked: the key that a token was signed with, or what is wrong with its form.
struct Asked {
    key: Result<String, String>,
    granted: bool,
}

/// A token webhook; what it was asked goes to the receiver. `judge` decides about keys.
fn webhook(folder: &Path, judge: impl Fn(&str) -> bool + Send + 'static) -> (PathBuf, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = format!("http://{}/", listener.local_addr().expect("its address"));
    let file = folder.join("webhook.kubeconfig");
    let config = json!({
        "clusters": [{ "name": "w", "cluster": { "server": server } }],
        "users": [{ "name": "w", "user": {} }],
        "contexts": [{ "name": "w", "context": { "cluster": "w", "user": "w" } }],
        "current-context": "w",
    });
    std::fs::write(&file, config.to_string()).expect("a file");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let review = body(&stream);
            let key = judged(review["spec"]["token"].as_str().unwrap_or_default());
            let granted = key.as_ref().is_ok_and(|key| judge(key));
            let user = json!({ "username": "aws", "groups": ["system:masters"] });
            let status = if granted {
                json!({ "authenticated": true, "user": user })
            } else {
                json!({ "authenticated": false })
            };
            let answer = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status });
            let answer = answer.to_string();
            let _ = tell.send(Asked { key, granted });
            let _ = write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            );
        }
    });
    (file, told)
}

fn body(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a request");
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

fn write_key(home: &Path, key: &str) {
    std::fs::create_dir_all(home.join(".aws")).expect("a folder");
    let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n");
    std::fs::write(home.join(".aws/credentials"), text).expect("a file");
}

#[tokio::test]
async fn a_real_api_server_takes_our_tokens_and_a_refused_one_is_minted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_owned();
    write_key(&home, "OLDKEY");
    // Whoever refuses the old key has also written the new one: as when a session was renewed elsewhere.
    let (config, told) = webhook(folder.path(), {
        let home = home.clone();
        move |key| {
            write_key(&home, "NEWKEY");
            key == "NEWKEY"
        }
    });
    let Some(rig) = start(&config) else { return };
    let session = session(&rig, &home);
    for _ in 0..20 {
        get(&session, "/api/v1/namespaces").await;
    }
    let keys: Vec<String> = told.try_iter().map(|asked| asked.key.expect("a token in its form")).collect();
    // The server asks again for a token that it took ten seconds ago.
    assert_eq!(keys[0], "OLDKEY");
    assert!(keys[1..].iter().all(|key| key == "NEWKEY") && keys.len() < 20, "{keys:?}");
}

/// For so long a key of `credential_process` is good, seconds; a token is no longer good than its key.
const KEY_LIFE: u32 = 60;

/// A program that gives another key each time, and notes when it ends.
fn write_process(home: &Path) {
    std::fs::create_dir_all(home.join(".aws")).expect("a folder");
    let script = format!(
        r#"cd '{home}'
           number=$(($(cat number 2>/dev/null || echo 0) + 1)); echo $number >number
           end=$(date -u -d '+{KEY_LIFE} seconds' +%Y-%m-%dT%H:%M:%SZ); echo $end >KEY$number
           printf '{{"Version":1,"AccessKeyId":"KEY%s","SecretAccessKey":"s","SessionToken":"t","Expiration":"%s"}}' $number $end
        "#,
        home = home.display()
    );
    std::fs::write(home.join("keys.sh"), script).expect("a script");
    let config = format!("[default]\ncredential_process = sh '{}'\n", home.join("keys.sh").display());
    std::fs::write(home.join(".aws/config"), config).expect("a file");
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_and_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_owned();
    write_process(&home);
    // As STS does: a signature is worth something until its key ends.
    let (config, told) = webhook(folder.path(), {
        let home = home.clone();
        move |key| {
            let end = std::fs::read_to_string(home.join(key)).unwrap_or_default();
            end.trim().parse::<Timestamp>().is_ok_and(|end| Timestamp::now() < end)
        }
    });
    let Some(rig) = start(&config) else { return };
    let session = session(&rig, &home);
    let mut watch = get(&session, "/api/v1/namespaces?watch=true").await.into_body();

    // Requests go on until one comes with another key.
    let mut keys: Vec<String> = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while keys.first() == keys.last() {
        pace.tick().await;
        get(&session, "/api/v1/namespaces").await;
        for asked in told.try_iter() {
            let key = asked.key.expect("a token in its form");
            assert!(asked.granted, "{key} was refused after {keys:?}");
            keys.push(key);
        }
    }
    // The watch of the first key has gone on all the while.
    let namespace = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"later"}}"#;
    let create = Request::post("/api/v1/namespaces").header("content-type", "application/json");
    let created = session.send(create.body(Bytes::from(namespace)).unwrap()).await.unwrap();
    assert_eq!(created.status(), 201);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(r#""name":"later""#) {
        let frame = watch.frame().await.expect("the watch goes on").ok().expect("a frame");
        seen.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    assert!(told.try_iter().all(|asked| asked.granted), "nothing is refused");
}
