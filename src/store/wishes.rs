//! Sizes of node groups that the user is about to ask for, and those that were asked for and not answered yet. By uid:
//! when the group is gone, so is the wish.

use hashbrown::{HashMap, HashSet};

use super::table::Uid;

#[derive(Debug, Default)]
pub struct Wishes {
    pending: HashMap<Uid, u32>,
    sent: HashSet<Uid>,
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

    /// Whether a change is on its way: one at a time for each group.
    pub fn is_sent(&self, group: Uid) -> bool {
        self.sent.contains(&group)
    }

    pub fn send(&mut self, group: Uid) {
        self.pending.remove(&group);
        self.sent.insert(group);
    }

    pub fn answered(&mut self, group: Uid) {
        self.sent.remove(&group);
    }
}
