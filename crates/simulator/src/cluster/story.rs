//! Stories: what goes on in the demo's cluster, line by line, and what a visitor may try.
//!
//! A story is data and a few lines; what the lines do stands where it is done.

use std::sync::Arc;

use super::incident;
use super::life::Due;
use super::lifecycle;
use super::node::NodeState;
use super::pod::Fate;
use crate::aws::{cloud, scaling};
use crate::catalog::{DEPLOYMENTS, NODES};
use crate::clock::Moment;
use crate::faults::{AwsOperation, Faults, Grant};
use crate::object::{Body, key};
use crate::world::World;

/// A named beginning, and what follows from it.
#[derive(Debug)]
pub struct Story {
    pub name: &'static str,
    /// One line for the list.
    pub about: &'static str,
    /// What to try, a line each; `{table.enter}` stands for the key of a command.
    pub tries: &'static [&'static str],
    /// The size that it needs, in nodes and pods; `None`: what the command line says.
    pub size: Option<(u32, u32)>,
    /// Clusters in the account besides this one.
    others: usize,
    lines: &'static [(Moment, Line)],
}

/// What a story has happen.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// The next release of this deployment is a bad one.
    BadRelease(&'static str, &'static str, Fate),
    /// A node of this group falls silent, and comes back.
    NodeSilent(usize),
    NodeBack,
    /// The connections of all clients break.
    Drop,
    Slow(u64),
    /// The token is no longer good for so many requests.
    Expire(u32),
    /// The user may read these namespaces and nothing else.
    Restrict(&'static [&'static str]),
    /// EC2 has no instances for this node group, or has some again.
    NoCapacity(&'static str, bool),
    /// EC2 takes an instance of this spot group back.
    Interrupt(&'static str),
    /// EC2 has nothing of these types for Karpenter.
    Exhausted(&'static [&'static str]),
    /// So many pods that only a node pool takes.
    Burst(u32),
    /// The user may do nothing in this region.
    DenyRegion(&'static str),
    /// Nobody answers in this region.
    SilentRegion(&'static str),
}

const fn at(seconds: i64) -> Moment {
    incident::seconds(seconds)
}

/// All stories; the first is told where none is named.
pub static STORIES: [Story; 12] = [
    Story {
        name: "calm-day",
        about: "an ordinary day: releases, autoscaling, a cron job, a few restarts",
        tries: &[
            "{table.faults} shows what is not well",
            ":deployments, then {table.enter} on one shows its pods",
            "{table.yaml} shows what stands behind a row",
        ],
        size: None,
        others: 0,
        lines: &[],
    },
    Story {
        name: "deployment-gone-wrong",
        about: "a release of payments/api crashes, one of checkout/web has no image",
        tries: &[
            "open deployments: payments/api does not get on, and keeps its old pods alive",
            "{table.enter} on it shows the pod that restarts; :events says why",
            "kubectl rollout undo deployment/api -n payments mends it",
        ],
        size: None,
        others: 0,
        lines: &[
            (at(8), Line::BadRelease("payments", "api", Fate::Crash(3))),
            (at(20), Line::BadRelease("checkout", "web", Fate::NoImage)),
            (at(45), Line::BadRelease("search", "query", Fate::NeverReady)),
        ],
    },
    Story {
        name: "node-not-ready",
        about: "a node falls silent; five minutes later its pods move; later it comes back",
        tries: &[
            "open nodes: one turns NotReady after a few seconds",
            "its pods are not ready at once, and are replaced after five minutes (try --speed 20)",
            "stateful pods wait for their node: they must not run twice",
        ],
        size: None,
        others: 0,
        lines: &[(at(10), Line::NodeSilent(0)), (at(780), Line::NodeBack)],
    },
    Story {
        name: "flaky-network",
        about: "connections break every half minute, and answers are slow in between",
        tries: &["watch the stream's state in the header: the table stays, and says how old it is"],
        size: None,
        others: 0,
        lines: &[
            (at(12), Line::Drop),
            (at(30), Line::Slow(400)),
            (at(42), Line::Drop),
            (at(70), Line::Slow(0)),
            (at(72), Line::Drop),
            (at(100), Line::Slow(1500)),
            (at(104), Line::Drop),
            (at(140), Line::Slow(0)),
        ],
    },
    Story {
        name: "expired-credentials",
        about: "after half a minute the token is refused for a while, as when a session ends",
        tries: &["what was loaded stays on the screen; the header says that the login has expired"],
        size: None,
        others: 0,
        lines: &[(at(30), Line::Expire(40)), (at(31), Line::Drop), (at(180), Line::Expire(0))],
    },
    Story {
        name: "restricted-user",
        about: "a user who may read two namespaces and nothing of the cluster",
        tries: &[
            "open pods: only payments and checkout can be read",
            "open nodes or secrets: the screen says which right is missing",
        ],
        size: None,
        others: 0,
        lines: &[(0, Line::Restrict(&["payments", "checkout"]))],
    },
    Story {
        name: "scale-by-hand",
        about: "node groups of every make, to be scaled by key until their nodes are ready",
        tries: &[
            ":ng, choose general-od, {nodegroups.more} twice, {table.enter} and y: two nodes come and get ready",
            "the row says how far it is: EKS, Auto Scaling group, instances, nodes, ready ones",
            "while EKS is at it, a second change is refused",
        ],
        size: None,
        others: 0,
        lines: &[],
    },
    Story {
        name: "capacity-failure",
        about: "EC2 has no spot instances for general-spot; after ten minutes it has some again",
        tries: &[
            ":ng, then {nodegroups.more} on general-spot: the group gets no instance, and its row says why",
            "it stays DEGRADED until instances come, even when none is wanted any more",
        ],
        size: None,
        others: 0,
        lines: &[(0, Line::NoCapacity("general-spot", true)), (at(600), Line::NoCapacity("general-spot", false))],
    },
    Story {
        name: "spot-interruption",
        about: "EC2 takes spot instances back, one after the other",
        tries: &[
            ":ng: general-spot loses instances and gets others in their place",
            ":nodes: a node is cordoned, emptied, silent and gone; its pods go elsewhere",
        ],
        size: None,
        others: 0,
        lines: &[
            (at(10), Line::Interrupt("general-spot")),
            (at(40), Line::Interrupt("general-spot")),
            (at(150), Line::Interrupt("general-spot")),
        ],
    },
    Story {
        name: "karpenter",
        about: "a burst of pods grows a node pool, which shrinks again; later EC2 has no nodes for it for a while",
        tries: &[
            ":nodeclaims: they launch, register and get ready, and go once their nodes are empty",
            ":ng, then {table.enter} on inflate shows its nodes",
            "{table.filter}inflate in :events says why its pods wait",
        ],
        size: None,
        others: 0,
        lines: &[
            (at(5), Line::Burst(8)),
            (at(200), Line::Burst(0)),
            (at(480), Line::Exhausted(&["c7g.2xlarge", "m7g.xlarge"])),
            (at(490), Line::Burst(4)),
            (at(620), Line::Exhausted(&[])),
            (at(1_000), Line::Burst(0)),
        ],
    },
    Story {
        name: "fleet",
        about: "40 more clusters of 10 node groups in 8 regions; one region is denied, one does not answer",
        tries: &[
            ":clusters: regions fill as they answer",
            "us-east-2 says what is missing; ap-southeast-2 hangs and holds up nobody",
        ],
        size: None,
        others: 40,
        lines: &[(0, Line::DenyRegion("us-east-2")), (0, Line::SilentRegion("ap-southeast-2"))],
    },
    Story {
        name: "100000-pods",
        about: "five thousand nodes and a hundred thousand pods",
        tries: &["filter with {table.filter} and sort by any column: nothing waits"],
        size: Some((5_000, 100_000)),
        others: 0,
        lines: &[],
    },
];

impl Story {
    pub fn find(name: &str) -> Option<&'static Self> {
        STORIES.iter().find(|story| story.name == name)
    }

    /// When its last line has come, in seconds of the world's time.
    pub fn length_s(&self) -> i64 {
        self.lines.last().map_or(0, |(at, _)| at / 1000)
    }
}

/// Sets a story up: what holds from its beginning.
pub fn prepare(world: &mut World, story: &'static Story) {
    world.story = Some(story);
    world.cloud.others = story.others;
    story.lines.iter().filter(|(after, _)| *after == 0).for_each(|(_, line)| tell(world, *line));
}

/// Begins a story in a world that lives.
pub fn begin(world: &mut World, story: &'static Story) {
    prepare(world, story);
    world.life.incidents = true;
    for (place, (after, _)) in story.lines.iter().enumerate().filter(|(_, (after, _))| *after > 0) {
        world.life.clock.after(*after, Due::Line(place));
    }
}

/// The next line comes.
pub fn line(world: &mut World, at: usize) {
    if let Some((_, line)) = world.story.and_then(|story| story.lines.get(at)) {
        tell(world, *line);
    }
}

fn tell(world: &mut World, line: Line) {
    match line {
        Line::BadRelease(namespace, name, fate) => {
            let wanted = key(namespace, name);
            // A small world may not have it: then another has the bad luck.
            let unlucky = match world.get(DEPLOYMENTS, &wanted) {
                Some(_) => Some(wanted),
                None => world.snapshot(DEPLOYMENTS, "").objects.last().map(|object| Arc::clone(&object.key)),
            };
            if let Some(key) = unlucky {
                incident::deploy(world, &key, Some(fate));
            }
        }
        Line::NodeSilent(group) => {
            let nodes = world.snapshot(NODES, "").objects;
            let healthy = nodes.iter().filter_map(|object| match &object.body {
                Body::Node(node) if node.look.state == NodeState::Ready && !node.look.cordoned => Some(node),
                _ => None,
            });
            let mut healthy = healthy.filter(|node| node.machine.group == group);
            if let Some(node) = healthy.next() {
                world.life.silent = Some(Arc::clone(&node.machine.name));
                lifecycle::turn(world, &node.machine.name, NodeState::Unreachable);
            }
        }
        Line::NodeBack => {
            if let Some(name) = world.life.silent.take() {
                lifecycle::turn(world, &name, NodeState::Ready);
            }
        }
        Line::Drop => world.drops.send_modify(|count| *count += 1),
        Line::Slow(ms) => world.faults.latency_ms = ms,
        Line::Expire(requests) => world.faults.unauthorized = requests,
        Line::NoCapacity(pool, starved) => {
            cloud::open(world);
            let of_pool = world.cloud.groups.iter_mut().filter(|group| group.name() == pool);
            of_pool.for_each(|group| group.starved = starved);
        }
        Line::Interrupt(pool) => scaling::interrupt(world, pool),
        Line::Exhausted(types) => {
            world.cloud.exhausted = types.iter().map(|name| (*name).to_owned()).collect();
        }
        Line::Burst(pods) => incident::burst(world, pods),
        Line::DenyRegion(region) => {
            world.faults.aws.push(AwsOperation { region: region.into(), deny: true, ..AwsOperation::default() });
        }
        Line::SilentRegion(region) => {
            world.faults.aws.push(AwsOperation { region: region.into(), hang: true, ..AwsOperation::default() });
        }
        Line::Restrict(namespaces) => {
            let grants = namespaces.iter().map(|namespace| Grant::reader(namespace)).collect();
            world.faults = Faults { grants: Some(grants), ..world.faults.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stories_are_found_by_their_names_and_say_what_to_try() {
        for story in &STORIES {
            assert!(std::ptr::eq(Story::find(story.name).unwrap(), story));
            assert!(!story.name.contains(char::is_whitespace) && !story.tries.is_empty());
            assert!(story.lines.is_sorted_by_key(|(at, _)| *at), "{}", story.name);
        }
        assert!(Story::find("no such").is_none());
    }
}
