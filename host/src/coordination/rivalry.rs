//! Whether the coordinator that stands before this one is still there. Its session would tell, and takes seconds; its port tells at once.
//!
//! ```text
//!   asked ──▶ answers ──▶ refuses, or says nothing for `patience` ──▶ fallen: its candidacy may be taken away
//!     └── has never answered: nothing is known, and its session is waited for
//! ```
//! Taking a candidacy away from one that lives does no harm but a change of leaders: whoever led before is fenced by the term, and stands
//! again.

use std::sync::Arc;
use std::time::Duration;

use gomera_coordinator::Probe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::probing::probe;

/// What is said to the port of metrics and health; any answer will do.
const GREETING: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: coordinator\r\nConnection: close\r\n\r\n";

/// As long as it answers.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Once it does not.
const AGAIN_SOON: Duration = Duration::from_millis(50);

/// Whoever stands before this candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    /// Its candidacy: a znode of its own in each session.
    pub(super) candidacy: Arc<str>,
    /// Where it answers, HOST:PORT.
    pub(super) address: Arc<str>,
}

/// Watches one rival at a time, until it is dropped.
#[derive(Debug)]
pub(super) struct Rivalry {
    rival: watch::Sender<Option<Rival>>,
    fallen: watch::Receiver<Option<Rival>>,
    task: JoinHandle<()>,
}

impl Rivalry {
    /// Begins, with nobody to watch. Who says nothing for longer than `patience` has fallen.
    pub(super) fn start(patience: Duration) -> Self {
        let (rival, asked) = watch::channel(None);
        let (told, fallen) = watch::channel(None);
        Self { rival, fallen, task: tokio::spawn(run(asked, told, patience)) }
    }

    /// This one is to be watched, and nobody else.
    pub(super) fn watch(&self, rival: Option<Rival>) {
        self.rival.send_if_modified(|before| {
            let changed = *before != rival;
            *before = rival;
            changed
        });
    }

    /// Who has fallen of those to be watched; the receiver is told of it.
    pub(super) fn fallen(&self) -> watch::Receiver<Option<Rival>> {
        self.fallen.clone()
    }
}

impl Drop for Rivalry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut asked: watch::Receiver<Option<Rival>>, told: watch::Sender<Option<Rival>>, patience: Duration) {
    loop {
        let rival = asked.borrow_and_update().clone();
        let fallen = async {
            match &rival {
                Some(rival) => falls(&rival.address, patience).await,
                None => std::future::pending().await,
            }
            told.send_replace(rival.clone());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            changed = asked.changed() => if changed.is_err() { return },
            () = fallen => {}
        }
        told.send_if_modified(|fallen| fallen.take().is_some());
    }
}

/// Returns when whoever has answered there does so no more.
async fn falls(address: &str, patience: Duration) {
    let (mut has_answered, mut silent_since) = (false, None);
    loop {
        match probe(address, GREETING).await {
            None => (has_answered, silent_since) = (true, None),
            Some(Probe::Refused) if has_answered => return,
            Some(Probe::Silent) if has_answered => {
                if silent_since.get_or_insert_with(Instant::now).elapsed() >= patience {
                    return;
                }
            }
            Some(Probe::Refused | Probe::Silent) => {}
        }
        tokio::time::sleep(if silent_since.is_some() { AGAIN_SOON } else { AGAIN_AFTER }).await;
    }
}
