//! Lanes, numbers, positions, and vectors of positions.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A lane: the ordered stream one access-point shard writes. Ids are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneId(pub u32);

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of an entry in its lane, from 1. Zero stands for «before the first».
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Number(pub u64);

impl Number {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where a publication or an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The lane.
    pub lane: LaneId,
    /// The entry's number in it.
    pub number: Number,
}

/// A number per lane: `W`, merged vectors, positions in force. A lane that is absent stands at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector(BTreeMap<LaneId, Number>);

impl Vector {
    /// The number of `lane`, zero if absent.
    #[must_use]
    pub fn get(&self, lane: LaneId) -> Number {
        self.0.get(&lane).copied().unwrap_or(Number::ZERO)
    }

    /// Raises `lane` to `number`; a lower number changes nothing. Returns whether something changed.
    pub fn raise(&mut self, lane: LaneId, number: Number) -> bool {
        let entry = self.0.entry(lane).or_default();
        let raised = number > *entry;
        if raised {
            *entry = number;
        }
        raised
    }

    /// Raises every lane to what `other` has.
    pub fn raise_all(&mut self, other: &Self) {
        for (&lane, &number) in &other.0 {
            self.raise(lane, number);
        }
    }

    /// Whether `position` lies at or below this vector.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        self.get(position.lane) >= position.number
    }

    /// Forgets a lane that has ended.
    pub fn remove(&mut self, lane: LaneId) {
        self.0.remove(&lane);
    }

    /// The lanes and numbers, in order of lane.
    pub fn iter(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|(&lane, &number)| Position { lane, number })
    }

    /// How many lanes it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names no lane.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Position> for Vector {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let mut vector = Self::default();
        for position in positions {
            vector.raise(position.lane, position.number);
        }
        vector
    }
}
