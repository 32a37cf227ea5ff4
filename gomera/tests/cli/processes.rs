//! `gomera up --processes` over a real ZooKeeper: one process for each node.

use xtask::services::zookeeper::ZooKeeper;

use crate::cluster::{Cluster, signal};
use crate::program::{command, gomera};

fn is_running(process: u64) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_cluster_of_processes_serves_tells_of_a_death_and_stops_in_good_order() {
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let servers = zookeeper.connect_string();
    let arguments = ["--processes", "1-2-3-2", "--zookeeper", &servers, "--cluster", "plaza"];
    let mut cluster = Cluster::start(&arguments);
    let started: Vec<_> = cluster.history.iter().filter(|event| event["event"] == "process").cloned().collect();
    assert_eq!(started.len(), 9, "eight nodes and a coordinator: {started:?}");

    let replay =
        ["replay", "-", "--endpoint", &cluster.endpoint, "--filter", "n < 100", "--filter", "n >= 450", "--json"];
    let lines: String = (0..500).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let ended = gomera(&replay, &lines);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.json()["delivered"], 150);

    let id = |event: &serde_json::Value| event["id"].as_u64().expect("a process id");
    let matcher = started.iter().find(|event| event["label"] == "matcher-2").expect("a second matcher");
    signal("KILL", id(matcher));
    let died = cluster.wait_for("died");
    assert_eq!((&died["label"], &died["id"]), (&matcher["label"], &matcher["id"]));
    assert!(died["how"].as_str().expect("a text").contains("signal: 9"), "{died}");
    let status = gomera(&["status", "--endpoint", &cluster.endpoint], "");
    let silent: Vec<_> = status.out.lines().filter(|line| line.contains("does not answer from here")).collect();
    assert!(silent.len() == 1 && silent[0].contains("matcher-2"), "{}", status.out);

    assert_eq!(cluster.stop(), Some(0));
    let left: Vec<_> = started.iter().filter(|event| is_running(id(event))).collect();
    assert!(left.is_empty(), "{left:?}");

    // The same cluster again: what the first one left in ZooKeeper is no obstacle.
    let again = Cluster::start(&arguments);
    let replay = ["replay", "-", "--endpoint", &again.endpoint, "--filter", "n < 100", "--json"];
    assert_eq!(gomera(&replay, &lines).json()["delivered"], 100);
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn children_end_when_who_started_them_is_killed() {
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let servers = zookeeper.connect_string();
    let cluster = Cluster::start(&["--processes", "1-1-1-1", "--zookeeper", &servers]);
    let ids: Vec<_> = cluster.history.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(ids.len(), 5);
    // Killed, not told to stop.
    drop(cluster);
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    while ids.iter().any(|&id| is_running(id)) {
        assert!(std::time::Instant::now() < deadline, "some still run: {ids:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_node_that_cannot_start_ends_the_whole_and_is_named() {
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ended =
        gomera(&["up", "--processes", "1-1-1-1", "--zookeeper", &zookeeper.connect_string(), "--listen", &address], "");
    assert_eq!(ended.code, 69, "{}", ended.err);
    assert!(ended.err.contains(&address) && ended.err.contains("connection-point-1 ended before"), "{}", ended.err);
}

#[test]
fn a_second_cluster_of_the_same_name_is_told_what_it_waits_for_and_disturbs_nobody() {
    use std::io::{BufRead as _, BufReader};
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let servers = zookeeper.connect_string();
    let arguments = ["--processes", "1-1-1-1", "--zookeeper", &servers, "--cluster", "plaza"];
    let first = Cluster::start(&arguments);
    let any = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--stop-within", "1s"];
    let mut second = command(&[&["up"], &arguments[..], &any].concat())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(second.stderr.take().expect("it is piped")).lines();
    // Ends with the output, so with the program, if it is never said.
    let told = lines.by_ref().map_while(Result::ok).find(|line| line.contains("not serving yet"));
    let told = told.expect("it explains itself");
    for word in ["matcher-1", "`plaza`", &servers, "--cluster"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    signal("TERM", u64::from(second.id()));
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    assert!(second.wait().expect("it ends").success());
    rest.join().expect("it is read to the end");
    let lines = "{\"n\":1}\n".repeat(10);
    let replay = ["replay", "-", "--endpoint", &first.endpoint, "--filter", "n = 1", "--json"];
    assert_eq!(gomera(&replay, &lines).json()["delivered"], 10);
    assert_eq!(first.stop(), Some(0));
}
