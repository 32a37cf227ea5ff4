//! Merging: complete positions become notifications in outboxes, lane by lane, each lane in order.
//!
//! A merge step takes everything that is complete. Each notification of a step carries the merged vector of the step's
//! beginning: all that lies at or below it went into outboxes before, all that comes later lies above it, so that with its
//! own position it is the `W` right after it.
//!
//! ```text
//!        a session that blocks is full
//!  open ──────────────────────────────▶ holding ── room, detached, or its patience is over ──▶ open
//! ```
//! A publication that is in outboxes already, from a lane that was fenced, is passed over; but for slices whose leader has cut that lane
//! before it.
//!
//! Invariant: while holding, nothing is merged on any lane; the lane that is held goes on first.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::table::Seeded;
use gomera_cluster::time::Instant;

use crate::lane::Lane;
use crate::outbox::Step;
use crate::sessions::{Admission, Sessions};
use crate::settled::Settled;

/// How far the shard has merged.
#[derive(Debug)]
pub(crate) struct Merger {
    /// Of all lanes, those that have ended included as long as something of theirs is in an outbox.
    merged: Vector,
    /// Of the lanes that go on.
    living: Vector,
    steps: u64,
    state: State,
    settled: Settled,
}

/// Whether merging goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Holding { lane: LaneId, since: Instant, until: Instant },
}

impl Merger {
    pub(crate) fn new(hashing: Seeded) -> Self {
        Self {
            merged: Vector::default(),
            living: Vector::default(),
            steps: 0,
            state: State::Open,
            settled: Settled::new(hashing),
        }
    }

    /// A lane has ended: no notification's vector names it any more. Says which step was the last that did.
    pub(crate) fn end(&mut self, lane: LaneId) -> u64 {
        self.living.remove(lane);
        self.steps
    }

    /// All lanes are gone: nothing waits for a session.
    pub(crate) fn abandon(&mut self) {
        self.state = State::Open;
    }

    /// Nothing of a lane is in an outbox any more.
    pub(crate) fn forget(&mut self, lane: LaneId) {
        self.merged.remove(lane);
    }

    /// A lane begins in the middle.
    pub(crate) fn begin(&mut self, lane: LaneId, after: Number) {
        self.merged.raise(lane, after);
        self.living.raise(lane, after);
    }

    /// Something of a lane that has ended is in an outbox that comes from another replica. Says which step was the last that knew it.
    pub(crate) fn inherit(&mut self, lane: LaneId, through: Number) -> u64 {
        self.merged.raise(lane, through);
        self.steps
    }

    /// How far publishers have come.
    pub(crate) const fn settled(&self) -> &Settled {
        &self.settled
    }

    /// Everything at or below is in outboxes.
    pub(crate) const fn merged(&self) -> &Vector {
        &self.merged
    }

    /// When to look again, if merging waits for a session.
    pub(crate) const fn until(&self) -> Option<Instant> {
        match self.state {
            State::Open => None,
            State::Holding { until, .. } => Some(until),
        }
    }

    /// Merges what is complete.
    pub(crate) fn merge(&mut self, now: Instant, lanes: &mut BTreeMap<LaneId, Lane>, sessions: &mut Sessions) {
        let stirred = sessions.take_stirred();
        let held = match self.state {
            State::Open => None,
            State::Holding { until, .. } if !stirred && now < until => return,
            State::Holding { lane, since, .. } => Some((lane, since)),
        };
        let fenced = lanes.values().filter(|lane| !lane.has_ended()).filter_map(Lane::fenced_at);
        let fenced = fenced.chain(sessions.held_at()).min();
        for lane in lanes.values_mut() {
            lane.wait_for(fenced);
        }
        if !rules::holds(Rule::VectorOfTheMerge) {
            // As if all that is complete had been merged before.
            for (&id, lane) in &*lanes {
                self.living.raise(id, lane.complete());
            }
        }
        // Made for the first notification: most steps of a quiet lane find nothing.
        let mut step = None;
        let first = held.map(|(lane, _)| lane);
        let order = first.into_iter().chain(lanes.keys().copied().filter(|&lane| Some(lane) != first));
        for id in order.collect::<Vec<_>>() {
            let lane = lanes.get_mut(&id).expect("a lane is never taken out while merging");
            if let Some(until) = self.merge_lane(now, id, lane, sessions, &mut step) {
                let since = held.map_or(now, |(_, since)| since);
                if held.is_none() {
                    sessions.statistics.holds += 1;
                }
                self.state = State::Holding { lane: id, since, until };
                return;
            }
        }
        self.state = State::Open;
        if let Some((_, since)) = held {
            sessions.statistics.held_microseconds += u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        }
    }

    /// Merges one lane; until when to wait, if a session holds it up.
    fn merge_lane(
        &mut self,
        now: Instant,
        id: LaneId,
        lane: &mut Lane,
        sessions: &mut Sessions,
        step: &mut Option<Arc<Step>>,
    ) -> Option<Instant> {
        while let Some(number) = lane.next_found() {
            if let Some(key) = lane.key_at(number)
                && let Some(by) = self.settled.repeated(key)
            {
                let complete = lane.take(number);
                sessions.statistics.publications_repeated += 1;
                if sessions.has_disputes(by) {
                    self.settled.stand(key, id);
                    let step = self.step(step);
                    sessions.deliver_disputed(now, Position { lane: id, number }, complete, step, by);
                }
                continue;
            }
            if sessions.may_block() {
                match sessions.admit(now, lane.targets_at(number)) {
                    Admission::Go => {}
                    Admission::Wait(until) => {
                        self.finish(id, lane, Number(number.0 - 1), sessions);
                        return Some(until);
                    }
                }
            }
            let complete = lane.take(number);
            self.settled.settle(now, complete.envelope.key, id);
            let step = self.step(step);
            sessions.deliver(now, Position { lane: id, number }, complete, step);
        }
        self.finish(id, lane, lane.complete(), sessions);
        None
    }

    /// The step that is under way; begins it.
    fn step<'step>(&mut self, step: &'step mut Option<Arc<Step>>) -> &'step Arc<Step> {
        step.get_or_insert_with(|| {
            self.steps += 1;
            Arc::new(Step { number: self.steps, vector: self.living.clone() })
        })
    }

    fn finish(&mut self, id: LaneId, lane: &mut Lane, through: Number, sessions: &mut Sessions) {
        let risen = through.0 - lane.merged().0;
        if risen > 0 {
            sessions.statistics.positions_merged += risen;
            lane.finish(through);
            self.merged.raise(id, through);
            self.living.raise(id, through);
        }
    }
}
