//! Lanes of access points that come, go and die.

use std::collections::BTreeMap;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Lane, LaneEnd, LaneState, Layout};
use gomera_cluster::position::LaneId;

use super::{Awaited, Goal, Knowledge};

/// Ends the lanes whose writers are no members any more.
pub fn fence(layout: &mut Layout) {
    let epoch = layout.epoch;
    let (members, ended) = (&layout.members, &mut layout.ended);
    layout.lanes.retain(|&id, lane| {
        let lives = members.contains_key(&lane.writer.node);
        if !lives {
            ended.insert(id, (LaneEnd::Fenced, epoch));
        }
        lives
    });
}

/// Opens lanes on shards that have too few, drains those of nodes that leave, closes what has drained, forgets what everybody
/// has acted on; what has to come first.
pub fn arrange(layout: &mut Layout, goal: &Goal, knowledge: &Knowledge) -> Vec<Awaited> {
    let epoch = layout.epoch;
    let mut awaited = Vec::new();
    let mut open: BTreeMap<Address, u16> = layout
        .machines(Layer::AccessPoint)
        .filter(|machine| goal.serving.contains_key(&machine.node))
        .map(|machine| (machine, 0))
        .collect();
    if open.is_empty() {
        // Who leaves stays until somebody can take over.
        awaited.push(Awaited::Node(Layer::AccessPoint));
        return awaited;
    }
    let ended = &mut layout.ended;
    layout.lanes.retain(|&id, lane| {
        if let Some(count) = open.get_mut(&lane.writer) {
            // Called back before its lanes had ended: what drains goes on, a new lane takes its place.
            *count += u16::from(lane.state == LaneState::Open);
        } else {
            lane.state = LaneState::Draining;
        }
        let drained = lane.state == LaneState::Draining && knowledge.drained.contains(&id);
        if drained {
            ended.insert(id, (LaneEnd::Closed, epoch));
        } else if lane.state == LaneState::Draining {
            awaited.push(Awaited::Drained(id));
        }
        !drained
    });
    for (writer, count) in open {
        for _ in count..goal.lanes_per_shard.max(1) {
            layout.lanes.insert(layout.lane_next, Lane { writer, state: LaneState::Open, since: epoch });
            layout.lane_next = LaneId(layout.lane_next.0 + 1);
        }
    }
    let members = &layout.members;
    layout.ended.retain(|_, &mut (_, at)| at == epoch || !knowledge.all_acted(members.keys().copied(), at));
    awaited
}
