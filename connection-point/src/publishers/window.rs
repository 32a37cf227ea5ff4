//! What a publisher has handed in and nobody has acknowledged: first what was sent, then what was not.
//!
//! ```text
//!   front ─▶ │ sent, unacknowledged │ unsent │ ◀─ back
//!                                   └ `sent`
//! ```
//! Invariant: sequences increase from front to back.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::identity::{Generation, Sequence};
use gomera_cluster::message::access_point::Submission;
use gomera_cluster::publication::Envelope;

/// A publication that is kept until it is acknowledged.
#[derive(Debug)]
struct Kept {
    sequence: Sequence,
    cost: u64,
    envelope: Arc<Envelope>,
    resent: bool,
}

/// Publications in order of sequence.
#[derive(Debug, Default)]
pub(crate) struct Window {
    kept: VecDeque<Kept>,
    sent: usize,
    bytes: u64,
}

impl Window {
    /// Takes a publication in; its sequence is higher than all before.
    pub fn push(&mut self, envelope: Arc<Envelope>, resent: bool) {
        let (sequence, cost) = (envelope.key.sequence, envelope.cost());
        debug_assert!(self.kept.back().is_none_or(|last| last.sequence < sequence), "sequences increase");
        self.bytes += cost;
        self.kept.push_back(Kept { sequence, cost, envelope, resent });
    }

    /// Cost of everything in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether something was not sent yet.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.kept.len()
    }

    /// The publication of a sequence, if it is here.
    pub fn get(&self, sequence: Sequence) -> Option<&Arc<Envelope>> {
        self.find(sequence).map(|index| &self.kept[index].envelope)
    }

    /// Sends, in order, what was not: until `share` bytes are reached, at least one. Returns the cost.
    pub fn send(&mut self, share: u64, generation: Generation, into: &mut Vec<Submission>) -> u64 {
        let mut cost = 0;
        while cost < share
            && let Some(kept) = self.kept.get(self.sent)
        {
            into.push(Submission { envelope: kept.envelope.clone(), generation, resent: kept.resent });
            cost += kept.cost;
            self.sent += 1;
        }
        cost
    }

    /// Whether something was sent that is not acknowledged.
    pub fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// The lane it was sent to has ended: all of it goes again, flagged.
    pub fn send_again(&mut self) {
        for kept in self.kept.iter_mut().take(self.sent) {
            kept.resent = true;
        }
        self.sent = 0;
    }

    /// Drops everything up to a sequence; says how many that were.
    pub fn acknowledge(&mut self, through: Sequence) -> u64 {
        let mut acknowledged = 0;
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.sequence <= through) {
            self.bytes -= kept.cost;
            self.sent = self.sent.saturating_sub(1);
            acknowledged += 1;
        }
        acknowledged
    }

    /// Drops one; says whether it was here.
    pub fn remove(&mut self, sequence: Sequence) -> bool {
        let Some(index) = self.find(sequence) else { return false };
        if let Some(kept) = self.kept.remove(index) {
            self.bytes -= kept.cost;
        }
        if index < self.sent {
            self.sent -= 1;
        }
        true
    }

    fn find(&self, sequence: Sequence) -> Option<usize> {
        self.kept.binary_search_by_key(&sequence, |kept| kept.sequence).ok()
    }
}
