//! A recursive watch on one path, set again in every session. Each event, each change of the session's state and each new
//! session is one hint: events between a disconnection and the next connection are lost, so what they would have said
//! must be read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client::{AddWatchMode, EventType};

use super::View;

/// Between attempts to set a watch in a session that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Counts `changes` until nobody listens any more.
pub(super) async fn watch(path: String, mut view: watch::Receiver<View>, changes: Arc<watch::Sender<u64>>) {
    let listened = changes.clone();
    tokio::select! {
        () = listened.closed() => {}
        () = watch_sessions(path, &mut view, &changes) => {}
    }
}

async fn watch_sessions(path: String, view: &mut watch::Receiver<View>, changes: &watch::Sender<u64>) {
    loop {
        // The client is held for as long as its watcher: a watcher whose session closes without a last event panics.
        let View { client, session } = view.borrow_and_update().clone();
        match client.watch(&path, AddWatchMode::PersistentRecursive).await {
            Ok(mut watcher) => {
                changes.send_modify(|count| *count += 1);
                loop {
                    tokio::select! {
                        event = watcher.changed() => {
                            changes.send_modify(|count| *count += 1);
                            // Nothing comes after this one, and asking for more would panic.
                            if event.event_type == EventType::Session && event.session_state.is_terminated() {
                                break;
                            }
                        }
                        // Another session, with its own watcher.
                        changed = view.wait_for(|view| view.session.number > session.number) => {
                            if changed.is_err() {
                                return;
                            }
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, path, "no watch set");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if client.state().is_terminated() {
            drop(client);
            // The next session; without one there is nothing to watch.
            if view.wait_for(|view| view.session.number > session.number).await.is_err() {
                return;
            }
        }
    }
}
