//! The Python examples, with a real grpcio. The interpreter is named by `GOMERA_TEST_PYTHON`, which `cargo xtask test` sets;
//! without it there is nothing to run them with.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use crate::cluster::{Cluster, PATIENCE};

#[test]
fn the_python_examples_publish_and_subscribe() {
    let Ok(python) = std::env::var("GOMERA_TEST_PYTHON") else {
        eprintln!("not run: GOMERA_TEST_PYTHON is not set");
        return;
    };
    let cluster = Cluster::up();
    let address = cluster.endpoint.trim_start_matches("http://");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/python");
    let mut subscriber = Command::new(&python)
        .arg(examples.join("subscribe.py"))
        .args(["type = 'road' AND speed < 20", "1", address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let out = BufReader::new(subscriber.stdout.take().expect("it is piped"));
    let (sender, received) = mpsc::channel();
    let reader = std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = || received.recv_timeout(PATIENCE).expect("it prints a line");
    assert_eq!(line(), "subscribed");
    let published = Command::new(&python).arg(examples.join("publish.py")).arg(address).output().expect("python runs");
    assert!(published.status.success(), "{published:?}");
    let line = line();
    assert!(line.starts_with("python ") && line.contains("\"speed\": 12"), "{line}");
    drop(reader.join());
    assert!(subscriber.wait().expect("it ends").success());
    assert_eq!(cluster.stop(), Some(0));
}
