//! Rows of some slices from one index into another, step by step: what was kept ready becomes what is asked, or the reverse.

use gomera_cluster::identity::Tenant;
use gomera_model::filter::Filter;

use super::store::State;
use super::{Index, RowId, Slices};

/// Moves rows of some slices from one index into another, step by step; meanwhile both are asked, and every row is in one of
/// them.
#[derive(Clone, Debug)]
pub struct Merge {
    next: RowId,
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
        Self { next: RowId(0) }
    }

    /// Looks at up to `rows_max` places of `from` and moves those rows of `slices` that it finds there; a thousand take a few
    /// milliseconds. `filter_of` gives the tenant and the filter of a row. Says whether it has come to the end.
    pub fn step<'a>(
        &mut self,
        from: &mut Index,
        into: &mut Index,
        slices: Slices<'_>,
        rows_max: usize,
        filter_of: impl Fn(RowId) -> (&'a Tenant, &'a Filter),
    ) -> bool {
        for _ in 0..rows_max {
            let row = self.next;
            if row.index() >= from.store.records.len() {
                return true;
            }
            self.next = RowId(row.0 + 1);
            let record = from.store.records[row.0];
            if record.state != State::Absent && slices.contains(record.slice()) {
                let (tenant, filter) = filter_of(row);
                from.remove(row, tenant);
                into.insert(row, tenant, record.slice(), filter);
            }
        }
        false
    }
}
