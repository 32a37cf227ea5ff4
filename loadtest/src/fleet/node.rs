//! One process of a cluster: its addresses, and the signals it is given.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use gomera_cluster::address::Layer;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node.
    Of(Layer),
    /// It coordinates, or stands by for it.
    Coordinator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(layer) => layer.fmt(f),
            Self::Coordinator => f.write_str("coordinator"),
        }
    }
}

/// A place in a network of its own (`chaos::network`).
#[derive(Clone, Debug)]
pub struct Place {
    /// Its network namespace.
    pub namespace: String,
    /// The interface by which others reach it.
    pub outside: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// The line with which a process says that its ports are open.
#[derive(Debug, Deserialize)]
struct Started {
    clients: Option<String>,
}

/// See the top of this file. Dropped, it is killed.
pub struct Node {
    /// What it is.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub clients: Option<String>,
    /// What it logs, as JSON lines.
    pub log: PathBuf,
    /// Where it is, if not simply on this machine.
    pub place: Option<Place>,
    /// Whether another one was started in its place.
    pub is_replaced: bool,
    child: Child,
    /// The process ends in good order when this closes.
    _leash: Option<ChildStdin>,
    runs: bool,
}

impl Node {
    /// Starts it and waits until its ports are open.
    ///
    /// # Errors
    /// If it ends before.
    pub(super) fn start(
        binary: &Path,
        arguments: &[String],
        (role, name): (Role, &str),
        place: Option<Place>,
        log: &Path,
    ) -> Result<Self> {
        let errors = File::create(log).with_context(|| format!("make {}", log.display()))?;
        let mut command = match &place {
            None => Command::new(binary),
            Some(place) => {
                // It becomes the program, which so has the id of the child.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &place.namespace]).arg(binary);
                command
            }
        };
        let mut child = command
            .args(arguments)
            .args(["--json", "--supervised"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let leash = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("piped above"));
        let mut line = String::new();
        output.read_line(&mut line).context("read what a process says")?;
        let Ok(started) = serde_json::from_str::<Started>(&line) else {
            let told = std::fs::read_to_string(log).unwrap_or_default();
            bail!("{name} ended before its ports were open: {}", told.lines().last().unwrap_or("it said nothing"));
        };
        // Whatever else it says is read and passed over, lest it block on a full pipe.
        std::thread::spawn(move || for _ in output.lines().map_while(Result::ok) {});
        Ok(Self {
            role,
            name: name.to_owned(),
            clients: started.clients,
            log: log.to_owned(),
            place,
            is_replaced: false,
            child,
            _leash: leash,
            runs: true,
        })
    }

    /// Whether it has not been killed, as far as is known.
    pub fn runs(&self) -> bool {
        self.runs
    }

    /// Whether it has ended by itself, and with which exit code.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self) -> Result<Option<Option<i32>>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.runs = false;
        }
        Ok(status.map(|status| status.code()))
    }

    /// As `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.runs = false;
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().map(drop).with_context(|| format!("wait for {}", self.name))
    }

    /// As `kill -STOP`: it is there and does nothing.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// As `kill -CONT`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("signal {}", self.name))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.runs {
            // It may have ended by itself.
            drop(self.kill());
        }
    }
}
