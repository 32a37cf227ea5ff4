//! A publisher over plain gRPC that follows the schedule: it numbers its publications, keeps what is not acknowledged, sends that again
//! when its stream broke or moved, and follows `MoveTo`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use gomera_proto::raw::{PublishFrame, PublishItem};
use gomera_proto::v1::publish_stream_reply::Reply;
use gomera_proto::v1::{OpenPublisher, PublishStreamReply};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::plain::{self, Elsewhere};
use super::shared::Shared;
use crate::driver::pace::Schedule;

/// Most publications a frame.
const FRAME_ITEMS: u64 = 256;
/// Most publications that are kept; then the schedule is late, which counts as latency.
const WINDOW: usize = 65_536;
/// A publisher that missed its being woken looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

struct Publisher {
    shared: Arc<Shared>,
    ordinal: u64,
    elsewhere: Elsewhere,
    random: SmallRng,
    sent: u64,
    unacknowledged: VecDeque<(u64, Bytes)>,
    acknowledged: u64,
}

struct Stream {
    frames: mpsc::Sender<PublishFrame>,
    replies: Streaming<PublishStreamReply>,
}

/// Opens it at the first of `doors`.
pub(super) async fn open(
    shared: Arc<Shared>,
    ordinal: u64,
    doors: Vec<String>,
    schedule: Arc<Schedule>,
) -> Result<JoinHandle<Result<()>>> {
    let mut publisher = Publisher {
        elsewhere: Elsewhere::new(ordinal),
        random: SmallRng::seed_from_u64(ordinal),
        sent: 0,
        unacknowledged: VecDeque::new(),
        acknowledged: 0,
        shared,
        ordinal,
    };
    let stream = publisher.open(doors.first().context("no connection point")?).await?;
    Ok(tokio::spawn(publisher.run(stream, schedule)))
}

impl Publisher {
    async fn open(&mut self, door: &str) -> Result<Stream> {
        self.elsewhere.tries(door);
        let mut client = plain::connect(door, self.shared.load.keep_alive).await?;
        let (frames, stream) = mpsc::channel(16);
        let open = OpenPublisher { publisher: format!("load-{}", self.ordinal), instance: 0x10ad_0001 + self.ordinal };
        frames.send(PublishFrame { open: Some(open), ..PublishFrame::default() }).await?;
        let accepted = async {
            let mut replies = client.publish_stream(ReceiverStream::new(stream)).await?.into_inner();
            let first = replies.message().await?;
            anyhow::Ok((replies, first))
        };
        let (replies, first) = tokio::time::timeout(plain::ACCEPTS_WITHIN, accepted).await??;
        match first.and_then(|reply| reply.reply) {
            Some(Reply::Opened(opened)) => self.acknowledge(opened.acknowledged),
            other => bail!("expected `opened`, got {other:?}"),
        }
        let again: Vec<_> = self.unacknowledged.iter().cloned().collect();
        for items in again.chunks(usize::try_from(FRAME_ITEMS)?) {
            let items = items.iter().map(|(sequence, publication)| PublishItem {
                sequence: *sequence,
                publication: publication.clone(),
                resent: true,
            });
            frames.send(self.frame(items.collect())).await?;
        }
        Ok(Stream { frames, replies })
    }

    fn frame(&self, items: Vec<PublishItem>) -> PublishFrame {
        PublishFrame { open: None, items, acknowledged_through: self.acknowledged }
    }

    async fn run(mut self, mut stream: Stream, schedule: Arc<Schedule>) -> Result<()> {
        let (begun_ns, interval_ns) = (self.shared.now_ns(), self.shared.interval_ns());
        loop {
            let is_publishing = self.shared.is_publishing();
            if !is_publishing && self.unacknowledged.is_empty() {
                return Ok(());
            }
            let due = ((self.shared.now_ns() - begun_ns) / interval_ns).saturating_sub(self.sent).min(FRAME_ITEMS);
            if is_publishing
                && due > 0
                && self.unacknowledged.len() < WINDOW
                && let Ok(permit) = stream.frames.try_reserve()
            {
                let mut items = Vec::new();
                for _ in 0..due {
                    self.sent += 1;
                    let scheduled_ns = begun_ns + interval_ns * self.sent;
                    let content = self.shared.publication(self.ordinal, self.sent, scheduled_ns, &mut self.random);
                    self.unacknowledged.push_back((self.sent, content.clone()));
                    items.push(PublishItem { sequence: self.sent, publication: content, resent: false });
                }
                permit.send(self.frame(items));
                if due == FRAME_ITEMS {
                    continue;
                }
            }
            let reply = tokio::select! {
                reply = stream.replies.message() => reply,
                () = schedule.wait_until(begun_ns + interval_ns * (self.sent + 1)) => continue,
                () = tokio::time::sleep(LOOK_AGAIN) => continue,
            };
            if let Some(other) = self.heard(reply).await? {
                stream = other;
            }
        }
    }

    /// Takes in an answer; another stream if this one is over.
    async fn heard(&mut self, reply: Result<Option<PublishStreamReply>, Status>) -> Result<Option<Stream>> {
        let why = match reply.map(|reply| reply.and_then(|reply| reply.reply)) {
            Ok(Some(Reply::Acknowledged(acknowledged))) => {
                self.acknowledge(acknowledged.through);
                return Ok(None);
            }
            Ok(Some(Reply::Refused(refused))) => {
                bail!("publication {} was refused: {}", refused.sequence, refused.message)
            }
            Ok(Some(Reply::MoveTo(to))) => {
                let door = to.endpoints.get(usize::try_from(self.ordinal)? % to.endpoints.len().max(1));
                let door = door.context("`move_to` names nobody")?.clone();
                return match self.open(&door).await {
                    Ok(other) => Ok(Some(other)),
                    Err(error) => {
                        self.shared.say(&format!("publisher {} cannot move: {error:#}", self.ordinal));
                        Ok(None)
                    }
                };
            }
            Ok(Some(Reply::Goodbye(goodbye))) => {
                self.shared.say(&format!("goodbye: {}", goodbye.reason));
                return Ok(None);
            }
            Ok(Some(Reply::Opened(_))) => bail!("`opened` came twice"),
            Ok(None) => "the stream was closed".to_owned(),
            Err(status) => status.message().to_owned(),
        };
        self.shared.disconnected(&format!("publisher {} (plain): {why}", self.ordinal));
        loop {
            let door = self.elsewhere.next(&self.shared);
            match self.open(&door).await {
                Ok(stream) => return Ok(Some(stream)),
                // Who waits for the end of the run gives up.
                Err(_) => tokio::time::sleep(plain::RETRY).await,
            }
        }
    }

    fn acknowledge(&mut self, through: u64) {
        self.acknowledged = through.max(self.acknowledged);
        while self.unacknowledged.pop_front_if(|(sequence, _)| *sequence <= through).is_some() {}
        self.shared.settled(self.ordinal, self.acknowledged);
    }
}
