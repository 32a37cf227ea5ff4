//! Operations of lanes that may be fenced: kept until all matchers concerned have them, and told to the others if the lane ends before.
//!
//! An operation is answered when every replica of its slice has it. When its lane is fenced, copies of the lane end at different
//! places, and of what is not answered some replicas have more than others. As a rule it is asked again; if its client is gone,
//! nobody does, and the replicas would differ for ever. So each matcher tells the others what it has; versions make of that the same
//! everywhere. Until all have told, a layout is not acted on and no snapshot begun, so that nobody comes in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::{LaneId, Number};

/// All lanes.
#[derive(Debug, Default)]
pub struct Tails {
    kept: BTreeMap<LaneId, VecDeque<(Number, Arc<Operation>)>>,
    /// Of fenced lanes, by which layout, and who has not told what he has.
    awaited: BTreeMap<LaneId, (Epoch, BTreeSet<Address>)>,
}

/// The other matchers.
pub fn others(layout: &Layout, address: Address) -> impl Iterator<Item = Address> + '_ {
    layout.machines(Layer::Matcher).filter(move |&other| other != address)
}

impl Tails {
    /// An operation is worked off.
    pub fn keep(&mut self, lane: LaneId, number: Number, operation: &Arc<Operation>) {
        self.kept.entry(lane).or_default().push_back((number, operation.clone()));
    }

    /// All up to there are everywhere.
    pub fn settle(&mut self, lane: LaneId, through: Number) {
        if let Some(kept) = self.kept.get_mut(&lane) {
            while kept.front().is_some_and(|&(number, _)| number <= through) {
                kept.pop_front();
            }
        }
    }

    /// What is kept of a lane that ends.
    pub fn take(&mut self, lane: LaneId) -> Vec<Arc<Operation>> {
        self.kept.remove(&lane).into_iter().flatten().map(|(_, operation)| operation).collect()
    }

    /// A layout has fenced a lane: these have to tell what they have.
    pub fn fence(&mut self, lane: LaneId, at: Epoch, others: impl Iterator<Item = Address>) {
        self.awaited.entry(lane).or_insert_with(|| (at, others.collect()));
        self.heard();
    }

    /// One of them has.
    pub fn hear(&mut self, lane: LaneId, from: Address) {
        if let Some((_, awaited)) = self.awaited.get_mut(&lane) {
            awaited.remove(&from);
        }
        self.heard();
    }

    /// Some are gone.
    pub fn retain(&mut self, lives: impl Fn(Address) -> bool) {
        self.awaited.values_mut().for_each(|(_, awaited)| awaited.retain(|&other| lives(other)));
        self.heard();
    }

    fn heard(&mut self) {
        self.awaited.retain(|_, (_, awaited)| !awaited.is_empty());
    }

    /// Whether all have told.
    pub fn are_heard(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The latest layout that can be acted on.
    pub fn acted_max(&self) -> Epoch {
        self.awaited.values().map(|&(at, _)| Epoch(at.0.saturating_sub(1))).min().unwrap_or(Epoch(u64::MAX))
    }

    /// Forgets lanes that are no more.
    pub fn forget(&mut self, is_left: impl Fn(LaneId) -> bool) {
        self.kept.retain(|&lane, _| is_left(lane));
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::identity::Generation;
    use gomera_cluster::operation::Version;

    use super::*;
    use crate::fixture::put;

    const LANE: LaneId = LaneId(1);

    #[test]
    fn what_is_settled_is_kept_no_more_and_the_rest_is_told_once() {
        let mut tails = Tails::default();
        for number in 1..=3 {
            let version = Version { generation: Generation(1), counter: number };
            tails.keep(LANE, Number(number), &Arc::new(put("s", "x", version, number, "a = 1")));
        }
        tails.settle(LANE, Number(2));
        let told = tails.take(LANE);
        assert_eq!(told.iter().map(|operation| operation.version.counter).collect::<Vec<_>>(), [3]);
        assert!(tails.take(LANE).is_empty());
    }

    #[test]
    fn a_layout_that_fences_a_lane_is_acted_on_when_all_others_have_told_or_are_gone() {
        use gomera_cluster::address::{Incarnation, Shard};
        let other = |node| Address { node: Incarnation(node), shard: Shard(0) };
        let mut tails = Tails::default();
        tails.fence(LANE, Epoch(5), [other(1), other(2)].into_iter());
        assert_eq!((tails.are_heard(), tails.acted_max()), (false, Epoch(4)));
        tails.hear(LANE, other(1));
        assert!(!tails.are_heard());
        tails.retain(|address| address != other(2));
        assert_eq!((tails.are_heard(), tails.acted_max()), (true, Epoch(u64::MAX)));
        tails.fence(LANE, Epoch(6), std::iter::empty());
        assert!(tails.are_heard(), "nobody else is there");
    }
}
