//! Another shape of a cluster of processes, asked for on the command line.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;
use xtask::services::zookeeper::ZooKeeper;

use crate::cluster::Cluster;
use crate::program::{Ended, command, gomera};

/// A further node that a person has started; ended when dropped.
struct Node {
    process: Child,
    /// Read no further, but open: a program whose reader is gone ends.
    _out: ChildStdout,
}

impl Node {
    /// Registers and waits for work.
    fn start(servers: &str, name: &str) -> Self {
        let any = ["--listen", "127.0.0.1:0", "--link-listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let to = ["--zookeeper", servers, "--cluster", "plaza", "--name", name, "--json", "--log", "error"];
        let mut child = command(&[&["connection-point"], &any[..], &to].concat())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut first = String::new();
        out.read_line(&mut first).expect("text");
        assert!(first.contains("started"), "{first}");
        Self { process: child, _out: out.into_inner() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn lines(ended: &Ended) -> Vec<Value> {
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_layer_is_scaled_out_and_in_and_everything_that_makes_no_sense_is_answered() {
    let zookeeper = ZooKeeper::start(1).expect("a ZooKeeper");
    let servers = zookeeper.connect_string();
    let cluster = Cluster::start(&["--processes", "1-1-1-1", "--zookeeper", &servers, "--cluster", "plaza"]);
    let ask = |arguments: &[&str]| gomera(&[arguments, &["--endpoint", &cluster.endpoint]].concat(), "");
    for (arguments, code, words) in [
        (&["scale", "connection-point", "0"][..], 64, "must be at least 1"),
        (&["scale", "gateway", "2"], 64, "must be connection-point, access-point, matcher or exit-point"),
        (
            &["scale", "connection-point", "3"],
            75,
            "1 serve and 0 wait for work: start 2 more (`gomera connection-point`)",
        ),
        (&["scale", "connection-point", "3", "--dry-run"], 75, "start 2 more"),
        (&["drain", "nobody"], 64, "there is no node «nobody»; the nodes are "),
        (&["drain", "connection-point-1"], 75, "is the last connection point"),
        (&["operations", "--cancel", "nothing"], 64, "there is no operation nothing"),
        (&["rebalance", "--request-id", "a b"], 64, "the id of the operation is «a b», must be"),
    ] {
        let ended = ask(arguments);
        assert!(ended.code == code && ended.err.contains(words), "{arguments:?}: {ended:?}");
    }
    assert_eq!(ask(&["operations"]).out, "there were no operations\n", "nothing was written");

    let mut second = Node::start(&servers, "second");
    let planned = lines(&ask(&["scale", "connection-point", "2", "--dry-run", "--json"]));
    assert_eq!((&planned[0]["state"], &planned[0]["joining"][0]), (&"planned".into(), &"second".into()), "{planned:?}");
    let out = lines(&ask(&["scale", "connection-points", "2", "--wait", "--json", "--request-id", "out"]));
    let last = out.last().expect("it tells");
    assert_eq!((&last["id"], &last["state"], &last["nodes_joined"]), (&"out".into(), &"succeeded".into(), &1.into()));
    assert_eq!(last["layers"][0]["to"], 2);
    let status = ask(&["status"]);
    assert!(status.out.contains("second"), "{}", status.out);
    // Asked again under the same id, it is told and not done again.
    let again = lines(&ask(&["scale", "connection-point", "2", "--json", "--request-id", "out"]));
    assert_eq!(&again[0], last);
    let other = ask(&["scale", "connection-point", "1", "--request-id", "out"]);
    assert!(other.code == 64 && other.err.contains("stands for «scale connection-point 2»"), "{other:?}");

    let drained = ask(&["drain", "second", "--wait"]);
    assert!(drained.code == 0 && drained.out.contains("drain second: succeeded"), "{drained:?}");
    let code = second.process.wait().expect("it ends by itself").code();
    assert_eq!(code, Some(69), "whoever supervises it starts it again");
    // Two are wanted still, and here is another one: it is let in without being asked.
    let third = Node::start(&servers, "third");
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    while !ask(&["status"]).out.contains("third") {
        assert!(std::time::Instant::now() < deadline, "it is not let in");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let journal = lines(&ask(&["operations", "--json"]));
    let requests: Vec<_> = journal.iter().map(|line| line["request"].as_str().expect("text")).collect();
    assert_eq!(requests, ["scale connection-point 2", "drain second"]);
    drop(third);
    assert_eq!(cluster.stop(), Some(0));
}
