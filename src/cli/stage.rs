//! What is explored: a cluster, or a recording in its place; and whether it is recorded.

use std::path::PathBuf;

use super::{arguments::Common, tell};
use crate::{
    config::dirs::Dirs,
    problem::Problem,
    recording::{Head, Recording},
    sim,
    sources::kube::session::{ConnectOptions, Contexts},
    store::lens::Scope,
};

/// What is explored: the cluster that the command line names, or a recording in its place.
pub(super) struct Stage {
    pub(super) common: Common,
    pub(super) view: Option<String>,
    pub(super) scope: Option<Scope>,
    pub(super) replay: Option<sim::Replay>,
    /// What leads to the replay, until it is read.
    pub(super) kubeconfig: Option<Temporary>,
}

impl Stage {
    pub(super) fn set(view: Option<String>, common: &Common, dirs: &Dirs) -> Result<Self, Problem> {
        let (mut common, scope) = (common.clone(), common.scope());
        let Some(path) = &common.replay else {
            return Ok(Self { common, view, scope, replay: None, kubeconfig: None });
        };
        let replay = sim::replay(path, common.speed.unwrap_or(1.0))?;
        let file = Temporary::kubeconfig("replay", dirs, replay.kubeconfig())?;
        common.kubeconfig = Some(file.0.clone());
        let view = view.or_else(|| replay.head.view.clone());
        let scope = scope.or_else(|| replay.head.scope.as_deref().map(Scope::parse));
        Ok(Self { common, view, scope, replay: Some(replay), kubeconfig: Some(file) })
    }

    pub(super) fn notice(&self) -> Option<Problem> {
        self.replay.as_ref().and_then(|replay| replay.notice.clone())
    }

    /// Begins the recording that is asked for.
    pub(super) fn record(
        &self,
        contexts: &Contexts,
        options: &mut ConnectOptions,
    ) -> Result<Option<Recording>, Problem> {
        let Some(path) = &self.common.record else { return Ok(None) };
        let context = self.common.context.as_deref().or(contexts.current());
        let namespace =
            contexts.list().into_iter().find(|entry| Some(&*entry.name) == context).and_then(|entry| entry.namespace);
        let scope = if self.common.all_namespaces { Some("all".to_owned()) } else { self.common.namespace.clone() };
        let recording = Recording::start(path, &Head::new(namespace, self.view.clone(), scope))?;
        options.recorder = Some(recording.recorder());
        Ok(Some(recording))
    }
}

/// Says what became of a recording.
pub(super) fn finish(recording: Option<Recording>) {
    let Some(recording) = recording else { return };
    match recording.finish() {
        Ok(written) => tell(&format!("ekscope: recorded {} answers to {} requests", written.bodies, written.requests)),
        Err(problem) => tell(&format!("ekscope: {problem}")),
    }
}

/// A file that goes with the program.
pub(super) struct Temporary(pub(super) PathBuf);

impl Temporary {
    /// A kubeconfig that goes with the program.
    pub(super) fn kubeconfig(name: &str, dirs: &Dirs, text: &str) -> Result<Self, Problem> {
        std::fs::create_dir_all(&dirs.cache)
            .map_err(|error| Problem::new(format!("cannot make {}", dirs.cache.display())).because(error))?;
        let file = Self(dirs.cache.join(format!("{name}-{}.kubeconfig", std::process::id())));
        sim::write_kubeconfig(&file.0, text)?;
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may never have come to be.
        let _ = std::fs::remove_file(&self.0);
    }
}
