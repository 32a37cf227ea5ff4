//! Who can be reached from here, and how: machines of this process through the inbox of their worker, others through links.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use gomera_cluster::address::{Address, Incarnation, Shard};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::message::Frame;
use gomera_cluster::report::Report;
use tokio::sync::watch;

use super::Input;
use crate::links::Links;
use crate::mailbox;

/// The machines of this process. Shared by all its workers, links and doors.
#[derive(Clone, Debug, Default)]
pub struct Fabric {
    inboxes: Arc<RwLock<HashMap<Address, mailbox::Sender<Input>>>>,
}

impl Fabric {
    /// A machine of this process is reached so.
    pub fn add(&self, machine: Address, inbox: mailbox::Sender<Input>) {
        self.inboxes.write().expect("nothing that holds this lock panics").insert(machine, inbox);
    }

    /// A machine of this process is no more.
    pub fn remove(&self, machine: Address) {
        self.inboxes.write().expect("nothing that holds this lock panics").remove(&machine);
    }

    /// The inbox of a machine, if it lives in this process.
    #[must_use]
    pub fn inbox(&self, machine: Address) -> Option<mailbox::Sender<Input>> {
        self.inboxes.read().expect("nothing that holds this lock panics").get(&machine).cloned()
    }
}

/// What the parts of one node share.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    incarnation: Incarnation,
    layout: watch::Sender<Option<Arc<Layout>>>,
    reports: watch::Sender<Vec<Report>>,
    /// Bytes that wait in each of its machines.
    backlogs: Arc<[AtomicU64]>,
    links: Option<Links>,
}

impl NodeHandle {
    /// A node of so many shards, without a layout. Without links it reaches only this process.
    #[must_use]
    pub fn new(incarnation: Incarnation, shards: u16, links: Option<Links>) -> Self {
        let reports = vec![Report::default(); usize::from(shards)];
        Self {
            incarnation,
            layout: watch::Sender::new(None),
            reports: watch::Sender::new(reports),
            backlogs: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            links,
        }
    }

    /// How far its machines have come, by shard.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Vec<Report>> {
        self.reports.subscribe()
    }

    /// One of its machines has come further.
    pub(super) fn report(&self, shard: Shard, report: &Report) {
        self.reports.send_if_modified(|reports| match reports.get_mut(usize::from(shard.0)) {
            Some(before) if before != report => {
                before.clone_from(report);
                true
            }
            Some(_) | None => false,
        });
    }

    /// Bytes that waited in its machines when they last said so, at most a second ago.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        self.backlogs.iter().map(|backlog| backlog.load(Ordering::Relaxed)).sum()
    }

    /// So much waits in one of its machines.
    pub(super) fn note_backlog(&self, shard: Shard, bytes: u64) {
        if let Some(backlog) = self.backlogs.get(usize::from(shard.0)) {
            backlog.store(bytes, Ordering::Relaxed);
        }
    }

    /// This life of the node.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Its layout, and newer ones as they come.
    #[must_use]
    pub fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.layout.subscribe()
    }

    /// The epoch of its layout, 0 if there is none.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.layout.borrow().as_ref().map_or(Epoch(0), |layout| layout.epoch)
    }

    /// A committed layout, wherever it comes from; older ones than the one here are ignored.
    pub fn offer(&self, offered: &Arc<Layout>) {
        self.layout.send_if_modified(|layout| {
            let newer = layout.as_ref().is_none_or(|layout| layout.epoch < offered.epoch);
            if newer {
                *layout = Some(offered.clone());
            }
            newer
        });
    }

    /// The way to another node.
    pub(super) fn link(&self, to: Incarnation) -> Option<mailbox::Sender<Frame>> {
        self.links.as_ref()?.to(to)
    }
}
