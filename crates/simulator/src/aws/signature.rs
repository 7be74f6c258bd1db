//! Who asks: Signature Version 4, checked as AWS checks it (IAM User Guide, "Create a signed AWS API request"). Requests
//! carry it in a header, presigned URLs and with them the tokens of clusters in their query.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::answer::Failure;
use super::cloud::Keys;
use crate::http::query::decode;

/// How far a request's time may be off, in seconds.
const SKEW: i64 = 300;
/// How long a token of a cluster is good, in seconds.
const TOKEN: i64 = 900;

/// What a signature says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub key: String,
    day: String,
    pub region: String,
    pub service: String,
    signed_headers: String,
    signature: String,
    /// `20261121T210000Z`.
    date: String,
    presigned: bool,
}

impl Scope {
    /// Of a request; none where nobody signed it.
    pub fn of(head: &Parts) -> Option<Self> {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(fields) = text("authorization").strip_prefix("AWS4-HMAC-SHA256 ") {
            let field = |name: &str| {
                fields.split(',').filter_map(|field| field.trim().split_once('=')).find(|(key, _)| *key == name)
            };
            let value = |name: &str| Some(field(name)?.1.to_owned());
            let (credential, date) = (value("Credential")?, text("x-amz-date").to_owned());
            return Self::new(&credential, value("SignedHeaders")?, value("Signature")?, date, false);
        }
        Self::of_query(head.uri.query()?)
    }

    fn of_query(query: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| decode(value))
        };
        let (headers, signature) = (value("X-Amz-SignedHeaders")?, value("X-Amz-Signature")?);
        Self::new(&value("X-Amz-Credential")?, headers, signature, value("X-Amz-Date")?, true)
    }

    fn new(credential: &str, signed_headers: String, signature: String, date: String, presigned: bool) -> Option<Self> {
        let mut parts = credential.split('/').map(str::to_owned);
        let (key, day, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self { key, day, region, service, signed_headers, signature, date, presigned })
    }

    fn time(&self) -> Option<i64> {
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.date).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
    }

    /// Whether this signature is one of `keys` over this request.
    fn fits(
        &self,
        keys: &Keys,
        method: &str,
        path: &str,
        query: &str,
        header: &dyn Fn(&str) -> String,
        body: &str,
    ) -> bool {
        let headers: Vec<String> =
            self.signed_headers.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
        let headers = headers.concat();
        let request = format!(
            "{method}\n{}\n{}\n{headers}\n{}\n{body}",
            escaped(path, true),
            canonical(query),
            self.signed_headers
        );
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.date, hash(request.as_bytes()));
        let first = format!("AWS4{}", keys.secret).into_bytes();
        let parts = [&*self.day, &*self.region, &*self.service, "aws4_request", &*text];
        let signed = parts.iter().fold(first, |key, part| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec()
        });
        hex(&signed) == self.signature
    }

    /// Checks a request with its body; `now` is the server's time, in seconds since 1970.
    pub fn check(&self, keys: &Keys, head: &Parts, body: &[u8], now: i64) -> Result<(), Failure> {
        if self.key != keys.id {
            return Err(Failure::new(
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ));
        }
        let life = if self.presigned { TOKEN } else { SKEW };
        if self.time().is_none_or(|time| time > now + SKEW || time < now - life) {
            return Err(Failure::new(
                403,
                "SignatureDoesNotMatch",
                format!("Signature expired: {} is too far from the server's time", self.date),
            ));
        }
        let header = |name: &str| {
            let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            let values: Vec<String> =
                values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            values.join(",")
        };
        let method = head.method.as_str();
        let query = head.uri.query().unwrap_or_default();
        if self.fits(keys, method, head.uri.path(), query, &header, &hash(body)) {
            return Ok(());
        }
        Err(Failure::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ))
    }
}

/// Whether a bearer token is one for `cluster` that somebody with `keys` minted in the last quarter of an hour.
pub fn is_cluster_token(token: &str, cluster: &str, keys: &Keys, now: i64) -> bool {
    let read = || {
        let url = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix("k8s-aws-v1.")?).ok()?;
        let url: http::Uri = String::from_utf8(url).ok()?.parse().ok()?;
        let host = url.host()?.to_owned();
        let scope = Scope::of_query(url.query()?)?;
        let age = now - scope.time()?;
        let header = |name: &str| match name {
            "host" => host.clone(),
            "x-k8s-aws-id" => cluster.to_owned(),
            _ => String::new(),
        };
        let asks = url.query()?.split('&').any(|pair| pair == "Action=GetCallerIdentity");
        let named = scope.signed_headers.split(';').any(|name| name == "x-k8s-aws-id");
        let fits = scope.fits(keys, "GET", url.path(), url.query()?, &header, &hash(b""));
        Some(asks && named && fits && scope.key == keys.id && (-SKEW..=TOKEN).contains(&age))
    };
    read().unwrap_or(false)
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A query in the order and the writing that signatures want.
fn canonical(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<_> = pairs
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (escaped(&decode(name), false), escaped(&decode(value), false)))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// A text as RFC 3986 escapes it; a path that is escaped already is escaped once more.
fn escaped(text: &str, path: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (path && byte == b'/');
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The server's time, in seconds since 1970.
pub fn now(ahead_s: i64) -> i64 {
    Timestamp::now().as_second().saturating_add(ahead_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the IAM User Guide ("Elements of an AWS API request signature", ListUsers).
    #[test]
    fn the_guides_own_example_is_accepted() {
        let keys = Keys { id: "AKIDEXAMPLE".into(), secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into() };
        let request = |signature: &str| {
            let request = http::Request::get("/?Action=ListUsers&Version=2010-05-08")
                .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
                .header("host", "iam.amazonaws.com")
                .header("x-amz-date", "20150830T123600Z")
                .header(
                    "authorization",
                    format!(
                        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                         SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
                    ),
                );
            request.body(()).unwrap().into_parts().0
        };
        let good = request("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
        let now = 1_440_938_160;
        let scope = Scope::of(&good).unwrap();
        assert_eq!((&*scope.service, &*scope.region), ("iam", "us-east-1"));
        assert_eq!(scope.check(&keys, &good, b"", now), Ok(()));
        for (head, body, now) in [
            (&good, &b"x"[..], now),
            (&good, b"", now + 3600),
            (&request("0d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"), b"", now),
        ] {
            let refused = Scope::of(head).unwrap().check(&keys, head, body, now).unwrap_err();
            assert_eq!(refused.code, "SignatureDoesNotMatch");
        }
    }
}
