//! A recursive watch on one path, set again in every session and on every connection of one: zookeeper-client 0.11.2 asks a server it
//! turns to for one-time watches only. Each event, each change of the session's state and each new watch is one hint: events between a
//! disconnection and the next watch are lost, so what they would have said must be read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client::{AddWatchMode, Client, EventType, PersistentWatcher, SessionState};

use super::super::hints::Change;
use super::View;

/// Between attempts to set a watch in a session that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Counts `changes` until nobody listens any more.
pub(super) async fn watch(path: String, mut view: watch::Receiver<View>, changes: Arc<watch::Sender<Change>>) {
    let listened = changes.clone();
    tokio::select! {
        () = listened.closed() => {}
        () = watch_sessions(path, &mut view, &changes) => {}
    }
}

async fn watch_sessions(path: String, view: &mut watch::Receiver<View>, changes: &watch::Sender<Change>) {
    // What watched on the connection before, kept until its successor stands: the last one that goes takes the watch with it.
    let mut former: Option<Watching> = None;
    loop {
        let View { client, session } = view.borrow_and_update().clone();
        let ended = match client.watch(&path, AddWatchMode::PersistentRecursive).await {
            Ok(watcher) => {
                changes.send_modify(Change::renew);
                let mut watching = Watching { watcher, _client: client.clone() };
                drop(former.take());
                tokio::select! {
                    ended = watching.until_another_connection(&path, changes) => {
                        former = (ended == Ended::Connection).then_some(watching);
                        ended
                    }
                    // Another session, with its own watcher.
                    changed = view.wait_for(|view| view.session.number > session.number) => {
                        if changed.is_err() {
                            return;
                        }
                        continue;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, path, "no watch set");
                tokio::time::sleep(PAUSE).await;
                Ended::Connection
            }
        };
        if ended == Ended::Session || client.state().is_terminated() {
            drop((client, former.take()));
            // The next session; without one there is nothing to watch.
            if view.wait_for(|view| view.session.number > session.number).await.is_err() {
                return;
            }
        }
    }
}

/// A watcher, and the client it needs for as long as it lives: one whose session closes without a last event panics.
struct Watching {
    watcher: PersistentWatcher,
    _client: Client,
}

/// What a watch ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The session goes on on another connection.
    Connection,
    Session,
}

impl Watching {
    /// Each event is a hint, and tells what was made. Must not be called again after the session has ended: that would panic.
    async fn until_another_connection(&mut self, path: &str, changes: &watch::Sender<Change>) -> Ended {
        loop {
            let event = self.watcher.changed().await;
            match event.event_type {
                EventType::NodeCreated => changes.send_modify(|change| change.made(path, &event.path)),
                _ => changes.send_modify(Change::hint),
            }
            if event.event_type != EventType::Session {
                continue;
            }
            match event.session_state {
                SessionState::Disconnected => {}
                SessionState::SyncConnected | SessionState::ConnectedReadOnly => return Ended::Connection,
                SessionState::Expired | SessionState::AuthFailed | SessionState::Closed => return Ended::Session,
            }
        }
    }
}
