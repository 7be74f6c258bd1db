//! What the command line does with AWS: `--eks`, `doctor`, and whom to ask for clusters.

use std::convert::Infallible;
use std::io::{BufRead, IsTerminal, Write};

use tokio::sync::mpsc;

use super::{arguments::Common, log, runtime, settings, write_out};
use crate::app::{doctor, model::Model};
use crate::command;
use crate::config::{Settings, dirs::Dirs, settings::Config};
use crate::kinds::{Kind, cluster::Cluster};
use crate::problem::Problem;
use crate::sources::aws::fleet::Survey;
use crate::sources::aws::{self, AwsSession, CodeQuestion, ErrorKind, SessionOptions, Wish, eks};
use crate::sources::kube::session::{ConnectOptions, Contexts, Session};

/// Questions that credentials raise on the way.
pub type Questions = mpsc::UnboundedReceiver<CodeQuestion>;

/// Asks EKS for a cluster; the session that could is to be used further on, so that nobody is asked for a code twice.
pub async fn describe(name: &str, wish: Wish, options: &ConnectOptions) -> Result<(eks::Cluster, AwsSession), Problem> {
    let session = AwsSession::open(wish, &options.aws())?;
    if session.chosen_region().is_none() {
        return Err(Problem::new(format!("in which region is the cluster {name}?"))
            .because("neither --region, AWS_REGION nor the profile says")
            .hint(format!("ekscope --eks {name} --region eu-west-1")));
    }
    let cluster = eks::describe_cluster(&session, name).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => Problem::new(format!("there is no EKS cluster {name} in {}", session.region()))
            .because(error.message)
            .hint("check the name, --region and --profile"),
        _ => error.problem(),
    })?;
    Ok((cluster, session))
}

/// Whom to ask for clusters, and where.
pub fn survey(common: &Common, config: &Config, contexts: &Contexts, options: &ConnectOptions) -> Survey {
    let claims = contexts.known().into_iter().filter_map(|known| known.claim);
    let regions = claims.filter_map(|claim| claim.region.clone().or(claim.host_region().map(str::to_owned)));
    Survey {
        environment: common.aws_wish().environment,
        // Many profiles are asked unbidden: nobody is to type a code for each.
        options: SessionOptions { ask: None, ..options.aws() },
        profiles: config.fleet.profiles.clone(),
        regions: config.fleet.regions.clone(),
        contexts: regions.collect(),
        patience: aws::fleet::PATIENCE,
    }
}

/// The line to begin with: without any kubeconfig the clusters that AWS has, and what was asked for in the one that is
/// chosen there.
pub fn begin(
    model: &mut Model,
    line: Option<String>,
    survey: Option<&Survey>,
    contexts: &Contexts,
    options: &ConnectOptions,
) -> Option<String> {
    let Some(survey) = survey else {
        model.fleet.switch_off(nobody_asked());
        return line;
    };
    let somewhere = options.cluster.is_some() || !contexts.list().is_empty();
    let detached = line.as_ref().is_some_and(|line| command::line::needs_no_cluster(model, line));
    if somewhere || detached || !survey.is_configured() {
        return line;
    }
    model.pending_line = line;
    Some(Cluster::DEFINITION.plural.to_owned())
}

/// Why AWS is not asked for clusters.
pub fn nobody_asked() -> Problem {
    Problem::new("AWS is not asked for clusters here").because("a recording is all there is")
}

/// Looks at everything that has to be right, and prints what it finds.
pub fn doctor(common: &Common) -> Result<u8, Problem> {
    let dirs = Dirs::find(super::environment)?;
    let Settings { config, .. } = settings(&dirs, &common.overrides());
    log(&dirs, config.log);
    let (options, mut questions) = common.asking(&config);
    let options = ConnectOptions { read_only: true, ..options };
    let contexts = contexts(common, &options, &mut questions);
    let kube = contexts.and_then(|contexts| {
        if contexts.list().is_empty() { Ok(None) } else { Session::open_in(&contexts, &options, None).map(Some) }
    });
    let of_context = kube.as_ref().ok().and_then(|kube| kube.as_ref()?.eks());
    let is_eks = of_context.is_some();
    let asked = common.eks.is_none() && (common.profile.is_some() || common.region.is_some());
    let aws = match of_context {
        Some(eks) if !asked => eks.map(|eks| eks.session.clone()).map_err(Clone::clone),
        _ => AwsSession::open(common.aws_wish(), &options.aws()),
    };
    let look = doctor::run(doctor::Patient { kube, aws, is_eks });
    let findings = runtime()?.block_on(answering(&mut questions, look));
    write_out(&findings.text);
    Ok(u8::from(!findings.well))
}

/// Does something and meanwhile asks for codes of MFA devices on the terminal; where nobody sits at one, there is no
/// answer.
pub async fn answering<T>(questions: &mut Questions, work: impl Future<Output = T>) -> T {
    let answer = async {
        while let Some(question) = questions.recv().await {
            let prompt = format!("Code of {} for profile {}: ", question.serial, question.profile);
            let code = tokio::task::spawn_blocking(move || read_line(&prompt)).await.ok().flatten();
            // Whoever asked may have given up.
            let _ = question.answer.send(code);
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        done = work => done,
        never = answer => match never {},
    }
}

fn read_line(prompt: &str) -> Option<String> {
    let (input, mut out) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() {
        return None;
    }
    out.write_all(prompt.as_bytes()).and_then(|()| out.flush()).ok()?;
    let mut line = String::new();
    input.lock().read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|code| !code.is_empty())
}

/// The contexts, with the cluster that `--eks` names as the current one. Asks EKS for it, before the screen is taken.
pub(super) fn contexts(
    common: &Common,
    options: &ConnectOptions,
    questions: &mut Questions,
) -> Result<Contexts, Problem> {
    let mut contexts = Contexts::load(options)?;
    if let Some(name) = &common.eks {
        let wish = common.aws_wish();
        let added = runtime()?.block_on(answering(questions, describe(name, wish, options)));
        let (cluster, session) = added?;
        contexts.add_eks(&cluster, session)?;
    }
    Ok(contexts)
}
