//! A session's stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use gomera_connection_point::client::{ClientReply, ClientRequest, Delivery, Failure, FailureKind, RequestId};
use gomera_proto::door::FrameWriter;
use gomera_proto::served::session_reply::Body;
use gomera_proto::{door, served, v1};
use prost::Message as _;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::connection::Connection;
use super::publish::{Next, next};
use super::{Door, End, Reply};
use crate::telemetry::latency;

/// Notifications go into one frame until they take so much: large enough to share its cost, small enough to keep no client
/// waiting for the end of it.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// Serves one stream.
pub fn serve(door: &Arc<Door>, requests: Streaming<v1::SessionRequest>) -> SessionReplies {
    let connection = door.connect();
    tokio::spawn(read(connection.clone(), requests));
    SessionReplies { frames: Frames::new(connection), room: 256 }
}

async fn read(connection: Arc<Connection>, mut requests: Streaming<v1::SessionRequest>) {
    let limits = connection.door.config.limits();
    let mut is_first = true;
    while connection.readable().await.is_ok() {
        let message = match next(&connection, &mut requests).await {
            Next::Message(message) => message,
            // The client asks nothing more; it is told until it goes.
            Next::Finished => return connection.outbound.closed().await,
            Next::Over => return,
        };
        let (request, bytes) = (RequestId(message.request), message.encoded_len());
        let is_attach = matches!(message.body, Some(v1::session_request::Body::Attach(_)));
        if std::mem::take(&mut is_first) && !is_attach {
            return connection
                .fail(Status::failed_precondition("the first request of a session stream is not `attach`, must be"));
        }
        match door::session_request(message, &limits) {
            Ok(request) => connection.ask(request, bytes),
            Err(error) if is_attach => return connection.fail(Status::invalid_argument(error.to_string())),
            Err(error) => {
                let failure = Failure { kind: FailureKind::Invalid, message: error.to_string() };
                connection.outbound.say(Reply::Failed { request, failure, offset: error.offset() });
            }
        }
    }
}

/// What comes out of [`Frames`].
#[derive(Debug)]
pub enum Out {
    /// An answer.
    Reply(Box<served::SessionReply>),
    /// There are deliveries: take them with [`Frames::deliver`].
    Deliveries,
    /// The end.
    End(End),
}

/// Makes frames of what is told to a session's client.
#[derive(Debug)]
pub struct Frames {
    connection: Arc<Connection>,
    replies: std::iter::Peekable<IntoIter<Reply>>,
    deliveries: IntoIter<Delivery>,
    taken: Vec<Reply>,
}

impl Frames {
    pub fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            replies: Vec::new().into_iter().peekable(),
            deliveries: Vec::new().into_iter(),
            taken: Vec::new(),
        }
    }

    /// Asks the machine something on behalf of the client.
    pub fn ask(&self, request: ClientRequest) {
        self.connection.ask(request, 0);
    }

    pub fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<Out> {
        loop {
            if self.deliveries.len() > 0 {
                return Poll::Ready(Out::Deliveries);
            }
            match self.replies.next() {
                Some(Reply::Said(ClientReply::Notifications(deliveries))) => {
                    self.deliveries = deliveries.into_iter();
                }
                Some(reply) => {
                    if let Some(reply) = answer(reply) {
                        return Poll::Ready(Out::Reply(Box::new(reply)));
                    }
                }
                None => match self.connection.outbound.poll_take(context, &mut self.taken) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => {
                        self.replies = std::mem::take(&mut self.taken).into_iter().peekable();
                    }
                    Poll::Ready(Some(end)) => {
                        self.connection.disconnect();
                        return Poll::Ready(Out::End(end));
                    }
                },
            }
        }
    }

    /// Ready when this request has been applied, or with why it will not be. What is delivered before stays for
    /// [`Frames::poll_out`], not taken, so that credit bounds it.
    pub fn poll_applied(&mut self, context: &mut Context<'_>, request: RequestId) -> Poll<Result<(), Status>> {
        let mut is_applied = false;
        while !is_applied {
            match std::task::ready!(self.connection.outbound.poll_take(context, &mut self.taken)) {
                Some(End::Failed(status)) => return Poll::Ready(Err(status)),
                Some(End::Done) => {
                    return Poll::Ready(Err(Status::unavailable("the connection point closed the call")));
                }
                None => {}
            }
            let mut held: Vec<_> = std::mem::replace(&mut self.replies, Vec::new().into_iter().peekable()).collect();
            for reply in self.taken.drain(..) {
                match reply {
                    Reply::Said(ClientReply::Applied { request: applied, .. }) if applied == request => {
                        is_applied = true;
                    }
                    reply @ Reply::Said(ClientReply::Notifications(_)) => held.push(reply),
                    // Everything after it waits for its turn.
                    reply if is_applied => held.push(reply),
                    reply => {
                        if let Some(Err(status)) = answer(reply).and_then(|reply| reply.body).map(ordinary) {
                            return Poll::Ready(Err(status));
                        }
                    }
                }
            }
            self.replies = held.into_iter().peekable();
        }
        Poll::Ready(Ok(()))
    }

    /// Gives away as many deliveries as go into one frame, at least one. The transport asked for them: they count as taken.
    pub fn deliver(&mut self, mut give: impl FnMut(Delivery)) {
        let (mut bytes, mut cost_taken) = (0, 0);
        let now = crate::clock::wall();
        while bytes < FRAME_BYTES_MAX {
            let Some(delivery) = self.deliveries.next() else {
                match self.replies.next_if(|reply| matches!(reply, Reply::Said(ClientReply::Notifications(_)))) {
                    Some(Reply::Said(ClientReply::Notifications(deliveries))) => {
                        self.deliveries = deliveries.into_iter();
                        continue;
                    }
                    Some(_) | None => break,
                }
            };
            if let Delivery::Notification { envelope, cost, .. } = &delivery {
                cost_taken += cost;
                latency::delivered().record(now.0 - envelope.accepted_at.0);
            }
            bytes += door::delivery_bytes(&delivery);
            give(delivery);
        }
        self.connection.taken(cost_taken);
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.connection.leave();
    }
}

/// Whether a session whose client asks nothing more goes on after this: not when a request failed, nor when it is to go.
pub fn ordinary(body: Body) -> Result<(), Status> {
    match body {
        Body::Failed(failed) => Err(Status::new(Code::from(failed.code), failed.message)),
        Body::Goodbye(goodbye) => Err(Status::unavailable(goodbye.reason)),
        Body::SubscriptionsLost(_) => {
            Err(Status::unavailable("the subscription may be lost, as all matchers that had it died: call again"))
        }
        // Served here for as long as this connection point is there.
        Body::MoveTo(_) | Body::Attached(_) | Body::Applied(_) | Body::Subscriptions(_) | Body::Notifications(_) => {
            Ok(())
        }
    }
}

fn answer(reply: Reply) -> Option<served::SessionReply> {
    match reply {
        Reply::Said(reply) => door::session_reply(reply),
        Reply::Failed { request, failure, offset } => Some(door::failed(request, failure, offset)),
        Reply::Goodbye(reason) => {
            Some(served::SessionReply { request: 0, body: Some(Body::Goodbye(door::goodbye(reason))) })
        }
    }
}

/// The replies of one stream.
#[derive(Debug)]
pub struct SessionReplies {
    frames: Frames,
    room: usize,
}

impl Stream for SessionReplies {
    type Item = Result<served::SessionReply, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let out = std::task::ready!(self.frames.poll_out(context));
        Poll::Ready(match out {
            Out::Reply(reply) => Some(Ok(*reply)),
            Out::Deliveries => {
                let mut frame = FrameWriter::with_room(self.room);
                self.frames.deliver(|delivery| frame.push(delivery));
                // The next one is likely to be about as long.
                self.room = frame.len().next_power_of_two();
                Some(Ok(served::SessionReply { request: 0, body: Some(Body::Notifications(frame.finish())) }))
            }
            Out::End(End::Failed(status)) => Some(Err(status)),
            Out::End(End::Done) => None,
        })
    }
}
