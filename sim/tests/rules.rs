//! What the rules of the protocol are for (`DESIGN.md` section 4): for each one a seed that keeps all promises with it and breaks
//! one without it, or a scenario. `docs/simulation.md` says what else was tried.

use std::collections::BTreeSet;

use gomera_cluster::rules::{self, Rule};
use gomera_sim::transcript::Keep;
use gomera_sim::verdict::Promise;
use gomera_sim::{script, swarm};

/// A seed that shows that a rule is needed.
struct Proof {
    rule: Rule,
    seed: u64,
    /// What is broken without it.
    promise: Promise,
}

const fn proof(rule: Rule, seed: u64, promise: Promise) -> Proof {
    Proof { rule, seed, promise }
}

const PROOFS: [Proof; 8] = [
    proof(Rule::RemovedAreRefused, 221, Promise::Retention),
    proof(Rule::RepeatsArePassedOver, 2_000_026, Promise::Delivery),
    proof(Rule::NewestAttachmentCounts, 2_000_026, Promise::Retention),
    proof(Rule::VectorOfTheMerge, 2617, Promise::Delivery),
    proof(Rule::AttachedInItsTerm, 543, Promise::Delivery),
    proof(Rule::EndedBeforeOneCame, 9_111_143, Promise::Progress),
    proof(Rule::LeaderDecidesTheCut, 1171, Promise::Progress),
    proof(Rule::ServedFromTheCommit, 301, Promise::Progress),
];

/// Those for which a scenario is told here.
const TOLD: [Rule; 2] = [Rule::AcknowledgedByTheLastLane, Rule::LeavesAfterTheBarriers];

#[test]
fn it_is_shown_of_every_rule_that_it_is_needed() {
    let all: Vec<_> = PROOFS.iter().map(|proof| proof.rule).chain(TOLD).collect();
    assert_eq!(all.len(), Rule::ALL.len(), "each once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(Rule::ALL));
}

#[test]
fn without_a_rule_a_promise_breaks_that_holds_with_it() {
    swarm::name_seeds_that_panic();
    for Proof { rule, seed, promise } in PROOFS {
        let (name, number) = (rule.name(), rule.number());
        if let Some(violation) = swarm::run(seed, Keep::Nothing).violation {
            panic!("seed {seed}, with all rules: {violation}");
        }
        let seek = format!("seek another: cargo run --release -p gomera-sim -- --without {number} --seeds 2000");
        let broken = swarm::run_without(Some(rule), seed, Keep::Nothing).violation;
        let broken = broken.unwrap_or_else(|| panic!("seed {seed} keeps all promises without {name}; {seek}"));
        assert_eq!(broken.promise, promise, "seed {seed} without {name}: {broken}; {seek}");
    }
}

/// An access point is taken for dead with an acknowledgement on its way. The publication is handed in again on another lane, which is late at
/// the matcher, and a subscription is made meanwhile: by it the second copy is judged.
const LATE_ACKNOWLEDGEMENT: &str = "
cluster 1-3-1-1
show messages
publisher p
subscriber alice

alice attach
p open
settle
stall A0 C0 30ms
p publish n=1
wait 5ms
pause A0 10ms
layout without A0
stall A2 M0 200ms
wait 40ms
alice subscribe s \"n < 100\"
settle
";

#[test]
fn what_is_acknowledged_for_a_copy_of_a_fenced_lane_is_told_to_who_subscribes_afterwards() {
    let acknowledged_and_asked = |left_out| {
        let transcript = rules::without(left_out, || script::run(LATE_ACKNOWLEDGEMENT)).expect("a scenario");
        let line = |what| transcript.lines().position(|line| line.contains(what)).expect("it happens");
        let (acknowledged, asked) = (line("p! (2) acknowledged 1"), line("subscribe s «n < 100»"));
        assert!(line("alice! (1) notified #0(p/1) at 3:3") > asked, "the second copy satisfies her");
        (acknowledged, asked)
    };
    let (acknowledged, asked) = acknowledged_and_asked(None);
    assert!(acknowledged > asked, "it was under way when she subscribed, so either is right");
    let (acknowledged, asked) = acknowledged_and_asked(Some(Rule::AcknowledgedByTheLastLane));
    assert!(acknowledged < asked, "she is told what was over before she subscribed");
}

/// Half of the slices have moved from one matcher to another, but the access point of the publisher, and the connection point where it is,
/// have not heard of that when somebody subscribes by way of others, who have. So the former owner judges what is published then.
/// (She comes back until she is at the other connection point.)
const LATE_LANE: &str = "
cluster 2-2-1-1 joining-matchers=1
show messages
publisher p
subscriber zoe

zoe attach
p open
zoe drop
settle
zoe attach
zoe drop
settle
zoe attach
zoe drop
settle
zoe attach
settle
stall M0 M1 20ms
layout with M1
wait 10ms
deaf A0 100ms
deaf C0 100ms
wait 30ms
zoe subscribe s1 \"n < 100\"
wait 10ms
p publish n=1
settle
";

#[test]
fn an_owner_that_left_before_a_lane_had_the_barrier_lacks_a_subscription_that_was_acknowledged() {
    let told = |left_out| {
        let transcript = rules::without(left_out, || script::run(LATE_LANE)).expect("a scenario");
        let line = |what| transcript.lines().position(|line| line.contains(what));
        let (applied, published) = (line("applied handle"), line("publish [#0/1"));
        assert!(applied.expect("it is") < published.expect("it is"), "she subscribed before");
        assert!(line("p! (2) acknowledged 1").is_some(), "it was acknowledged");
        line("notified #0(p/1)").is_some()
    };
    assert!(told(None));
    assert!(!told(Some(Rule::LeavesAfterTheBarriers)));
}

/// The only matcher that has everything dies, and its slices are lost to another one. Then as before: the access point of the publisher and
/// the connection point where it is have not heard of that, and somebody subscribes by way of those who have.
const LATE_LANE_OF_A_LOSS: &str = "
cluster 2-2-1-1 joining-matchers=1
show messages
publisher p
subscriber zoe

zoe attach
p open
zoe drop
settle
zoe attach
zoe drop
settle
zoe attach
zoe drop
settle
zoe attach
settle
pause M0 3s
layout with M1
wait 20ms
deaf A0 300ms
deaf C0 300ms
layout without M0
wait 30ms
zoe subscribe s1 \"n < 100\"
wait 30ms
p publish n=1
settle
";

#[test]
fn a_lane_that_is_late_is_judged_by_what_was_subscribed_since_a_loss() {
    let transcript = script::run(LATE_LANE_OF_A_LOSS).expect("a scenario");
    let line = |what| transcript.lines().position(|line| line.contains(what));
    let at = |what| line(what).unwrap_or_else(|| panic!("there is no «{what}» in\n{transcript}"));
    let (applied, published) = (at("applied handle Some"), at("publish [#0/1"));
    assert!(applied < published, "she subscribed before");
    assert!(published < at("A0 > M1: entries lane 1 live (2, 4] [4: barrier 3]"), "the lane is late");
    at("p! (2) acknowledged 1");
    at("notified #0(p/1)");
    assert!(line("A0 > M0: entries lane 1 live (2, 3]").is_none(), "who is removed is sent nothing");
}
