//! The command line, and how its verbs become runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use crate::chaos::Chaos;
use crate::driver::{self, Run, Target};
use crate::figure7::Figure7;
use crate::maximum::Maximum;
use crate::moves::Moves;
use crate::report::Report;
use crate::scale::Scale;
use crate::spawn;
use crate::workload::Content;

/// Load generator and judge for Gomera. Starts what it measures beside itself, drives it over real gRPC on loopback, checks
/// every notification, and exits with 1 if anything was lost, doubled, reordered or wrong.
#[derive(Parser)]
#[command(name = "loadtest", arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Filters that partition a space: each publication satisfies exactly `--matches` of them.
    ///
    /// Example: loadtest content --filters 10000 --connections 10
    Content(Load),
    /// Every publication satisfies one filter of every connection.
    ///
    /// Example: loadtest fanout --connections 10
    Fanout(Fanout),
    /// The same frames, bytes and acknowledgements over as many links and processes, and nothing else.
    ///
    /// Example: loadtest floor --links 4 --connections 10
    Floor(Floor),
    /// A layer of a cluster of processes grows or shrinks under load; every promise is judged from outside.
    ///
    /// Exit code: 0 kept, 1 broken, 2 late (a bound on time), 3 void (the machine is too busy to tell), 75 refused by the cluster.
    /// Example: loadtest scale --layer access-point --from 1 --to 2 --back
    Scale(Scale),
    /// Processes of a cluster are killed, paused and cut off under load; every promise is judged from outside.
    ///
    /// Exit code as of `scale`. Example: loadtest chaos --minutes 5 --seed 7
    Chaos(Chaos),
    /// Throughput over the number of subscriptions, a line for each configuration of processes.
    ///
    /// Example: loadtest figure7 --processes 1-1-1-1,1-1-2-1 --plot figure7.svg
    Figure7(Figure7),
    /// The highest rate, open loop, at which a cluster of processes keeps up
    ///
    /// Example: loadtest maximum --processes 1-1-1-1,1-1-3-1
    Maximum(Maximum),
    /// How long a layer takes to grow, over the bytes that move and the rate of publications meanwhile.
    ///
    /// Example: loadtest moves --subscriptions 20000,40000,80000 --rates 2000,8000
    Moves(Moves),
    /// Named benchmarks
    Bench {
        /// Which.
        #[arg(default_value = "content")]
        name: Benchmark,
        /// Machine-readable.
        #[arg(long)]
        json: bool,
        /// Where to draw `filters`, as SVG.
        #[arg(long)]
        plot: Option<PathBuf>,
    },
    /// The content workload with one match over RabbitMQ (headers), NATS (filters in the client) and Gomera, in one run.
    ///
    /// `loadtest peers -- --help` lists what else it takes.
    Peers {
        /// Machine-readable.
        #[arg(long)]
        json: bool,
        /// Goes to the binary `loadtest-peers` beside this one.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    #[command(hide = true)]
    FloorFront {
        #[command(flatten)]
        content: Shape,
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long)]
        next: Option<String>,
    },
    #[command(hide = true)]
    FloorRelay {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        #[arg(long)]
        next: String,
    },
}

/// What is compared in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Benchmark {
    /// Floor, `gomera up` and processes, as ratios.
    Content,
    /// Throughput over the number of filters.
    Filters,
}

impl Verb {
    /// Checks everything before anything starts.
    ///
    /// # Errors
    /// If figures do not fit together; the text says which.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Content(load) | Self::Fanout(Fanout { load }) => {
                if let Some(processes) = &load.processes {
                    validate_processes(processes)?;
                }
                // A fanout has its shape from the number of connections.
                let matches = if matches!(self, Self::Fanout(_)) { load.shape.connections } else { load.shape.matches };
                let filters = if matches!(self, Self::Fanout(_)) { matches } else { load.shape.filters };
                validate(&Shape { filters, matches, ..load.shape.clone() }, &load.effort)
            }
            Self::Floor(floor) => validate(&floor.shape, &floor.effort),
            Self::Scale(scale) => scale.validate(),
            Self::Chaos(chaos) => chaos.validate(),
            Self::Figure7(figure) => figure.validate(),
            Self::Maximum(maximum) => maximum.validate(),
            Self::Moves(moves) => moves.validate(),
            Self::FloorFront { content, .. } => content.content().map(drop),
            Self::Bench { .. } | Self::Peers { .. } | Self::FloorRelay { .. } => Ok(()),
        }
    }
}

fn validate(shape: &Shape, effort: &Effort) -> Result<()> {
    shape.content()?;
    ensure!(
        shape.payload <= PAYLOAD_BYTES_MAX,
        "--payload is {}, must be at most {PAYLOAD_BYTES_MAX}: what a publication may have",
        shape.payload
    );
    ensure!(effort.seconds >= 1, "--seconds is 0, must be at least 1");
    ensure!(effort.window >= 1, "--window is 0, must be at least 1: nothing would ever be sent");
    ensure!(effort.rate != Some(0), "--rate is 0, must be at least 1; without it, as fast as acknowledgements come");
    Ok(())
}

/// As `gomera up --processes` reads it.
fn validate_processes(processes: &str) -> Result<()> {
    let counts: Vec<u16> = processes.split('-').filter_map(|count| count.parse().ok()).collect();
    ensure!(
        processes.split('-').count() == 4 && counts.len() == 4 && counts.iter().all(|&count| count >= 1),
        "--processes is {processes}, must be four numbers from 1 joined by hyphens, as in 1-2-3-2: connection points, access \
         points, matchers, exit points"
    );
    Ok(())
}

/// `publication.payload_bytes_max` unless a cluster is told otherwise.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// The shape of the workload.
#[derive(Args, Clone, Debug)]
pub struct Shape {
    /// How many filters; a multiple of `--matches`.
    #[arg(long, default_value_t = 100)]
    pub filters: u64,
    /// How many connections publish and subscribe.
    #[arg(long, default_value_t = 10)]
    pub connections: u64,
    /// How many filters each publication satisfies.
    #[arg(long, default_value_t = 1)]
    pub matches: u64,
    /// Payload bytes.
    #[arg(long, default_value_t = 200)]
    pub payload: usize,
}

impl Shape {
    pub fn content(&self) -> Result<Content> {
        Content::new(self.filters, self.connections, self.matches, self.payload)
    }

    pub fn arguments(&self) -> Vec<String> {
        [
            ("--filters", self.filters.to_string()),
            ("--connections", self.connections.to_string()),
            ("--matches", self.matches.to_string()),
            ("--payload", self.payload.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

/// How long and how hard.
#[derive(Args, Clone, Debug)]
pub struct Effort {
    /// Seconds measured.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Publications a second over all connections, open loop. Without it: closed loop, as fast as acknowledgements come.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Unacknowledged publications per connection in the closed loop.
    #[arg(long, default_value_t = 200)]
    pub window: u64,
}

/// `loadtest content`.
#[derive(Args, Clone, Debug)]
pub struct Load {
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub effort: Effort,
    /// A cluster of processes: connection points - access points - matchers - exit points. Without it: `gomera up`.
    #[arg(long, value_name = "A-B-C-D", requires = "zookeeper")]
    pub processes: Option<String>,
    /// ZooKeeper for `--processes`.
    #[arg(long, value_name = "HOST:PORT", requires = "processes")]
    pub zookeeper: Option<String>,
    /// A cluster that runs already, instead of one started here.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "processes")]
    pub endpoint: Vec<String>,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// `loadtest fanout`.
#[derive(Args, Clone, Debug)]
pub struct Fanout {
    #[command(flatten)]
    pub load: Load,
}

/// `loadtest floor`.
#[derive(Args, Clone, Debug)]
pub struct Floor {
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub effort: Effort,
    /// Links between nodes on the way of a publication: 0 as in `gomera up`, 4 as in processes 1-1-1-1.
    #[arg(long, default_value_t = 0)]
    pub links: u32,
    /// As `--links 4`.
    #[arg(long, conflicts_with = "links")]
    pub processes: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// A runtime of the load generator.
pub fn runtime(threads: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("start the runtime")
}

pub fn drive(name: String, shape: &Shape, effort: &Effort, target: &Target) -> Result<Report> {
    let run = Run {
        name,
        content: shape.content()?,
        rate: effort.rate,
        window: effort.window,
        measured: Duration::from_secs(effort.seconds),
        warm_up: Duration::from_secs(1),
    };
    runtime(1)?.block_on(driver::run(&run, target))
}

impl Load {
    /// Where it runs, for the name.
    fn place(&self) -> String {
        match (&self.processes, self.endpoint.is_empty()) {
            (Some(processes), _) => format!("processes {processes}"),
            (None, true) => "gomera up".to_owned(),
            (None, false) => self.endpoint.join(", "),
        }
    }

    pub fn run_on_cluster(&self) -> Result<Report> {
        let shape = &self.shape;
        let name = format!(
            "content: {} filters, {} connections, {} matches, {} bytes, {}",
            shape.filters,
            shape.connections,
            shape.matches,
            shape.payload,
            self.place()
        );
        self.run_as(name)
    }

    fn run_as(&self, name: String) -> Result<Report> {
        if !self.endpoint.is_empty() {
            let target = Target { clients: self.endpoint.clone(), metrics: Vec::new(), pids: Vec::new() };
            return drive(name, &self.shape, &self.effort, &target);
        }
        let arguments = match (&self.processes, &self.zookeeper) {
            (Some(processes), Some(zookeeper)) => {
                vec!["--processes".to_owned(), processes.clone(), "--zookeeper".to_owned(), zookeeper.clone()]
            }
            _ => Vec::new(),
        };
        let running = spawn::cluster(&arguments)?;
        drive(name, &self.shape, &self.effort, &running.target)
    }
}

impl Fanout {
    pub fn json(&self) -> bool {
        self.load.json
    }

    pub fn run_on_cluster(&self) -> Result<Report> {
        let mut load = self.load.clone();
        // One cell, a filter of it at every connection.
        load.shape.filters = load.shape.connections;
        load.shape.matches = load.shape.connections;
        let name = format!("fanout: {} connections, {}", load.shape.connections, load.place());
        load.run_as(name)
    }
}

impl Floor {
    pub fn json(&self) -> bool {
        self.json
    }

    pub fn run(&self) -> Result<Report> {
        let links = if self.processes { 4 } else { self.links };
        let running = spawn::floor(&self.shape.arguments(), links)?;
        let name = format!(
            "floor: {links} links, {} connections, {} matches, {} bytes",
            self.shape.connections, self.shape.matches, self.shape.payload
        );
        drive(name, &self.shape, &self.effort, &running.target)
    }
}
