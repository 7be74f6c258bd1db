//! The options of requests, as their query parameters give them.

use serde_json::Value;

use super::field::Wrong;
use crate::http::query::Query;
use crate::http::status::Status;

/// What becomes of fields that a kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    Ignore,
    Warn,
    Refuse,
}

/// How an object is to be written.
#[derive(Debug, Clone)]
pub struct Writing {
    pub dry_run: bool,
    pub unknown: Unknown,
    /// Who writes, for the managed fields.
    pub manager: String,
    /// Whether an apply takes fields from other managers.
    pub force: bool,
    /// The change itself notes who has which fields.
    pub applied: bool,
}

impl Writing {
    /// By somebody who asks for nothing special.
    pub fn plain(manager: &str) -> Self {
        Self { dry_run: false, unknown: Unknown::Warn, manager: manager.to_owned(), force: false, applied: false }
    }

    /// Of a request of `kind` (`CreateOptions` and so on) by a client that calls itself `agent`.
    pub fn of(query: &Query, kind: &str, agent: &str) -> Result<Self, Status> {
        let mut wrong = dry_run(query);
        let unknown = match query.get("fieldValidation") {
            "Ignore" => Unknown::Ignore,
            "" | "Warn" => Unknown::Warn,
            "Strict" => Unknown::Refuse,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                wrong.push(Wrong::unsupported("fieldValidation", &other.into(), &supported));
                Unknown::Refuse
            }
        };
        refuse(kind, &wrong)?;
        let manager = match query.get("fieldManager") {
            "" => agent.split('/').next().unwrap_or_default(),
            manager => manager,
        };
        let (dry_run, force) = (!query.get("dryRun").is_empty(), query.is_set("force"));
        Ok(Self { dry_run, unknown, manager: manager.to_owned(), force, applied: false })
    }
}

#[cfg(test)]
impl Default for Writing {
    fn default() -> Self {
        Self::plain("test")
    }
}

fn refuse(kind: &str, wrong: &[Wrong]) -> Result<(), Status> {
    if wrong.is_empty() { Ok(()) } else { Err(Status::wrong("meta.k8s.io", kind, "", wrong)) }
}

fn dry_run(query: &Query) -> Vec<Wrong> {
    let asked: Vec<Value> = query.all("dryRun").map(Value::from).collect();
    let wrong = asked.iter().any(|asked| asked != "All");
    if wrong { vec![Wrong::unsupported("dryRun", &asked.into(), &["All"])] } else { Vec::new() }
}

/// Checks the parameters of a deletion.
pub fn deletion(query: &Query, options: &Value) -> Result<(), Status> {
    let mut wrong = Vec::new();
    let policy = options["propagationPolicy"].as_str().unwrap_or_default();
    if !matches!(policy, "" | "Foreground" | "Background" | "Orphan") {
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        wrong.push(Wrong::unsupported("propagationPolicy", &policy.into(), &supported));
    }
    if !policy.is_empty() && !options["orphanDependents"].is_null() {
        let both = "orphanDependents and deletionPropagation cannot be both set";
        wrong.push(Wrong::invalid("propagationPolicy", &policy.into(), both));
    }
    wrong.extend(dry_run(query));
    refuse("DeleteOptions", &wrong)
}

/// Checks the parameters of a list or a watch that do not go together.
pub fn listing(query: &Query, watch: bool) -> Result<(), Status> {
    const FIELD: &str = "resourceVersionMatch";
    let (rule, version) = (query.get(FIELD), query.get("resourceVersion"));
    let initial = !query.get("sendInitialEvents").is_empty();
    let mut wrong = Vec::new();
    if watch {
        if !initial && !rule.is_empty() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            wrong.push(Wrong::forbidden(FIELD, why));
        }
        if initial && rule != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            wrong.push(Wrong::forbidden(FIELD, why));
            if !rule.is_empty() {
                wrong.push(Wrong::unsupported(FIELD, &rule.into(), &["NotOlderThan"]));
            }
        }
        return refuse("ListOptions", &wrong);
    }
    if !rule.is_empty() {
        if version.is_empty() {
            wrong.push(Wrong::forbidden(FIELD, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if !query.get("continue").is_empty() {
            wrong.push(Wrong::forbidden(FIELD, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(rule, "Exact" | "NotOlderThan") {
            wrong.push(Wrong::unsupported(FIELD, &rule.into(), &["Exact", "NotOlderThan", ""]));
        }
        if rule == "Exact" && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            wrong.push(Wrong::forbidden(FIELD, why));
        }
    }
    if initial {
        wrong.push(Wrong::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    refuse("ListOptions", &wrong)
}
