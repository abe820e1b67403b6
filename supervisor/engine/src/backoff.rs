//! How long to pause before another automatic start. Pure arithmetic; the engine's only source of
//! randomness is [`Jitter`], a generator with a seed.

use crate::spec::Restart;

/// splitmix64: tiny, seeded, good enough to spread restarts. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `pause` lengthened by up to `rule.jitter_milli` thousandths of itself, within the rule's
    /// cap.
    pub(crate) fn spread(&mut self, rule: &Restart, pause: u64) -> u64 {
        let room = u128::from(pause) * u128::from(rule.jitter_milli) / 1000;
        let room = u64::try_from(room).unwrap_or(u64::MAX - 1);
        let extra = self.next() % room.saturating_add(1).max(1);
        pause
            .saturating_add(extra)
            .min(rule.max_delay_ms.max(pause))
    }
}

/// The pause after the `n`-th early death in a row: none for the first, then
/// `delay` x `factor`^(n-2), capped. Without jitter.
pub(crate) fn pause_ms(rule: &Restart, n: u32) -> u64 {
    if n < 2 {
        return 0;
    }
    // Thousandths of a millisecond, so that small delays grow too.
    let cap = u128::from(rule.max_delay_ms) * 1000;
    let mut pause = (u128::from(rule.delay_ms) * 1000).min(cap);
    for _ in 2..n {
        let next = (pause * u128::from(rule.factor_milli) / 1000).min(cap);
        if next == pause {
            break;
        }
        pause = next;
    }
    u64::try_from(pause / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ExitSet, Policy};

    fn rule() -> Restart {
        Restart {
            policy: Policy::Always,
            success: ExitSet::default(),
            prevent: ExitSet::default(),
            delay_ms: 1000,
            factor_milli: 2000,
            max_delay_ms: 30_000,
            jitter_milli: 100,
            reset_after_ms: 60_000,
            limit: None,
        }
    }

    /// peers' behaviour 33
    #[test]
    fn backoff_sequence_is_none_then_delay_times_factor_up_to_the_cap() {
        let got: alloc::vec::Vec<u64> = (0..9).map(|n| pause_ms(&rule(), n)).collect();
        assert_eq!(got, [0, 0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(pause_ms(&rule(), u32::MAX), 30_000);
    }

    #[test]
    fn backoff_of_small_and_shrinking_pauses_ends() {
        let small = Restart {
            delay_ms: 1,
            factor_milli: 1500,
            ..rule()
        };
        assert_eq!(pause_ms(&small, 2), 1);
        assert_eq!(pause_ms(&small, 4), 2);
        assert_eq!(pause_ms(&small, u32::MAX), 30_000);
        let shrinks = Restart {
            factor_milli: 500,
            ..rule()
        };
        assert_eq!(pause_ms(&shrinks, u32::MAX), 0);
        let huge = Restart {
            delay_ms: u64::MAX,
            max_delay_ms: u64::MAX,
            ..rule()
        };
        assert_eq!(pause_ms(&huge, 9), u64::MAX);
    }

    /// peers' behaviour 33
    #[test]
    fn backoff_jitter_only_lengthens_and_stays_within_its_share_and_the_cap() {
        let mut jitter = Jitter::new(7);
        let got: alloc::vec::Vec<u64> = (0..200).map(|_| jitter.spread(&rule(), 1000)).collect();
        assert!(got.iter().all(|ms| (1000..=1100).contains(ms)));
        assert!(got.iter().any(|ms| *ms != got[0]));
        assert!((0..50).all(|_| jitter.spread(&rule(), 30_000) == 30_000));
        let none = Restart {
            jitter_milli: 0,
            ..rule()
        };
        assert_eq!(jitter.spread(&none, 1234), 1234);
    }
}
