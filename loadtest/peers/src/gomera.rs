//! Gomera: `loadtest content` beside this binary, which starts `gomera up`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::run::Figures;

#[derive(Deserialize)]
struct Report {
    publications_per_second: f64,
    latency_us: Latency,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    wrong: u64,
}

#[derive(Deserialize)]
struct Latency {
    p50: u64,
    p99: u64,
}

pub fn measure(filters: u64, connections: u64, window: u64, seconds: u64) -> Result<Figures> {
    let binary = std::env::current_exe()?.parent().context("find the folder of this binary")?.join("loadtest");
    if !binary.exists() {
        bail!("{} is not there; build it: cargo build --release --package gomera-loadtest", binary.display());
    }
    let figures =
        [("--filters", filters), ("--connections", connections), ("--window", window), ("--seconds", seconds)];
    let mut command = Command::new(&binary);
    command.args(["content", "--json"]).stdin(Stdio::null()).stderr(Stdio::inherit());
    for (name, value) in figures {
        command.args([name, &value.to_string()]);
    }
    let output = command.output().with_context(|| format!("start {}", binary.display()))?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("read what {} reports ({})", binary.display(), output.status))?;
    Ok(Figures {
        publications_per_second: report.publications_per_second,
        p50_us: report.latency_us.p50,
        p99_us: report.latency_us.p99,
        lost: report.lost,
        wrong: report.duplicated + report.reordered + report.wrong,
    })
}
