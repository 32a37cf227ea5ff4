//! What exit points tell each other of sessions.

use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, Generation, Instance, PublisherKey, Sequence, Term};
use gomera_cluster::message::copies::{
    AttachTerm, AttachedHere, Change, Changes, CopiedEntry, CopiesPart, CopiesWanted, CopyHead, Ending, Handover,
    SessionCopy, SessionRecord, TermAttached,
};
use gomera_cluster::message::snapshot::{Extent, TransferId};
use gomera_cluster::position::{LaneId, Number, Position};
use gomera_cluster::session::Attempt;

use super::columns::{self, Places};
use super::satisfaction::{self, Columns};
use super::tables::{Decoder, Encoder};
use super::{LinkError, exit_point, notifications, parts, v1};

pub fn to_wanted(wanted: &CopiesWanted) -> v1::CopiesWanted {
    v1::CopiesWanted {
        transfer: wanted.transfer.0,
        slices: wanted.slices.iter().map(|slice| u32::from(slice.0)).collect(),
        after: Some(parts::to_vector(&wanted.after)),
        credit: wanted.credit.0,
    }
}

pub fn wanted(wire: v1::CopiesWanted) -> Result<CopiesWanted, LinkError> {
    Ok(CopiesWanted {
        transfer: TransferId(wire.transfer),
        slices: wire.slices.into_iter().map(parts::session_slice).collect::<Result<_, _>>()?,
        after: parts::vector(wire.after)?,
        credit: Total(wire.credit),
    })
}

pub fn to_part(encoder: &mut Encoder, part: &CopiesPart) -> v1::CopiesPart {
    let publishers = part.settled.iter().map(|&(publisher, _, _)| parts::to_key(publisher.0)).collect::<Vec<_>>();
    v1::CopiesPart {
        transfer: part.transfer.0,
        publishers_high: publishers.iter().map(|key| key.high).collect(),
        publishers_low: publishers.iter().map(|key| key.low).collect(),
        instances: part.settled.iter().map(|&(_, instance, _)| instance.0).collect(),
        sequences: part.settled.iter().map(|&(_, _, sequence)| sequence.0).collect(),
        forgetting: part.forgetting.iter().map(|ending| to_ending(encoder, ending)).collect(),
        sessions: part.sessions.iter().map(|copy| to_copy(encoder, copy)).collect(),
        last: is_last(part.extent),
    }
}

pub fn part(decoder: &Decoder, wire: v1::CopiesPart) -> Result<CopiesPart, LinkError> {
    let count = wire.instances.len();
    if [wire.publishers_high.len(), wire.publishers_low.len(), wire.sequences.len()] != [count; 3] {
        return Err(LinkError::new("settled", "have columns of different lengths"));
    }
    let publishers = wire.publishers_high.iter().zip(&wire.publishers_low);
    let settled = publishers.zip(wire.instances.iter().zip(&wire.sequences));
    let settled = settled.map(|((&high, &low), (&instance, &sequence))| {
        (PublisherKey(parts::from_halves(high, low).0), Instance(instance), Sequence(sequence))
    });
    Ok(CopiesPart {
        transfer: TransferId(wire.transfer),
        settled: settled.collect(),
        forgetting: wire.forgetting.into_iter().map(|wire| ending(decoder, wire)).collect::<Result<_, _>>()?,
        sessions: wire.sessions.into_iter().map(|wire| copy(decoder, wire)).collect::<Result<_, _>>()?,
        extent: extent(wire.last),
    })
}

fn is_last(extent: Extent) -> bool {
    match extent {
        Extent::More => false,
        Extent::Last => true,
    }
}

fn extent(last: bool) -> Extent {
    if last { Extent::Last } else { Extent::More }
}

fn to_copy(encoder: &mut Encoder, copy: &SessionCopy) -> v1::SessionCopy {
    let mut wire = v1::SessionCopy {
        session: parts::to_session(copy.session),
        record: copy.head.as_ref().map(|head| to_record(encoder, &head.record)),
        given_up: copy.head.as_ref().map(|head| notifications::to_gap(&head.given_up)),
        last: is_last(copy.extent),
        ..v1::SessionCopy::default()
    };
    for (place, entry) in (0_u32..).zip(&copy.entries) {
        wire.lanes.push(entry.position.lane.0);
        wire.numbers.push(entry.position.number.0);
        wire.envelopes.push(encoder.envelope(&entry.envelope));
        let v1::SessionCopy { handles_each, handles, counted, .. } = &mut wire;
        satisfaction::put(Columns { handles_each, handles, counted }, place, &entry.satisfied);
    }
    wire
}

fn copy(decoder: &Decoder, wire: v1::SessionCopy) -> Result<SessionCopy, LinkError> {
    let many = wire.lanes.len();
    if [wire.numbers.len(), wire.envelopes.len(), wire.handles_each.len()] != [many; 3] {
        return Err(LinkError::new("notifications", "have columns of different lengths"));
    }
    let head = match (wire.record, wire.given_up) {
        (Some(wire), Some(gap)) => {
            Some(Box::new(CopyHead { record: record(decoder, wire)?, given_up: notifications::gap(&gap) }))
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(LinkError::missing("given_up")),
    };
    let mut handles = &wire.handles[..];
    let mut counted = Places::new(&wire.counted);
    let mut entries = Vec::with_capacity(many);
    let rows = wire.lanes.iter().zip(&wire.numbers).zip(wire.envelopes.iter().zip(&wire.handles_each));
    for ((&lane, &number), (&envelope, &each)) in rows {
        let handles =
            columns::take(&mut handles, each).ok_or_else(|| LinkError::new("handles", "are fewer than said"))?;
        let satisfied = satisfaction::read(counted.has_next(), handles)?;
        let position = Position { lane: LaneId(lane), number: Number(number) };
        entries.push(CopiedEntry { position, envelope: decoder.envelope(envelope)?, satisfied });
    }
    counted.end()?;
    columns::end(handles.is_empty())?;
    Ok(SessionCopy { session: parts::session(wire.session)?, head, entries, extent: extent(wire.last) })
}

fn to_record(encoder: &mut Encoder, record: &SessionRecord) -> v1::SessionRecord {
    v1::SessionRecord {
        session: parts::to_session(record.session),
        slice: u32::from(record.slice.0),
        tenant: encoder.tenant(&record.tenant),
        birth: record.birth.0,
        generation: record.generation.0,
        process: record.attempt.process,
        attempt: record.attempt.number,
        handle_blocks: record.handle_blocks,
        options: Some(exit_point::to_options(&record.options)),
        acknowledged: Some(parts::to_vector(&record.acknowledged)),
        merged: Some(parts::to_vector(&record.merged)),
        doubted: Some(parts::to_vector(&record.doubted)),
    }
}

fn record(decoder: &Decoder, wire: v1::SessionRecord) -> Result<SessionRecord, LinkError> {
    Ok(SessionRecord {
        session: parts::session(wire.session)?,
        slice: parts::session_slice(wire.slice)?,
        tenant: decoder.tenant(wire.tenant)?,
        birth: Generation(wire.birth),
        generation: Generation(wire.generation),
        attempt: Attempt { process: wire.process, number: wire.attempt },
        handle_blocks: wire.handle_blocks,
        options: exit_point::options(wire.options)?,
        acknowledged: parts::vector(wire.acknowledged)?,
        merged: parts::vector(wire.merged)?,
        doubted: parts::vector(wire.doubted)?,
    })
}

fn to_ending(encoder: &mut Encoder, ending: &Ending) -> v1::Ending {
    v1::Ending {
        session: parts::to_session(ending.session),
        slice: u32::from(ending.slice.0),
        tenant: encoder.tenant(&ending.tenant),
        generation: ending.generation.0,
    }
}

fn ending(decoder: &Decoder, wire: v1::Ending) -> Result<Ending, LinkError> {
    Ok(Ending {
        session: parts::session(wire.session)?,
        slice: parts::session_slice(wire.slice)?,
        tenant: decoder.tenant(wire.tenant)?,
        generation: Generation(wire.generation),
    })
}

pub fn to_changes(encoder: &mut Encoder, changes: &Changes) -> v1::Changes {
    use v1::session_change::Change as Wire;
    let mut change = |change: &Change| v1::SessionChange {
        change: Some(match change {
            Change::Attached(record) => Wire::Attached(to_record(encoder, record)),
            Change::Dropped { session, slice, through, given_up, acknowledged } => Wire::Dropped(v1::Dropped {
                session: parts::to_session(*session),
                slice: u32::from(slice.0),
                through: Some(parts::to_vector(through)),
                given_up: Some(notifications::to_gap(given_up)),
                acknowledged: Some(parts::to_vector(acknowledged)),
            }),
            Change::Ended(ending) => Wire::Ended(to_ending(encoder, ending)),
            Change::Forgotten(ending) => Wire::Forgotten(to_ending(encoder, ending)),
        }),
    };
    v1::Changes { through: changes.through, changes: changes.changes.iter().map(&mut change).collect() }
}

pub fn changes(decoder: &Decoder, wire: v1::Changes) -> Result<Changes, LinkError> {
    use v1::session_change::Change as Wire;
    let change = |wire: v1::SessionChange| {
        Ok(match wire.change.ok_or_else(|| LinkError::missing("change"))? {
            Wire::Attached(wire) => Change::Attached(Box::new(record(decoder, wire)?)),
            Wire::Dropped(wire) => Change::Dropped {
                session: parts::session(wire.session)?,
                slice: parts::session_slice(wire.slice)?,
                through: parts::vector(wire.through)?,
                given_up: notifications::gap(&wire.given_up.ok_or_else(|| LinkError::missing("given_up"))?),
                acknowledged: parts::vector(wire.acknowledged)?,
            },
            Wire::Ended(wire) => Change::Ended(ending(decoder, wire)?),
            Wire::Forgotten(wire) => Change::Forgotten(ending(decoder, wire)?),
        })
    };
    let changes = wire.changes.into_iter().map(change).collect::<Result<_, LinkError>>()?;
    Ok(Changes { through: wire.through, changes })
}

pub fn to_handover(handover: &Handover) -> v1::Handover {
    v1::Handover { slice: u32::from(handover.slice.0), term: handover.term.0, follows: handover.follows }
}

pub fn handover(wire: v1::Handover) -> Result<Handover, LinkError> {
    Ok(Handover { slice: parts::session_slice(wire.slice)?, term: Term(wire.term), follows: wire.follows })
}

pub fn to_attach_term(begins: &AttachTerm) -> v1::AttachTerm {
    v1::AttachTerm {
        slices: begins.slices.iter().map(|(slice, _)| u32::from(slice.0)).collect(),
        terms: begins.slices.iter().map(|(_, term)| term.0).collect(),
    }
}

pub fn attach_term(wire: v1::AttachTerm) -> Result<AttachTerm, LinkError> {
    if wire.slices.len() != wire.terms.len() {
        return Err(LinkError::new("slices", "have not as many terms"));
    }
    let slice = |(slice, term)| Ok((parts::session_slice(slice)?, Term(term)));
    Ok(AttachTerm { slices: wire.slices.into_iter().zip(wire.terms).map(slice).collect::<Result<_, LinkError>>()? })
}

pub fn to_term_attached(encoder: &mut Encoder, attached: &TermAttached) -> v1::TermAttached {
    let mut here = |here: &AttachedHere| v1::AttachedHere {
        session: parts::to_session(here.session),
        tenant: encoder.tenant(&here.tenant),
        connection: here.connection.0,
        generation: here.generation.0,
        told: Some(parts::to_vector(&here.told)),
        granted: here.granted.0,
        received: here.received.0,
    };
    v1::TermAttached {
        slice: u32::from(attached.slice.0),
        term: attached.term.0,
        sessions: attached.sessions.iter().map(&mut here).collect(),
    }
}

pub fn term_attached(decoder: &Decoder, wire: v1::TermAttached) -> Result<TermAttached, LinkError> {
    let here = |wire: v1::AttachedHere| {
        Ok(AttachedHere {
            session: parts::session(wire.session)?,
            tenant: decoder.tenant(wire.tenant)?,
            connection: ConnectionId(wire.connection),
            generation: Generation(wire.generation),
            told: parts::vector(wire.told)?,
            granted: Total(wire.granted),
            received: Total(wire.received),
        })
    };
    Ok(TermAttached {
        slice: parts::session_slice(wire.slice)?,
        term: Term(wire.term),
        sessions: wire.sessions.into_iter().map(here).collect::<Result<_, LinkError>>()?,
    })
}
