//! What cluster-autoscaler says of itself: the ConfigMap that it writes every few seconds, in three formats (releases up to
//! 1.29 write text, later ones YAML of two libraries; `clusterstate/api/types.go`). EKS tags all its groups for it whether
//! one runs or not: only this tells. Where there is none nothing is known, since it may be told to write elsewhere.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use tokio::time::timeout;

use super::now;
use crate::{
    kinds::nodegroup::Autoscaler,
    sources::kube::{cluster::Cluster, fetch},
};

const PATH: &str = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status";
/// After how many seconds it is read again.
const AGAIN: i64 = 30;
/// What AWS says does not wait longer for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// One that has written nothing for so many seconds does not run; its loop takes ten.
const SILENT: i64 = 300;

/// Its status as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// When it was written, Unix seconds.
    pub at: i64,
    /// The groups that it manages by their names, and why it holds off growing them where it does.
    pub groups: BTreeMap<String, Option<String>>,
}

/// The status that was found last.
#[derive(Default)]
pub struct Found {
    asked: i64,
    pub status: Option<Arc<Status>>,
}

impl Found {
    /// Looks for it where that is due. Who may not, or finds none, knows nothing; a silent server leaves what was known.
    pub async fn look(&mut self, cluster: &Cluster) {
        if now() - self.asked < AGAIN {
            return;
        }
        self.asked = now();
        let Ok(map) = timeout(PATIENCE, fetch::json::<ConfigMap>(cluster, PATH)).await else { return };
        self.status = map.ok().and_then(|map| read(&map.data.status)).map(Arc::new);
    }
}

impl Status {
    /// What it says of a group at an instant; none where it says nothing, or has not written for too long.
    pub fn of(&self, group: &str, now: i64) -> Option<Autoscaler> {
        let backoff = self.groups.get(group).filter(|_| now - self.at < SILENT)?;
        Some(Autoscaler::Runs { backoff: backoff.clone() })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfigMap {
    data: Data,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Yaml {
    time: String,
    node_groups: Vec<Group>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Group {
    name: String,
    scale_up: ScaleUp,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ScaleUp {
    /// `NoActivity`, `InProgress`, `Backoff`.
    status: String,
    backoff_info: Backoff,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Backoff {
    error_code: String,
    error_message: String,
}

fn read(text: &str) -> Option<Status> {
    match text.strip_prefix("Cluster-autoscaler status at ") {
        Some(rest) => read_text(rest),
        None => read_yaml(text),
    }
}

fn read_yaml(text: &str) -> Option<Status> {
    let yaml: Yaml = serde_saphyr::from_str(text).ok()?;
    let groups = yaml.node_groups.into_iter().map(|group| {
        let ScaleUp { status, backoff_info: Backoff { error_code, error_message } } = group.scale_up;
        if status != "Backoff" {
            return (group.name, None);
        }
        let words: Vec<String> = [error_code, error_message].into_iter().filter(|it| !it.is_empty()).collect();
        (group.name, Some(words.join(": ")))
    });
    Some(Status { at: instant(&yaml.time)?, groups: groups.collect() })
}

/// The text of releases up to 1.29: the groups' names come after `NodeGroups:`, a word and a colon before each.
fn read_text(text: &str) -> Option<Status> {
    let (time, rest) = text.split_once('\n')?;
    let groups = rest.split_once("NodeGroups:").map_or("", |(_, groups)| groups).lines();
    let names = groups.filter_map(|line| line.trim().strip_prefix("Name:")).map(|name| (name.trim().to_owned(), None));
    Some(Status { at: instant(time.trim_end_matches(':'))?, groups: names.collect() })
}

/// `2026-11-21 10:13:05.292981748 +0000 UTC`, as Go prints times of UTC; later clocks of Go follow.
fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_second());
    }
    let time: DateTime = text.get(..19)?.parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: Autoscaler = Autoscaler::Runs { backoff: None };

    #[test]
    fn yaml_of_a_release_that_runs() {
        let status = read(include_str!("../../../../tests/fixtures/cluster-autoscaler-status-1.36.yaml")).unwrap();
        assert_eq!(status.at, "2026-11-21T10:18:26Z".parse::<Timestamp>().unwrap().as_second());
        assert_eq!(status.of("eks-general-7ac1f2d0", status.at), Some(RUNS));
        let Some(Autoscaler::Runs { backoff: Some(why) }) = status.of("eks-spot-91be03aa", status.at) else {
            panic!("{status:?}")
        };
        assert!(why.starts_with("timeout: Scale-up timed out for node group"), "{why}");
        assert_eq!(status.of("another", status.at), None, "that it does not name is not its own");
        assert_eq!(status.of("eks-general-7ac1f2d0", status.at + 3_600), None, "it has not written for an hour");
    }

    #[test]
    fn text_of_releases_before() {
        let text = "Cluster-autoscaler status at 2023-11-05 09:10:11.123456789 +0000 UTC m=+12.5:\nCluster-wide:\n  \
                    Health:      Healthy (ready=6 unready=0)\n\nNodeGroups:\n  Name:        workers-1\n  Health:      Healthy \
                    (ready=3 cloudProviderTarget=3 (minSize=3, maxSize=12))\n\n  Name:        workers-2\n";
        let status = read(text).unwrap();
        assert_eq!(status.at, "2023-11-05T09:10:11Z".parse::<Timestamp>().unwrap().as_second());
        assert_eq!(status.groups.keys().collect::<Vec<_>>(), ["workers-1", "workers-2"]);
    }

    #[test]
    fn what_is_no_status_says_nothing() {
        for text in ["", "Initializing", "time: never\nnodeGroups: []", "[", "Cluster-autoscaler status at noon:\n"] {
            assert_eq!(read(text), None, "{text}");
        }
        let first = "time: 2026-11-21T10:13:05.292981748Z\nautoscalerStatus: Initializing\n";
        assert_eq!(read(first).map(|status| status.groups.len()), Some(0), "it has yet to look");
    }
}
