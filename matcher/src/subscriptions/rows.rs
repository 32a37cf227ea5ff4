//! The rows: one a subscription, in a table whose places are reused, found by key.

use std::sync::Arc;

use gomera_cluster::identity::{Generation, Handle, SubscriptionKey};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::operation::{SubscriptionOptions, Version};
use gomera_cluster::table::{Seeded, Table};
use gomera_model::filter::Filter;

use super::SessionId;
use super::weights::Weight;
use crate::index::RowId;

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
    /// The attachment that last put it.
    pub generation: Generation,
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
}

/// All rows.
#[derive(Debug)]
pub struct Rows {
    rows: Vec<Option<Row>>,
    free: Vec<RowId>,
    by_key: Table<SubscriptionKey, RowId>,
}

impl Rows {
    /// None yet.
    pub fn new(seed: u64) -> Self {
        Self { rows: Vec::new(), free: Vec::new(), by_key: Table::with_hasher(Seeded::new(seed)) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The row of a subscription.
    pub fn find(&self, key: SubscriptionKey) -> Option<RowId> {
        self.by_key.get(&key).copied()
    }

    /// A row.
    pub fn get(&self, id: RowId) -> &Row {
        self.rows[id.index()].as_ref().expect("an id in use names a row")
    }

    /// What is at a place, or `None` if there are no more places.
    pub fn at(&self, id: RowId) -> Option<Option<&Row>> {
        self.rows.get(id.index()).map(Option::as_ref)
    }

    /// A row, to be changed; its key and session never are.
    pub fn get_mut(&mut self, id: RowId) -> &mut Row {
        self.rows[id.index()].as_mut().expect("an id in use names a row")
    }

    /// Adds a row whose key is not in.
    pub fn insert(&mut self, row: Row) -> RowId {
        let key = row.key;
        let id = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            RowId(u32::try_from(self.rows.len() - 1).expect("subscriptions_max fits 32 bits"))
        });
        self.rows[id.index()] = Some(row);
        let before = self.by_key.insert(key, id);
        assert!(before.is_none(), "a subscription has one row");
        id
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: RowId) -> Row {
        let row = self.rows[id.index()].take().expect("an id in use names a row");
        self.by_key.remove(&row.key);
        self.free.push(id);
        row
    }
}
