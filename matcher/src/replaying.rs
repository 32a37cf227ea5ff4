//! What a lane is judged by once more, because another matcher died: runs of retained entries, each against the slices that the dead
//! one owned and this shard owns now. They have credit, a queue and outputs of their own, and wait for nothing else of the lane: what
//! they say is what lets exit points take the rest in.
//!
//! They are judged by the state that there is now. It contains every operation that was answered before; one that is not may decide
//! about them or not.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, ReceiveCredit, Total};
use gomera_cluster::machine::Send;
use gomera_cluster::message::exit_point::{Mark, Reach, Target};
use gomera_cluster::message::matcher::{Entry, Replay};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::Envelope;

use crate::config::Config;
use crate::output::Output;
use crate::ownership::Ownership;

#[derive(Debug)]
struct Run {
    slices: Arc<SliceSet>,
    to: Number,
    cost: u64,
    entries: std::vec::IntoIter<(Number, Entry)>,
    begun: bool,
    from: Number,
}

/// What one lane has to judge once more.
#[derive(Debug)]
pub struct Replaying {
    queue: VecDeque<Run>,
    lane: LaneId,
    credit: ReceiveCredit,
    /// In the order of the exit points of the latest layout.
    outputs: Vec<Output>,
    frame_bytes_max: u64,
    output_bytes_max: u64,
}

impl Replaying {
    /// Nothing yet.
    pub fn new(lane: LaneId, config: &Config, ownership: &Ownership) -> Self {
        let output = |&to| Output::new(to, lane, Class::Replay, config.frame_bytes_max);
        Self {
            queue: VecDeque::new(),
            lane,
            frame_bytes_max: config.frame_bytes_max,
            credit: ReceiveCredit::new(config.lane_window_bytes),
            outputs: ownership.exit_points.iter().map(output).collect(),
            output_bytes_max: config.output_bytes_max,
        }
    }

    /// A layout is in force. An exit point that comes now has begun beyond everything that is judged once more already.
    pub fn follow(&mut self, latest: &Ownership) {
        let mut before = std::mem::take(&mut self.outputs);
        let reached = before.first().map_or(Number::ZERO, Output::reached);
        for &to in &latest.exit_points {
            let known = before.iter().position(|output| output.address() == to);
            self.outputs.push(known.map_or_else(
                || {
                    let mut output = Output::new(to, self.lane, Class::Replay, self.frame_bytes_max);
                    output.begin_at(reached);
                    output
                },
                |index| before.swap_remove(index),
            ));
        }
    }

    /// A run comes in.
    pub fn receive(&mut self, replay: Replay) {
        let cost = replay.cost();
        let Replay { lane: _, slices, from, to, entries } = replay;
        self.queue.push_back(Run { slices, to, cost, entries: entries.into_iter(), begun: false, from });
    }

    /// An exit point lets so much be sent.
    pub fn grant(&mut self, from: Address, total: Total) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.address() == from) {
            output.grant(total);
        }
    }

    /// An exit point wants nothing more.
    pub fn done(&mut self, from: Address) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.address() == from) {
            output.finish();
        }
    }

    /// Of a lane that is fenced: nothing is told to others than these.
    pub fn tell_only(&mut self, listens: impl Fn(Address) -> bool) {
        self.outputs.iter_mut().filter(|output| !listens(output.address())).for_each(Output::finish);
    }

    /// What an exit point will still be told.
    pub fn to_come(&self, to: Address) -> Vec<Reach> {
        let told = self.outputs.iter().filter(|output| output.address() == to).flat_map(|output| output.to_come().0);
        // Of the run in hand the first part may be among them.
        let queued = self.queue.iter().map(|run| Reach { slices: run.slices.clone(), from: run.from, to: run.to });
        told.chain(queued).collect()
    }

    /// Whether everything is judged and told.
    pub fn is_over(&self) -> bool {
        self.queue.is_empty() && self.outputs.iter().all(Output::is_empty)
    }

    /// The slices that anything waits for.
    pub fn slices(&self) -> SliceSet {
        let mut all = SliceSet::default();
        self.queue.iter().for_each(|run| all.unite(&run.slices));
        all
    }

    /// Whether anything waits.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether [`Replaying::next_entry`] would give something or come to the end of a run.
    pub fn is_runnable(&self) -> bool {
        !self.queue.is_empty() && self.outputs.iter().all(|output| output.bytes() < self.output_bytes_max)
    }

    /// The next entry to judge, and by what, if outputs have room.
    pub fn next_entry(&mut self) -> Option<(Number, Entry, Arc<SliceSet>)> {
        while self.is_runnable() {
            let Self { queue, outputs, .. } = self;
            let run = queue.front_mut()?;
            if !run.begun {
                run.begun = true;
                outputs.iter_mut().for_each(|output| output.begin_at(run.from));
            }
            if let Some((number, entry)) = run.entries.next() {
                return Some((number, entry, run.slices.clone()));
            }
            outputs.iter_mut().for_each(|output| output.reach(run.to, &run.slices));
            self.credit.consume(run.cost);
            queue.pop_front();
        }
        None
    }

    /// A session has satisfied subscriptions; these are its exit points.
    pub fn push(
        &mut self,
        number: Number,
        envelope: &Arc<Envelope>,
        target: &Target,
        to: &Ownership,
        by: &Arc<SliceSet>,
    ) {
        for exit in to.exits(target.session) {
            self.outputs[exit.index()].push(number, envelope, target.clone(), by);
        }
    }

    /// The publication at `number` is told to everybody, whether or not it satisfies anything.
    pub fn tell(&mut self, number: Number, envelope: &Arc<Envelope>, by: &Arc<SliceSet>) {
        for output in &mut self.outputs {
            output.tell(number, envelope, by);
        }
    }

    /// A barrier or a close stands at `number`.
    pub fn mark(&mut self, number: Number, mark: Mark, by: &Arc<SliceSet>) {
        self.outputs.iter_mut().for_each(|output| output.mark(number, mark, by));
    }

    /// Bytes that wait for credit.
    pub fn output_bytes(&self) -> u64 {
        self.outputs.iter().map(Output::bytes).sum()
    }

    /// Sends what can be sent now; says how many frames.
    pub fn flush(&mut self, actions: &mut Vec<Send>) -> u64 {
        self.outputs.iter_mut().map(|output| output.flush(actions)).sum()
    }

    /// What to grant now.
    pub fn credit(&mut self) -> Option<Total> {
        self.credit.grant()
    }
}
