//! Publisher instances that were forgotten, as long as something of theirs may still come that must not be taken: a flagged re-send
//! that was taken already, or what an attachment that was superseded had sent. Some tens of bytes each; a wrong match has a
//! probability of 2^-64 a pair.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use gomera_cluster::identity::Generation;
use gomera_cluster::table::{LargeTable, Seeded};

use super::Name;

/// Whether its client has seen an acknowledgement of everything it published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It has, and will send none of it again.
    Surely,
    /// It may not have.
    Perhaps,
    /// Nor may it know of what was refused that its latest attachment sent again.
    Unheard,
}

/// What is known of an instance that was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its latest attachment.
    pub generation: Generation,
    /// Whether everything was settled.
    pub settled: Settled,
}

/// Traces by fingerprint, the oldest first.
#[derive(Debug)]
pub struct Forgotten {
    limit: usize,
    hashing: Seeded,
    /// Counts what was inserted.
    age: u64,
    /// In order of age; who was inserted again has stale places.
    order: VecDeque<(u64, u64)>,
    traces: LargeTable<u64, (u64, Trace)>,
}

impl Forgotten {
    /// None yet; at most `limit` are remembered.
    pub fn new(limit: u32, hashing: Seeded) -> Self {
        Self {
            limit: usize::try_from(limit).expect("32 bits fit a usize"),
            hashing,
            age: 0,
            order: VecDeque::new(),
            traces: LargeTable::with_hasher(hashing),
        }
    }

    /// Remembers an instance.
    pub fn insert(&mut self, name: Name, trace: Trace) {
        if self.limit == 0 {
            return;
        }
        let fingerprint = self.hashing.hash_one(name);
        self.age += 1;
        self.traces.insert(fingerprint, (self.age, trace));
        self.order.push_back((self.age, fingerprint));
        while self.traces.len() > self.limit
            && let Some((age, oldest)) = self.order.pop_front()
        {
            if self.is_latest(age, oldest) {
                self.traces.remove(&oldest);
            }
        }
        // Above this, the order holds more stale places than others and is worth going through.
        if self.order.len() > 2 * self.limit {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|&(age, fingerprint)| self.is_latest(age, fingerprint));
            self.order = order;
        }
    }

    fn is_latest(&self, age: u64, fingerprint: u64) -> bool {
        self.traces.get(&fingerprint).is_some_and(|&(latest, _)| latest == age)
    }

    /// What is remembered of an instance.
    pub fn get(&self, name: Name) -> Option<Trace> {
        self.traces.get(&self.hashing.hash_one(name)).map(|&(_, trace)| trace)
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::identity::Instance;

    use super::*;
    use crate::fixture::publisher;

    #[test]
    fn who_is_forgotten_again_is_remembered_longer_than_who_was_not() {
        let trace = Trace { generation: Generation(1), settled: Settled::Perhaps };
        let name = |name| (publisher(name), Instance(1));
        let mut forgotten = Forgotten::new(2, Seeded::new(7));
        for next in ["p", "q", "p", "r"] {
            forgotten.insert(name(next), trace);
        }
        assert_eq!(["p", "q", "r"].map(|next| forgotten.get(name(next)).is_some()), [true, false, true]);
        for _ in 0..1000 {
            forgotten.insert(name("r"), trace);
        }
        assert_eq!(["p", "q", "r"].map(|next| forgotten.get(name(next)).is_some()), [true, false, true]);
        assert!(forgotten.order.len() <= 4, "what is stale goes");
    }
}
