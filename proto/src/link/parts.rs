//! Small things that many messages are made of.

use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::{Layout, SessionSlice};
use gomera_cluster::operation::Version;
use gomera_cluster::position::{LaneId, Number, Position, Vector};

use super::{LinkError, v1};

pub fn to_key(key: u128) -> v1::Key {
    let half = |half: u128| u64::try_from(half & u128::from(u64::MAX)).expect("masked to 64 bits");
    v1::Key { high: half(key >> 64), low: half(key) }
}

pub fn key(wire: Option<v1::Key>) -> Result<u128, LinkError> {
    let wire = wire.ok_or_else(|| LinkError::missing("key"))?;
    Ok((u128::from(wire.high) << 64) | u128::from(wire.low))
}

/// A session's key from its halves.
pub fn from_halves(high: u64, low: u64) -> SessionKey {
    SessionKey((u128::from(high) << 64) | u128::from(low))
}

pub fn to_session(session: SessionKey) -> Option<v1::Key> {
    Some(to_key(session.0))
}

pub fn session(wire: Option<v1::Key>) -> Result<SessionKey, LinkError> {
    key(wire).map(SessionKey)
}

pub fn session_slice(wire: u32) -> Result<SessionSlice, LinkError> {
    u16::try_from(wire).map(SessionSlice).map_err(|_| LinkError::new("slice", "is above 65535"))
}

/// A layout as JSON.
pub fn to_layout(layout: &Layout) -> Bytes {
    serde_json::to_vec(layout).expect("a layout has only keys that JSON can write").into()
}

pub fn layout(json: &[u8]) -> Result<Arc<Layout>, LinkError> {
    let layout = serde_json::from_slice::<Layout>(json).map_err(|error| LinkError::new("layout", error.to_string()))?;
    Ok(Arc::new(layout))
}

pub fn to_vector(vector: &Vector) -> v1::Vector {
    to_positions(vector.iter())
}

pub fn to_positions(positions: impl IntoIterator<Item = Position>) -> v1::Vector {
    let (lanes, numbers) =
        positions.into_iter().map(|position| (position.lane.0, position.number.0)).unzip::<_, _, Vec<_>, Vec<_>>();
    v1::Vector { lanes, numbers }
}

pub fn vector(wire: Option<v1::Vector>) -> Result<Vector, LinkError> {
    wire.map(positions).transpose().map(|positions| positions.into_iter().flatten().collect())
}

pub fn positions(wire: v1::Vector) -> Result<Vec<Position>, LinkError> {
    if wire.lanes.len() != wire.numbers.len() {
        return Err(LinkError::new("vector", "has not as many numbers as lanes"));
    }
    let position = |(lane, number)| Position { lane: LaneId(lane), number: Number(number) };
    Ok(wire.lanes.into_iter().zip(wire.numbers).map(position).collect())
}

pub fn to_version(version: Version) -> Option<v1::Version> {
    Some(v1::Version { generation: version.generation.0, counter: version.counter })
}

pub fn version(wire: Option<v1::Version>) -> Result<Version, LinkError> {
    let wire = wire.ok_or_else(|| LinkError::missing("version"))?;
    Ok(Version { generation: Generation(wire.generation), counter: wire.counter })
}

pub fn to_class(class: Class) -> v1::Class {
    match class {
        Class::Live => v1::Class::Live,
        Class::Replay => v1::Class::Replay,
        Class::Operation => v1::Class::Operation,
        Class::Control => v1::Class::Control,
    }
}

pub fn class(wire: v1::Class) -> Result<Class, LinkError> {
    match wire {
        v1::Class::Unspecified => Err(LinkError::missing("class")),
        v1::Class::Live => Ok(Class::Live),
        v1::Class::Replay => Ok(Class::Replay),
        v1::Class::Operation => Ok(Class::Operation),
        v1::Class::Control => Ok(Class::Control),
    }
}

pub fn to_credit(lane: LaneId, class: Class, total: Total) -> v1::Credit {
    v1::Credit { lane: lane.0, class: to_class(class).into(), total: total.0 }
}

pub fn credit(wire: v1::Credit) -> Result<(LaneId, Class, Total), LinkError> {
    Ok((LaneId(wire.lane), class(wire.class())?, Total(wire.total)))
}
