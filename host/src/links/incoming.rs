//! The receiving end of links.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Layout;
use gomera_cluster::message::Frame;
use gomera_proto::link::v1::link_server::{Link, LinkServer as LinkService};
use gomera_proto::link::v1::{CarryReply, CarryRequest, Hello, Packet, Welcome, carry_reply, carry_request};
use gomera_proto::link::{Decoder, Ends, VERSIONS};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::{Identity, Links};
use crate::listening::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, HTTP2_PREFACE_BYTES, Incoming, Patience, Purpose, STREAM_WINDOW_BYTES,
};
use crate::mailbox;
use crate::runtime::{Fabric, Input};

/// Received bytes are acknowledged at once when they come to this, …
const ACKNOWLEDGE_BYTES: usize = 128 << 10;

/// … else after so long. It delays no frame, only the moment at which the sender forgets it.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(20);

/// A peer that connects has to say who it is within this.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// One connection for each node of the cluster, and some that are about to be replaced.
const PATIENCE: Patience =
    Patience { connections_max: 4096, greeting_bytes: HTTP2_PREFACE_BYTES, greeting_within: HELLO_WITHIN };

/// Largest packet: a frame may hold a window of publications, and those have limits of their own at the edge.
const PACKET_BYTES_MAX: usize = 1 << 30;

/// Serves the links of a node.
#[derive(Debug)]
pub struct LinkServer {
    address: SocketAddr,
    receiving: Receiving,
    task: JoinHandle<()>,
}

impl LinkServer {
    /// Begins to serve.
    pub fn open(listener: TcpListener, links: Links, fabric: Fabric) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let receiving = Receiving { links, fabric, peers: Arc::default() };
        let service = LinkService::new(receiving.clone()).max_decoding_message_size(PACKET_BYTES_MAX);
        let serving = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .add_service(service)
            .serve_with_incoming(Incoming::new(listener, Purpose::LINKS, PATIENCE));
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the door for links ended");
            }
        });
        Ok(Self { address, receiving, task })
    }

    /// Where peers reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets peers that the layout before named and this one does not: they are never heard again.
    pub fn follow(&self, before: Option<&Layout>, layout: &Layout) {
        let Some(before) = before else { return };
        let mut peers = self.receiving.peers.lock().expect("nothing that holds this lock panics");
        peers.retain(|peer, _| layout.members.contains_key(peer) || !before.members.contains_key(peer));
    }

    /// Ends all receiving.
    pub fn close(&self) {
        self.task.abort();
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Debug)]
struct Receiving {
    links: Links,
    fabric: Fabric,
    peers: Arc<Mutex<BTreeMap<Incarnation, Arc<Peer>>>>,
}

/// What is known of one sender, across connections.
#[derive(Debug)]
struct Peer {
    received: tokio::sync::Mutex<Received>,
}

#[derive(Debug)]
struct Received {
    /// Counts connections; only the latest is heard.
    attempt: u64,
    /// Every packet up to here was handed over.
    number: u64,
    decoder: Decoder,
}

impl Receiving {
    fn identity(&self) -> &Identity {
        self.links.identity()
    }

    fn judge(&self, hello: &Hello) -> Result<u32, Status> {
        let identity = self.identity();
        if hello.cluster != *identity.cluster {
            return Err(Status::failed_precondition(format!(
                "this node is of cluster `{}`, you are of `{}`",
                identity.cluster, hello.cluster
            )));
        }
        if hello.to != identity.incarnation.0 {
            return Err(Status::failed_precondition(format!(
                "you look for incarnation {}, but {} is at {}: the other one has ended",
                Incarnation(hello.to),
                identity.incarnation,
                identity.address
            )));
        }
        let version = hello.version_max.min(*VERSIONS.end());
        if version < hello.version_min.max(*VERSIONS.start()) {
            return Err(Status::failed_precondition(format!(
                "you speak link versions {} to {}, this node {} to {}: upgrade one of them",
                hello.version_min,
                hello.version_max,
                VERSIONS.start(),
                VERSIONS.end()
            )));
        }
        Ok(version)
    }

    fn peer(&self, node: Incarnation) -> Arc<Peer> {
        let mut peers = self.peers.lock().expect("nothing that holds this lock panics");
        let layer = self.identity().layer;
        peers
            .entry(node)
            .or_insert_with(|| {
                let received = Received { attempt: 0, number: 0, decoder: Decoder::new(layer) };
                Arc::new(Peer { received: tokio::sync::Mutex::new(received) })
            })
            .clone()
    }

    /// Hands a packet over, if it is the next one; says up to where packets are here.
    async fn take(&self, peer: &Peer, attempt: u64, ends: Ends, packet: Packet) -> Result<u64, Status> {
        // Held until the frames are in their inboxes: no later packet may come before them, on whatever connection.
        let mut received = peer.received.lock().await;
        if received.attempt != attempt {
            return Err(Status::aborted("a newer connection of this node took over"));
        }
        if packet.number <= received.number {
            return Ok(received.number);
        }
        if packet.number != received.number + 1 {
            return Err(Status::data_loss(format!("packet {} came after packet {}", packet.number, received.number)));
        }
        let frames =
            received.decoder.decode(packet.batch, ends).map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.deliver(frames).await;
        received.number = packet.number;
        Ok(received.number)
    }

    async fn deliver(&self, frames: Vec<Frame>) {
        let mut frames = frames.into_iter().peekable();
        while let Some(frame) = frames.next() {
            let to = frame.to;
            let Some(inbox) = self.fabric.inbox(to) else {
                tracing::debug!(%to, "a frame for a machine that is not here: dropped");
                continue;
            };
            // Frames for one machine go together.
            let mut inputs = vec![Input::Frame(frame)];
            while let Some(frame) = frames.next_if(|frame| frame.to == to) {
                inputs.push(Input::Frame(frame));
            }
            match inbox.room().await {
                // Should the machine be gone, its frames go nowhere.
                Ok(()) | Err(mailbox::Closed) => {}
            }
            let weight = inputs.len() * FRAME_WEIGHT;
            inbox.append(&mut inputs, weight);
        }
    }
}

/// What a frame weighs in an inbox: its contents are bounded by credit already.
const FRAME_WEIGHT: usize = 1024;

type Replies = Pin<Box<dyn Stream<Item = Result<CarryReply, Status>> + Send>>;

#[tonic::async_trait]
impl Link for Receiving {
    type CarryStream = Replies;

    async fn carry(&self, request: Request<Streaming<CarryRequest>>) -> Result<Response<Replies>, Status> {
        let mut requests = request.into_inner();
        let first = tokio::time::timeout(HELLO_WITHIN, requests.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(CarryRequest { request: Some(carry_request::Request::Hello(hello)) }) = first else {
            return Err(Status::failed_precondition("the first message of a link must be a hello"));
        };
        let version = self.judge(&hello).inspect_err(|status| {
            tracing::warn!(
                peer = %Incarnation(hello.from), address = %hello.address, reason = status.message(),
                "refused a link"
            );
        })?;
        let from = Incarnation(hello.from);
        self.links.introduce(from, &hello.address);
        let peer = self.peer(from);
        let (attempt, number) = {
            let mut received = peer.received.lock().await;
            if hello.packet_first > received.number + 1 {
                return Err(Status::failed_precondition(format!(
                    "packets after {} are gone before they were received: this link cannot go on",
                    received.number
                )));
            }
            received.attempt += 1;
            (received.attempt, received.number)
        };
        let welcome = Welcome { version, incarnation: self.identity().incarnation.0, received: number };
        let (acknowledge, acknowledged) = watch::channel(number);
        let reading = Reading {
            receiving: self.clone(),
            peer,
            attempt,
            ends: Ends { from, to: self.identity().incarnation },
            acknowledge,
        };
        let (end, ended) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            // The replies may be gone already.
            drop(end.send(reading.run(requests).await));
        });
        Ok(Response::new(Box::pin(replies(welcome, acknowledged, ended))))
    }
}

/// Reads packets of one connection.
struct Reading {
    receiving: Receiving,
    peer: Arc<Peer>,
    attempt: u64,
    ends: Ends,
    acknowledge: watch::Sender<u64>,
}

impl Reading {
    async fn run(self, mut requests: Streaming<CarryRequest>) -> Status {
        let mut number = 0;
        let mut bytes = 0;
        let mut due: Option<tokio::time::Instant> = None;
        loop {
            let message = tokio::select! {
                biased;
                message = requests.message() => message,
                () = sleep_until(due) => {
                    self.acknowledge.send_replace(number);
                    (bytes, due) = (0, None);
                    continue;
                }
            };
            let packet = match message {
                Ok(Some(CarryRequest { request: Some(carry_request::Request::Packet(packet)) })) => packet,
                Ok(Some(_)) => return Status::invalid_argument("a message of a link that is not a packet"),
                Ok(None) => return Status::cancelled("the sender ended the stream"),
                Err(status) => return status,
            };
            bytes += packet.batch.len();
            match self.receiving.take(&self.peer, self.attempt, self.ends, packet).await {
                Ok(received) => number = received,
                Err(status) => {
                    tracing::warn!(peer = %self.ends.from, reason = status.message(), "a link was broken off");
                    return status;
                }
            }
            if bytes >= ACKNOWLEDGE_BYTES {
                self.acknowledge.send_replace(number);
                (bytes, due) = (0, None);
            } else if due.is_none() {
                due = Some(tokio::time::Instant::now() + ACKNOWLEDGE_WITHIN);
            }
        }
    }
}

async fn sleep_until(instant: Option<tokio::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The welcome, then the latest acknowledgement whenever there is one, then why it ended.
fn replies(
    welcome: Welcome,
    acknowledged: watch::Receiver<u64>,
    ended: tokio::sync::oneshot::Receiver<Status>,
) -> impl Stream<Item = Result<CarryReply, Status>> {
    let said = |reply| Ok(CarryReply { reply: Some(reply) });
    let welcome = tokio_stream::once(said(carry_reply::Reply::Welcome(welcome)));
    let acknowledgements =
        WatchStream::from_changes(acknowledged).map(move |number| said(carry_reply::Reply::Received(number)));
    welcome.chain(acknowledgements).chain(End { ended: Some(ended) })
}

/// One item: the status with which reading ended.
struct End {
    ended: Option<tokio::sync::oneshot::Receiver<Status>>,
}

impl Stream for End {
    type Item = Result<CarryReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(ended) = &mut self.ended else { return Poll::Ready(None) };
        let status = std::task::ready!(Pin::new(ended).poll(context));
        self.ended = None;
        Poll::Ready(status.ok().map(Err))
    }
}
