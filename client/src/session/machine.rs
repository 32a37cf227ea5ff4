//! The session on the client's side as a machine without I/O: told what arrives and what the program does, asked what to send
//! and what to hand to the program.
//!
//! ```text
//!            attached(resumed)                    disconnected
//!  Detached ───────────────────▶ Attached ─────────────────────▶ Detached
//!     first time, resumed:  learn the subscriptions that exist (handles are explained by them)
//!     again, resumed:       go on; what was sent and not answered goes again
//!     again, not resumed:   tell the program, declare context and subscriptions again, then the same
//! ```
//! Promise: each notification reaches the program once, in order, with the ids of its subscriptions. A notification may
//! overtake the answer that explains its handle; it then waits here, and what follows it waits too, until every request
//! that was on its way has been answered. What waits or is unfinished is bounded by the credit granted to the cluster.

mod failing;

use std::collections::VecDeque;
use std::time::Duration;

use gomera_cluster::position::{Position, Vector};

use super::applied::Applied;
use super::event::{Event, Gap, Notification};
use super::operation::{Declaration, Operation, Origin, RequestId, Requests};
use super::standing::{Ordinal, Receipt, Standing};
use super::subscriptions::Subscriptions;
use crate::error::OperationError;

/// Operations on their way at most; the others wait here in order.
const IN_FLIGHT_MAX: usize = 256;
/// An acknowledgement goes out at least after so many notifications, and whenever nothing is left to hand out.
const ACKNOWLEDGE_EVERY: u32 = 64;
/// Subscriptions read at once while learning; the most the cluster gives.
const LEARN_AT_ONCE: u32 = 1_000;

/// When a notification counts as processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// When the program asks for the next one.
    Automatic,
    /// When the program says so; this acknowledges all before it as well.
    Manual,
}

/// What is sent on the connection, the attach itself apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Operation(RequestId, Operation),
    Acknowledge(Vector),
    /// Notifications granted in total on this attachment.
    Credit(u64),
}

/// What arrives on the connection.
#[derive(Debug)]
pub(crate) enum Reply {
    Attached { resumed: bool, merged: Vector },
    Applied { request: RequestId, handle: Option<u64>, in_force_after: Vector },
    Listed { request: RequestId, subscriptions: Vec<Listed> },
    Failed { request: RequestId, error: OperationError, not_found: bool },
    Notification { notification: Notification, handles: Vec<u64>, position: Position, merged: Vec<Position> },
    Gap(Gap),
    SubscriptionsLost(u64),
}

/// A subscription as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) declaration: Declaration,
    pub(crate) handle: u64,
}

/// What an operation came to.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Applied(Applied),
    Listed(Vec<Listed>),
}

/// An operation of the program that was answered.
pub(crate) type Completion = (RequestId, Result<Answer, OperationError>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No attachment was ever accepted.
    New,
    /// Attached, for the first time, to a session that existed: its subscriptions are being read.
    Learning,
    Attached,
    /// Attached still, and about to be attached elsewhere: nothing that the program would have to know.
    Moving,
    Detached,
}

/// Something for the program that may have to wait for an answer.
#[derive(Debug)]
enum Inbound {
    Notification { notification: Notification, handles: Vec<u64>, explained_by: Option<RequestId> },
    Other(Event),
}

/// Whether a notification with an unknown handle waits for the answer that may explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    UntilExplained,
    None,
}

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Machine {
    acknowledgement: Acknowledgement,
    /// Notifications the program may have unfinished.
    window: u64,
    phase: Phase,
    /// Whether subscriptions are still being learned, over broken connections as well.
    learned: bool,
    standing: Standing,
    requests: Requests,
    subscriptions: Subscriptions,
    inbox: VecDeque<Inbound>,
    ready: VecDeque<Event>,
    /// What the program took last.
    in_hand: Option<Ordinal>,
    processed_since_acknowledgement: u32,
    /// Notifications that came on this attachment, duplicates included.
    arrived: u64,
    granted: Option<u64>,
    /// The cluster has ended the session at the program's wish.
    ended: bool,
    /// The last loss of subscriptions it was told of, and the last request before.
    loss: (u64, RequestId),
}

impl Machine {
    pub(crate) fn new(acknowledgement: Acknowledgement, window: u64) -> Self {
        Self {
            acknowledgement,
            window: window.max(1),
            phase: Phase::New,
            learned: false,
            standing: Standing::default(),
            requests: Requests::new(IN_FLIGHT_MAX),
            subscriptions: Subscriptions::default(),
            inbox: VecDeque::new(),
            ready: VecDeque::new(),
            in_hand: None,
            processed_since_acknowledgement: 0,
            arrived: 0,
            granted: None,
            ended: false,
            loss: (0, RequestId::default()),
        }
    }

    /// What to attach with: `None` the first time, when this process knows nothing of the session.
    pub(crate) fn resume_from(&self) -> Option<&Vector> {
        match self.phase {
            Phase::New => None,
            Phase::Learning | Phase::Attached | Phase::Moving | Phase::Detached => Some(self.standing.resume_from()),
        }
    }

    /// Whether the session is attached and its subscriptions are known.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Attached
    }

    /// The program asks for an operation.
    pub(crate) fn ask(&mut self, operation: Operation) -> RequestId {
        self.requests.ask(operation, Origin::Application)
    }

    /// Whether the program can take something.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether the cluster was asked to end the session, or has done so: the stream ends then, and that is no break.
    pub(crate) fn is_ending(&self) -> bool {
        self.ended || self.requests.is_ending()
    }

    /// Operations of the program that can never be answered now.
    pub(crate) fn abandon(&mut self) -> Vec<RequestId> {
        self.requests.abandon()
    }

    /// The session is about to be attached elsewhere; what comes on the connection it has is not read any more.
    pub(crate) fn moves(&mut self) {
        let was_attached = self.is_attached();
        self.disconnected();
        if was_attached {
            self.phase = Phase::Moving;
        }
    }

    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        self.requests.disconnected();
        if self.phase != Phase::New {
            self.phase = Phase::Detached;
        }
        self.arrived = 0;
        self.granted = None;
    }

    /// Something arrived. `now` is the time since the session began in this process.
    pub(crate) fn reply(&mut self, reply: Reply, now: Duration, completions: &mut Vec<Completion>) {
        match reply {
            Reply::Attached { resumed, merged } => self.attached(resumed, &merged, now),
            Reply::Applied { request, handle, in_force_after } => {
                self.applied(request, handle, in_force_after, now, completions);
                self.release(Patience::UntilExplained);
            }
            Reply::Listed { request, subscriptions } => {
                self.listed(request, subscriptions, now, completions);
                self.release(Patience::UntilExplained);
            }
            Reply::Failed { request, error, not_found } => {
                self.failed(request, error, not_found, now, completions);
                self.release(Patience::UntilExplained);
            }
            Reply::Notification { notification, handles, position, merged } => {
                self.arrived += 1;
                self.notification(notification, handles, position, merged);
            }
            Reply::Gap(gap) => self.inbound(Inbound::Other(Event::Gap(gap))),
            Reply::SubscriptionsLost(number) => self.subscriptions_lost(number, now),
        }
    }

    fn attached(&mut self, resumed: bool, merged: &Vector, now: Duration) {
        let before = std::mem::replace(&mut self.phase, Phase::Attached);
        match (before, resumed) {
            (Phase::New, true) => {
                self.standing.resumed(merged);
                self.phase = Phase::Learning;
                self.requests.ask_first(vec![Operation::List { after: 0, limit: LEARN_AT_ONCE }], Origin::Learning);
            }
            (Phase::New, false) => {
                self.standing.created(merged);
                self.learned = true;
            }
            (before @ (Phase::Learning | Phase::Attached | Phase::Moving | Phase::Detached), true) => {
                self.standing.resumed(merged);
                if !self.learned {
                    self.phase = Phase::Learning;
                }
                if before != Phase::Moving {
                    self.inbound(Inbound::Other(Event::Resumed));
                }
            }
            (Phase::Learning | Phase::Attached | Phase::Moving | Phase::Detached, false) => {
                // What came before the loss is explained by handles that are about to go.
                self.release(Patience::None);
                self.standing.created(merged);
                self.learned = true;
                self.requests.forget_own();
                let again = self.subscriptions.redeclare(now);
                self.requests.ask_first(again, Origin::Redeclaration);
                self.inbound(Inbound::Other(Event::Recreated));
            }
        }
    }

    fn applied(
        &mut self,
        request: RequestId,
        handle: Option<u64>,
        in_force_after: Vector,
        now: Duration,
        completions: &mut Vec<Completion>,
    ) {
        let Some(asked) = self.requests.answered(request) else { return };
        match asked.operation {
            Operation::Subscribe(declaration) | Operation::Update(declaration) => {
                self.subscriptions.put(declaration, handle, now);
            }
            Operation::Unsubscribe(id) => self.subscriptions.remove(&id, handle, in_force_after.clone()),
            Operation::SetPaused(id, paused) => self.subscriptions.set_paused(&id, paused),
            Operation::SetContext(context) => self.subscriptions.set_context(context),
            Operation::End => self.ended = true,
            Operation::Get(_) | Operation::List { .. } => {}
        }
        if asked.origin == Origin::Application {
            completions.push((request, Ok(Answer::Applied(Applied { in_force_after }))));
        }
    }

    fn listed(
        &mut self,
        request: RequestId,
        subscriptions: Vec<Listed>,
        now: Duration,
        completions: &mut Vec<Completion>,
    ) {
        let Some(asked) = self.requests.answered(request) else { return };
        match asked.origin {
            Origin::Application => completions.push((request, Ok(Answer::Listed(subscriptions)))),
            Origin::Learning | Origin::Redeclaration => {
                let full = subscriptions.len() >= usize::try_from(LEARN_AT_ONCE).expect("a small number");
                let last = subscriptions.last().map(|listed| listed.handle);
                for listed in subscriptions {
                    self.subscriptions.put(listed.declaration, Some(listed.handle), now);
                }
                match last.filter(|_| full) {
                    Some(after) => {
                        self.requests.ask_first(vec![Operation::List { after, limit: LEARN_AT_ONCE }], Origin::Learning)
                    }
                    None => self.learning_ended(),
                }
            }
        }
    }

    fn learning_ended(&mut self) {
        self.learned = true;
        if self.phase == Phase::Learning {
            self.phase = Phase::Attached;
        }
    }

    fn notification(
        &mut self,
        mut notification: Notification,
        handles: Vec<u64>,
        position: Position,
        merged: Vec<Position>,
    ) {
        let Receipt::Fresh(ordinal) = self.standing.receive(position, merged) else { return };
        notification.ordinal = ordinal;
        let explained_by = self.requests.last_bringing();
        self.inbound(Inbound::Notification { notification, handles, explained_by });
        let standing = &self.standing;
        self.subscriptions.tidy(|vector| standing.has_received(vector));
    }

    fn inbound(&mut self, inbound: Inbound) {
        self.inbox.push_back(inbound);
        self.release(Patience::UntilExplained);
    }

    /// Moves what need not wait to where the program takes it.
    fn release(&mut self, patience: Patience) {
        while let Some(inbound) = self.inbox.pop_front() {
            match inbound {
                Inbound::Notification { mut notification, handles, explained_by } => {
                    let known = handles.iter().filter_map(|&handle| self.subscriptions.id(handle)).cloned();
                    notification.subscriptions = known.collect();
                    let waits = patience == Patience::UntilExplained
                        && notification.subscriptions.len() < handles.len()
                        && (!self.learned || explained_by.is_some_and(|id| self.requests.brings_up_to(id)));
                    if waits {
                        self.inbox.push_front(Inbound::Notification { notification, handles, explained_by });
                        return;
                    }
                    self.ready.push_back(Event::Notification(notification));
                }
                Inbound::Other(event) => self.push(event),
            }
        }
    }

    /// Events that repeat while nobody reads are joined.
    fn push(&mut self, event: Event) {
        match (self.ready.back_mut(), event) {
            (Some(Event::Gap(earlier)), Event::Gap(gap)) => earlier.extend(&gap),
            (Some(Event::Resumed), Event::Resumed)
            | (Some(Event::Recreated), Event::Recreated)
            | (Some(Event::SubscriptionsLost), Event::SubscriptionsLost) => {}
            (_, event) => self.ready.push_back(event),
        }
    }

    /// The program asks for the next event; it is done with the one before, unless it acknowledges by itself.
    pub(crate) fn take(&mut self) -> Option<Event> {
        if self.acknowledgement == Acknowledgement::Automatic
            && let Some(ordinal) = self.in_hand.take()
        {
            self.processed(ordinal);
        }
        let event = self.ready.pop_front()?;
        if let Event::Notification(notification) = &event {
            self.in_hand = Some(notification.ordinal);
        }
        Some(event)
    }

    /// The program is done with everything up to this one.
    pub(crate) fn acknowledge(&mut self, notification: &Notification) {
        self.processed(notification.ordinal);
        if self.acknowledgement == Acknowledgement::Manual {
            self.processed_since_acknowledgement = ACKNOWLEDGE_EVERY;
        }
    }

    fn processed(&mut self, ordinal: Ordinal) {
        if self.standing.processed(ordinal) {
            self.processed_since_acknowledgement = self.processed_since_acknowledgement.saturating_add(1);
        }
    }

    /// What is granted together with the attach, so that nothing comes ungranted.
    pub(crate) fn first_credit(&mut self) -> Request {
        let total = self.credit().unwrap_or_default();
        self.granted = Some(total);
        Request::Credit(total)
    }

    /// Whether sending is worth the while now.
    pub(crate) fn wants_to_send(&self) -> bool {
        if !self.is_attached() {
            return false;
        }
        let acknowledges = self.processed_since_acknowledgement > 0
            && (self.ready.is_empty() || self.processed_since_acknowledgement >= ACKNOWLEDGE_EVERY);
        self.requests.has_unsent() || acknowledges || self.credit().is_some()
    }

    /// What to send now.
    pub(crate) fn send(&mut self, into: &mut Vec<Request>) {
        if !self.is_attached() {
            return;
        }
        while let Some((id, operation)) = self.requests.send() {
            into.push(Request::Operation(id, operation));
        }
        if let Some(through) = self.standing.acknowledgement() {
            into.push(Request::Acknowledge(through));
        }
        self.processed_since_acknowledgement = 0;
        if let Some(total) = self.credit() {
            self.granted = Some(total);
            into.push(Request::Credit(total));
        }
    }

    fn is_attached(&self) -> bool {
        match self.phase {
            Phase::Attached | Phase::Learning => true,
            Phase::New | Phase::Moving | Phase::Detached => false,
        }
    }

    /// A new total, if it is enough more than the last one.
    fn credit(&self) -> Option<u64> {
        let unfinished = self.standing.unprocessed().max(self.ready.len() + self.inbox.len());
        let room = self.window.saturating_sub(u64::try_from(unfinished).unwrap_or(u64::MAX));
        let total = self.arrived.saturating_add(room);
        match self.granted {
            None => Some(total),
            Some(granted) => (total >= granted.saturating_add(self.window.div_ceil(4))).then_some(total),
        }
    }
}

#[cfg(test)]
mod tests;
