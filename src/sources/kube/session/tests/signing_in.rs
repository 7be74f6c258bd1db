use super::*;
use crate::sources::net::server::{Authority, Server, answer, base64};

/// Takes only this token.
async fn demanding(token: &'static str) -> Server {
    Server::plain(move |parts| {
        let good = parts.headers.get("authorization").is_some_and(|value| value == &format!("Bearer {token}"));
        if good { answer(200, "") } else { answer(401, r#"{"kind":"Status","message":"Unauthorized"}"#) }
    })
    .await
}

#[tokio::test]
async fn token_password_and_nothing() {
    let server = Server::plain(|_| answer(200, "")).await;
    for user in [json!({ "token": "t" }), json!({ "username": "n", "password": "p" }), json!({ "token": "" })] {
        Home::new(&server.http(), &user).session().send(get("/")).await.unwrap();
    }
    let basic = format!("Basic {}", base64("n:p"));
    assert_eq!(server.header("authorization"), [Some("Bearer t".to_owned()), Some(basic), None]);
}

#[tokio::test]
async fn a_fixed_token_that_is_refused_is_not_tried_again() {
    let server = demanding("other").await;
    let session = Home::new(&server.http(), &json!({ "token": "stale" })).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(matches!(&error, SendError::Unauthorized { message, .. } if message == "Unauthorized"), "{error:?}");
    assert_eq!(server.seen().len(), 1);
    let problem = error.problem(&session);
    assert!(problem.hint.contains("user u"), "{problem}");
    assert!(!problem.to_string().contains("stale"), "{problem}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let server = Server::plain(|_| {
        let mut refused = answer(401, "");
        refused.headers_mut().insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
        refused
    })
    .await;
    let session = Home::new(&server.http(), &json!({ "token": "t" })).session();
    let problem = session.send(get("/")).await.unwrap_err().problem(&session);
    assert!(problem.why.contains("clock is") && problem.why.contains("ahead of"), "{problem}");
}

#[tokio::test]
async fn credentials_are_read_anew_when_they_are_forgotten() {
    let server = demanding("new").await;
    let home = Home::new(&server.http(), &json!({ "tokenFile": "token" }));
    home.write("token", "old\n");
    let session = home.session();
    assert!(matches!(session.send(get("/")).await, Err(SendError::Unauthorized { .. })));
    home.write("token", "new\n");
    session.forget_credentials().await;
    assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_401_has_the_token_file_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    // Rotated right after it was read.
    let rotate = file.clone();
    let server = Server::plain(move |parts| {
        if parts.headers["authorization"] == "Bearer new" {
            return answer(200, "");
        }
        std::fs::write(&rotate, "new").unwrap();
        answer(401, "")
    })
    .await;
    let session = Home::new(&server.http(), &json!({ "tokenFile": file })).session();
    assert_eq!(session.send(get("/")).await.unwrap().status(), 200);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_missing_token_file_is_named() {
    let server = Server::plain(|_| answer(200, "")).await;
    let session = Home::new(&server.http(), &json!({ "tokenFile": "none" })).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(error.problem(&session).what.ends_with("/none"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn impersonation_comes_from_the_kubeconfig_or_replaces_it() {
    let server = Server::plain(|_| answer(200, "")).await;
    let user = json!({
        "token": "t", "as": "jane", "as-uid": "7", "as-groups": ["dev", "ops"],
        "as-user-extra": { "example.org/Scope": ["a"] },
    });
    let mut home = Home::new(&server.http(), &user);
    let session = home.session();
    assert_eq!(session.facts().impersonates.as_deref(), Some("jane"));
    session.send(get("/")).await.unwrap();
    home.options.impersonate_user = Some("bob".into());
    home.options.impersonate_groups = vec!["g1".into(), "g2".into()];
    home.session().send(get("/")).await.unwrap();

    let sent = |at: usize, name: &str| -> Vec<String> {
        let parts = &server.seen()[at];
        parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(sent(0, "impersonate-user"), ["jane"]);
    assert_eq!(sent(0, "impersonate-group"), ["dev", "ops"]);
    assert_eq!(sent(0, "impersonate-uid"), ["7"]);
    assert_eq!(sent(0, "impersonate-extra-example.org%2fscope"), ["a"]);
    assert_eq!(sent(1, "impersonate-user"), ["bob"]);
    assert_eq!(sent(1, "impersonate-group"), ["g1", "g2"]);
    assert!(sent(1, "impersonate-uid").is_empty());
    assert!(sent(1, "impersonate-extra-example.org%2fscope").is_empty());

    home.options.impersonate_user = None;
    assert!(home.open().unwrap_err().what.contains("--as-group needs --as"));
}

#[tokio::test]
async fn a_pod_uses_its_service_account() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["127.0.0.1"]), &authority, false, |_| answer(200, "")).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("token", "sa-token\n"), ("ca.crt", &authority.pem()), ("namespace", "tools\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let environment = Environment {
        service: Some(("127.0.0.1".into(), server.address.port().to_string())),
        service_account: folder.path().to_owned(),
        ..Environment::default()
    };
    let options = ConnectOptions::default();
    let contexts = Contexts::load_from(&options, environment).unwrap();
    assert_eq!(contexts.list().len(), 1);
    let session = Session::open_in(&contexts, &options, None).unwrap();
    assert_eq!(session.facts().namespace, "tools");
    assert_eq!(session.facts().context, "in-cluster");
    session.send(get("/")).await.unwrap();
    assert_eq!(server.header("authorization"), [Some("Bearer sa-token".to_owned())]);
}

#[test]
fn what_is_not_supported_says_so() {
    let cluster = json!({ "server": "http://127.0.0.1" });
    let user = json!({ "auth-provider": { "name": "oidc", "config": { "id-token": "secret" } } });
    let problem = Home::new(&cluster, &user).open().unwrap_err();
    assert!(problem.what.contains("oidc") && problem.hint.contains("kubelogin"), "{problem}");
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let user = json!({ "token": "t0p-secret", "username": "u", "password": "t0p-secret",
        "exec": { "command": "x", "env": [{ "name": "SECRET", "value": "t0p-secret" }] } });
    let home = Home::new(&json!({ "server": "http://127.0.0.1" }), &user);
    let contexts = Contexts::load_from(&home.options, Environment::default()).unwrap();
    let debug = format!("{:?} {contexts:?} {:?}", home.session(), home.options);
    assert!(debug.contains("127.0.0.1") && !debug.contains("t0p-secret"), "{debug}");
}
