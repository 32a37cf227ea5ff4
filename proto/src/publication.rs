//! Publications, read straight from their bytes into the types of the model.
//!
//! The hot path of a connection point and of a matcher: no intermediate message, one pass, texts checked once. What it
//! accepts is what a protobuf decoder of `gomera.v1.Publication` accepts; unknown fields are passed over, of a field given
//! twice the later counts. Errors name the attribute, what is wrong and what would be right.

mod names;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gomera_model::attributes::{Attributes, AttributesBuilder, AttributesError};
use gomera_model::flatten::{FlattenError, FlattenLimits, attributes_from_json};
use gomera_model::publication::{Publication, PublicationError, PublicationLimits};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;
use prost::Message as _;

use crate::v1;
use crate::value::{self, TimeError, ValueError};
use names::Names;
use wire::{Field, Malformed, Reader};

/// What the connection point and the matcher have to know of a publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// As given, or flattened from the payload; no system attributes.
    pub attributes: Attributes,
    /// When what it tells happened, if the publisher says.
    pub time: Option<Timestamp>,
    /// How long after its acceptance it is still worth delivering.
    pub expires_after: Option<Duration>,
}

/// Why bytes are no publication.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Not a protobuf message of this type.
    #[error("publication does not decode as gomera.v1.Publication: {0}")]
    Malformed(#[from] Malformed),
    /// An attribute whose value makes no sense.
    #[error("attribute `{name}` {error}")]
    Value {
        /// Which.
        name: String,
        /// What is wrong.
        error: ValueError,
    },
    /// The time it was measured.
    #[error("publication time: {0}")]
    Time(TimeError),
    /// How long it lasts.
    #[error("publication expires_after: {0}")]
    ExpiresAfter(TimeError),
    /// A cap.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// The payload says it is JSON, has to become attributes, and does not.
    #[error("payload has no attributes beside it and cannot be flattened into some: {0}")]
    Flatten(#[from] FlattenError),
}

impl From<AttributesError> for DecodeError {
    fn from(error: AttributesError) -> Self {
        Self::Publication(error.into())
    }
}

/// Reads what routing and matching need, checking caps and names. Who reads many keeps a [`PublicationReader`].
pub fn decode_publication(content: &[u8], limits: &PublicationLimits) -> Result<Decoded, DecodeError> {
    PublicationReader::new(*limits).decode(content)
}

/// Reads one publication after the other: names that come again share their text. Costs well below 1 µs for a handful of
/// attributes.
#[derive(Clone, Debug)]
pub struct PublicationReader {
    limits: PublicationLimits,
    names: Names,
}

impl PublicationReader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub fn new(limits: PublicationLimits) -> Self {
        Self { limits, names: Names::default() }
    }

    /// Reads what routing and matching need, checking caps and names.
    pub fn decode(&mut self, content: &[u8]) -> Result<Decoded, DecodeError> {
        let parts = Parts::read(content, &self.limits, &mut self.names)?;
        Ok(Decoded { attributes: parts.attributes, time: parts.time, expires_after: parts.expires_after })
    }
}

/// Reads the whole publication; the payload shares `content`.
pub fn read_publication(content: &Bytes, limits: &PublicationLimits) -> Result<Publication, DecodeError> {
    let parts = Parts::read(content, limits, &mut Names::default())?;
    Ok(Publication {
        id: (!parts.id.is_empty()).then(|| Arc::from(parts.id)),
        time: parts.time,
        expires_after: parts.expires_after,
        attributes: parts.attributes,
        payload: content.slice_ref(parts.payload),
        content_type: Arc::from(parts.content_type),
    })
}

/// To the wire.
#[must_use]
pub fn to_publication(publication: &Publication) -> v1::Publication {
    v1::Publication {
        id: publication.id.as_deref().unwrap_or_default().to_owned(),
        attributes: value::to_attributes(&publication.attributes),
        payload: publication.payload.clone(),
        content_type: publication.content_type.as_ref().to_owned(),
        time: publication.time.map(value::to_timestamp),
        expires_after: publication.expires_after.map(value::to_duration),
    }
}

/// To the bytes that [`decode_publication`] reads.
#[must_use]
pub fn encode_publication(publication: &Publication) -> Bytes {
    to_publication(publication).encode_to_vec().into()
}

/// Attributes for which there is room at once: a handful, and what the system adds.
const ATTRIBUTES_ROOM: usize = 8;

struct Parts<'a> {
    id: &'a str,
    payload: &'a [u8],
    content_type: &'a str,
    time: Option<Timestamp>,
    expires_after: Option<Duration>,
    attributes: Attributes,
}

impl<'a> Parts<'a> {
    fn read(content: &'a [u8], limits: &PublicationLimits, names: &mut Names) -> Result<Self, DecodeError> {
        let mut parts = Parts {
            id: "",
            payload: &[],
            content_type: "",
            time: None,
            expires_after: None,
            attributes: Attributes::default(),
        };
        let mut attributes: Option<AttributesBuilder> = None;
        let mut reader = Reader::new(content);
        while let Some((number, field)) = reader.field()? {
            match number {
                1 => parts.id = field.text()?,
                2 => {
                    let builder = attributes
                        .get_or_insert_with(|| AttributesBuilder::with_room(limits.attributes, ATTRIBUTES_ROOM));
                    let (name, value) = attribute(field, names)?;
                    builder.insert(name, value)?;
                }
                3 => parts.payload = field.bytes()?,
                4 => parts.content_type = field.text()?,
                5 => parts.time = Some(timestamp(field)?.map_err(DecodeError::Time)?),
                6 => parts.expires_after = Some(duration(field)?.map_err(DecodeError::ExpiresAfter)?),
                _ => {}
            }
        }
        parts.check(limits)?;
        parts.attributes = match attributes {
            Some(builder) => builder.build(),
            None => flattened(parts.payload, parts.content_type, limits)?,
        };
        Ok(parts)
    }

    fn check(&self, limits: &PublicationLimits) -> Result<(), PublicationError> {
        for (part, bytes, limit) in [
            ("id", self.id.len(), limits.id_bytes_max),
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
        Ok(())
    }
}

/// The attributes of a publication that gives none itself.
fn flattened(payload: &[u8], content_type: &str, limits: &PublicationLimits) -> Result<Attributes, DecodeError> {
    let said = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = said.eq_ignore_ascii_case("application/json") || ends_with_json(said);
    if payload.is_empty() || !(is_json || said.is_empty()) {
        return Ok(Attributes::default());
    }
    let limits = FlattenLimits {
        bytes_max: limits.payload_bytes_max,
        attributes: limits.attributes,
        ..FlattenLimits::default()
    };
    match attributes_from_json(payload, &limits) {
        Ok(attributes) => Ok(attributes),
        // Nobody said that it is JSON, and it is not: an opaque payload.
        Err(FlattenError::Syntax { .. }) if said.is_empty() => Ok(Attributes::default()),
        Err(error) => Err(error.into()),
    }
}

/// Structured syntax suffix (RFC 6839), `application/ld+json` for one.
fn ends_with_json(media_type: &str) -> bool {
    media_type
        .len()
        .checked_sub(5)
        .and_then(|at| media_type.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case("+json"))
}

/// One entry of the map of attributes: the name is field 1, the value field 2.
fn attribute(field: Field<'_>, names: &mut Names) -> Result<(Arc<str>, Value), DecodeError> {
    let mut name = "";
    let mut value = None;
    let mut reader = field.message()?;
    while let Some((number, field)) = reader.field()? {
        match number {
            1 => name = field.text()?,
            2 => value = Some(field.message()?),
            _ => {}
        }
    }
    let value = value.unwrap_or_else(|| Reader::new(&[]));
    match read_value(value)? {
        Ok(value) => Ok((names.share(name), value)),
        Err(error) => Err(DecodeError::Value { name: name.to_owned(), error }),
    }
}

/// A `gomera.v1.Value`: malformed bytes are the outer error, a value that makes no sense the inner.
fn read_value(mut reader: Reader<'_>) -> Result<Result<Value, ValueError>, Malformed> {
    let mut value = Err(ValueError::Missing);
    while let Some((number, field)) = reader.field()? {
        value = match number {
            1 => Ok(Value::Bool(field.varint()? != 0)),
            2 => Ok(Value::Integer(field.varint()?.cast_signed())),
            3 => Ok(Value::Float(f64::from_bits(field.fixed64()?))),
            4 => Ok(Value::String(field.text()?.into())),
            5 => timestamp(field)?.map(Value::Timestamp).map_err(ValueError::from),
            6 => geo_point(field)?,
            7 => array(field)?,
            _ => continue,
        };
    }
    Ok(value)
}

fn geo_point(field: Field<'_>) -> Result<Result<Value, ValueError>, Malformed> {
    let mut wire = v1::GeoPoint::default();
    let mut reader = field.message()?;
    while let Some((number, field)) = reader.field()? {
        match number {
            1 => wire.latitude = f64::from_bits(field.fixed64()?),
            2 => wire.longitude = f64::from_bits(field.fixed64()?),
            _ => {}
        }
    }
    Ok(value::geo_point(&wire).map(Value::GeoPoint).map_err(ValueError::from))
}

/// Never deeper than one level: an array within an array is refused before it is read.
fn array(field: Field<'_>) -> Result<Result<Value, ValueError>, Malformed> {
    let mut elements: Vec<Value> = Vec::new();
    let mut refused = None;
    let mut reader = field.message()?;
    while let Some((number, field)) = reader.field()? {
        if number != 1 {
            continue;
        }
        let index = elements.len();
        let element = field.message()?;
        if refused.is_none() && element.clone().has(7)? {
            refused = Some(ValueError::Nested(gomera_model::value::NestedArray { index }));
        }
        if refused.is_some() {
            continue;
        }
        match read_value(element)? {
            Ok(element) => elements.push(element),
            Err(error) => refused = Some(ValueError::Element { index, error: Box::new(error) }),
        }
    }
    Ok(match refused {
        Some(error) => Err(error),
        None => Value::array(elements).map_err(ValueError::from),
    })
}

fn timestamp(field: Field<'_>) -> Result<Result<Timestamp, TimeError>, Malformed> {
    let (seconds, nanos) = seconds_and_nanos(field)?;
    Ok(value::timestamp_from_parts(seconds, nanos))
}

fn duration(field: Field<'_>) -> Result<Result<Duration, TimeError>, Malformed> {
    let (seconds, nanos) = seconds_and_nanos(field)?;
    Ok(value::duration_from_parts(seconds, nanos))
}

/// The shape that `google.protobuf.Timestamp` and `Duration` share.
fn seconds_and_nanos(field: Field<'_>) -> Result<(i64, i32), Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = field.message()?;
    while let Some((number, field)) = reader.field()? {
        match number {
            1 => seconds = field.varint()?.cast_signed(),
            2 => nanos = field.int32()?,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

#[cfg(test)]
mod tests;
