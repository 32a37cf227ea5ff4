//! What one replica has of some slices, as a list that another one can take in, whatever that has of them already: versions say what
//! is newer.

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Handle, SubscriptionKey};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::message::snapshot::{SessionState, Sessions, SubscriptionState};
use gomera_cluster::operation::{Change, Operation, Outcome, Subscription, Version};
use gomera_cluster::table::Seeded;
use gomera_cluster::time::Instant;

use super::rows::Row;
use super::weights::Weight;
use super::{Limits, Subscriptions};
use crate::index::RowId;

/// How far a list may go.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Sessions or subscriptions.
    pub things: usize,
    /// Their bytes, as parts count them; the last one may exceed it.
    pub bytes: u64,
}

impl Subscriptions {
    /// Lists sessions from a place on; the place to go on from, or nothing at the end.
    pub fn list_sessions(
        &self,
        from: u32,
        slices: &SliceSet,
        with: Sessions,
        measure: Measure,
        into: &mut Vec<SessionState>,
    ) -> Option<u32> {
        /// Places looked at in one step.
        const PLACES: u32 = 4096;
        let mut bytes = 0;
        for place in from..from.saturating_add(PLACES) {
            if into.len() >= measure.things || bytes >= measure.bytes {
                return Some(place);
            }
            if let Some(state) = self.sessions.state(place, slices, with)? {
                bytes += state.cost();
                into.push(state);
            }
        }
        Some(from.saturating_add(PLACES))
    }

    /// Lists subscriptions from a place on, but for those of ended sessions; the place to go on from, or nothing at the end.
    pub fn list_rows(
        &self,
        from: RowId,
        slices: &SliceSet,
        measure: Measure,
        into: &mut Vec<SubscriptionState>,
    ) -> Option<RowId> {
        /// Places looked at in one step: two bytes each.
        const PLACES: usize = 65_536;
        let (mut next, mut bytes) = (from, 0);
        let end = from.index().saturating_add(PLACES);
        while into.len() < measure.things && bytes < measure.bytes && next.index() < end {
            match self.rows.next_of(next, slices, end - next.index())? {
                Err(place) => next = place,
                Ok(id) => {
                    next = RowId(id.0 + 1);
                    if !self.is_doomed(id) {
                        let state = self.copy(id);
                        bytes += state.cost();
                        into.push(state);
                    }
                }
            }
        }
        Some(next)
    }

    /// Everything of a slice, in order of key: what replicas of it must agree on.
    pub fn copies(&self, slice: MatcherSlice) -> Vec<SubscriptionState> {
        let (slices, mut all) = (std::iter::once(slice).collect::<SliceSet>(), Vec::new());
        let mut next = Some(RowId(0));
        while let Some(from) = next {
            next = self.list_rows(from, &slices, Measure { things: usize::MAX, bytes: u64::MAX }, &mut all);
        }
        all.sort_by_key(|state| state.subscription.key);
        all
    }

    fn copy(&self, id: RowId) -> SubscriptionState {
        let row = self.rows.get(id);
        let session = self.sessions.get(row.session);
        SubscriptionState {
            tenant: session.tenant.clone(),
            session: session.key,
            slice: row.slice,
            version: row.version,
            put: row.put,
            subscription: Subscription {
                key: row.key,
                id: row.id.clone(),
                handle: row.handle,
                filter: row.filter.clone(),
                options: row.options.clone(),
            },
        }
    }

    /// What there is of a subscription.
    pub fn state(&mut self, key: SubscriptionKey) -> Option<SubscriptionState> {
        self.find(key).map(|id| self.copy(id))
    }

    /// A put had no room where it counts: if it was the last one here, what was there before comes back.
    pub(super) fn restore(
        &mut self,
        operation: &Operation,
        key: SubscriptionKey,
        before: Option<&SubscriptionState>,
    ) -> Result<Handle, Outcome> {
        let Some(id) = self.find(key) else {
            let before = before.ok_or(Outcome::NotFound)?;
            // Unless it was removed since.
            self.sessions.admit(operation, before.slice, key, Limits::Waived)?;
            self.take_rows(vec![before.clone()]);
            return Ok(before.subscription.handle);
        };
        let row = self.rows.get(id);
        if row.put != operation.version {
            return Err(Outcome::Superseded);
        }
        let (handle, is_last, paused, version) =
            (row.handle, row.version == operation.version, row.options.paused, row.version);
        self.remove_row(id);
        if let Some(before) = before {
            let mut before = before.clone();
            if !is_last {
                // Paused or resumed since.
                before.subscription.options.paused = paused;
                before.version = version;
            }
            self.take_rows(vec![before]);
        }
        Ok(handle)
    }

    /// Takes sessions in.
    pub fn take_sessions(&mut self, now: Instant, states: &[SessionState]) {
        for state in states {
            let session = self.sessions.take(state);
            if let Some(generation) = state.forgotten.filter(|&end| !self.sessions.get(session).has_forgotten(end)) {
                let version = Version { generation, counter: u64::MAX };
                let (tenant, session) = (state.tenant.clone(), state.session);
                self.forget(now, &Operation { tenant, session, version, low: version, change: Change::Forget });
            } else {
                self.sessions.drop_if_over(session);
            }
        }
    }

    /// Takes subscriptions in: what is newer than what is here, and was not removed or ended since.
    pub fn take_rows(&mut self, states: Vec<SubscriptionState>) {
        let mut added = Vec::new();
        for state in states {
            let SubscriptionState { tenant, session, slice, version, put, subscription } = state;
            let key = subscription.key;
            let none =
                SessionState { tenant: tenant.clone(), session, context: None, forgotten: None, settled: Vec::new() };
            let session = self.sessions.take(&none);
            let is_over =
                self.sessions.get(session).has_forgotten(put.generation) || self.sessions.is_buried(key, version);
            if is_over {
                // It may have been made for this alone.
                self.sessions.drop_if_over(session);
                continue;
            }
            let weight = Weight::of(&subscription.id, &subscription.filter, Seeded::new(self.config.hash_seed));
            if let Some(id) = self.find(key) {
                if self.rows.get(id).version >= version {
                    continue;
                }
                self.remove_row(id);
            }
            self.weights.add(&tenant, &weight);
            let Subscription { key, id, handle, filter, options } = subscription;
            let (due, removing) = (None, None);
            let row = Row { key, session, version, put, handle, id, slice, filter, options, weight, due, removing };
            let paused = row.options.paused;
            let id = self.rows.insert(row);
            self.survey.changes += 1;
            self.sessions.insert_row(session, handle, key, id);
            self.sessions.note_put(session, put.generation);
            self.note_expiry(id);
            if !paused {
                added.push((tenant, slice, id));
            }
        }
        added.sort_unstable();
        for together in added.chunk_by(|left, right| (&left.0, left.1) == (&right.0, right.1)) {
            let (tenant, slice, _) = &together[0];
            self.index.load(tenant, *slice, together.iter().map(|&(_, _, id)| (id, &self.rows.get(id).filter)));
        }
    }
}
