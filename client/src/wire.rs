//! Between the client's own types and `gomera.v1`; what `gomera-proto` converts is converted there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::session::SlowPolicy;
use gomera_model::{AttributeLimits, Publication, PublicationLimits, Timestamp};
use gomera_proto::{publication, raw, v1, value};
use tonic::Code;

use crate::error::{DecodeError, OperationError};
use crate::session::event::{Gap, GapRange, Notification};
use crate::session::machine::{Listed, Reply, Request};
use crate::session::operation::{Declaration, Operation, RequestId};
use crate::session::standing::Ordinal;

/// Caps are the cluster's to set: it says what it refuses, and what arrives was admitted.
pub(crate) const UNCAPPED: PublicationLimits = PublicationLimits {
    id_bytes_max: usize::MAX,
    payload_bytes_max: usize::MAX,
    content_type_bytes_max: usize::MAX,
    attributes: AttributeLimits {
        count_max: usize::MAX,
        name_bytes_max: usize::MAX,
        value_bytes_max: usize::MAX,
        array_elements_max: usize::MAX,
    },
};

pub(crate) fn decode_publication(content: &Bytes) -> Result<Publication, DecodeError> {
    publication::read_publication(content, &UNCAPPED).map_err(|error| DecodeError(error.to_string()))
}

pub(crate) fn vector(wire: Option<v1::Vector>) -> Vector {
    positions(wire).into_iter().collect()
}

fn positions(wire: Option<v1::Vector>) -> Vec<Position> {
    let numbers = wire.map(|wire| wire.numbers).unwrap_or_default();
    numbers.into_iter().map(|(lane, number)| Position { lane: LaneId(lane), number: Number(number) }).collect()
}

pub(crate) fn to_vector(vector: &Vector) -> v1::Vector {
    let numbers: BTreeMap<u32, u64> = vector.iter().map(|position| (position.lane.0, position.number.0)).collect();
    v1::Vector { numbers }
}

pub(crate) fn to_slow_policy(policy: SlowPolicy) -> (v1::SlowPolicy, Option<Duration>) {
    match policy {
        SlowPolicy::DropOldest => (v1::SlowPolicy::DropOldest, None),
        SlowPolicy::Disconnect => (v1::SlowPolicy::Disconnect, None),
        SlowPolicy::Block { wait_max } => (v1::SlowPolicy::Block, Some(wait_max)),
    }
}

pub(crate) fn to_request(request: Request) -> v1::SessionRequest {
    use v1::session_request::Body;
    let (id, body) = match request {
        Request::Operation(id, operation) => (id, to_operation(operation)),
        Request::Acknowledge(through) => {
            (RequestId(0), Body::Acknowledge(v1::Acknowledge { through: Some(to_vector(&through)) }))
        }
        Request::Credit(notifications_total) => (RequestId(0), Body::Credit(v1::Credit { notifications_total })),
    };
    v1::SessionRequest { request: id.0, body: Some(body) }
}

fn to_operation(operation: Operation) -> v1::session_request::Body {
    use v1::session_request::Body;
    match operation {
        Operation::Subscribe(declaration) => Body::Subscribe(v1::Subscribe {
            id: declaration.id.to_string(),
            filter: Some(to_filter(&declaration)),
            options: Some(to_options(&declaration)),
        }),
        Operation::Update(declaration) => Body::Update(v1::UpdateSubscription {
            id: declaration.id.to_string(),
            filter: Some(to_filter(&declaration)),
            options: Some(to_options(&declaration)),
        }),
        Operation::Unsubscribe(id) => Body::Unsubscribe(v1::Unsubscribe { id: id.to_string() }),
        Operation::SetPaused(id, paused) => Body::SetPaused(v1::SetPaused { id: id.to_string(), paused }),
        Operation::Get(id) => Body::Get(v1::GetSubscription { id: id.to_string() }),
        Operation::List { after, limit } => Body::List(v1::ListSubscriptions { after, limit }),
        Operation::SetContext(context) => Body::SetContext(v1::SetContext { context: value::to_attributes(&context) }),
        Operation::End => Body::End(v1::EndSession {}),
    }
}

fn to_filter(declaration: &Declaration) -> v1::FilterSource {
    v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(declaration.filter.to_string())) }
}

fn to_options(declaration: &Declaration) -> v1::SubscriptionOptions {
    v1::SubscriptionOptions {
        paused: declaration.paused,
        expires_after: declaration.expires_after.map(value::to_duration),
    }
}

/// What a reply tells the session machine; the attach and the goodbye are not among it.
pub(crate) fn replies(reply: raw::SessionReply, into: &mut Vec<Reply>) -> Meaning {
    use raw::session_reply::Body;
    let request = RequestId(reply.request);
    match reply.body {
        Some(Body::Attached(attached)) => {
            into.push(Reply::Attached { resumed: attached.resumed, merged: vector(attached.merged) });
            return Meaning::Attached { session: attached.session };
        }
        Some(Body::Applied(applied)) => into.push(Reply::Applied {
            request,
            handle: (applied.handle != 0).then_some(applied.handle),
            in_force_after: vector(applied.in_force_after),
        }),
        Some(Body::Subscriptions(list)) => {
            let subscriptions = list.subscriptions.into_iter().map(listed).collect();
            into.push(Reply::Listed { request, subscriptions });
        }
        Some(Body::Failed(failed)) => into.push(failure(request, failed)),
        Some(Body::Notifications(frame)) => into.extend(frame.notifications.into_iter().map(notification)),
        Some(Body::SubscriptionsLost(lost)) => into.push(Reply::SubscriptionsLost(lost.number)),
        Some(Body::Goodbye(goodbye)) => return Meaning::Goodbye { reason: goodbye.reason },
        Some(Body::MoveTo(move_to)) => return Meaning::MoveTo { endpoints: move_to.endpoints },
        // A reply of a later version.
        None => {}
    }
    Meaning::Ordinary
}

/// What a reply means to the connection.
#[derive(Debug)]
pub(crate) enum Meaning {
    Ordinary,
    Attached { session: String },
    Goodbye { reason: String },
    MoveTo { endpoints: Vec<String> },
}

fn listed(description: v1::SubscriptionDescription) -> Listed {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_after = description.expires_at.and_then(|at| value::timestamp(&at).ok()).map(|at| {
        let at = Duration::from_micros(u64::try_from(at.0).unwrap_or_default());
        at.saturating_sub(now)
    });
    Listed {
        declaration: Declaration {
            id: description.id.into(),
            filter: description.filter.into(),
            paused: description.paused,
            expires_after,
        },
        handle: description.handle,
    }
}

fn failure(request: RequestId, failed: v1::OperationFailed) -> Reply {
    let code = Code::from_i32(failed.code);
    let v1::OperationFailed { message, offset, .. } = failed;
    let error = match (code, offset) {
        (Code::InvalidArgument, Some(offset)) => OperationError::Filter { message, offset },
        (Code::NotFound, _) => OperationError::NotFound(message),
        (Code::ResourceExhausted, _) => OperationError::Limit(message),
        (code, _) => OperationError::Refused { code, message },
    };
    Reply::Failed { request, error, not_found: code == Code::NotFound }
}

fn notification(wire: raw::Notification) -> Reply {
    if let Some(gap) = wire.gap {
        let ranges = gap.ranges.into_iter();
        return Reply::Gap(Gap {
            ranges: ranges.map(|range| GapRange { lane: range.lane, first: range.first, last: range.last }).collect(),
            dropped: gap.dropped,
        });
    }
    let mut handles = wire.handles;
    let mut handle = 0_u64;
    for delta in &mut handles {
        handle = handle.wrapping_add(*delta);
        *delta = handle;
    }
    Reply::Notification {
        position: Position { lane: LaneId(wire.lane), number: Number(wire.number) },
        merged: positions(wire.merged),
        handles,
        notification: Notification {
            subscriptions: Vec::new(),
            satisfied: wire.satisfied,
            publisher: wire.publisher,
            instance: wire.instance,
            sequence: wire.sequence,
            accepted: wire.accepted.and_then(|at| value::timestamp(&at).ok()).unwrap_or(Timestamp(0)),
            redelivered: wire.redelivered,
            lane: wire.lane,
            number: wire.number,
            content: wire.publication,
            ordinal: Ordinal::default(),
        },
    }
}
