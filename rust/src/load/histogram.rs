//! Times by how often they occurred, in buckets that are 1.6 % wide whatever the time.
//!
//! One thread writes and others may look: a look that falls into a change misses that change and nothing else. What happened
//! between two looks is their difference, so nothing is ever reset.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets for each doubling of the time.
const STEPS: usize = 64;
const STEPS_BITS: u32 = STEPS.trailing_zeros();

/// Longer times are counted as this one: 18 minutes, in nanoseconds.
const LONGEST: u64 = (1 << 40) - 1;
const BUCKETS: usize = (40 - STEPS_BITS as usize + 1) * STEPS;

/// The bucket of a time. Up to twice [`STEPS`] each nanosecond has its own; from there on they double every [`STEPS`].
const fn bucket(nanoseconds: u64) -> usize {
    let time = if nanoseconds > LONGEST {
        LONGEST
    } else {
        nanoseconds
    };
    let shift = (u64::BITS - time.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    shift as usize * STEPS + (time >> shift) as usize
}

/// The longest time of a bucket.
const fn longest(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = (bucket - shift * STEPS) as u64;
    ((step + 1) << shift) - 1
}

/// The times so far.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Histogram {
    /// Count a time so often. Only one thread may do so.
    #[inline]
    pub fn record(&self, nanoseconds: u64, times: u64) {
        if let Some(count) = self.buckets.get(bucket(nanoseconds)) {
            count.store(count.load(Relaxed).wrapping_add(times), Relaxed);
        }
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        Counts(
            self.buckets
                .iter()
                .map(|count| count.load(Relaxed))
                .collect(),
        )
    }
}

/// What had been counted at some time, or between two.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counts(Box<[u64]>);

impl Counts {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.0.iter().zip(&earlier.0);
        Self(pairs.map(|(now, then)| now.wrapping_sub(*then)).collect())
    }

    /// How many times there are.
    pub fn len(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time that so many thousandths of the times do not exceed; `None` if there is none. 1 000 asks for the longest.
    pub fn quantile(&self, thousandths: u64) -> Option<u64> {
        let all = self.len();
        let wanted = (u128::from(all) * u128::from(thousandths))
            .div_ceil(1_000)
            .max(1);
        let mut seen = 0;
        self.0
            .iter()
            .position(|count| {
                seen += u128::from(*count);
                seen >= wanted
            })
            .map(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_without_gaps_and_as_wide_as_promised() {
        let mut last = 0;
        for time in (0..100_000).chain((17..41).flat_map(|bit| {
            let power = 1 << bit;
            [power - 1, power, power + power / 64, power + power / 3]
        })) {
            let found = bucket(time);
            assert!(found < BUCKETS);
            if time < 100_000 {
                assert!(found == last || found == last + 1, "{time}");
                last = found;
            }
            if time <= LONGEST {
                assert!(longest(found) >= time, "{time}");
                assert!(longest(found) - time <= time / 64, "{time}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(longest(BUCKETS - 1), LONGEST);
    }

    #[test]
    fn quantiles_are_those_of_the_times() {
        let histogram = Histogram::default();
        assert_eq!(histogram.counts().quantile(500), None);
        for time in 1..=100 {
            histogram.record(time, 1);
        }
        let first = histogram.counts();
        assert_eq!(first.quantile(500), Some(50));
        assert_eq!(first.quantile(990), Some(99));
        assert_eq!(first.quantile(1_000), Some(100));
        assert_eq!(first.quantile(0), Some(1));
        histogram.record(7, 3);
        let since = histogram.counts().since(&first);
        assert_eq!((since.len(), since.quantile(1_000)), (3, Some(7)));
    }
}
