//! A whole cluster in one process: all four layers, a coordinator, and the coordination service in memory. Machines reach each
//! other without links; only clients come in through a port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_cluster::layout::Settings;
use gomera_coordinator::Desired;

use crate::client_door::ClientDoorConfig;
use crate::coordination::{self, Coordination};
use crate::node::{ClientPort, LayerConfig, NodeConfig, StartError};
use crate::process::{CoordinatorConfig, Process, ProcessConfig};
use crate::runtime::Threads;

/// How many nodes each layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connection points.
    pub connection_points: u16,
    /// Access points.
    pub access_points: u16,
    /// Matchers.
    pub matchers: u16,
    /// Exit points.
    pub exit_points: u16,
}

impl Default for Shape {
    /// One of each.
    fn default() -> Self {
        Self { connection_points: 1, access_points: 1, matchers: 1, exit_points: 1 }
    }
}

impl Shape {
    /// Of one layer.
    #[must_use]
    pub fn of(self, layer: Layer) -> u16 {
        match layer {
            Layer::ConnectionPoint => self.connection_points,
            Layer::AccessPoint => self.access_points,
            Layer::Matcher => self.matchers,
            Layer::ExitPoint => self.exit_points,
        }
    }
}

/// What the cluster is made of.
#[derive(Clone, Debug)]
pub struct InProcessConfig {
    /// Its name.
    pub cluster: String,
    /// Nodes of each layer.
    pub shape: Shape,
    /// Machines of each node.
    pub shards: u16,
    /// Where the first connection point listens; the others take any free port of the same address.
    pub listen: SocketAddr,
    /// Where metrics and health are read, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where machines run.
    pub threads: Threads,
    /// Of each connection point.
    pub connection_point: gomera_connection_point::Config,
    /// Of each door for clients.
    pub door: ClientDoorConfig,
    /// Of each access point.
    pub access_point: gomera_access_point::config::Config,
    /// Of each matcher.
    pub matcher: gomera_matcher::config::Config,
    /// Of each exit point.
    pub exit_point: gomera_exit_point::Config,
    /// Of the coordinator; what it wants of nodes is the shape.
    pub coordinator: gomera_coordinator::Config,
    /// What the cluster is created with.
    pub settings: Settings,
}

impl Default for InProcessConfig {
    fn default() -> Self {
        Self {
            cluster: "gomera".to_owned(),
            shape: Shape::default(),
            shards: 1,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            metrics: None,
            threads: Threads::Shared,
            connection_point: gomera_connection_point::Config::default(),
            door: ClientDoorConfig::default(),
            access_point: gomera_access_point::config::Config::default(),
            matcher: gomera_matcher::config::Config::default(),
            exit_point: gomera_exit_point::Config::default(),
            coordinator: gomera_coordinator::Config::default(),
            settings: Settings::default(),
        }
    }
}

impl InProcessConfig {
    fn layer(&self, layer: Layer) -> LayerConfig {
        match layer {
            Layer::ConnectionPoint => LayerConfig::ConnectionPoint {
                machine: Box::new(self.connection_point.clone()),
                door: self.door.clone(),
            },
            Layer::AccessPoint => LayerConfig::AccessPoint(self.access_point.clone()),
            Layer::Matcher => LayerConfig::Matcher(self.matcher.clone()),
            Layer::ExitPoint => LayerConfig::ExitPoint(self.exit_point.clone()),
        }
    }

    fn nodes(&self) -> Vec<NodeConfig> {
        let mut nodes = Vec::new();
        for layer in Layer::ALL {
            for ordinal in 1..=self.shape.of(layer) {
                let clients = (layer == Layer::ConnectionPoint).then(|| {
                    let port = if ordinal == 1 { self.listen.port() } else { 0 };
                    ClientPort { listen: SocketAddr::new(self.listen.ip(), port), advertise: self.advertise() }
                });
                nodes.push(NodeConfig {
                    name: format!("{layer}-{ordinal}"),
                    shards: self.shards,
                    layer: self.layer(layer),
                    links: None,
                    clients,
                });
            }
        }
        nodes
    }

    /// Listening everywhere, it still is the machine itself that the layout tells about.
    fn advertise(&self) -> Option<String> {
        self.listen.ip().is_unspecified().then(|| format!("localhost:{}", self.listen.port().max(1)))
    }
}

/// A cluster that runs.
#[derive(Debug)]
pub struct InProcess {
    process: Process,
}

/// How long the first layout may take: it needs no other process.
const READY_WITHIN: Duration = Duration::from_secs(10);

impl InProcess {
    /// Starts everything, and waits until it serves.
    pub async fn start(config: InProcessConfig) -> Result<Self, StartError> {
        let service = coordination::InProcess::new();
        let coordination = Coordination::in_process(&service, &config.cluster).await?;
        let desired = Desired {
            connection_points: config.shape.connection_points,
            access_points: config.shape.access_points,
            matchers: config.shape.matchers,
            exit_points: config.shape.exit_points,
        };
        let process = ProcessConfig {
            nodes: config.nodes(),
            coordinator: Some(CoordinatorConfig {
                name: "coordinator".to_owned(),
                coordinator: gomera_coordinator::Config { desired, ..config.coordinator },
                settings: config.settings,
                launch: None,
            }),
            threads: config.threads,
            metrics: config.metrics,
        };
        let process = Process::start(process, coordination).await?;
        if let Err(reason) = process.ready(READY_WITHIN).await {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, reason).into());
        }
        Ok(Self { process })
    }

    /// Where clients reach its connection points; at least one.
    #[must_use]
    pub fn client_addresses(&self) -> Vec<SocketAddr> {
        self.process.client_addresses()
    }

    /// The process it is.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends; see [`Process::stop`].
    pub async fn stop(self, deadline: Duration) -> usize {
        self.process.stop(deadline).await
    }
}
