//! The curve over the number of filters: where E-SilboPS's throughput falls from 10 to 20 k subscriptions on.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::WINDOW;
use crate::arguments::{Effort, Load, Shape};
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
        if !json {
            let latency = &report.latency_us;
            let aim = aim.map_or_else(String::new, |aim| format!("  (aim: at least {aim:.2})"));
            println!(
                "{filters:>8} filters  {:>7.0} publications/s  {over_first:.2} of the first  p50 {} us, p99 {} us{}{aim}",
                report.publications_per_second,
                latency.p50,
                latency.p99,
                if report.valid { "" } else { "  VOID" },
            );
        }
        points.push(Point { filters, report, over_first });
    }
    if json {
        println!("{}", serde_json::to_string(&points)?);
    }
    if let Some(path) = plot {
        fs::write(path, svg(&points)).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(points.iter().all(|point| point.report.valid))
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;

/// Throughput from 0 up, over filters in decades.
fn svg(points: &[Point]) -> String {
    let top = points.iter().map(|point| point.report.publications_per_second).fold(1.0, f64::max) * 1.1;
    let decades = (2.0, 6.0);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let x =
        |filters: u64| LEFT + ((filters as f64).log10() - decades.0) / (decades.1 - decades.0) * (WIDTH - LEFT - RIGHT);
    let y = |rate: f64| TOP + (1.0 - rate / top) * (HEIGHT - TOP - BOTTOM);
    let mut text = String::new();
    let mut write = || -> std::fmt::Result {
        writeln!(
            text,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<title>Publications a second over the number of filters, gomera up, one match each</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="20" font-weight="bold">gomera up: publications/s, one match each</text>
<rect x="{:.1}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#d55e00" opacity="0.12"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#a04000">E-SilboPS: knee</text>"##,
            x(10_000),
            x(20_000) - x(10_000),
            HEIGHT - TOP - BOTTOM,
            x(14_000),
            HEIGHT - BOTTOM - 8.0,
        )?;
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let (rate, at) = (top * share, y(top * share));
            writeln!(
                text,
                r##"<path d="M{LEFT} {at:.1}H{:.1}" stroke="#dddddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{:.0} k</text>"##,
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                rate / 1000.0,
            )?;
        }
        for (filters, name) in [(100, "100"), (1_000, "1 k"), (10_000, "10 k"), (100_000, "100 k"), (1_000_000, "1 M")]
        {
            writeln!(
                text,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{name}</text>"#,
                x(filters),
                HEIGHT - BOTTOM + 18.0
            )?;
        }
        writeln!(text, r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">filters</text>"#, WIDTH / 2.0, HEIGHT - 6.0)?;
        let places = points.iter().map(|point| (x(point.filters), y(point.report.publications_per_second)));
        let line = places.clone().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>();
        writeln!(text, r##"<polyline points="{}" fill="none" stroke="#0072b2" stroke-width="2"/>"##, line.join(" "))?;
        for (x, y) in places {
            writeln!(text, r##"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="#0072b2"/>"##)?;
        }
        writeln!(text, "</svg>")
    };
    write().expect("a string takes everything");
    text
}
