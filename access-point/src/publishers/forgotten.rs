//! Publisher instances that were forgotten while their client may not have seen every acknowledgement: a flagged re-send of
//! theirs may have been taken already. Eight bytes each; a wrong match has a probability of 2^-64 a pair.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use gomera_cluster::table::{Members, Seeded};

use super::Name;

/// Fingerprints of instances that were forgotten, the oldest first.
#[derive(Debug)]
pub struct Forgotten {
    limit: usize,
    hashing: Seeded,
    order: VecDeque<u64>,
    members: Members<u64>,
}

impl Forgotten {
    /// None yet; at most `limit` are remembered.
    pub fn new(limit: u32, hashing: Seeded) -> Self {
        Self {
            limit: usize::try_from(limit).expect("32 bits fit a usize"),
            hashing,
            order: VecDeque::new(),
            members: Members::with_hasher(hashing),
        }
    }

    /// Remembers an instance.
    pub fn insert(&mut self, name: Name) {
        if self.limit == 0 {
            return;
        }
        let fingerprint = self.hashing.hash_one(name);
        if self.members.insert(fingerprint) {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
    }

    /// Whether an instance is remembered.
    pub fn contains(&self, name: Name) -> bool {
        self.members.contains(&self.hashing.hash_one(name))
    }
}
