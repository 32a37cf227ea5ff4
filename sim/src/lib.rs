//! The simulator: a whole cluster with its clients in one thread, from one seed, and checkers that know the promises.
//!
//! A [`plan`] is drawn from a seed; a [`world`] runs it: machines behind [`node`], links in [`network`], client streams in
//! [`doors`], [`publisher`]s and [`subscriber`]s that behave as `gomera.v1` says. What clients did and saw is the [`history`];
//! the [`judge`] compares it with the promises of `DESIGN.md` section 2 and the plain evaluator. `docs/simulation.md` tells what
//! is checked, how, and what the checks are known to catch.

pub mod agenda;
pub mod describe;
pub mod doors;
pub mod exhaustive;
pub mod history;
pub mod judge;
pub mod ledger;
pub mod names;
pub mod network;
pub mod node;
pub mod plan;
pub mod publisher;
pub mod random;
pub mod script;
pub mod service;
pub mod stage;
pub mod subscriber;
pub mod subscriptions;
pub mod swarm;
pub mod tally;
pub mod timeline;
pub mod traffic;
pub mod transcript;
pub mod verdict;
pub mod watch;
pub mod world;
