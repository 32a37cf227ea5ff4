//! A whole cluster in this process, used through gRPC as any client would.

mod support;

use std::time::Duration;

use gomera_host::cluster::{InProcess, InProcessConfig, Shape};
use gomera_proto::v1;
use support::{Subscriber, attribute, connect, publication, publish};

#[tokio::test]
async fn a_publication_reaches_exactly_the_subscribers_whose_filter_it_satisfies() {
    let cluster = InProcess::start(InProcessConfig::default()).await.expect("starts");
    let mut client = connect(cluster.client_addresses()[0]).await;
    let mut wants = Subscriber::attach(&mut client, "wants").await;
    wants.subscribe("cold", "temperature < 3").await;
    wants.subscribe("any", "temperature IS NOT NULL").await;
    let mut other = Subscriber::attach(&mut client, "other").await;
    other.subscribe("hot", "temperature > 30").await;
    publish(&mut client, publication([("temperature", 1_i64)])).await.expect("acknowledged");
    let notification = wants.next().await;
    assert_eq!(notification.satisfied, 2);
    assert_eq!(notification.publisher, "meter");
    let publication_back = notification.publication.expect("a publication");
    assert_eq!(publication_back.attributes["temperature"], attribute(1_i64));
    publish(&mut client, publication([("temperature", 40_i64)])).await.expect("acknowledged");
    let notification = other.next().await;
    assert_eq!(notification.satisfied, 1);
    assert_eq!(notification.publication.expect("a publication").attributes["temperature"], attribute(40_i64));
    assert_eq!(wants.next().await.satisfied, 1);
    assert_eq!(cluster.stop(Duration::from_millis(200)).await, 2, "the two sessions do not leave by themselves");
}

#[tokio::test]
async fn many_nodes_and_shards_deliver_each_publication_once_and_in_order() {
    let shape = Shape { connection_points: 2, access_points: 3, matchers: 4, exit_points: 2 };
    let config = InProcessConfig {
        shape,
        shards: 2,
        coordinator: gomera_coordinator::Config { lanes_per_shard: 2, ..Default::default() },
        threads: gomera_host::runtime::Threads::Own(2),
        ..InProcessConfig::default()
    };
    let cluster = InProcess::start(config).await.expect("starts");
    let addresses = cluster.client_addresses();
    let mut first = connect(addresses[0]).await;
    let mut second = connect(addresses[1]).await;
    let mut subscriber = Subscriber::attach(&mut first, "all").await;
    for filter in 0..20 {
        subscriber.subscribe(&format!("s{filter}"), &format!("n % 20 = {filter} OR n < 0")).await;
    }
    for number in 0..200_i64 {
        publish(&mut second, publication([("n", number)])).await.expect("acknowledged");
    }
    for number in 0..200_i64 {
        let notification = subscriber.next().await;
        assert_eq!(notification.satisfied, 1);
        assert_eq!(notification.publication.expect("one").attributes["n"], attribute(number));
    }
    let topology = v1::cluster_client::ClusterClient::connect(format!("http://{}", addresses[0]))
        .await
        .expect("connects")
        .get_topology(v1::GetTopologyRequest {})
        .await
        .expect("a layout is there")
        .into_inner();
    assert_eq!((topology.nodes.len(), topology.lanes.len()), (11, 12));
    cluster.stop(Duration::ZERO).await;
}
