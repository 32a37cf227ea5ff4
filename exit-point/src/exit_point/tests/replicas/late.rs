//! What comes late: lanes that one replica merged and another did not, and acknowledgements before there is a copy.

use super::*;

/// The first one has sent 5, which the other one has not merged, and died; its client was nowhere when connection points were asked.
fn bereaved() -> (Pair, Generation) {
    let (mut pair, generation) = Pair::joined();
    pair.matches(&[0], LANES[0], (4, 5), &[matched(5, vec![target("a", generation, &[1])])]);
    assert_eq!(pair.notified(0), [(1, false), (2, false), (5, false)]);
    pair.linked = false;
    pair.layout(&shared(4, 4, [None, Some(Role::Active)]), &[1]);
    for (slice, point) in (0..8).flat_map(|slice| [(slice, CONNECTION_POINT), (slice, OTHER_CONNECTION_POINT)]) {
        let attached = TermAttached { slice: SessionSlice(slice), term: Term(4), sessions: Vec::new() };
        pair.tell(1, point, ToExitPoint::TermAttached(attached));
    }
    (pair, generation)
}

/// The other one merges 5, passes the barrier of the layout by which it leads, and merges 7.
fn catch_up(pair: &mut Pair, generation: Generation) {
    let one = |number| matched(number, vec![target("a", generation, &[1])]);
    pair.matches(&[1], LANES[0], (4, 5), &[one(5)]);
    let mut barrier = whole(LANES[0], (5, 6), Vec::new());
    barrier.marks = vec![(Number(6), Mark::Barrier(Epoch(4)))];
    pair.tell(1, MATCHERS[0], ToExitPoint::Matches(barrier));
    pair.matches(&[1], LANES[0], (6, 7), &[one(7)]);
}

#[test]
fn what_lies_before_the_barrier_of_a_reign_may_have_been_sent_to_who_resumes_later() {
    let (mut pair, generation) = bereaved();
    catch_up(&mut pair, generation);
    pair.attach(1, "a", 4);
    assert_eq!(pair.notified(1), [(1, true), (2, true), (5, true), (7, false)]);
}

#[test]
fn what_lies_before_the_barrier_of_a_reign_may_have_been_sent_to_who_resumed_before() {
    let (mut pair, generation) = bereaved();
    pair.attach(1, "a", 4);
    catch_up(&mut pair, generation);
    assert_eq!(pair.notified(1), [(1, true), (2, true), (5, true), (7, false)]);
}

#[test]
fn what_a_client_acknowledges_while_lanes_are_waited_for_is_not_in_the_copy() {
    let (mut pair, generation) = Pair::joining();
    let through = [at(LANES[0], 1)].into_iter().collect();
    let acknowledge = Acknowledge { session: session("a"), generation, through };
    pair.tell(1, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    // The first one has not heard of it.
    pair.begin();
    assert_eq!(pair.exits[1].statistics().followed_notifications, 1);
}

#[test]
fn what_one_replica_heard_that_a_client_had_processed_is_known_to_all_before_the_next_client_is_answered() {
    let (mut pair, generation) = Pair::joined();
    pair.matches(&[0, 1], LANES[1], (4, 5), &[matched(5, vec![target("a", generation, &[1])])]);
    let through = [at(LANES[1], 5)].into_iter().collect();
    let acknowledge = Acknowledge { session: session("a"), generation, through };
    pair.tell(1, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge.clone()));
    // Who decides hears of another client first.
    pair.attach(0, "a", 1);
    pair.tell(0, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    let begins_with = pair.sent.iter().rev().find_map(|(_, send)| match &send.message {
        Message::ConnectionPoint(ToConnectionPoint::Attached(attached)) => Some(attached.merged.clone()),
        _ => None,
    });
    assert_eq!(begins_with.map(|vector| vector.get(LANES[1])), Some(Number(5)));
    assert_eq!(pair.notified(0), [(1, false), (2, false), (5, false), (1, true), (2, true)]);
    assert_eq!(pair.exits[0].statistics().outbox_notifications, 2);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 2);
}

#[test]
fn an_acknowledgement_by_an_earlier_layout_is_passed_on_to_who_joined_since() {
    let (mut pair, generation) = Pair::joined();
    let through = [at(LANES[0], 1)].into_iter().collect();
    let acknowledge = Acknowledge { session: session("a"), generation, through };
    let message = ToExitPoint::Acknowledge(acknowledge);
    pair.event(0, NodeEvent::Received(Received { from: CONNECTION_POINT, epoch: Epoch(1), message }));
    assert_eq!(pair.exits[1].statistics().followed_notifications, 1);
}

/// The other one joins when the first lane has ended, and knows nothing of it any more; of the first one's notifications, two lie there.
fn joining_behind_a_lane_that_has_ended() -> (Pair, Generation) {
    let mut pair = Pair::new();
    pair.attach(0, "a", 1);
    let generation = pair.attached().expect("nobody else has to know");
    let one = |number| matched(number, vec![target("a", generation, &[1])]);
    pair.matches(&[0], LANES[0], (0, 2), &[one(1), one(2)]);
    let mut close = whole(LANES[0], (2, 3), Vec::new());
    close.marks = vec![(Number(3), Mark::Close)];
    pair.tell(0, MATCHERS[0], ToExitPoint::Matches(close));
    for (epoch, roles) in [(2, [Some(Role::Active), None]), (3, [Some(Role::Active), Some(Role::Joining)])] {
        let mut layout = Layout::clone(&shared(epoch, 1, roles));
        layout.lanes.remove(&LANES[0]);
        pair.layout(&Arc::new(layout), if epoch == 2 { &[0] } else { &[0, 1] });
        let mut barrier = whole(LANES[1], (epoch - 2, epoch - 1), Vec::new());
        barrier.marks = vec![(Number(epoch - 1), Mark::Barrier(Epoch(epoch)))];
        pair.tell(0, MATCHERS[0], ToExitPoint::Matches(barrier));
    }
    (pair, generation)
}

fn copy_behind_a_lane_that_has_ended(pair: &mut Pair) {
    let (lane, after, governed) = (LANES[1], Number(2), Some(Epoch(3)));
    let begins = LaneBegins { lane, after, governed, by: Witness::Before };
    pair.tell(1, MATCHERS[0], ToExitPoint::LaneBegins(begins));
    assert_eq!(pair.exits[1].report().installed.len(), 8);
}

#[test]
fn what_a_client_acknowledges_of_a_lane_that_ended_before_is_not_in_the_copy() {
    let (mut pair, generation) = joining_behind_a_lane_that_has_ended();
    let through = [at(LANES[0], 1)].into_iter().collect();
    let acknowledge = Acknowledge { session: session("a"), generation, through };
    pair.tell(1, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    copy_behind_a_lane_that_has_ended(&mut pair);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 1);
}

#[test]
fn lanes_that_never_were_are_not_kept_however_many_a_client_names_while_copies_are_waited_for() {
    let (mut pair, generation) = joining_behind_a_lane_that_has_ended();
    for batch in 0..100_u32 {
        let named = (0..100).map(|lane| at(LaneId(3 + 100 * batch + lane), 1));
        let through = named.chain([at(LANES[0], 1), at(LANES[1], 1)]).collect();
        let acknowledge = Acknowledge { session: session("a"), generation, through };
        pair.tell(1, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    }
    assert_eq!(pair.exits[1].lanes_acknowledged_early(), 2);
    copy_behind_a_lane_that_has_ended(&mut pair);
    assert_eq!(pair.exits[1].lanes_acknowledged_early(), 0);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 1);
}
