//! The exit point: merges what matchers found into outboxes of sessions and hands notifications to connection points.
//!
//! ```text
//!  Matches ─▶ lane (coverage, holes, credit) ─▶ merge (complete positions, union of handles) ─▶ outbox of each session
//!                                                                                                  │
//!  access point ◀─ Merged                                     connection point ◀─ Notifications ◀──┘ limits, policy
//! ```
//! One [`ExitPoint`] is one shard: a machine without I/O. It promises that what a session gets from one lane is an increasing
//! subsequence of that lane, complete but for what its policy or limits gave up, which it is told. The protocol is written
//! down in `docs/protocols/exit-point.md`.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod config;
mod exit_point;
mod lane;
mod limits;
mod merge;
mod notify;
mod outbox;
mod relay;
mod replicas;
mod schedule;
mod session;
mod sessions;
mod settled;
mod statistics;
#[cfg(test)]
mod testing;

pub use config::{Config, ConfigError, ContentBuffers};
pub use exit_point::{Action, Event, ExitPoint};
pub use statistics::Statistics;
