//! Publisher instances that were forgotten, as long as something of theirs may still come that must not be taken: a flagged re-send
//! that was taken already, or what an attachment that was superseded had sent. Some tens of bytes each; a wrong match has a
//! probability of 2^-64 a pair.

use std::hash::BuildHasher;

use gomera_cluster::identity::Generation;
use gomera_cluster::table::{LargeTable, Seeded};

use super::Name;
use super::queue::{Place, Queue};

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
    /// In order of age, each once.
    order: Queue<(u64, Trace)>,
    places: LargeTable<u64, Place>,
}

impl Forgotten {
    /// None yet; at most `limit` are remembered.
    pub fn new(limit: u32, hashing: Seeded) -> Self {
        Self {
            limit: usize::try_from(limit).expect("32 bits fit a usize"),
            hashing,
            order: Queue::new(),
            places: LargeTable::with_hasher(hashing),
        }
    }

    /// Remembers an instance; who was remembered already is as young as anybody.
    pub fn insert(&mut self, name: Name, trace: Trace) {
        if self.limit == 0 {
            return;
        }
        let fingerprint = self.hashing.hash_one(name);
        if let Some(place) = self.places.remove(&fingerprint) {
            self.order.remove(place);
        } else if self.places.len() >= self.limit
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        self.places.insert(fingerprint, self.order.push_back((fingerprint, trace)));
    }

    /// What is remembered of an instance.
    pub fn get(&self, name: Name) -> Option<Trace> {
        self.places.get(&self.hashing.hash_one(name)).map(|&place| self.order.get(place).1)
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
            assert_eq!(forgotten.order.len(), 2, "nothing stale piles up that would have to be gone through");
        }
        assert_eq!(["p", "q", "r"].map(|next| forgotten.get(name(next)).is_some()), [true, false, true]);
    }
}
