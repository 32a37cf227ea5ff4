//! How a matcher shard that joins slices gets what another one has of them: it asks, is sent parts as far as it grants credit, and
//! puts what operations it got meanwhile on top. Everything in it carries versions, so parts of two sources, and operations that are in
//! a part already, come to the same.

use std::sync::Arc;

use gomera_model::attributes::Attributes;

use crate::coverage::SliceSet;
use crate::credit::Total;
use crate::identity::{Generation, SessionKey, SubscriptionKey, Tenant};
use crate::layout::MatcherSlice;
use crate::operation::{Subscription, Version};
use crate::position::Vector;

/// Which snapshot; given by who asks, rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// Whether who joins has contexts and ends of sessions already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Not all of them: they have to be sent.
    Wanted,
    /// It has got everything that goes to all matchers since it had a first snapshot.
    Known,
}

/// A matcher shard joins slices. Supersedes what it asked for before.
#[derive(Clone, Debug)]
pub struct SnapshotWanted {
    /// What is asked for.
    pub transfer: TransferId,
    /// The slices.
    pub slices: Arc<SliceSet>,
    /// Per lane, where it began to get operations itself: the snapshot must contain everything up to there. Lanes that have ended
    /// need not be waited for.
    pub after: Vector,
    /// Whether contexts and ends of sessions are asked for too.
    pub sessions: Sessions,
    /// What may be sent at first (as [`SnapshotCredit::total`]).
    pub credit: Total,
}

/// More may be sent.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotCredit {
    /// Of what.
    pub transfer: TransferId,
    /// How much in all, in cost of parts.
    pub total: Total,
}

/// A part of a snapshot. Sessions come before subscriptions.
#[derive(Clone, Debug)]
pub struct SnapshotPart {
    /// Of what.
    pub transfer: TransferId,
    /// Sessions.
    pub sessions: Vec<SessionState>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionState>,
    /// Whether it is the last one.
    pub extent: Extent,
}

/// Whether something follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Further parts.
    More,
    /// Nothing.
    Last,
}

/// What is known of a session beside its subscriptions.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// Whose it is.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionKey,
    /// Its context, with the operation that set it.
    pub context: Option<(Version, Arc<Attributes>)>,
    /// Everything of this generation and below is gone.
    pub forgotten: Option<Generation>,
    /// What refuses late operations, by slice.
    pub settled: Vec<SettledState>,
}

/// What refuses late operations of a session on a slice.
#[derive(Clone, Debug)]
pub struct SettledState {
    /// The slice.
    pub slice: MatcherSlice,
    /// Lower versions are refused.
    pub floor: Version,
    /// Removed subscriptions, with the operations that removed them.
    pub tombstones: Vec<(Version, SubscriptionKey)>,
}

/// A subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionState {
    /// Whose it is.
    pub tenant: Tenant,
    /// Of which session.
    pub session: SessionKey,
    /// Its slice.
    pub slice: MatcherSlice,
    /// The operation that last changed it.
    pub version: Version,
    /// The operation that last put it.
    pub put: Version,
    /// What it is.
    pub subscription: Subscription,
}

impl SnapshotPart {
    /// What it counts in credit; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        let sessions = self.sessions.iter().map(SessionState::cost).sum::<u64>();
        let subscriptions = self.subscriptions.iter().map(SubscriptionState::cost).sum::<u64>();
        (sessions + subscriptions).max(1)
    }
}

impl SessionState {
    /// What it counts in credit.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// Keys and versions.
        const FIXED_BYTES: usize = 96;
        const TOMBSTONE_BYTES: usize = 32;
        let context = self.context.as_ref().map_or(0, |(_, context)| context.bytes());
        let settled = self.settled.iter().map(|settled| 32 + TOMBSTONE_BYTES * settled.tombstones.len()).sum::<usize>();
        u64::try_from(FIXED_BYTES + context + settled).unwrap_or(u64::MAX)
    }
}

impl SubscriptionState {
    /// What it counts in credit.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// Keys, versions, options.
        const FIXED_BYTES: usize = 128;
        u64::try_from(FIXED_BYTES + self.subscription.id.len() + self.subscription.filter.bytes()).unwrap_or(u64::MAX)
    }
}
