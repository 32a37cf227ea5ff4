//! What a session tells its program.

use std::sync::Arc;

use bytes::Bytes;
use gomera_model::{Publication, Timestamp};

use super::standing::Ordinal;
use crate::error::{DecodeError, OperationError};

/// What a session tells its program, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// A publication that satisfied subscriptions of the session.
    Notification(Notification),
    /// Notifications that the session's policy or limits gave up.
    Gap(Gap),
    /// The connection broke and stands again; the session goes on where it was, nothing is lost or repeated.
    Resumed,
    /// The cluster had lost the session (it was away for longer than `expires_after`, or the cluster was started
    /// afresh). Its context and subscriptions are being declared again; what was published in between is lost to it.
    Recreated,
    /// All matchers that had some of the session's subscriptions died. Context and subscriptions are being declared again; what was
    /// published in between may be lost to them.
    SubscriptionsLost,
    /// Part of what was to be declared again was refused; it is not in force any more.
    RedeclarationFailed {
        /// The subscription, or `None` for the context.
        subscription: Option<Arc<str>>,
        /// Why.
        error: OperationError,
    },
}

/// A publication on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The ids of the subscriptions it satisfied. Empty if the session asked for counts only.
    pub subscriptions: Vec<Arc<str>>,
    /// How many subscriptions of the session it satisfied.
    pub satisfied: u32,
    /// Who published it.
    pub publisher: String,
    /// Which life of the publisher.
    pub instance: u64,
    /// Its number there.
    pub sequence: u64,
    /// When the cluster accepted it.
    pub accepted: Timestamp,
    /// It may have been delivered before, to a process that went away without acknowledging it.
    pub redelivered: bool,
    /// The lane it came by.
    pub lane: u32,
    /// Its number in the lane.
    pub number: u64,
    pub(crate) content: Bytes,
    pub(crate) ordinal: Ordinal,
}

impl Notification {
    /// The publication. Decoded when asked for: a program that only counts or forwards pays nothing.
    pub fn publication(&self) -> Result<Publication, DecodeError> {
        crate::wire::decode_publication(&self.content)
    }

    /// The publication as it was encoded by its publisher (`gomera.v1.Publication`).
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.content
    }
}

/// Notifications given up: everything of the session in these ranges that did not arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Per lane the first and the last number given up, in order of lane.
    pub ranges: Vec<GapRange>,
    /// How many notifications.
    pub dropped: u64,
}

/// What was given up on one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapRange {
    /// The lane.
    pub lane: u32,
    /// The first number given up.
    pub first: u64,
    /// The last number given up.
    pub last: u64,
}

impl Gap {
    /// Takes in a later gap, so that a program that does not read is told of one gap and not of ever more of them.
    pub(crate) fn extend(&mut self, later: &Self) {
        self.dropped = self.dropped.saturating_add(later.dropped);
        for range in &later.ranges {
            match self.ranges.iter_mut().find(|own| own.lane == range.lane) {
                Some(own) => {
                    own.first = own.first.min(range.first);
                    own.last = own.last.max(range.last);
                }
                None => self.ranges.push(*range),
            }
        }
        self.ranges.sort_by_key(|range| range.lane);
    }
}
