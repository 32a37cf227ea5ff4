//! Apache ZooKeeper from Debian's package: one server or an ensemble of three, with short ticks so that sessions of half a
//! second are allowed, and without `fsync`, since tests never pull the plug.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Guarded, await_serving};
use super::{ServiceError, free_ports, install_package, temporary_directory};

/// The jar of the server; its manifest names the jars it needs.
const JAR: &str = "/usr/share/java/zookeeper.jar";
/// The jar that gives the server a log on standard error.
const LOG_JAR: &str = "/usr/share/java/slf4j-simple.jar";
/// A JVM on a busy machine takes a second or two; the first election among three another two.
const START_WITHIN: Duration = Duration::from_secs(30);
/// The unit of ZooKeeper's clocks; the shortest session is twice as long.
const TICK: Duration = Duration::from_millis(200);

/// A running ZooKeeper, stopped and removed on drop.
pub struct ZooKeeper {
    directory: PathBuf,
    servers: Vec<Server>,
}

struct Server {
    /// For clients.
    address: SocketAddr,
    directory: PathBuf,
    process: Option<Guarded>,
}

/// Installs the Debian package unless it is there.
///
/// # Errors
/// If it is missing and cannot be installed.
pub fn install_if_missing() -> Result<(), ServiceError> {
    install_package("zookeeper", Path::new(JAR))
}

impl ZooKeeper {
    /// Starts one server, or an ensemble (`servers` is 1 or 3), and waits until it serves.
    ///
    /// # Errors
    /// If ZooKeeper cannot be installed or does not serve within 30 s; the text has the end of its log.
    ///
    /// # Panics
    /// If `servers` is neither 1 nor 3.
    pub fn start(servers: usize) -> Result<Self, ServiceError> {
        Self::start_at(Ipv4Addr::LOCALHOST, servers)
    }

    /// The same at another address of this machine, for clients in networks of their own.
    ///
    /// # Errors
    /// As of [`ZooKeeper::start`].
    ///
    /// # Panics
    /// If `servers` is neither 1 nor 3.
    pub fn start_at(host: Ipv4Addr, servers: usize) -> Result<Self, ServiceError> {
        assert!(servers == 1 || servers == 3, "servers is {servers}, must be 1 or 3");
        install_if_missing()?;
        // A port that was free may be taken a moment later by somebody else; other ports then.
        let mut last = None;
        for _ in 0..3 {
            match Self::start_once(host, servers) {
                Ok(started) => return Ok(started),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ServiceError::new("start ZooKeeper: not attempted")))
    }

    /// `HOST:PORT` of every server, separated by commas, as `--zookeeper` takes it.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let hosts = self.servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>();
        hosts.join(",")
    }

    /// How many servers there are, running or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there is no server; never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Kills server `index` at once; its data stays.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn kill(&mut self, index: usize) {
        self.servers[index].process = None;
    }

    /// Starts server `index` again on its port and data, and waits until it serves.
    ///
    /// # Errors
    /// If it does not serve within 30 s.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn restart(&mut self, index: usize) -> Result<(), ServiceError> {
        self.kill(index);
        self.servers[index].launch()?;
        self.servers[index].await_serving()
    }

    /// Which server leads the ensemble, or serves alone.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.servers.iter().position(|server| matches!(server.mode().as_deref(), Some("leader" | "standalone")))
    }

    fn start_once(host: Ipv4Addr, count: usize) -> Result<Self, ServiceError> {
        let directory = temporary_directory("zookeeper")?;
        let mut started = Self { directory: directory.clone(), servers: Vec::new() };
        let ports = free_ports(count * 3)?;
        let ensemble = (1..=count).zip(ports[count..].chunks(2)).fold(String::new(), |mut text, (id, pair)| {
            writeln!(text, "server.{id}=127.0.0.1:{}:{}", pair[0], pair[1]).expect("a string takes any text");
            text
        });
        let ensemble = if count == 1 { String::new() } else { ensemble };
        for (index, &port) in ports[..count].iter().enumerate() {
            let id = index + 1;
            let directory = directory.join(format!("server-{id}"));
            let configuration = format!(
                "tickTime={}\ninitLimit=50\nsyncLimit=25\ndataDir={}\nclientPort={port}\nclientPortAddress={host}\n\
                 admin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\nautopurge.purgeInterval=0\n{ensemble}",
                TICK.as_millis(),
                directory.join("data").display(),
            );
            let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
            std::fs::create_dir_all(directory.join("data"))
                .and_then(|()| write("zoo.cfg", &configuration))
                .and_then(|()| write("data/myid", &format!("{id}\n")))
                .map_err(|error| ServiceError::from_io("configure ZooKeeper", &error))?;
            let mut server = Server { address: SocketAddr::from((host, port)), directory, process: None };
            server.launch()?;
            started.servers.push(server);
        }
        for server in &started.servers {
            server.await_serving()?;
        }
        Ok(started)
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.servers.clear();
        // What cannot be removed lies in the temporary directory, where it does no harm.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

impl Server {
    fn launch(&mut self) -> Result<(), ServiceError> {
        let classes = format!("{LOG_JAR}:{JAR}");
        let configuration = self.directory.join("zoo.cfg");
        let command = [
            "java",
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dzookeeper.forceSync=no",
            "-Dzookeeper.preAllocSize=64",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            &classes,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            &configuration.to_string_lossy(),
        ];
        self.process = Some(Guarded::start(&command, &self.directory, &self.log())?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    fn await_serving(&self) -> Result<(), ServiceError> {
        let name = format!("ZooKeeper at {}", self.address);
        let process = self.process.as_ref().ok_or_else(|| ServiceError::new(format!("{name} is not started")))?;
        await_serving(&name, process, &self.log(), START_WITHIN, || self.mode().is_some())
    }

    /// `standalone`, `leader` or `follower`, if it serves.
    fn mode(&self) -> Option<String> {
        let answer = ask(self.address, "srvr").ok()?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
}

/// One of ZooKeeper's four-letter words.
fn ask(address: SocketAddr, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(word.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_server_serves_dies_when_killed_and_comes_back_on_its_port() {
        let mut zookeeper = ZooKeeper::start(1).expect("starts");
        let connect_string = zookeeper.connect_string();
        let directory = zookeeper.directory.clone();
        assert_eq!(zookeeper.leader(), Some(0));
        zookeeper.kill(0);
        assert_eq!(zookeeper.leader(), None);
        zookeeper.restart(0).expect("restarts");
        assert_eq!(zookeeper.leader(), Some(0));
        assert_eq!(zookeeper.connect_string(), connect_string);
        let id = zookeeper.servers[0].process.as_ref().expect("runs").id;
        drop(zookeeper);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        assert!(!directory.exists());
    }

    #[test]
    fn an_ensemble_elects_another_leader_when_its_leader_dies() {
        let mut zookeeper = ZooKeeper::start(3).expect("starts");
        let first = zookeeper.leader().expect("an ensemble that serves has a leader");
        zookeeper.kill(first);
        let begun = Instant::now();
        let second = loop {
            if let Some(leader) = zookeeper.leader() {
                break leader;
            }
            assert!(begun.elapsed() < START_WITHIN, "no new leader");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_ne!(first, second);
    }
}
