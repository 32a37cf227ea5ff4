//! The way in: a client knows where the cluster is and how to come back to it.

use std::sync::Arc;

use gomera_proto::v1;
use gomera_proto::v1::cluster_client::ClusterClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::backoff::Reconnect;
use crate::connection::Connector;
use crate::error::{ConnectError, SessionError, ShapeError};
use crate::publisher::PublisherBuilder;
use crate::session::builder::SessionBuilder;
use crate::shape::Shape;
use crate::supervision;

/// A connection to a cluster, shared by the publishers and sessions that are made from it. Cheap to clone.
///
/// A program that publishes at a high rate and one that subscribes at a high rate are better off with a client each: a
/// client is one TCP connection.
#[derive(Clone, Debug)]
pub struct Client {
    connector: Arc<Connector>,
    reconnect: Reconnect,
}

impl Client {
    /// Connects to the first of `endpoints` (`http://HOST:PORT` or `HOST:PORT` of connection points) that answers, beginning
    /// with a random one. If the connection breaks later, the next one is tried.
    pub async fn connect<Endpoints>(endpoints: Endpoints) -> Result<Self, ConnectError>
    where
        Endpoints: IntoIterator,
        Endpoints::Item: Into<String>,
    {
        Self::connect_with(endpoints, Reconnect::default()).await
    }

    /// As [`Client::connect`], and says how to come back after the connection broke.
    pub async fn connect_with<Endpoints>(endpoints: Endpoints, reconnect: Reconnect) -> Result<Self, ConnectError>
    where
        Endpoints: IntoIterator,
        Endpoints::Item: Into<String>,
    {
        let endpoints = endpoints.into_iter().map(Into::into).collect();
        let connector = Arc::new(Connector::new(endpoints, rand::random::<u32>() as usize, &reconnect)?);
        connector.link(None).await?;
        Ok(Self { connector, reconnect })
    }

    /// A publisher of this name, to be opened. Publications of one publisher reach each session in order.
    #[must_use]
    pub fn publisher(&self, name: impl Into<String>) -> PublisherBuilder {
        PublisherBuilder::new(self.connector.clone(), self.reconnect.clone(), name.into())
    }

    /// A session of this name, to be attached: created, or taken over from whoever has it. Without a name it is one of its
    /// own that survives a broken connection but not the process.
    #[must_use]
    pub fn session(&self, name: impl Into<String>) -> SessionBuilder {
        SessionBuilder::new(self.connector.clone(), self.reconnect.clone(), name.into())
    }

    /// Why publishers and sessions of this client are cut off from the cluster, to be shown to people; `None` while all is well.
    /// They try again by themselves.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.connector.trouble()
    }

    /// Asks for another shape of the cluster.
    pub async fn shape(&self) -> Result<Shape, ShapeError> {
        Shape::of(self).await
    }

    pub(crate) async fn channel(&self) -> Result<Channel, ShapeError> {
        let link = self.connector.link(None).await.map_err(|error| ShapeError::Unavailable(error.to_string()))?;
        Ok(link.channel)
    }

    /// What the cluster is made of, as the connection point sees it.
    pub async fn topology(&self) -> Result<v1::Topology, SessionError> {
        let link = self.connector.link(None).await.map_err(|error| SessionError::Unavailable(error.to_string()))?;
        let answer = ClusterClient::new(link.channel).get_topology(v1::GetTopologyRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| match status.code() {
            tonic::Code::Unavailable => SessionError::Unavailable(supervision::describe(&status)),
            code => SessionError::Refused { code, message: supervision::describe(&status) },
        })
    }
}
