//! Claims about nodes that somebody provides, or that come by themselves.

use super::*;
use crate::supply::{Need, Provisioner};

const POINTS: Layer = Layer::ConnectionPoint;

fn provided(points: u64, provisioner: Provisioner) -> World {
    World::configured(points, Config { provisioner, nodes_max: 3, ..config() })
}

fn need(world: &World) -> Need {
    world.leader.needs()[&POINTS]
}

#[test]
fn who_provides_nodes_is_told_how_many_are_needed_and_an_operation_waits_for_them() {
    let mut world = provided(2, Provisioner::Process);
    assert_eq!(need(&world), Need { needed: 2, there: 2 });
    world.seen.supply = world.config.supply();
    let (kind, reason) = world.refusal(&Request::Scale { layer: POINTS, replicas: 9 });
    assert_eq!(kind, RefusalKind::Exhausted);
    assert!(reason.contains("the provisioner gives 3 (`coordinator.nodes_max`)"), "{reason}");

    world.scale("one-more", 3);
    world.settle();
    assert_eq!(need(&world), Need { needed: 3, there: 2 });
    world.seen.shortages.insert(POINTS, String::from("no room"));
    world.settle();
    assert_eq!(world.progress("one-more").awaits, ["1 more connection point (no room)"]);
    world.seen.shortages.clear();
    world.register(POINTS, 9);
    world.settle();
    assert_eq!(world.outcome("one-more"), Outcome::Succeeded);
    assert_eq!(need(&world), Need { needed: 3, there: 3 });
}

#[test]
fn who_leaves_is_needed_until_it_has_left_and_who_comes_for_it_beside_it() {
    let mut world = provided(2, Provisioner::Process);
    world.clients_stay = true;
    world.ask("drain", Request::Drain { node: Arc::from("connection-point-1") });
    world.settle();
    assert_eq!(need(&world), Need { needed: 3, there: 2 });
    world.register(POINTS, 10);
    world.clients_stay = false;
    world.settle();
    assert_eq!(world.outcome("drain"), Outcome::Succeeded);
    world.seen.members.remove(&Incarnation(1));
    world.settle();
    assert_eq!(need(&world), Need { needed: 2, there: 2 });
    assert_eq!(world.points(), [2, 10]);
}

#[test]
fn nodes_that_nobody_provides_fail_the_operation_with_the_reason() {
    let mut world = provided(1, Provisioner::Command);
    world.seen.shortages.insert(POINTS, String::from("the command failed: exit status: 3"));
    world.scale("more", 2);
    world.settle();
    world.pass(SECOND * 31);
    let Outcome::Failed { reason } = world.outcome("more") else { panic!("{:?}", world.operation("more")) };
    assert_eq!(
        reason,
        "1 of 2 connection points serve, and no other came within 30s: the command failed: exit status: 3"
    );
    assert_eq!(need(&world), Need { needed: 1, there: 1 }, "nothing more is wanted");
}

#[test]
fn everybody_is_let_in_and_leaves_by_its_own_wish() {
    let mut world = provided(1, Provisioner::Everybody);
    world.seen.supply = world.config.supply();
    let (_, reason) = world.refusal(&Request::Scale { layer: POINTS, replicas: 2 });
    assert!(reason.contains("start or stop nodes instead"), "{reason}");
    world.register(POINTS, 2);
    world.settle();
    assert_eq!(world.points(), [1, 2]);
    let drains = |world: &mut World, node| {
        world.seen.members.get_mut(&Incarnation(node)).expect("it is there").state = NodeState::Draining;
        world.settle();
    };
    drains(&mut world, 1);
    assert_eq!(world.points(), [2]);
    drains(&mut world, 2);
    assert_eq!(world.points(), [2], "the last one stays");
    assert_eq!(need(&world), Need { needed: 2, there: 1 }, "and another one is needed beside it");
}
