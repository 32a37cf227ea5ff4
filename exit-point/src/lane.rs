//! One lane as this shard sees it: how far each matcher slice covers it, what is found but not complete, what came ahead of a
//! hole, and what each matcher shard may still send.
//!
//! ```text
//!             judge                    every slice covers it            put into outboxes
//!  frame ───┬─ extends ──▶ found ────────────────────────────▶ complete ─────────────────▶ merged
//!           ├─ hole ─────▶ held, judged again when coverage rises
//!           └─ covered ──▶ dropped
//! ```
//! A lane whose writer is dead is cut (see `fence`), and until it has ended there, others wait at the barrier of the layout that fenced
//! it: what was acknowledged on them must not be followed by what was acknowledged before.
//!
//! Invariant: `merged <= complete <= coverage of each slice`, and none of them falls. What is found at or below `merged` is
//! never given out again. Everything received and not merged is counted against its sender's window: that bounds the lane.

mod fence;
mod found;

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::{Extension, LaneCoverage, SliceSet};
use gomera_cluster::credit::{Class, ReceiveCredit, Total};
use gomera_cluster::layout::{Epoch, MatcherSlice};
use gomera_cluster::message::exit_point::{Mark, Matched, Matches, Reach, Target};
use gomera_cluster::position::Number;
use gomera_cluster::publication::{Envelope, PublicationKey};

use self::fence::Fence;
use self::found::{Found, Owner};

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    slices: u16,
    coverage: LaneCoverage,
    complete: Number,
    merged: Number,
    reported: Number,
    /// The last number that any slice covers.
    furthest: Number,
    found: Found,
    /// By first position, then by arrival.
    held: BTreeMap<(Number, u64), Matches>,
    arrivals: u64,
    marks: BTreeMap<Number, Mark>,
    standing: Standing,
    fence: Fence,
    /// The last number that may be merged while lanes fenced by a later barrier's layout have not ended.
    ceiling: Number,
    sources: BTreeMap<(Address, Class), Source>,
    /// Sum over all sources.
    unmerged_bytes: u64,
    window: u64,
    freed: bool,
    beginning: Beginning,
}

/// Whether this shard knows where the lane begins for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// It does.
    Known,
    /// Matchers say.
    Awaited,
}

/// What the marks merged so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Governed by this layout; before the first barrier, by the one before that which opened the lane.
    Governed(Epoch),
    /// Nothing follows.
    Closed,
}

/// What one matcher shard sends in one class.
#[derive(Debug)]
struct Source {
    credit: ReceiveCredit,
    /// Cost of what is not merged, by the last number it covers.
    unmerged: BTreeMap<Number, u64>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// It extends coverage.
    Taken,
    /// It waits for a hole to be filled.
    Held,
    /// Everything in it was covered.
    Covered,
    /// It names slices that do not exist, or goes beyond the end of the lane.
    Refused,
}

/// A position that every slice has judged, with all that was found.
#[derive(Debug)]
pub(crate) struct Complete {
    pub(crate) envelope: Arc<Envelope>,
    /// Each session once, in order of key.
    pub(crate) targets: Vec<Target>,
    /// The last layout whose barrier lies before it.
    pub(crate) governed: Epoch,
}

impl Lane {
    /// A lane of which nothing is known yet, matched by `slices` slices, that the layout `since` opened.
    pub(crate) fn new(slices: u16, window: u64, since: Epoch) -> Self {
        Self {
            slices,
            coverage: LaneCoverage::new(slices, Number::ZERO),
            complete: Number::ZERO,
            merged: Number::ZERO,
            reported: Number::ZERO,
            furthest: Number::ZERO,
            found: Found::default(),
            held: BTreeMap::new(),
            arrivals: 0,
            marks: BTreeMap::new(),
            standing: Standing::Governed(Epoch(since.0.saturating_sub(1))),
            fence: Fence::None,
            ceiling: Number(u64::MAX),
            sources: BTreeMap::new(),
            unmerged_bytes: 0,
            window,
            freed: false,
            beginning: Beginning::Known,
        }
    }

    /// It may have been there before this shard.
    pub(crate) const fn await_beginning(&mut self) {
        self.beginning = Beginning::Awaited;
    }

    /// Whether nobody has said yet where it begins here, though it may not begin with its first entry.
    pub(crate) fn awaits_beginning(&self) -> bool {
        self.beginning == Beginning::Awaited && self.merged == Number::ZERO
    }

    /// Opens a window for what `matcher` sends in `class`; an open one stays as it is.
    pub(crate) fn open(&mut self, matcher: Address, class: Class) {
        let window = self.window;
        self.sources.entry((matcher, class)).or_insert_with(|| {
            self.freed = true;
            Source { credit: ReceiveCredit::new(window), unmerged: BTreeMap::new() }
        });
    }

    /// Hears no others than these any more. What others sent and is not merged stays; they are granted nothing.
    pub(crate) fn hear(&mut self, matchers: &[Address]) {
        for &matcher in matchers {
            self.open(matcher, Class::Live);
            self.open(matcher, Class::Replay);
        }
        for (_, source) in self.sources.extract_if(.., |(matcher, _), _| matchers.binary_search(matcher).is_err()) {
            self.unmerged_bytes -= source.unmerged.values().sum::<u64>();
        }
    }

    /// It was there before this shard: what lies up to `after` is none of its business. Whether this is news.
    pub(crate) fn begin(&mut self, after: Number, governed: Option<Epoch>) -> bool {
        self.beginning = Beginning::Known;
        let all = (0..self.slices).map(MatcherSlice).collect();
        self.coverage.extend(&all, after);
        self.complete = self.coverage.complete();
        self.furthest = self.furthest.max(after);
        let risen = after > self.merged;
        if risen {
            self.marks.retain(|&number, _| number > after);
            self.settle_sources(after);
            self.merged = after;
        }
        self.standing = match (self.standing, governed) {
            (Standing::Governed(before), Some(epoch)) => Standing::Governed(before.max(epoch)),
            (_, None) | (Standing::Closed, Some(_)) => Standing::Closed,
        };
        self.retry_held();
        self.complete = self.coverage.complete();
        self.settle_cut();
        risen
    }

    /// Takes a frame in.
    pub(crate) fn receive(&mut self, from: Address, frame: Matches) -> Reception {
        let beyond_end = self.standing == Standing::Closed && frame.to > self.merged;
        if beyond_end || !self.knows(&frame.slices) {
            return Reception::Refused;
        }
        let (key, cost, to) = ((from, frame.class), frame.cost(), frame.to);
        self.open(from, frame.class);
        let reception = self.judge(from, frame);
        let source = self.sources.get_mut(&key).expect("opened above");
        // What fills a hole never waits for what was sent before it to be merged: that may wait for this. Nor does it wait for a lane that
        // has not begun here: that begins behind it.
        let fills = key.1 == Class::Replay;
        if reception == Reception::Covered || fills {
            source.credit.consume(cost);
            self.freed = true;
        } else {
            *source.unmerged.entry(to).or_default() += cost;
            self.unmerged_bytes += cost;
        }
        if reception == Reception::Taken {
            self.retry_held();
            self.complete = self.coverage.complete();
        }
        reception
    }

    fn judge(&mut self, from: Address, frame: Matches) -> Reception {
        match self.coverage.judge(&frame.slices, frame.from, frame.to) {
            Extension::Whole | Extension::Partial => {
                self.take_in(Owner::Source(from, frame.class), frame);
                Reception::Taken
            }
            Extension::Covered => Reception::Covered,
            Extension::Hole => {
                self.arrivals += 1;
                self.held.insert((frame.from, self.arrivals), frame);
                Reception::Held
            }
        }
    }

    /// Positions of the frame that are merged already are passed over when they come up. For positions that are not, finding
    /// the same again in a slice that covers them is harmless: found sets are united.
    fn take_in(&mut self, owner: Owner, frame: Matches) {
        self.coverage.extend(&frame.slices, frame.to);
        self.furthest = self.furthest.max(frame.to);
        self.marks.extend(frame.marks.into_iter().filter(|&(number, _)| number > self.merged));
        self.found.add(owner, frame.matched);
    }

    /// Judges held frames again. One pass suffices: a frame can only fill the holes of frames that begin later.
    fn retry_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        for (place, frame) in std::mem::take(&mut self.held) {
            match self.coverage.judge(&frame.slices, frame.from, frame.to) {
                Extension::Whole | Extension::Partial => self.take_in(Owner::Alone, frame),
                Extension::Covered => {}
                Extension::Hole => {
                    self.held.insert(place, frame);
                }
            }
        }
    }

    fn knows(&self, slices: &SliceSet) -> bool {
        let words = slices.words();
        let full = usize::from(self.slices / 64);
        let rest = words.get(full).map_or(0, |word| word >> (self.slices % 64));
        rest == 0 && words.iter().skip(full + 1).all(|&word| word == 0)
    }

    /// The last layout whose barrier is merged, or that needs none here.
    pub(crate) fn governed(&self) -> Epoch {
        match (self.fence.at(), self.standing) {
            (Some(at), _) => Epoch(at.0.saturating_sub(1)),
            (None, Standing::Governed(epoch)) => epoch,
            // Nothing follows: it is past every barrier.
            (None, Standing::Closed) => Epoch(u64::MAX),
        }
    }

    /// The last layout whose barrier lies at or before a position that is still to be merged.
    fn governed_at(&self, number: Number) -> Epoch {
        let standing = match self.standing {
            Standing::Governed(epoch) => epoch,
            Standing::Closed => Epoch(u64::MAX),
        };
        let passed = self.marks.range(..=number).map(|(_, mark)| match *mark {
            Mark::Barrier(epoch) => epoch,
            Mark::Close => Epoch(0),
        });
        passed.max().map_or(standing, |passed| passed.max(standing))
    }

    /// Whether all is merged that lies before the barrier of a layout, or of the first one after it.
    pub(crate) fn stands_before(&self, epoch: Epoch) -> bool {
        let barrier = self.marks.iter().find(|&(_, mark)| match *mark {
            Mark::Barrier(of) => of >= epoch,
            Mark::Close => false,
        });
        self.governed() >= epoch || barrier.is_some_and(|(&number, _)| self.merged.0 + 1 >= number.0)
    }

    /// Whether it is merged to its `Close`.
    pub(crate) fn is_closed(&self) -> bool {
        self.standing == Standing::Closed
    }

    /// Its writer is dead; `matchers` are those of the `latest` layout, and these slices were lost by the one `at` which that was, or since.
    pub(crate) fn fence(&mut self, at: Epoch, latest: Epoch, matchers: &[Address], lost: SliceSet) {
        // Where all were, what is complete is all that anybody can know.
        let lost = if lost.len() < usize::from(self.slices) { lost } else { SliceSet::default() };
        self.fence.raise(at, latest, matchers, lost);
        self.settle_cut();
    }

    /// The layout that fenced it.
    pub(crate) fn fenced_at(&self) -> Option<Epoch> {
        self.fence.at()
    }

    /// A matcher will say this of it, and nothing more, as of a layout.
    pub(crate) fn hear_cut(&mut self, from: Address, as_of: Epoch, reach: Vec<Reach>) {
        self.fence.hear(from, as_of, reach);
        self.settle_cut();
    }

    fn settle_cut(&mut self) {
        let held = self.held.values();
        let held = held.map(|frame| Reach { slices: frame.slices.clone(), from: frame.from, to: frame.to });
        self.fence.settle(&self.coverage, self.furthest, held);
        if let Some((lost, cut)) = self.fence.lost() {
            let lost = lost.clone();
            // What came of them and waits for what nobody says any more counts all the same.
            let waiting = self.held.extract_if(.., |_, frame| frame.slices.is_within(&lost));
            for (_, frame) in waiting.collect::<Vec<_>>() {
                self.take_in(Owner::Alone, frame);
            }
            self.coverage.extend(&lost, cut);
            self.retry_held();
            self.complete = self.coverage.complete();
        }
    }

    /// Whether it was fenced and is merged to the cut.
    pub(crate) fn has_ended(&self) -> bool {
        self.fence.is_reached(self.merged)
    }

    /// Has it wait before the first barrier of a layout from `fenced` on: lanes that this one fenced have not ended.
    pub(crate) fn wait_for(&mut self, fenced: Option<Epoch>) {
        let waits = |&(_, mark): &(&Number, &Mark)| match (fenced, *mark) {
            (Some(fenced), Mark::Barrier(epoch)) => epoch >= fenced,
            (None, _) | (_, Mark::Close) => false,
        };
        let barrier = self.marks.iter().find(waits).map(|(&number, _)| number);
        self.ceiling = barrier.map_or(Number(u64::MAX), |number| Number(number.0.saturating_sub(1)));
    }

    /// The last position put into outboxes.
    pub(crate) const fn merged(&self) -> Number {
        self.merged
    }

    /// The last position that every slice has judged and that may be merged. (A lane may have ended before it began here.)
    pub(crate) fn complete(&self) -> Number {
        self.complete.min(self.ceiling).min(self.fence.limit()).max(self.merged)
    }

    /// The next complete position at which something was found.
    pub(crate) fn next_found(&mut self) -> Option<Number> {
        let complete = self.complete();
        self.found.lowest(self.merged).filter(|&number| number <= complete)
    }

    /// Whom the position concerns, a session possibly more than once.
    pub(crate) fn targets_at(&self, number: Number) -> impl Iterator<Item = &Target> {
        self.found.at(number).flat_map(|matched: &Matched| &matched.targets)
    }

    /// The publication at `number`, which [`Lane::next_found`] gave.
    pub(crate) fn key_at(&self, number: Number) -> Option<PublicationKey> {
        self.found.at(number).next().map(|matched| matched.envelope.key)
    }

    /// Takes out what was found at `number`, which [`Lane::next_found`] gave.
    pub(crate) fn take(&mut self, number: Number) -> Complete {
        self.found.take(number, self.governed_at(number))
    }

    /// Everything up to `through` is in outboxes: frees what it took of the senders' windows.
    pub(crate) fn finish(&mut self, through: Number) {
        assert!(through <= self.complete(), "only complete positions are merged");
        assert!(through >= self.merged, "what is merged stays merged");
        self.merged = through;
        while let Some(entry) = self.marks.first_entry().filter(|entry| *entry.key() <= through) {
            self.standing = match (self.standing, entry.remove()) {
                (Standing::Governed(before), Mark::Barrier(epoch)) => Standing::Governed(before.max(epoch)),
                (_, Mark::Close) | (Standing::Closed, Mark::Barrier(_)) => Standing::Closed,
            };
        }
        self.settle_sources(through);
    }

    /// Frees what everything up to `through` took of the senders' windows.
    fn settle_sources(&mut self, through: Number) {
        for source in self.sources.values_mut() {
            while let Some(entry) = source.unmerged.first_entry().filter(|entry| *entry.key() <= through) {
                let cost = entry.remove();
                source.credit.consume(cost);
                self.unmerged_bytes -= cost;
                self.freed = true;
            }
        }
    }

    /// How far it is merged, if that is news.
    pub(crate) fn report(&mut self) -> Option<Number> {
        let risen = self.merged > self.reported;
        self.reported = self.merged;
        risen.then_some(self.merged)
    }

    /// The grants that are worth a message now.
    pub(crate) fn grant(&mut self, mut tell: impl FnMut(Address, Class, Total)) {
        if !std::mem::take(&mut self.freed) {
            return;
        }
        for (&(matcher, class), source) in &mut self.sources {
            if let Some(total) = source.credit.grant() {
                tell(matcher, class, total);
            }
        }
    }

    /// What is received and not merged, in bytes.
    pub(crate) const fn unmerged_bytes(&self) -> u64 {
        self.unmerged_bytes
    }

    /// Frames that wait for a hole before them.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// How far the furthest slice is ahead of the last merged position.
    pub(crate) const fn lag(&self) -> u64 {
        self.furthest.0.saturating_sub(self.merged.0)
    }
}

#[cfg(test)]
mod tests;
