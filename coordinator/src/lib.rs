//! The coordinator's logic: which nodes make up the cluster, and which layout governs them. Pure: it is told what stands in
//! the coordination service and asks for writes; `host` does both, and fences every write by the term.
//!
//! [`Coordinator`] is the machine; [`scaling`] is the way from one layout to another;
//! [`operations`] is the journal of what people ask for; [`registration`], [`desired`] and [`document`] say what the znodes contain; [`tree`] is the
//! in-process stand-in for ZooKeeper.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod config;
pub mod coordinator;
pub mod desired;
pub mod document;
pub mod operations;
pub mod plan;
pub mod presence;
pub mod registration;
pub mod scaling;
pub mod status;
pub mod supply;
pub mod tree;

pub use config::{Config, ConfigError};
pub use coordinator::{Action, Coordinator, Event, Statistics};
pub use desired::Desired;
pub use plan::Observation;
pub use presence::Probe;
pub use registration::{NodeState, Registration};
pub use status::{Phase, Status};
pub use supply::{Provisioner, Supply};
