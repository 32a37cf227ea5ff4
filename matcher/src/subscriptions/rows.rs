//! The rows: one a subscription, in a table whose places are reused, found by key.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Handle, SubscriptionKey};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::operation::{SubscriptionOptions, Version};
use gomera_cluster::pages::Pages;
use gomera_cluster::position::LaneId;
use gomera_cluster::table::{LargeTable, Seeded};
use gomera_model::filter::Filter;
use gomera_model::timestamp::Timestamp;

use super::SessionId;
use super::weights::Weight;
use crate::index::RowId;
use crate::kernel::prefetch_all;

/// A subscription.
#[derive(Debug)]
pub struct Row {
    /// Its key.
    pub key: SubscriptionKey,
    /// Whose it is.
    pub session: SessionId,
    /// The operation that last changed it.
    pub version: Version,
    /// The slice it belongs to.
    pub slice: MatcherSlice,
    /// The operation that last put it.
    pub put: Version,
    /// What stands for it.
    pub handle: Handle,
    /// The id the client gave.
    pub id: Arc<str>,
    /// Its filter, as the client gave it.
    pub filter: Filter,
    /// Its options.
    pub options: SubscriptionOptions,
    /// What it counts against the limits.
    pub weight: Weight,
    /// When to see to its removal, if it expires.
    pub due: Option<Timestamp>,
    /// The lane that was asked to sequence its removal.
    pub removing: Option<LaneId>,
}

/// All rows.
#[derive(Debug)]
pub struct Rows {
    rows: Pages<Option<Row>>,
    /// Of each place, its row's slice, or [`NOWHERE`]: to be walked over fast.
    slices: Vec<MatcherSlice>,
    by_key: LargeTable<SubscriptionKey, RowId>,
}

/// No slice: there are at most 4096.
const NOWHERE: MatcherSlice = MatcherSlice(u16::MAX);

impl Rows {
    /// None yet.
    pub fn new(seed: u64) -> Self {
        Self { rows: Pages::new(), slices: Vec::new(), by_key: LargeTable::with_hasher(Seeded::new(seed)) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The row of a subscription.
    pub fn find(&self, key: SubscriptionKey) -> Option<RowId> {
        self.by_key.get(&key).copied()
    }

    /// Asks for the memory of a row that a publication satisfies.
    #[inline]
    pub fn prefetch_hit(&self, id: RowId) {
        prefetch_all(&self.rows[id.0]);
    }

    /// A row.
    pub fn get(&self, id: RowId) -> &Row {
        self.rows[id.0].as_ref().expect("an id in use names a row")
    }

    /// What is at a place, or `None` if there are no more places.
    pub fn at(&self, id: RowId) -> Option<Option<&Row>> {
        self.rows.get(id.0).map(Option::as_ref)
    }

    /// The first row from a place on that is of one of these slices, or the place to go on from, if there is none among the next
    /// `places`; nothing at the end.
    pub fn next_of(&self, from: RowId, slices: &SliceSet, places: usize) -> Option<Result<RowId, RowId>> {
        let end = self.slices.len().min(from.index().saturating_add(places));
        let place = |index: usize| RowId(u32::try_from(index).expect("places fit 32 bits"));
        if from.index() >= self.slices.len() {
            return None;
        }
        let found = self.slices[from.index()..end].iter().position(|&slice| slices.contains(slice));
        Some(found.map_or(Err(place(end)), |offset| Ok(place(from.index() + offset))))
    }

    /// A row, to be changed; its key and session never are.
    pub fn get_mut(&mut self, id: RowId) -> &mut Row {
        self.rows[id.0].as_mut().expect("an id in use names a row")
    }

    /// Adds a row whose key is not in.
    pub fn insert(&mut self, row: Row) -> RowId {
        let key = row.key;
        let slice = row.slice;
        let id = RowId(self.rows.insert(Some(row)));
        self.slices.resize(self.rows.len(), NOWHERE);
        self.slices[id.index()] = slice;
        let before = self.by_key.insert(key, id);
        assert!(before.is_none(), "a subscription has one row");
        id
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: RowId) -> Row {
        let row = self.rows.remove(id.0).expect("an id in use names a row");
        self.slices[id.index()] = NOWHERE;
        self.by_key.remove(&row.key);
        row
    }
}
