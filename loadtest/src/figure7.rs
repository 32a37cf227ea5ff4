//! `loadtest figure7`: throughput over the number of subscriptions, a line for each configuration of processes, as figure 7 of the
//! E-SilboPS paper has it. Closed loop: as fast as acknowledgements come; every notification is checked.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;
use xtask::services::zookeeper::ZooKeeper;

use crate::arguments::{Effort, Load, Shape as Figures};
use crate::chart::{Chart, Line, Mark};
use crate::fleet::Shape;
use crate::report::Report;

/// `loadtest figure7`
#[derive(Args, Clone, Debug)]
pub struct Figure7 {
    /// Configurations: connection points - access points - matchers - exit points
    #[arg(long, value_name = "A-B-C-D", value_delimiter = ',', default_values_t = [Shape([1, 1, 1, 1]), Shape([1, 1, 2, 1]), Shape([1, 1, 3, 1]), Shape([1, 2, 2, 1])])]
    pub processes: Vec<Shape>,
    /// Numbers of subscriptions
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 20_000, 50_000, 100_000])]
    pub subscriptions: Vec<u64>,
    /// Seconds of each point
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Machine-readable: one array
    #[arg(long)]
    pub json: bool,
    /// Where to draw it, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// One point.
#[derive(Serialize)]
struct Point {
    processes: String,
    subscriptions: u64,
    report: Report,
}

impl Figure7 {
    /// Checks what makes no sense before anything starts.
    ///
    /// # Errors
    /// Says what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.seconds >= 1, "--seconds is 0, must be at least 1");
        ensure!(!self.subscriptions.contains(&0), "--subscriptions has a 0, must be at least 1");
        Ok(())
    }

    /// Runs all of it; says whether every run was valid.
    ///
    /// # Errors
    /// If a run cannot be made.
    pub fn run(&self) -> Result<bool> {
        let zookeeper = ZooKeeper::start(1).context("start ZooKeeper")?;
        let mut points = Vec::new();
        for shape in &self.processes {
            for &subscriptions in &self.subscriptions {
                let report = Load {
                    shape: Figures { filters: subscriptions, connections: 10, matches: 1, payload: 200 },
                    effort: Effort { seconds: self.seconds, rate: None, window: 200 },
                    processes: Some(shape.to_string()),
                    zookeeper: Some(zookeeper.connect_string()),
                    endpoint: Vec::new(),
                    json: self.json,
                }
                .run_on_cluster()?;
                eprintln!(
                    "loadtest: {shape}, {subscriptions} subscriptions: {:.0} publications/s{}",
                    report.publications_per_second,
                    if report.valid { "" } else { ", VOID" }
                );
                points.push(Point { processes: shape.to_string(), subscriptions, report });
            }
        }
        if self.json {
            println!("{}", serde_json::to_string(&points)?);
        } else {
            self.print(&points);
        }
        if let Some(path) = &self.plot {
            std::fs::write(path, self.svg(&points)).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(points.iter().all(|point| point.report.valid))
    }

    /// Publications a second, a row for each number of subscriptions.
    fn print(&self, points: &[Point]) {
        let of = |shape: &Shape, subscriptions| {
            let name = shape.to_string();
            points.iter().find(|point| point.processes == name && point.subscriptions == subscriptions)
        };
        let columns: String = self.processes.iter().map(|shape| format!("{:>12}", shape.to_string())).collect();
        println!("subscriptions{columns}   publications/s");
        for &subscriptions in &self.subscriptions {
            let cell = |shape| of(shape, subscriptions).map_or(0.0, |point| point.report.publications_per_second);
            let row: String = self.processes.iter().map(|shape| format!("{:>12.0}", cell(shape))).collect();
            println!("{subscriptions:>13}{row}");
        }
    }

    fn svg(&self, points: &[Point]) -> String {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let at = |subscriptions: u64| (subscriptions as f64).log10();
        let line = |shape: &Shape| {
            let name = shape.to_string();
            let own = points.iter().filter(|point| point.processes == name);
            let points = own.map(|point| (at(point.subscriptions), point.report.publications_per_second)).collect();
            Line { name, points }
        };
        let tick = |&subscriptions: &u64| {
            let text = if subscriptions % 1_000 == 0 {
                format!("{} k", subscriptions / 1_000)
            } else {
                subscriptions.to_string()
            };
            Mark { at: at(subscriptions), text }
        };
        Chart {
            title: "publications/s over subscriptions, one match each".to_owned(),
            axis: "subscriptions".to_owned(),
            lines: self.processes.iter().map(line).collect(),
            ticks: self.subscriptions.iter().map(tick).collect(),
            marks: Vec::new(),
            shaded: Some((at(10_000), at(20_000), "E-SilboPS: knee".to_owned())),
        }
        .svg()
    }
}
