//! What a read-only session may send. Asked before anything else, so that no key, plugin or bug gets past it.

use http::header::UPGRADE;
use http::{Method, Request};

/// Whether the request only reads. A review asks the server about one's own rights and changes nothing, though it is
/// a POST; an upgrade runs commands or opens tunnels, though it is a GET.
pub(super) fn only_reads<B>(request: &Request<B>) -> bool {
    let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
    match *request.method() {
        Method::GET | Method::HEAD => !request.headers().contains_key(UPGRADE) && !opens_tunnel(&path),
        Method::POST => matches!(
            path[..],
            ["apis", "authorization.k8s.io", _, "selfsubjectaccessreviews" | "selfsubjectrulesreviews"]
                | ["apis", "authentication.k8s.io", _, "selfsubjectreviews"]
        ),
        _ => false,
    }
}

fn opens_tunnel(path: &[&str]) -> bool {
    matches!(path, ["api", "v1", "namespaces", _, "pods", _, "exec" | "attach" | "portforward", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for (method, path, allowed) in [
            ("GET", "/api/v1/pods?watch=true", true),
            ("HEAD", "/readyz", true),
            ("GET", "/api/v1/namespaces/a/pods/b/log?follow=true", true),
            ("GET", "/api/v1/namespaces/a/pods/exec", true),
            ("GET", "/api/v1/namespaces/a/pods/b/exec?command=sh", false),
            ("GET", "/api/v1/namespaces/a/pods/b/attach", false),
            ("GET", "/api/v1/namespaces/a/pods/b/portforward?ports=80", false),
            ("GET", "/api/v1/namespaces/a/pods/b//exec/", false),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", true),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", true),
            ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", true),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", false),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x", false),
            ("POST", "/apis/other.io/v1/selfsubjectaccessreviews", false),
            ("POST", "/api/v1/namespaces/a/pods", false),
            ("POST", "/api/v1/namespaces/a/pods/b/eviction", false),
            ("PUT", "/api/v1/namespaces/a/pods/b", false),
            ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", false),
            ("DELETE", "/api/v1/namespaces/a/pods/b", false),
            ("DELETE", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", false),
            ("CONNECT", "/api/v1/namespaces/a/pods/b/exec", false),
            ("OPTIONS", "/", false),
        ] {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            assert_eq!(only_reads(&request), allowed, "{method} {path}");
        }
    }

    #[test]
    fn an_upgrade_is_not_a_read_wherever_it_goes() {
        let request = Request::get("/api/v1/nodes/a/proxy/exec/ns/pod/c").header("upgrade", "websocket").body(());
        assert!(!only_reads(&request.unwrap()));
    }
}
