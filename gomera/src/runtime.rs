//! Where commands run: a runtime with as many threads as serve best, and what the process asks of the kernel.

use std::future::Future;
use std::num::NonZero;

use crate::configuration::Configuration;
use crate::exit::{Failure, Outcome, Reason};

/// Runs what others connect to.
///
/// # Errors
/// If threads cannot be had, and what the command says.
pub fn serve(configuration: &Configuration, command: impl Future<Output = Outcome>) -> Outcome {
    take_descriptors();
    if !configuration.huge_pages {
        refuse_huge_pages();
    }
    let threads = match configuration.workers {
        0 => cores(),
        workers => usize::from(workers),
    };
    block_on(threads, command)
}

/// Runs what talks to a cluster, or brings one along for a while.
///
/// # Errors
/// As [`serve`].
pub fn run(command: impl Future<Output = Outcome>) -> Outcome {
    refuse_huge_pages();
    block_on(cores(), command)
}

/// The part of the cores that each of so many neighbours may take, and at least one.
pub fn share(neighbours: usize) -> u16 {
    u16::try_from((cores() / neighbours.max(1)).max(1)).unwrap_or(u16::MAX)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn block_on(threads: usize, command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Reason::Internal, error))?;
    runtime.block_on(command)
}

/// A client is a descriptor, and shells grant a thousand of them unless a program asks for what it may have.
fn take_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// The allocator asks for pages of 2 MiB. Whoever touches one first waits until the kernel has cleared all of it, and in a burst
/// of publications these waits add up to seconds (`docs/decisions/0005-threads-and-pages-of-a-server.md`).
fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory comes in huge pages");
    }
}
