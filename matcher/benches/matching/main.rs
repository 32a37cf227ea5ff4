//! One claim: the index stays ahead of every public engine. Workloads A to F and the hostile ones, at 1 k to 1 M subscriptions,
//! against the linear scan, crate a-tree and a simple hash and bitmap index, in one run: each row in a process of its own, one
//! after the other, pinned to one core. Rates are per second of processor time. The ratios count; absolute figures drift with the
//! machine.
//!
//! `--moving` says instead what it takes to load and move slices, to correct choices and to change contexts.
//!
//! `cargo xtask bench matching [--workload A,B] [--subscriptions 1000,100000] [--engine gomera,scan] [--json] [--plot FILE]`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; machines do not")]

mod command;
mod engine;
mod moving;
mod plot;
mod program;
mod random;
mod row;
mod spec;
mod table;
mod workload;

use std::alloc::System;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use command::Arguments;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use workload::Workload;

/// Counts the bytes on the heap.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(wanted) = &arguments.row {
        std::panic::set_hook(Box::new(|panic| eprint!("{panic}: ")));
        let workload = Workload::new(wanted.workload, wanted.subscriptions);
        let row = row::measure(&workload, wanted.engine, Duration::from_millis(arguments.window_ms));
        println!("{}", serde_json::to_string(&row).expect("a row is JSON"));
        return ExitCode::SUCCESS;
    }
    if arguments.moving {
        let rows = command::run_moving(&arguments);
        println!("{}", serde_json::to_string(&rows).expect("rows are JSON"));
        return ExitCode::SUCCESS;
    }
    let path = arguments.plot.as_ref().map(|path| match std::env::var_os("CALLED_FROM") {
        Some(folder) => Path::new(&folder).join(path),
        None => path.clone(),
    });
    let open = || path.as_ref().map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose();
    let write = |svg: &str| path.as_ref().map_or(Ok(()), |path| std::fs::write(path, svg));
    let fails = |error: std::io::Error| {
        eprintln!("write the picture to {}: {error}", path.as_deref().unwrap_or(Path::new("")).display());
        ExitCode::FAILURE
    };
    // Not only after all of it.
    if let Err(error) = open() {
        return fails(error);
    }
    let rows = command::run(&arguments);
    if arguments.json {
        println!("{}", serde_json::to_string(&rows).expect("rows are JSON"));
    } else {
        print!("{}", table::text(&rows));
    }
    if let Err(error) = write(&plot::svg(&rows)) {
        return fails(error);
    }
    // An engine that is only compared may be wrong, and its row says so; ours may not.
    let is_right = rows.iter().all(|row| row.engine != "gomera" || row.note == "measured" || row.note == "not loaded");
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
