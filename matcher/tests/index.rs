//! The index against the plain evaluator, without the machine around it: random schemas, filters of every kind, publications with
//! gaps and wrong types, in between inserts, updates, removes, loads, changes of context, corrections and moves of slices.
//!
//! A million pairs of filter and publication; `GOMERA_ORACLE_PAIRS` asks for more (`cargo xtask test --long`: ten million).
//! What fails prints its seed: `GOMERA_ORACLE_SEED=… cargo test -p gomera-matcher --test index` repeats it alone.

#[path = "index/choices.rs"]
mod choices;
#[path = "index/filters.rs"]
mod filters;
#[path = "index/scenario.rs"]
mod scenario;
#[path = "index/subject.rs"]
mod subject;
#[path = "index/values.rs"]
mod values;

use choices::Choices;
use scenario::{Force, Scenario};

/// Pairs of filter and publication that are compared unless asked otherwise.
const PAIRS: u64 = 1_000_000;

/// Steps of a run.
const STEPS: usize = 600;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Seeded {
    state: u64,
}

impl Seeded {
    fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl Choices for Seeded {
    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits 64 bits");
        usize::try_from(((self.word() >> 32) * bound) >> 32).expect("below a usize")
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name} is {text:?}, must be a number: {error}")))
}

fn pairs(force: Force) -> u64 {
    force.yes + force.no + force.unknown
}

/// A run with few rows, with hundreds or, some of them, with thousands, so that blocks fill, split and are learnt from.
fn run(seed: u64) -> Force {
    let (rows_max, filled, steps) = match seed % 16 {
        15 => (4_000, 3_000, STEPS / 6),
        7 => (1_000, 800, STEPS / 2),
        other => ([4, 60, 300, 600][usize::try_from(other % 4).expect("small")], 0, STEPS),
    };
    let mut scenario = Scenario::new(Seeded::new(seed), rows_max, filled);
    for step in 0..steps {
        if let Err(complaint) = scenario.step() {
            panic!(
                "seed {seed}, step {step}; repeat it with\n\
                 GOMERA_ORACLE_SEED={seed} cargo test -p gomera-matcher --test index\n{complaint}"
            );
        }
    }
    scenario.force()
}

#[test]
fn the_index_says_what_the_plain_evaluator_says_of_each_filter() {
    if let Some(seed) = number("GOMERA_ORACLE_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let wanted = number("GOMERA_ORACLE_PAIRS").unwrap_or(PAIRS);
    let mut all = Force::default();
    let mut seeds = 0..;
    while pairs(all) < wanted {
        let force = run(seeds.next().expect("no end"));
        all = Force { yes: all.yes + force.yes, no: all.no + force.no, unknown: all.unknown + force.unknown };
    }
    let percent = |part: u64| part * 100 / pairs(all);
    let shares = (percent(all.yes), percent(all.no), percent(all.unknown));
    println!("{} pairs of seeds 0..{}: true, false, unknown in percent {shares:?}", pairs(all), seeds.start);
    assert!(shares.0 >= 20 && shares.1 >= 20 && shares.2 >= 10, "true, false, unknown in percent: {shares:?}");
}
