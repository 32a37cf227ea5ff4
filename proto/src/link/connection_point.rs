//! What a connection point is told.

use gomera_cluster::identity::{ConnectionId, Generation, Handle, Instance, PublisherKey, Sequence, Term};
use gomera_cluster::message::ToConnectionPoint;
use gomera_cluster::message::connection_point::{
    Acknowledged, AcknowledgedThrough, AttachRefusal, AttachRefused, Attached, Completed, EndReason, Ended, LaneCredit,
    Notifications, Presence, PublisherOpened, PublisherSuperseded, Refusal, Refused, SessionSettled,
};
use gomera_cluster::position::{LaneId, Number, Position};
use v1::frame::Message as Wire;

use super::tables::{Decoder, Encoder};
use super::{LinkError, copies, notifications, operation, parts, v1};

pub fn encode(encoder: &mut Encoder, message: &ToConnectionPoint) -> Wire {
    match message {
        ToConnectionPoint::PublisherOpened(message) => Wire::PublisherOpened(v1::PublisherOpened {
            lane: message.lane.0,
            publisher: Some(parts::to_key(message.publisher.0)),
            instance: message.instance.0,
            connection: message.connection.0,
            generation: message.generation.0,
            sequenced: message.sequenced.0,
            acknowledged: message.acknowledged.0,
        }),
        ToConnectionPoint::SessionSettled(message) => Wire::SessionSettled(v1::SessionSettled {
            lane: message.lane.0,
            session: Some(parts::to_key(message.session.0)),
            generation: message.generation.0,
        }),
        ToConnectionPoint::PublisherSuperseded(message) => Wire::PublisherSuperseded(v1::PublisherSuperseded {
            lane: message.lane.0,
            publisher: Some(parts::to_key(message.publisher.0)),
            instance: message.instance.0,
            generation: message.generation.0,
        }),
        ToConnectionPoint::Acknowledged(message) => Wire::Acknowledged(v1::Acknowledged {
            lane: message.lane.0,
            through: message
                .through
                .iter()
                .map(|through| v1::AcknowledgedThrough {
                    publisher: Some(parts::to_key(through.publisher.0)),
                    instance: through.instance.0,
                    generation: through.generation.0,
                    sequence: through.sequence.0,
                })
                .collect(),
        }),
        ToConnectionPoint::Refused(message) => Wire::Refused(to_refused(message)),
        ToConnectionPoint::Completed(message) => Wire::Completed(v1::Completed {
            session: parts::to_session(message.session),
            version: parts::to_version(message.version),
            position: Some(v1::Position { lane: message.position.lane.0, number: message.position.number.0 }),
            outcome: Some(operation::to_outcome(&message.outcome)),
        }),
        ToConnectionPoint::LaneCredit(message) => {
            Wire::LaneCredit(parts::to_credit(message.lane, message.class, message.total))
        }
        ToConnectionPoint::Attached(message) => Wire::Attached(v1::Attached {
            connection: message.connection.0,
            session: parts::to_session(message.session),
            slice: u32::from(message.slice.0),
            term: message.term.0,
            generation: message.generation.0,
            handle_first: message.handle_first.0,
            resumed: match message.presence {
                Presence::Created => false,
                Presence::Resumed => true,
            },
            merged: Some(parts::to_vector(&message.merged)),
        }),
        ToConnectionPoint::AttachRefused(message) => {
            use v1::attach_refused::Reason;
            Wire::AttachRefused(v1::AttachRefused {
                connection: message.connection.0,
                session: parts::to_session(message.session),
                reason: Some(match message.reason {
                    AttachRefusal::NotActive => Reason::NotActive(v1::Nothing {}),
                    AttachRefusal::Sessions(limit) => Reason::Sessions(limit),
                    AttachRefusal::Overtaken => Reason::Overtaken(v1::Nothing {}),
                }),
            })
        }
        ToConnectionPoint::Notifications(message) => Wire::Notifications(v1::Notifications {
            publications: message.publications.iter().map(|envelope| encoder.envelope(envelope)).collect(),
            batches: message.batches.iter().map(notifications::to_batch).collect(),
        }),
        ToConnectionPoint::AttachTerm(message) => Wire::AttachTerm(copies::to_attach_term(message)),
        ToConnectionPoint::Ended(message) => {
            let reason = match message.reason {
                EndReason::Superseded => v1::EndReason::Superseded,
                EndReason::Slow => v1::EndReason::Slow,
                EndReason::EndedByClient => v1::EndReason::EndedByClient,
                EndReason::Lost => v1::EndReason::Lost,
            };
            Wire::Ended(v1::Ended {
                connection: message.connection.0,
                session: parts::to_session(message.session),
                generation: message.generation.0,
                reason: reason.into(),
            })
        }
    }
}

pub fn decode(decoder: &Decoder, wire: Wire) -> Result<ToConnectionPoint, LinkError> {
    let publisher = |wire| parts::key(wire).map(PublisherKey);
    Ok(match wire {
        Wire::PublisherOpened(wire) => ToConnectionPoint::PublisherOpened(PublisherOpened {
            lane: LaneId(wire.lane),
            publisher: publisher(wire.publisher)?,
            instance: Instance(wire.instance),
            connection: ConnectionId(wire.connection),
            generation: Generation(wire.generation),
            sequenced: Sequence(wire.sequenced),
            acknowledged: Sequence(wire.acknowledged),
        }),
        Wire::SessionSettled(wire) => ToConnectionPoint::SessionSettled(SessionSettled {
            lane: LaneId(wire.lane),
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        Wire::PublisherSuperseded(wire) => ToConnectionPoint::PublisherSuperseded(PublisherSuperseded {
            lane: LaneId(wire.lane),
            publisher: publisher(wire.publisher)?,
            instance: Instance(wire.instance),
            generation: Generation(wire.generation),
        }),
        Wire::Acknowledged(wire) => ToConnectionPoint::Acknowledged(Acknowledged {
            lane: LaneId(wire.lane),
            through: wire
                .through
                .into_iter()
                .map(|wire| {
                    Ok(AcknowledgedThrough {
                        publisher: publisher(wire.publisher)?,
                        instance: Instance(wire.instance),
                        generation: Generation(wire.generation),
                        sequence: Sequence(wire.sequence),
                    })
                })
                .collect::<Result<_, _>>()?,
        }),
        Wire::Refused(wire) => ToConnectionPoint::Refused(refused(wire)?),
        Wire::Completed(wire) => ToConnectionPoint::Completed(Completed {
            session: parts::session(wire.session)?,
            version: parts::version(wire.version)?,
            position: wire
                .position
                .map(|wire| Position { lane: LaneId(wire.lane), number: Number(wire.number) })
                .ok_or_else(|| LinkError::missing("position"))?,
            outcome: operation::outcome(wire.outcome)?,
        }),
        Wire::LaneCredit(wire) => {
            let (lane, class, total) = parts::credit(wire)?;
            ToConnectionPoint::LaneCredit(LaneCredit { lane, class, total })
        }
        Wire::Attached(wire) => ToConnectionPoint::Attached(Attached {
            connection: ConnectionId(wire.connection),
            session: parts::session(wire.session)?,
            slice: parts::session_slice(wire.slice)?,
            term: Term(wire.term),
            generation: Generation(wire.generation),
            handle_first: Handle(wire.handle_first),
            presence: if wire.resumed { Presence::Resumed } else { Presence::Created },
            merged: parts::vector(wire.merged)?,
        }),
        Wire::AttachRefused(wire) => {
            use v1::attach_refused::Reason;
            ToConnectionPoint::AttachRefused(AttachRefused {
                connection: ConnectionId(wire.connection),
                session: parts::session(wire.session)?,
                reason: match wire.reason.ok_or_else(|| LinkError::missing("reason"))? {
                    Reason::NotActive(v1::Nothing {}) => AttachRefusal::NotActive,
                    Reason::Sessions(limit) => AttachRefusal::Sessions(limit),
                    Reason::Overtaken(v1::Nothing {}) => AttachRefusal::Overtaken,
                },
            })
        }
        Wire::Notifications(wire) => {
            let publications =
                wire.publications.into_iter().map(|index| decoder.envelope(index)).collect::<Result<Vec<_>, _>>()?;
            let count = publications.len();
            ToConnectionPoint::Notifications(Notifications {
                publications,
                batches: wire
                    .batches
                    .into_iter()
                    .map(|wire| notifications::batch(wire, count))
                    .collect::<Result<_, _>>()?,
            })
        }
        Wire::AttachTerm(wire) => ToConnectionPoint::AttachTerm(copies::attach_term(wire)?),
        Wire::Ended(wire) => ToConnectionPoint::Ended(Ended {
            connection: ConnectionId(wire.connection),
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
            reason: match wire.reason() {
                v1::EndReason::Unspecified => return Err(LinkError::missing("reason")),
                v1::EndReason::Superseded => EndReason::Superseded,
                v1::EndReason::Slow => EndReason::Slow,
                v1::EndReason::EndedByClient => EndReason::EndedByClient,
                v1::EndReason::Lost => EndReason::Lost,
            },
        }),
        other => return Err(LinkError::new("message", format!("is not for a connection point: {other:?}"))),
    })
}

fn to_refused(message: &Refused) -> v1::Refused {
    use v1::refused::Reason;
    v1::Refused {
        lane: message.lane.0,
        publisher: Some(parts::to_key(message.publisher.0)),
        instance: message.instance.0,
        generation: message.generation.0,
        sequence: message.sequence.0,
        reason: Some(match message.reason {
            Refusal::Reused => Reason::Reused(v1::Nothing {}),
            Refusal::OutOfRange => Reason::OutOfRange(v1::Nothing {}),
            Refusal::Publishers(limit) => Reason::Publishers(limit),
            Refusal::Lane => Reason::LaneEnded(v1::Nothing {}),
        }),
    }
}

fn refused(wire: v1::Refused) -> Result<Refused, LinkError> {
    use v1::refused::Reason;
    Ok(Refused {
        lane: LaneId(wire.lane),
        publisher: PublisherKey(parts::key(wire.publisher)?),
        instance: Instance(wire.instance),
        generation: Generation(wire.generation),
        sequence: Sequence(wire.sequence),
        reason: match wire.reason.ok_or_else(|| LinkError::missing("reason"))? {
            Reason::Reused(v1::Nothing {}) => Refusal::Reused,
            Reason::OutOfRange(v1::Nothing {}) => Refusal::OutOfRange,
            Reason::Publishers(limit) => Refusal::Publishers(limit),
            Reason::LaneEnded(v1::Nothing {}) => Refusal::Lane,
        },
    })
}
