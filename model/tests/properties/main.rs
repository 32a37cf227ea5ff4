//! Properties of filters and of flattening, over generated filters, publications, contexts and JSON.

#![allow(clippy::unwrap_used, reason = "tests")]

mod deep;
mod filters;
mod force;
mod generator;
mod json;
mod values;
