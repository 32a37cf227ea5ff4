//! A timer for waits of less than a few milliseconds. Timers of the runtime count whole milliseconds; on Linux the kernel's count
//! microseconds.

use std::task::{Context, Poll};
use std::time::Duration;

/// Rings once for each time it was set.
#[derive(Debug)]
pub struct Alarm(Clockwork);

#[derive(Debug)]
enum Clockwork {
    #[cfg(target_os = "linux")]
    Kernel(kernel::Timer),
    Runtime(std::pin::Pin<Box<tokio::time::Sleep>>),
}

impl Alarm {
    /// One that has not been set. Must be called within the runtime that is to poll it.
    #[must_use]
    pub fn new() -> Self {
        #[cfg(target_os = "linux")]
        match kernel::Timer::new() {
            Ok(timer) => return Self(Clockwork::Kernel(timer)),
            Err(error) => tracing::warn!(%error, "no timer of the kernel; short waits are rounded up to milliseconds"),
        }
        Self(Clockwork::Runtime(Box::pin(tokio::time::sleep(Duration::ZERO))))
    }

    /// Rings after so long, and not when it was to before.
    pub fn set(&mut self, after: Duration) {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Clockwork::Kernel(timer) => timer.set(after),
            Clockwork::Runtime(sleep) => sleep.as_mut().reset(tokio::time::Instant::now() + after),
        }
    }

    /// Ready when it rings.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            #[cfg(target_os = "linux")]
            Clockwork::Kernel(timer) => timer.poll(context),
            Clockwork::Runtime(sleep) => std::future::Future::poll(sleep.as_mut(), context),
        }
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use rustix::fd::OwnedFd;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Zero would switch it off.
    const SHORTEST: Duration = Duration::from_nanos(1);

    #[derive(Debug)]
    pub struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        pub fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(
                deprecated,
                reason = "for descriptors that may change; one that is owned does not, and what replaces it is unsafe"
            )]
            let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
            Ok(Self(timer))
        }

        pub fn set(&self, after: Duration) {
            let it_value = Timespec::try_from(after.max(SHORTEST)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            // It fails for descriptors and times that are none.
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once).expect("a timer and a time");
        }

        pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
            loop {
                let mut guard = match std::task::ready!(self.0.poll_read_ready(context)) {
                    Ok(guard) => guard,
                    // The runtime ends.
                    Err(_) => return Poll::Ready(()),
                };
                let rung = guard.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
                // Not yet: it was set again after it had rung.
                if rung.is_ok() {
                    return Poll::Ready(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    async fn rings(alarm: &mut Alarm) {
        std::future::poll_fn(|context| alarm.poll(context)).await;
    }

    #[tokio::test]
    async fn it_rings_when_it_was_set_to_last_and_not_before() {
        let mut alarm = Alarm::new();
        for after in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(3)] {
            let set = Instant::now();
            alarm.set(after * 2);
            alarm.set(after);
            rings(&mut alarm).await;
            assert!(set.elapsed() >= after, "{:?} of {after:?}", set.elapsed());
        }
        alarm.set(Duration::from_micros(1));
        std::thread::sleep(Duration::from_millis(1));
        alarm.set(Duration::from_millis(5));
        let set = Instant::now();
        rings(&mut alarm).await;
        assert!(set.elapsed() >= Duration::from_millis(5), "what rang before is forgotten");
    }
}
