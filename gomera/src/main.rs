//! The program `gomera`: a cluster, its parts, and its users' tools in one binary. Thin: every command is a file that calls the
//! client crate, the model or the host.

mod cell;
mod cluster;
mod demo;
mod endpoint;
mod exit;
mod filter;
mod ledger;
mod lines;
mod node;
mod output;
mod publish;
mod replay;
mod signals;
mod status;
mod subscribe;
mod summary;
mod trial;
mod view;

use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{CODES, Failure, Outcome, Reason};

/// Content-based publish/subscribe for the Internet of Things
///
/// Devices publish typed attributes; subscribers say by a filter over these attributes what they want. Each publication is
/// brought to exactly the subscribers whose filters it satisfies, once and in order.
#[derive(Debug, Parser)]
#[command(name = "gomera", version, after_help = format!("{BEGINNING}\n\n{CODES}"), max_term_width = 110)]
struct Gomera {
    #[command(subcommand)]
    command: Command,
}

const BEGINNING: &str = "\
To begin:
  gomera demo                                        see it work, in 20 seconds
  gomera up                                          a whole cluster in one process, on this machine
  gomera sub \"type = 'road' AND speed < 20\"          subscribe, in another terminal
  gomera pub -a type=road -a road=M-30 -a speed=12   publish, in a third
  gomera filter check \"speed < 20 AND\"               try a filter without a cluster";

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: a city and this machine publish, a few dozen subscribers listen, every delivery is checked
    ///
    /// Starts a cluster in this process and talks to it over gRPC on the loopback interface, as any program would. Ends by itself
    /// with a summary; the exit code is 1 if a promise broke.
    #[command(after_help = "\
Examples:
  gomera demo
  gomera demo --seconds 5 --rate 5000 --json")]
    Demo(demo::Demo),

    /// Publish your own CSV or JSON lines, subscribe with your own filters, and have every delivery checked
    ///
    /// A row of a table is a publication: a cell becomes an attribute, typed by what it looks like (number, true/false, ISO 8601
    /// time, text); an empty cell, NA or NaN is no attribute. A column without a name goes by column_N. Nested JSON becomes
    /// dotted paths.
    #[command(after_help = "\
Examples:
  gomera replay weather.csv --publisher-column origin --filter \"wind_gust > 40\" --filter \"temp < 20 AND precip > 0\"
  gomera replay readings.jsonl --rate 0 --filter \"env.co2 > 1000\" --endpoint http://127.0.0.1:7411 --json")]
    Replay(replay::Replay),

    /// Publish: one publication from the command line, or JSON lines
    #[command(after_help = "\
Values are typed by what they look like: 12 is an integer, 12.5 a float, true a boolean, 2024-05-17T08:30:00Z a
timestamp, POINT(43.46, -3.81) a place, '12' and anything else a string.

Examples:
  gomera pub -a type=road -a road=M-30 -a speed=12
  gomera pub --payload '{\"env\":{\"co2\":612}}'
  gomera pub --publisher station-7 --file readings.jsonl")]
    Pub(publish::Publish),

    /// Subscribe: print what satisfies a filter
    #[command(after_help = "\
Examples:
  gomera sub \"type = 'road' AND speed < 20\"
  gomera sub \"env.co2 > 1000\" --json --count 10
  gomera sub \"DISTANCE(location, \\$here) < 500\" --context '{\"here\":{\"type\":\"Point\",\"coordinates\":[-3.81,43.46]}}'
  gomera sub \"temperature < 3\" --session night-shift     what comes while nobody listens is kept for a while")]
    Sub(subscribe::Subscribe),

    /// Show what the cluster is made of and whether it serves
    Status(status::Status),

    /// Try filters without a cluster
    #[command(subcommand)]
    Filter(filter::FilterCommand),
}

fn main() -> ExitCode {
    let command = match Gomera::try_parse() {
        Ok(gomera) => gomera.command,
        Err(error) => return usage(&error),
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Filter(command) => filter::run(&command),
        Command::Demo(demo) => on_runtime(demo::run(demo)),
        Command::Replay(replay) => on_runtime(replay::run(replay)),
        Command::Pub(publish) => on_runtime(publish::run(publish)),
        Command::Sub(subscribe) => on_runtime(subscribe::run(subscribe)),
        Command::Status(status) => on_runtime(status::run(status)),
    }
}

/// For everything that talks to a cluster.
fn on_runtime(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Reason::Internal, error))?;
    runtime.block_on(command)
}

/// Help and version go to standard output and are no failure; the rest is told as clap tells it.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody reads it.
    let _unwanted = error.print();
    if error.use_stderr() { ExitCode::from(Reason::Usage.code()) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    //! Claims about the command line.

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Gomera::command().debug_assert();
    }
}
