//! Clients that ask for more than they may have, or do not behave: what they are told, and that nobody else notices.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gomera_host::client_door::ClientDoorConfig;
use gomera_host::cluster::{InProcess, InProcessConfig};
use gomera_proto::v1::publish_stream_reply::Reply;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::{self, session_request};
use support::{Subscriber, connect, publication, publish, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

async fn start_with(config: InProcessConfig) -> (InProcess, SocketAddr) {
    let cluster = InProcess::start(config).await.expect("starts");
    let address = cluster.client_addresses()[0];
    (cluster, address)
}

async fn with_door(door: ClientDoorConfig) -> (InProcess, SocketAddr) {
    start_with(InProcessConfig { door, ..InProcessConfig::default() }).await
}

#[tokio::test]
async fn a_publisher_above_its_rate_is_slowed_down_and_loses_nothing() {
    let connection_point = gomera_connection_point::Config {
        publications_per_second_max: Some(200),
        ..gomera_connection_point::Config::default()
    };
    let (cluster, address) = start_with(InProcessConfig { connection_point, ..InProcessConfig::default() }).await;
    let (frames, receiver) = mpsc::channel(16);
    let mut replies =
        connect(address).await.publish_stream(ReceiverStream::new(receiver)).await.expect("opens").into_inner();
    let open = Some(v1::OpenPublisher { publisher: "eager".to_owned(), instance: 0 });
    frames.send(v1::PublishFrame { open, ..v1::PublishFrame::default() }).await.expect("room");
    let began = Instant::now();
    let items = |count: usize| {
        let item = v1::PublishItem { publication: Some(publication([("n", 1)])), ..v1::PublishItem::default() };
        v1::PublishFrame { items: vec![item; count], ..v1::PublishFrame::default() }
    };
    // What has been read is taken, and the rate is kept by reading no more for as long as it takes.
    frames.send(items(499)).await.expect("room");
    let mut told = Vec::new();
    while told.last() != Some(&499) {
        match within(replies.message()).await.expect("goes on").expect("open").reply.expect("a body") {
            Reply::Acknowledged(acknowledged) => told.push(acknowledged.through),
            Reply::Opened(_) => {}
            other => panic!("{other:?}"),
        }
    }
    frames.send(items(1)).await.expect("room");
    drop(frames);
    let mut through = 0;
    while let Some(reply) = within(replies.message()).await.expect("ends well") {
        match reply.reply.expect("a body") {
            Reply::Acknowledged(acknowledged) => through = acknowledged.through,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(through, 500);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1200), "500 at 200 a second, of which a second's worth at once: {took:?}");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn whoever_does_not_answer_a_ping_is_closed() {
    let door = ClientDoorConfig {
        keepalive_interval: Duration::from_millis(50),
        keepalive_timeout: Duration::from_millis(50),
        ..ClientDoorConfig::default()
    };
    let (cluster, address) = with_door(door).await;
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The preface of HTTP/2 and empty settings (RFC 9113, sections 3.4 and 6.5); then it plays dead.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("written");
    let mut told = Vec::new();
    within(stream.read_to_end(&mut told)).await.expect("it is closed in good order");
    // A frame's type is its fourth byte, and a ping's is 6; it carries eight bytes on no stream.
    assert!(told.windows(9).any(|header| header == b"\0\0\x08\x06\0\0\0\0\0"), "{told:?}");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_client_that_begins_with_something_else_is_closed_and_nobody_else_is() {
    let door = ClientDoorConfig { greeting_timeout: Duration::from_millis(100), ..ClientDoorConfig::default() };
    let (cluster, address) = with_door(door).await;
    let mut other = Subscriber::attach(&mut connect(address).await, "other").await;
    for beginning in [&b"GET / HTTP/1.1\r\nHost: gomera\r\n\r\n"[..], &[0xff; 64], b"PRI", b""] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(beginning).await.expect("written");
        let mut told = Vec::new();
        // It may be reset.
        drop(within(stream.read_to_end(&mut told)).await);
    }
    other.subscribe("x", "n > 0").await;
    publish(&mut connect(address).await, publication([("n", 1)])).await.expect("acknowledged");
    assert_eq!(other.next().await.satisfied, 1);
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn sessions_and_connections_beyond_the_limit_are_told_so() {
    let connection_point =
        gomera_connection_point::Config { sessions_max: 2, connections_max: 4, ..Default::default() };
    let (cluster, address) = start_with(InProcessConfig { connection_point, ..InProcessConfig::default() }).await;
    let mut client = connect(address).await;
    let mut first = Subscriber::attach(&mut client, "a").await;
    let _second = Subscriber::attach(&mut client, "b").await;
    let open = async |name: &str| {
        let (requests, receiver) = mpsc::channel(16);
        let attach = v1::AttachSession { session: name.to_owned(), ..v1::AttachSession::default() };
        let attach = session_request::Body::Attach(attach);
        requests.send(v1::SessionRequest { request: 1, body: Some(attach) }).await.expect("room");
        let replies = connect(address).await.session(ReceiverStream::new(receiver)).await.expect("opens");
        (requests, replies.into_inner())
    };
    let mut waiting = Vec::new();
    for name in ["c", "d"] {
        let (requests, mut replies) = open(name).await;
        match within(replies.message()).await.expect("goes on").expect("an answer").body {
            Some(Body::Failed(failed)) => {
                assert_eq!(Code::from(failed.code), Code::ResourceExhausted, "{failed:?}");
                assert!(failed.message.contains('2'), "{failed:?}");
            }
            other => panic!("{other:?}"),
        }
        waiting.push((requests, replies));
    }
    // A call of its own is a session too, and has no place either.
    drop(waiting.pop());
    let listen = |text: &str| {
        let text = v1::filter_source::Filter::Text(text.to_owned());
        v1::ListenRequest { filter: Some(v1::FilterSource { filter: Some(text) }), ..v1::ListenRequest::default() }
    };
    let status = loop {
        let status = within(client.listen(listen("n > 0"))).await.expect_err("two sessions are there");
        // The connection that was dropped may still count.
        if status.message().contains("session") {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let status = within(client.listen(listen("n > "))).await.expect_err("half a filter");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("column 5"), "{status}");
    waiting.push(open("d").await);
    let (_requests, mut replies) = open("e").await;
    let status = within(replies.message()).await.expect_err("the fifth");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    first.subscribe("x", "n > 0").await;
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn unary_calls_that_wait_hold_no_more_than_they_may() {
    let door = ClientDoorConfig {
        message_bytes_max: 8192,
        payload_bytes_max: 8192,
        unary_bytes_max: 8192,
        ..ClientDoorConfig::default()
    };
    let (cluster, address) = with_door(door).await;
    let client = connect(address).await;
    let large = v1::Publication { payload: vec![7; 3000].into(), ..publication([("n", 1)]) };
    let calls = (0..40).map(|_| {
        let (mut client, large) = (client.clone(), large.clone());
        async move { publish(&mut client, large).await }
    });
    let outcomes = futures_util::future::join_all(calls).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 40, "{} of 40", refused.len());
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("unary_bytes_max = 8192"), "{status}");
    }
    publish(&mut client.clone(), large).await.expect("everything was given back");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_request_of_a_later_version_fails_alone() {
    let (cluster, address) = with_door(ClientDoorConfig::default()).await;
    let mut subscriber = Subscriber::attach(&mut connect(address).await, "s").await;
    subscriber.requests.send(v1::SessionRequest { request: 77, body: None }).await.expect("open");
    let reply = subscriber.reply().await.expect("goes on").expect("an answer");
    match reply.body {
        Some(Body::Failed(failed)) => {
            assert_eq!((reply.request, Code::from(failed.code)), (77, Code::InvalidArgument), "{failed:?}");
        }
        other => panic!("{other:?}"),
    }
    subscriber.subscribe("x", "n > 0").await;
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn filters_that_cost_too_much_are_refused_and_the_others_go_on() {
    let matcher = gomera_matcher::config::Config {
        filter_cost_per_tenant_max: Duration::from_micros(150),
        ..gomera_matcher::config::Config::default()
    };
    let (cluster, address) = start_with(InProcessConfig { matcher, ..InProcessConfig::default() }).await;
    let mut client = connect(address).await;
    let mut greedy = Subscriber::attach(&mut client, "greedy").await;
    let filter = |text: &str| Some(v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(text.to_owned())) });
    let subscribe = |id: String, text: &str| {
        session_request::Body::Subscribe(v1::Subscribe { id, filter: filter(text), options: None })
    };
    // Each costs a third of it on a text as long as may be: on one shard there is room for two or three.
    let mut refused = None;
    for number in 0..200 {
        let filter = format!("n > 0 OR MATCHES(note, '^(a|b)+{number}$')");
        match greedy.ask(subscribe(format!("x{number}"), &filter)).await {
            Body::Applied(_) => {}
            Body::Failed(failed) => {
                refused = Some((number, failed));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let (taken, failed) = refused.expect("a limit stands against two hundred");
    assert!(taken >= 1, "the first has room");
    assert_eq!(Code::from(failed.code), Code::ResourceExhausted, "{failed:?}");
    for part in ["` is 50.", "MATCHES(note, ", "filter_cost_per_tenant_max = 150.0µs", "STARTS_WITH"] {
        assert!(failed.message.contains(part), "{part}: {failed:?}");
    }
    // An update that costs more is refused and changes nothing; what costs little has room.
    greedy.subscribe("cheap", "n > 5").await;
    match greedy
        .ask(subscribe("cheap".to_owned(), &format!("n > 0 OR {}", ["note LIKE '%a_b%'"; 3].join(" OR "))))
        .await
    {
        Body::Failed(failed) => assert_eq!(Code::from(failed.code), Code::ResourceExhausted, "{failed:?}"),
        other => panic!("{other:?}"),
    }
    let request = v1::ListenRequest { filter: filter("note LIKE '%a_b%' OR other LIKE '%a_b%'"), ..Default::default() };
    let status = match within(client.listen(request)).await {
        Err(status) => status,
        Ok(stream) => within(stream.into_inner().message()).await.expect_err("the filter has no room"),
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    publish(&mut client, publication([("n", 1)])).await.expect("acknowledged");
    assert_eq!(greedy.next().await.satisfied, u32::try_from(taken).expect("few"));
    cluster.stop(Duration::ZERO).await;
}
