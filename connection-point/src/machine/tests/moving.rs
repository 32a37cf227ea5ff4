//! Claims about lanes that come, drain and end: publishers and sessions go on, and their clients see nothing.

use gomera_cluster::layout::{Lane, LaneState};
use gomera_cluster::message::access_point::LeaveLane;
use gomera_cluster::message::connection_point::{Refusal, Refused, SessionSettled};

use super::*;

const NEXT: LaneId = LaneId(2);

/// A layout in which the first lane stands so, if it exists, and a second one is open.
fn with_next(epoch: u64, first: Option<LaneState>) -> Layout {
    let mut with_next = Layout { epoch: Epoch(epoch), ..layout(1) };
    with_next.lanes.clear();
    if let Some(state) = first {
        with_next.lanes.insert(LANE, Lane { writer: ACCESS_POINT, state, since: Epoch(1) });
    }
    with_next.lanes.insert(NEXT, Lane { writer: ACCESS_POINT, state: LaneState::Open, since: Epoch(epoch) });
    with_next
}

fn grant_next(bench: &mut Bench) {
    for class in [Class::Live, Class::Operation] {
        let credit = LaneCredit { lane: NEXT, class, total: Total(UNLIMITED) };
        bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    }
}

fn submissions(bench: &mut Bench) -> Vec<(LaneId, u64, bool)> {
    let published = bench.published();
    let of = |publish: &Publish| {
        let lane = publish.lane;
        let one = move |submission: &gomera_cluster::message::access_point::Submission| {
            (lane, submission.envelope.key.sequence.0, submission.resent)
        };
        publish.submissions.iter().map(one).collect::<Vec<_>>()
    };
    published.iter().flat_map(of).collect()
}

fn left(bench: &mut Bench) -> Vec<LaneId> {
    bench.take(|action| match action {
        Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::LeaveLane(LeaveLane { lane })), .. }) => {
            Some(*lane)
        }
        Action::Send(_) | Action::Client(_) => None,
    })
}

#[test]
fn a_publisher_whose_lane_was_fenced_goes_on_on_another_with_all_that_is_unacknowledged_flagged() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, [1, 2, 3]);
    bench.acknowledge(&open, 1, 1);
    assert_eq!(submissions(&mut bench), [(LANE, 1, false), (LANE, 2, false), (LANE, 3, false)]);
    bench.replies(1);
    bench.layout(with_next(2, None));
    bench.publish(1, [4]);
    // Once the fence is acted on, the lane acknowledges nothing any more.
    bench.acknowledge(&open, 1, 3);
    assert!(bench.published().is_empty(), "the access point of the next lane has not answered");
    let next = bench.open_publisher(5, 0, 0);
    assert_eq!(next.lane, NEXT);
    grant_next(&mut bench);
    assert_eq!(submissions(&mut bench), [(NEXT, 2, true), (NEXT, 3, true), (NEXT, 4, false)]);
    assert!(bench.replies(1).is_empty(), "its client hears nothing of it");
    bench.acknowledge(&next, 5, 4);
    assert_eq!(bench.replies(1).len(), 1);
    assert_eq!(bench.closed(1), None);
}

#[test]
fn a_publisher_moves_when_what_it_sent_is_acknowledged_and_holds_the_rest_until_then() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, [1, 2]);
    assert_eq!(submissions(&mut bench).len(), 2);
    bench.layout(with_next(2, Some(LaneState::Draining)));
    bench.publish(1, [3]);
    bench.acknowledge(&open, 1, 1);
    assert!(bench.published().is_empty() && bench.opens().is_empty() && left(&mut bench).is_empty());
    bench.acknowledge(&open, 1, 2);
    assert_eq!(left(&mut bench), [LANE]);
    assert_eq!(bench.open_publisher(1, 0, 0).lane, NEXT);
    grant_next(&mut bench);
    assert_eq!(submissions(&mut bench), [(NEXT, 3, false)]);
    bench.layout(with_next(3, Some(LaneState::Draining)));
    assert!(left(&mut bench).is_empty(), "a lane is left once");
}

#[test]
fn a_publisher_that_may_not_know_what_was_refused_goes_on_on_no_other_lane() {
    // By plan, and because its lane was fenced.
    for state in [Some(LaneState::Draining), None] {
        let mut bench = Bench::new(Config::default());
        let open = bench.publisher(1, "p", 9);
        bench.publish(1, [1, 2]);
        bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(out_of_range(&open, 1)));
        bench.acknowledge(&open, 1, 2);
        bench.layout(with_next(2, state));
        assert!(bench.opens().is_empty());
        assert_eq!(bench.closed_with(1).kind, FailureKind::Unavailable);
        // The answers of a lane come in order: whoever has seen this acknowledgement has seen the refusal.
        let mut bench = Bench::new(Config::default());
        let open = bench.publisher(1, "p", 9);
        bench.publish(1, [1, 2]);
        bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(out_of_range(&open, 1)));
        bench.acknowledge(&open, 1, 2);
        bench.request(1, ClientRequest::Publish { items: Vec::new(), acknowledged_through: Sequence(2) });
        bench.layout(with_next(2, state));
        assert_eq!(bench.open_publisher(1, 0, 0).lane, NEXT);
        assert_eq!(bench.closed(1), None);
    }
}

fn out_of_range(open: &OpenPublisher, sequence: u64) -> Refused {
    Refused {
        lane: open.lane,
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(1),
        sequence: Sequence(sequence),
        reason: Refusal::OutOfRange,
    }
}

#[test]
fn operations_move_when_those_before_them_are_answered_and_go_again_when_their_lane_was_fenced() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 1);
    let settled = SessionSettled { lane: LANE, session: attach.session, generation: Generation(1) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::SessionSettled(settled));
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    let first = bench.operated();
    bench.layout(with_next(2, Some(LaneState::Draining)));
    grant_next(&mut bench);
    bench.operate(1, 2, ClientOperation::Get(Arc::from("b")));
    assert_eq!(bench.operated().len(), 0);
    assert_eq!(left(&mut bench), []);
    bench.complete(&first[0].operations[0], Outcome::Found(Vec::new()));
    let second = bench.operated();
    assert_eq!((second[0].lane, second[0].operations[0].version.counter), (NEXT, 2));
    assert_eq!(left(&mut bench), [LANE]);
    let mut third = with_next(3, None);
    let next = third.lanes.remove(&NEXT).expect("it is open");
    third.lanes.insert(LaneId(3), next);
    bench.layout(third);
    let credit = LaneCredit { lane: LaneId(3), class: Class::Operation, total: Total(UNLIMITED) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    let again = bench.operated();
    assert_eq!((again[0].lane, again[0].operations[0].version), (LaneId(3), second[0].operations[0].version));
}
