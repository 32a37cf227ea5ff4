//! A cluster of processes, each of which is started, told to stop, killed and paused on its own, over a ZooKeeper of its own. All of
//! it ends with this value, however that comes about: children hold the other end of a pipe.

pub mod node;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gomera_client::{Client, Topology};
use gomera_cluster::address::Layer;
use tempfile::TempDir;
use xtask::services::zookeeper::ZooKeeper;

use crate::spawn::sibling;
use node::{Node, Place, Role};

/// A cluster of processes on a busy machine serves by then.
const SERVES_WITHIN: Duration = Duration::from_secs(60);
/// A connection point that does not tell its layout by then is passed over.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// How many nodes of each layer, in the order of [`Layer::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(pub [u16; 4]);

impl Shape {
    /// Of one layer.
    pub fn of(&self, layer: Layer) -> u16 {
        self.0[index(layer)]
    }

    /// The same with another number of nodes in one layer.
    pub fn with(mut self, layer: Layer, nodes: u16) -> Self {
        self.0[index(layer)] = nodes;
        self
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [connection_points, access_points, matchers, exit_points] = self.0;
        write!(f, "{connection_points}-{access_points}-{matchers}-{exit_points}")
    }
}

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let counts: Vec<u16> =
            text.split('-').filter_map(|count| count.parse().ok()).filter(|&count| count > 0).collect();
        let whole = text.split('-').count() == counts.len();
        counts.try_into().ok().filter(|_| whole).map(Self).ok_or_else(|| {
            "must be four numbers from 1 joined by hyphens, as in 1-2-3-2: connection points, access points, matchers, \
             exit points"
                .to_owned()
        })
    }
}

fn index(layer: Layer) -> usize {
    Layer::ALL.iter().position(|&other| other == layer).expect("it is one of them")
}

/// The cluster.
pub struct Fleet {
    /// Living and dead, in the order of their start.
    pub nodes: Vec<Node>,
    /// Its ZooKeeper.
    pub zookeeper: ZooKeeper,
    /// Settings of every process.
    settings: Option<PathBuf>,
    binary: PathBuf,
    cluster: String,
    shape: Shape,
    /// What the processes log; removed with the fleet unless it is asked to stay.
    logs: TempDir,
    keeps_logs: bool,
}

impl Fleet {
    /// Nothing but a ZooKeeper of so many servers (1 or 3) at this address. `settings` is a configuration for every process.
    ///
    /// # Errors
    /// If ZooKeeper or the binary is not there.
    pub fn new_at(host: Ipv4Addr, shape: Shape, servers: usize, settings: Option<&str>) -> Result<Self> {
        let binary = sibling("gomera")?;
        let zookeeper = ZooKeeper::start_at(host, servers).context("start ZooKeeper")?;
        let logs = tempfile::Builder::new().prefix("gomera-loadtest-").tempdir().context("make a folder for logs")?;
        let settings = settings.map(|text| {
            let path = logs.path().join("settings.toml");
            std::fs::write(&path, text).map(|()| path)
        });
        Ok(Self {
            nodes: Vec::new(),
            zookeeper,
            settings: settings.transpose().context("write the settings")?,
            binary,
            cluster: format!("load-{}", std::process::id()),
            shape,
            logs,
            keeps_logs: false,
        })
    }

    /// Starts one more process on this machine.
    ///
    /// # Errors
    /// If it does not open its ports.
    pub fn start(&mut self, role: Role, name: &str) -> Result<()> {
        self.start_in(role, name, None, None)
    }

    /// Starts one more process in a place of its own; clients reach it at `clients`, if that is given.
    ///
    /// # Errors
    /// If it does not open its ports.
    pub fn start_in(&mut self, role: Role, name: &str, place: Option<Place>, clients: Option<&str>) -> Result<()> {
        let any_port = format!("{}:0", place.as_ref().map_or(Ipv4Addr::LOCALHOST, |place| place.address));
        let mut arguments = vec![role.to_string()];
        for (flag, value) in [
            ("--name", name),
            ("--cluster", &self.cluster),
            ("--zookeeper", &self.zookeeper.connect_string()),
            ("--metrics-listen", "127.0.0.1:0"),
            ("--stop-within", "2s"),
            ("--log", "info"),
            ("--log-format", "json"),
        ] {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        }
        match role {
            Role::Coordinator => arguments.extend(["--nodes".to_owned(), self.shape.to_string()]),
            Role::Of(layer) => {
                // Cores are few and processes many: one thread each.
                arguments.extend(["--link-listen", &any_port, "--workers", "1"].map(str::to_owned));
                if layer == Layer::ConnectionPoint {
                    arguments.extend(["--listen", clients.unwrap_or(&any_port)].map(str::to_owned));
                }
            }
        }
        if let Some(settings) = &self.settings {
            arguments.extend(["--config".to_owned(), settings.to_string_lossy().into_owned()]);
        }
        let log = self.logs.path().join(format!("{name}-{}.log", self.nodes.len()));
        self.nodes.push(Node::start(&self.binary, &arguments, (role, name), place, &log)?);
        Ok(())
    }

    /// Starts as many nodes as the shape says, and a coordinator. Of each layer the names begin with `z`: nodes that are started later
    /// under earlier names stay when the layer shrinks, and those with all the clients and all the state leave.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start_all(&mut self) -> Result<()> {
        for layer in Layer::ALL {
            for ordinal in 1..=self.shape.of(layer) {
                self.start(Role::Of(layer), &format!("z-{layer}-{ordinal}"))?;
            }
        }
        self.start(Role::Coordinator, "coordinator-1")?;
        Ok(())
    }

    /// Where clients reach the connection points that run.
    pub fn doors(&self) -> Vec<String> {
        self.nodes.iter().filter(|node| node.runs()).filter_map(|node| node.clients.clone()).collect()
    }

    /// Waits until a layout is in force, and gives it.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn serves(&self) -> Result<Topology> {
        let deadline = Instant::now() + SERVES_WITHIN;
        loop {
            let trouble = match self.topology().await {
                Ok(topology) => return Ok(topology),
                Err(error) => error,
            };
            if Instant::now() > deadline {
                bail!("the cluster does not serve after {SERVES_WITHIN:?}: {trouble:#}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The layout in force, as the connection point that runs and knows the latest knows it: who was cut off may not have heard that others
    /// went on without it.
    ///
    /// # Errors
    /// If none answers.
    pub async fn topology(&self) -> Result<Topology> {
        let mut newest: Option<Topology> = None;
        let mut silent = anyhow::anyhow!("there is no door");
        for door in self.doors() {
            let asked = async { Ok::<_, anyhow::Error>(Client::connect(vec![door.clone()]).await?.topology().await?) };
            match tokio::time::timeout(TOLD_WITHIN, asked).await {
                Ok(Ok(told)) if newest.as_ref().is_none_or(|newest| newest.epoch < told.epoch) => newest = Some(told),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => silent = error,
                Err(_) => silent = anyhow::anyhow!("{door} says nothing within {TOLD_WITHIN:?}"),
            }
        }
        newest.ok_or(silent)
    }

    /// Where the processes log.
    pub fn keep_logs(&mut self) -> PathBuf {
        self.keeps_logs = true;
        self.logs.path().to_owned()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.nodes.clear();
        if self.keeps_logs {
            self.logs.disable_cleanup(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_four_numbers() {
        let shape: Shape = "1-2-3-2".parse().expect("it is one");
        assert_eq!((shape.of(Layer::Matcher), shape.to_string()), (3, "1-2-3-2".to_owned()));
        assert_eq!(shape.with(Layer::Matcher, 1).to_string(), "1-2-1-2");
        for wrong in ["1-1-1", "1-1-1-1-1", "0-1-1-1", "1-1-x-1", ""] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
