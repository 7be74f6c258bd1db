//! Sessions against an AWS on loopback that answers as the API references say. Nothing here waits for time to pass and
//! nothing touches the real environment.

mod calls;
mod change;
mod fleet;
mod groups;
mod signing_in;
mod simulated;
mod standing;
mod tokens;

use http::request::Parts;
use tempfile::TempDir;

use super::*;
use crate::sources::net::server::{Answer, Server, answer, sent};

const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "t0p-secret")];

/// A home folder, and an AWS that answers by the operation asked for.
struct World {
    home: TempDir,
    server: Server,
}

impl World {
    /// `respond` is given the operation (of query services) or the path, and the body.
    async fn new(respond: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::of(Server::plain(move |parts| respond(&operation(parts), sent(parts))).await)
    }

    fn of(server: Server) -> Self {
        Self { home: tempfile::tempdir().unwrap(), server }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join(".aws").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// An environment without keys, in which nobody answers as an instance.
    fn environment(&self) -> Environment {
        let environment = Environment::default().at_home(self.home.path().to_owned());
        environment.with([("AWS_ENDPOINT_URL", &*self.url()), ("AWS_EC2_METADATA_DISABLED", "true")])
    }

    fn wish(&self) -> Wish {
        Wish { region: Some("eu-west-1".into()), environment: self.environment(), ..Wish::default() }
    }

    fn with_key(&self) -> Wish {
        Wish { environment: self.environment().with(KEY), ..self.wish() }
    }

    fn session(&self) -> AwsSession {
        AwsSession::open(self.with_key(), &SessionOptions::default()).unwrap()
    }

    /// Operations and bodies of all requests so far.
    fn asked(&self) -> Vec<(String, String)> {
        self.server.seen().iter().map(|parts| (operation(parts), sent(parts).to_owned())).collect()
    }

    fn operations(&self) -> Vec<String> {
        self.asked().into_iter().map(|(operation, _)| operation).collect()
    }
}

/// `Action` of a query, the target of JSON 1.1, or method, path and what the query says in alphabetical order.
fn operation(parts: &Parts) -> String {
    let body = sent(parts);
    if let Some(target) = parts.headers.get("x-amz-target") {
        return target.to_str().unwrap().to_owned();
    }
    if let Some(rest) = body.strip_prefix("Action=") {
        return rest.split('&').next().unwrap().to_owned();
    }
    let mut pairs: Vec<&str> = parts.uri.query().into_iter().flat_map(|query| query.split('&')).collect();
    pairs.sort_unstable();
    let mark = if pairs.is_empty() { "" } else { "?" };
    format!("{} {}{mark}{}", parts.method, parts.uri.path(), pairs.join("&"))
}

/// What STS gives for a role.
fn assumed(operation: &str, id: &str) -> Answer {
    answer(
        200,
        format!(
            "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result><Credentials>\
             <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></{operation}Result></{operation}Response>"
        ),
    )
}

fn identity(account: &str) -> Answer {
    answer(
        200,
        format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/me</Arn>\
             <UserId>AIDA</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
    )
}

fn query_error(status: u16, code: &str, message: &str) -> Answer {
    answer(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>r-1</RequestId></ErrorResponse>"
        ),
    )
}
