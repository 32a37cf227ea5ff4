//! Claims about a lane, with the machines around it played by the test.

use std::time::Duration;

use gomera_cluster::identity::{ConnectionId, Instance};
use gomera_cluster::layout::{Replica, Role};
use gomera_cluster::message::exit_point::{Forgotten, LaneBegins, ToExitPoint};
use gomera_cluster::message::matcher::{Entries, ToMatcher};
use gomera_cluster::operation::Outcome;
use gomera_cluster::position::Position;

use super::*;
use crate::fixture::{CONNECTION_POINT, address, envelope, get, layout, operation, publisher, session, submission};

mod completing;
mod sending;

const MATCHERS: [Address; 2] = [address(3, 0), address(3, 1)];
const EXITS: [Address; 2] = [address(4, 0), address(4, 1)];
const LANE: LaneId = LaneId(1);

struct Bench {
    lane: Lane,
    output: Output,
    entries: Vec<(Address, Entries)>,
    told: Vec<(Address, ToConnectionPoint)>,
    forgotten: Vec<(Address, Forgotten)>,
    begins: Vec<(Address, LaneBegins)>,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let routes = Arc::new(Routes::new(layout(1)));
        let lane = Lane::open(LANE, config, &routes);
        let output = Output::default();
        Self { lane, output, entries: Vec::new(), told: Vec::new(), forgotten: Vec::new(), begins: Vec::new() }
    }

    fn open_for_all(config: &Config) -> Self {
        let mut bench = Self::new(config);
        for matcher in MATCHERS {
            bench.lane.entries_credit(matcher, Class::Live, Total(u64::MAX));
        }
        bench.flush();
        bench.told.clear();
        bench
    }

    fn flush(&mut self) {
        self.lane.flush(&mut self.output);
        for Send { to, message } in self.output.actions.drain(..) {
            match message {
                Message::Matcher(ToMatcher::Entries(entries)) => self.entries.push((to, entries)),
                Message::Matcher(ToMatcher::LaneSettled(_)) => {}
                Message::ConnectionPoint(told) => self.told.push((to, told)),
                Message::ExitPoint(ToExitPoint::Forgotten(forgotten)) => self.forgotten.push((to, forgotten)),
                Message::ExitPoint(ToExitPoint::LaneBegins(begins)) => self.begins.push((to, begins)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn publish(&mut self, submissions: Vec<Submission>) {
        let publish = Publish { lane: LANE, submissions, acknowledged_through: Vec::new() };
        self.lane.publish(Instant::ZERO, CONNECTION_POINT, publish, &mut self.output);
    }

    fn merge(&mut self, exit: usize, through: u64) {
        self.lane.merged(Instant::ZERO, EXITS[exit], Number(through));
        self.flush();
    }

    fn progress(&mut self, matcher: usize, through: u64, outcomes: Vec<(u64, Outcome)>) {
        let outcomes = outcomes.into_iter().map(|(number, outcome)| (Number(number), outcome)).collect();
        let progress = Progress { lane: LANE, through: Number(through), outcomes, refused: Vec::new() };
        self.lane.progress(MATCHERS[matcher], progress, &mut self.output);
        self.flush();
    }

    fn acknowledged(&mut self) -> Vec<u64> {
        let mut sequences = Vec::new();
        self.told.retain(|(to, told)| match told {
            ToConnectionPoint::Acknowledged(acknowledged) => {
                assert_eq!(*to, CONNECTION_POINT);
                sequences.extend(acknowledged.through.iter().map(|through| through.sequence.0));
                false
            }
            _ => true,
        });
        sequences
    }

    fn refused(&mut self) -> Vec<(u64, Refusal)> {
        let mut refused = Vec::new();
        self.told.retain(|(_, told)| match told {
            ToConnectionPoint::Refused(refusal) => {
                refused.push((refusal.sequence.0, refusal.reason));
                false
            }
            _ => true,
        });
        refused
    }

    fn credit(&self, class: Class) -> u64 {
        let of_class = |(to, told): &(Address, ToConnectionPoint)| match told {
            ToConnectionPoint::LaneCredit(credit) if *to == CONNECTION_POINT && credit.class == class => {
                Some(credit.total.0)
            }
            _ => None,
        };
        self.told.iter().filter_map(of_class).max().unwrap_or(0)
    }
}

#[test]
fn a_lane_begins_with_its_barrier_and_sends_nothing_before_credit() {
    let mut bench = Bench::new(&Config::default());
    bench.publish(vec![submission("p", 1, 1)]);
    bench.flush();
    assert!(bench.entries.is_empty());
    bench.lane.entries_credit(MATCHERS[1], Class::Live, Total(u64::MAX));
    bench.flush();
    let (to, entries) = &bench.entries[0];
    assert_eq!((*to, entries.from, entries.to, entries.entries.len()), (MATCHERS[1], Number(0), Number(2), 2));
    assert!(matches!(entries.entries[0], (Number(1), Entry::Barrier(_))));
}

#[test]
fn a_publication_is_acknowledged_when_every_exit_point_has_merged_it_and_not_before() {
    let mut bench = Bench::open_for_all(&Config::default());
    bench.publish(vec![submission("p", 1, 1), submission("p", 2, 1), submission("q", 9, 1)]);
    bench.flush();
    bench.merge(0, 4);
    assert!(bench.acknowledged().is_empty());
    bench.merge(1, 3);
    assert_eq!(bench.acknowledged(), [2], "the latest stands for those before it");
    bench.merge(1, 4);
    assert_eq!(bench.acknowledged(), [9]);
}

#[test]
fn a_repeat_has_no_effect_and_a_reuse_is_refused() {
    let mut bench = Bench::open_for_all(&Config::default());
    let other = Submission { envelope: envelope("p", 1, 1, "other"), ..submission("p", 1, 1) };
    bench.publish(vec![submission("p", 1, 1)]);
    bench.publish(vec![submission("p", 1, 1), other.clone()]);
    bench.flush();
    assert_eq!(bench.refused(), [(1, Refusal::Reused)]);
    assert_eq!(bench.output.statistics.publications, 1);
    for exit in 0..2 {
        bench.merge(exit, 2);
    }
    assert_eq!(bench.acknowledged(), [1]);
    bench.publish(vec![other]);
    bench.flush();
    assert_eq!(bench.acknowledged(), [1], "below the window it is a repeat, whatever it says");
    assert!(bench.refused().is_empty());
}

#[test]
fn credit_is_the_limit_on_retention_shared_by_connection_points() {
    let cost = submission("p", 1, 1).envelope.cost();
    let mut bench = Bench::new(&Config { retained_bytes_max: 4 * cost, ..Config::default() });
    for matcher in MATCHERS {
        bench.lane.entries_credit(matcher, Class::Live, Total(u64::MAX));
    }
    bench.flush();
    assert_eq!(bench.credit(Class::Live), 2 * cost, "half of it: there are two");
    bench.publish(vec![submission("p", 1, 1), submission("p", 2, 1)]);
    bench.flush();
    assert_eq!(bench.credit(Class::Live), 2 * cost, "retained: nothing new");
    bench.publish(vec![submission("p", 2, 1)]);
    bench.flush();
    assert_eq!(bench.credit(Class::Live), 3 * cost, "a repeat takes no room");
    for exit in 0..2 {
        bench.merge(exit, 3);
    }
    assert_eq!(bench.credit(Class::Live), 5 * cost);
}

#[test]
fn operations_go_to_the_replicas_of_their_slice_and_their_numbers_are_a_gap_for_others() {
    let mut bench = Bench::open_for_all(&Config::default());
    bench.entries.clear();
    let operate = |operations| Operate { lane: LANE, operations };
    let operations = (0..40).map(|id| get("s", &format!("x{id}"), id + 1)).collect::<Vec<_>>();
    bench.lane.operate(CONNECTION_POINT, operate(operations.clone()), &mut bench.output);
    bench.lane.operate(
        CONNECTION_POINT,
        operate(vec![operation("s", 41, Change::SetContext(Arc::default()))]),
        &mut bench.output,
    );
    bench.flush();
    let layout = layout(1);
    for (to, entries) in &bench.entries {
        assert_eq!((entries.from, entries.to), (Number(1), Number(42)));
        for (number, entry) in &entries.entries {
            let Entry::Operation(operation) = entry else { panic!("{entry:?}") };
            match operation.change.subscription() {
                Some(key) => {
                    let placement = layout.matcher_placement(layout.slice_of_subscription(key));
                    assert_eq!(placement.active(), Some(*to));
                }
                None => assert_eq!(*number, Number(42)),
            }
        }
    }
    let sent = bench.entries.iter().map(|(_, entries)| entries.entries.len()).sum::<usize>();
    assert_eq!(sent, 40 + 2, "each to one of them, the last to both");
}

#[test]
fn the_client_hears_the_outcome_with_the_position() {
    let mut bench = Bench::open_for_all(&Config::default());
    let context = operation("s", 3, Change::SetContext(Arc::default()));
    bench.lane.operate(CONNECTION_POINT, Operate { lane: LANE, operations: vec![context] }, &mut bench.output);
    bench.flush();
    bench.progress(0, 2, vec![(2, Outcome::Superseded)]);
    assert!(bench.told.is_empty());
    bench.progress(1, 2, vec![(2, Outcome::Superseded)]);
    let [(to, ToConnectionPoint::Completed(completed))] = &bench.told[..] else { panic!("{:?}", bench.told) };
    assert_eq!((*to, completed.session, completed.version.counter), (CONNECTION_POINT, session("s"), 3));
    assert_eq!(completed.position, Position { lane: LANE, number: Number(2) });
}

#[test]
fn ends_of_sessions_are_sequenced_so_many_at_a_time_and_answered() {
    let mut bench = Bench::open_for_all(&Config { forgets_max: 2, ..Config::default() });
    for name in ["s", "t", "u"] {
        let forget = Forget {
            lane: LANE,
            tenant: gomera_cluster::identity::Tenant::open(),
            session: session(name),
            generation: Generation(7),
        };
        bench.lane.forget(EXITS[1], forget);
    }
    bench.flush();
    assert_eq!(bench.lane.log.last(), Number(3));
    for matcher in 0..2 {
        bench.progress(matcher, 3, vec![(2, Outcome::Superseded), (3, Outcome::NotFound)]);
    }
    assert_eq!(bench.forgotten.len(), 2);
    assert_eq!((bench.forgotten[0].0, bench.forgotten[0].1.session), (EXITS[1], session("s")));
    assert_eq!(bench.forgotten[0].1.generation, Generation(7));
    assert_eq!(bench.lane.log.last(), Number(4), "the third has followed");
}

#[test]
fn who_died_is_not_told_that_a_session_is_forgotten() {
    let mut bench = Bench::open_for_all(&Config::default());
    let stranger = address(9, 0);
    let tenant = gomera_cluster::identity::Tenant::open();
    let forget = Forget { lane: LANE, tenant, session: session("s"), generation: Generation(7) };
    bench.lane.forget(stranger, forget);
    bench.flush();
    for matcher in 0..2 {
        bench.progress(matcher, 2, vec![(2, Outcome::Superseded)]);
    }
    assert!(bench.forgotten.is_empty());
}

#[test]
fn with_every_window_at_one_everything_is_sent_and_acknowledged() {
    let config = Config { retained_bytes_max: 1, operation_bytes_max: 1, frame_bytes_max: 1, ..Config::default() };
    let mut bench = Bench::new(&config);
    let mut granted = [1, 1];
    let mut acknowledged = Vec::new();
    for sequence in 1..=10 {
        bench.flush();
        let before = bench.credit(Class::Live);
        bench.publish(vec![submission("p", sequence, 1)]);
        for _ in 0..3 {
            for (index, matcher) in MATCHERS.into_iter().enumerate() {
                bench.lane.entries_credit(matcher, Class::Live, Total(granted[index]));
            }
            bench.flush();
            for (index, matcher) in MATCHERS.into_iter().enumerate() {
                let costs = bench.entries.iter().filter(|(to, _)| *to == matcher).map(|(_, entries)| entries.cost());
                granted[index] = 1 + costs.sum::<u64>();
            }
        }
        for exit in 0..2 {
            bench.merge(exit, sequence + 1);
        }
        acknowledged.extend(bench.acknowledged());
        assert!(bench.credit(Class::Live) > before, "the connection point may go on");
    }
    assert_eq!(acknowledged, (1..=10).collect::<Vec<_>>());
    assert!(bench.entries.iter().all(|(_, entries)| entries.entries.len() <= 1));
}

#[test]
fn a_session_is_settled_when_its_operations_are_worked_off_and_nothing_of_an_older_attachment_is_taken_after_that() {
    let mut bench = Bench::open_for_all(&Config::default());
    let operate = |bench: &mut Bench, counter| {
        let operate = Operate { lane: LANE, operations: vec![get("s", "a", counter)] };
        bench.lane.operate(CONNECTION_POINT, operate, &mut bench.output);
        bench.flush();
    };
    let settled = |bench: &mut Bench| {
        let told = bench.told.drain(..).filter_map(|(to, told)| match told {
            ToConnectionPoint::SessionSettled(settled) => Some((to, settled.session, settled.generation.0)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let asker = address(5, 0);
    let settle = |bench: &mut Bench, name| {
        let settle = SettleSession { lane: LANE, session: session(name), generation: Generation(2) };
        bench.lane.settle_session(Instant::ZERO, asker, settle);
        bench.flush();
    };
    operate(&mut bench, 1);
    settle(&mut bench, "other");
    assert_eq!(settled(&mut bench), [(asker, session("other"), 2)], "nothing is under way");
    settle(&mut bench, "s");
    assert_eq!(settled(&mut bench), [], "it is under way");
    bench.progress(0, 2, vec![(2, Outcome::NotFound)]);
    bench.progress(1, 2, vec![(2, Outcome::NotFound)]);
    assert_eq!(settled(&mut bench), [(asker, session("s"), 2)]);
    operate(&mut bench, 2);
    let Statistics { operations, operations_superseded, .. } = bench.output.statistics;
    assert_eq!((operations, operations_superseded), (1, 1));
}

#[test]
fn who_is_only_looked_for_is_not_remembered_and_its_older_attachment_ends_if_it_is_known() {
    let mut bench = Bench::open_for_all(&Config::default());
    let open = |name, purpose| OpenPublisher {
        lane: LANE,
        publisher: publisher(name),
        instance: Instance(1),
        connection: ConnectionId(1),
        purpose,
    };
    let look = |bench: &mut Bench, name, generation| {
        let open = open(name, Purpose::Settle);
        bench.lane.open_publisher(Instant::ZERO, address(5, 0), open, Generation(generation), &mut bench.output);
        bench.flush();
        let mut opened = bench.told.drain(..).filter_map(|(_, told)| match told {
            ToConnectionPoint::PublisherOpened(opened) => Some(opened),
            _ => None,
        });
        opened.next_back().map(|opened| (opened.generation.0, opened.sequenced.0, opened.acknowledged.0))
    };
    assert_eq!(look(&mut bench, "nobody", 1), Some((0, 0, 0)));
    assert_eq!(bench.lane.publishers.len(), 0);
    let first = open("p", Purpose::Publish);
    bench.lane.open_publisher(Instant::ZERO, CONNECTION_POINT, first, Generation(2), &mut bench.output);
    bench.publish(vec![submission("p", 1, 2), submission("p", 2, 2)]);
    bench.flush();
    assert_eq!(look(&mut bench, "p", 3), Some((3, 2, 0)), "two are outstanding");
    bench.publish(vec![submission("p", 3, 2)]);
    assert_eq!(bench.output.statistics.superseded, 1, "nothing is taken of the older attachment");
    bench.progress(0, 3, Vec::new());
    bench.progress(1, 3, Vec::new());
    bench.merge(0, 3);
    bench.merge(1, 3);
    assert_eq!(look(&mut bench, "p", 4), Some((4, 2, 2)), "nothing is outstanding");
}

#[test]
fn a_newer_attachment_ends_the_older_one_at_its_connection_point() {
    let mut bench = Bench::open_for_all(&Config::default());
    let open = |connection| OpenPublisher {
        lane: LANE,
        publisher: publisher("p"),
        instance: Instance(1),
        connection: ConnectionId(connection),
        purpose: Purpose::Publish,
    };
    bench.lane.open_publisher(Instant::ZERO, CONNECTION_POINT, open(1), Generation(1), &mut bench.output);
    bench.publish(vec![submission("p", 4, 1)]);
    bench.lane.open_publisher(Instant::ZERO, address(5, 0), open(2), Generation(2), &mut bench.output);
    bench.flush();
    let [
        _,
        (first, ToConnectionPoint::PublisherSuperseded(over)),
        (second, ToConnectionPoint::PublisherOpened(opened)),
    ] = &bench.told[..]
    else {
        panic!("{:?}", bench.told)
    };
    assert_eq!((*first, over.generation), (CONNECTION_POINT, Generation(1)));
    assert_eq!((*second, opened.generation, opened.connection), (address(5, 0), Generation(2), ConnectionId(2)));
    assert_eq!((opened.sequenced, opened.acknowledged), (Sequence(4), Sequence(0)));
}

#[test]
fn an_older_attachment_hears_of_its_end_also_if_it_was_forgotten_when_the_newer_one_came() {
    let config = Config { publisher_idle: Duration::from_secs(10), ..Config::default() };
    let mut bench = Bench::open_for_all(&config);
    let open = |connection| OpenPublisher {
        lane: LANE,
        publisher: publisher("p"),
        instance: Instance(1),
        connection: ConnectionId(connection),
        purpose: Purpose::Publish,
    };
    bench.lane.open_publisher(Instant::ZERO, CONNECTION_POINT, open(1), Generation(1), &mut bench.output);
    while let Some(at) = bench.lane.next_sweep() {
        bench.lane.sweep(at);
    }
    bench.lane.open_publisher(Instant::ZERO, address(5, 0), open(2), Generation(2), &mut bench.output);
    bench.flush();
    bench.told.clear();
    bench.publish(vec![submission("p", 1, 1), submission("p", 2, 1)]);
    bench.flush();
    let told = bench.told.iter().filter(|(_, told)| !matches!(told, ToConnectionPoint::LaneCredit(_)));
    let told = told.collect::<Vec<_>>();
    let [(to, ToConnectionPoint::PublisherSuperseded(over))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*to, over.generation), (CONNECTION_POINT, Generation(1)), "once, or its client would wait for ever");
}

#[test]
fn a_full_table_of_publishers_refuses_with_its_limit() {
    let mut bench = Bench::open_for_all(&Config { publishers_max: 1, ..Config::default() });
    bench.publish(vec![submission("p", 1, 1), submission("q", 1, 1), submission("p", 2, 1)]);
    bench.flush();
    assert_eq!(bench.refused(), [(1, Refusal::Publishers(1))]);
    assert_eq!(bench.output.statistics.publications, 2);
    let (publisher, instance, connection) = (publisher("r"), Instance(1), ConnectionId(1));
    let open = OpenPublisher { lane: LANE, publisher, instance, connection, purpose: Purpose::Publish };
    bench.lane.open_publisher(Instant::ZERO, CONNECTION_POINT, open, Generation(7), &mut bench.output);
    bench.flush();
    assert_eq!(bench.refused(), [(0, Refusal::Publishers(1))], "an attachment is refused as sequence 0");
}

#[test]
fn idle_publishers_are_swept_when_their_time_comes() {
    let mut bench = Bench::open_for_all(&Config { publisher_idle: Duration::from_secs(10), ..Config::default() });
    bench.publish(vec![submission("p", 1, 1)]);
    bench.flush();
    for exit in 0..2 {
        bench.merge(exit, 2);
    }
    let mut statistics = Statistics::default();
    while let Some(at) = bench.lane.next_sweep() {
        bench.lane.sweep(at);
    }
    bench.lane.gauge(&mut statistics);
    assert_eq!((statistics.publishers, statistics.publishers_forgotten), (0, 1));
}

#[test]
#[should_panic(expected = "has merged 9 of lane 1, which ends at 1")]
fn merging_what_was_never_written_is_a_mistake() {
    Bench::new(&Config::default()).lane.merged(Instant::ZERO, EXITS[0], Number(9));
}

#[test]
fn who_comes_when_a_lane_is_closed_is_told_by_it_that_it_ends_before_it_begins() {
    let mut bench = Bench::open_for_all(&Config::default());
    let with = |epoch, state, exits: &[Address]| {
        let mut layout = (*layout(epoch)).clone();
        layout.lanes.get_mut(&LANE).expect("of the first layout").state = state;
        for (exit, member) in exits.iter().zip([EXITS[0]; 8]) {
            let member = layout.members[&member.node].clone();
            layout.members.insert(exit.node, member);
        }
        Arc::new(Routes::new(Arc::new(layout)))
    };
    let early = address(7, 0);
    bench.lane.govern(&with(2, LaneState::Draining, &[early]), &mut bench.output);
    bench.flush();
    assert!(bench.begins.is_empty(), "its barrier stands in the lane");
    bench.lane.routes.connection_points.clone().into_iter().for_each(|from| bench.lane.left(from));
    bench.flush();
    assert!(bench.lane.is_closed());
    let late = address(8, 0);
    bench.lane.govern(&with(3, LaneState::Draining, &[early, late]), &mut bench.output);
    bench.flush();
    let last = bench.lane.log.last();
    let told = bench.begins.iter().map(|(to, begins)| (*to, begins.after, begins.governed)).collect::<Vec<_>>();
    assert!(told.iter().all(|&(to, ..)| to.node == late.node) && !told.is_empty(), "{told:?}");
    assert!(told.iter().all(|&(_, after, governed)| after == last && governed.is_none()), "{told:?}");
    bench.begins.clear();
    bench.lane.govern(&with(4, LaneState::Draining, &[early, late]), &mut bench.output);
    bench.flush();
    assert!(bench.begins.is_empty(), "once");
}
