//! The rows for people: the figures, and Gomera as a ratio to each other engine of the same run, with what was aimed at.

use std::fmt::Write as _;

use crate::row::Row;

/// Least ratio of Gomera over another engine at 100 k subscriptions, as the project has promised itself.
const TARGETS: [(&str, &str, f64); 6] = [
    ("A", "scan", 160.0),
    ("B", "scan", 94.0),
    ("C", "a-tree", 2.0),
    ("Cd", "scan", 3.5),
    ("D", "scan", 55.0),
    ("E", "scan", 310.0),
];

/// Least inserts and deletes a second, whatever the size.
const CHANGES_MIN: f64 = 500_000.0;

/// Most bytes a subscription.
const BYTES_MAX: [(&str, f64); 2] = [("A", 100.0), ("B", 200.0)];

/// Least filters of one tenant that the default limit of their cost admits.
const ADMITTED_MIN: f64 = 1_000_000.0;

/// How far what the engine tells of its memory may be from what the allocator saw.
const TOLD_WITHIN: f64 = 0.1;

/// The size that the targets are for.
const TARGET_SUBSCRIPTIONS: u32 = 100_000;

/// The tables.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    let written =
        figures(rows, &mut text).and_then(|()| ratios(rows, &mut text)).and_then(|()| hostile(rows, &mut text));
    written.expect("a string takes everything");
    text
}

fn figures(rows: &[Row], text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<18} {:>13} {:<7} {:>12} {:>11} {:>10} {:>10} {:>8} {:>8} {:>10}  note",
        "workload",
        "subscriptions",
        "engine",
        "events/s",
        "p99 us",
        "inserts/s",
        "deletes/s",
        "bytes",
        "told",
        "matches"
    )?;
    let mut before = "";
    for row in rows {
        if row.workload != before && !before.is_empty() {
            writeln!(text)?;
        }
        before = &row.workload;
        writeln!(
            text,
            "{:<18} {:>13} {:<7} {:>12} {:>11} {:>10} {:>10} {:>8} {:>8} {:>10}  {}",
            row.workload,
            row.subscriptions,
            row.engine,
            shown(row.events_per_second),
            shown(row.p99_us),
            shown(row.inserts_per_second),
            shown(row.deletes_per_second),
            shown(row.bytes_per_subscription),
            shown(row.accounted_bytes_per_subscription),
            shown(row.matches_per_event),
            row.note
        )?;
    }
    Ok(())
}

/// What one tenant's filters can cost, with the limit off, and where it stands against them.
fn hostile(rows: &[Row], text: &mut String) -> std::fmt::Result {
    let mut rows = rows.iter().filter(|row| row.workload.starts_with("hostile") && row.p99_us.is_some()).peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    writeln!(
        text,
        "\n{:<18} {:>13} {:>14} {:>11} {:>13}  with the default limit",
        "one tenant's worst", "filters", "us/publication", "charged us", "us at limit"
    )?;
    for row in rows {
        let (Some(worst), Some(admitted)) = (row.p99_us, row.admitted) else { continue };
        let filters = f64::from(row.subscriptions);
        let at_limit = worst / filters * admitted;
        writeln!(
            text,
            "{:<18} {:>13} {:>14} {:>11} {:>13}  refused by the limit from {} filters on",
            row.workload,
            row.subscriptions,
            short(worst),
            shown(row.charged_us),
            short(at_limit),
            admitted + 1.0
        )?;
    }
    Ok(())
}

fn ratios(rows: &[Row], text: &mut String) -> std::fmt::Result {
    let ours = rows.iter().filter(|row| row.engine == "gomera" && !row.workload.starts_with("hostile"));
    let mut ours = ours.peekable();
    if ours.peek().is_none() || rows.iter().all(|row| row.engine == "gomera") {
        return Ok(());
    }
    writeln!(
        text,
        "\ngomera over           {:>13} {:>10} {:>10} {:>10}  aim",
        "subscriptions", "scan", "a-tree", "simple"
    )?;
    for row in ours {
        let over = |engine: &str| {
            let other = rows.iter().find(|other| {
                other.engine == engine && other.workload == row.workload && other.subscriptions == row.subscriptions
            })?;
            Some(row.events_per_second? / other.events_per_second?)
        };
        let aim = TARGETS.iter().find(|(workload, ..)| *workload == row.workload);
        let aim =
            aim.filter(|_| row.subscriptions == TARGET_SUBSCRIPTIONS).map_or_else(String::new, |(_, engine, least)| {
                let verdict = match over(engine) {
                    Some(ratio) if ratio >= *least => "reached",
                    Some(_) => "not reached",
                    None => "not measured",
                };
                format!("{least} over {engine}: {verdict}")
            });
        writeln!(
            text,
            "{:<21} {:>13} {:>10} {:>10} {:>10}  {aim}",
            row.workload,
            row.subscriptions,
            times(over("scan")),
            times(over("a-tree")),
            times(over("simple"))
        )?;
    }
    promises(rows, text)?;
    let rate = |workload: &str| {
        let of = |row: &&Row| {
            row.engine == "gomera" && row.workload == workload && row.subscriptions == TARGET_SUBSCRIPTIONS
        };
        rows.iter().find(of)?.events_per_second
    };
    if let (Some(a), Some(f)) = (rate("A"), rate("F")) {
        writeln!(text, "A over F at {TARGET_SUBSCRIPTIONS}: {:.2} (aim: at most 1.5)", a / f)?;
    }
    Ok(())
}

/// What is promised of inserts, deletes and memory, where it is not kept.
fn promises(rows: &[Row], text: &mut String) -> std::fmt::Result {
    for row in rows.iter().filter(|row| row.engine == "gomera" && !row.workload.starts_with("hostile")) {
        let at = format!("{} at {}", row.workload, row.subscriptions);
        if let Some(admitted) = row.admitted.filter(|&admitted| admitted < ADMITTED_MIN) {
            writeln!(text, "{at}: {} such filters admitted (aim: at least {})", short(admitted), short(ADMITTED_MIN))?;
        }
        for (what, figure) in [("inserts", row.inserts_per_second), ("deletes", row.deletes_per_second)] {
            if let Some(figure) = figure.filter(|&figure| figure < CHANGES_MIN) {
                writeln!(text, "{at}: {} {what} a second (aim: at least {})", short(figure), short(CHANGES_MIN))?;
            }
        }
        let most = BYTES_MAX.iter().find(|(workload, _)| *workload == row.workload);
        if let (Some((_, most)), Some(bytes)) = (most, row.bytes_per_subscription)
            && bytes > *most
        {
            writeln!(text, "{at}: {} bytes a subscription (aim: at most {most})", short(bytes))?;
        }
        if let (Some(bytes), Some(told)) = (row.bytes_per_subscription, row.accounted_bytes_per_subscription)
            && (told - bytes).abs() > TOLD_WITHIN * bytes
        {
            writeln!(text, "{at}: {} bytes told, {} seen (aim: within a tenth)", short(told), short(bytes))?;
        }
    }
    Ok(())
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{}×", short(ratio)))
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), short)
}

/// Three digits that mean something.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 1e6 => format!("{:.2} M", figure / 1e6),
        size if size >= 1e4 => format!("{:.1} k", figure / 1e3),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
