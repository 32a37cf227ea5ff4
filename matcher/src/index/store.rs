//! Where every row is, and the lanes of all tenants: lanes are put where their access leads, taken out, and moved. Rows know
//! their lanes, and lanes their rows.
//!
//! Most rows have a filter of their own and one lane. Rows with the same filter, and a row with several lanes, are a *crowd*:
//! its lanes lead to it, and it to all its rows.

use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::pages::Pages;
use gomera_cluster::table::Seeded;

use super::RowId;
use super::access::{Access, Atoms, Choice, Chooser, within_lengths};
use super::arena::Arena;
use super::blocks::{Blocks, Coded, Lane, Place, Role, TESTS_MAX, Target};
use super::clusters::{Atom, AtomKind, Clusters, Key, TenantId, scan_key};
use super::coding::{Ranged, coded, ranged, refine};
use super::crowds::Crowd;
use super::features::Features;
use super::ladders::{LADDER, Ladders, Rail};
use super::program;
use super::residuals::Residuals;
use super::schema::Schema;
use super::steps::Moved;
use super::symbols::Symbols;
use crate::kernel::prefetch;

/// What a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not in.
    #[default]
    Absent,
    /// In, with a filter that nothing satisfies.
    Never,
    /// In, with a lane of its own, at the place.
    Alone,
    /// In a crowd: the place holds its number and the position among its rows.
    Crowded,
}

/// A row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// See [`State`].
    pub place: Place,
    slice: u16,
    /// What it is.
    pub state: State,
}

impl Record {
    /// A row in a slice.
    pub fn new(state: State, place: Place, slice: MatcherSlice) -> Self {
        Self { place, slice: slice.0, state }
    }

    /// Its slice.
    #[inline]
    pub fn slice(self) -> MatcherSlice {
        MatcherSlice(self.slice)
    }
}

/// Lanes that move to where they stand in order with each access, or one under each of its keys, as all of them may be moving at a time.
const MOVED_MAX: usize = 8;

/// Everything but the schemas.
#[derive(Debug)]
pub struct Store {
    pub hashing: Seeded,
    pub blocks: Blocks,
    pub programs: Arena<u32>,
    pub symbols: Symbols,
    pub residuals: Residuals,
    pub clusters: Clusters,
    pub ladders: Ladders,
    pub records: Pages<Record>,
    pub crowds: Pages<Crowd>,
    /// Of crowds' lists.
    pub crowd_bytes: usize,
}

impl Store {
    /// Holds nothing.
    pub fn new(hashing: Seeded) -> Self {
        Self {
            hashing,
            blocks: Blocks::new(),
            programs: Arena::new(),
            symbols: Symbols::new(hashing),
            residuals: Residuals::new(hashing),
            clusters: Clusters::new(hashing),
            ladders: Ladders::default(),
            records: Pages::new(),
            crowds: Pages::new(),
            crowd_bytes: 0,
        }
    }

    /// The best access of a program that has no more than so many keys.
    pub fn choose(&self, tenant: TenantId, schema: &Schema, words: &[u32], keys_max: usize) -> Choice {
        self.chooser(tenant, schema).choose(words, keys_max)
    }

    /// What chooses.
    pub fn chooser<'a>(&'a self, tenant: TenantId, schema: &'a Schema) -> Chooser<'a> {
        let Self { clusters, symbols, hashing, .. } = self;
        Chooser { tenant, schema, clusters, symbols, hashing: *hashing }
    }

    /// Asks for the memory of where a row is.
    #[inline]
    pub fn prefetch_record(&self, row: RowId) {
        if row.index() < self.records.len() {
            prefetch(&self.records[row.0]);
        }
    }

    /// Asks for the memory that lanes with these accesses will be put into, which is soon.
    pub fn foresee_puts(&self, accesses: &[Access], heads: &mut Vec<u32>) {
        heads.clear();
        for access in accesses {
            if let Access::Keys(_, atoms) = access {
                let found = (0..atoms.len()).filter_map(|index| atoms.cluster(index));
                heads.extend(found.filter_map(|id| self.clusters.get(id).open_block()));
            }
        }
        heads.iter().for_each(|&head| prefetch(self.blocks.get(head)));
        heads.iter().for_each(|&head| self.blocks.prefetch_end(head));
    }

    /// Asks for the memory that looking at a lane, or taking it, will touch.
    #[inline]
    pub fn foresee_take(&self, place: Place) {
        let owner = self.blocks.get(place.block).owner;
        if owner & LADDER == 0 {
            self.clusters.prefetch_entry(owner);
        }
        self.blocks.prefetch_lane(place);
    }

    /// Asks for the memory that taking the lanes of a crowd will touch: the blocks, their clusters, the lanes that will move, and
    /// who these are for.
    pub fn foresee_takes(&self, crowd: &Crowd, movers: &mut Vec<u32>) {
        let places = || (0..crowd.lanes()).map(|index| crowd.place(index)).filter(|place| *place != Place::NOWHERE);
        places().for_each(|place| prefetch(self.blocks.get(place.block)));
        places().for_each(|place| self.foresee_take(place));
        movers.clear();
        movers.extend(places().map(|place| {
            let owner = self.blocks.get(place.block).owner;
            let open = if owner & LADDER == 0 { self.clusters.get(owner).open_block() } else { None };
            open.unwrap_or(place.block)
        }));
        movers.iter().for_each(|&block| prefetch(self.blocks.get(block)));
        movers.iter().for_each(|&block| self.blocks.prefetch_end(block));
        // From here on the targets of the lanes that will move, which is who must be told.
        for mover in movers.iter_mut() {
            let target = self.blocks.targets(self.blocks.get(*mover)).last().copied();
            *mover = target.map_or(u32::MAX, |target| target.0);
            if let Some(Role::RowOfSeveral(row) | Role::Row(row)) = target.map(|target| Target(target.0).role()) {
                prefetch(&self.records[row.0]);
            }
        }
        movers.retain_mut(|mover| {
            let crowd = match Target(*mover).role() {
                Role::RowOfSeveral(row) if row.index() < self.records.len() => self.records[row.0].place.block,
                Role::Crowd(crowd) if (crowd as usize) < self.crowds.len() => crowd,
                Role::Row(_) | Role::RowOfSeveral(_) | Role::Crowd(_) => return false,
            };
            *mover = crowd;
            prefetch(&self.crowds[crowd]);
            true
        });
        movers.iter().filter_map(|&crowd| self.crowds[crowd].body()).for_each(prefetch);
    }

    /// Puts a lane where its access leads, or one under each of its keys.
    #[expect(clippy::too_many_arguments, reason = "whose, what, where to, and who is told")]
    pub fn put(
        &mut self,
        tenant: TenantId,
        schema: &mut Schema,
        target: Target,
        program: u32,
        words: &[u32],
        access: &Access,
        mut placed: impl FnMut(&mut Self, Place),
    ) {
        let cut = within_lengths(access, schema, &self.symbols, self.hashing);
        let access = cut.as_ref().unwrap_or(access);
        match access {
            Access::Range(slot, low, high) => {
                let Some(Ranged { slot, tests, verify }) = ranged(schema, words, *slot, *low, *high) else {
                    let presence = Access::Keys(*slot, Atoms::one(Atom::PRESENT));
                    return self.put(tenant, schema, target, program, words, &presence, placed);
                };
                let rail = Rail::new(tenant, slot, &tests);
                let lane = self.lane(schema, target, program, verify, &tests);
                let ladders = &self.ladders;
                let found = schema.slot(slot).ladders.iter().copied().find(|&id| ladders.get(id).rail == rail);
                let id = found.unwrap_or_else(|| {
                    let id = self.ladders.create(rail);
                    schema.slot_mut(slot).ladders.push(id);
                    schema.retain(slot);
                    id
                });
                let mut moves = Vec::new();
                release(schema, &tests);
                let place = self.ladders.push(id, &lane, &mut self.blocks, &mut moves);
                self.relocate_all(moves);
                placed(self, place);
            }
            Access::Keys(slot, atoms) => {
                let (tests, verify) = coded(schema, words, access, TESTS_MAX);
                let lane = self.lane(schema, target, program, verify, &tests);
                let moved_max = (MOVED_MAX / atoms.len().max(1)).max(1);
                for (index, &atom) in atoms.iter().enumerate() {
                    if index > 0 {
                        tests.iter().for_each(|test| schema.retain_feature(test.feature));
                    }
                    let key = Key { tenant, slot: *slot, atom };
                    let known = atoms.cluster(index).filter(|&id| self.clusters.get(id).key == key);
                    let (id, created) =
                        known.map_or_else(|| self.clusters.find_or_create(key, schema.events), |id| (id, false));
                    count_key(schema, key, created, true);
                    let place = self.put_under(schema, id, &lane, moved_max);
                    placed(self, place);
                }
                release(schema, &tests);
            }
            Access::Scan => {
                let (tests, verify) = coded(schema, words, access, TESTS_MAX);
                let lane = self.lane(schema, target, program, verify, &tests);
                let (id, _) = self.clusters.find_or_create(scan_key(tenant), schema.events);
                schema.scanned += 1;
                release(schema, &tests);
                let place = self.put_under(schema, id, &lane, MOVED_MAX);
                placed(self, place);
            }
        }
    }

    /// Takes a lane out; its target forgets it elsewhere.
    pub fn take(&mut self, schema: &mut Schema, place: Place) {
        let features = self.blocks.features(place).collect::<Features>();
        let owner = self.blocks.get(place.block).owner;
        let moved = if owner & LADDER != 0 {
            let id = owner & !LADDER;
            let slot = self.ladders.get(id).rail.slot;
            let (moved, gone) = self.ladders.remove(id, place, &mut self.blocks);
            if gone {
                schema.slot_mut(slot).ladders.retain(|&ladder| ladder != id);
                features.release(schema);
                schema.release(slot);
            } else {
                features.release(schema);
            }
            moved
        } else {
            let key = self.clusters.get(owner).key;
            let (moved, gone) = self.clusters.remove(owner, place, &mut self.blocks);
            features.release(schema);
            if key.atom.kind() == AtomKind::Scan {
                schema.scanned -= 1;
            } else {
                count_key(schema, key, gone, false);
            }
            moved
        };
        if let Some((lane, from)) = moved {
            self.relocate(lane.target, from, place);
        }
    }

    /// Whether a lane stands under a frequent key while its program has an access that half as many find. `better` is the program asked about
    /// last and the share of its best access.
    pub fn could_do_better(
        &self,
        tenant: TenantId,
        schema: &Schema,
        place: Place,
        keys_max: usize,
        better: &mut Option<(u32, f64)>,
    ) -> bool {
        self.frequency(place, schema).is_some_and(|share| {
            let program = self.program_of(place);
            let known = better.filter(|&(of, _)| of == program);
            let (_, best) =
                known.unwrap_or_else(|| (program, self.choose(tenant, schema, self.words(program), keys_max).share));
            *better = Some((program, best));
            2.0 * best < share
        })
    }

    /// The share of publications that find a lane through a key that has proved to be frequent.
    pub fn frequency(&self, place: Place, schema: &Schema) -> Option<f64> {
        let owner = self.blocks.get(place.block).owner;
        if owner & LADDER != 0 {
            return None;
        }
        let cluster = self.clusters.get(owner);
        let judged = schema.events.saturating_sub(cluster.born).max(1);
        let part = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        // What every publication finds has no attribute.
        let keys = if cluster.key.slot == program::NO_SLOT { 0 } else { schema.slot(cluster.key.slot).keys };
        cluster.is_frequent(schema.events, keys).then(|| part(u64::from(cluster.hits)) / part(judged))
    }

    /// The tenant of a lane.
    pub fn tenant_of(&self, place: Place) -> TenantId {
        let owner = self.blocks.get(place.block).owner;
        if owner & LADDER != 0 {
            self.ladders.get(owner & !LADDER).rail.tenant
        } else {
            self.clusters.get(owner).key.tenant
        }
    }

    /// The program of a lane.
    pub fn program_of(&self, place: Place) -> u32 {
        self.blocks.programs(self.blocks.get(place.block))[place.lane as usize]
    }

    /// The words of a program, and no more.
    pub fn words(&self, program: u32) -> &[u32] {
        let words = self.programs.from(program);
        &words[..program::length(words)]
    }

    /// Writes words down.
    pub fn keep(&mut self, words: &[u32]) -> u32 {
        let program = self.programs.allocate(words.len());
        self.programs.get_mut(program, words.len()).copy_from_slice(words);
        program
    }

    /// Forgets a program, and what it uses.
    pub fn forget(&mut self, schema: &mut Schema, program: u32) {
        let words = self.programs.from(program);
        let length = program::length(words);
        program::release(&words[..length], schema, &mut self.symbols, &mut self.residuals);
        self.programs.free(program, length);
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.bytes()
            + self.programs.bytes()
            + self.symbols.bytes()
            + self.residuals.bytes()
            + self.clusters.bytes()
            + self.ladders.bytes()
            + self.records.bytes()
            + self.crowds.bytes()
            + self.crowd_bytes
    }

    fn lane(&self, schema: &mut Schema, target: Target, program: u32, verify: bool, tests: &[Coded]) -> Lane {
        let mut lane = Lane::new(target, program, verify);
        lane.coded[..tests.len()].copy_from_slice(tests);
        for test in tests {
            schema.retain_feature(test.feature);
        }
        lane
    }

    /// Puts a lane into a cluster, of which at most so many others move to where they stand in order.
    fn put_under(&mut self, schema: &Schema, cluster: u32, lane: &Lane, moved_max: usize) -> Place {
        let mut moves = Vec::new();
        // Before the lane has a place, because it may have to move as well.
        self.follow(schema, cluster, moved_max, &mut moves);
        let place = self.clusters.push(cluster, lane, &mut self.blocks, &mut moves);
        self.relocate_all(moves);
        place
    }

    /// Moves a few lanes of a cluster to where they stand in order.
    fn follow(&mut self, schema: &Schema, cluster: u32, lanes_max: usize, moves: &mut Vec<(Lane, Moved)>) {
        let Some(shelf) = self.clusters.get(cluster).shelf() else { return };
        for _ in 0..lanes_max {
            let popped = self.clusters.shelves.pop_rest(shelf, &mut self.blocks);
            let Some((mut lane, from, emptied)) = popped else { return };
            // Chains do without fine codes.
            refine(schema, self.words(lane.program), &mut lane);
            let to = self.clusters.shelves.push(shelf, cluster, &lane, &mut self.blocks, moves);
            moves.push((lane, Moved { from, to }));
            // Only now, so that no other block has its number while lanes are on their way.
            emptied.into_iter().for_each(|block| self.blocks.destroy(block));
        }
    }

    /// Packs a few blocks that have much room into fewer, if there are some.
    pub fn pack(&mut self) {
        let mut moves = Vec::new();
        self.ladders.pack(&mut self.blocks, &mut moves);
        self.clusters.shelves.pack(&mut self.blocks, &mut moves);
        self.relocate_all(moves);
    }

    /// Whether some have.
    pub fn is_loose(&self) -> bool {
        self.ladders.is_due() || self.clusters.shelves.is_due()
    }

    fn relocate_all(&mut self, moves: Vec<(Lane, Moved)>) {
        for (lane, moved) in moves {
            self.relocate(lane.target, moved.from, moved.to);
        }
    }

    fn relocate(&mut self, target: Target, from: Place, to: Place) {
        let crowd = match target.role() {
            Role::Row(row) => {
                self.records[row.0].place = to;
                return;
            }
            Role::RowOfSeveral(row) => self.records[row.0].place.block,
            Role::Crowd(crowd) => crowd,
        };
        self.crowds[crowd].relocate(from, to);
    }
}

fn release(schema: &mut Schema, tests: &[Coded]) {
    for test in tests {
        schema.release_feature(test.feature);
    }
}

/// Keeps count of what a publication must look up.
fn count_key(schema: &mut Schema, key: Key, made_or_gone: bool, added: bool) {
    let step = |number: &mut u32| *number = if added { *number + 1 } else { *number - 1 };
    let slot = schema.slot_mut(key.slot);
    match key.atom.kind() {
        AtomKind::Symbol => {
            step(&mut slot.keys);
            if made_or_gone {
                step(&mut slot.symbols);
            }
        }
        AtomKind::Prefix(length) => {
            step(&mut slot.keys);
            if made_or_gone {
                slot.lengths.get_or_insert_default().count_whole(length, added);
            }
        }
        AtomKind::Cut(index) => {
            step(&mut slot.keys);
            if made_or_gone {
                slot.lengths.get_or_insert_default().count_cut(index, added);
            }
        }
        AtomKind::Cell(level) => {
            step(&mut slot.keys);
            if made_or_gone {
                step(&mut slot.levels.get_or_insert_default()[level as usize]);
            }
        }
        AtomKind::Present => {
            if made_or_gone {
                step(&mut slot.presences);
            }
        }
        AtomKind::Scan => {}
    }
    if made_or_gone {
        if added {
            schema.retain(key.slot);
        } else {
            schema.release(key.slot);
        }
    }
}
