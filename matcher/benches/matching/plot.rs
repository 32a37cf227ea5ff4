//! The picture: events a second over subscriptions, both logarithmic, a panel for each workload, a line for each engine. SVG
//! written by hand: it is a few lines, and a drawing library would be thousands.

use std::fmt::Write as _;

use crate::row::Row;

const PANEL_WIDTH: f64 = 260.0;
const PANEL_HEIGHT: f64 = 200.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 30.0;
const INNER_WIDTH: f64 = PANEL_WIDTH - LEFT - 10.0;
const INNER_HEIGHT: f64 = PANEL_HEIGHT - TOP - 24.0;
const COLUMNS: usize = 4;

/// Decades shown: 1 k to 1 M subscriptions, 10 to 10 M events a second.
const X_DECADES: (f64, f64) = (3.0, 6.0);
const Y_DECADES: (f64, f64) = (1.0, 7.0);

/// Colours that differ for the colour-blind too (Okabe and Ito).
const ENGINES: [(&str, &str); 4] =
    [("gomera", "#0072b2"), ("scan", "#999999"), ("a-tree", "#d55e00"), ("simple", "#009e73")];

/// The picture of all rows that were measured.
pub fn svg(rows: &[Row]) -> String {
    let mut workloads = Vec::new();
    for row in rows.iter().filter(|row| !row.workload.starts_with("hostile")) {
        if !workloads.contains(&row.workload.as_str()) {
            workloads.push(row.workload.as_str());
        }
    }
    let columns = COLUMNS.min(workloads.len().max(1));
    let (width, height) = (real(columns) * PANEL_WIDTH, real(workloads.len().div_ceil(columns)) * PANEL_HEIGHT + 30.0);
    let mut text = String::new();
    let mut write = || -> std::fmt::Result {
        writeln!(
            text,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">
<title>Events a second on one core over the number of subscriptions</title>
<rect width="{width}" height="{height}" fill="#ffffff"/>"##
        )?;
        for (index, (engine, colour)) in ENGINES.iter().enumerate() {
            let x = LEFT + 90.0 * real(index);
            writeln!(
                text,
                r#"<path d="M{x} 15h18" stroke="{colour}" stroke-width="2"/><text x="{}" y="19">{engine}</text>"#,
                x + 23.0
            )?;
        }
        for (index, workload) in workloads.iter().enumerate() {
            let (x, y) = (real(index % columns) * PANEL_WIDTH, real(index / columns) * PANEL_HEIGHT + 24.0);
            writeln!(text, r#"<g transform="translate({x} {y})">"#)?;
            panel(rows, workload, &mut text)?;
            writeln!(text, "</g>")?;
        }
        writeln!(text, "</svg>")
    };
    write().expect("a string takes everything");
    text
}

fn panel(rows: &[Row], workload: &str, text: &mut String) -> std::fmt::Result {
    writeln!(text, r#"<text x="{LEFT}" y="22" font-weight="bold">{workload}: events/s</text>"#)?;
    let decades = |(low, high): (f64, f64)| {
        std::iter::successors(Some(low), |decade| Some(decade + 1.0)).take_while(move |decade| *decade <= high)
    };
    for decade in decades(Y_DECADES) {
        let y = vertical(10_f64.powf(decade));
        writeln!(
            text,
            r##"<path d="M{LEFT} {y:.1}h{INNER_WIDTH}" stroke="#dddddd"/><text x="{}" y="{:.1}" text-anchor="end">{}</text>"##,
            LEFT - 5.0,
            y + 4.0,
            round(decade)
        )?;
    }
    for decade in decades(X_DECADES) {
        let x = horizontal(10_f64.powf(decade));
        let (top, bottom) = (TOP, TOP + INNER_HEIGHT);
        writeln!(
            text,
            r##"<path d="M{x:.1} {top}V{bottom}" stroke="#dddddd"/><text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"##,
            bottom + 15.0,
            round(decade)
        )?;
    }
    for (engine, colour) in ENGINES {
        let points = rows
            .iter()
            .filter(|row| row.workload == workload && row.engine == engine)
            .filter_map(|row| Some((horizontal(f64::from(row.subscriptions)), vertical(row.events_per_second?))));
        let points = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>();
        writeln!(text, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, points.join(" "))?;
        for point in &points {
            let (x, y) = point.split_once(',').expect("written so");
            writeln!(text, r#"<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>"#)?;
        }
    }
    Ok(())
}

/// 10, 1 k, 1 M.
fn round(decade: f64) -> String {
    let of = |power: f64| 10_f64.powf(decade - power);
    if decade >= 6.0 {
        format!("{} M", of(6.0).round())
    } else if decade >= 3.0 {
        format!("{} k", of(3.0).round())
    } else {
        of(0.0).round().to_string()
    }
}

fn horizontal(subscriptions: f64) -> f64 {
    LEFT + (subscriptions.log10() - X_DECADES.0) / (X_DECADES.1 - X_DECADES.0) * INNER_WIDTH
}

fn vertical(rate: f64) -> f64 {
    let share = ((rate.max(1e-9).log10() - Y_DECADES.0) / (Y_DECADES.1 - Y_DECADES.0)).clamp(0.0, 1.0);
    TOP + (1.0 - share) * INNER_HEIGHT
}

fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("few"))
}
