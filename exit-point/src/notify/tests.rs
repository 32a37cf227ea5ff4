//! Claims of frames: each publication once, one batch a session, closed in time.

use gomera_cluster::identity::Handle;

use super::*;
use crate::testing::{CONNECTION_POINT, LANES, OTHER_CONNECTION_POINT, at, envelope, session};

fn notifier(content_bytes_max: u64, handles_bytes_max: u64) -> Notifier {
    Notifier::new(FrameSize { content_bytes_max, handles_bytes_max }, Seeded::new(1))
}

fn heading(name: &str) -> Heading {
    Heading {
        session: session(name),
        slice: SessionSlice(0),
        term: Term(1),
        connection: ConnectionId(1),
        generation: Generation(1),
    }
}

fn told(envelope: &Arc<Envelope>, audience: Audience, satisfied: Satisfied) -> Told<'_> {
    let position = at(LANES[0], envelope.key.sequence.0);
    Told { envelope, audience, position, satisfied, merged: Vec::new(), redelivered: false, cost: 1 }
}

fn drained(notifier: &mut Notifier) -> Vec<(Address, Notifications)> {
    let mut frames = Vec::new();
    notifier.drain(|to, frame| frames.push((to, frame)));
    frames
}

#[test]
fn a_publication_travels_once_a_frame() {
    let mut notifier = notifier(1 << 20, 1 << 20);
    let envelope = envelope(1);
    for name in ["a", "b", "c"] {
        let mut writer = notifier.write(CONNECTION_POINT, heading(name));
        writer.notification(told(&envelope, Audience::Several, Satisfied::One(Handle(1))));
    }
    let mut writer = notifier.write(OTHER_CONNECTION_POINT, heading("d"));
    writer.notification(told(&envelope, Audience::Several, Satisfied::One(Handle(1))));
    drop(writer);
    let frames = drained(&mut notifier);
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].1.publications.len(), frames[0].1.batches.len()), (1, 3));
    assert_eq!((frames[1].0, frames[1].1.batches.len()), (OTHER_CONNECTION_POINT, 1));
    assert!(drained(&mut notifier).is_empty(), "nothing is sent twice");
}

#[test]
fn a_frame_is_closed_by_its_contents_and_the_session_goes_on_in_the_next() {
    let mut notifier = notifier(2 * envelope(1).cost(), 1 << 20);
    let envelopes = (1..=5).map(envelope).collect::<Vec<_>>();
    let mut writer = notifier.write(CONNECTION_POINT, heading("a"));
    for envelope in &envelopes {
        writer.notification(told(envelope, Audience::One, Satisfied::One(Handle(1))));
    }
    drop(writer);
    let frames = drained(&mut notifier);
    let sizes = frames.iter().map(|(_, frame)| frame.publications.len()).collect::<Vec<_>>();
    assert_eq!(sizes, [2, 2, 1]);
    assert!(frames.iter().all(|(_, frame)| frame.batches.len() == 1));
}

#[test]
fn each_frame_brings_the_publications_it_refers_to() {
    let mut notifier = notifier(2 * envelope(1).cost(), 1 << 20);
    let (first, second) = (envelope(1), envelope(2));
    for (name, envelopes) in [("a", vec![&first, &second]), ("b", vec![&second])] {
        let mut writer = notifier.write(CONNECTION_POINT, heading(name));
        for envelope in envelopes {
            writer.notification(told(envelope, Audience::Several, Satisfied::One(Handle(1))));
        }
    }
    let sizes = drained(&mut notifier).iter().map(|(_, frame)| frame.publications.len()).collect::<Vec<_>>();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn a_frame_is_closed_by_its_handles() {
    let mut notifier = notifier(1 << 30, 64);
    let (first, second) = (envelope(1), envelope(2));
    let many = Satisfied::Many((0..20).map(Handle).collect());
    let mut writer = notifier.write(CONNECTION_POINT, heading("a"));
    writer.notification(told(&first, Audience::One, many));
    writer.notification(told(&second, Audience::One, Satisfied::One(Handle(1))));
    drop(writer);
    assert_eq!(drained(&mut notifier).len(), 2);
}

#[test]
fn a_gap_alone_is_a_frame() {
    let mut notifier = notifier(1, 1);
    notifier.write(CONNECTION_POINT, heading("a")).gap(Gap { ranges: Vec::new(), dropped: 1 });
    drop(notifier.write(CONNECTION_POINT, heading("b")));
    let frames = drained(&mut notifier);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].1.batches.len(), 1, "a session without items has no batch");
}
