//! One Auto Scaling group, with the managed node group over it where there is one: what it wants and what it did.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::{Value, json};

use super::plans::Plans;

/// How many activities a group remembers.
const ACTIVITIES: usize = 200;

/// An Auto Scaling group. It is the truth; EKS has a copy that lags.
#[derive(Debug)]
pub struct Group {
    pub region: String,
    pub cluster: String,
    /// The Auto Scaling group's name.
    pub asg: String,
    pub uid: u128,
    /// The node group over it; none where people run the group themselves.
    pub managed: Option<Managed>,
    /// Which of the simulated cluster's groups its instances join; none where no cluster is simulated behind it.
    pub pool: Option<usize>,
    pub min: u32,
    pub max: u32,
    pub desired: u32,
    pub spot: bool,
    /// The first is what new instances are of.
    pub types: Vec<&'static str>,
    pub suspended: BTreeSet<String>,
    pub plans: Plans,
    /// Newest first.
    pub activities: VecDeque<Activity>,
    /// Seconds since 1970.
    pub created: i64,
    /// Who last changed what it wants, in the words of its activities.
    pub why: String,
    /// EC2 has no room for its instances.
    pub starved: bool,
    /// Whether it is going to look at what it has: a group looks once for all that changes.
    pub looking: bool,
}

/// A managed node group: EKS's copy of the sizes, and what EKS does with it.
#[derive(Debug)]
pub struct Managed {
    pub name: String,
    pub min: u32,
    pub max: u32,
    pub desired: u32,
    pub ami_type: &'static str,
    /// Kubernetes' version.
    pub version: &'static str,
    pub release: String,
    pub labels: Value,
    pub taints: Value,
    pub template_version: u32,
    /// Newest first.
    pub updates: VecDeque<Update>,
    /// What was asked for with a client's token, and the update that came of it.
    pub tokens: HashMap<String, (Value, String)>,
    /// Stays until instances come again, whatever the reason was.
    pub degraded: Option<Value>,
    /// Seconds since 1970.
    pub modified: i64,
}

impl Managed {
    /// The update that is running.
    pub fn running(&self) -> Option<&Update> {
        self.updates.iter().find(|update| update.status == "InProgress")
    }

    pub fn status(&self) -> &'static str {
        match (self.running(), &self.degraded) {
            (Some(_), _) => "UPDATING",
            (None, Some(_)) => "DEGRADED",
            (None, None) => "ACTIVE",
        }
    }
}

/// A change that EKS carries out.
#[derive(Debug, Clone)]
pub struct Update {
    pub id: String,
    pub status: &'static str,
    pub params: Vec<(&'static str, String)>,
    /// Seconds since 1970.
    pub created: i64,
    pub errors: Vec<Value>,
}

impl Update {
    pub fn value(&self) -> Value {
        let params: Vec<_> = self.params.iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
        json!({ "id": self.id, "status": self.status, "type": "ConfigUpdate", "params": params,
            "createdAt": self.created, "errors": self.errors })
    }
}

/// Something that an Auto Scaling group did, or failed to do.
#[derive(Debug, Clone)]
pub struct Activity {
    pub id: u128,
    /// The instance that it is about.
    pub instance: Option<u64>,
    pub description: String,
    pub cause: String,
    /// Seconds since 1970.
    pub start: i64,
    pub end: Option<i64>,
    pub status: &'static str,
    pub message: Option<String>,
    pub progress: u32,
    pub zone: usize,
}

impl Group {
    /// What people call it.
    pub fn name(&self) -> &str {
        self.managed.as_ref().map_or(&self.asg, |managed| &managed.name)
    }

    pub fn remember(&mut self, activity: Activity) {
        self.activities.push_front(activity);
        self.activities.truncate(ACTIVITIES);
    }

    /// Whether a process of the group goes on.
    pub fn runs(&self, process: &str) -> bool {
        !self.suspended.contains(process)
    }

    /// What AWS hangs on the group, and on each of its instances.
    pub fn tags(&self) -> Vec<(String, String)> {
        let mut tags = vec![(format!("kubernetes.io/cluster/{}", self.cluster), "owned".to_owned())];
        if let Some(managed) = &self.managed {
            tags.push(("eks:cluster-name".to_owned(), self.cluster.clone()));
            tags.push(("eks:nodegroup-name".to_owned(), managed.name.clone()));
            // EKS puts these on the groups that it makes, whether an autoscaler runs or not.
            tags.push(("k8s.io/cluster-autoscaler/enabled".to_owned(), "true".to_owned()));
            tags.push((format!("k8s.io/cluster-autoscaler/{}", self.cluster), "owned".to_owned()));
        }
        tags
    }
}
