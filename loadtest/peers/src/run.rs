//! What the two foreign peers share: a closed loop (a window of publications under way per connection, counted until everybody
//! who gets them has read them), the counts, and the figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::workload::{Cells, Mark};

/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the last ones may take.
const DRAIN: Duration = Duration::from_secs(20);

/// What a run found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub publications_per_second: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub lost: u64,
    /// Where no filter asked for them, or not in order.
    pub wrong: u64,
}

/// Shared by all connections of a run.
#[derive(Debug)]
pub struct Shared {
    pub cells: Cells,
    window: u64,
    /// How many connections get each publication.
    readers: u64,
    begun: Instant,
    measuring: AtomicBool,
    publishing: AtomicBool,
    /// Read by whom they satisfy while measuring.
    matched: AtomicU64,
    matched_ever: AtomicU64,
    sent_ever: AtomicU64,
    wrong: AtomicU64,
    publishers: Vec<Publisher>,
}

/// One publishing connection.
#[derive(Debug, Default)]
struct Publisher {
    sent: AtomicU64,
    /// Counted once for each reader.
    read: AtomicU64,
    changed: Notify,
}

impl Shared {
    pub fn new(cells: Cells, window: u64, readers: u64) -> Arc<Self> {
        Arc::new(Self {
            cells,
            window,
            readers,
            begun: Instant::now(),
            measuring: AtomicBool::new(false),
            publishing: AtomicBool::new(true),
            matched: AtomicU64::new(0),
            matched_ever: AtomicU64::new(0),
            sent_ever: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            publishers: (0..cells.connections).map(|_| Publisher::default()).collect(),
        })
    }

    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn publisher(&self, connection: u64) -> &Publisher {
        &self.publishers[usize::try_from(connection).expect("connections fit a usize")]
    }

    /// Waits until this connection may publish: how many. `None`: it is to end.
    pub async fn due(&self, connection: u64) -> Option<u64> {
        let publisher = self.publisher(connection);
        loop {
            if !self.publishing.load(Ordering::Relaxed) {
                return None;
            }
            let read = publisher.read.load(Ordering::Relaxed) / self.readers;
            let due = (self.window + read).saturating_sub(publisher.sent.load(Ordering::Relaxed));
            if due > 0 {
                return Some(due);
            }
            publisher.changed.notified().await;
        }
    }

    /// The next message of a connection.
    pub fn next(&self, connection: u64, random: &mut impl rand::Rng) -> Mark {
        let publisher = self.publisher(connection);
        let number = publisher.sent.fetch_add(1, Ordering::Relaxed) + 1;
        self.sent_ever.fetch_add(1, Ordering::Relaxed);
        let id = u32::try_from(connection).expect("connections are few");
        self.cells.message(random, self.now_ns(), id, number)
    }

    /// A publication that satisfies a filter of `connection`.
    pub fn matched(&self, connection: u64, mark: &Mark, reader: &mut Reader) {
        let last = &mut reader.last[usize::try_from(mark.publisher).expect("small")];
        if self.cells.connection_of(mark) != connection || mark.number <= *last {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
        *last = mark.number;
        self.matched_ever.fetch_add(1, Ordering::Relaxed);
        if self.measuring.load(Ordering::Relaxed) {
            self.matched.fetch_add(1, Ordering::Relaxed);
            reader.latency.saturating_record(self.now_ns().saturating_sub(mark.sent_ns) / 1_000);
        }
    }

    /// A publication has been read by one of those who get it.
    pub fn read(&self, mark: &Mark) {
        let publisher = self.publisher(u64::from(mark.publisher));
        publisher.read.fetch_add(1, Ordering::Relaxed);
        publisher.changed.notify_one();
    }
}

/// What one subscribing connection remembers.
#[derive(Debug)]
pub struct Reader {
    latency: Histogram<u64>,
    last: Vec<u64>,
}

impl Reader {
    pub fn new(cells: &Cells) -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self { latency, last: vec![0; usize::try_from(cells.connections)?] })
    }
}

/// Lets publishers and readers run, and judges. Readers end when they are told to by `stop`.
pub async fn judge(
    shared: &Shared,
    measured: Duration,
    publishers: Vec<JoinHandle<Result<()>>>,
    readers: Vec<JoinHandle<Result<Reader>>>,
    stop: tokio::sync::watch::Sender<bool>,
) -> Result<Figures> {
    tokio::time::sleep(WARM_UP).await;
    let begun = Instant::now();
    shared.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(measured).await;
    shared.measuring.store(false, Ordering::Relaxed);
    let took = begun.elapsed().as_secs_f64();
    shared.publishing.store(false, Ordering::Relaxed);
    for publisher in &shared.publishers {
        publisher.changed.notify_one();
    }
    for publisher in publishers {
        publisher.await?.context("publish")?;
    }
    let deadline = Instant::now() + DRAIN;
    let sent = shared.sent_ever.load(Ordering::Relaxed);
    while shared.matched_ever.load(Ordering::Relaxed) < sent && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).context("tell the readers to end")?;
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    for reader in readers {
        latency.add(reader.await?.context("read")?.latency)?;
    }
    let arrived = shared.matched_ever.load(Ordering::Relaxed);
    let publications = u32::try_from(shared.matched.load(Ordering::Relaxed)).map_or(f64::MAX, f64::from);
    Ok(Figures {
        publications_per_second: publications / took,
        p50_us: latency.value_at_quantile(0.5),
        p99_us: latency.value_at_quantile(0.99),
        lost: sent.saturating_sub(arrived),
        wrong: shared.wrong.load(Ordering::Relaxed) + arrived.saturating_sub(sent),
    })
}
