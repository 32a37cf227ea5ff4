//! How far each publisher instance has come in outboxes of this shard, whatever the lane. A publication that stands in two lanes, because
//! the first was fenced before it was acknowledged, is put into outboxes once: when the second copy comes up, its sequence is not above
//! what is here.
//!
//! One sequence an instance suffices: what an instance publishes is handed in, and handed in again, in order, and it changes lanes only
//! when everything before is settled or goes with it.
//!
//! ```text
//!   young ── full, or some time later ──▶ old ── the same ──▶ forgotten          whoever is used is young again
//! ```
//! Invariant: both halves hold at most [`INSTANCES_MAX`] instances. What is forgotten would be delivered again if it were handed in
//! again on another lane so much later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gomera_cluster::identity::{Instance, PublisherKey, Sequence};
use gomera_cluster::layout::{Layout, SessionSlice};
use gomera_cluster::position::LaneId;
use gomera_cluster::publication::PublicationKey;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::table::{Seeded, Table};
use gomera_cluster::time::Instant;
use indexmap::IndexMap;

/// Instances in each half: some 6 MB. Beyond that, those longest not heard of are forgotten sooner.
const INSTANCES_MAX: usize = 131_072;

/// How long an instance is remembered at least, if there is room: as long as access points do.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The latest sequences.
#[derive(Debug)]
pub(crate) struct Settled {
    /// In the order in which instances came: both are told to other replicas.
    young: IndexMap<(PublisherKey, Instance), Latest, Seeded>,
    old: IndexMap<(PublisherKey, Instance), Latest, Seeded>,
    since: Instant,
    limit: usize,
}

/// The latest publication of an instance, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Latest {
    sequence: Sequence,
    lane: LaneId,
}

impl Settled {
    pub(crate) fn new(hashing: Seeded) -> Self {
        Self {
            young: IndexMap::with_hasher(hashing),
            old: IndexMap::with_hasher(hashing),
            since: Instant::ZERO,
            limit: INSTANCES_MAX,
        }
    }

    /// If a publication is in outboxes already, by which lane its instance came that far.
    pub(crate) fn repeated(&self, key: PublicationKey) -> Option<LaneId> {
        if !rules::holds(Rule::RepeatsArePassedOver) {
            return None;
        }
        let instance = (key.publisher, key.instance);
        let latest = self.young.get(&instance).or_else(|| self.old.get(&instance))?;
        (key.sequence <= latest.sequence).then_some(latest.lane)
    }

    /// A second copy of a publication counts for some slices: if it is the latest of its instance, it stands in this lane from now on.
    pub(crate) fn stand(&mut self, key: PublicationKey, lane: LaneId) {
        let instance = (key.publisher, key.instance);
        let halves = [self.young.get_mut(&instance), self.old.get_mut(&instance)];
        for latest in halves.into_iter().flatten().filter(|latest| latest.sequence == key.sequence) {
            latest.lane = lane;
        }
    }

    /// A publication is in outboxes from now on, by this lane.
    pub(crate) fn settle(&mut self, now: Instant, key: PublicationKey, lane: LaneId) {
        if self.young.len() >= self.limit || now.since(self.since) >= REMEMBERED_FOR {
            let hashing = *self.young.hasher();
            self.old = std::mem::replace(&mut self.young, IndexMap::with_hasher(hashing));
            self.since = now;
        }
        self.young.insert((key.publisher, key.instance), Latest { sequence: key.sequence, lane });
    }

    /// Adds all of it to what is known.
    pub(crate) fn list(&self, known: &mut Known) {
        for (&instance, latest) in self.old.iter().chain(&self.young) {
            note(known, instance, latest.sequence);
        }
    }
}

/// How far publisher instances have come, to be sent to another replica: each once, whatever it was heard from. Were it sent as often as it
/// was heard, two replicas that copy slices from each other would send each other twice as much each time.
pub(crate) type Known = BTreeMap<(PublisherKey, Instance), Sequence>;

fn note(known: &mut Known, instance: (PublisherKey, Instance), sequence: Sequence) {
    let latest = known.entry(instance).or_insert(sequence);
    *latest = (*latest).max(sequence);
}

/// How far publishers had come elsewhere before this shard had some slices: for targets in these only, and as long as a second copy of
/// what was settled there may still come.
///
/// Of lanes that had ended when it was asked for, it says all that counts for these slices: their leader may have cut a fenced one
/// elsewhere than this shard, so that what this shard settled of its end may still be to come for them, on another lane.
#[derive(Debug)]
pub(crate) struct Inherited {
    slices: BTreeSet<SessionSlice>,
    /// The lanes that went on when it was asked for, and the one that was to be opened next.
    lanes: BTreeSet<LaneId>,
    lane_next: LaneId,
    scope: Scope,
    settled: Table<(PublisherKey, Instance), Sequence>,
    until: Instant,
}

/// For which sessions something inherited counts: a session and what counts for it come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For those that came with it.
    Copied,
    /// For all: everything is here.
    All,
}

impl Inherited {
    pub(crate) fn new(now: Instant, slices: BTreeSet<SessionSlice>, layout: &Layout, hashing: Seeded) -> Self {
        Self {
            slices,
            lanes: layout.lanes.keys().copied().collect(),
            lane_next: layout.lane_next,
            scope: Scope::Copied,
            settled: Table::with_hasher(hashing),
            until: now + REMEMBERED_FOR,
        }
    }

    /// Everything is here.
    pub(crate) fn complete(&mut self) {
        self.scope = Scope::All;
    }

    /// For which sessions it counts.
    pub(crate) const fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether a lane had ended when it was asked for.
    pub(crate) fn had_ended(&self, lane: LaneId) -> bool {
        lane < self.lane_next && !self.lanes.contains(&lane)
    }

    /// Whether what this shard settled by a lane may be to come for a slice.
    pub(crate) fn disputes(&self, slice: SessionSlice, lane: LaneId) -> bool {
        self.slices.contains(&slice) && self.had_ended(lane)
    }

    /// A publication that was to come has come.
    pub(crate) fn settle(&mut self, key: PublicationKey) {
        let settled = self.settled.entry((key.publisher, key.instance)).or_insert(key.sequence);
        *settled = (*settled).max(key.sequence);
    }

    pub(crate) fn add(&mut self, all: Vec<(PublisherKey, Instance, Sequence)>) {
        for (publisher, instance, sequence) in all {
            let settled = self.settled.entry((publisher, instance)).or_insert(sequence);
            *settled = (*settled).max(sequence);
        }
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Adds it to what is known, if it is about one of these slices.
    #[expect(clippy::iter_over_hash_type, reason = "what is known has an order of its own")]
    pub(crate) fn list(&self, slices: &[SessionSlice], known: &mut Known) {
        if slices.iter().any(|slice| self.slices.contains(slice)) {
            for (&instance, &sequence) in &self.settled {
                note(known, instance, sequence);
            }
        }
    }

    /// Slices come here anew, or go; whether none is left.
    pub(crate) fn leave(&mut self, gone: impl Fn(SessionSlice) -> bool) -> bool {
        self.slices.retain(|&slice| !gone(slice));
        self.slices.is_empty()
    }

    /// Whether a publication was settled before for a slice.
    pub(crate) fn is_repeat(&self, slice: SessionSlice, key: PublicationKey) -> bool {
        rules::holds(Rule::RepeatsArePassedOver)
            && self.slices.contains(&slice)
            && self.settled.get(&(key.publisher, key.instance)).is_some_and(|&settled| key.sequence <= settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(instance: u64, sequence: u64) -> PublicationKey {
        PublicationKey { publisher: PublisherKey(1), instance: Instance(instance), sequence: Sequence(sequence) }
    }

    const LANE: LaneId = LaneId(1);

    fn is_repeat(settled: &Settled, key: PublicationKey) -> bool {
        settled.repeated(key).is_some()
    }

    #[test]
    fn what_was_settled_is_a_repeat_and_instances_are_apart() {
        let mut settled = Settled::new(Seeded::new(1));
        settled.settle(Instant::ZERO, key(1, 5), LANE);
        assert!(is_repeat(&settled, key(1, 5)) && is_repeat(&settled, key(1, 4)));
        assert!(!is_repeat(&settled, key(1, 6)) && !is_repeat(&settled, key(2, 1)));
    }

    #[test]
    fn who_is_used_is_remembered_and_the_rest_is_bounded() {
        let mut settled = Settled { limit: 4, ..Settled::new(Seeded::new(1)) };
        for sequence in 1..100 {
            settled.settle(Instant::ZERO, key(0, sequence), LANE);
            settled.settle(Instant::ZERO, key(sequence, 1), LANE);
            assert!(is_repeat(&settled, key(0, sequence)));
            assert!(settled.young.len() + settled.old.len() <= 9);
        }
        assert!(!is_repeat(&settled, key(1, 1)), "forgotten long ago");
    }

    #[test]
    fn replicas_that_copy_from_each_other_tell_each_instance_once() {
        let layout = crate::testing::layout(1);
        let slice = SessionSlice(0);
        let mut shards = [1, 2].map(|own| {
            let mut settled = Settled::new(Seeded::new(1));
            settled.settle(Instant::ZERO, key(own, own), LANE);
            settled.settle(Instant::ZERO, key(0, own), LANE);
            (settled, Vec::<Inherited>::new())
        });
        let list = |(settled, inherited): &(Settled, Vec<Inherited>)| {
            let mut known = Known::new();
            inherited.iter().for_each(|inherited| inherited.list(&[slice], &mut known));
            settled.list(&mut known);
            known
                .into_iter()
                .map(|((publisher, instance), sequence)| (publisher, instance, sequence))
                .collect::<Vec<_>>()
        };
        for round in 0..40 {
            let told = list(&shards[round % 2]);
            let mut inherited = Inherited::new(Instant::ZERO, [slice].into(), &layout, Seeded::new(1));
            inherited.add(told);
            shards[(round + 1) % 2].1.push(inherited);
        }
        let all = |sequences: [u64; 3]| {
            let instances = (0..).zip(sequences);
            instances
                .map(|(instance, sequence)| (PublisherKey(1), Instance(instance), Sequence(sequence)))
                .collect::<Vec<_>>()
        };
        assert_eq!(list(&shards[0]), all([2, 1, 2]), "the highest of each");
    }

    #[test]
    fn an_instance_is_remembered_for_its_time() {
        let mut settled = Settled::new(Seeded::new(1));
        settled.settle(Instant::ZERO, key(1, 1), LANE);
        let later = Instant::ZERO + REMEMBERED_FOR;
        settled.settle(later, key(2, 1), LANE);
        assert!(is_repeat(&settled, key(1, 1)));
        settled.settle(later + REMEMBERED_FOR, key(2, 2), LANE);
        assert!(!is_repeat(&settled, key(1, 1)));
    }
}
