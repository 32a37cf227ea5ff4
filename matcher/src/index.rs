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

use gomera_cluster::identity::Tenant;
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

#[derive(Debug)]
struct Place {
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
    pub fn insert(&mut self, row: RowId, tenant: &Tenant, filter: &Filter) {
        let filter = normalise(filter);
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), TenantIndex::new(self.hashing));
        }
        let index = self.tenants.get_mut(tenant).expect("inserted above");
        let home = index.insert(row, &filter);
        if row.index() >= self.places.len() {
            self.places.resize_with(row.index() + 1, || None);
        }
        let before = self.places[row.index()].replace(Place { filter, home });
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

    /// Appends the rows that a publication satisfies, in no particular but always the same order. Allocates nothing once its
    /// buffers have grown.
    pub fn matches(
        &mut self,
        tenant: &Tenant,
        attributes: &Attributes,
        contexts: &impl Contexts,
        into: &mut Vec<RowId>,
    ) {
        let Some(index) = self.tenants.get_mut(tenant) else { return };
        self.candidates.clear();
        index.candidates(attributes, &mut self.candidates);
        for &row in &self.candidates {
            let filter = &self.places[row.index()].as_ref().expect("what a bucket holds is in").filter;
            let context = if filter.uses_context() { contexts.context(row) } else { None };
            let context = context.unwrap_or(&self.without);
            if evaluate(filter, attributes, context).is_match() {
                into.push(row);
            }
        }
    }

    /// How many rows the last [`Index::matches`] had to evaluate.
    #[must_use]
    pub fn evaluated(&self) -> usize {
        self.candidates.len()
    }
}
