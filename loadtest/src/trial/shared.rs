//! What publishers, sessions and probers of a trial share: the clock, the part of the run, what is due where, and what was found.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use gomera_client::{Client, ConnectError, Reconnect};
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use tokio::sync::watch;

use super::{Findings, Load};
use crate::judge::{Due, Expected, Phase};
use crate::workload::{Content, Mark};

/// Publishers number their publications below this bit, and say who they are above it.
const PUBLISHER_BIT: u32 = 40;
/// How often it is noted what came.
pub const TALLY_EVERY: Duration = Duration::from_millis(100);
/// A session that gets fewer notifications a second than this is silent by its schedule already.
const JUDGED_FOR_SILENCE: u64 = 2_000;

/// What came until one moment; [`TALLY_EVERY`] there is one.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    /// When, from the begin of the clock.
    pub at: Duration,
    /// Notifications that came since the begin.
    pub notifications: u64,
    /// Changes of subscriptions and contexts that were acknowledged since the begin.
    pub operations: u64,
    /// Microseconds that the slowest notification since the last one took, from when its publication was due.
    pub slowest_us: u64,
}

/// See the top of this file.
pub struct Shared {
    /// The workload.
    pub content: Content,
    /// What is put on.
    pub load: Load,
    /// The generator's clock.
    pub begun: Instant,
    /// What each judged session must hear.
    pub expected: Vec<Mutex<Expected>>,
    /// Where connection points are now.
    doors: RwLock<Vec<String>>,
    /// What came over time.
    pub tallies: Mutex<Vec<Tally>>,
    phase: AtomicU8,
    is_publishing: AtomicBool,
    sent: Vec<AtomicU64>,
    settled: Vec<AtomicU64>,
    notifications: AtomicU64,
    slowest_us: AtomicU64,
    acknowledged: AtomicU64,
    disconnects: AtomicU64,
    lost: AtomicU64,
    duplicated: AtomicU64,
    unexpected: AtomicU64,
    operations: Mutex<Vec<Histogram<u64>>>,
    said: Mutex<Vec<String>>,
}

/// Nobody panics while holding one; and if somebody does, the run has failed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// A client of the client crate.
    pub(super) async fn connect(&self, doors: Vec<String>) -> Result<Client, ConnectError> {
        let reconnect = Reconnect {
            keep_alive_interval: self.load.keep_alive,
            keep_alive_timeout: self.load.keep_alive,
            ..Reconnect::default()
        };
        Client::connect_with(doors, reconnect).await
    }

    pub(super) fn new(content: Content, load: Load, doors: Vec<String>) -> Result<Self> {
        let publishers = usize::try_from(load.publishers)?;
        let counters = || (0..publishers).map(|_| AtomicU64::new(0)).collect();
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3);
        Ok(Self {
            content,
            load,
            begun: Instant::now(),
            expected: (0..load.sessions).map(|_| Mutex::new(Expected::new(publishers))).collect(),
            doors: RwLock::new(doors),
            tallies: Mutex::new(Vec::new()),
            phase: AtomicU8::new(Phase::Aside.number()),
            is_publishing: AtomicBool::new(true),
            sent: counters(),
            settled: counters(),
            notifications: AtomicU64::new(0),
            slowest_us: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            disconnects: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
            unexpected: AtomicU64::new(0),
            operations: Mutex::new((0..4).map(|_| histogram()).collect::<Result<_, _>>()?),
            said: Mutex::new(Vec::new()),
        })
    }

    /// Nanoseconds of the generator's clock.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The part of the run.
    pub fn phase(&self) -> Phase {
        Phase::of_number(self.phase.load(Ordering::Relaxed))
    }

    /// From now on the run is in this part.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase.number(), Ordering::Relaxed);
    }

    /// Where connection points are now.
    pub fn doors(&self) -> Vec<String> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connection points are there from now on.
    pub fn move_doors(&self, doors: Vec<String>) {
        *self.doors.write().unwrap_or_else(PoisonError::into_inner) = doors;
    }

    /// Whether publishers go on.
    pub fn is_publishing(&self) -> bool {
        self.is_publishing.load(Ordering::Relaxed)
    }

    pub(super) fn stop_publishing(&self) {
        self.is_publishing.store(false, Ordering::Relaxed);
    }

    /// Nanoseconds between two publications of one publisher.
    pub fn interval_ns(&self) -> u64 {
        1_000_000_000 * self.load.publishers / self.load.rate.max(1)
    }

    /// The next publication of a publisher, number `number` from 1, which somebody expects from now on.
    pub fn publication(&self, publisher: u64, number: u64, scheduled_ns: u64, random: &mut SmallRng) -> Bytes {
        let (content, cell) = self.content.publication(random, scheduled_ns, publisher << PUBLISHER_BIT | number);
        let (session, publisher) = (place(cell % self.load.sessions), place(publisher));
        let due = Due { number, scheduled_ns, phase: self.phase() };
        lock(&self.expected[session]).expect(publisher, due);
        self.sent[publisher].store(number, Ordering::Relaxed);
        content
    }

    /// A notification came to a judged session. Says whether it was one of ours.
    pub fn arrived(&self, session: u64, content: &[u8]) {
        let now_ns = self.now_ns();
        self.notifications.fetch_add(1, Ordering::Relaxed);
        match Mark::find(content) {
            Some(mark) => {
                let (publisher, number) = (mark.number >> PUBLISHER_BIT, mark.number & ((1 << PUBLISHER_BIT) - 1));
                let latency_us = lock(&self.expected[place(session)]).arrive(place(publisher), number, now_ns);
                self.slowest_us.fetch_max(latency_us.unwrap_or(0), Ordering::Relaxed);
            }
            None => self.unexpected(&format!("session {session} got a publication without our mark")),
        }
    }

    /// Everything of a publisher up to here is acknowledged.
    pub fn settled(&self, publisher: u64, through: u64) {
        self.settled[place(publisher)].fetch_max(through, Ordering::Relaxed);
    }

    /// Publications sent and not acknowledged.
    pub fn in_flight(&self) -> u64 {
        let counts =
            |counters: &[AtomicU64]| counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>();
        let settled = counts(&self.settled);
        counts(&self.sent).saturating_sub(settled)
    }

    /// An operation was asked for at `asked` and has been acknowledged now.
    pub fn acknowledged(&self, asked: Instant) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        lock(&self.operations)[usize::from(self.phase().number())].saturating_record(took_us);
    }

    /// Microseconds from asking to acknowledgement of operations.
    pub fn operations(&self, phase: Phase) -> Histogram<u64> {
        lock(&self.operations)[usize::from(phase.number())].clone()
    }

    /// A stream broke, or a session had to be made anew.
    pub fn disconnected(&self, what: &str) {
        self.disconnects.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("disconnected: {what}"));
    }

    /// A probe that was due has not come.
    pub fn lost(&self, what: &str) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("lost: {what}"));
    }

    /// A probe came again.
    pub fn duplicated(&self, what: &str) {
        self.duplicated.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("duplicated: {what}"));
    }

    /// Something came that no subscription in force asked for.
    pub fn unexpected(&self, what: &str) {
        self.unexpected.fetch_add(1, Ordering::Relaxed);
        self.say(&format!("unexpected: {what}"));
    }

    /// Something that a person should know; the first few are kept.
    pub fn say(&self, what: &str) {
        let mut said = lock(&self.said);
        if said.len() < 20 {
            said.push(format!("{:.3} s: {what}", self.begun.elapsed().as_secs_f64()));
        }
    }

    /// What was said.
    pub fn said(&self) -> Vec<String> {
        lock(&self.said).clone()
    }

    /// Notifications that are due.
    pub fn outstanding(&self) -> u64 {
        self.expected.iter().map(|expected| lock(expected).outstanding()).sum()
    }

    /// How long what is due has been due, at most.
    pub fn oldest_due(&self) -> Duration {
        let oldest = self.expected.iter().filter_map(|expected| lock(expected).oldest_due());
        let since_ns = oldest.map(|due| due.scheduled_ns).min();
        since_ns.map_or(Duration::ZERO, |since_ns| Duration::from_nanos(self.now_ns().saturating_sub(since_ns)))
    }

    /// Says of each session what has been due for longer than `for_longer_than`, and how many publications of its publisher were sent and
    /// acknowledged.
    pub fn say_overdue(&self, for_longer_than: Duration) {
        for (session, expected) in self.expected.iter().enumerate() {
            for (publisher, first, count) in lock(expected).overdue() {
                let for_so_long = Duration::from_nanos(self.now_ns().saturating_sub(first.scheduled_ns));
                if for_so_long > for_longer_than {
                    let counter = |counters: &[AtomicU64]| counters[publisher].load(Ordering::Relaxed);
                    let (sent, settled) = (counter(&self.sent), counter(&self.settled));
                    self.say(&format!(
                        "session {session}: {count} of publisher {publisher} are due, number {} for {for_so_long:?}; sent {sent}, acknowledged {settled}",
                        first.number
                    ));
                }
            }
        }
    }

    /// How long a judged session heard nothing although something was due, at most; `None` if sessions hear too little to tell.
    pub fn silence(&self, phase: Phase) -> Option<Duration> {
        let longest = self.expected.iter().map(|expected| lock(expected).silence_ns_max(phase)).max().unwrap_or(0);
        (self.load.rate / self.load.sessions >= JUDGED_FOR_SILENCE).then(|| Duration::from_nanos(longest))
    }

    /// What was found, over all of the run.
    pub fn findings(&self) -> Findings {
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut findings = Findings {
            published: self.sent.iter().map(counter).sum(),
            lost: counter(&self.lost),
            duplicated: counter(&self.duplicated),
            unexpected: counter(&self.unexpected),
            unacknowledged: self.in_flight(),
            disconnects: counter(&self.disconnects),
            reordered: 0,
        };
        for expected in &self.expected {
            let expected = lock(expected);
            findings.lost += expected.outstanding();
            findings.duplicated += expected.duplicated;
            findings.reordered += expected.reordered;
        }
        findings
    }
}

/// Notes throughput until it is told to stop.
pub(super) async fn tally(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) -> Result<()> {
    let mut every = tokio::time::interval(TALLY_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => lock(&shared.tallies).push(Tally {
                at: shared.begun.elapsed(),
                notifications: shared.notifications.load(Ordering::Relaxed),
                operations: shared.acknowledged.load(Ordering::Relaxed),
                slowest_us: shared.slowest_us.swap(0, Ordering::Relaxed),
            }),
            _ = stopped.changed() => return Ok(()),
        }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
