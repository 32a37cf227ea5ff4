//! The small store of znodes that both back-ends are: what the rest of coordination needs of ZooKeeper, and no more.

use std::sync::Arc;

use gomera_coordinator::tree::{Entry, Operation, Reason, Refusal, SessionId, Stamp};
use tokio::sync::watch;

use super::CoordinationError;
use super::hints::Change;
use super::in_process::InProcessSession;
use super::zookeeper::ZooKeeper;

/// How the connection of a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Calls are answered.
    Connected,
    /// The service does not answer; the session may survive.
    Interrupted,
    /// The session has ended; another one is being made.
    Lost,
}

/// How the session of a handle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Counts the sessions of this handle, from 1. When it grows, everything ephemeral must be written again.
    pub number: u64,
    /// Counts the times that the service did not answer.
    pub interruptions: u64,
    /// How the connection stands.
    pub link: Link,
}

impl Session {
    pub(super) const FIRST: Self = Self { number: 1, interruptions: 0, link: Link::Connected };
}

/// What became of a write that was not done for sure.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It was not done, for this reason.
    Refused(Refusal),
    /// It may or may not have been done: read.
    Unknown(String),
    /// It was not done, and the service does not answer.
    Unavailable(CoordinationError),
}

impl WriteError {
    /// Whether it was refused because operation `index` could not be done.
    pub(super) const fn refused_at(&self, index: usize) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.index == index)
    }

    /// Whether something to be made was there already.
    pub(super) const fn exists(&self) -> bool {
        matches!(self, Self::Refused(Refusal { reason: Reason::Exists, .. }))
    }
}

/// One of the two back-ends.
#[derive(Debug)]
pub(super) enum Store {
    InProcess(InProcessSession),
    ZooKeeper(ZooKeeper),
}

impl Store {
    pub(super) async fn get(&self, path: &str) -> Result<Option<Entry>, CoordinationError> {
        match self {
            Self::InProcess(session) => session.get(path),
            Self::ZooKeeper(session) => session.get(path).await,
        }
    }

    /// Several nodes as they stand at one moment.
    pub(super) async fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Entry>>, CoordinationError> {
        match self {
            Self::InProcess(session) => session.get_all(paths),
            Self::ZooKeeper(session) => session.get_all(paths).await,
        }
    }

    pub(super) async fn stamp(&self, path: &str) -> Result<Option<Stamp>, CoordinationError> {
        match self {
            Self::InProcess(session) => session.get(path).map(|entry| entry.map(|entry| entry.stamp)),
            Self::ZooKeeper(session) => session.stamp(path).await,
        }
    }

    /// The last parts of the paths of a node's children, in order; none if it does not exist.
    pub(super) async fn children(&self, path: &str) -> Result<Vec<String>, CoordinationError> {
        match self {
            Self::InProcess(session) => session.children(path),
            Self::ZooKeeper(session) => session.children(path).await,
        }
    }

    /// All of `operations`, or nothing.
    pub(super) async fn apply(&self, operations: &[Operation]) -> Result<(), WriteError> {
        match self {
            Self::InProcess(session) => session.apply(operations),
            Self::ZooKeeper(session) => session.apply(operations).await,
        }
    }

    /// Who owns the ephemeral nodes that are written now.
    pub(super) fn session_id(&self) -> SessionId {
        match self {
            Self::InProcess(session) => session.session_id(),
            Self::ZooKeeper(session) => session.session_id(),
        }
    }

    pub(super) fn session(&self) -> watch::Receiver<Session> {
        match self {
            Self::InProcess(session) => session.session(),
            Self::ZooKeeper(session) => session.session(),
        }
    }

    /// Tells when something at or below `paths` may have changed.
    pub(super) fn subscribe(&self, paths: Vec<String>) -> watch::Receiver<Change> {
        match self {
            Self::InProcess(session) => session.subscribe(paths),
            Self::ZooKeeper(session) => session.subscribe(&paths),
        }
    }

    pub(super) async fn expire_session(&self) -> Result<(), CoordinationError> {
        match self {
            Self::InProcess(session) => {
                session.expire();
                Ok(())
            }
            Self::ZooKeeper(session) => session.expire().await,
        }
    }

    /// The service, for error texts.
    pub(super) fn service(&self) -> Arc<str> {
        match self {
            Self::InProcess(_) => Arc::from("the in-process coordination service"),
            Self::ZooKeeper(session) => session.service(),
        }
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> CoordinationError {
        CoordinationError::Unavailable { service: self.service(), reason: reason.into() }
    }
}
