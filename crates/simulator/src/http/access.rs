//! Access reviews: may the user do this?

use serde_json::{Value, json};

use super::status::Status;
use crate::admission::field::Wrong;
use crate::catalog::ALL;
use crate::encoding::template::rfc3339;
use crate::faults::Faults;

/// A `SelfSubjectAccessReview` with its answer.
pub fn access_review(mut review: Value, faults: &Faults) -> Result<Value, Status> {
    if review["spec"]["resourceAttributes"].is_null() == review["spec"]["nonResourceAttributes"].is_null() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let wrong = Wrong::invalid("spec.resourceAttributes", &Value::Null, why);
        return Err(Status::wrong("authorization.k8s.io", "", "", &[wrong]));
    }
    let asked = &review["spec"]["resourceAttributes"];
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let mut resource = text("resource").to_owned();
    if !text("subresource").is_empty() {
        resource = format!("{resource}/{}", text("subresource"));
    }
    let denied = !asked.is_null() && faults.forbids(text("verb"), &resource, text("namespace"));
    review["status"] =
        if denied { json!({ "allowed": false }) } else { json!({ "allowed": true, "reason": "demo user" }) };
    let mut review = complete(review, "SelfSubjectAccessReview");
    if let Some(review) = review.as_object_mut() {
        review.remove("metadata");
    }
    Ok(review)
}

/// A `SelfSubjectRulesReview` with its answer: the rules that hold in its namespace.
pub fn rules_review(mut review: Value, faults: &Faults) -> Result<Value, Status> {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules: Vec<_> = ALL
        .iter()
        .filter_map(|resource| {
            let verbs: Vec<_> =
                resource.verbs().iter().filter(|verb| !faults.forbids(verb, resource.plural, &namespace)).collect();
            (!verbs.is_empty())
                .then(|| json!({ "verbs": verbs, "apiGroups": [resource.group], "resources": [resource.plural] }))
        })
        .collect();
    review["status"] = json!({
        "resourceRules": rules, "incomplete": false,
        "nonResourceRules": [{ "verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/readyz", "/version"] }],
    });
    review["spec"] = json!({});
    Ok(complete(review, "SelfSubjectRulesReview"))
}

/// A `SelfSubjectReview` with its answer: who the user is.
pub fn self_review(now: i64) -> Value {
    let groups = ["system:masters", "system:authenticated"];
    let review = json!({ "status": { "userInfo": { "username": "demo", "uid": "demo", "groups": groups } } });
    let mut review = complete(review, "SelfSubjectReview");
    review["apiVersion"] = "authentication.k8s.io/v1".into();
    review["metadata"] = json!({ "creationTimestamp": rfc3339(now) });
    review
}

fn complete(mut review: Value, kind: &str) -> Value {
    review["kind"] = kind.into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["metadata"] = json!({});
    review
}
