//! Runs many seeds of the simulator, or one with everything that happened in it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use gomera_cluster::rules::{self, Rule};
use gomera_sim::exhaustive::{self, Bounds};
use gomera_sim::swarm::{self, Report};
use gomera_sim::tally::Transition;
use gomera_sim::transcript::{Keep, Transcript};
use gomera_sim::verdict::Violation;

/// Whole clusters in one thread each, from one seed each, with faults; checkers that know what Gomera promises.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds to run, after those of `sim/regressions.txt`.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// No seeds: every order of a few messages that differs from the usual one in up to so many places, for each kind of run.
    #[arg(long, value_name = "DEVIATIONS")]
    exhaustive: Option<usize>,
    /// With --exhaustive: messages of clients on the lane with the operations and on the other one.
    #[arg(long, num_args = 2, default_values_t = [5, 5], value_names = ["FIRST", "SECOND"])]
    messages: Vec<usize>,
    /// With --exhaustive: give up after so many states of one kind.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    states_max: usize,
    /// Leave out a rule of the protocol, by its number or name (`docs/simulation.md`, «Rules»): promises are expected to break.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    without: Option<Rule>,
    /// Do not fail for transitions that never ran (few seeds cannot reach all of them).
    #[arg(long)]
    partial: bool,
}

fn rule(number_or_name: &str) -> Result<Rule, String> {
    let names = || Rule::ALL.map(|rule| format!("{} ({})", rule.number(), rule.name())).join(", ");
    Rule::find(number_or_name).ok_or_else(|| format!("there is no such rule, only {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    swarm::name_seeds_that_panic();
    match (arguments.exhaustive, arguments.seed) {
        (Some(deviations_max), _) => every_order(deviations_max, &arguments),
        (None, Some(seed)) => one(seed, arguments.trace, arguments.without),
        (None, None) => many(&arguments),
    }
}

fn every_order(deviations_max: usize, arguments: &Arguments) -> ExitCode {
    let (messages, states_max) = ([arguments.messages[0], arguments.messages[1]], arguments.states_max);
    let (next, states, is_broken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while !is_broken.load(Ordering::Relaxed)
            && let Some(&(late, loss)) = exhaustive::KINDS.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let begun = Instant::now();
            let bounds = Bounds { messages, late, loss, deviations_max, states_max };
            match rules::without(arguments.without, || exhaustive::explore(bounds)) {
                Ok(explored) => {
                    states.fetch_add(explored.states, Ordering::Relaxed);
                    println!("{late:?} late, loss {loss:?}: {explored}, {:.1} s", begun.elapsed().as_secs_f64());
                }
                Err(found) => {
                    is_broken.store(true, Ordering::Relaxed);
                    println!("{late:?} late, loss {loss:?}: {found}");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(work);
        }
    });
    println!("{} states in all", states.into_inner());
    if is_broken.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn one(seed: u64, trace: bool, left_out: Option<Rule>) -> ExitCode {
    let outcome = swarm::run_without(left_out, seed, if trace { Keep::Printed } else { Keep::Lines });
    println!(
        "seed {seed}: {} steps, {} ms simulated, {} operations, {} deliveries, hash {:016x}",
        outcome.steps,
        outcome.lasted.as_millis(),
        outcome.operations,
        outcome.deliveries,
        outcome.transcript.hash()
    );
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            explain(violation, &outcome.transcript);
            ExitCode::FAILURE
        }
    }
}

fn explain(violation: &Violation, transcript: &Transcript) {
    println!("{violation}");
    if transcript.lines().is_empty() {
        return;
    }
    println!("what concerned {} and the last lines before:", violation.subjects.join(", "));
    for line in transcript.excerpt(&violation.subjects) {
        println!("  {line}");
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let seeds = swarm::seeds(arguments.start, arguments.seeds);
    let report = swarm::swarm(&seeds, arguments.threads, arguments.failures, arguments.without);
    let seconds = began.elapsed().as_secs_f64();
    summary(&report, seconds);
    if let Some(rule) = arguments.without {
        println!("rule {} was left out: {}", rule.number(), rule.name());
    }
    for (seed, violation) in &report.failures {
        println!();
        println!("seed {seed}: {violation}");
        println!("repeat with: {}", swarm::repeat(*seed, arguments.without));
    }
    if let Some((seed, _)) = report.failures.first() {
        let outcome = swarm::run_without(arguments.without, *seed, Keep::Lines);
        if let Some(violation) = &outcome.violation {
            println!();
            explain(violation, &outcome.transcript);
        }
        return ExitCode::FAILURE;
    }
    let never = report.never();
    if !never.is_empty() && !arguments.partial {
        println!("these transitions never ran:");
        for transition in never {
            println!("  {}", transition.name());
        }
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn summary(report: &Report, seconds: f64) {
    for transition in Transition::all() {
        println!("{:>12}  {}", report.tally.get(transition), transition.name());
    }
    let account = report.account;
    println!(
        "{} seeds in {seconds:.1} s ({:.1} a second), {} steps, {} deliveries",
        report.seeds,
        report.seeds as f64 / seconds,
        report.steps,
        report.deliveries
    );
    println!(
        "{:.1} % of the seeds count (an operation, a fault, {} deliveries)",
        100.0 * report.counting as f64 / report.seeds.max(1) as f64,
        swarm::DELIVERIES_MIN
    );
    println!(
        "judged: {} surely owed and received, {} where either was right, {} given up as told, {} expired",
        account.met, account.either, account.given_up, account.expired
    );
}
