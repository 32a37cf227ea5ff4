//! The run loop: drives machines, several on one thread if need be.
//!
//! A [`Worker`] takes everything from its inbox, tells its machines, drains what they ask for, and goes round until nothing is
//! left to do here; then it hands over what goes elsewhere, one batch for each destination, and waits. So work is batched
//! exactly as far as it has piled up, and a lone message passes at once. Only what clients say may wait for a moment, if it is to go on
//! through links (`gathering`). Between machines of one worker a message is moved, not copied; to another worker of the process it goes
//! through a mailbox; to another process through a link.
//!
//! The worker also carries layouts: it tells its machines about new ones, asks senders whose epoch is above its own, and
//! answers those who ask.

mod alarm;
mod crew;
mod fabric;
mod gathering;
mod hosted;
mod worker;

pub use crew::{Crew, RunningCrew, Threads};
pub use fabric::{Fabric, NodeHandle};
pub use hosted::Layered;
pub use worker::{Worker, WorkerHandle};

use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation};
use gomera_cluster::identity::{ConnectionId, Tenant};
use gomera_cluster::layout::Layout;
use gomera_cluster::message::Frame;
use gomera_connection_point::client::{ClientEvent, ClientRequest};

use crate::client_door::Outbound;

/// What a worker can be told.
#[derive(Debug)]
pub enum Input {
    /// A message for one of its machines.
    Frame(Frame),
    /// A client connection is there; what it is told goes to `outbound`.
    Connected {
        /// The connection point that serves it.
        machine: Address,
        /// Never used before in this incarnation.
        connection: ConnectionId,
        /// Whose it is.
        tenant: Tenant,
        /// Where its replies go.
        outbound: Arc<Outbound>,
    },
    /// What a client asks.
    Request {
        /// The connection point that serves it.
        machine: Address,
        /// Who asks.
        connection: ConnectionId,
        /// What.
        request: ClientRequest,
    },
    /// So much has left for a client.
    Taken {
        /// The connection point that serves it.
        machine: Address,
        /// Whose.
        connection: ConnectionId,
        /// Sum of costs.
        cost: u64,
    },
    /// A client connection is gone.
    Disconnected {
        /// The connection point that served it.
        machine: Address,
        /// Which.
        connection: ConnectionId,
    },
    /// A node has a new layout.
    Layout {
        /// Which node.
        node: Incarnation,
        /// What.
        layout: Arc<Layout>,
    },
    /// A node has a new proposal.
    Proposed {
        /// Which node.
        node: Incarnation,
        /// What.
        proposal: Arc<Layout>,
    },
    /// End: nothing after this is looked at.
    Stop,
}

impl Input {
    /// About how many publications it brings; 1 if none.
    fn load(&self) -> usize {
        match self {
            Self::Request { request: ClientRequest::Publish { items, .. }, .. } => items.len().max(1),
            Self::Frame(frame) => frame.message.publications().max(1),
            Self::Request { .. }
            | Self::Connected { .. }
            | Self::Taken { .. }
            | Self::Disconnected { .. }
            | Self::Layout { .. }
            | Self::Proposed { .. }
            | Self::Stop => 1,
        }
    }

    /// Whether it comes from a client.
    fn is_of_client(&self) -> bool {
        match self {
            Self::Connected { .. } | Self::Request { .. } | Self::Taken { .. } | Self::Disconnected { .. } => true,
            Self::Frame(_) | Self::Layout { .. } | Self::Proposed { .. } | Self::Stop => false,
        }
    }

    /// The client event that this is, and for whom; `None` if it comes from no client.
    fn into_client_event(self) -> Option<(Address, ClientEvent)> {
        match self {
            Self::Connected { machine, connection, tenant, outbound: _ } => {
                Some((machine, ClientEvent::Connected { connection, tenant }))
            }
            Self::Request { machine, connection, request } => {
                Some((machine, ClientEvent::Request { connection, request }))
            }
            Self::Taken { machine, connection, cost } => Some((machine, ClientEvent::Taken { connection, cost })),
            Self::Disconnected { machine, connection } => Some((machine, ClientEvent::Disconnected { connection })),
            Self::Frame(_) | Self::Layout { .. } | Self::Proposed { .. } | Self::Stop => None,
        }
    }
}
