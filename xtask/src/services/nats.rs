//! NATS from Debian's package, one server, nothing kept on disk.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Guarded, await_serving};
use super::{ServiceError, free_ports, install_package, temporary_directory};

const BINARY: &str = "/usr/sbin/nats-server";
const START_WITHIN: Duration = Duration::from_secs(10);

/// A running server, stopped and removed on drop.
pub struct Nats {
    address: SocketAddr,
    directory: PathBuf,
    process: Option<Guarded>,
}

/// Installs the Debian package unless it is there.
///
/// # Errors
/// If it is missing and cannot be installed.
pub fn install_if_missing() -> Result<(), ServiceError> {
    install_package("nats-server", Path::new(BINARY))
}

impl Nats {
    /// Starts a server and waits until it serves.
    ///
    /// # Errors
    /// If it cannot be installed or does not serve within 10 s; the text has the end of its log.
    pub fn start() -> Result<Self, ServiceError> {
        install_if_missing()?;
        let port = free_ports(1)?[0];
        let directory = temporary_directory("nats")?;
        let log = directory.join("server.log");
        let command = [BINARY, "--addr", "127.0.0.1", "--port", &port.to_string()];
        let process = Guarded::start(&command, &directory, &log)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        await_serving("NATS", &process, &log, START_WITHIN, || greets(address))?;
        Ok(Self { address, directory, process: Some(process) })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.id)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.process = None;
        // What is left over is in the system's temporary directory.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// A server that serves says who it is.
fn greets(address: SocketAddr) -> bool {
    let greeting = || -> std::io::Result<String> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    greeting().is_ok_and(|line| line.starts_with("INFO "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_serves_and_is_gone_when_dropped() {
        let nats = Nats::start().expect("starts");
        assert!(greets(nats.address()));
        let (id, directory) = (nats.pid(), nats.directory.clone());
        drop(nats);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        assert!(!directory.exists());
    }
}
