//! How each source of credentials is asked. Keeps nothing; see `credentials` for when.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::oneshot;

use super::credentials::{CodeQuestion, Credentials, Keeper};
use super::error::{AwsError, ErrorKind, SignInFailure, WayOut};
use super::profile::{Role, Source};
use super::sts::Sts;
use super::{metadata, sso};
use crate::problem::Problem;
use crate::sources::net::child::{self, Ended, tail};
use crate::util::redact::redact;

/// A command that signs in may take a person a while.
const PROCESS_TIMEOUT: Duration = Duration::from_mins(1);

type Minted<'a> = Pin<Box<dyn Future<Output = Result<Credentials, SignInFailure>> + Send + 'a>>;

/// Asks a source, and for roles the sources below it.
pub(super) fn mint<'a>(keeper: &'a Keeper, source: &'a Source, now: Timestamp) -> Minted<'a> {
    Box::pin(async move {
        match source {
            Source::Keys { id, secret, token, origin } => Ok(Credentials {
                id: id.clone(),
                secret: secret.clone(),
                token: token.clone(),
                expires: None,
                origin: origin.clone(),
            }),
            Source::Sso(sso) => {
                sso::credentials(&keeper.http, &keeper.endpoints, &keeper.wish.environment, sso, now).await
            }
            Source::Process { profile, command } => process(keeper, profile, command).await,
            Source::Container => metadata::container(&keeper.http, &keeper.wish.environment).await.map_err(Into::into),
            Source::Instance => metadata::instance(&keeper.http, &keeper.wish.environment)
                .await
                .map_err(|why| nothing_found(keeper, &why).into()),
            Source::WebIdentity { token_file, role } => {
                let token = tokio::fs::read_to_string(token_file).await.map_err(|error| {
                    Problem::new(format!("cannot read the web identity token {}", token_file.display())).because(error)
                })?;
                let sts = sts(keeper, role, now);
                sts.assume_role_with_web_identity(role, token.trim()).await.map_err(|error| not_assumed(role, &error))
            }
            Source::Assumed { base, role } => {
                let base = mint(keeper, base, now).await?;
                let code = match &role.mfa_serial {
                    Some(serial) => Some(ask(keeper, role, serial).await?),
                    None => None,
                };
                // The question may have taken a while.
                let sts = sts(keeper, role, if code.is_some() { Timestamp::now() } else { now });
                sts.assume_role(&base, role, code.as_deref()).await.map_err(|error| not_assumed(role, &error))
            }
        }
    })
}

fn sts<'a>(keeper: &'a Keeper, role: &'a Role, now: Timestamp) -> Sts<'a> {
    let region = role.region.as_deref().unwrap_or(&keeper.region);
    Sts { http: &keeper.http, endpoints: &keeper.endpoints, region, now }
}

fn not_assumed(role: &Role, error: &AwsError) -> SignInFailure {
    let problem = Problem::new(format!("the role {} cannot be assumed", role.arn)).because(error.problem());
    match &error.kind {
        // A wrong code is a denial too, and the message says which.
        ErrorKind::Denied(_) if role.mfa_serial.is_some() => SignInFailure {
            problem: problem.hint("`:reload` on screen asks for another code; each is good for one use"),
            way_out: WayOut::Code,
        },
        ErrorKind::Denied(_) => {
            problem.hint("its trust policy must name your identity, which needs sts:AssumeRole").into()
        }
        ErrorKind::Invalid if role.seconds.is_some() => problem
            .hint("lower duration_seconds in the profile, or take it out: a role that a role assumes lasts an hour at most")
            .into(),
        ErrorKind::Expired => problem.hint("the credentials that assume it have expired: renew them and reload").into(),
        _ => problem.into(),
    }
}

async fn ask(keeper: &Keeper, role: &Role, serial: &str) -> Result<String, SignInFailure> {
    let profile = role.profile.clone().unwrap_or_default();
    let unanswered = |why: &str| SignInFailure {
        problem: Problem::new(format!("the profile {profile} needs a code from {serial}"))
            .because(why)
            .hint("`:reload` on screen asks for it"),
        way_out: WayOut::Code,
    };
    let Some(questions) = &keeper.ask else {
        return Err(unanswered("nobody can be asked for it here"));
    };
    let (answer, code) = oneshot::channel();
    let question = CodeQuestion { profile: profile.clone(), role: role.arn.clone(), serial: serial.to_owned(), answer };
    if questions.send(question).is_err() {
        return Err(unanswered("nobody can be asked for it any more"));
    }
    match code.await {
        Ok(Some(code)) if !code.trim().is_empty() => Ok(code.trim().to_owned()),
        _ => Err(unanswered("no code was given")),
    }
}

/// `credential_process`: a command line whose output is a key (SDKs and Tools Reference Guide, "Process credential
/// provider").
async fn process(keeper: &Keeper, profile: &str, line: &str) -> Result<Credentials, SignInFailure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        version: u32,
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: Option<SecretString>,
        expiration: Option<String>,
    }
    let mut command = if cfg!(windows) {
        let mut command = Command::new("cmd.exe");
        command.args(["/C", line]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    };
    command.envs(keeper.wish.environment.variables());
    let (ended, output) = child::run(command, PROCESS_TIMEOUT).await;
    let said = tail(&redact(&String::from_utf8_lossy(&output.stderr), &[]));
    let failed = |why: String| {
        Problem::new(format!("the credential_process of profile {profile} gave no credentials"))
            .because(format!("{why}{said}"))
            .hint("run it in a shell to see what it says")
    };
    match ended {
        Ended::Exited(status) if status.success() => {}
        Ended::Exited(status) => return Err(failed(status.to_string()).into()),
        Ended::TimedOut => return Err(failed(format!("it did not finish within {PROCESS_TIMEOUT:?}")).into()),
        Ended::NotStarted(error) | Ended::Lost(error) => return Err(failed(error.to_string()).into()),
    }
    // serde_json's messages quote no input, so that a key cannot slip out with them.
    let printed: Printed = serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("its output is not what it should be (line {})", error.line())))?;
    if printed.version != 1 {
        return Err(failed(format!("its output has Version {}, not 1", printed.version)).into());
    }
    let expires = match printed.expiration {
        Some(text) => Some(text.parse().map_err(|_| failed("its Expiration is not a time".to_owned()))?),
        None => None,
    };
    Ok(Credentials {
        id: printed.access_key_id,
        secret: printed.secret_access_key,
        token: printed.session_token,
        expires,
        origin: format!("the credential_process of profile {profile}"),
    })
}

/// The end of the chain: nothing was configured, and there is no instance role either.
fn nothing_found(keeper: &Keeper, why: &Problem) -> Problem {
    let profile = keeper.wish.profile_name();
    let looked = match keeper.wish.profile {
        Some(_) => format!("profile {profile}"),
        None => format!("the environment, profile {profile}"),
    };
    Problem::new("there are no AWS credentials")
        .because(format!("looked in {looked} and on the instance: {why}"))
        .hint("choose a profile with --profile or AWS_PROFILE, or sign in with `aws configure sso`")
}
