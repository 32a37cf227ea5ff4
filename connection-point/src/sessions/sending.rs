//! What sessions send: operations to lanes, in turn and as credit allows; acknowledgements to exit points, one a batch.

use std::sync::Arc;

use gomera_cluster::identity::ConnectionId;
use gomera_cluster::message::access_point::Operate;
use gomera_cluster::message::exit_point::Acknowledge;
use gomera_cluster::message::{ToAccessPoint, ToExitPoint};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::LaneId;

use super::Sessions;
use super::session::{Attachment, Session};
use crate::lanes::{FRAME_BYTES_MAX, Lane, Lanes};
use crate::surroundings::Surroundings;
use crate::timers::Timer;

impl Sessions {
    /// Passes on what clients have acknowledged: at the end of a batch, one message a session.
    pub fn send_acknowledgements(&mut self, around: &mut Surroundings) {
        while let Some(connection) = self.acknowledged.pop_first() {
            if let Some(session) = self.by_connection.get_mut(&connection) {
                send_acknowledgement(around, session);
            }
        }
    }

    /// Sends to a lane what waits for it, as far as its credit goes: one frame, or more if it would become too large.
    pub fn send(&mut self, around: &mut Surroundings, id: LaneId, lane: &mut Lane) {
        let (mut operations, mut bytes) = (Vec::<Arc<Operation>>::new(), 0);
        while let Some((connection, share)) = lane.operations.next() {
            let session = self.by_connection.get_mut(&connection).expect("who goes gives its turn back");
            let attachment = session.attachment_mut().expect("only an attached session waits in a lane");
            attachment.operations.turn = None;
            let cost = attachment.operations.send(share, &mut operations);
            lane.operations.credit.spend(cost);
            bytes += cost;
            if attachment.operations.has_unsent() {
                attachment.operations.turn = Some(lane.operations.turns.enter(connection));
            }
            if bytes >= FRAME_BYTES_MAX {
                let operate = Operate { lane: id, operations: std::mem::take(&mut operations) };
                around.output.tell_access_point(lane.writer, ToAccessPoint::Operate(operate));
                bytes = 0;
            }
        }
        if !operations.is_empty() {
            around.output.tell_access_point(lane.writer, ToAccessPoint::Operate(Operate { lane: id, operations }));
        }
    }
}

/// Lets an attached session with an unsent operation wait for its turn on its lane; or for a lane, but not for ever.
pub(super) fn queue(around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId, session: &mut Session) {
    let Some(Attachment { operations, settling, .. }) = session.attachment_mut() else { return };
    if operations.lane != operations.destination && !operations.has_sent() {
        around.statistics.sessions_moved += u64::from(operations.lane.is_some());
        operations.lane = operations.destination;
    }
    // What was sent on the lane before comes first, and what earlier attachments have elsewhere.
    if settling.holds(operations.lane)
        || operations.turn.is_some()
        || !operations.has_unsent()
        || operations.lane != operations.destination
    {
        return;
    }
    match operations.lane.and_then(|lane| lanes.get_mut(lane)) {
        Some(lane) => {
            around.timers.cancel(Timer::Wait(connection));
            operations.turn = Some(lane.operations.turns.enter(connection));
        }
        None if !around.timers.is_set(Timer::Wait(connection)) => {
            around.timers.set(Timer::Wait(connection), around.now + around.config.layout_wait);
        }
        None => {}
    }
}

/// Operations are to go to this lane: at once those that were sent to one that has ended; others when those before are answered, so that
/// they keep their order. Without any open lane they stay where they are.
pub(super) fn join_lane(
    around: &mut Surroundings,
    lanes: &mut Lanes,
    session: &mut Session,
    destination: Option<LaneId>,
) {
    let Some(Attachment { operations, .. }) = session.attachment_mut() else { return };
    let before = operations.lane;
    match before {
        Some(before) if lanes.writer(before).is_none() => {
            around.statistics.sessions_fenced += u64::from(operations.has_sent());
            operations.send_again();
            operations.turn = None;
            (operations.lane, operations.destination) = (destination, destination);
        }
        Some(before) => {
            operations.destination = Some(destination.unwrap_or(before));
            if operations.destination != Some(before)
                && let Some(turn) = operations.turn.take()
            {
                lanes.leave_operations(before, turn);
            }
        }
        None => (operations.lane, operations.destination) = (destination, destination),
    }
}

pub(super) fn send_acknowledgement(around: &mut Surroundings, session: &mut Session) {
    let (key, through) = (session.key, std::mem::take(&mut session.acknowledged));
    match session.attachment() {
        Some(attachment) if !through.is_empty() => {
            let acknowledge = Acknowledge { session: key, generation: attachment.generation, through };
            // Whoever may decide about it next has to know as well.
            let Some(layout) = around.layout.clone() else { return };
            for replica in &layout.session_placement(attachment.slice).replicas {
                around.output.tell_exit_point(replica.holder, ToExitPoint::Acknowledge(acknowledge.clone()));
            }
        }
        Some(_) => {}
        // Kept for when it is attached.
        None => session.acknowledged = through,
    }
}
