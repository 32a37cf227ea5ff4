//! Claims about the shard as a whole: the gate, its lanes, generations.

use gomera_cluster::identity::{ConnectionId, Instance};
use gomera_cluster::layout::LaneState;
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::LeaveLane;
use gomera_cluster::message::matcher::{Entry, ToMatcher};
use gomera_cluster::position::Number;

use super::*;
use crate::fixture::{CONNECTION_POINT, WRITER, address, layout, publisher, submission};
use gomera_cluster::credit::{Class, Total};

fn told(machine: &mut AccessPoint) -> Vec<(Address, Message)> {
    let mut actions = Vec::new();
    machine.drain_actions(&mut actions);
    actions.into_iter().map(|Send { to, message }| (to, message)).collect()
}

fn tell(machine: &mut AccessPoint, from: Address, epoch: u64, message: ToAccessPoint) {
    machine.handle(Instant::ZERO, NodeEvent::Received(Received { from, epoch: Epoch(epoch), message }));
}

fn publish(lane: u32, sequence: u64) -> ToAccessPoint {
    let submissions = vec![submission("p", sequence, 1)];
    ToAccessPoint::Publish(Publish { lane: LaneId(lane), submissions, acknowledged_through: Vec::new() })
}

fn open(lane: u32) -> ToAccessPoint {
    let (publisher, instance, connection) = (publisher("p"), Instance(1), ConnectionId(1));
    let purpose = Purpose::Publish;
    ToAccessPoint::OpenPublisher(OpenPublisher { lane: LaneId(lane), publisher, instance, connection, purpose })
}

#[test]
fn nothing_is_done_before_the_first_layout_and_what_came_early_is_done_then() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    tell(&mut machine, CONNECTION_POINT, 1, publish(1, 1));
    assert!(told(&mut machine).is_empty());
    assert_eq!(machine.poll_timeout(), None);
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    assert_eq!((machine.statistics().held, machine.statistics().publications), (1, 1));
    told(&mut machine);
    assert_eq!((machine.statistics().lanes, machine.statistics().retained_entries), (2, 3));
}

#[test]
fn a_newer_layout_with_the_same_members_puts_a_barrier_into_every_lane() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(3)));
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(2)));
    for lane in [1, 2] {
        let credit = EntriesCredit { lane: LaneId(lane), class: Class::Live, total: Total(u64::MAX) };
        tell(&mut machine, address(3, 0), 1, ToAccessPoint::EntriesCredit(credit));
    }
    let mut barriers = Vec::new();
    for (_, message) in told(&mut machine) {
        if let Message::Matcher(ToMatcher::Entries(entries)) = message {
            for (number, entry) in entries.entries {
                let Entry::Barrier(layout) = entry else { panic!("{entry:?}") };
                barriers.push((entries.lane.0, number, layout.epoch));
            }
        }
    }
    let (first, second) = (Number(1), Number(2));
    assert_eq!(barriers, [(1, first, Epoch(1)), (1, second, Epoch(3)), (2, first, Epoch(1)), (2, second, Epoch(3))]);
}

#[test]
fn generations_rise_over_all_lanes_of_the_shard() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    for lane in [1, 2, 1] {
        tell(&mut machine, CONNECTION_POINT, 1, open(lane));
    }
    let generations = told(&mut machine).into_iter().filter_map(|(_, message)| match message {
        Message::ConnectionPoint(ToConnectionPoint::PublisherOpened(opened)) => Some(opened.generation.0),
        _ => None,
    });
    assert_eq!(generations.collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn who_asks_for_a_lane_that_is_not_written_here_is_told() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    told(&mut machine);
    tell(&mut machine, CONNECTION_POINT, 1, publish(9, 4));
    tell(&mut machine, CONNECTION_POINT, 1, open(9));
    let refused = told(&mut machine).into_iter().map(|(to, message)| match message {
        Message::ConnectionPoint(ToConnectionPoint::Refused(refused)) => {
            assert_eq!((to, refused.reason), (CONNECTION_POINT, Refusal::Lane));
            (refused.lane.0, refused.sequence.0, refused.generation.0)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(refused.collect::<Vec<_>>(), [(9, 4, 1), (9, 0, 0)]);
}

#[test]
fn a_sender_that_the_layout_does_not_name_is_refused() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    tell(&mut machine, address(77, 0), 1, publish(1, 1));
    assert_eq!((machine.statistics().misdirected, machine.statistics().publications), (1, 0));
}

#[test]
fn a_connection_point_that_a_layout_drops_gets_nothing_more_and_its_share_of_credit_goes() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    tell(&mut machine, CONNECTION_POINT, 1, open(1));
    tell(&mut machine, CONNECTION_POINT, 1, publish(1, 1));
    assert!(told(&mut machine).iter().any(|(to, _)| *to == CONNECTION_POINT) && machine.remembers(CONNECTION_POINT));
    let mut without = Layout::clone(&layout(2));
    without.lanes = layout(1).lanes.clone();
    without.members.remove(&CONNECTION_POINT.node);
    machine.handle(Instant::ZERO, NodeEvent::Layout(Arc::new(without)));
    assert!(!machine.remembers(CONNECTION_POINT));
    tell(&mut machine, CONNECTION_POINT, 1, publish(1, 2));
    tell(&mut machine, CONNECTION_POINT, 1, open(1));
    assert_eq!((machine.statistics().misdirected, machine.statistics().publications), (2, 1), "refused");
    // Its client comes back elsewhere: the attachment there is the newer one, and who is gone is not told.
    tell(&mut machine, address(5, 0), 2, open(1));
    let told = told(&mut machine);
    let is_opened = |message: &Message| {
        matches!(message, Message::ConnectionPoint(ToConnectionPoint::PublisherOpened(opened))
            if opened.generation == Generation(2) && opened.sequenced == Sequence(1))
    };
    assert!(told.iter().any(|(to, message)| *to == address(5, 0) && is_opened(message)), "{told:?}");
    assert!(told.iter().all(|(to, _)| *to != CONNECTION_POINT), "{told:?}");
}

/// The layout in which lane 1 drains.
fn draining(epoch: u64) -> Arc<Layout> {
    let mut draining = Layout::clone(&layout(1));
    draining.epoch = Epoch(epoch);
    draining.lanes.get_mut(&LaneId(1)).expect("it is there").state = LaneState::Draining;
    Arc::new(draining)
}

fn entries(told: &[(Address, Message)], lane: u32) -> Vec<Entry> {
    let mut all = Vec::new();
    for (_, message) in told {
        if let Message::Matcher(ToMatcher::Entries(entries)) = message
            && entries.lane == LaneId(lane)
        {
            all.extend(entries.entries.iter().map(|(_, entry)| entry.clone()));
        }
    }
    all
}

#[test]
fn a_lane_that_drains_is_closed_when_every_connection_point_has_left_and_takes_nothing_then() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    let credit = EntriesCredit { lane: LaneId(1), class: Class::Live, total: Total(u64::MAX) };
    tell(&mut machine, address(3, 0), 1, ToAccessPoint::EntriesCredit(credit));
    machine.handle(Instant::ZERO, NodeEvent::Layout(draining(2)));
    let leave = |machine: &mut AccessPoint, from| {
        tell(machine, from, 2, ToAccessPoint::LeaveLane(LeaveLane { lane: LaneId(1) }));
    };
    leave(&mut machine, CONNECTION_POINT);
    tell(&mut machine, address(5, 0), 1, publish(1, 1));
    let before = told(&mut machine);
    assert!(matches!(entries(&before, 1)[..], [Entry::Barrier(_), Entry::Barrier(_), Entry::Publication(_)]));
    leave(&mut machine, address(5, 0));
    assert!(matches!(entries(&told(&mut machine), 1)[..], [Entry::Close]));
    machine.handle(Instant::ZERO, NodeEvent::Layout(draining(3)));
    tell(&mut machine, address(5, 0), 3, publish(1, 2));
    let after = told(&mut machine);
    assert!(entries(&after, 1).is_empty(), "nothing follows the end, barriers neither");
    assert_eq!(machine.report().barriers[&LaneId(1)], Epoch(3), "nothing is written there by an older layout");
    let is_refused = |message: &Message| matches!(message, Message::ConnectionPoint(ToConnectionPoint::Refused(refused)) if refused.reason == Refusal::Lane);
    assert!(after.iter().any(|(to, message)| *to == address(5, 0) && is_refused(message)), "{after:?}");
    let mut without = Layout::clone(&draining(4));
    without.lanes.remove(&LaneId(1));
    machine.handle(Instant::ZERO, NodeEvent::Layout(Arc::new(without)));
    assert_eq!(machine.report().barriers.keys().copied().collect::<Vec<_>>(), [LaneId(2)]);
}

#[test]
fn whom_a_layout_does_not_name_writes_nothing_any_more() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    told(&mut machine);
    let mut without = Layout::clone(&layout(1));
    (without.epoch, without.lanes) = (Epoch(2), BTreeMap::new());
    without.members.remove(&WRITER.node);
    machine.handle(Instant::ZERO, NodeEvent::Layout(Arc::new(without)));
    tell(&mut machine, CONNECTION_POINT, 2, publish(1, 1));
    assert!(told(&mut machine).iter().all(|(_, message)| !matches!(message, Message::Matcher(_))));
    assert!(machine.report().barriers.is_empty());
}

/// One of the two matcher shards is there no more.
fn without_a_matcher(epoch: u64) -> Arc<Layout> {
    let mut without = Layout::clone(&layout(epoch));
    without.members.get_mut(&address(3, 0).node).expect("the matchers").shards = 1;
    for placement in &mut without.matcher {
        placement.replicas.truncate(1);
        placement.replicas[0].holder = address(3, 0);
    }
    Arc::new(without)
}

/// The highest number of lane 1 that each of the two matcher shards was sent.
fn reached(told: &[(Address, Message)]) -> [Option<Number>; 2] {
    [address(3, 0), address(3, 1)].map(|matcher| {
        let entries = told.iter().filter_map(|(to, message)| match message {
            Message::Matcher(ToMatcher::Entries(entries)) if entries.lane == LaneId(1) => Some((to, entries.to)),
            _ => None,
        });
        entries.filter(|&(to, _)| *to == matcher).map(|(_, reached)| reached).max()
    })
}

#[test]
fn whom_a_proposal_removes_is_sent_nothing_more_and_not_waited_for() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    for matcher in [address(3, 0), address(3, 1)] {
        let credit = EntriesCredit { lane: LaneId(1), class: Class::Live, total: Total(u64::MAX) };
        tell(&mut machine, matcher, 1, ToAccessPoint::EntriesCredit(credit));
    }
    tell(&mut machine, CONNECTION_POINT, 1, publish(1, 1));
    assert_eq!(reached(&told(&mut machine)), [Some(Number(2)), Some(Number(2))]);
    machine.handle(Instant::ZERO, NodeEvent::Proposed(without_a_matcher(3)));
    tell(&mut machine, CONNECTION_POINT, 1, publish(1, 2));
    assert_eq!(reached(&told(&mut machine)), [Some(Number(3)), None]);
    // A layout before that may still name it.
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(2)));
    assert_eq!(reached(&told(&mut machine)), [Some(Number(4)), None]);
    for exit in [address(4, 0), address(4, 1)] {
        tell(&mut machine, exit, 2, ToAccessPoint::Merged(Merged { lane: LaneId(1), through: Number(3) }));
    }
    told(&mut machine);
    assert_eq!(machine.statistics().retained_entries, 1 + 2, "of this lane the last barrier alone");
    machine.handle(Instant::ZERO, NodeEvent::Layout(without_a_matcher(3)));
    assert_eq!(reached(&told(&mut machine)), [Some(Number(5)), None]);
}

#[test]
fn who_comes_with_a_layout_is_not_waited_for_if_a_later_one_is_proposed_that_removes_it() {
    let mut machine = AccessPoint::new(WRITER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(without_a_matcher(1)));
    machine.handle(Instant::ZERO, NodeEvent::Proposed(without_a_matcher(3)));
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout(2)));
    for matcher in [address(3, 0), address(3, 1)] {
        let credit = EntriesCredit { lane: LaneId(1), class: Class::Live, total: Total(u64::MAX) };
        tell(&mut machine, matcher, 2, ToAccessPoint::EntriesCredit(credit));
    }
    assert_eq!(reached(&told(&mut machine)), [Some(Number(2)), None]);
    for exit in [address(4, 0), address(4, 1)] {
        tell(&mut machine, exit, 2, ToAccessPoint::Merged(Merged { lane: LaneId(1), through: Number(2) }));
    }
    told(&mut machine);
    assert_eq!(machine.statistics().retained_entries, 2, "nothing of this lane");
}
