use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::login::Progress;
use super::super::profile::{Profiles, Source};
use super::*;

fn told(source: &Source) -> String {
    match source {
        Source::Keys { id, .. } => format!("key {id}"),
        Source::Sso(sso) => format!("sso {} {} {}", sso.start_url, sso.account, sso.role),
        Source::Process { command, .. } => format!("process {command}"),
        Source::WebIdentity { role, .. } => format!("web identity {}", role.arn),
        Source::Assumed { base, role } => format!("{} > role {}", told(base), role.arn),
        Source::Container => "container".to_owned(),
        Source::Instance => "instance".to_owned(),
    }
}

/// What the chain comes to, in a word.
fn chosen(environment: &[(&str, &str)], profile: Option<&str>, config: &str, credentials: &str) -> String {
    let profiles = Profiles::of_texts(config, credentials);
    let environment = Environment::default().with(environment.iter().copied());
    let wish = Wish { profile: profile.map(str::to_owned), environment, ..Wish::default() };
    wish.source(&profiles, &BTreeSet::new()).map_or_else(|problem| problem.to_string(), |source| told(&source))
}

#[test]
fn credentials_are_looked_for_in_the_order_of_the_cli() {
    let config = "[default]\nregion = eu-west-1\n\n[profile keys]\naws_access_key_id = K1\naws_secret_access_key = s\n\
        [profile role]\nrole_arn = R1\nsource_profile = keys\n\
        [profile chain]\nrole_arn = R2\nsource_profile = role\n\
        [profile self]\nrole_arn = R3\nsource_profile = self\naws_access_key_id = K3\naws_secret_access_key = s\n\
        [profile ec2]\nrole_arn = R4\ncredential_source = Ec2InstanceMetadata\n\
        [profile web]\nrole_arn = R5\nweb_identity_token_file = /t\n\
        [profile old-sso]\nsso_start_url = https://o\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = A\n\
        [profile sso]\nsso_session = corp\nsso_account_id = 2\nsso_role_name = B # the usual one\n\
        [sso-session corp]\nsso_start_url = https://c\nsso_region = eu-west-1\n\
        [profile run]\ncredential_process = /bin/x --y \"z\"\n\
        [profile empty]\nregion = x-y-1\n\
        [profile a]\nrole_arn = R\nsource_profile = b\n[profile b]\nrole_arn = R\nsource_profile = a\n\
        [profile lost]\nrole_arn = R\nsource_profile = nowhere\n[profile bare]\nrole_arn = R\n\
        [profile login]\nlogin_session = x\n";
    let credentials = "[default]\naws_access_key_id=K0\naws_secret_access_key=s\n";
    let key: &[_] = &[("AWS_ACCESS_KEY_ID", "KE"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let web: &[_] = &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "RW")];
    for (environment, profile, expected) in [
        (key, None, "key KE"),
        (&[][..], None, "key K0"),
        // A profile that is named for the session is meant, whatever the shell has.
        (key, Some("keys"), "key K1"),
        (&[("AWS_PROFILE", "keys")], None, "key K1"),
        (&[("AWS_ACCESS_KEY_ID", "half")], None, "key K0"),
        (web, Some("empty"), "instance"),
        (&[("AWS_PROFILE", "empty"), web[0], web[1]], None, "web identity RW"),
        (&[("AWS_PROFILE", "empty"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://x")], None, "container"),
        (&[], Some("role"), "key K1 > role R1"),
        (&[], Some("chain"), "key K1 > role R1 > role R2"),
        (&[], Some("self"), "key K3 > role R3"),
        (&[], Some("ec2"), "instance > role R4"),
        (&[], Some("web"), "web identity R5"),
        (&[], Some("old-sso"), "sso https://o 1 A"),
        (&[], Some("sso"), "sso https://c 2 B"),
        (&[], Some("run"), "process /bin/x --y \"z\""),
    ] {
        assert_eq!(chosen(environment, profile, config, credentials), expected, "{profile:?} {environment:?}");
    }
    for (profile, words) in [
        ("a", "leads back"),
        ("lost", "nowhere is nowhere to be found"),
        ("bare", "neither source_profile nor credential_source"),
        ("keyz", "did you mean keys?"),
        ("login", "export-credentials"),
    ] {
        let said = chosen(&[], Some(profile), config, credentials);
        assert!(said.contains(words), "{profile}: {said}");
    }
}

proptest! {
    /// Whatever stands around it, a profile is read as it was written.
    #[test]
    fn a_profile_is_read_whatever_stands_around_it(
        settings in prop::collection::btree_map("[a-z_]{1,8}", "[A-Za-z0-9/+=:@-]{1,12}", 1..6),
        before in "([\\[\\]= #;a-z]{0,12}\n){0,6}",
    ) {
        let lines: Vec<_> = settings.iter().map(|(key, value)| format!("{key} = {value} # a remark")).collect();
        let profiles = Profiles::of_texts(&format!("{before}[profile wanted]\n{}", lines.join("\n")), "");
        for (key, value) in &settings {
            prop_assert_eq!(profiles.get("wanted", key), Some(value.as_str()));
        }
    }
}

#[test]
fn a_bad_line_costs_itself_and_is_named_without_its_text() {
    let config = "junk before\n[profile x]\nregion = eu-west-1\nAKIASECRET\n[nonsense]\nregion = a\n[profile y\n\
                  region = b\n[profile z]\noutput = json\n";
    let profiles = Profiles::of_texts(config, "");
    assert_eq!(profiles.names().collect::<Vec<_>>(), ["x", "z"]);
    assert_eq!(profiles.region("x"), Some("eu-west-1"));
    let told: Vec<String> = profiles.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, place) in told.iter().zip(["config:4 ", "config:5 ", "config:7 "]) {
        assert!(told.starts_with(place) && !told.contains("AKIA"), "{told}");
    }
}

#[tokio::test]
async fn keys_that_expired_in_the_environment_are_told_once_and_passed_over_after_a_reload() {
    let server = Server::plain(|parts| {
        let old = parts.headers["authorization"].to_str().unwrap().contains("AKIDEXAMPLE");
        if old { query_error(403, "ExpiredToken", "The security token is expired") } else { identity("123456789012") }
    });
    let world = World::of(server.await);
    let session = world.session();
    for _ in 0..3 {
        let error = session.identity().await.unwrap_err();
        assert!(matches!(&error.kind, ErrorKind::SignIn(failure) if failure.way_out == WayOut::Reload), "{error:?}");
        let problem = error.problem();
        assert!(problem.why.contains("the environment") && problem.hint.contains("reload"), "{problem}");
    }
    assert_eq!(world.server.seen().len(), 1, "after the first refusal nothing is sent");
    world.write("credentials", "[default]\naws_access_key_id = FRESH\naws_secret_access_key = s\n");
    assert!(session.identity().await.is_err(), "nobody has asked to reload");
    session.reload().await;
    assert_eq!(session.identity().await.unwrap().account, "123456789012");
}

#[tokio::test]
async fn keys_that_another_program_writes_anew_are_found_without_asking() {
    let world = World::new(|_, _| identity("1")).await;
    world.write("credentials", "[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n");
    let session = AwsSession::open(world.wish(), &SessionOptions::default()).unwrap();
    assert_eq!(session.credentials().await.unwrap().id, "OLD");
    world.write("credentials", "[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n");
    assert_eq!(session.credentials().await.unwrap().id, "OLD", "files are not read for every call");
    let old = session.credentials().await.unwrap();
    assert_eq!(session.renewed(&old).await.unwrap().id, "NEW");
}

const MFA: &str = "[profile base]\naws_access_key_id = K\naws_secret_access_key = s\n[profile admin]\n\
    role_arn = arn:aws:iam::1:role/Admin\nsource_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n\
    external_id = e\nduration_seconds = 900\nrole_session_name = me\n";

#[tokio::test]
async fn a_role_with_mfa_asks_once_for_a_code() {
    let world = World::new(|operation, _| match operation {
        "AssumeRole" => assumed("AssumeRole", "ASSUMED"),
        _ => identity("1"),
    })
    .await;
    world.write("config", MFA);
    let (ask, mut questions) = mpsc::unbounded_channel();
    let wish = Wish { profile: Some("admin".into()), ..world.wish() };
    let session = AwsSession::open(wish, &SessionOptions { ask: Some(ask), ..SessionOptions::default() }).unwrap();
    let answered = async {
        let question = questions.recv().await.unwrap();
        assert_eq!((&*question.profile, &*question.serial), ("admin", "arn:aws:iam::1:mfa/me"));
        question.answer.send(Some(" 123456\n".into())).unwrap();
    };
    let calls = futures_util::future::join_all((0..5).map(|_| session.identity()));
    let (calls, ()) = tokio::join!(calls, answered);
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert!(questions.try_recv().is_err(), "one question serves all");
    let (operation, body) = world.asked().remove(0);
    assert_eq!(operation, "AssumeRole");
    for part in [
        "TokenCode=123456",
        "SerialNumber=arn%3Aaws%3Aiam%3A%3A1%3Amfa%2Fme",
        "ExternalId=e",
        "DurationSeconds=900",
        "RoleSessionName=me",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(session.credentials().await.unwrap().origin.contains("role Admin"));
}

#[tokio::test]
async fn without_a_code_it_is_said_and_not_asked_again_by_itself() {
    let world = World::new(|_, _| identity("1")).await;
    world.write("config", MFA);
    let wish = Wish { profile: Some("admin".into()), ..world.wish() };
    let mute = AwsSession::open(wish.clone(), &SessionOptions::default()).unwrap();
    let failure = mute.credentials().await.unwrap_err();
    assert_eq!(failure.way_out, WayOut::Code);
    assert!(failure.problem.what.contains("arn:aws:iam::1:mfa/me"), "{failure}");

    let (ask, mut questions) = mpsc::unbounded_channel();
    let session = AwsSession::open(wish, &SessionOptions { ask: Some(ask), ..SessionOptions::default() }).unwrap();
    let refused = async { questions.recv().await.unwrap().answer.send(None).unwrap() };
    let (outcome, ()) = tokio::join!(session.credentials(), refused);
    assert_eq!(outcome.unwrap_err().way_out, WayOut::Code);
    assert!(session.credentials().await.is_err());
    assert!(questions.try_recv().is_err(), "who said no is not asked again");
    session.reload().await;
    let refused = async { questions.recv().await.unwrap().answer.send(None).unwrap() };
    tokio::join!(session.credentials(), refused).0.unwrap_err();
    assert!(world.operations().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_prints_credentials() {
    let world = World::new(|_, _| identity("1")).await;
    let printed = json!({ "Version": 1, "AccessKeyId": "P", "SecretAccessKey": "s", "SessionToken": "t",
        "Expiration": "2100-01-01T00:00:00Z" });
    world.write("printed", &printed.to_string());
    world.write("config", &format!("[default]\ncredential_process = cat '{}'\n\
        [profile bad]\ncredential_process = echo '{{\"Version\": 2, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"t0p-secret\"}}'\n\
        [profile angry]\ncredential_process = echo no session >&2; exit 3\n", world.home.path().join(".aws/printed").display()));
    let session = |profile: &str| {
        AwsSession::open(Wish { profile: Some(profile.into()), ..world.wish() }, &SessionOptions::default()).unwrap()
    };
    let credentials = session("default").credentials().await.unwrap();
    assert_eq!((&*credentials.id, credentials.expires.is_some()), ("P", true));
    for (profile, words) in [("bad", "Version 2"), ("angry", "no session")] {
        let problem = session(profile).credentials().await.unwrap_err().problem;
        assert!(problem.why.contains(words) && !problem.why.contains("t0p"), "{problem}");
    }
}

#[tokio::test]
async fn a_web_identity_speaks_for_itself() {
    let world = World::new(|operation, _| assumed(operation, "WEB")).await;
    world.write("token", "jwt\n");
    let token = world.home.path().join(".aws/token");
    let environment = world
        .environment()
        .with([("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")]);
    let session = AwsSession::open(Wish { environment, ..world.wish() }, &SessionOptions::default()).unwrap();
    assert_eq!(session.credentials().await.unwrap().id, "WEB");
    let request = world.server.seen().remove(0);
    assert!(request.headers.get("authorization").is_none(), "it is not signed");
    assert!(sent(&request).contains("WebIdentityToken=jwt"));
}

#[tokio::test]
async fn an_instance_and_a_container_hand_out_their_role() {
    let given =
        json!({ "AccessKeyId": "I", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z" });
    let respond = move |operation: &str, _: &str| match operation {
        "PUT /latest/api/token" => answer(200, "session"),
        "GET /latest/meta-data/iam/security-credentials/" => answer(200, "node-role\n"),
        "GET /latest/meta-data/iam/security-credentials/node-role" | "GET /pod" => answer(200, given.to_string()),
        other => panic!("{other}"),
    };
    let world = World::new(respond).await;
    let open = |variables: &[(&str, &str)]| {
        let environment = world.environment().with(variables.iter().copied());
        AwsSession::open(Wish { environment, ..world.wish() }, &SessionOptions::default()).unwrap()
    };
    let instance = open(&[("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &world.url())]);
    let credentials = instance.credentials().await.unwrap();
    assert_eq!((&*credentials.id, &*credentials.origin), ("I", "the instance's role node-role"));
    assert_eq!(world.server.header("x-aws-ec2-metadata-token")[1].as_deref(), Some("session"));

    let pod = open(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/pod", world.url())),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "k8s"),
    ]);
    assert_eq!(pod.credentials().await.unwrap().id, "I");
    assert_eq!(world.server.header("authorization").last().unwrap().as_deref(), Some("k8s"));

    let nobody = open(&[]).credentials().await.unwrap_err().problem;
    assert!(nobody.what.contains("no AWS credentials") && nobody.why.contains("profile default"), "{nobody}");
}

const SSO: &str = "[profile work]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Admin\n\
    [sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n";
/// `echo -n corp | sha1sum`, as the CLI names the file.
const CORP: &str = "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";

fn portal(operation: &str) -> Answer {
    match operation {
        "GET /federation/credentials?account_id=1&role_name=Admin" => answer(
            200,
            json!({ "roleCredentials": { "accessKeyId": "SSO", "secretAccessKey": "s", "sessionToken": "t",
                "expiration": 4_102_444_800_000_i64 } })
            .to_string(),
        ),
        other => panic!("{other}"),
    }
}

fn work(world: &World) -> AwsSession {
    let wish = Wish { profile: Some("work".into()), ..world.wish() };
    AwsSession::open(wish, &SessionOptions::default()).unwrap()
}

#[tokio::test]
async fn a_cached_sso_token_buys_credentials() {
    let world = World::new(|operation, _| portal(operation)).await;
    world.write("config", SSO);
    world.write(CORP, r#"{"accessToken":"cached","expiresAt":"2100-01-01T00:00:00Z"}"#);
    let credentials = work(&world).credentials().await.unwrap();
    assert_eq!(credentials.id, "SSO");
    assert!(credentials.origin.contains("profile work") && credentials.expires.is_some(), "{credentials:?}");
    assert_eq!(world.server.header("x-amz-sso_bearer_token"), [Some("cached".to_owned())]);
}

#[tokio::test]
async fn an_expired_sso_session_leads_to_a_sign_in() {
    let world = World::new(|_, _| answer(401, r#"{"message":"Session token not found or invalid"}"#)).await;
    world.write("config", SSO);
    let way_out = |failure: SignInFailure| {
        assert!(failure.problem.hint.contains("aws sso login --profile work"), "{failure}");
        matches!(failure.way_out, WayOut::SsoLogin(sso) if sso.start_url == "https://corp.awsapps.com/start")
    };
    assert!(way_out(work(&world).credentials().await.unwrap_err()), "no token at all");
    world.write(CORP, r#"{"accessToken":"old","expiresAt":"2020-01-01T00:00:00UTC"}"#);
    assert!(way_out(work(&world).credentials().await.unwrap_err()), "an old one");
    assert!(world.operations().is_empty());
    world.write(CORP, r#"{"accessToken":"revoked","expiresAt":"2100-01-01T00:00:00Z"}"#);
    assert!(way_out(work(&world).credentials().await.unwrap_err()), "one that was revoked");
}

#[tokio::test]
async fn an_sso_token_is_renewed_and_kept_for_the_cli() {
    let world = World::new(|operation, body| match operation {
        "POST /token" => {
            let asked: Value = serde_json::from_str(body).unwrap();
            assert_eq!((&asked["grantType"], &asked["refreshToken"]), (&json!("refresh_token"), &json!("r1")));
            answer(200, json!({ "accessToken": "renewed", "expiresIn": 28800, "refreshToken": "r2" }).to_string())
        }
        _ => portal(operation),
    })
    .await;
    world.write("config", SSO);
    let cached = json!({ "startUrl": "https://corp.awsapps.com/start", "region": "eu-west-1", "accessToken": "old",
        "expiresAt": "2020-01-01T00:00:00Z", "clientId": "c", "clientSecret": "s",
        "registrationExpiresAt": "2100-01-01T00:00:00Z", "refreshToken": "r1" });
    world.write(CORP, &cached.to_string());
    work(&world).credentials().await.unwrap();
    assert_eq!(world.server.header("x-amz-sso_bearer_token").last().unwrap().as_deref(), Some("renewed"));
    let kept: Value =
        serde_json::from_slice(&std::fs::read(world.home.path().join(".aws").join(CORP)).unwrap()).unwrap();
    assert_eq!(
        (&kept["accessToken"], &kept["refreshToken"], &kept["clientId"]),
        (&json!("renewed"), &json!("r2"), &json!("c"))
    );
    assert!(kept["expiresAt"].as_str().unwrap().parse::<Timestamp>().unwrap() > Timestamp::now());
}

#[tokio::test]
async fn signing_in_shows_a_code_and_waits_for_the_browser() {
    let polls = std::sync::atomic::AtomicUsize::new(0);
    let world = World::new(move |operation, body| match operation {
        "POST /client/register" => answer(
            200,
            json!({ "clientId": "c", "clientSecret": "s", "clientSecretExpiresAt": 4_102_444_800_i64 }).to_string(),
        ),
        "POST /device_authorization" => answer(
            200,
            json!({ "deviceCode": "d", "userCode": "ABCD-EFGH", "verificationUri": "https://device.sso",
                "verificationUriComplete": "https://device.sso?user_code=ABCD-EFGH", "expiresIn": 600, "interval": 1 })
            .to_string(),
        ),
        "POST /token" => {
            assert!(body.contains("\"deviceCode\":\"d\""), "{body}");
            let refusal = |error: &str| answer(400, json!({ "error": error, "error_description": null }).to_string());
            match polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => answer(400, json!({ "error": "authorization_pending", "error_description": "" }).to_string()),
                1 => answer(400, json!({ "error": "slow_down" }).to_string()),
                2 => answer(
                    200,
                    json!({ "accessToken": "fresh", "expiresIn": 28800, "tokenType": "Bearer" }).to_string(),
                ),
                _ => refusal("expired_token"),
            }
        }
        _ => portal(operation),
    })
    .await;
    world.write("config", SSO);
    let session = work(&world);
    let WayOut::SsoLogin(sso) = session.credentials().await.unwrap_err().way_out else { panic!() };
    let mut login = session.login(*sso).await.unwrap();
    assert_eq!((&*login.code, &*login.url), ("ABCD-EFGH", "https://device.sso?user_code=ABCD-EFGH"));
    let now = Timestamp::now();
    assert_eq!(login.poll(now).await, Ok(Progress::Waiting));
    let before = login.interval;
    assert_eq!(login.poll(now).await, Ok(Progress::Waiting));
    assert!(login.interval > before, "it was asked to slow down");
    assert_eq!(login.poll(now).await, Ok(Progress::Done));
    let file = world.home.path().join(".aws").join(CORP);
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((&kept["accessToken"], &kept["startUrl"]), (&json!("fresh"), &json!("https://corp.awsapps.com/start")));
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o600
    );
    session.reload().await;
    assert_eq!(session.credentials().await.unwrap().id, "SSO");
    assert!(login.poll(now).await.unwrap_err().why.contains("not confirmed in time"));
}
