//! The door for clients: what it answers to calls that are right, and to those that are not.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use gomera_host::client_door::ClientDoorConfig;
use gomera_host::cluster::{InProcess, InProcessConfig};
use gomera_proto::v1::publish_stream_reply::Reply;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::{self, session_request};
use gomera_proto::value::to_duration;
use prost::Message as _;
use support::{Subscriber, attribute, connect, publication, publish, within};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

async fn start() -> (InProcess, SocketAddr) {
    start_with(InProcessConfig::default()).await
}

async fn start_with(config: InProcessConfig) -> (InProcess, SocketAddr) {
    let cluster = InProcess::start(config).await.expect("starts");
    let address = cluster.client_addresses()[0];
    (cluster, address)
}

struct Publisher {
    frames: Option<mpsc::Sender<v1::PublishFrame>>,
    replies: Streaming<v1::PublishStreamReply>,
}

impl Publisher {
    async fn open(address: SocketAddr, publisher: &str, instance: u64) -> Self {
        let mut opened = Self::raw(address).await;
        let open = Some(v1::OpenPublisher { publisher: publisher.to_owned(), instance });
        opened.send(v1::PublishFrame { open, ..v1::PublishFrame::default() }).await;
        match opened.reply().await.expect("goes on") {
            Some(Reply::Opened(_)) => opened,
            other => panic!("{other:?}"),
        }
    }

    async fn raw(address: SocketAddr) -> Self {
        let (frames, receiver) = mpsc::channel(16);
        let replies = connect(address).await.publish_stream(ReceiverStream::new(receiver)).await.expect("opens");
        Self { frames: Some(frames), replies: replies.into_inner() }
    }

    async fn send(&self, frame: v1::PublishFrame) {
        self.frames.as_ref().expect("not finished").send(frame).await.expect("the stream is open");
    }

    async fn publish(&self, sequence: u64, publication: v1::Publication) {
        let item = v1::PublishItem { sequence, publication: Some(publication), resent: false };
        self.send(v1::PublishFrame { items: vec![item], ..v1::PublishFrame::default() }).await;
    }

    async fn reply(&mut self) -> Result<Option<Reply>, Status> {
        Ok(within(self.replies.message()).await?.and_then(|reply| reply.reply))
    }

    async fn acknowledged(&mut self) -> u64 {
        match self.reply().await.expect("goes on") {
            Some(Reply::Acknowledged(acknowledged)) => acknowledged.through,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_publisher_that_finishes_gets_every_acknowledgement_and_then_the_end() {
    let (cluster, address) = start().await;
    let mut publisher = Publisher::open(address, "p", 0).await;
    for _ in 0..3 {
        publisher.publish(0, publication([("a", 1)])).await;
    }
    let reserved = publication([("gomera.time", 1)]);
    publisher.publish(0, reserved).await;
    publisher.frames = None;
    let (mut through, mut refused) = (0, None);
    while let Some(reply) = publisher.reply().await.expect("ends well") {
        match reply {
            Reply::Acknowledged(acknowledged) => through = acknowledged.through,
            Reply::Refused(refusal) => refused = Some(refusal),
            other => panic!("{other:?}"),
        }
    }
    let refused = refused.expect("a reserved name is refused");
    assert_eq!((through, refused.sequence, Code::from(refused.code)), (3, 4, Code::InvalidArgument));
    assert!(refused.message.contains("`gomera.time` is reserved"), "{}", refused.message);
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_sequence_used_for_other_content_is_refused_and_a_repeat_is_acknowledged() {
    let (cluster, address) = start().await;
    let mut publisher = Publisher::open(address, "p", 9).await;
    publisher.publish(1, publication([("a", 1)])).await;
    assert_eq!(publisher.acknowledged().await, 1);
    publisher.publish(1, publication([("a", 1)])).await;
    assert_eq!(publisher.acknowledged().await, 1, "a repeat");
    publisher.publish(0, publication([("a", 1)])).await;
    match publisher.reply().await.expect("goes on") {
        Some(Reply::Refused(refused)) => assert_eq!(Code::from(refused.code), Code::InvalidArgument),
        other => panic!("{other:?}"),
    }
    // Both in one frame: the first is not acknowledged yet when the second is looked at.
    let item = |a| v1::PublishItem { sequence: 2, publication: Some(publication([("a", a)])), resent: false };
    publisher.send(v1::PublishFrame { items: vec![item(1), item(2)], ..v1::PublishFrame::default() }).await;
    match publisher.reply().await.expect("goes on") {
        Some(Reply::Refused(refused)) => {
            assert_eq!((refused.sequence, Code::from(refused.code)), (2, Code::AlreadyExists));
            assert!(refused.message.contains("was used for another publication"), "{}", refused.message);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(publisher.acknowledged().await, 2, "the first of them");
    // The same instance on a new connection: the older one is told, the newer one goes on where it stands.
    let mut newer = Publisher::open(address, "p", 9).await;
    let status = loop {
        match publisher.reply().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends with a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Aborted, "{status}");
    newer.publish(3, publication([("a", 1)])).await;
    assert_eq!(newer.acknowledged().await, 3);
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn first_messages_that_are_wrong_end_the_stream_with_the_reason() {
    let (cluster, address) = start().await;
    let mut publisher = Publisher::raw(address).await;
    publisher.publish(1, publication([("a", 1)])).await;
    let status = publisher.reply().await.expect_err("no open");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("`open`"), "{status}");

    let (requests, receiver) = mpsc::channel(1);
    let unsubscribe = session_request::Body::Unsubscribe(v1::Unsubscribe { id: "x".to_owned() });
    requests.send(v1::SessionRequest { request: 1, body: Some(unsubscribe) }).await.expect("room");
    let mut client = connect(address).await;
    let mut replies = client.session(ReceiverStream::new(receiver)).await.expect("opens").into_inner();
    let status = within(replies.message()).await.expect_err("no attach");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("`attach`"), "{status}");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_malformed_filter_fails_its_request_with_the_place_and_nothing_else() {
    let (cluster, address) = start().await;
    let mut subscriber = Subscriber::attach(&mut connect(address).await, "s").await;
    let text = |text: &str| Some(v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(text.to_owned())) });
    let subscribe = v1::Subscribe { id: "x".to_owned(), filter: text("a = = 1"), options: None };
    let Body::Failed(failed) = subscriber.ask(session_request::Body::Subscribe(subscribe)).await else {
        panic!("it does not parse");
    };
    assert_eq!((Code::from(failed.code), failed.offset), (Code::InvalidArgument, Some(4)), "{failed:?}");
    let update = v1::UpdateSubscription { id: "none".to_owned(), filter: text("a = 1"), options: None };
    let Body::Failed(failed) = subscriber.ask(session_request::Body::Update(update)).await else {
        panic!("there is none");
    };
    assert_eq!(Code::from(failed.code), Code::NotFound);
    assert!(subscriber.subscribe("x", "a = 1").await.handle > 0, "the stream goes on");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn messages_that_are_too_large_or_none_end_their_stream_and_nobody_elses() {
    let door = ClientDoorConfig { message_bytes_max: 4096, payload_bytes_max: 2048, ..ClientDoorConfig::default() };
    let (cluster, address) = start_with(InProcessConfig { door, ..InProcessConfig::default() }).await;
    let mut other = Publisher::open(address, "other", 0).await;
    let mut publisher = Publisher::open(address, "p", 0).await;
    let large = |bytes: usize| v1::Publication { payload: vec![0; bytes].into(), ..v1::Publication::default() };
    publisher.publish(1, large(3000)).await;
    match publisher.reply().await.expect("goes on") {
        Some(Reply::Refused(refused)) => {
            assert_eq!((Code::from(refused.code), refused.sequence), (Code::InvalidArgument, 1));
            assert!(refused.message.contains("payload has 3000 bytes; the cap is"), "{}", refused.message);
        }
        other => panic!("{other:?}"),
    }
    publisher.publish(2, large(5000)).await;
    let status = publisher.reply().await.expect_err("over the limit of a message");
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("the limit is: 4096 bytes"), "{status}");

    let status = unary_bytes(address, &[0x0a, 0x7f, b'x']).await.expect_err("cut");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let status = unary_bytes(address, &[0x12, 0x02, 0x0a, 0x7f]).await.expect_err("cut within the publication");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("ends within field 1"), "{status}");
    let wrong_type = unary_bytes(address, &[0x10, 0x01]).await.expect_err("a number for a publication");
    assert_eq!(wrong_type.code(), Code::InvalidArgument, "{wrong_type}");

    other.publish(0, publication([("a", 1)])).await;
    assert_eq!(other.acknowledged().await, 1, "nobody else is disturbed");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_frame_of_many_publications_is_taken_in_parts_and_one_of_too_many_ends_its_stream() {
    let door = ClientDoorConfig { frame_publications_max: 5000, ..ClientDoorConfig::default() };
    let (cluster, address) = start_with(InProcessConfig { door, ..InProcessConfig::default() }).await;
    let mut publisher = Publisher::open(address, "p", 0).await;
    let item = v1::PublishItem { publication: Some(publication([("n", 1)])), ..v1::PublishItem::default() };
    let wrong = v1::PublishItem { publication: Some(publication([("gomera.x", 1)])), ..v1::PublishItem::default() };
    let mut items = vec![item; 5000];
    items[4321] = wrong.clone();
    publisher.send(v1::PublishFrame { items, ..v1::PublishFrame::default() }).await;
    let (mut through, mut refused) = (0, Vec::new());
    while through < 5000 {
        match publisher.reply().await.expect("goes on") {
            Some(Reply::Acknowledged(acknowledged)) => through = acknowledged.through,
            Some(Reply::Refused(refusal)) => refused.push(refusal.sequence),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, [4322]);
    // Each takes two bytes on the wire and much more here.
    publisher.send(v1::PublishFrame { items: vec![v1::PublishItem::default(); 5001], ..Default::default() }).await;
    let status = publisher.reply().await.expect_err("too many");
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("5001 publications, must have at most 5000"), "{status}");

    // Refusals nobody reads: the stream is read no further, and the end is told all the same.
    let mut silent = Publisher::open(address, "q", 0).await;
    silent.send(v1::PublishFrame { items: vec![wrong; 5000], ..v1::PublishFrame::default() }).await;
    silent.frames = None;
    let mut refused = 0;
    while let Some(reply) = silent.reply().await.expect("ends well") {
        refused += u64::from(matches!(reply, Reply::Refused(_)));
    }
    assert_eq!(refused, 5000);

    let request = v1::PublishRequest { publisher: "p".repeat(257), publication: Some(publication([("n", 1)])) };
    let status = connect(address).await.publish(request).await.expect_err("a long name");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("257 bytes"), "{status}");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn unknown_fields_are_passed_over() {
    let (cluster, address) = start().await;
    let mut subscriber = Subscriber::attach(&mut connect(address).await, "s").await;
    subscriber.subscribe("x", "a = 1").await;
    let mut inner = publication([("a", 1)]).encode_to_vec();
    // Field 1000 with a number, within the publication and beside it.
    inner.extend([0xc0, 0x3e, 0x05]);
    let mut request = vec![0x12, u8::try_from(inner.len()).expect("small")];
    request.extend(&inner);
    request.extend([0xc0, 0x3e, 0x05]);
    unary_bytes(address, &request).await.expect("acknowledged");
    assert_eq!(subscriber.next().await.publication.expect("one").attributes["a"], attribute(1));
    cluster.stop(Duration::ZERO).await;
}

/// Calls `Publish` with these bytes as the request.
async fn unary_bytes(address: SocketAddr, request: &[u8]) -> Result<(), Status> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = tonic::client::Grpc::new(channel.connect().await.expect("connects"));
    client.ready().await.expect("ready");
    let path = "/gomera.v1.PubSub/Publish".parse().expect("a path");
    let request = tonic::Request::new(bytes::Bytes::copy_from_slice(request));
    within(client.unary(request, path, support::bytes_codec::BytesCodec))
        .await
        .map(|_: tonic::Response<bytes::Bytes>| ())
}

#[tokio::test]
async fn the_newer_of_two_clients_with_one_session_name_wins() {
    let (cluster, address) = start().await;
    let mut client = connect(address).await;
    let mut older = Subscriber::attach(&mut client, "shared").await;
    older.subscribe("x", "a = 1").await;
    let mut newer = Subscriber::attach(&mut client, "shared").await;
    assert!(newer.attached.resumed && newer.attached.generation > older.attached.generation);
    let status = older.reply().await.expect_err("superseded");
    assert_eq!(status.code(), Code::Aborted, "{status}");
    publish(&mut client, publication([("a", 1)])).await.expect("acknowledged");
    assert_eq!(newer.next().await.satisfied, 1, "subscriptions stand");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_client_that_never_reads_holds_up_nobody_and_is_told_what_it_missed() {
    let (cluster, address) = start().await;
    let mut client = connect(address).await;
    let options = v1::SessionOptions { outbox_notifications_max: 100, ..v1::SessionOptions::default() };
    let attach =
        v1::AttachSession { session: "sleeper".to_owned(), options: Some(options), ..v1::AttachSession::default() };
    // A connection of its own: its window fills, nobody else's does.
    let mut sleeper = Subscriber::attach_with(&mut connect(address).await, attach).await.expect("attaches");
    sleeper.subscribe("all", "n >= 0").await;
    let mut reader = Subscriber::attach(&mut client, "reader").await;
    reader.subscribe("all", "n >= 0").await;
    let mut publisher = Publisher::open(address, "p", 0).await;
    let payload = bytes::Bytes::from(vec![7; 10_000]);
    for number in 0..1000_i64 {
        let one = v1::Publication { payload: payload.clone(), ..publication([("n", number)]) };
        publisher.publish(0, one).await;
        let notification = reader.next().await;
        assert_eq!(notification.publication.expect("one").attributes["n"], attribute(number));
        let (lane, number) = (notification.lane, notification.number);
        let through = v1::Vector { numbers: [(lane, number)].into() };
        let acknowledge = session_request::Body::Acknowledge(v1::Acknowledge { through: Some(through) });
        reader.requests.send(v1::SessionRequest { request: 0, body: Some(acknowledge) }).await.expect("open");
    }
    while publisher.acknowledged().await < 1000 {}
    let (mut seen, mut dropped) = (0, 0);
    while seen + dropped < 1000 {
        let notification = sleeper.next().await;
        match notification.gap {
            Some(gap) => dropped += gap.dropped,
            None => seen += 1,
        }
    }
    assert!(dropped > 0, "its outbox holds a hundred");
    assert_eq!(seen + dropped, 1000, "everything is either there or told");
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn listening_needs_one_call_and_no_acknowledgements() {
    let (cluster, address) = start().await;
    let mut client = connect(address).await;
    let text = v1::filter_source::Filter::Text("speed > $limit".to_owned());
    let request = v1::ListenRequest {
        filter: Some(v1::FilterSource { filter: Some(text) }),
        context: [("limit".to_owned(), attribute(50))].into(),
        slow: 0,
    };
    let mut heard = within(client.listen(request)).await.expect("listens").into_inner();
    // The call is answered when the subscription is in force: nothing is missed from then on.
    publish(&mut client, publication([("speed", 60)])).await.expect("acknowledged");
    let first = within(heard.message()).await.expect("goes on").expect("one");
    assert_eq!(first.publication.expect("one").attributes["speed"], attribute(60));
    let bad = v1::ListenRequest { filter: None, ..v1::ListenRequest::default() };
    assert_eq!(client.listen(bad).await.expect_err("no filter").code(), Code::InvalidArgument);
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn unary_calls_of_one_publisher_share_it_and_an_idle_one_is_replaced() {
    let door = ClientDoorConfig {
        unary_publishers_max: 2,
        unary_idle: Duration::from_millis(30),
        ..ClientDoorConfig::default()
    };
    let (cluster, address) = start_with(InProcessConfig { door, ..InProcessConfig::default() }).await;
    let mut subscriber = Subscriber::attach(&mut connect(address).await, "s").await;
    subscriber.subscribe("all", "n >= 0").await;
    let client = connect(address).await;
    let calls = (0..40_i64).map(|number| {
        let mut client = client.clone();
        async move {
            let request = v1::PublishRequest {
                publisher: format!("p{}", number % 4),
                publication: Some(publication([("n", number)])),
            };
            client.publish(request).await
        }
    });
    for outcome in futures_util::future::join_all(calls).await {
        match outcome {
            Ok(_) => {}
            // Two publishers at most, and both may be busy.
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
    }
    for number in 100..110 {
        tokio::time::sleep(Duration::from_millis(12)).await;
        publish(&mut client.clone(), publication([("n", number)])).await.expect("acknowledged, idle or not");
    }
    let mut last = -1;
    while last < 109 {
        let number = match subscriber.next().await.publication.expect("one").attributes["n"].value {
            Some(v1::value::Value::Integer(number)) => number,
            ref other => panic!("{other:?}"),
        };
        last = number;
    }
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let (cluster, address) = start().await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).expect("an address");
    let channel = channel.connect().await.expect("connects");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: "gomera.v1.PubSub".to_owned() };
    let status = within(health.check(request)).await.expect("known").into_inner();
    assert_eq!(status.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers =
        within(reflection.server_reflection_info(tokio_stream::once(request))).await.expect("served").into_inner();
    let answer = within(answers.message()).await.expect("goes on").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["gomera.v1.PubSub", "gomera.v1.Cluster", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    cluster.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_publication_that_has_expired_is_not_delivered_to_a_session_that_comes_back() {
    let (cluster, address) = start().await;
    let mut client = connect(address).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    subscriber.subscribe("x", "a > 0").await;
    drop(subscriber);
    let short =
        v1::Publication { expires_after: Some(to_duration(Duration::from_millis(30))), ..publication([("a", 1)]) };
    publish(&mut client, short).await.expect("acknowledged");
    publish(&mut client, publication([("a", 2)])).await.expect("acknowledged");
    tokio::time::sleep(Duration::from_millis(60)).await;
    let mut subscriber = Subscriber::attach(&mut client, "s").await;
    assert!(subscriber.attached.resumed);
    assert_eq!(subscriber.next().await.publication.expect("one").attributes["a"], attribute(2));
    cluster.stop(Duration::ZERO).await;
}
