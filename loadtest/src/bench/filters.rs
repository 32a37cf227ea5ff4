//! The curve over the number of filters: where E-SilboPS's throughput falls from 10 to 20 k subscriptions on.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::WINDOW;
use crate::arguments::{Effort, Load, Shape};
use crate::chart::{Chart, Line, Mark};
use crate::report::Report;

/// How many filters, and which share of the first one's throughput is aimed at.
const STEPS: [(u64, Option<f64>); 5] =
    [(100, None), (1_000, None), (10_000, Some(0.85)), (100_000, Some(0.70)), (1_000_000, None)];

/// One point of the curve.
#[derive(Serialize)]
struct Point {
    filters: u64,
    report: Report,
    /// Publications a second over those of the first point.
    over_first: f64,
    /// The server's processor time a publication at the first point over that at this one: what neighbours of the machine take shows less.
    first_over_processor: f64,
}

/// Runs `gomera up` with ever more filters; says whether every run was valid.
pub(super) fn run(json: bool, plot: Option<&Path>) -> Result<bool> {
    let mut points: Vec<Point> = Vec::new();
    for (filters, aim) in STEPS {
        let report = Load {
            shape: Shape { filters, connections: 10, matches: 1, payload: 200 },
            effort: Effort { seconds: 5, rate: None, window: WINDOW },
            processes: None,
            zookeeper: None,
            endpoint: Vec::new(),
            json,
        }
        .run_on_cluster()?;
        let first = points.first().map_or(report.publications_per_second, |point| point.report.publications_per_second);
        let over_first = report.publications_per_second / first;
        let processor = report.cpu_seconds_per_million;
        let first_processor = points.first().map_or(processor, |point| point.report.cpu_seconds_per_million);
        let first_over_processor = first_processor / processor;
        if !json {
            let latency = &report.latency_us;
            let aim = aim.map_or_else(String::new, |aim| format!("  (aim: at least {aim:.2})"));
            println!(
                "{filters:>8} filters  {:>7.0} publications/s  {over_first:.2} of the first  p50 {} us, p99 {} us  \
                 processor {processor:.2} us each ({first_over_processor:.2}){}{aim}",
                report.publications_per_second,
                latency.p50,
                latency.p99,
                if report.valid { "" } else { "  VOID" },
            );
        }
        points.push(Point { filters, report, over_first, first_over_processor });
    }
    if json {
        println!("{}", serde_json::to_string(&points)?);
    }
    if let Some(path) = plot {
        fs::write(path, svg(&points)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(points.iter().all(|point| point.report.valid))
}

/// Throughput from 0 up, over filters in decades.
fn svg(points: &[Point]) -> String {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let at = |filters: u64| (filters as f64).log10();
    let ticks = [(100, "100"), (1_000, "1 k"), (10_000, "10 k"), (100_000, "100 k"), (1_000_000, "1 M")];
    Chart {
        title: "gomera up: publications/s, one match each".to_owned(),
        axis: "filters".to_owned(),
        lines: vec![Line {
            name: "gomera up".to_owned(),
            points: points.iter().map(|point| (at(point.filters), point.report.publications_per_second)).collect(),
        }],
        ticks: ticks.into_iter().map(|(filters, text)| Mark { at: at(filters), text: text.to_owned() }).collect(),
        marks: Vec::new(),
        shaded: Some((at(10_000), at(20_000), "E-SilboPS: knee".to_owned())),
    }
    .svg()
}
