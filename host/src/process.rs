//! A process: any number of nodes that share workers, metrics and an end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Settings;

use crate::clock::Clock;
use crate::coordination::{Candidate, Coordinating, Coordination, Launch};
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
    /// How processes of nodes are started, for the provisioner `process`.
    pub launch: Option<Launch>,
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
            Some(CoordinatorConfig { name, coordinator, settings, launch }) => {
                coordination.settle(&settings).await?;
                let address = metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok());
                // Any address of this host is none that others could ask.
                let address = address.filter(|address| !address.ip().is_unspecified());
                let candidate = Candidate {
                    name: Arc::from(name),
                    incarnation: Incarnation(rand::random()),
                    address: address.map(|address| Arc::from(address.to_string())),
                };
                Some(Coordinating::start(coordination, candidate, coordinator, settings, launch)?)
            }
            None => None,
        };
        let crew = crew.start()?;
        let sentinel = Arc::new(Sentinel {
            crew: crew.clone(),
            nodes: nodes.iter().map(Node::standing).collect(),
            is_stopping: AtomicBool::new(false),
        });
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

    /// Waits until a layout goes on without one of its nodes, which should then be started again; says which and why.
    pub async fn dismissed(&self) -> String {
        let mut dismissals: Vec<_> = self.nodes.iter().map(|node| Box::pin(node.standing().dismissed())).collect();
        std::future::poll_fn(|context| {
            let told = dismissals.iter_mut().find_map(|dismissed| match dismissed.as_mut().poll(context) {
                Poll::Ready(reason) => Some(reason),
                Poll::Pending => None,
            });
            told.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Asks for the leave of its nodes, and waits until no layout names one.
    ///
    /// # Errors
    /// Says which is not told to leave within `taken_up`: nobody can take over what it holds, or no coordinator leads.
    pub async fn leave_by_plan(&self, taken_up: Duration) -> Verdict {
        for node in &self.nodes {
            node.drain();
        }
        let deadline = tokio::time::Instant::now() + taken_up;
        for node in &self.nodes {
            let standing = node.standing();
            if tokio::time::timeout_at(deadline, standing.clone().sent_away()).await.is_err() {
                return Err(format!(
                    "{} {} was not told to leave within {taken_up:?}: nobody can take over what it holds, or no coordinator leads",
                    node.layer(),
                    node.name()
                ));
            }
            standing.gone().await;
        }
        Ok(())
    }

    /// Ends: doors say goodbye and serve who stays until `deadline`, then nodes leave, then machines stop. Returns how many
    /// clients were closed by force.
    pub async fn stop(self, deadline: Duration) -> usize {
        let Self { mut nodes, crew, coordinating, metrics, sentinel } = self;
        sentinel.is_stopping.store(true, Ordering::Relaxed);
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
    /// Clients that come now are told to go elsewhere.
    is_stopping: AtomicBool,
}

impl Probe for Sentinel {
    fn health(&self) -> Verdict {
        if self.crew.has_ended() {
            return Err("a run loop has ended, and its machines with it".to_owned());
        }
        let silence = self.crew.silence();
        if silence > SILENCE_MAX { Err(format!("a run loop has been stuck for {silence:?}")) } else { Ok(()) }
    }

    fn readiness(&self) -> Verdict {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err("the process is stopping".to_owned());
        }
        self.health()?;
        self.nodes.iter().try_for_each(Standing::readiness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_is_over_makes_a_process_ill_at_once() {
        for threads in [Threads::Shared, Threads::Own(2)] {
            let crew = Crew::new(Clock::start(), Fabric::default(), threads).start().expect("starts");
            let sentinel = Sentinel { crew: crew.clone(), nodes: Vec::new(), is_stopping: AtomicBool::new(false) };
            assert_eq!((sentinel.health(), sentinel.readiness()), (Ok(()), Ok(())));
            // A loop that panics drops the same end.
            crew.stop().await;
            let illness = sentinel.health().expect_err("nothing runs");
            assert!(illness.contains("a run loop has ended"), "{illness}");
            assert_eq!(sentinel.readiness(), Err(illness));
        }
    }
}
