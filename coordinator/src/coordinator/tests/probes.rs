//! Claims of what comes of asking nodes directly whether they are there.

use std::collections::BTreeSet;

use super::*;
use crate::presence::Probe;

const SILENCE: Duration = Duration::from_millis(500);

/// Two access points, 2 and 20, and an idle one, 21.
fn two_access_points() -> World {
    let mut world = World::governed();
    world.register(Layer::AccessPoint, "ap-2", 20);
    world.register(Layer::AccessPoint, "ap-3", 21);
    world.seen.desired = "1-2-1-1".parse().expect("four numbers");
    while let Some(proposal) = world.observe() {
        bring_through(&mut world, Some(proposal));
    }
    world
}

fn suspects(world: &World, unreachable: &[u64]) -> Vec<u64> {
    let unreachable: BTreeSet<_> = unreachable.iter().copied().map(Incarnation).collect();
    world.seen.suspects(&unreachable).keys().map(|node| node.0).collect()
}

#[test]
fn a_node_whose_port_is_closed_is_gone_at_once_though_it_is_registered_still() {
    let mut world = two_access_points();
    assert_eq!(suspects(&world, &[]), [0; 0]);
    assert_eq!(suspects(&world, &[20]), [20]);
    world.seen.probes.insert(Incarnation(20), Probe::Refused);
    let proposal = world.observe();
    let proposed = world.write(proposal);
    assert!(!proposed.members.contains_key(&Incarnation(20)), "nothing is waited for");
    world.acknowledge_all(proposed.epoch.0);
    let commit = world.observe();
    let after = world.write(commit);
    assert!(after.lanes.values().all(|lane| lane.writer.node != Incarnation(20)));
    // It is asked for as long as it is registered, so that it is not taken for an idle one: the other idle one comes in.
    assert_eq!(suspects(&world, &[]), [20]);
    let proposal = world.observe();
    let proposed = world.write(proposal);
    assert!(proposed.members.contains_key(&Incarnation(21)) && !proposed.members.contains_key(&Incarnation(20)));
}

#[test]
fn a_silent_node_is_gone_when_it_stays_silent_and_one_that_answers_is_not() {
    let mut world = two_access_points();
    world.seen.probes.insert(Incarnation(20), Probe::Silent);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(SILENCE / 2), None);
    world.seen.probes.clear();
    assert_eq!(world.observe(), None, "it was busy");
    world.seen.probes.insert(Incarnation(20), Probe::Silent);
    assert_eq!(world.observe(), None);
    assert_eq!(world.pass(SILENCE - Duration::from_millis(1)), None, "its time starts anew");
    let proposal = world.pass(Duration::from_millis(1));
    let proposed = world.write(proposal);
    assert!(!proposed.members.contains_key(&Incarnation(20)));
}

#[test]
fn a_node_that_lost_its_session_and_answers_has_its_grace() {
    let mut world = two_access_points();
    world.vanish(20);
    assert_eq!(world.observe(), None);
    assert_eq!(suspects(&world, &[]), [20]);
    assert_eq!(world.pass(GRACE - Duration::from_millis(1)), None);
    let proposal = world.pass(Duration::from_millis(1));
    assert!(!world.write(proposal).members.contains_key(&Incarnation(20)));
}

#[test]
fn a_node_that_dies_while_it_waits_for_work_holds_nothing_up() {
    let mut world = two_access_points();
    world.seen.desired = "1-3-1-1".parse().expect("four numbers");
    let proposal = world.observe();
    let proposed = world.write(proposal);
    assert!(proposed.members.contains_key(&Incarnation(21)));
    world.acknowledge_all(proposed.epoch.0);
    world.seen.acknowledged.remove(&Incarnation(21));
    assert_eq!(world.observe(), None);
    assert_eq!(suspects(&world, &[]), [21], "it has not acknowledged");
    world.seen.probes.insert(Incarnation(21), Probe::Refused);
    let proposal = world.observe();
    let after = world.write(proposal);
    assert!(after.epoch > proposed.epoch && !after.members.contains_key(&Incarnation(21)));
}
