//! Real services for tests: installed from Debian packages if they are missing, started from a temporary directory on free
//! ports of the loopback interface, and gone when the test process is, however it ends. Standard library only, so that any
//! crate may have this as a dev-dependency.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

pub mod nats;
mod process;
pub mod rabbitmq;
pub mod zookeeper;

/// A service could not be had. The text names what was attempted, what happened, and what would be right.
#[derive(Debug)]
pub struct ServiceError(String);

impl ServiceError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn from_io(attempt: &str, error: &io::Error) -> Self {
        Self(format!("{attempt}: {error}"))
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServiceError {}

/// Installs every service that tests talk to and that this machine lacks.
///
/// # Errors
/// If a package is missing and cannot be installed.
pub fn install_missing() -> Result<(), ServiceError> {
    zookeeper::install_if_missing()?;
    // For the comparison with other brokers, whose start is tested like any other.
    nats::install_if_missing()?;
    rabbitmq::install_if_missing()
}

/// Installs the Debian package `package` unless the file `witness` is there. Tests of one process take turns.
fn install_package(package: &str, witness: &Path) -> Result<(), ServiceError> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if witness.exists() {
        return Ok(());
    }
    let install = || run_apt(&["install", "--yes", "--no-install-recommends", package]);
    if let Err(first) = install() {
        // A fresh container has no package lists.
        run_apt(&["update"]).map_err(|_| first)?;
        install()?;
    }
    if witness.exists() {
        return Ok(());
    }
    Err(ServiceError::new(format!(
        "the Debian package {package} is installed and {} is not there; tests expect the layout of Debian 12",
        witness.display()
    )))
}

fn run_apt(arguments: &[&str]) -> Result<(), ServiceError> {
    let attempt = format!("apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .args(["--quiet", "--option", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| ServiceError::from_io(&attempt, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().last().unwrap_or("no reason given");
    Err(ServiceError::new(format!("{attempt} failed ({last}); run it as root, or install the package yourself")))
}

/// Ports of the loopback interface that were free a moment ago, all different. Below those that systems give to whoever asks for
/// any, or connects: a service that is killed comes back to its port, and nobody shall have got it meanwhile.
fn free_ports(count: usize) -> Result<Vec<u16>, ServiceError> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    // Tests run in several processes at a time: each begins elsewhere.
    let begin = std::process::id().wrapping_mul(37);
    let mut listeners = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..COUNT {
        if ports.len() == count {
            return Ok(ports);
        }
        let number = begin.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + number).expect("below 20000");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            listeners.push(listener);
            ports.push(port);
        }
    }
    Err(ServiceError::new(format!("find {count} free ports: there are none from {FIRST} to {}", FIRST + COUNT - 1)))
}

/// A new directory below the system's temporary one. Whoever starts the service removes it.
fn temporary_directory(service: &str) -> Result<PathBuf, ServiceError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gomera-{service}-{}-{number}", std::process::id()));
    // What a killed process with the same id left behind.
    if path.exists() {
        std::fs::remove_dir_all(&path).map_err(|error| ServiceError::from_io("clear a temporary directory", &error))?;
    }
    std::fs::create_dir_all(&path).map_err(|error| ServiceError::from_io("make a temporary directory", &error))?;
    Ok(path)
}
