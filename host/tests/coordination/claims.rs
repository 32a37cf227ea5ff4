//! The bodies of the claims. None knows which back-end it runs on.

pub mod handover;
pub mod leadership;
pub mod life;
pub mod operations;
pub mod standing;
pub mod wishes;
