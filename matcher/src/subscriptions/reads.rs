//! Subscriptions as they are read back. A read of a life of its session that has ended is told so, and not that there is nothing.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{Handle, SubscriptionKey};
use gomera_cluster::operation::{Description, Operation, Outcome};

use super::Subscriptions;
use super::rows::Row;

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
        // What others judge by they list.
        let rows = self.sessions.get(session).rows_after(after).filter(|&id| judged.contains(self.rows.get(id).slice));
        Outcome::Found(rows.take(usize::from(limit)).map(|id| describe(self.rows.get(id))).collect())
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
