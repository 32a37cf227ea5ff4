//! The service that tells what the cluster is made of.

use std::sync::Arc;

use gomera_proto::topology::to_topology;
use gomera_proto::v1::cluster_server::Cluster;
use gomera_proto::v1::{GetTopologyRequest, Topology};
use tonic::{Request, Response, Status};

use crate::node::IN_PROCESS;
use crate::runtime::NodeHandle;

/// Answers from the layout of its node.
#[derive(Clone, Debug)]
pub struct TopologyService {
    pub cluster: Arc<str>,
    pub node: NodeHandle,
}

#[tonic::async_trait]
impl Cluster for TopologyService {
    async fn get_topology(&self, _: Request<GetTopologyRequest>) -> Result<Response<Topology>, Status> {
        let layout = self.node.layout().borrow().clone();
        match layout {
            Some(layout) => {
                let mut topology = to_topology(&self.cluster, &layout);
                for node in topology.nodes.iter_mut().filter(|node| node.link_address == IN_PROCESS) {
                    node.link_address.clear();
                }
                Ok(Response::new(topology))
            }
            None => Err(Status::unavailable(
                "there is no layout yet: not every layer has a node, or the coordinator is away; try again",
            )),
        }
    }
}
