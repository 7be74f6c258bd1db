//! Every state in which credentials or the way to a cluster can be, each with what a person reads and the line that mends
//! it.

use std::rc::Rc;

use super::minting::{GET_TOKEN, Signed};
use super::*;
use crate::{
    kinds::{self, HasId, pod::Pod},
    sources::{
        Message,
        aws::{
            self, AwsSession,
            eks::{describe_cluster, list_clusters},
        },
        kube::{
            cluster::{Cluster, Preference},
            stream::{self, StreamSpec},
        },
        net::server::{Server, answer, sent},
    },
    store::{
        stream::{StreamId, StreamState},
        table::Covers,
        world::World,
    },
};

const ROLES: &str = "[profile base]\naws_access_key_id = K\naws_secret_access_key = s\n\
    [profile code]\nrole_arn = arn:aws:iam::1:role/Admin\nsource_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n\
    [profile first]\nrole_arn = arn:aws:iam::1:role/First\nsource_profile = base\n\
    [profile chained]\nrole_arn = arn:aws:iam::1:role/Second\nsource_profile = first\nduration_seconds = 7200\n\
    [profile sso]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Admin\n\
    [sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n";

/// Who signs in as a profile to a cluster called prod.
fn signed(cluster: &Value, profile: &str, amazon: &Server) -> Signed {
    let args = ["eks", "get-token", "--cluster-name", "prod", "--profile", profile];
    let signed = Signed::new(cluster, "/nowhere/aws", &args).at(amazon);
    let folder = signed.home.folder.path().join(".aws");
    std::fs::create_dir_all(folder.join("sso/cache")).unwrap();
    std::fs::write(folder.join("config"), ROLES).unwrap();
    // `echo -n corp | sha1sum`: the session was good for a day, years ago.
    let token = r#"{"accessToken":"old","expiresAt":"2020-01-01T00:00:00Z"}"#;
    std::fs::write(folder.join("sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"), token).unwrap();
    signed
}

/// What a person reads who asks the cluster for something.
async fn read(signed: &Signed) -> String {
    let session = signed.session();
    session.send(get("/")).await.unwrap_err().problem(&session).to_string()
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said:?}");
    }
}

#[tokio::test]
async fn an_sso_session_that_has_expired() {
    let amazon = Server::plain(|_| answer(500, "")).await;
    let said = read(&signed(&json!({ "server": "https://127.0.0.1:1" }), "sso", &amazon)).await;
    assert_says(&said, &["profile sso is not signed in: its session has expired", "`:login` on screen signs in"]);
    assert_says(&said, &["aws sso login --profile sso"]);
}

#[tokio::test]
async fn a_role_that_wants_the_code_of_a_device() {
    let amazon = Server::plain(|_| answer(500, "")).await;
    let said = read(&signed(&json!({ "server": "https://127.0.0.1:1" }), "code", &amazon)).await;
    assert_says(&said, &["profile code needs a code from arn:aws:iam::1:mfa/me", "`:reload` on screen asks for it"]);
}

#[tokio::test]
async fn a_role_of_a_role_that_is_to_last_longer_than_an_hour() {
    let amazon = Server::plain(|parts| {
        let credentials = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                           <Expiration>2100-01-01T00:00:00Z</Expiration>";
        if sent(parts).contains("DurationSeconds=7200") {
            let why = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
            let error = format!("<Error><Code>ValidationError</Code><Message>{why}</Message></Error>");
            return answer(400, format!("<ErrorResponse>{error}</ErrorResponse>"));
        }
        let result = format!("<AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult>");
        answer(200, format!("<AssumeRoleResponse>{result}</AssumeRoleResponse>"))
    })
    .await;
    let said = read(&signed(&json!({ "server": "https://127.0.0.1:1" }), "chained", &amazon)).await;
    assert_says(&said, &["the role arn:aws:iam::1:role/Second cannot be assumed", "1 hour session limit"]);
    assert_says(&said, &["lower duration_seconds in the profile, or take it out"]);
}

#[tokio::test]
async fn no_region_is_chosen() {
    let environment = aws::Environment::default();
    let environment = environment.with([("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let wish = aws::Wish { environment, ..aws::Wish::default() };
    let session = AwsSession::open(wish, &SessionOptions::default()).unwrap();
    let said = list_clusters(&session).await.unwrap_err().problem().to_string();
    assert_says(&said, &["no AWS region is chosen", "give --region, AWS_REGION, or a region in the profile"]);
}

#[tokio::test]
async fn a_server_that_does_not_know_the_caller() {
    let server = Server::plain(|_| answer(401, "")).await;
    for (mode, fix) in [
        ("API", "aws eks create-access-entry --cluster-name prod --principal-arn arn:aws:iam::1:role/Admin"),
        ("CONFIG_MAP", "eksctl create iamidentitymapping --cluster prod --arn arn:aws:iam::1:role/Admin"),
    ] {
        let amazon = Server::plain(move |parts| match parts.uri.path() {
            "/clusters/prod" => {
                answer(200, json!({ "cluster": { "accessConfig": { "authenticationMode": mode } } }).to_string())
            }
            _ => answer(
                200,
                "<r><GetCallerIdentityResult><Arn>arn:aws:sts::1:assumed-role/Admin/me</Arn><Account>1</Account>\
                 </GetCallerIdentityResult></r>",
            ),
        })
        .await;
        let said = read(&signed(&server.http(), "base", &amazon)).await;
        assert_says(&said, &[&format!("you are arn:aws:iam::1:role/Admin; authenticationMode={mode}"), fix]);
    }
}

#[tokio::test]
async fn a_server_that_knows_the_caller_and_refuses() {
    let why = r#"pods is forbidden: User "viewer" cannot list resource "pods" in API group "" at the cluster scope"#;
    let status = json!({ "kind": "Status", "reason": "Forbidden", "message": why }).to_string();
    let server = Server::plain(move |_| answer(403, status.clone())).await;
    let session = Home::new(&server.http(), &json!({ "token": "t" })).session();
    let (out, mut inbox) = tokio::sync::mpsc::channel(16);
    let cluster = Rc::new(Cluster::new(session, Preference::Protobuf, 0, out));
    let world = World::default();
    let spec = StreamSpec {
        id: StreamId(1),
        kind: Pod::ID,
        group: String::new(),
        path: "/api/v1/pods".to_owned(),
        namespace: None,
        object: None,
        covers: Covers::All,
        watchable: true,
    };
    let decoder = kinds::decoder(Pod::ID, world.kind(Pod::ID));
    let hears = async {
        loop {
            if let Some((_, Message::State { state: StreamState::Forbidden(problem), .. })) = inbox.recv().await {
                return problem.to_string();
            }
        }
    };
    let said = tokio::select! {
        said = hears => said,
        () = stream::run(cluster, spec, decoder) => panic!("the stream ended"),
    };
    assert_says(&said, &[why, "kubectl create role", "--verb=get,list,watch --resource=pods"]);
}

#[tokio::test]
async fn an_endpoint_that_is_closed_to_this_machine() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cluster = json!({ "server": format!("https://{}", silent.local_addr().unwrap()) });
    for (network, why) in [
        (json!({ "endpointPublicAccess": false, "endpointPrivateAccess": true }), "its endpoint is private"),
        (
            json!({ "endpointPublicAccess": true, "publicAccessCidrs": ["203.0.113.0/24"] }),
            "its endpoint is open to 203.0.113.0/24 only",
        ),
    ] {
        let described = json!({ "cluster": { "resourcesVpcConfig": network } }).to_string();
        let amazon = Server::plain(move |_| answer(200, described.clone())).await;
        let mut signed = Signed::new(&cluster, "/nowhere/aws", &GET_TOKEN).with_key().at(&amazon);
        signed.home.options.connect_timeout = Duration::from_millis(100);
        let said = read(&signed).await;
        assert_says(
            &said,
            &[why, "connect through its VPC (VPN, bastion, proxy), or open the endpoint to your address"],
        );
    }
}

#[tokio::test]
async fn a_region_that_is_not_switched_on() {
    let said =
        r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid"}"#;
    let amazon = Server::plain(move |_| answer(403, said)).await;
    let signed = signed(&json!({ "server": "https://127.0.0.1:1" }), "base", &amazon);
    let session = signed.session();
    let eks = session.eks().unwrap().unwrap();
    let said = describe_cluster(&eks.session, "prod").await.unwrap_err().problem().to_string();
    assert_says(&said, &["eu-west-1 does not know these credentials", "may not be switched on for this account"]);
    assert_says(&said, &["`aws ec2 describe-regions` lists those that are"]);
}
