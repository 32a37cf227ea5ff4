//! Claims about publishers.

use gomera_cluster::message::connection_point::{PublisherSuperseded, Refusal, Refused};
use gomera_model::value::Value;

use super::*;

#[test]
fn hundreds_of_publications_in_one_request_are_one_frame_to_their_lane() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.publish(1, 1..=500);
    let published = bench.published();
    assert_eq!(published.len(), 1);
    assert_eq!(sequences(&published), (1..=500).collect::<Vec<_>>());
    assert!(published[0].submissions.iter().all(|submission| submission.generation == Generation(1)));
}

#[test]
fn publishers_of_one_batch_of_events_share_a_frame() {
    let mut bench = Bench::new(Config::default());
    for number in 1..=20 {
        bench.publisher(number, &format!("p{number}"), 9);
    }
    for number in 1..=20 {
        let request = ClientRequest::Publish { items: vec![item(1, "a")], acknowledged_through: Sequence(0) };
        bench.handle(Event::Client(ClientEvent::Request { connection: connection(number), request }));
    }
    bench.drain();
    let published = bench.published();
    assert_eq!((published.len(), published[0].submissions.len()), (1, 20));
}

#[test]
fn publications_that_come_before_the_publisher_is_open_wait_and_go_out_in_order() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    bench.publish(1, 1..=2);
    bench.publish(1, 3..=4);
    assert!(bench.published().is_empty());
    bench.open_publisher(5, 0, 0);
    let published = bench.published();
    assert_eq!(sequences(&published), [1, 2, 3, 4]);
    assert_eq!(published[0].submissions[0].generation, Generation(5));
    assert!(matches!(bench.replies(1)[..], [ClientReply::PublisherOpened { .. }]));
}

#[test]
fn a_publication_carries_key_tenant_time_and_the_system_attributes() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "meter", 9);
    bench.pass(Duration::from_secs(3));
    let measured = PublishItem { time: Some(Timestamp(5)), ..item(2, "b") };
    let items = vec![item(1, "a"), measured];
    bench.request(1, ClientRequest::Publish { items, acknowledged_through: Sequence(0) });
    let published = bench.published();
    let times: Vec<_> = published[0]
        .submissions
        .iter()
        .map(|submission| {
            let envelope = &submission.envelope;
            assert_eq!(envelope.tenant, Tenant::open());
            assert_eq!(envelope.key.publisher, PublisherKey::of(&Tenant::open(), "meter"));
            assert_eq!(envelope.accepted_at, Timestamp(1_003_000_000), "the clock, carried forward by three seconds");
            let AttributeBlock::Decoded(attributes) = &envelope.attributes else { panic!("decoded here") };
            assert_eq!(attributes.get("gomera.publisher"), Some(&Value::from("meter")));
            attributes.get("gomera.time").cloned()
        })
        .collect();
    assert_eq!(times, [Some(Value::Timestamp(Timestamp(1_003_000_000))), Some(Value::Timestamp(Timestamp(5)))]);
}

#[test]
fn acknowledgements_of_one_batch_of_events_are_one_reply() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, 1..=10);
    bench.replies(1);
    for sequence in [3, 7, 10] {
        let through = AcknowledgedThrough {
            publisher: open.publisher,
            instance: open.instance,
            generation: Generation(1),
            sequence: Sequence(sequence),
        };
        let acknowledged = Acknowledged { lane: LANE, through: vec![through] };
        bench.handle(received(ACCESS_POINT, ToConnectionPoint::Acknowledged(acknowledged)));
    }
    bench.drain();
    let replies = bench.replies(1);
    assert!(matches!(replies[..], [ClientReply::Acknowledged { through: Sequence(10) }]), "{replies:?}");
    assert_eq!(bench.statistics().publications_unacknowledged_bytes, 0);
}

#[test]
fn an_acknowledgement_of_another_generation_or_lane_does_not_count() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, 1..=2);
    bench.replies(1);
    bench.acknowledge(&open, 2, 2);
    bench.acknowledge(&OpenPublisher { lane: LaneId(7), ..open }, 1, 2);
    assert!(bench.replies(1).is_empty());
    assert_eq!(bench.statistics().messages_stale, 2);
}

#[test]
fn without_an_instance_the_connection_point_numbers_and_is_the_instance() {
    let mut bench = Bench::new(Config::default());
    for number in [1, 2] {
        bench.begin_publisher(number, "p", None);
    }
    let opens = bench.opens();
    assert_eq!(opens[0].publisher, opens[1].publisher, "one name");
    assert_ne!(opens[0].instance, opens[1].instance, "an instance for each connection");
    let opened = PublisherOpened {
        lane: LANE,
        publisher: opens[1].publisher,
        instance: opens[1].instance,
        connection: connection(2),
        generation: Generation(1),
        sequenced: Sequence(0),
        acknowledged: Sequence(0),
    };
    bench.hear(ACCESS_POINT, ToConnectionPoint::PublisherOpened(opened));
    bench.publish(2, [0, 0, 44]);
    assert_eq!(sequences(&bench.published()), [1, 2, 3]);
    // What is acknowledged, nobody sends again: the access point hears so with the next publication.
    bench.acknowledge(&opens[1], 1, 3);
    bench.publish(2, [0]);
    let told = bench.published()[0].acknowledged_through.clone();
    assert_eq!(told, [(opens[1].publisher, opens[1].instance, Sequence(3))]);
}

#[test]
fn a_publisher_without_a_name_gets_one_of_its_own() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "", None);
    bench.begin_publisher(2, "", None);
    let opens = bench.opens();
    assert_ne!(opens[0].publisher, opens[1].publisher);
}

#[test]
fn the_access_point_hears_once_what_the_client_has_seen() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, [1]);
    bench.acknowledge(&open, 1, 1);
    bench.published();
    for (sequence, expected) in [(2, 1), (3, 0)] {
        let items = vec![item(sequence, "a")];
        // More than it can have seen counts for what it can.
        bench.request(1, ClientRequest::Publish { items, acknowledged_through: Sequence(77) });
        let published = bench.published();
        assert_eq!(published[0].acknowledged_through.len(), expected);
        assert!(published[0].acknowledged_through.iter().all(|&(.., sequence)| sequence == Sequence(1)));
    }
}

#[test]
fn a_publication_before_the_publisher_is_opened_closes_the_connection() {
    let mut bench = Bench::new(Config::default());
    bench.connect(1);
    bench.publish(1, [1]);
    assert_eq!(bench.closed_with(1).kind, FailureKind::Precondition);
    bench.publish(1, [2]);
    assert!(bench.actions.is_empty(), "nothing about a closed connection");
}

#[test]
fn opening_twice_closes_the_connection() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.request(1, ClientRequest::OpenPublisher { publisher: Arc::from("p"), instance: None });
    assert_eq!(bench.closed_with(1).kind, FailureKind::Precondition);
    assert_eq!(bench.statistics().connections, 0);
}

#[test]
fn a_publisher_name_of_257_bytes_is_refused() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, &"x".repeat(257), None);
    assert_eq!(bench.closed_with(1).kind, FailureKind::Invalid);
    bench.begin_publisher(2, &"x".repeat(256), None);
    assert_eq!(bench.opens().len(), 1);
}

#[test]
fn bad_sequences_are_refused_one_by_one_and_the_connection_goes_on() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.replies(1);
    let items =
        vec![item(0, "a"), item(2, "a"), item(5, "a"), item(3, "a"), item(5, "other"), item(5, "a"), item(6, "a")];
    bench.request(1, ClientRequest::Publish { items, acknowledged_through: Sequence(0) });
    let refused: Vec<_> = bench
        .replies(1)
        .into_iter()
        .map(|reply| match reply {
            ClientReply::PublicationRefused { sequence, failure } => (sequence.0, failure.kind),
            other => panic!("not a refusal: {other:?}"),
        })
        .collect();
    let (invalid, exists) = (FailureKind::Invalid, FailureKind::AlreadyExists);
    assert_eq!(refused, [(0, invalid), (3, invalid), (5, exists)]);
    assert_eq!(sequences(&bench.published()), [2, 5, 6], "the repeat of 5 is known and not sent twice");
}

#[test]
fn a_repeat_of_what_is_acknowledged_is_acknowledged_again() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, 1..=3);
    bench.acknowledge(&open, 1, 3);
    bench.replies(1);
    bench.published();
    bench.publish(1, [2]);
    let replies = bench.replies(1);
    assert!(matches!(replies[..], [ClientReply::Acknowledged { through: Sequence(3) }]), "{replies:?}");
    assert!(bench.published().is_empty());
}

#[test]
fn a_resumed_publisher_sends_again_only_what_is_not_acknowledged() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    let items = (1..=6).map(|sequence| PublishItem { resent: true, ..item(sequence, "a") }).collect();
    bench.request(1, ClientRequest::Publish { items, acknowledged_through: Sequence(0) });
    bench.open_publisher(2, 5, 4);
    let replies = bench.replies(1);
    let [ClientReply::PublisherOpened { sequenced: Sequence(5), acknowledged: Sequence(4) }] = replies[..] else {
        panic!("opened: {replies:?}");
    };
    let published = bench.published();
    assert_eq!(sequences(&published), [5, 6]);
    assert!(published[0].submissions.iter().all(|submission| submission.resent));
}

#[test]
fn what_the_access_point_refuses_is_told_and_dropped() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, 1..=3);
    bench.replies(1);
    for (sequence, reason) in [(2, Refusal::Reused), (3, Refusal::OutOfRange), (3, Refusal::OutOfRange)] {
        bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(refused(&open, sequence, reason)));
    }
    let kinds: Vec<_> = bench
        .replies(1)
        .into_iter()
        .map(|reply| match reply {
            ClientReply::PublicationRefused { sequence, failure } => (sequence.0, failure.kind),
            other => panic!("not a refusal: {other:?}"),
        })
        .collect();
    assert_eq!(kinds, [(2, FailureKind::AlreadyExists), (3, FailureKind::OutOfRange)]);
    bench.acknowledge(&open, 1, 3);
    assert_eq!(bench.statistics().publications_unacknowledged_bytes, 0);
    assert_eq!(bench.statistics().publications_acknowledged, 1);
}

#[test]
fn a_lane_that_takes_nothing_closes_its_publishers_so_that_they_send_again() {
    for (reason, kind) in [(Refusal::Lane, FailureKind::Unavailable), (Refusal::Publishers(3), FailureKind::Exhausted)]
    {
        let mut bench = Bench::new(Config::default());
        let open = bench.publisher(1, "p", 9);
        bench.publish(1, [1]);
        bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(refused(&open, 1, reason)));
        assert_eq!(bench.closed_with(1).kind, kind);
    }
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    let open = bench.opens().pop().expect("asked");
    bench.hear(ACCESS_POINT, ToConnectionPoint::Refused(refused(&open, 0, Refusal::Publishers(3))));
    assert_eq!(bench.closed_with(1).kind, FailureKind::Exhausted, "also as the answer to opening");
}

fn refused(open: &OpenPublisher, sequence: u64, reason: Refusal) -> Refused {
    Refused {
        lane: open.lane,
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(1),
        sequence: Sequence(sequence),
        reason,
    }
}

#[test]
fn a_second_connection_of_one_instance_supersedes_the_first_here() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    bench.begin_publisher(2, "p", Some(9));
    assert_eq!(bench.closed_with(1).kind, FailureKind::Aborted);
    let open = bench.open_publisher(2, 0, 0);
    let superseded = PublisherSuperseded {
        lane: LANE,
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(1),
    };
    bench.hear(ACCESS_POINT, ToConnectionPoint::PublisherSuperseded(superseded));
    bench.publish(2, [1]);
    assert_eq!(sequences(&bench.published()), [1], "the newer one goes on");
}

#[test]
fn a_publisher_superseded_elsewhere_is_closed() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    let superseded = PublisherSuperseded {
        lane: LANE,
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(1),
    };
    bench.hear(ACCESS_POINT, ToConnectionPoint::PublisherSuperseded(superseded));
    assert_eq!(bench.closed_with(1).kind, FailureKind::Aborted);
}

#[test]
fn what_waits_for_credit_is_dropped_with_its_connection() {
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(layout(1));
    bench.publisher(1, "p", 9);
    bench.publisher(2, "q", 9);
    bench.publish(1, 1..=3);
    bench.publish(2, 1..=3);
    assert!(bench.published().is_empty(), "nothing before the first grant");
    bench.disconnect(1);
    bench.credit(Class::Live, UNLIMITED);
    let published = bench.published();
    let publishers: Vec<_> =
        published[0].submissions.iter().map(|submission| &*submission.envelope.publisher).collect();
    assert_eq!(publishers, ["q"; 3]);
}

#[test]
fn with_a_credit_window_of_one_publications_leave_one_by_one_and_publishers_in_turn() {
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(layout(1));
    bench.publisher(1, "p", 9);
    bench.publisher(2, "q", 9);
    bench.publish(1, 1..=2);
    bench.publish(2, 1..=2);
    let (mut total, mut order) = (1, Vec::new());
    for _ in 0..4 {
        bench.credit(Class::Live, total);
        let published = bench.published();
        let [publish] = &published[..] else { panic!("one frame: {published:?}") };
        let [submission] = &publish.submissions[..] else { panic!("one publication: {publish:?}") };
        order.push((submission.envelope.publisher.to_string(), submission.envelope.key.sequence.0));
        total += publish.cost();
    }
    let expected = [("p", 1), ("q", 1), ("p", 2), ("q", 2)].map(|(name, sequence)| (name.to_owned(), sequence));
    assert_eq!(order, expected);
}

#[test]
fn frames_stay_near_a_mebibyte() {
    let config = Config { publisher_window_bytes: 8 << 20, ..Config::default() };
    let mut bench = Bench::new(config);
    bench.publisher(1, "p", 9);
    bench.publish(1, 1..=30_000);
    let published = bench.published();
    assert_eq!(sequences(&published), (1..=30_000).collect::<Vec<_>>());
    assert!(published.len() > 1);
    assert!(published.iter().all(|publish| publish.cost() <= (1 << 20) + 1024));
}

#[test]
fn when_a_publisher_leaves_the_access_point_hears_what_nobody_will_send_again() {
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(layout(1));
    bench.credit(Class::Live, 1);
    bench.begin_publisher(1, "p", None);
    let own = bench.open_publisher(1, 0, 0);
    bench.publish(1, [0]);
    bench.published();
    bench.disconnect(1);
    let told = bench.published().pop().expect("needs no credit");
    assert!(told.submissions.is_empty());
    assert_eq!(told.acknowledged_through, [(own.publisher, own.instance, Sequence(1))]);

    bench.publisher(2, "q", 9);
    bench.disconnect(2);
    assert!(bench.published().is_empty(), "a client may send again what it has not seen acknowledged");
}
