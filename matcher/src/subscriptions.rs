//! The subscriptions, contexts and sessions that a matcher shard holds, and what operations do to them.
//!
//! An operation carries a version; the highest version of each thing wins, in whatever order operations come and however often:
//!
//! ```text
//!                      Put                       Put, SetPaused of a higher version
//!   no subscription ─────────▶ subscription ───────────────────────────────────────┐
//!         ▲                     │        ▲─────────────────────────────────────────┘
//!         │ floor passes it     │ Remove
//!         └─── tombstone ◀──────┘          Forget(g), from any state: everything of generation <= g is gone,
//!                                          and what comes late with such a generation is Superseded
//! ```
//! Versions are compared per subscription and per context, never per session on this shard: replicas of a slice on other
//! shards see the same operations of the slice, but not the same operations of the session, and must come to the same state.
//!
//! Invariants: a row is in an index exactly if it is not paused and its session has not ended, in the one that publications probe if
//! its slice is judged here;
//! `Forget` takes effect at once, and the rows it dooms are removed in steps.

mod copies;
mod doomed;
mod expiring;
mod giving_up;
mod hits;
mod judging;
mod limits;
mod reads;
mod rows;
mod sessions;
mod survey;
mod weights;

use std::collections::BTreeSet;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::operation::{Change, Existing, Operation, Outcome, Subscription, Version};
use gomera_cluster::position::Vector;
use gomera_cluster::table::Seeded;
use gomera_cluster::time::Instant;
use gomera_model::attributes::Attributes;
use gomera_model::timestamp::Timestamp;

use crate::config::Config;
use crate::index::{Holdings, RowId};
pub use copies::Measure;
use doomed::Doomed;
pub use expiring::Expired;
use giving_up::GivenUp;
pub use hits::Hits;
pub use limits::Limits;
use rows::{Row, Rows};
use sessions::{SessionId, Sessions};
use survey::{Survey, Surveyed};
use weights::{Weight, Weights};

/// All of it.
#[derive(Debug)]
pub struct Subscriptions {
    config: Config,
    rows: Rows,
    sessions: Sessions,
    index: Holdings,
    /// Slices that are held no more, and how far their rows have been removed.
    given_up: Option<GivenUp>,
    weights: Weights,
    survey: Survey,
    expiries: BTreeSet<(Timestamp, RowId)>,
    doomed: Doomed,
    satisfied: Vec<Vec<RowId>>,
}

impl Subscriptions {
    /// None yet.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            rows: Rows::new(config.hash_seed),
            sessions: Sessions::new(config),
            index: Holdings::new(config.hash_seed),
            given_up: None,
            weights: Weights::new(config),
            survey: Survey::default(),
            expiries: BTreeSet::new(),
            doomed: Doomed::default(),
            satisfied: Vec::new(),
        }
    }

    /// How many subscriptions, those of ended sessions included as long as they are not removed.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes that all subscriptions count against the limits.
    pub fn bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Counts on what all rows take and cost together; tells it whenever that is done.
    pub fn survey(&mut self) -> Option<Surveyed> {
        self.survey.step(&self.index, &self.weights)
    }

    /// How many sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The context of a session.
    pub fn context(&self, session: SessionKey) -> Option<&Attributes> {
        self.sessions.find(session).and_then(|id| self.sessions.get(id).context())
    }

    /// Whether a session is known to have ended, up to this generation or a later one.
    pub fn has_ended(&self, session: SessionKey, generation: Generation) -> bool {
        self.sessions.find(session).is_some_and(|id| self.sessions.get(id).has_forgotten(generation))
    }

    /// How many tombstones.
    pub fn tombstones(&self) -> usize {
        self.sessions.tombstones()
    }

    /// How many subscriptions of ended sessions wait to be removed.
    pub fn doomed(&self) -> usize {
        self.doomed.rows()
    }

    /// Filters that the last [`Subscriptions::judge`] evaluated.
    pub fn evaluated(&self) -> usize {
        self.index.evaluated()
    }

    /// Applies an operation on one subscription.
    pub fn apply_to_slice(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        limits: Limits,
        in_force_after: impl FnOnce() -> Vector,
    ) -> Outcome {
        let applied = match &operation.change {
            Change::Get(key) => return self.describe_one(operation, *key),
            Change::Put(subscription, existing) => self.put(operation, slice, subscription, *existing, limits),
            Change::Remove(key) => self.remove(operation, slice, *key, limits),
            Change::SetPaused(key, paused) => self.set_paused(operation, slice, *key, *paused, limits),
            Change::Expire(key) => self.expire(operation, slice, *key, limits),
            Change::Restore(key, before) => self.restore(operation, *key, before.as_deref()),
            Change::List { .. } | Change::SetContext(_) | Change::Forget => {
                unreachable!("an operation on no single subscription has no slice")
            }
        };
        match applied {
            Ok(handle) => Outcome::Applied { handle: Some(handle), in_force_after: in_force_after() },
            Err(outcome) => outcome,
        }
    }

    /// Applies an operation that goes to every matcher.
    pub fn apply_to_all(
        &mut self,
        now: Instant,
        operation: &Operation,
        judged: &SliceSet,
        in_force_after: impl FnOnce() -> Vector,
    ) -> Outcome {
        let applied = match &operation.change {
            Change::List { after, limit } => return self.list(operation, judged, *after, *limit),
            Change::SetContext(context) => self.sessions.set_context(operation, context),
            Change::Forget => {
                self.forget(now, operation);
                Ok(())
            }
            Change::Put(..)
            | Change::Remove(_)
            | Change::SetPaused(..)
            | Change::Get(_)
            | Change::Expire(_)
            | Change::Restore(..) => {
                unreachable!("an operation on one subscription has a slice")
            }
        };
        match applied {
            Ok(()) => Outcome::Applied { handle: None, in_force_after: in_force_after() },
            Err(outcome) => outcome,
        }
    }

    /// From now on publications are judged by no others than these of so many slices, and some are held no more.
    pub fn judge_by(&mut self, judged: SliceSet, given_up: SliceSet, slices: u16) {
        self.index.judge_by(judged, slices);
        let is_held = given_up.is_empty() || self.rows.len() == 0;
        self.given_up = if is_held { None } else { Some(GivenUp { slices: given_up, next: RowId(0) }) };
    }

    /// Does a part of what waits: subscriptions of ended sessions and of slices that are held no more are removed, rows move to
    /// where publications look for them, bad choices of the index are corrected.
    pub fn settle(&mut self) {
        /// Rows that move or choose again in one step: up to 8 us each, if they are found by many keys.
        const STEP: usize = 32;
        self.remove_doomed();
        self.remove_given_up();
        if self.index.is_unsettled() {
            let Self { index, rows, sessions, .. } = self;
            index.step(STEP, |id| {
                let row = rows.get(id);
                (&sessions.get(row.session).tenant, &row.filter)
            });
        }
    }

    /// Whether [`Subscriptions::settle`] has something to do.
    pub fn is_unsettled(&self) -> bool {
        self.has_doomed() || self.given_up.is_some() || self.index.is_unsettled()
    }

    /// When [`Subscriptions::forget_sessions`] has something to do.
    pub fn next_forgetting(&self) -> Option<Instant> {
        self.sessions.next_forgetting()
    }

    /// Drops the traces of sessions that ended long enough ago, some of them.
    pub fn forget_sessions(&mut self, now: Instant) {
        self.sessions.drop_forgotten(now);
    }

    fn put(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        subscription: &Subscription,
        existing: Existing,
        limits: Limits,
    ) -> Result<Handle, Outcome> {
        let key = subscription.key;
        let session = self.sessions.admit(operation, slice, key, limits)?;
        let weight = Weight::of(&subscription.id, &subscription.filter, Seeded::new(self.config.hash_seed));
        if let Some(id) = self.find(key) {
            self.check_version(id, operation.version)?;
            let before = &self.rows.get(id).weight;
            if limits == Limits::Held {
                self.weights.check(&operation.tenant, before, &weight).map_err(Outcome::LimitExceeded)?;
            }
            self.weights.take(&operation.tenant, before);
            self.weights.add(&operation.tenant, &weight);
            let row = self.rows.get_mut(id);
            row.weight = weight;
            row.options = subscription.options.clone();
            row.version = operation.version;
            row.put = operation.version;
            row.filter = subscription.filter.clone();
            let handle = row.handle;
            self.sessions.note_put(session, operation.version.generation);
            self.note_expiry(id);
            self.index_again(id, &operation.tenant);
            return Ok(handle);
        }
        match existing {
            Existing::Any => {}
            Existing::Required => return Err(Outcome::NotFound),
        }
        if limits == Limits::Held {
            self.check_limits(&operation.tenant, session, &weight)?;
        }
        self.weights.add(&operation.tenant, &weight);
        let id = self.rows.insert(Row {
            key,
            session,
            version: operation.version,
            put: operation.version,
            handle: subscription.handle,
            id: subscription.id.clone(),
            slice,
            filter: subscription.filter.clone(),
            options: subscription.options.clone(),
            weight,
            due: None,
            removing: None,
        });
        self.sessions.insert_row(session, subscription.handle, key, id);
        self.sessions.note_put(session, operation.version.generation);
        self.sessions.bury_tombstone(key);
        self.note_expiry(id);
        self.index_again(id, &operation.tenant);
        Ok(subscription.handle)
    }

    fn remove(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        key: SubscriptionKey,
        limits: Limits,
    ) -> Result<Handle, Outcome> {
        let session = self.sessions.admit(operation, slice, key, limits).map_err(unless_limited)?;
        let found = self.find(key);
        let removed = match found {
            None => None,
            Some(id) => {
                self.check_version(id, operation.version)?;
                let handle = self.rows.get(id).handle;
                self.remove_row(id);
                Some(handle)
            }
        };
        self.sessions.leave_tombstone(session, operation.version, slice, key);
        removed.ok_or(Outcome::NotFound)
    }

    fn set_paused(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        key: SubscriptionKey,
        paused: bool,
        limits: Limits,
    ) -> Result<Handle, Outcome> {
        self.sessions.admit(operation, slice, key, limits).map_err(unless_limited)?;
        let id = self.find(key).ok_or(Outcome::NotFound)?;
        self.check_version(id, operation.version)?;
        let row = self.rows.get_mut(id);
        row.version = operation.version;
        let handle = row.handle;
        if row.options.paused != paused {
            row.options.paused = paused;
            self.index_again(id, &operation.tenant);
        }
        Ok(handle)
    }

    fn forget(&mut self, now: Instant, operation: &Operation) {
        self.sessions.forget(now, operation).into_iter().for_each(|ending| self.doomed.push(ending));
    }

    /// The row of a subscription; one of an ended session is removed here and now instead.
    fn find(&mut self, key: SubscriptionKey) -> Option<RowId> {
        let id = self.rows.find(key)?;
        if self.is_doomed(id) {
            self.remove_row(id);
            return None;
        }
        Some(id)
    }

    fn is_doomed(&self, id: RowId) -> bool {
        let row = self.rows.get(id);
        self.sessions.get(row.session).has_forgotten(row.put.generation)
    }

    fn check_version(&self, id: RowId, version: Version) -> Result<(), Outcome> {
        if self.rows.get(id).version > version { Err(Outcome::Superseded) } else { Ok(()) }
    }

    fn index_again(&mut self, id: RowId, tenant: &Tenant) {
        self.survey.changes += 1;
        self.index.remove(id, tenant);
        let row = self.rows.get(id);
        if !row.options.paused {
            self.index.insert(id, tenant, row.slice, &row.filter);
        }
    }

    fn remove_row(&mut self, id: RowId) {
        self.survey.changes += 1;
        let row = self.rows.remove(id);
        let tenant = self.sessions.get(row.session).tenant.clone();
        self.index.remove(id, &tenant);
        self.forget_expiry(id, row.due);
        self.sessions.remove_row(row.session, row.handle, row.key);
        self.weights.take(&tenant, &row.weight);
    }
}

/// With the table of sessions full, what a session unknown here asks of a subscription finds none.
fn unless_limited(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::LimitExceeded(_) => Outcome::NotFound,
        Outcome::Applied { .. } | Outcome::NotFound | Outcome::Superseded | Outcome::Unanswered | Outcome::Found(_) => {
            outcome
        }
    }
}

#[cfg(test)]
mod tests;
