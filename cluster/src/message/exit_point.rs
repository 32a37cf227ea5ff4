//! What an exit-point shard is told: matches by matchers; attachments, acknowledgements and credit by connection points; the
//! end of a `Forget` by access points.

use std::sync::Arc;

use super::copies::{Changes, ChangesTaken, CopiesCredit, CopiesPart, CopiesWanted, Handover, TermAttached};
use crate::coverage::SliceSet;
use crate::credit::{Class, Total};
use crate::identity::{ConnectionId, Generation, Handle, SessionKey, Tenant, Term};
use crate::layout::{Epoch, SessionSlice};
use crate::position::{LaneId, Number, Vector};
use crate::publication::Envelope;
use crate::session::{Attempt, SessionOptions};

/// To an exit-point shard.
#[derive(Clone, Debug)]
pub enum ToExitPoint {
    /// From a matcher: a range of a lane is judged against some slices.
    Matches(Matches),
    /// From a matcher: what it will still say of a fenced lane.
    LaneCut(LaneCut),
    /// From a connection point: a client attaches to a session.
    Attach(Attach),
    /// From a connection point: an attachment's connection is gone.
    Detach(Detach),
    /// From a connection point: the client has processed this much.
    Acknowledge(Acknowledge),
    /// From a connection point: the session may be sent this much, since its attachment began.
    SessionCredit(SessionCredit),
    /// From a connection point: the client ends its session.
    EndSession(EndSession),
    /// From an access point: all matchers have forgotten a session.
    Forgotten(Forgotten),
    /// From a matcher: a lane that was there before begins for this shard.
    LaneBegins(LaneBegins),
    /// From an exit point: it joins session slices and asks for what this one has of them.
    CopiesWanted(CopiesWanted),
    /// From an exit point: it may be sent more of what it asked for.
    CopiesCredit(CopiesCredit),
    /// From an exit point: a part of what was asked for.
    CopiesPart(CopiesPart),
    /// From the active replica of slices: what it decided.
    Changes(Changes),
    /// From another replica: what was decided is taken in.
    ChangesTaken(ChangesTaken),
    /// From the replica whose reign over a slice begins.
    HandoverWanted(Handover),
    /// From another replica: it decides no more.
    HandedOver(Handover),
    /// From a connection point: who is attached there, for a reign that begins.
    TermAttached(TermAttached),
}

/// A range of a lane, judged against some matcher slices, with the matches that concern one exit-point shard.
#[derive(Clone, Debug)]
pub struct Matches {
    /// The lane.
    pub lane: LaneId,
    /// Why it is sent.
    pub class: Class,
    /// The matcher slices it was judged against.
    pub slices: Arc<SliceSet>,
    /// The last number before the range.
    pub from: Number,
    /// The last number of the range.
    pub to: Number,
    /// Publications of the range with a match here, in order of number; of a fenced lane, what is judged once more also without one.
    pub matched: Vec<Matched>,
    /// Barriers and the close in the range, in order of number.
    pub marks: Vec<(Number, Mark)>,
}

impl Matches {
    /// What it counts in credit of its class; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// A session key, slice, generation and one handle.
        const TARGET_BYTES: u64 = 48;
        let targets = |matched: &Matched| {
            matched
                .targets
                .iter()
                .map(|target| TARGET_BYTES + 8 * u64::try_from(target.handles.len()).unwrap_or(u64::MAX / 16))
                .sum::<u64>()
        };
        self.matched.iter().map(|matched| matched.envelope.cost() + targets(matched)).sum::<u64>().max(1)
    }
}

/// What a matcher shard will still say of a fenced lane, of which nothing more comes to it. Needs no credit, and overtakes matches
/// that wait for some.
#[derive(Clone, Debug)]
pub struct LaneCut {
    /// The lane.
    pub lane: LaneId,
    /// What is not said yet, or was said just before.
    pub reach: Vec<Reach>,
}

/// A range of a lane that a matcher shard judges by some slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// By these.
    pub slices: Arc<SliceSet>,
    /// After this number.
    pub from: Number,
    /// Up to this one.
    pub to: Number,
}

/// A lane that was there before the receiver came begins for it.
#[derive(Clone, Copy, Debug)]
pub struct LaneBegins {
    /// The lane.
    pub lane: LaneId,
    /// After this number, where the barrier of the layout stands that let it in. What lies before is none of its business.
    pub after: Number,
    /// The layout whose barrier that is; of a lane that ended before it, the one that governed it last. None: nothing follows.
    pub governed: Option<Epoch>,
    /// How the sender knows that the receiver came there.
    pub by: Witness,
}

/// How the sender, a matcher or the access point of a closed lane, knows from where on an exit point reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The layout before did not name it.
    Before,
    /// The sender came then itself, and nothing in that layout says that the receiver was there: it knows that itself. (Whoever was
    /// there before may have died.)
    Newcomer,
}

/// What stands in a lane beside publications and operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// From here on this layout governs the lane.
    Barrier(Epoch),
    /// Nothing follows.
    Close,
}

/// A publication and whom it concerns.
#[derive(Clone, Debug)]
pub struct Matched {
    /// Where it stands.
    pub number: Number,
    /// The publication; the exit point keeps the first copy.
    pub envelope: Arc<Envelope>,
    /// Sessions with a satisfied subscription, each once a frame, in order of key. There may be none.
    pub targets: Vec<Target>,
}

/// A session and its satisfied subscriptions.
#[derive(Clone, Debug)]
pub struct Target {
    /// The session.
    pub session: SessionKey,
    /// The satisfied subscriptions, each with the generation of the attachment that last put it (a session that ended and
    /// began anew since must not get it), in order of handle.
    pub handles: Handles,
}

/// Handles with the generation that put them; one is by far the most frequent number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handles {
    /// One subscription.
    One(Generation, Handle),
    /// Several, in order of handle.
    Many(Arc<[(Generation, Handle)]>),
}

impl Handles {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(handles) => handles.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Generation, Handle)> + '_ {
        let (one, many) = match self {
            Self::One(generation, handle) => (Some((*generation, *handle)), [].as_slice()),
            Self::Many(handles) => (None, handles.as_ref()),
        };
        one.into_iter().chain(many.iter().copied())
    }
}

/// A client attaches to a session, creating it if it does not exist. Answered by `Attached` or `AttachRefused`. The exit
/// point first reaches the frame's epoch, then accepts only if it is active for the slice in exactly `term`.
#[derive(Clone, Debug)]
pub struct Attach {
    /// The client connection, echoed in the answer.
    pub connection: ConnectionId,
    /// Whose session.
    pub tenant: Tenant,
    /// The session's name.
    pub name: Arc<str>,
    /// Its key.
    pub session: SessionKey,
    /// Its slice.
    pub slice: SessionSlice,
    /// The term the connection point knows for the slice.
    pub term: Term,
    /// Options from now on.
    pub options: SessionOptions,
    /// The client's `W`, if it resumes with one: what it covers is dropped from the outbox.
    pub resume: Option<Vector>,
    /// What may be sent at first (as [`SessionCredit::total`]).
    pub credit: Total,
    /// Which of its tries the client makes.
    pub attempt: Attempt,
}

/// An attachment's connection is gone; ignored unless it is the session's present generation.
#[derive(Clone, Copy, Debug)]
pub struct Detach {
    /// The session.
    pub session: SessionKey,
    /// The attachment.
    pub generation: Generation,
}

/// Everything at or below `through` is processed by the client. Cumulative. Needs no credit. Connection points tell every replica of the
/// session's slice. A replica tells the one that decides what it had heard for the attachment before, when that one had not.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// The session.
    pub session: SessionKey,
    /// The attachment; ignored unless it is the present one.
    pub generation: Generation,
    /// Up to where, per lane.
    pub through: Vector,
}

/// What the connection point lets be sent to a session, in bytes of notification cost since its attachment began.
#[derive(Clone, Copy, Debug)]
pub struct SessionCredit {
    /// The session.
    pub session: SessionKey,
    /// The attachment; ignored unless it is the present one.
    pub generation: Generation,
    /// The total.
    pub total: Total,
}

/// The client ends its session: outbox and subscriptions go. Answered by `Ended` once all matchers forgot it.
#[derive(Clone, Copy, Debug)]
pub struct EndSession {
    /// The session.
    pub session: SessionKey,
    /// The attachment; ignored unless it is the present one.
    pub generation: Generation,
}

/// All matchers have forgotten what the session made up to this generation.
#[derive(Clone, Copy, Debug)]
pub struct Forgotten {
    /// The session.
    pub session: SessionKey,
    /// Up to which generation.
    pub generation: Generation,
}
