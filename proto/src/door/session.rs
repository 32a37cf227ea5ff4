//! Requests of a session stream.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Handle;
use gomera_cluster::session::{Attempt, HandleDetail, SessionOptions, Sharing, SlowPolicy};
use gomera_connection_point::client::{ClientOperation, ClientRequest, ClientSubscription, RequestId};

use super::{BLOCK_MAX_DEFAULT, Limits};
use crate::filter::{self, FilterError};
use crate::value::{self, AttributeError, TimeError};
use crate::{v1, vector};

/// How many subscriptions a list has if the client does not say.
const LIST_LIMIT_DEFAULT: u16 = 100;

/// A request that makes no sense. Only this request fails.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// A filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A context.
    #[error("context: {0}")]
    Context(#[from] AttributeError),
    /// A duration.
    #[error("{field}: {error}")]
    Time {
        /// Which.
        field: &'static str,
        /// What is wrong.
        error: TimeError,
    },
    /// A policy of a later version.
    #[error("slow is {0}, must be one of the values of SlowPolicy")]
    SlowPolicy(i32),
    /// A list of more than it may have.
    #[error("limit is {0}, must be at most 1000")]
    ListLimit(u32),
    /// A part that has to be there.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

impl RequestError {
    /// Where in a filter's text, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> Option<u32> {
        match self {
            Self::Filter(error) => error.offset().and_then(|offset| u32::try_from(offset).ok()),
            Self::Context(_) | Self::Time { .. } | Self::SlowPolicy(_) | Self::ListLimit(_) | Self::Incomplete(_) => {
                None
            }
        }
    }
}

/// A part that has to be there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not set")]
pub struct Incomplete(&'static str);

/// Reads a request.
pub fn session_request(wire: v1::SessionRequest, limits: &Limits) -> Result<ClientRequest, RequestError> {
    use v1::session_request::Body;
    let request = RequestId(wire.request);
    let operate = |operation| ClientRequest::Operate { request, operation };
    Ok(match wire.body.ok_or(Incomplete("body"))? {
        Body::Attach(attach) => ClientRequest::Attach {
            request,
            options: options(attach.options.unwrap_or_default(), attach.session.is_empty())?,
            session: Arc::from(attach.session),
            resume: attach.resume.map(vector::vector),
            attempt: Attempt { process: attach.process, number: attach.attempt },
        },
        Body::Subscribe(wire) => {
            operate(ClientOperation::Subscribe(subscription(wire.id, wire.filter, wire.options, limits)?))
        }
        Body::Update(wire) => {
            operate(ClientOperation::Update(subscription(wire.id, wire.filter, wire.options, limits)?))
        }
        Body::Unsubscribe(wire) => operate(ClientOperation::Unsubscribe(Arc::from(wire.id))),
        Body::SetPaused(wire) => operate(ClientOperation::SetPaused(Arc::from(wire.id), wire.paused)),
        Body::Get(wire) => operate(ClientOperation::Get(Arc::from(wire.id))),
        Body::List(wire) => operate(ClientOperation::List {
            after: (wire.after > 0).then_some(Handle(wire.after)),
            limit: match wire.limit {
                0 => LIST_LIMIT_DEFAULT,
                limit => {
                    u16::try_from(limit).ok().filter(|&limit| limit <= 1000).ok_or(RequestError::ListLimit(limit))?
                }
            },
        }),
        Body::SetContext(wire) => {
            operate(ClientOperation::SetContext(value::attributes(wire.context, limits.context)?))
        }
        Body::Acknowledge(wire) => {
            ClientRequest::Acknowledge(vector::vector(wire.through.ok_or(Incomplete("acknowledge.through"))?))
        }
        Body::Credit(wire) => ClientRequest::Credit { notifications_total: wire.notifications_total },
        Body::End(v1::EndSession {}) => ClientRequest::EndSession { request },
    })
}

/// The options of an attach; a session without a name ends with its connection.
fn options(wire: v1::SessionOptions, nameless: bool) -> Result<SessionOptions, RequestError> {
    let defaults = SessionOptions::default();
    let given = |value: u64, default: u64| if value == 0 { default } else { value };
    let policy = v1::SlowPolicy::try_from(wire.slow).map_err(|_| RequestError::SlowPolicy(wire.slow))?;
    let block_max = optional(wire.block_max.as_ref(), "block_max")?;
    let expires_after = optional(wire.expires_after.as_ref(), "expires_after")?;
    Ok(SessionOptions {
        outbox_bytes_max: given(wire.outbox_bytes_max, defaults.outbox_bytes_max),
        outbox_notifications_max: given(wire.outbox_notifications_max, defaults.outbox_notifications_max),
        slow: slow(policy, block_max),
        expires_after: if nameless { Duration::ZERO } else { expires_after.unwrap_or(defaults.expires_after) },
        detail: if wire.count_only { HandleDetail::Count } else { HandleDetail::All },
        sharing: if wire.group { Sharing::Group } else { Sharing::Exclusive },
    })
}

fn slow(policy: v1::SlowPolicy, block_max: Option<Duration>) -> SlowPolicy {
    match policy {
        v1::SlowPolicy::Unspecified | v1::SlowPolicy::DropOldest => SlowPolicy::DropOldest,
        v1::SlowPolicy::Disconnect => SlowPolicy::Disconnect,
        v1::SlowPolicy::Block => SlowPolicy::Block { wait_max: block_max.unwrap_or(BLOCK_MAX_DEFAULT) },
    }
}

fn subscription(
    id: String,
    filter: Option<v1::FilterSource>,
    options: Option<v1::SubscriptionOptions>,
    limits: &Limits,
) -> Result<ClientSubscription, RequestError> {
    let options = options.unwrap_or_default();
    Ok(ClientSubscription {
        id: Arc::from(id),
        filter: filter::source(filter, &limits.filter)?,
        paused: options.paused,
        expires_after: optional(options.expires_after.as_ref(), "options.expires_after")?,
    })
}

fn optional(wire: Option<&prost_types::Duration>, field: &'static str) -> Result<Option<Duration>, RequestError> {
    wire.map(value::duration).transpose().map_err(|error| RequestError::Time { field, error })
}

/// What the subscription of a `Listen` call asks under; the other requests of the call want no answer.
pub const LISTEN_REQUEST: RequestId = RequestId(1);

/// The requests that make up a `Listen` call: a session of its own with one subscription, asked for last.
pub fn listen_requests(wire: v1::ListenRequest, limits: &Limits) -> Result<Vec<ClientRequest>, RequestError> {
    let options = options(v1::SessionOptions { slow: wire.slow, ..v1::SessionOptions::default() }, true)?;
    let mut requests = vec![ClientRequest::Attach {
        request: RequestId(0),
        session: Arc::from(""),
        options,
        resume: None,
        attempt: Attempt::default(),
    }];
    let context = value::attributes(wire.context, limits.context)?;
    if !context.is_empty() {
        requests
            .push(ClientRequest::Operate { request: RequestId(0), operation: ClientOperation::SetContext(context) });
    }
    let subscription = subscription("listen".to_owned(), wire.filter, None, limits)?;
    requests
        .push(ClientRequest::Operate { request: LISTEN_REQUEST, operation: ClientOperation::Subscribe(subscription) });
    Ok(requests)
}
