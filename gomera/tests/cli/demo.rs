//! `gomera demo` and `gomera replay`: end by themselves, and every delivery is checked.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::program::{Ended, gomera};

fn kept(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.err);
    let summary = ended.json();
    for promise in ["missing", "duplicated", "reordered", "unexpected", "refused", "dropped"] {
        assert_eq!(summary[promise], 0, "{promise}: {summary}");
    }
    assert_eq!(summary["acknowledged"], summary["published"]);
    summary
}

#[test]
fn the_demo_ends_by_itself_and_keeps_its_promises() {
    let summary = kept(&gomera(&["demo", "--seconds", "3", "--json"], ""));
    assert!(summary["published"].as_u64() > Some(1_000), "{summary}");
    assert!(summary["delivered"].as_u64() > Some(1_000), "{summary}");
    assert!(summary["latency_us"]["p99"].as_u64() >= summary["latency_us"]["p50"].as_u64(), "{summary}");
    assert!(summary["changes"]["context"].as_u64() > Some(3), "{summary}");
    assert!(summary["changes"]["filter"].as_u64() > Some(0), "{summary}");
    let subscribers = summary["subscribers"].as_array().expect("a list");
    assert!(subscribers.len() >= 24, "a few dozen: {summary}");
    for name in ["courier", "traffic-desk", "machine-room"] {
        let subscriber = subscribers.iter().find(|subscriber| subscriber["name"] == name).expect(name);
        assert!(subscriber["delivered"].as_u64() > Some(0), "{subscriber}");
    }
}

#[test]
fn the_demo_tells_people_what_happened_line_by_line_when_piped() {
    let ended = gomera(&["demo", "--seconds", "1", "--rate", "200", "--devices", "40", "--seed", "7"], "");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!ended.out.contains('\u{1b}'), "no terminal, no control sequences: {}", ended.out);
    for expected in
        ["gomera demo · 40 devices", "the courier moved", "missing 0, duplicated 0, reordered 0", "latency    p50"]
    {
        assert!(ended.out.contains(expected), "{expected}: {}", ended.out);
    }
}

/// Forty rows of two sensors; which rows satisfy what can be counted on the fingers.
fn table() -> String {
    let mut table = String::from("sensor,at,value,note\n");
    for row in 0..40 {
        let (sensor, hour) = (["north", "south"][row % 2], row % 24);
        let note = if row % 10 == 0 { "NA" } else { "ok" };
        writeln!(table, "{sensor},2024-05-17 {hour:02}:00:00,{row}.5,{note}").expect("memory");
    }
    table
}

#[test]
fn a_table_is_replayed_and_counted_exactly() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("readings.csv");
    std::fs::write(&path, table()).expect("written");
    let arguments = [
        "replay",
        path.to_str().expect("a plain path"),
        "--publisher-column",
        "sensor",
        "--filter",
        "value >= 30",
        "--filter",
        "note IS NULL",
        "--filter",
        "sensor = 'north' AND at >= TIMESTAMP '2024-05-17T12:00:00Z'",
        "--filter",
        "gomera.publisher = 'south'",
        "--json",
    ];
    let delivered = |summary: &Value| -> Vec<u64> {
        let subscribers = summary["subscribers"].as_array().expect("a list").iter();
        subscribers.map(|subscriber| subscriber["delivered"].as_u64().expect("a number")).collect()
    };
    let here = kept(&gomera(&arguments, ""));
    assert_eq!(here["published"], 40);
    assert_eq!(delivered(&here), [10, 4, 8, 20]);

    // The same over a cluster that is there already.
    let cluster = Cluster::up();
    let there = kept(&gomera(&[&arguments[..], &["--endpoint", &cluster.endpoint]].concat(), ""));
    assert_eq!(delivered(&there), [10, 4, 8, 20]);
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn json_lines_are_replayed_from_standard_input() {
    let input: String = (0..20).map(|number| format!("{{\"env\":{{\"co2\":{number}}}}}\n")).collect();
    let summary = kept(&gomera(&["replay", "-", "--filter", "env.co2 < 5", "--rate", "0", "--json"], &input));
    assert_eq!((&summary["published"], &summary["delivered"]), (&Value::from(20), &Value::from(5)));
}
