//! Tables whose rows come from the program itself.

use super::model::Model;
use crate::{
    kinds::{HasId, cluster::Cluster, context},
    store::table::{Change, Changes, Covers, Meta, Span, Uid},
};

/// Fills the table of contexts.
pub fn contexts(model: &mut Model) {
    let shown = model.facts.as_ref().map(|facts| facts.context.as_str());
    let mut changes = Changes::default();
    for entry in &model.contexts {
        let meta = Meta {
            uid: Uid::hashed(&[entry.name.as_bytes()]),
            name: Span::push(&mut changes.names, &entry.name),
            ..Meta::default()
        };
        let row = context::Row {
            current: shown.map_or(entry.current, |shown| shown == entry.name),
            cluster: entry.cluster.clone(),
            user: entry.user.clone().unwrap_or_default(),
            server: entry.server.clone().unwrap_or_default(),
            namespace: entry.namespace.clone().unwrap_or_default(),
        };
        changes.changes.push(Change::Upsert(meta, row));
    }
    model.world.apply(context::Context::ID, Box::new(changes), 1);
}

/// Fills the table of clusters with what is known now.
pub fn fleet(model: &mut Model) {
    let shown = model.facts.as_ref().map(|facts| facts.context.as_str());
    let changes = model.fleet.rows(shown, model.now.div_euclid(1000));
    let epoch = model.fleet.next_epoch();
    model.world.apply(Cluster::ID, Box::new(changes), epoch);
    model.world.sweep(Cluster::ID, &Covers::All, epoch);
}
