//! Snapshots of slices.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{Generation, SubscriptionKey};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::message::snapshot::{
    Extent, SessionState, Sessions, SettledState, SnapshotPart, SnapshotWanted, SubscriptionState, TransferId,
};

use super::tables::{Decoder, Encoder};
use super::{LinkError, operation, parts, v1};

pub fn to_wanted(wanted: &SnapshotWanted) -> v1::SnapshotWanted {
    v1::SnapshotWanted {
        transfer: wanted.transfer.0,
        slices: wanted.slices.words().to_vec(),
        after: Some(parts::to_vector(&wanted.after)),
        sessions: match wanted.sessions {
            Sessions::Wanted => true,
            Sessions::Known => false,
        },
        credit: wanted.credit.0,
    }
}

pub fn wanted(wire: v1::SnapshotWanted) -> Result<SnapshotWanted, LinkError> {
    Ok(SnapshotWanted {
        transfer: TransferId(wire.transfer),
        slices: Arc::new(SliceSet::from_words(wire.slices)),
        after: parts::vector(wire.after)?,
        sessions: if wire.sessions { Sessions::Wanted } else { Sessions::Known },
        credit: Total(wire.credit),
    })
}

pub fn to_part(encoder: &mut Encoder, part: &SnapshotPart) -> v1::SnapshotPart {
    v1::SnapshotPart {
        transfer: part.transfer.0,
        sessions: part.sessions.iter().map(|state| to_session(encoder, state)).collect(),
        subscriptions: part.subscriptions.iter().map(|state| to_subscription(encoder, state)).collect(),
        last: match part.extent {
            Extent::More => false,
            Extent::Last => true,
        },
    }
}

pub fn part(decoder: &Decoder, wire: v1::SnapshotPart) -> Result<SnapshotPart, LinkError> {
    let subscriptions = wire.subscriptions.into_iter().map(|wire| subscription(decoder, wire));
    Ok(SnapshotPart {
        transfer: TransferId(wire.transfer),
        sessions: wire.sessions.into_iter().map(|wire| session(decoder, wire)).collect::<Result<_, _>>()?,
        subscriptions: subscriptions.collect::<Result<_, _>>()?,
        extent: if wire.last { Extent::Last } else { Extent::More },
    })
}

fn slice(wire: u32) -> Result<MatcherSlice, LinkError> {
    u16::try_from(wire).map(MatcherSlice).map_err(|_| LinkError::new("slice", "is above 65535"))
}

fn to_session(encoder: &mut Encoder, state: &SessionState) -> v1::SessionState {
    let tombstone = |&(version, key): &(_, SubscriptionKey)| v1::Tombstone {
        version: parts::to_version(version),
        subscription: Some(parts::to_key(key.0)),
    };
    let settled = |settled: &SettledState| v1::SettledState {
        slice: u32::from(settled.slice.0),
        floor: parts::to_version(settled.floor),
        tombstones: settled.tombstones.iter().map(tombstone).collect(),
    };
    v1::SessionState {
        tenant: encoder.tenant(&state.tenant),
        session: parts::to_session(state.session),
        context_version: state.context.as_ref().and_then(|&(version, _)| parts::to_version(version)),
        context: state.context.as_ref().map(|(_, context)| operation::to_attributes(context)),
        forgotten: state.forgotten.map(|generation| generation.0),
        settled: state.settled.iter().map(settled).collect(),
    }
}

fn session(decoder: &Decoder, wire: v1::SessionState) -> Result<SessionState, LinkError> {
    let context = match (wire.context_version, wire.context) {
        (None, None) => None,
        (version, Some(context)) => Some((parts::version(version)?, Arc::new(operation::attributes(context)?))),
        (Some(_), None) => return Err(LinkError::missing("context")),
    };
    let tombstone =
        |wire: v1::Tombstone| Ok((parts::version(wire.version)?, SubscriptionKey(parts::key(wire.subscription)?)));
    let settled = |wire: v1::SettledState| {
        Ok(SettledState {
            slice: slice(wire.slice)?,
            floor: parts::version(wire.floor)?,
            tombstones: wire.tombstones.into_iter().map(tombstone).collect::<Result<_, LinkError>>()?,
        })
    };
    Ok(SessionState {
        tenant: decoder.tenant(wire.tenant)?,
        session: parts::session(wire.session)?,
        context,
        forgotten: wire.forgotten.map(Generation),
        settled: wire.settled.into_iter().map(settled).collect::<Result<_, LinkError>>()?,
    })
}

pub fn to_subscription(encoder: &mut Encoder, state: &SubscriptionState) -> v1::SubscriptionState {
    v1::SubscriptionState {
        tenant: encoder.tenant(&state.tenant),
        session: parts::to_session(state.session),
        slice: u32::from(state.slice.0),
        version: parts::to_version(state.version),
        put: parts::to_version(state.put),
        subscription: Some(operation::to_subscription(&state.subscription)),
    }
}

pub fn subscription(decoder: &Decoder, wire: v1::SubscriptionState) -> Result<SubscriptionState, LinkError> {
    Ok(SubscriptionState {
        tenant: decoder.tenant(wire.tenant)?,
        session: parts::session(wire.session)?,
        slice: slice(wire.slice)?,
        version: parts::version(wire.version)?,
        put: parts::version(wire.put)?,
        subscription: operation::subscription(wire.subscription)?,
    })
}
