//! Drives a server that speaks `gomera.v1` with the content workload, and checks every answer.
//!
//! Each connection is one TCP connection with a publish stream and a session stream. A publisher keeps a window of
//! unacknowledged publications (closed loop) or follows a schedule (open loop). The first second is not measured.

pub(crate) mod pace;
mod publisher;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gomera_proto::raw::pub_sub_client::PubSubClient;
use hdrhistogram::Histogram;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::measure::{self, SyscallCounter};
use crate::report::{Latency, Report};
use crate::workload::Content;

/// How much one side of a connection may have under way in HTTP/2; large enough never to be the limit on loopback.
const WINDOW_BYTES: u32 = 8 << 20;

/// How long the measured processes may take to hand over the last notifications.
const DRAIN: Duration = Duration::from_secs(20);

/// Latencies above count as this: a minute, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name printed.
    pub name: String,
    /// The workload.
    pub content: Content,
    /// Publications a second over all connections; `None`: closed loop.
    pub rate: Option<u64>,
    /// Unacknowledged publications per connection in the closed loop.
    pub window: u64,
    /// The time measured.
    pub measured: Duration,
    /// The time before.
    pub warm_up: Duration,
}

/// What is driven.
#[derive(Clone, Debug)]
pub struct Target {
    /// Client addresses, `HOST:PORT`; connections are spread over them.
    pub clients: Vec<String>,
    /// Metrics addresses.
    pub metrics: Vec<String>,
    /// The processes to account for.
    pub pids: Vec<u32>,
}

/// Shared by all connections of a run.
pub(crate) struct Shared {
    pub content: Content,
    pub begun: Instant,
    /// Whether publications are counted now.
    pub measuring: AtomicBool,
    /// Whether publishers go on.
    pub publishing: AtomicBool,
    /// Acknowledged while measuring.
    pub acknowledged: AtomicU64,
    /// Sent, ever.
    pub published: AtomicU64,
    /// Notifications expected, ever.
    pub expected: AtomicU64,
    /// Notifications arrived, ever.
    pub arrived: AtomicU64,
    /// Satisfied filters arrived while measuring.
    pub satisfied: AtomicU64,
    /// Arrived again.
    pub duplicated: AtomicU64,
    /// Arrived after a later one.
    pub reordered: AtomicU64,
    /// Arrived where they should not, or with a wrong count.
    pub wrong: AtomicU64,
}

impl Shared {
    /// The generator's clock.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Connects, subscribes, publishes, waits for the rest, and reports.
///
/// # Errors
/// If the server cannot be reached, refuses something, or goes away.
pub async fn run(run: &Run, target: &Target) -> Result<Report> {
    let shared = Arc::new(Shared {
        content: run.content.clone(),
        begun: Instant::now(),
        measuring: AtomicBool::new(false),
        publishing: AtomicBool::new(true),
        acknowledged: AtomicU64::new(0),
        published: AtomicU64::new(0),
        expected: AtomicU64::new(0),
        arrived: AtomicU64::new(0),
        satisfied: AtomicU64::new(0),
        duplicated: AtomicU64::new(0),
        reordered: AtomicU64::new(0),
        wrong: AtomicU64::new(0),
    });
    let (stop, stopped) = watch::channel(false);
    let mut subscribers = Vec::new();
    let mut clients = Vec::new();
    for connection in 0..run.content.connections {
        let address = &target.clients[usize::try_from(connection)? % target.clients.len()];
        let client = connect(address).await?;
        clients.push(client.clone());
        let session = subscriber::attach(client, connection, &shared)
            .await
            .with_context(|| format!("subscribe on connection {connection}"))?;
        subscribers.push(tokio::spawn(session.receive(stopped.clone())));
    }
    let mut pace = pace::Pace::new(shared.begun);
    let mut publishers = Vec::new();
    for (connection, client) in (0..).zip(clients) {
        let publisher = publisher::open(client, connection, Arc::clone(&shared), run)
            .await
            .with_context(|| format!("open the publisher of connection {connection}"))?;
        publishers.push(tokio::spawn(publisher.publish(pace.schedule())));
    }
    if run.rate.is_some() {
        pace.begin();
    }
    tokio::time::sleep(run.warm_up).await;

    let syscalls = tokio::task::block_in_place(|| SyscallCounter::begin(&target.pids));
    let allocations = measure::allocations(&target.metrics);
    let (cpu, own_cpu) = (measure::cpu_seconds(&target.pids)?, measure::cpu_seconds(&[std::process::id()])?);
    let begun = Instant::now();
    shared.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(run.measured).await;
    shared.measuring.store(false, Ordering::Relaxed);
    let took = begun.elapsed().as_secs_f64();
    let cpu = measure::cpu_seconds(&target.pids)? - cpu;
    let own_cpu = measure::cpu_seconds(&[std::process::id()])? - own_cpu;
    let allocations = allocations.zip(measure::allocations(&target.metrics)).map(|(before, after)| after - before);
    let syscalls = tokio::task::block_in_place(|| syscalls.and_then(SyscallCounter::end));

    shared.publishing.store(false, Ordering::Relaxed);
    for publisher in publishers {
        publisher.await?.context("publish")?;
    }
    let deadline = Instant::now() + DRAIN;
    while shared.arrived.load(Ordering::Relaxed) < shared.expected.load(Ordering::Relaxed) && Instant::now() < deadline
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What arrives twice arrives after everything that was expected.
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(true)?;
    let mut latency = Histogram::<u64>::new_with_bounds(1, LATENCY_US_MAX, 3)?;
    for subscriber in subscribers {
        latency.add(subscriber.await?.context("receive notifications")?)?;
    }
    Ok(report(run, &shared, &latency, took, [cpu, own_cpu], [allocations, syscalls]))
}

fn report(
    run: &Run,
    shared: &Shared,
    latency: &Histogram<u64>,
    took: f64,
    [cpu, own_cpu]: [f64; 2],
    [allocations, syscalls]: [Option<u64>; 2],
) -> Report {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let publications = load(&shared.acknowledged);
    let per_publication = |count: u64| float(count) / float(publications.max(1));
    let (expected, arrived) = (load(&shared.expected), load(&shared.arrived));
    let [duplicated, reordered, wrong] = [&shared.duplicated, &shared.reordered, &shared.wrong].map(load);
    let lost = expected.saturating_sub(arrived);
    Report {
        workload: run.name.clone(),
        rate: run.rate,
        publications,
        publications_per_second: float(publications) / took,
        delivered_per_second: float(load(&shared.satisfied)) / took,
        latency_us: Latency::of(latency),
        cpu_seconds_per_million: cpu * 1e6 / float(publications.max(1)),
        generator_cpu_seconds_per_million: own_cpu * 1e6 / float(publications.max(1)),
        lost,
        duplicated,
        reordered,
        wrong,
        allocations_per_publication: allocations.map(per_publication),
        syscalls_per_publication: syscalls.map(per_publication),
        valid: publications > 0 && expected == arrived && duplicated + reordered + wrong == 0,
    }
}

/// For ratios.
#[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

async fn connect(address: &str) -> Result<PubSubClient<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect()
        .await
        .with_context(|| format!("connect to {address}"))?;
    Ok(PubSubClient::new(channel).max_decoding_message_size(64 << 20))
}
