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
    /// What befalls some requests and not others; the first that fits a request counts.
    pub operations: Vec<Operation>,
    /// How far the server's clock is ahead of this machine's, in seconds: for `Date`, metrics, and whatever comes to be.
    pub clock_ahead_s: i64,
    /// Milliseconds before each answer.
    pub latency_ms: u64,
    /// Bytes a second that each connection may send; `None`: as fast as it goes. New connections only.
    pub bandwidth: Option<u64>,
    /// What befalls some calls of the AWS side; the first that fits a call counts.
    pub aws: Vec<AwsOperation>,
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
        let resources = crate::catalog::ALL.iter().map(|resource| resource.plural);
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

/// What befalls requests of one sort.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Operation {
    /// `list`, `watch`, `get` …; `*` stands for every verb.
    pub verb: String,
    /// The plural without the group, `*` for every resource, or the beginning of a path, from its `/` on.
    pub resource: String,
    /// How many requests it befalls; `None`: all.
    pub times: Option<u32>,
    /// Milliseconds before the answer.
    pub latency_ms: u64,
    /// The code of a refusal in place of the answer.
    pub refuse: Option<u16>,
    /// Ends the connection in place of an answer.
    pub drop: bool,
    /// Answers 200 with bytes that are nothing.
    pub garbage: bool,
    /// Ends the connection in the middle, after this many bytes of a list or a watch.
    pub cut_after_bytes: Option<u64>,
}

impl Operation {
    fn befalls(&self, verb: &str, resource: &str, path: &str) -> bool {
        let fits = match self.resource.as_str() {
            "*" => true,
            of if of.starts_with('/') => path.starts_with(of),
            of => of == resource,
        };
        fits && (self.verb == "*" || self.verb == verb) && self.times != Some(0)
    }
}

/// What befalls calls of one sort to AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct AwsOperation {
    /// `eks`, `autoscaling`, `ec2` …; empty for every service.
    pub service: String,
    /// As permissions name it: `DescribeNodegroup`; empty for every operation.
    pub operation: String,
    /// Empty for every region.
    pub region: String,
    /// How many calls it befalls; `None`: all.
    pub times: Option<u32>,
    /// Milliseconds before the answer.
    pub latency_ms: u64,
    /// No right to do it.
    pub deny: bool,
    /// Too many calls.
    pub throttle: bool,
    /// AWS itself fails.
    pub refuse: bool,
    /// Does what was asked, and ends the connection in place of an answer.
    pub lose: bool,
    /// Never answers.
    pub hang: bool,
}

impl AwsOperation {
    fn befalls(&self, service: &str, operation: &str, region: &str) -> bool {
        let is = |wanted: &str, word: &str| wanted.is_empty() || wanted == word;
        is(&self.service, service)
            && is(&self.operation, operation)
            && is(&self.region, region)
            && self.times != Some(0)
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
    /// What befalls this request, counted.
    pub fn strike(&mut self, verb: &str, resource: &str, path: &str) -> Operation {
        let befalls = |operation: &&mut Operation| operation.befalls(verb, resource, path);
        let Some(operation) = self.operations.iter_mut().find(befalls) else { return Operation::default() };
        if let Some(times) = &mut operation.times {
            *times -= 1;
        }
        operation.clone()
    }

    /// What befalls this call to AWS, counted.
    pub fn strike_aws(&mut self, service: &str, operation: &str, region: &str) -> AwsOperation {
        let Some(fault) = self.aws.iter_mut().find(|fault| fault.befalls(service, operation, region)) else {
            return AwsOperation::default();
        };
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        fault.clone()
    }

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
    fn an_operation_befalls_what_it_names_and_as_often() {
        let operation = |verb: &str, resource: &str, times| Operation {
            verb: verb.into(),
            resource: resource.into(),
            times,
            refuse: Some(500),
            ..Operation::default()
        };
        let mut faults = Faults {
            operations: vec![operation("list", "pods", Some(2)), operation("*", "/version", None)],
            ..Faults::default()
        };
        let mut struck = |verb, resource, path| faults.strike(verb, resource, path).refuse.is_some();
        assert!(!struck("watch", "pods", "/api/v1/pods"));
        assert!(!struck("list", "nodes", "/api/v1/nodes"));
        assert!(struck("get", "", "/version"));
        assert!(struck("list", "pods", "/api/v1/pods"));
        assert!(struck("list", "pods", "/api/v1/pods"));
        assert!(!struck("list", "pods", "/api/v1/pods"), "twice and no more");
    }

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
