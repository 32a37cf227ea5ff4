//! The connection point: holds client connections and speaks for them to the access points (publications, operations) and to
//! the exit points (sessions, notifications). It sets the tenant, validates, stamps and bounds; it decides nothing about who
//! gets what.
//!
//! ```text
//!   client ──ClientEvent──▶ ┌────────────────────────────────┐ ──OpenPublisher, Publish, Operate──▶ access points
//!                           │ ConnectionPoint (a machine)    │
//!   client ◀─ClientAction── │  Publishers   Sessions   Lanes │ ──Attach, Acknowledge, credit──────▶ exit points
//!                           └────────────────────────────────┘
//! ```
//! [`machine`] puts the parts together; [`client`] is the vocabulary towards the host; `docs/protocols/connection-point.md` is
//! the protocol page.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod acceptance;
mod brake;
pub mod client;
pub mod config;
mod failure;
mod lanes;
pub mod machine;
mod output;
mod parting;
mod publishers;
mod rate;
mod sessions;
pub mod statistics;
mod surroundings;
mod timers;
mod turns;

pub use config::{Config, ConfigError};
pub use machine::{Action, ConnectionPoint, Event};
pub use statistics::Statistics;
