//! Which proxy a request goes through. A cluster's `proxy-url` is always used; the environment's variables follow
//! `golang.org/x/net/http/httpproxy`, since users expect what kubectl does.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::problem::Problem;

/// The proxy variables of the environment; the upper-case spelling goes first. Not for logs: they may hold passwords.
#[derive(Clone, Default)]
pub struct ProxyVariables {
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
}

impl ProxyVariables {
    pub fn of_process() -> Self {
        let either = |upper: &str| {
            let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            value(upper).or_else(|| value(&upper.to_ascii_lowercase()))
        };
        Self { https_proxy: either("HTTPS_PROXY"), http_proxy: either("HTTP_PROXY"), no_proxy: either("NO_PROXY") }
    }
}

/// A proxy: its address without the credentials, which stay hidden in `intercept`.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub intercept: Intercept,
    pub socks: bool,
    /// The address with its port, for connecting and for messages.
    pub address: Uri,
}

impl Proxy {
    /// The proxy for a server, or none. `cluster_proxy` is the kubeconfig's `proxy-url`.
    pub fn choose(
        server: &Uri,
        cluster_proxy: Option<&str>,
        variables: &ProxyVariables,
    ) -> Result<Option<Self>, Problem> {
        if let Some(url) = cluster_proxy {
            return Self::parse(url, "the cluster's proxy-url").map(Some);
        }
        let (variable, name) = match server.scheme_str() {
            Some("http") => (&variables.http_proxy, "HTTP_PROXY"),
            _ => (&variables.https_proxy, "HTTPS_PROXY"),
        };
        match variable {
            Some(url) if !bypassed(server, variables.no_proxy.as_deref().unwrap_or_default()) => {
                Self::parse(url, name).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn parse(url: &str, origin: &str) -> Result<Self, Problem> {
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        // The address is not repeated in messages: it may hold a password.
        let intercept = Matcher::builder().all(with_scheme).build().intercept(&Uri::from_static("https://any"));
        let unusable = || {
            Problem::new(format!("{origin} is not a proxy address that can be used"))
                .hint("give http://, https:// or socks5://host:port")
        };
        let intercept = intercept.ok_or_else(unusable)?;
        let scheme = intercept.uri().scheme_str().unwrap_or_default().to_owned();
        let (socks, default_port) = match scheme.as_str() {
            "http" => (false, 80),
            "https" => (false, 443),
            "socks5" | "socks5h" => (true, 1080),
            _ => return Err(unusable()),
        };
        let host = intercept.uri().host().ok_or_else(unusable)?;
        let port = intercept.uri().port_u16().unwrap_or(default_port);
        let address = format!("{scheme}://{host}:{port}/").parse().map_err(|_| unusable())?;
        Ok(Self { intercept, socks, address })
    }
}

/// Whether `NO_PROXY` (or being on this machine) spares the server the proxy.
fn bypassed(server: &Uri, no_proxy: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            return address.is_some_and(|address| in_network(address, network, bits));
        }
        let (name, entry_port) = split_port(&entry);
        if entry_port.is_some_and(|entry_port| entry_port != port) {
            return false;
        }
        if let Ok(entry_address) = name.parse::<IpAddr>() {
            return address == Some(entry_address);
        }
        // `*.example.org` and `.example.org` mean what lies below; `example.org` means itself as well.
        let name = name.strip_prefix('*').unwrap_or(name);
        match name.strip_prefix('.') {
            Some(below) => host.strip_suffix(below).is_some_and(|rest| rest.ends_with('.')),
            None => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        }
    })
}

/// `host:port`, `[v6]:port`, or a bare name or address.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(n)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            a.to_bits() & mask == n.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn no_proxy_follows_go() {
        for (server, no_proxy, spared) in [
            ("https://a.example.org", "", false),
            ("https://localhost:6443", "", true),
            ("https://127.0.0.9", "", true),
            ("https://[::1]:6443", "", true),
            ("https://a.example.org", "*", true),
            ("https://a.example.org", "example.org", true),
            ("https://example.org", "example.org", true),
            ("https://notexample.org", "example.org", false),
            ("https://example.org", ".example.org", false),
            ("https://a.example.org", " .example.org , x", true),
            ("https://a.example.org", "*.example.org", true),
            ("https://example.org", "*.example.org", false),
            ("https://A.Example.org", "EXAMPLE.org", true),
            ("https://a.example.org:8443", "example.org:8443", true),
            ("https://a.example.org:8443", "example.org:443", false),
            ("https://a.example.org", "example.org:443", true),
            ("https://10.1.2.3", "10.0.0.0/8", true),
            ("https://11.1.2.3", "10.0.0.0/8", false),
            ("https://11.1.2.3", "0.0.0.0/0", true),
            ("https://10.1.2.3", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://[fd00::1]", "fd00::/8", true),
            ("https://[fd00::1]:443", "[fd00::1]:443", true),
            ("https://[fd00::1]", "fd00::1", true),
            ("https://10.1.2.3", "10.0.0.0/99", false),
        ] {
            assert_eq!(bypassed(&uri(server), no_proxy), spared, "{server} with NO_PROXY={no_proxy}");
        }
    }

    #[test]
    fn the_cluster_proxy_goes_before_the_environment() {
        let variables = ProxyVariables {
            https_proxy: Some("proxy.corp:3128".into()),
            http_proxy: Some("http://plain:1".into()),
            no_proxy: Some("example.org".into()),
        };
        let chosen = |server: &str, cluster: Option<&str>| {
            Proxy::choose(&uri(server), cluster, &variables).unwrap().map(|proxy| proxy.address.to_string())
        };
        assert_eq!(chosen("https://k8s.test", None).as_deref(), Some("http://proxy.corp:3128/"));
        assert_eq!(chosen("http://k8s.test", None).as_deref(), Some("http://plain:1/"));
        assert_eq!(chosen("https://a.example.org", None), None);
        assert_eq!(chosen("https://a.example.org", Some("socks5://s")).as_deref(), Some("socks5://s:1080/"));
        assert_eq!(chosen("https://127.0.0.1", Some("https://u:p@s")).as_deref(), Some("https://s:443/"));
    }

    #[test]
    fn a_bad_proxy_is_named_without_its_password() {
        let problem =
            Proxy::choose(&uri("https://k8s.test"), Some("ftp://u:hunter2@x"), &ProxyVariables::default()).unwrap_err();
        assert!(problem.what.contains("proxy-url"), "{problem}");
        assert!(!problem.to_string().contains("hunter2"));
    }
}
