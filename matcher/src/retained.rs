//! What came of a lane and some exit point may not have merged, kept for the end of the lane.
//!
//! ```text
//!   merged by all │ worked off │ queued │
//!      let go     │    kept    │        │ received
//!                 └── the copy of this shard ──┘
//! ```
//! When the writer of a lane dies, nobody can send once more what a matcher that died as well had not told to all exit points. Whoever
//! judges by its slices then judges them from this copy to its end. No exit point has merged beyond what each matcher has told it that
//! judges by any slice, so that none has merged beyond this copy, and none has to cut the lane before what another one has merged.
//!
//! Entries share what they hold with what came. The writer says what all exit points have merged: it retains no less itself. One that
//! does not say so is of a former version: then nothing is kept. Neither is anything while this is the only matcher, since whatever it
//! has not told is lost with it.
//!
//! Invariant: everything that came after `from` and is worked off is here, but for operations.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Layer;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice};
use gomera_cluster::message::matcher::{Entry, Replay};
use gomera_cluster::position::{LaneId, Number};

use crate::ownership::Ownership;

/// Whether there is anybody who could have something judged from what is kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Some,
}

/// What the writer says of exit points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saying {
    /// Nothing, so far or at all.
    Nothing,
    /// How far they have merged.
    Merged,
    /// The lane has ended.
    Ended,
}

/// A part of a copy that one layout governs; none that is known, before the first barrier that came.
#[derive(Debug)]
struct Part<'a> {
    by: Option<&'a Layout>,
    to: Number,
}

/// What is kept of one lane.
#[derive(Debug)]
pub struct Retained {
    lane: LaneId,
    others: Others,
    saying: Saying,
    from: Number,
    /// What governs the entries after `from`.
    by: Option<Arc<Layout>>,
    entries: VecDeque<(Number, Entry)>,
    bytes: u64,
}

impl Retained {
    /// Nothing yet of a lane that begins.
    pub fn new(lane: LaneId, layout: &Layout) -> Self {
        let (from, entries) = (Number::ZERO, VecDeque::new());
        let mut retained =
            Self { lane, others: Others::None, saying: Saying::Nothing, from, by: None, entries, bytes: 0 };
        retained.follow(layout);
        retained
    }

    /// A layout is in force.
    pub fn follow(&mut self, layout: &Layout) {
        self.others = if layout.machines(Layer::Matcher).nth(1).is_some() { Others::Some } else { Others::None };
    }

    /// The lane begins here after this number.
    pub fn begin_at(&mut self, from: Number) {
        self.from = from;
    }

    /// All exit points have merged so far, if the writer says so.
    pub fn let_go(&mut self, merged: Option<Number>) {
        match (self.saying, merged) {
            (Saying::Ended, _) => {}
            (Saying::Nothing | Saying::Merged, Some(merged)) => {
                self.saying = Saying::Merged;
                self.give_up(merged);
            }
            (Saying::Nothing | Saying::Merged, None) => {
                self.saying = Saying::Nothing;
                self.give_up(self.last());
            }
        }
    }

    /// An entry is worked off.
    pub fn keep(&mut self, number: Number, entry: &Entry) {
        let is_of_use = match self.saying {
            // Of what is kept no more is left out than is merged.
            Saying::Merged => self.others == Others::Some || !self.entries.is_empty(),
            Saying::Nothing | Saying::Ended => false,
        };
        if is_of_use && number > self.from {
            match entry {
                Entry::Publication(_) | Entry::Barrier(_) | Entry::Close => {
                    self.bytes += entry.cost();
                    self.entries.push_back((number, entry.clone()));
                }
                Entry::Operation(_) => {}
            }
        } else {
            self.pass(number, entry);
        }
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lane has ended: nothing is kept any more.
    pub fn end(&mut self) {
        self.saying = Saying::Ended;
        self.give_up(self.last());
        self.entries = VecDeque::new();
    }

    /// What those who are dead by the `latest` layout may have left unsaid of the lane, which one fenced `at` an epoch, and this shard has to
    /// judge by now: up to `received`, with what is `queued`, by slices that are new to it.
    ///
    /// A slice that was lost by that layout or later begins with nothing: exit points may have been told of what was in it, so it covers
    /// publications without judging them. All of them came before that layout was in force, so before anything was declared again. One that was
    /// lost before, but after what is kept, is left out: what was declared again meanwhile may have to count.
    pub fn left_unsaid<'a>(
        &'a self,
        latest: &Ownership,
        at: Epoch,
        is_new: impl Fn(MatcherSlice) -> bool,
        queued: impl Iterator<Item = &'a (Number, Entry)>,
        received: Number,
    ) -> Vec<Replay> {
        if self.saying != Saying::Merged {
            return Vec::new();
        }
        let entries = self.entries.iter().chain(queued).filter(|&&(number, _)| number > self.from).collect::<Vec<_>>();
        let parts = self.parts(&entries, received);
        // While it only loaded slices it was sent no publications: those it cannot judge.
        let is_blind =
            |part: &&Part<'_>| part.by.is_some_and(|layout| layout.readers().binary_search(&latest.address()).is_err());
        let seen = parts.iter().filter(is_blind).map(|part| part.to).max().map_or(self.from, |to| to.max(self.from));
        let from = |judged| match judged {
            Judged::Not => self.from,
            Judged::Anew => seen,
        };
        let begun = parts.iter().find_map(|part| part.by).map_or(Epoch(0), |layout| layout.epoch);
        let mut runs = BTreeMap::<(Number, Judged), SliceSet>::new();
        for slice in latest.active.iter().filter(|&slice| is_new(slice)) {
            let lost = latest.lost(slice);
            let judged = if lost >= at { Judged::Not } else { Judged::Anew };
            if (lost <= begun || lost >= at)
                && let Some(end) = left_by_dead(&parts, slice, latest).filter(|&end| end > from(judged))
            {
                runs.entry((end, judged)).or_default().insert(slice);
            }
        }
        let run = |((to, judged), slices): ((Number, Judged), SliceSet)| {
            let is_told = |entry: &Entry| match (entry, judged) {
                (Entry::Publication(_), Judged::Anew) | (Entry::Barrier(_) | Entry::Close, _) => true,
                (Entry::Publication(_), Judged::Not) | (Entry::Operation(_), _) => false,
            };
            let from = from(judged);
            let entries = entries.iter().filter(|(number, entry)| (from < *number && *number <= to) && is_told(entry));
            let entries = entries.map(|&entry| entry.clone()).collect();
            Replay { lane: self.lane, slices: Arc::new(slices), from, to, entries }
        };
        runs.into_iter().map(run).collect()
    }

    /// What governs the copy, part by part.
    fn parts<'a>(&'a self, entries: &[&'a (Number, Entry)], received: Number) -> Vec<Part<'a>> {
        let mut parts = vec![Part { by: self.by.as_deref(), to: received }];
        for (number, entry) in entries {
            let Entry::Barrier(layout) = entry else { continue };
            let last = parts.last_mut().expect("there is a first one");
            if last.by.is_none_or(|by| layout.epoch > by.epoch) {
                last.to = *number;
                parts.push(Part { by: Some(layout), to: received });
            }
        }
        parts
    }

    fn give_up(&mut self, through: Number) {
        while let Some((number, entry)) = self.entries.pop_front_if(|(number, _)| *number <= through) {
            self.bytes -= entry.cost();
            self.pass(number, &entry);
        }
        self.from = self.from.max(through);
    }

    fn pass(&mut self, number: Number, entry: &Entry) {
        self.from = self.from.max(number);
        match entry {
            Entry::Barrier(layout) => {
                if self.by.as_ref().is_none_or(|by| layout.epoch > by.epoch) {
                    self.by = Some(layout.clone());
                }
            }
            Entry::Publication(_) | Entry::Operation(_) | Entry::Close => {}
        }
    }

    fn last(&self) -> Number {
        self.entries.back().map_or(self.from, |&(number, _)| number)
    }
}

/// What becomes of publications of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Judged {
    Not,
    Anew,
}

/// Up to where others judged by a slice, if some of those are dead.
fn left_by_dead(parts: &[Part<'_>], slice: MatcherSlice, latest: &Ownership) -> Option<Number> {
    let owner = |part: &Part<'_>| part.by.and_then(|layout| layout.matcher_placement(slice).active());
    let is_dead = |part: &Part<'_>| owner(part).is_some_and(|owner| !latest.layout().names(owner));
    let is_others = |part: &&Part<'_>| owner(part) != Some(latest.address());
    parts.iter().any(is_dead).then(|| parts.iter().rev().find(is_others).map(|part| part.to)).flatten()
}

#[cfg(test)]
mod tests;
