//! What an access-point shard is told: by connection points (publishers, publications, operations), by matchers (progress,
//! credit) and by exit points (merged positions, sessions to forget).

use std::sync::Arc;

use super::snapshot::SubscriptionState;
use crate::credit::{Class, Total};
use crate::identity::{
    ConnectionId, Generation, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant,
};
use crate::operation::{Operation, Outcome, Version};
use crate::position::{LaneId, Number};
use crate::publication::Envelope;

/// To an access-point shard.
#[derive(Clone, Debug)]
pub enum ToAccessPoint {
    /// From a connection point: a publisher instance begins or resumes publishing on a lane.
    OpenPublisher(OpenPublisher),
    /// From a connection point: publications for a lane, in the order of each publisher.
    Publish(Publish),
    /// From a connection point: operations of sessions that belong to a lane.
    Operate(Operate),
    /// From a matcher: how far it has applied and judged a lane.
    Progress(Progress),
    /// From a matcher: it may be sent this much on a lane.
    EntriesCredit(EntriesCredit),
    /// From an exit point: how far all its sessions have merged a lane.
    Merged(Merged),
    /// From a connection point: nothing more comes from it on a lane that drains.
    LeaveLane(LeaveLane),
    /// From a connection point: a session has a newer attachment, on this lane or another one. Answered by
    /// [`super::connection_point::SessionSettled`].
    SettleSession(SettleSession),
    /// From an active exit point: a session ended; sequence a `Forget` for it.
    Forget(Forget),
    /// From an active matcher: a subscription expired; sequence its removal.
    Expire(Expire),
}

/// A publisher instance asks for a generation on a lane.
#[derive(Clone, Debug)]
pub struct OpenPublisher {
    /// The lane it belongs to.
    pub lane: LaneId,
    /// The publisher.
    pub publisher: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// The client connection, echoed in the answer.
    pub connection: ConnectionId,
    /// What it is asked for.
    pub purpose: Purpose,
}

/// Why a publisher instance is opened on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It goes on here: the lane knows it from now on.
    Publish,
    /// A layout has given it another lane, perhaps while it was not connected: if this one knows it, its older attachment is over, and the
    /// answer says what is outstanding; else the answer has generation 0.
    Settle,
}

/// A publication as a connection point hands it in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The publication.
    pub envelope: Arc<Envelope>,
    /// The publisher's generation on this lane; lower ones than the highest known are ignored.
    pub generation: Generation,
    /// Whether it may have been handed in before.
    pub resent: bool,
}

/// Publications for one lane.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The lane.
    pub lane: LaneId,
    /// In order, per publisher of increasing sequence.
    pub submissions: Vec<Submission>,
    /// Publisher instances whose clients have seen their acknowledgements this far: what is kept to answer repeats can go.
    pub acknowledged_through: Vec<(PublisherKey, Instance, Sequence)>,
}

impl Publish {
    /// What it counts in credit of class [`Class::Live`] from a connection point to a lane.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.submissions.iter().map(|submission| submission.envelope.cost()).sum()
    }
}

/// Operations for one lane. Credit of class [`Class::Operation`].
#[derive(Clone, Debug)]
pub struct Operate {
    /// The lane: that of the session by rendezvous.
    pub lane: LaneId,
    /// In order, per session of increasing version.
    pub operations: Vec<Arc<Operation>>,
}

impl Operate {
    /// What it counts in credit of class [`Class::Operation`] from a connection point to a lane.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.operations.iter().map(|operation| operation.cost()).sum()
    }
}

/// How far a matcher shard has come on a lane. Cumulative: the latest says all. Needs no credit.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The lane.
    pub lane: LaneId,
    /// Every operation up to here is applied (or buffered by a joining replica).
    pub through: Number,
    /// What came of operations whose slice this shard is active for, or that went to all, in order of number.
    pub outcomes: Vec<(Number, Outcome)>,
    /// Of those that had no room here, what there was before, in order of number: other replicas put them, and have to take them back.
    pub refused: Vec<(Number, Option<Box<SubscriptionState>>)>,
}

impl Progress {
    /// About how much it takes to tell, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let before = self.refused.iter().filter_map(|(_, before)| before.as_ref()).map(|before| before.cost());
        self.outcomes.iter().map(|(_, outcome)| outcome.bytes()).sum::<u64>() + before.sum::<u64>()
    }
}

/// What a matcher shard lets be sent on a lane in a class, since the link began.
#[derive(Clone, Copy, Debug)]
pub struct EntriesCredit {
    /// The lane.
    pub lane: LaneId,
    /// The class.
    pub class: Class,
    /// The total.
    pub total: Total,
}

/// Nothing more comes from this connection point on a lane: its publishers and sessions have moved off, and everything that they
/// sent there is answered. Said once, of a lane that drains.
#[derive(Clone, Copy, Debug)]
pub struct LeaveLane {
    /// The lane.
    pub lane: LaneId,
}

/// A session is attached anew: nothing of its older attachments is taken on this lane any more, and what is under way is waited for.
#[derive(Clone, Copy, Debug)]
pub struct SettleSession {
    /// The lane that is asked.
    pub lane: LaneId,
    /// The session.
    pub session: SessionKey,
    /// The newer attachment.
    pub generation: Generation,
}

/// How far an exit-point shard has merged a lane. Cumulative. Needs no credit.
#[derive(Clone, Copy, Debug)]
pub struct Merged {
    /// The lane.
    pub lane: LaneId,
    /// Every position up to here is in outboxes.
    pub through: Number,
}

/// A session is to be forgotten by all matchers: everything up to and including this generation. Answered by
/// [`super::exit_point::Forgotten`].
#[derive(Clone, Debug)]
pub struct Forget {
    /// The lane: that of the session by rendezvous.
    pub lane: LaneId,
    /// Whose it was.
    pub tenant: Tenant,
    /// The session.
    pub session: SessionKey,
    /// Its last generation.
    pub generation: Generation,
}

/// A subscription expired some time ago by the clock of the active replica of its slice. It is removed where the lane says so, by
/// all replicas, unless a later operation has changed it. Repeats are harmless.
#[derive(Clone, Debug)]
pub struct Expire {
    /// The lane: that of the session by rendezvous.
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
