//! A cluster whose nodes reach each other only through links, as if each were a process.

use std::net::SocketAddr;
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_cluster::layout::Settings;
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use gomera_host::coordination::{Coordination, InProcess};
use gomera_host::node::{ClientPort, LayerConfig, LinkPort, NodeConfig};
use gomera_host::process::{CoordinatorConfig, Process, ProcessConfig};
use gomera_host::runtime::Threads;

use super::PATIENCE;
use super::proxy::Proxy;

pub const CLUSTER: &str = "separate";

/// How long a node may be away.
const GRACE: Duration = Duration::from_millis(300);
const SILENCE: Duration = Duration::from_secs(5);

pub struct Separate {
    pub processes: Vec<Process>,
    /// One in front of the link port of each node.
    pub proxies: Vec<Proxy>,
    pub service: InProcess,
}

impl Separate {
    pub async fn start(shape: Shape, shards: u16) -> Self {
        let service = InProcess::new();
        let mut processes = Vec::new();
        let mut proxies = Vec::new();
        for layer in Layer::ALL {
            for ordinal in 1..=shape.of(layer) {
                let proxy = Proxy::start().await;
                let node = node(layer, ordinal, shards, proxy.address);
                let process = start(&service, vec![node], None).await;
                proxy.target(process.nodes()[0].link_address().expect("it has links"));
                processes.push(process);
                proxies.push(proxy);
            }
        }
        let desired = Desired {
            connection_points: shape.connection_points,
            access_points: shape.access_points,
            matchers: shape.matchers,
            exit_points: shape.exit_points,
        };
        let coordinator = CoordinatorConfig {
            name: "coordinator".to_owned(),
            // Connections that are cut all the time answer late on a busy machine; that is no death.
            coordinator: gomera_coordinator::Config {
                desired,
                grace: GRACE,
                silence: SILENCE,
                ..gomera_coordinator::Config::default()
            },
            settings: Settings::default(),
            launch: None,
        };
        processes.push(start(&service, Vec::new(), Some(coordinator)).await);
        for process in &processes {
            process.ready(PATIENCE).await.expect("every node is named");
        }
        Self { processes, proxies, service }
    }

    pub fn client_addresses(&self) -> Vec<SocketAddr> {
        self.processes.iter().flat_map(Process::client_addresses).collect()
    }

    /// One more node, which waits until a layout names it.
    pub async fn join(&self, layer: Layer, ordinal: u16) -> Process {
        let proxy = Proxy::start().await;
        let process = start(&self.service, vec![node(layer, ordinal, 1, proxy.address)], None).await;
        proxy.target(process.nodes()[0].link_address().expect("it has links"));
        process
    }

    /// So many nodes are wanted from now on.
    pub async fn want(&self, desired: &Desired) {
        let coordination = Coordination::in_process(&self.service, CLUSTER).await.expect("a valid name");
        coordination.want(desired).await.expect("the service is there");
    }

    pub async fn stop(self) {
        for process in self.processes {
            process.stop(Duration::ZERO).await;
        }
    }
}

async fn start(service: &InProcess, nodes: Vec<NodeConfig>, coordinator: Option<CoordinatorConfig>) -> Process {
    let coordination = Coordination::in_process(service, CLUSTER).await.expect("a valid name");
    let config = ProcessConfig { nodes, coordinator, threads: Threads::Shared, metrics: None };
    Process::start(config, coordination).await.expect("starts")
}

fn node(layer: Layer, ordinal: u16, shards: u16, advertise: SocketAddr) -> NodeConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    NodeConfig {
        name: format!("{layer}-{ordinal}"),
        shards,
        layer: LayerConfig::default_of(layer),
        links: Some(LinkPort { listen: any, advertise: Some(advertise.to_string()) }),
        clients: (layer == Layer::ConnectionPoint).then_some(ClientPort { listen: any, advertise: None }),
    }
}
