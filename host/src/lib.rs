//! Placeholder.

pub mod coordination;
