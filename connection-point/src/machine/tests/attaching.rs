//! Claims about attaching.

use gomera_cluster::message::connection_point::{AttachRefusal, AttachRefused, EndReason, Ended};
use gomera_cluster::session::Sharing;

use super::*;

#[test]
fn an_attach_goes_to_the_active_exit_point_with_the_first_credit_and_the_resume_vector() {
    let mut bench = Bench::new(Config { session_window_bytes: 77, ..Config::default() });
    bench.connect(1);
    bench.request(1, attach_request("s", SessionOptions::default(), Some(vector(3))));
    let attach = bench.attach(6);
    assert_eq!((attach.credit, attach.term), (Total(77), Term(1)));
    assert_eq!(attach.session, SessionKey::of(&Tenant::open(), "s"));
    assert_eq!(attach.resume.map(|resume| resume.len()), Some(3));
    let replies = bench.replies(1);
    let [ClientReply::Attached { request: RequestId(100), resumed: false, generation: Generation(6), .. }] =
        &replies[..]
    else {
        panic!("attached: {replies:?}");
    };
}

#[test]
fn a_session_without_a_name_gets_one_and_ends_with_its_connection() {
    let mut bench = Bench::new(Config::default());
    let (first, second) = (bench.session(1, "", 1), bench.session(2, "", 1));
    assert_ne!(first.session, second.session);
    assert_eq!(first.options.expires_after, Duration::ZERO);
    let replies = bench.replies(1);
    assert!(matches!(&replies[..], [ClientReply::Attached { session, .. }] if *session == first.name), "{replies:?}");
}

#[test]
fn a_bad_attach_fails_and_a_good_one_may_follow() {
    let mut bench = Bench::new(Config::default());
    bench.connect(1);
    let group = SessionOptions { sharing: Sharing::Group, ..SessionOptions::default() };
    let bad = [
        (attach_request("s", group, None), FailureKind::Unimplemented),
        (attach_request(&"x".repeat(257), SessionOptions::default(), None), FailureKind::Invalid),
        (attach_request("s", SessionOptions::default(), Some(vector(4097))), FailureKind::Invalid),
    ];
    for (request, kind) in bad {
        bench.request(1, request);
        let failures = bench.failures(1);
        assert!(matches!(&failures[..], [(100, failure)] if failure.kind == kind), "{failures:?}");
    }
    bench.request(1, attach_request("s", SessionOptions::default(), Some(vector(4096))));
    bench.attach(1);
    assert!(matches!(bench.replies(1)[..], [ClientReply::Attached { .. }]));
}

#[test]
fn attaching_twice_on_one_connection_fails_and_the_session_goes_on() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 1);
    bench.request(1, attach_request("other", SessionOptions::default(), None));
    assert_eq!(bench.failures(1)[0].1.kind, FailureKind::Precondition);
    let items = vec![notification(0, 1, 100)];
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 1, items)] });
    assert_eq!(bench.replies(1).len(), 1);
}

#[test]
fn requests_on_a_session_that_is_not_attached_fail() {
    let mut bench = Bench::new(Config::default());
    bench.connect(1);
    bench.operate(1, 5, ClientOperation::Get(Arc::from("id")));
    bench.request(1, ClientRequest::EndSession { request: RequestId(6) });
    bench.request(1, ClientRequest::Acknowledge(vector(1)));
    bench.request(1, ClientRequest::Credit { notifications_total: 1 });
    let failures = bench.failures(1);
    assert_eq!(failures.iter().map(|(request, _)| *request).collect::<Vec<_>>(), [5, 6, 0, 0]);
    assert!(failures.iter().all(|(_, failure)| failure.kind == FailureKind::Precondition));
    assert_eq!(bench.closed(1), None);
}

#[test]
fn publishing_and_subscribing_take_two_connections() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.session(2, "s", 1);
    bench.replies(2);
    bench.request(1, attach_request("s", SessionOptions::default(), None));
    bench.operate(1, 7, ClientOperation::Get(Arc::from("id")));
    bench.publish(2, [1]);
    bench.request(2, ClientRequest::OpenPublisher { publisher: Arc::from("p"), instance: None });
    for (number, requests) in [(1, [100, 7]), (2, [0, 0])] {
        let failures = bench.failures(number);
        assert_eq!(failures.iter().map(|(request, _)| *request).collect::<Vec<_>>(), requests);
        assert!(failures.iter().all(|(_, failure)| failure.message.contains("a connection of its own")));
        assert_eq!(bench.closed(number), None);
    }
}

fn not_active(attach: &Attach) -> ToConnectionPoint {
    ToConnectionPoint::AttachRefused(AttachRefused {
        connection: attach.connection,
        session: attach.session,
        reason: AttachRefusal::NotActive,
    })
}

#[test]
fn an_attach_refused_as_not_active_is_asked_again_and_given_up_in_the_end() {
    let mut bench = Bench::new(Config { attach_attempts_max: 3, ..Config::default() });
    bench.begin_session(1, "s");
    for attempt in 1..=3 {
        let attach = bench.attaches().pop().expect("asked");
        bench.hear(EXIT_POINT, not_active(&attach));
        assert!(bench.attaches().is_empty(), "not at once");
        if attempt < 3 {
            bench.pass(Duration::from_millis(100));
        }
    }
    assert_eq!(bench.closed_with(1).kind, FailureKind::Unavailable);
    bench.pass(Duration::from_secs(60));
    assert!(bench.actions.is_empty());
}

#[test]
fn an_attach_that_nobody_answers_is_given_up() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    let attach = bench.attaches().pop().expect("asked");
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.closed_with(1).kind, FailureKind::Unavailable);
    // The answer comes at last; the exit point has to hear that nobody is there.
    bench.hear(EXIT_POINT, ToConnectionPoint::Attached(attached(&attach, 3)));
    let told = bench.told_exit_point();
    assert!(matches!(&told[..], [ToExitPoint::Detach(detach)] if detach.generation == Generation(3)), "{told:?}");
}

#[test]
fn an_exit_point_that_is_full_closes_the_connection() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    let attach = bench.attaches().pop().expect("asked");
    let refused =
        AttachRefused { connection: attach.connection, session: attach.session, reason: AttachRefusal::Sessions(12) };
    bench.hear(EXIT_POINT, ToConnectionPoint::AttachRefused(refused));
    assert_eq!(bench.closed_with(1).kind, FailureKind::Exhausted);
}

#[test]
fn a_disconnected_session_is_detached_and_its_acknowledgement_goes_first() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 4);
    bench.handle(Event::Client(ClientEvent::Request {
        connection: connection(1),
        request: ClientRequest::Acknowledge(vector(2)),
    }));
    bench.disconnect(1);
    let told = bench.told_exit_point();
    let [ToExitPoint::Acknowledge(acknowledge), ToExitPoint::Detach(detach)] = &told[..] else {
        panic!("acknowledge, then detach: {told:?}");
    };
    assert_eq!((acknowledge.generation, detach.generation), (Generation(4), Generation(4)));
    assert_eq!(bench.statistics().sessions, 0);
}

#[test]
fn an_attachment_that_is_over_closes_its_connection_with_the_reason() {
    let cases = [
        (EndReason::Superseded, Some(FailureKind::Aborted)),
        (EndReason::Slow, Some(FailureKind::Exhausted)),
        (EndReason::EndedByClient, None),
    ];
    for (reason, kind) in cases {
        let mut bench = Bench::new(Config::default());
        let attach = bench.session(1, "s", 4);
        bench.told_exit_point();
        let ended = |generation| {
            let generation = Generation(generation);
            ToConnectionPoint::Ended(Ended {
                connection: attach.connection,
                session: attach.session,
                generation,
                reason,
            })
        };
        bench.hear(EXIT_POINT, ended(3));
        assert_eq!(bench.closed(1), None, "an older attachment");
        bench.hear(EXIT_POINT, ended(4));
        assert_eq!(bench.closed(1).expect("closed").failure.map(|failure| failure.kind), kind);
        assert!(bench.told_exit_point().is_empty(), "the exit point knows");
    }
}

#[test]
fn a_newer_attachment_of_the_session_here_closes_the_older_connection() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 1);
    bench.session(2, "s", 2);
    assert_eq!(bench.closed_with(1).kind, FailureKind::Aborted);
    bench.operate(2, 1, ClientOperation::Get(Arc::from("id")));
    let operation = bench.operated()[0].operations[0].clone();
    assert_eq!(operation.version.generation, Generation(2));
    bench.replies(2);
    bench.complete(&operation, Outcome::Found(Vec::new()));
    assert_eq!(bench.failures(2)[0].1.kind, FailureKind::NotFound);
}

#[test]
fn ending_a_session_is_answered_when_everybody_forgot_it() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 4);
    bench.replies(1);
    bench.request(1, ClientRequest::EndSession { request: RequestId(8) });
    let told = bench.told_exit_point();
    assert!(matches!(&told[..], [ToExitPoint::EndSession(end)] if end.generation == Generation(4)), "{told:?}");
    bench.operate(1, 9, ClientOperation::Get(Arc::from("id")));
    assert_eq!(bench.failures(1)[0].1.kind, FailureKind::Precondition);
    let ended = Ended {
        connection: attach.connection,
        session: attach.session,
        generation: Generation(4),
        reason: EndReason::EndedByClient,
    };
    bench.hear(EXIT_POINT, ToConnectionPoint::Ended(ended));
    assert!(matches!(bench.replies(1)[..], [ClientReply::Applied { request: RequestId(8), .. }]));
    assert_eq!(bench.closed(1), Some(CloseReason { failure: None }));
}

#[test]
fn what_a_client_asks_while_attaching_goes_out_once_attached() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    bench.operate(1, 1, ClientOperation::Unsubscribe(Arc::from("a")));
    bench.operate(1, 2, ClientOperation::Unsubscribe(Arc::from("b")));
    bench.request(1, ClientRequest::Acknowledge(vector(2)));
    bench.request(1, ClientRequest::EndSession { request: RequestId(3) });
    let attach = bench.attaches().pop().expect("asked");
    assert!(bench.actions.is_empty(), "nothing before it is attached");
    bench.hear(EXIT_POINT, ToConnectionPoint::Attached(attached(&attach, 4)));
    let told = bench.told_exit_point();
    assert!(matches!(told[..], [ToExitPoint::Acknowledge(_), ToExitPoint::EndSession(_)]), "{told:?}");
    assert_eq!(bench.operated()[0].operations.len(), 2);
}
