//! What was found on a lane and is not merged: the frames as they came, in runs of increasing numbers, united position by
//! position when they are taken out. A frame's matches are moved as one; nothing is sorted, unless two frames of one matcher
//! overlap or two matchers found the same publication.

use std::collections::VecDeque;
use std::vec;

use gomera_cluster::address::Address;
use gomera_cluster::credit::Class;
use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::exit_point::{Handles, Matched, Target};
use gomera_cluster::position::Number;

use super::Complete;

/// Runs; a handful.
#[derive(Debug, Default)]
pub(super) struct Found {
    runs: Vec<Run>,
}

/// Frames whose numbers increase from one to the next.
#[derive(Debug)]
struct Run {
    owner: Owner,
    frames: VecDeque<vec::IntoIter<Matched>>,
    /// The last number that was ever added.
    last: Number,
}

/// Who adds to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// What a matcher shard sends in a class, in order.
    Source(Address, Class),
    /// Nobody: one frame that came out of order; goes when it is empty.
    Alone,
}

impl Run {
    fn head(&self) -> Option<&Matched> {
        self.frames.front().and_then(|frame| frame.as_slice().first())
    }

    fn take(&mut self) -> Option<Matched> {
        let frame = self.frames.front_mut()?;
        let matched = frame.next();
        if frame.as_slice().is_empty() {
            self.frames.pop_front();
        }
        matched
    }
}

impl Found {
    /// Adds a frame of matches, in order of number.
    pub(super) fn add(&mut self, owner: Owner, matched: Vec<Matched>) {
        let (Some(first), Some(last)) = (matched.first(), matched.last()) else {
            return;
        };
        let (first, last) = (first.number, last.number);
        let run = self.runs.iter_mut().find(|run| run.owner == owner && owner != Owner::Alone);
        match run {
            Some(run) if run.last < first => {
                run.last = last;
                run.frames.push_back(matched.into_iter());
            }
            Some(_) => self.add(Owner::Alone, matched),
            None => self.runs.push(Run { owner, frames: VecDeque::from([matched.into_iter()]), last }),
        }
    }

    /// The lowest number above `merged`; what is at or below it is dropped.
    pub(super) fn lowest(&mut self, merged: Number) -> Option<Number> {
        let mut lowest: Option<Number> = None;
        let mut spent = false;
        for run in &mut self.runs {
            while run.head().is_some_and(|head| head.number <= merged) {
                run.take();
            }
            match run.head() {
                Some(head) => lowest = Some(lowest.map_or(head.number, |number| number.min(head.number))),
                None => spent |= run.owner == Owner::Alone,
            }
        }
        if spent {
            self.runs.retain(|run| run.owner != Owner::Alone || run.head().is_some());
        }
        lowest
    }

    /// What was found at the number that [`Found::lowest`] gave.
    pub(super) fn at(&self, number: Number) -> impl Iterator<Item = &Matched> {
        self.runs.iter().filter_map(move |run| run.head().filter(|head| head.number == number))
    }

    /// Takes out what was found at the number that [`Found::lowest`] gave. The first copy of the publication is kept.
    pub(super) fn take(&mut self, number: Number, governed: Epoch) -> Complete {
        let mut complete: Option<Complete> = None;
        let mut several = false;
        for run in &mut self.runs {
            if run.head().is_none_or(|head| head.number != number) {
                continue;
            }
            let matched = run.take().expect("its head is there");
            match &mut complete {
                None => {
                    complete = Some(Complete { envelope: matched.envelope, targets: matched.targets, governed });
                }
                Some(complete) => {
                    complete.targets.extend(matched.targets);
                    several = true;
                }
            }
        }
        let mut complete = complete.expect("something was found at the number given");
        if several {
            unite(&mut complete.targets);
        }
        debug_assert!(
            complete.targets.is_sorted_by(|left, right| left.session < right.session),
            "each session once, in order of key"
        );
        complete
    }
}

/// Makes each session stand once, in order of key, with all its handles.
fn unite(targets: &mut Vec<Target>) {
    targets.sort_by_key(|target| target.session);
    let mut united: Vec<Target> = Vec::with_capacity(targets.len());
    for target in targets.drain(..) {
        match united.last_mut() {
            Some(last) if last.session == target.session => last.handles = union(&last.handles, &target.handles),
            Some(_) | None => united.push(target),
        }
    }
    *targets = united;
}

/// All handles of both, each once, in order. Should two judgements differ in the generation that put one, the newest counts.
fn union(left: &Handles, right: &Handles) -> Handles {
    let mut all = left.iter().chain(right.iter()).collect::<Vec<(Generation, Handle)>>();
    all.sort_by_key(|&(generation, handle)| (handle, std::cmp::Reverse(generation)));
    all.dedup_by_key(|&mut (_, handle)| handle);
    match all.as_slice() {
        &[(generation, handle)] => Handles::One(generation, handle),
        several => Handles::Many(several.into()),
    }
}
