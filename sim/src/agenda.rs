//! What is due when. One heap orders everything that will happen; things due at the same instant happen in the order in which
//! they were entered, so that a run is a function of its seed alone.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Epoch;
use gomera_cluster::time::Instant;

use crate::doors::ConnectionIndex;
use crate::network::LinkIndex;
use crate::node::NodeIndex;

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The oldest frame of a link arrives.
    Link(LinkIndex),
    /// A machine works on what it has received, or on its timeout.
    Work(NodeIndex),
    /// A machine is shown the wall clock.
    Clock(NodeIndex),
    /// A committed layout reaches a machine from the coordinator.
    Layout(NodeIndex, Epoch),
    /// The oldest request of a client connection arrives at its connection point.
    Upward(ConnectionIndex),
    /// The oldest reply of a client connection arrives at the client.
    Downward(ConnectionIndex),
    /// A publisher does something.
    Publisher(usize),
    /// A subscriber does something.
    Subscriber(usize),
    /// The world does something bad.
    Fault,
    /// A proposal reaches a machine from the coordinator.
    Proposed(NodeIndex, Epoch),
    /// The operator wants something else.
    Change,
    /// The coordinator looks at what there is.
    Coordinate,
    /// A node stops: it crashes, or is paused and taken for dead.
    Stop,
    /// This node is declared dead, or its session with the coordination service ends.
    Drop(Incarnation),
    /// An operator asks for something.
    Ask,
    /// Somebody wants an operation cancelled that was asked for by this number.
    Cancel(usize),
    /// Whoever leads dies or is paused.
    Overthrow,
    /// Something happens to a coordinator.
    Turn(Turn),
}

/// What happens to a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This write arrives at the coordination service.
    Arrives(usize),
    /// What became of it is heard.
    Heard(usize),
    /// The session of this coordinator ends, if it still stands in this life of it.
    Expires(usize, u64),
    /// This coordinator comes back, or wakes up, if it still stands in this life of it.
    Returns(usize, u64),
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    order: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed: the heap gives the greatest, we want the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Everything that is due.
#[derive(Debug, Default)]
pub struct Agenda {
    heap: BinaryHeap<Entry>,
    order: u64,
}

impl Agenda {
    /// Enters something.
    pub fn enter(&mut self, at: Instant, due: Due) {
        self.order += 1;
        self.heap.push(Entry { at, order: self.order, due });
    }

    /// Takes what is due next.
    pub fn take_next(&mut self) -> Option<(Instant, Due)> {
        self.heap.pop().map(|entry| (entry.at, entry.due))
    }

    /// When something is due next.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }
}
