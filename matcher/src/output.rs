//! What a lane has for one exit-point shard: frames of matches that follow each other without a hole, the last one still open,
//! until its credit lets them go.
//!
//! ```text
//!   sent … │ frame │ frame │ open frame ← matches, marks, and ranges without either
//!          covered by what was sent     reached
//! ```
//! Invariant: the ranges of the frames follow each other, but for what is judged elsewhere, and each was judged against one set of
//! slices.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, SendCredit, Total};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{Mark, Matched, Matches, Reach, Target, ToExitPoint};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::Envelope;

#[derive(Debug)]
struct Pending {
    matches: Matches,
    bytes: u64,
}

/// One exit-point shard's share of a lane.
#[derive(Debug)]
pub struct Output {
    to: Address,
    lane: LaneId,
    class: Class,
    credit: SendCredit,
    pending: VecDeque<Pending>,
    bytes: u64,
    frame_bytes_max: u64,
    reached: Number,
    is_finished: bool,
}

impl Output {
    /// An output of a lane that begins, for frames of a class.
    pub fn new(to: Address, lane: LaneId, class: Class, frame_bytes_max: u64) -> Self {
        Self {
            to,
            lane,
            class,
            credit: SendCredit::default(),
            pending: VecDeque::new(),
            bytes: 0,
            frame_bytes_max,
            reached: Number::ZERO,
            is_finished: false,
        }
    }

    /// Whose it is.
    pub fn address(&self) -> Address {
        self.to
    }

    /// Bytes that wait for credit.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The exit point wants nothing more, ever.
    pub fn finish(&mut self) {
        self.is_finished = true;
        self.pending.clear();
        self.bytes = 0;
    }

    /// Whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What waits to be sent, and up to where it is judged.
    pub fn to_come(&self) -> (impl Iterator<Item = Reach>, Number) {
        let of = |Pending { matches, .. }: &Pending| Reach {
            slices: matches.slices.clone(),
            from: matches.from,
            to: matches.to,
        };
        (self.pending.iter().map(of), self.reached)
    }

    /// The exit point lets so much be sent.
    pub fn grant(&mut self, total: Total) {
        self.credit.grant(total);
    }

    /// Everything up to `through` is judged against `slices`.
    pub fn reach(&mut self, through: Number, slices: &Arc<SliceSet>) {
        if self.is_finished {
            self.pass(through);
        } else if through > self.reached {
            self.open(through, slices);
        }
    }

    /// Nothing up to `through` is judged here: whoever judges it says so.
    pub fn pass(&mut self, through: Number) {
        self.reached = self.reached.max(through);
    }

    /// The last number that is told or passed.
    pub fn reached(&self) -> Number {
        self.reached
    }

    /// What comes next begins after `from`, wherever that is.
    pub fn begin_at(&mut self, from: Number) {
        self.reached = from;
    }

    /// A session has satisfied subscriptions for the publication at `number`, which is the last one judged.
    pub fn push(&mut self, number: Number, envelope: &Arc<Envelope>, target: Target, slices: &Arc<SliceSet>) {
        /// A target with one handle, as [`Matches::cost`] counts it.
        const TARGET_BYTES: u64 = 48;
        let bytes = TARGET_BYTES + 8 * u64::try_from(target.handles.len()).expect("a length fits 64 bits");
        let Some(pending) = self.hold(number, envelope, slices) else { return };
        let matched = pending.matches.matched.last_mut().expect("it is told");
        matched.targets.push(target);
        pending.bytes += bytes;
        self.bytes += bytes;
    }

    /// The publication at `number`, which is the last one judged, is told whether or not it satisfies anything.
    pub fn tell(&mut self, number: Number, envelope: &Arc<Envelope>, slices: &Arc<SliceSet>) {
        self.hold(number, envelope, slices);
    }

    /// Puts a publication into the frame it belongs to, and gives that; none if nothing is wanted.
    fn hold(&mut self, number: Number, envelope: &Arc<Envelope>, slices: &Arc<SliceSet>) -> Option<&mut Pending> {
        if self.is_finished {
            self.pass(number);
            return None;
        }
        let bytes = envelope.cost();
        let pending = self.open(number, slices);
        let is_told = pending.matches.matched.last().is_some_and(|matched| matched.number == number);
        if !is_told {
            let matched = Matched { number, envelope: envelope.clone(), targets: Vec::new() };
            pending.matches.matched.push(matched);
            pending.bytes += bytes;
            self.bytes += bytes;
        }
        self.pending.back_mut()
    }

    /// A barrier or a close stands at `number`. What comes after it may be judged against other slices.
    pub fn mark(&mut self, number: Number, mark: Mark, slices: &Arc<SliceSet>) {
        if self.is_finished {
            return self.pass(number);
        }
        self.open(number, slices).matches.marks.push((number, mark));
    }

    /// Sends what credit allows.
    pub fn flush(&mut self, actions: &mut Vec<Send>) -> u64 {
        let mut frames = 0;
        while self.credit.is_open()
            && let Some(Pending { matches, bytes }) = self.pending.pop_front()
        {
            self.bytes -= bytes;
            self.credit.spend(matches.cost());
            frames += 1;
            actions.push(Send { to: self.to, message: Message::ExitPoint(ToExitPoint::Matches(matches)) });
        }
        frames
    }

    /// The frame that `number` belongs to, the last one.
    fn open(&mut self, number: Number, slices: &Arc<SliceSet>) -> &mut Pending {
        let goes_on = number == self.reached;
        let fits = self.pending.back().is_some_and(|last| {
            // The matches of one publication are never split: a range is covered whole.
            let adjoins = last.matches.to == self.reached;
            debug_assert!(adjoins || !goes_on, "nothing is added to what is judged elsewhere");
            goes_on || (adjoins && last.bytes < self.frame_bytes_max && Arc::ptr_eq(&last.matches.slices, slices))
        });
        if !fits {
            assert!(!goes_on, "what is reached and sent takes nothing more in");
            let matches = Matches {
                lane: self.lane,
                class: self.class,
                slices: slices.clone(),
                from: self.reached,
                to: number,
                matched: Vec::new(),
                marks: Vec::new(),
            };
            self.pending.push_back(Pending { matches, bytes: 0 });
        }
        self.reached = number;
        let last = self.pending.back_mut().expect("pushed if there was none");
        last.matches.to = number;
        last
    }
}

#[cfg(test)]
mod tests;
