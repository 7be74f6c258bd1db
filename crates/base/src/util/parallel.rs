//! Work on a long range, shared between cores: filters and sort keys of whole tables. Short ranges stay where they are.

use std::{
    num::NonZero,
    ops::Range,
    sync::OnceLock,
    thread::{self, Builder},
};

/// Less is done before a thread has started.
const WORTH_IT: usize = 16 * 1024;
/// More would wait for memory, not for cores.
const MOST: usize = 8;

/// Does `work` on consecutive parts of `0..length`, at the same time where that is worth it; gives what comes of them in
/// their order.
pub fn parts<T: Send>(length: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let count = count(length);
    let size = length.div_ceil(count).max(1);
    let mut ranges = (0..count).map(|part| (part * size).min(length)..((part + 1) * size).min(length));
    let own = ranges.next().unwrap_or(0..0);
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = ranges
            .map(|range| {
                let again = range.clone();
                (Builder::new().spawn_scoped(scope, move || work(range)), again)
            })
            .collect();
        let mut done = vec![work(own)];
        done.extend(others.into_iter().map(|(thread, range)| match thread.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(part)) => part,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // The system has no thread to give.
            Err(_) => work(range),
        }));
        done
    })
}

/// Sorts, keeping the order of equals.
pub fn sort<T: Send>(items: &mut [T], compare: impl Fn(&T, &T) -> std::cmp::Ordering + Sync) {
    let count = count(items.len());
    let compare = &compare;
    if count > 1 {
        let size = items.len().div_ceil(count);
        thread::scope(|scope| {
            let mut parts = items.chunks_mut(size);
            let own = parts.next();
            for part in parts {
                // A part without a thread is sorted below, with the whole.
                let _ = Builder::new().spawn_scoped(scope, move || part.sort_by(compare));
            }
            if let Some(own) = own {
                own.sort_by(compare);
            }
        });
    }
    // Parts that are sorted are found as they are, and merged.
    items.sort_by(compare);
}

fn count(length: usize) -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(MOST));
    cores.min(length / WORTH_IT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_whole_in_order() {
        for length in [0, 1, WORTH_IT - 1, WORTH_IT * 2, WORTH_IT * 3 + 1] {
            let ranges = parts(length, |range| range);
            assert_eq!(ranges.iter().map(Range::len).sum::<usize>(), length);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
        }
    }

    #[test]
    fn sorting_in_parts_keeps_the_order_of_equals() {
        let mut items: Vec<(u64, usize)> = (0..WORTH_IT * 4 + 7).map(|at| ((at as u64 * 7919) % 97, at)).collect();
        let mut expected = items.clone();
        expected.sort_by_key(|item| item.0);
        sort(&mut items, |a, b| a.0.cmp(&b.0));
        assert_eq!(items, expected);
    }
}
