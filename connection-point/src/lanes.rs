//! The lanes of the layout as seen from here: who writes each, what may be sent to it, and who waits to send.
//!
//! Invariant: a connection waits in a lane only while it has something unsent for it.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{Class, SendCredit};
use gomera_cluster::identity::{ConnectionId, Instance, PublisherKey, Sequence};
use gomera_cluster::layout::{LaneState, Layout};
use gomera_cluster::message::connection_point::LaneCredit;
use gomera_cluster::position::LaneId;

use crate::publishers::Publishers;
use crate::sessions::Sessions;
use crate::turns::{Ticket, Turns};

/// Largest frame made of what waits; what is over goes into the next. Keeps frames below what links carry in one piece.
pub(crate) const FRAME_BYTES_MAX: u64 = 1 << 20;

/// What one connection gives at most before the next has its turn, while credit is scarce.
pub(crate) const SHARE_BYTES_MAX: u64 = 64 << 10;

/// What may be sent to a lane in one class, and who waits to send.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What may be sent.
    pub credit: SendCredit,
    /// Connections with something unsent.
    pub turns: Turns,
}

impl Lane {
    /// Whether the writer was told that nothing more comes from here.
    pub const fn is_left(&self) -> bool {
        self.is_left
    }

    /// Whether it is to be said now that nothing more comes from here, `stands` telling who is on the lane and `find` finding one.
    pub fn leave(
        &mut self,
        stands: impl Fn(ConnectionId) -> bool,
        find: impl FnOnce() -> Option<ConnectionId>,
    ) -> bool {
        if self.state == LaneState::Open || self.is_left || self.resident.is_some_and(stands) {
            return false;
        }
        self.resident = find();
        self.is_left = self.resident.is_none();
        self.is_left
    }
}

impl Flow {
    /// The next connection to send, if credit is open, and how many bytes it is to send at most (the last thing may go over).
    pub fn next(&mut self) -> Option<(ConnectionId, u64)> {
        if !self.credit.is_open() {
            return None;
        }
        let connection = self.turns.next()?;
        // With nobody else waiting there is nobody to be fair to.
        let share = if self.turns.is_empty() { FRAME_BYTES_MAX } else { SHARE_BYTES_MAX };
        Some((connection, self.credit.left().min(share)))
    }
}

/// A lane of the layout.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Who writes it.
    pub writer: Address,
    /// Whether it takes newcomers.
    pub state: LaneState,
    /// Whether the writer was told that nothing more comes from here.
    is_left: bool,
    /// Somebody who was found to stand on it while it drains, to be looked at first.
    resident: Option<ConnectionId>,
    /// Publications.
    pub publications: Flow,
    /// Publishers that have left, with the last sequence that nobody will ever send again. Sent at the end of each batch.
    pub left: Vec<(PublisherKey, Instance, Sequence)>,
    /// Operations.
    pub operations: Flow,
}

/// All lanes of the layout.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<LaneId, Lane>,
}

impl Lanes {
    /// Follows a layout: lanes that it has no longer go, with their credit; who waited there has to be told by the caller.
    pub fn follow(&mut self, layout: Option<&Layout>) {
        let Some(layout) = layout else {
            self.lanes.clear();
            return;
        };
        self.lanes.retain(|&id, lane| layout.writer(id) == Some(lane.writer));
        for (&id, lane) in &layout.lanes {
            let (writer, state) = (lane.writer, lane.state);
            let known = self.lanes.entry(id).or_insert_with(|| Lane {
                writer,
                state,
                is_left: false,
                resident: None,
                publications: Flow::default(),
                left: Vec::new(),
                operations: Flow::default(),
            });
            known.state = state;
        }
    }

    /// A lane, if the layout has it.
    pub fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(&id)
    }

    /// Who writes a lane.
    pub fn writer(&self, id: LaneId) -> Option<Address> {
        self.lanes.get(&id).map(|lane| lane.writer)
    }

    /// All of them, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (LaneId, &mut Lane)> {
        self.lanes.iter_mut().map(|(&id, lane)| (id, lane))
    }

    /// The lanes that drain and that everybody here has left since the last call, with their writers.
    pub fn left(&mut self, publishers: &Publishers, sessions: &Sessions) -> Vec<(LaneId, Address)> {
        let mut left = Vec::new();
        for (&id, lane) in &mut self.lanes {
            let stands = |connection| publishers.stands_on(connection, id) || sessions.stands_on(connection, id);
            if lane.leave(stands, || publishers.find_on(id).or_else(|| sessions.find_on(id))) {
                left.push((id, lane.writer));
            }
        }
        left
    }

    /// Takes a grant in; says whether it made sense.
    pub fn grant(&mut self, from: Address, grant: LaneCredit) -> bool {
        let Some(lane) = self.lanes.get_mut(&grant.lane).filter(|lane| lane.writer == from) else {
            return false;
        };
        match grant.class {
            Class::Live => lane.publications.credit.grant(grant.total),
            Class::Operation => lane.operations.credit.grant(grant.total),
            // Nothing of these classes goes from here to a lane.
            Class::Replay | Class::Control => return false,
        }
        true
    }

    /// Gives back a place among those that wait to send operations; the lane may be gone.
    pub fn leave_operations(&mut self, id: LaneId, ticket: Ticket) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.operations.turns.leave(ticket);
        }
    }
}
