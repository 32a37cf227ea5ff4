//! Where a session stands, on the client's side: the vector `W` that suppresses duplicates and makes resuming complete.
//! Pure.
//!
//! What a session receives from one lane is an increasing subsequence of that lane, so a number per lane says everything.
//! Two vectors are kept. `received` is what has arrived in this process: a notification at or below it is a duplicate.
//! `processed` is what the application is done with: it is what is acknowledged and what an attach resumes from, so that
//! nothing the application has not finished is ever given up by the cluster. `processed <= received` holds always.
//!
//! Each notification carries what else of the session's merged vector had risen when it was merged; both vectors are raised
//! by that as well, otherwise quiet lanes would never move.

use std::collections::VecDeque;

use gomera_cluster::position::{Position, Vector};

/// Counts what was handed to the application, from 1, over the life of the session in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ordinal(pub(crate) u64);

/// What became of a notification that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It goes to the application; [`Standing::processed`] is told this number when the application is done.
    Fresh(Ordinal),
    /// It had arrived before.
    Duplicate,
}

/// What is raised when the application is done with one notification.
#[derive(Debug)]
struct Unprocessed {
    ordinal: Ordinal,
    position: Position,
    merged: Vec<Position>,
}

/// See the top of this file. The list of what is unprocessed is bounded by the credit the client grants.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    received: Vector,
    processed: Vector,
    unprocessed: VecDeque<Unprocessed>,
    last: Ordinal,
    /// Rose since the last acknowledgement on this attachment.
    unacknowledged: Vector,
}

impl Standing {
    /// The session was attached and existed before: `merged` is settled, what comes after it follows.
    pub(crate) fn resumed(&mut self, merged: &Vector) {
        self.received.raise_all(merged);
        self.processed.raise_all(merged);
        self.unacknowledged = Vector::default();
    }

    /// The session was attached and is a new one: nothing that was known of the old one means anything (lanes of a cluster
    /// that was started afresh count from 1 again). What the application has not yet finished stays its own.
    pub(crate) fn created(&mut self, merged: &Vector) {
        self.received = merged.clone();
        self.processed = merged.clone();
        self.unacknowledged = Vector::default();
        self.unprocessed.clear();
    }

    /// What an attach resumes from.
    pub(crate) fn resume_from(&self) -> &Vector {
        &self.processed
    }

    /// Whether everything up to `vector` has arrived.
    pub(crate) fn has_received(&self, vector: &Vector) -> bool {
        vector.iter().all(|position| self.received.covers(position))
    }

    /// How many notifications the application has not finished.
    pub(crate) fn unprocessed(&self) -> usize {
        self.unprocessed.len()
    }

    /// A notification arrived.
    pub(crate) fn receive(&mut self, position: Position, merged: Vec<Position>) -> Receipt {
        let duplicate = self.received.covers(position);
        self.received.raise(position.lane, position.number);
        for also in &merged {
            self.received.raise(also.lane, also.number);
        }
        if duplicate {
            return Receipt::Duplicate;
        }
        self.last = Ordinal(self.last.0 + 1);
        self.unprocessed.push_back(Unprocessed { ordinal: self.last, position, merged });
        Receipt::Fresh(self.last)
    }

    /// The application is done with everything up to `ordinal`. Says whether there is something to acknowledge now.
    pub(crate) fn processed(&mut self, ordinal: Ordinal) -> bool {
        while self.unprocessed.front().is_some_and(|first| first.ordinal <= ordinal) {
            let Some(done) = self.unprocessed.pop_front() else { break };
            for position in std::iter::once(done.position).chain(done.merged) {
                if self.processed.raise(position.lane, position.number) {
                    self.unacknowledged.raise(position.lane, position.number);
                }
            }
        }
        !self.unacknowledged.is_empty()
    }

    /// What to acknowledge: the lanes that rose since this was last asked, `None` if none did.
    pub(crate) fn acknowledgement(&mut self) -> Option<Vector> {
        (!self.unacknowledged.is_empty()).then(|| std::mem::take(&mut self.unacknowledged))
    }
}

#[cfg(test)]
mod tests;
