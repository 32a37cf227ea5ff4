//! Operations: what changes or reads subscriptions. They stand in lanes between publications, so that each publication is
//! judged by exactly one state of each subscription.

use std::sync::Arc;

use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;
use gomera_model::timestamp::Timestamp;

use crate::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use crate::message::snapshot::SubscriptionState;
use crate::position::{Number, Vector};

/// Orders the operations of a session: the attachment that issued it, then its number there, from 1. Applying in another
/// order or twice is harmless because a lower version never replaces a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The attachment.
    pub generation: Generation,
    /// The operation's number in it.
    pub counter: u64,
}

/// Options of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Not matched, and nothing kept for it.
    pub paused: bool,
    /// Publications accepted at or after this moment do not match; the entry is removed some time later.
    pub expires_at: Option<Timestamp>,
}

/// A subscription as it is sent to matchers.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Its key; decides its slice.
    pub key: SubscriptionKey,
    /// The id the client gave.
    pub id: Arc<str>,
    /// The handle proposed for it; an existing subscription keeps the one it has.
    pub handle: Handle,
    /// Its filter.
    pub filter: Filter,
    /// Its options.
    pub options: SubscriptionOptions,
}

/// What has to exist for a [`Change::Put`] to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Creates or, if the id exists, replaces (what clients that re-declare need).
    Any,
    /// Replaces only; unknown ids are [`Outcome::NotFound`].
    Required,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub enum Change {
    /// Create or replace, atomically. To the replicas of the subscription's slice.
    Put(Subscription, Existing),
    /// Remove. To the replicas of the subscription's slice.
    Remove(SubscriptionKey),
    /// Pause or resume without sending the filter again. To the replicas of the subscription's slice.
    SetPaused(SubscriptionKey, bool),
    /// Read one subscription. To the replicas of its slice.
    Get(SubscriptionKey),
    /// Read subscriptions of the session in order of handle. To all matchers.
    List {
        /// Only handles above this one; `None` from the start.
        after: Option<Handle>,
        /// At most so many, 1 to 1000.
        limit: u16,
    },
    /// Replace the session's context. To all matchers.
    SetContext(Arc<Attributes>),
    /// Forget all subscriptions and the context that were made by this session up to and including the generation of the
    /// version. To all matchers. Sent by the active exit point, not by a client.
    Forget,
    /// Remove a subscription that has expired, if it is still as the version of this operation left it. To the replicas of its slice.
    /// Sent by the active one of them, not by a client.
    Expire(SubscriptionKey),
    /// A put of this version had no room where it counts: a replica that applied it has what was there before. To the replicas of its
    /// slice. Sent by an access point, not by a client.
    Restore(SubscriptionKey, Option<Box<SubscriptionState>>),
}

impl Change {
    /// The one subscription it concerns, or `None` if it goes to every matcher.
    #[must_use]
    pub fn subscription(&self) -> Option<SubscriptionKey> {
        match self {
            Self::Put(subscription, _) => Some(subscription.key),
            Self::Remove(key)
            | Self::SetPaused(key, _)
            | Self::Get(key)
            | Self::Expire(key)
            | Self::Restore(key, _) => Some(*key),
            Self::List { .. } | Self::SetContext(_) | Self::Forget => None,
        }
    }
}

/// An operation of a session.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Whose it is.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionKey,
    /// When it was issued, relative to the others of the session.
    pub version: Version,
    /// Every version of the session below this one is acknowledged: tombstones below it can go.
    pub low: Version,
    /// What it does.
    pub change: Change,
}

impl Operation {
    /// What it counts in credit, in bytes: what it takes itself and, for reads, what they may bring.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// A description with a filter of ordinary length.
        const DESCRIPTION_BYTES: u64 = 256;
        self.own_bytes()
            + match &self.change {
                Change::Get(_) => DESCRIPTION_BYTES,
                Change::List { after: _, limit } => u64::from(*limit) * DESCRIPTION_BYTES,
                Change::Put(..)
                | Change::SetContext(_)
                | Change::Remove(_)
                | Change::SetPaused(..)
                | Change::Forget
                | Change::Expire(_)
                | Change::Restore(..) => 0,
            }
    }

    /// What it takes to keep it, in bytes.
    #[must_use]
    pub fn own_bytes(&self) -> u64 {
        /// An operation without a filter: ids, version, table entries.
        const FIXED_BYTES: u64 = 256;
        match &self.change {
            Change::Put(subscription, _) => {
                FIXED_BYTES + u64::try_from(subscription.filter.bytes()).unwrap_or(u64::MAX / 2)
            }
            Change::Restore(_, before) => FIXED_BYTES + before.as_ref().map_or(0, |before| before.cost()),
            Change::SetContext(context) => FIXED_BYTES + u64::try_from(context.bytes()).unwrap_or(u64::MAX / 2),
            Change::Remove(_)
            | Change::SetPaused(..)
            | Change::Get(_)
            | Change::List { .. }
            | Change::Forget
            | Change::Expire(_) => FIXED_BYTES,
        }
    }
}

/// A subscription as it is read back.
#[derive(Clone, Debug)]
pub struct Description {
    /// The id the client gave.
    pub id: Arc<str>,
    /// What stands for it in notifications.
    pub handle: Handle,
    /// Its filter.
    pub filter: Filter,
    /// Its options.
    pub options: SubscriptionOptions,
}

/// What a limit of a matcher counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limited {
    /// Subscriptions of the session, of the tenant or of the matcher, or sessions.
    Subscriptions,
    /// Nanoseconds that the filters of the tenant may cost a publication at worst.
    Cost,
    /// Bytes of the subscriptions of the tenant.
    TenantBytes,
    /// Bytes of all subscriptions of the matcher.
    Bytes,
}

/// How a limit is exceeded: `used + asked > limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What is counted, and in what unit.
    pub limited: Limited,
    /// The limit.
    pub limit: u64,
    /// What is in use without this operation.
    pub used: u64,
    /// What the operation would add.
    pub asked: u64,
}

/// Of a lane of which an answer does not say from where on its operation surely decides: sure is only that it does in what is published
/// after the answer.
pub const UNSAID: Number = Number(u64::MAX);

/// What came of an operation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// In force.
    Applied {
        /// The handle of the subscription put or removed; `None` for others.
        handle: Option<Handle>,
        /// Per lane, the last position that the matchers had judged before: from the next one on surely the new state
        /// decides. [`UNSAID`] where lanes are judged by layouts that others do not follow any more.
        in_force_after: Vector,
    },
    /// No subscription has this id.
    NotFound,
    /// A limit of a matcher stands against it; nothing changed.
    LimitExceeded(Excess),
    /// A version that a later one has overtaken; nothing changed.
    Superseded,
    /// Not known: who could have said it is gone. A read changed nothing; asked anew at a later place it could see what was asked for
    /// behind it. Anything else was applied anew, and found that it, or a later one, had been applied already.
    Unanswered,
    /// The answer to [`Change::Get`] and [`Change::List`], in order of handle.
    Found(Vec<Description>),
}

impl Outcome {
    /// About how much it takes to tell, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        /// A version, a position, a vector of a few lanes.
        const FIXED_BYTES: usize = 64;
        let found = match self {
            Self::Found(all) => {
                all.iter().map(|description| FIXED_BYTES + description.id.len() + description.filter.bytes()).sum()
            }
            Self::Applied { .. } | Self::NotFound | Self::LimitExceeded(_) | Self::Superseded | Self::Unanswered => 0,
        };
        u64::try_from(FIXED_BYTES + found).unwrap_or(u64::MAX)
    }
}
