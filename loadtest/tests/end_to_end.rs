//! A few runs of the real binaries: processes, ZooKeeper, clients in other languages, and the ceilings on what a publication may
//! cost. Run by `cargo xtask test` on release binaries; ignored otherwise, since they start what they measure from one folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use xtask::services::zookeeper::ZooKeeper;

/// Most allocations a publication may cost the server at 10 connections, 100 filters, one match, 20 000/s. A guard against a
/// multiple, not a target: at this rate most publications travel alone, so each pays for whole frames (20 seen; 6 at full speed).
const ALLOCATIONS_MAX: f64 = 40.0;

/// Most system calls a publication may cost the server in the same run; 2.1 to 4.7 were seen.
const SYSCALLS_MAX: f64 = 8.0;

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(binary("loadtest")).args(arguments).output().expect("loadtest starts")
}

/// A binary in the folder that `GOMERA_BINARIES` names, else beside those of this test.
fn binary(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_loadtest")).parent().expect("in a folder");
    std::env::var_os("GOMERA_BINARIES").map_or_else(|| beside.to_owned(), PathBuf::from).join(name)
}

/// The JSON object a run printed.
fn report(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().expect("a line")).expect("the last line is the report")
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn one_process_delivers_everything_once_and_in_order() {
    let report = report(&loadtest(&["content", "--filters", "10000", "--seconds", "2", "--json"]));
    assert_eq!(report["valid"], true, "{report}");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn several_filters_of_one_connection_come_as_one_notification() {
    let arguments = ["content", "--filters", "300", "--connections", "2", "--matches", "3", "--seconds", "2", "--json"];
    let report = report(&loadtest(&arguments));
    assert_eq!(report["valid"], true, "{report}");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn processes_over_a_real_zookeeper_deliver_everything_once_and_in_order() {
    let zookeeper = ZooKeeper::start(1).expect("ZooKeeper starts");
    for shape in ["1-1-1-1", "2-3-4-2"] {
        let connect = zookeeper.connect_string();
        let arguments = [
            "content",
            "--filters",
            "1000",
            "--seconds",
            "2",
            "--rate",
            "2000",
            "--json",
            "--processes",
            shape,
            "--zookeeper",
            &connect,
        ];
        let report = report(&loadtest(&arguments));
        assert_eq!(report["valid"], true, "{shape}: {report}");
    }
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn a_publication_costs_no_more_than_its_ceilings() {
    let counting = std::env::var("GOMERA_BINARY_COUNTING").ok();
    let mut run = Command::new(binary("loadtest"));
    run.args(["content", "--rate", "20000", "--seconds", "3", "--json"]);
    if let Some(counting) = &counting {
        run.env("GOMERA_BINARY_GOMERA", counting);
    }
    let report = report(&run.output().expect("loadtest starts"));
    if let Some(syscalls) = report["syscalls_per_publication"].as_f64() {
        assert!(syscalls <= SYSCALLS_MAX, "{syscalls} system calls per publication, at most {SYSCALLS_MAX}");
    }
    if counting.is_some() {
        let allocations = report["allocations_per_publication"].as_f64().expect("the binary was built to count");
        assert!(allocations <= ALLOCATIONS_MAX, "{allocations} allocations per publication, at most {ALLOCATIONS_MAX}");
    }
}

/// What a run found that has to be kept on a machine of any speed. Its bounds on time are for `loadtest` on a quiet one.
fn assert_kept(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"));
    assert_ne!(report["verdict"], "broken", "{report:#}\n{errors}");
    for broken in ["lost", "duplicated", "reordered", "unexpected", "unacknowledged"] {
        assert_eq!(report[broken], 0, "{report:#}");
    }
    assert!(report["publications"].as_u64().is_some_and(|count| count > 10_000), "{report:#}");
    report
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn connection_points_come_and_go_under_load_and_nobody_is_disconnected() {
    scaled("connection-point");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn slices_go_to_another_matcher_and_back_under_load() {
    let report = scaled("matcher");
    assert!(report["bytes_moved"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{report:#}");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn sessions_go_to_another_exit_point_and_back_under_load() {
    scaled("exit-point");
}

/// One more node of a layer and one less, under load.
fn scaled(layer: &str) -> Value {
    let arguments =
        ["scale", "--layer", layer, "--from", "1", "--to", "2", "--back", "--rate", "2000", "--seconds", "1"];
    let report = assert_kept(&loadtest(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(report["disconnects"], 0, "{report:#}");
    report
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn an_access_point_that_is_killed_under_load_costs_nothing() {
    assert_a_kill_costs_nothing("access-point");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn a_matcher_that_is_killed_under_load_costs_nothing() {
    assert_a_kill_costs_nothing("matcher");
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn an_exit_point_that_is_killed_under_load_costs_nothing() {
    assert_a_kill_costs_nothing("exit-point");
}

fn assert_a_kill_costs_nothing(layer: &str) {
    let arguments = ["chaos", "--layer", layer, "--fault", "kill", "--events", "1", "--rate", "2000", "--json"];
    let report = assert_kept(&loadtest(&arguments));
    let event = &report["events"][0];
    assert_eq!(event["counts"], true, "{report:#}");
    assert!(event["whole_after_ms"].is_u64(), "{report:#}");
    // Its session with ZooKeeper would have lasted for four seconds.
    assert!(event["detected_after_ms"].as_u64().is_some_and(|after| after < 3_500), "{report:#}");
}

#[test]
fn figures_that_make_no_sense_are_named_before_anything_starts() {
    for (arguments, words) in [
        (&["content", "--filters", "10", "--matches", "3"][..], "--filters is 10, must be a multiple of --matches (3)"),
        (&["content", "--connections", "0"], "--connections is 0"),
        (&["content", "--rate", "0"], "--rate is 0, must be at least 1"),
        (&["content", "--seconds", "0"], "--seconds is 0"),
        (&["content", "--payload", "1048577"], "--payload is 1048577, must be at most 1048576"),
        (&["content", "--processes", "1-1-1", "--zookeeper", "127.0.0.1:1"], "--processes is 1-1-1, must be four"),
        (&["content", "--zookeeper", "127.0.0.1:1"], "--processes"),
        (&["fanout", "--connections", "0"], "--connections is 0"),
        (&["floor", "--window", "0"], "--window is 0"),
        (&["bench", "nothing"], "content, filters"),
        (&["scale", "--layer", "matcher", "--from", "2", "--to", "2"], "--from and --to are both 2"),
        (&["scale", "--layer", "gateway", "--from", "1", "--to", "2"], "must be connection-point"),
        (&["scale", "--layer", "matcher", "--from", "1", "--to", "2", "--processes", "1-1"], "must be four numbers"),
        (&["scale", "--layer", "matcher", "--from", "1", "--to", "2", "--rate", "3"], "at least --publishers (8)"),
        (&["chaos", "--minutes", "0"], "--minutes is 0"),
        (&["chaos", "--fault", "flood"], "kill, pause, partition"),
        (&["content", "--nothing"], "--nothing"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().expect("loadtest starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
#[ignore = "end to end: run by cargo xtask test"]
fn the_demo_keeps_every_promise() {
    let output = Command::new(binary("gomera")).args(["demo", "--seconds", "5", "--json"]).output().expect("starts");
    let report = report(&output);
    for broken in ["missing", "duplicated", "reordered"] {
        assert_eq!(report[broken], 0, "{report}");
    }
    assert!(report["delivered"].as_u64().is_some_and(|delivered| delivered > 100), "{report}");
}
