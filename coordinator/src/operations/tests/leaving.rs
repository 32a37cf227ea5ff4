//! Claims about operations by which nodes leave.

use super::*;

#[test]
fn a_drain_whose_node_has_to_stay_fails_and_does_not_stand_in_the_way_for_ever() {
    for leaves_by_itself in [false, true] {
        let mut world = World::governed(2);
        world.ask("drain", Request::Drain { node: Arc::from("connection-point-1") });
        while !matches!(world.operation("drain").state, State::Running(_)) {
            world.turn();
        }
        if leaves_by_itself {
            world.seen.members.get_mut(&Incarnation(2)).expect("it is there").state = NodeState::Draining;
        } else {
            world.seen.members.remove(&Incarnation(2));
        }
        world.leader.handle(world.now, Event::Observed(world.seen.clone()));
        world.settle();
        world.pass(SECOND * 20);
        assert_eq!(world.progress("drain").awaits, ["1 more connection point"]);
        world.pass(SECOND * 30);
        let Outcome::Failed { reason } = world.outcome("drain") else { panic!("{:?}", world.outcome("drain")) };
        let expected = "0 of 1 connection point serve beside those that were to leave, and no other came within 30s";
        assert_eq!(reason, expected);
        assert!(world.points().contains(&1), "it stays");
        assert_eq!(world.seen.desired.connection_points, 2, "the wish is as before");
        assert!(judge(&world.seen, None, &Request::Rebalance).is_ok(), "others may be asked for");
    }
}

#[test]
fn a_drained_node_is_replaced_by_an_idle_one_and_not_let_in_again() {
    let mut world = World::governed(2);
    world.register(Layer::ConnectionPoint, 3);
    world.ask("drain", Request::Drain { node: Arc::from("connection-point-1") });
    world.settle();
    assert_eq!((world.outcome("drain"), world.points()), (Outcome::Succeeded, vec![2, 3]));
    assert_eq!(world.seen.desired.connection_points, 2);
}

#[test]
fn who_has_left_is_waited_for_until_it_has_said_so_lest_it_is_let_in_again() {
    let mut world = World::governed(2);
    world.register(Layer::ConnectionPoint, 3);
    world.nodes_are_silent = true;
    world.ask("drain", Request::Drain { node: Arc::from("connection-point-1") });
    world.settle();
    assert_eq!(world.points(), [2, 3]);
    assert_eq!(world.progress("drain").awaits, ["connection-point-1 to say that it has left"]);
    // The other one dies meanwhile.
    world.seen.members.remove(&Incarnation(2));
    world.settle();
    world.pass(SECOND * 6);
    assert_eq!(world.points(), [3]);
    world.nodes_are_silent = false;
    world.settle();
    world.register(Layer::ConnectionPoint, 4);
    world.settle();
    assert_eq!((world.outcome("drain"), world.points()), (Outcome::Succeeded, vec![3, 4]));

    let mut world = World::governed(2);
    world.nodes_are_silent = true;
    world.scale("in", 1);
    world.settle();
    world.pass(SECOND * 31);
    assert_eq!((world.outcome("in"), world.points()), (Outcome::Succeeded, vec![1]), "not for ever");
}

#[test]
fn clients_are_waited_for_and_the_operation_says_so() {
    let mut world = World::governed(2);
    world.clients_stay = true;
    world.scale("in", 1);
    world.settle();
    assert_eq!(world.progress("in").awaits, ["clients to leave connection-point-2"]);
    assert_eq!(world.points(), [1, 2]);
    world.clients_stay = false;
    world.settle();
    assert_eq!((world.outcome("in"), world.points()), (Outcome::Succeeded, vec![1]));
}
