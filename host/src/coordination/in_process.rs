//! The coordination service of a cluster that lives in one process: a [`Tree`] behind a lock. The lock is held for
//! look-ups and single writes only, a few times per change of layout; nothing of the data path comes near it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gomera_coordinator::tree::{Entry, Operation, Reason, SessionId, Tree};
use tokio::sync::watch;

use super::CoordinationError;
use super::hints::Change;
use super::store::{Link, Session, WriteError};

/// A coordination service in memory. Clones are the same service.
#[derive(Clone, Debug, Default)]
pub struct InProcess {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    availability: Availability,
    clients: BTreeMap<u64, Client>,
    client_next: u64,
    subscribers: Vec<Subscriber>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Availability {
    #[default]
    Available,
    Away,
}

#[derive(Debug)]
struct Client {
    id: SessionId,
    session: watch::Sender<Session>,
}

#[derive(Debug)]
struct Subscriber {
    paths: Vec<String>,
    changes: watch::Sender<Change>,
}

impl InProcess {
    /// Nothing is ever lost here: reading again is a habit kept for the sake of the same code.
    pub(super) const REREAD: Duration = Duration::from_secs(5);

    /// A service without clusters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops answering, as a ZooKeeper that is unreachable; sessions survive. For tests and drills.
    pub fn go_away(&self) {
        let mut state = self.lock();
        state.availability = Availability::Away;
        for client in state.clients.values() {
            client.session.send_modify(|session| {
                session.link = Link::Interrupted;
                session.interruptions += 1;
            });
        }
    }

    /// Answers again.
    pub fn come_back(&self) {
        let mut state = self.lock();
        state.availability = Availability::Available;
        for client in state.clients.values() {
            client.session.send_modify(|session| session.link = Link::Connected);
        }
        for subscriber in &state.subscribers {
            subscriber.changes.send_modify(Change::renew);
        }
    }

    pub(super) fn open(&self) -> InProcessSession {
        let mut state = self.lock();
        let client = state.client_next;
        state.client_next += 1;
        let link = match state.availability {
            Availability::Available => Link::Connected,
            Availability::Away => Link::Interrupted,
        };
        let (sender, session) = watch::channel(Session { link, ..Session::FIRST });
        let id = state.tree.open();
        state.clients.insert(client, Client { id, session: sender });
        drop(state);
        InProcessSession { service: self.clone(), client, session }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answering(&self) -> Result<MutexGuard<'_, State>, CoordinationError> {
        let state = self.lock();
        match state.availability {
            Availability::Available => Ok(state),
            Availability::Away => Err(CoordinationError::Unavailable {
                service: Arc::from("the in-process coordination service"),
                reason: String::from("it was told to go away"),
            }),
        }
    }
}

impl State {
    fn id(&self, client: u64) -> SessionId {
        self.clients.get(&client).expect("a client is removed when its handle is dropped").id
    }

    fn notify(&mut self, changed: &[String]) {
        let Self { tree, subscribers, .. } = self;
        subscribers.retain(|subscriber| !subscriber.changes.is_closed());
        for Subscriber { paths, changes } in subscribers {
            for path in changed {
                let below = |watched: &&String| {
                    path.strip_prefix(watched.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let Some(watched) = paths.iter().find(below) else { continue };
                match tree.get(path).is_some_and(|entry| entry.stamp.version == 0) {
                    true => changes.send_modify(|change| change.made(watched, path)),
                    false => changes.send_modify(Change::hint),
                }
            }
        }
    }
}

/// A session with the service; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct InProcessSession {
    service: InProcess,
    client: u64,
    session: watch::Receiver<Session>,
}

impl InProcessSession {
    pub(super) fn get(&self, path: &str) -> Result<Option<Entry>, CoordinationError> {
        Ok(self.service.answering()?.tree.get(path).cloned())
    }

    pub(super) fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Entry>>, CoordinationError> {
        let state = self.service.answering()?;
        Ok(paths.iter().map(|path| state.tree.get(path).cloned()).collect())
    }

    pub(super) fn children(&self, path: &str) -> Result<Vec<String>, CoordinationError> {
        Ok(self.service.answering()?.tree.children(path))
    }

    pub(super) fn apply(&self, operations: &[Operation]) -> Result<(), WriteError> {
        let mut state = self.service.answering().map_err(WriteError::Unavailable)?;
        let id = state.id(self.client);
        match state.tree.apply(id, operations) {
            Ok(changed) => {
                state.notify(&changed);
                Ok(())
            }
            Err(refusal) => {
                assert!(refusal.reason != Reason::Session, "a client always has an open session");
                Err(WriteError::Refused(refusal))
            }
        }
    }

    pub(super) fn session_id(&self) -> SessionId {
        self.service.lock().id(self.client)
    }

    pub(super) fn session(&self) -> watch::Receiver<Session> {
        self.session.clone()
    }

    pub(super) fn subscribe(&self, paths: Vec<String>) -> watch::Receiver<Change> {
        let (changes, receiver) = watch::channel(Change::default());
        self.service.lock().subscribers.push(Subscriber { paths, changes });
        receiver
    }

    pub(super) fn expire(&self) {
        let mut state = self.service.lock();
        let old = state.id(self.client);
        let lost = state.tree.expire(old);
        let id = state.tree.open();
        if let Some(client) = state.clients.get_mut(&self.client) {
            client.id = id;
            client.session.send_modify(|session| session.number += 1);
        }
        state.notify(&lost);
    }
}

impl Drop for InProcessSession {
    fn drop(&mut self) {
        let mut state = self.service.lock();
        if let Some(client) = state.clients.remove(&self.client) {
            let lost = state.tree.expire(client.id);
            state.notify(&lost);
        }
    }
}
