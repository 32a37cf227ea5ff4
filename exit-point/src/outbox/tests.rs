//! Claims of an outbox: accounting, what is sent again, what is flagged, what it keeps alive.

use gomera_cluster::identity::Handle;
use gomera_cluster::position::LaneId;

use super::*;
use crate::testing::{LANES, at, envelope, expiring};

fn step() -> Arc<Step> {
    Arc::new(Step { number: 1, vector: Vector::default() })
}

fn entry(lane: LaneId, number: u64) -> Entry {
    Entry {
        position: at(lane, number),
        envelope: envelope(number),
        step: step(),
        satisfied: Satisfied::One(Handle(1)),
        cost: 100,
        lean: Lean::Frame,
        audience: Audience::One,
    }
}

fn filled(numbers: std::ops::RangeInclusive<u64>) -> Outbox {
    let mut outbox = Outbox::default();
    for number in numbers {
        outbox.push(entry(LANES[0], number));
    }
    outbox
}

fn send(outbox: &mut Outbox, count: usize) -> Vec<(u64, bool)> {
    (0..count)
        .map(|_| {
            let (entry, again) = outbox.unsent().expect("something to send");
            let sent = (entry.position.number.0, again);
            outbox.mark_sent();
            sent
        })
        .collect()
}

fn restart(outbox: &mut Outbox, start: Start) {
    outbox.rewind();
    outbox.begin(start);
}

#[test]
fn what_may_have_been_delivered_is_flagged_and_what_was_not_is_not() {
    let mut outbox = filled(1..=4);
    assert_eq!(send(&mut outbox, 2), [(1, false), (2, false)]);
    restart(&mut outbox, Start::Acknowledgement);
    assert_eq!(send(&mut outbox, 3), [(1, true), (2, true), (3, false)]);
    restart(&mut outbox, Start::Vector);
    assert_eq!(send(&mut outbox, 1), [(1, true)], "doubt of an earlier attachment remains");
    restart(&mut outbox, Start::Vector);
    assert_eq!(send(&mut outbox, 4), [(1, true), (2, true), (3, false), (4, false)], "3 lay above its vector");
}

#[test]
fn an_acknowledgement_trims_the_front_by_vector() {
    let mut outbox = filled(1..=3);
    outbox.push(entry(LANES[1], 1));
    outbox.push(entry(LANES[0], 4));
    send(&mut outbox, 5);
    let settled = [at(LANES[0], 4)].into_iter().collect();
    assert_eq!(outbox.acknowledge(&settled), Freed { bytes: 300, notifications: 3 });
    assert_eq!(outbox.len(), 2, "what stands behind another lane's waits for it");
    let settled = [at(LANES[0], 4), at(LANES[1], 1)].into_iter().collect();
    assert_eq!(outbox.acknowledge(&settled).notifications, 2);
    assert_eq!((outbox.bytes(), outbox.len()), (0, 0));
}

#[test]
fn removing_from_the_middle_keeps_what_is_sent_apart() {
    let mut outbox = filled(1..=6);
    send(&mut outbox, 4);
    restart(&mut outbox, Start::Acknowledgement);
    send(&mut outbox, 2);
    assert_eq!(outbox.remove(|entry| entry.position.number.0 % 2 == 1).notifications, 3);
    assert_eq!(send(&mut outbox, 2), [(4, true), (6, false)], "2 is sent, 4 was sent before, 6 never");
    assert_eq!(outbox.bytes(), 300);
}

#[test]
fn the_oldest_goes_first_and_says_whether_it_is_on_its_way() {
    let mut outbox = filled(1..=3);
    send(&mut outbox, 1);
    let dropped = |outbox: &mut Outbox| outbox.drop_oldest().map(|(entry, sent)| (entry.position.number.0, sent));
    assert_eq!(dropped(&mut outbox), Some((1, Sent::Now)));
    assert_eq!(dropped(&mut outbox), Some((2, Sent::No)));
    assert_eq!(send(&mut outbox, 1), [(3, false)]);
}

#[test]
fn a_limit_is_overdrawn_by_one_notification_at_most() {
    let limits = Limits { bytes_max: 150, notifications_max: 100 };
    let mut outbox = filled(1..=1);
    assert!(!outbox.is_full(limits), "100 of 150 bytes: the next one goes in");
    outbox.push(entry(LANES[0], 2));
    assert!(outbox.is_full(limits));
    assert!(!Outbox::default().is_full(Limits { bytes_max: 0, notifications_max: 0 }), "an empty one is never full");
}

#[test]
fn what_stays_is_copied_out_of_its_frame() {
    let frame = Bytes::from(vec![7; 1 << 16]);
    let sliced = |range| {
        let mut sliced = Envelope::clone(&envelope(1));
        sliced.content = frame.slice(range);
        Arc::new(sliced)
    };
    let mut outbox = Outbox::default();
    outbox.push(Entry { envelope: sliced(0..10), ..entry(LANES[0], 1) });
    outbox.push(Entry { envelope: sliced(10..20), lean: Lean::Itself, ..entry(LANES[0], 2) });
    assert_eq!(outbox.keep(ContentBuffers::Shared), 10, "the second is kept already");
    assert_eq!(outbox.keep(ContentBuffers::Shared), 0);
    outbox.remove(|entry| entry.position.number.0 == 2);
    assert!(frame.is_unique(), "nothing leans on the frame any more");
}

#[test]
fn in_one_process_contents_are_not_copied() {
    let envelope = envelope(1);
    assert!(Arc::ptr_eq(&envelope, &keepable(&envelope, ContentBuffers::Own)));
    let copy = keepable(&envelope, ContentBuffers::Shared);
    assert_eq!(copy.content, envelope.content);
    assert_ne!(copy.content.as_ptr(), envelope.content.as_ptr());
}

#[test]
fn the_earliest_expiry_is_known() {
    let mut outbox = filled(1..=1);
    assert_eq!(outbox.first_expiry(), None);
    for (number, expires) in [(2, 50), (3, 20)] {
        let envelope = expiring(number, Some(Timestamp(expires)));
        outbox.push(Entry { envelope, ..entry(LANES[0], number) });
    }
    assert_eq!(outbox.first_expiry(), Some(Timestamp(20)));
    assert_eq!(outbox.remove(|entry| entry.is_expired(Timestamp(20))).notifications, 1);
    assert_eq!(outbox.first_expiry(), Some(Timestamp(50)));
}

#[test]
fn memory_is_given_back_after_a_burst() {
    let mut outbox = filled(1..=10_000);
    let settled = [at(LANES[0], 10_000)].into_iter().collect();
    outbox.acknowledge(&settled);
    assert!(outbox.entries.capacity() < 1000, "{}", outbox.entries.capacity());
}
