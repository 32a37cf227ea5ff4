//! The sending end of a link.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gomera_cluster::message::{Frame, Message, ToAccessPoint, ToConnectionPoint, ToExitPoint, ToMatcher};
use gomera_proto::link::v1::link_client::LinkClient;
use gomera_proto::link::v1::{CarryReply, CarryRequest, Hello, Packet, carry_reply, carry_request};
use gomera_proto::link::{Encoder, VERSIONS};
use tokio_stream::Stream;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use super::{Identity, Reached};
use crate::listening::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use crate::mailbox;

/// A packet is closed when its frames come to this: large batches share the cost of a packet, and an acknowledgement frees
/// memory soon.
const PACKET_BYTES: usize = 512 << 10;

/// What is kept until the receiver has it. Full: frames wait in the mailbox, which credit bounds.
const RETAINED_BYTES_MAX: usize = 64 << 20;

/// Between two attempts to connect: the first, and the longest.
const RETRY: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(2);

/// For a TCP connection and a welcome.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How often a silent connection is asked whether it lives, and how long it may take to answer. Who does not is looked for again, and the
/// coordinator told, which asks directly: a mistake costs a new connection.
const KEEPALIVE: Duration = Duration::from_millis(600);

/// Sends frames to one incarnation for as long as the link exists.
pub async fn run(identity: Identity, reached: Reached, address: Arc<str>, line: Arc<Mutex<Line>>) {
    let peer = reached.peer;
    let mut pause = *RETRY.start();
    let mut told = String::new();
    loop {
        let attempt = lock(&line).begin();
        let ended = carry(&identity, &reached, &address, &line, attempt).await;
        reached.tell(false);
        if lock(&line).is_welcome {
            pause = *RETRY.start();
            told.clear();
            tracing::info!(%peer, %address, reason = %ended, "the connection to a node broke; connecting again");
        } else {
            let reason = ended.to_string();
            if reason == told {
                tracing::debug!(%peer, %address, %reason, "still no link to a node");
            } else {
                tracing::warn!(%peer, %address, %reason, "no link to a node; trying again");
                told = reason;
            }
        }
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(*RETRY.end());
    }
}

/// Why an attempt ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Connect(String),
    #[error("it refuses us: {0}")]
    Refused(String),
    #[error("{0}")]
    Broken(String),
}

async fn carry(identity: &Identity, reached: &Reached, address: &str, line: &Arc<Mutex<Line>>, attempt: u64) -> Ended {
    let endpoint = match Endpoint::from_shared(format!("http://{address}")) {
        Ok(endpoint) => endpoint,
        Err(error) => return Ended::Connect(format!("`{address}` is not HOST:PORT: {error}")),
    };
    let endpoint = endpoint
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => return Ended::Connect(source_text(&error)),
    };
    let hello = Hello {
        version_min: *VERSIONS.start(),
        version_max: *VERSIONS.end(),
        cluster: identity.cluster.to_string(),
        from: identity.incarnation.0,
        to: reached.peer.0,
        packet_first: lock(line).first,
        address: identity.address.to_string(),
    };
    let packets = Packets { line: line.clone(), attempt, hello: Some(hello), next: None };
    let mut client = LinkClient::new(channel).max_encoding_message_size(usize::MAX);
    let ended = async {
        let mut replies = client.carry(packets).await?.into_inner();
        listen(line, reached, attempt, &mut replies).await
    };
    let welcomed_in_time = async {
        tokio::time::sleep(CONNECT_WITHIN).await;
        if lock(line).is_welcome {
            std::future::pending::<()>().await;
        }
    };
    let status = tokio::select! {
        ended = ended => ended.err(),
        () = welcomed_in_time => return Ended::Connect(format!("no welcome within {CONNECT_WITHIN:?}")),
    };
    match status {
        Some(status) if status.code() == Code::FailedPrecondition => Ended::Refused(status.message().to_owned()),
        Some(status) => Ended::Broken(source_text(&status)),
        None => Ended::Broken("it ended the stream".to_owned()),
    }
}

/// Learns what the receiver has, until the stream ends.
async fn listen(
    line: &Mutex<Line>,
    reached: &Reached,
    attempt: u64,
    replies: &mut Streaming<CarryReply>,
) -> Result<(), Status> {
    while let Some(CarryReply { reply }) = replies.message().await? {
        match reply {
            Some(carry_reply::Reply::Welcome(welcome)) => {
                reached.tell(true);
                lock(line).welcome(attempt, welcome.received);
            }
            Some(carry_reply::Reply::Received(number)) => lock(line).acknowledge(number),
            None => return Err(Status::internal("a reply of the receiver says nothing")),
        }
    }
    Ok(())
}

/// An error and what caused it, in one line.
fn source_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// What is to be sent and what has been, across connections.
#[derive(Debug)]
pub struct Line {
    frames: mailbox::Receiver<Frame>,
    /// Taken from the mailbox and not in a packet yet.
    taken: VecDeque<Frame>,
    buffer: Vec<Frame>,
    encoder: Encoder,
    /// Packets that the receiver may not have, by number from `first`.
    retained: VecDeque<Bytes>,
    first: u64,
    bytes: usize,
    /// Counts connections; only the latest sends.
    attempt: u64,
    is_welcome: bool,
    sender: Option<Waker>,
}

impl Line {
    pub fn new(frames: mailbox::Receiver<Frame>) -> Self {
        Self {
            frames,
            taken: VecDeque::new(),
            buffer: Vec::new(),
            encoder: Encoder::default(),
            retained: VecDeque::new(),
            first: 1,
            bytes: 0,
            attempt: 0,
            is_welcome: false,
            sender: None,
        }
    }

    /// Frames taken from the mailbox and not in a packet yet.
    pub fn frames(&self) -> usize {
        self.taken.len()
    }

    /// Bytes of packets that the receiver may not have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&mut self) -> u64 {
        self.attempt += 1;
        self.is_welcome = false;
        self.wake();
        self.attempt
    }

    fn welcome(&mut self, attempt: u64, received: u64) {
        if attempt == self.attempt {
            self.acknowledge(received);
            self.is_welcome = true;
            self.wake();
        }
    }

    fn acknowledge(&mut self, number: u64) {
        while self.first <= number
            && let Some(packet) = self.retained.pop_front()
        {
            self.bytes -= packet.len();
            self.first += 1;
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    /// The packet of this number, made of what waits if need be.
    fn poll_packet(&mut self, number: u64, context: &mut Context<'_>) -> Poll<Packet> {
        let index = usize::try_from(number - self.first).expect("as many as are retained");
        if let Some(packet) = self.retained.get(index) {
            return Poll::Ready(Packet { number, batch: packet.clone() });
        }
        if self.bytes >= RETAINED_BYTES_MAX {
            self.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.taken.is_empty() {
            std::task::ready!(self.frames.poll_take(context, &mut self.buffer));
            self.taken.extend(self.buffer.drain(..));
        }
        let mut weight = 0;
        let count = self.taken.iter().take_while(|frame| {
            let has_room = weight < PACKET_BYTES;
            weight += bytes(frame);
            has_room
        });
        let count = count.count();
        let frames: Vec<Frame> = self.taken.drain(..count).collect();
        let packet = self.encoder.encode(&frames);
        self.bytes += packet.len();
        self.retained.push_back(packet.clone());
        Poll::Ready(Packet { number, batch: packet })
    }
}

/// The requests of one connection.
#[derive(Debug)]
struct Packets {
    line: Arc<Mutex<Line>>,
    attempt: u64,
    hello: Option<Hello>,
    next: Option<u64>,
}

impl Stream for Packets {
    type Item = CarryRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CarryRequest>> {
        let this = self.get_mut();
        if let Some(hello) = this.hello.take() {
            return Poll::Ready(Some(CarryRequest { request: Some(carry_request::Request::Hello(hello)) }));
        }
        let mut line = lock(&this.line);
        if line.attempt != this.attempt {
            return Poll::Ready(None);
        }
        if !line.is_welcome {
            line.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        // The receiver may have had more than this connection has sent: then it goes on from there.
        let next = this.next.map_or(line.first, |next| next.max(line.first));
        let packet = std::task::ready!(line.poll_packet(next, context));
        this.next = Some(next + 1);
        Poll::Ready(Some(CarryRequest { request: Some(carry_request::Request::Packet(packet)) }))
    }
}

/// About how much of a packet a frame takes.
fn bytes(frame: &Frame) -> usize {
    /// Addresses, keys and numbers.
    const FIXED_BYTES: u64 = 64;
    let cost = match &frame.message {
        Message::AccessPoint(message) => match message {
            ToAccessPoint::Publish(publish) => publish.cost(),
            ToAccessPoint::Operate(operate) => operate.cost(),
            ToAccessPoint::Progress(progress) => progress.bytes(),
            ToAccessPoint::OpenPublisher(_)
            | ToAccessPoint::EntriesCredit(_)
            | ToAccessPoint::Merged(_)
            | ToAccessPoint::LeaveLane(_)
            | ToAccessPoint::SettleSession(_)
            | ToAccessPoint::Forget(_)
            | ToAccessPoint::Expire(_) => 0,
        },
        Message::Matcher(message) => match message {
            ToMatcher::Entries(entries) => entries.cost(),
            ToMatcher::Replay(replay) => replay.cost(),
            ToMatcher::SnapshotPart(part) => part.cost(),
            ToMatcher::MatchesCredit(_)
            | ToMatcher::LaneDone(_)
            | ToMatcher::LaneSettled(_)
            | ToMatcher::LaneTail(_)
            | ToMatcher::SnapshotWanted(_)
            | ToMatcher::SnapshotCredit(_) => 0,
        },
        Message::ExitPoint(message) => match message {
            ToExitPoint::Matches(matches) => matches.cost(),
            ToExitPoint::CopiesPart(part) => part.cost(),
            ToExitPoint::LaneCut(_)
            | ToExitPoint::LaneBegins(_)
            | ToExitPoint::CopiesWanted(_)
            | ToExitPoint::CopiesCredit(_)
            | ToExitPoint::Changes(_)
            | ToExitPoint::ChangesTaken(_)
            | ToExitPoint::HandoverWanted(_)
            | ToExitPoint::HandedOver(_)
            | ToExitPoint::TermAttached(_)
            | ToExitPoint::Attach(_)
            | ToExitPoint::Detach(_)
            | ToExitPoint::Acknowledge(_)
            | ToExitPoint::SessionCredit(_)
            | ToExitPoint::EndSession(_)
            | ToExitPoint::Forgotten(_) => 0,
        },
        Message::ConnectionPoint(message) => match message {
            ToConnectionPoint::Notifications(notifications) => {
                notifications.publications.iter().map(|envelope| envelope.cost()).sum()
            }
            ToConnectionPoint::Completed(completed) => completed.outcome.bytes(),
            ToConnectionPoint::PublisherOpened(_)
            | ToConnectionPoint::PublisherSuperseded(_)
            | ToConnectionPoint::Acknowledged(_)
            | ToConnectionPoint::Refused(_)
            | ToConnectionPoint::SessionSettled(_)
            | ToConnectionPoint::LaneCredit(_)
            | ToConnectionPoint::Attached(_)
            | ToConnectionPoint::AttachRefused(_)
            | ToConnectionPoint::AttachTerm(_)
            | ToConnectionPoint::Ended(_) => 0,
        },
        Message::Layout(_) | Message::LayoutWanted(_) => 0,
    };
    usize::try_from(FIXED_BYTES.saturating_add(cost)).unwrap_or(usize::MAX)
}

pub fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().expect("nothing that holds this lock panics")
}
