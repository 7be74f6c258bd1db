//! How busy workloads are: a day's curve with a little noise. Pure.

use crate::random::{Random, low};

/// Noise changes this often, in seconds.
const STEP: i64 = 60;

/// The share of a day's mean load (1000: the mean) that falls on a workload at this second.
pub fn level(workload: u128, second: i64) -> u32 {
    let mut noise = Random::new(low(workload).wrapping_add((second / STEP).unsigned_abs()));
    day(second) * u32::try_from(noise.between(95, 105)).unwrap_or(100) / 100
}

/// The same without noise, for all workloads.
fn day(second: i64) -> u32 {
    // Hours of the day, by their part of the mean: quiet nights, busy evenings.
    const DAY: [u32; 24] = [
        620, 560, 520, 500, 510, 560, 680, 830, 960, 1050, 1100, 1130, 1150, 1140, 1120, 1120, 1150, 1200, 1270, 1340,
        1350, 1240, 1010, 790,
    ];
    let hour = usize::try_from(second.div_euclid(3600).rem_euclid(24)).unwrap_or(0);
    let within = u32::try_from(second.rem_euclid(3600)).unwrap_or(0);
    let (from, to) = (DAY[hour], DAY[(hour + 1) % 24]);
    (from * (3600 - within) + to * within) / 3600
}

/// The load that falls on each of `ready` pods of a workload, of 1000 when the world `began` with `planned` of them.
pub fn each(workload: u128, planned: u32, ready: u32, second: i64, began: i64) -> u32 {
    let all = u64::from(level(workload, second)) * u64::from(planned.max(1)) * 1000;
    let share = all / u64::from(ready.max(1)) / u64::from(day(began).max(1));
    // What overloads a pod is queued, not done.
    u32::try_from(share.min(1800)).unwrap_or(1800)
}

/// What a workload uses of what it asks for, in percent, when it is as busy as at the beginning.
pub fn share(workload: u128) -> u32 {
    30 + u32::try_from(low(workload) % 40).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_are_quiet_and_more_pods_have_less_to_do_each() {
        let (night, evening) = (1_772_323_200 + 3 * 3600, 1_772_323_200 + 20 * 3600);
        assert!(level(7, night) * 2 < level(7, evening));
        assert!(each(7, 4, 8, evening, evening) < each(7, 4, 4, evening, evening));
        assert!(each(7, 4, 4, evening, evening).abs_diff(1000) <= 50);
        assert_eq!(each(7, 4, 0, evening, evening), 1800);
    }
}
