//! Wakes open-loop publishers more finely than the runtime's timer (1 ms): a thread sleeps 500 us at a time and wakes those
//! that are due, and only those.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How often schedules are looked at; adds at most this much to a latency.
const TICK: Duration = Duration::from_micros(500);

/// Wakes any number of publishers; its thread ends with the last of them.
pub(crate) struct Pace {
    begun: Instant,
    schedules: Vec<Arc<Schedule>>,
}

/// When one publisher wants to be woken.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Nanoseconds since the run began.
    due_ns: AtomicU64,
    woken: Notify,
}

impl Schedule {
    /// Waits until then: nanoseconds since the run began.
    pub(crate) async fn wait_until(&self, due_ns: u64) {
        self.due_ns.store(due_ns, Ordering::Release);
        self.woken.notified().await;
    }
}

impl Pace {
    /// For publishers whose clock began then.
    pub(crate) fn new(begun: Instant) -> Self {
        Self { begun, schedules: Vec::new() }
    }

    /// One more publisher.
    pub(crate) fn schedule(&mut self) -> Arc<Schedule> {
        let schedule = Arc::new(Schedule { due_ns: AtomicU64::new(u64::MAX), woken: Notify::new() });
        self.schedules.push(schedule.clone());
        schedule
    }

    /// Begins to wake them.
    pub(crate) fn begin(self) {
        let Self { begun, schedules } = self;
        let schedules: Vec<Weak<Schedule>> = schedules.iter().map(Arc::downgrade).collect();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(TICK);
                let now_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let mut is_wanted = false;
                for schedule in schedules.iter().filter_map(Weak::upgrade) {
                    is_wanted = true;
                    if schedule.due_ns.load(Ordering::Acquire) <= now_ns {
                        schedule.due_ns.store(u64::MAX, Ordering::Relaxed);
                        schedule.woken.notify_one();
                    }
                }
                if !is_wanted {
                    return;
                }
            }
        });
    }
}
