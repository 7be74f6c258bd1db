//! Access reviews: may the user do this?

use serde_json::{Value, json};

use crate::sim::catalog::ALL;
use crate::sim::faults::Faults;

/// A `SelfSubjectAccessReview` with its answer.
pub fn access_review(mut review: Value, faults: &Faults) -> Value {
    let asked = &review["spec"]["resourceAttributes"];
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let mut resource = text("resource").to_owned();
    if !text("subresource").is_empty() {
        resource = format!("{resource}/{}", text("subresource"));
    }
    let denied = !asked.is_null() && faults.forbids(text("verb"), &resource, text("namespace"));
    review["status"] =
        if denied { json!({ "allowed": false }) } else { json!({ "allowed": true, "reason": "demo user" }) };
    complete(review, "SelfSubjectAccessReview")
}

/// A `SelfSubjectRulesReview` with its answer: the rules that hold in its namespace.
pub fn rules_review(mut review: Value, faults: &Faults) -> Value {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
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
    complete(review, "SelfSubjectRulesReview")
}

/// A `SelfSubjectReview` with its answer: who the user is.
pub fn self_review() -> Value {
    let groups = ["system:masters", "system:authenticated"];
    let review = json!({ "status": { "userInfo": { "username": "demo", "uid": "demo", "groups": groups } } });
    let mut review = complete(review, "SelfSubjectReview");
    review["apiVersion"] = "authentication.k8s.io/v1".into();
    review
}

fn complete(mut review: Value, kind: &str) -> Value {
    review["kind"] = kind.into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["metadata"] = json!({ "creationTimestamp": null });
    review
}
