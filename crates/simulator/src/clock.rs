//! The time of the simulated cluster, and what is due in it.
//!
//! Two times: the world's own, by which everything is due and which runs `speed` times as fast as a viewer's, and the
//! time that goes into objects, which is the viewer's: at any speed, what happened just now is dated now. Knows nothing of
//! what is due.

use std::collections::BTreeMap;

/// The world's time, in milliseconds since 1970.
pub type Moment = i64;

/// A clock with a queue: the same questions in the same order get the same answers, whatever the real time.
#[derive(Debug)]
pub struct Clock<T> {
    now: Moment,
    /// Where the two times met last.
    anchor: Moment,
    stamped: Moment,
    speed: f64,
    due: BTreeMap<(Moment, u64), T>,
    /// Things that are due at the same time come in the order in which they were asked for.
    asked: u64,
}

impl<T> Clock<T> {
    /// A clock that starts at `now` (seconds since 1970).
    pub fn new(now: i64) -> Self {
        let now = now * 1000;
        Self { now, anchor: now, stamped: now, speed: 1.0, due: BTreeMap::new(), asked: 0 }
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    /// The time that goes into objects now, in seconds since 1970.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // Far below 2^52.
    pub fn stamp(&self) -> i64 {
        let since = (self.now - self.anchor) as f64 / self.speed.max(0.001);
        (self.stamped + since as i64).div_euclid(1000)
    }

    /// Goes on `speed` times as fast as a viewer's time, which is `stamp` (in milliseconds since 1970) now.
    pub fn meet(&mut self, stamp: Moment, speed: f64) {
        self.anchor = self.now;
        self.stamped = stamp;
        self.speed = speed;
    }

    /// Has `what` come due in `delay` milliseconds.
    pub fn after(&mut self, delay: Moment, what: T) {
        self.asked += 1;
        self.due.insert((self.now + delay.max(0), self.asked), what);
    }

    /// The next that is due until `end`, with the clock set to its time; without one, the clock is set to `end`.
    pub fn next(&mut self, end: Moment) -> Option<T> {
        match self.due.first_key_value() {
            Some(((at, _), _)) if *at <= end => {
                let ((at, _), what) = self.due.pop_first()?;
                self.now = self.now.max(at);
                Some(what)
            }
            _ => {
                self.now = self.now.max(end);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_time_and_of_asking() {
        let mut clock = Clock::new(100);
        for (delay, what) in [(50, "c"), (10, "a"), (10, "b"), (5000, "later")] {
            clock.after(delay, what);
        }
        assert_eq!(clock.next(101_000), Some("a"));
        assert_eq!(clock.now(), 100_010);
        clock.after(0, "at once");
        let rest: Vec<_> = std::iter::from_fn(|| clock.next(101_000)).collect();
        assert_eq!(rest, ["b", "at once", "c"]);
        assert_eq!((clock.now(), clock.next(200_000)), (101_000, Some("later")));
    }

    #[test]
    fn at_any_speed_objects_are_dated_by_the_viewer() {
        let mut clock = Clock::<()>::new(100);
        clock.meet(500_000, 60.0);
        clock.next(100_000 + 60_000);
        assert_eq!(clock.stamp(), 501);
        clock.meet(501_000, 1.0);
        clock.next(100_000 + 62_000);
        assert_eq!(clock.stamp(), 503);
    }
}
