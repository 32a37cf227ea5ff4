//! Rows that share an access predicate, each with its guard: one numeric attribute and the bounds it must lie in. Packed, so
//! that a bucket of hundreds costs about a nanosecond a row.

use super::RowId;

/// An attribute that filters of a tenant use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeId(pub u32);

impl AttributeId {
    /// As a position in a table.
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("32 bits fit a usize")
    }
}

/// The guard of rows without one: an attribute that every publication has, as 0.
pub const ALWAYS: AttributeId = AttributeId(0);

/// Bounds of a numeric attribute, inclusive. Rounding and strictness only ever make them wider.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Which attribute.
    pub attribute: AttributeId,
    /// The lowest value that may pass.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Guard {
    /// Lets everything through.
    pub const NONE: Self = Self { attribute: ALWAYS, low: f64::NEG_INFINITY, high: f64::INFINITY };
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    guard: Guard,
    row: RowId,
}

/// Rows with their guards.
#[derive(Debug, Default)]
pub struct Bucket {
    candidates: Vec<Candidate>,
}

impl Bucket {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Adds a row; says where.
    pub fn insert(&mut self, row: RowId, guard: Guard) -> u32 {
        // Most buckets hold one row for ever: no room beforehand for four.
        if self.candidates.is_empty() {
            self.candidates.reserve_exact(1);
        }
        self.candidates.push(Candidate { guard, row });
        u32::try_from(self.candidates.len() - 1).expect("rows are numbered in 32 bits")
    }

    /// Takes the row at a place out. Gives its guard, and which row has moved to that place.
    pub fn remove(&mut self, at: u32) -> (Guard, Option<RowId>) {
        let at = usize::try_from(at).expect("32 bits fit a usize");
        let removed = self.candidates.swap_remove(at);
        if self.candidates.capacity() > 4 * self.candidates.len() + 4 {
            self.candidates.shrink_to(2 * self.candidates.len());
        }
        (removed.guard, self.candidates.get(at).map(|moved| moved.row))
    }

    /// Appends the rows whose guard lets `numbers` (by attribute, NaN where there is no number) through.
    #[inline]
    pub fn collect(&self, numbers: &[f64], into: &mut Vec<RowId>) {
        for Candidate { guard, row } in &self.candidates {
            let number = numbers[guard.attribute.index()];
            // False for a NaN: a comparison with what is missing or no number never makes a filter true.
            if number >= guard.low && number <= guard.high {
                into.push(*row);
            }
        }
    }
}
