//! What can be done in the table of clusters: connect, go to a cluster's node groups, read its page.

use super::{Command, Scope};
use crate::{
    app::{effect::Effect, fleet::Page, model::Model},
    kinds::{HasId, cluster::Cluster},
    problem::Problem,
    sources::aws::fleet,
    store::table::Uid,
    ui::theme::Role,
    view::{
        View, cluster,
        text::{Line, TextKind, TextView},
    },
};

type Done = Result<Vec<Effect>, Problem>;

const CLUSTERS: Command = Command { scope: Scope::Kind("clusters"), ..Command::BASE };

/// Of the table of clusters.
pub const COMMANDS: &[Command] = &[
    Command {
        id: "clusters.nodegroups",
        keys: &["b"],
        help: "Connect, and show the cluster's node groups",
        hint: "node groups",
        when: has_cluster,
        run: |m, _| go(m, Some("nodegroups")),
        ..CLUSTERS
    },
    Command {
        id: "clusters.page",
        keys: &["d"],
        help: "What EKS says of the cluster, and what to do about it",
        hint: "describe",
        when: has_cluster,
        run: |m, _| page(m),
        ..CLUSTERS
    },
];

/// The profile that asks for the cluster under the cursor; keys of the environment are no profile.
pub(super) fn profile(model: &Model) -> Option<&str> {
    let view = model.table().filter(|view| view.kind == Cluster::ID)?;
    let (_, row) = model.world.table::<Cluster>().get(view.current(&model.world)?)?;
    Some(&*row.profile).filter(|profile| !matches!(*profile, "" | fleet::ENVIRONMENT))
}

fn current(model: &Model) -> Option<(Uid, String)> {
    let view = model.table().filter(|view| view.kind == Cluster::ID)?;
    let rows = model.world.rows(view.kind);
    let id = view.current(&model.world)?;
    Some((rows.meta(id)?.uid, rows.name(id).to_owned()))
}

fn has_cluster(model: &Model) -> bool {
    current(model).is_some()
}

/// Enter: connects. Where nothing leads to a cluster its page says why.
pub fn enter(model: &mut Model) -> Done {
    match current(model) {
        Some((uid, _)) if model.fleet.way(uid).is_err() => page(model),
        _ => go(model, None),
    }
}

/// Connects to the cluster under the cursor and runs a line there.
fn go(model: &mut Model, line: Option<&str>) -> Done {
    let Some((uid, _)) = current(model) else { return Ok(Vec::new()) };
    model.fleet.way(uid)?;
    let shown = model.world.table::<Cluster>().iter().any(|(_, meta, row)| meta.uid == uid && row.connected);
    if !shown {
        model.pending_line = line.map(str::to_owned).or(model.pending_line.take());
        return Ok(vec![Effect::Join(uid)]);
    }
    // It is there already.
    if let Some(line) = line {
        return super::line::run(model, line);
    }
    let effects = super::navigate::back(model);
    if current(model).is_some() {
        super::line::show_pods(model);
    }
    effects
}

fn page(model: &mut Model) -> Done {
    let Some((uid, name)) = current(model) else { return Ok(Vec::new()) };
    let found = model.world.table::<Cluster>().iter().find(|(_, meta, _)| meta.uid == uid);
    let (Some((_, _, row)), Some(page)) = (found, model.fleet.page(uid)) else { return Ok(Vec::new()) };
    let lines = match page {
        Page::Cluster { cluster, session } => cluster::lines(cluster, row, session, model.now.div_euclid(1000)),
        Page::Problem(problem) => {
            let parts = [(problem.what, Role::Warning), (problem.why, Role::Text), (problem.hint, Role::Dim)];
            parts.into_iter().filter(|(text, _)| !text.is_empty()).map(|(text, role)| Line::role(text, role)).collect()
        }
    };
    let title = format!("cluster({name})");
    model.views.push(View::Text(Box::new(TextView::new(TextKind::Page, title, name, lines))));
    model.dirty = true;
    Ok(Vec::new())
}
