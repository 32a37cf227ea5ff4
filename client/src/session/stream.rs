//! One connection of a session: a `Session` call, its sending half a stream that asks the machine what to send.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use gomera_proto::raw::pub_sub_client::PubSubClient;
use gomera_proto::{v1, value};
use v1::session_request::Body;

use super::builder::AttachOptions;
use super::machine::Request;
use super::{Phase, Shared};
use crate::connection::{Connector, Link};
use crate::moving::Moving;
use crate::supervision::{End, Opened, end_of};
use crate::wire::{self, Meaning};

/// Any frame of the cluster: 64 KiB of notifications, or one publication of the largest size it may be configured to.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// The request id of an attach; those of operations count up from 1.
const ATTACH_REQUEST: u64 = u64::MAX;
/// A session that is dropped waits so long for the cluster to let go of it.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the session on `link` until the connection breaks or it is over.
pub(super) async fn run(shared: &Arc<Shared>, connector: &Arc<Connector>, link: Link) -> End {
    let mut opened = Opened::No;
    match converse(shared, connector, link, &mut opened).await {
        Ok(end) => end,
        Err(status) => end_of(status, opened),
    }
}

async fn converse(
    shared: &Arc<Shared>,
    connector: &Arc<Connector>,
    link: Link,
    opened: &mut Opened,
) -> Result<End, tonic::Status> {
    let requests = {
        let mut state = shared.lock();
        let resume = state.machine.resume_from().map(wire::to_vector);
        // Connections are counted from 0.
        let attempt = state.connection + 1;
        Requests {
            shared: shared.clone(),
            connection: state.connection,
            attach: Some(attach(&shared.attach, resume, attempt)),
            fresh: Vec::new(),
            waiting: VecDeque::from([wire::to_request(state.machine.first_credit())]),
        }
    };
    let mut client = PubSubClient::new(link.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut incoming = client.session(requests).await?.into_inner();
    let closing = tokio::time::sleep(Duration::MAX);
    tokio::pin!(closing);
    let (mut replies, mut completions) = (Vec::new(), Vec::new());
    let mut moving = Moving::default();
    loop {
        let reply = tokio::select! {
            biased;
            // First: what comes after is for the new connection, which begins with what was taken before.
            stands = moving.stands(), if moving.is_under_way() => {
                if stands {
                    // Open, though nobody reads it, until the session is attached anew.
                    shared.keep_former(incoming);
                    return Ok(End::Moved);
                }
                continue;
            }
            reply = incoming.message() => reply?,
            () = shared.closing.notified() => {
                if *opened == Opened::No {
                    return Ok(End::Closed);
                }
                closing.as_mut().reset(tokio::time::Instant::now() + CLOSING_TIMEOUT);
                continue;
            }
            () = &mut closing => return Ok(End::Closed),
        };
        let Some(reply) = reply else {
            let state = shared.lock();
            return Ok(match state.phase {
                Phase::Closing | Phase::Over(_) => End::Closed,
                Phase::Running if state.machine.is_ending() => End::Closed,
                Phase::Running => End::Broken { reason: "the stream was closed".into(), opened: *opened },
            });
        };
        match wire::replies(reply, &mut replies) {
            Meaning::Ordinary => {}
            Meaning::Attached { session } => {
                *opened = Opened::Yes;
                shared.close_former();
                link.stands();
                tracing::debug!(%session, "session attached");
            }
            Meaning::MoveTo { endpoints } => moving.begin(connector.clone(), link.serial, endpoints),
            Meaning::Goodbye { reason } => {
                return Ok(End::Broken { reason: format!("goodbye: {reason}"), opened: *opened });
            }
        }
        shared.replies(&mut replies, &mut completions);
    }
}

fn attach(options: &AttachOptions, resume: Option<v1::Vector>, attempt: u64) -> v1::SessionRequest {
    let (slow, block_max) = match options.slow {
        Some(policy) => wire::to_slow_policy(policy),
        None => (v1::SlowPolicy::Unspecified, None),
    };
    let session_options = v1::SessionOptions {
        outbox_bytes_max: options.outbox_bytes_max,
        outbox_notifications_max: options.outbox_notifications_max,
        slow: slow.into(),
        block_max: block_max.map(value::to_duration),
        expires_after: options.expires_after.map(value::to_duration),
        count_only: options.count_only,
        group: false,
    };
    let attach = v1::AttachSession {
        session: options.name.clone(),
        options: Some(session_options),
        resume,
        process: options.process,
        attempt,
    };
    v1::SessionRequest { request: ATTACH_REQUEST, body: Some(Body::Attach(attach)) }
}

/// The sending half. Ready whenever the machine wants to send.
struct Requests {
    shared: Arc<Shared>,
    connection: u64,
    attach: Option<v1::SessionRequest>,
    fresh: Vec<Request>,
    waiting: VecDeque<v1::SessionRequest>,
}

impl Stream for Requests {
    type Item = v1::SessionRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<v1::SessionRequest>> {
        if let Some(attach) = self.attach.take() {
            return Poll::Ready(Some(attach));
        }
        let this = &mut *self;
        if let Some(request) = this.waiting.pop_front() {
            return Poll::Ready(Some(request));
        }
        let mut state = this.shared.lock();
        if state.connection != this.connection || matches!(state.phase, Phase::Over(_)) {
            return Poll::Ready(None);
        }
        let closing = matches!(state.phase, Phase::Closing);
        if closing || state.machine.wants_to_send() {
            state.machine.send(&mut this.fresh);
        }
        if this.fresh.is_empty() {
            if closing {
                return Poll::Ready(None);
            }
            state.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        this.waiting.extend(this.fresh.drain(..).map(wire::to_request));
        Poll::Ready(this.waiting.pop_front())
    }
}
