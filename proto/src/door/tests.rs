//! Claims about what clients send and get.

use gomera_cluster::message::connection_point::{Gap, GapRange};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::session::SlowPolicy;
use gomera_connection_point::client::{ClientOperation, Delivery, RequestId};

use super::*;

fn request(body: v1::session_request::Body) -> Result<ClientRequest, RequestError> {
    session_request(v1::SessionRequest { request: 3, body: Some(body) }, &Limits::default())
}

fn attach(session: &str, options: v1::SessionOptions) -> Result<gomera_cluster::session::SessionOptions, RequestError> {
    let attach =
        v1::AttachSession { session: session.to_owned(), options: Some(options), ..v1::AttachSession::default() };
    match request(v1::session_request::Body::Attach(attach))? {
        ClientRequest::Attach { options, request: RequestId(3), .. } => Ok(options),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_session_does_not_say_is_the_default() {
    let defaults = gomera_cluster::session::SessionOptions::default();
    assert_eq!(attach("name", v1::SessionOptions::default()), Ok(defaults.clone()));
    let nameless = attach("", v1::SessionOptions::default()).expect("valid");
    assert_eq!(nameless.expires_after, Duration::ZERO, "ends with its connection");
    let block = v1::SessionOptions { slow: v1::SlowPolicy::Block.into(), ..v1::SessionOptions::default() };
    assert_eq!(attach("name", block).expect("valid").slow, SlowPolicy::Block { wait_max: BLOCK_MAX_DEFAULT });
}

#[test]
fn requests_that_make_no_sense_say_why() {
    use v1::session_request::Body;
    let text = |text: &str| Some(v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(text.to_owned())) });
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let cases = [
        (Body::Subscribe(v1::Subscribe { filter: text("a = "), ..v1::Subscribe::default() }), "line 1, column 5"),
        (Body::Subscribe(v1::Subscribe::default()), "filter is missing"),
        (
            Body::Subscribe(v1::Subscribe {
                filter: text("a = 1"),
                options: Some(v1::SubscriptionOptions { paused: false, expires_after: negative }),
                ..v1::Subscribe::default()
            }),
            "options.expires_after: duration has -1 seconds",
        ),
        (Body::List(v1::ListSubscriptions { after: 0, limit: 1001 }), "limit is 1001, must be at most 1000"),
        (Body::Acknowledge(v1::Acknowledge { through: None }), "`acknowledge.through` is not set"),
        (
            Body::Attach(v1::AttachSession {
                options: Some(v1::SessionOptions { slow: 99, ..v1::SessionOptions::default() }),
                ..v1::AttachSession::default()
            }),
            "slow is 99",
        ),
        (
            Body::SetContext(v1::SetContext { context: [("x".to_owned(), v1::Value { value: None })].into() }),
            "context: attribute `x` has no value",
        ),
    ];
    for (body, expected) in cases {
        let error = request(body).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let wrong = request(Body::Subscribe(v1::Subscribe { filter: text("a = "), ..v1::Subscribe::default() }));
    assert_eq!(wrong.expect_err("cut").offset(), Some(4));
    let empty = session_request(v1::SessionRequest::default(), &Limits::default());
    assert_eq!(empty.expect_err("no body").to_string(), "`body` is not set");
}

#[test]
fn a_list_has_a_hundred_unless_told_otherwise() {
    let list = request(v1::session_request::Body::List(v1::ListSubscriptions { after: 0, limit: 0 }));
    let Ok(ClientRequest::Operate { operation: ClientOperation::List { after: None, limit }, .. }) = list else {
        panic!("{list:?}");
    };
    assert_eq!(limit, 100);
}

#[test]
fn a_publisher_without_an_instance_gets_ours_and_our_numbers() {
    let opened = open_publisher(v1::OpenPublisher { publisher: "p".to_owned(), instance: 0 }, Instance(77));
    let ClientRequest::OpenPublisher { instance: Some(Instance(77)), .. } = opened else { panic!("{opened:?}") };
    let mut reader = PublicationReader::new(PublicationLimits::default());
    let wire = raw::PublishItem { sequence: 9, resent: true, ..raw::PublishItem::default() };
    let item = publish_item(wire.clone(), Some(Sequence(1)), &mut reader).expect("empty is valid");
    assert_eq!((item.sequence, item.resent), (Sequence(1), false));
    let item = publish_item(wire, None, &mut reader).expect("empty is valid");
    assert_eq!((item.sequence, item.resent), (Sequence(9), true));
}

#[test]
fn a_gap_is_told_in_its_place() {
    let ranges = vec![GapRange { lane: LaneId(1), first: Number(2), last: Number(9) }];
    let wire = notification(Delivery::Gap(Gap { ranges, dropped: 3 }));
    assert_eq!(wire.gap.map(|gap| (gap.dropped, gap.ranges[0].last)), Some((3, 9)));
}
