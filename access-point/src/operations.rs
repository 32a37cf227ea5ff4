//! The operations of a lane that await their matchers.
//!
//! An operation completes when every machine it is stamped with has worked off its number and one of them, the active replica
//! of its slice, has said what came of it; one that went to all machines has the outcomes of all of them combined. It stays
//! in order of number until it is complete, and its credit is freed when it is both complete and trimmed from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::operation::{Change, Operation, Outcome};
use gomera_cluster::position::Number;

use crate::routes::Stamp;

/// Who is told the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The connection point of a session's client.
    ConnectionPoint(Address),
    /// The active exit point of a session that ended.
    ExitPoint(Address),
}

/// Whether the log still holds an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Retained,
    Trimmed,
}

#[derive(Debug)]
struct Pending {
    number: Number,
    operation: Arc<Operation>,
    asker: Asker,
    stamp: Stamp,
    /// Machines that have not come so far.
    awaited: usize,
    outcome: Option<Outcome>,
    retention: Retention,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Awaiting,
    Complete,
}

/// An operation that is complete.
#[derive(Debug)]
pub struct Completion {
    /// Its number.
    pub number: Number,
    /// What it was.
    pub operation: Arc<Operation>,
    /// Who is told.
    pub asker: Asker,
    /// What came of it.
    pub outcome: Outcome,
    /// Its credit to free now; 0 if the log holds it still.
    pub freed: u64,
}

/// What a trimmed operation's credit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// Nothing: free it.
    Free,
    /// Its completion.
    Awaited,
}

/// The operations that await their matchers, in order of number.
#[derive(Debug, Default)]
pub struct Operations {
    pending: VecDeque<Pending>,
}

impl Operations {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether an operation of this connection point is not complete.
    pub fn awaits(&self, connection_point: Address) -> bool {
        self.pending.iter().any(|pending| pending.asker == Asker::ConnectionPoint(connection_point))
    }

    /// An operation got its number.
    pub fn begin(&mut self, number: Number, operation: Arc<Operation>, asker: Asker, stamp: Stamp) {
        debug_assert!(self.pending.back().is_none_or(|last| last.number < number), "numbers rise");
        let awaited = stamp.len();
        self.pending.push_back(Pending {
            number,
            operation,
            asker,
            stamp,
            awaited,
            outcome: None,
            retention: Retention::Retained,
            phase: Phase::Awaiting,
        });
    }

    /// A machine has worked off `(before, through]`, with these outcomes. Completions go to `completed`, in order of number.
    pub fn progress(
        &mut self,
        from: Address,
        before: Number,
        through: Number,
        outcomes: Vec<(Number, Outcome)>,
        completed: &mut Vec<Completion>,
    ) {
        for (number, outcome) in outcomes {
            if let Ok(index) = self.pending.binary_search_by_key(&number, |pending| pending.number) {
                let pending = &mut self.pending[index];
                if pending.phase == Phase::Awaiting && pending.stamp.binary_search(&from).is_ok() {
                    let change = &pending.operation.change;
                    pending.outcome = Some(match pending.outcome.take() {
                        None => outcome,
                        Some(known) => combine(change, known, outcome),
                    });
                    if number <= before {
                        pending.complete_if_due(completed);
                    }
                }
            }
        }
        let first = self.pending.partition_point(|pending| pending.number <= before);
        for pending in self.pending.range_mut(first..) {
            if pending.number > through {
                break;
            }
            if pending.stamp.binary_search(&from).is_ok() {
                pending.awaited -= 1;
                pending.complete_if_due(completed);
            }
        }
        while self.pending.front().is_some_and(|pending| pending.phase == Phase::Complete) {
            self.pending.pop_front();
        }
    }

    /// The log lets an operation go.
    pub fn trimmed(&mut self, number: Number) -> Trimmed {
        match self.pending.binary_search_by_key(&number, |pending| pending.number) {
            Ok(index) if self.pending[index].phase == Phase::Awaiting => {
                self.pending[index].retention = Retention::Trimmed;
                Trimmed::Awaited
            }
            Ok(_) | Err(_) => Trimmed::Free,
        }
    }
}

impl Pending {
    fn complete_if_due(&mut self, completed: &mut Vec<Completion>) {
        if self.awaited > 0 || self.phase == Phase::Complete {
            return;
        }
        let Some(outcome) = self.outcome.take() else { return };
        self.phase = Phase::Complete;
        completed.push(Completion {
            number: self.number,
            operation: self.operation.clone(),
            asker: self.asker,
            outcome,
            freed: match self.retention {
                Retention::Retained => 0,
                Retention::Trimmed => self.operation.cost(),
            },
        });
    }
}

/// What two machines said of one operation that went to both. What was found is merged and cut to what was asked; of other
/// outcomes the least favourable one counts.
fn combine(change: &Change, known: Outcome, other: Outcome) -> Outcome {
    match (known, other) {
        (Outcome::Found(mut all), Outcome::Found(more)) => {
            all.extend(more);
            all.sort_by_key(|description| description.handle);
            if let Change::List { limit, .. } = change {
                all.truncate(usize::from(*limit));
            }
            Outcome::Found(all)
        }
        (
            Outcome::Applied { handle, mut in_force_after },
            Outcome::Applied { handle: other_handle, in_force_after: other },
        ) => {
            in_force_after.raise_all(&other);
            Outcome::Applied { handle: handle.or(other_handle), in_force_after }
        }
        (known, other) => {
            if severity(&other) > severity(&known) {
                other
            } else {
                known
            }
        }
    }
}

fn severity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Applied { .. } | Outcome::Found(_) => 0,
        Outcome::NotFound => 1,
        Outcome::Superseded => 2,
        Outcome::LimitExceeded(_) => 3,
    }
}

#[cfg(test)]
mod tests;
