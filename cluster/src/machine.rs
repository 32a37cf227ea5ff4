//! The shape of every node: a machine is told events, asks for actions, and does no I/O. Two drivers run it, `host` and
//! `sim`.

use std::sync::Arc;

use crate::address::Address;
use crate::layout::{Epoch, Layout};
use crate::message::Message;
use crate::time::{Instant, WallClock};

/// Protocol logic without I/O, clock, randomness or unordered iteration.
pub trait Machine {
    /// What it can be told.
    type Event;
    /// What it can ask for.
    type Action;

    /// Takes one event in. Cannot fail: a stale, repeated or senseless event has an ordinary outcome.
    fn handle(&mut self, now: Instant, event: Self::Event);

    /// Called at or after the instant that [`Machine::poll_timeout`] gave.
    fn handle_timeout(&mut self, now: Instant);

    /// Moves the actions asked for so far into `into`, in order. Called after every batch of events.
    fn drain_actions(&mut self, into: &mut Vec<Self::Action>);

    /// When it wants [`Machine::handle_timeout`], if at all.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// A message as it came in: who sent it, and in which epoch the sender was.
#[derive(Clone, Debug)]
pub struct Received<M> {
    /// The sending machine.
    pub from: Address,
    /// The epoch of the sender's layout when it sent.
    pub epoch: Epoch,
    /// What it said.
    pub message: M,
}

/// What every machine of the data path can be told, `M` being the messages of its layer.
#[derive(Clone, Debug)]
pub enum NodeEvent<M> {
    /// A message from another machine. Links deliver first-in first-out and exactly once between two incarnations.
    Received(Received<M>),
    /// A layout that is proposed: from now on, whom it removes is refused, whatever becomes of it (a proposal is never withdrawn,
    /// only superseded by one that removes them as well). Said before the proposal is acknowledged.
    Proposed(Arc<Layout>),
    /// A committed layout; older ones than the machine has are ignored.
    Layout(Arc<Layout>),
    /// What the wall clock shows. The first comes before any other event, then about every second.
    Clock(WallClock),
}

/// What every machine of the data path can ask for.
#[derive(Clone, Debug)]
pub struct Send {
    /// The machine to reach.
    pub to: Address,
    /// What to tell it.
    pub message: Message,
}
