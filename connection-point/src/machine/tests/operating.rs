//! Claims about operations.

use gomera_cluster::operation::{Change, Excess, Existing, Limited};
use gomera_model::filter::Filter;

use super::*;
use crate::client::ClientSubscription;

fn subscription(id: &str) -> ClientSubscription {
    let expires_after = Some(Duration::from_secs(2));
    ClientSubscription { id: Arc::from(id), filter: Filter::everything(), paused: false, expires_after }
}

#[test]
fn operations_of_all_sessions_are_one_frame_in_order_of_version() {
    let mut bench = Bench::new(Config::default());
    for number in 1..=3 {
        bench.session(number, &format!("s{number}"), 10 + number);
    }
    for request in 1..=4 {
        for number in 1..=3 {
            let operation = ClientOperation::Subscribe(subscription(&format!("id{request}")));
            let request = ClientRequest::Operate { request: RequestId(request), operation };
            bench.handle(Event::Client(ClientEvent::Request { connection: connection(number), request }));
        }
    }
    bench.drain();
    let operated = bench.operated();
    let [operate] = &operated[..] else { panic!("one frame: {operated:?}") };
    assert_eq!(operate.operations.len(), 12);
    for number in 1..=3 {
        let session = SessionKey::of(&Tenant::open(), &format!("s{number}"));
        let of_session = operate.operations.iter().filter(|operation| operation.session == session);
        let versions: Vec<_> = of_session.map(|operation| operation.version).collect();
        assert!(versions.is_sorted() && versions.len() == 4);
        assert!(versions.iter().all(|version| version.generation == Generation(10 + number)));
    }
}

#[test]
fn a_subscription_gets_key_handle_and_expiry() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    bench.operate(1, 1, ClientOperation::Subscribe(subscription("a")));
    bench.operate(1, 2, ClientOperation::Update(subscription("b")));
    let puts: Vec<_> = bench
        .operated()
        .iter()
        .flat_map(|operate| &operate.operations)
        .map(|operation| match &operation.change {
            Change::Put(subscription, existing) => {
                assert_eq!(subscription.options.expires_at, Some(Timestamp(1_002_000_000)));
                (subscription.key, subscription.handle, *existing)
            }
            other => panic!("not a put: {other:?}"),
        })
        .collect();
    let key = |id| SubscriptionKey::of(&Tenant::open(), "s", id);
    assert_eq!(puts, [(key("a"), Handle(1), Existing::Any), (key("b"), Handle(2), Existing::Required)]);
}

fn exceeded(limited: Limited) -> Outcome {
    Outcome::LimitExceeded(Excess { limited, limit: 3, used: 2, asked: 2 })
}

#[test]
fn each_outcome_is_told_in_the_clients_words() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    let outcomes = [
        (Outcome::Applied { handle: Some(Handle(5)), in_force_after: vector(2) }, None),
        (Outcome::NotFound, Some(FailureKind::NotFound)),
        (exceeded(Limited::Subscriptions), Some(FailureKind::Exhausted)),
        (exceeded(Limited::Cost), Some(FailureKind::Exhausted)),
        (exceeded(Limited::TenantBytes), Some(FailureKind::Exhausted)),
        (exceeded(Limited::Bytes), Some(FailureKind::Exhausted)),
        (Outcome::Superseded, Some(FailureKind::Aborted)),
    ];
    for (outcome, kind) in outcomes {
        bench.operate(1, 7, ClientOperation::Unsubscribe(Arc::from("road")));
        let operation = bench.operated()[0].operations[0].clone();
        bench.replies(1);
        bench.complete(&operation, outcome);
        let replies = bench.replies(1);
        match (&replies[..], kind) {
            ([ClientReply::Applied { request: RequestId(7), handle: Some(Handle(5)), in_force_after }], None) => {
                assert_eq!(in_force_after.len(), 2);
            }
            ([ClientReply::Failed { request: RequestId(7), failure }], Some(kind)) => {
                assert_eq!(failure.kind, kind);
                assert!(kind != FailureKind::NotFound || failure.message.contains("`road`"), "{}", failure.message);
            }
            unexpected => panic!("{unexpected:?}"),
        }
        bench.complete(&operation, Outcome::NotFound);
        assert!(bench.replies(1).is_empty(), "told once");
    }
    assert_eq!(bench.statistics().operations_unanswered_bytes, 0);
}

#[test]
fn a_request_without_a_number_is_answered_only_if_it_fails() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    for _ in 0..2 {
        bench.operate(1, 0, ClientOperation::SetContext(Attributes::default()));
    }
    bench.replies(1);
    let operations = bench.operated().into_iter().flat_map(|operate| operate.operations).collect::<Vec<_>>();
    bench.complete(&operations[0], Outcome::Applied { handle: None, in_force_after: Vector::default() });
    assert!(bench.replies(1).is_empty());
    bench.complete(&operations[1], Outcome::Superseded);
    assert_eq!(bench.failures(1).len(), 1);
}

#[test]
fn operations_wait_for_credit_and_go_with_their_connection() {
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(layout(1));
    bench.session(1, "a", 1);
    bench.session(2, "b", 1);
    for number in [1, 2] {
        bench.operate(number, 1, ClientOperation::Get(Arc::from("x")));
        bench.operate(number, 2, ClientOperation::Get(Arc::from("y")));
    }
    assert!(bench.operated().is_empty(), "nothing before the first grant");
    bench.disconnect(1);
    bench.credit(Class::Operation, 1);
    let operated = bench.operated();
    assert_eq!((operated.len(), operated[0].operations.len()), (1, 1), "one at a time with a window of one");
    assert_eq!(operated[0].operations[0].session, SessionKey::of(&Tenant::open(), "b"));
    bench.credit(Class::Operation, UNLIMITED);
    assert_eq!(bench.operated()[0].operations[0].version.counter, 2);
}

#[test]
fn a_bad_operation_fails_and_uses_nothing_up() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    bench.operate(1, 1, ClientOperation::Subscribe(subscription("")));
    bench.operate(1, 2, ClientOperation::Subscribe(subscription(&"x".repeat(257))));
    bench.operate(1, 3, ClientOperation::List { after: None, limit: 0 });
    assert!(bench.failures(1).iter().all(|(_, failure)| failure.kind == FailureKind::Invalid));
    assert_eq!(bench.statistics().operations_unanswered_bytes, 0);
    bench.operate(1, 4, ClientOperation::Get(Arc::from("a")));
    assert_eq!(bench.operated()[0].operations[0].version.counter, 1);
}

/// The second layout, by which matchers have died with what they had, and others after it.
fn lost(epoch: u64) -> Layout {
    let mut lost = layout(1);
    lost.epoch = Epoch(epoch);
    lost.matcher[0].lost = Epoch(2);
    lost
}

fn losses(bench: &mut Bench, number: u64) -> Vec<u64> {
    let loss = |reply: &ClientReply| match reply {
        ClientReply::SubscriptionsLost { number } => Some(*number),
        _ => None,
    };
    bench.replies(number).iter().filter_map(loss).collect()
}

#[test]
fn a_loss_is_told_when_what_was_under_way_is_answered() {
    let mut bench = Bench::new(Config::default());
    for number in 1..=2 {
        bench.session(number, &format!("s{number}"), number);
    }
    bench.operate(1, 1, ClientOperation::Subscribe(subscription("a")));
    let before = bench.operated()[0].operations[0].clone();
    bench.layout(lost(2));
    assert_eq!((losses(&mut bench, 1), losses(&mut bench, 2)), (vec![], vec![2]));
    bench.operate(1, 2, ClientOperation::Subscribe(subscription("b")));
    bench.complete(&before, Outcome::NotFound);
    assert_eq!(losses(&mut bench, 1), [2], "what came later stands");
    bench.layout(lost(3));
    assert_eq!((losses(&mut bench, 1), losses(&mut bench, 2)), (vec![], vec![]));
}
