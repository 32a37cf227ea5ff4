//! The workers of a process: made before its machines, begun after them.

use std::sync::Arc;

use gomera_cluster::address::Address;

use super::{Fabric, Input, Layered, NodeHandle, Worker, WorkerHandle};
use crate::clock::Clock;
use crate::mailbox;

/// Where machines run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// In the runtime that starts the process, all in one task: least hand-over between threads where that runtime has one.
    Shared,
    /// On so many threads of their own, one machine after the other; at least 1.
    Own(u16),
}

/// Workers that have not begun.
#[derive(Debug)]
pub struct Crew {
    clock: Clock,
    fabric: Fabric,
    threads: Threads,
    workers: Vec<Worker>,
    next: usize,
}

impl Crew {
    /// As many workers as there are to be threads.
    #[must_use]
    pub fn new(clock: Clock, fabric: Fabric, threads: Threads) -> Self {
        let count = match threads {
            Threads::Shared => 1,
            Threads::Own(count) => count.max(1),
        };
        let workers = (0..count).map(|_| Worker::new(clock, fabric.clone())).collect();
        Self { clock, fabric, threads, workers, next: 0 }
    }

    /// Time as all of them see it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The machines that all of them reach.
    #[must_use]
    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// What clients say is gathered for so long before machines are told.
    pub fn gather(&mut self, within: std::time::Duration) {
        for worker in &mut self.workers {
            worker.gather(within);
        }
    }

    /// Gives a machine to the next worker; says where it is told things.
    pub fn host(&mut self, address: Address, node: NodeHandle, machine: Layered) -> mailbox::Sender<Input> {
        let index = self.next % self.workers.len();
        self.next += 1;
        let worker = &mut self.workers[index];
        worker.host(address, node, machine);
        worker.inbox()
    }

    /// Begins.
    pub fn start(self) -> std::io::Result<RunningCrew> {
        let mut handles = Vec::new();
        for (worker, index) in self.workers.into_iter().zip(0_usize..) {
            handles.push(match self.threads {
                Threads::Shared => worker.spawn(),
                Threads::Own(_) => worker.spawn_thread(&format!("machines-{index}"))?,
            });
        }
        Ok(RunningCrew { clock: self.clock, handles: Arc::new(handles) })
    }
}

/// Workers at work.
#[derive(Clone, Debug)]
pub struct RunningCrew {
    clock: Clock,
    handles: Arc<Vec<WorkerHandle>>,
}

impl RunningCrew {
    /// How long ago the slowest loop last went round; about a second when there is nothing to do.
    #[must_use]
    pub fn silence(&self) -> std::time::Duration {
        let now = self.clock.now();
        self.handles.iter().map(|handle| now.since(handle.last_round())).max().unwrap_or_default()
    }

    /// Whether one of the loops is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.handles.iter().any(WorkerHandle::has_ended)
    }

    /// Ends all of them, after what they were told before.
    pub async fn stop(self) {
        for handle in self.handles.iter() {
            handle.stop().await;
        }
    }
}
