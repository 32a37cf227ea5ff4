//! Links between nodes: everything arrives once and in order, whatever happens to connections, and strangers are refused.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gomera_host::cluster::Shape;
use gomera_proto::link::v1::link_client::LinkClient;
use gomera_proto::link::v1::{CarryRequest, Hello, carry_request};
use gomera_proto::v1;
use support::separate::{CLUSTER, Separate};
use support::{Subscriber, attribute, connect, publication, publish, within};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

#[tokio::test]
async fn nodes_that_share_nothing_but_links_are_one_cluster() {
    let shape = Shape { connection_points: 2, access_points: 2, matchers: 2, exit_points: 2 };
    let cluster = Separate::start(shape, 2).await;
    let addresses = cluster.client_addresses();
    let mut first = connect(addresses[0]).await;
    let mut second = connect(addresses[1]).await;
    let mut subscriber = Subscriber::attach(&mut first, "s").await;
    subscriber.subscribe("even", "n % 2 = 0 AND gomera.publisher = 'meter'").await;
    for number in 0..50_i64 {
        publish(&mut second, publication([("n", number)])).await.expect("acknowledged");
    }
    for number in (0..50_i64).step_by(2) {
        let notification = subscriber.next().await;
        assert_eq!(notification.publication.expect("one").attributes["n"], attribute(number));
    }
    cluster.stop().await;
}

/// Publishes `count` numbers on a stream and waits until all are acknowledged.
async fn publish_stream(client: &mut v1::pub_sub_client::PubSubClient<tonic::transport::Channel>, count: u64) {
    let (frames, receiver) = mpsc::channel(4);
    let mut replies = within(client.publish_stream(ReceiverStream::new(receiver))).await.expect("opens").into_inner();
    let open = v1::OpenPublisher { publisher: "stream".to_owned(), instance: 7 };
    frames.send(v1::PublishFrame { open: Some(open), ..v1::PublishFrame::default() }).await.expect("room");
    let sending = tokio::spawn(async move {
        for first in (1..=count).step_by(10) {
            let items = (first..first + 10).map(|sequence| v1::PublishItem {
                sequence,
                publication: Some(publication([("n", i64::try_from(sequence).expect("small"))])),
                resent: false,
            });
            let frame = v1::PublishFrame { items: items.collect(), ..v1::PublishFrame::default() };
            frames.send(frame).await.expect("the stream is open");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut through = 0;
    while let Some(reply) = within(replies.message()).await.expect("the stream goes on") {
        match reply.reply.expect("a body") {
            v1::publish_stream_reply::Reply::Acknowledged(acknowledged) => through = acknowledged.through,
            v1::publish_stream_reply::Reply::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // The client finished, and the stream ended by itself when everything was settled.
    assert_eq!(through, count);
    sending.await.expect("sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_double_and_reorder_nothing() {
    const COUNT: u64 = 2000;
    let cluster = Separate::start(Shape { matchers: 2, ..Shape::default() }, 1).await;
    let mut client = connect(cluster.client_addresses()[0]).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    subscriber.subscribe("all", "n > 0").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let proxies = cluster.proxies;
    let cutting = tokio::spawn({
        let is_over = is_over.clone();
        async move {
            let mut cuts = 0;
            while !is_over.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(60)).await;
                cuts += proxies.iter().map(support::proxy::Proxy::cut).sum::<usize>();
            }
            cuts
        }
    });
    let publishing = tokio::spawn(async move { publish_stream(&mut client, COUNT).await });
    for number in 1..=i64::try_from(COUNT).expect("small") {
        let notification = subscriber.next().await;
        assert_eq!(notification.publication.expect("one").attributes["n"], attribute(number));
        assert!(!notification.redelivered);
    }
    publishing.await.expect("all acknowledged");
    is_over.store(true, Ordering::Relaxed);
    assert!(cutting.await.expect("no panic") > 10, "connections were cut while in use");
    for process in cluster.processes {
        process.stop(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn strangers_are_refused_with_the_reason() {
    let cluster = Separate::start(Shape::default(), 1).await;
    let node = &cluster.processes[1].nodes()[0];
    let address = node.link_address().expect("it has links");
    let fitting = Hello {
        version_min: 1,
        version_max: 1,
        cluster: CLUSTER.to_owned(),
        from: 1,
        to: node.incarnation().0,
        packet_first: 1,
        address: "127.0.0.1:9".to_owned(),
    };
    let cases = [
        (Hello { cluster: "other".to_owned(), ..fitting.clone() }, "of cluster `separate`, you are of `other`"),
        (Hello { to: 2, ..fitting.clone() }, "you look for incarnation 0000000000000002"),
        (Hello { version_min: 8, version_max: 9, ..fitting.clone() }, "you speak link versions 8 to 9"),
        (Hello { packet_first: 5, ..fitting.clone() }, "packets after 0 are gone"),
    ];
    let carry = async |hello: Hello| {
        let mut client = LinkClient::connect(format!("http://{address}")).await.expect("connects");
        let hello = CarryRequest { request: Some(carry_request::Request::Hello(hello)) };
        let (requests, receiver) = mpsc::channel(1);
        requests.send(hello).await.expect("room");
        within(client.carry(ReceiverStream::new(receiver))).await.map(|replies| (requests, replies.into_inner()))
    };
    for (hello, expected) in cases {
        let status = carry(hello).await.expect_err(expected);
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert!(status.message().contains(expected), "{status}");
    }
    let (_requests, mut replies) = carry(fitting).await.expect("a fitting hello is welcome");
    assert!(within(replies.message()).await.expect("goes on").is_some());
    cluster.stop().await;
}
