//! Exit points that are told what is still to come of a fenced lane: by each layout anew, until they want nothing more. Who judges for
//! another one that is gone tells more by a later layout than by the one before.

use std::collections::BTreeSet;

use gomera_cluster::address::Address;
use gomera_cluster::layout::Epoch;

/// Those of one lane.
#[derive(Debug)]
pub struct Listeners {
    left: BTreeSet<Address>,
    /// The last layout by which they were told; 0 if they never were.
    told: Epoch,
}

impl Listeners {
    /// All of the layout by which the lane was found to be fenced. Who comes later regards it as ended.
    pub fn new(exit_points: &[Address]) -> Self {
        Self { left: exit_points.iter().copied().collect(), told: Epoch(0) }
    }

    /// A layout is in force with these exit points, in order.
    pub fn retain(&mut self, exit_points: &[Address]) {
        self.left.retain(|listener| exit_points.binary_search(listener).is_ok());
    }

    /// One wants nothing more.
    pub fn done(&mut self, listener: Address) {
        self.left.remove(&listener);
    }

    /// Those who have to be told by this layout: from now on they were.
    pub fn due(&mut self, by: Epoch) -> Vec<Address> {
        if self.told >= by {
            return Vec::new();
        }
        self.told = by;
        self.left.iter().copied().collect()
    }

    /// Whether it is one of them, and not done.
    pub fn has(&self, listener: Address) -> bool {
        self.left.contains(&listener)
    }

    /// Whether they were told at all.
    pub fn were_told(&self) -> bool {
        self.told > Epoch(0)
    }

    /// Whether nobody wants anything more.
    pub fn are_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether nothing is left to be done for them: others are told with them, also where none of them is left.
    pub fn are_over(&self) -> bool {
        self.were_told() && self.are_done()
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::address::{Incarnation, Shard};

    use super::*;

    #[test]
    fn who_is_neither_done_nor_gone_is_told_once_by_each_layout() {
        let other = |node| Address { node: Incarnation(node), shard: Shard(0) };
        let mut listeners = Listeners::new(&[other(1), other(2), other(3)]);
        assert!(!listeners.were_told());
        assert_eq!(listeners.due(Epoch(4)), [other(1), other(2), other(3)]);
        assert!(listeners.were_told() && listeners.due(Epoch(4)).is_empty());
        listeners.done(other(1));
        listeners.retain(&[other(1), other(3), other(4)]);
        assert_eq!(listeners.due(Epoch(5)), [other(3)], "who comes later regards the lane as ended");
        listeners.done(other(3));
        assert!(listeners.are_done());
    }
}
