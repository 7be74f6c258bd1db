//! How often AWS is asked: one bucket of turns for each account (as the session names it) and region, shared by all who
//! ask for it. A pause between rounds is the callers' matter.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use tokio::time::Instant;

use super::AwsSession;

/// Turns that may be taken at once, after a rest: a first screen of groups.
const BURST: f64 = 60.0;
/// Turns a second after that: sixty a minute.
const RATE: f64 = 1.0;

/// The buckets of all sessions. Clones share them.
#[derive(Clone, Default)]
pub struct Paces(Rc<RefCell<HashMap<String, Rc<Pace>>>>);

impl Paces {
    pub fn of(&self, session: &AwsSession) -> Rc<Pace> {
        let key = format!("{} {}", session.who(), session.region());
        Rc::clone(self.0.borrow_mut().entry(key).or_default())
    }
}

/// One bucket.
pub struct Pace {
    turns: Cell<f64>,
    at: Cell<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { turns: Cell::new(BURST), at: Cell::new(Instant::now()) }
    }
}

impl Pace {
    /// Waits for a turn, in the order of asking.
    pub async fn turn(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a turn, now or on credit; gives how long to wait for it.
    fn take(&self, now: Instant) -> Duration {
        let rested = now.saturating_duration_since(self.at.get()).as_secs_f64() * RATE;
        let turns = (self.turns.get() + rested).min(BURST) - 1.0;
        self.turns.set(turns);
        self.at.set(now);
        if turns >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-turns / RATE) }
    }

    /// AWS says that it is too much: nobody has turns left.
    pub fn throttled(&self) {
        self.turns.set(self.turns.get().min(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_first_screen_it_is_one_a_second() {
        let pace = Pace::default();
        let start = pace.at.get();
        let waits: Vec<Duration> = (0..62).map(|_| pace.take(start)).collect();
        assert_eq!(waits.iter().filter(|wait| wait.is_zero()).count(), 60);
        assert_eq!(waits[60..], [Duration::from_secs(1), Duration::from_secs(2)]);
        let later = start + Duration::from_secs(60);
        assert_eq!((0..60).filter(|_| pace.take(later).is_zero()).count(), 58, "what was owed is paid first");
        let pace = Pace::default();
        pace.throttled();
        assert_eq!(pace.take(pace.at.get()), Duration::from_secs(1), "who is told that it is too much waits");
    }
}
