//! The content workload with one match over RabbitMQ (headers exchange), NATS (filters in the client) and Gomera, in one run on one
//! machine: `loadtest peers`. Each peer is asked for the part of it that it can express, in its own best way; the table says what
//! it cannot.

mod gomera;
mod nats;
mod rabbitmq;
mod run;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::Serialize;
use xtask::services::nats::Nats;
use xtask::services::rabbitmq::RabbitMq;

use crate::run::{Figures, Shared};
use crate::workload::Cells;

/// The workload of `loadtest content`, one match, over RabbitMQ headers, NATS with filters in the client, and Gomera. Installs
/// Debian's rabbitmq-server and nats-server if they are missing and starts them in temporary directories.
#[derive(Parser)]
#[command(name = "loadtest peers")]
struct Arguments {
    /// How many filters, several in turn.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000])]
    filters: Vec<u64>,
    /// How many connections publish and subscribe.
    #[arg(long, value_delimiter = ',', default_values_t = [10])]
    connections: Vec<u64>,
    /// Publications under way per connection.
    #[arg(long, default_value_t = 100)]
    window: u64,
    /// Seconds measured.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Which of `gomera,rabbitmq,nats`; without it all.
    #[arg(long, value_delimiter = ',')]
    peer: Vec<Peer>,
    /// Machine-readable.
    #[arg(long)]
    json: bool,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Peer {
    Gomera,
    #[value(name = "rabbitmq")]
    RabbitMq,
    Nats,
}

impl Peer {
    const ALL: [Self; 3] = [Self::Gomera, Self::RabbitMq, Self::Nats];

    fn text(self) -> &'static str {
        match self {
            Self::Gomera => "Gomera",
            Self::RabbitMq => "RabbitMQ headers",
            Self::Nats => "NATS, filters in the client",
        }
    }

    /// What of the workload it cannot express.
    fn cannot(self) -> &'static str {
        match self {
            Self::Gomera => "-",
            Self::RabbitMq => "ranges: publishers cut c into the subscribers' ranges beforehand; exactly once",
            Self::Nats => {
                "filters: every subscriber gets and judges everything; acknowledgement, order across reconnects, exactly once"
            }
        }
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    peer: Peer,
    filters: u64,
    connections: u64,
    #[serde(flatten)]
    figures: Option<Figures>,
    cannot_express: &'static str,
    /// Why there are no figures.
    note: Option<String>,
}

fn main() -> ExitCode {
    match act(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("loadtest peers: {error:#}");
            ExitCode::from(70)
        }
    }
}

/// Runs everything; says whether all of it was delivered as it should.
fn act(arguments: &Arguments) -> Result<bool> {
    let mut rows = Vec::new();
    for &connections in &arguments.connections {
        for &filters in &arguments.filters {
            for peer in Peer::ALL {
                if !arguments.peer.is_empty() && !arguments.peer.contains(&peer) {
                    continue;
                }
                eprintln!("{}: {filters} filters, {connections} connections", peer.text());
                let (figures, note) = match measure(arguments, peer, filters, connections) {
                    Ok(figures) => (Some(figures), None),
                    Err(error) => (None, Some(format!("{error:#}"))),
                };
                rows.push(Row { peer, filters, connections, figures, cannot_express: peer.cannot(), note });
            }
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&rows)?);
    } else {
        print(&rows);
    }
    Ok(rows.iter().all(|row| row.figures.as_ref().is_some_and(|figures| figures.lost + figures.wrong == 0)))
}

fn measure(arguments: &Arguments, peer: Peer, filters: u64, connections: u64) -> Result<Figures> {
    let cells = Cells::new(filters, connections)?;
    let measured = Duration::from_secs(arguments.seconds);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().context("start the runtime")
    };
    match peer {
        Peer::Gomera => gomera::measure(filters, connections, arguments.window, arguments.seconds),
        Peer::RabbitMq => {
            let server = RabbitMq::start().context("start RabbitMQ")?;
            // One queue gets each publication.
            let shared = Shared::new(cells, arguments.window, 1);
            runtime()?.block_on(rabbitmq::measure(shared, server.address(), measured))
        }
        Peer::Nats => {
            let server = Nats::start().context("start NATS")?;
            // Every connection gets each publication.
            let shared = Shared::new(cells, arguments.window, connections);
            runtime()?.block_on(nats::measure(shared, server.address(), measured))
        }
    }
}

fn print(rows: &[Row]) {
    println!(
        "{:<28} {:>8} {:>11} {:>14} {:>9} {:>9} {:>5} {:>5}  cannot express",
        "peer", "filters", "connections", "publications/s", "p50 us", "p99 us", "lost", "wrong"
    );
    for row in rows {
        let name = row.peer.text();
        match (&row.figures, &row.note) {
            (Some(figures), _) => println!(
                "{name:<28} {:>8} {:>11} {:>14.0} {:>9} {:>9} {:>5} {:>5}  {}",
                row.filters,
                row.connections,
                figures.publications_per_second,
                figures.p50_us,
                figures.p99_us,
                figures.lost,
                figures.wrong,
                row.cannot_express
            ),
            (None, note) => {
                println!("{name:<28} {:>8} {:>11} {}", row.filters, row.connections, note.as_deref().unwrap_or("-"));
            }
        }
    }
}
