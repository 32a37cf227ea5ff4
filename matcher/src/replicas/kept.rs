//! Operations on a slice that wait until its snapshot is in, in the order in which they came. What a session asked for that has ended since
//! is passed by: whoever has the slice has removed it, or refused it, and the trace of the end may be gone when its turn comes here, or
//! had no room.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::operation::Operation;

/// See the top of this file. How much there may be is up to who keeps them.
#[derive(Debug, Default)]
pub struct Kept {
    operations: VecDeque<Arc<Operation>>,
    bytes: u64,
    /// Those who asked for them; holds no others.
    sessions: BTreeMap<SessionKey, Asker>,
}

#[derive(Debug, Default)]
struct Asker {
    operations: usize,
    /// Everything of this generation and below is over.
    ended: Option<Generation>,
}

impl Kept {
    /// What they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The one that is applied next.
    #[cfg(test)]
    pub fn first(&self) -> Option<&Operation> {
        self.operations.front().map(|operation| &**operation)
    }

    /// Keeps one.
    pub fn push(&mut self, operation: &Arc<Operation>) {
        self.bytes += operation.own_bytes();
        self.sessions.entry(operation.session).or_default().operations += 1;
        self.operations.push_back(operation.clone());
    }

    /// A session has ended, up to a generation.
    pub fn end(&mut self, session: SessionKey, through: Generation) {
        if let Some(asker) = self.sessions.get_mut(&session) {
            asker.ended = asker.ended.max(Some(through));
        }
    }

    /// The next one, if it is still to be applied; nothing at all at the end.
    pub fn next(&mut self) -> Option<Option<Arc<Operation>>> {
        let operation = self.operations.pop_front()?;
        self.bytes -= operation.own_bytes();
        let asker = self.sessions.get_mut(&operation.session).expect("who asked for what is kept is known");
        let is_over = asker.ended.is_some_and(|ended| operation.version.generation <= ended);
        asker.operations -= 1;
        if asker.operations == 0 {
            self.sessions.remove(&operation.session);
        }
        Some((!is_over).then_some(operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{put, session, version};

    #[test]
    fn what_asked_who_has_ended_is_passed_by_and_nothing_is_left_of_it() {
        let mut kept = Kept::default();
        for (counter, (name, generation)) in (1..).zip([("s", 1), ("s", 3), ("other", 1), ("s", 2)]) {
            kept.push(&Arc::new(put(name, "x", version(generation, counter), counter, "a = 1")));
        }
        kept.end(session("s"), Generation(2));
        kept.end(session("s"), Generation(1));
        kept.end(session("nobody"), Generation(9));
        let mut counters = Vec::new();
        while let Some(next) = kept.next() {
            counters.extend(next.map(|operation| operation.version.counter));
        }
        assert_eq!(counters, [2, 3]);
        assert_eq!((kept.bytes(), kept.is_empty(), kept.sessions.len()), (0, true, 0));
    }
}
