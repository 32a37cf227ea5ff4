//! What clients of a connection point send and get, between `gomera.v1` and the vocabulary of `connection-point`.

mod frame;
mod reply;
mod session;

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::{Instance, Sequence};
use gomera_connection_point::client::{ClientRequest, PublishItem};
use gomera_model::attributes::AttributeLimits;
use gomera_model::filter::FilterLimits;
use gomera_model::publication::PublicationLimits;

use crate::publication::{DecodeError, PublicationReader};
use crate::{raw, v1};

pub use frame::{FrameWriter, delivery_bytes};
pub use reply::{failed, goodbye, notification, publish_reply, refused, session_reply};
pub use session::{Incomplete, LISTEN_REQUEST, RequestError, listen_requests, session_request};

/// Caps on what clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// On publications.
    pub publication: PublicationLimits,
    /// On filters.
    pub filter: FilterLimits,
    /// On contexts.
    pub context: AttributeLimits,
}

/// The longest a session with `SLOW_POLICY_BLOCK` lets merging wait unless it says otherwise.
const BLOCK_MAX_DEFAULT: Duration = Duration::from_secs(1);

/// Opens a publisher, under the instance the client gave, or `own` if it gave none.
#[must_use]
pub fn open_publisher(wire: v1::OpenPublisher, own: Instance) -> ClientRequest {
    let instance = if wire.instance == 0 { own } else { Instance(wire.instance) };
    ClientRequest::OpenPublisher { publisher: Arc::from(wire.publisher), instance: Some(instance) }
}

/// Reads one publication of a stream. `sequence` is given where the client does not number.
pub fn publish_item(
    wire: raw::PublishItem,
    sequence: Option<Sequence>,
    reader: &mut PublicationReader,
) -> Result<PublishItem, (Sequence, DecodeError)> {
    let resent = wire.resent && sequence.is_none();
    let sequence = sequence.unwrap_or(Sequence(wire.sequence));
    match reader.decode(&wire.publication) {
        Ok(decoded) => Ok(PublishItem {
            sequence,
            content: wire.publication,
            attributes: decoded.attributes,
            time: decoded.time,
            expires_after: decoded.expires_after,
            resent,
        }),
        Err(error) => Err((sequence, error)),
    }
}

#[cfg(test)]
mod tests;
