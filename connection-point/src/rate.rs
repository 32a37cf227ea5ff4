//! How fast one connection may publish: a bucket that fills at the rate and holds one second of it. What was read is always
//! taken, so the bucket can go below empty; then nothing more is read until it holds a publication again.
//!
//! Counts in millionths of a publication, so that a microsecond at one a second is one, and nothing is rounded.

use gomera_cluster::time::Instant;

/// Millionths of a publication in a publication.
const ONE: i64 = 1_000_000;

/// The bucket of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_second: i64,
    level: i64,
    filled: Instant,
}

impl Rate {
    /// A full bucket of `per_second` publications.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = i64::from(per_second.max(1));
        Self { per_second, level: per_second * ONE, filled: now }
    }

    /// Takes `publications` out; says from when on more may be read, if not now.
    pub fn spend(&mut self, now: Instant, publications: usize) -> Option<Instant> {
        self.fill(now);
        let spent = i64::try_from(publications).unwrap_or(i64::MAX).saturating_mul(ONE);
        self.level = self.level.saturating_sub(spent);
        let missing = ONE.saturating_sub(self.level);
        if missing <= 0 {
            return None;
        }
        let micros = missing.div_euclid(self.per_second) + 1;
        Some(now + std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = i64::try_from(now.since(self.filled).as_micros()).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.per_second)).min(self.per_second * ONE);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_second_of_publications_passes_at_once_and_what_is_more_is_waited_for() {
        let mut rate = Rate::new(100, at(0));
        assert_eq!(rate.spend(at(0), 99), None);
        let again = rate.spend(at(0), 11).expect("ten over");
        let waited = again.since(at(0));
        assert!(waited >= Duration::from_millis(110) && waited < Duration::from_millis(111), "{waited:?}");
        assert_eq!(rate.spend(again, 0), None);
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept() {
        let mut rate = Rate::new(50, at(0));
        let (mut now, mut published) = (at(0), 0_usize);
        while now < at(60_000) {
            published += 7;
            now = rate.spend(now, 7).unwrap_or(now);
        }
        assert!((3_000..=3_064).contains(&published), "{published} in a minute at 50 a second");
    }
}
