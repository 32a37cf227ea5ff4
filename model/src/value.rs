//! Typed values: what an attribute of a publication or of a subscriber's context can be.
//!
//! Two notions of sameness live side by side and must not be confused. The traits `Eq`, `Ord` and `Hash` are
//! *structural*: `5` and `5.0` differ, a NaN equals itself, `-0.0` differs from `0.0`; they exist so that values can be
//! keys. The filter language compares with [`Value::compare`], where `5 = 5.0` and a NaN equals nothing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::geo::GeoPoint;
use crate::timestamp::Timestamp;

/// A typed value. Cheap to clone: texts and arrays are shared.
#[derive(Clone, Debug)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A binary floating-point number; NaN and the infinities can occur in publications, never as filter constants.
    Float(f64),
    /// Unicode text.
    String(Arc<str>),
    /// An instant.
    Timestamp(Timestamp),
    /// A place on Earth.
    GeoPoint(GeoPoint),
    /// Scalars in order.
    Array(Array),
}

/// An array was given an array as an element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("array element {index} is itself an array; elements must be scalars")]
pub struct NestedArray {
    /// Which element, from 0.
    pub index: usize,
}

/// Scalars in order: an array never holds an array.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Array(Arc<[Value]>);

impl Array {
    /// Takes scalars; refuses an array among them.
    pub fn new(elements: impl Into<Arc<[Value]>>) -> Result<Self, NestedArray> {
        let elements = elements.into();
        match elements.iter().position(|element| matches!(element, Value::Array(_))) {
            Some(index) => Err(NestedArray { index }),
            None => Ok(Self(elements)),
        }
    }

    /// The elements, none of which is an array.
    #[must_use]
    pub fn elements(&self) -> &[Value] {
        &self.0
    }
}

impl Deref for Array {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl TryFrom<Vec<Value>> for Array {
    type Error = NestedArray;

    fn try_from(elements: Vec<Value>) -> Result<Self, NestedArray> {
        Self::new(elements)
    }
}

impl Value {
    /// A text value.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// An array value; refuses nested arrays.
    pub fn array(elements: impl Into<Arc<[Value]>>) -> Result<Self, NestedArray> {
        Array::new(elements).map(Self::Array)
    }

    /// The name of the type, as error texts and the specification use it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Timestamp(_) => "timestamp",
            Self::GeoPoint(_) => "geo point",
            Self::Array(_) => "array",
        }
    }

    /// Approximate heap bytes that this value holds, beside its own size.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Timestamp(_) | Self::GeoPoint(_) => 0,
            Self::String(text) => shared_text_bytes(text),
            Self::Array(elements) => {
                let elements_bytes: usize =
                    elements.iter().map(|element| size_of::<Value>() + element.heap_bytes()).sum();
                elements_bytes + ARC_HEADER_BYTES
            }
        }
    }

    /// The comparison of the filter language; see [`Comparability`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Comparability {
        Scalar::from(self).compare(Scalar::from(other))
    }
}

/// Two reference counts precede the contents of an `Arc`.
pub(crate) const ARC_HEADER_BYTES: usize = 2 * size_of::<usize>();

/// What an `Arc<str>` asks the allocator for: the counts, and the text up to their alignment.
pub(crate) fn shared_text_bytes(text: &str) -> usize {
    ARC_HEADER_BYTES + text.len().next_multiple_of(align_of::<usize>())
}

/// What the filter language knows about two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparability {
    /// Like types with an order.
    Ordered(Ordering),
    /// Like types that are only equal or not: booleans, geo points, arrays.
    Equatable(bool),
    /// A NaN is involved: not equal, and neither less nor greater.
    Unordered,
    /// Types that cannot be compared: every comparison is false (JMS 2.0, section 3.8.1.1).
    Unlike,
}

/// A borrowed value, the evaluator's currency: `Copy`, so that evaluating allocates nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(&'a str),
    Timestamp(Timestamp),
    GeoPoint(GeoPoint),
    Array(&'a [Value]),
}

impl<'a> From<&'a Value> for Scalar<'a> {
    #[inline]
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::Float(value) => Self::Float(*value),
            Value::String(value) => Self::String(value),
            Value::Timestamp(value) => Self::Timestamp(*value),
            Value::GeoPoint(value) => Self::GeoPoint(*value),
            Value::Array(value) => Self::Array(value.elements()),
        }
    }
}

impl Scalar<'_> {
    /// Numbers compare exactly across integer and float; a string that reads as RFC 3339 compares with a timestamp as
    /// the instant it names; strings order by code point.
    #[inline]
    pub(crate) fn compare(self, other: Scalar<'_>) -> Comparability {
        match (self, other) {
            (Self::Integer(left), Scalar::Integer(right)) => Comparability::Ordered(left.cmp(&right)),
            (Self::Float(left), Scalar::Float(right)) => ordered(left.partial_cmp(&right)),
            (Self::Integer(left), Scalar::Float(right)) => ordered(compare_integer_with_float(left, right)),
            (Self::Float(left), Scalar::Integer(right)) => {
                ordered(compare_integer_with_float(right, left).map(Ordering::reverse))
            }
            (Self::String(left), Scalar::String(right)) => Comparability::Ordered(left.cmp(right)),
            (Self::Timestamp(left), Scalar::Timestamp(right)) => Comparability::Ordered(left.cmp(&right)),
            (Self::Timestamp(left), Scalar::String(right)) => match Timestamp::parse(right) {
                Some(right) => Comparability::Ordered(left.cmp(&right)),
                None => Comparability::Unlike,
            },
            (Self::String(left), Scalar::Timestamp(right)) => match Timestamp::parse(left) {
                Some(left) => Comparability::Ordered(left.cmp(&right)),
                None => Comparability::Unlike,
            },
            (Self::Bool(left), Scalar::Bool(right)) => Comparability::Equatable(left == right),
            (Self::GeoPoint(left), Scalar::GeoPoint(right)) => Comparability::Equatable(left.is_same_place(right)),
            (Self::Array(left), Scalar::Array(right)) => Comparability::Equatable(
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| Scalar::from(left).equals(Scalar::from(right))),
            ),
            (
                Self::Bool(_)
                | Self::Integer(_)
                | Self::Float(_)
                | Self::String(_)
                | Self::Timestamp(_)
                | Self::GeoPoint(_)
                | Self::Array(_),
                _,
            ) => Comparability::Unlike,
        }
    }

    /// The `=` of the language.
    #[inline]
    pub(crate) fn equals(self, other: Scalar<'_>) -> bool {
        match self.compare(other) {
            Comparability::Ordered(ordering) => ordering == Ordering::Equal,
            Comparability::Equatable(equal) => equal,
            Comparability::Unordered | Comparability::Unlike => false,
        }
    }
}

#[inline]
fn ordered(ordering: Option<Ordering>) -> Comparability {
    ordering.map_or(Comparability::Unordered, Comparability::Ordered)
}

/// Compares without rounding either side; `None` for a NaN.
#[inline]
#[must_use]
pub fn compare_integer_with_float(integer: i64, float: f64) -> Option<Ordering> {
    /// 2^63, which a float represents exactly.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= LIMIT {
        return Some(Ordering::Less);
    }
    if float < -LIMIT {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "whole is an integer in [-2^63, 2^63): the cast is exact")]
    let whole_integer = whole as i64;
    Some(integer.cmp(&whole_integer).then_with(|| {
        // Equal whole parts: the sign of what trunc cut off decides.
        let cut = float - whole;
        if cut > 0.0 {
            Ordering::Less
        } else if cut < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }))
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Structural: by type, then by contents; floats by IEEE total order.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
            (Self::GeoPoint(left), Self::GeoPoint(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => left.cmp(right),
            _ => self.type_rank().cmp(&other.type_rank()),
        }
    }
}

impl Value {
    fn type_rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Integer(_) => 1,
            Self::Float(_) => 2,
            Self::String(_) => 3,
            Self::Timestamp(_) => 4,
            Self::GeoPoint(_) => 5,
            Self::Array(_) => 6,
        }
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.type_rank().hash(state);
        match self {
            Self::Bool(value) => value.hash(state),
            Self::Integer(value) => value.hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::String(value) => value.hash(state),
            Self::Timestamp(value) => value.hash(state),
            Self::GeoPoint(value) => value.hash(state),
            Self::Array(value) => value.hash(state),
        }
    }
}

/// The literal of the filter language where there is one. An array, a NaN or an infinity has none and prints for
/// people only.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => formatter.write_str("TRUE"),
            Self::Bool(false) => formatter.write_str("FALSE"),
            Self::Integer(value) => write!(formatter, "{value}"),
            // Debug form: always a point or an exponent, and the shortest text that reads back to the same bits.
            Self::Float(value) => write!(formatter, "{value:?}"),
            Self::String(text) => write_quoted(formatter, text, '\''),
            Self::Timestamp(instant) => write!(formatter, "TIMESTAMP '{instant}'"),
            Self::GeoPoint(point) => write!(formatter, "POINT({:?}, {:?})", point.latitude(), point.longitude()),
            Self::Array(elements) => {
                formatter.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(formatter, "{separator}{element}")?;
                }
                formatter.write_str("]")
            }
        }
    }
}

/// Writes `text` between `quote`s, doubling those inside.
pub(crate) fn write_quoted(formatter: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    write!(formatter, "{quote}")?;
    for (index, part) in text.split(quote).enumerate() {
        if index > 0 {
            write!(formatter, "{quote}{quote}")?;
        }
        formatter.write_str(part)?;
    }
    write!(formatter, "{quote}")
}

/// As JSON: a timestamp is its RFC 3339 text, a geo point is a GeoJSON Point, a float that JSON cannot write is null.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Float(_) => serializer.serialize_none(),
            Self::String(text) => serializer.serialize_str(text),
            Self::Timestamp(instant) => serializer.collect_str(instant),
            Self::GeoPoint(point) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "Point")?;
                map.serialize_entry("coordinates", &[point.longitude(), point.latitude()])?;
                map.end()
            }
            Self::Array(elements) => {
                let mut sequence = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements.iter() {
                    sequence.serialize_element(element)?;
                }
                sequence.end()
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Timestamp(value)
    }
}

impl From<GeoPoint> for Value {
    fn from(value: GeoPoint) -> Self {
        Self::GeoPoint(value)
    }
}

#[cfg(test)]
mod tests;
