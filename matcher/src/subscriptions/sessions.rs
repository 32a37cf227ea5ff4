//! The sessions: their contexts, their rows by handle, and per slice what still refuses late operations: a floor below which
//! every version is settled, and tombstones above it.
//!
//! A session's record lasts until the session is forgotten, and as a trace for some time after, so that operations that its
//! end overtook find it.

mod ending;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::message::snapshot::{self, SessionState, SettledState};
use gomera_cluster::operation::{Operation, Outcome, Version};
use gomera_cluster::pages::Pages;
use gomera_cluster::table::{LargeTable, Seeded};
use gomera_cluster::time::Instant;
use gomera_model::attributes::Attributes;

use super::limits::Limits;
use crate::config::Config;
use crate::index::RowId;
pub use ending::Ending;

/// Tombstones of one session in one slice; beyond it the oldest becomes the floor.
const TOMBSTONES_PER_SLICE_MAX: usize = 64;

/// Rows of a session, in order of handle.
pub type RowsByHandle = BTreeMap<(Handle, SubscriptionKey), RowId>;

/// The place of a session in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(u32);

impl SessionId {
    #[cfg(test)]
    pub(super) fn of(place: u32) -> Self {
        Self(place)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).expect("32 bits fit a usize")
    }
}

/// What refuses late operations of a session on a slice.
#[derive(Debug)]
struct Settled {
    /// Lower versions are refused.
    floor: Version,
    /// Removed subscriptions, nearly in order of version.
    tombstones: VecDeque<(Version, SubscriptionKey)>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its key.
    pub key: SessionKey,
    /// Whose it is.
    pub tenant: Tenant,
    context: Option<(Version, Arc<Attributes>)>,
    /// Everything of this generation and below is gone.
    forgotten: Option<Generation>,
    /// The highest generation that put a row.
    put: Generation,
    rows: RowsByHandle,
    settled: BTreeMap<MatcherSlice, Settled>,
    /// Lives that are over, of which something waits to be removed and refers to this record.
    doomed: u32,
    /// Entries in the queue of ended sessions.
    remembered: u32,
}

impl Session {
    /// Its context, if it set one.
    pub fn context(&self) -> Option<&Attributes> {
        self.context.as_ref().map(|(_, context)| &**context)
    }

    /// Whether what this generation made is gone.
    pub fn has_forgotten(&self, generation: Generation) -> bool {
        self.forgotten.is_some_and(|forgotten| generation <= forgotten)
    }

    /// How many subscriptions, those of an ended life included until they have been taken out.
    pub fn rows_len(&self) -> usize {
        self.rows.len()
    }

    /// Its subscriptions with a handle above `after`, in order of handle.
    pub fn rows_after(&self, after: Option<Handle>) -> impl Iterator<Item = RowId> + '_ {
        let first = after.map_or(Some(Handle(0)), |after| after.0.checked_add(1).map(Handle));
        let range = first.map(|first| self.rows.range((first, SubscriptionKey(0))..));
        range.into_iter().flatten().map(|(_, &id)| id)
    }

    fn state(&self, slices: &SliceSet, with: snapshot::Sessions) -> Option<SessionState> {
        // What a life made that is over goes in steps, and is not told meanwhile.
        let stands = |version: Version| !self.has_forgotten(version.generation);
        let of_slice = |(&slice, settled): (&MatcherSlice, &Settled)| {
            let tombstones = settled.tombstones.iter().copied().filter(|&(version, _)| stands(version));
            let (floor, tombstones) = (settled.floor, tombstones.collect::<Vec<_>>());
            (stands(floor) || !tombstones.is_empty()).then_some(SettledState { slice, floor, tombstones })
        };
        let settled = self.settled.iter().filter(|(slice, _)| slices.contains(**slice));
        let settled = settled.filter_map(of_slice).collect::<Vec<_>>();
        let (context, forgotten) = match with {
            snapshot::Sessions::Wanted => (self.context.clone(), self.forgotten),
            snapshot::Sessions::Known => (None, None),
        };
        let is_something = context.is_some() || forgotten.is_some() || !settled.is_empty();
        is_something.then(|| SessionState {
            tenant: self.tenant.clone(),
            session: self.key,
            context,
            forgotten,
            settled,
        })
    }

    /// Whether nothing needs it any more: it was forgotten, holds nothing, and is remembered no longer.
    fn is_over(&self) -> bool {
        let empty = self.rows.is_empty() && self.context.is_none() && self.settled.is_empty();
        empty && self.doomed == 0 && self.remembered == 0
    }
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    sessions_max: u32,
    tombstones_max: usize,
    forgotten_for: Duration,
    forgotten_max: usize,
    sessions: Pages<Option<Session>>,
    by_key: LargeTable<SessionKey, SessionId>,
    tombstones: LargeTable<SubscriptionKey, Version>,
    /// Ended sessions, in the order in which they ended.
    forgotten: VecDeque<(Instant, SessionId)>,
}

impl Sessions {
    /// None yet.
    pub fn new(config: &Config) -> Self {
        let size = |limit: u32| usize::try_from(limit).expect("32 bits fit a usize");
        let hashing = Seeded::new(config.hash_seed);
        Self {
            sessions_max: config.sessions_max,
            tombstones_max: size(config.tombstones_max),
            forgotten_for: config.forgotten_for,
            forgotten_max: size(config.forgotten_max),
            sessions: Pages::new(),
            by_key: LargeTable::with_hasher(hashing),
            tombstones: LargeTable::with_hasher(hashing),
            forgotten: VecDeque::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many tombstones.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// The place of a session.
    pub fn find(&self, key: SessionKey) -> Option<SessionId> {
        self.by_key.get(&key).copied()
    }

    /// A session.
    pub fn get(&self, id: SessionId) -> &Session {
        self.sessions[id.0].as_ref().expect("an id in use names a session")
    }

    /// A session, made if need be.
    pub fn find_or_create(&mut self, tenant: &Tenant, key: SessionKey, limits: Limits) -> Result<SessionId, Outcome> {
        if let Some(id) = self.find(key) {
            return Ok(id);
        }
        if limits == Limits::Held && self.len() >= usize::try_from(self.sessions_max).expect("32 bits fit a usize") {
            return Err(Outcome::LimitExceeded(super::limits::too_many(self.sessions_max)));
        }
        let id = SessionId(self.sessions.insert(Some(Session {
            key,
            tenant: tenant.clone(),
            context: None,
            forgotten: None,
            put: Generation(0),
            rows: RowsByHandle::new(),
            settled: BTreeMap::new(),
            doomed: 0,
            remembered: 0,
        })));
        self.by_key.insert(key, id);
        Ok(id)
    }

    /// Whether an operation on the subscription `key` may change it: neither settled long ago, nor overtaken by a removal,
    /// nor by the end of the session. Takes note of what the operation says is settled, whatever comes of it, so that all
    /// replicas of the slice know the same. Gives the session.
    pub fn admit(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        key: SubscriptionKey,
        limits: Limits,
    ) -> Result<SessionId, Outcome> {
        let id = self.find_or_create(&operation.tenant, operation.session, limits)?;
        let session = self.sessions[id.0].as_mut().expect("an id in use names a session");
        if session.has_forgotten(operation.version.generation) {
            return Err(Outcome::Superseded);
        }
        let settled = session.settled.entry(slice).or_default();
        settled.raise(operation.low, &mut self.tombstones);
        let buried = self.tombstones.get(&key).is_some_and(|&removed| removed > operation.version);
        if buried || operation.version < settled.floor { Err(Outcome::Superseded) } else { Ok(id) }
    }

    /// A subscription is removed, or was not there: lower versions of it are refused from now on.
    pub fn leave_tombstone(&mut self, id: SessionId, version: Version, slice: MatcherSlice, key: SubscriptionKey) {
        let full = self.tombstones.len() >= self.tombstones_max;
        let session = self.sessions[id.0].as_mut().expect("an id in use names a session");
        let settled = session.settled.entry(slice).or_default();
        if version < settled.floor {
            return;
        }
        if full {
            settled.raise(version, &mut self.tombstones);
            return;
        }
        self.tombstones.insert(key, version);
        settled.tombstones.push_back((version, key));
        if settled.tombstones.len() > TOMBSTONES_PER_SLICE_MAX
            && let Some(&(oldest, _)) = settled.tombstones.front()
        {
            let above = Version { counter: oldest.counter.saturating_add(1), ..oldest };
            settled.raise(above, &mut self.tombstones);
        }
    }

    /// A subscription is put again: its tombstone has done its work.
    pub fn bury_tombstone(&mut self, key: SubscriptionKey) {
        self.tombstones.remove(&key);
    }

    /// A context is set, unless by an operation that a later one has overtaken.
    pub fn set_context(&mut self, operation: &Operation, context: &Arc<Attributes>) -> Result<(), Outcome> {
        let id = self.find_or_create(&operation.tenant, operation.session, Limits::Held)?;
        let session = self.sessions[id.0].as_mut().expect("an id in use names a session");
        let overtaken = session.context.as_ref().is_some_and(|(version, _)| *version > operation.version);
        if overtaken || session.has_forgotten(operation.version.generation) {
            return Err(Outcome::Superseded);
        }
        session.context = Some((operation.version, context.clone()));
        Ok(())
    }

    /// Whether a subscription was removed by a later operation.
    pub fn is_buried(&self, key: SubscriptionKey, version: Version) -> bool {
        self.tombstones.get(&key).is_some_and(|&removed| removed > version)
    }

    /// A row is there.
    pub fn insert_row(&mut self, id: SessionId, handle: Handle, key: SubscriptionKey, row: RowId) {
        self.get_mut(id).rows.insert((handle, key), row);
    }

    /// An attachment has put a row.
    pub fn note_put(&mut self, id: SessionId, generation: Generation) {
        let session = self.get_mut(id);
        session.put = session.put.max(generation);
    }

    /// A row is gone.
    pub fn remove_row(&mut self, id: SessionId, handle: Handle, key: SubscriptionKey) {
        self.get_mut(id).rows.remove(&(handle, key));
    }

    /// When [`Sessions::drop_forgotten`] has something to do.
    pub fn next_forgetting(&self) -> Option<Instant> {
        self.forgotten.front().map(|&(at, _)| at)
    }

    /// Drops the traces of sessions that ended long enough ago, some of them.
    pub fn drop_forgotten(&mut self, now: Instant) {
        /// Sessions in one step: some tens of microseconds.
        const STEP: usize = 256;
        for _ in 0..STEP {
            if self.forgotten.front().is_none_or(|&(at, _)| at > now) {
                return;
            }
            self.drop_oldest_forgotten();
        }
    }

    fn drop_oldest_forgotten(&mut self) {
        let Some((_, id)) = self.forgotten.pop_front() else { return };
        self.get_mut(id).remembered -= 1;
        self.drop_if_over(id);
    }

    pub(super) fn drop_if_over(&mut self, id: SessionId) {
        let session = self.get(id);
        if session.is_over() {
            let key = session.key;
            self.by_key.remove(&key);
            self.sessions.remove(id.0);
        }
    }

    /// What is known of the session at a place beside its rows, as far as it concerns these slices; nothing at the end.
    pub fn state(&self, place: u32, slices: &SliceSet, with: snapshot::Sessions) -> Option<Option<SessionState>> {
        let session = self.sessions.get(place)?;
        Some(session.as_ref().and_then(|session| session.state(slices, with)))
    }

    /// Takes in what another replica knows, but for the end of the session.
    pub fn take(&mut self, state: &SessionState) -> SessionId {
        let id = self
            .find_or_create(&state.tenant, state.session, Limits::Waived)
            .unwrap_or_else(|_| unreachable!("no limit is held against what another replica has"));
        let session = self.sessions[id.0].as_mut().expect("an id in use names a session");
        if let Some((version, context)) = &state.context {
            let newer = session.context.as_ref().is_none_or(|(known, _)| known < version);
            if newer && !session.has_forgotten(version.generation) {
                session.context = Some((*version, context.clone()));
            }
        }
        for SettledState { slice, floor, tombstones } in &state.settled {
            let session = self.sessions[id.0].as_mut().expect("an id in use names a session");
            let forgotten = session.forgotten;
            // Whatever a life made that is over is refused anyway.
            let is_over = |version: Version| forgotten.is_some_and(|forgotten| version.generation <= forgotten);
            if !is_over(*floor) {
                session.settled.entry(*slice).or_default().raise(*floor, &mut self.tombstones);
            }
            for &(version, key) in tombstones.iter().filter(|(version, _)| !is_over(*version)) {
                if self.tombstones.get(&key).is_none_or(|&known| known < version) {
                    self.leave_tombstone(id, version, *slice, key);
                }
            }
        }
        id
    }

    fn get_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions[id.0].as_mut().expect("an id in use names a session")
    }
}

/// Below every version that is given.
const LOWEST: Version = Version { generation: Generation(0), counter: 0 };

impl Default for Settled {
    fn default() -> Self {
        Self { floor: LOWEST, tombstones: VecDeque::new() }
    }
}

impl Settled {
    /// Refuses versions below `floor` from now on, and drops the tombstones that did so.
    fn raise(&mut self, floor: Version, tombstones: &mut LargeTable<SubscriptionKey, Version>) {
        self.floor = self.floor.max(floor);
        while let Some(&(version, key)) = self.tombstones.front()
            && version < self.floor
        {
            self.tombstones.pop_front();
            remove_if(tombstones, key, version);
        }
    }
}

/// Removes the tombstone of exactly this version; a later one of the same subscription stays.
fn remove_if(tombstones: &mut LargeTable<SubscriptionKey, Version>, key: SubscriptionKey, version: Version) {
    if tombstones.get(&key) == Some(&version) {
        tombstones.remove(&key);
    }
}
