//! The developer's verbs: `cargo xtask check | test | sim | bench`. Each prints what it runs and how long it took, and stops at
//! the first thing that does not hold.

mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::Steps;

/// Gomera's one door for developers.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Formatting, lints with warnings as errors, documentation, tidiness. Run it before each commit.
    Check,
    /// Everything, with the real services it needs (installs Debian packages that are missing).
    Test {
        /// More seeds and more random pairs.
        #[arg(long)]
        long: bool,
    },
    /// The simulator over many seeds, in release.
    Sim {
        /// How many seeds.
        #[arg(long, default_value_t = 2_000)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        start: u64,
    },
    /// Benchmarks: figures and ratios, no verdict.
    ///
    /// `content` is the end-to-end one. `matching` is the index against other engines, one pinned process a row (about 20
    /// minutes): what follows the name goes to it, such as `bench matching --workload A,B --subscriptions 100000 --engine
    /// gomera,scan --plot FILE`; `bench matching -- --help` lists it.
    /// `peers` is RabbitMQ, NATS and Gomera side by side (`bench peers -- --help`).
    Bench {
        /// Which.
        #[arg(default_value = "content")]
        name: String,
        /// Machine-readable.
        #[arg(long)]
        json: bool,
        /// Goes to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Check => Steps::new().check(),
        Verb::Test { long } => Steps::new().test(long),
        Verb::Sim { seeds, start } => Steps::new().sim(seeds, start),
        Verb::Bench { name, json, arguments } => Steps::new().bench(&name, json, &arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
