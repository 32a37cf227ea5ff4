//! The end of a lane: by plan, with its `Close`; or by a layout that fences it, because its writer is dead.
//!
//! ```text
//!   open ──Close──▶ closed ──layout──▶ dropped
//!     └────────layout────▶ fenced: exit points are told what is to come, by each layout anew ──all want nothing more──▶ over
//! ```
//! What is kept of a fenced lane stays until all exit points have merged it to its cut. A matcher that dies before may have told one of
//! them more than another: then whoever has its slices now judges its own copy by them, also if it judged by others for one that died
//! earlier.

use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::layout::{Epoch, LaneEnd, Layout};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{LaneBegins, LaneCut, Reach, ToExitPoint, Witness};
use gomera_cluster::message::matcher::Entry;
use gomera_cluster::position::Number;
use gomera_cluster::publication::Envelope;

use super::Lane;
use crate::listeners::Listeners;
use crate::output::Output;
use crate::ownership::Ownership;

/// Whether more entries are to come.
#[derive(Debug)]
pub(super) enum Ending {
    /// They are.
    Open,
    /// `Close` is worked off.
    Closed,
    /// A layout has dropped it, closed: what is queued ends with its `Close`.
    Dropped(Epoch),
    /// A layout has fenced it: the copy ends where it is.
    Fenced(Fence),
}

/// A lane whose writer is dead.
#[derive(Debug)]
pub(super) struct Fence {
    at: Epoch,
    /// By these slices the copy is judged for others that are dead.
    judged_again: SliceSet,
    listeners: Listeners,
}

impl Ending {
    /// A layout is in force with these exit points.
    pub(super) fn retain(&mut self, exit_points: &[Address]) {
        match self {
            Self::Fenced(fence) => fence.listeners.retain(exit_points),
            Self::Open | Self::Closed | Self::Dropped(_) => {}
        }
    }
}

impl Lane {
    /// The last layout whose barrier is worked off, or that needs none here.
    pub fn passed(&self) -> Epoch {
        match self.ending {
            Ending::Open => self.passed,
            Ending::Closed => Epoch(u64::MAX),
            Ending::Dropped(at) | Ending::Fenced(Fence { at, .. }) => self.passed.max(Epoch(at.0 - 1)),
        }
    }

    /// The latest layout does not have the lane. Says how many slices others have left to be judged with it, of a lane that is fenced.
    pub fn end(&mut self, latest: &Ownership) -> usize {
        let layout = latest.layout();
        if matches!(self.ending, Ending::Open | Ending::Closed) {
            self.ending = match layout.ended.get(&self.id) {
                Some(&(LaneEnd::Fenced, at)) => {
                    let listeners = Listeners::new(&latest.exit_points);
                    Ending::Fenced(Fence { at, judged_again: SliceSet::default(), listeners })
                }
                Some(&(LaneEnd::Closed, at)) => Ending::Dropped(at),
                // Everybody has acted on its end already, this shard by being closed.
                None => Ending::Dropped(layout.epoch),
            };
        }
        let Self { ending, retained, queue, again, received, .. } = self;
        match ending {
            Ending::Fenced(fence) if fence.listeners.are_done() => 0,
            Ending::Fenced(fence) => {
                // Who has come since does not have the lane, and wants nothing of it.
                again.tell_only(|to| fence.listeners.has(to));
                let queued = queue.iter().flat_map(|run| run.entries.as_slice());
                let is_new = |slice| !fence.judged_again.contains(slice);
                let runs = retained.left_unsaid(latest, fence.at, is_new, queued, *received);
                let mut left = 0;
                for run in runs {
                    left += run.slices.len();
                    fence.judged_again.unite(&run.slices);
                    again.receive(run);
                }
                left
            }
            Ending::Open | Ending::Closed | Ending::Dropped(_) => {
                retained.end();
                0
            }
        }
    }

    /// Whether it is fenced, and nobody was told so.
    pub fn is_cut(&self) -> bool {
        matches!(&self.ending, Ending::Fenced(fence) if !fence.listeners.were_told())
    }

    /// Whether it is fenced, and exit points were told.
    pub fn is_told(&self) -> bool {
        matches!(&self.ending, Ending::Fenced(fence) if fence.listeners.were_told())
    }

    /// Tells exit points what is to come of a fenced lane, once by each layout, as long as they want anything; those too for which it has
    /// not begun. `by` reads a layout that stands in it.
    pub fn tell_cut(
        &mut self,
        latest: &Ownership,
        by: impl Fn(&Arc<Layout>) -> Arc<Ownership>,
        actions: &mut Vec<Send>,
    ) {
        let Ending::Fenced(fence) = &mut self.ending else { return };
        let listeners = fence.listeners.due(latest.epoch());
        if listeners.is_empty() {
            return;
        }
        // Where it begins for somebody is not to come any more.
        actions.append(&mut self.exits.actions);
        let barriers = self.queue.iter().flat_map(|run| run.entries.as_slice());
        let barriers = barriers.filter_map(|(number, entry)| match entry {
            Entry::Barrier(layout) => Some((*number, layout)),
            Entry::Publication(_) | Entry::Operation(_) | Entry::Close => None,
        });
        // What governs the lane from where on.
        let mut governed = vec![(Number::ZERO, self.governed.clone())];
        for (number, layout) in barriers {
            if governed.last().is_some_and(|(_, last)| layout.epoch > last.epoch()) {
                // The barrier itself is judged by those before, if anybody was.
                let from = if number == Number::ZERO.next() { Number::ZERO } else { number };
                governed.push((from, by(layout)));
            }
        }
        for to in listeners {
            let (mut reach, reached) = match self.outputs.iter().find(|output| output.address() == to) {
                Some(output) => {
                    let (pending, reached) = output.to_come();
                    (pending.collect::<Vec<_>>(), reached)
                }
                // It will be told that the lane begins where the barrier stands that lets it in, or that it ends before it begins.
                None => {
                    let lets_in = |(_, by): &&(Number, Arc<Ownership>)| by.exit_points.binary_search(&to).is_ok();
                    let begins = governed.iter().skip(1).find(lets_in).map_or(self.received, |&(from, _)| from);
                    (vec![Reach { slices: latest.all_slices(), from: Number::ZERO, to: begins }], begins)
                }
            };
            let ends = governed.iter().skip(1).map(|&(from, _)| from).chain([self.received]);
            for ((from, by), to) in governed.iter().zip(ends) {
                let from = reached.max(*from);
                if from < to && !by.active.is_empty() {
                    reach.push(Reach { slices: by.active.clone(), from, to });
                }
            }
            reach.extend(self.again.to_come(to));
            let cut = ToExitPoint::LaneCut(LaneCut { lane: self.id, reach });
            actions.push(Send { to, message: Message::ExitPoint(cut) });
        }
    }

    /// The lane is worked off to its end, and some exit points were let in by a barrier that never came here: it ends before it begins
    /// for them.
    pub(super) fn tell_unbegun(&mut self) {
        let governed = match &self.ending {
            Ending::Fenced(fence) if fence.listeners.were_told() => Some(self.governed.epoch()),
            Ending::Closed => None,
            Ending::Open | Ending::Dropped(_) | Ending::Fenced(_) => return,
        };
        if self.queue.is_empty() {
            let unbegun = self.exits.unbegun(&self.outputs);
            let (lane, after, by) = (self.id, self.processed, Witness::Before);
            self.exits.tell(unbegun, LaneBegins { lane, after, governed, by });
        }
    }

    /// A publication is judged once more. If the lane is fenced, exit points are told of it whatever it satisfies: one that is gone may have
    /// sent it to clients on the word of a matcher that is gone, by what has changed since, and the next copy of it, on another lane, has to
    /// be known as its second.
    pub fn tell_again(&mut self, number: Number, envelope: &Arc<Envelope>, by: &Arc<SliceSet>) {
        if matches!(self.ending, Ending::Fenced(_)) {
            self.again.tell(number, envelope, by);
        }
    }

    /// An exit point wants nothing more.
    pub fn done(&mut self, from: Address) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.address() == from) {
            output.finish();
        }
        self.again.done(from);
        match &mut self.ending {
            Ending::Fenced(fence) => fence.listeners.done(from),
            Ending::Open | Ending::Closed | Ending::Dropped(_) => {}
        }
    }

    /// Whether it ends: nothing that is still to come has to be waited for.
    pub fn ends(&self) -> bool {
        !matches!(self.ending, Ending::Open)
    }

    /// Whether nothing is left to be done: a layout has ended it, everything is worked off and told, and all exit points have merged what
    /// is fenced to its cut.
    pub fn is_over(&self) -> bool {
        let ended = match &self.ending {
            Ending::Dropped(_) => true,
            Ending::Fenced(fence) => fence.listeners.are_over(),
            Ending::Open | Ending::Closed => false,
        };
        ended && self.queue.is_empty() && self.outputs.iter().all(Output::is_empty) && self.again.is_over()
    }
}
