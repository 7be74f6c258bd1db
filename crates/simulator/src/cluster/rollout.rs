//! How a rolling update goes on: how many replicas each replica set gets next.
//!
//! Pure, after `pkg/controller/deployment/rolling.go` of Kubernetes 1.36.

use serde_json::Value;

/// A replica set as the roll-out sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    /// Asked for.
    pub replicas: u32,
    pub available: u32,
}

/// What a deployment allows while it rolls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategy {
    pub recreate: bool,
    /// Pods more than asked for, and pods less.
    pub surge: u32,
    pub unavailable: u32,
}

/// A count, or percents of `of`.
pub fn scaled(value: &Value, of: u32, round_up: bool) -> Option<u32> {
    if let Some(count) = value.as_u64() {
        return u32::try_from(count).ok();
    }
    let percent: u64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let part = u64::from(of) * percent;
    u32::try_from(if round_up { part.div_ceil(100) } else { part / 100 }).ok()
}

impl Strategy {
    /// Of a deployment's spec.
    pub fn of(spec: &Value, replicas: u32) -> Self {
        let rolling = &spec["strategy"]["rollingUpdate"];
        let surge = scaled(&rolling["maxSurge"], replicas, true).unwrap_or_else(|| replicas.div_ceil(4));
        let mut unavailable = scaled(&rolling["maxUnavailable"], replicas, false).unwrap_or(replicas / 4);
        if surge == 0 && unavailable == 0 {
            // It would never get on.
            unavailable = 1;
        }
        Self { recreate: spec["strategy"]["type"] == "Recreate", surge, unavailable: unavailable.min(replicas) }
    }
}

/// The replicas that the new set and the old ones (oldest first) get next. Only one of them changes direction at a time:
/// up first, down when there is nothing to be scaled up.
pub fn next(desired: u32, strategy: Strategy, new: Set, old: &[Set]) -> (u32, Vec<u32>) {
    let mut olds: Vec<u32> = old.iter().map(|set| set.replicas).collect();
    if new.replicas > desired {
        return (desired, olds);
    }
    let old_total: u32 = olds.iter().sum();
    let total = new.replicas + old_total;
    if strategy.recreate {
        return if old_total > 0 { (new.replicas, vec![0; old.len()]) } else { (desired, olds) };
    }
    let room = (desired + strategy.surge).saturating_sub(total);
    let up = room.min(desired - new.replicas);
    if up > 0 {
        return (new.replicas + up, olds);
    }
    let least_available = desired.saturating_sub(strategy.unavailable);
    let new_unavailable = new.replicas.saturating_sub(new.available);
    let mut most = total.saturating_sub(least_available + new_unavailable);
    // What does not work goes first.
    for (replicas, set) in olds.iter_mut().zip(old) {
        let gone = most.min(replicas.saturating_sub(set.available));
        *replicas -= gone;
        most -= gone;
    }
    let available = new.available + old.iter().map(|set| set.available).sum::<u32>();
    let mut spare = if most > 0 { available.saturating_sub(least_available) } else { 0 };
    for replicas in &mut olds {
        let gone = spare.min(*replicas);
        *replicas -= gone;
        spare -= gone;
    }
    (new.replicas, olds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{Set, Strategy, next, scaled};

    #[test]
    fn counts_and_percents_are_rounded_as_the_api_does() {
        assert_eq!(scaled(&json!("25%"), 10, true), Some(3));
        assert_eq!(scaled(&json!("25%"), 10, false), Some(2));
        assert_eq!(scaled(&json!(4), 10, false), Some(4));
        assert_eq!(scaled(&json!("many"), 10, false), None);
        let spec = json!({ "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "10%" } } });
        assert_eq!(Strategy::of(&spec, 3), Strategy { recreate: false, surge: 0, unavailable: 1 });
    }

    #[test]
    fn pods_that_crash_keep_the_old_ones_alive() {
        // The example in the controller's own comment.
        let strategy = Strategy { recreate: false, surge: 3, unavailable: 2 };
        let (new, old) = (Set { replicas: 5, available: 0 }, [Set { replicas: 8, available: 7 }]);
        assert_eq!(next(10, strategy, new, &old), (5, vec![8]));
        let (good, bad) = (Set { replicas: 8, available: 7 }, [Set { replicas: 5, available: 0 }]);
        assert_eq!(next(10, strategy, good, &bad), (8, vec![1]));
    }

    #[test]
    fn recreate_ends_the_old_before_the_new() {
        let strategy = Strategy { recreate: true, surge: 0, unavailable: 0 };
        let some = Set { replicas: 3, available: 3 };
        let none = Set { replicas: 0, available: 0 };
        assert_eq!(next(3, strategy, none, &[some]), (0, vec![0]));
        assert_eq!(next(3, strategy, none, &[none]), (3, vec![0]));
    }

    proptest! {
        /// Where every pod becomes available sooner or later, a roll-out ends, and it keeps to its bounds all the way.
        #[test]
        fn a_roll_out_ends_within_its_bounds(
            desired in 0..40_u32, surge in 0..5_u32, unavailable in 1..5_u32, old in 0..40_u32, older in 0..5_u32,
        ) {
            let strategy = Strategy { recreate: false, surge, unavailable: unavailable.min(desired) };
            let old = old.min(desired);
            let older = older.min(desired - old);
            let mut sets =
                vec![Set { replicas: older, available: older }, Set { replicas: old, available: old }];
            let mut new = Set { replicas: 0, available: 0 };
            for _ in 0..200 {
                let (to, olds) = next(desired, strategy, new, &sets);
                prop_assert!(to + olds.iter().sum::<u32>() <= desired + surge);
                for (set, replicas) in sets.iter_mut().zip(&olds) {
                    set.replicas = *replicas;
                    set.available = set.available.min(*replicas);
                }
                let available = new.available + sets.iter().map(|set| set.available).sum::<u32>();
                if old + older == desired {
                    prop_assert!(available >= desired.saturating_sub(strategy.unavailable));
                }
                new.replicas = to;
                new.available = to;
            }
            prop_assert_eq!(new.replicas, desired);
            prop_assert!(sets.iter().all(|set| set.replicas == 0));
        }
    }
}
