//! Many seeds: runs them, adds up what happened, and says what was missing.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use gomera_cluster::rules::{self, Rule};

use crate::judge::Account;
use crate::plan::Plan;
use crate::tally::{Tally, Transition};
use crate::transcript::Keep;
use crate::verdict::Violation;
use crate::world::{Outcome, World};

/// Seeds that found a bug once, with a sentence each: they run first.
pub const REGRESSIONS: &str = include_str!("../regressions.txt");

/// A seed counts for something if it had an operation, a fault and this many deliveries.
pub const DELIVERIES_MIN: u64 = 50;

/// What a swarm came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Seeds run.
    pub seeds: u64,
    /// Those that count.
    pub counting: u64,
    /// How often each transition ran.
    pub tally: Tally,
    /// Pairs of publication and session, as the judge saw them.
    pub account: Account,
    /// Things that happened.
    pub steps: u64,
    /// Notifications received.
    pub deliveries: u64,
    /// The seeds that broke a promise.
    pub failures: Vec<(u64, Violation)>,
}

impl Report {
    fn take(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        let counts = outcome.operations > 0 && outcome.tally.faults() > 0 && outcome.deliveries >= DELIVERIES_MIN;
        self.counting += u64::from(counts);
        self.tally.merge(&outcome.tally);
        self.account.met += outcome.account.met;
        self.account.either += outcome.account.either;
        self.account.given_up += outcome.account.given_up;
        self.account.expired += outcome.account.expired;
        self.steps += outcome.steps;
        self.deliveries += outcome.deliveries;
        if let Some(violation) = outcome.violation {
            self.failures.push((seed, violation));
        }
    }

    /// Transitions that never ran.
    #[must_use]
    pub fn never(&self) -> Vec<Transition> {
        Transition::all().filter(|&transition| self.tally.get(transition) == 0).collect()
    }
}

/// The seeds of a regressions file: a number, then a sentence; lines that begin with `#` are skipped.
///
/// # Panics
/// If a line does not begin with a number: the file is ours.
#[must_use]
pub fn regressions(text: &str) -> Vec<(u64, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (seed, sentence) = line.split_once(' ').unwrap_or((line, ""));
            (seed.parse().unwrap_or_else(|_| panic!("{line:?} does not begin with a seed")), sentence)
        })
        .collect()
}

/// The command that repeats a seed, with everything that happens in it.
#[must_use]
pub fn repeat(seed: u64, left_out: Option<Rule>) -> String {
    let without = left_out.map(|rule| format!("--without {} ", rule.number())).unwrap_or_default();
    format!("cargo run --release -p gomera-sim -- {without}--seed {seed} --trace")
}

thread_local! {
    static SEED: Cell<Option<(u64, Option<Rule>)>> = const { Cell::new(None) };
}

/// A machine that panics has broken a promise, and in release takes the process with it: says which seed it was.
pub fn name_seeds_that_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |told| {
        before(told);
        if let Some((seed, left_out)) = SEED.get() {
            eprintln!("seed {seed}: a machine panicked");
            eprintln!("repeat with: {}", repeat(seed, left_out));
        }
    }));
}

/// Runs one seed. A machine that panics ends everything: see [`name_seeds_that_panic`].
#[must_use]
pub fn run(seed: u64, keep: Keep) -> Outcome {
    run_without(None, seed, keep)
}

/// Runs one seed without a rule of the protocol, if one is left out.
#[must_use]
pub fn run_without(left_out: Option<Rule>, seed: u64, keep: Keep) -> Outcome {
    SEED.set(Some((seed, left_out)));
    let outcome = rules::without(left_out, || World::new(Plan::draw(seed), keep).run());
    SEED.set(None);
    outcome
}

/// Runs `seeds` on `threads` threads, without a rule if one is `left_out`; stops early after `failures_max` failures.
///
/// # Panics
/// If a machine does.
#[must_use]
pub fn swarm(seeds: &[u64], threads: usize, failures_max: usize, left_out: Option<Rule>) -> Report {
    let report = Mutex::new(Report::default());
    let next = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).expect("fits");
                    let Some(&seed) = seeds.get(at) else {
                        return;
                    };
                    let outcome = run_without(left_out, seed, Keep::Nothing);
                    let mut report = report.lock().expect("no thread dies");
                    report.take(seed, outcome);
                    if report.failures.len() >= failures_max {
                        enough.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().expect("no thread dies");
    report.failures.sort_by_key(|(seed, _)| *seed);
    report
}

/// The seeds of a run of the swarm: those that found bugs first, then `count` from `start` on.
#[must_use]
pub fn seeds(start: u64, count: u64) -> Vec<u64> {
    let mut known = BTreeSet::new();
    regressions(REGRESSIONS)
        .into_iter()
        .map(|(seed, _)| seed)
        .chain(start..start + count)
        .filter(|&seed| known.insert(seed))
        .collect()
}
