//! What a program is told of a change that is in force: from where on it decides.

use gomera_cluster::position::{LaneId, Number, Position, Vector};

use super::event::Notification;

/// A change of a session that is in force: whatever is published after this was received sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Per lane, from the next number on surely the new state decides.
    pub(super) in_force_after: Vector,
}

impl Applied {
    /// Whether this notification was surely judged by the new state, and not by the one before.
    #[must_use]
    pub fn judged(&self, notification: &Notification) -> bool {
        let position = Position { lane: LaneId(notification.lane), number: Number(notification.number) };
        !self.in_force_after.covers(position)
    }

    /// Per lane (id, number), in order of lane: from the next number on surely the new state decides.
    pub fn in_force_after(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.in_force_after.iter().map(|position| (position.lane.0, position.number.0))
    }
}
