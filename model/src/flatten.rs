//! JSON made into attributes: one pass over the text, no intermediate tree.
//!
//! - Members of nested objects become dotted paths: `{"env":{"co2":{"ppm":612}}}` gives `env.co2.ppm = 612`.
//! - An array of scalars becomes an array value (nulls in it are left out); an array that holds anything else becomes
//!   indexed paths, `a.0.b`.
//! - `null` is an absent attribute.
//! - An object with exactly the members `type: "Point"` and `coordinates: [longitude, latitude]` (RFC 7946; an altitude
//!   is left out) becomes a geo point. With coordinates that name no place it is an ordinary object.
//! - A float is the nearest to what is written, as for literals of the filter language.
//! - Strings stay strings, also those that read as RFC 3339; the language compares them with timestamps.
//! - A whole number beyond 64 bits becomes a float.
//! - A member given twice: the last wins, wholly (a `"a.b"` of the same object before it goes too, it lies on its path).
//!   Each repeat counts as an attribute under the cap. Two members that make one path (`{"a.b":1,"a":{"b":2}}`): the last
//!   wins.
//! - A top level that is not an object is taken as the member `value` of one: `23.5` gives `value = 23.5`.
//! - Names under `gomera.` are refused: they are the system's. So is a member with an empty name.
//! - A byte order mark before the text is ignored (RFC 8259 section 8.1).
//!
//! Errors name the place as a JSON pointer (RFC 6901), long names and long pointers cut.

mod visit;

use std::sync::Arc;

use serde::de::DeserializeSeed;

use crate::attributes::{AttributeLimits, Attributes, AttributesError};
use crate::value::Value;

/// The name that a top level other than an object goes by.
pub const TOP_LEVEL_NAME: &str = "value";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Nesting beyond this is refused whatever the limits say: it bounds the stack, and serde_json stops at 128 itself.
const DEPTH_MAX: usize = 100;

/// Caps on JSON that becomes attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlattenLimits {
    /// Bytes of the JSON text.
    pub bytes_max: usize,
    /// Nesting of objects and arrays; at most 100.
    pub depth_max: usize,
    /// Caps on what comes out.
    pub attributes: AttributeLimits,
}

impl Default for FlattenLimits {
    fn default() -> Self {
        Self { bytes_max: 1024 * 1024, depth_max: 32, attributes: AttributeLimits::default() }
    }
}

/// Why JSON did not become attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlattenError {
    /// Over `bytes_max`.
    #[error("JSON has {bytes} bytes; the cap is flatten.bytes_max = {limit}")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The cap.
        limit: usize,
    },
    /// Over `depth_max`.
    #[error("JSON is nested deeper than {limit} at {pointer}; the cap is flatten.depth_max = {limit}")]
    TooDeep {
        /// Where, as a JSON pointer.
        pointer: String,
        /// The cap.
        limit: usize,
    },
    /// Not JSON.
    #[error("not JSON at line {line}, column {column} (within {pointer}): {reason}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The innermost value that was being read, as a JSON pointer.
        pointer: String,
        /// What the reader says.
        reason: String,
    },
    /// An attribute that comes out is refused.
    #[error("JSON value at {pointer}: {error}")]
    Attribute {
        /// Where, as a JSON pointer.
        pointer: String,
        /// Why.
        error: AttributesError,
    },
}

/// Flattens a JSON text; the rules stand at the top of this file.
pub fn attributes_from_json(json: &[u8], limits: &FlattenLimits) -> Result<Attributes, FlattenError> {
    if json.len() > limits.bytes_max {
        return Err(FlattenError::TooLong { bytes: json.len(), limit: limits.bytes_max });
    }
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let mut state = visit::State::new(limits);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let outcome = visit::Node { state: &mut state, depth: 0 }
        .deserialize(&mut reader)
        .and_then(|outcome| reader.end().map(|()| outcome));
    match outcome {
        Ok(outcome) => state.finish(outcome),
        Err(error) => Err(state.into_error(&error)),
    }
}

/// One attribute found, in document order.
type Entry = (Arc<str>, Value);

#[cfg(test)]
mod tests;
