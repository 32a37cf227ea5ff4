//! The layout as clients may see it.

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::{LaneState, Layout, Placement, Role};

use crate::v1;

/// What a cluster of this name looks like.
#[must_use]
pub fn to_topology(cluster: &str, layout: &Layout) -> v1::Topology {
    let nodes = layout.members.iter().map(|(&incarnation, member)| {
        let placements = match member.layer {
            Layer::Matcher => &layout.matcher[..],
            Layer::ExitPoint => &layout.session[..],
            Layer::ConnectionPoint | Layer::AccessPoint => &[],
        };
        let held = |is: fn(Role) -> bool| slices(placements, incarnation, is);
        v1::Node {
            layer: to_layer(member.layer).into(),
            name: member.name.as_ref().to_owned(),
            incarnation: incarnation.0,
            link_address: member.link_address.as_ref().to_owned(),
            client_address: member.client_address.as_ref().to_owned(),
            shards: u32::from(member.shards),
            slices_active: held(|role| role == Role::Active),
            slices_other: held(|role| matches!(role, Role::Standby | Role::Retiring)),
            slices_joining: held(|role| role == Role::Joining),
            leaving: layout.leaving.contains(&incarnation),
        }
    });
    let lanes = layout.lanes.iter().map(|(&id, lane)| v1::Lane {
        id: id.0,
        incarnation: lane.writer.node.0,
        shard: u32::from(lane.writer.shard.0),
        draining: lane.state == LaneState::Draining,
    });
    v1::Topology {
        cluster: cluster.to_owned(),
        epoch: layout.epoch.0,
        matcher_slices: u32::from(layout.settings.matcher_slices),
        session_slices: u32::from(layout.settings.session_slices),
        replication: u32::from(layout.settings.replication),
        nodes: nodes.collect(),
        lanes: lanes.collect(),
    }
}

/// To the wire.
#[must_use]
pub fn to_layer(layer: Layer) -> v1::Layer {
    match layer {
        Layer::ConnectionPoint => v1::Layer::ConnectionPoint,
        Layer::AccessPoint => v1::Layer::AccessPoint,
        Layer::Matcher => v1::Layer::Matcher,
        Layer::ExitPoint => v1::Layer::ExitPoint,
    }
}

/// From the wire; `None` if it is not said, or said in words of a later version.
#[must_use]
pub fn layer(wire: v1::Layer) -> Option<Layer> {
    match wire {
        v1::Layer::Unspecified => None,
        v1::Layer::ConnectionPoint => Some(Layer::ConnectionPoint),
        v1::Layer::AccessPoint => Some(Layer::AccessPoint),
        v1::Layer::Matcher => Some(Layer::Matcher),
        v1::Layer::ExitPoint => Some(Layer::ExitPoint),
    }
}

/// How many replicas a node holds in such a role.
fn slices(placements: &[Placement], node: Incarnation, is: fn(Role) -> bool) -> u32 {
    let replicas = placements.iter().flat_map(|placement| &placement.replicas);
    let count = replicas.filter(|replica| replica.holder.node == node && is(replica.role)).count();
    u32::try_from(count).expect("at most 4096 slices, each once a machine")
}

#[cfg(test)]
mod tests {
    //! Claims about the topology.

    use std::sync::Arc;

    use gomera_cluster::layout::{Epoch, Member, Settings};
    use gomera_cluster::position::LaneId;

    use super::*;

    #[test]
    fn every_slice_is_counted_at_the_node_that_decides() {
        let member = |layer: Layer| Member {
            layer,
            name: Arc::from(layer.name()),
            link_address: Arc::from(""),
            client_address: Arc::from(""),
            shards: 2,
        };
        let layers = [Layer::ConnectionPoint, Layer::AccessPoint, Layer::Matcher, Layer::Matcher, Layer::ExitPoint];
        let members = (1..).map(Incarnation).zip(layers.map(member)).collect();
        let layout = Layout::initial(Settings::default(), members, 1, Epoch(4), LaneId(1));
        let topology = to_topology("city", &layout);
        assert_eq!((topology.epoch, topology.nodes.len(), topology.lanes.len()), (4, 5, 2));
        let active = |wanted| {
            let nodes = topology.nodes.iter().filter(|node| layer(node.layer()) == Some(wanted));
            nodes.map(|node| node.slices_active).collect::<Vec<_>>()
        };
        assert_eq!(active(Layer::Matcher), [128, 128]);
        assert_eq!(active(Layer::ExitPoint), [256]);
        assert_eq!(active(Layer::AccessPoint), [0]);
    }
}
