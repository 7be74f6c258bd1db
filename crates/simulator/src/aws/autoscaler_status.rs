//! What the cluster autoscaler says of itself: the ConfigMap `cluster-autoscaler-status`, in the format of release 1.35 and
//! later (`clusterstate/api/types.go`: YAML, keys in their order, `null` for a time that never was).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::cloud::Cloud;
use super::cluster_autoscaler::is_failing;
use crate::catalog::{CONFIG_MAPS, NODES};
use crate::cluster::node::NodeState;
use crate::cluster::objects::metadata;
use crate::encoding::template::rfc3339;
use crate::object::Body;
use crate::world::World;

const KEY: &str = "kube-system/cluster-autoscaler-status";

/// Nodes as the autoscaler counts them.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    ready: usize,
    unready: usize,
    /// Instances that are no nodes yet.
    unregistered: usize,
}

/// What was said of a group or of all last, and since when.
#[derive(Debug, Default)]
pub struct Transitions(BTreeMap<String, (String, String)>);

impl Transitions {
    fn since(&mut self, what: String, status: &str, now: &str) -> String {
        let known = self.0.entry(what).or_insert_with(|| (status.to_owned(), now.to_owned()));
        if known.0 != status {
            *known = (status.to_owned(), now.to_owned());
        }
        known.1.clone()
    }
}

/// A group as one round found it.
struct Group {
    name: String,
    counts: Counts,
    target: u32,
    sizes: (u32, u32),
    failing: bool,
}

impl Group {
    fn grows(&self) -> &'static str {
        if self.failing {
            "Backoff"
        } else if self.target as usize > self.counts.ready + self.counts.unready {
            "InProgress"
        } else {
            "NoActivity"
        }
    }
}

/// Writes what a round found; `groups` are those that it manages, `empty` says whether nodes are unneeded.
pub fn write(world: &mut World, groups: &[usize], empty: bool) {
    let found: Vec<_> = groups.iter().map(|at| look(world, *at)).collect();
    let now = rfc3339(world.now());
    let text = status(&found, &now, empty, &mut world.cloud.transitions);
    let mut value = match world.get(CONFIG_MAPS, KEY) {
        Some(object) => object.value(),
        None => {
            let (size, created) = (world.cluster.size, world.now());
            json!({ "metadata": metadata(size, "kube-system", "cluster-autoscaler-status", created, "ConfigMap") })
        }
    };
    let time = written(&now);
    value["metadata"]["annotations"] = json!({ "cluster-autoscaler.kubernetes.io/last-updated": time });
    value["data"] = json!({ "status": text });
    world.put_value(CONFIG_MAPS, value);
}

/// As Go prints a time.
fn written(now: &str) -> String {
    now.replace('T', " ").replace('Z', " +0000 UTC")
}

fn look(world: &World, at: usize) -> Group {
    let cloud: &Cloud = &world.cloud;
    let group = &cloud.groups[at];
    let mut counts = Counts::default();
    for instance in cloud.members(at).filter(|instance| instance.counts()) {
        let node = instance.node.as_ref().and_then(|name| world.get(NODES, name));
        match node.as_ref().map(|object| &object.body) {
            Some(Body::Node(node)) if node.look.state == NodeState::Ready => counts.ready += 1,
            Some(_) => counts.unready += 1,
            None => counts.unregistered += 1,
        }
    }
    let sizes = (group.min, group.max);
    Group { name: group.asg.clone(), counts, target: group.desired, sizes, failing: is_failing(group) }
}

fn status(groups: &[Group], now: &str, empty: bool, transitions: &mut Transitions) -> String {
    let mut out = String::from("autoscalerStatus: Running\nclusterWide:\n");
    let all = groups.iter().fold(Counts::default(), |sum, group| Counts {
        ready: sum.ready + group.counts.ready,
        unready: sum.unready + group.counts.unready,
        unregistered: sum.unregistered + group.counts.unregistered,
    });
    let candidates = if empty { "CandidatesPresent" } else { "NoCandidates" };
    let growing = if groups.iter().any(|group| group.grows() == "InProgress") { "InProgress" } else { "NoActivity" };
    let mut times = |name: &str, what: &str, status: &str| {
        let since = transitions.since(format!("{name}/{what}"), status, now);
        format!("lastProbeTime: \"{now}\"\n    lastTransitionTime: \"{since}\"")
    };
    health(&mut out, "  health:", all, None, &times("", "health", "Healthy"));
    activity(&mut out, "scaleDown", candidates, None, &times("", "scaleDown", candidates));
    activity(&mut out, "scaleUp", growing, None, &times("", "scaleUp", growing));
    out.push_str("nodeGroups:\n");
    for group in groups {
        let (name, grows) = (&group.name, group.grows());
        health(&mut out, "- health:", group.counts, Some(group), &times(name, "health", "Healthy"));
        let _ = writeln!(out, "  name: {name}");
        activity(&mut out, "scaleDown", "NoCandidates", None, &times(name, "scaleDown", "NoCandidates"));
        activity(&mut out, "scaleUp", grows, Some(group.failing), &times(name, "scaleUp", grows));
    }
    let _ = writeln!(out, "time: {}", written(now));
    out
}

fn health(out: &mut String, title: &str, counts: Counts, group: Option<&Group>, times: &str) {
    let Counts { ready, unready, unregistered } = counts;
    let total = ready + unready;
    let _ = writeln!(out, "{title}");
    if let Some(group) = group {
        let _ = writeln!(out, "    cloudProviderTarget: {}", group.target);
    }
    let _ = writeln!(out, "    {times}");
    if let Some(group) = group {
        let _ = writeln!(out, "    maxSize: {}\n    minSize: {}", group.sizes.1, group.sizes.0);
    }
    let _ = writeln!(
        out,
        "    nodeCounts:\n      longUnregistered: 0\n      registered:\n        notStarted: 0\n        ready: {ready}\n        \
         suspended: 0\n        total: {total}\n        unready:\n          resourceUnready: 0\n          total: {unready}\n      \
         unregistered: {unregistered}\n    status: Healthy"
    );
}

/// What is going on in one direction; groups have what they hold off for.
fn activity(out: &mut String, direction: &str, status: &str, failing: Option<bool>, times: &str) {
    let backoff = match failing {
        Some(true) => {
            "    backoffInfo:\n      errorCode: placeholder-cannot-be-fulfilled\n      errorMessage: AWS cannot provision any \
             more instances for this node group\n"
        }
        Some(false) => "    backoffInfo: {}\n",
        None => "",
    };
    let _ = writeln!(out, "  {direction}:\n{backoff}    {times}\n    status: {status}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_lines_of_a_real_one() {
        let group = |name: &str, ready, target, failing| Group {
            name: name.to_owned(),
            counts: Counts { ready, ..Counts::default() },
            target,
            sizes: (1, 6),
            failing,
        };
        let groups = [group("eks-general-7ac1f2d0", 1, 1, false), group("eks-spot-91be03aa", 0, 2, true)];
        let mut transitions = Transitions::default();
        let text = status(&groups, "2026-11-21T10:18:26Z", false, &mut transitions);
        let real = include_str!("../../../../tests/fixtures/cluster-autoscaler-status-1.36.yaml");
        // Of each line what does not tell a number, a time or a state.
        let shape = |text: &str| -> Vec<String> {
            let lines =
                text.lines().map(|line| line.split(": ").next().unwrap_or(line).trim_end_matches(':').to_owned());
            lines.collect()
        };
        assert_eq!(shape(&text), shape(real), "{text}");
        assert!(
            text.contains("    status: Backoff\n") && text.ends_with("time: 2026-11-21 10:18:26 +0000 UTC\n"),
            "{text}"
        );
        let later = status(&groups, "2026-11-21T10:18:36Z", true, &mut transitions);
        assert_eq!(later.matches("lastTransitionTime: \"2026-11-21T10:18:36Z\"").count(), 1, "{later}");
    }
}
