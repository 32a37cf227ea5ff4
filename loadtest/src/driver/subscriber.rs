//! One subscribing connection: declares its filters, then checks every notification: the right place, the right number of
//! satisfied filters, each publisher's in order and once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use gomera_proto::raw::pub_sub_client::PubSubClient;
use gomera_proto::raw::session_reply::Body as ReplyBody;
use gomera_proto::raw::{Notification, SessionReply};
use gomera_proto::v1::filter_source::Filter;
use gomera_proto::v1::session_request::Body;
use gomera_proto::v1::{Acknowledge, AttachSession, FilterSource, SessionRequest, Subscribe, Vector};
use hdrhistogram::Histogram;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::Shared;
use crate::workload::Mark;

/// Notifications after which they are acknowledged.
const ACKNOWLEDGE_EVERY: u64 = 512;

/// Subscriptions under way at once while the filters are declared.
const SUBSCRIBING_MAX: u64 = 256;

pub(crate) struct Subscriber {
    connection: u64,
    shared: Arc<Shared>,
    requests: mpsc::Sender<SessionRequest>,
    replies: Streaming<SessionReply>,
    /// The last number seen of each publishing connection.
    last: Vec<u64>,
    through: Vector,
    unacknowledged: u64,
    latency: Histogram<u64>,
}

pub(crate) async fn attach(
    mut client: PubSubClient<Channel>,
    connection: u64,
    shared: &Arc<Shared>,
) -> Result<Subscriber> {
    let (requests, stream) = mpsc::channel(64);
    let attach = AttachSession { session: format!("load-{connection}"), ..AttachSession::default() };
    requests.send(SessionRequest { request: 1, body: Some(Body::Attach(attach)) }).await?;
    let mut replies = client.session(ReceiverStream::new(stream)).await?.into_inner();
    match replies.message().await?.and_then(|reply| reply.body) {
        Some(ReplyBody::Attached(_)) => {}
        other => bail!("expected `attached`, got {other:?}"),
    }
    let content = &shared.content;
    let mut awaited = 0;
    for index in (connection..content.filters).step_by(usize::try_from(content.connections)?) {
        let filter = FilterSource { filter: Some(Filter::Text(content.filter(index))) };
        let subscribe = Subscribe { id: format!("f{index}"), filter: Some(filter), options: None };
        requests.send(SessionRequest { request: 2 + index, body: Some(Body::Subscribe(subscribe)) }).await?;
        awaited += 1;
        while awaited >= SUBSCRIBING_MAX {
            applied(replies.message().await?)?;
            awaited -= 1;
        }
    }
    for _ in 0..awaited {
        applied(replies.message().await?)?;
    }
    Ok(Subscriber {
        connection,
        shared: Arc::clone(shared),
        requests,
        replies,
        last: vec![0; usize::try_from(content.connections)?],
        through: Vector::default(),
        unacknowledged: 0,
        latency: Histogram::new_with_bounds(1, super::LATENCY_US_MAX, 3)?,
    })
}

fn applied(reply: Option<SessionReply>) -> Result<()> {
    match reply.and_then(|reply| reply.body) {
        Some(ReplyBody::Applied(_)) => Ok(()),
        other => bail!("expected `applied`, got {other:?}"),
    }
}

impl Subscriber {
    pub async fn receive(mut self, mut stopped: watch::Receiver<bool>) -> Result<Histogram<u64>> {
        loop {
            let reply = tokio::select! {
                reply = self.replies.message() => reply?.context("the server ended the session stream")?,
                _ = stopped.changed() => return Ok(self.latency),
            };
            match reply.body {
                Some(ReplyBody::Notifications(frame)) => {
                    let now_ns = self.shared.now_ns();
                    let count = u64::try_from(frame.notifications.len())?;
                    let mut satisfied = 0;
                    for notification in frame.notifications {
                        satisfied += u64::from(notification.satisfied);
                        self.check(&notification, now_ns)?;
                    }
                    self.shared.arrived.fetch_add(count, Ordering::Relaxed);
                    if self.shared.measuring.load(Ordering::Relaxed) {
                        self.shared.satisfied.fetch_add(satisfied, Ordering::Relaxed);
                    }
                    self.unacknowledged += count;
                    if self.unacknowledged >= ACKNOWLEDGE_EVERY {
                        self.acknowledge().await?;
                    }
                }
                other => bail!("expected notifications, got {other:?}"),
            }
        }
    }

    async fn acknowledge(&mut self) -> Result<()> {
        self.unacknowledged = 0;
        let body = Body::Acknowledge(Acknowledge { through: Some(self.through.clone()) });
        self.requests.send(SessionRequest { request: 0, body: Some(body) }).await.context("the session stream ended")
    }

    fn check(&mut self, notification: &Notification, now_ns: u64) -> Result<()> {
        if let Some(gap) = &notification.gap {
            bail!("a gap of {} notifications: the generator fell behind", gap.dropped);
        }
        let mark = Mark::find(&notification.publication).context("a publication without our mark")?;
        let (publisher, number) = (usize::try_from(mark.number >> 40)?, mark.number & ((1 << 40) - 1));
        let last = self.last.get_mut(publisher).context("a publisher that is not ours")?;
        if number == *last {
            self.shared.duplicated.fetch_add(1, Ordering::Relaxed);
        } else if number < *last {
            self.shared.reordered.fetch_add(1, Ordering::Relaxed);
        }
        *last = number.max(*last);
        if u64::from(notification.satisfied) != self.shared.content.satisfied_at(mark.cell, self.connection) {
            self.shared.wrong.fetch_add(1, Ordering::Relaxed);
        }
        self.through.numbers.insert(notification.lane, notification.number);
        if self.shared.measuring.load(Ordering::Relaxed) {
            self.latency.saturating_record(now_ns.saturating_sub(mark.scheduled_ns) / 1_000);
        }
        Ok(())
    }
}
