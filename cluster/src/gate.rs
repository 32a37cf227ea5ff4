//! The gate of a machine: holds what comes from a later epoch until that layout is here, refuses senders that the layout
//! does not name, passes the rest. The first layout opens it.
//!
//! Invariant: what is held is bounded by the senders' credit, and by [`HELD_MAX`] should a sender ignore it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::layout::{Epoch, Layout};
use crate::machine::Received;

/// Most messages held for a layout to come; beyond it the oldest sender is at fault and its message is refused.
pub const HELD_MAX: usize = 65_536;

/// What became of a message at the gate.
#[derive(Debug)]
pub enum Passage<M> {
    /// Handle it now.
    Pass(Received<M>),
    /// Kept until its layout comes. The machine may ask the sender for that layout.
    Held {
        /// Whom to ask.
        ask: Address,
        /// From which epoch on.
        epoch: Epoch,
    },
    /// The layout does not name the sender (a zombie, say): dropped.
    Refused,
}

/// Keeps the layout a machine acts on and the messages that wait for a later one.
#[derive(Debug)]
pub struct Gate<M> {
    layout: Option<Arc<Layout>>,
    held: VecDeque<Received<M>>,
}

impl<M> Default for Gate<M> {
    fn default() -> Self {
        Self { layout: None, held: VecDeque::new() }
    }
}

impl<M> Gate<M> {
    /// The layout in force here.
    #[must_use]
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.as_ref()
    }

    /// The epoch in force here, 0 before the first layout.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.layout.as_ref().map_or(Epoch(0), |layout| layout.epoch)
    }

    /// Decides about one message.
    pub fn admit(&mut self, received: Received<M>) -> Passage<M> {
        let Some(layout) = &self.layout else {
            return self.hold(received);
        };
        if received.epoch > layout.epoch {
            return self.hold(received);
        }
        if layout.names(received.from) { Passage::Pass(received) } else { Passage::Refused }
    }

    fn hold(&mut self, received: Received<M>) -> Passage<M> {
        if self.held.len() >= HELD_MAX {
            return Passage::Refused;
        }
        let (ask, epoch) = (received.from, received.epoch);
        self.held.push_back(received);
        Passage::Held { ask, epoch }
    }

    /// Takes a layout in if it is newer than the one here; says whether it was. Then [`Gate::release`] gives what waited.
    pub fn install(&mut self, layout: Arc<Layout>) -> bool {
        let newer = layout.epoch > self.epoch();
        if newer {
            self.layout = Some(layout);
        }
        newer
    }

    /// What waited for the layout in force, in the order in which it came; refused senders' messages are dropped.
    pub fn release(&mut self) -> Vec<Received<M>> {
        let Some(layout) = self.layout.clone() else {
            return Vec::new();
        };
        let mut released = Vec::new();
        let mut later = VecDeque::new();
        for received in self.held.drain(..) {
            if received.epoch > layout.epoch {
                later.push_back(received);
            } else if layout.names(received.from) {
                released.push(received);
            }
        }
        self.held = later;
        released
    }
}
