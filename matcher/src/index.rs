//! The index: which rows does a publication satisfy? Everything a machine asks of it is here.
//!
//! A filter is brought into the form of a few conjunctions ([`plan`]), each written down as words ([`program`]), in which names,
//! values and expressions are numbers ([`schema`], [`symbols`], [`residuals`]). Each conjunction is a lane: it stands where the test
//! leads that fewest publications pass ([`access`]): in a cluster of its value, prefix or cell ([`clusters`]), in order of its other
//! tests where there are many ([`shelves`]), or among ranges in order ([`ladders`]). Its other tests stand beside it as bytes
//! ([`coding`], [`quantiser`]), in blocks of columns ([`blocks`]) that the [`kernel`](crate::kernel) compares many at a time. Bytes
//! never lose a match; where they cannot decide, the words do. What words cannot express, the plain evaluator does.
//!
//! Rows with equal filters share their lanes ([`store`]). Nothing is ever copied whole: tables grow by pages, and what the data
//! shows to be a bad choice is moved row by row.

mod access;
mod arena;
mod blocks;
mod brief;
mod cells;
mod charge;
mod clusters;
mod coding;
mod crowds;
mod desk;
mod explain;
mod fading;
mod features;
mod finder;
#[cfg(test)]
mod fixture;
mod holdings;
mod judging;
mod labels;
mod ladders;
mod lane;
mod merge;
mod names;
mod plan;
mod prefixes;
mod program;
mod quantiser;
mod reading;
mod residuals;
mod schema;
mod scratch;
mod settling;
mod shelves;
mod steps;
mod store;
mod symbols;
mod target;

use std::collections::BTreeMap;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::table::Seeded;
use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;

use crate::kernel::Kernel;
use clusters::TenantId;
use finder::Finder;
use judging::Question;
use schema::Schema;
use scratch::Scratch;
use store::{State, Store};

pub use charge::{Charge, Condition};
pub use explain::{Branch, Explanation};
pub use holdings::Holdings;
pub use merge::{Merge, Snapshot};
pub use scratch::TOGETHER;

/// The place of a subscription in the tables of its matcher: small, below 2^31, reused after removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u32);

impl RowId {
    /// As a position in a table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("32 bits fit a usize")
    }
}

/// Where the subscribers' own attributes come from.
pub trait Contexts {
    /// The context of the session that a row belongs to, if it has one.
    fn context(&self, row: RowId) -> Option<&Attributes>;
}

/// How far [`Index::schema_bytes`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaPlace {
    tenant: usize,
    slot: usize,
}

/// The slices whose rows count.
#[derive(Clone, Copy, Debug)]
pub enum Slices<'a> {
    /// All that the index holds.
    All,
    /// These alone.
    Only(&'a SliceSet),
}

impl Slices<'_> {
    /// Whether rows of this slice count.
    #[inline]
    #[must_use]
    pub fn contains(self, slice: MatcherSlice) -> bool {
        match self {
            Self::All => true,
            Self::Only(slices) => slices.contains(slice),
        }
    }
}

/// Where satisfied rows go: one at a time, or, where many come together (identical filters, a range that holds for a whole
/// block), as a list that is not copied before this.
pub trait Output {
    /// These rows are satisfied by a publication: its place among those that were asked for. No row is given twice for one.
    fn rows(&mut self, publication: usize, rows: &[RowId]);
}

/// Of one publication.
impl Output for Vec<RowId> {
    #[inline]
    fn rows(&mut self, publication: usize, rows: &[RowId]) {
        debug_assert!(publication == 0, "a list for each publication");
        self.extend_from_slice(rows);
    }
}

/// A list for each.
impl Output for [Vec<RowId>] {
    #[inline]
    fn rows(&mut self, publication: usize, rows: &[RowId]) {
        self[publication].extend_from_slice(rows);
    }
}

/// Publications after which blocks that have much room are packed, a few of them.
const PACKED_AFTER: u64 = if cfg!(any(test, fuzzing)) { 1 } else { 64 };

/// Rows by what they match.
#[derive(Debug)]
pub struct Index {
    hashing: Seeded,
    kernel: Kernel,
    tenants: BTreeMap<Tenant, TenantId>,
    schemas: Vec<Option<Schema>>,
    schemas_free: Vec<TenantId>,
    store: Store,
    /// Rows and crowds by the programs that they have.
    sharing: Finder,
    scratch: Scratch,
    /// What an insertion works in.
    desk: desk::Desk,
    /// What a removal asks the memory for.
    foreseen: Vec<u32>,
    /// The next row to look at, while rows leave stale features or frequent keys.
    sweep: Option<u32>,
    /// Rows that the sweep has moved.
    swept: u32,
    /// Publications judged.
    judged: u64,
    /// That many before the frequency of keys is looked at again.
    calm_until: u64,
    /// The number of the last publication.
    epoch: u32,
    /// Stamps of the other half of these that are being taken away.
    fading: Option<fading::Fading>,
    looked_at: usize,
    rows: usize,
}

impl Index {
    /// An empty index whose tables use this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let hashing = Seeded::new(seed);
        Self {
            hashing,
            kernel: Kernel::detect(),
            tenants: BTreeMap::new(),
            schemas: Vec::new(),
            schemas_free: Vec::new(),
            store: Store::new(hashing),
            sharing: Finder::new(),
            scratch: Scratch::new(),
            desk: desk::Desk::default(),
            foreseen: Vec::new(),
            sweep: None,
            swept: 0,
            judged: 0,
            calm_until: 0,
            epoch: 0,
            fading: None,
            looked_at: 0,
            rows: 0,
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row is in already.
    pub fn insert(&mut self, row: RowId, tenant: &Tenant, slice: MatcherSlice, filter: &Filter) {
        let id = self.tenant(tenant);
        self.settle(id, [(row, slice, filter)]);
        self.rows += 1;
        self.schema(id).rows += 1;
        self.sweep_some(settling::SWEPT_PER_INSERTION);
    }

    /// Adds many rows of one tenant and slice: what a snapshot brings. Every thousand takes less than a few milliseconds, so a
    /// caller that must not stop for longer brings no more at a time.
    ///
    /// # Panics
    /// If one of the rows is in already.
    pub fn load<'a>(
        &mut self,
        tenant: &Tenant,
        slice: MatcherSlice,
        rows: impl IntoIterator<Item = (RowId, &'a Filter)>,
    ) {
        self.load_some(tenant, rows.into_iter().map(|(row, filter)| (row, slice, filter)));
    }

    /// Rows of one tenant, and of any slices.
    fn load_some<'a>(&mut self, tenant: &Tenant, rows: impl Iterator<Item = (RowId, MatcherSlice, &'a Filter)>) {
        /// Rows whose memory is asked for together: what they touch stays in the second-level cache.
        const TOGETHER: usize = 64;
        let mut rows = rows.peekable();
        let mut together = Vec::with_capacity(TOGETHER);
        while rows.peek().is_some() {
            let id = self.tenant(tenant);
            together.extend(rows.by_ref().take(TOGETHER));
            together.iter().for_each(|&(row, ..)| self.store.prefetch_record(row));
            self.settle(id, together.drain(..));
            let added = self.desk.filters.len();
            self.rows += added;
            self.schema(id).rows += u32::try_from(added).expect("few rows together");
            self.sweep_some(added * settling::SWEPT_PER_INSERTION);
        }
    }

    /// Makes places for all rows up to this one.
    fn reach(&mut self, row: RowId) {
        self.store.records.reach(row.0);
    }

    /// Takes a row out; it may not be in.
    pub fn remove(&mut self, row: RowId, tenant: &Tenant) {
        let Some(&id) = self.tenants.get(tenant) else { return };
        if row.index() >= self.store.records.len() || self.store.records[row.0].state == State::Absent {
            return;
        }
        self.unsettle(row, id);
        self.rows -= 1;
        self.schema(id).rows -= 1;
        self.leave(tenant, id);
    }

    /// How many rows are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Heap bytes that it holds. Takes longer the more tenants and attributes there are; [`Index::schema_bytes`] does so step by step.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.own_bytes() + self.schema_bytes(SchemaPlace::default(), usize::MAX).0
    }

    /// Heap bytes that it holds, without what it knows of tenants and their attributes.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        self.schemas.capacity() * size_of::<Option<Schema>>()
            + self.store.bytes()
            + self.sharing.bytes()
            + self.scratch.bytes()
    }

    /// Heap bytes of what it knows of tenants and their attributes, of about so many from a place on; and where to go on, unless that was
    /// the end.
    #[must_use]
    pub fn schema_bytes(&self, from: SchemaPlace, steps_max: usize) -> (usize, Option<SchemaPlace>) {
        /// Attributes that take as long as the rest of a schema.
        const OWN_STEPS: usize = 32;
        let (mut bytes, mut steps, mut place) = (0, steps_max, from);
        while let Some(schema) = self.schemas.get(place.tenant) {
            if steps == 0 {
                return (bytes, Some(place));
            }
            if let Some(schema) = schema {
                let (of_slots, next) = schema.slot_bytes(place.slot, steps);
                bytes += of_slots;
                if let Some(next) = next {
                    return (bytes, Some(SchemaPlace { slot: next, ..place }));
                }
                bytes += schema.own_bytes();
            }
            steps = steps.saturating_sub(OWN_STEPS);
            place = SchemaPlace { tenant: place.tenant + 1, slot: 0 };
        }
        (bytes, None)
    }

    /// Whether [`Index::adapt`] has something to do.
    #[must_use]
    pub fn is_adapting(&self) -> bool {
        self.sweep.is_some() || self.store.is_loose()
    }

    /// Corrects some of what the data has shown to be a bad choice; at most so many rows are looked at. Says whether more is to
    /// be done.
    pub fn adapt(&mut self, rows_max: usize) -> bool {
        if self.sweep.is_some() {
            self.sweep_some(rows_max);
        } else {
            self.store.pack();
        }
        self.is_adapting()
    }

    /// Gives the rows that publications satisfy, in no particular but always the same order. Several together cost less than one
    /// after the other. Allocates nothing once its buffers have grown.
    ///
    /// Says how many publications it judged: at least the first, and no more once so many rows were given and filters, or parts of
    /// filters, looked at one by one; only the first if all together would take megabytes. What was given for those behind them does
    /// not count.
    ///
    /// # Panics
    /// If there are more than [`TOGETHER`] publications.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        publications: &[&Attributes],
        contexts: &impl Contexts,
        slices: Slices<'_>,
        effort_max: usize,
        output: &mut (impl Output + ?Sized),
    ) -> usize {
        assert!(publications.len() <= TOGETHER, "{} publications together", publications.len());
        self.looked_at = 0;
        let Some(&id) = self.tenants.get(tenant) else { return publications.len() };
        let count = u32::try_from(publications.len()).expect("few publications");
        let epoch = self.next_epochs(count);
        let schema = self.schemas[id as usize].as_mut().expect("a tenant has a schema");
        let question = Question { tenant: id, publications, contexts, slices, effort_max, epoch };
        let Self { kernel, store, scratch, .. } = self;
        let judged = judging::judge(*kernel, store, schema, scratch, &question, output);
        self.looked_at = judged.looked_at;
        let before = self.judged;
        self.judged += u64::try_from(judged.publications).expect("few publications");
        if std::mem::take(&mut schema.is_suspicious) && self.sweep.is_none() && self.judged >= self.calm_until {
            (self.sweep, self.swept) = (Some(0), 0);
        }
        self.sweep_some(settling::SWEPT_PER_PUBLICATION * publications.len());
        self.fade_some(count);
        if self.judged / PACKED_AFTER != before / PACKED_AFTER {
            self.store.pack();
        }
        judged.publications
    }

    /// How many filters, or parts of filters, the last [`Index::matches`] had to look at one by one.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.looked_at
    }

    fn tenant(&mut self, tenant: &Tenant) -> TenantId {
        if let Some(&id) = self.tenants.get(tenant) {
            return id;
        }
        let schema = Some(Schema::new(self.hashing));
        let id = match self.schemas_free.pop() {
            Some(id) => {
                self.schemas[id as usize] = schema;
                id
            }
            None => {
                self.schemas.push(schema);
                TenantId::try_from(self.schemas.len() - 1).expect("tenants are fewer than rows")
            }
        };
        self.tenants.insert(tenant.clone(), id);
        id
    }

    /// Forgets a tenant that has no rows.
    fn leave(&mut self, tenant: &Tenant, id: TenantId) {
        if self.schema(id).rows == 0 {
            self.schemas[id as usize] = None;
            self.schemas_free.push(id);
            self.tenants.remove(tenant);
        }
    }

    fn schema(&mut self, id: TenantId) -> &mut Schema {
        self.schemas[id as usize].as_mut().expect("a tenant has a schema")
    }
}

#[cfg(test)]
mod tests;
