//! What is sent once more when a matcher died: everything that some exit point has not merged, for every slice that the dead one
//! owned at any of those positions, to whoever owns it now. What a slice covers twice is harmless (`cluster/src/coverage.rs`).
//!
//! ```text
//!   trimmed │ owner A   │b1  owner B        │b2 │ owner C          B died: its slices, over (trimmed, b2], to C
//!           └───────────┴───────────────────┘   │
//!                    retained                 barrier of the layout without B
//! ```
//! A slice that was lost begins with nothing. What may have been judged by it before, who has it now says to be covered, and judges none of it: who died may
//! have told some exit points of subscriptions as they were then. That ends where those who died were sent no more. It does not end at the barrier: a lane
//! may be late, and what is published there meanwhile satisfies what was declared again and is in force on other lanes. Since nothing is sent to whom a
//! proposal removes, all that is left out was taken before the loss was committed, and so before anything was declared again.
//!
//! Invariant: a job ends when its whole range is merged, so nothing that a dead matcher owned is lost between two deaths.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{SendCredit, Total};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::matcher::{Entry, Replay, ToMatcher};
use gomera_cluster::position::{LaneId, Number};

use crate::log::{Log, RunLimit};
use crate::readers::Gone;
use crate::routes::Routes;

/// A range to be sent again.
#[derive(Debug)]
struct Job {
    /// The layout by whose barrier.
    by: Epoch,
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
    /// Those of them who are gone, and the last number that each was sent.
    gone: BTreeMap<Address, Number>,
    jobs: Vec<Job>,
    /// Jobs of who is gone.
    broken_off: Vec<Job>,
    credit: BTreeMap<Address, SendCredit>,
}

impl Replays {
    /// From this barrier on these routes govern. Whoever they do not name any more owned slices that have to be judged by others.
    pub fn govern(&mut self, barrier: Number, trimmed: Number, routes: &Arc<Routes>, gone: &[Gone]) {
        self.let_go(trimmed);
        let is_gone = |matcher| gone.iter().any(|gone| gone.matcher == matcher);
        let owned_by_gone = |slice| self.owners.iter().any(|(_, routes)| is_gone(routes.owner(slice)));
        let slices = (0..routes.layout.settings.matcher_slices).map(MatcherSlice);
        let bereaved: Vec<_> = slices.filter(|&slice| owned_by_gone(slice)).collect();
        self.gone.extend(gone.iter().map(|gone| (gone.matcher, gone.sent)));
        self.broken_off.extend(self.jobs.extract_if(.., |job| is_gone(job.to)));
        let mut again = BTreeMap::<(Address, Number), SliceSet>::new();
        for slice in bereaved {
            let blank = self.told_before_loss(slice, barrier, routes);
            again.entry((routes.owner(slice), blank)).or_default().insert(slice);
        }
        for ((to, blank), slices) in again {
            let (by, slices) = (routes.epoch(), Arc::new(slices));
            self.jobs.push(Job { by, to, slices, sent: trimmed, blank, end: barrier });
        }
        self.credit.retain(|&matcher, _| routes.reads(matcher));
        self.owners.push_back((barrier, routes.clone()));
    }

    /// Up to where exit points may have been told of a slice as it was before it was lost, if it ever was.
    fn told_before_loss(&self, slice: MatcherSlice, barrier: Number, routes: &Routes) -> Number {
        let lost = routes.layout.matcher[usize::from(slice.0)].lost;
        let ends = self.owners.iter().skip(1).map(|&(begun, _)| begun).chain([barrier]);
        let before = self.owners.iter().zip(ends).filter(|((_, routes), _)| routes.epoch() < lost);
        let live = before.map(|((begun, routes), end)| match self.gone.get(&routes.owner(slice)) {
            Some(sent) if sent > begun => end.min(*sent),
            Some(_) => Number::ZERO,
            None => end,
        });
        let again = self.broken_off.iter().filter(|job| job.by < lost && job.slices.contains(slice));
        live.chain(again.map(|job| job.sent)).max().unwrap_or(Number::ZERO)
    }

    /// Nothing more is sent to whom a proposal removes. What it was to judge is under way until others have.
    pub fn part(&mut self, proposal: &Layout) {
        self.credit.retain(|&matcher, _| proposal.names(matcher));
    }

    /// A matcher that is served lets so much be sent.
    pub fn grant(&mut self, from: Address, total: Total) {
        self.credit.entry(from).or_default().grant(total);
    }

    /// Everything up to here is merged by all.
    pub fn let_go(&mut self, trimmed: Number) {
        self.jobs.retain(|job| job.end > trimmed);
        self.broken_off.retain(|job| job.sent > trimmed);
        // Entries up to the next barrier, that barrier included, are judged by the owners before it.
        while self.owners.get(1).is_some_and(|&(barrier, _)| barrier <= trimmed) {
            self.owners.pop_front();
            let Self { owners, gone, .. } = self;
            gone.retain(|&matcher, _| owners.iter().any(|(_, routes)| routes.reads(matcher)));
        }
    }

    /// Whether something that was sent again, or has to be, is not merged.
    pub fn is_under_way(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Sends what credit allows; says how many frames.
    pub fn send(&mut self, lane: LaneId, log: &Log, limit: RunLimit, actions: &mut Vec<Send>) -> u64 {
        let Self { jobs, credit, .. } = self;
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
