//! Asking for another shape of the cluster: operations, and how far they have come.

use gomera_proto::v1;
use gomera_proto::v1::cluster_client::ClusterClient;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use crate::client::Client;
use crate::error::ShapeError;
use crate::supervision;

/// Asks for operations; made by [`Client::shape`]. Every request may be repeated under the same id: it is done once.
#[derive(Clone, Debug)]
pub struct Shape {
    client: ClusterClient<Channel>,
}

/// What is asked for in [`Shape::ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShapeRequest {
    /// So many nodes of a layer.
    Scale {
        /// The layer.
        layer: v1::Layer,
        /// How many.
        replicas: u32,
    },
    /// A node gives up what it holds and leaves.
    Drain {
        /// Its name or its incarnation.
        node: String,
    },
    /// Slices are spread evenly again.
    Rebalance,
}

/// Whether something is done or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earnest {
    /// It is done.
    Done,
    /// Only what would be done is told.
    DryRun,
}

impl Shape {
    pub(crate) async fn of(client: &Client) -> Result<Self, ShapeError> {
        Ok(Self { client: ClusterClient::new(client.channel().await?) })
    }

    /// Asks; the answer comes when a coordinator has taken the request up. `request_id` names it; empty: one is drawn.
    pub async fn ask(
        &mut self,
        request_id: &str,
        request: ShapeRequest,
        earnest: Earnest,
    ) -> Result<v1::Operation, ShapeError> {
        let (request_id, dry_run) = (request_id.to_owned(), earnest == Earnest::DryRun);
        let answer = match request {
            ShapeRequest::Scale { layer, replicas } => {
                let layer = layer.into();
                self.client.scale(v1::ScaleRequest { request_id, layer, replicas, dry_run }).await
            }
            ShapeRequest::Drain { node } => self.client.drain(v1::DrainRequest { request_id, node, dry_run }).await,
            ShapeRequest::Rebalance => self.client.rebalance(v1::RebalanceRequest { request_id, dry_run }).await,
        };
        answer.map(Response::into_inner).map_err(|status| refused(&status))
    }

    /// Cancels an operation that has not activated anything.
    pub async fn cancel(&mut self, id: &str) -> Result<v1::Operation, ShapeError> {
        let request = v1::CancelOperationRequest { id: id.to_owned() };
        self.client.cancel_operation(request).await.map(Response::into_inner).map_err(|status| refused(&status))
    }

    /// One operation, or all (empty): those that stand in the journal first, then each that changes.
    pub async fn watch(&mut self, id: &str) -> Result<Operations, ShapeError> {
        let request = v1::WatchOperationsRequest { id: id.to_owned() };
        let news = self.client.watch_operations(request).await.map_err(|status| refused(&status))?;
        Ok(Operations { news: news.into_inner() })
    }
}

/// Operations as they come further.
#[derive(Debug)]
pub struct Operations {
    news: Streaming<v1::WatchOperationsReply>,
}

impl Operations {
    /// The next that changed; `None` if the connection point ends the call.
    pub async fn next(&mut self) -> Result<Option<Vec<v1::Operation>>, ShapeError> {
        let reply = self.news.message().await.map_err(|status| match status.code() {
            // The stream broke: nobody refused anything.
            tonic::Code::Unknown | tonic::Code::Internal | tonic::Code::Cancelled => {
                ShapeError::Unavailable(supervision::describe(&status))
            }
            _ => refused(&status),
        })?;
        Ok(reply.map(|reply| reply.operations))
    }
}

fn refused(status: &Status) -> ShapeError {
    match status.code() {
        tonic::Code::Unavailable => ShapeError::Unavailable(supervision::describe(status)),
        code => ShapeError::Refused { code, message: supervision::describe(status) },
    }
}
