//! The words of Gomera as data: values, attributes, publications and filters.
//!
//! Everything here is pure: no I/O, no clock, no randomness. `docs/filter-language.md` is the specification of the
//! filter language; the plain evaluator in [`filter`] is its oracle, against which every index is tested.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod attributes;
pub mod filter;
pub mod flatten;
pub mod geo;
pub mod publication;
mod shown;
pub mod timestamp;
pub mod value;

pub use attributes::{AttributeLimits, Attributes, AttributesBuilder, AttributesError};
pub use filter::{AttributeSource, Filter, FilterLimits, ParseError, Truth, evaluate, normalise};
pub use flatten::{FlattenError, FlattenLimits, attributes_from_json};
pub use geo::{GeoPoint, Polygon};
pub use publication::{Publication, PublicationError, PublicationLimits};
pub use timestamp::Timestamp;
pub use value::{Array, Value};
