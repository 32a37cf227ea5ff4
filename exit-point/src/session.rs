//! One session as its exit point keeps it: options, where its client stands, what it has not acknowledged, and whether
//! somebody is attached.
//!
//! ```text
//!            Attach                     Attach (newer: the old one gets Ended(Superseded))
//!  (nothing) ──────▶ Attached ◀──────────────┐
//!                    │  │  └─────────────────┘
//!     Detach, slow   │  │ EndSession
//!                    ▼  └──────────────────────────▶ (nothing; Forget goes out)
//!                  Detached ── expires ────────────▶ (nothing; Forget goes out)
//! ```

pub(crate) mod given_up;
pub(crate) mod patience;

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{SendCredit, Total};
use gomera_cluster::identity::{ConnectionId, Generation, Handle, SessionKey, Tenant};
use gomera_cluster::layout::{Epoch, Layout, SessionSlice};
use gomera_cluster::message::copies::SessionRecord;
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::position::{LaneId, Position, Vector};
use gomera_cluster::session::{Attempt, HandleDetail, SessionOptions, Sharing, SlowPolicy};
use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;

use self::given_up::GivenUp;
use self::patience::Patience;
use crate::config::Config;
use crate::limits::{Rank, TenantId};
use crate::outbox::{Limits, Outbox, Step};

/// A place in the table of sessions; used again after the session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) usize);

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) slice: SessionSlice,
    pub(crate) tenant: TenantId,
    /// The attachment that created it: subscriptions of earlier generations belong to an earlier life.
    pub(crate) birth: Generation,
    /// Its latest attachment.
    pub(crate) generation: Generation,
    /// The client's try that it was.
    pub(crate) attempt: Attempt,
    /// One more than the block of handles that its latest attachment may give from. Begins where the machine's count of
    /// attachments stands and grows with each attachment, so no handle of a former life of the session comes again
    /// while something of that life may still be under way.
    pub(crate) handle_blocks: u64,
    pub(crate) terms: Terms,
    /// Settled: at or below it nothing is owed. Never above what is merged.
    pub(crate) acknowledged: Vector,
    pub(crate) outbox: Outbox,
    pub(crate) given_up: GivenUp,
    pub(crate) patience: Patience,
    pub(crate) attachment: Attachment,
    /// When the next of its notifications expires.
    pub(crate) sweep: Sweep,
    pub(crate) rank: Rank,
    pub(crate) flush: Flush,
    /// Where it is decided about.
    pub(crate) decided: Decided,
    /// What is merged at or below this is not for its outbox: it was there before, at another replica.
    pub(crate) passed: Vector,
    /// What lies at or below it may have been delivered on an attachment before the latest.
    pub(crate) doubted: Vector,
    /// Of lanes, what lies before the barrier of this layout may have been, by whoever decided before.
    pub(crate) doubted_before: Epoch,
    /// The transfer that brought it, if one did.
    pub(crate) transfer: TransferId,
    /// Whether an attach waits for other replicas to know of it.
    pub(crate) answering: Answering,
}

/// Where a session is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decided {
    /// Here.
    Here,
    /// By another replica of its slice: this one follows.
    Elsewhere,
}

/// Whether an attach of a session waits for other replicas to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// None does.
    No,
    /// The latest one does.
    Yes,
}

/// How far a client is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Belief<'layout> {
    /// What is merged here: nothing else can have been sent to it.
    Merged,
    /// What a lane may hold: another replica, which had merged more, may have sent it.
    Lanes(&'layout Layout),
}

/// Whether somebody is attached.
#[derive(Debug)]
pub(crate) enum Attachment {
    /// Nobody.
    Detached(Detached),
    /// A client, by way of a connection point.
    Attached(Attached),
}

/// A session without an attachment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detached {
    /// When it ends.
    pub(crate) expires: Instant,
}

/// An attachment.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) connection_point: Address,
    pub(crate) connection: ConnectionId,
    pub(crate) credit: SendCredit,
    /// The `W` that the client has once it has received everything sent so far.
    told: Vector,
    /// The last step whose vector `told` includes.
    told_step: u64,
}

/// Whether the session is in the list of those to be flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Not in it.
    Idle,
    /// In it.
    Queued,
}

/// Whether the session stands in the schedule of sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// None of its notifications expires.
    None,
    /// It is swept then.
    At(Timestamp),
}

/// What its attachment asked for, within what the configuration allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) slow: SlowPolicy,
    pub(crate) expires_after: Duration,
    pub(crate) detail: HandleDetail,
}

impl Terms {
    /// Caps what is asked.
    pub(crate) fn granted(options: &SessionOptions, config: &Config) -> Self {
        let slow = match options.slow {
            SlowPolicy::Block { wait_max } => SlowPolicy::Block { wait_max: wait_max.min(config.block_max) },
            SlowPolicy::DropOldest | SlowPolicy::Disconnect => options.slow,
        };
        Self {
            limits: Limits {
                bytes_max: options.outbox_bytes_max.min(config.session_outbox_bytes_max),
                notifications_max: options.outbox_notifications_max.min(config.session_outbox_notifications_max),
            },
            slow,
            expires_after: options.expires_after.min(config.session_expires_after_max),
            detail: options.detail,
        }
    }
}

impl Terms {
    /// The options that would be granted as these.
    fn options(&self) -> SessionOptions {
        SessionOptions {
            outbox_bytes_max: self.limits.bytes_max,
            outbox_notifications_max: self.limits.notifications_max,
            slow: self.slow,
            expires_after: self.expires_after,
            detail: self.detail,
            sharing: Sharing::Exclusive,
        }
    }
}

impl Attached {
    /// An attachment whose client stands at `told`.
    pub(crate) fn new(connection_point: Address, connection: ConnectionId, total: Total, told: Vector) -> Self {
        let mut credit = SendCredit::default();
        credit.grant(total);
        Self { connection_point, connection, credit, told, told_step: 0 }
    }

    /// Whether another replica has sent this on the present attachment.
    pub(crate) fn was_told(&self, position: Position) -> bool {
        self.told.covers(position)
    }

    /// A lane has left `W`.
    pub(crate) fn forget(&mut self, lane: LaneId) {
        self.told.remove(lane);
    }

    /// Notes that the client is told `position`, merged in `step`. Returns what else of its `W` rises with it.
    pub(crate) fn tell(&mut self, position: Position, step: &Arc<Step>) -> Vec<Position> {
        let mut risen = Vec::new();
        if step.number > self.told_step {
            self.told_step = step.number;
            for other in step.vector.iter().filter(|other| other.lane != position.lane) {
                if self.told.raise(other.lane, other.number) {
                    risen.push(other);
                }
            }
        }
        self.told.raise(position.lane, position.number);
        risen
    }
}

impl Session {
    /// Whether this try of a client is the one that created it: had the client been told, it would not try it again.
    pub(crate) fn begins_with(&self, attempt: Attempt) -> bool {
        attempt.process != 0 && attempt == self.attempt && self.birth == self.generation
    }

    /// The first handle that its latest attachment may give.
    pub(crate) fn handle_first(&self) -> Handle {
        Handle((self.handle_blocks.saturating_sub(1).wrapping_shl(32)) | 1)
    }

    /// Whether its outbox has reached a limit of its own.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full(self.terms.limits)
    }

    /// The longest it may hold merging up: zero unless it blocks and somebody is attached.
    pub(crate) fn wait_max(&self) -> Duration {
        match (&self.attachment, self.terms.slow) {
            (Attachment::Attached(_), SlowPolicy::Block { wait_max }) => wait_max,
            (Attachment::Detached(_), _)
            | (Attachment::Attached(_), SlowPolicy::DropOldest | SlowPolicy::Disconnect) => Duration::ZERO,
        }
    }

    /// Whether what is merged at this position was in its outbox before, at another replica.
    pub(crate) fn has_passed(&mut self, position: Position) -> bool {
        if self.passed.is_empty() {
            return false;
        }
        let passed = self.passed.get(position.lane);
        if passed < position.number {
            self.passed.remove(position.lane);
        }
        passed >= position.number
    }

    /// What it is, for another replica.
    pub(crate) fn record(&self, tenant: Tenant, merged: &Vector) -> SessionRecord {
        SessionRecord {
            session: self.key,
            slice: self.slice,
            tenant,
            birth: self.birth,
            generation: self.generation,
            attempt: self.attempt,
            handle_blocks: self.handle_blocks,
            options: self.terms.options(),
            acknowledged: self.acknowledged.clone(),
            merged: merged.clone(),
            doubted: self.doubted.clone(),
        }
    }

    /// Whether what it gets will stay: nobody is attached, or too much is under way already.
    pub(crate) fn is_behind(&self, behind_bytes: u64) -> bool {
        match self.attachment {
            Attachment::Detached(_) => true,
            // (A session that is decided about elsewhere has nobody attached here.)
            Attachment::Attached(_) => self.outbox.bytes() > behind_bytes,
        }
    }

    /// Raises what is settled, as far as it is merged; a client cannot settle what it was not sent.
    pub(crate) fn settle(&mut self, through: &Vector, merged: &Vector, belief: Belief<'_>) {
        for position in through.iter() {
            let merged = merged.get(position.lane);
            let number = match belief {
                Belief::Lanes(layout) if layout.lanes.contains_key(&position.lane) => position.number,
                Belief::Lanes(_) | Belief::Merged => position.number.min(merged),
            };
            if number > merged {
                self.passed.raise(position.lane, number);
            }
            if number > self.acknowledged.get(position.lane) {
                self.acknowledged.raise(position.lane, number);
            }
        }
        self.given_up.settle(&self.acknowledged);
    }
}
