//! The door for clients: the gRPC server of a connection point. It turns the streams of `gomera.v1` into events of the machine
//! and what that says back into streams, and decides nothing itself.
//!
//! Every stream is a *connection* of the machine. A task reads the stream, no further than the machine and its inbox allow; the
//! replies are a stream of their own that takes what is there whenever the transport has room, many notifications to a frame.
//! What has been taken by the transport is told to the machine, which so knows what is under way to each client.

mod config;
mod connection;
mod listen;
mod outbound;
mod publish;
mod scaler;
mod sent;
mod server;
mod service;
mod session;
mod shape;
mod unary;

pub use config::{ClientDoorConfig, ConfigError};
pub use outbound::{End, Gone, Outbound, Reply};
pub use server::{ClientDoor, Parts};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Instance, Tenant};
use tokio::sync::watch;

use crate::mailbox;
use crate::runtime::{Input, NodeHandle};
use connection::Connection;

/// What all connections of a door share.
#[derive(Debug)]
struct Door {
    cluster: Arc<str>,
    node: NodeHandle,
    config: ClientDoorConfig,
    /// The shards of this connection point.
    machines: Vec<(Address, mailbox::Sender<Input>)>,
    next_connection: AtomicU64,
    /// Whoever is connected, to be told goodbye.
    connected: Mutex<BTreeMap<ConnectionId, Arc<Outbound>>>,
    /// Whether the door is closing: who comes now is told so at once.
    closing: watch::Sender<bool>,
}

impl Door {
    /// A connection of its own for a stream that begins, on one shard after the other.
    fn connect(self: &Arc<Self>) -> Arc<Connection> {
        let ordinal = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let shards = u64::try_from(self.machines.len()).expect("a few shards");
        let shard = usize::try_from(ordinal % shards).expect("below the number of shards");
        let (machine, inbox) = self.machines[shard].clone();
        Connection::open(self.clone(), machine, inbox, ConnectionId(ordinal + 1))
    }

    /// Everybody is the same tenant as long as there are no identities.
    fn tenant(&self) -> Tenant {
        Tenant::open()
    }

    /// For a publisher that gave no instance.
    fn draw_instance() -> Instance {
        Instance(rand::random())
    }

    fn connected(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConnectionId, Arc<Outbound>>> {
        self.connected.lock().expect("nothing that holds this lock panics")
    }

    /// Whether the layout tells this node to leave: it takes nobody in.
    fn is_leaving(&self) -> bool {
        let layout = self.node.layout();
        let layout = layout.borrow();
        layout.as_ref().is_some_and(|layout| layout.leaving.contains(&self.node.incarnation()))
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}
