//! How connection points come and die, as a seed decides. Drawn from dice of its own, so that the rest of a seed does not
//! depend on it.

use std::time::Duration;

use super::Shape;
use crate::random::{Random, millis};

/// How connection points come and die. Chances are of 1000.
#[derive(Clone, Debug)]
pub struct Points {
    /// Nodes that exist from the start and that only later layouts name.
    pub joining: [u16; 4],
    /// When one stops, if another one is left to serve.
    pub stops: Vec<Duration>,
    /// Of those that stop, those that are only paused, taken for dead, and wake up.
    pub paused: u64,
    /// A layout without the one that stopped is committed so much later.
    pub dropped_after: (Duration, Duration),
    /// Of the later layouts, those that drop one that serves.
    pub withdrawals: u64,
    /// Of the subscribers whose connection point stopped, those that never come back.
    pub deserters: u64,
    /// Whether connection points that are to leave are waited for, or dropped with the clients they have.
    pub manners: Manners,
    /// Of the clients that are asked to move, those that do not.
    pub stubborn: u64,
    /// Whether matchers stop though nobody else has all of their slices.
    pub losses: Losses,
}

/// Whether slices may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    /// Matchers stop only if others have what they have.
    None,
    /// They stop whoever has what they have.
    Some,
}

/// How a connection point that is to leave is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Its clients are waited for.
    Patient,
    /// It is dropped with the clients it has.
    Abrupt,
}

impl Points {
    /// All stay as they are.
    #[must_use]
    pub const fn steady() -> Self {
        let none = Duration::ZERO;
        Self {
            joining: [0; 4],
            stops: Vec::new(),
            paused: 0,
            dropped_after: (none, none),
            withdrawals: 0,
            deserters: 0,
            manners: Manners::Abrupt,
            stubborn: 0,
            losses: Losses::None,
        }
    }

    pub(super) fn draw(seed: u64, shape: &Shape, rough_for: Duration) -> Self {
        let mut random = Random::new(seed ^ 0x0070_6f69_6e74_7300);
        if random.chance(350) {
            return Self::steady();
        }
        let least = if shape.nodes[0] == 1 { 1 } else { 0 };
        let points = u16::try_from(random.between(least, 2)).expect("small");
        let stops = random.between(0, 3);
        let access = u16::try_from(random.between(0, 2)).expect("small");
        let mut drawn = Self {
            joining: [points, access, 0, 0],
            stops: (0..stops).map(|_| random.duration(millis(20), rough_for)).collect(),
            paused: *random.pick(&[0, 300, 1000]),
            dropped_after: *random.pick(&[
                (millis(1), millis(5)),
                (millis(10), millis(200)),
                (millis(300), millis(2500)),
            ]),
            withdrawals: *random.pick(&[0, 600, 1000]),
            deserters: *random.pick(&[0, 0, 100, 300]),
            manners: if random.chance(700) { Manners::Patient } else { Manners::Abrupt },
            stubborn: *random.pick(&[0, 0, 200, 1000]),
            losses: Losses::None,
        };
        // After all the others, so that seeds keep what they mean.
        drawn.joining[2] = u16::try_from(random.between(0, 2)).expect("small");
        drawn.losses = if random.chance(300) { Losses::Some } else { Losses::None };
        drawn.joining[3] = u16::try_from(random.between(0, 2)).expect("small");
        drawn
    }
}

/// Replicas of each slice, as far as there are nodes.
pub(super) fn replication(seed: u64) -> u8 {
    if Random::new(seed ^ 0x7265_706c_6963_6173).chance(700) { 2 } else { 1 }
}
