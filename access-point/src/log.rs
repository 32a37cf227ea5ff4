//! The retained log of a lane: entries by number, from the first that some exit point has not merged to the last written.
//!
//! ```text
//!   1 … trimmed │ trimmed+1 … cursor of a matcher … last │ next
//!     gone      │               retained                 │
//! ```
//! Invariant: numbers are given once, in order, without a hole; `trimmed <= every cursor <= last`.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::message::matcher::Entry;
use gomera_cluster::position::Number;

use crate::publishers::Slot;
use crate::routes::Stamp;

/// Who brought an entry, and who has to see it.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A publisher; every matcher has to see it that has anything to judge by.
    Publisher {
        /// Its place in the table of publishers.
        slot: Slot,
        /// The connection point that handed it in.
        from: Address,
    },
    /// A session's operation, for the matchers it is stamped with.
    Session {
        /// The connection point that handed it in.
        from: Address,
        /// The matchers that have to apply it.
        stamp: Stamp,
    },
    /// The end of a session or of a subscription, or an operation that has to be applied anew, for the matchers it is stamped with.
    Cluster {
        /// The matchers that have to apply it.
        stamp: Stamp,
    },
    /// The lane itself: barriers; every matcher has to see them.
    Lane,
}

/// An entry and what has to happen when it is let go.
#[derive(Clone, Debug)]
pub struct Retained {
    /// What is sent.
    pub entry: Entry,
    /// What it counts in credit and limits.
    pub cost: u64,
    /// Who brought it.
    pub origin: Origin,
}

impl Retained {
    fn concerns(&self, reader: Address, sees: impl FnOnce() -> bool) -> bool {
        match &self.origin {
            Origin::Publisher { .. } => sees(),
            Origin::Lane => true,
            Origin::Session { stamp, .. } | Origin::Cluster { stamp } => stamp.binary_search(&reader).is_ok(),
        }
    }
}

/// What one frame may hold.
#[derive(Clone, Copy, Debug)]
pub struct RunLimit {
    /// Entries.
    pub entries: usize,
    /// Bytes; the first entry may exceed it.
    pub bytes: u64,
}

/// A run of the log as one matcher has to see it.
#[derive(Debug)]
pub struct Run {
    /// The last number looked at.
    pub to: Number,
    /// What concerns the matcher, in order.
    pub entries: Vec<(Number, Entry)>,
}

/// Entries by number.
#[derive(Debug, Default)]
pub struct Log {
    trimmed: Number,
    entries: VecDeque<Retained>,
    bytes: u64,
}

impl Log {
    /// The last number given, zero before the first.
    pub fn last(&self) -> Number {
        Number(self.trimmed.0 + self.len())
    }

    /// The last number let go.
    pub fn trimmed(&self) -> Number {
        self.trimmed
    }

    /// How many entries are retained.
    pub fn len(&self) -> u64 {
        u64::try_from(self.entries.len()).expect("a length fits 64 bits")
    }

    /// What they cost.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the next number.
    pub fn append(&mut self, retained: Retained) -> Number {
        self.bytes += retained.cost;
        self.entries.push_back(retained);
        self.last()
    }

    /// A retained entry.
    pub fn get(&self, number: Number) -> Option<&Retained> {
        self.entries.get(usize::try_from(number.0.checked_sub(self.trimmed.0 + 1)?).ok()?)
    }

    /// What stands after `after` for `reader`, up to the limit, and at least one entry or the end of the log; publications if it `sees` them.
    ///
    /// # Panics
    /// If `after` is let go already: the cursor of a reader never falls behind the trim.
    pub fn run(&self, after: Number, reader: Address, limit: RunLimit, sees: impl Fn(Number) -> bool) -> Run {
        let skip = after.0.checked_sub(self.trimmed.0).expect("a cursor is never behind what is let go");
        let skip = usize::try_from(skip).expect("a cursor lies within the log");
        let mut entries = Vec::with_capacity(limit.entries.min(self.entries.len().saturating_sub(skip)));
        let (mut to, mut bytes) = (after, 0);
        for retained in self.entries.range(skip..) {
            if retained.concerns(reader, || sees(to.next())) {
                let full = entries.len() >= limit.entries || bytes + retained.cost > limit.bytes;
                if full && !entries.is_empty() {
                    break;
                }
                bytes += retained.cost;
                entries.push((to.next(), retained.entry.clone()));
            }
            to = to.next();
        }
        Run { to, entries }
    }

    /// What has to be judged again in `(after, end]`: publications, and the marks between them; up to the limit.
    ///
    /// # Panics
    /// If `after` is let go already.
    pub fn again(&self, after: Number, end: Number, limit: RunLimit) -> Run {
        let range = |number: Number| {
            let place = number.0.checked_sub(self.trimmed.0).expect("what is sent again is retained");
            usize::try_from(place).expect("a place lies within the log")
        };
        let (mut to, mut bytes, mut entries) = (after, 0, Vec::new());
        for retained in self.entries.range(range(after)..range(end)) {
            match &retained.entry {
                Entry::Publication(_) | Entry::Barrier(_) | Entry::Close => {
                    let full = entries.len() >= limit.entries || bytes + retained.cost > limit.bytes;
                    if full && !entries.is_empty() {
                        break;
                    }
                    bytes += retained.cost;
                    entries.push((to.next(), retained.entry.clone()));
                }
                Entry::Operation(_) => {}
            }
            to = to.next();
        }
        Run { to, entries }
    }

    /// Lets the oldest entry go if its number is at most `through`.
    pub fn trim_one(&mut self, through: Number) -> Option<(Number, Retained)> {
        if self.trimmed >= through {
            return None;
        }
        let retained = self.entries.pop_front()?;
        self.trimmed = self.trimmed.next();
        self.bytes -= retained.cost;
        Some((self.trimmed, retained))
    }
}

/// A stamp of these machines, for look-ups by [`Retained::concerns`].
#[must_use]
pub fn stamp(mut machines: Vec<Address>) -> Stamp {
    machines.sort_unstable();
    machines.dedup();
    Arc::from(machines)
}

#[cfg(test)]
mod tests;
