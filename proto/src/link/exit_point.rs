//! What an exit point is told.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, Generation, Handle, Term};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::exit_point::{
    Acknowledge, Attach, Detach, EndSession, Forgotten, Handles, Mark, Matched, Matches, SessionCredit, Target,
};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::session::{HandleDetail, SessionOptions, Sharing, SlowPolicy};
use v1::frame::Message as Wire;

use super::tables::{Decoder, Encoder};
use super::{LinkError, parts, v1};

pub fn encode(encoder: &mut Encoder, message: &ToExitPoint) -> Wire {
    match message {
        ToExitPoint::Matches(message) => Wire::Matches(v1::Matches {
            lane: message.lane.0,
            class: parts::to_class(message.class).into(),
            slices: message.slices.words().to_vec(),
            from: message.from.0,
            to: message.to.0,
            matched: message
                .matched
                .iter()
                .map(|matched| v1::Matched {
                    number: matched.number.0,
                    envelope: encoder.envelope(&matched.envelope),
                    targets: matched.targets.iter().map(to_target).collect(),
                })
                .collect(),
            marks: message.marks.iter().map(|&(number, mark)| to_mark(number, mark)).collect(),
        }),
        ToExitPoint::Attach(message) => Wire::Attach(v1::Attach {
            connection: message.connection.0,
            tenant: encoder.tenant(&message.tenant),
            name: message.name.as_ref().to_owned(),
            session: parts::to_session(message.session),
            slice: u32::from(message.slice.0),
            term: message.term.0,
            options: Some(to_options(&message.options)),
            resume: message.resume.as_ref().map(parts::to_vector),
            credit: message.credit.0,
        }),
        ToExitPoint::Detach(message) => {
            Wire::Detach(v1::Detach { session: parts::to_session(message.session), generation: message.generation.0 })
        }
        ToExitPoint::Acknowledge(message) => Wire::Acknowledge(v1::Acknowledge {
            session: parts::to_session(message.session),
            generation: message.generation.0,
            through: Some(parts::to_vector(&message.through)),
        }),
        ToExitPoint::SessionCredit(message) => Wire::SessionCredit(v1::SessionCredit {
            session: parts::to_session(message.session),
            generation: message.generation.0,
            total: message.total.0,
        }),
        ToExitPoint::EndSession(message) => Wire::EndSession(v1::EndSession {
            session: parts::to_session(message.session),
            generation: message.generation.0,
        }),
        ToExitPoint::Forgotten(message) => Wire::Forgotten(v1::Forgotten {
            session: parts::to_session(message.session),
            generation: message.generation.0,
        }),
    }
}

pub fn decode(decoder: &Decoder, wire: Wire) -> Result<ToExitPoint, LinkError> {
    Ok(match wire {
        Wire::Matches(wire) => ToExitPoint::Matches(Matches {
            lane: LaneId(wire.lane),
            class: parts::class(wire.class())?,
            slices: Arc::new(SliceSet::from_words(wire.slices)),
            from: Number(wire.from),
            to: Number(wire.to),
            matched: wire
                .matched
                .into_iter()
                .map(|wire| {
                    Ok(Matched {
                        number: Number(wire.number),
                        envelope: decoder.envelope(wire.envelope)?,
                        targets: wire.targets.into_iter().map(target).collect::<Result<_, _>>()?,
                    })
                })
                .collect::<Result<_, _>>()?,
            marks: wire.marks.into_iter().map(mark).collect(),
        }),
        Wire::Attach(wire) => ToExitPoint::Attach(Attach {
            connection: ConnectionId(wire.connection),
            tenant: decoder.tenant(wire.tenant)?,
            name: wire.name.into(),
            session: parts::session(wire.session)?,
            slice: parts::session_slice(wire.slice)?,
            term: Term(wire.term),
            options: options(wire.options)?,
            resume: wire.resume.map(|wire| parts::vector(Some(wire))).transpose()?,
            credit: Total(wire.credit),
        }),
        Wire::Detach(wire) => ToExitPoint::Detach(Detach {
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        Wire::Acknowledge(wire) => ToExitPoint::Acknowledge(Acknowledge {
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
            through: parts::vector(wire.through)?,
        }),
        Wire::SessionCredit(wire) => ToExitPoint::SessionCredit(SessionCredit {
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
            total: Total(wire.total),
        }),
        Wire::EndSession(wire) => ToExitPoint::EndSession(EndSession {
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        Wire::Forgotten(wire) => ToExitPoint::Forgotten(Forgotten {
            session: parts::session(wire.session)?,
            generation: Generation(wire.generation),
        }),
        other => return Err(LinkError::new("message", format!("is not for an exit point: {other:?}"))),
    })
}

fn to_target(target: &Target) -> v1::Target {
    let (generations, handles) =
        target.handles.iter().map(|(generation, handle)| (generation.0, handle.0)).unzip::<_, _, Vec<_>, Vec<_>>();
    v1::Target { session: parts::to_session(target.session), generations, handles }
}

fn target(wire: v1::Target) -> Result<Target, LinkError> {
    let handles = match (&wire.generations[..], &wire.handles[..]) {
        (&[generation], &[handle]) => Handles::One(Generation(generation), Handle(handle)),
        (generations, handles) if generations.len() == handles.len() => Handles::Many(
            generations
                .iter()
                .zip(handles)
                .map(|(&generation, &handle)| (Generation(generation), Handle(handle)))
                .collect(),
        ),
        _ => return Err(LinkError::new("target", "has not as many handles as generations")),
    };
    Ok(Target { session: parts::session(wire.session)?, handles })
}

fn to_mark(number: Number, mark: Mark) -> v1::Mark {
    let barrier = match mark {
        Mark::Barrier(epoch) => Some(epoch.0),
        Mark::Close => None,
    };
    v1::Mark { number: number.0, barrier }
}

fn mark(wire: v1::Mark) -> (Number, Mark) {
    (Number(wire.number), wire.barrier.map_or(Mark::Close, |epoch| Mark::Barrier(Epoch(epoch))))
}

fn to_options(options: &SessionOptions) -> v1::SessionOptions {
    use v1::session_options::Slow;
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    v1::SessionOptions {
        outbox_bytes_max: options.outbox_bytes_max,
        outbox_notifications_max: options.outbox_notifications_max,
        slow: Some(match options.slow {
            SlowPolicy::DropOldest => Slow::DropOldest(v1::Nothing {}),
            SlowPolicy::Disconnect => Slow::Disconnect(v1::Nothing {}),
            SlowPolicy::Block { wait_max } => Slow::Block(nanoseconds(wait_max)),
        }),
        expires_after: nanoseconds(options.expires_after),
        count_only: match options.detail {
            HandleDetail::All => false,
            HandleDetail::Count => true,
        },
        group: match options.sharing {
            Sharing::Exclusive => false,
            Sharing::Group => true,
        },
    }
}

fn options(wire: Option<v1::SessionOptions>) -> Result<SessionOptions, LinkError> {
    use v1::session_options::Slow;
    let wire = wire.ok_or_else(|| LinkError::missing("options"))?;
    Ok(SessionOptions {
        outbox_bytes_max: wire.outbox_bytes_max,
        outbox_notifications_max: wire.outbox_notifications_max,
        slow: match wire.slow.ok_or_else(|| LinkError::missing("slow"))? {
            Slow::DropOldest(v1::Nothing {}) => SlowPolicy::DropOldest,
            Slow::Disconnect(v1::Nothing {}) => SlowPolicy::Disconnect,
            Slow::Block(wait) => SlowPolicy::Block { wait_max: Duration::from_nanos(wait) },
        },
        expires_after: Duration::from_nanos(wire.expires_after),
        detail: if wire.count_only { HandleDetail::Count } else { HandleDetail::All },
        sharing: if wire.group { Sharing::Group } else { Sharing::Exclusive },
    })
}
