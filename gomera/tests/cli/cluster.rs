//! A cluster to test against: `gomera up`, as a user would start it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::command;

/// Long enough for a debug build on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `gomera up …`, killed when dropped.
pub struct Cluster {
    process: Child,
    told: mpsc::Receiver<Value>,
    /// Everything it told on the way to serving.
    pub history: Vec<Value>,
    /// Where clients come in.
    pub endpoint: String,
}

impl Cluster {
    /// One process, any free ports.
    pub fn up() -> Self {
        Self::start(&["--metrics-listen", "127.0.0.1:0"])
    }

    /// With these arguments; waits until it serves.
    pub fn start(arguments: &[&str]) -> Self {
        Self::at("127.0.0.1:0", arguments)
    }

    /// At a port to which another may come back: the system gives none below 32768 to whoever asks for any, or connects, as other
    /// tests do all the time.
    pub fn at_a_port_of_its_own() -> Self {
        let begin = std::process::id().wrapping_mul(37);
        let free = (0..10_000_u32).find_map(|number| {
            let port = u16::try_from(20_000 + begin.wrapping_add(number) % 10_000).expect("below 30000");
            TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
        });
        Self::at(&format!("127.0.0.1:{}", free.expect("one is free")), &["--metrics-listen", "127.0.0.1:0"])
    }

    /// Clients come in here.
    pub fn at(address: &str, arguments: &[&str]) -> Self {
        let mut process = command(&["up", "--json", "--listen", address, "--stop-within", "2s", "--log", "error"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = process.stdout.take().expect("it is piped");
        let (sender, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let mut cluster = Self { process, told, history: Vec::new(), endpoint: String::new() };
        let serving = cluster.wait_for("serving");
        cluster.endpoint = format!("http://{}", serving["clients"][0].as_str().expect("an address"));
        cluster
    }

    /// The next event of this kind.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.told.recv_timeout(left).unwrap_or_else(|error| {
                panic!("{error}: no `{kind}`, but {:?}", self.history);
            });
            self.history.push(event.clone());
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// The most memory that its process has had at a time, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Tells it to stop; gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        signal("TERM", u64::from(self.process.id()));
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have been stopped.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(name: &str, process: u64) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(sent.expect("kill is installed").success(), "process {process} is gone");
}
