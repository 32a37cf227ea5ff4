//! The operations of one attachment: numbered, given handles, sent in order, kept until completed.
//!
//! ```text
//!   front ─▶ │ sent, unanswered │ unsent │ ◀─ back      counters increase from front to back
//!                               └ `sent`
//! ```
//! Invariant: `low` of each is at most the version of every operation that is unanswered when it is issued.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::layout::Epoch;
use gomera_cluster::operation::{Change, Operation, Version};
use gomera_cluster::position::LaneId;

use super::draft::Draft;
use crate::client::{Failure, RequestId};
use crate::failure;
use crate::turns::Ticket;

/// Handles that one attachment may give (see `Attached::handle_first`).
const HANDLES: u64 = 1 << 32;

/// An operation that is kept until its outcome is known.
#[derive(Debug)]
pub(crate) struct Outstanding {
    /// The client's request, to be answered.
    pub request: RequestId,
    /// The subscription it concerns, as the client calls it.
    pub subject: Option<Arc<str>>,
    /// What it counts.
    pub cost: u64,
    /// Whether it was sent to a lane that has ended.
    pub is_again: bool,
    counter: u64,
    operation: Arc<Operation>,
}

impl Outstanding {
    /// What it does.
    pub fn change(&self) -> &Change {
        &self.operation.change
    }

    /// What it takes.
    pub fn own_bytes(&self) -> u64 {
        self.operation.own_bytes()
    }
}

/// The operations of one attachment.
#[derive(Debug)]
pub(crate) struct Operations {
    generation: Generation,
    counter: u64,
    handle_first: Handle,
    handles_given: u64,
    outstanding: VecDeque<Outstanding>,
    sent: usize,
    /// The lane they go to; `None` while the layout has no open lane.
    pub lane: Option<LaneId>,
    /// The lane they are to go to: as soon as what was sent to the one before is answered.
    pub destination: Option<LaneId>,
    /// The place among those that wait to send on that lane.
    pub turn: Option<Ticket>,
    /// A loss of subscriptions that the client is not told yet, and the last operation that was issued before.
    loss: Option<(Epoch, u64)>,
}

impl Operations {
    /// Of a new attachment.
    pub fn new(generation: Generation, handle_first: Handle) -> Self {
        Self {
            generation,
            counter: 0,
            handle_first,
            handles_given: 0,
            outstanding: VecDeque::new(),
            sent: 0,
            lane: None,
            destination: None,
            turn: None,
            loss: None,
        }
    }

    /// Subscriptions were lost by this layout. What is under way may have been applied before or after.
    pub fn lose(&mut self, by: Epoch) {
        self.loss = Some((by, self.counter));
    }

    /// A loss that the client can be told: whatever was under way then is answered, so that what is answered later stands.
    pub fn take_loss(&mut self) -> Option<Epoch> {
        let oldest = self.outstanding.front().map_or(u64::MAX, |oldest| oldest.counter);
        self.loss.take_if(|&mut (_, last)| oldest > last).map(|(by, _)| by)
    }

    /// How many are unanswered.
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Whether something was not sent yet.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.outstanding.len()
    }

    /// Whether something was sent that is not answered.
    pub fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Gives a draft its version and, if it puts a subscription, a handle. It waits to be sent then.
    pub fn issue(&mut self, draft: Draft) -> Result<(), Failure> {
        let Draft { request, subject, mut operation } = draft;
        if let Change::Put(subscription, _) = &mut operation.change {
            if self.handles_given >= HANDLES {
                return Err(failure::handles_exhausted());
            }
            subscription.handle = Handle(self.handle_first.0 + self.handles_given);
            self.handles_given += 1;
        }
        self.counter += 1;
        let version = |counter| Version { generation: self.generation, counter };
        operation.version = version(self.counter);
        operation.low = version(self.outstanding.front().map_or(self.counter, |oldest| oldest.counter));
        self.outstanding.push_back(Outstanding {
            request,
            subject,
            cost: operation.cost(),
            is_again: false,
            counter: self.counter,
            operation: Arc::new(operation),
        });
        Ok(())
    }

    /// Sends, in order, what was not: until `share` bytes are reached, at least one. Returns the cost.
    pub fn send(&mut self, share: u64, into: &mut Vec<Arc<Operation>>) -> u64 {
        let mut cost = 0;
        while cost < share
            && let Some(outstanding) = self.outstanding.get(self.sent)
        {
            into.push(outstanding.operation.clone());
            cost += outstanding.cost;
            self.sent += 1;
        }
        cost
    }

    /// The lane they were sent to is gone: all go again. Applying one twice is harmless.
    pub fn send_again(&mut self) {
        for outstanding in self.outstanding.iter_mut().take(self.sent) {
            outstanding.is_again = true;
        }
        self.sent = 0;
    }

    /// Takes out what was completed, if it is known here.
    pub fn complete(&mut self, version: Version) -> Option<Outstanding> {
        if version.generation != self.generation {
            return None;
        }
        let index = self.outstanding.binary_search_by_key(&version.counter, |outstanding| outstanding.counter).ok()?;
        if index < self.sent {
            self.sent -= 1;
        }
        self.outstanding.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::identity::{SessionKey, Tenant};
    use gomera_model::timestamp::Timestamp;

    use super::super::draft::Issuer;
    use super::*;
    use crate::client::ClientOperation;

    fn draft(request: u64) -> Draft {
        let tenant = Tenant::open();
        let issuer = Issuer { tenant: &tenant, name: "s", session: SessionKey::of(&tenant, "s") };
        Draft::new(issuer, RequestId(request), ClientOperation::Get(Arc::from("id")), Timestamp(0)).expect("valid")
    }

    fn version(counter: u64) -> Version {
        Version { generation: Generation(9), counter }
    }

    #[test]
    fn low_is_the_oldest_unanswered_version() {
        let mut operations = Operations::new(Generation(9), Handle(1));
        for request in 1..=3 {
            operations.issue(draft(request)).expect("no handle needed");
        }
        assert!(operations.complete(version(2)).is_some());
        operations.issue(draft(4)).expect("no handle needed");
        assert!(operations.complete(version(1)).is_some());
        operations.issue(draft(5)).expect("no handle needed");
        let mut sent = Vec::new();
        operations.send(u64::MAX, &mut sent);
        let lows: Vec<_> = sent.iter().map(|operation| (operation.version.counter, operation.low.counter)).collect();
        assert_eq!(lows, [(3, 1), (4, 1), (5, 3)]);
    }

    #[test]
    fn each_is_sent_once_in_order_whatever_completes_in_between() {
        let mut operations = Operations::new(Generation(9), Handle(1));
        for request in 1..=4 {
            operations.issue(draft(request)).expect("no handle needed");
        }
        let mut sent = Vec::new();
        operations.send(1, &mut sent);
        operations.send(1, &mut sent);
        assert_eq!(operations.complete(version(1)).map(|outstanding| outstanding.request), Some(RequestId(1)));
        operations.send(u64::MAX, &mut sent);
        let counters: Vec<_> = sent.iter().map(|operation| operation.version.counter).collect();
        assert_eq!(counters, [1, 2, 3, 4]);
        assert!(!operations.has_unsent());
    }

    #[test]
    fn an_outcome_of_another_attachment_or_told_twice_is_not_taken() {
        let mut operations = Operations::new(Generation(9), Handle(1));
        operations.issue(draft(1)).expect("no handle needed");
        assert!(operations.complete(Version { generation: Generation(8), counter: 1 }).is_none());
        assert!(operations.complete(version(1)).is_some());
        assert!(operations.complete(version(1)).is_none());
    }
}
