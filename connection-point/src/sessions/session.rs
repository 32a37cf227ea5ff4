//! One session's connection.
//!
//! ```text
//!   Attaching ──Attached──▶ Attached ──Ended (superseded, slow, ended by the client, lost)──▶ closed
//!    │  ▲  │                   │
//!    │  └──┘ NotActive: again after 100 ms or with the next layout
//!    ▼ layout_wait, answer_wait, attach_attempts_max, Sessions
//!   closed
//! ```
//! Operations, acknowledgements and credit are taken in both states and go on their way in the second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{Generation, SessionKey, Tenant, Term};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::message::connection_point::Item;
use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::session::{Attempt, SessionOptions};

use super::deliveries::Deliveries;
use super::draft::Draft;
use super::operations::Operations;
use super::settling::Settling;
use crate::brake::Brake;
use crate::client::RequestId;

/// Whom an attach was sent to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nobody: no layout, or none active for the slice.
    Nobody,
    /// The machine that was active in that term.
    ExitPoint(Address, Term),
}

/// Not attached yet.
#[derive(Debug)]
pub(crate) struct Attaching {
    /// The client's request, to be answered.
    pub request: RequestId,
    /// Its options.
    pub options: SessionOptions,
    /// The client's `W`.
    pub resume: Option<Vector>,
    pub attempt: Attempt,
    /// Whom it was sent to last.
    pub asked: Asked,
    /// How many attaches each exit point has not answered. Answers come in order, so only the one that leaves none unanswered is
    /// about the last: were it asked again before, it would attach twice, and the second supersede the first.
    pub unanswered: BTreeMap<Address, u32>,
    /// How often it was refused because the machine was not active.
    pub attempts: u32,
    /// Operations that came meanwhile.
    pub drafts: VecDeque<Draft>,
}

/// Attached.
#[derive(Debug)]
pub(crate) struct Attachment {
    /// The machine that holds the session.
    pub exit_point: Address,
    /// The session's slice.
    pub slice: SessionSlice,
    /// The reign that accepted.
    pub term: Term,
    /// Counts attachments.
    pub generation: Generation,
    /// Whether that reign has asked who is attached.
    pub reign: Reign,
    /// The client's `W` once it has everything that came here.
    pub told: Vector,
    /// What that counts in session credit.
    pub received: u64,
    /// Operations under way.
    pub operations: Operations,
    /// What earlier attachments have under way elsewhere.
    pub settling: Settling,
}

/// Whether the exit point in charge knows of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reign {
    /// It does.
    Known,
    /// It took over and has not asked yet: it is told then.
    Begins,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not attached yet.
    Attaching(Attaching),
    /// Attached.
    Attached(Attachment),
}

/// Whether the client has asked to end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has not.
    NotAsked,
    /// It has, by this request.
    Asked(RequestId),
}

/// A session and what it has under way.
#[derive(Debug)]
pub(crate) struct Session {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: Arc<str>,
    /// Hash of both.
    pub key: SessionKey,
    /// Why nothing more is read from its client, if so.
    pub brake: Brake,
    /// Notifications on their way to the client.
    pub deliveries: Deliveries,
    /// What the client has processed and the exit point was not told.
    pub acknowledged: Vector,
    /// What its operations that are not answered take.
    pub operations_bytes: u64,
    /// What they count, with what they may bring.
    pub operations_cost: u64,
    /// Whether the client has asked to end it.
    pub ending: Ending,
    /// How far it is.
    pub phase: Phase,
}

impl Session {
    /// The attachment, if there is one.
    pub fn attachment(&self) -> Option<&Attachment> {
        match &self.phase {
            Phase::Attaching(_) => None,
            Phase::Attached(attachment) => Some(attachment),
        }
    }

    /// The attachment, if there is one.
    pub fn attachment_mut(&mut self) -> Option<&mut Attachment> {
        match &mut self.phase {
            Phase::Attaching(_) => None,
            Phase::Attached(attachment) => Some(attachment),
        }
    }

    /// The attachment, if the exit point in charge knows of it: who does not is told everything when it asks.
    pub fn known(&self) -> Option<&Attachment> {
        self.attachment().filter(|attachment| attachment.reign == Reign::Known)
    }

    /// Whether its operations go to this lane.
    pub fn stands_on(&self, lane: LaneId) -> bool {
        self.attachment().is_some_and(|attachment| attachment.operations.lane == Some(lane))
    }

    /// Takes note of what comes for the client: nobody has to send it again on this attachment.
    pub fn note(&mut self, items: &[Item]) {
        let Some(attachment) = self.attachment_mut() else { return };
        for item in items {
            match item {
                Item::Notification(notification) => {
                    let at = notification.position;
                    attachment.told.raise(at.lane, at.number);
                    for risen in &notification.merged {
                        attachment.told.raise(risen.lane, risen.number);
                    }
                    attachment.received = attachment.received.saturating_add(notification.cost);
                }
                Item::Gap(gap) => {
                    for range in &gap.ranges {
                        attachment.told.raise(range.lane, range.last);
                    }
                }
            }
        }
    }

    /// Operations unanswered.
    pub fn operations(&self) -> usize {
        match &self.phase {
            Phase::Attaching(attaching) => attaching.drafts.len(),
            Phase::Attached(attachment) => attachment.operations.len(),
        }
    }
}
