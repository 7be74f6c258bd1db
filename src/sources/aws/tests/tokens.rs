use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan};
use secrecy::ExposeSecret;

use super::super::credentials::Credentials;
use super::super::token::cluster_token;

fn credentials(token: Option<&str>) -> Credentials {
    Credentials {
        id: "AKIDEXAMPLE".into(),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        token: token.map(|token| token.to_owned().into()),
        expires: None,
        origin: "test".into(),
    }
}

/// What `aws eks get-token` of the AWS CLI 1.46.3 makes with these keys at this time.
#[test]
fn a_token_is_what_the_cli_makes() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    for (region, cluster, session, host, rest) in [
        (
            "eu-west-1",
            "prod",
            None,
            "sts.eu-west-1.amazonaws.com",
            "X-Amz-Signature=a258d6fcd6d1b4ed68c85123ac7623319529dada87c82ec48bd5a9ec12959b63",
        ),
        (
            "cn-north-1",
            "prod",
            None,
            "sts.cn-north-1.amazonaws.com.cn",
            "X-Amz-Signature=cce9ca090853b024727472cb52bd4a454eb385a2ef0d98bce121aa99e5afe680",
        ),
        (
            "us-gov-west-1",
            "prod cluster/1",
            Some("sess/ion+token=="),
            "sts.us-gov-west-1.amazonaws.com",
            "X-Amz-Security-Token=sess%2Fion%2Btoken%3D%3D&\
          X-Amz-Signature=1b7bad994a97b87ad572660bfccd8e878e5de357cc055ab2639328198aaa2094",
        ),
        (
            "eu-west-1",
            "prod",
            Some("tok"),
            "sts.eu-west-1.amazonaws.com",
            "X-Amz-Security-Token=tok&X-Amz-Signature=8906a354f2663ec39494f671c9884d97d4d43cc1e25188605634693aa09f94fd",
        ),
    ] {
        let minted = cluster_token(&credentials(session), region, cluster, now).unwrap();
        let url = minted.token.expose_secret().strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(url).unwrap()).unwrap();
        let expected = format!(
            "https://{host}/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
             X-Amz-Credential=AKIDEXAMPLE%2F20260102%2F{region}%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z&\
             X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&{rest}"
        );
        let (ours, theirs) = (parts(&url), parts(&expected));
        assert_eq!(ours, theirs, "{url}");
        assert_eq!(minted.expires, now + 15.minutes());
    }
}

/// Host and parameters; the order of those is nobody's business, that none comes twice is the server's.
fn parts(url: &str) -> (String, BTreeMap<String, String>) {
    let (host, query) = url.split_once("/?").unwrap();
    let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let all: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(all.len(), pairs.len(), "{url}");
    (host.to_owned(), all)
}

#[test]
fn a_token_ends_with_its_credentials() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let ending = Credentials { expires: Some(now + 5.minutes()), ..credentials(Some("t")) };
    assert_eq!(cluster_token(&ending, "eu-west-1", "prod", now).unwrap().expires, now + 5.minutes());
}

#[test]
fn a_token_that_the_server_would_refuse_is_not_sent() {
    let problem =
        cluster_token(&credentials(Some(&"t".repeat(4096))), "eu-west-1", "prod", Timestamp::now()).err().unwrap();
    assert!(problem.why.contains("4096"), "{problem}");
}
