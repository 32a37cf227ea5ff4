//! Links between nodes of different processes: one gRPC stream for each direction, made when there is first something to send.
//!
//! To machines, a link between two incarnations is first-in first-out and exactly once, with any delay. Packets of frames are
//! numbered from 1 and kept by the sender until the receiver has them; when the connection breaks, another one is made and
//! what was kept is sent again; the receiver drops what it has already. What waits for a link, and what is kept, is bounded by
//! the credit that machines give each other.
//!
//! ```text
//!  sender                                   receiver
//!    ── Hello(versions, cluster, who, whom) ──▶   refuses: another cluster, another incarnation, no common version
//!    ◀───────── Welcome(version, received) ───
//!    ── Packet(received + 1) … ──────────────▶   hands frames to the inboxes of its machines
//!    ◀──────────────────── received ──────────
//! ```
//! Invariant: a packet is handed over by the attempt that began last, in order of number, once.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Layout;
use gomera_cluster::message::Frame;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::mailbox;

pub use incoming::LinkServer;
use outgoing::Line;

/// Who a node is to its peers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name of its cluster: nodes of others are refused.
    pub cluster: Arc<str>,
    /// Its layer: decides what is decoded of what arrives.
    pub layer: Layer,
    /// This life of it.
    pub incarnation: Incarnation,
    /// `HOST:PORT` where its peers reach it.
    pub address: Arc<str>,
}

/// What the links of a node send.
#[derive(Clone, Debug)]
pub struct Links {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: Identity,
    runtime: Handle,
    known: Mutex<Known>,
    unreachable: watch::Sender<BTreeSet<Incarnation>>,
}

#[derive(Debug, Default)]
struct Known {
    /// By the layout.
    named: BTreeMap<Incarnation, Arc<str>>,
    /// By themselves, when they connected.
    introduced: BTreeMap<Incarnation, Arc<str>>,
    outgoing: BTreeMap<Incarnation, Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    frames: mailbox::Sender<Frame>,
    line: Arc<Mutex<Line>>,
    task: AbortHandle,
}

/// Whether a connection to a peer stands, told to whoever wants to know.
#[derive(Clone, Debug)]
struct Reached {
    peer: Incarnation,
    unreachable: watch::Sender<BTreeSet<Incarnation>>,
}

impl Reached {
    fn tell(&self, is_reached: bool) {
        self.unreachable.send_if_modified(|unreachable| {
            if is_reached { unreachable.remove(&self.peer) } else { unreachable.insert(self.peer) }
        });
    }
}

/// What a link has not got rid of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Frames that were not sent.
    pub frames: usize,
    /// Bytes of packets that were sent but not acknowledged.
    pub bytes: usize,
}

/// Most nodes remembered that no layout names: a cluster is far smaller, and who is forgotten introduces itself again.
const INTRODUCED_MAX: usize = 4096;

impl Links {
    /// Without peers. Must be called within the runtime that is to do the sending.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let unreachable = watch::Sender::new(BTreeSet::new());
        let inner = Inner { identity, runtime: Handle::current(), known: Mutex::default(), unreachable };
        Self { inner: Arc::new(inner) }
    }

    /// Peers of the layout to which there is something to send and no connection stands.
    #[must_use]
    pub fn unreachable(&self) -> watch::Receiver<BTreeSet<Incarnation>> {
        self.inner.unreachable.subscribe()
    }

    /// Who this node is to its peers.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Where to put what is for a node; `None` if nobody said where it is.
    #[must_use]
    pub fn to(&self, peer: Incarnation) -> Option<mailbox::Sender<Frame>> {
        let mut known = self.known();
        if let Some(outgoing) = known.outgoing.get(&peer) {
            return Some(outgoing.frames.clone());
        }
        let address = known.named.get(&peer).or_else(|| known.introduced.get(&peer))?.clone();
        let (frames, receiver) = mailbox::mailbox(0);
        let line = Arc::new(Mutex::new(Line::new(receiver)));
        let reached = Reached { peer, unreachable: self.inner.unreachable.clone() };
        let sending = outgoing::run(self.inner.identity.clone(), reached, address, line.clone());
        let task = self.inner.runtime.spawn(sending).abort_handle();
        known.outgoing.insert(peer, Outgoing { frames: frames.clone(), line, task });
        Some(frames)
    }

    /// Follows a layout: learns where its members are, and ends the links to those it names no more.
    pub fn follow(&self, layout: &Layout) {
        let mut known = self.known();
        let named = layout.members.iter().map(|(&node, member)| (node, member.link_address.clone())).collect();
        let before = std::mem::replace(&mut known.named, named);
        for removed in before.into_keys() {
            if !known.named.contains_key(&removed) {
                known.introduced.remove(&removed);
                if let Some(outgoing) = known.outgoing.remove(&removed) {
                    outgoing.task.abort();
                }
                Reached { peer: removed, unreachable: self.inner.unreachable.clone() }.tell(true);
            }
        }
    }

    /// A node said who it is and where.
    fn introduce(&self, node: Incarnation, address: &str) {
        if address.is_empty() {
            return;
        }
        let mut known = self.known();
        if known.introduced.len() >= INTRODUCED_MAX {
            known.introduced.clear();
        }
        known.introduced.insert(node, Arc::from(address));
    }

    /// How many frames wait for each link, and how many bytes each keeps until its receiver has them.
    #[must_use]
    pub fn depths(&self) -> Vec<(Incarnation, Depth)> {
        let depth = |outgoing: &Outgoing| {
            let line = outgoing::lock(&outgoing.line);
            Depth { frames: outgoing.frames.len() + line.frames(), bytes: line.bytes() }
        };
        self.known().outgoing.iter().map(|(&peer, outgoing)| (peer, depth(outgoing))).collect()
    }

    /// Ends all sending.
    pub fn close(&self) {
        for outgoing in std::mem::take(&mut self.known().outgoing).into_values() {
            outgoing.task.abort();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().expect("nothing that holds this lock panics")
    }
}
