//! A load that goes on while the cluster changes, and the judgement of every promise from outside: by the client crate and, beside
//! it, by clients that speak plain gRPC.
//!
//! Publishers follow a schedule whatever the cluster does (open loop). Judged sessions share the subscriptions and know each
//! publication that has to come. Probers change subscriptions and contexts, come and go, and ask of each change whether it holds
//! from its acknowledgement on.

mod plain;
mod plain_publisher;
mod plain_session;
mod prober;
mod publisher;
mod session;
pub mod shared;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::driver::pace::Pace;
use crate::judge::Phase;
use crate::workload::Content;
use shared::Shared;

/// How long the last notifications and acknowledgements may take after the last publication.
const DRAIN: Duration = Duration::from_secs(30);

/// What is put on the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Subscriptions over all judged sessions.
    pub subscriptions: u64,
    /// Publications a second over all publishers.
    pub rate: u64,
    /// Judged sessions; every second one speaks plain gRPC.
    pub sessions: u64,
    /// Publishers; every second one speaks plain gRPC.
    pub publishers: u64,
    /// Payload bytes.
    pub payload: usize,
    /// Clients ask a silent connection after so long whether it lives, and give it up after as long again.
    pub keep_alive: Duration,
}

/// The load while it is on.
pub struct Trial {
    /// What all of it share.
    pub shared: Arc<Shared>,
    publishers: Vec<JoinHandle<Result<()>>>,
    probers: Vec<JoinHandle<Result<()>>>,
    sessions: Vec<JoinHandle<Result<()>>>,
    stop: watch::Sender<bool>,
}

/// What a trial found, over all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Publications sent.
    #[serde(rename = "publications")]
    pub published: u64,
    /// Due and never come.
    pub lost: u64,
    /// Come again, or where they were not due.
    pub duplicated: u64,
    /// Come after a later one of the same publisher.
    pub reordered: u64,
    /// Come although the subscription did not ask for it any more, or not yet.
    pub unexpected: u64,
    /// Publications that were never acknowledged.
    pub unacknowledged: u64,
    /// Streams that broke and sessions that had to be made anew.
    pub disconnects: u64,
}

impl Trial {
    /// Declares all subscriptions at the connection points at `doors`, and puts the load on. `others` are addresses that clients may go
    /// to when one breaks, besides those that the cluster tells.
    ///
    /// # Errors
    /// If the cluster refuses something.
    pub async fn start(load: Load, doors: &[String], others: &[String]) -> Result<Self> {
        let content = Content::new(load.subscriptions, load.sessions, 1, load.payload)?;
        let shared = Arc::new(Shared::new(content, load, [doors, others].concat())?);
        let (stop, stopped) = watch::channel(false);
        let begun = Instant::now();
        let at = |ordinal: u64| -> Vec<String> {
            // Its own first, then what else is known.
            let own = &doors[usize::try_from(ordinal).unwrap_or(0) % doors.len()];
            let others = others.iter().filter(|door| *door != own).cloned();
            std::iter::once(own.clone()).chain(others).collect()
        };
        let attached = (0..load.sessions).map(|ordinal| {
            let (shared, doors, stopped) = (shared.clone(), at(ordinal / 2), stopped.clone());
            async move {
                let name = format!("judged-{ordinal}");
                if ordinal % 2 == 0 {
                    session::attach(shared, ordinal, &name, doors, stopped).await
                } else {
                    plain_session::attach(shared, ordinal, &name, doors, stopped).await
                }
                .with_context(|| format!("declare the subscriptions of session {name}"))
            }
        });
        let sessions = try_join_all(attached).await?;
        eprintln!("loadtest: {} subscriptions stand after {:.1} s", load.subscriptions, begun.elapsed().as_secs_f64());
        let mut pace = Pace::new(shared.begun);
        let mut publishers = Vec::new();
        for ordinal in 0..load.publishers {
            let (doors, schedule) = (at(ordinal / 2), pace.schedule());
            publishers.push(if ordinal % 2 == 0 {
                publisher::open(shared.clone(), ordinal, doors, schedule).await?
            } else {
                plain_publisher::open(shared.clone(), ordinal, doors, schedule).await?
            });
        }
        let mut probers = prober::start(&shared, doors, others, &stopped).await?;
        probers.push(tokio::spawn(shared::tally(shared.clone(), stopped)));
        pace.begin();
        Ok(Self { shared, publishers, probers, sessions, stop })
    }

    /// From now on the run is in this phase, for so long; ends early with an error if a client fails.
    ///
    /// # Errors
    /// What a client could not do.
    pub async fn run(&mut self, phase: Phase, length: Duration) -> Result<()> {
        self.shared.enter(phase);
        tokio::time::sleep(length).await;
        self.check().await
    }

    /// # Errors
    /// What a client could not do, if one has failed.
    pub async fn check(&mut self) -> Result<()> {
        for tasks in [&mut self.publishers, &mut self.sessions, &mut self.probers] {
            if let Some(index) = tasks.iter().position(JoinHandle::is_finished) {
                tasks.swap_remove(index).await??;
                bail!("a client ended by itself");
            }
        }
        Ok(())
    }

    /// Publishes no more, waits for what is due, and judges.
    ///
    /// # Errors
    /// What a client could not do.
    pub async fn finish(self) -> Result<(Findings, Arc<Shared>)> {
        let Self { shared, publishers, probers, sessions, stop } = self;
        shared.enter(Phase::Aside);
        shared.stop_publishing();
        let deadline = tokio::time::Instant::now() + DRAIN;
        for publisher in publishers {
            match tokio::time::timeout_at(deadline, publisher).await {
                Ok(ended) => ended?.context("publish")?,
                Err(_) => shared.say("a publisher waits for acknowledgements"),
            }
        }
        while shared.outstanding() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What comes twice comes after everything that was due.
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.send_replace(true);
        for task in probers.into_iter().chain(sessions) {
            match tokio::time::timeout(DRAIN, task).await {
                Ok(ended) => ended?.context("subscribe")?,
                Err(_) => shared.say("a subscriber does not end"),
            }
        }
        Ok((shared.findings(), shared))
    }
}

/// Latencies of all judged sessions in one part of the run.
pub fn latency(shared: &Shared, phase: Phase) -> Result<Histogram<u64>> {
    let mut all = Histogram::new_with_max(60_000_000, 3)?;
    for expected in &shared.expected {
        all.add(shared::lock(expected).latency(phase))?;
    }
    Ok(all)
}
