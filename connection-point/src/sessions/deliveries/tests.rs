//! Claims about deliveries of one session.

use bytes::Bytes;
use gomera_cluster::identity::{Handle, Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::message::connection_point::{GapRange, Notification, Satisfied};
use gomera_cluster::position::{LaneId, Number, Position};
use gomera_cluster::publication::{AttributeBlock, PublicationKey};
use gomera_model::timestamp::Timestamp;

use super::*;

fn publications() -> Vec<Arc<Envelope>> {
    let tenant = Tenant::open();
    vec![Arc::new(Envelope {
        key: PublicationKey { publisher: PublisherKey::of(&tenant, "p"), instance: Instance(1), sequence: Sequence(1) },
        tenant,
        publisher: Arc::from("p"),
        accepted_at: Timestamp(0),
        expires_at: None,
        content: Bytes::new(),
        attributes: AttributeBlock::Encoded,
    })]
}

fn position(number: u64) -> Position {
    Position { lane: LaneId(1), number: Number(number) }
}

fn notification(number: u64, cost: u64) -> Item {
    Item::Notification(Notification {
        publication: 0,
        position: position(number),
        satisfied: Satisfied::One(Handle(1)),
        merged: Vec::new(),
        redelivered: false,
        cost,
    })
}

fn gap(lane: u32, first: u64, last: u64) -> Item {
    let range = GapRange { lane: LaneId(lane), first: Number(first), last: Number(last) };
    Item::Gap(Gap { ranges: vec![range], dropped: last - first + 1 })
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries
        .iter()
        .map(|delivery| match delivery {
            Delivery::Notification { position, .. } => position.number.0,
            Delivery::Gap(gap) => 1_000 + gap.dropped,
        })
        .collect()
}

#[test]
fn with_a_window_of_one_each_taken_notification_grants_the_next() {
    let mut deliveries = Deliveries::new(1);
    assert_eq!(deliveries.granted(), Total(1));
    assert_eq!(numbers(&deliveries.receive(vec![notification(1, 300)], &publications())), [1]);
    assert_eq!(deliveries.taken(300), Some(Total(301)));
}

#[test]
fn what_the_client_has_not_allowed_waits_and_keeps_the_exit_points_credit() {
    let mut deliveries = Deliveries::new(1_000);
    deliveries.allow(2);
    let items = (1..=4).map(|number| notification(number, 400)).collect();
    assert_eq!(numbers(&deliveries.receive(items, &publications())), [1, 2]);
    assert_eq!(deliveries.taken(800), Some(Total(1_800)), "only what was taken is granted anew");
    assert!(deliveries.release().is_empty());
    deliveries.allow(3);
    deliveries.allow(1);
    assert_eq!(numbers(&deliveries.release()), [3]);
    assert_eq!(deliveries.held(), 1);
    deliveries.allow(100);
    assert_eq!(numbers(&deliveries.release()), [4]);
}

#[test]
fn a_gap_stays_in_its_place_behind_what_is_held() {
    let mut deliveries = Deliveries::new(1_000);
    deliveries.allow(1);
    let items = vec![notification(1, 10), notification(2, 10), gap(1, 3, 4), notification(5, 10)];
    assert_eq!(numbers(&deliveries.receive(items, &publications())), [1]);
    deliveries.allow(9);
    assert_eq!(numbers(&deliveries.release()), [2, 1_002, 5]);
}

#[test]
fn gaps_of_a_client_that_does_not_read_become_one() {
    let mut deliveries = Deliveries::new(100);
    assert_eq!(numbers(&deliveries.receive(vec![notification(1, 100)], &publications())), [1]);
    for number in 2..500 {
        assert!(deliveries.receive(vec![gap(1, number, number), gap(2, 7, 7)], &publications()).is_empty());
    }
    assert_eq!(deliveries.held(), 1);
    assert!(deliveries.taken(100).is_some());
    let released = deliveries.release();
    let [Delivery::Gap(gap)] = &released[..] else { panic!("one gap: {released:?}") };
    assert_eq!(gap.dropped, 996);
    let first = GapRange { lane: LaneId(1), first: Number(2), last: Number(499) };
    assert_eq!(gap.ranges, [first, GapRange { lane: LaneId(2), first: Number(7), last: Number(7) }]);
}

#[test]
fn an_item_without_its_publication_is_dropped() {
    let mut deliveries = Deliveries::new(100);
    assert!(deliveries.receive(vec![notification(1, 100)], &[]).is_empty());
    assert_eq!(deliveries.held(), 0);
}

#[test]
fn taking_more_than_is_under_way_grants_no_more_than_was_sent() {
    let mut deliveries = Deliveries::new(100);
    deliveries.receive(vec![notification(1, 60)], &publications());
    assert_eq!(deliveries.taken(u64::MAX), Some(Total(160)));
    assert_eq!(deliveries.taken(u64::MAX), None);
}
