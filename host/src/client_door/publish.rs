//! A stream of publications.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use gomera_cluster::identity::Sequence;
use gomera_connection_point::client::{ClientReply, ClientRequest, Failure, FailureKind};
use gomera_proto::publication::PublicationReader;
use gomera_proto::{door, raw, v1};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::connection::Connection;
use super::sent::Sent;
use super::{Door, End, Reply};

/// So many of a frame are handed to the machine before it is looked at again whether it takes more: other clients wait for less
/// than a millisecond.
const PUBLICATIONS_AT_ONCE: usize = 1024;

/// What the reader and the stream of replies both have to know.
#[derive(Debug, Default)]
struct Progress {
    sent: Sent,
    /// The client has finished: end when everything is settled.
    is_finished: bool,
}

/// Serves one stream.
pub fn serve(door: &Arc<Door>, requests: Streaming<raw::PublishFrame>) -> PublishReplies {
    let connection = door.connect();
    let progress = Arc::new(Mutex::new(Progress::default()));
    tokio::spawn(read(connection.clone(), progress.clone(), requests));
    PublishReplies { connection, progress, replies: Vec::new().into_iter(), taken: Vec::new(), is_ended: false }
}

async fn read(connection: Arc<Connection>, progress: Arc<Mutex<Progress>>, mut requests: Streaming<raw::PublishFrame>) {
    let mut reader = PublicationReader::new(connection.door.config.limits().publication);
    // Without an instance, we number: from 1, what is refused here counted too.
    let mut own_sequence = None;
    let mut is_first = true;
    while connection.readable().await.is_ok() {
        let frame = match next(&connection, &mut requests).await {
            Next::Message(frame) => frame,
            Next::Finished => return finish(&connection, &progress),
            Next::Over => return,
        };
        if std::mem::take(&mut is_first) {
            let Some(open) = &frame.open else {
                return connection.fail(Status::failed_precondition(
                    "the first frame of a publish stream has no `open`, must have it",
                ));
            };
            if open.instance == 0 {
                own_sequence = Some(Sequence(0));
            }
        }
        if let Some(open) = frame.open {
            let bytes = open.publisher.len();
            connection.ask(door::open_publisher(open, Door::draw_instance()), bytes);
        }
        let (count, limit) = (frame.items.len(), connection.door.config.frame_publications_max);
        if count > limit {
            return connection
                .fail(Status::out_of_range(format!("a frame has {count} publications, must have at most {limit}")));
        }
        let acknowledged_through = Sequence(frame.acknowledged_through);
        let mut left = frame.items.into_iter();
        loop {
            let mut items = Vec::with_capacity(left.len().min(PUBLICATIONS_AT_ONCE));
            let mut bytes = 0;
            for item in left.by_ref().take(PUBLICATIONS_AT_ONCE) {
                if let Some(sequence) = &mut own_sequence {
                    sequence.0 += 1;
                }
                match door::publish_item(item, own_sequence, &mut reader) {
                    Ok(item) => {
                        bytes += item.content.len();
                        items.push(item);
                    }
                    Err((sequence, error)) => {
                        let failure = Failure { kind: FailureKind::Invalid, message: error.to_string() };
                        connection.outbound.say(Reply::Said(ClientReply::PublicationRefused { sequence, failure }));
                    }
                }
            }
            if !items.is_empty() {
                let mut progress = progress.lock().expect("nothing that holds this lock panics");
                items.iter().for_each(|item| progress.sent.push(item.sequence));
            }
            if !items.is_empty() || acknowledged_through.0 > 0 {
                connection.ask(ClientRequest::Publish { items, acknowledged_through }, bytes);
            }
            if left.len() == 0 {
                break;
            }
            if connection.readable().await.is_err() {
                return;
            }
        }
    }
}

/// What comes next from a client.
pub enum Next<M> {
    /// A message.
    Message(M),
    /// It has said all it wants to say.
    Finished,
    /// The stream is over, and the machine knows.
    Over,
}

/// Reads the next message, unless the stream ends before it comes.
pub async fn next<M>(connection: &Connection, requests: &mut Streaming<M>) -> Next<M> {
    let message = tokio::select! {
        message = requests.message() => message,
        () = connection.outbound.closed() => return Next::Over,
    };
    match message {
        Ok(Some(message)) => Next::Message(message),
        Ok(None) => Next::Finished,
        Err(status) => {
            connection.transport_failed(status);
            Next::Over
        }
    }
}

fn finish(connection: &Connection, progress: &Mutex<Progress>) {
    let mut progress = progress.lock().expect("nothing that holds this lock panics");
    progress.is_finished = true;
    let is_settled = progress.sent.is_settled();
    drop(progress);
    if is_settled {
        connection.outbound.end(End::Done);
    }
}

/// The replies of one stream.
#[derive(Debug)]
pub struct PublishReplies {
    connection: Arc<Connection>,
    progress: Arc<Mutex<Progress>>,
    replies: std::vec::IntoIter<Reply>,
    taken: Vec<Reply>,
    is_ended: bool,
}

impl PublishReplies {
    fn reply(&self, reply: Reply) -> Option<v1::PublishStreamReply> {
        match reply {
            Reply::Said(reply) => {
                self.settle(&reply);
                door::publish_reply(reply)
            }
            // Only sessions have requests that fail.
            Reply::Failed { .. } => None,
            Reply::Goodbye(reason) => Some(v1::PublishStreamReply {
                reply: Some(v1::publish_stream_reply::Reply::Goodbye(door::goodbye(reason))),
            }),
        }
    }

    fn settle(&self, reply: &ClientReply) {
        let mut progress = self.progress.lock().expect("nothing that holds this lock panics");
        match reply {
            ClientReply::Acknowledged { through } => progress.sent.acknowledge(*through),
            ClientReply::PublicationRefused { sequence, .. } => progress.sent.refuse(*sequence),
            ClientReply::PublisherOpened { .. }
            | ClientReply::Attached { .. }
            | ClientReply::SubscriptionsLost { .. }
            | ClientReply::Applied { .. }
            | ClientReply::Found { .. }
            | ClientReply::Failed { .. }
            | ClientReply::Notifications(_)
            | ClientReply::MoveTo { .. } => {}
        }
        if progress.is_finished && progress.sent.is_settled() {
            self.connection.outbound.end(End::Done);
        }
    }
}

impl Stream for PublishReplies {
    type Item = Result<v1::PublishStreamReply, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.is_ended {
                return Poll::Ready(None);
            }
            if let Some(reply) = this.replies.next() {
                if let Some(reply) = this.reply(reply) {
                    return Poll::Ready(Some(Ok(reply)));
                }
                continue;
            }
            match this.connection.outbound.poll_take(context, &mut this.taken) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => this.replies = std::mem::take(&mut this.taken).into_iter(),
                Poll::Ready(Some(end)) => {
                    this.is_ended = true;
                    this.connection.disconnect();
                    return Poll::Ready(match end {
                        End::Done => None,
                        End::Failed(status) => Some(Err(status)),
                    });
                }
            }
        }
    }
}

impl Drop for PublishReplies {
    fn drop(&mut self) {
        self.connection.leave();
    }
}
