//! `loadtest maximum`: the highest rate, open loop, at which a cluster of processes and the load beside it keep up on this machine. Clients
//! that publish as fast as they are acknowledged (`figure7`) get more through, since everything goes in large frames then; devices do not
//! wait for each other.
//!
//! Found by halves: the rate doubles until it is too much, then what lies between the last that was kept and the first that was not is
//! halved until it is small.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;
use xtask::services::zookeeper::ZooKeeper;

use crate::arguments::{Effort, Load, Shape as Figures};
use crate::fleet::Shape;
use crate::report::Report;

/// The first rate tried.
const FIRST: u64 = 16_000;

/// What is left between kept and not, as a part of what is kept.
const PRECISION: f64 = 0.05;

/// `loadtest maximum`
#[derive(Args, Clone, Debug)]
pub struct Maximum {
    /// Configurations: connection points - access points - matchers - exit points
    #[arg(long, value_name = "A-B-C-D", value_delimiter = ',', default_values_t = [Shape([1, 1, 1, 1]), Shape([1, 1, 3, 1])])]
    pub processes: Vec<Shape>,
    /// Subscriptions; each publication satisfies one
    #[arg(long, default_value_t = 100_000)]
    pub subscriptions: u64,
    /// Seconds of each try
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// A rate is kept if the slowest percent of notifications takes no longer than so many milliseconds; with 100 nothing piles up, with 10
    /// it is what `scale` takes for a machine that is not too busy to tell
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub within: u64,
    /// Machine-readable: one array
    #[arg(long)]
    pub json: bool,
}

/// What one configuration takes.
#[derive(Serialize)]
struct Found {
    processes: String,
    subscriptions: u64,
    /// Milliseconds that the slowest percent may take.
    within: u64,
    /// Publications a second.
    maximum: u64,
    /// Three tenths of it: the rate at which `loadtest scale` is to be judged.
    three_tenths: u64,
    /// The last try that was kept.
    kept: Report,
}

impl Maximum {
    /// Checks what makes no sense before anything starts.
    ///
    /// # Errors
    /// Says what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.seconds >= 1, "--seconds is 0, must be at least 1");
        ensure!(self.within >= 1, "--within is 0, must be at least 1");
        ensure!(self.subscriptions > 0, "--subscriptions is 0, must be at least 1");
        Ok(())
    }

    /// Runs all of it; says whether every configuration kept some rate.
    ///
    /// # Errors
    /// If a run cannot be made.
    pub fn run(&self) -> Result<bool> {
        let zookeeper = ZooKeeper::start(1).context("start ZooKeeper")?;
        let p99_max = Duration::from_millis(self.within);
        let mut all = Vec::new();
        for shape in &self.processes {
            let (mut kept, mut beyond, mut rate) = (None::<(u64, Report)>, None, FIRST);
            loop {
                match self.try_at(shape, rate, &zookeeper) {
                    Ok(report) if report.valid && Duration::from_micros(report.latency_us.p99) <= p99_max => {
                        eprintln!("loadtest: {shape}, {rate}/s: p99 {} us, kept", report.latency_us.p99);
                        kept = Some((rate, report));
                    }
                    Ok(report) => {
                        eprintln!("loadtest: {shape}, {rate}/s: p99 {} us, too much", report.latency_us.p99);
                        beyond = Some(rate);
                    }
                    // The load may be what does not keep up.
                    Err(error) => {
                        eprintln!("loadtest: {shape}, {rate}/s: {error:#}, too much");
                        beyond = Some(rate);
                    }
                }
                let low = kept.as_ref().map_or(0, |&(rate, _)| rate);
                match next(low, beyond) {
                    Some(next) => rate = next,
                    None => break,
                }
            }
            let (maximum, kept) =
                kept.with_context(|| format!("{shape} keeps not even a few publications a second"))?;
            let (processes, subscriptions, within) = (shape.to_string(), self.subscriptions, self.within);
            all.push(Found { processes, subscriptions, within, maximum, three_tenths: maximum * 3 / 10, kept });
        }
        if self.json {
            println!("{}", serde_json::to_string(&all)?);
        } else {
            println!("processes   publications/s   three tenths");
            for found in &all {
                println!("{:<12}{:>14}{:>15}", found.processes, found.maximum, found.three_tenths);
            }
        }
        Ok(true)
    }

    fn try_at(&self, shape: &Shape, rate: u64, zookeeper: &ZooKeeper) -> Result<Report> {
        Load {
            shape: Figures { filters: self.subscriptions, connections: 10, matches: 1, payload: 200 },
            effort: Effort { seconds: self.seconds, rate: Some(rate), window: 200 },
            processes: Some(shape.to_string()),
            zookeeper: Some(zookeeper.connect_string()),
            endpoint: Vec::new(),
            json: self.json,
        }
        .run_on_cluster()
    }
}

/// What to try next, if the highest rate that was kept and the lowest that was not lie far apart.
#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53")]
fn next(kept: u64, beyond: Option<u64>) -> Option<u64> {
    let Some(beyond) = beyond else { return Some((2 * kept).max(FIRST)) };
    let between = kept.midpoint(beyond);
    ((beyond - kept) as f64 > PRECISION * kept as f64 && between > kept && between < beyond).then_some(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_found_from_below_and_above_to_within_a_twentieth() {
        for limit in [3_u64, 1_000, 8_000, 77_000, 300_000] {
            let (mut kept, mut beyond, mut tries) = (0, None, 0);
            let mut rate = Some(FIRST);
            while let Some(now) = rate {
                tries += 1;
                if now <= limit {
                    kept = now
                } else {
                    beyond = Some(now)
                }
                rate = next(kept, beyond);
            }
            assert!(kept <= limit && limit * 20 <= kept * 21 + 20 && tries < 20, "{limit}: {kept} after {tries}");
        }
    }
}
