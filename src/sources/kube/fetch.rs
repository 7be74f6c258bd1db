//! One-off requests: the object behind a row, which namespaces a user may see.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    cluster::{Cluster, get},
    session::{collect, status_of},
};
use crate::problem::Problem;

const SILENCE: Duration = Duration::from_secs(15);
const LARGEST_BODY: usize = 64 << 20;
/// Access reviews that are asked for at once.
const REVIEWS: usize = 8;
/// Namespaces that are watched one by one at most.
const MOST_NAMESPACES: usize = 50;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// One object as JSON.
    Object { path: String },
    /// What server it is, and who the user is to it.
    Introduction,
    /// The namespaces in which this user may list and watch a kind, when the whole cluster is denied. `known` are
    /// those that the configuration names.
    Namespaces { group: String, resource: String, known: Vec<String> },
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Object(Result<serde_json::Value, Problem>),
    Introduction {
        version: Result<String, Problem>,
        /// The name that it knows the user by; none where it would not say (servers before 1.28 do not).
        user: Option<String>,
        /// How far the server's clock is ahead, in seconds.
        clock_ahead: Option<i64>,
    },
    /// Namespaces in which the kind may be watched; empty where there is none.
    Namespaces(Vec<String>),
}

/// Runs a request to its end.
pub async fn run(cluster: &Cluster, request: Request) -> Answer {
    match request {
        Request::Object { path } => Answer::Object(object(cluster, &path).await),
        Request::Introduction => {
            let (version, user) = tokio::join!(version(cluster), user(cluster));
            Answer::Introduction { version, user, clock_ahead: cluster.session.clock_ahead() }
        }
        Request::Namespaces { group, resource, known } => {
            Answer::Namespaces(namespaces(cluster, &group, &resource, known).await)
        }
    }
}

/// The body of a GET as JSON text.
pub async fn body(cluster: &Cluster, path: &str, accept: &str) -> Result<Bytes, Problem> {
    let session = &cluster.session;
    let problem = |error: super::session::SendError| error.problem(session);
    let response = session.send(get(path, accept, false)).await.map_err(problem)?;
    if !response.status().is_success() {
        let code = response.status();
        let status = status_of(response).await;
        return Err(Problem::new(format!("cannot get {path}")).because(format!("{} ({code})", status.message)));
    }
    collect(response.into_body(), SILENCE, LARGEST_BODY).await.map_err(problem)
}

pub async fn json<T: for<'de> Deserialize<'de>>(cluster: &Cluster, path: &str) -> Result<T, Problem> {
    let body = body(cluster, path, "application/json").await?;
    serde_json::from_slice(&body).map_err(|error| Problem::new(format!("cannot read {path}")).because(error))
}

async fn object(cluster: &Cluster, path: &str) -> Result<serde_json::Value, Problem> {
    json(cluster, path).await
}

async fn version(cluster: &Cluster) -> Result<String, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    json::<Version>(cluster, "/version").await.map(|version| version.git_version)
}

async fn user(cluster: &Cluster) -> Option<String> {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Status {
        user_info: User,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct User {
        username: String,
    }
    let review = serde_json::json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let status: Status = review_of(cluster, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await?;
    Some(status.user_info.username).filter(|name| !name.is_empty())
}

/// Has the server say something about this user: the status of a review; none where it does not.
async fn review_of<T: DeserializeOwned + Default>(
    cluster: &Cluster,
    path: &str,
    review: &serde_json::Value,
) -> Option<T> {
    #[derive(Deserialize)]
    struct Review<T> {
        status: T,
    }
    let mut request = get(path, "application/json", false);
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *request.body_mut() = Bytes::from(review.to_string());
    let response = cluster.session.send(request).await.ok().filter(|response| response.status().is_success())?;
    let body = collect(response.into_body(), SILENCE, 1 << 20).await.ok()?;
    serde_json::from_slice::<Review<T>>(&body).ok().map(|review| review.status)
}

async fn namespaces(cluster: &Cluster, group: &str, resource: &str, known: Vec<String>) -> Vec<String> {
    #[derive(Deserialize, Default)]
    struct Meta {
        name: String,
    }
    #[derive(Deserialize)]
    struct Item {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    struct List {
        items: Vec<Item>,
    }
    let mut names = match json::<List>(cluster, "/api/v1/namespaces?limit=500").await {
        Ok(list) => list.items.into_iter().map(|item| item.metadata.name).collect(),
        // Not allowed to know: those that the configuration names are all there is to try.
        Err(_) => known,
    };
    names.sort_unstable();
    names.dedup();
    let mut allowed = Vec::new();
    for chunk in names.chunks(REVIEWS) {
        let reviews = chunk.iter().map(|name| may_watch(cluster, group, resource, name));
        let answers = futures_util::future::join_all(reviews).await;
        allowed.extend(chunk.iter().zip(answers).filter(|(_, allowed)| *allowed).map(|(name, _)| name.clone()));
        if allowed.len() >= MOST_NAMESPACES {
            break;
        }
    }
    allowed.truncate(MOST_NAMESPACES);
    allowed
}

/// Asks the server whether this user may list and watch a kind in a namespace. An error is no denial: the stream itself
/// will say.
async fn may_watch(cluster: &Cluster, group: &str, resource: &str, namespace: &str) -> bool {
    #[derive(Deserialize, Default)]
    struct Status {
        #[serde(default)]
        allowed: bool,
    }
    let review = serde_json::json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": {
            "group": group, "resource": resource, "namespace": namespace, "verb": "list",
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    review_of::<Status>(cluster, path, &review).await.is_none_or(|status| status.allowed)
}
