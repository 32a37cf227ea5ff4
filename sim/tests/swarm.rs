//! A few dozen seeds in each run of the tests; the many are run by `cargo xtask sim --seeds N`.

use gomera_sim::swarm;
use gomera_sim::transcript::Keep;

#[test]
fn promises_hold_over_known_bad_seeds_and_a_few_dozen_more() {
    swarm::name_seeds_that_panic();
    let report = swarm::swarm(&swarm::seeds(0, 30), 2, 1, None);
    if let Some((seed, violation)) = report.failures.first() {
        panic!("seed {seed}: {violation}\nrepeat with: {}", swarm::repeat(*seed, None));
    }
    assert!(report.counting * 2 > report.seeds, "{} of {} seeds count for something", report.counting, report.seeds);
}

#[test]
fn the_same_seed_twice_is_the_same_transcript() {
    for seed in [3, 7, 14] {
        let (first, second) = (swarm::run(seed, Keep::Hash), swarm::run(seed, Keep::Hash));
        assert_eq!(first.transcript.hash(), second.transcript.hash(), "seed {seed}");
        assert_eq!((first.steps, first.deliveries), (second.steps, second.deliveries), "seed {seed}");
    }
    let other = swarm::run(4, Keep::Hash).transcript.hash();
    assert_ne!(swarm::run(3, Keep::Hash).transcript.hash(), other, "another seed is another transcript");
}
