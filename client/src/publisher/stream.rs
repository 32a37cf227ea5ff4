//! One connection of a publisher: a `PublishStream` call, its sending half a stream that takes from the window.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use gomera_proto::raw::pub_sub_client::PubSubClient;
use gomera_proto::{raw, v1};
use tonic::Code;
use v1::publish_stream_reply::Reply;

use super::window::Outgoing;
use super::{Phase, Shared};
use crate::connection::{Connector, Link};
use crate::error::PublishError;
use crate::moving::Moving;
use crate::supervision::{End, Opened, describe, end_of};

/// A frame takes no more than this unless one publication is larger: a few flushes of the codec.
const FRAME_BYTES_MAX: usize = 64 * 1024;
const FRAME_PUBLICATIONS_MAX: usize = 1_024;
/// A publisher that was dropped waits so long for the acknowledgement of what it has sent.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes on `link` until the connection breaks or everything is done.
pub(super) async fn run(shared: &Arc<Shared>, connector: &Arc<Connector>, link: Link) -> End {
    let mut opened = Opened::No;
    match converse(shared, connector, link, &mut opened).await {
        Ok(end) => end,
        // Nobody else has this instance: it was superseded by an earlier attempt of its own that came late.
        Err(status) if status.code() == Code::Aborted => End::Broken { reason: describe(&status), opened },
        Err(status) => end_of(status, opened),
    }
}

async fn converse(
    shared: &Arc<Shared>,
    connector: &Arc<Connector>,
    link: Link,
    opened: &mut Opened,
) -> Result<End, tonic::Status> {
    let frames = Frames {
        shared: shared.clone(),
        connection: shared.lock().connection,
        open: Some(v1::OpenPublisher { publisher: shared.name.clone(), instance: shared.instance }),
        outgoing: Vec::new(),
    };
    let mut replies = PubSubClient::new(link.channel.clone()).publish_stream(frames).await?.into_inner();
    let closing = tokio::time::sleep(Duration::MAX);
    tokio::pin!(closing);
    let mut moving = Moving::default();
    loop {
        let reply = tokio::select! {
            biased;
            stands = moving.stands(), if moving.is_under_way() => {
                if stands {
                    shared.keep_former(replies);
                    return Ok(End::Moved);
                }
                continue;
            }
            reply = replies.message() => reply?,
            () = shared.closing.notified() => {
                if shared.is_finished() {
                    return Ok(End::Closed);
                }
                closing.as_mut().reset(tokio::time::Instant::now() + CLOSING_TIMEOUT);
                continue;
            }
            () = &mut closing => return Ok(End::Closed),
        };
        let Some(reply) = reply else {
            if shared.is_finished() {
                return Ok(End::Closed);
            }
            return Ok(End::Broken { reason: "the stream was closed".into(), opened: *opened });
        };
        match reply.reply {
            Some(Reply::Opened(answer)) => {
                *opened = Opened::Yes;
                link.stands();
                shared.opened(answer.acknowledged);
            }
            Some(Reply::Acknowledged(answer)) => shared.acknowledged(answer.through),
            Some(Reply::Refused(answer)) => {
                let error = PublishError::Refused { code: Code::from_i32(answer.code), message: answer.message };
                shared.refused(answer.sequence, error);
            }
            Some(Reply::MoveTo(answer)) => moving.begin(connector.clone(), link.serial, answer.endpoints),
            Some(Reply::Goodbye(answer)) => {
                return Ok(End::Broken { reason: format!("goodbye: {}", answer.reason), opened: *opened });
            }
            // A reply of a later version.
            None => {}
        }
        if shared.is_finished() {
            return Ok(End::Closed);
        }
    }
}

/// The sending half. Ready whenever the window has something unsent and the cluster has accepted the publisher.
struct Frames {
    shared: Arc<Shared>,
    connection: u64,
    open: Option<v1::OpenPublisher>,
    outgoing: Vec<Outgoing>,
}

impl Stream for Frames {
    type Item = raw::PublishFrame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<raw::PublishFrame>> {
        if let Some(open) = self.open.take() {
            return Poll::Ready(Some(raw::PublishFrame { open: Some(open), ..Default::default() }));
        }
        let this = &mut *self;
        let mut state = this.shared.lock();
        if state.connection != this.connection || matches!(state.phase, Phase::Over { .. }) {
            return Poll::Ready(None);
        }
        if state.accepted == Opened::No || !state.window.has_unsent() {
            if matches!(state.phase, Phase::Closing) && !state.window.has_unsent() {
                return Poll::Ready(None);
            }
            state.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.window.send(FRAME_PUBLICATIONS_MAX, FRAME_BYTES_MAX, &mut this.outgoing);
        let acknowledged_through = state.window.settled_through();
        drop(state);
        let items = this.outgoing.drain(..);
        let items = items.map(|item| raw::PublishItem {
            sequence: item.sequence,
            publication: item.content,
            resent: item.resent,
        });
        Poll::Ready(Some(raw::PublishFrame { open: None, items: items.collect(), acknowledged_through }))
    }
}
