//! Claims about notifications.

use gomera_cluster::message::connection_point::Gap;

use super::*;
use crate::client::Delivery;

fn numbers(replies: &[ClientReply]) -> Vec<u64> {
    let deliveries = replies.iter().filter_map(|reply| {
        let ClientReply::Notifications(deliveries) = reply else { return None };
        Some(deliveries)
    });
    deliveries
        .flatten()
        .map(|delivery| match delivery {
            Delivery::Notification { position, .. } => position.number.0,
            Delivery::Gap(gap) => 1_000 + gap.dropped,
        })
        .collect()
}

#[test]
fn frames_of_one_batch_of_events_are_one_reply_a_connection() {
    let mut bench = Bench::new(Config::default());
    let attaches: Vec<_> = (1..=10).map(|number| bench.session(number, &format!("s{number}"), number)).collect();
    for number in 1..=10 {
        bench.replies(number);
    }
    for frame in 0..5 {
        let batches = attaches
            .iter()
            .zip(1..)
            .map(|(attach, generation)| batch(attach, generation, vec![notification(0, frame + 1, 10)]))
            .collect();
        let notifications = Notifications { publications: vec![publication(frame)], batches };
        bench.handle(received(EXIT_POINT, ToConnectionPoint::Notifications(notifications)));
    }
    bench.drain();
    for number in 1..=10 {
        let replies = bench.replies(number);
        assert_eq!(replies.len(), 1);
        assert_eq!(numbers(&replies), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn notifications_of_another_attachment_connection_or_term_are_dropped() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 4);
    bench.replies(1);
    let good = batch(&attach, 4, vec![notification(0, 1, 10)]);
    let stale = [
        Batch { generation: Generation(3), ..good.clone() },
        Batch { connection: connection(7), ..good.clone() },
        Batch { session: SessionKey(1), ..good.clone() },
        Batch { term: Term(0), ..good.clone() },
        Batch { slice: gomera_cluster::layout::SessionSlice(999), ..good.clone() },
    ];
    for batch in stale {
        bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch] });
    }
    assert!(bench.replies(1).is_empty());
    assert_eq!(bench.statistics().messages_stale, 5);
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![good.clone()] });
    assert_eq!(numbers(&bench.replies(1)), [1]);
    // Somebody reigns in a higher term: the older one is not heard from that instant on.
    let newer = Batch { term: Term(2), connection: connection(7), ..good.clone() };
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![newer] });
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![good] });
    assert!(bench.replies(1).is_empty());
}

#[test]
fn credit_goes_back_as_the_client_takes() {
    let mut bench = Bench::new(Config { session_window_bytes: 100, ..Config::default() });
    let attach = bench.session(1, "s", 4);
    bench.told_exit_point();
    let items = vec![notification(0, 1, 40), notification(0, 2, 40)];
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 4, items)] });
    bench.taken(1, 40);
    assert!(bench.told_exit_point().is_empty(), "less than half a window");
    bench.taken(1, 40);
    let told = bench.told_exit_point();
    let [ToExitPoint::SessionCredit(credit)] = &told[..] else { panic!("credit: {told:?}") };
    assert_eq!((credit.total, credit.generation), (Total(180), Generation(4)));
}

#[test]
fn a_client_that_never_reads_is_sent_no_more_than_its_window() {
    let mut bench = Bench::new(Config { session_window_bytes: 100, ..Config::default() });
    let attach = bench.session(1, "s", 4);
    let items = vec![notification(0, 1, 100)];
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 4, items)] });
    assert_eq!(numbers(&bench.replies(1)), [1]);
    for number in 2..100 {
        let gap = Item::Gap(Gap { ranges: Vec::new(), dropped: number });
        bench.notify(Notifications { publications: Vec::new(), batches: vec![batch(&attach, 4, vec![gap])] });
    }
    assert!(bench.replies(1).is_empty(), "gaps wait as well, as one");
    assert_eq!(bench.statistics().deliveries_held, 1);
    bench.taken(1, 100);
    assert_eq!(numbers(&bench.replies(1)), [1_000 + (2..100).sum::<u64>()]);
}

#[test]
fn what_the_client_did_not_ask_for_yet_is_held_here() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    bench.request(1, ClientRequest::Credit { notifications_total: 2 });
    let attach = bench.attach(4);
    let items = (1..=5).map(|number| notification(0, number, 10)).collect();
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 4, items)] });
    assert_eq!(numbers(&bench.replies(1)), [1, 2]);
    assert_eq!(bench.statistics().deliveries_held, 3);
    bench.request(1, ClientRequest::Credit { notifications_total: 4 });
    assert_eq!(numbers(&bench.replies(1)), [3, 4]);
    bench.disconnect(1);
    assert_eq!(bench.statistics().deliveries_held, 0);
}

#[test]
fn acknowledgements_of_one_batch_of_events_are_one_message() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 4);
    bench.told_exit_point();
    for number in [3, 9, 5] {
        let through = [Position { lane: LANE, number: Number(number) }].into_iter().collect();
        let request = ClientRequest::Acknowledge(through);
        bench.handle(Event::Client(ClientEvent::Request { connection: connection(1), request }));
    }
    bench.drain();
    let told = bench.told_exit_point();
    let [ToExitPoint::Acknowledge(acknowledge)] = &told[..] else { panic!("one message: {told:?}") };
    assert_eq!(acknowledge.through.get(LANE), Number(9));
    bench.drain();
    assert!(bench.told_exit_point().is_empty(), "told once");
}

#[test]
fn an_acknowledgement_of_absurdly_many_lanes_fails() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "s", 4);
    bench.replies(1);
    bench.request(1, ClientRequest::Acknowledge(vector(4097)));
    assert_eq!(bench.failures(1)[0].1.kind, FailureKind::Invalid);
    assert_eq!(bench.closed(1), None);
}
