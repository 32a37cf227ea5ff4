//! The index: which rows does a publication satisfy? Everything a machine asks of it is here, so that another can replace it:
//! [`Index::insert`], [`Index::remove`], [`Index::matches`].
//!
//! Two steps. A filter is put under all equalities that it requires (`a = 'x' AND b = 5 AND …`: its *shape* is the attributes,
//! its bucket the values); one that requires none goes into the tenant's scan list. With each row stand the bounds that one
//! numeric attribute must lie in (its *guard*), compared before the row itself is looked at. What passes both is decided by
//! the plain evaluator, so both may err on the side of letting a row through, and never on the other.

mod bucket;
mod plan;
mod tenant;

use std::collections::BTreeMap;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::table::Seeded;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, evaluate, normalise};

use tenant::{Home, TenantIndex};

/// The place of a subscription in the tables of its matcher: small, reused after removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// These rows are satisfied. No row is given twice for one publication.
    fn rows(&mut self, rows: &[RowId]);
}

impl Output for Vec<RowId> {
    #[inline]
    fn rows(&mut self, rows: &[RowId]) {
        self.extend_from_slice(rows);
    }
}

/// What the index does with a filter, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// One for each alternative that is looked for on its own, in no particular order.
    pub branches: Vec<Branch>,
    /// Rows that share exactly this filter now.
    pub identical: usize,
}

/// A part of a filter that is found and checked on its own; the filter is true if one of them is.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Through what a publication finds it, in the words of the filter language; `None` if every publication has to look.
    pub access: Option<String>,
    /// What is checked then by comparing columns and compiled tests.
    pub tests: usize,
    /// What the plain evaluator has to decide, if anything.
    pub residual: Option<String>,
    /// Of all publications, the share expected to find it, from 0 to 1.
    pub share: f64,
    /// Nanoseconds expected per publication, whether it finds it or not.
    pub nanoseconds: f64,
}

/// Moves rows of some slices from one index into another, step by step; meanwhile both are asked, and every row is in one of
/// them.
#[derive(Clone, Debug)]
pub struct Merge {
    next: RowId,
}

#[derive(Debug)]
struct Place {
    slice: MatcherSlice,
    /// In normal form.
    filter: Filter,
    home: Home,
}

/// Rows by what they match.
#[derive(Debug)]
pub struct Index {
    hashing: Seeded,
    tenants: BTreeMap<Tenant, TenantIndex>,
    places: Vec<Option<Place>>,
    candidates: Vec<RowId>,
    without: Attributes,
}

impl Index {
    /// An empty index whose tables use this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            hashing: Seeded::new(seed),
            tenants: BTreeMap::new(),
            places: Vec::new(),
            candidates: Vec::new(),
            without: Attributes::default(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row is in already.
    pub fn insert(&mut self, row: RowId, tenant: &Tenant, slice: MatcherSlice, filter: &Filter) {
        let filter = normalise(filter);
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), TenantIndex::new(self.hashing));
        }
        let index = self.tenants.get_mut(tenant).expect("inserted above");
        let home = index.insert(row, &filter);
        if row.index() >= self.places.len() {
            self.places.resize_with(row.index() + 1, || None);
        }
        let before = self.places[row.index()].replace(Place { slice, filter, home });
        assert!(before.is_none(), "a row is removed before it is inserted again");
    }

    /// Takes a row out; it may not be in.
    pub fn remove(&mut self, row: RowId, tenant: &Tenant) {
        let Some(place) = self.places.get_mut(row.index()).and_then(Option::take) else { return };
        let index = self.tenants.get_mut(tenant).expect("a row that is in belongs to a tenant that is");
        if let Some((moved, at)) = index.remove(&place.home) {
            self.places[moved.index()].as_mut().expect("what a bucket holds is in").home.at = at;
        }
        if index.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// Adds many rows of one slice: what a snapshot brings.
    ///
    /// # Panics
    /// If one of the rows is in already.
    pub fn load<'a>(
        &mut self,
        tenant: &Tenant,
        slice: MatcherSlice,
        rows: impl IntoIterator<Item = (RowId, &'a Filter)>,
    ) {
        for (row, filter) in rows {
            self.insert(row, tenant, slice, filter);
        }
    }

    /// How many rows are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Whether no row is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.places.iter().flatten().map(|place| place.filter.bytes()).sum()
    }

    /// What it does with a filter, or would do if it were inserted now.
    #[must_use]
    pub fn explain(&self, _tenant: &Tenant, _filter: &Filter) -> Explanation {
        Explanation { branches: Vec::new(), identical: 0 }
    }

    /// Corrects some of what the data has shown to be a bad choice; at most so many rows are moved. Says whether more is to be
    /// done.
    pub fn adapt(&mut self, _rows_max: usize) -> bool {
        false
    }

    /// Gives the rows that a publication satisfies, in no particular but always the same order. Allocates nothing once its
    /// buffers have grown.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        attributes: &Attributes,
        contexts: &impl Contexts,
        slices: Slices<'_>,
        output: &mut impl Output,
    ) {
        let Some(index) = self.tenants.get_mut(tenant) else { return };
        self.candidates.clear();
        index.candidates(attributes, &mut self.candidates);
        for &row in &self.candidates {
            let place = self.places[row.index()].as_ref().expect("what a bucket holds is in");
            let filter = &place.filter;
            let context = if filter.uses_context() { contexts.context(row) } else { None };
            let context = context.unwrap_or(&self.without);
            if slices.contains(place.slice) && evaluate(filter, attributes, context).is_match() {
                output.rows(&[row]);
            }
        }
    }

    /// How many rows the last [`Index::matches`] had to evaluate.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.candidates.len()
    }
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

    /// Looks at up to `rows_max` places of `from` and moves those rows of `slices` that it finds there. `filter_of` gives the
    /// tenant and the filter of a row. Says whether it has come to the end.
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
            let Some(place) = from.places.get(row.index()) else { return true };
            self.next = RowId(row.0 + 1);
            if let Some(slice) = place.as_ref().map(|place| place.slice).filter(|&slice| slices.contains(slice)) {
                let (tenant, filter) = filter_of(row);
                from.remove(row, tenant);
                into.insert(row, tenant, slice, filter);
            }
        }
        false
    }
}
