//! What is sent once more when a matcher died: everything that some exit point has not merged, for every slice that the dead one
//! owned at any of those positions, to whoever owns it now. What a slice covers twice is harmless (`cluster/src/coverage.rs`).
//!
//! ```text
//!   trimmed │ owner A   │b1  owner B        │b2 │ owner C          B died: its slices, over (trimmed, b2], to C
//!           └───────────┴───────────────────┘   │
//!                    retained                 barrier of the layout without B
//! ```
//! A slice that was lost begins with nothing at a barrier. What lies before that, who has it now says to be covered, and judges none of it: whatever of its
//! subscriptions is declared again is in force later, and who died may have told some exit points of them as they were before.
//!
//! Invariant: a job ends when its whole range is merged, so nothing that a dead matcher owned is lost between two deaths.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{SendCredit, Total};
use gomera_cluster::layout::{Epoch, MatcherSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::matcher::{Entry, Replay, ToMatcher};
use gomera_cluster::position::{LaneId, Number};

use crate::log::{Log, RunLimit};
use crate::routes::Routes;

/// A range to be sent again.
#[derive(Debug)]
struct Job {
    to: Address,
    slices: Arc<SliceSet>,
    sent: Number,
    /// Up to here publications are left out.
    blank: Number,
    end: Number,
}

/// All of one lane.
#[derive(Debug, Default)]
pub struct Replays {
    /// Who owned what, from which barrier on, as far back as entries are retained.
    owners: VecDeque<(Number, Arc<Routes>)>,
    jobs: Vec<Job>,
    credit: BTreeMap<Address, SendCredit>,
}

impl Replays {
    /// From this barrier on these routes govern. Whoever they do not name any more owned slices that have to be judged by others.
    pub fn govern(&mut self, barrier: Number, trimmed: Number, routes: &Arc<Routes>) {
        self.let_go(trimmed);
        if let Some((_, before)) = self.owners.back() {
            let gone = before.matchers.iter().copied().filter(|&matcher| !routes.reads(matcher)).collect::<Vec<_>>();
            let owned_by_gone = |slice| self.owners.iter().any(|(_, routes)| gone.contains(&routes.owner(slice)));
            let mut again = BTreeMap::<(Address, Number), SliceSet>::new();
            for slice in (0..routes.layout.settings.matcher_slices).map(MatcherSlice) {
                if owned_by_gone(slice) {
                    let blank = self.begins_with_nothing(slice, barrier, routes);
                    again.entry((routes.owner(slice), blank)).or_default().insert(slice);
                }
            }
            self.jobs.retain(|job| !gone.contains(&job.to));
            for ((to, blank), slices) in again {
                self.jobs.push(Job { to, slices: Arc::new(slices), sent: trimmed, blank, end: barrier });
            }
        }
        self.credit.retain(|&matcher, _| routes.reads(matcher));
        self.owners.push_back((barrier, routes.clone()));
    }

    /// From which barrier on a slice has what it has: the one of the layout by which it was lost, if it ever was.
    fn begins_with_nothing(&self, slice: MatcherSlice, barrier: Number, routes: &Routes) -> Number {
        let lost = routes.layout.matcher[usize::from(slice.0)].lost;
        if lost == Epoch::default() {
            return Number::ZERO;
        }
        self.owners.iter().find(|(_, routes)| routes.epoch() >= lost).map_or(barrier, |&(begun, _)| begun)
    }

    /// A matcher lets so much be sent.
    pub fn grant(&mut self, from: Address, total: Total) {
        if self.owners.back().is_some_and(|(_, routes)| routes.reads(from)) {
            self.credit.entry(from).or_default().grant(total);
        }
    }

    /// Everything up to here is merged by all.
    pub fn let_go(&mut self, trimmed: Number) {
        self.jobs.retain(|job| job.end > trimmed);
        // Entries up to the next barrier, that barrier included, are judged by the owners before it.
        while self.owners.get(1).is_some_and(|&(barrier, _)| barrier <= trimmed) {
            self.owners.pop_front();
        }
    }

    /// Whether something that was sent again, or has to be, is not merged.
    pub fn is_under_way(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Sends what credit allows; says how many frames.
    pub fn send(&mut self, lane: LaneId, log: &Log, limit: RunLimit, actions: &mut Vec<Send>) -> u64 {
        let Self { jobs, credit, owners: _ } = self;
        let mut frames = 0;
        for job in jobs {
            let Some(credit) = credit.get_mut(&job.to) else { continue };
            job.sent = job.sent.max(log.trimmed());
            while job.sent < job.end && credit.is_open() {
                let limit = RunLimit { bytes: limit.bytes.min(credit.left()), ..limit };
                let is_blank = job.sent < job.blank;
                let end = if is_blank { job.end.min(job.blank) } else { job.end };
                let mut run = log.again(job.sent, end, limit);
                if is_blank {
                    run.entries.retain(|(_, entry)| match entry {
                        Entry::Publication(_) => false,
                        Entry::Operation(_) | Entry::Barrier(_) | Entry::Close => true,
                    });
                }
                let slices = job.slices.clone();
                let replay = Replay { lane, slices, from: job.sent, to: run.to, entries: run.entries };
                job.sent = replay.to;
                credit.spend(replay.cost());
                frames += 1;
                actions.push(Send { to: job.to, message: Message::Matcher(ToMatcher::Replay(replay)) });
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests;
