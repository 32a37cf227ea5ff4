//! Rows of some slices out of an index step by step: into another one, because what was kept ready becomes what is asked or the
//! reverse, or as a list, for whoever else is to hold them.

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::filter::Filter;

use super::store::State;
use super::{Index, RowId, Slices};

/// Places looked at for each row that is to be moved: a slice is one of many, and looking takes some nanoseconds.
const PLACES_PER_ROW: usize = 16;

/// Where a walk over the places of an index is.
#[derive(Clone, Debug)]
struct Walk {
    next: RowId,
}

impl Walk {
    /// The next row of some slices, if one is among the next `places` places.
    fn next(&mut self, index: &Index, slices: Slices<'_>, places: &mut usize) -> Option<(RowId, MatcherSlice)> {
        while *places > 0 && !self.is_over(index) {
            let row = self.next;
            *places -= 1;
            self.next = RowId(row.0 + 1);
            let record = index.store.records[row.0];
            if record.state != State::Absent && slices.contains(record.slice()) {
                return Some((row, record.slice()));
            }
        }
        None
    }

    fn is_over(&self, index: &Index) -> bool {
        self.next.index() >= index.store.records.len()
    }
}

/// Lists the rows of some slices, step by step. Rows that come or go meanwhile may be listed or not.
#[derive(Clone, Debug)]
pub struct Snapshot {
    walk: Walk,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::new()
    }
}

impl Snapshot {
    /// From the first row on.
    #[must_use]
    pub fn new() -> Self {
        Self { walk: Walk { next: RowId(0) } }
    }

    /// Appends up to `rows_max` rows. Says whether it has come to the end.
    pub fn step(
        &mut self,
        of: &Index,
        slices: Slices<'_>,
        rows_max: usize,
        into: &mut Vec<(RowId, MatcherSlice)>,
    ) -> bool {
        let mut places = rows_max.saturating_mul(PLACES_PER_ROW);
        for _ in 0..rows_max {
            let Some(found) = self.walk.next(of, slices, &mut places) else { break };
            into.push(found);
        }
        self.walk.is_over(of)
    }
}

/// Moves rows of some slices from one index into another, step by step; meanwhile both are asked, and every row is in one of
/// them.
#[derive(Clone, Debug)]
pub struct Merge {
    walk: Walk,
    moved: Vec<(RowId, MatcherSlice)>,
}

impl Default for Merge {
    fn default() -> Self {
        Self::new()
    }
}

impl Merge {
    /// From the first row on.
    #[must_use]
    pub fn new() -> Self {
        Self { walk: Walk { next: RowId(0) }, moved: Vec::new() }
    }

    /// Moves up to `rows_max` rows of `slices` that it finds next in `from`; two hundred take a millisecond or two, whatever
    /// their filters. `filter_of` gives the tenant and the filter of a row. Says whether it has come to the end.
    pub fn step<'a>(
        &mut self,
        from: &mut Index,
        into: &mut Index,
        slices: Slices<'_>,
        rows_max: usize,
        filter_of: impl Fn(RowId) -> (&'a Tenant, &'a Filter),
    ) -> bool {
        let mut places = rows_max.saturating_mul(PLACES_PER_ROW);
        self.moved.clear();
        while self.moved.len() < rows_max
            && let Some(found) = self.walk.next(from, slices, &mut places)
        {
            self.moved.push(found);
        }
        for of_tenant in self.moved.chunk_by(|left, right| filter_of(left.0).0 == filter_of(right.0).0) {
            let (tenant, _) = filter_of(of_tenant[0].0);
            of_tenant.iter().for_each(|&(row, _)| from.remove(row, tenant));
            into.load_some(tenant, of_tenant.iter().map(|&(row, slice)| (row, slice, filter_of(row).1)));
        }
        self.walk.is_over(from)
    }
}
