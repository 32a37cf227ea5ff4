//! A process: any number of nodes that share workers, metrics and an end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Settings;

use crate::clock::Clock;
use crate::coordination::{Candidate, Coordinating, Coordination};
use crate::listening::{Purpose, listen};
use crate::node::{Node, NodeConfig, Standing, StartError};
use crate::runtime::{Crew, Fabric, RunningCrew, Threads};
use crate::telemetry;
use crate::telemetry::http::{MetricsServer, Probe, Verdict};

/// A loop that has not gone round for so long is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a process is made of.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Its nodes; none for a coordinator alone.
    pub nodes: Vec<NodeConfig>,
    /// A coordinator beside them, if there is to be one.
    pub coordinator: Option<CoordinatorConfig>,
    /// Where machines run.
    pub threads: Threads,
    /// Where metrics and health are read, if anywhere.
    pub metrics: Option<SocketAddr>,
}

/// A coordinator.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// For people.
    pub name: String,
    /// Its settings.
    pub coordinator: gomera_coordinator::Config,
    /// What the cluster is created with, once.
    pub settings: Settings,
}

/// A process that runs.
#[derive(Debug)]
pub struct Process {
    nodes: Vec<Node>,
    crew: RunningCrew,
    coordinating: Option<Coordinating>,
    metrics: Option<MetricsServer>,
    sentinel: Arc<Sentinel>,
}

impl Process {
    /// Opens all ports, starts all nodes, then the coordinator.
    pub async fn start(config: ProcessConfig, coordination: Coordination) -> Result<Self, StartError> {
        telemetry::install()?;
        let ProcessConfig { nodes: node_configs, coordinator, threads, metrics } = config;
        let metrics_listener = match metrics {
            Some(address) => Some(listen(address, Purpose::METRICS).await?),
            None => None,
        };
        let mut crew = Crew::new(Clock::start(), Fabric::default(), threads);
        let mut nodes = Vec::new();
        for config in node_configs {
            nodes.push(Node::start(config, coordination.clone(), &mut crew).await?);
        }
        let coordinating = match coordinator {
            Some(CoordinatorConfig { name, coordinator, settings }) => {
                coordination.settle(&settings).await?;
                let candidate = Candidate { name: Arc::from(name), incarnation: Incarnation(rand::random()) };
                Some(Coordinating::start(coordination, candidate, coordinator, settings)?)
            }
            None => None,
        };
        let crew = crew.start()?;
        let sentinel = Arc::new(Sentinel { crew: crew.clone(), nodes: nodes.iter().map(Node::standing).collect() });
        let metrics = match metrics_listener {
            Some(listener) => Some(MetricsServer::open(listener, sentinel.clone())?),
            None => None,
        };
        Ok(Self { nodes, crew, coordinating, metrics, sentinel })
    }

    /// Its nodes, in the order given.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its coordinator, if it has one.
    #[must_use]
    pub fn coordinating(&self) -> Option<&Coordinating> {
        self.coordinating.as_ref()
    }

    /// Where clients reach its connection points, in the order of its nodes.
    #[must_use]
    pub fn client_addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter_map(Node::client_address).collect()
    }

    /// Where metrics and health are read.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(MetricsServer::address)
    }

    /// Whether it works and all its nodes can serve.
    #[must_use]
    pub fn probe(&self) -> Arc<dyn Probe> {
        self.sentinel.clone()
    }

    /// Waits until the layout names every node; gives up after `limit` with what is missing.
    pub async fn ready(&self, limit: Duration) -> Verdict {
        for node in &self.nodes {
            let standing = node.standing();
            if tokio::time::timeout(limit, standing.clone().ready()).await.is_err() {
                standing.readiness()?;
            }
        }
        Ok(())
    }

    /// Ends: doors say goodbye and serve who stays until `deadline`, then nodes leave, then machines stop. Returns how many
    /// clients were closed by force.
    pub async fn stop(self, deadline: Duration) -> usize {
        let Self { mut nodes, crew, coordinating, metrics, sentinel: _ } = self;
        let mut forced = 0;
        let end = tokio::time::Instant::now() + deadline;
        for node in &mut nodes {
            forced += node.close_door(end.saturating_duration_since(tokio::time::Instant::now())).await;
        }
        if let Some(coordinating) = coordinating {
            coordinating.resign().await;
        }
        for node in nodes {
            node.leave().await;
        }
        crew.stop().await;
        drop(metrics);
        forced
    }
}

/// Judges a process for its probes.
#[derive(Debug)]
struct Sentinel {
    crew: RunningCrew,
    nodes: Vec<Standing>,
}

impl Probe for Sentinel {
    fn health(&self) -> Verdict {
        let silence = self.crew.silence();
        if silence > SILENCE_MAX { Err(format!("a run loop has been stuck for {silence:?}")) } else { Ok(()) }
    }

    fn readiness(&self) -> Verdict {
        self.health()?;
        self.nodes.iter().try_for_each(Standing::readiness)
    }
}
