//! Claims about frames on the wire: every message comes back as it went.

mod strategies;

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::identity::{Generation, Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::message::access_point::{Publish, Submission};
use gomera_cluster::message::matcher::{Entries, Entry};
use gomera_cluster::message::{Frame, Message, ToAccessPoint, ToMatcher};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_model::publication::Publication;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;
use proptest::prelude::*;

use super::*;
use crate::publication::encode_publication;

const ENDS: Ends = Ends { from: Incarnation(1), to: Incarnation(u64::MAX) };

fn encoded(frames: &[Frame]) -> Bytes {
    Encoder::default().encode(frames)
}

fn frame(message: Message) -> Frame {
    Frame {
        from: Address { node: ENDS.from, shard: Shard(3) },
        to: Address { node: ENDS.to, shard: Shard(0) },
        epoch: Epoch(7),
        message,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_message_comes_back_as_it_went(messages in prop::collection::vec(strategies::message(), 1..6)) {
        let frames: Vec<_> = messages.into_iter().map(frame).collect();
        let mut decoder = Decoder::new(Layer::ExitPoint);
        let mut encoder = Encoder::default();
        for _ in 0..2 {
            let decoded = decoder.decode(encoder.encode(&frames), ENDS).expect("what we encode decodes");
            prop_assert_eq!(format!("{:?}", &decoded), format!("{:?}", &frames));
        }
    }

    #[test]
    fn arbitrary_and_damaged_batches_do_no_harm(
        message in strategies::message(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut decoder = Decoder::new(Layer::Matcher);
        drop(decoder.decode(bytes.into(), ENDS));
        let mut damaged = encoded(&[frame(message)]).to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        drop(decoder.decode(damaged.into(), ENDS));
    }
}

fn envelope(content: &Publication, sequence: u64) -> Arc<Envelope> {
    let tenant = Tenant::open();
    Arc::new(Envelope {
        publisher: Arc::from("meter"),
        key: PublicationKey {
            publisher: PublisherKey::of(&tenant, "meter"),
            instance: Instance(9),
            sequence: Sequence(sequence),
        },
        tenant,
        accepted_at: Timestamp(1_000_000),
        expires_at: None,
        content: encode_publication(content),
        attributes: AttributeBlock::Encoded,
    })
}

fn entries(envelopes: &[Arc<Envelope>]) -> Message {
    let numbered = (1..).map(Number).zip(envelopes.iter().cloned().map(Entry::Publication));
    Message::Matcher(ToMatcher::Entries(Entries {
        lane: LaneId(1),
        class: gomera_cluster::credit::Class::Live,
        from: Number(0),
        to: Number(u64::try_from(envelopes.len()).expect("few")),
        entries: numbered.collect(),
        merged: Some(Number(0)),
    }))
}

#[test]
fn a_publication_stands_once_in_a_batch_however_many_frames_refer_to_it() {
    let payload = vec![7_u8; 10_000];
    let publication = Publication { payload: payload.into(), ..Publication::default() };
    let shared = [envelope(&publication, 1)];
    let one = encoded(&[frame(entries(&shared))]);
    let three = encoded(&[frame(entries(&shared)), frame(entries(&shared)), frame(entries(&shared))]);
    assert!(three.len() < one.len() + 100, "{} and {}", one.len(), three.len());
}

#[test]
fn a_matcher_gets_attributes_with_those_of_the_system() {
    let attributes = [("a", Value::Integer(5)), ("z", Value::from("x"))].into_iter().collect();
    let said = Publication { attributes, time: Some(Timestamp(5)), ..Publication::default() };
    let unsaid = Publication { time: None, ..said.clone() };
    let batch = encoded(&[frame(entries(&[envelope(&said, 1), envelope(&unsaid, 2)]))]);
    let decoded = Decoder::new(Layer::Matcher).decode(batch, ENDS).expect("decodes");
    let Message::Matcher(ToMatcher::Entries(entries)) = &decoded[0].message else { panic!("{decoded:?}") };
    let mut times = Vec::new();
    for (_, entry) in &entries.entries {
        let Entry::Publication(envelope) = entry else { panic!("{entry:?}") };
        let AttributeBlock::Decoded(attributes) = &envelope.attributes else { panic!("{envelope:?}") };
        let names: Vec<_> = attributes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "gomera.publisher", "gomera.time", "z"]);
        assert_eq!(attributes.get("gomera.publisher"), Some(&Value::from("meter")));
        times.push(attributes.get("gomera.time").cloned());
    }
    assert_eq!(times, [Some(Value::Timestamp(Timestamp(5))), Some(Value::Timestamp(Timestamp(1_000_000)))]);
}

#[test]
fn the_content_of_a_publication_shares_the_bytes_of_its_batch() {
    let publication = Publication { payload: vec![1_u8; 500].into(), ..Publication::default() };
    let batch = encoded(&[frame(entries(&[envelope(&publication, 1)]))]);
    let range = batch.as_ptr_range();
    let decoded = Decoder::new(Layer::AccessPoint).decode(batch.clone(), ENDS).expect("decodes");
    let Message::Matcher(ToMatcher::Entries(entries)) = &decoded[0].message else { panic!("{decoded:?}") };
    let Entry::Publication(envelope) = &entries.entries[0].1 else { panic!("{entries:?}") };
    assert!(range.contains(&envelope.content.as_ptr()));
}

#[test]
fn a_layout_comes_back_as_it_went() {
    let member = |layer, shards| Member {
        layer,
        name: Arc::from("one"),
        link_address: Arc::from("127.0.0.1:1"),
        client_address: Arc::from(""),
        shards,
    };
    let members = Layer::ALL.into_iter().zip(1..).map(|(layer, id)| (Incarnation(u64::MAX - id), member(layer, 2)));
    let layout =
        Layout::initial(Settings::default(), members.collect::<BTreeMap<_, _>>(), 2, Epoch(u64::MAX), LaneId(3));
    let layout = Arc::new(layout);
    let batch = encoded(&[frame(Message::Layout(layout.clone()))]);
    let decoded = Decoder::new(Layer::Matcher).decode(batch, ENDS).expect("decodes");
    let Message::Layout(back) = &decoded[0].message else { panic!("{decoded:?}") };
    assert_eq!(*back, layout);
}

#[test]
fn a_flag_that_names_nothing_is_refused_and_not_lost() {
    let frame = frame(Message::AccessPoint(ToAccessPoint::Publish(Publish {
        lane: LaneId(1),
        submissions: vec![Submission {
            envelope: envelope(&Publication::default(), 1),
            generation: Generation(1),
            resent: true,
        }],
        acknowledged_through: Vec::new(),
    })));
    let mut wire = v1::Batch::decode(encoded(&[frame])).expect("what we encode");
    let Some(v1::frame::Message::Publish(publish)) = &mut wire.frames[0].message else { panic!("{wire:?}") };
    assert_eq!(publish.resent, [0]);
    publish.resent = vec![1];
    let decoded = Decoder::new(Layer::AccessPoint).decode(wire.encode_to_vec().into(), ENDS);
    let error = decoded.expect_err("there is one submission");
    assert_eq!(error.to_string(), "batch does not decode: columns hold more than is said of them");
}

#[test]
fn a_batch_of_another_language_is_refused_with_what_is_wrong() {
    let wire = v1::Batch {
        frames: vec![v1::Frame {
            message: Some(v1::frame::Message::Publish(v1::Publish {
                envelopes: vec![0],
                generations: vec![1],
                ..v1::Publish::default()
            })),
            ..v1::Frame::default()
        }],
        ..v1::Batch::default()
    };
    let error =
        Decoder::new(Layer::AccessPoint).decode(wire.encode_to_vec().into(), ENDS).expect_err("no such publication");
    assert_eq!(error.to_string(), "batch does not decode: publication is not in the table");
}
