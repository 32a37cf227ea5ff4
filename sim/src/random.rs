//! The one source of chance: a splitmix64 stream (Steele, Lea, Flood 2014), cut into independent streams by [`Random::fork`]
//! so that a change in one part of a run does not shift the dice of every other part.

use std::time::Duration;

/// A stream of dice.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A stream of its own.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }

    /// A number from 0 to `bound - 1`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of a remainder is below 2^-40 for the bounds used here.
        if bound == 0 { 0 } else { self.bits() % bound }
    }

    /// An index into something of `length` elements.
    pub fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).expect("lengths fit into 64 bits");
        usize::try_from(self.below(length)).expect("below a usize")
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `per_thousand` of 1000 cases.
    pub fn chance(&mut self, per_thousand: u64) -> bool {
        self.below(1000) < per_thousand
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// A duration between two, in whole microseconds.
    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2);
        Duration::from_micros(self.between(micros(low), micros(high).max(micros(low))))
    }

    /// A number that is small most of the time but covers `low..=high` on a logarithmic scale: for limits and windows.
    pub fn logarithmic(&mut self, low: u64, high: u64) -> u64 {
        let (from, to) = (low.max(1).ilog2(), high.max(1).ilog2());
        let exponent = self.between(u64::from(from), u64::from(to));
        let floor = 1_u64 << exponent;
        self.between(floor, floor.saturating_mul(2) - 1).clamp(low, high)
    }
}

/// Whole microseconds.
#[must_use]
pub const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// Whole milliseconds.
#[must_use]
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_dice() {
        let (mut left, mut right) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| left.bits() == right.bits()));
    }

    #[test]
    fn every_draw_stays_within_its_bounds() {
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert!((3..=9).contains(&random.between(3, 9)));
            assert!((1..=1 << 20).contains(&random.logarithmic(1, 1 << 20)));
        }
    }
}
