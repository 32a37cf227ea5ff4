//! The matcher: judges publications against the subscriptions it holds, in the order of each lane, and tells exit points what
//! they satisfied.
//!
//! `docs/protocols/matcher.md` draws the states. [`machine::Matcher`] is the machine. What it holds is in [`subscriptions`]
//! (versions, tombstones, contexts, sessions), found through an [`index`]; each [`lane`](mod@lane) is an input worked off in
//! steps and one output for each exit point. Slices change hands by [`replicas`], which ask others for [`snapshots`]; what a dead
//! one left unsaid is judged once more in [`replaying`], also from what is [`retained`] of a lane whose writer died with it.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod config;
mod exits;
#[allow(clippy::wildcard_enum_match_arm, reason = "of kinds of conditions, where most places treat a few apart")]
pub mod index;
mod kernel;
mod lane;
mod listeners;
pub mod machine;
mod output;
mod ownership;
mod replaying;
mod replicas;
mod retained;
mod serving;
mod snapshots;
pub mod statistics;
mod subscriptions;
mod turns;

#[cfg(test)]
mod fixture;
