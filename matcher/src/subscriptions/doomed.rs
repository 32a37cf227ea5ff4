//! Rows of sessions that ended. They match nothing from the moment of the `Forget`; taking them out of every table is done in
//! steps, so that the end of a session with many subscriptions stops nobody.

use std::collections::VecDeque;

use gomera_cluster::identity::{Generation, SubscriptionKey};

use super::sessions::{RowsByHandle, SessionId};
use crate::index::RowId;

#[derive(Debug)]
struct Batch {
    session: SessionId,
    through: Generation,
    rows: RowsByHandle,
}

/// What to do next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Remove this row, if it is still the subscription's and no later attachment has put it again.
    Remove {
        /// The subscription.
        key: SubscriptionKey,
        /// Its row at the time.
        row: RowId,
        /// Rows of later generations stay.
        through: Generation,
    },
    /// All rows of this session are removed.
    Finished(SessionId),
}

/// Batches of rows to remove, one for each end of a session.
#[derive(Debug, Default)]
pub struct Doomed {
    batches: VecDeque<Batch>,
    rows: usize,
}

impl Doomed {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// How many rows wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A session has ended.
    pub fn push(&mut self, session: SessionId, through: Generation, rows: RowsByHandle) {
        self.rows += rows.len();
        self.batches.push_back(Batch { session, through, rows });
    }

    /// The next step.
    pub fn next_step(&mut self) -> Option<Step> {
        let batch = self.batches.front_mut()?;
        if let Some(((_, key), row)) = batch.rows.pop_first() {
            self.rows -= 1;
            return Some(Step::Remove { key, row, through: batch.through });
        }
        let session = batch.session;
        self.batches.pop_front();
        Some(Step::Finished(session))
    }
}
