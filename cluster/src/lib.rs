//! What all four layers share, and nothing that does I/O: time, identities, the layout and its epochs, the messages between
//! machines, credit, coverage, and the gate that keeps stale senders out. A layer crate is `model` + this + its own idea.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod address;
pub mod coverage;
pub mod credit;
pub mod gate;
pub mod hash;
pub mod identity;
pub mod layout;
pub mod machine;
pub mod message;
pub mod operation;
pub mod pages;
pub mod position;
pub mod publication;
pub mod report;
pub mod rules;
pub mod session;
pub mod table;
pub mod time;
