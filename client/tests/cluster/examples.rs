//! The Rust examples, as they are built beside this test.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::{PATIENCE, cluster};

fn example(name: &str) -> Command {
    // target/debug/deps/cluster-… and target/debug/examples/….
    let here = std::env::current_exe().expect("a test has a path");
    let path: PathBuf = here.parent().and_then(|deps| deps.parent()).expect("two levels").join("examples").join(name);
    let mut command = Command::new(path);
    command.kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_examples_publish_and_subscribe() {
    let (cluster, address) = cluster().await;
    let address = address.to_string();
    let mut subscriber = example("subscribe")
        .args(["type = 'road' AND speed < 40", "2", &address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo test builds the examples, unless told to build one test only");
    let mut lines = BufReader::new(subscriber.stdout.take().expect("it is piped")).lines();
    let mut line = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time");
        line.expect("text").expect("a line")
    };
    assert_eq!(line().await, "subscribed");
    let published = example("publish").arg(&address).output().await.expect("it runs");
    assert!(published.status.success(), "{published:?}");
    for speed in ["31", "12"] {
        let line = line().await;
        assert!(line.starts_with("rust-example ") && line.contains(speed), "{line}");
    }
    assert!(subscriber.wait().await.expect("it ends").success());
    cluster.stop(Duration::from_secs(1)).await;
}
