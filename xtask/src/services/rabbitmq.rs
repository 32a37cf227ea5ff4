//! RabbitMQ from Debian's package, one node, with a port mapper (`epmd`) of its own, so that neither outlives us nor meets
//! another's.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Guarded, await_serving};
use super::{ServiceError, free_ports, install_package, temporary_directory};

const BINARY: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const PORT_MAPPER: &str = "/usr/bin/epmd";
/// Erlang on a busy machine takes its time.
const START_WITHIN: Duration = Duration::from_secs(180);

/// A running node, stopped and removed on drop.
pub struct RabbitMq {
    address: SocketAddr,
    directory: PathBuf,
    process: Option<Guarded>,
    port_mapper: Option<Guarded>,
}

/// Installs the Debian package unless it is there.
///
/// # Errors
/// If it is missing and cannot be installed.
pub fn install_if_missing() -> Result<(), ServiceError> {
    install_package("rabbitmq-server", Path::new(BINARY))
}

impl RabbitMq {
    /// Starts a node and waits until it serves. User and password are `guest`.
    ///
    /// # Errors
    /// If it cannot be installed or does not serve within 180 s; the text has the end of its log.
    pub fn start() -> Result<Self, ServiceError> {
        install_if_missing()?;
        let ports = free_ports(3)?;
        let directory = temporary_directory("rabbitmq")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
        let port_mapper_port = ports[2].to_string();
        let mapper_log = directory.join("epmd.log");
        let mapper = [PORT_MAPPER, "-port", &port_mapper_port, "-address", "127.0.0.1"];
        let port_mapper = Guarded::start(&mapper, &directory, &mapper_log)?;

        let plugins = directory.join("enabled_plugins");
        std::fs::write(&plugins, "[].\n").map_err(|error| ServiceError::from_io("write enabled_plugins", &error))?;
        let in_directory = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let log = directory.join("server.log");
        let environment = [
            format!("HOME={}", directory.display()),
            format!("ERL_EPMD_PORT={port_mapper_port}"),
            format!("RABBITMQ_NODENAME=gomera-{}@localhost", ports[0]),
            "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1".to_owned(),
            format!("RABBITMQ_NODE_PORT={}", ports[0]),
            format!("RABBITMQ_DIST_PORT={}", ports[1]),
            format!("RABBITMQ_MNESIA_BASE={}", in_directory("mnesia")),
            format!("RABBITMQ_LOG_BASE={}", in_directory("log")),
            format!("RABBITMQ_ENABLED_PLUGINS_FILE={}", plugins.display()),
            format!("RABBITMQ_CONFIG_FILE={}", in_directory("rabbitmq.conf")),
            format!("RABBITMQ_CONF_ENV_FILE={}", in_directory("rabbitmq-env.conf")),
            "RABBITMQ_LOGS=-".to_owned(),
            // As under systemd, the script becomes the node instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD=true".to_owned(),
        ];
        let command = ["/usr/bin/env"].into_iter().chain(environment.iter().map(String::as_str)).chain([BINARY]);
        let process = Guarded::start(&command.collect::<Vec<_>>(), &directory, &log)?;
        await_serving("RabbitMQ", &process, &log, START_WITHIN, || answers(address))?;
        Ok(Self { address, directory, process: Some(process), port_mapper: Some(port_mapper) })
    }

    /// Where it serves AMQP.
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

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.process = None;
        self.port_mapper = None;
        // What is left over is in the system's temporary directory.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// Whether it answers the greeting of AMQP 0-9-1 with a method frame.
fn answers(address: SocketAddr) -> bool {
    let first = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    first().is_ok_and(|byte| byte == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_serves_and_is_gone_when_dropped() {
        let rabbitmq = RabbitMq::start().expect("starts");
        assert!(answers(rabbitmq.address()));
        let (id, directory) = (rabbitmq.pid(), rabbitmq.directory.clone());
        drop(rabbitmq);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        assert!(!directory.exists());
    }
}
