//! The API's `Status`: how the server says what went wrong, in its own words.

use serde_json::{Value, json};

use crate::sim::catalog::Resource;

/// An answer that is a `Status` object.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Status {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub fn forbidden(verb: &str, resource: &Resource, namespace: &str, name: &str) -> Self {
        let subject =
            if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let message = format!(
            "{subject} is forbidden: User \"demo\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
            resource.plural, resource.group
        );
        let mut details = json!({ "kind": resource.plural });
        if !resource.group.is_empty() {
            details["group"] = resource.group.into();
        }
        if !name.is_empty() {
            details["name"] = name.into();
        }
        Self::new(403, "Forbidden", message).details(details)
    }

    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let mut details = json!({ "name": name, "kind": resource.plural });
        if !resource.group.is_empty() {
            details["group"] = resource.group.into();
        }
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified())).details(details)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .details(json!({}))
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    pub fn conflict(resource: &Resource, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the \
             latest version and try again",
            resource.qualified()
        );
        Self::new(409, "Conflict", message).details(json!({ "name": name, "kind": resource.plural }))
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

    pub fn unsupported_media_type() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
            application/merge-patch+json, application/strategic-merge-patch+json";
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub fn watch_list_disabled() -> Self {
        let field = "sendInitialEvents";
        let text = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {field}: Forbidden: {text}");
        Self::new(422, "Invalid", message).details(json!({ "group": "meta.k8s.io", "kind": "ListOptions",
            "causes": [{ "reason": "FieldValueForbidden", "message": format!("Forbidden: {text}"), "field": field }] }))
    }

    /// What only an ERROR event of a started watch says.
    pub fn progress_unsupported() -> Self {
        let message = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is \
            disabled";
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .details(json!({ "causes": [{ "message": message }] }))
    }

    pub fn internal(message: &str) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    pub fn too_many_requests(retry_after_s: u32) -> Self {
        let message = "the server has received too many requests and has asked us to try again later";
        Self::new(429, "TooManyRequests", message).details(json!({ "retryAfterSeconds": retry_after_s }))
    }

    pub fn future_version(asked: u64, newest: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {newest}");
        Self::new(504, "Timeout", message).details(json!({ "retryAfterSeconds": 1,
            "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }] }))
    }

    /// What was done, as the answer to a deletion.
    pub fn deleted(resource: &Resource, name: &str, uid: &Value) -> Value {
        let mut details = json!({ "name": name, "kind": resource.plural, "uid": uid });
        if !resource.group.is_empty() {
            details["group"] = resource.group.into();
        }
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
    }

    pub fn retry_after_s(&self) -> Option<u64> {
        self.details["retryAfterSeconds"].as_u64()
    }

    pub fn value(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            value["details"] = self.details.clone();
        }
        value
    }
}
