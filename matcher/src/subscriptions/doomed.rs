//! Lives of sessions that are over. What they made matches nothing from the moment of the `Forget`; taking it out of every table is done in
//! steps, so that the end of a session with many subscriptions stops nobody: first out of the session, so that it can list what is left
//! of it, and then row by row out of the others.

use std::collections::VecDeque;

use gomera_cluster::identity::{Generation, SubscriptionKey};

use super::Subscriptions;
use super::sessions::{Ending, SessionId};
use crate::index::RowId;

/// What to do next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Remove this row, if it is still the subscription's and no later attachment has put it again.
    Remove { key: SubscriptionKey, row: RowId, through: Generation },
    /// All rows of this session are removed.
    Finished(SessionId),
}

/// One for each end of a session.
#[derive(Debug, Default)]
pub struct Doomed {
    /// Of whom not everything has been taken out of the session.
    endings: VecDeque<Ending>,
    /// Whose rows are to be removed.
    batches: VecDeque<Ending>,
    rows: usize,
}

impl Doomed {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.endings.is_empty() && self.batches.is_empty()
    }

    /// How many rows wait, as far as they are known.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A session has ended.
    pub fn push(&mut self, ending: Ending) {
        self.rows += ending.rows.len();
        self.endings.push_back(ending);
    }

    fn next_step(&mut self) -> Option<Step> {
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

impl Subscriptions {
    pub(super) fn has_doomed(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// Removes some of what lives of sessions made that are over.
    pub(super) fn remove_doomed(&mut self) {
        self.take_out();
        self.remove_taken_out();
    }

    /// Takes some of it out of the sessions.
    fn take_out(&mut self) {
        /// Rows and tombstones looked at in one step, or some tens more: up to some 200 us.
        const STEP: usize = 1024;
        let Self { doomed, sessions, rows, .. } = self;
        let mut looked_at = 0;
        while let Some(ending) = doomed.endings.front_mut()
            && looked_at < STEP
        {
            let before = ending.rows.len();
            looked_at += sessions.take_out(ending, |id| rows.get(id).put.generation);
            doomed.rows += ending.rows.len() - before;
            if ending.is_done() {
                doomed.batches.extend(doomed.endings.pop_front());
            }
        }
    }

    /// Removes some of the rows that have been taken out.
    fn remove_taken_out(&mut self) {
        /// Rows in one step: a few hundred microseconds.
        const STEP: usize = 64;
        for _ in 0..STEP {
            match self.doomed.next_step() {
                Some(Step::Remove { key, row, through }) => {
                    if self.rows.find(key) == Some(row) && self.rows.get(row).put.generation <= through {
                        self.remove_row(row);
                    }
                }
                Some(Step::Finished(session)) => self.sessions.doomed_removed(session),
                None => return,
            }
        }
    }
}
