//! One leader after another.

use std::time::Duration;

use gomera_cluster::layout::Epoch;
use gomera_coordinator::Registration;
use gomera_host::coordination::{Acknowledging, Candidate, Coordination, CoordinationError, Membership};

use super::leadership::lead;
use crate::world::{
    Port, World, acknowledgement, candidate, coordinate, coordinate_as, layout_of, one_per_layer, settings,
    until_epoch, until_report, until_status,
};

/// Longer than a candidate takes to know that a port does not answer any more.
const NOT_WITHIN: Duration = Duration::from_millis(1200);

/// How far the first leader comes before it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Elected,
    Proposed,
    PartlyAcknowledged,
    WhollyAcknowledged,
    Committed,
}

pub async fn a_leader_that_dies_in_any_phase_is_continued(make: impl Fn() -> World) {
    let deaths =
        [Death::Elected, Death::Proposed, Death::PartlyAcknowledged, Death::WhollyAcknowledged, Death::Committed];
    for death in deaths {
        continued(make(), death).await;
    }
}

async fn acknowledge(coordination: &Coordination, nodes: &[Registration]) {
    for node in nodes {
        coordination.acknowledge(node, &acknowledgement(Epoch(1)), None).await.expect("acknowledges");
    }
}

async fn continued(world: World, death: Death) {
    let (first, members) = (world.connect().await, world.connect().await);
    first.settle(&settings()).await.expect("settles");
    let nodes = one_per_layer(1);
    for node in &nodes {
        members.register(node).await.expect("registers");
    }
    // A layout that the second leader would not make by itself.
    let mut layout = layout_of(&nodes, 1);
    layout.lane_next.0 += 7;

    let reign = lead(&first, 1).await;
    if death != Death::Elected {
        first.propose(&reign, &layout).await.expect("proposes");
    }
    match death {
        Death::Elected | Death::Proposed => {}
        Death::PartlyAcknowledged => acknowledge(&members, &nodes[..2]).await,
        Death::WhollyAcknowledged => acknowledge(&members, &nodes).await,
        Death::Committed => {
            acknowledge(&members, &nodes).await;
            first.commit(&reign, &layout).await.expect("commits");
        }
    }
    first.expire_session().await.expect("expires");

    let second = coordinate(&world, 2, "1-1-1-1").await;
    match death {
        Death::Elected | Death::Proposed => {
            until_report(&second, "to acknowledge layout 1").await;
            acknowledge(&members, &nodes).await;
        }
        Death::PartlyAcknowledged => {
            until_report(&second, "waiting for matcher-3, exit-point-4 to acknowledge layout 1").await;
            acknowledge(&members, &nodes[2..]).await;
        }
        Death::WhollyAcknowledged | Death::Committed => {}
    }
    until_report(&second, "leading in term 2: layout 1 is in force").await;
    let in_force = members.layout().await.expect("reads").expect("committed");
    if death == Death::Elected {
        assert_eq!(in_force, layout_of(&nodes, 1), "{death:?}");
    } else {
        assert_eq!(in_force, layout, "{death:?}");
    }

    // The first one wakes up and goes on where it was.
    let late = layout_of(&one_per_layer(11), 2);
    match first.propose(&reign, &late).await.expect_err("the first reign is over") {
        CoordinationError::Fenced { term: 1 } | CoordinationError::Unavailable { .. } => {}
        other => panic!("{death:?}: {other}"),
    }
    assert_eq!(members.proposed().await.expect("reads"), Some(in_force), "{death:?}");
}

pub async fn a_second_coordinator_takes_over_and_changes_nothing(world: World) {
    let first = coordinate(&world, 1, "1-1-1-1").await;
    let session = world.connect().await;
    let members = one_per_layer(1)
        .into_iter()
        .map(|node| Membership::start(session.clone(), node, Acknowledging::AtOnce).expect("valid"))
        .collect::<Vec<_>>();
    let layout = until_epoch(&members[0], 1).await;
    until_report(&first, "leading in term 1: layout 1 is in force").await;

    let second = coordinate(&world, 2, "1-1-1-1").await;
    until_report(&second, "following").await;
    // Dropped without a word, session and all.
    drop(first);
    until_report(&second, "leading in term 2: layout 1 is in force").await;
    assert_eq!(session.layout().await.expect("reads").as_ref(), Some(&*layout));

    let third = coordinate(&world, 3, "1-1-1-1").await;
    second.resign().await;
    until_report(&third, "leading in term 3: layout 1 is in force").await;
    until_status(&session, "leading in term 3: layout 1 is in force").await;
}

pub async fn a_new_leader_tells_where_things_stand_however_often_they_change(world: World) {
    let first = coordinate(&world, 1, "1-1-1-1").await;
    let session = world.connect().await;
    until_report(&first, "leading in term 1").await;
    let (restless, node) = (session.clone(), one_per_layer(11).remove(2));
    let coming_and_going = tokio::spawn(async move {
        loop {
            restless.register(&node).await.expect("registers");
            tokio::time::sleep(Duration::from_millis(60)).await;
            restless.withdraw(&node).await.expect("withdraws");
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    });
    first.resign().await;
    let second = coordinate(&world, 2, "1-1-1-1").await;
    until_report(&second, "leading in term 2").await;
    until_status(&session, "in term 2").await;
    coming_and_going.abort();
}

pub async fn a_leader_that_answers_no_more_is_unseated_at_once(world: World) {
    let (mut first_port, mut second_port) = (Port::open().await, Port::open().await);
    let with = |incarnation, port: &Port| Candidate { address: Some(port.address.clone()), ..candidate(incarnation) };
    let first = coordinate_as(&world, with(1, &first_port), "1-1-1-2").await;
    until_report(&first, "leading in term 1").await;
    let second = coordinate_as(&world, with(2, &second_port), "1-1-1-2").await;
    until_report(&second, "following").await;
    first_port.until_asked().await;
    // Its session lasts on.
    first_port.close().await;
    until_report(&second, "leading in term 2").await;
    until_report(&first, "following").await;
    // Whoever was unseated waits for the session of the other: two that cannot reach each other would take turns.
    second_port.until_asked().await;
    second_port.close().await;
    tokio::time::sleep(NOT_WITHIN).await;
    until_report(&second, "leading in term 2").await;
    assert_eq!(first.report().borrow().statistics.elections, 1);
}

pub async fn a_leader_that_never_answered_is_not_unseated(world: World) {
    let port = Port::open().await;
    let unheard = Candidate { address: Some(port.address.clone()), ..candidate(1) };
    port.close().await;
    let first = coordinate_as(&world, unheard, "1-1-1-2").await;
    until_report(&first, "leading in term 1").await;
    let second = coordinate(&world, 2, "1-1-1-2").await;
    until_report(&second, "following").await;
    tokio::time::sleep(NOT_WITHIN).await;
    assert_eq!(second.report().borrow().statistics.elections, 0);
}

pub async fn a_leader_whose_session_expires_leads_again_in_a_higher_term(world: World) {
    let coordination = world.connect().await;
    coordination.settle(&settings()).await.expect("settles");
    let config = crate::world::coordinator_config("1-1-1-2");
    let coordinating = gomera_host::coordination::Coordinating::start(
        coordination.clone(),
        crate::world::candidate(1),
        config,
        settings(),
        None,
    )
    .expect("valid");
    until_report(&coordinating, "leading in term 1: waiting for 1 of 1 connection point").await;
    coordination.expire_session().await.expect("expires");
    let report = until_report(&coordinating, "leading in term 2: waiting for 1 of 1 connection point").await;
    assert_eq!((report.statistics.elections, report.statistics.depositions), (2, 1));
}
