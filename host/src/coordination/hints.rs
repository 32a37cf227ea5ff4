//! Hints that something may have changed. A hint says nothing but «read again»: watches of ZooKeeper lose events across a
//! reconnection, so nothing may depend on one, and whoever waits is woken every few seconds as well. Of what was made, a hint also tells the
//! name.

use std::collections::BTreeSet;
use std::sync::Arc;
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

/// What may have changed at or below some paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// Grows with every hint.
    count: u64,
    /// The name of what was made last directly below one of them.
    made: Option<Arc<str>>,
}

impl Change {
    /// Something may have changed.
    pub(super) fn hint(&mut self) {
        self.count += 1;
    }

    /// Whatever happened since was not heard.
    pub(super) fn renew(&mut self) {
        self.made = None;
        self.hint();
    }

    /// Something stands or stood at `path`, at or below what is `watched`, since it was made.
    pub(super) fn made(&mut self, watched: &str, path: &str) {
        let name = path.strip_prefix(watched).and_then(|below| below.strip_prefix('/'));
        if let Some(name) = name.filter(|name| !name.contains('/')) {
            self.made = Some(Arc::from(name));
        }
        self.hint();
    }
}

/// Tells when to read again, and what.
#[derive(Debug)]
pub struct Hints {
    changes: Vec<(Topic, watch::Receiver<Change>)>,
    reread: Interval,
    news: BTreeSet<Topic>,
}

impl Hints {
    pub(super) fn new(changes: Vec<(Topic, watch::Receiver<Change>)>, every: Duration) -> Self {
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

    /// What was made last directly below a topic's paths, as far as hints told: there may be more.
    pub(super) fn made(&self, topic: Topic) -> Option<Arc<str>> {
        self.changes.iter().find(|(of, _)| *of == topic).and_then(|(_, changes)| changes.borrow().made.clone())
    }
}

async fn changed(topic: Topic, changes: &mut watch::Receiver<Change>) -> Topic {
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
        let (members, layout) = (watch::channel(Change::default()), watch::channel(Change::default()));
        let changes = vec![(Topic::Members, members.1), (Topic::Layout, layout.1)];
        let mut hints = Hints::new(changes, Duration::from_secs(3600));
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Members, Topic::Layout].into(), "at first");
        assert_eq!(hints.news(), [].into());
        layout.0.send_modify(Change::hint);
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Layout].into());
        for sender in [&layout.0, &members.0] {
            sender.send_modify(Change::hint);
        }
        hints.next().await;
        assert_eq!(hints.news(), [Topic::Members, Topic::Layout].into(), "also what did not wake");
        assert_eq!(hints.news(), [].into());
    }
    #[test]
    fn what_was_made_is_told_by_its_name_until_something_else_is() {
        let (sender, receiver) = watch::channel(Change::default());
        let told = |change: fn(&mut Change)| {
            sender.send_modify(change);
            receiver.borrow().made.clone()
        };
        assert_eq!(told(|change| change.made("/a/layout", "/a/layout")), None);
        assert_eq!(told(|change| change.made("/a/layout", "/a/layout/one")).as_deref(), Some("one"));
        assert_eq!(told(|change| change.made("/a/layout", "/a/layouts/two")).as_deref(), Some("one"));
        assert_eq!(told(|change| change.made("/a/layout", "/a/layout/two/three")).as_deref(), Some("one"));
        assert_eq!(told(Change::hint).as_deref(), Some("one"));
        assert_eq!(told(|change| change.made("/a/layout", "/a/layout/two")).as_deref(), Some("two"));
        assert_eq!(told(Change::renew), None);
    }
}
