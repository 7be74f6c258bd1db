//! What pods and nodes use: metrics.k8s.io, polled while a view shows it. It cannot be watched, and a cluster may not
//! have it, may forbid it, or may have it broken; each is told apart.
//!
//! Format: `k8s.io/metrics/pkg/apis/metrics/v1beta1`, in protobuf (metrics-server) or JSON.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use jiff::Timestamp;

use super::{
    cluster::{Cluster, Disconnected, Preference, get},
    session::{Body, status_of},
    stream::escape,
    wire::{ListFrames, ListMeta},
};
use crate::{
    kinds::{
        DecodeError, Encoding, KindId, read,
        wire::{ObjectMeta, Quantity, Resource, Time, text, wire},
    },
    sources::Message,
    store::{
        usage::{Measurement, MetricsState, Reading},
        world::Amounts,
    },
    util::quantity,
};

const GROUP: &str = "metrics.k8s.io";
/// metrics-server measures every 15 s; more often than twice a minute nobody looks.
const EVERY: Duration = Duration::from_secs(30);
/// How often what is absent or forbidden is asked for again.
const SELDOM: Duration = Duration::from_mins(5);
/// How long an answer may stop.
const SILENCE: Duration = Duration::from_secs(15);
/// Objects of a page, where the server has pages.
const PAGE: usize = 1_000;
/// Measurements that go to the loop at once: each is a search in the table.
const PART: usize = 512;

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub kind: KindId,
    pub subject: Subject,
    /// The namespaces that are shown; `None` is the whole cluster.
    pub namespaces: Vec<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Pods,
    Nodes,
}

impl Ask {
    fn paths(&self) -> impl Iterator<Item = String> {
        let plural = match self.subject {
            Subject::Pods => "pods",
            Subject::Nodes => "nodes",
        };
        self.namespaces.iter().map(move |namespace| match namespace {
            Some(namespace) => format!("/apis/{GROUP}/v1beta1/namespaces/{namespace}/{plural}"),
            None => format!("/apis/{GROUP}/v1beta1/{plural}"),
        })
    }
}

wire! {
    pub struct PodMetrics {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub timestamp: Option<Time>,
        #[prost(message, repeated, tag = "4")] pub containers: Vec<ContainerMetrics>,
    }

    pub struct ContainerMetrics {
        #[prost(message, repeated, tag = "2")] pub usage: Vec<Resource>,
    }

    pub struct NodeMetrics {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub timestamp: Option<Time>,
        #[prost(message, repeated, tag = "4")] pub usage: Vec<Resource>,
    }
}

/// Polls until it is dropped or the loop is gone.
pub async fn run(cluster: Rc<Cluster>, ask: Ask) {
    let mut failing: Option<i64> = None;
    loop {
        let Ok(outcome) = poll(&cluster, &ask).await else { return };
        let now = Timestamp::now().as_second();
        let reading = match outcome {
            // Metrics of nothing at all are as of now.
            Ok(newest) => Reading::Done(MetricsState::Good { at: newest.unwrap_or(now) }),
            Err(MetricsState::Failing { why, .. }) => {
                Reading::Failed(MetricsState::Failing { since: failing.unwrap_or(now), why })
            }
            Err(state) => Reading::Failed(state),
        };
        let mut wait = EVERY;
        match &reading {
            Reading::Failed(MetricsState::Failing { since, .. }) => failing = Some(*since),
            Reading::Failed(_) => wait = SELDOM,
            _ => failing = None,
        }
        if cluster.tell(Message::Usage { kind: ask.kind, reading }).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// One poll: when the newest measurement was made, or what stood in the way.
async fn poll(cluster: &Cluster, ask: &Ask) -> Result<Result<Option<i64>, MetricsState>, Disconnected> {
    let mut newest = None;
    for path in ask.paths() {
        let mut token = String::new();
        loop {
            let mut page = Page { cluster, ask, part: Vec::new(), newest };
            let meta = match page.fetch(&path, &token).await? {
                Ok(meta) => meta,
                Err(state) => return Ok(Err(state)),
            };
            page.flush().await?;
            newest = page.newest;
            token = meta.r#continue;
            if token.is_empty() {
                break;
            }
        }
    }
    Ok(Ok(newest))
}

struct Page<'a> {
    cluster: &'a Cluster,
    ask: &'a Ask,
    part: Vec<Measurement>,
    newest: Option<i64>,
}

impl Page<'_> {
    async fn fetch(&mut self, path: &str, token: &str) -> Result<Result<ListMeta, MetricsState>, Disconnected> {
        let failing = |why: String| Ok(Err(MetricsState::Failing { since: 0, why }));
        let preference = self.cluster.preference(GROUP);
        let accept = match preference {
            Preference::Protobuf => "application/vnd.kubernetes.protobuf,application/json",
            Preference::Json => "application/json",
        };
        let from = if token.is_empty() { String::new() } else { format!("&continue={}", escape(token)) };
        let request = get(&format!("{path}?limit={PAGE}{from}"), accept, false);
        let response = match self.cluster.session.send(request).await {
            Ok(response) => response,
            Err(error) => return failing(error.to_string()),
        };
        match response.status() {
            code if code.is_success() => {}
            StatusCode::NOT_ACCEPTABLE if preference == Preference::Protobuf => {
                self.cluster.protobuf_refused(GROUP);
                return Box::pin(self.fetch(path, token)).await;
            }
            StatusCode::NOT_FOUND => return Ok(Err(MetricsState::Absent)),
            StatusCode::FORBIDDEN => return Ok(Err(MetricsState::Forbidden(status_of(response).await.message))),
            code => return failing(format!("{} ({code})", status_of(response).await.message)),
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let protobuf = kind.starts_with("application/vnd.kubernetes.protobuf");
        let encoding = if protobuf { Encoding::Protobuf } else { Encoding::Json };
        self.stream(response.into_body(), encoding).await
    }

    /// metrics-server knows no pages; its list is taken apart while it comes.
    async fn stream(
        &mut self,
        mut body: Body,
        encoding: Encoding,
    ) -> Result<Result<ListMeta, MetricsState>, Disconnected> {
        let failing = |why: String| Ok(Err(MetricsState::Failing { since: 0, why }));
        let mut frames = ListFrames::new(encoding);
        loop {
            let Ok(frame) = tokio::time::timeout(SILENCE, body.frame()).await else {
                return failing(format!("no bytes for {} s", SILENCE.as_secs()));
            };
            match frame {
                Some(Ok(frame)) => frames.push(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return failing(error.to_string()),
                None if frames.is_complete() => return Ok(Ok(frames.meta().clone())),
                None => return failing("the answer ends in the middle".to_owned()),
            }
            loop {
                match frames.next_item() {
                    Ok(Some(item)) => self.take(encoding, item).await?,
                    Ok(None) => break,
                    Err(error) => return failing(error.to_string()),
                }
            }
        }
    }

    async fn take(&mut self, encoding: Encoding, item: Bytes) -> Result<(), Disconnected> {
        match measurement(self.ask.subject, encoding, item) {
            Ok(Some(measurement)) => {
                self.newest = self.newest.max(Some(measurement.at));
                self.part.push(measurement);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("metrics: {error}"),
        }
        if self.part.len() < PART { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), Disconnected> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = Reading::Part(std::mem::take(&mut self.part));
        self.cluster.tell(Message::Usage { kind: self.ask.kind, reading: part }).await
    }
}

/// What one object uses; `None` where that is not said in full.
fn measurement(subject: Subject, encoding: Encoding, object: Bytes) -> Result<Option<Measurement>, DecodeError> {
    let (metadata, timestamp, used) = match subject {
        Subject::Pods => {
            let pod: PodMetrics = read(encoding, object)?;
            let used = sum(pod.containers.iter().map(|container| container.usage.as_slice()));
            (pod.metadata, pod.timestamp, used)
        }
        Subject::Nodes => {
            let node: NodeMetrics = read(encoding, object)?;
            let used = sum(std::iter::once(node.usage.as_slice()));
            (node.metadata, node.timestamp, used)
        }
    };
    let (Some(metadata), Some(at), Some(used)) = (metadata, timestamp.and_then(Time::unix), used) else {
        return Ok(None);
    };
    Ok(Some(Measurement {
        namespace: text(&metadata.namespace).into_owned(),
        name: text(&metadata.name).into_owned(),
        used,
        at,
    }))
}

/// The sum over containers, rounded once; a container that is not known makes the sum unknown.
fn sum<'a>(usages: impl Iterator<Item = &'a [Resource]>) -> Option<Amounts> {
    let mut total: Option<(f64, f64)> = None;
    for usage in usages {
        let amount = |name: &str| {
            let resource = usage.iter().find(|resource| resource.name == name)?;
            quantity::parse(&resource.quantity.as_ref().map(Quantity::as_str)?)
        };
        let (cpu, memory) = total.unwrap_or_default();
        total = Some((cpu + amount("cpu")?, memory + amount("memory")?));
    }
    total.map(|(cpu, memory)| Amounts { cpu: quantity::round_up(cpu * 1000.0), memory: quantity::round_up(memory) })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn json(subject: Subject, text: &str) -> Option<Measurement> {
        measurement(subject, Encoding::Json, Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    const POD: &str = r#"{"metadata":{"name":"p","namespace":"n"},"timestamp":"2026-01-31T12:00:00Z","window":"15s",
        "containers":[{"name":"a","usage":{"cpu":"100400n","memory":"1000Ki"}},
                      {"name":"b","usage":{"cpu":"1200u","memory":"1Mi"}}]}"#;

    #[test]
    fn a_pod_uses_what_its_containers_use_rounded_once() {
        let measured = json(Subject::Pods, POD).unwrap();
        assert_eq!((&*measured.namespace, &*measured.name, measured.at), ("n", "p", 1_769_860_800));
        assert_eq!(measured.used, Amounts { cpu: 2, memory: 2024 << 10 });
    }

    #[test]
    fn protobuf_says_the_same() {
        let pod: PodMetrics = read(Encoding::Json, Bytes::from_static(POD.as_bytes())).unwrap();
        let encoded = Bytes::from(pod.encode_to_vec());
        assert_eq!(measurement(Subject::Pods, Encoding::Protobuf, encoded).unwrap(), json(Subject::Pods, POD));
    }

    #[test]
    fn a_node_uses_what_it_says() {
        let node =
            r#"{"metadata":{"name":"x"},"timestamp":"2026-01-31T12:00:00Z","usage":{"cpu":"1500m","memory":"3Gi"}}"#;
        assert_eq!(json(Subject::Nodes, node).unwrap().used, Amounts { cpu: 1500, memory: 3 << 30 });
    }

    #[test]
    fn what_is_not_measured_in_full_is_unknown_and_not_zero() {
        let at = r#""timestamp":"2026-01-31T12:00:00Z""#;
        for rest in [
            format!(r#"{at},"containers":[]"#),
            at.to_owned(),
            format!(r#"{at},"containers":[{{"usage":{{"cpu":"1m"}}}}]"#),
            format!(r#"{at},"containers":[{{"usage":{{"cpu":"1m","memory":"1Mi"}}}},{{"usage":{{}}}}]"#),
            format!(r#"{at},"containers":[{{"usage":{{"cpu":"much","memory":"1Mi"}}}}]"#),
            r#""containers":[{"usage":{"cpu":"1m","memory":"1Mi"}}]"#.to_owned(),
        ] {
            assert_eq!(json(Subject::Pods, &format!(r#"{{"metadata":{{"name":"p"}},{rest}}}"#)), None, "{rest}");
        }
    }

    #[test]
    fn namespaces_are_asked_one_by_one() {
        let ask = |subject, namespaces| Ask { kind: KindId::new(0), subject, namespaces };
        let root = "/apis/metrics.k8s.io/v1beta1";
        assert_eq!(ask(Subject::Nodes, vec![None]).paths().collect::<Vec<_>>(), [format!("{root}/nodes")]);
        let some = ask(Subject::Pods, vec![Some("a".into()), Some("b".into())]);
        assert_eq!(
            some.paths().collect::<Vec<_>>(),
            [format!("{root}/namespaces/a/pods"), format!("{root}/namespaces/b/pods")]
        );
    }
}
