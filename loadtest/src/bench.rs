//! Named benchmarks: everything that is compared runs in one go, so that the ratios mean something on any machine.

mod filters;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use xtask::services::zookeeper::ZooKeeper;

use crate::arguments::{Benchmark, Effort, Floor, Load, Shape};
use crate::report::Report;

/// What `bench content` prints as JSON.
#[derive(Serialize)]
struct Content {
    floor_up: Report,
    up: Report,
    up_at_half: Report,
    floor_processes: Report,
    processes: Report,
    /// Floor over cluster; the smaller the better, 1 is the limit.
    floor_over_up: f64,
    floor_over_processes: f64,
}

/// Runs a benchmark by name; says whether all its runs were valid.
///
/// # Errors
/// If a run cannot be made.
pub fn bench(benchmark: Benchmark, json: bool, plot: Option<&Path>) -> Result<bool> {
    match benchmark {
        Benchmark::Content => content(json),
        Benchmark::Filters => filters::run(json, plot),
    }
}

/// Publications under way a connection: enough that neither side waits for the other.
const WINDOW: u64 = 200;

fn content(json: bool) -> Result<bool> {
    let shape = Shape { filters: 100, connections: 10, matches: 1, payload: 200 };
    let effort = Effort { seconds: 5, rate: None, window: WINDOW };
    let floor = |links| Floor { shape: shape.clone(), effort: effort.clone(), links, processes: false, json }.run();
    let load = |rate, zookeeper: Option<&str>| {
        let processes = zookeeper.map(|_| "1-1-1-1".to_owned());
        let effort = Effort { rate, ..effort.clone() };
        let zookeeper = zookeeper.map(str::to_owned);
        Load { shape: shape.clone(), effort, processes, zookeeper, endpoint: Vec::new(), json }.run_on_cluster()
    };
    let told = |report: Report| {
        if !json {
            report.print();
        }
        report
    };
    let (floor_up, up) = median(|| Ok((told(floor(0)?), told(load(None, None)?))))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate below 2^53")]
    let half = (up.publications_per_second / 2.0) as u64;
    let up_at_half = told(load(Some(half.max(1)), None)?);
    let zookeeper = ZooKeeper::start(1).context("start ZooKeeper")?;
    let address = zookeeper.connect_string();
    let (floor_processes, processes) = median(|| Ok((told(floor(4)?), told(load(None, Some(&address))?))))?;
    drop(zookeeper);
    let result = Content {
        floor_over_up: ratio(&floor_up, &up),
        floor_over_processes: ratio(&floor_processes, &processes),
        floor_up,
        up,
        up_at_half,
        floor_processes,
        processes,
    };
    if json {
        println!("{}", serde_json::to_string(&result)?);
    } else {
        println!("floor / gomera up         {:.2}  (aim: at most 2)", result.floor_over_up);
        println!("floor / processes 1-1-1-1 {:.2}  (aim: at most 2.5)", result.floor_over_processes);
        let latency = &result.up_at_half.latency_us;
        println!("gomera up at half: p50 {} us, p99 {} us (aim: below 1000 and 5000)", latency.p50, latency.p99);
    }
    Ok([&result.up, &result.up_at_half, &result.processes].iter().all(|report| report.valid))
}

/// The pair in the middle of three by its ratio: neighbours of a virtual machine take their share now and then.
fn median(mut pair: impl FnMut() -> Result<(Report, Report)>) -> Result<(Report, Report)> {
    let mut pairs = vec![pair()?, pair()?, pair()?];
    pairs.sort_by(|one, other| ratio(&one.0, &one.1).total_cmp(&ratio(&other.0, &other.1)));
    Ok(pairs.swap_remove(1))
}

fn ratio(floor: &Report, cluster: &Report) -> f64 {
    floor.publications_per_second / cluster.publications_per_second
}
