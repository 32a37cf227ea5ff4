//! The index of one tenant: shapes with their buckets, the scan list, and the attributes that any of them asks for.
//!
//! A publication is gone through once: each attribute that some filter asks for leaves its number and its hash. Then each
//! shape that begins with an attribute present is probed. The number of shapes over several attributes is capped; beyond
//! that a filter goes under the one of its equalities that fewest rows share by now.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use gomera_cluster::table::{Seeded, Table};
use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;

use super::RowId;
use super::bucket::{ALWAYS, AttributeId, Bucket, Guard};
use super::plan::{Plan, number, value_hash};

/// Most shapes over several attributes: each may cost a probe (about 20 ns) per publication.
const COMPOUND_SHAPES_MAX: usize = 64;

/// Where a row is.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    list: List,
    /// Its place there.
    pub at: u32,
}

#[derive(Clone, Copy, Debug)]
enum List {
    Scan,
    Bucket(ShapeId, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShapeId(u32);

impl ShapeId {
    fn index(self) -> usize {
        usize::try_from(self.0).expect("32 bits fit a usize")
    }
}

#[derive(Debug)]
struct Shape {
    attributes: Box<[AttributeId]>,
    buckets: Table<u64, Bucket>,
    rows: usize,
}

#[derive(Debug)]
struct Attribute {
    name: Arc<str>,
    /// Shapes and guards that ask for it.
    uses: u32,
    /// Shapes whose first attribute it is.
    leads: Vec<ShapeId>,
}

/// The index of one tenant.
#[derive(Debug)]
pub struct TenantIndex {
    hashing: Seeded,
    names: Table<Arc<str>, AttributeId>,
    attributes: Vec<Attribute>,
    attributes_free: Vec<AttributeId>,
    shapes: Vec<Option<Shape>>,
    shapes_free: Vec<ShapeId>,
    shape_ids: BTreeMap<Box<[AttributeId]>, ShapeId>,
    compound: usize,
    scan: Bucket,
    rows: usize,
    /// Of the publication in hand, by attribute: NaN and 0 where there is nothing.
    numbers: Vec<f64>,
    hashes: Vec<u64>,
    present: Vec<AttributeId>,
}

impl TenantIndex {
    /// An empty index.
    pub fn new(hashing: Seeded) -> Self {
        let always = Attribute { name: Arc::from(""), uses: 1, leads: Vec::new() };
        Self {
            hashing,
            names: Table::with_hasher(hashing),
            attributes: vec![always],
            attributes_free: Vec::new(),
            shapes: Vec::new(),
            shapes_free: Vec::new(),
            shape_ids: BTreeMap::new(),
            compound: 0,
            scan: Bucket::default(),
            rows: 0,
            numbers: vec![0.0],
            hashes: vec![0],
            present: Vec::new(),
        }
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a row; the filter is in normal form.
    pub fn insert(&mut self, row: RowId, filter: &Filter) -> Home {
        self.rows += 1;
        let plan = Plan::of(filter, self.hashing);
        let guard = match plan.bounds {
            None => Guard::NONE,
            Some(bounds) => {
                Guard { attribute: self.use_attribute(&bounds.attribute), low: bounds.low, high: bounds.high }
            }
        };
        let Some((shape, hash)) = self.access(&plan.equalities) else {
            return Home { list: List::Scan, at: self.scan.insert(row, guard) };
        };
        let entry = self.shapes[shape.index()].as_mut().expect("an id in use names a shape");
        entry.rows += 1;
        let at = entry.buckets.entry(hash).or_default().insert(row, guard);
        Home { list: List::Bucket(shape, hash), at }
    }

    /// Takes a row out; says which row has moved to another place, and to which.
    pub fn remove(&mut self, home: &Home) -> Option<(RowId, u32)> {
        self.rows -= 1;
        let (guard, moved) = match home.list {
            List::Scan => self.scan.remove(home.at),
            List::Bucket(id, hash) => {
                let shape = self.shapes[id.index()].as_mut().expect("an id in use names a shape");
                let bucket = shape.buckets.get_mut(&hash).expect("a home is in a bucket");
                let removed = bucket.remove(home.at);
                if bucket.is_empty() {
                    shape.buckets.remove(&hash);
                }
                shape.rows -= 1;
                if shape.rows == 0 {
                    self.remove_shape(id);
                }
                removed
            }
        };
        if guard.attribute != ALWAYS {
            self.release_attribute(guard.attribute);
        }
        moved.map(|row| (row, home.at))
    }

    /// Appends every row that may match, and some that do not.
    pub fn candidates(&mut self, attributes: &Attributes, into: &mut Vec<RowId>) {
        for (name, value) in attributes.iter() {
            if let Some(&id) = self.names.get(&**name) {
                self.numbers[id.index()] = number(value);
                self.hashes[id.index()] = value_hash(value, self.hashing).unwrap_or(0);
                self.present.push(id);
            }
        }
        for id in &self.present {
            if self.hashes[id.index()] == 0 {
                continue;
            }
            for shape in &self.attributes[id.index()].leads {
                let shape = self.shapes[shape.index()].as_ref().expect("an id in use names a shape");
                if let Some(hash) = combined(self.hashing, shape.attributes.iter().map(|id| self.hashes[id.index()]))
                    && let Some(bucket) = shape.buckets.get(&hash)
                {
                    bucket.collect(&self.numbers, into);
                }
            }
        }
        self.scan.collect(&self.numbers, into);
        for id in self.present.drain(..) {
            self.numbers[id.index()] = f64::NAN;
            self.hashes[id.index()] = 0;
        }
    }

    /// The shape and bucket to put a filter under; the shape is made if need be.
    fn access(&mut self, equalities: &[(Arc<str>, u64)]) -> Option<(ShapeId, u64)> {
        if equalities.len() > 1 {
            let names = equalities.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if let Some(shape) = self.shape(&names) {
                let hashes = {
                    let shape = self.shapes[shape.index()].as_ref().expect("just found or made");
                    let hash_of = |id: &AttributeId| {
                        let name = &self.attributes[id.index()].name;
                        equalities.iter().find(|(other, _)| other == name).map_or(0, |&(_, hash)| hash)
                    };
                    combined(self.hashing, shape.attributes.iter().map(hash_of))
                };
                return Some((shape, hashes.expect("every attribute of the shape is among the equalities")));
            }
        }
        let (name, hash) = equalities.iter().min_by_key(|(name, hash)| self.sharing(name, *hash))?;
        let shape = self.shape(std::slice::from_ref(name)).expect("shapes over one attribute are not capped");
        Some((shape, combined(self.hashing, std::iter::once(*hash)).expect("a hash is never 0")))
    }

    /// How many rows stand under `name = value` alone.
    fn sharing(&self, name: &Arc<str>, hash: u64) -> usize {
        let shape = self.names.get(name).and_then(|&id| self.shape_ids.get([id].as_slice()));
        shape
            .and_then(|shape| self.shapes[shape.index()].as_ref())
            .zip(combined(self.hashing, std::iter::once(hash)))
            .and_then(|(shape, hash)| shape.buckets.get(&hash))
            .map_or(0, Bucket::len)
    }

    /// The shape over these attributes; `None` if it would be one too many.
    fn shape(&mut self, names: &[Arc<str>]) -> Option<ShapeId> {
        let known = names.iter().map(|name| self.names.get(name).copied()).collect::<Option<Vec<_>>>();
        if let Some(mut ids) = known {
            ids.sort_unstable();
            if let Some(&id) = self.shape_ids.get(ids.as_slice()) {
                return Some(id);
            }
        }
        if names.len() > 1 {
            if self.compound >= COMPOUND_SHAPES_MAX {
                return None;
            }
            self.compound += 1;
        }
        let mut attributes = names.iter().map(|name| self.use_attribute(name)).collect::<Vec<_>>();
        attributes.sort_unstable();
        let attributes = Box::<[AttributeId]>::from(attributes);
        let id = self.shapes_free.pop().unwrap_or_else(|| {
            self.shapes.push(None);
            ShapeId(u32::try_from(self.shapes.len() - 1).expect("shapes are fewer than rows"))
        });
        self.attributes[attributes[0].index()].leads.push(id);
        self.shape_ids.insert(attributes.clone(), id);
        self.shapes[id.index()] = Some(Shape { attributes, buckets: Table::with_hasher(self.hashing), rows: 0 });
        Some(id)
    }

    fn remove_shape(&mut self, id: ShapeId) {
        let shape = self.shapes[id.index()].take().expect("an id in use names a shape");
        self.shapes_free.push(id);
        self.shape_ids.remove(&shape.attributes);
        self.attributes[shape.attributes[0].index()].leads.retain(|&lead| lead != id);
        if shape.attributes.len() > 1 {
            self.compound -= 1;
        }
        for &attribute in &shape.attributes {
            self.release_attribute(attribute);
        }
    }

    fn use_attribute(&mut self, name: &Arc<str>) -> AttributeId {
        if let Some(&id) = self.names.get(name) {
            self.attributes[id.index()].uses += 1;
            return id;
        }
        let attribute = Attribute { name: name.clone(), uses: 1, leads: Vec::new() };
        let id = match self.attributes_free.pop() {
            Some(id) => {
                self.attributes[id.index()] = attribute;
                id
            }
            None => {
                self.attributes.push(attribute);
                self.numbers.push(f64::NAN);
                self.hashes.push(0);
                AttributeId(u32::try_from(self.attributes.len() - 1).expect("attributes are fewer than 2^32"))
            }
        };
        self.names.insert(name.clone(), id);
        id
    }

    fn release_attribute(&mut self, id: AttributeId) {
        let attribute = &mut self.attributes[id.index()];
        attribute.uses -= 1;
        if attribute.uses == 0 {
            self.names.remove(&attribute.name);
            self.attributes_free.push(id);
        }
    }
}

/// One hash for the values of a shape's attributes, in their order; `None` if one has no hash.
fn combined(hashing: Seeded, hashes: impl Iterator<Item = u64>) -> Option<u64> {
    let mut hasher = hashing.build_hasher();
    for hash in hashes {
        if hash == 0 {
            return None;
        }
        hasher.write_u64(hash);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests;
