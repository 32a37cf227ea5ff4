//! What the measured processes cost: processor time from `/proc`, system calls from `perf stat`, allocations from the metrics of
//! a binary built to count them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Kernel ticks a second; fixed at 100 for all user-space interfaces of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor seconds that processes have used so far (user and system).
///
/// # Errors
/// If one of them is gone.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0_u64;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
        // The command's name may hold spaces; fields are counted from behind it (proc(5): utime is 14, stime 15).
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect::<Vec<_>>();
        for index in [11, 12] {
            ticks += fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("read /proc/PID/stat")?;
        }
    }
    Ok(u32::try_from(ticks).map_or(f64::MAX, f64::from) / TICKS_PER_SECOND)
}

/// Counts system calls of processes while it lives.
pub struct SyscallCounter {
    perf: Child,
    output: tempfile::NamedTempFile,
}

impl SyscallCounter {
    /// Begins to count; `None` where `perf` is not there or may not count.
    pub fn begin(pids: &[u32]) -> Option<Self> {
        let output = tempfile::NamedTempFile::new().ok()?;
        let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let mut perf = Command::new("perf")
            .args(["stat", "--field-separator", ",", "--event", "raw_syscalls:sys_enter", "--pid", &pids, "--output"])
            .arg(output.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // An event that may not be counted ends perf at once.
        std::thread::sleep(Duration::from_millis(150));
        if perf.try_wait().ok()?.is_some() {
            return None;
        }
        Some(Self { perf, output })
    }

    /// Ends counting: how many there were.
    pub fn end(mut self) -> Option<u64> {
        let interrupted = Command::new("kill")
            .args(["-INT", &self.perf.id().to_string()])
            .status()
            .is_ok_and(|status| status.success());
        if !interrupted {
            return None;
        }
        self.perf.wait().ok()?;
        let text = fs::read_to_string(self.output.path()).ok()?;
        let line = text.lines().find(|line| line.contains("sys_enter"))?;
        line.split(',').next()?.parse().ok()
    }
}

/// Allocations that processes have made so far, if they were built to count them: the sum of `gomera_allocations_total` over
/// their metrics pages.
pub fn allocations(metrics: &[String]) -> Option<u64> {
    let mut total = None;
    for address in metrics {
        let page = scrape(address).ok()?;
        for line in page.lines().filter(|line| line.starts_with("gomera_allocations_total")) {
            let count = line.rsplit(' ').next()?.parse::<f64>().ok()?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter below 2^53")]
            let count = count as u64;
            total = Some(total.unwrap_or(0) + count);
        }
    }
    total
}

/// Reads a metrics page over plain HTTP.
fn scrape(address: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream =
        std::net::TcpStream::connect(address).with_context(|| format!("connect to metrics at {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
