//! Lanes by key: an attribute with a value, a beginning of a text, a cell, or mere presence. A cluster's blocks form a chain,
//! of which only the first may have room; where a chain would be long, they stand in order ([`shelves`](super::shelves)).

use std::hash::{BuildHasher, Hasher};

use gomera_cluster::pages::Pages;
use gomera_cluster::table::Seeded;

use super::blocks::{Blocks, Grain, Lane, NO_BLOCK, Place};
use super::cells::Cell;
use super::finder::Finder;
use super::prefixes::CUTS;
use super::program::NO_SLOT;
use super::schema::SlotId;
use super::shelves::Shelves;
use super::steps::Moved;
use super::symbols::Symbol;
use crate::kernel::prefetch;

/// Lanes of a block in a chain.
const LANES_MAX: usize = 256;

/// Lanes of one key that are worth an order, if they have one, and how often that is looked at; fewer in tests and under a fuzzer, so that all kinds of filters
/// come to stand in order there.
const SHELVED_FROM: u32 = if cfg!(any(test, fuzzing)) { 24 } else { 512 };
const LOOKED_AFTER: u32 = if cfg!(any(test, fuzzing)) { 8 } else { 256 };

/// Set where a cluster's lanes are on a shelf.
const SHELF: u32 = 1 << 31;

/// Number of a tenant.
pub type TenantId = u32;

/// What is looked up under a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom(u64);

const KIND: u32 = 60;

/// The kind of an [`Atom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomKind {
    /// A value, or an element of an array.
    Symbol,
    /// The beginning of a text, of so many bytes that a filter asks for.
    Prefix(u8),
    /// The same, cut at one of [`CUTS`]; the index.
    Cut(usize),
    /// A cell of this level.
    Cell(u32),
    /// The attribute is there.
    Present,
    /// Every publication.
    Scan,
}

impl Atom {
    /// A value.
    #[inline]
    pub fn symbol(symbol: Symbol) -> Self {
        Self(1 << KIND | u64::from(symbol))
    }

    /// A beginning of a text of so many bytes.
    #[inline]
    pub fn prefix(length: u8, symbol: Symbol) -> Self {
        Self(6 << KIND | u64::from(length) << 32 | u64::from(symbol))
    }

    /// A beginning of a text that is cut, by its hash.
    #[inline]
    pub fn cut(hashing: Seeded, index: usize, text: &[u8]) -> Self {
        let mut hasher = hashing.build_hasher();
        hasher.write(&text[..CUTS[index]]);
        let index = u64::try_from(index).expect("few lengths");
        Self(2 << KIND | index << 56 | hasher.finish() >> 8)
    }

    /// A cell.
    #[inline]
    pub fn cell(cell: Cell) -> Self {
        Self(3 << KIND | cell.number())
    }

    /// Presence.
    pub const PRESENT: Self = Self(4 << KIND);

    /// Nothing is looked up.
    pub const SCAN: Self = Self(5 << KIND);

    /// Of what kind.
    pub fn kind(self) -> AtomKind {
        match self.0 >> KIND {
            1 => AtomKind::Symbol,
            2 => AtomKind::Cut(usize::try_from(self.0 >> 56 & 15).expect("four bits")),
            6 => AtomKind::Prefix(u8::try_from(self.0 >> 32 & 255).expect("eight bits")),
            3 => AtomKind::Cell(u32::try_from(self.0 >> 42 & 31).expect("five bits")),
            4 => AtomKind::Present,
            _ => AtomKind::Scan,
        }
    }

    /// The symbol of a value.
    pub fn as_symbol(self) -> Option<Symbol> {
        (self.kind() == AtomKind::Symbol).then_some(self.symbol_of())
    }

    /// The symbol of a beginning of a text that is not cut.
    pub fn as_prefix(self) -> Option<Symbol> {
        matches!(self.kind(), AtomKind::Prefix(_)).then_some(self.symbol_of())
    }

    fn symbol_of(self) -> Symbol {
        u32::try_from(self.0 & u64::from(u32::MAX)).expect("32 bits")
    }
}

/// What a cluster is found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Whose.
    pub tenant: TenantId,
    /// Of which attribute; [`NO_SLOT`] for [`Atom::SCAN`].
    pub slot: SlotId,
    /// What of it.
    pub atom: Atom,
}

/// Lanes of one key.
#[derive(Debug, Default)]
pub struct Cluster {
    /// Its key.
    pub key: Key,
    /// Where its lanes are.
    head: u32,
    /// Lanes.
    pub rows: u32,
    /// Publications that found it since it was made.
    pub hits: u32,
    /// The publication that found it last.
    pub stamp: u32,
    /// When it was made, in publications of the tenant.
    pub born: u64,
}

/// Where the lanes of a cluster are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// In a chain of which this is the first block.
    Chain(u32),
    /// On this shelf.
    Shelf(u32),
}

impl Cluster {
    /// Where its lanes are, of which there must be some.
    #[inline]
    pub fn stand(&self) -> Stand {
        if self.head & SHELF == 0 { Stand::Chain(self.head) } else { Stand::Shelf(self.head & !SHELF) }
    }

    /// The shelf of its lanes, if they are on one.
    #[inline]
    pub fn shelf(&self) -> Option<u32> {
        (self.head != NO_BLOCK && self.head & SHELF != 0).then_some(self.head & !SHELF)
    }

    /// The block that a new lane comes into, if that is known without the lane.
    #[inline]
    pub fn open_block(&self) -> Option<u32> {
        (self.head & SHELF == 0).then_some(self.head)
    }

    /// Whether so many publications have the key, and so many rows stand under it, that rows with another choice should take
    /// it: one in sixteen, or one in 256 if that is more than what filters ask for let expect, of so many lanes under keys of the
    /// attribute.
    pub fn is_frequent(&self, events: u64, keys: u32) -> bool {
        let (hits, rows) = (u64::from(self.hits), u64::from(self.rows));
        let judged = events.saturating_sub(self.born);
        let is_underrated = hits >= 4 && hits * 256 > judged && hits * u64::from(keys) > 4 * judged * (rows + 1);
        (rows >= 64 && hits >= 64 && hits * 16 > judged) || (rows >= 8 && is_underrated)
    }
}

/// All clusters.
#[derive(Debug)]
pub struct Clusters {
    hashing: Seeded,
    finder: Finder,
    entries: Pages<Cluster>,
    /// Lanes in order.
    pub shelves: Shelves,
}

impl Clusters {
    /// None yet.
    pub fn new(hashing: Seeded) -> Self {
        Self { hashing, finder: Finder::new(), entries: Pages::new(), shelves: Shelves::default() }
    }

    /// The cluster of a key.
    #[inline]
    pub fn find(&self, key: Key) -> Option<u32> {
        self.finder.find(self.hash(key), |id| self.entries[id].key == key)
    }

    /// The hash of a key, whose memory is asked for.
    #[inline]
    pub fn prefetch(&self, key: Key) -> u64 {
        let hash = self.hash(key);
        self.finder.prefetch(hash);
        hash
    }

    /// What is probably the cluster of a key of this hash; its memory is asked for.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        let id = self.finder.guess(hash)?;
        prefetch(&self.entries[id]);
        Some(id)
    }

    /// Asks for the memory of a cluster.
    #[inline]
    pub fn prefetch_entry(&self, id: u32) {
        prefetch(&self.entries[id]);
    }

    /// The cluster of a key, if a guess about it was made.
    #[inline]
    pub fn confirm(&self, key: Key, guess: u32) -> Option<u32> {
        if self.entries[guess].key == key { Some(guess) } else { self.find(key) }
    }

    /// A cluster.
    #[inline]
    pub fn get(&self, id: u32) -> &Cluster {
        &self.entries[id]
    }

    /// A cluster.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> &mut Cluster {
        &mut self.entries[id]
    }

    /// The cluster of a key, made if need be; whether it was.
    pub fn find_or_create(&mut self, key: Key, events: u64) -> (u32, bool) {
        if let Some(id) = self.find(key) {
            return (id, false);
        }
        let cluster = Cluster { key, head: NO_BLOCK, rows: 0, hits: 0, stamp: 0, born: events };
        let id = self.entries.insert(cluster);
        self.finder.insert(self.hash(key), id);
        (id, true)
    }

    /// Adds a lane. Lanes that had to make room are given, each after its move.
    pub fn push(&mut self, id: u32, lane: &Lane, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) -> Place {
        let Self { entries, shelves, .. } = self;
        let cluster = &mut entries[id];
        cluster.rows += 1;
        if cluster.head == NO_BLOCK {
            cluster.head = blocks.create(0, Grain::Coarse, id, NO_BLOCK);
        }
        if let Stand::Chain(head) = cluster.stand() {
            // The first block is half full at least. Keys that always come together, as those of a list, take turns.
            let turn = LOOKED_AFTER - 1 - id % (LOOKED_AFTER / 2);
            let is_time = cluster.rows > SHELVED_FROM && cluster.rows % LOOKED_AFTER == turn;
            if is_time && shelves.are_worth(head, blocks) {
                cluster.head = SHELF | shelves.create(head);
            } else if blocks.get(head).len() == LANES_MAX {
                cluster.head = blocks.create(0, Grain::Coarse, id, head);
            }
        }
        match cluster.stand() {
            Stand::Chain(head) => blocks.push(head, lane),
            Stand::Shelf(shelf) => shelves.push(shelf, id, lane, blocks, moves),
        }
    }

    /// Takes a lane out. Gives the lane that came to its place instead, from where, and whether the cluster is gone.
    pub fn remove(&mut self, id: u32, place: Place, blocks: &mut Blocks) -> (Option<(Lane, Place)>, bool) {
        let cluster = &mut self.entries[id];
        let moved = match cluster.stand() {
            Stand::Chain(_) => blocks.take_from_chain(&mut cluster.head, place),
            Stand::Shelf(shelf) => self.shelves.remove(shelf, place, blocks),
        };
        cluster.rows -= 1;
        let gone = cluster.rows == 0;
        if gone {
            if let Some(shelf) = cluster.shelf() {
                self.shelves.destroy(shelf);
            }
            let key = cluster.key;
            self.finder.remove(self.hash(key), id);
            self.entries.remove(id);
        }
        (moved, gone)
    }

    /// Has the stamp of a place looked at; whether there is such a place.
    pub fn fade(&mut self, at: u32, fade: impl FnOnce(&mut u32)) -> bool {
        self.entries.get_mut(at).map(|cluster| fade(&mut cluster.stamp)).is_some()
    }

    /// Stamps of all places.
    #[cfg(test)]
    pub fn stamps(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|cluster| cluster.stamp)
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.finder.bytes() + self.entries.bytes() + self.shelves.bytes()
    }

    #[inline]
    fn hash(&self, key: Key) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write_u64(u64::from(key.tenant) << 32 | u64::from(key.slot));
        hasher.write_u64(key.atom.0);
        hasher.finish()
    }
}

/// Everything of a tenant is found here.
pub fn scan_key(tenant: TenantId) -> Key {
    Key { tenant, slot: NO_SLOT, atom: Atom::SCAN }
}
