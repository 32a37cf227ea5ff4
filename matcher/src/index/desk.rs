//! Filters on their way in: written down as programs, several at a time where several come, so that the memory in which their
//! places are is asked for together.

use std::hash::{BuildHasher, Hasher};

use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::table::Seeded;
use gomera_model::filter::Filter;

use super::access::{Access, keys_max};
use super::cells::Bounds;
use super::clusters::TenantId;
use super::plan::with_drafts;
use super::program::{self, What, tests};
use super::schema::Trait;
use super::store::Store;
use super::{Index, RowId};
use crate::kernel::prefetch;

/// What insertions work in, kept for its room.
#[derive(Debug, Default)]
pub struct Desk {
    words: Vec<u32>,
    /// Where in the words each program lies; those of a filter in order of their contents.
    programs: Vec<(usize, usize)>,
    /// Of keys that will be looked up.
    hashes: Vec<u64>,
    /// What they probably lead to.
    guesses: Vec<u32>,
    /// Blocks whose memory is asked for.
    foreseen: Vec<u32>,
    /// How each program of the filter in hand is found.
    pub accesses: Vec<Access>,
    /// In the order in which they came.
    pub filters: Vec<Written>,
}

/// A filter that is written down.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Whose.
    pub row: RowId,
    /// Its slice.
    pub slice: MatcherSlice,
    /// Of its programs.
    pub hash: u64,
    /// Whether its programs mean the same for every row.
    pub is_shareable: bool,
    programs: (usize, usize),
    hashes: (usize, usize),
}

impl Desk {
    /// Takes everything off.
    pub fn clear(&mut self) {
        self.words.clear();
        self.programs.clear();
        self.hashes.clear();
        self.filters.clear();
    }

    /// The programs of a filter.
    pub fn programs(&self, of: &Written) -> impl ExactSizeIterator<Item = &[u32]> {
        let (from, to) = of.programs;
        self.programs[from..to].iter().map(|&(from, to)| &self.words[from..to])
    }

    /// How many lanes the filter in hand takes.
    pub fn lanes(&self) -> usize {
        self.accesses.iter().map(Access::lanes).sum()
    }

    /// Adds the program of a filter that is being written.
    pub fn add(&mut self, words: &[u32]) {
        let from = self.words.len();
        self.words.extend_from_slice(words);
        self.programs.push((from, self.words.len()));
    }
}

impl Index {
    /// Writes a filter down, and counts what it uses.
    pub(super) fn write(
        &mut self,
        tenant: TenantId,
        row: RowId,
        slice: MatcherSlice,
        filter: &Filter,
        desk: &mut Desk,
    ) -> Written {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        let begin = desk.programs.len();
        with_drafts(filter, schema.room(), |all| {
            let Desk { words, programs, .. } = desk;
            for draft in all {
                let from = words.len();
                program::write(&draft.literals, filter, schema, &mut store.symbols, &mut store.residuals, words);
                programs.push((from, words.len()));
            }
        });
        let end = desk.programs.len();
        if end - begin > 1 {
            let words = &desk.words;
            let mut own = desk.programs.split_off(begin);
            own.sort_by(|left, right| words[left.0..left.1].cmp(&words[right.0..right.1]));
            own.dedup_by(|later, earlier| {
                let same = words[later.0..later.1] == words[earlier.0..earlier.1];
                if same {
                    program::release(&words[later.0..later.1], schema, &mut store.symbols, &mut store.residuals);
                }
                same
            });
            desk.programs.append(&mut own);
        }
        self.written(tenant, row, slice, begin, desk)
    }

    /// A filter whose programs are on the desk from `begin` on. Asks for the memory in which they will be looked up.
    pub(super) fn written(
        &self,
        tenant: TenantId,
        row: RowId,
        slice: MatcherSlice,
        begin: usize,
        desk: &mut Desk,
    ) -> Written {
        let first = desk.hashes.len();
        let schema = self.schemas[tenant as usize].as_ref().expect("a tenant has a schema");
        let chooser = self.store.chooser(tenant, schema);
        for &(from, to) in &desk.programs[begin..] {
            chooser.prepare(&desk.words[from..to], &mut desk.hashes);
        }
        let mut written = Written {
            row,
            slice,
            hash: 0,
            is_shareable: true,
            programs: (begin, desk.programs.len()),
            hashes: (first, desk.hashes.len()),
        };
        let is_shareable = desk.programs(&written).all(|words| is_shareable(&self.store, words));
        let hash = hash(self.hashing, tenant, desk.programs(&written));
        (written.is_shareable, written.hash) = (is_shareable, hash);
        self.sharing.prefetch(written.hash);
        desk.filters.push(written);
        written
    }

    /// Asks for the memory that choosing for the filters on the desk will touch.
    pub(super) fn foresee_choices(&self, tenant: TenantId, desk: &mut Desk) {
        let Desk { hashes, guesses, foreseen, filters, .. } = desk;
        let schema = self.schemas[tenant as usize].as_ref().expect("a tenant has a schema");
        let chooser = self.store.chooser(tenant, schema);
        guesses.clear();
        guesses.extend(hashes.iter().map(|&hash| chooser.foresee(hash)));
        if filters.len() > 1 {
            foreseen.clear();
            foreseen.extend(guesses.iter().filter_map(|&guess| chooser.head(guess)));
            foreseen.iter().for_each(|&head| prefetch(self.store.blocks.get(head)));
            foreseen.iter().for_each(|&head| self.store.blocks.prefetch_end(head));
        }
    }

    /// Decides how each program of a filter is to be found.
    pub(super) fn choose(&self, tenant: TenantId, of: &Written, desk: &mut Desk) {
        let Desk { words, programs, guesses, foreseen, accesses, filters, .. } = desk;
        let schema = self.schemas[tenant as usize].as_ref().expect("a tenant has a schema");
        let chooser = self.store.chooser(tenant, schema);
        let mut guesses = guesses[of.hashes.0..of.hashes.1].iter().copied();
        accesses.clear();
        let programs = &programs[of.programs.0..of.programs.1];
        for &(from, to) in programs {
            accesses.push(chooser.choose_with(&words[from..to], keys_max(programs.len()), &mut guesses).access);
        }
        if filters.len() == 1 {
            self.store.foresee_puts(accesses, foreseen);
        }
    }

    /// Takes back what programs use that were written in vain.
    pub(super) fn unwrite(&mut self, tenant: TenantId, of: &Written, desk: &Desk) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        for words in desk.programs(of) {
            program::release(words, schema, &mut self.store.symbols, &mut self.store.residuals);
        }
    }

    /// Learns from the constants of new programs.
    pub(super) fn note_constants(&mut self, tenant: TenantId, of: &Written, desk: &Desk) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let mut note = |slot, what, constants: [f64; 2]| {
            for constant in constants.into_iter().filter(|constant| constant.is_finite()) {
                schema.note_constant(slot, what, constant);
            }
        };
        for test in desk.programs(of).flat_map(tests).filter(|test| !test.negated || test.bounds().is_some()) {
            if let Some((low, high)) = test.bounds() {
                note(test.slot, Trait::Number, [low, high]);
            } else if matches!(test.what, What::Circle | What::Box) {
                let bounds = Bounds::of(&test).expect("an area");
                note(test.slot, Trait::Latitude, [bounds.south, bounds.north]);
                if let Some((west, east)) = bounds.longitudes() {
                    note(test.slot, Trait::Longitude, [west, east]);
                }
            }
        }
        if schema.has_stale() && self.sweep.is_none() {
            self.sweep = Some(0);
        }
    }
}

/// Whether a program means the same for every row: not if it asks for the context.
pub fn is_shareable(store: &Store, words: &[u32]) -> bool {
    tests(words).all(|test| test.what != What::Residual || !store.residuals.filter(test.operands[0]).uses_context())
}

/// What rows with the same programs have in common.
pub fn hash<'a>(hashing: Seeded, tenant: TenantId, programs: impl Iterator<Item = &'a [u32]>) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write_u32(tenant);
    for words in programs {
        let mut pairs = words.chunks_exact(2);
        for pair in pairs.by_ref() {
            hasher.write_u64(u64::from(pair[0]) | u64::from(pair[1]) << 32);
        }
        hasher.write_u64(pairs.remainder().first().map_or(u64::MAX, |&word| u64::from(word)));
    }
    hasher.finish()
}
