//! Claims about how long an operation waits for nodes: from the moment at which they are missing, or have left and say nothing, however long
//! it has waited for something else before.

use super::*;

/// An operation that has waited for clients for longer than it waits for nodes.
fn long_under_way(points: u64, request: Request) -> World {
    let mut world = World::governed(points);
    world.register(Layer::ConnectionPoint, 9);
    world.clients_stay = true;
    world.ask("it", request);
    world.settle();
    world.pass(SECOND * 40);
    world
}

fn reason(world: &World) -> String {
    let Outcome::Failed { reason } = world.outcome("it") else { panic!("{:?}", world.outcome("it")) };
    reason
}

#[test]
fn who_dies_when_an_operation_has_waited_long_for_clients_is_waited_for_as_long_as_any_other() {
    for came_back in [false, true] {
        let mut world = long_under_way(3, Request::Scale { layer: Layer::ConnectionPoint, replicas: 2 });
        world.seen.members.remove(&Incarnation(9));
        world.seen.members.remove(&Incarnation(2));
        world.settle();
        world.pass(SECOND * 6);
        world.clients_stay = false;
        world.settle();
        assert_eq!(world.progress("it").awaits, ["1 more connection point"]);
        world.pass(SECOND * 23);
        assert_eq!(world.points(), [1]);
        if came_back {
            world.register(Layer::ConnectionPoint, 10);
            world.settle();
            assert_eq!((world.outcome("it"), world.points()), (Outcome::Succeeded, vec![1, 10]));
        } else {
            assert_eq!(world.progress("it").awaits, ["1 more connection point"]);
            world.pass(SECOND);
            assert_eq!(reason(&world), "1 of 2 connection points serve, and no other came within 30s");
        }
    }
}

#[test]
fn a_newcomer_that_dies_while_its_snapshots_take_long_may_be_replaced() {
    let mut world = World::governed_by("1-1-2-1");
    world.register(Layer::Matcher, 203);
    world.ask("it", Request::Scale { layer: Layer::Matcher, replicas: 3 });
    world.settle();
    world.pass(SECOND * 40);
    let snapshots = world.progress("it").awaits.iter().any(|awaited| awaited.contains("snapshots"));
    assert!(snapshots, "{:?}", world.progress("it"));
    world.seen.members.remove(&Incarnation(203));
    world.settle();
    world.pass(SECOND * 6);
    assert_eq!(world.progress("it").awaits, ["1 more matcher"]);
    assert_eq!(world.seen.desired.matchers, 3, "another one is let in");
    assert_eq!(world.leader.needs()[&Layer::Matcher].needed, 3, "and asked for");
    world.pass(SECOND * 24);
    assert_eq!(reason(&world), "2 of 3 matchers serve, and no other came within 30s");
    assert_eq!(world.seen.desired.matchers, 2);
}

#[test]
fn who_leaves_when_an_operation_has_waited_long_has_as_much_time_to_say_so_as_any_other() {
    let mut world = long_under_way(2, Request::Drain { node: Arc::from("connection-point-1") });
    world.nodes_are_silent = true;
    world.seen.members.get_mut(&Incarnation(1)).expect("it is there").state = NodeState::Up;
    world.clients_stay = false;
    world.settle();
    assert_eq!(world.points(), [2, 9]);
    assert_eq!(world.progress("it").awaits, ["connection-point-1 to say that it has left"]);
    // Somebody else dies meanwhile: who was drained does not take its place.
    world.seen.members.remove(&Incarnation(2));
    world.settle();
    world.pass(SECOND * 6);
    assert_eq!(world.points(), [9]);
    world.register(Layer::ConnectionPoint, 10);
    world.settle();
    world.pass(SECOND * 23);
    assert_eq!(world.progress("it").awaits, ["connection-point-1 to say that it has left"]);
    world.pass(SECOND);
    assert_eq!((world.outcome("it"), world.points()), (Outcome::Succeeded, vec![9, 10]), "not for ever");
}

#[test]
fn each_that_leaves_has_its_own_time_to_say_so() {
    let mut world = World::governed(3);
    world.nodes_are_silent = true;
    world.clients_stay = true;
    world.scale("it", 1);
    world.settle();
    let leave = |world: &mut World, node: u64| {
        world.emptied.insert(Incarnation(node));
        world.settle();
    };
    leave(&mut world, 3);
    assert_eq!(world.points(), [1, 2]);
    world.pass(SECOND * 29);
    leave(&mut world, 2);
    assert_eq!(world.points(), [1]);
    world.pass(SECOND * 29);
    assert_eq!(
        world.progress("it").awaits,
        ["connection-point-2 to say that it has left", "connection-point-3 to say that it has left"]
    );
    world.pass(SECOND);
    assert_eq!(world.outcome("it"), Outcome::Succeeded);
}

#[test]
fn a_registration_that_is_lost_for_a_moment_fails_no_operation_however_long_that_has_taken() {
    let mut world = long_under_way(3, Request::Scale { layer: Layer::ConnectionPoint, replicas: 2 });
    world.clients_stay = false;
    // Everybody has the layout by which the one leaves: it is committed, and in that moment another one is not registered.
    let is_next = |world: &World| {
        let next = world.seen.proposed.as_ref().expect("one was");
        let has_it = world.seen.acknowledged.get(&Incarnation(2)) == Some(&next.epoch);
        has_it && !next.members.contains_key(&Incarnation(3))
    };
    while !is_next(&world) {
        world.turn();
    }
    let lost = world.seen.members.remove(&Incarnation(2)).expect("it is registered");
    world.settle();
    assert_eq!(world.points(), [1, 2]);
    world.pass(SECOND);
    assert_eq!(world.progress("it").awaits, ["1 more connection point"]);
    world.seen.members.insert(Incarnation(2), lost);
    world.settle();
    assert_eq!((world.outcome("it"), world.points()), (Outcome::Succeeded, vec![1, 2]));
}

#[test]
fn nodes_that_come_one_by_one_are_waited_for_one_by_one() {
    let config = Config { provisioner: crate::supply::Provisioner::Process, nodes_max: 4, ..config() };
    let mut world = World::configured(1, config);
    world.scale("it", 4);
    world.settle();
    for node in 2..4 {
        world.pass(SECOND * 29);
        world.register(Layer::ConnectionPoint, node);
        world.settle();
    }
    // One that is lost and comes back is nobody new.
    world.pass(SECOND * 20);
    let lost = world.seen.members.remove(&Incarnation(2)).expect("it is registered");
    world.settle();
    world.pass(SECOND * 2);
    world.seen.members.insert(Incarnation(2), lost);
    world.settle();
    world.pass(SECOND * 7);
    assert_eq!(world.progress("it").awaits, ["1 more connection point"]);
    world.pass(SECOND);
    assert_eq!(reason(&world), "3 of 4 connection points serve, and no other came within 30s");
    assert_eq!(world.seen.desired.connection_points, 3);
}

/// What it could not see meanwhile is nobody's fault.
#[test]
fn a_leader_that_saw_nothing_for_a_while_waits_anew() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    world.scale("it", 2);
    while !matches!(world.operation("it").state, State::Running(_)) {
        world.turn();
    }
    world.seen.members.remove(&Incarnation(2));
    world.leader.handle(world.now, Event::Observed(world.seen.clone()));
    world.settle();
    world.now = world.now + SECOND * 40;
    world.leader.handle(world.now, Event::Interrupted);
    world.settle();
    world.pass(SECOND * 29);
    assert_eq!(world.progress("it").awaits, ["1 more connection point"]);
    world.pass(SECOND);
    assert_eq!(reason(&world), "1 of 2 connection points serve, and no other came within 30s");
}
