//! What makes up a node, and what keeps one from starting.

use std::net::SocketAddr;

use gomera_cluster::address::Layer;

use crate::client_door::{self, ClientDoorConfig};
use crate::listening::ListenError;

/// A node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// For people, and part of the paths of its znodes.
    pub name: String,
    /// How many machines it runs, at least 1.
    pub shards: u16,
    /// What they are.
    pub layer: LayerConfig,
    /// Where other processes reach it; absent if the whole cluster is in this process.
    pub links: Option<LinkPort>,
    /// Where clients reach it; a connection point has it, other layers do not.
    pub clients: Option<ClientPort>,
}

/// What the machines of a node are, and their settings.
#[derive(Clone, Debug)]
pub enum LayerConfig {
    /// Holds clients.
    ConnectionPoint {
        /// Of each machine.
        machine: Box<gomera_connection_point::Config>,
        /// Of the door for clients.
        door: ClientDoorConfig,
    },
    /// Writes lanes.
    AccessPoint(gomera_access_point::config::Config),
    /// Judges publications.
    Matcher(gomera_matcher::config::Config),
    /// Keeps outboxes.
    ExitPoint(gomera_exit_point::Config),
}

impl LayerConfig {
    /// A layer with everything at its default.
    #[must_use]
    pub fn default_of(layer: Layer) -> Self {
        match layer {
            Layer::ConnectionPoint => {
                Self::ConnectionPoint { machine: Box::default(), door: ClientDoorConfig::default() }
            }
            Layer::AccessPoint => Self::AccessPoint(gomera_access_point::config::Config::default()),
            Layer::Matcher => Self::Matcher(gomera_matcher::config::Config::default()),
            Layer::ExitPoint => Self::ExitPoint(gomera_exit_point::Config::default()),
        }
    }

    /// Which layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::ConnectionPoint { .. } => Layer::ConnectionPoint,
            Self::AccessPoint(_) => Layer::AccessPoint,
            Self::Matcher(_) => Layer::Matcher,
            Self::ExitPoint(_) => Layer::ExitPoint,
        }
    }

    /// Checks every setting.
    fn validate(&self) -> Result<(), StartError> {
        match self {
            Self::ConnectionPoint { machine, door } => {
                machine.validate()?;
                door.validate()?;
            }
            Self::AccessPoint(config) => config.validate()?,
            Self::Matcher(config) => config.validate()?,
            Self::ExitPoint(config) => config.validate()?,
        }
        Ok(())
    }
}

impl NodeConfig {
    /// Checks every setting.
    pub fn validate(&self) -> Result<(), StartError> {
        self.layer.validate()
    }
}

/// A port for links.
#[derive(Clone, Debug)]
pub struct LinkPort {
    /// Where to listen.
    pub listen: SocketAddr,
    /// `HOST:PORT` that other nodes are told; where it listens unless said.
    pub advertise: Option<String>,
}

/// A port for clients.
#[derive(Clone, Debug)]
pub struct ClientPort {
    /// Where to listen.
    pub listen: SocketAddr,
    /// `HOST:PORT` that clients are told; where it listens unless said.
    pub advertise: Option<String>,
}

/// A node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting of a connection point.
    #[error("connection point: {0}")]
    ConnectionPoint(#[from] gomera_connection_point::ConfigError),
    /// A setting of the door for clients.
    #[error("door for clients: {0}")]
    ClientDoor(#[from] client_door::ConfigError),
    /// A setting of an access point.
    #[error("access point: {0}")]
    AccessPoint(#[from] gomera_access_point::config::ConfigError),
    /// A setting of a matcher.
    #[error("matcher: {0}")]
    Matcher(#[from] gomera_matcher::config::ConfigError),
    /// A setting of an exit point.
    #[error("exit point: {0}")]
    ExitPoint(#[from] gomera_exit_point::ConfigError),
    /// A setting of the coordination.
    #[error("coordination: {0}")]
    Coordination(#[from] gomera_coordinator::ConfigError),
    /// The coordination service cannot be reached.
    #[error(transparent)]
    Connect(#[from] crate::coordination::ConnectError),
    /// The coordination service refused something.
    #[error(transparent)]
    Service(#[from] crate::coordination::CoordinationError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// It listens everywhere, and nobody said how others reach it.
    #[error(
        "{address} for {purpose} is every address of this machine: say with {flag} HOST:PORT which one others should use"
    )]
    Unreachable {
        /// Where it listens.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// How to say it.
        flag: &'static str,
    },
    /// The metrics recorder.
    #[error(transparent)]
    Metrics(#[from] crate::telemetry::InstallError),
    /// The system.
    #[error("cannot start a node: {0}")]
    System(#[from] std::io::Error),
}
