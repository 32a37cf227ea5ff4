//! What a connection point is told: answers to publishers and operations by access points, sessions and notifications by exit
//! points.

use std::sync::Arc;

use super::copies::AttachTerm;
use crate::credit::{Class, Total};
use crate::identity::{ConnectionId, Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, Term};
use crate::layout::SessionSlice;
use crate::operation::{Outcome, Version};
use crate::position::{LaneId, Number, Position, Vector};
use crate::publication::Envelope;

/// To a connection point.
#[derive(Clone, Debug)]
pub enum ToConnectionPoint {
    /// From an access point: a publisher may publish.
    PublisherOpened(PublisherOpened),
    /// From an access point: a newer attachment of the same publisher instance exists.
    PublisherSuperseded(PublisherSuperseded),
    /// From an access point: publications that every exit point has merged.
    Acknowledged(Acknowledged),
    /// From an access point: a publication that was not taken.
    Refused(Refused),
    /// From an access point: an operation is in force, or why not.
    Completed(Completed),
    /// From an access point: nothing of a session's older attachments is under way on a lane.
    SessionSettled(SessionSettled),
    /// From an access point: publications or operations for this much may be sent to a lane.
    LaneCredit(LaneCredit),
    /// From an exit point: the session is attached.
    Attached(Attached),
    /// From an exit point: it is not.
    AttachRefused(AttachRefused),
    /// From an exit point: notifications of any number of sessions.
    Notifications(Notifications),
    /// From an exit point: its reign over some session slices begins. Answered by [`super::copies::TermAttached`], slice by slice.
    AttachTerm(AttachTerm),
    /// From an exit point: an attachment is over.
    Ended(Ended),
}

/// A publisher instance is open on a lane.
#[derive(Clone, Copy, Debug)]
pub struct PublisherOpened {
    /// The lane.
    pub lane: LaneId,
    /// The publisher.
    pub publisher: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// The client connection that asked.
    pub connection: ConnectionId,
    /// To be put on its submissions; 0 if it was to be found and is not known.
    pub generation: Generation,
    /// The highest sequence the lane has taken from it, 0 for none.
    pub sequenced: Sequence,
    /// Everything up to here is acknowledged, 0 for none.
    pub acknowledged: Sequence,
}

/// A newer attachment of the publisher instance was opened; this one is answered no more.
#[derive(Clone, Copy, Debug)]
pub struct PublisherSuperseded {
    /// The lane.
    pub lane: LaneId,
    /// The publisher.
    pub publisher: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// The attachment that is over.
    pub generation: Generation,
}

/// Every operation that a lane has of older attachments of a session is worked off by all matchers it concerns.
#[derive(Clone, Copy, Debug)]
pub struct SessionSettled {
    /// The lane.
    pub lane: LaneId,
    /// The session.
    pub session: SessionKey,
    /// The attachment that asked.
    pub generation: Generation,
}

/// Publications that every exit point has merged: per publisher instance, all it sent on this lane up to a sequence.
/// Needs no credit.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The lane.
    pub lane: LaneId,
    /// In order of merging; a publisher instance stands in it once.
    pub through: Vec<AcknowledgedThrough>,
}

/// One publisher instance's acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct AcknowledgedThrough {
    /// The publisher.
    pub publisher: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// The highest generation it has on this lane.
    pub generation: Generation,
    /// Everything up to here.
    pub sequence: Sequence,
}

/// A publication that was not taken; it has no effect.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The lane.
    pub lane: LaneId,
    /// The publisher.
    pub publisher: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// The attachment it came with.
    pub generation: Generation,
    /// Which publication.
    pub sequence: Sequence,
    /// Why.
    pub reason: Refusal,
}

/// Why a publication was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The sequence was used for other content that is not settled yet.
    Reused,
    /// A flagged re-send that is too old to be known.
    OutOfRange,
    /// The table of publishers is full; its limit.
    Publishers(u64),
    /// The lane does not take publications (draining, ended, not here), or not of this attachment any more.
    Lane,
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The session.
    pub session: SessionKey,
    /// Which of its operations.
    pub version: Version,
    /// Where it stands in its lane.
    pub position: Position,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an access point lets be sent to a lane in a class, since the link began.
#[derive(Clone, Copy, Debug)]
pub struct LaneCredit {
    /// The lane.
    pub lane: LaneId,
    /// [`Class::Live`] for publications, [`Class::Operation`] for operations.
    pub class: Class,
    /// The total.
    pub total: Total,
}

/// Whether the session existed before an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It did not: no subscriptions, no context, empty outbox.
    Created,
    /// It did: subscriptions and context stand.
    Resumed,
}

/// A client is attached to its session. Nothing of the session's notifications comes before this.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The client connection that asked.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionKey,
    /// Its slice.
    pub slice: SessionSlice,
    /// The reign that accepted.
    pub term: Term,
    /// The attachment.
    pub generation: Generation,
    /// The first handle this attachment may give to new subscriptions; it has 2^32 of them.
    pub handle_first: Handle,
    /// Whether it existed.
    pub presence: Presence,
    /// Where the session stands: everything at or below is settled, the outbox holds what comes after.
    pub merged: Vector,
}

/// Why an attach was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachRefusal {
    /// This machine is not active for the slice in the term asked; ask again with a newer layout.
    NotActive,
    /// The tenant or the node has as many sessions as it may; the limit.
    Sessions(u64),
    /// The same client process has attached by a later try.
    Overtaken,
}

/// An attach was not accepted.
#[derive(Clone, Copy, Debug)]
pub struct AttachRefused {
    /// The client connection that asked.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionKey,
    /// Why.
    pub reason: AttachRefusal,
}

/// Notifications for any number of sessions of one connection point; each publication travels once a frame.
#[derive(Clone, Debug)]
pub struct Notifications {
    /// The publications that the batches refer to by index.
    pub publications: Vec<Arc<Envelope>>,
    /// One batch a session.
    pub batches: Vec<Batch>,
}

/// Notifications of one session, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The session.
    pub session: SessionKey,
    /// Its slice.
    pub slice: SessionSlice,
    /// The sender's reign over the slice; lower ones than seen are refused.
    pub term: Term,
    /// The client connection.
    pub connection: ConnectionId,
    /// The attachment.
    pub generation: Generation,
    /// In order.
    pub items: Vec<Item>,
}

/// One thing told to a session.
#[derive(Clone, Debug)]
pub enum Item {
    /// A publication that satisfied subscriptions.
    Notification(Notification),
    /// Notifications that the session's policy or limits gave up.
    Gap(Gap),
}

/// A publication for a session.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Index into [`Notifications::publications`].
    pub publication: u32,
    /// Where it stands.
    pub position: Position,
    /// What it satisfied.
    pub satisfied: Satisfied,
    /// What of the session's merged vector rose since the notification before (on this attachment), its own lane not named:
    /// after this notification the client's `W` is the old one raised by these and by `position`.
    pub merged: Vec<Position>,
    /// Whether it may have been delivered on an earlier attachment.
    pub redelivered: bool,
    /// What it counts in session credit.
    pub cost: u64,
}

/// The subscriptions a publication satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Satisfied {
    /// Exactly one, the frequent case.
    One(Handle),
    /// All of them, in order.
    Many(Arc<[Handle]>),
    /// Only how many ([`crate::session::HandleDetail::Count`]).
    Count(u32),
}

/// Notifications given up, oldest first: everything of the session in these ranges that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Per lane the first and the last number given up.
    pub ranges: Vec<GapRange>,
    /// How many notifications.
    pub dropped: u64,
}

/// What was given up on one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRange {
    /// The lane.
    pub lane: LaneId,
    /// The first number given up.
    pub first: Number,
    /// The last number given up.
    pub last: Number,
}

/// Why an attachment is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A newer attachment of the session exists.
    Superseded,
    /// It fell behind and its policy says so.
    Slow,
    /// The client ended the session, and all matchers forgot it.
    EndedByClient,
    /// The session died with the last exit point that had it.
    Lost,
}

/// An attachment is over; nothing follows for it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The client connection.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionKey,
    /// The attachment.
    pub generation: Generation,
    /// Why.
    pub reason: EndReason,
}
