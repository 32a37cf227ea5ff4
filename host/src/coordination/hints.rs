//! Hints that something may have changed. A hint says nothing but «read again»: watches of ZooKeeper lose events across a
//! reconnection, so nothing may depend on one, and whoever waits is woken every few seconds as well.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

/// What one may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Tells when to read again, and what.
#[derive(Debug)]
pub struct Hints {
    changes: Vec<(Topic, watch::Receiver<u64>)>,
    reread: Interval,
    news: BTreeSet<Topic>,
}

impl Hints {
    pub(super) fn new(changes: Vec<(Topic, watch::Receiver<u64>)>, every: Duration) -> Self {
        let mut reread = tokio::time::interval(every);
        reread.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { changes, reread, news: BTreeSet::new() }
    }

    /// Waits until it is worth reading again; the first call returns at once. Nothing is lost if it is cancelled.
    pub async fn next(&mut self) {
        let changed = select_all(self.changes.iter_mut().map(|(topic, changes)| Box::pin(changed(*topic, changes))));
        let woken = tokio::select! {
            (topic, _, _) = changed => Some(topic),
            _ = self.reread.tick() => None,
        };
        match woken {
            Some(topic) => self.news.extend([topic]),
            None => self.news.extend(self.changes.iter().map(|(topic, _)| *topic)),
        }
    }

    /// What may have changed since this was last asked: now and then everything.
    pub fn news(&mut self) -> BTreeSet<Topic> {
        for (topic, changes) in &mut self.changes {
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                self.news.insert(*topic);
            }
        }
        std::mem::take(&mut self.news)
    }
}

async fn changed(topic: Topic, changes: &mut watch::Receiver<u64>) -> Topic {
    if changes.changed().await.is_err() {
        // The service is gone for good; the interval remains.
        std::future::pending::<()>().await;
    }
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_have_changed_is_told_once_and_all_of_it_now_and_then() {
        let (members, layout) = (watch::channel(0), watch::channel(0));
        let changes = vec![(Topic::Members, members.1), (Topic::Layout, layout.1)];
        let mut hints = Hints::new(changes, Duration::from_secs(3600));
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Members, Topic::Layout].into(), "at first");
        assert_eq!(hints.news(), [].into());
        layout.0.send_modify(|count| *count += 1);
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Layout].into());
        for sender in [&layout.0, &members.0] {
            sender.send_modify(|count| *count += 1);
        }
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Members, Topic::Layout].into(), "also what did not wake");
        assert_eq!(hints.news(), [].into());
    }
}
