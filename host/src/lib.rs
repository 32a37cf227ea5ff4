//! Drives machines in the real world: run loops, links, the door for clients, coordination, telemetry. Boring on purpose: what
//! can be wrong in an interesting way is in the machines.
//!
//! - [`node`]: one node of any layer, put together from the rest. [`cluster`]: a whole cluster in one process.
//! - [`runtime`]: the loop that machines run in. [`mailbox`]: queues between tasks. [`clock`]: the only clocks.
//! - [`links`]: frames to and from other processes. [`client_door`]: gRPC for clients. [`listening`]: ports.
//! - [`coordination`]: members, leader, layouts. [`telemetry`]: metrics, health, log.

pub mod client_door;
pub mod clock;
pub mod cluster;
pub mod coordination;
pub mod links;
pub mod listening;
pub mod mailbox;
pub mod node;
pub mod process;
pub mod runtime;
pub mod telemetry;
