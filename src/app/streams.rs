//! Which streams are open: planned from what the views on the stack want, shared by all of them, and kept for a while
//! after the last has gone, so that the way back is instant.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    kinds::KindId,
    store::{
        lens::Scope,
        stream::{Stream, StreamId, StreamState},
        table::Covers,
    },
};

/// A kind in a namespace, or in all; or the rows of one source object, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Want {
    pub kind: KindId,
    pub namespace: Option<String>,
    pub object: Option<String>,
}

/// The streams of one cluster.
#[derive(Default)]
pub struct Streams {
    /// How long a stream that nobody looks at stays open, seconds.
    linger: i64,
    open: BTreeMap<StreamId, Open>,
    next: u32,
    /// Namespaces to watch one by one where the whole cluster is denied.
    pub granted: BTreeMap<KindId, Vec<String>>,
}

struct Open {
    want: Want,
    stream: Stream,
    /// Since when nobody wants it (Unix seconds).
    unused_since: Option<i64>,
}

/// What to do so that the streams are as planned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub open: Vec<(StreamId, Want)>,
    /// Streams that nobody has wanted for a while, and what they brought.
    pub close: Vec<(StreamId, Want)>,
}

impl Streams {
    /// No streams as yet; those that nobody wants any more are closed after `linger`, in whole seconds.
    pub fn new(linger: Duration) -> Self {
        let seconds = linger.as_millis().div_ceil(1000);
        Self { linger: i64::try_from(seconds).unwrap_or(i64::MAX), ..Self::default() }
    }

    /// What a view of a kind in a scope needs.
    pub fn wants(&self, kind: KindId, namespaced: bool, scope: &Scope) -> Vec<Want> {
        let all = |namespace| Want { kind, namespace, object: None };
        if !namespaced {
            return vec![all(None)];
        }
        match (scope, self.granted.get(&kind)) {
            (Scope::Only(names), _) => names.iter().map(|name| all(Some(name.clone()))).collect(),
            (_, Some(granted)) => granted.iter().map(|name| all(Some(name.clone()))).collect(),
            _ => vec![all(None)],
        }
    }

    /// Opens what is wanted and not there, in the order of the wants; closes what nobody has wanted for a while.
    pub fn plan(&mut self, wants: &[Want], now: i64) -> Plan {
        let mut plan = Plan::default();
        for open in self.open.values_mut() {
            let wanted = wants.iter().any(|want| open.want.serves(want));
            match (wanted, open.unused_since) {
                (true, _) => open.unused_since = None,
                (false, None) => open.unused_since = Some(now),
                (false, Some(_)) => {}
            }
        }
        for want in wants {
            if self.open.values().any(|open| open.want.serves(want) && !open.is_denied_for(want)) {
                continue;
            }
            self.next += 1;
            let id = StreamId(self.next);
            let stream = Stream {
                kind: want.kind,
                namespace: want.namespace.clone(),
                object: want.object.clone(),
                state: StreamState::Waiting,
                synced: false,
                undecodable: 0,
            };
            self.open.insert(id, Open { want: want.clone(), stream, unused_since: None });
            plan.open.push((id, want.clone()));
        }
        let linger = self.linger;
        let over = |open: &mut Open| open.unused_since.is_some_and(|since| now - since >= linger);
        plan.close.extend(self.open.extract_if(.., |_, open| over(open)).map(|(id, open)| (id, open.want)));
        plan
    }

    /// Forgets the streams of a kind, which are to be closed.
    pub fn leave(&mut self, kind: KindId) -> Vec<StreamId> {
        self.open.extract_if(.., |_, open| open.want.kind == kind).map(|(id, _)| id).collect()
    }

    /// Forgets the streams in such states, which are to be closed.
    pub fn leave_if(&mut self, state: impl Fn(&StreamState) -> bool) -> Vec<StreamId> {
        self.open.extract_if(.., |_, open| state(&open.stream.state)).map(|(id, _)| id).collect()
    }

    /// When a stream has to be closed next, Unix seconds.
    pub fn next_close(&self) -> Option<i64> {
        self.open.values().filter_map(|open| open.unused_since).min().map(|since| since.saturating_add(self.linger))
    }

    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.open.get_mut(&id).map(|open| &mut open.stream)
    }

    pub fn get(&self, id: StreamId) -> Option<&Stream> {
        self.open.get(&id).map(|open| &open.stream)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.open.values().map(|open| &open.stream)
    }

    pub fn with_ids(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.open.iter().map(|(id, open)| (*id, &open.stream))
    }

    /// The streams that answer for a view.
    pub fn of(&self, wants: &[Want]) -> Vec<&Stream> {
        let serves = |open: &&Open| wants.iter().any(|want| open.want.serves(want) && !open.is_denied_for(want));
        self.open.values().filter(serves).map(|open| &open.stream).collect()
    }

    /// Whether a stream that is still open answers for these rows too.
    pub fn covers(&self, want: &Want) -> bool {
        self.open.values().any(|open| open.want.serves(want) && !open.is_denied_for(want))
    }
}

impl Open {
    /// A cluster-wide stream that was refused does not serve a namespace.
    fn is_denied_for(&self, want: &Want) -> bool {
        matches!(self.stream.state, StreamState::Forbidden(_))
            && self.want.namespace.is_none()
            && want.namespace.is_some()
    }
}

impl Want {
    /// The rows that a stream opened for it answers for.
    pub fn covers(&self) -> Covers {
        match (&self.namespace, &self.object) {
            (namespace, Some(name)) => {
                Covers::Object { namespace: namespace.clone().unwrap_or_default(), name: name.clone() }
            }
            (Some(namespace), None) => Covers::Namespace(namespace.clone()),
            (None, None) => Covers::All,
        }
    }

    /// Whether a stream opened for `self` has the rows of `other`.
    fn serves(&self, other: &Want) -> bool {
        self.kind == other.kind
            && (self.namespace.is_none() || self.namespace == other.namespace)
            && (self.object.is_none() || self.object == other.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(kind: usize, namespace: Option<&str>) -> Want {
        Want { kind: KindId::new(kind), namespace: namespace.map(str::to_owned), object: None }
    }

    #[test]
    fn a_cluster_wide_stream_serves_every_namespace() {
        let mut streams = Streams::default();
        assert_eq!(streams.plan(&[want(0, None), want(0, Some("a"))], 0).open.len(), 1);
        assert_eq!(streams.plan(&[want(0, Some("b"))], 1), Plan::default());
    }

    #[test]
    fn a_namespace_does_not_serve_the_cluster() {
        let mut streams = Streams::default();
        streams.plan(&[want(0, Some("a"))], 0);
        assert_eq!(streams.plan(&[want(0, None)], 1).open, [(StreamId(2), want(0, None))]);
    }

    #[test]
    fn what_nobody_wants_is_closed_after_a_while_and_not_before() {
        let mut streams = Streams::new(Duration::from_secs(60));
        streams.plan(&[want(0, None)], 0);
        assert_eq!(streams.plan(&[], 10), Plan::default());
        assert_eq!(streams.next_close(), Some(70));
        assert_eq!(streams.plan(&[], 69), Plan::default());
        assert_eq!(streams.plan(&[want(0, None)], 69), Plan::default(), "wanted again");
        assert_eq!(streams.plan(&[], 80), Plan::default());
        assert_eq!(streams.plan(&[], 140).close, [(StreamId(1), want(0, None))]);
    }

    #[test]
    fn what_need_not_linger_is_closed_at_once() {
        let mut streams = Streams::new(Duration::ZERO);
        streams.plan(&[want(0, None)], 0);
        assert_eq!(streams.plan(&[want(1, None)], 0).close, [(StreamId(1), want(0, None))]);
    }

    #[test]
    fn where_the_cluster_is_denied_namespaces_are_watched_one_by_one() {
        let mut streams = Streams::default();
        streams.plan(&[want(0, None)], 0);
        streams.get_mut(StreamId(1)).unwrap().state = StreamState::Forbidden(crate::problem::Problem::default());
        streams.granted.insert(KindId::new(0), vec!["a".to_owned(), "b".to_owned()]);
        let wants = streams.wants(KindId::new(0), true, &Scope::All);
        assert_eq!(streams.plan(&wants, 1).open.len(), 2);
        assert_eq!(streams.of(&wants).len(), 2, "the refused stream answers for nothing");
        assert!(!streams.covers(&want(0, Some("c"))));
    }
}
