//! The index under test behind a face that changes with it: an active index and a standby one, rows by slice, and the moves of
//! slices between them, step by step while matching goes on.

use std::collections::BTreeMap;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_matcher::index::{Contexts, Index, Merge, RowId, Slices};
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

#[derive(Debug)]
struct Moving {
    merge: Merge,
    direction: Direction,
    slices: Vec<MatcherSlice>,
}

/// Two indexes and what moves between them.
#[derive(Debug)]
pub struct Subject {
    active: Index,
    standby: Index,
    /// By slice: whether its rows count.
    is_active: Vec<bool>,
    moving: Option<Moving>,
}

fn set(slices: impl IntoIterator<Item = MatcherSlice>) -> SliceSet {
    let mut set = SliceSet::default();
    slices.into_iter().for_each(|slice| set.insert(slice));
    set
}

impl Subject {
    pub fn new(seed: u64) -> Self {
        let is_active = (0..SLICES).map(|slice| slice % 4 != 3).collect();
        Self { active: Index::new(seed), standby: Index::new(seed ^ 1), is_active, moving: None }
    }

    /// Whether rows of this slice count.
    pub fn counts(&self, slice: MatcherSlice) -> bool {
        self.is_active[usize::from(slice.0)]
    }

    fn home(&mut self, slice: MatcherSlice) -> &mut Index {
        if self.counts(slice) { &mut self.active } else { &mut self.standby }
    }

    pub fn insert(&mut self, id: RowId, row: &Row) {
        self.home(row.slice).insert(id, &row.tenant, row.slice, &row.filter);
    }

    pub fn load(&mut self, tenant: &Tenant, slice: MatcherSlice, rows: &[(RowId, Filter)]) {
        self.home(slice).load(tenant, slice, rows.iter().map(|(id, filter)| (*id, filter)));
    }

    /// While slices move, nobody knows in which index a row is.
    pub fn remove(&mut self, id: RowId, row: &Row) {
        self.active.remove(id, &row.tenant);
        self.standby.remove(id, &row.tenant);
    }

    /// Begins to move slices, unless some move already. They count at once, or no longer.
    pub fn begin(&mut self, direction: Direction, slices: Vec<MatcherSlice>) {
        if self.moving.is_some() {
            return;
        }
        for slice in &slices {
            self.is_active[usize::from(slice.0)] = direction == Direction::Activating;
        }
        self.moving = Some(Moving { merge: Merge::new(), direction, slices });
    }

    /// Moves some rows.
    pub fn step(&mut self, rows: &Rows, rows_max: usize) {
        let Some(moving) = &mut self.moving else { return };
        let slices = set(moving.slices.iter().copied());
        let (from, into) = match moving.direction {
            Direction::Activating => (&mut self.standby, &mut self.active),
            Direction::Retiring => (&mut self.active, &mut self.standby),
        };
        let filter_of = |id: RowId| (&rows.rows[&id].tenant, &rows.rows[&id].filter);
        if moving.merge.step(from, into, Slices::Only(&slices), rows_max, filter_of) {
            self.moving = None;
        }
    }

    /// Corrects choices.
    pub fn adapt(&mut self, rows_max: usize) {
        self.active.adapt(rows_max);
        self.standby.adapt(rows_max);
    }

    /// The rows that a publication satisfies, ascending; a row given twice is in twice.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        publication: &Attributes,
        rows: &Rows,
        hidden: Option<u16>,
    ) -> Vec<RowId> {
        let mut found = Vec::new();
        let counting = (0..SLICES).filter(|&slice| self.is_active[usize::from(slice)] && Some(slice) != hidden);
        let counting = counting.map(MatcherSlice).collect::<Vec<_>>();
        let is_retiring = self.moving.as_ref().is_some_and(|moving| moving.direction == Direction::Retiring);
        if hidden.is_none() && !is_retiring {
            self.active.matches(tenant, publication, rows, Slices::All, &mut found);
        } else {
            let counting = set(counting.iter().copied());
            self.active.matches(tenant, publication, rows, Slices::Only(&counting), &mut found);
        }
        if let Some(moving) = &self.moving
            && moving.direction == Direction::Activating
        {
            let coming = set(moving.slices.iter().copied().filter(|slice| counting.contains(slice)));
            self.standby.matches(tenant, publication, rows, Slices::Only(&coming), &mut found);
        }
        found.sort_unstable();
        found
    }

    /// What it says of itself hangs together.
    pub fn check(&mut self, rows: &Rows) {
        assert_eq!(self.active.len() + self.standby.len(), rows.rows.len(), "every row is in one of both");
        assert_eq!(self.active.is_empty() && self.standby.is_empty(), rows.rows.is_empty());
        for row in rows.rows.values().take(3) {
            let counts = self.counts(row.slice);
            let index = if counts { &mut self.active } else { &mut self.standby };
            let explained = index.explain(&row.tenant, &row.filter);
            for branch in &explained.branches {
                assert!((0.0..=1.0).contains(&branch.share), "{branch:?}");
                assert!(branch.nanoseconds >= 0.0, "{branch:?}");
            }
        }
    }
}
