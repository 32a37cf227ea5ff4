//! The gate of a machine: holds what comes from a later epoch until that layout is here, refuses senders that the layout
//! does not name or that a proposal removes, passes the rest. The first layout opens it.
//!
//! Invariant: what is held is bounded by the senders' credit, and by [`HELD_MAX`] should a sender ignore it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::Address;
use crate::layout::{Epoch, Layout};
use crate::machine::Received;
use crate::rules::{self, Rule};

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
    /// What is to come into force next, if that is known.
    proposal: Option<Arc<Layout>>,
}

impl<M> Default for Gate<M> {
    fn default() -> Self {
        Self { layout: None, held: VecDeque::new(), proposal: None }
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
        if self.lets_in(layout, received.from) { Passage::Pass(received) } else { Passage::Refused }
    }

    fn lets_in(&self, layout: &Layout, from: Address) -> bool {
        let is_named = layout.names(from) && self.proposal.as_ref().is_none_or(|proposal| proposal.names(from));
        is_named || !rules::holds(Rule::RemovedAreRefused)
    }

    /// The latest layout that was proposed or came into force here, 0 before the first.
    #[must_use]
    pub fn proposed(&self) -> Epoch {
        self.proposal.as_ref().map_or(self.epoch(), |proposal| proposal.epoch)
    }

    /// What was proposed and is not in force here.
    #[must_use]
    pub fn proposal(&self) -> Option<&Layout> {
        self.proposal.as_deref()
    }

    /// Takes a proposal in: whom it removes is refused from now on. Says whether it was news.
    pub fn propose(&mut self, proposal: Arc<Layout>) -> bool {
        let newer = proposal.epoch > self.proposed();
        if newer {
            self.proposal = Some(proposal);
        }
        newer
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
            self.proposal.take_if(|proposal| proposal.epoch <= layout.epoch);
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
        for received in std::mem::take(&mut self.held) {
            if received.epoch > layout.epoch {
                later.push_back(received);
            } else if self.lets_in(&layout, received.from) {
                released.push(received);
            }
        }
        self.held = later;
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Incarnation, Layer, Shard};
    use crate::layout::{Member, Settings};
    use crate::position::LaneId;

    fn layout(epoch: u64, nodes: &[u64]) -> Arc<Layout> {
        let member = || Member {
            layer: Layer::AccessPoint,
            name: Arc::from("a"),
            link_address: Arc::from(""),
            client_address: Arc::from(""),
            shards: 1,
        };
        let members = nodes.iter().map(|&node| (Incarnation(node), member())).collect();
        Arc::new(Layout::initial(Settings::default(), members, 1, Epoch(epoch), LaneId(1)))
    }

    fn received(node: u64, epoch: u64, message: u32) -> Received<u32> {
        let from = Address { node: Incarnation(node), shard: Shard(0) };
        Received { from, epoch: Epoch(epoch), message }
    }

    fn messages(released: Vec<Received<u32>>) -> Vec<u32> {
        released.into_iter().map(|received| received.message).collect()
    }

    #[test]
    fn nothing_passes_before_the_first_layout_and_then_everything_in_order() {
        let mut gate = Gate::default();
        for message in 1..=3 {
            assert!(matches!(gate.admit(received(7, 1, message)), Passage::Held { epoch: Epoch(1), .. }));
        }
        assert!(gate.install(layout(1, &[7])));
        assert_eq!(messages(gate.release()), [1, 2, 3]);
        assert_eq!(messages(gate.release()), [0; 0]);
        assert!(matches!(gate.admit(received(7, 1, 4)), Passage::Pass(_)));
    }

    #[test]
    fn a_later_epoch_waits_for_its_layout_and_an_earlier_one_does_not() {
        let mut gate = Gate::default();
        gate.install(layout(2, &[7]));
        assert!(matches!(gate.admit(received(7, 1, 1)), Passage::Pass(_)));
        assert!(matches!(gate.admit(received(7, 4, 2)), Passage::Held { .. }));
        assert!(matches!(gate.admit(received(7, 3, 3)), Passage::Held { .. }));
        gate.install(layout(3, &[7]));
        assert_eq!(messages(gate.release()), [3]);
        assert!(!gate.install(layout(2, &[7])), "an older layout is no news");
        gate.install(layout(4, &[7]));
        assert_eq!(messages(gate.release()), [2]);
    }

    #[test]
    fn whom_the_layout_does_not_name_is_refused_also_if_it_waited() {
        let mut gate = Gate::default();
        gate.install(layout(1, &[7, 8]));
        assert!(matches!(gate.admit(received(9, 1, 1)), Passage::Refused));
        assert!(matches!(gate.admit(received(8, 2, 2)), Passage::Held { .. }));
        gate.install(layout(2, &[7]));
        assert_eq!(messages(gate.release()), [0; 0]);
        assert!(matches!(gate.admit(received(8, 1, 3)), Passage::Refused));
    }

    #[test]
    fn whom_a_proposal_removes_is_refused_before_it_is_in_force_and_nobody_else() {
        let mut gate = Gate::default();
        gate.install(layout(1, &[7, 8]));
        assert!(gate.propose(layout(2, &[7, 9])));
        assert!(!gate.propose(layout(2, &[7, 9])), "it is known");
        assert_eq!((gate.proposed(), gate.epoch()), (Epoch(2), Epoch(1)));
        assert!(matches!(gate.admit(received(8, 1, 1)), Passage::Refused));
        assert!(matches!(gate.admit(received(7, 1, 2)), Passage::Pass(_)));
        assert!(matches!(gate.admit(received(9, 2, 3)), Passage::Held { .. }), "it is let in with the layout");
        // What takes the proposal's place removes those as well, and a layout that was skipped changes nothing.
        assert!(gate.propose(layout(3, &[7])));
        gate.install(layout(3, &[7]));
        assert_eq!(messages(gate.release()), [0; 0]);
        assert!(!gate.propose(layout(2, &[7, 8])), "an older proposal is no news");
        assert_eq!(gate.proposed(), Epoch(3));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut gate = Gate::default();
        for message in 0..u32::try_from(HELD_MAX).expect("small") {
            assert!(matches!(gate.admit(received(7, 1, message)), Passage::Held { .. }));
        }
        assert!(matches!(gate.admit(received(7, 1, 0)), Passage::Refused));
    }
}
