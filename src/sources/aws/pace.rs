//! How often AWS is asked: at most sixty times in any minute for each account and region, once a first screen is filled.
//! One count for each, shared by all who ask. A pause between rounds is the callers' matter.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use tokio::time::Instant;

use super::AwsSession;

/// Turns that are not counted: a first screen.
const FIRST: u32 = 60;
/// Turns in any minute after that.
const MOST: usize = 60;
/// Of these, how many may go to what can wait.
const SPARE: usize = 30;
const MINUTE: Duration = Duration::from_mins(1);
/// How long nobody asks when AWS says that it is too much.
const THROTTLED: Duration = Duration::from_secs(2);

/// The counts of all accounts and regions. Clones share them.
#[derive(Clone, Default)]
pub struct Paces(Rc<RefCell<HashMap<String, Rc<Pace>>>>);

impl Paces {
    /// Where the account is not known: as the session names itself.
    pub fn of(&self, session: &AwsSession) -> Rc<Pace> {
        self.at(&session.who(), session.region())
    }

    pub fn at(&self, account: &str, region: &str) -> Rc<Pace> {
        Rc::clone(self.0.borrow_mut().entry(format!("{account} {region}")).or_default())
    }
}

/// One count.
pub struct Pace {
    first: Cell<u32>,
    /// When the turns of the last minute were, and those that somebody waits for.
    turns: RefCell<VecDeque<Instant>>,
    not_before: Cell<Option<Instant>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Cell::new(FIRST), turns: RefCell::default(), not_before: Cell::new(None) }
    }
}

impl Pace {
    /// Waits for a turn, in the order of asking.
    pub async fn turn(&self) {
        tokio::time::sleep_until(self.take(Instant::now())).await;
    }

    /// Waits for a turn that nobody else may need soon.
    pub async fn spare_turn(&self) {
        while let Some(later) = self.crowded(Instant::now()) {
            tokio::time::sleep_until(later).await;
        }
        self.turn().await;
    }

    /// Takes a turn, now or on credit; gives when it is.
    fn take(&self, now: Instant) -> Instant {
        let now = self.not_before.get().map_or(now, |at| at.max(now));
        if let Some(left) = self.first.get().checked_sub(1) {
            self.first.set(left);
            return now;
        }
        let mut turns = self.turns.borrow_mut();
        turns.retain(|at| *at + MINUTE > now);
        let free = turns.len().checked_sub(MOST).and_then(|index| turns.get(index)).map(|at| *at + MINUTE);
        let at = free.into_iter().chain(turns.back().copied()).fold(now, Instant::max);
        turns.push_back(at);
        at
    }

    /// When there may be a turn to spare; none when there is one now.
    fn crowded(&self, now: Instant) -> Option<Instant> {
        let turns = self.turns.borrow();
        let at = *turns.get(turns.len().checked_sub(SPARE)?)? + MINUTE;
        (self.first.get() == 0 && at > now).then_some(at)
    }

    /// AWS says that it is too much.
    pub fn throttled(&self) {
        self.not_before.set(Some(Instant::now() + THROTTLED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_the_first_screen_no_minute_has_more_than_sixty() {
        let (pace, start) = (Pace::default(), Instant::now());
        let taken: Vec<Instant> = (0..60).map(|_| pace.take(start)).collect();
        assert!(taken.iter().all(|at| *at == start), "the first screen");
        // Somebody who asks all the time: what counts is when they are let.
        let mut turns: Vec<Instant> = (0..200).map(|second| pace.take(start + second / 4 * SECOND)).collect();
        turns.sort_unstable();
        for window in turns.windows(MOST + 1) {
            assert!(window[MOST] - window[0] >= MINUTE, "{:?}", window[MOST] - window[0]);
        }
        assert!(turns[199] - start < MINUTE * 4, "and no more than it takes");
    }

    #[test]
    fn what_can_wait_leaves_half_to_others() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert!((0..60).all(|_| pace.take(start) == start));
        let spare = (0..MOST).take_while(|_| pace.crowded(start).is_none() && pace.take(start) == start).count();
        assert_eq!(spare, SPARE);
        assert_eq!(pace.take(start), start, "others need not wait");
        assert_eq!(pace.crowded(start + MINUTE), None);
    }

    #[test]
    fn who_is_told_that_it_is_too_much_waits() {
        let pace = Pace::default();
        pace.throttled();
        assert!(pace.take(Instant::now()) > Instant::now() + SECOND);
    }
}
