//! What has to be asked for, as the views on the stack want it: streams, metrics, clusters of the fleet. Opens nothing; the
//! effects do, and `streams` keeps account of what is open.

use super::{
    effect::{Effect, Ticket},
    model::Model,
    streams::Want,
};
use crate::{
    kinds::{
        HasId, KindId, KindInfo, Origin,
        cluster::Cluster,
        node::Node,
        nodegroup::{self, NodeGroup},
        pod::Pod,
    },
    sources::{
        aws::fleet::Watched,
        kube::{
            fetch::Request,
            metrics::{Ask, Subject},
        },
    },
    store::{lens::Pin, stream::StreamState},
    view::{View, table::TableView},
};

/// For how long a context's first view is alone, at most, milliseconds.
const HEAD_START: i64 = 1_000;

impl Model {
    /// Whether rows of a kind are on screen or joined into what is.
    pub fn shows(&self, kind: KindId) -> bool {
        let info = self.world.kind(kind);
        let Some(view) = self.table() else { return false };
        // The header counts nodes and pods.
        let counted = kind == Node::ID || kind == Pod::ID;
        counted || view.kind == kind || self.world.kind(view.kind).joins.contains(&&*info.plural)
    }

    /// What the streams have to bring for the views on the stack, the top view's first.
    pub fn wants(&self) -> Vec<Want> {
        let mut wants = Vec::new();
        let tables: Vec<&TableView> = self.views.iter().rev().filter_map(View::as_table).collect();
        for view in &tables {
            wants.extend(self.wants_of(view));
        }
        let joining = if self.first_view_is_served() { tables.as_slice() } else { &[] };
        for view in joining {
            for joined in self.world.kind(view.kind).joins {
                if let Some(kind) = self.kind_named(joined) {
                    let info = self.world.kind(kind);
                    if info.origin == Origin::Aws {
                        let of_aws = |want: &Want| self.eks && want.object.as_deref() == Some(nodegroup::AWS_PART);
                        wants.extend(self.parts_of_groups(kind).into_iter().filter(of_aws));
                        continue;
                    }
                    // Nobody asks for what the server may not have.
                    if info.is_custom() && !info.served {
                        continue;
                    }
                    wants.extend(self.streams.wants(kind, info.namespaced, &view.lens.scope));
                }
            }
        }
        // A change on its way is followed wherever one looks.
        if !self.world.wishes.flights().is_empty() {
            wants.extend(self.parts_of_groups(NodeGroup::ID));
            wants.push(Want { kind: Node::ID, namespace: None, object: None });
        }
        let mut seen = Vec::new();
        wants.retain(|want| {
            let new = !seen.contains(want);
            if new {
                seen.push(want.clone());
            }
            new
        });
        wants
    }

    /// Whether the first view of a context has its rows, or will not have them soon: until then nothing else is asked
    /// for that could delay one.
    fn first_view_is_served(&self) -> bool {
        if self.pending_kind.is_some() || self.now - self.connected_at >= HEAD_START {
            return true;
        }
        self.table().is_none_or(|view| {
            let (state, complete) = self.state_of(view);
            let given_up = matches!(
                state,
                Some(
                    StreamState::Stale { .. } | StreamState::Gone(_) | StreamState::Forbidden(_) | StreamState::Off(_)
                )
            );
            complete || given_up
        })
    }

    /// When whatever waits for the first view will wait no longer (milliseconds).
    pub fn head_start_ends(&self) -> Option<i64> {
        (self.facts.is_some() && !self.introduced).then_some(self.connected_at + HEAD_START)
    }

    /// What one view needs for its own rows.
    pub fn wants_of(&self, view: &TableView) -> Vec<Want> {
        let info = self.world.kind(view.kind);
        if let Some(Pin::Parent { namespace, name, .. }) = &view.lens.pin {
            return vec![Want { kind: view.kind, namespace: Some(namespace.clone()), object: Some(name.clone()) }];
        }
        match info.origin {
            Origin::Program | Origin::Fleet => Vec::new(),
            Origin::Aws if view.kind == NodeGroup::ID => self.parts_of_groups(view.kind),
            Origin::Aws | Origin::Server => self.streams.wants(view.kind, info.namespaced, &view.lens.scope),
        }
    }

    /// The table of node groups has parts: what AWS says, and the pools of Karpenter where the server has them.
    fn parts_of_groups(&self, kind: KindId) -> Vec<Want> {
        let pools =
            |info: &KindInfo| info.served && info.plural == "nodepools" && info.group == nodegroup::KARPENTER_GROUP;
        let part = |name: &str| Want { kind, namespace: None, object: Some(name.to_owned()) };
        let karpenter = self.world.kinds().any(|(_, info)| pools(info));
        [Some(nodegroup::AWS_PART), karpenter.then_some(nodegroup::KARPENTER_PART)]
            .into_iter()
            .flatten()
            .map(part)
            .collect()
    }

    /// The worst of the streams that answer for a view, and whether all of them are complete.
    pub fn state_of(&self, view: &TableView) -> (Option<&StreamState>, bool) {
        match self.world.kind(view.kind).origin {
            Origin::Program => return (Some(&StreamState::Live), true),
            Origin::Fleet => return (Some(self.fleet.state()), self.fleet.is_complete()),
            Origin::Server | Origin::Aws => {}
        }
        let wants = self.wants_of(view);
        let streams = self.streams.of(&wants);
        let complete = !streams.is_empty() && streams.iter().all(|stream| stream.synced);
        let worst = streams.iter().map(|stream| &stream.state).max_by_key(|state| severity(state));
        (worst, complete)
    }

    /// Opens and closes streams so that they are as the views want them.
    pub fn plan_streams(&mut self) -> Vec<Effect> {
        if self.facts.is_none() {
            return Vec::new();
        }
        let wants = self.wants();
        let plan = self.streams.plan(&wants, self.now.div_euclid(1000));
        let mut effects: Vec<Effect> = plan.open.into_iter().map(|(id, want)| Effect::Open(id, want)).collect();
        if !self.introduced && self.first_view_is_served() {
            self.introduced = true;
            let ticket = self.ticket(Ticket::Introduction);
            effects.push(Effect::Fetch { ticket, request: Request::Introduction });
            effects.push(Effect::Discover);
        }
        for (id, want) in plan.close {
            effects.push(Effect::Close(id));
            // Rows that nobody answers for any more are not kept.
            if !self.streams.covers(&want) {
                self.world.forget(want.kind, &want.covers());
            }
        }
        effects.extend(self.plan_metrics());
        let visible = self.table().is_some_and(|view| self.world.kind(view.kind).origin == Origin::Aws);
        if visible != std::mem::replace(&mut self.attending, visible) {
            effects.push(Effect::Attend(visible));
        }
        effects
    }

    /// Clusters are asked about while they are on screen; their node groups one screen at a time.
    pub fn plan_fleet(&mut self) -> Option<Effect> {
        let watched = match self.table().filter(|view| view.kind == Cluster::ID) {
            None => Watched::Nobody,
            Some(_) if self.fleet.shows_everything => Watched::Everything,
            Some(view) => {
                let rows = self.world.rows(view.kind);
                let uids = view.visible().iter().filter_map(|&id| rows.meta(id)).map(|meta| meta.uid);
                Watched::These(uids.filter_map(|uid| self.fleet.key(uid)).collect())
            }
        };
        (watched != self.fleet.watched).then(|| {
            self.fleet.watched.clone_from(&watched);
            Effect::Watch(watched)
        })
    }

    /// Metrics follow what is shown, and never go before it: they are asked for when the rows are there.
    fn plan_metrics(&mut self) -> Option<Effect> {
        let wanted = self.table().and_then(|view| {
            let subject = measured(view.kind)?;
            let (_, complete) = self.state_of(view);
            let namespaces = self.wants_of(view).into_iter().map(|want| want.namespace).collect();
            complete.then_some(Ask { kind: view.kind, subject, namespaces })
        });
        (wanted != self.measuring).then(|| {
            self.measuring.clone_from(&wanted);
            Effect::Measure(wanted)
        })
    }
}

/// What metrics there are of a kind.
pub fn measured(kind: KindId) -> Option<Subject> {
    match kind {
        Pod::ID => Some(Subject::Pods),
        Node::ID => Some(Subject::Nodes),
        _ => None,
    }
}

fn severity(state: &StreamState) -> u8 {
    match state {
        StreamState::Live => 0,
        StreamState::Polled { .. } => 1,
        StreamState::Off(_) => 2,
        StreamState::Loading { .. } => 3,
        StreamState::Waiting => 4,
        StreamState::Connecting { .. } => 5,
        StreamState::Stale { .. } => 6,
        StreamState::Gone(_) => 7,
        StreamState::Forbidden(_) => 8,
    }
}
