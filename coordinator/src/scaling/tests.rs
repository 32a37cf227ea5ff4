//! Claims about the way from one layout to another: goals are reached whatever the order of reports and deaths, every layout
//! may follow the one before, nothing is lost that somebody holds, and no more moves than it takes.

use std::sync::Arc;

use gomera_cluster::layout::{LaneEnd, LaneState, Settings};

use super::*;

/// Layouts after which a goal is reached, or never.
const LAYOUTS_MAX: usize = 600;

/// A generator that needs no crate.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

fn member(layer: Layer, shards: u16) -> Member {
    let empty: Arc<str> = Arc::from("");
    Member { layer, name: empty.clone(), link_address: empty.clone(), client_address: empty, shards }
}

/// Nodes of each layer, each of one shard; matchers are 200 and up, exit points 300 and up.
fn nodes(counts: [u64; 4]) -> BTreeMap<Incarnation, Member> {
    let mut nodes = BTreeMap::new();
    for (layer, (count, base)) in Layer::ALL.into_iter().zip(counts.into_iter().zip([0, 100, 200, 300])) {
        nodes.extend((base..base + count).map(|node| (Incarnation(node), member(layer, 1))));
    }
    nodes
}

fn goal(counts: [u64; 4]) -> Goal {
    Goal { serving: nodes(counts), lanes_per_shard: 2, joining_max: 16 }
}

fn start(counts: [u64; 4], slices: u16, replication: u8) -> Layout {
    let settings = Settings { matcher_slices: slices, session_slices: slices, replication };
    Layout::initial(settings, nodes(counts), 2, Epoch(1), LaneId(1))
}

/// A cluster that does what layouts say, sooner or later.
struct World {
    layout: Layout,
    knowledge: Knowledge,
    /// Proposals with a loss.
    lost: usize,
    joined: usize,
    layouts: usize,
}

impl World {
    fn new(layout: Layout) -> Self {
        Self { layout, knowledge: Knowledge::default(), lost: 0, joined: 0, layouts: 0 }
    }

    /// One step; whether the goal is reached.
    fn step(&mut self, goal: &Goal) -> bool {
        match next(&self.layout, goal, &self.knowledge) {
            Next::Done => true,
            Next::Wait(awaited) => {
                assert!(!awaited.is_empty());
                false
            }
            Next::Propose(proposal) => {
                proposal.layout.check_follows(&self.layout).expect("it may follow");
                self.check(&proposal);
                self.lost += proposal.lost.len();
                self.joined += proposal.joining;
                self.layouts += 1;
                self.layout = proposal.layout;
                false
            }
        }
    }

    /// What is known beyond the two layouts.
    fn check(&self, proposal: &Proposal) {
        let pairs = [
            (Layer::Matcher, &self.layout.matcher, &proposal.layout.matcher),
            (Layer::ExitPoint, &self.layout.session, &proposal.layout.session),
        ];
        for (layer, before, after) in pairs {
            for (slice, (before, after)) in (0_u16..).zip(before.iter().zip(after)) {
                let is_lost = proposal.lost.contains(&(layer, slice));
                for replica in &after.replicas {
                    let holds = match before.role(replica.holder) {
                        Some(Role::Joining) => self.knowledge.installed.contains(&(layer, slice, replica.holder)),
                        Some(_) => true,
                        None => false,
                    };
                    let fine = match replica.role {
                        Role::Joining => true,
                        Role::Active => holds || is_lost,
                        Role::Standby | Role::Retiring => holds,
                    };
                    assert!(fine, "{layer} {slice}: {replica:?} without the state");
                }
                for replica in &before.replicas {
                    let left = after.role(replica.holder).is_none() && !self.is_dead(replica.holder);
                    // Said here in its own words, so that it does not ask what it judges.
                    let is_behind = |lane| self.knowledge.barriers.get(lane) != Some(&self.layout.epoch);
                    let late = self.layout.lanes.keys().find(|&lane| is_behind(lane));
                    assert!(!left || late.is_none(), "{replica:?} left before {late:?} had the barrier");
                }
            }
        }
        for node in self.layout.members.keys() {
            let dismissed = !proposal.layout.members.contains_key(node) && !self.knowledge.dead.contains(node);
            assert!(!dismissed || !holds_anything(&self.layout, *node), "{node} is let go with something in hand");
            let others = self.layout.members.keys().copied().filter(|other| other != node);
            let may_go = self.layout.members[node].layer == Layer::ConnectionPoint
                || self.knowledge.all_acted(others, self.layout.epoch);
            assert!(!dismissed || may_go, "{node} is let go before everybody has acted");
        }
    }

    fn is_dead(&self, machine: Address) -> bool {
        self.knowledge.dead.contains(&machine.node)
    }

    /// Reports come in: all that is due, or some of it.
    fn report(&mut self, random: &mut Random, all: bool) {
        let mut some = || all || random.one_in(3);
        for (layer, placements) in [(Layer::Matcher, &self.layout.matcher), (Layer::ExitPoint, &self.layout.session)] {
            for (slice, placement) in (0_u16..).zip(placements) {
                for replica in &placement.replicas {
                    if replica.role == Role::Joining && some() {
                        self.knowledge.installed.insert((layer, slice, replica.holder));
                    }
                }
                let joining = |holder| placement.role(holder) == Some(Role::Joining);
                self.knowledge.installed.retain(|&(of, at, holder)| (of, at) != (layer, slice) || joining(holder));
            }
        }
        for (&id, lane) in &self.layout.lanes {
            if some() {
                self.knowledge.barriers.insert(id, self.layout.epoch);
            }
            if lane.state == LaneState::Draining && some() {
                self.knowledge.drained.insert(id);
            }
        }
        for &node in self.layout.members.keys() {
            if some() {
                self.knowledge.acted.insert(node, self.layout.epoch);
                self.knowledge.vacated.insert(node);
            }
        }
    }

    /// Until the goal is reached.
    fn reach(&mut self, goal: &Goal, random: &mut Random) {
        let before = self.layouts;
        let mut turns = 0;
        while !self.step(goal) {
            self.report(random, turns % 7 == 6);
            turns += 1;
            assert!(self.layouts - before < LAYOUTS_MAX && turns < 20 * LAYOUTS_MAX, "no end: {:?}", self.layout.epoch);
        }
        self.settled(goal);
    }

    /// The goal is reached.
    fn settled(&self, goal: &Goal) {
        let living = goal.serving.keys().filter(|node| !self.knowledge.dead.contains(node));
        assert!(living.eq(self.layout.members.keys()), "exactly those serve who should");
        for (layer, placements) in [(Layer::Matcher, &self.layout.matcher), (Layer::ExitPoint, &self.layout.session)] {
            let machines = self.layout.machines(layer).collect::<Vec<_>>();
            let replication = usize::from(self.layout.settings.replication)
                .min(machines.iter().map(|machine| machine.node).collect::<BTreeSet<_>>().len());
            let mut active: BTreeMap<Address, usize> = machines.iter().map(|&machine| (machine, 0)).collect();
            let mut standby = active.clone();
            for placement in placements {
                assert_eq!(placement.replicas.len(), replication, "{placement:?}");
                for replica in &placement.replicas {
                    let count = match replica.role {
                        Role::Active => &mut active,
                        Role::Standby => &mut standby,
                        Role::Joining | Role::Retiring => panic!("{placement:?} is on its way"),
                    };
                    *count.get_mut(&replica.holder).expect("a machine of the layer") += 1;
                }
            }
            let spread = |counts: &BTreeMap<Address, usize>| {
                counts.values().max().expect("a machine") - counts.values().min().expect("a machine")
            };
            assert!(spread(&active) <= 1, "{layer}: {active:?}");
            let share = placements.len() * (replication - 1) / machines.len();
            // The slices of a node with more shards need more standbys on the others.
            let shards =
                self.layout.members.values().filter(|member| member.layer == layer).map(|member| member.shards);
            let are_alike = shards.collect::<BTreeSet<_>>().len() == 1;
            assert!(!are_alike || spread(&standby) <= (share / 8).max(1) + 2, "{layer}: {standby:?}");
        }
        for machine in self.layout.machines(Layer::AccessPoint) {
            let lanes = self.layout.lanes.values().filter(|lane| lane.writer == machine);
            assert_eq!(lanes.filter(|lane| lane.state == LaneState::Open).count(), 2, "lanes of {machine}");
        }
    }
}

#[test]
fn a_layout_that_is_as_it_should_be_stays_and_standbys_come_first() {
    let mut world = World::new(start([1, 1, 2, 2], 16, 2));
    let goal = goal([1, 1, 2, 2]);
    world.reach(&goal, &mut Random(1));
    assert_eq!(world.lost, 0);
    let actives = world.layout.matcher.iter().map(Placement::active).collect::<Vec<_>>();
    let at_first = start([1, 1, 2, 2], 16, 2).matcher.iter().map(Placement::active).collect::<Vec<_>>();
    assert_eq!(actives, at_first, "getting a standby moves nothing");
    assert_eq!(next(&world.layout, &goal, &world.knowledge), Next::Done);
}

#[test]
fn one_more_machine_takes_its_share_and_nothing_else_moves() {
    let mut world = World::new(start([1, 1, 3, 1], 256, 1));
    let before = world.layout.clone();
    world.reach(&goal([1, 1, 4, 1]), &mut Random(2));
    assert_eq!(world.joined, 64);
    for (before, after) in before.matcher.iter().zip(&world.layout.matcher) {
        assert!(before.active() == after.active() || after.active().is_some_and(|active| active.node.0 == 203));
    }
}

#[test]
fn what_joins_at_once_is_bounded() {
    let mut world = World::new(start([1, 1, 1, 1], 256, 1));
    let goal = goal([1, 1, 3, 1]);
    let mut random = Random(3);
    while !world.step(&goal) {
        assert!(climb::joining(&world.layout.matcher) <= 16);
        world.report(&mut random, true);
    }
    assert_eq!(world.lost, 0);
}

#[test]
fn a_node_that_dies_is_replaced_by_its_standbys_in_the_next_layout() {
    let mut world = World::new(start([1, 2, 4, 3], 256, 2));
    let mut goal = goal([1, 2, 4, 3]);
    world.reach(&goal, &mut Random(4));
    for dead in [200, 301, 100] {
        let dead = Incarnation(dead);
        let mut heirs: BTreeMap<Address, usize> = BTreeMap::new();
        world.knowledge.dead.insert(dead);
        goal.serving.remove(&dead);
        assert!(!world.step(&goal));
        for placement in world.layout.matcher.iter().chain(&world.layout.session) {
            let active = placement.active().expect("somebody took over");
            if placement.term.0 == world.layout.epoch.0 {
                *heirs.entry(active).or_default() += 1;
            }
        }
        assert!(world.layout.ended.values().all(|&(how, _)| how == gomera_cluster::layout::LaneEnd::Fenced));
        if dead.0 == 200 {
            assert!(heirs.len() == 3 && heirs.values().all(|&count| (15..=28).contains(&count)), "shared: {heirs:?}");
        }
        world.reach(&goal, &mut Random(5));
    }
    assert_eq!(world.lost, 0);
}

#[test]
fn without_a_standby_a_death_is_a_loss_that_is_told() {
    let mut world = World::new(start([1, 1, 2, 1], 8, 1));
    let mut goal = goal([1, 1, 2, 1]);
    world.knowledge.dead.insert(Incarnation(201));
    goal.serving.remove(&Incarnation(201));
    assert!(!world.step(&goal));
    assert_eq!(world.lost, 4);
    world.reach(&goal, &mut Random(6));
}

#[test]
fn the_last_node_of_a_layer_stays_until_another_one_comes() {
    let mut world = World::new(start([1, 1, 1, 1], 8, 2));
    let none = Goal { serving: nodes([1, 0, 0, 0]), ..goal([1, 1, 1, 1]) };
    for _ in 0..20 {
        assert!(!world.step(&none), "nobody could take over");
        world.report(&mut Random(7), true);
    }
    assert_eq!(world.layout.members.len(), 4);
    let mut others = none;
    others.serving.extend(
        [(110, Layer::AccessPoint), (210, Layer::Matcher), (310, Layer::ExitPoint)]
            .map(|(node, layer)| (Incarnation(node), member(layer, 1))),
    );
    world.reach(&others, &mut Random(8));
    assert_eq!(world.lost, 0);
}

#[test]
fn who_was_to_leave_is_called_back_when_everybody_else_of_its_layer_has_died() {
    let mut world = World::new(start([2, 1, 1, 1], 4, 1));
    world.step(&goal([1, 1, 1, 1]));
    assert_eq!(world.layout.leaving, BTreeSet::from([Incarnation(1)]));
    // Another one is to take the place, and comes in when the death has been dealt with.
    let mut goal = goal([3, 1, 1, 1]);
    goal.serving.retain(|node, _| ![Incarnation(0), Incarnation(1)].contains(node));
    world.knowledge.dead.insert(Incarnation(0));
    world.step(&goal);
    assert!(world.layout.leaving.is_empty(), "clients have to go somewhere: {:?}", world.layout.leaving);
    world.knowledge.dead.clear();
    world.step(&goal);
    assert!(world.layout.members.contains_key(&Incarnation(2)));
    assert_eq!(world.layout.leaving, BTreeSet::from([Incarnation(1)]));
}

#[test]
fn who_is_called_back_while_its_lanes_drain_gets_new_ones() {
    let mut world = World::new(start([1, 2, 1, 1], 4, 1));
    let lane_next = world.layout.lane_next;
    let mut random = Random(9);
    assert!(!world.step(&goal([1, 1, 1, 1])));
    let draining = |world: &World| world.layout.lanes.values().filter(|lane| lane.state == LaneState::Draining).count();
    assert_eq!(draining(&world), 2);
    world.reach(&goal([1, 2, 1, 1]), &mut random);
    let returned = world.layout.lanes.iter().filter(|(_, lane)| lane.writer.node == Incarnation(101));
    assert!(returned.clone().count() == 2 && returned.clone().all(|(&id, _)| id >= lane_next));
}

#[test]
fn goals_are_reached_from_everywhere_and_nothing_is_lost_to_single_deaths() {
    for seed in 1..=30_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let count = |random: &mut Random, least: usize| u64::try_from(least + random.below(4)).expect("few");
        let first = [1, count(&mut random, 1), count(&mut random, 2), count(&mut random, 2)];
        let slices = u16::try_from(1 + random.below(40)).expect("few");
        let mut world = World::new(start(first, slices, 2));
        let mut goal = goal(first);
        goal.joining_max = 1 + random.below(20);
        world.reach(&goal, &mut random);
        let mut fresh = 400;
        for _ in 0..6 {
            // Some come, some are told to leave, also while the way to the goal before is not over.
            for layer in [Layer::AccessPoint, Layer::Matcher, Layer::ExitPoint] {
                for _ in 0..random.below(3) {
                    let shards = u16::try_from(1 + random.below(2)).expect("few");
                    goal.serving.insert(Incarnation(fresh), member(layer, shards));
                    fresh += 1;
                }
                let of_layer: Vec<_> =
                    goal.serving.iter().filter(|(_, member)| member.layer == layer).map(|(&node, _)| node).collect();
                if of_layer.len() > 3 {
                    goal.serving.remove(&of_layer[random.below(of_layer.len())]);
                }
            }
            for _ in 0..random.below(30) {
                world.step(&goal);
                world.report(&mut random, false);
            }
            if random.one_in(2) {
                world.reach(&goal, &mut random);
                // One node at a time dies, when everything has its standby.
                let victims: Vec<_> = world.layout.members.keys().copied().filter(|node| node.0 >= 100).collect();
                let victim = victims[random.below(victims.len())];
                let layer = world.layout.members[&victim].layer;
                if goal.serving.values().filter(|member| member.layer == layer).count() > 1 {
                    goal.serving.remove(&victim);
                    world.knowledge.dead.insert(victim);
                }
            }
        }
        world.reach(&goal, &mut random);
        assert_eq!(world.lost, 0, "seed {seed}");
    }
}

#[test]
fn a_standby_takes_over_by_plan_when_it_has_acted_on_what_was_fenced_before() {
    let mut world = World::new(start([1, 2, 1, 2], 16, 2));
    world.reach(&goal([1, 2, 1, 2]), &mut Random(7));
    // An access point dies; then an exit point is to leave.
    world.knowledge.dead.insert(Incarnation(101));
    let goal = goal([1, 1, 1, 1]);
    assert!(!world.step(&goal));
    let fenced = world.layout.clone();
    assert!(fenced.ended.values().any(|&(end, at)| (end, at) == (LaneEnd::Fenced, fenced.epoch)));
    let leads = |layout: &Layout, node| {
        let active = layout.session.iter().filter_map(Placement::active);
        active.filter(|active| active.node == Incarnation(node)).count()
    };
    let before = leads(&fenced, 301);
    assert!(before > 0);
    world.knowledge.acted.insert(Incarnation(300), Epoch(fenced.epoch.0 - 1));
    world.knowledge.barriers.extend(fenced.lanes.keys().map(|&lane| (lane, fenced.epoch)));
    while let Next::Propose(_) = next(&world.layout, &goal, &world.knowledge) {
        world.step(&goal);
    }
    assert_eq!(leads(&world.layout, 301), before, "who is to take over has not agreed with it");
    let Next::Wait(awaited) = next(&world.layout, &goal, &world.knowledge) else { panic!("something is to be done") };
    assert!(awaited.contains(&Awaited::Acted));
    world.knowledge.acted.insert(Incarnation(300), fenced.epoch);
    assert!(!world.step(&goal));
    assert_eq!(leads(&world.layout, 301), 0);
}

#[test]
fn a_connection_point_is_told_to_leave_and_goes_when_it_then_has_no_clients() {
    let before = start([2, 1, 1, 1], 4, 1);
    let fewer = goal([1, 1, 1, 1]);
    let (gone, mut knowledge) = (Incarnation(1), Knowledge::default());
    // It had none before it was told: some may have come since.
    knowledge.vacated.insert(gone);
    let Next::Propose(told) = next(&before, &fewer, &knowledge) else { panic!("it is told first") };
    assert_eq!(told.layout.leaving, BTreeSet::from([gone]));
    assert!(told.layout.members.contains_key(&gone));
    told.layout.check_follows(&before).expect("it may follow");
    assert_eq!(next(&told.layout, &fewer, &Knowledge::default()), Next::Wait(BTreeSet::from([Awaited::Clients(gone)])));
    let Next::Propose(called_back) = next(&told.layout, &goal([2, 1, 1, 1]), &knowledge) else { panic!("it stays") };
    assert!(called_back.layout.leaving.is_empty());
    let Next::Propose(after) = next(&told.layout, &fewer, &knowledge) else { panic!("it goes") };
    assert!(!after.layout.members.contains_key(&gone) && after.layout.leaving.is_empty());
}

#[test]
fn a_first_layout_has_its_standbys_where_they_should_be() {
    for matchers in 1..=7 {
        let mut members = BTreeMap::new();
        let counts =
            [(Layer::ConnectionPoint, 1), (Layer::AccessPoint, 1), (Layer::Matcher, matchers), (Layer::ExitPoint, 1)];
        for (layer, nodes) in counts {
            for _ in 0..nodes {
                let node = Incarnation(u64::try_from(members.len()).expect("few") + 1);
                let nothing: Arc<str> = Arc::from("");
                let member = Member {
                    layer,
                    name: nothing.clone(),
                    link_address: nothing.clone(),
                    client_address: nothing,
                    shards: 1,
                };
                members.insert(node, member);
            }
        }
        let settings = Settings { matcher_slices: 64, session_slices: 4, replication: 2 };
        let layout = with_standbys(Layout::initial(settings, members.clone(), 1, Epoch(1), LaneId(1)));
        let goal = Goal { serving: members, lanes_per_shard: 1, joining_max: 32 };
        let replicas = layout.matcher.iter().map(|placement| placement.replicas.len());
        assert!(replicas.clone().all(|count| count == matchers.min(2)), "{matchers} matchers");
        assert_eq!(next(&layout, &goal, &Knowledge::default()), Next::Done, "{matchers} matchers");
    }
}

#[test]
fn a_replica_that_was_to_leave_takes_over_if_the_proposal_that_says_so_is_superseded() {
    let mut committed = start([1, 1, 1, 2], 1, 1);
    let placement = &mut committed.session[0];
    let (source, target) =
        (Address { node: Incarnation(300), shard: Shard(0) }, Address { node: Incarnation(301), shard: Shard(0) });
    placement.replicas =
        vec![Replica { holder: source, role: Role::Retiring }, Replica { holder: target, role: Role::Active }];
    let mut proposal = Layout { epoch: Epoch(2), ..committed.clone() };
    proposal.session[0].replicas.remove(0);
    let knowledge = Knowledge { dead: BTreeSet::from([target.node]), ..Knowledge::default() };
    let Next::Propose(next) = supersede(&committed, &proposal, &goal([1, 1, 1, 1]), &knowledge) else {
        panic!("somebody died")
    };
    assert_eq!((next.layout.session[0].active(), next.lost.len()), (Some(source), 0));
    assert_eq!(next.layout.epoch, Epoch(3));
    next.layout.check_follows(&committed).expect("it may follow what is in force");
}
