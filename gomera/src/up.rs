//! `gomera up`: a whole cluster, in this process or in one process for each node.

mod processes;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_coordinator::config::validate_desired;
use gomera_host::cluster::{InProcess, InProcessConfig, Shape};
use serde::Serialize;

use crate::configuration::{Configuration, Draft, METRICS_PORT, MachineFlags, ProcessFlags};
use crate::exit::{Failure, Outcome, Reason};
use crate::node;
use crate::output;
use crate::runtime;
use crate::signals;

/// Stopping that takes longer is explained.
const TELL_AFTER: Duration = Duration::from_millis(300);

/// `gomera up`
#[derive(Clone, Debug, Args)]
pub struct Up {
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    machines: MachineFlags,
    /// Where clients come in, 127.0.0.1:7411 by default: the first connection point; the others of a process take any free port, those in processes of
    /// their own the ports that follow
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// Nodes of each layer, all in this process, 1-1-1-1 by default: connection points, access points, matchers, exit points
    #[arg(long, value_name = "A-B-C-D", conflicts_with = "processes")]
    nodes: Option<Desired>,
    /// One process for each node instead, and one for the coordinator: connection points, access points, matchers, exit
    /// points
    #[arg(long, value_name = "A-B-C-D", requires = "zookeeper")]
    processes: Option<Desired>,
    /// Where ZooKeeper is, for processes: HOST:PORT, several separated by commas, a path at the end if wanted
    #[arg(long, value_name = "SERVERS", requires = "processes")]
    zookeeper: Option<String>,
    /// Tell what happens as one JSON object a line on standard output
    #[arg(long)]
    json: bool,
}

/// What is told when it serves, with `--json`.
#[derive(Debug, Serialize)]
struct Serving<'a> {
    event: &'static str,
    cluster: &'a str,
    clients: &'a [SocketAddr],
    metrics: &'a [SocketAddr],
}

/// Runs it.
pub fn run(up: &Up) -> Outcome {
    // A person has started it and wants to read what is wrong, not what goes well.
    let mut defaults = Configuration { log: "warn".into(), ..Configuration::default() };
    if up.processes.is_none() {
        defaults.metrics_listen = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT));
        // Clients cannot go elsewhere, and what the cluster holds goes with it.
        defaults.stop_within = Duration::from_secs(2);
    }
    let mut configuration = Draft::read(defaults, up.process.config.as_deref())?
        .with(&up.process)
        .with(&up.machines)
        .set("listen", up.listen)
        .set("zookeeper.servers", up.zookeeper.clone())
        .finish()?;
    for nodes in [up.nodes, up.processes].into_iter().flatten() {
        validate_desired(&nodes).map_err(|wrong| Failure::new(Reason::Usage, wrong))?;
    }
    if configuration.workers == 0 {
        // Its clients and the kernel's part of their connections are on this machine too.
        let neighbours =
            up.processes.map_or(2, |nodes| Layer::ALL.iter().map(|&layer| usize::from(nodes.of(layer))).sum());
        configuration.workers = runtime::share(neighbours);
    }
    match up.processes {
        Some(nodes) => {
            runtime::serve(&configuration, processes::run(&configuration, up.process.config.as_deref(), nodes, up.json))
        }
        None => runtime::serve(&configuration, in_process(&configuration, up.nodes.unwrap_or_default(), up.json)),
    }
}

async fn in_process(configuration: &Configuration, nodes: Desired, json: bool) -> Outcome {
    let told_to_stop = signals::interrupted();
    let shape = Shape {
        connection_points: nodes.connection_points,
        access_points: nodes.access_points,
        matchers: nodes.matchers,
        exit_points: nodes.exit_points,
    };
    let host = InProcessConfig {
        cluster: configuration.cluster.clone(),
        shape,
        shards: configuration.shards,
        listen: configuration.listen,
        metrics: Some(configuration.metrics_listen),
        threads: configuration.threads(),
        connection_point: configuration.connection_point.clone(),
        door: configuration.client_door.clone(),
        access_point: configuration.access_point.clone(),
        matcher: configuration.matcher.clone(),
        exit_point: configuration.exit_point.clone(),
        coordinator: configuration.coordinator.clone(),
        settings: configuration.settings.clone(),
    };
    let cluster = InProcess::start(host).await.map_err(node::failure)?;
    let clients = cluster.client_addresses();
    let metrics: Vec<_> = cluster.process().metrics_address().map(|address| ("", address)).into_iter().collect();
    serving(configuration, nodes, "in this process", &clients, &metrics, json)?;
    told_to_stop.await;
    let again = signals::told_again();
    tokio::pin!(again);
    let within = configuration.stop_within;
    let stop = cluster.stop(within);
    tokio::pin!(stop);
    let forced = tokio::select! {
        forced = &mut stop => forced,
        () = tokio::time::sleep(TELL_AFTER) => {
            eprintln!("gomera: stopping: clients that are still connected have {within:?} to leave; told again, it stops at once");
            tokio::select! {
                forced = &mut stop => forced,
                () = &mut again => return Err(cut_off()),
            }
        }
        () = &mut again => return Err(cut_off()),
    };
    if forced > 0 {
        eprintln!("gomera: cut off {}", output::count(u64::try_from(forced).unwrap_or(u64::MAX), "client stream"));
    }
    Ok(())
}

fn cut_off() -> Failure {
    Failure::say(Reason::Unavailable, "told to stop a second time: cut off")
}

/// Says that the cluster serves, where, and to whom it is open.
fn serving(
    configuration: &Configuration,
    nodes: Desired,
    place: &str,
    clients: &[SocketAddr],
    metrics: &[(&str, SocketAddr)],
    json: bool,
) -> Outcome {
    if json {
        let metrics: Vec<_> = metrics.iter().map(|&(_, address)| address).collect();
        output::json(&Serving { event: "serving", cluster: &configuration.cluster, clients, metrics: &metrics })?;
        return output::flush();
    }
    let layers = [
        output::count(nodes.connection_points, "connection point"),
        output::count(nodes.access_points, "access point"),
        output::count(nodes.matchers, "matcher"),
        output::count(nodes.exit_points, "exit point"),
    ];
    output::line(format!("cluster {} serves: {}, {place}", configuration.cluster, layers.join(", ")))?;
    for address in clients {
        output::line(format!("  clients  http://{address}"))?;
    }
    for (label, address) in metrics {
        output::line(format!("  metrics  http://{address}/metrics  {label}").trim_end())?;
    }
    let near = clients.iter().all(|address| address.ip().is_loopback());
    output::line(if near {
        "It is open: every program on this machine may publish and subscribe; other machines cannot reach it."
    } else {
        "It is OPEN: whoever reaches these addresses may publish and subscribe; nobody is asked who they are."
    })?;
    if let Some(first) = clients.first() {
        let endpoint = if first.port() == crate::configuration::CLIENT_PORT {
            String::new()
        } else {
            format!(" --endpoint http://{first}")
        };
        output::line(format!("Try: gomera sub \"speed < 20\"{endpoint}    and: gomera pub -a speed=12{endpoint}"))?;
    }
    output::flush()
}
