//! Claims about publishers that come back while lanes change: what they have outstanding on another lane than theirs comes first.

use gomera_cluster::layout::{Lane, LaneState};
use gomera_cluster::message::access_point::{LeaveLane, Purpose};
use gomera_cluster::message::connection_point::{Refusal, Refused};

use super::*;

const OWN: LaneId = LaneId(2);

/// The first lane drains, a second one is open: that is every publisher's own.
fn drained(epoch: u64) -> Layout {
    let mut layout = Layout { epoch: Epoch(epoch), ..layout(1) };
    layout.lanes.insert(LANE, Lane { writer: ACCESS_POINT, state: LaneState::Draining, since: Epoch(1) });
    layout.lanes.insert(OWN, Lane { writer: ACCESS_POINT, state: LaneState::Open, since: Epoch(epoch) });
    layout
}

fn bench(config: Config) -> Bench {
    let mut bench = Bench::new(config);
    bench.layout(drained(2));
    let credit = LaneCredit { lane: OWN, class: Class::Live, total: Total(UNLIMITED) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    bench
}

/// Somebody stays on the first lane, so that it is not left.
fn resident(bench: &mut Bench) {
    bench.publisher(9, "resident", 1);
    bench.publish(9, [1]);
    assert_eq!(submissions(bench).len(), 1);
}

fn asked(bench: &mut Bench) -> Vec<(LaneId, Purpose)> {
    bench.opens().into_iter().map(|open| (open.lane, open.purpose)).collect()
}

fn answer(bench: &mut Bench, lane: LaneId, (generation, sequenced, acknowledged): (u64, u64, u64)) -> OpenPublisher {
    let tenant = Tenant::open();
    let (publisher, instance) = (PublisherKey::of(&tenant, "p"), Instance(7));
    let (generation, sequenced, acknowledged) = (Generation(generation), Sequence(sequenced), Sequence(acknowledged));
    let connection = connection(1);
    let opened = PublisherOpened { lane, publisher, instance, connection, generation, sequenced, acknowledged };
    bench.hear(ACCESS_POINT, ToConnectionPoint::PublisherOpened(opened));
    OpenPublisher { lane, publisher, instance, connection, purpose: Purpose::Settle }
}

fn submissions(bench: &mut Bench) -> Vec<(LaneId, u64)> {
    let published = bench.published();
    let of = |publish: &Publish| {
        let lane = publish.lane;
        let sequences = publish.submissions.iter().map(|submission| submission.envelope.key.sequence.0);
        sequences.map(|sequence| (lane, sequence)).collect::<Vec<_>>()
    };
    published.iter().flat_map(of).collect()
}

/// What the client was told: sequenced and acknowledged.
fn told(bench: &mut Bench) -> Vec<(u64, u64)> {
    let told = bench.replies(1).into_iter().map(|reply| match reply {
        ClientReply::PublisherOpened { sequenced, acknowledged } => (sequenced.0, acknowledged.0),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn who_has_something_outstanding_on_another_lane_goes_on_there_until_it_is_acknowledged() {
    let mut bench = Bench::new(Config::default());
    resident(&mut bench);
    bench.layout(drained(2));
    bench.begin_publisher(1, "p", Some(7));
    assert_eq!(asked(&mut bench), [(LANE, Purpose::Settle)]);
    bench.publish(1, [3, 4, 5]);
    assert_eq!(told(&mut bench), [], "nobody knows yet how far it is");
    let found = answer(&mut bench, LANE, (3, 4, 2));
    assert_eq!(told(&mut bench), [(4, 2)]);
    assert_eq!(submissions(&mut bench), [(LANE, 3), (LANE, 4), (LANE, 5)]);
    bench.acknowledge(&found, 3, 3);
    bench.publish(1, [6]);
    assert_eq!(submissions(&mut bench), [(LANE, 6)], "something of before is outstanding there");
    bench.acknowledge(&found, 3, 4);
    bench.publish(1, [7]);
    assert_eq!((asked(&mut bench), submissions(&mut bench)), (vec![], vec![]), "5 and 6 are outstanding there");
    bench.acknowledge(&found, 3, 6);
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
    answer(&mut bench, OWN, (1, 0, 0));
    let credit = LaneCredit { lane: OWN, class: Class::Live, total: Total(UNLIMITED) };
    bench.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    assert_eq!(submissions(&mut bench), [(OWN, 7)]);
}

#[test]
fn who_has_nothing_outstanding_goes_to_its_own_lane_and_is_told_what_is_acknowledged_anywhere() {
    for known in [(0, 0, 0), (3, 8, 8)] {
        let mut bench = bench(Config::default());
        bench.begin_publisher(1, "p", Some(7));
        assert_eq!(asked(&mut bench), [(LANE, Purpose::Settle)]);
        answer(&mut bench, LANE, known);
        assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
        answer(&mut bench, OWN, (1, 0, 0));
        assert_eq!(told(&mut bench), [(known.1, known.2)]);
        bench.publish(1, [8, 9]);
        let new: Vec<_> = (8..10).filter(|&sequence| sequence > known.2).map(|sequence| (OWN, sequence)).collect();
        assert_eq!(submissions(&mut bench), new);
    }
}

#[test]
fn a_lane_that_was_left_takes_nothing_more_and_is_waited_for() {
    let mut bench = bench(Config::default());
    let left = bench.take(|action| match action {
        Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::LeaveLane(LeaveLane { lane })), .. }) => {
            Some(*lane)
        }
        Action::Send(_) | Action::Client(_) => None,
    });
    assert_eq!(left, [LANE]);
    bench.begin_publisher(1, "p", Some(7));
    let found = answer(&mut bench, LANE, (3, 4, 2));
    bench.publish(1, [3, 4, 5]);
    bench.opens();
    assert_eq!(submissions(&mut bench), []);
    bench.acknowledge(&found, 3, 4);
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
    answer(&mut bench, OWN, (1, 0, 0));
    assert_eq!(submissions(&mut bench), [(OWN, 5)]);
}

#[test]
fn a_lane_that_ends_is_not_waited_for_whatever_it_had() {
    let mut bench = bench(Config::default());
    for is_found in [false, true] {
        let number = 1;
        bench.begin_publisher(number, "p", Some(7));
        if is_found {
            answer(&mut bench, LANE, (3, 4, 2));
        }
        bench.publish(number, [3]);
        let mut fenced = drained(3);
        fenced.lanes.remove(&LANE);
        bench.layout(fenced);
        assert_eq!(asked(&mut bench).last(), Some(&(OWN, Purpose::Publish)));
        answer(&mut bench, OWN, (1, 0, 0));
        assert_eq!(submissions(&mut bench), [(OWN, 3)]);
        bench.disconnect(number);
        bench = self::bench(Config::default());
    }
    // Or its access point says so.
    bench.begin_publisher(1, "p", Some(7));
    let open = bench.opens().pop().expect("asked");
    let refused = Refused {
        lane: LANE,
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(0),
        sequence: Sequence(0),
        reason: Refusal::Lane,
    };
    bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(refused));
    assert_eq!((asked(&mut bench), bench.closed(1)), (vec![(OWN, Purpose::Publish)], None));
}

#[test]
fn lanes_that_come_while_one_seeks_are_asked_too_and_none_is_waited_for_longer_than_for_an_answer() {
    let config = Config::default();
    let mut bench = bench(config.clone());
    bench.begin_publisher(1, "p", Some(7));
    assert_eq!(asked(&mut bench), [(LANE, Purpose::Settle)]);
    let mut more = drained(3);
    more.lanes.insert(LaneId(3), Lane { writer: ACCESS_POINT, state: LaneState::Draining, since: Epoch(3) });
    bench.layout(more);
    assert_eq!(asked(&mut bench), [(LaneId(3), Purpose::Settle)]);
    answer(&mut bench, LaneId(3), (3, 2, 1));
    assert_eq!(asked(&mut bench), [], "one has not answered");
    answer(&mut bench, LANE, (4, 1, 1));
    bench.publish(1, [2]);
    assert_eq!((asked(&mut bench), submissions(&mut bench)), (vec![], vec![]));
    // What an access point has forgotten it does not acknowledge.
    bench.pass(config.answer_wait);
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);

    bench.begin_publisher(2, "q", Some(7));
    bench.pass(config.answer_wait);
    assert_eq!(bench.closed(2).expect("given up").failure.map(|failure| failure.kind), Some(FailureKind::Unavailable));
}

#[test]
fn who_has_no_instance_never_comes_back_and_is_not_sought() {
    let mut bench = bench(Config::default());
    bench.begin_publisher(1, "p", None);
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
}

#[test]
fn who_has_something_outstanding_on_its_own_lane_is_found_there_by_the_next_layout() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(7));
    let open = bench.open_publisher(3, 5, 2);
    bench.layout(drained(2));
    assert_eq!(asked(&mut bench), [], "3 to 5 are outstanding there");
    bench.publish(1, [3, 4, 5]);
    assert_eq!(submissions(&mut bench), [(LANE, 3), (LANE, 4), (LANE, 5)]);
    bench.acknowledge(&open, 3, 5);
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
}

#[test]
fn a_lane_that_was_asked_to_open_a_publisher_is_not_asked_again_to_settle_it() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(7));
    assert_eq!(asked(&mut bench), [(LANE, Purpose::Publish)]);
    bench.layout(drained(2));
    assert_eq!(asked(&mut bench), [], "its second attachment would end the first");
    answer(&mut bench, LANE, (3, 4, 4));
    assert_eq!(asked(&mut bench), [(OWN, Purpose::Publish)]);
}
