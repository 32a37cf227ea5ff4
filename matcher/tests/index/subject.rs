//! What a matcher holds, under test behind a face that changes with it: rows by slice, and slices that come to count or cease to,
//! whose rows move step by step while matching goes on.

use std::collections::BTreeMap;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_matcher::index::{Contexts, Holdings, RowId};
use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;

/// How many slices there are.
pub const SLICES: u16 = 8;

/// A subscription as the plain evaluator knows it.
#[derive(Clone, Debug)]
pub struct Row {
    pub tenant: Tenant,
    pub slice: MatcherSlice,
    pub session: usize,
    pub filter: Filter,
}

/// Rows and the contexts of their sessions.
#[derive(Debug, Default)]
pub struct Rows {
    pub rows: BTreeMap<RowId, Row>,
    pub contexts: Vec<Option<Attributes>>,
}

impl Contexts for Rows {
    fn context(&self, row: RowId) -> Option<&Attributes> {
        self.contexts[self.rows[&row].session].as_ref()
    }
}

/// Which way slices move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Activating,
    Retiring,
}

/// What a matcher holds, and which slices count.
#[derive(Debug)]
pub struct Subject {
    holdings: Holdings,
    /// By slice: whether its rows count.
    is_active: Vec<bool>,
}

fn set(slices: impl IntoIterator<Item = MatcherSlice>) -> SliceSet {
    let mut set = SliceSet::default();
    slices.into_iter().for_each(|slice| set.insert(slice));
    set
}

impl Subject {
    pub fn new(seed: u64) -> Self {
        let is_active = (0..SLICES).map(|slice| slice % 4 != 3).collect();
        let mut subject = Self { holdings: Holdings::new(seed), is_active };
        subject.judge();
        subject
    }

    /// Whether rows of this slice count.
    pub fn counts(&self, slice: MatcherSlice) -> bool {
        self.is_active[usize::from(slice.0)]
    }

    pub fn insert(&mut self, id: RowId, row: &Row) {
        self.holdings.insert(id, &row.tenant, row.slice, &row.filter);
    }

    pub fn load(&mut self, tenant: &Tenant, slice: MatcherSlice, rows: &[(RowId, Filter)]) {
        self.holdings.load(tenant, slice, rows.iter().map(|(id, filter)| (*id, filter)));
    }

    pub fn remove(&mut self, id: RowId, row: &Row) {
        self.holdings.remove(id, &row.tenant);
    }

    /// Has slices count at once, or no longer, whatever moves already.
    pub fn begin(&mut self, direction: Direction, slices: Vec<MatcherSlice>) {
        for slice in slices {
            self.is_active[usize::from(slice.0)] = direction == Direction::Activating;
        }
        self.judge();
    }

    /// Moves some rows, or corrects choices.
    pub fn step(&mut self, rows: &Rows, rows_max: usize) {
        self.holdings.step(rows_max, |id: RowId| (&rows.rows[&id].tenant, &rows.rows[&id].filter));
    }

    /// The rows that each of some publications satisfies, ascending; a row given twice is in twice. A lane that has not come so far is
    /// not judged by the slice that is hidden. Looks at `effort_max` lanes before it asks again for what is left.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        publications: &[&Attributes],
        rows: &Rows,
        hidden: Option<u16>,
        effort_max: usize,
    ) -> Vec<Vec<RowId>> {
        let counting = (0..SLICES).filter(|&slice| self.is_active[usize::from(slice)] && Some(slice) != hidden);
        let counting = set(counting.map(MatcherSlice));
        let mut all = Vec::new();
        while all.len() < publications.len() {
            let rest = &publications[all.len()..];
            let mut found = vec![Vec::new(); rest.len()];
            let output = found.as_mut_slice();
            let judged = self.holdings.matches(tenant, rest, rows, &counting, effort_max, output);
            assert!((1..=rest.len()).contains(&judged), "{judged} of {} publications were judged", rest.len());
            all.extend(found.into_iter().take(judged));
        }
        all.iter_mut().for_each(|found| found.sort_unstable());
        all
    }

    fn judge(&mut self) {
        let judged = (0..SLICES).filter(|&slice| self.is_active[usize::from(slice)]).map(MatcherSlice);
        self.holdings.judge_by(set(judged), SLICES);
    }

    /// What it says of itself hangs together.
    pub fn check(&mut self, rows: &Rows) {
        assert_eq!(self.holdings.len(), rows.rows.len(), "every row is in one of both");
        assert_eq!(self.holdings.is_empty(), rows.rows.is_empty());
        for row in rows.rows.values().take(3) {
            let explained = self.holdings.explain(&row.tenant, &row.filter);
            for branch in &explained.branches {
                assert!((0.0..=1.0).contains(&branch.share), "{branch:?}");
                assert!(branch.nanoseconds >= 0.0, "{branch:?}");
            }
        }
    }
}
