//! The publisher instances that a lane knows: their attachment, the highest sequence taken, what is outstanding, and what is
//! acknowledged.
//!
//! ```text
//!            enter                   idle twice                 forgotten_max later
//!  unknown ─────────▶ known ────────────────────▶ forgotten ──────────────────────▶ unknown
//!                       │                             ▲ │ enter: known, but flagged re-sends
//!                       └─────────────────────────────┘ ▼ are OutOfRange until something new,
//!       table full and all acknowledgements confirmed   known   unless all were confirmed
//!
//!  sequences of one that is known:  below first taken │ up to acknowledged │ up to sequenced │ above
//!                                   OutOfRange        │ acknowledged again │ outstanding     │ taken
//! ```
//! One whose client has seen every acknowledgement is remembered only if it was attached more than once: by the generation of
//! its latest attachment, so that what an older one sent on another link, late, is not taken a second time.
//!
//! Invariants: an instance with something outstanding is never forgotten, so that a [`Slot`] in the log stays valid;
//! `acknowledged <= sequenced`; sequences and numbers outstanding both rise. Each record stands in the queue of the sweep once, and at most
//! once among the expendable; whoever stands there may go, and it leaves both queues when it does.

mod forgotten;
mod queue;

use std::collections::VecDeque;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{Generation, Instance, PublisherKey, Sequence};
use gomera_cluster::message::connection_point::{AcknowledgedThrough, Refusal};
use gomera_cluster::pages::Pages;
use gomera_cluster::position::Number;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::table::{LargeTable, Seeded};
use gomera_cluster::time::Instant;

use crate::config::Config;
use forgotten::{Forgotten, Settled, Trace};
use queue::{Place, Queue};

/// The place of a publisher instance in the table; valid while something of it is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

/// A publisher instance.
pub type Name = (PublisherKey, Instance);

/// Whether all an instance ever published here is covered by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    Whole,
    /// It was forgotten once, and has published nothing new since.
    Lost,
    /// It was forgotten once, and is known from its first publication since.
    Doubtful,
}

#[derive(Debug)]
struct Publisher {
    name: Name,
    /// Where it stands in the queue of the sweep.
    swept: Place,
    history: History,
    generation: Generation,
    /// Whether an older attachment exists, of which something may be under way still.
    succeeds: bool,
    /// The connection point of the present attachment.
    from: Address,
    /// The first that this record knows of, 0 before that: below it nothing is known.
    first: Sequence,
    /// The highest that the present attachment has handed in.
    submitted: Sequence,
    sequenced: Sequence,
    acknowledged: Sequence,
    /// Whether something that the present attachment sent again was refused: its client may not know yet, and send it again elsewhere.
    has_refused: bool,
    /// The first that came unflagged while nothing was taken of an instance that was forgotten: it had not been sent before, nor had what
    /// follows it.
    unsent_from: Option<Sequence>,
    /// The client has seen acknowledgements up to here.
    confirmed: Sequence,
    /// Sequences taken and not acknowledged, with their numbers in the lane.
    outstanding: VecDeque<(Sequence, Number)>,
    /// Used since the sweep passed last.
    used: bool,
    /// Stands in the list of acknowledgements to send.
    announced: bool,
    /// Where it stands among the records that may go when the table is full.
    expendable: Option<Place>,
}

impl Publisher {
    fn is_confirmed(&self) -> bool {
        self.outstanding.is_empty() && self.confirmed >= self.sequenced
    }

    /// Puts it among those that may go, if it may; `slot` is its own.
    fn note_expendable(&mut self, slot: Slot, expendable: &mut Queue<Slot>) {
        if self.is_confirmed() && !self.announced && self.expendable.is_none() {
            self.expendable = Some(expendable.push_back(slot));
        }
    }

    /// What can be said to be acknowledged, cumulatively. An attachment of an instance that was forgotten may not know yet that
    /// sequences below the first known one are refused: it hands them in before those that are known, so that nothing is
    /// acknowledged that it has not handed in.
    fn settled(&self) -> Sequence {
        match self.history {
            History::Whole => self.acknowledged,
            History::Lost | History::Doubtful if self.submitted < self.first => Sequence(0),
            History::Lost | History::Doubtful => self.acknowledged.min(self.submitted),
        }
    }

    fn attach(&mut self, from: Address, generation: Generation) {
        self.succeeds |= self.generation > Generation(0);
        self.generation = generation;
        self.from = from;
        self.submitted = Sequence(0);
        self.has_refused = false;
    }

    /// What to do with something above everything taken, of an instance that was forgotten and of which nothing was taken since.
    ///
    /// Nothing is taken behind what was refused: were it, and were this lane fenced before the client hears of the refusals, it would send
    /// what was refused once more on another lane, where it would pass for a repeat and be acknowledged. So the attachment is over, and the
    /// next one begins with what its client still takes for unacknowledged.
    fn judge_after_loss(&mut self, submitted: &Submitted) -> Option<Refusal> {
        if !submitted.resent && self.unsent_from.is_none_or(|from| submitted.sequence < from) {
            self.unsent_from = Some(submitted.sequence);
        }
        if self.unsent_from.is_none_or(|from| submitted.sequence < from) {
            self.has_refused = true;
            return Some(Refusal::OutOfRange);
        }
        self.has_refused.then_some(Refusal::Lane)
    }
}

/// What to do with a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Give it the next number, then call [`Publishers::taken`].
    Take(Slot),
    /// Its sequence stands at this number, retained: the same content is a repeat, other content a reuse.
    Outstanding(Number),
    /// It is acknowledged already, and will be again.
    Acknowledged,
    /// A newer attachment exists: not answered.
    Superseded,
    /// Not taken.
    Refuse(Refusal),
}

/// An attachment as it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The highest sequence taken.
    pub sequenced: Sequence,
    /// Everything up to here is acknowledged.
    pub acknowledged: Sequence,
    /// Whether something is taken and not merged.
    pub has_outstanding: bool,
    /// The attachment before, which is over, and its connection point.
    pub superseded: Option<(Address, Generation)>,
}

/// A submission as the table judges it.
#[derive(Clone, Copy, Debug)]
pub struct Submitted {
    /// Which instance.
    pub name: Name,
    /// Its attachment.
    pub generation: Generation,
    /// Its number there.
    pub sequence: Sequence,
    /// Whether it may have been handed in before.
    pub resent: bool,
    /// The connection point that hands it in.
    pub from: Address,
}

/// The table.
#[derive(Debug)]
pub struct Publishers {
    limit: u32,
    idle: Duration,
    by_name: LargeTable<Name, Slot>,
    slots: Pages<Option<Publisher>>,
    /// When to look at which record again, in order of time.
    sweep: Queue<(Instant, Slot)>,
    /// Records confirmed to the end and not announced, oldest first.
    expendable: Queue<Slot>,
    announced: Vec<Slot>,
    forgotten: Forgotten,
    evicted: u64,
    /// The highest attachment of which something was refused for lack of room.
    refused_through: Generation,
}

impl Publishers {
    /// An empty table.
    pub fn new(config: &Config) -> Self {
        let hashing = Seeded::new(config.hash_seed);
        Self {
            limit: config.publishers_max,
            idle: config.publisher_idle,
            by_name: LargeTable::with_hasher(hashing),
            slots: Pages::new(),
            sweep: Queue::new(),
            expendable: Queue::new(),
            announced: Vec::new(),
            forgotten: Forgotten::new(config.forgotten_max, hashing),
            evicted: 0,
            refused_through: Generation(0),
        }
    }

    /// How many instances are known.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// How many were forgotten since the start because they were idle.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether something is known of an instance.
    pub fn knows(&self, name: &Name) -> bool {
        self.by_name.contains_key(name)
    }

    /// An attachment begins; `None` if the table is full.
    pub fn open(&mut self, now: Instant, name: Name, from: Address, generation: Generation) -> Option<Opened> {
        let is_known = self.by_name.contains_key(&name);
        let slot = self.enter(now, name, from)?;
        let publisher = self.get_mut(slot);
        let superseded =
            (is_known && publisher.generation > Generation(0)).then_some((publisher.from, publisher.generation));
        publisher.attach(from, generation);
        publisher.used = true;
        let (sequenced, acknowledged) = (publisher.sequenced, publisher.settled());
        let opened = Opened { sequenced, acknowledged, has_outstanding: !publisher.outstanding.is_empty(), superseded };
        // Who opens and publishes nothing is the first to make room.
        self.note_expendable(slot);
        Some(opened)
    }

    /// Finds the record that a submission belongs to, making one if there is none. The slot is good for
    /// [`Publishers::judge`] until something else is called.
    ///
    /// What an attachment sent behind something that was refused for lack of room is refused as well, even if there is room
    /// by then: acknowledged, it would seem to acknowledge what was refused before it.
    pub fn find(&mut self, now: Instant, submitted: &Submitted) -> Option<Slot> {
        if let Some(&slot) = self.by_name.get(&submitted.name) {
            return Some(slot);
        }
        if submitted.generation <= self.refused_through {
            return None;
        }
        let slot = self.enter(now, submitted.name, submitted.from);
        if slot.is_none() {
            self.refused_through = submitted.generation;
        }
        slot
    }

    /// Decides about a submission of the instance at `slot`.
    pub fn judge(&mut self, slot: Slot, submitted: &Submitted) -> Verdict {
        let publisher = self.get_mut(slot);
        debug_assert_eq!(publisher.name, submitted.name, "a slot belongs to its instance");
        if submitted.generation < publisher.generation && rules::holds(Rule::NewestAttachmentCounts) {
            return Verdict::Superseded;
        }
        if submitted.generation > publisher.generation {
            // Its record was forgotten while it was attached, and another attachment's was made since.
            publisher.attach(submitted.from, submitted.generation);
        }
        publisher.used = true;
        publisher.submitted = publisher.submitted.max(submitted.sequence);
        if submitted.sequence > publisher.sequenced || !rules::holds(Rule::RepeatsArePassedOver) {
            let refusal = match publisher.history {
                History::Lost => publisher.judge_after_loss(submitted),
                History::Doubtful | History::Whole => None,
            };
            return refusal.map_or(Verdict::Take(slot), Verdict::Refuse);
        }
        match publisher.outstanding.binary_search_by_key(&submitted.sequence, |&(sequence, _)| sequence) {
            Ok(index) => Verdict::Outstanding(publisher.outstanding[index].1),
            Err(_) if (publisher.first..=publisher.acknowledged).contains(&submitted.sequence) => {
                self.announce(slot);
                Verdict::Acknowledged
            }
            // Passed over earlier, and what came after it is not settled yet: it would break the order. Or from before this
            // record: it may have been refused then, and must not be acknowledged for what came later.
            Err(_) => Verdict::Refuse(Refusal::OutOfRange),
        }
    }

    /// A submission got its number.
    pub fn taken(&mut self, slot: Slot, sequence: Sequence, number: Number) {
        let publisher = self.get_mut(slot);
        debug_assert!(sequence > publisher.sequenced || !rules::holds(Rule::RepeatsArePassedOver), "sequences rise");
        if publisher.history == History::Lost {
            publisher.history = History::Doubtful;
        }
        if publisher.sequenced == Sequence(0) {
            publisher.first = sequence;
        }
        publisher.sequenced = sequence;
        publisher.outstanding.push_back((sequence, number));
        self.spare(slot);
    }

    /// Every exit point has merged a publication of the instance at `slot`: the oldest outstanding one.
    pub fn merged(&mut self, slot: Slot, sequence: Sequence) {
        /// Room that an instance with nothing outstanding may keep, in sequences.
        const KEPT: usize = 64;
        let publisher = self.get_mut(slot);
        let (oldest, _) = publisher.outstanding.pop_front().expect("what is trimmed was outstanding");
        assert_eq!(oldest, sequence, "publications of one instance are merged in order");
        publisher.acknowledged = sequence;
        if publisher.outstanding.is_empty() && publisher.outstanding.capacity() > KEPT {
            publisher.outstanding = VecDeque::new();
        }
        self.announce(slot);
    }

    /// The client has seen acknowledgements this far.
    pub fn confirmed(&mut self, name: Name, through: Sequence) {
        let Some(&slot) = self.by_name.get(&name) else { return };
        let publisher = self.get_mut(slot);
        publisher.confirmed = publisher.confirmed.max(through);
        self.note_expendable(slot);
    }

    /// The acknowledgements that have come up since the last call, in order of merging, each with its connection point.
    pub fn acknowledgements(&mut self) -> impl Iterator<Item = (Address, AcknowledgedThrough)> + '_ {
        let Self { slots, announced, expendable, .. } = self;
        announced.drain(..).filter_map(|slot| {
            let publisher = slots[slot.0].as_mut().expect("who is announced stays");
            publisher.announced = false;
            publisher.note_expendable(slot, expendable);
            let (key, instance) = publisher.name;
            let sequence = publisher.settled();
            let through = AcknowledgedThrough { publisher: key, instance, generation: publisher.generation, sequence };
            (sequence > Sequence(0)).then_some((publisher.from, through))
        })
    }

    /// When [`Publishers::sweep`] has something to do.
    pub fn next_sweep(&self) -> Option<Instant> {
        self.sweep.front().map(|&(at, _)| at)
    }

    /// Forgets instances that were idle, a bounded number of them.
    pub fn sweep(&mut self, now: Instant) {
        /// Records looked at in one call: some tens of microseconds.
        const STEP: usize = 1024;
        for _ in 0..STEP {
            let Some(&(at, slot)) = self.sweep.front() else { return };
            if at > now {
                return;
            }
            let publisher = self.slots[slot.0].as_mut().expect("who stands in the queue has a record");
            if publisher.used || publisher.announced || !publisher.outstanding.is_empty() {
                publisher.used = false;
                self.sweep.remove(publisher.swept);
                publisher.swept = self.sweep.push_back((now + self.idle, slot));
            } else {
                self.evicted += 1;
                self.remove(slot);
            }
        }
    }

    fn enter(&mut self, now: Instant, name: Name, from: Address) -> Option<Slot> {
        if let Some(&slot) = self.by_name.get(&name) {
            return Some(slot);
        }
        if self.len() >= usize::try_from(self.limit).expect("32 bits fit a usize") && !self.make_room() {
            return None;
        }
        let trace = self.forgotten.get(name);
        let settled = trace.map(|trace| trace.settled);
        let history = match settled {
            Some(Settled::Perhaps | Settled::Unheard) => History::Lost,
            Some(Settled::Surely) | None => History::Whole,
        };
        let slot = Slot(self.slots.insert(None));
        let publisher = Publisher {
            name,
            swept: self.sweep.push_back((now + self.idle, slot)),
            history,
            // What is under way of attachments before that one is not taken any more.
            generation: trace.map_or(Generation(0), |trace| trace.generation),
            succeeds: trace.is_some(),
            from,
            first: Sequence(0),
            submitted: Sequence(0),
            sequenced: Sequence(0),
            acknowledged: Sequence(0),
            // Of the latest attachment, as long as there is no newer one.
            has_refused: settled == Some(Settled::Unheard),
            unsent_from: None,
            confirmed: Sequence(0),
            outstanding: VecDeque::new(),
            used: true,
            announced: false,
            expendable: None,
        };
        self.slots[slot.0] = Some(publisher);
        self.by_name.insert(name, slot);
        Some(slot)
    }

    /// Lets a record go whose client has seen every acknowledgement: it will never send one of those again.
    fn make_room(&mut self) -> bool {
        let oldest = self.expendable.front().copied();
        oldest.into_iter().for_each(|slot| self.remove(slot));
        oldest.is_some()
    }

    fn note_expendable(&mut self, slot: Slot) {
        let Self { slots, expendable, .. } = self;
        let publisher = slots[slot.0].as_mut().expect("a slot in use holds a record");
        publisher.note_expendable(slot, expendable);
    }

    /// A record may not go any more.
    fn spare(&mut self, slot: Slot) {
        if let Some(place) = self.get_mut(slot).expendable.take() {
            self.expendable.remove(place);
        }
    }

    fn announce(&mut self, slot: Slot) {
        let publisher = self.get_mut(slot);
        if !publisher.announced {
            publisher.announced = true;
            self.announced.push(slot);
            self.spare(slot);
        }
    }

    fn remove(&mut self, slot: Slot) {
        let publisher = self.slots.remove(slot.0).expect("a record is removed once");
        debug_assert!(publisher.outstanding.is_empty(), "the log refers to no removed record");
        self.sweep.remove(publisher.swept);
        if let Some(place) = publisher.expendable {
            self.expendable.remove(place);
        }
        let is_settled = publisher.is_confirmed() && publisher.history != History::Lost;
        if !is_settled || publisher.succeeds {
            let settled = match (is_settled, publisher.has_refused) {
                (true, _) => Settled::Surely,
                (false, true) => Settled::Unheard,
                (false, false) => Settled::Perhaps,
            };
            self.forgotten.insert(publisher.name, Trace { generation: publisher.generation, settled });
        }
        self.by_name.remove(&publisher.name);
    }

    fn get_mut(&mut self, slot: Slot) -> &mut Publisher {
        self.slots[slot.0].as_mut().expect("a slot in use holds a record")
    }
}

#[cfg(test)]
mod tests;
