//! The layout as it stands in a znode: JSON that a person can read with any client, and short, because a znode should not
//! exceed 256 KiB and a layout has up to 8192 placements. A placement is a string such as `3:0.1a,2.0s`: term 3, active at
//! shard 1 of the first member, standby at shard 0 of the third; members count in the order in which they stand. `3!3:0.1a` began
//! with nothing by layout 3.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Lane, LaneEnd, LaneState, Layout, Member, Placement, Replica, Role, Settings};
use gomera_cluster::position::LaneId;
use serde::{Deserialize, Serialize};

use crate::registration::parse_incarnation;

#[derive(Serialize, Deserialize)]
struct Document {
    epoch: Epoch,
    settings: Settings,
    members: Vec<MemberRecord>,
    lanes: BTreeMap<u32, LaneRecord>,
    ended: BTreeMap<u32, EndRecord>,
    lane_next: LaneId,
    matcher: Vec<String>,
    session: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct MemberRecord {
    incarnation: String,
    layer: Layer,
    name: Arc<str>,
    link_address: Arc<str>,
    client_address: Arc<str>,
    shards: u16,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaving: bool,
}

#[derive(Serialize, Deserialize)]
struct LaneRecord {
    writer: String,
    state: LaneState,
    since: Epoch,
}

#[derive(Serialize, Deserialize)]
struct EndRecord {
    how: LaneEnd,
    at: Epoch,
}

/// A znode does not hold a layout. The text says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

/// Writes a layout down.
///
/// # Panics
/// If a replica or a lane is held by somebody who is not a member: no layout is made so.
#[must_use]
pub fn encode(layout: &Layout) -> Vec<u8> {
    let order = layout.members.keys().enumerate().map(|(index, &node)| (node, index)).collect::<BTreeMap<_, _>>();
    let place = |address: Address| {
        let index = order.get(&address.node).expect("a layout gives work to members only");
        format!("{index}.{}", address.shard.0)
    };
    let placement = |placement: &Placement| {
        let lost = if placement.lost == Epoch(0) { String::new() } else { format!("!{}", placement.lost.0) };
        let mut text = format!("{}{lost}:", placement.term.0);
        for (index, replica) in placement.replicas.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(text, "{comma}{}{}", place(replica.holder), letter(replica.role)).expect("a string takes any text");
        }
        text
    };
    let document = Document {
        epoch: layout.epoch,
        settings: layout.settings.clone(),
        members: layout
            .members
            .iter()
            .map(|(node, member)| MemberRecord {
                incarnation: node.to_string(),
                layer: member.layer,
                name: member.name.clone(),
                link_address: member.link_address.clone(),
                client_address: member.client_address.clone(),
                shards: member.shards,
                leaving: layout.leaving.contains(node),
            })
            .collect(),
        lanes: layout
            .lanes
            .iter()
            .map(|(id, lane)| (id.0, LaneRecord { writer: place(lane.writer), state: lane.state, since: lane.since }))
            .collect(),
        ended: layout.ended.iter().map(|(id, &(how, at))| (id.0, EndRecord { how, at })).collect(),
        lane_next: layout.lane_next,
        matcher: layout.matcher.iter().map(placement).collect(),
        session: layout.session.iter().map(placement).collect(),
    };
    serde_json::to_vec(&document).expect("a document has string keys and finite numbers")
}

/// Reads a layout. What it gives satisfies the rules of [`Layout`]: as many placements as slices, holders that are members.
///
/// # Errors
/// If the bytes are anything else.
pub fn decode(bytes: &[u8]) -> Result<Layout, DocumentError> {
    let document = serde_json::from_slice::<Document>(bytes).map_err(|error| DocumentError(error.to_string()))?;
    let (mut members, mut leaving) = (BTreeMap::new(), BTreeSet::new());
    let mut order = Vec::with_capacity(document.members.len());
    for record in document.members {
        let node = parse_incarnation(&record.incarnation)
            .ok_or_else(|| DocumentError(format!("{} is not an incarnation", record.incarnation)))?;
        let member = Member {
            layer: record.layer,
            name: record.name,
            link_address: record.link_address,
            client_address: record.client_address,
            shards: record.shards,
        };
        order.push((node, member.shards));
        if record.leaving {
            leaving.insert(node);
        }
        if members.insert(node, member).is_some() {
            return Err(DocumentError(format!("member {node} stands there twice")));
        }
    }
    let lanes = document
        .lanes
        .into_iter()
        .map(|(id, record)| {
            let lane = Lane { writer: address(&order, &record.writer)?, state: record.state, since: record.since };
            Ok((LaneId(id), lane))
        })
        .collect::<Result<_, DocumentError>>()?;
    Ok(Layout {
        epoch: document.epoch,
        matcher: placements("matcher", &order, &document.matcher, document.settings.matcher_slices)?,
        session: placements("session", &order, &document.session, document.settings.session_slices)?,
        settings: document.settings,
        members,
        leaving,
        lanes,
        ended: document.ended.into_iter().map(|(id, end)| (LaneId(id), (end.how, end.at))).collect(),
        lane_next: document.lane_next,
    })
}

/// A member's incarnation and its shards, in the order of the document.
type Order = [(Incarnation, u16)];

fn placements(name: &str, order: &Order, texts: &[String], slices: u16) -> Result<Vec<Placement>, DocumentError> {
    if texts.len() != usize::from(slices) {
        return Err(DocumentError(format!("{name} has {} placements, must be {slices}", texts.len())));
    }
    texts.iter().map(|text| placement(order, text)).collect()
}

fn placement(order: &Order, text: &str) -> Result<Placement, DocumentError> {
    let wrong = || DocumentError(format!("{text} is not a placement, must be like 3:0.1a,2.0s"));
    let (term, replicas) = text.split_once(':').ok_or_else(wrong)?;
    let (term, lost) = term.split_once('!').unwrap_or((term, "0"));
    let term = Term(term.parse().map_err(|_| wrong())?);
    let lost = Epoch(lost.parse().map_err(|_| wrong())?);
    let replicas = replicas
        .split(',')
        .filter(|replica| !replica.is_empty())
        .map(|replica| {
            let (end, last) = replica.char_indices().next_back().ok_or_else(wrong)?;
            let role = role(last).ok_or_else(wrong)?;
            Ok(Replica { holder: address(order, &replica[..end])?, role })
        })
        .collect::<Result<Vec<_>, DocumentError>>()?;
    if replicas.iter().filter(|replica| replica.role == Role::Active).count() > 1 {
        return Err(DocumentError(format!("{text} has more than one active replica")));
    }
    Ok(Placement { term, lost, replicas })
}

fn address(order: &Order, text: &str) -> Result<Address, DocumentError> {
    let wrong = || DocumentError(format!("{text} is not the place of a member's shard"));
    let (index, shard) = text.split_once('.').ok_or_else(wrong)?;
    let index = index.parse::<usize>().map_err(|_| wrong())?;
    let shard = shard.parse::<u16>().map_err(|_| wrong())?;
    let &(node, shards) = order.get(index).ok_or_else(wrong)?;
    if shard >= shards {
        return Err(wrong());
    }
    Ok(Address { node, shard: Shard(shard) })
}

const fn letter(role: Role) -> char {
    match role {
        Role::Joining => 'j',
        Role::Standby => 's',
        Role::Active => 'a',
        Role::Retiring => 'r',
    }
}

const fn role(letter: char) -> Option<Role> {
    match letter {
        'j' => Some(Role::Joining),
        's' => Some(Role::Standby),
        'a' => Some(Role::Active),
        'r' => Some(Role::Retiring),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
