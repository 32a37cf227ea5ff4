//! Rows in and out: filters become programs, programs find their like or get lanes of their own; and rows that use a stale
//! feature settle again, a few at a time.

use gomera_cluster::layout::MatcherSlice;
use gomera_model::filter::Filter;

use super::access::keys_max;
use super::blocks::{Place, ROWS_END, Role, Target};
use super::clusters::TenantId;
use super::crowds::Crowd;
use super::desk::{Desk, Written, hash, is_shareable};
use super::schema::Schema;
use super::store::{Record, State, Store};
use super::{Index, RowId};
use crate::kernel::prefetch;

/// Rows looked at with each insertion while rows leave stale features: so many that a sweep ends before boundaries are learnt
/// again, which happens at most when rows have doubled.
pub const SWEPT_PER_INSERTION: usize = 4;

/// Rows looked at with each publication meanwhile: about a microsecond.
pub const SWEPT_PER_PUBLICATION: usize = 4;

/// Lanes moved after which no further row is looked at with the insertion or the publications in hand: half a millisecond. A row has one or
/// two as a rule, one that asks for long lists a few thousand.
const MOVED_MAX: usize = 1024;

impl Index {
    /// Puts rows of one tenant that are not in where they belong.
    pub(super) fn settle<'a>(
        &mut self,
        tenant: TenantId,
        rows: impl IntoIterator<Item = (RowId, MatcherSlice, &'a Filter)>,
    ) {
        let mut desk = std::mem::take(&mut self.desk);
        desk.clear();
        for (row, slice, filter) in rows {
            assert!(row.0 < ROWS_END, "rows are numbered below 2^30");
            self.store.records.reach(row.0);
            assert!(self.store.records[row.0].state == State::Absent, "a row is removed before it is inserted again");
            self.write(tenant, row, slice, filter, &mut desk);
        }
        self.foresee_choices(tenant, &mut desk);
        for index in 0..desk.filters.len() {
            let written = desk.filters[index];
            assert!(self.store.records[written.row.0].state == State::Absent, "no row is inserted twice");
            let (state, place) = if desk.programs(&written).len() == 0 {
                (State::Never, Place::default())
            } else {
                self.settle_programs(tenant, &written, &mut desk)
            };
            self.store.records[written.row.0] = Record::new(state, place, written.slice);
        }
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
                let before = self.store.crowds[crowd].bytes();
                let rows = &mut self.store.crowds[crowd].rows;
                rows.swap_remove(at);
                let (moved, left) = (rows.get(at).copied(), rows.len());
                self.store.crowd_bytes -= before - self.store.crowds[crowd].bytes();
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
        /// Rows whose memory is asked for before it is their turn.
        const AHEAD: u32 = 8;
        /// Publications after a sweep that found little to correct.
        const CALM: u64 = 1024;
        let mut moved = 0;
        for _ in 0..rows_max {
            if moved >= MOVED_MAX {
                return;
            }
            let Some(row) = self.sweep else { return };
            if row as usize >= self.store.records.len() {
                // What went stale behind the sweep is left for another one.
                self.sweep = self.schemas.iter().flatten().any(Schema::has_stale).then_some(0);
                // Keys that stay frequent because nothing is better need not be looked at with every publication.
                if (self.swept as usize) < self.rows / 64 {
                    self.calm_until = self.judged + self.judged.max(CALM);
                }
                self.swept = 0;
                return;
            }
            self.sweep = Some(row + 1);
            self.foresee(row + AHEAD, row + AHEAD / 2);
            moved += self.settle_again(RowId(row));
        }
    }

    /// Asks for the memory of two rows that will be looked at: first where their lanes are, later what is there.
    fn foresee(&self, first: u32, later: u32) {
        let store = &self.store;
        let record = |row: u32| ((row as usize) < store.records.len()).then(|| store.records[row]);
        match record(first) {
            Some(Record { state: State::Alone, place, .. }) => prefetch(store.blocks.get(place.block)),
            Some(Record { state: State::Crowded, place, .. }) => prefetch(&store.crowds[place.block]),
            Some(Record { state: State::Absent | State::Never, .. }) | None => {}
        }
        match record(later) {
            Some(Record { state: State::Alone, place, .. }) => store.foresee_take(place),
            Some(Record { state: State::Crowded, place, .. }) => {
                store.crowds[place.block].body().into_iter().for_each(prefetch);
            }
            Some(Record { state: State::Absent | State::Never, .. }) | None => {}
        }
    }

    /// Gives a row new lanes if one of its own uses a stale feature, or stands under a key that is frequent while another would
    /// be much better. Says how many lanes it moved, and of those that stay one in eight.
    fn settle_again(&mut self, row: RowId) -> usize {
        let record = self.store.records[row.0];
        let store = &self.store;
        // Lanes of a list come one after another, and have one program.
        let mut better = None;
        let mut is_misplaced = |place: Place, keys_max| {
            let tenant = store.tenant_of(place);
            let schema = self.schemas[tenant as usize].as_ref().expect("a tenant has a schema");
            let is_stale = schema.has_stale() && store.blocks.features(place).any(|feature| schema.is_stale(feature));
            (is_stale || store.could_do_better(tenant, schema, place, keys_max, &mut better)).then_some(tenant)
        };
        match record.state {
            State::Absent | State::Never => 0,
            State::Alone => {
                let Some(tenant) = is_misplaced(record.place, 1) else { return 0 };
                self.swept += 1;
                let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
                let program = self.store.program_of(record.place);
                let words = self.store.words(program).to_vec();
                let access = self.store.choose(tenant, schema, &words, 1).access;
                self.store.take(schema, record.place);
                self.store.put(tenant, schema, Target(row.0), program, &words, &access, |store, place| {
                    store.records[row.0].place = place;
                });
                1
            }
            State::Crowded => {
                let number = record.place.block;
                let crowd = &store.crowds[number];
                if crowd.rows[0] != row {
                    return 0;
                }
                let keys_max = if crowd.lanes() == 1 { 1 } else { keys_max(crowd.programs().len()) };
                let found = (0..crowd.lanes()).find_map(|index| is_misplaced(crowd.place(index), keys_max));
                let Some(tenant) = found else { return crowd.lanes() / 8 };
                self.swept += 1;
                let mut moved = crowd.lanes();
                let mut desk = std::mem::take(&mut self.desk);
                desk.clear();
                crowd.programs().iter().for_each(|&program| desk.add(store.words(program)));
                let written = self.written(tenant, row, record.slice(), 0, &mut desk);
                self.foresee_choices(tenant, &mut desk);
                self.choose(tenant, &written, &mut desk);
                self.clear(number, tenant);
                let before = self.store.crowds[number].bytes();
                self.store.crowds[number].reserve(desk.lanes());
                self.store.crowd_bytes = self.store.crowd_bytes + self.store.crowds[number].bytes() - before;
                self.place(number, tenant, &written, &desk);
                moved += desk.lanes();
                self.desk = desk;
                moved
            }
        }
    }

    /// Finds who has the same programs, or gives them lanes.
    fn settle_programs(&mut self, tenant: TenantId, of: &Written, desk: &mut Desk) -> (State, Place) {
        let &Written { row, hash, is_shareable, .. } = of;
        if is_shareable {
            let store = &self.store;
            let found = self.sharing.find(hash, |number| match Target(number).role() {
                Role::Row(row) | Role::RowOfSeveral(row) => {
                    let place = store.records[row.0].place;
                    let mut programs = desk.programs(of);
                    store.tenant_of(place) == tenant
                        && programs.next().is_some_and(|words| is(store, store.program_of(place), words))
                        && programs.next().is_none()
                }
                Role::Crowd(crowd) => {
                    let crowd = &store.crowds[crowd];
                    let programs = crowd.programs();
                    let equal =
                        || programs.iter().zip(desk.programs(of)).all(|(&program, words)| is(store, program, words));
                    crowd.tenant == tenant && programs.len() == desk.programs(of).len() && equal()
                }
            });
            if let Some(number) = found {
                self.unwrite(tenant, of, desk);
                let crowd = match Target(number).role() {
                    Role::Row(row) | Role::RowOfSeveral(row) => self.gather(row, tenant, hash),
                    Role::Crowd(crowd) => crowd,
                };
                return (State::Crowded, self.join(row, crowd));
            }
        }
        self.note_constants(tenant, of, desk);
        self.choose(tenant, of, desk);
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        if let (Some(words), [access]) = (desk.programs(of).next(), desk.accesses.as_slice())
            && access.lanes() == 1
        {
            let program = store.keep(words);
            let mut place = Place::default();
            store.put(tenant, schema, Target(row.0), program, words, access, |_, at| place = at);
            if is_shareable {
                self.sharing.insert(hash, row.0);
            }
            return (State::Alone, place);
        }
        let crowd = Crowd::new(tenant, desk.programs(of).map(|words| store.keep(words)), desk.lanes());
        store.crowd_bytes += crowd.bytes();
        let crowd = store.crowds.insert(crowd);
        let at = self.join(row, crowd);
        // Where a lane that moves later finds its crowd.
        let slice = self.store.records[row.0].slice();
        self.store.records[row.0] = Record::new(State::Crowded, at, slice);
        self.place(crowd, tenant, of, desk);
        if is_shareable {
            self.sharing.insert(hash, Target::crowd(crowd).0);
        }
        (State::Crowded, at)
    }

    /// Makes a crowd of a row that was alone.
    fn gather(&mut self, row: RowId, tenant: TenantId, hash: u64) -> u32 {
        let place = self.store.records[row.0].place;
        let mut crowd = Crowd::new(tenant, std::iter::once(self.store.program_of(place)), 1);
        crowd.set_place(0, place);
        self.store.crowd_bytes += crowd.bytes();
        let crowd = self.store.crowds.insert(crowd);
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
        let entry = &mut self.store.crowds[crowd];
        let before = entry.bytes();
        entry.rows.push(row);
        self.store.crowd_bytes += entry.bytes() - before;
        Place { block: crowd, lane: u32::try_from(entry.rows.len() - 1).expect("rows are numbered in 31 bits") }
    }

    /// Has the lanes of a crowd lead to another target.
    fn retarget(&mut self, crowd: u32, target: Target) {
        for index in 0..self.store.crowds[crowd].lanes() {
            let place = self.store.crowds[crowd].place(index);
            self.store.blocks.retarget(place, target);
        }
    }

    /// Gives a crowd without lanes those that have been chosen for its programs.
    fn place(&mut self, crowd: u32, tenant: TenantId, of: &Written, desk: &Desk) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let store = &mut self.store;
        let target = store.crowds[crowd].target(crowd);
        let mut lane = 0;
        for (index, (words, access)) in desk.programs(of).zip(&desk.accesses).enumerate() {
            let program = store.crowds[crowd].programs()[index];
            store.put(tenant, schema, target, program, words, access, |store, place| {
                store.crowds[crowd].set_place(lane, place);
                lane += 1;
            });
        }
    }

    /// Takes the lanes of a crowd out.
    fn clear(&mut self, crowd: u32, tenant: TenantId) {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        self.store.foresee_takes(&self.store.crowds[crowd], &mut self.foreseen);
        for index in 0..self.store.crowds[crowd].lanes() {
            let place = self.store.crowds[crowd].place(index);
            self.store.crowds[crowd].set_place(index, Place::NOWHERE);
            self.store.take(schema, place);
        }
    }

    /// Ends a crowd that has no rows any more.
    fn dissolve(&mut self, crowd: u32, tenant: TenantId) {
        let words = self.store.crowds[crowd].programs().iter().map(|&program| self.store.words(program));
        if words.clone().all(|words| is_shareable(&self.store, words)) {
            self.sharing.remove(hash(self.hashing, tenant, words), Target::crowd(crowd).0);
        }
        self.clear(crowd, tenant);
        let gone = self.store.crowds.remove(crowd);
        self.store.crowd_bytes -= gone.bytes();
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        for &program in gone.programs() {
            self.store.forget(schema, program);
        }
    }
}

fn is(store: &Store, program: u32, words: &[u32]) -> bool {
    store.programs.from(program).get(..words.len()) == Some(words)
}
