//! One connection of a client: what is asked goes to its machine, what is told to it waits in its outbound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gomera_cluster::address::Address;
use gomera_cluster::identity::ConnectionId;
use gomera_connection_point::client::ClientRequest;
use tonic::{Code, Status};

use super::{Door, End, Gone, Outbound};
use crate::mailbox;
use crate::runtime::Input;

/// What an input weighs in an inbox beside the bytes of its message.
const INPUT_BYTES: usize = 256;

/// A client's stream, as the machine knows it. When it is dropped, the machine is told that it is gone.
#[derive(Debug)]
pub struct Connection {
    pub door: Arc<Door>,
    pub outbound: Arc<Outbound>,
    id: ConnectionId,
    machine: Address,
    inbox: mailbox::Sender<Input>,
    is_gone: AtomicBool,
}

impl Connection {
    pub fn open(door: Arc<Door>, machine: Address, inbox: mailbox::Sender<Input>, id: ConnectionId) -> Arc<Self> {
        let outbound = Arc::new(Outbound::default());
        door.connected().insert(id, outbound.clone());
        let tenant = door.tenant();
        inbox.push(Input::Connected { machine, connection: id, tenant, outbound: outbound.clone() }, INPUT_BYTES);
        Arc::new(Self { door, outbound, id, machine, inbox, is_gone: AtomicBool::new(false) })
    }

    /// Waits until the machine can take more from this client.
    pub async fn readable(&self) -> Result<(), Gone> {
        self.outbound.readable().await?;
        self.inbox.room().await.map_err(|mailbox::Closed| Gone)
    }

    /// Passes a request on; `bytes` is about how large it is.
    pub fn ask(&self, request: ClientRequest, bytes: usize) {
        self.inbox.push(Input::Request { machine: self.machine, connection: self.id, request }, INPUT_BYTES + bytes);
    }

    /// So much was taken by the transport.
    pub fn taken(&self, cost: u64) {
        if cost > 0 {
            self.inbox.push(Input::Taken { machine: self.machine, connection: self.id, cost }, INPUT_BYTES);
        }
    }

    /// Ends the stream with a status of the door's own.
    pub fn fail(&self, status: Status) {
        self.outbound.end(End::Failed(status));
        self.disconnect();
    }

    /// The transport failed to give a message: the client is gone, or sent something that is none.
    pub fn transport_failed(&self, status: Status) {
        match status.code() {
            // What the decoder found; everything else is the end of the connection.
            Code::InvalidArgument | Code::OutOfRange | Code::Internal | Code::ResourceExhausted => self.fail(status),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Unimplemented
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => self.leave(),
        }
    }

    /// Nobody takes replies any more.
    pub fn leave(&self) {
        self.outbound.leave();
        self.disconnect();
    }

    /// The stream is over; the machine is told once. What was said is still told.
    pub fn disconnect(&self) {
        if self.is_gone.swap(true, Ordering::AcqRel) {
            return;
        }
        self.door.connected().remove(&self.id);
        self.inbox.push(Input::Disconnected { machine: self.machine, connection: self.id }, INPUT_BYTES);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
    }
}
