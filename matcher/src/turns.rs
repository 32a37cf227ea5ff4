//! When work that nobody waits for takes its turn: a step, then a pause of several times as long as the step took. On a machine that is
//! busy a step takes longer, and so does the pause: what has to be done at once finds the processor free.
//!
//! ```text
//!   ── step ── told the time again: so long it took, and what was asked for has left ──▶ pause ──▶ step ──▶ …
//! ```

use std::time::Duration;

use gomera_cluster::time::Instant;

/// How often a pause is as long as the step before: a twelfth of the time is for such work.
const PAUSES: u32 = 11;

/// No pause is longer: when a whole machine stood still, that says nothing of the step.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// See the top of this file.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    began: Option<Instant>,
    free_at: Instant,
}

impl Turns {
    /// The first step may be done at once.
    pub const fn new() -> Self {
        Self { began: None, free_at: Instant::ZERO }
    }

    /// Tells the time. Whether a step may be done now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if let Some(began) = self.began.take() {
            self.free_at = now + (now.since(began) * PAUSES).min(PAUSE_MAX);
        }
        now >= self.free_at
    }

    /// A step was done at this moment, and more is left: the time is to be told once more as soon as it is over.
    pub const fn took(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// When the time is to be told next, if work is left that is due then: right after a step, so that waiting for what is due later does
    /// not count as part of it.
    pub fn next(&self, due: Instant) -> Instant {
        self.began.unwrap_or(self.free_at.max(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_start(Duration::from_micros(micros))
    }

    #[test]
    fn a_pause_is_eleven_times_as_long_as_the_step() {
        let mut turns = Turns::new();
        assert!(turns.is_due(at(5)));
        turns.took(at(5));
        assert_eq!(turns.next(at(900)), at(5), "however late the next one is due");
        assert!(!turns.is_due(at(8)));
        assert_eq!((turns.next(at(0)), turns.next(at(900))), (at(8 + 33), at(900)));
        assert!(!turns.is_due(at(40)) && turns.is_due(at(41)));
    }

    #[test]
    fn steps_that_take_no_time_follow_each_other_and_who_stood_still_pauses_no_longer_than_that() {
        let mut turns = Turns::new();
        turns.took(at(5));
        assert!(turns.is_due(at(5)));
        turns.took(at(5));
        assert!(!turns.is_due(at(9_000_000)));
        assert_eq!(turns.next(at(0)), at(9_040_000));
    }
}
