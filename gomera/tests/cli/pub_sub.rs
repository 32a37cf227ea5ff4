//! `gomera pub`, `gomera sub` and `gomera status` against a running cluster.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::cluster::{Cluster, signal};
use crate::program::{command, gomera};

/// A `gomera sub` whose subscription is in force.
struct Subscriber(Child);

impl Subscriber {
    fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        let mut child = command(&["sub", "--json", "--endpoint", &cluster.endpoint])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(child.stderr.take().expect("it is piped")).lines().next();
        let said = said.expect("it says something").expect("text");
        assert!(said.contains("subscribed"), "{said}");
        Self(child)
    }

    /// What it printed, once it has ended by itself.
    fn lines(self) -> Vec<Value> {
        let output = self.0.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn publish(cluster: &Cluster, arguments: &[&str], input: &str) {
    let ended = gomera(&[&["pub", "--json", "--endpoint", &cluster.endpoint], arguments].concat(), input);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let counts = ended.json();
    assert_eq!(counts["published"], counts["acknowledged"], "{counts}");
}

#[test]
fn what_is_published_reaches_exactly_who_asked_for_it() {
    let cluster = Cluster::up();
    let slow = Subscriber::start(&cluster, &["type = 'road' AND speed < 20", "--count", "2"]);
    let near = Subscriber::start(
        &cluster,
        &[
            "DISTANCE(at, $here) < 500",
            "--count",
            "1",
            "--context",
            r#"{"here":{"type":"Point","coordinates":[-3.81,43.46]}}"#,
        ],
    );
    publish(&cluster, &["-a", "type=road", "-a", "speed=55"], "");
    publish(&cluster, &["-a", "type=road", "-a", "speed=12", "--payload", "not JSON"], "");
    publish(&cluster, &["-a", "at=POINT(43.461, -3.811)", "-a", "when=2024-05-17T08:00:00Z"], "");
    let lines = "{\"type\":\"road\",\"speed\":30}\n\n{\"type\":\"road\",\"speed\":7.5,\"env\":{\"wet\":true}}\n";
    publish(&cluster, &["--publisher", "lines"], lines);

    let slow = slow.lines();
    assert_eq!(slow.len(), 2);
    assert_eq!(slow[0]["attributes"], json!({"type": "road", "speed": 12}));
    assert_eq!(slow[0]["payload"], "not JSON");
    assert_eq!((&slow[0]["redelivered"], &slow[0]["sequence"]), (&json!(false), &json!(1)));
    assert_eq!(slow[1]["attributes"], json!({"type": "road", "speed": 7.5, "env.wet": true}));
    assert_eq!(slow[1]["payload"], json!({"type": "road", "speed": 7.5, "env": {"wet": true}}));
    assert_eq!((&slow[1]["publisher"], &slow[1]["sequence"]), (&json!("lines"), &json!(2)));
    let near = near.lines();
    assert_eq!(near[0]["attributes"]["at"], json!({"type": "Point", "coordinates": [-3.811, 43.461]}));
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn a_named_session_gets_what_came_while_nobody_listened() {
    let cluster = Cluster::up();
    let listen = |count: &str| Subscriber::start(&cluster, &["n > 0", "--session", "keeper", "--count", count]);
    let numbers = |lines: Vec<Value>| -> Vec<u64> {
        lines.iter().map(|line| line["attributes"]["n"].as_u64().expect("a number")).collect()
    };
    let first = listen("1");
    publish(&cluster, &[], "{\"n\":1}\n");
    assert_eq!(numbers(first.lines()), [1]);
    publish(&cluster, &[], "{\"n\":2}\n{\"n\":0}\n{\"n\":3}\n");
    assert_eq!(numbers(listen("2").lines()), [2, 3]);
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn status_tells_what_there_is() {
    let cluster = Cluster::start(&["--metrics-listen", "127.0.0.1:0", "--nodes", "1-2-3-2", "--cluster", "plaza"]);
    let ended = gomera(&["status", "--json", "--endpoint", &cluster.endpoint], "");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let status = ended.json();
    assert_eq!(status["cluster"], "plaza");
    assert_eq!(status["endpoints"][0]["health"], "serving");
    let nodes = status["nodes"].as_array().expect("a list");
    let count = |layer: &str| nodes.iter().filter(|node| node["layer"] == layer).count();
    assert_eq!(["connection-point", "access-point", "matcher", "exit-point"].map(count), [1, 2, 3, 2]);
    assert_eq!(status["lanes"].as_array().map(Vec::len), Some(2));
    let layers: Vec<_> = nodes.iter().map(|node| node["layer"].as_str().expect("a text")).collect();
    assert_eq!((layers[0], layers[1], layers[7]), ("connection-point", "access-point", "exit-point"), "{layers:?}");
    let text = gomera(&["status", "--endpoint", &cluster.endpoint], "");
    for expected in
        ["cluster plaza", "serving", "connection-point-1       1 shard, clients 127.0.0.1", "active for 128 slices"]
    {
        assert!(text.out.contains(expected), "{expected}: {}", text.out);
    }
    assert!(!text.out.contains("in-process"), "{}", text.out);
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn who_waits_for_a_cluster_that_is_away_is_told_so() {
    let cluster = Cluster::at_a_port_of_its_own();
    let address = cluster.endpoint.trim_start_matches("http://").to_owned();
    let mut child = command(&["sub", "n > 0", "--endpoint", &cluster.endpoint])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut said = BufReader::new(child.stderr.take().expect("it is piped")).lines().map(|line| line.expect("text"));
    let mut line = || said.next().expect("it says more");
    assert!(line().contains("subscribed"));
    let began = std::time::Instant::now();
    assert_eq!(cluster.stop(), Some(0));
    assert!(began.elapsed().as_millis() < 1900, "the client went before it was cut off");
    let told = line();
    assert!(told.contains("cut off from the cluster, trying again") && told.contains(&address), "{told}");
    let again = Cluster::at(&address, &["--metrics-listen", "127.0.0.1:0"]);
    let mut back = [line(), line()];
    back.sort();
    assert_eq!(back, ["gomera: connected again", "gomera: the cluster had lost the session; subscribed again"]);
    signal("INT", u64::from(child.id()));
    assert!(child.wait().expect("it ends").success());
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn a_publication_that_is_wrong_is_refused_with_its_line_and_the_others_are_published() {
    let cluster = Cluster::up();
    let ended = gomera(&["pub", "--json", "--endpoint", &cluster.endpoint], "{\"n\":1}\n{\"n\":\n{\"n\":3}\n");
    assert_eq!(ended.code, 65);
    assert!(ended.err.contains("line 2"), "{}", ended.err);
    assert_eq!(ended.json(), json!({"published": 1, "acknowledged": 1, "refused": 0}));
    for (arguments, code) in [
        (&["-a", "speed"][..], 64),
        (&["-a", "a=1", "-a", " a=2"], 64),
        (&["-a", "gomera.time=1"], 65),
        (&["--file", "/nowhere"], 66),
    ] {
        let ended = gomera(&[&["pub", "--endpoint", &cluster.endpoint], arguments].concat(), "");
        assert_eq!(ended.code, code, "{}", ended.err);
    }
    assert_eq!(cluster.stop(), Some(0));
}

#[test]
fn memory_stays_bounded_while_subscribers_do_not_read_what_is_published() {
    const MIB: u64 = 1 << 20;
    let directory = tempfile::tempdir().expect("a directory");
    let settings = directory.path().join("gomera.toml");
    std::fs::write(&settings, "[exit_point]\nsession_outbox_bytes_max = 1048576\n").expect("written");
    let settings = settings.to_str().expect("a plain path");
    let cluster = Cluster::start(&["--metrics-listen", "127.0.0.1:0", "--config", settings]);
    let mut subscribers = Vec::new();
    for slow in ["drop-oldest", "disconnect", "block"] {
        let child = Subscriber::start(&cluster, &["n >= 0", "--slow", slow]).0;
        // From here on it does nothing at all, and its connections stay.
        signal("STOP", u64::from(child.id()));
        subscribers.push(child);
    }
    let text = "x".repeat(3_000);
    let lines = |count: u64| (0..count).map(|n| format!("{{\"n\":{n},\"text\":\"{text}\"}}\n")).collect::<String>();
    publish(&cluster, &["--file", "-"], &lines(1_000));
    let before = cluster.memory_bytes_max();
    publish(&cluster, &["--file", "-"], &lines(25_000));
    let grown = (cluster.memory_bytes_max() - before) / MIB;
    // 6 were seen; 18 to 22 with outboxes as large as they are by default.
    assert!(grown < 14, "by {grown} MiB, while 75 MB were published to each of three");
    for mut child in subscribers {
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }
    assert_eq!(cluster.stop(), Some(0));
}
