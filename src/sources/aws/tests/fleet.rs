use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Response;
use http_body_util::Full;
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};

use super::super::fleet::{self, Cell, News, Survey, Watched};
use super::super::pace::Paces;
use super::*;
use crate::sources::Message;

const ACCOUNT: &str = "123456789012";
/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// The region that a request is signed for.
fn region(parts: &Parts) -> String {
    let signature = parts.headers["authorization"].to_str().unwrap();
    signature.split('/').nth(2).unwrap().to_owned()
}

fn ok(body: &serde_json::Value) -> Answer {
    answer(200, body.to_string())
}

/// Two clusters with two groups of three in every region but one, which denies everything.
fn account(parts: &Parts) -> Answer {
    let operation = operation(parts);
    let path = operation.split('?').next().unwrap().to_owned();
    if path == "GetCallerIdentity" {
        return identity(ACCOUNT);
    }
    if region(parts) == "eu-west-3" {
        return answer(403, json!({ "__type": "AccessDeniedException", "message": "no" }).to_string());
    }
    let segments: Vec<&str> = path.trim_start_matches("GET /").split('/').collect();
    match segments[..] {
        ["clusters"] => ok(&json!({ "clusters": ["a", "b"] })),
        ["cluster-versions"] => ok(&json!({ "clusterVersions": [] })),
        ["clusters", name] => {
            let arn = format!("arn:aws:eks:{}:{ACCOUNT}:cluster/{name}", region(parts));
            ok(&json!({ "cluster": { "name": name, "arn": arn, "status": "ACTIVE", "version": "1.33" } }))
        }
        ["clusters", _, "node-groups"] => ok(&json!({ "nodegroups": ["x", "y"] })),
        ["clusters", _, "node-groups", name] => {
            ok(&json!({ "nodegroup": { "nodegroupName": name, "scalingConfig": { "desiredSize": 3 } } }))
        }
        _ => panic!("{path} was not expected"),
    }
}

/// Listens until `enough`; gives all that was said.
async fn hear(world: &World, survey: Survey, watched: Watched, enough: impl Fn(&[News]) -> bool) -> Vec<News> {
    hear_with(world, survey, watched, Rc::default(), enough).await
}

/// The same with a bell for other credentials.
async fn hear_with(
    world: &World,
    survey: Survey,
    watched: Watched,
    renewed: Rc<Notify>,
    enough: impl Fn(&[News]) -> bool,
) -> Vec<News> {
    let (out, mut inbox) = mpsc::channel(64);
    let (_watch, watched) = watch::channel(watched);
    let survey = Survey { environment: world.environment(), ..survey };
    let mut all = Vec::new();
    let listen = async {
        while let Some((_, Message::Fleet(news))) = inbox.recv().await {
            all.push(news);
            if enough(&all) {
                return;
            }
        }
    };
    tokio::select! {
        () = fleet::run(survey, watched, Paces::default(), renewed, out) => panic!("nobody is asked any more"),
        () = listen => {}
        () = tokio::time::sleep(LONG) => panic!("it does not come"),
    }
    all
}

fn survey(regions: &[&str]) -> Survey {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Survey { profiles: texts(&["*"]), regions: texts(regions), patience: LONG, ..Survey::default() }
}

fn profiles(world: &World, names: &[&str]) {
    let section = |name: &&str| format!("[{name}]\naws_access_key_id = {name}\naws_secret_access_key = s\n");
    world.write("credentials", &names.iter().map(section).collect::<String>());
}

fn is_answered(all: &[News]) -> bool {
    matches!(all.last(), Some(News::Open(0)))
}

/// What was said of the cells: names, or what went wrong.
fn cells(all: &[News]) -> BTreeMap<Cell, String> {
    let line = |news: &News| match news {
        News::Names { cell, names, .. } => Some((cell.clone(), names.join(" "))),
        News::Failed { cell, why, .. } => Some((cell.clone(), why.what.clone())),
        _ => None,
    };
    all.iter().filter_map(line).collect()
}

fn cell(owner: &str, region: &str) -> Cell {
    Cell { owner: owner.to_owned(), region: region.to_owned() }
}

#[tokio::test]
async fn a_denied_region_costs_itself_and_names_the_permission() {
    let world = World::of(Server::plain(account).await);
    profiles(&world, &["default"]);
    let all = hear(&world, survey(&["eu-west-1", "eu-west-3"]), Watched::These(Vec::new()), is_answered).await;
    let cells = cells(&all);
    assert_eq!(cells[&cell(ACCOUNT, "eu-west-1")], "a b");
    assert_eq!(cells[&cell(ACCOUNT, "eu-west-3")], "AWS denies eks:ListClusters in eu-west-3");
    let described = all.iter().filter(|news| matches!(news, News::Described { answer: Ok(_), .. })).count();
    assert_eq!(described, 2);
    let groups = world.operations().iter().filter(|it| it.contains("node-groups")).count();
    assert_eq!(groups, 0, "nobody looks at them");
}

#[tokio::test]
async fn two_profiles_of_one_account_are_asked_once() {
    let world = World::of(Server::plain(account).await);
    profiles(&world, &["default", "same"]);
    hear(&world, survey(&["eu-west-1"]), Watched::These(Vec::new()), is_answered).await;
    let lists = world.operations().iter().filter(|it| it.starts_with("GET /clusters?")).count();
    assert_eq!(lists, 1, "{:?}", world.operations());
}

#[tokio::test]
async fn node_groups_are_described_of_clusters_that_are_looked_at() {
    let world = World::of(Server::plain(account).await);
    profiles(&world, &["default"]);
    let key = fleet::Key { cell: cell(ACCOUNT, "eu-west-1"), name: "b".to_owned() };
    let wanted = |all: &[News]| all.iter().any(|news| matches!(news, News::Desired { .. }));
    let all = hear(&world, survey(&["eu-west-1"]), Watched::These(vec![key.clone()]), wanted).await;
    let Some(News::Desired { key: of, answer, .. }) = all.last() else { panic!("{all:?}") };
    assert_eq!((of, answer), (&key, &Ok(6)));
    assert!(!world.operations().iter().any(|it| it.contains("/clusters/a/node-groups")));
}

#[tokio::test]
async fn nobody_is_asked_while_nobody_looks() {
    let world = World::of(Server::plain(account).await);
    profiles(&world, &["default"]);
    let all = hear(&world, survey(&["eu-west-1"]), Watched::Nobody, |all| !all.is_empty()).await;
    assert!(matches!(all[..], [News::Open(1)]), "{all:?}");
    tokio::task::yield_now().await;
    assert_eq!(world.operations(), [""; 0]);
}

#[tokio::test]
async fn a_profile_that_cannot_sign_in_says_so_and_others_go_on() {
    let world = World::of(Server::plain(account).await);
    profiles(&world, &["default"]);
    world.write(
        "config",
        "[profile broken]\nregion = eu-west-1\nsource_profile = nobody\nrole_arn = arn:aws:iam::1:role/x\n",
    );
    let all = hear(&world, survey(&["eu-west-1"]), Watched::These(Vec::new()), is_answered).await;
    let cells = cells(&all);
    assert_eq!(cells[&cell(ACCOUNT, "eu-west-1")], "a b");
    assert_eq!(cells[&cell("broken", "")], "the AWS profile broken cannot be used");
}

#[tokio::test]
async fn other_credentials_are_tried_at_once() {
    let world = World::of(Server::plain(account).await);
    world.write(
        "config",
        "[profile late]\nregion = eu-west-1\nsource_profile = nobody\nrole_arn = arn:aws:iam::1:role/x\n",
    );
    let renewed: Rc<Notify> = Rc::default();
    let bell = Rc::clone(&renewed);
    let all = hear_with(&world, survey(&["eu-west-1"]), Watched::These(Vec::new()), renewed, |all| {
        if is_answered(all) && cells(all).contains_key(&cell("late", "")) && cells(all).len() == 1 {
            world.write("config", "[profile late]\nregion = eu-west-1\n");
            profiles(&world, &["late"]);
            bell.notify_waiters();
        }
        cells(all).get(&cell(ACCOUNT, "eu-west-1")).is_some_and(|names| names == "a b")
    })
    .await;
    assert_eq!(cells(&all)[&cell("late", "")], "", "what was wrong is no more");
}

/// A server on which requests for one region get no answer at all.
async fn with_a_silent_region(silent: &'static str) -> (World, Arc<Mutex<Vec<String>>>) {
    use http_body_util::BodyExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let keep = Arc::clone(&keep);
                async move {
                    let (mut parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let body = String::from_utf8_lossy(&body).into_owned();
                    parts.extensions.insert(crate::sources::net::server::Sent(body));
                    let region = region(&parts);
                    keep.lock().unwrap().push(format!("{region} {}", operation(&parts)));
                    if region == silent {
                        std::future::pending::<()>().await;
                    }
                    Ok::<Response<Full<bytes::Bytes>>, std::convert::Infallible>(account(&parts))
                }
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
        }
    });
    let mut world = World::of(Server::plain(account).await);
    world.server.address = address;
    (world, asked)
}

#[tokio::test]
async fn a_silent_region_delays_nothing_else() {
    // The silent one is the profile's own, in which it is asked first who it is.
    let (world, asked) = with_a_silent_region("ap-south-1").await;
    profiles(&world, &["default"]);
    let regions = ["ap-south-1", "eu-west-1", "us-east-1"];
    let both = |all: &[News]| cells(all).len() == 2;
    let all = hear(&world, survey(&regions), Watched::These(Vec::new()), both).await;
    assert_eq!(cells(&all).values().collect::<Vec<_>>(), ["a b", "a b"]);
    assert!(asked.lock().unwrap().iter().any(|it| it.starts_with("ap-south-1")), "it was asked, and has not answered");
}

#[tokio::test]
async fn who_has_not_answered_in_time_says_so() {
    let (world, _) = with_a_silent_region("ap-south-1").await;
    profiles(&world, &["default"]);
    let survey = Survey { patience: Duration::from_millis(200), ..survey(&["ap-south-1"]) };
    let all = hear(&world, survey, Watched::These(Vec::new()), is_answered).await;
    assert_eq!(cells(&all)[&cell("default", "ap-south-1")], "eks:ListClusters: no answer in 200ms");
}

/// Five clusters with ten groups in each of eight regions.
fn big(parts: &Parts) -> Answer {
    let operation = operation(parts);
    let path = operation.split('?').next().unwrap().to_owned();
    let segments: Vec<&str> = path.trim_start_matches("GET /").split('/').collect();
    let numbered = |letter: &str, count: u32| (0..count).map(|number| format!("{letter}{number}")).collect::<Vec<_>>();
    match segments[..] {
        ["clusters"] => ok(&json!({ "clusters": numbered("c", 5) })),
        ["clusters", _, "node-groups"] => ok(&json!({ "nodegroups": numbered("g", 10) })),
        _ => account(parts),
    }
}

#[tokio::test]
async fn forty_clusters_fill_with_no_call_twice() {
    let world = World::of(Server::plain(big).await);
    profiles(&world, &["default"]);
    let regions =
        ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-south-1", "sa-east-1", "ca-west-1"];
    let desired = |all: &[News]| all.iter().filter(|news| matches!(news, News::Desired { answer: Ok(30), .. })).count();
    let all = hear(&world, survey(&regions), Watched::Everything, |all| desired(all) == 40).await;
    let names = all.iter().position(|news| matches!(news, News::Names { .. })).unwrap();
    let first = all.iter().position(|news| matches!(news, News::Described { .. })).unwrap();
    assert!(names < first, "names stand there before anything is described");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let of_eks = |parts: &&Parts| !operation(parts).starts_with("GetCallerIdentity");
    world.server.seen().iter().filter(of_eks).for_each(|parts| *counts.entry(region(parts)).or_default() += 1);
    // The list, the versions, five clusters, and for each of them its list of groups and ten groups.
    assert_eq!(counts.values().collect::<Vec<_>>(), vec![&62; 8], "{counts:?}");
}
