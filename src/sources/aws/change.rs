//! Sends a change of a node group's size: once, however often the way there fails. A session that only reads refuses it
//! here, whoever asked for it. What it means was worked out before (`ops::scale`).

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
    sources::kube::{cluster::Cluster, session::status_of, stream::escape},
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

/// Sends it. `token` is one for each confirmed wish, and the same for every attempt: what arrived twice happens once.
pub async fn send(cluster: &Cluster, change: &Change, token: &str) -> Result<(), Problem> {
    if let Change::NodePool { name, replicas } = change {
        return replicas_of(cluster, name, *replicas).await;
    }
    match cluster.session.eks() {
        Some(Ok(eks)) => to_aws(&eks.session, change, token).await.map_err(|error| error.problem()),
        Some(Err(problem)) => Err(problem.clone()),
        None => Err(Problem::new("there is no AWS session for this cluster")),
    }
}

/// Sends it until there is an answer, which may be a refusal.
pub async fn to_aws(session: &AwsSession, change: &Change, token: &str) -> Result<(), AwsError> {
    let mut attempt = 1;
    loop {
        match once(session, change, token).await {
            Err(error) if attempt < ATTEMPTS && passes(&error) => {
                tracing::info!(%error, attempt, "the change is sent again");
                tokio::time::sleep(error.retry_after.unwrap_or(PAUSE * attempt)).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
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
async fn replicas_of(cluster: &Cluster, name: &str, replicas: u32) -> Result<(), Problem> {
    let failed = || Problem::new(format!("the pool {name} was not scaled"));
    let body = json!({ "spec": { "replicas": replicas } }).to_string();
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = Method::PATCH;
    let path = format!("/apis/karpenter.sh/v1/nodepools/{}", escape(name));
    *request.uri_mut() = path.parse().map_err(|error| failed().because(error))?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/merge-patch+json"));
    let response = cluster.session.send(request).await.map_err(|error| error.problem(&cluster.session))?;
    if response.status().is_success() {
        return Ok(());
    }
    let code = response.status();
    Err(failed().because(format!("{} ({code})", status_of(response).await.message)))
}
