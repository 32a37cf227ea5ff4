//! A lane, before it stands in a block: its tests as bytes, whom it is for, and where its program is.

use super::schema::ALWAYS;
use super::target::Target;

/// Most tests of a lane that are columns; further ones stand in its program only.
pub const TESTS_MAX: usize = 6;

/// A test as bytes: the code of a feature must lie within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coded {
    /// Which feature.
    pub feature: u8,
    /// Lowest code that passes.
    pub low: u8,
    /// Highest code that passes.
    pub high: u8,
    /// Fine code of the low bound.
    pub fine_low: u8,
    /// Fine code of the high one.
    pub fine_high: u8,
}

impl Coded {
    /// Codes alone; what lies at a bound stays open.
    pub fn coarse(feature: u8, low: u8, high: u8) -> Self {
        Self { feature, low, high, fine_low: 0, fine_high: 0 }
    }
}

/// Passes always, and surely.
pub const PASS: Coded = Coded { feature: ALWAYS, low: 0, high: u8::MAX, fine_low: 0, fine_high: 0 };

/// A lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Who it is for.
    pub target: Target,
    /// Where its program begins.
    pub program: u32,
    /// Whether the columns say less than the program.
    pub verify: bool,
    /// Tests, in the order of columns.
    pub coded: [Coded; TESTS_MAX],
}

impl Lane {
    /// How many tests it has.
    pub fn tests(&self) -> usize {
        self.coded.iter().rposition(|&coded| coded != PASS).map_or(0, |last| last + 1)
    }

    /// A lane without columns.
    pub fn new(target: Target, program: u32, verify: bool) -> Self {
        Self { target, program, verify, coded: [PASS; TESTS_MAX] }
    }
}
