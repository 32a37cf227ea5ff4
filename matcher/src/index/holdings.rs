//! All rows of a shard, in two indexes: one that every publication probes, with the rows of slices that some lane is judged by,
//! and one with those of slices that are only kept ready. When a slice comes to be judged by or ceases to be, its rows move from one
//! to the other a few at a time; until they are all there, publications probe both.
//!
//! Invariant: every row is in exactly one index, and whatever is in neither place yet where it belongs is masked by its slice.

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;

use super::{Contexts, Explanation, Index, Merge, Output, RowId, Slices};

/// Both indexes.
#[derive(Debug)]
pub struct Holdings {
    /// What is probed.
    judging: Index,
    /// What is kept ready.
    keeping: Index,
    /// Slices that some lane is judged by.
    judged: SliceSet,
    /// All others.
    kept: SliceSet,
    /// Rows on their way up: of judged slices, in `keeping`.
    rising: Option<Merge>,
    /// Rows on their way down: of kept slices, in `judging`.
    sinking: Option<Merge>,
    evaluated: usize,
}

impl Holdings {
    /// Nothing, and judged by nothing.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            judging: Index::new(seed),
            keeping: Index::new(seed),
            judged: SliceSet::default(),
            kept: SliceSet::default(),
            rising: None,
            sinking: None,
            evaluated: 0,
        }
    }

    /// From now on lanes are judged by no others than these of so many slices. What belongs elsewhere now is moved by
    /// [`Holdings::step`].
    pub fn judge_by(&mut self, judged: SliceSet, slices: u16) {
        let gained = judged.iter().any(|slice| !self.judged.contains(slice));
        let lost = self.judged.iter().any(|slice| !judged.contains(slice));
        self.kept = (0..slices).map(MatcherSlice).filter(|&slice| !judged.contains(slice)).collect();
        self.judged = judged;
        // What moves already begins anew: rows behind it may have to move as well.
        if (gained || self.rising.is_some()) && !self.keeping.is_empty() {
            self.rising = Some(Merge::new());
        }
        if (lost || self.sinking.is_some()) && !self.judging.is_empty() {
            self.sinking = Some(Merge::new());
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row is in already.
    pub fn insert(&mut self, row: RowId, tenant: &Tenant, slice: MatcherSlice, filter: &Filter) {
        let (home, other) = self.home(slice);
        other.reach(row);
        home.insert(row, tenant, slice, filter);
    }

    /// Adds many rows of one slice.
    ///
    /// # Panics
    /// If one of the rows is in already.
    pub fn load<'a>(
        &mut self,
        tenant: &Tenant,
        slice: MatcherSlice,
        rows: impl IntoIterator<Item = (RowId, &'a Filter)>,
    ) {
        let (home, other) = self.home(slice);
        home.load(tenant, slice, rows.into_iter().inspect(|&(row, _)| other.reach(row)));
    }

    /// Takes a row out; it may not be in.
    pub fn remove(&mut self, row: RowId, tenant: &Tenant) {
        self.judging.remove(row, tenant);
        self.keeping.remove(row, tenant);
    }

    /// Gives the rows of some of the judged slices that publications satisfy; says how many of these were judged, as
    /// [`Index::matches`] does.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        publications: &[&Attributes],
        contexts: &impl Contexts,
        slices: &SliceSet,
        effort_max: usize,
        output: &mut (impl Output + ?Sized),
    ) -> usize {
        debug_assert!(slices.iter().all(|slice| self.judged.contains(slice)), "lanes are judged by judged slices");
        let is_all = self.sinking.is_none() && slices.len() == self.judged.len();
        let mask = if is_all { Slices::All } else { Slices::Only(slices) };
        let mut judged = self.judging.matches(tenant, publications, contexts, mask, effort_max, output);
        self.evaluated = self.judging.evaluated();
        if self.rising.is_some() {
            let mask = Slices::Only(slices);
            let publications = &publications[..judged];
            judged = self.keeping.matches(tenant, publications, contexts, mask, effort_max, output);
            self.evaluated += self.keeping.evaluated();
        }
        judged
    }

    /// How many filters, or parts of filters, the last [`Holdings::matches`] had to look at one by one.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.evaluated
    }

    /// Whether rows are not where they belong.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.rising.is_some() || self.sinking.is_some()
    }

    /// Whether [`Holdings::step`] has something to do.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.is_moving() || self.judging.is_adapting() || self.keeping.is_adapting()
    }

    /// Moves up to so many rows to where they belong now or, if all are there, corrects choices that the data has shown to be bad.
    /// `filter_of` gives the tenant and the filter of a row.
    pub fn step<'a>(&mut self, rows_max: usize, filter_of: impl Fn(RowId) -> (&'a Tenant, &'a Filter)) {
        let Self { judging, keeping, judged, kept, rising, sinking, .. } = self;
        if let Some(merge) = rising {
            if merge.step(keeping, judging, Slices::Only(judged), rows_max, filter_of) {
                *rising = None;
            }
        } else if let Some(merge) = sinking {
            if merge.step(judging, keeping, Slices::Only(kept), rows_max, filter_of) {
                *sinking = None;
            }
        } else if judging.is_adapting() {
            judging.adapt(rows_max);
        } else {
            keeping.adapt(rows_max);
        }
    }

    /// What a filter asks for and costs among those that are judged by.
    #[must_use]
    pub fn explain(&mut self, tenant: &Tenant, filter: &Filter) -> Explanation {
        self.judging.explain(tenant, filter)
    }

    /// How many rows are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.judging.len() + self.keeping.len()
    }

    /// Whether no row is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Both indexes.
    #[must_use]
    pub fn indexes(&self) -> [&Index; 2] {
        [&self.judging, &self.keeping]
    }

    /// Where rows of a slice belong, and the other one. That has places for them as well: one that had none would make a million when
    /// the first row comes to it, which took 9 ms.
    fn home(&mut self, slice: MatcherSlice) -> (&mut Index, &mut Index) {
        let Self { judging, keeping, .. } = self;
        if self.judged.contains(slice) { (judging, keeping) } else { (keeping, judging) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::filter;

    #[test]
    fn an_index_that_is_empty_has_places_for_what_may_come_to_it() {
        let mut holdings = Holdings::new(3);
        holdings.judge_by(std::iter::once(MatcherSlice(0)).collect(), 2);
        holdings.insert(RowId(5_000), &Tenant::open(), MatcherSlice(0), &filter("a = 1"));
        holdings.load(&Tenant::open(), MatcherSlice(0), [(RowId(6_000), &filter("a = 2"))]);
        assert_eq!((holdings.judging.store.records.len(), holdings.keeping.store.records.len()), (6_001, 6_001));
    }
}
