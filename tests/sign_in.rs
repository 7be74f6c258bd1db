//! Signing in as a person meets it: the real program in a terminal on a profile that wants the code of an MFA device, or a
//! browser; the simulated cluster with its account, and beside it a server that answers as STS, or as IAM Identity Center.

#![allow(
    clippy::expect_used,
    clippy::large_stack_arrays,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail, and says what it sees"
)]

#[path = "demo/mod.rs"]
mod demo;
#[path = "pty/mod.rs"]
mod pty;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use demo::{Demo, still};
use serde_json::json;

/// What a request asks for, method and path, and its body; and the answer, status and body.
type Respond = dyn Fn(&str, &str) -> (u16, String) + Send;

/// A server of whatever the test has it answer; gives its URL.
fn serve(respond: Box<Respond>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some((asked, body)) = request(&stream) else { continue };
            let (status, answer) = respond(&asked, &body);
            let length = answer.len();
            let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = (&stream).write_all((head + &answer).as_bytes());
        }
    });
    url
}

fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let asked = line.rsplit_once(" HTTP")?.0.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((asked, String::from_utf8_lossy(&body).into_owned()))
}

/// The cluster as one of EKS whose context names a profile. That profile is all there is: no keys in the environment, no
/// program that would sign in.
fn demo(profile: &str, config: &str) -> (Demo, [String; 2]) {
    let mut demo = Demo::of_account(still());
    let kubeconfig = demo.server.eks_kubeconfig();
    let (kubeconfig, _) = kubeconfig.split_once("      env:\n").expect("variables");
    let args = format!("args: [--profile, {profile}, ");
    let without_token = |line: &&str| !line.trim_start().starts_with("token:");
    let kubeconfig: Vec<&str> = kubeconfig.lines().filter(without_token).collect();
    std::fs::write(demo.place.kubeconfig(), kubeconfig.join("\n").replace("args: [", &args)).expect("a kubeconfig");
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| {
        let at = demo.place.variables.iter().position(|(own, _)| own == name).expect("a key");
        demo.place.variables.remove(at).1
    });
    let home = demo.place.path("home");
    std::fs::create_dir_all(home.join(".aws")).expect("a folder");
    std::fs::write(home.join(".aws/config"), config).expect("a file");
    for (name, value) in [
        ("HOME", home.clone()),
        ("PATH", home.clone()),
        ("AWS_CONFIG_FILE", home.join(".aws/config")),
        ("AWS_SHARED_CREDENTIALS_FILE", home.join(".aws/credentials")),
    ] {
        demo.place.variables.retain(|(own, _)| own != name);
        demo.place.variables.push((name.to_owned(), value.display().to_string()));
    }
    demo.place.variables.push(("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()));
    (demo, keys)
}

#[test]
fn the_code_of_a_device_is_asked_for_and_a_wrong_one_can_be_corrected() {
    let config = "[profile base]\naws_access_key_id = K\naws_secret_access_key = s\n[profile admin]\n\
                  role_arn = arn:aws:iam::123456789012:role/Admin\nsource_profile = base\n\
                  mfa_serial = arn:aws:iam::123456789012:mfa/me\n";
    let (mut demo, [id, secret]) = demo("admin", config);
    let sts = serve(Box::new(move |_, body| {
        let end = "2100-01-01T00:00:00Z";
        if body.contains("Action=AssumeRole&") && body.contains("TokenCode=654321") {
            let keys = format!("<AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>");
            let keys = format!("{keys}<SessionToken>t</SessionToken><Expiration>{end}</Expiration>");
            let result = format!("<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>");
            return (200, format!("<AssumeRoleResponse>{result}</AssumeRoleResponse>"));
        }
        let why = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
        let error = format!("<Error><Code>AccessDenied</Code><Message>{why}</Message></Error>");
        (403, format!("<ErrorResponse>{error}</ErrorResponse>"))
    }));
    demo.place.variables.push(("AWS_ENDPOINT_URL_STS".to_owned(), sts));

    let mut session = demo.open(&["pods", "-A"], (120, 30));
    session.wait_text("code for profile admin");
    session.wait_text("arn:aws:iam::123456789012:mfa/me");
    session.send("000000\r");
    session.wait_text("one time pass code");
    session.wait_text("`:reload` on screen asks for another code");
    session.send(":reload\r");
    session.wait_text("code for profile admin");
    session.send("654321");
    session.wait_text("654321");
    session.send("\r");
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.send(":messages\r");
    session.wait_text("the server takes the credentials: role Admin");
    assert!(!session.text().contains("654321") && !demo.place.log().contains("654321"), "codes are kept nowhere");
}

#[test]
fn a_browser_signs_in_from_within() {
    let config = "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\n\
                  [sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n";
    let (mut demo, [id, secret]) = demo("work", config);
    let confirmed = Arc::new(AtomicBool::new(false));
    let sso = serve({
        let confirmed = Arc::clone(&confirmed);
        Box::new(move |asked, _| {
            let (status, answer) = match asked.split('?').next().unwrap_or_default() {
                "POST /client/register" => {
                    (200, json!({ "clientId": "c", "clientSecret": "s", "clientSecretExpiresAt": 4_102_444_800_i64 }))
                }
                "POST /device_authorization" => (
                    200,
                    json!({ "deviceCode": "d", "userCode": "ABCD-EFGH", "verificationUri": "https://device.sso/",
                        "verificationUriComplete": "https://device.sso/?user_code=ABCD-EFGH", "expiresIn": 600,
                        "interval": 1 }),
                ),
                "POST /token" if confirmed.load(Ordering::SeqCst) => {
                    (200, json!({ "accessToken": "fresh", "expiresIn": 28800, "tokenType": "Bearer" }))
                }
                "POST /token" => (400, json!({ "error": "authorization_pending" })),
                "GET /federation/credentials" => (
                    200,
                    json!({ "roleCredentials": { "accessKeyId": id, "secretAccessKey": secret, "sessionToken": "t",
                        "expiration": 4_102_444_800_000_i64 } }),
                ),
                other => (404, json!({ "message": other })),
            };
            (status, answer.to_string())
        })
    });
    for service in ["SSO", "SSO_OIDC"] {
        demo.place.variables.push((format!("AWS_ENDPOINT_URL_{service}"), sso.clone()));
    }

    let mut session = demo.open(&["pods", "-A"], (120, 30));
    session.wait_text("profile work is not signed in");
    session.wait_text("`:login` on screen signs in");
    session.send(":login\r");
    session.wait_text("sign in by profile work");
    session.wait_text("https://device.sso/?user_code=ABCD-EFGH");
    session.wait_text("if it shows the same code");
    // Who leaves is not signed in, and can begin again.
    session.send("\x1b");
    session.wait_text("left before the browser confirmed");
    session.send("L");
    session.wait_text("ABCD-EFGH");
    confirmed.store(true, Ordering::SeqCst);
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    session.send(":messages\r");
    session.wait_text("the server takes the credentials: profile work (SSO, role Admin in 123456789012)");
}

#[test]
fn where_nobody_can_sign_in_it_is_said_why_and_looking_anew_ends_with_a_word() {
    let demo = Demo::start(still());
    let mut session = demo.open(&["pods", "-A"], (80, 24));
    session.wait_text(&format!("pods(all)[{}]", demo.pods()));
    for (keys, tried) in [(":login\r", ":login"), ("L", "shift-l")] {
        session.send(keys);
        session.wait("why", |screen| {
            let said = screen.contents().split_whitespace().collect::<Vec<_>>().join(" ");
            said.contains(&format!("{tried} does nothing here: it wants a context that signs in with AWS"))
        });
    }
    session.send(":reload\r");
    session.send(":messages\r");
    session.wait_text("the server takes the credentials: token");
}
