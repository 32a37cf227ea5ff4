//! Claims about the checker. Each way of breaking a promise must be seen, and what is allowed must not be.

use gomera_model::{FilterLimits, Value};

use super::*;

fn standard(filter: &str) -> Standard {
    let filter = Filter::parse(filter, &FilterLimits::default()).expect(filter);
    Standard { filter, context: Arc::new(Attributes::default()) }
}

fn speed(speed: i64) -> Arc<Attributes> {
    Arc::new([("speed", Value::Integer(speed))].into_iter().collect())
}

struct Bench {
    ledger: Ledger,
    session: SessionIndex,
    slow: SubscriptionIndex,
    publisher: PublisherIndex,
}

impl Bench {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        let session = ledger.session("s");
        let slow = ledger.subscription(session, "slow", standard("speed < 20")).expect("the first");
        let publisher = ledger.publisher();
        Self { ledger, session, slow, publisher }
    }

    fn publish(&mut self, value: i64) -> u64 {
        let sequence = self.ledger.publishing(self.publisher, speed(value), 0);
        self.ledger.acknowledged(self.publisher, sequence);
        sequence
    }

    fn deliver(&mut self, sequence: u64) -> Arrival {
        self.ledger.delivered(self.session, self.publisher, sequence, ["slow"].into_iter())
    }

    fn tally(&self) -> Tally {
        self.ledger.settle()[0].1
    }
}

#[test]
fn exactly_what_is_satisfied_is_right() {
    let mut bench = Bench::new();
    let slow = bench.publish(10);
    bench.publish(30);
    assert_eq!(bench.ledger.progress().owed, 1);
    assert_eq!(bench.deliver(slow), Arrival::First { scheduled_micros: 0 });
    assert_eq!(bench.ledger.progress().owed, 0);
    assert_eq!(bench.tally(), Tally { delivered: 1, ..Tally::default() });
}

#[test]
fn a_delivery_may_overtake_the_acknowledgement() {
    let mut bench = Bench::new();
    let sequence = bench.ledger.publishing(bench.publisher, speed(10), 7);
    assert_eq!(bench.deliver(sequence), Arrival::First { scheduled_micros: 7 });
    bench.ledger.acknowledged(bench.publisher, sequence);
    assert_eq!(bench.ledger.progress().owed, 0);
    assert_eq!(bench.tally(), Tally { delivered: 1, ..Tally::default() });
}

#[test]
fn what_is_lost_repeated_reordered_or_not_asked_for_is_seen() {
    let mut bench = Bench::new();
    let sequences: Vec<_> = [10, 11, 12, 30].into_iter().map(|speed| bench.publish(speed)).collect();
    bench.deliver(sequences[1]);
    assert_eq!(bench.deliver(sequences[1]), Arrival::Wrong);
    bench.deliver(sequences[0]);
    bench.deliver(sequences[3]);
    assert_eq!(bench.deliver(99), Arrival::Wrong, "never published");
    assert_eq!(
        bench.tally(),
        Tally { delivered: 3, missing: 1, duplicated: 1, reordered: 1, unexpected: 2, dropped: 0 }
    );
}

#[test]
fn a_notification_that_names_no_subscription_or_an_unknown_one_is_not_expected() {
    let mut bench = Bench::new();
    let sequence = bench.publish(10);
    let arrival = bench.ledger.delivered(bench.session, bench.publisher, sequence, ["other"].into_iter());
    assert_eq!(arrival, Arrival::Wrong);
    let tally = bench.tally();
    assert_eq!((tally.unexpected, tally.missing), (2, 1));
}

#[test]
fn what_was_refused_may_not_arrive() {
    let mut bench = Bench::new();
    let sequence = bench.ledger.publishing(bench.publisher, speed(10), 0);
    bench.ledger.refused(bench.publisher, sequence);
    assert_eq!(bench.tally(), Tally::default());
    bench.deliver(sequence);
    assert_eq!(bench.tally(), Tally { delivered: 1, unexpected: 1, ..Tally::default() });
}

#[test]
fn between_request_and_acknowledgement_of_a_change_either_state_may_judge_and_outside_only_one() {
    // What is published when, whether it is delivered, and whether that is right.
    #[derive(Clone, Copy, Debug)]
    enum When {
        AcknowledgedBefore,
        SentBeforeAcknowledgedWithin,
        Within,
        SentWithinAcknowledgedAfter,
        Across,
        SentAfter,
    }
    use When::{
        AcknowledgedBefore, Across, SentAfter, SentBeforeAcknowledgedWithin, SentWithinAcknowledgedAfter, Within,
    };
    for (when, must, may) in [
        // 10 satisfies the old filter and not the new one.
        (AcknowledgedBefore, 1, 1),
        (SentBeforeAcknowledgedWithin, 0, 1),
        (Within, 0, 1),
        (SentWithinAcknowledgedAfter, 0, 1),
        (Across, 0, 1),
        (SentAfter, 0, 0),
    ] {
        for delivered in [false, true] {
            let mut bench = Bench::new();
            let (mut sent, mut acknowledged) = (None, false);
            let moments = [
                matches!(when, AcknowledgedBefore | SentBeforeAcknowledgedWithin | Across),
                matches!(when, Within | SentWithinAcknowledgedAfter),
                matches!(when, SentAfter),
            ];
            let ends = [
                matches!(when, AcknowledgedBefore),
                matches!(when, SentBeforeAcknowledgedWithin | Within),
                matches!(when, SentWithinAcknowledgedAfter | Across | SentAfter),
            ];
            let mut change = None;
            for phase in 0..3 {
                if moments[phase] {
                    sent = Some(bench.ledger.publishing(bench.publisher, speed(10), 0));
                }
                if ends[phase] && !acknowledged {
                    acknowledged = true;
                    bench.ledger.acknowledged(bench.publisher, sent.expect("sent before"));
                }
                match phase {
                    0 => change = Some(bench.ledger.requesting([(bench.slow, standard("speed >= 20"))])),
                    1 => bench.ledger.granted(change.expect("requested before")),
                    _ => {}
                }
            }
            if delivered {
                bench.deliver(sent.expect("sent"));
            }
            let tally = bench.tally();
            assert_eq!(tally.missing, u64::from(!delivered) * must, "{when:?} {delivered}");
            assert_eq!(tally.unexpected, u64::from(delivered) * (1 - may), "{when:?} {delivered}");
        }
    }
}

#[test]
fn of_several_changes_under_way_all_that_may_judge_are_allowed() {
    let mut bench = Bench::new();
    let first = bench.ledger.requesting([(bench.slow, standard("speed > 100"))]);
    let sequence = bench.ledger.publishing(bench.publisher, speed(50), 0);
    bench.ledger.granted(first);
    let second = bench.ledger.requesting([(bench.slow, standard("speed = 50"))]);
    bench.ledger.granted(second);
    bench.ledger.acknowledged(bench.publisher, sequence);
    assert_eq!(bench.tally(), Tally::default());
    bench.deliver(sequence);
    assert_eq!(bench.tally(), Tally { delivered: 1, ..Tally::default() }, "the second filter may have judged it");
    let after = bench.publish(50);
    assert_eq!(bench.tally().missing, 1, "only the second filter judges {after}");
}

#[test]
fn subscriptions_beyond_the_limit_are_not_taken() {
    let mut ledger = Ledger::default();
    let session = ledger.session("s");
    for index in 0..SUBSCRIPTIONS_MAX {
        assert!(ledger.subscription(session, index.to_string(), standard("")).is_some());
    }
    assert!(ledger.subscription(session, "one too many", standard("")).is_none());
}
