//! The API's `Status`: how the server says what went wrong, in its own words.

use serde_json::{Value, json};

use crate::admission::field::Wrong;
use crate::catalog::Resource;
use crate::cluster::ownership::Conflict;

fn named(resource: &Resource, name: &str) -> Value {
    let mut details = json!({ "name": name, "kind": resource.plural });
    if !resource.group.is_empty() {
        details["group"] = resource.group.into();
    }
    details
}

/// An answer that is a `Status` object.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    /// What is to be said besides.
    pub warnings: Vec<String>,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null, warnings: Vec::new() }
    }

    fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// The same, with what was to be said besides.
    pub fn warning(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// An error that the server itself has no reason for.
    pub fn plain(code: u16, message: impl Into<String>) -> Self {
        Self::new(code, "", message)
    }

    /// A number that is none, as Go's `strconv` says it.
    pub fn not_a_number(text: &str) -> Self {
        Self::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub fn forbidden(verb: &str, resource: &Resource, namespace: &str, name: &str, subresource: &str) -> Self {
        let subject =
            if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let message = format!(
            "{subject} is forbidden: User \"demo\" cannot {verb} resource \"{}{}\" in API group \"{}\" {scope}",
            resource.plural,
            if subresource.is_empty() { String::new() } else { format!("/{subresource}") },
            resource.group
        );
        let mut details = named(resource, name);
        if let (true, Some(details)) = (name.is_empty(), details.as_object_mut()) {
            details.remove("name");
        }
        Self::new(403, "Forbidden", message).details(details)
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()))
            .details(named(resource, name))
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .details(json!({}))
    }

    /// No resource is at this path of a group that there is.
    pub fn no_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").details(json!({}))
    }

    /// A media type that is served, but not with these parameters.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// None of the accepted media types is served.
    pub fn no_representation(available: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(406, "NotAcceptable", message).details(json!({}))
    }

    pub fn conflict(resource: &Resource, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the \
             latest version and try again",
            resource.qualified()
        );
        Self::new(409, "Conflict", message).details(named(resource, name))
    }

    /// The version from which to watch is forgotten.
    pub fn too_old(version: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {version} ({oldest})"))
    }

    /// The list that is being paged is forgotten.
    pub fn continue_expired() -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
            list without the continue parameter.";
        Self::new(410, "Expired", message)
    }

    /// A body in an encoding, or of a kind, that is not served.
    pub fn unsupported_body() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: application/json, \
            application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// Nobody knows how the lists of a custom kind are merged.
    pub fn no_strategic_patch() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
            application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub fn unsupported_patch() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").details(json!({}))
    }

    /// A patch that does not fit its object.
    pub fn bad_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message).details(json!({}))
    }

    /// A patch that makes of its object what is none of its kind; `patched` as the server shows it.
    pub fn bad_result(patched: &str, why: &str) -> Self {
        Self::wrong("", "", "", &[Wrong::printed("patch", &Value::from(patched).to_string(), why)])
    }

    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).details(named(resource, name))
    }

    fn kind_named(resource: &Resource, name: &str) -> (String, Value) {
        let mut details = named(resource, name);
        details["kind"] = resource.kind.into();
        let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
        (format!("{}{group} \"{name}\"", resource.kind), details)
    }

    /// A deletion's precondition that does not hold: what must be the same, as it was asked for and as it is.
    pub fn precondition(resource: &Resource, name: &str, what: &str, asked: &str, found: &str) -> Self {
        let (subject, details) = Self::kind_named(resource, name);
        let perhaps = if what == "UID" { "deleted and then recreated" } else { "modified" };
        let message = format!(
            "Operation cannot be fulfilled on {subject}: the {what} in the precondition ({asked}) does not match the {what} in \
             record ({found}). The object might have been {perhaps}"
        );
        Self::new(409, "Conflict", message).details(details)
    }

    /// An update of another object of the same name.
    pub fn other_uid(resource: &Resource, key: &str, asked: &str, found: &str) -> Self {
        let name = key.rsplit('/').next().unwrap_or_default();
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": StorageError: invalid object, Code: 4, Key: /registry/{}/{key}, \
             ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: \
             {found}",
            resource.qualified(),
            resource.plural
        );
        Self::new(409, "Conflict", message).details(named(resource, name))
    }

    /// Fields that are wrong.
    pub fn invalid(resource: &Resource, name: &str, wrongs: &[Wrong]) -> Self {
        Self::wrong(resource.group, resource.kind, name, wrongs)
    }

    /// Fields of something that need not be a resource.
    pub fn wrong(group: &str, kind: &str, name: &str, wrongs: &[Wrong]) -> Self {
        let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{subject} \"{name}\" is invalid: {}", Wrong::all(wrongs));
        let mut details = json!({ "causes": wrongs.iter().map(Wrong::cause).collect::<Vec<_>>() });
        for (field, text) in [("group", group), ("kind", kind), ("name", name)] {
            if !text.is_empty() {
                details[field] = text.into();
            }
        }
        Self::new(422, "Invalid", message).details(details)
    }

    /// Nothing new comes into a namespace that is being deleted.
    pub fn terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let because = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let message = format!("{} \"{name}\" is forbidden: {because}", resource.qualified());
        let mut details = named(resource, name);
        let text = format!("namespace {namespace} is being terminated");
        details["causes"] =
            json!([{ "reason": "NamespaceTerminating", "message": text, "field": "metadata.namespace" }]);
        Self::new(403, "Forbidden", message).details(details)
    }

    /// An eviction that its disruption budget does not allow now.
    pub fn budget_spent(budget: &str, needs: u32, has: u32) -> Self {
        let message = if has <= needs {
            format!("The disruption budget {budget} needs {needs} healthy pods and has {has} currently")
        } else {
            format!("The disruption budget {budget} does not allow evicting pods currently")
        };
        Self::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
            .details(json!({ "causes": [{ "reason": "DisruptionBudget", "message": message }] }))
    }

    /// An eviction whose disruption budget cannot be counted.
    pub fn budget_failed(budget: &str, why: &str) -> Self {
        let message = format!(
            "The disruption budget {budget} does not allow evicting pods currently because it failed sync: {why}"
        );
        Self::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
            .details(json!({ "causes": [{ "reason": "DisruptionBudget", "message": message }] }))
    }

    /// An eviction whose disruption budget has not been counted yet.
    pub fn budget_behind(budget: &str) -> Self {
        let message = format!("The disruption budget {budget} is still being processed by the server.");
        Self::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.").details(
            json!({ "retryAfterSeconds": 10, "causes": [{ "reason": "DisruptionBudget", "message": message }] }),
        )
    }

    /// An eviction of a pod that more than one disruption budget guards: it never succeeds.
    pub fn several_budgets() -> Self {
        let message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        Self::new(500, "", message)
    }

    pub fn watch_list_disabled() -> Self {
        let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        Self::wrong("meta.k8s.io", "ListOptions", "", &[Wrong::forbidden("sendInitialEvents", why)])
    }

    /// What only an ERROR event of a started watch says.
    pub fn progress_unsupported() -> Self {
        let message = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is \
            disabled";
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .details(json!({ "causes": [{ "message": message }] }))
    }

    /// An apply of fields that other managers have.
    pub fn apply_conflicts(conflicts: &[Conflict]) -> Self {
        // Of those who apply as well, the version is not told.
        let with = |one: &Conflict| match one.api_version.as_str() {
            "" => format!("\"{}\"", one.manager),
            version => format!("\"{}\" using {version}", one.manager),
        };
        let message = match conflicts {
            [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", with(one), one.field),
            all => {
                let mut text = format!("Apply failed with {} conflicts:", all.len());
                for (at, one) in all.iter().enumerate() {
                    if at == 0 || with(&all[at - 1]) != with(one) {
                        text = format!("{text} conflicts with {}:", with(one));
                    }
                    text = format!("{text}\n- {}", one.field);
                }
                text
            }
        };
        let cause = |one: &Conflict| json!({ "reason": "FieldManagerConflict", "message": format!("conflict with {}", with(one)), "field": one.field });
        let causes: Vec<_> = conflicts.iter().map(cause).collect();
        Self::new(409, "Conflict", message).details(json!({ "causes": causes }))
    }

    pub fn internal(message: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// A refusal of this code that has no cause but a fault.
    pub fn failing(code: u16) -> Self {
        let (reason, message) = match code {
            409 => ("Conflict", "the object has been modified"),
            429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
            500 => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "the server refuses this request"),
        };
        Self::new(code, reason, message)
    }

    pub fn too_many_requests(retry_after_s: u32) -> Self {
        let message = "the server has received too many requests and has asked us to try again later";
        Self::new(429, "TooManyRequests", message).details(json!({ "retryAfterSeconds": retry_after_s }))
    }

    pub fn future_version(asked: u64, newest: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {newest}");
        Self::new(504, "Timeout", message).details(json!({ "retryAfterSeconds": 1,
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }] }))
    }

    /// What was done, as the answer to a deletion.
    pub fn deleted(resource: &Resource, name: &str, uid: &Value) -> Value {
        let mut details = named(resource, name);
        details["uid"] = uid.clone();
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
    }

    pub fn retry_after_s(&self) -> Option<u64> {
        self.details["retryAfterSeconds"].as_u64()
    }

    pub fn value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            value["details"] = self.details.clone();
        }
        value
    }
}
