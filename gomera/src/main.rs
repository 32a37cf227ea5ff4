//! The program `gomera`: a cluster, its parts, and its users' tools in one binary. Thin: every command is a file that calls the
//! client crate, the model or the host.

mod allocation;
mod cell;
mod cluster;
mod configuration;
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
mod runtime;
mod shape;
mod signals;
mod status;
mod subscribe;
mod summary;
mod trial;
mod up;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gomera_cluster::address::Layer;

use exit::{CODES, Outcome, Reason};

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
    ///
    /// Asks a connection point for the layout: which nodes there are, how many slices of subscriptions (matchers) and of sessions
    /// (exit points) each decides for, and which access point writes which lane. A node that others reach over the network is
    /// asked whether it is there. The exit code is 69 if no connection point is serving.
    #[command(after_help = "\
Examples:
  gomera status
  gomera status --endpoint 10.0.0.1:7411 --json")]
    Status(status::Status),

    /// Change how many nodes a layer has, while it serves
    ///
    /// Nodes that wait for work come in; nodes that are to leave give up what they hold first. The coordinator does it and writes down
    /// how far it has come, so that it goes on whoever dies. One operation runs at a time. How many nodes there are for it,
    /// --dry-run tells.
    #[command(after_help = "\
Examples:
  gomera scale connection-point 2 --wait
  gomera scale connection-point 1 --dry-run --json")]
    Scale(shape::Scale),

    /// Let a node give up what it holds and leave
    ///
    /// An idle node of its layer takes its place, if there is one. When it has left it ends itself; whoever supervises it may start it
    /// again: it is let in if it is wanted.
    #[command(after_help = "\
Examples:
  gomera drain connection-point-2 --wait")]
    Drain(shape::Drain),

    /// Spread slices evenly over the nodes of each layer again
    Rebalance(shape::Rebalance),

    /// Show the operations that were asked for, and how far they have come
    #[command(after_help = "\
Examples:
  gomera operations --watch
  gomera operations --cancel cli-5f1c22a903d4e871")]
    Operations(shape::Operations),

    /// Try filters without a cluster
    #[command(subcommand)]
    Filter(filter::FilterCommand),

    /// Run a whole cluster: in this process, or in one process for each node
    ///
    /// In this process nothing else is needed; what it holds is gone when it ends. With --processes the nodes find each other through
    /// ZooKeeper; who dies is told, and all are stopped in good order on Ctrl-C or SIGTERM. Every listener binds the loopback
    /// interface unless told otherwise, and asks nobody who they are.
    #[command(after_help = "\
Examples:
  gomera up
  gomera up --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --json
  gomera up --processes 1-2-3-2 --zookeeper 127.0.0.1:2181")]
    Up(up::Up),

    /// Run a connection point: holds the connections of clients
    #[command(after_help = NODE_EXAMPLES)]
    ConnectionPoint(node::ConnectionPoint),

    /// Run an access point: puts publications and operations in order
    #[command(after_help = NODE_EXAMPLES)]
    AccessPoint(node::Node),

    /// Run a matcher: finds the subscriptions that a publication satisfies
    #[command(after_help = NODE_EXAMPLES)]
    Matcher(node::Node),

    /// Run an exit point: keeps what subscribers have not acknowledged yet
    #[command(after_help = NODE_EXAMPLES)]
    ExitPoint(node::Node),

    /// Run a coordinator: decides which node does what
    #[command(after_help = NODE_EXAMPLES)]
    Coordinator(node::Coordinator),

    /// Print all settings with their defaults, as a file for --config
    Config,
}

const NODE_EXAMPLES: &str = "\
A cluster by hand, each line in a terminal of its own, with a ZooKeeper at 127.0.0.1:2181:
  gomera connection-point --zookeeper 127.0.0.1:2181
  gomera access-point --zookeeper 127.0.0.1:2181
  gomera matcher --zookeeper 127.0.0.1:2181
  gomera exit-point --zookeeper 127.0.0.1:2181
  gomera coordinator --zookeeper 127.0.0.1:2181 --nodes 1-1-1-1";

fn main() -> ExitCode {
    die_of_panics();
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
    allocation::show();
    match command {
        Command::Filter(command) => filter::run(&command),
        Command::Demo(demo) => runtime::run(demo::run(demo)),
        Command::Replay(replay) => runtime::run(replay::run(replay)),
        Command::Pub(publish) => runtime::run(publish::run(publish)),
        Command::Sub(subscribe) => runtime::run(subscribe::run(subscribe)),
        Command::Status(status) => runtime::run(status::run(status)),
        Command::Scale(scale) => runtime::run(shape::scale(scale)),
        Command::Drain(drain) => runtime::run(shape::drain(drain)),
        Command::Rebalance(rebalance) => runtime::run(shape::rebalance(rebalance)),
        Command::Operations(operations) => runtime::run(shape::operations(operations)),
        Command::Up(up) => up::run(&up),
        Command::ConnectionPoint(flags) => node::connection_point(&flags),
        Command::AccessPoint(flags) => node::other(Layer::AccessPoint, &flags),
        Command::Matcher(flags) => node::other(Layer::Matcher, &flags),
        Command::ExitPoint(flags) => node::other(Layer::ExitPoint, &flags),
        Command::Coordinator(flags) => node::coordinator(&flags),
        Command::Config => configuration::print_defaults(),
    }
}

/// A panic is a mistake of ours, and a process that has lost a machine or a task to one must not seem to work: also where panics
/// would unwind (a release aborts by itself).
fn die_of_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
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

    #[test]
    fn help_shows_quotes_as_they_are_typed() {
        fn look(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(!help.contains("\\\""), "{help}");
            command.get_subcommands_mut().for_each(look);
        }
        look(&mut Gomera::command());
    }
}
