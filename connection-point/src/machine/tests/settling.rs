//! Claims about sessions that come back while lanes change: what an earlier attachment has under way on another lane comes first.

use gomera_cluster::layout::{Lane, LaneState};
use gomera_cluster::message::access_point::SettleSession;
use gomera_cluster::message::connection_point::SessionSettled;

use super::*;

const OWN: LaneId = LaneId(2);

/// The first lane drains, the second one is open: that is every session's own.
fn drained(epoch: u64, further: &[LaneId]) -> Layout {
    let mut layout = Layout { epoch: Epoch(epoch), ..layout(1) };
    let draining = || Lane { writer: ACCESS_POINT, state: LaneState::Draining, since: Epoch(1) };
    layout.lanes.insert(LANE, draining());
    layout.lanes.extend(further.iter().map(|&lane| (lane, draining())));
    layout.lanes.insert(OWN, Lane { writer: ACCESS_POINT, state: LaneState::Open, since: Epoch(2) });
    layout
}

fn bench() -> Bench {
    let mut bench = Bench::new(Config::default());
    bench.layout(drained(2, &[]));
    let credit = LaneCredit { lane: OWN, class: Class::Operation, total: Total(UNLIMITED) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    bench
}

fn asked(bench: &mut Bench) -> Vec<(LaneId, u64)> {
    bench.take(|action| match action {
        Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::SettleSession(settle)), .. }) => {
            let SettleSession { lane, session: _, generation } = settle;
            Some((*lane, generation.0))
        }
        Action::Send(_) | Action::Client(_) => None,
    })
}

fn settle(bench: &mut Bench, attach: &Attach, lane: LaneId, generation: u64) {
    let settled = SessionSettled { lane, session: attach.session, generation: Generation(generation) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::SessionSettled(settled));
}

fn lanes(bench: &mut Bench) -> Vec<LaneId> {
    bench.operated().into_iter().map(|operate| operate.lane).collect()
}

#[test]
fn nothing_goes_out_before_all_other_lanes_have_answered_for_this_attachment() {
    let mut bench = bench();
    let attach = bench.session(1, "s", 5);
    assert_eq!(asked(&mut bench), [(LANE, 5), (OWN, 5)]);
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    settle(&mut bench, &attach, LANE, 4);
    settle(&mut bench, &attach, OWN, 5);
    assert_eq!(lanes(&mut bench), [], "another attachment, another lane");
    settle(&mut bench, &attach, LANE, 5);
    assert_eq!(lanes(&mut bench), [OWN]);
    bench.operate(1, 2, ClientOperation::Get(Arc::from("b")));
    assert_eq!(lanes(&mut bench), [OWN]);
}

#[test]
fn lanes_that_end_are_not_waited_for_and_those_that_come_meanwhile_are() {
    let mut bench = bench();
    let attach = bench.session(1, "s", 5);
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    asked(&mut bench);
    bench.layout(drained(3, &[LaneId(3)]));
    assert_eq!(asked(&mut bench), [(LaneId(3), 5)]);
    settle(&mut bench, &attach, LaneId(3), 5);
    assert_eq!(lanes(&mut bench), []);
    let mut fenced = drained(4, &[]);
    fenced.lanes.remove(&LANE);
    bench.layout(fenced);
    assert_eq!(lanes(&mut bench), [OWN]);
    bench.layout(drained(5, &[LaneId(4)]));
    assert_eq!(asked(&mut bench), [(LaneId(4), 5)], "an older attachment may have had this layout before");
    settle(&mut bench, &attach, OWN, 5);
    settle(&mut bench, &attach, LaneId(4), 5);
    bench.pass(Duration::from_secs(61));
    bench.layout(drained(6, &[LaneId(4), LaneId(5)]));
    assert_eq!(asked(&mut bench), [], "not so long before");
}

#[test]
fn its_own_lane_is_waited_for_only_by_who_leaves_it() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 5);
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    let first = bench.operated();
    assert_eq!((asked(&mut bench), first[0].lane), (vec![(LANE, 5)], LANE));
    bench.complete(&first[0].operations[0], Outcome::Found(Vec::new()));
    bench.layout(drained(2, &[]));
    let credit = LaneCredit { lane: OWN, class: Class::Operation, total: Total(UNLIMITED) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    bench.operate(1, 2, ClientOperation::Get(Arc::from("b")));
    settle(&mut bench, &attach, OWN, 5);
    assert_eq!(lanes(&mut bench), [], "an earlier attachment may have something there");
    settle(&mut bench, &attach, LANE, 5);
    assert_eq!(lanes(&mut bench), [OWN]);
}

#[test]
fn lanes_that_do_not_answer_are_asked_once_more_and_then_the_client_is_told() {
    let config = Config::default();
    let mut bench = bench();
    let attach = bench.session(1, "s", 5);
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    asked(&mut bench);
    settle(&mut bench, &attach, OWN, 5);
    bench.pass(config.answer_wait);
    assert_eq!((asked(&mut bench), bench.closed(1)), (vec![(LANE, 5)], None));
    bench.pass(config.answer_wait);
    assert_eq!(bench.closed_with(1).kind, FailureKind::Unavailable);

    let attach = bench.session(2, "t", 6);
    bench.operate(2, 1, ClientOperation::Get(Arc::from("a")));
    settle(&mut bench, &attach, LANE, 6);
    assert_eq!(lanes(&mut bench), [OWN]);
    bench.pass(config.answer_wait * 3);
    assert_eq!(bench.closed(2), None, "nothing waits for its own lane");
}
