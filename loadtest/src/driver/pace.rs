//! Wakes open-loop publishers more finely than the runtime's timer (1 ms): a thread sleeps 100 us at a time.

use std::time::Duration;

use tokio::sync::watch;

/// How often publishers look at their schedule; adds at most this much to a latency.
const TICK: Duration = Duration::from_micros(100);

/// Ticks for any number of publishers; the thread ends with the last of them.
pub struct Pace {
    ticks: watch::Receiver<()>,
}

impl Pace {
    /// Begins to tick if `ticking`.
    pub fn new(ticking: bool) -> Self {
        let (tick, ticks) = watch::channel(());
        if ticking {
            std::thread::spawn(move || {
                while tick.send(()).is_ok() {
                    std::thread::sleep(TICK);
                }
            });
        }
        Self { ticks }
    }

    /// To wait on.
    pub fn ticks(&self) -> watch::Receiver<()> {
        self.ticks.clone()
    }
}
