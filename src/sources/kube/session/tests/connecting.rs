use tokio::net::TcpListener;

use super::*;
use crate::sources::net::error::{ConnectError, Phase, TlsFault};
use crate::sources::net::proxy::ProxyVariables;
use crate::sources::net::server::{Authority, FakeProxy, Presented, Server, answer, base64};

fn with(mut value: Value, more: &Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

/// A name that every resolver refuses without asking the network: a part is longer than DNS allows.
fn no_such_name() -> String {
    format!("{}.test", "n".repeat(64))
}

/// The TLS fault of the first request.
async fn fault(home: &Home) -> TlsFault {
    match home.session().send(get("/")).await {
        Err(SendError::Connect(ConnectError::Tls(fault))) => fault,
        other => panic!("no TLS fault but {other:?}"),
    }
}

#[tokio::test]
async fn tls_is_checked_against_the_clusters_authority() {
    let authority = Authority::new();
    let server =
        Server::tls(authority.issue(&["localhost", "k8s.test"]), &authority, false, |_| answer(200, "ok")).await;
    let trusting = Home::new(&server.https("localhost", &authority), &json!({}));
    assert_eq!(text(trusting.session().send(get("/readyz")).await.unwrap()).await, "ok");

    let stranger = Home::new(&server.https("localhost", &Authority::new()), &json!({}));
    assert_eq!(fault(&stranger).await, TlsFault::UnknownAuthority);

    let other_name = server.https("127.0.0.1", &authority);
    let names = vec!["localhost".to_owned(), "k8s.test".to_owned()];
    assert_eq!(fault(&Home::new(&other_name, &json!({}))).await, TlsFault::NameMismatch(names));

    let named = Home::new(&with(other_name, &json!({ "tls-server-name": "k8s.test" })), &json!({}));
    assert_eq!(named.session().send(get("/")).await.unwrap().status(), 200);

    let insecure = json!({ "server": format!("https://{}", server.address), "insecure-skip-tls-verify": true });
    assert_eq!(Home::new(&insecure, &json!({})).session().send(get("/")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_expired_certificate_and_a_plain_server_are_told_apart() {
    let authority = Authority::new();
    let old = authority.issue_with(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let server = Server::tls(old, &authority, false, |_| answer(200, "")).await;
    assert_eq!(fault(&Home::new(&server.https("localhost", &authority), &json!({}))).await, TlsFault::Expired);

    let plain = Server::plain(|_| answer(200, "")).await;
    assert_eq!(fault(&Home::new(&plain.https("localhost", &authority), &json!({}))).await, TlsFault::NotTls);
}

#[tokio::test]
async fn a_client_certificate_is_presented_and_its_absence_explained() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["localhost"]), &authority, true, |parts| {
        let presented = parts.extensions.get::<Presented>().unwrap();
        answer(200, if presented.0.is_some() { "known" } else { "unknown" })
    })
    .await;
    let cluster = server.https("localhost", &authority);
    let mine = authority.issue(&["me"]);
    let user = json!({ "client-certificate": "me.crt", "client-key-data": base64(&mine.key_pem) });
    let home = Home::new(&cluster, &user);
    // The file's path is relative to the kubeconfig.
    home.write("me.crt", &mine.pem);
    let session = home.session();
    assert_eq!(session.facts().sign_in, SignIn::ClientCertificate);
    assert_eq!(text(session.send(get("/")).await.unwrap()).await, "known");

    let without = Home::new(&cluster, &json!({})).session();
    let error = without.send(get("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Connect(ConnectError::Tls(TlsFault::ClientCertificate(_)))), "{error:?}");
}

#[tokio::test]
async fn the_link_is_measured_by_its_handshake() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["localhost"]), &authority, false, |_| answer(200, "")).await;
    let session = Home::new(&server.https("localhost", &authority), &json!({})).session();
    assert_eq!(session.link(), None);
    session.send(get("/")).await.unwrap();
    assert!(session.link().unwrap().handshake.unwrap() > Duration::ZERO);

    let plain = Server::plain(|_| answer(200, "")).await;
    let session = Home::new(&plain.http(), &json!({})).session();
    session.send(get("/")).await.unwrap();
    assert_eq!(session.link().unwrap().handshake, None);
}

#[tokio::test]
async fn a_refused_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let session = Home::new(&json!({ "server": format!("http://{address}") }), &json!({})).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(matches!(&error, SendError::Connect(ConnectError::Refused(at)) if *at == address), "{error:?}");
    assert!(error.problem(&session).what.contains(&address));
}

#[tokio::test]
async fn an_unknown_name_is_named() {
    let session = Home::new(&json!({ "server": format!("http://{}", no_such_name()) }), &json!({})).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(matches!(&error, SendError::Connect(ConnectError::Dns(name)) if *name == no_such_name()), "{error:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_ends_with_the_phase() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let open = |scheme: &str, connect: Duration| {
        let cluster = json!({ "server": format!("{scheme}://{address}"), "insecure-skip-tls-verify": true });
        let mut home = Home::new(&cluster, &json!({}));
        home.options.request_timeout = Duration::from_millis(500);
        home.options.connect_timeout = connect;
        home.session()
    };
    let error = open("https", Duration::from_secs(10)).send(get("/")).await.unwrap_err();
    let handshake = ConnectError::Timeout { phase: Phase::Handshake, after: Duration::from_millis(200) };
    assert!(matches!(&error, SendError::Connect(timeout) if *timeout == handshake), "{error:?}");
    // The connection has a limit of its own where it is asked for.
    let error = open("https", Duration::from_millis(50)).send(get("/")).await.unwrap_err();
    let handshake = ConnectError::Timeout { phase: Phase::Handshake, after: Duration::from_millis(50) };
    assert!(matches!(&error, SendError::Connect(timeout) if *timeout == handshake), "{error:?}");
    let error = open("http", Duration::from_secs(10)).send(get("/")).await.unwrap_err();
    assert!(matches!(error, SendError::NoAnswer(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut some).await.unwrap();
    });
    let session = Home::new(&json!({ "server": format!("http://{address}") }), &json!({})).session();
    let error = session.send(get("/")).await.unwrap_err();
    assert!(matches!(error, SendError::Closed(_)), "{error:?}");
}

#[tokio::test]
async fn tunnels_leave_the_name_to_the_proxy() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["k8s.test"]), &authority, false, |_| answer(200, "through")).await;
    let cluster = server.https("k8s.test", &authority);
    let target = format!("k8s.test:{}", server.address.port());

    let http = FakeProxy::connect(server.address, "200 OK").await;
    let url = format!("http://user:p%40ss@{}", http.address);
    let session = Home::new(&with(cluster.clone(), &json!({ "proxy-url": url })), &json!({})).session();
    assert_eq!(session.facts().proxy.as_deref(), Some(&*format!("http://{}", http.address)));
    assert_eq!(text(session.send(get("/")).await.unwrap()).await, "through");
    let asked = http.asked().remove(0);
    assert!(asked.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains(&base64("user:p@ss")), "{asked}");

    let socks = FakeProxy::socks(server.address).await;
    let url = format!("socks5://{}", socks.address);
    let session = Home::new(&with(cluster, &json!({ "proxy-url": url })), &json!({})).session();
    assert_eq!(text(session.send(get("/")).await.unwrap()).await, "through");
    assert_eq!(socks.asked(), [target]);
}

#[tokio::test]
async fn the_environments_proxy_is_used_and_spared() {
    let authority = Authority::new();
    let server = Server::tls(authority.issue(&["k8s.test"]), &authority, false, |_| answer(200, "")).await;
    let proxy = FakeProxy::connect(server.address, "200 OK").await;
    let cluster = with(server.https(&no_such_name(), &authority), &json!({ "tls-server-name": "k8s.test" }));
    let home = Home::new(&cluster, &json!({}));
    let send = async |no_proxy: &str| {
        let proxies = ProxyVariables {
            https_proxy: Some(proxy.address.to_string()),
            no_proxy: Some(no_proxy.to_owned()),
            ..ProxyVariables::default()
        };
        let environment = Environment { proxies, ..Environment::default() };
        let contexts = Contexts::load_from(&home.options, environment).unwrap();
        Session::open_in(&contexts, &home.options, None).unwrap().send(get("/")).await
    };
    assert_eq!(send("elsewhere").await.unwrap().status(), 200);
    // Spared the proxy, the made-up name cannot be resolved.
    assert!(matches!(send(".test").await, Err(SendError::Connect(ConnectError::Dns(_)))));
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_says_no_is_blamed() {
    let authority = Authority::new();
    let proxy = FakeProxy::connect("127.0.0.1:1".parse().unwrap(), "407 Proxy Authentication Required").await;
    let cluster = json!({
        "server": "https://k8s.test",
        "certificate-authority-data": base64(&authority.pem()),
        "proxy-url": format!("http://user:hunter2@{}", proxy.address),
    });
    let session = Home::new(&cluster, &json!({})).session();
    let error = session.send(get("/")).await.unwrap_err();
    let problem = error.problem(&session).to_string();
    assert!(problem.contains("authorization required") && problem.contains("k8s.test"), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[tokio::test]
async fn the_servers_path_goes_before_the_requests() {
    let server = Server::plain(|_| answer(200, "")).await;
    let cluster = json!({ "server": format!("http://{}/k8s/clusters/c-1/", server.address) });
    let session = Home::new(&cluster, &json!({})).session();
    session.send(get("/api/v1/pods?limit=1")).await.unwrap();
    session.send(get("/")).await.unwrap();
    let paths: Vec<String> = server.seen().iter().map(|parts| parts.uri.to_string()).collect();
    assert_eq!(paths, ["/k8s/clusters/c-1/api/v1/pods?limit=1", "/k8s/clusters/c-1/"]);
    let agent = concat!("ekscope/", env!("CARGO_PKG_VERSION")).to_owned();
    assert_eq!(server.header("user-agent")[0], Some(agent));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Server::plain(|_| answer(200, "0123456789")).await;
    let session = Home::new(&server.http(), &json!({})).session();
    let body = session.send(get("/")).await.unwrap().into_body();
    assert!(matches!(collect(body, Duration::from_secs(10), 9).await, Err(SendError::TooLarge(9))));
    let body = session.send(get("/")).await.unwrap().into_body();
    assert_eq!(collect(body, Duration::from_secs(10), 10).await.unwrap(), "0123456789");
}

#[tokio::test]
async fn a_refusal_is_read_from_its_body() {
    let body = json!({ "kind": "Status", "reason": "NotFound", "message": "no", "code": 404 }).to_string();
    let server = Server::plain(move |_| answer(404, body.clone())).await;
    let session = Home::new(&server.http(), &json!({})).session();
    let status = status_of(session.send(get("/x")).await.unwrap()).await;
    assert_eq!((status.code, &*status.reason, &*status.message), (404, "NotFound", "no"));
}

#[tokio::test]
async fn a_read_only_session_sends_nothing_that_writes() {
    let server = Server::plain(|_| answer(200, "")).await;
    let mut home = Home::new(&server.http(), &json!({}));
    home.options.read_only = true;
    let session = home.session();
    let delete = Request::delete("/api/v1/namespaces/a/pods/b").body(Bytes::new()).unwrap();
    let error = session.send(delete).await.unwrap_err();
    assert!(matches!(error, SendError::ReadOnly { .. }), "{error:?}");
    assert!(server.seen().is_empty());
    session.send(get("/api/v1/pods")).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}
