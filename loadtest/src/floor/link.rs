//! One link of the floor: the packets and acknowledgements of `gomera.link.v1`, sent on as they come.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use gomera_proto::link::v1::carry_request::Request as Carried;
use gomera_proto::link::v1::link_client::LinkClient;
use gomera_proto::link::v1::link_server::Link;
use gomera_proto::link::v1::{CarryReply, CarryRequest, Hello, Packet, Welcome, carry_reply};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Packets;

/// Between attempts to reach the next node.
const RETRY: std::time::Duration = std::time::Duration::from_millis(20);

/// Sends packets to the next node, once it answers.
pub async fn send(next: String, packets: Packets) -> Result<()> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{next}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(super::WINDOW_BYTES)
        .initial_connection_window_size(super::WINDOW_BYTES);
    // The ring is closed only when its last process listens.
    let channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    };
    let (requests, stream) = mpsc::channel(super::QUEUE);
    requests.send(CarryRequest { request: Some(Carried::Hello(Hello::default())) }).await?;
    let mut replies = LinkClient::new(channel)
        .carry(ReceiverStream::new(stream))
        .await
        .with_context(|| format!("reach {next}"))?
        .into_inner();
    tokio::spawn(async move { while let Ok(Some(_)) = replies.message().await {} });
    let mut packets = packets.lock().await;
    let mut number = 0;
    while let Some(batch) = packets.recv().await {
        number += 1;
        requests.send(CarryRequest { request: Some(Carried::Packet(Packet { number, batch })) }).await?;
    }
    Ok(())
}

/// Receives packets and hands them on: to the next link of a relay, or to the front at the end of the ring.
pub struct Returning {
    onward: Option<mpsc::Sender<Bytes>>,
}

impl Returning {
    /// Without `onward`, links are refused.
    pub fn new(onward: Option<mpsc::Sender<Bytes>>) -> Self {
        Self { onward }
    }
}

#[tonic::async_trait]
impl Link for Returning {
    type CarryStream = ReceiverStream<Result<CarryReply, Status>>;

    async fn carry(&self, request: Request<Streaming<CarryRequest>>) -> Result<Response<Self::CarryStream>, Status> {
        let onward = self.onward.clone().ok_or_else(|| Status::unimplemented("no ring here"))?;
        let mut requests = request.into_inner();
        let (replies, stream) = mpsc::channel(super::QUEUE);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let reply = match request.request {
                    Some(Carried::Packet(packet)) => {
                        if onward.send(packet.batch).await.is_err() {
                            return;
                        }
                        carry_reply::Reply::Received(packet.number)
                    }
                    Some(Carried::Hello(_)) | None => carry_reply::Reply::Welcome(Welcome::default()),
                };
                if replies.send(Ok(CarryReply { reply: Some(reply) })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
