//! `ekscope doctor`: who we are to AWS and to the cluster, what each may be asked, and how far the clocks are apart. Plain
//! text for people; it asks and changes nothing.

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use jiff::Timestamp;
use serde::Deserialize;

use crate::problem::Problem;
use crate::sources::aws::eks::Cluster;
use crate::sources::aws::permissions::{self, CHANGES, Tried, Verdict};
use crate::sources::aws::standing::{self, AwsStanding};
use crate::sources::aws::{AwsSession, endpoint};
use crate::sources::kube::session::{SendError, Session, collect, status_of};

/// More than this and tokens are refused sooner or later.
const CLOCK_TOLERANCE: i64 = 60;

/// What there is to look at.
pub struct Patient {
    /// The context's session; none where no kubeconfig has a context.
    pub kube: Result<Option<Session>, Problem>,
    /// The AWS session: the context's, or the one that the command line asks for.
    pub aws: Result<AwsSession, Problem>,
    /// Whether the context is a cluster of EKS, so that AWS is needed to sign in.
    pub is_eks: bool,
}

/// What was found, and whether the main job works: to reach the cluster and list pods, or without any cluster to be
/// somebody in AWS.
pub struct Findings {
    pub text: String,
    pub well: bool,
}

/// Looks at everything. Each part fails alone.
pub async fn run(patient: Patient) -> Findings {
    let mut report = Report(String::new());
    let (mut kube, aws) = tokio::join!(kubernetes(&patient), amazon(&patient));
    kube.lines.extend(kube.failure.and_then(|failure| way_in(failure, &aws)));
    for (title, lines) in [("Kubernetes", &kube.lines), ("AWS", &aws.lines)] {
        report.title(title);
        lines.iter().for_each(|line| report.line(line));
    }
    report.permissions(&aws.permissions);
    if let Ok(session) = &patient.aws {
        report.endpoints(session, &aws.permissions);
    }
    let partition = patient.aws.as_ref().map_or("aws", AwsSession::partition);
    for (what, policy) in permissions::policies(partition) {
        report.title(&format!("Policy {what}"));
        report.0.push_str(&policy);
    }
    // Without any kubeconfig there is no cluster to reach, and AWS is the main job.
    Findings { text: report.0, well: kube.well.unwrap_or(aws.well.unwrap_or(false)) }
}

#[derive(Default)]
struct Part {
    lines: Vec<Line>,
    /// None where there is nothing to look at.
    well: Option<bool>,
    permissions: Vec<Tried>,
    /// Why the API server did not answer.
    failure: Option<Failure>,
    /// The ARN that an access entry would name.
    principal: Option<String>,
    /// The cluster as EKS describes it.
    cluster: Option<Box<Cluster>>,
}

#[derive(Clone, Copy)]
enum Failure {
    NotReached,
    NotLetIn,
}

/// What AWS knows about a failure to get into the cluster.
fn way_in(failure: Failure, aws: &Part) -> Option<Line> {
    let cluster = aws.cluster.as_ref()?;
    match failure {
        Failure::NotReached => Some(unknown("network", cluster.closed()?)),
        Failure::NotLetIn => {
            let mode = cluster.access_config.authentication_mode.as_deref().unwrap_or("not known");
            Some(unknown(
                "access",
                format!(
                    "authentication mode is {mode}; to be let in: aws eks create-access-entry --cluster-name {} \
                     --principal-arn {}",
                    cluster.name,
                    aws.principal.as_deref()?,
                ),
            ))
        }
    }
}

struct Line {
    sign: &'static str,
    what: &'static str,
    text: String,
}

fn ok(what: &'static str, text: impl Into<String>) -> Line {
    Line { sign: "ok", what, text: text.into() }
}

fn bad(what: &'static str, problem: &Problem) -> Line {
    Line { sign: "BAD", what, text: problem.to_string() }
}

fn unknown(what: &'static str, text: impl Into<String>) -> Line {
    Line { sign: "?", what, text: text.into() }
}

struct Report(String);

impl Report {
    fn title(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(title);
        self.0.push('\n');
    }

    fn line(&mut self, line: &Line) {
        // What comes from outside must not drive the terminal. Writing to a string cannot fail.
        let text: String = line.text.chars().filter(|character| !character.is_control()).collect();
        let _ = writeln!(self.0, "  {:<4} {:<12} {text}", line.sign, line.what);
    }

    fn permissions(&mut self, tried: &[Tried]) {
        if tried.is_empty() {
            return;
        }
        self.title("Permissions");
        for Tried { panel, permission, verdict } in tried {
            let (sign, words) = match verdict {
                Verdict::Granted => ("ok", String::new()),
                Verdict::Denied(why) => ("BAD", why.clone()),
                Verdict::Unknown(why) => ("?", why.clone()),
            };
            self.line(&Line { sign, what: panel, text: format!("{permission:<42} {words}").trim_end().to_owned() });
        }
        for change in CHANGES {
            self.line(&unknown("scaling", format!("{change:<42} not tried, it changes something").trim_end()));
        }
    }
}

impl Report {
    /// Where each service is, and whether it answered any of the tries.
    fn endpoints(&mut self, session: &AwsSession, tried: &[Tried]) {
        if tried.is_empty() {
            return;
        }
        self.title("Endpoints");
        for service in [endpoint::EKS, endpoint::AUTO_SCALING, endpoint::EC2, endpoint::SSM, endpoint::PRICING] {
            let region = match service {
                endpoint::PRICING => endpoint::partition(session.region()).pricing,
                _ => Some(session.region()),
            };
            let Some(region) = region else {
                self.line(&unknown(service.name, format!("there is none for partition {}", session.partition())));
                continue;
            };
            let own = |it: &&Tried| it.permission.split(':').next() == Some(service.name);
            let answered = tried.iter().filter(own).any(|it| !matches!(it.verdict, Verdict::Unknown(_)));
            let url = session.endpoints().url(service, region);
            self.line(&if answered { ok(service.name, url) } else { unknown(service.name, url) });
        }
    }
}

async fn kubernetes(patient: &Patient) -> Part {
    let session = match &patient.kube {
        Ok(Some(session)) => session,
        Ok(None) => {
            let none = "no kubeconfig names a cluster; --eks NAME needs none";
            return Part { lines: vec![unknown("context", none)], ..Part::default() };
        }
        Err(problem) => {
            return Part { lines: vec![bad("context", problem)], well: Some(false), ..Part::default() };
        }
    };
    let facts = session.facts();
    let mut lines =
        vec![ok("context", format!("{} at {}, signing in by {}", facts.context, facts.server, facts.sign_in))];
    let (mut well, mut failure) = (true, None);
    let mut fail = |what, error: Refusal| {
        well = false;
        failure = Some(if error.unauthorized { Failure::NotLetIn } else { Failure::NotReached });
        bad(what, &error.problem)
    };
    match version(session).await {
        Ok(version) => {
            lines.push(ok("server", version));
            lines.push(match may_list_pods(session).await {
                Ok(true) => ok("pods", "may be listed in all namespaces"),
                Ok(false) => unknown("pods", "may not be listed in all namespaces; give one with -n"),
                Err(error) => fail("pods", error),
            });
        }
        Err(error) => lines.push(fail("server", error)),
    }
    Part { lines, well: Some(well), failure, ..Part::default() }
}

/// Why the API server gave no good answer.
struct Refusal {
    problem: Problem,
    unauthorized: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, unauthorized: false }
    }
}

/// The body of an answer that went well.
async fn answer(session: &Session, request: Request<Bytes>) -> Result<Bytes, Refusal> {
    let refusal = |error: SendError| Refusal {
        problem: error.problem(session),
        unauthorized: matches!(error, SendError::Unauthorized { .. }),
    };
    let response = session.send(request).await.map_err(refusal)?;
    if !response.status().is_success() {
        let status = status_of(response).await;
        let why = format!("{} ({})", status.message, status.code);
        return Err(Problem::new("the API server refuses").because(why).into());
    }
    collect(response.into_body(), Duration::from_secs(15), 1 << 20).await.map_err(refusal)
}

async fn version(session: &Session) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let started = Instant::now();
    let body = answer(session, Request::new(Bytes::new()).map_path("/version")).await?;
    let version: Version =
        serde_json::from_slice(&body).map_err(|error| Problem::new("cannot read /version").because(error))?;
    Ok(format!("{}, answered in {} ms", version.git_version, started.elapsed().as_millis()))
}

async fn may_list_pods(session: &Session) -> Result<bool, Refusal> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Status {
        allowed: bool,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Review {
        status: Status,
    }
    let review = serde_json::json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": { "resource": "pods", "verb": "list" } },
    });
    let mut request = Request::new(Bytes::from(review.to_string()))
        .map_path("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    let body = answer(session, request).await?;
    let review: Review =
        serde_json::from_slice(&body).map_err(|error| Problem::new("cannot read the review").because(error))?;
    Ok(review.status.allowed)
}

/// A request for a fixed path.
trait MapPath {
    fn map_path(self, path: &'static str) -> Self;
}

impl MapPath for Request<Bytes> {
    fn map_path(mut self, path: &'static str) -> Self {
        *self.uri_mut() = http::Uri::from_static(path);
        self
    }
}

async fn amazon(patient: &Patient) -> Part {
    let session = match &patient.aws {
        Ok(session) => session,
        Err(problem) => return Part { lines: vec![bad("session", problem)], well: Some(false), ..Part::default() },
    };
    let mut lines = vec![ok("profile", session.profile())];
    lines.extend(session.problems().iter().map(|problem| unknown("profiles", problem.to_string())));
    lines.push(match session.chosen_region() {
        Some(region) => ok("region", region),
        None => unknown("region", "none is chosen: give --region, AWS_REGION or a region in the profile"),
    });
    let credentials = match session.credentials().await {
        Ok(credentials) => credentials,
        Err(failure) => {
            // To a cluster that is not EKS, AWS does not matter.
            let needed = patient.is_eks || !matches!(patient.kube, Ok(Some(_)));
            lines.push(if needed {
                bad("credentials", &failure.problem)
            } else {
                unknown("credentials", failure.problem.to_string())
            });
            return Part { lines, well: Some(false), ..Part::default() };
        }
    };
    let until = match credentials.expires {
        Some(end) => {
            let minutes = end.duration_since(Timestamp::now()).as_mins();
            format!("until {} ({minutes} min)", end.strftime("%Y-%m-%d %H:%M:%SZ"))
        }
        None if credentials.token.is_some() => "until nobody knows when".to_owned(),
        None => "without an end of their own".to_owned(),
    };
    lines.push(ok("credentials", format!("from {}, {until}", credentials.origin)));
    let started = Instant::now();
    let identity = session.identity().await;
    let well = identity.is_ok();
    lines.push(match &identity {
        Ok(identity) => ok("identity", format!("{} in account {}", identity.arn, identity.account)),
        Err(error) => bad("identity", &error.problem()),
    });
    let url = session.endpoints().url(endpoint::STS, session.region());
    lines.push(match &identity {
        Ok(_) => ok("endpoint", format!("{url} answered in {} ms", started.elapsed().as_millis())),
        Err(_) => unknown("endpoint", url),
    });
    lines.push(clock(session.clock_ahead()));
    let claim = patient.kube.as_ref().ok().and_then(|kube| Some(&kube.as_ref()?.eks()?.ok()?.claim));
    let mut part = Part {
        lines,
        well: Some(well),
        principal: identity.ok().map(|identity| identity.principal()),
        ..Part::default()
    };
    if !well {
        return part;
    }
    if let Some(claim) = claim {
        part.lines.push(match standing::check(session, claim).await {
            AwsStanding::Ours(cluster) => {
                part.cluster = cluster;
                ok("cluster", format!("{} is this account's", claim.name))
            }
            AwsStanding::Mismatch(problem) => bad("cluster", &problem),
            other => unknown("cluster", other.problem().map(ToString::to_string).unwrap_or_default()),
        });
    }
    part.permissions = permissions::try_all(session, claim.map(|claim| claim.name.as_str())).await;
    part
}

fn clock(ahead: Option<i64>) -> Line {
    match ahead {
        None => unknown("clock", "no answer had a date"),
        Some(ahead) if ahead.abs() <= CLOCK_TOLERANCE => ok("clock", "agrees with AWS within a minute"),
        Some(ahead) => {
            let side = if ahead > 0 { "ahead of" } else { "behind" };
            let problem = Problem::new(format!("this machine is {} s {side} AWS", ahead.abs()));
            bad("clock", &problem.hint("set it right: tokens and signatures are only good for minutes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::aws::{Environment, SessionOptions, Wish};
    use crate::sources::kube::session::{ConnectOptions, Contexts};
    use crate::sources::net::server::{Server, answer, sent};

    async fn aws(denied: bool) -> Server {
        Server::plain(move |parts| {
            let mut answered = match sent(parts) {
                body if body.starts_with("Action=GetCallerIdentity") && denied => answer(
                    403,
                    "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>it has expired</Message></Error></ErrorResponse>",
                ),
                body if body.starts_with("Action=GetCallerIdentity") => answer(
                    200,
                    "<r><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/me</Arn><Account>1</Account></GetCallerIdentityResult></r>",
                ),
                body if body.starts_with("Action=") => answer(200, "<r/>"),
                _ => answer(404, "<html>"),
            };
            answered.headers_mut().insert("date", "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap());
            answered
        })
        .await
    }

    fn session(server: &Server) -> AwsSession {
        let url = format!("http://{}", server.address);
        let environment = Environment::default().with([
            ("AWS_ACCESS_KEY_ID", "K"),
            ("AWS_SECRET_ACCESS_KEY", "t0p-secret"),
            ("AWS_ENDPOINT_URL", &url),
        ]);
        let wish = Wish { region: Some("cn-north-1".into()), environment, ..Wish::default() };
        AwsSession::open(wish, &SessionOptions::default()).unwrap()
    }

    fn kube(server: &Server) -> Session {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let config = json!({
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", server.address) } }],
            "contexts": [{ "name": "x", "context": { "cluster": "c" } }],
            "current-context": "x",
        });
        std::fs::write(&file, config.to_string()).unwrap();
        let options = ConnectOptions { kubeconfig: Some(file), ..ConnectOptions::default() };
        let contexts = Contexts::load_from(&options, crate::sources::kube::session::Environment::default()).unwrap();
        Session::open_in(&contexts, &options, None).unwrap()
    }

    #[tokio::test]
    async fn everything_is_looked_at_and_the_main_job_decides() {
        let api = Server::plain(|parts| match parts.uri.path() {
            "/version" => answer(200, r#"{"gitVersion":"v1.33.4-eks-1"}"#),
            _ => answer(201, r#"{"status":{"allowed":true}}"#),
        })
        .await;
        let amazon = aws(false).await;
        let patient = Patient { kube: Ok(Some(kube(&api))), aws: Ok(session(&amazon)), is_eks: false };
        let findings = run(patient).await;
        for words in [
            "v1.33.4-eks-1",
            "may be listed in all namespaces",
            "arn:aws:iam::1:user/me in account 1",
            "the environment (AWS_ACCESS_KEY_ID), without an end",
            "s ahead of AWS",
            "this endpoint does not know eks:ListClusters",
            "ok   node groups  autoscaling:DescribeAutoScalingGroups",
            "eks:UpdateNodegroupConfig",
            "arn:aws-cn:ssm:*::parameter/aws/service/*",
            "  ok   autoscaling  http://127.0.0.1",
            "  ?    eks          http://127.0.0.1",
        ] {
            assert!(findings.text.contains(words), "{words} in\n{}", findings.text);
        }
        assert!(findings.well && !findings.text.contains("t0p-secret"), "{}", findings.text);
    }

    #[tokio::test]
    async fn without_aws_a_cluster_is_enough_and_without_a_cluster_aws_is() {
        let refuses = Server::plain(|_| answer(503, "")).await;
        let (good, expired) = (aws(false).await, aws(true).await);
        for (kube, amazon, well) in [
            (Ok(None), &good, true),
            (Ok(None), &expired, false),
            (Ok(Some(kube(&refuses))), &good, false),
            (Err(Problem::new("broken")), &good, false),
        ] {
            let findings = run(Patient { kube, aws: Ok(session(amazon)), is_eks: false }).await;
            assert_eq!(findings.well, well, "{}", findings.text);
        }
    }
}
