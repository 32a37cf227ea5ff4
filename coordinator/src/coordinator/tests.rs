//! One claim of the coordinator each, told to it as observations of a small coordination service.

use std::collections::BTreeMap;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Role};
use gomera_cluster::position::LaneId;
use gomera_cluster::report::Report;

use super::*;
use crate::desired::Desired;
use crate::registration::{NodeState, Registration};

mod probes;

const GRACE: Duration = Duration::from_secs(5);

/// What stands in the coordination service, and one leader that works on it.
struct World {
    seen: Observation,
    leader: Coordinator,
    now: Instant,
}

impl World {
    fn new(desired: &str) -> Self {
        let desired = desired.parse::<Desired>().expect("four numbers");
        let seen = Observation { desired, ..Observation::default() };
        Self { seen, leader: leader(), now: Instant::ZERO }
    }

    fn register(&mut self, layer: Layer, name: &str, incarnation: u64) {
        let registration = Registration {
            layer,
            name: Arc::from(name),
            incarnation: Incarnation(incarnation),
            link_address: Arc::from("127.0.0.1:1"),
            client_address: Arc::from("127.0.0.1:2"),
            shards: 1,
            state: NodeState::Up,
        };
        self.seen.members.insert(Incarnation(incarnation), registration);
    }

    /// One node in each layer, with incarnations from `first` on.
    fn register_all(&mut self, first: u64) {
        for (layer, incarnation) in Layer::ALL.into_iter().zip(first..) {
            self.register(layer, layer.name(), incarnation);
        }
    }

    fn vanish(&mut self, incarnation: u64) {
        self.seen.members.remove(&Incarnation(incarnation));
        self.seen.acknowledged.remove(&Incarnation(incarnation));
    }

    fn acknowledge_all(&mut self, epoch: u64) {
        self.seen.acknowledged = self.seen.members.keys().map(|&node| (node, Epoch(epoch))).collect();
    }

    fn elect(&mut self, term: u64) -> Option<Action> {
        self.leader.handle(self.now, Event::Elected { term: Term(term), observation: self.seen.clone() });
        self.action()
    }

    fn observe(&mut self) -> Option<Action> {
        self.leader.handle(self.now, Event::Observed(self.seen.clone()));
        self.action()
    }

    fn pass(&mut self, time: Duration) -> Option<Action> {
        self.now = self.now + time;
        if self.leader.poll_timeout().is_some_and(|at| at <= self.now) {
            self.leader.handle_timeout(self.now);
        }
        self.action()
    }

    fn action(&mut self) -> Option<Action> {
        let mut actions = Vec::new();
        self.leader.drain_actions(&mut actions);
        assert!(actions.len() <= 1, "one write at a time");
        actions.pop()
    }

    /// Does what was asked for, as the coordination service would.
    fn write(&mut self, action: Option<Action>) -> Arc<Layout> {
        match action.expect("a write was asked for") {
            Action::Propose(layout) => self.seen.proposed.insert(layout).clone(),
            Action::Commit(layout) => self.seen.layout.insert(layout).clone(),
            other @ (Action::Journal(_) | Action::Forget(..)) => panic!("no layout: {other:?}"),
        }
    }

    /// A cluster of one node per layer under its first layout.
    fn governed() -> Self {
        let mut world = Self::new("1-1-1-1");
        world.register_all(1);
        let proposal = world.elect(1);
        world.write(proposal);
        world.acknowledge_all(1);
        let commit = world.observe();
        world.write(commit);
        assert_eq!(world.observe(), None);
        world
    }

    fn phase(&self) -> String {
        match self.leader.status() {
            Status::Following => String::from("following"),
            Status::Leading { phase, .. } => phase.to_string(),
        }
    }
}

fn leader() -> Coordinator {
    Coordinator::new(Config { grace: GRACE, lanes_per_shard: 2, ..Config::default() }, Settings::default())
}

#[test]
fn a_follower_asks_for_nothing() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    assert_eq!(world.observe(), None);
    world.leader.handle(world.now, Event::Interrupted);
    assert_eq!(world.pass(GRACE * 2), None);
    assert_eq!(world.leader.status(), Status::Following);
}

#[test]
fn nothing_is_proposed_before_every_layer_has_its_nodes() {
    let mut world = World::new("1-2-3-1");
    world.register_all(1);
    assert_eq!(world.elect(1), None);
    assert_eq!(world.phase(), "waiting for 1 of 2 access points, 2 of 3 matchers");
    world.register(Layer::AccessPoint, "ap-2", 11);
    world.register(Layer::Matcher, "m-2", 12);
    assert_eq!(world.observe(), None);
    assert_eq!(world.phase(), "waiting for 1 of 3 matchers");
    world.register(Layer::Matcher, "m-3", 13);
    assert!(matches!(world.observe(), Some(Action::Propose(_))));
}

#[test]
fn a_node_that_is_about_to_leave_is_not_counted() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    world.seen.members.get_mut(&Incarnation(3)).expect("a matcher").state = NodeState::Draining;
    assert_eq!(world.elect(1), None);
    assert_eq!(world.phase(), "waiting for 1 of 1 matcher");
}

#[test]
fn the_first_layout_spreads_all_slices_and_opens_lanes() {
    let mut world = World::new("2-2-3-2");
    world.register_all(1);
    for (layer, incarnation) in [
        (Layer::ConnectionPoint, 5),
        (Layer::AccessPoint, 6),
        (Layer::Matcher, 7),
        (Layer::Matcher, 8),
        (Layer::ExitPoint, 9),
    ] {
        world.register(layer, "second", incarnation);
    }
    let action = world.elect(1);
    let layout = world.write(action);
    assert_eq!((layout.epoch, layout.members.len()), (Epoch(1), 9));
    // Two access points, two lanes each, numbered from 1.
    assert_eq!(layout.lanes.keys().copied().collect::<Vec<_>>(), (1..=4).map(LaneId).collect::<Vec<_>>());
    assert_eq!(layout.lane_next, LaneId(5));
    let mut held = BTreeMap::new();
    for placement in &layout.matcher {
        let [one, other] = &placement.replicas[..] else { panic!("{placement:?}") };
        assert!(one.holder.node != other.holder.node && one.role != other.role, "{placement:?}");
        *held.entry(placement.active().expect("active")).or_insert(0) += 1;
    }
    assert_eq!(held.values().copied().collect::<Vec<_>>(), [86, 85, 85]);
    let ready =
        layout.matcher.iter().flat_map(|placement| &placement.replicas).filter(|replica| replica.role == Role::Standby);
    let mut kept = BTreeMap::new();
    ready.for_each(|replica| *kept.entry(replica.holder).or_insert(0) += 1);
    assert!(kept.values().all(|&kept| kept >= 80), "{kept:?}");
}

#[test]
fn nodes_beyond_the_wish_stay_idle_and_are_told_of() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    world.register(Layer::Matcher, "zebra", 9);
    let action = world.elect(1);
    let layout = world.write(action);
    assert!(!layout.members.contains_key(&Incarnation(9)));
    world.acknowledge_all(1);
    let action = world.observe();
    world.write(action);
    world.register(Layer::ExitPoint, "late", 10);
    assert_eq!(world.observe(), None);
    assert_eq!(world.phase(), "layout 1 is in force; idle: zebra, late");
    assert_eq!(world.leader.statistics().members_idle, 2);
}

#[test]
fn a_layout_is_committed_when_every_member_has_it_and_not_before() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    let action = world.elect(1);
    let proposal = world.write(action);
    assert_eq!(world.observe(), None);
    for node in 1..4 {
        world.seen.acknowledged.insert(Incarnation(node), Epoch(1));
    }
    // What an idle node says does not count.
    world.seen.acknowledged.insert(Incarnation(99), Epoch(1));
    assert_eq!(world.observe(), None);
    assert_eq!(world.phase(), "waiting for exit-point to acknowledge layout 1");
    world.seen.acknowledged.insert(Incarnation(4), Epoch(1));
    assert_eq!(world.observe(), Some(Action::Commit(proposal)));
}

#[test]
fn a_write_that_got_lost_is_asked_for_again() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    let first = world.elect(1);
    assert_eq!(world.observe(), first);
    world.write(first);
    world.acknowledge_all(1);
    let commit = world.observe();
    assert!(matches!(commit, Some(Action::Commit(_))));
    assert_eq!(world.observe(), commit);
}

#[test]
fn a_newer_leader_continues_from_what_was_proposed() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    let action = world.elect(1);
    let proposal = world.write(action);
    // The nodes change before the next leader looks: it still brings the proposal through.
    world.register(Layer::Matcher, "a-name-before-all-others", 9);
    world.acknowledge_all(1);
    world.leader = leader();
    assert_eq!(world.elect(2), Some(Action::Commit(proposal)));
}

#[test]
fn a_newer_leader_leaves_a_committed_layout_alone() {
    let mut world = World::governed();
    world.leader = leader();
    assert_eq!(world.elect(2), None);
    assert_eq!(world.pass(GRACE * 3), None);
    assert_eq!(world.phase(), "layout 1 is in force");
}

#[test]
fn a_member_that_vanishes_is_kept_and_told_of() {
    let mut world = World::governed();
    world.vanish(3);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE * 3), None);
    assert_eq!(world.phase(), "layout 1 is in force; vanished: matcher");
    assert_eq!(world.leader.statistics().members_vanished, 1);
}

#[test]
fn a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one() {
    let mut world = World::governed();
    let former = world.seen.layout.clone().expect("governed");
    for node in 1..=4 {
        world.vanish(node);
    }
    world.register_all(11);
    assert_eq!(world.observe(), None);
    assert_eq!(world.phase(), "none of the 4 nodes of layout 1 is registered; waiting whether one returns");
    assert_eq!(world.pass(GRACE - Duration::from_millis(1)), None);
    let action = world.pass(Duration::from_millis(1));
    let layout = world.write(action);
    assert_eq!(layout.epoch, Epoch(2));
    assert_eq!(layout.lanes.keys().next(), Some(&former.lane_next));
    let terms = |layout: &Layout| layout.session.iter().map(|placement| placement.term).collect::<Vec<_>>();
    assert!(terms(&layout).iter().zip(terms(&former)).all(|(&new, old)| new > old));
    world.acknowledge_all(2);
    let action = world.observe();
    assert_eq!(world.write(action).epoch, Epoch(2));
}

#[test]
fn a_member_that_returns_within_the_grace_keeps_the_layout() {
    let mut world = World::governed();
    let mut all = world.seen.members.clone();
    for node in 1..=4 {
        world.vanish(node);
    }
    world.register_all(11);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE / 2), None);
    world.seen.members.append(&mut all);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE * 3), None);
    assert!(world.phase().starts_with("layout 1 is in force; idle: "), "{}", world.phase());
}

#[test]
fn an_interruption_of_the_own_session_gives_everybody_new_grace() {
    let mut world = World::governed();
    for node in 1..=4 {
        world.vanish(node);
    }
    world.register_all(11);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE - Duration::from_millis(1)), None);
    world.leader.handle(world.now, Event::Interrupted);
    assert_eq!(world.pass(GRACE - Duration::from_millis(1)), None);
    assert!(world.pass(Duration::from_millis(1)).is_some());
}

#[test]
fn a_proposal_that_a_dead_node_cannot_acknowledge_is_superseded_by_a_fresh_one() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    let action = world.elect(1);
    let first = world.write(action);
    world.vanish(3);
    assert_eq!(world.observe(), None);
    assert_eq!(
        world.phase(),
        "waiting for connection-point, access-point, matcher, exit-point to acknowledge layout 1"
    );
    assert_eq!(world.pass(GRACE), None);
    assert_eq!(world.phase(), "waiting for 1 of 1 matcher");
    world.register(Layer::Matcher, "matcher", 13);
    let action = world.observe();
    let second = world.write(action);
    assert_eq!((second.epoch, second.lanes.keys().next()), (Epoch(2), Some(&first.lane_next)));
    assert!(second.members.contains_key(&Incarnation(13)) && !second.members.contains_key(&Incarnation(3)));
    world.acknowledge_all(2);
    assert_eq!(world.observe(), Some(Action::Commit(second)));
}

#[test]
fn a_proposal_with_a_dead_member_over_a_layout_in_force_is_superseded_and_not_withdrawn() {
    let mut world = World::governed();
    // As a scale operation leaves it: a further exit point, proposed, then dead.
    let mut next = (**world.seen.layout.as_ref().expect("governed")).clone();
    world.register(Layer::ExitPoint, "e-2", 9);
    next.epoch = Epoch(2);
    next.members.insert(Incarnation(9), world.seen.members[&Incarnation(9)].to_member());
    world.seen.proposed = Some(Arc::new(next));
    world.vanish(9);
    assert_eq!(world.observe(), None);
    let action = world.pass(GRACE * 3);
    let superseding = world.write(action);
    assert_eq!(superseding.epoch, Epoch(3));
    assert!(!superseding.members.contains_key(&Incarnation(9)));
}

#[test]
fn a_deposed_leader_asks_for_nothing() {
    let mut world = World::new("1-1-1-1");
    world.register_all(1);
    world.leader.handle(world.now, Event::Elected { term: Term(1), observation: world.seen.clone() });
    world.leader.handle(world.now, Event::Deposed);
    assert_eq!(world.action(), None);
    assert_eq!(world.observe(), None);
    assert_eq!(world.leader.statistics().depositions, 1);
}

/// Writes the proposal, lets everybody who is there acknowledge it, and commits it.
fn bring_through(world: &mut World, proposal: Option<Action>) -> Arc<Layout> {
    let proposed = world.write(proposal);
    proposed.check_follows(world.seen.layout.as_ref().expect("one is in force")).expect("it may follow");
    world.acknowledge_all(proposed.epoch.0);
    let commit = world.observe();
    let committed = world.write(commit);
    assert_eq!(committed, proposed);
    committed
}

#[test]
fn a_connection_point_is_let_in_when_more_are_wanted_and_nothing_else_changes() {
    let mut world = World::governed();
    world.register(Layer::ConnectionPoint, "cp-2", 20);
    assert_eq!(world.observe(), None, "one is wanted, one is there");
    world.seen.desired = "2-1-1-1".parse().expect("four numbers");
    let before = world.seen.layout.clone().expect("one is in force");
    let proposal = world.observe();
    let after = bring_through(&mut world, proposal);
    assert!(after.members.contains_key(&Incarnation(20)));
    assert_eq!((&after.matcher, &after.session, &after.lanes), (&before.matcher, &before.session, &before.lanes));
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE * 2), None);
}

#[test]
fn a_connection_point_that_is_gone_leaves_the_layout_and_an_idle_one_takes_its_place() {
    let mut world = World::governed();
    world.register(Layer::ConnectionPoint, "cp-2", 20);
    world.register(Layer::ConnectionPoint, "cp-3", 21);
    world.seen.desired = "2-1-1-1".parse().expect("four numbers");
    let proposal = world.observe();
    let both = bring_through(&mut world, proposal);
    assert!(both.members.contains_key(&Incarnation(1)) && both.members.contains_key(&Incarnation(20)));
    assert_eq!(world.observe(), None);
    world.vanish(1);
    assert_eq!(world.observe(), None, "it may come back");
    let proposal = world.pass(GRACE);
    let one = bring_through(&mut world, proposal);
    assert!(!one.members.contains_key(&Incarnation(1)));
    let proposal = world.observe();
    let two = bring_through(&mut world, proposal);
    assert!(two.members.contains_key(&Incarnation(20)) && two.members.contains_key(&Incarnation(21)));
    assert_eq!(world.observe(), None);
}

#[test]
fn the_last_connection_point_stays_until_another_one_is_in() {
    let mut world = World::governed();
    world.vanish(1);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE), None);
    assert!(world.phase().contains("connection-point"), "{}", world.phase());
    world.register(Layer::ConnectionPoint, "cp-2", 20);
    let proposal = world.observe();
    let proposed = world.write(proposal);
    assert!(proposed.members.contains_key(&Incarnation(20)) && proposed.members.contains_key(&Incarnation(1)));
    world.acknowledge_all(proposed.epoch.0);
    // The dead one will never have it: what takes its place leaves it out.
    let proposal = world.observe();
    let after = bring_through(&mut world, proposal);
    assert!(after.members.contains_key(&Incarnation(20)) && !after.members.contains_key(&Incarnation(1)));
    assert!(after.epoch > proposed.epoch);
    assert_eq!(world.observe(), None);
}

/// Lets every machine report that it is where the layout in force says.
fn report_all(world: &mut World) {
    let layout = world.seen.layout.clone().expect("one is in force");
    for layer in Layer::ALL {
        for machine in layout.machines(layer) {
            let writes = |lane: &gomera_cluster::layout::Lane| lane.writer == machine;
            let barriers = layout.lanes.iter().filter(|(_, lane)| writes(lane)).map(|(&id, _)| (id, layout.epoch));
            let (proposed, epoch, acted) = (layout.epoch, layout.epoch, layout.epoch);
            let report = Report { proposed, epoch, acted, barriers: barriers.collect(), ..Report::default() };
            world.seen.reports.insert(machine, report);
        }
    }
}

#[test]
fn an_access_point_comes_in_and_leaves_when_its_lanes_are_drained_and_everybody_has_acted() {
    let mut world = World::governed();
    world.register(Layer::AccessPoint, "ap-2", 20);
    world.seen.desired = "1-2-1-1".parse().expect("four numbers");
    let proposal = world.observe();
    let both = bring_through(&mut world, proposal);
    let theirs = |layout: &Layout| -> Vec<LaneId> {
        layout.lanes.iter().filter(|(_, lane)| lane.writer.node == Incarnation(20)).map(|(&id, _)| id).collect()
    };
    assert_eq!(theirs(&both).len(), 2);
    report_all(&mut world);
    assert_eq!(world.observe(), None);

    world.seen.desired = "1-1-1-1".parse().expect("four numbers");
    let proposal = world.observe();
    let draining = bring_through(&mut world, proposal);
    let state = |lane: &LaneId| draining.lanes[lane].state;
    assert!(theirs(&both).iter().all(|lane| state(lane) == gomera_cluster::layout::LaneState::Draining));
    report_all(&mut world);
    assert_eq!(world.observe(), None, "no exit point has merged them to their end");
    let exit = draining.machines(Layer::ExitPoint).next().expect("there is one");
    world.seen.reports.get_mut(&exit).expect("it reported").drained.extend(theirs(&both));
    let proposal = world.observe();
    let closed = bring_through(&mut world, proposal);
    assert!(theirs(&closed).is_empty() && closed.members.contains_key(&Incarnation(20)));
    assert_eq!(world.observe(), None, "not everybody has acted on it");
    report_all(&mut world);
    let proposal = world.observe();
    let gone = bring_through(&mut world, proposal);
    assert!(!gone.members.contains_key(&Incarnation(20)));
}

#[test]
fn an_access_point_that_is_gone_is_fenced_when_another_one_lives() {
    let mut world = World::governed();
    world.vanish(2);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(GRACE), None, "the last one stays");
    world.register(Layer::AccessPoint, "ap-2", 20);
    let proposal = world.observe();
    let proposed = world.write(proposal);
    assert!(proposed.members.contains_key(&Incarnation(2)));
    world.acknowledge_all(proposed.epoch.0);
    let proposal = world.observe();
    let after = bring_through(&mut world, proposal);
    assert!(!after.members.contains_key(&Incarnation(2)) && after.members.contains_key(&Incarnation(20)));
    assert_eq!(after.ended.len(), 2);
    assert!(after.lanes.values().all(|lane| lane.writer.node == Incarnation(20)));
}
