//! Notifications of one session on their way to its client: within the window towards the exit point, and within what the
//! client allows, if it says.
//!
//! ```text
//!   exit point ──credit: window──▶ │ held (client's credit spent) │ under way to the client │ ──Taken──▶
//! ```
//! Only what the client has taken is granted anew, so held and under way together stay below the window and one notification.
//! Gaps need no credit: one that waits takes in those that follow it. Order is kept, whatever waits.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::credit::{ReceiveCredit, Total};
use gomera_cluster::message::connection_point::{Gap, Item};
use gomera_cluster::publication::Envelope;

use crate::client::Delivery;

/// How many notifications the client wants.
#[derive(Clone, Copy, Debug)]
enum Allowance {
    /// It never said: whatever comes.
    Any,
    /// So many since the attachment began.
    Total(u64),
}

/// What is under way to one client.
#[derive(Debug)]
pub(crate) struct Deliveries {
    window: u64,
    credit: ReceiveCredit,
    under_way: u64,
    delivered: u64,
    allowance: Allowance,
    held: VecDeque<Delivery>,
}

impl Deliveries {
    /// Nothing yet; and the credit for the attach. `window` is at least 1.
    pub fn new(window: u64) -> Self {
        let mut credit = ReceiveCredit::new(window);
        // The first grant travels with the attach.
        credit.grant();
        Self { window, credit, under_way: 0, delivered: 0, allowance: Allowance::Any, held: VecDeque::new() }
    }

    /// What the exit point may send until the next grant.
    pub fn granted(&self) -> Total {
        self.credit.granted()
    }

    /// How many things wait for the client's credit.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The client allows so many notifications in total; a lower number than before changes nothing.
    pub fn allow(&mut self, total: u64) {
        self.allowance = match self.allowance {
            Allowance::Any => Allowance::Total(total),
            Allowance::Total(before) => Allowance::Total(before.max(total)),
        };
    }

    /// Takes items in; gives what goes to the client now. Items that refer to no publication of their frame are dropped.
    pub fn receive(&mut self, items: Vec<Item>, publications: &[Arc<Envelope>]) -> Vec<Delivery> {
        let mut ready = Vec::with_capacity(items.len());
        for item in items {
            let Some(delivery) = delivery(item, publications) else { continue };
            if self.held.is_empty() && self.may_pass(&delivery) {
                self.pass(&delivery);
                ready.push(delivery);
            } else {
                self.hold(delivery);
            }
        }
        ready
    }

    /// The client's side has taken so much; gives the total to grant, if it is time.
    pub fn taken(&mut self, cost: u64) -> Option<Total> {
        let cost = cost.min(self.under_way);
        self.under_way -= cost;
        self.credit.consume(cost);
        self.credit.grant()
    }

    /// What was held and may go to the client now.
    pub fn release(&mut self) -> Vec<Delivery> {
        let mut ready = Vec::new();
        while let Some(delivery) = self.held.front()
            && self.may_pass(delivery)
        {
            let delivery = self.held.pop_front().expect("looked at just now");
            self.pass(&delivery);
            ready.push(delivery);
        }
        ready
    }

    fn may_pass(&self, delivery: &Delivery) -> bool {
        match delivery {
            Delivery::Notification { .. } => match self.allowance {
                Allowance::Any => true,
                Allowance::Total(total) => self.delivered < total,
            },
            // Its exit point sends it without credit: a client that does not read must not have them pile up.
            Delivery::Gap(_) => self.under_way < self.window,
        }
    }

    fn pass(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Notification { cost, .. } => {
                self.under_way += cost;
                self.delivered += 1;
            }
            Delivery::Gap(_) => {}
        }
    }

    fn hold(&mut self, delivery: Delivery) {
        let delivery = match (self.held.back_mut(), delivery) {
            (Some(Delivery::Gap(before)), Delivery::Gap(gap)) => return join(before, gap),
            (Some(Delivery::Notification { .. }) | None, Delivery::Gap(gap)) => Delivery::Gap(gap),
            (_, notification @ Delivery::Notification { .. }) => notification,
        };
        self.held.push_back(delivery);
    }
}

/// Takes a gap into the one before it.
fn join(before: &mut Gap, gap: Gap) {
    before.dropped += gap.dropped;
    for range in gap.ranges {
        match before.ranges.iter_mut().find(|known| known.lane == range.lane) {
            Some(known) => {
                known.first = known.first.min(range.first);
                known.last = known.last.max(range.last);
            }
            None => before.ranges.push(range),
        }
    }
}

fn delivery(item: Item, publications: &[Arc<Envelope>]) -> Option<Delivery> {
    match item {
        Item::Notification(notification) => {
            let index = usize::try_from(notification.publication).ok()?;
            Some(Delivery::Notification {
                envelope: publications.get(index)?.clone(),
                position: notification.position,
                satisfied: notification.satisfied,
                merged: notification.merged,
                redelivered: notification.redelivered,
                cost: notification.cost,
            })
        }
        Item::Gap(gap) => Some(Delivery::Gap(gap)),
    }
}

#[cfg(test)]
mod tests;
