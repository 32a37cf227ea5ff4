//! The access point: one shard of it writes lanes. It gives publications and operations their numbers, sends them to the
//! matchers that have to see them, keeps them until every exit point has merged past them, and then acknowledges.
//!
//! `docs/protocols/access-point.md` draws the states. [`machine::AccessPoint`] is the machine; a [`lane`] is one ordered
//! stream within it, made of a retained [`log`], the [`publishers`] it knows, the [`operations`] that await their matchers,
//! the [`readers`] the log is sent to, what is sent again in [`replays`], and the [`sources`] that credit is granted to.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod config;
mod lane;
mod log;
pub mod machine;
mod operations;
mod publishers;
mod readers;
mod replays;
mod routes;
mod settling;
mod sources;
pub mod statistics;

#[cfg(test)]
mod fixture;
