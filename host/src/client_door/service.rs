//! `gomera.v1.PubSub`, each call handed to the file that serves it.

use std::sync::Arc;

use gomera_proto::served::pub_sub_server::PubSub;
use gomera_proto::{raw, v1};
use tonic::{Request, Response, Status, Streaming};

use super::unary::UnaryPublishers;
use super::{Door, listen, publish, session};

/// The service of one door.
#[derive(Debug)]
pub struct PubSubService {
    door: Arc<Door>,
    unary: UnaryPublishers,
}

impl PubSubService {
    pub fn new(door: Arc<Door>) -> Self {
        Self { unary: UnaryPublishers::new(door.clone()), door }
    }

    fn open(&self) -> Result<(), Status> {
        if self.door.is_closing() {
            return Err(Status::unavailable(
                "this connection point is shutting down: connect to another one, or later",
            ));
        }
        if self.door.is_leaving() {
            return Err(Status::unavailable("this connection point is to leave the cluster: connect to another one"));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl PubSub for PubSubService {
    async fn publish(&self, request: Request<raw::PublishRequest>) -> Result<Response<v1::PublishReply>, Status> {
        self.open()?;
        self.unary.publish(request.into_inner()).await.map(|()| Response::new(v1::PublishReply {}))
    }

    type PublishStreamStream = publish::PublishReplies;

    async fn publish_stream(
        &self,
        request: Request<Streaming<raw::PublishFrame>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        self.open()?;
        Ok(Response::new(publish::serve(&self.door, request.into_inner())))
    }

    type SessionStream = session::SessionReplies;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.open()?;
        Ok(Response::new(session::serve(&self.door, request.into_inner())))
    }

    type ListenStream = listen::Notifications;

    async fn listen(&self, request: Request<v1::ListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        self.open()?;
        listen::serve(&self.door, request.into_inner()).await.map(Response::new)
    }
}
