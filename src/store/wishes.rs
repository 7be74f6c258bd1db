//! Sizes of node groups that the user is about to ask for, those that were asked for and have not come about yet, and
//! those from before, for the way back. By uid: when the group is gone, so is the wish.

use hashbrown::HashMap;

use super::table::Uid;

/// Bounds and wish of a group; `None` is unknown or left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub desired: Option<u32>,
}

/// A change on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    pub from: Sizes,
    pub to: Sizes,
    /// When it was sent, Unix seconds.
    pub since: i64,
    /// Whether AWS has accepted it.
    pub accepted: bool,
    /// Whether the group has been seen to want what was asked for.
    pub taken: bool,
}

#[derive(Debug, Default)]
pub struct Wishes {
    pending: HashMap<Uid, u32>,
    flights: HashMap<Uid, Flight>,
    before: HashMap<Uid, Sizes>,
}

impl Wishes {
    /// The size that is being edited.
    pub fn pending(&self, group: Uid) -> Option<u32> {
        self.pending.get(&group).copied()
    }

    /// Edits a size; `None` drops it.
    pub fn edit(&mut self, group: Uid, size: Option<u32>) {
        match size {
            Some(size) => self.pending.insert(group, size),
            None => self.pending.remove(&group),
        };
    }

    /// The change of a group that is followed.
    pub fn flight(&self, group: Uid) -> Option<&Flight> {
        self.flights.get(&group)
    }

    /// The groups whose changes are followed.
    pub fn flights(&self) -> Vec<Uid> {
        self.flights.keys().copied().collect()
    }

    pub fn send(&mut self, group: Uid, flight: Flight) {
        self.pending.remove(&group);
        self.flights.insert(group, flight);
    }

    /// AWS has accepted it: from now on there is a way back.
    pub fn accepted(&mut self, group: Uid) {
        if let Some(flight) = self.flights.get_mut(&group) {
            flight.accepted = true;
            self.before.insert(group, flight.from);
        }
    }

    /// The group wants what was asked for.
    pub fn taken(&mut self, group: Uid) {
        if let Some(flight) = self.flights.get_mut(&group) {
            flight.taken = true;
        }
    }

    /// It is not followed any more.
    pub fn end(&mut self, group: Uid) {
        self.flights.remove(&group);
    }

    /// The sizes before the last change that was accepted.
    pub fn before(&self, group: Uid) -> Option<Sizes> {
        self.before.get(&group).copied()
    }
}
