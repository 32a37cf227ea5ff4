//! Everything that can be set about a process, in one place: defaults, then a file, then the environment, then the command
//! line; read once, validated whole before a port is opened.
//!
//! ```toml
//! cluster = "plaza"
//! listen = "127.0.0.1:7411"
//!
//! [zookeeper]
//! servers = "zk-1:2181,zk-2:2181"
//!
//! [exit_point]
//! session_outbox_bytes_max = 16777216
//! block_max = "500ms"
//! ```
//! In the environment a setting is `GOMERA_` and its name in capitals, two underscores between table and name:
//! `GOMERA_LISTEN`, `GOMERA_EXIT_POINT__BLOCK_MAX`. Variables that are no setting are passed over, because orchestrators put
//! their own there (`GOMERA_SERVICE_HOST`); an unknown name within a table is an error.

mod durations;
mod print;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use gomera_cluster::address::Layer;
use gomera_cluster::layout::Settings;
use gomera_coordinator::config::{validate_desired, validate_settings};
use gomera_coordinator::registration::validate_name;
use gomera_host::client_door::ClientDoorConfig;
use gomera_host::coordination::ZooKeeperConfig;
use gomera_host::node::LayerConfig;
use gomera_host::runtime::Threads;
use gomera_host::telemetry::logging::{self, LogFormat};
use serde::{Deserialize, Serialize};

use crate::exit::{Failure, Outcome, Reason};
use crate::output;
use durations::{Durations, duration};

/// Where clients come in unless told otherwise.
pub const CLIENT_PORT: u16 = 7411;
/// Where metrics and health of `gomera up` are read unless told otherwise.
pub const METRICS_PORT: u16 = 7412;

/// Machines a node may register with (`gomera_coordinator`).
const SHARDS_MAX: u16 = 1024;
/// More than any machine has cores; far fewer than what an operating system refuses, which would end the process.
const THREADS_MAX: u16 = 1024;

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The cluster's name.
    pub cluster: String,
    /// The node's name; unique in its layer. One is made up if it is empty.
    pub name: String,
    /// Where clients reach a connection point.
    pub listen: SocketAddr,
    /// `HOST:PORT` that clients are told; where it listens unless said.
    pub advertise: Option<String>,
    /// Where other nodes reach a node.
    pub link_listen: SocketAddr,
    /// `HOST:PORT` that other nodes are told; where it listens unless said.
    pub link_advertise: Option<String>,
    /// Where metrics and health are read over HTTP.
    pub metrics_listen: SocketAddr,
    /// Machines of a node.
    pub shards: u16,
    /// Threads for machines alone; 0: they share those that serve connections.
    pub threads: u16,
    /// Threads that serve connections, and machines that have none of their own; 0: as many as there are cores, of which `gomera
    /// up` takes half and with processes shares them out, because its clients are on the same machine.
    pub workers: u16,
    /// Whether memory may come in pages of 2 MiB: matching among a million filters is a seventh faster with them, but bursts may
    /// stall while the kernel clears pages.
    pub huge_pages: bool,
    /// How long clients are served after the process was told to stop.
    pub stop_within: Duration,
    /// How long a node that gets SIGTERM may take to give up what it holds, before it stops.
    pub drain_within: Duration,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub log: String,
    /// How.
    pub log_format: LogFormat,
    /// Where ZooKeeper is.
    pub zookeeper: ZooKeeperConfig,
    /// What a cluster is created with and cannot be changed later.
    pub settings: Settings,
    /// The coordinator.
    pub coordinator: gomera_coordinator::Config,
    /// Each machine of a connection point.
    pub connection_point: gomera_connection_point::Config,
    /// Each door for clients.
    pub client_door: ClientDoorConfig,
    /// Each machine of an access point.
    pub access_point: gomera_access_point::config::Config,
    /// Each machine of a matcher.
    pub matcher: gomera_matcher::config::Config,
    /// Each machine of an exit point.
    pub exit_point: gomera_exit_point::Config,
}

impl Default for Configuration {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            cluster: "gomera".into(),
            name: String::new(),
            listen: loopback(CLIENT_PORT),
            advertise: None,
            link_listen: loopback(0),
            link_advertise: None,
            metrics_listen: loopback(0),
            shards: 1,
            threads: 0,
            workers: 0,
            huge_pages: false,
            stop_within: Duration::from_secs(10),
            drain_within: Duration::from_secs(60),
            log: "warn,gomera=info,gomera_host=info".into(),
            log_format: LogFormat::default(),
            zookeeper: ZooKeeperConfig::default(),
            settings: Settings::default(),
            coordinator: gomera_coordinator::Config::default(),
            connection_point: gomera_connection_point::Config::default(),
            client_door: ClientDoorConfig::default(),
            access_point: gomera_access_point::config::Config::default(),
            matcher: gomera_matcher::config::Config::default(),
            exit_point: gomera_exit_point::Config::default(),
        }
    }
}

/// The settings that every process takes on its command line.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct ProcessFlags {
    /// A file of settings (TOML); `gomera config` prints one with the defaults
    #[arg(long, value_name = "FILE", env = "GOMERA_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Where metrics and health are read over HTTP: /metrics, /healthz, /readyz. By default any free port that is told at the
    /// start; `gomera up` in one process takes 127.0.0.1:7412
    #[arg(long, alias = "metrics", value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    /// How long clients are served after the process was told to stop: 10s, `gomera up` in one process 2s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_within: Option<Duration>,
    /// What is logged on standard error, as in RUST_LOG: `info`, `warn,gomera_host=debug`. By default what happens to a node,
    /// with `gomera up` only what goes wrong
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How it is logged
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
}

/// The settings that a process with machines takes on its command line.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct MachineFlags {
    /// Machines of each node
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<u16>,
    /// Threads for machines alone; 0: they share those that serve connections
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u16>,
    /// Threads that serve connections, and machines that have none of their own; 0: one for each core, of which `gomera up` takes
    /// half, at least one
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<u16>,
}

/// A layer of settings that is no more than a few values.
pub trait Flags: Serialize {}

impl Flags for ProcessFlags {}
impl Flags for MachineFlags {}

/// Settings on their way: defaults, file and environment are in, the command line follows.
#[derive(Debug)]
pub struct Draft {
    figment: Figment,
}

impl Draft {
    /// Defaults, the file if there is one, and the environment.
    pub fn read(defaults: Configuration, file: Option<&Path>) -> Outcome<Self> {
        let known = Serialized::defaults(&defaults);
        let mut figment = Figment::from(known);
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(
                    Reason::Configuration,
                    anyhow::Error::new(error).context(format!("read the configuration {}", file.display())),
                )
            })?;
            figment = figment.merge(Durations(Toml::string(&text)));
        }
        let names = names(&defaults);
        let environment = Env::prefixed("GOMERA_").split("__").filter(move |key| {
            let first = key.as_str().split('.').next().unwrap_or_default().to_ascii_lowercase();
            names.contains(&first)
        });
        Ok(Self { figment: figment.merge(Durations(environment)) })
    }

    /// What the command line says.
    #[must_use]
    pub fn with(self, flags: &impl Flags) -> Self {
        Self { figment: self.figment.merge(Serialized::defaults(flags)) }
    }

    /// One setting that the command line gives.
    #[must_use]
    pub fn set<Value: Serialize>(self, name: &str, value: Option<Value>) -> Self {
        match value {
            Some(value) => Self { figment: self.figment.merge(Serialized::global(name, value)) },
            None => self,
        }
    }

    /// The settings, validated whole; from here on they are logged by.
    pub fn finish(self) -> Outcome<Configuration> {
        let configuration: Configuration = self.figment.extract().map_err(|error| {
            let text =
                error.to_string().replace("expected struct Duration", "expected a duration such as 250ms, 10s, 5m");
            Failure::say(Reason::Configuration, format!("configuration: {text}"))
        })?;
        configuration
            .validate()
            .map_err(|wrong| Failure::say(Reason::Configuration, format!("configuration: {wrong}")))?;
        logging::install(&configuration.log, configuration.log_format)
            .map_err(|error| Failure::new(Reason::Configuration, error))?;
        Ok(configuration)
    }
}

/// The names at the top.
fn names(configuration: &Configuration) -> Vec<String> {
    match serde_json::to_value(configuration) {
        Ok(serde_json::Value::Object(settings)) => settings.into_iter().map(|(name, _)| name).collect(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

impl Configuration {
    /// Checks everything; says the first thing that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        fn within<Error: ToString>(table: &str, outcome: Result<(), Error>) -> Result<(), String> {
            outcome.map_err(|error| format!("{table}.{}", error.to_string()))
        }
        let top = |outcome: Result<(), gomera_coordinator::ConfigError>| outcome.map_err(|error| error.to_string());
        top(validate_name("cluster", &self.cluster))?;
        if !self.name.is_empty() {
            top(validate_name("name", &self.name))?;
        }
        if !(1..=SHARDS_MAX).contains(&self.shards) {
            return Err(format!("shards is {}, must be 1 to {SHARDS_MAX}", self.shards));
        }
        for (name, threads) in [("threads", self.threads), ("workers", self.workers)] {
            if threads > THREADS_MAX {
                return Err(format!(
                    "{name} is {threads}, must be at most {THREADS_MAX}; 0 takes what the machine has"
                ));
            }
        }
        within("zookeeper", self.zookeeper.validate())?;
        within("settings", validate_settings(&self.settings))?;
        within("coordinator", self.coordinator.validate())?;
        within("coordinator", validate_desired(&self.coordinator.desired))?;
        within("connection_point", self.connection_point.validate())?;
        within("client_door", self.client_door.validate())?;
        within("access_point", self.access_point.validate())?;
        within("matcher", self.matcher.validate())?;
        within("exit_point", self.exit_point.validate())
    }

    /// Where machines run.
    #[must_use]
    pub fn threads(&self) -> Threads {
        match self.threads {
            0 => Threads::Shared,
            count => Threads::Own(count),
        }
    }

    /// The settings of the machines of a layer.
    #[must_use]
    pub fn of_layer(&self, layer: Layer) -> LayerConfig {
        match layer {
            Layer::ConnectionPoint => LayerConfig::ConnectionPoint {
                machine: Box::new(self.connection_point.clone()),
                door: self.client_door.clone(),
            },
            Layer::AccessPoint => LayerConfig::AccessPoint(self.access_point.clone()),
            Layer::Matcher => LayerConfig::Matcher(self.matcher.clone()),
            Layer::ExitPoint => LayerConfig::ExitPoint(self.exit_point.clone()),
        }
    }
}

/// The defaults as a file.
pub fn print_defaults() -> Outcome {
    output::line(defaults_as_file().trim_end())
}

fn defaults_as_file() -> String {
    let defaults = serde_json::to_value(Configuration::default()).expect("settings are plain data");
    format!("{FILE_HEADER}{}", print::toml(&defaults))
}

/// What the file begins with.
const FILE_HEADER: &str = "\
# Every setting of Gomera with its default, for --config: take away the # before what is to be other.
# `gomera up` has defaults of its own for log (\"warn\"), metrics_listen (\"127.0.0.1:7412\") and stop_within (\"2s\").
# workers: 0 takes as many threads as there are cores, with `gomera up` half as many, because its clients are there too.
# huge_pages: true makes matching among a million filters a seventh faster, but bursts may stall while pages are cleared.
# In the environment: GOMERA_LISTEN, GOMERA_EXIT_POINT__BLOCK_MAX.

";

#[cfg(test)]
mod tests;
