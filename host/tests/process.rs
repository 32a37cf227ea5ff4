//! A process as its operator sees it: ports, probes, metrics, the end.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gomera_host::cluster::{InProcess, InProcessConfig};
use gomera_host::coordination::{Coordination, InProcess as Service};
use gomera_host::node::{ClientPort, LayerConfig, LinkPort, NodeConfig};
use gomera_host::process::{Process, ProcessConfig};
use gomera_host::runtime::Threads;
use gomera_proto::v1::publish_stream_reply::Reply;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::{self, session_request};
use support::{Subscriber, connect, publication, publish, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

fn node(layer: gomera_cluster::address::Layer) -> NodeConfig {
    let is_door = layer == gomera_cluster::address::Layer::ConnectionPoint;
    NodeConfig {
        name: "one".to_owned(),
        shards: 1,
        layer: LayerConfig::default_of(layer),
        links: Some(LinkPort { listen: any(), advertise: None }),
        clients: is_door.then(|| ClientPort { listen: any(), advertise: None }),
    }
}

async fn start(node: NodeConfig) -> Result<Process, gomera_host::node::StartError> {
    let coordination = Coordination::in_process(&Service::new(), "alone").await.expect("a valid name");
    let config = ProcessConfig { nodes: vec![node], coordinator: None, threads: Threads::Shared, metrics: Some(any()) };
    Process::start(config, coordination).await
}

#[tokio::test]
async fn metrics_and_probes_are_served_over_http() {
    let config = InProcessConfig { metrics: Some(any()), ..InProcessConfig::default() };
    let cluster = InProcess::start(config).await.expect("starts");
    let mut client = connect(cluster.client_addresses()[0]).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    subscriber.subscribe("x", "a = 1").await;
    publish(&mut client, publication([("a", 1)])).await.expect("acknowledged");
    subscriber.next().await;
    let metrics = cluster.process().metrics_address().expect("asked for");
    assert_eq!(get(metrics, "/healthz").await.0, 200);
    assert_eq!(get(metrics, "/readyz").await.0, 200);
    assert_eq!(get(metrics, "/other").await.0, 404);
    let wanted = [
        "gomera_connection_point_publications_accepted_total{",
        "gomera_access_point_publications_total{",
        "gomera_matcher_matches_total{",
        "gomera_exit_point_notifications_sent_total{",
        "gomera_epoch{",
        "# TYPE gomera_delivered_latency_seconds histogram",
    ];
    let deadline = Instant::now() + support::PATIENCE;
    loop {
        let (status, text) = get(metrics, "/metrics").await;
        assert_eq!(status, 200);
        // Machines show their figures each second.
        let missing: Vec<_> = wanted.iter().filter(|name| !text.contains(*name)).collect();
        if missing.is_empty() && text.contains("gomera_delivered_latency_seconds_count ") {
            break;
        }
        assert!(Instant::now() < deadline, "{missing:?} in\n{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_node_without_a_layout_is_healthy_but_not_ready_and_says_why() {
    let process = start(node(gomera_cluster::address::Layer::ConnectionPoint)).await.expect("starts");
    let metrics = process.metrics_address().expect("asked for");
    assert_eq!(get(metrics, "/healthz").await.0, 200);
    let (status, text) = get(metrics, "/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("connection-point one: there is no layout yet"), "{text}");
    let address = process.client_addresses()[0];
    let mut cluster = v1::cluster_client::ClusterClient::connect(format!("http://{address}")).await.expect("connects");
    let status = cluster.get_topology(v1::GetTopologyRequest {}).await.expect_err("no layout");
    assert_eq!(status.code(), Code::Unavailable);
    process.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn nothing_of_a_process_that_is_gone_keeps_its_session_and_it_is_not_registered_any_more() {
    let service = Service::new();
    let session = || Coordination::in_process(&service, "alone");
    let node = node(gomera_cluster::address::Layer::Matcher);
    let config = ProcessConfig { nodes: vec![node], coordinator: None, threads: Threads::Shared, metrics: None };
    let process = Process::start(config, session().await.expect("a valid name")).await.expect("starts");
    let observer = session().await.expect("a valid name");
    let registered = async |count| {
        while observer.members().await.expect("it is there").len() != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(registered(1)).await;
    drop(process);
    within(registered(0)).await;
}

#[tokio::test]
async fn a_port_that_is_taken_keeps_a_node_from_starting_with_a_clear_reason() {
    let taken = tokio::net::TcpListener::bind(any()).await.expect("any port");
    let address = taken.local_addr().expect("bound");
    let mut config = node(gomera_cluster::address::Layer::ConnectionPoint);
    config.clients = Some(ClientPort { listen: address, advertise: None });
    let error = start(config).await.expect_err("taken").to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    let mut config = node(gomera_cluster::address::Layer::Matcher);
    config.links = Some(LinkPort { listen: address, advertise: None });
    let error = start(config).await.expect_err("taken").to_string();
    assert!(error.contains("--link-listen"), "{error}");
    let mut config = node(gomera_cluster::address::Layer::Matcher);
    config.links = Some(LinkPort { listen: SocketAddr::from(([0, 0, 0, 0], 0)), advertise: None });
    let error = start(config).await.expect_err("nobody would find it").to_string();
    assert!(error.contains("--link-advertise"), "{error}");
}

#[tokio::test]
async fn clients_are_told_goodbye_and_what_they_sent_is_still_served() {
    let cluster = InProcess::start(InProcessConfig::default()).await.expect("starts");
    let mut client = connect(cluster.client_addresses()[0]).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    subscriber.subscribe("x", "n > 0").await;
    let (frames, receiver) = mpsc::channel(16);
    let mut replies = client.publish_stream(ReceiverStream::new(receiver)).await.expect("opens").into_inner();
    let open = Some(v1::OpenPublisher { publisher: "p".to_owned(), instance: 0 });
    frames.send(v1::PublishFrame { open, ..v1::PublishFrame::default() }).await.expect("room");
    let stopping = tokio::spawn(cluster.stop(support::PATIENCE));
    let (mut through, mut goodbyes) = (0, 0);
    let mut frames = Some(frames);
    while let Some(reply) = within(replies.message()).await.expect("ends well") {
        match reply.reply.expect("a body") {
            Reply::Goodbye(goodbye) => {
                assert!(goodbye.reason.contains("shutting down"), "{}", goodbye.reason);
                goodbyes += 1;
                // One more, then finish.
                let item = v1::PublishItem { sequence: 0, publication: Some(publication([("n", 1)])), resent: false };
                let frame = v1::PublishFrame { items: vec![item], ..v1::PublishFrame::default() };
                frames.take().expect("told once").send(frame).await.expect("still served");
            }
            Reply::Acknowledged(acknowledged) => through = acknowledged.through,
            Reply::Opened(_) => {}
            Reply::Refused(refused) => panic!("{refused:?}"),
            Reply::MoveTo(elsewhere) => panic!("nobody is asked to move: {elsewhere:?}"),
        }
    }
    assert_eq!((through, goodbyes), (1, 1));
    loop {
        let reply = subscriber.reply().await.expect("goes on").expect("open");
        match reply.body.expect("a body") {
            Body::Goodbye(_) => {}
            Body::Notifications(_) => break,
            other => panic!("{other:?}"),
        }
    }
    drop(subscriber);
    assert_eq!(stopping.await.expect("no panic"), 0, "everybody left in time");
}

#[tokio::test]
async fn a_process_that_stops_is_healthy_but_not_ready_while_clients_are_still_served() {
    let config = InProcessConfig { metrics: Some(any()), ..InProcessConfig::default() };
    let cluster = InProcess::start(config).await.expect("starts");
    let metrics = cluster.process().metrics_address().expect("asked for");
    let mut client = connect(cluster.client_addresses()[0]).await;
    let endpoint = format!("http://{}", cluster.client_addresses()[0]);
    let channel = tonic::transport::Endpoint::from_shared(endpoint).expect("an address").connect().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.expect("connects"));
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    let stopping = tokio::spawn(cluster.stop(support::PATIENCE));
    let goodbye = subscriber.reply().await.expect("goes on").expect("open");
    assert!(matches!(goodbye.body, Some(Body::Goodbye(_))), "{goodbye:?}");
    let (status, text) = get(metrics, "/readyz").await;
    assert!(status == 503 && text.contains("stopping"), "{text}");
    assert_eq!(get(metrics, "/healthz").await.0, 200);
    // Who asks over gRPC is told the same, and new streams are refused with a reason to go elsewhere.
    let status = within(health.check(tonic_health::pb::HealthCheckRequest::default())).await.expect("still served");
    let not_serving = tonic_health::pb::health_check_response::ServingStatus::NotServing;
    assert_eq!(status.into_inner().status(), not_serving);
    let status = publish(&mut client, publication([("n", 1)])).await.expect_err("too late");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("shutting down"), "{status}");
    drop(subscriber);
    assert_eq!(stopping.await.expect("no panic"), 0);
}

#[tokio::test]
async fn who_stays_is_closed_at_the_deadline_with_a_reason() {
    let cluster = InProcess::start(InProcessConfig::default()).await.expect("starts");
    let address = cluster.client_addresses()[0];
    let mut client = connect(address).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    let began = Instant::now();
    let stopping = tokio::spawn(cluster.stop(Duration::from_millis(100)));
    let status = loop {
        match subscriber.reply().await {
            Ok(Some(reply)) => assert!(matches!(reply.body, Some(Body::Goodbye(_))), "{reply:?}"),
            Ok(None) => panic!("it ends with a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(stopping.await.expect("no panic"), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "a deadline is one");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_client_that_publishes_to_itself_and_never_reads_blocks_nobody() {
    let cluster = InProcess::start(InProcessConfig::default()).await.expect("starts");
    let address = cluster.client_addresses()[0];
    let options = v1::SessionOptions {
        outbox_notifications_max: 10,
        slow: v1::SlowPolicy::Block.into(),
        block_max: Some(gomera_proto::value::to_duration(Duration::from_millis(100))),
        ..v1::SessionOptions::default()
    };
    let attach =
        v1::AttachSession { session: "selfish".to_owned(), options: Some(options), ..v1::AttachSession::default() };
    let mut client = connect(address).await;
    let mut selfish = Subscriber::attach_with(&mut client, attach).await.expect("attaches");
    selfish.subscribe("own", "n >= 0").await;
    // It lets no notification come, and publishes what it subscribes to.
    let credit = session_request::Body::Credit(v1::Credit { notifications_total: 1 });
    selfish.requests.send(v1::SessionRequest { request: 0, body: Some(credit) }).await.expect("open");
    let mut other = connect(address).await;
    for number in 0..100 {
        publish(&mut client, publication([("n", number)])).await.expect("acknowledged after the block at the latest");
    }
    let began = Instant::now();
    publish(&mut other, publication([("m", 1)])).await.expect("acknowledged");
    assert!(began.elapsed() < Duration::from_secs(2));
    let status = loop {
        match selfish.reply().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends with a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    cluster.stop(Duration::ZERO).await;
}
