use super::*;

const ARN: &str = "arn:aws:eks:eu-west-1:123456789012:cluster/Payments-Prod";

fn load(folder: &TempDir, files: &[(&str, &str)], list: &[&str]) -> Result<Contexts, Problem> {
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let paths = list.iter().map(|name| folder.path().join(name));
    let environment = Environment { kubeconfig: Some(std::env::join_paths(paths).unwrap()), ..Environment::default() };
    Contexts::load_from(&ConnectOptions::default(), environment)
}

#[test]
fn files_merge_as_kubectl_merges_them() {
    let folder = tempfile::tempdir().unwrap();
    let first = format!(
        "current-context: ''
clusters:
- {{name: '{ARN}', cluster: {{server: 'https://first'}}}}
contexts:
- {{name: '{ARN}', context: {{cluster: '{ARN}', user: one, namespace: Shop}}}}
users:
- {{name: one, user: {{token: first}}}}
"
    );
    let second = format!(
        "current-context: other
clusters:
- {{name: '{ARN}', cluster: {{server: 'https://second', tls-server-name: second}}}}
- {{name: other, cluster: {{server: 'https://other'}}}}
contexts:
- {{name: '{ARN}', context: {{cluster: other}}}}
- {{name: other, context: {{cluster: other, user: ''}}}}
- {{name: dangling, context: {{cluster: nowhere}}}}
users: null
"
    );
    let files = [("a", &*first), ("b", &*second)];
    let contexts = load(&folder, &files, &["missing", "a", "b"]).unwrap();
    let entry = |name: &str, cluster: &str, server: Option<&str>| ContextEntry {
        name: name.into(),
        cluster: cluster.into(),
        server: server.map(Into::into),
        user: None,
        namespace: None,
        current: false,
    };
    assert_eq!(
        contexts.list(),
        [
            ContextEntry {
                user: Some("one".into()),
                namespace: Some("Shop".into()),
                ..entry(ARN, ARN, Some("https://first"))
            },
            ContextEntry { current: true, ..entry("other", "other", Some("https://other")) },
            entry("dangling", "nowhere", None),
        ]
    );
    assert_eq!(contexts.current(), Some("other"));

    let target = contexts.target(&ConnectOptions::default(), Some(ARN)).unwrap();
    assert_eq!((&*target.namespace, target.cluster.tls_server_name), ("Shop", None));
    let options = ConnectOptions { context: Some(ARN.into()), cluster: Some("other".into()), ..Default::default() };
    let target = contexts.target(&options, None).unwrap();
    assert_eq!((&*target.cluster_name, target.user_name.as_deref()), ("other", Some("one")));
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = "contexts:\n- {name: A, context: {cluster: gone, user: u}}\n- {name: B, context: {cluster: c, user: u}}\n\
                clusters:\n- {name: c, cluster: {server: 'https://c'}}\n";
    let contexts = load(&folder, &[("a", text)], &["a"]).unwrap();
    let open =
        |name: Option<&str>| Session::open_in(&contexts, &ConnectOptions::default(), name).unwrap_err().to_string();
    for (name, words) in [
        (None, "no context is chosen"),
        (Some("a"), "there is A, B"),
        (Some("A"), "no cluster \"gone\""),
        (Some("B"), "no user \"u\""),
    ] {
        let problem = open(name);
        assert!(problem.contains(words), "{name:?}: {problem}");
    }
    let nothing = load(&folder, &[], &["none"]).unwrap();
    let problem = Session::open_in(&nothing, &ConnectOptions::default(), None).unwrap_err();
    assert!(problem.hint.contains("aws eks update-kubeconfig"), "{problem}");

    let options = ConnectOptions { kubeconfig: Some(folder.path().join("none")), ..ConnectOptions::default() };
    let problem = Contexts::load_from(&options, Environment::default()).unwrap_err();
    assert!(problem.what.ends_with("/none"), "{problem}");
}

#[test]
fn bad_yaml_has_its_place_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let text = "clusters: []\nusers:\n- name: u\n  user:\n    token: [s3cr3t\ncontexts: {}\n";
    let problem = load(&folder, &[("a", text)], &["a"]).unwrap_err();
    assert!(problem.what.contains("/a:") && !problem.to_string().contains("s3cr3t"), "{problem}");
    let text = "contexts:\n- name: a\n  context: 7\n";
    let problem = load(&folder, &[("a", text)], &["a"]).unwrap_err();
    assert!(problem.what.contains("/a:3:"), "{problem}");
}

#[test]
fn a_bad_authority_or_address_is_told_when_opening() {
    let problem = |cluster: Value| Home::new(&cluster, &json!({})).open().unwrap_err().to_string();
    let bad = problem(json!({ "server": "https://c", "certificate-authority-data": "AAAA" }));
    assert!(bad.contains("certificate authority"), "{bad}");
    let gone = problem(json!({ "server": "https://c", "certificate-authority": "gone.crt" }));
    assert!(gone.contains("gone.crt"), "{gone}");
    assert!(problem(json!({ "server": "ftp://c" })).contains("ftp://c"));
    assert!(problem(json!({ "server": "https://" })).contains("https://"));
    assert!(problem(json!({})).contains("no server address"));
}

#[test]
fn a_server_without_a_scheme_gets_one() {
    for (cluster, uri) in [
        (json!({ "server": "localhost:8080" }), "http://localhost:8080/"),
        (json!({ "server": "c.test", "insecure-skip-tls-verify": true }), "https://c.test/"),
    ] {
        let cluster: kube::config::Cluster = serde_json::from_value(cluster).unwrap();
        assert_eq!(server_address(&cluster).unwrap().0.to_string(), uri);
    }
}
