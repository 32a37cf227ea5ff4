//! One node, or the coordinator, as a process of its own: `gomera matcher` and its like.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_host::coordination::{Coordination, Launch};
use gomera_host::node::{ClientPort, LinkPort, NodeConfig, StartError};
use gomera_host::process::{CoordinatorConfig, Process, ProcessConfig};
use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, Draft, MachineFlags, ProcessFlags};
use crate::exit::{Failure, Outcome, Reason};
use crate::output;
use crate::runtime;
use crate::signals::{self, Order};

/// A node becomes ready when a coordinator is there and every layer has the nodes that are wanted: whenever that is.
const READY_WITHIN: Duration = Duration::from_secs(365 * 24 * 3600);
/// A coordinator that leads has the next layout out well before.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(5);
/// After it was told to stop, a process has this much more than its clients to end by itself.
const STOP_SLACK: Duration = Duration::from_secs(5);

/// What every process of a cluster over ZooKeeper takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    #[command(flatten)]
    process: ProcessFlags,
    /// Where ZooKeeper is: HOST:PORT, several separated by commas, a path at the end if wanted
    #[arg(long, value_name = "SERVERS")]
    zookeeper: Option<String>,
    /// Its name among the nodes of its layer; one is made up otherwise
    #[arg(long)]
    name: Option<String>,
    /// Tell what happens as one JSON object a line on standard output
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends: whoever started the process holds the other end
    #[arg(long, hide = true)]
    supervised: bool,
}

/// What every node takes.
#[derive(Clone, Debug, Args)]
pub struct Node {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    machines: MachineFlags,
    /// Where other nodes reach this one
    #[arg(long, value_name = "HOST:PORT")]
    link_listen: Option<SocketAddr>,
    /// What other nodes are told to use, if it is not that
    #[arg(long, value_name = "HOST:PORT")]
    link_advertise: Option<String>,
}

/// `gomera connection-point`
#[derive(Clone, Debug, Args)]
pub struct ConnectionPoint {
    #[command(flatten)]
    node: Node,
    /// Where clients reach it
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// What clients are told to use, if it is not that
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
}

/// `gomera coordinator`
#[derive(Clone, Debug, Args)]
pub struct Coordinator {
    #[command(flatten)]
    common: Common,
    /// How many nodes a new cluster waits for before it begins: connection points, access points, matchers, exit points
    #[arg(long, value_name = "A-B-C-D")]
    nodes: Option<Desired>,
}

/// What a process tells on standard output with `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Told {
    /// Its ports are open.
    Started {
        /// Its layer, or `coordinator`.
        layer: String,
        /// Its name.
        name: String,
        /// Where clients reach it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clients: Option<SocketAddr>,
        /// Where other nodes reach it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        links: Option<SocketAddr>,
        /// Where metrics and health are read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metrics: Option<SocketAddr>,
    },
    /// The layout names it.
    Serving,
    /// It was told to stop, and has.
    Stopped {
        /// Clients that had to be cut off.
        forced: usize,
    },
}

/// Runs a connection point.
pub fn connection_point(flags: &ConnectionPoint) -> Outcome {
    let draft = draft(&flags.node)?.set("listen", flags.listen).set("advertise", flags.advertise.clone());
    node(draft, Layer::ConnectionPoint, &flags.node.common)
}

/// Runs a node of another layer.
pub fn other(layer: Layer, flags: &Node) -> Outcome {
    node(draft(flags)?, layer, &flags.common)
}

/// Runs a coordinator.
pub fn coordinator(flags: &Coordinator) -> Outcome {
    let mut configuration = common(&flags.common)?.finish()?;
    if let Some(nodes) = flags.nodes {
        configuration.coordinator.desired = nodes;
    }
    let name = named(&configuration, "coordinator");
    let process = ProcessConfig {
        nodes: Vec::new(),
        coordinator: Some(CoordinatorConfig {
            name: name.clone(),
            coordinator: configuration.coordinator.clone(),
            settings: configuration.settings.clone(),
            launch: Some(launch(&configuration, flags.common.process.config.as_deref())?),
        }),
        threads: configuration.threads(),
        metrics: Some(configuration.metrics_listen),
    };
    runtime::serve(&configuration, run(process, &configuration, "coordinator", name, &flags.common))
}

/// How processes of nodes are started beside this coordinator.
fn launch(configuration: &Configuration, file: Option<&Path>) -> Outcome<Launch> {
    let program = std::env::current_exe().map_err(|error| Failure::new(Reason::Internal, error))?;
    let any_port = |address: SocketAddr| SocketAddr::new(address.ip(), 0).to_string();
    let arguments = Layer::ALL.map(|layer| {
        let mut arguments = vec![
            ("--zookeeper", configuration.zookeeper.servers.clone()),
            ("--cluster", configuration.cluster.clone()),
            ("--link-listen", any_port(configuration.link_listen)),
            ("--metrics-listen", any_port(configuration.metrics_listen)),
        ];
        if layer == Layer::ConnectionPoint {
            arguments.push(("--listen", any_port(configuration.listen)));
        }
        let file = file.into_iter().flat_map(|file| [OsString::from("--config"), file.as_os_str().to_owned()]);
        let flags = arguments.into_iter().flat_map(|(flag, value)| [OsString::from(flag), OsString::from(value)]);
        (layer, file.chain(flags).collect())
    });
    Ok(Launch { program, arguments: arguments.into_iter().collect() })
}

fn node(draft: Draft, layer: Layer, common: &Common) -> Outcome {
    let configuration = draft.finish()?;
    let label = layer.to_string();
    let name = named(&configuration, &label);
    let clients = (layer == Layer::ConnectionPoint)
        .then(|| ClientPort { listen: configuration.listen, advertise: configuration.advertise.clone() });
    let links = LinkPort { listen: configuration.link_listen, advertise: configuration.link_advertise.clone() };
    let node = NodeConfig {
        name: name.clone(),
        shards: configuration.shards,
        layer: configuration.of_layer(layer),
        links: Some(links),
        clients,
    };
    let process = ProcessConfig {
        nodes: vec![node],
        coordinator: None,
        threads: configuration.threads(),
        metrics: Some(configuration.metrics_listen),
    };
    runtime::serve(&configuration, run(process, &configuration, &label, name, common))
}

fn common(flags: &Common) -> Outcome<Draft> {
    let draft = Draft::read(Configuration::default(), flags.process.config.as_deref())?;
    Ok(draft.with(&flags.process).set("zookeeper.servers", flags.zookeeper.clone()).set("name", flags.name.clone()))
}

fn draft(flags: &Node) -> Outcome<Draft> {
    Ok(common(&flags.common)?
        .with(&flags.machines)
        .set("link_listen", flags.link_listen)
        .set("link_advertise", flags.link_advertise.clone()))
}

fn named(configuration: &Configuration, label: &str) -> String {
    if configuration.name.is_empty() {
        format!("{label}-{:08x}", rand::random::<u32>())
    } else {
        configuration.name.clone()
    }
}

async fn run(
    process: ProcessConfig,
    configuration: &Configuration,
    layer: &str,
    name: String,
    common: &Common,
) -> Outcome {
    let mut ordered = signals::ordered(common.supervised);
    let coordination = tokio::select! {
        coordination = Coordination::zookeeper(&configuration.zookeeper, &configuration.cluster) =>
            coordination.map_err(|error| failure(error.into()))?,
        _ = &mut ordered => return Ok(()),
    };
    let process = Process::start(process, coordination).await.map_err(failure)?;
    let node = process.nodes().first();
    let started = Told::Started {
        layer: layer.to_owned(),
        name: name.clone(),
        clients: node.and_then(gomera_host::node::Node::client_address),
        links: node.and_then(gomera_host::node::Node::link_address),
        metrics: process.metrics_address(),
    };
    tell(&started, common.json)?;
    tokio::select! {
        verdict = process.ready(READY_WITHIN) => {
            verdict.map_err(|reason| Failure::say(Reason::Unavailable, reason))?;
            tell(&Told::Serving, common.json)?;
            tokio::select! {
                order = &mut ordered => if order == Order::Leave && !leave(&process, configuration.drain_within).await {
                    stop(process, Duration::ZERO).await?;
                    return Err(Failure::say(Reason::Unavailable, "told to stop a second time: cut off"));
                },
                reason = process.dismissed() => {
                    // Clients leave at once: what is done here counts for nobody.
                    stop(process, Duration::ZERO).await?;
                    return Err(Failure::say(Reason::Unavailable, reason));
                }
            }
        }
        _ = &mut ordered => {}
    }
    let stopped = stop(process, configuration.stop_within).await?;
    tell(&stopped, common.json)
}

/// Gives up what the process holds, if others can take it over, for so long at most. Whether it was not told to stop a second time.
async fn leave(process: &Process, within: Duration) -> bool {
    let again = signals::told_again();
    tokio::pin!(again);
    tokio::select! {
        () = again => return false,
        left = tokio::time::timeout(within, process.leave_by_plan(TAKEN_UP_WITHIN)) => match left {
            Ok(Ok(())) => tracing::info!("nothing is held here any more"),
            Ok(Err(reason)) => tracing::warn!(reason, "stopping all the same"),
            Err(_) => tracing::warn!("not everything could be given up within {within:?}; stopping all the same"),
        },
    }
    true
}

/// Ends a process in good order; at once when it is told a second time.
pub async fn stop(process: Process, within: Duration) -> Outcome<Told> {
    tokio::select! {
        stopped = tokio::time::timeout(within + STOP_SLACK, process.stop(within)) => match stopped {
            Ok(forced) => Ok(Told::Stopped { forced }),
            Err(_) => Err(Failure::say(Reason::Internal, "stopping took too long: some of it was cut off")),
        },
        () = signals::told_again() => Err(Failure::say(Reason::Unavailable, "told to stop a second time: cut off")),
    }
}

/// On standard output, for programs or for people.
fn tell(told: &Told, json: bool) -> Outcome {
    if json {
        output::json(told)?;
        return output::flush();
    }
    match told {
        Told::Started { layer, name, clients, links, metrics } => {
            let mut line = format!("{layer} {name} has started");
            for (what, address) in [("clients", clients), ("links", links), ("metrics", metrics)] {
                if let Some(address) = address {
                    line.push_str(&format!(", {what} {address}"));
                }
            }
            output::line(line)
        }
        Told::Serving => output::line("it serves"),
        Told::Stopped { forced: 0 } => output::line("stopped"),
        Told::Stopped { forced } => {
            let forced = output::count(u64::try_from(*forced).unwrap_or(u64::MAX), "client stream");
            output::line(format!("stopped, after {forced} had to be cut off"))
        }
    }
}

/// Reads standard input until it ends; whoever started the process writes nothing there. On a thread of its own, because a
/// runtime that is shut down would wait for a read that does not end.
pub async fn until_input_ends() {
    let (ended, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut nothing = [0_u8; 64];
        while matches!(std::io::stdin().read(&mut nothing), Ok(1..)) {}
        // Nobody waits any more if the process is stopping anyway.
        let _unwanted = ended.send(());
    });
    let _never_dropped = told.await;
}

/// Whose fault it is that a node did not start.
pub fn failure(error: StartError) -> Failure {
    let reason = match &error {
        StartError::ConnectionPoint(_)
        | StartError::ClientDoor(_)
        | StartError::AccessPoint(_)
        | StartError::Matcher(_)
        | StartError::ExitPoint(_)
        | StartError::Coordination(_)
        | StartError::Unreachable { .. } => Reason::Configuration,
        StartError::Connect(_) | StartError::Service(_) | StartError::Listen(_) => Reason::Unavailable,
        StartError::Metrics(_) | StartError::System(_) => Reason::Internal,
    };
    Failure::new(reason, error)
}
