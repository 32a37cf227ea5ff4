//! The matcher against the plain evaluator: random subscriptions, updates, pauses, expiries, contexts, ends of sessions and late
//! operations, interleaved with random publications, on one and on two shards. What the matcher tells the exit points must be
//! what the evaluator says of every subscription that stands, no more and no less.

#[path = "oracle/cluster.rs"]
mod cluster;
#[path = "oracle/generate.rs"]
mod generate;
#[path = "oracle/plain.rs"]
mod plain;

use cluster::Cluster;
use generate::Generator;
use gomera_model::filter::Truth;
use plain::Plain;

/// How often each truth value came up.
#[derive(Default)]
struct Force {
    yes: u64,
    no: u64,
    unknown: u64,
}

fn run(seed: u64, shards: u16, steps: usize, force: &mut Force) {
    let mut generator = Generator::new(seed);
    let mut cluster = Cluster::new(shards);
    let mut plain = Plain::default();
    for step in 0..steps {
        if generator.chance(35) {
            let operation = generator.operation(&plain);
            plain.apply(&operation);
            cluster.operate(operation);
        } else {
            let envelope = generator.publication();
            let expected = plain.judge(&envelope, |truth| match truth {
                Truth::True => force.yes += 1,
                Truth::False => force.no += 1,
                Truth::Unknown => force.unknown += 1,
            });
            let got = cluster.publish(envelope.clone());
            assert_eq!(got, expected, "seed {seed}, {shards} shards, step {step}: {:?}", envelope.attributes);
        }
    }
}

#[test]
fn the_index_says_what_the_plain_evaluator_says() {
    let mut force = Force::default();
    for seed in 0..40 {
        run(seed, 1 + u16::try_from(seed % 2).expect("0 or 1"), 1_500, &mut force);
    }
    let all = force.yes + force.no + force.unknown;
    assert!(all > 1_000_000, "{all} pairs decide little");
    let percent = |part: u64| part * 100 / all;
    let shares = (percent(force.yes), percent(force.no), percent(force.unknown));
    assert!(shares.0 >= 20 && shares.1 >= 20 && shares.2 >= 10, "true, false, unknown in percent: {shares:?}");
}
