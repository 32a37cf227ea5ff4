//! Subscriptions as they are read back. A read of a life of its session that has ended is told so, and not that there is nothing.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Handle, SubscriptionKey};
use gomera_cluster::operation::{Description, Operation, Outcome};

use super::Subscriptions;
use super::rows::Row;

/// Rows of a life that is over that a list passes over, as long as they have not been taken out of their session: some 1 ms. With more the
/// list is not answered; asked for again a little later it is.
const PASSED_OVER_MAX: usize = 8192;

impl Subscriptions {
    pub(super) fn describe_one(&self, operation: &Operation, key: SubscriptionKey) -> Outcome {
        if self.is_over(operation) {
            return Outcome::Superseded;
        }
        match self.rows.find(key).filter(|&id| !self.is_doomed(id)) {
            None => Outcome::NotFound,
            Some(id) => Outcome::Found(vec![describe(self.rows.get(id))]),
        }
    }

    pub(super) fn list(&self, operation: &Operation, judged: &SliceSet, after: Option<Handle>, limit: u16) -> Outcome {
        if self.is_over(operation) {
            return Outcome::Superseded;
        }
        let Some(session) = self.sessions.find(operation.session) else { return Outcome::Found(Vec::new()) };
        let (mut found, mut passed_over) = (Vec::new(), 0);
        for id in self.sessions.get(session).rows_after(after) {
            if found.len() == usize::from(limit) {
                break;
            }
            let row = self.rows.get(id);
            if self.is_doomed(id) {
                passed_over += 1;
                if passed_over > PASSED_OVER_MAX {
                    return Outcome::Unanswered;
                }
            } else if judged.contains(row.slice) {
                // What others judge by they list.
                found.push(describe(row));
            }
        }
        Outcome::Found(found)
    }

    /// Whether an operation is of a life of its session that has ended: its client may not know yet, and must not be told that
    /// there are no subscriptions.
    fn is_over(&self, operation: &Operation) -> bool {
        let session = self.sessions.find(operation.session);
        session.is_some_and(|id| self.sessions.get(id).has_forgotten(operation.version.generation))
    }
}

fn describe(row: &Row) -> Description {
    Description {
        id: Arc::clone(&row.id),
        handle: row.handle,
        filter: row.filter.clone(),
        options: row.options.clone(),
    }
}
