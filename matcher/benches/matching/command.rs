//! The command line, and the processes that it becomes: one a row, on the last core.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Parser;

use crate::engine::EngineName;
use crate::moving;
use crate::row::Row;
use crate::workload::{Name, Workload};

/// Matching: Gomera's index against a linear scan, crate a-tree and a simple index.
#[derive(Debug, Parser)]
#[command(name = "matching")]
pub struct Arguments {
    /// Which workloads, such as `A,B,hostile or`; without it all.
    #[arg(long, value_delimiter = ',', value_parser = workload)]
    pub workload: Vec<Name>,
    /// How many subscriptions, such as `1000,100000`.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    pub subscriptions: Vec<u32>,
    /// Which engines of `gomera,scan,a-tree,simple`; without it all.
    #[arg(long, value_delimiter = ',', value_parser = engine)]
    pub engine: Vec<EngineName>,
    /// One array of rows instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Writes a picture (SVG) of events a second over subscriptions.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// What it takes to load and move slices, to correct choices and to change contexts, as JSON.
    #[arg(long)]
    pub moving: bool,
    /// Length of one of the five windows whose median counts.
    #[arg(long, default_value_t = 200)]
    pub window_ms: u64,
    /// A row in this process: `WORKLOAD:SUBSCRIPTIONS:ENGINE`.
    #[arg(long, hide = true, value_parser = wanted)]
    pub row: Option<Wanted>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// A row to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub workload: Name,
    pub subscriptions: u32,
    pub engine: EngineName,
}

fn workload(text: &str) -> Result<Name, String> {
    let known = || Name::all().map(Name::text).collect::<Vec<_>>().join(", ");
    Name::all().find(|name| name.text() == text).ok_or_else(|| format!("workloads are {}", known()))
}

fn engine(text: &str) -> Result<EngineName, String> {
    EngineName::ALL
        .into_iter()
        .find(|name| name.text() == text)
        .ok_or_else(|| format!("engines are {}", EngineName::ALL.map(EngineName::text).join(", ")))
}

fn wanted(text: &str) -> Result<Wanted, String> {
    let parts = text.split(':').collect::<Vec<_>>();
    let [name, subscriptions, of] = parts.as_slice() else { return Err("WORKLOAD:SUBSCRIPTIONS:ENGINE".to_owned()) };
    let subscriptions = subscriptions.parse().map_err(|error| format!("{subscriptions}: {error}"))?;
    Ok(Wanted { workload: workload(name)?, subscriptions, engine: engine(of)? })
}

impl Arguments {
    /// The rows asked for, in the order in which they run.
    fn rows(&self) -> Vec<Wanted> {
        let workloads = if self.workload.is_empty() { Name::all().collect() } else { self.workload.clone() };
        let mut rows = Vec::new();
        for workload in workloads {
            for &subscriptions in &self.subscriptions {
                let shape = Workload::new(workload, subscriptions);
                for engine in EngineName::ALL {
                    let asked = self.engine.is_empty() || self.engine.contains(&engine);
                    if asked && engine.takes(&shape) {
                        rows.push(Wanted { workload, subscriptions, engine });
                    }
                }
            }
        }
        rows
    }
}

/// Measures all rows, telling how far it is.
pub fn run(arguments: &Arguments) -> Vec<Row> {
    let rows = arguments.rows();
    let core = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) - 1;
    let is_pinnable = Command::new("taskset").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_pinnable {
        eprintln!("taskset (package util-linux) is not there: the rows are not pinned to a core");
    }
    let begun = Instant::now();
    let measured = rows.iter().enumerate().map(|(index, wanted)| {
        let label = format!("{}:{}:{}", wanted.workload.text(), wanted.subscriptions, wanted.engine.text());
        eprint!("[{:>3}/{}] {:>6.0} s  {label:<32}", index + 1, rows.len(), begun.elapsed().as_secs_f64());
        let row = child(arguments, &label, is_pinnable.then_some(core))
            .unwrap_or_else(|note| Row::without(wanted.workload, wanted.subscriptions, wanted.engine, &note));
        match row.events_per_second {
            Some(rate) => eprintln!("{rate:>12.0} events/s  {}", row.note),
            None => eprintln!("{}", row.note),
        }
        row
    });
    measured.collect()
}

/// Measures moves for all workloads and sizes asked for, A without any.
pub fn run_moving(arguments: &Arguments) -> Vec<moving::Row> {
    let workloads = if arguments.workload.is_empty() { vec![Name::A] } else { arguments.workload.clone() };
    let sizes = || arguments.subscriptions.iter().copied();
    workloads.into_iter().flat_map(|name| sizes().map(move |size| moving::measure(name, size))).collect()
}

fn child(arguments: &Arguments, label: &str, core: Option<usize>) -> Result<Row, String> {
    let own = std::env::current_exe().map_err(|error| format!("failed: {error}"))?;
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(own);
            command
        }
        None => Command::new(own),
    };
    command.args(["--row", label, "--window-ms", &arguments.window_ms.to_string()]);
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| format!("failed: {error}"))?;
    if !output.status.success() {
        return Err(format!("failed: {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("failed: {error}"))
}
