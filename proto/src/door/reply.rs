//! Replies and notifications.

use std::sync::Arc;

use gomera_cluster::identity::Sequence;
use gomera_cluster::message::connection_point::{Gap, Satisfied};
use gomera_cluster::operation::Description;
use gomera_connection_point::client::{ClientReply, Delivery, Failure, RequestId};

use crate::served::session_reply::Body;
use crate::{code, raw, served, v1, value, vector};

/// A reply on a publish stream; `None` for what belongs to sessions.
#[must_use]
pub fn publish_reply(reply: ClientReply) -> Option<v1::PublishStreamReply> {
    use v1::publish_stream_reply::Reply;
    let reply = match reply {
        ClientReply::PublisherOpened { sequenced, acknowledged } => {
            Reply::Opened(v1::PublisherOpened { sequenced: sequenced.0, acknowledged: acknowledged.0 })
        }
        ClientReply::Acknowledged { through } => Reply::Acknowledged(v1::PublishAcknowledged { through: through.0 }),
        ClientReply::PublicationRefused { sequence, failure } => return Some(refused(sequence, failure)),
        ClientReply::MoveTo { endpoints } => Reply::MoveTo(move_to(&endpoints)),
        ClientReply::Attached { .. }
        | ClientReply::SubscriptionsLost { .. }
        | ClientReply::Applied { .. }
        | ClientReply::Found { .. }
        | ClientReply::Failed { .. }
        | ClientReply::Notifications(_) => return None,
    };
    Some(v1::PublishStreamReply { reply: Some(reply) })
}

/// One publication was not taken.
#[must_use]
pub fn refused(sequence: Sequence, failure: Failure) -> v1::PublishStreamReply {
    let refused =
        v1::PublishRefused { sequence: sequence.0, code: code::code(failure.kind).into(), message: failure.message };
    v1::PublishStreamReply { reply: Some(v1::publish_stream_reply::Reply::Refused(refused)) }
}

/// A reply on a session stream; `None` for what belongs to publishers, and for notifications, which
/// [`notification`] makes.
#[must_use]
pub fn session_reply(reply: ClientReply) -> Option<served::SessionReply> {
    let (request, body) = match reply {
        ClientReply::Attached { request, session, resumed, merged, generation } => (
            request,
            Body::Attached(v1::SessionAttached {
                session: session.as_ref().to_owned(),
                resumed,
                merged: Some(vector::to_vector(&merged)),
                generation: generation.0,
            }),
        ),
        ClientReply::Applied { request, handle, in_force_after } => (
            request,
            Body::Applied(v1::OperationApplied {
                handle: handle.map_or(0, |handle| handle.0),
                in_force_after: Some(vector::to_vector(&in_force_after)),
            }),
        ),
        ClientReply::Found { request, subscriptions } => (
            request,
            Body::Subscriptions(v1::SubscriptionList {
                subscriptions: subscriptions.iter().map(description).collect(),
            }),
        ),
        ClientReply::Failed { request, failure } => return Some(failed(request, failure, None)),
        ClientReply::MoveTo { endpoints } => (RequestId(0), Body::MoveTo(move_to(&endpoints))),
        ClientReply::SubscriptionsLost { number } => {
            (RequestId(0), Body::SubscriptionsLost(v1::SubscriptionsLost { number }))
        }
        ClientReply::PublisherOpened { .. }
        | ClientReply::Acknowledged { .. }
        | ClientReply::PublicationRefused { .. }
        | ClientReply::Notifications(_) => return None,
    };
    Some(served::SessionReply { request: request.0, body: Some(body) })
}

fn move_to(endpoints: &[Arc<str>]) -> v1::MoveTo {
    v1::MoveTo { endpoints: endpoints.iter().map(|endpoint| endpoint.as_ref().to_owned()).collect() }
}

/// A request that failed; `offset` is where in a filter's text.
#[must_use]
pub fn failed(request: RequestId, failure: Failure, offset: Option<u32>) -> served::SessionReply {
    let failed = v1::OperationFailed { code: code::code(failure.kind).into(), message: failure.message, offset };
    served::SessionReply { request: request.0, body: Some(Body::Failed(failed)) }
}

/// The server is about to close the stream.
#[must_use]
pub fn goodbye(reason: &str) -> v1::Goodbye {
    v1::Goodbye { reason: reason.to_owned() }
}

/// What one thing delivered looks like to a client.
#[must_use]
pub fn notification(delivery: Delivery) -> raw::Notification {
    match delivery {
        Delivery::Gap(gap) => raw::Notification { gap: Some(to_gap(&gap)), ..raw::Notification::default() },
        Delivery::Notification { envelope, position, satisfied, merged, redelivered, cost: _ } => {
            let (handles, count) = match satisfied {
                Satisfied::One(handle) => (vec![handle.0], 1),
                Satisfied::Many(handles) => {
                    (vector::to_handles(&handles), u32::try_from(handles.len()).unwrap_or(u32::MAX))
                }
                Satisfied::Count(count) => (Vec::new(), count),
            };
            raw::Notification {
                lane: position.lane.0,
                number: position.number.0,
                handles,
                satisfied: count,
                publication: envelope.content.clone(),
                publisher: envelope.publisher.as_ref().to_owned(),
                instance: envelope.key.instance.0,
                sequence: envelope.key.sequence.0,
                accepted: Some(value::to_timestamp(envelope.accepted_at)),
                redelivered,
                merged: (!merged.is_empty()).then(|| vector::to_vector_of(merged)),
                gap: None,
            }
        }
    }
}

fn to_gap(gap: &Gap) -> v1::Gap {
    v1::Gap {
        ranges: gap
            .ranges
            .iter()
            .map(|range| v1::GapRange { lane: range.lane.0, first: range.first.0, last: range.last.0 })
            .collect(),
        dropped: gap.dropped,
    }
}

fn description(description: &Description) -> v1::SubscriptionDescription {
    v1::SubscriptionDescription {
        id: description.id.as_ref().to_owned(),
        handle: description.handle.0,
        filter: description.filter.to_string(),
        paused: description.options.paused,
        expires_at: description.options.expires_at.map(value::to_timestamp),
    }
}
