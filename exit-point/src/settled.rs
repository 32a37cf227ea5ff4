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

use std::collections::BTreeSet;
use std::time::Duration;

use gomera_cluster::identity::{Instance, PublisherKey, Sequence};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::publication::PublicationKey;
use gomera_cluster::table::{Seeded, Table};
use gomera_cluster::time::Instant;

/// Instances in each half: some 6 MB. Beyond that, those longest not heard of are forgotten sooner.
const INSTANCES_MAX: usize = 131_072;

/// How long an instance is remembered at least, if there is room: as long as access points do.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// The latest sequences.
#[derive(Debug)]
pub(crate) struct Settled {
    young: Table<(PublisherKey, Instance), Sequence>,
    old: Table<(PublisherKey, Instance), Sequence>,
    /// Who stands in each half, in the order in which they came.
    young_order: Vec<(PublisherKey, Instance)>,
    old_order: Vec<(PublisherKey, Instance)>,
    since: Instant,
    limit: usize,
}

impl Settled {
    pub(crate) fn new(hashing: Seeded) -> Self {
        Self {
            young: Table::with_hasher(hashing),
            old: Table::with_hasher(hashing),
            young_order: Vec::new(),
            old_order: Vec::new(),
            since: Instant::ZERO,
            limit: INSTANCES_MAX,
        }
    }

    /// Whether a publication is in outboxes already.
    pub(crate) fn is_repeat(&self, key: PublicationKey) -> bool {
        let instance = (key.publisher, key.instance);
        let settled = self.young.get(&instance).or_else(|| self.old.get(&instance));
        settled.is_some_and(|&settled| key.sequence <= settled)
    }

    /// A publication is in outboxes from now on.
    pub(crate) fn settle(&mut self, now: Instant, key: PublicationKey) {
        if self.young.len() >= self.limit || now.since(self.since) >= REMEMBERED_FOR {
            let hashing = *self.young.hasher();
            self.old = std::mem::replace(&mut self.young, Table::with_hasher(hashing));
            self.old_order = std::mem::take(&mut self.young_order);
            self.since = now;
        }
        let instance = (key.publisher, key.instance);
        if self.young.insert(instance, key.sequence).is_none() {
            self.young_order.push(instance);
        }
    }
}

impl Settled {
    /// All of it, to be sent to another replica.
    pub(crate) fn list(&self) -> Vec<(PublisherKey, Instance, Sequence)> {
        let settled = |(half, order): (&Table<_, Sequence>, &[_])| {
            order
                .iter()
                .map(|&(publisher, instance)| (publisher, instance, half[&(publisher, instance)]))
                .collect::<Vec<_>>()
        };
        // Who stands in both is listed twice, the later time with the later sequence.
        [(&self.old, &self.old_order[..]), (&self.young, &self.young_order[..])].into_iter().flat_map(settled).collect()
    }
}

/// How far publishers had come elsewhere before this shard had some slices: for targets in these only, and as long as a second copy of
/// what was settled there may still come.
#[derive(Debug)]
pub(crate) struct Inherited {
    slices: BTreeSet<SessionSlice>,
    settled: Table<(PublisherKey, Instance), Sequence>,
    /// The same, to be handed on.
    all: Vec<(PublisherKey, Instance, Sequence)>,
    until: Instant,
}

impl Inherited {
    pub(crate) fn new(now: Instant, slices: BTreeSet<SessionSlice>, hashing: Seeded) -> Self {
        Self { slices, settled: Table::with_hasher(hashing), all: Vec::new(), until: now + REMEMBERED_FOR }
    }

    pub(crate) fn add(&mut self, all: Vec<(PublisherKey, Instance, Sequence)>) {
        for &(publisher, instance, sequence) in &all {
            let settled = self.settled.entry((publisher, instance)).or_insert(sequence);
            *settled = (*settled).max(sequence);
        }
        self.all.extend(all);
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// All of it, if it is about one of these slices.
    pub(crate) fn list(&self, slices: &[SessionSlice]) -> &[(PublisherKey, Instance, Sequence)] {
        if slices.iter().any(|slice| self.slices.contains(slice)) { &self.all } else { &[] }
    }

    /// Slices come here anew, or go; whether none is left.
    pub(crate) fn leave(&mut self, gone: impl Fn(SessionSlice) -> bool) -> bool {
        self.slices.retain(|&slice| !gone(slice));
        self.slices.is_empty()
    }

    /// Whether a publication was settled before for a slice.
    pub(crate) fn is_repeat(&self, slice: SessionSlice, key: PublicationKey) -> bool {
        self.slices.contains(&slice)
            && self.settled.get(&(key.publisher, key.instance)).is_some_and(|&settled| key.sequence <= settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(instance: u64, sequence: u64) -> PublicationKey {
        PublicationKey { publisher: PublisherKey(1), instance: Instance(instance), sequence: Sequence(sequence) }
    }

    #[test]
    fn what_was_settled_is_a_repeat_and_instances_are_apart() {
        let mut settled = Settled::new(Seeded::new(1));
        settled.settle(Instant::ZERO, key(1, 5));
        assert!(settled.is_repeat(key(1, 5)) && settled.is_repeat(key(1, 4)));
        assert!(!settled.is_repeat(key(1, 6)) && !settled.is_repeat(key(2, 1)));
    }

    #[test]
    fn who_is_used_is_remembered_and_the_rest_is_bounded() {
        let mut settled = Settled { limit: 4, ..Settled::new(Seeded::new(1)) };
        for sequence in 1..100 {
            settled.settle(Instant::ZERO, key(0, sequence));
            settled.settle(Instant::ZERO, key(sequence, 1));
            assert!(settled.is_repeat(key(0, sequence)));
            assert!(settled.young.len() + settled.old.len() <= 9);
        }
        assert!(!settled.is_repeat(key(1, 1)), "forgotten long ago");
    }

    #[test]
    fn an_instance_is_remembered_for_its_time() {
        let mut settled = Settled::new(Seeded::new(1));
        settled.settle(Instant::ZERO, key(1, 1));
        let later = Instant::ZERO + REMEMBERED_FOR;
        settled.settle(later, key(2, 1));
        assert!(settled.is_repeat(key(1, 1)));
        settled.settle(later + REMEMBERED_FOR, key(2, 2));
        assert!(!settled.is_repeat(key(1, 1)));
    }
}
