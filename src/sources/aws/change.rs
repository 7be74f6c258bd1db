//! Sends a change of a node group's size: once, however often the way there fails. Sizes are absolute and EKS is given a
//! token, so what arrives twice happens once. A session that only reads refuses it here, whoever asked for it. What it
//! means was worked out before (`ops::scale`).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::json;

use super::{
    AwsSession, autoscaling,
    eks::{self, Scaling},
    error::{AwsError, ErrorKind},
};
use crate::{
    problem::Problem,
    sources::kube::{
        cluster::Cluster,
        session::{SendError, status_of},
        stream::escape,
    },
};

/// How often a request whose answer was lost is sent, and the pause before it is sent again.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A managed group; sizes that are `None` stay.
    Nodegroup { cluster: String, name: String, scaling: Scaling },
    /// A group of one's own.
    AutoScalingGroup { name: String, scaling: Scaling },
    /// A static pool of Karpenter.
    NodePool { name: String, replicas: u32 },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Accepted,
    Refused(Problem),
    /// The answer was lost: it may have been accepted.
    Unknown(Problem),
}

/// Why it was not accepted, as far as that is known.
#[derive(Debug)]
pub struct Failed {
    pub error: AwsError,
    /// Whether an attempt may have arrived all the same.
    pub lost: bool,
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        let problem = failed.error.problem();
        if failed.lost { Self::Unknown(problem) } else { Self::Refused(problem) }
    }
}

/// Sends it. `token` is one for each confirmed wish, and the same for every attempt: what arrived twice happens once.
pub async fn send(cluster: &Cluster, change: &Change, token: &str) -> Outcome {
    if let Change::NodePool { name, replicas } = change {
        return replicas_of(cluster, name, *replicas).await;
    }
    match cluster.session.eks() {
        Some(Ok(eks)) => to_aws(&eks.session, change, token).await.map_or_else(Outcome::from, |()| Outcome::Accepted),
        Some(Err(problem)) => Outcome::Refused(problem.clone()),
        None => Outcome::Refused(Problem::new("there is no AWS session for this cluster")),
    }
}

/// Sends it until there is an answer, which may be a refusal.
pub async fn to_aws(session: &AwsSession, change: &Change, token: &str) -> Result<(), Failed> {
    let mut attempt = 1;
    let mut lost = false;
    loop {
        let Err(error) = once(session, change, token).await else { return Ok(()) };
        // What is in the way may be the very change whose answer was lost.
        if lost && error.kind == ErrorKind::Conflict && is_under_way(session, change).await {
            return Ok(());
        }
        lost |= matches!(error.kind, ErrorKind::Network(_) | ErrorKind::Server | ErrorKind::Unreadable);
        if attempt == ATTEMPTS || !passes(&error) {
            return Err(Failed { error, lost });
        }
        tracing::info!(%error, attempt, "the change is sent again");
        tokio::time::sleep(error.retry_after.unwrap_or(PAUSE * attempt)).await;
        attempt += 1;
    }
}

/// Whether EKS is carrying out what was asked for: its newest update of the group says so, or the group itself.
async fn is_under_way(session: &AwsSession, change: &Change) -> bool {
    let Change::Nodegroup { cluster, name, scaling } = change else { return false };
    let Some(desired) = scaling.desired else { return false };
    if let Ok(ids) = eks::list_updates(session, cluster, Some(name)).await
        && let Some(newest) = ids.first()
        && let Ok(update) = eks::describe_update(session, cluster, Some(name), newest).await
        && update.status == "InProgress"
    {
        let asks = |param: &eks::UpdateParam| param.kind == "DesiredSize" && param.value == desired.to_string();
        return update.params.iter().any(asks);
    }
    let group = eks::describe_nodegroup(session, cluster, name).await;
    group.is_ok_and(|group| group.scaling_config.desired == Some(desired))
}

async fn once(session: &AwsSession, change: &Change, token: &str) -> Result<(), AwsError> {
    match change {
        Change::Nodegroup { cluster, name, scaling } => {
            eks::update_nodegroup_config(session, cluster, name, *scaling, token).await.map(drop)
        }
        Change::AutoScalingGroup { name, scaling: Scaling { min: None, max: None, desired: Some(desired) } } => {
            autoscaling::set_desired_capacity(session, name, *desired).await
        }
        Change::AutoScalingGroup { name, scaling } => {
            autoscaling::update_auto_scaling_group(session, name, scaling.min, scaling.max, scaling.desired).await
        }
        // Not of AWS: sent before.
        Change::NodePool { .. } => Ok(()),
    }
}

/// Whether it may have been the way and not the request.
fn passes(error: &AwsError) -> bool {
    matches!(error.kind, ErrorKind::Network(_) | ErrorKind::Server | ErrorKind::Throttled)
}

/// Karpenter's static pools have a size of their own (`spec.replicas`).
async fn replicas_of(cluster: &Cluster, name: &str, replicas: u32) -> Outcome {
    let failed = || Problem::new(format!("the pool {name} was not scaled"));
    let body = json!({ "spec": { "replicas": replicas } }).to_string();
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = Method::PATCH;
    let path = format!("/apis/karpenter.sh/v1/nodepools/{}", escape(name));
    match path.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(error) => return Outcome::Refused(failed().because(error)),
    }
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/merge-patch+json"));
    match cluster.session.send(request).await {
        Ok(response) if response.status().is_success() => Outcome::Accepted,
        Ok(response) => {
            let code = response.status();
            Outcome::Refused(failed().because(format!("{} ({code})", status_of(response).await.message)))
        }
        Err(error @ (SendError::NoAnswer(_) | SendError::Stalled(_))) => {
            Outcome::Unknown(error.problem(&cluster.session))
        }
        Err(error) => Outcome::Refused(error.problem(&cluster.session)),
    }
}
