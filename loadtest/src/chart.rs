//! Pictures as SVG, written by hand: they are a few lines, and a drawing library would be thousands.

use std::fmt::Write as _;
use std::time::Duration;

use crate::trial::shared::{Shared, lock};

/// Colours that differ for the colour-blind too (Okabe and Ito).
pub const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 56.0;

/// One line of a picture.
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A mark on the horizontal axis.
pub struct Mark {
    /// Where.
    pub at: f64,
    /// What is written there.
    pub text: String,
}

/// A picture of lines over one axis from the least to the greatest value there, from 0 up.
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What is on the horizontal axis.
    pub axis: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Numbers below the axis.
    pub ticks: Vec<Mark>,
    /// Upright lines with words.
    pub marks: Vec<Mark>,
    /// A part of the axis that is shaded, with words.
    pub shaded: Option<(f64, f64, String)>,
}

impl Chart {
    /// As SVG.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let ticks = || self.ticks.iter().map(|tick| tick.at);
        let left = points().map(|(x, _)| x).chain(ticks()).fold(f64::MAX, f64::min);
        let right = points().map(|(x, _)| x).chain(ticks()).fold(f64::MIN, f64::max);
        let top = points().map(|(_, y)| y).fold(1.0, f64::max) * 1.1;
        let x = |value: f64| LEFT + (value - left) / (right - left).max(f64::EPSILON) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| TOP + (1.0 - value / top) * (HEIGHT - TOP - BOTTOM);
        let base = HEIGHT - BOTTOM;
        let mut text = String::new();
        let mut write = || -> std::fmt::Result {
            writeln!(
                text,
                r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<title>{0}</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="20" font-weight="bold">{0}</text>"##,
                self.title
            )?;
            if let Some((from, to, words)) = &self.shaded {
                writeln!(
                    text,
                    r##"<rect x="{:.1}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#d55e00" opacity="0.12"/>
<text x="{:.1}" y="{:.1}" text-anchor="middle" fill="#a04000">{words}</text>"##,
                    x(*from),
                    x(*to) - x(*from),
                    base - TOP,
                    f64::midpoint(x(*from), x(*to)),
                    base - 8.0,
                )?;
            }
            for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                let (value, at) = (top * share, y(top * share));
                let value = if top >= 10_000.0 { format!("{:.0} k", value / 1000.0) } else { format!("{value:.0}") };
                writeln!(
                    text,
                    r##"<path d="M{LEFT} {at:.1}H{:.1}" stroke="#dddddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"##,
                    WIDTH - RIGHT,
                    LEFT - 6.0,
                    at + 4.0,
                )?;
            }
            for tick in &self.ticks {
                writeln!(
                    text,
                    r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                    x(tick.at),
                    base + 18.0,
                    tick.text
                )?;
            }
            for mark in &self.marks {
                writeln!(
                    text,
                    r##"<path d="M{0:.1} {TOP}V{base:.1}" stroke="#888888" stroke-dasharray="4 3"/><text x="{1:.1}" y="{2:.1}" fill="#555555">{3}</text>"##,
                    x(mark.at),
                    x(mark.at) + 4.0,
                    TOP + 12.0,
                    mark.text
                )?;
            }
            writeln!(
                text,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                WIDTH / 2.0,
                base + 34.0,
                self.axis
            )?;
            for ((index, line), colour) in (0_u32..).zip(&self.lines).zip(COLOURS.iter().cycle()) {
                let places = line.points.iter().map(|&(at, value)| (x(at), y(value))).collect::<Vec<_>>();
                let joined = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
                writeln!(text, r#"<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>"#)?;
                if places.len() <= 20 {
                    for (x, y) in places {
                        writeln!(text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#)?;
                    }
                }
                if self.lines.len() > 1 {
                    let at = LEFT + 130.0 * f64::from(index);
                    let y = HEIGHT - 6.0;
                    writeln!(
                        text,
                        r#"<path d="M{at:.1} {:.1}h18" stroke="{colour}" stroke-width="2"/><text x="{:.1}" y="{y:.1}">{}</text>"#,
                        y - 4.0,
                        at + 23.0,
                        line.name
                    )?;
                }
            }
            writeln!(text, "</svg>")
        };
        write().expect("a string takes everything");
        text
    }
}

/// Notifications and operations a second, and the slowest notification of each half second, over the time of a trial, with what was
/// done to the cluster.
pub fn throughput(title: &str, shared: &Shared, marks: &[(Duration, String)]) -> String {
    let tallies = lock(&shared.tallies);
    // From half a second to half a second: less would draw the ticks of clocks.
    let sampled: Vec<_> = tallies.iter().step_by(5).copied().collect();
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let line = |name: &str, count: &dyn Fn(&crate::trial::shared::Tally) -> u64, factor: f64| Line {
        name: name.to_owned(),
        points: sampled
            .windows(2)
            .map(|pair| {
                let seconds = (pair[1].at - pair[0].at).as_secs_f64();
                (pair[1].at.as_secs_f64(), (count(&pair[1]) - count(&pair[0])) as f64 * factor / seconds)
            })
            .collect(),
    };
    #[allow(clippy::cast_precision_loss, reason = "microseconds far below 2^53")]
    let slowest = Line {
        name: "slowest, µs".to_owned(),
        points: tallies
            .chunks(5)
            .filter_map(|chunk| {
                let slowest_us = chunk.iter().map(|tally| tally.slowest_us).max()?;
                Some((chunk.last()?.at.as_secs_f64(), slowest_us as f64))
            })
            .collect(),
    };
    let last = sampled.last().map_or(0.0, |tally| tally.at.as_secs_f64());
    let step = (last / 6.0).ceil().max(1.0);
    let ticks = std::iter::successors(Some(0.0), |at| Some(at + step)).take_while(|at| *at <= last);
    Chart {
        title: title.to_owned(),
        axis: "seconds".to_owned(),
        lines: vec![
            line("notifications/s", &|tally| tally.notifications, 1.0),
            line("operations/s × 10", &|tally| tally.operations, 10.0),
            slowest,
        ],
        ticks: ticks.map(|at| Mark { at, text: format!("{at:.0}") }).collect(),
        marks: marks.iter().map(|(at, text)| Mark { at: at.as_secs_f64(), text: text.clone() }).collect(),
        shaded: None,
    }
    .svg()
}
