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
    assert_eq!(asked(&mut bench), [(LANE, 5)]);
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
    assert_eq!(asked(&mut bench), [], "nothing older than this attachment can be there");
}

#[test]
fn where_there_is_one_lane_nobody_is_asked() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 5);
    bench.operate(1, 1, ClientOperation::Get(Arc::from("a")));
    assert_eq!((asked(&mut bench), lanes(&mut bench)), (vec![], vec![LANE]));
}
