//! The clusters that are simulated: what each has nodes of, and who makes them. Data, and how it is read.

use serde_json::{Value, json};

use super::node::CLUSTER;
use super::workload::{Controller, Workload};

/// A cluster.
#[derive(Debug)]
pub struct Site {
    pub name: &'static str,
    /// Groups (by their place in `GROUPS`) with their part of all nodes, of 100; the first takes what rounding leaves over.
    pub shares: &'static [(usize, u32)],
    /// Whether it has Auto Scaling groups, and a cluster autoscaler over them.
    pub has_groups: bool,
    pub pools: &'static [PoolPlan],
    pub profiles: &'static [Profile],
    /// The groups that everything may run on where no workload has nodes of its own.
    shared: &'static [usize],
}

/// A node pool of Karpenter.
#[derive(Debug)]
pub struct PoolPlan {
    pub name: &'static str,
    pub weight: u32,
    pub class: &'static str,
    pub requirements: &'static [(&'static str, &'static [&'static str])],
}

/// A Fargate profile with one selector.
#[derive(Debug)]
pub struct Profile {
    pub name: &'static str,
    namespace: &'static str,
    /// The value of `app.kubernetes.io/name`; empty: any.
    app: &'static str,
}

const APP: &str = "app.kubernetes.io/name";
const CAPACITY: &str = "karpenter.sh/capacity-type";
const FAMILY: &str = "karpenter.k8s.aws/instance-family";
const ARCHITECTURE: &str = "kubernetes.io/arch";

/// The cluster that a demo shows first: node groups of every make.
pub static DEMO: Site = Site {
    name: CLUSTER,
    shares: &[(0, 32), (1, 30), (2, 8), (3, 10), (4, 4), (5, 16)],
    has_groups: true,
    pools: &[
        PoolPlan {
            name: "arm-burst",
            weight: 10,
            class: "default",
            requirements: &[(CAPACITY, &["spot"]), (ARCHITECTURE, &["arm64"]), (FAMILY, &["c7g", "m7g"])],
        },
        PoolPlan {
            name: "gpu-overflow",
            weight: 50,
            class: "gpu",
            requirements: &[(CAPACITY, &["spot"]), (FAMILY, &["g5"])],
        },
    ],
    profiles: &[Profile { name: "serverless", namespace: "serverless", app: "" }],
    shared: &[],
};

/// One without any group: Karpenter and Fargate make all its nodes, Fargate those of Karpenter.
pub static GROUPLESS: Site = Site {
    name: "groupless",
    shares: &[(8, 60), (10, 40)],
    has_groups: false,
    pools: &[
        PoolPlan {
            name: "general",
            weight: 10,
            class: "default",
            requirements: &[(CAPACITY, &["on-demand"]), (ARCHITECTURE, &["amd64"]), (FAMILY, &["m6i"])],
        },
        PoolPlan {
            name: "spot",
            weight: 50,
            class: "default",
            requirements: &[(CAPACITY, &["spot"]), (ARCHITECTURE, &["amd64"]), (FAMILY, &["m5"])],
        },
    ],
    profiles: &[
        Profile { name: "karpenter", namespace: "karpenter", app: "" },
        Profile { name: "coredns", namespace: "kube-system", app: "coredns" },
    ],
    shared: &[8, 9, 10],
};

impl Site {
    /// Which part of all nodes a group has, of 100.
    pub fn share(&self, group: usize) -> u32 {
        self.shares.iter().find(|(own, _)| *own == group).map_or(0, |(_, share)| *share)
    }

    /// The profile that runs pods with these labels.
    pub fn profile(&self, namespace: &str, labels: &Value) -> Option<&'static str> {
        let takes = |profile: &&Profile| {
            profile.namespace == namespace && (profile.app.is_empty() || labels[APP] == profile.app)
        };
        self.profiles.iter().find(takes).map(|profile| profile.name)
    }

    /// Lets a workload of the company run here.
    pub fn settle(&self, workload: &mut Workload) {
        if workload.controller == Controller::DaemonSet {
            return;
        }
        workload.fargate = self.profile(&workload.namespace, &workload.template_labels());
        if !self.shared.is_empty() {
            workload.groups = self.shared.to_vec();
        }
    }
}

impl Profile {
    /// As EKS tells it.
    pub fn selectors(&self) -> Value {
        let labels = if self.app.is_empty() { json!({}) } else { json!({ APP: self.app }) };
        json!([{ "namespace": self.namespace, "labels": labels }])
    }
}
