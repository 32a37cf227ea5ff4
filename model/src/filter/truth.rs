//! Three-valued logic (SQL-92, JMS 2.0 tables 3-4 to 3-6).

use std::fmt;
use std::ops::Not;

/// What a condition comes to. The order False < Unknown < True makes `AND` the minimum and `OR` the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// Does not match.
    False,
    /// Something needed is missing: does not match either.
    Unknown,
    /// Matches.
    True,
}

impl Truth {
    /// Whether a filter that comes to this matches.
    #[inline]
    #[must_use]
    pub fn is_match(self) -> bool {
        self == Self::True
    }

    /// Conjunction.
    #[inline]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Disjunction.
    #[inline]
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

impl Not for Truth {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    #[inline]
    fn from(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
}

/// `true`, `false` or `unknown`.
impl fmt::Display for Truth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::False => "false",
            Self::Unknown => "unknown",
            Self::True => "true",
        })
    }
}
