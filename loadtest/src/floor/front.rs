//! The front of the floor: client streams in and out, and the exchange between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gomera_proto::raw::pub_sub_server::PubSub;
use gomera_proto::raw::{Notification, NotificationFrame, PublishFrame, PublishRequest, SessionReply, session_reply};
use gomera_proto::v1::session_request::Body;
use gomera_proto::v1::{
    ListenRequest, OperationApplied, PublishAcknowledged, PublishReply, PublishStreamReply, PublisherOpened,
    SessionAttached, SessionRequest, publish_stream_reply,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Packets;
use crate::workload::{Content, Mark};

/// Frames queued for one client; back-pressure beyond it.
const QUEUE: usize = 64;

type Sessions = Arc<Mutex<BTreeMap<u64, mpsc::Sender<Result<SessionReply, Status>>>>>;
type Publishers = Arc<Mutex<BTreeMap<u64, mpsc::Sender<Result<PublishStreamReply, Status>>>>>;

/// Serves clients.
pub struct Front {
    exchange: Exchange,
    ring: Option<mpsc::Sender<Bytes>>,
}

/// Turns publications into notifications.
#[derive(Clone)]
struct Exchange {
    content: Content,
    sessions: Sessions,
    publishers: Publishers,
}

impl Front {
    /// A front. With a ring, also where packets for it come out, and where those that come back go in.
    pub fn new(content: Content, with_ring: bool) -> (Self, Option<(Packets, mpsc::Sender<Bytes>)>) {
        let exchange = Exchange { content, sessions: Arc::default(), publishers: Arc::default() };
        if !with_ring {
            return (Self { exchange, ring: None }, None);
        }
        let (ring, packets) = super::async_channel();
        let (returned, mut returning) = mpsc::channel::<Bytes>(QUEUE);
        let returning_exchange = exchange.clone();
        tokio::spawn(async move {
            while let Some(batch) = returning.recv().await {
                if let Ok(frame) = PublishFrame::decode(batch) {
                    returning_exchange.pass(frame).await;
                }
            }
        });
        (Self { exchange, ring: Some(ring) }, Some((packets, returned)))
    }
}

impl Exchange {
    /// Notifies the connections of each publication, then acknowledges the frame. The publishing connection stands in the
    /// marks.
    async fn pass(&self, frame: PublishFrame) {
        let mut by_connection = BTreeMap::<u64, Vec<Notification>>::new();
        let mut through = BTreeMap::<u64, u64>::new();
        for item in frame.items {
            let Some(mark) = Mark::find(&item.publication) else { continue };
            let publisher = mark.number >> 40;
            through.insert(publisher, item.sequence);
            for copy in 0..self.content.matches {
                let connection = (mark.cell + copy * self.content.cells()) % self.content.connections;
                let notifications = by_connection.entry(connection).or_default();
                // A second filter of the same connection counts in the notification that is there.
                if let Some(same) = notifications.last_mut().filter(|last| last.number == mark.number) {
                    same.satisfied += 1;
                    same.handles.push(1);
                    continue;
                }
                notifications.push(Notification {
                    lane: 1,
                    number: mark.number,
                    handles: vec![1],
                    satisfied: 1,
                    publication: item.publication.clone(),
                    publisher: format!("load-{publisher}"),
                    instance: 0x10ad_0000 + publisher,
                    sequence: item.sequence,
                    ..Notification::default()
                });
            }
        }
        for (connection, notifications) in by_connection {
            let session = lock(&self.sessions).get(&connection).cloned();
            if let Some(session) = session {
                let body = session_reply::Body::Notifications(NotificationFrame { notifications });
                // A client that has gone needs nothing more.
                drop(session.send(Ok(SessionReply { request: 0, body: Some(body) })).await);
            }
        }
        for (publisher, through) in through {
            let replies = lock(&self.publishers).get(&publisher).cloned();
            if let Some(replies) = replies {
                let reply = publish_stream_reply::Reply::Acknowledged(PublishAcknowledged { through });
                drop(replies.send(Ok(PublishStreamReply { reply: Some(reply) })).await);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number in a name such as `load-7`.
fn connection_of(name: &str) -> Result<u64, Status> {
    name.rsplit('-')
        .next()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Status::invalid_argument(format!("{name:?} does not end in a connection's number")))
}

#[tonic::async_trait]
impl PubSub for Front {
    type PublishStreamStream = ReceiverStream<Result<PublishStreamReply, Status>>;
    type SessionStream = ReceiverStream<Result<SessionReply, Status>>;
    type ListenStream = ReceiverStream<Result<Notification, Status>>;

    async fn publish(&self, _: Request<PublishRequest>) -> Result<Response<PublishReply>, Status> {
        Err(Status::unimplemented("the floor serves streams alone"))
    }

    async fn listen(&self, _: Request<ListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        Err(Status::unimplemented("the floor serves streams alone"))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishFrame>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let mut frames = request.into_inner();
        let (replies, stream) = mpsc::channel(QUEUE);
        let (exchange, ring) = (self.exchange.clone(), self.ring.clone());
        tokio::spawn(async move {
            while let Ok(Some(frame)) = frames.message().await {
                if let Some(open) = &frame.open {
                    let Ok(publisher) = connection_of(&open.publisher) else { return };
                    lock(&exchange.publishers).insert(publisher, replies.clone());
                    let opened = publish_stream_reply::Reply::Opened(PublisherOpened::default());
                    drop(replies.send(Ok(PublishStreamReply { reply: Some(opened) })).await);
                }
                match &ring {
                    None => exchange.pass(frame).await,
                    Some(ring) => drop(ring.send(frame.encode_to_vec().into()).await),
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut requests = request.into_inner();
        let (replies, stream) = mpsc::channel(QUEUE);
        let sessions = Arc::clone(&self.exchange.sessions);
        tokio::spawn(async move {
            while let Ok(Some(SessionRequest { request, body })) = requests.message().await {
                let body = match body {
                    Some(Body::Attach(attach)) => {
                        let Ok(connection) = connection_of(&attach.session) else { return };
                        lock(&sessions).insert(connection, replies.clone());
                        session_reply::Body::Attached(SessionAttached::default())
                    }
                    Some(Body::Subscribe(_)) => session_reply::Body::Applied(OperationApplied::default()),
                    // Acknowledgements are read and that is all.
                    _ => continue,
                };
                drop(replies.send(Ok(SessionReply { request, body: Some(body) })).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
