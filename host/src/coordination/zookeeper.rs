//! ZooKeeper as a store of znodes. One task keeps a session: when it ends, because the service was away for longer than the
//! session lasts, the task makes another, for ever, with pauses. Calls never queue for a service that is away: they fail,
//! so that no write of yesterday is done tomorrow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gomera_coordinator::config::ConfigError;
use gomera_coordinator::tree::{Entry, Kind, Operation, Reason, Refusal, SessionId, Stamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use zookeeper_client::{
    Acls, Client, CreateMode, Error, MultiReadResult, MultiWriteError, MultiWriter, SessionState, Stat,
};

use super::CoordinationError;
use super::hints::Change;
use super::store::{Link, Session, WriteError};

mod connect;
mod watching;

pub use self::connect::ConnectError;

/// Where ZooKeeper is and how patient to be with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZooKeeperConfig {
    /// `HOST:PORT` of each server, separated by commas; a path at the end puts everything below it.
    pub servers: String,
    /// For how long a session survives without a sign of life, 500 ms to 60 s. The servers may grant another value.
    pub session_timeout: Duration,
    /// How long to wait for a server when starting, at least 100 ms.
    pub connect_timeout: Duration,
    /// How often to read again without having been told of a change, at least 100 ms.
    pub reread: Duration,
}

impl Default for ZooKeeperConfig {
    fn default() -> Self {
        Self {
            servers: String::from("127.0.0.1:2181"),
            session_timeout: Duration::from_secs(6),
            connect_timeout: Duration::from_secs(10),
            reread: Duration::from_secs(3),
        }
    }
}

impl ZooKeeperConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        connect::hosts(&self.servers)?;
        if !(Duration::from_millis(500)..=Duration::from_secs(60)).contains(&self.session_timeout) {
            let value = format!("{:?}", self.session_timeout);
            return Err(ConfigError::new("session_timeout", value, "500ms to 60s"));
        }
        for (field, value) in [("connect_timeout", self.connect_timeout), ("reread", self.reread)] {
            if value < Duration::from_millis(100) {
                return Err(ConfigError::new(field, format!("{value:?}"), "at least 100ms"));
            }
        }
        Ok(())
    }
}

/// The client of the present session, and how that stands.
#[derive(Clone, Debug)]
struct View {
    client: Client,
    session: Session,
}

/// A session with ZooKeeper, renewed for ever.
#[derive(Debug)]
pub(super) struct ZooKeeper {
    service: Arc<str>,
    /// No answer after this is an unknown outcome.
    patience: Duration,
    view: watch::Receiver<View>,
    session: watch::Receiver<Session>,
    /// Tells the keeper to give the session up.
    give_up: Arc<Notify>,
    /// The keeper of the session and those who watch. They hold clients, so they end with this, and the session with them.
    tasks: Mutex<JoinSet<()>>,
}

impl ZooKeeper {
    pub(super) async fn connect(config: &ZooKeeperConfig) -> Result<Self, ConnectError> {
        config.validate()?;
        let client = connect::first(config).await?;
        let (sender, view) = watch::channel(View { client: client.clone(), session: Session::FIRST });
        let (session_sender, session) = watch::channel(Session::FIRST);
        let give_up = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(config.clone(), client, sender, session_sender, give_up.clone()));
        Ok(Self {
            service: Arc::from(format!("ZooKeeper at {}", config.servers)),
            patience: config.session_timeout,
            view,
            session,
            give_up,
            tasks: Mutex::new(tasks),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Option<Entry>, CoordinationError> {
        let client = self.client()?;
        match self.patiently(client.get_data(path)).await {
            Ok((bytes, stat)) => Ok(Some(entry(bytes, &stat))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    pub(super) async fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Entry>>, CoordinationError> {
        let client = self.client()?;
        let mut reader = client.new_multi_reader();
        for path in paths {
            reader.add_get_data(path).map_err(|error| self.unavailable(&error))?;
        }
        let results = self.patiently(reader.commit()).await.map_err(|error| self.unavailable(&error))?;
        let read = |result| match result {
            MultiReadResult::Data { data, stat } => Ok(Some(entry(data, &stat))),
            MultiReadResult::Error { err: Error::NoNode } => Ok(None),
            MultiReadResult::Error { err } => Err(self.unavailable(&err)),
            other => Err(self.unavailable(&Error::UnexpectedError(format!("asked for data, got {other:?}")))),
        };
        results.into_iter().map(read).collect()
    }

    pub(super) async fn stamp(&self, path: &str) -> Result<Option<Stamp>, CoordinationError> {
        let client = self.client()?;
        let stat = self.patiently(client.check_stat(path)).await.map_err(|error| self.unavailable(&error))?;
        Ok(stat.as_ref().map(stamp))
    }

    pub(super) async fn children(&self, path: &str) -> Result<Vec<String>, CoordinationError> {
        let client = self.client()?;
        match self.patiently(client.list_children(path)).await {
            Ok(mut names) => {
                names.sort();
                Ok(names)
            }
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(self.unavailable(&error)),
        }
    }

    pub(super) async fn apply(&self, operations: &[Operation]) -> Result<(), WriteError> {
        let client = self.client().map_err(WriteError::Unavailable)?;
        let mut writer = client.new_multi_writer();
        for operation in operations {
            add(&mut writer, operation).map_err(|error| WriteError::Unavailable(self.unavailable(&error)))?;
        }
        let written = match tokio::time::timeout(self.patience, writer.commit()).await {
            Ok(written) => written,
            Err(_) => return Err(WriteError::Unknown(format!("no answer within {:?}", self.patience))),
        };
        match written {
            Ok(_) => Ok(()),
            Err(MultiWriteError::OperationFailed { index, source }) => match reason(&source) {
                Some(reason) => Err(WriteError::Refused(Refusal { index, reason })),
                None => Err(WriteError::Unavailable(self.unavailable(&source))),
            },
            Err(MultiWriteError::RequestFailed { source }) => match source {
                // Refused before it was a request, or by a session that has ended: nothing was done.
                Error::SessionExpired | Error::AuthFailed | Error::ClientClosed | Error::BadArguments(_) => {
                    Err(WriteError::Unavailable(self.unavailable(&source)))
                }
                other => Err(WriteError::Unknown(other.to_string())),
            },
        }
    }

    pub(super) fn session_id(&self) -> SessionId {
        SessionId(self.view.borrow().client.session_id().0)
    }

    pub(super) fn session(&self) -> watch::Receiver<Session> {
        self.session.clone()
    }

    pub(super) fn subscribe(&self, paths: &[String]) -> watch::Receiver<Change> {
        let (changes, receiver) = watch::channel(Change::default());
        let changes = Arc::new(changes);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of subscribers that are gone.
        while tasks.try_join_next().is_some() {}
        for path in paths {
            tasks.spawn(watching::watch(path.clone(), self.view.clone(), changes.clone()));
        }
        receiver
    }

    /// The keeper turns to another session; the former one closes when nobody holds its client any more.
    pub(super) async fn expire(&self) -> Result<(), CoordinationError> {
        let mut former = self.client()?.state_watcher();
        self.give_up.notify_one();
        let closed = async {
            while !former.changed().await.is_terminated() {}
            Ok(())
        };
        self.patiently(closed).await.map_err(|error| self.unavailable(&error))
    }

    pub(super) fn service(&self) -> Arc<str> {
        self.service.clone()
    }

    fn client(&self) -> Result<Client, CoordinationError> {
        let view = self.view.borrow();
        match view.session.link {
            Link::Connected => Ok(view.client.clone()),
            Link::Interrupted => Err(self.unavailable(&Error::ConnectionLoss)),
            Link::Lost => Err(self.unavailable(&Error::SessionExpired)),
        }
    }

    async fn patiently<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.patience, answer).await.unwrap_or(Err(Error::Timeout))
    }

    fn unavailable(&self, error: &Error) -> CoordinationError {
        CoordinationError::Unavailable { service: self.service.clone(), reason: error.to_string() }
    }
}

/// Follows a session, and the next one when it has ended.
async fn keep(
    config: ZooKeeperConfig,
    mut client: Client,
    view: watch::Sender<View>,
    session_sender: watch::Sender<Session>,
    give_up: Arc<Notify>,
) {
    let mut session = Session::FIRST;
    loop {
        let mut states = client.state_watcher();
        let mut state = client.state();
        loop {
            let link = match state {
                SessionState::SyncConnected | SessionState::ConnectedReadOnly => Link::Connected,
                SessionState::Disconnected => Link::Interrupted,
                SessionState::Expired | SessionState::AuthFailed | SessionState::Closed => break,
            };
            if link == Link::Interrupted && session.link == Link::Connected {
                session.interruptions += 1;
                tracing::warn!(servers = config.servers, "ZooKeeper does not answer; going on with what is known");
            } else if link == Link::Connected && session.link == Link::Interrupted {
                tracing::info!(servers = config.servers, session = %client.session_id(), "ZooKeeper answers again");
            }
            session.link = link;
            view.send_replace(View { client: client.clone(), session });
            session_sender.send_replace(session);
            tokio::select! {
                changed = states.changed() => state = changed,
                () = give_up.notified() => break,
            }
        }
        tracing::warn!(servers = config.servers, %state, "the session with ZooKeeper has ended; making another");
        if session.link == Link::Connected {
            session.interruptions += 1;
        }
        session.link = Link::Lost;
        view.send_modify(|view| view.session = session);
        session_sender.send_replace(session);
        client = connect::again(&config).await;
        session.number += 1;
    }
}

fn add(writer: &mut MultiWriter<'_>, operation: &Operation) -> Result<(), Error> {
    match operation {
        Operation::Create { path, bytes, kind } => {
            let mode = match kind {
                Kind::Persistent => CreateMode::Persistent,
                Kind::Ephemeral => CreateMode::Ephemeral,
                Kind::EphemeralSequential => CreateMode::EphemeralSequential,
            };
            writer.add_create(path, bytes, &mode.with_acls(Acls::anyone_all()))
        }
        Operation::Set { path, bytes, version } => writer.add_set_data(path, bytes, Some(*version)),
        Operation::Delete { path, version } => writer.add_delete(path, Some(*version)),
        Operation::Check { path, version } => writer.add_check_version(path, *version),
    }
}

fn reason(error: &Error) -> Option<Reason> {
    match error {
        Error::NoNode => Some(Reason::Absent),
        Error::NodeExists => Some(Reason::Exists),
        Error::BadVersion => Some(Reason::Version),
        Error::NotEmpty => Some(Reason::Children),
        Error::NoChildrenForEphemerals => Some(Reason::EphemeralParent),
        // The errors of a crate, marked as open to additions.
        _ => None,
    }
}

fn entry(bytes: Vec<u8>, stat: &Stat) -> Entry {
    Entry { bytes: Arc::from(bytes), stamp: stamp(stat) }
}

fn stamp(stat: &Stat) -> Stamp {
    let owner = (stat.ephemeral_owner != 0).then_some(SessionId(stat.ephemeral_owner));
    Stamp { modified: stat.mzxid, version: stat.version, owner }
}
