//! Load on a cluster and the judgement of what came of it: `loadtest content`, `fanout`, `floor`, `scale`, `chaos`, `figure7`, `maximum`, `moves`, `bench`, `peers`.

mod arguments;
mod bench;
mod chaos;
mod chart;
mod driver;
mod figure7;
mod fleet;
mod floor;
mod judge;
mod maximum;
mod measure;
mod moves;
mod report;
mod scale;
mod spawn;
mod trial;
mod verdict;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::arguments::{Arguments, Verb};
use crate::report::Report;
use crate::verdict::Outcome;

/// Exit codes beside 0 (valid) and 1 (void), as `gomera` has them: the command line makes no sense, a run could not be made.
const USAGE: u8 = 64;
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let verb = match Arguments::try_parse() {
        Ok(arguments) => arguments.verb,
        Err(error) => {
            // Help goes to standard output and is no failure. Nobody may read it.
            let _unwanted = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if let Err(error) = verb.validate() {
        eprintln!("loadtest: {error:#}");
        return ExitCode::from(USAGE);
    }
    match act(verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(INTERNAL)
        }
    }
}

/// Does what was asked; gives the exit code.
fn act(verb: Verb) -> Result<u8> {
    let valid = match verb {
        Verb::Chaos(chaos) => return told(&arguments::runtime(1)?.block_on(chaos.run())?, chaos.json),
        Verb::Figure7(figure) => figure.run(),
        Verb::Maximum(maximum) => maximum.run(),
        Verb::Moves(moves) => arguments::runtime(1)?.block_on(moves.run()),
        Verb::Scale(scale) => return told(&arguments::runtime(1)?.block_on(scale.run())?, scale.json),
        Verb::Content(content) => one(&content.run_on_cluster()?, content.json),
        Verb::Fanout(fanout) => one(&fanout.run_on_cluster()?, fanout.json()),
        Verb::Floor(floor) => one(&floor.run()?, floor.json()),
        Verb::Bench { name, json, plot } => bench::bench(name, json, plot.as_deref()),
        Verb::Peers { json, arguments } => spawn::peers(json, &arguments),
        Verb::FloorFront { content, listen, next } => {
            let content = content.content()?;
            arguments::runtime(1)?.block_on(floor::front(content, listen, next))?;
            Ok(true)
        }
        Verb::FloorRelay { listen, next } => {
            arguments::runtime(1)?.block_on(floor::relay(listen, next))?;
            Ok(true)
        }
    };
    valid.map(|valid| u8::from(!valid))
}

fn told(outcome: &Outcome, json: bool) -> Result<u8> {
    if json {
        println!("{}", serde_json::to_string(outcome)?);
    } else {
        outcome.print();
    }
    Ok(outcome.verdict.exit_code())
}

fn one(report: &Report, json: bool) -> Result<bool> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        report.print();
    }
    Ok(report.valid)
}
