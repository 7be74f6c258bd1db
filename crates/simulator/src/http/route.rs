//! What a request is about: its path and method, taken apart as the API server does.

use http::Method;

use super::discovery;
use super::query::{Query, decode};
use crate::catalog::{ALL, ResourceId};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/version`, `/readyz`, `/sim/…` and other paths that are no resources.
    Plain,
    /// `/api`, `/apis`, `/apis/G`, `/api/v1`, `/apis/G/V`: group and version where given.
    Discovery(Option<(String, String)>),
    Resource {
        resource: ResourceId,
        namespace: String,
        name: String,
        subresource: String,
    },
    /// Access reviews are made, never stored.
    Review(String),
    /// Nothing is there; whether there is at least its group.
    Unknown(bool),
}

/// A request taken apart.
#[derive(Debug, Clone)]
pub struct Route {
    pub target: Target,
    /// As RBAC names it; for plain paths the method in small letters.
    pub verb: &'static str,
}

impl Route {
    pub fn of(method: &Method, path: &str, query: &Query) -> Self {
        let target = target(path);
        let named = matches!(&target, Target::Resource { name, .. } if !name.is_empty());
        let verb = match (&target, method.as_str()) {
            // One object alone is not watched but by a field selector.
            (Target::Resource { .. }, "GET" | "HEAD") if named => "get",
            (Target::Resource { .. }, "GET" | "HEAD") if query.is_set("watch") => "watch",
            (Target::Resource { .. }, "GET" | "HEAD") => "list",
            (Target::Resource { .. }, "DELETE") if !named => "deletecollection",
            (_, "GET" | "HEAD") => "get",
            (_, "POST") => "create",
            (_, "PUT") => "update",
            (_, "PATCH") => "patch",
            (_, "DELETE") => "delete",
            _ => "",
        };
        Self { target, verb }
    }
}

fn target(path: &str) -> Target {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts[..] {
        ["api" | "apis"] => return Target::Discovery(None),
        ["api", version, ref rest @ ..] => ("", version, rest),
        ["apis", group, version, ref rest @ ..] => (group, version, rest),
        ["apis", group] if knows(group) => return Target::Discovery(Some((group.to_owned(), String::new()))),
        ["apis", _] => return Target::Unknown(false),
        _ => return Target::Plain,
    };
    let unknown = Target::Unknown(knows(group));
    if rest.is_empty() {
        let known = ALL.iter().any(|resource| resource.group == group && resource.version == version);
        let known = known || discovery::REVIEWS.iter().any(|one| (one.0, "v1") == (group, version));
        return if known { Target::Discovery(Some((group.to_owned(), version.to_owned()))) } else { unknown };
    }
    if let Some((_, kinds)) = discovery::REVIEWS.iter().find(|one| (one.0, "v1") == (group, version)) {
        return match rest {
            [review] if kinds.iter().any(|(plural, _)| plural == review) => Target::Review((*review).to_owned()),
            _ => unknown,
        };
    }
    // `namespaces` is also a resource of its own.
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest[0], "status" | "finalize") => {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return unknown,
    };
    match ResourceId::find(group, version, plural) {
        Some(resource) if resource.namespaced || namespace.is_empty() => Target::Resource {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        },
        _ => unknown,
    }
}

fn knows(group: &str) -> bool {
    ALL.iter().any(|resource| resource.group == group) || discovery::REVIEWS.iter().any(|one| one.0 == group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{NAMESPACES, PODS};

    fn resource(resource: ResourceId, namespace: &str, name: &str, subresource: &str) -> Target {
        let [namespace, name, subresource] = [namespace, name, subresource].map(str::to_owned);
        Target::Resource { resource, namespace, name, subresource }
    }

    #[test]
    fn paths_are_taken_apart_as_the_server_does() {
        for (path, expected) in [
            ("/version", Target::Plain),
            ("/apis", Target::Discovery(None)),
            ("/apis/apps/v1", Target::Discovery(Some(("apps".into(), "v1".into())))),
            ("/apis/apps", Target::Discovery(Some(("apps".into(), String::new())))),
            ("/apis/apps/v2", Target::Unknown(true)),
            ("/apis/none/v2", Target::Unknown(false)),
            ("/api/v1/pods", resource(PODS, "", "", "")),
            ("/api/v1/namespaces/a/pods/b/log", resource(PODS, "a", "b", "log")),
            ("/api/v1/namespaces/a", resource(NAMESPACES, "", "a", "")),
            ("/api/v1/namespaces/a/status", resource(NAMESPACES, "", "a", "status")),
            ("/api/v1/namespaces/a/nodes", Target::Unknown(true)),
        ] {
            assert_eq!(target(path), expected, "{path}");
        }
        let watch = Route::of(&Method::GET, "/api/v1/pods", &Query::parse("watch=1"));
        assert_eq!(watch.verb, "watch");
    }
}
