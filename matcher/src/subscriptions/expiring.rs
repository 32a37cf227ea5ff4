//! Subscriptions that expire. They stop to match at their expiry, by the times that publications carry. Some time later they are
//! removed: the active replica of their slice has the removal sequenced in the lane of their session, and every replica removes them
//! where it stands. So no clock decides what an operation finds, and replicas agree.

use std::time::Duration;

use gomera_cluster::identity::{Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::operation::{Operation, Outcome, Version};
use gomera_cluster::position::LaneId;
use gomera_model::timestamp::Timestamp;

use super::{Limits, Subscriptions, unless_limited};
use crate::index::RowId;

/// A subscription whose removal is to be sequenced.
#[derive(Clone, Debug)]
pub struct Expired {
    /// In this lane.
    pub lane: LaneId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Of which session.
    pub session: SessionKey,
    /// The subscription.
    pub subscription: SubscriptionKey,
    /// The operation that last changed it.
    pub version: Version,
}

impl Subscriptions {
    /// Some of the subscriptions that have to be removed by now and were not asked for in their lane: of these slices, each with the
    /// lane of its session.
    pub fn expired(
        &mut self,
        wall: Timestamp,
        is_ours: impl Fn(MatcherSlice) -> bool,
        lane_of: impl Fn(SessionKey) -> Option<LaneId>,
    ) -> Vec<Expired> {
        /// Rows in one step: some tens of microseconds.
        const STEP: usize = 256;
        /// Until somebody else may have to see to it, or in another lane.
        const AGAIN_AFTER: Duration = Duration::from_secs(10);
        let mut expired = Vec::new();
        for _ in 0..STEP {
            let Some(&(at, id)) = self.expiries.first().filter(|&&(at, _)| at <= wall) else { break };
            self.expiries.remove(&(at, id));
            let due = later(wall, AGAIN_AFTER);
            self.expiries.insert((due, id));
            let is_doomed = self.is_doomed(id);
            let row = self.rows.get_mut(id);
            row.due = Some(due);
            let session = self.sessions.get(row.session);
            let Some(lane) = lane_of(session.key).filter(|_| is_ours(row.slice) && !is_doomed) else { continue };
            if row.removing.replace(lane) != Some(lane) {
                let (tenant, session) = (session.tenant.clone(), session.key);
                expired.push(Expired { lane, tenant, session, subscription: row.key, version: row.version });
            }
        }
        expired
    }

    /// When [`Subscriptions::expired`] has something to do.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|&(at, _)| at)
    }

    /// Removes a subscription that has expired, unless it was changed since. Where the put comes late, on another lane, it is refused.
    pub(super) fn expire(
        &mut self,
        operation: &Operation,
        slice: MatcherSlice,
        key: SubscriptionKey,
        limits: Limits,
    ) -> Result<Handle, Outcome> {
        let version = operation.version;
        let found = self.find(key);
        let session = match found {
            Some(id) if self.rows.get(id).version > version => return Err(Outcome::Superseded),
            Some(id) => self.rows.get(id).session,
            None => {
                self.sessions.find_or_create(&operation.tenant, operation.session, limits).map_err(unless_limited)?
            }
        };
        if self.sessions.get(session).has_forgotten(version.generation) {
            return Err(Outcome::Superseded);
        }
        let handle = found.map(|id| self.rows.get(id).handle);
        found.into_iter().for_each(|id| self.remove_row(id));
        if !self.sessions.is_buried(key, version) {
            let later = Version { counter: version.counter.saturating_add(1), ..version };
            self.sessions.leave_tombstone(session, later, slice, key);
        }
        handle.ok_or(Outcome::NotFound)
    }

    /// A row was put: its removal is due some time after its expiry.
    pub(super) fn note_expiry(&mut self, id: RowId) {
        let row = self.rows.get_mut(id);
        let before = std::mem::take(&mut row.due);
        row.removing = None;
        row.due = row.options.expires_at.map(|at| later(at, self.config.expiry_slack));
        if let Some(due) = row.due {
            self.expiries.insert((due, id));
        }
        if before != self.rows.get(id).due {
            self.forget_expiry(id, before);
        }
    }

    pub(super) fn forget_expiry(&mut self, id: RowId, due: Option<Timestamp>) {
        if let Some(due) = due {
            self.expiries.remove(&(due, id));
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    Timestamp(at.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}
