//! Values, timestamps, durations and attributes, between wire and model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_model::attributes::{AttributeLimits, Attributes, AttributesBuilder, AttributesError};
use gomera_model::geo::{GeoPoint, GeoPointError};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::{NestedArray, Value};

use crate::v1;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const NANOSECONDS_PER_MICROSECOND: i64 = 1_000;
const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// What `google.protobuf.Timestamp` can say: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A wire value that is no value of the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// No member of the union is set.
    #[error("has no value, must have one of boolean, integer, float, string, timestamp, geo_point, array")]
    Missing,
    /// A timestamp outside of what the wire type allows.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// Coordinates that name no place.
    #[error(transparent)]
    Place(#[from] GeoPointError),
    /// An array within an array.
    #[error(transparent)]
    Nested(#[from] NestedArray),
    /// What is wrong with an element of an array.
    #[error("array element {index} {error}")]
    Element {
        /// Which, from 0.
        index: usize,
        /// What.
        error: Box<ValueError>,
    },
}

/// A wire timestamp or duration out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a timestamp of the years 1 to 9999.
    #[error(
        "timestamp has {seconds} seconds and {nanos} nanos, must be of the years 1 to 9999 with nanos from 0 to 999999999"
    )]
    Timestamp {
        /// As given.
        seconds: i64,
        /// As given.
        nanos: i32,
    },
    /// A duration that is negative or not normalised.
    #[error("duration has {seconds} seconds and {nanos} nanos, must not be negative, nanos from 0 to 999999999")]
    Duration {
        /// As given.
        seconds: i64,
        /// As given.
        nanos: i32,
    },
}

/// Digits below a microsecond are cut off.
pub fn timestamp_from_parts(seconds: i64, nanos: i32) -> Result<Timestamp, TimeError> {
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(TimeError::Timestamp { seconds, nanos });
    }
    Ok(Timestamp(seconds * MICROSECONDS_PER_SECOND + i64::from(nanos) / NANOSECONDS_PER_MICROSECOND))
}

/// See [`timestamp_from_parts`].
pub fn timestamp(wire: &prost_types::Timestamp) -> Result<Timestamp, TimeError> {
    timestamp_from_parts(wire.seconds, wire.nanos)
}

/// To the wire.
#[must_use]
pub fn to_timestamp(timestamp: Timestamp) -> prost_types::Timestamp {
    let nanos = timestamp.0.rem_euclid(MICROSECONDS_PER_SECOND) * NANOSECONDS_PER_MICROSECOND;
    prost_types::Timestamp {
        seconds: timestamp.0.div_euclid(MICROSECONDS_PER_SECOND),
        nanos: i32::try_from(nanos).expect("below 10^9"),
    }
}

/// Refuses negative ones.
pub fn duration_from_parts(seconds: i64, nanos: i32) -> Result<Duration, TimeError> {
    let refused = TimeError::Duration { seconds, nanos };
    let whole = u64::try_from(seconds).map_err(|_| refused)?;
    let fraction =
        u32::try_from(nanos).ok().filter(|&nanos| i64::from(nanos) < NANOSECONDS_PER_SECOND).ok_or(refused)?;
    Ok(Duration::new(whole, fraction))
}

/// See [`duration_from_parts`].
pub fn duration(wire: &prost_types::Duration) -> Result<Duration, TimeError> {
    duration_from_parts(wire.seconds, wire.nanos)
}

/// To the wire; what it cannot say becomes the longest it can.
#[must_use]
pub fn to_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).expect("below 10^9"),
    }
}

/// From the wire.
pub fn value(wire: v1::Value) -> Result<Value, ValueError> {
    use v1::value::Value as Wire;
    Ok(match wire.value.ok_or(ValueError::Missing)? {
        Wire::Boolean(value) => Value::Bool(value),
        Wire::Integer(value) => Value::Integer(value),
        Wire::Float(value) => Value::Float(value),
        Wire::String(value) => Value::String(value.into()),
        Wire::Timestamp(value) => Value::Timestamp(timestamp(&value)?),
        Wire::GeoPoint(value) => Value::GeoPoint(geo_point(&value)?),
        Wire::Array(array) => {
            let elements = array
                .values
                .into_iter()
                .enumerate()
                .map(|(index, element)| {
                    value(element).map_err(|error| ValueError::Element { index, error: Box::new(error) })
                })
                .collect::<Result<Vec<_>, _>>()?;
            Value::array(elements)?
        }
    })
}

/// To the wire.
#[must_use]
pub fn to_value(value: &Value) -> v1::Value {
    use v1::value::Value as Wire;
    let wire = match value {
        Value::Bool(value) => Wire::Boolean(*value),
        Value::Integer(value) => Wire::Integer(*value),
        Value::Float(value) => Wire::Float(*value),
        Value::String(value) => Wire::String(value.as_ref().to_owned()),
        Value::Timestamp(value) => Wire::Timestamp(to_timestamp(*value)),
        Value::GeoPoint(value) => Wire::GeoPoint(to_geo_point(*value)),
        Value::Array(elements) => Wire::Array(v1::Array { values: elements.iter().map(to_value).collect() }),
    };
    v1::Value { value: Some(wire) }
}

/// From the wire.
pub fn geo_point(wire: &v1::GeoPoint) -> Result<GeoPoint, GeoPointError> {
    GeoPoint::new(wire.latitude, wire.longitude)
}

/// To the wire.
#[must_use]
pub fn to_geo_point(point: GeoPoint) -> v1::GeoPoint {
    v1::GeoPoint { latitude: point.latitude(), longitude: point.longitude() }
}

/// Wire attributes that are none of the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttributeError {
    /// A value.
    #[error("attribute `{name}` {error}")]
    Value {
        /// Of which.
        name: String,
        /// What is wrong.
        error: ValueError,
    },
    /// A name, or a cap.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
}

/// Attributes that a client gave (a context, say), under caps; system names are refused.
pub fn attributes(wire: BTreeMap<String, v1::Value>, limits: AttributeLimits) -> Result<Attributes, AttributeError> {
    let mut builder = AttributesBuilder::new(limits);
    for (name, wire) in wire {
        let value = match value(wire) {
            Ok(value) => value,
            Err(error) => return Err(AttributeError::Value { name, error }),
        };
        builder.insert(name, value)?;
    }
    Ok(builder.build())
}

/// To the wire.
#[must_use]
pub fn to_attributes(attributes: &Attributes) -> BTreeMap<String, v1::Value> {
    attributes.iter().map(|(name, value)| (name.as_ref().to_owned(), to_value(value))).collect()
}

/// Attributes of a frame between nodes: checked at the edge already.
pub(crate) fn trusted_attributes(
    wire: impl IntoIterator<Item = (String, v1::Value)>,
) -> Result<Attributes, AttributeError> {
    wire.into_iter()
        .map(|(name, wire)| match value(wire) {
            Ok(value) => Ok((Arc::<str>::from(name), value)),
            Err(error) => Err(AttributeError::Value { name, error }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    //! Claims about values on the wire.

    use super::*;

    #[test]
    fn times_before_1970_keep_their_microseconds() {
        for instant in
            [Timestamp(-1), Timestamp(0), Timestamp(1), Timestamp(-1_500_000), Timestamp(1_700_000_000_123_456)]
        {
            let wire = to_timestamp(instant);
            assert!((0..1_000_000_000).contains(&wire.nanos));
            assert_eq!(timestamp(&wire), Ok(instant));
        }
    }

    #[test]
    fn what_the_wire_cannot_mean_is_refused_by_name() {
        let refusals = [
            (v1::Value { value: None }, "has no value"),
            (
                v1::Value {
                    value: Some(v1::value::Value::Timestamp(prost_types::Timestamp { seconds: 0, nanos: -1 })),
                },
                "nanos",
            ),
            (
                v1::Value { value: Some(v1::value::Value::GeoPoint(v1::GeoPoint { latitude: 91.0, longitude: 0.0 })) },
                "latitude",
            ),
            (
                v1::Value {
                    value: Some(v1::value::Value::Array(v1::Array { values: vec![v1::Value { value: None }] })),
                },
                "array element 0 has no value",
            ),
        ];
        for (wire, expected) in refusals {
            let error = value(wire).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(duration_from_parts(-1, 0).is_err());
        assert!(duration_from_parts(1, 1_000_000_000).is_err());
        assert_eq!(duration_from_parts(1, 5), Ok(Duration::new(1, 5)));
    }
}
