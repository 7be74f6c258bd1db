//! What goes wrong on purpose: set by tests, looked up by every request.

use serde::{Deserialize, Serialize};

/// Faults of the simulated server; none by default. Over HTTP the same as JSON: `PUT /sim/faults`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Faults {
    pub watch_list: WatchListFault,
    /// Ends the connection in the middle of a watch or list body after this many bytes of it.
    pub cut_after_bytes: Option<u64>,
    /// How many responses `cut_after_bytes` cuts; `None`: all.
    pub cuts: Option<u32>,
    /// Sends bytes that are no frame after this many frames of a watch (in the next one only).
    pub garbage_after_frames: Option<u32>,
    /// Never answers requests whose path begins with one of these.
    pub hang: Vec<String>,
    /// Answers 406 to requests with these verbs that ask for protobuf, whatever else they would take.
    pub no_protobuf: Vec<String>,
    /// Lets requests with these verbs wait until theirs is taken off again.
    pub hold: Vec<String>,
    /// Answers 401 to this many requests; `u32::MAX` stands for all until the token is rotated.
    pub unauthorized: u32,
    pub forbid: Vec<Forbid>,
    /// Where given, the user has these rights and no others.
    pub grants: Option<Vec<Grant>>,
    pub throttle: Option<Throttle>,
    /// Milliseconds before each answer.
    pub latency_ms: u64,
    /// Bytes a second that each connection may send; `None`: as fast as it goes. New connections only.
    pub bandwidth: Option<u64>,
    /// Answers every watch that resumes from a version with 200 and an ERROR event of code 410.
    pub gone: bool,
}

/// How a server refuses to stream the initial list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WatchListFault {
    #[default]
    None,
    /// 422, as with the feature gate off.
    Invalid,
    /// 200 and one ERROR event, as with an etcd that lacks progress requests.
    ErrorEvent,
}

/// A right that the user lacks. `*` stands for every verb or resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forbid {
    pub verb: String,
    /// The plural, without the group.
    pub resource: String,
    /// `None`: everywhere; empty: across the cluster only; else in this namespace only.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// Rights that the user has in one namespace. `*` stands for every verb or resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub verbs: Vec<String>,
    /// Plurals, without the group.
    pub resources: Vec<String>,
    /// `None`: everywhere.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl Grant {
    /// The right to read everything but secrets in a namespace.
    pub fn reader(namespace: &str) -> Self {
        let resources = crate::sim::catalog::ALL.iter().map(|resource| resource.plural);
        Self {
            verbs: ["get", "list", "watch"].map(Into::into).into(),
            resources: resources.filter(|plural| *plural != "secrets").chain(["pods/log"]).map(Into::into).collect(),
            namespace: Some(namespace.to_owned()),
        }
    }

    fn allows(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let has = |words: &[String], word: &str| words.iter().any(|one| one == "*" || one == word);
        has(&self.verbs, verb)
            && has(&self.resources, resource)
            && self.namespace.as_deref().is_none_or(|only| only == namespace)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttle {
    /// How many requests get 429.
    pub requests: u32,
    pub retry_after_s: u32,
}

impl Faults {
    /// Whether the user lacks this right; an empty namespace is the whole cluster.
    pub fn forbids(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let is = |pattern: &str, word: &str| pattern == "*" || pattern == word;
        let granted = |grants: &Vec<Grant>| grants.iter().any(|grant| grant.allows(verb, resource, namespace));
        if !self.grants.as_ref().is_none_or(granted) {
            return true;
        }
        self.forbid.iter().any(|rule| {
            is(&rule.verb, verb)
                // A rule for a resource holds for its subresources.
                && (is(&rule.resource, resource) || resource.split('/').next() == Some(&rule.resource))
                && rule.namespace.as_deref().is_none_or(|only| only == namespace)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_the_cluster_leaves_namespaces_alone() {
        let rule = |namespace: Option<&str>| Forbid {
            verb: "*".into(),
            resource: "pods".into(),
            namespace: namespace.map(Into::into),
        };
        let faults = Faults { forbid: vec![rule(Some(""))], ..Faults::default() };
        assert!(faults.forbids("list", "pods", ""));
        assert!(!faults.forbids("list", "pods", "payments"));
        assert!(!faults.forbids("list", "nodes", ""));
        let faults = Faults { forbid: vec![rule(None)], ..Faults::default() };
        assert!(faults.forbids("list", "pods", "payments"));
    }
}
