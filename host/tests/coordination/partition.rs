//! A real ZooKeeper that some cannot reach while others can: the server gives their sessions up, and they come back.

use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::Status;
use gomera_host::coordination::{Acknowledging, Coordinating, Coordination, Link, Membership, ZooKeeperConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::claims::leadership::lead;
use crate::world::{
    World, candidate, config, coordinate, coordinator_config, layout_of, node, one_per_layer, settings, until,
    until_epoch, until_report,
};

/// A road to the servers that can be cut: connections stay, and nothing arrives; or they break, and others can be made.
struct Road {
    address: String,
    open: watch::Sender<bool>,
    /// Counts how often all connections broke.
    broken: watch::Sender<u64>,
    /// Connections made so far.
    connections: watch::Receiver<usize>,
    _travellers: JoinSet<()>,
}

impl Road {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("is bound").to_string();
        let (open, seen) = watch::channel(true);
        let (broken, breaks) = watch::channel(0);
        let (made, connections) = watch::channel(0);
        let mut travellers = JoinSet::new();
        travellers.spawn(async move {
            let mut pumps = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.expect("the server is there");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                for (from, to) in [(near_in, far_out), (far_in, near_out)] {
                    let (seen, mut breaks) = (seen.clone(), breaks.clone());
                    breaks.mark_unchanged();
                    pumps.spawn(async move {
                        tokio::select! {
                            () = pump(from, to, seen) => {}
                            _ = breaks.changed() => {}
                        }
                    });
                }
                made.send_modify(|count| *count += 1);
            }
        });
        Self { address, open, broken, connections, _travellers: travellers }
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// A session over `road` that the servers give up soon.
async fn connect_over(road: &Road, world: &World) -> Coordination {
    let short = ZooKeeperConfig { session_timeout: Duration::from_millis(1500), ..config(&road.address) };
    Coordination::zookeeper(&short, world.cluster()).await.expect("connects")
}

#[tokio::test]
async fn a_node_that_is_cut_off_for_longer_than_its_session_registers_again() {
    let world = World::zookeeper();
    let road = Road::to(world.servers()).await;
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let direct = world.connect().await;
    let mut nodes = one_per_layer(1);
    let matcher =
        Membership::start(connect_over(&road, &world).await, nodes.remove(2), Acknowledging::AtOnce).expect("valid");
    let others = nodes
        .into_iter()
        .map(|node| Membership::start(direct.clone(), node, Acknowledging::AtOnce).expect("valid"))
        .collect::<Vec<_>>();
    let layout = until_epoch(&matcher, 1).await;
    until_report(&coordinating, "layout 1 is in force").await;
    let session = until("registered", &mut matcher.status(), |status| status.registered_in > 0).await.registered_in;

    road.open.send_replace(false);
    until_report(&coordinating, "layout 1 is in force; vanished: matcher-3").await;
    until("cut off", &mut matcher.status(), |status| status.link != Link::Connected).await;
    assert_eq!(matcher.layout().borrow().as_ref(), Some(&layout));

    road.open.send_replace(true);
    until("registered again", &mut matcher.status(), |status| status.registered_in > session).await;
    until("nobody is missed", &mut coordinating.report(), |report| report.statistics.members_vanished == 0).await;
    assert_eq!(matcher.layout().borrow().as_ref(), Some(&layout));
    drop(others);
}

#[tokio::test]
async fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_returns() {
    let world = World::zookeeper();
    let road = Road::to(world.servers()).await;
    let cut_off = connect_over(&road, &world).await;
    cut_off.settle(&settings()).await.expect("settles");
    let older =
        Coordinating::start(cut_off, candidate(1), coordinator_config("1-1-1-1"), settings(), None).expect("valid");
    until_report(&older, "waiting for 1 of 1 connection point").await;
    let newer = coordinate(&world, 2, "1-1-1-1").await;
    until_report(&newer, "following").await;

    road.open.send_replace(false);
    until_report(&newer, "waiting for 1 of 1 connection point").await;
    // It has not been able to hear of that.
    assert!(matches!(older.report().borrow().status, Status::Leading { .. }));
    road.open.send_replace(true);
    until_report(&older, "following").await;

    let direct = world.connect().await;
    let members = one_per_layer(1)
        .into_iter()
        .map(|node| Membership::start(direct.clone(), node, Acknowledging::AtOnce).expect("valid"))
        .collect::<Vec<_>>();
    until_epoch(&members[0], 1).await;
    until_report(&newer, "layout 1 is in force").await;
    assert_eq!(older.report().borrow().status, Status::Following);
    assert_eq!(older.report().borrow().statistics.proposals, 0);
}

#[tokio::test]
async fn a_node_whose_connection_breaks_hears_of_changes_on_the_next_one() {
    let world = World::zookeeper();
    let road = Road::to(world.servers()).await;
    let leader = world.connect().await;
    leader.settle(&settings()).await.expect("settles");
    let reign = lead(&leader, 1).await;
    // What it hears, it hears from watches: it reads again long after this claim has lost its patience.
    let unprompted = ZooKeeperConfig { reread: Duration::from_secs(600), ..config(&road.address) };
    let session = Coordination::zookeeper(&unprompted, world.cluster()).await.expect("connects");
    let membership = Membership::start(session, node(Layer::Matcher, 3), Acknowledging::AtOnce).expect("valid");
    for epoch in 1..=3 {
        let layout = layout_of(&one_per_layer(1), epoch);
        leader.propose(&reign, &layout).await.expect("proposes");
        leader.commit(&reign, &layout).await.expect("commits");
        until_epoch(&membership, epoch).await;
        let made = *road.connections.borrow();
        road.broken.send_modify(|count| *count += 1);
        let mut connections = road.connections.clone();
        until("another connection", &mut connections, |connections| *connections > made).await;
        until("connected", &mut membership.status(), |status| status.link == Link::Connected).await;
        // What it reads for having lost its connection is over.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
