//! Rows in and out: filters become programs, programs find their like or get lanes of their own; and rows that use a stale
//! feature settle again, a few at a time.

use std::hash::{BuildHasher, Hasher};

use gomera_cluster::layout::MatcherSlice;
use gomera_model::filter::{Filter, normalise};

use super::access::{Access, Choice, KEYS_MAX};
use super::blocks::{Place, ROWS_END, Role, Target};
use super::cells::Bounds;
use super::clusters::TenantId;
use super::plan::{Draft, drafts};
use super::program::{self, What, tests};
use super::schema::{Schema, Trait};
use super::store::{Crowd, Record, State};
use super::{Index, RowId};

/// Rows looked at with each insertion while rows leave stale features: so many that a sweep ends before boundaries are learnt
/// again, which happens at most when rows have doubled.
pub const SWEPT_PER_INSERTION: usize = 4;

/// Rows looked at with each publication meanwhile: about a microsecond.
pub const SWEPT_PER_PUBLICATION: usize = 4;

/// What an insertion works in, kept for its room.
#[derive(Debug, Default)]
pub struct Desk {
    words: Vec<u32>,
    /// Where in the words each program lies, in order of their contents.
    programs: Vec<(usize, usize)>,
}

impl Desk {
    fn programs(&self) -> impl Iterator<Item = &[u32]> {
        self.programs.iter().map(|&(from, to)| &self.words[from..to])
    }
}

impl Index {
    /// Puts a row that is not in where it belongs.
    pub(super) fn settle(&mut self, row: RowId, tenant: TenantId, slice: MatcherSlice, filter: &Filter) {
        assert!(row.0 < ROWS_END, "rows are numbered below 2^30");
        self.store.records.reach(row.0);
        assert!(self.store.records[row.0].state == State::Absent, "a row is removed before it is inserted again");
        let mut desk = std::mem::take(&mut self.desk);
        self.write(tenant, filter, &mut desk);
        let (state, place) = if desk.programs.is_empty() {
            (State::Never, Place::default())
        } else {
            self.settle_programs(row, tenant, &desk)
        };
        self.store.records[row.0] = Record::new(state, place, slice);
        self.desk = desk;
    }

    /// Takes a row that is in out.
    pub(super) fn unsettle(&mut self, row: RowId, tenant: TenantId) {
        let record = self.store.records[row.0];
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        match record.state {
            State::Absent | State::Never => {}
            State::Alone => {
                let program = self.store.program_of(record.place);
                let words = self.store.words(program);
                if is_shareable(&self.store, words) {
                    self.sharing.remove(hash(self.hashing, tenant, std::iter::once(words)), row.0);
                }
                self.store.take(schema, record.place);
                self.store.forget(schema, program);
            }
            State::Crowded => {
                let crowd = record.place.block;
                let at = record.place.lane as usize;
                let rows = &mut self.store.crowds[crowd].rows;
                rows.swap_remove(at);
                let moved = rows.get(at).copied();
                let left = rows.len();
                if 4 * left + 8 < rows.capacity() {
                    let before = rows.capacity();
                    rows.shrink_to(2 * left);
                    let freed = before - rows.capacity();
                    self.store.crowd_bytes -= freed * size_of::<RowId>();
                }
                if let Some(moved) = moved {
                    self.store.records[moved.0].place = record.place;
                }
                if left == 1 {
                    let target = self.store.crowds[crowd].target(crowd);
                    self.retarget(crowd, target);
                }
                if left == 0 {
                    self.dissolve(crowd, tenant);
                }
            }
        }
        // Only now: lanes of the row that moved meanwhile were found through it.
        self.store.records[row.0] = Record::default();
    }

    /// Moves rows away from stale features; looks at up to so many rows.
    pub(super) fn sweep_some(&mut self, rows_max: usize) {
        for _ in 0..rows_max {
            let Some(row) = self.sweep else { return };
            if row as usize >= self.store.records.len() {
                // What went stale behind the sweep is left for another one.
                self.sweep = self.schemas.iter().flatten().any(Schema::has_stale).then_some(0);
                return;
            }
            self.sweep = Some(row + 1);
            self.settle_again(RowId(row));
        }
    }

    /// Gives a row new lanes if one of its own uses a stale feature, or stands under a key that is frequent while another would
    /// be much better.
    fn settle_again(&mut self, row: RowId) {
        let record = self.store.records[row.0];
        let (places, crowd) = match record.state {
            State::Absent | State::Never => return,
            State::Alone => (vec![record.place], None),
            State::Crowded => {
                let crowd = &self.store.crowds[record.place.block];
                if crowd.rows[0] != row {
                    return;
                }
                (crowd.places.clone(), Some(record.place.block))
            }
        };
        let tenant = self.store.tenant_of(places[0]);
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let stale = |place: &Place| self.store.blocks.features(*place).any(|feature| schema.is_stale(feature));
        if !places.iter().any(stale) && !self.store.could_do_better(tenant, schema, &places) {
            return;
        }
        match crowd {
            None => {
                let program = self.store.program_of(record.place);
                let words = self.store.words(program).to_vec();
                let Choice { access, .. } = self.store.choose(tenant, schema, &words, 1);
                self.store.take(schema, record.place);
                self.store.put(tenant, schema, Target(row.0), program, &words, &access, |store, place| {
                    store.records[row.0].place = place;
                });
            }
            Some(crowd) => {
                self.clear(crowd, tenant);
                self.place(crowd, tenant);
            }
        }
    }

    /// The programs of a filter, each once; counts what they use.
    fn write(&mut self, tenant: TenantId, filter: &Filter, desk: &mut Desk) {
        desk.words.clear();
        desk.programs.clear();
        let first = drafts(filter.expression());
        let normal;
        let all = match first {
            Some(all) if !all.iter().any(Draft::has_residual) => all,
            Some(_) | None => {
                normal = normalise(filter);
                drafts(normal.expression()).unwrap_or_else(|| vec![Draft::residual(normal.expression())])
            }
        };
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        for draft in &all {
            let from = desk.words.len();
            program::write(&draft.literals, filter, schema, &mut store.symbols, &mut store.residuals, &mut desk.words);
            desk.programs.push((from, desk.words.len()));
        }
        if desk.programs.len() > 1 {
            let words = &desk.words;
            desk.programs.sort_by(|left, right| words[left.0..left.1].cmp(&words[right.0..right.1]));
            desk.programs.dedup_by(|later, earlier| {
                let same = words[later.0..later.1] == words[earlier.0..earlier.1];
                if same {
                    program::release(&words[later.0..later.1], schema, &mut store.symbols, &mut store.residuals);
                }
                same
            });
        }
    }

    /// Finds who has the same programs, or gives them lanes.
    fn settle_programs(&mut self, row: RowId, tenant: TenantId, desk: &Desk) -> (State, Place) {
        let shareable = desk.programs().all(|words| is_shareable(&self.store, words));
        let hash = hash(self.hashing, tenant, desk.programs());
        if shareable {
            let store = &self.store;
            let found = self.sharing.find(hash, |number| match Target(number).role() {
                Role::Row(row) | Role::RowOfSeveral(row) => {
                    let place = store.records[row.0].place;
                    let mut programs = desk.programs();
                    store.tenant_of(place) == tenant
                        && programs.next().is_some_and(|words| is(store, store.program_of(place), words))
                        && programs.next().is_none()
                }
                Role::Crowd(crowd) => {
                    let crowd = &store.crowds[crowd];
                    let equal =
                        crowd.programs.iter().zip(desk.programs()).all(|(&program, words)| is(store, program, words));
                    crowd.tenant == tenant && crowd.programs.len() == desk.programs.len() && equal
                }
            });
            if let Some(number) = found {
                self.release(tenant, desk);
                let crowd = match Target(number).role() {
                    Role::Row(row) | Role::RowOfSeveral(row) => self.gather(row, tenant, hash),
                    Role::Crowd(crowd) => crowd,
                };
                return (State::Crowded, self.join(row, crowd));
            }
        }
        self.note_constants(tenant, desk);
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        if let &[(from, to)] = desk.programs.as_slice() {
            let words = &desk.words[from..to];
            let Choice { access, .. } = store.choose(tenant, schema, words, KEYS_MAX);
            let is_single = !matches!(&access, Access::Keys(_, atoms) if atoms.len() > 1);
            if is_single {
                let program = store.keep(words);
                let mut place = Place::default();
                store.put(tenant, schema, Target(row.0), program, words, &access, |_, at| place = at);
                if shareable {
                    self.sharing.insert(hash, row.0);
                }
                return (State::Alone, place);
            }
        }
        let programs: Box<[u32]> = desk.programs().map(|words| store.keep(words)).collect();
        store.crowd_bytes += programs.len() * size_of::<u32>();
        let crowd = Crowd { rows: Vec::new(), places: Vec::new(), programs, stamp: 0, tenant };
        let crowd = store.crowds.insert(crowd);
        let at = self.join(row, crowd);
        // Where a lane that moves later finds its crowd.
        let slice = self.store.records[row.0].slice();
        self.store.records[row.0] = Record::new(State::Crowded, at, slice);
        self.place(crowd, tenant);
        if shareable {
            self.sharing.insert(hash, Target::crowd(crowd).0);
        }
        (State::Crowded, at)
    }

    /// Makes a crowd of a row that was alone.
    fn gather(&mut self, row: RowId, tenant: TenantId, hash: u64) -> u32 {
        let place = self.store.records[row.0].place;
        let programs: Box<[u32]> = Box::new([self.store.program_of(place)]);
        let places = vec![place];
        self.store.crowd_bytes += size_of::<u32>() + size_of::<Place>();
        let crowd = self.store.crowds.insert(Crowd { rows: Vec::new(), places, programs, stamp: 0, tenant });
        self.store.blocks.retarget(place, Target::crowd(crowd));
        self.sharing.remove(hash, row.0);
        self.sharing.insert(hash, Target::crowd(crowd).0);
        let place = self.join(row, crowd);
        let slice = self.store.records[row.0].slice();
        self.store.records[row.0] = Record::new(State::Crowded, place, slice);
        crowd
    }

    fn join(&mut self, row: RowId, crowd: u32) -> Place {
        if self.store.crowds[crowd].rows.len() == 1 {
            self.retarget(crowd, Target::crowd(crowd));
        }
        let rows = &mut self.store.crowds[crowd].rows;
        let before = rows.capacity();
        if rows.len() < 2 {
            rows.reserve_exact(1);
        }
        rows.push(row);
        self.store.crowd_bytes += (rows.capacity() - before) * size_of::<RowId>();
        Place { block: crowd, lane: u32::try_from(rows.len() - 1).expect("rows are numbered in 31 bits") }
    }

    /// Has the lanes of a crowd lead to another target.
    fn retarget(&mut self, crowd: u32, target: Target) {
        for index in 0..self.store.crowds[crowd].places.len() {
            let place = self.store.crowds[crowd].places[index];
            self.store.blocks.retarget(place, target);
        }
    }

    /// Gives a crowd without lanes lanes.
    fn place(&mut self, crowd: u32, tenant: TenantId) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        for index in 0..store.crowds[crowd].programs.len() {
            let program = store.crowds[crowd].programs[index];
            let words = store.words(program).to_vec();
            let Choice { access, .. } = store.choose(tenant, schema, &words, KEYS_MAX);
            let target = store.crowds[crowd].target(crowd);
            store.put(tenant, schema, target, program, &words, &access, |store, place| {
                let places = &mut store.crowds[crowd].places;
                let before = places.capacity();
                places.push(place);
                store.crowd_bytes += (places.capacity() - before) * size_of::<Place>();
            });
        }
    }

    /// Takes the lanes of a crowd out.
    fn clear(&mut self, crowd: u32, tenant: TenantId) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        while let Some(place) = self.store.crowds[crowd].places.pop() {
            self.store.take(schema, place);
        }
    }

    /// Ends a crowd that has no rows any more.
    fn dissolve(&mut self, crowd: u32, tenant: TenantId) {
        let programs = self.store.crowds[crowd].programs.clone();
        let words = programs.iter().map(|&program| self.store.words(program));
        if words.clone().all(|words| is_shareable(&self.store, words)) {
            self.sharing.remove(hash(self.hashing, tenant, words), Target::crowd(crowd).0);
        }
        self.clear(crowd, tenant);
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        for &program in &programs {
            self.store.forget(schema, program);
        }
        let gone = self.store.crowds.remove(crowd);
        self.store.crowd_bytes -= gone.rows.capacity() * size_of::<RowId>()
            + gone.places.capacity() * size_of::<Place>()
            + gone.programs.len() * size_of::<u32>();
    }

    /// Takes back what programs use that were written in vain.
    fn release(&mut self, tenant: TenantId, desk: &Desk) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        for words in desk.programs() {
            program::release(words, schema, &mut self.store.symbols, &mut self.store.residuals);
        }
    }

    /// Learns from the constants of new programs.
    fn note_constants(&mut self, tenant: TenantId, desk: &Desk) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let mut note = |slot, what, constants: [f64; 2]| {
            for constant in constants.into_iter().filter(|constant| constant.is_finite()) {
                schema.note_constant(slot, what, constant);
            }
        };
        for test in desk.programs().flat_map(tests).filter(|test| !test.negated || test.bounds().is_some()) {
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

fn is(store: &super::store::Store, program: u32, words: &[u32]) -> bool {
    store.programs.from(program).get(..words.len()) == Some(words)
}

/// Whether the programs mean the same for every row: not if they ask for the context.
fn is_shareable(store: &super::store::Store, words: &[u32]) -> bool {
    tests(words).all(|test| test.what != What::Residual || !store.residuals.filter(test.operands[0]).uses_context())
}

fn hash<'a>(
    hashing: gomera_cluster::table::Seeded,
    tenant: TenantId,
    programs: impl Iterator<Item = &'a [u32]>,
) -> u64 {
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
