//! Whole clusters: nodes and coordinators that run.

use std::collections::BTreeSet;
use std::sync::Arc;

use gomera_cluster::address::Layer;
use gomera_cluster::layout::{Epoch, Layout};
use gomera_coordinator::{NodeState, Registration};
use gomera_host::coordination::{Acknowledging, CoordinationError, Link, Membership, Naming, Topic};

use crate::world::{Breakage, World, coordinate, node, one_per_layer, soon, until, until_epoch, until_report};

/// Every node over a session of its own, as processes have it.
async fn join(world: &World, nodes: Vec<Registration>) -> Vec<Membership> {
    let mut members = Vec::new();
    for node in nodes {
        members.push(Membership::start(world.connect().await, node, Acknowledging::AtOnce).expect("valid"));
    }
    members
}

pub async fn a_cluster_of_many_nodes_comes_up(world: World) {
    let coordinating = coordinate(&world, 1, "2-3-4-2").await;
    let layers = [(Layer::ConnectionPoint, 2), (Layer::AccessPoint, 3), (Layer::Matcher, 4), (Layer::ExitPoint, 2)];
    let mut nodes = layers
        .into_iter()
        .flat_map(|(layer, count)| (0..count).map(move |_| layer))
        .zip(1..)
        .map(|(layer, incarnation)| node(layer, incarnation))
        .collect::<Vec<_>>();
    let last = nodes.pop().expect("there are eleven");
    let mut members = join(&world, nodes).await;
    until_report(&coordinating, "waiting for 1 of 2 exit points").await;
    assert!(members.iter().all(|member| member.layout().borrow().is_none()));
    members.extend(join(&world, vec![last]).await);

    let layout = until_epoch(&members[0], 1).await;
    for member in &members {
        assert_eq!(until_epoch(member, 1).await, layout);
        until("named", &mut member.status(), |status| status.naming == Naming::Named).await;
        // What is in force was proposed before, and handed on.
        assert_eq!(member.proposed().borrow().as_ref(), Some(&layout));
    }
    assert_eq!((layout.members.len(), layout.lanes.len()), (11, 3));
    let holders = |layout: &Layout| layout.matcher.iter().filter_map(|slice| slice.active()).collect::<BTreeSet<_>>();
    assert_eq!(holders(&layout).len(), 4);

    let late = join(&world, vec![node(Layer::Matcher, 77)]).await;
    until("idle", &mut late[0].status(), |status| status.naming == Naming::Idle).await;
    until_report(&coordinating, "layout 1 is in force; idle: matcher-77").await;
    members[1].set_state(NodeState::Draining);
    drop(late);
    until_report(&coordinating, "layout 1 is in force").await;
}

pub async fn a_node_whose_session_expires_stays_who_it_is(world: World) {
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let session = world.connect().await;
    let mut nodes = one_per_layer(1);
    let matcher = nodes.remove(2);
    let others = join(&world, nodes).await;
    let membership = Membership::start(session.clone(), matcher.clone(), Acknowledging::AtOnce).expect("valid");
    let layout = until_epoch(&membership, 1).await;
    until_report(&coordinating, "layout 1 is in force").await;

    session.expire_session().await.expect("expires");
    until("registered again", &mut membership.status(), |status| status.registered_in == 2).await;
    let registered = others_see(&world, &matcher).await;
    assert_eq!(registered, matcher);
    assert_eq!(membership.layout().borrow().as_ref(), Some(&layout));
    until("nobody is missed", &mut coordinating.report(), |report| {
        report.statistics.members_vanished == 0 && report.statistics.members_registered == 4
    })
    .await;
    drop(others);
}

async fn others_see(world: &World, node: &Registration) -> Registration {
    let members = world.connect().await.members().await.expect("reads");
    members.get(&node.incarnation).expect("registered").clone()
}

pub async fn a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one(world: World) {
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let members = join(&world, one_per_layer(1)).await;
    let former = until_epoch(&members[3], 1).await;
    // Without a word; their sessions end with them.
    drop(members);
    until_report(&coordinating, "none of the 4 nodes of layout 1 is registered").await;
    let members = join(&world, one_per_layer(11)).await;
    let layout = until_epoch(&members[3], 2).await;
    assert_eq!(layout.lanes.keys().next(), Some(&former.lane_next));
    let older =
        |(new, old): (&gomera_cluster::layout::Placement, &gomera_cluster::layout::Placement)| new.term > old.term;
    assert!(layout.session.iter().zip(&former.session).all(older));
    until_report(&coordinating, "layout 2 is in force").await;
}

pub async fn while_the_service_is_away_everybody_goes_on(mut world: World) {
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let members = join(&world, one_per_layer(1)).await;
    let layout = until_epoch(&members[0], 1).await;
    until_report(&coordinating, "layout 1 is in force").await;
    let observer = world.connect().await;

    let breakage = world.break_service();
    if breakage == Breakage::Whole {
        until("away", &mut members[0].status(), |status| status.link != Link::Connected).await;
        // Calls fail in bounded time, and say where the service should be.
        let error = soon("a call fails", async {
            loop {
                if let Err(error) = observer.layout().await {
                    return error;
                }
            }
        })
        .await;
        assert!(matches!(error, CoordinationError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("is not available"), "{error}");
        for member in &members {
            assert_eq!(member.layout().borrow().as_ref(), Some(&layout));
        }
    }
    world.repair_service();

    // Everybody is back in its place, the coordinator at work, and nothing has changed.
    let mut hints = observer.hints(&[Topic::Members]);
    soon("everybody is registered", async {
        while observer.members().await.map_or(0, |members| members.len()) < 4 {
            hints.next().await;
        }
    })
    .await;
    let late = join(&world, vec![node(Layer::Matcher, 99)]).await;
    until_report(&coordinating, "layout 1 is in force; idle: matcher-99").await;
    until("back", &mut members[0].status(), |status| status.link == Link::Connected).await;
    assert_eq!(observer.layout().await.expect("reads").map(Arc::new), Some(layout.clone()));
    assert_eq!(members[0].layout().borrow().as_ref(), Some(&layout));
    assert_eq!(late[0].layout().borrow().as_ref().map(|layout| layout.epoch), Some(Epoch(1)));
}
