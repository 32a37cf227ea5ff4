//! What only a real service can do to us.

use std::time::{Duration, Instant};

use gomera_cluster::address::Layer;
use gomera_cluster::layout::Epoch;
use gomera_coordinator::document;
use gomera_host::coordination::{
    Acknowledging, ConnectError, Coordination, CoordinationError, Link, Membership, ZooKeeperConfig,
};
use tokio::net::TcpListener;
use zookeeper_client::{Acls, Client, CreateMode};

use crate::claims::leadership::lead;
use crate::world::{
    World, config, coordinate, layout_of, node, one_per_layer, until, until_epoch, until_report, until_status,
};

async fn refused(servers: &str) -> (ConnectError, Duration) {
    let config = ZooKeeperConfig {
        servers: servers.to_owned(),
        connect_timeout: Duration::from_millis(700),
        ..ZooKeeperConfig::default()
    };
    let begun = Instant::now();
    let error = Coordination::zookeeper(&config, "absent").await.expect_err("nobody is there");
    (error, begun.elapsed())
}

#[tokio::test]
async fn a_zookeeper_that_is_not_there_is_named_within_bounded_time() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        listener.local_addr().expect("is bound").port()
    };
    let (error, took) = refused(&format!("127.0.0.1:{port}")).await;
    let text = error.to_string();
    assert!(text.contains(&format!("no ZooKeeper answered at 127.0.0.1:{port} within 700ms")), "{text}");
    assert!(text.contains("Connection refused") && text.contains("--zookeeper HOST:PORT"), "{text}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_port_that_is_not_a_zookeeper_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let (error, took) = refused(&format!("127.0.0.1:{port}")).await;
    let text = error.to_string();
    assert!(text.contains("accepts connections but does not answer as a ZooKeeper"), "{text}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn wrong_settings_are_refused_before_anything_is_tried() {
    let (error, _) = refused("localhost").await;
    assert_eq!(error.to_string(), "servers is «localhost», must be HOST:PORT[,HOST:PORT][/PATH]");
    let world = World::zookeeper();
    let error = Coordination::zookeeper(&config(&world.servers()), "a/b").await.expect_err("not a name");
    assert!(error.to_string().starts_with("cluster is «a/b», must be"), "{error}");
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_named() {
    let world = World::zookeeper();
    let servers = format!("{}/nowhere", world.servers());
    let error = Coordination::zookeeper(&config(&servers), "lost").await.expect_err("no such path");
    let text = error.to_string();
    assert!(text.contains("/gomera/lost") && text.contains("a path at the end of the servers must exist"), "{text}");
}

#[tokio::test]
async fn clusters_of_different_names_do_not_see_each_other() {
    let (one, two) = (World::zookeeper(), World::zookeeper());
    let (one, two) = (one.connect().await, two.connect().await);
    one.register(&node(Layer::Matcher, 1)).await.expect("registers");
    assert!(two.members().await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_plain_client_reads_json_everywhere() {
    let world = World::zookeeper();
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let session = world.connect().await;
    let members = one_per_layer(1)
        .into_iter()
        .map(|node| Membership::start(session.clone(), node, Acknowledging::AtOnce).expect("valid"))
        .collect::<Vec<_>>();
    let layout = until_epoch(&members[0], 1).await;
    until_report(&coordinating, "layout 1 is in force").await;
    until_status(&session, "leading in term 1: layout 1 is in force").await;

    let plain = Client::connect(&world.servers()).await.expect("connects");
    let base = format!("/gomera/{}", world.cluster());
    let read = async |path: &str| {
        let (bytes, _) = plain.get_data(&format!("{base}/{path}")).await.expect(path);
        String::from_utf8(bytes).expect("text")
    };
    assert_eq!(read("config").await, r#"{"matcher_slices":16,"session_slices":16,"replication":2}"#);
    assert_eq!(read("desired/matcher").await, r#"{"replicas":1}"#);
    assert_eq!(
        read("members/matcher/matcher-3@0000000000000003").await,
        r#"{"layer":"matcher","name":"matcher-3","incarnation":"0000000000000003","link_address":"in-process:1","client_address":"","shards":1,"state":"up"}"#
    );
    assert_eq!(read("acks/matcher-3@0000000000000003").await, r#"{"epoch":1}"#);
    assert_eq!(read("coordinator/term").await, r#"{"term":1,"leader":"coordinator@0000000000000001-0000000000"}"#);
    assert_eq!(
        read("coordinator/status").await,
        r#"{"standing":"leading","term":1,"phase":{"name":"governing","epoch":1,"vanished":[],"idle":[]}}"#
    );
    assert_eq!(read("layout").await.as_bytes(), document::encode(&layout));
    assert_eq!(read("proposed").await, read("layout").await);
    let (_, proposed) = plain.get_data(&format!("{base}/proposed")).await.expect("reads");
    let commits = plain.list_children(&format!("{base}/layout")).await.expect("reads");
    assert_eq!(commits, [format!("of-{:016x}", proposed.mzxid)], "what is in force is named by who wrote the proposal");
    assert_eq!(read(&format!("layout/{}", commits[0])).await, r#"{"epoch":1}"#);
}

#[tokio::test]
async fn nonsense_in_a_znode_is_named_and_does_not_spread() {
    let world = World::zookeeper();
    let session = world.connect().await;
    let reign = lead(&session, 1).await;
    let layout = layout_of(&one_per_layer(1), 1);
    session.propose(&reign, &layout).await.expect("proposes");
    session.commit(&reign, &layout).await.expect("commits");
    let membership =
        Membership::start(world.connect().await, node(Layer::Matcher, 3), Acknowledging::AtOnce).expect("valid");
    let held = until_epoch(&membership, 1).await;

    let plain = Client::connect(&world.servers()).await.expect("connects");
    let base = format!("/gomera/{}", world.cluster());
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let create = async |path: &str, bytes: &[u8]| {
        plain.create(&format!("{base}/{path}"), bytes, &persistent).await.expect("creates");
    };
    create("members/matcher/by-hand", b"not json").await;
    create("members/matcher/nameless", br#"{"layer":"matcher","name":"","incarnation":"0000000000000009","link_address":"a:1","client_address":"","shards":1,"state":"up"}"#).await;
    create("acks/by-hand", br#"{"epoch":1}"#).await;
    plain.set_data(&format!("{base}/layout"), b"{}", None).await.expect("sets");

    let members = session.members().await.expect("reads");
    assert_eq!(members.keys().map(|node| node.0).collect::<Vec<_>>(), [3]);
    assert!(session.acknowledgements().await.expect("reads").len() <= 1);
    let error = session.layout().await.expect_err("nonsense");
    assert!(matches!(error, CoordinationError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(&format!("znode {base}/layout cannot be understood: missing field")), "{error}");
    let next = layout_of(&one_per_layer(1), 2);
    assert!(session.propose(&reign, &next).await.is_err(), "nobody writes over what nobody understands");
    assert_eq!(membership.layout().borrow().as_ref(), Some(&held));

    // Repaired by hand, it is taken at once.
    plain.set_data(&format!("{base}/layout"), &document::encode(&next), None).await.expect("sets");
    assert_eq!(until_epoch(&membership, 2).await.epoch, Epoch(2));

    // What somebody put below it stops nobody, and stays.
    create("layout/by-hand", b"").await;
    let former = plain.list_children(&format!("{base}/layout")).await.expect("reads");
    let former = former.into_iter().find(|name| name != "by-hand").expect("that of layout 1");
    create(&format!("layout/{former}/below"), b"").await;
    let last = layout_of(&one_per_layer(1), 3);
    session.propose(&reign, &last).await.expect("proposes");
    session.commit(&reign, &last).await.expect("commits");
    assert_eq!(until_epoch(&membership, 3).await.epoch, Epoch(3));
    let left = plain.list_children(&format!("{base}/layout")).await.expect("reads");
    assert!(left.len() == 3 && left.contains(&former), "{left:?}");
}

#[tokio::test]
async fn a_server_that_is_away_for_longer_than_a_session_finds_everybody_again() {
    let mut world = World::zookeeper_of_its_own(1);
    let short = ZooKeeperConfig { session_timeout: Duration::from_millis(800), ..config(&world.servers()) };
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let mut members = Vec::new();
    for node in one_per_layer(1) {
        let session = Coordination::zookeeper(&short, world.cluster()).await.expect("connects");
        members.push(Membership::start(session, node, Acknowledging::AtOnce).expect("valid"));
    }
    let layout = until_epoch(&members[2], 1).await;
    until_report(&coordinating, "layout 1 is in force").await;

    world.break_service();
    for member in &members {
        until("the session has ended", &mut member.status(), |status| status.link == Link::Lost).await;
    }
    world.repair_service();
    for member in &members {
        until("registered again", &mut member.status(), |status| status.registered_in == 2).await;
        assert_eq!(member.layout().borrow().as_ref(), Some(&layout));
    }
    until("nobody is missed", &mut coordinating.report(), |report| {
        report.statistics.members_vanished == 0 && report.statistics.members_registered == 4
    })
    .await;
    until_report(&coordinating, "layout 1 is in force").await;
}
