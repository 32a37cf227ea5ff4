//! Starts what is measured as child processes and stops them again: `gomera up`, and the floor's front and relays.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::driver::Target;

/// The line of a server's output that says where it is reached.
#[derive(Debug, Deserialize)]
struct Ready {
    clients: Vec<String>,
    metrics: Vec<String>,
}

/// Child processes that end when this is dropped.
pub struct Running {
    children: Vec<Child>,
    /// Where they are reached.
    pub target: Target,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // `gomera up` passes it on to its own children.
            drop(Command::new("kill").args(["-TERM", &child.id().to_string()]).status());
        }
        for child in &mut self.children {
            drop(child.wait());
        }
    }
}

/// The binary built beside this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(format!("GOMERA_BINARY_{}", name.to_uppercase())) {
        return Ok(path.into());
    }
    let path = std::env::current_exe()?.parent().context("find the folder of this binary")?.join(name);
    if !path.exists() {
        bail!("{} is not there; build it: cargo build --release --package {name}", path.display());
    }
    Ok(path)
}

fn start(binary: &Path, arguments: &[String]) -> Result<(Child, Ready)> {
    let mut child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", binary.display()))?;
    let output = child.stdout.take().expect("piped above");
    let mut lines = BufReader::new(output).lines();
    // Other events come before it.
    let ready = loop {
        match lines.next() {
            Some(line) => match serde_json::from_str(&line?) {
                Ok(ready) => break ready,
                Err(_) => continue,
            },
            None => bail!("{} {} ended before it served", binary.display(), arguments.join(" ")),
        }
    };
    // Whatever else it says is read and passed over, lest it block on a full pipe.
    std::thread::spawn(move || for _ in lines.map_while(Result::ok) {});
    Ok((child, ready))
}

/// `gomera up --json` with more arguments.
///
/// # Errors
/// If it does not start.
pub fn cluster(arguments: &[String]) -> Result<Running> {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    // A cluster of its own each time: what an earlier one left in ZooKeeper is none of it.
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let name = format!("load-{}-{number}", std::process::id());
    let mut all = ["up", "--json", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--cluster", &name]
        .map(str::to_owned)
        .to_vec();
    all.extend_from_slice(arguments);
    let (child, ready) = start(&sibling("gomera")?, &all)?;
    let target = Target { clients: ready.clients, metrics: ready.metrics, pids: with_children(child.id()) };
    Ok(Running { children: vec![child], target })
}

/// A floor with `links` relays in a ring, each a process.
///
/// # Errors
/// If one of them does not start.
pub fn floor(shape: &[String], links: u32) -> Result<Running> {
    let binary = std::env::current_exe()?;
    let front_port = free_port()?;
    let front_address = format!("127.0.0.1:{front_port}");
    let mut children = Vec::new();
    let mut pids = Vec::new();
    let mut next = front_address.clone();
    // The last relay sends to the front; each before it to the one after.
    for _ in 1..links {
        let (child, ready) = start(&binary, &["floor-relay".to_owned(), "--next".to_owned(), next])?;
        next = ready.clients.into_iter().next().context("a relay has an address")?;
        pids.push(child.id());
        children.push(child);
    }
    let mut arguments = vec!["floor-front".to_owned(), "--listen".to_owned(), front_address];
    arguments.extend_from_slice(shape);
    if links > 0 {
        arguments.extend(["--next".to_owned(), next]);
    }
    let (child, ready) = start(&binary, &arguments)?;
    pids.push(child.id());
    children.push(child);
    Ok(Running { children, target: Target { clients: ready.clients, metrics: Vec::new(), pids } })
}

/// The comparison with other brokers, whose clients are in a binary of their own. Says whether all of its runs were valid.
///
/// # Errors
/// If it is not built, or could not compare.
pub fn peers(json: bool, arguments: &[String]) -> Result<bool> {
    let binary = std::env::current_exe()?.parent().context("find the folder of this binary")?.join("loadtest-peers");
    if !binary.exists() {
        bail!("{} is not there; build it: cargo build --release --package gomera-loadtest-peers", binary.display());
    }
    let status = Command::new(&binary)
        .args(json.then_some("--json"))
        .args(arguments)
        .status()
        .with_context(|| format!("start {}", binary.display()))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("{} ended with {status}", binary.display()),
    }
}

/// A process and the processes it started.
fn with_children(parent: u32) -> Vec<u32> {
    let mut all = vec![parent];
    // Each thread lists the processes it started.
    if let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) {
        for task in tasks.filter_map(Result::ok) {
            let listed = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(listed.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
