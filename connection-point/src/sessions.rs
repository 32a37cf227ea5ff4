//! All sessions of this connection point: attaches them, passes operations to lanes as credit allows, in turn, passes
//! notifications to clients, and is the arbiter between exit points that claim the same slice.
//!
//! Invariants: a session that is attached and has an unsent operation waits in its lane, if there is one; of the connections
//! that attached one session here, the newest generation is left; `bytes` is what all operations unanswered take.

mod answers;
mod attaching;
mod deliveries;
mod draft;
mod operations;
mod requests;
mod sending;
mod session;
mod settling;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, SessionKey, Tenant, Term};
use gomera_cluster::layout::{Epoch, SessionSlice};
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::exit_point::Detach;
use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::session::{Attempt, SessionOptions};

use self::answers::tell_loss;
use self::attaching::Again;
use self::sending::{join_lane, queue, send_acknowledgement};
use self::session::{Attachment, Reign, Session};
use self::settling::settle;
use self::terms::Terms;
use crate::client::{Failure, RequestId};
use crate::failure;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// All sessions, by connection and, those attached, by session.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_connection: BTreeMap<ConnectionId, Session>,
    by_session: BTreeMap<SessionKey, ConnectionId>,
    terms: Terms,
    bytes: u64,
    held: usize,
    /// Whose acknowledgements are to be passed on at the end of the batch.
    acknowledged: BTreeSet<ConnectionId>,
    /// The last layout by which subscriptions were lost.
    lost: Epoch,
}

/// What a client said when it attached.
#[derive(Clone, Debug)]
pub(crate) struct Attachable {
    pub tenant: Tenant,
    pub request: RequestId,
    pub name: Arc<str>,
    pub options: SessionOptions,
    pub resume: Option<Vector>,
    pub attempt: Attempt,
}

/// Whether the exit point hears that a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It does.
    Told,
    /// It ended the attachment itself, or is not in charge any more.
    NotTold,
}

impl Sessions {
    /// The name of the session of this connection, if it has one.
    pub fn name(&self, connection: ConnectionId) -> Option<&str> {
        self.by_connection.get(&connection).map(|session| &*session.name)
    }

    /// So many connections after one, in order.
    pub fn after(&self, after: Bound<ConnectionId>, count: usize) -> impl Iterator<Item = ConnectionId> + '_ {
        self.by_connection.range((after, Bound::Unbounded)).map(|(&connection, _)| connection).take(count)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_connection.len()
    }

    /// What all operations unanswered take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notifications and gaps that wait for their clients.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Follows a layout: attaches go where the sessions are now, and so do sessions that are attached; those of which nobody is in charge
    /// are closed, to be attached anew; operations of lanes that have gone are sent again.
    pub fn follow(&mut self, around: &mut Surroundings, lanes: &mut Lanes) {
        let Some(layout) = around.layout.clone() else { return };
        self.terms.follow(&layout);
        let lost = layout.subscriptions_lost();
        let is_lost = lost > std::mem::replace(&mut self.lost, lost);
        let mut moved = Vec::new();
        let mut asking = Vec::new();
        for (&connection, session) in &mut self.by_connection {
            let Some(attachment) = session.attachment_mut() else {
                asking.push(connection);
                continue;
            };
            let placement = layout.session_placement(attachment.slice);
            let Some(active) = placement.active() else {
                moved.push(connection);
                continue;
            };
            if active != attachment.exit_point || placement.term != attachment.term {
                // It asks who is attached; until then nothing comes of this session, and nothing is sent.
                (attachment.exit_point, attachment.term, attachment.reign) = (active, placement.term, Reign::Begins);
            }
            let lane = layout.lane_of_session(session.key);
            join_lane(around, lanes, session, lane);
            settle(around, connection, session);
            queue(around, lanes, connection, session);
            if is_lost && let Some(attachment) = session.attachment_mut() {
                attachment.operations.lose(lost);
                tell_loss(around, connection, session);
            }
        }
        for connection in moved {
            let failure = failure::session_moved(self.name(connection).unwrap_or_default());
            self.close(around, lanes, connection, Some(failure), Farewell::NotTold);
        }
        for connection in asking {
            self.ask(around, connection, Again::IfMoved);
        }
    }

    /// A connection is gone, or going: what is held for it is dropped. Says whether it had a session.
    pub fn remove(
        &mut self,
        around: &mut Surroundings,
        lanes: &mut Lanes,
        connection: ConnectionId,
        farewell: Farewell,
    ) -> bool {
        let Some(mut session) = self.by_connection.remove(&connection) else { return false };
        self.bytes -= session.operations_bytes;
        self.held -= session.deliveries.held();
        self.acknowledged.remove(&connection);
        if self.by_session.get(&session.key) == Some(&connection) {
            self.by_session.remove(&session.key);
        }
        around.timers.cancel(Timer::Wait(connection));
        around.timers.cancel(Timer::Retry(connection));
        if farewell == Farewell::Told {
            // What it has processed is not to be delivered again.
            send_acknowledgement(around, &mut session);
        }
        if let Some(Attachment { exit_point, generation, operations, reign, .. }) = session.attachment() {
            if let (Some(lane), Some(turn)) = (operations.lane, operations.turn) {
                lanes.leave_operations(lane, turn);
            }
            // Who takes over and has not asked yet will not hear of it.
            if farewell == Farewell::Told && *reign == Reign::Known {
                let detach = Detach { session: session.key, generation: *generation };
                around.output.tell_exit_point(*exit_point, ToExitPoint::Detach(detach));
            }
        }
        true
    }

    /// Whether a connection has operations on a lane.
    pub fn stands_on(&self, connection: ConnectionId, lane: LaneId) -> bool {
        self.by_connection.get(&connection).is_some_and(|session| session.stands_on(lane))
    }

    /// Somebody who has operations on a lane.
    pub fn find_on(&self, lane: LaneId) -> Option<ConnectionId> {
        self.by_connection.iter().find(|(_, session)| session.stands_on(lane)).map(|(&connection, _)| connection)
    }

    /// Closes all, with the same words.
    pub fn close_all(&mut self, around: &mut Surroundings, lanes: &mut Lanes, failure: &Failure) {
        while let Some((&connection, _)) = self.by_connection.first_key_value() {
            self.close(around, lanes, connection, Some(failure.clone()), Farewell::Told);
        }
    }

    fn close(
        &mut self,
        around: &mut Surroundings,
        lanes: &mut Lanes,
        connection: ConnectionId,
        failure: Option<Failure>,
        farewell: Farewell,
    ) {
        around.output.close(connection, failure);
        around.statistics.connections_closed += 1;
        self.remove(around, lanes, connection, farewell);
    }

    /// The connection of an attachment, if it stands here.
    fn find(&self, connection: ConnectionId, session: SessionKey, from: Address) -> Option<&Attachment> {
        let found = self.by_connection.get(&connection).filter(|found| found.key == session)?;
        found.attachment().filter(|attachment| attachment.exit_point == from)
    }

    /// Whether a sender that claims a slice in a term is heard.
    fn admit(&mut self, slice: SessionSlice, term: Term) -> bool {
        self.terms.admit(slice, term)
    }
}
