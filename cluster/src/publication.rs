//! A publication inside the cluster: header for routing, content as the publisher sent it, attributes decoded where needed.

use std::sync::Arc;

use bytes::Bytes;
use gomera_model::attributes::Attributes;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use crate::identity::{Instance, PublisherKey, Sequence, Tenant};

/// What identifies a publication for all time (together with its tenant, which is part of `publisher`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationKey {
    /// Who published.
    pub publisher: PublisherKey,
    /// Which life of it.
    pub instance: Instance,
    /// Its number there.
    pub sequence: Sequence,
}

/// The attributes of a publication, where they are decoded already.
#[derive(Clone, Debug)]
pub enum AttributeBlock {
    /// Only within [`Envelope::content`]; the host of a matcher decodes before its machine sees the envelope.
    Encoded,
    /// Decoded, system attributes (`gomera.time`, `gomera.publisher`) included; shared with the envelope.
    Decoded(Attributes),
}

/// The attributes that the system adds to every publication. Kept by whoever decodes publications, so that the names are
/// shared by all of them.
#[derive(Clone, Debug)]
pub struct SystemAttributes {
    publisher: Arc<str>,
    time: Arc<str>,
}

impl Default for SystemAttributes {
    fn default() -> Self {
        Self { publisher: Arc::from("gomera.publisher"), time: Arc::from("gomera.time") }
    }
}

impl SystemAttributes {
    /// Adds them. `given` has no reserved names; `time` is when the publication was measured, or accepted if the publisher did
    /// not say.
    #[must_use]
    pub fn stamp(&self, mut given: Attributes, publisher: &Arc<str>, time: Timestamp) -> Attributes {
        given.add_reserved([
            (self.publisher.clone(), Value::String(publisher.clone())),
            (self.time.clone(), Value::Timestamp(time)),
        ]);
        given
    }
}

/// A publication on its way through the layers; shared, never changed.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Whose it is: nobody else ever gets it.
    pub tenant: Tenant,
    /// The publisher's name, for the subscriber.
    pub publisher: Arc<str>,
    /// What identifies it.
    pub key: PublicationKey,
    /// When the connection point accepted it.
    pub accepted_at: Timestamp,
    /// From when on outboxes drop it (counted, no gap).
    pub expires_at: Option<Timestamp>,
    /// The encoded publication, byte for byte as the publisher sent it.
    pub content: Bytes,
    /// Its attributes.
    pub attributes: AttributeBlock,
}

impl Envelope {
    /// What it counts in credit, limits and outboxes, in bytes: content, names, and a fixed share for the header.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// Header fields, table entries and pointers: measured size of the structures around one content.
        const HEADER_BYTES: usize = 160;
        u64::try_from(self.content.len() + self.publisher.len() + self.tenant.0.len() + HEADER_BYTES)
            .unwrap_or(u64::MAX)
    }
}
