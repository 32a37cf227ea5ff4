//! What an exit point is told.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, Generation, Handle, Term};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::copies::{ChangesTaken, CopiesCredit};
use gomera_cluster::message::exit_point::{
    Acknowledge, Attach, Detach, EndSession, Forgotten, Handles, LaneBegins, LaneCut, Mark, Matched, Matches, Reach,
    SessionCredit, Target, Witness,
};
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::session::{Attempt, HandleDetail, SessionOptions, Sharing, SlowPolicy};
use v1::frame::Message as Wire;

use super::columns::Steps;
use super::tables::{Decoder, Encoder, count};
use super::{LinkError, columns, copies, parts, v1};

pub fn encode(encoder: &mut Encoder, message: &ToExitPoint) -> Wire {
    match message {
        ToExitPoint::Matches(message) => Wire::Matches(v1::Matches {
            lane: message.lane.0,
            class: parts::to_class(message.class).into(),
            slices: message.slices.words().to_vec(),
            from: message.from.0,
            to: message.to.0,
            matched: Some(to_matched(encoder, message)),
            marks: message.marks.iter().map(|&(number, mark)| to_mark(number, mark)).collect(),
        }),
        ToExitPoint::LaneCut(message) => {
            let to_reach =
                |reach: &Reach| v1::Reach { slices: reach.slices.words().to_vec(), from: reach.from.0, to: reach.to.0 };
            Wire::LaneCut(v1::LaneCut { lane: message.lane.0, reach: message.reach.iter().map(to_reach).collect() })
        }
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
            process: message.attempt.process,
            attempt: message.attempt.number,
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
        ToExitPoint::LaneBegins(message) => Wire::LaneBegins(v1::LaneBegins {
            lane: message.lane.0,
            after: message.after.0,
            governed: message.governed.map(|epoch| epoch.0),
            by_newcomer: message.by == Witness::Newcomer,
        }),
        ToExitPoint::CopiesWanted(message) => Wire::CopiesWanted(copies::to_wanted(message)),
        ToExitPoint::CopiesCredit(message) => {
            Wire::CopiesCredit(v1::CopiesCredit { transfer: message.transfer.0, total: message.total.0 })
        }
        ToExitPoint::CopiesPart(message) => Wire::CopiesPart(copies::to_part(encoder, message)),
        ToExitPoint::Changes(message) => Wire::Changes(copies::to_changes(encoder, message)),
        ToExitPoint::ChangesTaken(message) => Wire::ChangesTaken(v1::ChangesTaken { through: message.through }),
        ToExitPoint::HandoverWanted(message) => Wire::HandoverWanted(copies::to_handover(message)),
        ToExitPoint::HandedOver(message) => Wire::HandedOver(copies::to_handover(message)),
        ToExitPoint::TermAttached(message) => Wire::TermAttached(copies::to_term_attached(encoder, message)),
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
            matched: matched(decoder, wire.from, &wire.matched.unwrap_or_default())?,
            marks: wire.marks.into_iter().map(mark).collect(),
        }),
        Wire::LaneCut(wire) => {
            let reach = |wire: v1::Reach| Reach {
                slices: Arc::new(SliceSet::from_words(wire.slices)),
                from: Number(wire.from),
                to: Number(wire.to),
            };
            let lane = LaneId(wire.lane);
            ToExitPoint::LaneCut(LaneCut { lane, reach: wire.reach.into_iter().map(reach).collect() })
        }
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
            attempt: Attempt { process: wire.process, number: wire.attempt },
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
        Wire::LaneBegins(wire) => ToExitPoint::LaneBegins(LaneBegins {
            lane: LaneId(wire.lane),
            after: Number(wire.after),
            governed: wire.governed.map(Epoch),
            by: if wire.by_newcomer { Witness::Newcomer } else { Witness::Before },
        }),
        Wire::CopiesWanted(wire) => ToExitPoint::CopiesWanted(copies::wanted(wire)?),
        Wire::CopiesCredit(wire) => {
            ToExitPoint::CopiesCredit(CopiesCredit { transfer: TransferId(wire.transfer), total: Total(wire.total) })
        }
        Wire::CopiesPart(wire) => ToExitPoint::CopiesPart(copies::part(decoder, wire)?),
        Wire::Changes(wire) => ToExitPoint::Changes(copies::changes(decoder, wire)?),
        Wire::ChangesTaken(wire) => ToExitPoint::ChangesTaken(ChangesTaken { through: wire.through }),
        Wire::HandoverWanted(wire) => ToExitPoint::HandoverWanted(copies::handover(wire)?),
        Wire::HandedOver(wire) => ToExitPoint::HandedOver(copies::handover(wire)?),
        Wire::TermAttached(wire) => ToExitPoint::TermAttached(copies::term_attached(decoder, wire)?),
        other => return Err(LinkError::new("message", format!("is not for an exit point: {other:?}"))),
    })
}

fn to_matched(encoder: &mut Encoder, message: &Matches) -> v1::Matched {
    let mut wire = v1::Matched::default();
    let publications = message.matched.len();
    wire.steps.reserve(publications);
    wire.envelopes.reserve(publications);
    wire.targets.reserve(publications);
    let targets = message.matched.iter().map(|matched| matched.targets.len()).sum();
    wire.sessions_high.reserve(targets);
    wire.sessions_low.reserve(targets);
    wire.handles_each.reserve(targets);
    wire.generations.reserve(targets);
    wire.handles.reserve(targets);
    let mut steps = Steps::from(message.from.0);
    for matched in &message.matched {
        wire.steps.push(steps.to(matched.number.0));
        wire.envelopes.push(encoder.envelope(&matched.envelope));
        wire.targets.push(count(matched.targets.len()));
        for target in &matched.targets {
            let key = parts::to_key(target.session.0);
            wire.sessions_high.push(key.high);
            wire.sessions_low.push(key.low);
            wire.handles_each.push(count(target.handles.len()));
            for (generation, handle) in target.handles.iter() {
                wire.generations.push(generation.0);
                wire.handles.push(handle.0);
            }
        }
    }
    wire
}

fn matched(decoder: &Decoder, from: u64, wire: &v1::Matched) -> Result<Vec<Matched>, LinkError> {
    let count = wire.steps.len();
    let targets = wire.sessions_high.len();
    if [wire.envelopes.len(), wire.targets.len()] != [count; 2]
        || [wire.sessions_low.len(), wire.handles_each.len()] != [targets; 2]
        || wire.handles.len() != wire.generations.len()
    {
        return Err(LinkError::new("matches", "have columns of different lengths"));
    }
    let mut keys = wire.sessions_high.iter().zip(&wire.sessions_low).zip(&wire.handles_each);
    let (mut generations, mut handles) = (&wire.generations[..], &wire.handles[..]);
    let mut target = || {
        let ((&high, &low), &each) = keys.next()?;
        let generations = columns::take(&mut generations, each)?;
        let handles = columns::take(&mut handles, each)?;
        let handles = match (generations, handles) {
            (&[generation], &[handle]) => Handles::One(Generation(generation), Handle(handle)),
            _ => {
                let pair = |(&generation, &handle)| (Generation(generation), Handle(handle));
                Handles::Many(generations.iter().zip(handles).map(pair).collect())
            }
        };
        Some(Target { session: parts::from_halves(high, low), handles })
    };
    let mut steps = Steps::from(from);
    let mut all = Vec::with_capacity(count);
    for ((&step, &envelope), &targets) in wire.steps.iter().zip(&wire.envelopes).zip(&wire.targets) {
        let targets = (0..targets)
            .map(|_| target().ok_or_else(|| LinkError::new("targets", "are fewer than said")))
            .collect::<Result<_, _>>()?;
        all.push(Matched { number: Number(steps.by(step)), envelope: decoder.envelope(envelope)?, targets });
    }
    columns::end(keys.next().is_none() && handles.is_empty())?;
    Ok(all)
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

pub fn to_options(options: &SessionOptions) -> v1::SessionOptions {
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

pub fn options(wire: Option<v1::SessionOptions>) -> Result<SessionOptions, LinkError> {
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
