//! Who is there, who leads, and which layout governs: what the nodes of a cluster agree on through ZooKeeper, or, when all
//! of them live in one process, through a tree in memory. Both back-ends are written as one small store of znodes, below;
//! everything above the store is the same code, and the same contract tests run on both.
//!
//! Reads say what stood there a moment ago and changes are hints to read again ([`Hints`]). Writes converge: they read,
//! write under the version they read, and read again when the outcome is unknown, so that each may be repeated. What a
//! leader writes is fenced by its term ([`Reign`]). While the service is away every call fails with
//! [`CoordinationError::Unavailable`] in bounded time, and [`Membership`] keeps the layout it has.
//!
//! `docs/protocols/coordinator.md` lists the znodes.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::layout::{Epoch, Settings};
use gomera_coordinator::config::ConfigError;
use gomera_coordinator::registration::validate_name;
use tokio::sync::watch;

mod coordinating;
mod election;
mod hints;
mod in_process;
mod journal;
mod layouts;
mod load;
mod members;
mod membership;
mod paths;
mod probing;
mod provisioning;
mod rivalry;
mod store;
mod view;
mod wishes;
mod zookeeper;

pub use self::coordinating::{Coordinating, CoordinatorReport};
pub use self::election::{Candidate, Leader, Reign};
pub use self::hints::{Hints, Topic};
pub use self::in_process::InProcess;
pub use self::journal::RequestError;
pub use self::layouts::LayoutReader;
pub use self::load::Load;
pub use self::members::{Acknowledgement, Held};
pub use self::membership::{Acknowledging, Membership, MembershipStatus, Naming};
pub use self::provisioning::Launch;
pub use self::store::{Link, Session};
pub use self::zookeeper::{ConnectError, ZooKeeperConfig};

use self::paths::Paths;
use self::store::Store;

/// How often a write is tried that others keep interfering with, or whose outcome stays unknown.
const ATTEMPTS: usize = 5;

/// A cluster's place in a coordination service, and one session with it. Clones share the session; when the last one is
/// gone, so is everything ephemeral that was written through it.
#[derive(Clone, Debug)]
pub struct Coordination {
    store: Arc<Store>,
    paths: Arc<Paths>,
    reread: Duration,
}

/// Something could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CoordinationError {
    /// The service does not answer at present. Try again when [`Coordination::session`] says so.
    #[error("{service} is not available: {reason}")]
    Unavailable {
        /// Which one.
        service: Arc<str>,
        /// What happened.
        reason: String,
    },
    /// Another coordinator leads: step down.
    #[error("the reign of term {term} has ended")]
    Fenced {
        /// The term that the refused write was made in.
        term: u64,
    },
    /// What stands there is as new as what was to be written: read again.
    #[error("layout {standing} stands there, so that layout {refused} is refused", standing = standing.0, refused = refused.0)]
    Superseded {
        /// The epoch that was to be written.
        refused: Epoch,
        /// The epoch that stands there.
        standing: Epoch,
    },
    /// A znode does not contain what it should: somebody wrote it by hand, or another version of Gomera did.
    #[error("znode {path} cannot be understood: {reason}")]
    Damaged {
        /// The znode.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cluster was created with other settings than this node has.
    #[error("cluster «{cluster}» was created with {created}; this node asks for {asked}: start it with the former, or \
             under another cluster name", created = wishes::text(created), asked = wishes::text(asked))]
    OtherSettings {
        /// The cluster.
        cluster: Arc<str>,
        /// What it was created with.
        created: Settings,
        /// What this node asks for.
        asked: Settings,
    },
}

impl Coordination {
    /// A session with ZooKeeper; waits for it, and makes the znodes that hold the others.
    ///
    /// # Errors
    /// If the configuration is wrong or no server answers within `connect_timeout`.
    pub async fn zookeeper(config: &ZooKeeperConfig, cluster: &str) -> Result<Self, ConnectError> {
        let paths = Paths::new(validated(cluster)?);
        let store = zookeeper::ZooKeeper::connect(config).await?;
        let coordination = Self::new(Store::ZooKeeper(store), paths, config.reread);
        let prepared = tokio::time::timeout(config.connect_timeout, coordination.prepare()).await;
        match prepared {
            Ok(Ok(())) => Ok(coordination),
            Ok(Err(error)) => {
                Err(ConnectError::Prepare { path: coordination.paths.cluster(), reason: error.to_string() })
            }
            Err(_) => {
                let reason = format!("no answer within {:?}", config.connect_timeout);
                Err(ConnectError::Prepare { path: coordination.paths.cluster(), reason })
            }
        }
    }

    /// A session with an in-process service.
    ///
    /// # Errors
    /// If the cluster's name is not a valid one.
    pub async fn in_process(service: &InProcess, cluster: &str) -> Result<Self, ConnectError> {
        let paths = Paths::new(validated(cluster)?);
        let coordination = Self::new(Store::InProcess(service.open()), paths, InProcess::REREAD);
        match coordination.prepare().await {
            Ok(()) => Ok(coordination),
            Err(error) => Err(ConnectError::Prepare { path: coordination.paths.cluster(), reason: error.to_string() }),
        }
    }

    fn new(store: Store, paths: Paths, reread: Duration) -> Self {
        Self { store: Arc::new(store), paths: Arc::new(paths), reread }
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.paths.name()
    }

    /// How the session with the service stands; the receiver is told of every change.
    #[must_use]
    pub fn session(&self) -> watch::Receiver<Session> {
        self.store.session()
    }

    /// Tells when which of `topics` should be read again: after changes, reconnections, and every few seconds.
    #[must_use]
    pub fn hints(&self, topics: &[Topic]) -> Hints {
        let changes = topics.iter().map(|&topic| (topic, self.store.subscribe(self.paths.of_topic(topic))));
        Hints::new(changes.collect(), self.reread)
    }

    /// Gives the session up with all that is ephemeral in it, and begins another, as after an expiry: for tests and drills.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn expire_session(&self) -> Result<(), CoordinationError> {
        self.store.expire_session().await
    }

    fn damaged(path: &str, reason: impl ToString) -> CoordinationError {
        CoordinationError::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn validated(cluster: &str) -> Result<&str, ConfigError> {
    validate_name("cluster", cluster).map(|()| cluster)
}
