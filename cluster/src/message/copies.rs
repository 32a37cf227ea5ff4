//! How replicas of a session slice come to have the same: who joins asks the active one for copies of its sessions, is sent parts as far
//! as it grants credit, and from then on what the active one decides. What is merged, each replica merges itself; a copy says how far
//! its sender had merged when it was made, and who takes it in adds what lies beyond.

use std::sync::Arc;

use crate::credit::Total;
use crate::identity::{ConnectionId, Generation, Instance, PublisherKey, Sequence, SessionKey, Tenant, Term};
use crate::layout::SessionSlice;
use crate::message::connection_point::{Gap, Satisfied};
use crate::message::snapshot::{Extent, TransferId};
use crate::position::{Position, Vector};
use crate::publication::Envelope;
use crate::session::{Attempt, SessionOptions};

/// An exit point joins session slices.
#[derive(Clone, Debug)]
pub struct CopiesWanted {
    /// What is asked for.
    pub transfer: TransferId,
    /// The slices, in order.
    pub slices: Vec<SessionSlice>,
    /// How far it has merged: what lies beyond it adds itself, so copies must contain everything up to there. Lanes that have ended need
    /// not be waited for.
    pub after: Vector,
    /// What may be sent at first (as [`CopiesCredit::total`]).
    pub credit: Total,
}

/// More may be sent.
#[derive(Clone, Copy, Debug)]
pub struct CopiesCredit {
    /// Of what.
    pub transfer: TransferId,
    /// How much in all, in cost of parts.
    pub total: Total,
}

/// A part of what was asked for. How far publishers have come stands before all sessions.
#[derive(Clone, Debug)]
pub struct CopiesPart {
    /// Of what.
    pub transfer: TransferId,
    /// How far publisher instances had come, whatever the lane, when the first part was made.
    pub settled: Vec<(PublisherKey, Instance, Sequence)>,
    /// Sessions that all matchers have yet to forget, up to which generation.
    pub forgetting: Vec<Ending>,
    /// Sessions, or further notifications of the last one.
    pub sessions: Vec<SessionCopy>,
    /// Whether it is the last one.
    pub extent: Extent,
}

/// A session, or the rest of one.
#[derive(Clone, Debug)]
pub struct SessionCopy {
    /// The session.
    pub session: SessionKey,
    /// What stands before its notifications; none: it stood in an earlier part.
    pub head: Option<Box<CopyHead>>,
    /// Notifications in its outbox, in order.
    pub entries: Vec<CopiedEntry>,
    /// Whether more of its notifications follow.
    pub extent: Extent,
}

/// A session but for its notifications.
#[derive(Clone, Debug)]
pub struct CopyHead {
    /// What it is.
    pub record: SessionRecord,
    /// What was given up and its client may not have been told.
    pub given_up: Gap,
}

/// A notification in an outbox.
#[derive(Clone, Debug)]
pub struct CopiedEntry {
    /// Where its publication stands.
    pub position: Position,
    /// The publication.
    pub envelope: Arc<Envelope>,
    /// What it satisfied.
    pub satisfied: Satisfied,
}

/// What an attach makes of a session.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// The session.
    pub session: SessionKey,
    /// Its slice.
    pub slice: SessionSlice,
    /// Whose it is.
    pub tenant: Tenant,
    /// The attachment that created it.
    pub birth: Generation,
    /// Its latest attachment.
    pub generation: Generation,
    /// The client's try that it was.
    pub attempt: Attempt,
    /// One more than the block of handles that its latest attachment may give from.
    pub handle_blocks: u64,
    /// Its options, within what the sender allows.
    pub options: SessionOptions,
    /// Settled: at or below it nothing is owed.
    pub acknowledged: Vector,
    /// How far its sender has merged: at or below it everything of the session is known to the sender.
    pub merged: Vector,
    /// What lies at or below it may have been delivered on an attachment before the latest.
    pub doubted: Vector,
}

/// A session that ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The session.
    pub session: SessionKey,
    /// Its slice.
    pub slice: SessionSlice,
    /// Whose it was.
    pub tenant: Tenant,
    /// Its last attachment.
    pub generation: Generation,
}

/// What the active replica of some slices decided, to another replica of them. Needs no credit.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Counts what the sender has sent to this receiver: the number of the last change. Answered by [`ChangesTaken`].
    pub through: u64,
    /// In order.
    pub changes: Vec<Change>,
}

/// One of them.
#[derive(Clone, Debug)]
pub enum Change {
    /// A client attaches; the session is created if there is none.
    Attached(Box<SessionRecord>),
    /// Notifications were given up.
    Dropped {
        /// The session.
        session: SessionKey,
        /// Its slice.
        slice: SessionSlice,
        /// Everything of it up to here has left its outbox.
        through: Vector,
        /// All that its client may not have been told.
        given_up: Gap,
        /// What its client has processed, as far as the sender knows: what was given up there is told to nobody any more.
        acknowledged: Vector,
    },
    /// The session ended.
    Ended(Ending),
    /// All matchers have forgotten it.
    Forgotten(Ending),
}

/// Changes are taken in.
#[derive(Clone, Copy, Debug)]
pub struct ChangesTaken {
    /// Up to which.
    pub through: u64,
}

/// The reign over a slice changes. Asked: whoever was active before and lives is to say that it decides no more. Told: it has said
/// everything that it decided.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// The slice.
    pub slice: SessionSlice,
    /// The reign that begins.
    pub term: Term,
    /// Told: whether the sender has all of the slice, and goes on by what it is told.
    pub follows: bool,
}

/// A reign over slices begins: who is attached, and how far is each?
#[derive(Clone, Debug)]
pub struct AttachTerm {
    /// The slices, with the term.
    pub slices: Vec<(SessionSlice, Term)>,
}

/// Who is attached at a connection point in a slice, for the reign that asked.
#[derive(Clone, Debug)]
pub struct TermAttached {
    /// The slice.
    pub slice: SessionSlice,
    /// The reign.
    pub term: Term,
    /// In order of connection.
    pub sessions: Vec<AttachedHere>,
}

/// A session with a client, as its connection point knows it.
#[derive(Clone, Debug)]
pub struct AttachedHere {
    /// The session.
    pub session: SessionKey,
    /// Whose it is.
    pub tenant: Tenant,
    /// The client connection.
    pub connection: ConnectionId,
    /// The attachment.
    pub generation: Generation,
    /// The client's `W` once it has everything that came here.
    pub told: Vector,
    /// Session credit granted.
    pub granted: Total,
    /// Session credit used.
    pub received: Total,
}

impl CopiesPart {
    /// What it counts in credit; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// A publisher, an instance, a sequence.
        const SETTLED_BYTES: usize = 32;
        const ENDING_BYTES: usize = 48;
        let small = self.settled.len() * SETTLED_BYTES + self.forgetting.len() * ENDING_BYTES;
        let sessions = self.sessions.iter().map(SessionCopy::cost).sum::<u64>();
        (sessions + u64::try_from(small).unwrap_or(u64::MAX / 2)).max(1)
    }
}

impl SessionCopy {
    /// What it counts in credit.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// Keys, options, vectors of a few lanes.
        const HEAD_BYTES: u64 = 256;
        HEAD_BYTES + self.entries.iter().map(CopiedEntry::cost).sum::<u64>()
    }
}

impl CopiedEntry {
    /// What it counts in credit.
    #[must_use]
    pub fn cost(&self) -> u64 {
        let handles = match &self.satisfied {
            Satisfied::One(_) | Satisfied::Count(_) => 1,
            Satisfied::Many(handles) => handles.len(),
        };
        self.envelope.cost() + 8 * u64::try_from(handles).unwrap_or(u64::MAX / 16)
    }
}
