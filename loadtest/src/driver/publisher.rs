//! One publishing connection: opens its stream, sends frames as window or schedule allow, counts acknowledgements.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gomera_proto::raw::pub_sub_client::PubSubClient;
use gomera_proto::raw::{PublishFrame, PublishItem};
use gomera_proto::v1::publish_stream_reply::Reply;
use gomera_proto::v1::{OpenPublisher, PublishStreamReply};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::pace::Schedule;
use super::{Run, Shared};

/// Most publications a frame; a frame is sent as soon as there is one.
const FRAME_ITEMS: u64 = 256;

/// How long all acknowledgements may take after the last publication.
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) struct Publisher {
    connection: u64,
    shared: Arc<Shared>,
    frames: mpsc::Sender<PublishFrame>,
    replies: Streaming<PublishStreamReply>,
    random: SmallRng,
    /// Nanoseconds between publications in the open loop.
    interval_ns: Option<u64>,
    window: u64,
    sent: u64,
    acknowledged: u64,
}

pub(crate) async fn open(
    mut client: PubSubClient<Channel>,
    connection: u64,
    shared: Arc<Shared>,
    run: &Run,
) -> Result<Publisher> {
    let (frames, stream) = mpsc::channel(16);
    let open = OpenPublisher { publisher: format!("load-{connection}"), instance: 0x10ad_0000 + connection };
    frames.send(PublishFrame { open: Some(open), ..PublishFrame::default() }).await?;
    let mut replies = client.publish_stream(ReceiverStream::new(stream)).await?.into_inner();
    match replies.message().await?.and_then(|reply| reply.reply) {
        Some(Reply::Opened(_)) => {}
        other => bail!("expected `opened`, got {other:?}"),
    }
    let interval_ns = run.rate.map(|rate| 1_000_000_000 * run.content.connections / rate.max(1));
    Ok(Publisher {
        connection,
        shared,
        frames,
        replies,
        random: SmallRng::seed_from_u64(connection),
        interval_ns,
        window: run.window,
        sent: 0,
        acknowledged: 0,
    })
}

impl Publisher {
    pub async fn publish(mut self, schedule: Arc<Schedule>) -> Result<()> {
        let begun_ns = self.shared.now_ns();
        while self.shared.publishing.load(Ordering::Relaxed) {
            let now_ns = self.shared.now_ns();
            let due = match self.interval_ns {
                None => self.window - (self.sent - self.acknowledged).min(self.window),
                Some(interval) => ((now_ns - begun_ns) / interval).saturating_sub(self.sent),
            }
            .min(FRAME_ITEMS);
            if due > 0 {
                let frame = self.frame(due, begun_ns, now_ns);
                // A full queue is back-pressure: acknowledgements are read meanwhile.
                tokio::select! {
                    sent = self.frames.send(frame) => sent.context("the publish stream ended")?,
                }
                self.read_ready()?;
                continue;
            }
            let next_ns = self.interval_ns.map_or(0, |interval| begun_ns + interval * (self.sent + 1));
            tokio::select! {
                reply = self.replies.message() => self.count(reply?)?,
                () = schedule.wait_until(next_ns), if self.interval_ns.is_some() => {}
            }
        }
        let drain = async {
            while self.acknowledged < self.sent {
                let reply = self.replies.message().await?;
                self.count(reply)?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(DRAIN, drain)
            .await
            .context("acknowledgements are missing 20 s after the last publication")?
    }

    fn frame(&mut self, due: u64, begun_ns: u64, now_ns: u64) -> PublishFrame {
        let mut items = Vec::with_capacity(usize::try_from(due).unwrap_or(0));
        let mut expected = 0;
        for _ in 0..due {
            self.sent += 1;
            let scheduled = self.interval_ns.map_or(now_ns, |interval| begun_ns + interval * self.sent);
            let number = self.connection << 40 | self.sent;
            let (publication, cell) = self.shared.content.publication(&mut self.random, scheduled, number);
            expected += self.shared.content.connections_of(cell);
            items.push(PublishItem { sequence: self.sent, publication, resent: false });
        }
        self.shared.published.fetch_add(due, Ordering::Relaxed);
        self.shared.expected.fetch_add(expected, Ordering::Relaxed);
        PublishFrame { open: None, items, acknowledged_through: self.acknowledged }
    }

    /// Takes in the replies that are there already.
    fn read_ready(&mut self) -> Result<()> {
        use futures_util::FutureExt as _;
        while let Some(reply) = self.replies.message().now_or_never() {
            self.count(reply?)?;
        }
        Ok(())
    }

    fn count(&mut self, reply: Option<PublishStreamReply>) -> Result<()> {
        match reply.and_then(|reply| reply.reply) {
            Some(Reply::Acknowledged(acknowledged)) => {
                let new = acknowledged.through.saturating_sub(self.acknowledged);
                self.acknowledged += new;
                if self.shared.measuring.load(Ordering::Relaxed) {
                    self.shared.acknowledged.fetch_add(new, Ordering::Relaxed);
                }
                Ok(())
            }
            Some(Reply::Refused(refused)) => bail!("publication {} was refused: {}", refused.sequence, refused.message),
            Some(Reply::Goodbye(goodbye)) => bail!("the server said goodbye: {}", goodbye.reason),
            // It is served as before for as long as a measurement lasts.
            Some(Reply::MoveTo(_)) => Ok(()),
            Some(Reply::Opened(_)) => bail!("`opened` came twice"),
            None => bail!("the server ended the publish stream"),
        }
    }
}
