//! Claims about what replicas of a slice have to agree on, because it came to them differently.

use gomera_cluster::layout::LaneEnd;
use gomera_cluster::message::exit_point::LaneCut;

use super::*;

const FENCED: LaneId = LANES[0];
const OTHER_LANE: LaneId = LANES[1];

/// The first lane is fenced by layout 4.
fn fenced(epoch: u64, term: u64, roles: [Option<Role>; 2]) -> Arc<Layout> {
    let mut layout = Layout::clone(&shared(epoch, term, roles));
    layout.lanes.remove(&FENCED);
    layout.ended.insert(FENCED, (LaneEnd::Fenced, Epoch(4)));
    Arc::new(layout)
}

impl Pair {
    /// Of the lane that is fenced, everything from number 5 to this one has come.
    fn hears(&mut self, index: usize, generation: Generation, last: u64) {
        let one = |number| matched(number, vec![target("a", generation, &[1])]);
        self.matches(&[index], FENCED, (4, last), &(5..=last).map(one).collect::<Vec<_>>());
    }

    /// Matchers have no more of the fenced lane; on the other one comes the barrier, and then numbers 6 and 7 of the fenced one again.
    fn goes_on(&mut self, index: usize, generation: Generation) {
        for matcher in MATCHERS {
            self.tell(index, matcher, ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach: Vec::new() }));
        }
        let mut barrier = whole(OTHER_LANE, (4, 5), Vec::new());
        barrier.marks = vec![(Number(5), Mark::Barrier(Epoch(4)))];
        self.tell(index, MATCHERS[0], ToExitPoint::Matches(barrier));
        let again = (6..=7).map(|number| matched(number, vec![target("a", generation, &[1])])).collect();
        let again = Matches { lane: OTHER_LANE, ..whole(FENCED, (5, 7), again) };
        self.tell(index, MATCHERS[0], ToExitPoint::Matches(again));
    }

    fn merged(&self, index: usize, lane: LaneId) -> u64 {
        let mut told = self.sent.iter().rev().filter_map(|(from, send)| match &send.message {
            Message::AccessPoint(ToAccessPoint::Merged(merged)) if (*from, merged.lane) == (index, lane) => {
                Some(merged.through.0)
            }
            _ => None,
        });
        told.next().unwrap_or(0)
    }

    /// The second one alone goes on after the death of the first; its client has this much of the fenced lane.
    fn takes_over(&mut self, generation: Generation, through: u64) -> Vec<(u64, bool)> {
        self.layout(&fenced(5, 2, [None, Some(Role::Active)]), &[1]);
        self.answer("a", generation, &[at(FENCED, through)], 0);
        self.notified(1)
    }
}

const BOTH: [Option<Role>; 2] = [Some(Role::Active), Some(Role::Standby)];

#[test]
fn what_a_standby_has_beyond_the_cut_of_its_leader_gives_way_and_counts_when_it_comes_again() {
    let (mut pair, generation) = Pair::joined();
    pair.hears(0, generation, 5);
    pair.hears(1, generation, 7);
    pair.layout(&fenced(4, 1, BOTH), &[1]);
    pair.goes_on(1, generation);
    assert_eq!(pair.merged(1, OTHER_LANE), 4, "before the barrier it waits for who decides");
    assert!(pair.exits[1].report().acted < Epoch(4));
    pair.layout(&fenced(4, 1, BOTH), &[0]);
    pair.goes_on(0, generation);
    assert_eq!((pair.merged(0, OTHER_LANE), pair.merged(1, OTHER_LANE)), (7, 7));
    assert!(pair.exits[1].report().acted >= Epoch(4));
    let statistics = pair.exits[1].statistics();
    assert_eq!((statistics.slices_agreed, statistics.followed_notifications), (8, 5));
    assert_eq!(statistics.notifications_replaced, 5, "all that it had of the lane");
    assert_eq!(pair.exits[0].statistics().outbox_notifications, 5);
    assert_eq!(pair.takes_over(generation, 5), [(6, false), (7, false)], "once, as they came again");
}

#[test]
fn what_a_standby_lacks_of_a_fenced_lane_comes_from_its_leader_and_not_again() {
    let (mut pair, generation) = Pair::joined();
    pair.hears(0, generation, 7);
    pair.hears(1, generation, 5);
    pair.layout(&fenced(4, 1, BOTH), &[0, 1]);
    pair.goes_on(1, generation);
    pair.goes_on(0, generation);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 5);
    assert_eq!(pair.exits[0].statistics().outbox_notifications, 5);
    assert_eq!(pair.takes_over(generation, 7), [], "its client has them");
}

#[test]
fn who_becomes_active_before_it_is_told_goes_by_its_own_cut() {
    let (mut pair, generation) = Pair::joined();
    pair.hears(1, generation, 7);
    pair.layout(&fenced(4, 1, BOTH), &[1]);
    pair.goes_on(1, generation);
    assert_eq!(pair.merged(1, OTHER_LANE), 4);
    assert_eq!(pair.takes_over(generation, 2), [(5, false), (6, false), (7, false)]);
    assert_eq!(pair.merged(1, OTHER_LANE), 7);
    assert_eq!(pair.exits[1].statistics().publications_repeated, 2);
}

#[test]
fn another_fence_is_agreed_about_after_the_first_one() {
    let (mut pair, generation) = Pair::joined();
    pair.hears(0, generation, 5);
    pair.hears(1, generation, 7);
    pair.layout(&fenced(4, 1, BOTH), &[1]);
    pair.goes_on(1, generation);
    // The access point of the other lane dies as well, before the first one has heard of either; a third lane goes on.
    let third = LaneId(LANES[1].0 + 1);
    let mut both = Layout::clone(&fenced(5, 1, BOTH));
    let mut lane = both.lanes.remove(&OTHER_LANE).expect("it goes on");
    lane.since = Epoch(5);
    both.lanes.insert(third, lane);
    both.lane_next = LaneId(third.0 + 1);
    both.ended.insert(OTHER_LANE, (LaneEnd::Fenced, Epoch(5)));
    pair.layout(&Arc::new(both), &[1, 0]);
    for index in [1, 0] {
        if index == 0 {
            pair.goes_on(0, generation);
        }
        for matcher in MATCHERS {
            pair.tell(index, matcher, ToExitPoint::LaneCut(LaneCut { lane: OTHER_LANE, reach: Vec::new() }));
        }
        let mut barrier = whole(third, (0, 1), Vec::new());
        barrier.marks = vec![(Number(1), Mark::Barrier(Epoch(5)))];
        pair.tell(index, MATCHERS[0], ToExitPoint::Matches(barrier));
    }
    assert_eq!((pair.merged(0, third), pair.merged(1, third)), (1, 1));
    assert_eq!(pair.exits[1].statistics().slices_agreed, 16, "twice");
    assert_eq!(pair.exits[1].statistics().followed_notifications, 5);
    assert_eq!(pair.exits[0].statistics().outbox_notifications, 5);
}

#[test]
fn what_was_judged_otherwise_once_more_for_a_dead_matcher_gives_way() {
    let (mut pair, generation) = Pair::joined();
    // The dead one had judged it for the leader; for the standby somebody else judges it once more, by a later subscription.
    pair.matches(&[0], LANES[0], (4, 5), &[]);
    let mut without = Layout::clone(&shared(4, 1, BOTH));
    without.members.remove(&MATCHERS[1].node);
    for placement in &mut without.matcher {
        placement.replicas = vec![Replica { holder: MATCHERS[0], role: Role::Active }];
    }
    pair.layout(&Arc::new(without), &[0, 1]);
    pair.hears(1, generation, 5);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 3);
    pair.matches(&[0, 1], LANES[1], (4, 5), &[]);
    pair.barrier(&[0, 1], 6, 4);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 2);
    assert_eq!(pair.exits[1].statistics().slices_joining, 0);
}
