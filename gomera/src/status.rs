//! `gomera status`: what the cluster is made of and whether it serves.

use std::time::Duration;

use clap::Args;
use gomera_client::{Layer, Topology};
use serde::Serialize;
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::endpoint::Endpoints;
use crate::exit::{Failure, Outcome, Reason};
use crate::output;

/// A connection point that does not say how it is within this is not well.
const TIMEOUT: Duration = Duration::from_secs(3);

/// `gomera status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    endpoints: Endpoints,
    /// Print one JSON object: `endpoints cluster epoch nodes lanes …`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    endpoints: Vec<EndpointReport>,
    #[serde(flatten)]
    cluster: Option<ClusterReport>,
}

#[derive(Debug, Serialize)]
struct EndpointReport {
    endpoint: String,
    health: String,
}

#[derive(Debug, Serialize)]
struct ClusterReport {
    cluster: String,
    epoch: u64,
    matcher_slices: u32,
    session_slices: u32,
    replication: u32,
    nodes: Vec<NodeReport>,
    lanes: Vec<LaneReport>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    layer: &'static str,
    name: String,
    incarnation: String,
    link_address: String,
    client_address: String,
    shards: u32,
    slices_active: u32,
    slices_other: u32,
    slices_joining: u32,
    /// Whether it accepts connections of nodes, asked from here; absent if it needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<bool>,
    /// Layers in the order in which a publication passes them.
    #[serde(skip)]
    place: i32,
}

#[derive(Debug, Serialize)]
struct LaneReport {
    id: u32,
    writer: String,
    shard: u32,
    draining: bool,
}

/// Runs it.
pub async fn run(status: Status) -> Outcome {
    let mut endpoints = Vec::new();
    for endpoint in status.endpoints.all() {
        endpoints.push(EndpointReport { endpoint: endpoint.clone(), health: health(endpoint).await });
    }
    let serving = endpoints.iter().any(|endpoint| endpoint.health == SERVING);
    let (cluster, failure) = match status.endpoints.connect().await {
        Err(failure) => (None, Some(failure)),
        Ok(client) => match client.topology().await {
            Ok(topology) => {
                let mut report = cluster(topology);
                knock(&mut report.nodes).await;
                (Some(report), None)
            }
            Err(error) => (None, Some(Failure::unavailable(error))),
        },
    };
    let report = Report { endpoints, cluster };
    if status.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    match failure {
        Some(failure) => Err(failure),
        None if serving => Ok(()),
        None => Err(Failure::say(Reason::Unavailable, "no connection point is serving")),
    }
}

const SERVING: &str = "serving";

/// One word, or why there is none.
async fn health(endpoint: &str) -> String {
    let uri = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    let check = async {
        let channel = Endpoint::from_shared(uri)?.connect_timeout(TIMEOUT).timeout(TIMEOUT).connect().await?;
        let request = HealthCheckRequest { service: String::new() };
        let answer = HealthClient::new(channel).check(request).await?;
        anyhow::Ok(answer.into_inner().status())
    };
    match check.await {
        Ok(ServingStatus::Serving) => SERVING.into(),
        Ok(ServingStatus::NotServing) => "not serving".into(),
        Ok(ServingStatus::Unknown | ServingStatus::ServiceUnknown) => "unknown".into(),
        Err(error) => format!("unreachable: {}", reason(&error)),
    }
}

/// An error in few words, none of them twice.
fn reason(error: &anyhow::Error) -> String {
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return status.message().to_owned();
    }
    let mut reason = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !reason.contains(&cause) {
            reason.push_str(if reason.is_empty() { "" } else { ": " });
            reason.push_str(&cause);
        }
    }
    reason
}

/// Asks each node that others reach whether it is there: the layout goes on naming one that died.
async fn knock(nodes: &mut [NodeReport]) {
    let mut asking = tokio::task::JoinSet::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.link_address.is_empty()) {
        let connecting = TcpStream::connect(node.link_address.clone());
        asking.spawn(async move { (index, matches!(tokio::time::timeout(TIMEOUT, connecting).await, Ok(Ok(_)))) });
    }
    for (index, answers) in asking.join_all().await {
        nodes[index].answers = Some(answers);
    }
}

fn cluster(topology: Topology) -> ClusterReport {
    let name_of = |incarnation: u64| {
        let node = topology.nodes.iter().find(|node| node.incarnation == incarnation);
        node.map_or_else(|| format!("{incarnation:016x}"), |node| node.name.clone())
    };
    let lanes = topology.lanes.iter().map(|lane| LaneReport {
        id: lane.id,
        writer: name_of(lane.incarnation),
        shard: lane.shard,
        draining: lane.draining,
    });
    let lanes = lanes.collect();
    let nodes = topology.nodes.into_iter().map(|node| NodeReport {
        layer: match node.layer() {
            Layer::ConnectionPoint => "connection-point",
            Layer::AccessPoint => "access-point",
            Layer::Matcher => "matcher",
            Layer::ExitPoint => "exit-point",
            Layer::Unspecified => "unknown",
        },
        answers: None,
        place: node.layer,
        name: node.name,
        incarnation: format!("{:016x}", node.incarnation),
        link_address: node.link_address,
        client_address: node.client_address,
        shards: node.shards,
        slices_active: node.slices_active,
        slices_other: node.slices_other,
        slices_joining: node.slices_joining,
    });
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by(|one, other| (one.place, &one.name).cmp(&(other.place, &other.name)));
    ClusterReport {
        cluster: topology.cluster,
        epoch: topology.epoch,
        matcher_slices: topology.matcher_slices,
        session_slices: topology.session_slices,
        replication: topology.replication,
        nodes,
        lanes,
    }
}

fn print(report: &Report) -> Outcome {
    for endpoint in &report.endpoints {
        output::line(format!("{}  {}", endpoint.endpoint, endpoint.health))?;
    }
    let Some(cluster) = &report.cluster else { return Ok(()) };
    output::line(format!(
        "cluster {}, layout {}, {} matcher slices, {} session slices, replication {}",
        cluster.cluster, cluster.epoch, cluster.matcher_slices, cluster.session_slices, cluster.replication
    ))?;
    for node in &cluster.nodes {
        let mut line = format!("  {:<17} {:<24} {}", node.layer, node.name, output::count(node.shards, "shard"));
        if node.slices_active + node.slices_other + node.slices_joining > 0 {
            line.push_str(&format!(", active for {}", output::count(node.slices_active, "slice")));
        }
        if node.slices_other > 0 {
            line.push_str(&format!(", could take over {}", node.slices_other));
        }
        if node.slices_joining > 0 {
            line.push_str(&format!(", {} on their way to it", node.slices_joining));
        }
        for (what, address) in [("clients", &node.client_address), ("links", &node.link_address)] {
            if !address.is_empty() {
                line.push_str(&format!(", {what} {address}"));
            }
        }
        if node.answers == Some(false) {
            line.push_str(", does not answer from here");
        }
        output::line(line)?;
    }
    for lane in &cluster.lanes {
        let state = if lane.draining { "draining" } else { "open" };
        output::line(format!("  lane {:<12} {:<24} shard {}, {state}", lane.id, lane.writer, lane.shard))?;
    }
    Ok(())
}
