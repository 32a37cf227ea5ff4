//! What is said once of a lane whose writer is dead: to exit points, what is still to come of it; to other matchers, which operations of
//! it are here and may not have come to them.

use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::layout::{Epoch, LaneEnd, Layout};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{LaneCut, ToExitPoint};
use gomera_cluster::message::matcher::{LaneSettled, LaneTail, ToMatcher};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::time::Instant;

use super::{Serving, tails};
use crate::listeners::Listeners;
use crate::ownership::Ownership;
use crate::replicas::Admission;
use crate::subscriptions::Limits;

impl Serving {
    /// All matchers have these operations of a lane.
    pub fn settle(&mut self, settled: LaneSettled) {
        self.tails.settle(settled.lane, settled.through);
    }

    /// What another one has of a fenced lane, which may be more than what came here.
    pub fn take_tail(&mut self, now: Instant, from: Address, tail: &LaneTail) {
        let Self { ownership, replicas, subscriptions, tails, .. } = self;
        for operation in &tail.operations {
            let Some(key) = operation.change.subscription() else {
                replicas.hear(operation);
                subscriptions.apply_to_all(now, operation, &SliceSet::default(), Vector::default);
                continue;
            };
            let slice = ownership.layout().slice_of_subscription(key);
            let is_to_apply = match replicas.admit(slice, operation, subscriptions) {
                Admission::Apply => replicas.are_whole(&std::iter::once(slice).collect()),
                Admission::Kept => false,
            };
            if is_to_apply {
                // Whatever there is room for here: all replicas have to have the same.
                subscriptions.apply_to_slice(operation, slice, Limits::Waived, Vector::default);
            }
        }
        tails.hear(tail.lane, from);
    }

    /// Lanes that layouts after one have fenced, and that never came here: nothing of them will be said, by this layout and later ones.
    pub(super) fn hear_of_fenced(&mut self, known: Epoch) {
        let Self { ownership, lanes, never_known, .. } = self;
        never_known.values_mut().for_each(|listeners| listeners.retain(&ownership.exit_points));
        never_known.retain(|_, listeners| !listeners.are_over());
        let fenced = fenced_after(ownership.layout(), known).filter(|id| !lanes.contains_key(id));
        never_known.extend(fenced.map(|id| (id, Listeners::new(&ownership.exit_points))));
    }

    /// Says what is still to come of fenced lanes.
    pub(super) fn tell_cuts(&mut self, actions: &mut Vec<Send>) {
        let Self { lanes, layouts, ownership, never_known, tails, .. } = self;
        let mut tell_tail = |lane, operations: Vec<Arc<Operation>>| {
            for to in tails::others(ownership.layout(), ownership.address()) {
                let tail = LaneTail { lane, operations: operations.clone() };
                actions.push(Send { to, message: Message::Matcher(ToMatcher::LaneTail(tail)) });
            }
        };
        for (&lane, _) in never_known.iter().filter(|(_, listeners)| !listeners.were_told()) {
            tell_tail(lane, Vec::new());
        }
        for (&id, lane) in lanes.iter().filter(|(_, lane)| lane.is_cut()) {
            let mut operations = tails.take(id);
            operations.extend(lane.operations_queued());
            tell_tail(id, operations);
        }
        for (&lane, listeners) in &mut *never_known {
            for to in listeners.due(ownership.epoch()) {
                let cut = ToExitPoint::LaneCut(LaneCut { lane, reach: Vec::new() });
                actions.push(Send { to, message: Message::ExitPoint(cut) });
            }
        }
        never_known.retain(|_, listeners| !listeners.are_over());
        let by = |layout: &Arc<Layout>| {
            let read = || Arc::new(Ownership::new(layout.clone(), ownership.address()));
            layouts.get(&layout.epoch).cloned().unwrap_or_else(read)
        };
        for lane in lanes.values_mut() {
            lane.tell_cut(ownership, by, actions);
        }
    }
}

/// Lanes that layouts after one have fenced.
pub(super) fn fenced_after(layout: &Layout, epoch: Epoch) -> impl Iterator<Item = LaneId> {
    let fenced = layout.ended.iter().filter(move |&(_, &(end, at))| end == LaneEnd::Fenced && at > epoch);
    fenced.map(|(&id, _)| id)
}
