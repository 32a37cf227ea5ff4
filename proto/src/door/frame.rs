//! Frames of notifications, written as they are delivered: no message in between, nothing allocated but the frame.

use bytes::Bytes;
use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::position::Position;
use gomera_cluster::publication::Envelope;
use gomera_connection_point::client::Delivery;
use prost::Message as _;
use prost::encoding::{WireType, encoded_len_varint};

use crate::value::to_timestamp;

/// Collects a `NotificationFrame` in its encoded form.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
}

impl FrameWriter {
    /// An empty frame with room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Adds one notification or gap.
    pub fn push(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Notification { envelope, position, satisfied, merged, redelivered, cost: _ } => {
                let notification = Notification {
                    envelope: &envelope,
                    position,
                    satisfied: &satisfied,
                    merged: &merged,
                    redelivered,
                    accepted: to_timestamp(envelope.accepted_at),
                };
                self.begin(notification.encoded_len());
                notification.encode(&mut self.bytes);
            }
            Delivery::Gap(_) => {
                let gap = super::notification(delivery);
                self.begin(gap.encoded_len());
                gap.encode(&mut self.bytes).expect("the buffer grows");
            }
        }
    }

    /// How long it has become.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The frame.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }

    /// A member of `NotificationFrame.notifications`.
    fn begin(&mut self, length: usize) {
        /// A key and a length.
        const AROUND_BYTES: usize = 11;
        self.bytes.reserve(AROUND_BYTES + length);
        key(1, WireType::LengthDelimited, &mut self.bytes);
        varint(wide(length), &mut self.bytes);
    }
}

/// A `gomera.v1.Notification` that is about to be written. Field numbers are those of `pubsub.proto`; all are below 16, so
/// that every key takes one byte.
struct Notification<'a> {
    envelope: &'a Envelope,
    position: Position,
    satisfied: &'a Satisfied,
    merged: &'a [Position],
    redelivered: bool,
    accepted: prost_types::Timestamp,
}

impl Notification<'_> {
    fn encoded_len(&self) -> usize {
        number_len(u64::from(self.position.lane.0))
            + number_len(self.position.number.0)
            + delimited_len(self.handles_len())
            + number_len(self.count())
            + delimited_len(self.envelope.content.len())
            + delimited_len(self.envelope.publisher.len())
            + fixed_len(self.envelope.key.instance.0)
            + number_len(self.envelope.key.sequence.0)
            + 1
            + encoded_len_varint(wide(self.accepted.encoded_len()))
            + self.accepted.encoded_len()
            + if self.redelivered { 2 } else { 0 }
            + delimited_len(self.merged_len())
    }

    fn encode(&self, into: &mut Vec<u8>) {
        number(1, u64::from(self.position.lane.0), into);
        number(2, self.position.number.0, into);
        self.handles(into);
        number(4, self.count(), into);
        delimited(5, &self.envelope.content, into);
        delimited(6, self.envelope.publisher.as_bytes(), into);
        if self.envelope.key.instance.0 != 0 {
            key(7, WireType::SixtyFourBit, into);
            into.extend_from_slice(&self.envelope.key.instance.0.to_le_bytes());
        }
        number(8, self.envelope.key.sequence.0, into);
        key(9, WireType::LengthDelimited, into);
        varint(wide(self.accepted.encoded_len()), into);
        self.accepted.encode(into).expect("the buffer grows");
        if self.redelivered {
            number(10, 1, into);
        }
        self.merged(into);
    }

    fn count(&self) -> u64 {
        match self.satisfied {
            Satisfied::One(_) => 1,
            Satisfied::Many(handles) => wide(handles.len()),
            Satisfied::Count(count) => u64::from(*count),
        }
    }

    /// The first handle, then the differences.
    fn differences(&self) -> impl Iterator<Item = u64> + '_ {
        let (one, many) = match self.satisfied {
            Satisfied::One(handle) => (Some(handle.0), [].as_slice()),
            Satisfied::Many(handles) => (None, handles.as_ref()),
            Satisfied::Count(_) => (None, [].as_slice()),
        };
        let mut before = 0;
        one.into_iter().chain(many.iter().map(move |handle| handle.0 - std::mem::replace(&mut before, handle.0)))
    }

    fn handles_len(&self) -> usize {
        self.differences().map(encoded_len_varint).sum()
    }

    fn handles(&self, into: &mut Vec<u8>) {
        let length = self.handles_len();
        if length > 0 {
            key(3, WireType::LengthDelimited, into);
            varint(wide(length), into);
            self.differences().for_each(|difference| varint(difference, into));
        }
    }

    /// A `Vector`: a map, each entry a message of key and value.
    fn merged_len(&self) -> usize {
        self.merged.iter().map(|&position| delimited_len(entry_len(position))).sum()
    }

    fn merged(&self, into: &mut Vec<u8>) {
        if self.merged.is_empty() {
            return;
        }
        key(11, WireType::LengthDelimited, into);
        varint(wide(self.merged_len()), into);
        for &position in self.merged {
            key(1, WireType::LengthDelimited, into);
            varint(wide(entry_len(position)), into);
            number(1, u64::from(position.lane.0), into);
            number(2, position.number.0, into);
        }
    }
}

fn entry_len(position: Position) -> usize {
    number_len(u64::from(position.lane.0)) + number_len(position.number.0)
}

fn number_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + encoded_len_varint(value) }
}

fn fixed_len(value: u64) -> usize {
    if value == 0 { 0 } else { 9 }
}

fn delimited_len(length: usize) -> usize {
    if length == 0 { 0 } else { 1 + encoded_len_varint(wide(length)) + length }
}

fn number(tag: u8, value: u64, into: &mut Vec<u8>) {
    if value != 0 {
        key(tag, WireType::Varint, into);
        varint(value, into);
    }
}

fn delimited(tag: u8, bytes: &[u8], into: &mut Vec<u8>) {
    if !bytes.is_empty() {
        key(tag, WireType::LengthDelimited, into);
        varint(wide(bytes.len()), into);
        into.extend_from_slice(bytes);
    }
}

/// A field's number, below 16, and type.
#[inline]
fn key(tag: u8, wire_type: WireType, into: &mut Vec<u8>) {
    debug_assert!(tag < 16, "a key of one byte");
    into.push(tag << 3 | wire_type as u8);
}

/// There is room for it already: no call per byte.
#[inline]
fn varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(u8::try_from(value & 0x7f).expect("masked to 7 bits") | 0x80);
        value >>= 7;
    }
    into.push(u8::try_from(value).expect("below 128"));
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("lengths of what is in memory")
}

/// About how many bytes a notification takes in a frame.
#[must_use]
pub fn delivery_bytes(delivery: &Delivery) -> usize {
    /// The fixed fields with their keys.
    const FIXED_BYTES: usize = 64;
    match delivery {
        Delivery::Notification { envelope, satisfied, .. } => {
            let handles = match satisfied {
                Satisfied::One(_) | Satisfied::Count(_) => 1,
                Satisfied::Many(handles) => handles.len(),
            };
            FIXED_BYTES + envelope.content.len() + envelope.publisher.len() + 5 * handles
        }
        Delivery::Gap(gap) => FIXED_BYTES + 16 * gap.ranges.len(),
    }
}

#[cfg(test)]
mod tests {
    //! Claims about frames of notifications.

    use std::sync::Arc;

    use gomera_cluster::identity::{Handle, Instance, PublisherKey, Sequence, Tenant};
    use gomera_cluster::message::connection_point::{Gap, GapRange};
    use gomera_cluster::position::{LaneId, Number};
    use gomera_cluster::publication::{AttributeBlock, PublicationKey};
    use gomera_model::timestamp::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::raw;

    fn position() -> impl Strategy<Value = Position> {
        (0_u32..300, prop_oneof![Just(0), any::<u64>()])
            .prop_map(|(lane, number)| Position { lane: LaneId(lane), number: Number(number) })
    }

    fn delivery() -> impl Strategy<Value = Delivery> {
        let satisfied = prop_oneof![
            any::<u64>().prop_map(|handle| Satisfied::One(Handle(handle))),
            prop::collection::btree_set(any::<u64>(), 0..5)
                .prop_map(|handles| Satisfied::Many(handles.into_iter().map(Handle).collect())),
            any::<u32>().prop_map(Satisfied::Count),
        ];
        let envelope = (prop_oneof![Just(0), any::<u64>()], any::<u64>(), -1_000_000_i64..1 << 52, "[a-z]{0,6}");
        let content = prop::collection::vec(any::<u8>(), 0..300);
        let merged = prop::collection::btree_map(0_u32..9, any::<u64>(), 0..3);
        let notification = (envelope, content, position(), satisfied, merged, any::<bool>()).prop_map(
            |((instance, sequence, accepted_at, publisher), content, position, satisfied, merged, redelivered)| {
                let key = PublicationKey {
                    publisher: PublisherKey(1),
                    instance: Instance(instance),
                    sequence: Sequence(sequence),
                };
                let envelope = Envelope {
                    tenant: Tenant::open(),
                    publisher: publisher.into(),
                    key,
                    accepted_at: Timestamp(accepted_at),
                    expires_at: None,
                    content: content.into(),
                    attributes: AttributeBlock::Encoded,
                };
                let merged = merged
                    .into_iter()
                    .map(|(lane, number)| Position { lane: LaneId(lane), number: Number(number) })
                    .collect();
                let envelope = Arc::new(envelope);
                Delivery::Notification { envelope, position, satisfied, merged, redelivered, cost: 1 }
            },
        );
        let gap = (any::<u64>(), position(), any::<u64>()).prop_map(|(dropped, from, last)| {
            let range = GapRange { lane: from.lane, first: from.number, last: Number(last) };
            Delivery::Gap(Gap { ranges: vec![range], dropped })
        });
        prop_oneof![5 => notification, 1 => gap]
    }

    proptest! {
        #[test]
        fn a_frame_reads_as_the_notifications_that_were_written(
            deliveries in prop::collection::vec(delivery(), 0..6)
        ) {
            let mut writer = FrameWriter::default();
            deliveries.iter().for_each(|delivery| writer.push(delivery.clone()));
            let read = raw::NotificationFrame::decode(writer.finish()).expect("a frame");
            let expected: Vec<_> = deliveries.into_iter().map(super::super::notification).collect();
            prop_assert_eq!(read.notifications, expected);
        }
    }
}
