//! Publisher instances that were forgotten, as long as something of theirs may still come that must not be taken: a flagged re-send
//! that was taken already, or what an attachment that was superseded had sent. Some tens of bytes each; a wrong match has a
//! probability of 2^-64 a pair.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use gomera_cluster::identity::Generation;
use gomera_cluster::table::{Seeded, Table};

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
    order: VecDeque<u64>,
    traces: Table<u64, Trace>,
}

impl Forgotten {
    /// None yet; at most `limit` are remembered.
    pub fn new(limit: u32, hashing: Seeded) -> Self {
        Self {
            limit: usize::try_from(limit).expect("32 bits fit a usize"),
            hashing,
            order: VecDeque::new(),
            traces: Table::with_hasher(hashing),
        }
    }

    /// Remembers an instance.
    pub fn insert(&mut self, name: Name, trace: Trace) {
        if self.limit == 0 {
            return;
        }
        let fingerprint = self.hashing.hash_one(name);
        if self.traces.insert(fingerprint, trace).is_none() {
            self.order.push_back(fingerprint);
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
        }
    }

    /// What is remembered of an instance.
    pub fn get(&self, name: Name) -> Option<Trace> {
        self.traces.get(&self.hashing.hash_one(name)).copied()
    }
}
