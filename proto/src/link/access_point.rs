//! What an access point is told.

use std::sync::Arc;

use gomera_cluster::identity::{ConnectionId, Generation, Instance, PublisherKey, Sequence, SubscriptionKey};
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::{
    EntriesCredit, Expire, Forget, LeaveLane, Merged, OpenPublisher, Operate, Progress, Publish, Purpose,
    SettleSession, Submission,
};
use gomera_cluster::position::{LaneId, Number};
use v1::frame::Message as Wire;

use super::tables::{Decoder, Encoder};
use super::{LinkError, columns, operation, parts, snapshot, v1};

pub fn encode(encoder: &mut Encoder, message: &ToAccessPoint) -> Wire {
    match message {
        ToAccessPoint::OpenPublisher(message) => Wire::OpenPublisher(v1::OpenPublisher {
            lane: message.lane.0,
            publisher: Some(parts::to_key(message.publisher.0)),
            instance: message.instance.0,
            connection: message.connection.0,
            settle: message.purpose == Purpose::Settle,
        }),
        ToAccessPoint::Publish(message) => Wire::Publish(v1::Publish {
            lane: message.lane.0,
            envelopes: message.submissions.iter().map(|submission| encoder.envelope(&submission.envelope)).collect(),
            generations: message.submissions.iter().map(|submission| submission.generation.0).collect(),
            resent: columns::places(&message.submissions, |submission| submission.resent),
            acknowledged_through: message
                .acknowledged_through
                .iter()
                .map(|(publisher, instance, sequence)| v1::AcknowledgedThrough {
                    publisher: Some(parts::to_key(publisher.0)),
                    instance: instance.0,
                    generation: 0,
                    sequence: sequence.0,
                })
                .collect(),
        }),
        ToAccessPoint::Operate(message) => Wire::Operate(v1::Operate {
            lane: message.lane.0,
            operations: message
                .operations
                .iter()
                .map(|operation| operation::to_operation(encoder, operation))
                .collect(),
        }),
        ToAccessPoint::Progress(message) => Wire::Progress(v1::Progress {
            lane: message.lane.0,
            through: message.through.0,
            outcomes: message
                .outcomes
                .iter()
                .map(|(number, outcome)| v1::NumberedOutcome {
                    number: number.0,
                    outcome: Some(operation::to_outcome(outcome)),
                })
                .collect(),
            refused: message
                .refused
                .iter()
                .map(|(number, before)| v1::Refusal {
                    number: number.0,
                    before: before.as_ref().map(|before| snapshot::to_subscription(encoder, before)),
                })
                .collect(),
        }),
        ToAccessPoint::EntriesCredit(message) => {
            Wire::EntriesCredit(parts::to_credit(message.lane, message.class, message.total))
        }
        ToAccessPoint::Merged(message) => Wire::Merged(v1::Merged { lane: message.lane.0, through: message.through.0 }),
        ToAccessPoint::LeaveLane(message) => Wire::LeaveLane(v1::LeaveLane { lane: message.lane.0 }),
        ToAccessPoint::SettleSession(message) => Wire::SettleSession(v1::SettleSession {
            lane: message.lane.0,
            session: Some(parts::to_key(message.session.0)),
            generation: message.generation.0,
        }),
        ToAccessPoint::Expire(message) => Wire::Expire(v1::Expire {
            lane: message.lane.0,
            tenant: encoder.tenant(&message.tenant),
            session: parts::to_session(message.session),
            subscription: Some(parts::to_key(message.subscription.0)),
            version: parts::to_version(message.version),
        }),
        ToAccessPoint::Forget(message) => Wire::Forget(v1::Forget {
            lane: message.lane.0,
            tenant: encoder.tenant(&message.tenant),
            session: parts::to_session(message.session),
            generation: message.generation.0,
        }),
    }
}

pub fn decode(decoder: &Decoder, wire: Wire) -> Result<ToAccessPoint, LinkError> {
    Ok(match wire {
        Wire::OpenPublisher(wire) => ToAccessPoint::OpenPublisher(OpenPublisher {
            lane: LaneId(wire.lane),
            publisher: PublisherKey(parts::key(wire.publisher)?),
            instance: Instance(wire.instance),
            connection: ConnectionId(wire.connection),
            purpose: if wire.settle { Purpose::Settle } else { Purpose::Publish },
        }),
        Wire::Publish(wire) => ToAccessPoint::Publish(Publish {
            lane: LaneId(wire.lane),
            submissions: submissions(decoder, &wire)?,
            acknowledged_through: wire
                .acknowledged_through
                .into_iter()
                .map(|wire| {
                    let publisher = PublisherKey(parts::key(wire.publisher)?);
                    Ok((publisher, Instance(wire.instance), Sequence(wire.sequence)))
                })
                .collect::<Result<_, _>>()?,
        }),
        Wire::Operate(wire) => ToAccessPoint::Operate(Operate {
            lane: LaneId(wire.lane),
            operations: wire
                .operations
                .into_iter()
                .map(|wire| operation::operation(decoder, wire).map(Arc::new))
                .collect::<Result<_, _>>()?,
        }),
        Wire::Progress(wire) => ToAccessPoint::Progress(Progress {
            lane: LaneId(wire.lane),
            through: Number(wire.through),
            outcomes: wire
                .outcomes
                .into_iter()
                .map(|wire| Ok((Number(wire.number), operation::outcome(wire.outcome)?)))
                .collect::<Result<_, _>>()?,
            refused: wire
                .refused
                .into_iter()
                .map(|wire| {
                    let before = wire.before.map(|before| snapshot::subscription(decoder, before).map(Box::new));
                    Ok((Number(wire.number), before.transpose()?))
                })
                .collect::<Result<_, _>>()?,
        }),
        Wire::EntriesCredit(wire) => {
            let (lane, class, total) = parts::credit(wire)?;
            ToAccessPoint::EntriesCredit(EntriesCredit { lane, class, total })
        }
        Wire::Merged(wire) => ToAccessPoint::Merged(Merged { lane: LaneId(wire.lane), through: Number(wire.through) }),
        Wire::LeaveLane(wire) => ToAccessPoint::LeaveLane(LeaveLane { lane: LaneId(wire.lane) }),
        Wire::SettleSession(wire) => ToAccessPoint::SettleSession(SettleSession {
            lane: LaneId(wire.lane),
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        Wire::Forget(wire) => ToAccessPoint::Forget(Forget {
            lane: LaneId(wire.lane),
            tenant: decoder.tenant(wire.tenant)?,
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        Wire::Expire(wire) => ToAccessPoint::Expire(Expire {
            lane: LaneId(wire.lane),
            tenant: decoder.tenant(wire.tenant)?,
            session: parts::session(wire.session)?,
            subscription: SubscriptionKey(parts::key(wire.subscription)?),
            version: parts::version(wire.version)?,
        }),
        other => return Err(LinkError::new("message", format!("is not for an access point: {other:?}"))),
    })
}

fn submissions(decoder: &Decoder, wire: &v1::Publish) -> Result<Vec<Submission>, LinkError> {
    if wire.envelopes.len() != wire.generations.len() {
        return Err(LinkError::new("submissions", "have columns of different lengths"));
    }
    let mut resent = columns::Places::new(&wire.resent);
    let submission = |(&envelope, &generation)| {
        let envelope = decoder.envelope(envelope)?;
        Ok(Submission { envelope, generation: Generation(generation), resent: resent.has_next() })
    };
    let submissions = wire.envelopes.iter().zip(&wire.generations).map(submission).collect::<Result<_, _>>()?;
    resent.end()?;
    Ok(submissions)
}
