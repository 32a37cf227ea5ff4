//! Claims about what happens when something is full.

use super::*;

/// What one test publication counts.
fn cost() -> u64 {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.publish(1, [1]);
    bench.published()[0].cost()
}

#[test]
fn a_publisher_is_paused_at_its_window_and_resumed_at_half_of_it() {
    let config = Config { publisher_window_bytes: 4 * cost(), ..Config::default() };
    let mut bench = Bench::new(config);
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, 1..=3);
    assert!(bench.brakes(1).is_empty());
    bench.publish(1, [4]);
    assert_eq!(bench.brakes(1), [true]);
    bench.acknowledge(&open, 1, 1);
    assert!(bench.brakes(1).is_empty());
    bench.acknowledge(&open, 1, 2);
    assert_eq!(bench.brakes(1), [false]);
}

#[test]
fn with_a_window_of_one_a_publisher_goes_on_publication_by_publication() {
    let config = Config { publisher_window_bytes: 1, publisher_bytes_max: 1, ..Config::default() };
    let mut bench = Bench::new(config);
    let open = bench.publisher(1, "p", 9);
    for sequence in 1..=5 {
        bench.publish(1, [sequence]);
        assert_eq!(sequences(&bench.published()), [sequence]);
        bench.acknowledge(&open, 1, sequence);
        assert_eq!(bench.brakes(1), [true, false]);
    }
}

#[test]
fn a_client_that_publishes_on_although_paused_is_closed_before_memory_grows() {
    let config = Config { publisher_window_bytes: cost(), publisher_bytes_max: 5 * cost(), ..Config::default() };
    let mut bench = Bench::new(config);
    bench.publisher(1, "p", 9);
    for sequence in 1..=5 {
        bench.publish(1, [sequence]);
        assert_eq!(bench.closed(1), None);
    }
    bench.publish(1, [6]);
    assert_eq!(bench.closed_with(1).kind, FailureKind::Exhausted);
    assert_eq!(bench.statistics().publications_unacknowledged_bytes, 0);
}

#[test]
fn publishers_wait_for_room_among_all_and_go_on_in_turn() {
    let config = Config { publications_bytes_max: 3 * cost(), ..Config::default() };
    let mut bench = Bench::new(config);
    let opens = [1, 2, 3].map(|number| bench.publisher(number, &format!("p{number}"), 9));
    bench.publish(1, 1..=2);
    bench.publish(2, [1]);
    bench.publish(3, [1]);
    assert_eq!((bench.brakes(1), bench.brakes(2), bench.brakes(3)), (vec![], vec![true], vec![true]));
    bench.acknowledge(&opens[0], 1, 1);
    assert_eq!((bench.brakes(2), bench.brakes(3)), (vec![], vec![]), "as full as it may be");
    bench.acknowledge(&opens[0], 1, 2);
    assert_eq!((bench.brakes(2), bench.brakes(3)), (vec![false], vec![false]));
    bench.publish(2, [2]);
    assert_eq!(bench.brakes(2), [true]);
    bench.disconnect(3);
    assert_eq!(bench.brakes(2), [false], "what goes with a connection is room as well");
}

#[test]
fn room_is_given_in_steps() {
    let config = Config { publications_bytes_max: 1, ..Config::default() };
    let mut bench = Bench::new(config);
    for number in 1..=300 {
        bench.publisher(number, &format!("p{number}"), 9);
    }
    let open = bench.publisher(999, "filler", 9);
    bench.publish(999, [1]);
    for number in 1..=300 {
        bench.publish(number, []);
    }
    bench.brakes(999);
    bench.acknowledge(&open, 1, 1);
    let resumed = |bench: &mut Bench| (1..=300).filter(|&number| bench.brakes(number).contains(&false)).count();
    let first = resumed(&mut bench);
    assert!(first > 0 && first < 100, "{first} in one step");
    bench.pass(Duration::ZERO);
    assert_eq!(first + resumed(&mut bench), 300);
}

#[test]
fn who_publishes_faster_than_it_may_is_paused_and_loses_nothing() {
    let config = Config { publications_per_second_max: Some(100), ..Config::default() };
    let mut bench = Bench::new(config);
    bench.publisher(1, "p", 9);
    bench.publish(1, 1..=200);
    assert_eq!(bench.brakes(1), [true]);
    assert_eq!(sequences(&bench.published()).len(), 200, "what was read is taken");
    bench.pass(Duration::from_millis(1_000));
    assert!(bench.brakes(1).is_empty());
    bench.pass(Duration::from_millis(20));
    assert_eq!(bench.brakes(1), [false]);
    bench.publish(1, 201..=202);
    assert_eq!(bench.brakes(1), [true]);
    bench.disconnect(1);
    assert_eq!(bench.machine.poll_timeout(), None, "nobody waits for a rate any more");
}

#[test]
fn a_client_that_is_paused_for_two_reasons_is_resumed_when_both_are_gone() {
    let config = Config { publications_per_second_max: Some(1), publisher_window_bytes: 1, ..Config::default() };
    let mut bench = Bench::new(config);
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, [1]);
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.brakes(1), [true]);
    bench.acknowledge(&open, 1, 1);
    assert_eq!(bench.brakes(1), [false]);
}

#[test]
fn a_paused_publisher_holds_back_no_session() {
    let config = Config { publisher_window_bytes: 1, publications_bytes_max: 1, ..Config::default() };
    let mut bench = Bench::new(config);
    bench.publisher(1, "p", 9);
    bench.publish(1, 1..=10);
    assert_eq!(bench.brakes(1), [true]);
    let attach = bench.session(2, "s", 1);
    bench.operate(2, 1, ClientOperation::Get(Arc::from("id")));
    assert_eq!(bench.operated().len(), 1);
    let items = vec![notification(0, 1, 100)];
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 1, items)] });
    assert!(bench.replies(2).iter().any(|reply| matches!(reply, ClientReply::Notifications(_))));
    assert!(bench.brakes(2).is_empty());
}

#[test]
fn a_connection_too_many_is_closed_at_once_and_disturbs_nobody() {
    let mut bench = Bench::new(Config { connections_max: 2, ..Config::default() });
    bench.publisher(1, "p", 9);
    bench.connect(2);
    bench.connect(3);
    let failure = bench.closed_with(3);
    assert_eq!(failure.kind, FailureKind::Exhausted);
    assert!(failure.message.contains("connections_max = 2"), "{}", failure.message);
    bench.disconnect(2);
    bench.connect(4);
    assert_eq!(bench.closed(4), None);
    assert_eq!((bench.statistics().connections, bench.statistics().connections_refused), (2, 1));
}

#[test]
fn an_attach_too_many_fails_and_the_connection_goes_on() {
    let mut bench = Bench::new(Config { sessions_max: 1, ..Config::default() });
    bench.session(1, "a", 1);
    bench.begin_session(2, "b");
    assert_eq!(bench.failures(2)[0].1.kind, FailureKind::Exhausted);
    bench.disconnect(1);
    bench.request(2, attach_request("b", SessionOptions::default(), None));
    bench.attach(1);
    assert!(matches!(bench.replies(2)[..], [ClientReply::Attached { .. }]));
}

#[test]
fn a_session_is_paused_at_its_limit_of_operations_and_resumed_at_half() {
    let mut bench = Bench::new(Config { operations_outstanding_max: 4, ..Config::default() });
    bench.session(1, "s", 1);
    for request in 1..=4 {
        bench.operate(1, request, ClientOperation::Get(Arc::from("id")));
    }
    assert_eq!(bench.brakes(1), [true]);
    let operations: Vec<_> = bench.operated().into_iter().flat_map(|operate| operate.operations).collect();
    bench.complete(&operations[0], Outcome::NotFound);
    assert!(bench.brakes(1).is_empty());
    bench.complete(&operations[1], Outcome::NotFound);
    assert_eq!(bench.brakes(1), [false]);
}

#[test]
fn operations_that_come_although_paused_fail_before_memory_grows() {
    let mut bench = Bench::without_layout(Config { operations_outstanding_max: 1, ..Config::default() });
    bench.begin_session(1, "s");
    for request in 1..=1_100 {
        bench.operate(1, request, ClientOperation::Get(Arc::from("id")));
    }
    let failures = bench.failures(1);
    assert_eq!(failures.len(), 75);
    assert!(failures.iter().all(|(_, failure)| failure.kind == FailureKind::Exhausted));
}

#[test]
fn operations_of_all_sessions_together_are_bounded() {
    let mut bench = Bench::new(Config { operations_bytes_max: 500, ..Config::default() });
    for number in 1..=3 {
        bench.session(number, &format!("s{number}"), 1);
        bench.replies(number);
        bench.operate(number, 1, ClientOperation::Get(Arc::from("id")));
    }
    assert!(bench.failures(1).is_empty() && bench.failures(2).is_empty());
    assert_eq!(bench.failures(3)[0].1.kind, FailureKind::Exhausted);
    bench.disconnect(1);
    bench.operate(3, 2, ClientOperation::Get(Arc::from("id")));
    assert!(bench.failures(3).is_empty());
}

#[test]
fn a_client_that_asks_for_list_after_list_is_paused_by_what_they_may_bring() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    let list = || ClientOperation::List { after: None, limit: 1000 };
    for request in 1..=4 {
        bench.operate(1, request, list());
    }
    assert!(bench.brakes(1).is_empty());
    bench.operate(1, 5, list());
    assert_eq!(bench.brakes(1), [true]);
    for request in 6..=200 {
        bench.operate(1, request, list());
    }
    let sent = bench.operated().into_iter().flat_map(|operate| operate.operations).collect::<Vec<_>>();
    assert!((60..80).contains(&sent.len()), "{}", sent.len());
    for operation in sent {
        bench.complete(&operation, Outcome::Found(Vec::new()));
    }
    assert_eq!(bench.brakes(1), [false]);
    assert_eq!(bench.statistics().operations_unanswered_bytes, 0);
}
