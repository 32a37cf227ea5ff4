//! What a matcher is told.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::matcher::{Entries, Entry, LaneDone, LaneSettled, LaneTail, MatchesCredit, Replay};
use gomera_cluster::message::snapshot::{SnapshotCredit, TransferId};
use gomera_cluster::position::{LaneId, Number};
use v1::frame::Message as Wire;

use super::columns::{self, Steps};
use super::tables::{Decoder, Encoder};
use super::{LinkError, operation, parts, snapshot, v1};

pub fn encode(encoder: &mut Encoder, message: &ToMatcher) -> Wire {
    match message {
        ToMatcher::Entries(message) => Wire::Entries(to_entries(encoder, message)),
        ToMatcher::LaneDone(message) => Wire::LaneDone(v1::LaneDone { lane: message.lane.0 }),
        ToMatcher::LaneSettled(message) => {
            Wire::LaneSettled(v1::LaneSettled { lane: message.lane.0, through: message.through.0 })
        }
        ToMatcher::LaneTail(LaneTail { lane, operations }) => {
            let operations = operations.iter().map(|one| operation::to_operation(encoder, one)).collect();
            Wire::LaneTail(v1::LaneTail { lane: lane.0, operations })
        }
        ToMatcher::Replay(Replay { lane, slices, from, to, entries }) => {
            let (lane, class, entries) = (*lane, Class::Replay, entries.clone());
            let entries = Entries { lane, class, from: *from, to: *to, entries, merged: None };
            Wire::Replay(v1::Replay { entries: Some(to_entries(encoder, &entries)), slices: slices.words().to_vec() })
        }
        ToMatcher::SnapshotWanted(message) => Wire::SnapshotWanted(snapshot::to_wanted(message)),
        ToMatcher::SnapshotPart(message) => Wire::SnapshotPart(snapshot::to_part(encoder, message)),
        ToMatcher::SnapshotCredit(message) => {
            Wire::SnapshotCredit(v1::SnapshotCredit { transfer: message.transfer.0, total: message.total.0 })
        }
        ToMatcher::MatchesCredit(message) => {
            Wire::MatchesCredit(parts::to_credit(message.lane, message.class, message.total))
        }
    }
}

pub fn decode(decoder: &Decoder, wire: Wire) -> Result<ToMatcher, LinkError> {
    Ok(match wire {
        Wire::Entries(wire) => ToMatcher::Entries(entries(decoder, wire)?),
        Wire::LaneDone(wire) => ToMatcher::LaneDone(LaneDone { lane: LaneId(wire.lane) }),
        Wire::LaneSettled(v1::LaneSettled { lane, through }) => {
            ToMatcher::LaneSettled(LaneSettled { lane: LaneId(lane), through: Number(through) })
        }
        Wire::LaneTail(v1::LaneTail { lane, operations }) => {
            let operations = operations.into_iter().map(|wire| operation::operation(decoder, wire).map(Arc::new));
            let operations = operations.collect::<Result<_, _>>()?;
            ToMatcher::LaneTail(LaneTail { lane: LaneId(lane), operations })
        }
        Wire::MatchesCredit(wire) => {
            let (lane, class, total) = parts::credit(wire)?;
            ToMatcher::MatchesCredit(MatchesCredit { lane, class, total })
        }
        Wire::Replay(wire) => {
            let entries = entries(decoder, wire.entries.ok_or_else(|| LinkError::missing("entries"))?)?;
            let Entries { lane, class: _, from, to, entries, merged: _ } = entries;
            let slices = Arc::new(SliceSet::from_words(wire.slices));
            ToMatcher::Replay(Replay { lane, slices, from, to, entries })
        }
        Wire::SnapshotWanted(wire) => ToMatcher::SnapshotWanted(snapshot::wanted(wire)?),
        Wire::SnapshotPart(wire) => ToMatcher::SnapshotPart(snapshot::part(decoder, wire)?),
        Wire::SnapshotCredit(v1::SnapshotCredit { transfer, total }) => {
            ToMatcher::SnapshotCredit(SnapshotCredit { transfer: TransferId(transfer), total: Total(total) })
        }
        other => return Err(LinkError::new("message", format!("is not for a matcher: {other:?}"))),
    })
}

fn to_entries(encoder: &mut Encoder, message: &Entries) -> v1::Entries {
    let count = message.entries.len();
    let (mut numbers, mut publications) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut others = Vec::new();
    let mut steps = Steps::from(message.from.0);
    for (number, entry) in &message.entries {
        numbers.push(steps.to(number.0));
        publications.push(match entry {
            Entry::Publication(envelope) => encoder.envelope(envelope) + 1,
            Entry::Operation(operation) => {
                let operation = operation::to_operation(encoder, operation);
                others.push(v1::Entry { entry: Some(v1::entry::Entry::Operation(operation)) });
                0
            }
            Entry::Barrier(layout) => {
                let layout = parts::to_layout(layout);
                others.push(v1::Entry { entry: Some(v1::entry::Entry::Barrier(layout)) });
                0
            }
            Entry::Close => {
                others.push(v1::Entry { entry: Some(v1::entry::Entry::Close(v1::Nothing {})) });
                0
            }
        });
    }
    v1::Entries {
        lane: message.lane.0,
        class: parts::to_class(message.class).into(),
        from: message.from.0,
        to: message.to.0,
        steps: numbers,
        publications,
        others,
        merged: message.merged.map(|merged| merged.0),
    }
}

fn entries(decoder: &Decoder, wire: v1::Entries) -> Result<Entries, LinkError> {
    if wire.steps.len() != wire.publications.len() {
        return Err(LinkError::new("entries", "have columns of different lengths"));
    }
    let (lane, class) = (LaneId(wire.lane), parts::class(wire.class())?);
    let mut steps = Steps::from(wire.from);
    let mut others = wire.others.into_iter();
    let mut entry = |(&step, &publication): (&u64, &u32)| {
        let number = Number(steps.by(step));
        let entry = match publication.checked_sub(1) {
            Some(index) => Entry::Publication(decoder.envelope(index)?),
            None => other(decoder, others.next().and_then(|wire| wire.entry))?,
        };
        Ok((number, entry))
    };
    let entries = wire.steps.iter().zip(&wire.publications).map(&mut entry).collect::<Result<_, _>>()?;
    columns::end(others.next().is_none())?;
    let merged = wire.merged.map(Number);
    Ok(Entries { lane, class, from: Number(wire.from), to: Number(wire.to), entries, merged })
}

fn other(decoder: &Decoder, wire: Option<v1::entry::Entry>) -> Result<Entry, LinkError> {
    use v1::entry::Entry as Wire;
    Ok(match wire.ok_or_else(|| LinkError::missing("entry"))? {
        Wire::Operation(wire) => Entry::Operation(Arc::new(operation::operation(decoder, wire)?)),
        Wire::Barrier(json) => Entry::Barrier(parts::layout(&json)?),
        Wire::Close(v1::Nothing {}) => Entry::Close,
    })
}
