//! A publication as a publisher hands it in, and the caps it must fit.
//!
//! Who published it (tenant, publisher, instance, sequence) is not here: the connection point knows that from the
//! credential and the stream, and `cluster` carries it as the publication's key.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::attributes::{AttributeLimits, Attributes, AttributesError, is_reserved};
use crate::shown::shown;
use crate::timestamp::Timestamp;

/// Attributes to be filtered on and a payload that nobody on the way looks into.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publication {
    /// The publisher's own id, passed on to subscribers.
    pub id: Option<Arc<str>>,
    /// When what it tells happened, as the publisher says.
    pub time: Option<Timestamp>,
    /// How long after its acceptance it is still worth delivering.
    pub expires_after: Option<Duration>,
    /// What filters see.
    pub attributes: Attributes,
    /// Opaque.
    pub payload: Bytes,
    /// Media type of the payload; empty if not said.
    pub content_type: Arc<str>,
}

/// Caps on a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationLimits {
    /// UTF-8 bytes of the id.
    pub id_bytes_max: usize,
    /// Bytes of the payload.
    pub payload_bytes_max: usize,
    /// UTF-8 bytes of the content type.
    pub content_type_bytes_max: usize,
    /// Caps on the attributes.
    pub attributes: AttributeLimits,
}

impl Default for PublicationLimits {
    fn default() -> Self {
        Self {
            id_bytes_max: 256,
            payload_bytes_max: 1024 * 1024,
            content_type_bytes_max: 256,
            attributes: AttributeLimits::default(),
        }
    }
}

/// Why a publication was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// A part is larger than its cap.
    #[error("publication {part} has {bytes} bytes; the cap is publication.{part}_bytes_max = {limit}")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// The cap.
        limit: usize,
    },
    /// `expires_after` is zero: it would never be delivered.
    #[error("publication expires_after is zero, must be longer")]
    ExpiresAtOnce,
    /// The attributes.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
}

impl Publication {
    /// Checks what a publisher handed in: caps, and no reserved attribute names.
    pub fn validate(&self, limits: &PublicationLimits) -> Result<(), PublicationError> {
        let id_bytes = self.id.as_ref().map_or(0, |id| id.len());
        for (part, bytes, limit) in [
            ("id", id_bytes, limits.id_bytes_max),
            ("payload", self.payload.len(), limits.payload_bytes_max),
            ("content_type", self.content_type.len(), limits.content_type_bytes_max),
        ] {
            if bytes > limit {
                return Err(PublicationError::TooLong { part, bytes, limit });
            }
        }
        if self.expires_after.is_some_and(|after| after.is_zero()) {
            return Err(PublicationError::ExpiresAtOnce);
        }
        if let Some((name, _)) = self.attributes.iter().find(|(name, _)| is_reserved(name)) {
            return Err(AttributesError::Reserved { name: shown(name) }.into());
        }
        self.attributes.check(&limits.attributes)?;
        Ok(())
    }

    /// Approximate heap bytes: attributes, payload and texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.attributes.bytes()
            + self.payload.len()
            + self.content_type.len()
            + self.id.as_ref().map_or(0, |id| id.len())
    }
}

#[cfg(test)]
mod tests {
    //! Claims about publications.

    use super::*;
    use crate::value::Value;

    #[test]
    fn what_exceeds_a_cap_or_uses_a_reserved_name_is_refused() {
        let limits = PublicationLimits { id_bytes_max: 2, payload_bytes_max: 3, ..PublicationLimits::default() };
        let good = Publication { payload: Bytes::from_static(b"abc"), ..Publication::default() };
        assert_eq!(good.validate(&limits), Ok(()));
        assert!(good.bytes() >= 3);
        let refusals = [
            (Publication { id: Some("abc".into()), ..good.clone() }, "id_bytes_max = 2"),
            (Publication { payload: Bytes::from_static(b"abcd"), ..good.clone() }, "payload_bytes_max = 3"),
            (Publication { content_type: "x".repeat(257).into(), ..good.clone() }, "content_type_bytes_max = 256"),
            (Publication { expires_after: Some(Duration::ZERO), ..good.clone() }, "expires_after is zero"),
            (
                Publication { attributes: [("gomera.time", Value::Integer(1))].into_iter().collect(), ..good.clone() },
                "`gomera.time` is reserved",
            ),
            (Publication { attributes: [("", Value::Integer(1))].into_iter().collect(), ..good }, "name is empty"),
        ];
        for (publication, expected) in refusals {
            let error = publication.validate(&limits).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
