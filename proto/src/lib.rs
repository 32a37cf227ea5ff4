//! The wire: generated code for the public interface and for links, and the only conversions between wire types and the
//! types of `model`, `cluster` and `connection-point`.
//!
//! - [`v1`]: `gomera.v1` as the schema says.
//! - [`raw`]: the messages of `gomera.v1` that hold publications, with each publication as bytes; what passes publications on
//!   without looking at them uses this.
//! - [`publication`]: reads publications straight from their bytes.
//! - [`operation`]: what is asked of the cluster's shape.
//! - [`door`]: what clients of a connection point send and get.
//! - [`link`]: frames between nodes.

pub mod code;
pub mod codec;
pub mod door;
pub mod filter;
pub mod link;
pub mod operation;
pub mod publication;
pub mod topology;
pub mod value;
pub mod vector;

/// `gomera.v1` as the schema says.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/plain/gomera.v1.rs"));
}

/// What KEDA asks of an external scaler.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod keda {
    include!(concat!(env!("OUT_DIR"), "/keda/externalscaler.rs"));
}

/// The messages and services of `gomera.v1` that hold publications, with each publication as [`bytes::Bytes`].
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod raw {
    include!(concat!(env!("OUT_DIR"), "/raw/gomera.v1.rs"));
}

/// The service of a connection point, where notifications come as bytes that [`door::FrameWriter`] wrote.
#[allow(missing_docs, clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod served {
    include!(concat!(env!("OUT_DIR"), "/served/gomera.v1.rs"));
}

/// The descriptors of `gomera.v1` and of what KEDA asks, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
