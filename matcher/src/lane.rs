//! One lane as a matcher sees it: an input of entries, worked off strictly in order and in steps, and an output for each
//! exit-point shard.
//!
//! ```text
//!   writer ──Entries──▶ queue ──next──▶ judged, applied ──▶ outputs ──Matches──▶ exit points
//!          ◀──credit──  (a frame is freed when it is worked off)
//!          ◀─Progress─
//! ```
//! What governs it, and so the slices that it is judged by, changes at barriers, in the stream: entries before barrier e are worked
//! off by the layout before e, those after it by e.
//!
//! Invariants: `processed <= received`, both rise; while an output is full nothing is worked off, so what is queued is
//! bounded by the credit granted to the writer.

mod ending;

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{Class, ReceiveCredit};
use gomera_cluster::layout::Epoch;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::{EntriesCredit, Progress, ToAccessPoint};
use gomera_cluster::message::exit_point::{LaneBegins, Mark, Target, Witness};
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::message::snapshot::SubscriptionState;
use gomera_cluster::operation::{Operation, Outcome};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::Envelope;

use crate::config::Config;
use crate::exits::Exits;
use crate::output::Output;
use crate::ownership::Ownership;
use crate::replaying::Replaying;
use crate::retained::Retained;
use ending::Ending;

#[derive(Debug)]
struct Run {
    to: Number,
    cost: u64,
    entries: std::vec::IntoIter<(Number, Entry)>,
}

/// Whether entries of a lane have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
}

/// One lane.
#[derive(Debug)]
pub struct Lane {
    id: LaneId,
    writer: Address,
    governed: Arc<Ownership>,
    /// The last barrier worked off.
    passed: Epoch,
    credit: ReceiveCredit,
    queue: VecDeque<Run>,
    queued_bytes: u64,
    begun: Begun,
    received: Number,
    processed: Number,
    reported: Number,
    outcomes: Vec<(Number, Outcome)>,
    refused: Vec<(Number, Option<Box<SubscriptionState>>)>,
    /// What it takes to tell them.
    outcome_bytes: u64,
    /// In the order of the exit points of `governed`.
    outputs: Vec<Output>,
    exits: Exits,
    output_bytes_max: u64,
    retained: Retained,
    /// What is judged once more, for others that died.
    pub again: Replaying,
    ending: Ending,
}

impl Lane {
    /// A lane that begins.
    pub fn new(id: LaneId, writer: Address, config: &Config, ownership: &Arc<Ownership>) -> Self {
        let output = |&to| Output::new(to, id, Class::Live, config.frame_bytes_max);
        Self {
            id,
            writer,
            governed: ownership.clone(),
            passed: Epoch(0),
            credit: ReceiveCredit::new(config.lane_window_bytes),
            queue: VecDeque::new(),
            queued_bytes: 0,
            begun: Begun::No,
            received: Number::ZERO,
            processed: Number::ZERO,
            reported: Number::ZERO,
            outcomes: Vec::new(),
            refused: Vec::new(),
            outcome_bytes: 0,
            outputs: ownership.exit_points.iter().map(output).collect(),
            exits: Exits::new(config.frame_bytes_max, &ownership.exit_points),
            output_bytes_max: config.output_bytes_max,
            retained: Retained::new(id, ownership.layout()),
            again: Replaying::new(id, config, ownership),
            ending: Ending::Open,
        }
    }

    /// Who writes it.
    pub fn writer(&self) -> Address {
        self.writer
    }

    /// What entries are worked off by.
    pub fn governed(&self) -> &Arc<Ownership> {
        &self.governed
    }

    /// The lane has passed the barrier of a later layout, at `number`: exit points that it names newly are told from there on.
    pub fn govern(&mut self, ownership: Arc<Ownership>, number: Number) {
        let was_governed = self.governed.epoch() > Epoch(0);
        let newly = self.exits.change(self.id, &mut self.outputs, &ownership, number);
        // Who reads the lane from this barrier on itself knows only of some that they were there before.
        if was_governed && number > Number::ZERO.next() {
            let (lane, governed, by) = (self.id, Some(ownership.epoch()), Witness::Before);
            self.exits.tell(newly, LaneBegins { lane, after: number, governed, by });
        } else if number > Number::ZERO.next() {
            let (lane, governed, by) = (self.id, Some(ownership.epoch()), Witness::Newcomer);
            let is_stranger = |to: &Address| self.exits.lives(*to) && !ownership.holds_sessions(*to);
            let strangers = ownership.exit_points.iter().copied().filter(is_stranger).collect();
            self.exits.tell(strangers, LaneBegins { lane, after: number, governed, by });
        }
        self.governed = ownership;
    }

    /// A layout is in force with these exit points. Who is gone is told nothing more; who will come is listened to.
    pub fn follow(&mut self, latest: &Ownership) {
        self.exits.retain(&latest.exit_points);
        for output in &mut self.outputs {
            if latest.exit_points.binary_search(&output.address()).is_err() {
                output.finish();
            }
        }
        self.again.follow(latest);
        self.retained.follow(latest.layout());
        self.ending.retain(&latest.exit_points);
    }

    /// Operations that are not worked off.
    pub fn operations_queued(&self) -> impl Iterator<Item = Arc<Operation>> + '_ {
        self.queue.iter().flat_map(|run| run.entries.as_slice()).filter_map(|(_, entry)| match entry {
            Entry::Operation(operation) => Some(operation.clone()),
            Entry::Publication(_) | Entry::Barrier(_) | Entry::Close => None,
        })
    }

    /// A barrier is worked off.
    pub fn pass(&mut self, epoch: Epoch) {
        self.passed = self.passed.max(epoch);
    }

    /// The last number worked off.
    pub fn processed(&self) -> Number {
        self.processed
    }

    /// Frames that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Their bytes.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Bytes of what is kept until all exit points have merged it.
    pub fn retained_bytes(&self) -> u64 {
        self.retained.bytes()
    }

    /// Bytes of matches that wait for credit.
    pub fn output_bytes(&self) -> u64 {
        self.outputs.iter().map(Output::bytes).sum::<u64>() + self.again.output_bytes()
    }

    /// Entries come in. A run that is not the next one is a repeat, and dropped.
    ///
    /// # Panics
    /// If it leaves a hole: links lose nothing.
    pub fn receive(&mut self, entries: Entries) {
        let cost = entries.cost();
        let Entries { lane: _, class: _, from, to, entries, merged } = entries;
        if self.begun == Begun::No {
            self.begin_at(from);
        }
        self.retained.let_go(merged);
        assert!(from <= self.received, "lane {} goes from {} to {}", self.id, self.received.0, from.0);
        if to <= self.received {
            self.credit.consume(cost);
            return;
        }
        assert!(from == self.received, "runs of lane {} overlap at {}", self.id, from.0);
        self.received = to;
        self.queued_bytes += cost;
        self.queue.push_back(Run { to, cost, entries: entries.into_iter() });
    }

    /// Whoever becomes a matcher when the lane exists already is sent it from the barrier of the layout on that says so.
    fn begin_at(&mut self, from: Number) {
        self.begun = Begun::Yes;
        (self.received, self.processed, self.reported) = (from, from, from);
        self.retained.begin_at(from);
        for output in &mut self.outputs {
            output.begin_at(from);
        }
    }

    /// An exit point grants credit.
    pub fn grant(&mut self, from: Address, credit: MatchesCredit) {
        match credit.class {
            Class::Live => {
                self.exits.grant(from, credit.total);
                if let Some(output) = self.outputs.iter_mut().find(|output| output.address() == from) {
                    output.grant(credit.total);
                }
            }
            Class::Replay => self.again.grant(from, credit.total),
            // Nothing of these is sent to exit points.
            Class::Operation | Class::Control => {}
        }
    }

    /// Whether [`Lane::next_entry`] would give something: not while outputs are full, nor while there is much to tell the
    /// writer about what was read.
    pub fn is_runnable(&self) -> bool {
        /// What one report of progress holds, but for the last outcome: a list can be long by itself.
        const OUTCOME_BYTES_MAX: u64 = 1 << 20;
        !self.queue.is_empty()
            && self.outcome_bytes < OUTCOME_BYTES_MAX
            && self.outputs.iter().all(|output| output.bytes() < self.output_bytes_max)
    }

    /// The next entry to work off, if outputs have room. At the end of a run its credit is freed.
    pub fn next_entry(&mut self) -> Option<(Number, Entry)> {
        while self.is_runnable() {
            let run = self.queue.front_mut()?;
            if let Some((number, entry)) = run.entries.next() {
                debug_assert!(number > self.processed && number <= run.to, "entries stand in order within their run");
                self.processed = number;
                self.retained.keep(number, &entry);
                return Some((number, entry));
            }
            self.processed = run.to;
            self.credit.consume(run.cost);
            self.queued_bytes -= run.cost;
            self.queue.pop_front();
        }
        None
    }

    /// Publications that come next, with nothing else between them, of the tenant of the one in hand: up to so many, from the run in
    /// hand. They stay to be worked off.
    pub fn foresee(&self, envelope: &Arc<Envelope>, more_max: usize, into: &mut Vec<Arc<Envelope>>) {
        into.push(envelope.clone());
        let entries = self.queue.front().map_or(&[][..], |run| run.entries.as_slice());
        let publications = entries.iter().map_while(|(_, entry)| match entry {
            Entry::Publication(next) if next.tenant == envelope.tenant => Some(next.clone()),
            Entry::Publication(_) | Entry::Operation(_) | Entry::Barrier(_) | Entry::Close => None,
        });
        into.extend(publications.take(more_max));
    }

    /// Adds what came of the operation at `number`.
    pub fn report(&mut self, number: Number, outcome: Outcome) {
        self.outcome_bytes = self.outcome_bytes.saturating_add(outcome.bytes());
        self.outcomes.push((number, outcome));
    }

    /// What the operation at `number` put had no room; this is what there was before.
    pub fn refuse(&mut self, number: Number, before: Option<SubscriptionState>) {
        self.refused.push((number, before.map(Box::new)));
    }

    /// Adds a session with satisfied subscriptions to the outputs of its exit points.
    pub fn push(&mut self, number: Number, envelope: &Arc<Envelope>, target: Target) {
        let Self { governed, outputs, .. } = self;
        let slices = &governed.active;
        let Some((last, others)) = governed.exits(target.session).split_last() else { return };
        for exit in others {
            outputs[exit.index()].push(number, envelope, target.clone(), slices);
        }
        outputs[last.index()].push(number, envelope, target, slices);
    }

    /// A barrier or a close stands at `number`. Without slices to be judged by there is nothing to say to exit points.
    pub fn mark(&mut self, number: Number, mark: Mark) {
        if mark == Mark::Close && matches!(self.ending, Ending::Open) {
            self.ending = Ending::Closed;
        }
        let slices = &self.governed.active;
        for output in &mut self.outputs {
            if slices.is_empty() {
                output.pass(number);
            } else {
                output.mark(number, mark, slices);
            }
        }
    }

    /// Sends what can be sent now; says how many frames of matches.
    pub fn flush(&mut self, actions: &mut Vec<Send>) -> u64 {
        let mut frames = 0;
        let slices = &self.governed.active;
        for output in &mut self.outputs {
            if slices.is_empty() {
                output.pass(self.processed);
            } else {
                output.reach(self.processed, slices);
            }
            frames += output.flush(actions);
        }
        frames += self.again.flush(actions);
        self.tell_unbegun();
        actions.append(&mut self.exits.actions);
        match self.ending {
            Ending::Open | Ending::Closed => {}
            // Nobody is there to be told.
            Ending::Dropped(_) | Ending::Fenced(_) => {
                self.outcomes.clear();
                self.refused.clear();
                self.outcome_bytes = 0;
                return frames;
            }
        }
        let mut tell = |message| actions.push(Send { to: self.writer, message: Message::AccessPoint(message) });
        if self.processed > self.reported {
            self.reported = self.processed;
            let outcomes = std::mem::take(&mut self.outcomes);
            let refused = std::mem::take(&mut self.refused);
            self.outcome_bytes = 0;
            tell(ToAccessPoint::Progress(Progress { lane: self.id, through: self.processed, outcomes, refused }));
        }
        if let Some(total) = self.credit.grant() {
            tell(ToAccessPoint::EntriesCredit(EntriesCredit { lane: self.id, class: Class::Live, total }));
        }
        if let Some(total) = self.again.credit() {
            tell(ToAccessPoint::EntriesCredit(EntriesCredit { lane: self.id, class: Class::Replay, total }));
        }
        frames
    }
}

#[cfg(test)]
mod tests;
