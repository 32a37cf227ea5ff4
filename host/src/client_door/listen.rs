//! One subscription in one call: a session of its own, acknowledged as it is handed over. The call is answered, with headers,
//! once the subscription is in force.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_connection_point::client::ClientRequest;
use gomera_proto::{door, raw, v1};
use tokio_stream::Stream;
use tonic::Status;

use super::session::{Frames, Out, ordinary};
use super::{Door, End};

/// Serves one call: ready when the subscription is in force.
pub async fn serve(door: &Arc<Door>, request: v1::ListenRequest) -> Result<Notifications, Status> {
    let requests = door::listen_requests(request, &door.config.limits())
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let mut frames = Frames::new(door.connect());
    for request in requests {
        frames.ask(request);
    }
    std::future::poll_fn(|context| frames.poll_applied(context, door::LISTEN_REQUEST)).await?;
    Ok(Notifications { frames, notifications: Vec::new().into_iter(), is_ended: false })
}

/// What the one subscription of the call is told.
#[derive(Debug)]
pub struct Notifications {
    frames: Frames,
    notifications: IntoIter<raw::Notification>,
    is_ended: bool,
}

impl Stream for Notifications {
    type Item = Result<raw::Notification, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.is_ended {
                return Poll::Ready(None);
            }
            if let Some(notification) = this.notifications.next() {
                return Poll::Ready(Some(Ok(notification)));
            }
            match std::task::ready!(this.frames.poll_out(context)) {
                Out::Deliveries => {
                    let mut notifications = Vec::new();
                    this.frames.deliver(|delivery| notifications.push(door::notification(delivery)));
                    this.frames.ask(ClientRequest::Acknowledge(covered(&notifications)));
                    this.notifications = notifications.into_iter();
                }
                Out::Reply(reply) => {
                    if let Some(Err(status)) = reply.body.map(ordinary) {
                        this.is_ended = true;
                        return Poll::Ready(Some(Err(status)));
                    }
                }
                Out::End(end) => {
                    this.is_ended = true;
                    if let End::Failed(status) = end {
                        return Poll::Ready(Some(Err(status)));
                    }
                }
            }
        }
    }
}

/// Where a client stands that has these.
fn covered(notifications: &[raw::Notification]) -> Vector {
    let own = notifications
        .iter()
        .filter(|notification| notification.gap.is_none())
        .map(|notification| (notification.lane, notification.number));
    let others = notifications.iter().filter_map(|notification| notification.merged.as_ref());
    let others = others.flat_map(|vector| vector.numbers.iter().map(|(&lane, &number)| (lane, number)));
    own.chain(others).map(|(lane, number)| Position { lane: LaneId(lane), number: Number(number) }).collect()
}
