//! What a matcher is told.

use std::sync::Arc;

use gomera_cluster::layout::Epoch;
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::position::{LaneId, Number};
use v1::frame::Message as Wire;

use super::tables::{Decoder, Encoder};
use super::{LinkError, operation, parts, v1};

pub fn encode(encoder: &mut Encoder, message: &ToMatcher) -> Wire {
    match message {
        ToMatcher::Entries(message) => Wire::Entries(v1::Entries {
            lane: message.lane.0,
            class: parts::to_class(message.class).into(),
            from: message.from.0,
            to: message.to.0,
            entries: message
                .entries
                .iter()
                .map(|(number, entry)| v1::Entry { number: number.0, entry: Some(to_entry(encoder, entry)) })
                .collect(),
        }),
        ToMatcher::MatchesCredit(message) => {
            Wire::MatchesCredit(parts::to_credit(message.lane, message.class, message.total))
        }
    }
}

pub fn decode(decoder: &Decoder, wire: Wire) -> Result<ToMatcher, LinkError> {
    Ok(match wire {
        Wire::Entries(wire) => ToMatcher::Entries(Entries {
            lane: LaneId(wire.lane),
            class: parts::class(wire.class())?,
            from: Number(wire.from),
            to: Number(wire.to),
            entries: wire
                .entries
                .into_iter()
                .map(|wire| Ok((Number(wire.number), entry(decoder, wire.entry)?)))
                .collect::<Result<_, _>>()?,
        }),
        Wire::MatchesCredit(wire) => {
            let (lane, class, total) = parts::credit(wire)?;
            ToMatcher::MatchesCredit(MatchesCredit { lane, class, total })
        }
        other => return Err(LinkError::new("message", format!("is not for a matcher: {other:?}"))),
    })
}

fn to_entry(encoder: &mut Encoder, entry: &Entry) -> v1::entry::Entry {
    use v1::entry::Entry as Wire;
    match entry {
        Entry::Publication(envelope) => Wire::Publication(encoder.envelope(envelope)),
        Entry::Operation(operation) => Wire::Operation(operation::to_operation(encoder, operation)),
        Entry::Barrier(epoch) => Wire::Barrier(epoch.0),
        Entry::Close => Wire::Close(v1::Nothing {}),
    }
}

fn entry(decoder: &Decoder, wire: Option<v1::entry::Entry>) -> Result<Entry, LinkError> {
    use v1::entry::Entry as Wire;
    Ok(match wire.ok_or_else(|| LinkError::missing("entry"))? {
        Wire::Publication(index) => Entry::Publication(decoder.envelope(index)?),
        Wire::Operation(wire) => Entry::Operation(Arc::new(operation::operation(decoder, wire)?)),
        Wire::Barrier(epoch) => Entry::Barrier(Epoch(epoch)),
        Wire::Close(v1::Nothing {}) => Entry::Close,
    })
}
