//! What a user can get wrong about a process: each gets an exit code of its own and an error that says what would be right.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::cluster::{Cluster, signal};
use crate::program::{Ended, command, gomera};

fn said(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    for word in words {
        assert!(ended.err.contains(word), "{word}: {}", ended.err);
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let free = "127.0.0.1:0";
    said(&gomera(&["up", "--listen", &address, "--metrics-listen", free], ""), 69, &[&address, "--listen"]);
    said(&gomera(&["up", "--listen", free, "--metrics-listen", &address], ""), 69, &[&address, "--metrics-listen"]);
}

#[test]
fn a_program_for_people_is_quiet_unless_something_is_wrong_and_colours_no_file() {
    let up = ["up", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    for (log, words) in [(&[][..], ""), (&["--log", "info"], "a node has started")] {
        let mut child = command(&[&up[..], log].concat())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = out.next().expect("it says something").expect("text");
        assert!(
            first.contains("serves: 1 connection point, 1 access point, 1 matcher, 1 exit point, in this process"),
            "{first}"
        );
        signal("TERM", u64::from(child.id()));
        let ended = child.wait_with_output().expect("it ends");
        let error = String::from_utf8(ended.stderr).expect("text");
        assert!(ended.status.success(), "{error}");
        assert!(!error.contains('\u{1b}'), "no terminal, no colours: {error}");
        assert_eq!(error.is_empty(), words.is_empty(), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn silent_connections_that_take_all_descriptors_cost_no_work_and_are_outlived() {
    let script = format!("ulimit -n 64; exec {} \"$@\"", env!("CARGO_BIN_EXE_gomera"));
    let mut child = std::process::Command::new("bash")
        .args(["-c", &script, "gomera", "up", "--json", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .env("GOMERA_CLIENT_DOOR__GREETING_TIMEOUT", "1s")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut told = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    out.read_line(&mut told).expect("text");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let address = told["clients"][0].as_str().expect("an address").to_owned();
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).expect("the system takes it")).collect();
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
        let fields: Vec<_> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        // Time in the process and in the system for it, in hundredths of a second.
        fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum::<u64>()
    };
    let before = ticks();
    // Not a wait for something: the time over which work is measured.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(ticks() - before < 25, "half a core at most, even in a debug build: {}", ticks() - before);
    // Whoever says nothing is closed after a second, and others are served while the crowd still waits.
    let status = gomera(&["pub", "-a", "n=1", "--endpoint", &address], "");
    assert_eq!(status.code, 0, "{}", status.err);
    drop(silent);
    signal("TERM", u64::from(child.id()));
    let ended = child.wait_with_output().expect("it ends");
    let error = String::from_utf8(ended.stderr).expect("text");
    assert!(ended.status.success() && error.contains("cannot accept connections"), "{error}");
    assert_eq!(error.lines().count(), 1, "told once: {error}");
}

#[test]
fn a_cluster_that_is_not_there_is_named_with_its_address() {
    let status = gomera(&["status", "--endpoint", "127.0.0.1:1"], "");
    assert_eq!(status.out.matches("tcp connect error").count(), 1, "{}", status.out);
    for arguments in [&["status"][..], &["pub", "-a", "a=1"], &["sub", "a = 1"], &["replay", "-"]] {
        let ended = gomera(&[arguments, &["--endpoint", "127.0.0.1:1"]].concat(), "");
        said(&ended, 69, &["127.0.0.1:1"]);
    }
    said(&gomera(&["pub", "-a", "a=1", "--endpoint", "https://127.0.0.1:1"], ""), 64, &["scheme must be http"]);
}

#[test]
fn a_port_of_something_else_is_told_to_be_no_connection_point() {
    let cluster = Cluster::up();
    let serving = cluster.history.last().expect("it serves");
    let metrics = serving["metrics"][0].as_str().expect("an address");
    for arguments in [&["pub", "-a", "a=1"][..], &["sub", "a = 1"], &["status"]] {
        let ended = gomera(&[arguments, &["--endpoint", metrics]].concat(), "");
        said(&ended, 69, &["what answers there is no connection point"]);
    }
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn a_zookeeper_that_is_not_there_is_named_soon() {
    let nodes = ["connection-point", "access-point", "matcher", "exit-point", "coordinator"].map(|layer| vec![layer]);
    for program in nodes.into_iter().chain([vec!["up", "--processes", "1-1-1-1"]]) {
        let began = Instant::now();
        let output = command(&[&program[..], &["--zookeeper", "127.0.0.1:1"]].concat())
            .env("GOMERA_ZOOKEEPER__CONNECT_TIMEOUT", "300ms")
            .env("GOMERA_LISTEN", "127.0.0.1:0")
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("no ZooKeeper answered at 127.0.0.1:1"), "{error}");
        assert!(began.elapsed().as_secs() < 10);
    }
}

#[test]
fn a_wrong_configuration_is_named_before_anything_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gomera.toml");
    let file = path.to_str().expect("a plain path");
    for (content, words) in [
        ("[matcher]\nstep_entries_max = 0\n", &["matcher.step_entries_max is 0", "must be"][..]),
        ("[matcher]\nstep_entires_max = 1\n", &["unknown field", "step_entires_max"]),
        ("shards = 'many'\n", &["shards"]),
        ("shards = ", &["configuration"]),
    ] {
        std::fs::write(&path, content).expect("written");
        said(&gomera(&["up", "--config", file], ""), 78, words);
        said(&gomera(&["matcher", "--config", file], ""), 78, words);
    }
    said(&gomera(&["up", "--config", "/nowhere.toml"], ""), 78, &["/nowhere.toml"]);
    said(&gomera(&["up", "--log", "==="], ""), 78, &["==="]);
    let environment = command(&["up"]).env("GOMERA_EXIT_POINT__BLOCK_MAX", "soon").output().expect("the program runs");
    assert_eq!(environment.status.code(), Some(78));
    let error = String::from_utf8_lossy(&environment.stderr);
    assert!(error.contains("BLOCK_MAX") && error.contains("a duration such as"), "{error}");
}

#[test]
fn a_command_line_without_sense_is_refused_before_anything_starts() {
    for arguments in [
        &["up", "--processes", "1-1-1-1"][..],
        &["up", "--zookeeper", "127.0.0.1:2181"],
        &["up", "--nodes", "1-1-1"],
        &["up", "--nodes", "60000-1-1-1", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
        &["coordinator", "--nodes", "0-1-1-1"],
        &["up", "--stop-within", "soon"],
        &["demo", "--seconds", "0"],
        &["matcher", "--listen", "127.0.0.1:0"],
    ] {
        assert_eq!(gomera(arguments, "").code, 64, "{arguments:?}");
    }
}

#[test]
fn wrong_input_to_a_replay_is_told_before_or_at_its_line() {
    said(&gomera(&["replay", "/nowhere.csv"], ""), 66, &["/nowhere.csv"]);
    said(&gomera(&["replay", "-", "--filter", "a ="], ""), 65, &["   ^"]);
    said(&gomera(&["replay", "-", "--publisher-column", "c"], "a,b\n1,2\n"), 64, &["the columns are a, b"]);
    said(&gomera(&["replay", "-", "--json"], "{\"a\":1}\n{\"a\"}\n"), 65, &["line 2"]);
    let document = "{\n  \"a\": 1\n}\n";
    said(&gomera(&["replay", "-", "--json"], document), 65, &["line 1", "each line must be one whole JSON object"]);
    said(&gomera(&["replay", "-", "--json"], "{\"a\":1}\n[1]\n"), 65, &["line 2 is JSON but no object"]);
    for nothing in ["", "a,b\n", "a,\"b\n1,2\n"] {
        said(&gomera(&["replay", "-", "--format", "csv"], nothing), 65, &["there is no row in -"]);
    }
}
