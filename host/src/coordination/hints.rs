//! Hints that something may have changed. A hint says nothing but «read again»: watches of ZooKeeper lose events across a
//! reconnection, so nothing may depend on one, and whoever waits is woken every few seconds as well.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

/// What one may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Nodes come, go, or change their state.
    Members,
    /// A layout is committed.
    Layout,
    /// A layout is proposed.
    Proposed,
    /// A node acknowledges a proposal.
    Acknowledgements,
    /// Another number of nodes is wanted.
    Desired,
    /// The journal of operations.
    Operations,
    /// Candidates come and go, a term begins.
    Leadership,
}

/// Tells when to read again.
#[derive(Debug)]
pub struct Hints {
    changes: watch::Receiver<u64>,
    reread: Interval,
}

impl Hints {
    pub(super) fn new(changes: watch::Receiver<u64>, every: Duration) -> Self {
        let mut reread = tokio::time::interval(every);
        reread.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { changes, reread }
    }

    /// Waits until it is worth reading again; the first call returns at once. Nothing is lost if it is cancelled.
    pub async fn next(&mut self) {
        let changes = &mut self.changes;
        let changed = async move {
            if changes.changed().await.is_err() {
                // The service is gone for good; the interval remains.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            _ = self.reread.tick() => {}
        }
    }
}
